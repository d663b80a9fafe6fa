package cli_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scalingtypes "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// done fails the test for a call that has to succeed.
func done[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestDriftThatDecidesWhetherItServes changes by hand what bookctl never sets, of a
// kind that stops a stack or exposes it.
func TestDriftThatDecidesWhetherItServes(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, ctx := newShell(t), t.Context()
	s.must("local", "start")
	settings := append([]string{"--local", "--min", "1", "--max", "3"}, imageless()[1:]...)
	up := append([]string{"up", "--wait=false"}, settings...)
	plan := append([]string{"plan"}, settings...)
	s.must(up...)
	if r := s.run(plan...); r.code != 0 {
		t.Fatalf("plan right after up: %d\n%s%s", r.code, r.out, r.err)
	}
	cfg := s.config()
	balancing, network, containers := elb.NewFromConfig(cfg), ec2.NewFromConfig(cfg), ecs.NewFromConfig(cfg)

	group := done[*elb.DescribeTargetGroupsOutput](t)(balancing.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{Names: []string{"book-tasks"}})).TargetGroups[0]
	done[*elb.ModifyTargetGroupOutput](t)(balancing.ModifyTargetGroup(ctx, &elb.ModifyTargetGroupInput{
		TargetGroupArn: group.TargetGroupArn, HealthCheckPort: aws.String("9999"), HealthCheckPath: aws.String("/nothing"), Matcher: &elbtypes.Matcher{HttpCode: aws.String("404")},
	}))
	done[*elb.ModifyTargetGroupAttributesOutput](t)(balancing.ModifyTargetGroupAttributes(ctx, &elb.ModifyTargetGroupAttributesInput{
		TargetGroupArn: group.TargetGroupArn, Attributes: []elbtypes.TargetGroupAttribute{{Key: aws.String("slow_start.duration_seconds"), Value: aws.String("900")}},
	}))
	balancer := done[*elb.DescribeLoadBalancersOutput](t)(balancing.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{"book-lb"}})).LoadBalancers[0]
	done[*elb.ModifyLoadBalancerAttributesOutput](t)(balancing.ModifyLoadBalancerAttributes(ctx, &elb.ModifyLoadBalancerAttributesInput{
		LoadBalancerArn: balancer.LoadBalancerArn, Attributes: []elbtypes.LoadBalancerAttribute{{Key: aws.String("waf.fail_open.enabled"), Value: aws.String("true")}},
	}))
	listener := done[*elb.DescribeListenersOutput](t)(balancing.DescribeListeners(ctx, &elb.DescribeListenersInput{LoadBalancerArn: balancer.LoadBalancerArn})).Listeners[0]
	done[*elb.CreateRuleOutput](t)(balancing.CreateRule(ctx, &elb.CreateRuleInput{
		ListenerArn: listener.ListenerArn, Priority: aws.Int32(1), Conditions: []elbtypes.RuleCondition{{Field: aws.String("path-pattern"), Values: []string{"/*"}}},
		Actions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumFixedResponse, FixedResponseConfig: &elbtypes.FixedResponseActionConfig{StatusCode: aws.String("503")}}},
	}))

	own := []ec2types.Filter{{Name: aws.String("tag:bookctl:stack"), Values: []string{"book"}}}
	vpc := done[*ec2.DescribeVpcsOutput](t)(network.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: own})).Vpcs[0]
	in := []ec2types.Filter{{Name: aws.String("vpc-id"), Values: []string{*vpc.VpcId}}}
	acl := done[*ec2.DescribeNetworkAclsOutput](t)(network.DescribeNetworkAcls(ctx, &ec2.DescribeNetworkAclsInput{Filters: in})).NetworkAcls[0]
	closed := done[*ec2.CreateNetworkAclOutput](t)(network.CreateNetworkAcl(ctx, &ec2.CreateNetworkAclInput{VpcId: vpc.VpcId})).NetworkAcl
	done[*ec2.ReplaceNetworkAclAssociationOutput](t)(network.ReplaceNetworkAclAssociation(ctx, &ec2.ReplaceNetworkAclAssociationInput{
		AssociationId: acl.Associations[0].NetworkAclAssociationId, NetworkAclId: closed.NetworkAclId,
	}))
	done[*ec2.CreateNetworkAclEntryOutput](t)(network.CreateNetworkAclEntry(ctx, &ec2.CreateNetworkAclEntryInput{
		NetworkAclId: acl.NetworkAclId, RuleNumber: aws.Int32(50), Egress: aws.Bool(true), RuleAction: ec2types.RuleActionDeny, Protocol: aws.String("-1"), CidrBlock: aws.String("10.0.10.0/23"),
	}))
	done[*ec2.DeleteNetworkAclEntryOutput](t)(network.DeleteNetworkAclEntry(ctx, &ec2.DeleteNetworkAclEntryInput{
		NetworkAclId: acl.NetworkAclId, RuleNumber: aws.Int32(100), Egress: aws.Bool(false),
	}))
	resolver := done[*ec2.CreateDhcpOptionsOutput](t)(network.CreateDhcpOptions(ctx, &ec2.CreateDhcpOptionsInput{
		DhcpConfigurations: []ec2types.NewDhcpConfiguration{{Key: aws.String("domain-name-servers"), Values: []string{"10.0.0.99"}}},
	})).DhcpOptions
	done[*ec2.AssociateDhcpOptionsOutput](t)(network.AssociateDhcpOptions(ctx, &ec2.AssociateDhcpOptionsInput{VpcId: vpc.VpcId, DhcpOptionsId: resolver.DhcpOptionsId}))
	gateway := done[*ec2.DescribeInternetGatewaysOutput](t)(network.DescribeInternetGateways(ctx, &ec2.DescribeInternetGatewaysInput{Filters: own})).InternetGateways[0]
	for _, table := range done[*ec2.DescribeRouteTablesOutput](t)(network.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{Filters: own})).RouteTables {
		done[*ec2.CreateRouteOutput](t)(network.CreateRoute(ctx, &ec2.CreateRouteInput{RouteTableId: table.RouteTableId, DestinationCidrBlock: aws.String("192.0.2.0/24"), GatewayId: gateway.InternetGatewayId}))
	}

	done[*scaling.RegisterScalableTargetOutput](t)(scaling.NewFromConfig(cfg).RegisterScalableTarget(ctx, &scaling.RegisterScalableTargetInput{
		ServiceNamespace: scalingtypes.ServiceNamespaceEcs, ResourceId: aws.String("service/book-cluster/book-service"), ScalableDimension: scalingtypes.ScalableDimensionECSServiceDesiredCount,
		SuspendedState: &scalingtypes.SuspendedState{DynamicScalingOutSuspended: aws.Bool(true), DynamicScalingInSuspended: aws.Bool(false), ScheduledScalingSuspended: aws.Bool(false)},
	}))
	done[*ecs.PutClusterCapacityProvidersOutput](t)(containers.PutClusterCapacityProviders(ctx, &ecs.PutClusterCapacityProvidersInput{
		Cluster: aws.String("book-cluster"), CapacityProviders: []string{"FARGATE_SPOT"}, DefaultCapacityProviderStrategy: []ecstypes.CapacityProviderStrategyItem{},
	}))
	done[*ecs.UpdateServiceOutput](t)(containers.UpdateService(ctx, &ecs.UpdateServiceInput{
		Cluster: aws.String("book-cluster"), Service: aws.String("book-service"), PlatformVersion: aws.String("1.3.0"), ForceNewDeployment: true,
		CapacityProviderStrategy: []ecstypes.CapacityProviderStrategyItem{{CapacityProvider: aws.String("FARGATE_SPOT"), Weight: 1}},
	}))
	done[*secretsmanager.RotateSecretOutput](t)(secretsmanager.NewFromConfig(cfg).RotateSecret(ctx, &secretsmanager.RotateSecretInput{
		SecretId: aws.String("book/database"), RotationLambdaARN: aws.String("arn:aws:lambda:us-east-1:000000000000:function:rotate"), RotateImmediately: aws.Bool(false),
	}))

	seen := s.run(plan...)
	if seen.code != 2 {
		t.Errorf("plan after the changes by hand: %d\n%s%s", seen.code, seen.out, seen.err)
	}
	for _, want := range []string{
		"health-check-port: 9999 → traffic-port", "health-check-path: /nothing → /startupz", "healthy-codes: 404 → 200", "slow_start.duration_seconds: 900 → 0",
		"waf.fail_open.enabled: true → false", "1: fixed-response for path-pattern /*",
		"network-acl: " + *closed.NetworkAclId + " → the VPC's default", "network ACL entry too many: egress 50: deny protocol -1 of 10.0.10.0/23",
		"network ACL entry missing: ingress 100", "dhcp-resolver: 10.0.0.99 → AmazonProvidedDNS", "extra route: 192.0.2.0/24: " + *gateway.InternetGatewayId,
		"suspended: out → (none)", "capacity-providers: FARGATE_SPOT weight 1 → (none)", "platform-version: 1.3.0 → (none)",
		"rotation: arn:aws:lambda:us-east-1:000000000000:function:rotate → off",
	} {
		if !strings.Contains(seen.out, want) {
			t.Errorf("plan does not say %q:\n%s", want, seen.out)
		}
	}
	s.must(up...)
	if r := s.run(plan...); r.code != 0 {
		t.Errorf("plan after up: %d\n%s%s", r.code, r.out, r.err)
	}
}

// TestWhatMayNotBeRepairedOfANetworkACLIsSaid changes the network ACLs of a stack, for which
// the policy that bookctl prints is not enough.
func TestWhatMayNotBeRepairedOfANetworkACLIsSaid(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, ctx := newShell(t), t.Context()
	h := s.byHand(t, nil)
	up := append([]string{"up", "--local"}, imageless()...)
	s.must(up...)
	network := ec2.NewFromConfig(h.Config)
	own := []ec2types.Filter{{Name: aws.String("tag:bookctl:stack"), Values: []string{"book"}}}
	vpc := done[*ec2.DescribeVpcsOutput](t)(network.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: own})).Vpcs[0]
	in := []ec2types.Filter{{Name: aws.String("vpc-id"), Values: []string{*vpc.VpcId}}}
	acl := done[*ec2.DescribeNetworkAclsOutput](t)(network.DescribeNetworkAcls(ctx, &ec2.DescribeNetworkAclsInput{Filters: in})).NetworkAcls[0]
	closed := done[*ec2.CreateNetworkAclOutput](t)(network.CreateNetworkAcl(ctx, &ec2.CreateNetworkAclInput{VpcId: vpc.VpcId})).NetworkAcl
	h.must(ok(network.ReplaceNetworkAclAssociation(ctx, &ec2.ReplaceNetworkAclAssociationInput{
		AssociationId: acl.Associations[0].NetworkAclAssociationId, NetworkAclId: closed.NetworkAclId,
	})))
	h.must(ok(network.CreateNetworkAclEntry(ctx, &ec2.CreateNetworkAclEntryInput{
		NetworkAclId: acl.NetworkAclId, RuleNumber: aws.Int32(50), Egress: aws.Bool(true), RuleAction: ec2types.RuleActionDeny, Protocol: aws.String("-1"), CidrBlock: aws.String("192.0.2.0/24"),
	})))
	h.must(ok(network.DeleteNetworkAclEntry(ctx, &ec2.DeleteNetworkAclEntryInput{NetworkAclId: acl.NetworkAclId, RuleNumber: aws.Int32(100), Egress: aws.Bool(false)})))
	h.faults(map[string]any{"deny": []string{"ec2:CreateNetworkAclEntry", "ec2:DeleteNetworkAclEntry", "ec2:ReplaceNetworkAclAssociation"}})
	said := []string{
		"network ACL entry too many: egress 50 stays deny protocol -1 of 192.0.2.0/24: your credentials may not change it",
		"network ACL entry missing: ingress 100 stays (allow everything is recorded): your credentials may not change it",
		"ec2:CreateNetworkAclEntry and ec2:DeleteNetworkAclEntry on " + *acl.NetworkAclId,
		"network-acl stays " + *closed.NetworkAclId, "ec2:ReplaceNetworkAclAssociation on " + *acl.NetworkAclId,
	}
	s.run("up", "--local", "--wait=false", "--log-days", "30").says(t, 0, append(said, "3 updated")...) // both log groups, and the service, which records it
	s.run("plan", "--local").shows(t, 0, said...)
	h.faults(map[string]any{})
	s.run("up", "--local", "--wait=false").says(t, 0, "1 network ACL entry missing, 1 network ACL entry too many", " 2 updated")
	s.run("plan", "--local").says(t, 0)
}
