package autoscaling

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/metricmath"
)

// tracked checks the metric of a policy: a predefined one, or metric math of the requests
// per target of target groups.
// https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-target-tracking-metric-math.html
func (a tx) tracked(config *types.TargetTrackingScalingPolicyConfiguration) error {
	refuse := func(format string, args ...any) error { return kernel.Fail("ValidationException", format, args...) }
	m, own := config.PredefinedMetricSpecification, config.CustomizedMetricSpecification
	switch {
	case (m == nil) == (own == nil):
		return refuse("You must specify either a PredefinedMetricSpecification or a CustomizedMetricSpecification")
	case own != nil:
		groups, expression, ok := a.expressed(own)
		if !ok {
			return refuse("The local cloud knows metric math only of the Sum of RequestCountPerTarget of target groups")
		}
		for _, g := range groups {
			if !a.groups.HasTargetGroup(a.Tx, g) {
				return refuse("The local cloud has no target group %s, whose requests are to be tracked", g)
			}
		}
		if err := metricmath.Check(expression, slices.Collect(maps.Keys(groups))); err != nil {
			return refuse("Error in expression '%s': %v", expression, err)
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

// expressed are the target groups whose requests per target metric math is of, by the ids
// of their metrics, and its expression.
func (a tx) expressed(m *types.CustomizedMetricSpecification) (groups map[string]string, expression string, ok bool) {
	groups = map[string]string{}
	for _, q := range m.Metrics {
		switch s := q.MetricStat; {
		case q.Expression != nil && expression == "" && s == nil && (q.ReturnData == nil || *q.ReturnData):
			expression = *q.Expression
		case s == nil || s.Metric == nil || q.ReturnData == nil || *q.ReturnData || aws.ToString(s.Stat) != "Sum" || aws.ToString(s.Metric.Namespace) != "AWS/ApplicationELB" || aws.ToString(s.Metric.MetricName) != "RequestCountPerTarget":
			return nil, "", false
		default:
			for _, d := range s.Metric.Dimensions {
				if aws.ToString(d.Name) == "TargetGroup" {
					groups[aws.ToString(q.Id)] = a.ARN("elasticloadbalancing", aws.ToString(d.Value))
				}
			}
		}
	}
	return groups, expression, expression != ""
}

// requests is how many requests a minute, a real one, each target had in the newest minute
// that is known of, by what a policy tracks. A group without a target has none, and NaN is
// for nothing known.
func (a tx) requests(policy string, config *types.TargetTrackingScalingPolicyConfiguration, sample *scalingSample, elapsed time.Duration) float64 {
	now := map[string]float64{}
	groups, expression := map[string]string{"m": ""}, "m"
	if m := config.PredefinedMetricSpecification; m != nil {
		groups["m"] = a.labelled(aws.ToString(m.ResourceLabel))
	} else {
		groups, expression, _ = a.expressed(config.CustomizedMetricSpecification)
	}
	for id, g := range groups {
		now[id] = a.requestRate(g, sample, elapsed)
	}
	past := append(sample.past[policy], now)
	past = past[max(0, len(past)-highMinutes-metricmath.Beyond):]
	sample.past[policy] = past
	for i, values := range slices.Backward(past) {
		if i >= len(past)-a.MetricsLate() { // has not arrived yet
			values = map[string]float64{}
			for id := range groups {
				values[id] = math.NaN()
			}
		}
		if value, err := metricmath.Evaluate(expression, values); err == nil && !math.IsNaN(value) {
			return value
		}
	}
	return math.NaN()
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
