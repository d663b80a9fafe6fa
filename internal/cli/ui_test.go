package cli_test

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bookctl/bookctl/internal/browser"
	"github.com/bookctl/bookctl/internal/moto"
)

// page starts 'bookctl ui', until end or the end of the test, and returns where the page
// is.
func (s *shell) page(t *testing.T, args ...string) (url string, end func()) {
	t.Helper()
	cmd := s.command(append([]string{"ui", "--output", "json", "--interval", "1s"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := fitsSchema(line); err != nil {
		t.Error(err)
	}
	var document struct{ Type, Stack, URL string }
	decode(t, line, &document)
	if document.Type != "ui" || document.Stack == "" || !strings.HasPrefix(document.URL, "http://127.0.0.1:") {
		t.Fatalf("it prints %s", line)
	}
	return document.URL, func() {
		t.Helper()
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("ui, interrupted: %v", err)
		}
	}
}

// TestThePageShowsTheStackAsItChanges looks at a stack in a real browser from before its
// first up until after its destroy.
func TestThePageShowsTheStackAsItChanges(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	s := newShell(t)
	s.must("local", "start", "--latencies", "aws", "--scale", "0.02") // a database takes 5 s
	url, end := s.page(t, "--local")
	b.Go(url)
	b.Resize(1280, 900)
	shows := func(selector, what string) {
		t.Helper()
		var text string
		b.Run(`return 0`, nil)
		defer func() {
			if t.Failed() {
				t.Logf("%s is %q", selector, text)
			}
		}()
		b.Until(what+" in "+selector, func() bool {
			text = b.Text(selector)
			return strings.Contains(text, what)
		})
	}
	shows("#top", "nothing is deployed")
	shows("#problems", "bookctl up --local creates it")

	ran := make(chan result, 1)
	go func() { ran <- s.run("up", "--local", "--env", "GREETING=a value of no page") }()
	shows("#top", "at work")
	b.Find(".graph .part.ready")
	b.Find(".graph .part.pending, .graph .part.absent")
	b.Screenshot("ui-deploying")
	r := <-ran
	if r.code != 0 {
		t.Fatalf("up: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	app := strings.TrimSpace(r.out)
	shows("#top", "✓ healthy")
	shows("#news", "Stack book: healthy, release book-app:1 completed")
	shows("#overview", app+" answers 200")
	shows("#overview", "PostgreSQL")
	shows("#deployments", "1 of 1 running")
	shows("#tasks", "healthy")
	shows("#balancer", "healthy")
	shows("#resources", "ready")
	shows("#cost", "costs nothing")
	shows("#events", "steady state")
	shows("#lines", "the database is ready")

	call(t, "GET", app+"/books/asked-for-by-a-test", "")
	shows("#lines", "/books/asked-for-by-a-test")
	b.Fill("#filter", "asked-for")
	b.Until("the filter hides the other lines", func() bool { return !strings.Contains(b.Text("#lines"), "the database is ready") })
	shows("#lines", "/books/asked-for-by-a-test")

	for pid := range s.tasks(t) {
		kill(t, pid)
	}
	shows("#tasks", "exited 137")
	b.Find("#tasks svg.bar.dead text")
	shows("#top", "✓ healthy")
	b.Screenshot("ui-healed")

	var whole string
	b.Run("return document.documentElement.outerHTML", &whole)
	for _, secret := range []string{"a value of no page", s.secret(t).Password} {
		if strings.Contains(whole, secret) {
			t.Error("the page has a secret, or a variable's value")
		}
	}

	s.must("local", "stop")
	shows("#alert", "not running")
	shows("#alert", "bookctl local start")
	shows("#tasks", "exited 137") // as it was
	b.Screenshot("ui-failing")
	s.must("local", "start")
	b.Until("it heals", func() bool { return b.Text("#alert") == "" })
	shows("#top", "✓ healthy")

	s.must("destroy", "--local", "--yes")
	shows("#top", "nothing is deployed")
	shows("#problems", "bookctl up --local --restore latest")
	shows("#overview", "book-final-")
	b.Until("the tasks are gone", func() bool { return b.Text("#tasks") == "" })
	b.Screenshot("ui-destroyed")

	if wrong := b.Errors(); len(wrong) > 0 {
		t.Errorf("the console says: %v", wrong)
	}
	end()
	shows("#lost", "bookctl does not answer")
}

func TestThePageIsOfAWSToo(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	s := newShell(t, "AWS_ENDPOINT_URL="+moto.Start(t), "AWS_ACCESS_KEY_ID=t", "AWS_SECRET_ACCESS_KEY=t", "AWS_REGION=us-east-1")
	s.must("up", "--image", readyImage(t), "--wait=false", "--stack", "shop")
	url, end := s.page(t, "--stack", "shop")
	code, body := call(t, http.MethodGet, url, "")
	for _, want := range []string{"shop", "account 123456789012, region us-east-1", "Prices of ", "load-balancer", "bookctl logs --stack shop"} {
		if code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("the page, %d, lacks %q:\n%s", code, want, body)
		}
	}
	end()
}

// TestAPageKeepsASessionThatIsStillValid gets its credentials once, as those are that begin
// with the code of an MFA device, and has a read fail for another reason.
func TestAPageKeepsASessionThatIsStillValid(t *testing.T) {
	t.Parallel()
	s := newShell(t, "AWS_PROFILE=once", "AWS_REGION=us-east-1")
	h := s.byHand(t, nil)
	s.env = append(s.env, "AWS_ENDPOINT_URL="+h.endpoint)
	once := filepath.Join(s.dir, "once")
	h.must(os.WriteFile(once, []byte("#!/bin/sh\nrm \"$0\"; echo '{\"Version\": 1, \"AccessKeyId\": \"AKIAEXAMPLE\", \"SecretAccessKey\": \"secret\"}'\n"), 0o700))
	h.must(os.MkdirAll(filepath.Join(s.dir, ".aws"), 0o700))
	h.must(os.WriteFile(filepath.Join(s.dir, ".aws", "config"), []byte("[profile once]\ncredential_process = "+once+"\n"), 0o600))
	url, end := s.page(t)
	var body string
	shows := func(want, not string) {
		t.Helper()
		defer func() {
			if t.Failed() {
				t.Log(body)
			}
		}()
		until(t, "the page shows "+want, func() bool {
			_, body = call(t, http.MethodGet, url, "")
			return strings.Contains(body, want) && !strings.Contains(body, not)
		})
	}
	const failed = "The stack can't be read"
	shows("nothing is deployed", failed)
	h.faults(map[string]any{"deny": []string{"ec2:DescribeVpcs", "tag:GetResources"}})
	shows(failed, "credential_process")
	h.faults(map[string]any{})
	shows("nothing is deployed", failed)
	end()
}

// TestThePageShowsWhyAReleaseCommandFailed has the command of a first release fail, when there
// is no service yet, and looks again when there is one, and while another command runs.
func TestThePageShowsWhyAReleaseCommandFailed(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	s.must("local", "start")
	url, end := s.page(t, "--local")
	up := []string{"up", "--local", "--no-database", "--image", ownService(t)}
	shows := func(wants ...string) {
		t.Helper()
		var body string
		until(t, "the page shows "+strings.Join(wants, ", "), func() bool {
			_, body = call(t, http.MethodGet, url, "")
			return !slices.ContainsFunc(wants, func(want string) bool { return !strings.Contains(body, want) })
		})
	}
	s.run(append(up, "--release-command", "exit 3")...).says(t, 1, "ended with exit code 3")
	shows("exited 3")
	s.must(append(up, "--release-command", "none")...)
	shows("exited 3", "1 of 1 running", "> healthy</span>")
	run := s.begin(t, append(up, "--release-command", "sleep 600s")...)
	shows("exited 3", "book-app:1", "book-app:3", "> running</span>")
	if err := run.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	run.end(t).says(t, 130)
	end()
}

// TestAWatchedStatusClearsOnlyATerminalThatCan watches on a terminal without codes.
func TestAWatchedStatusClearsOnlyATerminalThatCan(t *testing.T) {
	t.Parallel()
	for kind, clears := range map[string]bool{"dumb": false, "xterm": true} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newShell(t, "TERM="+kind)
			s.must("local", "start")
			m := openTerminal(t, s.command("status", "--local", "--watch", "--interval", "1s"), 100, 30)
			raw := func() string {
				m.mu.Lock()
				defer m.mu.Unlock()
				return m.raw.String()
			}
			until(t, "the status is shown twice", func() bool { return strings.Count(raw(), "nothing is deployed") > 1 })
			m.press("\x03")
			if code := m.wait(); code != 0 || strings.Contains(raw(), "\x1b[2J") != clears {
				t.Errorf("exit code %d; it clears the terminal: %t\n%q", code, !clears, raw())
			}
		})
	}
}

func TestAPageThatCantBeServedIsRefused(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	if r := s.run("ui", "--local"); r.code != 3 || r.out != "" || !strings.Contains(r.err, "next: 'bookctl local start'") {
		t.Errorf("without a local cloud: exit code %d, %s%s", r.code, r.out, r.err)
	}
	s.must("local", "start")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }() // nobody is on it
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	for want, args := range map[string][]string{
		"choose another port with --ui-port": {"--ui-port", port},
		"choose one up to 65535":             {"--ui-port", "70000"},
		"a second is the shortest":           {"--interval", "10ms"},
	} {
		if r := s.run(append([]string{"ui", "--local"}, args...)...); r.code == 0 || r.out != "" || !strings.Contains(r.err, want) {
			t.Errorf("ui %v: exit code %d, %s%s", args, r.code, r.out, r.err)
		}
	}
	if r := s.run("ui", "--local", "--timeout", "2s"); r.code != 1 || !strings.HasPrefix(r.out, "http://127.0.0.1:") {
		t.Errorf("ui --timeout: exit code %d, %s%s", r.code, r.out, r.err)
	}
}
