package provision

import (
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
)

// missingScaling is missing for answers of Application Auto Scaling.
func missingScaling(answer any) string {
	switch a := answer.(type) {
	case *scaling.DescribeScalableTargetsOutput:
		return requireList("ScalableTargets", a.ScalableTargets)
	case *scaling.DescribeScalingPoliciesOutput:
		return requireList("ScalingPolicies", a.ScalingPolicies)
	case *scaling.DescribeScheduledActionsOutput:
		return requireList("ScheduledActions", a.ScheduledActions)
	}
	return ""
}
