package provision

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// VPC is the stack's network, with DNS names switched on: the database's
// endpoint is one. What it came with is kept as AWS makes it: its default network
// ACL, and the DHCP options that name Amazon's resolver.
type VPC struct {
	graph.Node
	network
	cidr  string
	made  string // in this run
	found atomic.Pointer[string]
	// clean says that the last look at its ACL and its DHCP options found nothing to
	// repair: one is enough.
	clean atomic.Bool
	// acl is the default network ACL, and resolving a set of DHCP options that names
	// Amazon's resolver, where such were seen.
	acl, resolving atomic.Pointer[string]
}

func newVPC(n network, cidr string) *VPC {
	return &VPC{Node: graph.Named("vpc", 5*time.Minute), network: n, cidr: cidr}
}

// liveVPC is what drift compares.
type liveVPC struct {
	tags                    map[string]string
	cidr                    string
	dnsSupport, dnsHostname bool
	blocked                 string            // how the account keeps the internet out; "" for not
	resolvers               string            // as its DHCP options name them
	acl                     *types.NetworkAcl // the default one
}

// Find looks the VPC up by its tags.
func (v *VPC) Find(ctx context.Context) (graph.State, error) {
	out, err := v.ec2.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: v.owned(v.Name())})
	if err != nil {
		return graph.State{}, fmt.Errorf("describe VPCs: %w", err)
	}
	vpc, bare, err := oneOf("VPCs", v.made, out.Vpcs, func(x types.Vpc) string { return aws.ToString(x.VpcId) },
		func(x types.Vpc) (bool, error) { return v.inhabited(ctx, x.VpcId) })
	if vpc == nil || err != nil {
		return absent, err
	}
	id := aws.ToString(vpc.VpcId)
	live := liveVPC{tags: tagMap(vpc.Tags), cidr: aws.ToString(vpc.CidrBlock)}
	if live.dnsSupport, err = v.attribute(ctx, id, types.VpcAttributeNameEnableDnsSupport); err != nil {
		return graph.State{}, err
	}
	if live.dnsHostname, err = v.attribute(ctx, id, types.VpcAttributeNameEnableDnsHostnames); err != nil {
		return graph.State{}, err
	}
	v.found.Store(&id)
	if b := vpc.BlockPublicAccessStates; b != nil && b.InternetGatewayBlockMode != types.BlockPublicAccessModeOff {
		live.blocked = string(b.InternetGatewayBlockMode)
	}
	live.resolvers = amazonResolver
	if !v.clean.Load() {
		if err := v.surroundings(ctx, vpc, &live); err != nil {
			return graph.State{}, err
		}
	}
	st := graph.State{Phase: graph.Ready, ID: id, Owner: live.tags[TagStack], Note: string(vpc.State)}
	if vpc.State == types.VpcStatePending {
		st.Phase = graph.Pending
	}
	st.Drift = append(vpcDrift(live, v.cidr, v.tags(v.Name())), duplicates(bare)...)
	return st, nil
}

// amazonResolver is how DHCP options name the resolver of the VPC itself, by which
// tasks find the database, and AWS.
// https://docs.aws.amazon.com/vpc/latest/userguide/DHCPOptionSetConcepts.html
const amazonResolver = "AmazonProvidedDNS"

// surroundings looks at what a VPC comes with.
func (v *VPC) surroundings(ctx context.Context, vpc *types.Vpc, live *liveVPC) error {
	all, err := v.acls.look(ctx, v.Name())
	if err != nil {
		return err
	}
	if live.acl = defaultACL(all); live.acl != nil {
		v.acl.Store(live.acl.NetworkAclId)
	}
	out, err := v.ec2.DescribeDhcpOptions(ctx, &ec2.DescribeDhcpOptionsInput{})
	if err != nil {
		return fmt.Errorf("describe the DHCP options of %s: %w", aws.ToString(vpc.VpcId), err)
	}
	for _, d := range out.DhcpOptions {
		resolvers := resolversOf(d)
		if resolvers == amazonResolver {
			v.resolving.Store(d.DhcpOptionsId)
		}
		if aws.ToString(d.DhcpOptionsId) == aws.ToString(vpc.DhcpOptionsId) {
			live.resolvers = resolvers
		}
	}
	if aws.ToString(vpc.DhcpOptionsId) == noDHCPOptions && len(out.DhcpOptions) > 0 {
		live.resolvers = "no DHCP options"
	}
	v.clean.Store(live.resolvers == amazonResolver && len(aclDrift(live.acl)) == 0)
	return nil
}

// noDHCPOptions is what a VPC without a set of them shows.
const noDHCPOptions = "default"

func resolversOf(d types.DhcpOptions) string {
	var out []string
	for _, c := range d.DhcpConfigurations {
		if aws.ToString(c.Key) != "domain-name-servers" {
			continue
		}
		for _, value := range c.Values {
			out = append(out, aws.ToString(value.Value))
		}
	}
	return strings.Join(out, ", ")
}

// inhabited says whether a VPC has a subnet or a way out.
func (v *VPC) inhabited(ctx context.Context, id *string) (bool, error) {
	subnets, err := v.ec2.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: []types.Filter{{Name: aws.String("vpc-id"), Values: []string{*id}}}})
	if err != nil {
		return false, fmt.Errorf("describe the subnets of %s: %w", *id, err)
	}
	gateways, err := v.ec2.DescribeInternetGateways(ctx, &ec2.DescribeInternetGatewaysInput{
		Filters: []types.Filter{{Name: aws.String("attachment.vpc-id"), Values: []string{*id}}},
	})
	if err != nil {
		return false, fmt.Errorf("describe the internet gateways of %s: %w", *id, err)
	}
	return len(subnets.Subnets)+len(gateways.InternetGateways) > 0, nil
}

func (v *VPC) attribute(ctx context.Context, id string, name types.VpcAttributeName) (bool, error) {
	out, err := v.ec2.DescribeVpcAttribute(ctx, &ec2.DescribeVpcAttributeInput{VpcId: &id, Attribute: name})
	if err != nil {
		return false, fmt.Errorf("describe %s of %s: %w", name, id, err)
	}
	for _, a := range []*types.AttributeBooleanValue{out.EnableDnsSupport, out.EnableDnsHostnames} {
		if a != nil && aws.ToBool(a.Value) {
			return true, nil
		}
	}
	return false, nil
}

func vpcDrift(live liveVPC, cidr string, tags map[string]string) []graph.Change {
	out := tagDrift(live.tags, tags)
	if live.cidr != cidr {
		out = append(out, graph.Change{Field: "cidr", Have: live.cidr, Want: cidr, Refused: "the range of a VPC is fixed"})
	}
	for field, have := range map[string]bool{"dns-support": live.dnsSupport, "dns-hostnames": live.dnsHostname} {
		if !have {
			out = append(out, graph.Change{Field: field, Have: strconv.FormatBool(have), Want: "true"})
		}
	}
	if live.resolvers != amazonResolver {
		out = append(out, graph.Change{Field: "dhcp-resolver", Have: live.resolvers, Want: amazonResolver})
	}
	if live.blocked != "" {
		out = append(out, graph.Change{
			Field: "public-access", Have: live.blocked, Want: "off",
			Refused: "VPC Block Public Access of this account and region keeps the internet out: whoever manages the account can exclude this VPC from it",
		})
	}
	out = append(out, aclDrift(live.acl)...)
	sortChanges(out)
	return out
}

// Create makes the VPC. CreateVpc takes no client token and has no natural
// key, so its client must not retry a lost answer: the engine looks it up by
// tag first.
func (v *VPC) Create(ctx context.Context) (string, error) {
	out, err := v.ec2.CreateVpc(ctx, &ec2.CreateVpcInput{
		CidrBlock:         &v.cidr,
		TagSpecifications: v.onCreate(types.ResourceTypeVpc, v.Name()),
	}, throttlesOnly)
	if err != nil {
		return "", fmt.Errorf("create VPC: %w", err)
	}
	v.made = aws.ToString(out.Vpc.VpcId)
	return v.made, nil
}

// Update repairs tags and DNS attributes, and removes a second VPC. ModifyVpcAttribute takes one attribute
// a call.
func (v *VPC) Update(ctx context.Context, changes []graph.Change) error {
	id, yes := v.ID(), &types.AttributeBooleanValue{Value: aws.Bool(true)}
	err := removeDuplicates(changes, &v.made, func(other *string) error {
		_, err := v.ec2.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: other})
		return err
	})
	if err != nil {
		return err
	}
	if hasTagDrift(changes) {
		if err := v.retag(ctx, id, v.Name()); err != nil {
			return err
		}
	}
	if hasField(changes, "dns-support") {
		if _, err := v.ec2.ModifyVpcAttribute(ctx, &ec2.ModifyVpcAttributeInput{VpcId: &id, EnableDnsSupport: yes}); err != nil {
			return fmt.Errorf("enable DNS support of %s: %w", id, err)
		}
	}
	if hasField(changes, "dns-hostnames") {
		if _, err := v.ec2.ModifyVpcAttribute(ctx, &ec2.ModifyVpcAttributeInput{VpcId: &id, EnableDnsHostnames: yes}); err != nil {
			return fmt.Errorf("enable DNS hostnames of %s: %w", id, err)
		}
	}
	return v.mendSurroundings(ctx, changes)
}

// mendSurroundings gives the VPC DHCP options that name Amazon's resolver, and opens
// its default network ACL.
func (v *VPC) mendSurroundings(ctx context.Context, changes []graph.Change) error {
	if hasField(changes, "dhcp-resolver") {
		set := v.resolving.Load()
		if set == nil {
			return hint.With(fmt.Errorf("%s has DHCP options that name another resolver than %s, and the account has no set that names it", v.ID(), amazonResolver),
				"make one: %s", hint.AWS("ec2", "create-dhcp-options", "--dhcp-configurations", "Key=domain-name-servers,Values="+amazonResolver))
		}
		if _, err := v.ec2.AssociateDhcpOptions(ctx, &ec2.AssociateDhcpOptionsInput{VpcId: aws.String(v.ID()), DhcpOptionsId: set}); err != nil {
			return fmt.Errorf("give %s the DHCP options %s: %w", v.ID(), *set, err)
		}
	}
	if acl := v.acl.Load(); acl != nil {
		return v.openACL(ctx, *acl, changes)
	}
	return nil
}

// Delete removes the VPC; its default group, table and ACL go with it.
func (v *VPC) Delete(ctx context.Context) error {
	if _, err := v.ec2.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: aws.String(v.ID())}); err != nil && !notFound(err) {
		return fmt.Errorf("delete %s: %w", v.ID(), err)
	}
	return nil
}

// vpcKind lists and deletes the stack's VPCs.
func (n network) vpcKind() inventory.Kind {
	return n.kind("vpc", "VPCs", func(ctx context.Context) ([]*string, error) {
		out, err := n.ec2.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: n.all()})
		if err != nil {
			return nil, err
		}
		return collect(out.Vpcs, func(x types.Vpc) *string { return x.VpcId }), nil
	}, func(ctx context.Context, id *string) error {
		_, err := n.ec2.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: id})
		return err
	})
}
