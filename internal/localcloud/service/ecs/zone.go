package ecs

import "slices"

// fargateZones are the zones that Fargate serves, in regions where it does not serve
// all: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/AWS_Fargate-Regions.html
var fargateZones = map[string][]string{
	"us-west-1": {"usw1-az1", "usw1-az3"}, "ap-northeast-1": {"apne1-az1", "apne1-az2", "apne1-az4"}, "cn-north-1": {"cnn1-az1", "cnn1-az2"},
}

// fargateServes reports whether Fargate places tasks in the zone of that id.
func fargateServes(region, zoneID string) bool {
	served, some := fargateZones[region]
	return !some || slices.Contains(served, zoneID)
}
