package sorted_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bookctl/bookctl/internal/sorted"
)

func TestBySortsAsSlicesDoes(t *testing.T) {
	t.Parallel()
	type item struct {
		key   int
		place int // before it was sorted
	}
	for n := range 200 {
		var have []item
		for place := range n {
			have = append(have, item{rand.IntN(10), place})
		}
		want := slices.Clone(have)
		byKey := func(a, b item) int { return a.key - b.key }
		slices.SortStableFunc(want, byKey)
		if sorted.By(have, byKey); !slices.Equal(have, want) {
			t.Fatalf("%v, want %v", have, want)
		}
	}
}
