#!/bin/sh
# A client of the AWS SDK that has found out that the machine's clock is wrong signs its
# calls by AWS's clock from then on, and what it presigns by the wrong one.
#
# Package:   github.com/aws/aws-sdk-go-v2 v1.48.0 with service/sts v1.52.0
# Expected:  one client has one idea of the time.
# Behaviour: since v1.43.0 of July 2026 each answer's Date header says by how much the next
#            requests of that client are off, be it a second or a year, and whether or
#            not a call was refused. What presigns does not ask for that. On a machine
#            whose clock is off by an hour all calls work, and each URL is expired or not
#            valid yet, as is a cluster's token, which is such a URL: it fails
#            elsewhere, without a trace here. And recorded answers of last year make a
#            test's client sign in last year. DisableClockSkewCorrection, of the
#            client's options, turns the correction off.
# Source:    SignRequest in internal/auth/smithy/v4signer_adapter.go (GetAttemptSkewContext)
#            and HandleFinalize in aws/signer/v4/presign_middleware.go (sdk.NowTime) of
#            that version; its change log ("Update Clock Skew logic").
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
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
	"net/url"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// ahead is by how much the service's clock is ahead of this machine's.
const ahead = time.Hour

func main() {
	var signed []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		signed = append(signed, r.Header.Get("X-Amz-Date"))
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		fmt.Fprint(w, "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>1</Account></GetCallerIdentityResult></GetCallerIdentityResponse>")
	}))
	client := sts.New(sts.Options{Region: "eu-west-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	ctx := context.Background()
	for range 2 {
		if _, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err != nil {
			panic(err)
		}
	}
	presigned, err := sts.NewPresignClient(client).PresignGetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		panic(err)
	}
	u, err := url.Parse(presigned.URL)
	if err != nil {
		panic(err)
	}
	first, second, third := off(signed[0]), off(signed[1]), off(u.Query().Get("X-Amz-Date"))
	fmt.Printf("ahead of this machine's clock: the first call %s, the second %s, the presigned URL %s\n", first, second, third)
	if first != 0 || second != ahead || third != 0 {
		fmt.Println("the behaviour has changed: only the second was expected to be ahead")
		os.Exit(1)
	}
}

func off(date string) time.Duration {
	t, err := time.Parse("20060102T150405Z", date)
	if err != nil {
		panic(err)
	}
	return time.Until(t).Round(time.Minute)
}
GO
go get github.com/aws/aws-sdk-go-v2@v1.48.0 github.com/aws/aws-sdk-go-v2/service/sts@v1.52.0 github.com/aws/aws-sdk-go-v2/credentials@v1.21.0
go run .
# Seen: ahead of this machine's clock: the first call 0s, the second 1h0m0s, the presigned URL 0s
