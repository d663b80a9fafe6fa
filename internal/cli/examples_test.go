package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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

// TestEveryCommandInTheDocumentsCanBeTyped parses the commands that the documents show, in their
// text, in their blocks and in their example of a workflow.
func TestEveryCommandInTheDocumentsCanBeTyped(t *testing.T) {
	t.Parallel()
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, document := range append(documents, "../../README.md", "../../CONTRIBUTING.md", "../../docs/examples/deploy.yml") {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		spans, lines := shownCommands(string(text), filepath.Ext(document) == ".md")
		for i, command := range append(spans, lines...) {
			seen++
			root := newRoot(streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard}, &globals{})
			words := strings.Fields(strings.TrimSuffix(command, " --"))[1:]
			if _, rest, err := root.Find(words); err == nil && len(rest) == 0 && i < len(spans) {
				continue // its text names a command, and not what to type
			}
			if err := typed(root, words); err != nil && !errors.Is(err, pflag.ErrHelp) {
				t.Errorf("%s shows %q: %v", strings.TrimPrefix(document, "../../"), command, err)
			}
		}
	}
	if seen < 150 {
		t.Errorf("only %d commands were found", seen)
	}
}

var (
	codeSpan  = regexp.MustCompile("`(bookctl [^`>]+)[`>]")
	continued = regexp.MustCompile(`\\\n *`)
	inLine    = regexp.MustCompile(`(?:^ *|[;&|(] *|- )(?:\$ )?(?:[A-Za-z_]+=\S* )*(bookctl [^|;&#)>]*)`)
)

// shownCommands are the commands in the code spans of a document, and those in the lines of its
// blocks or, if it is no Markdown, of all of it.
func shownCommands(text string, markdown bool) (spans, lines []string) {
	for _, span := range codeSpan.FindAllStringSubmatch(strings.ReplaceAll(text, "\n", " "), -1) {
		spans = append(spans, span[1])
	}
	fenced := false
	for line := range strings.Lines(continued.ReplaceAllString(text, "")) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		if markdown && !fenced && !strings.HasPrefix(line, "    ") {
			continue
		}
		for _, found := range inLine.FindAllStringSubmatch(line, -1) {
			lines = append(lines, strings.TrimSpace(found[1]))
		}
	}
	return spans, lines
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
