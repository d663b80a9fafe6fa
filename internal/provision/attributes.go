package provision

import (
	"maps"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/provision/graph"
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
