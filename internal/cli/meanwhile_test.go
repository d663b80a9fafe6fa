package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bookctl/bookctl/internal/tinyimage"
)

// slowBuilder is a docker that builds an image only when it is let.
type slowBuilder struct{ dir string }

// buildSlowly makes one, whose image is that of ownService.
func buildSlowly(t *testing.T) slowBuilder {
	t.Helper()
	b := slowBuilder{t.TempDir()}
	image, err := ownImage()
	if err != nil {
		t.Fatal(err)
	}
	if err := tinyimage.Archive(filepath.Join(b.dir, "built.tar"), map[string]v1.Image{"app:1": image}); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`#!/bin/sh
cd %q
case "$*" in
"buildx inspect") ;;
save*) cp built.tar "$3" ;;
*)
	touch begun
	while [ ! -e let ]; do [ -e docker ] || exit 1; sleep 0.1; done
	rm let
	while [ "$1" != --iidfile ]; do shift; done
	echo app:1 > "$2"
	;;
esac
`, b.dir)
	for name, text := range map[string]string{"docker": script, "Dockerfile": "FROM scratch\n"} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// up begins an up, and returns when its image is being built.
func (b slowBuilder) up(t *testing.T, s *shell, args ...string) *running {
	t.Helper()
	cmd := s.command(append([]string{"up", "--local", "--dockerfile", filepath.Join(b.dir, "Dockerfile")}, args...)...)
	cmd.Env = append(slices.Clone(cmd.Env), "PATH="+b.dir+":"+os.Getenv("PATH"))
	r := &running{Cmd: cmd}
	r.Stdout, r.Stderr = &r.out, &r.err
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Process.Kill() }) // it may have ended
	until(t, "the image is being built: "+r.err.String(), func() bool {
		_, err := os.Stat(filepath.Join(b.dir, "begun"))
		return err == nil
	})
	if err := os.Remove(filepath.Join(b.dir, "begun")); err != nil {
		t.Fatal(err)
	}
	return r
}

// end lets the build go on, and waits for the run.
func (b slowBuilder) end(t *testing.T, r *running) result {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, "let"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return r.end(t)
}

// TestARunThatWaitedUndoesNothingThatOthersDid has runs of others change the stack while an
// image is built, which takes no lock.
func TestARunThatWaitedUndoesNothingThatOthersDid(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	builder, image := buildSlowly(t), ownService(t)
	set := func(value string) {
		t.Helper()
		s.set(t, "KEY", value).says(t, 0, "KEY is set")
	}
	for _, c := range []struct {
		name  string
		other func()
		says  string // "" where nothing was changed that matters
	}{
		{"a secret before the first release", func() { set("before the first release") }, "a secret that was set or unset"},
		{"a first up", func() { s.up("--image", image) }, "it was created"},
		{"a count", func() { s.must("up", "--local", "--count", "2") }, "--count 2"},
		{"several settings", func() {
			s.must("up", "--local", "--protect", "--log-days", "30", "--env", "LEVEL=debug", "--tag", "team=a")
		}, "--protect=true, --log-days 30, variable LEVEL, tag team"},
		{"another value of a secret", func() { set("a second value") }, "secret KEY"},
		{"a pause", func() { s.must("pause", "--local") }, "it was paused"},
		{"a restart", func() {
			s.must("resume", "--local")
			s.must("restart", "--local")
		}, ""},
		{"another image", func() { s.up("--image", ownService(t)) }, "--image "},
		{"a destroy", func() {
			s.must("up", "--local", "--protect=false")
			s.must("destroy", "--local", "--yes")
		}, "it was destroyed"},
	} {
		run := builder.up(t, s)
		c.other()
		before := h.settled()
		r := builder.end(t, run)
		if c.says == "" {
			r.says(t, 0, " updated, ")
			continue
		}
		r.says(t, 5, "stack book was changed meanwhile: "+c.says, "next: nothing was touched: run the same command again")
		for _, text := range []string{"before the first release", "a second value", "debug"} {
			if strings.Contains(r.out+r.err, text) {
				t.Errorf("%s: it prints a value:\n%s%s", c.name, r.out, r.err)
			}
		}
		if diff := cmp.Diff(before, h.settled()); diff != "" {
			t.Errorf("%s: the run that was refused has changed something (-before +after):\n%s", c.name, diff)
		}
	}
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, " 0 left")
}

// settled is the inventory once nothing is on its way, without tasks and without the record that a
// lock leaves behind.
func (h *byHand) settled() (inventory []string) {
	h.Helper()
	until(h.T, "nothing changes any more", func() bool {
		before := inventory
		busy := slices.ContainsFunc(before, func(line string) bool {
			return strings.HasPrefix(line, "database book-database ") && !strings.Contains(line, " available ") && !strings.Contains(line, " stopped ")
		})
		inventory = slices.DeleteFunc(withoutTasks(h.inventory()), func(line string) bool { return line == "parameter /bookctl/book/lock/first" })
		time.Sleep(300 * time.Millisecond)
		return !busy && slices.Equal(before, inventory)
	})
	return inventory
}

// TestAnUpThatHasSeenADatabaseCreatesNoEmptyOne has the database deleted by hand while an image is
// built, and the service as well, as a destroy begins with it.
func TestAnUpThatHasSeenADatabaseCreatesNoEmptyOne(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	builder := buildSlowly(t)
	s.up(imageless()...)
	run := builder.up(t, s, "--wait=false")
	h.backedUp()
	h.must(ok(ecs.NewFromConfig(h.Config).DeleteService(t.Context(), &ecs.DeleteServiceInput{Cluster: aws.String("book-cluster"), Service: aws.String("book-service"), Force: aws.Bool(true)})))
	h.must(ok(rds.NewFromConfig(h.Config).DeleteDBInstance(t.Context(), &rds.DeleteDBInstanceInput{DBInstanceIdentifier: aws.String("book-database"), SkipFinalSnapshot: aws.Bool(true)})))
	until(t, "the database is gone", func() bool { return !strings.Contains(strings.Join(h.inventory(), "\n"), "\ndatabase ") })
	builder.end(t, run).says(t, 1, "the database of stack book is gone, and a new one would be empty", "next: ", "' starts empty")
	if strings.Contains(strings.Join(h.inventory(), "\n"), "\ndatabase ") {
		t.Error("a run that saw a database has created an empty one")
	}
	s.run(append([]string{"up", "--local"}, imageless()...)...).says(t, 0, "the database is gone, and with it the settings")
}

// TestADestroyChecksAgainWhatChangedAtItsQuestion has the stack changed, by another run and by
// hand, while a destroy waits for a person.
func TestADestroyChecksAgainWhatChangedAtItsQuestion(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t, "TERM=dumb")
	h := s.byHand(t, nil)
	s.up(imageless()...)
	asked := func(change func(), args ...string) (code int, text string) {
		t.Helper()
		m := openTerminal(t, s.command(append([]string{"destroy", "--local"}, args...)...), 200, 24)
		until(t, "the question is asked", func() bool { return strings.Contains(m.screen(), "to continue:") })
		change()
		before := h.backedUp()
		m.press("book\n")
		code, text = m.wait(), m.text()
		h.same("a destroy that was refused", before)
		return code, text
	}
	refused := func(code int, says string) func(int, string) {
		return func(is int, text string) {
			t.Helper()
			if is != code || !strings.Contains(text, says) {
				t.Errorf("exit code %d, want %d and %q:\n%s", is, code, says, text)
			}
		}
	}
	refused(5, "stack book was changed meanwhile: --protect=true")(asked(func() {
		s.must("up", "--local", "--wait=false", "--protect")
	}))
	s.must("up", "--local", "--wait=false", "--protect=false")

	// By hand, which no lock tells of.
	const longer = 11 * time.Second // than what was read counts as just read
	refused(1, "deletion protection")(asked(func() {
		h.modify(rds.ModifyDBInstanceInput{DeletionProtection: aws.Bool(true)})
		time.Sleep(longer)
	}))
	h.modify(rds.ModifyDBInstanceInput{DeletionProtection: aws.Bool(false)})
	refused(5, "stack book was changed meanwhile: snapshot by-hand was taken")(asked(func() {
		h.must(ok(rds.NewFromConfig(h.Config).CreateDBSnapshot(t.Context(), &rds.CreateDBSnapshotInput{DBInstanceIdentifier: aws.String("book-database"), DBSnapshotIdentifier: aws.String("by-hand")})))
		time.Sleep(longer)
	}, "--purge-snapshots"))
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, " 0 left")
}

// TestWhatAWSDoesByItselfRefusesNoDestroy has load and growth change what no tag records any more,
// and RDS take its daily snapshot, while a destroy waits for a person.
func TestWhatAWSDoesByItselfRefusesNoDestroy(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t, "TERM=dumb")
	h := s.byHand(t, nil)
	s.up(append(imageless(), "--min", "1", "--max", "4", "--db-max-storage", "100")...)
	h.backedUp()
	service, _ := h.serviceOf()
	tasks, databases := ecs.NewFromConfig(h.Config), rds.NewFromConfig(h.Config)
	h.must(ok(tasks.UntagResource(t.Context(), &ecs.UntagResourceInput{ResourceArn: service.ServiceArn, TagKeys: []string{"bookctl:count"}})))
	h.must(ok(databases.RemoveTagsFromResource(t.Context(), &rds.RemoveTagsFromResourceInput{ResourceName: h.database().DBInstanceArn, TagKeys: []string{"bookctl:db-storage"}})))
	h.modify(rds.ModifyDBInstanceInput{BackupRetentionPeriod: aws.Int32(0)}) // the next change has it make a backup
	m := openTerminal(t, s.command("destroy", "--local", "--purge-snapshots"), 200, 24)
	until(t, "the question is asked", func() bool { return strings.Contains(m.screen(), "to continue:") })
	h.must(ok(tasks.UpdateService(t.Context(), &ecs.UpdateServiceInput{Cluster: aws.String("book-cluster"), Service: service.ServiceName, DesiredCount: aws.Int32(3)})))
	h.modify(rds.ModifyDBInstanceInput{AllocatedStorage: aws.Int32(25), BackupRetentionPeriod: aws.Int32(7)})
	s.automated(t, "book")
	time.Sleep(11 * time.Second) // longer than what was read counts as just read
	m.press("book\n")
	if code := m.wait(); code != 0 || !strings.Contains(m.text(), " 0 left") {
		t.Errorf("exit code %d:\n%s", code, m.text())
	}
}
