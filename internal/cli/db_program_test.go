package cli_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
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
	s.env = append(s.env, "TMPDIR="+s.dir)
	file := filepath.Join(s.dir, "books.dump")
	s.must("local", "start")
	s.run("db", "dump", file, "--local").says(t, 1, "there is no stack book", "'bookctl up --local' creates it")
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

	// Ctrl-C ends the query, and neither the way to the database nor the transaction.
	m := openTerminal(t, s.command("db", "psql", "--local"), 100, 30)
	m.press("begin;\rcreate table kept (id int);\r\\set ON_ERROR_ROLLBACK on\r")
	for range 3 {
		m.press("select pg_sleep(300);\r")
		until(t, "psql asks", func() bool {
			return s.psql(t, known, "select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'") == "1"
		})
		m.press("\x03")
		until(t, "the query is canceled", func() bool {
			return s.psql(t, known, "select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'") == "0"
		})
	}
	m.press("commit;\r\\q\r")
	if code := m.wait(); code != 0 || strings.Count(m.text(), "canceling statement due to user request") != 3 {
		t.Errorf("psql whose queries were interrupted ends with %d:\n%s", code, m.text())
	}
	if n := s.psql(t, known, "select count(*) from pg_tables where tablename = 'kept'"); n != "1" {
		t.Errorf("the transaction was lost:\n%s", m.text())
	}
	if left, err := filepath.Glob(filepath.Join(s.dir, "bookctl-db-*")); err != nil || len(left) > 0 {
		t.Errorf("psql leaves %v, %v", left, err)
	}
	s.must("db", "psql", "--local", "--", "-c", "drop table kept")

	s.run("db", "dump", file, "--local").says(t, 0, "Dumped the database to", "'bookctl db load ")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the dump is %v, %v", info, err)
	}
	s.run("db", "dump", file, "--local").says(t, 64, "exists already")
	s.run("db", "load", file, "--local").says(t, 1, `relation "books" already exists`, "the database is unchanged", "--clean' drops that first")
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
	// On RDS an extension belongs to rdsadmin, here to another user: its comment in a dump
	// can't be set, and it can't be dropped.
	for _, statement := range []string{"create role another login password 'x'", "grant create on database " + known.DBName + " to another", "grant create on schema public to another"} {
		s.psql(t, known, statement)
	}
	another := known
	another.Username, another.Password = "another", "x"
	s.psql(t, another, "create extension pg_trgm")
	s.psql(t, known, "create index by_name on books using gin (name gin_trgm_ops)")
	extended := file + "3"
	s.must("db", "dump", extended, "--local")
	s.must("db", "load", extended, "--local", "--clean", "--yes")
	if n := s.psql(t, known, "select count(*) from pg_indexes where indexname = 'by_name'"); n != "1" {
		t.Errorf("after the load of a dump with an extension there are %s indexes of it", n)
	}
	s.psql(t, known, "drop table books, idempotency_keys, schema_migrations")
	s.must("db", "load", extended, "--local")
	if code, body := call(t, http.MethodGet, book, ""); code != http.StatusOK {
		t.Errorf("after a load over an extension: %d %s", code, body)
	}
	// In a schema of its own, which can't be dropped if the extension can't.
	s.psql(t, known, "drop index by_name")
	s.psql(t, another, "drop extension pg_trgm")
	for _, owner := range []secret{another, known} {
		s.psql(t, known, "create schema ext")
		s.psql(t, known, "grant create on schema ext to another")
		s.psql(t, owner, "create extension pg_trgm schema ext")
		s.psql(t, known, "create index by_name on books using gin (name ext.gin_trgm_ops)")
		apart := extended + owner.Username
		s.must("db", "dump", apart, "--local")
		s.must("db", "load", apart, "--local", "--clean", "--yes")
		if found := s.psql(t, known, "select rolname from pg_extension join pg_roles r on r.oid = extowner, pg_indexes where extname = 'pg_trgm' and indexname = 'by_name'"); found != owner.Username {
			t.Errorf("after the load of a dump with an extension of %s in its own schema, it is of %q", owner.Username, found)
		}
		s.psql(t, known, "drop index by_name")
		s.psql(t, owner, "drop extension pg_trgm")
		s.psql(t, known, "drop schema ext")
	}
	if left, err := filepath.Glob(filepath.Join(s.dir, "bookctl-list-*")); err != nil || len(left) > 0 {
		t.Errorf("load leaves %v, %v", left, err)
	}
	s.run("db", "load", "db_program_test.go", "--local").says(t, 64, "is not a dump in pg_dump's custom format")

	// A pg_dump that is too old, and a pg_restore that is too new, are found out before anything
	// is begun.
	old := t.TempDir()
	if err := os.WriteFile(filepath.Join(old, "pg_dump"), []byte("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i, v := range s.env {
		if path, is := strings.CutPrefix(v, "PATH="); is {
			s.env[i] = "PATH=" + old + string(filepath.ListSeparator) + path
		}
	}
	if err := os.WriteFile(filepath.Join(old, "pg_restore"), []byte("#!/bin/sh\necho 'pg_restore (PostgreSQL) 17.6'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.run("db", "load", file, "--local").says(t, 1, "pg_restore of PostgreSQL 17 can't write into a database of PostgreSQL 15", "install the PostgreSQL client of version 16")
	s.run("db", "dump", file+"2", "--local").says(t, 1, "pg_dump of PostgreSQL 9 can't read a database of PostgreSQL 15")
	if left, err := filepath.Glob(file + "2*"); err != nil || len(left) > 0 {
		t.Errorf("a dump that failed leaves %v, %v", left, err)
	}
}
