package autoscaling

import (
	"math"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
)

// tracked checks the metric of a policy: a predefined one, or metric math that adds up the
// requests per target of target groups.
// https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-target-tracking-metric-math.html
func (a tx) tracked(config *types.TargetTrackingScalingPolicyConfiguration) error {
	refuse := func(format string, args ...any) error { return kernel.Fail("ValidationException", format, args...) }
	m, own := config.PredefinedMetricSpecification, config.CustomizedMetricSpecification
	switch {
	case (m == nil) == (own == nil):
		return refuse("You must specify either a PredefinedMetricSpecification or a CustomizedMetricSpecification")
	case own != nil:
		groups, ok := a.summed(own)
		if !ok {
			return refuse("The local cloud knows metric math only that adds up the Sum of RequestCountPerTarget of target groups")
		}
		for _, g := range groups {
			if !a.groups.HasTargetGroup(a.Tx, g) {
				return refuse("The local cloud has no target group %s, whose requests are to be tracked", g)
			}
		}
	case m.PredefinedMetricType == types.MetricTypeECSServiceAverageCPUUtilization:
	case m.PredefinedMetricType == types.MetricTypeALBRequestCountPerTarget:
		if a.labelled(aws.ToString(m.ResourceLabel)) == "" {
			return refuse("Resource label %s is not valid: it has to be app/<name>/<id>/targetgroup/<name>/<id> of a load balancer and its target group", aws.ToString(m.ResourceLabel))
		}
	default:
		return refuse("The local cloud does not measure %s", m.PredefinedMetricType)
	}
	return nil
}

var summand = pattern.New(`^(?:FILL\( *([a-z]\w*) *, *0 *\)|([a-z]\w*))$`)

// summed are the target groups whose requests per target metric math adds up.
func (a tx) summed(m *types.CustomizedMetricSpecification) (groups []string, ok bool) {
	of, expression := map[string]string{}, ""
	for _, q := range m.Metrics {
		switch s := q.MetricStat; {
		case q.Expression != nil && expression == "" && s == nil && (q.ReturnData == nil || *q.ReturnData):
			expression = *q.Expression
		case s == nil || s.Metric == nil || q.ReturnData == nil || *q.ReturnData || aws.ToString(s.Stat) != "Sum" || aws.ToString(s.Metric.Namespace) != "AWS/ApplicationELB" || aws.ToString(s.Metric.MetricName) != "RequestCountPerTarget":
			return nil, false
		default:
			for _, d := range s.Metric.Dimensions {
				if aws.ToString(d.Name) == "TargetGroup" {
					of[aws.ToString(q.Id)] = a.ARN("elasticloadbalancing", aws.ToString(d.Value))
				}
			}
		}
	}
	for term := range strings.SplitSeq(expression, "+") {
		part := summand.FindStringSubmatch(strings.TrimSpace(term))
		if part == nil || of[part[1]+part[2]] == "" {
			return nil, false
		}
		groups = append(groups, of[part[1]+part[2]])
	}
	return groups, true
}

// requests is how many requests a minute, a real one, each target had since the last look
// in the groups that a policy tracks. A group without a target has none, and NaN is for
// nothing known.
func (a tx) requests(config *types.TargetTrackingScalingPolicyConfiguration, sample *scalingSample, elapsed time.Duration) float64 {
	if m := config.PredefinedMetricSpecification; m != nil {
		return a.requestRate(a.labelled(aws.ToString(m.ResourceLabel)), sample, elapsed)
	}
	groups, _ := a.summed(config.CustomizedMetricSpecification)
	sum, known := 0.0, false
	for _, g := range groups {
		if rate := a.requestRate(g, sample, elapsed); !math.IsNaN(rate) {
			sum, known = sum+rate, true
		}
	}
	if !known {
		return math.NaN()
	}
	return sum
}

// requestRate is that of one group.
func (a tx) requestRate(group string, sample *scalingSample, elapsed time.Duration) float64 {
	total, targets, ok := a.groups.Requests(a.Tx, group)
	if !ok {
		return math.NaN()
	}
	before := sample.requests[group]
	sample.requests[group] = total
	if elapsed == 0 || targets == 0 {
		return math.NaN()
	}
	return float64(total-before) / elapsed.Minutes() / float64(targets)
}
