package graph

import (
	"context"
	"errors"

	"github.com/bookctl/bookctl/internal/hint"
)

// working is a step under way.
type working struct {
	r    *run
	s    *step
	poll *poller
	st   State // as it was read last, or as the answer to a call says
	// look reports whether the state is read before the next decision.
	look bool
}

func (w *working) failed(op string, err error) error {
	return &Error{Node: w.s.Name, Op: op, ID: w.s.ID, Err: err, Last: w.st}
}

// read reads the state. Where that fails for a reason that passes by itself, it waits,
// and again is true.
func (w *working) read(ctx context.Context, f Finder, passing func(error) (string, bool)) (again bool, err error) {
	st, err := w.poll.find(ctx, f)
	w.st = st
	if err == nil {
		return false, nil
	}
	reason, ok := passing(err)
	if !ok {
		return false, w.failed("find", err)
	}
	return true, w.wait(ctx, reason, pausing{})
}

// wait reports what is waited for, and pauses.
func (w *working) wait(ctx context.Context, note string, why pausing) error {
	w.r.waiting(w.s, note)
	return w.pause(ctx, note, why)
}

func (w *working) pause(ctx context.Context, note string, why pausing) error {
	if why.coming {
		w.s.ends.Store(w.poll.end().UnixNano())
		why.slack = w.r.slack(w.s)
	}
	if err := w.poll.pause(ctx, why); err != nil {
		explained := w.poll.explain(err, note)
		if errors.Is(err, ErrTimeout) {
			explained = hint.Add(explained, w.st.Next)
		}
		return w.failed("wait", explained)
	}
	return nil
}

// outcome is what came of a decision.
type outcome struct {
	// done ends the step, and next goes on without a pause.
	done, next bool
	// note is what is waited for.
	note string
	// unusable reports whether that is a new resource that is not usable yet.
	unusable bool
}

func (s *step) seen(st State) {
	if st.ID != "" {
		s.setCreated(st.ID)
	}
}
