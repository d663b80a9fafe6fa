package graph

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// step is a node in a run.
type step struct {
	Step
	n           *node
	do          func(context.Context, *step) error
	created     chan struct{}
	createdOnce sync.Once
	done        chan struct{}
	touched     atomic.Bool // this or something it needs was changed in this run
	unwanted    bool        // it is an option that nobody asked for, and is not there
	failed      bool        // this or something that it waited for failed
	stopped     bool        // likewise, since the run was stopped
	lastNote    string
	lastCall    string        // the last call that was reported
	waits       []wait        // for what it waits
	waiters     []*step       // that wait for this, or for its creation
	takes       time.Duration // how long it usually takes once it has begun, or unknown
	ends        atomic.Int64  // when what is on its way is usually over, in Unix nanoseconds; 0 for nothing
	weak        []*step       // what was only created when this began
	wake        chan struct{} // closed when all of that is ready

	// Of a removal.
	remover     Remover    // nil for what goes with a parent
	users       []*step    // what needs this
	lateRemoval sync.Mutex // held by who looks at this a second time
}

// unknown is that it is not known how long something takes.
const unknown = time.Duration(-1)

func (s *step) setCreated(id string) {
	s.n.setID(id)
	s.ID = id
	s.createdOnce.Do(func() { s.Created = time.Now(); close(s.created) })
}

type run struct {
	o         Options
	steps     []*step
	by        map[*node]*step
	report    Report
	mu        sync.Mutex
	end       context.CancelCauseFunc // ends every wait
	createdAt sync.Map                // what this run created: when, by name
}

// temporary reports whether an error is temporary by the options, or because this run has
// just created something, and the reason to show.
func (r *run) temporary(err error) (reason string, ok bool) {
	if reason, ok = r.o.temporary(err); ok {
		return reason, ok
	}
	return r.propagating(err)
}

// propagating reports whether an error is temporary because what this run has just created
// is not usable yet, and the reason to show.
func (r *run) propagating(err error) (reason string, ok bool) {
	if r.o.Propagating == nil {
		return "", false
	}
	var created []string
	r.createdAt.Range(func(name, at any) bool {
		if time.Since(at.(time.Time)) < r.o.Propagation {
			created = append(created, name.(string))
		}
		return true
	})
	if created == nil {
		return "", false
	}
	return r.o.Propagating(err, created)
}

func newRun(o Options) *run {
	return &run{o: o.withDefaults(), by: map[*node]*step{}}
}

func (r *run) add(f Finder, do func(context.Context, *step) error) *step {
	s := &step{n: f.node(), do: do, created: make(chan struct{}), done: make(chan struct{}), wake: make(chan struct{})}
	s.Name, s.Action = s.n.name, None
	_, s.Needs = Describe(f)
	s.remover, _ = f.(Remover)
	if _, ok := f.(Expector); ok {
		s.takes = unknown // what it is by then decides
	}
	r.steps, r.by[s.n] = append(r.steps, s), s
	return s
}

// walk runs every step when what it waits for is over: its needs, or, in
// reverse, everything that needs it.
func (r *run) walk(ctx context.Context, reverse bool) (Report, error) {
	ctx, r.end = context.WithCancelCause(ctx)
	defer r.end(nil)
	r.linkWaits(reverse)
	var wg sync.WaitGroup
	for _, s := range r.steps {
		wg.Go(func() { r.runStep(ctx, s) })
	}
	wg.Wait()
	var errs []error
	for _, s := range r.steps {
		r.report.Steps = append(r.report.Steps, s.Step)
		if s.Err != nil {
			errs = append(errs, s.Err)
		}
	}
	if len(errs) == 0 && ctx.Err() != nil { // before anything was started
		errs = append(errs, context.Cause(ctx))
	}
	return r.report, errors.Join(errs...)
}

// linkWaits has each step wait for its needs, or, in reverse, for everything that needs it.
func (r *run) linkWaits(reverse bool) {
	for _, s := range r.steps {
		if reverse {
			s.takes = 0
			if l, ok := s.remover.(DeletionExpector); ok {
				s.takes = r.o.paced(l.ExpectDeleted())
			}
		}
		for _, d := range s.n.needs {
			t, ok := r.by[d.on]
			if !ok {
				continue
			}
			later, ok := s.remover.(DeletesLater)
			switch {
			case !reverse:
				s.waitFor(wait{on: t, weak: d.weak})
			case ok && later.DeletesAfter(t.remover):
				s.waitFor(wait{on: t})
			default:
				t.waitFor(wait{on: s})
				t.users = append(t.users, s)
			}
		}
	}
}

type wait struct {
	on   *step
	weak bool
}

func (s *step) waitFor(w wait) {
	s.waits, w.on.waiters = append(s.waits, w), append(w.on.waiters, s)
}

func (s *step) over() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// runStep waits for what the step needs, carries it out, and records how it ended.
func (r *run) runStep(ctx context.Context, s *step) {
	defer close(s.done)
	if !r.awaitNeeds(s) {
		return
	}
	if ctx.Err() != nil {
		s.failed, s.stopped, s.Skipped = true, true, "cancelled"
		r.event(s, Event{Kind: Skipped})
		return
	}
	s.Start = time.Now()
	work, end := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.watchWeak(work, end)
	}()
	err := Guarded(func() error { return s.do(work, s) })
	if p, ok := err.(*Panic); ok { //nolint:errorlint // what Guarded made, which nobody has wrapped
		err = &Error{Node: s.Name, Op: "fault", ID: s.ID, Err: p}
	}
	lost := lostNeed(work)
	end(nil)
	<-watched
	s.End = time.Now()
	r.finish(ctx, s, err, lost)
}

// awaitNeeds waits for everything that the step needs. If something of that failed, it records
// the step as skipped, and ok is false.
func (r *run) awaitNeeds(s *step) (ok bool) {
	for _, w := range s.waits {
		select {
		case <-w.on.done:
		case <-w.whenMade():
			select {
			case <-w.on.done:
			default:
				s.weak = append(s.weak, w.on)
				if w.on.touched.Load() {
					s.touched.Store(true)
				}
				continue
			}
		}
		if w.on.failed {
			r.skip(s, w.on)
			return false
		}
		if w.on.touched.Load() {
			s.touched.Store(true)
		}
	}
	return true
}

// skip records a step that can't begin, because one that it needs failed.
func (r *run) skip(s, failed *step) {
	s.failed, s.stopped = true, failed.stopped
	if s.unwanted {
		r.event(s, Event{Kind: Unchanged})
		return
	}
	s.Skipped = failed.Name
	note := failed.Name
	if s.stopped {
		note = ""
	}
	r.event(s, Event{Kind: Skipped, Note: note})
}

// finish records how a step ended. Lost is the need whose failure ended it, or nil.
func (r *run) finish(ctx context.Context, s *step, err error, lost *step) {
	switch {
	case lost != nil && (errors.As(err, &needLost{}) || errors.Is(err, context.Canceled)):
		s.failed, s.Skipped = true, lost.Name
		r.event(s, Event{Kind: Stopped, Note: lost.Name + " failed"})
	case err != nil && stopped(ctx, err):
		s.failed, s.stopped, s.Err = true, true, err
		r.event(s, Event{Kind: Stopped, Note: s.lastNote})
	case err != nil:
		s.failed, s.Err = true, err
		if r.o.Fatal != nil && r.o.Fatal(err) {
			r.end(err)
		}
		r.event(s, Event{Kind: Failed, Err: err})
	case s.Action == None || s.Action == Unmanaged:
		r.event(s, Event{Kind: Unchanged})
	default:
		r.event(s, Event{Kind: Done, Changes: s.Changes})
	}
}

// watchWeak ends the work of a step when something fails that was only made when
// the step began, and wakes it when all of that is ready. It waits for one after
// the other: the failure of a later one is noticed when those before it are ready.
func (s *step) watchWeak(work context.Context, end context.CancelCauseFunc) {
	for _, on := range s.weak {
		select {
		case <-work.Done():
			return
		case <-on.done:
		}
		if on.failed {
			if !on.stopped { // else work is over, too
				end(needLost{on})
			}
			return
		}
	}
	close(s.wake)
}

// needLost is why a step ends whose weak need failed.
type needLost struct{ on *step }

func (l needLost) Error() string { return l.on.Name + " failed" }

// lostNeed is the need whose failure ended the work, or nil.
func lostNeed(work context.Context) *step {
	var l needLost
	if errors.As(context.Cause(work), &l) {
		return l.on
	}
	return nil
}

// stopped reports whether a step ended because the run was, and not because its
// time was over, which is a failure of what it waited for.
func stopped(ctx context.Context, err error) bool {
	cause := context.Cause(ctx)
	return cause != nil && !errors.Is(cause, context.DeadlineExceeded) && (errors.Is(err, cause) || errors.Is(err, context.Canceled))
}

// whenMade returns the channel of a weak need, and nil (which blocks) for others.
func (w wait) whenMade() chan struct{} {
	if w.weak {
		return w.on.created
	}
	return nil
}

func (r *run) event(s *step, e Event) {
	if r.o.Observe == nil {
		return
	}
	e.Time, e.Node, e.ID = time.Now(), s.Name, s.ID
	if !s.Start.IsZero() {
		e.Elapsed = e.Time.Sub(s.Start)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.o.Observe(e)
}

// calling reports a call that is about to be sent, unless it is only the same
// again: what something holds is tried twice a second for minutes.
func (r *run) calling(s *step, e Event) {
	if said := fmt.Sprint(e.Kind, e.Changes); said != s.lastCall {
		s.lastCall = said
		r.event(s, e)
	}
}

func (r *run) waiting(s *step, note string) { r.note(s, Event{Kind: Waiting, Note: note}) }

func (r *run) note(s *step, e Event) {
	if e.Note != s.lastNote {
		s.lastNote = e.Note
		r.event(s, e)
	}
}
