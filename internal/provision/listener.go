package provision

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Listener is a port on which the load balancer serves. It is found through the
// load balancer. What else listens there opens a door that nobody asked for, so
// the main listener closes it.
type Listener struct {
	graph.NodeOf[*liveListener]
	elbAccess
	lb      *LoadBalancer
	targets *TargetGroup
	// second is the group that takes turns with targets; nil without one. Which of them
	// gets how many of the requests is ECS's business while it shifts them; else all go to
	// that of the service's current revision, which traffic asks ECS for.
	second  *TargetGroup
	traffic func(context.Context) (traffic, error)
	want    listenerSpec
}

// secureListener is the name of the listener that serves HTTPS.
const secureListener = "listener-https"

// listenerSpec is what of a listener can be wanted.
type listenerSpec struct {
	port     int32
	protocol types.ProtocolEnum
	// certificate, for HTTPS, returns its ARN.
	certificate func() string
	// redirect, when not 0, is the port to which the listener sends clients for
	// HTTPS, instead of serving them.
	redirect int32
	// main reports whether it is the main listener, and others names the stack's other ones.
	// Nil means that this one does not look for unmanaged ones.
	main   bool
	others []string
}

// tlsPolicy takes TLS 1.2 with forward secrecy and 1.3, and nothing older:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html
const tlsPolicy = "ELBSecurityPolicy-TLS13-1-2-2021-06"

// listenerNeeds are the resources that a listener is created from.
type listenerNeeds struct {
	lb      *LoadBalancer
	targets *TargetGroup
	second  *TargetGroup   // nil without one
	more    []graph.Finder // what it waits for in addition
}

func newListener(b elbAccess, name string, needs listenerNeeds, want listenerSpec) *Listener {
	l := &Listener{elbAccess: b, lb: needs.lb, targets: needs.targets, second: needs.second, want: want}
	// It needs the load balancer's ARN, not its active state.
	first := append([]graph.Finder{graph.OnceCreated(needs.lb), needs.targets}, needs.more...)
	if needs.second != nil {
		first = append(first, needs.second)
	}
	l.NodeOf = graph.Of(l, name, 10*time.Minute, first...)
	return l
}

// liveListener is a listener as far as it is compared.
type liveListener struct {
	tags     map[string]string
	port     int32
	protocol string
	action   string
	weights  map[string]int32  // of the two groups, by their ARNs
	traffic  traffic           // what ECS says of them
	secured  string            // certificate and TLS policy
	recorded []graph.Change    // how the tags differ that hold the settings of the load balancer's listeners
	clients  string            // what of them is asked for
	rules    map[string]string // ARN of each rule before the default action, and what it does
	rule     string            // ARN of the rule that the default action is
	extra    map[string]string // ARN of each unmanaged rule's, and what it does
}

// Read looks at all listeners of the load balancer. Ours is the one with our
// tags, or, where the tags were taken off, the one on our port.
func (l *Listener) Read(ctx context.Context) (*liveListener, graph.State, error) {
	if l.lb.ID() == "" {
		return nil, absent, nil
	}
	all, tags, err := l.describe(ctx)
	if err != nil {
		return nil, graph.State{}, err
	}
	if tags[l.lb.ID()][TagStack] != l.stack {
		return nil, absent, nil // a part of an unmanaged load balancer
	}
	named := func(x types.Listener) string { return tags[aws.ToString(x.ListenerArn)][TagResource] }
	at := slices.IndexFunc(all, func(x types.Listener) bool { return named(x) == l.Name() })
	if at < 0 {
		at = slices.IndexFunc(all, func(x types.Listener) bool { return named(x) == "" && aws.ToInt32(x.Port) == l.want.port })
	}
	if at < 0 {
		return nil, absent, nil
	}
	ours := all[at]
	live := &liveListener{
		tags: tags[aws.ToString(ours.ListenerArn)], port: aws.ToInt32(ours.Port), protocol: string(ours.Protocol),
		action: describeActions(ours.DefaultActions), secured: describeTLS(ours.Certificates, ours.SslPolicy),
		clients: describeClients(ours.MutualAuthentication), extra: map[string]string{},
	}
	st := graph.State{Phase: graph.Ready, ID: aws.ToString(ours.ListenerArn), Owner: l.stack}
	if l.destroying {
		return live, st, nil
	}
	if live.rules, live.rule, err = l.rules(ctx, ours.ListenerArn); err != nil {
		return nil, graph.State{}, err
	}
	live.weights = weightsOf(ours.DefaultActions)
	if live.traffic, err = l.askTraffic(ctx); err != nil {
		return nil, graph.State{}, err
	}
	for i, x := range all {
		if l.want.main && i != at && !slices.Contains(l.want.others, named(x)) {
			live.extra[aws.ToString(x.ListenerArn)] = fmt.Sprintf("%s %d %s", x.Protocol, aws.ToInt32(x.Port), describeActions(x.DefaultActions))
		}
	}
	if l.want.main { // the last one to be changed
		live.recorded = l.recordDrift(tags[l.lb.ID()], byListener)
		if copied := tags[l.targets.ID()]; live.recorded == nil && copied[TagStack] == l.stack {
			live.recorded = l.recordDrift(copied, copyByListener)
		}
	}
	return live, st, nil
}

// describe returns all listeners of the load balancer, with the tags of these, of the load
// balancer and of the target group.
func (l *Listener) describe(ctx context.Context) ([]types.Listener, map[string]map[string]string, error) {
	if graph.Observing(ctx) {
		found, err := l.all(ctx)
		return found.listeners, found.tags, err
	}
	all, err := l.listenersOf(ctx, l.lb.ID())
	if len(all) == 0 || err != nil {
		return nil, nil, err
	}
	arns := []string{l.lb.ID()}
	for _, x := range all {
		arns = append(arns, aws.ToString(x.ListenerArn))
	}
	if l.want.main && l.targets.ID() != "" {
		arns = append(arns, l.targets.ID())
	}
	tags, err := l.tagsOf(ctx, arns...)
	if goneSince(err) {
		return nil, nil, nil
	}
	return all, tags, err
}

// rules are those of a listener that are asked before its default action. A listener
// of bookctl's has none: one that somebody made takes requests away from the tasks.
func (l *Listener) rules(ctx context.Context, listener *string) (out map[string]string, own string, err error) {
	out = map[string]string{}
	for in := (&elb.DescribeRulesInput{ListenerArn: listener}); ; {
		page, err := l.elb.DescribeRules(ctx, in)
		if IsCode(err, "ListenerNotFound") {
			return out, own, nil
		}
		if err != nil {
			return nil, "", fmt.Errorf("describe the rules of the listener on port %d of %s: %w", l.want.port, l.lb.loadBalancerName(), err)
		}
		for _, r := range page.Rules {
			if aws.ToBool(r.IsDefault) {
				own = aws.ToString(r.RuleArn)
			} else {
				out[aws.ToString(r.RuleArn)] = describeRule(r)
			}
		}
		if page.NextMarker == nil {
			return out, own, nil
		}
		in.Marker = page.NextMarker
	}
}

func describeRule(r types.Rule) string {
	var when []string
	for _, c := range r.Conditions {
		values := c.Values
		switch {
		case c.PathPatternConfig != nil:
			values = c.PathPatternConfig.Values
		case c.HostHeaderConfig != nil:
			values = c.HostHeaderConfig.Values
		}
		when = append(when, aws.ToString(c.Field)+" "+strings.Join(values, " or "))
	}
	return fmt.Sprintf("%s: %s for %s", aws.ToString(r.Priority), describeActions(r.Actions), strings.Join(when, ", "))
}

// describeClients returns what a listener asks of its clients' certificates; "" for
// nothing.
func describeClients(m *types.MutualAuthenticationAttributes) string {
	if m == nil || aws.ToString(m.Mode) == "off" {
		return ""
	}
	return aws.ToString(m.Mode)
}

// describeActions says in one word per action what a listener does.
func describeActions(actions []types.Action) string {
	var out []string
	for _, a := range actions {
		text := string(a.Type)
		switch {
		case a.TargetGroupArn != nil && a.ForwardConfig == nil:
			text += " " + *a.TargetGroupArn
		case a.ForwardConfig != nil:
			var groups []string
			none := len(a.ForwardConfig.TargetGroups) > 1 // of several, one needs a weight
			for _, t := range a.ForwardConfig.TargetGroups {
				groups = append(groups, aws.ToString(t.TargetGroupArn))
				none = none && aws.ToInt32(t.Weight) == 0
			}
			slices.Sort(groups)
			if text += " " + strings.Join(groups, " "); none {
				text += " without a weight"
			}
			if s := a.ForwardConfig.TargetGroupStickinessConfig; s != nil && aws.ToBool(s.Enabled) {
				text += " (sticky)"
			}
		case a.RedirectConfig != nil:
			r := a.RedirectConfig
			text += fmt.Sprintf(" %s %s:%s (%s)", r.StatusCode, aws.ToString(r.Protocol), aws.ToString(r.Port), aws.ToString(r.Host)+aws.ToString(r.Path)+aws.ToString(r.Query))
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// describeTLS says in words with what a listener is secured; "" for none. Only
// with a certificate does a policy mean anything.
func describeTLS(certificates []types.Certificate, policy *string) string {
	if len(certificates) == 0 {
		return ""
	}
	var out []string
	for _, c := range certificates {
		out = append(out, cmp.Or(aws.ToString(c.CertificateArn), "a new certificate"))
	}
	if p := aws.ToString(policy); p != "" {
		out = append(out, p)
	}
	return strings.Join(out, ", ")
}

// tls returns the certificate and the policy, or nothing for plain HTTP.
func (l *Listener) tls() ([]types.Certificate, *string) {
	if l.want.certificate == nil {
		return nil, nil
	}
	return []types.Certificate{{CertificateArn: aws.String(l.want.certificate())}}, aws.String(tlsPolicy)
}

// actions forward to the second of two groups where the tasks that serve are in that one.
func (l *Listener) actions(secondServes bool) []types.Action {
	if l.want.redirect != 0 {
		return []types.Action{{Type: types.ActionTypeEnumRedirect, RedirectConfig: &types.RedirectActionConfig{
			StatusCode: types.RedirectActionStatusCodeEnumHttp301, Protocol: aws.String("HTTPS"), Port: aws.String(strconv.Itoa(int(l.want.redirect))),
			Host: aws.String("#{host}"), Path: aws.String("/#{path}"), Query: aws.String("#{query}"),
		}}}
	}
	if l.second == nil {
		return []types.Action{{Type: types.ActionTypeEnumForward, TargetGroupArn: aws.String(l.targets.ID())}}
	}
	weights := []int32{100, 0}
	if secondServes {
		slices.Reverse(weights)
	}
	forward := &types.ForwardActionConfig{}
	for i, t := range []*TargetGroup{l.targets, l.second} {
		forward.TargetGroups = append(forward.TargetGroups, types.TargetGroupTuple{TargetGroupArn: aws.String(t.ID()), Weight: &weights[i]})
	}
	return []types.Action{{Type: types.ActionTypeEnumForward, ForwardConfig: forward}}
}

// askTraffic asks ECS which of two groups has the tasks that serve. For a group that is
// neither, it is as if ECS had not said it.
func (l *Listener) askTraffic(ctx context.Context) (traffic, error) {
	if l.second == nil || l.want.redirect != 0 || l.traffic == nil {
		return traffic{}, nil
	}
	now, err := l.traffic(ctx)
	if err != nil || now.group == "" {
		return now, err
	}
	if now.group != l.targets.ID() && now.group != l.second.ID() {
		now.group = ""
	}
	return now, nil
}

// findServing finds out whether requests are to be sent to the second group, before they
// are. Where ECS does not say it, as of a service that is not there, healthy tasks do.
func (l *Listener) findServing(ctx context.Context) (second, shifting bool, err error) {
	now, err := l.askTraffic(ctx)
	if err != nil || l.second == nil || l.want.redirect != 0 {
		return false, now.shifting, err
	}
	if now.group != "" {
		return now.group == l.second.ID(), now.shifting, nil
	}
	healthy := map[*TargetGroup]int{}
	for _, t := range []*TargetGroup{l.targets, l.second} {
		health, err := t.health(ctx)
		if err != nil {
			return false, now.shifting, err
		}
		for _, x := range health {
			// One that no listener forwards to is not looked at.
			if x.Health == string(types.TargetHealthStateEnumHealthy) || x.Health == string(types.TargetHealthStateEnumUnused) {
				healthy[t]++
			}
		}
	}
	return healthy[l.second] > healthy[l.targets], now.shifting, nil
}

// weightsOf are the weights of the target groups that a listener forwards to.
func weightsOf(actions []types.Action) map[string]int32 {
	out := map[string]int32{}
	for _, a := range actions {
		if a.ForwardConfig == nil {
			continue
		}
		for _, t := range a.ForwardConfig.TargetGroups {
			out[aws.ToString(t.TargetGroupArn)] = aws.ToInt32(t.Weight)
		}
	}
	return out
}

// compareWeights reports whether requests go elsewhere than to the tasks of the current
// revision. ECS does not check that.
// https://github.com/aws/containers-roadmap/issues/2853
func (l *Listener) compareWeights(live, want *liveListener) (have, wanted string, differ bool) {
	serves := live.traffic.group
	if live.action != want.action || live.traffic.shifting || serves == "" {
		return "", "", false
	}
	other := l.targets
	if serves == l.targets.ID() {
		other = l.second
	}
	differ = live.weights[serves] == 0 || live.weights[other.ID()] != 0
	return l.describeWeights(live.weights), l.describeWeights(map[string]int32{serves: 100}), differ
}

func (l *Listener) describeWeights(weights map[string]int32) string {
	return fmt.Sprintf("%s %d, %s %d", l.targets.groupName(), weights[l.targets.ID()], l.second.groupName(), weights[l.second.ID()])
}

// stillShifting is why a default action waits for another run.
const stillShifting = "ECS is shifting the requests between the target groups; the same command sets it when the deployment is over"

// Wanted implements graph.Shape. An action in words does not say which of two groups has
// the weight: see compareWeights.
func (l *Listener) Wanted(*liveListener) *liveListener {
	return &liveListener{tags: l.tags(l.Name()), port: l.want.port, protocol: string(l.want.protocol), action: describeActions(l.actions(false)), secured: describeTLS(l.tls())}
}

// Attributes implements graph.Shape. What should not be open is closed first.
func (l *Listener) Attributes() graph.Attributes[*liveListener] {
	modify := graph.Requesting(func() *elb.ModifyListenerInput {
		certificates, policy := l.tls()
		return &elb.ModifyListenerInput{
			Certificates: certificates, SslPolicy: policy,
			ListenerArn: aws.String(l.ID()), Port: &l.want.port, Protocol: l.want.protocol,
		}
	}, l.modify)
	whole := modify.Put(func(*elb.ModifyListenerInput) {}) // it is in the input anyway
	return graph.Attributes[*liveListener]{
		graph.Many(extraListener, func(live, _ *liveListener) []graph.Change { return surplus(live.extra) }, graph.SetBy(l.removeExtra)),
		graph.Many(extraRuleOf, func(live, _ *liveListener) []graph.Change { return surplus(live.rules) }, graph.SetBy(l.deleteRules)),
		tagAttribute(func(l *liveListener) map[string]string { return l.tags }, graph.SetBy(func(ctx context.Context, changes []graph.Change) error {
			return l.retag(ctx, l.ID(), l.Name(), changes)
		})),
		graph.Field("port", func(l *liveListener) string { return decimal(&l.port) }, whole),
		graph.Field("protocol", func(l *liveListener) string { return l.protocol }, whole),
		graph.Field(fieldAction, func(l *liveListener) string { return l.action }, whole).Retain(func(live, _ *liveListener) string {
			if live.traffic.shifting {
				return stillShifting
			}
			return ""
		}),
		graph.Compared(fieldWeights, l.compareWeights, whole),
		graph.Field("tls", func(l *liveListener) string { return l.secured }, whole),
		graph.Field("mutual-authentication", func(l *liveListener) string { return l.clients }, modify.Put(func(in *elb.ModifyListenerInput) {
			in.MutualAuthentication = &types.MutualAuthenticationAttributes{Mode: aws.String("off")}
		})),
		recordAttribute(func(live, _ *liveListener) []graph.Change { return live.recorded }, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			return l.record(ctx, l.lb.ID(), l.targets.ID())
		})),
	}
}

const (
	extraListener = "extra listener "
	extraRuleOf   = "extra rule "
	fieldAction   = "default-action"
	fieldWeights  = "target-group-weights"
)

// Create creates the listener. A port takes one listener, so that a repeated call
// can't make a second.
func (l *Listener) Create(ctx context.Context) (string, error) {
	certificates, policy := l.tls()
	tags := l.tags(l.Name())
	second, _, err := l.findServing(ctx)
	if err != nil {
		return "", err
	}
	out, err := l.elb.CreateListener(ctx, &elb.CreateListenerInput{
		Certificates: certificates, SslPolicy: policy,
		LoadBalancerArn: aws.String(l.lb.ID()), Port: &l.want.port, Protocol: l.want.protocol,
		DefaultActions: l.actions(second), Tags: toELBTags(tags),
	})
	if err != nil {
		return "", fmt.Errorf("create the listener on port %d of %s: %w", l.want.port, l.lb.loadBalancerName(), err)
	}
	arn := aws.ToString(out.Listeners[0].ListenerArn)
	l.rememberTags(arn, tags)
	var recorded error
	if l.want.main {
		recorded = l.record(ctx, l.targets.ID())
	}
	if _, ours := l.hinted(aws.String(l.lb.ID())); ours && recorded == nil { // else it is drift
		live := l.Wanted(nil)
		live.tags = tags
		l.Answer(live, graph.State{Phase: graph.Ready, Owner: l.stack})
	}
	return arn, nil
}

// record writes the settings that the listener carries out to the tags of resources.
func (l *Listener) record(ctx context.Context, arns ...string) error {
	_, err := l.elb.AddTags(ctx, &elb.AddTagsInput{ResourceArns: arns, Tags: toELBTags(l.settings[byListener])})
	if err != nil {
		return fmt.Errorf("record the settings of the listener on %s: %w", strings.Join(arns, " and "), err)
	}
	for _, arn := range arns {
		l.rememberTags(arn, l.settings[byListener])
	}
	return nil
}

func (l *Listener) removeExtra(ctx context.Context, changes []graph.Change) error {
	for _, c := range changes {
		if err := l.remove(ctx, strings.TrimPrefix(c.Field, extraListener)); err != nil {
			return err
		}
	}
	return nil
}

func (l *Listener) deleteRules(ctx context.Context, changes []graph.Change) error {
	for _, c := range changes {
		arn := strings.TrimPrefix(c.Field, extraRuleOf)
		if _, err := l.elb.DeleteRule(ctx, &elb.DeleteRuleInput{RuleArn: &arn}); err != nil && !IsCode(err, "RuleNotFound") {
			return fmt.Errorf("delete rule %s: %w", arn, err)
		}
	}
	return nil
}

func (l *Listener) modify(ctx context.Context, in *elb.ModifyListenerInput, changes []graph.Change) error {
	if hasField(changes, fieldAction) || hasField(changes, fieldWeights) {
		second, shifting, err := l.findServing(ctx)
		if err != nil {
			return err
		}
		if !shifting { // since a moment ago
			in.DefaultActions = l.actions(second)
		}
	}
	if _, err := l.elb.ModifyListener(ctx, in); err != nil {
		return fmt.Errorf("modify %s of the listener of %s: %w", graph.Fields(changes), l.lb.loadBalancerName(), err)
	}
	return nil
}

// Delete deletes the listener.
func (l *Listener) Delete(ctx context.Context) error { return l.remove(ctx, l.ID()) }

// DeletesSynchronously implements graph.DeletesSynchronously.
func (l *Listener) DeletesSynchronously() {}

func (l *Listener) remove(ctx context.Context, arn string) error {
	_, err := l.elb.DeleteListener(ctx, &elb.DeleteListenerInput{ListenerArn: &arn})
	if err != nil && !IsCode(err, "ListenerNotFound") {
		return fmt.Errorf("delete listener %s: %w", arn, err)
	}
	return nil
}

// learnRule looks up, where it is not known, the ARN of the rule that the listener's default
// action is, by which ECS shifts the traffic.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_AdvancedConfiguration.html
func (l *Listener) learnRule(ctx context.Context) error {
	if l.knownRule() != "" {
		return nil
	}
	_, own, err := l.rules(ctx, aws.String(l.ID()))
	if err != nil {
		return err
	}
	var live liveListener
	if last := l.Last(); last != nil {
		live = *last
	}
	live.rule = own
	l.Learn(&live)
	return nil
}

// knownRule is what learnRule has learnt, "" for nothing.
func (l *Listener) knownRule() string {
	if live := l.Last(); live != nil {
		return live.rule
	}
	return ""
}
