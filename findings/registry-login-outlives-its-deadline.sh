#!/bin/sh
# A deadline does not bound the search for a registry's login.
#
# Package:   github.com/google/go-containerregistry v0.22.1, pkg/authn
# Expected:  authn.Resolve(ctx, authn.DefaultKeychain, registry) returns when ctx ends.
# Behaviour: the context is not looked at. A credential helper of Docker's that waits for
#            a person (for a pass phrase, for a browser) is waited for until it ends, and
#            a lock that is held meanwhile lets every other search of the process wait as
#            well, also for registries that have no helper.
# Source:    pkg/authn/keychain.go of that version: ResolveContext names its context "_".
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS=-mod=mod GOWORK=off
mkdir bin docker
printf '{"credHelpers":{"slow.example.com":"slow"}}' > docker/config.json
printf '#!/bin/sh\ncat > /dev/null\nsleep 4\nprintf %%s '"'"'{"Username":"a","Secret":"b"}'"'"'\n' > bin/docker-credential-slow
chmod +x bin/docker-credential-slow
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

func search(registry string, limit time.Duration) time.Duration {
	r, err := name.NewRegistry(registry)
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	begun := time.Now()
	if _, err := authn.Resolve(ctx, authn.DefaultKeychain, r); err != nil {
		fmt.Println(err)
	}
	return time.Since(begun)
}

func main() {
	done := make(chan time.Duration)
	go func() { done <- search("slow.example.com", 200*time.Millisecond) }()
	time.Sleep(100 * time.Millisecond)
	other := search("other.example.com", 200*time.Millisecond)
	slow := <-done
	fmt.Printf("with 0.2 s for each: %.1f s for a helper that takes 4 s, %.1f s for a registry without one\n", slow.Seconds(), other.Seconds())
	if slow < 3*time.Second || other < 3*time.Second {
		fmt.Println("the behaviour has changed: both were expected to take as long as the helper")
		os.Exit(1)
	}
}
GO
go get github.com/google/go-containerregistry@v0.22.1
HOME="$dir" DOCKER_CONFIG="$dir/docker" PATH="$dir/bin:$PATH" GOCACHE="$(go env GOCACHE)" go run .
# Seen: with 0.2 s for each: 4.0 s for a helper that takes 4 s, 3.9 s for a registry without one
