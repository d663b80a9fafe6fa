package graph

import (
	"testing"
	"testing/synctest"
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
		{"a fifth as long", 5 * time.Minute, time.Minute, 1.5, 2},
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

// TestAPauseGrowsWithTheWait pauses after a wait, by a clock of its own.
func TestAPauseGrowsWithTheWait(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		waited time.Duration
		wakes  bool // it waits for something else first
		why    pausing
		want   time.Duration
	}{
		"an effect that may show at any moment":       {4 * time.Second, false, pausing{}, 4 * time.Second / pauseShare},
		"what names something that is not usable yet": {4 * time.Second, false, pausing{refused: true, unusable: true}, 4 * time.Second},
		"the same after minutes":                      {2 * time.Minute, false, pausing{refused: true, unusable: true}, maxPause},
		"what waits for something else":               {0, true, pausing{coming: true}, asleep},
		"what waits for something else for long":      {90 * time.Second, true, pausing{coming: true}, 90 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPoller(time.Hour, time.Second, func() time.Duration { return 10 * time.Hour })
				if test.wakes {
					p.wake = make(chan struct{})
				}
				time.Sleep(test.waited)
				begun := time.Now()
				if err := p.pause(t.Context(), test.why); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begun); took.Round(time.Millisecond) != test.want.Round(time.Millisecond) {
					t.Errorf("a pause of %s, want %s", took, test.want)
				}
			})
		})
	}
}
