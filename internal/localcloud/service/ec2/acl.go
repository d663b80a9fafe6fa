package ec2

import (
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// networkACL is a network ACL. A subnet is with the default one of its VPC until it is
// moved: https://docs.aws.amazon.com/vpc/latest/userguide/vpc-network-acls.html.
// The local cloud shows what it says and holds nobody to it.
type networkACL struct {
	resource
	VPC     string                  `json:"vpc"`
	Default bool                    `json:"default,omitempty"`
	Entries []types.NetworkAclEntry `json:"entries,omitempty"`
	// Subnets are those moved to it, with the ids of their associations.
	Subnets map[string]string `json:"subnets,omitempty"`
}

// lastACLRule is the number of the entry that refuses what no other entry allows.
const lastACLRule = 32767

func aclEntry(number int32, action types.RuleAction, egress bool) types.NetworkAclEntry {
	return types.NetworkAclEntry{
		RuleNumber: &number, RuleAction: action, Egress: &egress, CidrBlock: aws.String("0.0.0.0/0"), Protocol: aws.String("-1"),
	}
}

// newACL creates an ACL that refuses everything, or, as the default one of a VPC,
// allows everything.
func newACL(vpc string, isDefault bool, tags map[string]string) *networkACL {
	l := &networkACL{resource: resource{kernel.NewID("acl"), tags}, VPC: vpc, Default: isDefault}
	for _, egress := range []bool{false, true} {
		if isDefault {
			l.Entries = append(l.Entries, aclEntry(100, types.RuleActionAllow, egress))
		}
		l.Entries = append(l.Entries, aclEntry(lastACLRule, types.RuleActionDeny, egress))
	}
	return l
}

func (l *networkACL) fields() map[string][]string {
	return map[string][]string{"network-acl-id": {l.ID}, "vpc-id": {l.VPC}, "default": {strconv.FormatBool(l.Default)}}
}

// aclAssociations are the ids of the associations of an ACL by subnet.
func (a tx) aclAssociations(l *networkACL) map[string]string {
	out := map[string]string{}
	for _, s := range a.state().Subnets {
		if s.VPC != l.VPC {
			continue
		}
		moved := slices.ContainsFunc(a.state().ACLs, func(x *networkACL) bool { return x.Subnets[s.ID] != "" })
		switch {
		case l.Subnets[s.ID] != "":
			out[s.ID] = l.Subnets[s.ID]
		case l.Default && !moved:
			out[s.ID] = "aclassoc-" + s.ID[len("subnet-"):]
		}
	}
	return out
}

func (a tx) acl(l *networkACL) types.NetworkAcl {
	out := types.NetworkAcl{
		NetworkAclId: aws.String(l.ID), VpcId: aws.String(l.VPC), IsDefault: aws.Bool(l.Default), OwnerId: aws.String(a.Account()),
		Entries: slices.Clone(l.Entries), Tags: writeTags(l.Tags),
	}
	for subnet, id := range a.aclAssociations(l) {
		out.Associations = append(out.Associations, types.NetworkAclAssociation{
			NetworkAclAssociationId: aws.String(id), NetworkAclId: aws.String(l.ID), SubnetId: aws.String(subnet),
		})
	}
	return out
}

func (a tx) DescribeNetworkAcls(in *ec2.DescribeNetworkAclsInput) (*ec2.DescribeNetworkAclsOutput, error) {
	page, next, err := described(a, kindACL, a.state().ACLs, in.NetworkAclIds, in.Filters, in.MaxResults, in.NextToken, a.acl)
	return &ec2.DescribeNetworkAclsOutput{NetworkAcls: page, NextToken: next}, err
}

// CreateNetworkAcl creates an ACL that lets nothing through.
func (a tx) CreateNetworkAcl(in *ec2.CreateNetworkAclInput) (*ec2.CreateNetworkAclOutput, error) {
	v, err := item(a, kindVPC, a.state().VPCs, aws.ToString(in.VpcId))
	if err != nil {
		return nil, err
	}
	tags, err := onCreate(kindACL, in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	l := newACL(v.ID, false, tags)
	a.state().ACLs = append(a.state().ACLs, l)
	a.Created(l.ID)
	out := a.acl(l)
	return &ec2.CreateNetworkAclOutput{NetworkAcl: &out}, nil
}

// DeleteNetworkAcl refuses the default ACL and one that subnets are with.
func (a tx) DeleteNetworkAcl(in *ec2.DeleteNetworkAclInput) (*ec2.DeleteNetworkAclOutput, error) {
	l, err := item(a, kindACL, a.state().ACLs, aws.ToString(in.NetworkAclId))
	if err != nil {
		return nil, err
	}
	if l.Default {
		return nil, kernel.Fail("InvalidParameterValue", "cannot delete default network ACL %s", l.ID)
	}
	if len(a.aclAssociations(l)) > 0 {
		return nil, kernel.Fail("DependencyViolation", "The networkAcl '%s' has dependencies and cannot be deleted.", l.ID)
	}
	a.state().ACLs = slices.DeleteFunc(a.state().ACLs, func(x *networkACL) bool { return x == l })
	return &ec2.DeleteNetworkAclOutput{}, nil
}

// ReplaceNetworkAclAssociation moves a subnet to another ACL of its VPC.
func (a tx) ReplaceNetworkAclAssociation(in *ec2.ReplaceNetworkAclAssociationInput) (*ec2.ReplaceNetworkAclAssociationOutput, error) {
	to, err := item(a, kindACL, a.state().ACLs, aws.ToString(in.NetworkAclId))
	if err != nil {
		return nil, err
	}
	for _, from := range a.state().ACLs {
		for subnet, id := range a.aclAssociations(from) {
			if id != aws.ToString(in.AssociationId) {
				continue
			}
			if from.VPC != to.VPC {
				return nil, kernel.Fail("InvalidParameterValue", "Network ACL %s and subnet %s belong to different networks", to.ID, subnet)
			}
			delete(from.Subnets, subnet)
			if to.Subnets == nil {
				to.Subnets = map[string]string{}
			}
			to.Subnets[subnet] = kernel.NewID("aclassoc")
			return &ec2.ReplaceNetworkAclAssociationOutput{NewAssociationId: aws.String(to.Subnets[subnet])}, nil
		}
	}
	return nil, kernel.Fail("InvalidAssociationID.NotFound", "The association ID '%s' does not exist", aws.ToString(in.AssociationId))
}

// aclEntryAt finds an entry by its number and direction; -1 for none.
func (a tx) aclEntryAt(acl *string, number *int32, egress *bool) (*networkACL, int, error) {
	l, err := item(a, kindACL, a.state().ACLs, aws.ToString(acl))
	if err != nil {
		return nil, 0, err
	}
	if n := aws.ToInt32(number); n < 1 || n >= lastACLRule {
		return nil, 0, kernel.Fail("InvalidParameterValue", "Value (%d) for parameter ruleNumber is invalid. The rule number must be between 1 and 32766.", n)
	}
	return l, slices.IndexFunc(l.Entries, func(e types.NetworkAclEntry) bool {
		return *e.RuleNumber == *number && *e.Egress == aws.ToBool(egress)
	}), nil
}

func (a tx) CreateNetworkAclEntry(in *ec2.CreateNetworkAclEntryInput) (*ec2.CreateNetworkAclEntryOutput, error) {
	l, at, err := a.aclEntryAt(in.NetworkAclId, in.RuleNumber, in.Egress)
	if err != nil {
		return nil, err
	}
	if at >= 0 {
		return nil, kernel.Fail("NetworkAclEntryAlreadyExists", "The network acl entry identified by %d already exists.", *in.RuleNumber)
	}
	l.Entries = append(l.Entries, types.NetworkAclEntry{
		RuleNumber: in.RuleNumber, RuleAction: in.RuleAction, Egress: aws.Bool(aws.ToBool(in.Egress)), CidrBlock: in.CidrBlock,
		Ipv6CidrBlock: in.Ipv6CidrBlock, Protocol: in.Protocol, PortRange: in.PortRange, IcmpTypeCode: in.IcmpTypeCode,
	})
	return &ec2.CreateNetworkAclEntryOutput{}, nil
}

func (a tx) ReplaceNetworkAclEntry(in *ec2.ReplaceNetworkAclEntryInput) (*ec2.ReplaceNetworkAclEntryOutput, error) {
	l, at, err := a.aclEntryAt(in.NetworkAclId, in.RuleNumber, in.Egress)
	if err != nil {
		return nil, err
	}
	if at < 0 {
		return nil, noACLEntry(l, in.RuleNumber)
	}
	l.Entries[at] = types.NetworkAclEntry{
		RuleNumber: in.RuleNumber, RuleAction: in.RuleAction, Egress: aws.Bool(aws.ToBool(in.Egress)), CidrBlock: in.CidrBlock,
		Ipv6CidrBlock: in.Ipv6CidrBlock, Protocol: in.Protocol, PortRange: in.PortRange, IcmpTypeCode: in.IcmpTypeCode,
	}
	return &ec2.ReplaceNetworkAclEntryOutput{}, nil
}

func (a tx) DeleteNetworkAclEntry(in *ec2.DeleteNetworkAclEntryInput) (*ec2.DeleteNetworkAclEntryOutput, error) {
	l, at, err := a.aclEntryAt(in.NetworkAclId, in.RuleNumber, in.Egress)
	if err != nil {
		return nil, err
	}
	if at < 0 {
		return nil, noACLEntry(l, in.RuleNumber)
	}
	l.Entries = slices.Delete(slices.Clone(l.Entries), at, at+1)
	return &ec2.DeleteNetworkAclEntryOutput{}, nil
}

func noACLEntry(l *networkACL, number *int32) error {
	return kernel.Fail("InvalidNetworkAclEntry.NotFound", "The network acl entry identified by %d in network acl %s does not exist", *number, l.ID)
}
