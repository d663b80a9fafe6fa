package localcloud_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// ground is a network with two public subnets in two zones.
type ground struct {
	cloud   endpoint
	vpc     string
	subnets []string
	group   string // the VPC's default security group
}

func newGround(t *testing.T, c endpoint) ground {
	t.Helper()
	client := ec2.NewFromConfig(clientConfig(c))
	ctx := t.Context()
	vpc := must[*ec2.CreateVpcOutput](t)(client.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16")}))
	g := ground{cloud: c, vpc: *vpc.Vpc.VpcId}
	gateway := must[*ec2.CreateInternetGatewayOutput](t)(client.CreateInternetGateway(ctx, &ec2.CreateInternetGatewayInput{}))
	must[*ec2.AttachInternetGatewayOutput](t)(client.AttachInternetGateway(ctx, &ec2.AttachInternetGatewayInput{
		VpcId: &g.vpc, InternetGatewayId: gateway.InternetGateway.InternetGatewayId,
	}))
	for i, zone := range []string{"us-east-1a", "us-east-1b"} {
		subnet := must[*ec2.CreateSubnetOutput](t)(client.CreateSubnet(ctx, &ec2.CreateSubnetInput{
			VpcId: &g.vpc, AvailabilityZone: aws.String(zone), CidrBlock: aws.String(fmt.Sprintf("10.0.%d.0/24", i)),
		}))
		g.subnets = append(g.subnets, *subnet.Subnet.SubnetId)
	}
	groups := must[*ec2.DescribeSecurityGroupsOutput](t)(client.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{
		Filters: []ec2types.Filter{{Name: aws.String("vpc-id"), Values: []string{g.vpc}}},
	}))
	g.group = *groups.SecurityGroups[0].GroupId
	return g
}

// interfaces are the descriptions of the network interfaces that are left.
func (g ground) interfaces(t *testing.T) (descriptions []string) {
	t.Helper()
	client := ec2.NewFromConfig(clientConfig(g.cloud))
	out := must[*ec2.DescribeNetworkInterfacesOutput](t)(client.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{}))
	for _, i := range out.NetworkInterfaces {
		descriptions = append(descriptions, aws.ToString(i.Description))
	}
	return descriptions
}

func freePort(t *testing.T) int32 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // nothing was sent
	return int32(l.Addr().(*net.TCPAddr).Port)
}

// front is a load balancer with a target group and no listener.
func (g ground) front(t *testing.T) (client *elb.Client, lb, targets string) {
	t.Helper()
	client = elb.NewFromConfig(clientConfig(g.cloud))
	created := must[*elb.CreateLoadBalancerOutput](t)(client.CreateLoadBalancer(t.Context(), &elb.CreateLoadBalancerInput{
		Name: aws.String("book-lb"), Subnets: g.subnets, SecurityGroups: []string{g.group},
	}))
	group := must[*elb.CreateTargetGroupOutput](t)(client.CreateTargetGroup(t.Context(), g.targetGroup("/healthz")))
	return client, *created.LoadBalancers[0].LoadBalancerArn, *group.TargetGroups[0].TargetGroupArn
}

func (g ground) targetGroup(path string) *elb.CreateTargetGroupInput {
	return &elb.CreateTargetGroupInput{
		Name: aws.String("book-targets"), VpcId: &g.vpc, Port: aws.Int32(8080), Protocol: types.ProtocolEnumHttp, TargetType: types.TargetTypeEnumIp,
		HealthCheckPath: &path, HealthCheckIntervalSeconds: aws.Int32(5), HealthCheckTimeoutSeconds: aws.Int32(2), HealthyThresholdCount: aws.Int32(2),
	}
}

func forwardTo(targets string) []types.Action {
	return []types.Action{{Type: types.ActionTypeEnumForward, TargetGroupArn: &targets}}
}

func fetchBody(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestALoadBalancerRefusesWhatAWSRefuses(t *testing.T) {
	t.Parallel()
	g := newGround(t, openCloud(t, localcloud.Config{}))
	client, lb, targets := g.front(t)
	ctx := t.Context()
	again := must[*elb.CreateLoadBalancerOutput](t)(client.CreateLoadBalancer(ctx, &elb.CreateLoadBalancerInput{
		Name: aws.String("book-lb"), Subnets: g.subnets, SecurityGroups: []string{g.group},
	}))
	if *again.LoadBalancers[0].LoadBalancerArn != lb {
		t.Error("the same request again made another load balancer")
	}
	_, err := client.CreateLoadBalancer(ctx, &elb.CreateLoadBalancerInput{Name: aws.String("book-lb"), Subnets: g.subnets, Scheme: types.LoadBalancerSchemeEnumInternal})
	refused(t, err, "DuplicateLoadBalancerName", "different settings")
	_, err = client.CreateLoadBalancer(ctx, &elb.CreateLoadBalancerInput{Name: aws.String("one"), Subnets: g.subnets[:1]})
	refused(t, err, "ValidationError", "two subnets in two different Availability Zones")
	_, err = client.CreateTargetGroup(ctx, g.targetGroup("/other"))
	refused(t, err, "DuplicateTargetGroupName", "different settings")
	_, err = client.ModifyTargetGroup(ctx, &elb.ModifyTargetGroupInput{TargetGroupArn: &targets, HealthCheckTimeoutSeconds: aws.Int32(5)})
	refused(t, err, "ValidationError", "smaller than the interval")
	_, err = client.ModifyLoadBalancerAttributes(ctx, &elb.ModifyLoadBalancerAttributesInput{
		LoadBalancerArn: &lb, Attributes: []types.LoadBalancerAttribute{{Key: aws.String("idle_timeout.timeout_seconds"), Value: aws.String("0")}},
	})
	refused(t, err, "ValidationError", "idle_timeout.timeout_seconds")
	port := freePort(t)
	listener := &elb.CreateListenerInput{LoadBalancerArn: &lb, Port: &port, Protocol: types.ProtocolEnumHttp, DefaultActions: forwardTo(targets)}
	must[*elb.CreateListenerOutput](t)(client.CreateListener(ctx, listener))
	listener.DefaultActions = []types.Action{{Type: types.ActionTypeEnumFixedResponse, FixedResponseConfig: &types.FixedResponseActionConfig{StatusCode: aws.String("200")}}}
	_, err = client.CreateListener(ctx, listener)
	refused(t, err, "DuplicateListener", lb)
	listener.Port = aws.Int32(int32(portOf(t, g.cloud.Endpoint())))
	_, err = client.CreateListener(ctx, listener)
	refused(t, err, "InvalidConfigurationRequest", "is in use by another program")
	_, err = client.CreateListener(ctx, &elb.CreateListenerInput{LoadBalancerArn: &lb, Port: aws.Int32(443), Protocol: types.ProtocolEnumHttps, DefaultActions: forwardTo(targets)})
	refused(t, err, "ValidationError", "certificate must be specified")
	_, err = client.DeleteTargetGroup(ctx, &elb.DeleteTargetGroupInput{TargetGroupArn: &targets})
	refused(t, err, "ResourceInUse", "in use by a listener")

	protection := func(value string) {
		must[*elb.ModifyLoadBalancerAttributesOutput](t)(client.ModifyLoadBalancerAttributes(ctx, &elb.ModifyLoadBalancerAttributesInput{
			LoadBalancerArn: &lb, Attributes: []types.LoadBalancerAttribute{{Key: aws.String("deletion_protection.enabled"), Value: &value}},
		}))
	}
	protection("true")
	_, err = client.DeleteLoadBalancer(ctx, &elb.DeleteLoadBalancerInput{LoadBalancerArn: &lb})
	refused(t, err, "OperationNotPermitted", "deletion protection is enabled")
	if left := g.interfaces(t); len(left) != 2 {
		t.Errorf("interfaces of a load balancer in two subnets: %q", left)
	}
	protection("false")
	must[*elb.DeleteLoadBalancerOutput](t)(client.DeleteLoadBalancer(ctx, &elb.DeleteLoadBalancerInput{LoadBalancerArn: &lb}))
	must[*elb.DeleteLoadBalancerOutput](t)(client.DeleteLoadBalancer(ctx, &elb.DeleteLoadBalancerInput{LoadBalancerArn: &lb})) // once more is no error
	must[*elb.DeleteTargetGroupOutput](t)(client.DeleteTargetGroup(ctx, &elb.DeleteTargetGroupInput{TargetGroupArn: &targets}))
	if left := g.interfaces(t); len(left) != 0 {
		t.Errorf("interfaces after the deletion: %q", left)
	}
	_, err = client.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{"book-lb"}})
	refused(t, err, "LoadBalancerNotFound", "book-lb")
	if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err != nil {
		t.Errorf("the listener's port is not free: %v", err)
	} else {
		_ = l.Close()
	}
}

func portOf(t *testing.T, url string) (port int) {
	t.Helper()
	if _, err := fmt.Sscanf(url, "http://127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	return port
}

func TestAListenerServesAndComesBackAfterARestart(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	c, err := localcloud.Open(t.Context(), localcloud.Config{StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	client, lb, targets := newGround(t, c).front(t)
	port := freePort(t)
	created := must[*elb.CreateListenerOutput](t)(client.CreateListener(t.Context(), &elb.CreateListenerInput{
		LoadBalancerArn: &lb, Port: &port, Protocol: types.ProtocolEnumHttp, DefaultActions: forwardTo(targets),
		Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}},
	}))
	url := fmt.Sprintf("http://localhost:%d/", port)
	if code, _ := fetchBody(t, url); code != http.StatusServiceUnavailable {
		t.Errorf("without a target: %d, want 503", code)
	}
	must[*elb.ModifyListenerOutput](t)(client.ModifyListener(t.Context(), &elb.ModifyListenerInput{
		ListenerArn: created.Listeners[0].ListenerArn,
		DefaultActions: []types.Action{{Type: types.ActionTypeEnumFixedResponse, FixedResponseConfig: &types.FixedResponseActionConfig{
			StatusCode: aws.String("418"), ContentType: aws.String("text/plain"), MessageBody: aws.String("closed"),
		}}},
	}))
	want := func(url string) {
		t.Helper()
		if code, body := fetchBody(t, url); code != 418 || body != "closed" {
			t.Errorf("%d %q, want 418 closed", code, body)
		}
	}
	want(url)
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	client = elb.NewFromConfig(clientConfig(openCloud(t, localcloud.Config{StateDir: dir})))
	want(url)
	tags := must[*elb.DescribeTagsOutput](t)(client.DescribeTags(t.Context(), &elb.DescribeTagsInput{ResourceArns: []string{*created.Listeners[0].ListenerArn}}))
	if got := tags.TagDescriptions[0].Tags; len(got) != 1 || *got[0].Value != "b" {
		t.Errorf("tags %+v", got)
	}
	rules := must[*elb.DescribeRulesOutput](t)(client.DescribeRules(t.Context(), &elb.DescribeRulesInput{ListenerArn: created.Listeners[0].ListenerArn}))
	if len(rules.Rules) != 1 || !*rules.Rules[0].IsDefault {
		t.Errorf("rules %+v", rules.Rules)
	}
}
