package localcloud_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// refused checks that AWS's error code, and a piece of its message, came back.
func refused(t *testing.T, err error, code, piece string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), piece) {
		t.Errorf("the answer is %v; want %s with %q", err, code, piece)
	}
}

// must is the value of a call that has to succeed.
func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ec2Filter(name string, values ...string) []types.Filter {
	return []types.Filter{{Name: aws.String(name), Values: values}}
}

func named(kind types.ResourceType, name string) []types.TagSpecification {
	return []types.TagSpecification{{ResourceType: kind, Tags: []types.Tag{{Key: aws.String("Name"), Value: &name}}}}
}

// network is a VPC with a subnet, made by a test.
type network struct {
	*ec2.Client
	vpc, subnet *string
}

func newNetwork(t *testing.T, cfg localcloud.Config) network {
	t.Helper()
	c := ec2.NewFromConfig(clientConfig(openCloud(t, cfg)))
	v := must[*ec2.CreateVpcOutput](t)(c.CreateVpc(t.Context(), &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16"), TagSpecifications: named(types.ResourceTypeVpc, "mine")}))
	s := must[*ec2.CreateSubnetOutput](t)(c.CreateSubnet(t.Context(), &ec2.CreateSubnetInput{VpcId: v.Vpc.VpcId, CidrBlock: aws.String("10.0.1.0/24"), AvailabilityZone: aws.String("us-east-1b")}))
	return network{c, v.Vpc.VpcId, s.Subnet.SubnetId}
}

func TestANewAccountHasADefaultVPC(t *testing.T) {
	t.Parallel()
	c, ctx := ec2.NewFromConfig(clientConfig(openCloud(t, localcloud.Config{}))), t.Context()
	vpcs := must[*ec2.DescribeVpcsOutput](t)(c.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: ec2Filter("is-default", "true")})).Vpcs
	if len(vpcs) != 1 || *vpcs[0].CidrBlock != "172.31.0.0/16" {
		t.Fatalf("default VPCs: %v", vpcs)
	}
	subnets := must[*ec2.DescribeSubnetsOutput](t)(c.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: ec2Filter("default-for-az", "true")})).Subnets
	if len(subnets) != 3 || !*subnets[0].MapPublicIpOnLaunch || *subnets[0].AvailableIpAddressCount != 4091 {
		t.Errorf("default subnets: %d, the first %+v", len(subnets), subnets[0])
	}
	zones := must[*ec2.DescribeAvailabilityZonesOutput](t)(c.DescribeAvailabilityZones(ctx, &ec2.DescribeAvailabilityZonesInput{Filters: ec2Filter("state", "available")})).AvailabilityZones
	if len(zones) != 3 || *zones[1].ZoneName != "us-east-1b" || *zones[1].ZoneId != "use1-az2" {
		t.Errorf("zones: %v", zones)
	}
}

func TestAVPCHasDefaultsAndIsNotDeletedWhileInUse(t *testing.T) {
	t.Parallel()
	n, ctx := newNetwork(t, localcloud.Config{}), t.Context()
	in := ec2Filter("vpc-id", *n.vpc)
	tables := must[*ec2.DescribeRouteTablesOutput](t)(n.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{Filters: in})).RouteTables
	groups := must[*ec2.DescribeSecurityGroupsOutput](t)(n.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: in})).SecurityGroups
	acls := must[*ec2.DescribeNetworkAclsOutput](t)(n.DescribeNetworkAcls(ctx, &ec2.DescribeNetworkAclsInput{Filters: in})).NetworkAcls
	if len(tables) != 1 || !*tables[0].Associations[0].Main || *tables[0].Routes[0].GatewayId != "local" {
		t.Errorf("route tables: %+v", tables)
	}
	if len(groups) != 1 || *groups[0].GroupName != "default" || len(groups[0].IpPermissionsEgress) != 1 ||
		*groups[0].IpPermissions[0].UserIdGroupPairs[0].GroupId != *groups[0].GroupId {
		t.Errorf("groups: %+v", groups)
	}
	if len(acls) != 1 || !*acls[0].IsDefault {
		t.Errorf("network ACLs: %+v", acls)
	}
	_, err := n.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: groups[0].GroupId})
	refused(t, err, "CannotDelete", "cannot be deleted by a user")

	_, err = n.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: n.vpc})
	refused(t, err, "DependencyViolation", "The vpc '"+*n.vpc+"' has dependencies and cannot be deleted.")
	eni := must[*ec2.CreateNetworkInterfaceOutput](t)(n.CreateNetworkInterface(ctx, &ec2.CreateNetworkInterfaceInput{SubnetId: n.subnet})).NetworkInterface
	if *eni.PrivateIpAddress != "10.0.1.4" || eni.Status != types.NetworkInterfaceStatusAvailable {
		t.Errorf("interface: %+v", eni)
	}
	_, err = n.DeleteSubnet(ctx, &ec2.DeleteSubnetInput{SubnetId: n.subnet})
	refused(t, err, "DependencyViolation", "The subnet '"+*n.subnet+"' has dependencies")
	must[*ec2.DeleteNetworkInterfaceOutput](t)(n.DeleteNetworkInterface(ctx, &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: eni.NetworkInterfaceId}))
	must[*ec2.DeleteSubnetOutput](t)(n.DeleteSubnet(ctx, &ec2.DeleteSubnetInput{SubnetId: n.subnet}))
	must[*ec2.DeleteVpcOutput](t)(n.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: n.vpc}))
	_, err = n.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: n.vpc})
	refused(t, err, "InvalidVpcID.NotFound", *n.vpc)
	left := must[*ec2.DescribeSecurityGroupsOutput](t)(n.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: in})).SecurityGroups
	if len(left) != 0 {
		t.Errorf("groups outlive their VPC: %v", left)
	}
}

func TestAttributesAreChangedOneByOne(t *testing.T) {
	t.Parallel()
	n, ctx := newNetwork(t, localcloud.Config{}), t.Context()
	yes := &types.AttributeBooleanValue{Value: aws.Bool(true)}
	hostnames := func() bool {
		return *must[*ec2.DescribeVpcAttributeOutput](t)(n.DescribeVpcAttribute(ctx, &ec2.DescribeVpcAttributeInput{VpcId: n.vpc, Attribute: types.VpcAttributeNameEnableDnsHostnames})).EnableDnsHostnames.Value
	}
	if hostnames() {
		t.Error("a new VPC has DNS hostnames")
	}
	must[*ec2.ModifyVpcAttributeOutput](t)(n.ModifyVpcAttribute(ctx, &ec2.ModifyVpcAttributeInput{VpcId: n.vpc, EnableDnsHostnames: yes}))
	if !hostnames() {
		t.Error("DNS hostnames are still off")
	}
	_, err := n.ModifyVpcAttribute(ctx, &ec2.ModifyVpcAttributeInput{VpcId: n.vpc, EnableDnsHostnames: yes, EnableDnsSupport: yes})
	refused(t, err, "InvalidParameterCombination", "multiple attribute types")
	must[*ec2.ModifySubnetAttributeOutput](t)(n.ModifySubnetAttribute(ctx, &ec2.ModifySubnetAttributeInput{SubnetId: n.subnet, MapPublicIpOnLaunch: yes}))
	if s := must[*ec2.DescribeSubnetsOutput](t)(n.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{SubnetIds: []string{*n.subnet}})).Subnets[0]; !*s.MapPublicIpOnLaunch {
		t.Error("the subnet gives no public addresses")
	}
	_, err = n.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: n.vpc, DryRun: aws.Bool(true)})
	refused(t, err, "DryRunOperation", "would have succeeded")
}

func TestRangesAreCheckedAndAreNaturalKeys(t *testing.T) {
	t.Parallel()
	n, ctx := newNetwork(t, localcloud.Config{VPCs: 2}), t.Context()
	_, err := n.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.1.0.0/16")})
	refused(t, err, "VpcLimitExceeded", "maximum number of VPCs")
	for cidr, code := range map[string]string{"10.0.0.0/8": "InvalidVpc.Range", "10.0.0.0/29": "InvalidVpc.Range", "nonsense": "InvalidParameterValue"} {
		_, err := n.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: &cidr})
		refused(t, err, code, cidr)
	}
	for _, x := range []struct{ cidr, zone, code string }{
		{"10.0.1.128/25", "us-east-1a", "InvalidSubnet.Conflict"},
		{"10.1.0.0/24", "us-east-1a", "InvalidSubnet.Range"},
		{"10.0.2.0/24", "us-east-1z", "InvalidParameterValue"},
	} {
		_, err := n.CreateSubnet(ctx, &ec2.CreateSubnetInput{VpcId: n.vpc, CidrBlock: &x.cidr, AvailabilityZone: &x.zone})
		refused(t, err, x.code, "")
	}
}

func TestAGatewayIsAttachedOnceAndDetachedWithoutPublicAddresses(t *testing.T) {
	t.Parallel()
	n, ctx := newNetwork(t, localcloud.Config{}), t.Context()
	create := func() *string {
		return must[*ec2.CreateInternetGatewayOutput](t)(n.CreateInternetGateway(ctx, &ec2.CreateInternetGatewayInput{})).InternetGateway.InternetGatewayId
	}
	g, other := create(), create()
	must[*ec2.AttachInternetGatewayOutput](t)(n.AttachInternetGateway(ctx, &ec2.AttachInternetGatewayInput{InternetGatewayId: g, VpcId: n.vpc}))
	_, err := n.AttachInternetGateway(ctx, &ec2.AttachInternetGatewayInput{InternetGatewayId: g, VpcId: n.vpc})
	refused(t, err, "Resource.AlreadyAssociated", "is already attached to network")
	_, err = n.AttachInternetGateway(ctx, &ec2.AttachInternetGatewayInput{InternetGatewayId: other, VpcId: n.vpc})
	refused(t, err, "InvalidParameterValue", "already has an internet gateway attached")

	table := must[*ec2.CreateRouteTableOutput](t)(n.CreateRouteTable(ctx, &ec2.CreateRouteTableInput{VpcId: n.vpc, ClientToken: aws.String("once")})).RouteTable.RouteTableId
	again := must[*ec2.CreateRouteTableOutput](t)(n.CreateRouteTable(ctx, &ec2.CreateRouteTableInput{VpcId: n.vpc, ClientToken: aws.String("once")})).RouteTable.RouteTableId
	if *again != *table {
		t.Errorf("the same token made %s and %s", *table, *again)
	}
	_, err = n.CreateRouteTable(ctx, &ec2.CreateRouteTableInput{VpcId: n.vpc, ClientToken: aws.String("once"), TagSpecifications: named(types.ResourceTypeRouteTable, "x")})
	refused(t, err, "IdempotentParameterMismatch", "client token")

	route := &ec2.CreateRouteInput{RouteTableId: table, DestinationCidrBlock: aws.String("0.0.0.0/0"), GatewayId: other}
	_, err = n.CreateRoute(ctx, route)
	refused(t, err, "InvalidParameterValue", "belong to different networks")
	route.GatewayId = g
	must[*ec2.CreateRouteOutput](t)(n.CreateRoute(ctx, route))
	_, err = n.CreateRoute(ctx, route)
	refused(t, err, "RouteAlreadyExists", "0.0.0.0/0")
	associate := &ec2.AssociateRouteTableInput{RouteTableId: table, SubnetId: n.subnet}
	association := must[*ec2.AssociateRouteTableOutput](t)(n.AssociateRouteTable(ctx, associate)).AssociationId
	_, err = n.AssociateRouteTable(ctx, associate)
	refused(t, err, "Resource.AlreadyAssociated", "conflicts with an existing association")
	_, err = n.DeleteRouteTable(ctx, &ec2.DeleteRouteTableInput{RouteTableId: table})
	refused(t, err, "DependencyViolation", "The routeTable '"+*table+"' has dependencies")

	_, err = n.DeleteInternetGateway(ctx, &ec2.DeleteInternetGatewayInput{InternetGatewayId: g})
	refused(t, err, "DependencyViolation", "The internetGateway '"+*g+"' has dependencies")
	must[*ec2.DetachInternetGatewayOutput](t)(n.DetachInternetGateway(ctx, &ec2.DetachInternetGatewayInput{InternetGatewayId: g, VpcId: n.vpc}))
	_, err = n.DetachInternetGateway(ctx, &ec2.DetachInternetGatewayInput{InternetGatewayId: g, VpcId: n.vpc})
	refused(t, err, "Gateway.NotAttached", "is not attached to network")
	found := must[*ec2.DescribeRouteTablesOutput](t)(n.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{Filters: ec2Filter("association.subnet-id", *n.subnet)})).RouteTables
	if len(found) != 1 || found[0].Routes[1].State != types.RouteStateBlackhole {
		t.Errorf("the route through a detached gateway: %+v", found)
	}
	must[*ec2.DisassociateRouteTableOutput](t)(n.DisassociateRouteTable(ctx, &ec2.DisassociateRouteTableInput{AssociationId: association}))
	_, err = n.DisassociateRouteTable(ctx, &ec2.DisassociateRouteTableInput{AssociationId: association})
	refused(t, err, "InvalidAssociationID.NotFound", *association)
	must[*ec2.DeleteRouteTableOutput](t)(n.DeleteRouteTable(ctx, &ec2.DeleteRouteTableInput{RouteTableId: table}))
}

func TestGroupsAndTheirRules(t *testing.T) {
	t.Parallel()
	n, ctx := newNetwork(t, localcloud.Config{}), t.Context()
	create := &ec2.CreateSecurityGroupInput{GroupName: aws.String("web"), Description: aws.String("Web"), VpcId: n.vpc}
	web := must[*ec2.CreateSecurityGroupOutput](t)(n.CreateSecurityGroup(ctx, create)).GroupId
	_, err := n.CreateSecurityGroup(ctx, create)
	refused(t, err, "InvalidGroup.Duplicate", "The security group 'web' already exists for VPC '"+*n.vpc+"'")
	create.GroupName = aws.String("db")
	db := must[*ec2.CreateSecurityGroupOutput](t)(n.CreateSecurityGroup(ctx, create)).GroupId

	permission := types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(5432), ToPort: aws.Int32(5432), UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: web, Description: aws.String("tasks")}}}
	authorize := &ec2.AuthorizeSecurityGroupIngressInput{GroupId: db, IpPermissions: []types.IpPermission{permission}}
	must[*ec2.AuthorizeSecurityGroupIngressOutput](t)(n.AuthorizeSecurityGroupIngress(ctx, authorize))
	_, err = n.AuthorizeSecurityGroupIngress(ctx, authorize)
	refused(t, err, "InvalidPermission.Duplicate", `the specified rule "peer: `+*web+`, TCP, from port: 5432, to port: 5432, ALLOW" already exists`)

	var rules []types.SecurityGroupRule
	pages := ec2.NewDescribeSecurityGroupRulesPaginator(n.Client, &ec2.DescribeSecurityGroupRulesInput{Filters: ec2Filter("group-id", *db, *web), MaxResults: aws.Int32(5)})
	for pages.HasMorePages() {
		rules = append(rules, must[*ec2.DescribeSecurityGroupRulesOutput](t)(pages.NextPage(ctx)).SecurityGroupRules...)
	}
	if len(rules) != 3 { // and the allow-all egress of each
		t.Fatalf("%d rules: %+v", len(rules), rules)
	}
	_, err = n.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: web})
	refused(t, err, "DependencyViolation", "resource "+*web+" has a dependent object")
	at := slices.IndexFunc(rules, func(r types.SecurityGroupRule) bool { return r.ReferencedGroupInfo != nil })
	revoke := &ec2.RevokeSecurityGroupIngressInput{GroupId: db, SecurityGroupRuleIds: []string{*rules[at].SecurityGroupRuleId}}
	must[*ec2.RevokeSecurityGroupIngressOutput](t)(n.RevokeSecurityGroupIngress(ctx, revoke))
	_, err = n.RevokeSecurityGroupIngress(ctx, revoke)
	refused(t, err, "InvalidSecurityGroupRuleId.NotFound", *rules[at].SecurityGroupRuleId)
	_, err = n.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: db, IpPermissions: []types.IpPermission{permission}})
	refused(t, err, "InvalidPermission.NotFound", "does not exist in this security group")
	must[*ec2.DeleteSecurityGroupOutput](t)(n.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: web}))
	_, err = n.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{GroupIds: []string{*web}})
	refused(t, err, "InvalidGroup.NotFound", *web)
}

func TestTagsAreFoundByFilters(t *testing.T) {
	t.Parallel()
	n, ctx := newNetwork(t, localcloud.Config{}), t.Context()
	for _, x := range []struct {
		filter types.Filter
		want   int
	}{
		{ec2Filter("tag:Name", "mine")[0], 1},
		{ec2Filter("tag:Name", "other", "m?n*")[0], 1},
		{ec2Filter("tag:Name", "other")[0], 0},
		{ec2Filter("tag-key", "Name")[0], 1},
		{ec2Filter("cidr", "10.0.0.0/16")[0], 1},
		{ec2Filter("owner-id", "000000000000")[0], 2},
	} {
		got := must[*ec2.DescribeVpcsOutput](t)(n.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: []types.Filter{x.filter}})).Vpcs
		if len(got) != x.want {
			t.Errorf("%s %v finds %d VPCs, want %d", *x.filter.Name, x.filter.Values, len(got), x.want)
		}
	}
	_, err := n.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: ec2Filter("colour", "red")})
	refused(t, err, "InvalidParameterValue", "The filter 'colour' is invalid")
	must[*ec2.DeleteTagsOutput](t)(n.DeleteTags(ctx, &ec2.DeleteTagsInput{Resources: []string{*n.vpc}, Tags: []types.Tag{{Key: aws.String("Name"), Value: aws.String("another value")}}}))
	must[*ec2.CreateTagsOutput](t)(n.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{*n.vpc, *n.subnet}, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}))
	tags := must[*ec2.DescribeTagsOutput](t)(n.DescribeTags(ctx, &ec2.DescribeTagsInput{Filters: ec2Filter("resource-id", *n.vpc)})).Tags
	if len(tags) != 2 {
		t.Errorf("tags of the VPC: %+v", tags)
	}
	_, err = n.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{"vpc-0123456789abcdef0"}, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
	refused(t, err, "InvalidVpcID.NotFound", "vpc-0123456789abcdef0")
}
