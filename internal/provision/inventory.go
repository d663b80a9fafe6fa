package provision

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Inventory lists what there is of a stack, service by service. It is the proof
// that a destroy is complete, so it asks each service itself: the tagging API
// returns what is gone and misses what is there.
// https://github.com/aws/aws-sdk/issues/676
//
// A resource is the stack's by its tag. Where a service can't search by tag, it is
// looked up by the name that the stack gives it, and then its tag is read.
func Inventory(ctx context.Context, c Clients, stack string) ([]inventory.Item, error) {
	if err := naming.CheckStack(stack); err != nil {
		return nil, err
	}
	return inventoryOf(c, stack, nil).List(ctx)
}

// CheckInventoryReads makes those reads of Inventory that nothing else of a destroy makes
// before it touches anything, so that one which is not allowed is known by then.
// What it reads is in what was read of the stack, for the destroy; the zero Deployed is fine.
func CheckInventoryReads(ctx context.Context, c Clients, stack string, have Deployed) error {
	if err := naming.CheckStack(stack); err != nil {
		return err
	}
	ctx = graph.WhileObserving(ctx)
	v := inventoryOf(c, stack, have.observation)
	v.Kinds = slices.DeleteFunc(v.Kinds, func(k inventory.Kind) bool { return !k.Late })
	v.Explain = nil
	for i, k := range v.Kinds {
		if k.Try != nil {
			v.Kinds[i].List = func(ctx context.Context) ([]inventory.Item, error) { return nil, k.Try(ctx) }
		}
	}
	_, err := v.List(ctx)
	return err
}

// Sweep deletes what is tagged as the stack's and what its graph does not know. It
// runs after the graph was destroyed; see inventory.Inventory.Sweep.
func Sweep(ctx context.Context, c Clients, stack string, timeout time.Duration, guard func(context.Context) error) (deleted, left []inventory.Item, err error) {
	if err := naming.CheckStack(stack); err != nil {
		return nil, nil, err
	}
	return inventoryOf(c, stack, nil).Sweep(ctx, timeout, guard)
}

// FindRemains reports whether anything is there of a stack. A run that was cut off early
// leaves parts from which ReadDeployed can't read its settings. Secrets that were set
// before there is anything else are no stack yet: it returns their names, nil for no
// such secret.
func FindRemains(ctx context.Context, c Clients, stack string) (found bool, secrets []string, err error) {
	left, err := Inventory(ctx, c, stack)
	if err != nil {
		return false, nil, fmt.Errorf("look for parts of stack %s: %w", stack, err)
	}
	left = slices.DeleteFunc(left, func(i inventory.Item) bool { return i.Kept })
	if len(left) != 1 || left[0].ID != (naming.Names{Stack: stack}).EnvironmentSecret() {
		return len(left) > 0, nil, nil
	}
	own, err := ReadOwnSecrets(ctx, c, stack)
	if err != nil {
		return false, nil, err
	}
	return false, append([]string{}, own.Names()...), nil // not nil, also where all were unset
}
