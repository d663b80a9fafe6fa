package logs

import (
	"maps"

	"github.com/aws/aws-sdk-go-v2/aws"
	logs "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
)

func (a tx) tag(group string, tags map[string]string) error {
	g, err := a.logGroup(group)
	if err != nil {
		return err
	}
	all := maps.Clone(g.Tags)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, tags)
	g.Tags = all
	return nil
}

func (a tx) untag(group string, keys []string) error {
	g, err := a.logGroup(group)
	if err != nil {
		return err
	}
	left := maps.Clone(g.Tags)
	for _, k := range keys {
		delete(left, k)
	}
	g.Tags = left
	return nil
}

func (a tx) listTags(group string) (map[string]string, error) {
	g, err := a.logGroup(group)
	if err != nil {
		return nil, err
	}
	if g.Tags == nil {
		return map[string]string{}, nil
	}
	return maps.Clone(g.Tags), nil
}

// TagResource tags a group by its ARN.
func (a tx) TagResource(in *logs.TagResourceInput) (*logs.TagResourceOutput, error) {
	return &logs.TagResourceOutput{}, a.tag(aws.ToString(in.ResourceArn), in.Tags)
}

// UntagResource removes tags from a group.
func (a tx) UntagResource(in *logs.UntagResourceInput) (*logs.UntagResourceOutput, error) {
	return &logs.UntagResourceOutput{}, a.untag(aws.ToString(in.ResourceArn), in.TagKeys)
}

// ListTagsForResource lists a group's tags.
func (a tx) ListTagsForResource(in *logs.ListTagsForResourceInput) (*logs.ListTagsForResourceOutput, error) {
	tags, err := a.listTags(aws.ToString(in.ResourceArn))
	return &logs.ListTagsForResourceOutput{Tags: tags}, err
}

// TagLogGroup is the older TagResource.
func (a tx) TagLogGroup(in *logs.TagLogGroupInput) (*logs.TagLogGroupOutput, error) {
	return &logs.TagLogGroupOutput{}, a.tag(aws.ToString(in.LogGroupName), in.Tags)
}

// UntagLogGroup is the older UntagResource.
func (a tx) UntagLogGroup(in *logs.UntagLogGroupInput) (*logs.UntagLogGroupOutput, error) {
	return &logs.UntagLogGroupOutput{}, a.untag(aws.ToString(in.LogGroupName), in.Tags)
}

// ListTagsLogGroup is the older ListTagsForResource.
func (a tx) ListTagsLogGroup(in *logs.ListTagsLogGroupInput) (*logs.ListTagsLogGroupOutput, error) {
	tags, err := a.listTags(aws.ToString(in.LogGroupName))
	return &logs.ListTagsLogGroupOutput{Tags: tags}, err
}
