package postgres_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bookctl/bookctl/internal/localcloud/postgres"
)

// older is where the programs of another major version than the machine's are.
func older(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../../.tools/postgres/14/bin")
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		t.Skipf("no second major version of PostgreSQL here: %v", err)
	}
	return dir
}

// olderDatabase is a running server of the older version with a row in it.
func olderDatabase(t *testing.T) (*cloud, database, string) {
	t.Helper()
	c := newCloud(t, older(t))
	if len(c.Versions()) < 2 || !c.Upgrades("14", c.Versions()[0]) || c.Upgrades(c.Versions()[0], "14") {
		t.Fatalf("of the versions %v, the second can't be upgraded to the first", c.Versions())
	}
	server, err := c.Server("books")
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Create(t.Context(), "14"); err != nil {
		t.Fatal(err)
	}
	port, err := server.Start(t.Context(), c.settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.EnsureMaster(t.Context(), postgres.Master{User: "book", Password: verifier(t, password), Database: "books"}); err != nil {
		t.Fatal(err)
	}
	exec(t, c.login(t, port, password), "CREATE TABLE book (name text)", "INSERT INTO book VALUES ('Dune')")
	return c, database{server, port}, c.Versions()[0]
}

// is checks that the database, started, is of that version and has its row.
func (c *cloud) is(t *testing.T, db database, version string) database {
	t.Helper()
	port, err := db.Start(t.Context(), c.settings)
	if err != nil {
		t.Fatal(err)
	}
	var have, name string
	row := c.login(t, port, password).QueryRow(t.Context(), "SELECT current_setting('server_version'), name FROM book")
	if err := row.Scan(&have, &name); err != nil || !strings.HasPrefix(have, version) || name != "Dune" {
		t.Fatalf("PostgreSQL %s with %q, %v; want %s with Dune", have, name, err, version)
	}
	return database{db.Server, port}
}

func TestAServerIsUpgradedWithItsData(t *testing.T) {
	t.Parallel()
	c, db, newest := olderDatabase(t)
	if err := db.Upgrade(t.Context(), newest, c.settings); err == nil {
		t.Error("a server that runs was upgraded")
	}
	// What pg_upgrade can't move is reported, and the old version serves.
	exec(t, c.login(t, db.port, password), "CREATE TABLE calls (what regproc)")
	if err := db.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	var refused *postgres.IncompatibleError
	if err := db.Upgrade(t.Context(), newest, c.settings); !errors.As(err, &refused) || !strings.Contains(refused.Report, "reg* data types") || !strings.Contains(refused.Report, "public.calls.what") {
		t.Fatalf("with a column of regproc: %v", err)
	}
	db = c.is(t, db, "14")
	exec(t, c.login(t, db.port, password), "DROP TABLE calls")

	// A snapshot is of the version that it was taken of.
	if err := db.Snapshot(t.Context(), "before"); err != nil {
		t.Fatal(err)
	}
	if err := db.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Upgrade(t.Context(), newest, c.settings); err != nil {
		t.Fatal(err)
	}
	if err := db.Upgrade(t.Context(), newest, c.settings); err != nil {
		t.Errorf("one that has the version already: %v", err)
	}
	db = c.is(t, db, newest)
	back, err := c.Server("back")
	if err != nil {
		t.Fatal(err)
	}
	if err := back.Restore(t.Context(), "before"); err != nil {
		t.Fatal(err)
	}
	c.is(t, database{back, 0}, "14")
}

// TestAnUpgradeThatIsCutOffLeavesOneVersion ends upgrades with their cloud: while
// pg_upgrade is at work, and between the two renames at its end.
func TestAnUpgradeThatIsCutOffLeavesOneVersion(t *testing.T) {
	t.Parallel()
	c, db, newest := olderDatabase(t)
	if err := db.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(c.Dir(), "instances", "books", "data")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- db.Upgrade(ctx, newest, c.settings) }()
	for {
		if _, err := os.Stat(filepath.Join(data+".next", "pg_upgrade_output.d")); err == nil {
			break
		}
	}
	cancel()
	if err := <-done; err == nil {
		t.Fatal("it was not cut off")
	}
	db = c.is(t, db, "14")
	if err := db.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	// As a cloud leaves them that dies between the renames.
	if err := os.Rename(data, data+".before"); err != nil {
		t.Fatal(err)
	}
	next, err := postgres.Open(t.Context(), postgres.Config{StateDir: c.state, Programs: []string{older(t)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.Close(context.Background()) })
	server, err := next.Server("books")
	if err != nil {
		t.Fatal(err)
	}
	c.is(t, database{server, 0}, "14")
	if err := server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := server.Upgrade(t.Context(), newest, c.settings); err != nil {
		t.Fatal(err)
	}
	c.is(t, database{server, 0}, newest)
	for _, left := range []string{data + ".before", data + ".next", filepath.Join(filepath.Dir(data), "upgrade")} {
		if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", left, err)
		}
	}
}
