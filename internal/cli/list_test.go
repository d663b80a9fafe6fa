package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
)

// TestAListHasStacksOfWhichOnlyBackupsAreLeft leaves of a stack a snapshot of AWS Backup, and
// of another the automated backups of an instance that somebody deleted: both cost money.
func TestAListHasStacksOfWhichOnlyBackupsAreLeft(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	client := rds.NewFromConfig(s.config())
	s.up(imageless()...)
	h.database()
	backup := aws.String("awsbackup:job-1")
	done[*rds.CreateDBSnapshotOutput](t)(client.CreateDBSnapshot(t.Context(), &rds.CreateDBSnapshotInput{DBInstanceIdentifier: aws.String("book-database"), DBSnapshotIdentifier: backup}))
	if err := rds.NewDBSnapshotAvailableWaiter(client, func(o *rds.DBSnapshotAvailableWaiterOptions) { o.MinDelay = 100 * time.Millisecond }).
		Wait(t.Context(), &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: backup}, time.Minute); err != nil {
		t.Fatal(err)
	}
	listed := func(stack, want string) {
		t.Helper()
		out := s.run("list", "--local").out
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); f[0] == stack && f[1] == "destroyed" && strings.HasSuffix(strings.TrimSpace(line), want) {
				return
			}
		}
		t.Errorf("the list has no stack %s with %s:\n%s", stack, want, out)
	}
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, "awsbackup:job-1")
	listed("book", "1, 20 GiB")

	s.up(append(imageless(), "--stack", "other")...)
	until(t, "the database is there", func() bool {
		return *done[*rds.DescribeDBInstancesOutput](t)(client.DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String("other-database")})).DBInstances[0].DBInstanceStatus == "available"
	})
	done[*rds.DeleteDBInstanceOutput](t)(client.DeleteDBInstance(t.Context(), &rds.DeleteDBInstanceInput{DBInstanceIdentifier: aws.String("other-database"), SkipFinalSnapshot: aws.Bool(true), DeleteAutomatedBackups: aws.Bool(false)}))
	until(t, "the database is gone", func() bool {
		return len(done[*rds.DescribeDBInstancesOutput](t)(client.DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{})).DBInstances) == 0
	})
	s.run("destroy", "--local", "--stack", "other", "--yes").says(t, 0, "retained backup")
	listed("other", "1, 20 GiB")
}

// TestLivePricesAreOfTheCommonPartition asks for live prices where no credentials are good for
// the API that has them.
func TestLivePricesAreOfTheCommonPartition(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.must("local", "start", "--region", "us-gov-west-1")
	cfg := s.config()
	s.env = append(s.env, "AWS_ENDPOINT_URL="+*cfg.BaseEndpoint, "AWS_REGION="+cfg.Region, "AWS_ACCESS_KEY_ID=hand", "AWS_SECRET_ACCESS_KEY=hand")
	s.run("plan", "--price", "live", "--image", noImage).says(t, 64, "--price live: the AWS Pricing API answers in us-east-1, and knows no credentials of partition aws-us-gov", "leave --price live out")
}
