package provision

import (
	"maps"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Rows that the tables of several resources have.

// tagAttribute is the attribute of the tags that a resource has.
func tagAttribute[L any](of func(*L) map[string]string, r graph.Remedy) graph.Attribute[L] {
	return graph.Many(fieldTag, func(live, want *L) []graph.Change { return keyDrift(of(live), of(want)) }, r)
}

// keyAttributes are attributes that a thing has by key, in the order of keys: of each,
// by of, the value. Those of the map are compared and no others.
func keyAttributes[L any](keys map[string]string, of func(l *L, key string) string, r func(key, want string) graph.Remedy) graph.Attributes[L] {
	var out graph.Attributes[L]
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		out = append(out, graph.Field(k, func(l *L) string { return of(l, k) }, r(k, keys[k])))
	}
	return out
}

// reported says that a thing tells an attribute: regions and emulators learn of new
// ones at different times, and one that is not told has not been changed.
func reported[L any](all graph.Attributes[L], of func(l *L, key string) string, keys map[string]string) graph.Attributes[L] {
	for i, k := range slices.Sorted(maps.Keys(keys)) {
		all[i] = all[i].When(func(live, _ *L) bool { return of(live, k) != "" })
	}
	return all
}

// surplus is how a thing differs by what it has and should not have, by the field of
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
