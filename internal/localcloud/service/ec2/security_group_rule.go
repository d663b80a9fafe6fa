package ec2

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// ModifySecurityGroupRules replaces what rules allow, of all or none. A rule
// keeps its id, its direction and its tags.
func (a tx) ModifySecurityGroupRules(in *ec2.ModifySecurityGroupRulesInput) (*ec2.ModifySecurityGroupRulesOutput, error) {
	g, err := item(a, kindGroup, a.state().Groups, aws.ToString(in.GroupId))
	if err != nil {
		return nil, err
	}
	all := slices.Clone(g.Rules)
	for _, update := range in.SecurityGroupRules {
		at := slices.IndexFunc(all, func(r *groupRule) bool { return r.ID == aws.ToString(update.SecurityGroupRuleId) })
		if at < 0 {
			return nil, kindRule.notFound(aws.ToString(update.SecurityGroupRuleId))
		}
		u := update.SecurityGroupRule
		if u == nil {
			return nil, kernel.Fail("MissingParameter", "The request must contain the parameter SecurityGroupRule")
		}
		p := types.IpPermission{IpProtocol: u.IpProtocol, FromPort: u.FromPort, ToPort: u.ToPort}
		given := 0
		if u.CidrIpv4 != nil {
			p.IpRanges, given = []types.IpRange{{CidrIp: u.CidrIpv4, Description: u.Description}}, given+1
		}
		if u.CidrIpv6 != nil {
			p.Ipv6Ranges, given = []types.Ipv6Range{{CidrIpv6: u.CidrIpv6, Description: u.Description}}, given+1
		}
		if u.PrefixListId != nil {
			p.PrefixListIds, given = []types.PrefixListId{{PrefixListId: u.PrefixListId, Description: u.Description}}, given+1
		}
		if u.ReferencedGroupId != nil {
			p.UserIdGroupPairs, given = []types.UserIdGroupPair{{GroupId: u.ReferencedGroupId, Description: u.Description}}, given+1
		}
		if given != 1 {
			return nil, kernel.Fail("InvalidParameterCombination", "Exactly one of CidrIpv4, CidrIpv6, PrefixListId and ReferencedGroupId must be specified")
		}
		parsed, err := a.parsePermissions(g, all[at].Egress, []types.IpPermission{p})
		if err != nil {
			return nil, err
		}
		next := parsed[0]
		others := slices.Delete(slices.Clone(all), at, at+1)
		if slices.ContainsFunc(others, next.same) {
			return nil, kernel.Fail("InvalidPermission.Duplicate", "the specified rule \"%s\" already exists", next)
		}
		next.resource = all[at].resource
		all[at] = next
	}
	g.Rules = all
	a.users.RulesChanged(a.Tx)
	return &ec2.ModifySecurityGroupRulesOutput{Return: aws.Bool(true)}, nil
}

// describeRules changes the descriptions of rules, of all or none.
func (a tx) describeRules(group *string, egress bool, permissions []types.IpPermission, byID []types.SecurityGroupRuleDescription) error {
	g, err := item(a, kindGroup, a.state().Groups, aws.ToString(group))
	if err != nil {
		return err
	}
	all := slices.Clone(g.Rules)
	set := func(at int, description string) {
		next := *all[at]
		next.Description = description
		all[at] = &next
	}
	for _, d := range byID {
		at := slices.IndexFunc(all, func(r *groupRule) bool { return r.ID == aws.ToString(d.SecurityGroupRuleId) && r.Egress == egress })
		if at < 0 {
			return kindRule.notFound(aws.ToString(d.SecurityGroupRuleId))
		}
		set(at, aws.ToString(d.Description))
	}
	if len(byID) == 0 {
		rules, err := a.parsePermissions(g, egress, permissions)
		if err != nil {
			return err
		}
		for _, r := range rules {
			at := slices.IndexFunc(all, r.same)
			if at < 0 {
				return kernel.Fail("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
			}
			set(at, r.Description)
		}
	}
	g.Rules = all
	return nil
}

func (a tx) UpdateSecurityGroupRuleDescriptionsIngress(in *ec2.UpdateSecurityGroupRuleDescriptionsIngressInput) (*ec2.UpdateSecurityGroupRuleDescriptionsIngressOutput, error) {
	if err := a.describeRules(in.GroupId, false, in.IpPermissions, in.SecurityGroupRuleDescriptions); err != nil {
		return nil, err
	}
	return &ec2.UpdateSecurityGroupRuleDescriptionsIngressOutput{Return: aws.Bool(true)}, nil
}

func (a tx) UpdateSecurityGroupRuleDescriptionsEgress(in *ec2.UpdateSecurityGroupRuleDescriptionsEgressInput) (*ec2.UpdateSecurityGroupRuleDescriptionsEgressOutput, error) {
	if err := a.describeRules(in.GroupId, true, in.IpPermissions, in.SecurityGroupRuleDescriptions); err != nil {
		return nil, err
	}
	return &ec2.UpdateSecurityGroupRuleDescriptionsEgressOutput{Return: aws.Bool(true)}, nil
}
