package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// notDeployed is the error of a command that did not find its part of a stack. It has the
// next step. If there is no such stack at all, it says so instead, because the name is then
// likely to be mistyped, or the cloud to be another one.
func notDeployed(ctx context.Context, t *target, g *globals, err error, next hint.Message) error {
	var apiErr smithy.APIError
	if errors.As(err, &apiErr) || errors.Is(err, graph.ErrUnmanaged) {
		return err // it could not look, or it saw enough
	}
	have, lookErr := provision.ReadDeployed(ctx, t.clients, g.stack)
	if lookErr != nil || have.Found {
		return hint.Add(err, next)
	}
	stacks, lookErr := provision.Stacks(ctx, t.clients, false)
	if lookErr != nil {
		return hint.Add(err, next)
	}
	here := slices.IndexFunc(stacks, func(s provision.Summary) bool { return s.Stack == g.stack })
	switch {
	case here >= 0 && stacks[here].State == "destroyed":
		from := "latest"
		if kept, err := provision.Snapshots(ctx, t.clients.RDS, g.stack); err == nil {
			if backup := provision.FromBackup(kept); provision.Restorable(kept) == "" && !backup.Empty() {
				return hint.With(fmt.Errorf("stack %s in %s was destroyed, and RDS retains a backup of its data", g.stack, t.place), "%s", backup)
			}
			from = cmp.Or(provision.Restorable(kept), from)
		}
		return hint.With(fmt.Errorf("stack %s in %s was destroyed, and its data is kept", g.stack, t.place), "%s creates it again from the newest snapshot", hint.Command("up", "--restore", from))
	case here >= 0:
		return hint.Add(err, next)
	case len(stacks) > 0:
		return hint.With(fmt.Errorf("there is no stack %s in %s", g.stack, t.place), "name one that is there with --stack: %s; or %s makes this one", stackNames(stacks), hint.Command("up"))
	}
	elsewhere := "--region, AWS_PROFILE or --local"
	if t.local {
		elsewhere = "--local=false"
	}
	return hint.With(fmt.Errorf("there is no stack %s in %s, nor any other", g.stack, t.place), "%s creates it; if it is somewhere else, use %s", hint.Command("up"), elsewhere)
}

func stackNames(stacks []provision.Summary) string {
	names := make([]string, len(stacks))
	for i, s := range stacks {
		names[i] = s.Stack
	}
	return strings.Join(names, ", ")
}

// noteAbsence prints that a destroy found nothing to delete, and what may have been meant.
func noteAbsence(ctx context.Context, t *target, g *globals) string {
	text := fmt.Sprintf("Nothing to delete: there is no stack %s in %s", g.stack, t.place)
	stacks, err := provision.Stacks(ctx, t.clients, false)
	others := slices.DeleteFunc(stacks, func(s provision.Summary) bool { return s.Stack == g.stack })
	switch {
	case err != nil: // which others there are is a courtesy
		return text + "."
	case len(others) == 0:
		return text + ", nor any other."
	}
	return text + ". There is: " + stackNames(others) + "."
}
