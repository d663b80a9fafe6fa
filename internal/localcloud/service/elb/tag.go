package elb

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// tagPair returns the key and the value of a tag.
func tagPair(t types.Tag) (key, value *string) { return t.Key, t.Value }

// newTag returns a tag of that key and value.
func newTag(key, value *string) types.Tag { return types.Tag{Key: key, Value: value} }

// tagsOf are the tags of the resource that an ARN names.
func (a tx) tagsOf(arn string) (map[string]string, error) {
	if strings.Contains(arn, ":loadbalancer/") {
		lb, err := a.loadBalancer(&arn)
		if err != nil {
			return nil, err
		}
		return lb.Tags, nil
	}
	if strings.Contains(arn, ":targetgroup/") {
		tg, err := a.targetGroup(&arn)
		if err != nil {
			return nil, err
		}
		return tg.Tags, nil
	}
	if strings.Contains(arn, ":listener-rule/") {
		r := a.state().Rules[arn]
		if r == nil || !a.Visible(arn) {
			return nil, kernel.Fail("RuleNotFound", "One or more rules not found")
		}
		return r.Tags, nil
	}
	l, err := a.listener(&arn)
	if err != nil {
		return nil, err
	}
	return l.Tags, nil
}

// AddTags tags load balancers, target groups, listeners and rules.
func (a tx) AddTags(in *elb.AddTagsInput) (*elb.AddTagsOutput, error) {
	for _, arn := range in.ResourceArns {
		tags, err := a.tagsOf(arn)
		if err != nil {
			return nil, err
		}
		maps.Copy(tags, kernel.TagMap(in.Tags, tagPair))
	}
	return &elb.AddTagsOutput{}, nil
}

// RemoveTags is the opposite of AddTags.
func (a tx) RemoveTags(in *elb.RemoveTagsInput) (*elb.RemoveTagsOutput, error) {
	for _, arn := range in.ResourceArns {
		tags, err := a.tagsOf(arn)
		if err != nil {
			return nil, err
		}
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
	}
	return &elb.RemoveTagsOutput{}, nil
}

// DescribeTags lists the tags of up to 20 resources.
func (a tx) DescribeTags(in *elb.DescribeTagsInput) (*elb.DescribeTagsOutput, error) {
	if len(in.ResourceArns) > 20 {
		return nil, kernel.Fail("ValidationError", "1 validation error detected: Value at 'resourceArns' failed to satisfy constraint: Member must have length less than or equal to 20")
	}
	out := &elb.DescribeTagsOutput{TagDescriptions: []types.TagDescription{}}
	for _, arn := range in.ResourceArns {
		tags, err := a.tagsOf(arn)
		if err != nil {
			return nil, err
		}
		d := types.TagDescription{ResourceArn: aws.String(arn), Tags: []types.Tag{}}
		for _, k := range slices.Sorted(maps.Keys(tags)) {
			d.Tags = append(d.Tags, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
		}
		out.TagDescriptions = append(out.TagDescriptions, d)
	}
	return out, nil
}
