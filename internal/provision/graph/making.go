package graph

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// making is a step of Up under way.
type making struct {
	working
	maker   Maker
	updater Updater // nil for what can't be updated
	memory  upMemory
	// unsure reports whether a create call may have been carried out without our knowing.
	unsure      bool
	refused     string    // why the last create call was refused
	firstUpdate time.Time // when it was sent
	far         int64     // how far a Create has come; see Advance
}

// up carries out what nextUp decides, until the resource is as it should be.
func (r *run) up(ctx context.Context, m Maker, s *step, seen State) error {
	k := &making{working: working{r: r, s: s, st: seen, look: r.lookAgain(s, seen)}, maker: m}
	var usual func() time.Duration
	if e, ok := m.(Expector); ok {
		usual = e.Expect
	}
	k.poll = r.o.poller(usual, s.n.timeout)
	k.updater, k.memory.updatable = m.(Updater)
	if len(s.weak) > 0 {
		k.poll.wake = s.wake
	}
	for {
		out, err := k.turn(ctx)
		if err != nil || out.done {
			return err
		}
		if k.poll.woken && s.Joined == "" {
			s.Joined = slices.MaxFunc(s.weak, func(x, y *step) int { return x.End.Compare(y.End) }).Name
		}
	}
}

// turn reads the state, unless it is known, carries out one decision, and waits.
func (k *making) turn(ctx context.Context) (out outcome, err error) {
	if l, ok := k.maker.(Longer); ok {
		k.poll.timeout = k.s.n.timeout + l.Longer()
	}
	if k.look {
		if again, err := k.read(ctx, k.maker, k.r.passing); again || err != nil {
			return outcome{}, err
		}
	}
	k.look = true
	k.memory.sinceCall, k.memory.sinceUpdate = time.Since(k.poll.since), time.Since(k.firstUpdate)
	next := k.r.o.nextUp(k.st, k.memory)
	if next.op != "own" && k.st.Phase != Absent && k.st.Phase != Terminating {
		k.s.seen(k.st)
	}
	switch next.act {
	case finish:
		return outcome{done: true}, nil
	case fail:
		return outcome{}, k.failed(next.op, next.err)
	case create:
		out, err = k.create(ctx)
	case update:
		out, err = k.update(ctx)
	default:
		out.note = next.note
	}
	if err != nil || out.done || out.next {
		return out, err
	}
	coming := next.act == pause && (k.st.Phase == Pending || k.st.Phase == Terminating)
	return out, k.wait(ctx, out.note, pausing{coming: coming, refused: next.act != pause, unusable: out.unusable})
}

// create sends the create call.
func (k *making) create(ctx context.Context) (outcome, error) {
	k.s.Action = Created
	k.s.touched.Store(true)
	k.r.calling(k.s, Event{Kind: Creating})
	call := k.r.call
	if _, ok := k.maker.(Interruptible); ok {
		call, ctx = k.r.interruptible, context.WithValue(ctx, advanceKey{}, k.advance)
	}
	repeated, err := k.send(ctx, call, func(ctx context.Context) error {
		id, err := k.maker.Create(ctx)
		if err == nil {
			k.memory.created = true
			k.r.born.Store(k.s.Name, time.Now())
			k.s.seen(State{ID: id})
		}
		return err
	})
	if err == nil {
		k.poll.restart()
		// One that another run made may not be as the call asked for.
		if a, ok := k.maker.(answerer); ok && !k.unsure && !repeated && !k.r.o.AfterCutOff {
			if answer, ok := a.answered(); ok {
				answer.ID = k.s.ID
				k.st, k.look = answer, false
			}
		}
		return outcome{next: true}, nil
	}
	reason, ok := k.r.passing(err)
	k.memory.doubt = ""
	switch {
	case k.r.o.exists(err):
		reason, k.memory.doubt = "it exists already", "it exists already, looking whose it is"
		k.unsure = true
		k.poll.restart()
	case !ok:
		return outcome{}, k.failed("create", err)
	case k.r.o.ambiguous(err):
		k.memory.doubt = "no answer to the create call, looking whether it was made"
		k.unsure = true
		k.poll.restart()
	}
	// What is refused for the same reason again was not made, nor was what names a
	// resource that is not usable yet.
	_, propagating := k.r.propagating(err)
	k.look = k.unsure || repeated || reason != k.refused && !propagating
	k.refused = reason
	return outcome{note: reason, unusable: propagating}, nil
}

// update sends the calls that set what differs.
func (k *making) update(ctx context.Context) (outcome, error) {
	if k.firstUpdate.IsZero() {
		k.firstUpdate = time.Now()
	}
	if k.s.Action == None {
		k.s.Action = Updated
	}
	for _, c := range k.st.Drift {
		if !slices.ContainsFunc(k.s.Changes, func(x Change) bool { return x.key() == c.key() }) {
			k.s.Changes = append(k.s.Changes, c)
		}
	}
	k.s.touched.Store(true)
	k.r.calling(k.s, Event{Kind: Updating, Changes: k.st.Drift})
	repeated, err := k.send(ctx, k.r.call, func(ctx context.Context) error { return k.updater.Update(ctx, k.st.Drift) })
	if a, ok := k.maker.(UpdatesSynchronously); ok && err == nil && !k.unsure && !repeated && !k.r.o.AfterCutOff && a.UpdatesSynchronously(k.st.Drift) {
		return outcome{done: true}, nil
	}
	if err == nil {
		k.memory.updates.add(k.st.Drift)
		k.poll.restart()
		return outcome{next: true}, nil
	}
	reason, ok := k.r.passing(err)
	if !ok {
		return outcome{}, k.failed("update", err)
	}
	if k.r.o.ambiguous(err) {
		k.memory.updates.uncertain(k.st.Drift)
		k.poll.restart()
	}
	return outcome{note: reason}, nil
}

// advance notes how far a Create has come. The step waits for it meanwhile.
func (k *making) advance(done int64, note string) {
	if done > k.far {
		k.far, k.poll.start = done, time.Now()
	}
	k.r.note(k.s, Event{Kind: Waiting, Note: note, Progress: true})
}

// send runs a mutating call, and reports whether it was sent more than once.
func (k *making) send(ctx context.Context, call func(context.Context, *node, func(context.Context) error) error, f func(context.Context) error) (repeated bool, err error) {
	var more atomic.Bool
	err = k.poll.timed(func() error { return call(context.WithValue(ctx, repeatedKey{}, &more), k.s.n, f) })
	return more.Load(), err
}

// answerer is a Maker that knows from the answer to its create call what the resource is.
type answerer interface {
	answered() (State, bool)
}

// lookAgain reports whether a step of Up reads what Observe has read, before it does
// anything. A finished resource need not be read again unless what it needs was changed,
// and what is not there comes by this run alone, unless another one was cut off.
func (r *run) lookAgain(s *step, seen State) bool {
	switch seen.Phase {
	case Ready:
		return s.touched.Load()
	case Absent:
		return r.o.AfterCutOff || seen.Unwanted && s.touched.Load()
	}
	return true
}
