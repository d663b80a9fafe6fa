package iamcheck

import "sync"

// rule adds the requests to IAM for a part of a call.
type rule func(*collector)

// table has the rules of every operation of the local cloud, by action. Tests check
// that none is missing, that each action is published, and that a simulator of IAM
// accepts the requests of whole runs, with their resources and condition keys. A rule
// that is not in the service authorization reference names its source.
var table = sync.OnceValue(func() map[string][]rule {
	return splitActions(map[string][]rule{
		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscertificatemanager.html
		"acm:ListCertificates": {anyResource},
		"acm:DeleteCertificate DescribeCertificate GetCertificate ListTagsForCertificate": {resourceIn("", "CertificateArn")},
		"acm:AddTagsToCertificate RemoveTagsFromCertificate":                              {resourceIn("", "CertificateArn", requestTags)},
		"acm:RequestCertificate": {
			anyResourceWith(requestTags, key("acm:DomainNames", "DomainName"), key("acm:ValidationMethod", "ValidationMethod")),
			newTags("certificate/*"),
		},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsapplicationautoscaling.html
		"application-autoscaling:DescribeScalableTargets DescribeScalingActivities DescribeScalingPolicies": {anyResource},
		"application-autoscaling:RegisterScalableTarget":                                                    {scalableTarget(requestTags), createsLinkedRole("ecs.application-autoscaling.amazonaws.com"), scaledService},
		"application-autoscaling:PutScalingPolicy":                                                          {scalableTarget(), scaledService, alarms("PutMetricAlarm", "DescribeAlarms")},
		"application-autoscaling:DeleteScalingPolicy":                                                       {scalableTarget(), alarms("DescribeAlarms", "DeleteAlarms")},
		"application-autoscaling:DeregisterScalableTarget":                                                  {scalableTarget(), alarms("DeleteAlarms")},
		"application-autoscaling:DescribeScheduledActions":                                                  {anyResource},
		"application-autoscaling:PutScheduledAction DeleteScheduledAction":                                  {scalableTarget()},
		"application-autoscaling:ListTagsForResource":                                                       {resourceIn("", "ResourceARN")},
		"application-autoscaling:TagResource UntagResource":                                                 {resourceIn("", "ResourceARN", requestTags)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html
		"cloudwatch:PutMetricAlarm":            {newNamed("alarm:", "AlarmName", key("cloudwatch:AlarmActions", "AlarmActions"))},
		"cloudwatch:DescribeAlarms":            {resourceInOr("alarm:", "AlarmNames", "*")},
		"cloudwatch:DeleteAlarms":              {resourceIn("alarm:", "AlarmNames")},
		"cloudwatch:SetAlarmState":             {resourceIn("alarm:", "AlarmName")},
		"cloudwatch:ListTagsForResource":       {resourceIn("", "ResourceARN")},
		"cloudwatch:TagResource UntagResource": {resourceIn("", "ResourceARN", requestTags)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html
		"sns:CreateTopic": {newNamed("", "Name")},
		"sns:ConfirmSubscription DeleteTopic GetTopicAttributes ListSubscriptionsByTopic Publish SetTopicAttributes": {resourceIn("", "TopicArn")},
		"sns:Subscribe":                 {resourceIn("", "TopicArn", key("sns:Protocol", "Protocol"), key("sns:Endpoint", "Endpoint"))},
		"sns:ListTopics Unsubscribe":    {anyResource},
		"sns:ListTagsForResource":       {resourceIn("", "ResourceArn")},
		"sns:TagResource UntagResource": {resourceIn("", "ResourceArn", requestTags)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html
		"events:PutRule":                         {newNamed("rule/", "Name")},
		"events:DeleteRule DescribeRule":         {resourceIn("rule/", "Name")},
		"events:ListTargetsByRule RemoveTargets": {resourceIn("rule/", "Rule")},
		"events:PutTargets":                      {resourceIn("rule/", "Rule", key("events:TargetArn", "Targets.Arn"))},
		"events:ListRules":                       {anyResource},
		"events:ListTagsForResource":             {resourceIn("", "ResourceARN")},
		"events:PutEvents":                       {defaultBus},
		"events:TagResource UntagResource":       {resourceIn("", "ResourceARN", requestTags)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
		"ec2:DescribeAccountAttributes DescribeAddresses DescribeAvailabilityZones DescribeDhcpOptions DescribeInstances DescribeInternetGateways DescribeNatGateways " +
			"DescribeNetworkAcls DescribeNetworkInterfaces DescribeRegions DescribeRouteTables DescribeSecurityGroupRules DescribeSecurityGroups DescribeSecurityGroupVpcAssociations " +
			"DescribeSnapshots DescribeSubnets DescribeTags DescribeVolumes DescribeVpcBlockPublicAccessOptions DescribeVpcEndpoints DescribeVpcs ModifyVpcBlockPublicAccessOptions": {anyResource},
		"ec2:DeleteVpc DescribeVpcAttribute ModifyVpcAttribute": {resourceIn("vpc/", "VpcId")},
		"ec2:CreateVpc":                                             {newUnnamed("vpc/*")},
		"ec2:CreateInternetGateway":                                 {newUnnamed("internet-gateway/*")},
		"ec2:CreateRouteTable":                                      {newUnnamed("route-table/*"), resourceIn("vpc/", "VpcId")},
		"ec2:CreateSecurityGroup":                                   {newUnnamed("security-group/*"), resourceIn("vpc/", "VpcId")},
		"ec2:CreateSubnet":                                          {newUnnamed("subnet/*"), resourceIn("vpc/", "VpcId")},
		"ec2:CreateNetworkInterface":                                {newUnnamed("network-interface/*"), resourceIn("subnet/", "SubnetId"), resourceIn("security-group/", "Groups")},
		"ec2:DeleteNetworkInterface":                                {resourceIn("network-interface/", "NetworkInterfaceId")},
		"ec2:DetachNetworkInterface":                                {newUnnamed("network-interface/*")}, // and on the instance, but the local cloud has none
		"ec2:AttachInternetGateway DetachInternetGateway":           {resourceIn("internet-gateway/", "InternetGatewayId"), resourceIn("vpc/", "VpcId")},
		"ec2:DeleteInternetGateway":                                 {resourceIn("internet-gateway/", "InternetGatewayId")},
		"ec2:CreateRoute DeleteRoute DeleteRouteTable ReplaceRoute": {resourceIn("route-table/", "RouteTableId")},
		"ec2:AssociateRouteTable":                                   {resourceIn("route-table/", "RouteTableId"), resourceIn("subnet/", "SubnetId")},
		"ec2:DisassociateRouteTable":                                {association},
		"ec2:ReplaceRouteTableAssociation":                          {resourceIn("route-table/", "RouteTableId"), association},
		"ec2:DeleteSubnet ModifySubnetAttribute":                    {resourceIn("subnet/", "SubnetId")},
		"ec2:DeleteSecurityGroup RevokeSecurityGroupEgress RevokeSecurityGroupIngress":                                                  {resourceIn("security-group/", "GroupId")},
		"ec2:AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress":                                                                {resourceIn("security-group/", "GroupId"), newRules},
		"ec2:DescribeEgressOnlyInternetGateways DescribeTransitGatewayVpcAttachments DescribeVpcPeeringConnections DescribeVpnGateways": {anyResource},
		"ec2:AssociateSecurityGroupVpc DisassociateSecurityGroupVpc":                                                                    {resourceIn("security-group/", "GroupId"), resourceIn("vpc/", "VpcId")},
		"ec2:CreateDhcpOptions":               {newUnnamed("dhcp-options/*")},
		"ec2:AssociateDhcpOptions":            {resourceIn("dhcp-options/", "DhcpOptionsId"), resourceIn("vpc/", "VpcId")},
		"ec2:DeleteDhcpOptions":               {resourceIn("dhcp-options/", "DhcpOptionsId")},
		"ec2:CreateEgressOnlyInternetGateway": {newUnnamed("egress-only-internet-gateway/*"), resourceIn("vpc/", "VpcId")},
		"ec2:DeleteEgressOnlyInternetGateway": {resourceIn("egress-only-internet-gateway/", "EgressOnlyInternetGatewayId")},
		"ec2:CreateNatGateway":                {newUnnamed("natgateway/*"), resourceIn("subnet/", "SubnetId"), resourceIn("elastic-ip/", "AllocationId")},
		"ec2:DeleteNatGateway":                {resourceIn("natgateway/", "NatGatewayId")},
		"ec2:CreateNetworkAcl":                {newUnnamed("network-acl/*"), resourceIn("vpc/", "VpcId")},
		"ec2:CreateNetworkAclEntry DeleteNetworkAcl DeleteNetworkAclEntry ReplaceNetworkAclAssociation ReplaceNetworkAclEntry": {resourceIn("network-acl/", "NetworkAclId")},
		"ec2:CreateTransitGatewayVpcAttachment":                     {newUnnamed("transit-gateway-attachment/*"), resourceIn("transit-gateway/", "TransitGatewayId"), resourceIn("vpc/", "VpcId"), resourceIn("subnet/", "SubnetIds")},
		"ec2:DeleteTransitGatewayVpcAttachment":                     {resourceIn("transit-gateway-attachment/", "TransitGatewayAttachmentId")},
		"ec2:CreateVpcEndpoint":                                     {newUnnamed("vpc-endpoint/*"), resourceIn("vpc/", "VpcId"), resourceIn("subnet/", "SubnetIds"), resourceIn("security-group/", "SecurityGroupIds"), resourceIn("route-table/", "RouteTableIds")},
		"ec2:DeleteVpcEndpoints":                                    {resourceIn("vpc-endpoint/", "VpcEndpointIds")},
		"ec2:CreateVpcPeeringConnection":                            {newUnnamed("vpc-peering-connection/*"), resourceIn("vpc/", "VpcId")},
		"ec2:AcceptVpcPeeringConnection DeleteVpcPeeringConnection": {resourceIn("vpc-peering-connection/", "VpcPeeringConnectionId")},
		"ec2:CreateVpnGateway":                                      {newUnnamed("vpn-gateway/*")},
		"ec2:AttachVpnGateway DetachVpnGateway":                     {resourceIn("vpn-gateway/", "VpnGatewayId"), resourceIn("vpc/", "VpcId")},
		"ec2:DeleteVpnGateway":                                      {resourceIn("vpn-gateway/", "VpnGatewayId")},
		"ec2:UpdateSecurityGroupRuleDescriptionsEgress UpdateSecurityGroupRuleDescriptionsIngress": {resourceIn("security-group/", "GroupId")},
		"ec2:ModifySecurityGroupRules": {resourceIn("security-group/", "GroupId"), resourceIn("security-group-rule/", "SecurityGroupRules.SecurityGroupRuleId")},
		"ec2:CreateTags DeleteTags":    {ec2Resources},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html
		"ecr:GetAuthorizationToken": {anyResource},
		"ecr:CreateRepository":      {newNamed("repository/", "RepositoryName")},
		"ecr:DescribeRepositories":  {resourceInOr("repository/", "RepositoryNames", "*")},
		"ecr:BatchCheckLayerAvailability BatchDeleteImage BatchGetImage DeleteLifecyclePolicy DeleteRepository DeleteRepositoryPolicy DescribeImageScanFindings DescribeImages " +
			"GetLifecyclePolicy GetRepositoryPolicy ListImages PutImage SetRepositoryPolicy " +
			"PutImageScanningConfiguration PutImageTagMutability PutLifecyclePolicy StartImageScan": {resourceIn("repository/", "RepositoryName")},
		"ecr:ListTagsForResource":       {resourceIn("", "ResourceArn")},
		"ecr:TagResource UntagResource": {resourceIn("", "ResourceArn", requestTags)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html
		"ecs:DeregisterTaskDefinition DescribeTaskDefinition ListClusters ListTaskDefinitionFamilies ListTaskDefinitions": {anyResource},
		"ecs:CreateCluster": {newNamed("cluster/", "ClusterName"), createsLinkedRole("ecs.amazonaws.com")},
		"ecs:DeleteCluster PutClusterCapacityProviders UpdateCluster UpdateClusterSettings":       {resourceIn("cluster/", "Cluster")},
		"ecs:DeleteAccountSetting ListAccountSettings PutAccountSetting PutAccountSettingDefault": {anyResource},
		"ecs:DescribeClusters":           {resourceInOr("cluster/", "Clusters", "default")},
		"ecs:ListServices":               {anyResourceWith(cluster)},
		"ecs:ListTasks":                  {inCluster("container-instance/", "", "*")},
		"ecs:CreateService":              {inCluster("service/", "ServiceName", "", requestTags), newECSTags("service/", "ServiceName"), passesTaskRoles, passesInfrastructureRole, createsLinkedRole("ecs.amazonaws.com")},
		"ecs:DeleteService":              {inCluster("service/", "Service", "")},
		"ecs:UpdateService":              {inCluster("service/", "Service", ""), passesTaskRoles, passesInfrastructureRole},
		"ecs:DescribeServices":           {inCluster("service/", "Services", "")},
		"ecs:ListServiceDeployments":     {inCluster("service/", "Service", "")},
		"ecs:DescribeServiceDeployments": {ofService("ServiceDeploymentArns")},
		"ecs:DescribeServiceRevisions":   {ofService("ServiceRevisionArns")},
		"ecs:StopServiceDeployment":      {ofService("ServiceDeploymentArn")},
		"ecs:ContinueServiceDeployment":  {ofService("ServiceDeploymentArn")},
		"ecs:DescribeTasks":              {inCluster("task/", "Tasks", "")},
		"ecs:StopTask":                   {inCluster("task/", "Task", "")},
		"ecs:ExecuteCommand":             {resourceIn("cluster/", "Cluster"), inCluster("task/", "Task", "", key("ecs:container-name", "Container"))},
		"ecs:RegisterTaskDefinition":     {taskDefinition, rolesOfTasks},
		"ecs:RunTask":                    {resourceIn("task-definition/", "TaskDefinition", requestTags, cluster), passesTaskRoles},
		"ecs:DeleteTaskDefinitions":      {resourceIn("task-definition/", "TaskDefinitions")},
		"ecs:ListTagsForResource":        {resourceIn("", "ResourceArn")},
		"ecs:TagResource UntagResource":  {resourceIn("", "ResourceArn", requestTags)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
		"elasticloadbalancing:DescribeAccountLimits DescribeCapacityReservation DescribeListenerAttributes DescribeListenerCertificates DescribeListeners DescribeLoadBalancerAttributes DescribeLoadBalancers DescribeRules " +
			"DescribeSSLPolicies DescribeTags DescribeTargetGroupAttributes DescribeTargetGroups DescribeTargetHealth": {anyResource},
		// What it asks of EC2 for the caller:
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-permissions.html
		"elasticloadbalancing:CreateTargetGroup": {balancing("targetgroup/", "Name"), also("ec2:DescribeInternetGateways", "ec2:DescribeVpcs")},
		"elasticloadbalancing:CreateLoadBalancer": {
			balancing("loadbalancer/app/", "Name"), createsLinkedRole("elasticloadbalancing.amazonaws.com"),
			also("ec2:DescribeAccountAttributes", "ec2:DescribeAddresses", "ec2:DescribeInternetGateways", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"),
			groupsOfVPC,
		},
		"elasticloadbalancing:CreateListener": {resourceIn("", "LoadBalancerArn", requestTags), newListenerTags},
		"elasticloadbalancing:DeleteLoadBalancer ModifyCapacityReservation ModifyLoadBalancerAttributes": {resourceIn("", "LoadBalancerArn")},
		"elasticloadbalancing:SetIpAddressType":                                                          {resourceIn("", "LoadBalancerArn"), also("ec2:DescribeSubnets")},
		"elasticloadbalancing:SetSecurityGroups":                                                         {resourceIn("", "LoadBalancerArn"), also("ec2:DescribeSecurityGroups"), groupsOfVPC},
		"elasticloadbalancing:SetSubnets":                                                                {resourceIn("", "LoadBalancerArn"), also("ec2:DescribeSubnets")},
		"elasticloadbalancing:DeleteListener ModifyListener ModifyListenerAttributes AddListenerCertificates RemoveListenerCertificates": {resourceIn("", "ListenerArn")},
		"elasticloadbalancing:CreateRule":            {resourceIn("", "ListenerArn", requestTags)},
		"elasticloadbalancing:DeleteRule ModifyRule": {resourceIn("", "RuleArn")},
		"elasticloadbalancing:SetRulePriorities":     {resourceIn("", "RulePriorities.RuleArn")},
		"elasticloadbalancing:DeleteTargetGroup DeregisterTargets ModifyTargetGroup ModifyTargetGroupAttributes RegisterTargets": {resourceIn("", "TargetGroupArn")},
		"elasticloadbalancing:AddTags RemoveTags": {resourceIn("", "ResourceArns", requestTags)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
		"iam:ListRoles": {anyResource},
		"iam:GetUser":   {resourceInOr("user/", "UserName", "*")},
		"iam:GetRole GetRolePolicy ListAttachedRolePolicies ListInstanceProfilesForRole ListRolePolicies ListRoleTags " +
			"DeleteRole DeleteRolePolicy DeleteRolePermissionsBoundary PutRolePolicy UpdateAssumeRolePolicy UpdateRole": {resourceIn("role/", "RoleName")},
		"iam:CreateRole":                              {newNamed("role/", "RoleName", key("iam:PermissionsBoundary", "PermissionsBoundary"))},
		"iam:PutRolePermissionsBoundary":              {resourceIn("role/", "RoleName", key("iam:PermissionsBoundary", "PermissionsBoundary"))},
		"iam:AttachRolePolicy DetachRolePolicy":       {resourceIn("role/", "RoleName", key("iam:PolicyARN", "PolicyArn"))},
		"iam:CreatePolicy":                            {newNamed("policy/", "PolicyName")},
		"iam:DeletePolicy GetPolicy GetPolicyVersion": {resourceIn("policy/", "PolicyArn")},
		"iam:TagRole UntagRole":                       {resourceIn("role/", "RoleName", requestTags)},
		"iam:CreateServiceLinkedRole":                 {serviceLinkedRole},
		"iam:DeleteServiceLinkedRole":                 {resourceIn("role/", "RoleName")},
		"iam:GetServiceLinkedRoleDeletionStatus":      {anyResource},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
		"logs:DescribeLogGroups": {logGroups},
		"logs:CreateLogGroup":    {logGroup(requestTags), newLogTags},
		"logs:DeleteLogGroup DeleteRetentionPolicy DescribeLogStreams FilterLogEvents ListTagsLogGroup PutLogGroupDeletionProtection PutRetentionPolicy": {logGroup()},
		"logs:TagLogGroup UntagLogGroup":                                 {logGroup(requestTags)},
		"logs:CreateLogStream DeleteLogStream GetLogEvents PutLogEvents": {logStream},
		"logs:ListTagsForResource":                                       {resourceIn("", "ResourceArn")},
		"logs:TagResource UntagResource":                                 {resourceIn("", "ResourceArn", requestTags)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html
		"rds:DescribeAccountAttributes DescribeCertificates DescribeDBEngineVersions DescribeDBMajorEngineVersions DescribeEngineDefaultParameters DescribeEvents DescribeOrderableDBInstanceOptions": {anyResource},
		"rds:DescribePendingMaintenanceActions":  {resourceInOr("", "ResourceIdentifier", "db:*")},
		"rds:DescribeDBInstances":                {resourceInOr("db:", "DBInstanceIdentifier", "*")},
		"rds:DescribeDBInstanceAutomatedBackups": {resourceInOr("db:", "DBInstanceIdentifier", "*")},
		"rds:DescribeDBParameterGroups":          {resourceInOr("pg:", "DBParameterGroupName", "*")},
		"rds:DescribeDBSubnetGroups":             {resourceInOr("subgrp:", "DBSubnetGroupName", "*")},
		"rds:DescribeDBSnapshots":                {resourceInOr("snapshot:", "DBSnapshotIdentifier", "*"), resourceIn("db:", "DBInstanceIdentifier")},
		"rds:DescribeDBParameters ModifyDBParameterGroup ResetDBParameterGroup DeleteDBParameterGroup": {resourceIn("pg:", "DBParameterGroupName")},
		"rds:CreateDBParameterGroup":                  {newNamed("pg:", "DBParameterGroupName")},
		"rds:CreateDBSubnetGroup":                     {newNamed("subgrp:", "DBSubnetGroupName")},
		"rds:DeleteDBSubnetGroup ModifyDBSubnetGroup": {resourceIn("subgrp:", "DBSubnetGroupName")},
		"rds:CreateDBInstance": {
			newNamed("db:", "DBInstanceIdentifier", key("rds:PubliclyAccessible", "PubliclyAccessible")),
			resourceIn("subgrp:", "DBSubnetGroupName"), resourceInOr("pg:", "DBParameterGroupName", "default*"), resourceInOr("og:", "OptionGroupName", "default:*"), createsLinkedRole("rds.amazonaws.com"),
		},
		"rds:RestoreDBInstanceFromDBSnapshot": {
			newNamed("db:", "DBInstanceIdentifier", key("rds:PubliclyAccessible", "PubliclyAccessible")), resourceIn("snapshot:", "DBSnapshotIdentifier"),
			resourceIn("subgrp:", "DBSubnetGroupName"), resourceInOr("pg:", "DBParameterGroupName", "default*"), resourceInOr("og:", "OptionGroupName", "default:*"), createsLinkedRole("rds.amazonaws.com"),
		},
		"rds:ModifyDBInstance": {resourceIn("db:", "DBInstanceIdentifier"), resourceIn("pg:", "DBParameterGroupName"), resourceIn("subgrp:", "DBSubnetGroupName"), resourceIn("og:", "OptionGroupName")},
		"rds:DescribeDBLogFiles DescribeValidDBInstanceModifications DownloadDBLogFilePortion": {resourceIn("db:", "DBInstanceIdentifier")},
		"rds:DescribeDBSnapshotAttributes ModifyDBSnapshot":                                    {resourceIn("snapshot:", "DBSnapshotIdentifier")},
		"rds:RebootDBInstance StartDBInstance":                                                 {resourceIn("db:", "DBInstanceIdentifier")},
		"rds:StartDBInstanceAutomatedBackupsReplication":                                       {resourceIn("", "SourceDBInstanceArn")},
		"rds:StopDBInstance":                           {resourceIn("db:", "DBInstanceIdentifier"), snapshotOf("DBSnapshotIdentifier")},
		"rds:DeleteDBInstance":                         {resourceIn("db:", "DBInstanceIdentifier"), snapshotOf("FinalDBSnapshotIdentifier")},
		"rds:CreateDBSnapshot":                         {newNamed("snapshot:", "DBSnapshotIdentifier"), resourceIn("db:", "DBInstanceIdentifier", requestTags)},
		"rds:CopyDBSnapshot":                           {newNamed("snapshot:", "TargetDBSnapshotIdentifier"), resourceIn("snapshot:", "SourceDBSnapshotIdentifier")},
		"rds:DeleteDBSnapshot":                         {resourceIn("snapshot:", "DBSnapshotIdentifier")},
		"rds:DeleteDBInstanceAutomatedBackup":          {automatedBackup},
		"rds:ListTagsForResource":                      {resourceIn("", "ResourceName")},
		"rds:AddTagsToResource RemoveTagsFromResource": {resourceIn("", "ResourceName", requestTags)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonroute53.html
		"route53:ListHostedZones ListHostedZonesByName CreateHostedZone": {anyResource},
		"route53:GetHostedZone DeleteHostedZone":                         {zone("Id")},
		"route53:ListResourceRecordSets":                                 {zone("HostedZoneId")},
		"route53:ChangeResourceRecordSets":                               {records},
		"route53:GetChange":                                              {change},
		"route53:ListTagsForResource ChangeTagsForResource":              {zone("ResourceId")},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html
		"secretsmanager:GetRandomPassword ListSecrets": {anyResource},
		"secretsmanager:CreateSecret":                  {newSecret},
		"secretsmanager:CancelRotateSecret DeleteResourcePolicy DeleteSecret DescribeSecret GetResourcePolicy GetSecretValue ListSecretVersionIds PutResourcePolicy PutSecretValue RestoreSecret RotateSecret " +
			"RemoveRegionsFromReplication ReplicateSecretToRegions StopReplicationToReplica UpdateSecret UpdateSecretVersionStage": {secret()},
		"secretsmanager:TagResource UntagResource": {secret(requestTags)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html
		"ssm:DescribeParameters": {anyResource},
		"ssm:PutParameter":       {parameterNamed},
		"ssm:DeleteParameter GetParameter GetParameterHistory LabelParameterVersion": {parameter("Name")},
		"ssm:DeleteParameters GetParameters":                                         {parameter("Names")},
		"ssm:GetParametersByPath":                                                    {parameter("Path")},
		"ssm:ListTagsForResource":                                                    {parameter("ResourceId")},
		"ssm:AddTagsToResource RemoveTagsFromResource":                               {parameter("ResourceId", requestTags)},
		"ssm:StartSession":                                                           {session},

		"sts:AssumeRole":        {}, // checked by the operation, since the role's trust policy may be enough
		"sts:GetSessionToken":   {}, // checked by the operation too: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_getsessiontoken.html
		"sts:GetCallerIdentity": {}, // needs no permission: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonresourcegrouptaggingapi.html
		"tag:GetResources GetTagKeys GetTagValues": {anyResource},
		"tag:TagResources":                         {anyResource, ownTagging(addsTags)},
		"tag:UntagResources":                       {anyResource, ownTagging(removesTags)},

		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awspricelist.html
		"pricing:DescribeServices GetAttributeValues GetProducts": {anyResource},
	})
})

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
