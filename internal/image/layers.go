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

// keptLayers is a directory of compressed layers. A layer's file is called after the
// digest of its files and that of the compressed bytes, so that the digest of
// a layer that was compressed once is known without reading the layer again.
type keptLayers struct{ dir string }

// mostLayers is how many layers are kept: an image of Docker has at most 127.
const mostLayers = 300

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
// archive, or else by gzip. What is not whole is refused.
func (k keptLayers) layer(ctx context.Context, diffID v1.Hash, open func() (io.ReadCloser, error)) (blob, error) {
	if b, ok := k.find(diffID); ok {
		return b, nil
	}
	if err := os.MkdirAll(k.dir, 0o755); err != nil {
		return blob{}, err
	}
	from, err := open()
	if err != nil {
		return blob{}, err
	}
	defer func() { _ = from.Close() }() // it was read
	partial, err := os.CreateTemp(k.dir, "partial-")
	if err != nil {
		return blob{}, err
	}
	defer func() { _ = os.Remove(partial.Name()) }() // it has another name by then
	begun := bufio.NewReader(whileWanted{ctx, from})
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
		return blob{}, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	is, err := written.DiffID()
	if err != nil {
		return blob{}, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	if is != diffID {
		return blob{}, hint.With(fmt.Errorf("%w: its files are %s, and the image's configuration says %s", ErrArchive, is, diffID), "the archive is damaged: write it anew")
	}
	digest, err := written.Digest()
	if err != nil {
		return blob{}, err
	}
	size, err := written.Size()
	if err != nil {
		return blob{}, err
	}
	b := blob{path: k.path(diffID, digest, media), digest: digest, size: size, media: media}
	if err := os.Rename(partial.Name(), b.path); err != nil {
		return blob{}, err
	}
	forget(k.dir, "layer-*", mostLayers)
	return b, nil
}

func (k keptLayers) path(diffID, digest v1.Hash, media types.MediaType) string {
	kind := "gzip"
	if media == types.OCILayerZStd {
		kind = "zstd"
	}
	return filepath.Join(k.dir, "layer-"+diffID.Hex+"-"+digest.Hex+"."+kind)
}

// find looks for a kept layer.
func (k keptLayers) find(diffID v1.Hash) (blob, bool) {
	names, err := filepath.Glob(k.path(diffID, v1.Hash{Hex: "*"}, types.OCILayer))
	if zstd, zstdErr := filepath.Glob(k.path(diffID, v1.Hash{Hex: "*"}, types.OCILayerZStd)); zstdErr == nil {
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
