#!/bin/sh
# A call that AWS throttles until the caller's deadline fails with an error in which
# nothing says that it was throttled.
#
# Package:   github.com/aws/aws-sdk-go-v2 v1.48.0 with service/ecs v1.104.2
# Expected:  the error has the service's last answer in it, as that of a call which has
#            used its attempts, or its retry quota, has.
# Behaviour: a throttled call spends its time in the pauses between attempts. When the
#            context ends in one, the error of the attempt before it is replaced by
#            "request canceled, context deadline exceeded", in which errors.As finds no
#            smithy.APIError. It reads as if the service had not answered, and
#            sends one to look at the network. With a deadline that outlives the attempts
#            the same call names ThrottlingException. Only a middleware between the
#            retries and the call sees the answers: a failed call returns no metadata.
# Source:    handleAttempt in aws/retry/middleware.go of that version ("err =
#            &aws.RequestCanceledError{Err: reqErr}" after SleepWithContext).
# Seen:      10s: 5 answers; … request canceled, context deadline exceeded
#            10m0s: 10 answers; … api error ThrottlingException: Rate exceeded
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > throttled_test.go <<'GO'
package finding

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/smithy-go"
)

// busy is a service that throttles every request.
type busy struct{ asked *int }

func (b busy) Do(*http.Request) (*http.Response, error) {
	*b.asked++
	return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"__type":"ThrottlingException","message":"Rate exceeded"}`))}, nil
}

func call(t *testing.T, deadline time.Duration) (named bool) {
	synctest.Test(t, func(t *testing.T) { // its time passes at once
		asked := 0
		client := ecs.New(ecs.Options{Region: "eu-west-1", HTTPClient: busy{&asked}, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""), RetryMaxAttempts: 10})
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		_, err := client.DescribeServices(ctx, &ecs.DescribeServicesInput{Services: []string{"app"}})
		var answer smithy.APIError
		named = errors.As(err, &answer)
		t.Logf("%s: %d answers; %v", deadline, asked, err)
	})
	return named
}

func TestThrottled(t *testing.T) {
	if short, long := call(t, 10*time.Second), call(t, 10*time.Minute); short || !long {
		t.Fatal("the behaviour has changed: the throttling was expected to be named with the long deadline only")
	}
}
GO
go get github.com/aws/aws-sdk-go-v2@v1.48.0 github.com/aws/aws-sdk-go-v2/service/ecs@v1.104.2 github.com/aws/aws-sdk-go-v2/credentials@v1.21.0
go test -vet=off -v .
