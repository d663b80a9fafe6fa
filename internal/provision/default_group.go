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
	graph.Node
	network
}

func newDefaultGroup(n network, vpc *VPC) *DefaultGroup {
	return &DefaultGroup{Node: graph.Named("sg-default", 5*time.Minute, vpc), network: n}
}

// Find looks the group up in the VPC, and its rules.
func (g *DefaultGroup) Find(ctx context.Context) (graph.State, error) {
	all, err := g.groups.look(ctx, g.Name())
	if err != nil {
		return graph.State{}, err
	}
	for _, sg := range all {
		if aws.ToString(sg.GroupName) == defaultGroup {
			return graph.State{Phase: graph.Ready, ID: aws.ToString(sg.GroupId), Owner: g.stack, Drift: ruleDrift(liveRules(sg), nil)}, nil
		}
	}
	return absent, nil
}

// Create leaves it to AWS, which makes the group with its VPC.
func (g *DefaultGroup) Create(context.Context) (string, error) { return "", nil }

// Update revokes the rules.
func (g *DefaultGroup) Update(ctx context.Context, changes []graph.Change) error {
	return g.revokeExtra(ctx, g.ID(), changes)
}
