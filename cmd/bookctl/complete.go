package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/advice"
)

// complete lets the shell complete a flag's value from a list.
func complete(cmd *cobra.Command, flag string, values ...string) {
	// It fails only for a flag that does not exist, which the first test of the
	// command tree would show.
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}

var unknownCommand = regexp.MustCompile(`^unknown command "([^"]*)"`)

// mistyped turns cobra's complaint about a command line into ours, with what
// may have been meant.
func mistyped(g *globals, cmd *cobra.Command, err error) error {
	first, _, _ := strings.Cut(err.Error(), "\n")
	usage := usageError{errors.New(first)}
	m := unknownCommand.FindStringSubmatch(first)
	if m == nil {
		return usage
	}
	cmd.SuggestionsMinimumDistance = 2
	var meant []string
	for _, name := range cmd.SuggestionsFor(m[1]) {
		meant = append(meant, "'bookctl "+g.instead(m[1], name)+"'")
	}
	if meant == nil {
		return usage
	}
	return advice.With(usage, "did you mean "+strings.Join(meant, " or ")+"?")
}

// instead is the command line with another word in place of a mistyped one.
func (g *globals) instead(typed, meant string) string {
	words := slices.Clone(g.line)
	if i := slices.Index(words, typed); i >= 0 {
		words[i] = meant
	}
	for i, w := range words {
		words[i] = shellWord(w)
	}
	return strings.Join(words, " ")
}
