package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/picture"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

func newGraph(s streams, g *globals) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "graph",
		Short: "Draw the stack and the state of each resource",
		Long: `Draw the stack's resources, their dependencies and the state of each: as SVG for
a browser, as Mermaid for a Markdown page, or as DOT for Graphviz.`,
		Example: `  bookctl graph > stack.svg
  bookctl graph --format mermaid
  bookctl graph --format dot`,
		Args: cobra.NoArgs,
		RunE: within(g, func(ctx context.Context, _ []string) error {
			if format != "svg" && format != "mermaid" && format != "dot" {
				return usageError{fmt.Errorf("--format %q: choose svg, mermaid or dot", format)}
			}
			return drawGraph(ctx, s, g, format)
		}),
	}
	cmd.Flags().StringVar(&format, "format", "svg", "output format: svg, mermaid or dot")
	return cmd
}

func drawGraph(ctx context.Context, s streams, g *globals, format string) error {
	t, err := connect(ctx, s, g)
	if err != nil {
		return err
	}
	have, err := t.deployed(ctx, g)
	if err != nil {
		return err
	}
	spec := withAnyZones(deployedSpec(g, &have))
	spec.Paused = !have.Paused.IsZero()
	stack, err := provision.NewStack(t.clients, spec)
	if err != nil {
		return err
	}
	if !have.Found {
		g.note(s, "note: there is no stack %s in %s; this is how it would be", g.stack, t.place)
	}
	resources := stack.Resources()
	found := graph.Observe(ctx, resources, graph.Options{Owner: g.stack, Transient: provision.Transient})
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	parts := partsOf(resources, found, g.stack)
	var errs []error
	for _, f := range found {
		if f.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.Name, f.Err))
		}
	}
	if len(errs) == len(found) {
		return errors.Join(errs...) // a picture of nothing helps nobody
	}
	shifted, err := have.Shifted(ctx, t.clients, g.stack)
	if err != nil {
		return err
	}
	if at := slices.IndexFunc(parts, func(p picture.Part) bool { return p.Name == "service" }); at >= 0 && shifted != nil {
		if parts[at].Note = shifted.Text(); parts[at].State == string(graph.Ready) {
			parts[at].State = string(graph.Pending)
		}
	}
	if g.output == "json" {
		return encode(s.out, graphDocument{headOf("graph"), placeOf(g, t), parts})
	}
	title := fmt.Sprintf("Stack %s in %s", g.stack, t.place)
	switch format {
	case "mermaid":
		return picture.Mermaid(s.out, parts)
	case "dot":
		return picture.DOT(s.out, title, parts)
	}
	return picture.SVG(s.out, title, parts)
}

// partsOf are the stack's resources for a picture, without the options that were not
// chosen.
func partsOf(resources []provision.Resource, found []graph.Finding, owner string) []picture.Part {
	parts := make([]picture.Part, 0, len(found))
	for i, f := range found {
		if f.Phase == graph.Absent && f.Unwanted {
			continue
		}
		part := picture.Part{Name: f.Name, State: stateOf(f, owner), Note: f.Note}
		_, needs := graph.Describe(resources[i])
		part.Needs = append([]string{}, needs...) // never nil: JSON's readers want a list
		if part.State == "drifted" {
			part.Note = graph.Fields(f.Drift)
		}
		if f.Err != nil {
			part.Note = firstLine(f.Err.Error())
		}
		parts = append(parts, part)
	}
	return parts
}

// stateOf is the state of a resource in the one word by which a picture colours it.
func stateOf(f graph.Finding, owner string) string {
	switch {
	case f.Err != nil:
		return "unknown"
	case f.Phase == graph.Absent:
		return string(graph.Absent)
	case f.Owner != owner:
		return "unmanaged"
	case f.Phase == graph.Ready && len(f.Drift) > 0:
		return "drifted"
	}
	return string(f.Phase)
}
