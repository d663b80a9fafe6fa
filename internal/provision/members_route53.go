package provision

import (
	"github.com/aws/aws-sdk-go-v2/service/route53"
)

// missingRoute53 is missing for answers of Route 53.
func missingRoute53(answer any) string {
	switch a := answer.(type) {
	case *route53.ListHostedZonesByNameOutput:
		return requireList("HostedZones", a.HostedZones)
	case *route53.ListResourceRecordSetsOutput:
		return requireList("ResourceRecordSets", a.ResourceRecordSets)
	}
	return ""
}
