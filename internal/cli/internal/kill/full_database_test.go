package kill_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/runlock"
)

// fullBelow are clients to which the database is shown as full while it has less than so many GiB.
func fullBelow(a *account, gib int32) provision.Clients {
	full := provision.NewClients(a.config(&wire{}))
	full.RDS = rds.New(full.RDS.Options(), func(o *rds.Options) {
		o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
			return s.Initialize.Add(middleware.InitializeMiddlewareFunc("full", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
				out, m, err := next.HandleInitialize(ctx, in)
				if d, ok := out.Result.(*rds.DescribeDBInstancesOutput); ok {
					for i := range d.DBInstances {
						if slices.Contains([]string{"available", "storage-optimization"}, *d.DBInstances[i].DBInstanceStatus) && *d.DBInstances[i].AllocatedStorage < gib {
							d.DBInstances[i].DBInstanceStatus = aws.String("storage-full")
						}
					}
				}
				return out, m, err
			}), middleware.Before)
		})
	})
	return full
}

// upFull is an up with so much storage.
func upFull(t *testing.T, a *account, full provision.Clients, gib int32) error {
	t.Helper()
	spec := a.spec
	spec.DBStorage, spec.GivenFlags = gib, map[string]bool{"db-storage": true}
	image, err := a.image()
	if err != nil {
		t.Fatal(err)
	}
	spec.Source = source{image, &wire{}, a.by}
	_, _, err = (provision.Run{Clients: full, Spec: spec, Holder: "test", Lock: runlock.Options{Force: true, VisibilityDelay: a.visibilityDelay}}).Up(t.Context())
	return err
}

// TestAFullDatabaseThatHasJustGrownTakesNoMore fills a database while RDS optimizes its last
// growth, in which it takes no other.
func TestAFullDatabaseThatHasJustGrownTakesNoMore(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		grow(t, c)
		time.Sleep(10 * time.Minute)
		err := upFull(t, a, fullBelow(a, 100), 100)
		if said := hint.Of(err).String(); err == nil || !strings.Contains(err.Error(), "the previous storage change is being optimized") || !strings.Contains(said, "six hours") ||
			!strings.Contains(said, "'bookctl db psql'") || strings.Contains(said, "--db-storage") {
			t.Errorf("up: %v; next: %s", err, said)
		}
		if gib := *databaseOf(t, c).AllocatedStorage; gib != 40 {
			t.Errorf("it has %d GiB", gib)
		}
	})
}

// TestAFullDatabaseIsWaitedForWhileItGrows gives a database whose storage is full more of it: RDS
// shows it as full until it has that.
func TestAFullDatabaseIsWaitedForWhileItGrows(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		full := fullBelow(a, 40)
		// Somebody has asked for more already, in the maintenance window.
		if _, err := c.RDS.ModifyDBInstance(t.Context(), &rds.ModifyDBInstanceInput{
			DBInstanceIdentifier: aws.String("book-database"), AllocatedStorage: aws.Int32(40),
		}); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := upFull(t, a, full, 40); err != nil || time.Since(begun) > time.Hour {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		if gib := *databaseOf(t, c).AllocatedStorage; gib != 40 {
			t.Errorf("it has %d GiB", gib)
		}
	})
}
