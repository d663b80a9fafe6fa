package provision

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// TargetGroup is the set of tasks that the load balancer sends requests to.
type TargetGroup struct {
	graph.NodeOf[*liveTargetGroup]
	elbAccess
	vpc  anyVPC
	want targetSpec
	name string // in AWS
	// inForce returns the check by which the registered tasks are to be judged; nil
	// outside a stack.
	inForce      func(context.Context) (checkInForce, error)
	knownInForce *checkInForce // what it returned
}

// targetSpec is what of a target group can be wanted.
type targetSpec struct {
	// port is that of the container when the group is made. The group keeps it, and ECS
	// registers each task with the port of its own.
	port int32
	// path is asked by the health check, and codes are the answers of a healthy task.
	path, codes string
	sticky      bool
	// drain is how many seconds requests may go on at a task that is to stop.
	drain int32
}

// longDrain is how much longer a rollout may take as its requests do: ECS does not stop a task before
// that is drained. The usual time for it is part of what a rollout takes anyway.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/load-balancer-connection-draining.html
func (t *TargetGroup) longDrain() time.Duration {
	if t == nil {
		return 0
	}
	return longDrain(t.want.drain)
}

func longDrain(drain int32) time.Duration {
	if drain <= usualStopTimeout {
		return 0
	}
	return seconds(&drain)
}

// targets is a target group with its tags, or none.
type targets struct {
	live *types.TargetGroup
	tags map[string]string
}

func newTargetGroup(b elbAccess, vpc anyVPC, want targetSpec) *TargetGroup {
	return b.targetGroup("target-group", b.names().TargetGroup(), vpc, want)
}

// newSecondTargetGroup creates the group that takes turns with the first one, where a
// release stands alongside the one before.
func newSecondTargetGroup(b elbAccess, vpc anyVPC, want targetSpec) *TargetGroup {
	return b.targetGroup("target-group-b", b.names().SecondTargetGroup(), vpc, want)
}

func (b elbAccess) targetGroup(resource, name string, vpc anyVPC, want targetSpec) *TargetGroup {
	t := &TargetGroup{elbAccess: b, vpc: vpc, want: want, name: name}
	t.NodeOf = graph.Of(t, resource, 10*time.Minute, vpc)
	return t
}

func (t *TargetGroup) groupName() string { return t.name }

// check finds a task healthy 10 s after it answers, where the defaults (30 s, five
// times) take 150 s. Of bookapi it asks only whether the process is up: a check that
// asks the database would have every task replaced when the database is out.
func (w targetSpec) check() map[string]string { return w.spec().fields() }

func (w targetSpec) spec() checkSpec { return checkSpec{w.path, w.codes} }

func (c checkSpec) fields() map[string]string {
	return map[string]string{
		"health-check":          "true",
		fieldCheckPath:          c.path,
		"health-check-port":     "traffic-port",
		"health-check-protocol": "HTTP",
		"health-check-interval": "5",
		"health-check-timeout":  "3",
		"healthy-threshold":     "2",
		"unhealthy-threshold":   "2",
		fieldCheckCodes:         c.codes,
	}
}

// Attributes of target groups:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
const deregistrationDelay = "deregistration_delay.timeout_seconds"

// stickiness is by a cookie of the load balancer's, for a day.
const stickiness = "stickiness.enabled"

// attributes end the draining when the requests must have ended, instead of after 300 s. ECS
// waits for that end before it stops a task.
func (w targetSpec) attributes() map[string]string {
	return map[string]string{deregistrationDelay: decimal(&w.drain), stickiness: strconv.FormatBool(w.sticky)}
}

// targetDefaults are the attributes that decide which task gets a request, and stay
// as AWS sets them. An endpoint that does not report one has not changed it.
var targetDefaults = map[string]string{
	"load_balancing.algorithm.type":                                                  "round_robin",
	"load_balancing.algorithm.anomaly_mitigation":                                    "off",
	"load_balancing.cross_zone.enabled":                                              "use_load_balancer_configuration",
	"slow_start.duration_seconds":                                                    "0",
	"stickiness.lb_cookie.duration_seconds":                                          "86400",
	"stickiness.type":                                                                "lb_cookie",
	"target_group_health.dns_failover.minimum_healthy_targets.count":                 "1",
	"target_group_health.dns_failover.minimum_healthy_targets.percentage":            "off",
	"target_group_health.unhealthy_state_routing.minimum_healthy_targets.count":      "1",
	"target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
}

// liveTargetGroup is a group as far as it is compared.
type liveTargetGroup struct {
	tags              map[string]string
	kind, vpc         string
	protocol, version string // of HTTP
	addresses         string // of IP
	check, attributes map[string]string
	inForce           checkInForce
}

// Read looks the group up by its name.
func (t *TargetGroup) Read(ctx context.Context) (*liveTargetGroup, graph.State, error) {
	found, err := t.describe(ctx)
	tg, tags := found.live, found.tags
	if tg == nil || err != nil {
		return nil, absent, err
	}
	arn := aws.ToString(tg.TargetGroupArn)
	if t.destroying {
		return &liveTargetGroup{tags: tags}, graph.State{Phase: graph.Ready, ID: arn, Owner: tags[TagStack]}, nil
	}
	attributes, err := t.elb.DescribeTargetGroupAttributes(ctx, &elb.DescribeTargetGroupAttributesInput{TargetGroupArn: &arn})
	if IsCode(err, "TargetGroupNotFound") {
		return nil, absent, nil
	}
	if err != nil {
		return nil, graph.State{}, fmt.Errorf("describe the attributes of target group %s: %w", t.groupName(), err)
	}
	live := &liveTargetGroup{
		tags: tags, kind: string(tg.TargetType), vpc: aws.ToString(tg.VpcId), protocol: string(tg.Protocol),
		version: aws.ToString(tg.ProtocolVersion), addresses: string(tg.IpAddressType),
		check: map[string]string{
			"health-check":          strconv.FormatBool(tg.HealthCheckEnabled == nil || *tg.HealthCheckEnabled),
			"health-check-port":     aws.ToString(tg.HealthCheckPort),
			fieldCheckPath:          aws.ToString(tg.HealthCheckPath),
			"health-check-protocol": string(tg.HealthCheckProtocol),
			"health-check-interval": decimal(tg.HealthCheckIntervalSeconds),
			"health-check-timeout":  decimal(tg.HealthCheckTimeoutSeconds),
			"healthy-threshold":     decimal(tg.HealthyThresholdCount),
			"unhealthy-threshold":   decimal(tg.UnhealthyThresholdCount),
		},
		attributes: toMap(attributes.Attributes, func(a types.TargetGroupAttribute) (*string, *string) { return a.Key, a.Value }),
	}
	if tg.Matcher != nil {
		live.check[fieldCheckCodes] = aws.ToString(tg.Matcher.HttpCode)
		if tg.Matcher.GrpcCode != nil {
			live.check[fieldCheckCodes] += " and of gRPC " + *tg.Matcher.GrpcCode
		}
	}
	if t.inForce != nil && t.knownInForce == nil && tags[TagStack] == t.stack {
		now, err := t.inForce(ctx)
		if err != nil {
			return nil, graph.State{}, err
		}
		t.knownInForce = &now
	}
	if t.knownInForce != nil {
		live.inForce = *t.knownInForce
	}
	return live, graph.State{Phase: graph.Ready, ID: arn, Owner: live.tags[TagStack]}, nil
}

// checkWhenReady is the check that the group has when it is ready: that of the release that
// serves. Another one comes with its release; see Service.setCheck.
func (t *TargetGroup) checkWhenReady(live *liveTargetGroup) checkSpec {
	switch {
	case live == nil || live.inForce == checkInForce{}:
		return t.want.spec()
	case live.inForce.both:
		return live.spec()
	}
	return live.inForce.checkSpec
}

// spec is the check that the group has.
func (l *liveTargetGroup) spec() checkSpec {
	return checkSpec{l.check[fieldCheckPath], l.check[fieldCheckCodes]}
}

// describe returns the group with its tags, or none.
func (t *TargetGroup) describe(ctx context.Context) (targets, error) {
	if graph.Observing(ctx) && t.name == t.names().TargetGroup() {
		all, err := t.all(ctx)
		return targets{all.targets, all.targetTags()}, err
	}
	live, err := t.lookup(ctx)
	if live == nil || err != nil {
		return targets{}, err
	}
	arn := aws.ToString(live.TargetGroupArn)
	tags, err := t.tagsOf(ctx, arn)
	if IsCode(err, "TargetGroupNotFound") {
		return targets{}, nil
	}
	return targets{live, tags[arn]}, err
}

// lookup returns the group, or nil.
func (t *TargetGroup) lookup(ctx context.Context) (*types.TargetGroup, error) {
	out, err := t.elb.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{Names: []string{t.groupName()}})
	if IsCode(err, "TargetGroupNotFound") || err == nil && len(out.TargetGroups) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe target group %s: %w", t.groupName(), err)
	}
	return &out.TargetGroups[0], nil
}

// registered are the tasks that are registered, also those that are on their way out. ECS
// registers each with the port of its own release.
func (t *TargetGroup) registered(ctx context.Context) ([]types.TargetDescription, error) {
	group, err := t.lookup(ctx)
	if group == nil || err != nil {
		return nil, err
	}
	out, err := t.elb.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: group.TargetGroupArn})
	if err != nil && !IsCode(err, "TargetGroupNotFound") {
		return nil, fmt.Errorf("describe the health of target group %s: %w", t.groupName(), err)
	}
	var all []types.TargetDescription
	if out != nil {
		for _, d := range out.TargetHealthDescriptions {
			if d.Target != nil {
				all = append(all, *d.Target)
			}
		}
	}
	return all, nil
}

// Wanted implements graph.Shape.
func (t *TargetGroup) Wanted(live *liveTargetGroup) *liveTargetGroup {
	attributes := maps.Clone(targetDefaults)
	maps.Copy(attributes, t.want.attributes())
	return &liveTargetGroup{
		tags: t.tags(t.Name()), kind: string(types.TargetTypeEnumIp), vpc: t.vpc.ID(), protocol: string(types.ProtocolEnumHttp),
		version: "HTTP1", addresses: string(types.TargetGroupIpAddressTypeEnumIpv4),
		check: t.checkWhenReady(live).fields(), attributes: attributes,
	}
}

// Attributes implements graph.Shape.
func (t *TargetGroup) Attributes() graph.Attributes[*liveTargetGroup] {
	fixed := func(field string, of func(*liveTargetGroup) string) graph.Attribute[*liveTargetGroup] {
		return graph.Field(field, of, graph.Fixed("a target group keeps its "+field))
	}
	out := graph.Attributes[*liveTargetGroup]{
		tagAttribute(func(l *liveTargetGroup) map[string]string { return l.tags }, graph.SetBy(func(ctx context.Context, changes []graph.Change) error {
			return t.retag(ctx, t.ID(), t.Name(), changes)
		})),
		fixed("target type", func(l *liveTargetGroup) string { return l.kind }),
		fixed("vpc", func(l *liveTargetGroup) string { return l.vpc }),
		fixed("protocol", func(l *liveTargetGroup) string { return l.protocol }),
		fixed("protocol-version", func(l *liveTargetGroup) string { return l.version }).
			When(func(live, _ *liveTargetGroup) bool { return live.version != "" }), // older emulators don't say
		fixed("address-type", func(l *liveTargetGroup) string { return l.addresses }).
			When(func(live, _ *liveTargetGroup) bool { return live.addresses != "" }),
	}
	check := graph.SetBy(func(ctx context.Context, _ []graph.Change) error { return t.setCheck(ctx, t.checkWhenReady(t.Last())) })
	for _, key := range slices.Sorted(maps.Keys(t.want.check())) {
		out = append(out, graph.Field(key, func(l *liveTargetGroup) string { return l.check[key] }, check))
	}
	set := graph.Requesting(func() *elb.ModifyTargetGroupAttributesInput {
		return &elb.ModifyTargetGroupAttributesInput{TargetGroupArn: aws.String(t.ID())}
	}, t.setAttributes)
	attribute := func(key string) graph.Attribute[*liveTargetGroup] {
		return graph.Field(key, func(l *liveTargetGroup) string { return l.attributes[key] }, set.PutWanted(func(in *elb.ModifyTargetGroupAttributesInput, c graph.Change) {
			in.Attributes = append(in.Attributes, types.TargetGroupAttribute{Key: &key, Value: &c.Want})
		}))
	}
	for _, key := range slices.Sorted(maps.Keys(t.want.attributes())) {
		out = append(out, attribute(key))
	}
	for _, key := range slices.Sorted(maps.Keys(targetDefaults)) {
		out = append(out, attribute(key).When(func(live, _ *liveTargetGroup) bool { return live.attributes[key] != "" }))
	}
	return out
}

// Create creates the group. The call is idempotent by name.
func (t *TargetGroup) Create(ctx context.Context) (string, error) {
	c, tags := t.want.check(), t.tags(t.Name())
	out, err := t.elb.CreateTargetGroup(ctx, &elb.CreateTargetGroupInput{
		Name: aws.String(t.groupName()), TargetType: types.TargetTypeEnumIp, VpcId: aws.String(t.vpc.ID()),
		Protocol: types.ProtocolEnumHttp, Port: &t.want.port,
		HealthCheckEnabled: aws.Bool(true), HealthCheckPath: aws.String(c[fieldCheckPath]), HealthCheckProtocol: types.ProtocolEnumHttp, HealthCheckPort: aws.String(c["health-check-port"]),
		HealthCheckIntervalSeconds: number(c["health-check-interval"]), HealthCheckTimeoutSeconds: number(c["health-check-timeout"]),
		HealthyThresholdCount: number(c["healthy-threshold"]), UnhealthyThresholdCount: number(c["unhealthy-threshold"]),
		Matcher: &types.Matcher{HttpCode: aws.String(c[fieldCheckCodes])}, Tags: toELBTags(tags),
	})
	if err != nil {
		return "", fmt.Errorf("create target group %s: %w", t.groupName(), err)
	}
	arn := aws.ToString(out.TargetGroups[0].TargetGroupArn)
	t.rememberTags(arn, tags)
	live := t.Wanted(nil) // all that the call asked for
	live.attributes = targetDefaults
	t.Answer(live, graph.State{Phase: graph.Ready, Owner: t.stack})
	return arn, nil
}

func (t *TargetGroup) setCheck(ctx context.Context, to checkSpec) error {
	c := to.fields()
	_, err := t.elb.ModifyTargetGroup(ctx, &elb.ModifyTargetGroupInput{
		TargetGroupArn: aws.String(t.ID()), HealthCheckEnabled: aws.Bool(true), HealthCheckPath: aws.String(c[fieldCheckPath]), HealthCheckProtocol: types.ProtocolEnumHttp, HealthCheckPort: aws.String(c["health-check-port"]),
		HealthCheckIntervalSeconds: number(c["health-check-interval"]), HealthCheckTimeoutSeconds: number(c["health-check-timeout"]),
		HealthyThresholdCount: number(c["healthy-threshold"]), UnhealthyThresholdCount: number(c["unhealthy-threshold"]),
		Matcher: &types.Matcher{HttpCode: aws.String(c[fieldCheckCodes])},
	})
	if err != nil {
		return fmt.Errorf("set the health check of target group %s: %w", t.groupName(), err)
	}
	if last := t.Last(); last != nil {
		live := *last
		live.check, live.inForce = c, checkInForce{checkSpec: to}
		t.Learn(&live)
	}
	return nil
}

func (t *TargetGroup) setAttributes(ctx context.Context, in *elb.ModifyTargetGroupAttributesInput, _ []graph.Change) error {
	if _, err := t.elb.ModifyTargetGroupAttributes(ctx, in); err != nil {
		return fmt.Errorf("set the attributes of target group %s: %w", t.groupName(), err)
	}
	return nil
}

// Delete deletes the group.
func (t *TargetGroup) Delete(ctx context.Context) error {
	_, err := t.elb.DeleteTargetGroup(ctx, &elb.DeleteTargetGroupInput{TargetGroupArn: aws.String(t.ID())})
	if err != nil && !IsCode(err, "TargetGroupNotFound") {
		return fmt.Errorf("delete target group %s: %w", t.groupName(), err)
	}
	return nil
}

// DeletesSynchronously implements graph.DeletesSynchronously.
func (t *TargetGroup) DeletesSynchronously() {}

// UpdatesSynchronously implements graph.UpdatesSynchronously.
func (*TargetGroup) UpdatesSynchronously([]graph.Change) bool { return true }

// targetGroupKind lists and deletes the stack's target groups.
func (b elbAccess) targetGroupKind() inventory.Kind {
	return b.kind("target group", func(ctx context.Context) (arns []string, err error) {
		pages := elb.NewDescribeTargetGroupsPaginator(b.elb, &elb.DescribeTargetGroupsInput{})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			for _, x := range page.TargetGroups {
				if strings.HasPrefix(aws.ToString(x.TargetGroupName), b.names().Of("")) {
					arns = append(arns, aws.ToString(x.TargetGroupArn))
				}
			}
		}
		return arns, nil
	}, func(ctx context.Context, arn *string) error {
		_, err := b.elb.DeleteTargetGroup(ctx, &elb.DeleteTargetGroupInput{TargetGroupArn: arn})
		return err
	})
}
