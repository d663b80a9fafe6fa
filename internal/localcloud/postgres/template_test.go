package postgres_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bookctl/bookctl/internal/localcloud/postgres"
)

// engineWith is an engine with a home of its own, and a cache.
func engineWith(t *testing.T, cache string) *postgres.Engine {
	t.Helper()
	state := t.TempDir()
	if err := os.Chmod(filepath.Dir(state), 0o711); err != nil {
		t.Fatal(err)
	}
	engine, err := postgres.Open(t.Context(), postgres.Config{StateDir: state, Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return engine
}

// create makes the files of a database, and returns what identifies its cluster.
func create(t *testing.T, e *postgres.Engine, name string) string {
	t.Helper()
	server, err := e.Server(name)
	if err == nil {
		err = server.Create(t.Context(), "")
	}
	if err != nil {
		t.Error(err)
		return ""
	}
	control, err := os.ReadFile(filepath.Join(e.Dir(), "instances", name, "data", "global", "pg_control"))
	if err != nil {
		t.Error(err)
		return ""
	}
	return string(control[:8])
}

// templates are what a cache has, but for its lock.
func templates(t *testing.T, cache string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(cache)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() != "lock" {
			all = append(all, filepath.Join(cache, entry.Name()))
		}
	}
	return all
}

func TestCloudsShareWhatDatabasesBeginWith(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("makes clusters of PostgreSQL")
	}
	cache := filepath.Join(t.TempDir(), "cache")
	// They begin at once. Whichever comes first fills the cache, whole or not at all.
	var begin sync.WaitGroup
	for range 2 {
		e := engineWith(t, cache)
		begin.Go(func() { create(t, e, "books") })
	}
	begin.Wait()
	if all := templates(t, cache); len(all) != 1 || strings.HasSuffix(all[0], ".partial") {
		t.Fatalf("the cache has %q", all)
	}
	one := create(t, engineWith(t, cache), "books")
	if other := create(t, engineWith(t, cache), "books"); other != one {
		t.Error("a database was not begun with what the cache has")
	}
	if info, err := os.Stat(cache); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others may look into the cache: %v, %v", info.Mode(), err)
	}
}

func TestADamagedTemplateIsRebuilt(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("makes clusters of PostgreSQL")
	}
	cache := filepath.Join(t.TempDir(), "cache")
	e := engineWith(t, cache)
	if err := e.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := create(t, e, "whole")
	all := templates(t, cache)
	if len(all) != 1 {
		t.Fatalf("the cache has %q", all)
	}
	for name, damage := range map[string]func() error{
		"cut":     func() error { return os.Truncate(filepath.Join(all[0], "data", "global", "pg_control"), 100) },
		"less":    func() error { return os.Remove(filepath.Join(all[0], "data", "pg_notify")) },
		"unknown": func() error { return os.Remove(filepath.Join(all[0], "digest")) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		// One that a process left half written is in nobody's way.
		if err := os.MkdirAll(filepath.Join(all[0]+".partial", "data", "base"), 0o700); err != nil {
			t.Fatal(err)
		}
		after := create(t, e, name)
		if after == before {
			t.Errorf("%s: a damaged template was used", name)
		}
		if again := create(t, e, name+"-again"); again != after {
			t.Errorf("%s: the new template was not used", name)
		}
		if left := templates(t, cache); len(left) != 1 || left[0] != all[0] {
			t.Errorf("%s: the cache has %q", name, left)
		}
		before = after
	}
}

func TestWithoutACacheDatabasesAreMadeToo(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("makes clusters of PostgreSQL")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cache := range []string{"", filepath.Join(file, "cache")} { // none, and one that can't be
		e := engineWith(t, cache)
		if create(t, e, "books") == create(t, e, "more") {
			t.Error("two databases are one cluster")
		}
		if _, err := os.Stat(filepath.Join(e.Dir(), "template")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a template is in the home: %v", err)
		}
	}
}
