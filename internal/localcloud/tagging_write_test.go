package localcloud_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	tagapi "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// One call tags things of many services, and says which it could not.
func TestResourcesOfAllServicesAreTaggedByOneCall(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	cfg, ctx := clientConfig(c), t.Context()
	var arns []string
	vpc := must[*ec2.CreateVpcOutput](t)(ec2.NewFromConfig(cfg).CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16")}))
	arns = append(arns, "arn:aws:ec2:us-east-1:000000000000:vpc/"+*vpc.Vpc.VpcId)
	repository := must[*ecr.CreateRepositoryOutput](t)(ecr.NewFromConfig(cfg).CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("books")}))
	arns = append(arns, *repository.Repository.RepositoryArn)
	cluster := must[*ecs.CreateClusterOutput](t)(ecs.NewFromConfig(cfg).CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String("books")}))
	arns = append(arns, *cluster.Cluster.ClusterArn)
	group := must[*rds.DescribeDBEngineVersionsOutput](t)(rds.NewFromConfig(cfg).DescribeDBEngineVersions(ctx, &rds.DescribeDBEngineVersionsInput{Engine: aws.String("postgres")}))
	parameters := must[*rds.CreateDBParameterGroupOutput](t)(rds.NewFromConfig(cfg).CreateDBParameterGroup(ctx, &rds.CreateDBParameterGroupInput{
		DBParameterGroupName: aws.String("books"), DBParameterGroupFamily: group.DBEngineVersions[0].DBParameterGroupFamily, Description: aws.String("x"),
	}))
	arns = append(arns, *parameters.DBParameterGroup.DBParameterGroupArn)
	must[*cloudwatchlogs.CreateLogGroupOutput](t)(cloudwatchlogs.NewFromConfig(cfg).CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("/books")}))
	arns = append(arns, "arn:aws:logs:us-east-1:000000000000:log-group:/books")
	secret := must[*secretsmanager.CreateSecretOutput](t)(secretsmanager.NewFromConfig(cfg).CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("books")}))
	arns = append(arns, *secret.ARN)
	must[*ssm.PutParameterOutput](t)(ssm.NewFromConfig(cfg).PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String("/books/x"), Value: aws.String("1"), Type: ssmtypes.ParameterTypeString}))
	arns = append(arns, "arn:aws:ssm:us-east-1:000000000000:parameter/books/x")
	g := newGround(t, c)
	_, lb, targets := g.front(t)
	arns = append(arns, lb, targets)

	client := tagapi.NewFromConfig(cfg)
	missing := "arn:aws:ecr:us-east-1:000000000000:repository/missing"
	done := must[*tagapi.TagResourcesOutput](t)(client.TagResources(ctx, &tagapi.TagResourcesInput{ResourceARNList: append(arns[:len(arns):len(arns)], missing), Tags: map[string]string{"owner": "me", "stage": "test"}}))
	if f := done.FailedResourcesMap; len(f) != 1 || f[missing].StatusCode != 400 {
		t.Errorf("the failures are %+v, want the one repository that does not exist", f)
	}
	count := func() int {
		out := must[*tagapi.GetResourcesOutput](t)(client.GetResources(ctx, &tagapi.GetResourcesInput{ResourceARNList: arns}))
		n := 0
		for _, r := range out.ResourceTagMappingList {
			for _, tag := range r.Tags {
				if *tag.Key == "owner" && *tag.Value == "me" {
					n++
				}
			}
		}
		return n
	}
	if got := count(); got != len(arns) {
		t.Errorf("%d of %d things have the tag", got, len(arns))
	}
	gone := must[*tagapi.UntagResourcesOutput](t)(client.UntagResources(ctx, &tagapi.UntagResourcesInput{ResourceARNList: arns, TagKeys: []string{"owner"}}))
	if len(gone.FailedResourcesMap) != 0 || count() != 0 {
		t.Errorf("after the tag was taken away %d things have it; failed are %+v", count(), gone.FailedResourcesMap)
	}
}

func TestThePolicyOfARepository(t *testing.T) {
	t.Parallel()
	client := ecr.NewFromConfig(clientConfig(openCloud(t, localcloud.Config{})))
	ctx, name := t.Context(), aws.String("books")
	must[*ecr.CreateRepositoryOutput](t)(client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: name}))
	_, err := client.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: name})
	refused(t, err, "RepositoryPolicyNotFoundException", "books")
	set := func(text string) error {
		_, err := client.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: name, PolicyText: &text})
		return err
	}
	refused(t, set(`{"Statement":`), "InvalidParameterException", "PolicyText")
	refused(t, set(`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage","Resource":"*"}]}`), "InvalidParameterException", "PolicyText")
	const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}`
	if err := set(policy); err != nil {
		t.Fatal(err)
	}
	if got := must[*ecr.GetRepositoryPolicyOutput](t)(client.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: name})); *got.PolicyText != policy {
		t.Errorf("the policy reads back as %s", *got.PolicyText)
	}
	must[*ecr.DeleteRepositoryPolicyOutput](t)(client.DeleteRepositoryPolicy(ctx, &ecr.DeleteRepositoryPolicyInput{RepositoryName: name}))
	_, err = client.DeleteRepositoryPolicy(ctx, &ecr.DeleteRepositoryPolicyInput{RepositoryName: name})
	refused(t, err, "RepositoryPolicyNotFoundException", "books")
}

func TestARuleOfASecurityGroupIsChangedInPlace(t *testing.T) {
	t.Parallel()
	g := newGround(t, openCloud(t, localcloud.Config{}))
	client, ctx := ec2.NewFromConfig(clientConfig(g.cloud)), t.Context()
	created := must[*ec2.AuthorizeSecurityGroupIngressOutput](t)(client.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{
		GroupId: &g.group, IpPermissions: []ec2types.IpPermission{
			{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(80), ToPort: aws.Int32(80), IpRanges: []ec2types.IpRange{{CidrIp: aws.String("10.0.0.0/8")}}},
			{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(90), ToPort: aws.Int32(90), IpRanges: []ec2types.IpRange{{CidrIp: aws.String("10.0.0.0/8")}}},
		},
	}))
	id := created.SecurityGroupRules[0].SecurityGroupRuleId
	change := func(port int32, description string) error {
		_, err := client.ModifySecurityGroupRules(ctx, &ec2.ModifySecurityGroupRulesInput{GroupId: &g.group, SecurityGroupRules: []ec2types.SecurityGroupRuleUpdate{{
			SecurityGroupRuleId: id, SecurityGroupRule: &ec2types.SecurityGroupRuleRequest{
				IpProtocol: aws.String("tcp"), FromPort: &port, ToPort: &port, CidrIpv4: aws.String("10.0.0.0/8"), Description: &description,
			},
		}}})
		return err
	}
	read := func() ec2types.SecurityGroupRule {
		out := must[*ec2.DescribeSecurityGroupRulesOutput](t)(client.DescribeSecurityGroupRules(ctx, &ec2.DescribeSecurityGroupRulesInput{SecurityGroupRuleIds: []string{*id}}))
		return out.SecurityGroupRules[0]
	}
	refused(t, change(90, ""), "InvalidPermission.Duplicate", "already exists")
	if err := change(81, "for tests"); err != nil {
		t.Fatal(err)
	}
	if r := read(); *r.FromPort != 81 || aws.ToString(r.Description) != "for tests" {
		t.Errorf("the rule reads back as %+v", r)
	}
	must[*ec2.UpdateSecurityGroupRuleDescriptionsIngressOutput](t)(client.UpdateSecurityGroupRuleDescriptionsIngress(ctx, &ec2.UpdateSecurityGroupRuleDescriptionsIngressInput{
		GroupId: &g.group, SecurityGroupRuleDescriptions: []ec2types.SecurityGroupRuleDescription{{SecurityGroupRuleId: id, Description: aws.String("other")}},
	}))
	if r := read(); *r.FromPort != 81 || aws.ToString(r.Description) != "other" {
		t.Errorf("with another description the rule reads back as %+v", r)
	}
}

func TestTheCallerIsTheUserThatIAMDescribes(t *testing.T) {
	t.Parallel()
	client := iam.NewFromConfig(clientConfig(openCloud(t, localcloud.Config{})))
	me := must[*iam.GetUserOutput](t)(client.GetUser(t.Context(), &iam.GetUserInput{}))
	if *me.User.Arn != "arn:aws:iam::000000000000:user/local" {
		t.Errorf("the caller is %s", *me.User.Arn)
	}
	_, err := client.GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("other")})
	refused(t, err, "NoSuchEntity", "other")
	_, err = elb.NewFromConfig(clientConfig(openCloud(t, localcloud.Config{}))).DescribeCapacityReservation(t.Context(), &elb.DescribeCapacityReservationInput{
		LoadBalancerArn: aws.String("arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/x/1"),
	})
	refused(t, err, "LoadBalancerNotFound", "")
}
