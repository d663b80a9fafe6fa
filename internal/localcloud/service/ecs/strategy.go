package ecs

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cloudwatch "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// longestBake is the longest wait in minutes, in each stage of ECS.
const longestBake = 1440

// shifts reports whether a strategy starts all new tasks alongside the old ones, in a target
// group of their own, and then shifts the traffic.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-blue-green.html
func shifts(strategy types.DeploymentStrategy) bool {
	return strategy != "" && strategy != types.DeploymentStrategyRolling
}

// checkStrategy checks how the traffic is shifted, and sets defaults. Fields of other
// strategies are dropped.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html
func checkStrategy(in *types.DeploymentConfiguration, have types.DeploymentConfiguration) (types.DeploymentConfiguration, error) {
	refuse := func(format string, args ...any) error {
		return kernel.Fail("InvalidParameterException", format, args...)
	}
	minutes := func(what string, n *int32) error {
		if n != nil && (*n < 0 || *n > longestBake) {
			return refuse("%s must be between 0 and %d.", what, longestBake)
		}
		return nil
	}
	percent := func(what string, n *float64, least float64) error {
		if tenths := *n * 10; *n < least || *n > 100 || math.Abs(tenths-math.Round(tenths)) > 1e-9 {
			return refuse("%s must be a multiple of 0.1 from %.1f to 100.0.", what, least)
		}
		return nil
	}
	have.Strategy = cmp.Or(in.Strategy, have.Strategy, types.DeploymentStrategyRolling)
	if !slices.Contains(have.Strategy.Values(), have.Strategy) {
		return have, refuse("Invalid deployment strategy: %s", have.Strategy)
	}
	if in.CanaryConfiguration != nil && have.Strategy != types.DeploymentStrategyCanary || in.LinearConfiguration != nil && have.Strategy != types.DeploymentStrategyLinear {
		return have, refuse("A canaryConfiguration goes with the strategy CANARY, and a linearConfiguration with LINEAR, not with %s.", have.Strategy)
	}
	have.BakeTimeInMinutes = cmp.Or(in.BakeTimeInMinutes, have.BakeTimeInMinutes)
	canary, linear := cmp.Or(in.CanaryConfiguration, have.CanaryConfiguration), cmp.Or(in.LinearConfiguration, have.LinearConfiguration)
	have.CanaryConfiguration, have.LinearConfiguration = nil, nil
	switch have.Strategy {
	case types.DeploymentStrategyCanary:
		c := types.CanaryConfiguration{CanaryPercent: aws.Float64(5), CanaryBakeTimeInMinutes: aws.Int32(10)}
		if canary != nil {
			c.CanaryPercent, c.CanaryBakeTimeInMinutes = cmp.Or(canary.CanaryPercent, c.CanaryPercent), cmp.Or(canary.CanaryBakeTimeInMinutes, c.CanaryBakeTimeInMinutes)
		}
		if err := cmp.Or(percent("canaryPercent", c.CanaryPercent, 0.1), minutes("canaryBakeTimeInMinutes", c.CanaryBakeTimeInMinutes)); err != nil {
			return have, err
		}
		have.CanaryConfiguration = &c
	case types.DeploymentStrategyLinear:
		l := types.LinearConfiguration{StepPercent: aws.Float64(10), StepBakeTimeInMinutes: aws.Int32(6)}
		if linear != nil {
			l.StepPercent, l.StepBakeTimeInMinutes = cmp.Or(linear.StepPercent, l.StepPercent), cmp.Or(linear.StepBakeTimeInMinutes, l.StepBakeTimeInMinutes)
		}
		if err := cmp.Or(percent("stepPercent", l.StepPercent, 3), minutes("stepBakeTimeInMinutes", l.StepBakeTimeInMinutes)); err != nil {
			return have, err
		}
		have.LinearConfiguration = &l
	case types.DeploymentStrategyBlueGreen:
		if have.BakeTimeInMinutes == nil {
			return have, refuse("bakeTimeInMinutes must be specified with the deployment strategy BLUE_GREEN.")
		}
	case types.DeploymentStrategyRolling:
		have.BakeTimeInMinutes = nil
	}
	return have, minutes("bakeTimeInMinutes", have.BakeTimeInMinutes)
}

// checkAlarms checks the alarms that fail a deployment.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-alarm-failure.html
func checkAlarms(in *types.DeploymentAlarms) error {
	if in != nil && in.Enable && len(in.AlarmNames) == 0 {
		return kernel.Fail("InvalidParameterException", "Deployment alarms can't be enabled without the name of an alarm.")
	}
	return nil
}

// checkTrafficShift checks what a service needs of its load balancing to have the traffic shifted:
// a second target group, the rule that forwards, and a role under which ECS changes it.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/alb-resources-for-blue-green.html
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/AmazonECSInfrastructureRolePolicyForLoadBalancers.html
//
// Its words about the role are those of
// https://github.com/hashicorp/terraform-provider-aws/issues/38538.
func (a tx) checkTrafficShift(list []types.LoadBalancer, needed bool) error {
	refuse := func(format string, args ...any) error {
		return kernel.Fail("InvalidParameterException", format, args...)
	}
	if needed && len(list) == 0 {
		return refuse("The local cloud shifts the traffic of services with a load balancer only")
	}
	for _, b := range list {
		c := b.AdvancedConfiguration
		switch {
		case c == nil && needed:
			return refuse("advancedConfiguration is required for the load balancer of a service with this deployment strategy.")
		case c == nil:
			continue
		}
		role, second := aws.ToString(c.RoleArn), aws.ToString(c.AlternateTargetGroupArn)
		if _, ok := a.needs.Groups.LoadBalancers(a.Tx, second); !ok || second == aws.ToString(b.TargetGroupArn) {
			return refuse("The alternate target group %s is not valid.", second)
		}
		rule := aws.ToString(c.ProductionListenerRule)
		forwards, ok := a.needs.Groups.Weights(a.Tx, rule)
		if !ok {
			return refuse("The production listener rule %s was not found, or does not forward.", rule)
		}
		for group := range forwards {
			if group != second && group != aws.ToString(b.TargetGroupArn) {
				return refuse("The production listener rule %s forwards to %s, which is not a target group of the service.", rule, group)
			}
		}
		if _, exists := a.needs.Roles.Name(a.Tx, role); !exists || !a.needs.Roles.Usable(a.Tx, role) || !a.needs.Roles.Trusts(a.Tx, role, "ecs.amazonaws.com", map[string][]string{"aws:SourceAccount": {a.Account()}}) {
			return refuse("ECS was unable to assume the configured ECS Infrastructure Role '%s'. Please verify that the role being passed has the proper trust relationship with Amazon ECS.", role)
		}
		for _, action := range []string{"elasticloadbalancing:ModifyListener", "elasticloadbalancing:ModifyRule", "elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"} {
			on := map[string]string{"elasticloadbalancing:ModifyListener": listenerOf(rule), "elasticloadbalancing:ModifyRule": rule}
			if ok, why := a.needs.Roles.Allows(a.Tx, role, action, cmp.Or(on[action], second)); !ok {
				return refuse("The infrastructure role %s can't be used: it is not authorized to perform: %s because %s allows it.", role, action, why)
			}
		}
	}
	return nil
}

// listenerOf is the ARN of the listener of a rule.
func listenerOf(rule string) string {
	listener := strings.Replace(rule, ":listener-rule/", ":listener/", 1)
	return listener[:max(0, strings.LastIndex(listener, "/"))]
}

// group is the target group that a deployment's tasks are registered with.
func (d deployment) group(b types.LoadBalancer) string {
	return cmp.Or(d.Group, aws.ToString(b.TargetGroupArn))
}

// shiftTargets is the rule that forwards to a deployment, "" without one, and the two target
// groups that it forwards to.
func (d deployment) shiftTargets() (rule string, first, second string) {
	for _, b := range d.Balancers {
		if c := b.AdvancedConfiguration; c != nil {
			return aws.ToString(c.ProductionListenerRule), aws.ToString(b.TargetGroupArn), aws.ToString(c.AlternateTargetGroupArn)
		}
	}
	return "", "", ""
}

// chooseTargetGroup chooses the target group of a new deployment: the unused one if the traffic is
// shifted, otherwise the one that has the traffic. They alternate, and no answer about the
// service shows which one is in use.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ResolvedConfiguration.html
func (a tx) chooseTargetGroup(s *service, d *deployment) {
	rule, first, second := d.shiftTargets()
	if d.Group = ""; rule == "" {
		return
	}
	serving := first
	if s.Completed != nil && slices.Contains([]string{first, second}, s.Completed.Group) {
		serving = s.Completed.Group
	} else if weights, ok := a.needs.Groups.Weights(a.Tx, rule); ok && weights[second] > weights[first] {
		serving = second
	}
	d.Group = serving
	if shifts(s.Rollout.Strategy) {
		d.Group = first
		if serving == first {
			d.Group = second
		}
	}
}

// setTrafficShare makes the rule of a deployment forward that share of the requests to it, and the
// rest to the other target group.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupTuple.html
func (a tx) setTrafficShare(d deployment, percent float64) bool {
	rule, first, second := d.shiftTargets()
	if rule == "" {
		return false
	}
	own, other := int(math.Round(percent)), 0
	if float64(own) == percent {
		other = 100 - own
	} else { // as near as weights below 1000 come
		own = int(math.Round(percent * 9.99))
		other = 999 - own
	}
	weights := []int{own, other}
	if d.Group == second {
		slices.Reverse(weights)
	}
	have, _ := a.needs.Groups.Weights(a.Tx, rule)
	if maps.Equal(have, map[string]int{first: weights[0], second: weights[1]}) {
		return false
	}
	return a.needs.Groups.SetWeights(a.Tx, rule, []string{first, second}, weights) // else it was taken away meanwhile
}

// shifting is the deployment that is shifting the traffic of a service, or nil.
func (s *service) shifting() *serviceDeployment {
	if len(s.History) == 0 || !s.History[0].ongoing() || !shifts(s.History[0].Rollout.Strategy) {
		return nil
	}
	return &s.History[0]
}

// beforeShift comes before each step of the traffic.
const beforeShift = types.ServiceDeploymentLifecycleStage(types.DeploymentLifecycleHookStagePreProductionTrafficShift)

// enterStage begins a stage.
func (d *serviceDeployment) enterStage(stage types.ServiceDeploymentLifecycleStage, now time.Time) {
	d.Stage, d.Since, d.Updated = stage, now, now
}

// waitedInStage reports whether so many minutes of the stage, or of its step, have passed.
func (a tx) waitedInStage(d *serviceDeployment, minutes *int32) bool {
	return a.Now().Sub(d.Since) >= a.Scaled(time.Duration(aws.ToInt32(minutes))*time.Minute)
}

// advanceShift moves a deployment that shifts the traffic one step further, and reports whether it
// changed anything. Test traffic and its stages need a rule of their own, which the local
// cloud does not implement.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/blue-green-deployment-how-it-works.html
func (a tx) advanceShift(s *service, d *serviceDeployment, w serviceTasks) bool {
	if d.RollbackTo != "" {
		return a.shiftBack(s, w)
	}
	previous := a.previousDeployment(s, d)
	if d.Stage != types.ServiceDeploymentLifecycleStageCleanUp && previous != nil && a.replacePreviousTasks(s, *previous, w) {
		return true
	}
	if held, changed := a.pauseAtHooks(s, d); held || changed {
		return changed
	}
	now := a.Now()
	switch d.Stage {
	case "", types.ServiceDeploymentLifecycleStageReconcileService:
		return a.reconcileOldTasks(s, d, previous, w)
	case types.ServiceDeploymentLifecycleStagePreScaleUp:
		d.enterStage(types.ServiceDeploymentLifecycleStageScaleUp, now)
	case types.ServiceDeploymentLifecycleStageScaleUp:
		return a.scaleUp(s, d, w)
	case types.ServiceDeploymentLifecycleStagePostScaleUp:
		d.enterStage(beforeShift, now)
	case beforeShift:
		a.shiftTraffic(s, d, previous)
	case types.ServiceDeploymentLifecycleStageProductionTrafficShift:
		return a.waitForShift(s, d, w)
	case types.ServiceDeploymentLifecycleStagePostProductionTrafficShift:
		d.enterStage(types.ServiceDeploymentLifecycleStageBakeTime, now)
	case types.ServiceDeploymentLifecycleStageBakeTime:
		return a.bake(s, d, previous, w)
	default: // the traffic is the new tasks' alone
		return a.startTasks(s, w) || a.stopForScaling(s, w.old) || a.stopSurplus(s, w)
	}
	return true
}

// allServe reports whether the tasks of the primary deployment are enough, and ready.
func (w serviceTasks) allServe(s *service) bool {
	return len(w.new) >= int(s.Desired) && w.readyOf(w.new) >= int(s.Desired)
}

// shiftBack rolls a deployment back: first the traffic, then the tasks that it has left.
func (a tx) shiftBack(s *service, w serviceTasks) bool {
	if a.startTasks(s, w) {
		return true
	}
	if !w.allServe(s) {
		return false
	}
	return a.setTrafficShare(s.Deployments[0], 100) || a.stopOld(s, w) || a.stopSurplus(s, w)
}

// reconcileOldTasks stops the tasks of a superseded deployment: there is one group for new
// tasks.
func (a tx) reconcileOldTasks(s *service, d *serviceDeployment, previous *deployment, w serviceTasks) bool {
	a.setTrafficShare(s.Deployments[0], 0)
	left := slices.DeleteFunc(slices.Clone(w.old), func(t *ecsTask) bool { return previous != nil && t.Deployment == previous.ID })
	switch {
	case len(left) == 0 && w.stopping == 0:
		d.enterStage(types.ServiceDeploymentLifecycleStagePreScaleUp, a.Now())
	case d.Stage == "":
		d.enterStage(types.ServiceDeploymentLifecycleStageReconcileService, a.Now())
	default:
		return a.stopForScaling(s, left)
	}
	return true
}

// scaleUp starts the new tasks, and ends its stage when all of them are ready.
func (a tx) scaleUp(s *service, d *serviceDeployment, w serviceTasks) bool {
	if a.startTasks(s, w) {
		return true
	}
	if !w.allServe(s) {
		return false
	}
	d.enterStage(types.ServiceDeploymentLifecycleStagePostScaleUp, a.Now())
	return true
}

// shiftTraffic shifts the next share of the traffic to the new tasks.
func (a tx) shiftTraffic(s *service, d *serviceDeployment, previous *deployment) {
	d.enterStage(types.ServiceDeploymentLifecycleStageProductionTrafficShift, a.Now())
	switch {
	case previous == nil: // nobody else serves
		d.Percent = 100
	case d.Percent == 0:
		d.Percent = firstShare(d.Rollout)
	case d.Rollout.LinearConfiguration != nil:
		d.Percent = min(100, d.Percent+*d.Rollout.LinearConfiguration.StepPercent)
	default:
		d.Percent = 100
	}
	a.setTrafficShare(s.Deployments[0], d.Percent)
}

// waitForShift waits as long as a step takes, and begins the next one, or the next stage when
// all of the traffic is shifted.
func (a tx) waitForShift(s *service, d *serviceDeployment, w serviceTasks) bool {
	if a.startTasks(s, w) { // those that have failed since
		return true
	}
	switch {
	case d.Percent >= 100:
		d.enterStage(types.ServiceDeploymentLifecycleStagePostProductionTrafficShift, a.Now())
	case d.Rollout.LinearConfiguration != nil && a.waitedInStage(d, d.Rollout.LinearConfiguration.StepBakeTimeInMinutes),
		d.Rollout.CanaryConfiguration != nil && a.waitedInStage(d, d.Rollout.CanaryConfiguration.CanaryBakeTimeInMinutes):
		d.enterStage(beforeShift, a.Now())
	default:
		return false
	}
	return true
}

// bake keeps the old tasks for the bake time. After it, there is no rollback to them any more.
func (a tx) bake(s *service, d *serviceDeployment, previous *deployment, w serviceTasks) bool {
	if a.startTasks(s, w) {
		return true
	}
	if previous != nil && !a.waitedInStage(d, d.Rollout.BakeTimeInMinutes) {
		return false
	}
	d.enterStage(types.ServiceDeploymentLifecycleStageCleanUp, a.Now())
	primary := s.Deployments[0]
	s.Completed = &primary
	return true
}

// firstShare is how much of the traffic is shifted at first.
func firstShare(c types.DeploymentConfiguration) float64 {
	switch {
	case c.CanaryConfiguration != nil:
		return *c.CanaryConfiguration.CanaryPercent
	case c.LinearConfiguration != nil:
		return *c.LinearConfiguration.StepPercent
	}
	return 100
}

// previousDeployment is the deployment whose tasks serve until the traffic is shifted, if there is one.
func (a tx) previousDeployment(s *service, d *serviceDeployment) *deployment {
	if d.Source == "" || s.Completed == nil || s.Completed.ID != d.Source {
		return nil
	}
	return s.Completed
}

// replacePreviousTasks replaces ended tasks of the previous deployment, up to its count.
func (a tx) replacePreviousTasks(s *service, before deployment, w serviceTasks) bool {
	n := int(s.Desired)
	for _, t := range w.old {
		if t.Deployment == before.ID {
			n--
		}
	}
	return n > 0 && a.startTasksOf(s, before, n)
}

// failOnAlarm fails a deployment when one of its alarms goes into ALARM. If one is in ALARM when
// the deployment begins, alarms are ignored for this deployment.
// https://github.com/aws/copilot-cli/blob/mainline/site/content/docs/include/deployment.en.md
func (a tx) failOnAlarm(s *service) bool {
	if len(s.History) == 0 || !s.History[0].ongoing() || s.History[0].RollbackTo != "" || s.Status != statusActive {
		return false
	}
	d := &s.History[0]
	alarms := d.Rollout.Alarms
	if alarms == nil || !alarms.Enable || s.Deployments[0].State != types.DeploymentRolloutStateInProgress {
		return false
	}
	states := a.needs.Alarms.States(a.Tx, alarms.AlarmNames)
	if !d.AlarmsChecked { // the first look
		d.AlarmsChecked = true
		d.AlarmsIgnored = slices.ContainsFunc(alarms.AlarmNames, func(name string) bool { return states[name] == cloudwatch.StateValueAlarm })
	}
	if d.AlarmsIgnored {
		return false
	}
	for _, name := range alarms.AlarmNames {
		if states[name] == cloudwatch.StateValueAlarm {
			d.Triggered = append(d.Triggered, name)
		}
	}
	if len(d.Triggered) == 0 {
		return false
	}
	failed := s.Deployments[0]
	failed.State, failed.Reason, failed.Updated = types.DeploymentRolloutStateFailed, "ECS deployment failed: alarm(s) detected.", a.Now()
	s.Deployments[0] = failed
	a.serviceEvent(s.key(), "(deployment %s) deployment failed: alarm detected.", failed.ID)
	a.deploymentFailed(s, failed)
	if !alarms.Rollback || !a.rollBack(s, failed, "ECS deployment alarm") {
		s.endCurrentDeployment(a.Now(), types.ServiceDeploymentStatusStopped, failed.Reason)
	}
	return true
}

// describeAlarms is how the alarms of a deployment stand.
func (d serviceDeployment) describeAlarms() *types.ServiceDeploymentAlarms {
	out := &types.ServiceDeploymentAlarms{Status: types.ServiceDeploymentRollbackMonitorsStatusDisabled}
	if c := d.Rollout.Alarms; c != nil && c.Enable {
		out.AlarmNames, out.TriggeredAlarmNames = c.AlarmNames, d.Triggered
		switch {
		case len(d.Triggered) > 0:
			out.Status = types.ServiceDeploymentRollbackMonitorsStatusTriggered
		case d.ongoing():
			out.Status = types.ServiceDeploymentRollbackMonitorsStatusMonitoring
		default:
			out.Status = types.ServiceDeploymentRollbackMonitorsStatusMonitoringComplete
		}
	}
	return out
}
