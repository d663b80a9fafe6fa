package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"github.com/bookctl/bookctl/internal/hint"
	"io"
	"net/http"
	"slices"
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

// watchStatus shows the status again and again until it is interrupted. That is how it
// ends, and no failure.
func watchStatus(ctx context.Context, s streams, g *globals, t *target, every time.Duration) error {
	if every < time.Second {
		return usageError{fmt.Errorf("--interval %s: a second is the shortest", every)}
	}
	for {
		out, err := readStatus(ctx, t, g, nil)
		if ctx.Err() == nil {
			if err != nil {
				return err
			}
			if isTerminal(s.out) && g.output != "json" {
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
			if errors.Is(context.Cause(ctx), errInterrupted) {
				return nil
			}
			return context.Cause(ctx)
		case <-time.After(every):
		}
	}
}

// statusOutput is the status as JSON; see docs/output.schema.json.
type statusOutput struct {
	Schema  string `json:"schema"`
	Type    string `json:"type"`
	Stack   string `json:"stack"`
	Account string `json:"account"`
	Region  string `json:"region"`
	Healthy bool   `json:"healthy"`
	// Paused is since when the stack is; zero for one that is not. DatabaseStarts is when
	// RDS starts a stopped database by itself.
	Paused         time.Time `json:"paused,omitzero" doc:"Since when the stack is paused. It is not healthy then."`
	DatabaseStarts time.Time `json:"databaseStarts,omitzero" doc:"When RDS starts the stopped database by itself."`
	// Problems are the reasons why it is not.
	Problems []string `json:"problems" doc:"Why it is not healthy, in words for people."`
	// Answer is the response of the URL; nil if it was not requested.
	Answer *answer `json:"answer,omitempty" doc:"What the URL answers where it does so only with its database."`
	provision.Status
	// Given is the existing VPC that the stack uses; nil for a VPC of its own.
	Given     *givenNetwork        `json:"givenNetwork,omitempty" doc:"The VPC that the stack is in and that is not its own; left out for its own."`
	Snapshots []provision.Snapshot `json:"snapshots"`
	Drift     []drifted            `json:"drift" doc:"What is not as it was asked for."`
	// Monthly is what the stack costs a month in US dollars; nil when unknown.
	Monthly *float64  `json:"monthlyCost,omitempty" doc:"US dollars; left out where no price is known."`
	Lock    *lockInfo `json:"lock,omitempty" doc:"Who is at work on the stack."`

	place string
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

// givenNetwork is an existing VPC, of which a stack changes nothing.
type givenNetwork struct {
	VPC     string   `json:"vpc"`
	Subnets []string `json:"subnets" doc:"Those of load balancer and tasks."`
	// DBSubnets are those of the database.
	DBSubnets []string `json:"dbSubnets" doc:"Those of the database."`
}

// givenTo is the existing VPC of a stack with these settings; nil for a VPC of its own.
func givenTo(s provision.Settings) *givenNetwork {
	if s.VPC == "" {
		return nil
	}
	list := func(ids string) []string {
		return listOf(strings.FieldsFunc(ids, func(r rune) bool { return r == ',' }))
	}
	return &givenNetwork{s.VPC, list(s.Subnets), list(s.DBSubnets)}
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
	have, err := provision.ReadDeployed(ctx, t.clients, g.stack)
	if err != nil {
		return nil, fmt.Errorf("read what is deployed: %w", err)
	}
	var kept []string
	if !have.Found { // nothing records its settings; resources may exist all the same
		if have.Found, kept, err = provision.Exist(ctx, t.clients, g.stack); err != nil {
			return nil, err
		}
	}
	out := &statusOutput{
		Schema: schema, Type: "status", Stack: g.stack, Account: t.account, Region: t.region,
		Problems: []string{}, Snapshots: []provision.Snapshot{}, Drift: []drifted{}, place: t.place, now: time.Now(), found: have.Found, databaseless: have.NoDatabase,
		Paused: have.Paused, DatabaseStarts: have.DatabaseStarts, Given: givenTo(have.Settings),
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
		out.Answer = t.ask(ctx, out.URL, have.Settings)
		out.Answer.compare(out.Targets)
	}
	usage := have.Usage()
	if out.Database != nil {
		usage = supported(usage, out.Database.Version, out.Database.SupportEnds)
	}
	if out.costs, err = pricing.Cost(usage, t.region); err != nil {
		out.unpriced = err.Error()
	} else if !t.local {
		total := pricing.Total(out.costs)
		out.Monthly = &total
	}
	out.judge(found, g)
	return out, nil
}

// observe reads every resource, and what only a status needs.
func (o *statusOutput) observe(ctx context.Context, t *target, g *globals, have provision.Deployed, also alsoRead) ([]graph.Finding, error) {
	have.HintTags(ctx, t.clients.Tagging, g.stack)
	spec := provision.Spec{
		Stack: g.stack, Version: version(), Settings: have.Settings, Running: have.Running, Zones: have.Zones, Deployed: &have, Wait: true,
		Paused: !have.Paused.IsZero(),
	}
	if spec.Zones[0] == "" || spec.Zones[1] == "" {
		spec.Zones = [2]string{"a", "b"} // of a part of a stack: nothing is made in them
	}
	stack, err := provision.NewStack(t.clients, spec)
	if err != nil {
		return nil, err
	}
	found := graph.Observe(ctx, stack.Resources(), stack.Options())
	for i := range found {
		if found[i].Name == "sg-load-balancer" && !have.Ported {
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

// judge finds problems and drift.
func (o *statusOutput) judge(found []graph.Finding, g *globals) {
	reported := false // of the database already
	problem := func(format string, args ...any) { o.Problems = append(o.Problems, fmt.Sprintf(format, args...)) }
	for _, f := range found {
		switch {
		case f.Phase == graph.Absent && f.Name == "image" && o.Service.Found && o.Image.Gone:
			continue // reported below, with what it means
		case f.Phase == graph.Absent && !f.Unwanted:
			o.partial = true
			problem("%s is missing%s", f.Name, prefixed(": ", f.Note, ""))
			if f.Note == "" {
				o.missing = append(o.missing, f.Name)
			}
			continue
		case f.Phase == graph.Absent:
			continue
		case f.Owner != o.Stack:
			problem("%s %s", f.Name, graph.ErrUnmanaged)
			continue
		case f.Phase == graph.Terminating:
			problem("%s is being deleted", f.Name)
		case f.Phase == graph.Unrecoverable:
			o.broken, reported = true, reported || f.Name == "database"
			problem("%s failed: %s%s", f.Name, f.Note, prefixed("; ", f.Next.Show(g.show), ""))
		}
		if changes := o.unreleased(f); len(changes) > 0 {
			o.Drift = append(o.Drift, drifted{f.Name, g.shown(changes)})
		}
	}
	s := o.Service
	paused := !o.Paused.IsZero()
	if paused {
		problem("it is paused since %s", o.Paused.UTC().Format(minute))
	}
	if s.Found {
		if s.Running < s.Desired {
			problem("%d of %d tasks are running%s", s.Running, s.Desired, o.lastEvent())
		}
		if o.Image.Gone {
			problem("the image that the service runs, %s, is no longer in the stack's repository, and no new task can start", digestOf(o.Image.Reference))
		}
		if s.Rollout == "FAILED" {
			problem("the rollout of %s failed: %s", s.Revision, s.Reason)
		}
		for _, t := range o.Tasks {
			if t.Health == "UNHEALTHY" {
				problem("task %s fails its own health check", shortID(t.ID))
			}
		}
		healthy := 0
		for _, t := range o.Targets {
			switch t.Health {
			case "healthy":
				healthy++
			case "unhealthy":
				problem("the load balancer finds %s unhealthy: %s", t.Address, firstOf(t.Description, t.Reason))
			}
		}
		if healthy == 0 && s.Desired > 0 && !paused {
			problem("no task is healthy behind the load balancer")
		}
	}
	if d := o.Database; d != nil && !servingDatabase[d.State] && !reported && (!paused || !restingDatabase[d.State]) {
		problem("the database is %s", d.State)
	}
	// Without a service, the load balancer's 503 says nothing new.
	if a := o.Answer; a != nil && !a.Ready && !paused && (s.Found || a.Code < http.StatusInternalServerError) {
		problem("%s", a.complaint())
	}
	o.Healthy = len(o.Problems) == 0
}

// unreleased is the drift of a resource without that of a failed release, which is reported
// as such.
func (o *statusOutput) unreleased(f graph.Finding) []graph.Change {
	if o.Newer == nil || !o.Newer.Failed || f.Name != "service" {
		return f.Drift
	}
	return slices.DeleteFunc(slices.Clone(f.Drift), func(c graph.Change) bool { return c.Field == "task-definition" })
}

// servingDatabase are the states in which RDS's databases take connections.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html#Overview.DBInstance.Status
var servingDatabase = map[string]bool{
	"available": true, "backing-up": true, "configuring-enhanced-monitoring": true, "configuring-log-exports": true,
	"modifying": true, "moving-to-vpc": true, "resetting-master-credentials": true, "storage-optimization": true,
	"storage-config-upgrade": true, "storage-initialization": true, "upgrading": true, "maintenance": true, "storage-full": false,
}

// restingDatabase are the states of a database whose stack is paused.
var restingDatabase = map[string]bool{"stopping": true, "stopped": true}

// resting reports whether the stack is paused and has no other problem.
func (o *statusOutput) resting() bool { return !o.Paused.IsZero() && len(o.Problems) == 1 }

func (o *statusOutput) lastEvent() string {
	if len(o.Service.Events) == 0 {
		return ""
	}
	return ": " + o.Service.Events[0].Message
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return "no reason given"
}

// shortID is the beginning of a task's id, as short as people need it.
func shortID(id string) string { return id[:min(8, len(id))] }

// show prints the status and returns the summary as exit code.
func (o *statusOutput) show(w io.Writer, g *globals) error {
	var err error
	if g.output == "json" {
		err = json.NewEncoder(w).Encode(o)
	} else {
		_, err = io.WriteString(w, o.text(g))
	}
	if err != nil {
		return fmt.Errorf("print the status: %w", err)
	}
	if !o.Healthy {
		return exitError{exitUnhealthy}
	}
	return nil
}

func (o *statusOutput) text(g *globals) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Stack %s in %s: %s\n", o.Stack, o.place, o.summary())
	o.allRows(func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-10s %s\n", name, g.text(format, args...))
	})
	if o.found && !o.Healthy && !o.resting() {
		fmt.Fprintln(&b, "Not healthy:")
		for _, p := range o.listed() {
			fmt.Fprintln(&b, "  - "+p)
		}
	}
	if next := o.next(); !next.Empty() {
		fmt.Fprintln(&b, next.Show(g.show))
	}
	return b.String()
}

// mostMissing is how many missing resources have a line each, as a half destroyed stack lacks
// dozens.
const mostMissing = 8

// listed are the problems for people, with many missing resources in one line.
func (o *statusOutput) listed() []string {
	if len(o.missing) <= mostMissing {
		return o.Problems
	}
	out := []string{fmt.Sprintf("%d resources are missing: %s", len(o.missing), strings.Join(o.missing, ", "))}
	for _, p := range o.Problems {
		if name, is := strings.CutSuffix(p, " is missing"); !is || !slices.Contains(o.missing, name) {
			out = append(out, p)
		}
	}
	return out
}

// summary is the state of the stack in a word or two.
func (o *statusOutput) summary() string {
	switch {
	case !o.found:
		return "nothing is deployed"
	case o.resting():
		return "paused"
	case !o.Paused.IsZero():
		return "paused, and not healthy"
	case !o.Healthy:
		return "not healthy"
	}
	return "healthy"
}

// next is the next step, if there is one.
func (o *statusOutput) next() hint.Message {
	switch {
	case o.Lock != nil:
		return hint.New("Another run is at work on the stack; %s shows when it is over.", hint.Command("status", "--watch"))
	case !o.found && provision.Restorable(o.Snapshots) == "latest":
		return hint.New("%s creates the stack again with the data of the newest snapshot.", hint.Command("up", "--restore", "latest"))
	case !o.found && provision.Restorable(o.Snapshots) != "":
		return hint.New("%s creates the stack again with the data of the newest copy.", hint.Command("up", "--restore", provision.Restorable(o.Snapshots)))
	case len(o.kept) > 0:
		return hint.New("%s creates it, and gives its tasks the secrets that are set: %s.", hint.Command("up"), strings.Join(o.kept, ", "))
	case !o.found:
		return hint.New("%s creates it.", hint.Command("up"))
	case o.resting():
		return hint.New("%s starts it again.", hint.Command("resume"))
	case !o.Healthy:
		next := hint.New("%s and %s show more; %s creates what is missing and repairs drift", hint.Command("logs"), hint.Command("events"), hint.Command("up"))
		if o.broken {
			next = hint.New("%s and %s show more; fix what failed first; %s then repairs the rest", hint.Command("logs"), hint.Command("events"), hint.Command("up"))
		}
		if o.Image.Gone {
			next = hint.New("%s pushes what the source builds, or %s rolls back to a release whose image exists; %s and %s show more", hint.Command("up"), hint.Command("rollback"), hint.Command("logs"), hint.Command("events"))
		}
		if o.partial { // a destroy may have been cut off
			next = hint.New("%s; %s removes what is there", next, hint.Command("destroy"))
		}
		return hint.New("%s.", next)
	}
	return hint.Message{}
}

// label is the name of the first of several rows.
func label(i int, name string) string {
	if i > 0 {
		return ""
	}
	return name
}

// allRows are the rows that there are, each with its name; a row without one goes on with
// what the row before it is of.
func (o *statusOutput) allRows(row func(name, format string, args ...any)) {
	if o.found {
		o.rows(row)
	}
	for i, x := range o.Snapshots {
		row(label(i, "Snapshots"), "%s (%s, %s, %d GiB, %s)", x.ID, x.What(), x.Status, x.GiB, ago(x.Created))
	}
	if o.Lock != nil {
		row("Locked", "by %s since %s", o.Lock.Holder, o.Lock.Since.UTC().Format("15:04:05Z"))
	}
	for i, d := range o.Drift {
		row(label(i, "Drift"), "%s: %s", d.Resource, changesText(d.Changes))
	}
	var refused []string
	for _, d := range o.Drift {
		for _, change := range graph.Blocked(d.Changes) {
			refused = append(refused, d.Resource+" "+change.String())
		}
	}
	switch {
	case o.Lock != nil: // printed at the end
	case refused != nil:
		row("", "%s refuses, with nothing touched, what can't be changed in place: %s", hint.Command("up"), strings.Join(refused, "; "))
	case len(o.Drift) > 0 && !o.Paused.IsZero():
		row("", "%s has the stack as it was paused again, and %s repairs it all and has it serve", hint.Command("pause"), hint.Command("up"))
	case len(o.Drift) > 0:
		row("", "%s repairs it, and %s says how", hint.Command("up"), hint.Command("plan"))
	}
	for i, e := range o.Service.Events {
		if i < 3 {
			row(label(i, "Events"), "%s %s", e.Time.UTC().Format("15:04:05Z"), brief(e.Message))
		}
	}
}

// rows are those of what is deployed.
func (o *statusOutput) rows(row func(string, string, ...any)) {
	if !o.Paused.IsZero() {
		row("Paused", "since %s", o.Paused.UTC().Format(minute))
	}
	switch a := o.Answer; {
	case a == nil:
		row("URL", "none yet")
	case a.Error != "":
		row("URL", "%s", a.complaint())
	default:
		row("URL", "%s answers %d in %.0f ms", o.URL, a.Code, a.Milliseconds)
	}
	if s := o.Service; s.Found {
		rollout := strings.ToLower(strings.ReplaceAll(s.Rollout, "_", " "))
		text := fmt.Sprintf("%d/%d running, %s", s.Running, s.Desired, s.Revision)
		if rollout != "" {
			text += ", rollout " + rollout
		}
		if s.Max != 0 {
			text += fmt.Sprintf(", scales from %d to %d", s.Min, s.Max)
		}
		row("Service", "%s, began %s", text, ago(s.Started))
		if r := s.Shifting; r != nil {
			row("Release", "%s", r.Text())
			if !r.Ends.IsZero() {
				row("", "%s takes it back at once, without a rollout", hint.Command("rollback"))
			}
		}
	} else {
		row("Service", "missing")
	}
	for i, t := range o.Tasks {
		started := "not started"
		if !t.Started.IsZero() {
			started = "started " + ago(t.Started)
		}
		on := ""
		if t.Spot {
			on = ", on Spot"
		}
		row(label(i, "Tasks"), "%s %s, %s, %s, %s%s", shortID(t.ID), strings.ToLower(t.Status), o.health(t), started, t.Revision, on)
		if t.Reason != "" {
			row("", "  %s", t.Reason)
		}
	}
	if o.Spot != nil {
		o.spotRows(row)
	}
	for i, t := range o.Targets {
		text := t.Address + " " + t.Health
		if reason := firstOf(t.Description, t.Reason, "-"); reason != "-" {
			text += ": " + reason
		}
		row(label(i, "Targets"), "%s", text)
	}
	if d := o.Database; d != nil {
		zones := ""
		if d.MultiAZ {
			zones = ", two zones"
		}
		if d.Protected {
			zones += ", protected"
		}
		row("Database", "%s, PostgreSQL %s, %s, %d GiB%s", d.State, d.Version, d.Class, d.Storage, zones)
		switch {
		case !o.DatabaseStarts.IsZero():
			row("", "RDS starts it by itself at %s", o.DatabaseStarts.UTC().Format(minute))
		case !o.Paused.IsZero() && !restingDatabase[d.State]:
			row("", "it runs, and costs: RDS starts a stopped one after seven days; %s stops it", hint.Command("pause"))
		}
		if text := supportNote(d.Version, d.Class, o.Region, d.MultiAZ, d.SupportEnds, o.now); !text.Empty() {
			row("", "%s", text)
		}
		restorable := ""
		if !d.Restorable.IsZero() {
			restorable = ", restorable up to " + ago(d.Restorable)
		}
		row("Backups", "kept %d days%s%s", d.BackupDays, prefixed(", made at ", d.BackupWindow, " UTC"), restorable)
	} else if o.databaseless {
		row("Database", "none, as was asked for")
	} else {
		row("Database", "missing")
	}
	if a := o.Alarms; a != nil {
		text := "none raised"
		if len(a.Raised) > 0 {
			text = strings.Join(a.Raised, ", ") + " raised"
		}
		row("Alarms", "%s, sent to %s", text, a.To)
		for _, text := range undelivered(a.To, a.AlarmAudience) {
			row("", "%s", text)
		}
	}
	if n := o.Given; n != nil {
		row("Network", "%s, given and not managed: load balancer and tasks in %s%s", n.VPC, strings.Join(n.Subnets, ", "), prefixed(", database in ", strings.Join(n.DBSubnets, ", "), ""))
	}
	if ref := o.Image.Reference; ref != "" {
		text := digestOf(ref)
		if !o.Image.Pushed.IsZero() {
			text += ", pushed " + ago(o.Image.Pushed)
		}
		row("Image", "%s", text)
		if o.RolledBackFrom != "" {
			row("", "rolled back from revision %s; %s deploys what the source builds", o.RolledBackFrom, hint.Command("up"))
		}
		if n := o.Newer; n != nil && n.Failed {
			row("", "%s, made %s, never became healthy, and ECS went back to this one;", n.Revision, ago(n.Created))
			row("", "%s shows why, and the next %s tries again", hint.Command("events"), hint.Command("up"))
		} else if n != nil {
			row("", "%s, made %s, was never rolled out; %s goes on with it", n.Revision, ago(n.Created), hint.Command("up"))
		}
	}
	if o.Monthly != nil {
		row("Cost", "about $%.2f a month", *o.Monthly)
	}
}

// spotInterruptions is how many interruptions a status shows.
const spotInterruptions = 3

// spotRows show what AWS took back, and what it could not give.
func (o *statusOutput) spotRows(row func(string, string, ...any)) {
	spot := o.Spot
	row("Spot", "%d of the tasks on demand, those beyond on Fargate Spot", spot.Base)
	for i, t := range spot.Interrupted {
		if i == spotInterruptions {
			row("", "and %d more were interrupted within the hour", len(spot.Interrupted)-i)
			break
		}
		when := "ends now"
		if !t.Stopped.IsZero() {
			when = "ended " + ago(t.Stopped)
		}
		row("", "task %s %s, SpotInterruption: %s", t.ShortID(), when, t.Reason)
	}
	if spot.Unplaced != "" {
		row("", "a task can't be placed: %s", spot.Unplaced)
		row("", "ECS tries again by itself; a higher --spot-base runs more on demand")
	}
}

// health is the state of a task by the health check of its container. Without one, only the
// load balancer checks it; the targets show that.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html#ECS-Type-Task-healthStatus
func (o *statusOutput) health(t diagnosis.Task) string {
	switch {
	case t.Health != "UNKNOWN":
		return strings.ToLower(t.Health)
	case o.unchecked:
		return "no health command"
	}
	return "not checked yet"
}

func prefixed(before, text, after string) string {
	if text == "" {
		return ""
	}
	return before + text + after
}
