// Package tinyimage makes container images for tests, of a Go program and nothing
// else or of layers, and archives of images. Package image makes those that are
// deployed.
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
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// File is a file of a layer.
type File struct {
	// Name has no slash before it, and one behind it if it is a directory.
	Name    string
	Content string
	// Link is what a symbolic link points to.
	Link string
	// Program is a file that may be executed.
	Program bool
	// LowPorts is a program that may listen on a low port whoever runs it, as
	// "setcap cap_net_bind_service=+ep" makes it.
	LowPorts bool
}

// lowPorts is the attribute of such a file: version 2 with the bit that puts into effect what
// is permitted, and capability 10 (https://man7.org/linux/man-pages/man7/capabilities.7.html).
const lowPorts = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// Layer is a layer of files, in their order.
func Layer(files ...File) (v1.Layer, error) {
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	for _, f := range files {
		header := tar.Header{Name: f.Name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(f.Content))}
		switch {
		case f.Link != "":
			header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, f.Link, 0o777
		case strings.HasSuffix(f.Name, "/"):
			header.Typeflag, header.Mode = tar.TypeDir, 0o755
		case f.Program:
			header.Mode = 0o755
		}
		if f.LowPorts {
			header.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": lowPorts}
		}
		if err := w.WriteHeader(&header); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, f.Content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(text.Bytes())), nil
	}, tarball.WithCompressionLevel(1), tarball.WithCompressedCaching)
}

// Of is an image of layers, for Linux on an architecture.
func Of(arch string, config v1.Config, layers ...v1.Layer) (v1.Image, error) {
	image, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", arch, config
	return mutate.ConfigFile(image, file)
}

// Build compiles the Go package of a directory, for this machine's architecture,
// and returns an image whose entrypoint is that program, under the given name. The
// program has to listen on PORT.
func Build(dir, name string) (v1.Image, error) {
	content, err := compile(dir)
	if err != nil {
		return nil, err
	}
	layer, err := Layer(File{Name: name, Content: string(content), Program: true})
	if err != nil {
		return nil, err
	}
	return Of(runtime.GOARCH, v1.Config{Entrypoint: []string{"/" + name}, Labels: map[string]string{"io.github.bookctl.listens-on-port": "true"}}, layer)
}

// Busybox is a layer of this machine's busybox, a static program that is a whole
// system's, as most images are: with a shell, and some of its commands by their names.
func Busybox(commands ...string) (v1.Layer, error) {
	at, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(at)
	if err != nil {
		return nil, err
	}
	files := []File{{Name: "bin/"}, {Name: "bin/busybox", Content: string(program), Program: true}}
	for _, command := range append(commands, "sh") {
		files = append(files, File{Name: "bin/" + command, Link: "busybox"})
	}
	return Layer(files...)
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
