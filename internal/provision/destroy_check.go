package provision

import (
	"context"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// CheckDestroy says, before anything is touched, why a stack must not be
// destroyed: its database, load balancer or a log group is protected (ErrProtected), or the
// database could leave no final snapshot although one is wanted
// (ErrWouldLoseData), or a secret has replicas or is one. What is not this stack's is no reason: it is left alone.
// What was just read of the stack is not asked for again; the zero Deployed is fine.
func CheckDestroy(ctx context.Context, c Clients, stack string, have Deployed, skipSnapshot bool) error {
	ctx = graph.WhileObserving(ctx)
	ident := identity{stack: stack, observation: have.observation}
	d := rdsAccess{identity: ident, rds: c.RDS}
	db, err := d.instance(ctx)
	if err != nil {
		return err
	}
	if db != nil && fromRDSTags(db.TagList)[TagStack] == stack {
		if err := d.removable(db, skipSnapshot); err != nil {
			return err
		}
	}
	l := &LoadBalancer{elbAccess: elbAccess{identity: ident, elb: c.ELB}}
	b, err := l.describe(ctx)
	if err != nil {
		return err
	}
	if err := l.removable(ctx, b); err != nil {
		return err
	}
	if err := (logsAccess{identity: ident, logs: c.Logs}).removable(ctx); err != nil {
		return err
	}
	return ident.checkSecrets(ctx, c.Secrets)
}
