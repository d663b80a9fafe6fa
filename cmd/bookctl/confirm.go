package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/bookctl/bookctl/internal/advice"
)

// isTerminal says whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// confirm asks for a word, which is said to be what, before something that can't
// be undone.
// Without a terminal there is nobody to ask, and --yes must have been said.
func confirm(s streams, g *globals, question, what, word string) error {
	if g.yes {
		return nil
	}
	if !isTerminal(s.in) {
		return advice.With(usageError{errors.New("there is no terminal to ask on")}, "if it is meant: 'bookctl "+g.also("--yes")+"'")
	}
	fmt.Fprintf(s.err, "%s\nType %s (%s) to go on: ", question, what, word)
	line, err := bufio.NewReader(s.in).ReadString('\n')
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.TrimSpace(line) != word {
		return advice.With(errors.New("not confirmed: nothing was touched"), fmt.Sprintf("type %s to go on, or say --yes, which asks nothing", word))
	}
	return nil
}
