package kill_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/runlock"
	"github.com/bookctl/bookctl/internal/runlock/parameterstore"
)

// TestALockThatIsLeftBehind has runs that take no lock from a holder that may be alive: one that
// was interrupted has given it back, and that of one that was killed expires.
func TestALockThatIsLeftBehind(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, _ provision.Clients) {
		ctx := t.Context()
		a.polite = true
		a.spec.BackupDays++
		short, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		interrupted := &wire{}
		if err := a.up(short, interrupted); err == nil || !slices.Contains(interrupted.written(), "ModifyDBInstance") {
			t.Errorf("an up that is interrupted: %v, written %v", err, interrupted.written())
		}
		if err := errors.Join(a.up(ctx, &wire{}), a.quiet(ctx)); err != nil {
			t.Errorf("after a run that was interrupted: %v", err)
		}
		if err := a.killedOf(ctx, a.rotate, "ModifyDBInstance", beforeSent); err != nil {
			t.Fatal(err)
		}
		held := &wire{}
		var locked *runlock.LockedError
		if err := a.up(ctx, held); !errors.As(err, &locked) || locked.Holder != "test" || len(held.written()) > 1 { // it tries to take the lock
			t.Fatalf("after a run that was killed: %v, written %v", err, held.written())
		}
		time.Sleep(11 * time.Minute)
		if err := errors.Join(a.up(ctx, &wire{}), a.quiet(ctx)); err != nil {
			t.Errorf("once the lock of a run that was killed has expired: %v", err)
		}
	})
}

// suspended is a run during which the machine sleeps for some minutes once an action is done
// so many times, while another run takes the lock. It returns what the run writes after that.
func (a *account) suspended(t *testing.T, run func(context.Context, *wire) error, action string, times int) []string {
	t.Helper()
	var (
		seen   atomic.Int64
		other  *runlock.Lock
		before int
		w      = &wire{}
	)
	w.then = func(done string) {
		if done != action || int(seen.Add(1)) != times {
			return
		}
		var err error
		store := parameterstore.New(provision.NewClients(a.config(&wire{})).SSM, a.spec.Stack, a.spec.Version)
		if other, err = runlock.Acquire(t.Context(), store, a.spec.Stack, "other", runlock.Options{Force: true}); err != nil {
			t.Error(err)
		}
		before = len(w.written())
		time.Sleep(5 * time.Minute)
	}
	err := run(t.Context(), w)
	if other == nil {
		t.Fatalf("the run was not suspended after %s: %v, written %v", action, err, w.written())
	}
	if !errors.Is(err, runlock.ErrLost) {
		t.Errorf("suspended after %s, it ends with %v", action, err)
	}
	if err := other.Release(t.Context()); err != nil {
		t.Error(err)
	}
	return slices.DeleteFunc(w.written()[before:], func(write string) bool {
		return strings.HasSuffix(write, "Parameter") || strings.HasSuffix(write, "Parameters")
	})
}

// TestARunThatLostItsLockChangesNothing suspends a pause, an up that tries a health
// check, and a purge before their changes.
func TestARunThatLostItsLockChangesNothing(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		ctx := t.Context()
		a.spec.AlarmEmail, a.spec.Min, a.spec.Max = "ops@example.com", 1, 2
		for action, times := range map[string]int{"DescribeServices": 1, "TagResource": 1, "RegisterScalableTarget": 1, "PutMetricAlarm": 5, "UpdateService": 1} {
			if err := a.up(ctx, &wire{}); err != nil {
				t.Fatal(err)
			}
			if wrote := a.suspended(t, a.pause, action, times); len(wrote) > 0 {
				t.Errorf("a pause that is suspended after %s writes %v", action, wrote)
			}
		}
		if err := a.up(ctx, &wire{}); err != nil {
			t.Fatal(err)
		}
		wanting := &wire{then: func(action string) {
			if action != "UpdateService" {
				return
			}
			if _, err := c.ECS.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String("book-cluster"), Service: aws.String("book-service"), DesiredCount: aws.Int32(1)}); err != nil {
				t.Error(err)
			}
		}}
		if err := a.pause(ctx, wanting); err == nil || !strings.Contains(err.Error(), "somebody wants 1 tasks of it again") {
			t.Errorf("a pause during which somebody wants tasks: %v", err)
		}

		if err := a.up(ctx, &wire{}); err != nil {
			t.Fatal(err)
		}
		a.spec.HealthPath = "/other"
		if wrote := a.suspended(t, a.up, "ModifyTargetGroup", 1); len(wrote) > 0 {
			t.Errorf("an up that is suspended after it changed the health check writes %v", wrote)
		}
		if _, err := c.RDS.CreateDBSnapshot(ctx, &rds.CreateDBSnapshotInput{
			DBInstanceIdentifier: aws.String("book-database"), DBSnapshotIdentifier: aws.String("of-the-stack"), Tags: []rdstypes.Tag{{Key: aws.String(provision.TagStack), Value: aws.String("book")}},
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		a.keeping = true
		if err := a.destroy(ctx, &wire{}); err != nil {
			t.Fatal(err)
		}
		a.keeping = false
		for _, name := range []string{"one", "another"} {
			if _, err := c.EC2.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
				GroupName: &name, Description: aws.String("of the stack"), TagSpecifications: []ec2types.TagSpecification{{
					ResourceType: ec2types.ResourceTypeSecurityGroup, Tags: []ec2types.Tag{{Key: aws.String(provision.TagStack), Value: aws.String("book")}},
				}},
			}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)                                                      // the name of the lock is free again
		for _, action := range []string{"DeleteSecurityGroup", "DeleteDBSnapshot"} { // of two each
			if wrote := a.suspended(t, a.destroy, action, 1); len(wrote) > 0 {
				t.Errorf("a purge that is suspended after %s writes %v", action, wrote)
			}
		}
	})
}
