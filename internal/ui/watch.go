package ui

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

const (
	// lookLimit is how long one look may take, and one read of the logs.
	lookLimit = 45 * time.Second
	// linePause is the time between two reads of the logs.
	linePause = time.Second
	// linesRest is how long nobody looked when the logs are read again, and not from
	// where they were left: there may be millions of lines in between.
	linesRest = 30 * time.Second
)

// watcher looks at the stack while somebody has the page open, once for all of them.
type watcher struct {
	source Source

	look, lines chan struct{} // somebody wants to see

	mu      sync.Mutex
	view    view
	parts   []section // of the view
	tail    tail
	looked  time.Time     // when the last look ended
	tried   time.Time     // when the last read of the logs ended
	read    time.Time     // when the last read of the logs ended that did not fail
	viewers int           // how many pages are open
	changed chan struct{} // closed when there is news, and then replaced
}

func newWatcher(source Source, every time.Duration) *watcher {
	w := &watcher{source: source, look: make(chan struct{}, 1), lines: make(chan struct{}, 1), changed: make(chan struct{}), view: view{every: every}}
	w.parts = w.view.sections()
	return w
}

// run works until ctx ends.
func (w *watcher) run(ctx context.Context) error {
	var both graph.Group
	both.Go(func() error { return w.attend(ctx, w.look, w.view.every, w.lookAtStack) })
	both.Go(func() error { return w.attend(ctx, w.lines, linePause, w.readLines) })
	return both.Wait()
}

// attend does something when it is asked for, and again while pages are open.
func (w *watcher) attend(ctx context.Context, asked <-chan struct{}, every time.Duration, do func(context.Context)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-asked:
		}
		for more := true; more; more = w.watched() {
			do(ctx)
			if graph.Sleep(ctx, every) != nil {
				return nil // it is to end
			}
		}
	}
}

func (w *watcher) watched() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.viewers > 0
}

// ask has both read, unless they are at it.
func (w *watcher) ask() {
	for _, c := range []chan struct{}{w.look, w.lines} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// enter counts a page that is open, until leave.
func (w *watcher) enter() (leave func()) {
	w.mu.Lock()
	w.viewers++
	w.mu.Unlock()
	w.ask()
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.viewers--
	}
}

// change changes what is known, and wakes who waits for that.
func (w *watcher) change(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *watcher) lookAtStack(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	stack, err := w.source.Look(limited)
	if ctx.Err() != nil {
		return // it is to end
	}
	now := wallClock()
	w.mu.Lock()
	v := w.view
	w.mu.Unlock()
	if err == nil {
		v.stack, v.read, v.failure, v.failing = &stack, now, nil, time.Time{}
	} else {
		if v.failure == nil {
			v.failing = now
		}
		f := failureOf(limited, err)
		v.failure = &f
	}
	parts := v.sections()
	w.change(func() {
		v.silent = w.view.silent
		w.view, w.parts, w.looked = v, parts, now
	})
}

func failureOf(limited context.Context, err error) Failure {
	var f Failure
	switch {
	case limited.Err() != nil:
		return Failure{fmt.Sprintf("There was no answer within %s.", lookLimit), "check the network"}
	case errors.As(err, &f):
		return f
	}
	return Failure{Text: err.Error()}
}

// wallClock is the time without the monotonic clock, which stands still while the machine
// sleeps (https://pkg.go.dev/time#hdr-Monotonic_Clocks).
func wallClock() time.Time { return time.Now().Round(0) }

func (w *watcher) readLines(ctx context.Context) {
	w.mu.Lock()
	rested := time.Since(w.read) > linesRest
	wait := w.view.silent != Failure{} && time.Since(w.tried) < w.view.every
	w.mu.Unlock()
	if wait {
		return // as often as the stack
	}
	var (
		lines   []shownLine
		dropped int
		err     error
	)
	each := func(l Line) {
		if lines = append(lines, shown(l)); len(lines) > 2*keptLines {
			lines, dropped = append([]shownLine(nil), lines[keptLines:]...), dropped+keptLines
		}
	}
	limited, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	if rested {
		for _, back := range lookBack {
			lines, dropped = nil, 0
			from := time.Now().Add(-back)
			if err = w.source.Lines(limited, &from, each); err != nil || len(lines) >= someLines {
				break
			}
		}
	} else {
		err = w.source.Lines(limited, nil, each)
	}
	if ctx.Err() != nil {
		return // it is to end
	}
	var silent Failure
	if err != nil {
		silent = failureOf(limited, err)
	}
	w.mu.Lock()
	same := w.view.silent == silent
	if w.tried = wallClock(); err == nil {
		w.read = w.tried
	}
	w.mu.Unlock()
	if rested {
		dropped = 0 // what was before the beginning is not missed
	}
	if rested && err != nil {
		rested, lines = false, nil // what is shown stays until there is something else
	}
	if same && !rested && len(lines) == 0 {
		return
	}
	w.change(func() {
		if w.view.silent = silent; !same {
			w.parts = w.view.sections()
		}
		if rested {
			w.tail.restart()
		}
		w.tail.add(lines, dropped)
	})
}

// news is what there is to show to somebody who has read the logs up to a position, and
// a channel that is closed when there is more.
type news struct {
	title   string
	parts   []section
	lines   []shownLine
	next    position
	missed  int
	anew    bool
	changed <-chan struct{}
}

func (w *watcher) since(p position) news {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := news{title: w.view.title(), parts: w.parts, changed: w.changed}
	n.lines, n.next, n.missed, n.anew = w.tail.since(p)
	return n
}

// fresh waits until what is known is not older than two looks, or for so long.
func (w *watcher) fresh(ctx context.Context, limit time.Duration) {
	w.mu.Lock()
	oldest := time.Now().Add(-2 * w.view.every)
	w.mu.Unlock()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		w.mu.Lock()
		done, changed := w.looked.After(oldest) && w.tried.After(oldest), w.changed
		w.mu.Unlock()
		if done {
			return
		}
		w.ask()
		select {
		case <-ctx.Done():
			return
		case <-timeout.C:
			return
		case <-changed:
		}
	}
}
