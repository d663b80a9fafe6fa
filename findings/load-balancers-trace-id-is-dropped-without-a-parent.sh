#!/bin/sh
# A service behind AWS's load balancer whose traces are continued by X-Ray's own header
# begins another trace for each request, or records none at all.
#
# Package:   go.opentelemetry.io/contrib/propagators/aws v1.47.0 with go.opentelemetry.io/otel/sdk v1.47.0
# Expected:  the id in X-Amzn-Trace-Id, which the load balancer puts into its access log, is
#            the id of the service's trace.
# Behaviour: a load balancer is no segment of the trace: its header has a Root, and no
#            Parent. The propagator takes only what has both, and drops the rest without a
#            word, so that nothing in the access log leads to a trace. With a Parent, as
#            a caller that is traced sends it, the id is kept; but where Sampled is missing,
#            or "?", by which X-Ray leaves the decision to the service, it is read as "no",
#            and the usual sampler, which follows the parent, records nothing. The module is
#            deprecated since September 2026 without a successor, so this stays: what is
#            needed is a propagator of one's own, which gives such a header a random Parent
#            and decides on sampling itself.
# Source:    Extract and parseTraceFlag in xray/propagator.go of that version;
#            https://github.com/open-telemetry/opentelemetry-go-contrib/issues/8024 and pull/9706;
#            https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-request-tracing.html
#            and https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS=-mod=mod GOWORK=off
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"go.opentelemetry.io/contrib/propagators/aws/xray"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
)

func main() {
	tracer := trace.NewTracerProvider(trace.WithIDGenerator(xray.NewIDGenerator())).Tracer("service")
	const root = "Root=1-6a0d0f21-c0ffee0123456789abcdef01"
	for _, header := range []string{
		root,
		"Self=1-6a0d0f22-00112233445566778899aabb;" + root,
		root + ";Parent=53995c3f42cd8ad8",
		root + ";Parent=53995c3f42cd8ad8;Sampled=?",
		root + ";Parent=53995c3f42cd8ad8;Sampled=1",
	} {
		request := http.Header{"X-Amzn-Trace-Id": {header}}
		ctx := xray.Propagator{}.Extract(context.Background(), propagation.HeaderCarrier(request))
		_, span := tracer.Start(ctx, "GET /books")
		kept := span.SpanContext().TraceID().String() == "6a0d0f21c0ffee0123456789abcdef01"
		fmt.Printf("%s: same id: %t, recorded: %t\n", strings.NewReplacer(root, "Root=…", "1-6a0d0f22-00112233445566778899aabb", "…", "53995c3f42cd8ad8", "…").Replace(header), kept, span.IsRecording())
		span.End()
	}
}
GO
go get go.opentelemetry.io/contrib/propagators/aws@v1.47.0 go.opentelemetry.io/otel/sdk@v1.47.0
go run . | tee seen
diff seen - <<'WANT'
Root=…: same id: false, recorded: true
Self=…;Root=…: same id: false, recorded: true
Root=…;Parent=…: same id: true, recorded: false
Root=…;Parent=…;Sampled=?: same id: true, recorded: false
Root=…;Parent=…;Sampled=1: same id: true, recorded: true
WANT
# Seen: the five lines above
