package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// earlyTasks are the tasks of the first release of a stack, which start while the database
// is created. That saves the time in which their image is fetched and started. They read
// from the secret where the database is. Until it serves, and they are connected, ECS
// ignores their failed health checks.
type earlyTasks struct {
	database *Database
	// allowed reports whether this run may start them; see Stack.canStartEarly.
	allowed bool
}

const (
	// earlyGrace is how long, in seconds, early tasks may fail health checks: longer than a
	// database takes. It is also how a later run knows them. Once they serve it is set to
	// what is wanted, which starts no deployment
	// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html).
	earlyGrace = 2 * 60 * 60
	// earlyConnect is how long they have to be healthy, from when this run first
	// saw the database serve: a connection, the migrations of an empty database,
	// and two health checks.
	earlyConnect = time.Minute
)

// canStartEarly reports whether early tasks can be started for a stack that was just read.
// The image has to be one that reads from the secret where its database is, as those built
// by bookctl do. A restored database has an old password at first. And what serves already
// is not to be served by tasks that nobody has seen healthy, so this is for the first
// release of a stack alone.
func (s *Stack) canStartEarly() bool {
	if !s.spec.Wait || s.spec.NoDatabase || !s.spec.LocatesDatabase || s.spec.ReleaseCommand != "" || s.spec.Source == nil || s.spec.Image != "" || s.spec.Restore != "" {
		return false
	}
	if _, serves := s.database.serves(); serves {
		return false
	}
	if db := s.database.lastInstance(); db != nil && fromRDSTags(db.TagList)[TagSecretVersion] == "" {
		return false // it is being restored
	}
	live := s.service.lastService()
	return live == nil || startedEarly(live) && completed(live) == ""
}

// startedEarly reports whether the tasks of a service are early ones, and not treated as all
// others yet.
func startedEarly(live *types.Service) bool {
	return aws.ToInt32(live.HealthCheckGracePeriodSeconds) == earlyGrace
}

// dependency is the database as what tasks depend on: early ones only on that it is being
// created.
func (e earlyTasks) dependency() graph.Finder {
	if e.allowed {
		return graph.OnceCreated(e.database)
	}
	return e.database
}

// await reports whether tasks which start now have to wait until the database serves.
func (e earlyTasks) await() bool {
	_, serves := e.database.serves()
	return e.allowed && !serves
}

// earlyState is how far early tasks are. Its zero value is that of other tasks.
type earlyState struct {
	begun        bool
	awaits       bool   // they are still to be given time
	samePassword bool   // they have the current one, of another version of the secret
	note         string // what they wait for, "" where ECS says it
}

// read finds out how far early tasks are, whatever the run waits for otherwise. They are
// given time until the database serves, and then earlyConnect until the load balancer finds
// them healthy; after that ECS deals with them as with all others. ECS calling the rollout
// completed is not enough: no page of AWS's says what that means while health checks are
// ignored. SecretVersion is the one that they were started with.
func (e earlyTasks) read(ctx context.Context, live *types.Service, secretVersion string, health func(context.Context) ([]diagnosis.Target, error)) (earlyState, error) {
	out := earlyState{begun: true}
	since, serves := e.database.serves()
	if !serves {
		out.awaits, out.note = true, fmt.Sprintf("%d/%d running, tasks wait for the database", live.RunningCount, live.DesiredCount)
		return out, nil
	}
	if version := e.database.secretVersion(); secretVersion != version {
		var err error
		if out.samePassword, err = e.database.samePassword(ctx, secretVersion, version); err != nil || !out.samePassword {
			return out, err // where it is another one they are to be replaced
		}
	}
	if time.Since(since) > earlyConnect {
		return out, nil
	}
	targets, err := health(ctx)
	if err != nil {
		return out, err
	}
	healthy := int32(0)
	for _, t := range targets {
		if t.Health == string(elbtypes.TargetHealthStateEnumHealthy) {
			healthy++
		}
	}
	out.awaits = healthy < live.DesiredCount || completed(live) == ""
	return out, nil
}
