package provision

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	watchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/bookctl/bookctl/internal/hint"
)

// missing names the member that an answer lacks although AWS always gives it, or
// is "". The SDK checks no answer against its model, and what reads one may take
// these for granted: what was made, a list of what there is (be it empty) with the
// id of each resource, and of what was asked for by name either the resource or why not.
func missing(answer any) string {
	switch a := answer.(type) {
	case *acm.RequestCertificateOutput:
		return unless(has(a.CertificateArn), "CertificateArn")
	case *acm.DescribeCertificateOutput:
		if a.Certificate == nil {
			return "Certificate"
		}
		return unless(all(a.Certificate.DomainValidationOptions, func(o acmtypes.DomainValidation) bool {
			return o.ResourceRecord == nil || has(o.ResourceRecord.Name) && has(o.ResourceRecord.Value)
		}), "ResourceRecord.Name")
	case *acm.ListCertificatesOutput:
		return present("CertificateSummaryList", a.CertificateSummaryList)
	case *acm.ListTagsForCertificateOutput:
		return present("Tags", a.Tags)

	case *cloudwatch.DescribeAlarmsOutput:
		return listed("MetricAlarms", a.MetricAlarms, func(x watchtypes.MetricAlarm) bool { return has(x.AlarmName) && has(x.AlarmArn) }, "AlarmArn")
	case *cloudwatch.ListTagsForResourceOutput:
		return present("Tags", a.Tags)

	case *cloudwatchlogs.DescribeLogGroupsOutput:
		return listed("logGroups", a.LogGroups, func(x logtypes.LogGroup) bool { return has(x.LogGroupName) && has(x.Arn) }, "logGroupName")
	case *cloudwatchlogs.ListTagsForResourceOutput:
		return unless(a.Tags != nil, "tags")

	case *ec2.CreateVpcOutput:
		return unless(a.Vpc != nil && has(a.Vpc.VpcId), "Vpc.VpcId")
	case *ec2.CreateSubnetOutput:
		return unless(a.Subnet != nil && has(a.Subnet.SubnetId), "Subnet.SubnetId")
	case *ec2.CreateInternetGatewayOutput:
		return unless(a.InternetGateway != nil && has(a.InternetGateway.InternetGatewayId), "InternetGateway.InternetGatewayId")
	case *ec2.CreateRouteTableOutput:
		return unless(a.RouteTable != nil && has(a.RouteTable.RouteTableId), "RouteTable.RouteTableId")
	case *ec2.CreateSecurityGroupOutput:
		return unless(has(a.GroupId), "GroupId")
	case *ec2.DescribeVpcBlockPublicAccessOptionsOutput:
		return unless(a.VpcBlockPublicAccessOptions != nil && has((*string)(&a.VpcBlockPublicAccessOptions.InternetGatewayBlockMode)), "VpcBlockPublicAccessOptions.InternetGatewayBlockMode")
	case *ec2.DescribeVpcsOutput:
		return listed("Vpcs", a.Vpcs, func(x ec2types.Vpc) bool { return has(x.VpcId) }, "VpcId")
	case *ec2.DescribeSubnetsOutput:
		return listed("Subnets", a.Subnets, func(x ec2types.Subnet) bool { return has(x.SubnetId) }, "SubnetId")
	case *ec2.DescribeInternetGatewaysOutput:
		return listed("InternetGateways", a.InternetGateways, func(x ec2types.InternetGateway) bool { return has(x.InternetGatewayId) }, "InternetGatewayId")
	case *ec2.DescribeRouteTablesOutput:
		return listed("RouteTables", a.RouteTables, func(x ec2types.RouteTable) bool {
			return has(x.RouteTableId) && len(x.Routes) > 0 // the local one at the least
		}, "RouteTableId")
	case *ec2.DescribeSecurityGroupsOutput:
		return listed("SecurityGroups", a.SecurityGroups, func(x ec2types.SecurityGroup) bool { return has(x.GroupId) && has(x.GroupName) }, "GroupName")

	case *ec2.DescribeAvailabilityZonesOutput:
		return present("AvailabilityZones", a.AvailabilityZones)
	case *ec2.DescribeDhcpOptionsOutput:
		return present("DhcpOptions", a.DhcpOptions)
	case *ec2.DescribeNetworkAclsOutput:
		return listed("NetworkAcls", a.NetworkAcls, func(x ec2types.NetworkAcl) bool {
			return len(x.Entries) > 0 && all(x.Entries, func(e ec2types.NetworkAclEntry) bool { // one at the least, which denies the rest
				return e.Egress != nil && e.RuleNumber != nil && has(e.Protocol) && e.RuleAction != ""
			})
		}, "Entries")
	case *ec2.DescribeNetworkInterfacesOutput:
		return present("NetworkInterfaces", a.NetworkInterfaces)
	case *ec2.DescribeRegionsOutput:
		return present("Regions", a.Regions)
	case *ec2.DescribeSecurityGroupRulesOutput:
		return listed("SecurityGroupRules", a.SecurityGroupRules, func(x ec2types.SecurityGroupRule) bool { return has(x.SecurityGroupRuleId) }, "SecurityGroupRuleId")

	case *ecr.CreateRepositoryOutput:
		return unless(a.Repository != nil && has(a.Repository.RepositoryArn), "repository.repositoryArn")
	case *ecr.DescribeRepositoriesOutput:
		return listed("Repositories", a.Repositories, func(x ecrtypes.Repository) bool { return has(x.RepositoryArn) && has(x.RepositoryUri) }, "repositoryArn")

	case *ecr.DescribeImagesOutput:
		return present("imageDetails", a.ImageDetails)
	case *ecr.ListTagsForResourceOutput:
		return present("tags", a.Tags)

	case *ecs.CreateClusterOutput:
		return unless(a.Cluster != nil && has(a.Cluster.ClusterArn), "cluster.clusterArn")
	case *ecs.DescribeClustersOutput:
		// What is not there is among the failures:
		// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeClusters.html
		return unless(len(a.Clusters)+len(a.Failures) > 0 && all(a.Clusters, func(x ecstypes.Cluster) bool { return has(x.ClusterArn) }), "clusters")
	case *ecs.CreateServiceOutput:
		return unless(a.Service != nil && has(a.Service.ServiceArn), "service.serviceArn")
	case *ecs.DescribeServicesOutput:
		return unless(len(a.Services)+len(a.Failures) > 0 && all(a.Services, func(x ecstypes.Service) bool { return has(x.ServiceArn) }), "services")
	case *ecs.ListServiceDeploymentsOutput:
		return unless(a.ServiceDeployments != nil && all(a.ServiceDeployments, func(x ecstypes.ServiceDeploymentBrief) bool { return has(x.ServiceDeploymentArn) && x.CreatedAt != nil }), "serviceDeployments")
	case *ecs.DescribeServiceDeploymentsOutput:
		return unless(len(a.ServiceDeployments)+len(a.Failures) > 0 && all(a.ServiceDeployments, func(x ecstypes.ServiceDeployment) bool { return has(x.ServiceDeploymentArn) && x.Status != "" }), "serviceDeployments")
	case *ecs.DescribeServiceRevisionsOutput:
		return unless(len(a.ServiceRevisions)+len(a.Failures) > 0 && all(a.ServiceRevisions, func(x ecstypes.ServiceRevision) bool { return has(x.ServiceRevisionArn) && has(x.TaskDefinition) }), "serviceRevisions")
	case *ecs.RegisterTaskDefinitionOutput:
		return unless(a.TaskDefinition != nil && has(a.TaskDefinition.TaskDefinitionArn), "taskDefinition.taskDefinitionArn")
	case *ecs.DescribeTaskDefinitionOutput:
		if a.TaskDefinition == nil || !has(a.TaskDefinition.TaskDefinitionArn) {
			return "taskDefinition.taskDefinitionArn"
		}
		return unless(len(a.TaskDefinition.ContainerDefinitions) > 0 && all(a.TaskDefinition.ContainerDefinitions, func(c ecstypes.ContainerDefinition) bool {
			return has(c.Name) && has(c.Image)
		}), "taskDefinition.containerDefinitions")
	case *ecs.DescribeTasksOutput:
		return unless(len(a.Tasks)+len(a.Failures) > 0, "tasks")
	case *ecs.ListTaskDefinitionsOutput:
		return present("taskDefinitionArns", a.TaskDefinitionArns)
	case *ecs.ListServicesOutput:
		return present("serviceArns", a.ServiceArns)
	case *ecs.ListTasksOutput:
		return present("taskArns", a.TaskArns)

	case *elb.CreateLoadBalancerOutput:
		return unless(len(a.LoadBalancers) > 0 && has(a.LoadBalancers[0].LoadBalancerArn), "LoadBalancers.LoadBalancerArn")
	case *elb.CreateTargetGroupOutput:
		return unless(len(a.TargetGroups) > 0 && has(a.TargetGroups[0].TargetGroupArn), "TargetGroups.TargetGroupArn")
	case *elb.CreateListenerOutput:
		return unless(len(a.Listeners) > 0 && has(a.Listeners[0].ListenerArn), "Listeners.ListenerArn")
	case *elb.DescribeLoadBalancersOutput:
		return listed("LoadBalancers", a.LoadBalancers, func(x elbtypes.LoadBalancer) bool { return has(x.LoadBalancerArn) }, "LoadBalancerArn")
	case *elb.DescribeTargetGroupsOutput:
		return listed("TargetGroups", a.TargetGroups, func(x elbtypes.TargetGroup) bool { return has(x.TargetGroupArn) }, "TargetGroupArn")
	case *elb.DescribeListenersOutput:
		return listed("Listeners", a.Listeners, func(x elbtypes.Listener) bool { return has(x.ListenerArn) }, "ListenerArn")

	case *elb.DescribeLoadBalancerAttributesOutput:
		return present("Attributes", a.Attributes)
	case *elb.DescribeRulesOutput:
		return listed("Rules", a.Rules, func(x elbtypes.Rule) bool { return has(x.RuleArn) && x.IsDefault != nil }, "RuleArn")
	case *elb.DescribeTagsOutput:
		return present("TagDescriptions", a.TagDescriptions)
	case *elb.DescribeTargetGroupAttributesOutput:
		return present("Attributes", a.Attributes)
	case *elb.DescribeTargetHealthOutput:
		return present("TargetHealthDescriptions", a.TargetHealthDescriptions)

	case *eventbridge.DescribeRuleOutput:
		return unless(has(a.Arn), "Arn")
	case *eventbridge.ListTagsForResourceOutput:
		return present("Tags", a.Tags)
	case *eventbridge.ListTargetsByRuleOutput:
		return present("Targets", a.Targets)

	case *iam.CreateRoleOutput:
		return unless(a.Role != nil && has(a.Role.Arn), "Role.Arn")
	case *iam.GetRoleOutput:
		return unless(a.Role != nil && has(a.Role.Arn), "Role.Arn")
	case *iam.GetPolicyOutput:
		return unless(a.Policy != nil, "Policy")
	case *iam.CreateServiceLinkedRoleOutput:
		return unless(a.Role != nil, "Role")
	case *iam.ListRolesOutput:
		return listed("Roles", a.Roles, func(x iamtypes.Role) bool { return has(x.RoleName) && has(x.Path) }, "Path")

	case *iam.ListAttachedRolePoliciesOutput:
		return present("AttachedPolicies", a.AttachedPolicies)
	case *iam.ListRolePoliciesOutput:
		return present("PolicyNames", a.PolicyNames)

	case *rds.CreateDBInstanceOutput:
		return unless(a.DBInstance != nil && has(a.DBInstance.DBInstanceArn), "DBInstance.DBInstanceArn")
	case *rds.RestoreDBInstanceFromDBSnapshotOutput:
		return unless(a.DBInstance != nil && has(a.DBInstance.DBInstanceArn), "DBInstance.DBInstanceArn")
	case *rds.CreateDBParameterGroupOutput:
		return unless(a.DBParameterGroup != nil && has(a.DBParameterGroup.DBParameterGroupArn), "DBParameterGroup.DBParameterGroupArn")
	case *rds.CreateDBSubnetGroupOutput:
		return unless(a.DBSubnetGroup != nil && has(a.DBSubnetGroup.DBSubnetGroupArn), "DBSubnetGroup.DBSubnetGroupArn")
	case *rds.DescribeDBInstancesOutput:
		return listed("DBInstances", a.DBInstances, func(x rdstypes.DBInstance) bool { return has(x.DBInstanceArn) && has(x.DBInstanceStatus) }, "DBInstanceArn")
	case *rds.DescribeDBParameterGroupsOutput:
		return listed("DBParameterGroups", a.DBParameterGroups, func(x rdstypes.DBParameterGroup) bool {
			return has(x.DBParameterGroupName) && has(x.DBParameterGroupArn) && has(x.DBParameterGroupFamily)
		}, "DBParameterGroupName")
	case *rds.DescribeDBSubnetGroupsOutput:
		return listed("DBSubnetGroups", a.DBSubnetGroups, func(x rdstypes.DBSubnetGroup) bool { return has(x.DBSubnetGroupArn) }, "DBSubnetGroupArn")
	case *rds.DescribeDBSnapshotsOutput:
		return listed("DBSnapshots", a.DBSnapshots, func(x rdstypes.DBSnapshot) bool { return has(x.DBSnapshotIdentifier) }, "DBSnapshotIdentifier")

	case *rds.DescribeDBEngineVersionsOutput:
		return present("DBEngineVersions", a.DBEngineVersions)
	case *rds.DescribeDBInstanceAutomatedBackupsOutput:
		return present("DBInstanceAutomatedBackups", a.DBInstanceAutomatedBackups)
	case *rds.DescribeDBParametersOutput:
		return present("Parameters", a.Parameters)
	case *rds.DescribeOrderableDBInstanceOptionsOutput:
		return present("OrderableDBInstanceOptions", a.OrderableDBInstanceOptions)
	case *rds.ListTagsForResourceOutput:
		return present("TagList", a.TagList)

	case *route53.ListHostedZonesByNameOutput:
		return present("HostedZones", a.HostedZones)
	case *route53.ListResourceRecordSetsOutput:
		return present("ResourceRecordSets", a.ResourceRecordSets)

	case *scaling.DescribeScalableTargetsOutput:
		return present("ScalableTargets", a.ScalableTargets)
	case *scaling.DescribeScalingPoliciesOutput:
		return present("ScalingPolicies", a.ScalingPolicies)
	case *scaling.DescribeScheduledActionsOutput:
		return present("ScheduledActions", a.ScheduledActions)

	case *secretsmanager.CreateSecretOutput:
		return unless(has(a.ARN), "ARN")
	case *secretsmanager.DescribeSecretOutput:
		return unless(has(a.ARN), "ARN")
	case *secretsmanager.GetRandomPasswordOutput:
		return unless(has(a.RandomPassword), "RandomPassword")
	case *secretsmanager.GetSecretValueOutput:
		return unless(has(a.VersionId), "VersionId")
	case *secretsmanager.PutSecretValueOutput:
		return unless(has(a.VersionId), "VersionId")

	case *sns.CreateTopicOutput:
		return unless(has(a.TopicArn), "TopicArn")
	case *sns.GetTopicAttributesOutput:
		return unless(a.Attributes["Policy"] != "", "Attributes.Policy")
	case *sns.ListSubscriptionsByTopicOutput:
		return present("Subscriptions", a.Subscriptions)
	case *sns.ListTagsForResourceOutput:
		return present("Tags", a.Tags)

	case *ssm.DescribeParametersOutput:
		return listed("Parameters", a.Parameters, func(x ssmtypes.ParameterMetadata) bool { return has(x.Name) }, "Name")
	case *ssm.GetParametersOutput:
		return unless(len(a.Parameters)+len(a.InvalidParameters) > 0, "Parameters")
	case *ssm.GetParametersByPathOutput:
		return listed("Parameters", a.Parameters, func(x ssmtypes.Parameter) bool { return has(x.Name) }, "Name")
	case *sts.GetCallerIdentityOutput:
		return unless(has(a.Account) && has(a.Arn), "Account")
	}
	return ""
}

// listed names what a list lacks: AWS sends a member for it also where there is
// nothing to list, and what takes the lack of one for "none there" deletes a
// network under what is in it. Each of the resources has to have what ok asks for.
func listed[T any](member string, list []T, ok func(T) bool, of string) string {
	if list == nil {
		return member
	}
	return unless(all(list, ok), of)
}

// present is listed for what is taken as it comes.
func present[T any](member string, list []T) string { return unless(list != nil, member) }

func unless(there bool, member string) string {
	if there {
		return ""
	}
	return member
}

func has(s *string) bool { return aws.ToString(s) != "" }

func all[T any](list []T, ok func(T) bool) bool {
	for _, x := range list {
		if !ok(x) {
			return false
		}
	}
	return true
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
			id = stray(filters, a.Vpcs, func(x ec2types.Vpc) (*string, []ec2types.Tag) { return x.VpcId, x.Tags })
		}
	case *ec2.DescribeSubnetsOutput:
		if in, ok := input.(*ec2.DescribeSubnetsInput); ok {
			filters = in.Filters
			id = stray(filters, a.Subnets, func(x ec2types.Subnet) (*string, []ec2types.Tag) { return x.SubnetId, x.Tags })
		}
	case *ec2.DescribeInternetGatewaysOutput:
		if in, ok := input.(*ec2.DescribeInternetGatewaysInput); ok {
			filters = in.Filters
			id = stray(filters, a.InternetGateways, func(x ec2types.InternetGateway) (*string, []ec2types.Tag) { return x.InternetGatewayId, x.Tags })
		}
	case *ec2.DescribeRouteTablesOutput:
		if in, ok := input.(*ec2.DescribeRouteTablesInput); ok {
			filters = in.Filters
			id = stray(filters, a.RouteTables, func(x ec2types.RouteTable) (*string, []ec2types.Tag) { return x.RouteTableId, x.Tags })
		}
	case *ec2.DescribeSecurityGroupsOutput:
		if in, ok := input.(*ec2.DescribeSecurityGroupsInput); ok {
			filters = in.Filters
			id = stray(filters, a.SecurityGroups, func(x ec2types.SecurityGroup) (*string, []ec2types.Tag) { return x.GroupId, x.Tags })
		}
	}
	if id == "" {
		return nil
	}
	return hint.With(&IncompleteError{"the endpoint ignores filters: it lists " + id + ", which does not have the tags that were asked for"},
		"nothing was touched: use an endpoint that filters by tag, as AWS does; %s needs none", hint.Command("up", "--local"))
}

// stray is the id of the first resource without a tag that was filtered by, or "".
func stray[T any](filters []ec2types.Filter, list []T, of func(T) (*string, []ec2types.Tag)) string {
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
