package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

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
	fmt.Fprintf(&b, "Stack %s in %s: %s\n", o.Stack, o.where, o.summary())
	o.allRows(func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-10s %s\n", name, g.format(format, args...))
	})
	if o.found && !o.Healthy && !o.resting() {
		fmt.Fprintln(&b, "Not healthy:")
		for _, p := range o.listed() {
			fmt.Fprintln(&b, "  - "+p)
		}
	}
	if next := o.next(); !next.Empty() {
		fmt.Fprintln(&b, next.Show(g.showCommand))
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

// rowPrinter prints a row with its name. A row without a name continues the row before it.
type rowPrinter func(name, format string, args ...any)

// allRows prints the rows that there are.
func (o *statusOutput) allRows(row rowPrinter) {
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
			row(label(i, "Events"), "%s %s", e.Time.UTC().Format("15:04:05Z"), shortenIDs(e.Message))
		}
	}
}

// rows are those of what is deployed.
func (o *statusOutput) rows(row rowPrinter) {
	if !o.Paused.IsZero() {
		row("Paused", "since %s", o.Paused.UTC().Format(minute))
	}
	o.urlRow(row)
	o.serviceRows(row)
	o.heldRows(row)
	o.taskRows(row)
	if o.Spot != nil {
		o.spotRows(row)
	}
	o.targetRows(row)
	o.databaseRows(row)
	o.alarmRows(row)
	o.networkRow(row)
	o.imageRows(row)
	o.costRow(row)
}

func (o *statusOutput) urlRow(row rowPrinter) {
	switch a := o.Answer; {
	case a == nil:
		row("URL", "none yet")
	case a.Error != "":
		row("URL", "%s", a.complaint())
	default:
		row("URL", "%s answers %d in %.0f ms", o.URL, a.Code, a.Milliseconds)
	}
}

func (o *statusOutput) serviceRows(row rowPrinter) {
	s := o.Service
	if !s.Found {
		row("Service", "missing")
		return
	}
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
}

// heldRows are those of a rollout that a hook holds.
func (o *statusOutput) heldRows(row rowPrinter) {
	if h := o.Service.Held; h != nil {
		row("Held", "by %s", h)
		row("", "%s", h.Next())
	}
}

func (o *statusOutput) taskRows(row rowPrinter) {
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
}

func (o *statusOutput) targetRows(row rowPrinter) {
	for i, t := range o.Targets {
		text := t.Address + " " + t.Health
		if reason := firstReason(t.Description, t.Reason, "-"); reason != "-" {
			text += ": " + reason
		}
		row(label(i, "Targets"), "%s", text)
	}
}

func (o *statusOutput) databaseRows(row rowPrinter) {
	d := o.Database
	switch {
	case d == nil && o.databaseless:
		row("Database", "none, as was asked for")
		return
	case d == nil:
		row("Database", "missing")
		return
	}
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
	if text := supportNote(naming.Names{Stack: o.Stack}.Database(), d.Version, d.Class, o.Region, d.MultiAZ, d.SupportDisabled, d.SupportEnds, o.now); !text.Empty() {
		row("", "%s", text)
	}
	restorable := ""
	if !d.Restorable.IsZero() {
		restorable = ", restorable up to " + ago(d.Restorable)
	}
	row("Backups", "kept %d days%s%s", d.BackupDays, wrapIfAny(", made at ", d.BackupWindow, " UTC"), restorable)
}

func (o *statusOutput) alarmRows(row rowPrinter) {
	a := o.Alarms
	if a == nil {
		return
	}
	text := "none raised"
	if len(a.Raised) > 0 {
		text = strings.Join(a.Raised, ", ") + " raised"
	}
	row("Alarms", "%s, sent to %s", text, a.To)
	for _, text := range undelivered(a.To, a.AlarmAudience) {
		row("", "%s", text)
	}
}

func (o *statusOutput) networkRow(row rowPrinter) {
	if n := o.Existing; n != nil {
		row("Network", "%s, existing and not managed: load balancer and tasks in %s%s", n.VPC, strings.Join(n.Subnets, ", "), wrapIfAny(", database in ", strings.Join(n.DBSubnets, ", "), ""))
	}
}

func (o *statusOutput) imageRows(row rowPrinter) {
	ref := o.Image.Reference
	if ref == "" {
		return
	}
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

func (o *statusOutput) costRow(row rowPrinter) {
	if o.Monthly != nil {
		row("Cost", "about $%.2f a month", *o.Monthly)
	}
}

// spotInterruptions is how many interruptions a status shows.
const spotInterruptions = 3

// spotRows show what AWS took back, and what it could not give.
func (o *statusOutput) spotRows(row rowPrinter) {
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
