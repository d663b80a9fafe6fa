package provision

import (
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
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go"

	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// OneOffTask is a task that runs one command alongside the service and then ends. ECS
// does not replace it, and the load balancer does not know it.
type OneOffTask struct {
	// ID is the task's id.
	ID string
	// Revision is the revision of the task definition that it runs.
	Revision string

	in        ecsAccess
	output    *Output
	container string
	began     time.Time
}

// tagOneOff is the name of one-off tasks in their tags.
const tagOneOff = "one-off-task"

// oneOffStarter is the startedBy of tasks of 'bookctl run'.
const oneOffStarter = "bookctl-run"

// StartOneOff starts a task of the release that serves, with a command in place of
// the image's own: the entry point stays, as with docker run. The task has the
// service's network, roles, environment and secrets. The command is visible in
// DescribeTasks and CloudTrail.
//
// A lost answer starts no second task: the SDK sends a client token, and repeats it
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html).
//
// An earlier run may have created the roles seconds ago. Progress is called with what is waited
// for then.
func StartOneOff(ctx context.Context, c Clients, stack, version string, command []string, progress func(string)) (*OneOffTask, error) {
	in := ecsAccess{identity: identity{stack: stack, version: version}, ecs: c.ECS}
	live, err := in.service().describe(ctx)
	if err != nil {
		return nil, err
	}
	if live == nil || aws.ToString(live.Status) == serviceDraining {
		return nil, fmt.Errorf("stack %s: it has no service", stack)
	}
	if fromECSTags(live.Tags)[TagStack] != stack {
		return nil, fmt.Errorf("service %s: %w %s", in.names().Service(), graph.ErrUnmanaged, stack)
	}
	in.userTags = readUserTags(fromECSTags(live.Tags))
	definition := servedDefinition(live)
	// While traffic is shifted, the state of a rollout is no help: "The rolloutState of a service
	// is only returned for services that use the rolling update (ECS) deployment type".
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html
	shift, err := in.shifted(ctx, live)
	if err != nil {
		return nil, err
	}
	if shift != nil && shift.Before > 0 {
		definition = fmt.Sprintf("%s:%d", definition[:strings.LastIndex(definition, ":")], shift.Before)
	}
	for begun, said := time.Now(), ""; ; {
		task, err := in.startOneOff(ctx, c.Logs, live.NetworkConfiguration, definition, oneOffStarter, command)
		reason, passes := Propagating(err, []string{naming.TaskRole})
		if !passes || time.Since(begun) > rolePropagation || !in.hasNewRole(ctx, c.IAM, definition) {
			return task, err
		}
		if reason != said {
			progress(reason)
			said = reason
		}
		if err := graph.Sleep(ctx, oneOffLook); err != nil {
			return nil, err
		}
	}
}

// rolePropagation is how long ECS may not know a new role.
const rolePropagation = 2 * time.Minute

// hasNewRole reports whether ECS may not know a role of the definition yet. A role that can't be
// read is not new: the error of the call that it failed says more.
func (c ecsAccess) hasNewRole(ctx context.Context, roles *iam.Client, definition string) bool {
	def, _, err := (&TaskDefinition{ecsAccess: c}).describe(ctx, definition)
	if def == nil || err != nil {
		return false
	}
	for _, arn := range []*string{def.ExecutionRoleArn, def.TaskRoleArn} {
		name := nameInARN(aws.ToString(arn))
		if out, err := roles.GetRole(ctx, &iam.GetRoleInput{RoleName: &name}); err == nil && time.Since(aws.ToTime(out.Role.CreateDate)) < rolePropagation {
			return true
		}
	}
	return false
}

// servedDefinition is the task definition of the serving release: the one whose rollout is
// complete, even while another is rolled out; if none ever was, the one that is rolled out.
func servedDefinition(live *types.Service) string {
	if d := deployment(live, func(d types.Deployment) bool { return d.RolloutState == types.DeploymentRolloutStateCompleted }); d != nil {
		return aws.ToString(d.TaskDefinition)
	}
	return aws.ToString(live.TaskDefinition)
}

// startOneOff starts a task of a definition.
func (c ecsAccess) startOneOff(ctx context.Context, logs *cloudwatchlogs.Client, network *types.NetworkConfiguration, definition, starter string, command []string) (*OneOffTask, error) {
	def, _, err := (&TaskDefinition{ecsAccess: c}).describe(ctx, definition)
	if err != nil {
		return nil, err
	}
	if def == nil {
		return nil, fmt.Errorf("task definition %s is gone", nameInARN(definition))
	}
	t := &OneOffTask{in: c, Revision: nameInARN(definition), container: aws.ToString(container(def).Name), began: time.Now()}
	out, err := c.ecs.RunTask(ctx, &ecs.RunTaskInput{
		Cluster: aws.String(c.names().Cluster()), TaskDefinition: &definition, LaunchType: types.LaunchTypeFargate,
		NetworkConfiguration: network, StartedBy: &starter, EnableECSManagedTags: true, Tags: toECSTags(c.tags(tagOneOff)),
		Overrides: &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: &t.container, Command: command}}},
	})
	if err != nil {
		return nil, fmt.Errorf("run a task of %s: %w", t.Revision, err)
	}
	for _, f := range out.Failures {
		why := strings.TrimSpace(aws.ToString(f.Reason) + " " + aws.ToString(f.Detail))
		return nil, fmt.Errorf("run a task of %s: %w", t.Revision, notRun{&smithy.GenericAPIError{Message: why}})
	}
	if len(out.Tasks) == 0 {
		return nil, fmt.Errorf("run a task of %s: ECS started none, and says not why", t.Revision)
	}
	t.ID = nameInARN(aws.ToString(out.Tasks[0].TaskArn))
	t.output = ReadOutput(logs, c.stack, t.ID, t.began.Add(-time.Minute)) // this machine's clock may be ahead
	return t, nil
}

// notRun is an answer of ECS that has a failure in place of the task. It is an error of AWS
// without a code. https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html
type notRun struct{ *smithy.GenericAPIError }

func (n notRun) Error() string { return n.Message }

// OneOffState is the state of a one-off task.
type OneOffState struct {
	// Status is ECS's word: PROVISIONING, PENDING, RUNNING, DEPROVISIONING, STOPPED …
	Status string
	// Stopped reports whether it has ended.
	Stopped bool
	// Exit is the exit code of its command; nil if it never ran or ECS does not know it.
	// Reason is why the task stopped, in ECS's words.
	Exit   *int32
	Reason string
}

// read reads the task. If ECS does not list it, because it ended an hour ago or has just
// started, the state is empty.
func (t *OneOffTask) read(ctx context.Context) (OneOffState, error) {
	out, err := t.in.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: aws.String(t.in.names().Cluster()), Tasks: []string{t.ID}})
	if err != nil {
		return OneOffState{}, fmt.Errorf("describe task %s: %w", t.ID, err)
	}
	for _, live := range out.Tasks {
		return oneOffState(live, t.container), nil
	}
	return OneOffState{}, nil
}

// oneOffState is the state of a task whose command runs in that container.
func oneOffState(live types.Task, container string) OneOffState {
	s := OneOffState{Status: aws.ToString(live.LastStatus), Reason: aws.ToString(live.StoppedReason)}
	s.Stopped = s.Status == string(types.DesiredStatusStopped)
	for _, k := range live.Containers {
		if aws.ToString(k.Name) != container {
			continue
		}
		s.Exit = k.ExitCode
		if r := aws.ToString(k.Reason); r != "" {
			s.Reason = strings.TrimPrefix(s.Reason+": "+r, ": ")
		}
	}
	return s
}

// oneOffTasks returns the tasks in the stack's cluster that no service keeps. Without a cluster
// there are none.
func (c ecsAccess) oneOffTasks(ctx context.Context, desired types.DesiredStatus) ([]types.Task, error) {
	tasks, err := c.listTasks(ctx, "tasks of the stack", &ecs.ListTasksInput{DesiredStatus: desired})
	return slices.DeleteFunc(tasks, func(t types.Task) bool { return strings.HasPrefix(aws.ToString(t.Group), "service:") }), err
}

// tasksStartedBy returns the tasks of a starter, including those that stopped within the
// last hour. Without a cluster there are none.
func (c ecsAccess) tasksStartedBy(ctx context.Context, starter string) ([]types.Task, error) {
	var lists []*ecs.ListTasksInput
	for _, desired := range []types.DesiredStatus{types.DesiredStatusRunning, types.DesiredStatusStopped} {
		// With startedBy, ECS accepts no other filter than the desired status:
		// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html
		lists = append(lists, &ecs.ListTasksInput{StartedBy: &starter, DesiredStatus: desired})
	}
	return c.listTasks(ctx, "tasks that "+starter+" started", lists...)
}

// listTasks describes the tasks of several lists of the stack's cluster, in no order. Without
// the cluster, or the service of a list, there are none.
func (c ecsAccess) listTasks(ctx context.Context, what string, lists ...*ecs.ListTasksInput) ([]types.Task, error) {
	cluster := aws.String(c.names().Cluster())
	var arns []string
	for _, in := range lists {
		in.Cluster = cluster
		pages := ecs.NewListTasksPaginator(c.ecs, in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if IsCode(err, "ClusterNotFoundException", "ServiceNotFoundException") {
				return nil, nil
			}
			if err != nil {
				return nil, fmt.Errorf("list the %s: %w", what, err)
			}
			arns = append(arns, page.TaskArns...)
		}
	}
	var out []types.Task
	for some := range slices.Chunk(arns, 100) { // as many as the call takes
		described, err := c.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: cluster, Tasks: some})
		if err != nil {
			return nil, fmt.Errorf("describe the %s: %w", what, err)
		}
		out = append(out, described.Tasks...)
	}
	return out, nil
}

const (
	// oneOffLook is the interval at which a one-off task and its log are read.
	oneOffLook = time.Second
	// oneOffUnseen is how long ECS may not list a task that it has just started:
	// DescribeTasks is eventually consistent
	// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html).
	oneOffUnseen = time.Minute
	// longestSilence is how long AWS may not answer while a task runs. Each call is repeated for
	// a minute before that counts as no answer.
	longestSilence = 10 * time.Minute
)

// Wait waits for the end of the task. It calls line for each line that the task writes, and
// changed with its new status, and with what does not answer; either may be nil. Late is how long
// after the end lines may still appear: CloudWatch shows them some seconds later. A read that gets
// no answer is repeated: the task runs on without it, and without a log that can't be read.
func (t *OneOffTask) Wait(ctx context.Context, late time.Duration, line func(OutputLine) error, changed func(string)) (OneOffState, error) {
	var (
		last         OneOffState
		ended, since time.Time // since when there is no answer
	)
	for {
		now, err := t.read(ctx)
		wrote := false
		if err == nil {
			switch {
			case now.Status == "" && last.Status != "":
				return last, fmt.Errorf("task %s is gone: ECS no longer lists it", t.ID)
			case now.Status == "" && time.Since(t.began) > oneOffUnseen:
				return last, fmt.Errorf("task %s: ECS started it, and does not list it", t.ID)
			}
			if now.Status != last.Status && changed != nil {
				changed(strings.ToLower(now.Status))
			}
			last = now
			if line != nil {
				err = t.output.Next(ctx, func(l OutputLine) error { wrote = true; return line(l) })
				if errors.Is(err, ErrUnreadableLog) { // the task has its exit code without it
					if changed != nil {
						changed(err.Error())
					}
					line, err = nil, nil
				}
			}
		}
		switch silence := unanswered(err); {
		case err == nil:
			since = time.Time{}
		case silence == "" || !since.IsZero() && time.Since(since) > longestSilence:
			return last, err
		case since.IsZero():
			since = time.Now()
			if changed != nil {
				changed(silence)
			}
		}
		if err == nil && now.Stopped {
			if ended.IsZero() || wrote {
				ended = time.Now()
			}
			if time.Since(ended) >= late {
				return last, nil
			}
		}
		if err := graph.Sleep(ctx, oneOffLook); err != nil {
			return last, err
		}
	}
}

// Stop makes ECS stop the task: by its stop signal, and by SIGKILL after the stop timeout.
func (t *OneOffTask) Stop(ctx context.Context, reason string) error {
	_, err := t.in.ecs.StopTask(ctx, &ecs.StopTaskInput{Cluster: aws.String(t.in.names().Cluster()), Task: &t.ID, Reason: &reason})
	if err != nil && !strings.Contains(err.Error(), "The referenced task was not found") {
		return fmt.Errorf("stop task %s: %w", t.ID, err)
	}
	return nil
}
