package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/localcloud/container"
	"github.com/bookctl/bookctl/internal/provision"
)

func newExec(s streams, g *globals) *cobra.Command {
	var task string
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARGUMENT]...",
		Short: "Run a command in a task",
		Long: `Run a command in a running task, through ECS Exec. This needs a stack that was
created with 'bookctl up --exec', and AWS's session-manager-plugin on this
machine. In the local cloud, the command of its container engine replaces the
plugin; in tasks that are plain processes no commands can run.

The image that bookctl builds from a Go module contains the program and nothing
else, so it has no shell. An image from a Dockerfile or from --image may have one.`,
		Example: `  bookctl exec -- /bookapi -healthcheck
  bookctl exec --task 3f2a -- /bin/sh`,
		Args: cobra.MinimumNArgs(1),
		RunE: within(g, func(ctx context.Context, args []string) error {
			var plugin string
			if !g.local {
				var err error
				if plugin, err = findPlugin(ctx); err != nil {
					return err
				}
			}
			t, err := connect(ctx, s, g)
			if err != nil {
				return err
			}
			session, err := provision.Exec(ctx, t.clients, g.stack, task, args)
			if err != nil {
				return notDeployed(ctx, t, g, err, execHint(err))
			}
			if g.local {
				return walkHere(ctx, s, session)
			}
			return walk(ctx, s, plugin, session)
		}),
	}
	cmd.Flags().StringVar(&task, "task", "", "the task whose id starts with this (default: any)")
	return cmd
}

func execHint(err error) hint.Message {
	if errors.Is(err, provision.ErrNoExec) {
		return hint.New("%s replaces them by tasks that allow it", hint.Command("up", "--exec"))
	}
	return hint.New("%s shows the state of the tasks", hint.Command("status"))
}

// pluginName is the name of AWS's session-manager-plugin.
const pluginName = "session-manager-plugin"

// firstPlugin is the first version that reads AWS's answer from the environment. Older
// versions take it as an argument, where every user of this machine could read its token.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/plugin-version-history.html
var firstPlugin = [3]int{1, 2, 536}

// findPlugin finds the plugin, before the first call to AWS.
func findPlugin(ctx context.Context) (string, error) {
	install := hint.New("install it: https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html")
	path, err := exec.LookPath(pluginName)
	if err != nil {
		return "", hint.Add(fmt.Errorf("%s is not installed on this machine, and only it can open a session", pluginName), install)
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", hint.Add(fmt.Errorf("ask %s for its version: %w", path, err), install)
	}
	var have [3]int
	if _, err := fmt.Sscanf(string(out), "%d.%d.%d", &have[0], &have[1], &have[2]); err != nil {
		return "", hint.Add(fmt.Errorf("%s says that it is version %q", path, strings.TrimSpace(string(out))), install)
	}
	for i, n := range firstPlugin {
		if have[i] != n {
			if have[i] < n {
				return "", hint.Add(fmt.Errorf("%s is version %s, too old to be given a session safely", path, strings.TrimSpace(string(out))), install)
			}
			break
		}
	}
	return path, nil
}

// walk passes a session to the plugin and waits for its end. The command in the task
// handles Ctrl-C.
func walk(ctx context.Context, s streams, plugin string, session provision.Session) error {
	defer s.interrupts.lend()()
	cmd := inPlugin(context.WithoutCancel(ctx), plugin, session)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.in, s.out, s.err
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exitError{exit.ExitCode()}
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", pluginName, err)
	}
	return nil
}

// inPlugin is the command of the plugin for a session.
func inPlugin(ctx context.Context, plugin string, session provision.Session) *exec.Cmd {
	const variable = "AWS_SSM_START_SESSION_RESPONSE"
	cmd := exec.CommandContext(ctx, plugin, variable, session.Region, "StartSession", "", session.Request, session.Endpoint)
	cmd.Env = append(os.Environ(), variable+"="+session.Response)
	return cmd
}

// walkHere runs a command in a local container, as the local cloud's answer names both. The
// command handles Ctrl-C.
func walkHere(ctx context.Context, s streams, session provision.Session) error {
	command, err := container.Enter(session.Stream, isTerminal(s.in) && isTerminal(s.out))
	if err != nil {
		return err
	}
	defer s.interrupts.lend()()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.in, s.out, s.err
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exitError{exit.ExitCode()}
	case errors.Is(err, exec.ErrNotFound):
		return hint.With(err, "install %s: the local cloud's engine is reached by it", command[0])
	}
	return err
}
