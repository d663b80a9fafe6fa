package ecs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// The capacity providers of Fargate, which each account has
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-capacity-providers.html).
const (
	onDemand = "FARGATE"
	spot     = "FARGATE_SPOT"
)

// strategy is a capacity provider strategy.
type strategy = []types.CapacityProviderStrategyItem

// checkCapacity checks a strategy against what is associated with its cluster.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CapacityProviderStrategyItem.html
func checkCapacity(of strategy, associated []string) error {
	bases, weight := 0, int32(0)
	for _, item := range of {
		if !slices.Contains(associated, aws.ToString(item.CapacityProvider)) {
			return kernel.Fail("InvalidParameterException", "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster and try again.")
		}
		if item.Weight < 0 || item.Weight > 1000 || item.Base < 0 || item.Base > 100000 {
			return kernel.Fail("InvalidParameterException", "The weight of a capacity provider is between 0 and 1000, and its base between 0 and 100000.")
		}
		if item.Base > 0 {
			bases++
		}
		weight += item.Weight
	}
	if bases > 1 {
		return kernel.Fail("InvalidParameterException", "Only one capacity provider in a capacity provider strategy can have a base defined.")
	}
	if len(of) > 1 && weight == 0 {
		return kernel.Fail("InvalidParameterException", "The capacity provider strategy must contain at least one capacity provider with a weight value greater than zero.")
	}
	return nil
}

// setProviders checks and sets the capacity providers that a cluster's tasks use by default.
func (cl *cluster) setProviders(providers []string, by strategy) error {
	for _, p := range providers {
		if p != onDemand && p != spot {
			return kernel.Fail("InvalidParameterException", "The specified capacity provider '%s' was not found.", p)
		}
	}
	if err := checkCapacity(by, providers); err != nil {
		return err
	}
	cl.Providers, cl.Strategy = slices.Clone(providers), slices.Clone(by)
	return nil
}

// checkProvidersUnused rejects the removal of a provider that a service of the cluster uses.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PutClusterCapacityProviders.html
func (a tx) checkProvidersUnused(cl *cluster, providers []string) error {
	for _, s := range a.state().Services {
		if s.Cluster != cl.Name || s.Status == statusInactive {
			continue
		}
		for _, item := range s.Deployments[0].Capacity {
			if !slices.Contains(providers, aws.ToString(item.CapacityProvider)) {
				return kernel.Fail("ResourceInUseException", "The specified capacity provider is in use and cannot be removed.")
			}
		}
	}
	return nil
}

// capacityFor is the strategy for a request that names a launch type, a strategy or neither,
// which means the cluster's. An empty one is for the launch type.
func (cl *cluster) capacityFor(launch types.LaunchType, by strategy) (strategy, error) {
	switch {
	case launch != "" && len(by) > 0:
		return nil, kernel.Fail("InvalidParameterException", "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.")
	case launch != "":
		return nil, nil
	case len(by) == 0:
		return cl.Strategy, nil
	}
	return by, checkCapacity(by, cl.Providers)
}

// changeStrategy gives the next deployment of a service another strategy. None goes back
// to the launch type, and starts no deployment by itself; any other one has to be forced.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html, and
// the message as https://github.com/pipe-cd/pipecd/pull/6385 quotes it.
func (a tx) changeStrategy(s *service, next *deployment, by strategy, forced bool) error {
	if err := checkCapacity(by, a.state().Clusters[s.Cluster].Providers); err != nil {
		return err
	}
	if len(by) > 0 && !forced && !slices.EqualFunc(by, next.Capacity, sameItem) {
		return kernel.Fail("InvalidParameterException", "When switching from launch type to capacity provider strategy on an existing service, or making a change to a capacity provider strategy on a service that is already using one, you must force a new deployment.")
	}
	next.Capacity = slices.Clone(by)
	return nil
}

func sameItem(x, y types.CapacityProviderStrategyItem) bool {
	return aws.ToString(x.CapacityProvider) == aws.ToString(y.CapacityProvider) && x.Base == y.Base && x.Weight == y.Weight
}

// nextProvider chooses the capacity provider of the next task, by how many run on each already: the base
// comes first, and then the one that has least of its weight. It is "" for the launch type.
func nextProvider(by strategy, have map[string]int) string {
	best, least := "", 0.0
	for _, item := range by {
		name := aws.ToString(item.CapacityProvider)
		beyond := have[name] - int(item.Base)
		if beyond < 0 {
			return name
		}
		if item.Weight == 0 {
			continue
		}
		if share := float64(beyond) / float64(item.Weight); best == "" || share < least {
			best, least = name, share
		}
	}
	if best == "" && len(by) > 0 {
		return aws.ToString(by[0].CapacityProvider) // the only one, of no weight
	}
	return best
}

// perProvider counts tasks by what they run on.
func perProvider(tasks []*ecsTask) map[string]int {
	out := map[string]int{}
	for _, t := range tasks {
		out[aws.ToString(t.CapacityProviderName)]++
	}
	return out
}

// errNoCapacity is how ECS says that Fargate has no place for a task.
// https://repost.aws/knowledge-center/ecs-fargate-runtask-capacity
var errNoCapacity = errors.New("Capacity is unavailable at this time. Please try again later or in a different availability zone") //nolint:staticcheck // AWS's own words

// placementFailed notes that there is no capacity. Services try again until there
// is, so it fails no deployment.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_service_events.html
func (a tx) placementFailed(s *service, provider string) {
	a.serviceEvent(s.key(), "was unable to place a task. Reason: %s. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.", errNoCapacity)
	a.needs.Events.Emit(a.Tx, "aws.ecs", "ECS Service Action", []string{a.serviceARN(s)}, map[string]any{
		"eventType": "ERROR", "eventName": "SERVICE_TASK_PLACEMENT_FAILURE", "clusterArn": a.clusterARN(s.Cluster), "reason": "RESOURCE:FARGATE",
		"capacityProviderArns": []string{a.ARN("ecs", "capacity-provider/"+cmp.Or(provider, "FARGATE"))}, "createdAt": a.Now(),
	})
	s.Failures++
	s.NotBefore = a.Now().Add(backoff(launchPause, s.Failures-1))
}

// interrupted is the reason of a task's end that Fargate Spot takes the place of.
const interrupted = "Your Spot Task was interrupted."

// Interrupt takes the place of a task on Fargate Spot, the newest where none is named: it
// gets its stop signal at once, and no more than its stop timeout. Its targets stay where
// they are until it has stopped, since AWS promises no more than that.
// https://repost.aws/knowledge-center/fargate-spot-termination-notice
func (s *Service) Interrupt(task string) (id string, err error) {
	s.update(func(a tx) {
		var on []*ecsTask
		for _, t := range a.state().Tasks {
			if aws.ToString(t.CapacityProviderName) == spot && *t.DesiredStatus != taskStopped && strings.HasPrefix(t.ID, lastPart(task)) {
				on = append(on, t)
			}
		}
		if len(on) == 0 {
			err = errors.New("no task runs on Fargate Spot")
			if task != "" {
				err = fmt.Errorf("no task %s runs on Fargate Spot", task)
			}
			return
		}
		t := slices.MaxFunc(on, func(x, y *ecsTask) int { return x.CreatedAt.Compare(*y.CreatedAt) })
		a.stopTask(t, types.TaskStopCodeSpotInterruption, interrupted)
		// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-capacity-providers.html
		a.needs.Events.Emit(a.Tx, "aws.ecs", "ECS Task State Change", []string{*t.TaskArn}, map[string]any{
			"clusterArn": *t.ClusterArn, "taskArn": *t.TaskArn, "group": aws.ToString(t.Group), "lastStatus": *t.LastStatus, "desiredStatus": taskStopped,
			"stopCode": string(t.StopCode), "stoppedReason": interrupted, "capacityProviderName": spot,
		})
		a.wakeScheduler()
		id = t.ID
	})
	return id, err
}
