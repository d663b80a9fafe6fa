package provision_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// TestWhatGuardDutyCreatedIsNamedWithTheCommandsThatDeleteIt has the endpoint and the group that GuardDuty
// makes for tasks, and then an endpoint of the same service that somebody made.
func TestWhatGuardDutyCreatedIsNamedWithTheCommandsThatDeleteIt(t *testing.T) {
	t.Parallel()
	endpoint, ctx := moto.Start(t), t.Context()
	c := (&wire{}).clients(endpoint)
	tagged := func(kind ec2types.ResourceType, key, value string) []ec2types.TagSpecification {
		return []ec2types.TagSpecification{{ResourceType: kind, Tags: []ec2types.Tag{{Key: &key, Value: &value}}}}
	}
	vpc, err := c.EC2.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16"), TagSpecifications: tagged(ec2types.ResourceTypeVpc, provision.TagStack, "book")})
	if err != nil {
		t.Fatal(err)
	}
	holders := func(tag string) (next, group, gateway string) {
		t.Helper()
		sg, err := c.EC2.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
			VpcId: vpc.Vpc.VpcId, GroupName: aws.String("GuardDutyManagedSecurityGroup-" + *vpc.Vpc.VpcId + tag), Description: aws.String("x"),
			TagSpecifications: tagged(ec2types.ResourceTypeSecurityGroup, "GuardDutyManaged", tag),
		})
		if err != nil {
			t.Fatal(err)
		}
		vpce, err := c.EC2.CreateVpcEndpoint(ctx, &ec2.CreateVpcEndpointInput{
			VpcId: vpc.Vpc.VpcId, VpcEndpointType: ec2types.VpcEndpointTypeInterface, ServiceName: aws.String("com.amazonaws.us-east-1.guardduty-data"),
			TagSpecifications: tagged(ec2types.ResourceTypeVpcEndpoint, "GuardDutyManaged", tag),
		})
		if err != nil {
			t.Fatal(err)
		}
		err = provision.CheckHolders(ctx, c, "book", provision.Deployed{})
		if held := (*provision.HeldError)(nil); !errors.As(err, &held) {
			t.Fatalf("what holds the network is %v", err)
		}
		return hint.Of(err).String(), *sg.GroupId, *vpce.VpcEndpoint.VpcEndpointId
	}
	if next, _, _ := holders("false"); strings.Contains(next, "GuardDuty") {
		t.Errorf("what others made is reported as GuardDuty's: %s", next)
	}
	next, group, gateway := holders("true")
	if want := "'aws ec2 delete-vpc-endpoints --vpc-endpoint-ids " + gateway + "', and after that by 'aws ec2 delete-security-group --group-id " + group + "'"; !strings.Contains(next, want) {
		t.Errorf("the next step is %q, without %q", next, want)
	}
}

// TestAGroupWithTheStacksTagThatBookctlDidNotCreateBlocksADestroy has security groups in the
// stack's VPC: one with both tags of a resource of the stack, and one that somebody gave the
// tag of the stack alone. The second is no resource of the stack, so nothing of it would be
// deleted before the VPC, and the destroy would wait for it in vain.
func TestAGroupWithTheStacksTagThatBookctlDidNotCreateBlocksADestroy(t *testing.T) {
	t.Parallel()
	endpoint, ctx := moto.Start(t), t.Context()
	c := (&wire{}).clients(endpoint)
	tags := func(kind ec2types.ResourceType, resource string) []ec2types.TagSpecification {
		all := []ec2types.Tag{{Key: aws.String(provision.TagStack), Value: aws.String("book")}}
		if resource != "" {
			all = append(all, ec2types.Tag{Key: aws.String(provision.TagResource), Value: &resource})
		}
		return []ec2types.TagSpecification{{ResourceType: kind, Tags: all}}
	}
	vpc, err := c.EC2.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16"), TagSpecifications: tags(ec2types.ResourceTypeVpc, "vpc")})
	if err != nil {
		t.Fatal(err)
	}
	group := func(name, resource string) string {
		t.Helper()
		sg, err := c.EC2.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
			VpcId: vpc.Vpc.VpcId, GroupName: &name, Description: &name, TagSpecifications: tags(ec2types.ResourceTypeSecurityGroup, resource),
		})
		if err != nil {
			t.Fatal(err)
		}
		return *sg.GroupId
	}
	group("book-sg-task", "sg-task")
	if err := provision.CheckHolders(ctx, c, "book", provision.Deployed{}); err != nil {
		t.Fatalf("the stack's own group blocks it: %v", err)
	}
	copied := group("copied", "")
	held := (*provision.HeldError)(nil)
	if err := provision.CheckHolders(ctx, c, "book", provision.Deployed{}); !errors.As(err, &held) || len(held.Holders) != 1 || held.Holders[0].ID != copied {
		t.Errorf("what blocks the destroy is %v, not %s", err, copied)
	}
}

// TestAnInternetGatewayThatServesAnotherVPCBlocksADestroy has somebody detach the stack's
// gateway, and attach it to a VPC that is not the stack's.
func TestAnInternetGatewayThatServesAnotherVPCBlocksADestroy(t *testing.T) {
	t.Parallel()
	endpoint, ctx := moto.Start(t), t.Context()
	c := (&wire{}).clients(endpoint)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tags := func(kind ec2types.ResourceType, resource string) []ec2types.TagSpecification {
		return []ec2types.TagSpecification{{ResourceType: kind, Tags: []ec2types.Tag{
			{Key: aws.String(provision.TagStack), Value: aws.String("book")}, {Key: aws.String(provision.TagResource), Value: &resource},
		}}}
	}
	own, err := c.EC2.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16"), TagSpecifications: tags(ec2types.ResourceTypeVpc, "vpc")})
	must(err)
	other, err := c.EC2.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.1.0.0/16")})
	must(err)
	gateway, err := c.EC2.CreateInternetGateway(ctx, &ec2.CreateInternetGatewayInput{TagSpecifications: tags(ec2types.ResourceTypeInternetGateway, "internet-gateway")})
	must(err)
	id := gateway.InternetGateway.InternetGatewayId
	must(provision.CheckHolders(ctx, c, "book", provision.Deployed{})) // attached to none
	attach := func(vpc *string) {
		t.Helper()
		_, err := c.EC2.AttachInternetGateway(ctx, &ec2.AttachInternetGatewayInput{InternetGatewayId: id, VpcId: vpc})
		must(err)
	}
	attach(own.Vpc.VpcId)
	must(provision.CheckHolders(ctx, c, "book", provision.Deployed{}))
	_, err = c.EC2.DetachInternetGateway(ctx, &ec2.DetachInternetGatewayInput{InternetGatewayId: id, VpcId: own.Vpc.VpcId})
	must(err)
	attach(other.Vpc.VpcId)
	err = provision.CheckHolders(ctx, c, "book", provision.Deployed{})
	if want := "internet gateway " + *id + " (the stack's) is attached to " + *other.Vpc.VpcId + ", which is not the stack's"; err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "nothing was touched") {
		t.Errorf("what blocks the destroy is %v, without %q", err, want)
	}
	if want := "'aws ec2 detach-internet-gateway --internet-gateway-id " + *id + " --vpc-id " + *other.Vpc.VpcId + "'"; !strings.Contains(hint.Of(err).String(), want) {
		t.Errorf("the next step is %q, without %q", hint.Of(err), want)
	}
}

// TestADatabaseWithTheStacksParameterGroupBlocksADestroy has somebody create an instance
// in another network with the stack's parameter group, which RDS does not delete as long.
func TestADatabaseWithTheStacksParameterGroupBlocksADestroy(t *testing.T) {
	t.Parallel()
	endpoint, ctx := moto.Start(t), t.Context()
	c := (&wire{}).clients(endpoint)
	group := func(name, stack string) {
		t.Helper()
		_, err := c.RDS.CreateDBParameterGroup(ctx, &rds.CreateDBParameterGroupInput{
			DBParameterGroupName: &name, DBParameterGroupFamily: aws.String("postgres17"), Description: aws.String("x"),
			Tags: []rdstypes.Tag{{Key: aws.String(provision.TagStack), Value: &stack}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	instance := func(name, group string) {
		t.Helper()
		_, err := c.RDS.CreateDBInstance(ctx, &rds.CreateDBInstanceInput{
			DBInstanceIdentifier: &name, DBInstanceClass: aws.String("db.t4g.micro"), Engine: aws.String("postgres"), EngineVersion: aws.String("17.6"),
			AllocatedStorage: aws.Int32(20), MasterUsername: aws.String("book"), MasterUserPassword: aws.String("secret-enough"), DBParameterGroupName: &group,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	group("book-database", "book")
	group("book-database-postgres17", "another")
	instance("stranger", "book-database-postgres17")
	if err := provision.CheckHolders(ctx, c, "book", provision.Deployed{}); err != nil {
		t.Fatalf("a parameter group that is not the stack's blocks it: %v", err)
	}
	instance("copy", "book-database")
	err := provision.CheckHolders(ctx, c, "book", provision.Deployed{})
	if held := (*provision.HeldError)(nil); !errors.As(err, &held) || len(held.Holders) != 1 || !strings.Contains(err.Error(), "database copy (postgres) has DB parameter group book-database") {
		t.Errorf("what blocks the destroy is %v", err)
	}
	if want := "'aws rds modify-db-instance --db-instance-identifier copy --db-parameter-group-name default.postgres17'"; !strings.Contains(hint.Of(err).String(), want) {
		t.Errorf("the next step is %q, without %q", hint.Of(err), want)
	}
}

// TestAnInternetGatewayThatIsMovedDuringADestroyStaysWhereItIs has somebody attach the stack's
// gateway to another VPC while its load balancer is deleted, long after the check.
func TestAnInternetGatewayThatIsMovedDuringADestroyStaysWhereItIs(t *testing.T) {
	t.Parallel()
	endpoint, ctx := moto.Start(t), t.Context()
	up(t, endpoint)
	c := (&wire{}).clients(endpoint)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	gateway := func() ec2types.InternetGateway {
		t.Helper()
		out, err := c.EC2.DescribeInternetGateways(ctx, &ec2.DescribeInternetGatewaysInput{Filters: []ec2types.Filter{{Name: aws.String("tag:" + provision.TagStack), Values: []string{"book"}}}})
		must(err)
		if len(out.InternetGateways) != 1 || len(out.InternetGateways[0].Attachments) != 1 {
			t.Fatalf("the stack's gateways are %+v", out.InternetGateways)
		}
		return out.InternetGateways[0]
	}
	other, err := c.EC2.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.1.0.0/16")})
	must(err)
	w := &moving{at: "DeleteLoadBalancer", move: func() {
		own := gateway()
		_, err := c.EC2.DetachInternetGateway(ctx, &ec2.DetachInternetGatewayInput{InternetGatewayId: own.InternetGatewayId, VpcId: own.Attachments[0].VpcId})
		must(err)
		_, err = c.EC2.AttachInternetGateway(ctx, &ec2.AttachInternetGatewayInput{InternetGatewayId: own.InternetGatewayId, VpcId: other.Vpc.VpcId})
		must(err)
	}}
	cfg := (&wire{}).config(endpoint)
	cfg.HTTPClient = &http.Client{Transport: w}
	s, err := provision.NewStack(provision.NewClients(cfg), spec())
	must(err)
	_, err = graph.Destroy(ctx, s.Resources(), soon(s))
	own := gateway()
	if *own.Attachments[0].VpcId != *other.Vpc.VpcId {
		t.Errorf("the gateway is attached to %s", *own.Attachments[0].VpcId)
	}
	if want := *own.InternetGatewayId + " is attached to " + *other.Vpc.VpcId + ", which is not the stack's"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the destroy ended with %v, without %q", err, want)
	}
}

// moving does something once, before a call is sent.
type moving struct {
	at   string
	once sync.Once
	move func()
}

func (m *moving) RoundTrip(r *http.Request) (*http.Response, error) {
	action, _, err := moto.Call(r)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(action, m.at) {
		m.once.Do(m.move)
	}
	return fresh.RoundTrip(r)
}

// TestARegionalNATGatewayIsNamedWithItsVPC has a NAT gateway that is in no subnet.
func TestARegionalNATGatewayIsNamedWithItsVPC(t *testing.T) {
	t.Parallel()
	endpoint, ctx := moto.Start(t), t.Context()
	c := (&wire{}).clients(endpoint)
	vpc, err := c.EC2.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16"), TagSpecifications: []ec2types.TagSpecification{{
		ResourceType: ec2types.ResourceTypeVpc, Tags: []ec2types.Tag{{Key: aws.String(provision.TagStack), Value: aws.String("book")}, {Key: aws.String(provision.TagResource), Value: aws.String("vpc")}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := (&wire{}).config(endpoint)
	cfg.HTTPClient = &http.Client{Transport: regionalNAT(*vpc.Vpc.VpcId)}
	err = provision.CheckHolders(ctx, provision.NewClients(cfg), "book", provision.Deployed{})
	if held := (*provision.HeldError)(nil); !errors.As(err, &held) || len(held.Holders) != 1 || held.Holders[0].String() != "NAT gateway nat-1 is in "+*vpc.Vpc.VpcId || len(held.Holders[0].Holds) != 1 {
		t.Errorf("what blocks the destroy is %v", err)
	}
}

// regionalNAT answers that a VPC has one, which moto does not know.
type regionalNAT string

func (vpc regionalNAT) RoundTrip(r *http.Request) (*http.Response, error) {
	action, _, err := moto.Call(r)
	if err != nil || !strings.HasSuffix(action, "DescribeNatGateways") {
		return fresh.RoundTrip(r)
	}
	body := `<DescribeNatGatewaysResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><natGatewaySet><item><natGatewayId>nat-1</natGatewayId><availabilityMode>regional</availabilityMode><vpcId>` +
		string(vpc) + `</vpcId><state>available</state></item></natGatewaySet></DescribeNatGatewaysResponse>`
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/xml"}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r}, nil
}
