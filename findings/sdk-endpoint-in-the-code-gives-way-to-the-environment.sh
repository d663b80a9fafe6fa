#!/bin/sh
# A program that is given a local endpoint in its code calls AWS all the same, on the
# machine of somebody whose environment says something about endpoints.
#
# Package:   github.com/aws/aws-sdk-go-v2 v1.48.0 with config v1.33.18, service/sts v1.52.0
# Expected:  what the code says wins over the environment, as for the region, the
#            credentials and the retries.
# Behaviour: there are three places for it in the code, and two of them give way, each to
#            another variable. config.WithBaseEndpoint loses to
#            AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true, which then sends the calls to AWS.
#            A BaseEndpoint that is set on the loaded aws.Config ignores that variable,
#            and loses to the service's own, as AWS_ENDPOINT_URL_STS, or its line in the
#            file of the profile. Only BaseEndpoint in the options of each client holds.
#            A test against a local emulator, or a tool with a "local" mode, may thus
#            change a real account.
# Source:    config/resolve.go (resolveBaseEndpoint) and service/sts/endpoints.go
#            (resolveBaseEndpoint) of those versions. The guide has the settings' order among
#            themselves: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
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
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// host is where a call goes whose endpoint was set in one of three ways. It is read from
// a signed address; nothing is sent.
func host(way string) string {
	local := "http://localhost:4566"
	load := []func(*config.LoadOptions) error{config.WithRegion("eu-west-1"), config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("a", "b", ""))}
	if way == "WithBaseEndpoint" {
		load = append(load, config.WithBaseEndpoint(local))
	}
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		panic(err)
	}
	if way == "aws.Config" {
		cfg.BaseEndpoint = &local
	}
	client := sts.NewFromConfig(cfg, func(o *sts.Options) {
		if way == "sts.Options" {
			o.BaseEndpoint = &local
		}
	})
	signed, err := sts.NewPresignClient(client).PresignGetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		panic(err)
	}
	u, err := url.Parse(signed.URL)
	if err != nil {
		panic(err)
	}
	return u.Host
}

func main() {
	for _, setting := range []string{"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true", "AWS_ENDPOINT_URL_STS=http://sts.example.com"} {
		os.Clearenv()
		name, value, _ := strings.Cut(setting, "=")
		os.Setenv(name, value)
		fmt.Println(setting)
		for _, way := range []string{"WithBaseEndpoint", "aws.Config", "sts.Options"} {
			fmt.Println(" ", way, "->", host(way))
		}
	}
}
GO
go get github.com/aws/aws-sdk-go-v2@v1.48.0 github.com/aws/aws-sdk-go-v2/config@v1.33.18 github.com/aws/aws-sdk-go-v2/service/sts@v1.52.0 github.com/aws/aws-sdk-go-v2/credentials@v1.21.0
go run . | tee seen
diff seen - <<'WANT'
AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true
  WithBaseEndpoint -> sts.eu-west-1.amazonaws.com
  aws.Config -> localhost:4566
  sts.Options -> localhost:4566
AWS_ENDPOINT_URL_STS=http://sts.example.com
  WithBaseEndpoint -> localhost:4566
  aws.Config -> sts.example.com
  sts.Options -> localhost:4566
WANT
# Seen: the eight lines above
