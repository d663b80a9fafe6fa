// Package cli is bookctl's command line.
//
// One file is one command. What they share: root.go (flags), target.go (which
// cloud), report.go (what is printed while it runs) and exit.go (what an error
// means to a person and to a script).
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// errInterrupted is the cause of a run that the user stopped.
var errInterrupted = errors.New("interrupted")

// endedByUser is the result of a command that runs until it is interrupted: an interrupt is
// then no failure, and --timeout is.
func endedByUser(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errInterrupted) {
		return nil
	}
	return context.Cause(ctx)
}

// Main runs the command line args, which lacks the program's name, with the
// process's own streams and signals, and returns the exit code. A second signal
// ends the process at once. While another program has the terminal, interrupts are for that one.
//
// If the terminal goes away, for example because an SSH connection ends, the run is interrupted as
// by Ctrl-C. The lock is then released. The shell and the kernel both send SIGHUP, so it never
// counts as a second signal.
func Main(args []string) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		signal.Notify(signals, syscall.SIGHUP)
	}
	keyboard := &interrupts{}
	graph.Start(func() error {
		keyboard.wait(signals)
		cancel(errInterrupted)
		for keyboard.wait(signals) == syscall.SIGHUP { // the second one of another kind ends it at once
		}
		os.Exit(exitCancelled)
		return nil
	})
	return run(ctx, args, streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, interrupts: keyboard})
}

// interrupts decides who a Ctrl-C is for: a terminal sends it to every process in the
// foreground, and so also to the programs that bookctl runs. A nil one decides nothing.
type interrupts struct{ lent atomic.Int32 }

// lend leaves them to a program until back is called. A terminal that goes away, or Ctrl-\,
// ends the program, too, and this process cleans up behind it.
func (i *interrupts) lend() (back func()) {
	taken := make(chan os.Signal, 1)
	signal.Notify(taken, append(endings(), os.Interrupt)...)
	if i != nil {
		i.lent.Add(1)
	}
	return func() {
		signal.Stop(taken)
		if i != nil {
			i.lent.Add(-1)
		}
	}
}

// endings are the signals, other than the interrupt, by which a terminal ends its programs. SIGHUP
// is not one of them if this process ignores it, as under nohup.
func endings() []os.Signal {
	if signal.Ignored(syscall.SIGHUP) {
		return []os.Signal{syscall.SIGQUIT}
	}
	return []os.Signal{syscall.SIGQUIT, syscall.SIGHUP}
}

// untilTerminalEnds is a context that is also interrupted when the terminal ends, until stop is
// called. It is for programs that the terminal does not end, and that must not go on alone.
func untilTerminalEnds(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, endings()...)
	graph.Start(func() error {
		select {
		case <-signals:
			cancel(errInterrupted)
		case <-ctx.Done():
		}
		return nil
	})
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// wait waits for a signal that is for bookctl. While another program has the terminal, only SIGTERM
// is; bookctl goes on when that program has ended.
func (i *interrupts) wait(signals <-chan os.Signal) os.Signal {
	for s := range signals {
		if s == syscall.SIGTERM || i.lent.Load() == 0 {
			return s
		}
	}
	return nil
}

// outliveReaders has the process go on when a program that read its output has ended, as tee does
// at a Ctrl-C: what is written then fails, and a change of a stack does not stop for that. Go
// otherwise ends the process by SIGPIPE. Programs that it runs are not affected. A nil one leaves
// the signal to the program that bookctl is part of.
func (i *interrupts) outliveReaders() {
	if i != nil {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	}
}

// streams are where a command reads and writes. Results go to out and
// everything else to err.
type streams struct {
	in         io.Reader
	out        io.Writer
	err        io.Writer
	interrupts *interrupts // nil for a command line that no terminal is behind
}

// cutOff is the error of an interrupted run, with what else failed. Calls and waits that
// the interrupt ended are no failures.
func cutOff(err error) error {
	interrupted := func(err error) bool { return errors.Is(err, context.Canceled) || errors.Is(err, errInterrupted) }
	if !interrupted(err) || errors.Is(err, errUntouched) {
		return err
	}
	var at []string
	var failed []error
	for _, f := range graph.Failures(err) {
		if interrupted(f) {
			at = append(at, f.Node)
		} else {
			failed = append(failed, f)
		}
	}
	if at == nil {
		return errors.Join(append([]error{errInterrupted}, failed...)...)
	}
	return errors.Join(append([]error{fmt.Errorf("%w while at work on %s", errInterrupted, strings.Join(at, ", "))}, failed...)...)
}

// run runs one command line and returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	return runWith(ctx, &globals{args: args}, s)
}

// sharedWriter lets goroutines of a run write lines to one stream: calls that wait
// for an answer say so while the run goes on.
type sharedWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *sharedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}

func runWith(ctx context.Context, g *globals, s streams) int {
	if _, file := s.err.(*os.File); !file { // a file takes lines of several goroutines by itself
		s.err = &sharedWriter{to: s.err}
	}
	root := newRoot(s, g)
	root.SetArgs(g.args)
	if len(g.args) > 0 && (g.args[0] == cobra.ShellCompRequestCmd || g.args[0] == cobra.ShellCompNoDescRequestCmd) {
		completeEverything(root, g)
		nameEnvironment(root)
	}
	cmd, err := execute(ctx, root)
	if err == nil {
		return exitOK
	}
	if errors.Is(context.Cause(ctx), errInterrupted) {
		err = cutOff(err)
	}
	return explain(s, g, cmd, err)
}

// execute runs the command. A panic becomes an error: Go would exit with 2, which means
// that a plan has changes.
func execute(ctx context.Context, root *cobra.Command) (*cobra.Command, error) {
	cmd := root
	err := graph.Guarded(func() (err error) {
		cmd, err = root.ExecuteContextC(ctx)
		return err
	})
	return cmd, err
}
