#!/bin/sh
# An image of a docker-archive whose layers are compressed by zstd has a manifest that
# calls them gzip.
#
# Package:   github.com/google/go-containerregistry v0.22.1
# Expected:  the media type of a layer is that of its bytes, as for other images.
# Behaviour: tarball.Image finds out whether the first layer is compressed, and then
#            writes application/vnd.docker.image.rootfs.diff.tar.gzip for all, whose
#            consumers may take the name at its word.
# Source:    pkg/v1/tarball/image.go of that version, compressedImage.Manifest.
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
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func main() {
	files := make([]byte, 1024) // an empty tar
	layer := must(tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil },
		tarball.WithCompression(compression.ZStd), tarball.WithMediaType(types.OCILayerZStd)))
	image := must(mutate.AppendLayers(empty.Image, layer))
	if err := tarball.WriteToFile("image.tar", must(name.NewTag("example:1")), image); err != nil {
		panic(err)
	}
	read := must(tarball.ImageFromPath("image.tar", nil))
	compressed := must(must(read.Layers())[0].Compressed())
	head := must(io.ReadAll(compressed))[:4]
	media := must(read.Manifest()).Layers[0].MediaType
	fmt.Printf("the layer begins with %x, and is called %s\n", head, media)
	if !bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}) || media != types.DockerLayer {
		os.Exit(1) // it behaves otherwise now
	}
}
GO
go get github.com/google/go-containerregistry@v0.22.1 2>/dev/null
go run .
