package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/provision"
)

// appFile writes a bookctl.yaml into a directory.
func appFile(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "bookctl.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestAFileThatCantBeMeantIsRefusedBeforeAnyCloudIsAsked(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	dir := t.TempDir()
	appFile(t, dir, "stack: shop\ncuont: 2\ndb-password: hunter2\n")
	for _, command := range []string{"up", "plan", "status", "destroy", "logs"} {
		r := s.in(dir, command, "--local")
		r.says(t, 64, "bookctl.yaml:2: there is no setting cuont: did you mean count?", "bookctl.yaml:3: db-password: a file that is committed holds no secrets", "'bookctl secret set NAME --local' stores one", "next: fix bookctl.yaml: its keys are the flags of up, which 'bookctl up --help")
		if strings.Contains(r.err, "hunter2") {
			t.Errorf("%s shows the secret:\n%s", command, r.err)
		}
	}
	if r := s.in(dir, "version"); r.code != 0 {
		t.Errorf("version: exit code %d\n%s", r.code, r.err)
	}
	appFile(t, dir, "stacks:\n  staging: {cpu: 300}\n  production: {}\n")
	s.in(dir, "status", "--local").says(t, 64, "bookctl.yaml has several stacks: staging, production", "next: choose one with --stack")
	s.in(dir, "status", "--local", "--stack", "other").says(t, 64, "bookctl.yaml has no stack other, but staging, production")
	s.in(dir, "up", "--local", "--stack", "staging").says(t, 64, "cpu 300: Fargate takes 256, 512")
	s.in(dir, "status", "--local", "--file", "nowhere.yaml").says(t, 64, "read the file of the app", "'bookctl init")
	appFile(t, dir, "count: 99999999999\n")
	s.in(dir, "plan", "--local").says(t, 64, `bookctl.yaml:1: count "99999999999": give a smaller number`)
}

func TestInitWritesWhatTheDirectoryHas(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	module := shop(t, "hello")
	s.in(module, "init", "--stack", "shop").says(t, 0, "bookctl.yaml is written", "'bookctl plan")
	written := func(dir string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, "bookctl.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		first, rest, _ := strings.Cut(string(text), "\n")
		if !strings.HasPrefix(first, "# yaml-language-server: $schema=https://") {
			t.Errorf("the file begins with %s", first)
		}
		return rest
	}
	if got, want := written(module), "stack: shop\nsource: .\npackage: ./cmd/server\n"; got != want {
		t.Errorf("of a module init writes\n%s, want\n%s", got, want)
	}
	s.in(module, "init").says(t, 64, "bookctl.yaml exists already", "--force")
	docker := t.TempDir()
	if err := os.WriteFile(filepath.Join(docker, "Dockerfile"), []byte("FROM scratch\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.in(docker, "init", "--stack", "web", "--region", "eu-west-1").says(t, 0, "bookctl.yaml is written")
	if got, want := written(docker), "stack: web\nregion: eu-west-1\ndockerfile: Dockerfile\n"; got != want {
		t.Errorf("of a Dockerfile init writes\n%s, want\n%s", got, want)
	}
	s.in(docker, "init", "--force", "--image", "ghcr.io/example/web:1.2").says(t, 0, "bookctl.yaml is written")
	if got, want := written(docker), "stack: book\nimage: ghcr.io/example/web:1.2\n"; got != want {
		t.Errorf("of an image init writes\n%s, want\n%s", got, want)
	}
	// What up takes, init writes.
	file := filepath.Join(docker, "app.env")
	if err := os.WriteFile(file, []byte("A=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.in(docker, "init", "--force", "--stack", "web", "--count", "2", "--env", "LEVEL=info", "--env", "MODE=a b", "--env", "LEVEL=debug", "--env-file", "app.env", "--read-only-root",
		"--secret", "API=arn:aws:ssm:us-east-1:123456789012:parameter/api", "--health-path", "/up").says(t, 0, "bookctl.yaml is written; 'bookctl plan' shows what it would deploy")
	if got, want := written(docker), `stack: web
dockerfile: Dockerfile
health-path: /up
read-only-root: true
count: 2
env:
  MODE: a b
  LEVEL: debug
env-file:
  - app.env
secret:
  API: arn:aws:ssm:us-east-1:123456789012:parameter/api
`; got != want {
		t.Errorf("of flags init writes\n%s, want\n%s", got, want)
	}
	s.in(docker, "init", "--force", "--cpu", "300").says(t, 64, "cpu 300: Fargate takes 256, 512")
	if r := s.in(docker, "init", "--force", "--env", "DB_PASSWORD=hunter2"); r.code == 0 || strings.Contains(r.err, "hunter2") {
		t.Errorf("a secret as a variable: exit code %d\n%s", r.code, r.err)
	}
	s.in(t.TempDir(), "init").says(t, 1, "there is no Go module in")
}

// postgresHere is the major version of PostgreSQL that the local cloud has here.
func postgresHere(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("psql", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, version, _ := strings.Cut(string(out), ") ")
	major, _, _ := strings.Cut(version, ".")
	return major
}

// TestAFileIsDeployedAndReadBack deploys what a file says, and writes the file anew of
// what is deployed.
func TestAFileIsDeployedAndReadBack(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	s.must("local", "start")
	boundary := done[*iam.CreatePolicyOutput](t)(iam.NewFromConfig(s.config()).CreatePolicy(t.Context(), &iam.CreatePolicyInput{
		PolicyName: aws.String("limits"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`),
	})).Policy
	secret := s.createSecret("team/key", `{"key":"hidden-of-json"}`)
	module := shop(t, "hello")
	port := strconv.Itoa(int(openPort(t)))
	text := `# yaml-language-server: $schema=https://raw.githubusercontent.com/bookctl/bookctl/main/docs/bookctl.schema.json
stack: shop
source: .
package: ./cmd/server
cpu: 512
memory: 2048
container-port: 3000
health-path: /up
health-status: 200,204
health-grace: 20
health-command: none
command: serve --loud 'two words'
release-command: migrate
release-timeout: 90
user: 1000:1000
read-only-root: true
ephemeral-storage: 30
stop-timeout: 20
idle-timeout: 30
port: ` + port + `
count: 2
max: 3
min: 1
spot: true
spot-base: 2
db-class: db.t4g.small
db-storage: 30
db-max-storage: 60
db-version: "` + postgresHere(t) + `"
db-name: orders
db-user: clerk
db-env: location=endpoint,pw=password
db-multi-az: true
db-insights: true
backup-days: 3
protect: true
log-days: 30
cidr: 10.20.0.0/16
outgoing-ports: 587,6379,8000-8100
exec: true
alarm-email: ops@example.com
deploy: canary:10%/5m:10m
task-policies: arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess
permissions-boundary: ` + *boundary.Arn + `
env:
  LEVEL: debug
  NUMBER: "5"
  TEXT: two words
secret:
  API: ` + secret + `:key
`
	// What is not in it is in TestEachSettingIsWrittenAsItWasRead alone.
	elsewhere := map[string]string{
		"image": "there is a source", "dockerfile": "there is no builder", "registry-secret": "it goes with an image", "arch": "it is this machine's",
		"domain": "it needs a zone", "certificate": "it needs one", "https-port": "it goes with them", "no-database": "there is one",
		"vpc": "the stack has one of its own", "subnets": "they go with one that is given", "db-subnets": "likewise",
		"alarm-topic": "there is an address", "sticky": "a canary divides the requests",
	}
	for _, row := range provision.Table() {
		if here := strings.Contains(text, "\n"+row.Flag+": "); here == (elsewhere[row.Flag] != "") {
			if here {
				t.Errorf("setting %s is in the file, and elsewhere says that it is not: %q", row.Flag, elsewhere[row.Flag])
			} else {
				t.Errorf("setting %s is neither in the file above nor in elsewhere: add it to one of them", row.Flag)
			}
		}
	}
	appFile(t, module, text)
	before := s.inventory()
	r := s.in(module, "plan", "--local")
	if r.says(t, 2); t.Failed() {
		t.FailNow()
	}
	for _, want := range []string{"Stack shop in ", "count              2 ", "from bookctl.yaml:22", "port               " + port + "  "} {
		if !strings.Contains(strings.Join(strings.Fields(r.out), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("plan does not say %q:\n%s", want, r.out)
		}
	}
	var plan struct {
		Settings []struct {
			Flag, Source string
			Then         any
		}
	}
	s.env = append(s.env, "BOOKCTL_COUNT=3")
	decode(t, s.in(module, "plan", "--local", "--cpu", "1024", "--output", "json").out, &plan)
	s.env = s.env[:len(s.env)-1]
	for flag, want := range map[string]string{"--cpu": "--cpu", "--count": "BOOKCTL_COUNT", "--memory": "bookctl.yaml:6", "--arch": "default", "--container-port": "bookctl.yaml:7"} {
		if i := slices.IndexFunc(plan.Settings, func(s struct {
			Flag, Source string
			Then         any
		},
		) bool {
			return s.Flag == flag
		}); i < 0 || plan.Settings[i].Source != want {
			t.Errorf("%s is from %+v, want %s", flag, plan.Settings[max(i, 0)], want)
		}
	}
	if after := s.inventory(); !slices.Equal(before, after) {
		t.Errorf("plan left %v", after)
	}
	s.in(module, "up", "--local").says(t, 0, "stack shop in ")
	s.in(module, "up", "--local").says(t, 0, "Up to date", "0 changed")
	greets(t, "http://localhost:"+port, "hello")
	if r := s.in(module, "status", "--local"); r.code != 0 || !strings.Contains(r.out, "Stack shop in") {
		t.Errorf("status: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	s.in(module, "init", "--local", "--deployed", "--force").says(t, 0, "bookctl.yaml is written")
	got, err := os.ReadFile(filepath.Join(module, "bookctl.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text, string(got)); diff != "" {
		t.Errorf("read back it is another file (-written +read back):\n%s", diff)
	}
	// The file comes before what is deployed, and a flag before the file.
	appFile(t, module, strings.Replace(text, "count: 2\n", "count: 1\n", 1))
	if r := s.in(module, "plan", "--local"); !strings.Contains(r.out, "count: 2 → 1") {
		t.Errorf("the file does not come before what is deployed:\n%s%s", r.out, r.err)
	}
	s.in(module, "up", "--local", "--count", "2").says(t, 0, "0 changed")
	s.in(module, "up", "--local", "--count", "2", "--protect=false").says(t, 0)
	s.in(module, "destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, "deleted")
}

// TestAPlanNeedsNoLocalCloud plans before the first up has started one, and leaves none.
func TestAPlanNeedsNoLocalCloud(t *testing.T) {
	t.Parallel()
	s := newShell(t, "TMPDIR="+t.TempDir())
	module := shop(t, "hello")
	r := s.in(module, "plan", "--local", "--stack", "shop")
	if r.code != 2 || !strings.Contains(r.out, "Stack shop in the local cloud, which 'bookctl up --local --stack shop' starts") || !strings.Contains(r.out, "+ database ") {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.err)
	}
	appFile(t, module, "stack: notes\ncount: 2\n")
	s.in(module, "plan", "--local", "--stack", "shop").says(t, 2, "note: bookctl.yaml is the file of stack notes, and stack shop takes the settings in it too; --file names another file")
	if r := s.in(module, "plan", "--local"); strings.Contains(r.err, "is the file of stack") {
		t.Errorf("of the file's own stack plan says:\n%s", r.err)
	}
	s.in(module, "status", "--local").says(t, 3, "the local cloud is not running")
	if left, err := filepath.Glob(filepath.Join(strings.TrimPrefix(s.env[len(s.env)-1], "TMPDIR="), "bookctl-plan-*")); len(left) > 0 || err != nil {
		t.Errorf("the plan left %v %v", left, err)
	}
}
