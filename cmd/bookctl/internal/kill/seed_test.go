package kill_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/provision"
)

// storm is AWS on a bad day: calls are throttled, answers get lost, and what
// was made stays unseen for some reads and a moment.
func storm(seed uint64) localcloud.Faults {
	return localcloud.Faults{Seed: seed, Throttle: 0.2, LostResponses: 0.05, HiddenReads: 2, HiddenSeconds: 0.2}
}

// TestKilledInAStorm kills an up and a destroy at a write that the seed picks,
// while the cloud misbehaves, and lets others heal and remove what is there.
// BOOKCTL_SEED repeats one seed.
func TestKilledInAStorm(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	first, seeds := uint64(time.Now().UnixNano()), uint64(20/stride)
	if s := os.Getenv("BOOKCTL_SEED"); s != "" {
		var err error
		if first, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("BOOKCTL_SEED: %v", err)
		}
		seeds = 1
	}
	var (
		wg   sync.WaitGroup
		next atomic.Uint64
	)
	for range min(2*workers, seeds) {
		a := openAccount(t, localcloud.Config{})
		// A hundredth of the pause that users have: there is nobody here to be spared.
		a.retry = func() aws.Retryer { return provision.NewRetryer(100 * time.Millisecond) }
		wg.Go(func() {
			for !t.Failed() {
				i := next.Add(1) - 1
				if i >= seeds {
					return
				}
				begun := time.Now()
				if err := a.weathers(t.Context(), first+i); err != nil {
					t.Errorf("repeat with BOOKCTL_SEED=%d: %v", first+i, err)
					return
				}
				t.Logf("seed %d: %s", first+i, time.Since(begun).Round(time.Millisecond))
			}
		})
	}
	wg.Wait()
}

// weathers kills an up and a destroy in a storm. Censuses are taken in calm.
func (a *account) weathers(ctx context.Context, seed uint64) error {
	a.SetFaults(storm(seed))
	defer a.SetFaults(localcloud.Faults{})
	random := rand.New(rand.NewPCG(seed, 0))
	n, m := 1+random.IntN(a.ups), 1+random.IntN(a.destroys)
	write, err := a.killed(ctx, a.up, n, side(random.IntN(2) == 0))
	if err != nil {
		return err
	}
	// Behind a run that was cut off, bookctl's up looks once more at its end: what
	// that run made last may show only then.
	if err := a.up(ctx, &wire{retry: a.retry}); err != nil {
		return fmt.Errorf("an up killed at write %d, %s: up: %w", n, write, err)
	}
	if err := a.heal(ctx); err != nil {
		return fmt.Errorf("an up killed at write %d, %s: %w", n, write, err)
	}
	if write, err = a.killed(ctx, a.destroy, m, side(random.IntN(2) == 0)); err != nil {
		return err
	}
	if err := a.vanish(ctx); err != nil {
		return fmt.Errorf("a destroy killed at write %d, %s: %w", m, write, err)
	}
	return nil
}
