package graph

import (
	"context"
	"sync/atomic"
	"time"
)

// Shape is what a resource says of itself whose live self is an L: how that is read,
// how it should be, and by which attributes the two are compared. Its NodeOf does the
// rest: it makes a Finder and an Updater of it, and keeps what was read. L is a pointer:
// all pointers share one copy of the code, of which each struct would have its own, and
// each pointer too if L had to be comparable.
type Shape[L any] interface {
	// Read reads the live self, and its State without Drift. It makes no change, and
	// it returns Absent rather than an error when a parent that it is found through is
	// absent. What is nil, Absent or Terminating is not compared.
	Read(context.Context) (L, State, error)
	// Wanted is how the live self should be.
	Wanted(live L) L
	// Attributes are by what the two are compared.
	Attributes() Attributes[L]
}

// PhaseAdjuster is a Shape whose phase depends on its drift as well.
type PhaseAdjuster[L any] interface {
	// AdjustPhase returns the State with the phase that follows from its drift.
	AdjustPhase(live L, st State) State
}

// NodeOf is the Node of a resource with a Shape. The resource embeds it.
type NodeOf[L any] struct {
	Node
	shape  Shape[L]
	last   *atomic.Pointer[L]
	answer *atomic.Pointer[State]
}

// Of creates the NodeOf that a resource embeds, of the resource itself. The rest is as
// with Named.
func Of[L any](s Shape[L], name string, timeout time.Duration, needs ...Finder) NodeOf[L] {
	return NodeOf[L]{Node: Named(name, timeout, needs...), shape: s, last: &atomic.Pointer[L]{}, answer: &atomic.Pointer[State]{}}
}

// Last is the live self as it was last read, or nil where there was none. It is not
// to be changed.
func (n *NodeOf[L]) Last() L {
	var none L
	if n.last == nil {
		return none // outside of a graph
	}
	if last := n.last.Load(); last != nil {
		return *last
	}
	return none
}

// Learn stores what the answer to a call contains of the resource, so that others have that
// before it is read: those whose need is OnceCreated, for one.
func (n *NodeOf[L]) Learn(live L) { n.last.Store(&live) }

// Answer notes all of the resource that was just created, where the response to that call
// contains it, so that it need not be read before its drift is repaired, or at all.
func (n *NodeOf[L]) Answer(live L, st State) {
	n.last.Store(&live)
	st.Drift, st.Retained = n.shape.Attributes().Compare(live, n.shape.Wanted(live))
	n.answer.Store(&st)
}

// answered returns once what Answer noted.
func (n *NodeOf[L]) answered() (State, bool) {
	if st := n.answer.Swap(nil); st != nil {
		return *st, true
	}
	return State{}, false
}

// Find implements Finder.
func (n *NodeOf[L]) Find(ctx context.Context) (State, error) {
	live, st, err := n.shape.Read(ctx)
	if err != nil {
		return st, err
	}
	n.last.Store(&live)
	var none L
	exists := any(live) != any(none)
	if exists && st.Phase != Absent && st.Phase != Terminating {
		drift, retained := n.shape.Attributes().Compare(live, n.shape.Wanted(live))
		st.Drift, st.Retained = drift, append(st.Retained, retained...)
	}
	if j, ok := n.shape.(PhaseAdjuster[L]); ok && exists {
		st = j.AdjustPhase(live, st)
	}
	return st, nil
}

// Update implements Updater.
func (n *NodeOf[L]) Update(ctx context.Context, changes []Change) error {
	return n.shape.Attributes().Set(ctx, changes)
}

// CheckAttributes returns what is wrong with the resource's table of attributes.
func (n *NodeOf[L]) CheckAttributes() error { return n.shape.Attributes().Check() }
