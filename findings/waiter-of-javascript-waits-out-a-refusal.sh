#!/bin/sh
# A role that may deploy but may not describe makes a pipeline in Go fail at once, and
# one in JavaScript stand still for as long as it was told to wait at most.
#
# Package:   @aws-sdk/client-ecs 3.1164.0 (npm);
#            github.com/aws/aws-sdk-go-v2/service/ecs v1.106.0
# Expected:  an answer that no waiting can change, as AccessDeniedException, ends the wait, as
#            the specification of waiters, which both are made from, asks for.
# Behaviour: JavaScript's waiters take each error that their definition doesn't name for "not
#            yet", be it a refusal, expired credentials or a parameter that is wrong,
#            and end with a TimeoutError that counts the answers in its text. Minutes of a
#            build machine are paid for, and until then nothing says why. Since April 2026
#            there is one warning after a minute, if the status was 403; ECS refuses with
#            400. Call the describing operation once before the waiter.
# Source:    "catch (exception)" in dist-es/waiters/waitForServicesStable.js of that
#            version; https://github.com/aws/aws-sdk-js-v3/issues/6699, closed as stale;
#            https://github.com/smithy-lang/smithy-typescript/pull/1970;
#            https://smithy.io/2.0/additional-specs/waiters.html (waiter workflow)
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund @aws-sdk/client-ecs@3.1164.0
cat > try.mjs <<'JS'
import { ECSClient, waitUntilServicesStable } from "@aws-sdk/client-ecs";
const client = new ECSClient({ endpoint: process.argv[2], region: "eu-west-1", credentials: { accessKeyId: "a", secretAccessKey: "b" } });
try {
  await waitUntilServicesStable({ client, minDelay: 1, maxDelay: 1, maxWaitTime: 5 }, { services: ["web"] });
} catch (error) {
  console.log(error.name);
}
JS
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func main() {
	looks := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		looks++
		w.WriteHeader(400)
		fmt.Fprint(w, `{"__type": "AccessDeniedException", "message": "not authorized to perform: ecs:DescribeServices"}`)
	}))
	defer server.Close()
	client := ecs.New(ecs.Options{Region: "eu-west-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	err := ecs.NewServicesStableWaiter(client, func(o *ecs.ServicesStableWaiterOptions) { o.MinDelay, o.MaxDelay = time.Second, time.Second }).
		Wait(context.Background(), &ecs.DescribeServicesInput{Services: []string{"web"}}, 5*time.Second)
	var denied *types.AccessDeniedException
	fmt.Printf("Go: %d look, denied: %t\n", looks, errors.As(err, &denied))
	refused := looks == 1 && denied != nil
	looks = 0
	out, err := exec.Command("node", "try.mjs", server.URL).Output()
	fmt.Printf("JavaScript: more than two looks: %t, %s", looks > 2, out)
	if err != nil || !refused || looks <= 2 || string(out) != "TimeoutError\n" {
		fmt.Println("the behaviour has changed:", looks, err)
		os.Exit(1)
	}
}
GO
go get github.com/aws/aws-sdk-go-v2/service/ecs@v1.106.0 github.com/aws/aws-sdk-go-v2/credentials@v1.21.0
go run .
# Seen: Go: 1 look, denied: true
#       JavaScript: more than two looks: true, TimeoutError
