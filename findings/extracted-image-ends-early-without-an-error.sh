#!/bin/sh
# A program reads the files of an image, the registry fails in the middle, and the program
# has a complete archive with files missing.
#
# Package:   github.com/google/go-containerregistry v0.22.1, pkg/v1/mutate
# Expected:  reading from mutate.Extract fails when a layer can't be fetched.
# Behaviour: it fails for who copies the bytes, and not for who reads them as what they are.
#            When a layer fails, the end of a tar archive is written before the error.
#            archive/tar, and any other reader of tar, stops there with io.EOF and never
#            asks for what follows. Layers are read from the last one to the first, so
#            that what's missing is the base of the image, and who unpacks or searches it
#            takes that for the whole. After the archive's end one has to read on to the end
#            of the stream: io.Copy(io.Discard, rc) has the error.
# Source:    Extract and extract ("defer tarWriter.Close()") in pkg/v1/mutate/mutate.go of
#            that version; https://github.com/deckhouse/deckhouse/pull/21915, where unpacked
#            images were cut off by the same order of things.
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
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
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

// layer is one with a file.
func layer(file string) v1.Layer {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(0, w.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(file))}))
	must(io.WriteString(w, file))
	must(0, w.Close())
	return must(tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }))
}

func main() {
	all := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	base := layer("etc/passwd")
	var refused string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refused != "" && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, refused) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		all.ServeHTTP(w, r)
	}))
	ref := must(name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/app:1"))
	must(0, remote.Write(ref, must(mutate.AppendLayers(empty.Image, base, layer("app/server")))))
	run := func(what string) {
		image := must(remote.Image(ref))
		rc := mutate.Extract(image)
		var files []string
		var err error
		for r := tar.NewReader(rc); ; {
			var header *tar.Header
			if header, err = r.Next(); err != nil {
				break
			}
			files = append(files, header.Name)
		}
		_, late := io.Copy(io.Discard, rc)
		fmt.Printf("%s: %v, error of the archive: %t, read on: %t\n", what, files, !errors.Is(err, io.EOF), late != nil)
	}
	run("all is well")
	refused = must(base.Digest()).String()
	run("the base can't be fetched")
}
GO
go get github.com/google/go-containerregistry@v0.22.1
go run . | tee seen
diff seen - <<'WANT'
all is well: [app/server etc/passwd], error of the archive: false, read on: false
the base can't be fetched: [app/server], error of the archive: false, read on: true
WANT
# Seen: the two lines above
