package cli

import (
	"context"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// example finds the command lines in an example: what a shell would run.
var example = regexp.MustCompile(`bookctl( [^|;&#)>]*|$)`)

func TestEveryExampleInTheHelpCanBeTyped(t *testing.T) {
	t.Parallel()
	tree := func() *cobra.Command {
		return newRoot(streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard}, &globals{})
	}
	seen := 0
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for line := range strings.Lines(c.Example) {
			for _, text := range example.FindAllString(line, -1) {
				seen++
				if err := typed(tree(), strings.Fields(text)[1:]); err != nil {
					t.Errorf("the help of %q shows %q: %v", c.CommandPath(), strings.TrimSpace(text), err)
				}
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(tree())
	if seen < 15 {
		t.Errorf("only %d examples were found", seen)
	}
}

// typed returns what is wrong with a command line, short of running it.
func typed(root *cobra.Command, args []string) error {
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if cmd.DisableFlagParsing {
		return nil
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

func TestASettledCommandLineHasItsEnvironmentInTheHelp(t *testing.T) {
	t.Parallel()
	for command, variables := range map[string][]string{
		"up":          {"STACK", "REGION", "OUTPUT", "COUNT", "PORT", "DB_CLASS", "TIMELINE"},
		"local start": {"STACK", "LOCAL_PORT", "LOCAL_FAULTS"},
		"db tunnel":   {"STACK", "DB_LOCAL_PORT"},
	} {
		var out strings.Builder
		if code := run(context.Background(), append(strings.Fields(command), "--help"), streams{in: strings.NewReader(""), out: &out, err: io.Discard}); code != exitOK {
			t.Fatalf("exit code %d", code)
		}
		for _, v := range variables {
			if !strings.Contains(out.String(), "[BOOKCTL_"+v+"]") {
				t.Errorf("the help of %s does not name BOOKCTL_%s", command, v)
			}
		}
	}
}
