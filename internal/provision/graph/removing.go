package graph

import (
	"context"
	"errors"
	"time"
)

// removing is a step of Destroy under way.
type removing struct {
	working
	memory removeMemory
	usual  func() time.Duration // how long it stays after the call; nil where that is not known
	sent   string               // the id of what was last asked to go
	first  time.Time            // when it first was
	again  time.Time            // when to look once more at what may hold it
}

// remove carries out what nextRemove decides, until the resource is gone.
func (r *run) remove(ctx context.Context, s *step, seen State) error {
	look := seen.Phase != Absent && (seen.Phase != Ready || r.o.AfterCutOff)
	k := &removing{working: working{r: r, s: s, st: seen, look: look}, first: time.Now()}
	if l, ok := s.remover.(DeletionExpector); ok {
		k.usual = l.ExpectDeleted
	}
	k.poll = r.o.poller(k.usual, s.n.timeout)
	for {
		if out, err := k.turn(ctx); err != nil || out.done {
			return err
		}
	}
}

// turn reads the state, unless it is known, carries out one decision, and waits.
func (k *removing) turn(ctx context.Context) (outcome, error) {
	if k.look {
		if again, err := k.read(ctx, k.s.remover, k.r.o.passing); again || err != nil {
			return outcome{}, err
		}
	}
	k.look = true
	if k.sent != k.st.ID {
		k.memory.tries, k.first = 0, time.Now()
	}
	k.memory.sinceCall, k.memory.sinceDelete = time.Since(k.poll.since), time.Since(k.first)
	next := k.r.o.nextRemove(k.st, k.memory)
	if k.st.Phase != Absent {
		k.s.seen(k.st)
	}
	out := outcome{note: next.note}
	switch next.act {
	case finish:
		return outcome{done: true}, nil
	case leave:
		k.s.Action = Unmanaged
		return outcome{done: true}, nil
	case fail:
		return outcome{}, k.failed(next.op, next.err)
	case remove:
		var err error
		if out, err = k.delete(ctx); err != nil || out.done || out.next {
			return out, err
		}
	}
	if k.st.Phase == Terminating {
		k.s.Action = Deleted
		k.s.touched.Store(true)
	}
	return out, k.wait(ctx, out.note, pausing{coming: k.st.Phase == Terminating || next.act == remove, refused: next.act == remove})
}

// delete sends the delete call.
func (k *removing) delete(ctx context.Context) (outcome, error) {
	k.s.Action = Deleted
	k.s.touched.Store(true)
	k.r.calling(k.s, Event{Kind: Deleting, Note: k.st.Note})
	err := k.poll.timed(func() error { return k.r.call(ctx, k.s.n, k.s.remover.Delete) })
	_, atOnce := k.s.remover.(DeletesSynchronously)
	if err == nil && atOnce && !k.r.o.AfterCutOff {
		return outcome{done: true}, nil
	}
	if err == nil {
		k.sent = k.st.ID
		k.memory.tries++
		k.poll.restart()
		if k.usual != nil && !atOnce { // it stays for so long
			if err := k.pause(ctx, "", pausing{coming: true}); err != nil {
				return outcome{}, err
			}
		}
		return outcome{next: true}, nil
	}
	reason, ok := k.r.o.passing(err)
	if !ok {
		return outcome{}, k.failed("delete", err)
	}
	_, held := errors.AsType[*HeldError](err)
	k.look = !held
	if now := time.Now(); now.After(k.again) {
		if err := k.r.removeLate(ctx, k.s.users); err != nil {
			return outcome{}, k.failed("delete", err)
		}
		k.again = now.Add(max(now.Sub(k.poll.start), minPause)) // ever more rarely
	}
	return outcome{note: reason}, nil
}
