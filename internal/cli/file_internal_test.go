package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/bookctl/bookctl/internal/appfile"
	"github.com/bookctl/bookctl/internal/provision"
)

// TestEachSettingIsInTheFileAndItsSchema goes over the table of settings.
// UPDATE_DOCS=1 writes docs/bookctl.schema.json anew.
func TestEachSettingIsInTheFileAndItsSchema(t *testing.T) {
	t.Parallel()
	const page = "../../docs/bookctl.schema.json"
	root := newRoot(streams{}, &globals{})
	keys := fileKeys(root)
	text, err := appfile.Schema(keys)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_DOCS") != "" {
		if err := os.WriteFile(page, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), string(text)); diff != "" {
		t.Errorf("docs/bookctl.schema.json is not of today (UPDATE_DOCS=1 writes it anew; -have +want):\n%s", diff)
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(appfile.SchemaURL, parsed); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(appfile.SchemaURL)
	if err != nil {
		t.Fatal(err)
	}
	fits := func(text string) error {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		return schema.Validate(value)
	}
	all := "stack: shop\n"
	for _, row := range provision.Table() {
		all += fmt.Sprintf("%s: %s\n", row.Flag, row.Example)
	}
	if err := fits(all); err != nil {
		t.Errorf("a file of all settings: %v", err)
	}
	f, err := appfile.Parse("bookctl.yaml", []byte(all), keys)
	if err != nil {
		t.Fatal(err)
	}
	values, err := f.For("shop")
	if err != nil || len(values) != len(provision.Table()) {
		t.Errorf("a file of all %d settings has %d, %v", len(provision.Table()), len(values), err)
	}
	for _, v := range values {
		up, _, err := root.Find([]string{"up"})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range v.Texts {
			if err := up.Flags().Set(v.Key, text); err != nil {
				t.Errorf("%s: %v", v.Key, err)
			}
		}
	}
	for text, want := range map[string]bool{
		"stacks: {staging: {count: 2}, production: }": true, "cuont: 2": false, "count: many": false, "stacks: {staging: {cuont: 2}}": false, "stacks: {staging: {stacks: {}}}": false,
	} {
		if err := fits(text); (err == nil) != want {
			t.Errorf("%s: %v, want it to fit: %t", text, err, want)
		}
	}
}

// TestEachSettingIsWrittenAsItWasRead takes each setting, and variables and secrets, from
// a file, and writes the file anew of what that makes of a stack.
func TestEachSettingIsWrittenAsItWasRead(t *testing.T) {
	t.Parallel()
	root := newRoot(streams{}, &globals{})
	keys := fileKeys(root)
	const arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:team-AbCdEf"
	cases := map[string][]appfile.Value{
		"env":          {{Key: "env", Texts: []string{"EMPTY=", "FLAG=true", "LINES=one\ntwo", "NUMBER=5", "URL=https://example.com/?a=b&c=d"}}},
		"secret":       {{Key: "secret", Texts: []string{"KEY=" + arn + ":key", "OLD=" + arn + ":key:AWSPREVIOUS:", "WHOLE=" + arn}}},
		"no check":     {{Key: "health-command", Texts: []string{"none"}}},
		"one and list": {{Key: "count", Texts: []string{"2"}}, {Key: "env", Texts: []string{"A=1"}}},
	}
	for _, row := range provision.Table() {
		one := []appfile.Value{{Key: row.Flag, Texts: []string{row.Example}}}
		if row.Flag == "https-port" { // which counts with HTTPS alone
			one = append([]appfile.Value{{Key: "domain", Texts: []string{"api.example.com"}}}, one...)
		}
		cases[row.Flag] = one
	}
	for name, said := range cases {
		text, err := appfile.Write("shop", said, keys)
		if err != nil {
			t.Fatal(err)
		}
		f, err := appfile.Parse("bookctl.yaml", text, keys)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		read, err := f.For("shop")
		if err != nil {
			t.Fatal(err)
		}
		var (
			u   upFlags
			cmd cobra.Command
			s   = provision.DefaultSettings()
		)
		u.add(cmd.Flags())
		for _, v := range read {
			for _, one := range v.Texts {
				if err := cmd.Flags().Set(v.Key, one); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		if err := u.env.read(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		u.applyTo(&s)
		again, err := appfile.Write("shop", valuesOf(s), keys)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(text), string(again)); diff != "" {
			t.Errorf("%s is read, and written as another file (-read +written):\n%s", name, diff)
		}
	}
	// What is a secret of the stack's own stays with it.
	var s provision.Settings
	s.GiveEnvironment(nil, map[string]string{"OWN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/environment-AbCdEf:OWN::1"}, nil)
	if own := s.OwnSecrets(); len(s.SecretOrigins()) != 0 || len(own) != 1 || own[0] != "OWN" {
		t.Errorf("of a secret that the stack keeps the file has %v, and it keeps %v", s.SecretOrigins(), own)
	}
}

func TestPathsInAFileAreRelativeToIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ path, key, text, want string }{
		{"bookctl.yaml", "source", ".", "."},
		{"deploy/bookctl.yaml", "source", "..", "."},
		{"deploy/bookctl.yaml", "dockerfile", "Dockerfile", "deploy/Dockerfile"},
		{"deploy/bookctl.yaml", "image", "docker-archive:app.tar:shop:1", "docker-archive:deploy/app.tar:shop:1"},
		{"deploy/bookctl.yaml", "image", "registry.example.com/shop:1", "registry.example.com/shop:1"},
		{"deploy/bookctl.yaml", "package", "./cmd/server", "./cmd/server"},
		{"deploy/bookctl.yaml", "source", filepath.ToSlash(t.TempDir()), ""},
	} {
		if c.want == "" {
			c.want = c.text
		}
		if got := inFile(c.path, c.key, c.text); strings.ReplaceAll(got, `\`, "/") != c.want {
			t.Errorf("%s: %s: %s is %s, want %s", c.path, c.key, c.text, got, c.want)
		}
	}
}
