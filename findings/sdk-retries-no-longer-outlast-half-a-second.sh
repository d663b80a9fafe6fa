#!/bin/sh
# After an update of the AWS SDK by a minor version, a deploy that lived through a restarted
# proxy or a second of "503" fails at once, with as many attempts as before.
#
# Package:   github.com/aws/aws-sdk-go-v2 v1.48.0 (and v1.47.8 before it)
# Expected:  three attempts, which is the default, are spread over a time in which a fault may
#            pass: they had pauses of up to two seconds, then up to four.
# Behaviour: since November 2026 "Retry Behavior 2.1" is the default. After 500, 503 or a
#            connection that was refused the first pause is at most 50 ms, and each further one
#            at most twice that: all three attempts are over in 150 ms, and ten of them,
#            which somebody set to be patient, in 26 seconds at most instead of 130. The
#            pauses after a throttled call are halved, too, although the announcement calls them
#            unchanged: the exponent began at one before. There is no switch back;
#            StandardOptions.BaseDelay of retry.NewStandard sets the pause after a fault.
# Source:    aws/retry/standard.go and jitter_backoff.go of both versions;
#            https://github.com/aws/aws-sdk-go-v2/issues/3416
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
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// longest is the longest of many pauses, which are drawn by lot, after that attempt.
func longest(attempt, status int, code string) (longest time.Duration) {
	retryer := retry.NewStandard()
	err := error(&smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}},
		Err:      &smithy.GenericAPIError{Code: code},
	})
	if !retryer.IsErrorRetryable(err) {
		panic("not retried")
	}
	for range 20000 {
		pause, err := retryer.RetryDelay(attempt, err)
		if err != nil {
			panic(err)
		}
		longest = max(longest, pause)
	}
	return longest.Round(10 * time.Millisecond)
}

func main() {
	fmt.Println("503 unavailable:", longest(1, 503, "ServiceUnavailable"), longest(2, 503, "ServiceUnavailable"))
	fmt.Println("400 throttled:  ", longest(1, 400, "ThrottlingException"), longest(2, 400, "ThrottlingException"))
}
GO
for version in v1.47.8 v1.48.0; do
	go get github.com/aws/aws-sdk-go-v2@$version 2> /dev/null
	echo "$version"
	go run .
done | tee seen
diff seen - <<'WANT'
v1.47.8
503 unavailable: 2s 4s
400 throttled:   2s 4s
v1.48.0
503 unavailable: 50ms 100ms
400 throttled:   1s 2s
WANT
# Seen: the six lines above
