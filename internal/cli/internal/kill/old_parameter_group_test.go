package kill_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
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

// TestAnUpgradeKeepsTheParametersThatPeopleSet has somebody set a parameter in the stack's group,
// which the group of another major version does not have.
func TestAnUpgradeKeepsTheParametersThatPeopleSet(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		set := func(group string) {
			t.Helper()
			if _, err := c.RDS.ModifyDBParameterGroup(t.Context(), &rds.ModifyDBParameterGroupInput{DBParameterGroupName: &group, Parameters: []types.Parameter{{
				ParameterName: aws.String("max_connections"), ParameterValue: aws.String("222"), ApplyMethod: types.ApplyMethodPendingReboot,
			}}}); err != nil {
				t.Fatal(err)
			}
		}
		kept := func() (said string) {
			t.Helper()
			if err := a.run(&wire{}, a.spec, func(r provision.Run) error {
				stack, err := provision.NewStack(r.Clients, r.Spec)
				if err != nil {
					return err
				}
				for _, f := range graph.Observe(t.Context(), stack.Resources(), stack.Options()) {
					for _, x := range f.Retained {
						if x.Field == "old-parameter-group" {
							said = x.Have + ": " + x.Blocked
						}
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			return said
		}
		set("book-database")
		a.spec.UpgradeFrom, a.spec.DBVersion = *databaseOf(t, c).EngineVersion, "18"
		for _, when := range []string{"before the upgrade", "after it", "after another up"} {
			if said := kept(); !strings.HasPrefix(said, "book-database: ") || !strings.Contains(said, "max_connections") {
				t.Errorf("%s, what is kept: %q", when, said)
			}
			if err := a.up(t.Context(), &wire{}); err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			a.spec.UpgradeFrom = ""
		}
		groups, err := c.RDS.DescribeDBParameters(t.Context(), &rds.DescribeDBParametersInput{DBParameterGroupName: aws.String("book-database"), Source: aws.String("user")})
		if err != nil || !slices.ContainsFunc(groups.Parameters, func(p types.Parameter) bool { return aws.ToString(p.ParameterValue) == "222" }) {
			t.Fatalf("the old group: %v", err)
		}
		set("book-database-postgres18")
		if err := a.up(t.Context(), &wire{}); err != nil {
			t.Error(err)
		}
		if said := kept(); said != "" {
			t.Errorf("once the new group has it, what is kept: %s", said)
		}
		if _, err := c.RDS.DescribeDBParameters(t.Context(), &rds.DescribeDBParametersInput{DBParameterGroupName: aws.String("book-database")}); err == nil {
			t.Error("the old group is still there")
		}
	})
}
