package cli_test

import (
	"io"
	"log"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/bookctl/bookctl/internal/moto"
)

// openRegistry serves an empty registry until the end of the test, and returns its
// host and port.
func openRegistry(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// readyImage puts an image that says it is for amd64 into a registry of its own
// and returns the reference.
func readyImage(t testing.TB) string {
	t.Helper()
	return configured(t, &v1.ConfigFile{OS: "linux", Architecture: "amd64", Config: v1.Config{Entrypoint: []string{"/app"}}})
}

// configured puts an image of a config and nothing else into a registry of its own and
// returns the reference.
func configured(t testing.TB, config *v1.ConfigFile) string {
	t.Helper()
	image, err := mutate.ConfigFile(empty.Image, config)
	if err != nil {
		t.Fatal(err)
	}
	return inRegistry(t, image)
}

// inRegistry puts an image into a registry of its own and returns the reference.
func inRegistry(t testing.TB, image v1.Image) string {
	t.Helper()
	ref, err := name.ParseReference(openRegistry(t) + "/bookapi:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	return ref.String()
}

func TestALiveViewFitsItsTerminalAndLeavesNoTrace(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	// moto never starts a task: up waits for as long as it is let.
	s := newShell(t, "AWS_ENDPOINT_URL="+moto.Start(t), "AWS_ACCESS_KEY_ID=t", "AWS_SECRET_ACCESS_KEY=t", "AWS_REGION=us-east-1", "TERM=xterm-256color")
	image := readyImage(t)
	for _, cols := range []int{80, 200} {
		m := openTerminal(t, s.command("up", "--image", image), cols, 24)
		shows := func(what string) {
			t.Helper()
			until(t, what+" is on the screen:\n"+m.screen(), func() bool { return strings.Contains(m.screen(), what) })
		}
		fits := func() {
			t.Helper()
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.wrapped || m.hidden {
				t.Errorf("at %d columns: a line too long (%v), or the cursor hidden (%v):\n%s", m.cols, m.wrapped, m.hidden, m.show(0))
			}
		}
		shows("0/1 running")
		shows("of about 1m15s")
		m.mu.Lock()
		m.wrapped = false // by what was noted before the view began, which may be long
		m.mu.Unlock()
		fits()
		for _, c := range []int{60, 140, cols} {
			m.resize(c, 20)
			before := m.screen()
			until(t, "the view is drawn again", func() bool { return m.screen() != before })
			shows("0/1 running")
			fits()
			if n := len(whole.FindAllString(m.screen(), -1)); n != 1 {
				t.Errorf("after a resize to %d columns the view is there %d times:\n%s", c, n, m.screen())
			}
		}
		m.press("\x03")
		if code := m.wait(); code != 130 {
			t.Errorf("exit code %d after Ctrl-C, want 130", code)
		}
		text := m.text()
		if whole.MatchString(text) || !strings.Contains(text, "run the same command again") {
			t.Errorf("the terminal after Ctrl-C:\n%s", text)
		}
	}
	// A terminal that can't move its cursor gets plain lines; so does a pipe.
	s.env = append(s.env, "TERM=dumb")
	m := openTerminal(t, s.command("up", "--image", image, "--wait=false"), 80, 24)
	if code := m.wait(); code != 0 || strings.Contains(m.raw.String(), "\x1b") {
		t.Errorf("exit code %d, on a dumb terminal:\n%q", code, m.raw.String())
	}
	for _, flags := range [][]string{{"--no-color"}, nil} {
		s.env = append(s.env, "TERM=xterm")
		if flags == nil {
			s.env = append(s.env, "NO_COLOR=1")
		}
		m := openTerminal(t, s.command(append([]string{"up", "--image", image, "--wait=false", "--cpu", "512", "--memory", "1024"}, flags...)...), 80, 24)
		if code := m.wait(); code != 0 || colour.MatchString(m.raw.String()) {
			t.Errorf("exit code %d, colours where none are wanted:\n%q", code, m.raw.String())
		}
	}
	r := s.run("destroy", "--purge-snapshots", "--yes")
	if r.code != 0 || strings.Contains(r.err+r.out, "\x1b") {
		t.Errorf("exit code %d, to a pipe:\n%q", r.code, r.err)
	}
}

// TestACtrlCAtAQuestionTouchesNothing stops a destroy that asks, and answers it
// wrongly, and not at all.
func TestACtrlCAtAQuestionTouchesNothing(t *testing.T) {
	t.Parallel()
	s := newShell(t, "TERM=xterm-256color")
	s.must("local", "start")
	for keys, want := range map[string]struct {
		code int
		says string
	}{
		"\x03":     {130, "bookctl: interrupted: nothing was touched"},
		"\x04":     {1, "bookctl: not confirmed: nothing was touched"},
		"yes\n":    {1, "bookctl: not confirmed: nothing was touched"},
		"book\n":   {0, "Nothing to delete"},
		" book \n": {0, "Nothing to delete"},
	} {
		m := openTerminal(t, s.command("destroy", "--local"), 200, 24)
		until(t, "the question is asked", func() bool { return strings.Contains(m.screen(), "to continue:") })
		m.press(keys)
		if code := m.wait(); code != want.code || !strings.Contains(m.text(), want.says) || strings.Contains(m.text(), "what was deleted stays deleted") {
			t.Errorf("%q: exit code %d\n%s", keys, code, m.text())
		}
	}
}

// whole is the line of the view that is about the run.
var whole = regexp.MustCompile(`(?m)^\d+ of \d+, `)

var colour = regexp.MustCompile(`\x1b\[[0-9;]*[1-9][0-9;]*m`)
