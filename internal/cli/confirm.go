package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// errUntouched ends a command that was stopped before it did anything.
var errUntouched = errors.New("nothing was touched")

// confirm asks the user to type a word before something that can't be undone. Without a
// terminal it fails unless --yes was given.
func confirm(ctx context.Context, s streams, g *globals, question, what, word string) error {
	if g.yes {
		return nil
	}
	if !isTerminal(s.in) {
		return hint.With(usageError{errors.New("there is no terminal to ask on")}, "to confirm: %s", hint.Command(g.lineWith("--yes")...))
	}
	fmt.Fprintf(s.err, "%s\nType %s (%s) to continue: ", question, what, word)
	next := hint.New("type %s to continue, or use --yes", word)
	answer := graph.Start(func() error { // which a Ctrl-C leaves behind
		line, err := bufio.NewReader(s.in).ReadString('\n')
		if err != nil {
			fmt.Fprintln(s.err) // the line has no end
		}
		switch {
		case strings.TrimSpace(line) == word:
			return nil
		case err != nil && !errors.Is(err, io.EOF):
			return fmt.Errorf("read the answer: %w", err)
		default:
			return hint.Add(fmt.Errorf("not confirmed: %w", errUntouched), next)
		}
	})
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		fmt.Fprintln(s.err) // behind what was typed
		return fmt.Errorf("%w: %w", context.Cause(ctx), errUntouched)
	}
}
