package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"
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
	graph.NodeOf[*liveVPC]
	ec2Access
	cidr      string
	createdID string // in this run
}

func newVPC(n ec2Access, cidr string) *VPC {
	v := &VPC{ec2Access: n, cidr: cidr}
	v.NodeOf = graph.Of(v, "vpc", 5*time.Minute)
	return v
}

// liveVPC is a VPC as far as it is compared.
type liveVPC struct {
	tags                    map[string]string
	cidr                    string
	dnsSupport, dnsHostname bool
	blocked                 string // how the account keeps the internet out
	around                  surroundings
	duplicates              []string // the ids of other VPCs like it, which are bare
}

// surroundings are what a VPC comes with.
type surroundings struct {
	resolvers string            // as its DHCP options name them
	resolving *string           // the id of DHCP options that name Amazon's resolver; nil where there are none
	acl       *types.NetworkAcl // the default one; nil where it is not known
	aclStays  string            // why its entries stay as they are, "" if they are to be repaired
}

// clean reports whether there is nothing to repair.
func (s surroundings) clean() bool {
	missing, extra := aclDrift(s.acl)
	return s.resolvers == amazonResolver && len(missing)+len(extra) == 0
}

// Read looks the VPC up by its tags.
func (v *VPC) Read(ctx context.Context) (*liveVPC, graph.State, error) {
	all, err := v.allVPCs(ctx)
	if err != nil {
		return nil, graph.State{}, err
	}
	ours := named(all, v.Name(), func(x types.Vpc) []types.Tag { return x.Tags })
	vpc, bare, err := oneOf("VPCs", v.createdID, ours, func(x types.Vpc) string { return aws.ToString(x.VpcId) },
		func(x types.Vpc) (bool, error) { return v.inhabited(ctx, x.VpcId) })
	if vpc == nil || err != nil {
		return nil, absent, err
	}
	id := aws.ToString(vpc.VpcId)
	live := &liveVPC{tags: fromEC2Tags(vpc.Tags), cidr: aws.ToString(vpc.CidrBlock), blocked: NotBlocked, duplicates: bare}
	st := graph.State{Phase: graph.Ready, ID: id, Owner: live.tags[TagStack], Note: string(vpc.State)}
	if vpc.State == types.VpcStatePending {
		st.Phase = graph.Pending
	}
	if v.destroying {
		return live, st, nil
	}
	last := v.Last() // one look that finds nothing to repair is enough
	if id != v.ID() {
		last = nil
	}
	// One that was just made supports DNS, and has no DNS names:
	// https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html#vpc-dns-support
	// https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns-updating.html
	fresh := v.createdID == id && last == nil
	if live.dnsSupport = fresh || last != nil && last.dnsSupport; !live.dnsSupport {
		if live.dnsSupport, err = v.attribute(ctx, id, types.VpcAttributeNameEnableDnsSupport); err != nil {
			return nil, graph.State{}, err
		}
	}
	if live.dnsHostname = last != nil && last.dnsHostname; !live.dnsHostname && !fresh {
		if live.dnsHostname, err = v.attribute(ctx, id, types.VpcAttributeNameEnableDnsHostnames); err != nil {
			return nil, graph.State{}, err
		}
	}
	if live.blocked = blockMode(vpc.BlockPublicAccessStates); live.blocked != NotBlocked {
		if live.blocked, err = v.blockedSubnets(ctx, live.blocked); err != nil {
			return nil, graph.State{}, err
		}
	}
	// One that was just made comes with DHCP options that name Amazon's resolver, and with an
	// ACL that lets everything through:
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateDhcpOptions.html
	// https://docs.aws.amazon.com/vpc/latest/userguide/default-network-acl.html
	if fresh {
		live.around = surroundings{resolvers: amazonResolver}
	} else if last != nil && last.around.clean() {
		live.around = last.around
	} else if live.around, err = v.surroundings(ctx, vpc); err != nil {
		return nil, graph.State{}, err
	}
	return live, st, nil
}

// blockedSubnets returns how the internet is kept out of the public subnets of a VPC that shows that
// mode. Subnets can be excluded without their VPC.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VpcBlockPublicAccessExclusion.html
func (v *VPC) blockedSubnets(ctx context.Context, mode string) (string, error) {
	all, err := v.allSubnets(ctx)
	public := slices.DeleteFunc(slices.Clone(all), func(s types.Subnet) bool {
		return !strings.HasPrefix(fromEC2Tags(s.Tags)[TagResource], publicSubnet)
	})
	if err != nil || len(public) == 0 || slices.ContainsFunc(public, func(s types.Subnet) bool {
		return s.BlockPublicAccessStates == nil || blockMode(s.BlockPublicAccessStates) != NotBlocked
	}) {
		return mode, err
	}
	return NotBlocked, nil
}

// publicSubnet begins the names of the stack's public subnets.
const publicSubnet = "subnet-public-"

// amazonResolver is how DHCP options name the resolver of the VPC itself, by which
// tasks find the database, and AWS.
// https://docs.aws.amazon.com/vpc/latest/userguide/DHCPOptionSetConcepts.html
const amazonResolver = "AmazonProvidedDNS"

func (v *VPC) surroundings(ctx context.Context, vpc *types.Vpc) (surroundings, error) {
	s := surroundings{resolvers: amazonResolver}
	all, err := v.allACLs(ctx, aws.ToString(vpc.VpcId))
	if err != nil {
		return s, err
	}
	s.acl = defaultACL(all)
	if missing, extra := aclDrift(s.acl); len(missing)+len(extra) > 0 {
		s.aclStays = v.mayOpenACL(ctx, s.acl.NetworkAclId)
	}
	out, err := v.ec2.DescribeDhcpOptions(ctx, &ec2.DescribeDhcpOptionsInput{})
	if err != nil {
		return s, fmt.Errorf("describe the DHCP options of %s: %w", aws.ToString(vpc.VpcId), err)
	}
	for _, d := range out.DhcpOptions {
		resolvers := resolversOf(d)
		if resolvers == amazonResolver {
			s.resolving = d.DhcpOptionsId
		}
		if aws.ToString(d.DhcpOptionsId) == aws.ToString(vpc.DhcpOptionsId) {
			s.resolvers = resolvers
		}
	}
	if aws.ToString(vpc.DhcpOptionsId) == noDHCPOptions && len(out.DhcpOptions) > 0 {
		s.resolvers = "no DHCP options"
	}
	return s, nil
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

// inhabited reports whether a VPC has a subnet or a way out.
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
	return vpcAttribute(ctx, v.ec2, id, name)
}

// Planned returns what would be made.
func (v *VPC) Planned() string { return v.cidr }

// Wanted implements graph.Shape.
func (v *VPC) Wanted(*liveVPC) *liveVPC {
	return &liveVPC{
		tags: v.tags(v.Name()), cidr: v.cidr, dnsSupport: true, dnsHostname: true, blocked: NotBlocked,
		around: surroundings{resolvers: amazonResolver},
	}
}

// Attributes implements graph.Shape.
func (v *VPC) Attributes() graph.Attributes[*liveVPC] {
	openACL := graph.SetBy(func(ctx context.Context, changes []graph.Change) error {
		return v.openACL(ctx, v.Last().around.acl.NetworkAclId, changes)
	})
	stays := func(live, _ *liveVPC) string { return live.around.aclStays }
	return graph.Attributes[*liveVPC]{
		duplicateAttribute(func(l *liveVPC) []string { return l.duplicates }, &v.createdID, func(ctx context.Context, other *string) error {
			_, err := v.ec2.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: other})
			return err
		}),
		tagAttribute(func(l *liveVPC) map[string]string { return l.tags }, v.retagging(v.Node)),
		// https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
		graph.Field("cidr", func(l *liveVPC) string { return l.cidr }, graph.Fixed("the range of a VPC is fixed")).FixedIf(func(live, _ *liveVPC) graph.Remedy {
			return graph.Fixed("the range of a VPC is fixed").Hint(hint.New("keep it with --cidr %s", live.cidr))
		}),
		graph.Flag("dns-support", func(l *liveVPC) bool { return l.dnsSupport }, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			return v.enable(ctx, "DNS support", ec2.ModifyVpcAttributeInput{EnableDnsSupport: &types.AttributeBooleanValue{Value: aws.Bool(true)}})
		})),
		graph.Flag("dns-hostnames", func(l *liveVPC) bool { return l.dnsHostname }, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			return v.enable(ctx, "DNS hostnames", ec2.ModifyVpcAttributeInput{EnableDnsHostnames: &types.AttributeBooleanValue{Value: aws.Bool(true)}})
		})),
		graph.Field("public-access", func(l *liveVPC) string { return l.blocked },
			graph.Fixed("VPC Block Public Access of this account and region keeps the internet out: whoever manages the account can exclude this VPC, or its public subnets, from it")),
		graph.Field("dhcp-resolver", func(l *liveVPC) string { return l.around.resolvers }, graph.SetBy(v.setResolver)),
		graph.Many(extraEntry, func(live, _ *liveVPC) []graph.Change {
			_, extra := aclDrift(live.around.acl)
			return extra
		}, openACL).Retain(stays), // those too many first: one may have the number that is needed
		graph.Many(missingEntry, func(live, _ *liveVPC) []graph.Change {
			missing, _ := aclDrift(live.around.acl)
			return missing
		}, openACL).Retain(stays),
	}
}

// Create creates the VPC. CreateVpc takes no client token and has no natural
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
	v.createdID = aws.ToString(out.Vpc.VpcId)
	return v.createdID, nil
}

// enable turns an attribute on. ModifyVpcAttribute takes one a call.
func (v *VPC) enable(ctx context.Context, what string, in ec2.ModifyVpcAttributeInput) error {
	in.VpcId = aws.String(v.ID())
	if _, err := v.ec2.ModifyVpcAttribute(ctx, &in); err != nil {
		return fmt.Errorf("enable %s of %s: %w", what, v.ID(), err)
	}
	return nil
}

// setResolver gives the VPC DHCP options that name Amazon's resolver.
func (v *VPC) setResolver(ctx context.Context, _ []graph.Change) error {
	set := v.Last().around.resolving
	if set == nil {
		return hint.With(fmt.Errorf("%s has DHCP options that name another resolver than %s, and the account has no set that names it", v.ID(), amazonResolver),
			"make one: %s", hint.AWS("ec2", "create-dhcp-options", "--dhcp-configurations", "Key=domain-name-servers,Values="+amazonResolver))
	}
	if _, err := v.ec2.AssociateDhcpOptions(ctx, &ec2.AssociateDhcpOptionsInput{VpcId: aws.String(v.ID()), DhcpOptionsId: set}); err != nil {
		return fmt.Errorf("give %s the DHCP options %s: %w", v.ID(), *set, err)
	}
	return nil
}

// Delete deletes the VPC; its default group, table and ACL go with it.
func (v *VPC) Delete(ctx context.Context) error {
	if _, err := v.ec2.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: aws.String(v.ID())}); err != nil && !notFound(err) {
		return fmt.Errorf("delete %s: %w", v.ID(), err)
	}
	return nil
}

// DeletesSynchronously implements graph.DeletesSynchronously.
func (v *VPC) DeletesSynchronously() {}

// UpdatesSynchronously implements graph.UpdatesSynchronously.
func (v *VPC) UpdatesSynchronously(changes []graph.Change) bool {
	return !slices.ContainsFunc(changes, func(c graph.Change) bool { return !strings.HasPrefix(c.Field, "dns-") })
}

// vpcKind lists and deletes the stack's VPCs.
func (n ec2Access) vpcKind() inventory.Kind {
	return n.kind("vpc", "VPCs", func(ctx context.Context) ([]*string, error) {
		out, err := n.ec2.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: n.all()})
		if err != nil {
			return nil, err
		}
		return mapped(WithoutDeleting(out.Vpcs), func(x types.Vpc) *string { return x.VpcId }), nil
	}, func(ctx context.Context, id *string) error {
		_, err := n.ec2.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: id})
		return err
	})
}
