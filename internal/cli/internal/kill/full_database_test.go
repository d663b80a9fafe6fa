package kill_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/runlock"
)

// TestAFullDatabaseIsWaitedForWhileItGrows gives a database whose storage is full more of it: RDS
// shows it as full until it has that.
func TestAFullDatabaseIsWaitedForWhileItGrows(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		full := provision.NewClients(a.config(&wire{}))
		full.RDS = rds.New(full.RDS.Options(), func(o *rds.Options) {
			o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
				return s.Initialize.Add(middleware.InitializeMiddlewareFunc("full", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
					out, m, err := next.HandleInitialize(ctx, in)
					if d, ok := out.Result.(*rds.DescribeDBInstancesOutput); ok {
						for i := range d.DBInstances {
							if *d.DBInstances[i].DBInstanceStatus == "available" && *d.DBInstances[i].AllocatedStorage < 40 {
								d.DBInstances[i].DBInstanceStatus = aws.String("storage-full")
							}
						}
					}
					return out, m, err
				}), middleware.Before)
			})
		})
		// Somebody has asked for more already, in the maintenance window.
		if _, err := c.RDS.ModifyDBInstance(t.Context(), &rds.ModifyDBInstanceInput{
			DBInstanceIdentifier: aws.String("book-database"), AllocatedStorage: aws.Int32(40),
		}); err != nil {
			t.Fatal(err)
		}
		spec := a.spec
		spec.DBStorage, spec.Said = 40, map[string]bool{"db-storage": true}
		image, err := a.image()
		if err != nil {
			t.Fatal(err)
		}
		spec.Source = source{image, &wire{}, a.by}
		begun := time.Now()
		if _, _, err := (provision.Run{Clients: full, Spec: spec, Holder: "test", Lock: runlock.Options{Force: true, VisibilityDelay: a.visibilityDelay}}).Up(t.Context()); err != nil || time.Since(begun) > time.Hour {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		if gib := *databaseOf(t, c).AllocatedStorage; gib != 40 {
			t.Errorf("it has %d GiB", gib)
		}
	})
}
