package cli_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
)

// TestARestoreOverADatabaseTouchesNothing has somebody who broke the data restore an automated
// snapshot over it, which RDS can't do. What is said is not to destroy the stack, because the
// snapshot would go with it; the stack that it names has the data.
func TestARestoreOverADatabaseTouchesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t, "TERM=xterm-256color")
	h := s.byHand(t, nil)
	s.up(imageless()...)
	h.database()
	automated := s.automated(t, "book")
	before := h.inventory()
	for _, from := range []string{"latest", automated} {
		for _, command := range []string{"plan", "up"} {
			r := s.run(append([]string{command, "--local", "--restore", from}, imageless()[1:]...)...)
			r.says(t, 1, "database book-database exists already, and its data stays as it is: RDS restores snapshot "+automated+" only into a new database, and from what this one was restored, if it was, is not known",
				"next: leave --restore out to go on with the data that is there; or 'bookctl up --local --stack book-restored --restore "+automated+"' creates a stack next to this one", "'bookctl db dump --local --stack book-restored FILE'")
			if strings.Contains(r.err, "'bookctl destroy") {
				t.Errorf("%s --restore %s leads to a destroy, with which the snapshot goes:\n%s", command, from, r.err)
			}
			h.same(command+" --restore "+from, before)
		}
	}

	// The question of a destroy shows what goes although a final snapshot is taken.
	m := openTerminal(t, s.command("destroy", "--local"), 200, 24)
	until(t, "the question is asked", func() bool { return strings.Contains(m.screen(), "to continue:") })
	for _, piece := range []string{"A final snapshot of the data as it is now is kept.", "no earlier state of the data can be restored", "These snapshots go with them:\n  " + automated + " (automated, "} {
		if !strings.Contains(m.text(), piece) {
			t.Errorf("%q is not said:\n%s", piece, m.text())
		}
	}
	m.press("no\n")
	m.wait()

	// An up that stops after it has restored the database is repeated as it is.
	restore := append([]string{"up", "--local", "--stack", "book-restored", "--restore", automated}, imageless()...)
	h.faults(map[string]any{"deny": []string{"ecs:CreateService"}})
	s.run(restore...).says(t, 4, "the database starts with the data of snapshot "+automated)
	h.faults(map[string]any{})
	s.run(restore...).says(t, 0, "the database was restored from snapshot "+automated+" before, and keeps its present data")
	s.run(append([]string{"up", "--local", "--stack", "book-restored", "--restore", "latest"}, imageless()...)...).says(t, 1, "database book-restored-database exists already", "and this one was restored from snapshot "+automated)

	// An earlier build did not record what it restored.
	client := rds.NewFromConfig(h.Config)
	db := done[*rds.DescribeDBInstancesOutput](t)(client.DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String("book-restored-database")})).DBInstances[0]
	h.must(ok(client.RemoveTagsFromResource(t.Context(), &rds.RemoveTagsFromResourceInput{ResourceName: db.DBInstanceArn, TagKeys: []string{"bookctl:restored-from"}})))
	s.run(restore...).says(t, 1, "and from what this one was restored, if it was, is not known", "next: leave --restore out to go on with the data that is there")
	s.run(append([]string{"up", "--local", "--stack", "book-restored"}, imageless()...)...).says(t, 0, "")

	// The newest snapshot stays the one that was meant, after the new database has its own.
	s.run("destroy", "--local", "--stack", "book-restored", "--yes").says(t, 0, ", a final snapshot taken")
	restore = append([]string{"up", "--local", "--stack", "book-restored", "--restore", "latest"}, imageless()...)
	h.faults(map[string]any{"deny": []string{"ecs:CreateService"}})
	s.run(restore...).says(t, 4, "the database starts with the data of snapshot book-restored-final-")
	h.faults(map[string]any{})
	own := s.automated(t, "book-restored")
	s.run(restore...).says(t, 0, "the database was restored from snapshot book-restored-final-", "'bookctl up --local --stack book-restored-again --restore "+own+"'")
	done[*rds.CreateDBSnapshotOutput](t)(client.CreateDBSnapshot(t.Context(), &rds.CreateDBSnapshotInput{DBInstanceIdentifier: aws.String("book-database"), DBSnapshotIdentifier: aws.String("by-hand")}))
	until(t, "the snapshot is there", func() bool {
		return *done[*rds.DescribeDBSnapshotsOutput](t)(client.DescribeDBSnapshots(t.Context(), &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: aws.String("by-hand")})).DBSnapshots[0].Status == "available"
	})
	s.run(append([]string{"up", "--local", "--stack", "book-restored", "--restore", "by-hand"}, imageless()...)...).says(t, 1, "RDS restores snapshot by-hand only into a new database")
}

// automated waits for the first automated snapshot of a stack's database.
func (s *shell) automated(t *testing.T, stack string) (id string) {
	t.Helper()
	until(t, "RDS has taken an automated snapshot", func() bool {
		var all struct {
			Snapshots []struct{ ID, Kind, Status string }
		}
		decode(t, s.must("db", "snapshots", "--local", "--stack", stack, "--output", "json"), &all)
		for _, x := range all.Snapshots {
			if x.Kind == "automated" && x.Status == "available" {
				id = x.ID
			}
		}
		return id != ""
	})
	return id
}
