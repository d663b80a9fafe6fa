package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

func newRollback(s streams, g *globals) *cobra.Command {
	var to int32
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Return to the previous release",
		Long: `Deploy the previous release again: the last one that served before the current
one and differs from it, in the image or in the size, command, variables, secrets
or any other setting of its tasks. The changes are printed first, variables and
secrets without their values. What is not part of a release stays as it is: the
number of tasks, the load balancer and the database. A second rollback goes one
release further back, never forward again; --to selects any revision.

The rollout is that of 'bookctl up': no request fails, and the command succeeds
only when the old release serves. Database migrations are not undone, so each
release's migrations must let the previous release keep serving.

While traffic is being shifted to a release (see --deploy of 'bookctl up'), that
release is rolled back at once, without a rollout: the old tasks still run.

If an interrupted run left the health check of a release that failed, the one of the
release that serves is set again.

The next 'bookctl up' that builds from source deploys the source again.`,
		Example: `  bookctl rollback
  bookctl rollback --to 5`,
		Args: cobra.NoArgs,
		RunE: within(g, func(ctx context.Context, _ []string) error {
			if to < 0 {
				return usageError{fmt.Errorf("--to %d: revisions count from 1", to)}
			}
			return rollback(ctx, s, g, to)
		}),
	}
	cmd.Flags().Int32Var(&to, "to", 0, "deploy the release of this revision")
	return cmd
}

// rollbackRun is one run of rollback.
type rollbackRun struct {
	s     streams
	g     *globals
	t     *target
	have  provision.Deployed
	rep   reporter
	begun time.Time
}

// rollbackResult is what a rollback did.
type rollbackResult struct {
	url     string
	release provision.Release
	from    string // the revision that was left; empty when it was the same
	changes []graph.Change
}

func rollback(ctx context.Context, s streams, g *globals, to int32) error {
	r := &rollbackRun{s: s, g: g, begun: time.Now(), rep: newReporter(ctx, s, g)}
	defer r.rep.close()
	o, err := openStack(ctx, s, g, requirements{lock: true, notPaused: true})
	if err != nil {
		return err
	}
	r.t, r.have = o.target, o.have
	// takeBack works even while the run that deploys it waits and holds the lock: ECS takes a
	// release back only once, whoever asks.
	shifted, err := r.have.Shifted(ctx, r.t.clients, g.stack)
	if err != nil {
		return err
	}
	// A restart is no release: it replaces tasks by tasks of the same one.
	if shifted != nil && shifted.Revision != shifted.Before && (to == 0 || to == shifted.Before) {
		return r.takeBack(ctx, shifted)
	}
	if err := r.t.refuseLocked(); err != nil {
		return err
	}
	releases, err := provision.Releases(ctx, r.t.clients, g.stack)
	if err != nil {
		return err
	}
	release, err := provision.RollbackTarget(releases, to)
	if errors.Is(err, provision.ErrNeverServed) || err == nil && release.Serving && release.Served {
		return r.restoreChecksOnly(ctx, release, err)
	}
	if errors.Is(err, provision.ErrOldest) {
		if next := oldestHint(releases, release); !next.Empty() {
			return hint.With(err, "%s", next)
		}
	}
	if err != nil {
		return notDeployed(ctx, r.t, g, err, hint.New("%s runs any other image, and %s builds a new release", hint.Command("up", "--image", "REFERENCE"), hint.Command("up", "--source", "DIR")))
	}
	serving := releases[slices.IndexFunc(releases, func(x provision.Release) bool { return x.Serving })]
	return r.roll(ctx, serving, release)
}

// restoreChecksOnly sets the health check of the serving release again, if a run that was cut
// off left that of a failed one. Never is the error of a newer release that never served; nil
// if there is none.
func (r *rollbackRun) restoreChecksOnly(ctx context.Context, release provision.Release, never error) error {
	spec := deployedSpec(r.g, &r.have)
	spec.Deployed = nil // the run reads it
	run := changing(r.s, r.t, spec, "rollback")
	run.Recheck = r.t.unchanged(r.g.stack, r.have)
	changes, err := run.RestoreChecks(ctx)
	if err != nil {
		return err
	}
	for _, c := range changes {
		r.rep.note("the health check of revision %d is set again: %s", release.Revision, c)
	}
	if never != nil {
		r.rep.note("%v; revision %d, the one before, serves: nothing to do. --to goes further back", never, release.Revision)
	} else {
		r.rep.note("revision %d serves already: nothing to do", release.Revision)
	}
	r.rep.close()
	if r.g.output != "json" {
		return nil
	}
	url, err := stackURL(ctx, r.t, r.g)
	if err != nil {
		return err
	}
	return r.printJSON(rollbackResult{url: url, release: release, changes: changes})
}

// oldestHint is the next step where there is no earlier release than the oldest one: the
// newest other release. It is empty if there is none.
func oldestHint(releases []provision.Release, oldest provision.Release) hint.Message {
	i := slices.IndexFunc(releases, func(r provision.Release) bool { return r.Served && !r.Gone && r.Since(oldest) != nil })
	if i < 0 {
		return hint.Message{}
	}
	return hint.New("%s runs the newest other release again, and %s deploys the source", hint.Command("rollback", "--to", fmt.Sprintf("%d", releases[i].Revision)), hint.Command("up"))
}

// roll deploys an earlier release in place of the serving one.
func (r *rollbackRun) roll(ctx context.Context, serving, release provision.Release) error {
	left, from, changes := int32(0), "", release.Since(serving)
	if changes != nil {
		from = strconv.Itoa(int(serving.Revision))
		if cmp.Or(release.Repeats, release.Revision) < cmp.Or(serving.Repeats, serving.Revision) { // it goes back indeed
			left = serving.Revision
		}
	}
	settings := r.have.Settings
	release.Contract(&settings)
	if err := r.have.CheckData(ctx, r.t.clients.RDS, r.g.stack, settings); err != nil {
		return err
	}
	unset, err := provision.PastSecrets(ctx, r.t.clients, r.g.stack, settings)
	if err != nil {
		return hint.With(fmt.Errorf("revision %d can't be rolled back to: %w", release.Revision, err),
			"go to another release with %s; or set the values again with %s and deploy the image with %s", hint.Command("rollback", "--to", "N"), hint.Command("secret", "set", "NAME"), hint.Command("up", "--image", release.Image))
	}
	p := &preparation{target: r.t, have: r.have, spec: deployedSpec(r.g, &r.have)}
	p.spec.Deployed = nil // the run reads it
	p.spec.Settings, p.spec.Wait, p.spec.Release = settings, true, watchRelease(r.rep)
	p.spec.RolledBackFrom, p.spec.Repeats, p.spec.Released = left, cmp.Or(release.Repeats, release.Revision), release.Served || release.Serving
	r.rep.note("stack %s in %s: from revision %d to the release of revision %d, made %s, image %s", r.g.stack, r.t.place,
		serving.Revision, release.Revision, ago(release.Created), shortenIDs(digestOf(release.Image)))
	for _, c := range changes {
		if c.Field != "image" { // the line above has it
			r.rep.note("  %s", c)
		}
	}
	for _, name := range unset {
		r.rep.note("note: secret %s was unset since; the tasks get the value again that the release had, until the next 'secret set' or 'secret unset'", name)
	}
	if !release.Served && !release.Serving {
		r.rep.note("note: revision %d is not known to have ever been healthy; if it is not now, ECS goes back to revision %d", release.Revision, serving.Revision)
	}
	stack, report, err := p.apply(ctx, r.s, r.rep, "rollback")
	if err == nil {
		err = r.t.waitForURL(ctx, r.rep, stack.URL(), settings)
	}
	r.rep.close()
	if err != nil {
		return withEvidence(ctx, stack, err, hint.New("go to another release with %s, or deploy the source with %s", hint.Command("rollback", "--to", "N"), hint.Command("up")))
	}
	if r.g.output == "json" {
		return r.printJSON(rollbackResult{stack.URL(), release, from, changes})
	}
	return p.summary(r.s, r.g, stack, report, time.Since(r.begun))
}

// takeBack takes back a release to which the traffic is still being shifted. Nothing is
// rolled out, because the previous tasks still run.
func (r *rollbackRun) takeBack(ctx context.Context, shifted *provision.ShiftedRelease) error {
	r.rep.note("stack %s in %s: revision %d is taken back, and revision %d, whose tasks still run, gets all requests", r.g.stack, r.t.place, shifted.Revision, shifted.Before)
	if err := shifted.Back(ctx, func(text string) { r.rep.note("  %s", text) }); err != nil {
		return err
	}
	url, err := stackURL(ctx, r.t, r.g)
	if err != nil {
		return err
	}
	r.rep.close()
	if r.g.output == "json" {
		releases, err := provision.Releases(ctx, r.t.clients, r.g.stack)
		if err != nil {
			return err
		}
		release := provision.Release{Revision: shifted.Before}
		if i := slices.IndexFunc(releases, func(x provision.Release) bool { return x.Revision == shifted.Before }); i >= 0 {
			release = releases[i]
		}
		return r.printJSON(rollbackResult{url: url, release: release, from: strconv.Itoa(int(shifted.Revision))})
	}
	_, err = fmt.Fprintf(r.s.out, "Revision %d serves again at %s, after %s.\n", shifted.Before, url, time.Since(r.begun).Round(time.Second))
	return err
}

// printJSON prints the result for programs.
func (r *rollbackRun) printJSON(result rollbackResult) error {
	return encode(r.s.out, rollbackDocument{
		head: headOf("result"), place: placeOf(r.g, r.t), Command: "rollback", URL: result.url, Image: result.release.Image, Of: result.release.Revision, From: result.from,
		Changes: orEmpty(result.changes), Seconds: time.Since(r.begun).Seconds(),
	})
}

// digestOf is the part of an image's reference that distinguishes it from others.
func digestOf(reference string) string {
	_, digest, _ := strings.Cut(reference, "@")
	return firstReason(digest, reference)
}
