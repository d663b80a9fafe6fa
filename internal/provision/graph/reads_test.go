package graph_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// counted is a thing whose reads are in the journal of its world, too.
type counted struct{ *thing }

func (c counted) Find(ctx context.Context) (graph.State, error) {
	st, err := c.thing.Find(ctx)
	return st, c.w.noted("read", c.Name(), err)
}

// noted writes to the journal.
func (w *world) noted(verb, name string, err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.journal = append(w.journal, verb+" "+name)
	return err
}

func TestAnAbsentResourceIsReadAgainOnlyAfterAKilledRun(t *testing.T) {
	t.Parallel()
	for cutOff, want := range map[bool][]string{
		false: {"read a", "create a", "read a"},
		true:  {"read a", "read a", "create a", "read a"},
	} {
		w := newWorld()
		o := us
		o.AfterCutOff = cutOff
		if _, err := graph.Up(t.Context(), []graph.Maker{counted{w.thing("a")}}, o); err != nil {
			t.Fatal(err)
		}
		if got := w.calls(); !slices.Equal(got, want) {
			t.Errorf("behind a killed run %t: %v, want %v", cutOff, got, want)
		}
	}
}

func TestACreateThatIsRefusedForTheSameReasonIsNotFollowedByARead(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fail["create a"] = []error{errBusy, errBusy, errBusy}
	o := us
	o.Transient = busy
	if _, err := graph.Up(t.Context(), []graph.Maker{counted{w.thing("a")}}, o); err != nil {
		t.Fatal(err)
	}
	want := []string{"read a", "create a", "read a", "create a", "create a", "create a", "read a"}
	if got := w.calls(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// described is a thing whose create call returns what it is: with a color that is to be red.
type described struct {
	graph.NodeOf[*string]
	w     *world
	color string
}

func newDescribed(w *world, color string) *described {
	t := &described{w: w, color: color}
	t.NodeOf = graph.Of(t, "a", time.Minute)
	return t
}

var toldState = graph.State{Phase: graph.Ready, ID: "id", Owner: "us"}

func (t *described) Read(context.Context) (*string, graph.State, error) {
	if err := t.w.call("read", "a"); err != nil {
		return nil, graph.State{}, err
	}
	if !slices.Contains(t.w.calls(), "create a") {
		return nil, graph.State{Phase: graph.Absent}, nil
	}
	return &t.color, toldState, nil
}

func (t *described) Wanted(*string) *string { red := "red"; return &red }

func (t *described) Attributes() graph.Attributes[*string] {
	return graph.Attributes[*string]{graph.Field("color", func(s *string) string { return *s }, graph.SetBy(func(context.Context, []graph.Change) error {
		t.color = "red"
		return t.w.call("paint", "a")
	}))}
}

func (t *described) Create(context.Context) (string, error) {
	color := t.color
	t.Answer(&color, toldState)
	return "id", t.w.call("create", "a")
}

func TestWhatACreateCallAnswersIsNotRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		color  string
		cutOff bool
		want   []string
	}{
		"as it is wanted":     {"red", false, []string{"read a", "create a"}},
		"to be changed":       {"blue", false, []string{"read a", "create a", "paint a", "read a"}},
		"behind a killed run": {"red", true, []string{"read a", "read a", "create a", "read a"}},
	} {
		w := newWorld()
		o := us
		o.AfterCutOff = c.cutOff
		r, err := graph.Up(t.Context(), []graph.Maker{newDescribed(w, c.color)}, o)
		if s := step(r, "a"); err != nil || s.Action != graph.Created || s.ID != "id" {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		if got := w.calls(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// passing is a thing that is gone when its deletion is accepted.
type passing struct{ counted }

func (passing) DeletesSynchronously() {}

func TestDestroyReadsOnceWhatIsDeletedSynchronously(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cutOff bool
		make   func(*thing) graph.Finder
		want   []string
	}{
		"gone at once":                      {false, func(a *thing) graph.Finder { return passing{counted{a}} }, []string{"read a", "delete a"}},
		"gone some time after":              {false, func(a *thing) graph.Finder { return counted{a} }, []string{"read a", "delete a", "read a"}},
		"gone at once, behind a killed run": {true, func(a *thing) graph.Finder { return passing{counted{a}} }, []string{"read a", "read a", "delete a", "read a"}},
	} {
		w := newWorld()
		a := w.thing("a")
		w.put("a", graph.State{Phase: graph.Ready, ID: "id", Owner: "us"})
		o := us
		o.AfterCutOff = c.cutOff
		r, err := graph.Destroy(t.Context(), []graph.Finder{c.make(a)}, o)
		if r.Count(graph.Deleted) != 1 || err != nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if got := w.calls(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// slowToDelete is a resource whose deletion usually takes eight seconds.
type slowToDelete struct {
	counted
	asked, looked *time.Time // when it was, first
}

func (l slowToDelete) ExpectDeleted() time.Duration { return 8 * time.Second }

func (l slowToDelete) Delete(ctx context.Context) error {
	*l.asked = time.Now()
	return l.counted.Delete(ctx)
}

func (l slowToDelete) Find(ctx context.Context) (graph.State, error) {
	if !l.asked.IsZero() && l.looked.IsZero() {
		*l.looked = time.Now()
	}
	return l.counted.Find(ctx)
}

func TestWhatTakesTimeToGoIsNotReadWhenItsDeletionIsAccepted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := slowToDelete{counted{w.thing("a")}, &time.Time{}, &time.Time{}}
		w.put("a", graph.State{Phase: graph.Ready, ID: "id", Owner: "us"})
		r, err := graph.Destroy(t.Context(), []graph.Finder{a}, us)
		if r.Count(graph.Deleted) != 1 || err != nil {
			t.Errorf("%+v, %v", r, err)
		}
		if after := a.looked.Sub(*a.asked); after != time.Second {
			t.Errorf("it was read %s after its deletion was accepted, want a second", after)
		}
	})
}

// settled is a thing of which a change holds when it is accepted, or not.
type settled struct {
	*described
	holds    bool
	repeated bool // the call is sent twice
}

func (s settled) Update(ctx context.Context, changes []graph.Change) error {
	if s.repeated {
		graph.Repeated(ctx)
	}
	return s.described.Update(ctx, changes)
}

func (s settled) UpdatesSynchronously(changes []graph.Change) bool {
	return s.holds && changes[0].Field == "color"
}

func TestWhatIsUpdatedSynchronouslyIsNotReadAfterwards(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		holds, repeated, cutOff bool
		want                    []string
	}{
		"set at once":                          {true, false, false, []string{"read a", "create a", "paint a"}},
		"set some time after":                  {false, false, false, []string{"read a", "create a", "paint a", "read a"}},
		"set at once, by a call sent twice":    {true, true, false, []string{"read a", "create a", "paint a", "read a"}},
		"set at once, but behind a killed run": {true, false, true, []string{"read a", "read a", "create a", "read a", "paint a", "read a"}},
	} {
		w := newWorld()
		o := us
		o.AfterCutOff = c.cutOff
		_, err := graph.Up(t.Context(), []graph.Maker{settled{newDescribed(w, "blue"), c.holds, c.repeated}}, o)
		if got := w.calls(); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v; %v", name, got, c.want, err)
		}
	}
}

func TestACreateThatNamesWhatIsNotUsableYetIsNotFollowedByARead(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fail["create user"] = []error{errBusy, errBusy}
	role := counted{w.thing("role")}
	user := counted{&thing{graph.Named("user", time.Minute, role), w, graph.State{Phase: graph.Ready, ID: "u", Owner: "us"}}}
	o := us
	o.Propagating, o.Pace = func(err error, _ []string) (string, bool) { return "not known yet", errors.Is(err, errBusy) }, 0.01
	if _, err := graph.Up(t.Context(), []graph.Maker{role, user}, o); err != nil {
		t.Fatal(err)
	}
	got := slices.DeleteFunc(w.calls(), func(call string) bool { return !strings.HasSuffix(call, "user") })
	want := []string{"read user", "create user", "create user", "create user", "read user"}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
