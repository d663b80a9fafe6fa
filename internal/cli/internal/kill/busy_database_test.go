package kill_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/runlock"
)

// withDatabase runs a test of a stack in memory whose operations take as long as on AWS.
func withDatabase(t *testing.T, test func(*testing.T, *account, provision.Clients)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := openTypical(t)
		if err := a.up(t.Context(), &wire{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute) // the first backup is complete
		test(t, a, provision.NewClients(a.config(&wire{})))
	})
}

// grow has RDS give the database more storage, which keeps it busy for hours.
func grow(t *testing.T, c provision.Clients) {
	t.Helper()
	if _, err := c.RDS.ModifyDBInstance(t.Context(), &rds.ModifyDBInstanceInput{
		DBInstanceIdentifier: aws.String("book-database"), AllocatedStorage: aws.Int32(40), ApplyImmediately: aws.Bool(true),
	}); err != nil {
		t.Fatal(err)
	}
}

func databaseOf(t *testing.T, c provision.Clients) types.DBInstance {
	t.Helper()
	out, err := c.RDS.DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String("book-database")})
	if err != nil {
		t.Fatal(err)
	}
	return out.DBInstances[0]
}

// TestAPasswordIsRotatedWhileStorageIsOptimized has RDS grow the storage while a password is
// set, and then sets another one in the hours in which RDS optimizes that.
func TestAPasswordIsRotatedWhileStorageIsOptimized(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, _ *account, c provision.Clients) {
		rotate := func() error {
			begun := time.Now()
			err := provision.RotatePassword(t.Context(), c, "book", func(string) {})
			if took := time.Since(begun); took > 10*time.Minute {
				t.Errorf("a rotation took %s", took)
			}
			return err
		}
		ended := make(chan error, 1)
		go func() { ended <- rotate() }()
		time.Sleep(10 * time.Second) // the instance is still available
		grow(t, c)
		if err := <-ended; err != nil {
			t.Errorf("while the storage grows: %v", err)
		}
		if db := databaseOf(t, c); *db.DBInstanceStatus != "storage-optimization" || db.PendingModifiedValues.MasterUserPassword != nil {
			t.Errorf("afterwards it is %s", *db.DBInstanceStatus)
		}
		if err := rotate(); err != nil {
			t.Errorf("while the storage is optimized: %v", err)
		}
	})
}

// paused pauses the stack, and returns what it says meanwhile.
func paused(t *testing.T, c provision.Clients) (said string, err error) {
	t.Helper()
	var notes []string
	err = provision.Pause{
		Clients: c, Stack: "book", Guard: func(context.Context) error { return nil }, Progress: func(note string) { notes = append(notes, note) },
	}.Run(t.Context())
	return strings.Join(notes, "\n"), err
}

// TestAPauseChangesNothingWhereTheDatabaseCantBeStopped has RDS optimize the storage, in which
// state it stops no database: no task may end for nothing.
func TestAPauseChangesNothingWhereTheDatabaseCantBeStopped(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		grow(t, c)
		time.Sleep(5 * time.Minute)
		before, err := a.inventory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if _, err := paused(t, c); err == nil || !strings.Contains(err.Error(), `database book-database is "storage-optimization"`) || time.Since(begun) > time.Minute {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		after, err := a.inventory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("a pause that is refused changes (-before +after):\n%s", diff)
		}
		time.Sleep(6 * time.Hour)
		if _, err := paused(t, c); err != nil {
			t.Errorf("once it is available: %v", err)
		}
	})
}

// TestAPauseSaysWhyRDSDoesNotStopTheDatabase has RDS refuse what it shows as possible, with a
// reason that does not pass.
func TestAPauseSaysWhyRDSDoesNotStopTheDatabase(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, _ *account, c provision.Clients) {
		const why = "You can't stop this instance for a reason of its own"
		stops := c
		stops.RDS = rds.New(c.RDS.Options(), func(o *rds.Options) {
			o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
				return s.Initialize.Add(middleware.InitializeMiddlewareFunc("refuse", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
					if _, stop := in.Parameters.(*rds.StopDBInstanceInput); stop {
						return middleware.InitializeOutput{}, middleware.Metadata{}, &smithy.GenericAPIError{Code: "InvalidDBInstanceState", Message: why}
					}
					return next.HandleInitialize(ctx, in)
				}), middleware.Before)
			})
		})
		begun := time.Now()
		said, err := paused(t, stops)
		if err == nil || !strings.Contains(err.Error(), why) || !strings.Contains(said, why) || time.Since(begun) > 10*time.Minute {
			t.Errorf("after %s: %v\nsaid meanwhile:\n%s", time.Since(begun), err, said)
		}
		if _, err := paused(t, c); err != nil {
			t.Errorf("the same command, once it passes: %v", err)
		}
	})
}

// TestAPausedDatabaseIsStartedBeforeItsUpgrade upgrades the database of a paused stack: RDS
// takes the snapshot before it only once the database runs. An upgrade that is tried again
// later has another snapshot, of that time.
func TestAPausedDatabaseIsStartedBeforeItsUpgrade(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		before := *databaseOf(t, c).EngineVersion
		if _, err := paused(t, c); err != nil {
			t.Fatal(err)
		}
		a.spec.UpgradeFrom, a.spec.DBVersion = before, "18"
		taken := func() []types.DBSnapshot {
			t.Helper()
			out, err := c.RDS.DescribeDBSnapshots(t.Context(), &rds.DescribeDBSnapshotsInput{SnapshotType: aws.String("manual")})
			if err != nil {
				t.Fatal(err)
			}
			return out.DBSnapshots
		}
		a.SetFaults(localcloud.Faults{UpgradesFail: true})
		for range 2 {
			if err := a.up(t.Context(), &wire{}); !errors.Is(err, provision.ErrNotUpgraded) || len(taken()) != 1 {
				t.Errorf("an upgrade that RDS refuses: %v, with %d snapshots", err, len(taken()))
			}
		}
		a.SetFaults(localcloud.Faults{})
		time.Sleep(2 * time.Hour)
		begun := time.Now()
		if err := a.up(t.Context(), &wire{}); err != nil || time.Since(begun) > time.Hour {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		db := databaseOf(t, c)
		if *db.DBInstanceStatus != "available" || !strings.HasPrefix(*db.EngineVersion, "18.") {
			t.Errorf("it is %s, with version %s", *db.DBInstanceStatus, *db.EngineVersion)
		}
		all := taken()
		if len(all) != 2 || !slices.ContainsFunc(all, func(s types.DBSnapshot) bool { return *s.EngineVersion == before && s.SnapshotCreateTime.After(begun) }) {
			t.Errorf("snapshots: %v", all)
		}
	})
}

// TestOtherLogsOfADatabaseAreTheOwnersBusiness has somebody switch on the export of the log of
// upgrades, which RDS sends to a log group that it makes itself and never removes.
func TestOtherLogsOfADatabaseAreTheOwnersBusiness(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		both := []string{"postgresql", "upgrade"}
		if _, err := c.RDS.ModifyDBInstance(t.Context(), &rds.ModifyDBInstanceInput{
			DBInstanceIdentifier:              aws.String("book-database"),
			CloudwatchLogsExportConfiguration: &types.CloudwatchLogsExportConfiguration{EnableLogTypes: []string{"upgrade"}},
		}); err != nil {
			t.Fatal(err)
		}
		begun, quiet := time.Now(), &wire{}
		if err := a.up(t.Context(), quiet); err != nil || time.Since(begun) > time.Minute || len(quiet.written()) > 0 {
			t.Errorf("up after %s: %v, writing %v", time.Since(begun), err, quiet.written())
		}
		a.spec.UpgradeFrom, a.spec.DBVersion = *databaseOf(t, c).EngineVersion, "18"
		if err := a.up(t.Context(), &wire{}); err != nil {
			t.Fatal(err)
		}
		if logs := databaseOf(t, c).EnabledCloudwatchLogsExports; !slices.Equal(logs, both) {
			t.Errorf("it exports %v", logs)
		}
		var left []inventory.Item
		if err := a.run(&wire{}, a.spec, func(r provision.Run) error {
			done, err := r.Destroy(t.Context(), true, time.Minute)
			left = done.Left
			return err
		}); err != nil {
			t.Fatal(err)
		}
		left = slices.DeleteFunc(left, func(i inventory.Item) bool { return i.Kept })
		if len(left) != 1 || left[0].ID != "/aws/rds/instance/book-database/upgrade" || !strings.Contains(left[0].HeldBy, "aws logs delete-log-group --log-group-name /aws/rds/instance/book-database/upgrade") {
			t.Errorf("left: %v", left)
		}
	})
}

// TestARunThatIsNoUpCreatesNoDatabase has somebody delete the database, and then a run whose
// command did not look at that: nothing is written. An up that began before it was gone
// creates no empty one either.
func TestARunThatIsNoUpCreatesNoDatabase(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		if _, err := c.RDS.DeleteDBInstance(t.Context(), &rds.DeleteDBInstanceInput{DBInstanceIdentifier: aws.String("book-database"), FinalDBSnapshotIdentifier: aws.String("by-hand")}); err != nil {
			t.Fatal(err)
		}
		for _, after := range []time.Duration{time.Second, time.Hour} { // while it goes, and afterwards
			time.Sleep(after)
			have, err := provision.ReadDeployed(t.Context(), c, "book")
			if err != nil {
				t.Fatal(err)
			}
			spec, w := provision.Spec{Stack: "book", Version: "test", Settings: have.Settings, Running: have.Running, Zones: have.Zones, Deployed: &have, Wait: true}, &wire{}
			err = a.run(w, spec, func(r provision.Run) error {
				_, _, err := r.Up(t.Context())
				return err
			})
			if err == nil || !strings.Contains(err.Error(), "the database of stack book is gone, and a new one would be empty") || len(w.written()) > 0 {
				t.Errorf("after %s: %v, written %v", after, err, w.written())
			}
			err = a.run(&wire{}, spec, func(r provision.Run) error {
				_, _, err := r.Change(t.Context(), func(context.Context, *runlock.Lock) (*provision.Spec, error) { return &spec, nil })
				return err
			})
			if err == nil || !strings.Contains(err.Error(), "the database of stack book is gone, and a new one would be empty") {
				t.Errorf("a change after %s: %v", after, err)
			}
			if after == time.Second {
				if err := a.up(t.Context(), &wire{}); err == nil || !strings.Contains(err.Error(), "database book-database was deleted while this run was at work, and a new one would be empty") {
					t.Errorf("an up while it goes: %v", err)
				}
			}
		}
		out, err := c.RDS.DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{})
		if err != nil || len(out.DBInstances) > 0 {
			t.Errorf("there are %d databases: %v", len(out.DBInstances), err)
		}
	})
}

// TestAWSBackupDecidesTheRetentionOfItsDatabase has a plan of AWS Backup, which keeps backups for
// less time than the stack, take the database in.
func TestAWSBackupDecidesTheRetentionOfItsDatabase(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		if _, err := c.RDS.ModifyDBInstance(t.Context(), &rds.ModifyDBInstanceInput{
			DBInstanceIdentifier: aws.String("book-database"), BackupRetentionPeriod: aws.Int32(3), ApplyImmediately: aws.Bool(true),
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		a.SetFaults(localcloud.Faults{BackupPlan: true})
		quiet := &wire{}
		if err := a.run(quiet, a.spec, func(r provision.Run) error {
			stack, err := provision.NewStack(r.Clients, r.Spec)
			if err != nil {
				return err
			}
			_, _, err = r.Up(t.Context())
			for _, f := range graph.Observe(t.Context(), stack.Resources(), stack.Options()) {
				if f.Name == "database" && (len(f.Retained) != 1 || f.Retained[0].Field != "backup-retention" || !strings.Contains(f.Retained[0].Blocked, "AWS Backup decides it")) {
					t.Errorf("retained: %v", f.Retained)
				}
			}
			return err
		}); err != nil || len(quiet.written()) > 0 {
			t.Errorf("up: %v, writing %v", err, quiet.written())
		}

		a.spec.BackupDays, a.spec.GivenFlags = 14, map[string]bool{"backup-days": true}
		begun, refused := time.Now(), &wire{}
		err := a.up(t.Context(), refused)
		if err == nil || !strings.Contains(err.Error(), "AWS Backup decides it") || time.Since(begun) > time.Minute {
			t.Errorf("up --backup-days 14 after %s: %v", time.Since(begun), err)
		}
		if days := *databaseOf(t, c).BackupRetentionPeriod; days != 3 || slices.Contains(refused.written(), "ModifyDBInstance") {
			t.Errorf("it keeps backups for %d days, and was sent %v", days, refused.written())
		}
		a.spec.BackupDays = 3
		if err := a.up(t.Context(), &wire{}); err != nil {
			t.Errorf("up --backup-days 3: %v", err)
		}
	})
}

// TestAPauseLeavesTheDatabaseToAOneOffTask pauses a stack while a task of 'bookctl run' is at
// work with its database, and one whose database still loads its data after a restore.
func TestAPauseLeavesTheDatabaseToAOneOffTask(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		before, err := a.inventory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		loading := c
		loading.RDS = rds.New(c.RDS.Options(), func(o *rds.Options) {
			o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
				return s.Initialize.Add(middleware.InitializeMiddlewareFunc("loading", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
					out, meta, err := next.HandleInitialize(ctx, in)
					if found, ok := out.Result.(*rds.DescribeDBInstancesOutput); ok && err == nil {
						for i := range found.DBInstances {
							found.DBInstances[i].DBInstanceStatus = aws.String("storage-initialization")
						}
					}
					return out, meta, err
				}), middleware.After)
			})
		})
		if _, err := paused(t, loading); err == nil || !strings.Contains(err.Error(), `database book-database is "storage-initialization"`) {
			t.Errorf("a database that loads its data: %v", err)
		}
		task, err := provision.StartOneOff(t.Context(), c, "book", "test", []string{"migrate"}, func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		_, err = paused(t, c)
		if err == nil || !strings.Contains(err.Error(), "task "+task.ID+" of "+task.Revision+", started by bookctl-run") || !strings.Contains(hint.Of(err).String(), "ecs stop-task --cluster book-cluster --task "+task.ID) {
			t.Errorf("while a one-off task runs: %v; next: %s", err, hint.Of(err))
		}
		if err := task.Stop(t.Context(), "enough"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		after, err := a.inventory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("a pause that is refused changes (-before +after):\n%s", diff)
		}
		if _, err := paused(t, c); err != nil {
			t.Errorf("once the task has ended: %v", err)
		}
	})
}
