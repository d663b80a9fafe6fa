package elb

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/localcloud/balancer"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
)

type targetGroup struct {
	types.TargetGroup
	Attributes map[string]string
	Tags       map[string]string
	Targets    []balancer.Target
}

// sticky reports whether a client is sent to the target that it was sent to before.
func (tg *targetGroup) sticky() bool { return tg.Attributes[stickiness] == "true" }

const stickiness = "stickiness.enabled"

func (a tx) targetGroup(arn *string) (*targetGroup, error) {
	tg := a.state().TargetGroups[aws.ToString(arn)]
	if tg == nil || !a.Visible(*arn) {
		return nil, kernel.Fail("TargetGroupNotFound", "Target groups '%s' not found", aws.ToString(arn))
	}
	return tg, nil
}

// targetGroupAttributes are those of an HTTP target group with their defaults.
var targetGroupAttributes = map[string]string{
	"deregistration_delay.timeout_seconds": "300", "load_balancing.algorithm.type": "round_robin",
	"load_balancing.algorithm.anomaly_mitigation": "off", "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
	"slow_start.duration_seconds": "0", stickiness: "false", "stickiness.type": "lb_cookie",
	"stickiness.app_cookie.cookie_name": "", "stickiness.app_cookie.duration_seconds": "86400", "stickiness.lb_cookie.duration_seconds": "86400",
	"target_group_health.dns_failover.minimum_healthy_targets.count": "1", "target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
	"target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "1", "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
}

// checkHealthCheck is about the settings of a group's health checks.
func checkHealthCheck(tg types.TargetGroup) error {
	between := func(what string, n *int32, low, high int32) error {
		if *n < low || *n > high {
			return kernel.Fail("ValidationError", "%s '%d' must be between %d and %d", what, *n, low, high)
		}
		return nil
	}
	if err := errors.Join(
		between("Health check interval", tg.HealthCheckIntervalSeconds, 5, 300), between("Health check timeout", tg.HealthCheckTimeoutSeconds, 2, 120),
		between("Healthy threshold count", tg.HealthyThresholdCount, 2, 10), between("Unhealthy threshold count", tg.UnhealthyThresholdCount, 2, 10),
	); err != nil {
		var first *kernel.Error
		errors.As(err, &first)
		return first
	}
	if *tg.HealthCheckTimeoutSeconds >= *tg.HealthCheckIntervalSeconds {
		return kernel.Fail("ValidationError", "Health check timeout '%d' must be smaller than the interval '%d'", *tg.HealthCheckTimeoutSeconds, *tg.HealthCheckIntervalSeconds)
	}
	if !strings.HasPrefix(*tg.HealthCheckPath, "/") || len(*tg.HealthCheckPath) > 1024 {
		return kernel.Fail("ValidationError", "Health check path '%s' must begin with a '/' character and be at most 1024 characters long", *tg.HealthCheckPath)
	}
	if port := *tg.HealthCheckPort; port != "traffic-port" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return kernel.Fail("ValidationError", "Health check port '%s' must be 'traffic-port' or a port", port)
		}
	}
	if !codeMatcher.MatchString(*tg.Matcher.HttpCode) {
		return kernel.Fail("ValidationError", "Health check matcher HTTP code '%s' is invalid", *tg.Matcher.HttpCode)
	}
	return nil
}

var codeMatcher = pattern.New(`^[2-4]\d\d(?:-[2-4]\d\d)?(?:,[2-4]\d\d(?:-[2-4]\d\d)?)*$`)

// CreateTargetGroup creates a group, or returns the one that is the same.
func (a tx) CreateTargetGroup(in *elb.CreateTargetGroupInput) (*elb.CreateTargetGroupOutput, error) {
	name := aws.ToString(in.Name)
	if err := checkName("target group", name); err != nil {
		return nil, err
	}
	if in.TargetType != types.TargetTypeEnumIp {
		return nil, kernel.Fail("ValidationError", "The local cloud has target groups of type 'ip' only, which is what Fargate needs, not '%s'", cmp.Or(in.TargetType, types.TargetTypeEnumInstance))
	}
	if in.Protocol != types.ProtocolEnumHttp || in.HealthCheckProtocol != "" && in.HealthCheckProtocol != types.ProtocolEnumHttp {
		return nil, kernel.Fail("ValidationError", "The local cloud's target groups speak HTTP only, not '%s'", cmp.Or(in.HealthCheckProtocol, in.Protocol))
	}
	if p := aws.ToInt32(in.Port); p < 1 || p > 65535 {
		return nil, kernel.Fail("ValidationError", "Port '%d' must be between 1 and 65535", p)
	}
	if in.VpcId == nil {
		return nil, kernel.Fail("ValidationError", "A VPC ID must be specified")
	}
	matcher := &types.Matcher{HttpCode: aws.String("200")}
	if in.Matcher != nil && in.Matcher.HttpCode != nil {
		matcher = in.Matcher
	}
	described := types.TargetGroup{
		TargetGroupName: in.Name, TargetType: in.TargetType, Protocol: in.Protocol, ProtocolVersion: aws.String(cmp.Or(aws.ToString(in.ProtocolVersion), "HTTP1")),
		Port: in.Port, VpcId: in.VpcId, IpAddressType: types.TargetGroupIpAddressTypeEnumIpv4, LoadBalancerArns: []string{},
		HealthCheckEnabled: aws.Bool(true), HealthCheckProtocol: types.ProtocolEnumHttp, HealthCheckPort: cmp.Or(in.HealthCheckPort, aws.String("traffic-port")),
		HealthCheckPath: cmp.Or(in.HealthCheckPath, aws.String("/")), HealthCheckIntervalSeconds: cmp.Or(in.HealthCheckIntervalSeconds, aws.Int32(30)),
		HealthCheckTimeoutSeconds: cmp.Or(in.HealthCheckTimeoutSeconds, aws.Int32(5)), HealthyThresholdCount: cmp.Or(in.HealthyThresholdCount, aws.Int32(5)),
		UnhealthyThresholdCount: cmp.Or(in.UnhealthyThresholdCount, aws.Int32(2)), Matcher: matcher,
	}
	if err := checkHealthCheck(described); err != nil {
		return nil, err
	}
	for _, have := range a.state().TargetGroups {
		if *have.TargetGroupName != name {
			continue
		}
		if !sameTargetGroup(have.TargetGroup, described) {
			return nil, kernel.Fail("DuplicateTargetGroupName", "A target group with the same name '%s' exists, but with different settings", name)
		}
		return &elb.CreateTargetGroupOutput{TargetGroups: []types.TargetGroup{have.TargetGroup}}, nil
	}
	arn := a.ARN("elasticloadbalancing", "targetgroup/"+name+"/"+kernel.HexDigits(16))
	described.TargetGroupArn = aws.String(arn)
	tg := &targetGroup{TargetGroup: described, Attributes: maps.Clone(targetGroupAttributes), Tags: kernel.TagMap(in.Tags, tagPair)}
	if a.state().TargetGroups == nil {
		a.state().TargetGroups = map[string]*targetGroup{}
	}
	a.state().TargetGroups[arn] = tg
	a.openGroup(tg)
	a.Created(arn)
	return &elb.CreateTargetGroupOutput{TargetGroups: []types.TargetGroup{described}}, nil
}

func sameTargetGroup(x, y types.TargetGroup) bool {
	return *x.Port == *y.Port && x.Protocol == y.Protocol && *x.VpcId == *y.VpcId && x.TargetType == y.TargetType && *x.ProtocolVersion == *y.ProtocolVersion &&
		*x.HealthCheckPort == *y.HealthCheckPort && *x.HealthCheckPath == *y.HealthCheckPath && *x.HealthCheckIntervalSeconds == *y.HealthCheckIntervalSeconds &&
		*x.HealthCheckTimeoutSeconds == *y.HealthCheckTimeoutSeconds && *x.HealthyThresholdCount == *y.HealthyThresholdCount &&
		*x.UnhealthyThresholdCount == *y.UnhealthyThresholdCount && *x.Matcher.HttpCode == *y.Matcher.HttpCode
}

// openGroup brings a target group to life.
func (a tx) openGroup(tg *targetGroup) {
	if a.running().groups == nil {
		a.running().groups = map[string]Group{}
	}
	g := a.needs.Balancer.NewGroup(a.groupSettings(tg))
	for _, t := range tg.Targets {
		g.Register(t)
	}
	a.running().groups[*tg.TargetGroupArn] = g
}

func (a tx) groupSettings(tg *targetGroup) balancer.Settings {
	second := func(n *int32) time.Duration { return time.Duration(*n) * time.Second }
	delay, _ := strconv.Atoi(tg.Attributes["deregistration_delay.timeout_seconds"]) // checked when it was set
	port, _ := strconv.Atoi(*tg.HealthCheckPort)                                    // 0 for traffic-port
	sticky := time.Duration(0)
	if tg.sticky() {
		seconds, _ := strconv.Atoi(tg.Attributes["stickiness.lb_cookie.duration_seconds"]) // checked when it was set
		sticky = time.Duration(seconds) * time.Second
	}
	return balancer.Settings{
		Sticky: sticky,
		Path:   *tg.HealthCheckPath, CheckPort: port, Interval: a.ScaledTo(leastInterval, second(tg.HealthCheckIntervalSeconds)), Timeout: second(tg.HealthCheckTimeoutSeconds),
		HealthyThreshold: int(*tg.HealthyThresholdCount), UnhealthyThreshold: int(*tg.UnhealthyThresholdCount), Matcher: *tg.Matcher.HttpCode,
		DeregistrationDelay: time.Duration(delay) * time.Second,
	}
}

// DeleteTargetGroup deletes a group that no listener uses. One that does not
// exist is no error.
func (a tx) DeleteTargetGroup(in *elb.DeleteTargetGroupInput) (*elb.DeleteTargetGroupOutput, error) {
	arn := aws.ToString(in.TargetGroupArn)
	tg := a.state().TargetGroups[arn]
	if tg == nil {
		return &elb.DeleteTargetGroupOutput{}, nil
	}
	if len(tg.LoadBalancerArns) > 0 {
		return nil, kernel.Fail("ResourceInUse", "Target group '%s' is currently in use by a listener or a rule", arn)
	}
	a.running().groups[arn].Close()
	delete(a.running().groups, arn)
	delete(a.state().TargetGroups, arn)
	return &elb.DeleteTargetGroupOutput{}, nil
}

// DescribeTargetGroups lists groups, or those asked for.
func (a tx) DescribeTargetGroups(in *elb.DescribeTargetGroupsInput) (*elb.DescribeTargetGroupsOutput, error) {
	if in.LoadBalancerArn != nil {
		if _, err := a.loadBalancer(in.LoadBalancerArn); err != nil {
			return nil, err
		}
	}
	var all []types.TargetGroup
	found := map[string]bool{}
	for _, arn := range slices.Sorted(maps.Keys(a.state().TargetGroups)) {
		tg := a.state().TargetGroups[arn]
		if !kernel.Selected(in.TargetGroupArns, arn) || !kernel.Selected(in.Names, *tg.TargetGroupName) || !a.Visible(arn) ||
			in.LoadBalancerArn != nil && !slices.Contains(tg.LoadBalancerArns, *in.LoadBalancerArn) {
			continue
		}
		found[arn], found[*tg.TargetGroupName] = true, true
		all = append(all, tg.TargetGroup)
	}
	if len(notFound(found, in.TargetGroupArns, in.Names)) > 0 {
		return nil, kernel.Fail("TargetGroupNotFound", "One or more target groups not found")
	}
	page, next, err := page(all, in.Marker, in.PageSize)
	return &elb.DescribeTargetGroupsOutput{TargetGroups: page, NextMarker: next}, err
}

// ModifyTargetGroup changes a group's health checks.
func (a tx) ModifyTargetGroup(in *elb.ModifyTargetGroupInput) (*elb.ModifyTargetGroupOutput, error) {
	tg, err := a.targetGroup(in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	next := tg.TargetGroup
	next.HealthCheckPort, next.HealthCheckPath = cmp.Or(in.HealthCheckPort, next.HealthCheckPort), cmp.Or(in.HealthCheckPath, next.HealthCheckPath)
	next.HealthCheckIntervalSeconds = cmp.Or(in.HealthCheckIntervalSeconds, next.HealthCheckIntervalSeconds)
	next.HealthCheckTimeoutSeconds = cmp.Or(in.HealthCheckTimeoutSeconds, next.HealthCheckTimeoutSeconds)
	next.HealthyThresholdCount = cmp.Or(in.HealthyThresholdCount, next.HealthyThresholdCount)
	next.UnhealthyThresholdCount = cmp.Or(in.UnhealthyThresholdCount, next.UnhealthyThresholdCount)
	if in.Matcher != nil && in.Matcher.HttpCode != nil {
		next.Matcher = in.Matcher
	}
	if err := checkHealthCheck(next); err != nil {
		return nil, err
	}
	tg.TargetGroup = next
	a.running().groups[*tg.TargetGroupArn].Configure(a.groupSettings(tg))
	return &elb.ModifyTargetGroupOutput{TargetGroups: []types.TargetGroup{next}}, nil
}

func tgAttributes(attributes map[string]string) (out []types.TargetGroupAttribute) {
	for _, k := range slices.Sorted(maps.Keys(attributes)) {
		out = append(out, types.TargetGroupAttribute{Key: aws.String(k), Value: aws.String(attributes[k])})
	}
	return out
}

// DescribeTargetGroupAttributes lists all attributes.
func (a tx) DescribeTargetGroupAttributes(in *elb.DescribeTargetGroupAttributesInput) (*elb.DescribeTargetGroupAttributesOutput, error) {
	tg, err := a.targetGroup(in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	return &elb.DescribeTargetGroupAttributesOutput{Attributes: tgAttributes(tg.Attributes)}, nil
}

// ModifyTargetGroupAttributes changes the given ones, or none if one is wrong.
func (a tx) ModifyTargetGroupAttributes(in *elb.ModifyTargetGroupAttributesInput) (*elb.ModifyTargetGroupAttributesOutput, error) {
	tg, err := a.targetGroup(in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	for _, t := range in.Attributes {
		if err := checkAttribute("Target group", targetGroupAttributes, aws.ToString(t.Key), aws.ToString(t.Value)); err != nil {
			return nil, err
		}
		if rule := a.splitBy(*tg.TargetGroupArn); *t.Key == stickiness && *t.Value == "true" && rule != "" {
			return nil, kernel.Fail("InvalidConfigurationRequest", "This target group appears behind a rule with group stickiness disabled (%s). You must enable group stickiness before enabling target stickiness", rule)
		}
	}
	for _, t := range in.Attributes {
		tg.Attributes[*t.Key] = aws.ToString(t.Value)
	}
	a.running().groups[*tg.TargetGroupArn].Configure(a.groupSettings(tg))
	return &elb.ModifyTargetGroupAttributesOutput{Attributes: tgAttributes(tg.Attributes)}, nil
}
