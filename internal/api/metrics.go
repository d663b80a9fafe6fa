package api

import (
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/jackc/pgx/v5/pgxpool"
)

// buckets are the upper ends of the durations' histogram, in seconds.
var buckets = append([]float64{.0005, .001, .0025}, metrics.PrometheusHistogramDefaultBuckets...)

// meter is what /metrics shows, alongside the Go runtime and the process.
type meter struct {
	set      *metrics.Set
	inFlight *metrics.Gauge
}

func newMeter(pool *pgxpool.Pool) *meter {
	m := &meter{set: metrics.NewSet()}
	m.inFlight = m.set.NewGauge("http_requests_in_flight", nil)
	for name, value := range map[string]func() float64{
		"pgxpool_total_conns":    func() float64 { return float64(pool.Stat().TotalConns()) },
		"pgxpool_acquired_conns": func() float64 { return float64(pool.Stat().AcquiredConns()) },
		"pgxpool_max_conns":      func() float64 { return float64(pool.Stat().MaxConns()) },
		"pgxpool_empty_acquire":  func() float64 { return float64(pool.Stat().EmptyAcquireCount()) }, // had to wait for a connection
		// Under the names that Prometheus's client has for them.
		"go_sched_gomaxprocs_threads": func() float64 { return float64(runtime.GOMAXPROCS(0)) },
		"go_gc_gomemlimit_bytes":      func() float64 { return float64(debug.SetMemoryLimit(-1)) },
	} {
		m.set.NewGauge(name, value)
	}
	return m
}

// observe counts a request by its operation and status.
func (m *meter) observe(operation string, status int, took time.Duration) {
	name := `http_request_duration_seconds{operation="` + operation + `",code="` + strconv.Itoa(status) + `"}`
	m.set.GetOrCreatePrometheusHistogramExt(name, buckets).Update(took.Seconds())
}

func (m *meter) show(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	m.set.WritePrometheus(w)
	metrics.WriteProcessMetrics(w)
}
