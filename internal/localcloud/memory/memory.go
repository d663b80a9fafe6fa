// Package memory has in-memory replacements for the databases, containers and load
// balancers of the local cloud. They serve nobody and take no time. Tests of how
// stacks change use them; tests of what a stack does use the real ones, in packages
// postgres, task and balancer.
package memory

import (
	"sync"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/registry"
)

// Runtimes are those of one cloud; see localcloud.Config.Runtimes.
func Runtimes(images func(repository string) []registry.Image) localcloud.Runtimes {
	return localcloud.Runtimes{Engine: &Engine{}, Containers: &Containers{Images: images}, Balancer: &Balancer{}}
}

// closed is a channel that is closed.
var closed = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// address is where something would listen.
type address struct {
	host string // "" is any
	port int
}

// ports are those that nothing is bound to, given out one after the other.
type ports struct {
	mu    sync.Mutex
	next  int
	taken map[address]bool
}

// take takes a port of a host, or for 0 any. It says whether it was free.
func (p *ports) take(host string, port int) (address, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := address{host, port}
	if port == 0 {
		for at.port = 20000 + p.next; p.taken[at]; at.port++ {
		}
		p.next = at.port + 1 - 20000
	}
	if p.taken[at] {
		return address{}, false
	}
	if p.taken == nil {
		p.taken = map[address]bool{}
	}
	p.taken[at] = true
	return at, true
}

func (p *ports) release(at address) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.taken, at)
}
