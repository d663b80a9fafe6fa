package cli_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/moto"
)

// onWire is what passes between a program and an AWS endpoint.
type onWire struct {
	url string

	mu     sync.Mutex
	reads  []string
	writes []string
	waited time.Duration // for the endpoint's answers, all together
	bytes  int64         // of the answers' bodies
	held   func(action string)
}

// sdkAttempt is an attempt after the first, by the header in which the SDKs count
// them.
var sdkAttempt = regexp.MustCompile(`\battempt=([2-9]|\d\d)`)

// watchWire puts a proxy in front of an endpoint that keeps a journal.
func watchWire(t testing.TB, endpoint string) *onWire {
	t.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	w := &onWire{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // signatures are of it
	}, ModifyResponse: func(r *http.Response) error {
		r.Body = counting{r.Body, w}
		return nil
	}, ErrorLog: log.New(io.Discard, "", 0)} // a program that was killed is no news
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		action, reads, err := moto.Call(r)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadGateway)
			return
		}
		// The image registry is no AWS API, and a call that is tried again, say on
		// another connection, is one call.
		if again := sdkAttempt.MatchString(r.Header.Get("Amz-Sdk-Request")); !again && !strings.HasPrefix(r.URL.Path, "/v2/") {
			w.note(action, reads)
		}
		w.wait(action)
		begun := time.Now()
		proxy.ServeHTTP(rw, r)
		w.mu.Lock()
		w.waited += time.Since(begun)
		w.mu.Unlock()
	}))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// counting is an answer's body whose length is counted as it is read.
type counting struct {
	io.ReadCloser
	w *onWire
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.w.bytes += int64(n)
	return n, err
}

// hold keeps the next calls of an action on their way until release. It reports when
// one has come.
func (w *onWire) hold(action string) (held <-chan struct{}, release func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	came, gate := make(chan struct{}), make(chan struct{})
	report := sync.OnceFunc(func() { close(came) })
	w.held = func(a string) {
		if a == action {
			report()
			<-gate
		}
	}
	return came, sync.OnceFunc(func() { close(gate) })
}

func (w *onWire) wait(action string) {
	w.mu.Lock()
	held := w.held
	w.mu.Unlock()
	if held != nil {
		held(action)
	}
}

func (w *onWire) note(action string, reads bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if reads {
		w.reads = append(w.reads, action)
	} else {
		w.writes = append(w.writes, action)
	}
}

// take returns the calls since the last take.
func (w *onWire) take() (reads, writes []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	reads, writes = slices.Clone(w.reads), slices.Clone(w.writes)
	w.reads, w.writes = nil, nil
	return reads, writes
}
