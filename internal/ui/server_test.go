package ui_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/ui"
)

// source is a stack that a test sets.
type source struct {
	mu    sync.Mutex
	stack ui.Stack
	err   error
	looks int
	reads int
	lines []ui.Line // all of them
	next  int       // the first that was not read
	quiet error     // of reading them
}

func (s *source) set(change func(*source)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *source) Look(context.Context) (ui.Stack, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	return s.stack, s.err
}

func (s *source) Lines(_ context.Context, anew *time.Time, each func(ui.Line)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.quiet != nil {
		return s.quiet
	}
	if anew != nil {
		s.next = 0
	}
	for _, l := range s.lines[s.next:] {
		if anew == nil || l.Time.After(*anew) {
			each(l)
		}
	}
	s.next = len(s.lines)
	return nil
}

func (s *source) counts() (looks, reads int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks, s.reads
}

// pace is the time between looks in tests.
const pace = 200 * time.Millisecond

// serve serves the page of a source until the test ends, and returns where it is.
func serve(t *testing.T, s ui.Source) (host, path string, end func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := ui.New(s, pace, "v1.2.3")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()
	end = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("serve: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("it does not end")
		}
	})
	t.Cleanup(end)
	return l.Addr().String(), server.Path(), end
}

// reply is the answer to a request, but for its body.
type reply struct {
	code   int
	header http.Header
}

// ask sends a request and returns the answer and its body. A host that is given is
// said in place of the one that it is sent to.
func ask(t *testing.T, method, address, path, host string) (reply, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }() // was read
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{answer.StatusCode, answer.Header}, string(body)
}

func TestOnlyTheAddressThatWasPrintedIsAnswered(t *testing.T) {
	t.Parallel()
	at, path, _ := serve(t, &source{stack: ui.Stack{Name: "demo", Summary: "healthy"}})
	_, port, _ := net.SplitHostPort(at)
	for _, c := range []struct {
		method, path, host string
		code               int
		shows              bool
	}{
		{"GET", path, "", 200, true},
		{"HEAD", path, "", 200, false},
		{"GET", path, "localhost:" + port, 200, true},
		{"GET", path, "LOCALHOST", 200, true},
		{"GET", path, "localhost:8080", 200, true}, // forwarded by ssh
		{"GET", path, "evil.example", 403, false},
		{"GET", path, "evil.example:" + port, 403, false},
		{"GET", path, "127.0.0.1.evil.example:" + port, 403, false},
		{"GET", path, "localhost.evil.example:" + port, 403, false},
		{"GET", path + "live", "evil.example:" + port, 403, false},
		{"POST", path, "", 405, false},
		{"PUT", path, "", 405, false},
		{"DELETE", path + "live", "", 405, false},
		{"OPTIONS", path, "", 405, false},
		{"GET", "/", "", 404, false},
		{"GET", "/ui.js", "", 404, false},
		{"GET", "//", "", 404, false},
		{"GET", strings.ToLower(path), "", 404, false},
		{"GET", "/" + strings.Repeat("A", 26) + "/", "", 404, false},
		{"GET", path[:len(path)-2] + "/", "", 404, false},
		{"GET", strings.TrimSuffix(path, "/"), "", 302, false},
		{"GET", path + "ui.js", "", 200, false},
		{"GET", path + "ui.css", "", 200, false},
		{"HEAD", path + "live", "", 200, false},
		{"GET", path + "server.go", "", 404, false},
		{"GET", path + "page/", "", 404, false},
		{"GET", path + "../", "", 404, false},
	} {
		answer, body := ask(t, c.method, at, c.path, c.host)
		if answer.code != c.code || strings.Contains(body, "demo") != c.shows {
			t.Errorf("%s %s at %q: %d, want %d; it shows the stack: %t", c.method, c.path, c.host, answer.code, c.code, !c.shows)
		}
		if c.code != 200 && strings.Contains(body, strings.Trim(path, "/")) && c.code != 302 {
			t.Errorf("%s %s at %q shows the path: %s", c.method, c.path, c.host, body)
		}
		csp := answer.header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s %s: the content security policy lacks %s: %s", c.method, c.path, want, csp)
			}
		}
		if strings.Contains(csp, "unsafe") {
			t.Errorf("%s %s: the content security policy is %s", c.method, c.path, csp)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
			"Access-Control-Allow-Origin": "", "Set-Cookie": "",
		} {
			if got := answer.header.Get(name); got != want {
				t.Errorf("%s %s: %s is %q, want %q", c.method, c.path, name, got, want)
			}
		}
		if c.code == 405 && answer.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %s: allowed are %q", c.method, c.path, answer.header.Get("Allow"))
		}
	}
	if other, _, _ := serve(t, &source{}); other == at {
		t.Error("two pages at one address")
	}
	if _, other, _ := serve(t, &source{}); other == path || len(other) < 24 {
		t.Errorf("a path can be guessed: %s after %s", other, path)
	}
}

// fill sets every string below v, and makes one of everything in a list.
func fill(v reflect.Value, with string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(with)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() && v.Type() != reflect.TypeFor[time.Time]() {
				fill(f, with)
			}
		}
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Now().Add(-time.Minute)))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), with)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), with)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Int32:
		v.SetInt(1)
	}
}

// TestNothingOfTheStackBecomesMarkup fills every text that the page can show with
// markup: it comes out as text, in the page and in what is sent to it.
func TestNothingOfTheStackBecomesMarkup(t *testing.T) {
	t.Parallel()
	const evil = `"'><script>alert(1)</script><img src=x onerror=alert(2)>&`
	s := &source{}
	fill(reflect.ValueOf(&s.stack).Elem(), evil)
	s.lines = []ui.Line{{Time: time.Now(), Task: evil, Text: "\x1b[31mred\x1b[0m " + evil}}
	at, path, _ := serve(t, s)
	_, body := ask(t, "GET", at, path, "")
	s.set(func(s *source) { s.err = ui.Failure{Text: evil, Next: evil}; s.quiet = errors.New(evil) })
	var failing string
	eventually(t, "the failure is shown", func() bool {
		_, failing = ask(t, "GET", at, path, "")
		return strings.Contains(failing, "can&#39;t be read")
	})
	for name, html := range map[string]string{"the page": body, "the page of a failure": failing} {
		for _, bad := range []string{"<script>alert", "<img", "\x1b"} {
			if strings.Contains(html, bad) {
				t.Errorf("%s has %q:\n%s", name, bad, html)
			}
		}
		// The name, place, summary, problem, next step, holder, rows, part, deployment, task …
		if n := strings.Count(html, "&lt;script&gt;alert(1)&lt;/script&gt;"); n < 25 {
			t.Errorf("%s shows only %d of the texts", name, n)
		}
	}
	if strings.Contains(body, `href="&#34;`) || strings.Contains(body, "javascript:") {
		t.Error("the URL of the stack is followed whatever it is")
	}
	message := (<-stream(t, at, path, "")).data
	if strings.Contains(message, "<script") || !strings.Contains(message, `\u0026lt;script\u0026gt;`) {
		t.Errorf("what is sent is %s", message)
	}
}

// message is a server-sent event.
type message struct{ event, id, data string }

// sections are what a state message puts in anew.
func (m message) sections(t *testing.T) map[string]string {
	t.Helper()
	var v struct{ Sections map[string]string }
	if err := json.Unmarshal([]byte(m.data), &v); err != nil {
		t.Fatal(err)
	}
	return v.Sections
}

// stream opens the stream of a page, as one that has read up to a position.
func stream(t *testing.T, at, path, last string) <-chan message {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+at+path+"live", nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() }) // it ends with the server
	if kind := answer.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("the stream is %s", kind)
	}
	out := make(chan message, 100)
	go func() {
		defer close(out)
		var m message
		lines := bufio.NewScanner(answer.Body)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				m.event = value
			case "id":
				m.id = value
			case "data":
				m.data = value
			case "":
				if m.event != "" {
					out <- m
				}
				m = message{}
			}
		}
	}()
	return out
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("it does not come about that %s", what)
}

// TestAStackIsReadOnceForAllPagesAndOnlyWhileOneIsOpen counts looks.
func TestAStackIsReadOnceForAllPagesAndOnlyWhileOneIsOpen(t *testing.T) {
	t.Parallel()
	s := &source{stack: ui.Stack{Name: "demo"}}
	at, path, end := serve(t, s)
	time.Sleep(3 * pace)
	if looks, reads := s.counts(); looks != 0 || reads != 0 {
		t.Errorf("before anybody looks there were %d looks, %d reads", looks, reads)
	}
	begun := time.Now()
	for range 5 {
		stream(t, at, path, "")
	}
	time.Sleep(10 * pace)
	looks, _ := s.counts()
	if most := int(time.Since(begun)/pace) + 1; looks < 5 || looks > most {
		t.Errorf("five pages made %d looks within %s, want at most %d", looks, time.Since(begun), most)
	}
	end()
	after, _ := s.counts()
	time.Sleep(3 * pace)
	if looks, _ := s.counts(); looks != after {
		t.Error("it looks on when it has ended")
	}

	s = &source{stack: ui.Stack{Name: "demo"}}
	at, path, _ = serve(t, s)
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+at+path+"live", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stack is looked at", func() bool { looks, reads := s.counts(); return looks > 2 && reads > 0 })
	leave()
	_ = answer.Body.Close() // was left
	time.Sleep(2*pace + time.Second)
	before, _ := s.counts()
	time.Sleep(5 * pace)
	if looks, _ := s.counts(); looks != before {
		t.Errorf("%d looks after the last page was closed", looks-before)
	}
}

// lasting is a source whose look goes on for a moment after it is to end.
type lasting struct {
	source
	begun, ended chan struct{}
}

func (l *lasting) Look(ctx context.Context) (ui.Stack, error) {
	close(l.begun)
	<-ctx.Done()
	time.Sleep(pace)
	close(l.ended)
	return ui.Stack{}, ctx.Err()
}

// TestNoLookOutlivesTheServer ends it in the middle of a look.
func TestNoLookOutlivesTheServer(t *testing.T) {
	t.Parallel()
	s := &lasting{begun: make(chan struct{}), ended: make(chan struct{})}
	at, path, end := serve(t, s)
	stream(t, at, path, "")
	<-s.begun
	end()
	select {
	case <-s.ended:
	default:
		t.Error("the server has ended before the look")
	}
}

func TestOnlyWhatChangesIsSentAndLinesGoOnWhereTheyWereLeft(t *testing.T) {
	t.Parallel()
	line := func(n int) ui.Line {
		return ui.Line{Time: time.Now(), Task: "3f2a1b9c00", Text: fmt.Sprintf("line %d", n)}
	}
	s := &source{stack: ui.Stack{Name: "demo", Summary: "healthy", Mood: ui.Good, CostNote: "nothing"}, lines: []ui.Line{line(1), line(2)}}
	at, path, _ := serve(t, s)
	_, page := ask(t, "GET", at, path, "")
	if !strings.Contains(page, "line 2") || !strings.Contains(page, "3f2a1b9c<") {
		t.Errorf("the page has no logs:\n%s", page)
	}
	messages := stream(t, at, path, "")
	next := func(event, has string) message {
		t.Helper()
		late := time.After(20 * time.Second)
		for {
			select {
			case m := <-messages:
				if m.event == event && strings.Contains(m.data, has) {
					return m
				}
			case <-late:
				t.Fatalf("there is no %s with %q", event, has)
			}
		}
	}
	if all := next("state", "").sections(t); all["cost"] == "" || all["top"] == "" {
		t.Errorf("the first message is %v", all)
	}
	first := next("lines", "line 2")
	s.set(func(s *source) { s.stack.Summary = "not healthy" })
	if some := next("state", "not healthy").sections(t); some["cost"] != "" || some["top"] == "" || some["news"] == "" {
		t.Errorf("a change of the summary sends %v", some)
	}
	s.set(func(s *source) { s.lines = append(s.lines, line(3)) })
	if third := next("lines", "line 3"); strings.Contains(third.data, "line 2") || third.id == first.id {
		t.Errorf("the line after %v comes as %v", first, third)
	}
	// A page that was away, and has read the first two.
	messages = stream(t, at, path, first.id)
	if again := next("lines", "line 3"); strings.Contains(again.data, "line 2") || strings.Contains(again.data, `"anew":true`) {
		t.Errorf("the page that comes back is sent %v", again)
	}
}

func TestAStackThatCantBeReadIsShownAsItWasAndHeals(t *testing.T) {
	t.Parallel()
	s := &source{stack: ui.Stack{Name: "demo", Summary: "healthy", Mood: ui.Good}}
	at, path, _ := serve(t, s)
	_, page := ask(t, "GET", at, path, "")
	if !strings.Contains(page, "healthy") || strings.Contains(page, "tries again") {
		t.Fatalf("the page is\n%s", page)
	}
	shows := func(what, but string) {
		t.Helper()
		eventually(t, fmt.Sprintf("%q is shown without %q", what, but), func() bool {
			_, page = ask(t, "GET", at, path, "")
			return strings.Contains(page, what) && !strings.Contains(page, but)
		})
	}
	s.set(func(s *source) {
		s.err = ui.Failure{Text: "The AWS credentials have expired.", Next: "sign in with 'aws sso login'"}
		s.quiet = ui.Failure{Text: "AWS does not allow logs:FilterLogEvents.", Next: "allow the action"}
	})
	shows("AWS does not allow logs:FilterLogEvents. <strong>next:</strong> allow the action", "\x00")
	shows("The AWS credentials have expired.", "\x00")
	for _, want := range []string{"<code>aws sso login</code>", "What is below is how it was at", "This page tries again every 200ms", "<title>demo: can&#39;t be read", "chip quiet", "> healthy when last read<", "Stack demo: healthy when last read"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in\n%s", want, page)
		}
	}
	s.set(func(s *source) { s.err = nil; s.quiet = nil; s.stack.Summary = "paused" })
	shows("paused", "tries again")
}
