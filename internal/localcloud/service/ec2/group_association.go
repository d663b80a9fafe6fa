package ec2

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// groupAssociation is that of a security group with another VPC, as it is described.
type groupAssociation struct {
	resource // of no id
	group    string
	vpc      string
}

func (x *groupAssociation) fields() map[string][]string {
	return map[string][]string{"group-id": {x.group}, "vpc-id": {x.vpc}, "state": {string(types.SecurityGroupVpcAssociationStateAssociated)}}
}

// AssociateSecurityGroupVpc lets another VPC use a group, at once.
// https://docs.aws.amazon.com/vpc/latest/userguide/security-group-assoc.html
func (a tx) AssociateSecurityGroupVpc(in *ec2.AssociateSecurityGroupVpcInput) (*ec2.AssociateSecurityGroupVpcOutput, error) {
	g, err := item(a, kindGroup, a.state().Groups, aws.ToString(in.GroupId))
	if err != nil {
		return nil, err
	}
	v, err := item(a, kindVPC, a.state().VPCs, aws.ToString(in.VpcId))
	if err != nil {
		return nil, err
	}
	if g.Name == defaultGroup || v.Default || g.VPC == v.ID {
		return nil, kernel.Fail("InvalidParameterValue", "The security group '%s' cannot be associated with the vpc '%s'.", g.ID, v.ID)
	}
	if !slices.Contains(g.Associated, v.ID) {
		g.Associated = append(g.Associated, v.ID)
	}
	return &ec2.AssociateSecurityGroupVpcOutput{State: types.SecurityGroupVpcAssociationStateAssociating}, nil
}

// DisassociateSecurityGroupVpc ends that, unless an interface in the VPC has the group.
func (a tx) DisassociateSecurityGroupVpc(in *ec2.DisassociateSecurityGroupVpcInput) (*ec2.DisassociateSecurityGroupVpcOutput, error) {
	g, err := item(a, kindGroup, a.state().Groups, aws.ToString(in.GroupId))
	if err != nil {
		return nil, err
	}
	id := aws.ToString(in.VpcId)
	if !slices.Contains(g.Associated, id) {
		return nil, kindVPC.notFound(id)
	}
	if slices.ContainsFunc(a.state().Interfaces, func(i *networkInterface) bool { return i.VPC == id && slices.Contains(i.Groups, g.ID) }) {
		return nil, kernel.Fail("DependencyViolation", "resource %s has a dependent object", g.ID)
	}
	g.Associated = slices.DeleteFunc(g.Associated, func(x string) bool { return x == id })
	return &ec2.DisassociateSecurityGroupVpcOutput{State: types.SecurityGroupVpcAssociationStateDisassociating}, nil
}

// DescribeSecurityGroupVpcAssociations lists the associations of all groups.
func (a tx) DescribeSecurityGroupVpcAssociations(in *ec2.DescribeSecurityGroupVpcAssociationsInput) (*ec2.DescribeSecurityGroupVpcAssociationsOutput, error) {
	var all []*groupAssociation
	for _, g := range a.state().Groups {
		for _, vpc := range g.Associated {
			all = append(all, &groupAssociation{group: g.ID, vpc: vpc})
		}
	}
	account := aws.String(a.Account())
	page, next, err := described(a, kindGroup, all, nil, in.Filters, in.MaxResults, in.NextToken, func(x *groupAssociation) types.SecurityGroupVpcAssociation {
		return types.SecurityGroupVpcAssociation{
			GroupId: &x.group, GroupOwnerId: account, VpcId: &x.vpc, VpcOwnerId: account, State: types.SecurityGroupVpcAssociationStateAssociated,
		}
	})
	return &ec2.DescribeSecurityGroupVpcAssociationsOutput{SecurityGroupVpcAssociations: page, NextToken: next}, err
}
