package cli

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/provision"
)

func newUp(s streams, g *globals) *cobra.Command {
	var (
		u    upFlags
		wait bool
		line string
	)
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Create the stack, or repair drift",
		Long: `Create whatever is missing, repair drift and change nothing else. A flag that is
not given keeps the deployed value. The last line of standard output is the
service's URL; everything else goes to standard error.

up succeeds only when its own release serves. If it is interrupted, the next up
continues.`,
		Example: `  bookctl up --local
  curl $(bookctl up --local --quiet)/books
  bookctl up --stack staging --count 2 --db-class db.t4g.small
  bookctl up --count 3 --spot
  bookctl up --tag team=payments --tag cost-center=42
  bookctl up --db-version 18
  bookctl up --stack copy --restore arn:aws:rds:eu-west-1:444455556666:snapshot:books
  bookctl up --stack shop --vpc vpc-0123456789abcdef0
  bookctl up --deploy canary:10%/5m
  bookctl up --image registry.example.com/bookapi@sha256:…`,
		Args: cobra.NoArgs,
	}
	cmd.RunE = within(g, func(ctx context.Context, _ []string) error { return up(ctx, s, g, &u, wait, line) })
	u.add(cmd.Flags())
	cmd.Flags().BoolVar(&wait, "wait", true, "wait until the release is healthy")
	cmd.Flags().StringVar(&line, "timeline", "", "write a timeline of the run to this file (SVG)")
	return cmd
}

func up(ctx context.Context, s streams, g *globals, u *upFlags, wait bool, line string) error {
	begun := time.Now()
	debug.SetGCPercent(50) // it waits most of its time: a megabyte less for some milliseconds more
	rep := newReporter(ctx, s, g)
	defer rep.close()
	fresh := false
	if g.local {
		dir, err := localDir()
		if err != nil {
			return err
		}
		fresh = !localcloud.HasState(dir)
	}
	if err := u.check(fresh); err != nil {
		return err
	}
	if g.local && u.given("arch") {
		if err := runsHere(u.Arch); err != nil {
			return err
		}
	}
	picture, err := openTimeline(line)
	if err != nil {
		return err
	}
	defer picture.drop()
	if g.local {
		port := int32(0)
		if u.given("port") {
			port = u.Port
		}
		if err := ensureLocalCloud(ctx, rep, g.region, port); err != nil {
			return err
		}
	}
	t, err := connect(ctx, s, g)
	if err != nil {
		return err
	}
	t.lookAtLock(ctx, g)
	if err := t.refuseLocked(); err != nil { // before anything is built or asked for
		return err
	}
	rep.note("stack %s in %s", g.stack, t.place)
	p, err := prepareInput{target: t, globals: g, up: u, note: rep.note, report: rep.build}.prepare(ctx)
	if err != nil {
		return err
	}
	for _, w := range p.warnings {
		rep.note("note: %s", w)
	}
	endBuild := func() {}
	if p.source != nil {
		endBuild = p.source.begin()
	}
	defer endBuild()
	p.spec.Wait = wait
	p.spec.Release = watchRelease(rep)
	stack, report, err := p.apply(ctx, s, rep, "up")
	if err != nil {
		endBuild() // it has been reported
	}
	if err == nil && wait {
		err = p.target.waitForURL(ctx, rep, stack.URL(), p.spec.Settings)
	}
	for _, c := range stack.Deferred() {
		rep.note("note: %s", c)
	}
	if text := stack.Unrenewed(); text != "" {
		rep.note("note: %s", text)
	}
	if stack.Silent() {
		rep.note("note: the log group was deleted and is new, and the tasks that run write nothing into it: %s replaces them", hint.Command("restart"))
	}
	rep.close()
	drawn := picture.draw("bookctl up, stack "+g.stack, report, p.source.spans()...)
	if err != nil {
		return errors.Join(withEvidence(ctx, stack, err, hint.New("fix it and run %s again", hint.Command("up"))), drawn)
	}
	if drawn != nil {
		return drawn
	}
	return p.summary(s, g, stack, report, time.Since(begun))
}

// watchRelease prints the output of the release command, and how to follow and stop it.
func watchRelease(rep reporter) provision.ReleaseWatch {
	return provision.ReleaseWatch{
		Began: func(task string, limit time.Duration) {
			rep.note("release-command: task %s is at work, for %s at most; Ctrl-C stops it, and %s shows its log elsewhere", shortID(task), minutes(limit), hint.Command("logs", "--follow", "--task", shortID(task)))
		},
		Line: func(l provision.OutputLine) { rep.note("release-command: %s", l.Text) },
	}
}

// yes formats a switch in a note.
var yes = map[string]string{"true": "yes", "false": "no"}

// restoreIntoOtherStack is the next step for data of a snapshot that does not get into the
// stack's database. Deleting the database first is none: its automated snapshots go with it.
func restoreIntoOtherStack(stack string, from provision.Snapshot) hint.Message {
	other := naming.OtherStack(stack)
	return hint.New("%s creates a stack next to this one with the data of the snapshot, and %s exports it from there",
		hint.Command("up", "--stack", other, "--restore", from.Name()), hint.Command("db", "dump", "--stack", other, "FILE"))
}
