package provision

import (
	"fmt"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// networkParts are where the resources of a stack are: its own VPC or an existing one.
type networkParts struct {
	vpc anyVPC
	// gateway is what a load balancer that faces the internet needs, and routes what a
	// task needs to pull its image.
	gateway, routes graph.Finder
	// public are the subnets of load balancer and tasks, and data those of the database.
	public, data []anySubnet
	// existing means that the VPC is not the stack's, so that the ranges of its subnets are known
	// only after they are read.
	existing bool
	// ranges are all subnets of an existing VPC, once it was looked at.
	ranges func() []SubnetInfo

	before    []Resource // those that come before the security groups
	after     []Resource // and after them
	dataParts []Resource // those that only a database needs
}

// unknownRanges are those subnets that have to be read before their ranges are known.
func (p networkParts) unknownRanges(subnets []anySubnet) []graph.Finder {
	if !p.existing {
		return nil
	}
	return mapped(subnets, func(s anySubnet) graph.Finder { return s })
}

// newOwnNetwork is a VPC of the stack's own.
func newOwnNetwork(n ec2Access, spec Spec) networkParts {
	vpc := newVPC(n, spec.CIDR)
	gateway := newInternetGateway(n, vpc)
	publicCIDRs, privateCIDRs := subnetCIDRs(spec.CIDR)
	publicA := newSubnet(n, publicSubnet+"a", vpc, subnetSpec{publicCIDRs[0], spec.Zones[0]})
	publicB := newSubnet(n, publicSubnet+"b", vpc, subnetSpec{publicCIDRs[1], spec.Zones[1]})
	privateA := newSubnet(n, "subnet-private-a", vpc, subnetSpec{privateCIDRs[0], spec.Zones[0]})
	privateB := newSubnet(n, "subnet-private-b", vpc, subnetSpec{privateCIDRs[1], spec.Zones[1]})
	public := newRouteTable(n, "route-table-public", vpc, gateway, publicA, publicB)
	private := newRouteTable(n, "route-table-private", vpc, nil, privateA, privateB)
	return networkParts{
		vpc: vpc, gateway: gateway, routes: public,
		public: []anySubnet{publicA, publicB}, data: []anySubnet{privateA, privateB},
		before:    []Resource{vpc, gateway, publicA, publicB, privateA, privateB, public, private},
		after:     []Resource{newDefaultGroup(n, vpc)},
		dataParts: []Resource{privateA, privateB, private},
		ranges:    func() []SubnetInfo { return nil },
	}
}

// newExistingNetwork is an existing VPC, and the subnets that were chosen in it. The database
// can be in those of the load balancer.
func newExistingNetwork(n ec2Access, spec Spec) networkParts {
	shared := existingVPCParts{identity: n.identity, ec2: n.ec2, vpc: spec.VPC}
	vpc := newExistingVPC(shared)
	p := networkParts{vpc: vpc, gateway: vpc, routes: vpc, existing: true, before: []Resource{vpc}}
	p.ranges = func() []SubnetInfo {
		if live := vpc.Last(); live != nil {
			return live.Subnets
		}
		return nil
	}
	known := map[string]*ExistingSubnet{}
	for i, id := range IDList(spec.Subnets) {
		s := newExistingSubnet(shared, fmt.Sprintf(publicSubnet+"%c", 'a'+i), id, true, vpc)
		known[id] = s
		p.public, p.before = append(p.public, s), append(p.before, s)
	}
	for i, id := range IDList(spec.DBSubnets) {
		s := known[id]
		if s == nil {
			s = newExistingSubnet(shared, fmt.Sprintf("subnet-database-%c", 'a'+i), id, false, vpc)
			p.before, p.dataParts = append(p.before, s), append(p.dataParts, s)
		}
		p.data = append(p.data, s)
	}
	return p
}
