// Package elb is Elastic Load Balancing, of which it has application load balancers.
package elb

import (
	"crypto/tls"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/localcloud/balancer"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/network"
)

// Balancer is the real load balancing.
type Balancer interface {
	NewGroup(settings balancer.Settings) Group
	// Listen takes a port of this machine, any free one for 0; with a certificate
	// it speaks TLS.
	Listen(port int, cert *tls.Certificate, action balancer.Action, options balancer.Options) (Listener, error)
}

// Group is a running target group: it checks its targets' health.
type Group interface {
	balancer.Backend
	Configure(settings balancer.Settings)
	// SetInUse begins or ends the health checks.
	SetInUse(inUse bool)
	Register(target balancer.Target)
	// SetAccess says which targets the load balancers reach.
	SetAccess(access func(balancer.Target) balancer.Access)
	// Deregister drains a target, on every port for 0; the channel is closed when it is
	// drained.
	Deregister(id string, port int) <-chan struct{}
	// Requests is how many there were so far.
	Requests() int64
	Close()
}

// Listener is a bound port.
type Listener interface {
	Configure(action balancer.Action, options balancer.Options)
	SetCertificates(certificates ...*tls.Certificate)
	// Counts are what it has done so far.
	Counts() balancer.Counts
	// Release closes the port, and Close the connections too.
	Release()
	Close()
}

// Tasks are ECS's.
type Tasks interface {
	// Address is the real address behind a task's private address, and the task's zone;
	// both are empty if no task has that address.
	Address(t *kernel.Tx, private string, port int) (addr, zone string)
}

// Network is EC2's.
type Network interface {
	Subnet(t *kernel.Tx, id string) (network.Subnet, bool)
	HasGroup(t *kernel.Tx, id string) bool
	// Sends reports whether a rule of one of those security groups lets TCP out to that
	// address and port.
	Sends(t *kernel.Tx, groups []string, address string, port int) bool
	Attach(t *kernel.Tx, spec network.Spec) (network.Interface, error)
	Release(t *kernel.Tx, id string)
}

// Certificates are Certificate Manager's.
type Certificates interface {
	// Certificate is one with its key. Errors are in this service's words.
	Certificate(t *kernel.Tx, arn string) (tls.Certificate, error)
}

// Roles are IAM's.
type Roles interface {
	// LinkedRoleUsable reports whether the account has the service-linked role of a
	// service, and the service knows of it yet.
	LinkedRoleUsable(t *kernel.Tx, service string) bool
}

// Needs are what load balancing needs of others.
type Needs struct {
	Balancer     Balancer
	Tasks        Tasks
	Network      Network
	Certificates Certificates
	Roles        Roles
}

// Service is the service outside of transactions.
type Service struct {
	*kernel.Kernel
	needs   Needs
	unsaved *kernel.Store[running]
	store   *kernel.Store[state]
}

// New creates the service, with its part of the state and its tags.
func New(k *kernel.Kernel, needs Needs) *Service {
	s := &Service{Kernel: k, needs: needs, unsaved: kernel.Unsaved[running](k), store: kernel.Saved[state](k, "elb")}
	kernel.RegisterTagger(k, "elasticloadbalancing", s.in, kernel.TaggerMethods[tx]{List: tx.listTagged, Add: tx.tagByARN, Remove: tx.untagByARN})
	return s
}

// tx is the service within a transaction.
type tx struct {
	*kernel.Tx
	*Service
}

func (s *Service) in(t *kernel.Tx) tx { return tx{t, s} }

func (a tx) state() *state { return a.store.In(a.Tx) }

func (a tx) running() *running { return a.unsaved.In(a.Tx) }

func (s *Service) update(f func(tx)) { s.Update(func(t *kernel.Tx) { f(s.in(t)) }) }

func (s *Service) view(f func(tx)) { s.View(func(t *kernel.Tx) { f(s.in(t)) }) }

// leastInterval bounds how far health checks are scaled down.
const leastInterval = 200 * time.Millisecond

// HasTargetGroup reports whether there is a target group of that ARN.
func (s *Service) HasTargetGroup(t *kernel.Tx, arn string) bool {
	return s.in(t).state().TargetGroups[arn] != nil
}

// RulesChanged notes that security groups have other rules.
func (s *Service) RulesChanged(t *kernel.Tx) { s.in(t).limitTargets() }

// Requests is how many requests a target group has had so far, and how many targets
// it has now.
func (s *Service) Requests(t *kernel.Tx, arn string) (total int64, targets int, ok bool) {
	g := s.in(t).running().groups[arn]
	if g == nil {
		return 0, 0, false
	}
	return g.Requests(), len(g.Health()), true
}

// Healthy is the number of healthy targets of a group, named as in dimensions of metrics:
// targetgroup/name/id. Without targets there is no such number.
func (s *Service) Healthy(t *kernel.Tx, group string) (n int, ok bool) {
	g := s.in(t).running().groups[t.ARN("elasticloadbalancing", group)]
	if g == nil {
		return 0, false
	}
	for _, h := range g.Health() {
		switch h.State {
		case balancer.Healthy:
			n, ok = n+1, true
		case balancer.Draining:
		default:
			ok = true
		}
	}
	return n, ok
}

// Answered are the counts of the listeners of a load balancer, named as in dimensions of
// metrics: app/name/id.
func (s *Service) Answered(t *kernel.Tx, name string) (requests, byTasks, byItself int64, ok bool) {
	a, arn := s.in(t), t.ARN("elasticloadbalancing", "loadbalancer/"+name)
	for _, l := range a.state().Listeners {
		if running := a.running().listeners[*l.ListenerArn]; running != nil && aws.ToString(l.LoadBalancerArn) == arn {
			c := running.Counts()
			requests, byTasks, byItself, ok = requests+c.Requests, byTasks+c.ByTasks, byItself+c.ByItself, true
		}
	}
	return requests, byTasks, byItself, ok
}

// LoadBalancers are the ARNs of those that use a target group, if there is one.
func (s *Service) LoadBalancers(t *kernel.Tx, group string) (arns []string, ok bool) {
	tg := s.in(t).state().TargetGroups[group]
	if tg == nil {
		return nil, false
	}
	return tg.LoadBalancerArns, true
}

// Register adds a target to a group. It returns false if there is no such group, or the
// cloud stops.
func (s *Service) Register(t *kernel.Tx, group string, target balancer.Target) bool {
	a := s.in(t)
	tg := a.state().TargetGroups[group]
	if tg == nil || a.running().groups[group] == nil {
		return false
	}
	a.register(tg, target)
	return true
}

// Deregister drains a target of a group; the channel is closed when it is drained. It
// returns false if there is no such group, or the cloud stops.
func (s *Service) Deregister(t *kernel.Tx, group, id string, port int) (<-chan struct{}, bool) {
	a := s.in(t)
	tg := a.state().TargetGroups[group]
	if tg == nil || a.running().groups[group] == nil {
		return nil, false
	}
	return a.deregister(tg, id, port), true
}

// TargetHealth is the health of a target of a group, if it has it.
func (s *Service) TargetHealth(t *kernel.Tx, group, id string, port int) (balancer.Health, bool) {
	g := s.in(t).running().groups[group]
	if g == nil {
		return balancer.Health{}, false
	}
	for _, h := range g.Health() {
		if h.ID == id && h.Port == port {
			return h, true
		}
	}
	return balancer.Health{}, false
}

// Weights are those of the target groups that a rule forwards to, including the default
// rule of a listener. It returns false if there is no such rule, or it does not forward.
func (s *Service) Weights(t *kernel.Tx, rule string) (map[string]int, bool) {
	a := s.in(t)
	var actions []types.Action
	if r := a.state().Rules[rule]; r != nil {
		actions = r.Actions
	} else if l := a.withDefault(rule); l != nil {
		actions = l.DefaultActions
	}
	if len(actions) != 1 || actions[0].Type != types.ActionTypeEnumForward {
		return nil, false
	}
	weights := map[string]int{}
	for _, g := range actions[0].ForwardConfig.TargetGroups {
		weights[aws.ToString(g.TargetGroupArn)] = int(aws.ToInt32(g.Weight))
	}
	return weights, true
}

// SetWeights makes a rule forward to those target groups with those weights. It returns
// false if the rule or a group does not exist.
func (s *Service) SetWeights(t *kernel.Tx, rule string, groups []string, weights []int) bool {
	a := s.in(t)
	action := types.Action{Type: types.ActionTypeEnumForward, ForwardConfig: &types.ForwardActionConfig{}}
	for i, g := range groups {
		if a.state().TargetGroups[g] == nil {
			return false
		}
		action.ForwardConfig.TargetGroups = append(action.ForwardConfig.TargetGroups, types.TargetGroupTuple{TargetGroupArn: &g, Weight: aws.Int32(int32(weights[i]))})
	}
	r, l := a.state().Rules[rule], a.withDefault(rule)
	switch {
	case r != nil:
		r.Actions = []types.Action{action}
	case l != nil:
		l.DefaultActions = []types.Action{action}
	default:
		return false
	}
	a.configureListeners()
	return true
}

// withDefault is the listener that has a rule as its default one, or nil.
func (a tx) withDefault(rule string) *listener {
	for _, l := range a.state().Listeners {
		if defaultRule(l) == rule {
			return l
		}
	}
	return nil
}

// CertificateUsers are the ARNs of the load balancers with a listener of that certificate.
func (s *Service) CertificateUsers(t *kernel.Tx, arn string) []string {
	users := map[string]bool{}
	for _, l := range s.in(t).state().Listeners {
		for _, cert := range l.Certificates {
			if aws.ToString(cert.CertificateArn) == arn {
				users[aws.ToString(l.LoadBalancerArn)] = true
			}
		}
		if slices.Contains(l.Extra, arn) {
			users[aws.ToString(l.LoadBalancerArn)] = true
		}
	}
	return slices.Sorted(maps.Keys(users))
}

// listTagged are the resources that the tagging API lists.
func (a tx) listTagged() []kernel.Tagged {
	var all []kernel.Tagged
	for arn, b := range a.state().LoadBalancers {
		all = append(all, kernel.Tagged{ARN: arn, Tags: b.Tags})
	}
	for arn, g := range a.state().TargetGroups {
		all = append(all, kernel.Tagged{ARN: arn, Tags: g.Tags})
	}
	for arn, l := range a.state().Listeners {
		all = append(all, kernel.Tagged{ARN: arn, Tags: l.Tags})
	}
	for arn, r := range a.state().Rules {
		all = append(all, kernel.Tagged{ARN: arn, Tags: r.Tags})
	}
	return all
}

// tagByARN and untagByARN are what the tagging API does to one of them.
func (a tx) tagByARN(arn string, tags map[string]string) error {
	_, err := a.AddTags(&elb.AddTagsInput{
		ResourceArns: []string{arn}, Tags: kernel.TagList(tags, newTag),
	})
	return err
}

func (a tx) untagByARN(arn string, keys []string) error {
	_, err := a.RemoveTags(&elb.RemoveTagsInput{ResourceArns: []string{arn}, TagKeys: keys})
	return err
}
