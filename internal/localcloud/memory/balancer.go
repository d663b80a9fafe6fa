package memory

import (
	"crypto/tls"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/bookctl/bookctl/internal/localcloud/balancer"
	"github.com/bookctl/bookctl/internal/localcloud/service/elb"
)

// Balancer listens on no port, and finds every target healthy. Its zero value has
// no listeners.
type Balancer struct{ ports ports }

// NewGroup is an empty group.
func (b *Balancer) NewGroup(settings balancer.Settings) elb.Group { return &group{settings: settings} }

// Listen takes a port that no other listener has.
func (b *Balancer) Listen(port int, _ *tls.Certificate, _ balancer.Action, _ balancer.Options) (elb.Listener, error) {
	taken, free := b.ports.take("", port)
	if !free {
		return nil, fmt.Errorf("bind the listener's port %d: %w", port, syscall.EADDRINUSE)
	}
	return &listener{release: sync.OnceFunc(func() { b.ports.release(taken) })}, nil
}

type listener struct{ release func() }

func (l *listener) Configure(balancer.Action, balancer.Options) {}

func (l *listener) SetCertificates(...*tls.Certificate) {}

func (l *listener) Counts() balancer.Counts { return balancer.Counts{} }

func (l *listener) Release() { l.release() }

func (l *listener) Close() { l.release() }

// firstCheck is how long a new target is looked at before it is healthy.
const firstCheck = 50 * time.Millisecond

type group struct {
	mu       sync.Mutex
	settings balancer.Settings
	inUse    bool
	targets  []target
}

type target struct {
	balancer.Target
	since time.Time // when its checks began
}

func (g *group) Configure(settings balancer.Settings) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settings = settings
}

func (g *group) SetInUse(inUse bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inUse == inUse {
		return
	}
	g.inUse = inUse
	for i := range g.targets {
		g.targets[i].since = time.Now()
	}
}

func (g *group) Register(added balancer.Target) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.IndexFunc(g.targets, func(t target) bool { return t.ID == added.ID && t.Port == added.Port })
	switch {
	case i < 0:
		g.targets = append(g.targets, target{added, time.Now()})
	case g.targets[i].Addr != added.Addr:
		g.targets[i] = target{added, time.Now()}
	}
}

func (g *group) SetAccess(access func(balancer.Target) balancer.Access) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, t := range g.targets {
		if now := access(t.Target); now != t.Access {
			g.targets[i].Access, g.targets[i].since = now, time.Now()
		}
	}
}

// Deregister forgets a target: nobody asks it for anything that could be under way.
func (g *group) Deregister(id string, port int) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.targets = slices.DeleteFunc(g.targets, func(t target) bool { return t.ID == id && (port == 0 || t.Port == port) })
	return closed
}

func (g *group) Health() []balancer.Health {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]balancer.Health, len(g.targets))
	for i, t := range g.targets {
		list[i] = balancer.Health{Target: t.Target, State: balancer.Healthy}
		since, sick := time.Since(t.since), t.FailsChecks || t.Access == balancer.Filtered
		switch {
		case !g.inUse:
			list[i].State, list[i].Reason, list[i].Description = balancer.Unused, "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer"
		case t.Access == balancer.Disabled:
			list[i].State, list[i].Reason, list[i].Description = balancer.Unused, "Target.NotInUse", "Target is in an Availability Zone that is not enabled for the load balancer"
		case since < firstCheck:
			list[i].State, list[i].Reason, list[i].Description = balancer.Initial, "Elb.RegistrationInProgress", "Target registration is in progress"
		case sick && since < time.Duration(g.settings.UnhealthyThreshold)*g.settings.Interval:
			list[i].State, list[i].Reason, list[i].Description = balancer.Initial, "Elb.InitialHealthChecking", "Initial health checks in progress"
		case sick:
			list[i].State, list[i].Reason, list[i].Description = balancer.Unhealthy, "Target.FailedHealthChecks", "Health checks failed"
		}
	}
	return list
}

func (g *group) Requests() int64 { return 0 }

func (g *group) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.targets = nil
}
