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

func rollback(ctx context.Context, s streams, g *globals, to int32) error {
	begun := time.Now()
	rep := newReporter(ctx, s, g)
	defer rep.close()
	o, err := openStack(ctx, s, g, requirements{lock: true, notPaused: true})
	if err != nil {
		return err
	}
	t, have := o.target, o.have
	// This works even while the run that deploys it waits and holds the lock: ECS takes a
	// release back only once, whoever asks.
	shifted, err := have.Shifted(ctx, t.clients, g.stack)
	if err != nil {
		return err
	}
	// A restart is no release: it replaces tasks by tasks of the same one.
	if shifted != nil && shifted.Revision != shifted.Before && (to == 0 || to == shifted.Before) {
		return takeBack(ctx, s, g, t, rep, shifted, begun)
	}
	if err := t.refuseLocked(); err != nil {
		return err
	}
	releases, err := provision.Releases(ctx, t.clients, g.stack)
	if err != nil {
		return err
	}
	release, err := provision.RollbackTarget(releases, to)
	if never := errors.Is(err, provision.ErrNeverServed); never || err == nil && release.Serving && release.Served {
		spec := deployedSpec(g, &have)
		spec.Deployed = nil // the run reads it
		run := changing(s, t, spec, "rollback")
		run.Recheck = t.unchanged(g.stack, have)
		changes, restoreErr := run.RestoreChecks(ctx)
		if restoreErr != nil {
			return restoreErr
		}
		for _, c := range changes {
			rep.note("the health check of revision %d is set again: %s", release.Revision, c)
		}
		if never {
			rep.note("%v; revision %d, the one before, serves: nothing to do. --to goes further back", err, release.Revision)
		} else {
			rep.note("revision %d serves already: nothing to do", release.Revision)
		}
		rep.close()
		if g.output != "json" {
			return nil
		}
		url, err := stackURL(ctx, t, g)
		if err != nil {
			return err
		}
		return rolledBack(s, g, t, url, release, "", changes, time.Since(begun))
	}
	if errors.Is(err, provision.ErrOldest) {
		if i := slices.IndexFunc(releases, func(r provision.Release) bool { return r.Served && !r.Gone && r.Since(release) != nil }); i >= 0 {
			return hint.With(err, "%s runs the newest other release again, and %s deploys the source", hint.Command("rollback", "--to", fmt.Sprintf("%d", releases[i].Revision)), hint.Command("up"))
		}
	}
	if err != nil {
		return notDeployed(ctx, t, g, err, hint.New("%s runs any other image, and %s builds a new release", hint.Command("up", "--image", "REFERENCE"), hint.Command("up", "--source", "DIR")))
	}
	serving := releases[slices.IndexFunc(releases, func(r provision.Release) bool { return r.Serving })]
	left, from, changes := int32(0), "", release.Since(serving)
	if changes != nil {
		from = strconv.Itoa(int(serving.Revision))
		if cmp.Or(release.Repeats, release.Revision) < cmp.Or(serving.Repeats, serving.Revision) { // it goes back indeed
			left = serving.Revision
		}
	}
	settings := have.Settings
	release.Contract(&settings)
	if err := have.CheckData(ctx, t.clients.RDS, g.stack, settings); err != nil {
		return err
	}
	unset, err := provision.PastSecrets(ctx, t.clients, g.stack, settings)
	if err != nil {
		return hint.With(fmt.Errorf("revision %d can't be rolled back to: %w", release.Revision, err),
			"go to another release with %s; or set the values anew with %s and deploy the image with %s", hint.Command("rollback", "--to", "N"), hint.Command("secret", "set", "NAME"), hint.Command("up", "--image", release.Image))
	}
	p := &preparation{target: t, have: have, spec: deployedSpec(g, &have)}
	p.spec.Deployed = nil // the run reads it
	p.spec.Settings, p.spec.Wait, p.spec.Release = settings, true, watchRelease(rep)
	p.spec.RolledBackFrom, p.spec.Repeats, p.spec.Released = left, cmp.Or(release.Repeats, release.Revision), release.Served || release.Serving
	rep.note("stack %s in %s: from revision %d to the release of revision %d, made %s, image %s", g.stack, t.place,
		serving.Revision, release.Revision, ago(release.Created), brief(digestOf(release.Image)))
	for _, c := range changes {
		if c.Field != "image" { // said above
			rep.note("  %s", c)
		}
	}
	for _, name := range unset {
		rep.note("note: secret %s was unset since; the tasks get the value again that the release had, until the next 'secret set' or 'secret unset'", name)
	}
	if !release.Served && !release.Serving {
		rep.note("note: revision %d is not known to have ever been healthy; if it is not now, ECS goes back to revision %d", release.Revision, serving.Revision)
	}
	stack, report, err := p.apply(ctx, s, rep, "rollback")
	if err == nil {
		err = t.waitForURL(ctx, rep, stack.URL(), settings)
	}
	rep.close()
	if err != nil {
		return diagnosed(ctx, stack, err, hint.New("go to another release with %s, or deploy the source with %s", hint.Command("rollback", "--to", "N"), hint.Command("up")))
	}
	if g.output == "json" {
		return rolledBack(s, g, t, stack.URL(), release, from, changes, time.Since(begun))
	}
	return p.summary(s, g, stack, report, time.Since(begun))
}

// takeBack takes back a release to which the traffic is still being shifted. Nothing is
// rolled out, because the previous tasks still run.
func takeBack(ctx context.Context, s streams, g *globals, t *target, rep reporter, r *provision.ShiftedRelease, begun time.Time) error {
	rep.note("stack %s in %s: revision %d is taken back, and revision %d, whose tasks still run, gets all requests", g.stack, t.place, r.Revision, r.Before)
	if err := r.Back(ctx, func(text string) { rep.note("  %s", text) }); err != nil {
		return err
	}
	url, err := stackURL(ctx, t, g)
	if err != nil {
		return err
	}
	rep.close()
	if g.output == "json" {
		releases, err := provision.Releases(ctx, t.clients, g.stack)
		if err != nil {
			return err
		}
		release := provision.Release{Revision: r.Before}
		if i := slices.IndexFunc(releases, func(x provision.Release) bool { return x.Revision == r.Before }); i >= 0 {
			release = releases[i]
		}
		return rolledBack(s, g, t, url, release, strconv.Itoa(int(r.Revision)), nil, time.Since(begun))
	}
	_, err = fmt.Fprintf(s.out, "Revision %d serves again at %s, after %s.\n", r.Before, url, time.Since(begun).Round(time.Second))
	return err
}

// digestOf is the part of an image's reference that distinguishes it from others.
func digestOf(reference string) string {
	_, digest, _ := strings.Cut(reference, "@")
	return firstOf(digest, reference)
}

// rolledBack is the result of a rollback for programs.
func rolledBack(s streams, g *globals, t *target, url string, release provision.Release, from string, changes []graph.Change, took time.Duration) error {
	return encode(s.out, rollbackDocument{
		head: headOf("result"), place: placeOf(g, t), Command: "rollback", URL: url, Image: release.Image, Of: release.Revision, From: from,
		Changes: append([]graph.Change{}, changes...), Seconds: took.Seconds(),
	})
}
