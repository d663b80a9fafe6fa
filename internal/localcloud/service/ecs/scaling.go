package ecs

import (
	"time"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// DesiredCount is how many tasks an active service is to have.
func (s *Service) DesiredCount(t *kernel.Tx, service string) (int32, bool) {
	x := s.in(t).state().Services[service]
	if x == nil || x.Status != statusActive {
		return 0, false
	}
	return x.Desired, true
}

// Scale sets how many tasks a service is to have, for Auto Scaling.
func (s *Service) Scale(t *kernel.Tx, service string, n int32, cause string) {
	c := s.in(t)
	x := c.state().Services[service]
	x.Desired, x.Steady = n, false
	c.serviceEvent(x.key(), "Message: Successfully set desired count to %d. Change successfully fulfilled by ecs. Cause: %s", n, cause)
	c.wakeScheduler()
}

// EachRunningTask passes on the processor time that each running task of a service has
// used, and its share of a processor in units of 1/1024.
func (s *Service) EachRunningTask(t *kernel.Tx, service string, f func(task string, used time.Duration, units float64)) {
	c := s.in(t)
	for _, t := range c.state().Tasks {
		r := c.running().tasks[t.ID]
		if t.Service != service || *t.LastStatus != taskRunning || r == nil {
			continue
		}
		var used time.Duration
		for _, container := range r.containers {
			cpu, err := container.CPUTime()
			if err != nil {
				continue // it has just ended
			}
			used += cpu
		}
		f(t.ID, used, t.cpuUnits())
	}
}
