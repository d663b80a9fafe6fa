#!/bin/sh
# A container gets the account 012345678901 as "1.2345678901e+10" and the day 2026-11-16 as
# "2026-11-16 00:00:00 +0000 UTC", since they stand in a Compose file without quotes.
#
# Package:   github.com/compose-spec/compose-go/v2 v2.16.2, which "docker compose" reads with
# Expected:  an environment has strings only, so what stands there is what the container gets; or
#            at worst, as for 17.10, the number is written as short as it can be.
# Behaviour: YAML's numbers and days are decoded first, and then printed as Go prints values of
#            those kinds. A leading zero makes a number octal, or a float, where an 8 or a 9
#            is in it, as a commit that is digits around one "e" is; and a float of a million or
#            more is printed with an exponent. A day becomes a time. An account without
#            a leading zero, as nine of ten are, stays as it is, and so do "yes" and
#            22:30:00, which one was warned of. As items of a list all are strings. "docker
#            compose config" shows what came of them.
# Source:    mappingValue in types/mapping.go of that version (fmt.Sprint); the resolving of
#            scalars in go.yaml.in/yaml/v4
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > compose.yaml <<'YAML'
name: shop
services:
  map:
    image: web
    environment:
      ACCOUNT: 012345678901
      OTHER_ACCOUNT: 012345670123
      COMMIT: 8412e10
      RELEASED: 2026-11-16
      TIME: 22:30:00
  list:
    image: web
    environment:
      - ACCOUNT=012345678901
      - RELEASED=2026-11-16
YAML
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

func main() {
	project, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{ConfigFiles: types.ToConfigFiles([]string{"compose.yaml"})})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for _, name := range []string{"map", "list"} {
		environment := project.Services[name].Environment
		for _, key := range slices.Sorted(maps.Keys(environment)) {
			fmt.Printf("%s: %s is %q\n", name, key, *environment[key])
		}
	}
}
GO
go get github.com/compose-spec/compose-go/v2@v2.16.2
go run . | tee seen
diff seen - <<'WANT'
map: ACCOUNT is "1.2345678901e+10"
map: COMMIT is "8.412e+13"
map: OTHER_ACCOUNT is "1402433619"
map: RELEASED is "2026-11-16 00:00:00 +0000 UTC"
map: TIME is "22:30:00"
list: ACCOUNT is "012345678901"
list: RELEASED is "2026-11-16"
WANT
# Seen: the seven lines above
