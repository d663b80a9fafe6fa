#!/bin/sh
# The same profile with a role gives credentials for an hour in JavaScript, and for a
# quarter of an hour in Go, which asks for the code of an MFA device each time.
#
# Package:   github.com/aws/aws-sdk-go-v2/config v1.33.18 beside @aws-sdk/credential-providers 3.1175.0
# Expected:  role_arn, source_profile and mfa_serial without duration_seconds mean the same
#            in each of AWS's own SDKs: STS's default of 3600 s.
# Behaviour: the SDK for JavaScript sends DurationSeconds=3600. That for Go sends 900, and
#            calls TokenProvider again when they are over: a program that runs longer asks
#            for a code in the middle of its work, or fails where nobody is.
#            AssumeRoleOptions.Duration, set in WithAssumeRoleCredentialOptions if it is 0,
#            changes that; a duration_seconds of the profile is there already.
# Source:    AssumeRoleOptions.Duration ("Defaults to 15 minutes if not set") in stscreds of
#            that version; https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
# Seen:      sent by Go and JavaScript: ["900" "3600"]
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
npm install --silent --no-save --no-audit --no-fund --ignore-scripts @aws-sdk/credential-providers@3.1175.0
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > profile <<'INI'
[profile base]
aws_access_key_id = a
aws_secret_access_key = b
[profile app]
role_arn = arn:aws:iam::111122223333:role/deploy
source_profile = base
mfa_serial = arn:aws:iam::111122223333:mfa/someone
region = eu-west-1
INI
cat > role.mjs <<'JS'
import { fromIni } from "@aws-sdk/credential-providers"

await fromIni({ profile: "app", mfaCodeProvider: async () => "123456" })()
JS
cat > role_test.go <<'GO'
package finding

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
)

func TestRole(t *testing.T) {
	var sent []string
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("TokenCode") != "123456" {
			t.Errorf("the code is %q", r.FormValue("TokenCode"))
		}
		sent = append(sent, r.FormValue("DurationSeconds"))
		fmt.Fprintf(w, `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>c</AccessKeyId><SecretAccessKey>d</SecretAccessKey><SessionToken>e</SessionToken><Expiration>%s</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::111122223333:assumed-role/deploy/x</Arn><AssumedRoleId>f:x</AssumedRoleId></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>`,
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	defer sts.Close()
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	t.Setenv("AWS_CONFIG_FILE", "profile")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "none")
	for _, name := range []string{"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		t.Setenv(name, "")
		os.Unsetenv(name)
	}
	cfg, err := config.LoadDefaultConfig(context.Background(), config.WithSharedConfigProfile("app"),
		config.WithAssumeRoleCredentialOptions(func(o *stscreds.AssumeRoleOptions) {
			o.TokenProvider = func() (string, error) { return "123456", nil }
		}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cfg.Credentials.Retrieve(context.Background()); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("node", "role.mjs").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("sent by Go and JavaScript: %q", sent)
	if len(sent) != 2 || sent[0] != "900" || sent[1] != "3600" {
		t.Fatal("the behaviour has changed: 900 was expected of Go, and 3600 of JavaScript")
	}
}
GO
go get github.com/aws/aws-sdk-go-v2@v1.48.0 github.com/aws/aws-sdk-go-v2/config@v1.33.18 github.com/aws/aws-sdk-go-v2/credentials@v1.21.0
go test -vet=off -v .
