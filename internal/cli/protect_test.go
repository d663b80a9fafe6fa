package cli_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
)

// database is the stack's instance, when it is available.
func (h *byHand) database() (db rdstypes.DBInstance) {
	h.Helper()
	client := rds.NewFromConfig(h.Config)
	until(h.T, "the database is available", func() bool {
		out, err := client.DescribeDBInstances(h.Context(), &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String("book-database")})
		h.must(err)
		db = out.DBInstances[0]
		return *db.DBInstanceStatus == "available"
	})
	return db
}

// modify changes the database by hand, and waits until it is available again.
func (h *byHand) modify(in rds.ModifyDBInstanceInput) {
	h.Helper()
	h.database()
	in.DBInstanceIdentifier, in.ApplyImmediately = aws.String("book-database"), aws.Bool(true)
	h.must(ok(rds.NewFromConfig(h.Config).ModifyDBInstance(context.WithoutCancel(h.Context()), &in)))
	h.database()
}

func TestStorageGrowsByTheRulesOfRDS(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up(imageless()...)
	up := func(args ...string) result {
		return s.run(append([]string{"up", "--local", "--wait=false"}, args...)...)
	}
	unchanged := func(gib, iops int32) {
		t.Helper()
		if db := h.database(); *db.AllocatedStorage != gib || *db.Iops != iops {
			t.Errorf("storage is %d GiB with %d IOPS, want %d and %d", *db.AllocatedStorage, *db.Iops, gib, iops)
		}
		up().says(t, 0, "Up to date", "0 changed")
	}
	unchanged(20, 3000)
	before := h.inventory()
	up("--db-storage", "21").says(t, 1, "choose --db-storage 22 or more", "nothing was touched")
	h.same("a rise that is too small", before)
	up("--db-storage", "22").says(t, 0)
	unchanged(22, 3000)
	up("--db-storage", "400").says(t, 0)
	unchanged(400, 12000)
	up("--db-storage", "500").says(t, 0)
	unchanged(500, 12000)

	// Grown by hand: that is the new least, and is never refused.
	h.modify(rds.ModifyDBInstanceInput{AllocatedStorage: aws.Int32(600), Iops: aws.Int32(12000)})
	unchanged(600, 12000)
	up("--db-storage", "500").says(t, 1, "can't shrink", "nothing was touched")
	unchanged(600, 12000)

	// RDS takes the next change only hours after the last one. The rest is done.
	h.faults(map[string]any{"storageOptimizing": true})
	up("--db-storage", "700", "--backup-days", "9").says(t, 0, "the storage of the database stays 600 GiB for now", "RDS is optimizing the last change of it (0 % done)", "run the same command again when it is done")
	if db := h.database(); *db.BackupRetentionPeriod != 9 {
		t.Errorf("backups are kept for %d days", *db.BackupRetentionPeriod)
	}
	unchanged(600, 12000)
	h.faults(map[string]any{})
	up("--db-storage", "700").says(t, 0)
	unchanged(700, 12000)
}

// TestWhatProtectsDataIsNotTurnedBack has somebody protect the data by hand beyond
// what was asked for.
func TestWhatProtectsDataIsNotTurnedBack(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up(imageless()...)
	h.database()
	asMade := h.inventory()
	ctx, balancing, logs := t.Context(), elb.NewFromConfig(h.Config), cloudwatchlogs.NewFromConfig(h.Config)
	h.modify(rds.ModifyDBInstanceInput{BackupRetentionPeriod: aws.Int32(30), MultiAZ: aws.Bool(true), DeletionProtection: aws.Bool(true), EnablePerformanceInsights: aws.Bool(true)})
	balancers, err := balancing.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{"book-lb"}})
	h.must(err)
	h.must(ok(balancing.ModifyLoadBalancerAttributes(ctx, &elb.ModifyLoadBalancerAttributesInput{
		LoadBalancerArn: balancers.LoadBalancers[0].LoadBalancerArn, Attributes: []elbtypes.LoadBalancerAttribute{{Key: aws.String("deletion_protection.enabled"), Value: aws.String("true")}},
	})))
	h.must(ok(logs.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String("/bookctl/book"), RetentionInDays: aws.Int32(90)})))
	h.must(ok(logs.DeleteRetentionPolicy(ctx, &cloudwatchlogs.DeleteRetentionPolicyInput{LogGroupName: aws.String("/aws/rds/instance/book-database/postgresql")})))
	byHand := h.inventory()

	flags := []string{"--backup-days 7", "--db-multi-az=false", "--protect=false", "--db-insights=false", "--log-days 14"}
	s.run("up", "--local", "--wait=false").says(t, 0, append(flags, "backup-retention stays 30 days (7 days is recorded)", "retention stays for ever", "0 changed")...)
	h.same("a plain up", byHand)
	plan := s.run("plan", "--local")
	if plan.code != 0 {
		t.Errorf("plan: exit code %d\n%s%s", plan.code, plan.out, plan.err)
	}
	for _, f := range flags {
		if !strings.Contains(plan.out, f) {
			t.Errorf("plan does not name %s:\n%s", f, plan.out)
		}
	}
	s.run("destroy", "--local", "--yes").says(t, 1, "deletion protection is on", "--protect=false")

	s.run(append([]string{"up", "--local", "--wait=false"}, strings.Fields(strings.Join(flags, " "))...)...).says(t, 0)
	h.database()
	h.same("an up with that flag", asMade)

	// What was weakened by hand is repaired.
	h.modify(rds.ModifyDBInstanceInput{BackupRetentionPeriod: aws.Int32(1)})
	h.must(ok(logs.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String("/bookctl/book"), RetentionInDays: aws.Int32(1)})))
	s.run("up", "--local", "--wait=false").says(t, 0, "2 updated")
	h.database()
	h.same("an up after less", asMade)
	s.run("up", "--local", "--wait=false", "--log-days", "30").says(t, 0)
	s.run("up", "--local", "--wait=false").says(t, 0, "0 changed")
	s.run("up", "--local", "--log-days", "31").says(t, 64, "log retention 31 days", "30, 60")
}

// TestARestoreGivesBackWhatTheDatabaseWas destroys a stack with settings of its own,
// and makes it anew from its snapshot.
func TestARestoreGivesBackWhatTheDatabaseWas(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up(append(imageless(), "--db-class", "db.t4g.small", "--db-multi-az", "--db-insights", "--db-storage", "25", "--db-max-storage", "100", "--backup-days", "10")...)
	// Raised by hand, and so not recorded.
	h.modify(rds.ModifyDBInstanceInput{AllocatedStorage: aws.Int32(30), BackupRetentionPeriod: aws.Int32(30)})
	is := func(class string, multi bool, storage, most, backups int32) {
		t.Helper()
		db := h.database()
		if *db.DBInstanceClass != class || *db.MultiAZ != multi || *db.AllocatedStorage != storage || *db.MaxAllocatedStorage != most || *db.BackupRetentionPeriod != backups || !*db.PerformanceInsightsEnabled {
			t.Errorf("the database is %s, Multi-AZ %t, %d GiB up to %d, %d days, insights %t", *db.DBInstanceClass, *db.MultiAZ, *db.AllocatedStorage, *db.MaxAllocatedStorage, *db.BackupRetentionPeriod, *db.PerformanceInsightsEnabled)
		}
		s.run("up", "--local", "--wait=false").says(t, 0, "Up to date", "0 changed")
	}
	is("db.t4g.small", true, 30, 100, 30)
	s.run("destroy", "--local", "--yes").says(t, 0, " 0 left")

	s.run(append([]string{"up", "--local", "--restore", "latest", "--db-storage", "20"}, imageless()...)...).says(t, 1, "30 GiB", "can't shrink", "leave --db-storage out")
	plan := s.run(append([]string{"plan", "--local", "--restore", "latest", "--db-multi-az=false"}, imageless()[1:]...)...)
	plan.says(t, 2, "it is made as it was then: class db.t4g.small, GiB 30", "but, as this command says: standby no, not yes")
	s.up(append(imageless(), "--restore", "latest")...)
	is("db.t4g.small", true, 30, 100, 30)
}

// TestAChangeThatIsScheduledIsSeen has somebody schedule another class for the
// maintenance window: any change with immediate effect would take it along.
func TestAChangeThatIsScheduledIsSeen(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil, "--latencies", "aws", "--scale", "0.005")
	s.up(imageless()...)
	h.database()
	h.must(ok(rds.NewFromConfig(h.Config).ModifyDBInstance(t.Context(), &rds.ModifyDBInstanceInput{
		DBInstanceIdentifier: aws.String("book-database"), DBInstanceClass: aws.String("db.t4g.large"),
	})))
	if plan := s.run("plan", "--local"); plan.code != 2 || !strings.Contains(plan.out, "class: db.t4g.micro, db.t4g.large pending → db.t4g.micro") {
		t.Errorf("plan: exit code %d\n%s%s", plan.code, plan.out, plan.err)
	}
	s.run("up", "--local", "--wait=false").says(t, 0, "1 updated")
	if db := h.database(); *db.DBInstanceClass != "db.t4g.micro" || db.PendingModifiedValues.DBInstanceClass != nil {
		t.Errorf("class %s, pending %v", *db.DBInstanceClass, aws.ToString(db.PendingModifiedValues.DBInstanceClass))
	}
	// After a change the instance is available for a while, and up waits for more.
	s.run("up", "--local", "--wait=false", "--db-class", "db.t4g.small").says(t, 0, "pending: db.t4g.micro → db.t4g.small")
	if db := h.database(); *db.DBInstanceClass != "db.t4g.small" {
		t.Errorf("class %s after up", *db.DBInstanceClass)
	}
	s.run("up", "--local", "--wait=false").says(t, 0, "0 changed")
}

// TestAScheduledUpgradeWaitsForItsWindow has somebody schedule another major version, from
// which there is no way back: no command makes it at once without the flag for it.
func TestAScheduledUpgradeWaitsForItsWindow(t *testing.T) {
	t.Parallel()
	s, older, newer := twoMajors(t)
	h := s.byHand(t, nil)
	s.up("--db-version", older)
	before := h.database()
	client := rds.NewFromConfig(h.Config)
	schedule := func() {
		t.Helper()
		h.must(ok(client.ModifyDBInstance(t.Context(), &rds.ModifyDBInstanceInput{
			DBInstanceIdentifier: before.DBInstanceIdentifier, EngineVersion: aws.String(newer), AllowMajorVersionUpgrade: aws.Bool(true),
			DBParameterGroupName: aws.String("default.postgres" + newer),
		})))
	}
	waits := func(after string) {
		t.Helper()
		db := h.database()
		if *db.EngineVersion != *before.EngineVersion || !strings.HasPrefix(aws.ToString(db.PendingModifiedValues.EngineVersion), newer+".") {
			t.Fatalf("after %s: PostgreSQL %s, pending %q", after, *db.EngineVersion, aws.ToString(db.PendingModifiedValues.EngineVersion))
		}
	}
	schedule()
	known := s.secret(t)
	s.run("db", "rotate-password", "--local").says(t, 0, "all tasks use it")
	waits("a rotation")
	if now := s.secret(t); now == known {
		t.Error("the secret is what it was")
	} else if got := s.psql(t, now, "select 1"); got != "1" {
		t.Errorf("with the new password: %s", got)
	}
	s.run("up", "--local", "--wait=false", "--protect").says(t, 0, "version stays "+*before.EngineVersion+", "+newer+".", "pending ("+older+" is recorded): somebody has scheduled that")
	waits("an up that protects it")
	if db := h.database(); !*db.DeletionProtection {
		t.Error("it is not protected")
	}
	for _, change := range [][]string{{"--db-class", "db.t4g.small"}, {"--backup-days", "9"}, {"--db-multi-az"}, {"--db-storage", "30"}} {
		s.run(append([]string{"up", "--local", "--wait=false"}, change...)...).says(t, 1, "RDS would also apply at once what somebody has scheduled: EngineVersion "+newer+".",
			"nothing was touched", "wait for the maintenance window (", "modify-db-instance --db-instance-identifier book-database --apply-immediately --engine-version "+*before.EngineVersion)
		waits("up " + strings.Join(change, " "))
	}
	h.modify(rds.ModifyDBInstanceInput{EngineVersion: before.EngineVersion})
	s.run("up", "--local", "--wait=false", "--db-class", "db.t4g.small").says(t, 0)
	if db := h.database(); *db.DBInstanceClass != "db.t4g.small" || *db.EngineVersion != *before.EngineVersion || db.PendingModifiedValues.EngineVersion != nil {
		t.Errorf("after its revert: class %s, PostgreSQL %s, pending %q", *db.DBInstanceClass, *db.EngineVersion, aws.ToString(db.PendingModifiedValues.EngineVersion))
	}
	schedule()
	s.run("up", "--local", "--wait=false", "--db-version", newer).says(t, 0)
	if db := h.database(); !strings.HasPrefix(*db.EngineVersion, newer+".") {
		t.Errorf("PostgreSQL %s", *db.EngineVersion)
	}
}

// TestTLSIsForcedAfterAGroupWasRepaired has somebody give the database a parameter group that
// accepts connections without TLS, and reboot it.
func TestTLSIsForcedAfterAGroupWasRepaired(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up(imageless()...)
	family := "postgres" + postgresHere(t)
	ctx, client, group := t.Context(), rds.NewFromConfig(h.Config), aws.String("loose")
	h.must(ok(client.CreateDBParameterGroup(ctx, &rds.CreateDBParameterGroupInput{DBParameterGroupName: group, DBParameterGroupFamily: &family, Description: aws.String("x")})))
	h.must(ok(client.ModifyDBParameterGroup(ctx, &rds.ModifyDBParameterGroupInput{DBParameterGroupName: group, Parameters: []rdstypes.Parameter{
		{ParameterName: aws.String("rds.force_ssl"), ParameterValue: aws.String("0"), ApplyMethod: rdstypes.ApplyMethodImmediate},
	}})))
	reboot := func() {
		t.Helper()
		h.database()
		h.must(ok(client.RebootDBInstance(ctx, &rds.RebootDBInstanceInput{DBInstanceIdentifier: aws.String("book-database")})))
		h.database()
	}
	h.modify(rds.ModifyDBInstanceInput{DBParameterGroupName: group})
	reboot()
	plainly := func() error {
		t.Helper()
		c := s.secret(t)
		cmd := exec.Command("psql", "-tAc", "select 1")
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "PGHOST=" + c.Host, fmt.Sprintf("PGPORT=%d", c.Port), "PGDATABASE=" + c.DBName, "PGUSER=" + c.Username, "PGPASSWORD=" + c.Password, "PGSSLMODE=disable",
		}
		return cmd.Run()
	}
	if err := plainly(); err != nil {
		t.Fatalf("with the loose group, without TLS: %v", err)
	}
	s.run("up", "--local", "--wait=false").says(t, 0, "1 updated")
	until(t, "connections without TLS are refused", func() bool { return plainly() != nil })
	s.run("up", "--local", "--wait=false").says(t, 0, "0 changed", "parameters that were set wait for a reboot", "reboot-db-instance --db-instance-identifier book-database")
	reboot()
	if r := s.run("up", "--local", "--wait=false"); r.code != 0 || strings.Contains(r.out+r.err, "reboot") {
		t.Errorf("after a reboot: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if plainly() == nil {
		t.Error("after a reboot connections without TLS are accepted")
	}
}
