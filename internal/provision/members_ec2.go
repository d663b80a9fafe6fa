package provision

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/hint"
)

// missingEC2 is missing for answers of EC2.
func missingEC2(answer any) string {
	switch a := answer.(type) {
	case *ec2.CreateVpcOutput:
		return require(a.Vpc != nil && has(a.Vpc.VpcId), "Vpc.VpcId")
	case *ec2.CreateSubnetOutput:
		return require(a.Subnet != nil && has(a.Subnet.SubnetId), "Subnet.SubnetId")
	case *ec2.CreateInternetGatewayOutput:
		return require(a.InternetGateway != nil && has(a.InternetGateway.InternetGatewayId), "InternetGateway.InternetGatewayId")
	case *ec2.CreateRouteTableOutput:
		return require(a.RouteTable != nil && has(a.RouteTable.RouteTableId), "RouteTable.RouteTableId")
	case *ec2.CreateSecurityGroupOutput:
		return require(has(a.GroupId), "GroupId")
	case *ec2.DescribeVpcBlockPublicAccessOptionsOutput:
		return require(a.VpcBlockPublicAccessOptions != nil && has((*string)(&a.VpcBlockPublicAccessOptions.InternetGatewayBlockMode)), "VpcBlockPublicAccessOptions.InternetGatewayBlockMode")
	case *ec2.DescribeVpcsOutput:
		return requireEach("Vpcs", a.Vpcs, func(x ec2types.Vpc) bool { return has(x.VpcId) }, "VpcId")
	case *ec2.DescribeSubnetsOutput:
		return requireEach("Subnets", a.Subnets, func(x ec2types.Subnet) bool { return has(x.SubnetId) }, "SubnetId")
	case *ec2.DescribeInternetGatewaysOutput:
		return requireEach("InternetGateways", a.InternetGateways, func(x ec2types.InternetGateway) bool { return has(x.InternetGatewayId) }, "InternetGatewayId")
	case *ec2.DescribeRouteTablesOutput:
		return requireEach("RouteTables", a.RouteTables, func(x ec2types.RouteTable) bool {
			return has(x.RouteTableId) && len(x.Routes) > 0 // the local one at the least
		}, "RouteTableId")
	case *ec2.DescribeSecurityGroupsOutput:
		return requireEach("SecurityGroups", a.SecurityGroups, func(x ec2types.SecurityGroup) bool { return has(x.GroupId) && has(x.GroupName) }, "GroupName")
	case *ec2.DescribeAvailabilityZonesOutput:
		return requireList("AvailabilityZones", a.AvailabilityZones)
	case *ec2.DescribeDhcpOptionsOutput:
		return requireList("DhcpOptions", a.DhcpOptions)
	case *ec2.DescribeNetworkAclsOutput:
		return requireEach("NetworkAcls", a.NetworkAcls, func(x ec2types.NetworkAcl) bool {
			return len(x.Entries) > 0 && all(x.Entries, func(e ec2types.NetworkAclEntry) bool { // one at the least, which denies the rest
				return e.Egress != nil && e.RuleNumber != nil && has(e.Protocol) && e.RuleAction != ""
			})
		}, "Entries")
	case *ec2.DescribeNetworkInterfacesOutput:
		return requireList("NetworkInterfaces", a.NetworkInterfaces)
	case *ec2.DescribeRegionsOutput:
		return requireList("Regions", a.Regions)
	case *ec2.DescribeSecurityGroupVpcAssociationsOutput:
		return requireEach("SecurityGroupVpcAssociations", a.SecurityGroupVpcAssociations, func(x ec2types.SecurityGroupVpcAssociation) bool { return has(x.VpcId) }, "VpcId")
	case *ec2.DescribeSecurityGroupRulesOutput:
		return requireEach("SecurityGroupRules", a.SecurityGroupRules, func(x ec2types.SecurityGroupRule) bool { return has(x.SecurityGroupRuleId) }, "SecurityGroupRuleId")
	}
	return ""
}

// unfiltered reports that an endpoint did not keep to the tags that EC2 was asked for,
// as emulators do: what else it lists is another owner's, such as the default VPC.
func unfiltered(input, answer any) error {
	var (
		filters []ec2types.Filter
		id      string
	)
	switch a := answer.(type) {
	case *ec2.DescribeVpcsOutput:
		if in, ok := input.(*ec2.DescribeVpcsInput); ok {
			filters = in.Filters
			id = firstWithoutTag(filters, a.Vpcs, func(x ec2types.Vpc) (*string, []ec2types.Tag) { return x.VpcId, x.Tags })
		}
	case *ec2.DescribeSubnetsOutput:
		if in, ok := input.(*ec2.DescribeSubnetsInput); ok {
			filters = in.Filters
			id = firstWithoutTag(filters, a.Subnets, func(x ec2types.Subnet) (*string, []ec2types.Tag) { return x.SubnetId, x.Tags })
		}
	case *ec2.DescribeInternetGatewaysOutput:
		if in, ok := input.(*ec2.DescribeInternetGatewaysInput); ok {
			filters = in.Filters
			id = firstWithoutTag(filters, a.InternetGateways, func(x ec2types.InternetGateway) (*string, []ec2types.Tag) { return x.InternetGatewayId, x.Tags })
		}
	case *ec2.DescribeRouteTablesOutput:
		if in, ok := input.(*ec2.DescribeRouteTablesInput); ok {
			filters = in.Filters
			id = firstWithoutTag(filters, a.RouteTables, func(x ec2types.RouteTable) (*string, []ec2types.Tag) { return x.RouteTableId, x.Tags })
		}
	case *ec2.DescribeSecurityGroupsOutput:
		if in, ok := input.(*ec2.DescribeSecurityGroupsInput); ok {
			filters = in.Filters
			id = firstWithoutTag(filters, a.SecurityGroups, func(x ec2types.SecurityGroup) (*string, []ec2types.Tag) { return x.GroupId, x.Tags })
		}
	}
	if id == "" {
		return nil
	}
	return hint.With(&incompleteError{"the endpoint ignores filters: it lists " + id + ", which does not have the tags that were asked for"},
		"nothing was touched: use an endpoint that filters by tag, as AWS does; %s needs none", hint.Command("up", "--local"))
}

// firstWithoutTag is the id of the first resource without a tag that was filtered by, or "".
func firstWithoutTag[T any](filters []ec2types.Filter, list []T, of func(T) (*string, []ec2types.Tag)) string {
	for _, f := range filters {
		key, byTag := strings.CutPrefix(aws.ToString(f.Name), "tag:")
		if !byTag {
			continue
		}
		for _, x := range list {
			id, tags := of(x)
			if !slices.Contains(f.Values, fromEC2Tags(tags)[key]) {
				return aws.ToString(id)
			}
		}
	}
	return ""
}
