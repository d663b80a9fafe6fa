package graph_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// deaf accepts updates, deletions and creations, and shows some of them late or
// never.
type deaf struct {
	*thing
	after   int // the update, or deletion, that takes effect; 0 is none
	updates int
}

func (d *deaf) Update(context.Context, []graph.Change) error {
	if d.updates++; d.updates == d.after {
		d.w.put(d.Name(), graph.State{Phase: graph.Ready, ID: "id", Owner: "us"})
	}
	return nil
}

func (d *deaf) Delete(ctx context.Context) error {
	if d.updates++; d.updates == d.after {
		return d.thing.Delete(ctx)
	}
	return nil
}

// mute accepts a creation and never shows the thing.
type mute struct {
	*thing
	creates int
}

func (m *mute) Find(context.Context) (graph.State, error) {
	return graph.State{Phase: graph.Absent}, nil
}
func (m *mute) Create(context.Context) (string, error) { m.creates++; return "id", nil }

// TestWhatIsAcceptedWithoutEffectIsSentThreeTimes gives an endpoint settles of
// 10 ms instead of 15 s: it is sent a call after these, after 40 ms more, and given
// up 160 ms later.
func TestWhatIsAcceptedWithoutEffectIsSentThreeTimes(t *testing.T) {
	t.Parallel()
	o := graph.Options{Owner: "us", VisibilityDelay: 10 * time.Millisecond}
	drift := []graph.Change{{Field: "count", Have: "1", Want: "3"}, {Field: "exec", Have: "false", Want: "true"}}
	for _, c := range []struct {
		after, sent int
		fails       bool
	}{
		{after: 1, sent: 1},
		{after: 2, sent: 2},
		{after: 3, sent: 3},
		{after: 4, sent: 3, fails: true},
		{after: 0, sent: 3, fails: true},
	} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.put("a", graph.State{Phase: graph.Ready, ID: "id", Owner: "us", Drift: drift})
			d := &deaf{thing: w.thing("a"), after: c.after}
			_, err := graph.Up(t.Context(), []graph.Maker{d}, o)
			if d.updates != c.sent {
				t.Errorf("an update that shows at the %d. try was sent %d times, want %d", c.after, d.updates, c.sent)
			}
			if errors.Is(err, graph.ErrNotShown) != c.fails || !c.fails && err != nil {
				t.Errorf("an update that shows at the %d. try: %v", c.after, err)
			}
			if c.fails {
				for _, word := range []string{"a (id): the service accepted the change and does not show it: count: 1 → 3; exec: false → true (sent 3 times in "} {
					if !strings.Contains(err.Error(), word) {
						t.Errorf("%q is not in %v", word, err)
					}
				}
				if hint.Of(err).Empty() {
					t.Error("it is not said what to do next")
				}
			}

			w.put("b", graph.State{Phase: graph.Ready, ID: "id", Owner: "us"})
			gone := &deaf{thing: w.thing("b"), after: c.after}
			_, err = graph.Destroy(t.Context(), []graph.Finder{gone}, o)
			if gone.updates != c.sent || errors.Is(err, graph.ErrNotShown) != c.fails || !c.fails && err != nil {
				t.Errorf("a deletion that shows at the %d. try was sent %d times, want %d: %v", c.after, gone.updates, c.sent, err)
			}
		})
	}
	m := &mute{thing: newWorld().thing("a")}
	_, err := graph.Up(t.Context(), []graph.Maker{m}, o)
	if !errors.Is(err, graph.ErrNotShown) || m.creates != 1 {
		t.Errorf("a thing that never shows was made %d times, want once: %v", m.creates, err)
	}
}

// TestAChangeThatShowsPieceByPieceIsNotGivenUp has a service that takes one field
// of many at a time.
func TestAChangeThatShowsPieceByPieceIsNotGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld()
	p := &piecemeal{thing: w.thing("a")}
	for _, f := range []string{"a", "b", "c", "d", "e", "f"} {
		p.drift = append(p.drift, graph.Change{Field: f, Want: "1"})
	}
	w.put("a", graph.State{Phase: graph.Ready, ID: "id", Owner: "us", Drift: p.drift})
	o := graph.Options{Owner: "us", VisibilityDelay: 5 * time.Millisecond}
	if _, err := graph.Up(t.Context(), []graph.Maker{p}, o); err != nil || len(p.drift) > 0 {
		t.Errorf("%v is left: %v", p.drift, err)
	}

	// Where what is seen moves, it is another change each time.
	w = newWorld()
	grows := &growing{thing: w.thing("a")}
	w.put("a", graph.State{Phase: graph.Ready, ID: "id", Owner: "us", Drift: []graph.Change{{Field: "size", Have: "0", Want: "6"}}})
	if _, err := graph.Up(t.Context(), []graph.Maker{grows}, o); err != nil || grows.updates != 6 {
		t.Errorf("%d updates: %v", grows.updates, err)
	}
}

type piecemeal struct {
	*thing
	drift []graph.Change
}

func (p *piecemeal) Update(context.Context, []graph.Change) error {
	p.drift = slices.Delete(p.drift, 0, 1)
	p.w.put(p.Name(), graph.State{Phase: graph.Ready, ID: "id", Owner: "us", Drift: slices.Clone(p.drift)})
	return nil
}

type growing struct {
	*thing
	updates int
}

func (g *growing) Update(context.Context, []graph.Change) error {
	g.updates++
	st := graph.State{Phase: graph.Ready, ID: "id", Owner: "us"}
	if g.updates < 6 {
		st.Drift = []graph.Change{{Field: "size", Have: string(rune('0' + g.updates)), Want: "6"}}
	}
	g.w.put(g.Name(), st)
	return nil
}

// TestATimeoutHoldsWithinARead lets an endpoint take a look and not answer it.
func TestATimeoutHoldsWithinARead(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := &silent{thing: &thing{Node: graph.Named("a", 100*time.Millisecond), w: w}}
	begun := time.Now()
	o := graph.Options{VisibilityDelay: 10 * time.Millisecond, Ambiguous: func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }}
	_, err := graph.Up(t.Context(), []graph.Maker{s}, o)
	if !errors.Is(err, graph.ErrTimeout) || !strings.Contains(err.Error(), "no answer from nobody") {
		t.Errorf("%v, want a timeout that says what was waited for", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("a step with a timeout of 100 ms took %s", took)
	}
}

// silent answers the first look, and no other.
type silent struct {
	*thing
	looks int
}

func (s *silent) Find(ctx context.Context) (graph.State, error) {
	if s.looks++; s.looks == 1 {
		return graph.State{Phase: graph.Absent}, nil
	}
	<-ctx.Done()
	return graph.State{}, unheard{}
}

type unheard struct{}

func (unheard) Error() string  { return "no answer" }
func (unheard) Reason() string { return "no answer from nobody" }
func (unheard) Unwrap() error  { return context.DeadlineExceeded }

// TestAPanicIsTheErrorOfItsResource lets a resource panic in each of its methods.
func TestAPanicIsTheErrorOfItsResource(t *testing.T) {
	t.Parallel()
	w := newWorld()
	other := w.thing("b")
	_, err := graph.Up(t.Context(), []graph.Maker{panicking{w.thing("a")}, other}, us)
	var p *graph.Panic
	if !errors.As(err, &p) || len(p.Stack) == 0 || len(graph.Failures(err)) != 1 {
		t.Errorf("%v, want the panic of a", err)
	}
	if got := w.names(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("%v was made, want b", got)
	}
	if f := graph.Observe(t.Context(), []graph.Finder{blind{w.thing("a")}}, us); !errors.As(f[0].Err, &p) {
		t.Errorf("%v, want the panic of a", f[0].Err)
	}
}

type panicking struct{ *thing }

func (panicking) Create(context.Context) (string, error) { var s []string; return s[0], nil }

type blind struct{ *thing }

func (blind) Find(context.Context) (graph.State, error) { panic("blind") }
