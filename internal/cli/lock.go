package cli

import (
	"context"
	"fmt"
	"os"
	"os/user"

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

// emulatorPace is how long an emulator takes for what takes AWS minutes, as a share.
const emulatorPace = 0.01

// refuseLocked fails if another run holds the lock of the stack, before this one builds or
// asks for anything. It only reads: the run's own claim decides, and reports what can't be
// read.
func refuseLocked(ctx context.Context, t *target, g *globals) error {
	view, err := runlock.Look(ctx, parameterstore.New(t.clients.SSM, g.stack, ""), g.stack)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	if holder := view.Holder(); holder != nil {
		return holder
	}
	t.lock = view
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
