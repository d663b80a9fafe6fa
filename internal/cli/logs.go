package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
)

func newLogs(s streams, g *globals) *cobra.Command {
	var (
		follow bool
		since  time.Duration
		task   string
	)
	cmd := &cobra.Command{
		Use:   "logs",
		Short: "Print the logs of the tasks",
		Long: `Print the logs of the stack's tasks, oldest first, each line with its time and
the start of its task's id. Logs are kept for the days that 'bookctl up
--log-days' sets, 14 by default, also those of stopped tasks.`,
		Example: `  bookctl logs --since 10m
  bookctl logs --follow
  bookctl logs --task 3f2a --output json`,
		Args: cobra.NoArgs,
		RunE: within(g, func(ctx context.Context, _ []string) error {
			if since < 0 {
				return usageError{fmt.Errorf("--since %s: give start this long ago, for example 10m", since)}
			}
			t, err := connect(ctx, s, g)
			if err != nil {
				return err
			}
			return logs(ctx, s, t, g, provision.ReadOutput(t.clients.Logs, g.stack, task, time.Now().Add(-since)), follow, noOutput{task, since})
		}),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "keep printing new lines until interrupted")
	cmd.Flags().DurationVar(&since, "since", time.Hour, "start this long ago")
	cmd.Flags().StringVar(&task, "task", "", "only the task whose id starts with this")
	return cmd
}

// followPause is the interval of --follow. CloudWatch shows a line some seconds after it
// was written, and does not bill these reads.
const followPause = time.Second

// noOutput is what was asked for, in the message that there is no output.
type noOutput struct {
	task  string
	since time.Duration
}

func logs(ctx context.Context, s streams, t *target, g *globals, output *provision.Output, follow bool, q noOutput) error {
	lines := 0
	print := func(l provision.OutputLine) error {
		lines++
		if g.output == "json" {
			return encode(s.out, logDocument{headOf("log"), l})
		}
		_, err := fmt.Fprintf(s.out, "%s %s %s\n", l.Time.Format(time.RFC3339), shortID(l.Task), l.Text)
		return err
	}
	for looks := 0; ; looks++ {
		if err := output.Next(ctx, print); err != nil && ctx.Err() == nil {
			return err
		}
		if looks == 0 && lines == 0 && ctx.Err() == nil {
			if have, err := provision.ReadDeployed(ctx, t.clients, g.stack); err == nil && !have.Found {
				return notDeployed(ctx, t, g, fmt.Errorf("stack %s has no tasks, and so no output", g.stack), hint.New("%s creates it", hint.Command("up")))
			}
		}
		if !follow {
			if lines == 0 {
				return q.explain(ctx, s, t, g)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return endedByUser(ctx)
		case <-time.After(followPause):
		}
	}
}

// explain returns why there is no output: tasks wrote nothing, or no task runs. It is an
// error to ask for a task that does not exist.
func (q noOutput) explain(ctx context.Context, s streams, t *target, g *globals) error {
	tasks, err := provision.Tasks(ctx, t.clients, g.stack)
	if err != nil {
		return err
	}
	var ids []string
	for _, task := range tasks {
		if strings.HasPrefix(task.ID, q.task) {
			g.note(s, "no output in the last %s; --since looks further back", minutes(q.since))
			return nil
		}
		ids = append(ids, shortID(task.ID))
	}
	if q.task == "" {
		g.note(s, "no output, since no task runs: %s shows why; --since looks further back", hint.Command("events"))
		return nil
	}
	none := fmt.Errorf("no task has an id that begins with %s, and no such task logged anything in the last %s", q.task, minutes(q.since))
	if ids == nil {
		return hint.With(none, "no task runs: %s shows why; --since looks further back", hint.Command("events"))
	}
	return hint.With(none, "the tasks are %s; --since looks further back", strings.Join(ids, ", "))
}
