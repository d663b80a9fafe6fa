#!/bin/sh
# A client of the AWS SDK with ten attempts per call makes one, once other calls have
# failed often enough.
#
# Package:   github.com/aws/aws-sdk-go-v2 v1.40.0 (service/sts v1.41.2)
# Expected:  RetryMaxAttempts: 10 gives every call up to ten attempts.
# Behaviour: all calls of a client share 500 tokens; a retry takes 5 and only success
#            gives some back. When an endpoint is out for a while, the calls that come
#            later fail at the first answer with "retry quota exceeded", although each
#            of them asked for ten. Who means it sets retry.StandardOptions.RateLimiter
#            to ratelimit.None as well.
# Source:    aws/retry/standard.go of that version (DefaultRetryRateTokens, DefaultRetryCost).
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
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// requests of one call after twenty that failed, and its error.
func lastOf(unlimited bool) (int64, error) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	client := sts.New(sts.Options{
		Region: "eu-west-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.Backoff = 10, retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			if unlimited {
				o.RateLimiter = ratelimit.None
			}
		}),
	})
	call := func() error {
		_, err := client.GetCallerIdentity(context.Background(), &sts.GetCallerIdentityInput{})
		return err
	}
	for range 20 {
		call()
	}
	before := asked.Load()
	err := call()
	return asked.Load() - before, err
}

func main() {
	few, err := lastOf(false)
	all, _ := lastOf(true)
	fmt.Printf("after 20 calls that failed, a call with 10 attempts made %d: %v\nwithout the shared limit: %d\n", few, err, all)
	if few != 1 || !strings.Contains(fmt.Sprint(err), "quota exceeded") || all != 10 {
		fmt.Println("the behaviour has changed: 1 with a word of a quota, and 10, were expected")
		os.Exit(1)
	}
}
GO
go get github.com/aws/aws-sdk-go-v2@v1.40.0 github.com/aws/aws-sdk-go-v2/service/sts@v1.41.2 github.com/aws/aws-sdk-go-v2/credentials@v1.19.2
go run .
# Seen: after 20 calls that failed, a call with 10 attempts made 1: operation error STS: GetCallerIdentity, …
#       failed to get rate limit token, retry quota exceeded, 0 available, 5 requested
#       without the shared limit: 10
