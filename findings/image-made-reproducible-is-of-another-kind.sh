#!/bin/sh
# An image whose times are set to a fixed one, so that each build has the same digest, is
# no longer the image for the machine that it was built for.
#
# Package:   github.com/google/go-containerregistry v0.22.1, pkg/v1/mutate
# Expected:  mutate.Time sets times, and mutate.Canonical takes out what is random.
# Behaviour: both build a new image from an empty one and copy what they know of. Left
#            behind are the variant of the platform, without which an image for arm/v7 is
#            one for any arm, the annotations of the manifest and of the layers, and the
#            media types: an OCI image comes out as a Docker image, and layers of zstd
#            as gzip. The comment speaks of the layers alone. Who only needs the date in
#            the configuration has mutate.CreatedAt, which keeps the rest.
# Source:    Time and Canonical in pkg/v1/mutate/mutate.go of that version, which begin
#            with empty.Image; "variant" in
#            https://github.com/opencontainers/image-spec/blob/main/config.md
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
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/google/go-containerregistry/pkg/compression"
	v1 "github.com/google/go-containerregistry/pkg/v1"
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

func show(name string, image v1.Image) {
	m := must(image.Manifest())
	fmt.Printf("%s: %s\n  variant %q, %d annotations, layer %s\n", name, m.MediaType, must(image.ConfigFile()).Variant, len(m.Annotations), m.Layers[0].MediaType)
}

func main() {
	files := make([]byte, 1024) // an empty tar
	layer := must(tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil },
		tarball.WithCompression(compression.ZStd), tarball.WithMediaType(types.OCILayerZStd)))
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image = must(mutate.AppendLayers(image, layer))
	config := must(image.ConfigFile()).DeepCopy()
	config.OS, config.Architecture, config.Variant = "linux", "arm", "v7"
	image = must(mutate.ConfigFile(image, config))
	image = mutate.Annotations(image, map[string]string{"org.opencontainers.image.revision": "1"}).(v1.Image)
	show("as built", image)
	show("Canonical", must(mutate.Canonical(image)))
	show("CreatedAt", must(mutate.CreatedAt(image, v1.Time{Time: time.Unix(0, 0)})))
}
GO
go get github.com/google/go-containerregistry@v0.22.1
go run . | tee seen
diff seen - <<'WANT'
as built: application/vnd.oci.image.manifest.v1+json
  variant "v7", 1 annotations, layer application/vnd.oci.image.layer.v1.tar+zstd
Canonical: application/vnd.docker.distribution.manifest.v2+json
  variant "", 0 annotations, layer application/vnd.docker.image.rootfs.diff.tar.gzip
CreatedAt: application/vnd.oci.image.manifest.v1+json
  variant "v7", 1 annotations, layer application/vnd.oci.image.layer.v1.tar+zstd
WANT
# Seen: the six lines above
