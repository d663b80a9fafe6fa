package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// The limits of the HTTP server.
const (
	// headerTimeout is how long a client may take to send its header.
	headerTimeout = 5 * time.Second
	// readTimeout is how long it may take to send all of a request.
	readTimeout = 15 * time.Second
	// writeTimeout is how long a request may take, its answer included.
	writeTimeout = 30 * time.Second
	// idleTimeout is above the 60 s after which an Application Load Balancer
	// closes an idle connection: were it below, the balancer would now and then
	// send a request into a closing connection and answer 502
	// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-502-issues).
	idleTimeout = 75 * time.Second
	// maxHeader fits a name of 1,000 characters, which is 12,000 bytes in a path
	// at most, for two parameters of a query.
	maxHeader = 32 << 10
	// maxConnections bounds the memory that connections take, at about 20 KB
	// each. It is far above what a load balancer opens.
	maxConnections = 12_000
	// shutdownTimeout bounds the wait for requests under way after the drain.
	shutdownTimeout = 12 * time.Second
	// MaxDrain is the longest drain period. It keeps drain and shutdown within 25 s, below the 30 s after which
	// ECS kills a task.
	MaxDrain = 10 * time.Second
)

// Options are what a server is made of.
type Options struct {
	Database Database
	// Log takes the server's own log and the access log.
	Log *slog.Logger
	// Drain is how long requests are still taken after the end was asked for,
	// while /readyz says 503 and the load balancer stops sending; at most 10 s.
	Drain time.Duration
	// Version is shown in the OpenAPI document.
	Version string
	// Traces says where spans go; the zero value is nowhere.
	Traces Traces
}

// Server is bookapi.
type Server struct {
	options Options
	log     *slog.Logger
	store   *Store
	http    *http.Server
	meter   *meter
	tracing *sdktrace.TracerProvider // nil when nobody wants spans

	migrated atomic.Bool
	draining atomic.Bool
}

// New makes a server. It does not connect to the database yet; an error is one
// of the configuration.
func New(options Options) (*Server, error) {
	if options.Drain < 0 || options.Drain > MaxDrain {
		return nil, fmt.Errorf("the drain period must be between 0 and %s", MaxDrain)
	}
	pool, err := options.Database.open()
	if err != nil {
		return nil, err
	}
	s := &Server{options: options, log: options.Log, store: newStore(pool), meter: &meter{pool: pool, log: options.Log.Handler()}}
	if options.Traces.URL != "" {
		s.tracing = options.Traces.provider(s.log)
	}
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	return s, nil
}

// Serve answers on listener, at once, and connects to the database meanwhile.
// When ctx ends it takes the order that a load balancer needs: /readyz says 503,
// requests go on being served for the drain period, then no new ones are taken,
// those under way are finished, and the connections to the database closed.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	background, stop := context.WithCancel(context.Background())
	ready := make(chan struct{})
	go func() {
		defer close(ready)
		s.prepare(background)
	}()
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(limit(listener, maxConnections)) }()
	s.log.Info("serving", "address", listener.Addr().String(), "version", s.options.Version)

	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		err = s.shutdown()
	}
	stop()
	<-ready
	s.store.close()
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

// The pause between attempts to reach the database grows from the first to the
// last of these.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	// addressPause is the last one while it is not known yet where the database is:
	// a new stack waits for nothing else then.
	addressPause = time.Second
)

// migrationPatience is how long an attempt to migrate may take, the wait for
// another task's included.
const migrationPatience = 15 * time.Minute

// prepare brings the database's schema forward, however long it takes for the
// database to come up. It logs each new reason why it could not.
func (s *Server) prepare(ctx context.Context) {
	logged := ""
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		attempt, cancel := context.WithTimeout(ctx, migrationPatience)
		applied, err := s.options.Database.migrate(attempt)
		cancel()
		for _, name := range applied {
			s.log.Info("migrated", "step", name)
		}
		if err == nil {
			s.migrated.Store(true)
			s.log.Info("the database is ready")
			s.tidy(ctx)
			return
		}
		if why := reason(err); why != logged && !errors.Is(err, context.Canceled) {
			s.log.Warn("waiting for the database", "reason", why)
			logged = why
		}
		if errors.Is(err, ErrNoAddress) {
			pause = min(pause, addressPause)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// tidy forgets old idempotency keys now and then, until ctx ends.
func (s *Server) tidy(ctx context.Context) {
	for {
		if err := s.store.forgetKeys(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("could not remove old idempotency keys", "reason", reason(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Hour):
		}
	}
}
