#!/bin/sh
# A runner pulls with the keys of a role that may only pull, then pushes with those of one that
# may push, and the push is denied to the role that pulls, for six hours.
#
# Package:   github.com/awslabs/amazon-ecr-credential-helper/ecr-login v0.13.0 and v0.12.0
# Expected:  Docker's helper for ECR asks for a token with the keys that are set, as "aws ecr
#            get-login-password" does; a token has the permissions of who asked for it.
# Behaviour: it keeps tokens in a file, since v0.13.0 of November 2026 by region and account,
#            where it was by access key before. For keys from the environment, as those
#            that a pipeline exports, the SDK knows no account, and all such keys
#            share one entry per registry; two roles of one account share it anyway. Half
#            of a token's life long the first to ask decides who everybody is, and
#            the error names a role that this step does not use. AWS_ECR_DISABLE_CACHE=1, or
#            another AWS_ECR_CACHE_DIR for each role, parts them.
# Source:    credentialsCachePrefix in cache/build.go of both versions;
#            https://github.com/awslabs/amazon-ecr-credential-helper/pull/1109
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
for version in 0.12.0 0.13.0; do
	GOBIN="$dir/$version" go install github.com/awslabs/amazon-ecr-credential-helper/ecr-login/cli/docker-credential-ecr-login@v$version
done
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

const registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"

func main() {
	key := regexp.MustCompile(`Credential=(\w+)/`)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := "AWS:token-of-" + key.FindStringSubmatch(r.Header.Get("Authorization"))[1]
		json.NewEncoder(w).Encode(map[string]any{"authorizationData": []any{map[string]any{
			"authorizationToken": base64.StdEncoding.EncodeToString([]byte(token)),
			"expiresAt":          time.Now().Add(12 * time.Hour).Unix(), "proxyEndpoint": "https://" + registry}}})
	}))
	defer server.Close()
	for _, version := range []string{"0.12.0", "0.13.0"} {
		for _, role := range []string{"PULLS", "PUSHES"} {
			helper := exec.Command("./"+version+"/docker-credential-ecr-login", "get")
			helper.Stdin, helper.Stderr = strings.NewReader(registry), os.Stderr
			helper.Env = []string{"HOME=" + os.Args[1], "AWS_ECR_CACHE_DIR=" + os.Args[1] + "/cache-" + version, "AWS_ENDPOINT_URL_ECR=" + server.URL,
				"AWS_ACCESS_KEY_ID=" + role, "AWS_SECRET_ACCESS_KEY=secret", "AWS_EC2_METADATA_DISABLED=true"}
			out, err := helper.Output()
			var answer struct{ Secret string }
			if err != nil || json.Unmarshal(out, &answer) != nil {
				panic(fmt.Sprint(err, string(out)))
			}
			fmt.Printf("%s with the keys of %s: %s\n", version, role, answer.Secret)
		}
	}
}
GO
go run . "$dir" | tee seen
diff seen - <<'WANT'
0.12.0 with the keys of PULLS: token-of-PULLS
0.12.0 with the keys of PUSHES: token-of-PUSHES
0.13.0 with the keys of PULLS: token-of-PULLS
0.13.0 with the keys of PUSHES: token-of-PULLS
WANT
# Seen: the four lines above
