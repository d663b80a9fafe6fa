package graph

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/bookctl/bookctl/internal/hint"
)

// Kind describes what an Event reports.
type Kind string

const (
	// Creating is sent before a create call.
	Creating Kind = "creating"
	// Updating is sent before an update call; Event.Changes says what differs.
	Updating Kind = "updating"
	// Deleting is sent before a delete call.
	Deleting Kind = "deleting"
	// Waiting is sent whenever what a waiting step sees changes.
	Waiting Kind = "waiting"
	// Done is sent when the step is over and had something to do.
	Done Kind = "done"
	// Unchanged is sent when the step is over and had nothing to do.
	Unchanged Kind = "unchanged"
	// Failed is sent when the step failed; Event.Err says how.
	Failed Kind = "failed"
	// Skipped is sent when something that the step needs failed, which Event.Note
	// names, or, without a note, when the run was stopped before the step began.
	Skipped Kind = "skipped"
	// Stopped is sent when the run was stopped, or an OnceCreated need failed,
	// while the step waited: what it asked for goes on without it. It did not fail.
	Stopped Kind = "stopped"
)

// Event is one thing that happened to one resource.
type Event struct {
	Time time.Time
	Node string
	Kind Kind
	ID   string
	Note string
	// Progress reports whether the note says how far a call has come, so that the next one
	// follows soon.
	Progress bool
	Changes  []Change
	// Elapsed is the time since the step started.
	Elapsed time.Duration
	Err     error
}

// Action is what a run did to one resource.
type Action string

// The actions of a Step.
const (
	None      Action = "unchanged"
	Created   Action = "created"
	Updated   Action = "updated"
	Deleted   Action = "deleted"
	Unmanaged Action = "unmanaged"
)

// Step is the record of one resource in a run: where the time went.
type Step struct {
	Name    string
	Needs   []string
	Action  Action
	ID      string
	Changes []Change
	Start   time.Time
	// Created is when the id was known, which is what an OnceCreated need waits for.
	Created time.Time
	End     time.Time
	// Joined names the last OnceCreated need for whose end the step was still waiting.
	Joined string
	Err    error
	// Skipped names the need that failed or was stopped, when the step was never
	// started or could not go on without it.
	Skipped string
}

// Report is the record of a run, in the order in which resources were given.
type Report struct {
	Steps []Step
}

// Count returns how many steps ended with the action.
func (r Report) Count(a Action) int {
	n := 0
	for _, s := range r.Steps {
		if s.Err == nil && s.Skipped == "" && s.Action == a {
			n++
		}
	}
	return n
}

// Followed is the report of this run and of one right after it: what a step did
// is what it did last, unless that was nothing.
func (r Report) Followed(by Report) Report {
	out := Report{Steps: slices.Clone(r.Steps)}
	for _, s := range by.Steps {
		i := slices.IndexFunc(out.Steps, func(t Step) bool { return t.Name == s.Name })
		switch {
		case i < 0:
			out.Steps = append(out.Steps, s)
		case s.Action != None || s.Err != nil || s.Skipped != "":
			out.Steps[i] = s
		}
	}
	return out
}

// CriticalPath walks back from the step that ended last through the need that
// each step waited for longest, and returns the names from first to last.
func (r Report) CriticalPath() []string {
	by := map[string]Step{}
	var last Step
	for _, s := range r.Steps {
		by[s.Name] = s
		if s.End.After(last.End) {
			last = s
		}
	}
	var path []string
	for last.Name != "" {
		path = append([]string{last.Name}, path...)
		var prev Step
		if last.Joined != "" {
			last = by[last.Joined]
			continue
		}
		for _, n := range last.Needs {
			// A need that ended after this one started was only needed made.
			if s := by[n]; released(s, last).After(released(prev, last)) {
				prev = s
			}
		}
		last = prev
	}
	return path
}

func released(s, by Step) time.Time {
	if s.End.After(by.Start) {
		return s.Created
	}
	return s.End
}

// Error is a failure of one resource.
type Error struct {
	Node string
	// Op is "find", "create", "update", "delete", "wait", "blocked" or "own", or
	// "fault" for a Panic.
	Op  string
	ID  string
	Err error
	// Last is the last state seen.
	Last State
}

func (e *Error) Error() string {
	s := e.Node
	if e.ID != "" && e.ID != e.Node {
		s += " (" + e.ID + ")"
	}
	return s + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// ErrTimeout is wrapped by the error of a step that exceeded its timeout.
var ErrTimeout = errors.New("timed out")

// ErrUnmanaged is wrapped by the error of a step that met an unmanaged resource.
var ErrUnmanaged = errors.New("exists and is not managed by this stack")

// ErrBlocked is wrapped by the error of a step whose drift can't be repaired in
// place.
var ErrBlocked = errors.New("can't be changed in place")

// ErrUnrecoverable is wrapped by the error of a step whose resource reports that it
// will not become ready.
var ErrUnrecoverable = errors.New("failed")

// Panic is the error of a step that met a fault of this program.
type Panic struct {
	Value any
	Stack []byte
}

func (p *Panic) Error() string { return fmt.Sprintf("a fault of bookctl itself: %v", p.Value) }

// Failures returns the resource errors joined in err, sorted by name.
func Failures(err error) []*Error {
	var out []*Error
	var walk func(error)
	walk = func(err error) {
		if err == nil {
			return
		}
		if e, ok := err.(*Error); ok { //nolint:errorlint // the tree is walked by hand
			out = append(out, e)
			return
		}
		switch u := err.(type) { //nolint:errorlint // likewise
		case interface{ Unwrap() []error }:
			for _, e := range u.Unwrap() {
				walk(e)
			}
		case interface{ Unwrap() error }:
			walk(u.Unwrap())
		}
	}
	walk(err)
	sort.Slice(out, func(i, j int) bool { return out[i].Node < out[j].Node })
	return out
}

func blocked(changes []Change) error {
	if parts := Blocked(changes); parts != nil {
		return hint.Errorf("%w: %s", ErrBlocked, hint.Join("; ", parts...))
	}
	return nil
}

// Blocked are those of the changes that can't be made in place, each with the
// reason; nil when there are none.
func Blocked(changes []Change) []hint.Message {
	var parts []hint.Message
	for _, c := range changes {
		if c.Blocked != "" {
			parts = append(parts, hint.New("%s (%s)", c, c.Reason()))
		}
	}
	return parts
}
