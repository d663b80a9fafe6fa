package provision

import (
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// missingSNS is missing for answers of SNS.
func missingSNS(answer any) string {
	switch a := answer.(type) {
	case *sns.CreateTopicOutput:
		return require(has(a.TopicArn), "TopicArn")
	case *sns.GetTopicAttributesOutput:
		return require(a.Attributes["Policy"] != "", "Attributes.Policy")
	case *sns.ListSubscriptionsByTopicOutput:
		return requireList("Subscriptions", a.Subscriptions)
	case *sns.ListTagsForResourceOutput:
		return requireList("Tags", a.Tags)
	}
	return ""
}
