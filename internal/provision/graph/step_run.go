package graph

import (
	"context"
	"errors"

	"github.com/bookctl/bookctl/internal/hint"
)

// stepRun is a step under way.
type stepRun struct {
	r    *run
	step *step
	poll *poller
	st   State // as it was read last, or as the answer to a call says
	// readFirst reports whether the state is read before the next decision.
	readFirst bool
}

func (s *stepRun) failed(op string, err error) error {
	return &Error{Node: s.step.Name, Op: op, ID: s.step.ID, Err: err, Last: s.st}
}

// read reads the state. If the error is temporary, it waits, and again is true.
func (s *stepRun) read(ctx context.Context, f Finder, temporary func(error) (string, bool)) (again bool, err error) {
	st, err := s.poll.find(ctx, f)
	s.st = st
	if err == nil {
		return false, nil
	}
	reason, ok := temporary(err)
	if !ok {
		return false, s.failed("find", err)
	}
	return true, s.wait(ctx, reason, pausing{})
}

// wait reports what is waited for, and pauses.
func (s *stepRun) wait(ctx context.Context, note string, why pausing) error {
	s.r.waiting(s.step, note)
	return s.pause(ctx, note, why)
}

func (s *stepRun) pause(ctx context.Context, note string, why pausing) error {
	if why.coming {
		s.step.ends.Store(s.poll.end().UnixNano())
		why.slack = s.r.slack(s.step)
	}
	if err := s.poll.pause(ctx, why); err != nil {
		explained := s.poll.explain(err, note)
		if errors.Is(err, ErrTimeout) {
			explained = hint.Add(explained, s.st.Next)
		}
		return s.failed("wait", explained)
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

func (s *step) recordID(st State) {
	if st.ID != "" {
		s.setCreated(st.ID)
	}
}
