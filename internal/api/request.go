package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"go.opentelemetry.io/otel/trace"
)

// requestRecord is what handlers add to the log, the metrics and the trace of a request.
type requestRecord struct {
	id        string
	operation string // of the OpenAPI document, or a path of ours
	err       error  // why it failed, when that is not the client's fault
}

type recordKey struct{}

// recordOf is the record of the request that has ctx.
func recordOf(ctx context.Context) *requestRecord {
	if rec, ok := ctx.Value(recordKey{}).(*requestRecord); ok {
		return rec
	}
	return &requestRecord{} // of nobody
}

// observe gives each request an id, logs, counts and traces it, and turns a
// panic into an answer.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		rec := &requestRecord{id: requestID(r), operation: "other"}
		ctx := context.WithValue(s.startTrace(r), recordKey{}, rec)
		header := w.Header()
		header.Set("X-Request-Id", rec.id)
		header.Set("X-Content-Type-Options", "nosniff")
		if s.draining.Load() {
			// So that the client goes elsewhere before the listener closes.
			header.Set("Connection", "close")
		}
		out := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		s.meter.inFlight.Inc()
		defer func() {
			s.meter.inFlight.Dec()
			if p := recover(); p != nil {
				rec.err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
				if out.Status() == 0 {
					writeError(out, r.WithContext(ctx), rec.err)
				}
			}
			s.report(ctx, r, rec, out, time.Since(began))
		}()
		next.ServeHTTP(out, r.WithContext(ctx))
	})
}

// report logs and counts a request that has been answered.
func (s *Server) report(ctx context.Context, r *http.Request, rec *requestRecord, out middleware.WrapResponseWriter, took time.Duration) {
	status := cmp.Or(out.Status(), http.StatusOK)
	s.meter.observe(rec.operation, status, took)
	endTrace(ctx, r, rec, status)
	level := slog.LevelInfo
	switch {
	case status == http.StatusInternalServerError:
		level = slog.LevelError
	case probe(r.URL.Path):
		level = slog.LevelDebug // many, and all the same
	case status > http.StatusInternalServerError:
		level = slog.LevelWarn
	}
	if !s.log.Enabled(ctx, level) {
		return
	}
	// Past the Logger, which would look for the line of code that logs.
	line := slog.NewRecord(time.Now(), level, "request", 0)
	line.AddAttrs(
		slog.String("operation", rec.operation),
		slog.Int("status", status),
		slog.String("id", rec.id),
		slog.String("method", r.Method),
		slog.String("path", r.URL.EscapedPath()),
		slog.Int("bytes", out.BytesWritten()),
		slog.Float64("ms", float64(took.Microseconds())/1000),
	)
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		line.AddAttrs(slog.String("trace_id", span.TraceID().String()))
	}
	if rec.err != nil {
		line.AddAttrs(slog.String("error", rec.err.Error()))
	}
	_ = s.log.Handler().Handle(ctx, line) // the Logger drops its error, too
}

// probe reports whether a path is a health check's or that of the metrics.
func probe(path string) bool {
	return path == "/healthz" || path == "/readyz" || path == "/startupz" || path == "/metrics"
}

// plainID is what can go into a log.
var plainID = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// requestID is the client's own id, if it sent a plain one, or a new one.
func requestID(r *http.Request) string {
	if given := r.Header.Values("X-Request-Id"); len(given) == 1 && plainID.MatchString(given[0]) {
		return given[0]
	}
	return rand.Text()[:16]
}

// withOperation records the name of a handler's operation.
func withOperation(operation string, handler http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		recordOf(r.Context()).operation = operation
		handler.ServeHTTP(w, r)
	}
}
