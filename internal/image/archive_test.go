package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/image"
	"github.com/bookctl/bookctl/internal/tinyimage"
)

// example is an image with one file, for a platform.
func example(t *testing.T, platform, content string, options ...tarball.LayerOption) v1.Image {
	t.Helper()
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	if err := w.WriteHeader(&tar.Header{Name: "hello.txt", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text.Bytes())), nil }, options...)
	if err != nil {
		t.Fatal(err)
	}
	i, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), layer)
	if err != nil {
		t.Fatal(err)
	}
	file, err := i.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, _ = strings.Cut(platform, "/")
	file.Config = v1.Config{Entrypoint: []string{"/hello"}, ExposedPorts: map[string]struct{}{"7000/tcp": {}}}
	if i, err = mutate.ConfigFile(i, file); err != nil {
		t.Fatal(err)
	}
	return i
}

// saved writes a file as docker save does.
func saved(t *testing.T, images map[string]v1.Image) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "saved.tar")
	if err := tinyimage.Archive(file, images); err != nil {
		t.Fatal(err)
	}
	return file
}

// layoutOf writes an OCI layout.
func layoutOf(t *testing.T, add func(layout.Path) error) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	at, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := add(at); err != nil {
		t.Fatal(err)
	}
	return dir
}

// packed puts a directory into a tar.
func packed(t *testing.T, dir string) string {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return written(t, "packed.tar", out.Bytes())
}

func gzipped(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return written(t, "packed.tar.gz", out.Bytes())
}

func written(t *testing.T, file string, text []byte) string {
	t.Helper()
	at := filepath.Join(t.TempDir(), file)
	if err := os.WriteFile(at, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return at
}

func archiveOf(t *testing.T, text string) image.Archive {
	t.Helper()
	if !image.IsArchive(text) {
		t.Fatalf("%s is not taken for an archive", text)
	}
	a, err := image.FindArchive(text, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestAnArchiveIsPushedAsItIs opens what other tools write, pushes it, and reads it
// from the registry.
func TestAnArchiveIsPushedAsItIs(t *testing.T) {
	t.Parallel()
	amd, arm := example(t, "linux/amd64", "for amd64"), example(t, "linux/arm64", "for arm64")
	zstd := example(t, "linux/amd64", "zstd", tarball.WithCompression(compression.ZStd), tarball.WithMediaType(types.OCILayerZStd))
	single := saved(t, map[string]v1.Image{"app:1": amd})
	both := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}}},
		mutate.IndexAddendum{Add: amd, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: zstd, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}, Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest"}}},
	)
	nested := layoutOf(t, func(p layout.Path) error { return p.AppendIndex(both) })
	for what, c := range map[string]struct{ archive, arch, content string }{
		"a file of docker save":                {"docker-archive:" + single, "amd64", "for amd64"},
		"one that is compressed":               {"docker-archive:" + gzipped(t, single), "amd64", "for amd64"},
		"one of two, by its name":              {"docker-archive:" + saved(t, map[string]v1.Image{"app:1": amd, "registry.example.com:5000/other:2": arm}) + ":registry.example.com:5000/other:2", "arm64", "for arm64"},
		"one by a name that leaves latest out": {"docker-archive:" + saved(t, map[string]v1.Image{"app:latest": amd, "other:2": arm}) + ":app", "amd64", "for amd64"},
		"a layout of one image":                {"oci:" + layoutOf(t, func(p layout.Path) error { return p.AppendImage(amd) }), "amd64", "for amd64"},
		"a layout with layers of zstd":         {"oci:" + layoutOf(t, func(p layout.Path) error { return p.AppendImage(zstd) }), "amd64", "zstd"},
		"a file with layers of zstd":           {"docker-archive:" + saved(t, map[string]v1.Image{"app:1": zstd}), "amd64", "zstd"},
		"a layout of an index, amd64":          {"oci:" + nested, "amd64", "for amd64"},
		"a layout of an index, arm64":          {"oci:" + nested, "arm64", "for arm64"},
		"a layout in a tar":                    {"oci-archive:" + packed(t, nested), "arm64", "for arm64"},
		"a layout in a tar that is compressed": {"oci-archive:" + gzipped(t, packed(t, nested)), "amd64", "for amd64"},
		"a layout with a name": {"oci:" + layoutOf(t, func(p layout.Path) error {
			if err := p.AppendImage(amd, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "1.0"})); err != nil {
				return err
			}
			return p.AppendImage(arm, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "2.0"}))
		}) + ":2.0", "arm64", "for arm64"},
		"an image with two names": {"oci:" + layoutOf(t, func(p layout.Path) error {
			for _, n := range []string{"1", "latest"} {
				if err := p.AppendImage(amd, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": n})); err != nil {
					return err
				}
			}
			return nil
		}), "amd64", "for amd64"},
	} {
		cache := t.TempDir()
		var first string
		for _, dir := range []string{cache, cache, ""} {
			opened, err := archiveOf(t, c.archive).Open(t.Context(), c.arch, dir)
			if err != nil {
				t.Errorf("%s: %v", what, err)
				break
			}
			if first == "" {
				first = opened.Digest
			}
			r := newRepository(t)
			pushed, err := image.Upload{}.Push(t.Context(), opened, r.name)
			opened.Close()
			if err != nil {
				t.Errorf("%s: %v", what, err)
				break
			}
			ref, err := name.NewDigest(pushed.Reference)
			if err != nil {
				t.Fatal(err)
			}
			got, err := remote.Image(ref)
			if err != nil {
				t.Fatal(err)
			}
			_, content := files(t, got)
			if string(content["hello.txt"]) != c.content || opened.Digest != first || opened.Arch != c.arch || opened.Size == 0 {
				t.Errorf("%s: pushed %q as %s for %s (%d bytes), want %q as %s for %s", what, content["hello.txt"], opened.Digest, opened.Arch, opened.Size, c.content, first, c.arch)
			}
			if layers, err := got.Layers(); err != nil {
				t.Errorf("%s: %v", what, err)
			} else if media, err := layers[0].MediaType(); err != nil || (media == types.OCILayerZStd) != (c.content == "zstd") {
				t.Errorf("%s: the layer is called %s, %v", what, media, err)
			}
		}
	}
}

func TestAnArchiveThatCantBeMeantIsRefused(t *testing.T) {
	t.Parallel()
	amd, arm := example(t, "linux/amd64", "for amd64"), example(t, "linux/arm64", "for arm64")
	single := saved(t, map[string]v1.Image{"app:1": amd})
	two := saved(t, map[string]v1.Image{"app:1": amd, "other:2": example(t, "linux/amd64", "other")})
	incomplete := layoutOf(t, func(p layout.Path) error { return p.AppendImage(amd) })
	layers, err := amd.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(incomplete, "blobs/sha256", digest.Hex)); err != nil {
		t.Fatal(err)
	}
	short := layoutOf(t, func(p layout.Path) error { return p.AppendImage(amd) })
	if err := os.Truncate(filepath.Join(short, "blobs/sha256", digest.Hex), 7); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(single)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct{ archive, want, next string }{
		"two images":           {"docker-archive:" + two, "it holds 2 images: ", "choose one by its name, as in --image docker-archive:" + two + ":"},
		"both are named":       {"docker-archive:" + two, "app:1", ""},
		"the other one too":    {"docker-archive:" + two, "other:2", ""},
		"none of that name":    {"docker-archive:" + two + ":third", "it holds no third, but ", "give one of these names"},
		"arm64 alone":          {"docker-archive:" + saved(t, map[string]v1.Image{"app:1": arm}), "it is for arm64 and the tasks are amd64", "use --arch arm64, or give an image for amd64"},
		"arm64 alone, layout":  {"oci:" + layoutOf(t, func(p layout.Path) error { return p.AppendImage(arm) }), "it is for arm64 and the tasks are amd64", "--arch arm64"},
		"windows":              {"oci:" + layoutOf(t, func(p layout.Path) error { return p.AppendImage(example(t, "windows/amd64", "no")) }), "it is for windows/amd64 and the tasks are amd64", "give an image for amd64"},
		"an empty layout":      {"oci:" + layoutOf(t, func(layout.Path) error { return nil }), "it holds none", ""},
		"a layer is missing":   {"oci:" + incomplete, "blob " + digest.String() + " is missing", "save the layout again"},
		"a layer is cut off":   {"oci:" + short, "blob " + digest.String() + " has 7 bytes, and its manifest says ", "save the layout again"},
		"a layout, named else": {"docker-archive:" + packed(t, incomplete), "an OCI layout in a tar", "oci-archive:"},
		"an empty directory":   {"oci:" + t.TempDir(), "it is not an OCI layout", "oci-layout, index.json"},
		"cut off":              {"docker-archive:" + written(t, "cut.tar", text[:len(text)/2]), "", "oci-archive:FILE"},
		"no tar":               {"oci-archive:" + written(t, "no.tar", []byte("hello")), "it is not a tar archive", ""},
		"xz":                   {"docker-archive:" + written(t, "app.tar.xz", []byte("\xfd7zXZ\x00rest")), "compressed by xz", "xz -dk"},
		"a layer of another image": {"docker-archive:" + written(t, "other.tar", bytes.Replace(unzippedTar(t, amd), []byte("for amd64"), []byte("for AMD64"), 1)),
			"the image's configuration says", "the archive is damaged"},
	} {
		_, err := archiveOf(t, c.archive).Open(t.Context(), "amd64", t.TempDir())
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(hint.Of(err).String(), c.next) {
			t.Errorf("%s: error %v, next %q; want %q and %q", what, err, hint.Of(err), c.want, c.next)
		}
	}
	for text, want := range map[string]string{
		"docker-archive:" + filepath.Join(t.TempDir(), "none.tar"): "does not exist|no such file|file does not exist",
		"oci:" + single:                 "an OCI layout is a directory",
		"docker-archive:" + t.TempDir(): "it is a directory",
	} {
		_, err := image.FindArchive(text, ".")
		if err == nil || !slices.ContainsFunc(strings.Split(want, "|"), func(w string) bool { return strings.Contains(err.Error(), w) }) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"nginx", "nginx:1", "oci", "oci:", "registry.example.com/oci:1"} {
		if image.IsArchive(text) {
			t.Errorf("%q is taken for an archive", text)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := archiveOf(t, "docker-archive:"+gzipped(t, single)).Open(ended, "amd64", ""); err == nil {
		t.Error("a cancelled run reads an archive to its end")
	}
}

// unzippedTar is a file of docker save whose layers are not compressed, as Docker's
// own are.
func unzippedTar(t *testing.T, i v1.Image) []byte {
	t.Helper()
	config, err := i.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := i.Layers()
	if err != nil {
		t.Fatal(err)
	}
	open, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(open)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range []struct {
		name, link string
		text       []byte
	}{
		{"other/layer.tar", "", content},
		{"one/layer.tar", "../other/layer.tar", nil},
		{"config.json", "", config},
		{"manifest.json", "", []byte(`[{"Config":"config.json","RepoTags":null,"Layers":["one/layer.tar"]}]`)},
	} {
		h := &tar.Header{Name: f.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(f.text))}
		if f.link != "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.link
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestLayersThatAreLinksAreCompressedOnce reads what an older docker save writes.
func TestLayersThatAreLinksAreCompressedOnce(t *testing.T) {
	t.Parallel()
	want := example(t, "linux/amd64", "for amd64")
	file, cache := written(t, "links.tar", unzippedTar(t, want)), filepath.Join(t.TempDir(), "cache")
	opened, err := archiveOf(t, "docker-archive:"+file).Open(t.Context(), "amd64", cache)
	if err != nil {
		t.Fatal(err)
	}
	_, content := files(t, opened.OCI)
	if string(content["hello.txt"]) != "for amd64" {
		t.Errorf("the image holds %q", content["hello.txt"])
	}
	config, err := opened.OCI.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	have, err := want.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), string(config)); diff != "" {
		t.Errorf("the configuration is another one:\n%s", diff)
	}
	kept, err := filepath.Glob(filepath.Join(cache, "*"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("the cache holds %v, %v; want one layer", kept, err)
	}
	before, err := os.Stat(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	again, err := archiveOf(t, "docker-archive:"+file).Open(t.Context(), "amd64", cache)
	if err != nil || again.Digest != opened.Digest {
		t.Errorf("again it is %+v, %v; want %s", again, err, opened.Digest)
	}
	if after, err := os.Stat(kept[0]); err != nil || !os.SameFile(before, after) {
		t.Errorf("the layer was compressed again: %v", err)
	}
}
