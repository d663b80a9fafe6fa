package kill_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/runlock"
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
	t.Parallel()
	first, seeds := seedsFrom(t, 20/stride)
	var next atomic.Uint64
	for i := range min(2*workers, seeds) {
		t.Run(fmt.Sprintf("cloud %d", i), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				openInMemory(t).stormOverEach(t, first, seeds, func() uint64 { return next.Add(1) - 1 })
			})
		})
	}
}

// TestKilledInAStormWithRealParts is the same with what really runs.
func TestKilledInAStormWithRealParts(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	first, seeds := seedsFrom(t, 1)
	next := uint64(0)
	openReal(t).stormOverEach(t, first, seeds, func() uint64 { next++; return next - 1 })
}

// seedsFrom are the first seed and how many there are.
func seedsFrom(t *testing.T, many uint64) (first, seeds uint64) {
	t.Helper()
	s := os.Getenv("BOOKCTL_SEED")
	if s == "" {
		return uint64(time.Now().UnixNano()), many
	}
	first, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("BOOKCTL_SEED: %v", err)
	}
	return first, 1
}

// stormOverEach takes seeds, by their index, until there are no more.
func (a *account) stormOverEach(t *testing.T, first, seeds uint64, next func() uint64) {
	a.visibilityDelay = runlock.AWSVisibilityDelay / 10 // in this storm, things show after 0.2 s
	if a.retry == nil {
		// A hundredth of the pause that users have: nothing limits the requests here.
		a.retry = func() aws.Retryer { return provision.NewRetryer(100 * time.Millisecond) }
	}
	for i := next(); i < seeds; i = next() {
		if err := a.weathers(t.Context(), first+i); err != nil {
			t.Errorf("repeat with BOOKCTL_SEED=%d: %v", first+i, err)
			return
		}
	}
}

// weathers kills an up and a destroy in a storm, and then an up that destroy
// follows. Inventories are taken in calm.
func (a *account) weathers(ctx context.Context, seed uint64) error {
	a.SetFaults(storm(seed))
	defer a.SetFaults(localcloud.Faults{})
	random := rand.New(rand.NewPCG(seed, 0))
	for _, kill := range []struct {
		what   string
		run    func(context.Context, *wire) error
		writes int
		next   func(context.Context) error
	}{
		{"up", a.up, a.ups, a.heal},
		{"destroy", a.destroy, a.destroys, a.vanish},
		{"up", a.up, a.ups, a.vanish},
	} {
		n, side := 1+random.IntN(kill.writes), side(random.IntN(2) == 0)
		write, err := a.killed(ctx, kill.run, n, side)
		if err == nil {
			err = kill.next(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s %s write %d, %s: %w", kill.what, side, n, write, err)
		}
	}
	return nil
}
