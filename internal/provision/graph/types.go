package graph

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bookctl/bookctl/internal/hint"
)

// Phase is what a resource is doing, reduced to what the engine must know.
type Phase string

const (
	// Absent means that there is no such resource (or that it can't be seen yet).
	Absent Phase = "absent"
	// Pending means that it exists and is on its way to Ready by itself.
	Pending Phase = "pending"
	// Ready means that what depends on it can be started.
	Ready Phase = "ready"
	// Terminating means that it is being deleted; it will become Absent by itself.
	Terminating Phase = "deleting"
	// Unrecoverable means that it will not become Ready by itself; State.Note says why.
	Unrecoverable Phase = "failed"
)

// Change is one field in which the live resource differs from the wanted one.
type Change struct {
	Field string `json:"field"`
	Have  string `json:"have"`
	Want  string `json:"want"`
	// Blocked, when set, says why the field can't be changed in place. The
	// engine then touches nothing and reports the field.
	Blocked string `json:"blocked,omitempty" doc:"Why the field can't be changed in place."`
	// Hint, where Blocked is set, says how to have it all the same.
	Hint hint.Message `json:"-"`
	// Downtime, when set, says what does not serve while the field is changed,
	// and for how long.
	Downtime string `json:"downtime,omitempty" doc:"What does not serve while the field is changed, and for how long."`
}

// change is what a Change says of its field. Changes that say the same are one.
type change struct{ field, have, want, blocked, downtime string }

func (c Change) key() change { return change{c.Field, c.Have, c.Want, c.Blocked, c.Downtime} }

// Reason is why the field can't be changed in place, with the hint.
func (c Change) Reason() hint.Message {
	if c.Hint.Empty() {
		return hint.New("%s", c.Blocked)
	}
	return hint.New("%s: %s", c.Blocked, c.Hint)
}

// String renders the change as "field: have → want"; a field that ends with its
// only value, as that of a rule in a set does, says all by itself.
func (c Change) String() string {
	if strings.HasSuffix(c.Field, ": "+c.Have+c.Want) && c.Have+c.Want != "" {
		return c.Field
	}
	return fmt.Sprintf("%s: %s → %s", c.Field, blank(c.Have), blank(c.Want))
}

func blank(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// Fields joins the names of the changed fields, for messages.
func Fields(changes []Change) string {
	names := make([]string, len(changes))
	for i, c := range changes {
		names[i] = c.Field
	}
	return strings.Join(names, ", ")
}

// State is everything that one Find saw.
type State struct {
	Phase Phase
	// ID is the AWS id, name or ARN by which dependants refer to the resource.
	ID string
	// Owner is the value of the ownership tag. A resource whose owner is not
	// Options.Owner is another owner's: it is never changed or deleted.
	Owner string
	// Drift is live against desired; empty means that there is nothing to do.
	Drift []Change
	// Retained are the fields in which it differs and is left as it is: what was set by
	// hand protects more than what was asked for, or AWS does not take the change
	// yet. Blocked says why, and what to do about it.
	Retained []Change
	// Unwanted reports whether Absent is as it should be: the resource is an option that
	// was not chosen. When it is there all the same, Drift says so, and Update
	// takes it away.
	Unwanted bool
	// Note is the cloud's own words, for progress lines and timeouts:
	// "backing-up", "1/2 running".
	Note string
	// Next is what to do about one that is Unrecoverable, another owner's, has drift that is
	// blocked, or does not become Ready in time; empty where nothing better is known than what
	// goes for all.
	Next hint.Message
}

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

// Node is a resource's place in the graph. Every resource embeds one.
type Node struct{ n *node }

func (n Node) node() *node { return n.n }

// ID is the id that the engine last saw or made, or "" when there is none.
func (n Node) ID() string { return n.n.getID() }

// Name is the name of the resource in the stack, for example "subnet-public-a".
func (n Node) Name() string { return n.n.name }

type node struct {
	name    string
	timeout time.Duration
	needs   []need
	id      atomic.Pointer[string]
	changed atomic.Bool // by a call of a run
}

func (n *node) getID() string {
	if p := n.id.Load(); p != nil {
		return *p
	}
	return ""
}

func (n *node) setID(id string) { n.id.Store(&id) }

// need is an edge: on is satisfied when it is Ready, or, where it is weak, as soon as
// it has an id.
type need struct {
	on   *node
	weak bool
}

// Named creates the Node that a resource embeds. The timeout bounds how long one
// step (until Ready, or until Absent) may take; needs are what must be Ready
// before this one starts, or have merely been created when wrapped in OnceCreated.
func Named(name string, timeout time.Duration, needs ...Finder) Node {
	n := &node{name: name, timeout: timeout}
	for _, f := range needs {
		_, weak := f.(onceCreated)
		n.needs = append(n.needs, need{on: f.node(), weak: weak})
	}
	return Node{n}
}

// First has none of the others start before the first one has been created.
func First(first Finder, others ...Maker) {
	for _, o := range others {
		if n := o.node(); len(n.needs) == 0 {
			n.needs = append(n.needs, need{on: first.node(), weak: true})
		}
	}
}

type onceCreated struct{ Finder }

// OnceCreated weakens a need: the dependant starts as soon as f has an id, while f is
// still on its way to Ready. A listener, for one, needs the load balancer's
// ARN and not its active state. When f fails after that, so does the dependant;
// its timeout counts from when f is Ready.
func OnceCreated(f Finder) Finder { return onceCreated{f} }

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

// HeldError is wrapped by the error of a Delete that sent nothing, since something is
// known to hold the resource. It passes by itself, and the resource need not be read again.
type HeldError struct {
	// By is what holds it, in words for people.
	By string
}

// Error implements error.
func (e *HeldError) Error() string { return "still in use by " + e.By }

// Describe returns a resource's name and the names of what it needs, for
// drawing the graph.
func Describe(f Finder) (name string, needs []string) {
	n := f.node()
	for _, d := range n.needs {
		needs = append(needs, d.on.name)
	}
	return n.name, needs
}
