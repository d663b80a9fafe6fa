package image_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/bookctl/bookctl/internal/image"
)

// The Dockerfile is built for real, by buildah, on a stand-in for the Go image
// that has this machine's Go mounted into it, so that nothing is downloaded.
func TestTheDockerfileMakesAnEquivalentImage(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	if _, err := exec.LookPath("buildah"); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and buildah, which .ci/setup check installs")
	}
	t.Parallel()
	const root = "../.."
	b := newBuildah(t)
	b.standIn(t, baseOf(t, filepath.Join(root, "Dockerfile")))
	r := newRepository(t)
	ref := r.name + ":docker"
	b.run(t, "bud", "--quiet", "--isolation", "chroot", "--format", "docker", "--pull-never",
		"--platform", "linux/"+runtime.GOARCH, "--build-arg", "VERSION=1.2.3",
		"--volume", goEnv(t, "GOROOT")+":/usr/local/go:ro",
		"--volume", filepath.Join(goEnv(t, "GOMODCACHE"), "cache/download")+":/modules:ro",
		"--volume", goEnv(t, "GOCACHE")+":/cache",
		"--tag", ref, root)
	b.run(t, "push", "--quiet", "--tls-verify=false", ref, "docker://"+ref)

	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	docker, err := remote.Image(tag)
	if err != nil {
		t.Fatal(err)
	}
	own := build(t, root, runtime.GOARCH)
	if diff := cmp.Diff(essence(t, own.OCI), essence(t, docker)); diff != "" {
		t.Errorf("bookctl's own → the Dockerfile's:\n%s", diff)
	}
	_, want := files(t, own.OCI)
	_, got := files(t, docker)
	for _, path := range []string{"bookapi", "etc/passwd", "etc/group", strings.TrimPrefix(image.RDSBundlePath, "/")} {
		if len(want[path]) == 0 || !bytes.Equal(want[path], got[path]) {
			t.Errorf("%s has %d bytes in bookctl's own image and others, %d, in the Dockerfile's", path, len(want[path]), len(got[path]))
		}
	}
}

// essence is what has to be equal: not when and by whom it was built.
func essence(t *testing.T, of v1.Image) map[string]any {
	t.Helper()
	config, err := of.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	headers, _ := files(t, of)
	list := map[string]string{}
	for _, h := range headers {
		list[strings.TrimSuffix(h.Name, "/")] = fmt.Sprintf("%o %d:%d", h.Mode&0o777, h.Uid, h.Gid)
	}
	slices.Sort(config.Config.Env)
	labels := map[string]string{}
	for key, value := range config.Config.Labels {
		if strings.HasPrefix(key, image.LabelPrefix) {
			labels[key] = value
		}
	}
	return map[string]any{
		"labels": labels,
		"os":     config.OS, "arch": config.Architecture, "user": config.Config.User, "entrypoint": config.Config.Entrypoint,
		"command": len(config.Config.Cmd), "env": config.Config.Env, "ports": config.Config.ExposedPorts,
		"directory": config.Config.WorkingDir, "stop": config.Config.StopSignal, "health": config.Config.Healthcheck,
		"volumes": len(config.Config.Volumes), "files": list,
	}
}

// baseOf is the image that a Dockerfile builds on.
func baseOf(t *testing.T, dockerfile string) string {
	t.Helper()
	text, err := os.ReadFile(dockerfile)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 5 && fields[0] == "FROM" && fields[4] == "build" {
			return fields[2]
		}
	}
	t.Fatal("the Dockerfile has no stage named build")
	return ""
}

// buildah has a storage of its own.
type buildah struct{ dir string }

func newBuildah(t *testing.T) buildah {
	t.Helper()
	return buildah{t.TempDir()}
}

func (b buildah) run(t *testing.T, args ...string) string {
	t.Helper()
	all := append([]string{
		"--root", filepath.Join(b.dir, "storage"), "--runroot", filepath.Join(b.dir, "run"), "--storage-driver", "vfs",
	}, args...)
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "buildah", all...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("buildah %s: %v\n%s%s", strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return strings.TrimSpace(stdout.String())
}

// standIn makes an image of that name which takes Go, modules and cache from
// where they will be mounted.
func (b buildah) standIn(t *testing.T, name string) {
	t.Helper()
	files := t.TempDir()
	certs := filepath.Join(files, "etc/ssl/certs")
	if err := os.MkdirAll(certs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(files, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(certs, "ca-certificates.crt"), []byte("the base's own"), 0o644); err != nil {
		t.Fatal(err)
	}
	container := b.run(t, "from", "scratch")
	b.run(t, "copy", "--quiet", container, files, "/")
	b.run(t, "config", "--env", "GOTOOLCHAIN=local", "--env", "GOPROXY=file:///modules", "--env", "GOSUMDB=off",
		"--env", "GOCACHE=/cache", "--env", "GOPATH=/go", container)
	b.run(t, "commit", "--quiet", container, name)
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "env", name)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
