package image

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	_ "embed" // for the users of the image
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// User is who the image runs as, without a name or rights on the host.
	User = "65532:65532"
	// Entrypoint is the program in the image. With -healthcheck it asks the one
	// that runs alongside it for its health, and its exit code is the answer.
	Entrypoint = "/bookapi"
	// port is where it listens unless PORT says otherwise.
	port = 8080
	// RDSBundlePath is where the image has the certificates that verify-full
	// connections to RDS need.
	RDSBundlePath = "/etc/ssl/certs/rds-global-bundle.pem"

	rootsPath = "/etc/ssl/certs/ca-certificates.crt"
)

var (
	//go:embed data/passwd
	passwd []byte
	//go:embed data/group
	group []byte
)

// Image is a built image.
type Image struct {
	// OCI is the image itself.
	OCI v1.Image
	// Digest is that of the manifest: sha256: and 64 hexadecimal digits.
	Digest string
	// Arch is amd64 or arm64.
	Arch string
	// Size is what a first push sends and a first pull reads, in bytes.
	Size int64

	cleanup func() // nil where nothing has to go with it
}

// Close removes what was unpacked for the image, which can't be pushed from then on.
func (i *Image) Close() {
	if i != nil && i.cleanup != nil {
		i.cleanup()
	}
}

// Build compiles the source and lays the image. It writes nothing but
// caches: the go tool's and Source.Cache. The errors are ErrNoSource, ErrNoGo, and what the compiler says.
func Build(ctx context.Context, source Source) (*Image, error) {
	image, err := build(ctx, source)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", source.name(), err)
	}
	return image, nil
}

func build(ctx context.Context, source Source) (*Image, error) {
	if err := source.check(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bookctl-image-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the system clears what stays
	program, err := source.compile(ctx, dir)
	if err != nil {
		return nil, err
	}
	roots, err := publicRoots()
	if err != nil {
		return nil, err
	}
	// The program changes with each release and the rest hardly ever does, so
	// that they are layers of their own: the second is sent once.
	baseFiles := []file{
		{path: "/etc/group", mode: 0o644, content: group},
		{path: "/etc/passwd", mode: 0o644, content: passwd},
		{path: rootsPath, mode: 0o644, content: roots},
		{path: RDSBundlePath, mode: 0o644, content: slices.Concat(rdsBundle, source.Authorities)},
	}
	if source.Package != "" {
		baseFiles = append(baseFiles, file{path: "/tmp", mode: 0o1777})
	}
	base, err := source.layer(baseFiles)
	if err != nil {
		return nil, err
	}
	programLayer, err := source.layer([]file{{path: source.entrypoint(), mode: 0o755, from: program}})
	if err != nil {
		return nil, err
	}
	return assemble(source, base, programLayer)
}

// name is what messages call the program.
func (s Source) name() string { return cmp.Or(s.Name, "bookapi") }

// entrypoint is where the program is in the image.
func (s Source) entrypoint() string {
	switch s.name() {
	case "etc", "tmp", "dev", "proc", "sys": // directories
		return "/bin/" + s.name()
	}
	return "/" + s.name()
}

func assemble(source Source, layers ...v1.Layer) (*Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.AppendLayers(image, layers...)
	if err != nil {
		return nil, err
	}
	config := source.Config()
	config.RootFS = v1.RootFS{Type: "layers", DiffIDs: diffIDs(layers)}
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		return nil, err
	}
	digest, size, err := measure(image)
	if err != nil {
		return nil, err
	}
	return &Image{OCI: image, Digest: digest, Arch: source.Arch, Size: size}, nil
}

// Config is what the config of the image says of how a container of it is run. It is
// known before anything is built.
func (s Source) Config() *v1.ConfigFile {
	labels := map[string]string{"org.opencontainers.image.title": s.name(), LabelPrefix + DatabaseAuthority: RDSBundlePath}
	var health *v1.HealthConfig
	if s.Package == "" {
		maps.Copy(labels, map[string]string{
			"org.opencontainers.image.source": "https://" + modulePath,
			// It asks whether the process is up, and not /readyz: an outage of the database
			// must not recycle every task.
			LabelPrefix + "health-path":    "/startupz",
			LabelPrefix + "health-status":  "200",
			LabelPrefix + "health-grace":   "30", // it answers within one; migrations may hold it longer
			LabelPrefix + "read-only-root": "true",
			LabelPrefix + "db-name":        "books",
			LabelPrefix + "db-user":        "bookapi",
			LabelPrefix + LocatesDatabase:  "true",
			LabelPrefix + ReadyPath:        "/readyz",
			LabelPrefix + Drain:            "10",
			LabelPrefix + listensOnPORT:    "true",
		})
		// Docker reads it. ECS does not: its task definition says it again.
		health = &v1.HealthConfig{
			Test: []string{"CMD", Entrypoint, "-healthcheck"}, Interval: 5 * time.Second, Timeout: 3 * time.Second, Retries: 3,
		}
	}
	if s.Version != "" {
		labels["org.opencontainers.image.version"] = s.Version
	}
	return &v1.ConfigFile{
		OS: "linux", Architecture: s.Arch, Created: v1.Time{Time: epoch},
		Config: v1.Config{
			User: User, WorkingDir: "/", Entrypoint: []string{s.entrypoint()}, Labels: labels,
			Env:          []string{"PATH=/", fmt.Sprintf("PORT=%d", port)},
			ExposedPorts: map[string]struct{}{fmt.Sprintf("%d/tcp", port): {}},
			StopSignal:   "SIGTERM",
			Healthcheck:  health,
		},
	}
}

func diffIDs(layers []v1.Layer) []v1.Hash {
	var out []v1.Hash
	for _, l := range layers {
		id, _ := l.DiffID() // known since the layer was made
		out = append(out, id)
	}
	return out
}

// compression takes half the time of gzip's default and makes an image that is
// 3 % larger, of which a pull notices nothing.
const compression = 4

// epoch is when everything in an image was made, so that the time of a build
// does not change its digest.
var epoch = time.Unix(0, 0).UTC()

// file is a file of a layer, or a directory, which has neither content nor a file that
// it is read from.
type file struct {
	path    string
	mode    int64
	content []byte
	from    string
}

// write adds the file to a tar.
func (f file) write(to *tar.Writer) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(f.path, "/"), Mode: f.mode, Size: int64(len(f.content)), ModTime: epoch}
	var content io.Reader = bytes.NewReader(f.content)
	switch {
	case f.from != "":
		from, err := os.Open(f.from)
		if err != nil {
			return err
		}
		defer func() { _ = from.Close() }() // only read
		info, err := from.Stat()
		if err != nil {
			return err
		}
		content, header.Size = from, info.Size()
	case f.content == nil:
		header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
	}
	if err := to.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(to, content)
	return err
}

// layer packs files and the directories above them, owned by root, in the order
// of their paths.
func (s Source) layer(files []file) (v1.Layer, error) {
	entries := map[string]file{}
	for _, f := range files {
		entries[f.path] = f
		for dir := path.Dir(f.path); dir != "/"; dir = path.Dir(dir) {
			entries[dir] = file{path: dir, mode: 0o755}
		}
	}
	return s.compressed(func(to io.Writer) error {
		w := tar.NewWriter(to)
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			if err := entries[name].write(w); err != nil {
				return err
			}
		}
		return w.Close()
	})
}

// compressed is a layer of a tar, compressed as it is kept in the cache, which saves a
// second of each build. Another version of Go may compress otherwise, and the digest of
// an image must not depend on what was built before: so each has its own. Neither the tar, which
// is as large as the program, nor the layer is ever in memory as a whole, unless no cache can be
// written.
func (s Source) compressed(tar func(to io.Writer) error) (v1.Layer, error) {
	hash := sha256.New()
	if err := tar(hash); err != nil {
		return nil, err
	}
	sum, path := hash.Sum(nil), ""
	if s.Cache != "" {
		by := sha256.Sum256(fmt.Appendf(slices.Clone(sum), " gzip %d %s", compression, runtime.Version()))
		path = filepath.Join(s.Cache, "built-"+hex.EncodeToString(by[:8]))
	}
	pack := func(to io.Writer) error {
		w, err := gzip.NewWriterLevel(to, compression)
		if err == nil {
			err = tar(w)
		}
		if err == nil {
			err = w.Close()
		}
		return err
	}
	content, digest, ok := openCached(path)
	if !ok {
		writeCached(path, "built-*", pack)
		content, digest, ok = openCached(path)
	}
	if !ok {
		var out bytes.Buffer
		if err := pack(&out); err != nil {
			return nil, err
		}
		content, digest = io.NewSectionReader(bytes.NewReader(out.Bytes()), 0, int64(out.Len())), sha256.Sum256(out.Bytes())
	}
	return builtLayer{content: content, diffID: hashOf([sha256.Size]byte(sum)), digest: hashOf(digest)}, nil
}

func hashOf(sum [sha256.Size]byte) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// builtLayer is a compressed layer.
type builtLayer struct {
	content        *io.SectionReader
	diffID, digest v1.Hash
}

func (l builtLayer) reader() io.Reader { return io.NewSectionReader(l.content, 0, l.content.Size()) }

// Digest implements v1.Layer.
func (l builtLayer) Digest() (v1.Hash, error) { return l.digest, nil }

// DiffID implements v1.Layer.
func (l builtLayer) DiffID() (v1.Hash, error) { return l.diffID, nil }

// Compressed implements v1.Layer.
func (l builtLayer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(l.reader()), nil
}

// Uncompressed implements v1.Layer.
func (l builtLayer) Uncompressed() (io.ReadCloser, error) {
	return gzip.NewReader(l.reader())
}

// Size implements v1.Layer.
func (l builtLayer) Size() (int64, error) { return l.content.Size(), nil }

// MediaType implements v1.Layer.
func (l builtLayer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }
