package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/localcloud/container"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

func newExec(s streams, g *globals) *cobra.Command {
	var task string
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARGUMENT]...",
		Short: "Run a command in a task",
		Long: `Run a command in a running task, through ECS Exec. This needs tasks that allow it.
Run 'bookctl up --exec' once: it replaces the tasks, and they can then write to their
root file system. It also needs AWS's session-manager-plugin, ` + firstPlugin + ` or newer, on
this machine. In the local cloud, the command of its container engine replaces the
plugin; in tasks that are plain processes no commands can run.

The command has a terminal on AWS, whether bookctl has one or not, and its exit code
is not known: exec exits with 0, however the command ends. 'bookctl run' runs a
command in a task of its own, and has its exit code.

The image that bookctl builds from a Go module contains the program and nothing
else, so it has no shell. An image from a Dockerfile or from --image may have one.`,
		Example: `  bookctl exec -- /bookapi -healthcheck
  bookctl exec --task 3f2a -- /bin/sh`,
		Args: cobra.MinimumNArgs(1),
		RunE: within(g, func(ctx context.Context, args []string) error { return execInTask(ctx, s, g, task, args) }),
	}
	cmd.Flags().StringVar(&task, "task", "", "the task whose id starts with this (default: any)")
	return cmd
}

// execInTask runs a command in the task whose id starts with task.
func execInTask(ctx context.Context, s streams, g *globals, task string, args []string) error {
	plugin, err := pluginFor(ctx, s, g)
	if err != nil {
		return err
	}
	t, err := connect(ctx, s, g)
	if err != nil {
		return err
	}
	session, err := provision.Exec(ctx, t.clients, g.stack, task, args, func(note string) { g.note(s, "%s", note) })
	if err != nil {
		return notDeployed(ctx, t, g, err, execHint(err))
	}
	if g.local {
		return runInLocalContainer(ctx, s, session)
	}
	return runInTask(ctx, s, g, plugin, t.config.Credentials, session)
}

func execHint(err error) hint.Message {
	if errors.Is(err, provision.ErrNoExec) {
		return hint.New("%s replaces them by tasks that allow it", hint.Command("up", "--exec"))
	}
	if errors.Is(err, provision.ErrNoAgent) {
		return hint.New("%s replaces the tasks, and each new one gets its agent", hint.Command("restart"))
	}
	return hint.New("%s shows the state of the tasks", hint.Command("status"))
}

// runInTask passes a session to the plugin and waits for its end. The command in the task
// handles Ctrl-C.
//
// The plugin ends at the end of its standard input, and with it the session, whose output
// is then lost. So, without a terminal, it reads from a pipe that stays open, in which the
// end of the input is what it is on the terminal that the command has.
// https://github.com/aws/session-manager-plugin/blob/mainline/src/sessionmanagerplugin/session/shellsession/shellsession_unix.go
func runInTask(ctx context.Context, s streams, g *globals, plugin string, credentials aws.CredentialsProvider, session provision.Session) error {
	defer s.interrupts.lend()()
	cmd, end, err := inPlugin(context.WithoutCancel(ctx), g, plugin, credentials, session)
	if err != nil {
		return err
	}
	defer end()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.in, s.out, s.err
	var output tail
	if !isTerminal(s.in) || !isTerminal(s.out) { // otherwise the plugin needs to see the size of the terminal
		cmd.Stdout = io.MultiWriter(s.out, &output)
	}
	if !isTerminal(s.in) {
		cmd.Stdin = nil
		pipe, err := cmd.StdinPipe()
		if err != nil {
			return fmt.Errorf("run %s: %w", pluginName, err)
		}
		graph.Start(func() error { return typeAll(pipe, s.in) }) // the end of the plugin closes the pipe
	}
	err = cmd.Run()
	if code := exitOf(err); code > 0 {
		return exitError{code}
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", pluginName, err)
	}
	if why := output.failure(session); why != "" {
		return hint.With(fmt.Errorf("the command did not run to its end: %s", why),
			"%s shows the state of the tasks; %s runs a command in a task of its own", hint.Command("status"), hint.Command("run"))
	}
	return nil
}

// endOfInput ends the input of a terminal where a line begins. Within a line it only passes
// on what was typed of it.
const endOfInput = 4

// typeAll types what it reads on a terminal, to its end.
func typeAll(terminal io.Writer, from io.Reader) error {
	end := []byte{endOfInput}
	text := make([]byte, 1024)
	for {
		n, err := from.Read(text)
		if n > 0 {
			if _, err := terminal.Write(text[:n]); err != nil {
				return err
			}
			end = []byte{endOfInput}
			if !bytes.HasSuffix(text[:n], []byte("\n")) {
				end = append(end, endOfInput)
			}
		}
		if err != nil {
			break
		}
	}
	_, err := terminal.Write(end)
	return err
}

// runInLocalContainer runs a command in a local container, as the local cloud's answer names both. The
// command handles Ctrl-C.
func runInLocalContainer(ctx context.Context, s streams, session provision.Session) error {
	command, err := container.Enter(session.Stream, isTerminal(s.in) && isTerminal(s.out))
	if err != nil {
		return err
	}
	defer s.interrupts.lend()()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.in, s.out, s.err
	err = cmd.Run()
	switch code := exitOf(err); {
	case code > 0:
		return exitError{code}
	case errors.Is(err, exec.ErrNotFound):
		return hint.With(err, "install %s: the local cloud's engine is reached by it", command[0])
	}
	return err
}
