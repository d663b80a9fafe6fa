package image

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/bookctl/bookctl/internal/hint"
)

// layerCache is a directory of compressed layers. A layer's file is named after the
// digest of its files and that of the compressed bytes, so that the digest of
// a layer that was compressed once is known without reading the layer again.
type layerCache struct{ dir string }

// maxLayers is how many layers it holds: an image of Docker has at most 127.
const maxLayers = 300

// blob is a compressed layer in a file.
type blob struct {
	path   string
	digest v1.Hash
	size   int64
	media  types.MediaType
}

// Digest implements partial.CompressedLayer.
func (b blob) Digest() (v1.Hash, error) { return b.digest, nil }

// Size implements partial.CompressedLayer.
func (b blob) Size() (int64, error) { return b.size, nil }

// MediaType implements partial.CompressedLayer.
func (b blob) MediaType() (types.MediaType, error) { return b.media, nil }

// Compressed implements partial.CompressedLayer.
func (b blob) Compressed() (io.ReadCloser, error) { return os.Open(b.path) }

// layer is the layer whose files have the digest diffID, compressed as it is in the
// archive, or else by gzip. An incomplete layer is refused.
func (c layerCache) layer(ctx context.Context, diffID v1.Hash, open func() (io.ReadCloser, error)) (blob, error) {
	if b, ok := c.find(diffID); ok {
		return b, nil
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return blob{}, err
	}
	from, err := open()
	if err != nil {
		return blob{}, err
	}
	defer func() { _ = from.Close() }() // it was read
	partial, err := os.CreateTemp(c.dir, "partial-")
	if err != nil {
		return blob{}, err
	}
	defer func() { _ = os.Remove(partial.Name()) }() // it has another name by then
	begun := bufio.NewReader(contextReader{ctx, from})
	media := types.OCILayer
	switch compressionOf(begun) {
	case "zstd":
		media = types.OCILayerZStd
		_, err = io.Copy(partial, begun)
	case "gzip":
		_, err = io.Copy(partial, begun)
	default:
		var to *gzip.Writer
		if to, err = gzip.NewWriterLevel(partial, compression); err == nil {
			_, err = io.Copy(to, begun)
			err = errors.Join(err, to.Close())
		}
	}
	if err := errors.Join(err, partial.Close()); err != nil {
		return blob{}, err
	}
	written, err := tarball.LayerFromFile(partial.Name())
	if err != nil {
		return blob{}, fmt.Errorf("%w: %w", errArchive, err)
	}
	is, err := written.DiffID()
	if err != nil {
		return blob{}, fmt.Errorf("%w: %w", errArchive, err)
	}
	if is != diffID {
		return blob{}, hint.With(fmt.Errorf("%w: its files are %s, and the image's configuration says %s", errArchive, is, diffID), "the archive is damaged: save it again")
	}
	digest, err := written.Digest()
	if err != nil {
		return blob{}, err
	}
	size, err := written.Size()
	if err != nil {
		return blob{}, err
	}
	b := blob{path: c.path(diffID, digest, media), digest: digest, size: size, media: media}
	if err := os.Rename(partial.Name(), b.path); err != nil {
		return blob{}, err
	}
	pruneCache(c.dir, "layer-*", maxLayers)
	return b, nil
}

func (c layerCache) path(diffID, digest v1.Hash, media types.MediaType) string {
	kind := "gzip"
	if media == types.OCILayerZStd {
		kind = "zstd"
	}
	return filepath.Join(c.dir, "layer-"+diffID.Hex+"-"+digest.Hex+"."+kind)
}

// find looks for a cached layer.
func (c layerCache) find(diffID v1.Hash) (blob, bool) {
	names, err := filepath.Glob(c.path(diffID, v1.Hash{Hex: "*"}, types.OCILayer))
	if zstd, zstdErr := filepath.Glob(c.path(diffID, v1.Hash{Hex: "*"}, types.OCILayerZStd)); zstdErr == nil {
		names = append(names, zstd...)
	}
	if err != nil || len(names) == 0 {
		return blob{}, false
	}
	info, err := os.Stat(names[0])
	if err != nil || info.Size() == 0 {
		return blob{}, false
	}
	base, kind, _ := strings.Cut(filepath.Base(names[0]), ".")
	b := blob{path: names[0], size: info.Size(), media: types.OCILayer, digest: v1.Hash{Algorithm: "sha256", Hex: base[strings.LastIndex(base, "-")+1:]}}
	if kind == "zstd" {
		b.media = types.OCILayerZStd
	}
	now := time.Now()
	_ = os.Chtimes(names[0], now, now) // else it is forgotten sooner
	return b, true
}
