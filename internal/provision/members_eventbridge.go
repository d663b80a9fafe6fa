package provision

import (
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
)

// missingEventBridge is missing for answers of EventBridge.
func missingEventBridge(answer any) string {
	switch a := answer.(type) {
	case *eventbridge.DescribeRuleOutput:
		return require(has(a.Arn), "Arn")
	case *eventbridge.ListTagsForResourceOutput:
		return requireList("Tags", a.Tags)
	case *eventbridge.ListTargetsByRuleOutput:
		return requireList("Targets", a.Targets)
	}
	return ""
}
