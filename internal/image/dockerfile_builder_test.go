package image_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/image"
)

// It sets where the builder keeps its images, and so can't be parallel.
func TestADockerfileIsBuiltByTheBuilderThatIsThere(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	_, podman := exec.LookPath("podman")
	if _, buildah := exec.LookPath("buildah"); podman != nil && buildah != nil || os.Getuid() != 0 {
		t.Skip("needs root, and podman or buildah, which .ci/setup check installs")
	}
	store := t.TempDir()
	conf := written(t, "storage.conf", fmt.Appendf(nil, "[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", filepath.Join(store, "graph"), filepath.Join(store, "run")))
	t.Setenv("CONTAINERS_STORAGE_CONF", conf)
	dir := tree(t, map[string]string{
		"deploy/Dockerfile": "FROM scratch\nCOPY hello.txt /hello.txt\nUSER 1000\nEXPOSE 7000\nHEALTHCHECK CMD [\"/check\"]\nENTRYPOINT [\"/hello\"]\n",
		"hello.txt":         "hello", "broken": "FROM scratch\nCOPY none /\n",
	})
	from := image.Dockerfile{File: filepath.Join(dir, "deploy/Dockerfile"), Context: dir, Arch: runtime.GOARCH, Cache: t.TempDir()}
	first, err := from.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, content := files(t, first.OCI)
	config, err := first.OCI.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if string(content["hello.txt"]) != "hello" || config.Config.User != "1000" || config.Config.Healthcheck == nil || len(config.Config.ExposedPorts) != 1 {
		t.Errorf("the image holds %q and is %+v", content, config.Config)
	}
	if again, err := from.Build(t.Context()); err != nil || again.Digest != first.Digest {
		t.Errorf("built again it is %+v, %v; want %s", again, err, first.Digest)
	}
	for what, c := range map[string]struct {
		from       image.Dockerfile
		want, next string
	}{
		"no such file":      {image.Dockerfile{File: filepath.Join(dir, "none"), Context: dir, Arch: "amd64"}, "there is no Dockerfile", "--dockerfile FILE"},
		"no such directory": {image.Dockerfile{File: from.File, Context: filepath.Join(dir, "none"), Arch: "amd64"}, "there is no directory", "--source DIR"},
		"it does not build": {image.Dockerfile{File: filepath.Join(dir, "broken"), Context: dir, Arch: "amd64"}, "could not build", "fix the Dockerfile"},
	} {
		_, err := c.from.Build(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "compile") || !strings.Contains(hint.Of(err).String(), c.next) {
			t.Errorf("%s: error %v, next %q; want %q and %q", what, err, hint.Of(err), c.want, c.next)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := from.Build(t.Context()); !errors.Is(err, image.ErrNoBuilder) || !strings.Contains(hint.Of(err).String(), "install docker with buildx, podman or buildah") {
		t.Errorf("without a builder: %v, next %q", err, hint.Of(err))
	}
}

// TestADockerfileForAnotherProcessorSaysWhatItNeeds has a builder that can't run the programs of
// the other platform. It sets PATH, and so can't be parallel.
func TestADockerfileForAnotherProcessorSaysWhatItNeeds(t *testing.T) {
	dir := tree(t, map[string]string{"Dockerfile": "FROM debian\nRUN true\n"})
	t.Setenv("PATH", filepath.Dir(written(t, "docker", []byte("#!/bin/sh\n[ \"$2\" = inspect ] && exit 0\necho 'exec container process `/bin/sh`: Exec format error'\nexit 1\n"))))
	if err := os.Chmod(filepath.Join(os.Getenv("PATH"), "docker"), 0o755); err != nil {
		t.Fatal(err)
	}
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	for arch, want := range map[string]string{
		other:          "deploy for this machine's processor with --arch " + runtime.GOARCH + "; or install",
		runtime.GOARCH: "fix the Dockerfile",
	} {
		_, err := image.Dockerfile{File: filepath.Join(dir, "Dockerfile"), Context: dir, Arch: arch}.Build(t.Context())
		if err == nil || !strings.Contains(hint.Of(err).String(), want) {
			t.Errorf("%s: error %v, next %q; want %q", arch, err, hint.Of(err), want)
		}
	}
}
