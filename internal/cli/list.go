package cli

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/bookctl/bookctl/internal/hint"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/pricing"
	"github.com/bookctl/bookctl/internal/provision"
)

// listed stack, as JSON; see docs/output.schema.json.
type listedStack struct {
	provision.Summary
	// Monthly is what it costs a month in US dollars; nil when unknown.
	Monthly *float64 `json:"monthlyCost,omitempty" doc:"US dollars; left out where no price is known."`
}

func newList(s streams, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the stacks of the account and region",
		Long: `List all stacks of the account and region, with their state, age and cost. Stacks
that were destroyed and left snapshots are listed, too.`,
		Example: `  bookctl list
  bookctl list --region eu-central-1 --output json`,
		Args: cobra.NoArgs,
		RunE: within(g, func(ctx context.Context, _ []string) error { return listStacks(ctx, s, g) }),
	}
}

// listStacks prints the stacks of the account and region.
func listStacks(ctx context.Context, s streams, g *globals) error {
	t, err := connect(ctx, s, g)
	if err != nil {
		return err
	}
	found, err := provision.Stacks(ctx, t.clients, !t.local)
	if err != nil {
		return err
	}
	stacks := make([]listedStack, 0, len(found))
	ends := supportEnds{}
	for _, f := range found {
		sum, err := monthly(ctx, t, f, ends)
		if err != nil {
			return err
		}
		stacks = append(stacks, listedStack{f, sum})
	}
	for _, x := range stacks {
		if x.Denied != "" {
			g.note(s, "note: the state of stack %s is unknown: these credentials are not allowed %s on it; %s prints a policy that allows it", x.Stack, x.Denied, hint.Command("policy", "--stack", x.Stack))
		}
	}
	if g.output == "json" {
		return encode(s.out, listDocument{headOf("list"), t.account, t.region, stacks})
	}
	if len(stacks) == 0 {
		if !g.quiet {
			fmt.Fprintf(s.err, "no stack in %s\n", t.place)
		}
		return nil
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STACK\tSTATE\tTASKS\tDATABASE\tAGE\tA MONTH\tKEPT SNAPSHOTS")
	for _, x := range stacks {
		fmt.Fprintf(w, "%s\t%s\t%d/%d\t%s\t%s\t%s\t%s\n", x.Stack, x.State, x.Running, x.Desired, orDash(databaseOf(x.Summary)), age(x.Created), cost(x.Monthly), kept(x.Summary))
	}
	return w.Flush()
}

// databaseOf is the state of a stack's database, and when RDS starts a stopped one.
func databaseOf(s provision.Summary) string {
	if s.DatabaseStarts.IsZero() {
		return s.Database
	}
	return s.Database + ", starts " + s.DatabaseStarts.UTC().Format(minute)
}

// monthly is what a stack costs with its snapshots, where prices are known. What
// is not there entirely is not priced.
func monthly(ctx context.Context, t *target, s provision.Summary, ends supportEnds) (*float64, error) {
	if t.local {
		return nil, nil //nolint:nilnil // it costs nothing
	}
	snapshots, err := pricing.SnapshotCost(t.region, s.GiB)
	if err != nil || s.State == "partial" || s.State == "destroying" || s.State == "unknown" {
		return nil, nil //nolint:nilerr,nilnil // it is not known
	}
	if s.State == "destroyed" {
		return &snapshots, nil
	}
	usage, err := ends.usage(ctx, t, s.Deployed)
	if err != nil {
		return nil, err
	}
	lines, err := pricing.Cost(usage, t.region)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // it is not known
	}
	sum := pricing.Total(lines) + snapshots
	return &sum, nil
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func cost(sum *float64) string {
	if sum == nil {
		return "-"
	}
	return fmt.Sprintf("$%.2f", *sum)
}

func kept(s provision.Summary) string {
	if s.Snapshots == 0 {
		return "-"
	}
	return fmt.Sprintf("%d, %d GiB", s.Snapshots, s.GiB)
}
