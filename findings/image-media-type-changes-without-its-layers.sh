#!/bin/sh
# An image that is made an OCI image keeps the layers of a Docker image.
#
# Package:   github.com/google/go-containerregistry v0.22.1, pkg/v1/mutate
# Expected:  mutate.MediaType(image, OCIManifestSchema1) gives an OCI image.
# Behaviour: the manifest says OCI, while its configuration and layers keep Docker's media
#            types. Each layer has to be appended anew with a type of its own, and the
#            configuration changed by mutate.ConfigMediaType; what is strict about the
#            OCI image specification refuses the mixture.
# Source:    pkg/v1/mutate/mutate.go (MediaType) of that version; media types that an OCI
#            manifest may have: https://github.com/opencontainers/image-spec/blob/main/manifest.md
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
	"os"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func main() {
	docker, err := random.Image(10, 1)
	if err != nil {
		panic(err)
	}
	manifest, err := mutate.MediaType(docker, types.OCIManifestSchema1).Manifest()
	if err != nil {
		panic(err)
	}
	fmt.Printf("manifest %s\nconfiguration %s\nlayer %s\n", manifest.MediaType, manifest.Config.MediaType, manifest.Layers[0].MediaType)
	if manifest.MediaType != types.OCIManifestSchema1 || manifest.Config.MediaType != types.DockerConfigJSON || manifest.Layers[0].MediaType != types.DockerLayer {
		fmt.Println("the behaviour has changed: an OCI manifest with Docker's configuration and layer was expected")
		os.Exit(1)
	}
}
GO
go get github.com/google/go-containerregistry@v0.22.1
go run .
# Seen: manifest application/vnd.oci.image.manifest.v1+json
#       configuration application/vnd.docker.container.image.v1+json
#       layer application/vnd.docker.image.rootfs.diff.tar.gzip
