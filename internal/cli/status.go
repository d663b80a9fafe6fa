package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/pricing"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/runlock"
	"github.com/bookctl/bookctl/internal/runlock/parameterstore"
)

func newStatus(s streams, g *globals) *cobra.Command {
	var (
		watch bool
		every time.Duration
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the stack's status and health",
		Long: `Show whether the stack's URL answers, its tasks and their health, its database
and snapshots, drift, and the monthly cost; and if it is not healthy, why.
Nothing is changed, and nothing is built.

The exit code is 0 when the stack is healthy and 3 when it is not, or when
nothing is deployed. Drift alone does not make a stack unhealthy; 'bookctl up'
repairs it.`,
		Example: `  bookctl status
  bookctl status --watch
  bookctl status --output json | jq .healthy`,
		Args: cobra.NoArgs,
		RunE: within(g, func(ctx context.Context, _ []string) error {
			t, err := connect(ctx, s, g)
			if err != nil {
				return err
			}
			if watch {
				return watchStatus(ctx, s, g, t, every)
			}
			out, err := readStatus(ctx, t, g, nil)
			if err != nil {
				return err
			}
			return out.show(s.out, g)
		}),
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "refresh until interrupted")
	cmd.Flags().DurationVar(&every, "interval", 5*time.Second, "time between refreshes with --watch")
	return cmd
}

// clearable reports whether a terminal knows the codes that clear it. A console of Windows may
// know them only after a program has asked for it:
// https://learn.microsoft.com/en-us/windows/console/console-virtual-terminal-sequences
func clearable(terminal, system string) bool { return terminal != "dumb" && system != "windows" }

// watchStatus shows the status again and again until it is interrupted. That is how it
// ends, and no failure.
func watchStatus(ctx context.Context, s streams, g *globals, t *target, every time.Duration) error {
	if err := checkInterval(every); err != nil {
		return err
	}
	for {
		out, err := readStatus(ctx, t, g, nil)
		if ctx.Err() == nil {
			if err != nil {
				return err
			}
			if isTerminal(s.out) && clearable(os.Getenv("TERM"), runtime.GOOS) && g.output != "json" {
				fmt.Fprint(s.out, "\x1b[H\x1b[2J")
			} else if g.output != "json" {
				fmt.Fprintln(s.out, time.Now().Format(time.TimeOnly))
			}
			var summary exitError
			if err := out.show(s.out, g); err != nil && !errors.As(err, &summary) {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return endedByUser(ctx)
		case <-time.After(every):
		}
	}
}

// checkInterval refuses a time between two reads that is too short.
func checkInterval(every time.Duration) error {
	if every < time.Second {
		return usageError{fmt.Errorf("--interval %s: a second is the shortest", every)}
	}
	return nil
}

// statusOutput is the status as JSON; see docs/output.schema.json.
type statusOutput struct {
	head
	place
	Healthy bool `json:"healthy"`
	// Paused is since when the stack is; zero for one that is not. DatabaseStarts is when
	// RDS starts a stopped database by itself.
	Paused         time.Time `json:"paused,omitzero" doc:"Since when the stack is paused. It is not healthy then."`
	DatabaseStarts time.Time `json:"databaseStarts,omitzero" doc:"When RDS starts the stopped database by itself."`
	// Problems are the reasons why it is not.
	Problems []string `json:"problems" doc:"Why it is not healthy, in words for people."`
	// Answer is the response of the URL; nil if it was not requested.
	Answer *urlCheck `json:"answer,omitempty" doc:"What the URL answers where it does so only with its database."`
	provision.Status
	// Existing is the existing VPC that the stack uses; nil for a VPC of its own.
	Existing  *existingNetwork     `json:"existingNetwork,omitempty" doc:"The VPC that the stack is in and that is not its own; left out for its own."`
	Snapshots []provision.Snapshot `json:"snapshots"`
	Drift     []drifted            `json:"drift" doc:"What is not as it was asked for."`
	// Monthly is what the stack costs a month in US dollars; nil when unknown.
	Monthly *float64  `json:"monthlyCost,omitempty" doc:"US dollars; left out where no price is known."`
	Lock    *lockInfo `json:"lock,omitempty" doc:"Who is at work on the stack."`

	where string // the name of the target in messages
	now   time.Time
	found bool
	// costs are the items of the sum, even where the stack runs on this machine and costs
	// nothing; unpriced is why there are none.
	costs    []pricing.Line
	unpriced string
	// partial reports whether resources are missing, and broken whether one is in a state
	// that no up repairs.
	partial, broken bool
	// missing are the resources of which no more is known than that they are missing.
	missing []string
	// databaseless reports whether the stack is to have no database, and unchecked that its
	// containers have no health check of their own.
	databaseless, unchecked bool
	// kept are the secret variables of a stack that does not exist yet.
	kept []string
}

// existingNetwork is an existing VPC, of which a stack changes nothing.
type existingNetwork struct {
	VPC     string   `json:"vpc"`
	Subnets []string `json:"subnets" doc:"Those of load balancer and tasks."`
	// DBSubnets are those of the database.
	DBSubnets []string `json:"dbSubnets" doc:"Those of the database."`
}

// existingNetworkOf is the existing VPC of a stack with these settings; nil for a VPC of its own.
func existingNetworkOf(s provision.Settings) *existingNetwork {
	if s.VPC == "" {
		return nil
	}
	list := func(ids string) []string {
		return orEmpty(strings.FieldsFunc(ids, func(r rune) bool { return r == ',' }))
	}
	return &existingNetwork{s.VPC, list(s.Subnets), list(s.DBSubnets)}
}

// drifted is a resource with drift.
type drifted struct {
	Resource string         `json:"resource"`
	Changes  []graph.Change `json:"changes"`
}

// lockInfo is the run that holds the lock of the stack.
type lockInfo struct {
	Holder string    `json:"holder"`
	Since  time.Time `json:"since"`
}

// alsoRead reads more of a stack after it was observed.
type alsoRead func(context.Context, *provision.Stack, []graph.Finding) error

// readStatus reads everything in parallel. Also, which may be nil, is for callers that show
// more than the status.
func readStatus(ctx context.Context, t *target, g *globals, also alsoRead) (*statusOutput, error) {
	have, err := t.deployed(ctx, g)
	if err != nil {
		return nil, err
	}
	var kept []string
	if !have.Found { // nothing records its settings; resources may exist all the same
		if have.Found, kept, err = provision.FindRemains(ctx, t.clients, g.stack); err != nil {
			return nil, err
		}
	}
	out := &statusOutput{
		head: headOf("status"), place: placeOf(g, t),
		Problems: []string{}, Snapshots: []provision.Snapshot{}, Drift: []drifted{}, where: t.place, now: time.Now(), found: have.Found, databaseless: have.NoDatabase,
		Paused: have.Paused, DatabaseStarts: have.DatabaseStarts, Existing: existingNetworkOf(have.Settings),
		unchecked: have.HealthCommand == "", kept: kept,
	}
	out.Tasks, out.Targets = []diagnosis.Task{}, []diagnosis.Target{}
	var (
		reads     graph.Group
		snapshots []provision.Snapshot
		holder    *runlock.LockedError
	)
	if !have.Found {
		reads.Go(func() (err error) {
			snapshots, err = provision.Snapshots(ctx, t.clients.RDS, g.stack)
			return err
		})
	}
	reads.Go(func() error {
		lock, err := runlock.Look(ctx, parameterstore.New(t.clients.SSM, g.stack, ""), g.stack)
		if err == nil {
			holder = lock.Holder()
		}
		return err
	})
	var found []graph.Finding
	if have.Found {
		found, err = out.observe(ctx, t, g, have, also)
	}
	if err := errors.Join(err, reads.Wait()); err != nil {
		return nil, err
	}
	if out.Snapshots = append(out.Snapshots, snapshots...); out.Snapshots == nil {
		out.Snapshots = []provision.Snapshot{}
	}
	if holder != nil {
		out.Lock = &lockInfo{holder.Holder, holder.Since}
	}
	if !have.Found {
		out.Problems = append(out.Problems, "nothing is deployed")
		return out, nil
	}
	if out.URL != "" {
		out.Answer = t.requestURL(ctx, out.URL, have.Settings)
		out.Answer.noteSameAnswer(out.Targets)
	}
	usage := have.Usage()
	if out.Database != nil {
		usage = supported(usage, out.Database.Version, out.Database.SupportEnds, out.Database.SupportDisabled)
	}
	if out.costs, err = pricing.Cost(usage, t.region); err != nil {
		out.unpriced = err.Error()
	} else if !t.local {
		total := pricing.Total(out.costs)
		out.Monthly = &total
	}
	out.findProblems(found, g)
	return out, nil
}

// observe reads every resource, and what only a status needs.
func (o *statusOutput) observe(ctx context.Context, t *target, g *globals, have provision.Deployed, also alsoRead) ([]graph.Finding, error) {
	have.PreloadTags(ctx, t.clients.Tagging, g.stack)
	spec := withAnyZones(deployedSpec(g, &have))
	spec.Wait, spec.Paused = true, !have.Paused.IsZero()
	stack, err := provision.NewStack(t.clients, spec)
	if err != nil {
		return nil, err
	}
	found := graph.Observe(ctx, stack.Resources(), stack.Options())
	for i := range found {
		if found[i].Name == "sg-load-balancer" && !have.PortRecorded {
			found[i].Drift = nil // the port of its rule is recorded with the load balancer
		}
	}
	if o.Snapshots, err = stack.Snapshots(ctx); err != nil {
		return nil, err
	}
	var errs []error
	for _, f := range found {
		if f.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.Name, f.Err))
		}
	}
	status, err := stack.Status(ctx)
	if err == nil && also != nil {
		err = also(ctx, stack, found)
	}
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	if status.Tasks == nil {
		status.Tasks = o.Tasks
	}
	if status.Targets == nil {
		status.Targets = o.Targets
	}
	o.Status = status
	if text := stack.Unrenewed(); text != "" {
		o.Problems = append(o.Problems, text)
	}
	return found, nil
}
