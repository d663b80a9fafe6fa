package cli

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

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
