package kill_test

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/memory"
	"github.com/bookctl/bookctl/internal/provision"
)

// listFile has the calls of 'bookctl list'; UPDATE_CALLS=1 writes it.
const listFile = "testdata/list_calls.txt"

// TestCallsOfAList lists many stacks: as long as they are at rest, it takes no call for
// each. Of one that is not, its service is asked for, and the list shows how it is. The
// cloud is as slow as AWS and limits requests as AWS does; a list takes at most three
// seconds of its simulated clock.
func TestCallsOfAList(t *testing.T) {
	if stride > 1 {
		t.Skip("runs without the race detector, under which it takes minutes and sees what the others see")
	}
	t.Parallel()
	const many = 50
	synctest.Test(t, func(t *testing.T) {
		var count calls
		first := &account{image: noImage, retry: func() aws.Retryer { return provision.NewRetryer(10 * time.Second) }}
		first.open(t, localcloud.Config{StateDir: t.TempDir(), Runtimes: memory.Runtimes, VPCs: many + 1, Journal: count.add, Latencies: localcloud.TypicalLatencies(), Throttle: true}, 8080)
		time.Sleep(time.Minute) // the name of the lock is free again
		var ups sync.WaitGroup
		begin := time.NewTicker(10 * time.Second) // so that they share the limits as stacks of many days do
		defer begin.Stop()
		for i := range many {
			a := *first
			a.spec.Stack, a.spec.Port = fmt.Sprintf("book%d", i), int32(8080+i)
			<-begin.C
			ups.Go(func() {
				if err := a.wholeUp(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		ups.Wait()
		c := provision.NewClients(first.config(&wire{}))
		list := func(name, state string) string {
			t.Helper()
			count.take()
			begun := time.Now()
			all, err := provision.Stacks(t.Context(), c, false)
			took := time.Since(begun)
			t.Logf("%s: %s", name, took)
			if took > 3*time.Second {
				t.Errorf("%s takes %s, by a simulated clock; want at most 3 s", name, took)
			}
			if err != nil || len(all) != many {
				t.Fatalf("%s: %d stacks, %v", name, len(all), err)
			}
			made := table(name, count.take())
			for _, s := range all {
				want := "ready"
				if s.Stack == "book7" {
					want = state
				}
				if s.State != want {
					t.Errorf("%s: %s is %s, not %s", name, s.Stack, s.State, want)
				}
			}
			return made
		}
		out := list("50 stacks at rest", "ready")
		of := *first
		of.spec.Stack, of.spec.Port = "book7", 8087
		if err := of.pause(t.Context(), &wire{}); err != nil {
			t.Fatal(err)
		}
		out += list("50 stacks, one of them paused", "paused")
		if os.Getenv("UPDATE_CALLS") != "" {
			if err := os.WriteFile(listFile, []byte(out), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(listFile)
		if err != nil {
			t.Fatal(err)
		}
		if out != string(want) {
			t.Errorf("the calls are\n%s\nand not, as %s says,\n%s", out, listFile, want)
		}
	})
}
