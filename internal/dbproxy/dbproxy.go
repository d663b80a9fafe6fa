// Package dbproxy lets PostgreSQL's own programs into a database without its password.
//
// They connect to a Unix socket that only this user can open, and the proxy signs in to
// the database for them: so the password is in no argument, variable, file or other
// program. libpq takes a password from nothing but those: a PGPASSFILE has to be a plain
// file (https://www.postgresql.org/docs/current/libpq-pgpass.html).
package dbproxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Database is where the proxy leads, and as whom.
type Database struct {
	// Host is the name that the server's certificate has to be of, and Port its port.
	Host string
	Port int
	// Dial connects in place of both, such as through a tunnel; nil for none.
	Dial func(context.Context) (net.Conn, error)
	// Name is the database that a program gets which names none.
	Name, User, Password string
	// Authorities are those that the server's certificate has to be of.
	Authorities *x509.CertPool
}

// String hides the password.
func (d Database) String() string { return net.JoinHostPort(d.Host, strconv.Itoa(d.Port)) }

// Proxy is a way to a database that is open.
type Proxy struct {
	to       Database
	dir      string
	listener net.Listener
	ctx      context.Context // of the connections, which begin at any time
	stop     context.CancelFunc
	open     sync.WaitGroup
	cut      atomic.Bool
	passed   atomic.Int64 // bytes between programs and the server
}

// port names the socket, as PostgreSQL's programs look for it.
const port = 5432

// Open lets programs of this user through to the database, until Close.
func Open(ctx context.Context, to Database) (*Proxy, error) {
	dir, err := os.MkdirTemp("", "bookctl-db-") // 0700
	if err != nil {
		return nil, fmt.Errorf("make a way to the database: %w", err)
	}
	p := &Proxy{to: to, dir: dir}
	p.listener, err = (&net.ListenConfig{}).Listen(ctx, "unix", filepath.Join(dir, ".s.PGSQL."+strconv.Itoa(port)))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a way to the database: %w", err), os.RemoveAll(dir))
	}
	p.ctx, p.stop = context.WithCancel(ctx)
	p.open.Go(p.accept)
	return p, nil
}

// Environment are the variables by which a program connects through the proxy.
func (p *Proxy) Environment() map[string]string {
	return map[string]string{
		"PGHOST": p.dir, "PGPORT": strconv.Itoa(port), "PGUSER": p.to.User, "PGDATABASE": p.to.Name,
		"PGSSLMODE": "disable", "PGGSSENCMODE": "disable", // of the way to the socket
	}
}

// Try signs in once, so that the error of a failed sign-in is printed by this program.
func (p *Proxy) Try(ctx context.Context) error {
	conn, err := p.signIn(ctx, nil)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// Ask returns the first column of what a query finds.
func (p *Proxy) Ask(ctx context.Context, query string) ([]string, error) {
	conn, err := p.signIn(ctx, nil)
	if err != nil {
		return nil, err
	}
	results, err := conn.Exec(ctx, query).ReadAll()
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		return nil, fmt.Errorf("ask database %s: %w", p.to, err)
	}
	var out []string
	for _, r := range results {
		for _, row := range r.Rows {
			out = append(out, string(row[0]))
		}
	}
	return out, nil
}

// Reach connects to the server without signing in, so that a way that leads nowhere is
// noticed. The server does not log it.
func (p *Proxy) Reach(ctx context.Context) error {
	conn, done, err := p.secure(ctx)
	if err != nil {
		return fmt.Errorf("reach database %s: %w", p.to, err)
	}
	defer done()
	return conn.Close()
}

// Watch reaches for the server each time an interval has passed, which also keeps a tunnel
// from being idle. A try fails at its limit. Watch returns when two tries in a row have failed
// and nothing else passed either, with the error of the second, or with nil when ctx has
// ended. A tunnel that is full of a program's data is slow for a try, too.
func (p *Proxy) Watch(ctx context.Context, interval, limit time.Duration) error {
	next, passed := interval, p.passed.Load()
	for failed := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(next):
		}
		try, done := context.WithTimeout(ctx, limit)
		err := p.Reach(try)
		done()
		before := passed
		passed = p.passed.Load()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil || passed != before:
			failed, next = false, interval
		case failed:
			return err
		default:
			failed, next = true, interval/4
		}
	}
}

// Cut reports whether a connection was ended by the server, or by what is on the way to it,
// and not by its program.
func (p *Proxy) Cut() bool { return p.cut.Load() }

// Close ends all connections.
func (p *Proxy) Close() error {
	p.stop()
	err := p.listener.Close()
	p.open.Wait()
	return errors.Join(err, os.RemoveAll(p.dir))
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // it is closed
		}
		p.open.Go(func() {
			end := context.AfterFunc(p.ctx, func() { _ = conn.Close() }) // nobody reads from it any more
			defer end()
			defer conn.Close()
			_ = p.serve(conn) // the program has the error, or went away
		})
	}
}

// serve is a connection of a program: what it asks for at its start, and then whatever
// it and the server say.
// https://www.postgresql.org/docs/current/protocol-flow.html
func (p *Proxy) serve(client net.Conn) error {
	backend := pgproto3.NewBackend(client, client)
	for {
		message, err := backend.ReceiveStartupMessage()
		if err != nil {
			return err
		}
		switch m := message.(type) {
		case *pgproto3.SSLRequest, *pgproto3.GSSEncRequest:
			if _, err := client.Write([]byte{'N'}); err != nil {
				return err
			}
		case *pgproto3.CancelRequest:
			return p.cancel(m)
		case *pgproto3.StartupMessage:
			return p.relay(client, backend, m.Parameters)
		default:
			return fmt.Errorf("a connection that begins with %T", message)
		}
	}
}

func (p *Proxy) relay(client net.Conn, backend *pgproto3.Backend, asked map[string]string) error {
	signedIn, err := p.signIn(p.ctx, asked)
	if err != nil {
		backend.Send(refusal(err))
		return backend.Flush()
	}
	// Behind a slow start pgconn goes on reading alongside, and would take the server's next
	// answer: https://pkg.go.dev/github.com/jackc/pgx/v5/pgconn#PgConn.SyncConn
	if err := signedIn.SyncConn(p.ctx); err != nil {
		return errors.Join(err, signedIn.Close(p.ctx))
	}
	server, err := signedIn.Hijack()
	if err != nil {
		return errors.Join(err, signedIn.Close(p.ctx))
	}
	defer server.Conn.Close()
	backend.Send(&pgproto3.AuthenticationOk{})
	for name, value := range server.ParameterStatuses {
		backend.Send(&pgproto3.ParameterStatus{Name: name, Value: value})
	}
	backend.Send(&pgproto3.BackendKeyData{ProcessID: server.PID, SecretKey: server.SecretKey})
	backend.Send(&pgproto3.ReadyForQuery{TxStatus: server.TxStatus})
	if err := backend.Flush(); err != nil {
		return err
	}
	end := context.AfterFunc(p.ctx, func() { _ = server.Conn.Close() }) // a tunnel may hang while it is written to
	defer end()
	var answers sync.WaitGroup
	ended := make(chan struct{}) // by the program
	answers.Go(func() {
		_, _ = io.Copy(&counted{Writer: client, n: &p.passed}, server.Conn) // its end is the connection's
		select {
		case <-ended:
		case <-time.After(afterGoodbye):
			p.cut.Store(true)
		}
		_ = client.Close()
	})
	asks := &counted{Writer: server.Conn, n: &p.passed}
	_, err = io.Copy(asks, client)
	if asks.err == nil {
		close(ended)
	}
	_ = server.Conn.Close() // which ends the answers
	answers.Wait()
	return err
}

// counted counts the bytes that are written, and keeps why no more could be.
type counted struct {
	io.Writer
	n   *atomic.Int64
	err error
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n.Add(int64(n))
	c.err = err
	return n, err
}

// afterGoodbye is how long a program takes to close a connection after it has said that it
// will, at which the server closes its own.
const afterGoodbye = 200 * time.Millisecond

// refusal tells a program why it is not let in.
func refusal(err error) *pgproto3.ErrorResponse {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return &pgproto3.ErrorResponse{Severity: said.Severity, Code: said.Code, Message: said.Message, Detail: said.Detail, Hint: said.Hint}
	}
	return &pgproto3.ErrorResponse{Severity: "FATAL", Code: "08001", Message: err.Error()}
}

// signIn connects to the database as its user. What a program asks for else, such as an
// encoding or another database, it gets.
func (p *Proxy) signIn(ctx context.Context, asked map[string]string) (*pgconn.PgConn, error) {
	config, err := pgconn.ParseConfig("host=localhost port=1 user=nobody dbname=none sslmode=disable") // for its defaults
	if err != nil {
		return nil, fmt.Errorf("prepare a connection to database %s: %w", p.to, err)
	}
	config.Host, config.Port, config.User, config.Password, config.Database = p.to.Host, uint16(p.to.Port), p.to.User, p.to.Password, p.to.Name
	config.TLSConfig, config.Fallbacks, config.ConnectTimeout = p.tls(), nil, 30*time.Second
	// A program knows the protocol of its own start, whose keys are of four bytes.
	config.MinProtocolVersion, config.MaxProtocolVersion = "3.0", "3.0"
	config.RuntimeParams = map[string]string{}
	maps.Copy(config.RuntimeParams, asked)
	if name := asked["database"]; name != "" {
		config.Database = name
	}
	delete(config.RuntimeParams, "user")
	delete(config.RuntimeParams, "database")
	config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx) }
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("sign in to database %s: %w", p.to, err)
	}
	return conn, nil
}

func (p *Proxy) tls() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: p.to.Host, RootCAs: p.to.Authorities}
}

func (p *Proxy) dial(ctx context.Context) (net.Conn, error) {
	if p.to.Dial != nil {
		return p.to.Dial(ctx)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", p.to.String())
}

// cancel passes on that a program wants its query to end, which it says on a connection
// of its own: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
func (p *Proxy) cancel(m *pgproto3.CancelRequest) error {
	ctx, stop := context.WithTimeout(p.ctx, 30*time.Second)
	defer stop()
	conn, done, err := p.secure(ctx)
	if err != nil {
		return err
	}
	defer done()
	request, err := m.Encode(nil)
	if err != nil {
		return err
	}
	if _, err := conn.Write(request); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, conn) // the server closes it when it is done
	return nil
}

// secure is a connection to the server on which nothing was said yet, until done is called
// or ctx ends.
func (p *Proxy) secure(ctx context.Context) (secure *tls.Conn, done func(), err error) {
	conn, err := p.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	end := context.AfterFunc(ctx, func() { _ = conn.Close() })
	done = func() { end(); _ = conn.Close() }
	if secure, err = p.agree(ctx, conn); err != nil {
		done()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, nil, err
	}
	return secure, done, nil
}

// agree has the server take TLS on a connection.
func (p *Proxy) agree(ctx context.Context, conn net.Conn) (*tls.Conn, error) {
	request, err := (&pgproto3.SSLRequest{}).Encode(nil)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	var answer [1]byte
	if err := binary.Read(conn, binary.BigEndian, &answer); err != nil {
		return nil, err
	}
	if answer[0] != 'S' {
		return nil, errors.New("the server takes no TLS")
	}
	secure := tls.Client(conn, p.tls())
	return secure, secure.HandshakeContext(ctx)
}
