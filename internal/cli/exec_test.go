package cli_test

import (
	"runtime"
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
