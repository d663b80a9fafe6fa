package kill_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/memory"
	"github.com/bookctl/bookctl/internal/provision"
)

// throttled counts the calls that were rejected because they came too fast, by action.
type throttled struct {
	mu      sync.Mutex
	actions map[string]int
	calls   int
}

func (c *throttled) add(call localcloud.Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if call.Throttled() {
		c.actions[call.Action]++
	}
}

func (c *throttled) take() (calls int, actions map[string]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls, actions = c.calls, c.actions
	c.calls, c.actions = 0, map[string]int{}
	return calls, actions
}

// life is how long the runs of stacks took, all stacks at once.
type life struct{ up, idle, destroy time.Duration }

// TestManyStacksUnderAWSLimits creates, reads and deletes stacks in an account whose
// requests are limited as AWS documents: one alone, one alongside a neighbour that takes half
// of every limit, and ten at once. All runs succeed. The durations are those of a simulated
// clock, which the load of the machine does not change.
func TestManyStacksUnderAWSLimits(t *testing.T) {
	if stride > 1 {
		t.Skip("runs without the race detector, under which it takes minutes and sees what the others see")
	}
	t.Parallel()
	free := liveUnder(t, "no limits", localcloud.Config{}, 1)
	alone := liveUnder(t, "alone", localcloud.Config{Throttle: true}, 1)
	withNeighbour := liveUnder(t, "with a neighbour", localcloud.Config{Throttle: true, Neighbour: 0.5}, 1)
	ten := liveUnder(t, "ten at once", localcloud.Config{Throttle: true}, 10)
	for _, r := range []struct {
		name       string
		have, base life
		most       float64
	}{
		{"alone / without limits", alone, free, 1.05},
		{"with a neighbour / alone", withNeighbour, alone, 1.1},
		{"ten at once / alone", ten, alone, 1.15},
	} {
		ratio := r.have.up.Seconds() / r.base.up.Seconds()
		t.Logf("%s: first up %.3f, nothing to do %.3f, destroy %.3f", r.name, ratio,
			r.have.idle.Seconds()/r.base.idle.Seconds(), r.have.destroy.Seconds()/r.base.destroy.Seconds())
		if ratio > r.most {
			t.Errorf("%s: a first up takes %.3f times as long, by a simulated clock; want at most %.2f", r.name, ratio, r.most)
		}
	}
}

// liveUnder takes stacks through their life at the same time, on a cloud that is as slow
// as AWS.
func liveUnder(t *testing.T, name string, cfg localcloud.Config, stacks int) (took life) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			count := &throttled{actions: map[string]int{}}
			cfg.StateDir, cfg.Runtimes, cfg.Latencies, cfg.VPCs, cfg.Journal = t.TempDir(), memory.Runtimes, localcloud.TypicalLatencies(), stacks+1, count.add
			first := &account{image: noImage, retry: func() aws.Retryer { return provision.NewRetryer(10 * time.Second) }}
			first.open(t, cfg, 8080)
			time.Sleep(10 * time.Minute) // the buckets are full, and the name of the lock is free again
			var all []*account
			for i := range stacks {
				a := *first
				a.spec.Stack, a.spec.Port = fmt.Sprintf("book%d", i), int32(8080+i)
				all = append(all, &a)
			}
			count.take()
			for _, run := range []struct {
				name string
				took *time.Duration
				do   func(*account, context.Context) error
			}{
				{"first up", &took.up, (*account).wholeUp}, {"nothing to do", &took.idle, (*account).wholeUp}, {"destroy", &took.destroy, (*account).wholeDestroy},
			} {
				begun := time.Now()
				var runs sync.WaitGroup
				for _, a := range all {
					runs.Go(func() {
						if err := run.do(a, t.Context()); err != nil {
							t.Errorf("%s of %s: %v", run.name, a.spec.Stack, err)
						}
					})
				}
				runs.Wait()
				*run.took = time.Since(begun)
				calls, rejected := count.take()
				t.Logf("%s: %s, %d calls, rejected %v", run.name, *run.took, calls, rejected)
				time.Sleep(10 * time.Minute)
			}
		})
	})
	return took
}
