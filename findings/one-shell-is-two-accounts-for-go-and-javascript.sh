#!/bin/sh
# In a shell with AWS_PROFILE and with keys, as after an export of temporary ones, a tool
# written in Go changes one account, and one written in JavaScript another.
#
# Package:   github.com/aws/aws-sdk-go-v2/config v1.33.18; @aws-sdk/client-sts 3.1177.0 (npm)
# Expected:  AWS's SDKs, which share their settings, take the same credentials from them.
# Behaviour: the SDK for Go, like boto3, takes AWS_ACCESS_KEY_ID before AWS_PROFILE and
#            says nothing. The SDK for JavaScript, and thus the AWS CDK, takes the profile
#            and warns. The region comes from the profile for both, so the resources of
#            the two lie side by side in the console's region, and not in one account. "aws
#            sts get-caller-identity" is on Go's side. A tool that prints the account
#            before it changes something shows it.
# Source:    config/resolve_credentials.go (resolveCredentialChain) of that version;
#            defaultProvider of @aws-sdk/credential-provider-node, whose warning says
#            that a future version may change it.
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund @aws-sdk/client-sts@3.1177.0
cat > try.mjs <<'JS'
import { STSClient } from "@aws-sdk/client-sts";
const { config } = new STSClient({});
console.log("JavaScript:", (await config.credentials()).accessKeyId, await config.region());
JS
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

	"github.com/aws/aws-sdk-go-v2/config"
)

func main() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		panic(err)
	}
	key, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println("Go:        ", key.AccessKeyID, cfg.Region)
}
GO
go get github.com/aws/aws-sdk-go-v2/config@v1.33.18
go build -o try .
printf '[profile staging]\nregion = eu-west-1\naws_access_key_id = AKIDOFTHEPROFILE\naws_secret_access_key = secret\n' > config
unset AWS_REGION AWS_DEFAULT_REGION AWS_SESSION_TOKEN
export AWS_CONFIG_FILE="$dir/config" AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
export AWS_PROFILE=staging AWS_ACCESS_KEY_ID=AKIDOFTHESHELL AWS_SECRET_ACCESS_KEY=secret
./try | tee seen
node try.mjs | tee -a seen
diff seen - <<'WANT'
Go:         AKIDOFTHESHELL eu-west-1
JavaScript: AKIDOFTHEPROFILE eu-west-1
WANT
# Seen: the two lines above
