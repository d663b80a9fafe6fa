package provision

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// rolloutConfiguration keeps every task serving until its successor does, and
// goes back by itself when the successor does not come up.
//
// The circuit breaker is for rolling deployments alone. Any other is judged by alarms
// where there are some, and by the run that waits for it. A first release is not judged:
// nobody is healthy until it serves, and there is nothing to go back to.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentCircuitBreaker.html
func (s *Service) rolloutConfiguration(by Strategy, hadRelease bool) *types.DeploymentConfiguration {
	out := &types.DeploymentConfiguration{
		MinimumHealthyPercent: aws.Int32(100), MaximumPercent: aws.Int32(200),
		DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: !by.Shifts(), Rollback: !by.Shifts()},
	}
	if s.shift.second != nil {
		by.configuration(out)
	}
	if by.Shifts() && hadRelease && len(s.want.rollbackAlarms) > 0 {
		out.Alarms = &types.DeploymentAlarms{AlarmNames: s.want.rollbackAlarms, Enable: true, Rollback: true}
	}
	return out
}

// strategyNow is the strategy that a service is to have now. ECS takes another one only while
// no deployment is going on, and one that shifts the traffic only when the tasks were
// deployed, by a rolling deployment, with what that needs. So the release with which a
// stack changes to it rolls still.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/update-rolling-to-bluegreen.html
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/update-bluegreen-to-rolling.html
func (s *Service) strategyNow(live *liveService, targets string) Strategy {
	if live.deploying || s.want.deploy.Shifts() && !live.strategy.Shifts() && live.targets != targets {
		return live.strategy
	}
	return s.want.deploy
}

// strategyToSet is strategyNow of the service as it was last read.
func (s *Service) strategyToSet() Strategy {
	return s.strategyNow(s.Last(), describeTargets(s.balancers()))
}

// Attributes implements graph.Shape. One call sets all that makes a rollout, and the tags
// come after it: a setting that ECS refuses is not to be taken for a deployed one.
func (s *Service) Attributes() graph.Attributes[*liveService] {
	update := graph.Requesting(func() *ecs.UpdateServiceInput {
		return &ecs.UpdateServiceInput{Cluster: aws.String(s.cluster.clusterName()), Service: aws.String(s.serviceName())}
	}, s.update)
	network := update.Put(func(in *ecs.UpdateServiceInput) { in.NetworkConfiguration = s.network() })
	configuration := func(in *ecs.UpdateServiceInput) *types.DeploymentConfiguration {
		if in.DeploymentConfiguration == nil {
			in.DeploymentConfiguration = s.rolloutConfiguration(s.strategyToSet(), s.Last().hadRelease)
			if b := in.DeploymentConfiguration.DeploymentCircuitBreaker; b.Enable { // an update may keep what it does not say
				threshold := usualThreshold()
				b.ThresholdConfiguration, b.ResetOnHealthyTask = &threshold, aws.Bool(true)
			}
		}
		return in.DeploymentConfiguration
	}
	rollout := func(field string, r graph.Remedy) graph.Attribute[*liveService] {
		return graph.Field(field, func(l *liveService) string { return l.rollout[field] }, r).
			When(func(live, _ *liveService) bool { return live.rollout != nil })
	}
	whole := update.Put(func(in *ecs.UpdateServiceInput) { configuration(in) })
	unmanaged := func(field string, undo func(*ecs.UpdateServiceInput)) graph.Attribute[*liveService] {
		return graph.Field(field, func(l *liveService) string { return l.unmanaged[field] }, update.Put(undo))
	}
	newDeployment := update.Put(func(in *ecs.UpdateServiceInput) { in.ForceNewDeployment = true })
	// Whether the tasks have another version of the secret than the current one.
	outdated := func(live, want *liveService) bool {
		return want.secretVersion != "" && live.secretVersion != want.secretVersion && !live.early.awaits && !s.passwordRenewed
	}
	return graph.Attributes[*liveService]{
		// It comes before the grace period, by which it is known that a note will do.
		graph.Compared(fieldSecretVersion, func(live, want *liveService) (string, string, bool) {
			if live.renewed {
				return "the one before", "the current one", live.secretVersion != want.secretVersion
			}
			return "an older one, of the same password", "the current one", outdated(live, want) && live.samePassword // only an address was added to it
		}, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			return s.noteVersion(ctx, s.ID(), s.definition.database.secretVersion())
		})),
		// ECS takes a change only with a new deployment. An empty list goes back to the
		// launch type, and starts none by itself.
		graph.Field(fieldCapacity, func(l *liveService) string { return l.capacity }, update.Put(func(in *ecs.UpdateServiceInput) {
			in.CapacityProviderStrategy, in.ForceNewDeployment = s.want.strategy(), true
		})),
		unmanaged(fieldPlatform, func(in *ecs.UpdateServiceInput) { in.PlatformVersion = aws.String("LATEST") }),
		unmanaged(fieldController, func(in *ecs.UpdateServiceInput) {
			in.DeploymentController = &types.DeploymentController{Type: types.DeploymentControllerTypeEcs}
		}),
		graph.Field(fieldStrategy, func(l *liveService) string { return l.strategy.String() }, update.Put(func(in *ecs.UpdateServiceInput) {
			s.strategyToSet().configuration(configuration(in))
		})),
		unmanaged(fieldAlarms, func(in *ecs.UpdateServiceInput) {
			if c := configuration(in); c.Alarms == nil {
				c.Alarms = &types.DeploymentAlarms{AlarmNames: []string{}}
			}
		}),
		unmanaged(fieldHooks, func(in *ecs.UpdateServiceInput) {
			configuration(in).LifecycleHooks = []types.DeploymentLifecycleHook{}
		}),
		unmanaged(fieldEarlySuccess, func(in *ecs.UpdateServiceInput) {
			configuration(in).EarlySuccessCriteria = &types.DeploymentEarlySuccessCriteria{}
		}),
		unmanaged(fieldRegistries, func(in *ecs.UpdateServiceInput) { in.ServiceRegistries = []types.ServiceRegistry{} }),
		unmanaged(fieldConnect, func(in *ecs.UpdateServiceInput) {
			in.ServiceConnectConfiguration = &types.ServiceConnectConfiguration{}
		}),
		unmanaged(fieldLattice, func(in *ecs.UpdateServiceInput) { in.VpcLatticeConfigurations = []types.VpcLatticeConfiguration{} }),
		graph.Field("launch-type", func(l *liveService) string { return l.launch }, graph.Fixed("a service keeps its launch type")).
			When(func(live, _ *liveService) bool { return live.capacity == "" }), // with a strategy there is no launch type
		graph.Field(fieldCheckPath, func(l *liveService) string { return l.check.path }, update.Put(func(*ecs.UpdateServiceInput) {})),
		graph.Field(fieldCheckCodes, func(l *liveService) string { return l.check.codes }, update.Put(func(*ecs.UpdateServiceInput) {})),
		graph.Compared(fieldCheck, func(live, want *liveService) (string, string, bool) {
			return want.check.String() + ": " + live.failedCheck, "as before", live.failedCheck != ""
		}, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			live := s.Last()
			if !live.rolloutFailed {
				s.trial.failed = live.failedCheck
			}
			return s.restoreCheck(ctx)
		})),
		graph.Field("task-definition", func(l *liveService) string { return nameInARN(l.definition) }, update.Put(func(in *ecs.UpdateServiceInput) {
			in.TaskDefinition = aws.String(s.definition.ID())
		})),
		graph.Field("count", func(l *liveService) string { return decimal(&l.desired) }, update.PutWanted(func(in *ecs.UpdateServiceInput, c graph.Change) {
			in.DesiredCount = number(c.Want)
		})),
		graph.Field("subnets", func(l *liveService) string { return inAnyOrder(l.subnets) }, network),
		graph.Field("security-groups", func(l *liveService) string { return inAnyOrder(l.groups) }, network),
		graph.Field("public-address", func(l *liveService) string { return l.publicAddress }, network),
		graph.Field("target-group", func(l *liveService) string { return l.targets }, update.Put(func(in *ecs.UpdateServiceInput) { in.LoadBalancers = s.balancers() })),
		graph.Field("propagate-tags", func(l *liveService) string { return l.propagateTags }, update.Put(func(in *ecs.UpdateServiceInput) {
			in.PropagateTags = types.PropagateTagsService
		})),
		// Only new tasks can be entered, or no longer be.
		graph.Flag("exec", func(l *liveService) bool { return l.exec }, update.Put(func(in *ecs.UpdateServiceInput) {
			in.EnableExecuteCommand, in.ForceNewDeployment = &s.want.exec, true
		})),
		rollout("circuit-breaker", whole),
		rollout("minimum-healthy", whole),
		rollout("maximum-running", whole),
		rollout(fieldGrace, update.Put(func(in *ecs.UpdateServiceInput) { in.HealthCheckGracePeriodSeconds = &s.want.grace })).
			When(func(live, _ *liveService) bool { return live.rollout != nil && !live.early.awaits }),
		rollout("managed-tags", update.Put(func(in *ecs.UpdateServiceInput) { in.EnableECSManagedTags = aws.Bool(true) })),
		graph.Compared("password", func(live, want *liveService) (string, string, bool) {
			return "that of another version of the secret", "the secret's", outdated(live, want) && !live.samePassword
		}, newDeployment),
		tagAttribute(func(l *liveService) map[string]string { return l.tags }, graph.SetBy(func(ctx context.Context, changes []graph.Change) error {
			if err := s.retag(ctx, s.ID(), s.Name(), changes); err != nil {
				return err
			}
			return s.recordCopy(ctx, changes)
		})),
		// Behind what it is undone by: cut off before, the stack is still called paused.
		graph.Field("paused", func(l *liveService) string { return l.paused }, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			_, err := s.ecs.UntagResource(ctx, &ecs.UntagResourceInput{ResourceArn: aws.String(s.ID()), TagKeys: []string{tagPaused}})
			if err != nil {
				return fmt.Errorf("note on service %s that the stack is not paused any more: %w", s.serviceName(), err)
			}
			return nil
		})),
		graph.Flag(FieldKept, func(l *liveService) bool { return l.imageKept }, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			return s.definition.image.keep(ctx)
		})),
		graph.Compared(fieldFormerTargets, func(live, _ *liveService) (string, string, bool) {
			return "reached", "left", live.formerTargets
		}, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			if err := s.balancer.leaveFormer(ctx); err != nil {
				return err
			}
			for _, g := range s.reached {
				if err := g.leaveFormer(ctx); err != nil {
					return err
				}
			}
			return nil
		})).Alone(),
		graph.Compared(fieldFormerPermissions, func(live, _ *liveService) (string, string, bool) {
			return "allowed", "taken away", live.formerPermissions
		}, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			for _, r := range s.roles {
				if err := r.leaveFormer(ctx); err != nil {
					return err
				}
			}
			return nil
		})).Alone(),
		graph.Compared(fieldFailing, func(live, _ *liveService) (string, string, bool) {
			return live.takeBackBecause, "taken back", live.takeBackBecause != ""
		}, graph.SetBy(s.takeBack)).Alone(),
		graph.Compared("deployment", func(live, _ *liveService) (string, string, bool) {
			return "failed: " + live.failedRollout, "another try", live.failedRollout != ""
		}, newDeployment).Alone(),
		recordAttribute(func(live, want *liveService) []graph.Change {
			if len(keyDrift(live.tags, want.tags)) > 0 {
				return nil // the copy is written after the tags
			}
			return append(slices.Clone(live.settingsCopyDrift), live.checkRecordDrift...)
		}, graph.SetBy(s.recordAll)),
	}
}

// UpdatesSynchronously implements graph.UpdatesSynchronously. Where nothing is waited for, the notes on a release
// that serves and the grace period hold when they are set: neither starts a deployment.
// What is compared alone is set after them, and read before.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html
func (s *Service) UpdatesSynchronously(changes []graph.Change) bool {
	live := s.Last()
	return live != nil && live.ready && !live.formerTargets && !live.formerPermissions && live.takeBackBecause == "" && live.failedRollout == "" && !slices.ContainsFunc(changes, func(c graph.Change) bool {
		return c.Field != fieldSecretVersion && c.Field != fieldGrace && c.Field != FieldKept
	})
}

// recordAll writes what the service records on others. The check is recorded when the tasks
// have stayed healthy by it.
func (s *Service) recordAll(ctx context.Context, changes []graph.Change) error {
	check := func(c graph.Change) bool {
		return slices.Contains(checkTags, strings.TrimPrefix(c.Field, fieldRecorded))
	}
	if slices.ContainsFunc(changes, check) && s.trial.since.IsZero() {
		if err := s.definition.recordCheck(ctx); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(changes, func(c graph.Change) bool { return !check(c) }) {
		return s.recordCopy(ctx, changes)
	}
	return nil
}

func (s *Service) recordCopy(ctx context.Context, _ []graph.Change) error {
	if err := s.cluster.record(ctx, copyByService); err != nil {
		return err
	}
	s.settingsCopied = true
	return nil
}

// wantedCount is how many tasks there are to be. Between the bounds the number is the
// scaler's, unless another one was asked for than before; the one before may have
// moved with a bound, which asks for nothing.
func wantedCount(live, want liveService) int32 {
	if want.bounds.max == 0 {
		return want.desired
	}
	if live.paused != "" { // the scaler has nothing to do with there being none
		return live.inForce.nearest(want.desired)
	}
	before, err := strconv.ParseInt(live.recordedCount, 10, 32)
	if err == nil && want.desired != int32(before) && want.desired != want.bounds.nearest(int32(before)) {
		return want.desired
	}
	return live.inForce.nearest(live.desired)
}

func (s *Service) update(ctx context.Context, in *ecs.UpdateServiceInput, changes []graph.Change) error {
	if in.TaskDefinition != nil {
		if err := s.markServed(ctx); err != nil {
			return err
		}
	}
	if hasField(changes, fieldCheckPath) || hasField(changes, fieldCheckCodes) {
		if err := s.setCheck(ctx, in); err != nil {
			return err
		}
		if !slices.ContainsFunc(changes, func(c graph.Change) bool { return c.Field != fieldCheckPath && c.Field != fieldCheckCodes }) {
			return nil
		}
	}
	password := hasField(changes, "password")
	if last := s.lastService(); password && last != nil && strategyOf(last.DeploymentConfiguration).Shifts() {
		in.DeploymentConfiguration = withAllAtOnce(*last.DeploymentConfiguration)
	}
	s.forgetRollout(s.lastService(), in)
	out, err := s.ecs.UpdateService(ctx, in)
	if err != nil {
		return fmt.Errorf("update %s of service %s: %w", graph.Fields(changes), s.serviceName(), err)
	}
	s.followRollout(out.Service)
	if password {
		s.passwordRenewed = true
	}
	return nil
}

// noteVersion notes which version of the secret the tasks were started with. It
// is done last, when they serve: cut off or taken back before, the next run starts them
// once more.
func (s *Service) noteVersion(ctx context.Context, arn, version string) error {
	_, err := s.ecs.TagResource(ctx, &ecs.TagResourceInput{ResourceArn: &arn, Tags: toECSTags(map[string]string{TagSecretVersion: version})})
	if err != nil {
		return fmt.Errorf("note the secret's version on service %s: %w", s.serviceName(), err)
	}
	return nil
}
