package provision_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// image is a ready image, which nothing has to be built or pushed for.
const image = "registry.example.com/bookapi@sha256:4bcf2c8e2e0d2b0c4b1f9f3e0a3d4d2a6f6c35f1a9a7d3c1d3b0b8e5a1c2d3e4"

func spec() provision.Spec {
	s := provision.Spec{Stack: "book", Version: "test", Zones: [2]string{"us-east-1a", "us-east-1b"}, Settings: provision.DefaultSettings()}
	s.Image = image
	return s
}

func wired(t *testing.T, w *wire, endpoint string, spec provision.Spec) *provision.Stack {
	t.Helper()
	s, err := provision.NewStack(w.clients(endpoint), spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func up(t *testing.T, endpoint string) (writes []string) {
	t.Helper()
	w := &wire{}
	s := wired(t, w, endpoint, spec())
	if _, err := graph.Up(t.Context(), s.Resources(), soon(s)); err != nil {
		t.Fatal(err)
	}
	return w.written()
}

func destroy(t *testing.T, endpoint string) {
	t.Helper()
	s := wired(t, &wire{}, endpoint, spec())
	if _, err := graph.Destroy(t.Context(), s.Resources(), soon(s)); err != nil {
		t.Fatal(err)
	}
}

// TestAParameterGroupOfAnotherMajorVersionStaysForItsDatabase has one that is left of a
// database, alongside which the wanted one is made; a destroy removes both.
func TestAParameterGroupOfAnotherMajorVersionStaysForItsDatabase(t *testing.T) {
	t.Parallel()
	endpoint := moto.Start(t)
	client := (&wire{}).clients(endpoint).RDS
	_, err := client.CreateDBParameterGroup(t.Context(), &rds.CreateDBParameterGroupInput{
		DBParameterGroupName: aws.String("book-database"), DBParameterGroupFamily: aws.String("postgres13"), Description: aws.String("left of a database"),
		Tags: []rdstypes.Tag{{Key: aws.String(provision.TagStack), Value: aws.String("book")}, {Key: aws.String(provision.TagResource), Value: aws.String("db-parameter-group")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := spec()
	want.DBVersion = "16"
	group := func(w *wire) ([]provision.Resource, graph.Options) {
		s := wired(t, w, endpoint, want)
		return slices.DeleteFunc(s.Resources(), func(r provision.Resource) bool {
			name, _ := graph.Describe(r)
			return name != "db-parameter-group"
		}), s.Options()
	}
	families := func() map[string]string {
		out, err := client.DescribeDBParameterGroups(t.Context(), &rds.DescribeDBParameterGroupsInput{})
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for _, g := range out.DBParameterGroups {
			all[*g.DBParameterGroupName] = *g.DBParameterGroupFamily
		}
		return all
	}
	for run := range 2 {
		w := &wire{}
		resources, o := group(w)
		if _, err := graph.Up(t.Context(), resources, o); err != nil {
			t.Fatal(err)
		}
		if writes := w.written(); (run == 1) != (len(writes) == 0) {
			t.Errorf("run %d writes %v", run, writes)
		}
	}
	if diff := cmp.Diff(map[string]string{"book-database": "postgres13", "book-database-postgres16": "postgres16"}, families()); diff != "" {
		t.Errorf("the groups differ (-want +got):\n%s", diff)
	}
	resources, o := group(&wire{})
	if _, err := graph.Destroy(t.Context(), resources, o); err != nil {
		t.Fatal(err)
	}
	if left := families(); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
}

// purge removes the snapshots that destroys have kept.
func purge(t *testing.T, endpoint string) {
	t.Helper()
	if _, err := provision.PurgeSnapshots(t.Context(), (&wire{}).clients(endpoint).RDS, "book", nil); err != nil {
		t.Fatal(err)
	}
}

// upKilledAt starts an up that is killed at its n-th write.
func upKilledAt(t *testing.T, endpoint string, n int, answers bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := wired(t, &wire{dieAt: n, answers: answers, killed: cancel}, endpoint, spec())
	if _, err := graph.Up(ctx, s.Resources(), soon(s)); err == nil {
		t.Fatalf("write %d: the run survived being killed", n)
	}
}

// added is what an inventory has that an earlier one had not.
func added(before, now []string) []string {
	var out []string
	for _, x := range now {
		if !slices.Contains(before, x) {
			out = append(out, x)
		}
	}
	return out
}

func TestStackIsMadeOnceAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	endpoint := moto.Start(t)
	before := accountInventory(t, endpoint)
	if writes := up(t, endpoint); len(writes) == 0 {
		t.Error("the first up wrote nothing")
	}
	want := []string{
		"automated backup of book-database, active",
		"cluster book-cluster",
		"database book-database available db.t4g.micro 20 GiB books public=false encrypted=true backups=7 groups [book-sg-database@book-vpc]",
		"db parameter group book-database postgres17 [rds.force_ssl=1]",
		"db subnet group book-database [book-subnet-private-a book-subnet-private-b]",
		"gateway book-internet-gateway at [book-vpc]",
		"group book-sg-database@book-vpc",
		"group book-sg-load-balancer@book-vpc",
		"group book-sg-task@book-vpc",
		"group default@book-vpc",
		"listener of book-lb HTTP 80 forward book-tasks",
		"load balancer book-lb internet-facing in [book-subnet-public-a book-subnet-public-b] groups [book-sg-load-balancer@book-vpc] drops=true idle=60 protected=false",
		"log group /aws/rds/instance/book-database/postgresql 14 days",
		"log group /bookctl/book 14 days",
		"repository book/app IMMUTABLE scan=true " + `{"rules":[{"rulePriority":1,"description":"Keep the images that served: bookctl marks the last 10","selection":{"tagStatus":"tagged","tagPrefixList":["served-"],"countType":"imageCountMoreThan","countNumber":100},"action":{"type":"expire"}},{"rulePriority":2,"description":"Remove all others but the newest 5","selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":5},"action":{"type":"expire"}}]}`,
		"role book-us-east-1-execution-role policies [bookctl]",
		"role book-us-east-1-task-role policies [bookctl]",
		"rule book-sg-database@book-vpc egress=false tcp 5432 book-sg-task@book-vpc",
		"rule book-sg-load-balancer@book-vpc egress=false tcp 80 0.0.0.0/0",
		"rule book-sg-load-balancer@book-vpc egress=true tcp 8080 10.0.0.0/24",
		"rule book-sg-load-balancer@book-vpc egress=true tcp 8080 10.0.1.0/24",
		"rule book-sg-task@book-vpc egress=false tcp 8080 book-sg-load-balancer@book-vpc",
		"rule book-sg-task@book-vpc egress=true tcp 443 0.0.0.0/0",
		"rule book-sg-task@book-vpc egress=true tcp 5432 10.0.10.0/24",
		"rule book-sg-task@book-vpc egress=true tcp 5432 10.0.11.0/24",
		"secret book/database deleted=false map[dbname:books engine:postgres host:book-database.aaaaaaaaaa.us-east-1.rds.amazonaws.com password:32 port:5432 username:bookapi]",
		"service book-service FARGATE 1 tasks in [book-subnet-public-a book-subnet-public-b] groups [book-sg-task@book-vpc] public=ENABLED targets book-tasks",
		"snapshot of book-database, automated, available",
		"subnet book-subnet-private-a book-vpc 10.0.10.0/24 us-east-1a public=false",
		"subnet book-subnet-private-b book-vpc 10.0.11.0/24 us-east-1b public=false",
		"subnet book-subnet-public-a book-vpc 10.0.0.0/24 us-east-1a public=false",
		"subnet book-subnet-public-b book-vpc 10.0.1.0/24 us-east-1b public=false",
		"table book-route-table-private book-vpc routes [10.0.0.0/16>local] subnets [book-subnet-private-a book-subnet-private-b]",
		"table book-route-table-public book-vpc routes [0.0.0.0/0>book-internet-gateway 10.0.0.0/16>local] subnets [book-subnet-public-a book-subnet-public-b]",
		"table main book-vpc routes [10.0.0.0/16>local] subnets []",
		"target group book-tasks ip HTTP 8080 /startupz every 5 s, 2 times",
		"task definition book-app ACTIVE 256/512 " + image + " user=65532:65532 readonly=true [DB_HOST=book-database.us-east-1.rds.amazonaws.com DB_NAME=books DB_PORT=5432 " +
			"DB_SECRET_ARN=book/database DB_SSLMODE=verify-full PORT=8080 TASK_CPU=256 TASK_MEMORY=512 DB_PASSWORD from :book/database:password:: DB_USERNAME from :book/database:username::]",
		"vpc book-vpc 10.0.0.0/16",
	}
	got := added(before, accountInventory(t, endpoint))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the stack differs (-want +got):\n%s", diff)
	}
	if writes := up(t, endpoint); len(writes) != 0 {
		t.Errorf("the second up wrote %v", writes)
	}
	destroy(t, endpoint)
	kept := added(before, accountInventory(t, endpoint))
	if diff := cmp.Diff([]string{"snapshot of book-database, manual, available"}, kept); diff != "" {
		t.Errorf("destroy keeps (-want +got):\n%s", diff)
	}
	purge(t, endpoint)
	if diff := cmp.Diff(before, accountInventory(t, endpoint)); diff != "" {
		t.Errorf("after destroy the account differs (-before +after):\n%s", diff)
	}
}

// TestKilledAtSomeWrites cuts a first up off at some of its writes, before one is
// sent or after it was done, and lets another run heal or remove what is there.
func TestKilledAtSomeWrites(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	endpoint := moto.Start(t)
	empty := accountInventory(t, endpoint)
	writes := up(t, endpoint)
	// The roles of the services are made once in an account.
	total := len(slices.DeleteFunc(writes, func(w string) bool { return w == "CreateServiceLinkedRole" }))
	whole := accountInventory(t, endpoint)
	destroy(t, endpoint)
	purge(t, endpoint)
	if total < 40 {
		t.Fatalf("an up makes only %d writes", total)
	}
	const some = 5
	for i := range some {
		n := 1 + i*(total-1)/(some-1)
		upKilledAt(t, endpoint, n, i%2 == 0)
		if i%3 != 0 {
			up(t, endpoint)
			if diff := cmp.Diff(whole, accountInventory(t, endpoint)); diff != "" {
				t.Fatalf("killed at write %d, then up: not one of each (-want +got):\n%s", n, diff)
			}
		}
		destroy(t, endpoint)
		purge(t, endpoint)
		if diff := cmp.Diff(empty, accountInventory(t, endpoint)); diff != "" {
			t.Fatalf("killed at write %d, then destroyed: left behind (-before +after):\n%s", n, diff)
		}
	}
}

func TestDriftByHandIsRepaired(t *testing.T) {
	t.Parallel()
	endpoint := moto.Start(t)
	up(t, endpoint)
	whole := accountInventory(t, endpoint)
	c, ctx := (&wire{}).clients(endpoint).EC2, t.Context()
	byName := func(name string) []types.Filter {
		return []types.Filter{{Name: aws.String("tag:Name"), Values: []string{name}}}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	groups, err := c.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: byName("book-sg-database")})
	must(err)
	group := groups.SecurityGroups[0]
	_, err = c.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: group.GroupId, IpPermissions: group.IpPermissions})
	must(err)
	_, err = c.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: group.GroupId, IpPermissions: []types.IpPermission{{
		IpProtocol: aws.String("tcp"), FromPort: aws.Int32(22), ToPort: aws.Int32(22), IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}},
	}}})
	must(err)
	closed, err := c.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: []types.Filter{
		{Name: aws.String("vpc-id"), Values: []string{*group.VpcId}}, {Name: aws.String("group-name"), Values: []string{"default"}},
	}})
	must(err)
	_, err = c.AuthorizeSecurityGroupEgress(ctx, &ec2.AuthorizeSecurityGroupEgressInput{GroupId: closed.SecurityGroups[0].GroupId, IpPermissions: []types.IpPermission{{
		IpProtocol: aws.String("-1"), IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}},
	}}})
	must(err)
	tables, err := c.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{Filters: byName("book-route-table-public")})
	must(err)
	table := tables.RouteTables[0]
	_, err = c.DeleteRoute(ctx, &ec2.DeleteRouteInput{RouteTableId: table.RouteTableId, DestinationCidrBlock: aws.String("0.0.0.0/0")})
	must(err)
	_, err = c.DisassociateRouteTable(ctx, &ec2.DisassociateRouteTableInput{AssociationId: table.Associations[0].RouteTableAssociationId})
	must(err)
	_, err = c.DeleteTags(ctx, &ec2.DeleteTagsInput{Resources: []string{*table.RouteTableId}, Tags: []types.Tag{{Key: aws.String("Name")}}})
	must(err)

	var seen []string
	for _, f := range graph.Observe(ctx, wired(t, &wire{}, endpoint, spec()).Resources(), graph.Options{}) {
		for _, d := range f.Drift {
			field, _, _ := strings.Cut(d.Field, ": ")
			field, _, _ = strings.Cut(field, " subnet-")
			seen = append(seen, f.Name+" "+field)
		}
	}
	slices.Sort(seen)
	want := []string{
		"route-table-public association", "route-table-public default-route", "route-table-public tag Name",
		"sg-database rule missing", "sg-database rule too many", "sg-default rule too many",
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("drift seen (-want +got):\n%s", diff)
	}
	up(t, endpoint)
	if diff := cmp.Diff(whole, accountInventory(t, endpoint)); diff != "" {
		t.Errorf("after up (-want +got):\n%s", diff)
	}
}

func TestOthersInTheAccountAreLeftAsTheyAre(t *testing.T) {
	t.Parallel()
	endpoint := moto.Start(t)
	c, ctx := (&wire{}).clients(endpoint).EC2, t.Context()
	// A VPC of the same name and range, without our tags or with another
	// stack's, and a gateway in it.
	for _, tags := range [][]types.Tag{
		{{Key: aws.String("Name"), Value: aws.String("book-vpc")}},
		{{Key: aws.String("Name"), Value: aws.String("other-vpc")}, {Key: aws.String(provision.TagStack), Value: aws.String("other")}, {Key: aws.String(provision.TagResource), Value: aws.String("vpc")}},
	} {
		_, err := c.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16"), TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeVpc, Tags: tags}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	before := accountInventory(t, endpoint)
	up(t, endpoint)
	destroy(t, endpoint)
	purge(t, endpoint)
	if diff := cmp.Diff(before, accountInventory(t, endpoint)); diff != "" {
		t.Errorf("after up and destroy (-before +after):\n%s", diff)
	}
}

// soon are the options of a run on an emulator, which answers at once: it polls a hundred
// times as often as on AWS.
func soon(s *provision.Stack) graph.Options {
	o := s.Options()
	o.Pace = 0.01
	return o
}
