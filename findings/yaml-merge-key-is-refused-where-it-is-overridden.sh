#!/bin/sh
# A YAML document that overrides a merged key, which is what merge keys are for, is read
# into a map and refused into a struct.
#
# Package:   github.com/goccy/go-yaml v1.19.2
# Expected:  keys of the mapping itself win over those that "<<" brings.
# Behaviour: a map target gets the overriding value; a struct target fails with
#            `duplicate key`.
# Source:    https://yaml.org/type/merge.html: a key of the mapping itself stays; decode.go
#            of that version.
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
	"strings"

	"github.com/goccy/go-yaml"
)

const document = `
base: &base
  count: 1
  port: 80
staging:
  <<: *base
  count: 2
`

type stack struct {
	Count int `yaml:"count"`
	Port  int `yaml:"port"`
}

func main() {
	var loose map[string]map[string]int
	looseErr := yaml.Unmarshal([]byte(document), &loose)
	var strict struct{ Base, Staging stack }
	strictErr := yaml.Unmarshal([]byte(document), &strict)
	first, _, _ := strings.Cut(fmt.Sprint(strictErr), "\n")
	fmt.Printf("into maps: %v, %v\ninto structs: %s\n", loose["staging"], looseErr, first)
	if looseErr != nil || loose["staging"]["count"] != 2 || strictErr == nil {
		fmt.Println("the behaviour has changed: 2 in the map, and an error for the struct, were expected")
		os.Exit(1)
	}
}
GO
go get github.com/goccy/go-yaml@v1.19.2
go run .
# Seen: into maps: map[count:2 port:80], <nil>
#       into structs: [7:3] duplicate key "count"
