package cli_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// exampleRun is an example of the help, as a shell runs it, in the order in which
// a user could.
type exampleRun struct {
	line string
	code int    // 0: it succeeds
	says string // in what it prints
}

// exampleRuns are all on one local cloud: the environment says --local and --yes.
var exampleRuns = []exampleRun{
	{line: "bookctl local start --faults faults.json --latencies aws --scale 0.01", says: "account 000000000000"},
	{line: "bookctl local stop --purge --yes", says: "stopped"},
	{line: "bookctl local start --throttle aws --throttle-neighbour 0.5", says: "account 000000000000"},
	{line: "bookctl local stop --purge --yes", says: "stopped"},
	{line: "bookctl local start", says: "account 000000000000"},
	{line: "bookctl version --output json", says: `"version"`},
	{line: "bookctl man man1 && man ./man1/bookctl-up.1", says: "bookctl-up"},
	{line: "bookctl policy > policy.json"},
	{line: "bookctl policy --stack staging --account 111122223333 --region eu-central-1", says: "111122223333"},
	{line: "bookctl policy --image 111122223333.dkr.ecr.eu-central-1.amazonaws.com/shop", says: "111122223333:repository/shop"},
	{line: "bookctl policy --vpc vpc-0123456789abcdef0", says: "vpc/vpc-0123456789abcdef0"},
	{line: "bookctl plan", code: 2, says: "to create"},
	{line: "bookctl up --local", says: "created"},
	{line: "curl $(bookctl up --local --quiet)/books", says: "["},
	{line: "bookctl up", says: "0 changed"},
	{line: `bookctl up --tag team=payments --tag cost-center=42`, says: "updated"},
	{line: "bookctl plan --count 2 --db-class db.t4g.small", code: 2, says: "count: 1 → 2"},
	{line: "bookctl plan --stack shop --cidr 10.20.0.0/16", code: 2, says: "create: 10.20.0.0/16"},
	{line: "bookctl status", says: "healthy"},
	{line: "bookctl status --output json | jq .healthy", says: "true"},
	{line: "bookctl up --alarm-email ops@example.com", says: "created"},
	{line: "bookctl alarm list", says: "no-healthy-target"},
	{line: `bookctl alarm list --output json | jq -r '.alarms[] | select(.state == "ALARM").name'`},
	{line: "bookctl alarm test", says: "failed-release        raised"},
	{line: "bookctl alarm test no-healthy-target", says: "raised and reset: sent to ops@example.com"},
	{line: "bookctl list", says: "book"},
	{line: "bookctl graph > stack.svg"},
	{line: "bookctl graph --format mermaid", says: "flowchart"},
	{line: "bookctl graph --format dot", says: "digraph"},
	{line: "bookctl events", says: "steady state"},
	{line: "bookctl events --output json", says: "happening"},
	{line: "bookctl logs --since 10m", says: "the database is ready"},
	{line: "bookctl logs --task 3f2a --output json", code: 1, says: "no task has an id that begins with 3f2a"}, // ids are of chance
	{line: "bookctl open", says: "http://localhost:"},
	{line: "bookctl open /docs", says: "/docs"},
	{line: "curl $(BROWSER= bookctl open)/books", says: "["},
	{line: "bookctl db", says: "sslmode=verify-full"},
	{line: "bookctl db psql"}, // with nothing on its standard input
	{line: "bookctl db psql -- --command 'select count(*) from books'", says: "1 row"},
	{line: "bookctl db dump books.dump", says: "Dumped the database to"},
	{line: "bookctl db load books.dump --clean --yes", says: "Loaded books.dump into the database"},
	{line: "bookctl db tunnel", says: "no tunnel is needed"},
	{line: "bookctl db tunnel --local-port 5433", says: "no tunnel is needed"},
	{line: "bookctl restart", says: "1 task of book-app:1 replaced, "},
	{line: "bookctl pause", says: "Paused, "},
	{line: "bookctl resume", says: "The stack serves, "},
	{line: "bookctl db rotate-password", says: "new password"},
	{line: "head -c 32 /dev/urandom | base64 | bookctl secret set SESSION_KEY", says: "all tasks were replaced"},
	{line: "bookctl secret list", says: "SESSION_KEY"},
	{line: "bookctl secret unset SESSION_KEY", says: "all tasks were replaced"},
	{line: "bookctl rollback", says: "secret SESSION_KEY: (none) → a value"}, // to the release before the unset
	{line: "bookctl rollback --to 5", code: 1, says: "next:"},                // there is none
	{line: "bookctl local aws rds describe-db-instances", says: "book-database"},
	{line: "bookctl run -- version", says: "bookapi "},
	{line: "bookctl local aws ecs list-clusters", says: "book-cluster"},
	{line: `eval "$(bookctl local env)"; aws ecs list-clusters`, says: "book-cluster"},
	{line: `eval "$(bookctl local env)"; aws rds describe-db-instances`, says: "book-database"},
	{line: "bookctl up --stack staging --count 2 --db-class db.t4g.small", says: "created"},
	{line: "bookctl destroy --stack staging --purge-snapshots --yes", says: " 0 left"},
	{line: "bookctl up --count 3 --spot", says: "updated"},
	{line: "bookctl local interrupt", says: "is taken back"},
	{line: "bookctl destroy", says: "a final snapshot taken"},
	{line: "bookctl db snapshots", says: "book-final-"},
	{line: "bookctl up --restore latest", says: "created"},
}

// onlyParsed are the examples that no local cloud can run, with the reason.
// TestEveryExampleInTheHelpCanBeTyped parses them like all others.
var onlyParsed = map[string]string{
	"bookctl list --region eu-central-1 --output json":                                          "needs an account: the local cloud is one region",
	"bookctl plan --price live --output json":                                                   "needs an account: AWS's price list",
	"bookctl up --image registry.example.com/bookapi@sha256:…":                                  "there is no such image",
	"bookctl up --db-version 18":                                                                "needs PostgreSQL 18; TestADatabaseIsUpgradedToAnotherMajorVersion upgrades to 15",
	"bookctl up --stack copy --restore arn:aws:rds:eu-west-1:444455556666:snapshot:books":       "there is no such snapshot; TestTheDataOfAnotherStackRegionOrAccountIsRestored creates one",
	"bookctl up --stack shop --vpc vpc-0123456789abcdef0":                                       "there is no such VPC; TestAStackLivesInAVPCThatItIsGiven creates one",
	"bookctl exec -- /bookapi -healthcheck":                                                     "needs an account, or an engine: a process takes no commands; TestACommandRunsInAContainer runs one",
	"bookctl exec --task 3f2a -- /bin/sh":                                                       "likewise",
	"bookctl run -- python manage.py migrate":                                                   "the books API has no Python; TestACommandRunsInATaskOfItsOwn runs commands",
	"bookctl run --detach -- ./report --month 2026-11":                                          "likewise",
	"bookctl secret set API_KEY":                                                                "asks on a terminal; TestATerminalIsAskedForASecret types",
	"bookctl secret set TLS_KEY --from-file key.pem":                                            "there is no such file; TestAStackKeepsSecretsOfItsOwn reads one",
	"bookctl logs --follow":                                                                     "ends by Ctrl-C only; TestWhatIsWatchedIsShownAsItHappens runs it",
	"bookctl status --watch":                                                                    "likewise",
	"bookctl ui":                                                                                "ends by Ctrl-C only; TestThePageShowsTheStackAsItChanges opens it",
	"bookctl ui --ui-port 8090 --interval 10s":                                                  "likewise",
	"bookctl local env --shell fish | source":                                                   "fish is not installed; TestAScriptIsPointedAtTheLocalCloud reads what is printed",
	"bookctl local start --region eu-central-1":                                                 "a region is for a new cloud; TestAStackGoesWhereFargateServes runs one",
	"bookctl policy --dir policies | ROLE=deployer sh":                                          "needs an account; the script policy looks at what is printed",
	"bookctl init --stack shop":                                                                 "writes a file of the directory that it is in; TestInitWritesWhatTheDirectoryHas runs it",
	"bookctl init --stack shop --deployed":                                                      "likewise",
	"bookctl init --stack shop --image ghcr.io/example/shop:1.2 --count 2 --env LOG_LEVEL=info": "there is no such image",
	"bookctl up --deploy canary:10%/5m":                                                         "the releases after it would take minutes; TestAReleaseIsACanaryFirst makes some",
	"bookctl policy --local > policy.json; bookctl local stop; bookctl local start --policy policy.json": "stops the cloud of the other examples; TestAMissingPermissionIsMetBeforeAWS runs it",
	"bookctl policy --permissions-boundary arn:aws:iam::111122223333:policy/limits":                      "needs no cloud; the script policy runs it",
	"bookctl policy --restore arn:aws:rds:eu-west-1:444455556666:snapshot:books":                         "needs no cloud; TestTheDataOfAnotherStackRegionOrAccountIsRestored runs it",
}

var (
	listedCommand = regexp.MustCompile(`(?m)^  ([a-z-]+) {2,}`)
	section       = func(name, help string) string {
		_, after, _ := strings.Cut(help, "\n"+name+":\n")
		text, _, _ := strings.Cut(after, "\n\n")
		return text
	}
)

// examples are those of the help of a command and of all below it.
func (s *shell) examples(command ...string) []string {
	s.t.Helper()
	help := s.must(append([]string{"help"}, command...)...)
	var out []string
	for line := range strings.Lines(section("Examples", help)) {
		line, _, _ = strings.Cut(line, "  # ")
		line, _, _ = strings.Cut(strings.TrimSpace(line), "   ")
		out = append(out, line)
	}
	for _, m := range listedCommand.FindAllStringSubmatch(section("Available Commands", help), -1) {
		if m[1] != "help" && m[1] != "completion" {
			out = append(out, s.examples(append(command[:len(command):len(command)], m[1])...)...)
		}
	}
	return out
}

func TestTheExamplesInTheHelpRun(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	needAWS(t)
	t.Parallel()
	source, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	s := newShell(t, "BOOKCTL_LOCAL=true", "BOOKCTL_YES=true", "BOOKCTL_SOURCE="+source, "BROWSER=", "AWS_PAGER=", "MANPAGER=cat")
	for i, v := range s.env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			s.env[i] = "PATH=" + filepath.Dir(program) + string(filepath.ListSeparator) + path
		}
	}
	work := t.TempDir()
	if err := os.WriteFile(filepath.Join(work, "faults.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, x := range exampleRuns {
		known[x.line] = true
	}
	shown := map[string]bool{}
	for _, line := range s.examples() {
		shown[line] = true
		if !known[line] && onlyParsed[line] == "" {
			t.Errorf("the help shows %q, which no test runs", line)
		}
	}
	for _, x := range exampleRuns {
		if !shown[x.line] {
			t.Errorf("the help does not show %q any more", x.line)
			continue
		}
		if missing := notInstalled(x.line); missing != "" {
			t.Logf("%s: %s is not installed here", x.line, missing)
			continue
		}
		cmd := exec.Command("sh", "-c", x.line)
		cmd.Dir, cmd.Env, cmd.WaitDelay = work, s.env, 5*1e9
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatalf("%s: %v", x.line, err)
		}
		if code := cmd.ProcessState.ExitCode(); code != x.code || !strings.Contains(string(out), x.says) {
			t.Errorf("%s: exit code %d, want %d and %q in\n%s", x.line, code, x.code, x.says, out)
		}
	}
}

// notInstalled is a program of an example, and not ours, that this machine lacks.
func notInstalled(line string) string {
	for _, name := range []string{"curl", "jq", "man"} {
		if !regexp.MustCompile(`(^|[|&] *)` + name + ` `).MatchString(line) {
			continue
		}
		if _, err := exec.LookPath(name); err != nil {
			return name
		}
	}
	return ""
}
