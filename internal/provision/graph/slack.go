package graph

import (
	"time"
)

// slack is how long it does not matter when this step ends, because every step that waits for it
// also waits for something slower. If nothing waits for it, the end of the run counts. Steps that
// have not begun count as zero, since they may have nothing to do.
func (r *run) slack(s *step) time.Duration {
	known := map[*step]usualEnd{s: {follows: true}}
	var end time.Time // of the run
	for _, other := range r.steps {
		end = later(end, other.usualEnd(known).at)
	}
	return max(0, time.Until(s.needed(end, known, map[*step]time.Time{})))
}

// needed is the time by which the step must end, so that no other step waits for it. Until is the
// time for a step that nothing waits for. Known caches usual ends, and found the results.
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

// usualEnd is when a step usually ends, without the step whose slack is calculated. The zero time
// is for a step that waits for nothing slow.
type usualEnd struct {
	at time.Time
	// follows reports whether the step waits for that one, so that its own end is unknown.
	follows bool
}

// usualEnd calculates when the step usually ends. Known caches the results.
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
