package ecs

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
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
	s.update(func(c tx) {
		agent := types.ManagedAgent{Name: types.ManagedAgentNameExecuteCommandAgent, LastStatus: aws.String(taskRunning), LastStartedAt: aws.Time(c.Now())}
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
