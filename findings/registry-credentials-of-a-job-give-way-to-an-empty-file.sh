#!/bin/sh
# A job gets its registry's credentials by REGISTRY_AUTH_FILE, podman and skopeo push with
# them, and a tool written in Go pushes as nobody, or as somebody else.
#
# Package:   github.com/google/go-containerregistry v0.22.1, as in crane and ko
# Expected:  a variable that somebody set for this job wins over a file in the home
#            directory, as DOCKER_CONFIG does, and as for skopeo and podman, which it is from.
# Behaviour: authn.DefaultKeychain looks at REGISTRY_AUTH_FILE only if there is no
#            ~/.docker/config.json. Whether that has something about the registry is not
#            asked: with a file that only sets a proxy or a plugin's option, which one command
#            of Docker's CLI leaves behind, the push is anonymous (401 in spite of
#            credentials); with an old login it is somebody else's. So a job works on a
#            new machine, and not on one that has been in use. Writing the same file as
#            config.json into a directory, with DOCKER_CONFIG set to it, holds.
# Source:    defaultKeychain.ResolveContext in pkg/authn/keychain.go of that version;
#            https://github.com/google/go-containerregistry/pull/1185 (why in this order);
#            "REGISTRY_AUTH_FILE" in
#            https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md
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
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

func main() {
	registry, err := name.NewRegistry("registry.example.com")
	if err != nil {
		panic(err)
	}
	auth, err := authn.DefaultKeychain.Resolve(registry)
	if err != nil {
		panic(err)
	}
	config, err := auth.Authorization()
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s: %q\n", os.Args[1], config.Username)
}
GO
go get github.com/google/go-containerregistry@v0.22.1
go build -o try .
auth() { printf '{"auths": {"registry.example.com": {"auth": "%s"}}}' "$(printf %s "$1:secret" | base64)"; }
export HOME="$dir/home" REGISTRY_AUTH_FILE="$dir/job.json"
unset DOCKER_CONFIG XDG_RUNTIME_DIR XDG_CONFIG_HOME
mkdir -p home/.docker job
auth job >job.json
auth job >job/config.json
{
  ./try "on a new machine"
  echo '{"psFormat": "table {{.Names}}"}' >home/.docker/config.json
  ./try "with a file for how ps looks"
  auth someone >home/.docker/config.json
  ./try "with an old login"
  DOCKER_CONFIG=$dir/job ./try "by DOCKER_CONFIG"
} >seen
cat seen
diff seen - <<'WANT'
on a new machine: "job"
with a file for how ps looks: ""
with an old login: "someone"
by DOCKER_CONFIG: "job"
WANT
# Seen: the four lines above
