package ec2

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// gateway is an internet gateway, attached to one VPC or none.
type gateway struct {
	resource
	VPC string `json:"vpc,omitempty"`
}

func (g *gateway) fields() map[string][]string {
	f := map[string][]string{"internet-gateway-id": {g.ID}, "attachment.vpc-id": {}, "attachment.state": {}}
	if g.VPC != "" {
		f["attachment.vpc-id"], f["attachment.state"] = []string{g.VPC}, []string{"available"}
	}
	return f
}

func (a tx) gateway(g *gateway) types.InternetGateway {
	out := types.InternetGateway{InternetGatewayId: aws.String(g.ID), OwnerId: aws.String(a.Account()), Tags: writeTags(g.Tags)}
	if g.VPC != "" {
		// "available" is not in AttachmentStatus, and is what EC2 answers.
		out.Attachments = []types.InternetGatewayAttachment{{VpcId: aws.String(g.VPC), State: "available"}}
	}
	return out
}

func (a tx) CreateInternetGateway(in *ec2.CreateInternetGatewayInput) (*ec2.CreateInternetGatewayOutput, error) {
	tags, err := onCreate(kindGateway, in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	g := &gateway{resource: resource{kernel.NewID("igw"), tags}}
	a.state().Gateways = append(a.state().Gateways, g)
	a.Created(g.ID)
	out := a.gateway(g)
	return &ec2.CreateInternetGatewayOutput{InternetGateway: &out}, nil
}

func (a tx) DescribeInternetGateways(in *ec2.DescribeInternetGatewaysInput) (*ec2.DescribeInternetGatewaysOutput, error) {
	page, next, err := described(a, kindGateway, a.state().Gateways, in.InternetGatewayIds, in.Filters, in.MaxResults, in.NextToken, a.gateway)
	return &ec2.DescribeInternetGatewaysOutput{InternetGateways: page, NextToken: next}, err
}

func (a tx) gatewayAndVPC(gateway, vpc *string) (*gateway, *vpc, error) {
	g, err := item(a, kindGateway, a.state().Gateways, aws.ToString(gateway))
	if err != nil {
		return nil, nil, err
	}
	v, err := item(a, kindVPC, a.state().VPCs, aws.ToString(vpc))
	return g, v, err
}

func (a tx) AttachInternetGateway(in *ec2.AttachInternetGatewayInput) (*ec2.AttachInternetGatewayOutput, error) {
	g, v, err := a.gatewayAndVPC(in.InternetGatewayId, in.VpcId)
	if err != nil {
		return nil, err
	}
	if g.VPC != "" {
		return nil, kernel.Fail("Resource.AlreadyAssociated", "resource %s is already attached to network %s", g.ID, g.VPC)
	}
	if slices.ContainsFunc(a.state().Gateways, func(x *gateway) bool { return x.VPC == v.ID }) {
		return nil, kernel.Fail("InvalidParameterValue", "Network %s already has an internet gateway attached", v.ID)
	}
	g.VPC = v.ID
	return &ec2.AttachInternetGatewayOutput{}, nil
}

// DetachInternetGateway refuses while anything in the VPC has a public address:
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DetachInternetGateway.html
func (a tx) DetachInternetGateway(in *ec2.DetachInternetGatewayInput) (*ec2.DetachInternetGatewayOutput, error) {
	g, v, err := a.gatewayAndVPC(in.InternetGatewayId, in.VpcId)
	if err != nil {
		return nil, err
	}
	if g.VPC != v.ID {
		return nil, kernel.Fail("Gateway.NotAttached", "resource %s is not attached to network %s", g.ID, v.ID)
	}
	if slices.ContainsFunc(a.state().Interfaces, func(i *networkInterface) bool { return i.VPC == v.ID && i.PublicIP != "" }) {
		return nil, kernel.Fail("DependencyViolation", "Network %s has some mapped public address(es). Please unmap those public address(es) before detaching the gateway.", v.ID)
	}
	g.VPC = ""
	return &ec2.DetachInternetGatewayOutput{}, nil
}

func (a tx) DeleteInternetGateway(in *ec2.DeleteInternetGatewayInput) (*ec2.DeleteInternetGatewayOutput, error) {
	g, err := item(a, kindGateway, a.state().Gateways, aws.ToString(in.InternetGatewayId))
	if err != nil {
		return nil, err
	}
	if g.VPC != "" {
		return nil, kernel.Fail("DependencyViolation", "The internetGateway '%s' has dependencies and cannot be deleted.", g.ID)
	}
	a.state().Gateways = slices.DeleteFunc(a.state().Gateways, func(x *gateway) bool { return x == g })
	return &ec2.DeleteInternetGatewayOutput{}, nil
}
