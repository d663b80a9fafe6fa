package parameterstore_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/requestbody"
	"github.com/bookctl/bookctl/internal/runlock"
	"github.com/bookctl/bookctl/internal/runlock/parameterstore"
)

// lockParameters are what a lock has left in the cloud.
func lockParameters(t *testing.T, endpoint, stack string) []string {
	t.Helper()
	out, err := (&connection{}).client(endpoint).GetParametersByPath(t.Context(), &ssm.GetParametersByPathInput{Path: aws.String("/bookctl/" + stack), Recursive: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range out.Parameters {
		names = append(names, *p.Name)
	}
	return names
}

// connection is one run's way to the emulator.
type connection struct {
	// dead cuts the run off, as if it were killed or suspended.
	dead atomic.Bool
	// turn, when set, lets one call of all that share it pass at a time: what AWS
	// does in one step, such as creating a parameter, moto's threads do in several.
	turn *sync.Mutex
}

// fresh takes a connection per call, since moto ends idle ones when it likes.
var fresh = &http.Transport{DisableKeepAlives: true}

var errCutOff = errors.New("cut off")

func (c *connection) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.dead.Load() {
		return nil, errCutOff
	}
	if c.turn != nil {
		c.turn.Lock()
		defer c.turn.Unlock()
	}
	return fresh.RoundTrip(r)
}

func (c *connection) client(endpoint string) *ssm.Client {
	return ssm.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &endpoint, HTTPClient: &http.Client{Transport: c},
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} }, // a killed process does not try again
		APIOptions:  []func(*middleware.Stack) error{requestbody.Readable},
	})
}

// acquire locks a stack over that connection.
func (c *connection) acquire(ctx context.Context, endpoint, stack, holder string, o runlock.Options) (*runlock.Lock, error) {
	return runlock.Acquire(ctx, parameterstore.New(c.client(endpoint), stack, "test"), stack, holder, o)
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
	run := func(holder string) (*runlock.Lock, error) {
		return (&connection{}).acquire(ctx, endpoint, "alone", holder, runlock.Options{})
	}
	first, err := run("ada on engine, up")
	if err != nil {
		t.Fatal(err)
	}
	_, err = run("bob on difference, destroy")
	var locked *runlock.LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("the second run got %v", err)
	}
	if locked.Holder != "ada on engine, up" || time.Since(locked.Since).Abs() > time.Minute || locked.Expires.Sub(locked.Since) < 9*time.Minute {
		t.Errorf("the second run gets %+v", locked)
	}
	other, err := (&connection{}).acquire(ctx, endpoint, "staging", "bob", runlock.Options{})
	if err != nil {
		t.Errorf("another stack is locked too: %v", err)
	} else if err := other.Release(ctx); err != nil {
		t.Error(err)
	}
	tags, err := (&connection{}).client(endpoint).ListTagsForResource(ctx, &ssm.ListTagsForResourceInput{ResourceType: "Parameter", ResourceId: aws.String("/bookctl/alone/lock/first")})
	if err != nil {
		t.Fatal(err)
	}
	var owned bool
	for _, tag := range tags.TagList {
		owned = owned || *tag.Key == naming.TagStack && *tag.Value == "alone"
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
	view, err := runlock.Look(ctx, parameterstore.New((&connection{}).client(endpoint), "alone", ""), "alone")
	if err != nil || view.Holder() != nil {
		t.Errorf("a released lock is held: %+v, %v", view, err)
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
	// The service's times are whole seconds, so a lease is some of them.
	short := runlock.Options{Lease: 3 * time.Second}
	w := &connection{}
	sleeper, err := w.acquire(ctx, endpoint, "dead", "sleeper", short)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(4 * time.Second)
	if err := sleeper.Guard(ctx); err != nil {
		t.Fatalf("a holder that shows signs of life lost its lock: %v", err)
	}
	if _, err := (&connection{}).acquire(ctx, endpoint, "dead", "early", short); err == nil {
		t.Fatal("the lock of a living holder was taken over")
	}
	w.dead.Store(true)
	time.Sleep(5 * time.Second)
	var won atomic.Int32
	var winner atomic.Pointer[runlock.Lock]
	var wg sync.WaitGroup
	var turn sync.Mutex
	for range 12 {
		wg.Go(func() {
			l, err := (&connection{turn: &turn}).acquire(ctx, endpoint, "dead", "contender", runlock.Options{Lease: time.Minute})
			var locked *runlock.LockedError
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
	w.dead.Store(false)
	if err := sleeper.Guard(ctx); !errors.Is(err, runlock.ErrLost) || !strings.Contains(err.Error(), "contender") {
		t.Errorf("the sleeper woke up and may go on: %v", err)
	}
	if err := sleeper.Release(ctx); !errors.Is(err, runlock.ErrLost) {
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
	l, err := (&connection{}).acquire(ctx, endpoint, "slept", "laptop", runlock.Options{
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
				w := &connection{}
				l, err := w.acquire(ctx, endpoint, "many", "run", runlock.Options{Lease: 5 * time.Second})
				var locked *runlock.LockedError
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
					w.dead.Store(true) // killed
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
