package cli_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestAServiceHasItsEnvironmentAndItsDatabase gives somebody's own service variables,
// secrets and a database, and changes them.
func TestAServiceHasItsEnvironmentAndItsDatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	image := anyImage(t, func(f *v1.ConfigFile) {
		f.Config.ExposedPorts = map[string]struct{}{"3000": {}}
		f.Config.Labels["io.github.bookctl.database-authority"] = "/etc/rds.pem"
	})
	file := filepath.Join(t.TempDir(), "app.env")
	if err := os.WriteFile(file, []byte("\ufeff# what it reads\nexport MODE=\"two words\"\nLEVEL=file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must("local", "start")
	for _, refused := range [][]string{
		{"64", "PORT is set by bookctl: --container-port chooses it", "--env", "PORT=1"}, {"64", "DATABASE_URL is set by bookctl", "--env", "DATABASE_URL=very-own"},
		{"64", "does not begin with a digit", "--env", "1A=very-own"}, {"64", "next: choose another name", "--env", "BAD NAME=very-own"}, {"64", "NAME=VALUE", "--env", "very-own"}, {"64", "is not the ARN", "--secret", "A=b"},
		{"64", "is not part of a connection", "--db-env", "host=location"}, {"64", "database name", "--db-name", "a-b"}, {"64", "database user", "--db-user", "rdsadmin"},
	} {
		r := s.run(append([]string{"up", "--local", "--image", image, "--health-path", "/up"}, refused[2:]...)...)
		r.says(t, 64, refused[1])
		if strings.Contains(r.err, "very-own") {
			t.Errorf("a value is printed: %s", r.err)
		}
	}

	secret := s.createSecret("team/key", `{"key":"hidden-of-json"}`)
	at := s.up("--image", image, "--health-path", "/up", "--env", "LEVEL=debug", "--env-file", file, "--secret", "API_KEY="+secret+":key",
		"--db-name", "orders", "--db-user", "clerk", "--db-env", "endpoint=endpoint,username=username,pw=password")
	env := func(name string) string {
		t.Helper()
		return get(t, at+"/env?name="+url.QueryEscape(name))
	}
	for name, want := range map[string]string{
		"LEVEL": "debug", "MODE": "two words", "API_KEY": "hidden-of-json", "PGDATABASE": "orders", "PGUSER": "clerk", "DB_NAME": "orders", "username": "clerk",
		"PGSSLMODE": "verify-full", "endpoint": env("PGHOST"), "pw": env("PGPASSWORD"), "DB_PASSWORD": env("PGPASSWORD"),
	} {
		if got := env(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, by := range []string{"url", "libpq"} {
		if got := get(t, at+"/db?by="+by); got != "orders clerk true" {
			t.Errorf("by %s it is connected as %q", by, got)
		}
	}
	s.run("up", "--local").says(t, 0, "0 changed")

	// A change is a release, and a plan shows names and no values.
	r := s.run("plan", "--local", "--env", "LEVEL=very-own", "--unset-env", "MODE", "--unset-env", "NOSUCH")
	if !strings.Contains(r.err, "note: the stack has no variable or secret NOSUCH to unset") || strings.Contains(r.err, "MODE to unset") {
		t.Errorf("plan says of a variable that is not there:\n%s", r.err)
	}
	if r.code != 2 || !strings.Contains(r.out, "environment LEVEL: a value → another value") || !strings.Contains(r.out, "environment MODE: a value → (none)") ||
		strings.Contains(r.out+r.err, "very-own") || strings.Contains(r.out+r.err, "debug") {
		t.Errorf("plan: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	before := s.definition(t).Revision
	s.up("--env", "LEVEL=very-own", "--unset-env", "MODE")
	if code, _ := call(t, http.MethodGet, at+"/env?name=MODE", ""); code != http.StatusNotFound || env("LEVEL") != "very-own" || env("API_KEY") != "hidden-of-json" {
		t.Errorf("MODE answers %d, LEVEL is %q", code, env("LEVEL"))
	}
	if after := s.definition(t).Revision; after != before+1 {
		t.Errorf("revision %d follows %d", after, before)
	}
	s.run("up", "--local").says(t, 0, "0 changed")

	// A release is gone back from, whatever it changed.
	s.up("--cpu", "512", "--memory", "1024", "--db-env", "none")
	s.run("rollback", "--local").says(t, 0, "cpu: 512 → 256", "memory: 1024 → 512", "db-env: (none) → endpoint=endpoint,username=username,pw=password")
	if env("pw") != env("PGPASSWORD") || env("LEVEL") != "very-own" {
		t.Errorf("gone back, pw is %q and LEVEL %q", env("pw"), env("LEVEL"))
	}
	r = s.run("rollback", "--local")
	r.says(t, 0, "environment LEVEL: a value → another value", "environment MODE: (none) → a value")
	if strings.Contains(r.err, "very-own") || strings.Contains(r.err, "debug") || strings.Contains(r.err, "cpu") {
		t.Errorf("what changes is reported as\n%s", r.err)
	}
	if env("LEVEL") != "debug" || env("MODE") != "two words" {
		t.Errorf("gone back, LEVEL is %q and MODE %q", env("LEVEL"), env("MODE"))
	}
	s.run("rollback", "--local").says(t, 1, "revision 1 is the oldest release of this stack that is left")
	s.run("up", "--local").says(t, 0, "0 changed")

	// The URL goes with the password.
	until(t, "the first backup is over", func() bool { return strings.Contains(s.must("db", "--local"), "available") })
	s.must("db", "--local", "rotate-password")
	if got := get(t, at+"/db?by=url"); got != "orders clerk true" {
		t.Errorf("after a rotation it is connected as %q", got)
	}
	s.run("up", "--local").says(t, 0, "0 changed")
	s.run("plan", "--local", "--db-name", "other").says(t, 1, "")
	s.searchFor(t, env("PGPASSWORD"), 5)

	var plan struct {
		Settings    []struct{ Name, Source string }
		DatabaseTLS struct{ Mode, Reason string }
	}
	decode(t, s.run("plan", "--local", "--image", image, "--output", "json").out, &plan)
	if text, err := json.Marshal(plan); err != nil || !strings.Contains(string(text), `{"Name":"healthPath","Source":"chosen"}`) {
		t.Errorf("%s %v", text, err)
	}
	if tls := plan.DatabaseTLS; tls.Mode != "verify-full" || tls.Reason != "the image has the certificate authorities of Amazon RDS: /etc/rds.pem" {
		t.Errorf("a plan says of TLS %+v", tls)
	}
	s.must("destroy", "--local", "--yes", "--purge-snapshots")
}

// TestAServiceWithoutADatabase makes, keeps and removes a stack without one.
func TestAServiceWithoutADatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	image := anyImage(t, func(*v1.ConfigFile) {})
	s.must("local", "start")
	before := s.inventory()
	at := s.up("--image", image, "--health-path", "/up", "--no-database", "--env", "DATABASE_URL=elsewhere")
	for _, line := range s.inventory() {
		if strings.Contains(line, "database") || strings.Contains(line, "private") || strings.Contains(line, "secret") {
			t.Errorf("there is %s", line)
		}
	}
	if got := get(t, at+"/env?name=DATABASE_URL"); got != "elsewhere" {
		t.Errorf("DATABASE_URL is %q", got)
	}
	if code, _ := call(t, http.MethodGet, at+"/env?name=PGHOST", ""); code != http.StatusNotFound {
		t.Errorf("PGHOST answers %d", code)
	}
	s.run("up", "--local").says(t, 0, "0 changed")
	if r := s.run("status", "--local"); r.code != 0 || !strings.Contains(r.out, "none, as was asked for") {
		t.Errorf("status: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	s.run("up", "--local", "--restore", "latest").says(t, 1, "")
	s.up("--env", "DATABASE_URL=another")
	s.run("rollback", "--local").says(t, 0, "environment DATABASE_URL: a value → another value")
	if got := get(t, at+"/env?name=DATABASE_URL"); got != "elsewhere" {
		t.Errorf("gone back, DATABASE_URL is %q", got)
	}
	s.must("destroy", "--local", "--yes")
	if diff := cmp.Diff(before, s.inventory()); diff != "" {
		t.Errorf("destroy left (-before +after):\n%s", diff)
	}

	// What has a database keeps it.
	s.up("--image", image, "--health-path", "/up")
	s.run("up", "--local", "--no-database").says(t, 1, "this stack has a database, which --no-database does not take away", "next: keep it")
}
