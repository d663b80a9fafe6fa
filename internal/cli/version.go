package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is set by the linker; a build from source has the commit instead.
var release = ""

// version is the release, or the commit of a build from source.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	v, dirty := "devel", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			v = "devel-" + s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	return v + dirty
}

func newVersion(s streams, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of bookctl",
		Args:    cobra.NoArgs,
		Example: "  bookctl version --output json",
		RunE: func(*cobra.Command, []string) error {
			if g.output == "json" {
				return encode(s.out, versionDocument{headOf("version"), version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH})
			}
			_, err := fmt.Fprintln(s.out, versionLine())
			return err
		},
	}
}

func versionLine() string {
	return fmt.Sprintf("bookctl %s (%s, %s/%s)", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// answerVersion gives the root command a --version flag, which prints the same as 'bookctl
// version'. Cobra's own needs SetVersionTemplate, which links text/template. That calls
// methods by name, so the linker would keep every method of every AWS client: the binary
// would be two and a half times as big.
func answerVersion(root *cobra.Command) {
	asked := root.Flags().Bool("version", false, "version for bookctl")
	help := root.HelpFunc()
	// A command that only has subcommands is asked for nothing but its help.
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if cmd == root && *asked && !cmd.Flag("help").Changed {
			fmt.Fprintln(cmd.OutOrStdout(), versionLine())
			return
		}
		help(cmd, args)
	})
}
