package graph

import (
	"context"
	"sync/atomic"
)

type runKey struct{}

// RunOf returns the context of the run that a mutating call is part of, and nil
// outside of one. The call's own does not end with it; what a call does between
// two attempts may.
func RunOf(ctx context.Context) context.Context {
	run, _ := ctx.Value(runKey{}).(context.Context)
	return run
}

type repeatedKey struct{}

// Repeated notes that a mutating call was sent more than once, so that its last response
// may not contain all that it did. Outside of a run it does nothing.
func Repeated(ctx context.Context) {
	if repeated, ok := ctx.Value(repeatedKey{}).(*atomic.Bool); ok {
		repeated.Store(true)
	}
}

// call runs a mutating call to its end, even when the run is cancelled: a call
// cut off in flight has an outcome that nobody knows. It changes n.
func (r *run) call(ctx context.Context, n *node, f func(context.Context) error) error {
	return r.interruptible(ctx, n, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.o.CallTimeout)
		defer cancel()
		return f(ctx)
	})
}

// interruptible runs a call that ends with the run, and has no time limit. It changes n.
func (r *run) interruptible(ctx context.Context, n *node, f func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if r.o.Guard != nil {
		if err := r.o.Guard(ctx); err != nil {
			return err
		}
	}
	n.changed.Store(true)
	return f(context.WithValue(ctx, runKey{}, ctx))
}

type advanceKey struct{}

// Advance reports how far the Create of an Interruptible has come, and how that is shown. It
// may be called from any goroutine, one call after the other, until Create returns. The
// timeout of the step counts from when it came further than ever before.
func Advance(ctx context.Context, done int64, note string) {
	if advance, ok := ctx.Value(advanceKey{}).(func(int64, string)); ok {
		advance(done, note)
	}
}
