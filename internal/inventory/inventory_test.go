package inventory_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/inventory"
)

var errInUse = errors.New("something still uses it")

// account has things by kind, some of which hold others.
type account struct {
	mu     sync.Mutex // kinds are listed side by side
	things map[string][]string
	holds  map[string][]string // what holds a thing
	calls  []string
}

func (a *account) kind(service, name string, deletes bool) inventory.Kind {
	k := inventory.Kind{Service: service, Type: name, List: func(context.Context) ([]inventory.Item, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		var out []inventory.Item
		for _, id := range a.things[name] {
			out = append(out, inventory.Item{ID: id})
		}
		return out, nil
	}}
	if deletes {
		k.Delete = func(_ context.Context, id string) error {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.calls = append(a.calls, id)
			for _, by := range a.holds[id] {
				for _, there := range a.things {
					if slices.Contains(there, by) {
						return errInUse
					}
				}
			}
			a.things[name] = slices.DeleteFunc(slices.Clone(a.things[name]), func(x string) bool { return x == id })
			return nil
		}
	}
	return k
}

func (a *account) inventory() inventory.Inventory {
	return inventory.Inventory{
		Kinds: []inventory.Kind{a.kind("elb", "load balancer", true), a.kind("ec2", "subnet", true), a.kind("ec2", "vpc", true), a.kind("iam", "role", false)},
		Explain: func(_ context.Context, items []inventory.Item) error {
			for i := range items {
				if by := a.holds[items[i].ID]; by != nil {
					items[i].HeldBy = by[0]
				}
			}
			return nil
		},
		Temporary: func(err error) bool { return errors.Is(err, errInUse) },
	}
}

func TestSweepDeletesWhatHoldsOthersFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &account{
			things: map[string][]string{"vpc": {"vpc-1", "vpc-2"}, "subnet": {"subnet-1"}, "load balancer": {"lb"}, "role": {"task"}},
			holds:  map[string][]string{"vpc-1": {"subnet-1"}, "subnet-1": {"lb"}},
		}
		items, err := a.inventory().List(t.Context())
		want := []inventory.Item{
			{Service: "ec2", Type: "subnet", ID: "subnet-1", HeldBy: "lb"}, {Service: "ec2", Type: "vpc", ID: "vpc-1", HeldBy: "subnet-1"},
			{Service: "ec2", Type: "vpc", ID: "vpc-2"}, {Service: "elb", Type: "load balancer", ID: "lb"}, {Service: "iam", Type: "role", ID: "task"},
		}
		if diff := cmp.Diff(want, items); diff != "" || err != nil {
			t.Errorf("listed (-want +got), %v:\n%s", err, diff)
		}
		guards := 0
		deleted, left, err := a.inventory().Sweep(t.Context(), 0, func(context.Context) error { guards++; return nil })
		if err != nil || len(deleted) != 4 || guards != 4 {
			t.Errorf("deleted %v with %d looks at the lock, %v", deleted, guards, err)
		}
		if diff := cmp.Diff([]string{"lb", "subnet-1", "vpc-1", "vpc-2"}, a.calls); diff != "" {
			t.Errorf("deleted in this order (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]inventory.Item{{Service: "iam", Type: "role", ID: "task"}}, left); diff != "" {
			t.Errorf("left (-want +got):\n%s", diff)
		}
	})
}

func TestSweepGoesOnUntilWhatHoldsIsGone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		gone    time.Duration // when the interface goes
		deleted int
	}{"in time": {time.Minute, 1}, "too late": {time.Hour, 0}} {
		synctest.Test(t, func(t *testing.T) {
			a := &account{things: map[string][]string{"vpc": {"vpc-1"}, "interface": {"eni"}}, holds: map[string][]string{"vpc-1": {"eni"}}}
			begun := time.Now()
			v := a.inventory()
			v.Kinds[2].List = func(context.Context) ([]inventory.Item, error) {
				a.mu.Lock()
				defer a.mu.Unlock()
				if time.Since(begun) >= c.gone {
					delete(a.things, "interface")
				}
				var out []inventory.Item
				for _, id := range a.things["vpc"] {
					out = append(out, inventory.Item{ID: id})
				}
				return out, nil
			}
			deleted, left, err := v.Sweep(t.Context(), 10*time.Minute, nil)
			if err != nil || len(deleted) != c.deleted || len(left) != 1-c.deleted {
				t.Errorf("%s: deleted %v, left %v, %v", name, deleted, left, err)
			}
		})
	}
}

func TestSweepEndsWithTheLockAndWithErrorsThatStay(t *testing.T) {
	t.Parallel()
	a := &account{things: map[string][]string{"vpc": {"vpc-1"}}}
	lost := errors.New("the lock is lost")
	if _, _, err := a.inventory().Sweep(t.Context(), time.Hour, func(context.Context) error { return lost }); !errors.Is(err, lost) || a.calls != nil {
		t.Errorf("without the lock: %v, after %v", err, a.calls)
	}
	denied := errors.New("denied")
	v := a.inventory()
	v.Kinds[2].Delete = func(context.Context, string) error { return denied }
	if _, left, err := v.Sweep(t.Context(), time.Hour, nil); !errors.Is(err, denied) || len(left) != 1 {
		t.Errorf("denied: %v, left %v", err, left)
	}
	v.Kinds[0].List = func(context.Context) ([]inventory.Item, error) { return nil, denied }
	if items, err := v.List(t.Context()); !errors.Is(err, denied) || len(items) != 1 {
		t.Errorf("one that can't be listed: %v, %v", items, err)
	}
}
