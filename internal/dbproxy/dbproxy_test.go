package dbproxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/bookctl/bookctl/internal/dbproxy"
)

// TestASlowStartLosesNoAnswer connects so slowly that pgconn begins to read alongside its
// writing. What it reads then must not be missing for the program.
func TestASlowStartLosesNoAnswer(t *testing.T) {
	t.Parallel()
	ctx, done := context.WithTimeout(t.Context(), 10*time.Second)
	defer done()
	to, started := server(t, "a password")
	dial := to.Dial
	to.Dial = func(ctx context.Context) (net.Conn, error) {
		conn, err := dial(ctx)
		return slow{conn, started}, err
	}
	conn, err := connect(ctx, t, to)
	if err != nil {
		t.Fatal(err)
	}
	got, err := conn.Exec(ctx, "select what was asked").ReadAll()
	if err != nil || len(got) != 1 || got[0].CommandTag.String() != "select what was asked" {
		t.Errorf("the answer is %v, %v", got, err)
	}
}

// TestARefusedLoginIsExplainedByTheServer signs in with another password than the server's.
func TestARefusedLoginIsExplainedByTheServer(t *testing.T) {
	t.Parallel()
	to, _ := server(t, "another password")
	_, err := connect(t.Context(), t, to)
	var said *pgconn.PgError
	if !errors.As(err, &said) || said.Code != "28P01" || said.Message != "password authentication failed" {
		t.Errorf("the program gets %v", err)
	}
	way, err := dbproxy.Open(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	if err := way.Try(t.Context()); err == nil || !strings.Contains(err.Error(), "password authentication failed") || strings.Contains(err.Error(), to.Password) {
		t.Errorf("a try says %v", err)
	}
	dir := way.Environment()["PGHOST"]
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the way is %v, %v", info, err)
	}
	if err := way.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of a closed way there is left %v", err)
	}
}

// TestAWayIsWatched tries a tunnel that is well, and then hangs.
func TestAWayIsWatched(t *testing.T) {
	t.Parallel()
	to, hang := tunnel(t)
	refused, dial := &atomic.Bool{}, to.Dial
	refuse := refused.Store
	to.Dial = func(ctx context.Context) (net.Conn, error) {
		if refused.Load() {
			return nil, errors.New("connection refused")
		}
		return dial(ctx)
	}
	way, err := dbproxy.Open(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	defer way.Close()
	ctx, done := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer done()
	if err := way.Watch(ctx, 50*time.Millisecond, time.Minute); err != nil {
		t.Errorf("a tunnel that is well: %v", err)
	}

	// Behind a query that gets answers, two tries that fail are none.
	program, err := enter(t.Context(), t, way)
	if err != nil {
		t.Fatal(err)
	}
	busy, idle := context.WithCancel(t.Context())
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for busy.Err() == nil {
			_, _ = program.Exec(t.Context(), "select").ReadAll()
		}
	}()
	refuse(true)
	ctx, done = context.WithTimeout(t.Context(), 5*time.Second)
	defer done()
	if err := way.Watch(ctx, 2*time.Second, time.Minute); err != nil {
		t.Errorf("a tunnel in use that takes no further connection: %v", err)
	}
	refuse(false)
	idle()
	<-asked
	hang()
	ctx, done = context.WithTimeout(t.Context(), time.Minute)
	defer done()
	if err := way.Watch(ctx, 50*time.Millisecond, 100*time.Millisecond); err == nil || !strings.Contains(err.Error(), "reach database example.com") {
		t.Errorf("a tunnel that hangs: %v", err)
	}
}

// TestAWayThatHangsIsClosed closes a proxy while a program writes more than the tunnel takes.
func TestAWayThatHangsIsClosed(t *testing.T) {
	t.Parallel()
	to, hang := tunnel(t)
	way, err := dbproxy.Open(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	program, err := enter(t.Context(), t, way)
	if err != nil {
		t.Fatal(err)
	}
	hang()
	answered := make(chan error, 1)
	go func() {
		_, err := program.Exec(context.WithoutCancel(t.Context()), strings.Repeat("x", 1<<24)).ReadAll()
		answered <- err
	}()
	time.Sleep(100 * time.Millisecond)
	closed := make(chan error, 1)
	go func() { closed <- way.Close() }()
	for what, ended := range map[string]chan error{"close": closed, "query": answered} {
		select {
		case err := <-ended:
			if (err == nil) != (what == "close") {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s hangs", what)
		}
	}
}

// TestWhoEndedAConnection ends one from each side, and one on the way while the program
// writes, of which a read need not notice anything.
func TestWhoEndedAConnection(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"program", "server", "way"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			to, _ := server(t, "a password")
			broken, dial := &atomic.Bool{}, to.Dial
			to.Dial = func(ctx context.Context) (net.Conn, error) {
				conn, err := dial(ctx)
				return breaking{conn, broken}, err
			}
			way, err := dbproxy.Open(t.Context(), to)
			if err != nil {
				t.Fatal(err)
			}
			defer way.Close()
			program, err := enter(t.Context(), t, way)
			if err != nil {
				t.Fatal(err)
			}
			switch by {
			case "server":
				_, err = program.Exec(t.Context(), "end").ReadAll()
			case "way":
				broken.Store(true)
				_, err = program.Exec(t.Context(), "insert").ReadAll()
			default:
				err = program.Close(t.Context())
			}
			time.Sleep(time.Second) // it notices each
			if (err != nil) != (by != "program") || way.Cut() != (by != "program") {
				t.Errorf("ended by the %s: %v, cut is %t", by, err, way.Cut())
			}
		})
	}
}

// breaking is a connection that takes nothing once it is broken.
type breaking struct {
	net.Conn
	broken *atomic.Bool
}

func (b breaking) Write(data []byte) (int, error) {
	if b.broken.Load() {
		return 0, errors.New("broken pipe")
	}
	return b.Conn.Write(data)
}

// tunnel is a way to a server that hangs after hang: it takes what fits into a buffer, and
// gives nothing.
func tunnel(t *testing.T) (to dbproxy.Database, hang func()) {
	t.Helper()
	to, _ = server(t, "a password")
	hung, dial := &atomic.Bool{}, to.Dial
	to.Dial = func(ctx context.Context) (net.Conn, error) {
		conn, err := dial(ctx)
		return &hanging{Conn: conn, hung: hung, closed: make(chan struct{})}, err
	}
	return to, func() { hung.Store(true) }
}

type hanging struct {
	net.Conn
	hung   *atomic.Bool
	once   sync.Once
	closed chan struct{}
}

func (h *hanging) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	if h.hung.Load() {
		<-h.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (h *hanging) Write(b []byte) (int, error) {
	switch {
	case !h.hung.Load():
		return h.Conn.Write(b)
	case len(b) < 1024:
		return len(b), nil
	}
	<-h.closed
	return 0, net.ErrClosed
}

func (h *hanging) Close() error {
	h.once.Do(func() { close(h.closed) })
	return h.Conn.Close()
}

// slow is a connection that takes longer to write than pgconn waits before it reads,
// until the server has let the client in.
type slow struct {
	net.Conn
	started *atomic.Bool
}

func (s slow) Write(b []byte) (int, error) {
	started := s.started.Load()
	n, err := s.Conn.Write(b)
	if !started {
		time.Sleep(100 * time.Millisecond)
	}
	return n, err
}

// connect connects through a proxy, as a program of PostgreSQL does.
func connect(ctx context.Context, t *testing.T, to dbproxy.Database) (*pgconn.PgConn, error) {
	t.Helper()
	way, err := dbproxy.Open(ctx, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := way.Close(); err != nil {
			t.Error(err)
		}
	})
	return enter(ctx, t, way)
}

// enter connects through a proxy that is open.
func enter(ctx context.Context, t *testing.T, way *dbproxy.Proxy) (*pgconn.PgConn, error) {
	t.Helper()
	env := way.Environment()
	conn, err := pgconn.Connect(ctx, "host="+filepath.ToSlash(env["PGHOST"])+" port="+env["PGPORT"]+" user="+env["PGUSER"]+" dbname="+env["PGDATABASE"]+" sslmode=disable")
	if err == nil {
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
	}
	return conn, err
}

// server is a database server that takes one password and says what it was asked, and
// whether it has let somebody in.
func server(t *testing.T, password string) (dbproxy.Database, *atomic.Bool) {
	t.Helper()
	certified := httptest.NewTLSServer(nil) // for its certificate, which is of example.com
	t.Cleanup(certified.Close)
	authorities := x509.NewCertPool()
	authorities.AddCert(certified.Certificate())
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	started := &atomic.Bool{}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = answer(conn, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: certified.TLS.Certificates}, password, started) // the client sees what it did
			}()
		}
	}()
	at := l.Addr().(*net.TCPAddr)
	to := dbproxy.Database{Host: "example.com", Port: at.Port, Name: "books", User: "books", Password: "a password", Authorities: authorities}
	to.Dial = func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", at.String())
	}
	return to, started
}

// answer serves one connection: https://www.postgresql.org/docs/current/protocol-flow.html
func answer(conn net.Conn, config *tls.Config, password string, started *atomic.Bool) error {
	backend := pgproto3.NewBackend(conn, conn)
	if _, err := backend.ReceiveStartupMessage(); err != nil { // it asks for TLS
		return err
	}
	if _, err := conn.Write([]byte{'S'}); err != nil {
		return err
	}
	secure := tls.Server(conn, config)
	backend = pgproto3.NewBackend(secure, secure)
	if _, err := backend.ReceiveStartupMessage(); err != nil {
		return err
	}
	backend.Send(&pgproto3.AuthenticationCleartextPassword{})
	if err := errors.Join(backend.Flush(), backend.SetAuthType(pgproto3.AuthTypeCleartextPassword)); err != nil {
		return err
	}
	m, err := backend.Receive()
	if err != nil {
		return err
	}
	if p, is := m.(*pgproto3.PasswordMessage); !is || p.Password != password {
		backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: "password authentication failed"})
		return backend.Flush()
	}
	backend.Send(&pgproto3.AuthenticationOk{})
	backend.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}})
	backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	started.Store(true)
	if err := backend.Flush(); err != nil {
		return err
	}
	for {
		m, err := backend.Receive()
		if err != nil {
			return err
		}
		if q, is := m.(*pgproto3.Query); is {
			if q.String == "end" {
				return nil
			}
			backend.Send(&pgproto3.CommandComplete{CommandTag: []byte(q.String)})
			backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
			if err := backend.Flush(); err != nil {
				return err
			}
		}
	}
}
