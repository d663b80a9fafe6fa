package kill_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/memory"
	"github.com/bookctl/bookctl/internal/provision"
)

// withDatabase runs a test of a stack in memory whose operations take as long as on AWS.
func withDatabase(t *testing.T, test func(*testing.T, *account, provision.Clients)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := &account{image: noImage, retry: func() aws.Retryer { return provision.NewRetryer(10 * time.Second) }}
		a.open(t, localcloud.Config{StateDir: t.TempDir(), Runtimes: memory.Runtimes, Latencies: localcloud.TypicalLatencies()}, 8080)
		time.Sleep(time.Minute) // the name of the lock is free again
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
