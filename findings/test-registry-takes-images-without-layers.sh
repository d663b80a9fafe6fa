#!/bin/sh
# The registry that Go programs are commonly tested against accepts an image whose
# configuration and layers were never uploaded.
#
# Package:   github.com/google/go-containerregistry v0.22.1, pkg/registry
# Expected:  a manifest that refers to unknown blobs is refused with
#            MANIFEST_BLOB_UNKNOWN, as real registries do and as it does itself for the
#            images of an index.
# Behaviour: an image's manifest is answered with 201 and can be read back; only an
#            index with an unknown image is refused (404). A test of a push against it
#            does not notice that layers are missing.
# Source:    pkg/registry/manifest.go of that version; the rule is in the distribution
#            specification, https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes (code-1).
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

	"github.com/google/go-containerregistry/pkg/registry"
)

const absent = "sha256:1111111111111111111111111111111111111111111111111111111111111111"

func put(server *httptest.Server, tag, mediaType, body string) int {
	req, err := http.NewRequest(http.MethodPut, server.URL+"/v2/app/manifests/"+tag, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func main() {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	image := put(server, "image", "application/vnd.oci.image.manifest.v1+json", `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"`+absent+`"},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":2,"digest":"`+absent+`"}]}`)
	index := put(server, "index", "application/vnd.oci.image.index.v1+json", `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",`+
		`"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,"digest":"`+absent+`"}]}`)
	fmt.Printf("an image without its blobs: %d; an index without its images: %d\n", image, index)
	if image != http.StatusCreated || index != http.StatusNotFound {
		fmt.Println("the behaviour has changed: 201 and 404 were expected")
		os.Exit(1)
	}
}
GO
go get github.com/google/go-containerregistry@v0.22.1
go run .
# Seen: an image without its blobs: 201; an index without its images: 404
