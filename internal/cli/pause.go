package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/pricing"
	"github.com/bookctl/bookctl/internal/provision"
)

func newPause(s streams, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "pause",
		Short: "Stop the tasks and the database, to save their cost",
		Long: `Stop all tasks of the stack, and then its database. Nothing is deleted: data,
settings, URL and release stay. 'bookctl resume' or 'bookctl up' starts the stack
again, with the same password. Until then the load balancer answers 503.

What still costs money is printed at the end: the load balancer, its public
addresses, the database's storage and backups, secrets. After 'bookctl destroy'
only the final snapshot costs money; 'bookctl up --restore latest' creates the
stack again from it.

RDS starts a stopped database by itself after seven days; 'bookctl status' and
'bookctl list' show when, and 'bookctl pause' then stops it again.`,
		Example: `  bookctl pause`,
		Args:    cobra.NoArgs,
		RunE:    within(g, func(ctx context.Context, _ []string) error { return pause(ctx, s, g) }),
	}
}

func pause(ctx context.Context, s streams, g *globals) error {
	begun := time.Now()
	rep := newReporter(ctx, s, g)
	defer rep.close()
	t, err := openStack(ctx, s, g, requirements{unlocked: true, service: true})
	if err != nil {
		return err
	}
	if t.have.DBMultiAZ {
		rep.note("note: RDS may take long to stop a database with a standby")
	}
	err = t.underLock(ctx, s, g, "pause", func(guard func(context.Context) error) error {
		rep.note("stack %s in %s: stopping its tasks, and then its database", g.stack, t.place)
		return provision.Pause{Clients: t.clients, Stack: g.stack, Settings: t.have.Settings, Guard: guard, Progress: func(note string) { rep.note("%s", note) }}.Run(ctx)
	})
	if err != nil {
		return err
	}
	have, err := t.deployed(ctx, g)
	if err != nil {
		return err
	}
	usage, err := supportEnds{}.usage(ctx, t.target, have)
	if err != nil {
		return err
	}
	lines, err := pricing.Cost(usage, t.region)
	if err != nil && !errors.Is(err, pricing.ErrNoPrice) {
		return err
	}
	rep.close()
	if g.output == "json" {
		out := pauseDocument{head: headOf("result"), place: placeOf(g, t.target), Command: "pause", Paused: have.Paused, DatabaseStarts: have.DatabaseStarts, Cost: orEmpty(costing(lines)), Seconds: time.Since(begun).Seconds()}
		if err == nil {
			total := pricing.Total(lines)
			out.Monthly = &total
		}
		return encode(s.out, out)
	}
	g.note(s, "Paused, %s. %s starts it again.", rounded(time.Since(begun)), hint.Command("resume"))
	if !have.DatabaseStarts.IsZero() {
		g.note(s, "RDS starts the database by itself at %s; %s then stops it again.", have.DatabaseStarts.UTC().Format(minute), hint.Command("pause"))
	}
	if err == nil {
		where := ""
		if t.local {
			where = " on AWS"
		}
		g.note(s, "What is left costs about $%.2f a month%s: %s.", pricing.Total(lines), where, costText(costing(lines)))
	}
	return nil
}

// minute is the format of a time that can be days away.
const minute = "2006-01-02 15:04Z"

// costing are the lines that are not free.
func costing(lines []pricing.Line) []pricing.Line {
	var out []pricing.Line
	for _, l := range lines {
		if l.Monthly > 0 {
			out = append(out, l)
		}
	}
	return out
}

func costText(lines []pricing.Line) string {
	var out []string
	for _, l := range lines {
		out = append(out, fmt.Sprintf("%s $%.2f", l.Item, l.Monthly))
	}
	return strings.Join(out, ", ")
}

func newResume(s streams, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "resume",
		Short: "Start a paused stack again",
		Long: `Start the database of a paused stack, and then its tasks, with the release and the
settings that the stack had. Drift is repaired, as by 'bookctl up'. RDS takes
minutes to start a database. The last line of standard output is the service's
URL.

'bookctl up' also starts a paused stack, and deploys a new release if the source
has changed.`,
		Example: `  bookctl resume`,
		Args:    cobra.NoArgs,
		RunE:    within(g, func(ctx context.Context, _ []string) error { return resume(ctx, s, g) }),
	}
}

func resume(ctx context.Context, s streams, g *globals) error {
	begun := time.Now()
	rep := newReporter(ctx, s, g)
	defer rep.close()
	t, err := openStack(ctx, s, g, requirements{unlocked: true, service: true})
	if err != nil {
		return err
	}
	have := t.have
	if have.Paused.IsZero() { // one that was cut off may still have something to repair
		rep.note("stack %s in %s is not paused: only drift is repaired", g.stack, t.place)
	} else {
		rep.note("stack %s in %s: starting its database, and then its tasks", g.stack, t.place)
	}
	if err := have.CheckData(ctx, t.clients.RDS, g.stack, have.Settings); err != nil {
		return err
	}
	settings := have.Settings
	if !have.Paused.IsZero() { // the newest revision may be one that was taken back
		releases, err := provision.Releases(ctx, t.clients, g.stack)
		if err != nil {
			return err
		}
		if at := slices.IndexFunc(releases, func(r provision.Release) bool { return r.Serving }); at > 0 {
			releases[at].Contract(&settings)
		}
	}
	p := &preparation{target: t.target, have: have, spec: deployedSpec(g, &have)}
	p.spec.Settings, p.spec.Wait, p.spec.Release = settings, true, watchRelease(rep)
	stack, _, err := p.apply(ctx, s, rep, "resume")
	if err == nil {
		err = t.waitForURL(ctx, rep, stack.URL(), settings)
	}
	rep.close()
	if err != nil {
		return withEvidence(ctx, stack, err, hint.New("run %s again once that is repaired, or deploy another release with %s", hint.Command("resume"), hint.Command("up")))
	}
	if g.output == "json" {
		return encode(s.out, resumeDocument{headOf("result"), placeOf(g, t.target), "resume", stack.URL(), time.Since(begun).Seconds()})
	}
	g.note(s, "The stack serves, %s.", rounded(time.Since(begun)))
	_, err = fmt.Fprintln(s.out, stack.URL())
	return err
}
