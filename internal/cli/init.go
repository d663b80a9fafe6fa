package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/appfile"
	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/image"
	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/provision"
)

// initFlags are the flags of init.
type initFlags struct {
	up              upFlags
	deployed, force bool
}

func newInit(s streams, g *globals) *cobra.Command {
	var i initFlags
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write bookctl.yaml, which holds the settings of an app",
		Long: `Write bookctl.yaml in the current directory, to be committed with the app. It
contains the settings that are given as flags, which are those of 'bookctl up', and
the source that the directory has: a Go module or a Dockerfile. With --deployed it
contains the settings of a deployed stack. Nothing is deployed.

The other commands then read the stack's name and settings from the file. A flag
overrides its environment variable, a variable the file, and the file what is
deployed.`,
		Example: `  bookctl init --stack shop
  bookctl init --stack shop --image ghcr.io/example/shop:1.2 --count 2 --env LOG_LEVEL=info
  bookctl init --stack shop --deployed`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return initFile(cmd.Context(), s, g, cmd, i) },
	}
	f := cmd.Flags()
	i.up.addSettings(f)
	f.BoolVar(&i.deployed, "deployed", false, "write the settings of the deployed stack")
	f.BoolVar(&i.force, "force", false, "overwrite an existing file")
	cmd.MarkFlagsMutuallyExclusive("image", "source", "deployed")
	cmd.MarkFlagsMutuallyExclusive("image", "dockerfile", "deployed")
	return cmd
}

func initFile(ctx context.Context, s streams, g *globals, cmd *cobra.Command, i initFlags) error {
	path := g.file
	if path == "" {
		path = appfile.Name
	}
	if _, err := os.Stat(path); !i.force && !errors.Is(err, fs.ErrNotExist) {
		return hint.With(usageError{fmt.Errorf("%s exists already", path)}, "change it, or write over it with --force")
	}
	if err := i.up.check(false); err != nil {
		return err
	}
	var values []appfile.Value
	var err error
	if i.deployed {
		if err := meansFile(cmd, path); err != nil {
			return err
		}
		values, err = deployedValues(ctx, s, g)
	} else {
		values, err = i.found(ctx)
	}
	if err != nil {
		return err
	}
	values = i.mergeInto(values)
	if region := cmd.Flag("region"); region.Changed {
		values = append([]appfile.Value{{Key: "region", Texts: []string{g.region}}}, values...)
	}
	keys := fileKeys(cmd.Root())
	text, err := appfile.Write(g.stack, values, keys)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if _, err := appfile.Parse(path, text, keys); err != nil { // a secret, say
		return fmt.Errorf("%s is not written: %w", path, err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return err
	}
	if g.output == "json" {
		return encode(s.out, initDocument{headOf("init"), path, g.stack})
	}
	delete(g.givenValues, "stack") // the file has them
	delete(g.givenValues, "region")
	g.note(s, "%s is written; %s shows what it would deploy", path, hint.Command("plan"))
	return nil
}

// meansFile makes init use the stack and region of the file that it overwrites, unless the
// command line or the environment name them.
func meansFile(cmd *cobra.Command, path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	f, err := readFile(cmd.Root(), path)
	if err != nil {
		return err
	}
	stack, region := cmd.Flag("stack"), cmd.Flag("region")
	if !stack.Changed {
		if err := chooseStack(f, cmd.Flags()); err != nil {
			return err
		}
	}
	if name := stack.Value.String(); region.Changed || f.Stack != name && !slices.Contains(f.Stacks(), name) {
		return nil
	}
	values, err := f.For(stack.Value.String())
	if err != nil {
		return usageError{err}
	}
	for _, v := range values {
		if v.Key == region.Name {
			return cmd.Flags().Set(region.Name, v.Texts[0])
		}
	}
	return nil
}

// mergeInto applies the given settings to values, in the order of the table.
func (i initFlags) mergeInto(values []appfile.Value) []appfile.Value {
	var out []appfile.Value
	take := func(key string, texts []string) {
		if i.up.given(key) && !slices.Contains(appfile.Origins, key) {
			out = append(out, appfile.Value{Key: key, Texts: texts})
			return
		}
		for _, v := range values {
			if v.Key == key {
				out = append(out, v)
			}
		}
	}
	for _, row := range provision.Table() {
		take(row.Flag, []string{row.Value.Format(i.up.Settings)})
	}
	for _, list := range []struct {
		key   string
		texts []string
	}{{"env", i.up.env.pairs}, {"env-file", i.up.env.files}, {"secret", i.up.env.origins}} {
		if at := slices.IndexFunc(values, func(v appfile.Value) bool { return v.Key == list.key }); at >= 0 {
			list.texts = slices.Concat(values[at].Texts, list.texts)
		}
		take(list.key, lastOfEach(list.texts))
	}
	return out
}

// lastOfEach are pairs NAME=VALUE, of which the last one of each name is kept.
func lastOfEach(pairs []string) []string {
	named := func(pair string) string { name, _, _ := strings.Cut(pair, "="); return name }
	var out []string
	for i, pair := range pairs {
		if !slices.ContainsFunc(pairs[i+1:], func(later string) bool { return named(later) == named(pair) }) {
			out = append(out, pair)
		}
	}
	return out
}

// found is the value that chooses the image: a given one, otherwise from what the directory
// contains.
func (i initFlags) found(ctx context.Context) ([]appfile.Value, error) {
	one := func(key, text string) []appfile.Value { return []appfile.Value{{Key: key, Texts: []string{text}}} }
	switch {
	case i.up.Image != "" && image.IsArchive(i.up.Image):
		if _, err := image.FindArchive(i.up.Image, ""); err != nil {
			return nil, err
		}
		return one("image", i.up.Image), nil
	case i.up.Image != "":
		if _, err := image.ParseReference(i.up.Image); err != nil {
			return nil, usageError{err}
		}
		return one("image", i.up.Image), nil
	case i.up.Dockerfile == "" && i.up.From != "" && composeFile(i.up.From) == i.up.From:
		return nil, refuseCompose(i.up.From)
	case i.up.Dockerfile != "":
		if _, err := os.Stat(i.up.Dockerfile); err != nil {
			return nil, usageError{err}
		}
		out := one("dockerfile", i.up.Dockerfile)
		if i.up.From != "" {
			out = append(one("source", i.up.From), out...)
		}
		return out, nil
	}
	dir := i.up.From
	if dir == "" {
		dir = "."
	}
	program, err := image.FindProgram(ctx, dir, i.up.Package, "amd64")
	for _, name := range []string{"Dockerfile", "Containerfile"} {
		at := filepath.Join(dir, name)
		if _, statErr := os.Stat(at); errors.Is(err, image.ErrNoSource) && statErr == nil {
			return one("dockerfile", filepath.ToSlash(at)), nil
		}
	}
	if file := composeFile(dir); file != "" && errors.Is(err, image.ErrNoSource) {
		return nil, refuseCompose(file)
	}
	if err != nil {
		return nil, err
	}
	out := one("source", filepath.ToSlash(dir))
	if !program.Own && program.Package != "." {
		out = append(out, appfile.Value{Key: "package", Texts: []string{program.Package}})
	}
	return out, nil
}

// deployedValues are the settings of the deployed stack that differ from their defaults.
func deployedValues(ctx context.Context, s streams, g *globals) ([]appfile.Value, error) {
	if err := naming.CheckStack(g.stack); err != nil {
		return nil, usageError{err}
	}
	t, err := connect(ctx, s, g)
	if err != nil {
		return nil, err
	}
	have, err := t.deployed(ctx, g)
	if err != nil {
		return nil, err
	}
	if !have.Found {
		return nil, hint.With(fmt.Errorf("there is no stack %s in %s", g.stack, t.place), "leave --deployed out, or name another one with --stack")
	}
	settings := have.Settings
	// What was detected will be detected again.
	if only, err := image.FindProgram(ctx, settings.From, "", settings.Arch); err == nil && only.Path == settings.Package {
		settings.Package = ""
	}
	if kept := settings.OwnSecrets(); len(kept) > 0 {
		g.note(s, "note: the values of %s stay with the stack, as %s gave them, and are not in the file", strings.Join(kept, ", "), hint.Command("secret", "set"))
	}
	return valuesOf(settings), nil
}

// valuesOf are the settings as a file has them, without those that are equal to their
// defaults.
func valuesOf(settings provision.Settings) []appfile.Value {
	settings = archiveAsImage(settings)
	defaults, chosen := provision.DefaultSettings(), strings.Fields(settings.Chosen)
	var out []appfile.Value
	for _, row := range provision.Table() {
		is := row.Value.Format(settings)
		if row.Derived && !slices.Contains(chosen, row.Flag) || !row.Derived && is == row.Value.Format(defaults) {
			continue
		}
		if row.Flag == "db-version" && is == provision.DefaultDBVersion || row.Flag == "https-port" && !settings.Secure() {
			continue
		}
		out = append(out, appfile.Value{Key: row.Flag, Texts: []string{row.FlagText(settings)}})
	}
	for _, list := range []struct {
		key   string
		pairs map[string]string
	}{{"env", settings.Env.Map()}, {"secret", settings.SecretOrigins()}, {"tag", settings.Tags.Map()}} {
		var texts []string
		for _, name := range slices.Sorted(maps.Keys(list.pairs)) {
			texts = append(texts, name+"="+list.pairs[name])
		}
		if texts != nil {
			out = append(out, appfile.Value{Key: list.key, Texts: texts})
		}
	}
	return out
}
