package graph

import (
	"fmt"
	"time"

	"github.com/bookctl/bookctl/internal/hint"
)

// act is what a step does next.
type act string

const (
	// finish ends the step: all is as it should be.
	finish act = "finish"
	// leave ends the step: the resource is not this stack's.
	leave act = "leave"
	// pause waits for a moment, and then the step reads again.
	pause act = "pause"
	// create, update and remove send a call, and then the step reads again.
	create act = "create"
	update act = "update"
	remove act = "remove"
	// fail ends the step with an error.
	fail act = "fail"
)

// decision is what a step does next, given what it read and what it remembers.
type decision struct {
	act  act
	note string // of a pause: what is waited for
	op   string // of a fail: what failed, as in Error.Op
	err  error  // of a fail
}

// upMemory is what a step of Up remembers.
type upMemory struct {
	// updatable reports whether the resource is an Updater.
	updatable bool
	// created reports whether this run created it.
	created bool
	// maybeCreated is why it may exist although it is not visible; "" for no reason to
	// think so.
	maybeCreated string
	// updates are the changes that the service accepted.
	updates accepted
	// sinceCall is how long ago the last call was sent, or the step began, and
	// sinceUpdate how long ago the first update was.
	sinceCall, sinceUpdate time.Duration
}

// nextUp decides what a step of Up does about a state. It depends on nothing but
// its arguments and the options Owner and VisibilityDelay.
func (o Options) nextUp(st State, m upMemory) decision {
	if o.unmanaged(st) && st.Phase != Terminating {
		return decision{act: fail, op: "own", err: hint.Add(ErrUnmanaged, st.Next)}
	}
	switch st.Phase {
	case Absent:
		switch {
		case st.Unwanted:
			return decision{act: finish}
		case m.created && m.sinceCall > totalResendDelay(o.VisibilityDelay):
			return decision{act: fail, op: "wait", err: neverSeen(m.sinceCall)}
		case m.created:
			return decision{act: pause, note: "not visible yet"}
		case m.maybeCreated != "" && m.sinceCall <= o.VisibilityDelay:
			return decision{act: pause, note: m.maybeCreated}
		}
		return decision{act: create}
	case Unrecoverable:
		return decision{act: fail, op: "wait", err: hint.Add(fmt.Errorf("%w: %s", ErrUnrecoverable, st.Note), st.Next)}
	case Ready:
		if len(st.Drift) == 0 {
			return decision{act: finish}
		}
		if err := blocked(st.Drift); err != nil {
			return decision{act: fail, op: "blocked", err: hint.Add(err, st.Next)}
		}
		if !m.updatable {
			return decision{act: fail, op: "blocked", err: fmt.Errorf("%w: %s", ErrBlocked, Fields(st.Drift))}
		}
		switch send, ineffective := m.updates.next(st.Drift, m.sinceCall, o.VisibilityDelay); {
		case ineffective != nil:
			return decision{act: fail, op: "update", err: notShown(ineffective, m.sinceUpdate)}
		case !send:
			return decision{act: pause, note: "waiting for " + Fields(st.Drift)}
		}
		return decision{act: update}
	}
	// One that is Pending becomes ready by itself, and one that is Terminating is waited
	// for and then created again.
	return decision{act: pause, note: st.Note}
}

// removeMemory is what a step of Destroy remembers of the resource that it read.
type removeMemory struct {
	// tries is how often the service accepted its deletion.
	tries int
	// sinceCall is how long ago the last call was sent, or the step began, and
	// sinceDelete how long ago the resource was first seen.
	sinceCall, sinceDelete time.Duration
}

// nextRemove decides what a step of Destroy does about a state. It depends on
// nothing but its arguments and the options Owner and VisibilityDelay.
func (o Options) nextRemove(st State, m removeMemory) decision {
	switch {
	case st.Phase == Absent:
		return decision{act: finish}
	case o.unmanaged(st):
		return decision{act: leave}
	case st.Phase == Terminating, m.tries > 0 && m.sinceCall <= resendDelay(m.tries, o.VisibilityDelay):
		return decision{act: pause, note: st.Note}
	case m.tries == maxTries:
		return decision{act: fail, op: "delete", err: notGone(m.sinceDelete)}
	}
	return decision{act: remove}
}
