package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bookctl/bookctl/internal/hint"
)

// invalidValue is the error for a value that a flag does not accept: it says what is
// expected, not in the words of Go's parsers. Of is where the value was given: the flag, or
// its variable.
func invalidValue(of, value string, f *pflag.Flag, err error) error {
	wanted := ""
	switch f.Value.Type() {
	case "int", "int32":
		wanted = "a whole number"
		if errors.Is(err, strconv.ErrRange) {
			wanted = "a smaller number"
		}
	case "float64":
		wanted = "a number, such as 0.1"
	case "duration":
		wanted = "a time, such as 90s, 30m or 24h"
	case "bool":
		wanted = "true or false"
	default:
		return usageError{fmt.Errorf("%s %q: %w", of, value, err)}
	}
	return usageError{fmt.Errorf("%s %q: give %s", of, value, wanted)}
}

// badFlag replaces pflag's error about a command line by one that says what is expected.
func badFlag(g *globals, cmd *cobra.Command, err error) error {
	var (
		invalid *pflag.InvalidValueError
		unknown *pflag.NotExistError
	)
	switch {
	case errors.As(err, &invalid):
		f := invalid.GetFlag()
		return invalidValue("--"+f.Name, invalid.GetValue(), f, err)
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		var flags []*cobra.Command
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			flags = append(flags, &cobra.Command{Use: f.Name, Hidden: f.Hidden, Run: func(*cobra.Command, []string) {}})
		})
		typed := unknown.GetSpecifiedName()
		var meant []hint.Message
		for _, name := range alike(typed, flags) {
			meant = append(meant, hint.New("%s", hint.Command(g.lineReplacing("--"+typed, "--"+name)...)))
		}
		if meant != nil {
			return hint.With(usageError{err}, "did you mean %s?", hint.Join(" or ", meant...))
		}
	}
	if path := strings.Fields(cmd.CommandPath())[1:]; unknown != nil && strings.Contains(cmd.Use, " -- ") {
		return hint.With(usageError{err}, "put -- before the words that are not for bookctl; %s shows how", hint.Command(append(path, "--help")...))
	}
	return usageError{err}
}
