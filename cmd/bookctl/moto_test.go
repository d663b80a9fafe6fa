package main_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// startMoto starts the AWS emulator moto on a free port and returns its address.
func startMoto(t testing.TB) string {
	t.Helper()
	bin, err := exec.LookPath("moto_server")
	if err != nil {
		t.Fatal("moto_server is not installed; run .ci/setup")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(bin, "-H", "127.0.0.1", "-p", port)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()
	})
	endpoint := "http://127.0.0.1:" + port
	for range 1200 {
		if resp, err := http.Get(endpoint + "/moto-api/"); err == nil {
			_ = resp.Body.Close()
			return endpoint
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("moto did not start:\n%s", out.String())
	return ""
}

// onWire is what passes between a program and an AWS endpoint.
type onWire struct {
	url string

	mu     sync.Mutex
	reads  []string
	writes []string
	waited time.Duration // for the endpoint's answers, all together
}

var readingAction = regexp.MustCompile("^(Describe|Get|List|BatchGet|BatchCheck|Filter)")

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
	}}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadGateway)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		w.note(r, body)
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

func (w *onWire) note(r *http.Request, body []byte) {
	if strings.HasPrefix(r.URL.Path, "/v2/") {
		return // the image registry is no AWS API
	}
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if action == "" {
		form, _ := url.ParseQuery(string(body)) // what can't be parsed has no action
		action = form.Get("Action")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if readingAction.MatchString(action) {
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
