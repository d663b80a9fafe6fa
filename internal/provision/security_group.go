package provision

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// SecurityGroup is a group and exactly its rules: a rule that is missing is
// added, and one that is too many (AWS's own allow-all egress among them) is
// revoked.
type SecurityGroup struct {
	graph.Node
	network
	vpc         *VPC
	description string
	rules       func() []rule // asked when the groups that they name have ids
}

// rule is one permission. Peer is an address range or the id of a group.
type rule struct {
	egress bool
	port   int32 // 0: all ports and protocols
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
	return fmt.Sprintf("%s %s %s", port, dir, r.peer)
}

func newSecurityGroup(n network, name, description string, vpc *VPC, needs []graph.Finder, rules func() []rule) *SecurityGroup {
	return &SecurityGroup{
		Node: graph.Named(name, 20*time.Minute, append([]graph.Finder{vpc}, needs...)...), network: n,
		vpc: vpc, description: description, rules: rules,
	}
}

// liveRule is a rule as found, with what it takes to revoke it.
type liveRule struct {
	rule
	id     string
	exotic string // a protocol, range or peer kind that we never make
}

// Find looks the group up by its tags, and its rules.
func (g *SecurityGroup) Find(ctx context.Context) (graph.State, error) {
	all, err := g.groups.look(ctx, g.Name())
	if err != nil {
		return graph.State{}, err
	}
	ours := named(all, g.Name(), func(x types.SecurityGroup) []types.Tag { return x.Tags })
	sg, err := only("security groups", ours, func(x types.SecurityGroup) string { return aws.ToString(x.GroupId) })
	if sg == nil || err != nil {
		return absent, err
	}
	id, tags := aws.ToString(sg.GroupId), tagMap(sg.Tags)
	rules, first, err := g.network.rules.first(ctx, g.Name())
	if !first {
		rules, err = g.describeRules(ctx, id)
	}
	if err != nil {
		return graph.State{}, err
	}
	live := ofGroup(rules, id)
	return graph.State{
		Phase: graph.Ready, ID: id, Owner: tags[TagStack],
		Drift: append(tagDrift(tags, g.tags(g.Name())), ruleDrift(live, g.rules())...),
	}, nil
}

// live reads the group's rules.
func (g *SecurityGroup) live(ctx context.Context, id string) ([]liveRule, error) {
	all, err := g.describeRules(ctx, id)
	return ofGroup(all, id), err
}

func ofGroup(all []types.SecurityGroupRule, id string) []liveRule {
	var out []liveRule
	for _, r := range all {
		if aws.ToString(r.GroupId) == id {
			out = append(out, asRule(r))
		}
	}
	return out
}

func asRule(r types.SecurityGroupRule) liveRule {
	l := liveRule{rule: rule{egress: aws.ToBool(r.IsEgress)}, id: aws.ToString(r.SecurityGroupRuleId)}
	switch {
	case r.CidrIpv4 != nil:
		l.peer = *r.CidrIpv4
	case r.ReferencedGroupInfo != nil:
		l.peer = aws.ToString(r.ReferencedGroupInfo.GroupId)
	default:
		l.peer = aws.ToString(r.CidrIpv6) + aws.ToString(r.PrefixListId)
		l.exotic = "peer"
	}
	from, to, protocol := aws.ToInt32(r.FromPort), aws.ToInt32(r.ToPort), aws.ToString(r.IpProtocol)
	switch {
	case protocol == "-1":
	case protocol == "tcp" && from == to:
		l.port = from
	default:
		l.exotic = fmt.Sprintf("%s %d-%d", protocol, from, to)
	}
	return l
}

const (
	missingRule = "rule missing: "
	extraRule   = "rule too many: "
)

func ruleDrift(live []liveRule, want []rule) []graph.Change {
	var out []graph.Change
	have := map[rule]bool{}
	for _, l := range live {
		if l.exotic == "" {
			have[l.rule] = true
		}
		if l.exotic != "" || !contains(want, l.rule) {
			out = append(out, graph.Change{Field: extraRule + l.id, Have: strings.TrimSpace(l.exotic + " " + l.String())})
		}
	}
	for _, w := range want {
		if !have[w] {
			out = append(out, graph.Change{Field: missingRule + w.String(), Want: w.String()})
		}
	}
	sortChanges(out)
	return out
}

func contains(rules []rule, r rule) bool {
	for _, x := range rules {
		if x == r {
			return true
		}
	}
	return false
}

// Create makes the group, with the allow-all egress rule that AWS gives every
// new group; Update then revokes it. Name and VPC are the natural key.
func (g *SecurityGroup) Create(ctx context.Context) (string, error) {
	out, err := g.ec2.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
		GroupName:         aws.String(g.name(g.Name())),
		Description:       &g.description,
		VpcId:             aws.String(g.vpc.ID()),
		TagSpecifications: g.onCreate(types.ResourceTypeSecurityGroup, g.Name()),
	}, throttlesOnly)
	if err != nil {
		return "", fmt.Errorf("create security group %s: %w", g.name(g.Name()), err)
	}
	return aws.ToString(out.GroupId), nil
}

// Update adds the missing rules before it revokes those that are too many, so
// that replacing one never cuts traffic off.
func (g *SecurityGroup) Update(ctx context.Context, changes []graph.Change) error {
	if hasTagDrift(changes) {
		if err := g.retag(ctx, g.ID(), g.Name()); err != nil {
			return err
		}
	}
	for _, r := range g.rules() {
		if !hasField(changes, missingRule+r.String()) {
			continue
		}
		if err := g.authorize(ctx, r); err != nil && !isCode(err, "InvalidPermission.Duplicate") {
			return fmt.Errorf("allow %s in %s: %w", r, g.ID(), err)
		}
	}
	live, err := g.live(ctx, g.ID())
	if err != nil {
		return err
	}
	for _, l := range live {
		if !hasField(changes, extraRule+l.id) {
			continue
		}
		if err := g.revoke(ctx, l); err != nil && !isCode(err, "InvalidPermission.NotFound") {
			return fmt.Errorf("revoke %s in %s: %w", l, g.ID(), err)
		}
	}
	return nil
}

func (g *SecurityGroup) authorize(ctx context.Context, r rule) error {
	p := types.IpPermission{IpProtocol: aws.String("-1")}
	if r.port != 0 {
		p.IpProtocol, p.FromPort, p.ToPort = aws.String("tcp"), &r.port, &r.port
	}
	if strings.HasPrefix(r.peer, "sg-") {
		p.UserIdGroupPairs = []types.UserIdGroupPair{{GroupId: &r.peer, Description: aws.String(r.String())}}
	} else {
		p.IpRanges = []types.IpRange{{CidrIp: &r.peer, Description: aws.String(r.String())}}
	}
	id, ps := aws.String(g.ID()), []types.IpPermission{p}
	var err error
	if r.egress {
		_, err = g.ec2.AuthorizeSecurityGroupEgress(ctx, &ec2.AuthorizeSecurityGroupEgressInput{GroupId: id, IpPermissions: ps})
	} else {
		_, err = g.ec2.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: id, IpPermissions: ps})
	}
	return err
}

func (g *SecurityGroup) revoke(ctx context.Context, l liveRule) error {
	id, ids := aws.String(g.ID()), []string{l.id}
	var err error
	if l.egress {
		_, err = g.ec2.RevokeSecurityGroupEgress(ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: id, SecurityGroupRuleIds: ids})
	} else {
		_, err = g.ec2.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: id, SecurityGroupRuleIds: ids})
	}
	return err
}

// Delete revokes every rule and removes the group. Groups that name each other
// could not be removed otherwise.
func (g *SecurityGroup) Delete(ctx context.Context) error {
	live, err := g.live(ctx, g.ID())
	if err != nil {
		return err
	}
	for _, l := range live {
		if err := g.revoke(ctx, l); err != nil && !notFound(err) {
			return fmt.Errorf("revoke %s in %s: %w", l, g.ID(), err)
		}
	}
	if _, err := g.ec2.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: aws.String(g.ID())}); err != nil && !notFound(err) {
		return fmt.Errorf("delete %s: %w", g.ID(), err)
	}
	return nil
}
