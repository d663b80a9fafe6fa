package cli_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// set gives the stack a secret by standard input.
func (s *shell) set(t *testing.T, name, value string, args ...string) result {
	t.Helper()
	cmd := s.command(append([]string{"secret", "set", name, "--local"}, args...)...)
	cmd.Stdin = strings.NewReader(value)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the exit code says it
	if strings.TrimSpace(value) != "" && strings.Contains(out.String()+errs.String(), strings.TrimSpace(value)) {
		t.Errorf("secret set prints the value: %s%s", out.String(), errs.String())
	}
	return result{out: out.String(), err: errs.String(), code: cmd.ProcessState.ExitCode()}
}

// TestAStackKeepsSecretsOfItsOwn gives the tasks of a stack secrets: before its first
// release, while it serves, two at a time; and takes them away again.
func TestAStackKeepsSecretsOfItsOwn(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	image := anyImage(t, func(*v1.ConfigFile) {})
	s.must("local", "start")
	before := s.inventory()

	s.run("secret", "unset", "OTHER", "--local").says(t, 1, "secret OTHER is not set")
	for _, refused := range [][]string{
		{"1A", "very-own", "does not begin with a digit"}, {"A.B", "very-own", "letters, digits and _"}, {"A", "\n", "is empty"}, {"A", "a\x00b", "is not text"},
		{"A", strings.Repeat("x", 65537), "65536 bytes"}, {"PORT", "very-own", "PORT is set by bookctl"}, {"DB_PASSWORD", "very-own", "DB_PASSWORD is set by bookctl"},
	} {
		s.set(t, refused[0], refused[1]).says(t, 64, refused[2])
	}
	if r := s.run("secret", "set", "A=very-own", "--local"); r.code != 64 || strings.Contains(r.out+r.err, "very-own") {
		t.Errorf("a value as an argument: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if diff := cmp.Diff(before, s.inventory()); diff != "" {
		t.Errorf("what was refused left (-before +after):\n%s", diff)
	}

	// What was set beforehand, the first release has.
	s.set(t, "FIRST", "early-value\n").says(t, 0, "FIRST is set. Stack book has no service yet; 'bookctl up --local' creates it.")
	if r := s.run("secret", "list", "--local"); r.code != 0 || !strings.Contains(r.out, "FIRST") || !strings.Contains(r.out, "  no\n") {
		t.Errorf("list: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if r := s.run("status", "--local"); r.code != 3 || strings.Contains(r.out, "missing") || !strings.Contains(r.out, "nothing is deployed") ||
		!strings.Contains(r.out, "'bookctl up --local' creates it, and gives its tasks the secrets that are set: FIRST.") {
		t.Errorf("status: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if r := s.run("list", "--local"); r.code != 0 || !strings.Contains(r.out, "book") {
		t.Errorf("list: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if r := s.run("plan", "--local", "--image", image, "--no-database", "--env", "LEVEL=debug", "--env", "MODE=x"); !strings.Contains(strings.Join(strings.Fields(r.out), " "), "environment LEVEL MODE secrets FIRST") ||
		strings.Contains(r.out, "debug") {
		t.Errorf("plan: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	at := s.up("--image", image, "--health-path", "/up", "--no-database", "--env", "LEVEL=debug")
	env := func(name string) string {
		t.Helper()
		return get(t, at+"/env?name="+url.QueryEscape(name))
	}
	if got := env("FIRST"); got != "early-value" {
		t.Errorf("FIRST is %q", got)
	}
	if code, got := call(t, http.MethodGet, at+"/env?name=DB_SSLROOTCERT", ""); code != http.StatusNotFound {
		t.Errorf("without a database DB_SSLROOTCERT is %q", got)
	}
	if r := s.run("status", "--local"); r.code != 0 || !strings.Contains(r.out, "running, no health command, started ") || strings.Contains(r.out, "unknown") {
		t.Errorf("status: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	completes := func(want string, words ...string) {
		t.Helper()
		if r := s.run(append([]string{"__complete"}, words...)...); !strings.Contains("\n"+r.out, "\n"+want) || !strings.HasSuffix(r.out, ":4\n") {
			t.Errorf("%q completes to\n%s%s", words, r.out, r.err)
		}
	}
	completes("FIRST\n", "secret", "unset", "--local", "")
	completes("LEVEL\n", "up", "--local", "--unset-env", "")
	completes("1\t", "rollback", "--local", "--to", "")
	completes("book\n", "status", "--local", "--stack", "")
	s.run("up", "--local").says(t, 0, "0 changed")

	// A stack that is to have no database is whole without one.
	if r := s.run("list", "--local"); r.code != 0 || !strings.Contains(r.out, "ready") || strings.Contains(r.out, "partial") {
		t.Errorf("list: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	s.run("db", "--local").says(t, 1, "stack book has no database", "next: 'bookctl up --local --no-database=false' creates it")

	// Whoever sets another at the same time waits, and none is lost. What was plain is
	// a secret then. A byte order mark is no part of a value.
	file := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(file, []byte("\ufeffof-a-file <&> \"é\"\nsecond line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must("secret", "set", "FROM_FILE", "--from-file", file, "--local", "--output", "json")
	var each sync.WaitGroup
	for _, name := range []string{"LEVEL", "OTHER"} {
		each.Go(func() {
			for {
				r := s.set(t, name, "hidden-"+name)
				if r.code == 5 { // another run has the lock
					continue
				}
				r.says(t, 0, name+" is set, and all tasks were replaced")
				return
			}
		})
	}
	each.Wait()
	for name, want := range map[string]string{
		"FIRST": "early-value", "FROM_FILE": "of-a-file <&> \"é\"\nsecond line", "LEVEL": "hidden-LEVEL", "OTHER": "hidden-OTHER",
	} {
		if got := env(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	s.run("up", "--local").says(t, 0, "0 changed")
	revision := s.definition(t).Revision
	s.set(t, "FIRST", "late-value").says(t, 0, "all tasks were replaced")
	if got := env("FIRST"); got != "late-value" {
		t.Errorf("FIRST is %q after it was set again", got)
	}
	if after := s.definition(t).Revision; after != revision+1 {
		t.Errorf("revision %d follows %d", after, revision)
	}
	var list struct {
		Secrets []struct {
			Name, Changed string
			InUse         bool
		}
	}
	r := s.run("secret", "list", "--local", "--output", "json")
	decode(t, r.out, &list)
	if len(list.Secrets) != 4 || list.Secrets[0].Name != "FIRST" || list.Secrets[0].Changed == "" || !list.Secrets[0].InUse {
		t.Errorf("the list is %s", r.out)
	}
	for _, value := range []string{"early-value", "late-value", "hidden-LEVEL", "hidden-OTHER", "second line"} {
		s.searchFor(t, value, 5)
	}

	s.run("secret", "unset", "OTHER", "--local").says(t, 0, "OTHER is unset, and all tasks were replaced")
	if code, _ := call(t, http.MethodGet, at+"/env?name=OTHER", ""); code != http.StatusNotFound || env("LEVEL") != "hidden-LEVEL" {
		t.Errorf("OTHER answers %d, and LEVEL is %q", code, env("LEVEL"))
	}
	s.run("secret", "unset", "OTHER", "--local").says(t, 1, "secret OTHER is not set", "'bookctl secret list --local'")
	s.run("up", "--local").says(t, 0, "0 changed")

	// A release that is gone back to has the values that it had, also of what is unset.
	s.run("rollback", "--local").says(t, 0, "secret OTHER: (none) → a value", "note: secret OTHER was unset since")
	if env("OTHER") != "hidden-OTHER" || env("FIRST") != "late-value" {
		t.Errorf("gone back, OTHER is %q and FIRST %q", env("OTHER"), env("FIRST"))
	}
	s.must("rollback", "--local", "--to", "1")
	if got := env("FIRST"); got != "early-value" {
		t.Errorf("FIRST is %q after a rollback", got)
	}
	s.run("secret", "list", "--local").says(t, 0, "note: FROM_FILE is set, and the release that serves does not have it: 'bookctl secret set FROM_FILE --local'")
	s.run("up", "--local").says(t, 0, "0 changed")

	// Somebody deletes it by the console's way, which can be undone.
	client := secretsmanager.NewFromConfig(s.config())
	done[*secretsmanager.DeleteSecretOutput](t)(client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("book/environment")}))
	s.set(t, "OTHER", "hidden").says(t, 1, "is scheduled for deletion", "restore-secret")
	s.run("up", "--local").says(t, 0, "1 updated")
	s.run("up", "--local").says(t, 0, "0 changed")
	done[*secretsmanager.DeleteSecretOutput](t)(client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("book/environment"), ForceDeleteWithoutRecovery: aws.Bool(true)}))
	s.run("up", "--local").says(t, 1, "book/environment is gone", "'bookctl secret set NAME --local'")
	s.set(t, "LEVEL", "hidden-LEVEL").says(t, 0, "FIRST has no value any more", "all tasks were replaced")
	if got := env("LEVEL"); got != "hidden-LEVEL" {
		t.Errorf("LEVEL is %q", got)
	}
	whole := s.inventory()
	s.run("rollback", "--local").says(t, 1, "can't be rolled back to: the values that it had of FIRST are no longer in secret book/environment", "'bookctl rollback --local --to N'", "'bookctl secret set NAME --local'")
	if diff := cmp.Diff(whole, s.inventory()); diff != "" || env("LEVEL") != "hidden-LEVEL" {
		t.Errorf("a rollback that was refused changed (-before +after):\n%s", diff)
	}
	s.run("up", "--local").says(t, 0, "0 changed")

	for range 2 { // its name is free again
		s.must("destroy", "--local", "--yes")
		if diff := cmp.Diff(before, s.inventory()); diff != "" {
			t.Errorf("destroy left (-before +after):\n%s", diff)
		}
		s.set(t, "FIRST", "value-of-nothing").says(t, 0, "has no service yet")
	}
	s.must("destroy", "--local", "--yes")
	if diff := cmp.Diff(before, s.inventory()); diff != "" {
		t.Errorf("destroy left (-before +after):\n%s", diff)
	}
}

// TestATerminalIsAskedForASecret types one, and thinks better of another.
func TestATerminalIsAskedForASecret(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.must("local", "start")
	for _, typed := range []string{"typed-value\r", "typed-value\x03"} {
		m := openTerminal(t, s.command("secret", "set", "KEY", "--local"), 100, 30)
		until(t, "it asks", func() bool { return strings.Contains(m.text(), "Value of KEY (not shown):") })
		m.press(typed)
		code, want := m.wait(), map[string]int{"\r": 0, "\x03": 130}[typed[len(typed)-1:]]
		if code != want || strings.Contains(m.text(), "typed") {
			t.Errorf("exit code %d, want %d\n%s", code, want, m.text())
		}
	}
	if r := s.run("secret", "list", "--local"); !strings.Contains(r.out, "KEY") {
		t.Errorf("list: exit code %d\n%s%s", r.code, r.out, r.err)
	}

	// A terminal takes 4095 characters of a line and loses the rest.
	m := openTerminal(t, s.command("secret", "set", "LONG", "--local"), 100, 30)
	until(t, "it asks", func() bool { return strings.Contains(m.text(), "Value of LONG (not shown):") })
	m.press(strings.Repeat("x", 5000) + "\r")
	if code := m.wait(); code != 64 || !strings.Contains(m.text(), "longer than a terminal takes") || !strings.Contains(m.text(), "--from-file") || strings.Contains(m.text(), "xx") {
		t.Errorf("a value of 5000 characters: exit code %d\n%s", code, m.text())
	}
	if r := s.run("secret", "list", "--local"); strings.Contains(r.out, "LONG") {
		t.Errorf("a value that is cut off was stored:\n%s", r.out)
	}
	s.must("destroy", "--local", "--yes")
}

// TestASecretIsSetRightAfterADestroy sets a secret while Secrets Manager still keeps the name
// of the one that was deleted.
func TestASecretIsSetRightAfterADestroy(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	s.byHand(t, map[string]any{"secretSeconds": 8})
	s.set(t, "TOKEN", "very-own\n").says(t, 0)
	s.run("destroy", "--local", "--yes").says(t, 0, "1 deleted, 0 left")
	s.set(t, "TOKEN", "very-new\n").says(t, 0, "TOKEN is set")
}

// TestSecretsThatAreSetOneAfterAnotherStay sets secrets before the first release, while Secrets
// Manager still returns the value from before the last one.
func TestSecretsThatAreSetOneAfterAnotherStay(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	s.byHand(t, map[string]any{"secretValueSeconds": 8})
	for _, name := range []string{"FIRST", "SECOND", "THIRD"} {
		s.set(t, name, "very-own\n").says(t, 0)
	}
	if r := s.run("secret", "list", "--local"); !strings.Contains(r.out, "FIRST") || !strings.Contains(r.out, "SECOND") || !strings.Contains(r.out, "THIRD") {
		t.Errorf("a secret is lost:\n%s%s", r.out, r.err)
	}
}
