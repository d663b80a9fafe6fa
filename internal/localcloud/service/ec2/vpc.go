package ec2

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// quotaVPCs is a new account's limit of VPCs per region, its default VPC among
// them: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
const quotaVPCs = 5

type vpc struct {
	resource
	CIDR         string `json:"cidr"`
	Association  string `json:"association"` // id of its range's association
	Default      bool   `json:"default,omitempty"`
	DNSSupport   bool   `json:"dnsSupport,omitempty"`
	DNSHostnames bool   `json:"dnsHostnames,omitempty"`
	DHCPOptions  string `json:"dhcpOptions,omitempty"` // "" is the account's first set
	Deleting     bool   `json:"deleting,omitempty"`
	Dedicated    bool   `json:"dedicated,omitempty"`
	Encryption   string `json:"encryption,omitempty"` // the mode of its encryption control, "" for none
}

func (v *vpc) lifecycle() types.VpcState {
	if v.Deleting {
		return types.VpcStateDeleting
	}
	return types.VpcStateAvailable
}

func (v *vpc) fields() map[string][]string {
	isDefault := []string{strconv.FormatBool(v.Default)}
	return map[string][]string{
		"vpc-id": {v.ID}, "cidr": {v.CIDR}, "cidr-block-association.cidr-block": {v.CIDR}, "state": {string(v.lifecycle())},
		"is-default": isDefault, "isDefault": isDefault, "dhcp-options-id": {v.DHCPOptions},
	}
}

func (a tx) vpc(v *vpc) types.Vpc {
	out := types.Vpc{
		VpcId: aws.String(v.ID), CidrBlock: aws.String(v.CIDR), State: v.lifecycle(), IsDefault: aws.Bool(v.Default),
		OwnerId: aws.String(a.ownerOf(v.ID)), InstanceTenancy: types.TenancyDefault, DhcpOptionsId: aws.String(a.dhcpOptionsOf(v)), Tags: writeTags(v.Tags),
		CidrBlockAssociationSet: []types.VpcCidrBlockAssociation{{
			AssociationId: aws.String(v.Association), CidrBlock: aws.String(v.CIDR),
			CidrBlockState: &types.VpcCidrBlockState{State: types.VpcCidrBlockStateCodeAssociated},
		}},
		BlockPublicAccessStates: a.blockedAccess(v.ID),
	}
	if v.Dedicated {
		out.InstanceTenancy = types.TenancyDedicated
	}
	if v.Encryption != "" {
		out.EncryptionControl = &types.VpcEncryptionControl{VpcId: out.VpcId, Mode: types.VpcEncryptionControlMode(v.Encryption), State: types.VpcEncryptionControlStateAvailable}
	}
	return out
}

// parseRange reads an IPv4 range and makes it canonical, as EC2 does:
// 100.68.0.18/18 becomes 100.68.0.0/18.
func parseRange(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil || !p.Addr().Is4() {
		return p, kernel.Fail("InvalidParameterValue", "Value (%s) for parameter cidrBlock is invalid. This is not a valid CIDR block.", text)
	}
	return p.Masked(), nil
}

// CreateVpc creates a VPC with its main route table, default group and default
// network ACL.
func (a tx) CreateVpc(in *ec2.CreateVpcInput) (*ec2.CreateVpcOutput, error) {
	cidr, err := parseRange(aws.ToString(in.CidrBlock))
	if err != nil {
		return nil, err
	}
	if cidr.Bits() < 16 || cidr.Bits() > 28 {
		return nil, kernel.Fail("InvalidVpc.Range", "The CIDR '%s' is invalid.", aws.ToString(in.CidrBlock))
	}
	tags, err := onCreate(kindVPC, in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	if len(a.state().VPCs) >= cmp.Or(a.quota, quotaVPCs) {
		return nil, kernel.Fail("VpcLimitExceeded", "The maximum number of VPCs has been reached.")
	}
	v := a.makeVPC(cidr.String(), tags)
	v.Dedicated = in.InstanceTenancy == types.TenancyDedicated
	if in.VpcEncryptionControl != nil {
		v.Encryption = string(in.VpcEncryptionControl.Mode)
	}
	a.Created(v.ID)
	out := a.vpc(v)
	return &ec2.CreateVpcOutput{Vpc: &out}, nil
}

func (a tx) makeVPC(cidr string, tags map[string]string) *vpc {
	s := a.state()
	v := &vpc{resource: resource{kernel.NewID("vpc"), tags}, CIDR: cidr, Association: kernel.NewID("vpc-cidr-assoc"), DNSSupport: true}
	s.VPCs = append(s.VPCs, v)
	t := a.makeTable(v, nil)
	t.Associations = []association{{ID: kernel.NewID("rtbassoc"), Main: true}}
	s.Groups = append(s.Groups, &securityGroup{
		resource: resource{ID: kernel.NewID("sg")}, Name: defaultGroup, Description: "default VPC security group", VPC: v.ID,
	})
	g := s.Groups[len(s.Groups)-1]
	g.Rules = []*groupRule{
		{resource: resource{ID: kernel.NewID("sgr")}, Protocol: "-1", From: -1, To: -1, Group: g.ID},
		allowAllEgress(),
	}
	s.ACLs = append(s.ACLs, newACL(v.ID, true, nil))
	return v
}

// Start gives a new account its default VPC, as every region of an
// account has: https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc-components.html.
// It also finishes what a stopped cloud had begun: lingering interfaces and VPCs go.
func (s *Service) Start() {
	s.Update(func(t *kernel.Tx) {
		a := s.in(t)
		s := a.state()
		s.Interfaces = slices.DeleteFunc(s.Interfaces, func(i *networkInterface) bool { return i.Released })
		s.DeletingVPCs = nil
		a.defaultDHCPOptions()
		for i, l := range s.ACLs {
			if len(l.Entries) == 0 { // of a local cloud that knew default ones only
				s.ACLs[i] = newACL(l.VPC, true, l.Tags)
				s.ACLs[i].ID = l.ID
			}
		}
		if s.Started {
			return
		}
		s.Started = true
		v := a.makeVPC("172.31.0.0/16", nil)
		v.Default, v.DNSHostnames = true, true
		gateway := &gateway{resource: resource{ID: kernel.NewID("igw")}, VPC: v.ID}
		s.Gateways = append(s.Gateways, gateway)
		main := a.mainTable(v.ID)
		main.Routes = append(main.Routes, route{Destination: "0.0.0.0/0", Gateway: gateway.ID, Origin: types.RouteOriginCreateRoute})
		for n, zone := range a.Zones() {
			s.Subnets = append(s.Subnets, &subnet{
				resource: resource{ID: kernel.NewID("subnet")}, VPC: v.ID, Zone: zone, CIDR: fmt.Sprintf("172.31.%d.0/20", n*16),
				Public: true, Default: true,
			})
		}
	})
}

func (a tx) DescribeVpcs(in *ec2.DescribeVpcsInput) (*ec2.DescribeVpcsOutput, error) {
	page, next, err := described(a, kindVPC, slices.Concat(a.state().VPCs, a.state().DeletingVPCs), in.VpcIds, in.Filters, in.MaxResults, in.NextToken, a.vpc)
	return &ec2.DescribeVpcsOutput{Vpcs: page, NextToken: next}, err
}

// ownerOf is the account of a VPC and its subnets.
func (a tx) ownerOf(vpc string) string {
	if a.isShared(vpc) {
		return a.Faults().SharedBy
	}
	return a.Account()
}

// isShared reports whether another account shares a VPC with this one.
func (a tx) isShared(id string) bool {
	return a.Faults().SharedBy != "" && slices.ContainsFunc(a.state().VPCs, func(v *vpc) bool { return v.ID == id && v.Default })
}

// blockedAccess is what a VPC or a subnet of one says of VPC Block Public Access, of which the
// account has one mode, and exclusions
// (https://docs.aws.amazon.com/vpc/latest/userguide/security-vpc-bpa.html).
func (a tx) blockedAccess(ids ...string) *types.BlockPublicAccessStates {
	if slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(a.Faults().PublicAccessExclusions, id) }) {
		return &types.BlockPublicAccessStates{InternetGatewayBlockMode: types.BlockPublicAccessModeOff}
	}
	return &types.BlockPublicAccessStates{InternetGatewayBlockMode: cmp.Or(types.BlockPublicAccessMode(a.state().BlockMode), types.BlockPublicAccessModeOff)}
}

// ModifyVpcBlockPublicAccessOptions sets the mode of the account.
func (a tx) ModifyVpcBlockPublicAccessOptions(in *ec2.ModifyVpcBlockPublicAccessOptionsInput) (*ec2.ModifyVpcBlockPublicAccessOptionsOutput, error) {
	if !slices.Contains(in.InternetGatewayBlockMode.Values(), in.InternetGatewayBlockMode) {
		return nil, kernel.Fail("InvalidParameterValue", "Value (%s) for parameter InternetGatewayBlockMode is invalid.", in.InternetGatewayBlockMode)
	}
	a.state().BlockMode = string(in.InternetGatewayBlockMode)
	return &ec2.ModifyVpcBlockPublicAccessOptionsOutput{VpcBlockPublicAccessOptions: a.publicAccessOptions()}, nil
}

// DescribeVpcBlockPublicAccessOptions returns the mode of the account, whether or not it has a VPC.
func (a tx) DescribeVpcBlockPublicAccessOptions(*ec2.DescribeVpcBlockPublicAccessOptionsInput) (*ec2.DescribeVpcBlockPublicAccessOptionsOutput, error) {
	return &ec2.DescribeVpcBlockPublicAccessOptionsOutput{VpcBlockPublicAccessOptions: a.publicAccessOptions()}, nil
}

func (a tx) publicAccessOptions() *types.VpcBlockPublicAccessOptions {
	return &types.VpcBlockPublicAccessOptions{
		AwsAccountId: aws.String(a.Account()), AwsRegion: aws.String(a.Region()),
		InternetGatewayBlockMode: cmp.Or(types.InternetGatewayBlockMode(a.state().BlockMode), types.InternetGatewayBlockModeOff),
		ExclusionsAllowed:        types.VpcBlockPublicAccessExclusionsAllowedAllowed, ManagedBy: types.ManagedByAccount, State: types.VpcBlockPublicAccessStateUpdateComplete,
		LastUpdateTimestamp: aws.Time(a.Now()),
	}
}

func (a tx) DescribeVpcAttribute(in *ec2.DescribeVpcAttributeInput) (*ec2.DescribeVpcAttributeOutput, error) {
	v, err := item(a, kindVPC, a.state().VPCs, aws.ToString(in.VpcId))
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeVpcAttributeOutput{VpcId: aws.String(v.ID)}
	value := func(b bool) *types.AttributeBooleanValue { return &types.AttributeBooleanValue{Value: &b} }
	switch in.Attribute {
	case types.VpcAttributeNameEnableDnsSupport:
		out.EnableDnsSupport = value(v.DNSSupport)
	case types.VpcAttributeNameEnableDnsHostnames:
		out.EnableDnsHostnames = value(v.DNSHostnames)
	case types.VpcAttributeNameEnableNetworkAddressUsageMetrics:
		out.EnableNetworkAddressUsageMetrics = value(false)
	default:
		return nil, kernel.Fail("InvalidParameterValue", "Value (%s) for parameter attribute is invalid. Unknown attribute.", in.Attribute)
	}
	return out, nil
}

// ModifyVpcAttribute takes one attribute a call.
func (a tx) ModifyVpcAttribute(in *ec2.ModifyVpcAttributeInput) (*ec2.ModifyVpcAttributeOutput, error) {
	v, err := item(a, kindVPC, a.state().VPCs, aws.ToString(in.VpcId))
	if err != nil {
		return nil, err
	}
	switch support, hostnames := in.EnableDnsSupport, in.EnableDnsHostnames; {
	case support != nil && hostnames != nil:
		return nil, kernel.Fail("InvalidParameterCombination", "Fields for multiple attribute types specified: enableDnsSupport, enableDnsHostnames")
	case support != nil:
		v.DNSSupport = aws.ToBool(support.Value)
	case hostnames != nil:
		v.DNSHostnames = aws.ToBool(hostnames.Value)
	default:
		return nil, kernel.Fail("MissingParameter", "The request must contain the parameter enableDnsSupport or enableDnsHostnames")
	}
	return &ec2.ModifyVpcAttributeOutput{}, nil
}

// DeleteVpc deletes a VPC that has nothing in it but what it was born with. Other calls than
// DescribeVpcs know none of it from then on.
func (a tx) DeleteVpc(in *ec2.DeleteVpcInput) (*ec2.DeleteVpcOutput, error) {
	s := a.state()
	v, err := item(a, kindVPC, s.VPCs, aws.ToString(in.VpcId))
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(s.Subnets, func(x *subnet) bool { return x.VPC == v.ID }) ||
		slices.ContainsFunc(s.Gateways, func(x *gateway) bool { return x.VPC == v.ID }) ||
		slices.ContainsFunc(s.Tables, func(x *routeTable) bool { return x.VPC == v.ID && !x.main() }) ||
		slices.ContainsFunc(s.ACLs, func(x *networkACL) bool { return x.VPC == v.ID && !x.Default }) ||
		slices.ContainsFunc(s.Groups, func(x *securityGroup) bool { return x.VPC == v.ID && x.Name != defaultGroup }) ||
		a.holdsVPC(v.ID) {
		return nil, kernel.Fail("DependencyViolation", "The vpc '%s' has dependencies and cannot be deleted.", v.ID)
	}
	s.VPCs = slices.DeleteFunc(s.VPCs, func(x *vpc) bool { return x == v })
	if listed := kernel.Seconds(a.Faults().VPCSeconds); listed > 0 {
		v.Deleting = true
		s.DeletingVPCs = append(s.DeletingVPCs, v)
		a.Go(func(ctx context.Context) {
			if kernel.Wait(ctx, nil, listed) {
				a.Update(func(t *kernel.Tx) {
					s := a.in(t).state()
					s.DeletingVPCs = slices.DeleteFunc(s.DeletingVPCs, func(x *vpc) bool { return x.ID == v.ID })
				})
			}
		})
	}
	s.Tables = slices.DeleteFunc(s.Tables, func(x *routeTable) bool { return x.VPC == v.ID })
	s.Groups = slices.DeleteFunc(s.Groups, func(x *securityGroup) bool { return x.VPC == v.ID })
	s.ACLs = slices.DeleteFunc(s.ACLs, func(x *networkACL) bool { return x.VPC == v.ID })
	return &ec2.DeleteVpcOutput{}, nil
}
