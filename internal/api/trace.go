package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Traces says where spans go.
type Traces struct {
	// URL takes OTLP over HTTP in its JSON encoding; empty means no traces.
	URL string
	// Headers are sent along, such as a key of the collector's.
	Headers map[string]string
}

const tracerName = "github.com/bookctl/bookctl/internal/api"

// provider makes spans and sends them to the collector, in the background.
func (t Traces) provider(log *slog.Logger) *sdktrace.TracerProvider {
	// Its own attributes first: those of the environment win.
	about, err := resource.New(context.Background(),
		resource.WithAttributes(attribute.String("service.name", "bookapi")), resource.WithFromEnv())
	if err != nil {
		log.Warn("some OpenTelemetry attributes are not valid", "reason", err.Error())
	}
	return sdktrace.NewTracerProvider(sdktrace.WithResource(about),
		sdktrace.WithBatcher(&exporter{Traces: t, log: log, client: http.Client{Timeout: 10 * time.Second}}))
}

// endTracing sends what is left.
func (s *Server) endTracing() {
	if s.tracing == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = s.tracing.Shutdown(ctx) // the exporter has logged it
}

// trace begins a request's span, as a part of the client's trace if it sent one.
func (s *Server) trace(rec *record, r *http.Request) *http.Request {
	if s.tracing == nil || probe(r.URL.Path) {
		return r
	}
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, rec.span = s.tracing.Tracer(tracerName).Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer))
	return r.WithContext(ctx)
}

// endSpan ends the request's span. The names are those of
// https://opentelemetry.io/docs/specs/semconv/http/http-spans/.
func (rec *record) endSpan(r *http.Request) {
	if rec.span == nil {
		return
	}
	rec.span.SetName(r.Method + " " + rec.operation)
	rec.span.SetAttributes(
		attribute.String("http.request.method", r.Method),
		attribute.String("url.path", path(r)),
		attribute.Int("http.response.status_code", rec.status),
		attribute.String("request.id", rec.id),
	)
	if rec.status >= http.StatusInternalServerError {
		rec.span.SetStatus(codes.Error, http.StatusText(rec.status))
	}
	rec.span.End()
}

// span is a part of the trace in ctx; without one it costs next to nothing.
func span(ctx context.Context, name string) (context.Context, func()) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func() {}
	}
	ctx, child := parent.TracerProvider().Tracer(tracerName).Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
	return ctx, func() { child.End() }
}

// exporter sends spans as OTLP/JSON
// (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding). See doc.go
// for why it is not OpenTelemetry's own.
type exporter struct {
	Traces
	log    *slog.Logger
	client http.Client
}

type otlpValue struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

func otlpValues(attributes []attribute.KeyValue) []otlpValue {
	values := make([]otlpValue, 0, len(attributes))
	for _, a := range attributes {
		var value any
		switch a.Value.Type() {
		case attribute.INT64:
			value = map[string]string{"intValue": strconv.FormatInt(a.Value.AsInt64(), 10)}
		case attribute.BOOL:
			value = map[string]bool{"boolValue": a.Value.AsBool()}
		case attribute.FLOAT64:
			value = map[string]float64{"doubleValue": a.Value.AsFloat64()}
		default:
			value = map[string]string{"stringValue": a.Value.String()}
		}
		values = append(values, otlpValue{string(a.Key), value})
	}
	return values
}

type otlpSpan struct {
	TraceID    string      `json:"traceId"`
	SpanID     string      `json:"spanId"`
	ParentID   string      `json:"parentSpanId,omitempty"`
	Name       string      `json:"name"`
	Kind       int         `json:"kind"`
	Start      string      `json:"startTimeUnixNano"`
	End        string      `json:"endTimeUnixNano"`
	Attributes []otlpValue `json:"attributes"`
	Status     struct {
		Code    int    `json:"code,omitempty"`
		Message string `json:"message,omitempty"`
	} `json:"status"`
}

// ExportSpans sends a batch of spans, all of which are of this process.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	out := make([]otlpSpan, len(spans))
	for i, s := range spans {
		out[i] = otlpSpan{
			TraceID: s.SpanContext().TraceID().String(), SpanID: s.SpanContext().SpanID().String(),
			Name: s.Name(), Kind: int(s.SpanKind()), Attributes: otlpValues(s.Attributes()),
			Start: strconv.FormatInt(s.StartTime().UnixNano(), 10), End: strconv.FormatInt(s.EndTime().UnixNano(), 10),
		}
		if s.Parent().SpanID().IsValid() {
			out[i].ParentID = s.Parent().SpanID().String()
		}
		if s.Status().Code == codes.Error {
			out[i].Status.Code, out[i].Status.Message = 2, s.Status().Description
		}
	}
	type object = map[string]any
	text, err := json.Marshal(object{"resourceSpans": []object{{
		"resource":   object{"attributes": otlpValues(spans[0].Resource().Attributes())},
		"scopeSpans": []object{{"scope": object{"name": tracerName}, "spans": out}},
	}}})
	if err == nil {
		err = e.send(ctx, text)
	}
	if err != nil {
		e.log.Warn("could not send traces", "spans", len(spans), "reason", err.Error())
	}
	return nil // told already; OpenTelemetry would print it in a form of its own
}

func (e *exporter) send(ctx context.Context, text []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	for name, value := range e.Headers {
		request.Header.Set(name, value)
	}
	response, err := e.client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body) // so that the connection is used again
	_ = response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the collector answers %s", response.Status)
	}
	return err
}

// Shutdown does nothing: no span waits in the exporter.
func (*exporter) Shutdown(context.Context) error { return nil }
