package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
)

func newRunCommand(s streams, g *globals) *cobra.Command {
	var detach bool
	cmd := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARGUMENT]...",
		Short: "Run a command in a new task",
		Long: `Run a command in a new task, print its output, and exit with its exit code. The
task has the image, environment, secrets, network and roles of the release that
serves. The command replaces the CMD of the image, and is passed to the image's
entry point. Its standard input is empty.

Ctrl-C and --timeout stop the task. The command is visible in ECS and CloudTrail,
so do not put secrets in it.`,
		Example: `  bookctl run -- version   # a command of the books API
  bookctl run -- python manage.py migrate
  bookctl run --detach -- ./report --month 2026-11`,
		Args: cobra.MinimumNArgs(1),
		RunE: within(g, func(ctx context.Context, args []string) error {
			t, err := openStack(ctx, s, g, requirements{notPaused: true})
			if err != nil {
				return err
			}
			task, err := provision.StartOneOff(ctx, t.clients, g.stack, version(), args, func(note string) { g.note(s, "%s", note) })
			if err != nil {
				return notDeployed(ctx, t.target, g, err, hint.New("%s shows the state of the service", hint.Command("status")))
			}
			if detach {
				g.note(s, "task %s of %s is started; %s prints what it writes", shortID(task.ID), task.Revision, hint.Command("logs", "--task", shortID(task.ID)))
				return runResult(s, g, task, nil)
			}
			return followTask(ctx, s, t.target, g, task)
		}),
	}
	cmd.Flags().BoolVarP(&detach, "detach", "d", false, "print the id of the task, and don't wait until it ends")
	return cmd
}

const (
	// lateLines is how long to wait for the last lines of a task after its end.
	lateLines = 4 * time.Second
	// mostStopTimeout is the longest that a task on Fargate may take to stop
	// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html),
	// and some time for ECS to notice.
	mostStopTimeout = 120*time.Second + time.Minute
)

// followTask prints what a one-off task writes, and ends with its exit code. When ctx
// ends it stops the task, and waits until that has happened.
func followTask(ctx context.Context, s streams, t *target, g *globals, task *provision.OneOffTask) error {
	late := lateLines
	if t.local {
		late = 0 // a line is there before the task has stopped
	}
	line := func(l provision.OutputLine) error {
		if g.output == "json" {
			return encode(s.out, logDocument{headOf("log"), l})
		}
		_, err := fmt.Fprintln(s.out, l.Text)
		return err
	}
	changed := func(now string) { g.note(s, "task %s of %s: %s", shortID(task.ID), task.Revision, now) }
	end, err := task.Wait(ctx, late, line, changed)
	if ctx.Err() != nil {
		cause := context.Cause(ctx)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mostStopTimeout)
		defer cancel()
		left := hint.New("the task may still run: stop it with 'aws ecs stop-task', or its command ends it")
		if err := task.Stop(ctx, "bookctl run was interrupted"); err != nil {
			return hint.Add(errors.Join(cause, err), left)
		}
		if _, err := task.Wait(ctx, late, line, changed); err != nil {
			return hint.Add(errors.Join(cause, err), left)
		}
		return hint.With(fmt.Errorf("task %s was stopped: %w", shortID(task.ID), cause), "give it more time with --timeout")
	}
	if err != nil {
		return hint.With(err, "the task may still run; %s prints what it writes", hint.Command("logs", "--task", shortID(task.ID)))
	}
	if end.Exit == nil {
		return hint.With(fmt.Errorf("task %s of %s did not run the command: %s", shortID(task.ID), task.Revision, end.Reason),
			"%s shows what ECS reports", hint.Command("events"))
	}
	if err := runResult(s, g, task, &end); err != nil {
		return err
	}
	if *end.Exit != 0 {
		g.note(s, "task %s of %s: exit code %d%s", shortID(task.ID), task.Revision, *end.Exit, wrapIfAny(", ", notable(end.Reason), ""))
		return exitError{int(*end.Exit)}
	}
	return nil
}

// notable is why a task stopped, without that its container ended, which goes without saying.
func notable(reason string) string {
	return strings.TrimPrefix(strings.TrimPrefix(reason, "Essential container in task exited"), ": ")
}

// runResult prints what a script wants to know: the task's id where it goes on, and
// as JSON the exit code as well.
func runResult(s streams, g *globals, task *provision.OneOffTask, end *provision.OneOffState) error {
	if g.output == "json" {
		out := runDocument{head: headOf("run"), Stack: g.stack, Task: task.ID, Release: task.Revision}
		if end != nil {
			out.Exit, out.Reason = end.Exit, end.Reason
		}
		return encode(s.out, out)
	}
	if end != nil {
		return nil
	}
	_, err := fmt.Fprintln(s.out, task.ID)
	return err
}
