package cloudwatch

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/metricmath"
)

// state is what CloudWatch keeps.
type state struct {
	Alarms map[string]*alarm `json:"alarms,omitempty"` // by name
}

type alarm struct {
	types.MetricAlarm
	Tags map[string]string
}

// PutMetricAlarm creates an alarm or changes it. Tags are taken for a new one alone, and
// one that is changed keeps its state.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
func (a tx) PutMetricAlarm(in *cloudwatch.PutMetricAlarmInput) (*cloudwatch.PutMetricAlarmOutput, error) {
	name := aws.ToString(in.AlarmName)
	refuse := func(format string, args ...any) error { return kernel.Fail("ValidationError", format, args...) }
	switch {
	case name == "" || len(name) > 255:
		return nil, refuse("1 validation error detected: Value at 'alarmName' failed to satisfy constraint: Member must have length between 1 and 255")
	case (in.MetricName == nil) == (len(in.Metrics) == 0):
		return nil, refuse("The parameters MetricName and Metrics are mutually exclusive and you have to specify one of them.")
	case in.Threshold == nil:
		return nil, refuse("The parameter Threshold must be specified.")
	case aws.ToInt32(in.EvaluationPeriods) < 1:
		return nil, refuse("1 validation error detected: Value at 'evaluationPeriods' failed to satisfy constraint: Member must have value greater than or equal to 1")
	case in.DatapointsToAlarm != nil && (*in.DatapointsToAlarm < 1 || *in.DatapointsToAlarm > *in.EvaluationPeriods):
		return nil, refuse("The parameter DatapointsToAlarm must be between 1 and EvaluationPeriods.")
	case in.MetricName != nil && (aws.ToInt32(in.Period) < 60 || *in.Period%60 != 0):
		return nil, refuse("The value of Period is not a multiple of 60 here: %d", aws.ToInt32(in.Period))
	case !slices.Contains([]string{"", "breaching", "notBreaching", "ignore", "missing"}, aws.ToString(in.TreatMissingData)):
		return nil, refuse("The value for parameter TreatMissingData is not valid: %s", aws.ToString(in.TreatMissingData))
	}
	returns, ids := 0, make([]string, len(in.Metrics))
	for i, q := range in.Metrics {
		ids[i] = aws.ToString(q.Id)
	}
	for _, q := range in.Metrics {
		if q.ReturnData == nil || *q.ReturnData {
			returns++
		}
		if q.Expression != nil {
			if err := metricmath.Check(*q.Expression, ids); err != nil {
				return nil, refuse("Error in expression '%s': %v", aws.ToString(q.Id), err)
			}
		}
	}
	if len(in.Metrics) > 0 && returns != 1 {
		return nil, refuse("Exactly one element of the metrics list should return data.")
	}
	for _, arn := range slices.Concat(in.AlarmActions, in.OKActions, in.InsufficientDataActions) {
		if parts := strings.Split(arn, ":"); len(parts) < 6 || parts[0] != "arn" || parts[3] != a.Region() {
			return nil, refuse("Invalid region or ARN of an action: %s", arn)
		}
	}
	now := a.Now()
	x := a.state().Alarms[name]
	if x == nil {
		x = &alarm{Tags: kernel.TagMap(in.Tags, tagPair), MetricAlarm: types.MetricAlarm{
			AlarmName: &name, AlarmArn: aws.String(a.ARN("cloudwatch", "alarm:"+name)),
			StateValue: types.StateValueInsufficientData, StateReason: aws.String("Unchecked: Initial alarm creation"), StateUpdatedTimestamp: &now,
		}}
		if a.state().Alarms == nil {
			a.state().Alarms = map[string]*alarm{}
		}
		a.state().Alarms[name] = x
		a.Created(*x.AlarmArn)
	}
	x.AlarmConfigurationUpdatedTimestamp = &now
	x.AlarmDescription, x.Namespace, x.MetricName, x.Dimensions, x.Metrics = in.AlarmDescription, in.Namespace, in.MetricName, in.Dimensions, in.Metrics
	x.Statistic, x.Period, x.Threshold, x.ComparisonOperator = in.Statistic, in.Period, in.Threshold, in.ComparisonOperator
	x.EvaluationPeriods, x.DatapointsToAlarm, x.TreatMissingData = in.EvaluationPeriods, in.DatapointsToAlarm, in.TreatMissingData
	x.ActionsEnabled = cmp.Or(in.ActionsEnabled, aws.Bool(true))
	x.AlarmActions, x.OKActions, x.InsufficientDataActions = in.AlarmActions, in.OKActions, in.InsufficientDataActions
	delete(*a.measured.In(a.Tx), name) // it is measured again
	return &cloudwatch.PutMetricAlarmOutput{}, nil
}

// DescribeAlarms lists alarms by their names, or by the beginning of them.
func (a tx) DescribeAlarms(in *cloudwatch.DescribeAlarmsInput) (*cloudwatch.DescribeAlarmsOutput, error) {
	if len(in.AlarmNames) > 0 && in.AlarmNamePrefix != nil {
		return nil, kernel.Fail("ValidationError", "AlarmNamePrefix and AlarmNames cannot both be specified.")
	}
	all := []types.MetricAlarm{}
	for _, name := range slices.Sorted(maps.Keys(a.state().Alarms)) {
		x := a.state().Alarms[name]
		if kernel.Selected(in.AlarmNames, name) && strings.HasPrefix(name, aws.ToString(in.AlarmNamePrefix)) && (in.StateValue == "" || in.StateValue == x.StateValue) && a.Visible(*x.AlarmArn) {
			all = append(all, x.MetricAlarm)
		}
	}
	out := &cloudwatch.DescribeAlarmsOutput{CompositeAlarms: []types.CompositeAlarm{}}
	var err error
	out.MetricAlarms, out.NextToken, err = kernel.PageOf(all, in.NextToken, int(cmp.Or(aws.ToInt32(in.MaxRecords), 50)), kernel.Fail("InvalidNextToken", "The next token specified is invalid."))
	return out, err
}

// DeleteAlarms deletes alarms, those that are there.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DeleteAlarms.html
func (a tx) DeleteAlarms(in *cloudwatch.DeleteAlarmsInput) (*cloudwatch.DeleteAlarmsOutput, error) {
	for _, name := range in.AlarmNames {
		delete(a.state().Alarms, name)
		delete(*a.measured.In(a.Tx), name)
	}
	return &cloudwatch.DeleteAlarmsOutput{}, nil
}

// SetAlarmState is for tests: the alarm does what it does in that state, and is judged
// by its metric again when that is next looked at.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_SetAlarmState.html
func (a tx) SetAlarmState(in *cloudwatch.SetAlarmStateInput) (*cloudwatch.SetAlarmStateOutput, error) {
	x := a.state().Alarms[aws.ToString(in.AlarmName)]
	if x == nil {
		return nil, &kernel.Error{Status: 404, Code: "ResourceNotFound", Message: fmt.Sprintf("Unknown alarm %s", aws.ToString(in.AlarmName))}
	}
	a.turn(x, in.StateValue, aws.ToString(in.StateReason))
	return &cloudwatch.SetAlarmStateOutput{}, nil
}

// turn changes the state of an alarm, and does what it is to do then.
func (a tx) turn(x *alarm, to types.StateValue, reason string) {
	from, now := x.StateValue, a.Now()
	x.StateReason = &reason
	if from == to {
		return
	}
	x.StateValue, x.StateUpdatedTimestamp, x.StateTransitionedTimestamp = to, &now, &now
	a.Log().Info("alarm", "name", *x.AlarmName, "from", from, "to", to, "reason", reason)
	if !aws.ToBool(x.ActionsEnabled) {
		return
	}
	actions := map[types.StateValue][]string{types.StateValueAlarm: x.AlarmActions, types.StateValueOk: x.OKActions, types.StateValueInsufficientData: x.InsufficientDataActions}[to]
	for _, topic := range actions {
		// The words of the mails that CloudWatch sends.
		subject := fmt.Sprintf("%s: %q in %s", to, *x.AlarmName, a.Region())
		text := fmt.Sprintf("You are receiving this email because your Amazon CloudWatch Alarm %q in the %s region has entered the %s state, because %q at %q. Alarm description: %s",
			*x.AlarmName, a.Region(), to, reason, now.Format("Monday 02 January, 2006 15:04:05 MST"), aws.ToString(x.AlarmDescription))
		if refused := a.topics.Deliver(a.Tx, topic, "cloudwatch.amazonaws.com", *x.AlarmArn, subject, text); refused != "" {
			a.Log().Warn("an alarm was not delivered", "name", *x.AlarmName, "why", refused)
		}
	}
}

// tagPair returns the key and the value of a tag.
func tagPair(t types.Tag) (key, value *string) { return t.Key, t.Value }

// newTag returns a tag of that key and value.
func newTag(key, value *string) types.Tag { return types.Tag{Key: key, Value: value} }

func (a tx) byARN(arn *string) (*alarm, error) {
	for _, x := range a.state().Alarms {
		if *x.AlarmArn == aws.ToString(arn) {
			return x, nil
		}
	}
	return nil, &kernel.Error{Status: 404, Code: "ResourceNotFoundException", Message: fmt.Sprintf("Unknown resource %s", aws.ToString(arn))}
}

// TagResource tags an alarm.
func (a tx) TagResource(in *cloudwatch.TagResourceInput) (*cloudwatch.TagResourceOutput, error) {
	x, err := a.byARN(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	maps.Copy(x.Tags, kernel.TagMap(in.Tags, tagPair))
	return &cloudwatch.TagResourceOutput{}, nil
}

// UntagResource is the opposite of TagResource.
func (a tx) UntagResource(in *cloudwatch.UntagResourceInput) (*cloudwatch.UntagResourceOutput, error) {
	x, err := a.byARN(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	for _, key := range in.TagKeys {
		delete(x.Tags, key)
	}
	return &cloudwatch.UntagResourceOutput{}, nil
}

// ListTagsForResource lists an alarm's tags.
func (a tx) ListTagsForResource(in *cloudwatch.ListTagsForResourceInput) (*cloudwatch.ListTagsForResourceOutput, error) {
	x, err := a.byARN(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	return &cloudwatch.ListTagsForResourceOutput{Tags: kernel.TagList(x.Tags, newTag)}, nil
}
