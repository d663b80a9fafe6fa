package main_test

import (
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
	}}
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
