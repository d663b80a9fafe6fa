package graph

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/sorted"
)

// Attributes is a resource's table of attributes: how a live resource of the type L, a pointer,
// is compared with the wanted one, and how a difference is changed. Calls are sent in the order
// of the table.
type Attributes[L any] []Attribute[L]

// Attribute is a row of the table: one field, or all fields with the same prefix. Every row has
// a Remedy: the functions that create a row take one.
type Attribute[L any] struct {
	name   string
	many   bool // the name is what the fields begin with
	differ func(live, want L) []Change
	remedy Remedy
	when   func(live, want L) bool
	retain func(live, want L) string
	fixed  func(live, want L) Remedy
	down   func(live L, c Change) string
	alone  bool
}

// Remedy is what is done about an attribute that differs: a call sets it, or it can't be set in
// place, with the reason. The zero value is no remedy.
type Remedy struct {
	call    *call
	put     func(input any, c Change)
	blocked string
	hint    hint.Message
}

// call sets all attributes whose remedies share it.
type call struct {
	input func() any // what they put their parts into; nil for nothing
	send  func(ctx context.Context, input any, changes []Change) error
}

// SetBy returns the remedy of attributes that one call sets. The call gets the changes to make.
func SetBy(send func(context.Context, []Change) error) Remedy {
	return Remedy{call: &call{send: func(ctx context.Context, _ any, changes []Change) error { return send(ctx, changes) }}}
}

// Fixed returns the remedy of an attribute that can't be set in place, with the reason. The run
// then changes nothing.
func Fixed(why string) Remedy { return Remedy{blocked: why} }

// Hint says what to do to have the attribute anyway.
func (r Remedy) Hint(m hint.Message) Remedy {
	r.hint = m
	return r
}

// none reports whether the remedy is the zero value.
func (r Remedy) none() bool { return r.call == nil && r.blocked == "" }

// Request is one call that sets several attributes. Each attribute that differs puts its part
// into the input.
type Request[I any] struct{ call *call }

// Requesting creates a Request. Begin returns a pointer to the input without the attributes.
func Requesting[I any](begin func() I, send func(context.Context, I, []Change) error) Request[I] {
	return Request[I]{&call{
		input: func() any { return begin() },
		send:  func(ctx context.Context, input any, changes []Change) error { return send(ctx, input.(I), changes) },
	}}
}

// Put returns the remedy of an attribute that puts its part into the input.
func (r Request[I]) Put(put func(I)) Remedy {
	return r.PutWanted(func(input I, _ Change) { put(input) })
}

// PutWanted is like Put, for an attribute whose part depends on the change.
func (r Request[I]) PutWanted(put func(I, Change)) Remedy {
	return Remedy{call: r.call, put: func(input any, c Change) { put(input.(I), c) }}
}

// Field compares one field as text.
// It is not inlined, or each row would have a copy of what it returns.
//
//go:noinline
func Field[L any](name string, of func(L) string, r Remedy) Attribute[L] {
	return Attribute[L]{name: name, remedy: r, differ: func(live, want L) []Change {
		if have, want := of(live), of(want); have != want {
			return []Change{{Have: have, Want: want}}
		}
		return nil
	}}
}

// Compared compares one field with its own function, which returns both values as text, and
// whether they differ.
func Compared[L any](name string, compare func(live, want L) (have, wanted string, differ bool), r Remedy) Attribute[L] {
	return Attribute[L]{name: name, remedy: r, differ: func(live, want L) []Change {
		if have, wanted, differ := compare(live, want); differ {
			return []Change{{Have: have, Want: wanted}}
		}
		return nil
	}}
}

// Flag compares one field that is on or off.
func Flag[L any](name string, of func(L) bool, r Remedy) Attribute[L] {
	return Field(name, func(l L) string { return strconv.FormatBool(of(l)) }, r)
}

// Many compares a group of fields whose names share a prefix. Differ returns the changes, each
// with the rest of the name as its field.
func Many[L any](prefix string, differ func(live, want L) []Change, r Remedy) Attribute[L] {
	return Attribute[L]{name: prefix, many: true, differ: differ, remedy: r}
}

// Same treats two values as equal if same returns true.
func (a Attribute[L]) Same(same func(have, want string) bool) Attribute[L] {
	differ := a.differ
	a.differ = func(live, want L) []Change {
		return slices.DeleteFunc(differ(live, want), func(c Change) bool { return same(c.Have, c.Want) })
	}
	return a
}

// Shown replaces the wanted value in messages.
func (a Attribute[L]) Shown(want string) Attribute[L] {
	differ := a.differ
	a.differ = func(live, wanted L) []Change {
		out := differ(live, wanted)
		for i := range out {
			out[i].Want = want
		}
		return out
	}
	return a
}

// When skips the comparison unless when returns true, for fields that an endpoint may not
// report.
func (a Attribute[L]) When(when func(live, want L) bool) Attribute[L] {
	a.when = when
	return a
}

// Retain leaves a differing field unchanged if why returns a reason; the field is then in
// State.Retained.
func (a Attribute[L]) Retain(why func(live, want L) string) Attribute[L] {
	a.retain = why
	return a
}

// FixedIf makes the attribute Fixed in the cases for which why returns a Fixed. Otherwise why
// returns the zero Remedy.
func (a Attribute[L]) FixedIf(why func(live, want L) Remedy) Attribute[L] {
	a.fixed = why
	return a
}

// Alone compares only if no earlier row of the table differs.
func (a Attribute[L]) Alone() Attribute[L] {
	a.alone = true
	return a
}

// Down sets Change.Downtime.
func (a Attribute[L]) Down(down func(live L, c Change) string) Attribute[L] {
	a.down = down
	return a
}

// has reports whether a field belongs to the attribute.
func (a Attribute[L]) has(field string) bool {
	if a.many {
		return strings.HasPrefix(field, a.name)
	}
	return field == a.name
}

// Compare returns how the live resource differs from the wanted one, sorted by field, and which
// of the differences stay unchanged. It depends on nothing but its arguments.
func (a Attributes[L]) Compare(live, want L) (drift, retained []Change) {
	for _, row := range a {
		if row.alone && len(drift) > 0 || row.when != nil && !row.when(live, want) {
			continue
		}
		for _, c := range row.differ(live, want) {
			c.Field = row.name + c.Field
			if row.retain != nil {
				if c.Blocked = row.retain(live, want); c.Blocked != "" {
					retained = append(retained, c)
					continue
				}
			}
			r := row.remedy
			if row.fixed != nil {
				if fixed := row.fixed(live, want); !fixed.none() {
					r = fixed
				}
			}
			c.Blocked, c.Hint = r.blocked, r.hint
			if row.down != nil && c.Blocked == "" {
				c.Downtime = row.down(live, c)
			}
			drift = append(drift, c)
		}
	}
	sorted.By(drift, func(x, y Change) int { return strings.Compare(x.Field, y.Field) })
	return drift, retained
}

// Set sends the calls that set the changed fields, each call once, in the order of the table.
func (a Attributes[L]) Set(ctx context.Context, changes []Change) error {
	type sending struct {
		*call
		input   any
		changes []Change
	}
	var calls []*sending
	known := 0
	for _, row := range a {
		for _, c := range changes {
			if !row.has(c.Field) {
				continue
			}
			known++
			if row.remedy.call == nil {
				return fmt.Errorf("%w: %s: %s", ErrBlocked, c.Field, row.remedy.blocked)
			}
			at := slices.IndexFunc(calls, func(s *sending) bool { return s.call == row.remedy.call })
			if at < 0 {
				s := &sending{call: row.remedy.call}
				if s.call.input != nil {
					s.input = s.call.input()
				}
				calls, at = append(calls, s), len(calls)
			}
			calls[at].changes = append(calls[at].changes, c)
			if row.remedy.put != nil {
				row.remedy.put(calls[at].input, c)
			}
		}
	}
	if known < len(changes) {
		return fmt.Errorf("%w: one of %s is no attribute", ErrBlocked, Fields(changes))
	}
	for _, s := range calls {
		if err := s.send(ctx, s.input, s.changes); err != nil {
			return err
		}
	}
	return nil
}

// Check returns what is wrong with the table: a row without a remedy, or a field that belongs
// to two rows.
func (a Attributes[L]) Check() error {
	var errs []error
	for i, row := range a {
		if row.remedy.none() {
			errs = append(errs, fmt.Errorf("attribute %q has neither a call that sets it nor a reason why it can't be set", row.name))
		}
		for _, other := range a[:i] {
			if row.has(other.name) || other.has(row.name) {
				errs = append(errs, fmt.Errorf("attribute %q is there twice", row.name))
			}
		}
	}
	return errors.Join(errs...)
}
