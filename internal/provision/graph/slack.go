package graph

import (
	"time"
)

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

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
