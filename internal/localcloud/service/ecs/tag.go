package ecs

import (
	"maps"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// tagPair returns the key and the value of a tag.
func tagPair(t types.Tag) (key, value *string) { return t.Key, t.Value }

// newTag returns a tag of that key and value.
func newTag(key, value *string) types.Tag { return types.Tag{Key: key, Value: value} }

// tagsOf are the tags of the resource that an ARN names.
func (a tx) tagsOf(arn *string) (map[string]string, error) {
	_, kind, _ := strings.Cut(aws.ToString(arn), ":ecs:"+a.Region()+":"+a.Account()+":")
	kind, name, _ := strings.Cut(kind, "/")
	switch kind {
	case "cluster":
		cl, err := a.cluster(arn)
		if err != nil {
			return nil, err
		}
		return cl.Tags, nil
	case "task-definition":
		if d := a.state().Definitions[name]; d != nil {
			return d.Tags, nil
		}
	case "service":
		if s := a.state().Services[name]; s != nil && s.Status == statusActive {
			return s.Tags, nil
		}
		return nil, kernel.Fail("ServiceNotFoundException", "Service not found.")
	case "task":
		if t := a.state().Tasks[lastPart(name)]; t != nil {
			return t.TagMap, nil
		}
	}
	return nil, kernel.Fail("InvalidParameterException", "The specified resource %s is not found.", aws.ToString(arn))
}

// TagResource tags clusters, services, tasks and task definitions.
func (a tx) TagResource(in *ecs.TagResourceInput) (*ecs.TagResourceOutput, error) {
	tags, err := a.tagsOf(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	maps.Copy(tags, kernel.TagMap(in.Tags, tagPair))
	return &ecs.TagResourceOutput{}, nil
}

// UntagResource is the opposite of TagResource.
func (a tx) UntagResource(in *ecs.UntagResourceInput) (*ecs.UntagResourceOutput, error) {
	tags, err := a.tagsOf(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(tags, k)
	}
	return &ecs.UntagResourceOutput{}, nil
}

// ListTagsForResource lists a resource's tags.
func (a tx) ListTagsForResource(in *ecs.ListTagsForResourceInput) (*ecs.ListTagsForResourceOutput, error) {
	tags, err := a.tagsOf(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &ecs.ListTagsForResourceOutput{Tags: kernel.TagList(tags, newTag)}, nil
}
