#!/bin/sh
# chi decodes a path parameter for some requests and leaves it encoded for others.
#
# Package:   github.com/go-chi/chi/v5 v5.2.3
# Expected:  chi.URLParam is decoded, or is not, whatever the other characters are.
# Behaviour: chi matches against URL.RawPath where net/url sets that, which it does only
#            when the client's encoding is not the one that Go would choose itself. So
#            a title of "Go primer" arrives decoded, and "C++ primer", as the browser's
#            encodeURIComponent sends it, with its blank still encoded, because Go would
#            have left the plus signs as they are. A handler has to look whether r.URL.RawPath is empty before it decodes.
# Source:    mux.go (routeHTTP) of that version; https://pkg.go.dev/net/url#URL, RawPath.
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
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/go-chi/chi/v5"
)

func main() {
	router := chi.NewRouter()
	router.Get("/books/{title}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, chi.URLParam(r, "title")) })
	param := func(path string) string {
		answer := httptest.NewRecorder()
		router.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		return answer.Body.String()
	}
	plain, mixed := param("/books/Go%20primer"), param("/books/C%2B%2B%20primer")
	fmt.Printf("/books/Go%%20primer gives %q, /books/C%%2B%%2B%%20primer gives %q\n", plain, mixed)
	if plain != "Go primer" || mixed != "C%2B%2B%20primer" {
		fmt.Println(`the behaviour has changed: "Go primer" and "C%2B%2B%20primer" were expected`)
		os.Exit(1)
	}
}
GO
go get github.com/go-chi/chi/v5@v5.2.3
go run .
# Seen: /books/Go%20primer gives "Go primer", /books/C%2B%2B%20primer gives "C%2B%2B%20primer"
