// Package sorted sorts slices of structures with one copy of the algorithm in the
// program. Package slices has one for each type of element, of 15 to 25 kB.
package sorted

import "sort"

// By sorts s as slices.SortStableFunc does.
func By[T any](s []T, compare func(a, b T) int) {
	sort.SliceStable(s, func(i, j int) bool { return compare(s[i], s[j]) < 0 })
}
