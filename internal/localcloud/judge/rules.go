package judge

import (
	"cmp"
	"maps"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/route53"
)

// rule adds the requests to IAM for a part of a call.
type rule func(*ask)

// table has the rules of every operation of the local cloud, by action. Tests check
// that none is missing, that each action is published, and that a simulator of IAM
// accepts the requests of whole runs, with their resources and condition keys. A rule
// that is not in the service authorization reference names its source.
var table = sync.OnceValue(func() map[string][]rule {
	return spreadOut(map[string][]rule{
		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscertificatemanager.html
		"acm:ListCertificates": {everywhere},
		"acm:DeleteCertificate DescribeCertificate GetCertificate ListTagsForCertificate": {on("", "CertificateArn")},
		"acm:AddTagsToCertificate RemoveTagsFromCertificate":                              {on("", "CertificateArn", request)},
		"acm:RequestCertificate": {
			everywhereWith(request, key("acm:DomainNames", "DomainName"), key("acm:ValidationMethod", "ValidationMethod")),
			newTags("certificate/*"),
		},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsapplicationautoscaling.html
		"application-autoscaling:DescribeScalableTargets DescribeScalingActivities DescribeScalingPolicies": {everywhere},
		"application-autoscaling:RegisterScalableTarget":                                                    {target(request), madeByItself("ecs.application-autoscaling.amazonaws.com"), scaledService},
		"application-autoscaling:PutScalingPolicy":                                                          {target(), scaledService, alarms("PutMetricAlarm", "DescribeAlarms")},
		"application-autoscaling:DeleteScalingPolicy":                                                       {target(), alarms("DescribeAlarms", "DeleteAlarms")},
		"application-autoscaling:DeregisterScalableTarget":                                                  {target(), alarms("DeleteAlarms")},
		"application-autoscaling:DescribeScheduledActions":                                                  {everywhere},
		"application-autoscaling:PutScheduledAction DeleteScheduledAction":                                  {target()},
		"application-autoscaling:ListTagsForResource":                                                       {on("", "ResourceARN")},
		"application-autoscaling:TagResource UntagResource":                                                 {on("", "ResourceARN", request)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html
		"cloudwatch:PutMetricAlarm":            {named("alarm:", "AlarmName", key("cloudwatch:AlarmActions", "AlarmActions"))},
		"cloudwatch:DescribeAlarms":            {onOr("alarm:", "AlarmNames", "*")},
		"cloudwatch:DeleteAlarms":              {on("alarm:", "AlarmNames")},
		"cloudwatch:SetAlarmState":             {on("alarm:", "AlarmName")},
		"cloudwatch:ListTagsForResource":       {on("", "ResourceARN")},
		"cloudwatch:TagResource UntagResource": {on("", "ResourceARN", request)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html
		"sns:CreateTopic": {named("", "Name")},
		"sns:ConfirmSubscription DeleteTopic GetTopicAttributes ListSubscriptionsByTopic Publish SetTopicAttributes": {on("", "TopicArn")},
		"sns:Subscribe":                 {on("", "TopicArn", key("sns:Protocol", "Protocol"), key("sns:Endpoint", "Endpoint"))},
		"sns:ListTopics Unsubscribe":    {everywhere},
		"sns:ListTagsForResource":       {on("", "ResourceArn")},
		"sns:TagResource UntagResource": {on("", "ResourceArn", request)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html
		"events:PutRule":                         {named("rule/", "Name")},
		"events:DeleteRule DescribeRule":         {on("rule/", "Name")},
		"events:ListTargetsByRule RemoveTargets": {on("rule/", "Rule")},
		"events:PutTargets":                      {on("rule/", "Rule", key("events:TargetArn", "Targets.Arn"))},
		"events:ListRules":                       {everywhere},
		"events:ListTagsForResource":             {on("", "ResourceARN")},
		"events:PutEvents":                       {defaultBus},
		"events:TagResource UntagResource":       {on("", "ResourceARN", request)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
		"ec2:DescribeAccountAttributes DescribeAddresses DescribeAvailabilityZones DescribeDhcpOptions DescribeInstances DescribeInternetGateways DescribeNatGateways " +
			"DescribeNetworkAcls DescribeNetworkInterfaces DescribeRegions DescribeRouteTables DescribeSecurityGroupRules DescribeSecurityGroups " +
			"DescribeSnapshots DescribeSubnets DescribeTags DescribeVolumes DescribeVpcBlockPublicAccessOptions DescribeVpcEndpoints DescribeVpcs ModifyVpcBlockPublicAccessOptions": {everywhere},
		"ec2:DeleteVpc DescribeVpcAttribute ModifyVpcAttribute": {on("vpc/", "VpcId")},
		"ec2:CreateVpc":                                             {made("vpc/*")},
		"ec2:CreateInternetGateway":                                 {made("internet-gateway/*")},
		"ec2:CreateRouteTable":                                      {made("route-table/*"), on("vpc/", "VpcId")},
		"ec2:CreateSecurityGroup":                                   {made("security-group/*"), on("vpc/", "VpcId")},
		"ec2:CreateSubnet":                                          {made("subnet/*"), on("vpc/", "VpcId")},
		"ec2:CreateNetworkInterface":                                {made("network-interface/*"), on("subnet/", "SubnetId"), on("security-group/", "Groups")},
		"ec2:DeleteNetworkInterface":                                {on("network-interface/", "NetworkInterfaceId")},
		"ec2:DetachNetworkInterface":                                {made("network-interface/*")}, // and on the instance, but the local cloud has none
		"ec2:AttachInternetGateway DetachInternetGateway":           {on("internet-gateway/", "InternetGatewayId"), on("vpc/", "VpcId")},
		"ec2:DeleteInternetGateway":                                 {on("internet-gateway/", "InternetGatewayId")},
		"ec2:CreateRoute DeleteRoute DeleteRouteTable ReplaceRoute": {on("route-table/", "RouteTableId")},
		"ec2:AssociateRouteTable":                                   {on("route-table/", "RouteTableId"), on("subnet/", "SubnetId")},
		"ec2:DisassociateRouteTable":                                {association},
		"ec2:ReplaceRouteTableAssociation":                          {on("route-table/", "RouteTableId"), association},
		"ec2:DeleteSubnet ModifySubnetAttribute":                    {on("subnet/", "SubnetId")},
		"ec2:DeleteSecurityGroup RevokeSecurityGroupEgress RevokeSecurityGroupIngress":                                                  {on("security-group/", "GroupId")},
		"ec2:AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress":                                                                {on("security-group/", "GroupId"), newRules},
		"ec2:DescribeEgressOnlyInternetGateways DescribeTransitGatewayVpcAttachments DescribeVpcPeeringConnections DescribeVpnGateways": {everywhere},
		"ec2:CreateDhcpOptions":               {made("dhcp-options/*")},
		"ec2:AssociateDhcpOptions":            {on("dhcp-options/", "DhcpOptionsId"), on("vpc/", "VpcId")},
		"ec2:DeleteDhcpOptions":               {on("dhcp-options/", "DhcpOptionsId")},
		"ec2:CreateEgressOnlyInternetGateway": {made("egress-only-internet-gateway/*"), on("vpc/", "VpcId")},
		"ec2:DeleteEgressOnlyInternetGateway": {on("egress-only-internet-gateway/", "EgressOnlyInternetGatewayId")},
		"ec2:CreateNatGateway":                {made("natgateway/*"), on("subnet/", "SubnetId"), on("elastic-ip/", "AllocationId")},
		"ec2:DeleteNatGateway":                {on("natgateway/", "NatGatewayId")},
		"ec2:CreateNetworkAcl":                {made("network-acl/*"), on("vpc/", "VpcId")},
		"ec2:CreateNetworkAclEntry DeleteNetworkAcl DeleteNetworkAclEntry ReplaceNetworkAclAssociation ReplaceNetworkAclEntry": {on("network-acl/", "NetworkAclId")},
		"ec2:CreateTransitGatewayVpcAttachment":                     {made("transit-gateway-attachment/*"), on("transit-gateway/", "TransitGatewayId"), on("vpc/", "VpcId"), on("subnet/", "SubnetIds")},
		"ec2:DeleteTransitGatewayVpcAttachment":                     {on("transit-gateway-attachment/", "TransitGatewayAttachmentId")},
		"ec2:CreateVpcEndpoint":                                     {made("vpc-endpoint/*"), on("vpc/", "VpcId"), on("subnet/", "SubnetIds"), on("security-group/", "SecurityGroupIds"), on("route-table/", "RouteTableIds")},
		"ec2:DeleteVpcEndpoints":                                    {on("vpc-endpoint/", "VpcEndpointIds")},
		"ec2:CreateVpcPeeringConnection":                            {made("vpc-peering-connection/*"), on("vpc/", "VpcId")},
		"ec2:AcceptVpcPeeringConnection DeleteVpcPeeringConnection": {on("vpc-peering-connection/", "VpcPeeringConnectionId")},
		"ec2:CreateVpnGateway":                                      {made("vpn-gateway/*")},
		"ec2:AttachVpnGateway DetachVpnGateway":                     {on("vpn-gateway/", "VpnGatewayId"), on("vpc/", "VpcId")},
		"ec2:DeleteVpnGateway":                                      {on("vpn-gateway/", "VpnGatewayId")},
		"ec2:UpdateSecurityGroupRuleDescriptionsEgress UpdateSecurityGroupRuleDescriptionsIngress": {on("security-group/", "GroupId")},
		"ec2:ModifySecurityGroupRules": {on("security-group/", "GroupId"), on("security-group-rule/", "SecurityGroupRules.SecurityGroupRuleId")},
		"ec2:CreateTags DeleteTags":    {ec2Things},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html
		"ecr:GetAuthorizationToken": {everywhere},
		"ecr:CreateRepository":      {named("repository/", "RepositoryName")},
		"ecr:DescribeRepositories":  {onOr("repository/", "RepositoryNames", "*")},
		"ecr:BatchCheckLayerAvailability BatchDeleteImage BatchGetImage DeleteLifecyclePolicy DeleteRepository DeleteRepositoryPolicy DescribeImageScanFindings DescribeImages " +
			"GetLifecyclePolicy GetRepositoryPolicy ListImages PutImage SetRepositoryPolicy " +
			"PutImageScanningConfiguration PutImageTagMutability PutLifecyclePolicy StartImageScan": {on("repository/", "RepositoryName")},
		"ecr:ListTagsForResource":       {on("", "ResourceArn")},
		"ecr:TagResource UntagResource": {on("", "ResourceArn", request)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html
		"ecs:DeregisterTaskDefinition DescribeTaskDefinition ListClusters ListTaskDefinitionFamilies ListTaskDefinitions": {everywhere},
		"ecs:CreateCluster": {named("cluster/", "ClusterName"), madeByItself("ecs.amazonaws.com")},
		"ecs:DeleteCluster PutClusterCapacityProviders UpdateCluster UpdateClusterSettings":       {on("cluster/", "Cluster")},
		"ecs:DeleteAccountSetting ListAccountSettings PutAccountSetting PutAccountSettingDefault": {everywhere},
		"ecs:DescribeClusters":           {onOr("cluster/", "Clusters", "default")},
		"ecs:ListServices":               {everywhereWith(cluster)},
		"ecs:ListTasks":                  {inCluster("container-instance/", "", "*")},
		"ecs:CreateService":              {inCluster("service/", "ServiceName", "", request), newECSTags("service/", "ServiceName"), passes, passesToECS, madeByItself("ecs.amazonaws.com")},
		"ecs:DeleteService":              {inCluster("service/", "Service", "")},
		"ecs:UpdateService":              {inCluster("service/", "Service", ""), passes, passesToECS},
		"ecs:DescribeServices":           {inCluster("service/", "Services", "")},
		"ecs:ListServiceDeployments":     {inCluster("service/", "Service", "")},
		"ecs:DescribeServiceDeployments": {ofService("ServiceDeploymentArns")},
		"ecs:DescribeServiceRevisions":   {ofService("ServiceRevisionArns")},
		"ecs:StopServiceDeployment":      {ofService("ServiceDeploymentArn")},
		"ecs:DescribeTasks":              {inCluster("task/", "Tasks", "")},
		"ecs:StopTask":                   {inCluster("task/", "Task", "")},
		"ecs:ExecuteCommand":             {on("cluster/", "Cluster"), inCluster("task/", "Task", "", key("ecs:container-name", "Container"))},
		"ecs:RegisterTaskDefinition":     {taskDefinition, rolesOfTasks},
		"ecs:RunTask":                    {on("task-definition/", "TaskDefinition", request, cluster), passes},
		"ecs:DeleteTaskDefinitions":      {on("task-definition/", "TaskDefinitions")},
		"ecs:ListTagsForResource":        {on("", "ResourceArn")},
		"ecs:TagResource UntagResource":  {on("", "ResourceArn", request)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
		"elasticloadbalancing:DescribeAccountLimits DescribeCapacityReservation DescribeListenerAttributes DescribeListenerCertificates DescribeListeners DescribeLoadBalancerAttributes DescribeLoadBalancers DescribeRules " +
			"DescribeSSLPolicies DescribeTags DescribeTargetGroupAttributes DescribeTargetGroups DescribeTargetHealth": {everywhere},
		// What it asks of EC2 for the caller:
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-permissions.html
		"elasticloadbalancing:CreateTargetGroup": {balancing("targetgroup/", "Name"), also("ec2:DescribeInternetGateways", "ec2:DescribeVpcs")},
		"elasticloadbalancing:CreateLoadBalancer": {
			balancing("loadbalancer/app/", "Name"), madeByItself("elasticloadbalancing.amazonaws.com"),
			also("ec2:DescribeAccountAttributes", "ec2:DescribeAddresses", "ec2:DescribeInternetGateways", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"),
			groupsOfVPC,
		},
		"elasticloadbalancing:CreateListener": {on("", "LoadBalancerArn", request), newListenerTags},
		"elasticloadbalancing:DeleteLoadBalancer ModifyCapacityReservation ModifyLoadBalancerAttributes": {on("", "LoadBalancerArn")},
		"elasticloadbalancing:SetIpAddressType":                                                          {on("", "LoadBalancerArn"), also("ec2:DescribeSubnets")},
		"elasticloadbalancing:SetSecurityGroups":                                                         {on("", "LoadBalancerArn"), also("ec2:DescribeSecurityGroups"), groupsOfVPC},
		"elasticloadbalancing:SetSubnets":                                                                {on("", "LoadBalancerArn"), also("ec2:DescribeSubnets")},
		"elasticloadbalancing:DeleteListener ModifyListener ModifyListenerAttributes AddListenerCertificates RemoveListenerCertificates": {on("", "ListenerArn")},
		"elasticloadbalancing:CreateRule":            {on("", "ListenerArn", request)},
		"elasticloadbalancing:DeleteRule ModifyRule": {on("", "RuleArn")},
		"elasticloadbalancing:SetRulePriorities":     {on("", "RulePriorities.RuleArn")},
		"elasticloadbalancing:DeleteTargetGroup DeregisterTargets ModifyTargetGroup ModifyTargetGroupAttributes RegisterTargets": {on("", "TargetGroupArn")},
		"elasticloadbalancing:AddTags RemoveTags": {on("", "ResourceArns", request)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
		"iam:ListRoles": {everywhere},
		"iam:GetUser":   {onOr("user/", "UserName", "*")},
		"iam:GetRole GetRolePolicy ListAttachedRolePolicies ListInstanceProfilesForRole ListRolePolicies ListRoleTags " +
			"DeleteRole DeleteRolePolicy DeleteRolePermissionsBoundary PutRolePolicy UpdateAssumeRolePolicy UpdateRole": {on("role/", "RoleName")},
		"iam:CreateRole":                              {named("role/", "RoleName", key("iam:PermissionsBoundary", "PermissionsBoundary"))},
		"iam:PutRolePermissionsBoundary":              {on("role/", "RoleName", key("iam:PermissionsBoundary", "PermissionsBoundary"))},
		"iam:AttachRolePolicy DetachRolePolicy":       {on("role/", "RoleName", key("iam:PolicyARN", "PolicyArn"))},
		"iam:CreatePolicy":                            {named("policy/", "PolicyName")},
		"iam:DeletePolicy GetPolicy GetPolicyVersion": {on("policy/", "PolicyArn")},
		"iam:TagRole UntagRole":                       {on("role/", "RoleName", request)},
		"iam:CreateServiceLinkedRole":                 {serviceLinkedRole},
		"iam:DeleteServiceLinkedRole":                 {on("role/", "RoleName")},
		"iam:GetServiceLinkedRoleDeletionStatus":      {everywhere},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
		"logs:DescribeLogGroups": {logGroups},
		"logs:CreateLogGroup":    {logGroup(request), newLogTags},
		"logs:DeleteLogGroup DeleteRetentionPolicy DescribeLogStreams FilterLogEvents ListTagsLogGroup PutRetentionPolicy": {logGroup()},
		"logs:TagLogGroup UntagLogGroup":                                 {logGroup(request)},
		"logs:CreateLogStream DeleteLogStream GetLogEvents PutLogEvents": {logStream},
		"logs:ListTagsForResource":                                       {on("", "ResourceArn")},
		"logs:TagResource UntagResource":                                 {on("", "ResourceArn", request)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html
		"rds:DescribeAccountAttributes DescribeCertificates DescribeDBEngineVersions DescribeDBMajorEngineVersions DescribeEngineDefaultParameters DescribeEvents DescribeOrderableDBInstanceOptions": {everywhere},
		"rds:DescribePendingMaintenanceActions":  {onOr("", "ResourceIdentifier", "db:*")},
		"rds:DescribeDBInstances":                {onOr("db:", "DBInstanceIdentifier", "*")},
		"rds:DescribeDBInstanceAutomatedBackups": {onOr("db:", "DBInstanceIdentifier", "*")},
		"rds:DescribeDBParameterGroups":          {onOr("pg:", "DBParameterGroupName", "*")},
		"rds:DescribeDBSubnetGroups":             {onOr("subgrp:", "DBSubnetGroupName", "*")},
		"rds:DescribeDBSnapshots":                {onOr("snapshot:", "DBSnapshotIdentifier", "*"), on("db:", "DBInstanceIdentifier")},
		"rds:DescribeDBParameters ModifyDBParameterGroup ResetDBParameterGroup DeleteDBParameterGroup": {on("pg:", "DBParameterGroupName")},
		"rds:CreateDBParameterGroup":                  {named("pg:", "DBParameterGroupName")},
		"rds:CreateDBSubnetGroup":                     {named("subgrp:", "DBSubnetGroupName")},
		"rds:DeleteDBSubnetGroup ModifyDBSubnetGroup": {on("subgrp:", "DBSubnetGroupName")},
		"rds:CreateDBInstance": {
			named("db:", "DBInstanceIdentifier", key("rds:PubliclyAccessible", "PubliclyAccessible")),
			on("subgrp:", "DBSubnetGroupName"), onOr("pg:", "DBParameterGroupName", "default*"), onOr("og:", "OptionGroupName", "default:*"), madeByItself("rds.amazonaws.com"),
		},
		"rds:RestoreDBInstanceFromDBSnapshot": {
			named("db:", "DBInstanceIdentifier", key("rds:PubliclyAccessible", "PubliclyAccessible")), on("snapshot:", "DBSnapshotIdentifier"),
			on("subgrp:", "DBSubnetGroupName"), onOr("pg:", "DBParameterGroupName", "default*"), onOr("og:", "OptionGroupName", "default:*"), madeByItself("rds.amazonaws.com"),
		},
		"rds:ModifyDBInstance": {on("db:", "DBInstanceIdentifier"), on("pg:", "DBParameterGroupName"), on("subgrp:", "DBSubnetGroupName"), on("og:", "OptionGroupName")},
		"rds:DescribeDBLogFiles DescribeValidDBInstanceModifications DownloadDBLogFilePortion": {on("db:", "DBInstanceIdentifier")},
		"rds:DescribeDBSnapshotAttributes ModifyDBSnapshot":                                    {on("snapshot:", "DBSnapshotIdentifier")},
		"rds:RebootDBInstance StartDBInstance":                                                 {on("db:", "DBInstanceIdentifier")},
		"rds:StartDBInstanceAutomatedBackupsReplication":                                       {on("", "SourceDBInstanceArn")},
		"rds:StopDBInstance":                           {on("db:", "DBInstanceIdentifier"), snapshotOf("DBSnapshotIdentifier")},
		"rds:DeleteDBInstance":                         {on("db:", "DBInstanceIdentifier"), snapshotOf("FinalDBSnapshotIdentifier")},
		"rds:CreateDBSnapshot":                         {named("snapshot:", "DBSnapshotIdentifier"), on("db:", "DBInstanceIdentifier", request)},
		"rds:CopyDBSnapshot":                           {named("snapshot:", "TargetDBSnapshotIdentifier"), on("snapshot:", "SourceDBSnapshotIdentifier")},
		"rds:DeleteDBSnapshot":                         {on("snapshot:", "DBSnapshotIdentifier")},
		"rds:DeleteDBInstanceAutomatedBackup":          {automatedBackup},
		"rds:ListTagsForResource":                      {on("", "ResourceName")},
		"rds:AddTagsToResource RemoveTagsFromResource": {on("", "ResourceName", request)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonroute53.html
		"route53:ListHostedZones ListHostedZonesByName CreateHostedZone": {everywhere},
		"route53:GetHostedZone DeleteHostedZone":                         {zone("Id")},
		"route53:ListResourceRecordSets":                                 {zone("HostedZoneId")},
		"route53:ChangeResourceRecordSets":                               {records},
		"route53:GetChange":                                              {change},
		"route53:ListTagsForResource ChangeTagsForResource":              {zone("ResourceId")},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html
		"secretsmanager:GetRandomPassword ListSecrets": {everywhere},
		"secretsmanager:CreateSecret":                  {newSecret},
		"secretsmanager:CancelRotateSecret DeleteResourcePolicy DeleteSecret DescribeSecret GetResourcePolicy GetSecretValue ListSecretVersionIds PutResourcePolicy PutSecretValue RestoreSecret RotateSecret " +
			"RemoveRegionsFromReplication ReplicateSecretToRegions StopReplicationToReplica UpdateSecret UpdateSecretVersionStage": {secret()},
		"secretsmanager:TagResource UntagResource": {secret(request)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html
		"ssm:DescribeParameters": {everywhere},
		"ssm:PutParameter":       {parameterNamed},
		"ssm:DeleteParameter GetParameter GetParameterHistory LabelParameterVersion": {parameter("Name")},
		"ssm:DeleteParameters GetParameters":                                         {parameter("Names")},
		"ssm:GetParametersByPath":                                                    {parameter("Path")},
		"ssm:ListTagsForResource":                                                    {parameter("ResourceId")},
		"ssm:AddTagsToResource RemoveTagsFromResource":                               {parameter("ResourceId", request)},
		"ssm:StartSession":                                                           {session},

		"sts:AssumeRole":        {}, // checked by the operation, since the role's trust policy may be enough
		"sts:GetSessionToken":   {}, // checked by the operation too: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_getsessiontoken.html
		"sts:GetCallerIdentity": {}, // needs no permission: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonresourcegrouptaggingapi.html
		"tag:GetResources GetTagKeys GetTagValues": {everywhere},
		"tag:TagResources":                         {everywhere, ownTagging(addsTags)},
		"tag:UntagResources":                       {everywhere, ownTagging(removesTags)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awspricelist.html
		"pricing:DescribeServices GetAttributeValues GetProducts": {everywhere},
	})
})

// spreadOut gives each action of a key "service:One Two" its own entry.
func spreadOut(short map[string][]rule) map[string][]rule {
	out := map[string][]rule{}
	for actions, rules := range short {
		service, names, _ := strings.Cut(actions, ":")
		for name := range strings.FieldsSeq(names) {
			if _, twice := out[service+":"+name]; twice {
				panic(service + ":" + name + " has two rules") // a mistake in the table
			}
			out[service+":"+name] = rules
		}
	}
	return out
}

// keysOf returns condition keys for a rule.
type keysOf func(*ask) keys

func gather(a *ask, of []keysOf) keys {
	out := keys{}
	for _, f := range of {
		maps.Copy(out, f(a))
	}
	return out
}

// request returns the condition keys for the tags in the request.
func request(a *ask) keys { return a.given() }

// key returns a condition key with the value of a field.
func key(name, field string) keysOf {
	return func(a *ask) keys { return keys{name: a.texts(field)} }
}

// everywhere is for actions that do not support resources.
func everywhere(a *ask) { a.own("*", nil) }

func everywhereWith(of ...keysOf) rule {
	return func(a *ask) { a.own("*", gather(a, of)) }
}

// on requests the action on each resource that a field names.
func on(kind, field string, of ...keysOf) rule {
	return func(a *ask) {
		for _, v := range a.texts(field) {
			a.own(a.arn(a.service, kind, v), gather(a, of))
		}
	}
}

// onOr is on, or, if the field is empty, requests the action on otherwise.
func onOr(kind, field, otherwise string) rule {
	return func(a *ask) {
		on(kind, field)(a)
		if len(a.texts(field)) == 0 {
			a.own(a.arn(a.service, kind, otherwise), nil)
		}
	}
}

// also requests other actions, which do not support resources.
func also(actions ...string) rule {
	return func(a *ask) {
		for _, action := range actions {
			a.add(action, "*", nil)
		}
	}
}

// taggers are the actions that AWS checks too if a resource is created with tags, and
// the condition key that contains the creating action.
var taggers = map[string]struct{ action, creator string }{
	"acm":                     {"AddTagsToCertificate", ""},
	"application-autoscaling": {"TagResource", ""},
	"ec2":                     {"CreateTags", "ec2:CreateAction"},
	"cloudwatch":              {"TagResource", ""},
	"ecr":                     {"TagResource", ""},
	"events":                  {"TagResource", ""},
	"sns":                     {"TagResource", ""},
	"ecs":                     {"TagResource", "ecs:CreateAction"},
	"elasticloadbalancing":    {"AddTags", "elasticloadbalancing:CreateAction"},
	"iam":                     {"TagRole", ""},
	"logs":                    {"TagResource", ""},
	"rds":                     {"AddTagsToResource", ""},
	"secretsmanager":          {"TagResource", ""},
	"ssm":                     {"AddTagsToResource", ""},
}

// tagNew requests the action for the tags of a new resource.
func (a *ask) tagNew(resource string) {
	given := a.given()
	if len(given) == 0 {
		return
	}
	t, ok := taggers[a.service]
	if !ok {
		panic("taggers has no line for " + a.service) // a mistake in the tables
	}
	if t.creator != "" {
		given[t.creator] = []string{a.operation}
	}
	a.add(a.service+":"+t.action, resource, given)
}

func newTags(resource string) rule {
	return func(a *ask) { a.tagNew(a.ARN(a.service, resource)) }
}

// made requests the action on a new resource whose id AWS generates.
func made(resource string) rule {
	return func(a *ask) {
		arn := a.ARN(a.service, resource)
		a.own(arn, a.given())
		a.tagNew(arn)
	}
}

// named requests the action on a new resource whose name is in a field.
func named(kind, field string, of ...keysOf) rule {
	return func(a *ask) {
		arn := a.arn(a.service, kind, a.text(field))
		all := a.given()
		maps.Copy(all, gather(a, of))
		a.own(arn, all)
		a.tagNew(arn)
	}
}

// madeByItself requests the creation of the service-linked role that the call creates
// if the account does not have it.
func madeByItself(service string) rule {
	return func(a *ask) {
		if arn, missing := a.Lacks(service); missing {
			a.add("iam:CreateServiceLinkedRole", arn, keys{"iam:AWSServiceName": {service}})
		}
	}
}

func serviceLinkedRole(a *ask) {
	arn, _ := a.Lacks(a.text("AWSServiceName"))
	a.own(arn, keys{"iam:AWSServiceName": a.texts("AWSServiceName")})
}

// defaultBus requests the action on the bus that the local cloud has.
func defaultBus(a *ask) {
	a.own(a.ARN("events", "event-bus/default"), keys{"events:source": a.texts("Entries.Source"), "events:detail-type": a.texts("Entries.DetailType")})
}

// target requests the action on the scalable target of a resource id. Its ARN is not
// known before it is registered.
func target(of ...keysOf) rule {
	return func(a *ask) {
		arn := cmp.Or(a.Target(a.text("ResourceId")), a.ARN("application-autoscaling", "scalable-target/*"))
		all := gather(a, of)
		all["application-autoscaling:service-namespace"] = a.texts("ServiceNamespace")
		all["application-autoscaling:scalable-dimension"] = a.texts("ScalableDimension")
		a.own(arn, all)
		if len(of) > 0 {
			a.tagNew(arn)
		}
	}
}

// scaledService and alarms request the actions that Application Auto Scaling performs
// with the caller's permissions
// (https://docs.aws.amazon.com/autoscaling/application/userguide/security_iam_id-based-policy-examples.html).
func scaledService(a *ask) {
	if id, ok := strings.CutPrefix(a.text("ResourceId"), "service/"); ok {
		a.add("ecs:DescribeServices", a.ARN("ecs", "service/"+id), nil)
		a.add("ecs:UpdateService", a.ARN("ecs", "service/"+id), nil)
	}
}

func alarms(actions ...string) rule {
	return func(a *ask) {
		if a.has("PolicyType") && a.text("PolicyType") != "" && a.text("PolicyType") != string(types.PolicyTypeTargetTrackingScaling) {
			return
		}
		for _, action := range actions {
			name := "TargetTracking-" + a.text("ResourceId") + "-AlarmHigh-*"
			if action == "DescribeAlarms" {
				name = "*" // it searches by a prefix
			}
			a.add("cloudwatch:"+action, a.ARN("cloudwatch", "alarm:"+name), nil)
		}
	}
}

func association(a *ask) {
	for _, arn := range a.Association(a.text("AssociationId")) {
		a.own(arn, nil)
	}
}

// newRules requests the action on the new rules of a security group, which are
// resources with tags of their own.
func newRules(a *ask) {
	arn := a.ARN("ec2", "security-group-rule/*")
	if given := a.given(); len(given) > 0 {
		a.own(arn, given)
		a.tagNew(arn)
	}
}

func ec2Things(a *ask) {
	for _, id := range a.texts("Resources") {
		a.own(a.ARN("ec2", ec2Kind(id)+"/"+id), a.given())
	}
}

// ec2Kind returns the resource type in ARNs for an id.
func ec2Kind(id string) string {
	prefix, _, _ := strings.Cut(id, "-")
	switch prefix {
	case "igw":
		return "internet-gateway"
	case "rtb":
		return "route-table"
	case "sg":
		return "security-group"
	case "sgr":
		return "security-group-rule"
	case "eni":
		return "network-interface"
	case "acl":
		return "network-acl"
	}
	return prefix
}

// cluster returns the condition key for resources in a cluster.
func cluster(a *ask) keys {
	return keys{"ecs:cluster": {a.arn("ecs", "cluster/", cmp.Or(a.text("Cluster"), "default"))}}
}

// inCluster requests the action on resources in a cluster that a field names by name,
// id or ARN.
func inCluster(kind, field, otherwise string, of ...keysOf) rule {
	return func(a *ask) {
		names := []string{otherwise}
		if field != "" {
			names = a.texts(field)
		}
		all := gather(a, append(of, cluster))
		of := cmp.Or(a.text("Cluster"), "default")
		for _, name := range names {
			a.own(a.arn("ecs", kind+of[strings.LastIndex(of, "/")+1:]+"/", name), all)
		}
	}
}

// ofService requests the action on the deployments or revisions whose ARNs are in a
// field, and on their service.
func ofService(field string) rule {
	return func(a *ask) {
		for _, arn := range a.texts(field) {
			own := keys{}
			if of, path, ok := strings.Cut(arn, ":service-"); ok {
				if parts := strings.Split(path, "/"); len(parts) == 4 { // kind, cluster, service, id
					own["ecs:cluster"] = []string{of + ":cluster/" + parts[1]}
					service := of + ":service/" + parts[1] + "/" + parts[2]
					a.own(service, maps.Clone(own))
					own["ecs:service"] = []string{service}
				}
			}
			a.own(arn, own)
		}
	}
}

func newECSTags(kind, field string) rule {
	return func(a *ask) {
		of := cmp.Or(a.text("Cluster"), "default")
		a.tagNew(a.ARN("ecs", kind+of[strings.LastIndex(of, "/")+1:]+"/"+a.text(field)))
	}
}

// taskDefinition requests the action on the family, because the revision is not known
// yet. The tags are requested with and without a revision
// (https://github.com/aws/aws-cdk/issues/25768).
func taskDefinition(a *ask) {
	a.own(a.ARN("ecs", "task-definition/"+a.text("Family")+":*"), a.given())
	a.tagNew(a.ARN("ecs", "task-definition/"+a.text("Family")))
	a.tagNew(a.ARN("ecs", "task-definition/"+a.text("Family")+":*"))
}

// rolesOfTasks requests iam:PassRole for the roles in the input.
func rolesOfTasks(a *ask) {
	for _, field := range []string{"ExecutionRoleArn", "TaskRoleArn"} {
		for _, role := range a.texts(field) {
			a.add("iam:PassRole", a.arn("iam", "role/", role), keys{"iam:PassedToService": {"ecs-tasks.amazonaws.com"}})
		}
	}
}

// passes requests iam:PassRole for the roles of the task definition
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/security-iam-roles.html).
func passes(a *ask) {
	for _, role := range a.Roles(a.text("TaskDefinition")) {
		a.add("iam:PassRole", a.arn("iam", "role/", role), keys{"iam:PassedToService": {"ecs-tasks.amazonaws.com"}})
	}
}

// passesToECS requests iam:PassRole for the roles under which ECS changes load balancers
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/AmazonECSInfrastructureRolePolicyForLoadBalancers.html).
func passesToECS(a *ask) {
	for _, role := range a.texts("LoadBalancers.AdvancedConfiguration.RoleArn") {
		a.add("iam:PassRole", a.arn("iam", "role/", role), keys{"iam:PassedToService": {"ecs.amazonaws.com"}})
	}
}

// balancing requests the action on a new load balancer or target group, whose ARN ends
// with an id that AWS generates.
func balancing(kind, field string) rule {
	return func(a *ask) {
		arn := a.ARN(a.service, kind+a.text(field)+"/*")
		a.own(arn, a.given())
		a.tagNew(arn)
	}
}

// groupsOfVPC requests the action by which a load balancer checks its security groups, on
// the VPC of its subnets
// (https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/3917).
func groupsOfVPC(a *ask) { a.add("ec2:GetSecurityGroupsForVpc", a.ARN("ec2", "vpc/*"), nil) }

// newListenerTags requests the action for the tags of a new listener, whose ARN begins
// with that of its load balancer.
func newListenerTags(a *ask) {
	a.tagNew(strings.Replace(a.text("LoadBalancerArn"), ":loadbalancer/", ":listener/", 1) + "/*")
}

// ownTagging requests each service's own tagging action on each resource, as the
// tagging API does
// (https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_TagResources.html).
func ownTagging(actions map[string]string) rule {
	return func(a *ask) {
		for _, arn := range a.texts("ResourceARNList") {
			if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 {
				a.add(parts[2]+":"+cmp.Or(actions[parts[2]], actions[""]), arn, a.given())
			}
		}
	}
}

// The tagging actions by service; "" is for all other services.
var (
	addsTags = map[string]string{
		"": "TagResource", "acm": "AddTagsToCertificate", "ec2": "CreateTags", "elasticloadbalancing": "AddTags", "rds": "AddTagsToResource",
		"route53": "ChangeTagsForResource", "ssm": "AddTagsToResource",
	}
	removesTags = map[string]string{
		"": "UntagResource", "acm": "RemoveTagsFromCertificate", "ec2": "DeleteTags", "elasticloadbalancing": "RemoveTags", "rds": "RemoveTagsFromResource",
		"route53": "ChangeTagsForResource", "ssm": "RemoveTagsFromResource",
	}
)

// logGroup requests the action on a log group. AWS's errors name it with a trailing
// ":log-stream:", the reference without it
// (https://github.com/cloudposse/terraform-aws-cicd/issues/33).
func logGroup(of ...keysOf) rule {
	return func(a *ask) {
		name := a.text("LogGroupName")
		if a.has("LogGroupIdentifier") && name == "" {
			name = a.text("LogGroupIdentifier")
		}
		arn := strings.TrimSuffix(a.arn("logs", "log-group:", name), ":*")
		a.own(arn, gather(a, of))
		a.own(arn+":log-stream:", gather(a, of))
	}
}

// logGroups requests the action without a resource, as in the reference, and on the
// resource in AWS's errors
// (https://github.com/hashicorp/terraform-provider-aws/issues/8804).
func logGroups(a *ask) {
	a.own("*", nil)
	a.own(a.ARN("logs", "log-group::log-stream:"), nil)
}

func newLogTags(a *ask) { a.tagNew(a.ARN("logs", "log-group:"+a.text("LogGroupName"))) }

func logStream(a *ask) {
	a.own(a.ARN("logs", "log-group:"+a.text("LogGroupName")+":log-stream:"+a.text("LogStreamName")), nil)
}

// snapshotOf requests the actions for the snapshot that a call takes of the instance.
func snapshotOf(field string) rule {
	return func(a *ask) {
		if name := a.text(field); name != "" {
			snapshot := a.arn("rds", "snapshot:", name)
			a.add("rds:CreateDBSnapshot", a.arn("rds", "db:", a.text("DBInstanceIdentifier")), nil)
			a.add("rds:CreateDBSnapshot", snapshot, nil)
			a.add("rds:AddTagsToResource", snapshot, nil)
		}
	}
}

func automatedBackup(a *ask) {
	a.own(cmp.Or(a.Backups(cmp.Or(a.text("DbiResourceId"), a.text("DBInstanceAutomatedBackupsArn"))), a.ARN("rds", "auto-backup:*")), nil)
}

// zone requests the action on a hosted zone, whose id may follow a path.
func zone(field string) rule {
	return func(a *ask) {
		id := a.text(field)
		a.own(a.ARN("route53", "hostedzone/"+id[strings.LastIndex(id, "/")+1:]), nil)
	}
}

// records requests the action on the hosted zone, with the changes as condition keys
// (https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/specifying-rrset-conditions.html).
func records(a *ask) {
	in, ok := a.input.Addr().Interface().(*route53.ChangeResourceRecordSetsInput)
	if !ok || in.ChangeBatch == nil {
		return
	}
	of := keys{}
	for _, c := range in.ChangeBatch.Changes {
		name := strings.ToLower(strings.TrimSuffix(strings.ReplaceAll(*c.ResourceRecordSet.Name, `\052`, "*"), "."))
		for k, v := range map[string]string{"NormalizedRecordNames": name, "RecordTypes": string(c.ResourceRecordSet.Type), "Actions": string(c.Action)} {
			of["route53:ChangeResourceRecordSets"+k] = append(of["route53:ChangeResourceRecordSets"+k], v)
		}
	}
	id := a.text("HostedZoneId")
	a.own(a.ARN("route53", "hostedzone/"+id[strings.LastIndex(id, "/")+1:]), of)
}

func change(a *ask) {
	id := a.text("Id")
	a.own(a.ARN("route53", "change/"+id[strings.LastIndex(id, "/")+1:]), nil)
}

// newSecret requests the action with the suffix that Secrets Manager will add: a policy
// without one is not enough (https://github.com/iann0036/iam-dataset/pull/22).
func newSecret(a *ask) {
	of := a.given()
	of["secretsmanager:Name"] = a.texts("Name")
	arn := a.ARN("secretsmanager", "secret:"+a.text("Name")+"-??????")
	a.own(arn, of)
	a.tagNew(arn)
}

// secret requests the action on the ARN of a secret. If the secret does not exist, the
// ARN has its name (https://github.com/ministackorg/ministack/pull/1737), and also a
// suffix (https://github.com/jenkinsci/aws-secrets-manager-credentials-provider-plugin/issues/74).
func secret(of ...keysOf) rule {
	return func(a *ask) {
		id := a.text("SecretId")
		all := gather(a, of)
		all["secretsmanager:SecretId"] = []string{id}
		if arn := a.Secret(id); arn != "" {
			a.own(arn, all)
			return
		}
		arn := a.arn("secretsmanager", "secret:", id)
		a.own(arn, all)
		a.own(arn+"-??????", all)
	}
}

func parameterARN(a *ask, name string) string {
	return a.arn("ssm", "parameter/", strings.TrimPrefix(name, "/"))
}

func parameter(field string, of ...keysOf) rule {
	return func(a *ask) {
		for _, name := range a.texts(field) {
			a.own(parameterARN(a, name), gather(a, of))
		}
	}
}

func parameterNamed(a *ask) {
	arn := parameterARN(a, a.text("Name"))
	a.own(arn, a.given())
	a.tagNew(arn)
}

// session requests the action on the task of a session, and on the document that
// configures it
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html).
func session(a *ask) {
	if cluster, task, ok := strings.Cut(strings.TrimPrefix(a.text("Target"), "ecs:"), "_"); ok {
		id, _, _ := strings.Cut(task, "_")
		a.own(a.ARN("ecs", "task/"+cluster+"/"+id), nil)
	}
	if name := a.text("DocumentName"); name != "" {
		arn := strings.SplitN(a.ARN("ssm", ""), ":", 6)
		arn[4], arn[5] = "", "document/"+name // AWS's own documents have no account
		a.own(strings.Join(arn, ":"), nil)
	}
}
