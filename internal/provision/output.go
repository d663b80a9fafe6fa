package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/naming"
)

// OutputLine is a line that a task wrote.
type OutputLine struct {
	Time time.Time `json:"time"`
	// Task is the id of the task.
	Task string `json:"task"`
	Text string `json:"text"`
}

// Output reads what the tasks of a stack wrote, as far as CloudWatch has it.
type Output struct {
	logs  *cloudwatchlogs.Client
	group string
	task  string
	from  time.Time
	seen  map[string]time.Time // event ids of the overlap
}

// lateness is how long after its time a line may still come: CloudWatch takes
// lines in from each task on its own.
const lateness = 10 * time.Second

// ReadOutput reads the output of a stack's tasks from a time on. Task, when it
// is not empty, is the beginning of the id of the only task to read.
func ReadOutput(c *cloudwatchlogs.Client, stack, task string, since time.Time) *Output {
	return &Output{
		logs: c, group: naming.Names{Stack: stack}.LogGroup(), task: task, from: since, seen: map[string]time.Time{},
	}
}

// ErrUnreadableLog is wrapped by the error of a log group whose lines can't be read one by one.
var ErrUnreadableLog = errors.New("only CloudWatch Logs Insights reads it")

// Use goes on with another client, such as one whose credentials are new.
func (o *Output) Use(c *cloudwatchlogs.Client) { o.logs = c }

// Next returns, in their order, the lines that came since the last call, and
// none when there is no output yet.
func (o *Output) Next(ctx context.Context, each func(OutputLine) error) error {
	in := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &o.group, StartTime: aws.Int64(o.from.UnixMilli())}
	if o.task != "" {
		in.LogStreamNamePrefix = aws.String(logStream(o.task))
	}
	newest := o.from
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(o.logs, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if IsCode(err, "ResourceNotFoundException") {
			return nil
		}
		// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CloudWatch_Logs_Log_Classes.html
		if strings.Contains(message(err), "INFREQUENT_ACCESS") {
			return hint.With(fmt.Errorf("read log group %s: it is of the class INFREQUENT_ACCESS, and %w: %w", o.group, ErrUnreadableLog, err),
				"query it in the console, under CloudWatch, Logs Insights; or delete it with what it holds (%s): then %s creates one of the class STANDARD, and %s has the tasks write into it",
				hint.AWS("logs", "delete-log-group", "--log-group-name", o.group), hint.Command("up"), hint.Command("restart"))
		}
		if err != nil {
			return fmt.Errorf("read log group %s: %w", o.group, err)
		}
		for _, e := range page.Events {
			at, id := time.UnixMilli(aws.ToInt64(e.Timestamp)), aws.ToString(e.EventId)
			if _, known := o.seen[id]; known {
				continue
			}
			o.seen[id] = at
			if at.After(newest) {
				newest = at
			}
			stream := aws.ToString(e.LogStreamName)
			err := each(OutputLine{Time: at.UTC(), Task: stream[strings.LastIndexByte(stream, '/')+1:], Text: strings.TrimRight(aws.ToString(e.Message), "\n")})
			if err != nil {
				return err
			}
		}
	}
	if from := newest.Add(-lateness); from.After(o.from) {
		o.from = from
		for id, at := range o.seen {
			if at.Before(from) {
				delete(o.seen, id)
			}
		}
	}
	return nil
}

// Happenings are what ECS reports of a stack's service, the newest first: its
// events, of which it keeps the last hundred, and the tasks that stopped within
// the last hour, also those that ran alongside the service. Found is false when there is no service.
func Happenings(ctx context.Context, c Clients, stack string) (events []diagnosis.Event, stopped []diagnosis.Task, found bool, err error) {
	in := ecsAccess{identity: identity{stack: stack}, ecs: c.ECS}
	s := &Service{ecsAccess: in, cluster: &Cluster{ecsAccess: in}}
	live, err := s.describe(ctx)
	if live == nil || err != nil {
		return nil, nil, false, err
	}
	if stopped, err = s.tasks(ctx, types.DesiredStatusStopped); err != nil {
		return nil, nil, true, err
	}
	oneOff, err := s.oneOffTasks(ctx, types.DesiredStatusStopped)
	return lastEvents(live, len(live.Events)), append(stopped, asTasks(oneOff)...), true, err
}

// Tasks are those of a stack's service that run and those that stopped within the
// last hour, and after them those that ran alongside it.
func Tasks(ctx context.Context, c Clients, stack string) ([]diagnosis.Task, error) {
	in := ecsAccess{identity: identity{stack: stack}, ecs: c.ECS}
	s := &Service{ecsAccess: in, cluster: &Cluster{ecsAccess: in}}
	var all []diagnosis.Task
	for _, desired := range []types.DesiredStatus{types.DesiredStatusRunning, types.DesiredStatusStopped} {
		tasks, err := s.tasks(ctx, desired)
		if err != nil {
			return nil, err
		}
		all = append(all, tasks...)
	}
	for _, desired := range []types.DesiredStatus{types.DesiredStatusRunning, types.DesiredStatusStopped} {
		oneOff, err := s.oneOffTasks(ctx, desired)
		if err != nil {
			return nil, err
		}
		all = append(all, asTasks(oneOff)...)
	}
	return all, nil
}
