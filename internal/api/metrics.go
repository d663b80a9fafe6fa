package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// meter counts what /metrics shows, in Prometheus's text format
// (https://prometheus.io/docs/instrumenting/exposition_formats/). See doc.go for
// why it is not Prometheus's own library.
type meter struct {
	pool     *pgxpool.Pool
	log      slog.Handler
	inFlight atomic.Int64
	series   sync.Map // *series by outcome
}

// outcome is what requests are counted by.
type outcome struct {
	operation string
	status    int
}

// bounds are the upper ends of the duration buckets, in seconds.
var bounds = [...]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// series is a histogram of durations. Each request is in one bucket only; they
// are summed up when they are shown.
type series struct {
	log     slog.Handler // whose lines tell the outcome, encoded once
	buckets [len(bounds) + 1]atomic.Uint64
	nanos   atomic.Int64
}

func (m *meter) observe(operation string, status int, took time.Duration) *series {
	key := outcome{operation, status}
	found, ok := m.series.Load(key)
	if !ok {
		log := m.log.WithAttrs([]slog.Attr{slog.String("operation", operation), slog.Int("status", status)})
		found, _ = m.series.LoadOrStore(key, &series{log: log})
	}
	s := found.(*series)
	at, _ := slices.BinarySearch(bounds[:], took.Seconds())
	s.buckets[at].Add(1)
	s.nanos.Add(int64(took))
	return s
}

func (m *meter) show(w http.ResponseWriter, _ *http.Request) {
	var text strings.Builder
	head := func(name, kind, help string) {
		fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	}
	one := func(name, kind, help string, value float64) {
		head(name, kind, help)
		fmt.Fprintf(&text, "%s %s\n", name, strconv.FormatFloat(value, 'g', -1, 64))
	}
	const name = "bookapi_request_duration_seconds"
	head(name, "histogram", "Time from a request's header to the end of its answer.")
	for _, key := range m.outcomes() {
		found, _ := m.series.Load(key)
		s := found.(*series)
		labels := fmt.Sprintf(`operation="%s",code="%d"`, key.operation, key.status)
		var sum uint64
		for i := range s.buckets {
			sum += s.buckets[i].Load()
			le := "+Inf"
			if i < len(bounds) {
				le = strconv.FormatFloat(bounds[i], 'g', -1, 64)
			}
			fmt.Fprintf(&text, "%s_bucket{%s,le=\"%s\"} %d\n", name, labels, le, sum)
		}
		fmt.Fprintf(&text, "%s_sum{%s} %g\n%s_count{%s} %d\n", name, labels, time.Duration(s.nanos.Load()).Seconds(), name, labels, sum)
	}
	one("bookapi_requests_in_flight", "gauge", "Requests being answered.", float64(m.inFlight.Load()))
	pool := m.pool.Stat()
	one("bookapi_pool_connections", "gauge", "Open connections to the database.", float64(pool.TotalConns()))
	one("bookapi_pool_connections_in_use", "gauge", "Connections to the database that a statement has.", float64(pool.AcquiredConns()))
	one("bookapi_pool_connections_max", "gauge", "Most connections to the database.", float64(pool.MaxConns()))
	one("bookapi_pool_waits_total", "counter", "Statements that had to wait for a connection.", float64(pool.EmptyAcquireCount()))
	samples := []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"}, {Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/sched/gomaxprocs:threads"}, {Name: "/gc/gomemlimit:bytes"}}
	metrics.Read(samples)
	one("go_goroutines", "gauge", "Goroutines that exist.", float64(samples[0].Value.Uint64()))
	one("go_memory_heap_bytes", "gauge", "Memory of live and not yet swept objects.", float64(samples[1].Value.Uint64()))
	one("go_memory_total_bytes", "gauge", "Memory mapped by the Go runtime.", float64(samples[2].Value.Uint64()))
	one("go_gc_cycles_total", "counter", "Completed collections of garbage.", float64(samples[3].Value.Uint64()))
	one("go_sched_gomaxprocs_threads", "gauge", "Threads that run Go code at once.", float64(samples[4].Value.Uint64()))
	one("go_gc_gomemlimit_bytes", "gauge", "Memory that the Go runtime keeps to.", float64(samples[5].Value.Uint64()))
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write([]byte(text.String())) // the client has gone
}

// outcomes are all that were seen, in the order in which they are shown.
func (m *meter) outcomes() []outcome {
	var all []outcome
	m.series.Range(func(key, _ any) bool {
		all = append(all, key.(outcome))
		return true
	})
	slices.SortFunc(all, func(a, b outcome) int {
		if c := strings.Compare(a.operation, b.operation); c != 0 {
			return c
		}
		return a.status - b.status
	})
	return all
}
