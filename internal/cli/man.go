package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newMan(s streams, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "man DIR",
		Short:   "Write the manual pages",
		Long:    "Write a manual page for each command into a directory, which is created if it is missing.",
		Example: "  bookctl man man1 && man ./man1/bookctl-up.1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("make the directory for the manual pages: %w", err)
			}
			nameEnvironment(cmd.Root())
			if err := writeManual(cmd.Root(), args[0], manualDate()); err != nil {
				return fmt.Errorf("write the manual pages: %w", err)
			}
			if g.output == "json" {
				return encode(s.out, manualDocument{headOf("manual"), args[0]})
			}
			if !g.quiet {
				fmt.Fprintf(s.err, "manual pages written to %s\n", args[0])
			}
			return nil
		},
	}
}

// environmentName is the environment variable for a flag. For a flag of a subcommand it
// contains the name of its group: the port of 'local start' is not the port of 'up'.
func environmentName(cmd *cobra.Command, f *pflag.Flag) string {
	name := f.Name
	if group := cmd.Parent(); group != nil && group.HasParent() && cmd.LocalNonPersistentFlags().Lookup(name) == f {
		name = group.Name() + "-" + name
	}
	return "BOOKCTL_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// unknownVariables are the environment variables that begin like bookctl's and match no
// flag: a mistyped BOOKCTL_STACK would otherwise be ignored silently.
func unknownVariables(root *cobra.Command) []string {
	var out []string
	for _, v := range os.Environ() {
		name, value, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "BOOKCTL_") && value != "" && name != localDirVariable {
			out = append(out, name)
		}
	}
	if out == nil {
		return nil
	}
	eachFlag(root, func(known string, _ *pflag.Flag) {
		out = slices.DeleteFunc(out, func(name string) bool { return name == known })
	})
	slices.Sort(out)
	return out
}

// nameEnvironment adds each flag's variable to its help.
func nameEnvironment(cmd *cobra.Command) {
	eachFlag(cmd, func(variable string, f *pflag.Flag) {
		if name := " [" + variable + "]"; f.Name != "help" && f.Name != "version" && !strings.HasSuffix(f.Usage, name) {
			f.Usage += name
		}
	})
}

// eachFlag visits the flags of a command and of all below it, with the variable of
// each.
func eachFlag(cmd *cobra.Command, visit func(variable string, f *pflag.Flag)) {
	here := func(f *pflag.Flag) { visit(environmentName(cmd, f), f) }
	cmd.LocalNonPersistentFlags().VisitAll(here)
	cmd.PersistentFlags().VisitAll(here)
	for _, sub := range cmd.Commands() {
		eachFlag(sub, visit)
	}
}
