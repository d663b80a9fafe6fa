package graph

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Finding is what Observe saw of one resource.
type Finding struct {
	Name string
	State
	Err error
}

// Observe finds every resource, in the order of need and otherwise side by
// side. It changes nothing: it could not. Where a run has changed one of them before, what
// was read before that is not used again; see Observing.
func Observe[F Finder](ctx context.Context, resources []F, o Options) []Finding {
	out := make([]Finding, len(resources))
	index := make(map[*node]int, len(resources))
	done := make([]chan struct{}, len(resources))
	for i, r := range resources {
		index[r.node()], done[i] = i, make(chan struct{})
	}
	if !slices.ContainsFunc(resources, func(f F) bool { return f.node().changed.Load() }) {
		ctx = WhileObserving(ctx)
	}
	var wg sync.WaitGroup
	for i, r := range resources {
		wg.Go(func() {
			defer close(done[i])
			n := r.node()
			out[i].Name = n.name
			for _, d := range n.needs {
				if j, ok := index[d.on]; ok {
					<-done[j]
				}
			}
			var st State
			err := Guarded(func() (err error) {
				st, err = findRetrying(ctx, r, o)
				return err
			})
			n.setID(st.ID)
			out[i].State, out[i].Err = st, err
		})
	}
	wg.Wait()
	return out
}

type observingKey struct{}

// WhileObserving marks what is read as part of an observation, as Observe does: nothing
// is changed meanwhile, so that what several need is read once.
func WhileObserving(ctx context.Context) context.Context {
	return context.WithValue(ctx, observingKey{}, true)
}

// Observing reports whether a Find is part of an observation. Other Finds look at what
// the run has changed, or waits for.
func Observing(ctx context.Context) bool { return ctx.Value(observingKey{}) != nil }

// findRetrying retries a Find whose error is temporary a few times. After one
// that took long it does not: then the SDK has tried often, or waited long.
func findRetrying(ctx context.Context, r Finder, o Options) (State, error) {
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		begun := time.Now()
		st, err := r.Find(ctx)
		if err == nil || pause > 3*time.Second || time.Since(begun) > maxPause {
			return st, err
		}
		if _, ok := o.temporary(err); !ok {
			return st, err
		}
		if Sleep(ctx, pause) != nil {
			return st, err
		}
	}
}

// observeRemovers observes the Removers, and nothing else.
func observeRemovers[F Finder](ctx context.Context, resources []F, o Options) []Finding {
	out := make([]Finding, len(resources))
	var (
		removers []F
		at       []int
	)
	for i, f := range resources {
		out[i].Name = f.node().name
		if _, ok := any(f).(Remover); ok {
			removers, at = append(removers, f), append(at, i)
		}
	}
	for i, f := range Observe(ctx, removers, o) {
		out[at[i]] = f
	}
	return out
}

// unread returns the errors of the Removers that Observe could not read.
func unread[F Finder](resources []F, found []Finding) error {
	var errs []error
	for i, f := range found {
		if _, ok := any(resources[i]).(Remover); ok && f.Err != nil {
			errs = append(errs, &Error{Node: f.Name, Op: "find", ID: f.ID, Err: f.Err, Last: f.State})
		}
	}
	return errors.Join(errs...)
}
