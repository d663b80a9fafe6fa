#!/bin/sh
# A service reads a list in its query in another form than before, its clients get wrong
# answers, and the check for breaking changes between the two documents passes.
#
# Package:   github.com/oasdiff/oasdiff v1.38.0 on documents of
#            github.com/danielgtaylor/huma/v2 v2.37.2
# Expected:  "oasdiff breaking" finds what makes requests of an old client mean something
#            else: it has some hundred checks, down to dependentRequired.
# Behaviour: style and explode of a parameter, which say how a list is written, have none.
#            huma reads lists with commas, against OpenAPI's default. Who adds ",explode" to a
#            tag, because a generated client sends "?tag=a&tag=b", or moves the service
#            from another framework to huma, changes the form: "?tag=a,b" of an old
#            client now is one tag, which nothing has, and is answered with 200 and an
#            empty list; and the other way round one of two tags is dropped. "oasdiff diff"
#            shows it among all other differences.
# Source:    https://github.com/oasdiff/oasdiff/issues/1164, open; parseParamLocation ("we
#            disable explode by default") in huma.go of that version of huma;
#            https://spec.openapis.org/oas/v3.1.0#style-examples
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS=-mod=mod GOWORK=off
GOBIN="$dir" go install github.com/oasdiff/oasdiff@v1.38.0
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
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

type commas struct {
	Tags []string `query:"tag"`
}

type exploded struct {
	Tags []string `query:"tag,explode"`
}

type required struct {
	Tags []string `query:"tag" required:"true"`
}

func serve[in any](file string, tags func(*in) []string) {
	mux := http.NewServeMux()
	api := humago.New(mux, huma.DefaultConfig("books", "1"))
	huma.Get(api, "/books", func(_ context.Context, input *in) (*struct{ Body []string }, error) {
		return &struct{ Body []string }{tags(input)}, nil
	})
	document, err := api.OpenAPI().YAML()
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile(file+".yaml", document, 0o600); err != nil {
		panic(err)
	}
	for _, query := range []string{"tag=a,b", "tag=a&tag=b"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", "/books?"+query, nil))
		fmt.Printf("%s: %s is read as %s\n", file, query, strings.TrimSpace(w.Body.String()))
	}
}

func main() {
	serve("commas", func(in *commas) []string { return in.Tags })
	serve("exploded", func(in *exploded) []string { return in.Tags })
	serve("required", func(in *required) []string { return in.Tags })
}
GO
go get github.com/danielgtaylor/huma/v2@v2.37.2
go run . >seen
for after in exploded required; do
  if ./oasdiff breaking --fail-on WARN commas.yaml $after.yaml >said; then said=passes; else said="finds $(grep -o '\[.*\]' said)"; fi
  echo "oasdiff from commas to $after: $said" >>seen
done
cat seen
diff seen - <<'WANT'
commas: tag=a,b is read as ["a","b"]
commas: tag=a&tag=b is read as ["a"]
exploded: tag=a,b is read as ["a,b"]
exploded: tag=a&tag=b is read as ["a","b"]
required: tag=a,b is read as ["a","b"]
required: tag=a&tag=b is read as ["a"]
oasdiff from commas to exploded: passes
oasdiff from commas to required: finds [request-parameter-became-required]
WANT
# Seen: the eight lines above
