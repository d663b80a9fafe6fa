package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/runlock"
)

// A target group has one health check, and a stack has tasks of two releases while one
// takes the place of the other: ECS replaces those that fail it, whichever release they
// are of. So the check is that of the release that serves, until another one begins.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_services.html
//
// The target group repairs it to that of the release that serves. The service sets
// another one, right before the release that goes with it, and gives the former one
// back when that fails.

// The fields of a health check that a release has its own of.
const (
	fieldCheckPath  = "health-check-path"
	fieldCheckCodes = "healthy-codes"
	// fieldCheck is the drift of a check that this run set, and that is given back.
	fieldCheck = "health-check"
)

// checkTags record the check of a release, and who chose it.
var checkTags = []string{settingTag("health-path"), settingTag("health-status"), tagChosen}

// checkSpec is what a health check asks for, and the answers of a healthy task.
type checkSpec struct{ path, codes string }

func (c checkSpec) String() string { return c.path + " " + c.codes }

// checkOf is the check that a release records.
func checkOf(r revision) checkSpec {
	s := DefaultSettings()
	releaseOf(r).Contract(&s)
	return checkSpec{s.HealthPath, s.HealthStatus}
}

// checkInForce is by which check the tasks of the service are to be judged. Its zero value
// is for a stack without a service.
type checkInForce struct {
	checkSpec
	// both reports whether the traffic is being shifted between two releases, each with its
	// own check in its own target group.
	both bool
}

// checkInForce asks ECS which release the service runs.
func (c ecsAccess) checkInForce(ctx context.Context) (checkInForce, error) {
	live, err := c.ownService(ctx)
	if live == nil || err != nil {
		return checkInForce{}, err
	}
	if strategyOf(live.DeploymentConfiguration).Shifts() && deploying(live) {
		return checkInForce{both: true}, nil
	}
	r, err := c.deployed(ctx, aws.ToString(live.TaskDefinition))
	if err != nil || r.live == nil {
		return checkInForce{}, err
	}
	return checkInForce{checkSpec: checkOf(r)}, nil
}

// deployed returns a revision that the service runs, or none. Mostly it is the newest one,
// which was read anyway.
func (c ecsAccess) deployed(ctx context.Context, arn string) (revision, error) {
	t := &TaskDefinition{ecsAccess: c}
	if graph.Observing(ctx) {
		newest, err := t.newest(ctx)
		if err != nil || newest.live != nil && aws.ToString(newest.live.TaskDefinitionArn) == arn {
			return newest, err
		}
	}
	return c.observed().deployed.of(arn).readOnce(ctx, func(ctx context.Context) (revision, error) {
		live, tags, err := t.describe(ctx, arn)
		if live == nil || err != nil || tags[TagStack] != c.stack {
			return revision{}, err
		}
		return revision{live, tags}, nil
	})
}

// checkTrial is what this run does to the health checks of a service.
type checkTrial struct {
	// before are the checks of the groups that this run, or the one whose release it waits
	// for, has set another one of.
	before map[*TargetGroup]checkSpec
	// since is when that was, of tasks that serve and stay; zero where there are none, or the
	// check is that of a release to come. healthy are those that were healthy before.
	since   time.Time
	healthy []string
	// failed is why the check was given back.
	failed string
}

// trialTime is how long tasks have to stay healthy by another check before it counts as
// deployed: twice as long as it takes to find one unhealthy, since a load balancer takes a
// moment to learn of the change.
func trialTime(check map[string]string) time.Duration {
	return 2 * time.Duration(*number(check["health-check-interval"])**number(check["unhealthy-threshold"])) * time.Second
}

// groups are the target groups of the service's tasks.
func (s *Service) groups() []*TargetGroup {
	if s.shift.second == nil {
		return []*TargetGroup{s.targets}
	}
	return []*TargetGroup{s.targets, s.shift.second}
}

// checkSet is the check of the groups: one that differs from the wanted one, if any does.
// While the traffic is shifted to the wanted release, the group of the one before keeps its
// own.
func (s *Service) checkSet(live *types.Service) checkSpec {
	want := s.targets.want.spec()
	if aws.ToString(live.TaskDefinition) == s.definition.ID() && deploying(live) && strategyOf(live.DeploymentConfiguration).Shifts() {
		return want
	}
	for _, g := range s.groups() {
		if last := g.Last(); last != nil && g.checkWhenReady(last) != want {
			return g.checkWhenReady(last)
		}
	}
	return want
}

// setCheck sets the wanted check. Before a release to which the traffic is shifted, only the
// group that has no requests gets it: the other one has it when that is over.
func (s *Service) setCheck(ctx context.Context, in *ecs.UpdateServiceInput) error {
	groups, release := s.groups(), in.TaskDefinition != nil
	if release && s.strategyOfUpdate(in).Shifts() && s.shift.second != nil {
		idle, err := s.idle(ctx)
		if err != nil {
			return err
		}
		groups = []*TargetGroup{idle}
	}
	var healthy []string
	for _, g := range groups {
		last := g.Last()
		if last == nil || g.checkWhenReady(last) == s.targets.want.spec() {
			continue
		}
		if !release && s.wait {
			targets, err := g.health(ctx)
			if err != nil {
				return err
			}
			for _, t := range targets {
				if t.Health == string(elbtypes.TargetHealthStateEnumHealthy) {
					healthy = append(healthy, t.Address)
				}
			}
		}
		s.changedFrom(g, g.checkWhenReady(last))
		if err := g.setCheck(ctx, s.targets.want.spec()); err != nil {
			return err
		}
	}
	if len(healthy) > 0 {
		s.trial.since, s.trial.healthy = time.Now(), healthy
	}
	return nil
}

// strategyOfUpdate is the strategy of the deployment that an update begins.
func (s *Service) strategyOfUpdate(in *ecs.UpdateServiceInput) Strategy {
	if in.DeploymentConfiguration != nil {
		return strategyOf(in.DeploymentConfiguration)
	}
	return s.Last().strategy
}

// idle is the group that the tasks of the next release are to be in: the one without requests.
// While both groups have some, it is that of the release to which they are shifted, and which is
// given up: the tasks of the release before stay, however few requests they still have.
func (s *Service) idle(ctx context.Context) (*TargetGroup, error) {
	second, shifting, err := s.shift.front.findServing(ctx)
	if err != nil {
		return nil, err
	}
	if last := s.shift.front.Last(); shifting && last != nil {
		ofSecond, ofFirst := last.weights[s.shift.second.ID()], last.weights[s.targets.ID()]
		second = ofSecond > ofFirst
		if ofSecond > 0 && ofFirst > 0 {
			stable, err := s.groupBefore(ctx)
			if err != nil {
				return nil, err
			}
			second = stable == s.shift.second.ID() || second && stable != s.targets.ID()
		}
	}
	if second {
		return s.targets, nil
	}
	return s.shift.second, nil
}

// findCheckBefore finds the check of the release that serves again, for the groups that
// another run gave the one of the release that failed: this run only waited for that.
func (s *Service) findCheckBefore(ctx context.Context, live *types.Service) error {
	r, err := s.deployed(ctx, aws.ToString(live.TaskDefinition))
	if r.live == nil || err != nil {
		return err
	}
	check := checkOf(r)
	for _, g := range s.groups() {
		if last := g.Last(); last != nil && last.spec() != check {
			s.changedFrom(g, check)
		}
	}
	return nil
}

// changedFrom notes the check that a group is to have again if the release fails.
func (s *Service) changedFrom(g *TargetGroup, check checkSpec) {
	if s.trial.before == nil {
		s.trial.before = map[*TargetGroup]checkSpec{}
	}
	if _, known := s.trial.before[g]; !known {
		s.trial.before[g] = check
	}
}

// restoreCheck sets the checks that the groups had before.
func (s *Service) restoreCheck(ctx context.Context) error {
	for _, g := range s.groups() {
		if before, set := s.trial.before[g]; set {
			if err := g.setCheck(ctx, before); err != nil {
				return err
			}
		}
	}
	s.trial.before, s.trial.since = nil, time.Time{}
	return nil
}

// abandonCheck gives the former checks back at the end of a run that failed or was ended,
// unless the release that goes with the new one is on its way.
func (s *Service) abandonCheck(ctx context.Context) error {
	if len(s.trial.before) == 0 {
		return nil
	}
	if !s.definition.recordsCheckLater() {
		live, err := s.lookup(ctx)
		if err != nil || live != nil && aws.ToString(live.TaskDefinition) == s.definition.ID() {
			return err
		}
	}
	return s.restoreCheck(ctx)
}

// watchTrial watches the tasks that serve by another check than before. It returns why that is to
// be given back, or "", and reports whether the tasks have to be watched for longer.
func (s *Service) watchTrial(targets []diagnosis.Target) (why string, watched bool) {
	if s.trial.since.IsZero() {
		return "", false
	}
	for _, t := range targets {
		if t.Health == string(elbtypes.TargetHealthStateEnumUnhealthy) && slices.Contains(s.trial.healthy, t.Address) {
			return strings.TrimSuffix(fmt.Sprintf("target %s was healthy, and is unhealthy by the health check %s: %s", t.Address, s.targets.want.spec(), t.Description), ": "), false
		}
	}
	if time.Since(s.trial.since) < trialTime(s.targets.want.check()) {
		return "", true
	}
	s.trial.since = time.Time{}
	return "", false
}

// checkGivenBack is the state of a service whose new check failed.
func (s *Service) checkGivenBack(st graph.State) graph.State {
	st.Phase, st.Note = graph.Unrecoverable, s.trial.failed+"; the check is as it was before"
	st.Next = hint.New("choose another path with --health-path, or other codes with --health-status; %s shows what the load balancer finds", hint.Command("status"))
	return st
}

// RestoreChecks gives the target groups the health check of the release that serves again,
// which a run that was cut off may have changed for one that failed. It returns what differed,
// and changes nothing else.
func (r Run) RestoreChecks(ctx context.Context) ([]graph.Change, error) {
	look := func(ctx context.Context) (groups []*TargetGroup, changes []graph.Change, err error) {
		stack, err := NewStack(r.Clients, r.Spec)
		if err != nil {
			return nil, nil, err
		}
		for i, f := range graph.Observe(ctx, stack.service.groups(), stack.Options()) {
			if f.Err != nil {
				return nil, nil, f.Err
			}
			if f.Phase != graph.Ready || f.Owner != r.Spec.Stack {
				continue
			}
			drift := slices.DeleteFunc(f.Drift, func(c graph.Change) bool { return c.Field != fieldCheckPath && c.Field != fieldCheckCodes })
			if len(drift) > 0 {
				groups = append(groups, stack.service.groups()[i])
			}
			for _, c := range drift {
				if !slices.ContainsFunc(changes, func(said graph.Change) bool { return said.String() == c.String() }) {
					changes = append(changes, c)
				}
			}
		}
		return groups, changes, nil
	}
	_, changes, err := look(ctx)
	if len(changes) == 0 || err != nil {
		return nil, err
	}
	err = r.Hold(ctx, func(lock *runlock.Lock) error {
		groups, found, err := look(ctx)
		if err != nil {
			return err
		}
		for _, g := range groups {
			if err := lock.Guard(ctx); err != nil {
				return err
			}
			if err := g.setCheck(ctx, g.checkWhenReady(g.Last())); err != nil {
				return err
			}
		}
		changes = found
		return nil
	})
	return changes, err
}

// recordsCheckLater reports whether the revision that was last read records another check than
// the wanted one, and the service writes it when that has proved itself.
func (t *TaskDefinition) recordsCheckLater() bool {
	last := t.Last()
	return last != nil && last.recordCheckLater
}

// checkRecord is how the record of the check differs that the service is to write.
func (t *TaskDefinition) checkRecord() []graph.Change {
	if !t.recordsCheckLater() {
		return nil
	}
	last := t.Last()
	return keyDrift(last.tags, t.checkTags(last))
}

// checkTags are the wanted tags that record the check.
func (t *TaskDefinition) checkTags(live *liveDefinition) map[string]string {
	all := t.tags(t.Name())
	withoutDefaults(live.newest.tags, all)
	tags := map[string]string{}
	for _, key := range checkTags {
		if value, ok := all[key]; ok {
			tags[key] = value
		}
	}
	return tags
}

// recordCheck writes the record of the check.
func (t *TaskDefinition) recordCheck(ctx context.Context) error {
	live := *t.Last()
	tags := t.checkTags(&live)
	if _, err := t.ecs.TagResource(ctx, &ecs.TagResourceInput{ResourceArn: aws.String(t.ID()), Tags: toECSTags(tags)}); err != nil {
		return fmt.Errorf("note on %s the health check: %w", nameInARN(t.ID()), err)
	}
	live.recordCheckLater = false
	t.Learn(&live)
	return nil
}
