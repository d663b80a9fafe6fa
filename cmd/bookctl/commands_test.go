package main_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScriptsAgainstTheLocalCloud runs testdata/local, each script with a cloud
// of its own.
func TestScriptsAgainstTheLocalCloud(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	needAWS(t)
	source, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	env := []string{"SOURCE=" + source, "BOOKCTL_LOCAL_DIR=" + filepath.Join(dir, "cloud"), "BROWSER="}
	goEnv, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	cache := strings.Fields(string(goEnv))
	env = append(env, "GOCACHE="+cache[0], "GOMODCACHE="+cache[1], "GOFLAGS=-mod=mod")
	t.Cleanup(func() {
		stop := exec.Command(program, "local", "stop", "--purge", "--yes")
		stop.Env = append(os.Environ(), env...)
		if out, err := stop.CombinedOutput(); err != nil {
			t.Errorf("local stop: %v\n%s", err, out)
		}
	})
	scripts(t, "testdata/local/*.txtar", func(e *testscript.Env) { e.Vars = append(e.Vars, env...) })
}

func TestARefusedUpStartsNoLocalCloud(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }() // nobody is on it
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	for want, args := range map[string][]string{
		"port " + port + " is in use": {"--port", port},
		"cpu 3":                       {"--cpu", "3"},
	} {
		r := s.run(append([]string{"up", "--local"}, args...)...)
		if r.code != 64 || r.out != "" || !strings.Contains(r.err, want) || !strings.Contains(r.err, "\nnext: ") {
			t.Errorf("up --local %s: exit %d, %q, %s", args, r.code, r.out, r.err)
		}
		if status := s.run("local", "status"); !strings.Contains(status.out+status.err, "not running") {
			t.Errorf("up --local %s left a local cloud: %s%s", args, status.out, status.err)
		}
	}
}

// TestReleasesAndPasswordsChangeWithoutAFailedRequest goes back to the release
// before and gives the database a new password, both under load; and holds
// status to its calls.
func TestReleasesAndPasswordsChangeWithoutAFailedRequest(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	needAWS(t)
	t.Parallel()
	s := newShell(t)
	url := s.up()
	s.up("--source", changedSource(t), "--count", "2")
	if code, body := call(t, "POST", url+"/books", `{"name":"Dune","author":"Frank Herbert"}`); code != http.StatusCreated {
		t.Fatalf("POST: %d %s", code, body)
	}
	load := startLoad(t, url+"/books/Dune", 8)

	before := s.secret(t)
	out := s.must("db", "rotate-password", "--local", "--output", "json")
	if err := fitsSchema(out); err != nil {
		t.Error(err)
	}
	after := s.secret(t)
	if before.Password == after.Password {
		t.Error("the password is the same")
	}
	if got := s.psql(t, after, "select author from books where name = 'Dune'"); got != "Frank Herbert" {
		t.Errorf("psql with the new password: %q", got)
	}

	out = s.must("rollback", "--local", "--output", "json")
	if err := fitsSchema(out); err != nil {
		t.Error(err)
	}
	load.unharmed(t)
	r := s.run("status", "--local")
	if r.code != 0 || !strings.Contains(r.out, "2/2 running, book-bookapi:3") || !strings.Contains(r.out, "rolled back from revision 2") {
		t.Errorf("after the rollback: exit code %d\n%s%s", r.code, r.out, r.err)
	}

	t.Run("status makes few calls, all reads", func(t *testing.T) {
		var info struct{ Endpoint, Region string }
		decode(t, s.must("local", "status", "--output", "json"), &info)
		wire := watchWire(t, info.Endpoint)
		cmd := s.command("status")
		cmd.Env = append(cmd.Env, "AWS_ENDPOINT_URL="+wire.url, "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_REGION="+info.Region)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "about $") {
			t.Fatalf("status: %v\n%s", err, out)
		}
		reads, writes := wire.take()
		if len(writes) > 0 || len(reads) >= mostStatusCalls || len(reads) < 20 {
			t.Errorf("%d reads, %d writes: %s %s", len(reads), len(writes), fmt.Sprint(reads), fmt.Sprint(writes))
		}
	})

	// A second way back is the way forward again.
	if r := s.run("rollback", "--local", "--to", "99"); r.code != 1 || !strings.Contains(r.err, "there are 3, 2, 1") {
		t.Errorf("rollback to what is not there: exit code %d\n%s", r.code, r.err)
	}
}

// TestWhatIsWatchedIsShownAsItHappens follows the logs and the status, both of
// which end by Ctrl-C as they should.
func TestWhatIsWatchedIsShownAsItHappens(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	needAWS(t)
	t.Parallel()
	s := newShell(t)
	url := s.up()
	watch := func(args ...string) (shows func(string) func() bool, end func()) {
		t.Helper()
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		cmd := s.command(args...)
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		shows = func(want string) func() bool {
			return func() bool {
				text, err := os.ReadFile(out.Name())
				return err == nil && strings.Contains(string(text), want)
			}
		}
		return shows, func() {
			t.Helper()
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("%s, interrupted: %v", args, err)
			}
			if err := out.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	// Before any of it: what would take all data is asked for, and here is nobody to ask.
	if r := s.run("local", "stop", "--purge"); r.code != 64 || !strings.Contains(r.err, "--yes") {
		t.Errorf("local stop --purge: exit code %d, %s", r.code, r.err)
	}
	if code, _ := call(t, "GET", url+"/healthz", ""); code != http.StatusOK {
		t.Errorf("after a purge that nobody confirmed: %d", code)
	}
	logs, endLogs := watch("logs", "--local", "--follow")
	status, endStatus := watch("status", "--local", "--watch", "--interval", "1s")
	until(t, "the status shows the stack", status("1/1 running"))
	if status("Drift")() || logs("/books/followed")() {
		t.Error("what has not happened yet is shown")
	}
	call(t, "GET", url+"/books/followed", "")
	s.aws("ecs", "update-service", "--cluster", "book-cluster", "--service", "book-service", "--desired-count", "2")
	until(t, "the logs show the request", logs("/books/followed"))
	until(t, "the status shows the drift", status("Drift      service: count: 2 → 1"))
	endLogs()
	endStatus()
}

// mostStatusCalls bounds what a status asks of AWS.
const mostStatusCalls = 40
