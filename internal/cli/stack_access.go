package cli

import (
	"context"
	"fmt"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/runlock"
)

// requirements are what a command requires of a stack before it changes anything. They are
// checked before the lock is taken, because the lock would leave a record of a stack that
// does not exist.
type requirements struct {
	lock      bool // it is read, whether or not another run has it
	unlocked  bool // no other run is at work on it
	service   bool
	database  bool
	notPaused bool
}

// stackAccess is the stack that a command works on, as it was read.
type stackAccess struct {
	*target
	needs    requirements
	have     provision.Deployed
	database provision.Connection // where the command needs one
}

// openStack finds the stack of a command.
func openStack(ctx context.Context, s streams, g *globals, n requirements) (stackAccess, error) {
	t, err := connect(ctx, s, g)
	if err != nil {
		return stackAccess{}, err
	}
	o := stackAccess{target: t, needs: n}
	if n.lock || n.unlocked {
		t.lookAtLock(ctx, g)
	}
	if n.unlocked {
		if err := t.refuseLocked(); err != nil {
			return o, err
		}
	}
	if n.database {
		if o.database, err = provision.ReadConnection(ctx, t.clients, g.stack); err != nil {
			return o, withoutDatabase(ctx, t, g, err)
		}
	}
	if o.have, err = t.deployed(ctx, g); err != nil {
		return o, err
	}
	if n.service && !o.have.Service() {
		return o, notDeployed(ctx, t, g, fmt.Errorf("stack %s has no service", g.stack), hint.New("%s creates it", hint.Command("up")))
	}
	if n.notPaused {
		return o, refusePaused(o.have, g)
	}
	return o, nil
}

// refusePaused refuses what needs tasks or the database of a stack that is paused.
func refusePaused(have provision.Deployed, g *globals) error {
	if have.Paused.IsZero() {
		return nil
	}
	return hint.With(fmt.Errorf("stack %s is paused since %s", g.stack, have.Paused.UTC().Format(minute)), "%s starts it; then run the same command again", hint.Command("resume"))
}

// underLock runs a change of the stack under its lock. Guard is asked before each change.
func (o *stackAccess) underLock(ctx context.Context, s streams, g *globals, doing string, do func(guard func(context.Context) error) error) error {
	spec := provision.Spec{Stack: g.stack, Settings: provision.Settings{Tags: o.have.Tags}} // for the lock
	run := changing(s, o.target, spec, doing)
	run.Recheck = func(ctx context.Context) (err error) {
		if o.have, err = o.deployed(ctx, g); err != nil {
			return err
		}
		if o.needs.notPaused {
			return refusePaused(o.have, g)
		}
		return nil
	}
	return run.Hold(ctx, func(lock *runlock.Lock) error { return do(lock.Guard) })
}
