package autoscaling

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// state is what Application Auto Scaling keeps.
type state struct {
	Targets    map[string]*scalableTarget      `json:"targets,omitempty"`  // by resource id
	Policies   map[string]*types.ScalingPolicy `json:"policies,omitempty"` // by resource id and name
	Activities []types.ScalingActivity         `json:"activities,omitempty"`
	Scheduled  map[string]*scheduledAction     `json:"scheduled,omitempty"` // by resource id and name
}

// scheduledAction sets the bounds of a target at a time.
type scheduledAction struct {
	types.ScheduledAction
	Due  time.Time // of at(…), the one schedule that the local cloud keeps
	Done bool
}

type scalableTarget struct {
	types.ScalableTarget
	TagMap map[string]string
}

// scalingSample is what is known of a service between two looks at it.
type scalingSample struct {
	at          time.Time
	requests    map[string]int64         // by target group
	cpu         map[string]time.Duration // by task
	aboveTarget int                      // looks in a row that called for more tasks
	belowTarget int                      // and for fewer
	changed     time.Time
	past        map[string][]map[string]float64 // the last values of metrics by their ids, the newest last, by policy
}

const (
	// scalingMinute stands for the minute of CloudWatch's metrics, so that a
	// service scales within seconds; Config.ScalingMinute changes it.
	scalingMinute = time.Second
	// highMinutes and lowMinutes are how long a metric has to be beyond its
	// target, and scalingCooldown is the pause after a change if the policy
	// names none, all in such minutes
	// (https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html).
	highMinutes     = 3
	lowMinutes      = 15
	scalingCooldown = 5
	// lowShare of its target is where a metric calls for fewer tasks.
	lowShare = 0.9
	// maxActivities is how many of the last activities are kept.
	maxActivities = 100
)

// API is the service's operations.
func (s *Service) API() kernel.Service {
	return kernel.Service{Model: "application-autoscaling", Signing: "application-autoscaling", Protocol: kernel.JSON, Operations: kernel.Operations(s.in,
		kernel.Op("RegisterScalableTarget", tx.RegisterScalableTarget), kernel.Op("DeregisterScalableTarget", tx.DeregisterScalableTarget),
		kernel.Op("DescribeScalableTargets", tx.DescribeScalableTargets), kernel.Op("PutScalingPolicy", tx.PutScalingPolicy), kernel.Op("DeleteScalingPolicy", tx.DeleteScalingPolicy),
		kernel.Op("PutScheduledAction", tx.PutScheduledAction), kernel.Op("DeleteScheduledAction", tx.DeleteScheduledAction), kernel.Op("DescribeScheduledActions", tx.DescribeScheduledActions),
		kernel.Op("DescribeScalingPolicies", tx.DescribeScalingPolicies), kernel.Op("DescribeScalingActivities", tx.DescribeScalingActivities),
		kernel.Op("TagResource", tx.TagResource), kernel.Op("UntagResource", tx.UntagResource), kernel.Op("ListTagsForResource", tx.ListTagsForResource),
	)}
}

func checkDimension(namespace types.ServiceNamespace, dimension types.ScalableDimension) error {
	if namespace != types.ServiceNamespaceEcs || dimension != "" && dimension != types.ScalableDimensionECSServiceDesiredCount {
		return kernel.Fail("ValidationException", "Unsupported service namespace, resource type or scalable dimension: the local cloud scales ECS services only")
	}
	return nil
}

// linkedRole is the service that the role is linked with under which ECS's services scale.
const linkedRole = "ecs.application-autoscaling.amazonaws.com"

func (a tx) roleARN() string {
	return a.ARN("iam", "role/aws-service-role/"+linkedRole+"/AWSServiceRoleForApplicationAutoScaling_ECSService")
}

// RegisterScalableTarget sets between what a service may scale.
func (a tx) RegisterScalableTarget(in *scaling.RegisterScalableTargetInput) (*scaling.RegisterScalableTargetOutput, error) {
	if err := checkDimension(in.ServiceNamespace, in.ScalableDimension); err != nil {
		return nil, err
	}
	id := aws.ToString(in.ResourceId)
	t := a.state().Targets[id]
	if t == nil {
		if _, ok := a.services.DesiredCount(a.Tx, serviceKey(id)); !ok {
			return nil, kernel.Fail("ValidationException", "ECS service doesn't exist: %s", id)
		}
		if in.MinCapacity == nil || in.MaxCapacity == nil {
			return nil, kernel.Fail("ValidationException", "Both minCapacity and maxCapacity are required to register a new scalable target")
		}
		// Unlike ECS's this role is made by the first call
		// (https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-service-linked-roles.html).
		// One that was made just before is not known yet:
		// https://github.com/aws-samples/amazon-bedrock-samples/issues/253
		if a.roles.HasLinkedRole(a.Tx, linkedRole) && !a.roles.LinkedRoleUsable(a.Tx, linkedRole) {
			return nil, kernel.Fail("ValidationException", "Unable to assume IAM role: %s", a.roleARN())
		}
		a.roles.EnsureLinkedRole(a.Tx, linkedRole)
		t = &scalableTarget{ScalableTarget: types.ScalableTarget{
			CreationTime: aws.Time(a.Now()), ResourceId: in.ResourceId, ServiceNamespace: in.ServiceNamespace, ScalableDimension: types.ScalableDimensionECSServiceDesiredCount,
			RoleARN:           aws.String(a.roleARN()),
			ScalableTargetARN: aws.String(a.ARN("application-autoscaling", "scalable-target/"+kernel.HexDigits(32))),
			SuspendedState:    &types.SuspendedState{DynamicScalingInSuspended: aws.Bool(false), DynamicScalingOutSuspended: aws.Bool(false), ScheduledScalingSuspended: aws.Bool(false)},
		}, TagMap: map[string]string{}}
		maps.Copy(t.TagMap, in.Tags)
	} else if len(in.Tags) > 0 {
		return nil, kernel.Fail("ValidationException", "Tags can only be specified when a scalable target is registered for the first time; use TagResource")
	}
	low, high := cmp.Or(in.MinCapacity, t.MinCapacity), cmp.Or(in.MaxCapacity, t.MaxCapacity)
	if *low < 0 || *high < *low {
		return nil, kernel.Fail("ValidationException", "Maximum capacity cannot be less than minimum capacity")
	}
	t.MinCapacity, t.MaxCapacity, t.SuspendedState = low, high, cmp.Or(in.SuspendedState, t.SuspendedState)
	if a.state().Targets == nil {
		a.state().Targets = map[string]*scalableTarget{}
	}
	a.state().Targets[id] = t
	return &scaling.RegisterScalableTargetOutput{ScalableTargetARN: t.ScalableTargetARN}, nil
}

// PutScheduledAction creates or replaces a time at which the bounds change.
// https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScheduledAction.html
func (a tx) PutScheduledAction(in *scaling.PutScheduledActionInput) (*scaling.PutScheduledActionOutput, error) {
	if err := checkDimension(in.ServiceNamespace, in.ScalableDimension); err != nil {
		return nil, err
	}
	id, name := aws.ToString(in.ResourceId), aws.ToString(in.ScheduledActionName)
	if a.state().Targets[id] == nil {
		return nil, noTarget(in.ResourceId)
	}
	x := &scheduledAction{ScheduledAction: types.ScheduledAction{
		CreationTime: aws.Time(a.Now()), ResourceId: in.ResourceId, Schedule: in.Schedule, ScheduledActionARN: aws.String(a.ARN("autoscaling", "scheduledAction:"+kernel.UUID()+":resource/ecs/"+id+":scheduledActionName/"+name)),
		ScheduledActionName: in.ScheduledActionName, ServiceNamespace: in.ServiceNamespace, ScalableDimension: types.ScalableDimensionECSServiceDesiredCount,
		ScalableTargetAction: in.ScalableTargetAction, Timezone: in.Timezone, StartTime: in.StartTime, EndTime: in.EndTime,
	}}
	at, ok := strings.CutPrefix(strings.TrimSuffix(aws.ToString(in.Schedule), ")"), "at(")
	if ok {
		var err error
		if x.Due, err = time.Parse("2006-01-02T15:04:05", at); err != nil {
			return nil, kernel.Fail("ValidationException", "Schedule is not valid: %s", aws.ToString(in.Schedule))
		}
	} else if x.Done = true; !strings.HasPrefix(aws.ToString(in.Schedule), "cron(") && !strings.HasPrefix(aws.ToString(in.Schedule), "rate(") {
		return nil, kernel.Fail("ValidationException", "Schedule is not valid: %s", aws.ToString(in.Schedule))
	}
	if a.state().Scheduled == nil {
		a.state().Scheduled = map[string]*scheduledAction{}
	}
	a.state().Scheduled[id+"\x00"+name] = x
	return &scaling.PutScheduledActionOutput{}, nil
}

// DeleteScheduledAction deletes one.
func (a tx) DeleteScheduledAction(in *scaling.DeleteScheduledActionInput) (*scaling.DeleteScheduledActionOutput, error) {
	key := aws.ToString(in.ResourceId) + "\x00" + aws.ToString(in.ScheduledActionName)
	if a.state().Scheduled[key] == nil {
		return nil, kernel.Fail("ObjectNotFoundException", "No scheduled action found for service namespace: ecs, resource ID: %s, scheduled action name: %s", aws.ToString(in.ResourceId), aws.ToString(in.ScheduledActionName))
	}
	delete(a.state().Scheduled, key)
	return &scaling.DeleteScheduledActionOutput{}, nil
}

// DescribeScheduledActions lists them, also those whose time is over.
func (a tx) DescribeScheduledActions(in *scaling.DescribeScheduledActionsInput) (*scaling.DescribeScheduledActionsOutput, error) {
	out := &scaling.DescribeScheduledActionsOutput{ScheduledActions: []types.ScheduledAction{}}
	for _, key := range slices.Sorted(maps.Keys(a.state().Scheduled)) {
		if x := a.state().Scheduled[key]; in.ResourceId == nil || *in.ResourceId == *x.ResourceId {
			out.ScheduledActions = append(out.ScheduledActions, x.ScheduledAction)
		}
	}
	return out, nil
}

// keepSchedules sets the bounds whose time has come.
func (a tx) keepSchedules() (changed bool) {
	for _, x := range a.state().Scheduled {
		t := a.state().Targets[*x.ResourceId]
		if x.Done || t == nil || x.ScalableTargetAction == nil || a.Now().Before(x.Due) {
			continue
		}
		t.MinCapacity = cmp.Or(x.ScalableTargetAction.MinCapacity, t.MinCapacity)
		t.MaxCapacity = cmp.Or(x.ScalableTargetAction.MaxCapacity, t.MaxCapacity)
		x.Done, changed = true, true
	}
	return changed
}

func noTarget(id *string) error {
	return kernel.Fail("ObjectNotFoundException", "No scalable target found for service namespace: ecs, resource ID: %s, scalable dimension: ecs:service:DesiredCount", aws.ToString(id))
}

// DeregisterScalableTarget ends a service's scaling with its policies.
func (a tx) DeregisterScalableTarget(in *scaling.DeregisterScalableTargetInput) (*scaling.DeregisterScalableTargetOutput, error) {
	id := aws.ToString(in.ResourceId)
	if a.state().Targets[id] == nil {
		return nil, noTarget(in.ResourceId)
	}
	delete(a.state().Targets, id)
	maps.DeleteFunc(a.state().Scheduled, func(_ string, x *scheduledAction) bool { return *x.ResourceId == id })
	maps.DeleteFunc(a.state().Policies, func(_ string, p *types.ScalingPolicy) bool { return *p.ResourceId == id })
	return &scaling.DeregisterScalableTargetOutput{}, nil
}

// DescribeScalableTargets lists what is registered.
func (a tx) DescribeScalableTargets(in *scaling.DescribeScalableTargetsInput) (*scaling.DescribeScalableTargetsOutput, error) {
	out := &scaling.DescribeScalableTargetsOutput{ScalableTargets: []types.ScalableTarget{}}
	for _, id := range slices.Sorted(maps.Keys(a.state().Targets)) {
		if kernel.Selected(in.ResourceIds, id) && in.ServiceNamespace == types.ServiceNamespaceEcs {
			out.ScalableTargets = append(out.ScalableTargets, a.state().Targets[id].ScalableTarget)
		}
	}
	return out, nil
}

// PutScalingPolicy creates or replaces a target tracking policy.
func (a tx) PutScalingPolicy(in *scaling.PutScalingPolicyInput) (*scaling.PutScalingPolicyOutput, error) {
	if err := checkDimension(in.ServiceNamespace, in.ScalableDimension); err != nil {
		return nil, err
	}
	id := aws.ToString(in.ResourceId)
	if a.state().Targets[id] == nil {
		return nil, noTarget(in.ResourceId)
	}
	config := in.TargetTrackingScalingPolicyConfiguration
	if in.PolicyType != types.PolicyTypeTargetTrackingScaling || config == nil {
		return nil, kernel.Fail("ValidationException", "The local cloud knows policies of type TargetTrackingScaling only")
	}
	if err := a.tracked(config); err != nil {
		return nil, err
	}
	if aws.ToFloat64(config.TargetValue) <= 0 {
		return nil, kernel.Fail("ValidationException", "Target value must be greater than 0")
	}
	name := aws.ToString(in.PolicyName)
	p := a.state().Policies[id+"\x00"+name]
	if p == nil {
		alarm := func(kind string) types.Alarm {
			n := "TargetTracking-" + id + "-" + kind + "-" + kernel.UUID()
			return types.Alarm{AlarmName: aws.String(n), AlarmARN: aws.String(a.ARN("cloudwatch", "alarm:"+n))}
		}
		p = &types.ScalingPolicy{
			CreationTime: aws.Time(a.Now()), PolicyARN: aws.String(a.ARN("autoscaling", "scalingPolicy:"+kernel.UUID()+":resource/ecs/"+id+":policyName/"+name)), PolicyName: in.PolicyName,
			PolicyType: in.PolicyType, ResourceId: in.ResourceId, ServiceNamespace: in.ServiceNamespace, ScalableDimension: types.ScalableDimensionECSServiceDesiredCount,
			Alarms: []types.Alarm{alarm("AlarmHigh"), alarm("AlarmLow")},
		}
	}
	p.TargetTrackingScalingPolicyConfiguration = config
	if a.state().Policies == nil {
		a.state().Policies = map[string]*types.ScalingPolicy{}
	}
	a.state().Policies[id+"\x00"+name] = p
	return &scaling.PutScalingPolicyOutput{PolicyARN: p.PolicyARN, Alarms: p.Alarms}, nil
}

// labelled is the ARN of the target group that a resource label names, or "".
func (a tx) labelled(label string) string {
	_, group, _ := strings.Cut(label, "/targetgroup/")
	arn := a.ARN("elasticloadbalancing", "targetgroup/"+group)
	if !a.groups.HasTargetGroup(a.Tx, arn) {
		return ""
	}
	return arn
}

// DeleteScalingPolicy deletes a policy.
func (a tx) DeleteScalingPolicy(in *scaling.DeleteScalingPolicyInput) (*scaling.DeleteScalingPolicyOutput, error) {
	key := aws.ToString(in.ResourceId) + "\x00" + aws.ToString(in.PolicyName)
	if a.state().Policies[key] == nil {
		return nil, kernel.Fail("ObjectNotFoundException", "No scaling policy found for service namespace: ecs, resource ID: %s, scalable dimension: ecs:service:DesiredCount, policy name: %s", aws.ToString(in.ResourceId), aws.ToString(in.PolicyName))
	}
	delete(a.state().Policies, key)
	return &scaling.DeleteScalingPolicyOutput{}, nil
}

// DescribeScalingPolicies lists policies.
func (a tx) DescribeScalingPolicies(in *scaling.DescribeScalingPoliciesInput) (*scaling.DescribeScalingPoliciesOutput, error) {
	out := &scaling.DescribeScalingPoliciesOutput{ScalingPolicies: []types.ScalingPolicy{}}
	for _, key := range slices.Sorted(maps.Keys(a.state().Policies)) {
		if p := a.state().Policies[key]; kernel.Selected(in.PolicyNames, *p.PolicyName) && (in.ResourceId == nil || *in.ResourceId == *p.ResourceId) {
			out.ScalingPolicies = append(out.ScalingPolicies, *p)
		}
	}
	return out, nil
}

// DescribeScalingActivities lists the last activities, newest first.
func (a tx) DescribeScalingActivities(in *scaling.DescribeScalingActivitiesInput) (*scaling.DescribeScalingActivitiesOutput, error) {
	out := &scaling.DescribeScalingActivitiesOutput{ScalingActivities: []types.ScalingActivity{}}
	for _, activity := range a.state().Activities {
		if in.ResourceId == nil || *in.ResourceId == *activity.ResourceId {
			out.ScalingActivities = append(out.ScalingActivities, activity)
		}
	}
	return out, nil
}

func (a tx) byARN(arn *string) (*scalableTarget, error) {
	for _, t := range a.state().Targets {
		if *t.ScalableTargetARN == aws.ToString(arn) {
			return t, nil
		}
	}
	return nil, kernel.Fail("ResourceNotFoundException", "The scalable target could not be found: %s", aws.ToString(arn))
}

// TagResource tags a scalable target.
func (a tx) TagResource(in *scaling.TagResourceInput) (*scaling.TagResourceOutput, error) {
	t, err := a.byARN(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	maps.Copy(t.TagMap, in.Tags)
	return &scaling.TagResourceOutput{}, nil
}

// UntagResource is the opposite of TagResource.
func (a tx) UntagResource(in *scaling.UntagResourceInput) (*scaling.UntagResourceOutput, error) {
	t, err := a.byARN(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(t.TagMap, k)
	}
	return &scaling.UntagResourceOutput{}, nil
}

// ListTagsForResource lists a scalable target's tags.
func (a tx) ListTagsForResource(in *scaling.ListTagsForResourceInput) (*scaling.ListTagsForResourceOutput, error) {
	t, err := a.byARN(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	return &scaling.ListTagsForResourceOutput{Tags: maps.Clone(t.TagMap)}, nil
}

// Start looks at the scaled services once per minute of theirs, until the cloud
// closes.
func (s *Service) Start() { s.Go(s.runScaling) }

func (s *Service) runScaling(ctx context.Context) {
	samples := map[string]*scalingSample{}
	for kernel.Wait(ctx, nil, s.minute) {
		s.View(func(t *kernel.Tx) {
			a := s.in(t)
			changed := a.keepSchedules()
			for id, target := range a.state().Targets {
				if samples[id] == nil {
					samples[id] = &scalingSample{requests: map[string]int64{}, cpu: map[string]time.Duration{}, past: map[string][]map[string]float64{}}
				}
				changed = a.scale(id, target, samples[id]) || changed
			}
			if changed {
				a.Changed()
			}
		})
	}
}

// scalingDecision is what the policies of a service call for.
type scalingDecision struct {
	out, in                 bool
	wanted                  int32  // number of tasks after scaling out
	cause                   string // of the change
	outCooldown, inCooldown int32  // in seconds
}

// decide measures a service and evaluates its policies.
func (a tx) decide(id string, desired int32, sample *scalingSample) scalingDecision {
	cpu, elapsed := a.utilization(id, sample)
	d := scalingDecision{in: true, wanted: desired}
	tracked := 0
	for _, key := range slices.Sorted(maps.Keys(a.state().Policies)) {
		p := a.state().Policies[key]
		if *p.ResourceId != id {
			continue
		}
		config := p.TargetTrackingScalingPolicyConfiguration
		value := cpu
		if m := config.PredefinedMetricSpecification; m == nil || m.PredefinedMetricType == types.MetricTypeALBRequestCountPerTarget {
			value = a.requests(key, config, sample, elapsed)
		}
		if math.IsNaN(value) {
			d.in = false // nothing is known of it yet
			continue
		}
		tracked++
		target := *config.TargetValue
		need := int32(math.Ceil(float64(desired) * value / target))
		if value > target && need > desired {
			d.out = true
			if need > d.wanted || d.cause == "" {
				d.wanted, d.cause = max(d.wanted, need), alarmCause(p, 0)
			}
			d.outCooldown = max(d.outCooldown, aws.ToInt32(config.ScaleOutCooldown))
		}
		if value >= target*lowShare || aws.ToBool(config.DisableScaleIn) {
			d.in = false
		} else if !d.out {
			d.cause = alarmCause(p, 1)
			d.inCooldown = max(d.inCooldown, aws.ToInt32(config.ScaleInCooldown))
		}
	}
	d.in = d.in && !d.out && tracked > 0
	return d
}

// scale changes the number of a service's tasks when it has been wrong for long enough.
func (a tx) scale(id string, t *scalableTarget, sample *scalingSample) bool {
	desired, ok := a.services.DesiredCount(a.Tx, serviceKey(id))
	if !ok {
		return false
	}
	d := a.decide(id, desired, sample)
	sample.aboveTarget, sample.belowTarget = streak(sample.aboveTarget, d.out), streak(sample.belowTarget, d.in)
	low, high := *t.MinCapacity, *t.MaxCapacity
	switch {
	case desired < low || desired > high:
		return a.setDesired(id, desired, sample, min(max(desired, low), high), "the capacity was outside of its bounds")
	case d.out && sample.aboveTarget >= highMinutes && a.cooled(sample, d.outCooldown) && !aws.ToBool(t.SuspendedState.DynamicScalingOutSuspended):
		return a.setDesired(id, desired, sample, min(d.wanted, high), d.cause)
	case d.in && sample.belowTarget >= lowMinutes && a.cooled(sample, d.inCooldown) && !aws.ToBool(t.SuspendedState.DynamicScalingInSuspended):
		return a.setDesired(id, desired, sample, max(desired-1, low), d.cause) // one at a time: it errs on the safe side
	}
	return false
}

// streak counts looks in a row.
func streak(n int, more bool) int {
	if more {
		return n + 1
	}
	return 0
}

func alarmCause(p *types.ScalingPolicy, alarm int) string {
	return fmt.Sprintf("monitor alarm %s in state ALARM triggered policy %s", *p.Alarms[alarm].AlarmName, *p.PolicyName)
}

// cooled reports whether the pause after the last change is over; 0 seconds mean
// the default.
func (a tx) cooled(sample *scalingSample, seconds int32) bool {
	pause := scalingCooldown * a.minute
	if seconds > 0 {
		pause = time.Duration(float64(seconds) / 60 * float64(a.minute))
	}
	return time.Since(sample.changed) >= pause
}

func (a tx) setDesired(id string, desired int32, sample *scalingSample, n int32, cause string) bool {
	sample.aboveTarget, sample.belowTarget = 0, 0
	if n == desired {
		return false
	}
	sample.changed = time.Now()
	a.services.Scale(a.Tx, serviceKey(id), n, cause)
	list := append([]types.ScalingActivity{{
		ActivityId: aws.String(kernel.UUID()), Cause: aws.String(cause), Description: aws.String(fmt.Sprintf("Setting desired count to %d.", n)), ResourceId: aws.String(id),
		ServiceNamespace: types.ServiceNamespaceEcs, ScalableDimension: types.ScalableDimensionECSServiceDesiredCount, StartTime: aws.Time(a.Now()), EndTime: aws.Time(a.Now()),
		StatusCode: types.ScalingActivityStatusCodeSuccessful, StatusMessage: aws.String(fmt.Sprintf("Successfully set desired count to %d. Change successfully fulfilled by ecs.", n)),
	}}, a.state().Activities...)
	a.state().Activities = list[:min(len(list), maxActivities)]
	return true
}

// utilization is the average share, in per cent, that tasks used of their CPU
// since the last look, and how long that is ago.
func (a tx) utilization(id string, sample *scalingSample) (percent float64, elapsed time.Duration) {
	now := time.Now()
	if !sample.at.IsZero() {
		elapsed = now.Sub(sample.at)
	}
	sample.at = now
	seen := map[string]time.Duration{}
	var sum float64
	n := 0
	a.services.EachRunningTask(a.Tx, serviceKey(id), func(task string, used time.Duration, units float64) {
		seen[task] = used
		if before, ok := sample.cpu[task]; ok && elapsed > 0 {
			sum += float64(used-before) / float64(elapsed) / (units / 1024) * 100
			n++
		}
	})
	sample.cpu = seen
	if n == 0 {
		return math.NaN(), elapsed
	}
	return sum / float64(n), elapsed
}

// serviceKey is how ECS's own state calls the service that a resource id names:
// cluster/name.
func serviceKey(resource string) string { return strings.TrimPrefix(resource, "service/") }
