// Package batch lets concurrent calls share what is costly to do for each alone,
// such as a statement and a commit of a database.
package batch

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Batcher serves the calls of concurrent requests in batches. A worker that is
// free serves a call at once; while all are busy, calls gather, and the next free
// worker takes them as one batch. So a call never waits for others to come, and
// batches grow with the load. All fields are required.
type Batcher[In, Out any] struct {
	// Serve returns one output for each input, in their order. Its error is that
	// of all of them, and nothing was done. A panic is an error.
	Serve func(context.Context, []In) ([]Out, error)
	// OneInputMayFail reports whether an error may come from a single input: each input is then
	// served by itself, so that a bad one fails alone.
	OneInputMayFail func(error) bool
	// Workers is how many batches are served at once, and MaxBatch the most calls
	// in one.
	Workers, MaxBatch int
	// MaxWaiting is how many calls may wait, and MaxWait for how long: a call that
	// waited for longer is refused, since its client may have given up too.
	MaxWaiting int
	MaxWait    time.Duration
	// Overloaded is the error of a call that is refused.
	Overloaded error

	mu      sync.Mutex
	waiting []*call[In, Out]
	working int // workers that run
}

type call[In, Out any] struct {
	ctx      context.Context
	in       In
	queuedAt time.Time
	out      Out
	err      error
	done     chan struct{} // closed when out or err is set
}

// Do has in served. It does not return before, even if ctx ends.
func (b *Batcher[In, Out]) Do(ctx context.Context, in In) (Out, error) {
	c := &call[In, Out]{ctx: ctx, in: in, queuedAt: time.Now(), done: make(chan struct{})}
	b.mu.Lock()
	if len(b.waiting) >= b.MaxWaiting {
		b.mu.Unlock()
		return c.out, b.Overloaded
	}
	b.waiting = append(b.waiting, c)
	if b.working < b.Workers {
		b.working++
		go b.work()
	}
	b.mu.Unlock()
	<-c.done
	return c.out, c.err
}

// work serves batches until no call waits.
func (b *Batcher[In, Out]) work() {
	for {
		runtime.Gosched() // lets in the calls of requests that have been read
		b.mu.Lock()
		n := min(len(b.waiting), b.MaxBatch)
		if n == 0 {
			b.working--
			b.mu.Unlock()
			return
		}
		calls := b.waiting[:n:n]
		b.waiting = b.waiting[n:]
		b.mu.Unlock()
		if calls = b.dropExpired(calls); len(calls) > 0 {
			ctx, end := span(calls)
			b.serve(ctx, calls)
			end()
		}
	}
}

// dropExpired refuses the calls that have waited longer than MaxWait, and returns the others.
func (b *Batcher[In, Out]) dropExpired(calls []*call[In, Out]) (kept []*call[In, Out]) {
	for _, c := range calls {
		if time.Since(c.queuedAt) <= b.MaxWait {
			kept = append(kept, c)
			continue
		}
		c.err = b.Overloaded
		close(c.done)
	}
	return kept
}

// span is that of a batch: it is part of the first trace that one of the calls
// belongs to, and links the others.
func span[In, Out any](calls []*call[In, Out]) (context.Context, func()) {
	ctx := calls[0].ctx
	var links []trace.Link
	for _, c := range calls {
		if s := trace.SpanFromContext(c.ctx); s.IsRecording() {
			ctx = c.ctx
			links = append(links, trace.Link{SpanContext: s.SpanContext()})
		}
	}
	if links == nil {
		return ctx, func() {}
	}
	ctx, s := trace.SpanFromContext(ctx).TracerProvider().Tracer("batch").Start(ctx, "batch", trace.WithLinks(links...))
	return ctx, func() { s.End() }
}

// serve ends the calls.
func (b *Batcher[In, Out]) serve(ctx context.Context, calls []*call[In, Out]) {
	in := make([]In, len(calls))
	for i, c := range calls {
		in[i] = c.in
	}
	out, err := b.serveRecovering(ctx, in)
	if len(calls) > 1 && err != nil && b.OneInputMayFail(err) {
		for i := range calls {
			b.serve(ctx, calls[i:i+1])
		}
		return
	}
	for i, c := range calls {
		if c.err = err; err == nil {
			c.out = out[i]
		}
		close(c.done)
	}
}

// serveRecovering calls Serve, and turns a panic into an error.
func (b *Batcher[In, Out]) serveRecovering(ctx context.Context, in []In) (out []Out, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if out, err = b.Serve(ctx, in); err == nil && len(out) != len(in) {
		err = fmt.Errorf("%d outputs for %d inputs", len(out), len(in))
	}
	return out, err
}
