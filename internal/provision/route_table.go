package provision

import (
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

const anywhere = "0.0.0.0/0"

// RouteTable routes some subnets: to the internet when it has a gateway, and
// nowhere outside the VPC otherwise. Its route and associations carry no tags
// of their own; they are drift of the table.
type RouteTable struct {
	graph.NodeOf[*liveRoutes]
	ec2Access
	vpc       *VPC
	gateway   *InternetGateway // nil: isolated
	subnets   []*Subnet
	createdID string // in this run
	// doubtful reports whether a route or an association was there before this run made it, and
	// may be another one.
	doubtful bool
	// joined are the subnets that this run has associated. Should one not show, it is
	// looked at.
	joined map[string]bool
}

func newRouteTable(n ec2Access, name string, vpc *VPC, gateway *InternetGateway, subnets ...*Subnet) *RouteTable {
	needs := []graph.Finder{vpc}
	if gateway != nil {
		needs = append(needs, gateway)
	}
	for _, s := range subnets {
		needs = append(needs, s)
	}
	r := &RouteTable{ec2Access: n, vpc: vpc, gateway: gateway, subnets: subnets, joined: map[string]bool{}}
	r.NodeOf = graph.Of(r, name, 5*time.Minute, needs...)
	return r
}

// liveRoutes is a table as far as it is compared.
type liveRoutes struct {
	duplicates []string // the ids of other tables like it, which are bare
	tags       map[string]string
	vpc        string
	out        string            // where the default route leads, "" for none
	extra      map[string]string // destination of each other route, and where it leads
	subnets    map[string]string // associated, and by which association
}

// Read looks the table up by its tags.
func (r *RouteTable) Read(ctx context.Context) (*liveRoutes, graph.State, error) {
	all, err := r.allTables(ctx)
	if err != nil {
		return nil, graph.State{}, err
	}
	ours := named(all, r.Name(), func(x types.RouteTable) []types.Tag { return x.Tags })
	t, bare, err := oneOf("route tables", r.createdID, ours, func(x types.RouteTable) string { return aws.ToString(x.RouteTableId) },
		func(x types.RouteTable) (bool, error) { return len(x.Associations) > 0 || defaultRoute(&x) != nil, nil })
	if t == nil || err != nil {
		return nil, absent, err
	}
	live := &liveRoutes{tags: fromEC2Tags(t.Tags), duplicates: bare, vpc: aws.ToString(t.VpcId), extra: map[string]string{}, subnets: map[string]string{}}
	for _, route := range t.Routes {
		switch to := aws.ToString(route.DestinationCidrBlock); {
		case to == anywhere:
			live.out = leadsTo(route)
		case to != "" && route.Origin == types.RouteOriginCreateRoute && aws.ToString(route.GatewayId) != "local":
			live.extra[to] = leadsTo(route)
		}
	}
	for _, a := range t.Associations {
		live.subnets[aws.ToString(a.SubnetId)] = aws.ToString(a.RouteTableAssociationId)
	}
	return live, graph.State{Phase: graph.Ready, ID: aws.ToString(t.RouteTableId), Owner: live.tags[TagStack]}, nil
}

func defaultRoute(t *types.RouteTable) *types.Route {
	for i, route := range t.Routes {
		if aws.ToString(route.DestinationCidrBlock) == anywhere {
			return &t.Routes[i]
		}
	}
	return nil
}

// leadsTo is the target of a route. A blackhole's is gone, or no longer of the VPC.
func leadsTo(r types.Route) string {
	to := ""
	for _, target := range []*string{
		r.GatewayId, r.NatGatewayId, r.TransitGatewayId, r.VpcPeeringConnectionId, r.EgressOnlyInternetGatewayId,
		r.CarrierGatewayId, r.LocalGatewayId, r.CoreNetworkArn, r.OdbNetworkArn, r.NetworkInterfaceId, r.InstanceId,
	} {
		if target != nil {
			to = *target
			break
		}
	}
	if r.State == types.RouteStateBlackhole {
		to += " (blackhole)"
	}
	return to
}

// Wanted implements graph.Shape.
func (r *RouteTable) Wanted(*liveRoutes) *liveRoutes {
	w := &liveRoutes{tags: r.tags(r.Name()), vpc: r.vpc.ID(), subnets: map[string]string{}}
	if r.gateway != nil {
		w.out = r.gateway.ID()
	}
	for _, s := range r.subnets {
		w.subnets[s.ID()] = "wanted"
	}
	return w
}

// extraRoute begins the field of a route that nobody asked for: it takes traffic away
// from where it is to go, or opens a way that should not be.
const extraRoute = "extra route: "

// associationField begins the field that says which subnet is not with the
// table.
const associationField = "association: "

// Attributes implements graph.Shape.
func (r *RouteTable) Attributes() graph.Attributes[*liveRoutes] {
	return graph.Attributes[*liveRoutes]{
		duplicateAttribute(func(l *liveRoutes) []string { return l.duplicates }, &r.createdID, func(ctx context.Context, other *string) error {
			_, err := r.ec2.DeleteRouteTable(ctx, &ec2.DeleteRouteTableInput{RouteTableId: other})
			return err
		}),
		tagAttribute(func(l *liveRoutes) map[string]string { return l.tags }, r.retagging(r.Node)),
		graph.Field("vpc", func(l *liveRoutes) string { return l.vpc }, graph.Fixed("a route table can't be moved")),
		graph.Field("default-route", func(l *liveRoutes) string { return l.out }, graph.SetBy(r.route)),
		graph.Many(extraRoute, func(live, _ *liveRoutes) []graph.Change { return surplus(live.extra) }, graph.SetBy(r.deleteRoutes)),
		graph.Many(associationField, func(live, want *liveRoutes) []graph.Change {
			var out []graph.Change
			for id := range want.subnets {
				if live.subnets[id] == "" {
					out = append(out, graph.Change{Field: id, Want: "associated"})
				}
			}
			return out
		}, graph.SetBy(r.associateAll)),
	}
}

// Create creates the empty table.
func (r *RouteTable) Create(ctx context.Context) (string, error) {
	out, err := r.ec2.CreateRouteTable(ctx, &ec2.CreateRouteTableInput{
		VpcId:             aws.String(r.vpc.ID()),
		TagSpecifications: r.onCreate(types.ResourceTypeRouteTable, r.Name()),
	}, throttlesOnly)
	if err != nil {
		return "", fmt.Errorf("create route table: %w", err)
	}
	r.createdID = aws.ToString(out.RouteTable.RouteTableId)
	r.Answer(&liveRoutes{tags: r.tags(r.Name()), vpc: r.vpc.ID()}, graph.State{Phase: graph.Ready, Owner: r.stack})
	return r.createdID, nil
}

func (r *RouteTable) deleteRoutes(ctx context.Context, changes []graph.Change) error {
	for _, c := range changes {
		to := strings.TrimPrefix(c.Field, extraRoute)
		if _, err := r.ec2.DeleteRoute(ctx, &ec2.DeleteRouteInput{RouteTableId: aws.String(r.ID()), DestinationCidrBlock: &to}); err != nil && !notFound(err) {
			return fmt.Errorf("delete the route of %s to %s: %w", r.ID(), to, err)
		}
	}
	return nil
}

func (r *RouteTable) associateAll(ctx context.Context, changes []graph.Change) error {
	for _, s := range r.subnets {
		if !hasField(changes, associationField+s.ID()) {
			continue
		}
		if err := r.associate(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (r *RouteTable) route(ctx context.Context, _ []graph.Change) error {
	var err error
	dest, id := aws.String(anywhere), aws.String(r.ID())
	switch live := r.Last(); {
	case r.gateway == nil:
		if _, err = r.ec2.DeleteRoute(ctx, &ec2.DeleteRouteInput{RouteTableId: id, DestinationCidrBlock: dest}); notFound(err) {
			err = nil
		}
	case live == nil || live.out == "":
		_, err = r.ec2.CreateRoute(ctx, &ec2.CreateRouteInput{RouteTableId: id, DestinationCidrBlock: dest, GatewayId: aws.String(r.gateway.ID())})
		if IsCode(err, "RouteAlreadyExists") {
			r.doubtful, err = true, nil // by a call whose answer was lost; the next read shows where it leads
		}
	default:
		_, err = r.ec2.ReplaceRoute(ctx, &ec2.ReplaceRouteInput{RouteTableId: id, DestinationCidrBlock: dest, GatewayId: aws.String(r.gateway.ID())})
	}
	if err != nil {
		return fmt.Errorf("set the default route of %s: %w", aws.ToString(id), err)
	}
	return nil
}

// associate moves a subnet to this table. A subnet with a table of somebody
// else's choice is moved by replacing that association, since it can have one
// only. One that this run has just made has none.
func (r *RouteTable) associate(ctx context.Context, s *Subnet) error {
	subnet := s.ID()
	if s.createdID == subnet && !r.joined[subnet] {
		r.joined[subnet] = true
		return r.join(ctx, subnet)
	}
	out, err := r.ec2.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{
		Filters: []types.Filter{{Name: aws.String("association.subnet-id"), Values: []string{subnet}}},
	})
	if err != nil {
		return fmt.Errorf("describe the route table of %s: %w", subnet, err)
	}
	for _, t := range out.RouteTables {
		for _, a := range t.Associations {
			if aws.ToString(a.SubnetId) != subnet {
				continue
			}
			_, err := r.ec2.ReplaceRouteTableAssociation(ctx, &ec2.ReplaceRouteTableAssociationInput{
				AssociationId: a.RouteTableAssociationId, RouteTableId: aws.String(r.ID()),
			})
			if err != nil {
				return fmt.Errorf("move %s to %s: %w", subnet, r.ID(), err)
			}
			return nil
		}
	}
	return r.join(ctx, subnet)
}

// join associates a subnet that has no table of its own.
func (r *RouteTable) join(ctx context.Context, subnet string) error {
	_, err := r.ec2.AssociateRouteTable(ctx, &ec2.AssociateRouteTableInput{RouteTableId: aws.String(r.ID()), SubnetId: &subnet})
	if IsCode(err, "Resource.AlreadyAssociated") {
		r.doubtful = true
		return nil // by a call whose answer was lost; the next read shows with which table
	}
	if err != nil {
		return fmt.Errorf("associate %s with %s: %w", subnet, r.ID(), err)
	}
	return nil
}

// UpdatesSynchronously implements graph.UpdatesSynchronously.
func (r *RouteTable) UpdatesSynchronously(changes []graph.Change) bool {
	return !r.doubtful && !slices.ContainsFunc(changes, func(c graph.Change) bool { return strings.HasPrefix(c.Field, duplicateField) })
}

// DeletesAfter implements graph.DeletesLater: the association with a subnet is deleted with
// that. AWS's own steps delete the subnets first, and dissociate nothing:
// https://docs.aws.amazon.com/vpc/latest/userguide/delete-vpc.html#delete-vpc-cli
func (r *RouteTable) DeletesAfter(f graph.Finder) bool {
	s, ok := f.(*Subnet)
	return ok && slices.Contains(r.subnets, s)
}

// Delete removes the table, and dissociates it where that is refused: from a subnet that is
// not the stack's.
func (r *RouteTable) Delete(ctx context.Context) error {
	_, err := r.ec2.DeleteRouteTable(ctx, &ec2.DeleteRouteTableInput{RouteTableId: aws.String(r.ID())})
	if err == nil || notFound(err) {
		return nil
	}
	if live := r.Last(); live != nil && IsCode(err, "DependencyViolation") {
		for subnet, association := range live.subnets {
			_, err := r.ec2.DisassociateRouteTable(ctx, &ec2.DisassociateRouteTableInput{AssociationId: &association})
			if err != nil && !notFound(err) {
				return fmt.Errorf("dissociate %s from %s: %w", subnet, r.ID(), err)
			}
		}
	}
	if _, err := r.ec2.DeleteRouteTable(ctx, &ec2.DeleteRouteTableInput{RouteTableId: aws.String(r.ID())}); err != nil && !notFound(err) {
		return fmt.Errorf("delete %s: %w", r.ID(), err)
	}
	return nil
}

// DeletesSynchronously implements graph.DeletesSynchronously.
func (r *RouteTable) DeletesSynchronously() {}

// routeTableKind lists and deletes the stack's route tables.
func (n ec2Access) routeTableKind() inventory.Kind {
	return n.kind("route table", "route tables", func(ctx context.Context) ([]*string, error) {
		out, err := n.ec2.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{Filters: n.all()})
		if err != nil {
			return nil, err
		}
		return mapped(out.RouteTables, func(x types.RouteTable) *string { return x.RouteTableId }), nil
	}, func(ctx context.Context, id *string) error {
		out, err := n.ec2.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{RouteTableIds: []string{*id}})
		if err != nil {
			return err
		}
		for _, t := range out.RouteTables {
			for _, a := range t.Associations {
				if _, err := n.ec2.DisassociateRouteTable(ctx, &ec2.DisassociateRouteTableInput{AssociationId: a.RouteTableAssociationId}); err != nil {
					return err
				}
			}
		}
		_, err = n.ec2.DeleteRouteTable(ctx, &ec2.DeleteRouteTableInput{RouteTableId: id})
		return err
	})
}
