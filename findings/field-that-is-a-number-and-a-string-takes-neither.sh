#!/bin/sh
# An API has ids that JavaScript can't hold as numbers, and writes them as strings by
# encoding/json's own option: its answers are fine, and no request is taken any more.
#
# Package:   github.com/danielgtaylor/huma/v2 v2.37.2, and ajv 8.20.0 (npm) for its document
# Expected:  `json:"id,string"` makes the field a string in JSON, and in the document.
# Behaviour: huma makes the schema from the Go type and does not look at the option: the
#            field is an integer. Requests are validated by the schema and then read by
#            encoding/json: a string is refused by the first and a number by the second,
#            both as 422, so that no body passes. Answers are not validated: they have
#            the string, which a client that validates by the document refuses. Nothing
#            says so at the start. A type of one's own with MarshalText, UnmarshalText and a
#            Schema method does what was meant.
# Source:    SchemaFromField and schemaFromType in schema.go of that version;
#            https://pkg.go.dev/encoding/json#Marshal (the "string" option)
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund ajv@8.20.0
export GOPATH="$dir/go" GOFLAGS=-mod=mod GOWORK=off
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
	"net/http/httptest"
	"os"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

type order struct {
	ID int64 `json:"id,string"`
}

type body struct{ Body order }

func main() {
	mux := http.NewServeMux()
	api := humago.New(mux, huma.DefaultConfig("orders", "1"))
	huma.Get(api, "/order", func(context.Context, *struct{}) (*body, error) { return &body{order{1 << 60}}, nil })
	huma.Post(api, "/order", func(_ context.Context, in *body) (*body, error) { return in, nil })
	ask := func(method, sent string) (int, map[string]any) {
		r := httptest.NewRequest(method, "/order", strings.NewReader(sent))
		if sent != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			panic(err)
		}
		return w.Code, got
	}
	for _, sent := range []string{`{"id":"7"}`, `{"id":7}`} {
		code, got := ask("POST", sent)
		fmt.Println(sent, "is answered with", code, got["errors"].([]any)[0].(map[string]any)["message"])
	}
	code, got := ask("GET", "")
	fmt.Printf("an answer has %q, with %d\n", got["id"], code)
	schema, err := json.Marshal(api.OpenAPI().Components.Schemas.Map()["Order"])
	if err != nil {
		panic(err)
	}
	answer, err := json.Marshal(got)
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile("check.json", fmt.Appendf(nil, `{"schema":%s,"answer":%s}`, schema, answer), 0o600); err != nil {
		panic(err)
	}
}
GO
go get github.com/danielgtaylor/huma/v2@v2.37.2
go run . | tee seen
node -e '
const Ajv = require("ajv/dist/2020")
const { schema, answer } = require("./check.json")
const valid = new Ajv({ strict: false, validateFormats: false }).compile(schema)
console.log("its document says of that answer:", valid(answer) ? "valid" : valid.errors[0].instancePath + " " + valid.errors[0].message)' | tee -a seen
diff seen - <<'WANT'
{"id":"7"} is answered with 422 expected integer
{"id":7} is answered with 422 json: invalid use of ,string struct tag, trying to unmarshal unquoted value into int64
an answer has "1152921504606846976", with 200
its document says of that answer: /id must be integer
WANT
# Seen: the four lines above
