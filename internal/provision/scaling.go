package provision

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/sorted"
)

// Scaling lets the number of tasks follow the load between two bounds. Without
// bounds there is none, and one that is left from before is taken off. It
// belongs to the service and is found by the service's name.
type Scaling struct {
	graph.NodeOf[*liveScaling]
	identity
	scaling *scaling.Client
	service *Service
	lb      *LoadBalancer
	targets *TargetGroup
	second  *TargetGroup // that takes turns with targets; nil without one
	want    bounds
	paused  bool // it is to be suspended
	// none reports whether there was no target before this run changed anything.
	none bool
	// recorded reports whether this run has written the bounds to the service's tags.
	recorded bool
}

// bounds are the least and the most tasks; zero means no scaling.
type bounds struct{ min, max int32 }

func (b bounds) String() string {
	if b.max == 0 {
		return ""
	}
	return fmt.Sprintf("%d to %d", b.min, b.max)
}

// include reports whether a number of tasks is within the bounds.
func (b bounds) include(n int32) bool { return n >= b.min && n <= b.max }

// nearest is the number within the bounds that is nearest to another one.
func (b bounds) nearest(n int32) int32 { return min(max(n, b.min), b.max) }

const (
	// busyCPU is the share of its CPU, in per cent, that a task may use on
	// average before there are more tasks.
	busyCPU = 60
	// busyRequests is how many requests a minute a task may have on average. A
	// quarter of a CPU answers several times as many.
	busyRequests = 6000
)

// scalingNeeds are the resources by which a service is scaled.
type scalingNeeds struct {
	linked  *ServiceLinkedRole
	service *Service
	lb      *LoadBalancer
	targets *TargetGroup
	second  *TargetGroup // nil without one
}

func newScaling(i identity, client *scaling.Client, needs scalingNeeds, want bounds, paused bool) *Scaling {
	s := &Scaling{
		identity: i, scaling: client, service: needs.service, lb: needs.lb, targets: needs.targets, second: needs.second,
		want: want, paused: paused,
	}
	first := []graph.Finder{needs.linked, needs.service, needs.lb, needs.targets}
	if needs.second != nil {
		first = append(first, needs.second)
	}
	s.NodeOf = graph.Of(s, "scaling", 5*time.Minute, first...)
	return s
}

func (s *Scaling) resourceID() *string {
	return aws.String(s.names().ScalableTarget())
}

// liveScaling is the scaling as far as it is compared.
type liveScaling struct {
	bounds
	scheduled bool           // the bounds are those of a schedule, which is no drift
	recorded  []graph.Change // how the tags of the service differ, or of the cluster
	suspended string         // what of it is
	policies  map[string]string
}

// Read looks up the scaling of the service.
func (s *Scaling) Read(ctx context.Context) (*liveScaling, graph.State, error) {
	live := &liveScaling{policies: map[string]string{}, recorded: s.unrecorded()}
	var nothing *liveScaling
	none := graph.State{Phase: graph.Absent, Unwanted: s.want.max == 0}
	if s.want.max == 0 && len(live.recorded) > 0 { // else the next run would take the old bounds for wanted
		nothing, none = live, graph.State{Phase: graph.Ready, ID: *s.resourceID(), Owner: s.stack}
	}
	if s.none && s.want.max == 0 && !graph.Observing(ctx) { // only this run would make one
		return nothing, none, nil
	}
	targets, err := s.scalableTargets(ctx, s.scaling)
	s.none = err == nil && len(targets) == 0
	if err != nil && s.want.max == 0 && !Expired(err) && ctx.Err() == nil {
		return nothing, none, nil // nobody asked for scaling, and there need not be such a service
	}
	if err != nil {
		return nil, graph.State{}, err
	}
	if len(targets) == 0 {
		return nothing, none, nil
	}
	if !s.service.ours() && s.service.ID() != "" {
		return nothing, none, nil // a part of an unmanaged service
	}
	target := targets[0]
	live.bounds = boundsOf(target)
	if s.want.max != 0 && live.bounds != s.want {
		if live.scheduled, err = s.setBySchedule(ctx, live.bounds); err != nil {
			return nil, graph.State{}, err
		}
	}
	live.suspended = describeSuspension(target.SuspendedState)
	pages := scaling.NewDescribeScalingPoliciesPaginator(s.scaling, &scaling.DescribeScalingPoliciesInput{
		ServiceNamespace: types.ServiceNamespaceEcs, ResourceId: s.resourceID(), ScalableDimension: types.ScalableDimensionECSServiceDesiredCount,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, graph.State{}, fmt.Errorf("describe the scaling policies of %s: %w", s.service.serviceName(), err)
		}
		for _, p := range page.ScalingPolicies {
			live.policies[aws.ToString(p.PolicyName)] = describePolicy(p.TargetTrackingScalingPolicyConfiguration)
		}
	}
	id := aws.ToString(target.ScalableTargetARN)
	if id == "" {
		id = *s.resourceID()
	}
	return live, graph.State{Phase: graph.Ready, ID: id, Owner: s.stack, Note: live.String()}, nil
}

// unrecorded are the bounds that the service's tags are yet to be given: they are
// written when they are in force.
func (s *Scaling) unrecorded() []graph.Change {
	if !s.service.ours() || s.recorded {
		return nil
	}
	tags := s.service.Last().tags
	if tags[settingTag("max")] == "" && s.want.max == 0 {
		return nil
	}
	if drift := s.recordDrift(tags, byScaling); drift != nil {
		return drift
	}
	if cluster := s.service.cluster.Last(); s.want.max == 0 && cluster != nil && cluster.tags[settingTag("max")] == "" {
		return nil
	}
	return s.service.cluster.copyDrift(copyByScaling)
}

func (s *Scaling) record(ctx context.Context, _ []graph.Change) error {
	_, err := s.service.ecs.TagResource(ctx, &ecs.TagResourceInput{ResourceArn: aws.String(s.service.ID()), Tags: toECSTags(s.settings[byScaling])})
	if err != nil {
		return fmt.Errorf("record the bounds of %s: %w", s.service.serviceName(), err)
	}
	if err := s.service.cluster.record(ctx, copyByScaling); err != nil {
		return err
	}
	s.recorded = true
	return nil
}

func boundsOf(t types.ScalableTarget) bounds {
	return bounds{min: aws.ToInt32(t.MinCapacity), max: aws.ToInt32(t.MaxCapacity)}
}

// setBySchedule reports whether bounds that are not the wanted ones are those of
// somebody's schedule, which changes them at its times and is no drift.
// https://docs.aws.amazon.com/autoscaling/application/userguide/scheduled-scaling-policy-overview.html
func (s *Scaling) setBySchedule(ctx context.Context, live bounds) (bool, error) {
	least, most := live.min == s.want.min, live.max == s.want.max
	pages := scaling.NewDescribeScheduledActionsPaginator(s.scaling, &scaling.DescribeScheduledActionsInput{
		ServiceNamespace: types.ServiceNamespaceEcs, ResourceId: s.resourceID(), ScalableDimension: types.ScalableDimensionECSServiceDesiredCount,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return false, fmt.Errorf("describe the scheduled scaling of %s: %w", s.service.serviceName(), err)
		}
		for _, a := range page.ScheduledActions {
			if set := a.ScalableTargetAction; set != nil {
				least = least || set.MinCapacity != nil && *set.MinCapacity == live.min
				most = most || set.MaxCapacity != nil && *set.MaxCapacity == live.max
			}
		}
	}
	return least && most, nil
}

// inForce are the bounds that the number of tasks has to be within: the wanted
// ones, or those that a schedule has set.
func (s *Scaling) inForce(ctx context.Context) (bounds, error) {
	targets, err := s.scalableTargets(ctx, s.scaling)
	if err != nil || len(targets) == 0 {
		return s.want, err
	}
	live := boundsOf(targets[0])
	if by, err := s.setBySchedule(ctx, live); err != nil || !by {
		return s.want, err
	}
	return live, nil
}

// describeSuspension returns what of a scaling somebody has suspended; "" for nothing.
func describeSuspension(s *types.SuspendedState) string {
	if s == nil {
		return ""
	}
	var out []string
	for _, x := range []struct {
		what string
		is   *bool
	}{{"in", s.DynamicScalingInSuspended}, {"out", s.DynamicScalingOutSuspended}, {"by schedule", s.ScheduledScalingSuspended}} {
		if aws.ToBool(x.is) {
			out = append(out, x.what)
		}
	}
	return strings.Join(out, ", ")
}

// suspension suspends all of a scaling, or nothing.
// https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-suspend-resume-scaling.html
func suspension(all bool) *types.SuspendedState {
	return &types.SuspendedState{DynamicScalingInSuspended: &all, DynamicScalingOutSuspended: &all, ScheduledScalingSuspended: &all}
}

func describePolicy(c *types.TargetTrackingScalingPolicyConfiguration) string {
	text := ""
	switch {
	case c != nil && c.PredefinedMetricSpecification != nil:
		m := c.PredefinedMetricSpecification
		text = strings.TrimSpace(fmt.Sprintf("%s %g %s", m.PredefinedMetricType, aws.ToFloat64(c.TargetValue), aws.ToString(m.ResourceLabel)))
	case c != nil && c.CustomizedMetricSpecification != nil && c.CustomizedMetricSpecification.MetricName == nil:
		text = fmt.Sprintf("%g of %s", aws.ToFloat64(c.TargetValue), describeQueries(c.CustomizedMetricSpecification.Metrics))
	default:
		return "not target tracking of a predefined metric, nor of metric math"
	}
	if aws.ToBool(c.DisableScaleIn) {
		text += ", only out"
	}
	for _, x := range []struct {
		what    string
		seconds *int32
	}{{"out", c.ScaleOutCooldown}, {"in", c.ScaleInCooldown}} {
		// ECS's default, which AWS reports or leaves out:
		// https://docs.aws.amazon.com/autoscaling/application/APIReference/API_TargetTrackingScalingPolicyConfiguration.html
		if x.seconds != nil && *x.seconds != 300 {
			text += fmt.Sprintf(", %d s between scaling %s", *x.seconds, x.what)
		}
	}
	return text
}

// describeQueries is metric math as text.
func describeQueries(queries []types.TargetTrackingMetricDataQuery) string {
	var out []string
	for _, q := range queries {
		text := aws.ToString(q.Id) + "=" + aws.ToString(q.Expression)
		if s := q.MetricStat; s != nil && s.Metric != nil {
			text += aws.ToString(s.Stat) + " of " + aws.ToString(s.Metric.Namespace) + " " + aws.ToString(s.Metric.MetricName)
			dimensions := slices.Clone(s.Metric.Dimensions)
			sorted.By(dimensions, func(x, y types.TargetTrackingMetricDimension) int {
				return strings.Compare(aws.ToString(x.Name), aws.ToString(y.Name))
			})
			for _, d := range dimensions {
				text += " " + aws.ToString(d.Name) + "=" + aws.ToString(d.Value)
			}
		}
		if q.ReturnData == nil || *q.ReturnData {
			text += " (tracked)"
		}
		out = append(out, text)
	}
	return inAnyOrder(out)
}

// inEither adds up a metric of two target groups, of which one mostly has no data. CloudWatch
// takes a missing data point for 0 then. Where neither has one the sum has none: FILL would
// make 0 of the newest minutes, which have not arrived yet.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
const inEither = "first+second"

// ofBothGroups is ALBRequestCountPerTarget of whichever of two groups has the tasks that
// serve. That metric itself is of one group, and "not supported for the blue/green
// deployment type"; nobody is sent to the other group, but while the traffic is shifted.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-autoscaling-targettracking.html
// https://github.com/aws-samples/sample-amazon-ecs-blue-green-deployment-patterns/tree/main/ecs-bluegreen-autoscaling
func (s *Scaling) ofBothGroups() *types.CustomizedMetricSpecification {
	balancer, _, _ := strings.Cut(requestLabel(s.lb.ID(), s.targets.ID()), "/targetgroup/")
	of := func(id string, t *TargetGroup) types.TargetTrackingMetricDataQuery {
		_, group, _ := strings.Cut(t.ID(), ":targetgroup/")
		return types.TargetTrackingMetricDataQuery{Id: &id, ReturnData: aws.Bool(false), MetricStat: &types.TargetTrackingMetricStat{
			Stat: aws.String("Sum"), Metric: &types.TargetTrackingMetric{Namespace: aws.String("AWS/ApplicationELB"), MetricName: aws.String("RequestCountPerTarget"), Dimensions: []types.TargetTrackingMetricDimension{
				{Name: aws.String("LoadBalancer"), Value: &balancer}, {Name: aws.String("TargetGroup"), Value: aws.String("targetgroup/" + group)},
			}},
		}}
	}
	return &types.CustomizedMetricSpecification{Metrics: []types.TargetTrackingMetricDataQuery{
		of("first", s.targets), of("second", s.second),
		{Id: aws.String("requests"), Label: aws.String("requests per target"), ReturnData: aws.Bool(true), Expression: aws.String(inEither)},
	}}
}

// policies are the wanted policies by name.
func (s *Scaling) policies() map[string]*types.TargetTrackingScalingPolicyConfiguration {
	track := func(metric types.MetricType, value float64, label string) *types.TargetTrackingScalingPolicyConfiguration {
		m := &types.PredefinedMetricSpecification{PredefinedMetricType: metric}
		if label != "" {
			m.ResourceLabel = &label
		}
		return &types.TargetTrackingScalingPolicyConfiguration{PredefinedMetricSpecification: m, TargetValue: &value}
	}
	requests := track(types.MetricTypeALBRequestCountPerTarget, busyRequests, requestLabel(s.lb.ID(), s.targets.ID()))
	if s.second != nil {
		requests.PredefinedMetricSpecification, requests.CustomizedMetricSpecification = nil, s.ofBothGroups()
	}
	return map[string]*types.TargetTrackingScalingPolicyConfiguration{"cpu": track(types.MetricTypeECSServiceAverageCPUUtilization, busyCPU, ""), "requests": requests}
}

// requestLabel joins the ends of two ARNs, as the metric wants it:
// https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PredefinedMetricSpecification.html
func requestLabel(balancer, group string) string {
	_, lb, _ := strings.Cut(balancer, ":loadbalancer/")
	_, tg, _ := strings.Cut(group, ":targetgroup/")
	return lb + "/targetgroup/" + tg
}

// Wanted implements graph.Shape.
func (s *Scaling) Wanted(live *liveScaling) *liveScaling {
	w := &liveScaling{bounds: s.want, policies: map[string]string{}}
	if live.scheduled {
		w.bounds = live.bounds
	}
	if s.paused {
		w.suspended, w.min = describeSuspension(suspension(true)), 0
	}
	if s.want.max != 0 {
		for name, c := range s.policies() {
			w.policies[name] = describePolicy(c)
		}
	}
	return w
}

const policyField = "policy "

// Attributes implements graph.Shape. Where no scaling is wanted, it ends with its
// policies.
func (s *Scaling) Attributes() graph.Attributes[*liveScaling] {
	set := graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
		if s.want.max == 0 {
			return s.Delete(ctx)
		}
		_, err := s.register(ctx, nil)
		return err
	})
	scaled := func(_, want *liveScaling) bool { return want.max != 0 }
	return graph.Attributes[*liveScaling]{
		graph.Field("tasks", func(l *liveScaling) string { return l.String() }, set),
		graph.Field("suspended", func(l *liveScaling) string { return l.suspended }, set).When(scaled),
		graph.Many(policyField, func(live, want *liveScaling) []graph.Change {
			var out []graph.Change
			all := maps.Clone(live.policies)
			maps.Copy(all, want.policies)
			for name := range all {
				if have, want := live.policies[name], want.policies[name]; have != want {
					out = append(out, graph.Change{Field: name, Have: have, Want: want})
				}
			}
			return out
		}, graph.SetBy(s.setPolicies)).When(scaled),
		recordAttribute(func(live, _ *liveScaling) []graph.Change { return live.recorded }, graph.SetBy(s.record)),
	}
}

// Create registers the service for scaling, without a policy.
func (s *Scaling) Create(ctx context.Context) (string, error) {
	return s.register(ctx, s.tags(s.Name()))
}

// register sets the bounds. It takes tags only for what is not registered yet.
func (s *Scaling) register(ctx context.Context, tags map[string]string) (string, error) {
	out, err := s.scaling.RegisterScalableTarget(ctx, &scaling.RegisterScalableTargetInput{
		ServiceNamespace: types.ServiceNamespaceEcs, ResourceId: s.resourceID(), ScalableDimension: types.ScalableDimensionECSServiceDesiredCount,
		MinCapacity: &s.want.min, MaxCapacity: &s.want.max, Tags: tags,
		SuspendedState: suspension(false),
	})
	if err != nil {
		return "", fmt.Errorf("scale %s from %s: %w", s.service.serviceName(), s.want, err)
	}
	return aws.ToString(out.ScalableTargetARN), nil
}

func (s *Scaling) setPolicies(ctx context.Context, changes []graph.Change) error {
	want := s.policies()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !hasField(changes, policyField+name) {
			continue
		}
		_, err := s.scaling.PutScalingPolicy(ctx, &scaling.PutScalingPolicyInput{
			ServiceNamespace: types.ServiceNamespaceEcs, ResourceId: s.resourceID(), ScalableDimension: types.ScalableDimensionECSServiceDesiredCount,
			PolicyName: &name, PolicyType: types.PolicyTypeTargetTrackingScaling, TargetTrackingScalingPolicyConfiguration: want[name],
		})
		if err != nil {
			return fmt.Errorf("set scaling policy %s of %s: %w", name, s.service.serviceName(), err)
		}
	}
	for _, c := range changes {
		name := strings.TrimPrefix(c.Field, policyField)
		if want[name] != nil {
			continue
		}
		_, err := s.scaling.DeleteScalingPolicy(ctx, &scaling.DeleteScalingPolicyInput{
			ServiceNamespace: types.ServiceNamespaceEcs, ResourceId: s.resourceID(), ScalableDimension: types.ScalableDimensionECSServiceDesiredCount, PolicyName: &name,
		})
		if err != nil && !IsCode(err, "ObjectNotFoundException") {
			return fmt.Errorf("delete scaling policy %s of %s: %w", name, s.service.serviceName(), err)
		}
	}
	return nil
}

// Delete ends the scaling with its policies and their alarms.
func (s *Scaling) Delete(ctx context.Context) error {
	_, err := s.scaling.DeregisterScalableTarget(ctx, &scaling.DeregisterScalableTargetInput{
		ServiceNamespace: types.ServiceNamespaceEcs, ResourceId: s.resourceID(), ScalableDimension: types.ScalableDimensionECSServiceDesiredCount,
	})
	if err != nil && !IsCode(err, "ObjectNotFoundException") {
		return fmt.Errorf("end the scaling of %s: %w", s.service.serviceName(), err)
	}
	return nil
}

// scalableTargetKind lists the scaling of the stack's service. It has a name that
// only the stack's service can have.
func (i identity) scalableTargetKind(client *scaling.Client) inventory.Kind {
	return inventory.Kind{Service: "application-autoscaling", Type: "scaling target", Late: true, List: func(ctx context.Context) ([]inventory.Item, error) {
		targets, err := i.scalableTargets(ctx, client)
		return mapped(targets, func(types.ScalableTarget) inventory.Item { return inventory.Item{ID: i.names().ScalableTarget()} }), err
	}}
}

// scalableTargets are those of the service: one at most.
func (i identity) scalableTargets(ctx context.Context, client *scaling.Client) ([]types.ScalableTarget, error) {
	return i.observed().scaling.readOnce(ctx, func(ctx context.Context) ([]types.ScalableTarget, error) {
		id := i.names().ScalableTarget()
		out, err := client.DescribeScalableTargets(ctx, &scaling.DescribeScalableTargetsInput{
			ServiceNamespace: types.ServiceNamespaceEcs, ResourceIds: []string{id}, ScalableDimension: types.ScalableDimensionECSServiceDesiredCount,
		})
		if err != nil {
			return nil, fmt.Errorf("describe the scaling of %s: %w", id, err)
		}
		return out.ScalableTargets, nil
	})
}

// scalingMetrics is how many metrics the alarms of scaling look at, by which CloudWatch
// bills them: AWS makes two for each policy, of the tasks' CPU and of the requests for
// each. With two target groups, the requests are a sum of two metrics.
// https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScalingPolicy.html
func scalingMetrics(s Settings) int32 {
	switch {
	case s.Max == 0:
		return 0
	case s.twoGroups():
		return 2 + 4
	}
	return 2 + 2
}
