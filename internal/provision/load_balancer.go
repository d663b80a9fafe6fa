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

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

func (b elbAccess) retag(ctx context.Context, arn, resource string, changes []graph.Change) error {
	if drop := b.toDrop(resource, changes); drop != nil {
		if _, err := b.elb.RemoveTags(ctx, &elb.RemoveTagsInput{ResourceArns: []string{arn}, TagKeys: drop}); err != nil {
			return fmt.Errorf("untag %s: %w", arn, err)
		}
	}
	_, err := b.elb.AddTags(ctx, &elb.AddTagsInput{ResourceArns: []string{arn}, Tags: toELBTags(b.tags(resource))})
	if err != nil {
		return fmt.Errorf("tag %s: %w", arn, err)
	}
	return nil
}

// LoadBalancer is the application load balancer in front of the tasks.
type LoadBalancer struct {
	graph.NodeOf[*liveLoadBalancer]
	elbAccess
	group     *SecurityGroup
	subnets   []anySubnet
	protected protection
	idle      int32 // seconds
	// serving is where there are tasks; nil where the subnets are the stack's own, which stay.
	serving func(context.Context) (serving, error)
	refused refusals // of its deletion, because something else uses it
}

// protection is whether deletion is to be protected against, and whether the run was
// given that: what was turned on by hand stays on, unless it was given otherwise.
type protection struct{ on, given bool }

// balancer is a load balancer with its tags, or none.
type balancer struct {
	live *types.LoadBalancer
	tags map[string]string
}

// loadBalancerNeeds are the resources that a load balancer is created from.
type loadBalancerNeeds struct {
	linked  *ServiceLinkedRole
	gateway graph.Finder
	group   *SecurityGroup
	subnets []anySubnet
}

func newLoadBalancer(b elbAccess, needs loadBalancerNeeds, protected protection, idle int32) *LoadBalancer {
	// A load balancer that faces the internet is refused in a VPC without a
	// gateway.
	first := []graph.Finder{needs.linked, needs.gateway, needs.group}
	for _, s := range needs.subnets {
		first = append(first, s)
	}
	l := &LoadBalancer{elbAccess: b, group: needs.group, subnets: needs.subnets, protected: protected, idle: idle}
	l.NodeOf = graph.Of(l, "load-balancer", 20*time.Minute, first...)
	return l
}

// loadBalancerName is short, since it has 32 characters to fit into.
func (l *LoadBalancer) loadBalancerName() string { return l.names().LoadBalancer() }

// Expect returns the usual time until active.
func (l *LoadBalancer) Expect() time.Duration { return 165 * time.Second }

// DNSName returns the name that the load balancer answers to, or "" before it
// is known.
func (l *LoadBalancer) DNSName() string {
	if live := l.Last(); live != nil {
		return live.dnsName
	}
	return ""
}

// hostedZoneID is the zone of DNSName, which an alias to it needs.
func (l *LoadBalancer) hostedZoneID() string {
	if live := l.Last(); live != nil {
		return live.zone
	}
	return ""
}

// liveLoadBalancer is a load balancer as far as it is compared and used.
type liveLoadBalancer struct {
	// dnsName is where it answers, and zone the hosted zone of that name.
	dnsName, zone string

	tags       map[string]string
	scheme     string
	addresses  string // of IP
	groups     []string
	subnets    []string
	attributes map[string]string
	// former are those of the subnets that are not wanted and keep a zone enabled in which
	// tasks still serve. The service gives them up when it has done with those tasks.
	former []string
}

// Read looks the load balancer up by its name.
func (l *LoadBalancer) Read(ctx context.Context) (*liveLoadBalancer, graph.State, error) {
	found, err := l.describe(ctx)
	lb, tags := found.live, found.tags
	if lb == nil || err != nil {
		return nil, absent, err
	}
	arn := aws.ToString(lb.LoadBalancerArn)
	if last := l.Last(); l.stillProvisioning(lb) {
		return last, graph.State{ID: arn, Owner: last.tags[TagStack], Phase: graph.Pending, Note: string(lb.State.Code)}, nil
	}
	live, st := answeringAt(lb), graph.State{ID: arn, Owner: tags[TagStack], Phase: graph.Ready}
	live.tags, live.scheme, live.addresses, live.groups = tags, string(lb.Scheme), string(lb.IpAddressType), lb.SecurityGroups
	if l.destroying {
		return live, st, nil
	}
	if live.attributes, err = l.readAttributes(ctx, &arn); live.attributes == nil || err != nil {
		return nil, absent, err
	}
	for _, z := range lb.AvailabilityZones {
		live.subnets = append(live.subnets, aws.ToString(z.SubnetId))
	}
	if live.former, err = l.formerSubnets(ctx, lb.AvailabilityZones); err != nil {
		return nil, graph.State{}, err
	}
	if lb.State != nil {
		st.Note = strings.TrimSpace(string(lb.State.Code) + " " + aws.ToString(lb.State.Reason))
		switch lb.State.Code {
		case types.LoadBalancerStateEnumFailed:
			st.Phase = graph.Unrecoverable
		case types.LoadBalancerStateEnumProvisioning:
			st.Phase = graph.Pending
		}
	}
	return live, st, nil
}

// formerSubnets finds liveLoadBalancer.former. A load balancer sends no requests to a target in
// a zone that is not enabled for it, and has one subnet in each that is.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-subnets.html
func (l *LoadBalancer) formerSubnets(ctx context.Context, zones []types.AvailabilityZone) ([]string, error) {
	if l.serving == nil {
		return nil, nil
	}
	wanted := func(z types.AvailabilityZone) bool {
		return slices.ContainsFunc(l.subnets, func(s anySubnet) bool {
			live := s.Last()
			return s.ID() == aws.ToString(z.SubnetId) || live != nil && live.zone == aws.ToString(z.ZoneName)
		})
	}
	zones = slices.DeleteFunc(slices.Clone(zones), wanted)
	if len(zones) == 0 {
		return nil, nil
	}
	now, err := l.serving(ctx)
	if err != nil {
		return nil, err
	}
	zones = slices.DeleteFunc(zones, func(z types.AvailabilityZone) bool {
		return !slices.ContainsFunc(now.ranges, func(r SubnetInfo) bool { return r.Zone == aws.ToString(z.ZoneName) })
	})
	return mapped(zones, func(z types.AvailabilityZone) string { return aws.ToString(z.SubnetId) }), nil
}

// formerLast are the liveLoadBalancer.former that were last read.
func (l *LoadBalancer) formerLast() []string {
	if live := l.Last(); live != nil {
		return live.former
	}
	return nil
}

// leaveFormer gives up the subnets of tasks that are gone.
func (l *LoadBalancer) leaveFormer(ctx context.Context) error {
	if len(l.formerLast()) == 0 {
		return nil
	}
	live := *l.Last()
	live.former = nil
	live.subnets = l.Wanted(nil).subnets
	if err := l.putSubnets(ctx, live.subnets); err != nil {
		return err
	}
	l.Learn(&live)
	return nil
}

// readAttributes returns the attributes; nil is for a load balancer that is gone.
func (l *LoadBalancer) readAttributes(ctx context.Context, arn *string) (map[string]string, error) {
	out, err := l.elb.DescribeLoadBalancerAttributes(ctx, &elb.DescribeLoadBalancerAttributesInput{LoadBalancerArn: arn})
	if IsCode(err, "LoadBalancerNotFound") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe the attributes of load balancer %s: %w", l.loadBalancerName(), err)
	}
	return toMap(out.Attributes, func(a types.LoadBalancerAttribute) (*string, *string) { return a.Key, a.Value }), nil
}

// stillProvisioning reports whether a load balancer, all of which was read before, is on its
// way still. Until it is active no more is asked of it than that.
func (l *LoadBalancer) stillProvisioning(lb *types.LoadBalancer) bool {
	last := l.Last()
	return last != nil && last.attributes != nil && aws.ToString(lb.LoadBalancerArn) == l.ID() &&
		lb.State != nil && lb.State.Code == types.LoadBalancerStateEnumProvisioning
}

func answeringAt(lb *types.LoadBalancer) *liveLoadBalancer {
	return &liveLoadBalancer{dnsName: aws.ToString(lb.DNSName), zone: aws.ToString(lb.CanonicalHostedZoneId)}
}

// describe returns the load balancer with its tags, or none.
func (l *LoadBalancer) describe(ctx context.Context) (balancer, error) {
	if graph.Observing(ctx) {
		all, err := l.all(ctx)
		return balancer{all.balancer, all.balancerTags()}, err
	}
	live, err := l.lookup(ctx)
	if live == nil || err != nil {
		return balancer{}, err
	}
	if l.stillProvisioning(live) {
		return balancer{live, l.Last().tags}, nil
	}
	arn := aws.ToString(live.LoadBalancerArn)
	tags, err := l.tagsOf(ctx, arn)
	if IsCode(err, "LoadBalancerNotFound") {
		return balancer{}, nil
	}
	return balancer{live, tags[arn]}, err
}

// lookup returns the load balancer, or nil.
func (l *LoadBalancer) lookup(ctx context.Context) (*types.LoadBalancer, error) {
	out, err := l.elb.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{l.loadBalancerName()}})
	if IsCode(err, "LoadBalancerNotFound") || err == nil && len(out.LoadBalancers) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe load balancer %s: %w", l.loadBalancerName(), err)
	}
	return &out.LoadBalancers[0], nil
}

// Attributes of load balancers:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html
const (
	dropInvalidHeaders = "routing.http.drop_invalid_header_fields.enabled"
	idleTimeout        = "idle_timeout.timeout_seconds"
	deletionProtection = "deletion_protection.enabled"
)

// balancerDefaults are the attributes that decide what reaches the tasks, and stay as
// AWS sets them.
var balancerDefaults = map[string]string{
	"client_keep_alive.seconds":                                "3600",
	"ipv6.deny_all_igw_traffic":                                "false",
	"load_balancing.cross_zone.enabled":                        "true",
	"routing.http.desync_mitigation_mode":                      "defensive",
	"routing.http.preserve_host_header.enabled":                "false",
	"routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
	"routing.http.xff_client_port.enabled":                     "false",
	"routing.http.xff_header_processing.mode":                  "append",
	"routing.http2.enabled":                                    "true",
	"waf.fail_open.enabled":                                    "false",
	"zonal_shift.config.enabled":                               "false",
}

// Wanted implements graph.Shape.
func (l *LoadBalancer) Wanted(live *liveLoadBalancer) *liveLoadBalancer {
	w := &liveLoadBalancer{
		tags: l.tags(l.Name()), scheme: string(types.LoadBalancerSchemeEnumInternetFacing), groups: []string{l.group.ID()},
		addresses: string(types.IpAddressTypeIpv4), attributes: maps.Clone(balancerDefaults),
	}
	w.attributes[dropInvalidHeaders] = "true"
	w.attributes[idleTimeout] = decimal(&l.idle) // bookapi keeps idle connections for longer than 60 s
	w.attributes[deletionProtection] = strconv.FormatBool(l.protected.on)
	for _, s := range l.subnets {
		w.subnets = append(w.subnets, s.ID())
	}
	if live != nil {
		w.subnets = append(w.subnets, live.former...)
	}
	return w
}

// Attributes implements graph.Shape.
func (l *LoadBalancer) Attributes() graph.Attributes[*liveLoadBalancer] {
	set := graph.Requesting(func() *elb.ModifyLoadBalancerAttributesInput {
		return &elb.ModifyLoadBalancerAttributesInput{LoadBalancerArn: aws.String(l.ID())}
	}, l.setAttributes)
	attribute := func(key string) graph.Attribute[*liveLoadBalancer] {
		return graph.Field(key, func(l *liveLoadBalancer) string { return l.attributes[key] }, set.PutWanted(func(in *elb.ModifyLoadBalancerAttributesInput, c graph.Change) {
			in.Attributes = append(in.Attributes, types.LoadBalancerAttribute{Key: &key, Value: &c.Want})
		}))
	}
	out := graph.Attributes[*liveLoadBalancer]{
		tagAttribute(func(l *liveLoadBalancer) map[string]string { return l.tags }, graph.SetBy(func(ctx context.Context, changes []graph.Change) error {
			return l.retag(ctx, l.ID(), l.Name(), changes)
		})),
		graph.Field("security-groups", func(l *liveLoadBalancer) string { return inAnyOrder(l.groups) }, graph.SetBy(l.setGroups)),
		graph.Field("subnets", func(l *liveLoadBalancer) string { return inAnyOrder(l.subnets) }, graph.SetBy(l.setSubnets)),
		graph.Field("address-type", func(l *liveLoadBalancer) string { return l.addresses }, graph.SetBy(l.setAddressType)).
			When(func(live, _ *liveLoadBalancer) bool { return live.addresses != "" }),
		graph.Field("scheme", func(l *liveLoadBalancer) string { return l.scheme }, graph.Fixed("a load balancer keeps its scheme")),
		attribute(deletionProtection).Retain(func(live, want *liveLoadBalancer) string {
			if live.attributes[deletionProtection] == "true" && !l.protected.on && !l.protected.given {
				return unprotecting
			}
			return ""
		}),
		attribute(idleTimeout),
		attribute(dropInvalidHeaders),
	}
	for _, key := range slices.Sorted(maps.Keys(balancerDefaults)) {
		out = append(out, attribute(key).When(func(live, _ *liveLoadBalancer) bool { return live.attributes[key] != "" }))
	}
	return out
}

// removable returns the reason why the load balancer must not be deleted, if it is the stack's.
func (l *LoadBalancer) removable(ctx context.Context, b balancer) error {
	if b.live == nil || b.tags[TagStack] != l.stack {
		return nil
	}
	attributes, err := l.readAttributes(ctx, b.live.LoadBalancerArn)
	if err == nil && attributes[deletionProtection] == "true" {
		return protected("load balancer " + l.loadBalancerName())
	}
	return err
}

// Create creates the load balancer with AWS's own attributes. The call is
// idempotent by name:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
func (l *LoadBalancer) Create(ctx context.Context) (string, error) {
	want, tags := l.Wanted(nil), l.newTags(l.Name(), byListener)
	out, err := l.elb.CreateLoadBalancer(ctx, &elb.CreateLoadBalancerInput{
		Name: aws.String(l.loadBalancerName()), Type: types.LoadBalancerTypeEnumApplication, Scheme: types.LoadBalancerSchemeEnumInternetFacing,
		SecurityGroups: want.groups, Subnets: want.subnets, Tags: toELBTags(tags),
	})
	if err != nil {
		return "", fmt.Errorf("create load balancer %s: %w", l.loadBalancerName(), err)
	}
	made := &out.LoadBalancers[0]
	arn := aws.ToString(made.LoadBalancerArn)
	l.rememberTags(arn, tags)
	live := answeringAt(made)
	if _, ours := l.hinted(&arn); !ours || made.State == nil || made.State.Code != types.LoadBalancerStateEnumProvisioning {
		l.Learn(live)
		return arn, nil
	}
	// Until it is active no more need be known than that it is on its way.
	live.tags, live.scheme, live.groups, live.subnets, live.attributes = tags, want.scheme, want.groups, want.subnets, balancerDefaults
	l.Answer(live, graph.State{Phase: graph.Pending, Owner: l.stack, Note: string(made.State.Code)})
	return arn, nil
}

func (l *LoadBalancer) failed(what string, err error) error {
	return fmt.Errorf("set the %s of load balancer %s: %w", what, l.loadBalancerName(), err)
}

func (l *LoadBalancer) setGroups(ctx context.Context, _ []graph.Change) error {
	in := &elb.SetSecurityGroupsInput{LoadBalancerArn: aws.String(l.ID()), SecurityGroups: l.Wanted(nil).groups}
	if _, err := l.elb.SetSecurityGroups(ctx, in); err != nil {
		return l.failed("security groups", err)
	}
	return nil
}

func (l *LoadBalancer) setSubnets(ctx context.Context, _ []graph.Change) error {
	return l.putSubnets(ctx, l.Wanted(l.Last()).subnets)
}

func (l *LoadBalancer) putSubnets(ctx context.Context, subnets []string) error {
	if _, err := l.elb.SetSubnets(ctx, &elb.SetSubnetsInput{LoadBalancerArn: aws.String(l.ID()), Subnets: subnets}); err != nil {
		return l.failed("subnets", err)
	}
	return nil
}

func (l *LoadBalancer) setAddressType(ctx context.Context, _ []graph.Change) error {
	in := &elb.SetIpAddressTypeInput{LoadBalancerArn: aws.String(l.ID()), IpAddressType: types.IpAddressTypeIpv4}
	if _, err := l.elb.SetIpAddressType(ctx, in); err != nil {
		return l.failed("address type", err)
	}
	return nil
}

func (l *LoadBalancer) setAttributes(ctx context.Context, in *elb.ModifyLoadBalancerAttributesInput, _ []graph.Change) error {
	if _, err := l.elb.ModifyLoadBalancerAttributes(ctx, in); err != nil {
		return l.failed("attributes", err)
	}
	return nil
}

// UpdatesSynchronously implements graph.UpdatesSynchronously.
func (l *LoadBalancer) UpdatesSynchronously(changes []graph.Change) bool {
	return !slices.ContainsFunc(changes, func(c graph.Change) bool {
		_, other := balancerDefaults[c.Field]
		return !other && !slices.Contains([]string{deletionProtection, idleTimeout, dropInvalidHeaders}, c.Field)
	})
}

// usedElsewhere are words of ELB's refusal to delete a load balancer that something outside of
// load balancing uses, such as a VPC link of API Gateway.
// https://github.com/ExpediaGroup/apiary-data-lake/issues/85
const usedElsewhere = "currently associated with another service"

// longestUseElsewhere is how long that may last after its user was deleted.
const longestUseElsewhere = 2 * time.Minute

// Delete deletes the load balancer with its listeners.
func (l *LoadBalancer) Delete(ctx context.Context) error {
	_, err := l.elb.DeleteLoadBalancer(ctx, &elb.DeleteLoadBalancerInput{LoadBalancerArn: aws.String(l.ID())})
	if says(err, "ResourceInUse", usedElsewhere) && l.refused.lasts(longestUseElsewhere) {
		return hint.With(fmt.Errorf("delete load balancer %s: %s", l.loadBalancerName(), err.Error()),
			"remove the VPC link, endpoint service or target group of a network load balancer that uses it; then run the same command again")
	}
	if err != nil && !IsCode(err, "LoadBalancerNotFound") {
		return fmt.Errorf("delete load balancer %s: %w", l.loadBalancerName(), err)
	}
	return nil
}

// DeletesSynchronously implements graph.DeletesSynchronously. Its network interfaces stay for
// longer, and what they hold waits for them.
func (l *LoadBalancer) DeletesSynchronously() {}

// kind is a kind of resource in load balancing. Named lists the ARNs of those whose
// names begin as the stack's do; their tags say whether they are the stack's.
func (b elbAccess) kind(name string, named func(context.Context) ([]string, error), remove func(ctx context.Context, arn *string) error) inventory.Kind {
	return inventory.Kind{
		Service: "elasticloadbalancing", Type: name,
		List: func(ctx context.Context) ([]inventory.Item, error) {
			arns, err := named(ctx)
			if err != nil {
				return nil, fmt.Errorf("list the %ss: %w", name, err)
			}
			var out []inventory.Item
			for _, arn := range arns {
				tags, err := b.tagsOf(ctx, arn)
				if IsCode(err, "LoadBalancerNotFound", "TargetGroupNotFound") {
					continue
				}
				if err != nil {
					return out, err
				}
				if tags[arn][TagStack] == b.stack {
					out = append(out, inventory.Item{ID: arn})
				}
			}
			return out, nil
		},
		Delete: func(ctx context.Context, id string) error { return remove(ctx, &id) },
	}
}

// loadBalancerKind lists and deletes the stack's load balancers.
func (b elbAccess) loadBalancerKind() inventory.Kind {
	return b.kind("load balancer", func(ctx context.Context) (arns []string, err error) {
		pages := elb.NewDescribeLoadBalancersPaginator(b.elb, &elb.DescribeLoadBalancersInput{})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			for _, x := range page.LoadBalancers {
				if strings.HasPrefix(aws.ToString(x.LoadBalancerName), b.names().Of("")) {
					arns = append(arns, aws.ToString(x.LoadBalancerArn))
				}
			}
		}
		return arns, nil
	}, func(ctx context.Context, arn *string) error {
		_, err := b.elb.DeleteLoadBalancer(ctx, &elb.DeleteLoadBalancerInput{LoadBalancerArn: arn})
		return err
	})
}
