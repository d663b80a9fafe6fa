package provision

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/rds"
)

// PurgeSnapshots is what a destroy with --purge-snapshots does of snapshots when the database
// is gone, without the destroy.
func PurgeSnapshots(ctx context.Context, client *rds.Client, stack string, guard func(context.Context) error) ([]Snapshot, error) {
	return (&purger{client: client, stack: stack, guard: guard}).deleteAll(ctx)
}
