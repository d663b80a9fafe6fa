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
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"
)

// Inventory lists the account, a line per resource, sorted. Ids are replaced by the
// names of what they stand for, so that two inventories can be compared. Of passwords
// only the length is listed.
func Inventory(ctx context.Context, cfg aws.Config) ([]string, error) {
	const most = 5
	for try := 1; ; try++ {
		lines, err := inventory(ctx, cfg)
		if try == most || !gone(err) {
			return lines, err
		}
	}
}

// gone reports whether something was deleted between the call that lists it and one that reads it.
func gone(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && (strings.Contains(api.ErrorCode(), "NotFound") || api.ErrorCode() == "NoSuchEntity")
}

func inventory(ctx context.Context, cfg aws.Config) ([]string, error) {
	l := &listing{cfg: cfg, names: map[string]string{}}
	for _, list := range []func(context.Context) error{ // what others refer to comes first
		l.network, l.loadBalancing, l.clusters, l.definitions, l.scaling, l.databases, l.backups, l.secrets, l.logsAndImages, l.roles, l.parameters, l.alarms, l.certificates,
	} {
		if err := list(ctx); err != nil {
			return nil, fmt.Errorf("inventory: %w", err)
		}
	}
	slices.Sort(l.lines)
	return l.lines, nil
}

// listing is an inventory in the making.
type listing struct {
	cfg   aws.Config
	names map[string]string // by id or ARN
	lines []string
}

func (l *listing) add(format string, args ...any) {
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

// network lists VPCs and what is in them.
func (l *listing) network(ctx context.Context) error {
	c := ec2.NewFromConfig(l.cfg)
	vpcs, err := c.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{})
	if err != nil {
		return err
	}
	subnets, err := c.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{})
	if err != nil {
		return err
	}
	gateways, err := c.DescribeInternetGateways(ctx, &ec2.DescribeInternetGatewaysInput{})
	if err != nil {
		return err
	}
	tables, err := c.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{})
	if err != nil {
		return err
	}
	groups, err := c.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{})
	if err != nil {
		return err
	}
	rules, err := c.DescribeSecurityGroupRules(ctx, &ec2.DescribeSecurityGroupRulesInput{})
	if err != nil {
		return err
	}

	for _, v := range vpcs.Vpcs {
		if v.State == ec2types.VpcStateDeleting {
			continue // it goes by itself
		}
		l.names[*v.VpcId] = named(v.Tags, *v.CidrBlock)
		l.add("vpc %s %s", l.names[*v.VpcId], *v.CidrBlock)
	}
	for _, s := range subnets.Subnets {
		l.names[*s.SubnetId] = named(s.Tags, *s.CidrBlock)
		l.add("subnet %s %s %s %s public=%t", l.names[*s.SubnetId], l.names[*s.VpcId], *s.CidrBlock, *s.AvailabilityZone, *s.MapPublicIpOnLaunch)
	}
	for _, g := range gateways.InternetGateways {
		l.names[*g.InternetGatewayId] = named(g.Tags, "gateway")
		var at []string
		for _, a := range g.Attachments {
			at = append(at, l.names[*a.VpcId])
		}
		l.add("gateway %s at %v", l.names[*g.InternetGatewayId], at)
	}
	for _, r := range tables.RouteTables {
		var routes, assoc []string
		for _, x := range r.Routes {
			gw := aws.ToString(x.GatewayId)
			if n, ok := l.names[gw]; ok {
				gw = n
			}
			routes = append(routes, aws.ToString(x.DestinationCidrBlock)+">"+gw)
		}
		for _, a := range r.Associations {
			if a.SubnetId != nil {
				assoc = append(assoc, l.names[*a.SubnetId])
			}
		}
		slices.Sort(routes)
		slices.Sort(assoc)
		l.add("table %s %s routes %v subnets %v", named(r.Tags, "main"), l.names[*r.VpcId], routes, assoc)
	}
	for _, g := range groups.SecurityGroups {
		l.names[*g.GroupId] = *g.GroupName + "@" + l.names[*g.VpcId]
		l.add("group %s", l.names[*g.GroupId])
	}
	for _, r := range rules.SecurityGroupRules {
		peer := aws.ToString(r.CidrIpv4)
		if r.ReferencedGroupInfo != nil {
			peer = l.names[*r.ReferencedGroupInfo.GroupId]
		}
		l.add("rule %s egress=%t %s %d %s", l.names[*r.GroupId], *r.IsEgress, *r.IpProtocol, aws.ToInt32(r.FromPort), peer)
	}

	interfaces, err := c.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{})
	if err != nil {
		return err
	}
	for _, i := range interfaces.NetworkInterfaces {
		l.add("network interface in %s, %s", l.names[aws.ToString(i.SubnetId)], i.InterfaceType)
	}
	return nil
}

// loadBalancing lists load balancers, target groups and listeners.
func (l *listing) loadBalancing(ctx context.Context) error {
	balancingClient := elb.NewFromConfig(l.cfg)
	balancers, err := balancingClient.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{})
	if err != nil {
		return err
	}
	for _, b := range balancers.LoadBalancers {
		var in, guards []string
		for _, z := range b.AvailabilityZones {
			in = append(in, l.names[*z.SubnetId])
		}
		for _, g := range b.SecurityGroups {
			guards = append(guards, l.names[g])
		}
		slices.Sort(in)
		attributes, err := balancingClient.DescribeLoadBalancerAttributes(ctx, &elb.DescribeLoadBalancerAttributesInput{LoadBalancerArn: b.LoadBalancerArn})
		if err != nil {
			return err
		}
		set := map[string]string{}
		for _, a := range attributes.Attributes {
			set[*a.Key] = *a.Value
		}
		l.names[*b.LoadBalancerArn] = *b.LoadBalancerName
		l.add("load balancer %s %s in %v groups %v drops=%s idle=%s protected=%s", *b.LoadBalancerName, b.Scheme, in, guards,
			set["routing.http.drop_invalid_header_fields.enabled"], set["idle_timeout.timeout_seconds"], set["deletion_protection.enabled"])
	}
	targets, err := balancingClient.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{})
	if err != nil {
		return err
	}
	for _, g := range targets.TargetGroups {
		l.names[*g.TargetGroupArn] = *g.TargetGroupName
		l.add("target group %s %s %s %d %s every %d s, %d times", *g.TargetGroupName, g.TargetType, g.Protocol, *g.Port, *g.HealthCheckPath,
			*g.HealthCheckIntervalSeconds, *g.HealthyThresholdCount)
	}
	for _, b := range balancers.LoadBalancers {
		listeners, err := balancingClient.DescribeListeners(ctx, &elb.DescribeListenersInput{LoadBalancerArn: b.LoadBalancerArn})
		if err != nil {
			return err
		}
		for _, x := range listeners.Listeners {
			l.add("listener of %s %s %d %s %s", l.names[*x.LoadBalancerArn], x.Protocol, *x.Port, x.DefaultActions[0].Type, l.names[aws.ToString(x.DefaultActions[0].TargetGroupArn)])
		}
	}
	return nil
}

// clusters lists the clusters that exist, with their services.
func (l *listing) clusters(ctx context.Context) error {
	containersClient := ecs.NewFromConfig(l.cfg)
	clusters, err := containersClient.ListClusters(ctx, &ecs.ListClustersInput{})
	if err != nil {
		return err
	}
	for _, arn := range clusters.ClusterArns {
		described, err := containersClient.DescribeClusters(ctx, &ecs.DescribeClustersInput{Clusters: []string{arn}})
		if err != nil {
			return err
		}
		if *described.Clusters[0].Status == "INACTIVE" {
			continue // gone, as far as ECS is concerned
		}
		l.add("cluster %s", *described.Clusters[0].ClusterName)
		services, err := containersClient.ListServices(ctx, &ecs.ListServicesInput{Cluster: &arn})
		if err != nil {
			return err
		}
		if len(services.ServiceArns) == 0 {
			continue
		}
		list, err := containersClient.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: &arn, Services: services.ServiceArns})
		if err != nil {
			return err
		}
		for _, s := range list.Services {
			if *s.Status == "INACTIVE" {
				continue
			}
			v := s.NetworkConfiguration.AwsvpcConfiguration
			var in, guards []string
			for _, x := range v.Subnets {
				in = append(in, l.names[x])
			}
			for _, x := range v.SecurityGroups {
				guards = append(guards, l.names[x])
			}
			targets := "none"
			if len(s.LoadBalancers) > 0 {
				targets = l.names[*s.LoadBalancers[0].TargetGroupArn]
			}
			l.add("service %s %s %d tasks in %v groups %v public=%s targets %s", *s.ServiceName, s.LaunchType, s.DesiredCount, in, guards, v.AssignPublicIp, targets)
		}
	}
	return nil
}

// definitions lists all revisions of task definitions.
func (l *listing) definitions(ctx context.Context) error {
	containersClient := ecs.NewFromConfig(l.cfg)
	for _, status := range []ecstypes.TaskDefinitionStatus{"ACTIVE", "INACTIVE"} {
		definitions, err := containersClient.ListTaskDefinitions(ctx, &ecs.ListTaskDefinitionsInput{Status: status})
		if err != nil {
			return err
		}
		for _, arn := range definitions.TaskDefinitionArns {
			d, err := containersClient.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &arn})
			if err != nil {
				return err
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
			l.add("task definition %s %s %s/%s %s user=%s readonly=%t %v", *d.TaskDefinition.Family, status, *d.TaskDefinition.Cpu, *d.TaskDefinition.Memory,
				*c.Image, aws.ToString(c.User), *c.ReadonlyRootFilesystem, env)
		}
	}
	return nil
}

// scaling lists scalable targets and their policies.
func (l *listing) scaling(ctx context.Context) error {
	scalingClient := scaling.NewFromConfig(l.cfg)
	scalable, err := scalingClient.DescribeScalableTargets(ctx, &scaling.DescribeScalableTargetsInput{ServiceNamespace: "ecs"})
	if err != nil {
		return err
	}
	for _, s := range scalable.ScalableTargets {
		l.add("scaling of %s from %d to %d", *s.ResourceId, *s.MinCapacity, *s.MaxCapacity)
	}
	policies, err := scalingClient.DescribeScalingPolicies(ctx, &scaling.DescribeScalingPoliciesInput{ServiceNamespace: "ecs"})
	if err != nil {
		return err
	}
	for _, p := range policies.ScalingPolicies {
		c := p.TargetTrackingScalingPolicyConfiguration
		l.add("scaling policy %s of %s: %s at %g", *p.PolicyName, *p.ResourceId, c.PredefinedMetricSpecification.PredefinedMetricType, *c.TargetValue)
	}
	return nil
}

// databases lists databases and their groups.
func (l *listing) databases(ctx context.Context) error {
	databasesClient := rds.NewFromConfig(l.cfg)
	dbSubnets, err := databasesClient.DescribeDBSubnetGroups(ctx, &rds.DescribeDBSubnetGroupsInput{})
	if err != nil {
		return err
	}
	for _, g := range dbSubnets.DBSubnetGroups {
		var in []string
		for _, s := range g.Subnets {
			in = append(in, l.names[*s.SubnetIdentifier])
		}
		slices.Sort(in)
		l.add("db subnet group %s %v", *g.DBSubnetGroupName, in)
	}
	params, err := databasesClient.DescribeDBParameterGroups(ctx, &rds.DescribeDBParameterGroupsInput{})
	if err != nil {
		return err
	}
	for _, g := range params.DBParameterGroups {
		set, err := databasesClient.DescribeDBParameters(ctx, &rds.DescribeDBParametersInput{DBParameterGroupName: g.DBParameterGroupName, Source: aws.String("user")})
		if err != nil {
			return err
		}
		var values []string
		for _, p := range set.Parameters {
			values = append(values, *p.ParameterName+"="+*p.ParameterValue)
		}
		l.add("db parameter group %s %s %v", *g.DBParameterGroupName, *g.DBParameterGroupFamily, values)
	}
	dbs, err := databasesClient.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{})
	if err != nil {
		return err
	}
	for _, d := range dbs.DBInstances {
		var in []string
		for _, g := range d.VpcSecurityGroups {
			in = append(in, l.names[*g.VpcSecurityGroupId])
		}
		l.add("database %s %s %s %d GiB %s public=%t encrypted=%t backups=%d groups %v", *d.DBInstanceIdentifier, *d.DBInstanceStatus, *d.DBInstanceClass,
			*d.AllocatedStorage, *d.DBName, *d.PubliclyAccessible, *d.StorageEncrypted, *d.BackupRetentionPeriod, in)
	}
	return nil
}

// backups lists snapshots and automated backups.
func (l *listing) backups(ctx context.Context) error {
	databasesClient := rds.NewFromConfig(l.cfg)
	snapshots, err := databasesClient.DescribeDBSnapshots(ctx, &rds.DescribeDBSnapshotsInput{})
	if err != nil {
		return err
	}
	for _, s := range snapshots.DBSnapshots {
		l.add("snapshot of %s, %s, %s", *s.DBInstanceIdentifier, aws.ToString(s.SnapshotType), aws.ToString(s.Status))
	}
	backups, err := databasesClient.DescribeDBInstanceAutomatedBackups(ctx, &rds.DescribeDBInstanceAutomatedBackupsInput{})
	if err != nil {
		return err
	}
	for _, b := range backups.DBInstanceAutomatedBackups {
		l.add("automated backup of %s, %s", aws.ToString(b.DBInstanceIdentifier), aws.ToString(b.Status))
	}
	return nil
}

// secrets lists secrets, with their values but for the passwords in them.
func (l *listing) secrets(ctx context.Context) error {
	secretsClient := secretsmanager.NewFromConfig(l.cfg)
	secrets, err := secretsClient.ListSecrets(ctx, &secretsmanager.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true)})
	if err != nil {
		return err
	}
	for _, s := range secrets.SecretList {
		// The value is there to be checked, and its password never to be shown.
		v, err := secretsClient.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: s.ARN})
		var none *secrettypes.ResourceNotFoundException
		if errors.As(err, &none) {
			l.add("secret %s deleted=%t without a value", *s.Name, s.DeletedDate != nil)
			continue
		}
		if err != nil {
			return err
		}
		var fields map[string]any
		if err := json.Unmarshal([]byte(*v.SecretString), &fields); err != nil {
			return err
		}
		password, _ := fields["password"].(string)
		for name, value := range fields {
			if text, ok := value.(string); ok && password != "" { // it is part of URLs, too
				fields[name] = strings.ReplaceAll(text, password, "PASSWORD")
			}
		}
		fields["password"] = len(password)
		l.add("secret %s deleted=%t %v", *s.Name, s.DeletedDate != nil, fields)
	}
	return nil
}

// logsAndImages lists log groups and repositories.
func (l *listing) logsAndImages(ctx context.Context) error {
	logsClient := cloudwatchlogs.NewFromConfig(l.cfg)
	imagesClient := ecr.NewFromConfig(l.cfg)
	logs, err := logsClient.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{})
	if err != nil {
		return err
	}
	for _, g := range logs.LogGroups {
		l.add("log group %s %d days", *g.LogGroupName, aws.ToInt32(g.RetentionInDays))
	}
	repos, err := imagesClient.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
	if err != nil {
		return err
	}
	for _, r := range repos.Repositories {
		policy := "no policy"
		p, err := imagesClient.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: r.RepositoryName})
		var none *ecrtypes.LifecyclePolicyNotFoundException
		switch {
		case err == nil:
			policy = *p.LifecyclePolicyText
		case !errors.As(err, &none):
			return err
		}
		l.add("repository %s %s scan=%t %s", *r.RepositoryName, r.ImageTagMutability, r.ImageScanningConfiguration.ScanOnPush, policy)
	}
	return nil
}

// roles lists roles, but for the service-linked ones.
func (l *listing) roles(ctx context.Context) error {
	iamClient := iam.NewFromConfig(l.cfg)
	roles, err := iamClient.ListRoles(ctx, &iam.ListRolesInput{})
	if err != nil {
		return err
	}
	for _, r := range roles.Roles {
		if strings.HasPrefix(*r.Path, "/aws-service-role/") {
			continue // the account's, made once and kept
		}
		inline, err := iamClient.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: r.RoleName})
		if err != nil {
			return err
		}
		l.add("role %s policies %v", *r.RoleName, inline.PolicyNames)
	}
	return nil
}

// parameters lists bookctl's parameters.
func (l *listing) parameters(ctx context.Context) error {
	parametersClient := ssm.NewFromConfig(l.cfg)
	parameters, err := parametersClient.DescribeParameters(ctx, &ssm.DescribeParametersInput{})
	if err != nil {
		return err
	}
	for _, p := range parameters.Parameters {
		if strings.HasPrefix(*p.Name, "/bookctl/") {
			l.add("parameter %s", *p.Name)
		}
	}
	return nil
}

// certificates lists the certificates, by their domains.
func (l *listing) certificates(ctx context.Context) error {
	certificates, err := acm.NewFromConfig(l.cfg).ListCertificates(ctx, &acm.ListCertificatesInput{})
	if err != nil {
		return err
	}
	for _, c := range certificates.CertificateSummaryList {
		l.add("certificate of %s", aws.ToString(c.DomainName))
	}
	return nil
}

// alarms lists the alarms of CloudWatch, the rules for events, and the topics.
func (l *listing) alarms(ctx context.Context) error {
	all, err := cloudwatch.NewFromConfig(l.cfg, func(o *cloudwatch.Options) {
		o.Protocol = awsquery.New(schemas.GraniteServiceVersion20100801) // which emulators know, too
	}).DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{})
	if err != nil {
		return err
	}
	for _, a := range all.MetricAlarms {
		if !strings.HasPrefix(*a.AlarmName, "TargetTracking-") {
			silent := ""
			if !aws.ToBool(a.ActionsEnabled) {
				silent = "silent, "
			}
			l.add("alarm %s %snotifies %v", *a.AlarmName, silent, a.AlarmActions)
		}
	}
	bus := eventbridge.NewFromConfig(l.cfg)
	rules, err := bus.ListRules(ctx, &eventbridge.ListRulesInput{})
	if err != nil {
		return err
	}
	for _, r := range rules.Rules {
		targets, err := bus.ListTargetsByRule(ctx, &eventbridge.ListTargetsByRuleInput{Rule: r.Name})
		if err != nil {
			return err
		}
		to := []string{}
		for _, t := range targets.Targets {
			to = append(to, *t.Arn)
		}
		l.add("event rule %s %s notifies %v", *r.Name, r.State, to)
	}
	client := sns.NewFromConfig(l.cfg)
	topics, err := client.ListTopics(ctx, &sns.ListTopicsInput{})
	if err != nil {
		return err
	}
	for _, t := range topics.Topics {
		subscribers, err := client.ListSubscriptionsByTopic(ctx, &sns.ListSubscriptionsByTopicInput{TopicArn: t.TopicArn})
		if err != nil {
			return err
		}
		to := []string{}
		for _, s := range subscribers.Subscriptions {
			if *s.SubscriptionArn == "Deleted" { // it is listed for some days more
				continue
			}
			to = append(to, *s.Protocol+" "+*s.Endpoint)
		}
		l.add("topic %s %v", (*t.TopicArn)[strings.LastIndex(*t.TopicArn, ":")+1:], to)
	}
	return nil
}

func named(tags []ec2types.Tag, otherwise string) string {
	for _, t := range tags {
		if *t.Key == "Name" {
			return *t.Value
		}
	}
	return otherwise
}
