package graph

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// upStep is a step of Up under way.
type upStep struct {
	stepRun
	maker   Maker
	updater Updater // nil for what can't be updated
	memory  upMemory
	// createUncertain reports whether a create call may have been carried out without our knowing.
	createUncertain bool
	refused         string    // why the last create call was refused
	firstUpdate     time.Time // when it was sent
	progress        int64     // how far a Create has come; see Advance
}

// up carries out what nextUp decides, until the resource is as it should be.
func (r *run) up(ctx context.Context, m Maker, s *step, seen State) error {
	u := &upStep{stepRun: stepRun{r: r, step: s, st: seen, readFirst: r.mustRead(s, seen)}, maker: m}
	var usual func() time.Duration
	if e, ok := m.(Expector); ok {
		usual = e.Expect
	}
	u.poll = r.o.poller(usual, s.n.timeout)
	u.updater, u.memory.updatable = m.(Updater)
	if len(s.weak) > 0 {
		u.poll.wake = s.wake
	}
	for {
		out, err := u.next(ctx)
		if err != nil || out.done {
			return err
		}
		if u.poll.woken && s.Joined == "" {
			s.Joined = slices.MaxFunc(s.weak, func(x, y *step) int { return x.End.Compare(y.End) }).Name
		}
	}
}

// next reads the state, unless it is known, carries out one decision, and waits.
func (s *upStep) next(ctx context.Context) (out outcome, err error) {
	if l, ok := s.maker.(Longer); ok {
		s.poll.timeout = s.step.n.timeout + l.Longer()
	}
	if s.readFirst {
		if again, err := s.read(ctx, s.maker, s.r.temporary); again || err != nil {
			return outcome{}, err
		}
	}
	s.readFirst = true
	s.memory.sinceCall, s.memory.sinceUpdate = time.Since(s.poll.since), time.Since(s.firstUpdate)
	next := s.r.o.nextUp(s.st, s.memory)
	if next.op != "own" && s.st.Phase != Absent && s.st.Phase != Terminating {
		s.step.recordID(s.st)
	}
	switch next.act {
	case finish:
		return outcome{done: true}, nil
	case fail:
		return outcome{}, s.failed(next.op, next.err)
	case create:
		out, err = s.create(ctx)
	case update:
		out, err = s.update(ctx)
	default:
		out.note = next.note
	}
	if err != nil || out.done || out.next {
		return out, err
	}
	coming := next.act == pause && (s.st.Phase == Pending || s.st.Phase == Terminating)
	return out, s.wait(ctx, out.note, pausing{coming: coming, refused: next.act != pause, unusable: out.unusable})
}

// create sends the create call.
func (s *upStep) create(ctx context.Context) (outcome, error) {
	s.step.Action = Created
	s.step.touched.Store(true)
	s.r.calling(s.step, Event{Kind: Creating})
	call := s.r.call
	if _, ok := s.maker.(Interruptible); ok {
		call, ctx = s.r.interruptible, context.WithValue(ctx, advanceKey{}, s.advance)
	}
	repeated, err := s.send(ctx, call, func(ctx context.Context) error {
		id, err := s.maker.Create(ctx)
		if err == nil {
			s.memory.created = true
			s.r.createdAt.Store(s.step.Name, time.Now())
			s.step.recordID(State{ID: id})
		}
		return err
	})
	if err == nil {
		s.poll.restart()
		// One that another run made may not be as the call asked for.
		if a, ok := s.maker.(answerer); ok && !s.createUncertain && !repeated && !s.r.o.AfterCutOff {
			if answer, ok := a.answered(); ok {
				answer.ID = s.step.ID
				s.st, s.readFirst = answer, false
			}
		}
		return outcome{next: true}, nil
	}
	reason, ok := s.r.temporary(err)
	s.memory.maybeCreated = ""
	switch {
	case s.r.o.exists(err):
		reason, s.memory.maybeCreated = "it exists already", "it exists already, looking whose it is"
		s.createUncertain = true
		s.poll.restart()
	case !ok:
		return outcome{}, s.failed("create", err)
	case s.r.o.ambiguous(err):
		s.memory.maybeCreated = "no answer to the create call, looking whether it was made"
		s.createUncertain = true
		s.poll.restart()
	}
	// What is refused for the same reason again was not made, nor was what names a
	// resource that is not usable yet.
	_, propagating := s.r.propagating(err)
	s.readFirst = s.createUncertain || repeated || reason != s.refused && !propagating
	s.refused = reason
	return outcome{note: reason, unusable: propagating}, nil
}

// update sends the calls that set what differs.
func (s *upStep) update(ctx context.Context) (outcome, error) {
	if s.firstUpdate.IsZero() {
		s.firstUpdate = time.Now()
	}
	if s.step.Action == None {
		s.step.Action = Updated
	}
	for _, c := range s.st.Drift {
		if !slices.ContainsFunc(s.step.Changes, func(x Change) bool { return x.key() == c.key() }) {
			s.step.Changes = append(s.step.Changes, c)
		}
	}
	s.step.touched.Store(true)
	s.r.calling(s.step, Event{Kind: Updating, Changes: s.st.Drift})
	repeated, err := s.send(ctx, s.r.call, func(ctx context.Context) error { return s.updater.Update(ctx, s.st.Drift) })
	if a, ok := s.maker.(UpdatesSynchronously); ok && err == nil && !s.createUncertain && !repeated && !s.r.o.AfterCutOff && a.UpdatesSynchronously(s.st.Drift) {
		return outcome{done: true}, nil
	}
	if err == nil {
		s.memory.updates.add(s.st.Drift)
		s.poll.restart()
		return outcome{next: true}, nil
	}
	reason, ok := s.r.temporary(err)
	if !ok {
		return outcome{}, s.failed("update", err)
	}
	if s.r.o.ambiguous(err) {
		s.memory.updates.uncertain(s.st.Drift)
		s.poll.restart()
	}
	return outcome{note: reason}, nil
}

// advance notes how far a Create has come. The step waits for it meanwhile.
func (s *upStep) advance(done int64, note string) {
	if done > s.progress {
		s.progress, s.poll.start = done, time.Now()
	}
	s.r.note(s.step, Event{Kind: Waiting, Note: note, Progress: true})
}

// send runs a mutating call, and reports whether it was sent more than once.
func (s *upStep) send(ctx context.Context, call func(context.Context, *node, func(context.Context) error) error, f func(context.Context) error) (repeated bool, err error) {
	var more atomic.Bool
	err = s.poll.timed(func() error { return call(context.WithValue(ctx, repeatedKey{}, &more), s.step.n, f) })
	return more.Load(), err
}

// answerer is a Maker that knows from the answer to its create call what the resource is.
type answerer interface {
	answered() (State, bool)
}

// mustRead reports whether a step of Up reads what Observe has read, before it does
// anything. A finished resource need not be read again unless what it needs was changed,
// and what is not there comes by this run alone, unless another one was cut off.
func (r *run) mustRead(s *step, seen State) bool {
	switch seen.Phase {
	case Ready:
		return s.touched.Load()
	case Absent:
		return r.o.AfterCutOff || seen.Unwanted && s.touched.Load()
	}
	return true
}
