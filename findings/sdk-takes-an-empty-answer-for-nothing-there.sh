#!/bin/sh
# An answer without a body, as a proxy in between may give it, is read as "there are no
# load balancers", without an error.
#
# Package:   github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2 v1.63.9
# Expected:  DescribeLoadBalancers fails when the answer has no document in it.
# Behaviour: the reader of XML answers takes the end of the input at once for an output
#            with all members unset. A program that deletes what it does not find, or makes
#            what is not there, takes that for the truth; it has to look whether members that
#            the service always sends are nil.
# Source:    service/elasticloadbalancingv2/deserializers.go of that version (io.EOF of
#            FetchRootElement ends without an error), and the same in the other XML services.
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

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

func main() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
	}))
	defer server.Close()
	client := elb.New(elb.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
		}),
	})
	out, err := client.DescribeLoadBalancers(context.Background(), &elb.DescribeLoadBalancersInput{})
	if err != nil {
		fmt.Println("the behaviour has changed: no error was expected, and it was:", err)
		os.Exit(1)
	}
	fmt.Printf("no error, and the load balancers are nil: %t\n", out.LoadBalancers == nil)
	if out.LoadBalancers != nil {
		os.Exit(1)
	}
}
GO
go get github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2@v1.63.9
go run .
# Seen: no error, and the load balancers are nil: true
