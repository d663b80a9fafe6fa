package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/bookctl/bookctl/internal/hint"
)

// openLayout opens the image of an OCI layout
// (https://github.com/opencontainers/image-spec/blob/main/image-layout.md).
func (a Archive) openLayout(dir, arch string) (*Image, error) {
	root, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, hint.With(fmt.Errorf("%w: it is not an OCI layout: %w", errArchive, err), "give a directory with oci-layout, index.json and blobs")
	}
	manifest, err := root.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errArchive, err)
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
		return nil, fmt.Errorf("%w: it holds no image to run", errArchive)
	case image == nil:
		slices.Sort(others)
		return nil, otherArch(slices.Compact(others), arch)
	}
	if err := checkComplete(dir, image); err != nil {
		return nil, err
	}
	return a.newImage(image, arch)
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
				return nil, nil, fmt.Errorf("%w: index %s is not in it: %w", errArchive, d.Digest, err)
			}
			manifest, err := inner.IndexManifest()
			if err != nil {
				return nil, nil, fmt.Errorf("%w: index %s can't be read: %w", errArchive, d.Digest, err)
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
			return nil, nil, fmt.Errorf("%w: manifest %s is not in it: %w", errArchive, d.Digest, err)
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
		return nil, fmt.Errorf("%w: it can't be read: %w", errArchive, err)
	}
	if !manifest.Config.MediaType.IsConfig() {
		return nil, fmt.Errorf("%w: it is not a container image but %s", errArchive, manifest.Config.MediaType)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("%w: its configuration can't be read: %w", errArchive, err)
	}
	return config.Platform(), nil
}

// checkComplete returns an error if a layer is missing or cut off, before any of it is sent.
func checkComplete(dir string, image v1.Image) error {
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	for _, part := range append(slices.Clone(manifest.Layers), manifest.Config) {
		info, err := os.Stat(filepath.Join(dir, "blobs", part.Digest.Algorithm, part.Digest.Hex))
		switch {
		case len(part.URLs) > 0: // kept elsewhere
		case err != nil:
			return hint.With(fmt.Errorf("%w: blob %s is missing", errArchive, part.Digest), "save the layout again")
		case info.Size() != part.Size:
			return hint.With(fmt.Errorf("%w: blob %s has %d bytes, and its manifest says %d", errArchive, part.Digest, info.Size(), part.Size), "save the layout again")
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
	file, err := a.decompress(ctx)
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
	image.cleanup = remove
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
			return fmt.Errorf("%w: it is not a tar archive: %w", errArchive, err)
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
