package cloudwatch

import (
	"math"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// TestAnAlarmIsEvaluatedFromReceivedData has a load balancer answer each request by 5xx, as far as
// CloudWatch knows of it.
func TestAnAlarmIsEvaluatedFromReceivedData(t *testing.T) {
	t.Parallel()
	all := map[string]float64{"requests": 100, "tasks": 100}
	broken := []map[string]float64{all, all, all, all, all, all, all}
	queries := func(expression string) []types.MetricDataQuery {
		return []types.MetricDataQuery{
			{Id: aws.String("share"), Expression: &expression},
			{Id: aws.String("requests"), ReturnData: aws.Bool(false)}, {Id: aws.String("tasks"), ReturnData: aws.Bool(false)},
		}
	}
	const plain, filled = "100*tasks/requests", "100*FILL(tasks,0)/(FILL(requests,0)+1)"
	for name, tc := range map[string]struct {
		expression string
		past       []map[string]float64
		late       int
		enough, of int32
		missing    string
		want       types.StateValue
	}{
		"all has arrived":                    {expression: filled, past: broken, enough: 2, of: 2, want: types.StateValueAlarm},
		"late and filled":                    {expression: filled, past: broken, late: 2, enough: 2, of: 2, want: types.StateValueOk},
		"late and filled, of more":           {expression: filled, past: broken, late: 2, enough: 2, of: 5, want: types.StateValueAlarm},
		"late":                               {expression: plain, past: broken, late: 2, enough: 2, of: 2, want: types.StateValueAlarm},
		"late by more than is looked at":     {expression: plain, past: broken[:4], late: 4, enough: 2, of: 2, want: types.StateValueInsufficientData},
		"missing where that is bad":          {expression: plain, past: broken[:4], late: 4, enough: 2, of: 2, missing: "breaching", want: types.StateValueAlarm},
		"missing where that is good":         {expression: plain, past: broken[:4], late: 4, enough: 2, of: 2, missing: "notBreaching", want: types.StateValueOk},
		"missing where that changes nothing": {expression: plain, past: broken[:4], late: 4, enough: 2, of: 2, missing: "ignore"},
		"one that counts and one missing":    {expression: plain, past: broken[:1], enough: 2, of: 2, want: types.StateValueOk},
	} {
		x := &alarm{MetricAlarm: types.MetricAlarm{
			Threshold: aws.Float64(5), ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold, DatapointsToAlarm: &tc.enough, EvaluationPeriods: &tc.of, TreatMissingData: &tc.missing,
		}}
		data := points(queries(tc.expression), tc.past, tc.late)
		if got, why := x.evaluate(data); got != tc.want {
			t.Errorf("%s: %s, %s, want %s", name, got, why, tc.want)
		}
		for i, p := range data {
			if tc.expression == plain && math.IsNaN(p) != (i >= len(data)-tc.late) {
				t.Errorf("%s: data points %v", name, data)
			}
		}
	}
}
