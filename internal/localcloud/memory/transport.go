package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"
)

// Transport carries requests to a handler in this process, over no connection, so
// that a test with a clock of its own (testing/synctest) can tell when all wait.
type Transport struct{ To http.Handler }

// RoundTrip answers when the handler has, or the request's context ends: then the
// handler goes on, as a server does whose client hangs up. A handler that hangs up
// itself is io.EOF.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		_ = r.Body.Close() // only read
		if err != nil {
			return nil, err
		}
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	sent := r.Clone(context.WithoutCancel(r.Context()))
	sent.Body, sent.RemoteAddr, sent.RequestURI = io.NopCloser(bytes.NewReader(body)), "127.0.0.1:1", r.URL.RequestURI()
	if sent.Host == "" {
		sent.Host = r.URL.Host
	}
	answered := make(chan *http.Response, 1)
	go func() {
		defer close(answered)
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
				panic(p)
			}
		}()
		w := httptest.NewRecorder()
		t.To.ServeHTTP(w, sent)
		answer := w.Result()
		answer.Request = r
		answer.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat)) // as net/http does
		answered <- answer
	}()
	select {
	case answer, ok := <-answered:
		if !ok {
			return nil, fmt.Errorf("no answer: %w", io.EOF)
		}
		return answer, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}
