// Package inventory lists the resources that exist for a stack, and deletes those
// that are not part of its graph. It knows no kind of resource itself: each kind
// registers how it is listed and deleted.
package inventory

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/sorted"
)

// Item is an existing resource that belongs to a stack.
type Item struct {
	Service string `json:"service"` // IAM's name of the service, such as "ec2"
	Type    string `json:"type"`    // such as "target group"
	ID      string `json:"id"`      // AWS id, name or ARN
	// HeldBy is what blocks its deletion, for example "network interface eni-1 of
	// load balancer book-lb (in-use)". It is "" if nothing is known to.
	HeldBy string `json:"heldBy,omitempty"`
	// Kept means that AWS keeps it for a while by its own rules and without cost, so
	// that there is nothing to do: an inactive task definition.
	Kept bool `json:"kept,omitempty"`
}

func (i Item) String() string {
	s := i.Type + " " + i.ID
	if i.HeldBy != "" {
		s += ", held by " + i.HeldBy
	}
	return s
}

// Kind is a kind of resource.
type Kind struct {
	// Service and Type are those of its items.
	Service, Type string
	// List returns the items of the stack, without Service and Type. If it fails, it
	// also returns the items that it found.
	List func(context.Context) ([]Item, error)
	// Late is true if List makes calls that the graph of the stack does not make, or makes
	// only after it has deleted something.
	Late bool
	// Try makes one call of List, which is enough to know whether that is allowed. Nil
	// is for a List that makes one.
	Try func(context.Context) error
	// Delete deletes an item by its id. Nil means that Sweep ignores the kind, because
	// there can be only one and it is part of the graph.
	Delete func(ctx context.Context, id string) error
}

// Inventory has all kinds of resources of one stack.
type Inventory struct {
	// Kinds are in the order in which Sweep deletes: dependent resources first.
	Kinds []Kind
	// Explain sets HeldBy of the items. It may be nil.
	Explain func(context.Context, []Item) error
	// Temporary reports whether an error is temporary, because something still uses the
	// resource. Nil means that no error is.
	Temporary func(error) bool
}

// List returns what exists, sorted by service, type and id. If it fails, it also
// returns what it found.
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
	sorted.By(all, func(a, b Item) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Type, b.Type), strings.Compare(a.ID, b.ID))
	})
	if err == nil && v.Explain != nil {
		err = v.Explain(ctx, all)
	}
	return all, err
}

// Sweep deletes everything of the kinds that can be deleted. It repeats until
// nothing of these kinds is left or, after the timeout, a pass deletes nothing. It
// calls guard, which may be nil, before each deletion. It returns what it deleted,
// and what is left of all kinds.
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
					if v.Temporary == nil || !v.Temporary(err) {
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
