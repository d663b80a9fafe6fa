package api_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The benchmark compares bookapi with pgbench in one run on one machine: the
// same statements, table and number of clients, taking turns. Only its ratios
// mean something elsewhere.
const (
	clients = 16
	turn    = 2 * time.Second
	rounds  = 3
)

// benchRows are the sizes of the table.
var benchRows = []int{1_000, 100_000, 1_000_000}

// sharedBuffers is PostgreSQL's own default. RDS gives a quarter of the memory,
// which is more on every class; the local cloud, which runs many servers, less.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Parameters.html
const sharedBuffers = "128MB"

const columns = "id, name, author, version, created_at, updated_at"

// lookupBench and insertBench are the statements of one request.
const (
	lookupBench = "SELECT " + columns + ` FROM books WHERE lower(left(name, 600)) COLLATE "C" = lower(left('book ' || :id, 600)) COLLATE "C" AND name = 'book ' || :id ORDER BY id LIMIT 1;`
	insertBench = "INSERT INTO books (name, author) VALUES ('new ' || :id, 'author ' || :id) RETURNING " + columns + ";"
)

// contender is a server that answers the same requests as bookapi.
type contender struct {
	name string
	url  string
	pid  int
	// end is how its answers end.
	end string
}

// BenchmarkAgainstPgbench is what `make bench` runs. It prints a table. BASELINE may
// name other builds of bookapi, separated by colons, which then take turns with
// this one.
func BenchmarkAgainstPgbench(b *testing.B) {
	pgbench := findPgbench(b)
	// A client that collects garbage takes the machine from the server.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	db := startPostgres(b, "shared_buffers", sharedBuffers)
	// Its log is 10 MB a second, which a reader here would take from the machine.
	settings := []string{"DB_SSLMODE=disable", "TASK_CPU=256", "TASK_MEMORY=512"} // as a default task has them
	api := launch(b, db, nil, settings...)
	all := []contender{{"bookapi", api.url, api.Process.Pid, "}\n"}}
	awaitReady(b, api.url, new(syncBuffer))
	for _, path := range filepath.SplitList(os.Getenv("BASELINE")) {
		other := launchProgram(b, path, db, nil, settings...)
		awaitReady(b, other.url, new(syncBuffer))
		all = append(all, contender{filepath.Base(path), other.url, other.Process.Pid, "}\n"})
	}
	if tutorial, ok := launchFastAPI(b, db); ok {
		all = append(all, tutorial)
	}
	for _, c := range all {
		if c.name == "fastapi" {
			continue
		}
		empty, _ := load(b, c.url, clients, turn, func(to []byte, _ *rand.Rand) []byte {
			return append(to, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"...)
		}, "ok\n")
		// What no statement of ours can be faster than.
		fmt.Printf("%s, requests without the database: %.0f/s\n", c.name, float64(empty)/turn.Seconds())
	}
	fmt.Printf("%9s  %-6s  %-9s  %10s  %10s  %7s  %9s  %8s  %8s\n", "rows", "", "", "per second", "of pgbench", "bookapi", "CPU ratio", "p50", "p99")
	for _, rows := range benchRows {
		b.Run("rows="+strconv.Itoa(rows), func(b *testing.B) {
			db.exec(b, `TRUNCATE books RESTART IDENTITY`)
			fill(b, db, rows)
			db.exec(b, `VACUUM ANALYZE books`)
			db.exec(b, `CHECKPOINT`)
			compare(b, pgbench, db, all, rows, "reads", lookupBench, lookups(rows))
			pages(b, api.url, rows)
			compare(b, pgbench, db, all, rows, "writes", insertBench, inserts(rows))
		})
	}
	for _, c := range all {
		fmt.Printf("%s, resident memory at most: %d MB\n", c.name, peakMemory(b, c.pid)>>20)
	}
	fmt.Printf("bookapi, first answer after the start: %s\n", startup(b, db).Round(time.Millisecond))
}

// launchFastAPI runs the same API as Python's developers write it, from Debian's packages,
// which .ci/setup unpacks for the tests.
func launchFastAPI(b *testing.B, db *dbServer) (contender, bool) {
	const layer = "../../.tools/layers/python-1.tar.gz"
	if _, err := os.Stat(layer); err != nil {
		fmt.Println("fastapi is left out: " + layer + " is not there; .ci/setup makes it")
		return contender{}, false
	}
	root := b.TempDir()
	if out, err := exec.Command("tar", "--extract", "--file="+layer, "--directory="+root).CombinedOutput(); err != nil {
		b.Fatalf("unpack Python: %v\n%s", err, out)
	}
	libraries, err := filepath.Glob(root + "/usr/lib/*-linux-gnu")
	if err != nil {
		b.Fatal(err)
	}
	database := url.URL{Scheme: "postgresql", User: url.UserPassword("book", password), Host: "127.0.0.1:" + strconv.Itoa(db.port), Path: "/" + db.name, RawQuery: "sslmode=disable"}
	p := launchCommand(b, exec.Command(root+"/usr/bin/python3", "-m", "uvicorn", "--app-dir", "testdata", "--no-access-log", "--log-level", "error", "fastapi_books:app"), nil,
		func(port string) []string {
			return []string{
				"UVICORN_PORT=" + port, "DATABASE_URL=" + database.String(), "PYTHONDONTWRITEBYTECODE=1",
				"PYTHONHOME=" + root + "/usr", "LD_LIBRARY_PATH=" + strings.Join(libraries, ":"),
			}
		})
	awaitOK(b, p.url+"/healthz", new(syncBuffer))
	return contender{"fastapi", p.url, p.Process.Pid, "}"}, true
}

func fill(b *testing.B, db *dbServer, rows int) {
	db.exec(b, `INSERT INTO books (name, author) SELECT 'book ' || i, 'author ' || i % 1000 FROM generate_series(1, $1) i`, rows)
}

// lookups and inserts make requests.
func lookups(rows int) func([]byte, *rand.Rand) []byte {
	return func(to []byte, n *rand.Rand) []byte {
		return fmt.Appendf(to, "GET /books/book%%20%d HTTP/1.1\r\nHost: a\r\n\r\n", n.IntN(rows)+1)
	}
}

func inserts(rows int) func([]byte, *rand.Rand) []byte {
	return func(to []byte, n *rand.Rand) []byte {
		body := fmt.Sprintf(`{"name":"new %d","author":"author %[1]d"}`, n.IntN(rows)+1)
		return fmt.Appendf(to, "POST /books HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

// startup is the time from the start of the process to its first answer.
func startup(b *testing.B, db *dbServer) time.Duration {
	var took []time.Duration
	for range 11 {
		start := time.Now()
		p := run(b, db)
		for {
			if _, err := send(http.DefaultClient, http.MethodGet, p.url+"/healthz", ""); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		took = append(took, time.Since(start))
		_ = p.Process.Kill() // it runs
		<-p.done
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// result is what some turns of a contender came to.
type result struct {
	persecond float64
	cpu       float64 // seconds per request, of all processes together
	took      []time.Duration
}

// compare prints a line for pgbench and each contender, which take turns. CPU ratio
// compares the processor time that a request takes, all processes together: it is
// what the ratio to pgbench would be with the machine to ourselves, while other
// work on it skews that.
func compare(b *testing.B, pgbench string, db *dbServer, all []contender, rows int, what, statement string, request func([]byte, *rand.Rand) []byte) {
	var theirs result
	ours := make([]result, len(all))
	for _, c := range all {
		if warm := time.Duration(warmTurns(rows)) * turn; warm > 0 {
			load(b, c.url, clients, warm, request, c.end)
		}
	}
	for range rounds {
		before := cpu(b, db.PID())
		bench := runPgbench(b, pgbench, db, rows, statement)
		theirs.persecond += bench.persecond / rounds
		theirs.cpu += (cpu(b, db.PID()) - before + bench.cpu) / bench.transactions / rounds
		for i, c := range all {
			before = cpu(b, db.PID(), c.pid, os.Getpid())
			count, took := load(b, c.url, clients, turn, request, c.end)
			ours[i].persecond += float64(count) / turn.Seconds() / rounds
			ours[i].cpu += (cpu(b, db.PID(), c.pid, os.Getpid()) - before) / float64(count) / rounds
			ours[i].took = append(ours[i].took, took...)
		}
	}
	fmt.Printf("%9d  %-6s  %-9s  %10.0f\n", rows, what, "pgbench", theirs.persecond)
	for i, c := range all {
		r := ours[i]
		slices.Sort(r.took)
		fmt.Printf("%9d  %-6s  %-9s  %10.0f  %10.2f  %7.2f  %9.2f  %8s  %8s\n", rows, what, c.name, r.persecond,
			r.persecond/theirs.persecond, ours[0].persecond/r.persecond, theirs.cpu/r.cpu,
			r.took[len(r.took)/2].Round(10*time.Microsecond), r.took[len(r.took)*99/100].Round(10*time.Microsecond))
	}
	pipeline := "\\startpipeline\n" + strings.Repeat("\\set id random(1, :rows)\n"+statement+"\n", 16) + "\\endpipeline\n"
	fmt.Printf("%9d  %-6s  pgbench with 16 statements in a pipeline: %.0f\n", rows, what, 16*runPgbench(b, pgbench, db, rows, pipeline).persecond)
}

// cpu is the processor time, in seconds, of processes, their children, and the
// children that have ended.
func cpu(b *testing.B, pids ...int) (seconds float64) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		b.Skip("needs Linux's /proc")
	}
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// Fields from the third on; the second is a name in parentheses.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		pid, ticks := 0, [4]float64{}
		parent, err := strconv.Atoi(fields[1])
		if err == nil {
			pid, err = strconv.Atoi(filepath.Base(filepath.Dir(file)))
		}
		for i := range ticks { // utime, stime, and those of ended children
			if err == nil {
				ticks[i], err = strconv.ParseFloat(fields[11+i], 64)
			}
		}
		switch {
		case err != nil:
			b.Fatal(err)
		case pid == os.Getpid() && slices.Contains(pids, pid): // its ended children are no part of it
			seconds += (ticks[0] + ticks[1]) / 100
		case slices.Contains(pids, pid):
			seconds += (ticks[0] + ticks[1] + ticks[2] + ticks[3]) / 100
		case slices.Contains(pids, parent) && parent != os.Getpid():
			seconds += (ticks[0] + ticks[1]) / 100
		}
	}
	return seconds
}

// pages prints how long the first and a late page of the list take, and a lookup,
// of one client alone.
func pages(b *testing.B, url string, rows int) {
	lookup := median(b, func() string { return fmt.Sprintf("%s/books/book%%20%d", url, rand.IntN(rows)+1) })
	fmt.Printf("%9d  one lookup alone: %s\n", rows, lookup.Round(time.Microsecond))
	page := func(address string) time.Duration {
		return median(b, func() string { return address }).Round(time.Microsecond)
	}
	for _, query := range []string{"limit=50", "limit=50&q=book"} {
		first := page(url + "/books?" + query)
		// The cursor of a page near the end: of 50 books, or 10,000 pages on.
		at := min(rows-60, 500_000)
		cursor := cursorAt(b, url, query, at)
		fmt.Printf("%9d  list %-18s  page 1: %s, page %d: %s\n", rows, query, first, at/50+1, page(url+"/books?"+query+"&cursor="+cursor))
	}
}

// median is how long an answer takes in the middle of many, one after the other.
func median(b *testing.B, url func() string) time.Duration {
	var took []time.Duration
	for range 1001 {
		s := service{url: url()}
		start := time.Now()
		s.send(b, "GET", "", "").want(b, 200)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

func findPgbench(b *testing.B) string {
	if path, err := exec.LookPath("pgbench"); err == nil {
		return path
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench")
	if err != nil || len(found) == 0 {
		b.Skip("pgbench is not installed: apt-get install postgresql-contrib")
	}
	return found[len(found)-1]
}

// warmTurns is how many turns go by before one is measured. A process of
// PostgreSQL maps each page of the shared memory when it first touches it, and
// pgbench's 16 are new ones each time: with a large table that is most of what
// they do for the first ten seconds.
func warmTurns(rows int) int { return rows / 200_000 }

var (
	progress     = regexp.MustCompile(`(?m)^progress: [0-9.]+ s, ([0-9.]+) tps`)
	transactions = regexp.MustCompile(`number of transactions actually processed: ([0-9]+)`)
)

// pgbenchRun is the transactions per second of the turn that counts, and of all of
// the run how many there were and pgbench's own processor time in seconds.
type pgbenchRun struct{ persecond, transactions, cpu float64 }

func runPgbench(b *testing.B, pgbench string, db *dbServer, rows int, script string) pgbenchRun {
	file := filepath.Join(b.TempDir(), "script.sql")
	if err := os.WriteFile(file, []byte("\\set id random(1, :rows)\n"+script+"\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(pgbench, "-n", "-M", "prepared", "-c", strconv.Itoa(clients), "-j", "2",
		// A second more, since the last line of progress may not come.
		"-T", strconv.Itoa((1+warmTurns(rows))*int(turn.Seconds())+1), "-P", strconv.Itoa(int(turn.Seconds())), "-D", "rows="+strconv.Itoa(rows), "-f", file,
		"-h", "127.0.0.1", "-p", strconv.Itoa(db.port), "-U", "book", "books")
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password, "PGSSLMODE=disable",
		"PGOPTIONS=-c enable_seqscan=off -c plan_cache_mode=force_generic_plan")
	var out []byte
	err := asBatch(func() (err error) {
		out, err = cmd.CombinedOutput()
		return err
	})
	turns, all := progress.FindAllSubmatch(out, -1), transactions.FindSubmatch(out)
	if err != nil || len(turns) <= warmTurns(rows) || all == nil {
		b.Fatalf("pgbench: %v\n%s", err, out)
	}
	run := pgbenchRun{cpu: (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()}
	run.persecond, err = strconv.ParseFloat(string(turns[warmTurns(rows)][1]), 64)
	if err == nil {
		run.transactions, err = strconv.ParseFloat(string(all[1]), 64)
	}
	if err != nil {
		b.Fatal(err)
	}
	return run
}

// load sends requests over n connections for a while, and returns how many were
// answered with success and to their end, and how long each took. It is built as
// pgbench is, two threads that poll their connections, so that both leave the
// same of the machine to the server.
func load(b *testing.B, url string, n int, d time.Duration, request func([]byte, *rand.Rand) []byte, answerEnd string) (int, []time.Duration) {
	// A thread in a raw system call keeps its place in the scheduler.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + 2))
	address, err := netip.ParseAddrPort(strings.TrimPrefix(url, "http://"))
	if err != nil {
		b.Fatal(err)
	}
	var all [2][]time.Duration
	var wait sync.WaitGroup
	for thread := range all {
		wait.Go(func() {
			if err := asBatch(func() (err error) {
				all[thread], err = poll(address, n/len(all), time.Now().Add(d), request, answerEnd)
				return err
			}); err != nil {
				b.Error(err)
			}
		})
	}
	wait.Wait()
	took := slices.Concat(all[:]...)
	return len(took), took
}

// asBatch has f done, and what it starts, by the scheduling policy for batch work
// (sched(7)). Both clients run so. Else an answer stops the process that sends it,
// on the same processor, for the client to read it, while the other processor
// idles; a client on another machine does no such thing.
func asBatch(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: so the thread ends here, and its policy with it
		attr, err := unix.SchedGetAttr(0, 0)
		if err == nil {
			attr.Policy = unix.SCHED_BATCH
			err = unix.SchedSetAttr(0, attr, 0)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// poll is one thread of load.
func poll(address netip.AddrPort, n int, end time.Time, request func([]byte, *rand.Rand) []byte, answerEnd string) (took []time.Duration, err error) {
	random, suffix := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), []byte(answerEnd)
	queue, err := syscall.EpollCreate1(0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, syscall.Close(queue)) }()
	started, begun := map[int32]time.Time{}, map[int32][]byte{}
	for range n {
		fd, err := dialRaw(address)
		if err != nil {
			return nil, err
		}
		defer func() { _ = syscall.Close(fd) }() // all was read
		if err := syscall.EpollCtl(queue, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}); err != nil {
			return nil, err
		}
		started[int32(fd)] = time.Now()
		if _, err := syscall.Write(fd, request(nil, random)); err != nil {
			return nil, err
		}
	}
	// Raw system calls: Go's own also notify its scheduler, at twice the cost.
	call := func(number uintptr, fd int32, at unsafe.Pointer, size int, timeout uintptr) (int, error) {
		for {
			done, _, errno := syscall.RawSyscall6(number, uintptr(fd), uintptr(at), uintptr(size), timeout, 0, 0)
			if errno == 0 {
				return int(done), nil
			}
			if errno != syscall.EINTR {
				return 0, errno
			}
			runtime.Gosched() // the scheduler wants this thread to stop
		}
	}
	events, answer, next := make([]syscall.EpollEvent, n), make([]byte, 64<<10), []byte(nil)
	for now := time.Now(); now.Before(end); {
		ready, err := call(syscall.SYS_EPOLL_WAIT, int32(queue), unsafe.Pointer(&events[0]), n, 1000)
		if err != nil {
			return nil, err
		}
		for _, event := range events[:ready] {
			size, err := call(syscall.SYS_READ, event.Fd, unsafe.Pointer(&answer[0]), len(answer), 0)
			if err != nil {
				return nil, err
			}
			text := answer[:size]
			if first := begun[event.Fd]; first != nil {
				text = append(first, text...)
				delete(begun, event.Fd)
			}
			if !bytes.HasPrefix(text, []byte("HTTP/1.1 20")) || size == 0 {
				return nil, fmt.Errorf("answer: %q", text)
			}
			if !bytes.HasSuffix(text, suffix) { // some servers send the header by itself
				begun[event.Fd] = bytes.Clone(text)
				continue
			}
			now = time.Now()
			took = append(took, now.Sub(started[event.Fd]))
			started[event.Fd] = now
			next = request(next[:0], random)
			if _, err := call(syscall.SYS_WRITE, event.Fd, unsafe.Pointer(&next[0]), len(next), 0); err != nil {
				return nil, err
			}
		}
	}
	return took, nil
}

// dialRaw connects a socket that is not Go's own: its runtime polls those, and
// would be woken each time, too.
func dialRaw(address netip.AddrPort) (fd int, err error) {
	fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	err = syscall.Connect(fd, &syscall.SockaddrInet4{Addr: address.Addr().As4(), Port: int(address.Port())})
	if err == nil {
		err = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	}
	if err != nil {
		return 0, errors.Join(err, syscall.Close(fd))
	}
	return fd, nil
}

// cursorAt is the cursor after so many rows.
func cursorAt(b *testing.B, url, query string, rows int) string {
	type page struct{ Next string }
	s := service{url: url}
	var p page
	if !strings.Contains(query, "q=") {
		return encodeCursor(rows, "")
	}
	// In the order of names "book 5…" is near the middle.
	s.send(b, "GET", "/books?limit=1&q=book+5", "").want(b, 200).decode(b, &p)
	return p.Next
}

// encodeCursor makes the cursor of a position, to get to page 10,000 without
// reading the pages before it.
func encodeCursor(id int, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(id) + " " + key))
}
