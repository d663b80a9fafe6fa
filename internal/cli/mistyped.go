package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/pattern"
)

var unknownCommand = pattern.New(`^unknown command "([^"]*)" for "([^"]*)"`)

// argumentCount corrects cobra's check of the number of arguments.
var argumentCount = strings.NewReplacer("1 arg(s)", "1 argument", "arg(s)", "arguments")

// mistyped replaces cobra's error about a command line by one that suggests what may have
// been meant.
func mistyped(g *globals, cmd *cobra.Command, err error) error {
	first, _, _ := strings.Cut(err.Error(), "\n")
	m := unknownCommand.FindStringSubmatch(first)
	if m == nil {
		text := cmd.CommandPath() + " " + argumentCount.Replace(first)
		return hint.With(usageError{errors.New(text)}, "usage: %s", hint.Command(strings.Fields(strings.TrimSuffix(cmd.UseLine(), " [flags]"))[1:]...))
	}
	if cmd.Name() != "help" && !cmd.HasSubCommands() {
		return usageError{fmt.Errorf("%s takes no arguments, but got %q", cmd.CommandPath(), m[1])}
	}
	usage := usageError{errors.New(first)}
	if cmd.Name() == "help" { // of what comes after it
		cmd = cmd.Root()
		for _, word := range strings.Fields(m[2])[1:] {
			cmd, _, _ = cmd.Find([]string{word}) // it was found before
		}
	}
	var meant []hint.Message
	for _, name := range alike(m[1], cmd.Commands()) {
		meant = append(meant, hint.New("%s", hint.Command(g.lineReplacing(m[1], name)...)))
	}
	if meant == nil {
		return usage
	}
	return hint.With(usage, "did you mean %s?", hint.Join(" or ", meant...))
}

// alike are the commands that a mistyped one may mean: those that other tools call so,
// otherwise those with a similar spelling.
func alike(typed string, commands []*cobra.Command) []string {
	among := &cobra.Command{SuggestionsMinimumDistance: min(2, max(1, len(typed)/3))}
	var other []string
	for _, c := range commands {
		if slices.Contains(c.SuggestFor, typed) {
			other = append(other, c.Name())
		}
		among.AddCommand(&cobra.Command{Use: c.Name(), Hidden: c.Hidden, Run: c.Run, RunE: c.RunE})
	}
	if other != nil {
		return other
	}
	return among.SuggestionsFor(typed)
}
