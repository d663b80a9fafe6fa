package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

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

// writeManual writes the manual pages of a command and of all below it into a directory.
// cobra's own package for that converts Markdown, for which it links two libraries.
func writeManual(cmd *cobra.Command, dir string, date time.Time) error {
	for _, sub := range documented(cmd) {
		if err := writeManual(sub, dir, date); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, pageName(cmd)+".1"), []byte(manualPage(cmd, date)), 0o644)
}

// manualDate is the date of manual pages: today, or that of SOURCE_DATE_EPOCH, so that they
// can be written again byte by byte.
func manualDate() time.Time {
	if seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		return time.Unix(seconds, 0).UTC()
	}
	return time.Now()
}

// documented are the commands below one that have pages.
func documented(cmd *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && !sub.IsAdditionalHelpTopicCommand() {
			out = append(out, sub)
		}
	}
	return out
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manualPage is the manual page of a command, in roff.
func manualPage(cmd *cobra.Command, date time.Time) string {
	cmd.InitDefaultHelpCmd()
	cmd.InitDefaultHelpFlag()
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %q 1 %q %q bookctl\n.nh\n", strings.ToUpper(pageName(cmd)), date.Format("Jan 2006"), "bookctl "+version())
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(pageName(cmd)), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n\\fB%s\\fP\n", roff(cmd.UseLine()))
	description := cmd.Long
	if description == "" {
		description = cmd.Short
	}
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", strings.ReplaceAll(roff(description), "\n\n", "\n.PP\n"))
	manualFlags(&b, "OPTIONS", cmd.NonInheritedFlags())
	manualFlags(&b, "OPTIONS OF ALL COMMANDS", cmd.InheritedFlags())
	if cmd.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLE\n.EX\n%s\n.EE\n", roff(cmd.Example))
	}
	var others []string
	if cmd.HasParent() {
		others = append(others, pageName(cmd.Parent()))
	}
	for _, sub := range documented(cmd) {
		others = append(others, pageName(sub))
	}
	for i, name := range others {
		others[i] = "\\fB" + roff(name) + "\\fP(1)"
	}
	if len(others) > 0 {
		fmt.Fprintf(&b, ".SH SEE ALSO\n%s\n", strings.Join(others, ",\n"))
	}
	return b.String()
}

// manualFlags writes a section of flags.
func manualFlags(b *strings.Builder, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" {
			return
		}
		b.WriteString(".TP\n")
		if f.Shorthand != "" {
			fmt.Fprintf(b, "\\fB\\-%s\\fP, ", f.Shorthand)
		}
		fmt.Fprintf(b, "\\fB\\-\\-%s\\fP", roff(f.Name))
		if f.NoOptDefVal == "" || f.DefValue != "false" {
			fmt.Fprintf(b, "=%s", roff(strconv.Quote(f.DefValue)))
		}
		fmt.Fprintf(b, "\n%s\n", roff(f.Usage))
	})
}

// roff is text as roff shows it as it is: a hyphen is one that can be copied, and no line
// is a request.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
