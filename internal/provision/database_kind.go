package provision

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// allInstances lists the instances of the account in the region, of whatever stack. With an
// error, it returns those that it has seen.
func allInstances(ctx context.Context, client *rds.Client) (all []types.DBInstance, err error) {
	pages := rds.NewDescribeDBInstancesPaginator(client, &rds.DescribeDBInstancesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return all, fmt.Errorf("describe the databases: %w", err)
		}
		all = append(all, page.DBInstances...)
	}
	return all, nil
}

// databaseKind lists the instances that have the stack's tag: its database, and copies of
// that, to which RDS gives its tags. Who may not list those of all stacks sees the database.
func (d rdsAccess) databaseKind() inventory.Kind {
	return inventory.Kind{Service: "rds", Type: "database", List: func(ctx context.Context) ([]inventory.Item, error) {
		all, err := allInstances(ctx, d.rds)
		if _, denied := Denied(err); denied {
			var db *types.DBInstance
			if db, err = d.instance(ctx); db != nil {
				all = []types.DBInstance{*db}
			}
		}
		var out []inventory.Item
		for _, db := range all {
			if fromRDSTags(db.TagList)[TagStack] == d.stack {
				out = append(out, inventory.Item{ID: aws.ToString(db.DBInstanceIdentifier)})
			}
		}
		return out, err
	}}
}

// foundKind is a kind of which a stack has one, listed by the resource that finds
// it.
func (d rdsAccess) foundKind(name string, r interface {
	Find(context.Context) (graph.State, error)
}) inventory.Kind {
	return inventory.Kind{Service: "rds", Type: name, List: func(ctx context.Context) ([]inventory.Item, error) {
		st, err := r.Find(ctx)
		if err != nil || st.Owner != d.stack {
			return nil, err
		}
		return []inventory.Item{{ID: st.ID}}, nil
	}}
}
