package cli_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestAStackHasTheRangeThatItIsGiven makes one in the smallest VPC, and asks for another
// range of what is there.
func TestAStackHasTheRangeThatItIsGiven(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, ctx := newShell(t), t.Context()
	h := s.byHand(t, nil)
	before := h.inventory()
	for cidr, why := range map[string]string{
		"10.0.0.0":          "give an IPv4 range",
		"fd00::/64":         "give an IPv4 range",
		"10.0.0.0/8":        "a VPC is /16 at most",
		"10.0.0.0/26":       "the four subnets of a stack need /25",
		"8.8.0.0/16":        "(RFC 1918)",
		"172.32.0.0/16":     "(RFC 1918)",
		"192.169.0.0/16":    "(RFC 1918)",
		"100.64.0.0/16":     "(RFC 1918)",
		"192.168.255.0/255": "give an IPv4 range",
	} {
		s.run("up", "--local", "--cidr", cidr).says(t, 64, why, "choose with --cidr")
	}
	// Two subnets of 32 addresses, of which AWS keeps 5 and a load balancer needs 8.
	s.run("up", "--local", "--cidr", "172.31.255.128/25", "--count", "38").says(t, 64, "addresses for 38 tasks", "choose with --cidr and --count")
	h.same("what is refused left something", before)

	r := s.run(append([]string{"plan", "--local", "--cidr", "192.168.255.200/25"}, imageless()[1:]...)...)
	for _, want := range []string{
		"vpc                         create: 192.168.255.128/25", "subnet-public-a             create: 192.168.255.128/27 in us-east-1a", "subnet-private-b            create: 192.168.255.224/27 in us-east-1b",
	} {
		if r.code != 2 || !strings.Contains(r.out, want) {
			t.Errorf("plan does not say %q: %d\n%s%s", want, r.code, r.out, r.err)
		}
	}
	// It is made canonical, as EC2 does.
	s.up(append([]string{"--cidr", "192.168.255.200/25"}, imageless()...)...)
	network := ec2.NewFromConfig(h.Config)
	own := []ec2types.Filter{{Name: aws.String("tag:bookctl:stack"), Values: []string{"book"}}}
	ranges := func() []string {
		t.Helper()
		vpcs := done[*ec2.DescribeVpcsOutput](t)(network.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: own}))
		out := []string{*vpcs.Vpcs[0].CidrBlock}
		for _, subnet := range done[*ec2.DescribeSubnetsOutput](t)(network.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: own})).Subnets {
			out = append(out, *subnet.CidrBlock)
		}
		slices.Sort(out)
		return out
	}
	want := []string{"192.168.255.128/25", "192.168.255.128/27", "192.168.255.160/27", "192.168.255.192/27", "192.168.255.224/27"}
	if diff := cmp.Diff(want, ranges()); diff != "" {
		t.Errorf("the ranges differ (-want +got):\n%s", diff)
	}
	s.run("up", "--local", "--wait=false").says(t, 0, "0 changed")
	s.run("up", "--local", "--wait=false", "--cidr", "192.168.255.129/25").says(t, 0, "0 changed")
	made := h.backedUp()
	for _, command := range []string{"plan", "up"} {
		s.run(command, "--local", "--cidr", "10.0.0.0/16").says(t, 1, "the VPC of this stack is 192.168.255.128/25", "10.0.0.0/16 requires replacement", "leave --cidr out", "up --local --cidr 10.0.0.0/16 --restore latest")
	}
	h.same("another range was refused", made)
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0)
	h.same("after destroy", before)
}

// TestAVPCThatIsAllThereIsKeepsItsRange finds the VPC of a run that was cut off.
func TestAVPCThatIsAllThereIsKeepsItsRange(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, map[string]any{"deny": []string{"ec2:CreateSubnet"}})
	first := append([]string{"up", "--local", "--wait=false", "--cidr", "10.99.0.0/20"}, imageless()...)
	s.run(first...).says(t, 4, "ec2:CreateSubnet")
	h.faults(map[string]any{})
	s.run(append([]string{"up", "--local", "--wait=false"}, imageless()...)...).says(t, 1, "the range of a VPC is fixed", "keep it with --cidr 10.99.0.0/20")
	s.run(first...).says(t, 0)
	s.run("up", "--local", "--wait=false").says(t, 0, "0 changed")
}

// givenVPC is a VPC that somebody else made, with what else is in it.
type givenVPC struct {
	*byHand
	id                    string
	publicA, publicB      string
	privateA, privateB    string
	smallPublic, nameless string // a second public subnet in a zone with less room, and one with no table of its own
	table, gateway, group string
}

// newGivenVPC makes one, in which somebody's network interface is. Its main route table
// leads nowhere, and its public subnets give no addresses by themselves.
func newGivenVPC(h *byHand) *givenVPC {
	h.Helper()
	t, ctx, client := h.T, h.Context(), ec2.NewFromConfig(h.Config)
	g := &givenVPC{byHand: h}
	name := func(kind ec2types.ResourceType, name string) []ec2types.TagSpecification {
		return []ec2types.TagSpecification{{ResourceType: kind, Tags: []ec2types.Tag{{Key: aws.String("Name"), Value: &name}, {Key: aws.String("team"), Value: aws.String("platform")}}}}
	}
	g.id = *done[*ec2.CreateVpcOutput](t)(client.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.40.0.0/16"), TagSpecifications: name(ec2types.ResourceTypeVpc, "theirs")})).Vpc.VpcId
	subnet := func(cidr, zone, called string) string {
		h.Helper()
		return *done[*ec2.CreateSubnetOutput](t)(client.CreateSubnet(ctx, &ec2.CreateSubnetInput{
			VpcId: &g.id, CidrBlock: &cidr, AvailabilityZone: &zone, TagSpecifications: name(ec2types.ResourceTypeSubnet, called),
		})).Subnet.SubnetId
	}
	g.publicA, g.publicB = subnet("10.40.0.0/24", "us-east-1b", "public-a"), subnet("10.40.1.0/24", "us-east-1c", "public-b")
	g.smallPublic, g.nameless = subnet("10.40.2.0/28", "us-east-1b", "small"), subnet("10.40.3.0/24", "us-east-1a", "nameless")
	g.privateA, g.privateB = subnet("10.40.10.0/24", "us-east-1b", "private-a"), subnet("10.40.11.0/24", "us-east-1c", "private-b")
	g.gateway = *done[*ec2.CreateInternetGatewayOutput](t)(client.CreateInternetGateway(ctx, &ec2.CreateInternetGatewayInput{})).InternetGateway.InternetGatewayId
	done[*ec2.AttachInternetGatewayOutput](t)(client.AttachInternetGateway(ctx, &ec2.AttachInternetGatewayInput{VpcId: &g.id, InternetGatewayId: &g.gateway}))
	g.table = *done[*ec2.CreateRouteTableOutput](t)(client.CreateRouteTable(ctx, &ec2.CreateRouteTableInput{VpcId: &g.id})).RouteTable.RouteTableId
	for _, id := range []string{g.publicA, g.publicB, g.smallPublic} {
		done[*ec2.AssociateRouteTableOutput](t)(client.AssociateRouteTable(ctx, &ec2.AssociateRouteTableInput{RouteTableId: &g.table, SubnetId: &id}))
	}
	g.group = *done[*ec2.CreateSecurityGroupOutput](t)(client.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{VpcId: &g.id, GroupName: aws.String("theirs"), Description: aws.String("theirs")})).GroupId
	done[*ec2.CreateNetworkInterfaceOutput](t)(client.CreateNetworkInterface(ctx, &ec2.CreateNetworkInterfaceInput{SubnetId: &g.privateA, Groups: []string{g.group}, Description: aws.String("theirs")}))
	return g
}

// open gives the public subnets their default route.
func (g *givenVPC) open() {
	g.Helper()
	done[*ec2.CreateRouteOutput](g.T)(ec2.NewFromConfig(g.Config).CreateRoute(g.Context(), &ec2.CreateRouteInput{RouteTableId: &g.table, DestinationCidrBlock: aws.String("0.0.0.0/0"), GatewayId: &g.gateway}))
}

// whole is all that there is of the VPC in EC2's words, but for what is the stack's: its
// security groups, and the addresses that its things have.
func (g *givenVPC) whole() string {
	g.Helper()
	t, ctx, client, in := g.T, g.Context(), ec2.NewFromConfig(g.Config), []ec2types.Filter{{Name: aws.String("vpc-id"), Values: []string{g.id}}}
	groups := done[*ec2.DescribeSecurityGroupsOutput](t)(client.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: in})).SecurityGroups
	groups = slices.DeleteFunc(groups, func(x ec2types.SecurityGroup) bool {
		return slices.ContainsFunc(x.Tags, func(tag ec2types.Tag) bool { return *tag.Key == "bookctl:stack" })
	})
	subnets := done[*ec2.DescribeSubnetsOutput](t)(client.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: in})).Subnets
	for i := range subnets {
		subnets[i].AvailableIpAddressCount = nil
	}
	acls := done[*ec2.DescribeNetworkAclsOutput](t)(client.DescribeNetworkAcls(ctx, &ec2.DescribeNetworkAclsInput{Filters: in})).NetworkAcls
	for _, acl := range acls {
		slices.SortFunc(acl.Associations, func(a, b ec2types.NetworkAclAssociation) int { return strings.Compare(*a.SubnetId, *b.SubnetId) })
	}
	text, err := json.MarshalIndent([]any{
		done[*ec2.DescribeVpcsOutput](t)(client.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: in})).Vpcs, subnets, groups,
		done[*ec2.DescribeVpcAttributeOutput](t)(client.DescribeVpcAttribute(ctx, &ec2.DescribeVpcAttributeInput{VpcId: &g.id, Attribute: ec2types.VpcAttributeNameEnableDnsHostnames})).EnableDnsHostnames,
		done[*ec2.DescribeRouteTablesOutput](t)(client.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{Filters: in})).RouteTables,
		acls,
		done[*ec2.DescribeInternetGatewaysOutput](t)(client.DescribeInternetGateways(ctx, &ec2.DescribeInternetGatewaysInput{InternetGatewayIds: []string{g.gateway}})).InternetGateways,
	}, "", " ")
	g.must(err)
	return string(text)
}

// unchanged holds the VPC against what it was.
func (g *givenVPC) unchanged(when, before string) {
	g.Helper()
	if diff := cmp.Diff(before, g.whole()); diff != "" {
		g.Errorf("%s the existing VPC differs (-before +after):\n%s", when, diff)
	}
}

// TestAStackLivesInAVPCThatItIsGiven makes one in somebody's VPC, and leaves exactly what was
// there.
func TestAStackLivesInAVPCThatItIsGiven(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	g := newGivenVPC(h)
	up := func(flags ...string) result {
		t.Helper()
		return s.run(slices.Concat([]string{"up", "--local"}, imageless(), flags)...)
	}
	s.run("up", "--local", "--vpc", "theirs").says(t, 64, "give the id of a VPC", "choose with --vpc")
	s.run("up", "--local", "--subnets", g.publicA).says(t, 64, "give two to 10")
	s.run("up", "--local", "--subnets", g.publicA+","+g.publicB).says(t, 64, "--subnets are those of an existing VPC, which --vpc names")
	up("--vpc", g.id, "--cidr", "10.41.0.0/16").says(t, 64, "--cidr is for a new one")
	all := h.inventory()
	up("--vpc", "vpc-0123456789abcdef0").says(t, 1, "VPC vpc-0123456789abcdef0 does not exist in this account and region")
	up("--vpc", g.id).says(t, 1, "has public subnets with 8 free addresses in no zone", "whose default route leads to nowhere")
	h.same("what is refused left something", all)
	g.open()
	before := g.whole()
	all = h.inventory()
	up("--vpc", g.id, "--subnets", g.publicA+","+g.privateB).says(t, 1, "subnet "+g.privateB+" is not public: its default route leads to nowhere")
	up("--vpc", g.id, "--subnets", g.publicA+","+g.smallPublic).says(t, 1, "are both in us-east-1b, and a load balancer takes one in each zone")
	up("--vpc", g.id, "--subnets", g.smallPublic+","+g.publicB, "--count", "246").says(t, 1, "have addresses for 246 tasks alongside the load balancer")
	up("--vpc", g.id, "--subnets", g.publicA+",subnet-0123456789abcdef0").says(t, 1, "subnet subnet-0123456789abcdef0 does not exist in "+g.id)
	up("--vpc", g.id, "--db-subnets", g.privateA+","+g.smallPublic).says(t, 1, "the subnets of the database are in one zone (us-east-1b)")
	h.same("what is refused left something", all)

	plan := s.run(slices.Concat([]string{"plan", "--local", "--vpc", g.id}, imageless()[1:])...)
	for _, want := range []string{
		"vpc                         unchanged " + g.id + ": given, not managed", "subnet-public-a             unchanged " + g.publicA, "subnet-public-b             unchanged " + g.publicB,
		"subnet-database-a           unchanged " + g.privateA, "subnet-database-b           unchanged " + g.privateB, "sg-load-balancer            create",
	} {
		if plan.code != 2 || !strings.Contains(plan.out, want) {
			t.Errorf("plan does not say %q: %d\n%s%s", want, plan.code, plan.out, plan.err)
		}
	}
	for _, never := range []string{"internet-gateway", "route-table", "sg-default"} {
		if strings.Contains(plan.out, never) {
			t.Errorf("plan names %s:\n%s", never, plan.out)
		}
	}
	// The same command heals a first run that was cut off.
	h.faults(map[string]any{"deny": []string{"elasticloadbalancing:CreateLoadBalancer"}})
	up("--vpc", g.id).says(t, 4, "elasticloadbalancing:CreateLoadBalancer", "load balancer and tasks in "+g.publicA+", "+g.publicB+", the database in "+g.privateA+", "+g.privateB)
	g.unchanged("after a run that was cut off", before)
	h.faults(map[string]any{})
	up("--vpc", g.id).says(t, 0)
	g.unchanged("after up", before)
	s.run("up", "--local", "--wait=false").says(t, 0, "0 changed")
	h.backedUp()

	balancer := done[*elb.DescribeLoadBalancersOutput](t)(elb.NewFromConfig(h.Config).DescribeLoadBalancers(t.Context(), &elb.DescribeLoadBalancersInput{Names: []string{"book-lb"}})).LoadBalancers[0]
	var in []string
	for _, z := range balancer.AvailabilityZones {
		in = append(in, *z.SubnetId)
	}
	slices.Sort(in)
	if want := slices.Sorted(slices.Values([]string{g.publicA, g.publicB})); !slices.Equal(in, want) || *balancer.VpcId != g.id {
		t.Errorf("the load balancer is in %s of %s, want %s of %s", in, *balancer.VpcId, want, g.id)
	}
	task := h.group("book-sg-task")
	var ranges []string
	for _, p := range task.IpPermissionsEgress {
		for _, r := range p.IpRanges {
			ranges = append(ranges, *r.CidrIp)
		}
	}
	slices.Sort(ranges)
	if diff := cmp.Diff([]string{"0.0.0.0/0", "10.40.10.0/24", "10.40.11.0/24"}, ranges); diff != "" {
		t.Errorf("tasks reach (-want +got):\n%s", diff)
	}
	var status struct {
		ExistingNetwork struct {
			VPC                string
			Subnets, DBSubnets []string
		}
	}
	decode(t, s.run("status", "--local", "--output", "json").out, &status)
	if n := status.ExistingNetwork; n.VPC != g.id || !slices.Equal(n.Subnets, []string{g.publicA, g.publicB}) || !slices.Equal(n.DBSubnets, []string{g.privateA, g.privateB}) {
		t.Errorf("status says %+v", n)
	}
	if r := s.run("status", "--local"); !strings.Contains(r.out, g.id+", existing and not managed") {
		t.Errorf("status: %s", r.out)
	}
	if dot := s.must("graph", "--local", "--format", "dot"); !strings.Contains(dot, `"vpc" [label="vpc\nready: given, not managed"`) {
		t.Errorf("graph: %s", dot)
	}

	// It does not move.
	for _, command := range []string{"plan", "up"} {
		s.run(command, "--local", "--vpc", "vpc-0123456789abcdef0").says(t, 1, "this stack is in "+g.id, "requires replacement", "leave --vpc out")
	}
	// Drift is repaired in what is the stack's.
	network := ec2.NewFromConfig(h.Config)
	h.must(ok(network.RevokeSecurityGroupEgress(t.Context(), &ec2.RevokeSecurityGroupEgressInput{GroupId: task.GroupId, IpPermissions: task.IpPermissionsEgress})))
	s.run("up", "--local", "--wait=false").says(t, 0, "1 updated")
	g.unchanged("after a repair", before)
	// What it needs of the VPC and is not there any more refuses it, and nothing is put right.
	h.must(ok(network.DeleteRoute(t.Context(), &ec2.DeleteRouteInput{RouteTableId: &g.table, DestinationCidrBlock: aws.String("0.0.0.0/0")})))
	s.run("up", "--local", "--wait=false").says(t, 1, "default-route", "the route table is not the stack's to change")
	g.open()
	h.must(ok(network.ModifyVpcAttribute(t.Context(), &ec2.ModifyVpcAttributeInput{VpcId: &g.id, EnableDnsSupport: &ec2types.AttributeBooleanValue{Value: aws.Bool(false)}})))
	s.run("up", "--local", "--wait=false").says(t, 1, "dns-support", "the VPC is not the stack's to change", "modify-vpc-attribute --vpc-id "+g.id)
	h.must(ok(network.ModifyVpcAttribute(t.Context(), &ec2.ModifyVpcAttributeInput{VpcId: &g.id, EnableDnsSupport: &ec2types.AttributeBooleanValue{Value: aws.Bool(true)}})))
	// Other subnets are taken in place, and recorded.
	s.run("up", "--local", "--wait=false", "--db-subnets", g.privateA+","+g.privateB+","+g.nameless).says(t, 0, "updated")
	s.run("up", "--local", "--wait=false").says(t, 0, "0 changed")
	// Without the role that records it, it is read from what exists.
	roles := iam.NewFromConfig(h.Config)
	h.must(ok(roles.UntagRole(t.Context(), &iam.UntagRoleInput{RoleName: aws.String("book-us-east-1-execution-role"), TagKeys: []string{"bookctl:vpc", "bookctl:subnets", "bookctl:db-subnets"}})))
	s.run("up", "--local", "--wait=false").says(t, 0, "updated")
	s.run("up", "--local", "--wait=false").says(t, 0, "0 changed")

	// Somebody else's rule that names a group of the stack's holds it.
	rule := []ec2types.IpPermission{{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(5432), ToPort: aws.Int32(5432), UserIdGroupPairs: []ec2types.UserIdGroupPair{{GroupId: task.GroupId}}}}
	h.must(ok(network.AuthorizeSecurityGroupIngress(t.Context(), &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &g.group, IpPermissions: rule})))
	made := h.inventory()
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 1, "nothing was touched", "security group "+g.group, "refers to "+*task.GroupId)
	h.same("a destroy that is held touched something", made)
	h.must(ok(network.RevokeSecurityGroupIngress(t.Context(), &ec2.RevokeSecurityGroupIngressInput{GroupId: &g.group, IpPermissions: rule})))

	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, "0 left")
	g.unchanged("after destroy", before)
	h.same("destroy left or took something", all)
}

// TestADatabaseStaysInItsSubnets leaves those out that the database is in, and those that only
// RDS knows something to be in. Neither takes the tasks their way to the database.
func TestADatabaseStaysInItsSubnets(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	g := newGivenVPC(h)
	g.open()
	s.must(slices.Concat([]string{"up", "--local", "--vpc", g.id, "--db-subnets", g.privateA + "," + g.privateB}, imageless())...)
	h.backedUp()
	databases := rds.NewFromConfig(h.Config)
	db := done[*rds.DescribeDBInstancesOutput](t)(databases.DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{})).DBInstances[0]
	in, other := g.privateA, g.privateB
	if *db.AvailabilityZone == "us-east-1c" {
		in, other = other, in
	}
	untouched := func(why string, before []string, list string, says ...string) {
		t.Helper()
		for _, command := range []string{"plan", "up"} {
			if r := s.run(command, "--local", "--db-subnets", list); r.code != 1 {
				t.Errorf("%s with %s: exit code %d\n%s%s", command, why, r.code, r.out, r.err)
			} else {
				r.says(t, 1, says...)
			}
		}
		h.same(why+" was refused", before)
	}
	before := h.inventory()
	untouched("another subnet than that of the database", before, other+","+g.nameless,
		"the database may be in "+in+", which --db-subnets leaves out, and RDS does not move it", "up --local --db-subnets "+in+","+other+","+g.nameless, "into another stack")

	// Of the one in the other zone RDS alone knows that something is in it.
	done[*rds.CreateDBInstanceOutput](t)(databases.CreateDBInstance(t.Context(), &rds.CreateDBInstanceInput{
		DBInstanceIdentifier: aws.String("theirs"), DBName: aws.String("theirs"), Engine: aws.String("postgres"), DBInstanceClass: db.DBInstanceClass, AllocatedStorage: aws.Int32(20), MasterUsername: aws.String("theirs"), MasterUserPassword: aws.String("their-password"),
		DBSubnetGroupName: db.DBSubnetGroup.DBSubnetGroupName, AvailabilityZone: aws.String(map[string]string{g.privateA: "us-east-1b", g.privateB: "us-east-1c"}[other]), BackupRetentionPeriod: aws.Int32(0),
	}))
	until(t, "their database is there", func() bool {
		all := done[*rds.DescribeDBInstancesOutput](t)(databases.DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String("theirs")}))
		return *all.DBInstances[0].DBInstanceStatus == "available"
	})
	before = h.inventory()
	tags := func() any {
		t.Helper()
		return done[*iam.ListRoleTagsOutput](t)(iam.NewFromConfig(h.Config).ListRoleTags(t.Context(), &iam.ListRoleTagsInput{RoleName: aws.String("book-us-east-1-execution-role")})).Tags
	}
	recorded, rules := tags(), h.group("book-sg-task")
	s.run("up", "--local", "--wait=false", "--db-subnets", in+","+g.nameless).says(t, 1, "db-subnet-group", "SubnetAlreadyInUse", "name the subnets that are in use in --db-subnets too")
	h.same("what RDS refuses", before)
	if diff := cmp.Diff([]any{recorded, rules.IpPermissionsEgress}, []any{tags(), h.group("book-sg-task").IpPermissionsEgress}, cmpopts.IgnoreUnexported(iamtypes.Tag{}, ec2types.IpPermission{}, ec2types.IpRange{})); diff != "" {
		t.Errorf("what RDS refuses is recorded, or taken from the tasks (-before +after):\n%s", diff)
	}
	s.run("up", "--local", "--wait=false").says(t, 0, "0 changed")
	h.must(ok(databases.DeleteDBInstance(t.Context(), &rds.DeleteDBInstanceInput{DBInstanceIdentifier: aws.String("theirs"), SkipFinalSnapshot: aws.Bool(true)})))
	until(t, "their database is gone", func() bool {
		_, err := databases.DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String("theirs")})
		return err != nil
	})
	// Without that, it is taken.
	s.run("up", "--local", "--wait=false", "--db-subnets", in+","+g.nameless).says(t, 0, "updated")
	s.run("up", "--local", "--wait=false").says(t, 0, "0 changed")
	if diff := cmp.Diff(rules.IpPermissionsEgress, h.group("book-sg-task").IpPermissionsEgress, cmpopts.IgnoreUnexported(ec2types.IpPermission{}, ec2types.IpRange{})); diff == "" {
		t.Error("the tasks have no way into the new subnet")
	}
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, "0 left")
}

// TestTheSubnetsOfAStackChangeWithoutAFailedRequest moves load balancer and tasks to another
// zone, and to another subnet of one that they are in.
func TestTheSubnetsOfAStackChangeWithoutAFailedRequest(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	g := newGivenVPC(h)
	g.open()
	network := ec2.NewFromConfig(h.Config)
	h.must(ok(network.AssociateRouteTable(t.Context(), &ec2.AssociateRouteTableInput{RouteTableId: &g.table, SubnetId: &g.nameless})))
	before, all := g.whole(), h.inventory()
	image := anyImage(t, func(f *v1.ConfigFile) {
		f.Config.ExposedPorts = map[string]struct{}{"3000": {}}
		f.Config.Labels["io.github.bookctl.health-path"] = "/up"
	})
	url := s.up("--no-database", "--image", image, "--count", "2", "--vpc", g.id, "--subnets", g.publicA+","+g.publicB)
	balancers := elb.NewFromConfig(h.Config)
	subnets := func() []string {
		t.Helper()
		var in []string
		for _, z := range done[*elb.DescribeLoadBalancersOutput](t)(balancers.DescribeLoadBalancers(t.Context(), &elb.DescribeLoadBalancersInput{Names: []string{"book-lb"}})).LoadBalancers[0].AvailabilityZones {
			in = append(in, *z.SubnetId)
		}
		return slices.Sorted(slices.Values(in))
	}
	ranges := func() []string {
		t.Helper()
		var out []string
		for _, p := range h.group("book-sg-load-balancer").IpPermissionsEgress {
			for _, r := range p.IpRanges {
				out = append(out, *r.CidrIp)
			}
		}
		return slices.Sorted(slices.Values(out))
	}
	holds := func(when string, in, to []string) {
		t.Helper()
		if diff := cmp.Diff([][]string{slices.Sorted(slices.Values(in)), to}, [][]string{subnets(), ranges()}); diff != "" {
			t.Errorf("%s the load balancer's subnets, and the ranges that it reaches, are (-want +got):\n%s", when, diff)
		}
	}
	holds("at first", []string{g.publicA, g.publicB}, []string{"10.40.0.0/24", "10.40.1.0/24"})

	// A release that does not serve leaves the tasks of the one before where they are.
	load := startLoad(t, url+"/args", 4, 15*time.Millisecond)
	if r := s.run("up", "--local", "--subnets", g.smallPublic+","+g.nameless, "--command", "check"); r.code == 0 { // which ends at once
		t.Errorf("new tasks end at once: %s%s", r.out, r.err)
	}
	holds("behind a release that failed", []string{g.smallPublic, g.nameless, g.publicB}, []string{"10.40.0.0/24", "10.40.1.0/24", "10.40.2.0/28", "10.40.3.0/24"})
	s.run("up", "--local", "--command", "none").says(t, 0, "updated")
	holds("in the end", []string{g.smallPublic, g.nameless}, []string{"10.40.2.0/28", "10.40.3.0/24"})
	s.run("up", "--local").says(t, 0, "0 changed")

	s.run("up", "--local", "--subnets", g.publicA+","+g.publicB, "--wait=false").says(t, 0, "updated")
	until(t, "ECS has replaced the tasks", func() bool {
		service, _ := h.serviceOf()
		return len(service.Deployments) == 1 && service.Deployments[0].RolloutState == "COMPLETED"
	})
	holds("before the next run", []string{g.publicA, g.publicB, g.nameless}, []string{"10.40.0.0/24", "10.40.1.0/24", "10.40.2.0/28", "10.40.3.0/24"})
	s.run("up", "--local").says(t, 0, "updated")
	holds("after it", []string{g.publicA, g.publicB}, []string{"10.40.0.0/24", "10.40.1.0/24"})
	s.run("up", "--local").says(t, 0, "0 changed")
	load.unharmed(t)

	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, "0 left")
	g.unchanged("after destroy", before)
	h.same("destroy left or took something", all)
}

// TestAStackOfItsOwnDoesNotMoveIntoAVPC refuses it, and says what to do.
func TestAStackOfItsOwnDoesNotMoveIntoAVPC(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up(append(imageless(), "--no-database")...)
	g := newGivenVPC(h)
	g.open()
	before := h.inventory()
	s.run("up", "--local", "--vpc", g.id).says(t, 1, "this stack has a VPC of its own, and can't move: "+g.id+" requires replacement", "leave --vpc out", "up --local --vpc "+g.id+" --restore latest")
	h.same("another VPC was refused", before)
}

// TestAStackInAGivenVPCPassesUnderItsPolicy makes and destroys one by the policy that is
// printed for that VPC, and no more.
func TestAStackInAGivenVPCPassesUnderItsPolicy(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	j := newAuthorizedRun(t, "book", "us-east-1")
	end := j.open(t)
	g := newGivenVPC(&byHand{t, j.config("root"), j.info.Endpoint})
	g.open()
	before := g.whole()
	end()
	j.withPolicy(t, "--vpc", g.id)
	g.Config = j.config("root")
	j.step(append([]string{"up", "--vpc", g.id}, imageless()...)...)
	j.step("up", "--wait=false", "--tag", "team=payments")
	j.ends(3, "status") // there is no image
	j.step("destroy", "--yes", "--purge-snapshots")
	g.unchanged("after all", before)
}

// TestAVPCThatTheInternetIsKeptOutOfIsNotCreated has VPC Block Public Access of the account
// on, before there is a stack.
func TestAVPCThatTheInternetIsKeptOutOfIsNotCreated(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, ctx := newShell(t), t.Context()
	h := s.byHand(t, nil)
	network, before := ec2.NewFromConfig(h.Config), h.inventory()
	mode := func(m ec2types.InternetGatewayBlockMode) {
		t.Helper()
		h.must(ok(network.ModifyVpcBlockPublicAccessOptions(ctx, &ec2.ModifyVpcBlockPublicAccessOptionsInput{InternetGatewayBlockMode: m})))
	}
	up := append([]string{"up", "--local"}, imageless()...)
	mode(ec2types.InternetGatewayBlockModeBlockIngress)
	r := s.run(up...)
	r.says(t, 1, "VPC Block Public Access of this account and region (block-ingress)", "which can't be excluded before it exists", "--vpc")
	h.same("what is refused left something", before)
	if r := s.run(append([]string{"plan", "--local"}, imageless()[1:]...)...); r.code != 1 {
		t.Errorf("plan: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	// A run has left the stack's VPC, which somebody can exclude since. Here nobody does.
	left := done[*ec2.CreateVpcOutput](t)(network.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16"), TagSpecifications: []ec2types.TagSpecification{{
		ResourceType: ec2types.ResourceTypeVpc, Tags: []ec2types.Tag{{Key: aws.String("bookctl:stack"), Value: aws.String("book")}},
	}}}))
	r = s.run(up...)
	if r.says(t, 1, "can exclude this VPC"); strings.Contains(r.err, "before it exists") {
		t.Errorf("the stack's VPC exists: %s", r.err)
	}
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0)
	if vpcs, err := network.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{VpcIds: []string{*left.Vpc.VpcId}}); err == nil {
		t.Errorf("behind a destroy there is %v", vpcs.Vpcs)
	}
	mode(ec2types.InternetGatewayBlockModeOff)
	// The account's default VPC is one that another account shares.
	vpcs := done[*ec2.DescribeVpcsOutput](t)(network.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{})).Vpcs
	h.faults(map[string]any{"sharedBy": "222233334444"})
	s.run(append(up, "--vpc", *vpcs[0].VpcId)...).says(t, 1, *vpcs[0].VpcId+" is a VPC of account 222233334444, which shares it with this one", "choose a VPC of this account with --vpc")
	h.faults(map[string]any{})
	h.same("a shared VPC that is refused has something of the stack", before)
}

// TestPublicAccessIsAlsoBlockedWhereThereIsNoVPC deletes the account's default VPC, which shows
// the mode otherwise.
func TestPublicAccessIsAlsoBlockedWhereThereIsNoVPC(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, ctx := newShell(t), t.Context()
	h := s.byHand(t, nil)
	network := ec2.NewFromConfig(h.Config)
	for _, x := range done[*ec2.DescribeSubnetsOutput](t)(network.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{})).Subnets {
		h.must(ok(network.DeleteSubnet(ctx, &ec2.DeleteSubnetInput{SubnetId: x.SubnetId})))
	}
	for _, x := range done[*ec2.DescribeInternetGatewaysOutput](t)(network.DescribeInternetGateways(ctx, &ec2.DescribeInternetGatewaysInput{})).InternetGateways {
		h.must(ok(network.DetachInternetGateway(ctx, &ec2.DetachInternetGatewayInput{InternetGatewayId: x.InternetGatewayId, VpcId: x.Attachments[0].VpcId})))
		h.must(ok(network.DeleteInternetGateway(ctx, &ec2.DeleteInternetGatewayInput{InternetGatewayId: x.InternetGatewayId})))
	}
	for _, x := range done[*ec2.DescribeVpcsOutput](t)(network.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{})).Vpcs {
		h.must(ok(network.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: x.VpcId})))
	}
	before := h.inventory()
	h.must(ok(network.ModifyVpcBlockPublicAccessOptions(ctx, &ec2.ModifyVpcBlockPublicAccessOptionsInput{InternetGatewayBlockMode: ec2types.InternetGatewayBlockModeBlockBidirectional})))
	s.run(append([]string{"up", "--local"}, imageless()...)...).says(t, 1, "VPC Block Public Access of this account and region (block-bidirectional)", "before it exists")
	h.same("what is refused left something", before)
	h.faults(map[string]any{"deny": []string{"ec2:DescribeVpcBlockPublicAccessOptions"}})
	s.run(append([]string{"plan", "--local"}, imageless()[1:]...)...).shows(t, 2, " to create, ")
}
