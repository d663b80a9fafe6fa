package secretsmanager

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

func addSecretTags(tags map[string]string, add []types.Tag) error {
	for _, t := range add {
		k := aws.ToString(t.Key)
		if k == "" || len([]rune(k)) > 128 || len([]rune(aws.ToString(t.Value))) > 256 || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return kernel.Fail("InvalidParameterException", "Invalid tag key or value: keys have 1 to 128 characters and don't start with aws:, values at most 256.")
		}
		tags[k] = aws.ToString(t.Value)
	}
	if len(tags) > 50 {
		return kernel.Fail("InvalidParameterException", "A secret can have up to 50 tags.")
	}
	return nil
}

func secretTags(tags map[string]string) []types.Tag {
	var out []types.Tag
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	return out
}

func (a tx) TagResource(in *secretsmanager.TagResourceInput) (*secretsmanager.TagResourceOutput, error) {
	s, err := a.primary(in.SecretId)
	if err != nil {
		return nil, err
	}
	tags := maps.Clone(s.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	if err := addSecretTags(tags, in.Tags); err != nil {
		return nil, err
	}
	s.Tags = tags
	return &secretsmanager.TagResourceOutput{}, nil
}

func (a tx) UntagResource(in *secretsmanager.UntagResourceInput) (*secretsmanager.UntagResourceOutput, error) {
	s, err := a.primary(in.SecretId)
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(s.Tags, k)
	}
	return &secretsmanager.UntagResourceOutput{}, nil
}
