#!/bin/sh
# A client clears a field by a PATCH with null. Since it writes by Go's new package for JSON it
# sends {}, and the field stays as it was.
#
# Package:   github.com/oapi-codegen/nullable v1.2.0, the type of oapi-codegen for what may be null
#            or left out, and github.com/go-json-experiment/json v1.27.2, which is the
#            encoding/json/v2 of Go 1.27
# Expected:  a type with a MarshalJSON of its own gives the same JSON in both packages.
# Behaviour: the type is a map, in which one key means null and no key "not given". It relies on
#            omitempty, as its README says. For the old package a map without keys is
#            empty; for the new one what MarshalJSON made of it, if that is null, "", {} or
#            []. So neither null nor "" is sent, the two that clear a field, while
#            values are. Reading is unchanged: a test that reads what the old package
#            wrote passes. The tag omitzero is right with both.
# Source:    MarshalJSON in nullable.go of that version, and its README; "omitempty" at
#            https://pkg.go.dev/github.com/go-json-experiment/json#Marshal
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
	v1 "encoding/json"
	"fmt"

	v2 "github.com/go-json-experiment/json"
	"github.com/oapi-codegen/nullable"
)

type text = nullable.Nullable[string]

type patch struct {
	Title text `json:"title,omitempty"`
	Note  text `json:"note,omitempty"`
	Due   text `json:"due,omitempty"`
}

type patchByZero struct {
	Title text `json:"title,omitzero"`
	Note  text `json:"note,omitzero"`
	Due   text `json:"due,omitzero"`
}

func main() {
	set, empty, null := nullable.NewNullableWithValue("Go primer"), nullable.NewNullableWithValue(""), nullable.NewNullNullable[string]()
	for _, p := range []patch{{Title: set}, {Note: empty}, {Due: null}} {
		for _, value := range []any{p, patchByZero(p)} {
			before, err := v1.Marshal(value)
			if err != nil {
				panic(err)
			}
			after, err := v2.Marshal(value)
			if err != nil {
				panic(err)
			}
			fmt.Printf("%T: %s, by the new package: %s\n", value, before, after)
		}
	}
	var read patch
	err := v2.Unmarshal([]byte(`{"note":"","due":null}`), &read)
	fmt.Printf("read by the new package: not given: %t, \"\": %t, null: %t, %v\n", !read.Title.IsSpecified(), read.Note.GetOrEmpty() == "" && !read.Note.IsNull(), read.Due.IsNull(), err)
}
GO
go get github.com/oapi-codegen/nullable@v1.2.0 github.com/go-json-experiment/json@v1.27.2
go run . | tee seen
diff seen - <<'WANT'
main.patch: {"title":"Go primer"}, by the new package: {"title":"Go primer"}
main.patchByZero: {"title":"Go primer"}, by the new package: {"title":"Go primer"}
main.patch: {"note":""}, by the new package: {}
main.patchByZero: {"note":""}, by the new package: {"note":""}
main.patch: {"due":null}, by the new package: {}
main.patchByZero: {"due":null}, by the new package: {"due":null}
read by the new package: not given: true, "": true, null: true, <nil>
WANT
# Seen: the seven lines above
