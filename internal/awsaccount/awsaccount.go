// Package awsaccount lists everything in an AWS account that a stack can consist
// of, with every attribute that a stack sets, by AWS's own words and without
// the code that made it. It is the oracle of the tests: one of each, or
// nothing, and everybody else's things as they were.
package awsaccount

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secrettypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"
)

// Inventory lists the account, a line per thing, sorted. Ids are replaced by the
// names of what they stand for, so that two inventories can be compared. Passwords
// are told by their length.
func Inventory(ctx context.Context, cfg aws.Config) ([]string, error) {
	all := struct {
		Scaling *scaling.Client
		ECR     *ecr.Client
		ECS     *ecs.Client
		ELB     *elb.Client
		IAM     *iam.Client
		Logs    *cloudwatchlogs.Client
		RDS     *rds.Client
		Secrets *secretsmanager.Client
		SSM     *ssm.Client
	}{
		scaling.NewFromConfig(cfg), ecr.NewFromConfig(cfg), ecs.NewFromConfig(cfg), elb.NewFromConfig(cfg), iam.NewFromConfig(cfg),
		cloudwatchlogs.NewFromConfig(cfg), rds.NewFromConfig(cfg), secretsmanager.NewFromConfig(cfg), ssm.NewFromConfig(cfg),
	}
	c := ec2.NewFromConfig(cfg)
	vpcs, err := c.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	subnets, err := c.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	gateways, err := c.DescribeInternetGateways(ctx, &ec2.DescribeInternetGatewaysInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	tables, err := c.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	groups, err := c.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	rules, err := c.DescribeSecurityGroupRules(ctx, &ec2.DescribeSecurityGroupRulesInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}

	name := map[string]string{}
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, v := range vpcs.Vpcs {
		name[*v.VpcId] = named(v.Tags, *v.CidrBlock)
		add("vpc %s %s", name[*v.VpcId], *v.CidrBlock)
	}
	for _, s := range subnets.Subnets {
		name[*s.SubnetId] = named(s.Tags, *s.CidrBlock)
		add("subnet %s %s %s %s public=%t", name[*s.SubnetId], name[*s.VpcId], *s.CidrBlock, *s.AvailabilityZone, *s.MapPublicIpOnLaunch)
	}
	for _, g := range gateways.InternetGateways {
		name[*g.InternetGatewayId] = named(g.Tags, "gateway")
		var at []string
		for _, a := range g.Attachments {
			at = append(at, name[*a.VpcId])
		}
		add("gateway %s at %v", name[*g.InternetGatewayId], at)
	}
	for _, r := range tables.RouteTables {
		var routes, assoc []string
		for _, x := range r.Routes {
			gw := aws.ToString(x.GatewayId)
			if n, ok := name[gw]; ok {
				gw = n
			}
			routes = append(routes, aws.ToString(x.DestinationCidrBlock)+">"+gw)
		}
		for _, a := range r.Associations {
			if a.SubnetId != nil {
				assoc = append(assoc, name[*a.SubnetId])
			}
		}
		slices.Sort(routes)
		slices.Sort(assoc)
		add("table %s %s routes %v subnets %v", named(r.Tags, "main"), name[*r.VpcId], routes, assoc)
	}
	for _, g := range groups.SecurityGroups {
		name[*g.GroupId] = *g.GroupName + "@" + name[*g.VpcId]
		add("group %s", name[*g.GroupId])
	}
	for _, r := range rules.SecurityGroupRules {
		peer := aws.ToString(r.CidrIpv4)
		if r.ReferencedGroupInfo != nil {
			peer = name[*r.ReferencedGroupInfo.GroupId]
		}
		add("rule %s egress=%t %s %d %s", name[*r.GroupId], *r.IsEgress, *r.IpProtocol, aws.ToInt32(r.FromPort), peer)
	}

	secrets, err := all.Secrets.ListSecrets(ctx, &secretsmanager.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true)})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for _, s := range secrets.SecretList {
		// The value is there to be checked, and its password never to be shown.
		v, err := all.Secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: s.ARN})
		var none *secrettypes.ResourceNotFoundException
		if errors.As(err, &none) {
			add("secret %s deleted=%t without a value", *s.Name, s.DeletedDate != nil)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("inventory: %w", err)
		}
		var fields map[string]any
		if err := json.Unmarshal([]byte(*v.SecretString), &fields); err != nil {
			return nil, fmt.Errorf("inventory: %w", err)
		}
		password, _ := fields["password"].(string)
		for name, value := range fields {
			if text, ok := value.(string); ok && password != "" { // it is part of URLs, too
				fields[name] = strings.ReplaceAll(text, password, "PASSWORD")
			}
		}
		fields["password"] = len(password)
		add("secret %s deleted=%t %v", *s.Name, s.DeletedDate != nil, fields)
	}
	logs, err := all.Logs.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for _, l := range logs.LogGroups {
		add("log group %s %d days", *l.LogGroupName, aws.ToInt32(l.RetentionInDays))
	}
	repos, err := all.ECR.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for _, r := range repos.Repositories {
		policy := "no policy"
		p, err := all.ECR.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: r.RepositoryName})
		var none *ecrtypes.LifecyclePolicyNotFoundException
		switch {
		case err == nil:
			policy = *p.LifecyclePolicyText
		case !errors.As(err, &none):
			return nil, fmt.Errorf("inventory: %w", err)
		}
		add("repository %s %s scan=%t %s", *r.RepositoryName, r.ImageTagMutability, r.ImageScanningConfiguration.ScanOnPush, policy)
	}
	dbSubnets, err := all.RDS.DescribeDBSubnetGroups(ctx, &rds.DescribeDBSubnetGroupsInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for _, g := range dbSubnets.DBSubnetGroups {
		var in []string
		for _, s := range g.Subnets {
			in = append(in, name[*s.SubnetIdentifier])
		}
		slices.Sort(in)
		add("db subnet group %s %v", *g.DBSubnetGroupName, in)
	}
	params, err := all.RDS.DescribeDBParameterGroups(ctx, &rds.DescribeDBParameterGroupsInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for _, g := range params.DBParameterGroups {
		set, err := all.RDS.DescribeDBParameters(ctx, &rds.DescribeDBParametersInput{DBParameterGroupName: g.DBParameterGroupName, Source: aws.String("user")})
		if err != nil {
			return nil, fmt.Errorf("inventory: %w", err)
		}
		var values []string
		for _, p := range set.Parameters {
			values = append(values, *p.ParameterName+"="+*p.ParameterValue)
		}
		add("db parameter group %s %s %v", *g.DBParameterGroupName, *g.DBParameterGroupFamily, values)
	}
	dbs, err := all.RDS.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for _, d := range dbs.DBInstances {
		var in []string
		for _, g := range d.VpcSecurityGroups {
			in = append(in, name[*g.VpcSecurityGroupId])
		}
		add("database %s %s %s %d GiB %s public=%t encrypted=%t backups=%d groups %v", *d.DBInstanceIdentifier, *d.DBInstanceStatus, *d.DBInstanceClass,
			*d.AllocatedStorage, *d.DBName, *d.PubliclyAccessible, *d.StorageEncrypted, *d.BackupRetentionPeriod, in)
	}
	balancers, err := all.ELB.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for _, b := range balancers.LoadBalancers {
		var in, guards []string
		for _, z := range b.AvailabilityZones {
			in = append(in, name[*z.SubnetId])
		}
		for _, g := range b.SecurityGroups {
			guards = append(guards, name[g])
		}
		slices.Sort(in)
		attributes, err := all.ELB.DescribeLoadBalancerAttributes(ctx, &elb.DescribeLoadBalancerAttributesInput{LoadBalancerArn: b.LoadBalancerArn})
		if err != nil {
			return nil, fmt.Errorf("inventory: %w", err)
		}
		set := map[string]string{}
		for _, a := range attributes.Attributes {
			set[*a.Key] = *a.Value
		}
		name[*b.LoadBalancerArn] = *b.LoadBalancerName
		add("load balancer %s %s in %v groups %v drops=%s idle=%s protected=%s", *b.LoadBalancerName, b.Scheme, in, guards,
			set["routing.http.drop_invalid_header_fields.enabled"], set["idle_timeout.timeout_seconds"], set["deletion_protection.enabled"])
	}
	targets, err := all.ELB.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for _, g := range targets.TargetGroups {
		name[*g.TargetGroupArn] = *g.TargetGroupName
		add("target group %s %s %s %d %s every %d s, %d times", *g.TargetGroupName, g.TargetType, g.Protocol, *g.Port, *g.HealthCheckPath,
			*g.HealthCheckIntervalSeconds, *g.HealthyThresholdCount)
	}
	for _, b := range balancers.LoadBalancers {
		listeners, err := all.ELB.DescribeListeners(ctx, &elb.DescribeListenersInput{LoadBalancerArn: b.LoadBalancerArn})
		if err != nil {
			return nil, fmt.Errorf("inventory: %w", err)
		}
		for _, l := range listeners.Listeners {
			add("listener of %s %s %d %s %s", name[*l.LoadBalancerArn], l.Protocol, *l.Port, l.DefaultActions[0].Type, name[aws.ToString(l.DefaultActions[0].TargetGroupArn)])
		}
	}
	clusters, err := all.ECS.ListClusters(ctx, &ecs.ListClustersInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for _, arn := range clusters.ClusterArns {
		described, err := all.ECS.DescribeClusters(ctx, &ecs.DescribeClustersInput{Clusters: []string{arn}})
		if err != nil {
			return nil, fmt.Errorf("inventory: %w", err)
		}
		if *described.Clusters[0].Status == "INACTIVE" {
			continue // gone, as far as ECS is concerned
		}
		add("cluster %s", *described.Clusters[0].ClusterName)
		services, err := all.ECS.ListServices(ctx, &ecs.ListServicesInput{Cluster: &arn})
		if err != nil {
			return nil, fmt.Errorf("inventory: %w", err)
		}
		if len(services.ServiceArns) == 0 {
			continue
		}
		list, err := all.ECS.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: &arn, Services: services.ServiceArns})
		if err != nil {
			return nil, fmt.Errorf("inventory: %w", err)
		}
		for _, s := range list.Services {
			if *s.Status == "INACTIVE" {
				continue
			}
			v := s.NetworkConfiguration.AwsvpcConfiguration
			var in, guards []string
			for _, x := range v.Subnets {
				in = append(in, name[x])
			}
			for _, x := range v.SecurityGroups {
				guards = append(guards, name[x])
			}
			add("service %s %s %d tasks in %v groups %v public=%s targets %s", *s.ServiceName, s.LaunchType, s.DesiredCount, in, guards, v.AssignPublicIp,
				name[*s.LoadBalancers[0].TargetGroupArn])
		}
	}
	for _, status := range []ecstypes.TaskDefinitionStatus{"ACTIVE", "INACTIVE"} {
		definitions, err := all.ECS.ListTaskDefinitions(ctx, &ecs.ListTaskDefinitionsInput{Status: status})
		if err != nil {
			return nil, fmt.Errorf("inventory: %w", err)
		}
		for _, arn := range definitions.TaskDefinitionArns {
			d, err := all.ECS.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &arn})
			if err != nil {
				return nil, fmt.Errorf("inventory: %w", err)
			}
			c := d.TaskDefinition.ContainerDefinitions[0]
			var env []string
			for _, e := range c.Environment {
				value := regexp.MustCompile(`\.[a-z0-9]+\.us-east-1\.rds`).ReplaceAllString(*e.Value, ".us-east-1.rds")
				env = append(env, *e.Name+"="+regexp.MustCompile(`^arn:.*:secret:(.*)-[A-Za-z0-9]{6}$`).ReplaceAllString(value, "$1"))
			}
			for _, e := range c.Secrets {
				env = append(env, *e.Name+" from "+regexp.MustCompile(`^.*:secret:|-[A-Za-z0-9]{6}:`).ReplaceAllString(*e.ValueFrom, ":"))
			}
			add("task definition %s %s %s/%s %s user=%s readonly=%t %v", *d.TaskDefinition.Family, status, *d.TaskDefinition.Cpu, *d.TaskDefinition.Memory,
				*c.Image, aws.ToString(c.User), *c.ReadonlyRootFilesystem, env)
		}
	}
	scalable, err := all.Scaling.DescribeScalableTargets(ctx, &scaling.DescribeScalableTargetsInput{ServiceNamespace: "ecs"})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for _, s := range scalable.ScalableTargets {
		add("scaling of %s from %d to %d", *s.ResourceId, *s.MinCapacity, *s.MaxCapacity)
	}
	policies, err := all.Scaling.DescribeScalingPolicies(ctx, &scaling.DescribeScalingPoliciesInput{ServiceNamespace: "ecs"})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for _, p := range policies.ScalingPolicies {
		c := p.TargetTrackingScalingPolicyConfiguration
		add("scaling policy %s of %s: %s at %g", *p.PolicyName, *p.ResourceId, c.PredefinedMetricSpecification.PredefinedMetricType, *c.TargetValue)
	}
	roles, err := all.IAM.ListRoles(ctx, &iam.ListRolesInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for _, r := range roles.Roles {
		if strings.HasPrefix(*r.Path, "/aws-service-role/") {
			continue // the account's, made once and kept
		}
		inline, err := all.IAM.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: r.RoleName})
		if err != nil {
			return nil, fmt.Errorf("inventory: %w", err)
		}
		add("role %s policies %v", *r.RoleName, inline.PolicyNames)
	}
	parameters, err := all.SSM.DescribeParameters(ctx, &ssm.DescribeParametersInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for _, p := range parameters.Parameters {
		if strings.HasPrefix(*p.Name, "/bookctl/") {
			add("parameter %s", *p.Name)
		}
	}
	interfaces, err := c.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for _, i := range interfaces.NetworkInterfaces {
		add("network interface in %s, %s", name[aws.ToString(i.SubnetId)], i.InterfaceType)
	}
	snapshots, err := all.RDS.DescribeDBSnapshots(ctx, &rds.DescribeDBSnapshotsInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for _, s := range snapshots.DBSnapshots {
		add("snapshot of %s, %s, %s", *s.DBInstanceIdentifier, aws.ToString(s.SnapshotType), aws.ToString(s.Status))
	}
	backups, err := all.RDS.DescribeDBInstanceAutomatedBackups(ctx, &rds.DescribeDBInstanceAutomatedBackupsInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for _, b := range backups.DBInstanceAutomatedBackups {
		add("automated backup of %s, %s", aws.ToString(b.DBInstanceIdentifier), aws.ToString(b.Status))
	}
	told, err := alarms(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	out = append(out, told...)
	certificates, err := acm.NewFromConfig(cfg).ListCertificates(ctx, &acm.ListCertificatesInput{})
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	for _, c := range certificates.CertificateSummaryList {
		add("certificate of %s", aws.ToString(c.DomainName))
	}
	slices.Sort(out)
	return out, nil
}

// alarms are those of CloudWatch, the rules that tell of events, and the topics.
func alarms(ctx context.Context, cfg aws.Config) (out []string, err error) {
	all, err := cloudwatch.NewFromConfig(cfg, func(o *cloudwatch.Options) {
		o.Protocol = awsquery.New(schemas.GraniteServiceVersion20100801) // which emulators know, too
	}).DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{})
	if err != nil {
		return nil, err
	}
	for _, a := range all.MetricAlarms {
		if !strings.HasPrefix(*a.AlarmName, "TargetTracking-") {
			silent := ""
			if !aws.ToBool(a.ActionsEnabled) {
				silent = "silent, "
			}
			out = append(out, fmt.Sprintf("alarm %s %stold to %v", *a.AlarmName, silent, a.AlarmActions))
		}
	}
	bus := eventbridge.NewFromConfig(cfg)
	rules, err := bus.ListRules(ctx, &eventbridge.ListRulesInput{})
	if err != nil {
		return nil, err
	}
	for _, r := range rules.Rules {
		targets, err := bus.ListTargetsByRule(ctx, &eventbridge.ListTargetsByRuleInput{Rule: r.Name})
		if err != nil {
			return nil, err
		}
		to := []string{}
		for _, t := range targets.Targets {
			to = append(to, *t.Arn)
		}
		out = append(out, fmt.Sprintf("event rule %s %s told to %v", *r.Name, r.State, to))
	}
	client := sns.NewFromConfig(cfg)
	topics, err := client.ListTopics(ctx, &sns.ListTopicsInput{})
	if err != nil {
		return nil, err
	}
	for _, t := range topics.Topics {
		subscribers, err := client.ListSubscriptionsByTopic(ctx, &sns.ListSubscriptionsByTopicInput{TopicArn: t.TopicArn})
		if err != nil {
			return nil, err
		}
		to := []string{}
		for _, s := range subscribers.Subscriptions {
			to = append(to, *s.Protocol+" "+*s.Endpoint)
		}
		out = append(out, fmt.Sprintf("topic %s %v", (*t.TopicArn)[strings.LastIndex(*t.TopicArn, ":")+1:], to))
	}
	return out, nil
}

func named(tags []ec2types.Tag, otherwise string) string {
	for _, t := range tags {
		if *t.Key == "Name" {
			return *t.Value
		}
	}
	return otherwise
}
