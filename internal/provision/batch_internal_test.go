package provision

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestReadsAtTheSameTimeAreOneCall has several resources read, first and later.
func TestReadsAtTheSameTimeAreOneCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		b := newBatch(func(context.Context) ([]int, error) {
			calls++
			n := calls
			time.Sleep(time.Second)
			return []int{n}, nil
		})
		together := func(want int, whos ...string) {
			t.Helper()
			var all sync.WaitGroup
			for _, who := range whos {
				all.Go(func() {
					if got, err := b.look(t.Context(), who); err != nil || got[0] != want {
						t.Errorf("%s got the answer to call %v, %v, want %d", who, got, err, want)
					}
				})
			}
			all.Wait()
		}
		together(1, "a", "b")
		together(1, "c") // its first look
		together(2, "a", "b", "c")
		together(3, "a")

		// One who comes while a call is on its way is answered by the next.
		var all sync.WaitGroup
		all.Go(func() { together(4, "a") })
		time.Sleep(1200 * time.Millisecond) // it waits for others for half of what a call takes
		together(5, "b")
		all.Wait()
	})
}

// TestWhoSharesACallIsNotCancelledWithWhoMakesIt cancels the one whose call others wait for.
func TestWhoSharesACallIsNotCancelledWithWhoMakesIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBatch(func(ctx context.Context) ([]int, error) {
			select {
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case <-time.After(time.Second):
				return []int{1}, nil
			}
		})
		for _, who := range []string{"a", "b"} { // the first looks are over
			if _, err := b.look(t.Context(), who); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var both sync.WaitGroup
		both.Go(func() {
			if _, err := b.look(ctx, "a"); !errors.Is(err, context.Canceled) {
				t.Errorf("who was cancelled got %v", err)
			}
		})
		synctest.Wait()
		both.Go(func() {
			if got, err := b.look(t.Context(), "b"); err != nil || len(got) != 1 {
				t.Errorf("who shares the call got %v, %v", got, err)
			}
		})
		time.Sleep(700 * time.Millisecond)
		cancel()
		both.Wait()
	})
}
