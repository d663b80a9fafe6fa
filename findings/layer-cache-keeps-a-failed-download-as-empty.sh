#!/bin/sh
# A registry refuses one request, and from then on a layer of the image has no files on this
# machine, without an error.
#
# Package:   github.com/google/go-containerregistry v0.22.1, pkg/v1/cache
# Expected:  a cache that finds layers by the hash of what's in them gives what has that
#            hash, or asks the registry. Its comment says that incomplete layers are found
#            out and deleted.
# Behaviour: NewFilesystemCache makes the layer's file before it asks the registry. If that
#            fails, the empty file stays. The next run takes it for a layer, uncompressed
#            and with nothing in it, does not compare the hash, and does not ask the
#            registry again. Nor is a download that ended early found out unless it was
#            compressed: what is read by Uncompressed, as mutate.Extract does, is kept as far as
#            it came, though its reader had an error. It stays until somebody empties the
#            directory. Who compares DiffID of what Get returns with what it asked for
#            sees it, since it is hashed anew.
# Source:    create, Uncompressed and Get in pkg/v1/cache/fs.go of that version;
#            https://github.com/google/go-containerregistry/issues/717, which brought the check
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
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/cache"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// archive is a layer with two files.
var archive = func() []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, file := range []string{"app/server", "app/templates"} {
		must(0, w.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(file))}))
		must(io.WriteString(w, file))
	}
	must(0, w.Close())
	return b.Bytes()
}()

func main() {
	all := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	layer := must(tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive)), nil
	}))
	digest, diffID := must(layer.Digest()), must(layer.DiffID())
	refuse, asked := false, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, digest.String()) {
			asked++
			if refuse {
				w.WriteHeader(http.StatusForbidden)
				return
			}
		}
		all.ServeHTTP(w, r)
	}))
	ref := must(name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/app:1"))
	must(0, remote.Write(ref, must(mutate.AppendLayers(empty.Image, layer))))
	run := func(what string) {
		asked = 0
		image := cache.Image(must(remote.Image(ref)), cache.NewFilesystemCache("cache"))
		files := 0
		rc, err := must(image.Layers())[0].Uncompressed()
		if err == nil {
			for r := tar.NewReader(rc); ; files++ {
				if _, err = r.Next(); err != nil {
					break
				}
			}
			must(0, rc.Close())
		}
		fmt.Printf("%s: asked %d times, %d files, error: %t\n", what, asked, files, !errors.Is(err, io.EOF))
	}
	refuse = true
	run("while the registry refuses")
	refuse = false
	run("when it answers again")
	run("and later")
	fmt.Println("the cached layer has the hash that was asked for:", must(must(cache.NewFilesystemCache("cache").Get(diffID)).DiffID()) == diffID)
	must(0, os.RemoveAll("cache"))
	run("with an empty cache")
	run("and from it")
}
GO
go get github.com/google/go-containerregistry@v0.22.1
go run . | tee seen
diff seen - <<'WANT'
while the registry refuses: asked 1 times, 0 files, error: true
when it answers again: asked 0 times, 0 files, error: false
and later: asked 0 times, 0 files, error: false
the cached layer has the hash that was asked for: false
with an empty cache: asked 1 times, 2 files, error: false
and from it: asked 0 times, 2 files, error: false
WANT
# Seen: the six lines above
