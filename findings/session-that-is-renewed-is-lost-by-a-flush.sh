#!/bin/sh
# A user signs in on a page that streams its answer, and is signed out: the session that he came
# with is deleted, and nobody tells his browser the new one.
#
# Package:   github.com/alexedwards/scs/v2 v2.9.0 with net/http of Go 1.26
# Expected:  the session is stored and its cookie set before the headers leave, whatever sends
#            them; http.ResponseController is what its README names for streaming.
# Behaviour: the middleware does both in Write and WriteHeader of its ResponseWriter. That has no
#            Flush, so that the controller goes by Unwrap to the server's, and the headers
#            leave behind its back. The first Write stores the session, and puts the cookie
#            into headers that have left, without an error. RenewToken, which is called at
#            each sign-in, has deleted the old session by then. So it is with every
#            middleware that acts on headers and has Unwrap, as it should, but no
#            Flush. A w.WriteHeader before the Flush helps.
# Source:    sessionResponseWriter in session.go of that version, "Flushing and Streaming
#            Responses" of its README; https://pkg.go.dev/net/http#NewResponseController
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
	"net/http/cookiejar"
	"net/http/httptest"
	"os"

	"github.com/alexedwards/scs/v2"
)

func main() {
	sessions := scs.New()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /basket", func(w http.ResponseWriter, r *http.Request) {
		sessions.Put(r.Context(), "basket", "three books")
	})
	mux.HandleFunc("POST /sign-in/{how}", func(w http.ResponseWriter, r *http.Request) {
		if err := sessions.RenewToken(r.Context()); err != nil {
			panic(err)
		}
		sessions.Put(r.Context(), "user", "someone")
		how := r.PathValue("how")
		if how == "status-and-flush" {
			w.WriteHeader(http.StatusOK)
		}
		if how != "write" {
			if err := http.NewResponseController(w).Flush(); err != nil {
				panic(err)
			}
		}
		io.WriteString(w, "loading…")
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "user %q, basket %q", sessions.GetString(r.Context(), "user"), sessions.GetString(r.Context(), "basket"))
	})
	server := httptest.NewServer(sessions.LoadAndSave(mux))
	for _, how := range []string{"write", "flush", "status-and-flush"} {
		jar, err := cookiejar.New(nil)
		if err != nil {
			panic(err)
		}
		browser := &http.Client{Jar: jar}
		ask := func(method, path string) string {
			request, err := http.NewRequest(method, server.URL+path, nil)
			if err != nil {
				panic(err)
			}
			answer, err := browser.Do(request)
			if err != nil {
				panic(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != http.StatusOK {
				fmt.Println(answer.Status, err)
				os.Exit(1)
			}
			return string(body)
		}
		ask("GET", "/basket")
		ask("POST", "/sign-in/"+how)
		fmt.Printf("%s: %s\n", how, ask("GET", "/"))
	}
}
GO
go get github.com/alexedwards/scs/v2@v2.9.0
go run . 2>&1 | tee seen
diff seen - <<'WANT'
write: user "someone", basket "three books"
flush: user "", basket ""
status-and-flush: user "someone", basket "three books"
WANT
# Seen: the three lines above
