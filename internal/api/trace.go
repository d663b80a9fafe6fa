package api

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const tracerName = "github.com/bookctl/bookctl/internal/api"

// startTrace begins a request's span, as a part of the client's trace if it sent one.
func (s *Server) startTrace(r *http.Request) context.Context {
	if s.tracer == nil || probe(r.URL.Path) {
		return r.Context()
	}
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, _ = s.tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer))
	return ctx
}

// endTrace ends the request's span. The names are those of
// https://opentelemetry.io/docs/specs/semconv/http/http-spans/.
func endTrace(ctx context.Context, r *http.Request, rec *requestRecord, status int) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetName(r.Method + " " + rec.operation)
	span.SetAttributes(
		attribute.String("http.request.method", r.Method),
		attribute.String("url.path", r.URL.EscapedPath()),
		attribute.Int("http.response.status_code", status),
		attribute.String("request.id", rec.id),
	)
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, http.StatusText(status))
	}
	span.End()
}

// startSpan begins a part of the trace in ctx; without one it costs next to nothing.
func startSpan(ctx context.Context, name string) (context.Context, func()) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func() {}
	}
	ctx, child := parent.TracerProvider().Tracer(tracerName).Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
	return ctx, func() { child.End() }
}
