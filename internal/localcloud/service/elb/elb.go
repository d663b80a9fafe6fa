package elb

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
)

// state is what ELBv2 keeps, by ARN. The SDK's structs in it are never
// changed through their pointers and slices, only by new ones, since answers
// share them.
type state struct {
	LoadBalancers map[string]*loadBalancer `json:"loadBalancers,omitempty"`
	TargetGroups  map[string]*targetGroup  `json:"targetGroups,omitempty"`
	Listeners     map[string]*listener     `json:"listeners,omitempty"`
	Rules         map[string]*rule         `json:"rules,omitempty"`
}

// running is what runs behind ELBv2, by ARN.
type running struct {
	groups    map[string]Group
	listeners map[string]Listener
}

// API is the service's operations.
func (s *Service) API() kernel.Service {
	return kernel.Service{Model: "elbv2", Signing: "elasticloadbalancing", Protocol: kernel.Query, Limits: limits, Operations: kernel.Operations(s.in,
		kernel.Op("CreateLoadBalancer", tx.CreateLoadBalancer), kernel.Op("DeleteLoadBalancer", tx.DeleteLoadBalancer), kernel.Op("DescribeLoadBalancers", tx.DescribeLoadBalancers),
		kernel.Op("DescribeLoadBalancerAttributes", tx.DescribeLoadBalancerAttributes), kernel.Op("ModifyLoadBalancerAttributes", tx.ModifyLoadBalancerAttributes),
		kernel.Op("SetSecurityGroups", tx.SetSecurityGroups), kernel.Op("SetSubnets", tx.SetSubnets), kernel.Op("SetIpAddressType", tx.SetIpAddressType),
		kernel.Op("CreateTargetGroup", tx.CreateTargetGroup), kernel.Op("DeleteTargetGroup", tx.DeleteTargetGroup), kernel.Op("DescribeTargetGroups", tx.DescribeTargetGroups),
		kernel.Op("ModifyTargetGroup", tx.ModifyTargetGroup),
		kernel.Op("DescribeTargetGroupAttributes", tx.DescribeTargetGroupAttributes), kernel.Op("ModifyTargetGroupAttributes", tx.ModifyTargetGroupAttributes),
		kernel.Op("RegisterTargets", tx.RegisterTargets), kernel.Op("DeregisterTargets", tx.DeregisterTargets), kernel.Op("DescribeTargetHealth", tx.DescribeTargetHealth),
		kernel.Op("CreateListener", tx.CreateListener), kernel.Op("DeleteListener", tx.DeleteListener), kernel.Op("DescribeListeners", tx.DescribeListeners), kernel.Op("ModifyListener", tx.ModifyListener),
		kernel.Op("DescribeListenerAttributes", tx.DescribeListenerAttributes), kernel.Op("ModifyListenerAttributes", tx.ModifyListenerAttributes),
		kernel.Op("DescribeListenerCertificates", tx.DescribeListenerCertificates), kernel.Op("AddListenerCertificates", tx.AddListenerCertificates),
		kernel.Op("RemoveListenerCertificates", tx.RemoveListenerCertificates), kernel.Op("DescribeSSLPolicies", tx.DescribeSSLPolicies),
		kernel.Op("CreateRule", tx.CreateRule), kernel.Op("DeleteRule", tx.DeleteRule), kernel.Op("DescribeRules", tx.DescribeRules), kernel.Op("ModifyRule", tx.ModifyRule),
		kernel.Op("SetRulePriorities", tx.SetRulePriorities), kernel.Op("DescribeAccountLimits", tx.DescribeAccountLimits),
		kernel.Op("DescribeCapacityReservation", tx.DescribeCapacityReservation), kernel.Op("ModifyCapacityReservation", tx.ModifyCapacityReservation),
		kernel.Op("AddTags", tx.AddTags), kernel.Op("RemoveTags", tx.RemoveTags), kernel.Op("DescribeTags", tx.DescribeTags),
	)}
}

// namePattern is what load balancers and target groups may be called.
var namePattern = pattern.New(`^[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?$`)

func checkName(what, name string) error {
	switch {
	case len(name) > 32:
		return kernel.Fail("ValidationError", "The %s name '%s' cannot be longer than '32' characters", what, name)
	case !namePattern.MatchString(name):
		return kernel.Fail("ValidationError", "The %s name '%s' must contain only alphanumeric characters or hyphens and must not begin or end with a hyphen", what, name)
	case strings.HasPrefix(name, "internal-"):
		return kernel.Fail("ValidationError", "The %s name '%s' cannot begin with 'internal-'", what, name)
	}
	return nil
}

// secondsOf are the attributes that are numbers, with their ranges.
var secondsOf = map[string][2]int{
	"idle_timeout.timeout_seconds": {1, 4000}, "client_keep_alive.seconds": {60, 604800},
	"deregistration_delay.timeout_seconds": {0, 3600}, "slow_start.duration_seconds": {0, 900},
	"stickiness.lb_cookie.duration_seconds": {1, 604800}, "stickiness.app_cookie.duration_seconds": {1, 604800},
}

func checkAttribute(what string, known map[string]string, key, value string) error {
	otherwise, ok := known[key]
	if !ok {
		return kernel.Fail("ValidationError", "%s attribute key '%s' is not recognized", what, key)
	}
	bad := kernel.Fail("ValidationError", "%s attribute value '%s' is not valid for the key '%s'", what, value, key)
	if bounds, ok := secondsOf[key]; ok {
		if n, err := strconv.Atoi(value); err != nil || n < bounds[0] || n > bounds[1] {
			return bad
		}
	} else if (otherwise == "true" || otherwise == "false") && value != "true" && value != "false" {
		return bad
	}
	if key == "stickiness.type" && value != "lb_cookie" {
		return kernel.Fail("ValidationError", "The local cloud's load balancers know stickiness of type lb_cookie only")
	}
	return nil
}

// page is a page of at most 400, AWS's default.
func page[T any](all []T, marker *string, size *int32) ([]T, *string, error) {
	limit := 400
	if size != nil {
		if limit = int(*size); limit < 1 || limit > 400 {
			return nil, nil, kernel.Fail("ValidationError", "1 validation error detected: Value '%d' at 'pageSize' failed to satisfy constraint: Member must have value between 1 and 400", limit)
		}
	}
	page, next, err := kernel.PageOf(all, marker, limit, kernel.Fail("ValidationError", "Invalid marker"))
	if len(page) == 0 {
		page = []T{} // an empty list, not none
	}
	return page, next, err
}

// notFound are the names of the lists that were not found.
func notFound(found map[string]bool, lists ...[]string) (missing []string) {
	for _, name := range slices.Concat(lists...) {
		if !found[name] {
			missing = append(missing, name)
		}
	}
	return missing
}

// DescribeAccountLimits lists the quotas of a new account
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html).
func (a tx) DescribeAccountLimits(in *elb.DescribeAccountLimitsInput) (*elb.DescribeAccountLimitsOutput, error) {
	var all []types.Limit
	for _, l := range []struct {
		name string
		most int
	}{
		{"application-load-balancers", 50}, {"target-groups", 3000}, {"targets-per-application-load-balancer", 1000},
		{"listeners-per-application-load-balancer", 50}, {"rules-per-application-load-balancer", maxRules},
		{"condition-values-per-alb-rule", maxRuleValues}, {"condition-wildcards-per-alb-rule", 6},
		{"certificates-per-application-load-balancer", maxExtraCertificates}, {"target-groups-per-action-on-application-load-balancer", 5},
		{"target-groups-per-application-load-balancer", 100}, {"targets-per-availability-zone-per-application-load-balancer", 1000},
	} {
		all = append(all, types.Limit{Name: aws.String(l.name), Max: aws.String(strconv.Itoa(l.most))})
	}
	page, next, err := page(all, in.Marker, in.PageSize)
	return &elb.DescribeAccountLimitsOutput{Limits: page, NextMarker: next}, err
}

// Start starts target groups and listeners after a restart. Their tasks have ended; the
// scheduler registers new ones.
func (s *Service) Start() {
	s.update(func(c tx) {
		for _, tg := range c.state().TargetGroups {
			tg.Targets = nil
			c.openGroup(tg)
		}
		a := c
		for arn, l := range c.state().Listeners {
			if err := a.serve(l); err != nil {
				// The others are of use without it.
				c.Log().Error("a listener does not serve", "listener", arn, "error", err)
				c.Go(func(ctx context.Context) { c.serveLater(ctx, arn) })
			}
		}
		for _, lb := range c.state().LoadBalancers {
			lb.State = &types.LoadBalancerState{Code: types.LoadBalancerStateEnumActive}
		}
		c.configureListeners()
	})
}

// Close ends all listeners and health checks.
func (s *Service) Close() {
	var listeners []Listener
	var groups []Group
	s.view(func(c tx) {
		listeners = slices.Collect(maps.Values(c.running().listeners))
		groups = slices.Collect(maps.Values(c.running().groups))
		*c.running() = running{}
	})
	done := make(chan struct{})
	for _, l := range listeners {
		go func() { l.Close(); done <- struct{}{} }()
	}
	for range listeners {
		<-done
	}
	for _, g := range groups {
		g.Close()
	}
}
