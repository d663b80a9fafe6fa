package logs

import "github.com/bookctl/bookctl/internal/localcloud/kernel"

// limits are the quotas of requests of CloudWatch Logs. They name no burst; it is taken
// to be a second's requests. Some regions allow other rates of FilterLogEvents and
// GetLogEvents.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
var limits = kernel.Limits{
	Classes: []kernel.LimitClass{
		{Bucket: kernel.Bucket{Capacity: 10, Refill: 10}, Each: true, Operations: []string{"CreateLogGroup", "DescribeLogGroups", "DeleteLogGroup", "FilterLogEvents"}},
		{Bucket: kernel.Bucket{Capacity: 15, Refill: 15}, Operations: []string{"DeleteLogStream"}},
		{Bucket: kernel.Bucket{Capacity: 25, Refill: 25}, Each: true, Operations: []string{"DescribeLogStreams", "GetLogEvents"}},
		{Bucket: kernel.Bucket{Capacity: 50, Refill: 50}, Operations: []string{"CreateLogStream"}},
		{Bucket: kernel.Bucket{Capacity: 5, Refill: 5}, Each: true, Operations: []string{"DeleteRetentionPolicy", "ListTagsForResource", "PutRetentionPolicy", "TagResource", "UntagResource"}},
	},
}
