package provision

import (
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// missingLogs is missing for answers of CloudWatch Logs.
func missingLogs(answer any) string {
	switch a := answer.(type) {
	case *cloudwatchlogs.DescribeLogGroupsOutput:
		return requireEach("logGroups", a.LogGroups, func(x logtypes.LogGroup) bool { return has(x.LogGroupName) && has(x.Arn) }, "logGroupName")
	case *cloudwatchlogs.ListTagsForResourceOutput:
		return require(a.Tags != nil, "tags")
	}
	return ""
}
