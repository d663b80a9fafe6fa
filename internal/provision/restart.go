package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Restarted is what a restart replaced.
type Restarted struct {
	// Release is the task definition of the new tasks, and of the ones before them.
	Release string
	// Tasks is how many new tasks serve.
	Tasks int32
}

// RestartError is a restart whose new tasks did not come up, with what AWS shows of it.
// The tasks from before serve on: they are stopped only behind healthy ones.
type RestartError struct {
	Err      error
	Evidence diagnosis.Evidence
}

func (e *RestartError) Error() string { return e.Err.Error() }

func (e *RestartError) Unwrap() error { return e.Err }

// Restart replaces every task of the service by a new one of the same release,
// without a gap, and returns when the new ones serve. Tasks read the secret
// when they start, so the service then carries the version that the database
// notes. Settings are those of the stack: ECS waits for the requests at the old tasks as long as
// they say. Progress, which may be nil, is called with what ECS says.
//
// The only thing of the service that changes is its deployment, which nothing compares:
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html#ECS-UpdateService-request-forceNewDeployment
func Restart(ctx context.Context, c Clients, stack string, settings Settings, progress func(string)) (Restarted, error) {
	in := ecsAccess{identity: identity{stack: stack}, ecs: c.ECS}
	s := in.service()
	live, err := s.describe(ctx)
	switch {
	case err != nil:
		return Restarted{}, err
	case live == nil:
		return Restarted{}, hint.With(fmt.Errorf("stack %s has no service", stack), "%s makes it", hint.Command("up"))
	case fromECSTags(live.Tags)[TagStack] != stack:
		return Restarted{}, fmt.Errorf("service %s: %w %s", s.serviceName(), graph.ErrUnmanaged, stack)
	}
	db, err := rdsAccess{identity: s.identity, rds: c.RDS}.instance(ctx)
	if err != nil {
		return Restarted{}, err
	}
	version := ""
	if db != nil {
		version = fromRDSTags(db.TagList)[TagSecretVersion]
	}
	update := &ecs.UpdateServiceInput{
		Cluster: aws.String(s.cluster.clusterName()), Service: aws.String(s.serviceName()), ForceNewDeployment: true,
	}
	// ECS takes another strategy in the call that begins the deployment.
	outdated := version != "" && fromECSTags(live.Tags)[TagSecretVersion] != version && strategyOf(live.DeploymentConfiguration).Shifts()
	if outdated {
		update.DeploymentConfiguration = withAllAtOnce(*live.DeploymentConfiguration)
	}
	s.forgetRollout(live, update)
	out, err := s.ecs.UpdateService(ctx, update)
	if err != nil {
		return Restarted{}, fmt.Errorf("restart service %s: %w", s.serviceName(), err)
	}
	s.followRollout(out.Service)
	own, err := s.restarted(ctx, longDrain(settings.drainTime()), progress)
	if err == nil && version != "" {
		err = s.noteVersion(ctx, aws.ToString(live.ServiceArn), version)
	}
	if err == nil && outdated {
		err = s.configure(ctx, *live.DeploymentConfiguration)
	}
	if err == nil {
		return Restarted{Release: nameInARN(aws.ToString(own.TaskDefinition)), Tasks: own.RunningCount}, nil
	}
	late := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, graph.ErrTimeout)
	if !late && !errors.Is(err, errRestartFailed) {
		return Restarted{}, err
	}
	// What can't be read of it is left out, and the failure is reported all the same.
	look, done := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer done()
	return Restarted{}, &RestartError{err, s.restartEvidence(look, c, db)}
}

// configure gives the service back how its releases go, and begins no deployment. Where it
// is cut off before, the next 'up' does it.
func (s *Service) configure(ctx context.Context, c types.DeploymentConfiguration) error {
	if c.Alarms == nil {
		c.Alarms = &types.DeploymentAlarms{AlarmNames: []string{}}
	}
	_, err := s.ecs.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String(s.cluster.clusterName()), Service: aws.String(s.serviceName()), DeploymentConfiguration: &c})
	if err != nil {
		return hint.With(fmt.Errorf("the new tasks serve, but service %s has not got its deployment strategy back: %w", s.serviceName(), err), "%s gives it back", hint.Command("up"))
	}
	return nil
}

// errRestartFailed reports that ECS gave a restart up.
var errRestartFailed = errors.New("the restart failed")

// restarted waits for the rollout that this run started, and returns it as it ended. Drain is
// how much longer it may take as its requests do.
func (s *Service) restarted(ctx context.Context, drain time.Duration, progress func(string)) (types.Deployment, error) {
	limit := rolloutTimeout + drain
	for pause, lastNote := 100*time.Millisecond, ""; ; pause = min(pause*3/2, 5*time.Second) {
		var (
			own           *types.Deployment
			notUpdated    bool
			note, shifted string
		)
		live, err := s.describe(ctx)
		if live != nil {
			own, notUpdated = s.ownDeployment(live), s.recordNotUpdated(live)
			note = fmt.Sprintf("%d/%d running", live.RunningCount, live.DesiredCount)
			limit, shifted, err = s.restarting(ctx, live, drain)
		}
		silence := unanswered(err)
		switch {
		case silence != "" && time.Since(s.startedAt) <= limit:
			note = silence
		case err != nil:
			return types.Deployment{}, err
		case live == nil:
			return types.Deployment{}, fmt.Errorf("service %s is gone", s.serviceName())
		case own == nil && time.Since(s.startedAt) > rolloutUnseenTime:
			return types.Deployment{}, fmt.Errorf("service %s: deployment %s was replaced by another", s.serviceName(), s.deployment)
		case own != nil && !notUpdated && own.RolloutState == types.DeploymentRolloutStateFailed:
			return types.Deployment{}, fmt.Errorf("service %s: %w: %s", s.serviceName(), errRestartFailed, aws.ToString(own.RolloutStateReason))
		case own != nil && !notUpdated && own.RolloutState == types.DeploymentRolloutStateCompleted && own.RunningCount >= own.DesiredCount:
			return *own, nil
		case time.Since(s.startedAt) > limit && own != nil && own.RunningCount >= own.DesiredCount:
			return types.Deployment{}, fmt.Errorf("service %s: %w: the new tasks run, and tasks from before have not ended after %s", s.serviceName(), graph.ErrTimeout, limit)
		case time.Since(s.startedAt) > limit:
			return types.Deployment{}, fmt.Errorf("service %s: %w: the new tasks do not serve after %s", s.serviceName(), graph.ErrTimeout, limit)
		case own != nil:
			note = fmt.Sprintf("%d/%d new tasks running", own.RunningCount, own.DesiredCount) + shifted
		}
		if note != lastNote && progress != nil {
			progress(note)
			lastNote = note
		}
		if err := graph.Sleep(ctx, pause); err != nil {
			return types.Deployment{}, err
		}
	}
}

// restarting is how long the rollout may take, and how far it is where the traffic is
// shifted. One whose tasks fail is taken back: no circuit breaker does that there.
func (s *Service) restarting(ctx context.Context, live *types.Service, drain time.Duration) (limit time.Duration, note string, err error) {
	s.noteRecord(live)
	d, err := s.watchedRecord(ctx, live)
	most := rolloutTimeout + gracePeriod(live) + drain
	if d == nil || err != nil {
		return most + strategyOf(live.DeploymentConfiguration).Takes(), "", err
	}
	limit = most + strategyOf(d.DeploymentConfiguration).Takes() + backTime
	died, err := s.countFailedTasks(ctx, live, d)
	if err != nil {
		return limit, "", err
	}
	phase, note, failing := s.shiftProgress(live, d, died, drain)
	switch {
	case failing != "":
		if err := s.stopDeployment(ctx, aws.ToString(d.ServiceDeploymentArn)); err != nil {
			return limit, "", err
		}
		return limit, "", fmt.Errorf("service %s: %w: %s", s.serviceName(), errRestartFailed, failing)
	case phase == graph.Unrecoverable:
		return limit, "", fmt.Errorf("service %s: %w: %s", s.serviceName(), errRestartFailed, note)
	case d.FinishedAt != nil:
		return limit, "", nil
	}
	return limit, ", " + shiftingOf(d).Text(), nil
}

// ownDeployment is the one that this run started, or nil where it is not listed.
func (s *Service) ownDeployment(live *types.Service) *types.Deployment {
	return deployment(live, func(d types.Deployment) bool { return aws.ToString(d.Id) == s.deployment })
}

// restartEvidence gathers why the new tasks of a restart did not come up. They are of
// the same revision as those from before; their deployment is another one.
func (s *Service) restartEvidence(ctx context.Context, c Clients, db *rdstypes.DBInstance) diagnosis.Evidence {
	d := diagnosis.Evidence{Restart: true}
	if db != nil {
		d.Database = aws.ToString(db.DBInstanceStatus)
	}
	live, err := s.describe(ctx)
	if err != nil || live == nil {
		return d
	}
	d.Wanted = nameInARN(aws.ToString(live.TaskDefinition))
	began := s.startedAt
	if own := s.ownDeployment(live); own != nil {
		d.Wanted, began = nameInARN(aws.ToString(own.TaskDefinition)), aws.ToTime(own.CreatedAt)
	}
	if old := deployment(live, func(p types.Deployment) bool { return p.RunningCount > 0 && aws.ToString(p.Id) != s.deployment }); old != nil {
		d.Serving = nameInARN(aws.ToString(old.TaskDefinition))
	}
	d.Events = slices.DeleteFunc(lastEvents(live, diagnosedEvents), func(e diagnosis.Event) bool { return e.Time.Before(began) })
	stopped, _ := s.tasks(ctx, types.DesiredStatusStopped)
	d.Stopped = slices.DeleteFunc(stopped, func(t diagnosis.Task) bool { return t.Deployment != s.deployment })
	for _, b := range live.LoadBalancers {
		groups := []*string{b.TargetGroupArn}
		if b.AdvancedConfiguration != nil { // the new tasks may be in either
			groups = append(groups, b.AdvancedConfiguration.AlternateTargetGroupArn)
		}
		for _, g := range groups {
			targets, _ := targetHealth(ctx, c.ELB, aws.ToString(g))
			d.Targets = append(d.Targets, targets...)
		}
	}
	last := d.Culprit()
	if last == nil {
		running, _ := s.tasks(ctx, types.DesiredStatusRunning)
		if i := slices.IndexFunc(running, func(t diagnosis.Task) bool { return t.Deployment == s.deployment }); i >= 0 {
			last = &running[i]
		}
	}
	if last != nil {
		d.Output, _ = newLogGroup(logsAccess{identity: s.identity, logs: c.Logs}, logRetention{}).tail(ctx, logStream(last.ID), diagnosedLines)
	}
	return d
}
