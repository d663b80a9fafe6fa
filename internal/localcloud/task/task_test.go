package task_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/bookctl/bookctl/internal/localcloud/process"
	"github.com/bookctl/bookctl/internal/localcloud/registry"
	"github.com/bookctl/bookctl/internal/localcloud/task"
)

// The test's own program is also the program in its images.
func TestMain(m *testing.M) {
	if mode := os.Getenv("TASK_TEST_MODE"); mode != "" {
		os.Exit(contained(mode))
	}
	os.Exit(m.Run())
}

func contained(mode string) int {
	if len(os.Args) == 2 && os.Args[1] == "health" {
		return 4
	}
	switch mode {
	case "show":
		dir, _ := os.Getwd() // an error shows as an empty directory
		fmt.Println("args", strings.Join(os.Args[1:], ","))
		fmt.Println("dir", filepath.Base(dir))
		fmt.Println("uid", os.Getuid(), os.Getgid())
		config, _ := os.ReadFile(os.Getenv("CONFIG")) // shows as empty
		fmt.Fprintf(os.Stderr, "config %s\n", config)
		fmt.Print("port ", os.Getenv("PORT")) // a last line without an end
		return 3
	case "serve":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
		if err != nil {
			fmt.Println(err)
			return 1
		}
		defer func() { _ = l.Close() }()
		fmt.Println("listening")
		<-stop
		fmt.Println("stopped")
		return 0
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("listening")
		time.Sleep(time.Hour) // Go ends a program that blocks without a timer, as a deadlock
	}
	return 99
}

func TestAContainerRunsAsItsImageSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(t, "app:v1", v1.Config{
		Entrypoint: []string{"/app/link"}, Cmd: []string{"-a", "-b"}, WorkingDir: "/app", User: "1234:2345",
		Env: []string{"CONFIG=/etc/app.conf", "TASK_TEST_MODE=show"},
	})
	c, out := w.run(t, "app:v1", task.Spec{})
	<-c.Done()
	want := []string{"args -a,-b", "dir app", "uid 1234 2345", "config contained", "port " + strconv.Itoa(c.Port)}
	if os.Geteuid() != 0 {
		want[2] = fmt.Sprint("uid ", os.Getuid(), os.Getgid())
	}
	slices.Sort(want)
	got := out.all()
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("output, want → got:\n%s", diff)
	}
	if c.ExitCode() != 3 {
		t.Errorf("exit code %d, want 3", c.ExitCode())
	}
}

func TestStopLetsAContainerFinish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(t, "app:v1", v1.Config{Entrypoint: []string{"/app/program"}, User: "nonroot"})
	c, out := w.run(t, "app:v1", task.Spec{Environment: map[string]string{"TASK_TEST_MODE": "serve"}})
	out.await(t, "listening")
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", c.Port))
	if err != nil {
		t.Fatalf("its port does not answer: %v", err)
	}
	_ = conn.Close()
	if code, err := c.Exec(t.Context(), "/app/program", "health"); err != nil || code != 4 {
		t.Errorf("a program run inside: exit code %d, %v; want 4", code, err)
	}
	c.Stop(t.Context(), time.Minute)
	if c.ExitCode() != 0 || !slices.Contains(out.all(), "stopped") {
		t.Errorf("exit code %d, output %q", c.ExitCode(), out.all())
	}

	c, out = w.run(t, "app:v1", task.Spec{Environment: map[string]string{"TASK_TEST_MODE": "stubborn"}})
	out.await(t, "listening")
	c.Stop(t.Context(), 10*time.Millisecond)
	if c.ExitCode() != 137 {
		t.Errorf("a container that ignores SIGTERM: exit code %d, want 137", c.ExitCode())
	}
}

func TestReapEndsTheContainersOfADeadCloud(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(t, "app:v1", v1.Config{Entrypoint: []string{"/app/program"}})
	pids := t.TempDir()
	c, out := w.run(t, "app:v1", task.Spec{
		Environment: map[string]string{"TASK_TEST_MODE": "serve"}, PIDFile: filepath.Join(pids, "one.pid"),
	})
	out.await(t, "listening")
	if err := w.images.Reap(pids); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if process.Alive(c.PID()) {
		t.Error("it still runs")
	}
}

func TestFailuresReadAsECSWordsThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(t, "app:v1", v1.Config{Entrypoint: []string{"/no/such/program"}})
	platform := v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
	other := v1.Platform{OS: "linux", Architecture: "riscv64"}
	pull := func(ref string, platform v1.Platform) error {
		_, err := w.images.Pull(t.Context(), ref, platform, task.Login{})
		return err
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{pull(w.host+"/app:v2", platform), "failed to resolve ref " + w.host + "/app:v2: " + w.host + "/app:v2: not found"},
		{pull("127.0.0.1:1/app:v1", platform), "CannotPullContainerError: pull image manifest has been retried 7 time(s): "},
		{pull("Not A Reference", platform), "CannotPullContainerError: "},
		{pull(w.host+"/app:v1", other), "image Manifest does not contain descriptor matching platform 'linux/riscv64'"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("error %v, want %q in it", c.err, c.want)
		}
	}
	image, err := w.images.Pull(t.Context(), w.host+"/app:v1", platform, task.Login{})
	if err != nil {
		t.Fatal(err)
	}
	want := `CannotStartContainerError: exec: "/no/such/program": no such file or directory`
	if _, err := task.Start(task.Spec{Image: image}); err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
	// A program of this machine is not the image's.
	if _, err := task.Start(task.Spec{Image: image, Entrypoint: []string{"/bin/sh"}}); err == nil {
		t.Error("a program from outside the image was started")
	}
}

// TestALayerThatCantBeReadFails has a registry that does not give out the base of an image,
// whose files come last.
func TestALayerThatCantBeReadFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	base := layer(t, []tar.Header{{Name: "app/program", Typeflag: tar.TypeReg, Mode: 0o755}}, nil)
	upper := layer(t, []tar.Header{{Name: "etc/app.conf", Typeflag: tar.TypeReg, Mode: 0o644}}, nil)
	write(t, w.host+"/app:v1", v1.Config{
		Entrypoint: []string{"/app/program"}, Labels: map[string]string{"io.github.bookctl.listens-on-port": "true"},
	}, base, upper)
	digest, err := base.Digest()
	if err != nil {
		t.Fatal(err)
	}
	w.withhold(digest)
	platform := v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
	if _, err := w.images.Pull(t.Context(), w.host+"/app:v1", platform, task.Login{}); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("an image whose base can't be read was pulled: error %v, want status 403 in it", err)
	}
	remote, err := task.Fetch(t.Context(), w.host+"/app:v1", platform, task.Login{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.ListensOnPORT(); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("whether a program in that base listens on PORT: error %v, want status 403 in it", err)
	}
}

func TestHostileLayersStayInside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	outside := filepath.Join(t.TempDir(), "outside")
	for i, entries := range [][]tar.Header{
		{{Name: "../../../../../../../.." + outside, Typeflag: tar.TypeReg}},
		{{Name: "link", Typeflag: tar.TypeSymlink, Linkname: filepath.Dir(outside)}, {Name: "link/outside", Typeflag: tar.TypeReg}},
		{{Name: "hard", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}},
	} {
		ref := fmt.Sprintf("%s/app:hostile%d", w.host, i)
		write(t, ref, v1.Config{}, layer(t, entries, nil))
		// Refused or kept inside: both are safe, writing outside is not.
		_, err := w.images.Pull(t.Context(), ref, v1.Platform{OS: "linux", Architecture: runtime.GOARCH}, task.Login{})
		t.Logf("hostile layer %d: %v", i, err)
		if _, err := os.Lstat(outside); err == nil {
			t.Fatalf("hostile layer %d wrote %s", i, outside)
		}
		if i == 2 && err == nil {
			t.Error("a link to this machine's password file was made")
		}
	}
}

type world struct {
	host     string
	images   *task.Images
	withheld atomic.Value // the digest of the layer that the registry does not give out
}

func (w *world) withhold(layer v1.Hash) { w.withheld.Store(layer.String()) }

type anything struct{}

func (anything) Repository(string) (exists bool, immutable func(string) bool) {
	return true, func(string) bool { return false }
}
func (anything) Pushed(string) {}

func newWorld(t *testing.T) *world {
	t.Helper()
	reg, err := registry.Open(t.TempDir(), anything{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if layer, ok := w.withheld.Load().(string); ok && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, layer) {
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		reg.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	state := t.TempDir()
	// As root the containers run as other users, who must be let in.
	if err := os.Chmod(filepath.Dir(state), 0o711); err != nil {
		t.Fatal(err)
	}
	images, err := task.OpenImages(state)
	if err != nil {
		t.Fatal(err)
	}
	w.host, w.images = strings.TrimPrefix(server.URL, "http://"), images
	return w
}

func (w *world) push(t *testing.T, ref string, config v1.Config) {
	t.Helper()
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	write(t, w.host+"/"+ref, config, layer(t, []tar.Header{
		{Name: "app", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "app/program", Typeflag: tar.TypeReg, Mode: 0o755},
		{Name: "app/link", Typeflag: tar.TypeSymlink, Linkname: "/app/program"},
		{Name: "etc/app.conf", Typeflag: tar.TypeReg, Mode: 0o600},
		{Name: "etc/passwd", Typeflag: tar.TypeReg, Mode: 0o644},
	}, map[string]string{
		"app/program": string(program), "etc/app.conf": "contained", "etc/passwd": "nonroot:x:65532:65532::/:/none\n",
	}))
}

func layer(t *testing.T, entries []tar.Header, content map[string]string) v1.Layer {
	t.Helper()
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	for _, entry := range entries {
		entry.Size = int64(len(content[entry.Name]))
		if err := w.WriteHeader(&entry); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content[entry.Name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(text.Bytes())), nil
	}, tarball.WithCompressionLevel(1))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func write(t *testing.T, ref string, config v1.Config, layers ...v1.Layer) {
	t.Helper()
	image, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", runtime.GOARCH, config
	if image, err = mutate.ConfigFile(image, file); err != nil {
		t.Fatal(err)
	}
	parsed, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(parsed, image); err != nil {
		t.Fatal(err)
	}
}

func (w *world) run(t *testing.T, ref string, spec task.Spec) (*task.Container, *output) {
	t.Helper()
	image, err := w.images.Pull(t.Context(), w.host+"/"+ref, v1.Platform{OS: "linux", Architecture: runtime.GOARCH}, task.Login{})
	if err != nil {
		t.Fatal(err)
	}
	out := &output{}
	spec.Image, spec.Output = image, out.add
	c, err := task.Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop(context.Background(), 0) })
	return c, out
}

type output struct {
	mu    sync.Mutex
	lines []string
}

func (o *output) add(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, line)
}

func (o *output) all() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.lines)
}

func (o *output) await(t *testing.T, line string) {
	t.Helper()
	for range 2000 {
		if slices.Contains(o.all(), line) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("no line %q in %q", line, o.all())
}
