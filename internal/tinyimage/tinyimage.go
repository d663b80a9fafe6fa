// Package tinyimage makes container images for tests: a Go program, and nothing
// else, and archives of images. Package image makes those that are deployed.
package tinyimage

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Build compiles the Go package of a directory, for this machine's architecture,
// and returns an image whose entrypoint is that program, under the given name. The
// program has to listen on PORT.
func Build(dir, name string) (v1.Image, error) {
	content, err := compile(dir)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(text.Bytes())), nil
	}, tarball.WithCompressionLevel(1), tarball.WithCompressedCaching)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", runtime.GOARCH, v1.Config{Entrypoint: []string{"/" + name}, Labels: map[string]string{"io.github.bookctl.listens-on-port": "true"}}
	return mutate.ConfigFile(image, file)
}

func compile(dir string) ([]byte, error) {
	temporary, err := os.MkdirTemp("", "tinyimage-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(temporary) }() // the system clears what is left
	program := filepath.Join(temporary, "program")
	build := exec.Command("go", "build", "-o", program, "./"+dir)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w: %s", dir, err, out)
	}
	return os.ReadFile(program)
}

// Archive writes images, by their names, into a file as docker save does.
func Archive(file string, images map[string]v1.Image) error {
	all := map[name.Reference]v1.Image{}
	for n, image := range images {
		tag, err := name.NewTag(n)
		if err != nil {
			return err
		}
		all[tag] = image
	}
	return tarball.MultiRefWriteToFile(file, all)
}
