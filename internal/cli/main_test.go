package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/image"
)

var (
	// program is the bookctl under test: the real one, built once as releases are.
	program string
	// shared are the caches of the go tool, and the one in which bookctl keeps the
	// bookapi that it built. Homes have none of their own: no test is about them.
	shared []string
)

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "bookctl-test-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	// Tasks and databases of the local cloud run as other users.
	if err := os.Chmod(dir, 0o755); err != nil {
		return 0, err
	}
	if program, err = compile(filepath.Join(dir, "bookctl"), "CGO_ENABLED=0"); err != nil {
		return 0, err
	}
	goEnv, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		return 0, fmt.Errorf("find the caches of the go tool: %w", err)
	}
	paths := strings.Fields(string(goEnv))
	root, err := filepath.Abs("../..") // as the runs name it, by which the cache knows the source
	if err != nil {
		return 0, err
	}
	shared = []string{"GOCACHE=" + paths[0], "GOMODCACHE=" + paths[1], "GOFLAGS=-mod=mod", "XDG_CACHE_HOME=" + filepath.Join(dir, "cache")}
	if flag.Parse(); !testing.Short() {
		// The first build of bookapi takes the compiler a minute, which no test that
		// gives a run so much time should be the one to meet.
		if _, err := image.Build(context.Background(), image.Source{Dir: root, Arch: runtime.GOARCH, Cache: filepath.Join(dir, "cache", "bookctl")}); err != nil {
			return 0, err
		}
	}
	return m.Run(), nil
}

// compile builds bookctl at path, with a variable set in the environment.
func compile(path, env string, flags ...string) (string, error) {
	cmd := exec.Command("go", slices.Concat([]string{"build", "-o", path}, flags, []string{"../../cmd/bookctl"})...)
	cmd.Env = append(os.Environ(), env)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build bookctl: %w\n%s", err, out)
	}
	return path, nil
}

// raced builds the program with the race detector in it, as the tests of other packages
// are compiled. The main job is tried with it; package kill has up and destroy, and the
// whole local cloud, under it as well.
func raced(t *testing.T) string {
	t.Helper()
	path, err := compile(filepath.Join(t.TempDir(), "bookctl"), "CGO_ENABLED=1", "-race")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// shell runs bookctl with a home of its own.
type shell struct {
	t       *testing.T
	dir     string // the home
	env     []string
	program string
	at      string // where it runs; "" is where the test does
}

// newShell makes an empty home. Whatever local cloud was started in it is
// stopped at the end of the test.
func newShell(t *testing.T, env ...string) *shell {
	t.Helper()
	dir, err := os.MkdirTemp("", "bookctl-home-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &shell{t: t, dir: dir, program: program, env: slices.Concat([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TZ=UTC"}, shared, env)}
	t.Cleanup(func() {
		s.t = t
		if r := s.run("local", "stop", "--purge", "--yes"); r.code != 0 {
			t.Errorf("local stop: %s", r.err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return s
}

// result is what a command did.
type result struct {
	out, err string
	code     int
}

func (s *shell) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.program, args...)
	cmd.Env, cmd.Dir = s.env, s.at
	// A local cloud that was left running must not keep the test's pipes open.
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func (s *shell) run(args ...string) result {
	s.t.Helper()
	var out, errs bytes.Buffer
	cmd := s.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("bookctl %s: %v", strings.Join(args, " "), err)
	}
	if slices.Contains(args, "json") && !slices.Contains(args, "aws") {
		if err := fitsSchema(out.String()); err != nil {
			s.t.Errorf("bookctl %s: %v", strings.Join(args, " "), err)
		}
	}
	r := result{out: out.String(), err: errs.String(), code: cmd.ProcessState.ExitCode()}
	r.checkPrintedCommands(s.t, args)
	return r
}

// must runs a command that has to succeed, and returns its standard output.
func (s *shell) must(args ...string) string {
	s.t.Helper()
	r := s.run(args...)
	if r.code != 0 {
		s.t.Fatalf("bookctl %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.err)
	}
	return r.out
}

// up runs up and returns the URL.
func (s *shell) up(args ...string) string {
	s.t.Helper()
	out := strings.TrimSpace(s.must(append([]string{"up", "--local"}, args...)...))
	url := out[strings.LastIndex(out, "\n")+1:]
	if !strings.HasPrefix(url, "http") {
		s.t.Fatalf("the last line of stdout is %q and not a URL", url)
	}
	return url
}

// call makes a request and returns the code and body of the answer.
func call(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// until waits for a condition that comes about by itself.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for range 1200 {
		if condition() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("not within a minute: %s", what)
}

// noImage is the reference of an image that is nowhere.
var noImage = "127.0.0.1:1/none@sha256:" + strings.Repeat("a", 64)

// imageless are the flags of an up that is about all but the tasks. The image can't say
// how it is run, and so the flags do.
func imageless() []string {
	return []string{
		"--wait=false", "--arch", runtime.GOARCH, "--image", noImage, "--health-path", "/startupz", "--health-status", "200", "--health-grace", "30",
		"--health-command", `["/bookapi","-healthcheck"]`, "--user", "65532:65532", "--read-only-root",
	}
}

// proc is a process: its program, arguments and parent.
type proc struct {
	parent int
	line   string
}

// processes lists all that run on this machine.
func processes(t *testing.T) map[int]proc {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Skip("no /proc here")
	}
	out := map[int]proc{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue // it has ended
		}
		cmdline, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil {
			continue
		}
		// The name in the second field may hold anything; the parent comes
		// second after it: proc(5).
		var p proc
		after := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(after) < 2 || after[0] == "Z" {
			continue
		}
		if p.parent, err = strconv.Atoi(after[1]); err != nil {
			t.Fatal(err)
		}
		exe, _ := os.Readlink(filepath.Join("/proc", e.Name(), "exe")) // unreadable for the kernel's own
		p.line = exe + " " + strings.ReplaceAll(string(cmdline), "\x00", " ")
		out[pid] = p
	}
	return out
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}
