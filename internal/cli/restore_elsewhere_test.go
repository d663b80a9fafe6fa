package cli_test

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/provision"
)

// moved copies a snapshot, and puts the copy into another account or region of the local
// cloud's world. It returns the ARN there.
func (s *shell) moved(t *testing.T, snapshot, name string, to url.Values) string {
	t.Helper()
	cfg := s.config()
	client := rds.NewFromConfig(cfg)
	done[*rds.CopyDBSnapshotOutput](t)(client.CopyDBSnapshot(t.Context(), &rds.CopyDBSnapshotInput{SourceDBSnapshotIdentifier: &snapshot, TargetDBSnapshotIdentifier: &name}))
	until(t, "the copy is there", func() bool {
		return *done[*rds.DescribeDBSnapshotsOutput](t)(client.DescribeDBSnapshots(t.Context(), &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: &name})).DBSnapshots[0].Status == "available"
	})
	return s.place(t, name, to)
}

// place puts a snapshot into another account or region of the local cloud's world, and
// returns its ARN there.
func (s *shell) place(t *testing.T, name string, to url.Values) string {
	t.Helper()
	to.Set("id", name)
	cfg := s.config()
	resp, err := http.Post(*cfg.BaseEndpoint+"/_bookctl/snapshot?"+to.Encode(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out struct{ ARN string }
	text := done[[]byte](t)(io.ReadAll(resp.Body))
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("move snapshot %s: %s", name, text)
	}
	decode(t, string(text), &out)
	return out.ARN
}

// readsDune reads the book that was stored before the snapshot from a stack.
func (s *shell) readsDune(t *testing.T, stack string) {
	t.Helper()
	at := strings.TrimSpace(s.must("open", "--local", "--stack", stack))
	if code, body := call(t, "GET", at+"/books/Dune", ""); code != http.StatusOK || !strings.Contains(body, "Frank Herbert") {
		t.Errorf("stack %s: %d %s", stack, code, body)
	}
}

// TestTheDataOfAnotherStackRegionOrAccountIsRestored restores what a stack left into stacks
// of other names: as it is, and from another region and account, under the policy that is
// printed for it. What KMS or RDS refuses leaves nothing behind, and a copy that fails is
// made anew by the same command.
func TestTheDataOfAnotherStackRegionOrAccountIsRestored(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	address := s.up()
	if code, body := call(t, "POST", address+"/books", `{"name":"Dune","author":"Frank Herbert"}`); code != http.StatusCreated {
		t.Fatalf("POST: %d %s", code, body)
	}
	s.must("destroy", "--local", "--yes")
	var left struct{ Snapshots []struct{ ID string } }
	decode(t, s.must("db", "snapshots", "--local", "--output", "json"), &left)
	final := left.Snapshots[len(left.Snapshots)-1].ID
	region, account := s.config().Region, "000000000000"
	abroad := s.moved(t, final, "abroad", url.Values{"region": {"eu-west-1"}})
	shared := s.moved(t, final, "shared", url.Values{"account": {"111122223333"}})
	denied := s.moved(t, final, "denied", url.Values{"account": {"111122223333"}, "region": {"eu-west-1"}, "denied": {"true"}})
	gone := s.moved(t, final, "gone", url.Values{"account": {"111122223333"}, "gone": {"true"}})
	// What a restore leaves that was cut off while it copied.
	cutOff := naming.Names{Stack: "cut-off"}.SnapshotCopyPrefix() + "1"
	client := rds.NewFromConfig(s.config())
	done[*rds.CopyDBSnapshotOutput](t)(client.CopyDBSnapshot(t.Context(), &rds.CopyDBSnapshotInput{
		SourceDBSnapshotIdentifier: &final, TargetDBSnapshotIdentifier: &cutOff, Tags: []types.Tag{{Key: aws.String(provision.TagStack), Value: aws.String("cut-off")}},
	}))
	until(t, "the copy is there", func() bool {
		return *done[*rds.DescribeDBSnapshotsOutput](t)(client.DescribeDBSnapshots(t.Context(), &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: &cutOff})).DBSnapshots[0].Status == "available"
	})
	s.run("plan", "--local", "--stack", "cut-off").says(t, 2, "the database starts empty, and snapshot "+cutOff+" (available) was copied for the stack", "--restore "+cutOff)
	before := s.inventory()

	for _, tc := range []struct {
		restore string
		code    int
		says    []string
	}{
		{"arn:aws:rds:" + region + ":111122223333:snapshot:none", 1, []string{"or it is not shared with account " + account, "next: its owner shares it with", "modify-db-snapshot-attribute", "RDS shares none that has the account's own key for RDS"}},
		{"arn:aws:rds:eu-west-1:" + account + ":snapshot:none", 1, []string{"there is no snapshot arn:aws:rds:eu-west-1:" + account + ":snapshot:none", "db snapshots", "--region eu-west-1"}},
		{"arn:aws:rds:" + region + ":" + account + ":cluster-snapshot:none", 1, []string{"is not a snapshot of a database instance"}},
		{denied, 1, []string{"The source snapshot KMS key", "next: the policy of the snapshot's key in account 111122223333 has to let this account use it", "kms:CreateGrant"}},
	} {
		s.run("up", "--local", "--stack", "refused", "--restore", tc.restore).says(t, tc.code, tc.says...)
		// Of the lock that a first run took a released claim stays.
		now := slices.DeleteFunc(s.inventory(), func(line string) bool { return strings.Contains(line, "/bookctl/refused/lock/first") })
		if diff := cmp.Diff(before, now); diff != "" {
			t.Errorf("restoring %s leaves something:\n%s", tc.restore, diff)
		}
	}
	s.must("destroy", "--local", "--stack", "refused", "--yes")

	// The owner deletes the snapshot while it is copied; then it is there again.
	s.run("up", "--local", "--stack", "healed", "--restore", gone).says(t, 1, "snapshot-copy", "the source snapshot was deleted before the copy was available", "next: see that the snapshot is still there")
	for _, shows := range [][]string{{"(copy, 20 GiB", "db", "snapshots", "--stack", "healed"}, {"healed", "list"}} {
		if out := s.must(append(shows[1:], "--local")...); !strings.Contains(out, shows[0]) {
			t.Errorf("%v does not show the copy that failed:\n%s", shows[1:], out)
		}
	}
	s.place(t, "gone", url.Values{"account": {"111122223333"}})
	if r := s.run("plan", "--local", "--stack", "healed", "--restore", gone); !strings.Contains(r.out, "+ snapshot-copy") {
		t.Errorf("a plan does not copy the snapshot again:\n%s", r.out)
	}
	s.run("up", "--local", "--stack", "healed", "--restore", gone).says(t, 0)
	s.readsDune(t, "healed")
	// The copy outlives the stack, with what it was made of, and is no data of the stack's own.
	s.run("destroy", "--local", "--stack", "healed", "--yes").says(t, 0, "Kept, with your data", "healed-final-copy-")
	var kept struct {
		Snapshots []struct{ ID, Kind, Status, Source string }
	}
	decode(t, s.must("db", "snapshots", "--local", "--stack", "healed", "--output", "json"), &kept)
	if len(kept.Snapshots) != 2 || kept.Snapshots[0].Kind != "copy" || kept.Snapshots[0].Status != "available" || kept.Snapshots[0].Source != gone || kept.Snapshots[1].Kind != "final" {
		t.Fatalf("stack healed left %+v; want a copy of %s and a final snapshot", kept.Snapshots, gone)
	}
	s.run("plan", "--local", "--stack", "healed", "--restore", "latest").says(t, 2, "the data of snapshot "+kept.Snapshots[1].ID)
	s.run("plan", "--local", "--stack", "healed", "--restore", kept.Snapshots[0].ID).says(t, 2, "the data of snapshot "+kept.Snapshots[0].ID+" (copy")
	s.run("plan", "--local", "--stack", "healed", "--restore", gone).says(t, 2, "is copied into this account")
	s.run("destroy", "--local", "--stack", "healed", "--yes", "--purge-snapshots").says(t, 0, "Deleted snapshots and backups", kept.Snapshots[0].ID, kept.Snapshots[1].ID)
	if now := s.inventory(); !slices.Equal(now, before) {
		t.Fatalf("stack healed leaves something:\n%s", cmp.Diff(before, now))
	}

	restored := func(stack, from string, says ...string) {
		t.Helper()
		dir := t.TempDir()
		policy := filepath.Join(dir, "policy.json")
		if err := os.WriteFile(policy, []byte(s.must("policy", "--stack", stack, "--account", account, "--region", region, "--restore", from)), 0o600); err != nil {
			t.Fatal(err)
		}
		s.must("local", "stop")
		s.must("local", "start", "--policy", policy)
		s.run("up", "--local", "--stack", stack, "--restore", from).says(t, 0, says...)
		s.readsDune(t, stack)
		s.run("up", "--local", "--stack", stack).says(t, 0, "0 changed")
		s.must("destroy", "--local", "--stack", stack, "--yes", "--purge-snapshots")
	}
	restored("same", final, "starts with the data of snapshot "+final)
	copied := "is copied into this account and region first, with this account's key for RDS"
	restored("far", abroad, "snapshot "+abroad+" "+copied)
	restored("given", shared, "snapshot "+shared+" "+copied, "KMS may forbid that, and nothing else is made then: the policy of the snapshot's key in account 111122223333")
	s.must("local", "stop")
	s.must("local", "start")
	if now := s.inventory(); !slices.Equal(now, before) {
		t.Errorf("the stacks leave something:\n%s", cmp.Diff(before, now))
	}
	// What was copied is encrypted with a key of this account, as the database then was.
	out := done[*rds.DescribeDBSnapshotsOutput](t)(rds.NewFromConfig(s.config()).DescribeDBSnapshots(t.Context(), &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: aws.String(final)}))
	if !*out.DBSnapshots[0].Encrypted {
		t.Errorf("snapshot %s is not encrypted", final)
	}
}

// TestTheSnapshotsOfANamesakeInAnotherRegionAreSpared has somebody copy a snapshot of the
// stack of the same name in another region here, with its tags, as for a disaster: destroy
// does not delete it, and the newest snapshot is never that one.
func TestTheSnapshotsOfANamesakeInAnotherRegionAreSpared(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up(imageless()...)
	h.database()
	client, ctx := rds.NewFromConfig(h.Config), t.Context()
	h.must(ok(client.CreateDBSnapshot(ctx, &rds.CreateDBSnapshotInput{DBInstanceIdentifier: aws.String("book-database"), DBSnapshotIdentifier: aws.String("nightly")})))
	available := func(name string) bool {
		out, err := client.DescribeDBSnapshots(ctx, &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: &name})
		h.must(err)
		return *out.DBSnapshots[0].Status == "available"
	}
	until(t, "the snapshot is complete", func() bool { return available("nightly") })
	far := s.place(t, "nightly", url.Values{"region": {"eu-west-1"}})
	h.must(ok(client.CopyDBSnapshot(ctx, &rds.CopyDBSnapshotInput{
		SourceDBSnapshotIdentifier: &far, TargetDBSnapshotIdentifier: aws.String("disaster"), SourceRegion: aws.String("eu-west-1"), KmsKeyId: aws.String("alias/aws/rds"), CopyTags: aws.Bool(true),
	})))
	until(t, "the copy is complete", func() bool { return available("disaster") })

	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, " 0 left", "disaster (copy of eu-west-1, 20 GiB", "what is of another region may be another stack's")
	if !available("disaster") {
		t.Error("the copy is gone")
	}
	if out := s.must("db", "snapshots", "--local"); !strings.Contains(out, "disaster (copy of eu-west-1, 20 GiB") {
		t.Errorf("the snapshots are\n%s", out)
	}
	s.run(append([]string{"plan", "--local", "--restore", "latest"}, imageless()[1:]...)...).says(t, 1, "stack book has no snapshot of its own to restore", "'bookctl up --local --restore disaster' starts from disaster")
	s.run("status", "--local").shows(t, 3, "'bookctl up --local --restore disaster' creates the stack again with the data of the newest copy")
	s.run("logs", "--local").says(t, 1, "'bookctl up --local --restore disaster' creates it again")
	s.run(append([]string{"plan", "--local"}, imageless()[1:]...)...).says(t, 2, "snapshot disaster (available) is of region eu-west-1", "'bookctl up --local --restore disaster' in its place starts from that")
	s.up(append(imageless(), "--restore", "disaster")...)
}
