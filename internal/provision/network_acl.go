package provision

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Network ACLs filter what enters and leaves subnets. The stack's security groups do
// all that is wanted, so each subnet stays with the default ACL of the VPC, and that
// one as AWS makes it: it lets everything through. The VPC repairs its entries, and
// each subnet its own association.
// https://docs.aws.amazon.com/vpc/latest/userguide/default-network-acl.html

// allACLs are the network ACLs of the VPC, by one call for all that are with them.
func (n ec2Access) allACLs(ctx context.Context, vpc string) ([]types.NetworkAcl, error) {
	if vpc == "" {
		return nil, nil
	}
	return n.observed().acls.of(vpc).readShared(ctx, func(ctx context.Context) ([]types.NetworkAcl, error) {
		out, err := n.ec2.DescribeNetworkAcls(ctx, &ec2.DescribeNetworkAclsInput{
			Filters: []types.Filter{{Name: aws.String("vpc-id"), Values: []string{vpc}}},
		})
		if err != nil {
			return nil, fmt.Errorf("describe the network ACLs of %s: %w", vpc, err)
		}
		return out.NetworkAcls, nil
	})
}

// defaultACL is the ACL that a VPC came with, or nil.
func defaultACL(all []types.NetworkAcl) *types.NetworkAcl {
	for i := range all {
		if aws.ToBool(all[i].IsDefault) {
			return &all[i]
		}
	}
	return nil
}

const (
	// openEntry is the number of the entries that let everything through.
	openEntry    = 100
	missingEntry = "network ACL entry missing: "
	extraEntry   = "network ACL entry too many: "
)

// entryName distinguishes an entry from the others of its ACL.
func entryName(number int32, egress bool) string {
	direction := "ingress"
	if egress {
		direction = "egress"
	}
	return direction + " " + strconv.Itoa(int(number))
}

// aclDrift compares the entries of the default ACL. Those for IPv6, which the stack
// has not, and the last one, which can't be changed, are left out.
func aclDrift(acl *types.NetworkAcl) (missing, extra []graph.Change) {
	if acl == nil {
		return nil, nil
	}
	open := map[bool]bool{}
	for _, e := range acl.Entries {
		number, egress := aws.ToInt32(e.RuleNumber), aws.ToBool(e.Egress)
		if number >= 32767 || e.CidrBlock == nil {
			continue
		}
		if number == openEntry && e.RuleAction == types.RuleActionAllow && aws.ToString(e.Protocol) == "-1" && aws.ToString(e.CidrBlock) == anywhere {
			open[egress] = true
			continue
		}
		extra = append(extra, graph.Change{Field: entryName(number, egress), Have: describeEntry(e)})
	}
	for _, egress := range []bool{false, true} {
		if !open[egress] {
			missing = append(missing, graph.Change{Field: entryName(openEntry, egress), Want: "allow everything"})
		}
	}
	return missing, extra
}

func describeEntry(e types.NetworkAclEntry) string {
	text := fmt.Sprintf("%s protocol %s of %s", e.RuleAction, aws.ToString(e.Protocol), aws.ToString(e.CidrBlock))
	if p := e.PortRange; p != nil {
		text += fmt.Sprintf(", ports %d to %d", aws.ToInt32(p.From), aws.ToInt32(p.To))
	}
	return strings.TrimSpace(text)
}

// openACL makes the default ACL let everything through again.
func (n ec2Access) openACL(ctx context.Context, acl *string, changes []graph.Change) error {
	for _, c := range changes {
		name, ok := strings.CutPrefix(c.Field, extraEntry)
		if !ok {
			continue
		}
		direction, text, _ := strings.Cut(name, " ")
		_, err := n.ec2.DeleteNetworkAclEntry(ctx, &ec2.DeleteNetworkAclEntryInput{
			NetworkAclId: acl, Egress: aws.Bool(direction == "egress"), RuleNumber: number(text),
		})
		if err != nil && !notFound(err) {
			return fmt.Errorf("delete entry %s of %s: %w", name, aws.ToString(acl), err)
		}
	}
	for _, egress := range []bool{false, true} {
		if !hasField(changes, missingEntry+entryName(openEntry, egress)) {
			continue
		}
		_, err := n.ec2.CreateNetworkAclEntry(ctx, &ec2.CreateNetworkAclEntryInput{
			NetworkAclId: acl, Egress: &egress, RuleNumber: aws.Int32(openEntry), RuleAction: types.RuleActionAllow,
			Protocol: aws.String("-1"), CidrBlock: aws.String(anywhere),
		})
		if err != nil && !IsCode(err, "NetworkAclEntryAlreadyExists") {
			return fmt.Errorf("make entry %s of %s: %w", entryName(openEntry, egress), aws.ToString(acl), err)
		}
	}
	return nil
}

// mayOpenACL asks by a dry run whether these credentials may repair the default ACL. Else
// it returns why it stays as it is. The default ACL has no tag and no name by which a policy
// could allow that of this VPC alone, so bookctl's own does not allow it.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNetworkAclEntry.html
func (n ec2Access) mayOpenACL(ctx context.Context, acl *string) string {
	_, err := n.ec2.CreateNetworkAclEntry(ctx, &ec2.CreateNetworkAclEntryInput{
		DryRun: aws.Bool(true), NetworkAclId: acl, Egress: aws.Bool(false), RuleNumber: aws.Int32(openEntry), RuleAction: types.RuleActionAllow,
		Protocol: aws.String("-1"), CidrBlock: aws.String(anywhere),
	})
	return keptACL(err, aws.ToString(acl), "ec2:CreateNetworkAclEntry and ec2:DeleteNetworkAclEntry")
}

// mayMoveACL is mayOpenACL for the association of a subnet.
func (n ec2Access) mayMoveACL(ctx context.Context, association, acl *string) string {
	_, err := n.ec2.ReplaceNetworkAclAssociation(ctx, &ec2.ReplaceNetworkAclAssociationInput{DryRun: aws.Bool(true), AssociationId: association, NetworkAclId: acl})
	return keptACL(err, aws.ToString(acl), "ec2:ReplaceNetworkAclAssociation")
}

func keptACL(err error, acl, actions string) string {
	if _, denied := Denied(err); !denied {
		return ""
	}
	return fmt.Sprintf("your credentials may not change it, and bookctl's policy leaves that out, since IAM can't limit it to this VPC; the next up of somebody who is allowed %s on %s repairs it", actions, acl)
}

// association is what a subnet is with: the ACL, and the id by which it is moved.
func association(all []types.NetworkAcl, subnet string) (acl, id string) {
	for _, l := range all {
		for _, a := range l.Associations {
			if aws.ToString(a.SubnetId) == subnet {
				return aws.ToString(l.NetworkAclId), aws.ToString(a.NetworkAclAssociationId)
			}
		}
	}
	return "", ""
}
