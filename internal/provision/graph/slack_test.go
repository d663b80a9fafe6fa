package graph_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// timed is a resource that becomes ready after a time, which is the usual one or not.
type timed struct {
	counted
	usual, takes time.Duration
	created      *time.Time
}

func newTimed(w *world, name string, usual, takes time.Duration, needs ...graph.Finder) timed {
	return timed{counted{&thing{graph.Named(name, time.Hour, needs...), w, graph.State{Phase: graph.Pending, ID: name, Owner: "us"}}}, usual, takes, &time.Time{}}
}

func (l timed) Expect() time.Duration { return l.usual }

func (l timed) Create(ctx context.Context) (string, error) {
	*l.created = time.Now()
	return l.counted.Create(ctx)
}

func (l timed) Find(ctx context.Context) (graph.State, error) {
	st, err := l.counted.Find(ctx)
	if st.Phase == graph.Pending && time.Since(*l.created) >= l.takes {
		st.Phase = graph.Ready
	}
	return st, err
}

func TestWhatNobodyWaitsForYetIsReadLessOften(t *testing.T) {
	t.Parallel()
	balancer := func(w *world) timed { return newTimed(w, "balancer", 160*time.Second, 165*time.Second) }
	for name, c := range map[string]struct {
		parts func(*world) []graph.Maker
		reads int
		ends  time.Duration
	}{
		"it is waited for": {func(w *world) []graph.Maker {
			b := balancer(w)
			return []graph.Maker{b, w.thing("service", b)}
		}, 10, 169 * time.Second},
		"its user waits for the database": {func(w *world) []graph.Maker {
			b, d := balancer(w), newTimed(w, "database", 300*time.Second, 290*time.Second)
			return []graph.Maker{d, b, w.thing("service", b, d)}
		}, 5, 293 * time.Second},
		"a user of its user waits for the database": {func(w *world) []graph.Maker {
			b, d := balancer(w), newTimed(w, "database", 300*time.Second, 290*time.Second)
			return []graph.Maker{d, b, w.thing("service", w.thing("listener", b), d)}
		}, 5, 293 * time.Second},
		"the run waits for the database": {func(w *world) []graph.Maker {
			return []graph.Maker{newTimed(w, "database", 300*time.Second, 290*time.Second), balancer(w)}
		}, 5, 293 * time.Second},
		"another user waits for nothing else": {func(w *world) []graph.Maker {
			b, d := balancer(w), newTimed(w, "database", 300*time.Second, 290*time.Second)
			slow := newTimed(w, "certificate", 60*time.Second, 60*time.Second, b)
			return []graph.Maker{d, b, w.thing("service", b, d), slow}
		}, 10, 293 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, begun := newWorld(), time.Now()
				if _, err := graph.Up(t.Context(), c.parts(w), us); err != nil {
					t.Fatal(err)
				}
				reads := 0
				for _, call := range w.calls() {
					if call == "read balancer" {
						reads++
					}
				}
				if took := time.Since(begun); reads != c.reads || took.Round(time.Second) != c.ends {
					t.Errorf("the balancer was read %d times, and the run took %s; want %d and %s", reads, took, c.reads, c.ends)
				}
			})
		})
	}
}

// later is a thing that is deleted after one that it needs.
type later struct {
	*thing
	after graph.Finder
}

func (l later) DeletesAfter(f graph.Finder) bool { return f == l.after }

func TestWhatIsDeletedLaterIsDeletedAfterWhatItNeeds(t *testing.T) {
	t.Parallel()
	w := newWorld()
	vpc := w.thing("vpc")
	subnet := w.thing("subnet", vpc)
	table := later{w.thing("table", vpc, subnet), subnet}
	for _, name := range []string{"vpc", "subnet", "table"} {
		w.put(name, graph.State{Phase: graph.Ready, ID: name, Owner: "us"})
	}
	if _, err := graph.Destroy(t.Context(), []graph.Finder{vpc, subnet, table}, us); err != nil {
		t.Fatal(err)
	}
	if got, want := w.calls(), []string{"delete subnet", "delete table", "delete vpc"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
