package provision

import (
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	watchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// missingCloudWatch is missing for answers of CloudWatch.
func missingCloudWatch(answer any) string {
	switch a := answer.(type) {
	case *cloudwatch.DescribeAlarmsOutput:
		return requireEach("MetricAlarms", a.MetricAlarms, func(x watchtypes.MetricAlarm) bool { return has(x.AlarmName) && has(x.AlarmArn) }, "AlarmArn")
	case *cloudwatch.ListTagsForResourceOutput:
		return requireList("Tags", a.Tags)
	}
	return ""
}
