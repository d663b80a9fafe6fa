package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/image"
	"github.com/bookctl/bookctl/internal/provision"
)

// TestEachSettingIsAFlagAndInTheJSONAndTheDocs goes over the table of settings.
// UPDATE_DOCS=1 writes docs/settings.md anew.
func TestEachSettingIsAFlagAndInTheJSONAndTheDocs(t *testing.T) {
	t.Parallel()
	const page = "../../docs/settings.md"
	text := settingsPage(t)
	if os.Getenv("UPDATE_DOCS") != "" {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), text); diff != "" {
		t.Errorf("docs/settings.md is not of today (UPDATE_DOCS=1 writes it anew; -have +want):\n%s", diff)
	}
	for _, row := range provision.Table() {
		if !strings.Contains(text, "| `--"+row.Flag+"` |") {
			t.Errorf("--%s is not in the docs", row.Flag)
		}
		for _, name := range []string{"up", "plan"} {
			cmd, _, err := newRoot(streams{}, &globals{}).Find([]string{name})
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.ParseFlags([]string{"--" + row.Flag + "=" + row.Example}); err != nil {
				t.Errorf("%s: %v", name, err)
			} else if got := cmd.Flag(row.Flag).Value.String(); got != row.Example {
				t.Errorf("%s --%s %s is %q", name, row.Flag, row.Example, got)
			}
		}
		var (
			u   upFlags
			cmd cobra.Command
			now = provision.DefaultSettings()
		)
		u.add(cmd.Flags())
		if err := cmd.ParseFlags([]string{"--" + row.Flag + "=" + row.Example}); err != nil {
			t.Fatal(err)
		}
		want := now
		u.applyTo(&want)
		if !slices.ContainsFunc(planSettings(provision.Deployed{Found: true, Settings: now}, want, nil), func(s planSetting) bool {
			return s.Name == row.JSON && s.Flag == "--"+row.Flag && s.Now != s.Then && fmt.Sprint(s.Then) == row.Example
		}) {
			t.Errorf("a plan's JSON does not show that --%s becomes %s", row.Flag, row.Example)
		}
	}
}

// settingsPage is docs/settings.md.
func settingsPage(t *testing.T) string {
	var b strings.Builder
	b.WriteString(`# Settings

What a user can choose for a stack: the flags of ` + "`bookctl up` and `bookctl plan`" + `. A flag that is not given keeps what is deployed, and a
new stack gets the default. Where two defaults are given, the first is that of an image that does not say otherwise in its config
([containers.md](containers.md)), and the second that of bookapi, whose image does.

This page is generated from the table of settings (` + "`internal/provision/settings_table.go`" + `) by
` + "`UPDATE_DOCS=1 go test -vet=off -run TestEachSetting ./internal/cli ./internal/provision`" + `.

Variables and secrets are in [containers.md](containers.md): in bookctl.yaml, ` + "`env`" + ` and ` + "`secret`" + ` hold ` + "`NAME: VALUE`" + ` pairs.

` + "`--tag KEY=VALUE`" + ` (` + "`tag`" + ` in bookctl.yaml, with ` + "`KEY: VALUE`" + ` pairs) puts a tag on everything that the stack creates, and ` + "`--untag KEY`" + ` removes it
again; both are repeatable, and tags that are not named stay. Tasks, snapshots and the parameters of the stack's lock keep the tags that the
stack had when they were created. The tags are recorded in the tag ` + "`bookctl:tags`" + ` of each resource, and read from that of the service.

| flag | environment | JSON | default | for example | what it is |
|---|---|---|---|---|---|
`)
	root := newRoot(streams{}, &globals{})
	up, _, err := root.Find([]string{"up"})
	if err != nil {
		t.Fatal(err)
	}
	none := func(text string) string {
		if text == "" {
			return ""
		}
		return "`" + text + "`"
	}
	defaults := provision.DefaultSettings()
	usual := map[string]string{} // of an image that says nothing, by flag
	for _, d := range image.Defaults(&v1.ConfigFile{}) {
		usual[d.Setting] = d.Value
	}
	byDefault := func(row provision.Setting) string {
		ofBookapi := none(row.Value.Format(defaults))
		of, derived := usual[row.Flag]
		switch of = none(of); {
		case !derived || of == ofBookapi:
			return ofBookapi
		case of == "":
			of = "the image's"
		}
		return of + "; bookapi: " + ofBookapi
	}
	for _, row := range provision.Table() {
		flag := up.Flags().Lookup(row.Flag)
		fmt.Fprintf(&b, "| `--%s` | `%s` | `%s` | %s | `%s` | %s |\n", row.Flag, environmentName(up, flag), row.JSON, byDefault(row), row.Example, row.Help)
	}
	b.WriteString(`
Where a setting is recorded, so that a change by hand is recognized as drift and not taken for a new setting; the fields of the
resources that it sets; and the lines of a plan's costs that it changes.

| flag | recorded in | sets | costs |
|---|---|---|---|
`)
	for _, row := range provision.Table() {
		var sets []string
		for _, d := range row.Drives {
			sets = append(sets, strings.TrimSpace("`"+d.Resource+"` "+d.Field))
		}
		fmt.Fprintf(&b, "| `--%s` | %s | %s | %s |\n", row.Flag, row.Recorded(), strings.Join(sets, ", "), strings.Join(row.Costs, ", "))
	}
	return b.String()
}
