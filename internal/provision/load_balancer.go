package provision

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// balancing is what the load balancer's resources share.
type balancing struct {
	identity
	elb *elb.Client
}

// tagsOf lists the tags of things, by ARN.
func (b balancing) tagsOf(ctx context.Context, arns ...string) (map[string]map[string]string, error) {
	if tags, ok := b.allHinted(arns); ok {
		return tags, nil
	}
	out, err := b.elb.DescribeTags(ctx, &elb.DescribeTagsInput{ResourceArns: arns})
	if err != nil {
		return nil, fmt.Errorf("describe the tags of %s: %w", strings.Join(arns, ", "), err)
	}
	tags := map[string]map[string]string{}
	for _, d := range out.TagDescriptions {
		tags[aws.ToString(d.ResourceArn)] = readTags(d.Tags, func(t types.Tag) (*string, *string) { return t.Key, t.Value })
	}
	return tags, nil
}

func (b balancing) retag(ctx context.Context, arn, resource string) error {
	_, err := b.elb.AddTags(ctx, &elb.AddTagsInput{ResourceArns: []string{arn}, Tags: elbTags(b.tags(resource))})
	if err != nil {
		return fmt.Errorf("tag %s: %w", arn, err)
	}
	return nil
}

func elbTags(tags map[string]string) []types.Tag {
	return writeTags(tags, func(k, v *string) types.Tag { return types.Tag{Key: k, Value: v} })
}

// LoadBalancer is the application load balancer in front of the tasks.
type LoadBalancer struct {
	graph.Node
	balancing
	group     *SecurityGroup
	subnets   []*Subnet
	protected protection
	idle      int32 // seconds
	answers   atomic.Pointer[dnsName]
	seen      *cached[balancer]
}

// protection is whether deletion is to be protected against, and whether the run was
// told so: what was turned on by hand stays on, unless it was told otherwise.
type protection struct{ on, said bool }

// dnsName is where a load balancer answers, and the hosted zone of that name.
type dnsName struct{ name, zone string }

// balancer is a load balancer with its tags, or none.
type balancer struct {
	live *types.LoadBalancer
	tags map[string]string
}

func newLoadBalancer(b balancing, linked *ServiceLinkedRole, gateway *InternetGateway, group *SecurityGroup, protected protection, idle int32, subnets ...*Subnet) *LoadBalancer {
	// A load balancer that faces the internet is refused in a VPC without a
	// gateway.
	needs := []graph.Finder{linked, gateway, group}
	for _, s := range subnets {
		needs = append(needs, s)
	}
	return &LoadBalancer{
		Node: graph.Named("load-balancer", 20*time.Minute, needs...), balancing: b,
		group: group, subnets: subnets, protected: protected, idle: idle,
	}
}

// loadBalancerName is short, since it has 32 characters to fit into.
func (l *LoadBalancer) loadBalancerName() string { return l.names().LoadBalancer() }

// Expect returns the usual time until active.
func (l *LoadBalancer) Expect() time.Duration { return 150 * time.Second }

// DNSName returns the name that the load balancer answers to, or "" before it
// is known.
func (l *LoadBalancer) DNSName() string {
	if p := l.answers.Load(); p != nil {
		return p.name
	}
	return ""
}

// hostedZoneID is the zone of DNSName, which an alias to it needs.
func (l *LoadBalancer) hostedZoneID() string {
	if p := l.answers.Load(); p != nil {
		return p.zone
	}
	return ""
}

func (l *LoadBalancer) noteName(live *types.LoadBalancer) {
	l.answers.Store(&dnsName{aws.ToString(live.DNSName), aws.ToString(live.CanonicalHostedZoneId)})
}

// liveLoadBalancer is what drift compares.
type liveLoadBalancer struct {
	tags       map[string]string
	scheme     string
	addresses  string // of IP
	groups     []string
	subnets    []string
	attributes map[string]string
}

// Find looks the load balancer up by its name.
func (l *LoadBalancer) Find(ctx context.Context) (graph.State, error) {
	lb, tags, err := l.describe(ctx)
	if lb == nil || err != nil {
		return absent, err
	}
	arn := aws.ToString(lb.LoadBalancerArn)
	attributes, err := l.elb.DescribeLoadBalancerAttributes(ctx, &elb.DescribeLoadBalancerAttributesInput{LoadBalancerArn: &arn})
	if isCode(err, "LoadBalancerNotFound") {
		return absent, nil
	}
	if err != nil {
		return graph.State{}, fmt.Errorf("describe the attributes of load balancer %s: %w", l.loadBalancerName(), err)
	}
	live := liveLoadBalancer{
		tags: tags, scheme: string(lb.Scheme), addresses: string(lb.IpAddressType), groups: lb.SecurityGroups,
		attributes: readTags(attributes.Attributes, func(a types.LoadBalancerAttribute) (*string, *string) { return a.Key, a.Value }),
	}
	for _, z := range lb.AvailabilityZones {
		live.subnets = append(live.subnets, aws.ToString(z.SubnetId))
	}
	l.noteName(lb)
	st := graph.State{ID: arn, Owner: live.tags[TagStack], Phase: graph.Ready}
	want := l.wanted()
	if live.attributes[deletionProtection] == "true" && !l.protected.on && !l.protected.said {
		st.Kept = []graph.Change{{Field: deletionProtection, Have: "true", Want: "false", Refused: unprotecting}}
		want.attributes[deletionProtection] = "true"
	}
	st.Drift = loadBalancerDrift(live, want)
	if lb.State != nil {
		st.Note = strings.TrimSpace(string(lb.State.Code) + " " + aws.ToString(lb.State.Reason))
		switch lb.State.Code {
		case types.LoadBalancerStateEnumFailed:
			st.Phase = graph.Unrecoverable
		case types.LoadBalancerStateEnumProvisioning:
			st.Phase = graph.Pending
		}
	}
	return st, nil
}

// describe returns the load balancer with its tags, or nil.
func (l *LoadBalancer) describe(ctx context.Context) (*types.LoadBalancer, map[string]string, error) {
	if b, ok := l.seen.take(); ok {
		return b.live, b.tags, nil
	}
	live, err := l.lookup(ctx)
	if live == nil || err != nil {
		return nil, nil, err
	}
	arn := aws.ToString(live.LoadBalancerArn)
	tags, err := l.tagsOf(ctx, arn)
	if isCode(err, "LoadBalancerNotFound") {
		return nil, nil, nil
	}
	return live, tags[arn], err
}

// lookup returns the load balancer, or nil.
func (l *LoadBalancer) lookup(ctx context.Context) (*types.LoadBalancer, error) {
	out, err := l.elb.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{l.loadBalancerName()}})
	if isCode(err, "LoadBalancerNotFound") || err == nil && len(out.LoadBalancers) == 0 {
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

func (l *LoadBalancer) wanted() liveLoadBalancer {
	w := liveLoadBalancer{
		tags: l.tags(l.Name()), scheme: string(types.LoadBalancerSchemeEnumInternetFacing), groups: []string{l.group.ID()},
		addresses: string(types.IpAddressTypeIpv4),
		attributes: map[string]string{
			dropInvalidHeaders: "true",
			idleTimeout:        decimal(&l.idle), // bookapi keeps idle connections for longer than 60 s
			deletionProtection: strconv.FormatBool(l.protected.on),
		},
	}
	for _, s := range l.subnets {
		w.subnets = append(w.subnets, s.ID())
	}
	return w
}

// removable says why the load balancer must not be deleted, if it is the stack's.
func (l *LoadBalancer) removable(ctx context.Context) error {
	lb, tags, err := l.describe(ctx)
	if lb == nil || err != nil || tags[TagStack] != l.stack {
		return err
	}
	out, err := l.elb.DescribeLoadBalancerAttributes(ctx, &elb.DescribeLoadBalancerAttributesInput{LoadBalancerArn: lb.LoadBalancerArn})
	if isCode(err, "LoadBalancerNotFound") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("describe the attributes of load balancer %s: %w", l.loadBalancerName(), err)
	}
	for _, a := range out.Attributes {
		if aws.ToString(a.Key) == deletionProtection && aws.ToString(a.Value) == "true" {
			return protected("load balancer " + l.loadBalancerName())
		}
	}
	return nil
}

func loadBalancerDrift(live, want liveLoadBalancer) []graph.Change {
	out := tagDrift(live.tags, want.tags)
	if live.scheme != want.scheme {
		out = append(out, graph.Change{Field: "scheme", Have: live.scheme, Want: want.scheme, Refused: "a load balancer keeps its scheme"})
	}
	if live.addresses != want.addresses && live.addresses != "" {
		out = append(out, graph.Change{Field: "address-type", Have: live.addresses, Want: want.addresses})
	}
	out = append(out, setDrift("security-groups", live.groups, want.groups)...)
	out = append(out, setDrift("subnets", live.subnets, want.subnets)...)
	out = append(out, attributeDrift(live.attributes, want.attributes)...)
	out = append(out, defaultDrift(live.attributes, balancerDefaults)...)
	sortChanges(out)
	return out
}

// setDrift compares lists whose order means nothing.
func setDrift(field string, have, want []string) []graph.Change {
	have, want = slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(want))
	if slices.Equal(have, want) {
		return nil
	}
	return []graph.Change{{Field: field, Have: strings.Join(have, " "), Want: strings.Join(want, " ")}}
}

// attributeDrift compares the attributes that we set, and no others.
func attributeDrift(have, want map[string]string) []graph.Change {
	var out []graph.Change
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if have[k] != want[k] {
			out = append(out, graph.Change{Field: k, Have: have[k], Want: want[k]})
		}
	}
	return out
}

// defaultDrift compares attributes that stay as AWS sets them, where they are
// reported: regions and emulators learn of new ones at different times.
func defaultDrift(have, defaults map[string]string) []graph.Change {
	var out []graph.Change
	for _, k := range slices.Sorted(maps.Keys(defaults)) {
		if v, said := have[k]; said && v != "" && v != defaults[k] {
			out = append(out, graph.Change{Field: k, Have: v, Want: defaults[k]})
		}
	}
	return out
}

// Create makes the load balancer with AWS's own attributes. The call is
// idempotent by name:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
func (l *LoadBalancer) Create(ctx context.Context) (string, error) {
	want := l.wanted()
	out, err := l.elb.CreateLoadBalancer(ctx, &elb.CreateLoadBalancerInput{
		Name: aws.String(l.loadBalancerName()), Type: types.LoadBalancerTypeEnumApplication, Scheme: types.LoadBalancerSchemeEnumInternetFacing,
		SecurityGroups: want.groups, Subnets: want.subnets, Tags: elbTags(l.newTags(l.Name(), byListener)),
	})
	if err != nil {
		return "", fmt.Errorf("create load balancer %s: %w", l.loadBalancerName(), err)
	}
	l.noteName(&out.LoadBalancers[0])
	return aws.ToString(out.LoadBalancers[0].LoadBalancerArn), nil
}

// Update repairs tags, groups, subnets and attributes.
func (l *LoadBalancer) Update(ctx context.Context, changes []graph.Change) error {
	arn, want := aws.String(l.ID()), l.wanted()
	fail := func(what string, err error) error {
		return fmt.Errorf("set the %s of load balancer %s: %w", what, l.loadBalancerName(), err)
	}
	if hasTagDrift(changes) {
		if err := l.retag(ctx, l.ID(), l.Name()); err != nil {
			return err
		}
	}
	if hasField(changes, "security-groups") {
		if _, err := l.elb.SetSecurityGroups(ctx, &elb.SetSecurityGroupsInput{LoadBalancerArn: arn, SecurityGroups: want.groups}); err != nil {
			return fail("security groups", err)
		}
	}
	if hasField(changes, "subnets") {
		if _, err := l.elb.SetSubnets(ctx, &elb.SetSubnetsInput{LoadBalancerArn: arn, Subnets: want.subnets}); err != nil {
			return fail("subnets", err)
		}
	}
	if hasField(changes, "address-type") {
		if _, err := l.elb.SetIpAddressType(ctx, &elb.SetIpAddressTypeInput{LoadBalancerArn: arn, IpAddressType: types.IpAddressTypeIpv4}); err != nil {
			return fail("address type", err)
		}
	}
	var set []types.LoadBalancerAttribute
	for _, attributes := range []map[string]string{want.attributes, balancerDefaults} {
		for _, k := range slices.Sorted(maps.Keys(attributes)) {
			if hasField(changes, k) {
				set = append(set, types.LoadBalancerAttribute{Key: &k, Value: aws.String(attributes[k])})
			}
		}
	}
	if set == nil {
		return nil
	}
	if _, err := l.elb.ModifyLoadBalancerAttributes(ctx, &elb.ModifyLoadBalancerAttributesInput{LoadBalancerArn: arn, Attributes: set}); err != nil {
		return fail("attributes", err)
	}
	return nil
}

// Delete removes the load balancer with its listeners.
func (l *LoadBalancer) Delete(ctx context.Context) error {
	_, err := l.elb.DeleteLoadBalancer(ctx, &elb.DeleteLoadBalancerInput{LoadBalancerArn: aws.String(l.ID())})
	if err != nil && !isCode(err, "LoadBalancerNotFound") {
		return fmt.Errorf("delete load balancer %s: %w", l.loadBalancerName(), err)
	}
	return nil
}

// kind is a kind of thing in load balancing. Named lists the ARNs of those whose
// names begin as the stack's do; their tags say whether they are the stack's.
func (b balancing) kind(name string, named func(context.Context) ([]string, error), remove func(ctx context.Context, arn *string) error) inventory.Kind {
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
				if isCode(err, "LoadBalancerNotFound", "TargetGroupNotFound") {
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
func (b balancing) loadBalancerKind() inventory.Kind {
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
