package api_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bookctl/bookctl/internal/localcloud/postgres"
)

// eventually tries until it succeeds, for a minute at most.
func eventually(t *testing.T, what string, try func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !try(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute: still not %s", what)
		}
	}
}

// wantUnavailable checks the answer of a service whose database is away.
func wantUnavailable(t *testing.T, a answer) {
	t.Helper()
	if a.status != 503 || a.header.Get("Retry-After") == "" || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("status %d, Retry-After %q, %s; want 503", a.status, a.header.Get("Retry-After"), a.body)
	}
}

func TestTheDatabaseMayComeUpLater(t *testing.T) {
	t.Parallel()
	db := startPostgres(t)
	if err := db.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := start(t, db)
	s.send(t, "GET", "/healthz", "").want(t, 200)
	s.send(t, "GET", "/openapi.json", "").want(t, 200)
	for _, a := range []answer{
		s.send(t, "GET", "/readyz", ""), s.send(t, "POST", "/books", bookJSON("a", "b")), s.send(t, "GET", "/books/a", ""),
		s.send(t, "GET", "/books", ""), s.send(t, "POST", "/books", bookJSON("a", "b"), "Idempotency-Key: k"),
	} {
		wantUnavailable(t, a)
	}
	if page := s.send(t, "GET", "/", "", "Accept: text/html").want(t, 200); !strings.Contains(page.body, "can't be shown now") {
		t.Error("the page does not say that the database is away")
	}
	if _, err := db.Start(t.Context(), db.settings); err != nil {
		t.Fatal(err)
	}
	s.await(t)
	s.send(t, "POST", "/books", bookJSON("a", "b")).want(t, 201)
	if n := strings.Count(s.log.String(), `"msg":"waiting for the database"`); n < 1 || n > 5 {
		t.Errorf("%d lines about one outage:\n%s", n, s.log)
	}
	if strings.Contains(s.log.String(), password) {
		t.Error("the password is in the log")
	}
}

func TestNoAcknowledgedWriteIsLostWhenTheDatabaseIsKilled(t *testing.T) {
	t.Parallel()
	db := startPostgres(t)
	s := serve(t, db)
	var acknowledged sync.Map
	var stored, refused atomic.Int64
	end := make(chan struct{})
	var wait sync.WaitGroup
	for w := range 16 {
		wait.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-end:
					return
				default:
				}
				name := fmt.Sprintf("write %d-%d", w, i)
				a, err := send(http.DefaultClient, "POST", s.url+"/books", bookJSON(name, "a"))
				switch {
				case err != nil:
					t.Errorf("no answer: %v", err)
					return
				case a.status == 201:
					acknowledged.Store(name, true)
					stored.Add(1)
				default:
					wantUnavailable(t, a)
					refused.Add(1)
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	for range 2 {
		before := stored.Load()
		eventually(t, "writing", func() bool { return stored.Load() > before+200 })
		done := db.Done()
		if err := syscall.Kill(db.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-done
		failures := refused.Load()
		eventually(t, "failing", func() bool { return refused.Load() > failures })
		if _, err := db.Start(context.Background(), db.settings); err != nil {
			t.Fatal(err)
		}
		up, before := time.Now(), stored.Load()
		eventually(t, "writing again", func() bool { return stored.Load() > before })
		t.Logf("writes again %s after the database is back", time.Since(up).Round(time.Millisecond))
	}
	close(end)
	wait.Wait()
	rows, err := db.connect(t).Query(context.Background(), `SELECT name FROM books`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]int{}
	for _, name := range names {
		there[name]++
	}
	acknowledged.Range(func(name, _ any) bool {
		if there[name.(string)] != 1 {
			t.Errorf("%s was acknowledged and is there %d times", name, there[name.(string)])
		}
		return true
	})
	t.Logf("%d writes acknowledged, %d refused, %d rows", stored.Load(), refused.Load(), len(names))
}

func TestOneBadRowDoesNotFailItsNeighbours(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := serve(t, db)
	db.exec(t, `ALTER TABLE books ADD CHECK (name NOT LIKE 'poison%')`)
	var wait sync.WaitGroup
	for i := range 64 {
		wait.Go(func() {
			for j := range 10 {
				name, want := fmt.Sprintf("good %d %d", i, j), 201
				if i%8 == 0 {
					name, want = "poison", 422
				}
				if a, err := send(http.DefaultClient, "POST", s.url+"/books", bookJSON(name, "a")); err != nil || a.status != want {
					t.Errorf("%s: %v %v, want %d", name, a, err, want)
				}
			}
		})
	}
	wait.Wait()
	if n := len(listed(t, s, "q=good&limit=200")); n != 560 {
		t.Errorf("%d good books are stored, want 560", n)
	}
}

func TestAChangedPasswordIsNamedAndHarmsNoOpenConnection(t *testing.T) {
	t.Parallel()
	db := startPostgres(t)
	s := serve(t, db)
	conn := db.connect(t)
	verifier, err := postgres.NewVerifier("rotated")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.SetPassword(t.Context(), "book", verifier); err != nil {
		t.Fatal(err)
	}
	s.send(t, "POST", "/books", bookJSON("still", "open")).want(t, 201)
	if _, err := conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bookapi'`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "refused, with its reason in the log", func() bool {
		return s.send(t, "POST", "/books", bookJSON("a", "b")).status == 503 &&
			strings.Contains(s.log.String(), "the database rejects DB_PASSWORD (SQLSTATE 28P01)")
	})
	if strings.Contains(s.log.String(), password) {
		t.Error("the password is in the log")
	}
	s.send(t, "GET", "/healthz", "").want(t, 200)
}

func TestAReadOnlyDatabaseIsLeftForThePrimary(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := serve(t, db)
	s.send(t, "POST", "/books", bookJSON("a", "b")).want(t, 201)
	// As after a failover, when the pool's connections lead to a standby.
	admin := db.connect(t)
	exec := func(sql string) {
		t.Helper()
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`ALTER DATABASE ` + db.name + ` SET default_transaction_read_only = on`)
	exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bookapi' AND datname = current_database()`)
	eventually(t, "read-only", func() bool { return s.send(t, "POST", "/books", bookJSON("a", "b")).status == 503 })
	exec(`ALTER DATABASE ` + db.name + ` SET default_transaction_read_only = off`)
	eventually(t, "writing", func() bool { return s.send(t, "POST", "/books", bookJSON("a", "b")).status == 201 })
}

func TestAHangingDatabaseMakesNobodyWaitWithoutEnd(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := serve(t, db)
	locker := db.connect(t)
	if _, err := locker.Exec(t.Context(), `BEGIN; LOCK TABLE books IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1500}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	var wait sync.WaitGroup
	for i := range 1500 {
		wait.Go(func() {
			method, path, body := "POST", "/books", bookJSON("a", "b")
			if i%2 == 0 {
				method, path, body = "GET", "/books/a", ""
			}
			a, err := send(client, method, s.url+path, body)
			if err != nil {
				t.Errorf("no answer: %v", err)
				return
			}
			wantUnavailable(t, a)
		})
	}
	s.send(t, "GET", "/healthz", "").want(t, 200)
	wait.Wait()
	if _, err := locker.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "serving again", func() bool { return s.send(t, "POST", "/books", bookJSON("a", "b")).status == 201 })
	eventually(t, "serving again", func() bool { return s.send(t, "GET", "/books/a", "").status == 200 })
}

// A task is replaced by another while clients go through a load balancer, which
// asks /readyz and takes a target out when it says no.
func TestSIGTERMUnderLoadFailsNoRequest(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	targets := []*process{run(t, db, "SHUTDOWN_DRAIN=2s", "DB_POOL=4"), run(t, db, "SHUTDOWN_DRAIN=2s", "DB_POOL=4")}
	for _, p := range targets {
		awaitReady(t, p.url, p.log)
	}
	var current atomic.Pointer[process]
	current.Store(targets[0])
	end := make(chan struct{})
	var answered atomic.Int64
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for n := 0; ; n++ {
				select {
				case <-end:
					return
				default:
				}
				a, err := send(client, "POST", current.Load().url+"/books", bookJSON(fmt.Sprintf("rolling %d-%d", i, n), "a"))
				if err != nil || a.status != 201 {
					t.Errorf("request %d of client %d: %v %v", n, i, a, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	eventually(t, "under load", func() bool { return answered.Load() > 100 })
	for round := range 2 {
		old := targets[round]
		if err := old.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		eventually(t, "draining", func() bool {
			a, err := send(http.DefaultClient, "GET", old.url+"/readyz", "")
			return err == nil && a.status == 503
		})
		a, err := send(http.DefaultClient, "GET", old.url+"/healthz", "")
		if err != nil || a.status != 200 || !a.closes {
			t.Errorf("while it drains /healthz says %v, %v", a, err)
		}
		current.Store(targets[1-round])
		<-old.done
		if code := old.ProcessState.ExitCode(); code != 0 {
			t.Errorf("exit code %d\n%s", code, old.log)
		}
		if round == 0 {
			targets[0] = run(t, db, "DB_POOL=4")
			awaitReady(t, targets[0].url, targets[0].log)
		}
	}
	close(end)
	wait.Wait()
	t.Logf("%d requests answered", answered.Load())
}

func TestASecondSignalEndsItAtOnce(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	p := run(t, db, "SHUTDOWN_DRAIN=10s")
	awaitReady(t, p.url, p.log)
	began := time.Now()
	for range 2 {
		if err := p.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		eventually(t, "noticed", func() bool { return strings.Contains(p.log.String(), "draining") || exited(p) })
	}
	<-p.done
	if code := p.ProcessState.ExitCode(); code != 1 || time.Since(began) > 9*time.Second {
		t.Errorf("exit code %d after %s; want 1 before the drain's end", code, time.Since(began))
	}
}

func exited(p *process) bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// wantedConnections is how many clients do nothing good.
const wantedConnections = 10_000

func TestHostileClientsCostBoundedMemoryAndStarveNobody(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	p := run(t, db, "DB_SSLMODE=require", "LOG_LEVEL=error")
	awaitReady(t, p.url, p.log)
	s := &service{url: p.url, db: db}
	s.send(t, "POST", "/books", bookJSON("good", "client")).want(t, 201)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	number := min(wantedConnections, int(min(limit.Cur, 1<<20))-1000)
	if number < wantedConnections {
		t.Logf("only %d connections, for this machine's limit of open files", number)
	}

	quit := make(chan struct{})
	var good sync.WaitGroup
	for range 4 {
		good.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}
			defer client.CloseIdleConnections()
			for n := 0; ; n++ {
				select {
				case <-quit:
					if n == 0 {
						t.Error("a good client had no answer at all")
					}
					return
				default:
				}
				if a, err := send(client, "GET", p.url+"/books/good", ""); err != nil || a.status != 200 {
					t.Errorf("a good client: %v %v", a, err)
					return
				}
			}
		})
	}
	address := strings.TrimPrefix(p.url, "http://")
	begin := []string{
		"", // silent
		"GET /books/good HTTP/1.1\r\nHost: a\r\nX:",                                                           // a header without end
		"POST /books HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{", // a body without end
		"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",                                                            // idle afterwards
	}
	var slow []net.Conn
	defer func() {
		for _, c := range slow {
			_ = c.Close() // the server has closed it, or not
		}
	}()
	for i := range number {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		slow = append(slow, c)
		_, _ = io.WriteString(c, begin[i%len(begin)]) // the server may have given up
	}
	// Floods of headers, and bodies far beyond the limit.
	var bad sync.WaitGroup
	for i := range 64 {
		bad.Go(func() {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }() // see above
			text, chunk := "GET / HTTP/1.1\r\nHost: a\r\n", "X-Flood: "+strings.Repeat("x", 8000)+"\r\n"
			if i%2 == 0 {
				text = "POST /books/batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
				chunk = "10000\r\n" + strings.Repeat("[", 0x10000) + "\r\n"
			}
			for range 8000 {
				if _, err := io.WriteString(c, text); err != nil {
					return // refused, as it should be
				}
				text = chunk
			}
			t.Error("a client could send without end")
		})
	}
	bad.Wait()
	s.send(t, "POST", "/books", bookJSON("good", "again")).want(t, 201)
	close(quit)
	good.Wait()
	peak := peakMemory(t, p.Process.Pid) >> 20
	t.Logf("%d connections: %d MB resident at most", len(slow), peak)
	if peak > 460 { // 90 % of the smallest task's 512 MB
		t.Errorf("%d MB resident", peak)
	}
}

func TestConfigurationErrorsNameTheVariableAndNoSecret(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds bookapi")
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	good := []string{"DB_HOST=h", "DB_PORT=5432", "DB_NAME=n", "DB_USERNAME=u", "DB_PASSWORD=hush-hush"}
	for _, wrong := range []string{
		"DB_HOST=", "DB_PORT=", "DB_NAME=", "DB_USERNAME=", "DB_PASSWORD=", "DB_PORT=x", "DB_PORT=70000", "DB_SSLMODE=prefer", "PORT=-1",
		"DB_SSLROOTCERT=/does/not/exist", "DB_POOL=1", "SHUTDOWN_DRAIN=16s", "SHUTDOWN_DRAIN=5", "TASK_CPU=x", "TASK_MEMORY=-5", "LOG_LEVEL=loud",
		"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318",
	} {
		cmd := exec.Command(path)
		cmd.Env = append(append([]string{}, good...), wrong)
		out, err := cmd.CombinedOutput()
		name, _, _ := strings.Cut(wrong, "=")
		if err == nil || !strings.Contains(string(out), name) || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%s: %v, %s", wrong, err, out)
		}
		if strings.Contains(string(out), "hush") {
			t.Errorf("%s: the password is printed: %s", wrong, out)
		}
	}
	for argument, want := range map[string]string{"-version": "bookapi ", "--version": "bookapi ", "version": "bookapi "} {
		if out, err := exec.Command(path, argument).Output(); err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("%s: %q %v", argument, out, err)
		}
	}
	if err := exec.Command(path, "serve").Run(); err == nil {
		t.Error("an unknown argument was taken")
	}
}

func TestTheRuntimeFitsTheTasksShare(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	for share, want := range map[string][]string{
		"256":  {"go_sched_gomaxprocs_threads 1\n", "go_gc_gomemlimit_bytes 483183820\n"}, // nine tenths of 512 MiB
		"1025": {fmt.Sprintf("go_sched_gomaxprocs_threads %d\n", min(2, runtime.NumCPU()))},
	} {
		p := run(t, db, "TASK_CPU="+share, "TASK_MEMORY=512")
		awaitReady(t, p.url, p.log)
		s := service{url: p.url}
		text := s.send(t, "GET", "/metrics", "").want(t, 200).body
		for _, line := range want {
			if !strings.Contains(text, line) {
				t.Errorf("%s units of CPU: no %q in\n%s", share, line, text)
			}
		}
	}
}

func TestHealthcheckAsksTheServerOfItsEnvironment(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	p := run(t, db)
	awaitReady(t, p.url, p.log)
	port := p.url[strings.LastIndex(p.url, ":")+1:]
	check := func() error {
		cmd := exec.Command(p.Path, "-healthcheck")
		cmd.Env = []string{"PORT=" + port}
		return cmd.Run()
	}
	if err := check(); err != nil {
		t.Errorf("with a server: %v", err)
	}
	_ = p.Process.Kill() // it runs
	<-p.done
	if err := check(); err == nil {
		t.Error("without a server the check succeeds")
	}
}
