package ecs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud/balancer"
)

const (
	// schedulerTick is the interval at which the scheduler reads the health of targets. API
	// calls and tasks wake it at once.
	schedulerTick = 50 * time.Millisecond
	// steadyTick is the interval if nothing changes, so that an unused cloud takes no
	// processor time.
	steadyTick = 500 * time.Millisecond
	// failuresBeforeThrottle is how many tasks in a row may fail before the next start is
	// delayed. ECS does the same, and documents only the longest delay, 27 minutes
	// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html).
	failuresBeforeThrottle = 3
	firstPause             = 250 * time.Millisecond
	longestPause           = time.Minute
	// launchPause is the first delay after a task could not be created, for example because
	// a role is not usable yet. It counts as a failure only from the
	// launchesBeforeFailure-th in a row, because ECS's own attempts are further apart and a
	// new role needs some seconds.
	launchPause           = time.Second
	launchesBeforeFailure = 5
	// failedShown is how long a failed deployment stays in the list, so that waiting
	// clients see the reason.
	failedShown = 30 * time.Second
)

// Start ends what a killed cloud left running and starts the scheduler, which replaces it.
func (s *Service) Start() {
	if err := os.MkdirAll(s.pidDir(), 0o700); err != nil {
		s.Log().Error("the tasks of the last run may not be found", "error", err)
	}
	if err := s.needs.Runtime.Reap(s.Context(), s.pidDir()); err != nil {
		s.Log().Error("a task of the last run may still be running", "error", err)
	}
	s.update(func(a tx) {
		a.running().tasks = map[string]*runningTask{}
		for _, t := range a.state().Tasks {
			if *t.LastStatus == taskStopped {
				continue
			}
			t.DesiredStatus, t.StopCode = aws.String(taskStopped), types.TaskStopCodeTerminationNotice
			t.StoppedReason = aws.String("The local cloud was stopped")
			t.setStatus(taskStopped)
			t.StoppedAt = aws.Time(a.Now())
			for _, d := range t.Containers {
				t.setContainer(*d.Name, func(d *types.Container) { d.LastStatus = aws.String(taskStopped) })
			}
			a.needs.Network.Release(a.Tx, t.Interface)
		}
		for _, x := range a.state().Services {
			x.Steady, x.Failures, x.NotBefore = false, 0, time.Time{}
		}
		a.wakeScheduler()
	})
	s.Go(s.runScheduler)
}

// Close waits until all containers have ended; the end of the cloud's context has asked
// them to. ctx limits the wait.
func (s *Service) Close(ctx context.Context) {
	for {
		var left []Container
		s.view(func(a tx) {
			for _, r := range a.running().tasks {
				left = append(left, slices.Collect(maps.Values(r.containers))...)
			}
		})
		if len(left) == 0 {
			return
		}
		select {
		case <-left[0].Done():
			time.Sleep(time.Millisecond) // its task is about to note it
		case <-ctx.Done():
			for _, container := range left {
				_ = container.Signal(syscall.SIGKILL) // it may just have ended
			}
			return
		}
	}
}

func (s *Service) runScheduler(ctx context.Context) {
	tick := time.NewTimer(schedulerTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-tick.C:
		}
		next := schedulerTick
		s.view(func(a tx) {
			if ctx.Err() != nil {
				return
			}
			if a.schedule() {
				a.Changed()
			} else if a.steady() {
				next = steadyTick
			}
		})
		tick.Reset(next)
	}
}

// steady reports whether no service and no task is changing.
func (a tx) steady() bool {
	for _, s := range a.state().Services {
		if s.Status != statusInactive && !s.Steady {
			return false
		}
	}
	for _, t := range a.state().Tasks {
		if *t.LastStatus != *t.DesiredStatus {
			return false
		}
	}
	return true
}

// schedule makes one pass over all services and tasks, and reports whether it changed
// anything.
func (a tx) schedule() (changed bool) {
	for _, key := range slices.Sorted(maps.Keys(a.state().Services)) {
		s := a.state().Services[key]
		switch {
		case s.Status != statusInactive:
			changed = a.scheduleService(s) || changed
		case time.Since(s.Gone) > describedFor:
			delete(a.state().Services, key)
			changed = true
		}
	}
	for id, t := range a.state().Tasks {
		if *t.LastStatus == taskStopped && time.Since(aws.ToTime(t.StoppedAt)) > describedFor {
			delete(a.state().Tasks, id)
			changed = true
		}
	}
	for name, cl := range a.state().Clusters {
		if cl.Status == statusInactive && time.Since(cl.Deleted) > describedFor {
			delete(a.state().Clusters, name)
			changed = true
		}
	}
	return a.purgeDefinitions() || changed
}

// serviceTasks are a service's tasks for the scheduler.
type serviceTasks struct {
	// wanted are the tasks that are not to stop; of them, new are those of the primary
	// deployment and old those of others. ready ones serve.
	wanted, new, old []*ecsTask
	ready            map[*ecsTask]bool
	// stopping counts those that have not stopped yet.
	stopping int
	// sick are those of wanted whose replacement is awaited before they are stopped.
	sick int
}

func (a tx) tasksOf(s *service) serviceTasks {
	w := serviceTasks{ready: map[*ecsTask]bool{}}
	for _, t := range a.state().Tasks {
		if t.Service != s.key() || *t.LastStatus == taskStopped {
			continue
		}
		if *t.DesiredStatus == taskStopped {
			w.stopping++
			continue
		}
		w.wanted = append(w.wanted, t)
	}
	slices.SortFunc(w.wanted, func(x, y *ecsTask) int {
		return cmp.Or(x.CreatedAt.Compare(*y.CreatedAt), cmp.Compare(x.ID, y.ID))
	})
	for _, t := range w.wanted {
		if t.Deployment == s.Deployments[0].ID {
			w.new = append(w.new, t)
		} else {
			w.old = append(w.old, t)
		}
	}
	return w
}

func (w serviceTasks) readyOf(tasks []*ecsTask) (n int) {
	for _, t := range tasks {
		if w.ready[t] {
			n++
		}
	}
	return n
}

// scheduleService moves a service one step towards its desired state, and reports whether
// it changed anything.
func (a tx) scheduleService(s *service) (changed bool) {
	sick, stopped := a.checkHealth(s)
	changed = stopped
	if a.breakCircuit(s) || a.failOnAlarm(s) {
		changed = true
	}
	w := a.tasksOf(s)
	w.sick = sick
	for _, t := range w.wanted {
		if w.ready[t] = a.ready(t); w.ready[t] && !t.Served {
			t.Served, changed = true, true
			// A healthy task resets the count, unless that is switched off; one that only runs does not.
			if i := s.deploymentIndex(t.Deployment); i >= 0 && a.passedHealthCheck(t) {
				if b := s.Rollout.DeploymentCircuitBreaker; b == nil || b.ResetOnHealthyTask == nil || *b.ResetOnHealthyTask {
					s.Deployments[i].Failed = 0
				}
				s.Failures = 0
			}
		}
	}
	if s.Status == statusDraining {
		return a.drainService(s, w) || changed
	}
	if d := s.shifting(); d != nil {
		if a.advanceShift(s, d, w) {
			s.Steady = false
			return true
		}
	} else if a.startTasks(s, w) || a.stopOld(s, w) || a.stopSurplus(s, w) {
		s.Steady = false
		return true
	}
	return a.finishRollout(s, w) || changed
}

func (s *service) deploymentIndex(id string) int {
	return slices.IndexFunc(s.Deployments, func(d deployment) bool { return d.ID == id })
}

// passedHealthCheck reports whether a health check confirms that a task is ready.
func (a tx) passedHealthCheck(t *ecsTask) bool {
	return len(t.Targets) > 0 || t.HealthStatus == types.HealthStatusHealthy
}

// ready reports whether a task counts as healthy: it runs, its own health check if
// it has one passes, and so do those of its load balancers.
func (a tx) ready(t *ecsTask) bool {
	if *t.LastStatus != taskRunning {
		return false
	}
	if d := a.definition(*t.TaskDefinitionArn); d != nil && t.HealthStatus != types.HealthStatusHealthy &&
		slices.ContainsFunc(d.ContainerDefinitions, func(d types.ContainerDefinition) bool { return d.HealthCheck != nil && *d.Essential }) {
		return false
	}
	for _, target := range t.Targets {
		h, ok := a.targetHealth(t, target)
		if !ok || h.State != balancer.Healthy {
			return false
		}
	}
	return true
}

func (a tx) targetHealth(t *ecsTask, target taskTarget) (balancer.Health, bool) {
	return a.needs.Groups.TargetHealth(a.Tx, target.Group, t.Address, target.Port)
}

// checkHealth stops the tasks that fail their health checks, and returns how many it lets
// run until their replacements are healthy, or fail as well:
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_services.html
func (a tx) checkHealth(s *service) (sick int, changed bool) {
	grace := time.Duration(aws.ToInt32(s.Grace)) * time.Second
	w := a.tasksOf(s)
	var failing []*ecsTask
	starting := 0
	for _, t := range w.wanted {
		// Checks of the container as well as those of its targets:
		// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html
		switch {
		case *t.LastStatus == taskRunning && time.Since(*t.StartedAt) >= a.ScaledTo(leastGrace, grace) && a.unhealthy(t) != "":
			failing = append(failing, t)
		case !a.ready(t):
			starting++
		}
	}
	stop := len(failing)
	// In a deployment others take their place.
	if s.Deployments[0].State == types.DeploymentRolloutStateCompleted && s.Status == statusActive {
		limit := max(int(*s.Rollout.MaximumPercent)*int(s.Desired)/100, 1)
		stop = min(stop, max(0, len(w.wanted)-int(s.Desired)-starting))
		if stop == 0 && starting == 0 && len(w.wanted) >= limit { // there is no room for another one
			stop = min(len(failing), 1)
		}
	}
	for _, t := range failing[:stop] {
		reason := a.unhealthy(t)
		for _, target := range t.Targets {
			if h, ok := a.targetHealth(t, target); ok && h.State == balancer.Unhealthy && t.HealthStatus != types.HealthStatusUnhealthy {
				a.serviceEvent(t.Service, "(port %d) is unhealthy in (target-group %s) due to (reason %s).", target.Port, target.Group, h.Description)
			}
		}
		if t.HealthStatus == types.HealthStatusUnhealthy {
			a.serviceEvent(t.Service, "(task %s) failed container health checks.", t.ID)
		}
		a.failTask(t, types.TaskStopCodeServiceSchedulerInitiated, reason)
	}
	return len(failing) - stop, stop > 0
}

// unhealthy is why a task is to be replaced, "" for one that is healthy.
func (a tx) unhealthy(t *ecsTask) string {
	if t.HealthStatus == types.HealthStatusUnhealthy {
		return "Task failed container health checks"
	}
	for _, target := range t.Targets {
		if h, ok := a.targetHealth(t, target); ok && h.State == balancer.Unhealthy {
			return fmt.Sprintf("Task failed ELB health checks in (target-group %s)", target.Group)
		}
	}
	return ""
}

// countFailure counts the failure of a service's task and delays the next start.
func (a tx) countFailure(t *ecsTask) {
	s := a.state().Services[t.Service]
	if s == nil {
		return
	}
	if i := s.deploymentIndex(t.Deployment); i >= 0 {
		s.Deployments[i].Failed++
		s.Deployments[i].Updated = a.Now()
	}
	s.Failures++
	s.Steady = false
	if s.Failures >= failuresBeforeThrottle {
		s.NotBefore = a.Now().Add(backoff(firstPause, s.Failures-failuresBeforeThrottle))
	}
	if s.Failures == failuresBeforeThrottle {
		a.serviceEvent(t.Service, "is unable to consistently start tasks successfully. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.")
	}
}

func backoff(first time.Duration, doublings int) time.Duration {
	return min(longestPause, first<<min(doublings, 10))
}

// breakerThreshold is how many failures fail a deployment.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ThresholdConfiguration.html
func breakerThreshold(b *types.DeploymentCircuitBreaker, desired int32) int32 {
	t := cmp.Or(b.ThresholdConfiguration, &types.ThresholdConfiguration{Type: types.ThresholdTypeBoundedPercent, Value: 50})
	share := int32(math.Ceil(float64(desired) * float64(t.Value) / 100))
	switch t.Type {
	case types.ThresholdTypeCount:
		return t.Value
	case types.ThresholdTypeUnboundedPercent:
		return share
	}
	return min(200, max(3, share))
}

// breakCircuit fails a deployment whose tasks fail, and rolls back to the last one that
// completed.
func (a tx) breakCircuit(s *service) bool {
	breaker := s.Rollout.DeploymentCircuitBreaker
	failed := s.Deployments[0]
	// It is for rolling deployments alone:
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentCircuitBreaker.html
	if breaker == nil || s.shifting() != nil || !breaker.Enable || s.Status != statusActive || failed.State != types.DeploymentRolloutStateInProgress || failed.Failed < breakerThreshold(breaker, s.Desired) {
		return false
	}
	failed.State, failed.Reason, failed.Updated = types.DeploymentRolloutStateFailed, "ECS deployment circuit breaker: tasks failed to start.", a.Now()
	s.Deployments[0] = failed
	a.serviceEvent(s.key(), "(deployment %s) deployment failed: tasks failed to start.", failed.ID)
	a.deploymentFailed(s, failed)
	if !breaker.Rollback || !a.rollBack(s, failed, "ECS deployment circuit breaker") {
		s.endCurrentDeployment(a.Now(), types.ServiceDeploymentStatusStopped, failed.Reason)
	}
	return true
}

// drainService stops the tasks of a deleted service.
func (a tx) drainService(s *service, w serviceTasks) bool {
	for _, t := range w.wanted {
		a.stopTask(t, types.TaskStopCodeServiceSchedulerInitiated, "Scaling activity initiated by (deployment "+s.Deployments[0].ID+")")
	}
	if len(w.wanted) > 0 {
		return true
	}
	if w.stopping > 0 {
		return false
	}
	s.Status, s.Gone = statusInactive, a.Now()
	s.endCurrentDeployment(a.Now(), types.ServiceDeploymentStatusStopped, "The service was deleted.")
	return true
}

// startTasks starts missing tasks of the primary deployment, up to the maximum.
func (a tx) startTasks(s *service, w serviceTasks) bool {
	primary := s.Deployments[0]
	if primary.State == types.DeploymentRolloutStateFailed || a.Now().Before(s.NotBefore) {
		return false
	}
	limit := int(*s.Rollout.MaximumPercent) * int(s.Desired) / 100
	n := min(int(s.Desired)+w.sick-len(w.new), max(limit, 1)-len(w.wanted))
	if s.shifting() != nil { // it stands alongside the tasks before
		n = int(s.Desired) - len(w.new)
	}
	if n <= 0 {
		return false
	}
	return a.startTasksOf(s, primary, n)
}

// startTasksOf starts n tasks of a deployment.
func (a tx) startTasksOf(s *service, of deployment, n int) bool {
	if a.Now().Before(s.NotBefore) {
		return false
	}
	d := a.definition(of.Definition)
	if d == nil {
		return false
	}
	if err := a.assumable(d, s.Cluster); err != nil {
		a.launchFailed(s, "failed to launch a task with (error %s).", err)
		return true
	}
	spec := taskSpec{
		cluster: s.Cluster, definition: d, network: &of.Network, service: s.key(), deployment: of.ID, startedBy: of.ID,
		group: "service:" + s.Name, exec: s.Exec, platformVersion: of.Platform,
	}
	for _, b := range of.Balancers {
		spec.targets = append(spec.targets, taskTarget{Group: of.group(b), Container: aws.ToString(b.ContainerName), Port: int(aws.ToInt32(b.ContainerPort))})
	}
	var started []string
	on := perProvider(slices.DeleteFunc(a.tasksOf(s).wanted, func(t *ecsTask) bool { return t.Deployment != of.ID }))
	for range n {
		spec.tags, spec.provider = a.taskTags(s, d), nextProvider(of.Capacity, on)
		on[spec.provider]++
		t, err := a.startTask(spec)
		if errors.Is(err, errNoCapacity) {
			a.placementFailed(s, spec.provider)
			break
		}
		if err != nil {
			a.launchFailed(s, "was unable to place a task. Reason: %s.", err)
			break
		}
		started = append(started, "(task "+t.ID+")")
	}
	if len(started) > 0 {
		a.serviceEvent(s.key(), "has started %d tasks: %s.", len(started), strings.Join(started, " "))
	}
	return true
}

func (a tx) taskTags(s *service, d *definition) map[string]string {
	tags := map[string]string{}
	switch s.PropagateTags {
	case types.PropagateTagsService:
		maps.Copy(tags, s.Tags)
	case types.PropagateTagsTaskDefinition:
		maps.Copy(tags, d.Tags)
	}
	if s.ManagedTags {
		tags["aws:ecs:clusterName"], tags["aws:ecs:serviceName"] = s.Cluster, s.Name
	}
	return tags
}

// launchFailed counts a task that could not be created.
func (a tx) launchFailed(s *service, format string, err error) {
	a.serviceEvent(s.key(), format, err)
	s.Failures++
	s.NotBefore = a.Now().Add(backoff(launchPause, s.Failures-1))
	if s.Failures >= launchesBeforeFailure {
		s.Deployments[0].Failed++
		s.Deployments[0].Updated = a.Now()
	}
}

// stopOld stops tasks of earlier deployments, down to the minimum.
func (a tx) stopOld(s *service, w serviceTasks) bool {
	primary := s.Deployments[0]
	if primary.State == types.DeploymentRolloutStateFailed || len(w.old) == 0 {
		return false
	}
	var stop []*ecsTask
	for _, t := range w.old {
		if !w.ready[t] && (*t.LastStatus == taskRunning || len(w.new) > 0) {
			stop = append(stop, t) // it serves nobody
		}
	}
	ready := w.readyOf(w.wanted)
	least := int(math.Ceil(float64(*s.Rollout.MinimumHealthyPercent) * float64(s.Desired) / 100))
	// A task is stopped first only if the maximum does not allow to start its successor
	// first.
	wanted := max(0, ready-int(s.Desired))
	limit := int(*s.Rollout.MaximumPercent) * int(s.Desired) / 100
	if missing := int(s.Desired) - len(w.new); missing > 0 && len(w.wanted) >= limit {
		wanted = max(wanted, missing)
	}
	wanted = min(wanted, ready-least)
	for _, t := range w.old {
		if wanted > 0 && w.ready[t] {
			stop = append(stop, t)
			wanted--
		}
	}
	return a.stopForScaling(s, stop)
}

// stopSurplus scales in: first tasks that do not serve, then the youngest.
func (a tx) stopSurplus(s *service, w serviceTasks) bool {
	surplus := len(w.new) - int(s.Desired) - w.sick
	if surplus <= 0 {
		return false
	}
	candidates := slices.Clone(w.new)
	slices.SortStableFunc(candidates, func(x, y *ecsTask) int {
		if w.ready[x] != w.ready[y] {
			if w.ready[y] {
				return -1
			}
			return 1
		}
		return y.CreatedAt.Compare(*x.CreatedAt)
	})
	return a.stopForScaling(s, candidates[:surplus])
}

func (a tx) stopForScaling(s *service, stop []*ecsTask) bool {
	if len(stop) == 0 {
		return false
	}
	var names []string
	for _, t := range stop {
		a.stopTask(t, types.TaskStopCodeServiceSchedulerInitiated, "Scaling activity initiated by (deployment "+s.Deployments[0].ID+")")
		names = append(names, "(task "+t.ID+")")
	}
	a.serviceEvent(s.key(), "has stopped %d running tasks: %s.", len(stop), strings.Join(names, " "))
	return true
}

// earlySuccess reports whether so many tasks of a rolling deployment are healthy that it counts
// as successful, although it goes on.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/early-success-criteria.html
func (s *service) earlySuccess(w serviceTasks) bool {
	c := s.Rollout.EarlySuccessCriteria
	if c == nil || !c.Enable || s.shifting() != nil || w.readyOf(w.new)*100 < int(*c.HealthyPercent)*int(s.Desired) {
		return false
	}
	return c.SourceServiceRevisionCleanup == types.ServiceRevisionCleanupDeferred || len(w.old) == 0 && w.stopping == 0
}

// finishRollout records that a service is in its steady state, and removes earlier
// deployments.
func (a tx) finishRollout(s *service, w serviceTasks) (changed bool) {
	primary := s.Deployments[0]
	steady := len(w.new) == int(s.Desired) && w.readyOf(w.new) == len(w.new) && len(w.old) == 0 && w.stopping == 0
	if d := s.shifting(); d != nil && d.RollbackTo == "" && d.Stage != types.ServiceDeploymentLifecycleStageCleanUp {
		steady = false
	}
	if (steady || s.earlySuccess(w)) && primary.State == types.DeploymentRolloutStateInProgress {
		primary.State, primary.Reason, primary.Updated = types.DeploymentRolloutStateCompleted, "ECS deployment "+primary.ID+" completed.", a.Now()
		s.Deployments[0] = primary
		completed := primary
		s.Completed = &completed
		s.endCurrentDeployment(a.Now(), types.ServiceDeploymentStatusSuccessful, "")
		a.serviceEvent(s.key(), "(deployment %s) deployment completed.", primary.ID)
		changed = true
	}
	if steady && !s.Steady {
		s.Steady, changed = true, true
		a.serviceEvent(s.key(), "has reached a steady state.")
	}
	if !steady {
		s.Steady = false
	}
	kept := []deployment{s.Deployments[0]}
	for _, d := range s.Deployments[1:] {
		used := false
		for _, t := range a.state().Tasks {
			used = used || t.Deployment == d.ID && t.Service == s.key() && *t.LastStatus != taskStopped
		}
		shown := d.State == types.DeploymentRolloutStateFailed && (!s.Steady || time.Since(d.Updated) < failedShown)
		if used || shown {
			kept = append(kept, d)
		}
	}
	if len(kept) < len(s.Deployments) {
		s.Deployments, changed = kept, true
	}
	return changed
}
