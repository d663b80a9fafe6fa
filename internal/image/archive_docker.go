package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/bookctl/bookctl/internal/hint"
)

// openDocker opens an image of a file of docker save
// (https://github.com/moby/docker-image-spec/blob/main/spec.md#combined-image-json--filesystem-changeset-format).
// Its layers are not compressed, as a rule; pushed they are, and the compressed layers
// are cached. What go-containerregistry makes of such a file calls layers of zstd gzip, and
// compresses each layer twice.
func (a Archive) openDocker(ctx context.Context, arch, cache string) (opened *Image, err error) {
	file, err := a.decompress(ctx)
	if err != nil {
		return nil, err
	}
	defer file.close()
	manifest, err := tarball.LoadManifest(file.open)
	if err != nil {
		if layout, err := entry(file, "oci-layout"); err == nil {
			_ = layout.Close() // nothing was read
			return nil, hint.With(fmt.Errorf("%w: it is an OCI layout in a tar, and not what docker save writes", errArchive), "name it %s:%s", ociArchive, a.Path)
		}
		return nil, hint.With(fmt.Errorf("%w: it is not what docker save writes: %w", errArchive, err), "an OCI layout in a tar is named %s:FILE, and one in a directory %s:DIR", ociArchive, ociLayout)
	}
	chosen, err := a.chooseFromManifest(manifest)
	if err != nil {
		return nil, err
	}
	saved := savedImage{layers: map[v1.Hash]blob{}}
	if saved.config, err = readEntry(file, chosen.Config); err != nil {
		return nil, err
	}
	config, err := v1.ParseConfigFile(bytes.NewReader(saved.config))
	if err != nil {
		return nil, fmt.Errorf("%w: its configuration can't be read: %w", errArchive, err)
	}
	if config.Architecture != arch {
		return nil, otherArch([]string{config.Architecture}, arch) // before its layers are compressed
	}
	if have, want := len(chosen.Layers), len(config.RootFS.DiffIDs); have != want {
		return nil, fmt.Errorf("%w: it has %d layers, and its configuration names %d", errArchive, have, want)
	}
	layers := layerCache{dir: cache}
	cleanup := func() {}
	if cache == "" {
		if layers.dir, err = os.MkdirTemp("", "bookctl-layers-"); err != nil {
			return nil, err
		}
		cleanup = func() { _ = os.RemoveAll(layers.dir) } // the system clears what stays
	}
	defer func() {
		if err != nil {
			cleanup()
		}
	}()
	if err := saved.readLayers(ctx, layers, file, chosen.Layers, config.RootFS.DiffIDs); err != nil {
		return nil, err
	}
	image, err := saved.image()
	if err != nil {
		return nil, err
	}
	if opened, err = a.newImage(image, arch); err != nil {
		return nil, err
	}
	opened.cleanup = cleanup
	return opened, nil
}

// chooseFromManifest returns the entry of the one image that is meant.
func (a Archive) chooseFromManifest(manifest tarball.Manifest) (tarball.Descriptor, error) {
	var choices []choice
	for _, m := range manifest {
		id := strings.TrimSuffix(path.Base(m.Config), ".json")
		choices = append(choices, choice{names: m.RepoTags, what: "sha256:" + id})
	}
	i, err := a.choose(choices)
	if err != nil {
		return tarball.Descriptor{}, err
	}
	return manifest[i], nil
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
				return nil, fmt.Errorf("%w: %s: %w", errArchive, name, err)
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
	return nil, fmt.Errorf("%w: %s: too many links", errArchive, name)
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

// readLayers compresses the layers of the archive, in their order, into the cache.
func (s *savedImage) readLayers(ctx context.Context, cache layerCache, file *plainFile, names []string, diffIDs []v1.Hash) error {
	for n, diffID := range diffIDs {
		layer, err := cache.layer(ctx, diffID, func() (io.ReadCloser, error) { return entry(file, names[n]) })
		if err != nil {
			return fmt.Errorf("layer %d: %w", n+1, err)
		}
		s.layers[layer.digest] = layer
		s.order = append(s.order, layer)
	}
	return nil
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
