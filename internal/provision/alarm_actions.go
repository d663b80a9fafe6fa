package provision

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// AlarmActions is whether the actions of the alarms are enabled. They are once the service
// is healthy: during a first up there is no task for minutes. A stack that is paused or
// removed has no tasks either, of which nobody is to be notified.
type AlarmActions struct {
	graph.NodeOf[*liveAlarmActions]
	alarmAccess
	alarms *Alarms
	on     bool
}

// liveAlarmActions are the alarms by their names in the stack, and whether the actions of each are
// enabled.
type liveAlarmActions struct{ on map[string]bool }

func newAlarmActions(a alarmAccess, alarms *Alarms, service *Service, on bool) *AlarmActions {
	out := &AlarmActions{alarmAccess: a, alarms: alarms, on: on}
	out.NodeOf = graph.Of(out, "alarm-actions", 5*time.Minute, alarms, service)
	return out
}

// Read describes the alarms. Without one whose actions are enabled, the resource is absent.
func (a *AlarmActions) Read(ctx context.Context) (*liveAlarmActions, graph.State, error) {
	all, err := a.all(ctx)
	if err != nil {
		return nil, graph.State{}, err
	}
	live, some := &liveAlarmActions{on: map[string]bool{}}, false
	for name, x := range all {
		live.on[name] = aws.ToBool(x.ActionsEnabled)
		some = some || live.on[name]
	}
	if !some {
		return nil, graph.State{Phase: graph.Absent, Unwanted: !a.on}, nil
	}
	return live, graph.State{Phase: graph.Ready, ID: a.names().Alarm("*"), Owner: a.stack}, nil
}

// Wanted implements graph.Shape.
func (a *AlarmActions) Wanted(live *liveAlarmActions) *liveAlarmActions {
	want := &liveAlarmActions{on: map[string]bool{}}
	for name := range live.on {
		want.on[name] = a.on
	}
	return want
}

// Attributes implements graph.Shape.
func (a *AlarmActions) Attributes() graph.Attributes[*liveAlarmActions] {
	return graph.Attributes[*liveAlarmActions]{
		graph.Many("", func(live, want *liveAlarmActions) []graph.Change {
			var out []graph.Change
			for name, on := range live.on {
				if on != want.on[name] {
					out = append(out, graph.Change{Field: name, Have: enabledWord(on), Want: enabledWord(!on)})
				}
			}
			return out
		}, graph.SetBy(a.set)),
	}
}

func enabledWord(on bool) string {
	if on {
		return "enabled"
	}
	return "disabled"
}

// Create enables the actions of all alarms. A repeated call changes nothing.
func (a *AlarmActions) Create(ctx context.Context) (string, error) {
	want := a.alarms.wantedAlarms()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		want[name].ActionsEnabled = aws.Bool(true)
		if _, err := a.watch.PutMetricAlarm(ctx, want[name]); err != nil {
			return "", fmt.Errorf("enable the actions of alarm %s: %w", a.names().Alarm(name), err)
		}
	}
	return a.names().Alarm("*"), nil
}

func (a *AlarmActions) set(ctx context.Context, changes []graph.Change) error {
	var names []string
	for _, c := range changes {
		names = append(names, c.Field)
	}
	return a.change(ctx, a.on, names)
}

// change enables or disables the actions of the alarms of these names, as they are now.
func (a *AlarmActions) change(ctx context.Context, on bool, names []string) error {
	all, err := a.all(ctx)
	if err != nil {
		return err
	}
	named := maps.Clone(all) // what was read is shared
	maps.DeleteFunc(named, func(name string, _ types.MetricAlarm) bool { return !slices.Contains(names, name) })
	return a.act(ctx, on, named)
}

// act enables or disables the actions of alarms. CloudWatch replaces an alarm by what it is
// given and keeps its state; emulators know no other call for this.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
func (a alarmAccess) act(ctx context.Context, on bool, alarms map[string]types.MetricAlarm) error {
	for _, name := range slices.Sorted(maps.Keys(alarms)) {
		x := alarms[name]
		_, err := a.watch.PutMetricAlarm(ctx, &cloudwatch.PutMetricAlarmInput{
			ActionsEnabled: &on, AlarmName: x.AlarmName, AlarmDescription: x.AlarmDescription,
			AlarmActions: x.AlarmActions, OKActions: x.OKActions, InsufficientDataActions: x.InsufficientDataActions, ActionConfiguration: x.ActionConfiguration,
			Namespace: x.Namespace, MetricName: x.MetricName, Dimensions: x.Dimensions, Statistic: x.Statistic, ExtendedStatistic: x.ExtendedStatistic, Unit: x.Unit, Period: x.Period,
			Metrics: x.Metrics, ThresholdMetricId: x.ThresholdMetricId, EvaluationCriteria: x.EvaluationCriteria, EvaluationInterval: x.EvaluationInterval,
			ComparisonOperator: x.ComparisonOperator, Threshold: x.Threshold, EvaluationPeriods: x.EvaluationPeriods, DatapointsToAlarm: x.DatapointsToAlarm,
			EvaluationWindow: x.EvaluationWindow, EvaluateLowSampleCountPercentile: x.EvaluateLowSampleCountPercentile, TreatMissingData: x.TreatMissingData, WarmUpConfiguration: x.WarmUpConfiguration,
		})
		if err != nil {
			return fmt.Errorf("change the actions of alarm %s: %w", aws.ToString(x.AlarmName), err)
		}
	}
	return nil
}

// Delete disables the actions of the alarms.
func (a *AlarmActions) Delete(ctx context.Context) error {
	live := a.Last()
	if live == nil {
		return nil
	}
	return a.change(ctx, false, slices.Collect(maps.Keys(live.on)))
}
