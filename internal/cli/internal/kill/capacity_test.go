package kill_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/runlock"
)

// answering returns clients whose calls of RDS fail with what answer returns of their input, or
// else have the output that it has changed. Before a call, out is nil.
func (a *account) answering(answer func(in, out any) error) provision.Clients {
	c := provision.NewClients(a.config(&wire{}))
	c.RDS = rds.New(c.RDS.Options(), func(o *rds.Options) {
		o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
			return s.Initialize.Add(middleware.InitializeMiddlewareFunc("answer", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
				if err := answer(in.Parameters, nil); err != nil {
					return middleware.InitializeOutput{}, middleware.Metadata{}, err
				}
				out, m, err := next.HandleInitialize(ctx, in)
				if err == nil {
					err = answer(in.Parameters, out.Result)
				}
				return out, m, err
			}), middleware.Before)
		})
	})
	return c
}

// lacking shows databases as RDS does if it has no instance of their class for them.
func lacking(ran bool) func(in, out any) error {
	return func(_, out any) error {
		if d, ok := out.(*rds.DescribeDBInstancesOutput); ok {
			for i := range d.DBInstances {
				db := &d.DBInstances[i]
				db.DBInstanceStatus = aws.String("insufficient-capacity")
				if !ran {
					db.InstanceCreateTime, db.LatestRestorableTime = nil, nil
				}
			}
		}
		return nil
	}
}

// deletedAlone is the command for an instance that leaves no snapshot.
const deletedAlone = "'aws rds delete-db-instance --db-instance-identifier book-database --skip-final-snapshot --no-delete-automated-backups' deletes it alone"

// TestADatabaseWithoutCapacityHasAWayOut has AWS lack instances of the database's class: for one
// that it creates, for one that has run, and for one that it starts again. RDS changes the class
// of none of them.
func TestADatabaseWithoutCapacityHasAWayOut(t *testing.T) {
	t.Parallel()
	const other = "'bookctl destroy' leaves its final snapshot, and 'bookctl up --restore latest --db-class CLASS' starts from that with another class"
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		next := func(answer func(in, out any) error) string {
			_, _, err := provision.Run{Clients: a.answering(answer), Spec: a.spec, Holder: "test", Lock: runlock.Options{Force: true, VisibilityDelay: a.visibilityDelay}}.Up(t.Context())
			if err == nil {
				t.Error("an up without capacity succeeds")
			}
			return hint.Of(err).String()
		}
		if said := next(lacking(false)); !strings.Contains(said, deletedAlone) || !strings.Contains(said, "'bookctl up --db-class CLASS'") {
			t.Errorf("of one that never ran: %s", said)
		}
		if said := next(lacking(true)); !strings.Contains(said, other) || strings.Contains(said, "--skip-final-snapshot") {
			t.Errorf("of one that ran: %s", said)
		}
		if _, err := paused(t, c); err != nil {
			t.Fatal(err)
		}
		if said := next(func(in, _ any) error {
			if _, start := in.(*rds.StartDBInstanceInput); start {
				return &smithy.GenericAPIError{Code: "InsufficientDBInstanceCapacity", Message: "no capacity"}
			}
			return nil
		}); !strings.Contains(said, other) {
			t.Errorf("of one that is started: %s", said)
		}
	})
}

// TestADestroyEndsWhereTheDatabaseLeavesNoSnapshot destroys a stack whose database RDS could not
// create, which shows before anything is deleted, and then one in a state that does not pass and
// in which RDS takes no snapshot, which only the call shows.
func TestADestroyEndsWhereTheDatabaseLeavesNoSnapshot(t *testing.T) {
	t.Parallel()
	const refusal = "Cannot create a snapshot because the database instance book-database is not currently in the available state."
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		destroy := func(answer func(in, out any) error) (took time.Duration, err error) {
			clients, begun := a.answering(answer), time.Now()
			have, err := provision.ReadDeployed(t.Context(), clients, "book")
			if err != nil {
				t.Fatal(err)
			}
			if err := provision.CheckDestroy(t.Context(), clients, "book", have, false); err != nil {
				return time.Since(begun), err
			}
			spec := a.spec
			spec.Deployed, spec.Settings = &have, have.Settings
			_, err = provision.Run{Clients: clients, Spec: spec, Holder: "test", Lock: runlock.Options{Force: true, VisibilityDelay: a.visibilityDelay}}.Destroy(t.Context(), false, time.Minute)
			return time.Since(begun), err
		}
		before, err := a.inventory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		took, err := destroy(lacking(false))
		if said := hint.Of(err).String(); !errors.Is(err, provision.ErrWouldLoseData) || took > time.Minute || !strings.Contains(said, deletedAlone+", and keeps all snapshots and backups; then 'bookctl destroy'") {
			t.Errorf("of one that never ran, after %s: %v; %s", took, err, said)
		}
		after, err := a.inventory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("a destroy that is refused changes (-before +after):\n%s", diff)
		}

		took, err = destroy(func(in, out any) error {
			if _, ok := in.(*rds.DeleteDBInstanceInput); ok {
				return &smithy.GenericAPIError{Code: "InvalidDBInstanceState", Message: refusal}
			}
			if d, ok := out.(*rds.DescribeDBInstancesOutput); ok {
				for i := range d.DBInstances {
					d.DBInstances[i].DBInstanceStatus = aws.String("incompatible-parameters")
				}
			}
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "delete database book-database, which is incompatible-parameters: ") || !strings.Contains(err.Error(), refusal) || took > 15*time.Minute {
			t.Errorf("after %s: %v", took, err)
		}
		if said := hint.Of(err).String(); !strings.Contains(said, "undo what was changed in its parameter group; or 'bookctl destroy --purge-snapshots' deletes it with every snapshot") {
			t.Errorf("next: %s", said)
		}
		if db := databaseOf(t, c); *db.DBInstanceStatus != "available" {
			t.Errorf("afterwards it is %s", *db.DBInstanceStatus)
		}
	})
}
