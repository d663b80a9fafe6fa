package cli

import (
	"strings"
	"testing"

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
	if said := onward([]provision.Snapshot{backup}).String(); !strings.Contains(said, byHand) || strings.Contains(said, "delete-db-snapshot") {
		t.Errorf("of a backup alone: %s", said)
	}
	if said := onward([]provision.Snapshot{disaster, backup}).String(); !strings.Contains(said, byHand) || !strings.Contains(said, "'aws rds delete-db-snapshot …'") {
		t.Errorf("of a backup and a snapshot: %s", said)
	}
	if said := destroyQuestion(&globals{stack: "book"}, &target{place: "here"}, []provision.Snapshot{disaster}, nil, true); strings.Contains(said, "no snapshot") || !strings.Contains(said, "These stay") {
		t.Errorf("the question: %s", said)
	}
}
