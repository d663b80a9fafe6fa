package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
)

func newRestart(s streams, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "restart",
		Short: "Replace each task by a new one of the same release",
		Long: `Replace each task by a new one of the same release, which reads its secrets again.
The old tasks serve until the new ones are healthy, so no request fails. The
command succeeds only when the new tasks serve; if they do not become healthy, it
prints the reason, and the old ones keep serving. Nothing else changes: no release
is created, and no release command runs.

If the command is interrupted, ECS completes the restart by itself.`,
		Example: `  bookctl restart`,
		Args:    cobra.NoArgs,
		RunE:    within(g, func(ctx context.Context, _ []string) error { return restart(ctx, s, g) }),
	}
}

func restart(ctx context.Context, s streams, g *globals) error {
	begun := time.Now()
	rep := newReporter(ctx, s, g)
	defer rep.close()
	t, err := openStack(ctx, s, g, requirements{unlocked: true, service: true, notPaused: true})
	if err != nil {
		return err
	}
	url, err := stackURL(ctx, t.target, g)
	if err != nil {
		return err
	}
	var done provision.Restarted
	err = t.underLock(ctx, s, g, "restart", func(guard func(context.Context) error) error {
		rep.note("stack %s in %s: new tasks of the same release", g.stack, t.place)
		if err := guard(ctx); err != nil {
			return err
		}
		done, err = provision.Restart(ctx, t.clients, g.stack, t.have.Settings, func(note string) { rep.note("%s", note) })
		return err
	})
	if err == nil {
		err = t.waitForURL(ctx, rep, url, t.have.Settings)
	}
	rep.close()
	if err != nil {
		return restartDiagnosed(err, hint.New("%s again once that is repaired, or deploy another release with %s", hint.Command("restart"), hint.Command("up")))
	}
	if g.output == "json" {
		return encode(s.out, restartDocument{headOf("result"), placeOf(g, t.target), "restart", url, done.Release, done.Tasks, time.Since(begun).Seconds()})
	}
	tasks := "tasks"
	if done.Tasks == 1 {
		tasks = "task"
	}
	g.note(s, "%d %s of %s replaced, %s.", done.Tasks, tasks, done.Release, rounded(time.Since(begun)))
	_, err = fmt.Fprintln(s.out, url)
	return err
}

// restartDiagnosed explains a restart whose tasks did not become healthy, in the same way
// as a release. Again is the next step once it is fixed.
func restartDiagnosed(err error, again hint.Message) error {
	var failed *provision.RestartError
	if !errors.As(err, &failed) || failed.Evidence.Wanted == "" {
		return err
	}
	return explained{err, diagnosis.OfRelease(failed.Evidence, again), &failed.Evidence}
}
