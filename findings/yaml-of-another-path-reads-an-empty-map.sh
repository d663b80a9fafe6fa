#!/bin/sh
# A program moves from gopkg.in/yaml.v3, which is archived, to the same code at its new
# path, and a map from a third module is read as empty and written as something else.
#
# Package:   go.yaml.in/yaml/v3 v3.0.5, go.yaml.in/yaml/v4 v4.0.0 and gopkg.in/yaml.v3 v3.0.1,
#            with the ordered map of github.com/wk8/go-ordered-map/v2 v2.1.8
# Expected:  the new path is the old code, so that changing the import is enough, or does
#            not compile.
# Behaviour: a type that reads and writes itself has methods with yaml.Node in them, which
#            is another type at each path. The interface is asked for at run time, and the
#            types of all modules that still import the old path do not have it.
#            v3 then reads such a type by its fields, of which an ordered map has no
#            exported one: no error, and nothing in it. Written by v3 or v4, it becomes
#            the nodes themselves ("kind: 4", "style: 0", …). v4 sees the
#            old method when it reads, and refuses; when it writes, it doesn't.
# Source:    prepare in decode.go and marshal in encode.go of v3;
#            https://pkg.go.dev/github.com/wk8/go-ordered-map/v2#OrderedMap.UnmarshalYAML
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"fmt"
	"strings"

	orderedmap "github.com/wk8/go-ordered-map/v2"
	yaml3 "go.yaml.in/yaml/v3"
	yaml4 "go.yaml.in/yaml/v4"
	old "gopkg.in/yaml.v3"
)

const document = "web: 80\ndb: 5432\n"

func try(path string, read func([]byte, any) error, write func(any) ([]byte, error)) {
	ports := orderedmap.New[string, int]()
	entries := "an error"
	if err := read([]byte(document), ports); err == nil {
		entries = fmt.Sprint(ports.Len(), " entries")
	}
	ports = orderedmap.New[string, int]()
	ports.Set("web", 80)
	ports.Set("db", 5432)
	text, err := write(ports)
	first, _, _ := strings.Cut(string(text), "\n")
	fmt.Printf("%s: read as %s; written as it was read: %t, %q, error: %t\n", path, entries, string(text) == document, first, err != nil)
}

func main() {
	try("gopkg.in/yaml.v3", old.Unmarshal, old.Marshal)
	try("go.yaml.in/yaml/v3", yaml3.Unmarshal, yaml3.Marshal)
	try("go.yaml.in/yaml/v4", yaml4.Unmarshal, yaml4.Marshal)
}
GO
go get go.yaml.in/yaml/v3@v3.0.5 go.yaml.in/yaml/v4@v4.0.0 gopkg.in/yaml.v3@v3.0.1 github.com/wk8/go-ordered-map/v2@v2.1.8
go run . | tee seen
diff seen - <<'WANT'
gopkg.in/yaml.v3: read as 2 entries; written as it was read: true, "web: 80", error: false
go.yaml.in/yaml/v3: read as 0 entries; written as it was read: false, "kind: 4", error: false
go.yaml.in/yaml/v4: read as an error; written as it was read: false, "kind: 4", error: false
WANT
# Seen: the three lines above
