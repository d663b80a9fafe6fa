#!/bin/sh
# A handler sends its headers at once, so that nobody waits for them, and its JSON later. Browsers
# get gzip that is called JSON; curl gets JSON.
#
# Package:   github.com/go-chi/chi/v5 v5.5.0, middleware.Compress
# Expected:  a Flush decides about the headers, and with them about the compression, as a Write
#            does, and as it is in net/http.
# Behaviour: the middleware decides in WriteHeader, and its Flush hands on without it: the headers
#            leave without Content-Encoding. The first Write then decides for
#            compression, too late for the header, and not too late for the body. All that is
#            said is "superfluous response.WriteHeader call", on stderr. By
#            http.NewResponseController it's the same. A test with httptest.NewRecorder does
#            not see it, since it doesn't accept gzip. A w.WriteHeader before the Flush helps.
# Source:    Flush and WriteHeader of compressResponseWriter in middleware/compress.go of that
#            version; https://pkg.go.dev/net/http#Flusher; https://github.com/r3labs/sse/pull/119
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
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

func main() {
	router := chi.NewRouter()
	router.Use(middleware.Compress(5))
	router.Get("/{how}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch chi.URLParam(r, "how") {
		case "flush":
			w.(http.Flusher).Flush()
		case "controller":
			if err := http.NewResponseController(w).Flush(); err != nil {
				panic(err)
			}
		case "status":
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, `{"title":"Go primer"}`)
	})
	server := httptest.NewServer(router)
	for _, how := range []string{"write", "flush", "controller", "status"} {
		for _, accept := range []string{"gzip", "identity"} {
			request, err := http.NewRequest(http.MethodGet, server.URL+"/"+how, nil)
			if err != nil {
				panic(err)
			}
			request.Header.Set("Accept-Encoding", accept)
			answer, err := server.Client().Do(request)
			if err != nil {
				panic(err)
			}
			body, err := io.ReadAll(answer.Body)
			if err != nil {
				panic(err)
			}
			is := "JSON"
			if body[0] != '{' {
				is = fmt.Sprintf("%x…", body[:2])
			}
			fmt.Printf("%s, %s: Content-Encoding %q, body %s\n", how, accept, answer.Header.Get("Content-Encoding"), is)
		}
	}
}
GO
go get github.com/go-chi/chi/v5@v5.5.0
go run . 2>log | tee seen
diff seen - <<'WANT'
write, gzip: Content-Encoding "gzip", body 1f8b…
write, identity: Content-Encoding "", body JSON
flush, gzip: Content-Encoding "", body 1f8b…
flush, identity: Content-Encoding "", body JSON
controller, gzip: Content-Encoding "", body 1f8b…
controller, identity: Content-Encoding "", body JSON
status, gzip: Content-Encoding "gzip", body 1f8b…
status, identity: Content-Encoding "", body JSON
WANT
# Seen: the eight lines above
