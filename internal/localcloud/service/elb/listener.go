package elb

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/localcloud/balancer"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

type listener struct {
	types.Listener
	Attributes map[string]string // those that were set
	Extra      []string          // certificates besides the default one
	Tags       map[string]string
}

func (a tx) listener(arn *string) (*listener, error) {
	l := a.state().Listeners[aws.ToString(arn)]
	if l == nil || !a.Visible(*arn) {
		return nil, kernel.Fail("ListenerNotFound", "Listener '%s' not found", aws.ToString(arn))
	}
	return l, nil
}

// policies are the TLS policies that are accepted; the listeners here always
// speak TLS 1.2 and 1.3.
var policies = []string{
	"ELBSecurityPolicy-2016-08", "ELBSecurityPolicy-FS-1-2-Res-2020-10", "ELBSecurityPolicy-TLS-1-2-2017-01", "ELBSecurityPolicy-TLS13-1-2-2021-06",
	"ELBSecurityPolicy-TLS13-1-2-Res-2021-06", "ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06", "ELBSecurityPolicy-TLS13-1-3-2021-06",
	"ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09", "ELBSecurityPolicy-TLS13-1-2-PQ-2025-09",
}

// secure checks what goes with a listener's protocol and returns the
// certificate of an HTTPS one.
func (a tx) secure(protocol types.ProtocolEnum, certificates []types.Certificate, policy string) (*tls.Certificate, error) {
	switch protocol {
	case types.ProtocolEnumHttp:
		if len(certificates) > 0 {
			return nil, kernel.Fail("ValidationError", "Certificates cannot be specified for HTTP listeners")
		}
		return nil, nil
	case types.ProtocolEnumHttps:
		if len(certificates) != 1 {
			return nil, kernel.Fail("ValidationError", "A certificate must be specified for HTTPS listeners")
		}
		if !slices.Contains(policies, policy) {
			return nil, kernel.Fail("SSLPolicyNotFound", "SSL policy '%s' not found", policy)
		}
		cert, err := a.needs.Certificates.Certificate(a.Tx, aws.ToString(certificates[0].CertificateArn))
		if err != nil {
			return nil, err
		}
		return &cert, nil
	default:
		return nil, kernel.Fail("ValidationError", "Listener protocol '%s' must be one of 'HTTPS, HTTP'", protocol)
	}
}

// CreateListener creates a listener, and binds its port on this machine.
func (a tx) CreateListener(in *elb.CreateListenerInput) (*elb.CreateListenerOutput, error) {
	lb, err := a.loadBalancer(in.LoadBalancerArn)
	if err != nil {
		return nil, err
	}
	port := aws.ToInt32(in.Port)
	if port < 1 || port > 65535 {
		return nil, kernel.Fail("ValidationError", "Port '%d' must be between 1 and 65535", port)
	}
	actions, err := a.actions(in.DefaultActions, *lb.LoadBalancerArn)
	if err != nil {
		return nil, err
	}
	policy := aws.ToString(in.SslPolicy)
	if in.Protocol == types.ProtocolEnumHttps {
		policy = cmp.Or(policy, policies[0])
	}
	cert, err := a.secure(in.Protocol, in.Certificates, policy)
	if err != nil {
		return nil, err
	}
	for _, have := range a.state().Listeners {
		if *have.LoadBalancerArn != *lb.LoadBalancerArn || *have.Port != port {
			continue
		}
		if have.Protocol == in.Protocol && sameActions(have.DefaultActions, actions) && aws.ToString(have.SslPolicy) == policy && sameCertificates(have.Certificates, in.Certificates) {
			return &elb.CreateListenerOutput{Listeners: []types.Listener{have.Listener}}, nil
		}
		return nil, kernel.Fail("DuplicateListener", "A listener already exists on this port for this load balancer '%s'", *lb.LoadBalancerArn)
	}
	_, path, _ := strings.Cut(*lb.LoadBalancerArn, ":loadbalancer/")
	l := &listener{
		Listener: types.Listener{
			ListenerArn: aws.String(a.ARN("elasticloadbalancing", "listener/"+path+"/"+kernel.HexDigits(16))), LoadBalancerArn: lb.LoadBalancerArn,
			Port: in.Port, Protocol: in.Protocol, DefaultActions: actions, Certificates: slices.Clone(in.Certificates),
		},
		Tags: kernel.TagMap(in.Tags, tagPair),
	}
	if policy != "" {
		l.SslPolicy = aws.String(policy)
	}
	if err := a.bind(l, cert); err != nil {
		return nil, err
	}
	if a.state().Listeners == nil {
		a.state().Listeners = map[string]*listener{}
	}
	a.state().Listeners[*l.ListenerArn] = l
	a.Created(*l.ListenerArn)
	a.configureListeners()
	return &elb.CreateListenerOutput{Listeners: []types.Listener{l.Listener}}, nil
}

func sameCertificates(x, y []types.Certificate) bool {
	return slices.EqualFunc(x, y, func(x, y types.Certificate) bool {
		return aws.ToString(x.CertificateArn) == aws.ToString(y.CertificateArn)
	})
}

// bind takes a listener's port of this machine.
func (a tx) bind(l *listener, cert *tls.Certificate) error {
	bound, err := a.needs.Balancer.Listen(int(*l.Port), cert, balancer.Action{Fixed: &balancer.Fixed{Code: http.StatusServiceUnavailable}}, balancer.Options{IdleTimeout: time.Minute})
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return kernel.Fail("InvalidConfigurationRequest", "Port %d of this machine is in use by another program, and a load balancer of the local cloud listens on it for real; choose another port", *l.Port)
	case errors.Is(err, syscall.EACCES):
		return kernel.Fail("InvalidConfigurationRequest", "Port %d of this machine is reserved for root, and a load balancer of the local cloud listens on it for real; choose a port above 1023", *l.Port)
	case err != nil:
		return err
	}
	if a.running().listeners == nil {
		a.running().listeners = map[string]Listener{}
	}
	a.running().listeners[*l.ListenerArn] = bound
	return nil
}

// configureListeners applies the state to the running listeners, and derives which load
// balancers use a target group.
func (a tx) configureListeners() {
	users := map[string][]string{}
	inUse := map[string]bool{}
	for _, arn := range slices.Sorted(maps.Keys(a.state().Listeners)) {
		l := a.state().Listeners[arn]
		lb := a.state().LoadBalancers[*l.LoadBalancerArn]
		active := lb.State.Code == types.LoadBalancerStateEnumActive
		do := func(actions []types.Action) balancer.Action {
			for _, tg := range forwards(actions[0]) {
				inUse[tg] = inUse[tg] || active
				if !slices.Contains(users[tg], *l.LoadBalancerArn) {
					users[tg] = append(users[tg], *l.LoadBalancerArn)
				}
			}
			return a.liveAction(actions[0])
		}
		action := do(l.DefaultActions)
		idle, _ := strconv.Atoi(lb.Attributes["idle_timeout.timeout_seconds"]) // checked when it was set
		options := balancer.Options{
			IdleTimeout:        time.Duration(idle) * time.Second,
			DropInvalidHeaders: lb.Attributes["routing.http.drop_invalid_header_fields.enabled"] == "true",
			Header:             l.header(), HideServer: l.Attributes[serverEnabled] == "false",
		}
		for _, r := range a.rulesOf(arn) {
			options.Rules = append(options.Rules, balancer.Rule{Match: match(r.Conditions), Action: do(r.Actions)})
		}
		if !active {
			action, options.Rules = balancer.Action{Fixed: &balancer.Fixed{Code: http.StatusServiceUnavailable}}, nil
		}
		if running := a.running().listeners[arn]; running != nil {
			running.Configure(action, options)
		}
	}
	for arn, tg := range a.state().TargetGroups {
		tg.LoadBalancerArns = append([]string{}, users[arn]...)
		a.running().groups[arn].SetInUse(inUse[arn])
	}
	a.limitTargets()
}

// dropListener deletes a listener with its rules and closes its port.
func (a tx) dropListener(arn string) {
	delete(a.state().Listeners, arn)
	for _, r := range a.rulesOf(arn) {
		delete(a.state().Rules, *r.RuleArn)
	}
	a.unbind(arn)
}

func (a tx) unbind(arn string) {
	running := a.running().listeners[arn]
	if running == nil {
		return // its port could not be bound after a restart
	}
	delete(a.running().listeners, arn)
	running.Release()
	a.Go(func(context.Context) { running.Close() })
}

// DeleteListener deletes a listener and closes its port.
func (a tx) DeleteListener(in *elb.DeleteListenerInput) (*elb.DeleteListenerOutput, error) {
	if _, err := a.listener(in.ListenerArn); err != nil {
		return nil, err
	}
	a.dropListener(*in.ListenerArn)
	a.configureListeners()
	return &elb.DeleteListenerOutput{}, nil
}

// DescribeListeners lists a load balancer's listeners, or those asked for.
func (a tx) DescribeListeners(in *elb.DescribeListenersInput) (*elb.DescribeListenersOutput, error) {
	if in.LoadBalancerArn == nil && len(in.ListenerArns) == 0 {
		return nil, kernel.Fail("ValidationError", "You must specify either listener ARNs or a load balancer ARN")
	}
	if in.LoadBalancerArn != nil {
		if _, err := a.loadBalancer(in.LoadBalancerArn); err != nil {
			return nil, err
		}
	}
	var all []types.Listener
	found := map[string]bool{}
	for _, arn := range slices.Sorted(maps.Keys(a.state().Listeners)) {
		l := a.state().Listeners[arn]
		if kernel.Selected(in.ListenerArns, arn) && (in.LoadBalancerArn == nil || *l.LoadBalancerArn == *in.LoadBalancerArn) && a.Visible(arn) {
			found[arn] = true
			all = append(all, l.Listener)
		}
	}
	if len(notFound(found, in.ListenerArns)) > 0 {
		return nil, kernel.Fail("ListenerNotFound", "One or more listeners not found")
	}
	page, next, err := page(all, in.Marker, in.PageSize)
	return &elb.DescribeListenersOutput{Listeners: page, NextMarker: next}, err
}

// ModifyListener changes a listener; a new port or protocol binds it again.
func (a tx) ModifyListener(in *elb.ModifyListenerInput) (*elb.ModifyListenerOutput, error) {
	l, err := a.listener(in.ListenerArn)
	if err != nil {
		return nil, err
	}
	next := &listener{Listener: l.Listener, Attributes: l.Attributes, Extra: l.Extra, Tags: l.Tags}
	next.Port, next.Protocol = cmp.Or(in.Port, l.Port), cmp.Or(in.Protocol, l.Protocol)
	next.SslPolicy = cmp.Or(in.SslPolicy, l.SslPolicy)
	if len(in.Certificates) > 0 {
		next.Certificates = slices.Clone(in.Certificates)
	}
	switch {
	case next.Protocol == types.ProtocolEnumHttp:
		next.Certificates, next.SslPolicy, next.Extra = nil, nil, nil
	case next.SslPolicy == nil:
		next.SslPolicy = aws.String(policies[0])
	}
	if len(in.DefaultActions) > 0 {
		if next.DefaultActions, err = a.actions(in.DefaultActions, *l.LoadBalancerArn); err != nil {
			return nil, err
		}
	}
	cert, err := a.secure(next.Protocol, next.Certificates, aws.ToString(next.SslPolicy))
	if err != nil {
		return nil, err
	}
	for arn, other := range a.state().Listeners {
		if arn != *l.ListenerArn && *other.LoadBalancerArn == *l.LoadBalancerArn && *other.Port == *next.Port {
			return nil, kernel.Fail("DuplicateListener", "A listener already exists on this port for this load balancer '%s'", *l.LoadBalancerArn)
		}
	}
	switch running := a.running().listeners[*l.ListenerArn]; {
	case running != nil && *next.Port == *l.Port && next.Protocol == l.Protocol:
		if cert != nil {
			running.SetCertificates(cert)
		}
	case *next.Port == *l.Port:
		a.unbind(*l.ListenerArn) // the port can't be bound twice
		if err := a.bind(next, cert); err != nil {
			return nil, err
		}
	default:
		if err := a.bind(next, cert); err != nil {
			return nil, err
		}
		if running != nil {
			running.Release()
			a.Go(func(context.Context) { running.Close() })
		}
	}
	*l = *next
	if len(l.Extra) > 0 {
		if err := a.showCertificates(l); err != nil {
			return nil, err
		}
	}
	a.configureListeners()
	return &elb.ModifyListenerOutput{Listeners: []types.Listener{l.Listener}}, nil
}

// DescribeSSLPolicies lists the names of the TLS policies.
func (a tx) DescribeSSLPolicies(in *elb.DescribeSSLPoliciesInput) (*elb.DescribeSSLPoliciesOutput, error) {
	out := &elb.DescribeSSLPoliciesOutput{}
	for _, name := range policies {
		if kernel.Selected(in.Names, name) {
			out.SslPolicies = append(out.SslPolicies, types.SslPolicy{Name: aws.String(name), SslProtocols: []string{"TLSv1.2", "TLSv1.3"}})
		}
	}
	if len(out.SslPolicies) < len(in.Names) {
		return nil, kernel.Fail("SSLPolicyNotFound", "One or more SSL policies not found")
	}
	return out, nil
}

// serve binds the port of a listener after a restart of the cloud.
func (a tx) serve(l *listener) error {
	cert, err := a.secure(l.Protocol, l.Certificates, aws.ToString(l.SslPolicy))
	if err != nil {
		return err
	}
	if err := a.bind(l, cert); err != nil || len(l.Extra) == 0 {
		return err
	}
	return a.showCertificates(l)
}

// serveLater waits until the program that has taken a listener's port closes it, or the
// listener is changed or deleted.
func (s *Service) serveLater(ctx context.Context, arn string) {
	for over := false; !over && kernel.Wait(ctx, nil, time.Second); {
		s.update(func(c tx) {
			l := c.state().Listeners[arn]
			if over = ctx.Err() != nil || l == nil || c.running().listeners[arn] != nil; over {
				return
			}
			if over = c.serve(l) == nil; over {
				c.Log().Info("a listener serves again", "listener", arn)
				c.configureListeners()
			}
		})
	}
}
