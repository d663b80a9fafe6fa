package kill_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// TestATopicWaitsForTheTagsOfTheOneBefore takes a stack's alarms off and gives it new ones at
// once. SNS refuses the topic until it has forgotten the tags of the one that was deleted.
func TestATopicWaitsForTheTagsOfTheOneBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, ctx := openInMemory(t), t.Context()
		a.deployed = true
		a.SetFaults(localcloud.Faults{TopicSeconds: 40})
		for i, email := range []string{"ops@example.com", "", "ops@example.com"} {
			a.spec.AlarmEmail = email
			begun := time.Now()
			if err := a.up(ctx, &wire{}); err != nil {
				t.Fatalf("up with alarms sent to %q: %v", email, err)
			}
			if took := time.Since(begun); i == 2 && took < 20*time.Second {
				t.Errorf("the topic was created again after %s", took)
			}
		}
	})
}

// TestAnAddressIsAskedOnceWhereSNSIsLate subscribes an address while SNS does not know the new
// topic everywhere, and shows the subscription only minutes later: one mail asks for it.
func TestAnAddressIsAskedOnceWhereSNSIsLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, ctx := openInMemory(t), t.Context()
		a.deployed = true
		if err := a.up(ctx, &wire{}); err != nil {
			t.Fatal(err)
		}
		for name, late := range map[string]localcloud.Faults{"writes": {HiddenReads: 3}, "list": {SubscriptionSeconds: 400}} {
			a.spec.AlarmEmail = "ops@example.com"
			a.SetFaults(late)
			w, asked := &wire{}, 0
			if err := a.up(ctx, w); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			a.SetFaults(localcloud.Faults{})
			for _, write := range w.written() {
				if write == "Subscribe" {
					asked++
				}
			}
			if asked != 1 {
				t.Errorf("%s: it was subscribed %d times", name, asked)
			}
			a.spec.AlarmEmail = ""
			if err := a.up(ctx, &wire{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
