package elb

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/localcloud/balancer"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
)

// actions checks and completes what a listener or a rule does.
func (a tx) actions(in []types.Action, loadBalancer string) ([]types.Action, error) {
	if len(in) != 1 {
		return nil, kernel.Fail("ValidationError", "A listener and a rule have exactly one action here, not %d", len(in))
	}
	action := in[0]
	switch action.Type {
	case types.ActionTypeEnumForward:
		forward, err := a.forwardTo(action, loadBalancer)
		if err != nil {
			return nil, err
		}
		action.ForwardConfig, action.TargetGroupArn = forward, nil
		if len(forward.TargetGroups) == 1 {
			action.TargetGroupArn = forward.TargetGroups[0].TargetGroupArn
		}
	case types.ActionTypeEnumRedirect:
		if action.RedirectConfig == nil || action.RedirectConfig.StatusCode == "" {
			return nil, kernel.Fail("ValidationError", "A redirect action must have a status code")
		}
		r := *action.RedirectConfig
		r.Protocol, r.Host, r.Port = cmp.Or(r.Protocol, aws.String("#{protocol}")), cmp.Or(r.Host, aws.String("#{host}")), cmp.Or(r.Port, aws.String("#{port}"))
		r.Path, r.Query = cmp.Or(r.Path, aws.String("/#{path}")), cmp.Or(r.Query, aws.String("#{query}"))
		action.RedirectConfig = &r
	case types.ActionTypeEnumFixedResponse:
		f := action.FixedResponseConfig
		if f == nil || !fixedStatus.MatchString(aws.ToString(f.StatusCode)) {
			return nil, kernel.Fail("ValidationError", "A fixed-response action must have a status code of 2XX, 4XX or 5XX")
		}
	default:
		return nil, kernel.Fail("ValidationError", "The local cloud knows no action of type '%s'", action.Type)
	}
	return []types.Action{action}, nil
}

var fixedStatus = pattern.New(`^[245]\d\d$`)

// forwardTo checks and completes the target groups of an action, which may name
// one group in either of two places, or up to five with their weights.
func (a tx) forwardTo(action types.Action, loadBalancer string) (*types.ForwardActionConfig, error) {
	tuples := []types.TargetGroupTuple{{TargetGroupArn: action.TargetGroupArn}}
	if f := action.ForwardConfig; f != nil {
		if s := f.TargetGroupStickinessConfig; s != nil && aws.ToBool(s.Enabled) {
			return nil, kernel.Fail("ValidationError", "The local cloud's load balancers have no sticky sessions")
		}
		if len(f.TargetGroups) > 0 {
			tuples = slices.Clone(f.TargetGroups)
		}
		if action.TargetGroupArn != nil && (len(tuples) != 1 || aws.ToString(tuples[0].TargetGroupArn) != *action.TargetGroupArn) {
			return nil, kernel.Fail("ValidationError", "You cannot specify both a target group ARN and a forward config with other target groups")
		}
	}
	if len(tuples) > 5 {
		return nil, kernel.Fail("TooManyTargetGroups", "The maximum number of target groups per forward action is 5")
	}
	for i, t := range tuples {
		arn := aws.ToString(t.TargetGroupArn)
		tg := a.state().TargetGroups[arn]
		if tg == nil {
			return nil, kernel.Fail("TargetGroupNotFound", "Target groups '%s' not found", arn)
		}
		if len(tg.LoadBalancerArns) > 0 && !slices.Contains(tg.LoadBalancerArns, loadBalancer) {
			return nil, kernel.Fail("TargetGroupAssociationLimit", "The following target groups cannot be associated with more than one load balancer: %s", arn)
		}
		weight := aws.ToInt32(cmp.Or(t.Weight, aws.Int32(1)))
		if weight < 0 || weight > 999 {
			return nil, kernel.Fail("ValidationError", "The weight of a target group must be between 0 and 999, not %d", weight)
		}
		if len(tuples) > 1 && tg.sticky() {
			return nil, kernel.Fail("InvalidConfigurationRequest", "You must enable group stickiness on a rule if you enabled target stickiness on one of its target groups")
		}
		tuples[i].Weight = aws.Int32(weight)
	}
	return &types.ForwardActionConfig{TargetGroups: tuples, TargetGroupStickinessConfig: &types.TargetGroupStickinessConfig{Enabled: aws.Bool(false)}}, nil
}

func sameActions(x, y []types.Action) bool {
	weights := func(a types.Action) (all []string) {
		if a.ForwardConfig != nil {
			for _, t := range a.ForwardConfig.TargetGroups {
				all = append(all, fmt.Sprint(*t.TargetGroupArn, *t.Weight))
			}
		}
		return all
	}
	return slices.EqualFunc(x, y, func(x, y types.Action) bool {
		return x.Type == y.Type && slices.Equal(weights(x), weights(y)) && fmt.Sprint(plainAction(x)) == fmt.Sprint(plainAction(y))
	})
}

// plainAction is an action as values, without its target groups.
func plainAction(a types.Action) (redirect balancer.Redirect, fixed balancer.Fixed) {
	if r := a.RedirectConfig; r != nil {
		code, _ := strconv.Atoi(strings.TrimPrefix(string(r.StatusCode), "HTTP_")) // an enum
		redirect = balancer.Redirect{
			Protocol: aws.ToString(r.Protocol), Host: aws.ToString(r.Host), Port: aws.ToString(r.Port),
			Path: aws.ToString(r.Path), Query: aws.ToString(r.Query), Code: code,
		}
	}
	if f := a.FixedResponseConfig; f != nil {
		code, _ := strconv.Atoi(aws.ToString(f.StatusCode)) // checked when it was set
		fixed = balancer.Fixed{Code: code, ContentType: aws.ToString(f.ContentType), Body: aws.ToString(f.MessageBody)}
	}
	return redirect, fixed
}

// forwards are the target groups of an action.
func forwards(a types.Action) (groups []string) {
	if a.Type == types.ActionTypeEnumForward {
		for _, t := range a.ForwardConfig.TargetGroups {
			groups = append(groups, *t.TargetGroupArn)
		}
	}
	return groups
}

// splitBy is the rule by which a target group gets a share of the requests, and others
// the rest; "" for none.
func (a tx) splitBy(group string) string {
	shares := func(actions []types.Action) bool {
		groups := forwards(actions[0])
		return len(groups) > 1 && slices.Contains(groups, group)
	}
	for _, l := range a.state().Listeners {
		if shares(l.DefaultActions) {
			return defaultRule(l)
		}
	}
	for arn, r := range a.state().Rules {
		if shares(r.Actions) {
			return arn
		}
	}
	return ""
}

// liveAction is what runs for an action.
func (a tx) liveAction(of types.Action) balancer.Action {
	redirect, fixed := plainAction(of)
	switch of.Type {
	case types.ActionTypeEnumRedirect:
		return balancer.Action{Redirect: &redirect}
	case types.ActionTypeEnumFixedResponse:
		return balancer.Action{Fixed: &fixed}
	}
	var action balancer.Action
	for _, t := range of.ForwardConfig.TargetGroups {
		action.Split = append(action.Split, balancer.Share{Group: a.running().groups[*t.TargetGroupArn], Weight: int(*t.Weight)})
	}
	return action
}
