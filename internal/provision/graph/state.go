package graph

import (
	"fmt"
	"strings"

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
	// Hint, where Blocked is set, says how to have it anyway.
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
	// was not chosen. When it is there anyway, Drift says so, and Update
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
