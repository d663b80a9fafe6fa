// Package inventory lists what there is of a stack, and removes what its graph
// does not know. It knows no kind of thing by itself: each registers how it is
// listed and deleted.
package inventory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Item is something that belongs to a stack and is there.
type Item struct {
	Service string `json:"service"` // as IAM calls it: "ec2", "rds"
	Type    string `json:"type"`    // in words: "subnet", "target group"
	ID      string `json:"id"`      // AWS id, name or ARN
	// HeldBy says what keeps it from being removed, "" where nothing is known to:
	// "network interface eni-1 of load balancer book-lb (in-use)".
	HeldBy string `json:"heldBy,omitempty"`
	// Kept says that AWS keeps it by its own rules, unbilled, so that there is
	// nothing to do: an inactive task definition.
	Kept bool `json:"kept,omitempty"`
}

func (i Item) String() string {
	s := i.Type + " " + i.ID
	if i.HeldBy != "" {
		s += ", held by " + i.HeldBy
	}
	return s
}

// Kind is a kind of thing that a stack has.
type Kind struct {
	// Service and Type are those of its items.
	Service, Type string
	// List returns the items of the stack, without Service and Type. With an error
	// it returns those that it found.
	List func(context.Context) ([]Item, error)
	// Delete removes one by its id. Nil means that Sweep leaves the kind alone: its
	// graph knows the only one there can be.
	Delete func(ctx context.Context, id string) error
}

// Inventory has all kinds of things of one stack.
type Inventory struct {
	// Kinds are in the order in which Sweep deletes: what holds others first.
	Kinds []Kind
	// Explain fills in what holds the items. Nil means that nothing does.
	Explain func(context.Context, []Item) error
	// Passes reports whether an error passes by itself: something still uses the
	// thing. Nil means that none does.
	Passes func(error) bool
}

// List returns what there is, sorted by service, type and id. With an error it
// returns what it found all the same.
func (v Inventory) List(ctx context.Context) ([]Item, error) {
	var (
		mu   sync.Mutex
		each graph.Group
		all  []Item
	)
	for _, k := range v.Kinds {
		each.Go(func() error {
			found, err := k.List(ctx)
			mu.Lock()
			defer mu.Unlock()
			for _, i := range found {
				i.Service, i.Type = k.Service, k.Type
				all = append(all, i)
			}
			return err
		})
	}
	err := each.Wait()
	slices.SortFunc(all, func(a, b Item) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Type, b.Type), strings.Compare(a.ID, b.ID))
	})
	if err == nil && v.Explain != nil {
		err = v.Explain(ctx, all)
	}
	return all, err
}

// Sweep deletes what there is of the kinds that can be deleted. It goes round until
// nothing of them is left or, after so long, nothing gives way any more, and asks
// guard (which may be nil) before each call. It returns what it deleted, and what
// is left of all kinds.
func (v Inventory) Sweep(ctx context.Context, timeout time.Duration, guard func(context.Context) error) (deleted, left []Item, err error) {
	const shortest, longest = 100 * time.Millisecond, 10 * time.Second
	deadline := time.Now().Add(timeout)
	for pause := shortest; ; pause = min(2*pause, longest) {
		if left, err = v.List(ctx); err != nil {
			return deleted, left, err
		}
		orphans, progress := 0, false
		for _, k := range v.Kinds {
			if k.Delete == nil {
				continue
			}
			for _, i := range left {
				if i.Service != k.Service || i.Type != k.Type {
					continue
				}
				orphans++
				if guard != nil {
					if err := guard(ctx); err != nil {
						return deleted, left, err
					}
				}
				if err := k.Delete(ctx, i.ID); err != nil {
					if v.Passes == nil || !v.Passes(err) {
						return deleted, left, fmt.Errorf("remove %s: %w", i, err)
					}
					continue
				}
				deleted, progress = append(deleted, i), true
			}
		}
		if orphans == 0 || !progress && time.Now().After(deadline) {
			return deleted, left, nil
		}
		if progress {
			pause = shortest
		}
		if err := graph.Sleep(ctx, pause); err != nil {
			return deleted, left, err
		}
	}
}
