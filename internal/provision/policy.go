package provision

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// grant allows actions on resources. In resources, "{p}", "{r}", "{a}" and
// "{s}" stand for partition, region, account and stack; none means all, where
// IAM knows no resources for the actions.
type grant struct {
	why       string // becomes the statement's Sid
	actions   string // separated by spaces, without the service
	service   string
	resources []string
	when      condition
}

// condition is an IAM condition block: operator, key, values.
type condition map[string]map[string][]string

// ours holds for what has the stack's tag, and tagging for requests that give
// it to what they make.
var (
	ours    = condition{"StringEquals": {"aws:ResourceTag/" + TagStack: {"{s}"}}}
	tagging = condition{"StringEquals": {"aws:RequestTag/" + TagStack: {"{s}"}}}
)

// grants are all that bookctl asks of AWS, from the service authorization
// reference, which says for each action what resources and conditions it knows:
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
//
// Actions that only read and know no resource are allowed on all. Every other
// one is bound to the names that a stack gives, or to its tag. GetCallerIdentity
// needs no permission.
var grants = []grant{
	{why: "ReadNetwork", service: "ec2", actions: "DescribeAvailabilityZones DescribeInternetGateways DescribeNetworkInterfaces DescribeRouteTables " +
		"DescribeSecurityGroupRules DescribeSecurityGroups DescribeSubnets DescribeVpcAttribute DescribeVpcs"},
	{why: "MakeNetwork", service: "ec2", actions: "CreateInternetGateway CreateRouteTable CreateSecurityGroup CreateSubnet CreateVpc",
		resources: networkParts("internet-gateway", "route-table", "security-group", "subnet", "vpc"), when: tagging},
	{why: "MakeInOwnNetwork", service: "ec2", actions: "CreateRouteTable CreateSecurityGroup CreateSubnet", resources: networkParts("vpc"), when: ours},
	{why: "TagNewNetwork", service: "ec2", actions: "CreateTags", resources: networkParts("internet-gateway", "route-table", "security-group", "subnet", "vpc"),
		when: condition{"StringEquals": {"ec2:CreateAction": {"CreateInternetGateway", "CreateRouteTable", "CreateSecurityGroup", "CreateSubnet", "CreateVpc"}}}},
	{why: "ChangeOwnNetwork", service: "ec2", actions: "AssociateRouteTable AttachInternetGateway AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress " +
		"CreateRoute CreateTags DeleteInternetGateway DeleteRoute DeleteRouteTable DeleteSecurityGroup DeleteSubnet DeleteVpc DetachInternetGateway DisassociateRouteTable " +
		"ModifySubnetAttribute ModifyVpcAttribute ReplaceRoute ReplaceRouteTableAssociation RevokeSecurityGroupEgress RevokeSecurityGroupIngress",
		resources: networkParts("internet-gateway", "route-table", "security-group", "subnet", "vpc"), when: ours},
	// The default group of a VPC can't be told from others' by a tag: it has none
	// when it is made. What is nobody's may be closed, and nothing else.
	{why: "CloseDefaultGroup", service: "ec2", actions: "RevokeSecurityGroupEgress RevokeSecurityGroupIngress", resources: networkParts("security-group"),
		when: condition{"Null": {"aws:ResourceTag/" + TagStack: {"true"}}}},

	// Without it, status asks more, and list misses a stack that has no VPC.
	{why: "FindTagged", service: "tag", actions: "GetResources"},

	{why: "ReadBalancing", service: "elasticloadbalancing", actions: "DescribeListeners DescribeLoadBalancerAttributes DescribeLoadBalancers DescribeTags " +
		"DescribeTargetGroupAttributes DescribeTargetGroups DescribeTargetHealth"},
	{why: "Balancing", service: "elasticloadbalancing", actions: "AddTags CreateListener CreateLoadBalancer CreateTargetGroup DeleteListener DeleteLoadBalancer DeleteTargetGroup " +
		"ModifyListener ModifyLoadBalancerAttributes ModifyTargetGroup ModifyTargetGroupAttributes SetSecurityGroups SetSubnets",
		resources: []string{
			"arn:{p}:elasticloadbalancing:{r}:{a}:loadbalancer/app/{s}-lb/*", "arn:{p}:elasticloadbalancing:{r}:{a}:listener/app/{s}-lb/*",
			"arn:{p}:elasticloadbalancing:{r}:{a}:targetgroup/{s}-tasks/*",
		}},

	{why: "ReadCertificates", service: "acm", actions: "DescribeCertificate ListCertificates ListTagsForCertificate"},
	{why: "NewCertificate", service: "acm", actions: "RequestCertificate", when: tagging},
	{why: "Certificate", service: "acm", actions: "AddTagsToCertificate DeleteCertificate", resources: []string{"arn:{p}:acm:{r}:{a}:certificate/*"}, when: ours},
	{why: "FindZone", service: "route53", actions: "ListHostedZonesByName ListResourceRecordSets"},
	{why: "Records", service: "route53", actions: "ChangeResourceRecordSets", resources: []string{"arn:{p}:route53:::hostedzone/*"}},

	{why: "ReadDatabases", service: "rds", actions: "DescribeDBInstanceAutomatedBackups DescribeDBInstances DescribeDBParameterGroups DescribeDBParameters DescribeDBSnapshots " +
		"DescribeDBSubnetGroups DescribeOrderableDBInstanceOptions ListTagsForResource"},
	{why: "Database", service: "rds", actions: "AddTagsToResource CreateDBInstance CreateDBParameterGroup CreateDBSubnetGroup DeleteDBInstance DeleteDBParameterGroup " +
		"DeleteDBSubnetGroup ModifyDBInstance ModifyDBParameterGroup ModifyDBSubnetGroup RestoreDBInstanceFromDBSnapshot",
		resources: []string{
			"arn:{p}:rds:{r}:{a}:db:{s}-database", "arn:{p}:rds:{r}:{a}:pg:{s}-database", "arn:{p}:rds:{r}:{a}:subgrp:{s}-database",
			"arn:{p}:rds:{r}:{a}:snapshot:{s}-final-*", "arn:{p}:rds:{r}:{a}:og:default:*",
		}},
	{why: "RestoreSnapshots", service: "rds", actions: "RestoreDBInstanceFromDBSnapshot", resources: []string{"arn:{p}:rds:{r}:{a}:snapshot:*"}},
	{why: "PurgeOwnSnapshots", service: "rds", actions: "DeleteDBInstanceAutomatedBackup DeleteDBSnapshot",
		resources: []string{"arn:{p}:rds:{r}:{a}:snapshot:*", "arn:{p}:rds:{r}:{a}:auto-backup:*"}, when: ours},

	{why: "ReadSecrets", service: "secretsmanager", actions: "GetRandomPassword ListSecrets"},
	{why: "Secret", service: "secretsmanager", actions: "CreateSecret DeleteSecret DescribeSecret GetSecretValue PutSecretValue RestoreSecret TagResource",
		resources: []string{"arn:{p}:secretsmanager:{r}:{a}:secret:{s}/database-*"}},

	{why: "ReadLogs", service: "logs", actions: "DescribeLogGroups", resources: []string{"arn:{p}:logs:{r}:{a}:log-group:*"}},
	{why: "Logs", service: "logs", actions: "CreateLogGroup DeleteLogGroup FilterLogEvents GetLogEvents ListTagsForResource PutRetentionPolicy TagResource",
		resources: []string{
			"arn:{p}:logs:{r}:{a}:log-group:/bookctl/{s}", "arn:{p}:logs:{r}:{a}:log-group:/bookctl/{s}:*",
			"arn:{p}:logs:{r}:{a}:log-group:/aws/rds/instance/{s}-database/*",
		}},

	{why: "ImagesLogin", service: "ecr", actions: "GetAuthorizationToken"},
	// The last line is for the registry, which speaks its own protocol.
	{why: "Images", service: "ecr", actions: "CreateRepository DeleteRepository DescribeImages DescribeRepositories GetLifecyclePolicy ListTagsForResource " +
		"PutImageScanningConfiguration PutImageTagMutability PutLifecyclePolicy TagResource " +
		registryActions,
		resources: []string{"arn:{p}:ecr:{r}:{a}:repository/{s}/bookapi"}},

	{why: "ReadContainers", service: "ecs", actions: "DeregisterTaskDefinition DescribeTaskDefinition ListTaskDefinitions ListTasks"},
	{why: "Containers", service: "ecs", actions: "CreateCluster CreateService DeleteCluster DeleteService DeleteTaskDefinitions DescribeClusters DescribeServices DescribeTasks ExecuteCommand " +
		"RegisterTaskDefinition StopTask TagResource UpdateService",
		resources: []string{
			"arn:{p}:ecs:{r}:{a}:cluster/{s}-cluster", "arn:{p}:ecs:{r}:{a}:service/{s}-cluster/{s}-service",
			"arn:{p}:ecs:{r}:{a}:task-definition/{s}-bookapi:*", "arn:{p}:ecs:{r}:{a}:task/{s}-cluster/*",
		}},

	{why: "Tunnel", service: "ssm", actions: "StartSession",
		resources: []string{"arn:{p}:ecs:{r}:{a}:task/{s}-cluster/*", "arn:{p}:ssm:{r}::document/AWS-StartPortForwardingSessionToRemoteHost"}},

	{why: "ReadScaling", service: "application-autoscaling", actions: "DescribeScalableTargets DescribeScalingPolicies DescribeScheduledActions"},
	{why: "Scaling", service: "application-autoscaling", actions: "DeleteScalingPolicy DeregisterScalableTarget PutScalingPolicy RegisterScalableTarget TagResource",
		resources: []string{"arn:{p}:application-autoscaling:{r}:{a}:scalable-target/*"},
		when:      condition{"StringEqualsIfExists": {"application-autoscaling:service-namespace": {"ecs"}}}},

	{why: "ReadRoles", service: "iam", actions: "ListRoles"},
	{why: "Roles", service: "iam", actions: "CreateRole DeleteRole DeleteRolePolicy DetachRolePolicy GetRole GetRolePolicy ListAttachedRolePolicies ListRolePolicies PutRolePolicy " +
		"TagRole UpdateAssumeRolePolicy", resources: stackRoles},
	{why: "PassRolesToTasks", service: "iam", actions: "PassRole", resources: stackRoles,
		when: condition{"StringEquals": {"iam:PassedToService": {"ecs-tasks.amazonaws.com"}}}},
	{why: "NewAccount", service: "iam", actions: "CreateServiceLinkedRole", resources: []string{"arn:{p}:iam::{a}:role/aws-service-role/*"},
		when: condition{"StringEquals": {"iam:AWSServiceName": {
			"ecs.amazonaws.com", "ecs.application-autoscaling.amazonaws.com", "elasticloadbalancing.amazonaws.com", "rds.amazonaws.com",
		}}}},

	{why: "Prices", service: "pricing", actions: "GetProducts"}, // for --price live

	{why: "Lock", service: "ssm", actions: "AddTagsToResource DeleteParameters GetParameters GetParametersByPath PutParameter",
		resources: []string{"arn:{p}:ssm:{r}:{a}:parameter/bookctl/{s}/lock", "arn:{p}:ssm:{r}:{a}:parameter/bookctl/{s}/lock/*"}},
}

// registryActions are what pushing an image takes:
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html
const registryActions = "BatchCheckLayerAvailability BatchGetImage CompleteLayerUpload GetDownloadUrlForLayer InitiateLayerUpload PutImage UploadLayerPart"

var stackRoles = []string{"arn:{p}:iam::{a}:role/{s}-execution-role", "arn:{p}:iam::{a}:role/{s}-task-role"}

func networkParts(kinds ...string) []string {
	var out []string
	for _, k := range kinds {
		out = append(out, "arn:{p}:ec2:{r}:{a}:"+k+"/*")
	}
	return out
}

// PolicyStatement is a statement of an IAM policy.
type PolicyStatement struct {
	Sid       string                         `json:"Sid"`
	Effect    string                         `json:"Effect"`
	Action    []string                       `json:"Action"`
	Resource  []string                       `json:"Resource"`
	Condition map[string]map[string][]string `json:"Condition,omitempty"`
}

var accountNumber = regexp.MustCompile(`^[0-9]{12}$`)

// Policy returns the least IAM policy, as indented JSON, with which a stack can
// be made, changed, looked at and destroyed: it allows nothing on what belongs
// to other stacks, but for reads that IAM can't narrow.
func Policy(account, region, stack string) ([]byte, error) {
	if err := CheckStackName(stack); err != nil {
		return nil, err
	}
	if !accountNumber.MatchString(account) {
		return nil, fmt.Errorf("account %q: give its 12 digits", account)
	}
	if !regionName.MatchString(region) {
		return nil, fmt.Errorf("region %q: name one such as eu-central-1", region)
	}
	fill := strings.NewReplacer("{p}", partition(region), "{r}", region, "{a}", account, "{s}", stack).Replace
	// Whatever knows no resource is one statement: a role has 10240 characters.
	statements := []PolicyStatement{{Sid: "Everywhere", Effect: "Allow", Resource: []string{"*"}}}
	for _, g := range grants {
		s := PolicyStatement{Sid: g.why, Effect: "Allow", Resource: []string{"*"}}
		for _, a := range strings.Fields(g.actions) {
			s.Action = append(s.Action, g.service+":"+a)
		}
		if g.resources == nil && g.when == nil {
			statements[0].Action = append(statements[0].Action, s.Action...)
			continue
		}
		slices.Sort(s.Action)
		if g.resources != nil {
			s.Resource = nil
			for _, r := range g.resources {
				s.Resource = append(s.Resource, fill(r))
			}
		}
		for op, keys := range g.when {
			for key, values := range keys {
				for _, v := range values {
					if s.Condition == nil {
						s.Condition = condition{}
					}
					if s.Condition[op] == nil {
						s.Condition[op] = map[string][]string{}
					}
					s.Condition[op][key] = append(s.Condition[op][key], fill(v))
				}
			}
		}
		statements = append(statements, s)
	}
	slices.Sort(statements[0].Action)
	text, err := json.MarshalIndent(map[string]any{"Version": "2012-10-17", "Statement": statements}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the policy: %w", err)
	}
	return append(text, '\n'), nil
}

// partition is the part of AWS that a region is in.
func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}
