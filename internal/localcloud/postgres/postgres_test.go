package postgres_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bookctl/bookctl/internal/localcloud/authority"
	"github.com/bookctl/bookctl/internal/localcloud/postgres"
	"github.com/bookctl/bookctl/internal/localcloud/process"
)

const password = "correct horse? battery=staple;'$1"

func TestMasterUserLogsInOverTLSWithItsPassword(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	db := c.database(t, "books")
	conn := c.login(t, db.port, password)
	if _, err := conn.Exec(t.Context(), "CREATE TABLE book (name text); CREATE SCHEMA mine; CREATE ROLE reader"); err != nil {
		t.Errorf("the master user can't do its work: %v", err)
	}
	if _, err := conn.Exec(t.Context(), "CREATE ROLE boss SUPERUSER"); code(err) != "42501" {
		t.Errorf("the master user made a superuser: %v", err)
	}

	if _, err := c.connect(t.Context(), db.port, "wrong", true); code(err) != "28P01" {
		t.Errorf("login with a wrong password: %v, want 28P01", err)
	}
	if _, err := c.connect(t.Context(), db.port, password, false); code(err) != "28000" {
		t.Errorf("login without TLS: %v, want 28000", err)
	}
	config, err := c.config(db.port, "anything", true)
	if err != nil {
		t.Fatal(err)
	}
	config.User = "rdsadmin"
	if _, err := pgx.ConnectConfig(t.Context(), config); code(err) != "28000" {
		t.Errorf("login as rdsadmin: %v, want 28000", err)
	}
}

func TestWithoutForceTLSPlainConnectionsWork(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	db := c.database(t, "books")
	settings := c.settings
	settings.ForceTLS = false
	settings.Parameters = map[string]string{"log_min_duration_statement": "1234"}
	if err := db.Restart(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	conn, err := c.connect(t.Context(), db.port, password, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var value string
	if err := conn.QueryRow(t.Context(), "SHOW log_min_duration_statement").Scan(&value); err != nil || value != "1234ms" {
		t.Errorf("parameter is %q, %v; want 1234ms", value, err)
	}
}

func TestReloadForcesTLSWithoutARestart(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	db := c.database(t, "books")
	pid := db.PID()
	settings := c.settings
	settings.ForceTLS = false
	if err := db.Reload(settings); err != nil {
		t.Fatal(err)
	}
	for try := 0; ; try++ { // the server takes it up a moment later
		conn, err := c.connect(t.Context(), db.port, password, false)
		if err == nil {
			_ = conn.Close(t.Context())
			break
		}
		if try == 500 {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if db.PID() != pid {
		t.Error("the server was restarted")
	}
}

func TestPasswordChangeEndsTheOldOneAndIsNeverWritten(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	db := c.database(t, "books")
	const changed = "another secret"
	if err := db.SetPassword(t.Context(), "book", verifier(t, changed)); err != nil {
		t.Fatal(err)
	}
	c.login(t, db.port, changed)
	if _, err := c.connect(t.Context(), db.port, password, true); code(err) != "28P01" {
		t.Errorf("login with the old password: %v, want 28P01", err)
	}
	if err := db.SetPassword(t.Context(), "book", "plain text"); err == nil || strings.Contains(err.Error(), "plain text") {
		t.Errorf("a password in clear was taken or is in the error: %v", err)
	}
	if err := db.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(c.Dir(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		for _, secret := range []string{password, changed, "plain text"} {
			if strings.Contains(string(content), secret) {
				t.Errorf("%s holds the password", path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSnapshotHoldsWhatWasThereAndNothingLater(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	db := c.database(t, "books")
	conn := c.login(t, db.port, password)
	exec(t, conn, "CREATE TABLE book (name text)", "INSERT INTO book VALUES ('before')")
	if err := db.Snapshot(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	if err := db.Snapshot(t.Context(), "one"); err == nil {
		t.Error("a snapshot was overwritten")
	}
	exec(t, conn, "INSERT INTO book VALUES ('after')")
	if err := db.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Snapshot(t.Context(), "two"); err != nil {
		t.Fatalf("snapshot of a stopped database: %v", err)
	}
	if err := db.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}

	for snapshot, want := range map[string]int{"one": 1, "two": 2} {
		restored, err := c.Server("restored-" + snapshot)
		if err != nil {
			t.Fatal(err)
		}
		if err := restored.Restore(t.Context(), snapshot); err != nil {
			t.Fatal(err)
		}
		port, err := restored.Start(t.Context(), c.settings)
		if err != nil {
			t.Fatal(err)
		}
		var rows int
		if err := c.login(t, port, password).QueryRow(t.Context(), "SELECT count(*) FROM book").Scan(&rows); err != nil {
			t.Fatal(err)
		}
		if rows != want {
			t.Errorf("restored from %s: %d rows, want %d", snapshot, rows, want)
		}
		if err := restored.Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.DeleteSnapshot(snapshot); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("with all databases and snapshots gone, %s is still there", c.Dir())
	}
}

func TestACrashLosesNothingAndKeepsThePort(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	db := c.database(t, "books")
	exec(t, c.login(t, db.port, password), "CREATE TABLE book (name text)", "INSERT INTO book VALUES ('kept')")
	if err := syscall.Kill(db.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-db.Done()
	if db.Running() {
		t.Error("a killed server counts as running")
	}
	settings := c.settings
	settings.Port = db.port
	for try := 0; ; try++ { // the backends notice a moment later and give the port free
		port, err := db.Start(t.Context(), settings)
		if err == nil {
			if port != db.port {
				t.Errorf("port %d, want %d again", port, db.port)
			}
			break
		}
		if try == 500 {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	var name string
	if err := c.login(t, db.port, password).QueryRow(t.Context(), "SELECT name FROM book").Scan(&name); err != nil || name != "kept" {
		t.Errorf("read %q, %v", name, err)
	}
}

func TestTheNextCloudTakesOverWhatADeadOneLeft(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	db := c.database(t, "books")
	pid := db.PID()
	// A second engine on the same files is what the next cloud is: it knows of
	// the server only what the disk has.
	next, err := postgres.Open(t.Context(), postgres.Config{StateDir: c.state})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.Close(context.Background()) })
	again, err := next.Server("books")
	if err != nil {
		t.Fatal(err)
	}
	settings := c.settings
	settings.Port = db.port
	if _, err := again.Start(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	if process.Alive(pid) {
		t.Error("the old server still runs")
	}
	c.login(t, db.port, password)
}

func TestAPortInUseIsAnError(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	db, err := c.Server("books")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Create(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	settings := c.settings
	settings.Port = taken.Addr().(*net.TCPAddr).Port
	if _, err := db.Start(t.Context(), settings); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("start on a port in use: %v", err)
	}
}

func TestABadParameterIsNamedInTheError(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	db, err := c.Server("books")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Create(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	settings := c.settings
	settings.Parameters = map[string]string{"work_mem": "much"}
	if _, err := db.Start(t.Context(), settings); err == nil || !strings.Contains(err.Error(), "work_mem") {
		t.Errorf("error %v does not name work_mem", err)
	}
}

type cloud struct {
	*postgres.Engine
	state    string
	settings postgres.Settings
	roots    *x509.CertPool
}

// TestAServerWaitsForTheEndOfOneWhoseFilesWereRemoved gives a server the directory of another
// one, which still runs: the file system does the same with the inode of a directory that was
// removed under a server, and PostgreSQL knows its shared memory by that.
func TestAServerWaitsForTheEndOfOneWhoseFilesWereRemoved(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	removed := c.database(t, "removed")
	next, err := c.Server("next")
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Create(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	files := func(name string) string { return filepath.Join(c.Dir(), "instances", name, "data") }
	if err := os.RemoveAll(files("next")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(files("removed"), files("next")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(files("next"), "postmaster.pid")); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() {
		time.Sleep(time.Second)
		stopped <- removed.Stop(context.Background())
	}()
	if _, err := next.Start(t.Context(), c.settings); err != nil {
		t.Error(err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

type database struct {
	*postgres.Server
	port int
}

func newCloud(t *testing.T, more ...string) *cloud {
	t.Helper()
	if testing.Short() {
		t.Skip("starts PostgreSQL")
	}
	state := t.TempDir()
	// As root the servers run as another user, who must be let in.
	if err := os.Chmod(filepath.Dir(state), 0o711); err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := postgres.Open(t.Context(), postgres.Config{StateDir: state, Cache: filepath.Join(cache, "bookctl", "postgres"), Programs: more})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	ca, err := authority.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Issue("localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.Bundle())
	return &cloud{
		Engine: engine, state: state, roots: roots,
		settings: postgres.Settings{Cert: cert.Cert, Key: cert.Key, ForceTLS: true},
	}
}

func (c *cloud) database(t *testing.T, name string) database {
	t.Helper()
	server, err := c.Server(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Create(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	port, err := server.Start(t.Context(), c.settings)
	if err != nil {
		t.Fatal(err)
	}
	master := postgres.Master{User: "book", Password: verifier(t, password), Database: "books"}
	for range 2 { // the second time it finds everything done
		if err := server.EnsureMaster(t.Context(), master); err != nil {
			t.Fatal(err)
		}
	}
	return database{server, port}
}

func (c *cloud) config(port int, password string, secure bool) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig("host=localhost user=book dbname=books sslmode=disable port=" + strconv.Itoa(port))
	if err != nil {
		return nil, err
	}
	config.Password, config.Fallbacks = password, nil
	config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"127.0.0.1"}, nil }
	if secure {
		config.TLSConfig = &tls.Config{RootCAs: c.roots, ServerName: "localhost"}
	}
	return config, nil
}

func (c *cloud) connect(ctx context.Context, port int, password string, secure bool) (*pgx.Conn, error) {
	config, err := c.config(port, password, secure)
	if err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, config)
}

func (c *cloud) login(t *testing.T, port int, password string) *pgx.Conn {
	t.Helper()
	conn, err := c.connect(t.Context(), port, password, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func verifier(t *testing.T, password string) postgres.Verifier {
	t.Helper()
	v, err := postgres.NewVerifier(password)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// code is the SQLSTATE of a server's refusal, "" for any other error.
func code(err error) string {
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return ""
}
