package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bookctl/bookctl/internal/appfile"
	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/image"
	"github.com/bookctl/bookctl/internal/provision"
)

// notInFile are the flags of up that apply to one run and not to the stack.
var notInFile = []string{"help", "wait", "timeline", "restore"}

// pathsInFile are the keys whose values are paths, relative to the file.
var pathsInFile = []string{"source", "dockerfile", "db-ca", "env-file"}

// fileKeys are the keys of bookctl.yaml: the flags of up, and those that name the stack and
// its place.
func fileKeys(root *cobra.Command) []appfile.Key {
	table := provision.Table()
	var out []appfile.Key
	add := func(f *pflag.Flag) {
		kind := appfile.Text
		switch f.Value.Type() {
		case "int32", "int":
			kind = appfile.Number
		case "bool":
			kind = appfile.Switch
		case "stringArray", "stringSlice":
			kind = appfile.List
		}
		key := appfile.Key{Name: f.Name, Help: f.Usage, Kind: kind}
		if i := slices.IndexFunc(table, func(row provision.Setting) bool { return row.Flag == f.Name }); i >= 0 {
			key.Example = table[i].Example
		}
		out = append(out, key)
	}
	for _, name := range []string{"region", "account"} {
		add(root.PersistentFlags().Lookup(name))
	}
	up, _, err := root.Find([]string{"up"})
	if err != nil {
		panic(err) // there is such a command
	}
	for _, row := range provision.Table() {
		add(up.Flags().Lookup(row.Flag))
	}
	up.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(notInFile, f.Name) && !slices.ContainsFunc(out, func(k appfile.Key) bool { return k.Name == f.Name }) {
			add(f)
		}
	})
	return out
}

// readFile reads the file of the app: the one that --file names, or bookctl.yaml in the
// current directory; nil for none.
func readFile(root *cobra.Command, path string) (*appfile.File, error) {
	named := path != ""
	if !named {
		path = appfile.Name
	}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return nil, nil
	case err != nil:
		return nil, hint.With(usageError{fmt.Errorf("read the file of the app: %w", err)}, "name a file that is there with --file, or write one with %s", hint.Command("init"))
	}
	f, err := appfile.Parse(path, text, fileKeys(root))
	if err != nil {
		return nil, hint.With(usageError{err}, "fix %s: its keys are the flags of up, which %s lists", path, hint.Command("up", "--help"))
	}
	return f, nil
}

// commandsWithoutFile are the commands that do not act on a stack.
var commandsWithoutFile = []string{"init", "version", "man", "help", "completion", "local"}

// applyFile sets a command's flags from the file of the app, unless the command line or the
// environment sets them, and records where each value is from.
func applyFile(cmd *cobra.Command, g *globals) error {
	top := cmd
	for top.HasParent() && top.Parent().HasParent() {
		top = top.Parent()
	}
	if slices.Contains(commandsWithoutFile, top.Name()) || !cmd.HasParent() || strings.HasPrefix(top.Name(), "__") {
		return nil
	}
	f, err := readFile(cmd.Root(), g.file)
	if f == nil || err != nil {
		return err
	}
	flags := cmd.Flags()
	if stack := flags.Lookup("stack"); !stack.Changed && top.Name() != "list" {
		if err := chooseStack(f, flags); err != nil {
			return err
		}
	}
	var values []appfile.Value
	if top.Name() != "list" {
		if values, err = f.For(g.stack); err != nil {
			return usageError{err}
		}
	}
	otherOrigin := slices.ContainsFunc([]string{"image", "source", "dockerfile"}, flags.Changed) // of another image
	for _, v := range values {
		flag := flags.Lookup(v.Key)
		if flag == nil || flag.Changed || flag.Value.Type() == "string" && v.Key == "output" || otherOrigin && slices.Contains(appfile.Origins, v.Key) {
			continue
		}
		if cmd.LocalNonPersistentFlags().Lookup(v.Key) != nil && top.Name() != "up" && top.Name() != "plan" && v.Key != "db-ca" {
			continue // another thing of the same name
		}
		from := fmt.Sprintf("%s:%d", f.Path, v.Line)
		for _, text := range v.Texts {
			if err := flags.Set(v.Key, inFile(f.Path, v.Key, text)); err != nil {
				return invalidValue(from+": "+v.Key, text, flag, err)
			}
		}
		g.valueSource[v.Key] = from
		if f.Stack != "" && f.Stack != g.stack && len(f.Stacks()) == 0 {
			g.otherFileNote = hint.New("%s is the file of stack %s, and stack %s takes the settings in it too; --file names another file", f.Path, f.Stack, g.stack)
		}
	}
	return nil
}

// chooseStack sets the flags that name the stack, from the file f.
func chooseStack(f *appfile.File, flags *pflag.FlagSet) error {
	switch name := f.Default(); {
	case name != "":
		return flags.Set("stack", name)
	case len(f.Stacks()) > 1:
		return hint.With(usageError{fmt.Errorf("%s has several stacks: %s", f.Path, strings.Join(f.Stacks(), ", "))}, "choose one with --stack")
	}
	return nil
}

// inFile is a path of a file, relative to the current directory.
func inFile(path, key, text string) string {
	dir := filepath.Dir(path)
	if dir == "." {
		return text
	}
	join := func(name string) string {
		if filepath.IsAbs(name) {
			return name
		}
		return filepath.ToSlash(filepath.Join(dir, name))
	}
	switch {
	case slices.Contains(pathsInFile, key):
		return join(text)
	case key == "image" && image.IsArchive(text):
		transport, rest, _ := strings.Cut(text, ":")
		return transport + ":" + join(rest)
	}
	return text
}
