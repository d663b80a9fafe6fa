#!/bin/sh
# A library names a counter "http.requests", the service has had "http_requests" for years. The service
# starts, /metrics looks right in Prometheus, and another reader gets none of the metrics any more.
#
# Package:   github.com/prometheus/client_golang v1.25.0 with github.com/prometheus/common v0.72.0
# Expected:  a name with a dot is refused when it's registered, as it was until v1.21, or two
#            names that become one are refused like twice the same name.
# Behaviour: both are registered, since names may have any character by now. How they are written is
#            decided by each request: who doesn't ask for escaping=allow-utf-8, as Prometheus 2,
#            an agent or curl, gets the dot as "_", so that the same name is there twice, with twice a TYPE.
#            The answer is 200. The parser of prometheus/common, which agents in Go
#            use, refuses the whole text: not one counter is lacking but all. A test that gathers from the
#            registry sees two names, as does a reader that speaks UTF-8. Since v1.25 the old
#            check can't be switched on again (NameValidationScheme). A test of one's own
#            has to parse what promhttp answers without an Accept header.
# Source:    1.25.0 in https://github.com/prometheus/client_golang/blob/v1.25.0/CHANGELOG.md (pull 2051);
#            https://prometheus.io/docs/instrumenting/escaping_schemes/
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"fmt"
	"net/http/httptest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func main() {
	registry := prometheus.NewRegistry()
	for _, name := range []string{"http_requests", "http.requests", "orders"} {
		fmt.Println("registering", name+":", registry.Register(prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: "A counter."})))
	}
	for _, accept := range []string{"text/plain;version=1.0.0;escaping=allow-utf-8", ""} {
		request := httptest.NewRequest("GET", "/metrics", nil)
		request.Header.Set("Accept", accept)
		answer := httptest.NewRecorder()
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, request)
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(answer.Body)
		if err != nil {
			families = nil
		}
		fmt.Printf("Accept %q: %d, %d metrics, %v\n", accept, answer.Code, len(families), err)
	}
}
GO
go get github.com/prometheus/client_golang@v1.25.0 github.com/prometheus/common@v0.72.0
go run . | tee seen
diff seen - <<'WANT'
registering http_requests: <nil>
registering http.requests: <nil>
registering orders: <nil>
Accept "text/plain;version=1.0.0;escaping=allow-utf-8": 200, 3 metrics, <nil>
Accept "": 200, 0 metrics, text format parsing error in line 4: second HELP line for metric name "http_requests"
WANT
# Seen: the five lines above
