package graph

import (
	"context"
	"fmt"
	"time"
)

// Destroy removes every Remover among the resources, each when everything that
// needs it is gone. Other resources are passed over: they go with a parent, or
// are not ours to delete. An unmanaged resource is left and reported as Unmanaged.
// It looks at everything first: if one of the Removers can't be read, nothing at
// all is touched, since what is found through its id would seem to be gone.
func Destroy[F Finder](ctx context.Context, resources []F, o Options) (Report, error) {
	// Children are found through their parents' ids, so look before deleting.
	found := observeRemovers(ctx, resources, o)
	r := newRun(o)
	if err := unread(resources, found); err != nil && ctx.Err() == nil {
		return unbegun(found), err
	}
	for i, f := range resources {
		r.add(f, func(ctx context.Context, s *step) error {
			if s.remover == nil {
				return nil
			}
			return r.remove(ctx, s, found[i].State)
		})
	}
	return r.walk(ctx, true)
}

// removeLate removes those of the steps that were not there before and are now:
// what a run made that was cut off just before this one may be seen late, and
// holds what it needs.
func (r *run) removeLate(ctx context.Context, steps []*step) error {
	for _, s := range steps {
		if err := r.removeIfLate(ctx, s); err != nil {
			return fmt.Errorf("%s, which needs it: %w", s.Name, err)
		}
	}
	return nil
}

func (r *run) removeIfLate(ctx context.Context, s *step) error {
	if s.remover == nil || !s.lateRemoval.TryLock() {
		return nil // or somebody else is at it
	}
	defer s.lateRemoval.Unlock()
	if s.Action != None {
		return nil
	}
	if err := r.remove(ctx, s, State{Phase: Pending}); err != nil || s.Action != Deleted {
		return err
	}
	s.End = time.Now()
	r.event(s, Event{Kind: Done})
	return nil
}
