package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bookctl/bookctl/internal/tinyimage"
)

// newSite is a stack whose tasks are containers of an engine, with a shell, and take commands.
func newSite(t *testing.T) *shell {
	t.Helper()
	engine := containers(t)
	s := newShell(t)
	s.must("local", "start", "--engine", engine)
	s.up("--exec", "--no-database", "--stop-timeout", "2", "--image", inRegistry(t, done[v1.Image](t)(tinyimage.Of(runtime.GOARCH, v1.Config{
		Cmd: []string{"httpd", "-f", "-p", "8000", "-h", "/www"}, ExposedPorts: map[string]struct{}{"8000/tcp": {}},
	}, done[v1.Layer](t)(tinyimage.Busybox("cat", "httpd", "printf")), done[v1.Layer](t)(tinyimage.Layer(tinyimage.File{Name: "www/index.html", Content: "welcome\n"}))))))
	return s
}

// TestACommandReachesATaskWordForWord runs commands whose words hold what the agent in the
// container would take apart, as it does on AWS.
func TestACommandReachesATaskWordForWord(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newSite(t)
	s.run("exec", "--local", "--", "sh", "-c", "cd /www && cat index.html && exit 6").says(t, 6)
	if got := s.run("exec", "--local", "--", "sh", "-c", "cd /www && cat index.html").out; got != "welcome\n" {
		t.Errorf("two commands of a shell say %q", got)
	}
	if got, want := s.run("exec", "--local", "--", "printf", "%s|", "a b", "it's", "", `"x"`, `back\slash`, "#", "$HOME", "*").out, `a b|it's||"x"|back\slash|#|$HOME|*|`; got != want {
		t.Errorf("the words arrive as %q, want %q", got, want)
	}
}

// onAWS is a shell whose local cloud stands in for AWS: commands without --local reach it,
// and sessions go through a session-manager-plugin.
func (s *shell) onAWS(t *testing.T) *shell {
	t.Helper()
	cfg := s.config()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "session-manager-plugin"), "./testdata/plugin")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, out)
	}
	on := *s
	on.env = []string{"AWS_ENDPOINT_URL=" + *cfg.BaseEndpoint, "AWS_REGION=" + cfg.Region, "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local"}
	for _, v := range s.env {
		if path, is := strings.CutPrefix(v, "PATH="); is {
			v = "PATH=" + dir + string(filepath.ListSeparator) + path
		}
		on.env = append(on.env, v)
	}
	return &on
}

// TestACommandOnAWSNeedsNoTerminal runs commands through a session-manager-plugin, which
// ends with its standard input and exits with 0 whatever happens.
func TestACommandOnAWSNeedsNoTerminal(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newSite(t).onAWS(t)
	if r := s.run("exec", "--", "slow"); r.code != 0 || !strings.Contains(r.out, "done\n") {
		t.Errorf("a command that reads nothing: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	for _, typed := range []string{"one\ntwo\n", "half a line", ""} {
		cmd := s.command("exec", "--", "cat")
		cmd.Stdin = strings.NewReader(typed)
		if out, err := cmd.Output(); err != nil || !strings.Contains(string(out), "\n"+typed+"\n\nExiting session") {
			t.Errorf("of %q the command says %q, %v", typed, out, err)
		}
	}
	s.run("exec", "--", "/no/such").says(t, 1, "the command did not run to its end: Unable to start command: Failed to start pty: fork/exec /no/such: no such file or directory", "next: 'bookctl status' shows the state of the tasks")
	s.run("exec", "--", "broken").says(t, 1, "Cannot perform start session: unable to determine SessionType", "bookctl run")
}
