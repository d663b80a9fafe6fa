package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"go.opentelemetry.io/otel/trace"
)

// record is a response with what the log and the metrics say about it.
type record struct {
	http.ResponseWriter
	id        string // of the request
	operation string // of the OpenAPI document, or a path of ours; empty for others
	status    int
	bytes     int64
	err       error      // why it failed, when that is not the client's fault
	span      trace.Span // nil when not traced
}

type recordKey struct{}

func (r *record) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *record) Write(text []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(text)
	r.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (r *record) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// observe gives each request an id, logs and counts it, and turns a panic into an answer.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &record{ResponseWriter: w, id: requestID(r)}
		header := w.Header()
		header["X-Request-Id"] = []string{rec.id}
		header["X-Content-Type-Options"] = nosniff
		if s.draining.Load() {
			// So that the client goes elsewhere before the listener closes.
			header["Connection"] = closeConnection
		}
		s.meter.inFlight.Add(1)
		defer func() {
			s.meter.inFlight.Add(-1)
			if p := recover(); p != nil {
				rec.err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
				if rec.status == 0 {
					writeProblem(rec, problem(http.StatusInternalServerError, "internal error"))
				}
			}
			s.report(r, rec, start)
		}()
		next.ServeHTTP(rec, s.trace(rec, r))
	})
}

var (
	nosniff         = []string{"nosniff"}
	closeConnection = []string{"close"}
)

// probe says whether a path is one that tells how the service is, which it must
// do under any load.
func probe(path string) bool {
	return path == "/healthz" || path == "/readyz" || path == "/startupz" || path == "/metrics"
}

// report logs and counts a request that has been answered.
func (s *Server) report(r *http.Request, rec *record, start time.Time) {
	end := time.Now()
	took := end.Sub(start)
	if rec.operation == "" {
		rec.operation = "other"
	}
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	series := s.meter.observe(rec.operation, rec.status, took)
	rec.endSpan(r)
	level := slog.LevelInfo
	switch {
	case rec.status == http.StatusInternalServerError:
		level = slog.LevelError
	case probe(r.URL.Path):
		level = slog.LevelDebug // many, and all the same
	case rec.status > http.StatusInternalServerError:
		level = slog.LevelWarn
	}
	if !s.log.Enabled(context.Background(), level) {
		return
	}
	// Past the Logger, which would look for the line of code that logs. A Record
	// has room for five attributes.
	line := slog.NewRecord(end, level, "request", 0)
	line.AddAttrs(
		slog.String("id", rec.id),
		slog.String("method", r.Method),
		slog.String("path", path(r)),
		slog.Int64("bytes", rec.bytes),
		slog.Float64("ms", float64(took.Microseconds())/1000),
	)
	if rec.span != nil {
		line.AddAttrs(slog.String("trace_id", rec.span.SpanContext().TraceID().String()))
	}
	if rec.err != nil {
		line.AddAttrs(slog.String("error", rec.err.Error()))
	}
	_ = series.log.Handle(context.Background(), line) // the Logger drops its error, too
}

// path is the request's, as URL.EscapedPath has it.
func path(r *http.Request) string {
	// Without a RawPath what came is the encoding that EscapedPath would make.
	if r.URL.RawPath == "" && strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		return path
	}
	return r.URL.EscapedPath()
}

// requestID is the client's own id, if it sent one that can go into a log, or a
// new one.
func requestID(r *http.Request) string {
	if given := r.Header["X-Request-Id"]; len(given) == 1 && plainID(given[0]) {
		return given[0]
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

func plainID(id string) bool {
	odd := func(c rune) bool {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
			return false
		}
		return true
	}
	return id != "" && len(id) <= 64 && strings.IndexFunc(id, odd) < 0
}

// named gives the operation of a handler.
func named(operation string, handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if rec, ok := w.(*record); ok {
			rec.operation = operation
		}
		handler(w, r)
	}
}

// allowed are the methods that a path takes, for the header Allow.
func allowed(routes chi.Routes, path string) (methods []string) {
	for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPatch, http.MethodPost, http.MethodPut} {
		if routes.Match(chi.NewRouteContext(), method, path) {
			methods = append(methods, method)
			if method == http.MethodGet {
				methods = append(methods, http.MethodHead)
			}
		}
	}
	return methods
}

func byteCount(n int64) string { return strconv.FormatInt(n, 10) + " bytes" }
