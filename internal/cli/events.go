package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/bookctl/bookctl/internal/hint"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/sorted"
)

func newEvents(s streams, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "events",
		Short: "Show what happened to the service and its tasks",
		Long: `Show what ECS reports about the service, oldest first: its last hundred events,
and why tasks stopped within the last hour. ECS remembers no longer than that.`,
		Example: `  bookctl events
  bookctl events --output json`,
		Args: cobra.NoArgs,
		RunE: within(g, func(ctx context.Context, _ []string) error { return printEvents(ctx, s, g) }),
	}
}

// printEvents prints what ECS reports about the service, oldest first.
func printEvents(ctx context.Context, s streams, g *globals) error {
	t, err := connect(ctx, s, g)
	if err != nil {
		return err
	}
	events, stopped, found, err := provision.Happenings(ctx, t.clients, g.stack)
	if err != nil {
		return err
	}
	if !found {
		return notDeployed(ctx, t, g, fmt.Errorf("stack %s has no service", g.stack), hint.New("%s shows what exists, and %s creates it", hint.Command("status"), hint.Command("up")))
	}
	for _, task := range stopped {
		events = append(events, diagnosis.Event{Time: task.End(), Message: task.String()})
	}
	sorted.By(events, func(a, b diagnosis.Event) int { return a.Time.Compare(b.Time) })
	for _, e := range events {
		if g.output == "json" {
			err = encode(s.out, happeningDocument{headOf("happening"), e.Time.UTC(), e.Message})
		} else {
			_, err = fmt.Fprintf(s.out, "%s %s\n", e.Time.UTC().Format(time.RFC3339), shortenIDs(e.Message))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
