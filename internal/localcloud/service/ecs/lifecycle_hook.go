package ecs

import (
	"cmp"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// pause is a hook that holds a deployment, or has held it.
type pause struct {
	ID     string
	Stage  time.Time // when the stage began, or its step: each has a pause of its own
	Ends   time.Time // when it times out
	Then   types.DeploymentLifecycleHookAction
	Status types.DeploymentLifecycleHookStatus
}

// Limits of pauses: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/pause-lifecycle-hooks.html
const (
	usualPause = 1440  // minutes
	maxPause   = 20160 // minutes
	maxPauses  = 10
)

// checkHooks checks the lifecycle hooks of a service. The local cloud has no functions.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentLifecycleHook.html
func checkHooks(c types.DeploymentConfiguration) error {
	refuse := func(format string, args ...any) error {
		return kernel.Fail("InvalidParameterException", format, args...)
	}
	if len(c.LifecycleHooks) > maxPauses {
		return refuse("A service can have %d pause hooks.", maxPauses)
	}
	for _, h := range c.LifecycleHooks {
		switch {
		case h.TargetType != types.DeploymentLifecycleHookTargetTypePause:
			return refuse("The local cloud has no functions for lifecycle hooks")
		case !shifts(c.Strategy):
			return refuse("The local cloud pauses only deployments that shift the traffic")
		case len(h.LifecycleStages) == 0:
			return refuse("lifecycleStages is required for a lifecycle hook.")
		}
		for _, stage := range h.LifecycleStages {
			if !slices.Contains(stage.Values(), stage) || stage == types.DeploymentLifecycleHookStageTestTrafficShift || stage == types.DeploymentLifecycleHookStageProductionTrafficShift {
				return refuse("PAUSE hooks cannot be configured at %s.", stage)
			}
		}
		if t := h.TimeoutConfiguration; t != nil && t.TimeoutInMinutes != nil && (*t.TimeoutInMinutes < 1 || *t.TimeoutInMinutes > maxPause) {
			return refuse("timeoutInMinutes must be between 1 and %d.", maxPause)
		}
	}
	return nil
}

// pauseAtHooks begins and ends the pauses of the stage of a deployment, and reports whether one
// holds it. The hooks are those that the service had when the deployment began: what
// becomes of a pause whose hook is taken away is on no page.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/pause-lifecycle-hooks.html
func (a tx) pauseAtHooks(s *service, d *serviceDeployment) (held, changed bool) {
	begun := false
	for i := range d.Pauses {
		p := &d.Pauses[i]
		if !p.Stage.Equal(d.Since) {
			continue
		}
		begun = true
		switch {
		case p.Status != types.DeploymentLifecycleHookStatusAwaitingAction:
		case a.Now().Before(p.Ends):
			held = true
		default:
			p.Status, changed = types.DeploymentLifecycleHookStatusTimedOut, true
			if p.Then == types.DeploymentLifecycleHookActionRollback {
				a.takeBack(s, "deployment timed out at a lifecycle hook")
				return true, true
			}
		}
	}
	if begun {
		return held, changed
	}
	for _, h := range d.Rollout.LifecycleHooks {
		if !slices.Contains(h.LifecycleStages, types.DeploymentLifecycleHookStage(d.Stage)) {
			continue
		}
		t := cmp.Or(h.TimeoutConfiguration, &types.DeploymentLifecycleHookTimeoutConfiguration{})
		minutes := cmp.Or(aws.ToInt32(t.TimeoutInMinutes), usualPause)
		d.Pauses = append(d.Pauses, pause{
			ID: "ecs-pause-" + kernel.RandomText(43, kernel.Letters+kernel.Capitals+kernel.Digits), Stage: d.Since,
			Ends: a.Now().Add(a.Scaled(time.Duration(minutes) * time.Minute)),
			Then: cmp.Or(t.Action, types.DeploymentLifecycleHookActionRollback), Status: types.DeploymentLifecycleHookStatusAwaitingAction,
		})
		held, changed = true, true
	}
	return held, changed
}

// describePauses describes the pauses of a deployment.
func (d serviceDeployment) describePauses() []types.DeploymentLifecycleHookDetail {
	out := []types.DeploymentLifecycleHookDetail{}
	for _, p := range d.Pauses {
		out = append(out, types.DeploymentLifecycleHookDetail{
			HookId: aws.String(p.ID), TargetType: types.DeploymentLifecycleHookTargetTypePause, Status: p.Status, ExpiresAt: aws.Time(p.Ends), TimeoutAction: p.Then,
		})
	}
	return out
}

// ContinueServiceDeployment ends a pause. It needs the deployment to be in progress.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/continue-service-deployment.html
func (a tx) ContinueServiceDeployment(in *ecs.ContinueServiceDeploymentInput) (*ecs.ContinueServiceDeploymentOutput, error) {
	s, i, ok := a.findDeployment(aws.ToString(in.ServiceDeploymentArn))
	if !ok {
		return nil, kernel.Fail("ServiceDeploymentNotFoundException", "The service deployment was not found.")
	}
	d := &s.History[i]
	n := slices.IndexFunc(d.Pauses, func(p pause) bool {
		return p.ID == aws.ToString(in.HookId) && p.Status == types.DeploymentLifecycleHookStatusAwaitingAction
	})
	if n < 0 || d.Status != types.ServiceDeploymentStatusInProgress {
		return nil, kernel.Fail("InvalidParameterException", "The service deployment does not await an action for this hook.")
	}
	switch in.Action {
	case "", types.DeploymentLifecycleHookActionContinue:
		d.Pauses[n].Status = types.DeploymentLifecycleHookStatusSucceeded
	case types.DeploymentLifecycleHookActionRollback:
		d.Pauses[n].Status = types.DeploymentLifecycleHookStatusFailed
		a.takeBack(s, "deployment was rolled back at a lifecycle hook")
	default:
		return nil, kernel.Fail("InvalidParameterException", "The valid values of action are CONTINUE and ROLLBACK.")
	}
	a.wakeScheduler()
	return &ecs.ContinueServiceDeploymentOutput{ServiceDeploymentArn: in.ServiceDeploymentArn}, nil
}
