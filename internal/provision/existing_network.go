package provision

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/sorted"
)

// anyVPC is the VPC that the resources of a stack are in: its own, or an existing one of the user.
type anyVPC interface {
	graph.Finder
	ID() string
}

// anySubnet is a subnet that resources of the stack are in: its own, or an existing one of the user.
type anySubnet interface {
	graph.Finder
	ID() string
	Last() *liveSubnet
	// cidr is its range, "" before that is known.
	cidr() string
}

// notManaged is the note of a resource that the user gave a stack.
const notManaged = "given, not managed"

// VPCInfo is a VPC that is not the stack's, with its subnets, as far as a stack can
// be in it.
type VPCInfo struct {
	VPC string
	// Owner is the account of the VPC, "" if the endpoint does not say.
	Owner string
	// DNSSupport and DNSHostnames are whether the VPC's resolver answers, and public names are given.
	DNSSupport, DNSHostnames bool
	// Blocked is how the account keeps the internet out of it, "off" where it does not.
	Blocked string
	// Encrypted is whether the VPC enforces encryption in transit, and Dedicated whether instances in
	// it run on hardware of their account alone.
	Encrypted, Dedicated bool
	Subnets              []SubnetInfo
}

// SubnetInfo is a subnet of a VPCInfo.
type SubnetInfo struct {
	ID, CIDR string
	// Zone is as the account calls it, and ZoneID as AWS calls it in all accounts.
	Zone, ZoneID string
	// Free is the number of addresses that nothing has.
	Free int32
	// Route is where its default route leads, "" for nowhere.
	Route string
	// Blocked is how the account keeps the internet out of it, "off" where it does not: the subnet
	// or the VPC can be excluded.
	Blocked string
}

// Public reports whether its default route leads to an internet gateway, which makes a subnet
// public, whether it gives addresses by itself or not.
// https://docs.aws.amazon.com/vpc/latest/userguide/configure-subnets.html
func (r SubnetInfo) Public() bool { return isInternetGateway(r.Route) }

func isInternetGateway(route string) bool {
	return strings.HasPrefix(route, "igw-") && !strings.Contains(route, " ") // a blackhole says so
}

// networkReader are the calls that read an existing VPC. It has no others, so that bookctl
// never changes such a VPC.
type networkReader interface {
	DescribeVpcs(context.Context, *ec2.DescribeVpcsInput, ...func(*ec2.Options)) (*ec2.DescribeVpcsOutput, error)
	DescribeVpcAttribute(context.Context, *ec2.DescribeVpcAttributeInput, ...func(*ec2.Options)) (*ec2.DescribeVpcAttributeOutput, error)
	DescribeSubnets(context.Context, *ec2.DescribeSubnetsInput, ...func(*ec2.Options)) (*ec2.DescribeSubnetsOutput, error)
	DescribeRouteTables(context.Context, *ec2.DescribeRouteTablesInput, ...func(*ec2.Options)) (*ec2.DescribeRouteTablesOutput, error)
}

// ReadVPC reads an existing VPC. It fails if there is none.
func ReadVPC(ctx context.Context, client networkReader, vpc string) (VPCInfo, error) {
	g := VPCInfo{VPC: vpc}
	var (
		vpcs    []types.Vpc
		subnets []types.Subnet
		tables  []types.RouteTable
		reads   graph.Group
	)
	within := []types.Filter{filter("vpc-id", vpc)}
	reads.Go(func() error {
		out, err := client.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: within})
		if err != nil {
			return fmt.Errorf("describe VPC %s: %w", vpc, err)
		}
		if vpcs = out.Vpcs; len(vpcs) == 0 {
			return nil
		}
		if len(WithoutDeleting(vpcs)) == 0 {
			return hint.With(fmt.Errorf("VPC %s is being deleted", vpc), "choose another with --vpc")
		}
		if g.DNSSupport, err = vpcAttribute(ctx, client, vpc, types.VpcAttributeNameEnableDnsSupport); err != nil {
			return err
		}
		g.DNSHostnames, err = vpcAttribute(ctx, client, vpc, types.VpcAttributeNameEnableDnsHostnames)
		return err
	})
	reads.Go(func() error {
		out, err := client.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: within})
		if err != nil {
			return fmt.Errorf("describe the subnets of %s: %w", vpc, err)
		}
		subnets = out.Subnets
		return nil
	})
	reads.Go(func() error {
		out, err := client.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{Filters: within})
		if err != nil {
			return fmt.Errorf("describe the route tables of %s: %w", vpc, err)
		}
		tables = out.RouteTables
		return nil
	})
	if err := reads.Wait(); err != nil {
		return g, err
	}
	if len(vpcs) == 0 {
		return g, hint.With(fmt.Errorf("VPC %s does not exist in this account and region", vpc), "%s lists them", hint.AWS("ec2", "describe-vpcs"))
	}
	g.Owner = aws.ToString(vpcs[0].OwnerId)
	g.Blocked = blockMode(vpcs[0].BlockPublicAccessStates)
	if c := vpcs[0].EncryptionControl; c != nil {
		g.Encrypted = c.Mode == types.VpcEncryptionControlModeEnforce
	}
	g.Dedicated = vpcs[0].InstanceTenancy == types.TenancyDedicated
	for _, s := range subnets {
		r := SubnetInfo{
			ID: aws.ToString(s.SubnetId), CIDR: aws.ToString(s.CidrBlock), Zone: aws.ToString(s.AvailabilityZone), ZoneID: aws.ToString(s.AvailabilityZoneId),
			Free: aws.ToInt32(s.AvailableIpAddressCount), Blocked: g.Blocked,
		}
		if s.BlockPublicAccessStates != nil && g.Blocked != NotBlocked {
			r.Blocked = blockMode(s.BlockPublicAccessStates)
		}
		if route := defaultRouteOf(tables, r.ID); route != nil {
			r.Route = leadsTo(*route)
		}
		g.Subnets = append(g.Subnets, r)
	}
	sorted.By(g.Subnets, func(a, b SubnetInfo) int { return cmp.Compare(a.ID, b.ID) })
	return g, nil
}

// NotBlocked is the mode of VPC Block Public Access that lets the internet through.
const NotBlocked = string(types.BlockPublicAccessModeOff)

// blockMode is the mode of VPC Block Public Access that a VPC or subnet shows.
func blockMode(b *types.BlockPublicAccessStates) string {
	if b == nil || b.InternetGatewayBlockMode == "" {
		return NotBlocked
	}
	return string(b.InternetGatewayBlockMode)
}

// defaultRouteOf is the default route of a subnet. One that no table names is with the
// main one.
// https://docs.aws.amazon.com/vpc/latest/userguide/subnet-route-tables.html
func defaultRouteOf(tables []types.RouteTable, subnet string) *types.Route {
	var main *types.Route
	for i := range tables {
		for _, a := range tables[i].Associations {
			if aws.ToString(a.SubnetId) == subnet {
				return defaultRoute(&tables[i])
			}
			if aws.ToBool(a.Main) {
				main = defaultRoute(&tables[i])
			}
		}
	}
	return main
}

func vpcAttribute(ctx context.Context, client networkReader, id string, name types.VpcAttributeName) (bool, error) {
	out, err := client.DescribeVpcAttribute(ctx, &ec2.DescribeVpcAttributeInput{VpcId: &id, Attribute: name})
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

// existingVPCParts is what an existing VPC and its subnets share.
type existingVPCParts struct {
	identity
	ec2 networkReader
	vpc string
}

// network reads all of it, by one call for all parts.
func (g existingVPCParts) network(ctx context.Context) (VPCInfo, error) {
	return g.observed().existingVPC.readShared(ctx, func(ctx context.Context) (VPCInfo, error) {
		return ReadVPC(ctx, g.ec2, g.vpc)
	})
}

// ExistingVPC is a VPC that the user gave the stack (--vpc). The stack makes security groups
// in it; itself it is only looked at. That it is not as a stack needs it refuses a run.
type ExistingVPC struct {
	graph.NodeOf[*VPCInfo]
	existingVPCParts
}

func newExistingVPC(g existingVPCParts) *ExistingVPC {
	v := &ExistingVPC{existingVPCParts: g}
	v.NodeOf = graph.Of(v, networkPart, 5*time.Minute)
	return v
}

// Given marks it as not the stack's.
func (*ExistingVPC) Given() {}

// ID is the id of the VPC, which is known before it is looked at.
func (v *ExistingVPC) ID() string { return v.vpc }

// Read looks at the VPC.
func (v *ExistingVPC) Read(ctx context.Context) (*VPCInfo, graph.State, error) {
	live, err := v.network(ctx)
	if err != nil {
		return nil, graph.State{}, err
	}
	return &live, graph.State{Phase: graph.Ready, ID: v.vpc, Owner: v.stack, Note: notManaged}, nil
}

// Wanted implements graph.Shape.
func (v *ExistingVPC) Wanted(*VPCInfo) *VPCInfo {
	return &VPCInfo{DNSSupport: true}
}

// Attributes implements graph.Shape.
func (v *ExistingVPC) Attributes() graph.Attributes[*VPCInfo] {
	return graph.Attributes[*VPCInfo]{
		// Tasks find the database by its name.
		// https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html
		graph.Flag("dns-support", func(g *VPCInfo) bool { return g.DNSSupport }, graph.Fixed("the VPC is not the stack's to change").
			Hint(hint.New("turn it on, if its owners agree: %s", hint.AWS("ec2", "modify-vpc-attribute", "--vpc-id", v.vpc, "--enable-dns-support")))),
	}
}

// Create is never called: Read fails where there is no VPC.
func (v *ExistingVPC) Create(context.Context) (string, error) {
	return "", fmt.Errorf("VPC %s does not exist", v.vpc)
}

// ExistingSubnet is a subnet of an ExistingVPC, which is only looked at.
type ExistingSubnet struct {
	graph.NodeOf[*liveSubnet]
	existingVPCParts
	id     string
	public bool // it has to be
}

func newExistingSubnet(g existingVPCParts, name, id string, public bool, vpc *ExistingVPC) *ExistingSubnet {
	s := &ExistingSubnet{existingVPCParts: g, id: id, public: public}
	s.NodeOf = graph.Of(s, name, 5*time.Minute, vpc)
	return s
}

// Given marks it as not the stack's.
func (*ExistingSubnet) Given() {}

// ID is the id of the subnet, which is known before it is looked at.
func (s *ExistingSubnet) ID() string { return s.id }

func (s *ExistingSubnet) cidr() string {
	if live := s.Last(); live != nil {
		return live.cidr
	}
	return ""
}

// Read looks at the subnet.
func (s *ExistingSubnet) Read(ctx context.Context) (*liveSubnet, graph.State, error) {
	g, err := s.network(ctx)
	if err != nil {
		return nil, graph.State{}, err
	}
	r, err := g.Subnet(s.id)
	if err != nil {
		return nil, graph.State{}, err
	}
	live := &liveSubnet{subnetSpec: subnetSpec{r.CIDR, r.Zone}, zoneID: r.ZoneID, vpc: s.vpc, route: r.Route, blocked: r.Blocked}
	return live, graph.State{Phase: graph.Ready, ID: s.id, Owner: s.stack, Note: notManaged}, nil
}

// Subnet is the subnet with that id.
func (g VPCInfo) Subnet(id string) (SubnetInfo, error) {
	for _, r := range g.Subnets {
		if r.ID == id {
			return r, nil
		}
	}
	return SubnetInfo{}, hint.With(fmt.Errorf("subnet %s does not exist in %s", id, g.VPC), "choose others with --subnets and --db-subnets")
}

// Wanted implements graph.Shape.
func (s *ExistingSubnet) Wanted(live *liveSubnet) *liveSubnet { return live }

// Attributes implements graph.Shape.
func (s *ExistingSubnet) Attributes() graph.Attributes[*liveSubnet] {
	return graph.Attributes[*liveSubnet]{
		graph.Compared("default-route", func(live, _ *liveSubnet) (have, want string, differ bool) {
			return live.route, "an internet gateway", s.public && !isInternetGateway(live.route)
		}, graph.Fixed("the route table is not the stack's to change").Hint(hint.New("load balancer and tasks are reached by it: add the route, or choose other subnets with --subnets"))),
		graph.Compared("public-access", func(live, _ *liveSubnet) (have, want string, differ bool) {
			return live.blocked, NotBlocked, s.public && live.blocked != NotBlocked
		}, graph.Fixed("VPC Block Public Access of this account and region keeps the internet out: whoever manages the account can exclude this subnet or its VPC from it")),
	}
}

// Create is never called: Read fails where there is no subnet.
func (s *ExistingSubnet) Create(context.Context) (string, error) {
	return "", fmt.Errorf("subnet %s does not exist", s.id)
}

// IDList returns the ids in a setting.
func IDList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// mostSubnets is how many ids a tag has room for.
const mostSubnets = 10

// checkSubnets returns what is wrong with a list of subnets, "" for nothing.
func checkSubnets(text string) string {
	ids := IDList(text)
	for i, id := range ids {
		switch {
		case !subnetID.MatchString(id):
			return fmt.Sprintf("%q is no id of a subnet, such as subnet-0123456789abcdef0", id)
		case slices.Contains(ids[:i], id):
			return id + " is there twice"
		}
	}
	if len(ids) == 1 || len(ids) > mostSubnets {
		return fmt.Sprintf("give two to %d, separated by commas, and not %d", mostSubnets, len(ids))
	}
	return ""
}

// owns reports whether a VPC is the stack's own.
func (n ec2Access) owns(ctx context.Context, vpc string) (bool, error) {
	all, err := n.allVPCs(ctx)
	return err == nil && slices.ContainsFunc(all, func(v types.Vpc) bool { return aws.ToString(v.VpcId) == vpc }), err
}
