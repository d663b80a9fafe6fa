package localcloud_test

import (
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// TestWhatIsAttachedToAVPCHoldsIt deletes a VPC that others have put something into.
func TestWhatIsAttachedToAVPCHoldsIt(t *testing.T) {
	t.Parallel()
	c, ctx := ec2.NewFromConfig(once(openCloud(t, localcloud.Config{}))), t.Context()
	vpc := must[*ec2.CreateVpcOutput](t)(c.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.1.0.0/16")})).Vpc.VpcId
	other := must[*ec2.CreateVpcOutput](t)(c.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.2.0.0/16")})).Vpc.VpcId
	held := func(by string) {
		t.Helper()
		_, err := c.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: vpc})
		if code(err) != "DependencyViolation" {
			t.Errorf("with %s, DeleteVpc answers %v", by, err)
		}
	}
	endpoint := must[*ec2.CreateVpcEndpointOutput](t)(c.CreateVpcEndpoint(ctx, &ec2.CreateVpcEndpointInput{VpcId: vpc, ServiceName: aws.String("com.amazonaws.us-east-1.s3")})).VpcEndpoint
	held("an endpoint")
	must[*ec2.DeleteVpcEndpointsOutput](t)(c.DeleteVpcEndpoints(ctx, &ec2.DeleteVpcEndpointsInput{VpcEndpointIds: []string{*endpoint.VpcEndpointId}}))

	peering := must[*ec2.CreateVpcPeeringConnectionOutput](t)(c.CreateVpcPeeringConnection(ctx, &ec2.CreateVpcPeeringConnectionInput{VpcId: other, PeerVpcId: vpc})).VpcPeeringConnection
	held("a peering")
	must[*ec2.DeleteVpcPeeringConnectionOutput](t)(c.DeleteVpcPeeringConnection(ctx, &ec2.DeleteVpcPeeringConnectionInput{VpcPeeringConnectionId: peering.VpcPeeringConnectionId}))

	gateway := must[*ec2.CreateVpnGatewayOutput](t)(c.CreateVpnGateway(ctx, &ec2.CreateVpnGatewayInput{Type: types.GatewayTypeIpsec1})).VpnGateway
	must[*ec2.AttachVpnGatewayOutput](t)(c.AttachVpnGateway(ctx, &ec2.AttachVpnGatewayInput{VpcId: vpc, VpnGatewayId: gateway.VpnGatewayId}))
	held("a VPN gateway")
	must[*ec2.DetachVpnGatewayOutput](t)(c.DetachVpnGateway(ctx, &ec2.DetachVpnGatewayInput{VpcId: vpc, VpnGatewayId: gateway.VpnGatewayId}))

	subnet := must[*ec2.CreateSubnetOutput](t)(c.CreateSubnet(ctx, &ec2.CreateSubnetInput{VpcId: vpc, CidrBlock: aws.String("10.1.0.0/24")})).Subnet.SubnetId
	nat := must[*ec2.CreateNatGatewayOutput](t)(c.CreateNatGateway(ctx, &ec2.CreateNatGatewayInput{SubnetId: subnet, ConnectivityType: types.ConnectivityTypePrivate})).NatGateway
	_, err := c.DeleteSubnet(ctx, &ec2.DeleteSubnetInput{SubnetId: subnet})
	refused(t, err, "DependencyViolation", "has dependencies and cannot be deleted")
	must[*ec2.DeleteNatGatewayOutput](t)(c.DeleteNatGateway(ctx, &ec2.DeleteNatGatewayInput{NatGatewayId: nat.NatGatewayId}))
	must[*ec2.DeleteSubnetOutput](t)(c.DeleteSubnet(ctx, &ec2.DeleteSubnetInput{SubnetId: subnet}))
	must[*ec2.DeleteVpcOutput](t)(c.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: vpc}))
}

// TestZonesHaveIDsAndExtensions looks at the zones of regions where Fargate does not
// serve all, and of one with a Local Zone.
func TestZonesHaveIDsAndExtensions(t *testing.T) {
	t.Parallel()
	for region, want := range map[string][]string{
		"us-east-1": {"use1-az1", "use1-az2", "use1-az3"}, "us-west-1": {"usw1-az2", "usw1-az1", "usw1-az3"},
		"ap-northeast-1": {"apne1-az3", "apne1-az1", "apne1-az4"}, "us-west-2": {"usw2-az1", "usw2-az2", "usw2-az3", "usw2-lax1-az1", "usw2-wl1-las-wlz1"},
	} {
		config := once(openCloud(t, localcloud.Config{Region: region}))
		config.Region = region
		out := must[*ec2.DescribeAvailabilityZonesOutput](t)(ec2.NewFromConfig(config).DescribeAvailabilityZones(t.Context(), &ec2.DescribeAvailabilityZonesInput{}))
		var ids []string
		for _, z := range out.AvailabilityZones {
			ids = append(ids, *z.ZoneId)
		}
		if !slices.Equal(ids, want) {
			t.Errorf("%s has %v, want %v", region, ids, want)
		}
	}
}
