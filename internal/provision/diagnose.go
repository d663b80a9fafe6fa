package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

// Task is one task of the service.
type Task struct {
	ID string `json:"id"`
	// Revision is its task definition, such as "book-bookapi:7".
	Revision string `json:"revision"`
	// Status is ECS's word: PENDING, RUNNING, STOPPED …
	Status string `json:"status"`
	// Health is HEALTHY, UNHEALTHY or UNKNOWN, by the container's own check.
	Health  string    `json:"health"`
	Zone    string    `json:"zone,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Stopped time.Time `json:"stopped,omitzero"`
	// Reason is why ECS stopped it, or why it can't start.
	Reason string `json:"reason,omitempty"`
	// ContainerReason is what the container's runtime says, for one that an
	// image can't be pulled.
	ContainerReason string `json:"containerReason,omitempty"`
	// ExitCode is nil while the container runs, and when it never did.
	ExitCode *int32 `json:"exitCode,omitempty"`
}

// String tells of a stopped task in one line.
func (t Task) String() string {
	out := "task " + t.ID
	if len(t.ID) > 8 {
		out = "task " + t.ID[:8]
	}
	if t.ExitCode != nil {
		out += fmt.Sprintf(" exited %d", *t.ExitCode)
		if !t.Started.IsZero() && t.Stopped.After(t.Started) {
			out += " after " + t.Stopped.Sub(t.Started).Round(time.Second).String()
		}
	}
	for _, reason := range []string{t.Reason, t.ContainerReason} {
		// That a container ended is all that this one says.
		if reason != "" && (t.ExitCode == nil || !strings.HasPrefix(reason, "Essential container")) {
			out += ", " + reason
		}
	}
	return out
}

// ScaledIn says that ECS stopped the task because it wanted fewer of its
// release: a consequence, and no cause of anything.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
func (t Task) ScaledIn() bool { return strings.HasPrefix(t.Reason, "Scaling activity initiated by") }

// Target is one address that the load balancer sends requests to.
type Target struct {
	Address string `json:"address"`
	// Health is the load balancer's word: initial, healthy, unhealthy, draining.
	Health string `json:"health"`
	// Reason is a code such as Target.ResponseCodeMismatch.
	Reason      string `json:"reason,omitempty"`
	Description string `json:"description,omitempty"`
}

// Event is something that the service reports of itself.
type Event struct {
	Time    time.Time `json:"time"`
	Message string    `json:"message"`
}

// Zone is an availability zone.
type Zone struct {
	Name string `json:"name"`
	// ID means the same zone in every account; the name does not.
	ID string `json:"id"`
	// Unserved says that Fargate places no tasks there.
	Unserved bool `json:"unserved,omitempty"`
}

func (z Zone) String() string { return z.Name + " (" + z.ID + ")" }

// Diagnosis is the evidence of why a service does not come up.
type Diagnosis struct {
	// Wanted is the task definition that does not come up, such as
	// "book-bookapi:7", and Serving the one that serves meanwhile; "" is none.
	Wanted  string `json:"wanted,omitempty"`
	Serving string `json:"serving,omitempty"`
	// Complete says that ECS calls the rollout of the wanted one complete: what keeps
	// it from serving came later, or is seen by the load balancer alone.
	Complete bool `json:"complete,omitempty"`
	// Database is the database's state in RDS's word; "" where it is not known.
	Database string `json:"database,omitempty"`
	// Zones are those that tasks are placed in.
	Zones []Zone `json:"zones,omitempty"`
	// Stopped are the tasks that stopped lately, the last one first. ECS
	// forgets them after an hour.
	Stopped []Task `json:"stopped,omitempty"`
	// Events are the service's last events, the last one first.
	Events  []Event  `json:"events,omitempty"`
	Targets []Target `json:"targets,omitempty"`
	// Output are the last lines of the Culprit, or else of the release's last
	// task.
	Output []string `json:"output,omitempty"`
}

// Culprit is the last task of the wanted release that stopped for a reason of its
// own, or nil. Those of the release before stop in the course of every rollout.
func (d Diagnosis) Culprit() *Task { return culprit(d.Stopped, d.Wanted) }

func culprit(stopped []Task, revision string) *Task {
	if i := slices.IndexFunc(stopped, func(t Task) bool { return t.Revision == revision && !t.ScaledIn() }); i >= 0 {
		return &stopped[i]
	}
	return nil
}

// diagnosedEvents is how many events a diagnosis takes: several for each task
// that failed before the rollout was given up.
const diagnosedEvents = 40

// diagnosedLines is how much output a diagnosis takes: a Go program that panics
// says why before it lists its goroutines, ten lines each.
const diagnosedLines = 1000

// Diagnose gathers why the service does not come up. What can't be read is left
// out and reported in the error; what could be is there all the same.
func (s *Stack) Diagnose(ctx context.Context) (Diagnosis, error) {
	var (
		d    Diagnosis
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
	d.Wanted = short(s.service.definition.ID())
	if live != nil {
		d.Complete = d.Wanted != "" && short(completed(live)) == d.Wanted
		// What happened before the rollout is no reason of it.
		if own := deployment(live, func(p types.Deployment) bool { return short(aws.ToString(p.TaskDefinition)) == d.Wanted }); own != nil && own.CreatedAt != nil {
			d.Events = slices.DeleteFunc(d.Events, func(e Event) bool { return e.Time.Before(*own.CreatedAt) })
		}
		if old := deployment(live, func(p types.Deployment) bool {
			return p.RunningCount > 0 && short(aws.ToString(p.TaskDefinition)) != d.Wanted
		}); old != nil {
			d.Serving = short(aws.ToString(old.TaskDefinition))
		}
	}
	if db := s.database.last.Load(); db != nil {
		d.Database = aws.ToString(db.DBInstanceStatus)
	}
	for _, sub := range s.service.subnets {
		if x := sub.last.Load(); x != nil {
			id := aws.ToString(x.AvailabilityZoneId)
			d.Zones = append(d.Zones, Zone{aws.ToString(x.AvailabilityZone), id, !fargateServes(sub.ec2.Options().Region, id)})
		}
	}
	d.Stopped, err = s.service.tasks(ctx, types.DesiredStatusStopped)
	note(err)
	d.Targets, err = s.targets.health(ctx)
	note(err)
	if last := s.lastTask(ctx, d, note); last != "" {
		d.Output, err = s.logGroup.tail(ctx, logStream(last), diagnosedLines)
		note(err)
	}
	return d, errors.Join(errs...)
}

// lastTask is the id of the task whose output tells most of the wanted release.
func (s *Stack) lastTask(ctx context.Context, d Diagnosis, note func(error)) string {
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

func lastEvents(live *types.Service, n int) []Event {
	if live == nil {
		return nil
	}
	var out []Event
	for _, e := range live.Events[:min(n, len(live.Events))] {
		out = append(out, Event{Time: aws.ToTime(e.CreatedAt), Message: aws.ToString(e.Message)})
	}
	return out
}

// evidence tells of the last stopped task, for a progress line. It is best
// effort: what it can't read must not end a rollout that may still succeed.
func (s *Service) evidence(ctx context.Context) string {
	stopped, err := s.tasks(ctx, types.DesiredStatusStopped)
	t := culprit(stopped, short(s.definition.ID()))
	if err != nil || t == nil {
		return ""
	}
	return "; " + t.String()
}

// tasks returns the service's tasks with the wanted status, the last one first.
func (s *Service) tasks(ctx context.Context, desired types.DesiredStatus) ([]Task, error) {
	cluster := aws.String(s.cluster.clusterName())
	list, err := s.ecs.ListTasks(ctx, &ecs.ListTasksInput{Cluster: cluster, ServiceName: aws.String(s.serviceName()), DesiredStatus: desired})
	if isCode(err, "ClusterNotFoundException", "ServiceNotFoundException") || err == nil && len(list.TaskArns) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the tasks of service %s: %w", s.serviceName(), err)
	}
	described, err := s.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: cluster, Tasks: list.TaskArns}) // both take 100
	if err != nil {
		return nil, fmt.Errorf("describe the tasks of service %s: %w", s.serviceName(), err)
	}
	var out []Task
	for _, t := range described.Tasks {
		out = append(out, asTask(t))
	}
	slices.SortFunc(out, func(a, b Task) int {
		return cmp.Or(b.Stopped.Compare(a.Stopped), b.Started.Compare(a.Started), strings.Compare(a.ID, b.ID))
	})
	return out, nil
}

func asTask(t types.Task) Task {
	out := Task{
		ID: short(aws.ToString(t.TaskArn)), Revision: short(aws.ToString(t.TaskDefinitionArn)), Status: aws.ToString(t.LastStatus),
		Health: string(t.HealthStatus), Zone: aws.ToString(t.AvailabilityZone),
		Started: aws.ToTime(t.StartedAt), Stopped: aws.ToTime(t.StoppedAt), Reason: aws.ToString(t.StoppedReason),
	}
	for _, c := range t.Containers {
		if aws.ToString(c.Name) == containerName {
			out.ExitCode, out.ContainerReason = c.ExitCode, aws.ToString(c.Reason)
		}
	}
	return out
}

// health returns what the load balancer thinks of the tasks.
func (t *TargetGroup) health(ctx context.Context) ([]Target, error) {
	if t.ID() == "" {
		return nil, nil
	}
	out, err := t.elb.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: aws.String(t.ID())})
	if isCode(err, "TargetGroupNotFound") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe the health of target group %s: %w", t.groupName(), err)
	}
	var targets []Target
	for _, d := range out.TargetHealthDescriptions {
		var x Target
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
	out, err := l.logs.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: aws.String(l.groupName()), LogStreamName: &stream, Limit: &lines, StartFromHead: aws.Bool(false),
	})
	if isCode(err, "ResourceNotFoundException") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read log stream %s of %s: %w", stream, l.groupName(), err)
	}
	var text []string
	for _, e := range out.Events {
		text = append(text, strings.TrimRight(aws.ToString(e.Message), "\n"))
	}
	return text, nil
}
