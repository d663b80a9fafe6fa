package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/partition"
	"github.com/bookctl/bookctl/internal/sorted"
)

// diagnosedEvents is how many events a diagnosis takes: several for each task
// that failed before the rollout was given up.
const diagnosedEvents = 40

// diagnosedLines is how much output a diagnosis takes: a Go program that panics
// says why before it lists its goroutines, ten lines each.
const diagnosedLines = 1000

// Evidence gathers why the service does not come up. What can't be read is left
// out and reported in the error; what could be is there all the same.
func (s *Stack) Evidence(ctx context.Context) (diagnosis.Evidence, error) {
	var (
		d    diagnosis.Evidence
		errs []error
	)
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	live, err := s.service.describe(ctx)
	note(err)
	d.Events = lastEvents(live, diagnosedEvents)
	d.HealthPath = s.spec.HealthPath
	d.User, d.Port, d.ReadOnly = s.spec.User, s.spec.ContainerPort, s.spec.ReadOnlyRoot && !s.spec.Exec
	d.Wanted = nameInARN(s.service.definition.ID())
	if live != nil {
		for _, c := range live.CapacityProviderStrategy {
			if aws.ToString(c.CapacityProvider) == onSpot {
				d.Spot = true
			} else {
				d.OnDemand = true
			}
		}
		d.Complete = d.Wanted != "" && nameInARN(completed(live)) == d.Wanted
		// What happened before the rollout is no reason of it.
		if own := deployment(live, func(p types.Deployment) bool { return nameInARN(aws.ToString(p.TaskDefinition)) == d.Wanted }); own != nil && own.CreatedAt != nil {
			d.Events = slices.DeleteFunc(d.Events, func(e diagnosis.Event) bool { return e.Time.Before(*own.CreatedAt) })
		}
		if old := deployment(live, func(p types.Deployment) bool {
			return p.RunningCount > 0 && nameInARN(aws.ToString(p.TaskDefinition)) != d.Wanted
		}); old != nil {
			d.Serving = nameInARN(aws.ToString(old.TaskDefinition))
		}
		d.Held, err = s.service.held(ctx, live)
		note(err)
	}
	d.TakenBack = s.service.takenBackReason
	if db := s.database.lastInstance(); db != nil {
		d.Database = aws.ToString(db.DBInstanceStatus)
	}
	for _, sub := range s.service.subnets {
		if x := sub.Last(); x != nil {
			d.Zones = append(d.Zones, diagnosis.Zone{Name: x.zone, ID: x.zoneID, Unserved: !partition.FargateServes(s.service.region, x.zoneID)})
		}
	}
	d.Stopped, err = s.service.tasks(ctx, types.DesiredStatusStopped)
	note(err)
	d.Targets, err = s.service.health(ctx)
	note(err)
	if last := s.lastTask(ctx, d, note); last != "" {
		d.Output, err = s.logGroup.tail(ctx, logStream(last), diagnosedLines)
		note(err)
	}
	return d, errors.Join(errs...)
}

// lastTask is the id of the task whose output explains most of the wanted release.
func (s *Stack) lastTask(ctx context.Context, d diagnosis.Evidence, note func(error)) string {
	if t := d.Culprit(); t != nil {
		return t.ID
	}
	running, err := s.service.tasks(ctx, types.DesiredStatusRunning)
	note(err)
	for _, t := range slices.Concat(running, d.Stopped) {
		if t.Revision == d.Wanted {
			return t.ID
		}
	}
	return ""
}

func lastEvents(live *types.Service, n int) []diagnosis.Event {
	if live == nil {
		return nil
	}
	var out []diagnosis.Event
	for _, e := range live.Events[:min(n, len(live.Events))] {
		out = append(out, diagnosis.Event{Time: aws.ToTime(e.CreatedAt), Message: aws.ToString(e.Message)})
	}
	return out
}

// evidence describes the last stopped task, for a progress line. It is best
// effort: what it can't read must not end a rollout that may still succeed.
func (s *Service) evidence(ctx context.Context) string {
	stopped, err := s.tasks(ctx, types.DesiredStatusStopped)
	t := diagnosis.Culprit(stopped, nameInARN(s.definition.ID()))
	if err != nil || t == nil {
		return ""
	}
	return "; " + t.String()
}

// tasks returns the service's tasks with the wanted status, the last one first.
func (s *Service) tasks(ctx context.Context, desired types.DesiredStatus) ([]diagnosis.Task, error) {
	all, err := s.describedTasks(ctx, desired)
	if err != nil {
		return nil, err
	}
	return asTasks(all), nil
}

// asTasks are tasks of ECS, the last one first.
func asTasks(all []types.Task) []diagnosis.Task {
	var out []diagnosis.Task
	for _, t := range all {
		out = append(out, asTask(t))
	}
	sorted.By(out, func(a, b diagnosis.Task) int {
		return cmp.Or(b.Stopped.Compare(a.Stopped), b.Started.Compare(a.Started), strings.Compare(a.ID, b.ID))
	})
	return out
}

// describedTasks describes the service's tasks with the wanted status, in no order.
func (s *Service) describedTasks(ctx context.Context, desired types.DesiredStatus) ([]types.Task, error) {
	return s.listTasks(ctx, "tasks of service "+s.serviceName(), &ecs.ListTasksInput{ServiceName: aws.String(s.serviceName()), DesiredStatus: desired})
}

func asTask(t types.Task) diagnosis.Task {
	out := diagnosis.Task{
		ID: nameInARN(aws.ToString(t.TaskArn)), Revision: nameInARN(aws.ToString(t.TaskDefinitionArn)), Status: aws.ToString(t.LastStatus),
		Deployment: aws.ToString(t.StartedBy), Health: string(t.HealthStatus), Zone: aws.ToString(t.AvailabilityZone),
		Spot: aws.ToString(t.CapacityProviderName) == onSpot, StopCode: string(t.StopCode),
		Started: aws.ToTime(t.StartedAt), Stopping: aws.ToTime(t.StoppingAt), Stopped: aws.ToTime(t.StoppedAt), Reason: aws.ToString(t.StoppedReason),
	}
	for _, c := range t.Containers {
		if aws.ToString(c.Name) == containerName {
			out.ExitCode, out.ContainerReason = c.ExitCode, aws.ToString(c.Reason)
		}
	}
	return out
}

// health returns what the load balancer thinks of the tasks.
func (t *TargetGroup) health(ctx context.Context) ([]diagnosis.Target, error) {
	if t.ID() == "" {
		return nil, nil
	}
	return targetHealth(ctx, t.elb, t.ID())
}

// targetHealth is what the load balancer thinks of the targets of a group.
func targetHealth(ctx context.Context, client *elb.Client, group string) ([]diagnosis.Target, error) {
	out, err := client.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: &group})
	if IsCode(err, "TargetGroupNotFound") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe the health of target group %s: %w", group, err)
	}
	var targets []diagnosis.Target
	for _, d := range out.TargetHealthDescriptions {
		var x diagnosis.Target
		if d.Target != nil {
			x.Address = fmt.Sprintf("%s:%d", aws.ToString(d.Target.Id), aws.ToInt32(d.Target.Port))
		}
		if d.TargetHealth != nil {
			x.Health, x.Reason = string(d.TargetHealth.State), string(d.TargetHealth.Reason)
			x.Description = aws.ToString(d.TargetHealth.Description)
		}
		targets = append(targets, x)
	}
	return targets, nil
}

// logStream is the stream that a task's output goes to:
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html
func logStream(task string) string { return containerName + "/" + containerName + "/" + task }

// tail returns the last lines of a stream; none when it does not exist.
func (l *LogGroup) tail(ctx context.Context, stream string, lines int32) ([]string, error) {
	in := &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String(l.groupName()), LogStreamName: &stream, Limit: &lines, StartFromHead: aws.Bool(false)}
	for page := 1; ; page++ {
		out, err := l.logs.GetLogEvents(ctx, in)
		if IsCode(err, "ResourceNotFoundException") {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read log stream %s of %s: %w", stream, l.groupName(), err)
		}
		// "Partially full or empty pages don't necessarily mean that pagination is finished."
		// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
		back := aws.ToString(out.NextBackwardToken)
		if len(out.Events) == 0 && back != "" && back != aws.ToString(in.NextToken) && page < emptyPages {
			in.NextToken = &back
			continue
		}
		var text []string
		for _, e := range out.Events {
			text = append(text, strings.TrimRight(aws.ToString(e.Message), "\n"))
		}
		return text, nil
	}
}

// emptyPages is how many pages of a log are read until one has a line.
const emptyPages = 10
