package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// held is the stack's lock, held by this run.
type held struct {
	*provision.Lock
	s streams
}

// holdLock takes the stack's lock for what is about to be done.
func holdLock(ctx context.Context, s streams, t *target, g *globals, doing string) (*held, error) {
	lock, err := provision.AcquireLock(ctx, t.clients.SSM, g.stack, holder(doing), provision.LockOptions{Version: version()})
	if err != nil {
		return nil, err
	}
	h := &held{lock, s}
	if lock.AfterDead() {
		if err := graph.Sleep(ctx, untilVisible); err != nil {
			h.release(ctx)
			return nil, err
		}
	}
	return h, nil
}

// untilVisible is how long a run waits that follows one which was cut off, lest
// it makes again, or leaves, what it can't see yet.
const untilVisible = 3 * time.Second

// holder is what another run is told of this one.
func holder(doing string) string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed machine"
	}
	return fmt.Sprintf("%s on %s (bookctl %s, pid %d)", name, host, doing, os.Getpid())
}

// release gives the lock back, also when the run was interrupted. A lock that
// can't be given back ends by itself.
func (h *held) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	if err := h.Release(ctx); err != nil && !errors.Is(err, provision.ErrLockLost) {
		fmt.Fprintf(h.s.err, "bookctl: %v\nnext: nothing; the lock ends by itself in some minutes\n", err)
	}
}
