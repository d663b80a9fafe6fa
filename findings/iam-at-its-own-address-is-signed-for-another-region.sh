#!/bin/sh
# AWS_ENDPOINT_URL_IAM is set to https://iam.amazonaws.com, the address that the SDK uses
# anyhow, and from then on IAM refuses each call: "Credential should be scoped to a valid region".
#
# Package:   github.com/aws/aws-sdk-go-v2/service/iam v1.65.0 and service/route53 v1.70.10
# Expected:  an endpoint of one's own, as a proxy's, changes where a request goes to.
# Behaviour: it changes what is signed, too. IAM, Route 53 and others have one address, which
#            takes signatures for us-east-1 only, and it is the SDK's rules for
#            addresses that say so. With an address of one's own they say nothing, and the
#            client's region is signed. It works in us-east-1, where it is tried, and not in
#            eu-west-1. A list of all services' endpoints, as one keeps it for a
#            network with a proxy or for several partitions, breaks those few. The
#            client needs us-east-1 as its Region then.
# Source:    endpoints.go of that version (SetSigV4SigningRegion in all rules but the one for
#            an Endpoint); https://github.com/hashicorp/terraform-provider-aws/issues/40319
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
	"os"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/route53"
)

var scope = regexp.MustCompile(`Credential=\w+/\d+/([^,]+)/aws4_request`)

// show takes the place of the network: it prints a request's address and what it is signed for.
type show struct{}

func (show) Do(r *http.Request) (*http.Response, error) {
	fmt.Println(r.URL.Scheme+"://"+r.URL.Host, "signed for", scope.FindStringSubmatch(r.Header.Get("Authorization"))[1])
	return nil, fmt.Errorf("no network")
}

func main() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(show{}), config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	iam.NewFromConfig(cfg).ListRoles(ctx, nil)
	route53.NewFromConfig(cfg).ListHostedZones(ctx, nil)
}
GO
go get github.com/aws/aws-sdk-go-v2/service/iam@v1.65.0 github.com/aws/aws-sdk-go-v2/service/route53@v1.70.10 github.com/aws/aws-sdk-go-v2/config@v1.33.18
go build -o try .
unset AWS_PROFILE AWS_ENDPOINT_URL AWS_DEFAULT_REGION AWS_CA_BUNDLE
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_REGION=eu-west-1 AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b
./try | tee seen
AWS_ENDPOINT_URL_IAM=https://iam.amazonaws.com AWS_ENDPOINT_URL_ROUTE_53=https://route53.amazonaws.com ./try | tee -a seen
diff seen - <<'WANT'
https://iam.amazonaws.com signed for us-east-1/iam
https://route53.amazonaws.com signed for us-east-1/route53
https://iam.amazonaws.com signed for eu-west-1/iam
https://route53.amazonaws.com signed for eu-west-1/route53
WANT
# Seen: the four lines above
