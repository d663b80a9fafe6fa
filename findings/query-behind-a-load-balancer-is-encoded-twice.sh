#!/bin/sh
# A function that moves from API Gateway to a load balancer, with AWS's own adapter, finds no book with
# "C++" or a blank in its title any more.
#
# Package:   @aws-lambda-powertools/event-handler 2.35.0, @fastify/aws-lambda 6.4.1 with fastify 5.12.8,
#            and hono 4.13.19 (npm); github.com/awslabs/aws-lambda-go-api-proxy v0.16.2
# Expected:  the adapters know all kinds of events, which they tell apart by their fields, and give the
#            handler the query that the client has sent.
# Behaviour: API Gateway decodes the parameters of the query, and a load balancer doesn't,
#            in a field of the same name. Powertools and the proxy for Go encode what they get in both cases, so
#            that behind a load balancer it is encoded twice: the handler searches for
#            "C%2B%2B+primer". Fastify's adapter decodes, but not a plus, which is how forms
#            and URLSearchParams write a blank. Hono is right. Letters and digits, as in most
#            tests and ids, are the same all ways; times with an offset, e-mail addresses and what was
#            encoded as a cursor aren't.
# Source:    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html (who
#            decodes); populateV1QueryParams in lib/esm/http/converters.js of Powertools, whose sister for Python
#            has an option since January 2026 (aws-powertools/powertools-lambda-python/pull/7940);
#            core/requestALB.go of the proxy; index.js of @fastify/aws-lambda
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-save --no-audit --no-fund --ignore-scripts @aws-lambda-powertools/event-handler@2.35.0 @fastify/aws-lambda@6.4.1 fastify@5.12.8 hono@4.13.19
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
cat > event.json <<'JSON'
{"requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/books/0123456789abcdef"}},
 "httpMethod": "GET", "path": "/books", "queryStringParameters": {"title": "C%2B%2B+primer"}, "body": "", "isBase64Encoded": false,
 "headers": {"host": "books.example", "accept": "*/*", "x-forwarded-for": "192.0.2.1", "x-forwarded-port": "443", "x-forwarded-proto": "https"}}
JSON
cat > try.mjs <<'JS'
import { readFileSync } from 'node:fs'
import { Router } from '@aws-lambda-powertools/event-handler/http'
import awsLambdaFastify from '@fastify/aws-lambda'
import Fastify from 'fastify'
import { Hono } from 'hono'
import { handle } from 'hono/aws-lambda'

const event = () => JSON.parse(readFileSync('event.json', 'utf8'))
const context = { awsRequestId: '1', functionName: 'books' }
const router = new Router()
router.get('/books', ({ req }) => ({ title: new URL(req.url).searchParams.get('title') }))
const app = Fastify()
app.get('/books', request => ({ title: request.query.title }))
const hono = new Hono().get('/books', c => c.json({ title: c.req.query('title') }))
for (const [name, answer] of [
  ['Powertools', await router.resolve(event(), context)],
  ['fastify', await awsLambdaFastify(app)(event(), context)],
  ['hono', await handle(hono)(event(), context)]
]) {
  console.log(`${name}: ${JSON.parse(answer.isBase64Encoded ? Buffer.from(answer.body, 'base64').toString() : answer.body).title}`)
}
JS
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"
)

func main() {
	data, err := os.ReadFile("event.json")
	if err != nil {
		panic(err)
	}
	var event events.ALBTargetGroupRequest
	if err := json.Unmarshal(data, &event); err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /books", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Query().Get("title")) })
	answer, err := httpadapter.NewALB(mux).ProxyWithContext(context.Background(), event)
	if err != nil {
		panic(err)
	}
	fmt.Println("Go:", answer.Body)
}
GO
go get github.com/awslabs/aws-lambda-go-api-proxy@v0.16.2 github.com/aws/aws-lambda-go@v1.55.1
(node try.mjs && go run .) | tee seen
diff seen - <<'WANT'
Powertools: C%2B%2B+primer
fastify: C+++primer
hono: C++ primer
Go: C%2B%2B+primer
WANT
# Seen: the four lines above
