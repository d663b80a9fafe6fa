package cli_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
)

// TestNothingTakesThePlaceOfADatabaseThatIsGoing has a database deleted, which RDS does not
// take back, and then somebody who wants the stack back: no command makes an empty one, or
// one with older data, without a flag for it.
func TestNothingTakesThePlaceOfADatabaseThatIsGoing(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up(imageless()...)
	h.database()
	ctx, client := t.Context(), rds.NewFromConfig(h.Config)
	h.must(ok(client.CreateDBSnapshot(ctx, &rds.CreateDBSnapshotInput{DBInstanceIdentifier: aws.String("book-database"), DBSnapshotIdentifier: aws.String("old")})))
	status := func(snapshot string) string {
		t.Helper()
		out, err := client.DescribeDBSnapshots(ctx, &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: &snapshot})
		h.must(err)
		return *out.DBSnapshots[0].Status
	}
	until(t, "the snapshot is complete", func() bool { return status("old") == "available" })
	h.database()
	s.psql(t, s.secret(t), "create table after_old ()")

	// From here on a deletion takes as long as on AWS.
	s.must("local", "stop")
	h = s.byHand(t, nil, "--latencies", "aws")
	client = rds.NewFromConfig(h.Config)
	// As a destroy that is cut off leaves it.
	final := "book-final-" + strings.ToLower(strings.TrimPrefix(*h.database().DbiResourceId, "db-")) + "-20261130-120000"
	h.must(ok(client.DeleteDBInstance(ctx, &rds.DeleteDBInstanceInput{
		DBInstanceIdentifier: aws.String("book-database"), FinalDBSnapshotIdentifier: &final, DeleteAutomatedBackups: aws.Bool(true),
	})))
	for _, command := range [][]string{{"up", "--local"}, {"plan", "--local"}} {
		s.run(append(command, imageless()[1:]...)...).says(t, 1, "database book-database is being deleted, which RDS does not take back, and the new one would be empty",
			"its data is in snapshot "+final+" (creating)", "'bookctl up --local --restore latest' starts from it")
		s.run(append(append(command, "--restore", "latest"), imageless()[1:]...)...).says(t, 1, "snapshot "+final+" has the stack's newest data and is not complete: creating",
			"run the same command again when 'bookctl db snapshots --local' shows it as available")
	}

	s.must("local", "stop")
	h = s.byHand(t, nil)
	client = rds.NewFromConfig(h.Config)
	until(t, "the final snapshot is complete", func() bool { return status(final) == "available" })
	s.run(append([]string{"up", "--local", "--restore", "latest"}, imageless()...)...).says(t, 0, "snapshot "+final)
	if got := s.psql(t, s.secret(t), "select count(*) from after_old"); got != "0" {
		t.Errorf("the table of the newest snapshot: %q", got)
	}
}

// TestOnlyAnUpPutsAnEmptyDatabaseInThePlaceOfOneThatIsGone has somebody delete the database of
// a stack that serves: no other command that repairs the stack creates one.
func TestOnlyAnUpPutsAnEmptyDatabaseInThePlaceOfOneThatIsGone(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up()
	s.set(t, "API_KEY", "first").says(t, 0)
	s.must("up", "--local", "--env", "RELEASE=2")
	h.database()
	s.psql(t, s.secret(t), "create table kept ()")
	h.must(ok(rds.NewFromConfig(h.Config).DeleteDBInstance(t.Context(), &rds.DeleteDBInstanceInput{
		DBInstanceIdentifier: aws.String("book-database"), FinalDBSnapshotIdentifier: aws.String("by-hand"),
	})))
	there := func() bool { return strings.Contains(strings.Join(h.inventory(), "\n"), "database book-database ") }
	until(t, "the database is gone", func() bool { return !there() })
	before := h.inventory()
	refused := []string{"the database of stack book is gone, and a new one would be empty", "'bookctl up --local --restore latest' starts from the newest snapshot", "'bookctl up --local' starts empty"}
	for _, command := range [][]string{{"resume"}, {"rollback"}, {"secret", "unset", "API_KEY"}} {
		s.run(append(command, "--local")...).says(t, 1, refused...)
		h.same(strings.Join(command, " "), before)
	}
	s.set(t, "API_KEY", "second").says(t, 1, refused...)
	h.same("secret set", before)

	s.run("up", "--local", "--restore", "latest").says(t, 0, "by-hand")
	if got := s.psql(t, s.secret(t), "select count(*) from kept"); got != "0" {
		t.Errorf("the table of the snapshot: %q", got)
	}
	s.run("rollback", "--local").says(t, 0)
}
