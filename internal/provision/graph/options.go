package graph

import (
	"context"
	"errors"
	"time"
)

// Options are a run's dependencies. The zero value works: no owner is checked,
// nothing is transient, nothing is reported.
type Options struct {
	// Owner is the value that State.Owner must have for a resource to be ours.
	// Empty switches the check off.
	Owner string
	// Transient reports whether an error is temporary, and the reason to show meanwhile. Only
	// such errors are retried. Nil: none is.
	Transient func(error) (reason string, ok bool)
	// Propagating reports whether an error is temporary because this run has just created
	// the named resources, as a role that is not known everywhere yet, and the reason to show
	// meanwhile. Nil: none is.
	Propagating func(err error, created []string) (reason string, ok bool)
	// Propagation is how long something counts as just made. Zero means two minutes.
	Propagation time.Duration
	// Ambiguous reports whether the error leaves open whether the call was carried
	// out: no answer came, or one that is inconclusive. A create that ended so is
	// looked up for VisibilityDelay before it is sent again, so that nothing is made
	// twice; other calls can be repeated. Nil: no error is.
	Ambiguous func(error) bool
	// Exists reports whether a create was refused because such a resource is there
	// already. Where no look has shown it yet, it is looked for like one whose
	// create call ended ambiguously: then it is ours, or another owner's. Nil: no
	// error does.
	Exists func(error) bool
	// Fatal reports whether an error will meet every other step as well, as expired
	// credentials do: every wait ends at once. Nil: no error is.
	Fatal func(error) bool
	// Allow is shown what Up found before it changes anything; its error refuses the
	// run. Nil allows all.
	Allow func([]Finding) error
	// Guard is asked before every create, update and delete; its error stops
	// the step. The lock uses it. Nil allows all.
	Guard func(context.Context) error
	// Observe is called with what happens, from many goroutines but never at once.
	Observe func(Event)
	// CallTimeout bounds one create, update or delete, which goes on when the
	// run is cancelled, so that its outcome is known. Zero means two minutes. The Create of
	// an Interruptible has no such bound.
	CallTimeout time.Duration
	// VisibilityDelay is how long what was accepted may stay unseen before it is sent
	// again; after that it is sent more rarely, and after three times not at
	// all. Zero means 15 seconds.
	VisibilityDelay time.Duration
	// AfterCutOff reports whether a run was cut off just before this one. What that made last
	// may show only now: each resource that was not there is looked at once more before it
	// is made, and one that was there before it is deleted.
	AfterCutOff bool
	// Pace scales what an Expector and a DeletionExpector expect, for a cloud that is slower or
	// faster than the real one. It changes how often is asked, and nothing
	// else. Zero means 1.
	Pace float64
}

// withDefaults replaces zero durations by their defaults.
func (o Options) withDefaults() Options {
	if o.CallTimeout == 0 {
		o.CallTimeout = 2 * time.Minute
	}
	if o.VisibilityDelay == 0 {
		o.VisibilityDelay = 15 * time.Second
	}
	if o.Propagation == 0 {
		o.Propagation = 2 * time.Minute
	}
	return o
}

// temporary reports whether an error is transient or ambiguous, or something holds the
// resource, and the reason to show.
func (o Options) temporary(err error) (reason string, ok bool) {
	if held, ok := errors.AsType[*HeldError](err); ok {
		return held.Error(), true
	}
	if o.Transient != nil {
		if reason, ok = o.Transient(err); ok {
			return reason, true
		}
	}
	if o.ambiguous(err) {
		var said interface{ Reason() string }
		if errors.As(err, &said) {
			return said.Reason(), true
		}
		return "no answer", true
	}
	return "", false
}

func (o Options) ambiguous(err error) bool { return o.Ambiguous != nil && o.Ambiguous(err) }

func (o Options) exists(err error) bool { return o.Exists != nil && o.Exists(err) }

// poller is for a step whose resource usually takes so long; nil is for one that does
// not know.
func (o Options) poller(usual func() time.Duration, timeout time.Duration) *poller {
	p := newPoller(timeout, o.VisibilityDelay, func() time.Duration {
		if usual == nil {
			return 0
		}
		return o.paced(usual())
	})
	p.usable = o.paced(usableAfter)
	return p
}

// paced is what usually takes so long on the real cloud, on this one.
func (o Options) paced(d time.Duration) time.Duration {
	if o.Pace == 0 {
		return d
	}
	return time.Duration(float64(d) * o.Pace)
}
