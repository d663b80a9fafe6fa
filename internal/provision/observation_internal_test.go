package provision

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// counter is a kind of thing whose reads take a second and return their number.
type counter struct {
	reading[int]
	calls int
	fail  error
}

func (c *counter) read(context.Context) (int, error) {
	c.calls++
	n := c.calls
	time.Sleep(time.Second)
	return n, c.fail
}

// together has several read at the same time, who all get the answer to that call.
func (c *counter) together(ctx context.Context, t *testing.T, readers, want int) {
	t.Helper()
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			if got, err := c.readShared(ctx, c.read); !errors.Is(err, c.fail) || got != want {
				t.Errorf("got the answer to call %v, %v, want %d", got, err, want)
			}
		})
	}
	all.Wait()
}

// TestAnObservationReadsOnce reads while the engine observes, and after that.
func TestAnObservationReadsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c counter
		observing := graph.WhileObserving(t.Context())
		c.together(observing, t, 2, 1)
		c.together(observing, t, 1, 1)
		if got, err := c.readOnce(t.Context(), c.read); err != nil || got != 2 {
			t.Errorf("after the observation: the answer to call %v, %v", got, err)
		}
		c.together(observing, t, 1, 1) // it stays as it was
		time.Sleep(observationAge)
		c.together(observing, t, 2, 3)
		time.Sleep(observationAge + time.Second)
		c.fail = errors.New("throttled")
		c.together(observing, t, 2, 4)
		c.fail = nil
		c.together(observing, t, 2, 5)
	})
}

// TestReadsAtTheSameTimeAreOneCall has several read outside of an observation.
func TestReadsAtTheSameTimeAreOneCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c counter
		c.together(t.Context(), t, 3, 1)
		c.together(t.Context(), t, 1, 2)

		// One who comes while a call is on its way is answered by the next.
		var all sync.WaitGroup
		all.Go(func() { c.together(t.Context(), t, 1, 3) })
		time.Sleep(1200 * time.Millisecond) // it waits for others for half of what a call takes
		c.together(t.Context(), t, 1, 4)
		all.Wait()
	})
}

// TestWhoSharesACallIsNotCancelledWithWhoMakesIt cancels the one whose call others wait for.
func TestWhoSharesACallIsNotCancelledWithWhoMakesIt(t *testing.T) {
	t.Parallel()
	for name, observe := range map[string]bool{"observing": true, "after that": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var r reading[int]
				read := func(ctx context.Context) (int, error) {
					select {
					case <-ctx.Done():
						return 0, context.Cause(ctx)
					case <-time.After(time.Second):
						return 1, nil
					}
				}
				others := t.Context()
				if observe {
					others = graph.WhileObserving(others)
				}
				ctx, cancel := context.WithCancel(others)
				var both sync.WaitGroup
				both.Go(func() {
					if _, err := r.readShared(ctx, read); !errors.Is(err, context.Canceled) {
						t.Errorf("who was cancelled got %v", err)
					}
				})
				synctest.Wait()
				both.Go(func() {
					if got, err := r.readShared(others, read); err != nil || got != 1 {
						t.Errorf("who shares the call got %v, %v", got, err)
					}
				})
				time.Sleep(700 * time.Millisecond)
				cancel()
				both.Wait()
			})
		})
	}
}

// TestACallThatPanicsHasNoAnswer has a call panic that others wait for.
func TestACallThatPanicsHasNoAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var (
			r       reading[int]
			panics  = func(context.Context) (int, error) { time.Sleep(time.Second); panic("a bug") }
			waiting sync.WaitGroup
		)
		for name, ctx := range map[string]context.Context{"observing": graph.WhileObserving(t.Context()), "later": t.Context()} {
			waiting.Go(func() {
				defer func() { _ = recover() }() // as the engine does
				_, _ = r.readShared(ctx, panics)
			})
			synctest.Wait()
			waiting.Go(func() {
				if got, err := r.readShared(ctx, panics); err == nil {
					t.Errorf("%s: who waits is answered %d", name, got)
				}
			})
			waiting.Wait()
		}
	})
}
