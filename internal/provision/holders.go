package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/sorted"
)

// Holder is something that the stack did not make and that keeps its network from being
// removed, or would be left with its tag.
type Holder struct {
	Kind string `json:"kind"` // in words: "VPC endpoint"
	ID   string `json:"id"`
	// What describes it: its name, or what it is of.
	What string `json:"what,omitempty"`
	// Where is how it holds the network or what it has of the stack: "is in vpc-1".
	Where string            `json:"where"`
	Owner string            `json:"owner,omitempty"` // the account
	Tags  map[string]string `json:"tags,omitempty"`
	// Holds are the ids of what it keeps from being removed.
	Holds []string `json:"holds"`

	// parameters is the family of the stack's parameter group that a database has, "" for none.
	parameters string
}

func (h Holder) String() string {
	var about []string
	if h.What != "" {
		about = append(about, h.What)
	}
	if h.Owner != "" {
		about = append(about, "account "+h.Owner)
	}
	if len(h.Tags) > 0 {
		var tags []string
		for _, k := range slices.Sorted(maps.Keys(h.Tags)) {
			tags = append(tags, k+"="+h.Tags[k])
		}
		about = append(about, "tags "+strings.Join(tags, " "))
	}
	text := h.Kind + " " + h.ID
	if about != nil {
		text += " (" + strings.Join(about, ", ") + ")"
	}
	return text + " " + h.Where
}

// HeldError reports that a stack can't be destroyed since others use its network or cluster, or
// have its tag.
type HeldError struct {
	Stack   string
	Holders []Holder
}

func (e *HeldError) Error() string {
	lines := []string{fmt.Sprintf("stack %s can't be destroyed, and nothing was touched: resources that it did not create use its network, cluster or parameter group, or have its tag", e.Stack)}
	for _, h := range e.Holders {
		lines = append(lines, "  "+h.String())
	}
	return strings.Join(lines, "\n")
}

// CheckHolders finds what would hold a destroy until its time is over, before
// anything is touched: DeleteVpc, DeleteSubnet and DeleteSecurityGroup answer
// DependencyViolation, and do not say by whom.
// https://docs.aws.amazon.com/vpc/latest/userguide/delete-vpc.html
//
// What it reads of the stack's own is in what was read of it, for the destroy; the zero
// Deployed is fine.
func CheckHolders(ctx context.Context, c Clients, stack string, have Deployed) error {
	if err := naming.CheckStack(stack); err != nil {
		return err
	}
	ctx = graph.WhileObserving(ctx)
	n := ec2Access{identity: identity{stack: stack, observation: have.observation}, ec2: c.EC2}
	vpcs, err := n.allVPCs(ctx)
	if err != nil {
		return err
	}
	var ids []string
	for _, v := range vpcs {
		ids = append(ids, aws.ToString(v.VpcId))
	}
	s, err := n.search(ctx, ids)
	if err != nil {
		return err
	}
	s.rds, s.ecs, s.gateways = c.RDS, c.ECS, have.VPC == ""
	holders, err := s.holders(ctx)
	if err != nil {
		return err
	}
	if holders == nil {
		return nil
	}
	if lent := slices.IndexFunc(holders, func(h Holder) bool { return h.Kind == "internet gateway" }); lent >= 0 && len(holders) == 1 {
		h := holders[lent]
		return hint.Add(&HeldError{stack, holders}, hint.New("give that VPC another internet gateway, or none, and detach this one: %s; then run the same command again",
			hint.AWS("ec2", "detach-internet-gateway", "--internet-gateway-id", h.ID, "--vpc-id", h.Holds[0])))
	}
	next := hint.New("delete them, or move them out of the stack's network and remove its tag from them; then run the same command again")
	for _, others := range []hint.Message{parameterGroupHint(holders), servicesHint(holders)} {
		if !others.Empty() {
			next = hint.Join("; ", others, next)
		}
	}
	return hint.Add(&HeldError{stack, holders}, hint.Join("; ", guardDutyHint(holders), next))
}

// guardDutyHint returns how to remove what GuardDuty Runtime Monitoring has put into the
// network, empty where it has not. GuardDuty makes an endpoint and its group for the tasks that
// it watches, and keeps both until it is turned off.
// https://docs.aws.amazon.com/guardduty/latest/ug/using-iac-with-gdu-automated-agents-runtime-monitoring.html
func guardDutyHint(holders []Holder) hint.Message {
	var steps []hint.Message
	for _, h := range holders { // sorted by kind: the endpoint is in the group
		switch {
		case h.Tags["GuardDutyManaged"] != "true":
		case h.Kind == endpointHolder && strings.HasSuffix(h.What, ".guardduty-data"):
			steps = append(steps, hint.New("%s", hint.AWS("ec2", "delete-vpc-endpoints", "--vpc-endpoint-ids", h.ID)))
		case h.Kind == groupHolder && strings.HasPrefix(h.What, `"GuardDutyManagedSecurityGroup-`):
			steps = append(steps, hint.New("%s", hint.AWS("ec2", "delete-security-group", "--group-id", h.ID)))
		}
	}
	if steps == nil {
		return hint.Message{}
	}
	return hint.New("what GuardDuty created for the tasks is deleted by %s", hint.Join(", and after that by ", steps...))
}

// parameterGroupHint returns how instances that have the stack's parameter group get another one,
// empty where none has it.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithParamGroups.Associating.html
func parameterGroupHint(holders []Holder) hint.Message {
	var steps []hint.Message
	for _, h := range holders {
		if h.parameters != "" {
			steps = append(steps, hint.New("%s", hint.AWS("rds", "modify-db-instance", "--db-instance-identifier", h.ID, "--db-parameter-group-name", "default."+h.parameters)))
		}
	}
	if steps == nil {
		return hint.Message{}
	}
	return hint.New("another parameter group is given by %s", hint.Join(" and ", steps...))
}

// servicesHint returns how services of others are deleted, empty where there are none. A service
// can't be moved to another cluster.
func servicesHint(holders []Holder) hint.Message {
	var steps []hint.Message
	for _, h := range holders {
		if h.Kind == serviceHolder {
			steps = append(steps, hint.New("%s", hint.AWS("ecs", "delete-service", "--cluster", h.Holds[0], "--service", h.ID, "--force")))
		}
	}
	if steps == nil {
		return hint.Message{}
	}
	return hint.New("a service is deleted, and its tasks stopped, by %s", hint.Join(" and ", steps...))
}

// Kinds of holders.
const (
	serviceHolder  = "ECS service"
	endpointHolder = "VPC endpoint"
	groupHolder    = "security group"
)

// search begins a look for holders of the stack's VPCs, or of its security groups where
// they are all of the network that is its own.
func (n ec2Access) search(ctx context.Context, vpcs []string) (holderSearch, error) {
	s := holderSearch{ec2Access: n, vpcs: vpcs}
	for _, vpc := range vpcs {
		in, err := n.allGroups(ctx, vpc)
		if err != nil {
			return s, err
		}
		s.groups = append(s.groups, in...)
	}
	if vpcs != nil {
		return s, nil
	}
	out, err := n.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: n.all()})
	if err != nil {
		return s, fmt.Errorf("describe the security groups of stack %s: %w", n.stack, err)
	}
	s.groups = out.SecurityGroups
	return s, nil
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: &name, Values: values}
}

// holderSearch is a look for holders.
type holderSearch struct {
	ec2Access
	rds      *rds.Client           // nil does not look for databases
	ecs      *ecs.Client           // nil does not look for services
	gateways bool                  // looks for the stack's internet gateways in VPCs of others
	vpcs     []string              // the stack's own; nil where it is in an existing one
	groups   []types.SecurityGroup // those of the VPCs, or the stack's
}

// holders finds what is not the stack's in or at its network. What can't be asked for,
// since the caller may not or the endpoint knows no such resource, holds nothing that
// could be named; but for network interfaces, which a destroy waits for.
func (s holderSearch) holders(ctx context.Context) ([]Holder, error) {
	var finds []func(context.Context) ([]Holder, error)
	if s.rds != nil {
		finds = append(finds, s.databases)
	}
	if s.ecs != nil {
		finds = append(finds, s.services)
	}
	if s.gateways {
		finds = append(finds, s.lentGateways)
	}
	if s.vpcs != nil || len(s.groups) > 0 {
		finds = append(finds, s.otherGroups, s.interfaces)
	}
	if s.vpcs != nil {
		finds = append(finds, s.subnets, s.tables, s.acls, s.endpoints, s.natGateways, s.peerings, s.vpnGateways, s.transitAttachments, s.egressGateways)
	}
	var (
		mu   sync.Mutex
		each graph.Group
		out  []Holder
	)
	for _, find := range finds {
		each.Go(func() error {
			found, err := find(ctx)
			// A destroy that can't ask for interfaces can't say what holds it. Services are listed
			// only if there are some.
			if action, _ := Denied(err); action == "ec2:DescribeNetworkInterfaces" || action == "ecs:ListServices" {
				return err
			}
			if err != nil {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			out = append(out, found...)
			return nil
		})
	}
	err := each.Wait()
	sorted.By(out, func(a, b Holder) int { return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.ID, b.ID)) })
	return out, errors.Join(err, ctx.Err())
}

func (s holderSearch) ours(tags []types.Tag) bool { return fromEC2Tags(tags)[TagStack] == s.stack }

// created reports whether bookctl created what has these tags. A resource that somebody gave
// the tag of the stack alone, such as a copy, is none of the graph: nothing deletes it before
// the VPC that it is in.
func (s holderSearch) created(tags []types.Tag) bool {
	return s.ours(tags) && fromEC2Tags(tags)[TagResource] != ""
}

// holder creates one that is in a VPC, or at it.
func (s holderSearch) holder(kind string, id *string, what string, tags []types.Tag, owner *string, where string, holds ...string) Holder {
	return Holder{Kind: kind, ID: aws.ToString(id), What: what, Where: where, Owner: aws.ToString(owner), Tags: fromEC2Tags(tags), Holds: holds}
}

// own are the ids of the stack's groups.
func (s holderSearch) own() []string {
	var out []string
	for _, g := range s.groups {
		if s.created(g.Tags) || aws.ToString(g.GroupName) == defaultGroup {
			out = append(out, aws.ToString(g.GroupId))
		}
	}
	return out
}

// otherGroups are those in the VPCs, and those elsewhere (of a peered VPC) that
// name one of the stack's in a rule.
func (s holderSearch) otherGroups(ctx context.Context) ([]Holder, error) {
	own := s.own()
	var out []Holder
	for _, g := range s.groups {
		if id := aws.ToString(g.GroupId); !slices.Contains(own, id) {
			where, holds := "is in "+aws.ToString(g.VpcId), []string{aws.ToString(g.VpcId)}
			if named := refersTo(g, own); named != nil {
				where, holds = where+" and refers to "+strings.Join(named, ", "), append(holds, named...)
			}
			out = append(out, s.holder(groupHolder, g.GroupId, fmt.Sprintf("%q", aws.ToString(g.GroupName)), g.Tags, g.OwnerId, where, holds...))
		}
	}
	if own == nil {
		return out, nil
	}
	for _, direction := range []string{"ip-permission.group-id", "egress.ip-permission.group-id"} {
		found, err := s.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: []types.Filter{filter(direction, own...)}})
		if err != nil {
			return out, err
		}
		for _, g := range found.SecurityGroups {
			known := slices.Contains(s.vpcs, aws.ToString(g.VpcId)) || slices.Contains(own, aws.ToString(g.GroupId)) || slices.ContainsFunc(out, func(h Holder) bool { return h.ID == aws.ToString(g.GroupId) })
			named := refersTo(g, own)
			if known || named == nil {
				continue
			}
			out = append(out, s.holder(groupHolder, g.GroupId, fmt.Sprintf("%q", aws.ToString(g.GroupName)), g.Tags, g.OwnerId,
				"of "+aws.ToString(g.VpcId)+" refers to "+strings.Join(named, ", "), named...))
		}
	}
	return out, nil
}

// lentGateways are internet gateways of the stack that somebody attached to a VPC that is not
// the stack's, which would lose its way out. One whose VPC can't be seen yet, of a run that
// was cut off, is none.
func (s holderSearch) lentGateways(ctx context.Context) ([]Holder, error) {
	found, err := s.allGateways(ctx)
	if err != nil {
		return nil, err
	}
	var out []Holder
	for _, g := range found {
		vpc := attachedTo(&g)
		if vpc == "" || slices.Contains(s.vpcs, vpc) {
			continue
		}
		in, err := s.ec2.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: []types.Filter{filter("vpc-id", vpc)}})
		if err != nil {
			return out, err
		}
		if len(in.Vpcs) > 0 && !s.ours(in.Vpcs[0].Tags) {
			out = append(out, s.holder("internet gateway", g.InternetGatewayId, "the stack's", nil, nil, "is attached to "+vpc+", which is not the stack's", vpc))
		}
	}
	return out, nil
}

// refersTo are those of the groups that a group's rules name.
func refersTo(g types.SecurityGroup, groups []string) []string {
	var out []string
	for _, p := range append(slices.Clone(g.IpPermissions), g.IpPermissionsEgress...) {
		for _, pair := range p.UserIdGroupPairs {
			if id := aws.ToString(pair.GroupId); slices.Contains(groups, id) && !slices.Contains(out, id) {
				out = append(out, id)
			}
		}
	}
	return out
}

func (s holderSearch) subnets(ctx context.Context) ([]Holder, error) {
	found, err := s.ec2.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: []types.Filter{filter("vpc-id", s.vpcs...)}})
	if err != nil {
		return nil, err
	}
	var out []Holder
	for _, x := range found.Subnets {
		if !s.created(x.Tags) {
			out = append(out, s.holder("subnet", x.SubnetId, aws.ToString(x.CidrBlock), x.Tags, x.OwnerId, "is in "+aws.ToString(x.VpcId), aws.ToString(x.VpcId)))
		}
	}
	return out, nil
}

func (s holderSearch) tables(ctx context.Context) ([]Holder, error) {
	found, err := s.ec2.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{Filters: []types.Filter{filter("vpc-id", s.vpcs...)}})
	if err != nil {
		return nil, err
	}
	// A table of the stack in another VPC is swept.
	s.observed().tables.preload(slices.DeleteFunc(slices.Clone(found.RouteTables), func(x types.RouteTable) bool { return !s.ours(x.Tags) }))
	var out []Holder
	for _, x := range found.RouteTables {
		if s.created(x.Tags) || slices.ContainsFunc(x.Associations, func(a types.RouteTableAssociation) bool { return aws.ToBool(a.Main) }) {
			continue
		}
		out = append(out, s.holder("route table", x.RouteTableId, "", x.Tags, x.OwnerId, "is in "+aws.ToString(x.VpcId), aws.ToString(x.VpcId)))
	}
	return out, nil
}

func (s holderSearch) acls(ctx context.Context) ([]Holder, error) {
	found, err := s.ec2.DescribeNetworkAcls(ctx, &ec2.DescribeNetworkAclsInput{Filters: []types.Filter{filter("vpc-id", s.vpcs...)}})
	if err != nil {
		return nil, err
	}
	var out []Holder
	for _, x := range found.NetworkAcls {
		if !aws.ToBool(x.IsDefault) && !s.created(x.Tags) {
			out = append(out, s.holder("network ACL", x.NetworkAclId, "", x.Tags, x.OwnerId, "is in "+aws.ToString(x.VpcId), aws.ToString(x.VpcId)))
		}
	}
	return out, nil
}

// interfaces are those that none of the stack's own parts has, nor anything else
// that is found by itself.
func (s holderSearch) interfaces(ctx context.Context) ([]Holder, error) {
	own := s.own()
	in := filter("vpc-id", s.vpcs...)
	if s.vpcs == nil {
		in = filter("group-id", own...)
	}
	var out []Holder
	pages := ec2.NewDescribeNetworkInterfacesPaginator(s.ec2, &ec2.DescribeNetworkInterfacesInput{Filters: []types.Filter{in}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return out, err
		}
		for _, x := range page.NetworkInterfaces {
			holds := []string{aws.ToString(x.SubnetId), aws.ToString(x.VpcId)}
			for _, g := range x.Groups {
				holds = append(holds, aws.ToString(g.GroupId))
			}
			if s.ours(x.TagSet) || s.isKnown(x, func(group string) bool { return slices.Contains(own, group) }) {
				continue
			}
			what := interfaceOwner(aws.ToString(x.Description), aws.ToString(x.RequesterId), string(x.InterfaceType))
			out = append(out, s.holder("network interface", x.NetworkInterfaceId, "of "+what, x.TagSet, x.OwnerId, "is in "+aws.ToString(x.SubnetId), holds...))
		}
	}
	return out, nil
}

// isKnown reports whether an interface is of the stack's load balancer, tasks or
// database, or of something that is a holder itself.
func (s holderSearch) isKnown(x types.NetworkInterface, own func(string) bool) bool {
	switch x.InterfaceType {
	case types.NetworkInterfaceTypeNatGateway, types.NetworkInterfaceTypeVpcEndpoint, types.NetworkInterfaceTypeTransitGateway:
		return true
	}
	description := aws.ToString(x.Description)
	if strings.HasPrefix(description, "ELB app/"+s.names().LoadBalancer()+"/") {
		return true
	}
	if !aws.ToBool(x.RequesterManaged) {
		return false
	}
	of := interfaceOwner(description, "", "")
	return (of == "a database" || of == "a task") && slices.ContainsFunc(x.Groups, func(g types.GroupIdentifier) bool { return own(aws.ToString(g.GroupId)) })
}

// services are those that somebody created in the stack's cluster. ECS deletes no cluster that
// has any, and a service starts each task again that is stopped.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteCluster.html
func (s holderSearch) services(ctx context.Context) ([]Holder, error) {
	c := &Cluster{ecsAccess: ecsAccess{identity: s.identity, ecs: s.ecs}}
	live, err := c.describe(ctx)
	if live == nil || err != nil || fromECSTags(live.Tags)[TagStack] != s.stack {
		return nil, err
	}
	names, err := c.otherServices(ctx, live)
	var out []Holder
	for _, name := range names {
		out = append(out, Holder{Kind: serviceHolder, ID: name, Where: "is in cluster " + c.clusterName(), Holds: []string{c.clusterName()}})
	}
	return out, err
}

// databases are the instances of RDS that are in the stack's network, or have its tag, and
// are not its own: read replicas, copies that somebody restored, and what a blue/green
// deployment leaves; and those that have its parameter group, in whatever network. RDS deletes
// no subnet group while an instance is in it, and no parameter group that an instance has.
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DeleteDBParameterGroup.html
func (s holderSearch) databases(ctx context.Context) ([]Holder, error) {
	all, err := allInstances(ctx, s.rds)
	if err != nil {
		return nil, err
	}
	var out []Holder
	own := sync.OnceValue(func() []string { return s.ownParameterGroups(ctx) })
	for _, x := range all {
		if h := s.database(x, own); h != nil {
			out = append(out, *h)
		}
	}
	return out, nil
}

// ownParameterGroups are the names of the stack's parameter groups. Of one whose tags can't be
// read, the name has to do.
func (s holderSearch) ownParameterGroups(ctx context.Context) []string {
	g := newDBParameterGroup(rdsAccess{identity: s.identity, rds: s.rds}, "")
	found, err := g.groups(ctx)
	if err != nil {
		return nil
	}
	var own []string
	for _, group := range found {
		if tags, err := g.tagsOf(ctx, group.DBParameterGroupArn); err != nil || tags[TagStack] == s.stack {
			own = append(own, aws.ToString(group.DBParameterGroupName))
		}
	}
	return own
}

// database returns the holder that an instance is, nil for none. Parameters are the names of
// the stack's parameter groups.
func (s holderSearch) database(x rdstypes.DBInstance, parameters func() []string) *Holder {
	name, tags := aws.ToString(x.DBInstanceIdentifier), fromRDSTags(x.TagList)
	tagged := tags[TagStack] == s.stack
	if tagged && name == s.names().Database() || aws.ToString(x.DBInstanceStatus) == "deleting" {
		return nil
	}
	h := &Holder{Kind: "database", ID: name, What: aws.ToString(x.Engine), Tags: tags, Holds: []string{}}
	if of := aws.ToString(x.ReadReplicaSourceDBInstanceIdentifier); of != "" {
		h.What = "a read replica of " + of
	}
	var where []string
	if g := x.DBSubnetGroup; g != nil {
		group, vpc := aws.ToString(g.DBSubnetGroupName), aws.ToString(g.VpcId)
		if group == s.names().DBSubnetGroup() || slices.Contains(s.vpcs, vpc) {
			where, h.Holds = append(where, "is in DB subnet group "+group+" of "+vpc), append(h.Holds, group, vpc)
		}
	}
	own := s.own()
	for _, g := range x.VpcSecurityGroups {
		if id := aws.ToString(g.VpcSecurityGroupId); slices.Contains(own, id) {
			where, h.Holds = append(where, "is in security group "+id), append(h.Holds, id)
		}
	}
	for _, g := range x.DBParameterGroups {
		group, first := aws.ToString(g.DBParameterGroupName), s.names().DBParameterGroup()
		if (group == first || strings.HasPrefix(group, first+"-")) && slices.Contains(parameters(), group) {
			where, h.Holds, h.parameters = append(where, "has DB parameter group "+group), append(h.Holds, group), aws.ToString(x.Engine)+MajorVersion(aws.ToString(x.EngineVersion))
		}
	}
	if where == nil && !tagged {
		return nil
	}
	h.Where = cmp.Or(strings.Join(where, " and "), "has the stack's tag")
	return h
}

func (s holderSearch) endpoints(ctx context.Context) ([]Holder, error) {
	var out []Holder
	pages := ec2.NewDescribeVpcEndpointsPaginator(s.ec2, &ec2.DescribeVpcEndpointsInput{Filters: []types.Filter{filter("vpc-id", s.vpcs...)}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return out, err
		}
		for _, x := range page.VpcEndpoints {
			if gone(string(x.State)) {
				continue
			}
			holds := append([]string{aws.ToString(x.VpcId)}, x.SubnetIds...)
			for _, g := range x.Groups {
				holds = append(holds, aws.ToString(g.GroupId))
			}
			out = append(out, s.holder(endpointHolder, x.VpcEndpointId, aws.ToString(x.ServiceName), x.Tags, x.OwnerId, "is in "+aws.ToString(x.VpcId), holds...))
		}
	}
	return out, nil
}

// gone reports whether the state of something is one in which it holds nothing.
func gone(state string) bool {
	switch strings.ToLower(state) {
	case "deleted", "deleting", "detached", "rejected", "failed", "expired":
		return true
	}
	return false
}

func (s holderSearch) natGateways(ctx context.Context) ([]Holder, error) {
	var out []Holder
	pages := ec2.NewDescribeNatGatewaysPaginator(s.ec2, &ec2.DescribeNatGatewaysInput{Filter: []types.Filter{filter("vpc-id", s.vpcs...)}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return out, err
		}
		for _, x := range page.NatGateways {
			in := aws.ToString(x.VpcId)
			holds := []string{in}
			if x.SubnetId != nil { // a regional one has none
				in = *x.SubnetId
				holds = append(holds, in)
			}
			if !gone(string(x.State)) {
				out = append(out, s.holder("NAT gateway", x.NatGatewayId, "", x.Tags, nil, "is in "+in, holds...))
			}
		}
	}
	return out, nil
}

// peerings end with one of their VPCs by one of AWS's documents, and hold it by
// another: either way somebody loses a connection.
// https://docs.aws.amazon.com/vpc/latest/peering/delete-vpc-peering-connection.html
// https://repost.aws/knowledge-center/troubleshoot-dependency-error-delete-vpc
func (s holderSearch) peerings(ctx context.Context) ([]Holder, error) {
	var out []Holder
	for _, side := range []string{"requester-vpc-info.vpc-id", "accepter-vpc-info.vpc-id"} {
		pages := ec2.NewDescribeVpcPeeringConnectionsPaginator(s.ec2, &ec2.DescribeVpcPeeringConnectionsInput{Filters: []types.Filter{filter(side, s.vpcs...)}})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return out, err
			}
			for _, x := range page.VpcPeeringConnections {
				if x.Status != nil && gone(string(x.Status.Code)) {
					continue
				}
				here, there := x.RequesterVpcInfo, x.AccepterVpcInfo
				if side != "requester-vpc-info.vpc-id" {
					here, there = there, here
				}
				if here == nil || there == nil {
					continue
				}
				out = append(out, s.holder("VPC peering connection", x.VpcPeeringConnectionId, "with "+aws.ToString(there.VpcId), x.Tags, there.OwnerId,
					"is of "+aws.ToString(here.VpcId), aws.ToString(here.VpcId)))
			}
		}
	}
	return out, nil
}

func (s holderSearch) vpnGateways(ctx context.Context) ([]Holder, error) {
	found, err := s.ec2.DescribeVpnGateways(ctx, &ec2.DescribeVpnGatewaysInput{Filters: []types.Filter{filter("attachment.vpc-id", s.vpcs...)}})
	if err != nil {
		return nil, err
	}
	var out []Holder
	for _, x := range found.VpnGateways {
		for _, a := range x.VpcAttachments {
			if vpc := aws.ToString(a.VpcId); slices.Contains(s.vpcs, vpc) && !gone(string(a.State)) {
				out = append(out, s.holder("VPN gateway", x.VpnGatewayId, "", x.Tags, nil, "is attached to "+vpc, vpc))
			}
		}
	}
	return out, nil
}

func (s holderSearch) transitAttachments(ctx context.Context) ([]Holder, error) {
	var out []Holder
	pages := ec2.NewDescribeTransitGatewayVpcAttachmentsPaginator(s.ec2, &ec2.DescribeTransitGatewayVpcAttachmentsInput{Filters: []types.Filter{filter("vpc-id", s.vpcs...)}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return out, err
		}
		for _, x := range page.TransitGatewayVpcAttachments {
			if !gone(string(x.State)) {
				out = append(out, s.holder("transit gateway attachment", x.TransitGatewayAttachmentId, "of "+aws.ToString(x.TransitGatewayId), x.Tags, x.VpcOwnerId,
					"is at "+aws.ToString(x.VpcId), append([]string{aws.ToString(x.VpcId)}, x.SubnetIds...)...))
			}
		}
	}
	return out, nil
}

// egressGateways can't be searched by their VPC.
func (s holderSearch) egressGateways(ctx context.Context) ([]Holder, error) {
	var out []Holder
	pages := ec2.NewDescribeEgressOnlyInternetGatewaysPaginator(s.ec2, &ec2.DescribeEgressOnlyInternetGatewaysInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return out, err
		}
		for _, x := range page.EgressOnlyInternetGateways {
			for _, a := range x.Attachments {
				if vpc := aws.ToString(a.VpcId); slices.Contains(s.vpcs, vpc) && !gone(string(a.State)) {
					out = append(out, s.holder("egress-only internet gateway", x.EgressOnlyInternetGatewayId, "", x.Tags, nil, "is attached to "+vpc, vpc))
				}
			}
		}
	}
	return out, nil
}
