package provision

import (
	"maps"
	"slices"

	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	eventstypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	secretstypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
)

// toMap turns a service's own tag type into a map.
func toMap[T any](tags []T, pair func(T) (key, value *string)) map[string]string {
	out := make(map[string]string, len(tags))
	for _, t := range tags {
		k, v := pair(t)
		if k != nil && v != nil {
			out[*k] = *v
		}
	}
	return out
}

// toPairs turns a map into a service's own tag type, sorted by key.
func toPairs[T any](tags map[string]string, newTag func(key, value *string) T) []T {
	var out []T
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		v := tags[k]
		out = append(out, newTag(&k, &v))
	}
	return out
}

func toSNSTags(tags map[string]string) []snstypes.Tag {
	return toPairs(tags, func(k, v *string) snstypes.Tag { return snstypes.Tag{Key: k, Value: v} })
}

func toCloudWatchTags(tags map[string]string) []cwtypes.Tag {
	return toPairs(tags, func(k, v *string) cwtypes.Tag { return cwtypes.Tag{Key: k, Value: v} })
}

func toACMTags(tags map[string]string) []acmtypes.Tag {
	return toPairs(tags, func(k, v *string) acmtypes.Tag { return acmtypes.Tag{Key: k, Value: v} })
}

func toECSTags(tags map[string]string) []ecstypes.Tag {
	return toPairs(tags, func(k, v *string) ecstypes.Tag { return ecstypes.Tag{Key: k, Value: v} })
}

func fromECSTags(tags []ecstypes.Tag) map[string]string {
	return toMap(tags, func(t ecstypes.Tag) (*string, *string) { return t.Key, t.Value })
}

func toRDSTags(tags map[string]string) []rdstypes.Tag {
	return toPairs(tags, func(k, v *string) rdstypes.Tag { return rdstypes.Tag{Key: k, Value: v} })
}

func fromRDSTags(tags []rdstypes.Tag) map[string]string {
	return toMap(tags, func(t rdstypes.Tag) (*string, *string) { return t.Key, t.Value })
}

func toEC2Tags(tags map[string]string) []ec2types.Tag {
	return toPairs(tags, func(k, v *string) ec2types.Tag { return ec2types.Tag{Key: k, Value: v} })
}

func fromEC2Tags(tags []ec2types.Tag) map[string]string {
	return toMap(tags, func(t ec2types.Tag) (*string, *string) { return t.Key, t.Value })
}

func toELBTags(tags map[string]string) []elbtypes.Tag {
	return toPairs(tags, func(k, v *string) elbtypes.Tag { return elbtypes.Tag{Key: k, Value: v} })
}

func toEventsTags(tags map[string]string) []eventstypes.Tag {
	return toPairs(tags, func(k, v *string) eventstypes.Tag { return eventstypes.Tag{Key: k, Value: v} })
}

func toECRTags(tags map[string]string) []ecrtypes.Tag {
	return toPairs(tags, func(k, v *string) ecrtypes.Tag { return ecrtypes.Tag{Key: k, Value: v} })
}

func toIAMTags(tags map[string]string) []iamtypes.Tag {
	return toPairs(tags, func(k, v *string) iamtypes.Tag { return iamtypes.Tag{Key: k, Value: v} })
}

func toSecretTags(tags map[string]string) []secretstypes.Tag {
	return toPairs(tags, func(k, v *string) secretstypes.Tag { return secretstypes.Tag{Key: k, Value: v} })
}
