package provision_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/provision"
)

// lockParameters are what a lock has left in the cloud.
func lockParameters(t *testing.T, endpoint, stack string) []string {
	t.Helper()
	out, err := (&wire{}).clients(endpoint).SSM.GetParametersByPath(t.Context(), &ssm.GetParametersByPathInput{Path: aws.String("/bookctl/" + stack), Recursive: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range out.Parameters {
		names = append(names, *p.Name)
	}
	return names
}

// silence cuts a run off from the cloud, as if it were dead or suspended.
func (w *wire) silence(dead bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = dead
}

// TestLock uses one emulator for all: their stacks differ.
func TestLock(t *testing.T) {
	t.Parallel()
	endpoint := moto.Start(t)
	for name, test := range map[string]func(*testing.T, string){
		"two runs exclude each other":               twoRunsExcludeEachOther,
		"a dead holder's lock is taken over by one": deadHoldersLockIsTakenOverByOne,
		"a holder that slept goes on":               holderThatSleptGoesOnIfNobodyCame,
		"many interleavings":                        holdsUnderManyInterleavings,
	} {
		t.Run(name, func(t *testing.T) { test(t, endpoint) })
	}
}

func twoRunsExcludeEachOther(t *testing.T, endpoint string) {
	t.Parallel()
	ctx := t.Context()
	run := func(holder string) (*provision.Lock, error) {
		return provision.AcquireLock(ctx, (&wire{}).clients(endpoint).SSM, "alone", holder, provision.LockOptions{})
	}
	first, err := run("ada on engine, up")
	if err != nil {
		t.Fatal(err)
	}
	_, err = run("bob on difference, destroy")
	var locked *provision.LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("the second run got %v", err)
	}
	if locked.Holder != "ada on engine, up" || time.Since(locked.Since).Abs() > time.Minute || locked.Expires.Sub(locked.Since) < 9*time.Minute {
		t.Errorf("the second run is told %+v", locked)
	}
	other, err := provision.AcquireLock(ctx, (&wire{}).clients(endpoint).SSM, "staging", "bob", provision.LockOptions{})
	if err != nil {
		t.Errorf("another stack is locked too: %v", err)
	} else if err := other.Release(ctx); err != nil {
		t.Error(err)
	}
	tags, err := (&wire{}).clients(endpoint).SSM.ListTagsForResource(ctx, &ssm.ListTagsForResourceInput{ResourceType: "Parameter", ResourceId: aws.String("/bookctl/alone/lock/first")})
	if err != nil {
		t.Fatal(err)
	}
	var owned bool
	for _, tag := range tags.TagList {
		owned = owned || *tag.Key == provision.TagStack && *tag.Value == "alone"
	}
	if !owned {
		t.Errorf("the lock's tags are %v", tags.TagList)
	}
	if err := first.Guard(ctx); err != nil {
		t.Errorf("the holder may not write: %v", err)
	}
	if err := first.Release(ctx); err != nil {
		t.Fatal(err)
	}
	if err := first.Guard(ctx); err == nil {
		t.Error("a released lock still allows writes")
	}
	if left := lockParameters(t, endpoint, "alone"); !slices.Equal(left, []string{"/bookctl/alone/lock/first"}) {
		t.Errorf("release left %v", left)
	}
	if holder, err := provision.LockHolder(ctx, (&wire{}).clients(endpoint).SSM, "alone"); holder != nil || err != nil {
		t.Errorf("a released lock is held by %+v, %v", holder, err)
	}
	again, err := run("bob")
	if err != nil {
		t.Fatalf("a released lock can't be taken: %v", err)
	}
	if again.AfterDead() {
		t.Error("the lock that was given back counts as a dead run's")
	}
	again.Clear()
	if err := again.Release(ctx); err != nil {
		t.Error(err)
	}
	if left := lockParameters(t, endpoint, "alone"); left != nil {
		t.Errorf("of a stack that is no more, release left %v", left)
	}
}

// deadHoldersLockIsTakenOverByOne lets a holder fall silent, many others
// compete for its lock, and the holder wake up again.
func deadHoldersLockIsTakenOverByOne(t *testing.T, endpoint string) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	ctx := t.Context()
	// The service tells the time in whole seconds, so a lease is some of them.
	short := provision.LockOptions{Lease: 3 * time.Second}
	w := &wire{}
	sleeper, err := provision.AcquireLock(ctx, w.clients(endpoint).SSM, "dead", "sleeper", short)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(4 * time.Second)
	if err := sleeper.Guard(ctx); err != nil {
		t.Fatalf("a holder that shows signs of life lost its lock: %v", err)
	}
	if _, err := provision.AcquireLock(ctx, (&wire{}).clients(endpoint).SSM, "dead", "early", short); err == nil {
		t.Fatal("the lock of a living holder was taken over")
	}
	w.silence(true)
	time.Sleep(5 * time.Second)
	var won atomic.Int32
	var winner atomic.Pointer[provision.Lock]
	var wg sync.WaitGroup
	var turn sync.Mutex
	for range 12 {
		wg.Go(func() {
			l, err := provision.AcquireLock(ctx, (&wire{turn: &turn}).clients(endpoint).SSM, "dead", "contender", provision.LockOptions{Lease: time.Minute})
			var locked *provision.LockedError
			switch {
			case err == nil:
				won.Add(1)
				winner.Store(l)
			case !errors.As(err, &locked):
				t.Errorf("a contender failed: %v", err)
			}
		})
	}
	wg.Wait()
	if n := won.Load(); n != 1 {
		t.Fatalf("%d of 12 took the lock over", n)
	}
	w.silence(false)
	if err := sleeper.Guard(ctx); !errors.Is(err, provision.ErrLockLost) || !strings.Contains(err.Error(), "contender") {
		t.Errorf("the sleeper woke up and may go on: %v", err)
	}
	if err := sleeper.Release(ctx); !errors.Is(err, provision.ErrLockLost) {
		t.Errorf("the sleeper released another's lock: %v", err)
	}
	l := winner.Load()
	if err := l.Guard(ctx); err != nil {
		t.Errorf("the winner lost the lock to the sleeper: %v", err)
	}
	if err := l.Release(ctx); err != nil {
		t.Fatal(err)
	}
	if left := lockParameters(t, endpoint, "dead"); !slices.Equal(left, []string{"/bookctl/dead/lock/first"}) {
		t.Errorf("release left %v", left)
	}
}

// holderThatSleptGoesOnIfNobodyCame is the closed laptop: nobody wanted
// the lock, so the run may continue.
func holderThatSleptGoesOnIfNobodyCame(t *testing.T, endpoint string) {
	t.Parallel()
	ctx := t.Context()
	var slept atomic.Int64
	l, err := provision.AcquireLock(ctx, (&wire{}).clients(endpoint).SSM, "slept", "laptop", provision.LockOptions{
		Now: func() time.Time { return time.Now().Add(time.Duration(slept.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	slept.Store(int64(time.Hour))
	if err := l.Guard(ctx); err != nil {
		t.Fatal(err)
	}
	if err := l.Release(ctx); err != nil {
		t.Fatal(err)
	}
	if left := lockParameters(t, endpoint, "slept"); !slices.Equal(left, []string{"/bookctl/slept/lock/first"}) {
		t.Errorf("release left %v", left)
	}
}

// holdsUnderManyInterleavings lets runs come and go, and die, and looks
// whether two were ever inside at once.
func holdsUnderManyInterleavings(t *testing.T, endpoint string) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	ctx := t.Context()
	begun := time.Now()
	var inside, entered, died atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for entered.Load() < 25 && time.Since(begun) < 25*time.Second {
				w := &wire{}
				l, err := provision.AcquireLock(ctx, w.clients(endpoint).SSM, "many", "run", provision.LockOptions{Lease: 5 * time.Second})
				var locked *provision.LockedError
				if errors.As(err, &locked) {
					time.Sleep(time.Duration(50+rand.IntN(150)) * time.Millisecond)
					continue
				}
				if err != nil {
					t.Errorf("acquire: %v", err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d runs are inside", n)
				}
				entered.Add(1)
				time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
				if err := l.Guard(ctx); err != nil {
					t.Errorf("guard: %v", err)
				}
				inside.Add(-1)
				if rand.IntN(10) == 0 {
					w.silence(true) // killed
					died.Add(1)
					continue
				}
				if err := l.Release(ctx); err != nil {
					t.Errorf("release: %v", err)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d runs held the lock, %d of them died", entered.Load(), died.Load())
	if entered.Load() < 2 {
		t.Error("hardly anyone got the lock")
	}
}
