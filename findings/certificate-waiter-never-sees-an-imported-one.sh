#!/bin/sh
# A tool that takes the ARN of a certificate and waits until it can be used works for those
# that ACM issued, and waits in vain for an imported one, which has been in use for a year.
#
# Package:   github.com/aws/aws-sdk-go-v2/service/acm v1.51.5
# Expected:  a certificate with status ISSUED is one that the waiter was waiting for.
# Behaviour: CertificateValidated does not look at the status for success: it wants
#            SUCCESS in each of DomainValidationOptions, which ACM gives for
#            certificates of type AMAZON_ISSUED only. For an imported one, and
#            one of a private authority, it looks until the time is over, which is said as
#            "exceeded max wait time", as if ACM were slow. It knows one bad end, FAILED, and
#            waits on a certificate whose validation timed out, which comes to no other
#            end. All SDKs have it from one model. Read Type and Status first, and wait for
#            requested ones only.
# Source:    certificateValidatedStateRetryable in api_op_DescribeCertificate.go of that
#            version; https://docs.aws.amazon.com/acm/latest/APIReference/API_CertificateDetail.html
#            (DomainValidationOptions, Status)
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
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/acm"
)

// wait is for a certificate as described, for two seconds with a look every 100 ms.
func wait(certificate string) string {
	looks := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		looks++
		io.WriteString(w, `{"Certificate": `+certificate+`}`)
	}))
	defer server.Close()
	client := acm.New(acm.Options{Region: "eu-west-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	arn := "arn:aws:acm:eu-west-1:123456789012:certificate/1"
	err := acm.NewCertificateValidatedWaiter(client, func(o *acm.CertificateValidatedWaiterOptions) {
		o.MinDelay, o.MaxDelay = 100*time.Millisecond, 100*time.Millisecond
	}).Wait(context.Background(), &acm.DescribeCertificateInput{CertificateArn: &arn}, 2*time.Second)
	switch {
	case err == nil:
		return "validated"
	case looks > 10:
		return "waited until the end"
	default:
		return "failed at once"
	}
}

func main() {
	fmt.Println("requested and issued:", wait(`{"Type": "AMAZON_ISSUED", "Status": "ISSUED", "DomainValidationOptions": [{"DomainName": "a.example", "ValidationStatus": "SUCCESS"}]}`))
	fmt.Println("imported and issued:", wait(`{"Type": "IMPORTED", "Status": "ISSUED", "DomainName": "a.example"}`))
	fmt.Println("validation timed out:", wait(`{"Type": "AMAZON_ISSUED", "Status": "VALIDATION_TIMED_OUT", "DomainValidationOptions": [{"DomainName": "a.example", "ValidationStatus": "FAILED"}]}`))
	fmt.Println("validation failed:", wait(`{"Type": "AMAZON_ISSUED", "Status": "FAILED", "DomainValidationOptions": [{"DomainName": "a.example", "ValidationStatus": "FAILED"}]}`))
}
GO
go get github.com/aws/aws-sdk-go-v2/service/acm@v1.51.5 github.com/aws/aws-sdk-go-v2/credentials@v1.21.0
go run . | tee seen
diff seen - <<'WANT'
requested and issued: validated
imported and issued: waited until the end
validation timed out: waited until the end
validation failed: failed at once
WANT
# Seen: the four lines above
