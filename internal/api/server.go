package api

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/net/netutil"

	"github.com/bookctl/bookctl/internal/api/database"
	"github.com/bookctl/bookctl/internal/api/otlp"
)

const (
	// maxConnections bounds the memory that connections take, at about 20 KB
	// each. It is far above what a load balancer opens.
	maxConnections = 12_000
	// shutdownTimeout bounds the wait for requests under way after the drain.
	shutdownTimeout = 12 * time.Second
	// MaxDrain is the longest drain period. It keeps drain and shutdown within 27 s,
	// below the 30 s after which ECS kills a task.
	MaxDrain = 15 * time.Second
)

// Options are what a server is made of.
type Options struct {
	Database database.Config
	// Log takes the server's own log and the access log.
	Log *slog.Logger
	// Drain is how long requests are still taken after the end was asked for,
	// while /startupz and /readyz say 503 and the load balancer stops sending; at most 15 s.
	Drain time.Duration
	// Version is shown in the OpenAPI document.
	Version string
	// Traces is where spans go; nowhere if it has no URL.
	Traces otlp.Exporter
}

// Server is bookapi.
type Server struct {
	options Options
	log     *slog.Logger
	store   *Store
	http    *http.Server
	meter   *meter
	tracer  trace.Tracer // nil when nobody wants spans
	page    *template.Template

	endTracing func()

	bodies   atomic.Int64 // bytes of request bodies in memory
	working  atomic.Int64 // requests that are worked on
	migrated atomic.Bool  // the schema was seen to be there
	draining atomic.Bool
}

// New creates a server. It does not connect to the database yet; an error is one
// of the configuration.
func New(options Options) (*Server, error) {
	if options.Drain < 0 || options.Drain > MaxDrain {
		return nil, fmt.Errorf("the drain period must be between 0 and %s", MaxDrain)
	}
	pool, err := options.Database.Open()
	if err != nil {
		return nil, err
	}
	home, err := template.ParseFS(page, "page/home.html")
	if err != nil {
		return nil, err
	}
	s := &Server{options: options, log: options.Log, store: newStore(pool), meter: newMeter(pool), page: home, endTracing: func() {}}
	if options.Traces.URL != "" {
		options.Traces.Log = s.log
		provider, stop := options.Traces.Start("bookapi")
		s.tracer, s.endTracing = provider.Tracer(tracerName), stop
	}
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second, // of all of a request
		WriteTimeout:      30 * time.Second, // from its header to the end of the answer
		// Above the 60 s after which an Application Load Balancer closes an idle
		// connection: else it would now and then send a request into a closing one
		// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-502-issues).
		IdleTimeout: 75 * time.Second,
		// A name of 1,000 characters is 12,000 bytes in a path; a query may have two.
		MaxHeaderBytes: 32 << 10,
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	return s, nil
}

// Serve answers on listener, at once, and connects to the database meanwhile. When
// ctx ends it takes the order that a load balancer needs: /startupz and /readyz say 503, answers
// carry "Connection: close", requests go on being served for the drain period, then
// no new ones are taken, and those under way are finished.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	background, stop := context.WithCancel(context.Background())
	var preparing sync.WaitGroup
	preparing.Go(func() { s.prepare(background) })
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(netutil.LimitListener(listener, maxConnections)) }()
	s.log.Info("serving", "address", listener.Addr().String(), "version", s.options.Version)

	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		err = s.shutdown()
	}
	stop()
	preparing.Wait()
	s.store.pool.Close()
	s.endTracing()
	s.log.Info("stopped")
	return err
}

func (s *Server) shutdown() error {
	s.draining.Store(true)
	s.log.Info("draining", "for", s.options.Drain.String())
	time.Sleep(s.options.Drain)
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close() // ends what did not finish
		return fmt.Errorf("requests were still under way %s after the drain: %w", shutdownTimeout, err)
	}
	return nil
}

const (
	// The pause between attempts to reach the database grows from the first to the
	// last. While the database has no address yet, nothing else is waited for.
	firstPause, lastPause, addressPause = 100 * time.Millisecond, 5 * time.Second, time.Second
	// migrationTimeout includes the wait for another task that migrates.
	migrationTimeout = 15 * time.Minute
)

// prepare brings the database's schema forward, however long it takes for the
// database to come up. It logs each new reason why it could not.
func (s *Server) prepare(ctx context.Context) {
	logged := ""
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		attempt, cancel := context.WithTimeout(ctx, migrationTimeout)
		applied, err := s.options.Database.Migrate(attempt)
		cancel()
		for _, name := range applied {
			s.log.Info("migrated", "step", name)
		}
		if err == nil {
			s.migrated.Store(true)
			s.log.Info("the database is ready")
			return
		}
		if why := database.Reason(err); why != logged && !errors.Is(err, context.Canceled) {
			s.log.Warn("waiting for the database", "reason", why)
			logged = why
		}
		if errors.Is(err, database.ErrNoAddress) {
			pause = min(pause, addressPause)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}
