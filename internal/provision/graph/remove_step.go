package graph

import (
	"context"
	"errors"
	"time"
)

// removeStep is a step of Destroy under way.
type removeStep struct {
	stepRun
	memory removeMemory
	usual  func() time.Duration // how long it stays after the call; nil where that is not known
	sent   string               // the id of what was last asked to go
	first  time.Time            // when it first was
	again  time.Time            // when to look once more at what may hold it
}

// remove carries out what nextRemove decides, until the resource is gone.
func (r *run) remove(ctx context.Context, s *step, seen State) error {
	readFirst := seen.Phase != Absent && (seen.Phase != Ready || r.o.AfterCutOff)
	d := &removeStep{stepRun: stepRun{r: r, step: s, st: seen, readFirst: readFirst}, first: time.Now()}
	if l, ok := s.remover.(DeletionExpector); ok {
		d.usual = l.ExpectDeleted
	}
	d.poll = r.o.poller(d.usual, s.n.timeout)
	for {
		if out, err := d.next(ctx); err != nil || out.done {
			return err
		}
	}
}

// next reads the state, unless it is known, carries out one decision, and waits.
func (s *removeStep) next(ctx context.Context) (outcome, error) {
	if s.readFirst {
		if again, err := s.read(ctx, s.step.remover, s.r.o.temporary); again || err != nil {
			return outcome{}, err
		}
	}
	s.readFirst = true
	if s.sent != s.st.ID {
		s.memory.tries, s.first = 0, time.Now()
	}
	s.memory.sinceCall, s.memory.sinceDelete = time.Since(s.poll.since), time.Since(s.first)
	next := s.r.o.nextRemove(s.st, s.memory)
	if s.st.Phase != Absent {
		s.step.recordID(s.st)
	}
	out := outcome{note: next.note}
	switch next.act {
	case finish:
		return outcome{done: true}, nil
	case leave:
		s.step.Action = Unmanaged
		return outcome{done: true}, nil
	case fail:
		return outcome{}, s.failed(next.op, next.err)
	case remove:
		var err error
		if out, err = s.delete(ctx); err != nil || out.done || out.next {
			return out, err
		}
	}
	if s.st.Phase == Terminating {
		s.step.Action = Deleted
		s.step.touched.Store(true)
	}
	return out, s.wait(ctx, out.note, pausing{coming: s.st.Phase == Terminating || next.act == remove, refused: next.act == remove})
}

// delete sends the delete call.
func (s *removeStep) delete(ctx context.Context) (outcome, error) {
	s.step.Action = Deleted
	s.step.touched.Store(true)
	s.r.calling(s.step, Event{Kind: Deleting, Note: s.st.Note})
	err := s.poll.timed(func() error { return s.r.call(ctx, s.step.n, s.step.remover.Delete) })
	_, atOnce := s.step.remover.(DeletesSynchronously)
	if err == nil && atOnce && !s.r.o.AfterCutOff {
		return outcome{done: true}, nil
	}
	if err == nil {
		s.sent = s.st.ID
		s.memory.tries++
		s.poll.restart()
		if s.usual != nil && !atOnce { // it stays for so long
			if err := s.pause(ctx, "", pausing{coming: true}); err != nil {
				return outcome{}, err
			}
		}
		return outcome{next: true}, nil
	}
	reason, ok := s.r.o.temporary(err)
	if !ok {
		return outcome{}, s.failed("delete", err)
	}
	_, held := errors.AsType[*HeldError](err)
	s.readFirst = !held
	if now := time.Now(); now.After(s.again) {
		if err := s.r.removeLate(ctx, s.step.users); err != nil {
			return outcome{}, s.failed("delete", err)
		}
		s.again = now.Add(max(now.Sub(s.poll.start), minPause)) // ever more rarely
	}
	return outcome{note: reason}, nil
}
