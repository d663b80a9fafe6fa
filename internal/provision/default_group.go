package provision

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// defaultGroup is the name of the group that AWS gives every VPC.
const defaultGroup = "default"

// DefaultGroup is the default security group of the VPC, kept without rules.
// AWS puts whatever names no group into it, and lets its members talk to each
// other and to the world. It can't be deleted: it comes and goes with the VPC,
// by which it is found, so it needs no tags.
// https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html
type DefaultGroup struct {
	graph.NodeOf[*liveGroup]
	ec2Access
	vpc *VPC
}

func newDefaultGroup(n ec2Access, vpc *VPC) *DefaultGroup {
	g := &DefaultGroup{ec2Access: n, vpc: vpc}
	g.NodeOf = graph.Of(g, "sg-default", 5*time.Minute, vpc)
	return g
}

// Read looks the group up in the VPC, and its rules.
func (g *DefaultGroup) Read(ctx context.Context) (*liveGroup, graph.State, error) {
	all, err := g.allGroups(ctx, g.vpc.ID())
	if err != nil {
		return nil, graph.State{}, err
	}
	for _, sg := range all {
		if aws.ToString(sg.GroupName) == defaultGroup {
			return &liveGroup{rules: liveRules(sg)}, graph.State{Phase: graph.Ready, ID: aws.ToString(sg.GroupId), Owner: g.stack}, nil
		}
	}
	return nil, absent, nil
}

// Wanted implements graph.Shape.
func (g *DefaultGroup) Wanted(*liveGroup) *liveGroup { return &liveGroup{} }

// Attributes implements graph.Shape.
func (g *DefaultGroup) Attributes() graph.Attributes[*liveGroup] {
	return graph.Attributes[*liveGroup]{g.extraRules(g.Node)}
}

// UpdatesSynchronously implements graph.UpdatesSynchronously.
func (*DefaultGroup) UpdatesSynchronously([]graph.Change) bool { return true }

// Create leaves it to AWS, which makes the group with its VPC.
func (g *DefaultGroup) Create(context.Context) (string, error) { return "", nil }
