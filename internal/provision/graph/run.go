package graph

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bookctl/bookctl/internal/hint"
)

// Options are a run's dependencies. The zero value works: no owner is checked,
// nothing is transient, nothing is reported.
type Options struct {
	// Owner is the value that State.Owner must have for a resource to be ours.
	// Empty switches the check off.
	Owner string
	// Transient reports whether an error passes by itself, and in which words to
	// report it meanwhile. Only such errors are retried. Nil: none is.
	Transient func(error) (reason string, ok bool)
	// Propagating reports whether an error passes by itself where this run has just created
	// the named resources, as that of a role which is not known everywhere yet
	// does, and in which words to report it meanwhile. Nil: none does.
	Propagating func(err error, created []string) (reason string, ok bool)
	// Propagation is how long something counts as just made. Zero means two minutes.
	Propagation time.Duration
	// Ambiguous reports whether the error leaves open whether the call was carried
	// out: no answer came, or one that is inconclusive. A create that ended so is
	// looked up for VisibilityDelay before it is sent again, so that nothing is made
	// twice; other calls can be repeated. Nil: no error is.
	Ambiguous func(error) bool
	// Exists reports whether a create was refused because such a resource is there
	// already. Where no look has shown it yet, it is looked for like one whose
	// create call ended ambiguously: then it is ours, or another owner's. Nil: no
	// error does.
	Exists func(error) bool
	// Fatal reports whether an error will meet every other step as well, as expired
	// credentials do: every wait ends at once. Nil: no error is.
	Fatal func(error) bool
	// Allow is shown what Up found before it changes anything; its error refuses the
	// run. Nil allows all.
	Allow func([]Finding) error
	// Guard is asked before every create, update and delete; its error stops
	// the step. The lock uses it. Nil allows all.
	Guard func(context.Context) error
	// Observe is called with what happens, from many goroutines but never at once.
	Observe func(Event)
	// CallTimeout bounds one create, update or delete, which goes on when the
	// run is cancelled, so that its outcome is known. Zero means two minutes. The Create of
	// an Interruptible has no such bound.
	CallTimeout time.Duration
	// VisibilityDelay is how long what was accepted may stay unseen before it is sent
	// again; after that it is sent more rarely, and after three times not at
	// all. Zero means 15 seconds.
	VisibilityDelay time.Duration
	// AfterCutOff reports whether a run was cut off just before this one. What that made last
	// may show only now: each resource that was not there is looked at once more before it
	// is made, and one that was there before it is deleted.
	AfterCutOff bool
	// Pace scales what an Expector and a DeletionExpector expect, for a cloud that is slower or
	// faster than the real one. It changes how often is asked, and nothing
	// else. Zero means 1.
	Pace float64
}

// passing reports whether an error passes by itself, and in which words.
func (o Options) passing(err error) (reason string, ok bool) {
	if held, ok := errors.AsType[*HeldError](err); ok {
		return held.Error(), true
	}
	if o.Transient != nil {
		if reason, ok = o.Transient(err); ok {
			return reason, true
		}
	}
	if o.ambiguous(err) {
		var said interface{ Reason() string }
		if errors.As(err, &said) {
			return said.Reason(), true
		}
		return "no answer", true
	}
	return "", false
}

func (o Options) ambiguous(err error) bool { return o.Ambiguous != nil && o.Ambiguous(err) }

func (o Options) exists(err error) bool { return o.Exists != nil && o.Exists(err) }

// poller is for a step whose resource usually takes so long; nil is for one that does
// not know.
func (o Options) poller(usual func() time.Duration, timeout time.Duration) *poller {
	p := newPoller(timeout, o.VisibilityDelay, func() time.Duration {
		if usual == nil {
			return 0
		}
		return o.paced(usual())
	})
	p.usable = o.paced(usableAfter)
	return p
}

// paced is what usually takes so long on the real cloud, on this one.
func (o Options) paced(d time.Duration) time.Duration {
	if o.Pace == 0 {
		return d
	}
	return time.Duration(float64(d) * o.Pace)
}

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

// findRetrying retries a Find whose error passes by itself a few times. After one
// that took long it does not: then the SDK has tried often, or waited long.
func findRetrying(ctx context.Context, r Finder, o Options) (State, error) {
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		begun := time.Now()
		st, err := r.Find(ctx)
		if err == nil || pause > 3*time.Second || time.Since(begun) > maxPause {
			return st, err
		}
		if _, ok := o.passing(err); !ok {
			return st, err
		}
		if Sleep(ctx, pause) != nil {
			return st, err
		}
	}
}

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
		s.idle = found[i].Phase == Absent && found[i].Unwanted
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

// unbegun reports a run that touched nothing.
func unbegun(found []Finding) Report {
	var r Report
	for _, f := range found {
		r.Steps = append(r.Steps, Step{Name: f.Name, Action: None})
	}
	return r
}

// step is a node in a run.
type step struct {
	Step
	n           *node
	do          func(context.Context, *step) error
	created     chan struct{}
	createdOnce sync.Once
	done        chan struct{}
	touched     atomic.Bool // this or something it needs was changed in this run
	idle        bool        // it is an option that nobody asked for, and is not there
	failed      bool        // this or something that it waited for failed
	stopped     bool        // likewise, since the run was stopped
	notes       string
	said        string        // the last call that was reported
	waits       []wait        // for what it waits
	waiters     []*step       // that wait for this, or for its creation
	takes       time.Duration // how long it usually takes once it has begun, or unknown
	ends        atomic.Int64  // when what is on its way is usually over, in Unix nanoseconds; 0 for nothing
	weak        []*step       // what was only created when this began
	wake        chan struct{} // closed when all of that is ready

	// Of a removal.
	remover Remover    // nil for what goes with a parent
	users   []*step    // what needs this
	second  sync.Mutex // held by who looks at this a second time
}

// unknown is that it is not known how long something takes.
const unknown = time.Duration(-1)

func (s *step) setCreated(id string) {
	s.n.setID(id)
	s.ID = id
	s.createdOnce.Do(func() { s.Created = time.Now(); close(s.created) })
}

type run struct {
	o      Options
	steps  []*step
	by     map[*node]*step
	report Report
	mu     sync.Mutex
	end    context.CancelCauseFunc // ends every wait
	born   sync.Map                // what this run created: when, by name
}

// passing reports whether an error passes by itself, also since something was just
// made, and in which words.
func (r *run) passing(err error) (reason string, ok bool) {
	if reason, ok = r.o.passing(err); ok {
		return reason, ok
	}
	return r.propagating(err)
}

// propagating says of what is not usable yet why, as far as this run created it.
func (r *run) propagating(err error) (reason string, ok bool) {
	if r.o.Propagating == nil {
		return "", false
	}
	var created []string
	r.born.Range(func(name, at any) bool {
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
	if o.CallTimeout == 0 {
		o.CallTimeout = 2 * time.Minute
	}
	if o.VisibilityDelay == 0 {
		o.VisibilityDelay = 15 * time.Second
	}
	if o.Propagation == 0 {
		o.Propagation = 2 * time.Minute
	}
	return &run{o: o, by: map[*node]*step{}}
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

type wait struct {
	on   *step
	weak bool
}

func (s *step) waitFor(w wait) {
	s.waits, w.on.waiters = append(s.waits, w), append(w.on.waiters, s)
}

// slack is how long nobody waits for the end of a step yet: all that wait for it wait for
// something else as well that usually takes longer, or are waited for by nobody yet. Where none
// waits for it, that is the end of the run. What has not begun yet counts for nothing, since it
// may have nothing to do.
func (r *run) slack(s *step) time.Duration {
	known := map[*step]usualEnd{s: {follows: true}}
	var end time.Time // of the run
	for _, other := range r.steps {
		end = later(end, other.usualEnd(known).at)
	}
	return max(0, time.Until(s.needed(end, known, map[*step]time.Time{})))
}

// needed is when somebody waits for the end of the step. Found has what was found already.
func (s *step) needed(until time.Time, known map[*step]usualEnd, found map[*step]time.Time) time.Time {
	if at, ok := found[s]; ok {
		return at
	}
	at := until
	for _, w := range s.waiters {
		if w.over() {
			continue
		}
		begins := w.usualEnd(known).at
		if w.takes != unknown {
			begins = later(begins, w.needed(until, known, found).Add(-w.takes))
		}
		if begins.Before(at) {
			at = begins
		}
	}
	found[s] = at
	return at
}

// usualEnd is when a step usually ends, by what is under way besides the step whose slack is
// looked for. The zero time is for one that is not held up by anything else.
type usualEnd struct {
	at time.Time
	// follows reports whether the step waits for that one, so that its own end is not known.
	follows bool
}

// usualEnd looks for when the step usually ends. Known has what was found already.
func (s *step) usualEnd(known map[*step]usualEnd) usualEnd {
	if end, ok := known[s]; ok {
		return end
	}
	var end usualEnd
	if !s.over() {
		for _, w := range s.waits {
			on := w.on.usualEnd(known)
			end.at, end.follows = later(end.at, on.at), end.follows || on.follows
		}
		if at := s.ends.Load(); at != 0 && !end.follows {
			end.at = later(end.at, time.Unix(0, at))
		}
	}
	known[s] = end
	return end
}

func (s *step) over() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

func (r *run) runStep(ctx context.Context, s *step) {
	defer close(s.done)
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
			s.failed, s.stopped = true, w.on.stopped
			if s.idle {
				r.event(s, Event{Kind: Unchanged})
				return
			}
			s.Skipped = w.on.Name
			note := w.on.Name
			if s.stopped {
				note = ""
			}
			r.event(s, Event{Kind: Skipped, Note: note})
			return
		}
		if w.on.touched.Load() {
			s.touched.Store(true)
		}
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
	switch {
	case lost != nil && (errors.As(err, &needLost{}) || errors.Is(err, context.Canceled)):
		s.failed, s.Skipped = true, lost.Name
		r.event(s, Event{Kind: Stopped, Note: lost.Name + " failed"})
	case err != nil && stopped(ctx, err):
		s.failed, s.stopped, s.Err = true, true, err
		r.event(s, Event{Kind: Stopped, Note: s.notes})
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
	if said := fmt.Sprint(e.Kind, e.Changes); said != s.said {
		s.said = said
		r.event(s, e)
	}
}

func (r *run) waiting(s *step, note string) { r.note(s, Event{Kind: Waiting, Note: note}) }

func (r *run) note(s *step, e Event) {
	if e.Note != s.notes {
		s.notes = e.Note
		r.event(s, e)
	}
}

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
	if s.remover == nil || !s.second.TryLock() {
		return nil // or somebody else is at it
	}
	defer s.second.Unlock()
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
