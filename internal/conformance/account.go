package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scalingtypes "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secretstypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"
)

// sdkAccount uses only the SDK, so that its findings do not depend on bookctl's code.
type sdkAccount struct {
	acm     *acm.Client
	alarms  *cloudwatch.Client
	ec2     *ec2.Client
	ecr     *ecr.Client
	ecs     *ecs.Client
	elb     *elb.Client
	events  *eventbridge.Client
	iam     *iam.Client
	logs    *cloudwatchlogs.Client
	rds     *rds.Client
	scaling *scaling.Client
	secrets *secretsmanager.Client
	sns     *sns.Client
	ssm     *ssm.Client
}

// NewAccount returns an Account that uses the endpoint and credentials of cfg.
func NewAccount(cfg aws.Config) Account {
	return sdkAccount{
		acm: acm.NewFromConfig(cfg),
		alarms: cloudwatch.NewFromConfig(cfg, func(o *cloudwatch.Options) {
			o.Protocol = awsquery.New(schemas.GraniteServiceVersion20100801) // which emulators know, too
		}),
		ec2:     ec2.NewFromConfig(cfg),
		ecr:     ecr.NewFromConfig(cfg),
		ecs:     ecs.NewFromConfig(cfg),
		elb:     elb.NewFromConfig(cfg),
		events:  eventbridge.NewFromConfig(cfg),
		iam:     iam.NewFromConfig(cfg),
		logs:    cloudwatchlogs.NewFromConfig(cfg),
		rds:     rds.NewFromConfig(cfg),
		scaling: scaling.NewFromConfig(cfg),
		secrets: secretsmanager.NewFromConfig(cfg),
		sns:     sns.NewFromConfig(cfg),
		ssm:     ssm.NewFromConfig(cfg),
	}
}

// ChangeByHand makes one change to the load balancer, one to the logs and one to the network.
// The service keeps working.
func (a sdkAccount) ChangeByHand(ctx context.Context, stack string) ([]string, error) {
	groups, err := a.elb.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{Names: []string{stack + "-tasks"}})
	if err != nil || len(groups.TargetGroups) == 0 {
		return nil, errors.Join(errors.New("find the target group"), err)
	}
	_, err = a.elb.ModifyTargetGroup(ctx, &elb.ModifyTargetGroupInput{TargetGroupArn: groups.TargetGroups[0].TargetGroupArn, HealthCheckIntervalSeconds: aws.Int32(30)})
	if err != nil {
		return nil, err
	}
	if _, err := a.logs.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String("/bookctl/" + stack), RetentionInDays: aws.Int32(7)}); err != nil {
		return nil, err
	}
	own, err := a.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: append(owned(stack), ec2types.Filter{Name: aws.String("tag:bookctl:resource"), Values: []string{"sg-task"}})})
	if err != nil || len(own.SecurityGroups) == 0 {
		return nil, errors.Join(errors.New("find the tasks' security group"), err)
	}
	_, err = a.ec2.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: own.SecurityGroups[0].GroupId, IpPermissions: []ec2types.IpPermission{{
		IpProtocol: aws.String("tcp"), FromPort: aws.Int32(22), ToPort: aws.Int32(22), IpRanges: []ec2types.IpRange{{CidrIp: aws.String("192.0.2.0/24")}},
	}}})
	return []string{"health-check-interval", "retention", "rule too many"}, err
}

func owned(stack string) []ec2types.Filter {
	return []ec2types.Filter{{Name: aws.String("tag:bookctl:stack"), Values: []string{stack}}}
}

// Inventory lists the resources of each service that have the stack's tag or names.
func (a sdkAccount) Inventory(ctx context.Context, stack string) (found, unknown []string) {
	for _, kind := range []struct {
		name string
		list func(context.Context, string) ([]string, error)
	}{
		{"network", a.network}, {"load balancers", a.balancers}, {"databases", a.databases}, {"snapshots", a.snapshots}, {"containers", a.containers},
		{"scaling", a.scalings}, {"repositories", a.repositories}, {"secrets", a.secretNames}, {"log groups", a.logGroups}, {"roles", a.roles}, {"lock", a.locks},
		{"certificates", a.certificates}, {"alarms", a.alarmNames}, {"rules", a.rules}, {"topics", a.topics},
	} {
		all, err := kind.list(ctx, stack)
		var api smithy.APIError
		if errors.As(err, &api) && (strings.Contains(api.ErrorCode(), "NotFound") || strings.HasSuffix(api.ErrorCode(), "NotFoundFault")) {
			err = nil
		}
		if err != nil {
			unknown = append(unknown, fmt.Sprintf("%s: %v", kind.name, err))
		}
		found = append(found, all...)
	}
	return found, unknown
}

func (a sdkAccount) network(ctx context.Context, stack string) (out []string, err error) {
	vpcs, err := a.ec2.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: owned(stack)})
	if err != nil {
		return nil, err
	}
	for _, x := range vpcs.Vpcs {
		if x.State == ec2types.VpcStateDeleting {
			continue // it goes by itself
		}
		out = append(out, "vpc "+aws.ToString(x.VpcId))
	}
	subnets, err := a.ec2.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: owned(stack)})
	if err != nil {
		return out, err
	}
	for _, x := range subnets.Subnets {
		out = append(out, "subnet "+aws.ToString(x.SubnetId))
	}
	groups, err := a.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: owned(stack)})
	if err != nil {
		return out, err
	}
	for _, x := range groups.SecurityGroups {
		out = append(out, "security group "+aws.ToString(x.GroupId))
	}
	tables, err := a.ec2.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{Filters: owned(stack)})
	if err != nil {
		return out, err
	}
	for _, x := range tables.RouteTables {
		out = append(out, "route table "+aws.ToString(x.RouteTableId))
	}
	gateways, err := a.ec2.DescribeInternetGateways(ctx, &ec2.DescribeInternetGatewaysInput{Filters: owned(stack)})
	if err != nil {
		return out, err
	}
	for _, x := range gateways.InternetGateways {
		out = append(out, "internet gateway "+aws.ToString(x.InternetGatewayId))
	}
	return out, nil
}

func (a sdkAccount) balancers(ctx context.Context, stack string) (out []string, err error) {
	balancers, err := a.elb.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{stack + "-lb"}})
	if err == nil {
		for _, x := range balancers.LoadBalancers {
			out = append(out, "load balancer "+aws.ToString(x.LoadBalancerName))
		}
	}
	errs := []error{err}
	for _, name := range []string{stack + "-tasks", stack + "-tasks-b"} { // with both, AWS fails where one is missing
		groups, err := a.elb.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{Names: []string{name}})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, x := range groups.TargetGroups {
			out = append(out, "target group "+aws.ToString(x.TargetGroupName))
		}
	}
	return out, errors.Join(errs...)
}

func (a sdkAccount) databases(ctx context.Context, stack string) (out []string, err error) {
	name := stack + "-database"
	instances, err := a.rds.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &name})
	if err == nil {
		for _, x := range instances.DBInstances {
			out = append(out, "database "+aws.ToString(x.DBInstanceIdentifier))
		}
	}
	groups, groupErr := a.rds.DescribeDBSubnetGroups(ctx, &rds.DescribeDBSubnetGroupsInput{DBSubnetGroupName: &name})
	if groupErr == nil {
		for _, x := range groups.DBSubnetGroups {
			out = append(out, "database subnet group "+aws.ToString(x.DBSubnetGroupName))
		}
	}
	parameters, parameterErr := a.rds.DescribeDBParameterGroups(ctx, &rds.DescribeDBParameterGroupsInput{DBParameterGroupName: &name})
	if parameterErr == nil {
		for _, x := range parameters.DBParameterGroups {
			out = append(out, "database parameter group "+aws.ToString(x.DBParameterGroupName))
		}
	}
	return out, errors.Join(err, groupErr, parameterErr)
}

func (a sdkAccount) snapshots(ctx context.Context, stack string) (out []string, err error) {
	all, err := a.rds.DescribeDBSnapshots(ctx, &rds.DescribeDBSnapshotsInput{DBInstanceIdentifier: aws.String(stack + "-database")})
	if err != nil {
		return nil, err
	}
	for _, x := range all.DBSnapshots {
		out = append(out, "snapshot "+aws.ToString(x.DBSnapshotIdentifier))
	}
	return out, nil
}

func (a sdkAccount) containers(ctx context.Context, stack string) (out []string, err error) {
	clusters, err := a.ecs.DescribeClusters(ctx, &ecs.DescribeClustersInput{Clusters: []string{stack + "-cluster"}})
	if err != nil {
		return nil, err
	}
	for _, x := range clusters.Clusters {
		if aws.ToString(x.Status) != "INACTIVE" { // ECS lists a deleted cluster for a while
			out = append(out, "cluster "+aws.ToString(x.ClusterName))
		}
	}
	definitions, err := a.ecs.ListTaskDefinitions(ctx, &ecs.ListTaskDefinitionsInput{FamilyPrefix: aws.String(stack + "-app")})
	if err != nil {
		return out, err
	}
	for _, arn := range definitions.TaskDefinitionArns {
		out = append(out, "task definition "+arn[strings.LastIndexByte(arn, '/')+1:])
	}
	return out, nil
}

func (a sdkAccount) scalings(ctx context.Context, stack string) (out []string, err error) {
	all, err := a.scaling.DescribeScalableTargets(ctx, &scaling.DescribeScalableTargetsInput{
		ServiceNamespace: scalingtypes.ServiceNamespaceEcs, ResourceIds: []string{"service/" + stack + "-cluster/" + stack + "-service"},
	})
	if err != nil {
		return nil, err
	}
	for _, x := range all.ScalableTargets {
		out = append(out, "scaling of "+aws.ToString(x.ResourceId))
	}
	return out, nil
}

func (a sdkAccount) repositories(ctx context.Context, stack string) (out []string, err error) {
	all, err := a.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{stack + "/app"}})
	if err != nil {
		return nil, err
	}
	for _, x := range all.Repositories {
		out = append(out, "repository "+aws.ToString(x.RepositoryName))
	}
	return out, nil
}

// secretNames describes each, since a list may show for minutes what is gone.
func (a sdkAccount) secretNames(ctx context.Context, stack string) (out []string, err error) {
	for _, name := range []string{stack + "/database", stack + "/environment"} {
		found, err := a.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &name})
		var none *secretstypes.ResourceNotFoundException
		switch {
		case errors.As(err, &none):
		case err != nil:
			return out, err
		case found.DeletedDate == nil:
			out = append(out, "secret "+name)
		}
	}
	return out, nil
}

func (a sdkAccount) logGroups(ctx context.Context, stack string) (out []string, err error) {
	for _, prefix := range []string{"/bookctl/" + stack, "/aws/rds/instance/" + stack + "-database/", "/aws/ecs/containerinsights/" + stack + "-cluster/"} {
		all, err := a.logs.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &prefix})
		if err != nil {
			return out, err
		}
		for _, x := range all.LogGroups {
			if name := aws.ToString(x.LogGroupName); name == prefix || strings.HasPrefix(name, strings.TrimSuffix(prefix, "/")+"/") {
				out = append(out, "log group "+name)
			}
		}
	}
	return out, nil
}

func (a sdkAccount) roles(ctx context.Context, stack string) (out []string, err error) {
	for in := (&iam.ListRolesInput{}); ; {
		page, err := a.iam.ListRoles(ctx, in)
		if err != nil {
			return out, err
		}
		for _, x := range page.Roles {
			if name := aws.ToString(x.RoleName); strings.HasPrefix(name, stack+"-") {
				out = append(out, "role "+name)
			}
		}
		if !page.IsTruncated {
			return out, nil
		}
		in.Marker = page.Marker
	}
}

func (a sdkAccount) locks(ctx context.Context, stack string) (out []string, err error) {
	all, err := a.ssm.GetParametersByPath(ctx, &ssm.GetParametersByPathInput{Path: aws.String("/bookctl/" + stack), Recursive: aws.Bool(true)})
	if err != nil {
		return nil, err
	}
	for _, x := range all.Parameters {
		out = append(out, "parameter "+aws.ToString(x.Name))
	}
	return out, nil
}

func (a sdkAccount) certificates(ctx context.Context, stack string) (out []string, err error) {
	pages := acm.NewListCertificatesPaginator(a.acm, &acm.ListCertificatesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return out, err
		}
		for _, x := range page.CertificateSummaryList {
			tags, err := a.acm.ListTagsForCertificate(ctx, &acm.ListTagsForCertificateInput{CertificateArn: x.CertificateArn})
			if err != nil {
				return out, err
			}
			for _, t := range tags.Tags {
				if aws.ToString(t.Key) == "bookctl:stack" && aws.ToString(t.Value) == stack {
					out = append(out, "certificate of "+aws.ToString(x.DomainName))
				}
			}
		}
	}
	return out, nil
}

func (a sdkAccount) alarmNames(ctx context.Context, stack string) (out []string, err error) {
	all, err := a.alarms.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNamePrefix: aws.String("bookctl/" + stack + "/")})
	if err != nil {
		return nil, err
	}
	for _, x := range all.MetricAlarms {
		out = append(out, "alarm "+aws.ToString(x.AlarmName))
	}
	return out, nil
}

func (a sdkAccount) rules(ctx context.Context, stack string) (out []string, err error) {
	all, err := a.events.ListRules(ctx, &eventbridge.ListRulesInput{NamePrefix: aws.String(stack + "-failed-release")})
	if err != nil {
		return nil, err
	}
	for _, x := range all.Rules {
		out = append(out, "event rule "+aws.ToString(x.Name))
	}
	return out, nil
}

func (a sdkAccount) topics(ctx context.Context, stack string) (out []string, err error) {
	pages := sns.NewListTopicsPaginator(a.sns, &sns.ListTopicsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return out, err
		}
		for _, x := range page.Topics {
			if arn := aws.ToString(x.TopicArn); strings.HasSuffix(arn, ":"+stack+"-alarms") {
				out = append(out, "topic "+arn[strings.LastIndexByte(arn, ':')+1:])
			}
		}
	}
	return out, nil
}
