package graph

import (
	"context"
	"errors"
	"fmt"

	"github.com/bookctl/bookctl/internal/hint"
)

// Up makes every resource Ready and free of drift. It looks at everything
// first: if anything is another owner's, or has drift that can't be repaired in
// place, nothing at all is touched.
func Up[M Maker](ctx context.Context, resources []M, o Options) (Report, error) {
	found := Observe(ctx, resources, o)
	if o.Allow != nil {
		if err := o.Allow(found); err != nil {
			return unbegun(found), err
		}
	}
	var errs []error
	for i, f := range found {
		if err := o.acceptable(resources[i], f); err != nil {
			errs = append(errs, err)
		}
	}
	if errs != nil {
		return unbegun(found), errors.Join(errs...)
	}
	r := newRun(o)
	for i, m := range resources {
		s := r.add(m, func(ctx context.Context, s *step) error { return r.up(ctx, m, s, found[i].State) })
		s.unwanted = found[i].Phase == Absent && found[i].Unwanted
	}
	return r.walk(ctx, false)
}

// acceptable returns the reason why a found resource forbids the whole run.
func (o Options) acceptable(r Maker, f Finding) error {
	fail := func(op string, err error) error {
		return &Error{Node: f.Name, Op: op, ID: f.ID, Err: err, Last: f.State}
	}
	if f.Err != nil {
		return fail("find", f.Err)
	}
	if f.Phase == Absent || f.Phase == Terminating {
		return nil
	}
	if o.unmanaged(f.State) {
		return fail("own", hint.Add(ErrUnmanaged, f.Next))
	}
	if err := blocked(f.Drift); err != nil {
		return fail("blocked", hint.Add(err, f.Next))
	}
	if _, ok := r.(Updater); !ok && len(f.Drift) > 0 {
		return fail("blocked", fmt.Errorf("%w: %s", ErrBlocked, Fields(f.Drift)))
	}
	return nil
}

func (o Options) unmanaged(st State) bool {
	return o.Owner != "" && st.Phase != Absent && st.Owner != o.Owner
}

// unbegun reports a run that touched nothing.
func unbegun(found []Finding) Report {
	var r Report
	for _, f := range found {
		r.Steps = append(r.Steps, Step{Name: f.Name, Action: None})
	}
	return r
}
