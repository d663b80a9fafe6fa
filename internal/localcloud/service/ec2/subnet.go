package ec2

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// subnet is a subnet. Public says that what starts in it is given a public
// address; Default that it belongs to the default VPC from birth.
type subnet struct {
	resource
	VPC     string `json:"vpc"`
	Zone    string `json:"zone"`
	CIDR    string `json:"cidr"`
	Public  bool   `json:"public,omitempty"`
	Default bool   `json:"default,omitempty"`
}

func (s *subnet) fields() map[string][]string {
	isDefault := []string{strconv.FormatBool(s.Default)}
	return map[string][]string{
		"subnet-id": {s.ID}, "vpc-id": {s.VPC}, "availability-zone": {s.Zone}, "availabilityZone": {s.Zone}, "state": {"available"},
		"cidr": {s.CIDR}, "cidr-block": {s.CIDR}, "cidrBlock": {s.CIDR}, "default-for-az": isDefault, "defaultForAz": isDefault,
		"map-public-ip-on-launch": {strconv.FormatBool(s.Public)},
	}
}

func (a tx) subnet(s *subnet) types.Subnet {
	free := 1<<(32-netip.MustParsePrefix(s.CIDR).Bits()) - reservedAddresses
	for _, i := range a.state().Interfaces {
		if i.SubnetID == s.ID {
			free--
		}
	}
	return types.Subnet{
		BlockPublicAccessStates: a.blockedAccess(s.ID, s.VPC), Ipv6CidrBlockAssociationSet: []types.SubnetIpv6CidrBlockAssociation{},
		SubnetId: aws.String(s.ID), VpcId: aws.String(s.VPC), State: types.SubnetStateAvailable, OwnerId: aws.String(a.ownerOf(s.VPC)),
		SubnetArn:        aws.String(a.ARN("ec2", "subnet/"+s.ID)),
		AvailabilityZone: aws.String(s.Zone), AvailabilityZoneId: aws.String(a.ZoneID(s.Zone)), CidrBlock: aws.String(s.CIDR),
		AvailableIpAddressCount: aws.Int32(int32(free)), MapPublicIpOnLaunch: aws.Bool(s.Public), DefaultForAz: aws.Bool(s.Default),
		AssignIpv6AddressOnCreation: aws.Bool(false), EnableDns64: aws.Bool(false), Ipv6Native: aws.Bool(false), MapCustomerOwnedIpOnLaunch: aws.Bool(false),
		PrivateDnsNameOptionsOnLaunch: &types.PrivateDnsNameOptionsOnLaunch{
			HostnameType: types.HostnameTypeIpName, EnableResourceNameDnsARecord: aws.Bool(false), EnableResourceNameDnsAAAARecord: aws.Bool(false),
		},
		Tags: writeTags(s.Tags),
	}
}

// CreateSubnet creates a subnet. Its range is its natural key.
func (a tx) CreateSubnet(in *ec2.CreateSubnetInput) (*ec2.CreateSubnetOutput, error) {
	st := a.state()
	v, err := item(a, kindVPC, st.VPCs, aws.ToString(in.VpcId))
	if err != nil {
		return nil, err
	}
	cidr, err := parseRange(aws.ToString(in.CidrBlock))
	if err != nil {
		return nil, err
	}
	whole := netip.MustParsePrefix(v.CIDR)
	if cidr.Bits() > 28 || cidr.Bits() < whole.Bits() || !whole.Contains(cidr.Addr()) {
		return nil, kernel.Fail("InvalidSubnet.Range", "The CIDR '%s' is invalid.", aws.ToString(in.CidrBlock))
	}
	zone := a.Zones()[0]
	if in.AvailabilityZone != nil {
		zone = *in.AvailabilityZone
	} else if in.AvailabilityZoneId != nil {
		zone = ""
		for _, z := range a.Zones() {
			if a.ZoneID(z) == *in.AvailabilityZoneId {
				zone = z
			}
		}
	}
	if !slices.Contains(a.Zones(), zone) {
		return nil, kernel.Fail("InvalidParameterValue", "Value (%s) for parameter availabilityZone is invalid. Subnets can currently only be created in the following availability zones: %s.",
			aws.ToString(in.AvailabilityZone)+aws.ToString(in.AvailabilityZoneId), strings.Join(a.Zones(), ", "))
	}
	tags, err := onCreate(kindSubnet, in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	for _, s := range st.Subnets {
		if s.VPC == v.ID && netip.MustParsePrefix(s.CIDR).Overlaps(cidr) {
			return nil, kernel.Fail("InvalidSubnet.Conflict", "The CIDR '%s' conflicts with another subnet", aws.ToString(in.CidrBlock))
		}
	}
	s := &subnet{resource: resource{kernel.NewID("subnet"), tags}, VPC: v.ID, Zone: zone, CIDR: cidr.String()}
	st.Subnets = append(st.Subnets, s)
	a.Created(s.ID)
	out := a.subnet(s)
	return &ec2.CreateSubnetOutput{Subnet: &out}, nil
}

func (a tx) DescribeSubnets(in *ec2.DescribeSubnetsInput) (*ec2.DescribeSubnetsOutput, error) {
	page, next, err := described(a, kindSubnet, a.state().Subnets, in.SubnetIds, in.Filters, in.MaxResults, in.NextToken, a.subnet)
	return &ec2.DescribeSubnetsOutput{Subnets: page, NextToken: next}, err
}

func (a tx) ModifySubnetAttribute(in *ec2.ModifySubnetAttributeInput) (*ec2.ModifySubnetAttributeOutput, error) {
	s, err := item(a, kindSubnet, a.state().Subnets, aws.ToString(in.SubnetId))
	if err != nil {
		return nil, err
	}
	if in.MapPublicIpOnLaunch == nil {
		return nil, kernel.Fail("InvalidParameterCombination", "No attributes specified.")
	}
	s.Public = aws.ToBool(in.MapPublicIpOnLaunch.Value)
	return &ec2.ModifySubnetAttributeOutput{}, nil
}

// DeleteSubnet deletes a subnet that no network interface is in. Its
// association with a route table goes with it.
func (a tx) DeleteSubnet(in *ec2.DeleteSubnetInput) (*ec2.DeleteSubnetOutput, error) {
	st := a.state()
	s, err := item(a, kindSubnet, st.Subnets, aws.ToString(in.SubnetId))
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(st.Interfaces, func(i *networkInterface) bool { return i.SubnetID == s.ID }) {
		return nil, kernel.Fail("DependencyViolation", "The subnet '%s' has dependencies and cannot be deleted.", s.ID)
	}
	st.Subnets = slices.DeleteFunc(st.Subnets, func(x *subnet) bool { return x == s })
	for _, t := range st.Tables {
		t.Associations = slices.DeleteFunc(t.Associations, func(x association) bool { return x.Subnet == s.ID })
	}
	for _, l := range st.ACLs {
		delete(l.Subnets, s.ID)
	}
	return &ec2.DeleteSubnetOutput{}, nil
}
