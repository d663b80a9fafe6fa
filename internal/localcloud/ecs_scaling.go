package localcloud

import (
	"time"
)

// desiredCount is how many tasks an active service is to have.
func (c tx) desiredCount(service string) (int32, bool) {
	s := c.ecs().Services[service]
	if s == nil || s.Status != ecsActive {
		return 0, false
	}
	return s.Desired, true
}

// scaleService sets how many tasks a service is to have, for Auto Scaling.
func (c tx) scaleService(service string, n int32, cause string) {
	s := c.ecs().Services[service]
	s.Desired, s.Steady = n, false
	c.serviceEvent(s.key(), "Message: Successfully set desired count to %d. Change successfully fulfilled by ecs. Cause: %s", n, cause)
	c.wakeScheduler()
}

// eachRunningTask tells the processor time that each running task of a service has
// used, and its share of a processor in units of 1/1024.
func (c tx) eachRunningTask(service string, f func(task string, used time.Duration, units float64)) {
	for _, t := range c.ecs().Tasks {
		r := c.ecsLive().tasks[t.ID]
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
