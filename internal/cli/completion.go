package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bookctl/bookctl/internal/localcloud/container"
	"github.com/bookctl/bookctl/internal/provision"
)

// takesFile are the flags whose values are files, which a shell completes by itself, and
// takesDir those that are directories.
var (
	takesFile = []string{"file", "dockerfile", "env-file", "db-ca", "from-file", "timeline", "faults", "policy"}
	takesDir  = []string{"source", "dir"}
)

// completeWords completes flags with few values, in addition to those of the table of
// settings.
var completeWords = map[string][]string{
	"output": {"text", "json"}, "format": {"svg", "mermaid", "dot"}, "price": {"table", "live"}, "shell": {"sh", "fish", "powershell"},
	"latencies": {"aws"}, "throttle": {"aws"}, "engine": container.Choices(),
}

// imageSources are the prefixes of --image, apart from the names of registries.
var imageSources = []string{"docker-archive:", "oci:", "oci-archive:", "build"}

// completeLive completes by what is deployed.
var completeLive = map[string]lookup{
	"task": func(ctx context.Context, t *target, stack string) (out []string, err error) {
		tasks, err := provision.Tasks(ctx, t.clients, stack)
		for _, task := range tasks {
			out = append(out, shortID(task.ID)+"\t"+task.Revision)
		}
		return out, err
	},
	"to": func(ctx context.Context, t *target, stack string) (out []string, err error) {
		releases, err := provision.Releases(ctx, t.clients, stack)
		for _, r := range releases {
			if r.Served && !r.Gone {
				out = append(out, strconv.Itoa(int(r.Revision))+"\t"+digestOf(r.Image))
			}
		}
		return out, err
	},
	"stack": func(ctx context.Context, t *target, _ string) (out []string, err error) {
		stacks, err := provision.Stacks(ctx, t.clients, false)
		for _, s := range stacks {
			out = append(out, s.Stack)
		}
		return out, err
	},
	"restore": func(ctx context.Context, t *target, stack string) ([]string, error) {
		out := []string{"latest"}
		kept, err := provision.Snapshots(ctx, t.clients.RDS, stack)
		for _, s := range kept {
			out = append(out, s.ID+"\t"+ago(s.Created))
		}
		return out, err
	},
	"unset-env": func(ctx context.Context, t *target, stack string) ([]string, error) {
		have, err := provision.ReadDeployed(ctx, t.clients, stack)
		return append(have.Env.Names(), have.Secrets.Names()...), err
	},
}

// lookup finds what is deployed: a word for each, and behind a tab its description.
type lookup func(ctx context.Context, t *target, stack string) ([]string, error)

// ownSecrets are the variables that 'bookctl secret set' keeps.
func ownSecrets(ctx context.Context, t *target, stack string) ([]string, error) {
	own, err := provision.ReadOwnSecrets(ctx, t.clients, stack)
	return own.Names(), err
}

// longestLookup is how long a shell waits for a completion.
const longestLookup = 3 * time.Second

// completeEverything sets for each flag and argument what a shell completes: words, what is
// deployed, or files. If nothing is set, cobra has the shell offer files.
func completeEverything(cmd *cobra.Command, g *globals) {
	choices := maps.Clone(completeWords)
	choices["image"] = imageSources
	for _, row := range provision.Table() {
		if row.Choices != nil {
			choices[row.Flag] = row.Choices
		}
	}
	completeBelow(cmd, g, choices)
}

// completeBelow completes for a command and those below it. Choices are the words of flags.
func completeBelow(cmd *cobra.Command, g *globals, choices map[string][]string) {
	each := func(f *pflag.Flag) {
		if _, done := cmd.GetFlagCompletionFunc(f.Name); done {
			return
		}
		words := choices[f.Name]
		complete := cobra.NoFileCompletions
		switch {
		case f.Name == "image":
			complete = cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace)
		case words != nil:
			complete = cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
		case completeLive[f.Name] != nil:
			complete = g.completed(completeLive[f.Name])
		case slices.Contains(takesFile, f.Name):
			complete = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
		case slices.Contains(takesDir, f.Name):
			complete = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
		}
		if err := cmd.RegisterFlagCompletionFunc(f.Name, complete); err != nil {
			panic(err) // the flag is there
		}
	}
	cmd.LocalNonPersistentFlags().VisitAll(each)
	cmd.PersistentFlags().VisitAll(each)
	switch cmd.CommandPath() {
	case "bookctl secret set", "bookctl secret unset":
		cmd.ValidArgsFunction = g.completed(ownSecrets)
	case "bookctl db dump", "bookctl db load":
		cmd.ValidArgsFunction = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	case "bookctl man":
		cmd.ValidArgsFunction = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
	default:
		if cmd.ValidArgsFunction == nil && !cmd.HasSubCommands() && !cmd.DisableFlagParsing {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
	for _, sub := range cmd.Commands() {
		completeBelow(sub, g, choices)
	}
}

// completed completes one word from what is deployed. If that can't be read in time and
// without a question, it offers nothing.
func (g *globals) completed(find lookup) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		words, err := g.lookUp(cmd, find)
		if err != nil {
			cobra.CompDebugln(fmt.Sprintf("look for what is deployed: %v", err), false)
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

func (g *globals) lookUp(cmd *cobra.Command, find lookup) ([]string, error) {
	nobody := streams{in: cmd.InOrStdin(), out: io.Discard, err: io.Discard}
	g.quiet = true
	if err := resolveFlags(nobody, cmd, g); err != nil {
		return nil, err
	}
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, longestLookup)
	defer cancel()
	t, err := connect(ctx, nobody, g)
	if err != nil {
		return nil, err
	}
	return find(ctx, t, g.stack)
}
