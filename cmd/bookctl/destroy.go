package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

func newDestroy(s streams, g *globals) *cobra.Command {
	var purge bool
	cmd := &cobra.Command{
		Use:   "destroy",
		Short: "Remove the stack; a final snapshot of the data is kept",
		Long: `Remove everything of the stack, in the order in which it can go, and then look
at every service for what is left. A final snapshot of the database is taken
first and kept, unless --purge-snapshots is given: then no snapshot and no
automated backup of the stack is left either, and the data is gone.`,
		Example: `  bookctl destroy
  bookctl destroy --stack staging --purge-snapshots --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := deadline(cmd.Context(), g)
			defer cancel()
			return destroy(ctx, s, g, purge)
		},
	}
	cmd.Flags().BoolVar(&purge, "purge-snapshots", false, "keep no snapshot and no backup: the data is lost")
	return cmd
}

func destroy(ctx context.Context, s streams, g *globals, purge bool) error {
	begun := time.Now()
	rep := newReporter(s, g)
	defer rep.close()
	t, err := connect(ctx, s, g)
	if err != nil {
		return err
	}
	have, err := provision.ReadDeployed(ctx, t.clients, g.stack)
	if err != nil {
		return fmt.Errorf("read what is deployed: %w", err)
	}
	if have.Protect && have.Found {
		return advised{fmt.Errorf("stack %s is protected against deletion", g.stack), "'bookctl up --protect=false' turns the protection off"}
	}
	question := fmt.Sprintf("Destroy stack %s in %s. A final snapshot of the database is kept.", g.stack, t.place)
	if purge {
		question = fmt.Sprintf("Destroy stack %s in %s with all its data: no snapshot and no backup is kept.", g.stack, t.place)
	}
	if err := confirm(s, g, question); err != nil {
		return err
	}
	rep.note("destroying stack %s in %s", g.stack, t.place)
	lock, err := holdLock(ctx, t, g)
	if err != nil {
		return err
	}
	defer lock.release()
	spec := provision.Spec{
		Stack: g.stack, Version: version(), Settings: have.Settings, Running: have.Running, Zones: have.Zones,
	}
	if spec.Zones[0] == "" {
		spec.Zones = [2]string{"a", "b"} // there are no subnets whose zones could matter
	}
	stack, err := provision.NewStack(t.clients, spec)
	if err != nil {
		return err
	}
	report, err := graph.Destroy(ctx, stack.Resources(), graph.Options{
		Owner: g.stack, Transient: provision.Transient, Guard: lock.Guard, Observe: rep.event,
	})
	rep.close()
	if err != nil && (errors.Is(err, errInterrupted) || ctx.Err() != nil) {
		return err
	}
	return swept(ctx, s, g, t, report, err, purge, time.Since(begun))
}

// swept looks for what is left after a destroy and says how it ended.
func swept(ctx context.Context, s streams, g *globals, t *target, report graph.Report, failed error, purge bool, took time.Duration) error {
	if failed != nil {
		return failed
	}
	removed := report.Count(graph.Deleted)
	if g.output == "json" {
		return json.NewEncoder(s.out).Encode(map[string]any{
			"schema": schema, "type": "result", "command": "destroy", "stack": g.stack, "removed": removed, "seconds": took.Seconds(),
		})
	}
	if !g.quiet {
		fmt.Fprintf(s.err, "%d removed, 0 left, %s.\n", removed, rounded(took))
	}
	return nil
}
