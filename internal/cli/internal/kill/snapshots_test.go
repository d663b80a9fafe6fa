package kill_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
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

// copyByHand has somebody copy a snapshot of the database, without its tags, as RDS does by
// default, and returns its id.
func copyByHand(t *testing.T, c provision.Clients) string {
	t.Helper()
	out, err := c.RDS.DescribeDBSnapshots(t.Context(), &rds.DescribeDBSnapshotsInput{})
	if err != nil || len(out.DBSnapshots) == 0 {
		t.Fatalf("there is no snapshot: %v", err)
	}
	copied(t, c, &rds.CopyDBSnapshotInput{SourceDBSnapshotIdentifier: out.DBSnapshots[0].DBSnapshotIdentifier, TargetDBSnapshotIdentifier: aws.String("keep-2026")})
	return "keep-2026"
}

// TestAPurgeDeletesTheCopiesThatPeopleMade has a copy that has no tag, and shows whose it is
// by the instance alone.
func TestAPurgeDeletesTheCopiesThatPeopleMade(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		id := copyByHand(t, c)
		var purged []provision.Snapshot
		if err := a.run(&wire{}, a.spec, func(r provision.Run) error {
			done, err := r.Destroy(t.Context(), true, time.Minute)
			purged = done.Purged
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(purged, func(s provision.Snapshot) bool { return s.ID == id }) {
			t.Errorf("purged are %+v, without %s", purged, id)
		}
		out, err := c.RDS.DescribeDBSnapshots(t.Context(), &rds.DescribeDBSnapshotsInput{})
		if err != nil || len(out.DBSnapshots) > 0 {
			t.Errorf("there are still %d snapshots: %v", len(out.DBSnapshots), err)
		}
	})
}

// TestKilledWhileItPurges stops a destroy of everything, with a copy that has no tag, at each
// of its writes. The same destroy then has to leave nothing, the copy least of all.
func TestKilledWhileItPurges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, ctx := openInMemory(t), t.Context()
		c := provision.NewClients(a.config(&wire{}))
		for _, side := range []side{beforeSent, afterDone} {
			gone := 0 // the write that deletes the database
			for n := 1; ; n += stride {
				if gone > 0 && n > gone+2 {
					n += 9
				}
				err := a.up(ctx, &wire{})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour) // the first backup is complete
				copyByHand(t, c)
				last := &wire{}
				write, err := a.killed(ctx, func(ctx context.Context, w *wire) error {
					last = w
					return a.destroy(ctx, w)
				}, n, side)
				if at := slices.Index(last.written(), "DeleteDBInstance"); at >= 0 {
					gone = at + 1
				}
				if err == nil {
					err = a.vanish(ctx)
				}
				if err != nil {
					t.Fatalf("%s write %d, %s: %v", side, n, write, err)
				}
				if write == "" {
					break
				}
				t.Logf("%s write %d: %s", side, n, write)
			}
		}
	})
}
