package ecs

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// firstCheck is the interval of health checks of a container that has not passed one yet,
// as in the balancer.
const firstCheck = 100 * time.Millisecond

// checkContainer runs a container's health check until ctx ends.
func (s *Service) checkContainer(ctx context.Context, t *ecsTask, container Container, d types.ContainerDefinition) {
	h := d.HealthCheck
	command := h.Command[1:]
	if h.Command[0] == "CMD-SHELL" {
		command = []string{"/bin/sh", "-c", strings.Join(h.Command[1:], " ")}
	}
	second := func(n *int32) time.Duration { return time.Duration(*n) * time.Second }
	interval := s.ScaledTo(leastInterval, second(h.Interval))
	grace := time.Now()
	if h.StartPeriod != nil {
		grace = grace.Add(s.ScaledTo(leastGrace, second(h.StartPeriod)))
	}
	healthy, failed := false, 0
	next := time.Now().Add(interval) // when a failure counts
	for {
		check, cancel := context.WithTimeout(ctx, second(h.Timeout))
		code, err := container.Exec(check, command...)
		cancel()
		if ctx.Err() != nil {
			return
		}
		pass := err == nil && code == 0
		if pass || healthy || !time.Now().Before(next) {
			next = time.Now().Add(interval)
			switch {
			case pass:
				healthy, failed = true, 0
			case time.Now().After(grace):
				failed++
			}
		}
		status := types.HealthStatusUnknown
		switch {
		case failed >= int(*h.Retries):
			status = types.HealthStatusUnhealthy
		case healthy:
			status = types.HealthStatusHealthy
		}
		s.view(func(a tx) {
			if t.setHealth(*d.Name, status, a.definition(*t.TaskDefinitionArn)) {
				a.Changed()
				a.wakeScheduler()
			}
		})
		pause := min(firstCheck, interval)
		if healthy {
			pause = interval
		}
		if !kernel.Wait(ctx, nil, pause) {
			return
		}
	}
}

// setHealth sets a container's health and derives the task's from its essential containers
// with a check.
func (t *ecsTask) setHealth(container string, status types.HealthStatus, d *definition) (changed bool) {
	for _, have := range t.Containers {
		changed = changed || *have.Name == container && have.HealthStatus != status
	}
	if !changed || d == nil {
		return false
	}
	t.setContainer(container, func(described *types.Container) { described.HealthStatus = status })
	all := types.HealthStatusHealthy
	for _, def := range d.ContainerDefinitions {
		for _, have := range t.Containers {
			if *have.Name != *def.Name || def.HealthCheck == nil || !*def.Essential {
				continue
			}
			switch have.HealthStatus {
			case types.HealthStatusUnhealthy:
				all = types.HealthStatusUnhealthy
			case types.HealthStatusUnknown:
				if all == types.HealthStatusHealthy {
					all = types.HealthStatusUnknown
				}
			}
		}
	}
	t.HealthStatus = all
	return true
}
