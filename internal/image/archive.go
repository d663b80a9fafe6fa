package image

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"github.com/bookctl/bookctl/internal/hint"
)

// The transports of archives, as containers-transports(5) calls them.
const (
	DockerArchive = "docker-archive" // a file of docker save, podman, buildah, nix or jib
	OCILayout     = "oci"            // a directory of buildah, skopeo, ko or buildx
	OCIArchive    = "oci-archive"    // such a directory in a tar
)

// ErrArchive is wrapped by what is wrong with an archive.
var ErrArchive = errors.New("there is no image to take from it")

// Archive is an image in a file or a directory.
type Archive struct {
	// Transport is DockerArchive, OCILayout or OCIArchive.
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
	return rest != "" && slices.Contains([]string{DockerArchive, OCILayout, OCIArchive}, transport)
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
		case transport == OCILayout && !info.IsDir():
			return a, hint.With(fmt.Errorf("%s: %w: it is a file, and an OCI layout is a directory", text, ErrArchive), "a layout in a tar is named %s:FILE, and what docker save wrote %s:FILE", OCIArchive, DockerArchive)
		case transport != OCILayout && info.IsDir():
			return a, hint.With(fmt.Errorf("%s: %w: it is a directory, and this wants a file", text, ErrArchive), "an OCI layout is named %s:DIR", OCILayout)
		}
		return a, nil
	}
	return Archive{}, hint.With(fmt.Errorf("%s: %w", text, fs.ErrNotExist), "give the path of a file or directory that is there")
}

// Open finds the image for an architecture: amd64 or arm64. The layers of a file of
// docker save are kept compressed in the directory cache, which is made if missing, so
// that the same image costs little the next time; "" stands for a temporary one. The
// errors wrap ErrArchive where the archive is to blame. Close the image after use.
func (a Archive) Open(ctx context.Context, arch, cache string) (*Image, error) {
	var image *Image
	var err error
	switch a.Transport {
	case OCILayout:
		image, err = a.openLayout(a.Path, arch)
	case OCIArchive:
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
		return 0, fmt.Errorf("%w: it holds none", ErrArchive)
	case a.Name == "" && len(choices) == 1:
		return 0, nil
	case a.Name == "":
		next := hint.New("choose one by its name: --image %s:%s:NAME", a.Transport, a.Path)
		if i := slices.IndexFunc(choices, func(c choice) bool { return len(c.names) > 0 }); i >= 0 {
			next = hint.New("choose one by its name, as in --image %s:%s:%s", a.Transport, a.Path, choices[i].names[0])
		}
		return 0, hint.Add(fmt.Errorf("%w: it holds %d images: %s", ErrArchive, len(choices), strings.Join(all, ", ")), next)
	}
	i := slices.IndexFunc(choices, func(c choice) bool {
		return slices.ContainsFunc(c.names, func(n string) bool { return sameName(n, a.Name) }) || strings.HasPrefix(c.what, a.Name) && len(a.Name) > len("sha256:")
	})
	if i < 0 {
		return 0, hint.With(fmt.Errorf("%w: it holds no %s, but %s", ErrArchive, a.Name, strings.Join(all, ", ")), "give one of these names, or none where there is one image")
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

// finished is an image of an archive with all that is known of one.
func (a Archive) finished(image v1.Image, arch string) (*Image, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("%w: its configuration can't be read: %w", ErrArchive, err)
	}
	if config.OS != "" && config.OS != "linux" {
		return nil, hint.With(fmt.Errorf("%w: it is for %s, and tasks run linux", ErrArchive, config.OS), "give an image for linux/%s", arch)
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
			next = fmt.Sprintf("say --arch %s, or %s", other, next)
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
	return fmt.Sprintf("%v: it is for %s and the tasks are %s", ErrArchive, strings.Join(e.Have, ", "), e.Want)
}

// Unwrap is ErrArchive.
func (e *ArchError) Unwrap() error { return ErrArchive }

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

// openLayout opens the image of an OCI layout
// (https://github.com/opencontainers/image-spec/blob/main/image-layout.md).
func (a Archive) openLayout(dir, arch string) (*Image, error) {
	root, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, hint.With(fmt.Errorf("%w: it is not an OCI layout: %w", ErrArchive, err), "give a directory with oci-layout, index.json and blobs")
	}
	manifest, err := root.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	var tops []v1.Descriptor // one for each image, also where that has several names
	var choices []choice
	for _, d := range manifest.Manifests {
		if !runnable(d) {
			continue
		}
		i := slices.IndexFunc(tops, func(t v1.Descriptor) bool { return t.Digest == d.Digest })
		if i < 0 {
			i, tops, choices = len(tops), append(tops, d), append(choices, choice{what: d.Digest.String()})
		}
		// https://github.com/opencontainers/image-spec/blob/main/annotations.md
		for _, key := range []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"} {
			if n := d.Annotations[key]; n != "" && !slices.Contains(choices[i].names, n) {
				choices[i].names = append(choices[i].names, n)
			}
		}
	}
	if a.Name != "" || !onePerPlatform(tops) {
		i, err := a.choose(choices)
		if err != nil {
			return nil, err
		}
		tops = tops[i : i+1]
	}
	image, others, err := forArch(root, tops, arch)
	switch {
	case err != nil:
		return nil, err
	case image == nil && others == nil:
		return nil, fmt.Errorf("%w: it holds no image to run", ErrArchive)
	case image == nil:
		slices.Sort(others)
		return nil, otherArch(slices.Compact(others), arch)
	}
	if err := whole(dir, image); err != nil {
		return nil, err
	}
	return a.finished(image, arch)
}

// runnable reports whether an entry of an index may be an image to run: attestations and
// other artifacts are entries too
// (https://docs.docker.com/build/metadata/attestations/attestation-storage/). An image
// of go-containerregistry, and so of ko, has the type of its configuration as that of an
// artifact.
func runnable(d v1.Descriptor) bool {
	attests := d.Annotations["vnd.docker.reference.type"] != "" || d.Platform != nil && d.Platform.OS == "unknown"
	return (d.MediaType.IsImage() || d.MediaType.IsIndex()) && (d.ArtifactType == "" || types.MediaType(d.ArtifactType).IsConfig()) && !attests
}

// onePerPlatform reports whether entries are the same image for several platforms.
func onePerPlatform(all []v1.Descriptor) bool {
	var seen []string
	for _, d := range all {
		if d.Platform == nil || slices.Contains(seen, d.Platform.String()) {
			return false
		}
		seen = append(seen, d.Platform.String())
	}
	return len(seen) > 0
}

// forArch finds the one image for an architecture among entries of an index. Nil is
// none, and others are the architectures that there are.
func forArch(index v1.ImageIndex, among []v1.Descriptor, arch string) (found v1.Image, others []string, err error) {
	for _, d := range among {
		if !runnable(d) {
			continue
		}
		if d.MediaType.IsIndex() {
			inner, err := index.ImageIndex(d.Digest)
			if err != nil {
				return nil, nil, fmt.Errorf("%w: index %s is not in it: %w", ErrArchive, d.Digest, err)
			}
			manifest, err := inner.IndexManifest()
			if err != nil {
				return nil, nil, fmt.Errorf("%w: index %s can't be read: %w", ErrArchive, d.Digest, err)
			}
			found, more, err := forArch(inner, manifest.Manifests, arch)
			if found != nil || err != nil {
				return found, nil, err
			}
			others = append(others, more...)
			continue
		}
		image, err := index.Image(d.Digest)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: manifest %s is not in it: %w", ErrArchive, d.Digest, err)
		}
		platform := d.Platform
		if platform == nil {
			if platform, err = platformOf(image); err != nil {
				return nil, nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
			}
		}
		switch {
		case platform.OS != "" && platform.OS != "linux":
			others = append(others, platform.OS+"/"+platform.Architecture)
		case platform.Architecture != arch:
			others = append(others, platform.Architecture)
		default:
			return image, nil, nil
		}
	}
	return nil, others, nil
}

// platformOf is what the configuration of an image says.
func platformOf(image v1.Image) (*v1.Platform, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return nil, fmt.Errorf("%w: it can't be read: %w", ErrArchive, err)
	}
	if !manifest.Config.MediaType.IsConfig() {
		return nil, fmt.Errorf("%w: it is not a container image but %s", ErrArchive, manifest.Config.MediaType)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("%w: its configuration can't be read: %w", ErrArchive, err)
	}
	return config.Platform(), nil
}

// whole refuses a layout that lacks a layer, before any of it is sent.
func whole(dir string, image v1.Image) error {
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	for _, part := range append(slices.Clone(manifest.Layers), manifest.Config) {
		info, err := os.Stat(filepath.Join(dir, "blobs", part.Digest.Algorithm, part.Digest.Hex))
		switch {
		case len(part.URLs) > 0: // kept elsewhere
		case err != nil:
			return hint.With(fmt.Errorf("%w: blob %s is missing", ErrArchive, part.Digest), "write the layout anew")
		case info.Size() != part.Size:
			return hint.With(fmt.Errorf("%w: blob %s has %d bytes, and its manifest says %d", ErrArchive, part.Digest, info.Size(), part.Size), "write the layout anew")
		}
	}
	return nil
}

// openPackedLayout unpacks a layout into a directory of its own, which goes with the
// image.
func (a Archive) openPackedLayout(ctx context.Context, arch string) (*Image, error) {
	dir, err := os.MkdirTemp("", "bookctl-oci-")
	if err != nil {
		return nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) } // the system clears what stays
	file, err := a.plain(ctx)
	if err != nil {
		remove()
		return nil, err
	}
	defer file.close()
	if err := unpackLayout(ctx, file, dir); err != nil {
		remove()
		return nil, err
	}
	image, err := a.openLayout(dir, arch)
	if err != nil {
		remove()
		return nil, err
	}
	image.done = remove
	return image, nil
}

// unpackLayout writes the files of a layout, and no other ones, below dir.
func unpackLayout(ctx context.Context, file *plainFile, dir string) error {
	from, err := file.open()
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // it was read
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // holds nothing unwritten
	for files := tar.NewReader(from); ctx.Err() == nil; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: it is not a tar archive: %w", ErrArchive, err)
		}
		at := path.Clean(header.Name)
		if header.Typeflag != tar.TypeReg || at != "oci-layout" && at != "index.json" && !strings.HasPrefix(at, "blobs/") {
			continue
		}
		if err := root.MkdirAll(filepath.Dir(filepath.FromSlash(at)), 0o755); err != nil {
			return err
		}
		to, err := root.OpenFile(filepath.FromSlash(at), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		_, err = io.Copy(to, files) //nolint:gosec // as large as the user's own file says
		if err := errors.Join(err, to.Close()); err != nil {
			return err
		}
	}
	return ctx.Err()
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

// plain is the archive's file, decompressed into a temporary one where it has to be: its
// parts are read in another order than they are written.
func (a Archive) plain(ctx context.Context) (*plainFile, error) {
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
		return nil, hint.With(fmt.Errorf("%w: it is compressed by %s", ErrArchive, kind), "decompress it first: %s -dk %s", kind, a.Path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	to, err := os.CreateTemp("", "bookctl-archive-")
	if err != nil {
		return nil, err
	}
	remove := func() { _ = os.Remove(to.Name()) } // the system clears what stays
	_, err = io.Copy(to, whileWanted{ctx, from})
	if err := errors.Join(err, to.Close()); err != nil {
		remove()
		return nil, fmt.Errorf("decompress it: %w", err)
	}
	return &plainFile{path: to.Name(), close: remove}, nil
}

// whileWanted ends a copy with its context.
type whileWanted struct {
	ctx  context.Context
	from io.Reader
}

func (r whileWanted) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

// openDocker opens an image of a file of docker save
// (https://github.com/moby/docker-image-spec/blob/main/spec.md#combined-image-json--filesystem-changeset-format).
// Its layers are not compressed, as a rule; pushed they are, and what they become is
// kept. What go-containerregistry makes of such a file calls layers of zstd gzip, and
// compresses each layer twice.
func (a Archive) openDocker(ctx context.Context, arch, cache string) (*Image, error) {
	file, err := a.plain(ctx)
	if err != nil {
		return nil, err
	}
	defer file.close()
	manifest, err := tarball.LoadManifest(file.open)
	if err != nil {
		if layout, err := entry(file, "oci-layout"); err == nil {
			_ = layout.Close() // nothing was read
			return nil, hint.With(fmt.Errorf("%w: it is an OCI layout in a tar, and not what docker save writes", ErrArchive), "name it %s:%s", OCIArchive, a.Path)
		}
		return nil, hint.With(fmt.Errorf("%w: it is not what docker save writes: %w", ErrArchive, err), "an OCI layout in a tar is named %s:FILE, and one in a directory %s:DIR", OCIArchive, OCILayout)
	}
	var choices []choice
	for _, m := range manifest {
		id := strings.TrimSuffix(path.Base(m.Config), ".json")
		choices = append(choices, choice{names: m.RepoTags, what: "sha256:" + id})
	}
	i, err := a.choose(choices)
	if err != nil {
		return nil, err
	}
	text, err := readEntry(file, manifest[i].Config)
	if err != nil {
		return nil, err
	}
	config, err := v1.ParseConfigFile(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%w: its configuration can't be read: %w", ErrArchive, err)
	}
	if config.Architecture != arch {
		return nil, otherArch([]string{config.Architecture}, arch) // before its layers are compressed
	}
	if have, want := len(manifest[i].Layers), len(config.RootFS.DiffIDs); have != want {
		return nil, fmt.Errorf("%w: it has %d layers, and its configuration names %d", ErrArchive, have, want)
	}
	kept := keptLayers{dir: cache}
	done := func() {}
	if cache == "" {
		if kept.dir, err = os.MkdirTemp("", "bookctl-layers-"); err != nil {
			return nil, err
		}
		done = func() { _ = os.RemoveAll(kept.dir) } // the system clears what stays
	}
	saved := savedImage{config: text, layers: map[v1.Hash]blob{}}
	for n, diffID := range config.RootFS.DiffIDs {
		layer, err := kept.layer(ctx, diffID, func() (io.ReadCloser, error) { return entry(file, manifest[i].Layers[n]) })
		if err != nil {
			done()
			return nil, fmt.Errorf("layer %d: %w", n+1, err)
		}
		saved.layers[layer.digest] = layer
		saved.order = append(saved.order, layer)
	}
	image, err := saved.image()
	if err != nil {
		done()
		return nil, err
	}
	finished, err := a.finished(image, arch)
	if err != nil {
		done()
		return nil, err
	}
	finished.done = done
	return finished, nil
}

// entry opens a file of a tar, through links, as docker save has for layers that
// several images share.
func entry(in *plainFile, name string) (io.ReadCloser, error) {
	for range 10 {
		from, err := in.open()
		if err != nil {
			return nil, err
		}
		files := tar.NewReader(from)
		for {
			header, err := files.Next()
			if err != nil {
				_ = from.Close() // the first error is the one to report
				if errors.Is(err, io.EOF) {
					err = fs.ErrNotExist
				}
				return nil, fmt.Errorf("%w: %s: %w", ErrArchive, name, err)
			}
			if path.Clean(header.Name) != path.Clean(name) {
				continue
			}
			if header.Typeflag == tar.TypeReg {
				return struct {
					io.Reader
					io.Closer
				}{files, from}, nil
			}
			if header.Typeflag == tar.TypeSymlink {
				name = path.Join(path.Dir(name), header.Linkname) //nolint:gosec // a name within the archive; nothing is written by it
			} else {
				name = header.Linkname
			}
			break
		}
		_ = from.Close() // it was read
	}
	return nil, fmt.Errorf("%w: %s: too many links", ErrArchive, name)
}

// mostConfig bounds what is read of a file of an archive at once.
const mostConfig = 8 << 20

func readEntry(in *plainFile, name string) ([]byte, error) {
	from, err := entry(in, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = from.Close() }() // it was read
	return io.ReadAll(io.LimitReader(from, mostConfig))
}

// savedImage is an image of a file of docker save.
type savedImage struct {
	config   []byte
	manifest []byte
	order    []blob
	layers   map[v1.Hash]blob
}

// image creates the manifest, which such a file lacks.
func (s savedImage) image() (v1.Image, error) {
	digest, size, err := v1.SHA256(bytes.NewReader(s.config))
	if err != nil {
		return nil, err
	}
	manifest := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Size: size, Digest: digest}, Layers: []v1.Descriptor{}}
	for _, l := range s.order {
		manifest.Layers = append(manifest.Layers, v1.Descriptor{MediaType: l.media, Size: l.size, Digest: l.digest})
	}
	if s.manifest, err = json.Marshal(manifest); err != nil {
		return nil, err
	}
	return partial.CompressedToImage(s)
}

// RawConfigFile implements partial.CompressedImageCore.
func (s savedImage) RawConfigFile() ([]byte, error) { return s.config, nil }

// RawManifest implements partial.CompressedImageCore.
func (s savedImage) RawManifest() ([]byte, error) { return s.manifest, nil }

// MediaType implements partial.CompressedImageCore.
func (s savedImage) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// LayerByDigest implements partial.CompressedImageCore.
func (s savedImage) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	l, ok := s.layers[h]
	if !ok {
		return nil, fmt.Errorf("the image has no layer %s", h)
	}
	return l, nil
}
