package main

import (
	"errors"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
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
func mistyped(cmd *cobra.Command, err error) error {
	first, _, _ := strings.Cut(err.Error(), "\n")
	usage := usageError{errors.New(first)}
	m := unknownCommand.FindStringSubmatch(first)
	if m == nil {
		return usage
	}
	cmd.SuggestionsMinimumDistance = 2
	var meant []string
	for _, name := range cmd.SuggestionsFor(m[1]) {
		meant = append(meant, "'"+cmd.CommandPath()+" "+name+"'")
	}
	if meant == nil {
		return usage
	}
	return advised{usage, "did you mean " + strings.Join(meant, " or ") + "?"}
}
