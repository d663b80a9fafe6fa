package ecs

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// agentPause is the time between two looks whether an agent may start.
const agentPause = 100 * time.Millisecond

// startAgent starts the agents of ECS Exec, which run later than their task.
func (s *Service) startAgent(ctx context.Context, t *ecsTask, r *runningTask) {
	stopped := s.Faults().Tasks.NoExec
	for first := true; first || s.Faults().Tasks.ExecPending; first = false {
		if !kernel.Wait(ctx, r.stopping, agentPause) {
			return
		}
	}
	s.update(func(a tx) {
		agent := types.ManagedAgent{Name: types.ManagedAgentNameExecuteCommandAgent, LastStatus: aws.String(taskRunning), LastStartedAt: aws.Time(a.Now())}
		if stopped {
			agent = types.ManagedAgent{Name: agent.Name, LastStatus: aws.String(taskStopped)}
		}
		t.setAgents(agent)
	})
}

// setAgents gives all of a task's containers an agent of ECS Exec.
func (t *ecsTask) setAgents(agent types.ManagedAgent) {
	for _, c := range t.Containers {
		t.setContainer(*c.Name, func(c *types.Container) { c.ManagedAgents = []types.ManagedAgent{agent} })
	}
}

// takesCommands reports whether the agent of ECS Exec runs in a task.
func (t *ecsTask) takesCommands() bool {
	return t.EnableExecuteCommand && *t.LastStatus == taskRunning && len(t.Containers) > 0 && len(t.Containers[0].ManagedAgents) > 0 && *t.Containers[0].ManagedAgents[0].LastStatus == taskRunning
}

// ExecuteCommand opens a session to a container of an engine. On AWS a session is
// Systems Manager's own protocol over a web socket, which the local cloud does not
// speak: here its address is for package container.
func (a tx) ExecuteCommand(in *ecs.ExecuteCommandInput) (*ecs.ExecuteCommandOutput, error) {
	cl, err := a.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	t := a.state().Tasks[lastPart(aws.ToString(in.Task))]
	switch {
	case t == nil || t.Cluster != cl.Name || *t.LastStatus == taskStopped:
		return nil, kernel.Fail("InvalidParameterException", "The specified task could not be found: %s", aws.ToString(in.Task))
	case !t.takesCommands():
		return nil, kernel.Fail("InvalidParameterException", "The execute command failed because execute command was not enabled when the task was run or the execute command agent isn't running. Wait and try again or run a new task with execute command enabled and try again.")
	}
	name := aws.ToString(in.Container)
	if name == "" && len(t.Containers) == 1 {
		name = aws.ToString(t.Containers[0].Name)
	}
	r := a.running().tasks[t.ID]
	if r == nil || r.containers[name] == nil {
		return nil, kernel.Fail("InvalidParameterException", "The execute command failed due to an invalid container name: %s", name)
	}
	console := r.containers[name].Console(aws.ToString(in.Command))
	if console == "" {
		return nil, kernel.Fail("TargetNotConnectedException", "The execute command failed: the task is a plain process of this machine. Tasks of 'bookctl local start --engine docker' or podman take commands.")
	}
	return &ecs.ExecuteCommandOutput{
		ClusterArn: t.ClusterArn, TaskArn: t.TaskArn, ContainerName: &name, Interactive: in.Interactive,
		Session: &types.Session{SessionId: aws.String("ecs-execute-command-" + kernel.HexDigits(17)), StreamUrl: &console, TokenValue: aws.String(kernel.HexDigits(64))},
	}, nil
}

// Connected reports whether a target of Systems Manager, ecs:CLUSTER_TASK_RUNTIME, is a
// container that takes commands.
func (s *Service) Connected(t *kernel.Tx, target string) bool {
	for _, task := range s.in(t).state().Tasks {
		for _, c := range task.Containers {
			if target == "ecs:"+task.Cluster+"_"+task.ID+"_"+aws.ToString(c.RuntimeId) {
				return task.takesCommands()
			}
		}
	}
	return false
}
