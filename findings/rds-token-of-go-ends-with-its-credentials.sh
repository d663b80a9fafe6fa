#!/bin/sh
# A pool keeps its login token for RDS, which is valid for a quarter of an hour, for ten
# minutes. Now and then all new connections are refused if the token was made in Go.
#
# Package:   github.com/aws/aws-sdk-go-v2/feature/rds/auth v1.7.12 with config v1.33.19;
#            @aws-sdk/rds-signer 3.1175.0 (npm)
# Expected:  a token that says X-Amz-Expires=900 is good for 900 seconds, as RDS documents.
# Behaviour: a token ends with the credentials that signed it, and a task's are replaced
#            a few minutes before they end. The signer for JavaScript, since May 2026, asks
#            for others when they have less than a quarter of an hour left, and signs by
#            those. BuildAuthToken takes what the cache has, so that each time before the
#            credentials change there are tokens that end sooner, and nothing in them says
#            when. What one has learnt of JavaScript's is wrong in Go. A token for
#            each connection (BeforeConnect of pgx) is safe, or one that is kept no
#            longer than Credentials.Expires.
# Source:    BuildAuthToken in connect.go of that version and
#            https://github.com/aws/aws-sdk-go-v2/issues/2724, which is open;
#            https://github.com/aws/aws-sdk-js-v3/issues/8047, by which the other changed
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund @aws-sdk/rds-signer@3.1175.0
cat > try.mjs <<'JS'
import { Signer } from "@aws-sdk/rds-signer";
const signer = new Signer({ hostname: "shop.example.com", port: 5432, region: "eu-west-1", username: "app" });
await signer.getAuthToken();
console.log(await signer.getAuthToken());
process.exit(0);
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
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	if len(os.Args) > 1 {
		ctx := context.Background()
		cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion("eu-west-1"))
		check(err)
		for range 2 {
			token, err := auth.BuildAuthToken(ctx, "shop.example.com:5432", "eu-west-1", "app", cfg.Credentials)
			check(err)
			fmt.Println(token)
		}
		return
	}
	for _, command := range []*exec.Cmd{exec.Command(os.Args[0], "client"), exec.Command("node", "try.mjs")} {
		// The endpoint has credentials that end in six minutes, and then ones for six hours.
		lives := []time.Duration{6 * time.Minute, 6 * time.Hour}
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			life := lives[min(asked, 1)]
			asked++
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"AccessKeyId": "AKIDFOR%s", "SecretAccessKey": "secret", "Token": "token", "Expiration": "%s"}`,
				strings.ToUpper(life.String()), time.Now().Add(life).UTC().Format(time.RFC3339))
		}))
		command.Env = append(os.Environ(), "AWS_CONTAINER_CREDENTIALS_FULL_URI="+server.URL+"/task")
		command.Stderr = os.Stderr
		out, err := command.Output()
		check(err)
		lines := strings.Fields(string(out))
		token, err := url.Parse("https://" + lines[len(lines)-1])
		check(err)
		key, _, _ := strings.Cut(token.Query().Get("X-Amz-Credential"), "/")
		name := "Go"
		if command.Args[0] == "node" {
			name = "JavaScript"
		}
		fmt.Printf("%s: the token is for %s s and signed by %s\n", name, token.Query().Get("X-Amz-Expires"), key)
		server.Close()
	}
}
GO
go get github.com/aws/aws-sdk-go-v2/config@v1.33.19 github.com/aws/aws-sdk-go-v2/feature/rds/auth@v1.7.12
go build -o try .
unset AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_WEB_IDENTITY_TOKEN_FILE AWS_CONTAINER_CREDENTIALS_RELATIVE_URI
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true NODE_NO_WARNINGS=1
./try | tee seen
diff seen - <<'WANT'
Go: the token is for 900 s and signed by AKIDFOR6M0S
JavaScript: the token is for 900 s and signed by AKIDFOR6H0M0S
WANT
# Seen: the two lines above
