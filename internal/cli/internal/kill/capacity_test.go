package kill_test

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/runlock"
)

// TestADatabaseWithoutCapacityHasAWayOut has AWS lack instances of the database's class: for one
// that it creates, for one that has run, and for one that it starts again. RDS changes the class
// of none of them.
func TestADatabaseWithoutCapacityHasAWayOut(t *testing.T) {
	t.Parallel()
	const (
		alone = "'aws rds delete-db-instance --db-instance-identifier book-database --skip-final-snapshot --no-delete-automated-backups' deletes it alone"
		other = "'bookctl destroy' leaves its final snapshot, and 'bookctl up --restore latest --db-class CLASS' starts from that with another class"
	)
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		next := func(answer func(in, out any) error) string {
			clients := provision.NewClients(a.config(&wire{}))
			clients.RDS = rds.New(clients.RDS.Options(), func(o *rds.Options) {
				o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
					return s.Initialize.Add(middleware.InitializeMiddlewareFunc("capacity", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
						out, m, err := next.HandleInitialize(ctx, in)
						if refused := answer(in.Parameters, out.Result); refused != nil {
							return out, m, refused
						}
						return out, m, err
					}), middleware.Before)
				})
			})
			_, _, err := provision.Run{Clients: clients, Spec: a.spec, Holder: "test", Lock: runlock.Options{Force: true, VisibilityDelay: a.visibilityDelay}}.Up(t.Context())
			if err == nil {
				t.Error("an up without capacity succeeds")
			}
			return hint.Of(err).String()
		}
		lacking := func(ran bool) func(in, out any) error {
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
		if said := next(lacking(false)); !strings.Contains(said, alone) || !strings.Contains(said, "'bookctl up --db-class CLASS'") {
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
