package iampolicy

import "github.com/bookctl/bookctl/internal/naming"

// names are those of the stack of the scope, with placeholders.
var names = naming.Names{Stack: "{s}", Region: "{r}"}

// grant allows actions on resources. In resources and conditions, "{p}", "{r}",
// "{a}" and "{s}" stand for partition, region, account and stack, "{boundary}",
// "{domain}", "{zone}", "{vpc}", "{snapshot}" and "{repository}" for those of the scope, and "{from}" for
// the snapshot's region and account; no resources means all, where
// IAM knows none for the actions.
type grant struct {
	sid       string // becomes the statement's Sid
	actions   string // separated by spaces, without the service
	service   string
	resources []string
	condition conditionBlock
	only      func(Scope) bool // nil for always
}

func withDomain(s Scope) bool      { return s.Domain != "" }
func withRepository(s Scope) bool  { return s.Repository != "" }
func withBoundary(s Scope) bool    { return s.Boundary != "" }
func withoutBoundary(s Scope) bool { return s.Boundary == "" }
func withVPC(s Scope) bool         { return s.VPC != "" }
func withoutVPC(s Scope) bool      { return s.VPC == "" }
func withPolicies(s Scope) bool    { return s.TaskPolicies != nil }

func policiesWithoutBoundary(s Scope) bool { return withPolicies(s) && withoutBoundary(s) }
func policiesWithBoundary(s Scope) bool    { return withPolicies(s) && withBoundary(s) }

// withSnapshot holds for a snapshot of this region and account.
func withSnapshot(s Scope) bool {
	arn, copied := s.snapshot()
	return arn != "" && !copied
}

// withCopy holds for a snapshot of another region or account.
func withCopy(s Scope) bool {
	_, copied := s.snapshot()
	return copied
}

// conditionBlock is the condition of an IAM statement: operator, key, values.
type conditionBlock map[string]map[string][]string

const (
	stackTag   = "aws:ResourceTag/" + naming.TagStack
	stackGiven = "aws:RequestTag/" + naming.TagStack
)

var (
	// ours holds for what has the stack's tag, and tagging for requests that give it
	// to what they make.
	ours    = conditionBlock{"StringEquals": {stackTag: {"{s}"}}}
	tagging = conditionBlock{"StringEquals": {stackGiven: {"{s}"}}}
	// noOthers holds for what has no stack's tag or ours: what has no tag yet when it
	// is made, and no name that ends where the stack's names end. A snapshot
	// book-final-… can be one of a stack called book-final.
	noOthers = conditionBlock{"StringEqualsIfExists": {stackTag: {"{s}"}}}
	// bounded holds for roles that have the boundary, and for calls that give it.
	bounded = conditionBlock{"StringEquals": {"iam:PermissionsBoundary": {"{boundary}"}}}
	// attaching holds for calls that attach one of the scope's policies.
	attaching = conditionBlock{"ArnEquals": {"iam:PolicyARN": {taskPolicies}}}
)

// taskPolicies stands for all of Scope.TaskPolicies in resources and conditions.
const taskPolicies = "{policies}"

// grants are all that bookctl asks of AWS, from the service authorization
// reference, which says for each action what resources and conditions it knows:
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
// It is not all: what AWS checks besides is in docs/aws.md, with its sources.
//
// Actions that only read and know no resource are allowed on all. Every other
// one is bound to the names that a stack gives, or to its tag. GetCallerIdentity
// needs no permission.
var grants = []grant{
	// The load balancer's service asks with the caller's permissions for what the
	// code does not: addresses and attributes of the account, and the security groups
	// that a VPC may use. ValidateSecurityGroupQuotasForInterface is not among them, since
	// only AWS's services can call it.
	{sid: "ReadNetwork", service: "ec2", actions: "DescribeAccountAttributes DescribeAddresses DescribeAvailabilityZones DescribeDhcpOptions DescribeInternetGateways DescribeNetworkAcls DescribeNetworkInterfaces " +
		"DescribeRouteTables DescribeSecurityGroupRules DescribeSecurityGroups DescribeSubnets DescribeVpcAttribute DescribeVpcBlockPublicAccessOptions " +
		"DescribeVpcs GetSecurityGroupsForVpc"},
	// Without it, destroy finds only by waiting what holds the network.
	{sid: "FindHolders", service: "ec2", actions: "DescribeEgressOnlyInternetGateways DescribeNatGateways DescribeSecurityGroupVpcAssociations DescribeTransitGatewayVpcAttachments " +
		"DescribeVpcEndpoints DescribeVpcPeeringConnections DescribeVpnGateways"},
	{sid: "NewVPC", service: "ec2", only: withoutVPC, actions: "CreateVpc", resources: networkParts("vpc"), condition: tagging},
	{sid: "NewNetwork", service: "ec2", only: withoutVPC, actions: "CreateInternetGateway CreateRouteTable CreateSecurityGroup CreateSubnet",
		resources: networkParts("internet-gateway", "route-table", "security-group", "subnet"), condition: tagging},
	{sid: "TagNew", service: "ec2", only: withoutVPC, actions: "CreateTags", resources: allOfEC2,
		condition: conditionBlock{"StringEquals": {"ec2:CreateAction": {"CreateInternetGateway", "CreateRouteTable", "CreateSecurityGroup", "CreateSubnet", "CreateVpc"}}}},
	// Also what is made in the stack's VPC asks for that: what is new has no tag yet, and
	// so is allowed by NewNetwork alone.
	{sid: "OwnNetwork", service: "ec2", only: withoutVPC, actions: "AssociateDhcpOptions AssociateRouteTable AttachInternetGateway AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress " +
		"CreateRoute CreateRouteTable CreateSecurityGroup CreateSubnet CreateTags DeleteInternetGateway DeleteRoute DeleteRouteTable DeleteSecurityGroup DeleteSubnet DeleteTags DeleteVpc DetachInternetGateway DisassociateRouteTable " +
		"ModifySubnetAttribute ModifyVpcAttribute ReplaceRoute ReplaceRouteTableAssociation RevokeSecurityGroupEgress RevokeSecurityGroupIngress",
		resources: allOfEC2, condition: ours},
	// A VPC's default group and the account's DHCP options can't be recognised by a
	// tag: AWS makes them without. Rules may be taken from such a group, and the DHCP options
	// given to the stack's VPC. A default network ACL has no tag either, but changing its
	// entries, or which subnets are with it, opens and shuts the networks of others.
	{sid: "Untagged", service: "ec2", only: withoutVPC, actions: "AssociateDhcpOptions RevokeSecurityGroupEgress RevokeSecurityGroupIngress",
		resources: networkParts("dhcp-options", "security-group"), condition: conditionBlock{"Null": {stackTag: {"true"}}}},

	// In an existing VPC there are security groups of the stack, and nothing else of
	// EC2's. A group is created in a VPC, which is asked for as well.
	{sid: "InVPC", service: "ec2", only: withVPC, actions: "CreateSecurityGroup", resources: []string{"arn:{p}:ec2:{r}:{a}:vpc/{vpc}"}},
	{sid: "NewGroups", service: "ec2", only: withVPC, actions: "CreateSecurityGroup", resources: networkParts("security-group"), condition: tagging},
	{sid: "TagGroups", service: "ec2", only: withVPC, actions: "CreateTags", resources: networkParts("security-group"),
		condition: conditionBlock{"StringEquals": {"ec2:CreateAction": {"CreateSecurityGroup"}}}},
	{sid: "OwnGroups", service: "ec2", only: withVPC, resources: networkParts("security-group"), condition: ours,
		actions: "AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress CreateTags DeleteSecurityGroup DeleteTags RevokeSecurityGroupEgress RevokeSecurityGroupIngress"},

	// Without it, status asks more, and list misses a stack that has no VPC.
	{sid: "FindTagged", service: "tag", actions: "GetResources"},

	{sid: "ReadBalancing", service: "elasticloadbalancing", actions: "DescribeListeners DescribeLoadBalancerAttributes DescribeLoadBalancers DescribeRules DescribeTags " +
		"DescribeTargetGroupAttributes DescribeTargetGroups DescribeTargetHealth"},
	{sid: "Balancing", service: "elasticloadbalancing", actions: "AddTags CreateListener CreateLoadBalancer CreateTargetGroup DeleteListener DeleteLoadBalancer DeleteRule DeleteTargetGroup " +
		"ModifyListener ModifyLoadBalancerAttributes ModifyTargetGroup ModifyTargetGroupAttributes RemoveTags SetIpAddressType SetSecurityGroups SetSubnets",
		resources: []string{
			"arn:{p}:elasticloadbalancing:{r}:{a}:loadbalancer/app/" + names.LoadBalancer() + "/*", "arn:{p}:elasticloadbalancing:{r}:{a}:listener/app/" + names.LoadBalancer() + "/*",
			"arn:{p}:elasticloadbalancing:{r}:{a}:listener-rule/app/" + names.LoadBalancer() + "/*",
			"arn:{p}:elasticloadbalancing:{r}:{a}:targetgroup/" + names.TargetGroup() + "/*", "arn:{p}:elasticloadbalancing:{r}:{a}:targetgroup/" + names.SecondTargetGroup() + "/*",
		}},

	{sid: "ReadCertificates", service: "acm", actions: "DescribeCertificate ListCertificates ListTagsForCertificate"},
	// A certificate of the domain in another region is renewed by the same record.
	{sid: "FindRegions", service: "ec2", only: withDomain, actions: "DescribeRegions"},
	{sid: "NewCertificate", service: "acm", only: withDomain, actions: "RequestCertificate", condition: conditionBlock{
		"StringEquals": tagging["StringEquals"], "ForAllValues:StringEquals": {"acm:DomainNames": {"{domain}"}},
	}},
	// Also asked of a request that carries tags, when the certificate has none.
	{sid: "TagCertificate", service: "acm", only: withDomain, actions: "AddTagsToCertificate", resources: certificates, condition: conditionBlock{
		"StringEquals": tagging["StringEquals"], "StringEqualsIfExists": noOthers["StringEqualsIfExists"],
	}},
	{sid: "Certificate", service: "acm", actions: "DeleteCertificate RemoveTagsFromCertificate", resources: certificates, condition: ours},
	{sid: "FindZone", service: "route53", only: withDomain, actions: "ListHostedZonesByName"},
	{sid: "ReadRecords", service: "route53", only: withDomain, actions: "ListResourceRecordSets", resources: hostedZones},
	// The name itself and the record that proves it to ACM.
	{sid: "Records", service: "route53", only: withDomain, actions: "ChangeResourceRecordSets", resources: hostedZones, condition: conditionBlock{
		"ForAllValues:StringLike": {"route53:ChangeResourceRecordSetsNormalizedRecordNames": {"{domain}", "_*.{domain}"}},
	}},

	{sid: "ReadDatabases", service: "rds", actions: "DescribeDBEngineVersions DescribeDBInstanceAutomatedBackups DescribeDBInstances DescribeDBMajorEngineVersions DescribeDBParameterGroups DescribeDBParameters DescribeDBSnapshots " +
		"DescribeDBSubnetGroups DescribeEvents DescribeOrderableDBInstanceOptions ListTagsForResource"},
	{sid: "Database", service: "rds", actions: "AddTagsToResource CreateDBInstance CreateDBParameterGroup CreateDBSnapshot CreateDBSubnetGroup DeleteDBInstance DeleteDBParameterGroup " +
		"DeleteDBSubnetGroup DescribeDBLogFiles DownloadDBLogFilePortion ModifyDBInstance ModifyDBParameterGroup ModifyDBSubnetGroup RemoveTagsFromResource RestoreDBInstanceFromDBSnapshot StartDBInstance StopDBInstance",
		resources: []string{
			"arn:{p}:rds:{r}:{a}:db:" + names.Database(), "arn:{p}:rds:{r}:{a}:pg:" + names.DBParameterGroup(), "arn:{p}:rds:{r}:{a}:pg:" + names.DBParameterGroupOf("postgres??"),
			"arn:{p}:rds:{r}:{a}:subgrp:" + names.DBSubnetGroup(), "arn:{p}:rds:{r}:{a}:og:default:*",
		}},
	// Deleting a database takes these two for its final snapshot, to which it copies
	// the tags; an upgrade takes one before.
	{sid: "Final", service: "rds", actions: "AddTagsToResource CreateDBSnapshot", resources: []string{"arn:{p}:rds:{r}:{a}:snapshot:{s}-final-*"}, condition: noOthers},
	{sid: "Snapshots", service: "rds", actions: "DeleteDBInstanceAutomatedBackup DeleteDBSnapshot RestoreDBInstanceFromDBSnapshot",
		resources: []string{"arn:{p}:rds:{r}:{a}:snapshot:*", "arn:{p}:rds:{r}:{a}:auto-backup:*"}, condition: ours},

	{sid: "RestoreFrom", service: "rds", only: withSnapshot, actions: "RestoreDBInstanceFromDBSnapshot", resources: []string{"{snapshot}"}},
	{sid: "CopyFrom", service: "rds", only: withCopy, actions: "CopyDBSnapshot", resources: []string{"{snapshot}", "arn:{p}:rds:{r}:{a}:snapshot:{s}-final-copy-*"}},
	// RDS uses the key with the caller's permissions; the key's own policy has to allow it too:
	// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/share-encrypted-snapshot.html
	{sid: "CopyKey", service: "kms", only: withCopy, actions: "CreateGrant Decrypt DescribeKey Encrypt GenerateDataKey GenerateDataKeyWithoutPlaintext ReEncryptFrom ReEncryptTo", resources: []string{"arn:{p}:kms:{from}:key/*"},
		condition: conditionBlock{"StringLike": {"kms:ViaService": {"rds.*"}}}},

	{sid: "NewPassword", service: "secretsmanager", actions: "GetRandomPassword"},
	// The ARN of a secret ends with six characters that it gets when it is made.
	{sid: "Secret", service: "secretsmanager", actions: "CancelRotateSecret CreateSecret DeleteSecret DescribeSecret GetSecretValue PutSecretValue RestoreSecret TagResource UntagResource",
		resources: []string{
			"arn:{p}:secretsmanager:{r}:{a}:secret:" + names.Secret(), "arn:{p}:secretsmanager:{r}:{a}:secret:" + names.Secret() + "-??????",
			"arn:{p}:secretsmanager:{r}:{a}:secret:" + names.EnvironmentSecret(), "arn:{p}:secretsmanager:{r}:{a}:secret:" + names.EnvironmentSecret() + "-??????",
		}},

	// What --secret and --registry-secret name, of which nothing is known here. Neither action
	// reads a value.
	{sid: "GivenSecrets", service: "secretsmanager", actions: "DescribeSecret", resources: []string{"arn:{p}:secretsmanager:{r}:{a}:secret:*"}},
	{sid: "GivenParameters", service: "ssm", actions: "DescribeParameters"},

	{sid: "ReadLogs", service: "logs", actions: "DescribeLogGroups"},
	{sid: "Logs", service: "logs", actions: "CreateLogGroup DeleteLogGroup FilterLogEvents GetLogEvents ListTagsForResource PutRetentionPolicy TagResource UntagResource",
		resources: []string{
			"arn:{p}:logs:{r}:{a}:log-group:" + names.LogGroup(), "arn:{p}:logs:{r}:{a}:log-group:" + names.LogGroup() + ":*",
			"arn:{p}:logs:{r}:{a}:log-group:/aws/rds/instance/" + names.Database() + "/*",
		}},

	{sid: "ImagesLogin", service: "ecr", actions: "GetAuthorizationToken"},
	// The last line is for the registry, which speaks its own protocol.
	{sid: "Images", service: "ecr", actions: "BatchDeleteImage CreateRepository DeleteRepository DescribeImages DescribeRepositories GetLifecyclePolicy ListTagsForResource " +
		"PutImageScanningConfiguration PutImageTagMutability PutLifecyclePolicy TagResource UntagResource " +
		registryActions,
		resources: []string{"arn:{p}:ecr:{r}:{a}:repository/" + names.Repository()}},

	// Reading an image is a part of pulling it, which the tasks do by their execution role:
	// https://docs.aws.amazon.com/AmazonECR/latest/userguide/ECR_on_ECS.html
	// That of a pull-through cache may be imported by it:
	// https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache-iam.html
	{sid: "ImagesOf", service: "ecr", only: withRepository, actions: "BatchGetImage BatchImportUpstreamImage GetDownloadUrlForLayer", resources: []string{"{repository}"}},

	{sid: "ReadContainers", service: "ecs", actions: "DeregisterTaskDefinition DescribeTaskDefinition ListServices ListTaskDefinitions ListTasks"},
	// A revision that is being registered has no number yet: its tags are asked for
	// by the name of the family alone.
	{sid: "Containers", service: "ecs", actions: "CreateCluster CreateService DeleteCluster DeleteService DeleteTaskDefinitions DescribeClusters DescribeServiceDeployments DescribeServiceRevisions DescribeServices DescribeTasks ExecuteCommand ListServiceDeployments " +
		"PutClusterCapacityProviders RegisterTaskDefinition RunTask StopServiceDeployment StopTask TagResource UntagResource UpdateService",
		resources: []string{
			"arn:{p}:ecs:{r}:{a}:cluster/" + names.Cluster(), "arn:{p}:ecs:{r}:{a}:service/" + names.Cluster() + "/" + names.Service(),
			// The deployments and revisions of the service.
			"arn:{p}:ecs:{r}:{a}:service-deployment/" + names.Cluster() + "/" + names.Service() + "/*", "arn:{p}:ecs:{r}:{a}:service-revision/" + names.Cluster() + "/" + names.Service() + "/*",
			"arn:{p}:ecs:{r}:{a}:task-definition/" + names.TaskDefinition(), "arn:{p}:ecs:{r}:{a}:task-definition/" + names.TaskDefinition() + ":*", "arn:{p}:ecs:{r}:{a}:task/" + names.Cluster() + "/*",
		}},

	{sid: "Tunnel", service: "ssm", actions: "StartSession",
		resources: []string{"arn:{p}:ecs:{r}:{a}:task/" + names.Cluster() + "/*", "arn:{p}:ssm:{r}::document/AWS-StartPortForwardingSessionToRemoteHost"}},
	// What AWS's session-manager-plugin asks for. Only who has a session's token can
	// open its channel.
	{sid: "Channel", service: "ssmmessages", actions: "OpenDataChannel"},
	{sid: "Sessions", service: "ssm", actions: "ResumeSession TerminateSession", resources: []string{"arn:{p}:ssm:{r}:{a}:session/${aws:userid}-*"}},

	{sid: "ReadScaling", service: "application-autoscaling", actions: "DescribeScalableTargets DescribeScalingPolicies DescribeScheduledActions"},
	// The ARN of a scalable target says nothing of its service. Whoever registers one
	// needs ecs:UpdateService on the service as well.
	{sid: "NewScaling", service: "application-autoscaling", actions: "RegisterScalableTarget TagResource", resources: scalableTargets, condition: tagging},
	{sid: "Scaling", service: "application-autoscaling", actions: "DeleteScalingPolicy DeregisterScalableTarget PutScalingPolicy RegisterScalableTarget",
		resources: scalableTargets, condition: ours},
	// Target tracking makes its alarms with the caller's permissions.
	{sid: "ReadAlarms", service: "cloudwatch", actions: "DescribeAlarms"},
	// SetAlarmState is what 'bookctl alarm test' does.
	{sid: "Alarms", service: "cloudwatch", actions: "DeleteAlarms ListTagsForResource PutMetricAlarm SetAlarmState TagResource UntagResource",
		resources: []string{"arn:{p}:cloudwatch:{r}:{a}:alarm:TargetTracking-" + names.ScalableTarget() + "-*", "arn:{p}:cloudwatch:{r}:{a}:alarm:" + names.Alarm("*")}},
	// GetTopicAttributes also looks at an existing topic, of which nothing is
	// known here. Unsubscribe supports no resource: only the topic has the subscription's ARN.
	{sid: "AlarmTopics", service: "sns", actions: "GetTopicAttributes Unsubscribe"},
	{sid: "AlarmTopic", service: "sns", actions: "CreateTopic DeleteTopic ListSubscriptionsByTopic ListTagsForResource SetTopicAttributes Subscribe TagResource UntagResource",
		resources: []string{"arn:{p}:sns:{r}:{a}:" + names.AlarmTopic()}},
	{sid: "FailedRelease", service: "events", actions: "DeleteRule DescribeRule ListTagsForResource ListTargetsByRule PutRule PutTargets RemoveTargets TagResource UntagResource",
		resources: []string{"arn:{p}:events:{r}:{a}:rule/" + names.ReleaseRule()}},
	// For 'bookctl alarm test': events of that source are of the stack's alone.
	{sid: "TestRelease", service: "events", actions: "PutEvents", resources: []string{"arn:{p}:events:{r}:{a}:event-bus/default"},
		condition: conditionBlock{"ForAllValues:StringEquals": {"events:source": {names.EventSource()}}}},

	{sid: "ReadRoles", service: "iam", actions: "ListRoles"},
	{sid: "Roles", service: "iam", actions: "DeleteRole DeleteRolePolicy DetachRolePolicy GetRole GetRolePolicy ListAttachedRolePolicies ListRolePolicies TagRole UntagRole", resources: stackRoles},
	{sid: "ChangeRoles", service: "iam", only: withoutBoundary, resources: stackRoles,
		actions: "CreateRole DeleteRolePermissionsBoundary PutRolePermissionsBoundary PutRolePolicy UpdateAssumeRolePolicy"},
	{sid: "BoundedRoles", service: "iam", only: withBoundary, resources: stackRoles, condition: bounded,
		actions: "CreateRole PutRolePermissionsBoundary PutRolePolicy UpdateAssumeRolePolicy"},
	// Without the user's word no policy can be attached to a role.
	{sid: "FindTaskPolicies", service: "iam", only: withPolicies, actions: "GetPolicy", resources: []string{taskPolicies}},
	{sid: "TaskPolicies", service: "iam", only: policiesWithoutBoundary, actions: "AttachRolePolicy", resources: taskRole, condition: attaching},
	{sid: "BoundedTaskPolicies", service: "iam", only: policiesWithBoundary, actions: "AttachRolePolicy", resources: taskRole,
		condition: conditionBlock{"ArnEquals": attaching["ArnEquals"], "StringEquals": bounded["StringEquals"]}},
	{sid: "PassRoles", service: "iam", actions: "PassRole", resources: stackRoles,
		condition: conditionBlock{"StringEquals": {"iam:PassedToService": {"ecs-tasks.amazonaws.com", "ecs.amazonaws.com"}}}},
	{sid: "NewAccount", service: "iam", actions: "CreateServiceLinkedRole", resources: []string{"arn:{p}:iam::{a}:role/aws-service-role/*"},
		condition: conditionBlock{"StringEquals": {"iam:AWSServiceName": {
			"ecs.amazonaws.com", "ecs.application-autoscaling.amazonaws.com", "elasticloadbalancing.amazonaws.com", "rds.amazonaws.com",
		}}}},

	{sid: "Prices", service: "pricing", actions: "GetProducts"}, // for --price live

	{sid: "Lock", service: "ssm", actions: "AddTagsToResource DeleteParameters GetParameters GetParametersByPath PutParameter",
		resources: []string{"arn:{p}:ssm:{r}:{a}:parameter" + names.Lock() + "*"}}, // the path and what is below it
}

// registryActions are what pushing an image takes:
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html
const registryActions = "BatchCheckLayerAvailability BatchGetImage CompleteLayerUpload GetDownloadUrlForLayer InitiateLayerUpload PutImage UploadLayerPart"

var (
	allOfEC2        = []string{"arn:{p}:ec2:{r}:{a}:*"}
	stackRoles      = []string{"arn:{p}:iam::{a}:role/" + names.Role(naming.ExecutionRole), "arn:{p}:iam::{a}:role/" + names.Role(naming.TaskRole), "arn:{p}:iam::{a}:role/" + names.Role(naming.BalancingRole)}
	taskRole        = []string{"arn:{p}:iam::{a}:role/" + names.Role(naming.TaskRole)}
	certificates    = []string{"arn:{p}:acm:{r}:{a}:certificate/*"}
	hostedZones     = []string{"arn:{p}:route53:::hostedzone/{zone}"}
	scalableTargets = []string{"arn:{p}:application-autoscaling:{r}:{a}:*"} // the service has no other resources
)

func networkParts(kinds ...string) []string {
	var out []string
	for _, k := range kinds {
		out = append(out, "arn:{p}:ec2:{r}:{a}:"+k+"/*")
	}
	return out
}
