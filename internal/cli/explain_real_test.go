package cli_test

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/google/go-cmp/cmp"
)

// changing are the parts of a message that differ from run to run.
var changing = []struct {
	pattern *regexp.Regexp
	to      string
}{
	{regexp.MustCompile(`(127\.0\.0\.1|localhost):\d\d\d+`), "HOST:PORT"},
	{regexp.MustCompile(`127\.\d+\.\d+\.\d+:1 \(127\.\d+\.\d+\.\d+\): dial error: dial tcp 127\.\d+\.\d+\.\d+:1`), "DATABASE:1: dial error: dial tcp DATABASE:1"},
	{regexp.MustCompile(`[0-9a-f]{64}`), "DIGEST"},
	{regexp.MustCompile(`[0-9a-f]{32}`), "TASK"},
	{regexp.MustCompile(`--[Tt]ask [0-9a-f]{8}`), "--task TASK8"},
	{regexp.MustCompile(`[Tt]ask [0-9a-f]{8}`), "Task TASK8"},
	{regexp.MustCompile(`after \d+ s`), "after N s"},
	{regexp.MustCompile(`RequestID: [0-9a-f-]+`), "RequestID: ID"},
	{regexp.MustCompile(`loadbalancer/app/book-lb/[0-9a-f]+`), "loadbalancer/app/book-lb/ID"},
	{regexp.MustCompile(`targetgroup/book-tasks/[0-9a-f]+`), "targetgroup/book-tasks/ID"},
	{regexp.MustCompile(`ecs-svc/\d+`), "ecs-svc/N"},
	{regexp.MustCompile(`secret:book/database-\w+`), "secret:book/database-ID"},
	{regexp.MustCompile(`vpc-[0-9a-f]+`), "vpc-ID"},
	{regexp.MustCompile(`--source [^'\s]+`), "--source DIR"},
	{regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d .*\n`), ""}, // the report of the run
	// EC2 has words of its own for expired credentials, and which service is called first after they expire differs.
	{regexp.MustCompile(`Request has expired\.`), "The security token included in the request is expired"},
}

// explainedAs holds what a failed command said at its end against a golden file.
// UPDATE_SCRIPTS=1 writes it anew, for a person to look at.
func explainedAs(t *testing.T, name string, r result, code int) {
	t.Helper()
	if r.code != code {
		t.Errorf("%s: exit code %d, want %d\n%s%s", name, r.code, code, r.out, r.err)
	}
	got := r.err
	for _, c := range changing {
		got = c.pattern.ReplaceAllString(got, c.to)
	}
	file := filepath.Join("testdata", "failures", name+".golden")
	if os.Getenv("UPDATE_SCRIPTS") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-golden +printed):\n%s", name, diff)
	}
}

// faults switches what goes wrong in this shell's cloud.
func (s *shell) faults(json string) {
	s.t.Helper()
	var info struct{ Endpoint string }
	decode(s.t, s.must("local", "status", "--output", "json"), &info)
	if code, body := call(s.t, http.MethodPut, info.Endpoint+"/_bookctl/faults", json); code >= 300 {
		s.t.Fatalf("set faults: %d %s", code, body)
	}
}

// badSource is bookapi with something wrong: code that runs when it starts, and
// a word of its routes replaced.
func badSource(t *testing.T, code, word, by string) string {
	t.Helper()
	dir := changedSource(t)
	text := "package main\n\nimport (\n\t\"os\"\n\t\"runtime\"\n)\n\nfunc init() {\n\t_, _ = os.Args, runtime.GOOS\n" + code + "\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "cmd/bookapi/changed.go"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	routes := filepath.Join(dir, "internal/api/routes.go")
	was, err := os.ReadFile(routes)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(routes, []byte(replaced(string(was), word, by)), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// underBadReleases brings one bad release after another to a stack under load:
// each fails, is explained, and costs no request.
func underBadReleases(t *testing.T, releases func(s *shell, bad func(name string, args ...string))) {
	t.Helper()
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	load := startLoad(t, s.up()+"/books", 2, 20*time.Millisecond) // for minutes
	digest := regexp.MustCompile(`sha256:[0-9a-f]{64}`).FindString(s.must("status", "--local"))
	releases(s, func(name string, args ...string) {
		t.Helper()
		explainedAs(t, name, s.run(append([]string{"up", "--local", "--quiet"}, args...)...), 1)
	})
	load.unharmed(t)
	r := s.run("status", "--local")
	if r.code != 0 || !strings.Contains(r.out, "book-app:1, rollout") || !strings.Contains(r.out, " never became healthy, and ECS went back to this one") ||
		!strings.Contains(r.out, digest+", pushed ") || strings.Contains(r.out, "Drift      service") {
		t.Errorf("status after it all, which began with image %s: exit code %d\n%s%s", digest, r.code, r.out, r.err)
	}
	r = s.run("status", "--local", "--output", "json")
	if r.code != 0 || !strings.Contains(r.out, digest) || !strings.Contains(r.out, `"failed":true`) {
		t.Errorf("status as JSON: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	r = s.run("plan", "--local", "--image", "127.0.0.1:1/other@sha256:"+strings.Repeat("1", 64))
	for _, want := range []string{digest + " → 127.0.0.1:1/other@", "book-app:1 → the new revision", " never became healthy; the change is from what serves"} {
		if r.code != 2 || !strings.Contains(r.out, want) {
			t.Errorf("plan does not say %q: exit code %d\n%s%s", want, r.code, r.out, r.err)
		}
	}
	r = s.run("rollback", "--local")
	if r.code != 0 || !strings.Contains(r.err, "revision 1, the one before, serves") {
		t.Errorf("rollback where nothing is to be done: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	r = s.run("rollback", "--local", "--output", "json")
	if err := fitsSchema(r.out); err != nil || r.code != 0 || !strings.Contains(r.out, `"type":"result"`) {
		t.Errorf("the same as JSON: exit code %d, %v\n%s%s", r.code, err, r.out, r.err)
	}
	takenBack(s, digest)
}

// takenBack deploys the source of what serves again, after releases that failed: no
// task is replaced for it, and nothing of the failed ones is left to come back.
func takenBack(s *shell, digest string) {
	s.t.Helper()
	if r := s.run("plan", "--local", "--source", "."); r.code != 2 || !strings.Contains(r.out, " never became healthy, and is withdrawn: what serves is what is wanted") ||
		strings.Contains(r.out, "    task-definition: ") {
		s.t.Errorf("plan of what serves: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	serving := func() map[int]string {
		tasks := s.tasks(s.t)
		maps.DeleteFunc(tasks, func(_ int, line string) bool { return !strings.Contains(line, strings.TrimPrefix(digest, "sha256:")) })
		return tasks
	}
	before := serving()
	s.must("up", "--local", "--quiet", "--source", ".")
	if after := serving(); len(before) == 0 || !maps.Equal(before, after) {
		s.t.Errorf("up of what serves replaced tasks: %v, then %v", before, after)
	}
	if r := s.run("status", "--local"); r.code != 0 || !strings.Contains(r.out, "book-app:1, rollout") || !strings.Contains(r.out, digest) || strings.Contains(r.out, "never became healthy") {
		s.t.Errorf("status after that: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if r := s.run("plan", "--local"); r.code != 0 {
		s.t.Errorf("plan after that: exit code %d\n%s%s", r.code, r.out, r.err)
	}
}

// panics is code that ends bookapi among many goroutines, each with its trace.
const panics = `	if len(os.Args) > 1 {
		return
	}
	for range 50 {
		go func() { select {} }()
	}
	runtime.Gosched()
	println("error: the shelf is empty")
	var shelf map[string]int
	shelf["Dune"]++`

func TestAReleaseThatNeverStartsIsExplainedAndTheOldOneServesOn(t *testing.T) {
	underBadReleases(t, func(s *shell, bad func(string, ...string)) {
		bad("unpullable", "--image", "127.0.0.1:1/nothing@sha256:"+strings.Repeat("0", 64))
		bad("crash", "--image", "build", "--source", badSource(t, "\tif len(os.Args) == 1 {\n\t\tprintln(\"bookapi: GREETING is not set\")\n\t\tos.Exit(3)\n\t}", "", ""))
		r := s.run("rollback", "--local", "--to", "3")
		r.says(t, 1, "revision 3 is not known to have ever been healthy; if it is not now, ECS goes back to revision 1", "Revision 3 never became healthy")
		if !strings.Contains(r.err, "go to another release with 'bookctl rollback --local --to N'") || strings.Contains(r.err, "fix it") {
			t.Errorf("what is next after a rollback that failed:\n%s", r.err)
		}
		bad("panic", "--source", badSource(t, panics, "", ""))
		bad("secret-denied", "--source", changedSource(t), "--permissions-boundary", "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy")
	})
}

func TestAReleaseThatFailsItsHealthCheckIsExplainedAndTheOldOneServesOn(t *testing.T) {
	underBadReleases(t, func(_ *shell, bad func(string, ...string)) {
		bad("unhealthy", "--source", badSource(t, "", "/startupz", "/elsewhere"))
	})
}

func TestAReleaseThatCannotReachTheDatabaseIsExplainedAndTheOldOneServesOn(t *testing.T) {
	underBadReleases(t, func(_ *shell, bad func(string, ...string)) {
		bad("database", "--source", badSource(t, "\t_ = os.Setenv(\"DB_PORT\", \"1\")", "", ""))
	})
}

// TestWhatStopsANewStackIsExplained fails for real in the ways that need no
// service.
func TestWhatStopsANewStackIsExplained(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	s.must("local", "start")
	up := func(name string, code int, args ...string) {
		t.Helper()
		explainedAs(t, name, s.run(append([]string{"up", "--local", "--quiet"}, args...)...), code)
	}
	up("wrong-account", 64, "--account", "111122223333")
	up("wrong-region", 64, "--region", "eu-central-1")
	s.faults(`{"zonesWithoutClass": {"us-east-1a": ["*"], "us-east-1b": ["*"], "us-east-1c": ["*"], "us-east-1d": ["*"], "us-east-1e": ["*"], "us-east-1f": ["*"]}}`)
	up("no-capacity", 1, "--db-version", "15")
	s.faults(`{"errors": {"rds:CreateDBInstance": {"code": "FreeTierRestrictionError",
		"message": "The specified backup retention period exceeds the maximum available to free tier customers. To remove all limitations, upgrade your account plan."}}}`)
	up("free-plan", 1)
	// What an up got to before it was refused is there, and is not reported as missing.
	s.faults(`{"deny": ["rds:CreateDBInstance"]}`)
	if r := s.run("up", "--local"); r.code != 4 {
		t.Errorf("up without the right to make a database: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if r := s.run("status", "--local"); r.code != 3 || !strings.Contains(r.out, "database is missing") || strings.Contains(r.out, "image is missing") {
		t.Errorf("status of half a stack: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	s.faults(`{"deny": ["ecs:CreateService"]}`)
	up("access-denied", 4)
	s.faults(`{}`)
	s.createRepository("other/app")
	up("name-taken", 1, "--stack", "other")
	for range 3 {
		done[*ec2.CreateVpcOutput](t)(ec2.NewFromConfig(s.config()).CreateVpc(t.Context(), &ec2.CreateVpcInput{CidrBlock: aws.String("10.1.0.0/16")}))
	}
	up("quota", 1, "--stack", "third")
	s.faults(`{"expireAfter": 12}`)
	up("expired", 4)
	s.faults(`{}`)
	s.up("--protect", "--wait=false")
	explainedAs(t, "protected", s.run("destroy", "--local", "--yes", "--quiet"), 1)
	s.up("--protect=false", "--wait=false")
	s.must("destroy", "--local", "--yes", "--quiet")
}

// TestFailuresAreExplained meets what can't be changed in place, somebody else's
// thing of the stack's name, and AWS's own protection against deletion.
func TestFailuresAreExplained(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up(append(imageless(), "--db-storage", "30")...)
	plan := func(name string, args ...string) {
		t.Helper()
		r := s.run(append([]string{"plan", "--local"}, args...)...)
		explainedAs(t, name, result{err: r.out + r.err, code: r.code}, 1)
	}
	plan("plan-blocked", "--db-storage", "20", "--count", "2")
	explainedAs(t, "refused", s.run("up", "--local", "--quiet", "--db-storage", "20", "--count", "2"), 1)
	s.createRepository("other/app")
	plan("plan-unmanaged", append(imageless()[1:], "--stack", "other")...)

	h.modify(rds.ModifyDBInstanceInput{DeletionProtection: aws.Bool(true)})
	explainedAs(t, "protected-by-hand", s.run("destroy", "--local", "--yes", "--quiet"), 1)
	h.modify(rds.ModifyDBInstanceInput{DeletionProtection: aws.Bool(false)})
	h.must(ok(elb.NewFromConfig(h.Config).ModifyLoadBalancerAttributes(t.Context(), &elb.ModifyLoadBalancerAttributesInput{
		LoadBalancerArn: s.balancer(), Attributes: []elbtypes.LoadBalancerAttribute{{Key: aws.String("deletion_protection.enabled"), Value: aws.String("true")}},
	})))
	explainedAs(t, "protected-balancer", s.run("destroy", "--local", "--yes", "--quiet"), 1)
}

// TestAStoppedDatabaseIsDrift stops the database of a stack that nobody paused, and up
// starts it again.
func TestAStoppedDatabaseIsDrift(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	s.up(imageless()...)
	s.stopDatabase()
	until(t, "the database is stopped", func() bool { return strings.Contains(s.run("status", "--local").out, "Database   stopped") })
	r := s.run("status", "--local")
	for _, want := range []string{": not healthy", "database: state: stopped → running", "'bookctl up --local' repairs it", "  - the database is stopped\n"} {
		if r.code != 3 || !strings.Contains(r.out, want) {
			t.Errorf("status of a stopped database does not say %q: exit code %d\n%s%s", want, r.code, r.out, r.err)
		}
	}
	if strings.Contains(r.out, "paused") {
		t.Errorf("status calls a stack paused that is not:\n%s", r.out)
	}
	r = s.run("plan", "--local", "--count", "2")
	for _, want := range []string{"~ database ", "state: stopped → running", "~ service ", "count: 1 → 2", ", 0 blocked"} {
		if r.code != 2 || !strings.Contains(r.out, want) {
			t.Errorf("plan alongside a stopped database does not say %q: exit code %d\n%s%s", want, r.code, r.out, r.err)
		}
	}
	s.up("--wait=false")
	if r := s.run("status", "--local"); !strings.Contains(r.out, "Database   available") || strings.Contains(r.out, "database: state: ") {
		t.Errorf("up leaves a stopped database:\n%s%s", r.out, r.err)
	}

	// Without the load balancer nothing shows which port its group is to let in.
	s.deleteBalancer()
	if r := s.run("status", "--local"); r.code != 3 || !strings.Contains(r.out, "load-balancer is missing") || strings.Contains(r.out, "sg-load-balancer") {
		t.Errorf("status without the load balancer: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	s.must("destroy", "--local", "--yes", "--quiet", "--purge-snapshots")
}

func replaced(text, word, by string) string {
	if word == "" {
		return text
	}
	return strings.ReplaceAll(text, word, by)
}

// TestStatusAsksTheServiceForItsDatabase: the health check of a task does not, since an
// outage of the database must not recycle every task.
func TestStatusAsksTheServiceForItsDatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	s.up()
	s.stopDatabase()
	until(t, "the service says that it can't serve", func() bool {
		var status struct {
			Answer struct {
				Path  string
				Ready bool
				Code  int
			}
		}
		r := s.run("status", "--local", "--output", "json")
		decode(t, r.out, &status)
		return r.code == 3 && status.Answer.Path == "/readyz" && !status.Answer.Ready && status.Answer.Code == 503
	})
	s.must("destroy", "--local", "--yes", "--quiet", "--purge-snapshots")
}
