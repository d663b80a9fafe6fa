package kill_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"github.com/bookctl/bookctl/internal/provision"
)

// copied copies a snapshot by hand, and waits until that is complete.
func copied(t *testing.T, c provision.Clients, in *rds.CopyDBSnapshotInput) {
	t.Helper()
	if _, err := c.RDS.CopyDBSnapshot(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Hour)
}

// TestTheNewestSnapshotIsTheOneWithTheNewestData has somebody copy an old snapshot, which RDS
// then has from later than the final one.
func TestTheNewestSnapshotIsTheOneWithTheNewestData(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		if _, err := c.RDS.CreateDBSnapshot(t.Context(), &rds.CreateDBSnapshotInput{DBInstanceIdentifier: aws.String("book-database"), DBSnapshotIdentifier: aws.String("old")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		var final string
		if err := a.run(&wire{}, a.spec, func(r provision.Run) error {
			done, err := r.Destroy(t.Context(), false, time.Minute)
			for _, s := range done.Kept {
				if s.Kind == provision.FinalSnapshot {
					final = s.ID
				}
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		copied(t, c, &rds.CopyDBSnapshotInput{SourceDBSnapshotIdentifier: aws.String("old"), TargetDBSnapshotIdentifier: aws.String("old-with-our-key")})
		if s, err := provision.SnapshotToRestore(t.Context(), c.RDS, "", "book", "latest"); err != nil || s.ID != final {
			t.Errorf("the newest snapshot is %q of %s, want %q: %v", s.ID, s.Created, final, err)
		}
		all, err := provision.Snapshots(t.Context(), c.RDS, "book")
		if err != nil || len(all) != 3 || all[2].ID != final || !all[0].Created.Equal(all[1].Created) {
			t.Errorf("the snapshots are %+v: %v", all, err)
		}
	})
}
