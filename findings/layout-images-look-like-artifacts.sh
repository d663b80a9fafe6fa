#!/bin/sh
# An image that go-containerregistry writes into an OCI layout, as ko does, has an
# artifact type in the index: whoever leaves artifacts out to find the images finds none.
#
# Package:   github.com/google/go-containerregistry v0.22.1
# Expected:  artifactType is for what is no image; the entry of an image has none.
# Behaviour: layout.AppendImage writes the media type of the image's config there.
# Source:    https://github.com/opencontainers/image-spec/blob/main/descriptor.md:
#            "the type of an artifact when the descriptor points to an artifact".
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
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func main() {
	at, err := layout.Write("layout", empty.Index)
	if err != nil {
		panic(err)
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if err := at.AppendImage(image); err != nil {
		panic(err)
	}
}
GO
go get github.com/google/go-containerregistry@v0.22.1 2>/dev/null
go run .
cat layout/index.json
grep -q '"artifactType": *"application/vnd.oci.image.config.v1+json"' layout/index.json
