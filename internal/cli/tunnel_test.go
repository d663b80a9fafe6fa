package cli_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newMoon is a stack in a region whose databases bookctl does not trust by itself, as on
// AWS, and the file of their authorities. orders is what happens to tunnels.
func newMoon(t *testing.T) (s *shell, trust, orders string) {
	t.Helper()
	home := newShell(t)
	home.must("local", "start", "--region", "eu-moon-1")
	home.up("--exec")
	var info struct{ TrustBundle string }
	decode(t, home.must("local", "status", "--output", "json"), &info)
	return home.onAWS(t), info.TrustBundle, filepath.Join(home.dir, "tunnel")
}

// write writes a file of a test.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDatabasesOfAnUnknownAuthorityAreTrustedByAFile goes through a tunnel to a database
// whose authority is in no bundle, with psql, pg_dump and pg_restore.
func TestDatabasesOfAnUnknownAuthorityAreTrustedByAFile(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, trust, _ := newMoon(t)
	s.env = append(s.env, "SSM_PLUGIN_LOCAL_HOST=127.0.0.2") // is not where bookctl looks
	file := filepath.Join(s.dir, "books.dump")
	s.run("db", "psql", "--", "-tAc", "select 1").says(t, 64, "does not trust the databases of region eu-moon-1", "next: give the region's authorities with --db-ca FILE", "global-bundle.pem has them")
	s.run("db", "dump", file, "--db-ca", file).says(t, 64, "--db-ca "+file, "no such file")
	if out := s.must("db", "psql", "--db-ca", trust, "--", "-tAc", "select 1"); out != "1\n" {
		t.Errorf("psql says %q", out)
	}
	s.run("db", "dump", file, "--db-ca", trust).says(t, 0, "Dumped the database")
	s.run("db", "load", file, "--db-ca", trust).says(t, 1, "and the database is unchanged", "--clean' drops that first")

	// The file of the app names it for all commands.
	s.at = t.TempDir()
	text, err := os.ReadFile(trust)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.at, "ca.pem"), string(text))
	write(t, filepath.Join(s.at, "bookctl.yaml"), "stack: book\ndb-ca: ca.pem\n")
	s.must("db", "load", file, "--clean", "--yes")
}

// TestATunnelThatEndsIsNotBlamedOnTheDatabase ends tunnels before they open, while they are
// kept open, and under PostgreSQL's programs.
func TestATunnelThatEndsIsNotBlamedOnTheDatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, trust, orders := newMoon(t)
	const idle = "the tunnel to the database ended: The session was terminated: it was idle for 20 minutes"
	write(t, orders, "denied")
	s.run("db", "psql", "--db-ca", trust).says(t, 1, "the tunnel to the database did not open: session-manager-plugin gives no reason", "next: 'bookctl status' shows the state of the tasks")
	s.run("db", "tunnel").says(t, 1, "the tunnel to the database did not open")
	write(t, orders, "unreachable")
	s.run("db", "psql", "--db-ca", trust).says(t, 1, `the task can't reach the database: session-manager-plugin says "Connection to destination port failed"`, "next: 'bookctl status' shows the state of the database")
	write(t, orders, "end in use")
	s.run("db", "psql", "--db-ca", trust).says(t, 1, idle, "next: 'bookctl status' shows the state of the database")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	write(t, orders, "")
	s.run("db", "tunnel", "--local-port", port).says(t, 1, "can't listen on port "+port+" of this machine: ", "address already in use", "next: choose another one with --local-port")

	// It is announced when it takes connections, and its end is an error unless we ended it.
	for _, by := range []os.Signal{nil, os.Interrupt, syscall.SIGHUP, syscall.SIGQUIT, os.Kill} {
		if by == os.Kill && runtime.GOOS != "linux" {
			continue
		}
		interrupted := by != nil
		write(t, orders, "")
		var errs bytes.Buffer
		cmd := s.command("db", "tunnel", "--output", "json")
		if by == os.Interrupt {
			kept := exec.Command("nohup", cmd.Args...)
			kept.Env, kept.Dir, kept.WaitDelay = cmd.Env, cmd.Dir, cmd.WaitDelay
			cmd = kept
		}
		read := done[*os.File](t)(os.CreateTemp(t.TempDir(), ""))
		cmd.Stdout, cmd.Stderr = read, &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var open struct {
			Host string
			Port int
		}
		until(t, "the tunnel is announced", func() bool {
			text, err := os.ReadFile(read.Name())
			if err == nil && bytes.HasSuffix(text, []byte("\n")) {
				decode(t, string(text), &open)
			}
			return open.Port != 0
		})
		leads := func() error {
			conn, err := net.Dial("tcp", net.JoinHostPort(open.Host, strconv.Itoa(open.Port)))
			if err != nil {
				return err
			}
			return conn.Close()
		}
		if err := leads(); err != nil {
			t.Errorf("the tunnel is announced and takes no connection: %v", err)
		}
		switch by {
		case os.Interrupt: // the end of the terminal is no end behind nohup
			if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if err := leads(); err != nil {
				t.Errorf("nohup does not keep a tunnel: %v", err)
			}
		case os.Kill: // of which bookctl sees nothing
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // it was killed
			until(t, "the tunnel of a bookctl that was killed ends", func() bool { return leads() != nil })
			continue
		}
		want, lines := 1, 2 // the error is on stdout, as all of JSON
		if interrupted {
			want, lines = 0, 1
			if err := cmd.Process.Signal(by); err != nil {
				t.Fatal(err)
			}
		} else {
			write(t, orders, "end")
		}
		_ = cmd.Wait() // its code says it
		text, err := os.ReadFile(read.Name())
		if err != nil {
			t.Fatal(err)
		}
		said := errs.String() + string(text)
		if code := cmd.ProcessState.ExitCode(); code != want || strings.Contains(said, idle) == interrupted || strings.Contains(said, "Terminate signal received") != interrupted ||
			!strings.Contains(said, "Waiting for connections") || strings.Contains(said, "'bookctl db tunnel --local-port") == interrupted || bytes.Count(text, []byte("\n")) != lines {
			t.Errorf("ended by %v, the tunnel ends with %d:\n%s", by, code, said)
		}
	}

	// A query, and a load that waits for a lock.
	file := filepath.Join(s.dir, "books.dump")
	write(t, orders, "")
	s.must("db", "dump", file, "--db-ca", trust)
	known := s.secret(t)
	is := func(condition string) bool {
		return s.psql(t, known, "select count(*) from pg_stat_activity where "+condition) != "0"
	}
	ending := func(condition string, code int, args []string, says ...string) {
		t.Helper()
		write(t, orders, "")
		ended := make(chan result, 1)
		go func() { ended <- s.run(args...) }()
		until(t, condition, func() bool { return is(condition) })
		write(t, orders, "end")
		select {
		case r := <-ended:
			r.says(t, code, says...)
		case <-time.After(time.Minute):
			t.Fatalf("%v hangs", args)
		}
	}
	ending("wait_event = 'PgSleep'", 1, []string{"db", "psql", "--db-ca", trust, "--", "-c", "select pg_sleep(600)"}, idle, "next: 'bookctl db psql' opens another one")
	lock := s.command("db", "psql", "--local", "--", "-c", "begin; lock table books; select pg_sleep(600) as locked")
	if err := lock.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the table is locked", func() bool { return is("wait_event = 'PgSleep' and query like '%as locked'") })
	ending("wait_event_type = 'Lock' and application_name = 'pg_restore'", 1, []string{"db", "load", file, "--db-ca", trust, "--clean", "--yes"}, "whether "+file+" was loaded is not known: "+idle, "either all of the file or what it had before", "repeat 'bookctl db load "+file+" --clean'")
	ending("wait_event_type = 'Lock' and application_name = 'pg_dump'", 1, []string{"db", "dump", file + "2", "--db-ca", trust}, idle, "next: 'bookctl db dump "+file+"2' tries again")
	if err := lock.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = lock.Wait() // it was killed
	if left, err := filepath.Glob(file + "2*"); err != nil || len(left) > 0 {
		t.Errorf("a dump that was cut leaves %v, %v", left, err)
	}
}

// TestTheBundleOfAPartition asks where the authorities of databases are, which each
// partition says at another place.
func TestTheBundleOfAPartition(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	for region, bundle := range map[string]string{
		"us-gov-west-1": "https://truststore.pki.us-gov-west-1.rds.amazonaws.com/global/global-bundle.pem",
		"cn-north-1":    "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/global/global-bundle.pem",
	} {
		s := newShell(t)
		s.must("local", "start", "--region", region)
		s.up(imageless()...)
		var shown struct{ Authorities string }
		decode(t, s.onAWS(t).must("db", "--output", "json"), &shown)
		if !strings.HasSuffix(shown.Authorities, bundle) {
			t.Errorf("%s: %s", region, shown.Authorities)
		}
	}
}

// TestASessionIsSignedWithTheCredentialsOfTheRun signs in by 'aws login', which bookctl knows, and
// the SDK in the session-manager-plugin does not.
func TestASessionIsSignedWithTheCredentialsOfTheRun(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, trust, _ := newMoon(t)
	const session = "arn:aws:iam::000000000000:user/ann"
	files := filepath.Join(s.dir, ".aws")
	cache := filepath.Join(files, "login", "cache")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(files, "config"), "[profile ann]\nlogin_session = "+session+"\n")
	token := fmt.Sprintf(`{"accessToken":{"accessKeyId":"local","secretAccessKey":"local","sessionToken":"local","accountId":"000000000000","expiresAt":%q},"clientId":"c","refreshToken":"r","dpopKey":"k"}`,
		time.Now().Add(15*time.Minute).UTC().Format(time.RFC3339))
	write(t, filepath.Join(cache, fmt.Sprintf("%x.json", sha256.Sum256([]byte(session)))), token)
	s.env = slices.DeleteFunc(s.env, func(v string) bool {
		return strings.HasPrefix(v, "AWS_ACCESS_KEY_ID=") || strings.HasPrefix(v, "AWS_SECRET_ACCESS_KEY=")
	})
	s.env = append(s.env, "AWS_PROFILE=ann")
	r := s.run("db", "psql", "--db-ca", trust, "--", "-tAc", "select 1")
	if r.code != 0 || r.out != "1\n" || strings.Contains(r.err, "session-manager-plugin") {
		t.Errorf("psql exits with %d\n%s%s", r.code, r.out, r.err)
	}
	s.env = append(s.env, "PLUGIN_VERSION=1.2.707.0")
	s.run("db", "psql", "--db-ca", trust, "--", "-tAc", "select 1").says(t, 0, "session-manager-plugin is version 1.2.707.0: AWS supports 1.2.764 and newer ones")
}
