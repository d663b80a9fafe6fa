#!/bin/sh
# When the endpoint for the credentials of tasks fails, a Go service on ECS can't call AWS for the
# last five minutes of the credentials that it has; on EC2, or in JavaScript, it can.
#
# Package:   github.com/aws/aws-sdk-go-v2/config v1.33.19; @aws-sdk/client-sts 3.1177.0 (npm)
# Expected:  to ask five minutes early gives five minutes in which asking may fail, with the
#            credentials that still are valid.
# Behaviour: config sets the cache of an ECS task's credentials to take them for expired five
#            minutes early, and when asking fails then, each call fails, with valid
#            credentials in memory, after three requests to the endpoint. The
#            provider for EC2 keeps what it has in that case, even expired. In
#            JavaScript the task uses what it has while it asks again. So what is planned as
#            reserve is an outage, and a service that rode it out on EC2 does not on
#            Fargate. And an endpoint whose credentials last five minutes or less, as one
#            for tests, is asked for each single request.
# Source:    resolveHTTPCredProvider in config/resolve_credentials.go (ExpiryWindow);
#            singleRetrieve in aws/credential_cache.go, and HandleFailToRefresh, which
#            credentials/ec2rolecreds has and credentials/endpointcreds has not
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund @aws-sdk/client-sts@3.1177.0
cat > try.mjs <<'JS'
import { STSClient } from "@aws-sdk/client-sts";
const { config } = new STSClient({ region: "eu-west-1" });
for (let i = 0; i < 3; i++) {
  await config.credentials().then(() => console.log("ok"), () => console.log("error"));
}
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
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
)

func main() {
	if len(os.Args) > 1 {
		client()
		return
	}
	for _, c := range []struct {
		name, variable, path string
		command              []string
	}{
		{"Go on ECS", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "/task", []string{os.Args[0], "client"}},
		{"Go on EC2", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "", []string{os.Args[0], "client"}},
		{"JavaScript on ECS", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "/task", []string{"node", "try.mjs"}},
	} {
		server := endpoint()
		command := exec.Command(c.command[0], c.command[1:]...)
		command.Env = append(os.Environ(), c.variable+"="+server.URL+c.path)
		out, err := command.Output()
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s: %s\n", c.name, strings.Join(strings.Fields(string(out)), " "))
		server.Close()
	}
}

// endpoint gives credentials for four minutes once, and fails from then on.
func endpoint() *httptest.Server {
	var given atomic.Bool
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
			fmt.Fprint(w, "token")
		case "/latest/meta-data/iam/security-credentials/", "/latest/meta-data/iam/security-credentials-extended/":
			fmt.Fprint(w, "role")
		default:
			if given.Swap(true) {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"Code": "Success", "AccessKeyId": "AKIDOFTHEROLE", "SecretAccessKey": "secret", "Token": "token", "Expiration": "%s"}`,
				time.Now().Add(4*time.Minute).UTC().Format(time.RFC3339))
		}
	}))
}

func client() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion("eu-west-1"))
	if err != nil {
		panic(err)
	}
	for range 3 {
		if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
			fmt.Println("error")
			continue
		}
		fmt.Println("ok")
	}
}
GO
go get github.com/aws/aws-sdk-go-v2/config@v1.33.19
go build -o try .
unset AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_WEB_IDENTITY_TOKEN_FILE AWS_CONTAINER_CREDENTIALS_RELATIVE_URI AWS_EC2_METADATA_DISABLED
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null NODE_NO_WARNINGS=1
./try | tee seen
diff seen - <<'WANT'
Go on ECS: ok error error
Go on EC2: ok ok ok
JavaScript on ECS: ok ok ok
WANT
# Seen: the three lines above
