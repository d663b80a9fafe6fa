package localcloud

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

// autoScalingState is what Application Auto Scaling keeps.
type autoScalingState struct {
	Targets    map[string]*scalableTarget      `json:"targets,omitempty"`  // by resource id
	Policies   map[string]*types.ScalingPolicy `json:"policies,omitempty"` // by resource id and name
	Activities []types.ScalingActivity         `json:"activities,omitempty"`
	Scheduled  map[string]*scheduledAction     `json:"scheduled,omitempty"` // likewise
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
	at       time.Time
	requests int64
	cpu      map[string]time.Duration // by task
	high     int                      // looks in a row that called for more tasks
	low      int                      // and for fewer
	changed  time.Time
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

type autoScalingAPI struct{ tx }

func (c *Cloud) autoScalingService() kernel.Service {
	return kernel.Service{Model: "application-autoscaling", Signing: "application-autoscaling", Protocol: kernel.JSON, Operations: kernel.Operations(func(t *kernel.Tx) autoScalingAPI { return autoScalingAPI{tx{t, c}} },
		kernel.Op("RegisterScalableTarget", autoScalingAPI.RegisterScalableTarget), kernel.Op("DeregisterScalableTarget", autoScalingAPI.DeregisterScalableTarget),
		kernel.Op("DescribeScalableTargets", autoScalingAPI.DescribeScalableTargets), kernel.Op("PutScalingPolicy", autoScalingAPI.PutScalingPolicy), kernel.Op("DeleteScalingPolicy", autoScalingAPI.DeleteScalingPolicy),
		kernel.Op("PutScheduledAction", autoScalingAPI.PutScheduledAction), kernel.Op("DeleteScheduledAction", autoScalingAPI.DeleteScheduledAction), kernel.Op("DescribeScheduledActions", autoScalingAPI.DescribeScheduledActions),
		kernel.Op("DescribeScalingPolicies", autoScalingAPI.DescribeScalingPolicies), kernel.Op("DescribeScalingActivities", autoScalingAPI.DescribeScalingActivities),
		kernel.Op("TagResource", autoScalingAPI.TagResource), kernel.Op("UntagResource", autoScalingAPI.UntagResource), kernel.Op("ListTagsForResource", autoScalingAPI.ListTagsForResource),
	)}
}

// scaled is the service that a resource id names, or nil.
func (c tx) scaled(resource string) *ecsService {
	s := c.ecs().Services[strings.TrimPrefix(resource, "service/")]
	if s == nil || s.Status != ecsActive {
		return nil
	}
	return s
}

func checkDimension(namespace types.ServiceNamespace, dimension types.ScalableDimension) error {
	if namespace != types.ServiceNamespaceEcs || dimension != "" && dimension != types.ScalableDimensionECSServiceDesiredCount {
		return kernel.Fail("ValidationException", "Unsupported service namespace, resource type or scalable dimension: the local cloud scales ECS services only")
	}
	return nil
}

// RegisterScalableTarget sets between what a service may scale.
func (a autoScalingAPI) RegisterScalableTarget(in *scaling.RegisterScalableTargetInput) (*scaling.RegisterScalableTargetOutput, error) {
	if err := checkDimension(in.ServiceNamespace, in.ScalableDimension); err != nil {
		return nil, err
	}
	id := aws.ToString(in.ResourceId)
	t := a.autoScaling().Targets[id]
	if t == nil {
		if a.scaled(id) == nil {
			return nil, kernel.Fail("ValidationException", "ECS service doesn't exist: %s", id)
		}
		if in.MinCapacity == nil || in.MaxCapacity == nil {
			return nil, kernel.Fail("ValidationException", "Both minCapacity and maxCapacity are required to register a new scalable target")
		}
		if role := "ecs.application-autoscaling.amazonaws.com"; !a.hasServiceLinkedRole(role) {
			// Unlike ECS's this role is made by the first call
			// (https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-service-linked-roles.html).
			a.makeServiceLinkedRole(role, "")
		}
		t = &scalableTarget{ScalableTarget: types.ScalableTarget{
			CreationTime: aws.Time(a.Now()), ResourceId: in.ResourceId, ServiceNamespace: in.ServiceNamespace, ScalableDimension: types.ScalableDimensionECSServiceDesiredCount,
			RoleARN:           aws.String(a.ARN("iam", "role/aws-service-role/ecs.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_ECSService")),
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
	if a.autoScaling().Targets == nil {
		a.autoScaling().Targets = map[string]*scalableTarget{}
	}
	a.autoScaling().Targets[id] = t
	return &scaling.RegisterScalableTargetOutput{ScalableTargetARN: t.ScalableTargetARN}, nil
}

// PutScheduledAction makes or replaces a time at which the bounds change.
// https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScheduledAction.html
func (a autoScalingAPI) PutScheduledAction(in *scaling.PutScheduledActionInput) (*scaling.PutScheduledActionOutput, error) {
	if err := checkDimension(in.ServiceNamespace, in.ScalableDimension); err != nil {
		return nil, err
	}
	id, name := aws.ToString(in.ResourceId), aws.ToString(in.ScheduledActionName)
	if a.autoScaling().Targets[id] == nil {
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
	if a.autoScaling().Scheduled == nil {
		a.autoScaling().Scheduled = map[string]*scheduledAction{}
	}
	a.autoScaling().Scheduled[id+"\x00"+name] = x
	return &scaling.PutScheduledActionOutput{}, nil
}

// DeleteScheduledAction removes one.
func (a autoScalingAPI) DeleteScheduledAction(in *scaling.DeleteScheduledActionInput) (*scaling.DeleteScheduledActionOutput, error) {
	key := aws.ToString(in.ResourceId) + "\x00" + aws.ToString(in.ScheduledActionName)
	if a.autoScaling().Scheduled[key] == nil {
		return nil, kernel.Fail("ObjectNotFoundException", "No scheduled action found for service namespace: ecs, resource ID: %s, scheduled action name: %s", aws.ToString(in.ResourceId), aws.ToString(in.ScheduledActionName))
	}
	delete(a.autoScaling().Scheduled, key)
	return &scaling.DeleteScheduledActionOutput{}, nil
}

// DescribeScheduledActions lists them, also those whose time is over.
func (a autoScalingAPI) DescribeScheduledActions(in *scaling.DescribeScheduledActionsInput) (*scaling.DescribeScheduledActionsOutput, error) {
	out := &scaling.DescribeScheduledActionsOutput{ScheduledActions: []types.ScheduledAction{}}
	for _, key := range slices.Sorted(maps.Keys(a.autoScaling().Scheduled)) {
		if x := a.autoScaling().Scheduled[key]; in.ResourceId == nil || *in.ResourceId == *x.ResourceId {
			out.ScheduledActions = append(out.ScheduledActions, x.ScheduledAction)
		}
	}
	return out, nil
}

// keepSchedules sets the bounds whose time has come. The lock is held.
func (c tx) keepSchedules() (changed bool) {
	for _, x := range c.autoScaling().Scheduled {
		t := c.autoScaling().Targets[*x.ResourceId]
		if x.Done || t == nil || x.ScalableTargetAction == nil || c.Now().Before(x.Due) {
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
func (a autoScalingAPI) DeregisterScalableTarget(in *scaling.DeregisterScalableTargetInput) (*scaling.DeregisterScalableTargetOutput, error) {
	id := aws.ToString(in.ResourceId)
	if a.autoScaling().Targets[id] == nil {
		return nil, noTarget(in.ResourceId)
	}
	delete(a.autoScaling().Targets, id)
	maps.DeleteFunc(a.autoScaling().Scheduled, func(_ string, x *scheduledAction) bool { return *x.ResourceId == id })
	maps.DeleteFunc(a.autoScaling().Policies, func(_ string, p *types.ScalingPolicy) bool { return *p.ResourceId == id })
	return &scaling.DeregisterScalableTargetOutput{}, nil
}

// DescribeScalableTargets lists what is registered.
func (a autoScalingAPI) DescribeScalableTargets(in *scaling.DescribeScalableTargetsInput) (*scaling.DescribeScalableTargetsOutput, error) {
	out := &scaling.DescribeScalableTargetsOutput{ScalableTargets: []types.ScalableTarget{}}
	for _, id := range slices.Sorted(maps.Keys(a.autoScaling().Targets)) {
		if kernel.Selected(in.ResourceIds, id) && in.ServiceNamespace == types.ServiceNamespaceEcs {
			out.ScalableTargets = append(out.ScalableTargets, a.autoScaling().Targets[id].ScalableTarget)
		}
	}
	return out, nil
}

// PutScalingPolicy makes or replaces a target tracking policy.
func (a autoScalingAPI) PutScalingPolicy(in *scaling.PutScalingPolicyInput) (*scaling.PutScalingPolicyOutput, error) {
	if err := checkDimension(in.ServiceNamespace, in.ScalableDimension); err != nil {
		return nil, err
	}
	id := aws.ToString(in.ResourceId)
	if a.autoScaling().Targets[id] == nil {
		return nil, noTarget(in.ResourceId)
	}
	config := in.TargetTrackingScalingPolicyConfiguration
	if in.PolicyType != types.PolicyTypeTargetTrackingScaling || config == nil || config.PredefinedMetricSpecification == nil {
		return nil, kernel.Fail("ValidationException", "The local cloud knows policies of type TargetTrackingScaling with a predefined metric only")
	}
	switch m := config.PredefinedMetricSpecification; m.PredefinedMetricType {
	case types.MetricTypeECSServiceAverageCPUUtilization:
	case types.MetricTypeALBRequestCountPerTarget:
		if a.labelled(aws.ToString(m.ResourceLabel)) == "" {
			return nil, kernel.Fail("ValidationException", "Resource label %s is not valid: it has to be app/<name>/<id>/targetgroup/<name>/<id> of a load balancer and its target group", aws.ToString(m.ResourceLabel))
		}
	default:
		return nil, kernel.Fail("ValidationException", "The local cloud does not measure %s", m.PredefinedMetricType)
	}
	if aws.ToFloat64(config.TargetValue) <= 0 {
		return nil, kernel.Fail("ValidationException", "Target value must be greater than 0")
	}
	name := aws.ToString(in.PolicyName)
	p := a.autoScaling().Policies[id+"\x00"+name]
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
	if a.autoScaling().Policies == nil {
		a.autoScaling().Policies = map[string]*types.ScalingPolicy{}
	}
	a.autoScaling().Policies[id+"\x00"+name] = p
	return &scaling.PutScalingPolicyOutput{PolicyARN: p.PolicyARN, Alarms: p.Alarms}, nil
}

// labelled is the ARN of the target group that a resource label names, or "".
func (c tx) labelled(label string) string {
	_, group, _ := strings.Cut(label, "/targetgroup/")
	arn := c.ARN("elasticloadbalancing", "targetgroup/"+group)
	if c.elb().TargetGroups[arn] == nil {
		return ""
	}
	return arn
}

// DeleteScalingPolicy removes a policy.
func (a autoScalingAPI) DeleteScalingPolicy(in *scaling.DeleteScalingPolicyInput) (*scaling.DeleteScalingPolicyOutput, error) {
	key := aws.ToString(in.ResourceId) + "\x00" + aws.ToString(in.PolicyName)
	if a.autoScaling().Policies[key] == nil {
		return nil, kernel.Fail("ObjectNotFoundException", "No scaling policy found for service namespace: ecs, resource ID: %s, scalable dimension: ecs:service:DesiredCount, policy name: %s", aws.ToString(in.ResourceId), aws.ToString(in.PolicyName))
	}
	delete(a.autoScaling().Policies, key)
	return &scaling.DeleteScalingPolicyOutput{}, nil
}

// DescribeScalingPolicies lists policies.
func (a autoScalingAPI) DescribeScalingPolicies(in *scaling.DescribeScalingPoliciesInput) (*scaling.DescribeScalingPoliciesOutput, error) {
	out := &scaling.DescribeScalingPoliciesOutput{ScalingPolicies: []types.ScalingPolicy{}}
	for _, key := range slices.Sorted(maps.Keys(a.autoScaling().Policies)) {
		if p := a.autoScaling().Policies[key]; kernel.Selected(in.PolicyNames, *p.PolicyName) && (in.ResourceId == nil || *in.ResourceId == *p.ResourceId) {
			out.ScalingPolicies = append(out.ScalingPolicies, *p)
		}
	}
	return out, nil
}

// DescribeScalingActivities lists the last activities, newest first.
func (a autoScalingAPI) DescribeScalingActivities(in *scaling.DescribeScalingActivitiesInput) (*scaling.DescribeScalingActivitiesOutput, error) {
	out := &scaling.DescribeScalingActivitiesOutput{ScalingActivities: []types.ScalingActivity{}}
	for _, activity := range a.autoScaling().Activities {
		if in.ResourceId == nil || *in.ResourceId == *activity.ResourceId {
			out.ScalingActivities = append(out.ScalingActivities, activity)
		}
	}
	return out, nil
}

func (a autoScalingAPI) byARN(arn *string) (*scalableTarget, error) {
	for _, t := range a.autoScaling().Targets {
		if *t.ScalableTargetARN == aws.ToString(arn) {
			return t, nil
		}
	}
	return nil, kernel.Fail("ResourceNotFoundException", "The scalable target could not be found: %s", aws.ToString(arn))
}

// TagResource tags a scalable target.
func (a autoScalingAPI) TagResource(in *scaling.TagResourceInput) (*scaling.TagResourceOutput, error) {
	t, err := a.byARN(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	maps.Copy(t.TagMap, in.Tags)
	return &scaling.TagResourceOutput{}, nil
}

// UntagResource is the opposite of TagResource.
func (a autoScalingAPI) UntagResource(in *scaling.UntagResourceInput) (*scaling.UntagResourceOutput, error) {
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
func (a autoScalingAPI) ListTagsForResource(in *scaling.ListTagsForResourceInput) (*scaling.ListTagsForResourceOutput, error) {
	t, err := a.byARN(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	return &scaling.ListTagsForResourceOutput{Tags: maps.Clone(t.TagMap)}, nil
}

func (c *Cloud) minute() time.Duration { return cmp.Or(c.cfg.ScalingMinute, scalingMinute) }

// runScaling looks at the scaled services once per minute of theirs.
func (c *Cloud) runScaling(ctx context.Context) {
	samples := map[string]*scalingSample{}
	for kernel.Wait(ctx, nil, c.minute()) {
		c.read(func(c tx) {
			changed := c.keepSchedules()
			for id, t := range c.autoScaling().Targets {
				if samples[id] == nil {
					samples[id] = &scalingSample{cpu: map[string]time.Duration{}}
				}
				changed = c.scale(id, t, samples[id]) || changed
			}
			if changed {
				c.Changed()
				c.wakeScheduler()
			}
		})
	}
}

// scale measures a service and changes its number of tasks. The lock is held.
func (c tx) scale(id string, t *scalableTarget, sample *scalingSample) bool {
	s := c.scaled(id)
	if s == nil {
		return false
	}
	cpu, elapsed := c.utilization(s, sample)
	wanted, cause := s.Desired, ""
	up, down := false, true
	cooldown := map[bool]int32{} // by whether it is for scaling out
	tracked := 0
	for _, key := range slices.Sorted(maps.Keys(c.autoScaling().Policies)) {
		p := c.autoScaling().Policies[key]
		if *p.ResourceId != id {
			continue
		}
		config := p.TargetTrackingScalingPolicyConfiguration
		value := cpu
		if m := config.PredefinedMetricSpecification; m.PredefinedMetricType == types.MetricTypeALBRequestCountPerTarget {
			value = c.requestRate(aws.ToString(m.ResourceLabel), sample, elapsed)
		}
		if math.IsNaN(value) {
			down = false // nothing is known of it yet
			continue
		}
		tracked++
		target := *config.TargetValue
		need := int32(math.Ceil(float64(s.Desired) * value / target))
		if value > target && need > s.Desired {
			up = true
			if need > wanted || cause == "" {
				wanted, cause = max(wanted, need), alarmCause(p, 0)
			}
			cooldown[true] = max(cooldown[true], aws.ToInt32(config.ScaleOutCooldown))
		}
		if value >= target*lowShare || aws.ToBool(config.DisableScaleIn) {
			down = false
		} else if !up {
			cause = alarmCause(p, 1)
			cooldown[false] = max(cooldown[false], aws.ToInt32(config.ScaleInCooldown))
		}
	}
	down = down && !up && tracked > 0
	sample.high, sample.low = count(sample.high, up), count(sample.low, down)
	low, high := *t.MinCapacity, *t.MaxCapacity
	switch {
	case s.Desired < low || s.Desired > high:
		return c.setDesired(id, s, sample, min(max(s.Desired, low), high), "the capacity was outside of its bounds")
	case up && sample.high >= highMinutes && c.cooled(sample, cooldown[true]) && !aws.ToBool(t.SuspendedState.DynamicScalingOutSuspended):
		return c.setDesired(id, s, sample, min(wanted, high), cause)
	case down && sample.low >= lowMinutes && c.cooled(sample, cooldown[false]) && !aws.ToBool(t.SuspendedState.DynamicScalingInSuspended):
		return c.setDesired(id, s, sample, max(s.Desired-1, low), cause) // one at a time: it errs on the safe side
	}
	return false
}

func count(n int, more bool) int {
	if more {
		return n + 1
	}
	return 0
}

func alarmCause(p *types.ScalingPolicy, alarm int) string {
	return fmt.Sprintf("monitor alarm %s in state ALARM triggered policy %s", *p.Alarms[alarm].AlarmName, *p.PolicyName)
}

// cooled says whether the pause after the last change is over; 0 seconds mean
// the default.
func (c tx) cooled(sample *scalingSample, seconds int32) bool {
	pause := scalingCooldown * c.minute()
	if seconds > 0 {
		pause = time.Duration(float64(seconds) / 60 * float64(c.minute()))
	}
	return time.Since(sample.changed) >= pause
}

func (c tx) setDesired(id string, s *ecsService, sample *scalingSample, n int32, cause string) bool {
	sample.high, sample.low = 0, 0
	if n == s.Desired {
		return false
	}
	sample.changed = time.Now()
	s.Desired, s.Steady = n, false
	c.serviceEvent(s.key(), "Message: Successfully set desired count to %d. Change successfully fulfilled by ecs. Cause: %s", n, cause)
	list := append([]types.ScalingActivity{{
		ActivityId: aws.String(kernel.UUID()), Cause: aws.String(cause), Description: aws.String(fmt.Sprintf("Setting desired count to %d.", n)), ResourceId: aws.String(id),
		ServiceNamespace: types.ServiceNamespaceEcs, ScalableDimension: types.ScalableDimensionECSServiceDesiredCount, StartTime: aws.Time(c.Now()), EndTime: aws.Time(c.Now()),
		StatusCode: types.ScalingActivityStatusCodeSuccessful, StatusMessage: aws.String(fmt.Sprintf("Successfully set desired count to %d. Change successfully fulfilled by ecs.", n)),
	}}, c.autoScaling().Activities...)
	c.autoScaling().Activities = list[:min(len(list), maxActivities)]
	return true
}

// utilization is the average share, in per cent, that tasks used of their CPU
// since the last look, and how long that is ago.
func (c tx) utilization(s *ecsService, sample *scalingSample) (percent float64, elapsed time.Duration) {
	now := time.Now()
	if !sample.at.IsZero() {
		elapsed = now.Sub(sample.at)
	}
	sample.at = now
	seen := map[string]time.Duration{}
	var sum float64
	n := 0
	for _, t := range c.ecs().Tasks {
		r := c.ecsLive().tasks[t.ID]
		if t.Service != s.key() || *t.LastStatus != taskRunning || r == nil {
			continue
		}
		var used time.Duration
		for _, container := range r.containers {
			cpu, err := container.CPUTime()
			if err != nil {
				continue // it has just ended
			}
			used += cpu
		}
		seen[t.ID] = used
		if before, ok := sample.cpu[t.ID]; ok && elapsed > 0 {
			sum += float64(used-before) / float64(elapsed) / (t.cpuUnits() / 1024) * 100
			n++
		}
	}
	sample.cpu = seen
	if n == 0 {
		return math.NaN(), elapsed
	}
	return sum / float64(n), elapsed
}

// requestRate is how many requests a minute, a real one, each target of the
// group had since the last look.
func (c tx) requestRate(label string, sample *scalingSample, elapsed time.Duration) float64 {
	g := c.elbLive().groups[c.labelled(label)]
	if g == nil {
		return math.NaN()
	}
	total, targets := g.Requests(), len(g.Health())
	before := sample.requests
	sample.requests = total
	if elapsed == 0 || targets == 0 {
		return math.NaN()
	}
	return float64(total-before) / elapsed.Minutes() / float64(targets)
}
