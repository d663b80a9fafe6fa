package provision

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// ReleaseCommand runs a command once for each new revision of the task definition,
// in a task of it, before the service changes: a migration of the database, say.
// When it fails the service is not touched, and the old release goes on serving.
type ReleaseCommand struct {
	graph.NodeOf[*liveReleaseCommand]
	ecsAccess
	logs       *cloudwatchlogs.Client
	definition *TaskDefinition
	group      *SecurityGroup
	subnets    []anySubnet
	command    []string
	limit      time.Duration
	watch      ReleaseWatch

	task   *OneOffTask // that this run started, or found at work
	lately []string    // what it wrote last
}

// ReleaseWatch hears of a release command while it is at work. Either may be nil.
type ReleaseWatch struct {
	// Began is called with the id of its task, and how long that may take.
	Began func(task string, limit time.Duration)
	// Line is called with each line that it writes.
	Line func(OutputLine)
}

// tagReleased is on a revision whose release command has succeeded, or that a rollback
// made of a release whose had.
const tagReleased = "bookctl:release-command-succeeded"

// mostReleaseLines is how many of its last lines the failure of a command shows.
const mostReleaseLines = 5

// mostReleaseTimeout is the longest that a release command may be given.
const mostReleaseTimeout = 24 * time.Hour

// releaseCommandNeeds are the resources that a release command runs with.
type releaseCommandNeeds struct {
	cluster    *Cluster
	definition *TaskDefinition
	routes     graph.Finder // out of the VPC
	group      *SecurityGroup
	subnets    []anySubnet
}

// releaseCommandSpec is what a release command runs, and who watches it.
type releaseCommandSpec struct {
	command []string
	limit   time.Duration
	watch   ReleaseWatch
}

func newReleaseCommand(c ecsAccess, logs *cloudwatchlogs.Client, needs releaseCommandNeeds, want releaseCommandSpec) *ReleaseCommand {
	first := []graph.Finder{needs.cluster, needs.definition, needs.routes, needs.group}
	for _, s := range needs.subnets {
		first = append(first, s)
	}
	r := &ReleaseCommand{
		ecsAccess: c, logs: logs, definition: needs.definition, group: needs.group, subnets: needs.subnets,
		command: want.command, limit: want.limit, watch: want.watch,
	}
	// One of a run that was cut off may be waited for first, and each takes time to stop.
	r.NodeOf = graph.Of(r, "release-command", 2*want.limit+10*time.Minute, first...)
	return r
}

// liveReleaseCommand is a command that has succeeded.
type liveReleaseCommand struct{ noted bool }

// releaseStarter is what ECS notes as the starter of release commands' tasks. By it a
// later run finds the task of one that was cut off. ECS takes letters, digits, - / and _:
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html
const releaseStarter = "bookctl-release"

// Read returns how far the command is for the revision that is wanted.
func (r *ReleaseCommand) Read(ctx context.Context) (*liveReleaseCommand, graph.State, error) {
	id := r.definition.ID()
	if id == "" {
		return nil, absent, nil
	}
	st, err := r.progress(ctx, id)
	if err != nil || st.Phase != graph.Ready {
		return nil, st, err
	}
	return &liveReleaseCommand{noted: r.task == nil}, st, nil
}

// Wanted implements graph.Shape.
func (r *ReleaseCommand) Wanted(*liveReleaseCommand) *liveReleaseCommand {
	return &liveReleaseCommand{noted: true}
}

// Attributes implements graph.Shape.
func (r *ReleaseCommand) Attributes() graph.Attributes[*liveReleaseCommand] {
	return graph.Attributes[*liveReleaseCommand]{
		graph.Flag("succeeded", func(l *liveReleaseCommand) bool { return l.noted }, graph.SetBy(r.note)),
	}
}

func (r *ReleaseCommand) progress(ctx context.Context, id string) (graph.State, error) {
	if r.task != nil && r.task.Revision == nameInARN(id) {
		return r.follow(ctx, id)
	}
	r.task = nil // it is of what was the newest revision before this run made another
	done, err := r.succeeded(ctx, id)
	if done || err != nil {
		return graph.State{Phase: graph.Ready, ID: nameInARN(id), Owner: r.stack}, err
	}
	return r.earlier(ctx, id)
}

// succeeded reports whether a revision needs no run of the command any more: it, or the
// release that it repeats, had one, or it has served.
func (r *ReleaseCommand) succeeded(ctx context.Context, id string) (bool, error) {
	_, tags, err := r.definition.describe(ctx, id)
	if err != nil || tags[tagReleased] != "" || tags[tagServed] != "" {
		return err == nil, err
	}
	live, err := r.ecsAccess.service().describe(ctx)
	if live == nil || err != nil {
		return false, err
	}
	return completed(live) == id, nil
}

// earlier looks for the tasks of runs that were cut off. One that is at work for this
// revision is joined; any other that has not stopped is waited for, since two migrations
// at once are none. Where none is, one that has succeeded counts: its run ended before it
// could note that.
func (r *ReleaseCommand) earlier(ctx context.Context, id string) (graph.State, error) {
	tasks, err := r.tasksStartedBy(ctx, releaseStarter)
	if err != nil {
		return graph.State{}, err
	}
	var busy, done *types.Task
	for i, t := range tasks {
		own, state := aws.ToString(t.TaskDefinitionArn) == id, oneOffState(t, containerName)
		switch {
		case !state.Stopped && own && aws.ToString(t.DesiredStatus) == string(types.DesiredStatusRunning):
			r.task = r.joined(t)
			r.tellBegan()
			return r.follow(ctx, id)
		case !state.Stopped:
			busy = &tasks[i]
		case own && state.Exit != nil && *state.Exit == 0 && slices.Equal(commandOf(t), r.command):
			done = &tasks[i]
		}
	}
	st := graph.State{Phase: graph.Pending, ID: nameInARN(id), Owner: r.stack}
	switch {
	case busy != nil:
		st.Note = fmt.Sprintf("task %s of a run that was cut off is still at work, for %s", nameInARN(aws.ToString(busy.TaskArn)), nameInARN(aws.ToString(busy.TaskDefinitionArn)))
		return st, nil
	case done != nil:
		r.task = r.joined(*done)
		r.task.output = nil // it was shown, or is history
		return r.follow(ctx, id)
	}
	return absent, nil
}

// commandOf is the command that a task's container was given in place of its own.
func commandOf(t types.Task) []string {
	if t.Overrides != nil {
		for _, o := range t.Overrides.ContainerOverrides {
			if aws.ToString(o.Name) == containerName {
				return o.Command
			}
		}
	}
	return nil
}

// joined is a task that another run started.
func (r *ReleaseCommand) joined(t types.Task) *OneOffTask {
	id, began := nameInARN(aws.ToString(t.TaskArn)), time.Now()
	if t.CreatedAt != nil {
		began = *t.CreatedAt // its time runs since then
	}
	return &OneOffTask{
		ID: id, Revision: nameInARN(aws.ToString(t.TaskDefinitionArn)), in: r.ecsAccess, container: containerName, began: began,
		output: ReadOutput(r.logs, r.stack, id, time.Now().Add(-time.Hour)),
	}
}

// follow passes on what the task wrote, and says how far it is.
func (r *ReleaseCommand) follow(ctx context.Context, id string) (graph.State, error) {
	st := graph.State{Phase: graph.Pending, ID: nameInARN(id), Owner: r.stack}
	now, err := r.task.read(ctx)
	if err != nil {
		return graph.State{}, err
	}
	if now.Stopped && now.Exit != nil && *now.Exit == 0 {
		st.Phase = graph.Ready
	}
	if r.task.output != nil {
		// Its log is for people: what can't be read of it stops no release.
		_ = r.task.output.Next(ctx, func(l OutputLine) error {
			if r.watch.Line != nil {
				r.watch.Line(l)
			}
			r.lately = append(r.lately[max(0, len(r.lately)-mostReleaseLines+1):], l.Text)
			return nil
		})
	}
	st.Note = fmt.Sprintf("task %s: %s", nameInARN(r.task.ID), strings.ToLower(cmp.Or(now.Status, "starting")))
	switch {
	case st.Phase == graph.Ready:
	case !now.Stopped && time.Since(r.task.began) > r.limit:
		if err := r.task.Stop(ctx, "the release command is out of time"); err != nil {
			return graph.State{}, err
		}
		st.Phase, st.Note = graph.Unrecoverable, fmt.Sprintf("%q in task %s was at work for longer than %s, and is stopped", strings.Join(r.command, " "), r.task.ID, strings.TrimSuffix(r.limit.String(), "0s"))
		st.Note += r.wroteLast()
		st.Next = hint.New("the service is unchanged; %s gives it more time, in minutes, and %s removes it", hint.Command("up", "--release-timeout", strconv.Itoa(int(min(2*r.limit, mostReleaseTimeout)/time.Minute))), hint.Command("up", "--release-command", "none"))
		return st, nil
	case !now.Stopped:
	case now.Exit == nil:
		st.Phase, st.Note = graph.Unrecoverable, fmt.Sprintf("task %s did not run %q: %s", r.task.ID, strings.Join(r.command, " "), now.Reason)
	default:
		st.Phase, st.Note = graph.Unrecoverable, fmt.Sprintf("%q ended with exit code %d in task %s", strings.Join(r.command, " "), *now.Exit, r.task.ID)
		st.Note += r.wroteLast()
	}
	if st.Phase == graph.Unrecoverable {
		st.Next = hint.New("the service is unchanged; when the command is fixed, %s runs it again; %s removes it", hint.Command("up"), hint.Command("up", "--release-command", "none"))
	}
	return st, nil
}

// wroteLast are the last lines of the command, behind what is said of its failure.
func (r *ReleaseCommand) wroteLast() string {
	if len(r.lately) == 0 {
		return ""
	}
	return "; it wrote last: " + strings.Join(r.lately, " | ")
}

// tellBegan reports to whoever watches that the task is at work.
func (r *ReleaseCommand) tellBegan() {
	if r.watch.Began != nil {
		r.watch.Began(r.task.ID, r.limit)
	}
}

// Create starts the task.
func (r *ReleaseCommand) Create(ctx context.Context) (string, error) {
	task, err := r.startOneOff(ctx, r.logs, taskNetwork(r.group, r.subnets), r.definition.ID(), releaseStarter, r.command)
	if err != nil {
		return "", err
	}
	r.task, r.lately = task, nil
	r.tellBegan()
	return task.Revision, nil
}

// note notes on the revision that its command has succeeded, of whose task that is known.
func (r *ReleaseCommand) note(ctx context.Context, _ []graph.Change) error {
	_, err := r.ecs.TagResource(ctx, &ecs.TagResourceInput{ResourceArn: aws.String(r.definition.ID()), Tags: toECSTags(map[string]string{tagReleased: r.task.ID})})
	if err != nil {
		return fmt.Errorf("note on %s that its release command has succeeded: %w", nameInARN(r.definition.ID()), err)
	}
	r.task = nil
	return nil
}

// abandon has ECS stop the task of a run that ends before it: nobody would look at
// what it does, and it costs money.
func (r *ReleaseCommand) abandon(ctx context.Context) error {
	task := r.task
	if task == nil {
		return nil
	}
	if now, err := task.read(ctx); err == nil && now.Stopped {
		return nil
	}
	return task.Stop(ctx, "the run of bookctl that started it has ended")
}
