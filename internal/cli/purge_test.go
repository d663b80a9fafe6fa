package cli_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/naming"
)

// TestAPurgeThatFailsListsWhatItDeleted may delete a stack's snapshot, and not the backup that
// RDS retains: the data that is gone is named with the error.
func TestAPurgeThatFailsListsWhatItDeleted(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up(imageless()...)
	database := h.database()
	databases := rds.NewFromConfig(h.Config)
	h.must(ok(databases.CreateDBSnapshot(t.Context(), &rds.CreateDBSnapshotInput{DBInstanceIdentifier: database.DBInstanceIdentifier, DBSnapshotIdentifier: aws.String("by-hand")})))
	until(t, "the snapshot is there", func() bool {
		return strings.Contains(s.must("db", "snapshots", "--local"), "by-hand") && *h.database().DBInstanceStatus == "available"
	})
	h.must(ok(databases.DeleteDBInstance(t.Context(), &rds.DeleteDBInstanceInput{
		DBInstanceIdentifier: database.DBInstanceIdentifier, SkipFinalSnapshot: aws.Bool(true), DeleteAutomatedBackups: aws.Bool(false),
	})))
	until(t, "the instance is gone", func() bool { return strings.Contains(s.must("db", "snapshots", "--local"), "retained") })

	backups := done[*rds.DescribeDBInstanceAutomatedBackupsOutput](t)(databases.DescribeDBInstanceAutomatedBackups(t.Context(), &rds.DescribeDBInstanceAutomatedBackupsInput{})).DBInstanceAutomatedBackups
	h.must(ok(databases.AddTagsToResource(t.Context(), &rds.AddTagsToResourceInput{ // else the snapshot stays with it
		ResourceName: backups[0].DBInstanceAutomatedBackupsArn, Tags: []rdstypes.Tag{{Key: aws.String(naming.TagStack), Value: aws.String("book")}},
	})))

	const deleted = "Deleted snapshots and backups:\n  by-hand (manual, "
	h.faults(map[string]any{"deny": []string{"rds:DeleteDBInstanceAutomatedBackup"}})
	r := s.run("destroy", "--local", "--purge-snapshots", "--yes")
	r.says(t, 4, deleted, "rds:DeleteDBInstanceAutomatedBackup")
	_, rest, _ := strings.Cut(r.err, deleted)
	if _, next, _ := strings.Cut(rest, "\n"); strings.HasPrefix(next, "  ") || strings.Contains(next, "Deleted snapshots and backups") {
		t.Errorf("more is listed than was deleted:\n%s", r.err)
	}
	h.faults(map[string]any{})
	s.run("destroy", "--local", "--purge-snapshots", "--yes").says(t, 0, "(retained backup, ")
}
