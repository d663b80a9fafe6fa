#!/bin/sh
# A service counts orders for each tenant. After an update of OpenTelemetry by a minor version,
# tenants that are new since the last start are missing, and a tenant nobody knows has their orders.
#
# Package:   go.opentelemetry.io/otel/sdk/metric v1.47.0 (and v1.43.0 before it)
# Expected:  each set of attributes is a series of its own; at worst memory grows, as it did.
# Behaviour: since v1.44.0 of May 2026 an instrument keeps 2000 sets of attributes, and all others are
#            counted as one set with otel.metric.overflow=true and nothing else. A set keeps its
#            place until the process ends, though its tenant may have left long ago, so that it's decided by who
#            comes first after a start, and differs between replicas: a tenant's
#            sum over all of them is then too small by any part. Nothing is logged. Sums
#            over all tenants stay right, which hides it; an alarm on one tenant never
#            goes off. With the delta temporality the places are free again after each
#            collection. WithCardinalityLimit(0) is as before.
# Source:    1.44.0 in https://github.com/open-telemetry/opentelemetry-go/blob/v1.47.0/CHANGELOG.md (pull 8247)
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
	"context"
	"fmt"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func main() {
	ctx := context.Background()
	for _, temporality := range []metricdata.Temporality{metricdata.CumulativeTemporality, metricdata.DeltaTemporality} {
		reader := sdk.NewManualReader(sdk.WithTemporalitySelector(func(sdk.InstrumentKind) metricdata.Temporality { return temporality }))
		orders, err := sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("shop").Int64Counter("orders")
		if err != nil {
			panic(err)
		}
		collect := func() (series int, last, all int64, unknown bool) {
			var data metricdata.ResourceMetrics
			if err := reader.Collect(ctx, &data); err != nil {
				panic(err)
			}
			for _, point := range data.ScopeMetrics[0].Metrics[0].Data.(metricdata.Sum[int64]).DataPoints {
				series++
				all += point.Value
				if tenant, known := point.Attributes.Value("tenant"); !known {
					unknown = true
				} else if tenant.AsInt64() == 2499 {
					last = point.Value
				}
			}
			return
		}
		for tenant := range 2500 {
			orders.Add(ctx, 1, metric.WithAttributes(attribute.Int("tenant", tenant)))
		}
		series, last, all, unknown := collect()
		fmt.Printf("%s, %s: %d series, %d orders, of the last tenant %d, some of nobody: %t\n", os.Args[1], temporality, series, all, last, unknown)
		orders.Add(ctx, 1, metric.WithAttributes(attribute.Int("tenant", 2499)))
		_, last, _, _ = collect()
		fmt.Printf("%s, %s: one more order of the last tenant: it has %d\n", os.Args[1], temporality, last)
	}
}
GO
for version in v1.43.0 v1.47.0; do
  go get go.opentelemetry.io/otel@$version go.opentelemetry.io/otel/metric@$version go.opentelemetry.io/otel/sdk/metric@$version
  go run . $version
done | tee seen
diff seen - <<'WANT'
v1.43.0, CumulativeTemporality: 2500 series, 2500 orders, of the last tenant 1, some of nobody: false
v1.43.0, CumulativeTemporality: one more order of the last tenant: it has 2
v1.43.0, DeltaTemporality: 2500 series, 2500 orders, of the last tenant 1, some of nobody: false
v1.43.0, DeltaTemporality: one more order of the last tenant: it has 1
v1.47.0, CumulativeTemporality: 2000 series, 2500 orders, of the last tenant 0, some of nobody: true
v1.47.0, CumulativeTemporality: one more order of the last tenant: it has 0
v1.47.0, DeltaTemporality: 2000 series, 2500 orders, of the last tenant 0, some of nobody: true
v1.47.0, DeltaTemporality: one more order of the last tenant: it has 1
WANT
# Seen: the eight lines above
