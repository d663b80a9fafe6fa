package memory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"github.com/bookctl/bookctl/internal/localcloud/postgres"
	"github.com/bookctl/bookctl/internal/localcloud/service/rds"
)

// Engine is a PostgreSQL whose servers hold nothing. Its zero value has none.
type Engine struct {
	ports ports

	mu        sync.Mutex
	servers   map[string]*server
	snapshots map[string]bool
}

// Versions are some that RDS has; the first is that of new servers.
func (e *Engine) Versions() []string { return []string{"17.6", "18.1"} }

// Upgrades reports whether a server can be moved up.
func (e *Engine) Upgrades(from, to string) bool { return from == "17.6" && to == "18.1" }

// Parameters are those that stacks set, as PostgreSQL 17 describes them.
func (e *Engine) Parameters(string) ([]postgres.Parameter, error) {
	return []postgres.Parameter{
		{Name: "idle_in_transaction_session_timeout", Type: "INTEGER", Default: "0", Min: "0", Max: "2147483647"},
		{Name: "log_connections", Type: "BOOLEAN", Default: "off"},
		{Name: "log_disconnections", Type: "BOOLEAN", Default: "off"},
		{Name: "log_lock_waits", Type: "BOOLEAN", Default: "off"},
		{Name: "log_min_duration_statement", Type: "INTEGER", Default: "-1", Min: "-1", Max: "2147483647"},
		{Name: "log_statement", Type: "ENUM", Default: "none"},
		{Name: "log_temp_files", Type: "INTEGER", Default: "-1", Min: "-1", Max: "2147483647"},
		{Name: "max_connections", Type: "INTEGER", Static: true, Default: "100", Min: "1", Max: "262143"},
		{Name: "statement_timeout", Type: "INTEGER", Default: "0", Min: "0", Max: "2147483647"},
	}, nil
}

// Prepare has nothing to prepare.
func (e *Engine) Prepare(context.Context) error { return nil }

// Server is the server of that name, whether it exists yet or not.
func (e *Engine) Server(name string) (rds.Server, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.servers[name]
	if s == nil {
		s = &server{engine: e}
		if e.servers == nil {
			e.servers = map[string]*server{}
		}
		e.servers[name] = s
	}
	return s, nil
}

// HasSnapshot reports whether there is a snapshot of that name.
func (e *Engine) HasSnapshot(name string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.snapshots[name]
}

// CopySnapshot copies a snapshot.
func (e *Engine) CopySnapshot(_ context.Context, from, to string) error {
	if !e.HasSnapshot(from) {
		return fmt.Errorf("there is no snapshot %s", from)
	}
	e.snapshot(to)
	return nil
}

// DeleteSnapshot deletes a snapshot, which need not exist.
func (e *Engine) DeleteSnapshot(name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.snapshots, name)
	return nil
}

func (e *Engine) snapshot(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.snapshots == nil {
		e.snapshots = map[string]bool{}
	}
	e.snapshots[name] = true
}

// Close stops every server that runs.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	for _, s := range e.servers {
		errs = append(errs, s.Stop(ctx))
	}
	return errors.Join(errs...)
}

// server is one that only exists, or also runs.
type server struct {
	engine *Engine

	mu     sync.Mutex
	exists bool
	at     address
	ended  chan struct{} // nil while it does not run
}

var errNoServer = errors.New("the server does not exist")

func (s *server) Exists() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exists
}

func (s *server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended != nil
}

func (s *server) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		return closed
	}
	return s.ended
}

// LogFile is no file: it logs nothing.
func (s *server) LogFile() string { return "" }

func (s *server) Create(context.Context, string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exists = true
	return nil
}

func (s *server) Restore(ctx context.Context, snapshot string) error {
	if !s.engine.HasSnapshot(snapshot) {
		return fmt.Errorf("there is no snapshot %s", snapshot)
	}
	return s.Create(ctx, "")
}

func (s *server) Snapshot(_ context.Context, name string) error {
	if !s.Exists() {
		return errNoServer
	}
	s.engine.snapshot(name)
	return nil
}

func (s *server) Delete(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exists = false
	return nil
}

func (s *server) Start(_ context.Context, settings postgres.Settings) (port int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.exists {
		return 0, errNoServer
	}
	if s.ended != nil {
		return s.at.port, nil
	}
	at, free := s.engine.ports.take(settings.Host, settings.Port)
	if !free {
		return 0, fmt.Errorf("port %d: %w", settings.Port, syscall.EADDRINUSE)
	}
	s.at, s.ended = at, make(chan struct{})
	return at.port, nil
}

func (s *server) Restart(ctx context.Context, settings postgres.Settings) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	settings.Port = s.at.port
	_, err := s.Start(ctx, settings)
	return err
}

func (s *server) Upgrade(context.Context, string, postgres.Settings) error {
	if s.Running() {
		return errors.New("the server runs")
	}
	return nil
}

func (s *server) Reload(postgres.Settings) error { return s.working() }

func (s *server) Stop(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		close(s.ended)
		s.ended = nil
		s.engine.ports.release(s.at)
	}
	return nil
}

func (s *server) EnsureMaster(context.Context, postgres.Master) error { return s.working() }

func (s *server) SetPassword(context.Context, string, postgres.Verifier) error { return s.working() }

func (s *server) working() error {
	if !s.Running() {
		return errors.New("the server does not run")
	}
	return nil
}
