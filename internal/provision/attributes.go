package provision

import (
	"maps"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/sorted"
)

// Rows that the tables of several resources have.

// tagAttribute is the attribute of the tags that a resource has.
func tagAttribute[L any](of func(L) map[string]string, r graph.Remedy) graph.Attribute[L] {
	return graph.Many(fieldTag, func(live, want L) []graph.Change {
		return append(keyDrift(of(live), of(want)), droppedDrift(of(live), of(want))...)
	}, r)
}

// recordAttribute is the attribute of the settings that a resource records on another one
// for those that read them; see recordDrift.
func recordAttribute[L any](differ func(live, want L) []graph.Change, r graph.Remedy) graph.Attribute[L] {
	return graph.Many(fieldRecorded, differ, r)
}

// surplus is how a resource differs by what it has and should not have, by the field of
// each and what it is.
func surplus(have map[string]string) []graph.Change {
	var out []graph.Change
	for _, k := range slices.Sorted(maps.Keys(have)) {
		out = append(out, graph.Change{Field: k, Have: have[k]})
	}
	return out
}

// inAnyOrder is the text of a list whose order means nothing.
func inAnyOrder(list []string) string {
	return strings.Join(slices.Sorted(slices.Values(list)), " ")
}

var absent = graph.State{Phase: graph.Absent}

func hasTagDrift(changes []graph.Change) bool {
	return slices.ContainsFunc(changes, func(c graph.Change) bool { return strings.HasPrefix(c.Field, fieldTag) })
}

func hasField(changes []graph.Change, field string) bool {
	return slices.ContainsFunc(changes, func(c graph.Change) bool { return c.Field == field })
}

func sortChanges(changes []graph.Change) {
	sorted.By(changes, func(a, b graph.Change) int { return strings.Compare(a.Field, b.Field) })
}
