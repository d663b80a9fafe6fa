package cli_test

import (
	"context"
	"runtime"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// TestMotoTagsEverythingThatIsMade asks an AWS that nobody here wrote, service by service,
// for the tags of what a first up with --tag has made.
func TestMotoTagsEverythingThatIsMade(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	endpoint, ctx := moto.Start(t), t.Context()
	s := newShell(t, "AWS_ENDPOINT_URL="+endpoint, "AWS_ACCESS_KEY_ID=t", "AWS_SECRET_ACCESS_KEY=t", "AWS_REGION=us-east-1")
	s.must("up", "--wait=false", "--image", noImage, "--arch", runtime.GOARCH, "--min", "1", "--max", "2", "--alarm-email", "ops@example.com", "--tag", "team=payments", "--tag", "Cost Center=42")
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("t", "t", ""), APIOptions: []func(*middleware.Stack) error{requestbody.Readable}}
	made := map[string]map[string]string{} // tags by what has them
	for kind, list := range map[string]func(context.Context, aws.Config, func(name, key, value *string)) error{
		"ec2": ec2Tags, "rds": rdsTags, "ecs": ecsTags, "elb": elbTags, "iam": iamTags, "other": otherTags,
	} {
		if err := list(ctx, cfg, func(name, key, value *string) {
			if made[*name] == nil {
				made[*name] = map[string]string{}
			}
			made[*name][aws.ToString(key)] = aws.ToString(value)
		}); err != nil {
			t.Fatalf("list the tags of %s: %v", kind, err)
		}
	}
	var parts []string
	for name, tags := range made {
		if tags["bookctl:stack"] != "book" {
			continue // moto's own, such as the default VPC
		}
		parts = append(parts, tags["bookctl:resource"])
		if tags["team"] != "payments" || tags["Cost Center"] != "42" {
			t.Errorf("%s has %v", name, tags)
		}
	}
	// moto keeps no tags of scalable targets, rules and log groups, or does not return them.
	want := []string{
		"alarm-topic", "cluster", "database", "db-parameter-group", "db-subnet-group", "execution-role", "internet-gateway", "listener", "load-balancer", "repository",
		"route-table-private", "route-table-public", "secret", "service", "sg-database", "sg-load-balancer", "sg-task",
		"subnet-private-a", "subnet-private-b", "subnet-public-a", "subnet-public-b", "target-group", "task-definition", "task-role", "vpc",
	}
	slices.Sort(parts)
	if diff := cmp.Diff(want, parts); diff != "" {
		t.Errorf("what has tags (-want +got):\n%s", diff)
	}
}

func ec2Tags(ctx context.Context, cfg aws.Config, found func(name, key, value *string)) error {
	pages := ec2.NewDescribeTagsPaginator(ec2.NewFromConfig(cfg), &ec2.DescribeTagsInput{Filters: []ec2types.Filter{}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, tag := range page.Tags {
			found(tag.ResourceId, tag.Key, tag.Value)
		}
	}
	return nil
}

func rdsTags(ctx context.Context, cfg aws.Config, found func(name, key, value *string)) error {
	client := rds.NewFromConfig(cfg)
	for _, name := range []string{"db", "pg", "subgrp"} {
		out, err := client.ListTagsForResource(ctx, &rds.ListTagsForResourceInput{ResourceName: aws.String("arn:aws:rds:us-east-1:123456789012:" + name + ":book-database")})
		if err != nil {
			return err
		}
		for _, tag := range out.TagList {
			found(aws.String("rds "+name), tag.Key, tag.Value)
		}
	}
	return nil
}

func ecsTags(ctx context.Context, cfg aws.Config, found func(name, key, value *string)) error {
	client := ecs.NewFromConfig(cfg)
	for _, name := range []string{"cluster/book-cluster", "service/book-cluster/book-service", "task-definition/book-app:1"} {
		out, err := client.ListTagsForResource(ctx, &ecs.ListTagsForResourceInput{ResourceArn: aws.String("arn:aws:ecs:us-east-1:123456789012:" + name)})
		if err != nil {
			return err
		}
		for _, tag := range out.Tags {
			found(&name, tag.Key, tag.Value)
		}
	}
	return nil
}

func elbTags(ctx context.Context, cfg aws.Config, found func(name, key, value *string)) error {
	client := elb.NewFromConfig(cfg)
	balancers, err := client.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{})
	if err != nil {
		return err
	}
	groups, err := client.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{})
	if err != nil {
		return err
	}
	arns := []string{*balancers.LoadBalancers[0].LoadBalancerArn, *groups.TargetGroups[0].TargetGroupArn}
	listeners, err := client.DescribeListeners(ctx, &elb.DescribeListenersInput{LoadBalancerArn: &arns[0]})
	if err != nil {
		return err
	}
	out, err := client.DescribeTags(ctx, &elb.DescribeTagsInput{ResourceArns: append(arns, *listeners.Listeners[0].ListenerArn)})
	if err != nil {
		return err
	}
	for _, of := range out.TagDescriptions {
		for _, tag := range of.Tags {
			found(of.ResourceArn, tag.Key, tag.Value)
		}
	}
	return nil
}

func iamTags(ctx context.Context, cfg aws.Config, found func(name, key, value *string)) error {
	client := iam.NewFromConfig(cfg)
	for _, name := range []string{"book-us-east-1-execution-role", "book-us-east-1-task-role"} {
		out, err := client.ListRoleTags(ctx, &iam.ListRoleTagsInput{RoleName: &name})
		if err != nil {
			return err
		}
		for _, tag := range out.Tags {
			found(&name, tag.Key, tag.Value)
		}
	}
	return nil
}

// otherTags are of the services of which a stack has one thing.
func otherTags(ctx context.Context, cfg aws.Config, found func(name, key, value *string)) error {
	secret, err := secretsmanager.NewFromConfig(cfg).DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("book/database")})
	if err != nil {
		return err
	}
	for _, tag := range secret.Tags {
		found(secret.ARN, tag.Key, tag.Value)
	}
	repository, err := ecr.NewFromConfig(cfg).ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: aws.String("arn:aws:ecr:us-east-1:123456789012:repository/book/app")})
	if err != nil {
		return err
	}
	for _, tag := range repository.Tags {
		found(aws.String("repository"), tag.Key, tag.Value)
	}
	topic, err := sns.NewFromConfig(cfg).ListTagsForResource(ctx, &sns.ListTagsForResourceInput{ResourceArn: aws.String("arn:aws:sns:us-east-1:123456789012:book-alarms")})
	if err != nil {
		return err
	}
	for _, tag := range topic.Tags {
		found(aws.String("topic"), tag.Key, tag.Value)
	}
	return nil
}
