package provision_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/preflight"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// givenVPC makes a VPC with four subnets in two zones, of which two are public by the main
// route table, and returns its id and theirs.
func givenVPC(t *testing.T, endpoint string) (vpc string, public, private []string) {
	t.Helper()
	client, ctx := (&wire{}).clients(endpoint).EC2, t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	made, err := client.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.40.0.0/16")})
	must(err)
	vpc = *made.Vpc.VpcId
	gateway, err := client.CreateInternetGateway(ctx, &ec2.CreateInternetGatewayInput{})
	must(err)
	_, err = client.AttachInternetGateway(ctx, &ec2.AttachInternetGatewayInput{VpcId: &vpc, InternetGatewayId: gateway.InternetGateway.InternetGatewayId})
	must(err)
	tables, err := client.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{})
	must(err)
	for _, table := range tables.RouteTables {
		if *table.VpcId != vpc {
			continue
		}
		_, err = client.CreateRoute(ctx, &ec2.CreateRouteInput{RouteTableId: table.RouteTableId, DestinationCidrBlock: aws.String("0.0.0.0/0"), GatewayId: gateway.InternetGateway.InternetGatewayId})
		must(err)
	}
	closed, err := client.CreateRouteTable(ctx, &ec2.CreateRouteTableInput{VpcId: &vpc})
	must(err)
	for i := range 4 {
		subnet, err := client.CreateSubnet(ctx, &ec2.CreateSubnetInput{VpcId: &vpc, CidrBlock: aws.String(fmt.Sprintf("10.40.%d.0/24", i)), AvailabilityZone: aws.String("us-east-1" + string("bc"[i%2]))})
		must(err)
		if i < 2 {
			public = append(public, *subnet.Subnet.SubnetId)
			continue
		}
		private = append(private, *subnet.Subnet.SubnetId)
		_, err = client.AssociateRouteTable(ctx, &ec2.AssociateRouteTableInput{RouteTableId: closed.RouteTable.RouteTableId, SubnetId: subnet.Subnet.SubnetId})
		must(err)
	}
	return vpc, public, private
}

// TestAGivenVPCIsLeftAsItIs makes a stack in one, and removes it, on an AWS that nobody
// here wrote.
func TestAGivenVPCIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	endpoint, ctx := moto.Start(t), t.Context()
	vpc, public, private := givenVPC(t, endpoint)
	before := accountInventory(t, endpoint)
	want := spec()
	want.Zones, want.VPC = [2]string{}, vpc
	env, err := preflight.Check(ctx, (&wire{}).clients(endpoint), preflight.Intent{Stack: "book", Settings: want.Settings, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][2]string{"load balancer": {env.Subnets, strings.Join(public, ",")}, "database": {env.DBSubnets, strings.Join(private, ",")}} {
		if sorted(pair[0]) != sorted(pair[1]) {
			t.Errorf("the subnets of the %s are %s, want %s", what, pair[0], pair[1])
		}
	}
	want.Subnets, want.DBSubnets, want.DBVersion = env.Subnets, env.DBSubnets, env.DBVersion
	for run := range 2 {
		w := &wire{}
		s := wired(t, w, endpoint, want)
		if _, err := graph.Up(ctx, s.Resources(), soon(s)); err != nil {
			t.Fatal(err)
		}
		if writes := w.written(); (run == 1) != (len(writes) == 0) {
			t.Errorf("run %d writes %v", run, writes)
		}
	}
	have, err := provision.ReadDeployed(ctx, (&wire{}).clients(endpoint), "book")
	if err != nil || have.VPC != vpc || have.Subnets != env.Subnets || have.DBSubnets != env.DBSubnets {
		t.Errorf("read back are %s, %s and %s (%v)", have.VPC, have.Subnets, have.DBSubnets, err)
	}
	s := wired(t, &wire{}, endpoint, want)
	if _, err := graph.Destroy(ctx, s.Resources(), soon(s)); err != nil {
		t.Fatal(err)
	}
	purge(t, endpoint)
	if diff := cmp.Diff(before, accountInventory(t, endpoint)); diff != "" {
		t.Errorf("a destroy left or took something (-before +after):\n%s", diff)
	}
}

func sorted(list string) string {
	ids := strings.Split(list, ",")
	slices.Sort(ids)
	return strings.Join(ids, ",")
}
