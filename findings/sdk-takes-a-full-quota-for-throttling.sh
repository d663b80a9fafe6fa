#!/bin/sh
# Somebody whose account has as many certificates as it may have is told so a minute
# later, by a client that is set to be patient with throttling.
#
# Package:   github.com/aws/aws-sdk-go-v2 v1.48.0 with service/acm v1.51.4
# Expected:  an error that no retry can help is returned at once, as most errors with
#            status 400 are.
# Behaviour: LimitExceededException is in the SDK's list of throttling errors, where a few
#            services mean it as such. In ACM, ECR, ECS, CloudWatch Logs and Secrets Manager
#            it means that a quota is full, until somebody asks AWS for more. The call is
#            repeated for as long as attempts last, with the long pauses of throttling.
#            boto3 has the same list. Who knows the services that it calls puts a check
#            of its own before the SDK's in StandardOptions.Retryables. The pauses are made
#            by synctest's clock here.
# Source:    DefaultThrottleErrorCodes in aws/retry/standard.go of that version;
#            https://docs.aws.amazon.com/acm/latest/APIReference/API_RequestCertificate.html
#            ("An ACM quota has been exceeded").
# Seen:      LimitExceededException after 10 requests in 1m4s
#            InvalidParameterException after 1 requests in 0s
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > quota_test.go <<'GO'
package finding

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/acm"
)

// refusing answers every request with an error.
type refusing struct {
	code  string
	asked *int
}

func (r refusing) Do(*http.Request) (*http.Response, error) {
	*r.asked++
	return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"__type":"` + r.code + `","message":"no"}`))}, nil
}

func call(t *testing.T, code string) (asked int, took time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		client := acm.New(acm.Options{Region: "eu-west-1", HTTPClient: refusing{code, &asked}, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""), RetryMaxAttempts: 10})
		_, err := client.RequestCertificate(context.Background(), &acm.RequestCertificateInput{DomainName: aws.String("example.com")})
		took = time.Since(begun)
		t.Logf("%s after %d requests in %s: %v", code, asked, took.Round(time.Second), err)
	})
	return asked, took
}

func TestQuota(t *testing.T) {
	full, took := call(t, "LimitExceededException")
	other, _ := call(t, "InvalidParameterException")
	if full != 10 || took < 5*time.Second || other != 1 {
		t.Fatal("the behaviour has changed: ten requests for the full quota, and one for another error, were expected")
	}
}
GO
go get github.com/aws/aws-sdk-go-v2@v1.48.0 github.com/aws/aws-sdk-go-v2/service/acm@v1.51.4 github.com/aws/aws-sdk-go-v2/credentials@v1.21.0
go test -vet=off -v .
