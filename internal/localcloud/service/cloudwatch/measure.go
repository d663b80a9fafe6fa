package cloudwatch

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/metricmath"
)

// series is what an alarm has seen of its metrics.
type series struct {
	before  map[string]int64     // what counters stood at, by metric
	period  map[string]float64   // the period that is going on, by the id of the metric
	minutes int32                // of it
	past    []map[string]float64 // the periods that are over, the newest last
}

// Start looks at the metrics of all alarms once per minute of theirs, until the cloud
// closes.
func (s *Service) Start() {
	s.Go(func(ctx context.Context) {
		for kernel.Wait(ctx, nil, s.minute) {
			s.View(func(t *kernel.Tx) {
				a := s.in(t)
				for _, x := range a.state().Alarms {
					if a.measure(x) {
						a.Changed()
					}
				}
			})
		}
	})
}

// measure takes a minute's data, and judges the alarm when a period is over. It says
// whether its state has changed.
func (a tx) measure(x *alarm) bool {
	all := a.measured.In(a.Tx)
	if *all == nil {
		*all = map[string]*series{}
	}
	s := (*all)[*x.AlarmName]
	if s == nil {
		s = &series{before: map[string]int64{}, period: map[string]float64{}}
		(*all)[*x.AlarmName] = s
	}
	queries := x.Metrics
	if len(queries) == 0 {
		queries = []types.MetricDataQuery{{Id: aws.String("m"), MetricStat: &types.MetricStat{
			Metric: &types.Metric{Namespace: x.Namespace, MetricName: x.MetricName, Dimensions: x.Dimensions}, Period: x.Period, Stat: aws.String(string(x.Statistic)),
		}}}
	}
	period := int32(60)
	for _, q := range queries {
		if q.MetricStat != nil {
			period = aws.ToInt32(q.MetricStat.Period)
			if v, ok := a.value(s, q.MetricStat.Metric); ok {
				s.add(*q.Id, aws.ToString(q.MetricStat.Stat), v)
			}
		}
	}
	if s.minutes++; s.minutes*60 < period {
		return false
	}
	s.past = append(s.past, s.period)
	s.minutes, s.period = 0, map[string]float64{}
	late := (a.MetricsLate()*60 + int(period) - 1) / int(period)
	if over := len(s.past) - int(*x.EvaluationPeriods) - metricmath.Beyond; over > 0 {
		s.past = slices.Delete(s.past, 0, over)
	}
	to, reason := x.evaluate(points(queries, s.past, late))
	if to == x.StateValue || to == "" {
		return false
	}
	a.turn(x, to, reason)
	return true
}

// points are the data points of what an alarm watches, the newest last; NaN is no data. Those
// of the newest periods have not arrived where metrics are late.
func points(queries []types.MetricDataQuery, past []map[string]float64, late int) []float64 {
	out := make([]float64, len(past))
	for i, period := range past {
		values := map[string]float64{}
		for _, q := range queries {
			values[*q.Id] = math.NaN()
			if v, ok := period[*q.Id]; ok && i < len(past)-late {
				values[*q.Id] = v
			}
		}
		for _, q := range queries {
			switch {
			case q.ReturnData != nil && !*q.ReturnData:
			case q.Expression == nil:
				out[i] = values[*q.Id]
			default:
				out[i], _ = metricmath.Evaluate(*q.Expression, values) // checked when it was put
			}
		}
	}
	return out
}

// add takes a minute's value into the period's.
func (s *series) add(id, statistic string, value float64) {
	before, had := s.period[id]
	switch {
	case !had:
	case statistic == "Sum":
		value += before
	case statistic == "Minimum":
		value = min(value, before)
	default: // Maximum; the other statistics are computed like it here
		value = max(value, before)
	}
	s.period[id] = value
}

// value is that of a metric in the minute that is over, of those that are measured here.
func (a tx) value(s *series, m *types.Metric) (float64, bool) {
	dimension := func(name string) string {
		for _, d := range m.Dimensions {
			if aws.ToString(d.Name) == name {
				return aws.ToString(d.Value)
			}
		}
		return ""
	}
	if aws.ToString(m.Namespace) != "AWS/ApplicationELB" {
		return 0, false
	}
	name := aws.ToString(m.MetricName)
	if name == "HealthyHostCount" {
		n, ok := a.balancers.Healthy(a.Tx, dimension("TargetGroup"))
		return float64(n), ok
	}
	requests, byTasks, byItself, ok := a.balancers.Answered(a.Tx, dimension("LoadBalancer"))
	now, known := map[string]int64{"RequestCount": requests, "HTTPCode_Target_5XX_Count": byTasks, "HTTPCode_ELB_5XX_Count": byItself}[name]
	before, seen := s.before[name]
	s.before[name] = now
	// AWS reports no sum where there was no request: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
	if !ok || !known || !seen || now == before {
		return 0, false
	}
	return float64(now - before), true
}

// evaluate returns the state of an alarm by its last data points; "" leaves its state as it is.
// It uses the newest that there are, as many as it has periods, and by what stands for
// missing ones only where these are not enough.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
func (x *alarm) evaluate(points []float64) (state types.StateValue, reason string) {
	enough := aws.ToInt32(x.DatapointsToAlarm)
	if enough == 0 {
		enough = *x.EvaluationPeriods
	}
	received := slices.DeleteFunc(slices.Clone(points), math.IsNaN)
	missing := min(len(points)-len(received), max(0, int(*x.EvaluationPeriods)-len(received)))
	received = received[max(0, len(received)-int(*x.EvaluationPeriods)):]
	breaching := int32(0)
	for _, p := range received {
		if x.breaches(p) {
			breaching++
		}
	}
	switch aws.ToString(x.TreatMissingData) {
	case "breaching":
		breaching, missing = breaching+int32(missing), 0
	case "notBreaching":
		missing = 0
	}
	switch {
	case breaching >= enough:
		return types.StateValueAlarm, fmt.Sprintf("Threshold Crossed: %d datapoints %v breached the threshold (%g).", breaching, points, *x.Threshold)
	case missing > 0 && len(received) == 0 && aws.ToString(x.TreatMissingData) == "ignore":
		return "", ""
	case missing > 0 && len(received) == 0:
		return types.StateValueInsufficientData, "Insufficient Data: no datapoints were received."
	}
	return types.StateValueOk, fmt.Sprintf("Threshold Crossed: %v did not breach the threshold (%g) %d times.", points, *x.Threshold, enough)
}

func (x *alarm) breaches(value float64) bool {
	switch x.ComparisonOperator {
	case types.ComparisonOperatorGreaterThanThreshold:
		return value > *x.Threshold
	case types.ComparisonOperatorGreaterThanOrEqualToThreshold:
		return value >= *x.Threshold
	case types.ComparisonOperatorLessThanThreshold:
		return value < *x.Threshold
	case types.ComparisonOperatorLessThanOrEqualToThreshold:
		return value <= *x.Threshold
	}
	return false
}
