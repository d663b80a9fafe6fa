#!/bin/sh
# A service adds a field to an answer, and the check for breaking changes passes. Clients that
# validate by the document which they were built with refuse each answer from then on.
#
# Package:   github.com/danielgtaylor/huma/v2 v2.37.2, github.com/oasdiff/oasdiff v1.38.0, and
#            ajv 8.20.0 (npm)
# Expected:  a field more in an answer is what every client has to bear, and a document that's made
#            of Go's types says nothing about fields that are yet to come.
# Behaviour: huma writes "additionalProperties: false" for each struct, so that a request with a
#            field too many is refused, and has the same schema for answers, of which it
#            then says that there will never be another field. The check takes a new field of an
#            answer for harmless, and does not look whether the old document rules it
#            out. While old and new replicas answer in turn, such a client fails now and
#            then. Types of answers need "_ struct{}" with the tag additionalProperties:"true" (then
#            they can't be made without names of fields), before the first client is built.
# Source:    schemaFromType in schema.go of that version of huma;
#            https://json-schema.org/draft/2020-12/json-schema-core#name-additionalproperties
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund ajv@8.20.0
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
GOBIN="$dir" go install github.com/oasdiff/oasdiff@v1.38.0
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

type book struct {
	Title string `json:"title"`
}

type bookWithPages struct {
	Title string `json:"title"`
	Pages int    `json:"pages"`
}

type openBook struct {
	_     struct{} `additionalProperties:"true"`
	Title string   `json:"title"`
}

// serve writes a version's document and what it answers, of which the type's name is the same in each.
func serve[T any](version string, answer T) {
	mux := http.NewServeMux()
	config := huma.DefaultConfig("books", "1")
	config.CreateHooks = nil // no $schema in answers, so that there's nothing but the field
	api := humago.New(mux, config)
	huma.Get(api, "/book", func(context.Context, *struct{}) (*struct{ Body T }, error) { return &struct{ Body T }{answer}, nil })
	document, err := api.OpenAPI().MarshalJSON()
	if err != nil {
		panic(err)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/book", nil))
	for name, data := range map[string][]byte{version + ".json": document, version + ".answer": w.Body.Bytes()} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			panic(err)
		}
	}
}

func main() {
	serve("old", book{"Go primer"})
	serve("new", bookWithPages{"Go primer", 300})
	serve("open", openBook{Title: "Go primer"})
}
GO
go get github.com/danielgtaylor/huma/v2@v2.37.2
go run .
{
  for before in old open; do
    ./oasdiff breaking --fail-on WARN $before.json new.json >said && echo "from $before to new: no breaking change" || { echo "from $before to new:"; cat said; }
  done
  node -e '
const fs = require("fs"), Ajv = require("ajv/dist/2020")
for (const [document, answer] of [["old", "old"], ["old", "new"], ["open", "new"]]) {
  const { components, paths } = JSON.parse(fs.readFileSync(document + ".json"))
  const schema = { ...paths["/book"].get.responses[200].content["application/json"].schema, components }
  const valid = new Ajv({ strict: false, validateFormats: false }).compile(schema)
  const ok = valid(JSON.parse(fs.readFileSync(answer + ".answer")))
  console.log(`a client of ${document}, an answer of ${answer}:`, ok ? "valid" : valid.errors[0].message)
}'
} | tee seen
diff seen - <<'WANT'
from old to new: no breaking change
from open to new: no breaking change
a client of old, an answer of old: valid
a client of old, an answer of new: must NOT have additional properties
a client of open, an answer of new: valid
WANT
# Seen: the five lines above
