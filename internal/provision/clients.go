package provision

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cloudwatchschemas "github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"
)

// Clients are the AWS clients of a stack. Each resource gets only those that it needs.
type Clients struct {
	ACM        *acm.Client
	Scaling    *applicationautoscaling.Client
	CloudWatch *cloudwatch.Client
	EC2        *ec2.Client
	ECR        *ecr.Client
	ECS        *ecs.Client
	ELB        *elasticloadbalancingv2.Client
	Events     *eventbridge.Client
	IAM        *iam.Client
	Logs       *cloudwatchlogs.Client
	RDS        *rds.Client
	Route53    *route53.Client
	Secrets    *secretsmanager.Client
	SNS        *sns.Client
	SSM        *ssm.Client
	STS        *sts.Client
	Tagging    *resourcegroupstaggingapi.Client

	caller *caller
}

// NewClients creates the clients from one configuration.
func NewClients(c aws.Config) Clients {
	identity := sts.NewFromConfig(c)
	return Clients{
		caller:  newCaller(identity),
		ACM:     acm.NewFromConfig(c),
		Scaling: applicationautoscaling.NewFromConfig(c),
		CloudWatch: cloudwatch.NewFromConfig(c, func(o *cloudwatch.Options) {
			// CloudWatch supports the query protocol in addition to its newer ones, which
			// emulators don't implement:
			// https://github.com/boto/botocore/blob/develop/botocore/data/cloudwatch/2010-08-01/service-2.json
			o.Protocol = awsquery.New(cloudwatchschemas.GraniteServiceVersion20100801)
		}),
		EC2:     ec2.NewFromConfig(c),
		ECR:     ecr.NewFromConfig(c),
		ECS:     ecs.NewFromConfig(c),
		ELB:     elasticloadbalancingv2.NewFromConfig(c),
		Events:  eventbridge.NewFromConfig(c),
		IAM:     iam.NewFromConfig(c),
		Logs:    cloudwatchlogs.NewFromConfig(c),
		RDS:     rds.NewFromConfig(c),
		Route53: route53.NewFromConfig(c),
		Secrets: secretsmanager.NewFromConfig(c),
		SNS:     sns.NewFromConfig(c),
		SSM:     ssm.NewFromConfig(c),
		STS:     identity,
		Tagging: resourcegroupstaggingapi.NewFromConfig(c),
	}
}
