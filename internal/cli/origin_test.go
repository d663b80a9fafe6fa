package cli_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/compression"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/bookctl/bookctl/internal/image"
	"github.com/bookctl/bookctl/internal/tinyimage"
)

// shop is a Go module that is not ours: a service that greets.
func shop(t *testing.T, greeting string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	for name, text := range map[string]string{
		"go.mod":                            "module example.com/shop\n\ngo 1.26\n\nrequire example.com/words v1.0.0\n",
		"vendor/modules.txt":                "# example.com/words v1.0.0\n## explicit; go 1.26\nexample.com/words\n",
		"vendor/example.com/words/words.go": "package words\n\nconst Greeting = \"" + greeting + "\"\n",
		"cmd/server/main.go": `package main

import (
	"fmt"
	"net/http"
	"os"

	"example.com/words"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "migrate" {
		return
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, words.Greeting) })
	fmt.Println(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
}
`,
	} {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// in runs bookctl in a directory.
func (s *shell) in(dir string, args ...string) result {
	s.t.Helper()
	s.at = dir
	defer func() { s.at = "" }()
	return s.run(args...)
}

// greets holds what the service at a URL says.
func greets(t *testing.T, url, want string) {
	t.Helper()
	if code, body := call(t, "GET", url+"/", ""); code != 200 || body != want {
		t.Errorf("GET /: %d %q, want %q", code, body, want)
	}
}

// imageOf is the image of a module, with its layers compressed in another way.
func imageOf(t *testing.T, dir, arch string, how ...tarball.LayerOption) v1.Image {
	t.Helper()
	from, err := image.Build(t.Context(), image.Source{Dir: dir, Package: "./cmd/server", Name: "server", Arch: arch})
	if err != nil {
		t.Fatal(err)
	}
	layers, err := from.OCI.Layers()
	if err != nil {
		t.Fatal(err)
	}
	out := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, l := range layers {
		again, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return l.Uncompressed() }, how...)
		if err != nil {
			t.Fatal(err)
		}
		if out, err = mutate.AppendLayers(out, again); err != nil {
			t.Fatal(err)
		}
	}
	was, err := from.OCI.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	is, err := out.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	is = is.DeepCopy()
	is.OS, is.Architecture, is.Config = was.OS, was.Architecture, was.Config
	if out, err = mutate.ConfigFile(out, is); err != nil {
		t.Fatal(err)
	}
	return out
}

// save writes images as docker save does.
func save(t *testing.T, images map[string]v1.Image) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "app.tar")
	if err := tinyimage.Archive(file, images); err != nil {
		t.Fatal(err)
	}
	return file
}

// buildsDockerfiles reports whether this machine has a builder that works.
func buildsDockerfiles() bool {
	for _, builder := range [][]string{{"docker", "buildx", "inspect"}, {"podman", "info"}, {"buildah", "info"}} {
		if exec.Command(builder[0], builder[1:]...).Run() == nil {
			return true
		}
	}
	return false
}

// TestWhatPeopleHaveIsDeployed takes one stack through all that an image can be made of.
func TestWhatPeopleHaveIsDeployed(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	// The builder keeps what it builds in this home.
	conf := filepath.Join(s.dir, "storage.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", s.dir+"/graph", s.dir+"/run"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.env = append(s.env, "CONTAINERS_STORAGE_CONF="+conf)
	s.must("local", "start")
	before := s.inventory()
	other := "arm64"
	if runtime.GOARCH == other {
		other = "amd64"
	}
	one, two := imageOf(t, shop(t, "one"), runtime.GOARCH), imageOf(t, shop(t, "two"), runtime.GOARCH)
	elsewhere := imageOf(t, shop(t, "elsewhere"), other)

	// What can't be meant is refused before there is anything.
	both := save(t, map[string]v1.Image{"shop:1": one, "shop:2": two})
	several := shop(t, "several")
	if err := os.CopyFS(filepath.Join(several, "cmd/other"), os.DirFS(filepath.Join(several, "cmd/server"))); err != nil {
		t.Fatal(err)
	}
	broken := shop(t, "broken")
	if err := os.WriteFile(filepath.Join(broken, "cmd/server/broken.go"), []byte("package main\n\nvar _ = nowhere\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	bare := t.TempDir()
	for _, c := range []struct {
		args []string
		code int
		says []string
	}{
		{[]string{"--image", "docker-archive:" + both}, 1, []string{"it holds 2 images: ", "shop:1", "shop:2", "next: choose one by its name, as in --image docker-archive:" + both + ":"}},
		{[]string{"--image", "docker-archive:" + save(t, map[string]v1.Image{"shop:1": elsewhere})}, 1, []string{"it is for " + other + " and the tasks are " + runtime.GOARCH, "next: use --arch " + other}},
		{[]string{"--image", "oci:" + bare}, 1, []string{"it is not an OCI layout"}},
		{[]string{"--image", "docker-archive:" + bare + "/none.tar"}, 1, []string{"file does not exist"}},
		{[]string{"--source", several}, 1, []string{"has 2 main packages: ./cmd/other, ./cmd/server", "next: choose one with --package"}},
		{[]string{"--source", broken}, 1, []string{"undefined: nowhere", "next: fix the source"}},
		{[]string{"--source", bare}, 1, []string{"there is no Go module in " + bare, "--dockerfile FILE"}},
		{[]string{"--source", several, "--image", "nginx"}, 64, []string{"--image and --source name two images"}},
		{[]string{"--dockerfile", "Dockerfile", "--package", "./x"}, 64, []string{"--package and --dockerfile name two images"}},
	} {
		for _, command := range []string{"plan", "up"} {
			s.run(append([]string{command, "--local"}, c.args...)...).says(t, c.code, c.says...)
		}
	}
	if after := s.inventory(); strings.Join(after, "\n") != strings.Join(before, "\n") {
		t.Errorf("what was refused left %v", after)
	}

	module := shop(t, "hello")
	planned := s.run("plan", "--local", "--source", module)
	planned.says(t, 2, "built server in ")
	url := s.up("--source", module)
	greets(t, url, "hello")
	unchanged := func(args ...string) {
		t.Helper()
		s.run(append([]string{"up", "--local"}, args...)...).says(t, 0, "Up to date", "0 changed")
		if r := s.run(append([]string{"plan", "--local"}, args...)...); r.code != 0 {
			t.Errorf("plan after that: exit code %d\n%s%s", r.code, r.out, r.err)
		}
	}
	unchanged("--source", module)
	unchanged() // what was said of the source is kept, as all settings are
	if r := s.in(module, "up", "--local", "--source", "."); r.code != 0 || !strings.Contains(r.err, "0 created, 1 updated") {
		t.Errorf("the same source, called otherwise: exit code %d\n%s", r.code, r.err)
	}
	s.in(module, "up", "--local").says(t, 0, "Up to date", "0 changed")
	// Somebody who is elsewhere does not deploy what is there by accident.
	another := shop(t, "other")
	if err := os.WriteFile(filepath.Join(another, "go.mod"), []byte("module example.com/other\n\ngo 1.26\n\nrequire example.com/words v1.0.0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.in(another, "up", "--local").says(t, 1, "example.com/shop/cmd/server", "next: the stack runs example.com/shop/cmd/server, which is not here")
	s.in(module, "up", "--local", "--dockerfile", "Nofile").says(t, 1, "there is no Dockerfile Nofile", "next: name a file that is there with --dockerfile FILE; or keep the image that was deployed last, with --image ")
	// What is found by itself is not in the file that init writes.
	s.in(module, "init", "--local", "--deployed").says(t, 0, "bookctl.yaml is written")
	if text, err := os.ReadFile(filepath.Join(module, "bookctl.yaml")); err != nil || !strings.Contains(string(text), "\nsource: .\n") || strings.Contains(string(text), "package") {
		t.Errorf("init wrote %s, %v", text, err)
	}
	if err := os.Remove(filepath.Join(module, "bookctl.yaml")); err != nil {
		t.Fatal(err)
	}

	// What a Dockerfile makes, by the builder that is here.
	static := exec.CommandContext(t.Context(), "go", "build", "-C", module, "-o", "app", "./cmd/server")
	static.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := static.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(module, "Containerfile"), []byte("FROM scratch\nCOPY app /app\nENV PORT=8080\nEXPOSE 8080\nENTRYPOINT [\"/app\"]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := s.in(module, "plan", "--local", "--dockerfile", "Containerfile"); buildsDockerfiles() {
		r.says(t, 2, "built Containerfile in ")
		s.in(module, "up", "--local", "--dockerfile", "Containerfile").says(t, 0, "built Containerfile in ")
		greets(t, url, "hello")
		s.in(module, "up", "--local").says(t, 0, "built Containerfile in ", "0 changed")
	} else {
		r.says(t, 1, "nothing on this machine builds a Dockerfile", "next: ")
	}

	// A layout whose layers are zstd's, and an index of two architectures.
	zstd := filepath.Join(t.TempDir(), "zstd")
	at, err := layout.Write(zstd, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: elsewhere, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: other}}},
		mutate.IndexAddendum{Add: imageOf(t, shop(t, "zstd"), runtime.GOARCH, tarball.WithCompression(compression.ZStd), tarball.WithMediaType(types.OCILayerZStd)),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: runtime.GOARCH}}},
	)
	if err := at.AppendIndex(index); err != nil {
		t.Fatal(err)
	}
	url = s.up("--image", "oci:"+zstd)
	greets(t, url, "zstd")
	unchanged("--image", "oci:"+zstd)
	unchanged()

	// One of two, compressed.
	gz := both + ".gz"
	if out, err := exec.CommandContext(t.Context(), "gzip", "--keep", both).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.run("plan", "--local", "--image", "docker-archive:"+gz+":shop:2").says(t, 2, "read docker-archive:")
	greets(t, s.up("--image", "docker-archive:"+gz+":shop:2"), "two")
	unchanged()

	// Back, and forward again by what is kept of it; and it stays when its file is gone.
	s.must("rollback", "--local")
	greets(t, url, "zstd")
	s.up()
	greets(t, url, "two")
	if err := os.Remove(gz); err != nil {
		t.Fatal(err)
	}
	s.run("up", "--local").says(t, 0, "of which the deployed image was made, is not here: the image is kept", "0 changed")
	s.run("up", "--local", "--image", "docker-archive:"+gz+":shop:2").says(t, 1, "file does not exist")
	greets(t, url, "two")
	s.up("--stack", "books")
	s.in(module, "up", "--local", "--stack", "books").says(t, 1, "the stack runs bookapi, and this directory contains example.com/shop/cmd/server", "next: deploy it in its place with 'bookctl up ")
	s.must("destroy", "--local", "--stack", "books", "--yes", "--purge-snapshots")
	s.must("destroy", "--local", "--yes", "--purge-snapshots")
	if after := s.inventory(); strings.Join(after, "\n") != strings.Join(before, "\n") {
		t.Errorf("destroyed, it left %v", after)
	}
}

// TestAnImageThatIsRefusedLeavesNothingUnpacked has one that no container can be started of.
func TestAnImageThatIsRefusedLeavesNothingUnpacked(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	temporary, dir := t.TempDir(), t.TempDir()
	s := newShell(t, "TMPDIR="+temporary)
	image, err := mutate.ConfigFile(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH})
	if err != nil {
		t.Fatal(err)
	}
	packed, err := layout.Write(filepath.Join(dir, "layout"), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := packed.AppendImage(image); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "app.tar")
	if out, err := exec.CommandContext(t.Context(), "tar", "-C", filepath.Join(dir, "layout"), "-cf", file, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.must("local", "start")
	for _, command := range []string{"plan", "up"} {
		s.run(command, "--local", "--image", "oci-archive:"+file).says(t, 1, "the image has neither ENTRYPOINT nor CMD")
		if left, err := filepath.Glob(filepath.Join(temporary, "bookctl-oci-*")); len(left) > 0 || err != nil {
			t.Errorf("%s left %v, %v", command, left, err)
		}
	}
}
