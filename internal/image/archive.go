package image

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/zstd"

	"github.com/bookctl/bookctl/internal/hint"
)

// The transports of archives, as containers-transports(5) calls them.
const (
	dockerArchive = "docker-archive" // a file of docker save, podman, buildah, nix or jib
	ociLayout     = "oci"            // a directory of buildah, skopeo, ko or buildx
	ociArchive    = "oci-archive"    // such a directory in a tar
)

// errArchive is wrapped by what is wrong with an archive.
var errArchive = errors.New("there is no image to take from it")

// Archive is an image in a file or a directory.
type Archive struct {
	// Transport is "docker-archive", "oci" or "oci-archive".
	Transport string
	// Path is the file or directory.
	Path string
	// Name chooses one of several images; "" where there is one.
	Name string
}

// String is the archive as --image names it.
func (a Archive) String() string {
	if a.Name != "" {
		return a.Transport + ":" + a.Path + ":" + a.Name
	}
	return a.Transport + ":" + a.Path
}

// IsArchive reports whether a text that --image may have names an archive, and is no
// reference of an image in a registry.
func IsArchive(text string) bool {
	transport, rest, _ := strings.Cut(text, ":")
	return rest != "" && slices.Contains([]string{dockerArchive, ociLayout, ociArchive}, transport)
}

// FindArchive reads "TRANSPORT:PATH[:NAME]", with paths relative to dir. Both the path
// and the name may have colons; the path is what exists.
func FindArchive(text, dir string) (Archive, error) {
	transport, rest, _ := strings.Cut(text, ":")
	for at := len(rest); at > 0; at = strings.LastIndex(rest[:at], ":") {
		file := rest[:at]
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		info, err := os.Stat(file)
		if err != nil {
			continue
		}
		a := Archive{Transport: transport, Path: file, Name: strings.TrimPrefix(rest[at:], ":")}
		switch {
		case transport == ociLayout && !info.IsDir():
			return a, hint.With(fmt.Errorf("%s: %w: it is a file, and an OCI layout is a directory", text, errArchive), "a layout in a tar is named %s:FILE, and what docker save wrote %s:FILE", ociArchive, dockerArchive)
		case transport != ociLayout && info.IsDir():
			return a, hint.With(fmt.Errorf("%s: %w: it is a directory, and this wants a file", text, errArchive), "an OCI layout is named %s:DIR", ociLayout)
		}
		return a, nil
	}
	return Archive{}, hint.With(fmt.Errorf("%s: %w", text, fs.ErrNotExist), "give the path of a file or directory that is there")
}

// Open finds the image for an architecture: amd64 or arm64. The layers of a file of
// docker save are kept compressed in the directory cache, which is made if missing, so
// that the same image costs little the next time; "" stands for a temporary one. The
// errors say if the archive is at fault. Close the image after use.
func (a Archive) Open(ctx context.Context, arch, cache string) (*Image, error) {
	var image *Image
	var err error
	switch a.Transport {
	case ociLayout:
		image, err = a.openLayout(a.Path, arch)
	case ociArchive:
		image, err = a.openPackedLayout(ctx, arch)
	default:
		image, err = a.openDocker(ctx, arch, cache)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", a, err)
	}
	return image, nil
}

// choice is one of the images that an archive offers.
type choice struct {
	names []string // none for one that has none
	what  string   // its digest, which is shown where it has no name
}

func (c choice) String() string {
	if len(c.names) == 0 {
		return "one without a name (" + c.what + ")"
	}
	return strings.Join(c.names, " = ")
}

// choose is the index of the one image that is meant.
func (a Archive) choose(choices []choice) (int, error) {
	var all []string
	for _, c := range choices {
		all = append(all, c.String())
	}
	switch {
	case len(choices) == 0:
		return 0, fmt.Errorf("%w: it holds none", errArchive)
	case a.Name == "" && len(choices) == 1:
		return 0, nil
	case a.Name == "":
		next := hint.New("choose one by its name: --image %s:%s:NAME", a.Transport, a.Path)
		if i := slices.IndexFunc(choices, func(c choice) bool { return len(c.names) > 0 }); i >= 0 {
			next = hint.New("choose one by its name, as in --image %s:%s:%s", a.Transport, a.Path, choices[i].names[0])
		}
		return 0, hint.Add(fmt.Errorf("%w: it holds %d images: %s", errArchive, len(choices), strings.Join(all, ", ")), next)
	}
	i := slices.IndexFunc(choices, func(c choice) bool {
		return slices.ContainsFunc(c.names, func(n string) bool { return sameName(n, a.Name) }) || strings.HasPrefix(c.what, a.Name) && len(a.Name) > len("sha256:")
	})
	if i < 0 {
		return 0, hint.With(fmt.Errorf("%w: it holds no %s, but %s", errArchive, a.Name, strings.Join(all, ", ")), "give one of these names, or none where there is one image")
	}
	return i, nil
}

// sameName compares names of images, which may leave out Docker Hub and "latest".
func sameName(one, other string) bool {
	if one == other {
		return true
	}
	x, errX := name.ParseReference(one)
	y, errY := name.ParseReference(other)
	return errX == nil && errY == nil && x.Name() == y.Name()
}

// newImage checks that tasks can run an image of the archive, and measures it.
func (a Archive) newImage(image v1.Image, arch string) (*Image, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("%w: its configuration can't be read: %w", errArchive, err)
	}
	if config.OS != "" && config.OS != "linux" {
		return nil, hint.With(fmt.Errorf("%w: it is for %s, and tasks run linux", errArchive, config.OS), "give an image for linux/%s", arch)
	}
	if config.Architecture != arch {
		return nil, otherArch([]string{config.Architecture}, arch)
	}
	digest, size, err := measure(image)
	if err != nil {
		return nil, err
	}
	return &Image{OCI: image, Digest: digest, Arch: arch, Size: size}, nil
}

// otherArch refuses an image that is not for the tasks.
func otherArch(have []string, arch string) error {
	next := "give an image for " + arch
	for _, other := range have {
		if other == "amd64" || other == "arm64" { // what Fargate has
			next = fmt.Sprintf("use --arch %s, or %s", other, next)
		}
	}
	return hint.With(&ArchError{have, arch}, "%s", next)
}

// ArchError is the error of an archive without an image for the tasks' architecture.
type ArchError struct {
	// Have are the architectures that it has, and Want that of the tasks.
	Have []string
	Want string
}

func (e *ArchError) Error() string {
	return fmt.Sprintf("%v: it is for %s and the tasks are %s", errArchive, strings.Join(e.Have, ", "), e.Want)
}

// Unwrap is the error that all faults of an archive wrap.
func (e *ArchError) Unwrap() error { return errArchive }

// measure is the digest of an image, and what a first push of it sends.
func measure(image v1.Image) (string, int64, error) {
	digest, err := image.Digest()
	if err != nil {
		return "", 0, err
	}
	size, err := image.Size() // of the manifest
	if err != nil {
		return "", 0, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return "", 0, err
	}
	for _, part := range append(slices.Clone(manifest.Layers), manifest.Config) {
		size += part.Size
	}
	return digest.String(), size, nil
}

// plainFile is a tar that is not compressed.
type plainFile struct {
	path  string
	close func()
}

func (f *plainFile) open() (io.ReadCloser, error) { return os.Open(f.path) }

// The first bytes of what may be compressed.
var magic = map[string][]byte{
	"gzip": {0x1f, 0x8b}, "zstd": {0x28, 0xb5, 0x2f, 0xfd}, "xz": {0xfd, '7', 'z', 'X', 'Z', 0}, "bzip2": []byte("BZh"),
}

// compressionOf is how what a reader begins with is compressed, or "".
func compressionOf(r *bufio.Reader) string {
	head, _ := r.Peek(6) // what is shorter is not compressed
	for kind, begin := range magic {
		if bytes.HasPrefix(head, begin) {
			return kind
		}
	}
	return ""
}

// decompress returns the archive's file, or a temporary file if that is compressed: its parts
// are read in another order than they are written.
func (a Archive) decompress(ctx context.Context) (*plainFile, error) {
	file, err := os.Open(a.Path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was read
	begun := bufio.NewReader(file)
	var from io.Reader
	switch kind := compressionOf(begun); kind {
	case "":
		return &plainFile{path: a.Path, close: func() {}}, nil
	case "gzip":
		from, err = gzip.NewReader(begun)
	case "zstd":
		var decoder *zstd.Decoder
		if decoder, err = zstd.NewReader(begun); err == nil {
			defer decoder.Close()
			from = decoder
		}
	default:
		return nil, hint.With(fmt.Errorf("%w: it is compressed by %s", errArchive, kind), "decompress it first: %s -dk %s", kind, a.Path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errArchive, err)
	}
	to, err := os.CreateTemp("", "bookctl-archive-")
	if err != nil {
		return nil, err
	}
	remove := func() { _ = os.Remove(to.Name()) } // the system clears what stays
	_, err = io.Copy(to, contextReader{ctx, from})
	if err := errors.Join(err, to.Close()); err != nil {
		remove()
		return nil, fmt.Errorf("decompress it: %w", err)
	}
	return &plainFile{path: to.Name(), close: remove}, nil
}

// contextReader fails when its context ends.
type contextReader struct {
	ctx  context.Context
	from io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}
