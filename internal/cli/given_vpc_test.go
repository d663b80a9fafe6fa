package cli_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// TestSubnetsThatAreExcludedFromPublicAccessBlockingAreUsed has VPC Block Public Access on, and
// excludes subnets from it, but not their VPC.
func TestSubnetsThatAreExcludedFromPublicAccessBlockingAreUsed(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	g := newGivenVPC(h)
	g.open()
	h.must(ok(ec2.NewFromConfig(h.Config).ModifyVpcBlockPublicAccessOptions(t.Context(), &ec2.ModifyVpcBlockPublicAccessOptionsInput{InternetGatewayBlockMode: ec2types.InternetGatewayBlockModeBlockIngress})))
	excluded := func(ids ...string) { h.faults(map[string]any{"publicAccessExclusions": ids}) }
	plan := func(flags ...string) result {
		t.Helper()
		return s.run(slices.Concat([]string{"plan", "--local", "--vpc", g.id}, imageless()[1:], flags)...)
	}
	plan().says(t, 1, "VPC Block Public Access keeps the internet out of "+g.id, "whoever manages the account can exclude the VPC")
	excluded(g.publicA)
	plan().says(t, 1, "keeps the internet out of "+g.id)
	plan("--subnets", g.publicA+","+g.publicB).says(t, 1, "keeps the internet out of subnet "+g.publicB)
	excluded(g.publicA, g.publicB)
	plan().shows(t, 2, "subnet-public-a             unchanged "+g.publicA, "subnet-public-b             unchanged "+g.publicB)
	excluded(g.id)
	plan().shows(t, 2, "subnet-public-a             unchanged "+g.publicA)
	s.run(slices.Concat([]string{"up", "--local", "--vpc", g.id, "--no-database"}, imageless())...).says(t, 0)
	excluded(g.publicA)
	s.run("up", "--local", "--wait=false").says(t, 1, "subnet-public-b", "public-access", "exclude this subnet or its VPC")
	excluded(g.publicA, g.publicB)
	s.run("up", "--local", "--wait=false").says(t, 0, "0 changed")

	// A VPC of the stack's own, which was created before.
	network := ec2.NewFromConfig(h.Config)
	mode := func(m ec2types.InternetGatewayBlockMode) {
		t.Helper()
		h.must(ok(network.ModifyVpcBlockPublicAccessOptions(t.Context(), &ec2.ModifyVpcBlockPublicAccessOptionsInput{InternetGatewayBlockMode: m})))
	}
	mode(ec2types.InternetGatewayBlockModeOff)
	s.run(slices.Concat([]string{"up", "--local", "--stack", "own", "--no-database"}, imageless())...).says(t, 0)
	mode(ec2types.InternetGatewayBlockModeBlockIngress)
	var public []string
	for _, x := range done[*ec2.DescribeSubnetsOutput](t)(network.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{Filters: []ec2types.Filter{
		{Name: aws.String("tag:bookctl:stack"), Values: []string{"own"}}, {Name: aws.String("tag:bookctl:resource"), Values: []string{"subnet-public-*"}},
	}})).Subnets {
		public = append(public, *x.SubnetId)
	}
	excluded(public[0])
	s.run("up", "--local", "--stack", "own", "--wait=false").says(t, 1, "vpc", "public-access", "exclude this VPC, or its public subnets")
	excluded(public...)
	s.run("up", "--local", "--stack", "own", "--wait=false").says(t, 0, "0 changed")
}

// TestTheVPCsLimitsOfDatabaseClassesAreWarnedOf has a VPC that enforces encryption in transit,
// and one of dedicated tenancy, and a database that is created in them.
func TestTheVPCsLimitsOfDatabaseClassesAreWarnedOf(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, ctx := newShell(t), t.Context()
	h := s.byHand(t, nil)
	network := ec2.NewFromConfig(h.Config)
	for _, c := range []struct {
		in   ec2.CreateVpcInput
		want string
	}{
		{ec2.CreateVpcInput{VpcEncryptionControl: &ec2types.VpcEncryptionControlConfiguration{Mode: ec2types.VpcEncryptionControlModeEnforce}}, " enforces encryption in transit"},
		{ec2.CreateVpcInput{VpcEncryptionControl: &ec2types.VpcEncryptionControlConfiguration{Mode: ec2types.VpcEncryptionControlModeMonitor}}, ""},
		{ec2.CreateVpcInput{InstanceTenancy: ec2types.TenancyDedicated}, " has dedicated tenancy"},
	} {
		c.in.CidrBlock = aws.String("10.50.0.0/16")
		vpc := done[*ec2.CreateVpcOutput](t)(network.CreateVpc(ctx, &c.in)).Vpc.VpcId
		gateway := done[*ec2.CreateInternetGatewayOutput](t)(network.CreateInternetGateway(ctx, &ec2.CreateInternetGatewayInput{})).InternetGateway.InternetGatewayId
		h.must(ok(network.AttachInternetGateway(ctx, &ec2.AttachInternetGatewayInput{VpcId: vpc, InternetGatewayId: gateway})))
		table := done[*ec2.DescribeRouteTablesOutput](t)(network.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{Filters: []ec2types.Filter{{Name: aws.String("vpc-id"), Values: []string{*vpc}}}})).RouteTables[0].RouteTableId
		h.must(ok(network.CreateRoute(ctx, &ec2.CreateRouteInput{RouteTableId: table, DestinationCidrBlock: aws.String("0.0.0.0/0"), GatewayId: gateway})))
		for zone, cidr := range map[string]string{"us-east-1a": "10.50.0.0/24", "us-east-1b": "10.50.1.0/24"} {
			h.must(ok(network.CreateSubnet(ctx, &ec2.CreateSubnetInput{VpcId: vpc, CidrBlock: &cidr, AvailabilityZone: &zone})))
		}
		plan := func(flags ...string) string {
			t.Helper()
			r := s.run(slices.Concat([]string{"plan", "--local", "--vpc", *vpc}, imageless()[1:], flags)...)
			r.shows(t, 2, "sg-load-balancer")
			return r.out + r.err
		}
		if text := plan(); c.want != "" && !strings.Contains(text, *vpc+c.want) || (c.want != "") != strings.Contains(text, "choose another with --db-class") {
			t.Errorf("plan does not warn that it%s:\n%s", c.want, text)
		}
		if text := plan("--no-database"); strings.Contains(text, "--db-class") {
			t.Errorf("plan without a database warns:\n%s", text)
		}
	}
}

// TestAddressesAreLeftForADatabase has subnets in which RDS has none for a recovery.
func TestAddressesAreLeftForADatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, ctx := newShell(t), t.Context()
	h := s.byHand(t, nil)
	g := newGivenVPC(h)
	g.open()
	network := ec2.NewFromConfig(h.Config)
	plan := func(flags ...string) result {
		t.Helper()
		return s.run(slices.Concat([]string{"plan", "--local", "--vpc", g.id}, imageless()[1:], flags)...)
	}
	// Load balancer and database in the same subnets: 11 free addresses and 251, of which 10 each are theirs.
	shared := g.smallPublic + "," + g.publicB
	plan("--subnets", shared, "--db-subnets", shared, "--count", "242").says(t, 1, "have addresses for 242 tasks alongside the load balancer and the database")
	plan("--subnets", shared, "--db-subnets", shared, "--count", "241").shows(t, 2, "sg-load-balancer")
	// A subnet of 16 addresses, of which AWS has 5, and somebody all but one.
	small := done[*ec2.CreateSubnetOutput](t)(network.CreateSubnet(ctx, &ec2.CreateSubnetInput{VpcId: &g.id, CidrBlock: aws.String("10.40.12.0/28"), AvailabilityZone: aws.String("us-east-1b")})).Subnet.SubnetId
	for range 10 {
		h.must(ok(network.CreateNetworkInterface(ctx, &ec2.CreateNetworkInterfaceInput{SubnetId: small, Groups: []string{g.group}})))
	}
	plan("--db-subnets", *small+","+g.privateB).says(t, 1, "subnet "+*small+" has 1 free addresses, and RDS needs 2", "choose others with --db-subnets")
}
