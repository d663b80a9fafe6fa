package localcloud

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	tagapi "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	route53types "github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secretstypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// TagResources tags things of any service through the service's own call, and
// says which ones it could not
// (https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_TagResources.html).
func (a taggingAPI) TagResources(ctx context.Context, in *tagapi.TagResourcesInput) (*tagapi.TagResourcesOutput, error) {
	if len(in.Tags) == 0 || len(in.Tags) > 50 {
		return nil, fail("InvalidParameterException", "Tags must have between 1 and 50 entries")
	}
	failed, err := a.each(in.ResourceARNList, func(arn string) error { return a.retag(ctx, arn, in.Tags, nil) })
	return &tagapi.TagResourcesOutput{FailedResourcesMap: failed}, err
}

// UntagResources is the opposite of TagResources.
func (a taggingAPI) UntagResources(ctx context.Context, in *tagapi.UntagResourcesInput) (*tagapi.UntagResourcesOutput, error) {
	if len(in.TagKeys) == 0 || len(in.TagKeys) > 50 {
		return nil, fail("InvalidParameterException", "TagKeys must have between 1 and 50 entries")
	}
	failed, err := a.each(in.ResourceARNList, func(arn string) error { return a.retag(ctx, arn, nil, in.TagKeys) })
	return &tagapi.UntagResourcesOutput{FailedResourcesMap: failed}, err
}

func (a taggingAPI) each(arns []string, change func(arn string) error) (map[string]types.FailureInfo, error) {
	if len(arns) == 0 || len(arns) > 20 {
		return nil, fail("InvalidParameterException", "ResourceARNList must have between 1 and 20 entries")
	}
	failed := map[string]types.FailureInfo{}
	for _, arn := range arns {
		if err := change(arn); err != nil {
			info := types.FailureInfo{ErrorCode: types.ErrorCodeInvalidParameterException, ErrorMessage: aws.String(err.Error()), StatusCode: 400}
			var said *apiError
			if errors.As(err, &said) {
				info.ErrorMessage = aws.String(said.message)
			}
			failed[arn] = info
		}
	}
	return failed, nil
}

// retag adds tags to a thing and takes others away.
func (a taggingAPI) retag(ctx context.Context, arn string, add map[string]string, remove []string) (err error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return fail("InvalidParameterException", "The ARN %s is not valid", arn)
	}
	keys := func(yield func(string, string) bool) {
		for _, k := range slices.Sorted(maps.Keys(add)) {
			if !yield(k, add[k]) {
				return
			}
		}
	}
	_, id, _ := strings.Cut(parts[5], "/")
	switch parts[2] {
	case "acm":
		var tags []acmtypes.Tag
		for k, v := range keys {
			tags = append(tags, acmtypes.Tag{Key: &k, Value: &v})
		}
		if len(tags) > 0 {
			_, err = acmAPI(a).AddTagsToCertificate(ctx, &acm.AddTagsToCertificateInput{CertificateArn: &arn, Tags: tags})
			return err
		}
		for _, k := range remove {
			tags = append(tags, acmtypes.Tag{Key: &k})
		}
		_, err = acmAPI(a).RemoveTagsFromCertificate(ctx, &acm.RemoveTagsFromCertificateInput{CertificateArn: &arn, Tags: tags})
	case "ec2":
		var tags []ec2types.Tag
		for k, v := range keys {
			tags = append(tags, ec2types.Tag{Key: &k, Value: &v})
		}
		if len(tags) > 0 {
			_, err = ec2API(a).CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: tags})
			return err
		}
		for _, k := range remove {
			tags = append(tags, ec2types.Tag{Key: &k})
		}
		_, err = ec2API(a).DeleteTags(ctx, &ec2.DeleteTagsInput{Resources: []string{id}, Tags: tags})
	case "ecr":
		var tags []ecrtypes.Tag
		for k, v := range keys {
			tags = append(tags, ecrtypes.Tag{Key: &k, Value: &v})
		}
		if len(tags) > 0 {
			_, err = ecrAPI(a).TagResource(ctx, &ecr.TagResourceInput{ResourceArn: &arn, Tags: tags})
			return err
		}
		_, err = ecrAPI(a).UntagResource(ctx, &ecr.UntagResourceInput{ResourceArn: &arn, TagKeys: remove})
	case "ecs":
		var tags []ecstypes.Tag
		for k, v := range keys {
			tags = append(tags, ecstypes.Tag{Key: &k, Value: &v})
		}
		if len(tags) > 0 {
			_, err = ecsAPI(a).TagResource(ctx, &ecs.TagResourceInput{ResourceArn: &arn, Tags: tags})
			return err
		}
		_, err = ecsAPI(a).UntagResource(ctx, &ecs.UntagResourceInput{ResourceArn: &arn, TagKeys: remove})
	case "elasticloadbalancing":
		var tags []elbtypes.Tag
		for k, v := range keys {
			tags = append(tags, elbtypes.Tag{Key: &k, Value: &v})
		}
		if len(tags) > 0 {
			_, err = elbAPI(a).AddTags(ctx, &elb.AddTagsInput{ResourceArns: []string{arn}, Tags: tags})
			return err
		}
		_, err = elbAPI(a).RemoveTags(ctx, &elb.RemoveTagsInput{ResourceArns: []string{arn}, TagKeys: remove})
	case "logs":
		if len(add) > 0 {
			_, err = logsAPI(a).TagResource(ctx, &cloudwatchlogs.TagResourceInput{ResourceArn: &arn, Tags: add})
			return err
		}
		_, err = logsAPI(a).UntagResource(ctx, &cloudwatchlogs.UntagResourceInput{ResourceArn: &arn, TagKeys: remove})
	case "rds":
		var tags []rdstypes.Tag
		for k, v := range keys {
			tags = append(tags, rdstypes.Tag{Key: &k, Value: &v})
		}
		if len(tags) > 0 {
			_, err = rdsAPI(a).AddTagsToResource(ctx, &rds.AddTagsToResourceInput{ResourceName: &arn, Tags: tags})
			return err
		}
		_, err = rdsAPI(a).RemoveTagsFromResource(ctx, &rds.RemoveTagsFromResourceInput{ResourceName: &arn, TagKeys: remove})
	case "route53":
		in := &route53.ChangeTagsForResourceInput{ResourceType: route53types.TagResourceTypeHostedzone, ResourceId: &id, RemoveTagKeys: remove}
		for k, v := range keys {
			in.AddTags = append(in.AddTags, route53types.Tag{Key: &k, Value: &v})
		}
		_, err = route53API(a).ChangeTagsForResource(ctx, in)
	case "secretsmanager":
		var tags []secretstypes.Tag
		for k, v := range keys {
			tags = append(tags, secretstypes.Tag{Key: &k, Value: &v})
		}
		if len(tags) > 0 {
			_, err = secretsAPI(a).TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: &arn, Tags: tags})
			return err
		}
		_, err = secretsAPI(a).UntagResource(ctx, &secretsmanager.UntagResourceInput{SecretId: &arn, TagKeys: remove})
	case "ssm":
		name := arn
		if p := ssmAPI(a).find(arn); p != nil {
			name = p.Name
		}
		var tags []ssmtypes.Tag
		for k, v := range keys {
			tags = append(tags, ssmtypes.Tag{Key: &k, Value: &v})
		}
		if len(tags) > 0 {
			_, err = ssmAPI(a).AddTagsToResource(ctx, &ssm.AddTagsToResourceInput{ResourceType: ssmtypes.ResourceTypeForTaggingParameter, ResourceId: &name, Tags: tags})
			return err
		}
		_, err = ssmAPI(a).RemoveTagsFromResource(ctx, &ssm.RemoveTagsFromResourceInput{ResourceType: ssmtypes.ResourceTypeForTaggingParameter, ResourceId: &name, TagKeys: remove})
	default:
		return fail("InvalidParameterException", "The service %s is not served by the local cloud's tagging API", parts[2])
	}
	return err
}
