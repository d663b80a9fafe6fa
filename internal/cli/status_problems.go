package cli

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// findProblems finds problems and drift.
func (o *statusOutput) findProblems(found []graph.Finding, g *globals) {
	databaseFailed := o.resourceProblems(found, g)
	if !o.Paused.IsZero() {
		o.problem("it is paused since %s", o.Paused.UTC().Format(minute))
	}
	if o.Service.Found {
		o.serviceProblems()
	}
	if !databaseFailed {
		o.databaseProblem()
	}
	o.urlProblem()
	o.Healthy = len(o.Problems) == 0
}

// problem adds a problem.
func (o *statusOutput) problem(format string, args ...any) {
	o.Problems = append(o.Problems, fmt.Sprintf(format, args...))
}

// resourceProblems finds resources that are missing or failed, and drift. It reports whether
// the database failed.
func (o *statusOutput) resourceProblems(found []graph.Finding, g *globals) (databaseFailed bool) {
	for _, f := range found {
		switch {
		case f.Phase == graph.Absent && f.Name == "image" && o.Service.Found && o.Image.Gone:
			continue // serviceProblems reports it, with what it means
		case f.Phase == graph.Absent && !f.Unwanted:
			o.partial = true
			o.problem("%s is missing%s", f.Name, wrapIfAny(": ", f.Note, ""))
			if f.Note == "" {
				o.missing = append(o.missing, f.Name)
			}
			continue
		case f.Phase == graph.Absent:
			continue
		case f.Owner != o.Stack:
			o.problem("%s %s", f.Name, graph.ErrUnmanaged)
			continue
		case f.Phase == graph.Terminating:
			o.problem("%s is being deleted", f.Name)
		case f.Phase == graph.Unrecoverable:
			o.broken, databaseFailed = true, databaseFailed || f.Name == "database"
			o.problem("%s failed: %s%s", f.Name, f.Note, wrapIfAny("; ", f.Next.Show(g.showCommand), ""))
		}
		if changes := o.unreleased(f); len(changes) > 0 {
			o.Drift = append(o.Drift, drifted{f.Name, g.withHints(changes)})
		}
	}
	return databaseFailed
}

// serviceProblems finds what is wrong with the service, its tasks and their targets.
func (o *statusOutput) serviceProblems() {
	s := o.Service
	if s.Running < s.Desired {
		o.problem("%d of %d tasks are running%s", s.Running, s.Desired, o.lastEvent())
	}
	if o.Image.Gone {
		o.problem("the image that the service runs, %s, is no longer in the stack's repository, and no new task can start", digestOf(o.Image.Reference))
	}
	if s.Rollout == "FAILED" {
		o.problem("the rollout of %s failed: %s", s.Revision, s.Reason)
	}
	for _, t := range o.Tasks {
		if t.Health == "UNHEALTHY" {
			o.problem("task %s fails its own health check", shortID(t.ID))
		}
	}
	healthy := 0
	for _, t := range o.Targets {
		switch t.Health {
		case "healthy":
			healthy++
		case "unhealthy":
			o.problem("the load balancer finds %s unhealthy: %s", t.Address, firstReason(t.Description, t.Reason))
		}
	}
	if healthy == 0 && s.Desired > 0 && o.Paused.IsZero() {
		o.problem("no task is healthy behind the load balancer")
	}
}

// databaseProblem reports a database that takes no connections, unless a pause stopped it.
func (o *statusOutput) databaseProblem() {
	if d := o.Database; d != nil && !servingDatabase[d.State] && (o.Paused.IsZero() || !restingDatabase[d.State]) {
		o.problem("the database is %s", d.State)
	}
}

// urlProblem reports a URL that does not answer as it should. Without a service, the load
// balancer's 503 says nothing new.
func (o *statusOutput) urlProblem() {
	if a := o.Answer; a != nil && !a.Ready && o.Paused.IsZero() && (o.Service.Found || a.Code < http.StatusInternalServerError) {
		o.problem("%s", a.complaint())
	}
}

// unreleased is the drift of a resource without that of a failed release, which is reported
// as such.
func (o *statusOutput) unreleased(f graph.Finding) []graph.Change {
	if o.Newer == nil || !o.Newer.Failed || f.Name != "service" {
		return f.Drift
	}
	return slices.DeleteFunc(slices.Clone(f.Drift), func(c graph.Change) bool { return c.Field == "task-definition" })
}

// servingDatabase are the states in which RDS's databases take connections.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html#Overview.DBInstance.Status
var servingDatabase = map[string]bool{
	"available": true, "backing-up": true, "configuring-enhanced-monitoring": true, "configuring-iam-database-auth": true, "configuring-log-exports": true,
	"modifying": true, "moving-to-vpc": true, "resetting-master-credentials": true, "storage-optimization": true,
	"storage-config-upgrade": true, "storage-initialization": true, "upgrading": true, "maintenance": true, "storage-full": false,
}

// restingDatabase are the states of a database whose stack is paused.
var restingDatabase = map[string]bool{"stopping": true, "stopped": true}

// resting reports whether the stack is paused and has no other problem.
func (o *statusOutput) resting() bool { return !o.Paused.IsZero() && len(o.Problems) == 1 }

func (o *statusOutput) lastEvent() string {
	if len(o.Service.Events) == 0 {
		return ""
	}
	return ": " + o.Service.Events[0].Message
}
