package graph

import (
	"context"
	"time"
)

// Finder is all that Observe (plan and status) can reach.
type Finder interface {
	// Find looks the resource up. It makes no change, and it returns Absent
	// rather than an error when a parent that it is found through is absent.
	Find(context.Context) (State, error)
	node() *node
}

// Maker is all that Up can reach: it has no Delete.
type Maker interface {
	Finder
	// Create makes only the bare, tagged resource. All else is drift, which
	// Update repairs, so that a run cut off anywhere is healed by the next. An
	// empty id means that the response does not contain it: the next Find does.
	Create(context.Context) (id string, err error)
}

// Updater is a Maker that can be changed in place. Without it, drift is an
// error that names the fields.
type Updater interface {
	Maker
	Update(context.Context, []Change) error
}

// Remover is a Finder that can be deleted.
type Remover interface {
	Finder
	// Delete asks for the removal; the engine then polls Find until Absent.
	Delete(context.Context) error
}

// Expector is a resource that knows how long it typically takes on the real
// cloud. Estimates and the timeline use it, and it paces the looks of a wait.
type Expector interface {
	// Expect returns the typical duration until Ready.
	Expect() time.Duration
}

// Interruptible is a Maker whose Create may take any time, as the push of an image does, and
// may be cut off at any moment, since the next one goes on from there. Its context ends
// with the run. It calls Advance.
type Interruptible interface {
	Maker
	Interruptible()
}

// Longer is a Maker that may take longer than its timeout, by what was last read of it.
type Longer interface {
	// Longer returns how much longer.
	Longer() time.Duration
}

// DeletionExpector is a Remover that knows how long its deletion typically takes, by which the
// reads of a wait are timed.
type DeletionExpector interface {
	// ExpectDeleted returns the typical duration until Absent.
	ExpectDeleted() time.Duration
}

// DeletesSynchronously is a Remover that no longer exists when the service has accepted its
// deletion, so that it need not be read again.
type DeletesSynchronously interface {
	Remover
	DeletesSynchronously()
}

// DeletesLater is a Remover that is deleted after some of what it needs, and not before.
type DeletesLater interface {
	Remover
	// DeletesAfter reports whether it is deleted after the resource that it needs.
	DeletesAfter(Finder) bool
}

// UpdatesSynchronously is an Updater some of whose changes are in force when the service has
// accepted the calls of Update, so that it need not be read again after them. Nothing may
// need what Last returns of such fields.
type UpdatesSynchronously interface {
	Updater
	// UpdatesSynchronously reports whether that holds for all of these changes.
	UpdatesSynchronously(changes []Change) bool
}

// HeldError is wrapped by the error of a Delete that deleted nothing, since something is
// known to hold the resource. It is temporary, and the resource need not be read again.
type HeldError struct {
	// By is what holds it, in words for people.
	By string
}

// Error implements error.
func (e *HeldError) Error() string { return "still in use by " + e.By }
