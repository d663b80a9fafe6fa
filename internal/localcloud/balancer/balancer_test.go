package balancer_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/localcloud/authority"
	"github.com/bookctl/bookctl/internal/localcloud/balancer"
)

var quick = balancer.Settings{
	Path: "/healthz", Interval: 5 * time.Millisecond, Timeout: 5 * time.Second,
	HealthyThreshold: 2, UnhealthyThreshold: 2, Matcher: "200", DeregistrationDelay: time.Minute,
}

func TestRequestsGoRoundTheHealthyTargets(t *testing.T) {
	t.Parallel()
	group := newGroup(t, quick)
	a, b := newBackend(t, "a"), newBackend(t, "b")
	for i, backend := range []*backend{a, b} {
		group.Register(backend.target(i))
	}
	lb := listen(t, balancer.Action{Forward: group})
	group.SetInUse(true)
	await(t, group, balancer.Healthy, balancer.Healthy)
	if got := count(t, lb, 10); got["a"] != 5 || got["b"] != 5 {
		t.Errorf("10 requests went to %v, want 5 each", got)
	}

	a.code.Store(503)
	await(t, group, balancer.Unhealthy, balancer.Healthy)
	if got := group.Health()[0]; got.Reason != "Target.ResponseCodeMismatch" || got.Description != "Health checks failed with these codes: [503]" {
		t.Errorf("reason %q, %q", got.Reason, got.Description)
	}
	if got := count(t, lb, 4); got["b"] != 4 {
		t.Errorf("4 requests went to %v, want all to b", got)
	}

	// With all of them unhealthy it fails open.
	b.code.Store(500)
	await(t, group, balancer.Unhealthy, balancer.Unhealthy)
	if got := count(t, lb, 4); got["a"] != 2 || got["b"] != 2 {
		t.Errorf("4 requests went to %v, want 2 each", got)
	}
	if group.Requests() != 18 {
		t.Errorf("%d requests counted, want 18", group.Requests())
	}
}

func TestStatesAndReasonsOfATarget(t *testing.T) {
	t.Parallel()
	slow := quick
	slow.Timeout = 300 * time.Millisecond // a refused connection must not take that long on a busy machine
	group := newGroup(t, slow)
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := refused.Addr().String()
	_ = refused.Close() // its port refuses from now on
	group.Register(balancer.Target{ID: "10.0.0.1", Port: 80, Addr: addr})
	sleepy := newBackend(t, "sleepy")
	sleepy.block.Lock()
	group.Register(sleepy.target(2))

	if got := group.Health()[0]; got.State != balancer.Unused || got.Reason != "Target.NotInUse" {
		t.Errorf("before a listener uses the group: %+v", got)
	}
	group.SetInUse(true)
	await(t, group, balancer.Unhealthy, balancer.Unhealthy)
	if got := group.Health()[0].Reason; got != "Target.FailedHealthChecks" {
		t.Errorf("refused connection: %q", got)
	}
	if got := group.Health()[1].Reason; got != "Target.Timeout" {
		t.Errorf("no answer: %q", got)
	}
	sleepy.block.Unlock()
	slow.Timeout = 5 * time.Second
	group.Configure(slow)
	await(t, group, balancer.Unhealthy, balancer.Healthy)
	group.SetInUse(false)
	await(t, group, balancer.Unused, balancer.Unused)
}

func TestADeregisteredTargetFinishesItsRequests(t *testing.T) {
	t.Parallel()
	group := newGroup(t, quick)
	group.SetInUse(true)
	lb := listen(t, balancer.Action{Forward: group})
	backend := newBackend(t, "a")
	group.Register(backend.target(0))
	await(t, group, balancer.Healthy)

	answer := make(chan string, 1)
	backend.block.Lock()
	go func() { answer <- get(t, "http://"+lb.Addr()+"/slow") }()
	<-backend.entered
	gone := group.Deregister("10.0.0.0", 8080)
	if got := group.Health()[0]; got.State != balancer.Draining || got.Reason != "Target.DeregistrationInProgress" {
		t.Errorf("deregistered with a request in flight: %+v", got)
	}
	if code, _ := fetch(t, "http://"+lb.Addr()+"/"); code != 503 {
		t.Errorf("a new request got %d, want 503", code)
	}
	select {
	case <-gone:
		t.Error("gone before its request was done")
	default:
	}
	backend.block.Unlock()
	if got := <-answer; got != "a" {
		t.Errorf("the request in flight got %q", got)
	}
	<-gone
	if left := group.Health(); len(left) != 0 {
		t.Errorf("still there: %+v", left)
	}
}

func TestTheDeregistrationDelayEndsTheWait(t *testing.T) {
	t.Parallel()
	short := quick
	short.DeregistrationDelay = 10 * time.Millisecond
	group := newGroup(t, short)
	group.SetInUse(true)
	lb := listen(t, balancer.Action{Forward: group})
	backend := newBackend(t, "a")
	group.Register(backend.target(0))
	await(t, group, balancer.Healthy)
	backend.block.Lock()
	defer backend.block.Unlock()
	answer := make(chan int, 1)
	go func() { code, _ := fetch(t, "http://"+lb.Addr()+"/slow"); answer <- code }()
	<-backend.entered
	<-group.Deregister("10.0.0.0", 8080)
	if got := <-answer; got != http.StatusBadGateway {
		t.Errorf("a request that outlives the delay got %d, want 502", got)
	}
}

func TestATargetIsReachedInEnabledZonesAndByTheRules(t *testing.T) {
	t.Parallel()
	settings := quick
	settings.Timeout = 100 * time.Millisecond
	group := newGroup(t, settings)
	group.SetInUse(true)
	lb := listen(t, balancer.Action{Forward: group})
	a, b := newBackend(t, "a"), newBackend(t, "b")
	group.Register(a.target(0))
	group.Register(b.target(1))
	await(t, group, balancer.Healthy, balancer.Healthy)
	limit := func(access balancer.Access) {
		group.SetAccess(func(t balancer.Target) balancer.Access {
			if t.ID == "10.0.0.0" {
				return access
			}
			return balancer.Reached
		})
	}
	limit(balancer.Disabled)
	if got := group.Health()[0]; got.State != balancer.Unused || got.Reason != "Target.NotInUse" || !strings.Contains(got.Description, "Availability Zone that is not enabled") {
		t.Errorf("in a zone that is not enabled: %+v", got)
	}
	if got := count(t, lb, 4); got["b"] != 4 {
		t.Errorf("4 requests went to %v, want all to b", got)
	}
	limit(balancer.Filtered)
	await(t, group, balancer.Initial, balancer.Healthy)
	await(t, group, balancer.Unhealthy, balancer.Healthy)
	if got := group.Health()[0].Reason; got != "Target.Timeout" {
		t.Errorf("behind rules that let nothing out: %q", got)
	}
	limit(balancer.Reached)
	await(t, group, balancer.Healthy, balancer.Healthy)
	b.code.Store(500)
	limit(balancer.Disabled)
	await(t, group, balancer.Unused, balancer.Unhealthy)
	if got := count(t, lb, 2); got["b"] != 2 {
		t.Errorf("with no healthy target 2 requests went to %v, want both to b", got)
	}
}

func TestErrorsHaveTheCodesOfAWS(t *testing.T) {
	t.Parallel()
	group := newGroup(t, quick)
	lb := listenWith(t, balancer.Action{Forward: group}, balancer.Options{IdleTimeout: 500 * time.Millisecond})
	check := func(what string, want int) {
		t.Helper()
		if code, _ := fetch(t, "http://"+lb.Addr()+"/slow"); code != want {
			t.Errorf("%s: %d, want %d", what, code, want)
		}
	}
	check("no target", 503)
	group.Register(balancer.Target{ID: "10.0.0.9", Port: 8080, Addr: "127.0.0.1:1"})
	check("connection refused", 502)
	group.Deregister("10.0.0.9", 8080)

	rude := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(rude.Close)
	group.Register(balancer.Target{ID: "10.0.0.9", Port: 8080, Addr: rude.Listener.Addr().String()})
	check("connection reset", 502)
	group.Deregister("10.0.0.9", 8080)

	backend := newBackend(t, "a")
	backend.block.Lock()
	defer backend.block.Unlock()
	group.Register(backend.target(0))
	check("no answer", 504)
}

func TestHeadersThatATargetSees(t *testing.T) {
	t.Parallel()
	seen := make(chan *http.Request, 1)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen <- r }))
	t.Cleanup(backend.Close)
	group := newGroup(t, quick)
	group.Register(balancer.Target{ID: "10.0.0.1", Port: 8080, Addr: backend.Listener.Addr().String()})
	lb := listenWith(t, balancer.Action{Forward: group}, balancer.Options{IdleTimeout: time.Minute, DropInvalidHeaders: true})
	_, port, _ := net.SplitHostPort(lb.Addr())

	req, err := http.NewRequest(http.MethodGet, "http://"+lb.Addr()+"/x%2Fy?a=1&b", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "books.example"
	req.Header.Set("X-Forwarded-For", "192.0.2.1")
	req.Header["Bad_Name"] = []string{"1"}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	got := <-seen
	if trace := got.Header.Get("X-Amzn-Trace-Id"); !strings.HasPrefix(trace, "Root=1-") {
		t.Errorf("trace id %q", trace)
	}
	want := map[string]string{
		"uri": "/x%2Fy?a=1&b", "host": "books.example", "for": "192.0.2.1, 127.0.0.1",
		"proto": "http", "port": port, "bad": "", "forwarded host": "",
	}
	if diff := cmp.Diff(want, map[string]string{
		"uri": got.RequestURI, "host": got.Host, "for": got.Header.Get("X-Forwarded-For"),
		"proto": got.Header.Get("X-Forwarded-Proto"), "port": got.Header.Get("X-Forwarded-Port"),
		"bad": strings.Join(got.Header["Bad_Name"], ""), "forwarded host": got.Header.Get("X-Forwarded-Host"), //nolint:staticcheck // an invalid name is the point
	}); diff != "" {
		t.Errorf("want → got:\n%s", diff)
	}
}

func TestHTTPSAndTheRedirectToIt(t *testing.T) {
	t.Parallel()
	ca, err := authority.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	issued, err := ca.Issue("localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := issued.TLS()
	if err != nil {
		t.Fatal(err)
	}
	group := newGroup(t, quick)
	backend := newBackend(t, "secure")
	group.Register(backend.target(0))
	secure, err := balancer.Listen(0, &cert, balancer.Action{Forward: group}, balancer.Options{IdleTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(secure.Close)
	_, port, _ := net.SplitHostPort(secure.Addr())
	plain := listen(t, balancer.Action{Redirect: &balancer.Redirect{Protocol: "HTTPS", Port: port, Code: 301}})

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.Bundle())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	resp, err := client.Get("http://" + plain.Addr() + "/books?q=1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != "secure" {
		t.Errorf("read %q, %v", body, err)
	}
	if got, want := resp.Request.URL.String(), "https://127.0.0.1:"+port+"/books?q=1"; got != want {
		t.Errorf("redirected to %s, want %s", got, want)
	}
}

// TestATargetMayAnswerBeforeItHasTheWholeBody sends more than the load balancer keeps
// to a target that begins to answer before it reads on.
func TestATargetMayAnswerBeforeItHasTheWholeBody(t *testing.T) {
	t.Parallel()
	const size, first = 1 << 20, 64 << 10
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if err := control.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, strings.Repeat("a", first)) // the load balancer may have gone
		_ = control.Flush()
		n, err := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprintf(w, "%d %v", n, err)
	}))
	t.Cleanup(target.Close)
	group := newGroup(t, quick)
	group.Register(balancer.Target{ID: "10.0.0.1", Port: 8080, Addr: target.Listener.Addr().String()})
	lb := listen(t, balancer.Action{Forward: group})
	begun := make(chan struct{})
	body := io.MultiReader(strings.NewReader(strings.Repeat("b", size/2)), waiting{begun}, strings.NewReader(strings.Repeat("b", size/2)))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+lb.Addr(), body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	close(begun)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimLeft(string(text), "a"); len(text)-len(got) != first || got != fmt.Sprintf("%d <nil>", size) {
		t.Errorf("the answer has %d bytes and says that the target got %q", len(text), got)
	}
}

// waiting is nothing, once something has happened.
type waiting struct{ until <-chan struct{} }

func (w waiting) Read([]byte) (int, error) {
	<-w.until
	return 0, io.EOF
}

func TestAPortInUseIsAnError(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	if _, err := balancer.Listen(taken.Addr().(*net.TCPAddr).Port, nil, balancer.Action{}, balancer.Options{}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("error %v", err)
	}
}

// Targets come and go under load, and each closes idle connections quickly: not
// one request may fail.
func TestNoRequestFailsWhileTargetsAreReplaced(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a load test")
	}
	group := newGroup(t, quick)
	group.SetInUse(true)
	lb := listen(t, balancer.Action{Forward: group})
	current := newBackend(t, "0")
	group.Register(current.target(0))
	await(t, group, balancer.Healthy)

	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var served atomic.Int64
	for i := range 8 {
		clients.Go(func() {
			for ctx.Err() == nil {
				var resp *http.Response
				var err error
				if i%2 == 0 {
					resp, err = http.Get("http://" + lb.Addr() + "/")
				} else {
					resp, err = http.Post("http://"+lb.Addr()+"/", "text/plain", strings.NewReader("hello"))
				}
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body) // only the code counts
				_ = resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Errorf("got %s", resp.Status)
					return
				}
				served.Add(1)
			}
		})
	}
	for i := 1; i <= 20; i++ {
		next := newBackend(t, fmt.Sprint(i))
		group.Register(next.target(i))
		await(t, group, balancer.Healthy, balancer.Healthy)
		<-group.Deregister(fmt.Sprintf("10.0.0.%d", i-1), 8080)
		current.server.Close()
		current = next
	}
	cancel()
	clients.Wait()
	if served.Load() == 0 {
		t.Error("no request was served")
	}
}

func TestMatchesCode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		matcher string
		code    int
		want    bool
	}{
		{"200", 200, true}, {"200", 201, false}, {"200,204", 204, true}, {"200-299", 250, true},
		{"200-299", 300, false}, {"", 200, false}, {"junk", 200, false}, {"200-", 200, false},
	} {
		if got := balancer.MatchesCode(c.matcher, c.code); got != c.want {
			t.Errorf("MatchesCode(%q, %d) = %v", c.matcher, c.code, got)
		}
	}
}

type backend struct {
	server  *httptest.Server
	code    atomic.Int64 // of /healthz
	block   sync.RWMutex // held: /healthz and /slow wait
	entered chan struct{}
}

func newBackend(t *testing.T, name string) *backend {
	t.Helper()
	b := &backend{entered: make(chan struct{}, 100)}
	b.code.Store(200)
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			b.entered <- struct{}{}
			fallthrough
		case "/healthz":
			b.block.RLock()
			defer b.block.RUnlock()
			if r.URL.Path == "/healthz" {
				w.WriteHeader(int(b.code.Load()))
			}
		}
		_, _ = io.WriteString(w, name) // the client may have gone
	}))
	t.Cleanup(b.server.Close)
	return b
}

func (b *backend) target(i int) balancer.Target {
	return balancer.Target{ID: fmt.Sprintf("10.0.0.%d", i), Port: 8080, Addr: b.server.Listener.Addr().String()}
}

func newGroup(t *testing.T, settings balancer.Settings) *balancer.Group {
	t.Helper()
	g := balancer.NewGroup(settings)
	t.Cleanup(g.Close)
	return g
}

func listen(t *testing.T, action balancer.Action) *balancer.Listener {
	t.Helper()
	return listenWith(t, action, balancer.Options{IdleTimeout: time.Minute})
}

func listenWith(t *testing.T, action balancer.Action, options balancer.Options) *balancer.Listener {
	t.Helper()
	l, err := balancer.Listen(0, nil, action, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func await(t *testing.T, group *balancer.Group, want ...balancer.State) {
	t.Helper()
	var got []balancer.State
	for range 2000 {
		got = nil
		for _, h := range group.Health() {
			got = append(got, h.State)
		}
		if cmp.Equal(got, want) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("targets are %v, want %v", got, want)
}

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(body)
}

func get(t *testing.T, url string) string {
	t.Helper()
	_, body := fetch(t, url)
	return body
}

func count(t *testing.T, lb *balancer.Listener, n int) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range n {
		got[get(t, "http://"+lb.Addr()+"/")]++
	}
	return got
}
