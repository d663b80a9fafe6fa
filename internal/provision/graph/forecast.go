package graph

import "time"

// Forecast describes how long a run will take, from what each Expector usually
// takes and what has happened so far. It is fed with the run's events and is
// not safe for concurrent use.
type Forecast struct {
	order []*outlook // needs come before what needs them
	by    map[string]*outlook
	begun time.Time
}

// outlook is what is known and expected of one resource.
type outlook struct {
	usual      time.Duration
	needs      []*outlook
	weak       []*outlook // needed created, not ready
	start, end time.Time
	changing   bool // something is being done to it, or will be
}

// NewForecast takes the resources of a run in the order in which they are
// needed. The run begins at the time given.
func NewForecast[F Finder](resources []F, begun time.Time) *Forecast {
	f := &Forecast{by: map[string]*outlook{}, begun: begun}
	for _, r := range resources {
		o := &outlook{}
		if e, ok := any(r).(Expector); ok {
			o.usual = e.Expect()
		}
		for _, d := range r.node().needs {
			switch need := f.by[d.on.name]; {
			case need == nil:
			case d.weak:
				o.weak = append(o.weak, need)
			default:
				o.needs = append(o.needs, need)
			}
		}
		f.order, f.by[r.node().name] = append(f.order, o), o
	}
	return f
}

// Add takes note of an event of the run.
func (f *Forecast) Add(e Event) {
	o := f.by[e.Node]
	if o == nil {
		return
	}
	if o.start.IsZero() {
		o.start = e.Time.Add(-e.Elapsed)
	}
	switch e.Kind {
	case Creating, Updating:
		o.changing = true
	case Done, Unchanged, Failed, Skipped, Stopped:
		o.end = e.Time
	}
}

// Usual is what the resource usually takes until it is ready, or zero where
// that is not known or too short to matter.
func (f *Forecast) Usual(name string) time.Duration {
	if o := f.by[name]; o != nil {
		return o.usual
	}
	return 0
}

// Total is how long the whole run will take, as it looks at the time given. It
// is zero while nothing is being done that usually takes long.
func (f *Forecast) Total(now time.Time) time.Duration {
	var (
		last  = f.begun
		known bool
		ends  = map[*outlook]time.Time{}
		moves = map[*outlook]bool{}
	)
	for _, o := range f.order {
		begin := f.begun
		moves[o] = o.changing
		for _, n := range o.needs {
			// What stands on something that changes is assumed to change too.
			moves[o] = moves[o] || moves[n]
			begin = later(begin, ends[n])
		}
		for _, n := range o.weak {
			moves[o] = moves[o] || moves[n]
			begin = later(begin, n.start)
		}
		switch {
		case !o.end.IsZero():
			ends[o] = o.end
		case !moves[o]:
			ends[o] = begin
		default:
			if !o.start.IsZero() {
				begin = o.start
			}
			ends[o] = later(begin.Add(o.usual), now)
			known = known || o.usual > 0
		}
		last = later(last, ends[o])
	}
	if !known {
		return 0
	}
	return last.Sub(f.begun)
}
