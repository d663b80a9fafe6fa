package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/provision"
)

// TestWhatIsSaidOfABackupOfAnotherRegion has RDS replicate the automated backups of a
// database here: no purge deletes them, and --restore does not take them.
func TestWhatIsSaidOfABackupOfAnotherRegion(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:rds:eu-west-1:000000000000:auto-backup:ab-1"
	backup := provision.Snapshot{ID: arn, Kind: provision.RetainedBackup, Status: "retained", Region: "us-east-1"}
	disaster := provision.Snapshot{ID: "disaster", Kind: provision.ManualSnapshot, Status: "available", Region: "us-east-1"}
	if said := emptyNote([]provision.Snapshot{disaster, backup}).String(); strings.Contains(said, arn) || !strings.Contains(said, "'bookctl up --restore disaster'") {
		t.Errorf("of a new database: %s", said)
	}
	const byHand = "only 'aws rds delete-db-instance-automated-backup --db-instance-automated-backups-arn " + arn + "' deletes it"
	if said := nextWithSnapshots([]provision.Snapshot{backup}).String(); !strings.Contains(said, byHand) || strings.Contains(said, "delete-db-snapshot") {
		t.Errorf("of a backup alone: %s", said)
	}
	if said := nextWithSnapshots([]provision.Snapshot{disaster, backup}).String(); !strings.Contains(said, byHand) || !strings.Contains(said, "'aws rds delete-db-snapshot …'") {
		t.Errorf("of a backup and a snapshot: %s", said)
	}
	if said := (&destroyFacts{snapshots: []provision.Snapshot{disaster}}).question(&globals{stack: "book"}, &target{place: "here"}, true); strings.Contains(said, "no snapshot") || !strings.Contains(said, "These stay") {
		t.Errorf("the question: %s", said)
	}
}

// TestOnlyWhatRestoreTakesIsOffered has a stack with nothing but a backup that RDS retains, which
// --restore latest does not find, and then with snapshots.
func TestOnlyWhatRestoreTakesIsOffered(t *testing.T) {
	t.Parallel()
	const latest = "'bookctl up --restore latest'"
	backup := provision.Snapshot{ID: "arn:aws:rds:us-east-1:000000000000:auto-backup:ab-1", Kind: provision.RetainedBackup, Status: "retained", Resource: "db-GONE"}
	final := provision.Snapshot{ID: "book-final", Kind: provision.FinalSnapshot, Status: "available", Resource: "db-GONE"}
	failed := provision.Snapshot{ID: "book-broken", Kind: provision.FinalSnapshot, Status: "failed", Resource: "db-GONE"}
	byHand := "'aws rds restore-db-instance-to-point-in-time --source-dbi-resource-id db-GONE "
	for _, kept := range [][]provision.Snapshot{{backup}, {failed, backup}} {
		if said := emptyNote(kept).String(); strings.Contains(said, latest) || !strings.Contains(said, byHand) || !strings.Contains(said, "'bookctl up --restore recovered'") {
			t.Errorf("of a backup without a snapshot: %s", said)
		}
	}
	if said := emptyNote([]provision.Snapshot{final, backup}).String(); !strings.Contains(said, latest) || !strings.Contains(said, "the newest book-final)") {
		t.Errorf("of a snapshot and a backup: %s", said)
	}
	if said := emptyNote([]provision.Snapshot{failed}).String(); said != "" {
		t.Errorf("of a snapshot that failed: %s", said)
	}
}

// TestADestroySaysWhatAWSBackupKeeps has AWS Backup hold the automated backups of the database.
func TestADestroySaysWhatAWSBackupKeeps(t *testing.T) {
	t.Parallel()
	daily := provision.Snapshot{ID: "rds:book-database-1", Kind: provision.AutomatedSnapshot, Status: "available"}
	held := provision.AutomatedBackups{Snapshots: []provision.Snapshot{daily}, Latest: time.Now(), RecoveryPoint: "arn:aws:backup:us-east-1:000000000000:recovery-point:continuous:x"}
	for _, purge := range []bool{false, true} {
		said := (&destroyFacts{snapshots: held.Snapshots, automatedBackups: held}).question(&globals{stack: "book"}, &target{place: "here"}, purge)
		if !strings.Contains(said, "AWS Backup keeps the automated backups of the database, and alone deletes them:\n  "+held.RecoveryPoint) ||
			strings.Contains(said, "no earlier state") || strings.Contains(said, daily.ID) || strings.Contains(said, "no backup is kept") {
			t.Errorf("the question, purging %t: %s", purge, said)
		}
	}
}
