package ec2

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/network"
)

// reservedAddresses are AWS's own in every subnet, the first four and the last:
// https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
const reservedAddresses = 5

// networkInterface is a network interface: in use by what a service has attached
// it to, or a customer's own that lies about.
type networkInterface struct {
	resource
	SubnetID    string    `json:"subnet"`
	VPC         string    `json:"vpc"`
	Zone        string    `json:"zone"`
	Groups      []string  `json:"groups,omitempty"`
	Description string    `json:"description,omitempty"`
	RequesterID string    `json:"requester,omitempty"` // the service; empty: the customer
	Type        string    `json:"type"`
	PrivateIP   string    `json:"privateIP"`
	PublicIP    string    `json:"publicIP,omitempty"`
	MAC         string    `json:"mac"`
	Attachment  string    `json:"attachment,omitempty"` // its id
	Attached    time.Time `json:"attached,omitzero"`
	// Released reports whether its owner is gone and it lingers.
	Released bool `json:"released,omitempty"`
}

func (i *networkInterface) fields() map[string][]string {
	f := map[string][]string{
		"network-interface-id": {i.ID}, "subnet-id": {i.SubnetID}, "vpc-id": {i.VPC}, "availability-zone": {i.Zone}, "group-id": i.Groups,
		"description": {i.Description}, "requester-id": {i.RequesterID}, "requester-managed": {strconv.FormatBool(i.RequesterID != "")},
		"interface-type": {i.Type}, "private-ip-address": {i.PrivateIP}, "addresses.private-ip-address": {i.PrivateIP},
		"mac-address": {i.MAC}, "status": {string(i.status())}, "association.public-ip": {}, "attachment.attachment-id": {},
		"attachment.instance-owner-id": {}, "attachment.status": {},
	}
	if i.PublicIP != "" {
		f["association.public-ip"] = []string{i.PublicIP}
	}
	if i.Attachment != "" {
		f["attachment.attachment-id"], f["attachment.status"] = []string{i.Attachment}, []string{string(i.attachmentStatus())}
		f["attachment.instance-owner-id"] = []string{i.RequesterID}
	}
	return f
}

func (i *networkInterface) status() types.NetworkInterfaceStatus {
	if i.Attachment == "" {
		return types.NetworkInterfaceStatusAvailable
	}
	return types.NetworkInterfaceStatusInUse
}

func (i *networkInterface) attachmentStatus() types.AttachmentStatus {
	if i.Released {
		return types.AttachmentStatusDetaching
	}
	return types.AttachmentStatusAttached
}

func (a tx) networkInterface(i *networkInterface) types.NetworkInterface {
	out := types.NetworkInterface{
		NetworkInterfaceId: aws.String(i.ID), SubnetId: aws.String(i.SubnetID), VpcId: aws.String(i.VPC), OwnerId: aws.String(a.Account()),
		AvailabilityZone: aws.String(i.Zone), AvailabilityZoneId: aws.String(a.ZoneID(i.Zone)), Description: aws.String(i.Description),
		InterfaceType: types.NetworkInterfaceType(i.Type), MacAddress: aws.String(i.MAC), PrivateIpAddress: aws.String(i.PrivateIP),
		RequesterManaged: aws.Bool(i.RequesterID != ""), SourceDestCheck: aws.Bool(true), Status: i.status(), TagSet: writeTags(i.Tags),
	}
	if i.RequesterID != "" {
		out.RequesterId = aws.String(i.RequesterID)
	}
	for _, id := range i.Groups {
		g := types.GroupIdentifier{GroupId: aws.String(id)}
		for _, x := range a.state().Groups {
			if x.ID == id {
				g.GroupName = aws.String(x.Name)
			}
		}
		out.Groups = append(out.Groups, g)
	}
	if i.PublicIP != "" {
		out.Association = &types.NetworkInterfaceAssociation{PublicIp: aws.String(i.PublicIP), IpOwnerId: aws.String("amazon")}
	}
	out.PrivateIpAddresses = []types.NetworkInterfacePrivateIpAddress{{Primary: aws.Bool(true), PrivateIpAddress: aws.String(i.PrivateIP), Association: out.Association}}
	if i.Attachment != "" {
		out.Attachment = &types.NetworkInterfaceAttachment{
			AttachmentId: aws.String(i.Attachment), AttachTime: aws.Time(i.Attached), DeleteOnTermination: aws.Bool(true),
			DeviceIndex: aws.Int32(1), InstanceOwnerId: aws.String(i.RequesterID), Status: i.attachmentStatus(),
		}
	}
	return out
}

func (a tx) makeInterface(spec network.Spec) (*networkInterface, error) {
	st := a.state()
	s, err := item(a, kindSubnet, st.Subnets, spec.SubnetID)
	if err != nil {
		return nil, err
	}
	groups := slices.Clone(spec.Groups)
	if len(groups) > quotaGroups {
		return nil, kernel.Fail("SecurityGroupsPerInterfaceLimitExceeded", "The maximum number of security groups per interface has been reached.")
	}
	for _, id := range groups {
		g, err := item(a, kindGroup, st.Groups, id)
		if err != nil {
			return nil, err
		}
		if g.VPC != s.VPC && !slices.Contains(g.Associated, s.VPC) {
			return nil, kernel.Fail("InvalidParameter", "Security group %s and subnet %s belong to different networks.", g.ID, s.ID)
		}
	}
	if len(groups) == 0 {
		for _, g := range st.Groups {
			if g.VPC == s.VPC && g.Name == defaultGroup {
				groups = []string{g.ID}
			}
		}
	}
	address, err := a.freeAddress(s)
	if err != nil {
		return nil, err
	}
	i := &networkInterface{
		resource: resource{ID: kernel.NewID("eni")}, SubnetID: s.ID, VPC: s.VPC, Zone: s.Zone, Groups: groups, Description: spec.Description,
		RequesterID: spec.RequesterID, Type: spec.InterfaceType, PrivateIP: address, MAC: newMAC(),
	}
	if i.Type == "" {
		i.Type = string(types.NetworkInterfaceTypeInterface)
	}
	if spec.Public {
		i.PublicIP = a.publicAddress()
	}
	st.Interfaces = append(st.Interfaces, i)
	return i, nil
}

func newMAC() string {
	h := kernel.HexDigits(10)
	return strings.Join([]string{"0a", h[:2], h[2:4], h[4:6], h[6:8], h[8:]}, ":")
}

// freeAddress is the lowest free one.
func (a tx) freeAddress(s *subnet) (string, error) {
	taken := map[string]bool{}
	for _, i := range a.state().Interfaces {
		if i.SubnetID == s.ID {
			taken[i.PrivateIP] = true
		}
	}
	whole := netip.MustParsePrefix(s.CIDR)
	address := whole.Addr()
	for range 4 {
		address = address.Next()
	}
	for ; whole.Contains(address.Next()); address = address.Next() {
		if !taken[address.String()] {
			return address.String(), nil
		}
	}
	return "", kernel.Fail("InsufficientFreeAddressesInSubnet", "There are insufficient free addresses in that subnet to allocate the requested addresses: %s", s.ID)
}

// publicAddress makes one of the ranges that are nobody's (RFC 5737).
func (a tx) publicAddress() string {
	n := a.state().Addresses
	a.state().Addresses++
	return fmt.Sprintf("%s.%d", []string{"203.0.113", "198.51.100"}[n/254%2], n%254+1)
}

// interfaceLinger is how long a network interface outlives its owner.
func (s *Service) interfaceLinger() time.Duration {
	return max(s.Scaled(s.Latencies().Interface), kernel.Seconds(s.Faults().InterfaceSeconds))
}

func (a tx) DescribeNetworkInterfaces(in *ec2.DescribeNetworkInterfacesInput) (*ec2.DescribeNetworkInterfacesOutput, error) {
	page, next, err := described(a, kindInterface, a.state().Interfaces, in.NetworkInterfaceIds, in.Filters, in.MaxResults, in.NextToken, a.networkInterface)
	return &ec2.DescribeNetworkInterfacesOutput{NetworkInterfaces: page, NextToken: next}, err
}

// CreateNetworkInterface creates a customer's own interface, in use by nothing.
func (a tx) CreateNetworkInterface(in *ec2.CreateNetworkInterfaceInput) (*ec2.CreateNetworkInterfaceOutput, error) {
	request := *in
	request.ClientToken = nil
	id, done, err := a.once(in.ClientToken, request)
	if err != nil {
		return nil, err
	}
	var i *networkInterface
	if id != "" {
		if i, err = item(a, kindInterface, a.state().Interfaces, id); err != nil {
			return nil, err
		}
	} else {
		tags, err := onCreate(kindInterface, in.TagSpecifications)
		if err != nil {
			return nil, err
		}
		if i, err = a.makeInterface(network.Spec{SubnetID: aws.ToString(in.SubnetId), Groups: in.Groups, Description: aws.ToString(in.Description)}); err != nil {
			return nil, err
		}
		i.Tags = tags
		done(i.ID)
		a.Created(i.ID)
	}
	out := a.networkInterface(i)
	return &ec2.CreateNetworkInterfaceOutput{NetworkInterface: &out, ClientToken: in.ClientToken}, nil
}

func (a tx) DeleteNetworkInterface(in *ec2.DeleteNetworkInterfaceInput) (*ec2.DeleteNetworkInterfaceOutput, error) {
	i, err := item(a, kindInterface, a.state().Interfaces, aws.ToString(in.NetworkInterfaceId))
	if err != nil {
		return nil, err
	}
	if i.Attachment != "" {
		return nil, kernel.Fail("InvalidParameterValue", "Network interface '%s' is currently in use.", i.ID)
	}
	a.state().Interfaces = slices.DeleteFunc(a.state().Interfaces, func(x *networkInterface) bool { return x == i })
	return &ec2.DeleteNetworkInterfaceOutput{}, nil
}

// DetachNetworkInterface is refused for everything that can be attached here:
// what a service has attached is its own to detach.
func (a tx) DetachNetworkInterface(in *ec2.DetachNetworkInterfaceInput) (*ec2.DetachNetworkInterfaceOutput, error) {
	id := aws.ToString(in.AttachmentId)
	if slices.ContainsFunc(a.state().Interfaces, func(i *networkInterface) bool { return i.Attachment == id }) {
		return nil, kernel.Fail("OperationNotPermitted", "You are not allowed to manage 'ela-attach' attachments.")
	}
	return nil, kernel.Fail("InvalidAttachmentID.NotFound", "The attachment ID '%s' does not exist", id)
}
