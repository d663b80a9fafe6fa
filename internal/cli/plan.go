package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/bookctl/bookctl/internal/hint"

	awspricing "github.com/aws/aws-sdk-go-v2/service/pricing"
	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/image"
	"github.com/bookctl/bookctl/internal/partition"
	"github.com/bookctl/bookctl/internal/pricing"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

func newPlan(s streams, g *globals) *cobra.Command {
	var (
		u      upFlags
		prices string
	)
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what 'up' would change, and what the stack would cost",
		Long: `Show what 'bookctl up' with the same flags would create and update, what blocks it,
and what the stack costs a month before and after. Nothing is changed.

The exit code is 0 when there is nothing to do, 2 when there are changes, and 1
when a change is blocked. Prices come from a built-in table of the common
regions; --price live asks the AWS Pricing API.`,
		Example: `  bookctl plan
  bookctl plan --count 2 --db-class db.t4g.small
  bookctl plan --stack shop --cidr 10.20.0.0/16
  bookctl plan --price live --output json`,
		Args: cobra.NoArgs,
	}
	cmd.RunE = within(g, func(ctx context.Context, _ []string) error {
		if err := checkPlanFlags(g, &u, prices); err != nil {
			return err
		}
		return plan(ctx, s, g, &u, prices == "live")
	})
	u.add(cmd.Flags())
	cmd.Flags().StringVar(&prices, "price", "table", "source of prices: table or live")
	return cmd
}

// The actions that a plan has for a resource.
const (
	planCreate    = "create"
	planUpdate    = "update"
	planBlocked   = "blocked"
	planUnchanged = "unchanged"
)

// planned is what 'up' would do to one resource.
type planned struct {
	Resource string         `json:"resource"`
	Action   string         `json:"action" enum:"create|update|blocked|unchanged"`
	ID       string         `json:"id,omitempty"`
	Changes  []graph.Change `json:"changes,omitempty"`
	Note     string         `json:"note,omitempty"`
	Given    bool           `json:"given,omitempty" doc:"The stack uses it and does not manage it."`

	retained string // what is left as it is though it differs
	stops    bool   // and does not keep the rest from being done
}

// planOutput is the plan as JSON; see docs/output.schema.json.
type planOutput struct {
	head
	place
	Create    int           `json:"create"`
	Update    int           `json:"update"`
	Blocked   int           `json:"blocked"`
	Unchanged int           `json:"unchanged"`
	Settings  []planSetting `json:"settings" doc:"What the user chooses, as it is and as it would be; docs/settings.md has them all."`
	// TLS is how tasks have to connect to the database; nil without one.
	TLS *planTLS `json:"databaseTLS,omitempty" doc:"How tasks have to connect to the database; left out without one."`
	// Environment, Secrets and Database are the variables that the container gets.
	Environment []string `json:"environment" doc:"Names of the variables that the user gives to the container."`
	Secrets     []string `json:"secrets" doc:"Names of those whose values are secrets."`
	Database    []string `json:"databaseVariables" doc:"Names of the variables by which the container finds its database."`

	Resources []planned `json:"resources"`
	Cost      planCost  `json:"cost" doc:"US dollars for a month of 730 hours, before tax, free tiers and discounts."`
	APIReads  int       `json:"apiReads"`
	APIWrites int       `json:"apiWrites" doc:"Always 0."`
}

// planTLS is how tasks connect to the database, as libpq's sslmode, and the reason for it.
type planTLS struct {
	Mode   string `json:"mode" doc:"As libpq's sslmode: verify-full where the image has the certificate authorities of Amazon RDS." enum:"verify-full|require"`
	Reason string `json:"reason"`
}

// planSetting is a setting of the stack, its value now and after the run.
type planSetting struct {
	Name string `json:"name"`
	Flag string `json:"flag" doc:"The flag of 'up' that sets it."`
	// Now is a number, a text or a bool; nil if nothing is deployed.
	Now  any `json:"now,omitempty" doc:"Left out where nothing is deployed."`
	Then any `json:"then"`
	// Source is where the value is from: a flag, a variable, a line of the app's file, the
	// image, what is deployed, or the default.
	Source string `json:"source,omitempty" doc:"Where the value is from, of what the image decides unless the user does."`

	derived bool // the image decides it, unless the user does
}

// planSettings are all settings.
func planSettings(have provision.Deployed, want provision.Settings, sources map[string]string) []planSetting {
	have.Settings, want = archiveAsImage(have.Settings), archiveAsImage(want)
	var out []planSetting
	for _, row := range provision.Table() {
		s := planSetting{Name: row.JSON, Flag: "--" + row.Flag, Then: row.Value.Get(want), Source: sources[row.Flag], derived: row.Derived}
		if have.Found {
			s.Now = row.Value.Get(have.Settings)
		}
		out = append(out, s)
	}
	return out
}

// archiveAsImage are the settings that show an archive as the user gives it, with --image.
func archiveAsImage(s provision.Settings) provision.Settings {
	if image.IsArchive(s.From) {
		s.Image, s.From = s.From, ""
	}
	return s
}

// settingSources returns for each setting where its value is from.
func (p *preparation) settingSources(g *globals) map[string]string {
	out := map[string]string{}
	for _, row := range provision.Table() {
		switch reason := p.sources[row.Flag]; {
		case p.in.up.given(row.Flag) && g.valueSource[row.Flag] != "":
			out[row.Flag] = g.valueSource[row.Flag]
		case p.in.up.given(row.Flag):
			out[row.Flag] = "--" + row.Flag
		case reason != "":
			out[row.Flag] = reason
		case p.have.Found:
			out[row.Flag] = "deployed"
		default:
			out[row.Flag] = "default"
		}
	}
	return out
}

// planCost is what a month costs, before and after.
type planCost struct {
	Currency string         `json:"currency" enum:"USD"`
	Now      []pricing.Line `json:"now"`
	Then     []pricing.Line `json:"then"`
	NowSum   float64        `json:"nowTotal"`
	ThenSum  float64        `json:"thenTotal"`
	// Source is where the prices are from, and as of when.
	Source string `json:"source,omitempty" doc:"Where the prices are from, and as of when."`
	// Unknown is the reason why there are no figures.
	Unknown string `json:"unknown,omitempty" doc:"Why there are no figures."`
}

// checkPlanFlags fails for what is wrong without asking the cloud.
func checkPlanFlags(g *globals, u *upFlags, prices string) error {
	switch {
	case prices != "table" && prices != "live":
		return usageError{fmt.Errorf("--price %q: choose table or live", prices)}
	case prices == "live" && g.local:
		return usageError{errors.New("--price live asks AWS, and --local is not AWS: what runs here costs nothing")}
	}
	return u.check(false)
}

func plan(ctx context.Context, s streams, g *globals, u *upFlags, live bool) error {
	if g.local {
		end, err := g.planBeforeStart(ctx)
		if err != nil {
			return err
		}
		defer end()
	}
	t, err := connect(ctx, s, g)
	if err != nil {
		return err
	}
	// https://docs.aws.amazon.com/general/latest/gr/billing.html#billing-pricing
	if of := partition.Of(t.region).Name; live && of != partition.Of(pricing.Region).Name {
		return hint.With(usageError{fmt.Errorf("--price live: the AWS Pricing API answers in %s, and knows no credentials of partition %s", pricing.Region, of)}, "leave --price live out")
	}
	report := func(format string, args ...any) {
		if g.output != "json" { // a plan is one object
			g.note(s, format, args...)
		}
	}
	p, err := prepareInput{target: t, globals: g, up: u, note: report, report: func(b build) { report("%s", b) }}.prepare(ctx)
	if err != nil {
		return err
	}
	defer p.source.close()
	out, err := observePlan(ctx, g, p)
	if err != nil {
		return err
	}
	if err := p.addSupport(ctx); err != nil {
		return err
	}
	for _, w := range p.warnings {
		g.note(s, "note: %s", w)
	}
	if out.Cost, err = p.cost(ctx, live); err != nil {
		return err
	}
	return out.finish(s, g, p)
}

// observePlan reads every resource, and returns what 'up' would do.
func observePlan(ctx context.Context, g *globals, p *preparation) (*planOutput, error) {
	p.spec.Deployed = &p.have // seen a moment ago, and nothing happens in between
	stack, err := provision.NewStack(p.target.clients, p.spec)
	if err != nil {
		return nil, err
	}
	resources := stack.Resources()
	found := graph.Observe(ctx, resources, graph.Options{Owner: g.stack, Transient: provision.Transient})
	out := &planOutput{
		head: headOf("plan"), place: placeOf(g, p.target),
		Settings: planSettings(p.have, p.spec.Settings, p.settingSources(g)), Resources: []planned{},
		Environment: orEmpty(p.spec.Env.Names()), Secrets: orEmpty(p.spec.Secrets.Names()), Database: orEmpty(p.spec.DatabaseVariables()),
	}
	if !p.spec.NoDatabase {
		mode, reason := p.spec.DatabaseTLS()
		out.TLS = &planTLS{mode, reason}
	}
	var errs []error
	for i, f := range found {
		if f.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.Name, f.Err))
			continue
		}
		if f.Phase == graph.Absent && f.Unwanted {
			continue // an option that is off is no part of the stack
		}
		out.Resources = append(out.Resources, planResource(resources[i], f, g))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := p.portsAreFree(found); err != nil {
		return nil, err
	}
	released, err := stack.Released(ctx)
	if err != nil {
		return nil, fmt.Errorf("read which release serves: %w", err)
	}
	showReleaseAsServing(out.Resources, released)
	out.count()
	return out, nil
}

// count counts the resources by what 'up' would do to them.
func (o *planOutput) count() {
	for _, r := range o.Resources {
		switch r.Action {
		case planCreate:
			o.Create++
		case planUpdate:
			o.Update++
		case planBlocked:
			o.Blocked++
		case planUnchanged:
			o.Unchanged++
		}
	}
}

// finish prints the plan, and returns the exit code that says whether there are changes.
func (o *planOutput) finish(s streams, g *globals, p *preparation) (err error) {
	o.APIReads, o.APIWrites = p.target.calls.counts()
	if g.output == "json" {
		err = encode(s.out, o)
	} else {
		err = o.print(s.out, p.target.place, g)
	}
	switch {
	case err != nil:
		return fmt.Errorf("print the plan: %w", err)
	case o.Blocked > 0:
		return exitError{exitFailed}
	case o.Create+o.Update > 0:
		return exitError{exitChanges}
	}
	return nil
}

// planResource returns what 'up' would do, decided from what was read as the engine decides.
func planResource(r graph.Maker, f graph.Finding, g *globals) planned {
	p := planned{Resource: f.Name, ID: f.ID, Changes: g.withHints(f.Drift), Action: planUnchanged}
	_, updatable := r.(graph.Updater)
	_, p.Given = r.(interface{ Given() })
	switch {
	case f.Phase == graph.Absent:
		p.Action = planCreate
		if planner, ok := r.(interface{ Planned() string }); ok {
			p.Note = planner.Planned()
		}
	case f.Phase == graph.Terminating:
		p.Action, p.Note = planCreate, "when the one that is being deleted is gone"
	case f.Owner != g.stack:
		p.Action, p.Note, p.Changes = planBlocked, graph.ErrUnmanaged.Error(), nil // it is not to be like ours
	case f.Phase == graph.Unrecoverable:
		p.Action, p.Note, p.stops = planBlocked, "failed: "+f.Note+wrapIfAny("; ", f.Next.Show(g.showCommand), ""), true
	case len(f.Drift) == 0:
		p.Note = f.Note
		p.retained = retainedText(f.Retained)
	case blocked(f.Drift) || !updatable:
		p.Action, p.Note = planBlocked, graph.ErrBlocked.Error()
	default:
		p.Action = planUpdate
		p.retained = retainedText(f.Retained)
	}
	if p.retained != "" {
		p.Note = p.retained
	}
	return p
}

// withHints are the changes with their hints completed for this run.
func (g *globals) withHints(changes []graph.Change) []graph.Change {
	out := slices.Clone(changes)
	for i, c := range out {
		out[i].Blocked, out[i].Hint = c.Reason().Show(g.showCommand), hint.Message{}
	}
	return out
}

// retainedText describes the differences that are left as they are, with the reason; "" for
// none.
func retainedText(kept []graph.Change) string {
	var out []string
	for _, c := range kept {
		text := c.Field + " stays"
		if c.Have != "" {
			text += " " + c.Have
		}
		if c.Want != "" {
			text += " (" + c.Want + " is recorded)"
		}
		out = append(out, text+": "+c.Blocked)
	}
	return strings.Join(out, "; ")
}

func blocked(changes []graph.Change) bool {
	for _, c := range changes {
		if c.Blocked != "" {
			return true
		}
	}
	return false
}

// showReleaseAsServing changes the plan to what will be observed: the image changes from the one
// that serves, which after a failed release is not that of the newest revision, and the new
// revision has no number yet. The service rolls it out, and can't differ from it until it
// exists.
func showReleaseAsServing(resources []planned, now provision.ReleaseStatus) {
	failed := ""
	if now.Newer != nil && now.Newer.Failed {
		failed = now.Newer.Revision + " never became healthy"
	}
	release := false
	for i := range resources {
		switch r := &resources[i]; r.Resource {
		case "task-definition":
			release = r.Action == planCreate || r.Action == planUpdate && provision.NewRelease(r.Changes)
			switch {
			case failed == "":
			case release:
				r.Note = failed + "; the change is from what serves"
				r.Changes = imageChangeFromServing(r.Changes, now.Image.Reference)
			case r.Action == planUpdate:
				r.Note = failed + ", and is withdrawn: what serves is what is wanted"
			}
		case "service":
			if release { // its image is marked when it serves, as each one is
				r.Changes = slices.DeleteFunc(r.Changes, func(c graph.Change) bool { return c.Field == provision.FieldKept })
				if r.Action == planUpdate && len(r.Changes) == 0 {
					r.Action = planUnchanged
				}
			}
			rolls := slices.IndexFunc(r.Changes, func(c graph.Change) bool { return c.Field == "task-definition" })
			switch {
			case release && rolls >= 0:
				r.Changes[rolls].Want = "the new revision"
			case release && r.Action == planUnchanged:
				r.Action, r.Note = planUpdate, "rolls the new release out"
			case rolls >= 0 && failed != "":
				r.Note = failed + ", and is tried again"
			}
		}
	}
}

// imageChangeFromServing sets the change of the image to start from the serving one, and omits it if
// that one is wanted again.
func imageChangeFromServing(changes []graph.Change, image string) []graph.Change {
	at := slices.IndexFunc(changes, func(c graph.Change) bool { return c.Field == "image" })
	if at < 0 {
		return changes
	}
	changes = slices.Clone(changes)
	if changes[at].Have = image; changes[at].Want == image {
		return slices.Delete(changes, at, at+1)
	}
	return changes
}

// cost is what the stack costs now and after the run. A plan does not fail because a price
// is unknown.
func (p *preparation) cost(ctx context.Context, live bool) (planCost, error) {
	c := planCost{Currency: "USD", Now: []pricing.Line{}, Then: []pricing.Line{}}
	if p.target.local {
		c.Unknown = "what runs on this machine costs nothing"
		if lines, err := pricing.Cost(supported(p.spec.Usage(), p.spec.DBVersion, p.supportThen, p.have.SupportDisabled()), p.target.region); err == nil {
			c.Unknown += fmt.Sprintf("; on AWS, in %s, it would be about $%.2f a month", p.target.region, pricing.Total(lines))
		}
		return c, nil
	}
	ask := func(u pricing.Usage) ([]pricing.Line, error) { return pricing.Cost(u, p.target.region) }
	if live {
		// https://docs.aws.amazon.com/general/latest/gr/billing.html#billing-pricing
		client := awspricing.NewFromConfig(p.target.config, func(o *awspricing.Options) { o.Region = pricing.Region })
		ask = func(u pricing.Usage) ([]pricing.Line, error) {
			return pricing.LiveCost(ctx, client, u, p.target.region)
		}
		c.Source = "prices of the AWS Pricing API"
	} else if date, _, err := pricing.Source(); err == nil {
		c.Source = "prices of " + date + ", an estimate and no offer; --price live asks AWS"
	}
	var err error
	if c.Then, err = ask(supported(p.spec.Usage(), p.spec.DBVersion, p.supportThen, p.have.SupportDisabled())); err == nil && p.have.Found {
		c.Now, err = ask(supported(p.have.Usage(), p.have.EngineVersion(), p.supportNow, p.have.SupportDisabled()))
	}
	if errors.Is(err, pricing.ErrNoPrice) {
		return planCost{Currency: "USD", Now: []pricing.Line{}, Then: []pricing.Line{}, Unknown: err.Error()}, nil
	}
	if err != nil {
		return c, err
	}
	c.NowSum, c.ThenSum = pricing.Total(c.Now), pricing.Total(c.Then)
	return c, nil
}

var planSigns = map[string]string{planCreate: "+", planUpdate: "~", planBlocked: "!", planUnchanged: " "}

func (o *planOutput) print(w io.Writer, place string, g *globals) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Stack %s in %s\n\n", o.Stack, place)
	o.printSettings(&b, g)
	for _, r := range o.Resources {
		if r.Action == planUnchanged && r.retained == "" && !g.verbose && (!r.Given || o.Create == 0) {
			continue
		}
		line := fmt.Sprintf("  %s %-27s %s", planSigns[r.Action], r.Resource, r.Action)
		if r.Given {
			line += " " + r.ID
		}
		if r.Note != "" {
			line += ": " + r.Note
		}
		fmt.Fprintln(&b, line)
		for _, c := range r.Changes {
			fmt.Fprint(&b, "      "+c.String())
			if c.Blocked != "" {
				fmt.Fprint(&b, " (blocked: "+c.Blocked+")")
			} else if c.Downtime != "" {
				fmt.Fprint(&b, " ("+c.Downtime+")")
			}
			fmt.Fprintln(&b)
		}
	}
	if o.Create+o.Update+o.Blocked == 0 {
		fmt.Fprintf(&b, "Nothing to do: %d checked.\n", o.Unchanged)
	} else {
		fmt.Fprintf(&b, "\n%d to create, %d to update, %d blocked, %d unchanged.\n", o.Create, o.Update, o.Blocked, o.Unchanged)
	}
	fmt.Fprintln(&b)
	o.printContainer(&b, g)
	o.Cost.print(&b)
	switch {
	case slices.ContainsFunc(o.Resources, func(r planned) bool { return r.Action == planBlocked && !r.stops }):
		fmt.Fprintln(&b, g.format("\nNothing was changed, and %s would change nothing: what is marked with ! comes first.", hint.Command("up")))
	case o.Blocked > 0:
		fmt.Fprintln(&b, g.format("\nNothing was changed. %s does what it can, and fails for what is marked with !.", g.upLine()))
	case o.Create+o.Update > 0:
		fmt.Fprintln(&b, g.format("\nNothing was changed. %s does it.", g.upLine()))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// printContainer prints how the container is run, if that changes, and why.
func (o *planOutput) printContainer(b *strings.Builder, g *globals) {
	released := func(r planned) bool { return r.Resource == "task-definition" && r.Action != planUnchanged }
	if !g.verbose && !slices.ContainsFunc(o.Resources, released) {
		return
	}
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	title := "Container\n"
	for _, s := range o.Settings {
		if s.Source == "" || !s.derived {
			continue
		}
		value := fmt.Sprint(s.Then)
		if value == "" {
			value = "none"
		}
		b.WriteString(title)
		fmt.Fprintf(table, "  %s\t%s\t%s\n", strings.TrimPrefix(s.Flag, "--"), value, s.Source)
		title = ""
	}
	if o.TLS != nil {
		b.WriteString(title)
		fmt.Fprintf(table, "  database TLS\t%s\t%s\n", o.TLS.Mode, o.TLS.Reason)
		title = ""
	}
	for _, variables := range []struct {
		what  string
		names []string
	}{{"database", o.Database}, {"environment", o.Environment}, {"secrets", o.Secrets}} {
		if len(variables.names) > 0 {
			b.WriteString(title)
			fmt.Fprintf(table, "  %s\t%s\n", variables.what, strings.Join(variables.names, " "))
			title = ""
		}
	}
	_ = table.Flush() // a strings.Builder takes all
	if title == "" {
		fmt.Fprintln(b)
	}
}

// printSettings prints the settings that the file of the app and the environment set, and
// where. Flags are visible on the command line.
func (o *planOutput) printSettings(b *strings.Builder, g *globals) {
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	printed := false
	for _, s := range o.Settings {
		if from := g.valueSource[strings.TrimPrefix(s.Flag, "--")]; from != "" && from == s.Source {
			fmt.Fprintf(table, "  %s\t%v\tfrom %s\n", strings.TrimPrefix(s.Flag, "--"), s.Then, from)
			printed = true
		}
	}
	if _ = table.Flush(); printed { // a strings.Builder takes all
		fmt.Fprintln(b)
	}
}

// upLine is the command line of up that does what this plan shows.
func (g *globals) upLine() hint.Invocation {
	var words []string
	skip, verb := false, false
	for _, w := range g.args {
		flag, _, valued := strings.Cut(w, "=")
		switch own := slices.Contains([]string{"--price", "--output", "-o"}, flag); {
		case skip:
			skip = false
		case own:
			skip = !valued
		case w == "plan" && !verb:
			words, verb = append(words, "up"), true
		default:
			words = append(words, w)
		}
	}
	return hint.Command(shellWords(words)...)
}

// print prints the cost line by line, now and after the run.
func (c planCost) print(b *strings.Builder) {
	if c.Unknown != "" {
		fmt.Fprintf(b, "Cost: %s.\n", c.Unknown)
		return
	}
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	before := map[string]float64{}
	for _, l := range c.Now {
		before[l.Item] = l.Monthly
	}
	fmt.Fprintln(table, "Cost a month\tnow\tthen\t")
	for _, l := range c.Then {
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\n", l.Item, dollars(before[l.Item]), dollars(l.Monthly), l.Note)
		delete(before, l.Item)
	}
	for _, l := range c.Now { // what ends
		if sum, ends := before[l.Item]; ends {
			fmt.Fprintf(table, "  %s\t%s\t%s\t\n", l.Item, dollars(sum), dollars(0))
		}
	}
	change := "no change"
	if d := c.ThenSum - c.NowSum; d >= 0.005 || d <= -0.005 {
		change = fmt.Sprintf("%+.2f", d)
	}
	fmt.Fprintf(table, "  total\t%s\t%s\t%s\n", dollars(c.NowSum), dollars(c.ThenSum), change)
	_ = table.Flush() // a strings.Builder takes all
	fmt.Fprintf(b, "%s.\n", capital(c.Source))
}

// dollars aligns sums on their point.
func dollars(sum float64) string { return fmt.Sprintf("%8.2f", sum) }
