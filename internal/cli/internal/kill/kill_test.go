package kill_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// workers are the clouds that the kill points of one side are spread over.
const workers = 2

// TestKilledAtEveryWrite stops a first up at each of its writes. Then up has to
// leave exactly one of each, and yet another up has to write nothing; the
// destroy after that is stopped at one of its writes, too, all of which get
// their turn, and the next destroy has to leave nothing. And without an up in
// between, destroy has to leave nothing either.
func TestKilledAtEveryWrite(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	for _, side := range []side{beforeSent, afterDone} {
		t.Run(side.String(), func(t *testing.T) {
			t.Parallel()
			var (
				wg   sync.WaitGroup
				next atomic.Int64
			)
			for range workers {
				a := openAccount(t, localcloud.Config{})
				wg.Go(func() {
					for {
						n := 1 + stride*int(next.Add(1)-1)
						if t.Context().Err() != nil {
							return
						}
						begun := time.Now()
						write, err := a.survives(t.Context(), n, side)
						if err != nil {
							t.Errorf("%s write %d of up, %s: %v", side, n, write, err)
							if err := a.vanish(t.Context()); err != nil {
								t.Errorf("and then: %v", err)
								return
							}
							continue
						}
						if write == "" {
							return
						}
						t.Logf("%s write %d, %s: %s", side, n, write, time.Since(begun).Round(time.Millisecond))
					}
				})
			}
			wg.Wait()
			// The last number is that of a run which had no such write.
			if n := int(next.Load()) - workers; n < 50/stride {
				t.Errorf("an up was killed at %d writes only", n)
			}
		})
	}
}

// survives kills an up at its n-th write, and returns which that was.
func (a *account) survives(ctx context.Context, n int, side side) (write string, err error) {
	if write, err = a.killed(ctx, a.up, n, side); err != nil {
		return write, err
	}
	if err := a.heal(ctx); err != nil {
		return write, err
	}
	m := 1 + (n-1)%a.destroys
	second, err := a.killed(ctx, a.destroy, m, side)
	if err != nil {
		return write, err
	}
	if err := a.vanish(ctx); err != nil {
		return write, fmt.Errorf("a destroy %s write %d, %s: %w", side, m, second, err)
	}
	if write == "" {
		return "", nil
	}
	if _, err := a.killed(ctx, a.up, n, side); err != nil {
		return write, err
	}
	return write, a.vanish(ctx)
}
