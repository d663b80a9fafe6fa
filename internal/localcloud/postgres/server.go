package postgres

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bookctl/bookctl/internal/localcloud/process"
)

const (
	// admin is the superuser, named as on RDS.
	admin      = "rdsadmin"
	killSignal = syscall.SIGKILL
	// fastStop makes PostgreSQL end its sessions and shut down in good order.
	fastStop = syscall.SIGINT
	// immediateStop makes it end at once and write nothing more.
	immediateStop = syscall.SIGQUIT
	// stopTimeout is how long a good shutdown may take before it is killed,
	// which costs a recovery at the next start and no data.
	stopTimeout = 30 * time.Second
	// startTimeout covers crash recovery.
	startTimeout = 2 * time.Minute
	// strangerTimeout is how long a server waits for another one to end that has the shared
	// memory of its files: a server whose files are gone finds that out within a minute.
	strangerTimeout = 90 * time.Second
)

// Settings are what a server is started with.
type Settings struct {
	// Host is a loopback address, 127.0.0.1 when empty.
	Host string
	// Port on it; zero lets Start pick a free one.
	Port int
	// Cert and Key serve TLS, PEM; both are required.
	Cert, Key []byte
	// ForceTLS refuses connections without TLS, as rds.force_ssl does.
	ForceTLS bool
	// Parameters are postgresql.conf settings by name.
	Parameters map[string]string
}

func (s Settings) host() string { return cmp.Or(s.Host, "127.0.0.1") }

// Master is the master user and the first database of a new server.
type Master struct {
	User     string
	Password Verifier
	// Database may be empty: then only "postgres" exists.
	Database string
}

// Server is one PostgreSQL server. Its methods exclude each other.
type Server struct {
	engine *Engine
	name   string
	dir    string

	mu       sync.Mutex
	proc     *process.Process // nil when stopped
	settings Settings
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// LogFile is what the server writes its log to.
func (s *Server) LogFile() string { return filepath.Join(s.dir, "postgres.log") }

// socketDir is short, since the path of a Unix socket may have 103 bytes only.
func (s *Server) socketDir() string {
	if dir := filepath.Join(s.dir, "run"); len(dir)+len("/.s.PGSQL.65535") <= 103 {
		return dir
	}
	sum := sha256.Sum256([]byte(s.dir))
	return filepath.Join(os.TempDir(), "bookctl-pg-"+hex.EncodeToString(sum[:6]))
}

// installation is that of the version of the server's files.
func (s *Server) installation() (installation, error) {
	version, err := os.ReadFile(filepath.Join(s.data(), "PG_VERSION"))
	if err != nil {
		return installation{}, err
	}
	return s.engine.installation(strings.TrimSpace(string(version)))
}

// Create creates the server's files, of a version that is installed, or for "" of the
// first of them. It does not start it; the master user comes into being at
// EnsureMaster.
func (s *Server) Create(ctx context.Context, version string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.engine.installation(version)
	if err != nil {
		return fmt.Errorf("create database %s: %w", s.name, err)
	}
	if _, err := os.Stat(s.data()); err == nil {
		return fmt.Errorf("create database %s: it has files already", s.name)
	}
	partial := s.data() + ".partial" // of a cloud that died at this point
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("create database %s: %w", s.name, err)
	}
	if err := s.mkdir(); err != nil {
		return fmt.Errorf("create database %s: %w", s.name, err)
	}
	if err := s.engine.newCluster(ctx, i, partial); err != nil {
		return fmt.Errorf("create database %s: %w", s.name, err)
	}
	if err := os.Rename(partial, s.data()); err != nil {
		return fmt.Errorf("create database %s: %w", s.name, err)
	}
	return nil
}

// Exists reports whether the server has files.
func (s *Server) Exists() bool {
	_, err := os.Stat(s.data())
	return err == nil
}

func (s *Server) mkdir() error {
	for _, dir := range []string{s.engine.dir, filepath.Dir(s.dir), s.dir} {
		if err := s.engine.user.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// Start runs the server and returns its port once it answers. A PostgreSQL that
// a dead cloud left running on the files is stopped first. Starting a running
// server is an error.
func (s *Server) Start(ctx context.Context, settings Settings) (port int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running() {
		return 0, fmt.Errorf("start database %s: it runs already", s.name)
	}
	if err := s.stopStray(ctx, s.data()); err != nil {
		return 0, fmt.Errorf("start database %s: %w", s.name, err)
	}
	free := settings.Port == 0
	for try := 0; ; try++ {
		if free {
			if settings.Port, err = freePort(settings.host()); err != nil {
				return 0, fmt.Errorf("start database %s: %w", s.name, err)
			}
		} else if err := canBind(settings.host(), settings.Port); err != nil {
			return 0, fmt.Errorf("start database %s: %w", s.name, err)
		}
		err := s.start(ctx, settings)
		if err == nil {
			return settings.Port, nil
		}
		// Between picking and binding somebody else may have taken the port.
		if !free || try == 3 || canBind(settings.host(), settings.Port) == nil {
			return 0, fmt.Errorf("start database %s: %w", s.name, err)
		}
	}
}

// start runs the server with the settings. PostgreSQL knows the shared memory of its files by
// the inode of their directory. A server that still ends after its files were removed has the
// memory of whichever server got that inode, and until it is gone this one does not start.
func (s *Server) start(ctx context.Context, settings Settings) error {
	for until := time.Now().Add(strangerTimeout); ; {
		err := s.startOnce(ctx, settings)
		if err == nil || !strings.Contains(err.Error(), "pre-existing shared memory block") || time.Now().After(until) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (s *Server) startOnce(ctx context.Context, settings Settings) error {
	i, err := s.installation()
	if err != nil {
		return err
	}
	if err := s.configure(s.data(), settings); err != nil {
		return err
	}
	log, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the server has its own descriptor
	before, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	cmd := s.engine.command(i, "postgres", "-D", s.data())
	cmd.Stdout, cmd.Stderr = log, log
	s.settings = settings
	if s.proc, err = process.Start(cmd, process.Options{User: s.engine.user, DeathSignal: fastStop}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		conn, err := s.connect(ctx)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.proc.Done():
			return fmt.Errorf("PostgreSQL ended with exit code %d: %s", s.proc.ExitCode(), s.lastLog(before))
		case <-ctx.Done():
			s.proc.Stop(context.WithoutCancel(ctx), fastStop, stopTimeout)
			return fmt.Errorf("PostgreSQL does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// configure writes the configuration of a data directory of the server again, so that a
// snapshot's own is never used.
func (s *Server) configure(data string, settings Settings) error {
	// A sibling directory of the data, so that no snapshot holds the key.
	if err := s.engine.user.Mkdir(s.socketDir(), 0o700); err != nil {
		return err
	}
	conf := []string{
		"listen_addresses = " + quote(settings.host()),
		"port = " + strconv.Itoa(settings.Port),
		"unix_socket_directories = " + quote(s.socketDir()),
		"shared_buffers = 32MB",
		"timezone = UTC",
		"log_timezone = UTC",
		// RDS's own, which can't be changed there:
		// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_LogAccess.Concepts.PostgreSQL.overview.parameter-groups.html
		"log_line_prefix = '%t:%r:%u@%d:[%p]:'",
		"password_encryption = scram-sha-256",
		"ssl = on",
		"ssl_cert_file = " + quote(filepath.Join(s.dir, "server.crt")),
		"ssl_key_file = " + quote(filepath.Join(s.dir, "server.key")),
		"ssl_min_protocol_version = 'TLSv1.2'",
	}
	names := make([]string, 0, len(settings.Parameters))
	for name := range settings.Parameters {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !namePattern.MatchString(strings.NewReplacer("_", "", ".", "").Replace(name)) {
			return fmt.Errorf("parameter name %q is not valid", name)
		}
		conf = append(conf, name+" = "+quote(settings.Parameters[name]))
	}
	host := "host"
	if settings.ForceTLS {
		host = "hostssl"
	}
	hba := []string{
		"local all " + admin + " peer map=cloud",
		"local replication " + admin + " peer map=cloud",
		host + " all " + admin + " 127.0.0.1/32 reject",
		host + " all all 127.0.0.1/32 scram-sha-256",
	}
	ident := []string{"cloud \"" + s.engine.user.Name + "\" " + admin}
	if s.engine.user.Drop {
		ident = append(ident, "cloud root "+admin)
	}
	for path, content := range map[string]string{
		filepath.Join(data, "postgresql.conf"):      strings.Join(conf, "\n") + "\n",
		filepath.Join(data, "postgresql.auto.conf"): "",
		filepath.Join(data, "pg_hba.conf"):          strings.Join(hba, "\n") + "\n",
		filepath.Join(data, "pg_ident.conf"):        strings.Join(ident, "\n") + "\n",
		filepath.Join(s.dir, "server.crt"):          string(settings.Cert),
		filepath.Join(s.dir, "server.key"):          string(settings.Key),
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
		if err := s.engine.user.Own(path); err != nil {
			return err
		}
	}
	return nil
}

func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// identifier is a name as SQL writes it.
func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Running reports whether the server runs.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running()
}

func (s *Server) running() bool {
	if s.proc == nil {
		return false
	}
	select {
	case <-s.proc.Done():
		return false
	default:
		return true
	}
}

// Done is closed when the running server ends, of itself or by Stop. It is nil,
// which blocks for ever, when no server was started.
func (s *Server) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return nil
	}
	return s.proc.Done()
}

// PID is the process id of the running server, 0 when it is stopped.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return 0
	}
	return s.proc.PID()
}

// Stop shuts the server down in good order, ending its sessions. A stopped
// server is no error.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stop(ctx)
}

func (s *Server) stop(ctx context.Context) error {
	if s.running() {
		s.proc.Stop(ctx, fastStop, stopTimeout)
	}
	s.proc = nil
	return os.RemoveAll(s.socketDir())
}

// Restart stops the server and starts it with new settings on the same port.
func (s *Server) Restart(ctx context.Context, settings Settings) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	settings.Host, settings.Port = s.settings.Host, s.settings.Port
	if err := s.stop(ctx); err != nil {
		return fmt.Errorf("restart database %s: %w", s.name, err)
	}
	if err := s.start(ctx, settings); err != nil {
		return fmt.Errorf("restart database %s: %w", s.name, err)
	}
	return nil
}

// Reload gives the running server new settings as far as it takes them without
// a restart; ForceTLS and most parameters it does.
func (s *Server) Reload(settings Settings) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return fmt.Errorf("reload database %s: it does not run", s.name)
	}
	settings.Host, settings.Port = s.settings.Host, s.settings.Port
	err := s.configure(s.data(), settings)
	if err == nil {
		s.settings = settings
		err = s.proc.Signal(syscall.SIGHUP)
	}
	if err != nil {
		return fmt.Errorf("reload database %s: %w", s.name, err)
	}
	return nil
}

// Delete stops the server and removes its files.
func (s *Server) Delete(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running() {
		s.proc.Stop(ctx, immediateStop, stopTimeout) // what it would write goes anyway
	}
	err := s.stop(ctx)
	if err == nil {
		err = s.stopStray(ctx, s.data())
	}
	if err != nil {
		return fmt.Errorf("delete database %s: %w", s.name, err)
	}
	return s.engine.discard(s.dir)
}

// stopStray stops the PostgreSQL that a dead cloud left on a data directory.
func (s *Server) stopStray(ctx context.Context, data string) error {
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// Lines: pid, data directory, start time, port, socket directory, …
	lines := strings.Split(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 1 || len(lines) < 2 || lines[1] != data || !s.engine.runs(pid) {
		return nil // a stale file, which PostgreSQL itself replaces
	}
	deadline := time.Now().Add(stopTimeout)
	for sig := fastStop; process.Alive(pid); sig = 0 {
		if sig != 0 {
			if err := process.Signal(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("stop the PostgreSQL of an earlier run (process %d): %w", pid, err)
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the PostgreSQL of an earlier run (process %d) does not stop", pid)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// EnsureMaster creates the master user and the first database, and sets the
// user's password. It may be called again: what is there stays.
func (s *Server) EnsureMaster(ctx context.Context, m Master) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn, err := s.connect(ctx)
	if err != nil {
		return fmt.Errorf("set up database %s: %w", s.name, err)
	}
	defer func() { _ = conn.Close(ctx) }() // the statements have succeeded or failed by then
	if err := ensureMaster(ctx, conn, m); err != nil {
		return fmt.Errorf("set up database %s: %w", s.name, err)
	}
	return nil
}

func ensureMaster(ctx context.Context, conn *pgconn.PgConn, m Master) error {
	user := identifier(m.User)
	for _, role := range []struct{ name, sql string }{
		// The powers of rds_superuser (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.html).
		{"rds_superuser", "CREATE ROLE rds_superuser NOLOGIN; GRANT pg_monitor, pg_signal_backend TO rds_superuser WITH ADMIN OPTION"},
		{m.User, "CREATE ROLE " + user + " LOGIN CREATEDB CREATEROLE; GRANT rds_superuser TO " + user},
	} {
		found, err := exists(ctx, conn, "SELECT FROM pg_roles WHERE rolname = $1", role.name)
		if err != nil {
			return err
		}
		if !found {
			if err := execute(ctx, conn, role.sql); err != nil {
				return err
			}
		}
	}
	// PostgreSQL has this one since version 15.
	checkpoint, err := exists(ctx, conn, "SELECT FROM pg_roles WHERE rolname = $1", "pg_checkpoint")
	if err == nil && checkpoint {
		err = execute(ctx, conn, "GRANT pg_checkpoint TO rds_superuser WITH ADMIN OPTION")
	}
	if err != nil {
		return err
	}
	if err := setPassword(ctx, conn, m.User, m.Password); err != nil {
		return err
	}
	if m.Database == "" {
		return nil
	}
	found, err := exists(ctx, conn, "SELECT FROM pg_database WHERE datname = $1", m.Database)
	if err != nil || found {
		return err
	}
	// The template's pages go straight to the files instead of through the log.
	return execute(ctx, conn, "CREATE DATABASE "+identifier(m.Database)+" OWNER "+user)
}

// execute runs statements that return no rows.
func execute(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	_, err := conn.Exec(ctx, sql).ReadAll()
	return err
}

// exists reports whether a query with one parameter returns a row.
func exists(ctx context.Context, conn *pgconn.PgConn, sql, parameter string) (bool, error) {
	result := conn.ExecParams(ctx, sql, [][]byte{[]byte(parameter)}, nil, nil, nil).Read()
	return len(result.Rows) > 0, result.Err
}

// SetPassword changes a user's password on the running server.
func (s *Server) SetPassword(ctx context.Context, user string, password Verifier) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn, err := s.connect(ctx)
	if err != nil {
		return fmt.Errorf("change the password of database %s: %w", s.name, err)
	}
	defer func() { _ = conn.Close(ctx) }() // the statement has succeeded or failed by then
	if err := setPassword(ctx, conn, user, password); err != nil {
		return fmt.Errorf("change the password of database %s: %w", s.name, err)
	}
	return nil
}

func setPassword(ctx context.Context, conn *pgconn.PgConn, user string, password Verifier) error {
	if !strings.HasPrefix(string(password), "SCRAM-SHA-256$") {
		return errors.New("the password is not a SCRAM verifier") // and must not reach the server's log
	}
	return execute(ctx, conn, "ALTER ROLE "+identifier(user)+" PASSWORD "+quote(string(password)))
}

// connect logs in as the superuser over the socket.
func (s *Server) connect(ctx context.Context) (*pgconn.PgConn, error) {
	config, err := pgconn.ParseConfig("sslmode=disable dbname=postgres user=" + admin)
	if err != nil {
		return nil, err
	}
	config.Host, config.Port = s.socketDir(), uint16(s.settings.Port)
	config.Password, config.Fallbacks = "", nil // whatever PG* variables say
	config.ConnectTimeout = 30 * time.Second    // on a machine that is busy
	return pgconn.ConnectConfig(ctx, config)
}

// lastLog is the end of what the server has logged since its log had a length.
func (s *Server) lastLog(since int64) string {
	text, err := os.ReadFile(s.LogFile())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text[min(since, int64(len(text))):])), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}

func freePort(host string) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

func canBind(host string, port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return l.Close()
}
