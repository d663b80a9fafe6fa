#!/bin/sh
# A program that reads one parameter by the AWS SDK for Go starts slower and is larger
# with a newer minor version of the same client, though it calls nothing else.
#
# Package:   github.com/aws/aws-sdk-go-v2/service/ssm v1.79.3 and v1.82.0
# Expected:  what belongs to other operations is left out by the linker, as the code of
#            other operations is, and nothing of the client runs before it is used.
# Behaviour: since "schema-based (de)serialization" (in 2026, service after service: ssm
#            v1.80.0, ecs v1.99.0, sts v1.52.0, …) a client has a package "schemas" whose
#            variables describe each operation and structure of the service, and whose
#            init functions fill them. These refer to each other, so the linker keeps
#            all, and each start of the program builds them on the heap: for ssm nearly
#            8,000 allocations, in a command that only prints its version, too. A program
#            of 15 such clients spent half of its start on them.
# Source:    the change logs of the modules ("Enable schema-based (de)serialization for
#            this service"); schemas/schemas.go of v1.82.0; GODEBUG=inittrace=1.
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS=-mod=mod GOWORK=off CGO_ENABLED=0
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

func main() {
	if len(os.Args) == 1 {
		return // before any client is made
	}
	out, err := ssm.New(ssm.Options{Region: "eu-west-1"}).GetParameter(context.Background(), &ssm.GetParameterInput{Name: &os.Args[1]})
	fmt.Println(out, err)
}
GO
for version in v1.79.3 v1.82.0; do
  printf 'module finding\n\ngo 1.26\n' > go.mod
  go get -v "github.com/aws/aws-sdk-go-v2/service/ssm@$version" 2> log || { cat log; exit 1; }
  go build -trimpath -ldflags '-s -w' -o "ssm-$version" .
  # A line is: init PACKAGE @START ms, TIME ms clock, BYTES bytes, ALLOCATIONS allocs
  GODEBUG=inittrace=1 "./ssm-$version" 2>&1 |
    awk -v version=$version -v size="$(wc -c < "ssm-$version")" '$1 == "init" && $2 ~ /service\/ssm\/schemas/ { bytes += $8; allocs += $10 }
      END { printf "%s %d allocations of %d bytes before main, program of %d bytes\n", version, allocs, bytes, size }' | tee -a seen
done
awk '{ allocs[NR] = $2; size[NR] = $(NF-1) } END { exit !(allocs[1] == 0 && allocs[2] > 5000 && size[2] > size[1]) }' seen || {
  echo "the behaviour has changed: nothing before main by the older version, and thousands of allocations by the newer, were expected"
  exit 1
}
# Seen: v1.79.3 0 allocations of 0 bytes before main, program of 7221410 bytes
#       v1.82.0 7882 allocations of 1431176 bytes before main, program of 8401058 bytes
