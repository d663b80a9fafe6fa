package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/runlock"
)

func newSecret(s streams, g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "Store secret variables of the container",
		Long: `Store secret variables of the container in Secrets Manager, in a secret that
belongs to the stack and that 'bookctl destroy' deletes. Values are never printed.
To use a secret that exists already, use 'bookctl up --secret NAME=ARN'.`,
		Example: `  bookctl secret set API_KEY
  bookctl secret list
  bookctl secret unset SESSION_KEY`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSecretSet(s, g), newSecretList(s, g), newSecretUnset(s, g))
	return cmd
}

func newSecretSet(s streams, g *globals) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Set a secret variable of the container",
		Long: `Store the value of a variable and give it to the container: new tasks of the same
image are rolled out, as by 'bookctl up', with the newest value of each secret.
The value is read from the terminal without an echo, or from standard input if that
is not a terminal. A byte order mark and one line break at its end are dropped. All
values together have at most 64 KiB.

Before the first 'bookctl up' the value is only stored; that 'up' gives it to the
tasks. A rollback restores the values that the release had.`,
		Example: `  bookctl secret set API_KEY
  bookctl secret set TLS_KEY --from-file key.pem
  head -c 32 /dev/urandom | base64 | bookctl secret set SESSION_KEY`,
		Args: cobra.ExactArgs(1),
		RunE: within(g, func(ctx context.Context, args []string) error { return setSecret(ctx, s, g, args[0], file) }),
	}
	cmd.Flags().StringVar(&file, "from-file", "", "read the value from this file")
	return cmd
}

func newSecretUnset(s streams, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "unset NAME",
		Short: "Remove a secret variable from the container",
		Long: `Remove a variable that 'bookctl secret set' stored, and roll out tasks without it.
The values of earlier releases are kept for rollbacks until 'bookctl destroy'.`,
		Example: `  bookctl secret unset SESSION_KEY`,
		Args:    cobra.ExactArgs(1),
		RunE: within(g, func(ctx context.Context, args []string) error {
			return secretChange{doing: "secret unset", done: "is unset", name: args[0], check: func(own provision.OwnSecrets) error {
				if !slices.Contains(own.Names(), args[0]) {
					return hint.With(fmt.Errorf("secret %s is not set", args[0]), "%s shows which are", hint.Command("secret", "list"))
				}
				return nil
			}, change: func(ctx context.Context, own *provision.OwnSecrets) error { return own.Unset(ctx, args[0]) }}.run(ctx, s, g)
		}),
	}
}

func newSecretList(s streams, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the secret variables, without their values",
		Long: `List the variables that 'bookctl secret set' stored, when each was set, and
whether the newest release has it. Values are not shown.`,
		Example: `  bookctl secret list`,
		Args:    cobra.NoArgs,
		RunE:    within(g, func(ctx context.Context, _ []string) error { return listSecrets(ctx, s, g) }),
	}
}

func listSecrets(ctx context.Context, s streams, g *globals) error {
	t, err := connect(ctx, s, g)
	if err != nil {
		return err
	}
	own, err := provision.ReadOwnSecrets(ctx, t.clients, g.stack)
	if err != nil {
		return err
	}
	have, err := t.deployed(ctx, g)
	if err != nil {
		return err
	}
	all := own.List(have.Settings)
	if g.output == "json" {
		return encode(s.out, secretsDocument{headOf("secrets"), g.stack, all})
	}
	if len(all) == 0 {
		g.note(s, "stack %s keeps no secret variables", g.stack)
		return nil
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSET\tIN USE")
	for _, one := range all {
		set := "by hand"
		if one.Changed != nil {
			set = ago(*one.Changed)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", one.Name, set, map[bool]string{true: "yes", false: "no"}[one.InUse])
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, one := range all {
		if have.Found && !one.InUse { // as after a rollback
			g.note(s, "note: %s is set, and the release that serves does not have it: %s gives it to the next one", one.Name, hint.Command("secret", "set", one.Name))
		}
	}
	return nil
}

func setSecret(ctx context.Context, s streams, g *globals, name, file string) error {
	if strings.Contains(name, "=") { // whose value would be shown
		return hint.With(usageError{errors.New("a value must not be on the command line, where others see it")},
			"name the variable alone; the value is asked for, or read from a file or standard input")
	}
	if err := provision.CheckOwnSecret(name, "a value"); err != nil {
		return usageError{err}
	}
	value, err := secretValue(ctx, s, name, file)
	if err != nil {
		return err
	}
	if err := provision.CheckOwnSecret(name, value); err != nil {
		return usageError{err}
	}
	return secretChange{doing: "secret set", done: "is set", name: name, addVariables: []string{name}, change: func(ctx context.Context, own *provision.OwnSecrets) error {
		return own.Set(ctx, name, value)
	}}.run(ctx, s, g)
}

// secretValue reads a value from a file, the terminal or standard input.
func secretValue(ctx context.Context, s streams, name, file string) (string, error) {
	if file == "" && isTerminal(s.in) {
		return typedSecret(ctx, s, name)
	}
	from := s.in
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return "", usageError{fmt.Errorf("--from-file: %w", err)}
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, 1<<20)) // more than a secret holds is refused
	if err != nil {
		return "", fmt.Errorf("read the value of %s: %w", name, err)
	}
	return withoutLineEnd(withoutMark(string(text))), nil
}

func withoutLineEnd(text string) string {
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
}

// withoutMark is text without the byte order mark, with which editors and shells of Windows
// begin a file in UTF-8 (https://www.unicode.org/faq/utf_bom.html).
func withoutMark(text string) string { return strings.TrimPrefix(text, "\ufeff") }

// longestTyped is how much of a line a terminal of Linux takes; the rest of a longer one
// that is pasted is lost without a sign. See findings/typed-secret-ends-after-4095-characters.sh.
const longestTyped = 4095

// asking is the prompt for a value. A terminal of macOS takes 1,023 characters of a line
// (MAX_CANON), and of a longer one that is pasted not even the end, so that the prompt waits on.
func asking(name, system string) string {
	note := ""
	if system == "darwin" {
		note = "; longer than 1000 characters: --from-file"
	}
	return fmt.Sprintf("Value of %s (not shown%s): ", name, note)
}

// typedSecret reads a value from the terminal without an echo, and restores the terminal
// after Ctrl-C too.
func typedSecret(ctx context.Context, s streams, name string) (string, error) {
	terminal := int(s.in.(*os.File).Fd())
	was, err := term.GetState(terminal)
	if err != nil {
		return "", fmt.Errorf("ask for the value of %s: %w", name, err)
	}
	var text []byte
	begun := time.Now()
	answer := graph.Start(func() (err error) {
		text, err = term.ReadPassword(terminal)
		return err
	})
	// Before the prompt, the terminal still echoes.
	for now := was; now != nil && *now == *was && time.Since(begun) < time.Second; now, _ = term.GetState(terminal) {
		if graph.Sleep(ctx, 5*time.Millisecond) != nil {
			break
		}
	}
	fmt.Fprint(s.err, asking(name, runtime.GOOS))
	defer fmt.Fprintln(s.err)
	select {
	case err := <-answer:
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the value of %s: %w", name, err)
		}
		if len(text) >= longestTyped {
			return "", hint.With(usageError{fmt.Errorf("the value of %s is longer than a terminal takes, and its end may be lost", name)},
				"give it by --from-file FILE, or on standard input")
		}
		return string(text), nil
	case <-ctx.Done():
		_ = term.Restore(terminal, was) // it goes away else with no echo
		return "", fmt.Errorf("%w: %w", context.Cause(ctx), errUntouched)
	}
}

// secretChange is a change of the stack's secret variables.
type secretChange struct {
	doing, name string // "secret set"
	done        string // "is set"
	// check fails before anything is changed; nil is no check.
	check  func(provision.OwnSecrets) error
	change func(context.Context, *provision.OwnSecrets) error
	// addVariables are the names of the variables that the container gets.
	addVariables []string
}

// run makes the change under the stack's lock, and rolls it out where there is a
// service.
func (c secretChange) run(ctx context.Context, s streams, g *globals) error {
	begun := time.Now()
	rep := newReporter(ctx, s, g)
	defer rep.close()
	t, err := connect(ctx, s, g)
	if err != nil {
		return err
	}
	read := func(ctx context.Context) (have provision.Deployed, own provision.OwnSecrets, err error) {
		if have, err = t.deployed(ctx, g); err != nil {
			return have, own, err
		}
		if err := refusePaused(have, g); err != nil {
			return have, own, err
		}
		if err := have.CheckData(ctx, t.clients.RDS, g.stack, have.Settings); err != nil {
			return have, own, err
		}
		if own, err = provision.ReadOwnSecrets(ctx, t.clients, g.stack); err != nil {
			return have, own, err
		}
		own = own.Tagged(have.Tags)
		would := have.Settings
		own.Give(&would, c.addVariables...)
		if err := would.Check(); err != nil {
			return have, own, usageError{err}
		}
		if c.check != nil {
			return have, own, c.check(own)
		}
		return have, own, nil
	}
	if _, _, err := read(ctx); err != nil { // the lock leaves a trace of its own
		return err
	}
	run := changing(s, t, provision.Spec{Stack: g.stack}, c.doing)
	run.Begin, run.Observe = rep.begin, rep.event
	var settings provision.Settings
	stack, _, err := run.Change(ctx, func(ctx context.Context, lock *runlock.Lock) (*provision.Spec, error) {
		have, own, err := read(ctx)
		if err != nil {
			return nil, err
		}
		rep.note("stack %s in %s: %s %s", g.stack, t.place, c.doing, c.name)
		if err := lock.Guard(ctx); err != nil {
			return nil, err
		}
		own = own.Guarded(lock.Guard)
		if err := c.change(ctx, &own); err != nil {
			return nil, err
		}
		if !have.Service() {
			return nil, nil //nolint:nilnil // nothing to change, as Run.Change has it
		}
		settings = have.Settings
		for _, lost := range own.Give(&settings, c.addVariables...) {
			if lost != c.name {
				rep.note("note: %s has no value any more, and the tasks no longer get it", lost)
			}
		}
		spec := deployedSpec(g, &have)
		spec.Deployed = nil // the run reads it
		spec.Settings, spec.Wait, spec.Release = settings, true, watchRelease(rep)
		return &spec, nil
	})
	if err == nil && stack != nil {
		err = t.waitForURL(ctx, rep, stack.URL(), settings)
	}
	rep.close()
	return c.report(ctx, s, g, stack, err, time.Since(begun))
}

// report prints the result of a change. Stack is what was rolled out, or nil if nothing was.
func (c secretChange) report(ctx context.Context, s streams, g *globals, stack *provision.Stack, err error, took time.Duration) error {
	switch {
	case err != nil && stack == nil:
		return err
	case err != nil:
		return withEvidence(ctx, stack, err, hint.New("the secret is changed, and the tasks may not have it: run the same command again, or give it another value"))
	case g.output == "json":
		return encode(s.out, secretDocument{headOf("result"), c.doing, g.stack, c.name, stack != nil, took.Seconds()})
	case stack == nil:
		g.note(s, "%s %s. Stack %s has no service yet; %s creates it.", c.name, c.done, g.stack, hint.Command("up"))
	default:
		g.note(s, "%s %s, and all tasks were replaced, %s.", c.name, c.done, rounded(took))
	}
	return nil
}
