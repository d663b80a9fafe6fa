package ec2

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

const (
	// defaultGroup is the name of the group that every VPC has and keeps.
	defaultGroup = "default"
	// quotaRules is the limit of rules per group and direction:
	// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
	quotaRules = 60
	// quotaGroups is the limit of groups per interface.
	quotaGroups = 5
)

type securityGroup struct {
	resource
	Name        string       `json:"name"`
	Description string       `json:"description"`
	VPC         string       `json:"vpc"`
	Rules       []*groupRule `json:"rules,omitempty"`
	// Associated are the other VPCs that may use it.
	Associated []string `json:"associated,omitempty"`
}

// groupRule is one permission: to or from one range or group.
type groupRule struct {
	resource
	Egress      bool   `json:"egress,omitempty"`
	Protocol    string `json:"protocol"` // tcp, udp, icmp, a number, or -1 for all
	From        int32  `json:"from"`     // -1 where ports mean nothing
	To          int32  `json:"to"`
	CIDR        string `json:"cidr,omitempty"`
	CIDR6       string `json:"cidr6,omitempty"`
	PrefixList  string `json:"prefixList,omitempty"`
	Group       string `json:"group,omitempty"`
	Description string `json:"description,omitempty"`
}

// allowAllEgress is the rule that AWS gives every new group:
// https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
func allowAllEgress() *groupRule {
	return &groupRule{resource: resource{ID: kernel.NewID("sgr")}, Egress: true, Protocol: "-1", From: -1, To: -1, CIDR: "0.0.0.0/0"}
}

// same reports whether two rules allow the same resource.
func (r *groupRule) same(x *groupRule) bool {
	return r.Egress == x.Egress && r.Protocol == x.Protocol && r.From == x.From && r.To == x.To &&
		r.CIDR == x.CIDR && r.CIDR6 == x.CIDR6 && r.PrefixList == x.PrefixList && r.Group == x.Group
}

func (r *groupRule) peer() string { return r.CIDR + r.CIDR6 + r.PrefixList + r.Group }

// String is the rule in the words of EC2's errors.
func (r *groupRule) String() string {
	ports := ""
	if r.Protocol != "-1" {
		ports = fmt.Sprintf(", from port: %d, to port: %d", r.From, r.To)
	}
	protocol := strings.ToUpper(r.Protocol)
	if r.Protocol == "-1" {
		protocol = "ALL"
	}
	return fmt.Sprintf("peer: %s, %s%s, ALLOW", r.peer(), protocol, ports)
}

func (g *securityGroup) fields() map[string][]string {
	f := map[string][]string{
		"group-id": {g.ID}, "group-name": {g.Name}, "vpc-id": {g.VPC}, "description": {g.Description},
		"ip-permission.cidr": {}, "ip-permission.group-id": {}, "ip-permission.from-port": {}, "ip-permission.to-port": {}, "ip-permission.protocol": {},
		"egress.ip-permission.cidr": {}, "egress.ip-permission.group-id": {}, "egress.ip-permission.from-port": {}, "egress.ip-permission.to-port": {}, "egress.ip-permission.protocol": {},
	}
	for _, r := range g.Rules {
		prefix := "ip-permission."
		if r.Egress {
			prefix = "egress.ip-permission."
		}
		for name, value := range map[string]string{
			"cidr": r.CIDR, "group-id": r.Group, "protocol": r.Protocol, "from-port": strconv.Itoa(int(r.From)), "to-port": strconv.Itoa(int(r.To)),
		} {
			if value != "" {
				f[prefix+name] = append(f[prefix+name], value)
			}
		}
	}
	return f
}

func (a tx) group(g *securityGroup) types.SecurityGroup {
	return types.SecurityGroup{
		GroupId: aws.String(g.ID), GroupName: aws.String(g.Name), Description: aws.String(g.Description), VpcId: aws.String(g.VPC),
		OwnerId: aws.String(a.Account()), SecurityGroupArn: aws.String(a.ARN("ec2", "security-group/"+g.ID)), Tags: writeTags(g.Tags),
		IpPermissions: a.permissions(g, false), IpPermissionsEgress: a.permissions(g, true),
	}
}

// permissions are the rules of a group as they were before rules had ids: one
// permission for each protocol and ports, with all its peers.
func (a tx) permissions(g *securityGroup, egress bool) []types.IpPermission {
	var out []types.IpPermission
	for _, r := range g.Rules {
		if r.Egress != egress {
			continue
		}
		at := slices.IndexFunc(out, func(p types.IpPermission) bool {
			from, to := int32(-1), int32(-1)
			if p.FromPort != nil {
				from, to = *p.FromPort, *p.ToPort
			}
			return *p.IpProtocol == r.Protocol && from == r.From && to == r.To
		})
		if at < 0 {
			p := types.IpPermission{IpProtocol: aws.String(r.Protocol)}
			if r.Protocol != "-1" {
				p.FromPort, p.ToPort = aws.Int32(r.From), aws.Int32(r.To)
			}
			out, at = append(out, p), len(out)
		}
		p := &out[at]
		var description *string
		if r.Description != "" {
			description = aws.String(r.Description)
		}
		switch {
		case r.CIDR != "":
			p.IpRanges = append(p.IpRanges, types.IpRange{CidrIp: aws.String(r.CIDR), Description: description})
		case r.CIDR6 != "":
			p.Ipv6Ranges = append(p.Ipv6Ranges, types.Ipv6Range{CidrIpv6: aws.String(r.CIDR6), Description: description})
		case r.PrefixList != "":
			p.PrefixListIds = append(p.PrefixListIds, types.PrefixListId{PrefixListId: aws.String(r.PrefixList), Description: description})
		default:
			p.UserIdGroupPairs = append(p.UserIdGroupPairs, types.UserIdGroupPair{GroupId: aws.String(r.Group), UserId: aws.String(a.Account()), Description: description})
		}
	}
	return out
}

func (a tx) rule(g *securityGroup, r *groupRule) types.SecurityGroupRule {
	out := types.SecurityGroupRule{
		SecurityGroupRuleId: aws.String(r.ID), SecurityGroupRuleArn: aws.String(a.ARN("ec2", "security-group-rule/"+r.ID)),
		GroupId: aws.String(g.ID), GroupOwnerId: aws.String(a.Account()), IsEgress: aws.Bool(r.Egress), IpProtocol: aws.String(r.Protocol),
		FromPort: aws.Int32(r.From), ToPort: aws.Int32(r.To), Tags: writeTags(r.Tags),
	}
	if r.Description != "" {
		out.Description = aws.String(r.Description)
	}
	switch {
	case r.CIDR != "":
		out.CidrIpv4 = aws.String(r.CIDR)
	case r.CIDR6 != "":
		out.CidrIpv6 = aws.String(r.CIDR6)
	case r.PrefixList != "":
		out.PrefixListId = aws.String(r.PrefixList)
	default:
		out.ReferencedGroupInfo = &types.ReferencedSecurityGroup{GroupId: aws.String(r.Group), UserId: aws.String(a.Account())}
	}
	return out
}

// CreateSecurityGroup creates a group. Its name is unique within its VPC.
func (a tx) CreateSecurityGroup(in *ec2.CreateSecurityGroupInput) (*ec2.CreateSecurityGroupOutput, error) {
	st := a.state()
	name, description := aws.ToString(in.GroupName), aws.ToString(in.Description)
	var vpc string
	if in.VpcId != nil {
		v, err := item(a, kindVPC, st.VPCs, *in.VpcId)
		if err != nil {
			return nil, err
		}
		vpc = v.ID
	} else {
		for _, v := range st.VPCs {
			if v.Default {
				vpc = v.ID
			}
		}
		if vpc == "" {
			return nil, kernel.Fail("VPCIdNotSpecified", "No default VPC for this user")
		}
	}
	switch {
	case name == "" || len(name) > 255 || strings.Trim(name, groupCharacters) != "":
		return nil, kernel.Fail("InvalidParameterValue", "Value (%s) for parameter GroupName is invalid. Character sets beyond ASCII are not supported.", name)
	case strings.HasPrefix(name, "sg-"):
		return nil, kernel.Fail("InvalidParameterValue", "Value (%s) for parameter GroupName is invalid. Group names may not be in the format sg-*.", name)
	case name == defaultGroup:
		return nil, kernel.Fail("InvalidParameterValue", "Cannot use reserved security group name: %s", name)
	case len(description) > 255 || strings.Trim(description, groupCharacters) != "":
		return nil, kernel.Fail("InvalidParameterValue", "Value (%s) for parameter GroupDescription is invalid. Character sets beyond ASCII are not supported.", description)
	}
	tags, err := onCreate(kindGroup, in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(st.Groups, func(g *securityGroup) bool { return g.VPC == vpc && g.Name == name }) {
		return nil, kernel.Fail("InvalidGroup.Duplicate", "The security group '%s' already exists for VPC '%s'", name, vpc)
	}
	g := &securityGroup{resource: resource{kernel.NewID("sg"), tags}, Name: name, Description: description, VPC: vpc, Rules: []*groupRule{allowAllEgress()}}
	st.Groups = append(st.Groups, g)
	a.Created(g.ID)
	return &ec2.CreateSecurityGroupOutput{GroupId: aws.String(g.ID), SecurityGroupArn: aws.String(a.ARN("ec2", "security-group/"+g.ID)), Tags: writeTags(tags)}, nil
}

// groupCharacters are those that names and descriptions in a VPC may have:
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
const groupCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._-:/()#,@[]+=&;{}!$*"

func (a tx) DescribeSecurityGroups(in *ec2.DescribeSecurityGroupsInput) (*ec2.DescribeSecurityGroupsOutput, error) {
	found, err := items(a, kindGroup, a.state().Groups, in.GroupIds, in.Filters)
	if err != nil {
		return nil, err
	}
	for _, name := range in.GroupNames {
		if !slices.ContainsFunc(found, func(g *securityGroup) bool { return g.Name == name }) {
			return nil, kindGroup.notFound(name)
		}
	}
	if len(in.GroupNames) > 0 {
		found = slices.DeleteFunc(found, func(g *securityGroup) bool { return !slices.Contains(in.GroupNames, g.Name) })
	}
	page, next, err := page(found, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeSecurityGroupsOutput{NextToken: next, SecurityGroups: []types.SecurityGroup{}}
	for _, g := range page {
		out.SecurityGroups = append(out.SecurityGroups, a.group(g))
	}
	return out, nil
}

// ruleOfGroup is a rule that can be described by itself.
type ruleOfGroup struct {
	*groupRule
	group *securityGroup
}

func (r *ruleOfGroup) fields() map[string][]string {
	if r.groupRule == nil { // asked for the names only
		return map[string][]string{"group-id": {}, "security-group-rule-id": {}}
	}
	return map[string][]string{"group-id": {r.group.ID}, "security-group-rule-id": {r.ID}}
}

func (a tx) DescribeSecurityGroupRules(in *ec2.DescribeSecurityGroupRulesInput) (*ec2.DescribeSecurityGroupRulesOutput, error) {
	var all []*ruleOfGroup
	for _, g := range a.state().Groups {
		for _, r := range g.Rules {
			all = append(all, &ruleOfGroup{r, g})
		}
	}
	found, err := items(a, kindRule, all, in.SecurityGroupRuleIds, in.Filters)
	if err != nil {
		return nil, err
	}
	page, next, err := page(found, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeSecurityGroupRulesOutput{NextToken: next, SecurityGroupRules: []types.SecurityGroupRule{}}
	for _, r := range page {
		out.SecurityGroupRules = append(out.SecurityGroupRules, a.rule(r.group, r.groupRule))
	}
	return out, nil
}

// DeleteSecurityGroup refuses a group that an interface or another group's rule
// still names, one that is associated with another VPC, and the default group.
func (a tx) DeleteSecurityGroup(in *ec2.DeleteSecurityGroupInput) (*ec2.DeleteSecurityGroupOutput, error) {
	st := a.state()
	g, err := item(a, kindGroup, st.Groups, aws.ToString(in.GroupId))
	if err != nil {
		return nil, err
	}
	if g.Name == defaultGroup {
		return nil, kernel.Fail("CannotDelete", "the specified group: \"%s\" name: \"%s\" cannot be deleted by a user", g.ID, g.Name)
	}
	if len(g.Associated) > 0 || slices.ContainsFunc(st.Interfaces, func(i *networkInterface) bool { return slices.Contains(i.Groups, g.ID) }) ||
		slices.ContainsFunc(st.Groups, func(x *securityGroup) bool {
			return x != g && slices.ContainsFunc(x.Rules, func(r *groupRule) bool { return r.Group == g.ID })
		}) {
		return nil, kernel.Fail("DependencyViolation", "resource %s has a dependent object", g.ID)
	}
	st.Groups = slices.DeleteFunc(st.Groups, func(x *securityGroup) bool { return x == g })
	return &ec2.DeleteSecurityGroupOutput{GroupId: aws.String(g.ID), Return: aws.Bool(true)}, nil
}

// parsePermissions takes permissions apart into rules.
func (a tx) parsePermissions(g *securityGroup, egress bool, permissions []types.IpPermission) ([]*groupRule, error) {
	var out []*groupRule
	for _, p := range permissions {
		protocol, from, to, err := parsePorts(p)
		if err != nil {
			return nil, err
		}
		base := groupRule{Egress: egress, Protocol: protocol, From: from, To: to}
		add := func(description *string, set func(*groupRule)) {
			r := base
			r.Description = aws.ToString(description)
			set(&r)
			out = append(out, &r)
		}
		for _, x := range p.IpRanges {
			cidr, err := netip.ParsePrefix(aws.ToString(x.CidrIp))
			if err != nil || !cidr.Addr().Is4() {
				return nil, kernel.Fail("InvalidParameterValue", "CIDR block %s is malformed", aws.ToString(x.CidrIp))
			}
			add(x.Description, func(r *groupRule) { r.CIDR = cidr.Masked().String() })
		}
		for _, x := range p.Ipv6Ranges {
			cidr, err := netip.ParsePrefix(aws.ToString(x.CidrIpv6))
			if err != nil || !cidr.Addr().Is6() {
				return nil, kernel.Fail("InvalidParameterValue", "CIDR block %s is malformed", aws.ToString(x.CidrIpv6))
			}
			add(x.Description, func(r *groupRule) { r.CIDR6 = cidr.Masked().String() })
		}
		for _, x := range p.PrefixListIds {
			add(x.Description, func(r *groupRule) { r.PrefixList = aws.ToString(x.PrefixListId) })
		}
		for _, x := range p.UserIdGroupPairs {
			peer, err := item(a, kindGroup, a.state().Groups, aws.ToString(x.GroupId))
			if err != nil {
				return nil, err
			}
			if peer.VPC != g.VPC {
				return nil, kernel.Fail("InvalidGroup.NotFound", "You have specified two resources that belong to different networks.")
			}
			add(x.Description, func(r *groupRule) { r.Group = peer.ID })
		}
	}
	if len(out) == 0 {
		return nil, kernel.Fail("MissingParameter", "Either 'ipPermissions' or 'securityGroupRuleIds' should be provided.")
	}
	return out, nil
}

func parsePorts(p types.IpPermission) (protocol string, from, to int32, err error) {
	protocol = strings.ToLower(aws.ToString(p.IpProtocol))
	if name, ok := map[string]string{"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6", "all": "-1"}[protocol]; ok {
		protocol = name
	}
	switch protocol {
	case "tcp", "udp", "icmp", "icmpv6":
		if p.FromPort == nil || p.ToPort == nil {
			return "", 0, 0, kernel.Fail("InvalidParameterValue", "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.")
		}
		from, to = *p.FromPort, *p.ToPort
		if (protocol == "tcp" || protocol == "udp") && (from < 0 || to > 65535 || from > to) {
			return "", 0, 0, kernel.Fail("InvalidParameterValue", "Invalid TCP/UDP port range (%d:%d)", from, to)
		}
		return protocol, from, to, nil
	}
	n, err := strconv.Atoi(protocol)
	if err != nil || n < -1 || n > 255 {
		return "", 0, 0, kernel.Fail("InvalidPermission.Malformed", "Unsupported IP protocol \"%s\" - supported: [tcp, udp, icmp, icmpv6, -1, 0..255]", protocol)
	}
	return protocol, -1, -1, nil // whatever ports are given mean nothing
}

// authorize adds rules, all or none.
func (a tx) authorize(group *string, egress bool, permissions []types.IpPermission, specs []types.TagSpecification) ([]types.SecurityGroupRule, error) {
	g, err := item(a, kindGroup, a.state().Groups, aws.ToString(group))
	if err != nil {
		return nil, err
	}
	rules, err := a.parsePermissions(g, egress, permissions)
	if err != nil {
		return nil, err
	}
	all, count := slices.Clone(g.Rules), 0
	var out []types.SecurityGroupRule
	for _, r := range rules {
		if slices.ContainsFunc(all, r.same) {
			return nil, kernel.Fail("InvalidPermission.Duplicate", "the specified rule \"%s\" already exists", r)
		}
		if r.Tags, err = onCreate(kindRule, specs); err != nil {
			return nil, err
		}
		r.ID = kernel.NewID("sgr")
		all = append(all, r)
		out = append(out, a.rule(g, r))
	}
	for _, r := range all {
		if r.Egress == egress {
			count++
		}
	}
	if count > quotaRules {
		return nil, kernel.Fail("RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached.")
	}
	g.Rules = all
	a.users.RulesChanged(a.Tx)
	return out, nil
}

// onePermission is the rule given by the request's own fields, the old way.
func onePermission(all []types.IpPermission, protocol *string, from, to *int32, cidr *string) []types.IpPermission {
	if len(all) > 0 || protocol == nil {
		return all
	}
	return []types.IpPermission{{IpProtocol: protocol, FromPort: from, ToPort: to, IpRanges: []types.IpRange{{CidrIp: cidr}}}}
}

func (a tx) AuthorizeSecurityGroupIngress(in *ec2.AuthorizeSecurityGroupIngressInput) (*ec2.AuthorizeSecurityGroupIngressOutput, error) {
	rules, err := a.authorize(in.GroupId, false, onePermission(in.IpPermissions, in.IpProtocol, in.FromPort, in.ToPort, in.CidrIp), in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	return &ec2.AuthorizeSecurityGroupIngressOutput{Return: aws.Bool(true), SecurityGroupRules: rules}, nil
}

func (a tx) AuthorizeSecurityGroupEgress(in *ec2.AuthorizeSecurityGroupEgressInput) (*ec2.AuthorizeSecurityGroupEgressOutput, error) {
	rules, err := a.authorize(in.GroupId, true, onePermission(in.IpPermissions, in.IpProtocol, in.FromPort, in.ToPort, in.CidrIp), in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	return &ec2.AuthorizeSecurityGroupEgressOutput{Return: aws.Bool(true), SecurityGroupRules: rules}, nil
}

// revoke removes rules, all or none, given by their ids or by what they allow.
func (a tx) revoke(group *string, egress bool, ids []string, permissions []types.IpPermission) ([]types.RevokedSecurityGroupRule, error) {
	g, err := item(a, kindGroup, a.state().Groups, aws.ToString(group))
	if err != nil {
		return nil, err
	}
	var gone []*groupRule
	if len(ids) > 0 {
		for _, id := range ids {
			at := slices.IndexFunc(g.Rules, func(r *groupRule) bool { return r.ID == id && r.Egress == egress })
			if at < 0 {
				return nil, kindRule.notFound(id)
			}
			gone = append(gone, g.Rules[at])
		}
	} else {
		rules, err := a.parsePermissions(g, egress, permissions)
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			at := slices.IndexFunc(g.Rules, r.same)
			if at < 0 {
				return nil, kernel.Fail("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
			}
			gone = append(gone, g.Rules[at])
		}
	}
	g.Rules = slices.DeleteFunc(slices.Clone(g.Rules), func(r *groupRule) bool { return slices.Contains(gone, r) })
	a.users.RulesChanged(a.Tx)
	var out []types.RevokedSecurityGroupRule
	for _, r := range gone {
		x := a.rule(g, r)
		revoked := types.RevokedSecurityGroupRule{
			SecurityGroupRuleId: x.SecurityGroupRuleId, GroupId: x.GroupId, IsEgress: x.IsEgress, IpProtocol: x.IpProtocol, FromPort: x.FromPort, ToPort: x.ToPort,
			CidrIpv4: x.CidrIpv4, CidrIpv6: x.CidrIpv6, PrefixListId: x.PrefixListId, Description: x.Description,
		}
		if x.ReferencedGroupInfo != nil {
			revoked.ReferencedGroupId = x.ReferencedGroupInfo.GroupId
		}
		out = append(out, revoked)
	}
	return out, nil
}

func (a tx) RevokeSecurityGroupIngress(in *ec2.RevokeSecurityGroupIngressInput) (*ec2.RevokeSecurityGroupIngressOutput, error) {
	gone, err := a.revoke(in.GroupId, false, in.SecurityGroupRuleIds, onePermission(in.IpPermissions, in.IpProtocol, in.FromPort, in.ToPort, in.CidrIp))
	if err != nil {
		return nil, err
	}
	return &ec2.RevokeSecurityGroupIngressOutput{Return: aws.Bool(true), RevokedSecurityGroupRules: gone}, nil
}

func (a tx) RevokeSecurityGroupEgress(in *ec2.RevokeSecurityGroupEgressInput) (*ec2.RevokeSecurityGroupEgressOutput, error) {
	gone, err := a.revoke(in.GroupId, true, in.SecurityGroupRuleIds, onePermission(in.IpPermissions, in.IpProtocol, in.FromPort, in.ToPort, in.CidrIp))
	if err != nil {
		return nil, err
	}
	return &ec2.RevokeSecurityGroupEgressOutput{Return: aws.Bool(true), RevokedSecurityGroupRules: gone}, nil
}
