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

	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// SecurityGroup is a group and exactly its rules: a rule that is missing is
// added, and one that is too many (AWS's own allow-all egress among them) is
// revoked.
type SecurityGroup struct {
	graph.NodeOf[*liveGroup]
	ec2Access
	vpc         anyVPC
	description string
	rules       func() []rule // asked when the groups that they name have ids
	// toTasks are the rules by which the load balancer reaches tasks on a port, also those in
	// other subnets of the VPC, and serving is where there are tasks; nil where no rule is.
	toTasks func(port int32, also []SubnetInfo) []rule
	ranges  func() []SubnetInfo // all subnets of the existing VPC
	serving func(context.Context) (serving, error)
}

// rule is one permission. Peer is an address range or the id of a group.
type rule struct {
	egress bool
	port   int32 // 0: all ports and protocols
	last   int32 // of a range of ports, which port begins; else 0
	peer   string
}

func (r rule) String() string {
	dir, port := "from", "all ports"
	if r.egress {
		dir = "to"
	}
	if r.port != 0 {
		port = fmt.Sprintf("tcp %d", r.port)
	}
	if r.last != 0 {
		port = "tcp " + portRange{r.port, r.last}.String()
	}
	return fmt.Sprintf("%s %s %s", port, dir, r.peer)
}

func newSecurityGroup(n ec2Access, name, description string, vpc anyVPC, needs []graph.Finder, rules func() []rule) *SecurityGroup {
	g := &SecurityGroup{ec2Access: n, vpc: vpc, description: description, rules: rules}
	g.NodeOf = graph.Of(g, name, 20*time.Minute, append([]graph.Finder{vpc}, needs...)...)
	return g
}

// liveRule is a rule as found.
type liveRule struct {
	rule
	exotic string // a protocol, range or peer kind that we never make
}

// liveGroup is a group as far as it is compared.
type liveGroup struct {
	tags  map[string]string
	rules []liveRule
	// former are the rules for tasks of an earlier release, which have another port, or are in
	// another subnet, and still serve. They are not too many before the service has done with
	// those tasks.
	former []liveRule
}

// Read looks the group up by its tags, and its rules.
func (g *SecurityGroup) Read(ctx context.Context) (*liveGroup, graph.State, error) {
	all, err := g.allGroups(ctx, g.vpc.ID())
	if err != nil {
		return nil, graph.State{}, err
	}
	ours := named(all, g.Name(), func(x types.SecurityGroup) []types.Tag { return x.Tags })
	ours = slices.DeleteFunc(ours, func(x types.SecurityGroup) bool { return fromEC2Tags(x.Tags)[TagStack] != g.stack })
	sg, err := only("security groups", ours, func(x types.SecurityGroup) string { return aws.ToString(x.GroupId) })
	if sg == nil || err != nil {
		return nil, absent, err
	}
	live := &liveGroup{tags: fromEC2Tags(sg.Tags), rules: liveRules(*sg)}
	if live.former, err = g.formerRules(ctx, live.rules); err != nil {
		return nil, graph.State{}, err
	}
	return live, graph.State{Phase: graph.Ready, ID: aws.ToString(sg.GroupId), Owner: live.tags[TagStack]}, nil
}

// formerRules finds liveGroup.former.
func (g *SecurityGroup) formerRules(ctx context.Context, rules []liveRule) ([]liveRule, error) {
	if g.toTasks == nil || g.destroying {
		return nil, nil
	}
	other := slices.DeleteFunc(without(rules, g.Wanted(nil).rules), func(r liveRule) bool {
		return r.exotic != "" || !slices.Contains(g.toTasks(r.port, g.ranges()), r.rule)
	})
	if len(other) == 0 {
		return nil, nil
	}
	now, err := g.serving(ctx)
	return slices.DeleteFunc(other, func(r liveRule) bool {
		return !slices.Contains(now.ports, r.port) || !slices.Contains(g.toTasks(r.port, now.ranges), r.rule)
	}), err
}

// formerLast are the liveGroup.former that were last read.
func (g *SecurityGroup) formerLast() []liveRule {
	if live := g.Last(); live != nil {
		return live.former
	}
	return nil
}

// leaveFormer revokes the rules for the ports and subnets of tasks that are gone.
func (g *SecurityGroup) leaveFormer(ctx context.Context) error {
	rules := g.formerLast()
	if len(rules) == 0 {
		return nil
	}
	changes := mapped(rules, func(r liveRule) graph.Change { return graph.Change{Field: extraRule + r.String()} })
	if err := g.revokeExtra(ctx, g.ID(), changes); err != nil {
		return err
	}
	live := *g.Last()
	live.rules, live.former = without(live.rules, live.former), nil
	g.Learn(&live)
	return nil
}

// Wanted implements graph.Shape.
func (g *SecurityGroup) Wanted(*liveGroup) *liveGroup {
	return &liveGroup{tags: g.tags(g.Name()), rules: mapped(g.rules(), func(r rule) liveRule { return liveRule{rule: r} })}
}

// Attributes implements graph.Shape. The missing rules are added before those too many
// are revoked, so that replacing one never cuts traffic off.
func (g *SecurityGroup) Attributes() graph.Attributes[*liveGroup] {
	return graph.Attributes[*liveGroup]{
		tagAttribute(func(l *liveGroup) map[string]string { return l.tags }, g.retagging(g.Node)),
		graph.Many(missingRule, func(live, want *liveGroup) []graph.Change {
			return mapped(without(want.rules, live.rules), func(r liveRule) graph.Change { return graph.Change{Field: r.String(), Want: r.String()} })
		}, graph.SetBy(g.authorizeMissing)),
		g.extraRules(g.Node),
	}
}

// extraRules is the attribute of the rules that a group has and should not have.
func (n ec2Access) extraRules(group graph.Node) graph.Attribute[*liveGroup] {
	return graph.Many(extraRule, func(live, want *liveGroup) []graph.Change {
		return mapped(without(without(live.rules, live.former), want.rules), func(r liveRule) graph.Change { return graph.Change{Field: r.String(), Have: r.String()} })
	}, graph.SetBy(func(ctx context.Context, changes []graph.Change) error {
		return n.revokeExtra(ctx, group.ID(), changes)
	}))
}

// without are the rules that are not among others.
func without(rules, others []liveRule) []liveRule {
	return slices.DeleteFunc(slices.Clone(rules), func(r liveRule) bool { return slices.Contains(others, r) })
}

// allGroups are the groups of the VPC, by one call for all who read them: the stack's,
// the default one, which has no tag to be found by, and those of others.
func (n ec2Access) allGroups(ctx context.Context, vpc string) ([]types.SecurityGroup, error) {
	if vpc == "" {
		return nil, nil
	}
	return n.observed().groups.of(vpc).readShared(ctx, func(ctx context.Context) ([]types.SecurityGroup, error) {
		out, err := n.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{
			Filters: []types.Filter{{Name: aws.String("vpc-id"), Values: []string{vpc}}},
		})
		if err != nil {
			return nil, fmt.Errorf("describe the security groups of %s: %w", vpc, err)
		}
		return out.SecurityGroups, nil
	})
}

func liveRules(sg types.SecurityGroup) []liveRule {
	return append(asRules(false, sg.IpPermissions), asRules(true, sg.IpPermissionsEgress)...)
}

// asRules takes permissions, which hold several peers each, apart.
func asRules(egress bool, permissions []types.IpPermission) []liveRule {
	var out []liveRule
	for _, p := range permissions {
		add := func(peer *string, exotic string) {
			out = append(out, newLiveRule(egress, p.IpProtocol, p.FromPort, p.ToPort, peer, exotic))
		}
		for _, r := range p.IpRanges {
			add(r.CidrIp, "")
		}
		for _, r := range p.UserIdGroupPairs {
			add(r.GroupId, "")
		}
		for _, r := range p.Ipv6Ranges {
			add(r.CidrIpv6, "peer")
		}
		for _, r := range p.PrefixListIds {
			add(r.PrefixListId, "peer")
		}
	}
	return out
}

func asRule(r types.SecurityGroupRule) liveRule {
	peer, exotic := r.CidrIpv4, ""
	switch {
	case r.ReferencedGroupInfo != nil:
		peer = r.ReferencedGroupInfo.GroupId
	case r.CidrIpv6 != nil:
		peer, exotic = r.CidrIpv6, "peer"
	case r.PrefixListId != nil:
		peer, exotic = r.PrefixListId, "peer"
	}
	return newLiveRule(aws.ToBool(r.IsEgress), r.IpProtocol, r.FromPort, r.ToPort, peer, exotic)
}

func newLiveRule(egress bool, protocol *string, from, to *int32, peer *string, exotic string) liveRule {
	l := liveRule{rule: rule{egress: egress, peer: aws.ToString(peer)}, exotic: exotic}
	switch p, a, b := aws.ToString(protocol), aws.ToInt32(from), aws.ToInt32(to); {
	case p == "-1":
	case p == "tcp" && a == b:
		l.port = a
	case p == "tcp" && egress && 0 < a && a < b:
		l.port, l.last = a, b
	default:
		l.exotic = fmt.Sprintf("%s %d-%d", p, a, b)
	}
	return l
}

// String names the rule, so that it differs from every other of its group.
func (l liveRule) String() string { return strings.TrimSpace(l.exotic + " " + l.rule.String()) }

const (
	missingRule = "rule missing: "
	extraRule   = "rule too many: "
)

func (g *SecurityGroup) groupName() string { return g.names().SecurityGroup(g.Name()) }

// Create creates the group, with the allow-all egress rule that AWS gives every
// new group; Update then revokes it. Name and VPC are the natural key.
func (g *SecurityGroup) Create(ctx context.Context) (string, error) {
	out, err := g.ec2.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
		GroupName:         aws.String(g.groupName()),
		Description:       &g.description,
		VpcId:             aws.String(g.vpc.ID()),
		TagSpecifications: g.onCreate(types.ResourceTypeSecurityGroup, g.Name()),
	}, throttlesOnly)
	if IsCode(err, "InvalidGroup.Duplicate") {
		return g.namesake(ctx, err)
	}
	if err != nil {
		return "", fmt.Errorf("create security group %s: %w", g.groupName(), err)
	}
	g.Answer(&liveGroup{tags: g.tags(g.Name()), rules: []liveRule{{rule: allowAll}}}, graph.State{Phase: graph.Ready, Owner: g.stack})
	return aws.ToString(out.GroupId), nil
}

// allowAll is the rule with which AWS makes every group.
// https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
var allowAll = rule{egress: true, peer: anywhere}

// namesake finds the group that has the name already: ours, made by a call
// whose answer was lost and not shown by its tags in time, or another owner's.
func (g *SecurityGroup) namesake(ctx context.Context, duplicate error) (string, error) {
	name := g.groupName()
	out, err := g.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: []types.Filter{
		{Name: aws.String("vpc-id"), Values: []string{g.vpc.ID()}}, {Name: aws.String("group-name"), Values: []string{name}},
	}})
	if err != nil {
		return "", fmt.Errorf("look for the security group that is called %s: %w", name, err)
	}
	if len(out.SecurityGroups) == 0 {
		return "", fmt.Errorf("create security group %s, which exists and is not visible yet: %w", name, duplicate)
	}
	live := out.SecurityGroups[0] // a name is unique in its VPC
	if tags := fromEC2Tags(live.Tags); tags[TagStack] != g.stack || tags[TagResource] != g.Name() {
		return "", fmt.Errorf("security group %s (%s): %w", name, aws.ToString(live.GroupId), graph.ErrUnmanaged)
	}
	return aws.ToString(live.GroupId), nil
}

func (g *SecurityGroup) authorizeMissing(ctx context.Context, changes []graph.Change) error {
	for _, egress := range []bool{false, true} {
		missing := slices.DeleteFunc(g.rules(), func(r rule) bool { return r.egress != egress || !hasField(changes, missingRule+r.String()) })
		if len(missing) == 0 {
			continue
		}
		err := g.authorize(ctx, egress, missing...)
		for _, r := range missing {
			if !IsCode(err, duplicateRule) || len(missing) == 1 {
				break
			}
			// Some are there already, by a call whose answer was lost. Whether EC2 has added the
			// others is not documented, so each is asked for.
			if one := g.authorize(ctx, egress, r); one != nil && !IsCode(one, duplicateRule) {
				err = one
			}
		}
		if err != nil && !IsCode(err, duplicateRule) {
			return fmt.Errorf("allow %s in %s: %w", missing, g.ID(), err)
		}
	}
	return nil
}

const duplicateRule = "InvalidPermission.Duplicate"

// revokeExtra revokes those of a group's rules that the changes say are too many.
func (n ec2Access) revokeExtra(ctx context.Context, group string, changes []graph.Change) error {
	changes, err := n.revokeGiven(ctx, group, changes)
	if err != nil || len(changes) == 0 {
		return err
	}
	live, err := n.describeRules(ctx, group)
	if err != nil {
		return err
	}
	return n.revokeAll(ctx, group, slices.DeleteFunc(live, func(r types.SecurityGroupRule) bool {
		return !hasField(changes, extraRule+asRule(r).String())
	}))
}

// revokeGiven revokes those rules that AWS itself gives a new group or a default one, and
// returns the other changes. They are revoked by what they allow. Others are by their ids, since
// EC2 ignores what does not match a rule in all of its parts.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupEgress.html
func (n ec2Access) revokeGiven(ctx context.Context, group string, changes []graph.Change) (others []graph.Change, err error) {
	own := rule{peer: group}
	others = slices.DeleteFunc(slices.Clone(changes), func(c graph.Change) bool {
		return c.Field == extraRule+allowAll.String() || c.Field == extraRule+own.String()
	})
	if hasField(changes, extraRule+own.String()) {
		_, err = n.ec2.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &group, IpPermissions: bare(own)})
	}
	if (err == nil || noRule(err)) && hasField(changes, extraRule+allowAll.String()) {
		_, err = n.ec2.RevokeSecurityGroupEgress(ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: &group, IpPermissions: bare(allowAll)})
	}
	if err != nil && !noRule(err) {
		return nil, fmt.Errorf("revoke the rules that AWS gave %s: %w", group, err)
	}
	return others, nil
}

// bare is a rule without a description, which need not match.
func bare(r rule) []types.IpPermission {
	p := r.permission()
	for i := range p.IpRanges {
		p.IpRanges[i].Description = nil
	}
	for i := range p.UserIdGroupPairs {
		p.UserIdGroupPairs[i].Description = nil
	}
	return []types.IpPermission{p}
}

// noRule reports whether a rule is not there.
func noRule(err error) bool {
	return IsCode(err, "InvalidPermission.NotFound", "InvalidSecurityGroupRuleId.NotFound")
}

// revokeAll revokes rules of a group, those of each direction by one call, or one by one
// where some are gone by now: whether EC2 has revoked the others is not documented.
func (n ec2Access) revokeAll(ctx context.Context, group string, rules []types.SecurityGroupRule) error {
	for _, egress := range []bool{false, true} {
		var ids []string
		for _, r := range rules {
			if aws.ToBool(r.IsEgress) == egress {
				ids = append(ids, aws.ToString(r.SecurityGroupRuleId))
			}
		}
		if ids == nil {
			continue
		}
		err := n.revoke(ctx, group, egress, ids...)
		for _, id := range ids {
			if !noRule(err) || len(ids) == 1 {
				break
			}
			if one := n.revoke(ctx, group, egress, id); one != nil && !noRule(one) {
				err = one
			}
		}
		if err != nil && !noRule(err) {
			return fmt.Errorf("revoke %s in %s: %w", strings.Join(ids, ", "), group, err)
		}
	}
	return nil
}

// permission is the rule as calls take it.
func (r rule) permission() types.IpPermission {
	p := types.IpPermission{IpProtocol: aws.String("-1")}
	if r.port != 0 {
		p.IpProtocol, p.FromPort, p.ToPort = aws.String("tcp"), &r.port, aws.Int32(cmp.Or(r.last, r.port))
	}
	if strings.HasPrefix(r.peer, "sg-") {
		p.UserIdGroupPairs = []types.UserIdGroupPair{{GroupId: &r.peer, Description: aws.String(r.String())}}
	} else {
		p.IpRanges = []types.IpRange{{CidrIp: &r.peer, Description: aws.String(r.String())}}
	}
	return p
}

// authorize adds rules of one direction.
func (g *SecurityGroup) authorize(ctx context.Context, egress bool, rules ...rule) error {
	id, ps := aws.String(g.ID()), mapped(rules, rule.permission)
	var err error
	if egress {
		_, err = g.ec2.AuthorizeSecurityGroupEgress(ctx, &ec2.AuthorizeSecurityGroupEgressInput{GroupId: id, IpPermissions: ps})
	} else {
		_, err = g.ec2.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: id, IpPermissions: ps})
	}
	return err
}

func (n ec2Access) revoke(ctx context.Context, group string, egress bool, ids ...string) error {
	var err error
	if egress {
		_, err = n.ec2.RevokeSecurityGroupEgress(ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: &group, SecurityGroupRuleIds: ids})
	} else {
		_, err = n.ec2.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &group, SecurityGroupRuleIds: ids})
	}
	return err
}

// ExpectDeleted returns the usual time until nothing uses it any more.
func (g *SecurityGroup) ExpectDeleted() time.Duration { return interfacesGoneAfter }

// Delete deletes the group, whose rules go with it. One that is held loses them first:
// groups that name each other could not be removed otherwise. What holds one without rules may
// be in another VPC.
func (g *SecurityGroup) Delete(ctx context.Context) error {
	if err := g.checkNotHeld(ctx, g.vpc.ID(), func(b networkInterface) bool { return slices.Contains(b.Groups, g.ID()) }); err != nil {
		return fmt.Errorf("delete %s: %w", g.ID(), err)
	}
	_, err := g.ec2.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: aws.String(g.ID())})
	if err == nil || notFound(err) {
		return nil
	}
	err = fmt.Errorf("delete %s: %w", g.ID(), err)
	if IsCode(err, "DependencyViolation") {
		live, read := g.describeRules(ctx, g.ID())
		if read != nil {
			return read
		}
		if live == nil {
			if users := g.usersOf(ctx, g.ID()); users != "" {
				return fmt.Errorf("%w: %w", err, &graph.HeldError{By: users})
			}
		}
		if revoked := g.revokeAll(ctx, g.ID(), live); revoked != nil && !notFound(revoked) {
			return revoked
		}
	}
	return err
}

// DeletesSynchronously implements graph.DeletesSynchronously.
func (g *SecurityGroup) DeletesSynchronously() {}

// UpdatesSynchronously implements graph.UpdatesSynchronously.
func (*SecurityGroup) UpdatesSynchronously([]graph.Change) bool { return true }

func (n ec2Access) describeRules(ctx context.Context, id string) ([]types.SecurityGroupRule, error) {
	var out []types.SecurityGroupRule
	pages := ec2.NewDescribeSecurityGroupRulesPaginator(n.ec2, &ec2.DescribeSecurityGroupRulesInput{
		Filters: []types.Filter{{Name: aws.String("group-id"), Values: []string{id}}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("describe the rules of %s: %w", id, err)
		}
		out = append(out, page.SecurityGroupRules...)
	}
	return out, nil
}

// securityGroupKind lists and deletes the stack's security groups.
func (n ec2Access) securityGroupKind() inventory.Kind {
	return n.kind("security group", "security groups", func(ctx context.Context) ([]*string, error) {
		out, err := n.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: n.all()})
		if err != nil {
			return nil, err
		}
		// The default group goes with its VPC.
		out.SecurityGroups = slices.DeleteFunc(out.SecurityGroups, func(g types.SecurityGroup) bool { return aws.ToString(g.GroupName) == defaultGroup })
		return mapped(out.SecurityGroups, func(x types.SecurityGroup) *string { return x.GroupId }), nil
	}, func(ctx context.Context, id *string) error {
		// Groups that name each other would hold each other.
		out, err := n.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{GroupIds: []string{*id}})
		if err != nil {
			return err
		}
		for _, g := range out.SecurityGroups {
			if len(g.IpPermissions) > 0 {
				if _, err := n.ec2.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: id, IpPermissions: g.IpPermissions}); err != nil {
					return err
				}
			}
			if len(g.IpPermissionsEgress) > 0 {
				if _, err := n.ec2.RevokeSecurityGroupEgress(ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: id, IpPermissions: g.IpPermissionsEgress}); err != nil {
					return err
				}
			}
		}
		_, err = n.ec2.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: id})
		return err
	})
}
