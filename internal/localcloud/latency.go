package localcloud

import (
	"context"
	"time"
)

// Latencies are how long AWS takes for what is instant here. Zero fields add
// nothing.
type Latencies struct {
	// Scale multiplies every duration below; zero means 1.
	Scale float64 `json:"scale,omitempty"`
	// Call is added to every API call.
	Call time.Duration `json:"call,omitempty"`
	// DBCreate is the time an instance is "creating", DBBackup the time of its
	// first backup ("backing-up"), DBModify and DBDelete those of their states,
	// DBSnapshot that of a snapshot.
	DBCreate   time.Duration `json:"dbCreate,omitempty"`
	DBBackup   time.Duration `json:"dbBackup,omitempty"`
	DBModify   time.Duration `json:"dbModify,omitempty"`
	DBDelete   time.Duration `json:"dbDelete,omitempty"`
	DBSnapshot time.Duration `json:"dbSnapshot,omitempty"`
	// LoadBalancer is the time a load balancer is "provisioning".
	LoadBalancer time.Duration `json:"loadBalancer,omitempty"`
	// TaskStart is the time from a task's birth to its RUNNING, the pull included.
	TaskStart time.Duration `json:"taskStart,omitempty"`
	// TaskStop is the time from a task's last process to its STOPPED.
	TaskStop time.Duration `json:"taskStop,omitempty"`
	// Interface is how long a network interface outlives its owner.
	Interface time.Duration `json:"interface,omitempty"`
	// RoleUsable is how long a new role can't be assumed.
	RoleUsable time.Duration `json:"roleUsable,omitempty"`
	// Certificate is the time until a certificate is issued.
	Certificate time.Duration `json:"certificate,omitempty"`
}

func (l Latencies) scaled(d time.Duration) time.Duration {
	if l.Scale == 0 {
		return d
	}
	return time.Duration(float64(d) * l.Scale)
}

// pause waits for a latency, and says whether the cloud is still open.
func (c *Cloud) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(c.cfg.Latencies.scaled(d))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
