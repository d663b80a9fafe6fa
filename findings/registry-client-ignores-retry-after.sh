#!/bin/sh
# A registry that asks to wait 20 s (429 with Retry-After) is asked again within a
# second, and given up after a few seconds.
#
# Package:   github.com/google/go-containerregistry v0.22.1
# Expected:  a client that retries 429 by itself waits for as long as the answer asks.
# Behaviour: its retries have pauses of their own (about 1 s and 3 s) and never look at
#            the header: three requests in less than ten seconds, and then an error. Who
#            needs the wait has to put a transport of his own below, and take 429 out of
#            remote.WithRetryStatusCodes.
# Source:    pkg/v1/remote/options.go (defaultRetryBackoff, defaultRetryStatusCodes) and
#            pkg/v1/remote/transport/retry.go of that version.
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS=-mod=mod GOWORK=off
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func main() {
	var asked []time.Time
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") {
			asked = append(asked, time.Now())
			w.Header().Set("Retry-After", "20")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/app:1")
	if err != nil {
		panic(err)
	}
	begun := time.Now()
	_, err = remote.Get(ref)
	took := time.Since(begun)
	fmt.Printf("%d requests in %.1f s although each answer asked to wait 20 s: %v\n", len(asked), took.Seconds(), err)
	if err == nil || len(asked) != 3 || took > 10*time.Second {
		fmt.Println("the behaviour has changed: three requests within ten seconds and an error were expected")
		os.Exit(1)
	}
}
GO
go get github.com/google/go-containerregistry@v0.22.1
go run .
# Seen: 3 requests in 4.1 s although each answer asked to wait 20 s: GET http://127.0.0.1:41377/v2/app/manifests/1: unexpected status code 429 Too Many Requests
