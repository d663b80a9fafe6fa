package graph_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// dish is a live thing with attributes of every kind.
type dish struct {
	size, color, kind, note string
	on, dusty               bool
	tags                    map[string]string
}

// dishAttributes is the table of things, with calls that note what they were sent.
func dishAttributes(sent *[]string) graph.Attributes[*dish] {
	note := func(format string, args ...any) { *sent = append(*sent, fmt.Sprintf(format, args...)) }
	shape := graph.Requesting(func() *[]string { return &[]string{"begun"} }, func(_ context.Context, in *[]string, changes []graph.Change) error {
		note("shape %s of %s", strings.Join(*in, " "), graph.Fields(changes))
		return nil
	})
	return graph.Attributes[*dish]{
		graph.Many("tag ", func(live, want *dish) []graph.Change {
			var out []graph.Change
			for _, k := range slices.Sorted(maps.Keys(want.tags)) {
				if live.tags[k] != want.tags[k] {
					out = append(out, graph.Change{Field: k, Have: live.tags[k], Want: want.tags[k]})
				}
			}
			return out
		}, graph.SetBy(func(_ context.Context, changes []graph.Change) error {
			note("tag %s", graph.Fields(changes))
			return nil
		})),
		graph.Field("size", func(l *dish) string { return l.size }, shape.PutWanted(func(in *[]string, c graph.Change) { *in = append(*in, c.Want) })).
			Down(func(live *dish, c graph.Change) string { return live.kind + " is away from " + c.Have }),
		graph.Field("kind", func(l *dish) string { return l.kind }, graph.Fixed("a thing keeps its kind").Hint(hint.New("make it anew"))),
		graph.Field("note", func(l *dish) string { return l.note }, shape.Put(func(in *[]string) { *in = append(*in, "noted") })).
			FixedIf(func(live, _ *dish) (r graph.Remedy) {
				if live.note == "carved" {
					r = graph.Fixed("it is carved in")
				}
				return r
			}),
		graph.Compared("dust", func(live, want *dish) (have, wanted string, differ bool) {
			return live.size + " sizes", "none", live.dusty || live.size > want.size
		}, shape.Put(func(in *[]string) { *in = append(*in, "dusted") })).Alone(),
		graph.Flag("on", func(l *dish) bool { return l.on }, graph.SetBy(func(context.Context, []graph.Change) error {
			note("on")
			return errors.New("no power")
		})),
		graph.Field("color", func(l *dish) string { return l.color }, shape.Put(func(in *[]string) { *in = append(*in, "painted") })).
			Same(strings.EqualFold).Shown("a nice one").When(func(live, _ *dish) bool { return live.color != "" }).
			Retain(func(live, _ *dish) string {
				if live.color == "gold" {
					return "it is worth more"
				}
				return ""
			}),
	}
}

func TestAttributesAreCompared(t *testing.T) {
	t.Parallel()
	want := dish{size: "2", color: "red", kind: "round", tags: map[string]string{"a": "1", "b": "2"}}
	for drift, live := range map[string]dish{
		"": {size: "2", color: "RED", kind: "round", tags: map[string]string{"a": "1", "b": "2", "c": "3"}},
		"size: 1 → 2 (round is away from 1); tag b: (none) → 2":            {size: "1", kind: "round", tags: map[string]string{"a": "1"}},
		"kind: flat → round blocked, a thing keeps its kind: make it anew": {size: "2", kind: "flat", tags: want.tags},
		"color: blue → a nice one; on: true → false":                       {size: "2", color: "blue", kind: "round", on: true, tags: want.tags},
		"note: carved → (none) blocked, it is carved in":                   {size: "2", note: "carved", kind: "round", tags: want.tags},
		"note: penned → (none)":                                            {size: "2", note: "penned", kind: "round", tags: want.tags},
		"size: 3 → 2 (round is away from 3)":                               {size: "3", kind: "round", tags: want.tags},
		"dust: 2 sizes → none":                                             {size: "2", kind: "round", tags: want.tags, dusty: true},
		"retained color: gold → a nice one, it is worth more":              {size: "2", color: "gold", kind: "round", tags: want.tags},
	} {
		var out []string
		changes, retained := dishAttributes(nil).Compare(&live, &want)
		for _, c := range changes {
			text := c.String()
			if c.Blocked != "" {
				text += " blocked, " + c.Reason().String()
			}
			if c.Downtime != "" {
				text += " (" + c.Downtime + ")"
			}
			out = append(out, text)
		}
		for _, c := range retained {
			out = append(out, "retained "+c.String()+", "+c.Blocked)
		}
		if got := strings.Join(out, "; "); got != drift {
			t.Errorf("%+v: %q, want %q", live, got, drift)
		}
	}
}

func TestEachCallIsSentOnceInTheOrderOfTheTable(t *testing.T) {
	t.Parallel()
	change := func(fields ...string) (out []graph.Change) {
		for _, f := range fields {
			out = append(out, graph.Change{Field: f, Want: "9"})
		}
		return out
	}
	for _, test := range []struct {
		changes []graph.Change
		sent    []string
		err     string
	}{
		{change("color", "size", "tag b", "tag a"), []string{"tag tag b, tag a", "shape begun 9 painted of size, color"}, ""},
		{change("color", "on"), []string{"on"}, "no power"},
		{change("tag a", "kind"), nil, "kind: a thing keeps its kind"},
		{change("tag a", "weight"), nil, "one of tag a, weight is no attribute"},
		{nil, nil, ""},
	} {
		var sent []string
		err := dishAttributes(&sent).Set(t.Context(), test.changes)
		if said := fmt.Sprint(err); (err == nil) != (test.err == "") || !strings.Contains(said, test.err) {
			t.Errorf("%s: %v, want %q", graph.Fields(test.changes), err, test.err)
		}
		if diff := cmp.Diff(test.sent, sent); diff != "" {
			t.Errorf("%s (-want +sent):\n%s", graph.Fields(test.changes), diff)
		}
	}
}

func TestAnAttributeIsSetOrRefusedForAReason(t *testing.T) {
	t.Parallel()
	size := func(l *dish) string { return l.size }
	for want, table := range map[string]graph.Attributes[*dish]{
		"":                                 dishAttributes(nil),
		`"size" has neither a call`:        {graph.Field("size", size, graph.Remedy{})},
		`attribute "size" is there twice`:  {graph.Field("size", size, graph.Fixed("no")), graph.Field("size", size, graph.Fixed("no"))},
		`attribute "tag a" is there twice`: {graph.Many[*dish]("tag ", nil, graph.Fixed("no")), graph.Field("tag a", size, graph.Fixed("no"))},
		`attribute "tag" is there twice`:   {graph.Many[*dish]("tag a", nil, graph.Fixed("no")), graph.Many[*dish]("tag", nil, graph.Fixed("no"))},
	} {
		if err := table.Check(); (err == nil) != (want == "") || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// shaped is a resource with a Shape, on a cloud that has one thing.
type shaped struct {
	graph.NodeOf[*dish]
	live *dish
	st   graph.State
	sent []string
}

func (s *shaped) Read(context.Context) (*dish, graph.State, error) { return s.live, s.st, nil }
func (s *shaped) Wanted(live *dish) *dish                          { return &dish{size: "2", kind: live.kind} }
func (s *shaped) Attributes() graph.Attributes[*dish]              { return dishAttributes(&s.sent) }

func (s *shaped) AdjustPhase(live *dish, st graph.State) graph.State {
	if len(st.Drift) > 0 {
		st.Note = live.kind + " differs"
	}
	return st
}

func TestAShapeIsReadComparedAndSet(t *testing.T) {
	t.Parallel()
	s := &shaped{live: &dish{size: "1", kind: "round"}, st: graph.State{Phase: graph.Ready, ID: "id"}}
	s.NodeOf = graph.Of(s, "thing", 0)
	if s.Last() != nil {
		t.Errorf("before it was read: %v", s.Last())
	}
	found := graph.Observe(t.Context(), []graph.Finder{s}, graph.Options{})
	if f := found[0]; f.Err != nil || f.ID != "id" || graph.Fields(f.Drift) != "size" || f.Note != "round differs" || s.Last() != s.live {
		t.Errorf("found %+v, last %v", f, s.Last())
	}
	if err := s.Update(t.Context(), found[0].Drift); err != nil || !slices.Equal(s.sent, []string{"shape begun 2 of size"}) {
		t.Errorf("sent %q, %v", s.sent, err)
	}
	s.st.Phase = graph.Terminating
	if st, err := s.Find(t.Context()); err != nil || st.Drift != nil {
		t.Errorf("one that goes: %+v, %v", st, err)
	}
	s.live, s.st = nil, graph.State{Phase: graph.Absent}
	if st, err := s.Find(t.Context()); err != nil || st.Drift != nil || s.Last() != nil {
		t.Errorf("one that is gone: %+v, %v, last %v", st, err, s.Last())
	}
	if err := s.CheckAttributes(); err != nil {
		t.Error(err)
	}
}
