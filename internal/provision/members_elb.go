package provision

import (
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// missingELB is missing for answers of Elastic Load Balancing.
func missingELB(answer any) string {
	switch a := answer.(type) {
	case *elb.CreateLoadBalancerOutput:
		return require(len(a.LoadBalancers) > 0 && has(a.LoadBalancers[0].LoadBalancerArn), "LoadBalancers.LoadBalancerArn")
	case *elb.CreateTargetGroupOutput:
		return require(len(a.TargetGroups) > 0 && has(a.TargetGroups[0].TargetGroupArn), "TargetGroups.TargetGroupArn")
	case *elb.CreateListenerOutput:
		return require(len(a.Listeners) > 0 && has(a.Listeners[0].ListenerArn), "Listeners.ListenerArn")
	case *elb.DescribeLoadBalancersOutput:
		return requireEach("LoadBalancers", a.LoadBalancers, func(x elbtypes.LoadBalancer) bool { return has(x.LoadBalancerArn) }, "LoadBalancerArn")
	case *elb.DescribeTargetGroupsOutput:
		return requireEach("TargetGroups", a.TargetGroups, func(x elbtypes.TargetGroup) bool { return has(x.TargetGroupArn) }, "TargetGroupArn")
	case *elb.DescribeListenersOutput:
		return requireEach("Listeners", a.Listeners, func(x elbtypes.Listener) bool { return has(x.ListenerArn) }, "ListenerArn")
	case *elb.DescribeLoadBalancerAttributesOutput:
		return requireList("Attributes", a.Attributes)
	case *elb.DescribeRulesOutput:
		return requireEach("Rules", a.Rules, func(x elbtypes.Rule) bool { return has(x.RuleArn) && x.IsDefault != nil }, "RuleArn")
	case *elb.DescribeTagsOutput:
		return requireList("TagDescriptions", a.TagDescriptions)
	case *elb.DescribeTargetGroupAttributesOutput:
		return requireList("Attributes", a.Attributes)
	case *elb.DescribeTargetHealthOutput:
		return requireList("TargetHealthDescriptions", a.TargetHealthDescriptions)
	}
	return ""
}
