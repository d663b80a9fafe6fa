package registry_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/bookctl/bookctl/internal/localcloud/registry"
)

type rules struct {
	mu           sync.Mutex
	repositories map[string]bool // name to immutable
}

func (r *rules) Repository(name string) (exists bool, immutable func(string) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fixed, exists := r.repositories[name]
	return exists, func(string) bool { return fixed }
}

func (r *rules) Pushed(string) {}

func TestPushedImagesSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rules := &rules{repositories: map[string]bool{"book/api": true}}
	_, host := serve(t, dir, rules)
	image := randomImage(t)
	push(t, host+"/book/api:v1", image)

	again, host := serve(t, dir, rules)
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{host + "/book/api:v1", host + "/book/api@" + digest.String()} {
		pulled, err := remote.Image(reference(t, ref))
		if err != nil {
			t.Fatal(err)
		}
		layers, err := pulled.Layers()
		if err != nil {
			t.Fatal(err)
		}
		for _, layer := range layers {
			content, err := layer.Compressed()
			if err != nil {
				t.Fatalf("%s: %v", ref, err)
			}
			_ = content.Close()
		}
	}
	images := again.Images("book/api")
	if len(images) != 1 || images[0].Digest != digest.String() || images[0].Size() <= 0 {
		t.Errorf("images: %+v", images)
	}
	tags, err := remote.List(reference(t, host+"/book/api:v1").Context())
	if err != nil || len(tags) != 1 || tags[0] != "v1" {
		t.Errorf("tags: %v, %v", tags, err)
	}
}

func TestOnlyRepositoriesThatExistTakeAPush(t *testing.T) {
	t.Parallel()
	_, host := serve(t, t.TempDir(), &rules{})
	err := remote.Write(reference(t, host+"/nobody:v1"), randomImage(t))
	if err == nil || !strings.Contains(err.Error(), "NAME_UNKNOWN") {
		t.Errorf("push to a missing repository: %v", err)
	}
}

func TestImmutableTagsDoNotMove(t *testing.T) {
	t.Parallel()
	reg, host := serve(t, t.TempDir(), &rules{repositories: map[string]bool{"fixed": true, "loose": false}})
	first, second := randomImage(t), randomImage(t)
	push(t, host+"/fixed:v1", first)
	push(t, host+"/fixed:v1", first) // the same again changes nothing
	err := remote.Write(reference(t, host+"/fixed:v1"), second)
	if err == nil || !strings.Contains(err.Error(), "immutable") {
		t.Errorf("moving an immutable tag: %v", err)
	}
	push(t, host+"/loose:v1", first)
	push(t, host+"/loose:v1", second)
	images := reg.Images("loose")
	if len(images) != 2 || len(images[0].Tags) != 0 || len(images[1].Tags) != 1 {
		t.Errorf("after moving a tag: %+v", images)
	}
}

func TestDeletedImagesLeaveNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	reg, host := serve(t, dir, &rules{repositories: map[string]bool{"a": false, "b": false}})
	image := randomImage(t)
	push(t, host+"/a:v1", image)
	push(t, host+"/b:v1", image)
	if found, err := reg.Untag("a", "v1"); err != nil || !found {
		t.Fatal(found, err)
	}
	if left := reg.Images("a"); len(left) != 0 {
		t.Errorf("an image without a tag is left: %+v", left)
	}
	if _, err := remote.Image(reference(t, host+"/b:v1")); err != nil {
		t.Errorf("the other repository lost its image: %v", err)
	}
	if err := reg.DeleteRepository("b"); err != nil {
		t.Fatal(err)
	}
	blobs, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	if err != nil || len(blobs) != 0 {
		t.Errorf("%d blobs are left, %v", len(blobs), err)
	}
}

func serve(t *testing.T, dir string, rules registry.Rules) (*registry.Registry, string) {
	t.Helper()
	reg, err := registry.Open(dir, rules)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(reg)
	t.Cleanup(server.Close)
	return reg, strings.TrimPrefix(server.URL, "http://")
}

func randomImage(t *testing.T) v1.Image {
	t.Helper()
	image, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func reference(t *testing.T, text string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func push(t *testing.T, ref string, image v1.Image) {
	t.Helper()
	if err := remote.Write(reference(t, ref), image); err != nil {
		t.Fatal(err)
	}
}
