package provision

import (
	"context"
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// serving is where the tasks of the service are, those of an earlier release and those on their
// way out too.
type serving struct {
	// ports are those on which tasks are registered with the load balancer.
	ports []int32
	// ranges are the subnets of an existing VPC in which tasks are, or in which ECS starts
	// those of a release that is not over.
	ranges []SubnetInfo
}

// newServing is where those targets, and the tasks of a service with those subnets, are.
func newServing(targets []elbtypes.TargetDescription, subnets []string, all []SubnetInfo) serving {
	var s serving
	for _, t := range targets {
		s.ports = append(s.ports, aws.ToInt32(t.Port))
	}
	for _, r := range all {
		holds := func(t elbtypes.TargetDescription) bool { return r.contains(aws.ToString(t.Id)) }
		if slices.Contains(subnets, r.ID) || slices.ContainsFunc(targets, holds) {
			s.ranges = append(s.ranges, r)
		}
	}
	return s
}

// contains reports whether an address is one of the subnet.
func (r SubnetInfo) contains(address string) bool {
	cidr, err := netip.ParsePrefix(r.CIDR)
	a, wrong := netip.ParseAddr(address)
	return err == nil && wrong == nil && cidr.Contains(a)
}

// taskSubnets are the subnets of the service, and of each of its deployments: a rollout that is
// not over has tasks in those of both, and one that fails goes back to the earlier ones.
func (c ecsAccess) taskSubnets(ctx context.Context) ([]string, error) {
	live, err := c.ownService(ctx)
	if live == nil || err != nil {
		return nil, err
	}
	var ids []string
	if n := live.NetworkConfiguration; n != nil && n.AwsvpcConfiguration != nil {
		ids = append(ids, n.AwsvpcConfiguration.Subnets...)
	}
	for _, d := range live.Deployments {
		if n := d.NetworkConfiguration; n != nil && n.AwsvpcConfiguration != nil {
			ids = append(ids, n.AwsvpcConfiguration.Subnets...)
		}
	}
	return ids, nil
}
