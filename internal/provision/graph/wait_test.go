package graph

import (
	"testing"
	"time"
)

// TestTheEndOfAWaitIsNoticedSoonWithFewLooks plays waits of several lengths on
// a clock of its own.
func TestTheEndOfAWaitIsNoticedSoonWithFewLooks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name           string
		expect, really time.Duration
		late           float64 // at most, as a share of the wait
		looks          int     // at most
	}{
		{"as expected", 5 * time.Minute, 5 * time.Minute, 0.04, 20},
		{"twice as long", 5 * time.Minute, 10 * time.Minute, 0.03, 50},
		{"half as long", 5 * time.Minute, 150 * time.Second, 0.06, 6},
		{"scaled to a hundredth", 3 * time.Second, 3 * time.Second, 0.04, 20},
		{"much shorter than expected", 5 * time.Minute, 20 * time.Second, 1, 3},
		{"nothing expected", 0, 5 * time.Minute, 0.04, 250},
	} {
		var clock time.Duration
		looks := 0
		for clock < test.really {
			clock += max(minPause, pace(clock, test.expect))
			looks++
		}
		late := float64(clock-test.really) / float64(test.really)
		if late > test.late || looks > test.looks {
			t.Errorf("%s: noticed %.1f %% late after %d looks, want at most %.0f %% and %d", test.name, 100*late, looks, 100*test.late, test.looks)
		}
	}
}
