package kill_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"github.com/bookctl/bookctl/internal/provision"
)

// TestAnOldParameterGroupIsLeftToItsDatabases upgrades the database while another one, which
// somebody has restored by hand, has its parameter group.
func TestAnOldParameterGroupIsLeftToItsDatabases(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		out, err := c.RDS.DescribeDBSnapshots(t.Context(), &rds.DescribeDBSnapshotsInput{})
		if err != nil {
			t.Fatal(err)
		}
		db := databaseOf(t, c)
		if _, err := c.RDS.RestoreDBInstanceFromDBSnapshot(t.Context(), &rds.RestoreDBInstanceFromDBSnapshotInput{
			DBInstanceIdentifier: aws.String("book-database-old1"), DBSnapshotIdentifier: out.DBSnapshots[0].DBSnapshotIdentifier,
			DBSubnetGroupName: aws.String("book-database"), DBParameterGroupName: aws.String("book-database"), VpcSecurityGroupIds: []string{*db.VpcSecurityGroups[0].VpcSecurityGroupId},
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Minute)
		a.spec.UpgradeFrom, a.spec.DBVersion = *db.EngineVersion, "18"
		for range 2 {
			begun := time.Now()
			if err := a.up(t.Context(), &wire{}); err != nil || time.Since(begun) > 45*time.Minute {
				t.Errorf("up after %s: %v", time.Since(begun), err)
			}
			a.spec.UpgradeFrom = ""
		}
		if version := *databaseOf(t, c).EngineVersion; !strings.HasPrefix(version, "18.") {
			t.Errorf("it has version %s", version)
		}
		groups := func() int {
			out, err := c.RDS.DescribeDBParameterGroups(t.Context(), &rds.DescribeDBParameterGroupsInput{})
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, g := range out.DBParameterGroups {
				if strings.HasPrefix(*g.DBParameterGroupName, "book-") {
					n++
				}
			}
			return n
		}
		if n := groups(); n != 2 {
			t.Errorf("there are %d parameter groups while both are in use", n)
		}
		if _, err := c.RDS.DeleteDBInstance(t.Context(), &rds.DeleteDBInstanceInput{DBInstanceIdentifier: aws.String("book-database-old1"), SkipFinalSnapshot: aws.Bool(true)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := a.up(t.Context(), &wire{}); err != nil || groups() != 1 {
			t.Errorf("once that is gone, there are %d: %v", groups(), err)
		}
	})
}
