package cli_test

import (
	"strings"
	"testing"
)

// TestWhatIsSaidOfABrokenRestoreKeepsTheData has RDS fail to restore the database, and then
// follows what each command says is next: the data is there again.
func TestWhatIsSaidOfABrokenRestoreKeepsTheData(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	needAWS(t)
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up(imageless()...)
	h.database()
	s.psql(t, s.secret(t), "create table kept ()")
	s.must("destroy", "--local", "--yes")
	snapshots := s.must("db", "snapshots", "--local", "--output", "json")

	h.faults(map[string]any{"restoresFail": true})
	// paste runs the command of the AWS CLI that deletes the instance, as it is printed.
	paste := func(r result) {
		t.Helper()
		for _, m := range printed.FindAllStringSubmatch(r.out+r.err, -1) {
			if strings.HasPrefix(m[1], "local aws rds delete-db-instance ") {
				s.must(strings.Fields(m[1])...)
				return
			}
		}
		t.Fatalf("no command that deletes the instance is printed:\n%s%s", r.out, r.err)
	}
	restore := append([]string{"up", "--local", "--restore", "latest"}, imageless()...)
	broken := s.run(restore...)
	broken.says(t, 1, "restore-error, RDS says: The DB instance could not be created: the faults say that it fails", "deletes it alone, and keeps all snapshots and backups", "once it is gone, the same command restores ")
	s.run(append([]string{"up", "--local"}, imageless()...)...).says(t, 1, "once it is gone, 'bookctl up --local --restore latest' starts from the newest snapshot")
	refused := s.run("destroy", "--local", "--yes")
	refused.says(t, 1, "no final snapshot can be taken in that state", "'bookctl destroy --local --purge-snapshots' deletes it with every snapshot and backup of the stack")
	if now := s.must("db", "snapshots", "--local", "--output", "json"); now != snapshots {
		t.Fatalf("the snapshots changed from\n%s to\n%s", snapshots, now)
	}

	paste(refused)
	until(t, "the broken instance is gone", func() bool { return !strings.Contains(strings.Join(h.inventory(), "\n"), "database book-database ") })
	s.run(restore...).says(t, 1, "restore-error")
	paste(broken)
	h.faults(map[string]any{})
	s.run(restore...).says(t, 0)
	if got := s.psql(t, s.secret(t), "select count(*) from kept"); got != "0" {
		t.Errorf("the table of the snapshot: %q", got)
	}
}
