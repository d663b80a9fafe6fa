package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

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
	plugin, err := pluginFor(ctx, g)
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
	return runInTask(ctx, s, plugin, session)
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

// pluginName is the name of AWS's session-manager-plugin.
const pluginName = "session-manager-plugin"

// firstPlugin is the first version that reads AWS's answer from the environment. Older
// versions take it as an argument, where every user of this machine could read its token.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/plugin-version-history.html
const firstPlugin = "1.2.536"

// pluginFor finds the plugin, before the first call to AWS. The local cloud needs none.
func pluginFor(ctx context.Context, g *globals) (string, error) {
	if g.local {
		return "", nil
	}
	install := hint.New("install it: https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html")
	path, err := exec.LookPath(pluginName)
	if err != nil {
		return "", hint.Add(fmt.Errorf("%s is not installed on this machine, and only it can open a session", pluginName), install)
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", hint.Add(fmt.Errorf("ask %s for its version: %w", path, err), install)
	}
	have, err := pluginVersion(string(out))
	if err != nil {
		return "", hint.Add(fmt.Errorf("%s says that it is version %q", path, strings.TrimSpace(string(out))), install)
	}
	if first, _ := pluginVersion(firstPlugin); slices.Compare(have[:], first[:]) < 0 {
		return "", hint.Add(fmt.Errorf("%s is version %s, too old to be given a session safely", path, strings.TrimSpace(string(out))), install)
	}
	return path, nil
}

func pluginVersion(text string) (v [3]int, err error) {
	_, err = fmt.Sscanf(text, "%d.%d.%d", &v[0], &v[1], &v[2])
	return v, err
}

// runInTask passes a session to the plugin and waits for its end. The command in the task
// handles Ctrl-C.
//
// The plugin ends at the end of its standard input, and with it the session, whose output
// is then lost. So, without a terminal, it reads from a pipe that stays open, in which the
// end of the input is what it is on the terminal that the command has.
// https://github.com/aws/session-manager-plugin/blob/mainline/src/sessionmanagerplugin/session/shellsession/shellsession_unix.go
func runInTask(ctx context.Context, s streams, plugin string, session provision.Session) error {
	defer s.interrupts.lend()()
	cmd := inPlugin(context.WithoutCancel(ctx), plugin, session)
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
	err := cmd.Run()
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

// tail is the end of what a program has said.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// longestTail is more than the plugin says at the end of a session.
const longestTail = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-longestTail):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// last is the last line that is not empty.
func (t *tail) last() string {
	text := strings.TrimSpace(t.String())
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}

// failure is how the plugin says that the session ended otherwise than by its command, or
// "". It exits with 0 in any case.
// https://github.com/aws/session-manager-plugin/blob/mainline/src/sessionmanagerplugin/session/session.go
// and HandleChannelClosedMessage in
// https://github.com/aws/session-manager-plugin/blob/mainline/src/datachannel/streaming.go
func (t *tail) failure(session provision.Session) string {
	text := t.String()
	const of = "\nSessionId: "
	if i := strings.LastIndex(text, of+session.ID+" : "); i >= 0 {
		return strings.Join(strings.Fields(text[i+len(of)+len(session.ID)+len(" : "):]), " ")
	}
	line := t.last()
	if strings.HasPrefix(line, "Cannot perform start session: ") || line == "Session: "+session.ID+" timed out." {
		return line
	}
	return ""
}

// inPlugin is the command of the plugin for a session. A plugin with this change listens for
// a tunnel where the user's environment says, and not where bookctl looks for it:
// https://github.com/aws/session-manager-plugin/pull/133
func inPlugin(ctx context.Context, plugin string, session provision.Session) *exec.Cmd {
	const variable = "AWS_SSM_START_SESSION_RESPONSE"
	cmd := exec.CommandContext(ctx, plugin, variable, session.Region, "StartSession", "", session.Request, session.Endpoint)
	cmd.Env = append(os.Environ(), variable+"="+session.Response, "SSM_PLUGIN_LOCAL_HOST=localhost")
	return cmd
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
