package ec2

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/network"
)

// attachment is something that others put into a VPC or attach to it: it carries
// nothing here, and holds the VPC, and its interfaces hold their subnets and groups.
// https://docs.aws.amazon.com/vpc/latest/userguide/delete-vpc.html
type attachment struct {
	resource
	Prefix  string   `json:"prefix"` // of its kind
	VPC     string   `json:"vpc,omitempty"`
	Peer    string   `json:"peer,omitempty"` // the other VPC
	Subnets []string `json:"subnets,omitempty"`
	Groups  []string `json:"groups,omitempty"`
	Service string   `json:"service,omitempty"`
	Gateway string   `json:"gateway,omitempty"` // the transit gateway
	State   string   `json:"state"`
	// Interfaces are the ids of its network interfaces.
	Interfaces []string `json:"interfaces,omitempty"`
}

var (
	kindEndpoint = resourceKind{"vpce", "InvalidVpcEndpointId", "Vpc Endpoint Id", types.ResourceTypeVpcEndpoint}
	kindNAT      = resourceKind{"nat", "NatGateway", "NatGateway", types.ResourceTypeNatgateway}
	kindPeering  = resourceKind{"pcx", "InvalidVpcPeeringConnectionID", "vpcPeeringConnection ID", types.ResourceTypeVpcPeeringConnection}
	kindVPN      = resourceKind{"vgw", "InvalidVpnGatewayID", "vpnGateway ID", types.ResourceTypeVpnGateway}
	kindTransit  = resourceKind{"tgw-attach", "InvalidTransitGatewayAttachmentID", "Transit Gateway Attachment", types.ResourceTypeTransitGatewayAttachment}
	kindEgress   = resourceKind{"eigw", "InvalidGatewayID", "egressOnlyInternetGateway ID", types.ResourceTypeEgressOnlyInternetGateway}
)

// attachedKinds are the kinds of attachment.
var attachedKinds = []resourceKind{kindEndpoint, kindNAT, kindPeering, kindVPN, kindTransit, kindEgress}

func (x *attachment) fields() map[string][]string {
	return map[string][]string{
		"vpc-id": {x.VPC}, "attachment.vpc-id": {x.VPC}, "requester-vpc-info.vpc-id": {x.VPC}, "accepter-vpc-info.vpc-id": {x.Peer},
		"state": {x.State}, "status-code": {x.State}, "subnet-id": x.Subnets, "service-name": {x.Service}, "transit-gateway-id": {x.Gateway},
	}
}

// attached are those of one kind.
func (a tx) attached(kind resourceKind) []*attachment {
	var out []*attachment
	for _, x := range a.state().Attached {
		if x.Prefix == kind.prefix {
			out = append(out, x)
		}
	}
	return out
}

// attach creates one, with an interface in each of its subnets.
func (a tx) attach(kind resourceKind, x attachment, interfaces, description string, specs []types.TagSpecification) (*attachment, error) {
	tags, err := onCreate(kind, specs)
	if err != nil {
		return nil, err
	}
	if x.VPC != "" {
		if _, err := item(a, kindVPC, a.state().VPCs, x.VPC); err != nil {
			return nil, err
		}
	}
	x.resource, x.Prefix = resource{kernel.NewID(kind.prefix), tags}, kind.prefix
	for _, id := range x.Subnets {
		i, err := a.Attach(a.Tx, network.Spec{SubnetID: id, Groups: x.Groups, Description: description + x.ID, RequesterID: "amazon-aws", InterfaceType: interfaces})
		if err != nil {
			return nil, err
		}
		x.Interfaces = append(x.Interfaces, i.ID)
	}
	a.state().Attached = append(a.state().Attached, &x)
	a.Created(x.ID)
	return &x, nil
}

// detach removes one with its interfaces, which linger.
func (a tx) detach(kind resourceKind, id *string) (*attachment, error) {
	x, err := item(a, kind, a.attached(kind), aws.ToString(id))
	if err != nil {
		return nil, err
	}
	for _, i := range x.Interfaces {
		a.Release(a.Tx, i)
	}
	a.state().Attached = slices.DeleteFunc(a.state().Attached, func(y *attachment) bool { return y == x })
	return x, nil
}

// holdsVPC reports whether something that was attached keeps a VPC.
func (a tx) holdsVPC(id string) bool {
	return slices.ContainsFunc(a.state().Attached, func(x *attachment) bool { return x.VPC == id || x.Peer == id })
}

func (a tx) subnetVPC(id *string) (string, error) {
	s, err := item(a, kindSubnet, a.state().Subnets, aws.ToString(id))
	if err != nil {
		return "", err
	}
	return s.VPC, nil
}

func (a tx) endpointOf(x *attachment) types.VpcEndpoint {
	out := types.VpcEndpoint{
		VpcEndpointId: aws.String(x.ID), VpcId: aws.String(x.VPC), ServiceName: aws.String(x.Service), State: types.State(x.State), OwnerId: aws.String(a.Account()),
		SubnetIds: x.Subnets, NetworkInterfaceIds: x.Interfaces, Tags: writeTags(x.Tags), VpcEndpointType: types.VpcEndpointTypeGateway,
	}
	if x.Subnets != nil {
		out.VpcEndpointType = types.VpcEndpointTypeInterface
	}
	for _, g := range x.Groups {
		out.Groups = append(out.Groups, types.SecurityGroupIdentifier{GroupId: aws.String(g)})
	}
	return out
}

// CreateVpcEndpoint creates a gateway endpoint, or an interface endpoint in subnets.
func (a tx) CreateVpcEndpoint(in *ec2.CreateVpcEndpointInput) (*ec2.CreateVpcEndpointOutput, error) {
	x, err := a.attach(kindEndpoint, attachment{VPC: aws.ToString(in.VpcId), Service: aws.ToString(in.ServiceName), Subnets: in.SubnetIds, Groups: in.SecurityGroupIds, State: "available"},
		"vpc_endpoint", "VPC Endpoint Interface ", in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	out := a.endpointOf(x)
	return &ec2.CreateVpcEndpointOutput{VpcEndpoint: &out}, nil
}

// DeleteVpcEndpoints deletes endpoints.
func (a tx) DeleteVpcEndpoints(in *ec2.DeleteVpcEndpointsInput) (*ec2.DeleteVpcEndpointsOutput, error) {
	for _, id := range in.VpcEndpointIds {
		if _, err := a.detach(kindEndpoint, &id); err != nil {
			return nil, err
		}
	}
	return &ec2.DeleteVpcEndpointsOutput{}, nil
}

// DescribeVpcEndpoints lists endpoints.
func (a tx) DescribeVpcEndpoints(in *ec2.DescribeVpcEndpointsInput) (*ec2.DescribeVpcEndpointsOutput, error) {
	all, _, err := described(a, kindEndpoint, a.attached(kindEndpoint), in.VpcEndpointIds, in.Filters, nil, nil, a.endpointOf)
	return &ec2.DescribeVpcEndpointsOutput{VpcEndpoints: all}, err
}

func natOf(x *attachment) types.NatGateway {
	return types.NatGateway{
		NatGatewayId: aws.String(x.ID), VpcId: aws.String(x.VPC), SubnetId: aws.String(x.Subnets[0]), State: types.NatGatewayState(x.State),
		ConnectivityType: types.ConnectivityTypePrivate, Tags: writeTags(x.Tags),
	}
}

// CreateNatGateway creates a private NAT gateway.
func (a tx) CreateNatGateway(in *ec2.CreateNatGatewayInput) (*ec2.CreateNatGatewayOutput, error) {
	if in.ConnectivityType != types.ConnectivityTypePrivate {
		return nil, kernel.Fail("InvalidParameterValue", "The local cloud has private NAT gateways only: it has no elastic addresses")
	}
	vpc, err := a.subnetVPC(in.SubnetId)
	if err != nil {
		return nil, err
	}
	x, err := a.attach(kindNAT, attachment{VPC: vpc, Subnets: []string{aws.ToString(in.SubnetId)}, State: "available"}, "nat_gateway", "Interface for NAT Gateway ", in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	out := natOf(x)
	return &ec2.CreateNatGatewayOutput{NatGateway: &out}, nil
}

// DeleteNatGateway deletes one.
func (a tx) DeleteNatGateway(in *ec2.DeleteNatGatewayInput) (*ec2.DeleteNatGatewayOutput, error) {
	x, err := a.detach(kindNAT, in.NatGatewayId)
	if err != nil {
		return nil, err
	}
	return &ec2.DeleteNatGatewayOutput{NatGatewayId: aws.String(x.ID)}, nil
}

// DescribeNatGateways lists NAT gateways.
func (a tx) DescribeNatGateways(in *ec2.DescribeNatGatewaysInput) (*ec2.DescribeNatGatewaysOutput, error) {
	all, _, err := described(a, kindNAT, a.attached(kindNAT), in.NatGatewayIds, in.Filter, nil, nil, natOf)
	return &ec2.DescribeNatGatewaysOutput{NatGateways: all}, err
}

func (a tx) peeringOf(x *attachment) types.VpcPeeringConnection {
	side := func(vpc string) *types.VpcPeeringConnectionVpcInfo {
		return &types.VpcPeeringConnectionVpcInfo{VpcId: aws.String(vpc), OwnerId: aws.String(a.Account()), Region: aws.String(a.Region())}
	}
	return types.VpcPeeringConnection{
		VpcPeeringConnectionId: aws.String(x.ID), RequesterVpcInfo: side(x.VPC), AccepterVpcInfo: side(x.Peer), Tags: writeTags(x.Tags),
		Status: &types.VpcPeeringConnectionStateReason{Code: types.VpcPeeringConnectionStateReasonCode(x.State)},
	}
}

// CreateVpcPeeringConnection asks for a connection of two VPCs of the account.
func (a tx) CreateVpcPeeringConnection(in *ec2.CreateVpcPeeringConnectionInput) (*ec2.CreateVpcPeeringConnectionOutput, error) {
	if _, err := item(a, kindVPC, a.state().VPCs, aws.ToString(in.PeerVpcId)); err != nil {
		return nil, err
	}
	x, err := a.attach(kindPeering, attachment{VPC: aws.ToString(in.VpcId), Peer: aws.ToString(in.PeerVpcId), State: "pending-acceptance"}, "", "", in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	out := a.peeringOf(x)
	return &ec2.CreateVpcPeeringConnectionOutput{VpcPeeringConnection: &out}, nil
}

// AcceptVpcPeeringConnection makes it active.
func (a tx) AcceptVpcPeeringConnection(in *ec2.AcceptVpcPeeringConnectionInput) (*ec2.AcceptVpcPeeringConnectionOutput, error) {
	x, err := item(a, kindPeering, a.attached(kindPeering), aws.ToString(in.VpcPeeringConnectionId))
	if err != nil {
		return nil, err
	}
	x.State = "active"
	out := a.peeringOf(x)
	return &ec2.AcceptVpcPeeringConnectionOutput{VpcPeeringConnection: &out}, nil
}

// DeleteVpcPeeringConnection deletes one.
func (a tx) DeleteVpcPeeringConnection(in *ec2.DeleteVpcPeeringConnectionInput) (*ec2.DeleteVpcPeeringConnectionOutput, error) {
	_, err := a.detach(kindPeering, in.VpcPeeringConnectionId)
	return &ec2.DeleteVpcPeeringConnectionOutput{Return: aws.Bool(true)}, err
}

// DescribeVpcPeeringConnections lists connections.
func (a tx) DescribeVpcPeeringConnections(in *ec2.DescribeVpcPeeringConnectionsInput) (*ec2.DescribeVpcPeeringConnectionsOutput, error) {
	all, _, err := described(a, kindPeering, a.attached(kindPeering), in.VpcPeeringConnectionIds, in.Filters, nil, nil, a.peeringOf)
	return &ec2.DescribeVpcPeeringConnectionsOutput{VpcPeeringConnections: all}, err
}

func vpnOf(x *attachment) types.VpnGateway {
	out := types.VpnGateway{VpnGatewayId: aws.String(x.ID), State: types.VpnStateAvailable, Type: types.GatewayTypeIpsec1, Tags: writeTags(x.Tags), VpcAttachments: []types.VpcAttachment{}}
	if x.VPC != "" {
		out.VpcAttachments = []types.VpcAttachment{{VpcId: aws.String(x.VPC), State: types.AttachmentStatusAttached}}
	}
	return out
}

// CreateVpnGateway creates a VPN gateway that is attached to nothing.
func (a tx) CreateVpnGateway(in *ec2.CreateVpnGatewayInput) (*ec2.CreateVpnGatewayOutput, error) {
	x, err := a.attach(kindVPN, attachment{State: "available"}, "", "", in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	out := vpnOf(x)
	return &ec2.CreateVpnGatewayOutput{VpnGateway: &out}, nil
}

// AttachVpnGateway attaches one to a VPC.
func (a tx) AttachVpnGateway(in *ec2.AttachVpnGatewayInput) (*ec2.AttachVpnGatewayOutput, error) {
	x, err := item(a, kindVPN, a.attached(kindVPN), aws.ToString(in.VpnGatewayId))
	if err != nil {
		return nil, err
	}
	v, err := item(a, kindVPC, a.state().VPCs, aws.ToString(in.VpcId))
	if err != nil {
		return nil, err
	}
	x.VPC = v.ID
	return &ec2.AttachVpnGatewayOutput{VpcAttachment: &types.VpcAttachment{VpcId: aws.String(v.ID), State: types.AttachmentStatusAttached}}, nil
}

// DetachVpnGateway takes one off its VPC.
func (a tx) DetachVpnGateway(in *ec2.DetachVpnGatewayInput) (*ec2.DetachVpnGatewayOutput, error) {
	x, err := item(a, kindVPN, a.attached(kindVPN), aws.ToString(in.VpnGatewayId))
	if err != nil {
		return nil, err
	}
	x.VPC = ""
	return &ec2.DetachVpnGatewayOutput{}, nil
}

// DeleteVpnGateway deletes one that is attached to nothing.
func (a tx) DeleteVpnGateway(in *ec2.DeleteVpnGatewayInput) (*ec2.DeleteVpnGatewayOutput, error) {
	if x, err := item(a, kindVPN, a.attached(kindVPN), aws.ToString(in.VpnGatewayId)); err == nil && x.VPC != "" {
		return nil, kernel.Fail("IncorrectState", "The vpnGateway '%s' is in use", x.ID)
	}
	_, err := a.detach(kindVPN, in.VpnGatewayId)
	return &ec2.DeleteVpnGatewayOutput{}, err
}

// DescribeVpnGateways lists VPN gateways.
func (a tx) DescribeVpnGateways(in *ec2.DescribeVpnGatewaysInput) (*ec2.DescribeVpnGatewaysOutput, error) {
	all, _, err := described(a, kindVPN, a.attached(kindVPN), in.VpnGatewayIds, in.Filters, nil, nil, vpnOf)
	return &ec2.DescribeVpnGatewaysOutput{VpnGateways: all}, err
}

func (a tx) transitOf(x *attachment) types.TransitGatewayVpcAttachment {
	return types.TransitGatewayVpcAttachment{
		TransitGatewayAttachmentId: aws.String(x.ID), TransitGatewayId: aws.String(x.Gateway), VpcId: aws.String(x.VPC), VpcOwnerId: aws.String(a.Account()),
		SubnetIds: x.Subnets, State: types.TransitGatewayAttachmentState(x.State), Tags: writeTags(x.Tags),
	}
}

// CreateTransitGatewayVpcAttachment attaches a VPC to a transit gateway, which may be
// anybody's: the local cloud knows none.
func (a tx) CreateTransitGatewayVpcAttachment(in *ec2.CreateTransitGatewayVpcAttachmentInput) (*ec2.CreateTransitGatewayVpcAttachmentOutput, error) {
	x, err := a.attach(kindTransit, attachment{VPC: aws.ToString(in.VpcId), Subnets: in.SubnetIds, Gateway: aws.ToString(in.TransitGatewayId), State: "available"},
		"transit_gateway", "Network Interface for Transit Gateway Attachment ", in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	out := a.transitOf(x)
	return &ec2.CreateTransitGatewayVpcAttachmentOutput{TransitGatewayVpcAttachment: &out}, nil
}

// DeleteTransitGatewayVpcAttachment deletes one.
func (a tx) DeleteTransitGatewayVpcAttachment(in *ec2.DeleteTransitGatewayVpcAttachmentInput) (*ec2.DeleteTransitGatewayVpcAttachmentOutput, error) {
	x, err := a.detach(kindTransit, in.TransitGatewayAttachmentId)
	if err != nil {
		return nil, err
	}
	out := a.transitOf(x)
	out.State = types.TransitGatewayAttachmentStateDeleting
	return &ec2.DeleteTransitGatewayVpcAttachmentOutput{TransitGatewayVpcAttachment: &out}, nil
}

// DescribeTransitGatewayVpcAttachments lists attachments.
func (a tx) DescribeTransitGatewayVpcAttachments(in *ec2.DescribeTransitGatewayVpcAttachmentsInput) (*ec2.DescribeTransitGatewayVpcAttachmentsOutput, error) {
	all, _, err := described(a, kindTransit, a.attached(kindTransit), in.TransitGatewayAttachmentIds, in.Filters, nil, nil, a.transitOf)
	return &ec2.DescribeTransitGatewayVpcAttachmentsOutput{TransitGatewayVpcAttachments: all}, err
}

func egressOf(x *attachment) types.EgressOnlyInternetGateway {
	return types.EgressOnlyInternetGateway{
		EgressOnlyInternetGatewayId: aws.String(x.ID), Tags: writeTags(x.Tags),
		Attachments: []types.InternetGatewayAttachment{{VpcId: aws.String(x.VPC), State: types.AttachmentStatusAttached}},
	}
}

// CreateEgressOnlyInternetGateway creates one, attached from birth.
func (a tx) CreateEgressOnlyInternetGateway(in *ec2.CreateEgressOnlyInternetGatewayInput) (*ec2.CreateEgressOnlyInternetGatewayOutput, error) {
	x, err := a.attach(kindEgress, attachment{VPC: aws.ToString(in.VpcId), State: "attached"}, "", "", in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	out := egressOf(x)
	return &ec2.CreateEgressOnlyInternetGatewayOutput{EgressOnlyInternetGateway: &out}, nil
}

// DeleteEgressOnlyInternetGateway deletes one.
func (a tx) DeleteEgressOnlyInternetGateway(in *ec2.DeleteEgressOnlyInternetGatewayInput) (*ec2.DeleteEgressOnlyInternetGatewayOutput, error) {
	_, err := a.detach(kindEgress, in.EgressOnlyInternetGatewayId)
	return &ec2.DeleteEgressOnlyInternetGatewayOutput{ReturnCode: aws.Bool(true)}, err
}

// DescribeEgressOnlyInternetGateways lists them; only tags filter them.
func (a tx) DescribeEgressOnlyInternetGateways(in *ec2.DescribeEgressOnlyInternetGatewaysInput) (*ec2.DescribeEgressOnlyInternetGatewaysOutput, error) {
	all, _, err := described(a, kindEgress, a.attached(kindEgress), in.EgressOnlyInternetGatewayIds, in.Filters, nil, nil, egressOf)
	return &ec2.DescribeEgressOnlyInternetGatewaysOutput{EgressOnlyInternetGateways: all}, err
}
