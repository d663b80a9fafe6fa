package partition

import "slices"

// fargateZones are the zones that Fargate serves, for the regions in which it does
// not serve all of them. They are zone ids, which mean the same zone in every account.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/AWS_Fargate-Regions.html
var fargateZones = map[string][]string{
	"us-west-1":      {"usw1-az1", "usw1-az3"},
	"ap-northeast-1": {"apne1-az1", "apne1-az2", "apne1-az4"},
	"cn-north-1":     {"cnn1-az1", "cnn1-az2"},
}

// FargateServes reports whether Fargate runs tasks in the availability zone with that
// id, such as usw1-az1. If the id is not known (""), it returns true.
func FargateServes(region, zoneID string) bool {
	served, some := fargateZones[region]
	return !some || zoneID == "" || slices.Contains(served, zoneID)
}
