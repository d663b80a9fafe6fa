#!/bin/sh
# A service that makes and removes summaries while it runs, as one per tenant, collects
# goroutines, and its quantiles of the last five minutes become those of some seconds.
#
# Package:   github.com/VictoriaMetrics/metrics v1.45.0, testing/synctest of Go 1.26
# Expected:  UnregisterMetric undoes NewSummary.
# Behaviour: the first summary of each length of window starts a goroutine, which is
#            global and turns the windows of all summaries of that length over. Removing the last of
#            them does not end it, and the next one is a "first" again: it starts another.
#            All of them run on, and each turns all the windows over, so that what was
#            observed a minute ago is gone, and the quantiles are missing in between. In
#            a test's bubble of synctest such a goroutine ends the test with "deadlock",
#            unless another test has made a summary before. A summary that's never
#            removed, made at the start, keeps their number at one. Time is synctest's here.
# Source:    registerSummaryLocked, unregisterSummary and summariesSwapCron in summary.go of
#            that version.
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS=-mod=mod GOWORK=off
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > finding_test.go <<'GO'
package finding

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

func TestSummaries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// kept says whether a summary still has a quantile of what it saw a minute ago.
		kept := func(window time.Duration) bool {
			set := metrics.NewSet()
			defer set.UnregisterAllMetrics()
			set.NewSummaryExt("seconds", window, []float64{0.5}).Update(1)
			time.Sleep(time.Minute)
			var out bytes.Buffer
			set.WritePrometheus(&out)
			return strings.Contains(out.String(), `seconds{quantile="0.5"} 1`)
		}
		goroutines := func() int {
			stacks := make([]byte, 1<<20)
			return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "metrics.summariesSwapCron(")
		}
		const window = 5 * time.Minute
		fmt.Printf("at first: kept for a minute: %t, goroutines: %d\n", kept(window), goroutines())
		for tenant := range 20 {
			set := metrics.NewSet()
			set.NewSummaryExt(fmt.Sprintf("tenant_%d_seconds", tenant), window, []float64{0.5})
			time.Sleep(20 * time.Second)
			set.UnregisterAllMetrics()
		}
		fmt.Printf("after 20 tenants: kept for a minute: %t, goroutines: %d\n", kept(window), goroutines())
		fmt.Printf("with a window of another length: kept for a minute: %t\n", kept(window+time.Second))
		os.Exit(0) // the bubble can't end: the goroutines stay
	})
}
GO
go get github.com/VictoriaMetrics/metrics@v1.45.0
go test -vet=off -c -o try .
./try | tee seen
diff seen - <<'WANT'
at first: kept for a minute: true, goroutines: 1
after 20 tenants: kept for a minute: false, goroutines: 22
with a window of another length: kept for a minute: true
WANT
# Seen: the three lines above
