package cli

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"strings"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/runlock"
	"github.com/bookctl/bookctl/internal/runlock/parameterstore"
)

// changing is a run that changes a stack while it holds the lock.
func changing(s streams, t *target, spec provision.Spec, doing string) provision.Run {
	spec.Version = version()
	pace := 1.0
	if t.config.BaseEndpoint != nil {
		pace = emulatorPace
	}
	return provision.Run{
		Pace:    pace,
		Clients: t.clients, Spec: spec, Holder: holder(doing), Lock: runlock.Options{VisibilityDelay: runlock.AWSVisibilityDelay}, View: t.lock,
		Unlocked: func(err error) {
			fmt.Fprintf(s.err, "bookctl: %v\nnext: nothing; the lock ends by itself in some minutes\n", err)
		},
	}
}

// changedError is the error of a run that finds another state of the stack under the lock than
// it was decided by. It has changed nothing.
type changedError struct{ error }

// unchanged returns the check that the stack is still as it was read.
func (t *target) unchanged(stack string, have provision.Deployed) func(context.Context) error {
	return func(ctx context.Context) error {
		changed, err := have.Changes(ctx, t.clients)
		if err != nil || changed == nil {
			return err
		}
		return changedMeanwhile(stack, changed)
	}
}

// changedMeanwhile is a changedError that names what has changed.
func changedMeanwhile(stack string, what []string) error {
	return hint.With(changedError{fmt.Errorf("stack %s was changed meanwhile: %s", stack, strings.Join(what, ", "))},
		"nothing was touched: run the same command again, which starts from what is there now")
}

// emulatorPace is how long an emulator takes for what takes AWS minutes, as a share.
const emulatorPace = 0.01

// lookAtLock reads the lock of the stack, before anything else of it. What can't be read is
// reported by the run's own claim.
func (t *target) lookAtLock(ctx context.Context, g *globals) {
	if view, err := runlock.Look(ctx, parameterstore.New(t.clients.SSM, g.stack, ""), g.stack); err == nil {
		t.lock = view
	}
}

// refuseLocked fails if another run held the lock of the stack when it was read.
func (t *target) refuseLocked() error {
	if t.lock == nil {
		return nil
	}
	if holder := t.lock.Holder(); holder != nil {
		return holder
	}
	return nil
}

// holder is what another run learns of this one.
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
