package cli_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDataGoesOutAndInByPostgreSQLsPrograms dumps a database, loads it again and asks it
// with psql; the password gets to none of the three.
func TestDataGoesOutAndInByPostgreSQLsPrograms(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	file := filepath.Join(s.dir, "books.dump")
	s.must("local", "start")
	s.run("db", "dump", file, "--local").says(t, 1, "there is no stack book", "'bookctl up --local' makes it")
	url := s.up()
	book := url + "/books/Dune"
	if code, body := call(t, http.MethodPost, url+"/books", `{"name":"Dune","author":"Frank Herbert"}`); code != http.StatusCreated {
		t.Fatalf("POST: %d %s", code, body)
	}
	known := s.secret(t)

	if out := s.must("db", "psql", "--local", "--", "-tAc", "select author from books where name = 'Dune'"); out != "Frank Herbert\n" {
		t.Errorf("psql says %q", out)
	}
	if out := s.must("db", "psql", "--local", "--", "-tAc", "select usename, ssl from pg_stat_ssl join pg_stat_activity using (pid) where pid = pg_backend_pid()"); out != known.Username+"|t\n" {
		t.Errorf("psql is signed in as %q", out)
	}
	s.run("db", "psql", "--local", "--", "-c", "select nothing").says(t, 1, `column "nothing" does not exist`)
	seen := s.must("db", "psql", "--local", "--", "-c", `\! env; tr '\0' ' ' < /proc/$PPID/cmdline; ls -l $PGHOST; find $PGHOST -type f`)
	if strings.Contains(seen, known.Password) || strings.Contains(seen, "PGPASS") || !strings.Contains(seen, "PGHOST=") || !strings.Contains(seen, "psql -c") {
		t.Errorf("psql can be seen with\n%s", strings.ReplaceAll(seen, known.Password, "the password"))
	}

	// Ctrl-C ends the query, and not the way to the database.
	var said bytes.Buffer
	cmd := s.command("db", "psql", "--local", "--", "-c", "select pg_sleep(300)")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "psql asks", func() bool {
		return s.psql(t, known, "select count(*) from pg_stat_activity where query like 'select pg_sleep%'") == "1"
	})
	for pid, p := range processes(t) {
		if p.parent == cmd.Process.Pid {
			if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
				t.Error(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(said.String(), "canceling statement due to user request") {
		t.Errorf("a query that was interrupted: %v\n%s", err, &said)
	}

	s.run("db", "dump", file, "--local").says(t, 0, "books.dump has the database", "'bookctl db load ")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the dump is %v, %v", info, err)
	}
	s.run("db", "dump", file, "--local").says(t, 64, "is there already")
	s.run("db", "load", file, "--local").says(t, 1, `relation "books" already exists`, "the database is as it was", "--clean' drops that first")
	if code, body := call(t, http.MethodGet, book, ""); code != http.StatusOK {
		t.Errorf("after a load that failed: %d %s", code, body)
	}
	s.must("db", "psql", "--local", "--", "-c", "delete from books")
	s.run("db", "load", file, "--local", "--clean").says(t, 64, "no terminal to ask on", "--yes")
	if out := s.must("db", "load", file, "--local", "--clean", "--yes", "--output", "json"); !strings.Contains(out, `"command":"db load"`) {
		t.Errorf("load says %s", out)
	}
	if code, body := call(t, http.MethodGet, book, ""); code != http.StatusOK || !strings.Contains(body, "Frank Herbert") {
		t.Errorf("after the load: %d %s", code, body)
	}
	s.run("db", "load", "db_program_test.go", "--local").says(t, 64, "is no dump of pg_dump's custom format")

	// An old pg_dump is found out before the file is begun.
	old := t.TempDir()
	if err := os.WriteFile(filepath.Join(old, "pg_dump"), []byte("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i, v := range s.env {
		if path, is := strings.CutPrefix(v, "PATH="); is {
			s.env[i] = "PATH=" + old + string(filepath.ListSeparator) + path
		}
	}
	s.run("db", "dump", file+"2", "--local").says(t, 1, "pg_dump of PostgreSQL 9 can't read a database of PostgreSQL 15")
	if left, err := filepath.Glob(file + "2*"); err != nil || len(left) > 0 {
		t.Errorf("a dump that failed leaves %v, %v", left, err)
	}
}
