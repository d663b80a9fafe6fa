#!/bin/sh
# A push of a large layer that the network breaks off near its end sends all of the layer
# again, and the progress that it reports runs backwards.
#
# Package:   github.com/google/go-containerregistry v0.22.1
# Expected:  a registry answers GET on an upload with how far it has got (Range), so that a
#            client goes on from there with PATCH and Content-Range, as the distribution
#            specification describes.
# Behaviour: the client never asks. It sends a layer as one PATCH of the whole blob and,
#            after a failure, begins another upload at byte 0: on a line that breaks every
#            few minutes a large layer never arrives. Updates of remote.WithProgress take
#            back what the failed try had counted, so that "complete" falls; who prints a
#            percentage, or ends a push of which the number has not grown, has to expect
#            that.
# Source:    pkg/v1/remote/write.go (uploadOne, streamBlob) and progress.go of that version;
#            https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-a-blob-in-chunks
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
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	size   = 8 << 20
	breaks = 6 << 20
)

func main() {
	var sent atomic.Int64
	var large, resumed, asked int
	all := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/uploads/") {
			asked++
		}
		if r.Method == http.MethodPatch && r.ContentLength > breaks || r.Header.Get("Content-Range") != "" {
			large++
			if r.Header.Get("Content-Range") != "" {
				resumed++
			}
			if large == 1 { // the line breaks
				n, _ := io.CopyN(io.Discard, r.Body, breaks)
				sent.Add(n)
				panic(http.ErrAbortHandler)
			}
			r.Body = counted{r.Body, &sent}
		}
		all.ServeHTTP(w, r)
	}))
	layer, err := random.Layer(size, types.OCIUncompressedLayer)
	if err != nil {
		panic(err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		panic(err)
	}
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/app:1")
	if err != nil {
		panic(err)
	}
	updates, fell := make(chan v1.Update, 100), false
	done := make(chan struct{})
	go func() {
		defer close(done)
		var most int64
		for u := range updates {
			fell = fell || u.Complete < most
			most = max(most, u.Complete)
		}
	}()
	err = remote.Write(ref, image, remote.WithProgress(updates))
	<-done
	fmt.Printf("pushed: %t, tries: %d, with Content-Range: %d, asked how far: %d, MiB sent of a layer of %d that broke off at %d: %d, progress fell: %t\n",
		err == nil, large, resumed, asked, size>>20, breaks>>20, sent.Load()>>20, fell)
	if err != nil || large != 2 || resumed != 0 || asked != 0 || sent.Load() < size+breaks || !fell {
		fmt.Println("the behaviour has changed: a second try from the first byte, and a progress that falls, were expected:", err)
		os.Exit(1)
	}
}

type counted struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}
GO
go get github.com/google/go-containerregistry@v0.22.1
go run .
# Seen: pushed: true, tries: 2, with Content-Range: 0, asked how far: 0, MiB sent of a layer of 8 that broke off at 6: 14, progress fell: true
