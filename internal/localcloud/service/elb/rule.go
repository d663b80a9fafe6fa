package elb

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/localcloud/balancer"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
)

// rule is a rule of a listener apart from its default one, which is made of
// the listener itself.
type rule struct {
	types.Rule
	Listener string
	Tags     map[string]string
}

func (r *rule) priority() int {
	n, _ := strconv.Atoi(*r.Priority) // written by this file
	return n
}

const (
	// maxRules of a load balancer, without the default ones, and maxRuleValues of
	// a rule, wildcards aside
	// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html).
	maxRules      = 100
	maxRuleValues = 5
	maxPriority   = 50000
)

// rule finds a rule, but for a default one, which can't be changed by itself.
func (a tx) rule(arn *string, verb string) (*rule, error) {
	if r := a.state().Rules[aws.ToString(arn)]; r != nil && a.Visible(*arn) {
		return r, nil
	}
	for _, l := range a.state().Listeners {
		if defaultRule(l) == aws.ToString(arn) {
			return nil, kernel.Fail("OperationNotPermitted", "Default rule '%s' cannot be %s", aws.ToString(arn), verb)
		}
	}
	return nil, kernel.Fail("RuleNotFound", "One or more rules not found")
}

// rulesOf are a listener's rules in the order in which they are tried.
func (a tx) rulesOf(listener string) []*rule {
	var rules []*rule
	for _, r := range a.state().Rules {
		if r.Listener == listener {
			rules = append(rules, r)
		}
	}
	slices.SortFunc(rules, func(x, y *rule) int { return cmp.Compare(x.priority(), y.priority()) })
	return rules
}

// defaultRule is the name of the rule that a listener's own actions are.
func defaultRule(l *listener) string {
	sum := sha256.Sum256([]byte(*l.ListenerArn))
	return strings.Replace(*l.ListenerArn, ":listener/", ":listener-rule/", 1) + "/" + hex.EncodeToString(sum[:8])
}

func (a tx) checkPriority(listener string, priority int32, apart ...string) error {
	if priority < 1 || priority > maxPriority {
		return kernel.Fail("ValidationError", "1 validation error detected: Value '%d' at 'priority' failed to satisfy constraint: Member must have value between 1 and %d", priority, maxPriority)
	}
	for _, r := range a.rulesOf(listener) {
		if r.priority() == int(priority) && !slices.Contains(apart, *r.RuleArn) {
			return kernel.Fail("PriorityInUse", "Priority '%d' is currently in use", priority)
		}
	}
	return nil
}

// CreateRule adds a rule to a listener.
func (a tx) CreateRule(in *elb.CreateRuleInput) (*elb.CreateRuleOutput, error) {
	l, err := a.listener(in.ListenerArn)
	if err != nil {
		return nil, err
	}
	if err := a.checkPriority(*l.ListenerArn, aws.ToInt32(in.Priority)); err != nil {
		return nil, err
	}
	count := 0
	for _, r := range a.state().Rules {
		if *a.state().Listeners[r.Listener].LoadBalancerArn == *l.LoadBalancerArn {
			count++
		}
	}
	if count >= maxRules {
		return nil, kernel.Fail("TooManyRules", "The maximum number of rules per load balancer has been reached")
	}
	if len(in.Transforms) > 0 {
		return nil, kernel.Fail("ValidationError", "The local cloud's rules have no transforms")
	}
	conditions, err := a.conditions(in.Conditions)
	if err != nil {
		return nil, err
	}
	actions, err := a.actions(in.Actions, *l.LoadBalancerArn)
	if err != nil {
		return nil, err
	}
	r := &rule{
		Rule: types.Rule{
			RuleArn: aws.String(strings.Replace(*l.ListenerArn, ":listener/", ":listener-rule/", 1) + "/" + kernel.HexDigits(16)), IsDefault: aws.Bool(false),
			Priority: aws.String(strconv.Itoa(int(*in.Priority))), Conditions: conditions, Actions: actions,
		},
		Listener: *l.ListenerArn, Tags: kernel.TagMap(in.Tags, tagPair),
	}
	if a.state().Rules == nil {
		a.state().Rules = map[string]*rule{}
	}
	a.state().Rules[*r.RuleArn] = r
	a.Created(*r.RuleArn)
	a.configureListeners()
	return &elb.CreateRuleOutput{Rules: []types.Rule{r.Rule}}, nil
}

// DeleteRule deletes a rule.
func (a tx) DeleteRule(in *elb.DeleteRuleInput) (*elb.DeleteRuleOutput, error) {
	r, err := a.rule(in.RuleArn, "deleted")
	if err != nil {
		return nil, err
	}
	delete(a.state().Rules, *r.RuleArn)
	a.configureListeners()
	return &elb.DeleteRuleOutput{}, nil
}

// DescribeRules lists a listener's rules in the order of their priority, the
// default one at the end, or those asked for.
func (a tx) DescribeRules(in *elb.DescribeRulesInput) (*elb.DescribeRulesOutput, error) {
	switch {
	case in.ListenerArn == nil && len(in.RuleArns) == 0:
		return nil, kernel.Fail("ValidationError", "You must specify either listener ARN or rule ARNs")
	case in.ListenerArn != nil && len(in.RuleArns) > 0:
		return nil, kernel.Fail("ValidationError", "You cannot specify both listener ARN and rule ARNs")
	case in.ListenerArn != nil:
		if _, err := a.listener(in.ListenerArn); err != nil {
			return nil, err
		}
	}
	var all []types.Rule
	found := map[string]bool{}
	for _, listener := range slices.Sorted(maps.Keys(a.state().Listeners)) {
		l := a.state().Listeners[listener]
		if in.ListenerArn != nil && *in.ListenerArn != listener {
			continue
		}
		rules := []types.Rule{}
		for _, r := range a.rulesOf(listener) {
			if a.Visible(*r.RuleArn) {
				rules = append(rules, r.Rule)
			}
		}
		rules = append(rules, types.Rule{
			RuleArn: aws.String(defaultRule(l)), Priority: aws.String("default"), IsDefault: aws.Bool(true),
			Conditions: []types.RuleCondition{}, Actions: l.DefaultActions,
		})
		for _, r := range rules {
			if kernel.Selected(in.RuleArns, *r.RuleArn) {
				found[*r.RuleArn] = true
				all = append(all, r)
			}
		}
	}
	if len(notFound(found, in.RuleArns)) > 0 {
		return nil, kernel.Fail("RuleNotFound", "One or more rules not found")
	}
	page, next, err := page(all, in.Marker, in.PageSize)
	return &elb.DescribeRulesOutput{Rules: page, NextMarker: next}, err
}

// ModifyRule replaces a rule's conditions, its actions or both.
func (a tx) ModifyRule(in *elb.ModifyRuleInput) (*elb.ModifyRuleOutput, error) {
	r, err := a.rule(in.RuleArn, "modified")
	if err != nil {
		return nil, err
	}
	if len(in.Transforms) > 0 {
		return nil, kernel.Fail("ValidationError", "The local cloud's rules have no transforms")
	}
	next := r.Rule
	if len(in.Conditions) > 0 {
		if next.Conditions, err = a.conditions(in.Conditions); err != nil {
			return nil, err
		}
	}
	if len(in.Actions) > 0 {
		if next.Actions, err = a.actions(in.Actions, *a.state().Listeners[r.Listener].LoadBalancerArn); err != nil {
			return nil, err
		}
	}
	r.Rule = next
	a.configureListeners()
	return &elb.ModifyRuleOutput{Rules: []types.Rule{next}}, nil
}

// SetRulePriorities changes the order of rules, of all that are named or of none.
func (a tx) SetRulePriorities(in *elb.SetRulePrioritiesInput) (*elb.SetRulePrioritiesOutput, error) {
	var named []string
	for _, p := range in.RulePriorities {
		named = append(named, aws.ToString(p.RuleArn))
	}
	taken := map[string]bool{}
	var rules []*rule
	for _, p := range in.RulePriorities {
		r, err := a.rule(p.RuleArn, "modified")
		if err != nil {
			return nil, err
		}
		if err := a.checkPriority(r.Listener, aws.ToInt32(p.Priority), named...); err != nil {
			return nil, err
		}
		place := fmt.Sprint(r.Listener, *p.Priority)
		if taken[place] {
			return nil, kernel.Fail("PriorityInUse", "Priority '%d' is currently in use", *p.Priority)
		}
		taken[place] = true
		rules = append(rules, r)
	}
	out := &elb.SetRulePrioritiesOutput{Rules: []types.Rule{}}
	for i, r := range rules {
		r.Priority = aws.String(strconv.Itoa(int(*in.RulePriorities[i].Priority)))
		out.Rules = append(out.Rules, r.Rule)
	}
	a.configureListeners()
	return out, nil
}

var (
	hostPattern = pattern.New(`^[A-Za-z0-9.*?-]{1,128}$`)
	pathPattern = pattern.New("^[A-Za-z0-9_.$/~\"'@:+&*?-]{1,128}$")
	headerName  = pattern.New("^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,40}$")
	methodName  = pattern.New(`^[A-Z_-]{1,40}$`)
)

// conditions checks a rule's conditions and completes them: a host or a path
// reads back in both of the places in which it may be written
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RuleCondition.html).
func (a tx) conditions(in []types.RuleCondition) ([]types.RuleCondition, error) {
	if len(in) == 0 {
		return nil, kernel.Fail("ValidationError", "A condition must be specified")
	}
	seen := map[string]bool{}
	total := 0
	var out []types.RuleCondition
	for _, c := range in {
		field := aws.ToString(c.Field)
		if len(c.RegexValues) > 0 {
			return nil, kernel.Fail("ValidationError", "The local cloud's conditions have no regular expressions")
		}
		if seen[field] && field != "http-header" && field != "query-string" {
			return nil, kernel.Fail("ValidationError", "A rule can only have one '%s' condition", field)
		}
		seen[field] = true
		values, valid := c.Values, func(string) bool { return true }
		switch field {
		case "host-header":
			if c.HostHeaderConfig != nil {
				values = c.HostHeaderConfig.Values
			}
			valid = hostPattern.MatchString
			c.HostHeaderConfig, c.Values = &types.HostHeaderConditionConfig{Values: values}, values
		case "path-pattern":
			if c.PathPatternConfig != nil {
				values = c.PathPatternConfig.Values
			}
			valid = pathPattern.MatchString
			c.PathPatternConfig, c.Values = &types.PathPatternConditionConfig{Values: values}, values
		case "http-header":
			if c.HttpHeaderConfig == nil || !headerName.MatchString(aws.ToString(c.HttpHeaderConfig.HttpHeaderName)) {
				return nil, kernel.Fail("ValidationError", "An HTTP header name must be specified for an 'http-header' condition")
			}
			values = c.HttpHeaderConfig.Values
		case "http-request-method":
			if c.HttpRequestMethodConfig != nil {
				values = c.HttpRequestMethodConfig.Values
			}
			valid = methodName.MatchString
		case "query-string":
			values = nil
			if c.QueryStringConfig != nil {
				for _, pair := range c.QueryStringConfig.Values {
					values = append(values, aws.ToString(pair.Value))
				}
			}
		case "source-ip":
			if c.SourceIpConfig != nil {
				values = c.SourceIpConfig.Values
			}
			valid = func(cidr string) bool { _, err := netip.ParsePrefix(cidr); return err == nil }
		default:
			return nil, kernel.Fail("ValidationError", "Condition field '%s' must be one of '[path-pattern, host-header, http-header, http-request-method, query-string, source-ip]'", field)
		}
		if len(values) == 0 {
			return nil, kernel.Fail("ValidationError", "A condition value must be specified")
		}
		for _, v := range values {
			if v == "" || len(v) > 128 || !valid(v) {
				return nil, kernel.Fail("ValidationError", "Condition value '%s' is not valid for the field '%s'", v, field)
			}
		}
		total += len(values)
		out = append(out, c)
	}
	if total > maxRuleValues {
		return nil, kernel.Fail("ValidationError", "Rules cannot have more than %d condition values", maxRuleValues)
	}
	return out, nil
}

// match is what the conditions of a rule, which were checked, ask of a request.
func match(conditions []types.RuleCondition) balancer.Match {
	var all []balancer.Match
	for _, c := range conditions {
		switch *c.Field {
		case "host-header":
			all = append(all, balancer.Host(c.HostHeaderConfig.Values))
		case "path-pattern":
			all = append(all, balancer.Path(c.PathPatternConfig.Values))
		case "http-header":
			all = append(all, balancer.Header(*c.HttpHeaderConfig.HttpHeaderName, c.HttpHeaderConfig.Values))
		case "http-request-method":
			all = append(all, balancer.Method(c.HttpRequestMethodConfig.Values))
		case "query-string":
			var pairs []balancer.Pair
			for _, p := range c.QueryStringConfig.Values {
				pairs = append(pairs, balancer.Pair{Key: aws.ToString(p.Key), Value: aws.ToString(p.Value)})
			}
			all = append(all, balancer.Query(pairs))
		case "source-ip":
			var networks []netip.Prefix
			for _, cidr := range c.SourceIpConfig.Values {
				n, _ := netip.ParsePrefix(cidr) // checked when it was set
				networks = append(networks, n)
			}
			all = append(all, balancer.Source(networks))
		}
	}
	return balancer.All(all...)
}
