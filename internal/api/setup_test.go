package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bookctl/bookctl/internal/api"
	"github.com/bookctl/bookctl/internal/api/database"
	"github.com/bookctl/bookctl/internal/localcloud/authority"
	"github.com/bookctl/bookctl/internal/localcloud/postgres"
)

const password = "correct horse? battery=staple;'$1"

// dbServer is a database on a PostgreSQL of our own.
type dbServer struct {
	*postgres.Server
	port     int
	name     string // of the database
	rootCert string
	settings postgres.Settings
}

// startPostgres runs a server that the test may break. Its data goes away with
// the test. Parameters are further ones, names and values in turn.
func startPostgres(tb testing.TB, parameters ...string) *dbServer {
	tb.Helper()
	if testing.Short() {
		tb.Skip("starts PostgreSQL")
	}
	s, stop, err := newPostgres(tb.TempDir(), parameters...)
	tb.Cleanup(func() {
		if err := stop(); err != nil {
			tb.Error(err)
		}
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// newPostgres runs a server with a user and a database. stop is never nil.
func newPostgres(state string, parameters ...string) (s *dbServer, stop func() error, err error) {
	stop = func() error { return nil }
	ctx := context.Background()
	// As root the server runs as another user, who must be let in.
	if err := errors.Join(os.Chmod(filepath.Dir(state), 0o711), os.Chmod(state, 0o711)); err != nil {
		return nil, stop, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, stop, err
	}
	engine, err := postgres.Open(ctx, postgres.Config{StateDir: state, Cache: filepath.Join(cache, "bookctl", "postgres")})
	if err != nil {
		return nil, stop, err
	}
	stop = func() error { return engine.Close(ctx) }
	ca, err := authority.Open(filepath.Join(state, "authority"))
	if err != nil {
		return nil, stop, err
	}
	cert, err := ca.Issue("localhost", "127.0.0.1")
	if err != nil {
		return nil, stop, err
	}
	server, err := engine.Server("books")
	if err != nil {
		return nil, stop, err
	}
	if err := server.Create(ctx, ""); err != nil {
		return nil, stop, err
	}
	s = &dbServer{Server: server, name: "books", rootCert: ca.BundleFile(), settings: postgres.Settings{
		Cert: cert.Cert, Key: cert.Key, Parameters: map[string]string{"max_connections": "200"},
	}}
	for pair := range slices.Chunk(parameters, 2) {
		s.settings.Parameters[pair[0]] = pair[1]
	}
	if s.port, err = server.Start(ctx, s.settings); err != nil {
		return nil, stop, err
	}
	s.settings.Port = s.port
	verifier, err := postgres.NewVerifier(password)
	if err != nil {
		return nil, stop, err
	}
	return s, stop, server.EnsureMaster(ctx, postgres.Master{User: "book", Password: verifier, Database: s.name})
}

// shared is the server of all tests that break nothing.
var shared struct {
	once   sync.Once
	dir    string
	server *dbServer
	stop   func() error
	err    error
	made   atomic.Int64
}

// newDatabase is an empty database on the shared server.
func newDatabase(tb testing.TB) *dbServer {
	tb.Helper()
	if testing.Short() {
		tb.Skip("starts PostgreSQL")
	}
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "bookapi-test-"); shared.err == nil {
			state := filepath.Join(shared.dir, "state")
			if shared.err = os.Mkdir(state, 0o711); shared.err == nil {
				shared.server, shared.stop, shared.err = newPostgres(state)
			}
		}
	})
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	own := *shared.server
	name := "books_" + strconv.FormatInt(shared.made.Add(1), 10)
	own.exec(tb, "CREATE DATABASE "+name)
	own.name = name
	return &own
}

func (s *dbServer) database() database.Config {
	return database.Config{
		Host: "localhost", Port: s.port, Name: s.name, User: "book", Password: password,
		SSLMode: "verify-full", RootCert: s.rootCert, Connections: 10,
	}
}

func (s *dbServer) connect(tb testing.TB) *pgx.Conn {
	tb.Helper()
	config, err := pgx.ParseConfig(fmt.Sprintf("host=127.0.0.1 port=%d user=book dbname=%s sslmode=disable", s.port, s.name))
	if err != nil {
		tb.Fatal(err)
	}
	config.Password = password
	conn, err := pgx.ConnectConfig(context.Background(), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (s *dbServer) exec(tb testing.TB, sql string, args ...any) {
	tb.Helper()
	if _, err := s.connect(tb).Exec(context.Background(), sql, args...); err != nil {
		tb.Fatal(err)
	}
}

// service is a server in this process, so that the race detector sees it.
type service struct {
	url  string
	log  *syncBuffer
	stop func() error // ends it in good order; once
	db   *dbServer
}

type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// serve runs a service on the database and waits until it is ready.
func serve(tb testing.TB, db *dbServer, change ...func(*api.Options)) *service {
	tb.Helper()
	s := start(tb, db, change...)
	s.await(tb)
	return s
}

func start(tb testing.TB, db *dbServer, change ...func(*api.Options)) *service {
	tb.Helper()
	log := &syncBuffer{}
	options := api.Options{Database: db.database(), Log: slog.New(slog.NewJSONHandler(log, nil)), Version: "test"}
	for _, c := range change {
		c(&options)
	}
	server, err := api.New(options)
	if err != nil {
		tb.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	tb.Cleanup(func() {
		if err := stop(); err != nil {
			tb.Errorf("the server ended with: %v", err)
		}
	})
	return &service{url: "http://" + listener.Addr().String(), log: log, stop: stop, db: db}
}

// await waits until /readyz says so.
func (s *service) await(tb testing.TB) {
	tb.Helper()
	awaitReady(tb, s.url, s.log)
}

func awaitReady(tb testing.TB, url string, log fmt.Stringer) {
	tb.Helper()
	awaitOK(tb, url+"/readyz", log)
}

// awaitOK waits until an address answers with 200.
func awaitOK(tb testing.TB, address string, log fmt.Stringer) {
	tb.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		response, err := http.Get(address)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%s is not well after a minute: %v\n%s", address, err, log)
		}
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	closes bool // the connection
}

// send makes a request; headers are "Name: value" strings.
func (s *service) send(tb testing.TB, method, path, body string, headers ...string) answer {
	tb.Helper()
	a, err := send(http.DefaultClient, method, s.url+path, body, headers...)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func send(client *http.Client, method, url, body string, headers ...string) (answer, error) {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header[http.CanonicalHeaderKey(name)] = []string{value}
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(text), response.Close}, errors.Join(err, response.Body.Close())
}

type book struct {
	ID                             int64
	Name, Author, Created, Updated string
}

func (a answer) book(tb testing.TB) book {
	tb.Helper()
	var b book
	a.decode(tb, &b)
	return b
}

func (a answer) decode(tb testing.TB, into any) {
	tb.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		tb.Fatalf("%v in %d %s", err, a.status, a.body)
	}
}

func (a answer) want(tb testing.TB, status int) answer {
	tb.Helper()
	if a.status != status {
		tb.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

func bookJSON(name, author string) string {
	text, err := json.Marshal(map[string]string{"name": name, "author": author})
	if err != nil {
		panic(err) // strings can be encoded
	}
	return string(text)
}

// program is the bookapi binary, built once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "bookapi-test-")
	if err != nil {
		return "", err
	}
	programDir.Store(dir)
	path := filepath.Join(dir, "bookapi")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "../../cmd/bookapi")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build bookapi: %w: %s", err, out)
	}
	return path, nil
})

// programDir is where it was built, once it was.
var programDir atomic.Value

func TestMain(m *testing.M) {
	code := m.Run()
	if dir := programDir.Load(); dir != nil {
		_ = os.RemoveAll(dir.(string)) // a temporary directory
	}
	if shared.stop != nil {
		if err := errors.Join(shared.stop(), os.RemoveAll(shared.dir)); err != nil {
			fmt.Fprintln(os.Stderr, "stop the shared database:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// process is a running bookapi.
type process struct {
	*exec.Cmd
	url  string
	log  *syncBuffer
	done chan struct{}
}

// run starts the program with the database's environment and some more.
func run(tb testing.TB, db *dbServer, more ...string) *process {
	tb.Helper()
	log := &syncBuffer{}
	p := launch(tb, db, log, more...)
	p.log = log
	return p
}

// launch is run with a log that goes elsewhere; nil is nowhere.
func launch(tb testing.TB, db *dbServer, log io.Writer, more ...string) *process {
	tb.Helper()
	path, err := program()
	if err != nil {
		tb.Fatal(err)
	}
	return launchProgram(tb, path, db, log, more...)
}

// launchProgram runs a build of bookapi.
func launchProgram(tb testing.TB, path string, db *dbServer, log io.Writer, more ...string) *process {
	tb.Helper()
	return launchCommand(tb, exec.Command(path), log, func(port string) []string {
		return append(append(environment(db), "PORT="+port), more...)
	})
}

// launchCommand runs a server, whose environment is made for a port.
func launchCommand(tb testing.TB, cmd *exec.Cmd, log io.Writer, environment func(port string) []string) *process {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	if err := l.Close(); err != nil {
		tb.Fatal(err)
	}
	p := &process{Cmd: cmd, url: "http://127.0.0.1:" + port, done: make(chan struct{})}
	p.Env = environment(port)
	p.Stderr = log
	if err := p.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		_ = p.Wait() // the tests look at ProcessState
		close(p.done)
	}()
	tb.Cleanup(func() {
		_ = p.Process.Signal(syscall.SIGKILL) // unless it has ended
		<-p.done
	})
	return p
}

func environment(db *dbServer) []string {
	return []string{
		"DB_HOST=localhost", "DB_PORT=" + strconv.Itoa(db.port), "DB_NAME=" + db.name, "DB_USERNAME=book", "DB_PASSWORD=" + password,
		"DB_SSLROOTCERT=" + db.rootCert,
	}
}

// peakMemory is the most memory that the process had resident, in bytes.
func peakMemory(tb testing.TB, pid int) int64 {
	tb.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		tb.Skip("needs Linux's /proc")
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return kb << 10
}
