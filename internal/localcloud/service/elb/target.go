package elb

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/localcloud/balancer"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// access is whether the load balancers of a group reach a target: its zone has to be enabled for
// them, and their security groups have to let the requests out.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
func (a tx) access(tg *targetGroup, t balancer.Target) balancer.Access {
	if len(tg.LoadBalancerArns) == 0 {
		return balancer.Reached // it is unused for that reason
	}
	access := balancer.Disabled
	for _, arn := range tg.LoadBalancerArns {
		lb := a.state().LoadBalancers[arn]
		switch {
		case lb == nil || t.Zone != "" && !slices.ContainsFunc(lb.AvailabilityZones, func(z types.AvailabilityZone) bool { return aws.ToString(z.ZoneName) == t.Zone }):
		case len(lb.SecurityGroups) == 0 || a.needs.Network.Sends(a.Tx, lb.SecurityGroups, t.ID, t.Port):
			return balancer.Reached
		default:
			access = balancer.Filtered
		}
	}
	return access
}

// limitTargets applies what load balancers reach to all running groups.
func (a tx) limitTargets() {
	for arn, tg := range a.state().TargetGroups {
		if g := a.running().groups[arn]; g != nil {
			g.SetAccess(func(t balancer.Target) balancer.Access { return a.access(tg, t) })
		}
	}
}

// register adds a target. An address that no task has is served by nobody.
func (a tx) register(tg *targetGroup, t balancer.Target) {
	t.Access = a.access(tg, t)
	a.running().groups[*tg.TargetGroupArn].Register(t)
	tg.Targets = slices.DeleteFunc(slices.Clone(tg.Targets), func(have balancer.Target) bool { return have.ID == t.ID && have.Port == t.Port })
	tg.Targets = append(tg.Targets, t)
}

// deregister takes a target away; the channel is closed when it has drained.
func (a tx) deregister(tg *targetGroup, id string, port int) <-chan struct{} {
	tg.Targets = slices.DeleteFunc(slices.Clone(tg.Targets), func(t balancer.Target) bool { return t.ID == id && (port == 0 || t.Port == port) })
	return a.running().groups[*tg.TargetGroupArn].Deregister(id, port)
}

// RegisterTargets adds targets by their private addresses.
func (a tx) RegisterTargets(in *elb.RegisterTargetsInput) (*elb.RegisterTargetsOutput, error) {
	tg, err := a.targetGroup(in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	for _, t := range in.Targets {
		if _, err := netip.ParseAddr(aws.ToString(t.Id)); err != nil {
			return nil, kernel.Fail("ValidationError", "The IP address '%s' is not a valid IPv4 address", aws.ToString(t.Id))
		}
	}
	for _, t := range in.Targets {
		port := int(aws.ToInt32(cmp.Or(t.Port, tg.Port)))
		target := balancer.Target{ID: *t.Id, Port: port, Zone: aws.ToString(t.AvailabilityZone)}
		target.Addr, target.Zone = a.needs.Tasks.Address(a.Tx, *t.Id, port)
		a.register(tg, target)
	}
	return &elb.RegisterTargetsOutput{}, nil
}

// DeregisterTargets lets targets drain.
func (a tx) DeregisterTargets(in *elb.DeregisterTargetsInput) (*elb.DeregisterTargetsOutput, error) {
	tg, err := a.targetGroup(in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	for _, t := range in.Targets {
		if !slices.ContainsFunc(tg.Targets, func(have balancer.Target) bool { return have.ID == aws.ToString(t.Id) }) {
			return nil, kernel.Fail("InvalidTarget", "The following targets are not registered: '%s'", aws.ToString(t.Id))
		}
	}
	for _, t := range in.Targets {
		a.deregister(tg, aws.ToString(t.Id), int(aws.ToInt32(t.Port)))
	}
	return &elb.DeregisterTargetsOutput{}, nil
}

// DescribeTargetHealth returns how the targets are, draining ones too.
func (a tx) DescribeTargetHealth(in *elb.DescribeTargetHealthInput) (*elb.DescribeTargetHealthOutput, error) {
	tg, err := a.targetGroup(in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	out := &elb.DescribeTargetHealthOutput{TargetHealthDescriptions: []types.TargetHealthDescription{}}
	health := a.running().groups[*tg.TargetGroupArn].Health()
	wanted := func(h balancer.Health, t types.TargetDescription) bool {
		return h.ID == aws.ToString(t.Id) && (t.Port == nil || h.Port == int(*t.Port))
	}
	for _, h := range health {
		if len(in.Targets) > 0 && !slices.ContainsFunc(in.Targets, func(t types.TargetDescription) bool { return wanted(h, t) }) {
			continue
		}
		checkPort := *tg.HealthCheckPort
		if checkPort == "traffic-port" {
			checkPort = strconv.Itoa(h.Port)
		}
		d := types.TargetHealthDescription{
			HealthCheckPort: aws.String(checkPort), Target: &types.TargetDescription{Id: aws.String(h.ID), Port: aws.Int32(int32(h.Port))},
			TargetHealth: &types.TargetHealth{State: types.TargetHealthStateEnum(h.State), Reason: types.TargetHealthReasonEnum(h.Reason)},
			// Nobody has shifted a zone's traffic away:
			// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_AdministrativeOverride.html
			AdministrativeOverride: &types.AdministrativeOverride{
				State: types.TargetAdministrativeOverrideStateEnumNoOverride, Reason: types.TargetAdministrativeOverrideReasonEnumNoOverrideEngaged,
				Description: aws.String("No override is currently active on target"),
			},
		}
		if slices.Contains(in.Include, types.DescribeTargetHealthInputIncludeEnumAnomaly) || slices.Contains(in.Include, types.DescribeTargetHealthInputIncludeEnumAll) {
			d.AnomalyDetection = &types.AnomalyDetection{Result: types.AnomalyResultEnumNormal, MitigationInEffect: types.MitigationInEffectEnumNo}
		}
		if h.Zone != "" {
			d.Target.AvailabilityZone = aws.String(h.Zone)
		}
		if h.Description != "" {
			d.TargetHealth.Description = aws.String(h.Description)
		}
		out.TargetHealthDescriptions = append(out.TargetHealthDescriptions, d)
	}
	for _, t := range in.Targets {
		if slices.ContainsFunc(health, func(h balancer.Health) bool { return wanted(h, t) }) {
			continue
		}
		out.TargetHealthDescriptions = append(out.TargetHealthDescriptions, types.TargetHealthDescription{
			Target: &t, TargetHealth: &types.TargetHealth{
				State: types.TargetHealthStateEnumUnused, Reason: types.TargetHealthReasonEnumNotRegistered, Description: aws.String("Target is not registered to the target group"),
			},
		})
	}
	return out, nil
}
