// Package otlp sends OpenTelemetry's spans as OTLP in its JSON encoding
// (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
// OpenTelemetry's own exporter links gRPC and protobuf, even for HTTP.
package otlp

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
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Exporter sends spans to a collector.
type Exporter struct {
	// URL takes OTLP over HTTP in its JSON encoding.
	URL string
	// Headers are sent along, such as a key of the collector's.
	Headers map[string]string
	// Log takes what goes wrong.
	Log *slog.Logger
}

// Start sends the spans of what it returns in the background, as those of a service.
// stop sends what is left.
func (e Exporter) Start(service string) (provider trace.TracerProvider, stop func()) {
	// Its own attributes first: those of the environment win.
	about, err := resource.New(context.Background(),
		resource.WithAttributes(attribute.String("service.name", service)), resource.WithFromEnv())
	if err != nil {
		e.Log.Warn("some OpenTelemetry attributes are not valid", "reason", err.Error())
	}
	sdk := sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithBatcher(&e))
	return sdk, func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		_ = sdk.Shutdown(ctx) // ExportSpans has logged it
	}
}

// timeout is how long the collector may take.
const timeout = 10 * time.Second

// stopTimeout is how long sending what is left may take.
const stopTimeout = 2 * time.Second

type object = map[string]any

// ExportSpans sends a batch of spans, all of which are of this process.
func (e *Exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	out := make([]object, len(spans))
	for i, s := range spans {
		out[i] = object{
			"traceId": s.SpanContext().TraceID(), "spanId": s.SpanContext().SpanID(), "name": s.Name(), "kind": int(s.SpanKind()),
			"startTimeUnixNano": strconv.FormatInt(s.StartTime().UnixNano(), 10), "endTimeUnixNano": strconv.FormatInt(s.EndTime().UnixNano(), 10),
			"attributes": attributes(s.Attributes()), "links": links(s.Links()),
		}
		if s.Parent().SpanID().IsValid() {
			out[i]["parentSpanId"] = s.Parent().SpanID()
		}
		if s.Status().Code == codes.Error {
			out[i]["status"] = object{"code": 2, "message": s.Status().Description}
		}
	}
	text, err := json.Marshal(object{"resourceSpans": []object{{
		"resource":   object{"attributes": attributes(spans[0].Resource().Attributes())},
		"scopeSpans": []object{{"scope": object{"name": spans[0].InstrumentationScope().Name}, "spans": out}},
	}}})
	if err == nil {
		err = e.send(ctx, text)
	}
	if err != nil {
		e.Log.Warn("could not send traces", "spans", len(spans), "reason", err.Error())
	}
	return nil // logged already; OpenTelemetry would print it in a form of its own
}

func attributes(all []attribute.KeyValue) []object {
	out := make([]object, len(all))
	for i, a := range all {
		value := object{"stringValue": a.Value.String()}
		if a.Value.Type() == attribute.INT64 {
			value = object{"intValue": strconv.FormatInt(a.Value.AsInt64(), 10)}
		}
		out[i] = object{"key": a.Key, "value": value}
	}
	return out
}

func links(all []sdktrace.Link) []object {
	out := make([]object, len(all))
	for i, l := range all {
		out[i] = object{"traceId": l.SpanContext.TraceID(), "spanId": l.SpanContext.SpanID()}
	}
	return out
}

func (e *Exporter) send(ctx context.Context, text []byte) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	for name, value := range e.Headers {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
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
func (*Exporter) Shutdown(context.Context) error { return nil }
