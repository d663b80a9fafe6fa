package ec2

import (
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// routeTable is a route table. The one that is associated as main serves the
// subnets that have none.
type routeTable struct {
	resource
	VPC          string        `json:"vpc"`
	Routes       []route       `json:"routes,omitempty"`
	Associations []association `json:"associations,omitempty"`
}

type route struct {
	Destination string            `json:"destination"`
	Gateway     string            `json:"gateway"` // "local" inside of the VPC
	Origin      types.RouteOrigin `json:"origin"`
}

type association struct {
	ID     string `json:"id"`
	Subnet string `json:"subnet,omitempty"`
	Main   bool   `json:"main,omitempty"`
}

const localRoute = "local"

func (t *routeTable) main() bool {
	return slices.ContainsFunc(t.Associations, func(x association) bool { return x.Main })
}

func (t *routeTable) fields() map[string][]string {
	f := map[string][]string{
		"route-table-id": {t.ID}, "vpc-id": {t.VPC}, "association.main": {strconv.FormatBool(t.main())},
		"association.route-table-association-id": {}, "association.subnet-id": {}, "association.route-table-id": {},
		"route.destination-cidr-block": {}, "route.gateway-id": {}, "route.origin": {},
	}
	add := func(name, value string) {
		if value != "" {
			f[name] = append(f[name], value)
		}
	}
	for _, x := range t.Associations {
		add("association.route-table-association-id", x.ID)
		add("association.subnet-id", x.Subnet)
		add("association.route-table-id", t.ID)
	}
	for _, r := range t.Routes {
		add("route.destination-cidr-block", r.Destination)
		add("route.gateway-id", r.Gateway)
		add("route.origin", string(r.Origin))
	}
	return f
}

func (a tx) table(t *routeTable) types.RouteTable {
	out := types.RouteTable{RouteTableId: aws.String(t.ID), VpcId: aws.String(t.VPC), OwnerId: aws.String(a.Account()), Tags: writeTags(t.Tags)}
	for _, r := range t.Routes {
		route := types.Route{DestinationCidrBlock: aws.String(r.Destination), GatewayId: aws.String(r.Gateway), Origin: r.Origin, State: types.RouteStateActive}
		if r.Gateway != localRoute && !slices.ContainsFunc(a.state().Gateways, func(g *gateway) bool { return g.ID == r.Gateway && g.VPC == t.VPC }) {
			route.State = types.RouteStateBlackhole
		}
		out.Routes = append(out.Routes, route)
	}
	for _, x := range t.Associations {
		assoc := types.RouteTableAssociation{
			RouteTableAssociationId: aws.String(x.ID), RouteTableId: aws.String(t.ID), Main: aws.Bool(x.Main), AssociationState: associated(),
		}
		if x.Subnet != "" {
			assoc.SubnetId = aws.String(x.Subnet)
		}
		out.Associations = append(out.Associations, assoc)
	}
	return out
}

func associated() *types.RouteTableAssociationState {
	return &types.RouteTableAssociationState{State: types.RouteTableAssociationStateCodeAssociated}
}

func (a tx) makeTable(v *vpc, tags map[string]string) *routeTable {
	t := &routeTable{
		resource: resource{kernel.NewID("rtb"), tags}, VPC: v.ID,
		Routes: []route{{Destination: v.CIDR, Gateway: localRoute, Origin: types.RouteOriginCreateRouteTable}},
	}
	a.state().Tables = append(a.state().Tables, t)
	return t
}

func (a tx) mainTable(vpc string) *routeTable {
	for _, t := range a.state().Tables {
		if t.VPC == vpc && t.main() {
			return t
		}
	}
	return nil // every VPC has one
}

func (a tx) CreateRouteTable(in *ec2.CreateRouteTableInput) (*ec2.CreateRouteTableOutput, error) {
	token := in.ClientToken
	request := *in
	request.ClientToken = nil
	id, done, err := a.once(token, request)
	if err != nil {
		return nil, err
	}
	if id != "" {
		t, err := item(a, kindTable, a.state().Tables, id)
		if err != nil {
			return nil, err
		}
		out := a.table(t)
		return &ec2.CreateRouteTableOutput{RouteTable: &out, ClientToken: token}, nil
	}
	v, err := item(a, kindVPC, a.state().VPCs, aws.ToString(in.VpcId))
	if err != nil {
		return nil, err
	}
	tags, err := onCreate(kindTable, in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	t := a.makeTable(v, tags)
	done(t.ID)
	a.Created(t.ID)
	out := a.table(t)
	return &ec2.CreateRouteTableOutput{RouteTable: &out, ClientToken: token}, nil
}

func (a tx) DescribeRouteTables(in *ec2.DescribeRouteTablesInput) (*ec2.DescribeRouteTablesOutput, error) {
	// Who shares a VPC does not show its main route table:
	// https://github.com/hashicorp/terraform-provider-aws/issues/22708
	tables := slices.DeleteFunc(slices.Clone(a.state().Tables), func(t *routeTable) bool { return t.main() && a.isShared(t.VPC) })
	page, next, err := described(a, kindTable, tables, in.RouteTableIds, in.Filters, in.MaxResults, in.NextToken, a.table)
	return &ec2.DescribeRouteTablesOutput{RouteTables: page, NextToken: next}, err
}

// DeleteRouteTable refuses the main table and one that serves subnets.
func (a tx) DeleteRouteTable(in *ec2.DeleteRouteTableInput) (*ec2.DeleteRouteTableOutput, error) {
	t, err := item(a, kindTable, a.state().Tables, aws.ToString(in.RouteTableId))
	if err != nil {
		return nil, err
	}
	if len(t.Associations) > 0 {
		return nil, kernel.Fail("DependencyViolation", "The routeTable '%s' has dependencies and cannot be deleted.", t.ID)
	}
	a.state().Tables = slices.DeleteFunc(a.state().Tables, func(x *routeTable) bool { return x == t })
	return &ec2.DeleteRouteTableOutput{}, nil
}

// routeTo checks where a route of the table leads and finds the one that is
// there for the destination; -1 for none.
func (a tx) routeTo(table, destination *string) (*routeTable, string, int, error) {
	t, err := item(a, kindTable, a.state().Tables, aws.ToString(table))
	if err != nil {
		return nil, "", 0, err
	}
	cidr, err := parseRange(aws.ToString(destination))
	if err != nil {
		return nil, "", 0, kernel.Fail("InvalidParameterValue", "Value (%s) for parameter destinationCidrBlock is invalid. This is not a valid CIDR block.", aws.ToString(destination))
	}
	at := slices.IndexFunc(t.Routes, func(r route) bool { return r.Destination == cidr.String() })
	return t, cidr.String(), at, nil
}

func (a tx) routeGateway(t *routeTable, id *string) (string, error) {
	if id == nil {
		return "", kernel.Fail("InvalidParameterCombination", "The local cloud routes to internet gateways only: name one by GatewayId")
	}
	g, err := item(a, kindGateway, a.state().Gateways, *id)
	if err != nil {
		// Routes have a code of their own for it.
		return "", kernel.Fail("InvalidGatewayID.NotFound", "The gateway ID '%s' does not exist", *id)
	}
	if g.VPC != t.VPC {
		return "", kernel.Fail("InvalidParameterValue", "route table %s and network gateway %s belong to different networks", t.ID, g.ID)
	}
	return g.ID, nil
}

// CreateRoute adds a route. Its destination is its natural key: a second one,
// even to the same target, is refused.
func (a tx) CreateRoute(in *ec2.CreateRouteInput) (*ec2.CreateRouteOutput, error) {
	t, destination, at, err := a.routeTo(in.RouteTableId, in.DestinationCidrBlock)
	if err != nil {
		return nil, err
	}
	gateway, err := a.routeGateway(t, in.GatewayId)
	if err != nil {
		return nil, err
	}
	if at >= 0 {
		return nil, kernel.Fail("RouteAlreadyExists", "The route identified by %s already exists.", destination)
	}
	t.Routes = append(t.Routes, route{Destination: destination, Gateway: gateway, Origin: types.RouteOriginCreateRoute})
	return &ec2.CreateRouteOutput{Return: aws.Bool(true)}, nil
}

func (a tx) ReplaceRoute(in *ec2.ReplaceRouteInput) (*ec2.ReplaceRouteOutput, error) {
	t, destination, at, err := a.routeTo(in.RouteTableId, in.DestinationCidrBlock)
	if err != nil {
		return nil, err
	}
	gateway, err := a.routeGateway(t, in.GatewayId)
	if err != nil {
		return nil, err
	}
	if at < 0 {
		return nil, kernel.Fail("InvalidParameterValue", "There is no route defined for '%s' in the route table. Use CreateRoute instead.", destination)
	}
	t.Routes[at].Gateway = gateway
	return &ec2.ReplaceRouteOutput{}, nil
}

func (a tx) DeleteRoute(in *ec2.DeleteRouteInput) (*ec2.DeleteRouteOutput, error) {
	t, destination, at, err := a.routeTo(in.RouteTableId, in.DestinationCidrBlock)
	if err != nil {
		return nil, err
	}
	if at < 0 {
		return nil, kernel.Fail("InvalidRoute.NotFound", "no route with destination-cidr-block %s in route table %s", destination, t.ID)
	}
	if t.Routes[at].Gateway == localRoute {
		return nil, kernel.Fail("InvalidParameterValue", "cannot remove local route %s in route table %s", destination, t.ID)
	}
	t.Routes = slices.Delete(t.Routes, at, at+1)
	return &ec2.DeleteRouteOutput{}, nil
}

// AssociateRouteTable gives a subnet a table. A subnet that has one, even this
// one, is refused with Resource.AlreadyAssociated, as Terraform's users see it
// (hashicorp/terraform-provider-aws #73, #38960).
func (a tx) AssociateRouteTable(in *ec2.AssociateRouteTableInput) (*ec2.AssociateRouteTableOutput, error) {
	t, err := item(a, kindTable, a.state().Tables, aws.ToString(in.RouteTableId))
	if err != nil {
		return nil, err
	}
	s, err := item(a, kindSubnet, a.state().Subnets, aws.ToString(in.SubnetId))
	if err != nil {
		return nil, err
	}
	if s.VPC != t.VPC {
		return nil, kernel.Fail("InvalidParameterValue", "Route table %s and subnet %s belong to different networks", t.ID, s.ID)
	}
	for _, other := range a.state().Tables {
		if slices.ContainsFunc(other.Associations, func(x association) bool { return x.Subnet == s.ID }) {
			return nil, kernel.Fail("Resource.AlreadyAssociated", "the specified association for route table %s conflicts with an existing association", t.ID)
		}
	}
	x := association{ID: kernel.NewID("rtbassoc"), Subnet: s.ID}
	t.Associations = append(t.Associations, x)
	return &ec2.AssociateRouteTableOutput{AssociationId: aws.String(x.ID), AssociationState: associated()}, nil
}

// association finds an association, which belongs to a table.
func (a tx) association(id *string) (*routeTable, int, error) {
	for _, t := range a.state().Tables {
		if at := slices.IndexFunc(t.Associations, func(x association) bool { return x.ID == aws.ToString(id) }); at >= 0 {
			return t, at, nil
		}
	}
	return nil, 0, kernel.Fail("InvalidAssociationID.NotFound", "The association ID '%s' does not exist", aws.ToString(id))
}

// ReplaceRouteTableAssociation moves an association, main or of a subnet, to
// another table, where it gets a new id.
func (a tx) ReplaceRouteTableAssociation(in *ec2.ReplaceRouteTableAssociationInput) (*ec2.ReplaceRouteTableAssociationOutput, error) {
	from, at, err := a.association(in.AssociationId)
	if err != nil {
		return nil, err
	}
	to, err := item(a, kindTable, a.state().Tables, aws.ToString(in.RouteTableId))
	if err != nil {
		return nil, err
	}
	if from.VPC != to.VPC {
		return nil, kernel.Fail("InvalidParameterValue", "Route table %s and association %s belong to different networks", to.ID, *in.AssociationId)
	}
	x := from.Associations[at]
	x.ID = kernel.NewID("rtbassoc")
	from.Associations = slices.Delete(from.Associations, at, at+1)
	to.Associations = append(to.Associations, x)
	return &ec2.ReplaceRouteTableAssociationOutput{NewAssociationId: aws.String(x.ID), AssociationState: associated()}, nil
}

func (a tx) DisassociateRouteTable(in *ec2.DisassociateRouteTableInput) (*ec2.DisassociateRouteTableOutput, error) {
	t, at, err := a.association(in.AssociationId)
	if err != nil {
		return nil, err
	}
	if t.Associations[at].Main {
		return nil, kernel.Fail("InvalidParameterValue", "cannot disassociate the main route table association %s", *in.AssociationId)
	}
	t.Associations = slices.Delete(t.Associations, at, at+1)
	return &ec2.DisassociateRouteTableOutput{}, nil
}
