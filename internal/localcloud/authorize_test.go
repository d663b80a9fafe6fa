package localcloud_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scalingtypes "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/access"
)

// openWithPolicy opens a cloud whose deployer may do what the statements say.
func openWithPolicy(t *testing.T, statements string) *localcloud.Cloud {
	t.Helper()
	p, err := access.Parse([]byte(`{"Version":"2012-10-17","Statement":[` + statements + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return openCloud(t, localcloud.Config{Policies: []access.Policy{p}})
}

// refusedBy holds an error against the code and a part of the message.
func refusedBy(t *testing.T, what string, err error, code, words string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), words) {
		t.Errorf("%s: %v, want %s with %q", what, err, code, words)
	}
}

// TestADenialReadsAsTheServiceWritesIt has each protocol's own code:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html.
func TestADenialReadsAsTheServiceWritesIt(t *testing.T) {
	t.Parallel()
	c := openWithPolicy(t, `{"Effect":"Allow","Action":["ec2:DescribeVpcs","application-autoscaling:*","ecs:*"],"Resource":"*"},{"Effect":"Deny","Action":"ec2:DescribeSubnets","Resource":"*"}`)
	ctx, cfg := t.Context(), once(c)
	const user = "User: arn:aws:iam::000000000000:user/local is not authorized to perform: "

	_, err := ec2.NewFromConfig(cfg).CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16")})
	refusedBy(t, "EC2", err, "UnauthorizedOperation", "You are not authorized to perform this operation. "+user+
		"ec2:CreateVpc on resource: arn:aws:ec2:us-east-1:000000000000:vpc/* because no identity-based policy allows the ec2:CreateVpc action")
	_, err = ec2.NewFromConfig(cfg).DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{})
	refusedBy(t, "an explicit deny", err, "UnauthorizedOperation", user+"ec2:DescribeSubnets with an explicit deny in an identity-based policy")
	_, err = iam.NewFromConfig(cfg).GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("a")})
	refusedBy(t, "IAM", err, "AccessDenied", user+"iam:GetRole on resource: arn:aws:iam::000000000000:role/a because no identity-based policy allows the iam:GetRole action")
	_, err = secretsmanager.NewFromConfig(cfg).DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("a")})
	refusedBy(t, "Secrets Manager", err, "AccessDeniedException", user+"secretsmanager:DescribeSecret on resource: arn:aws:secretsmanager:us-east-1:000000000000:secret:a")
	_, err = ecs.NewFromConfig(cfg).RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		Family: aws.String("f"), TaskRoleArn: aws.String("arn:aws:iam::000000000000:role/r"), ContainerDefinitions: []ecstypes.ContainerDefinition{{Name: aws.String("c")}},
	})
	refusedBy(t, "a role that is passed", err, "AccessDeniedException", user+"iam:PassRole on resource: arn:aws:iam::000000000000:role/r")
	_, err = scaling.NewFromConfig(cfg).PutScalingPolicy(ctx, &scaling.PutScalingPolicyInput{
		PolicyName: aws.String("p"), ResourceId: aws.String("service/a/b"), ServiceNamespace: scalingtypes.ServiceNamespaceEcs,
		ScalableDimension: scalingtypes.ScalableDimensionECSServiceDesiredCount, PolicyType: scalingtypes.PolicyTypeTargetTrackingScaling,
	})
	refusedBy(t, "the alarms of target tracking", err, "ValidationException", user+"cloudwatch:PutMetricAlarm on resource: arn:aws:cloudwatch:us-east-1:000000000000:alarm:TargetTracking-service/a/b-")
	if _, err := ec2.NewFromConfig(cfg).DescribeVpcs(ctx, &ec2.DescribeVpcsInput{}); err != nil {
		t.Errorf("what is allowed: %v", err)
	}
	// Whoever looks at the cloud from outside is not checked.
	cfg.Credentials = credentials.NewStaticCredentialsProvider("root", "root", "")
	if _, err := ec2.NewFromConfig(cfg).CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16")}); err != nil {
		t.Errorf("the administrator: %v", err)
	}
}

// TestTagsAreJudgedAsTheyAreAtThatMoment creates under a condition on the
// request's tags, which then hold for the resource.
func TestTagsAreJudgedAsTheyAreAtThatMoment(t *testing.T) {
	t.Parallel()
	c := openWithPolicy(t, `{"Effect":"Allow","Action":"ec2:CreateVpc","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/owner":"me"}}},
		{"Effect":"Allow","Action":"ec2:CreateTags","Resource":"*","Condition":{"StringEquals":{"ec2:CreateAction":"CreateVpc"}}},
		{"Effect":"Allow","Action":"ec2:DeleteVpc","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/owner":"me"}}}`)
	ctx, client := t.Context(), ec2.NewFromConfig(once(c))
	create := func(owner string) (*ec2.CreateVpcOutput, error) {
		return client.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16"), TagSpecifications: []ec2types.TagSpecification{{
			ResourceType: ec2types.ResourceTypeVpc, Tags: []ec2types.Tag{{Key: aws.String("owner"), Value: &owner}},
		}}})
	}
	_, err := create("you")
	refusedBy(t, "another's tag", err, "UnauthorizedOperation", "ec2:CreateVpc")
	out, err := create("me")
	if err != nil {
		t.Fatal(err)
	}
	tag := func() error {
		_, err := client.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{*out.Vpc.VpcId}, Tags: []ec2types.Tag{{Key: aws.String("more"), Value: aws.String("1")}}})
		return err
	}
	refusedBy(t, "a tag on what is there", tag(), "UnauthorizedOperation", "ec2:CreateTags")
	vpcs, err := ec2.NewFromConfig(rootConfig(c)).DescribeVpcs(ctx, &ec2.DescribeVpcsInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vpcs.Vpcs {
		_, err := client.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: v.VpcId})
		if *v.VpcId == *out.Vpc.VpcId {
			if err != nil {
				t.Errorf("one's own VPC: %v", err)
			}
			continue
		}
		refusedBy(t, "the default VPC", err, "UnauthorizedOperation", "ec2:DeleteVpc")
	}
}

func rootConfig(c *localcloud.Cloud) aws.Config {
	cfg := once(c)
	cfg.Credentials = credentials.NewStaticCredentialsProvider("root", "root", "")
	return cfg
}

// TestWhatAWSChecksInAddition has the actions that are no calls of their own.
func TestWhatAWSChecksInAddition(t *testing.T) {
	t.Parallel()
	asked := map[string]localcloud.AuthorizedCall{}
	c := openCloud(t, localcloud.Config{Region: "us-gov-west-1", Watch: func(a localcloud.AuthorizedCall) { asked[a.Action] = a }})
	cfg := once(c)
	cfg.Region = "us-gov-west-1"
	ctx := t.Context()
	_, err := rds.NewFromConfig(cfg).DeleteDBInstance(ctx, &rds.DeleteDBInstanceInput{DBInstanceIdentifier: aws.String("d"), FinalDBSnapshotIdentifier: aws.String("s")})
	if code(err) != "DBInstanceNotFound" {
		t.Fatal(err)
	}
	var got []string
	for _, r := range asked["rds:DeleteDBInstance"].Requests {
		got = append(got, r.Action+" "+r.Resource)
	}
	want := "rds:DeleteDBInstance arn:aws-us-gov:rds:us-gov-west-1:000000000000:db:d, rds:CreateDBSnapshot arn:aws-us-gov:rds:us-gov-west-1:000000000000:db:d, " +
		"rds:CreateDBSnapshot arn:aws-us-gov:rds:us-gov-west-1:000000000000:snapshot:s, rds:AddTagsToResource arn:aws-us-gov:rds:us-gov-west-1:000000000000:snapshot:s"
	if strings.Join(got, ", ") != want {
		t.Errorf("a final snapshot: %q", got)
	}
	if _, err := iam.NewFromConfig(cfg).ListRoles(ctx, &iam.ListRolesInput{}); err != nil {
		t.Errorf("IAM in another partition: %v", err)
	}
}
