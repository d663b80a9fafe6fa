package appfile_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/appfile"
)

var keys = []appfile.Key{
	{Name: "image", Kind: appfile.Text}, {Name: "source", Kind: appfile.Text}, {Name: "count", Kind: appfile.Number, Example: "3"},
	{Name: "db-class", Kind: appfile.Text}, {Name: "db-version", Kind: appfile.Text}, {Name: "protect", Kind: appfile.Switch}, {Name: "command", Kind: appfile.Text},
	{Name: "env", Kind: appfile.List}, {Name: "secret", Kind: appfile.List},
}

func TestAStackIsOfWhatIsSaidForAllAndForIt(t *testing.T) {
	t.Parallel()
	f, err := appfile.Parse("bookctl.yaml", []byte(`# a comment
stack: staging
source: ./server
count: 1
db-version: 17.10
env: {LEVEL: debug, PORT: 80}
secret:
  API_KEY: arn:aws:secretsmanager:us-east-1:123456789012:secret:key-AbCdEf
base: &base
`+""), keys)
	if err == nil || !strings.Contains(err.Error(), "bookctl.yaml:9: there is no setting base") {
		t.Errorf("an unknown key: %v, %v", f, err)
	}
	f, err = appfile.Parse("bookctl.yaml", []byte(`stack: staging
source: ./server
count: 1
db-version: 17.10
env: {LEVEL: debug, PORT: 80}
secret:
  API_KEY: arn:aws:secretsmanager:us-east-1:123456789012:secret:key-AbCdEf
stacks:
  staging: &small
    protect: false
  production:
    <<: *small
    image: example.com/shop:1
    protect: true
    count: 3
    command: [serve, "--port=80"]
  empty:
`), keys)
	if err != nil {
		t.Fatal(err)
	}
	if f.Default() != "staging" || !slices.Equal(f.Stacks(), []string{"staging", "production", "empty"}) {
		t.Errorf("the default is %q of %v", f.Default(), f.Stacks())
	}
	secret := appfile.Value{Key: "secret", Texts: []string{"API_KEY=arn:aws:secretsmanager:us-east-1:123456789012:secret:key-AbCdEf"}, Line: 6}
	env := appfile.Value{Key: "env", Texts: []string{"LEVEL=debug", "PORT=80"}, Line: 5}
	version := appfile.Value{Key: "db-version", Texts: []string{"17.10"}, Line: 4}
	for stack, want := range map[string][]appfile.Value{
		"staging": {{Key: "source", Texts: []string{"./server"}, Line: 2}, {Key: "count", Texts: []string{"1"}, Line: 3}, version, env, secret, {Key: "protect", Texts: []string{"false"}, Line: 10}},
		"production": {version, env, secret, {Key: "image", Texts: []string{"example.com/shop:1"}, Line: 13}, {Key: "protect", Texts: []string{"true"}, Line: 14},
			{Key: "count", Texts: []string{"3"}, Line: 15}, {Key: "command", Texts: []string{`["serve","--port=80"]`}, Line: 16}},
		"empty": {{Key: "source", Texts: []string{"./server"}, Line: 2}, {Key: "count", Texts: []string{"1"}, Line: 3}, version, env, secret},
	} {
		got, err := f.For(stack)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v, -want +got:\n%s", stack, err, diff)
		}
	}
	if _, err := f.For("other"); err == nil || !strings.Contains(err.Error(), "bookctl.yaml has no stack other, but staging, production, empty") {
		t.Errorf("another stack: %v", err)
	}
}

func TestWhatCantBeMeantIsRefusedWithItsLine(t *testing.T) {
	t.Parallel()
	const secret = "hunter2hunter2"
	for text, want := range map[string]string{
		"cuont: 1":                                  "bookctl.yaml:1: there is no setting cuont: did you mean count?",
		"dbClass: db.t4g.small":                     "did you mean db-class?",
		"image: a\ncount: many":                     `bookctl.yaml:2: count: "many" is not a whole number`,
		"count: 1.5":                                "not a whole number",
		"count: 1\ncount: 2":                        "bookctl.yaml:2: count appears twice",
		"protect: maybe":                            "is not true or false",
		"count:":                                    "count has no value",
		"count: [1]":                                "count: give a whole number",
		"env: x\ncount: {a: 1}":                     "bookctl.yaml:2: count: give a whole number",
		"- count: 1":                                "keys with values are expected here",
		"count: 1\n---\ncount: 2":                   "more than one document",
		"a: [":                                      "bookctl.yaml: ",
		"stacks:\n  a:\n    stack: b":               "bookctl.yaml:3: stack is allowed only at the top level",
		"stacks:\n  a: {}\n  a: {}":                 "stack a appears twice",
		"stacks:\n  a: {cuont: 1}":                  "bookctl.yaml:2: there is no setting cuont",
		"stack: c\nstacks: {a: , b: }":              "stack c is not among its stacks: a, b",
		"db-password: " + secret:                    "bookctl.yaml:1: db-password: a file that is committed holds no secrets",
		"apiToken: " + secret:                       "holds no secrets",
		"secret:\n  API_KEY: " + secret:             "bookctl.yaml:2: secret: API_KEY: a file that is committed holds no secrets",
		"secret: [API_KEY=" + secret + "]":          "holds no secrets",
		"env:\n  DB_PASSWORD: " + secret:            "bookctl.yaml:2: env: DB_PASSWORD: a file that is committed holds no secrets; 'bookctl secret set DB_PASSWORD' stores one in Secrets Manager, and secret: {DB_PASSWORD: ARN} names",
		"env: [DB_PASSWORD=" + secret + "]":         "holds no secrets",
		"env: {URL: postgres://u:" + secret + "@h}": "contains a password or key",
		"image: AKIAABCDEFGHIJKLMNOP":               "contains a password or key: a file that is committed holds no secrets; 'bookctl secret set NAME'",
	} {
		_, err := appfile.Parse("bookctl.yaml", []byte(text), keys)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v, want %q and no secret", text, err, want)
		}
	}
	if _, err := appfile.Parse("bookctl.yaml", []byte("cuont: 1\nprotect: 7\n"), keys); err == nil || len(strings.Split(err.Error(), "\n")) != 2 {
		t.Errorf("two faults: %v", err)
	}
	for _, text := range []string{
		"", "# nothing\n", "stacks:\n",
		// They are called like secrets, and are none.
		"env: {MAX_TOKENS: 4096, TOKENIZERS_PARALLELISM: false, PASSWORD_RESET_TTL: \"3600\", TOKEN_SHARE: 0.5, PASSWORD: \"\"}", "env: [MAX_TOKENS=4096, TOKENIZERS_PARALLELISM=false, PASSWORD_RESET_TTL=3600]",
	} {
		if _, err := appfile.Parse("bookctl.yaml", []byte(text), keys); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	t.Parallel()
	values := []appfile.Value{
		{Key: "image", Texts: []string{"oci:a b"}}, {Key: "count", Texts: []string{"3"}}, {Key: "db-version", Texts: []string{"17"}}, {Key: "protect", Texts: []string{"true"}},
		{Key: "command", Texts: []string{`["a b","c: d #e"]`}}, {Key: "env", Texts: []string{"A=1", "B=x=y"}},
	}
	text, err := appfile.Write("shop", values, keys)
	if err != nil {
		t.Fatal(err)
	}
	f, err := appfile.Parse("bookctl.yaml", text, keys)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	got, err := f.For("shop")
	for i := range got {
		got[i].Line = 0
	}
	if diff := cmp.Diff(values, got); err != nil || diff != "" || f.Stack != "shop" || !strings.HasPrefix(string(text), "# yaml-language-server: $schema=") {
		t.Errorf("%v, -want +got:\n%s in\n%s", err, diff, text)
	}
}
