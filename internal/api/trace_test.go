package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bookctl/bookctl/internal/api"
	"github.com/bookctl/bookctl/internal/api/otlp"
)

// collector takes spans as an OpenTelemetry collector does.
type collector struct {
	*httptest.Server
	spans chan span
}

type span struct {
	TraceID, SpanID, ParentSpanID, Name string
	Kind                                int
	StartTimeUnixNano                   string
	service                             string
}

func newCollector(t *testing.T) *collector {
	c := &collector{spans: make(chan span, 100)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		var batch struct {
			ResourceSpans []struct {
				Resource   struct{ Attributes []map[string]any }
				ScopeSpans []struct{ Spans []span }
			}
		}
		if err == nil {
			err = json.Unmarshal(text, &batch)
		}
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("X-Key") != "k v" {
			t.Errorf("%s %v: %v %s", r.URL, r.Header, err, text)
		}
		for _, resource := range batch.ResourceSpans {
			for _, s := range resource.ScopeSpans[0].Spans {
				s.service = fmt.Sprint(resource.Resource.Attributes)
				c.spans <- s
			}
		}
		w.WriteHeader(http.StatusOK)
	}))
	t.Cleanup(c.Close)
	return c
}

func TestRequestsArePartOfTheClientsTrace(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	s := serve(t, newDatabase(t), func(o *api.Options) {
		o.Traces = otlp.Exporter{URL: c.URL + "/v1/traces", Headers: map[string]string{"X-Key": "k v"}}
	})
	const traceID = "0af7651916cd43dd8448eb211c80319c"
	s.send(t, "POST", "/books", bookJSON("traced", "a"), "Traceparent: 00-"+traceID+"-b7ad6b7169203331-01").want(t, 201)
	if err := s.stop(); err != nil { // sends what is left
		t.Fatal(err)
	}
	close(c.spans)
	byName := map[string]span{}
	for got := range c.spans {
		byName[got.Name] = got
	}
	request, insert := byName["POST create-book"], byName["insert"]
	if request.TraceID != traceID || request.ParentSpanID != "b7ad6b7169203331" || request.Kind != 2 || len(request.StartTimeUnixNano) != 19 || !strings.Contains(request.service, "bookapi") {
		t.Errorf("the request's span: %+v", request)
	}
	if insert.TraceID != traceID || insert.ParentSpanID != request.SpanID || insert.Kind != 3 {
		t.Errorf("the insert's span: %+v in %+v", insert, request)
	}
	if !strings.Contains(s.log.String(), `"trace_id":"`+traceID+`"`) {
		t.Error("the log does not name the trace")
	}
}
