package cli_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// versioned is a program that answers its version, in one of the ways that a release can
// go wrong.
type versioned struct{ dir string }

func newVersioned(t *testing.T) versioned {
	t.Helper()
	v := versioned{t.TempDir()}
	if err := os.WriteFile(filepath.Join(v.dir, "go.mod"), []byte("module example.com/app\n\ngo 1.26\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return v
}

// is writes the program: main begins with what is given.
func (v versioned) is(t *testing.T, version, begin string) {
	t.Helper()
	text := `package main

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

var _ time.Duration

func main() {
	broken := false
	` + begin + `
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if broken && r.URL.Path != "/healthz" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprint(w, "` + version + `")
	})
	fmt.Println(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
}
`
	if err := os.WriteFile(filepath.Join(v.dir, "main.go"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// answers expects a version for each of many requests.
func (v versioned) answers(t *testing.T, url, version string) {
	t.Helper()
	for range 20 {
		if code, body := call(t, http.MethodGet, url, ""); body != version {
			t.Fatalf("%d %q answers, and not %s", code, body, version)
		}
	}
}

// shiftingNow waits until status shows a release with a share of the requests.
func shiftingNow(t *testing.T, s *shell) {
	t.Helper()
	shiftedBy(t, s, 25)
}

// shiftedBy waits until that share of the requests goes to the new release.
func shiftedBy(t *testing.T, s *shell, percent float64) {
	t.Helper()
	until(t, "requests go to the new release", func() bool {
		var status struct {
			Service struct {
				Shifting *struct {
					Stage   string
					Percent float64
				}
			}
		}
		r := s.run("status", "--local", "--output", "json")
		if err := json.Unmarshal([]byte(r.out), &status); err != nil {
			t.Fatalf("%v: %s%s", err, r.out, r.err)
		}
		x := status.Service.Shifting
		return x != nil && x.Stage == "PRODUCTION_TRAFFIC_SHIFT" && x.Percent == percent
	})
}

// TestAReleaseIsACanaryFirst takes a stack through a release that is good, one that is
// taken back by hand while its run waits, one whose run is killed, and one whose tasks
// don't come up; under load, of which no request fails.
func TestAReleaseIsACanaryFirst(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, app := newShell(t), newVersioned(t)
	app.is(t, "v1", "")
	s.must("local", "start", "--scale", "0.02")
	url := s.up("--no-database", "--source", app.dir, "--count", "2", "--deploy", "canary:25%/5m:1m")
	s.run("status", "--local").shows(t, 0, ": healthy")
	s.run("plan", "--local").shows(t, 0, "a release by canary:25%/5m:1m takes 6 min beyond the start of its tasks, with up to twice the tasks")
	load := startLoad(t, url, 4, 15*time.Millisecond)
	serves := func(version string) {
		t.Helper()
		app.answers(t, url, version)
	}

	// A listener that somebody has forward to one group alone gets both again, and the
	// requests go on to that with the tasks: the second, where ECS put the first release.
	s.setDefaultAction(elbtypes.Action{Type: elbtypes.ActionTypeEnumForward, TargetGroupArn: s.targetGroup("book-tasks-b")})
	s.run("plan", "--local").shows(t, 2, "default-action")
	s.must("up", "--local")
	serves("v1")
	s.run("plan", "--local").shows(t, 0)

	app.is(t, "v2", "")
	s.run("up", "--local").shows(t, 0, "traffic is shifted, 25% of the requests", "both releases run, 100% of the requests")
	serves("v2")
	s.run("up", "--local").shows(t, 0, "0 changed")
	s.run("plan", "--local").shows(t, 0)

	// The run that waits for it learns that it was taken back.
	app.is(t, "v3", "")
	var said strings.Builder
	waiting := s.command("up", "--local", "--deploy", "canary:25%/24h")
	waiting.Stdout, waiting.Stderr = &said, &said
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	shiftingNow(t, s)
	s.run("status", "--local").shows(t, 0, "canary:25%/1440m:5m: traffic is shifted, 25% of the requests", "'bookctl rollback --local' takes it back at once")
	before := s.programs(t)
	s.run("rollback", "--local").shows(t, 0, "Revision 2 serves again")
	_ = waiting.Wait() // its exit code is asked below
	if code := waiting.ProcessState.ExitCode(); code != 1 || !strings.Contains(said.String(), "Revision 3 was taken back: Service deployment was stopped by a user. Revision 2 has all requests again.") {
		t.Errorf("the run that waited for the release exits by %d:\n%s", code, said.String())
	}
	serves("v2")
	for pid := range s.programs(t) {
		if before[pid] == "" {
			t.Errorf("the rollback started task %d", pid)
		}
	}

	// Killed half way, the same command goes on.
	waiting = s.command("up", "--local", "--deploy", "canary:25%/5m:1m")
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	shiftingNow(t, s)
	if err := waiting.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = waiting.Wait() // it was killed
	s.must("up", "--local", "--deploy", "canary:25%/5m:1m")
	serves("v3")

	app.is(t, "v4", "os.Exit(1)")
	s.run("up", "--local").shows(t, 1, "rolled back", "tasks failed")
	serves("v3")

	app.is(t, "v5", "")
	s.must("up", "--local", "--deploy", "rolling")
	serves("v5")
	app.is(t, "v6", "")
	s.must("up", "--local", "--deploy", "linear:50%/1m:0m")
	serves("v6")
	s.run("plan", "--local").shows(t, 0)
	load.unharmed(t)
	s.run("destroy", "--local", "--yes").shows(t, 0, " 0 left")
}

// TestAnAlarmTakesAReleaseBack releases a version that is healthy and answers by 500, to a
// stack with alarms.
func TestAnAlarmTakesAReleaseBack(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, app := newShell(t), newVersioned(t)
	app.is(t, "v1", "")
	// A minute of the alarms is a tenth of a second, in which there are requests enough to
	// recognise a share of them. The alarms never see the newest minutes, as on AWS.
	s.must("local", "start", "--scale", "0.1")
	s.faults(`{"metricMinutes": 2}`)
	url := s.up("--no-database", "--source", app.dir, "--health-path", "/healthz", "--alarm-email", "ops@example.com", "--deploy", "canary:25%/24h:1m")
	if r := s.run("plan", "--local"); r.code != 0 || !strings.Contains(r.out+r.err, "the alarms server-errors and no-healthy-target take it back") {
		t.Errorf("the plan of what is deployed, exit code %d:\n%s%s", r.code, r.out, r.err)
	}
	t.Cleanup(startLoad(t, url, 4, 15*time.Millisecond).cancel)

	app.is(t, "v2", "broken = true")
	r := s.run("up", "--local")
	for _, said := range []string{"Revision 2 was taken back: alarm bookctl/book/server-errors; ", "Revision 1 has all requests again."} {
		if !strings.Contains(r.out+r.err, said) {
			t.Errorf("%q is not said:\n%s%s", said, r.out, r.err)
		}
	}
	if r.code != 1 {
		t.Errorf("exit code %d", r.code)
	}
	until(t, "v1 answers alone", func() bool {
		for range 20 {
			if code, body := call(t, http.MethodGet, url, ""); code != http.StatusOK || body != "v1" {
				return false
			}
		}
		return true
	})

	// Without alarms the service names none.
	app.is(t, "v1", "")
	s.must("up", "--local", "--alarm-email", "none")
	if r := s.run("plan", "--local"); r.code != 0 || !strings.Contains(r.out+r.err, "no alarm takes it back") {
		t.Errorf("the plan without alarms, exit code %d:\n%s%s", r.code, r.out, r.err)
	}
}

// TestUpSaysThatARaisedAlarmTakesNoReleaseBack mends a version that answers with errors, by a
// release that ECS does not judge by alarms, and then makes one that it does.
func TestUpSaysThatARaisedAlarmTakesNoReleaseBack(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, app := newShell(t), newVersioned(t)
	app.is(t, "v1", "broken = true")
	// A minute of the alarms is a second, in which there are requests however busy the machine is:
	// without any, the alarm is over.
	s.must("local", "start")
	url := s.up("--no-database", "--source", app.dir, "--count", "1", "--health-path", "/healthz", "--alarm-email", "ops@example.com", "--deploy", "canary:50%/1m:0m")
	t.Cleanup(startLoad(t, url, 4, 15*time.Millisecond).cancel)
	raised := func() bool {
		return strings.Contains(s.run("status", "--local").out, "server-errors raised")
	}
	until(t, "the alarm is raised", raised)
	const says = "note: no alarm takes this release back, because ECS judges by alarms only a release that begins while none is raised: now in ALARM: server-errors"
	// What begins no release says nothing of it.
	if r := s.run("up", "--local", "--tag", "team=payments"); r.code != 0 || strings.Contains(r.err, "no alarm takes this release back") {
		t.Errorf("an up without a release, exit code %d:\n%s%s", r.code, r.out, r.err)
	}
	app.is(t, "v2", "")
	until(t, "the alarm is raised still", raised)
	s.run("up", "--local").says(t, 0, says)
	app.answers(t, url, "v2")
	until(t, "the alarm is over", func() bool { return !raised() })
	if r := s.run("up", "--local", "--env", "A=1"); r.code != 0 || strings.Contains(r.err, "no alarm takes this release back") {
		t.Errorf("an up that alarms judge, exit code %d:\n%s%s", r.code, r.out, r.err)
	}
}

// TestAReleaseWhoseTasksDieIsTakenBack releases a version whose tasks run for a moment,
// after which ECS counts no task as failed.
func TestAReleaseWhoseTasksDieIsTakenBack(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, app := newShell(t), newVersioned(t)
	app.is(t, "v1", "")
	s.must("local", "start", "--scale", "0.01")
	url := s.up("--no-database", "--source", app.dir, "--count", "1", "--deploy", "canary:50%/24h")
	app.is(t, "v2", "time.AfterFunc(200*time.Millisecond, func() { os.Exit(1) })")
	s.run("up", "--local", "--timeout", "60s").says(t, 1, "rolled back", "tasks failed", "exited 1")
	if _, body := call(t, http.MethodGet, url, ""); body != "v1" {
		t.Errorf("%q answers", body)
	}
	until(t, "the tasks of the release are gone", func() bool { return len(s.programs(t)) == 1 })
}

// TestARollbackDoesNotTakeARestartForARelease goes back behind a release while somebody
// restarts it, by the strategy of the stack.
func TestARollbackDoesNotTakeARestartForARelease(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, app := newShell(t), newVersioned(t)
	app.is(t, "v1", "")
	s.must("local", "start", "--scale", "0.01")
	url := s.up("--no-database", "--source", app.dir, "--count", "1", "--deploy", "canary:25%/20m:0m")
	app.is(t, "v2", "")
	s.must("up", "--local")
	s.updateService(ecs.UpdateServiceInput{ForceNewDeployment: true})
	shiftingNow(t, s)
	s.run("rollback", "--local").says(t, 0, "from revision 2 to the release of revision 1")
	if _, body := call(t, http.MethodGet, url, ""); body != "v1" {
		t.Errorf("%q answers", body)
	}
}

// TestANewPasswordReachesAllTasksAtOnce changes it in a stack whose releases are looked at
// for a day: by a rotation, and in the secret by hand, which 'up' repairs.
func TestANewPasswordReachesAllTasksAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil, "--scale", "0.01")
	url := s.up("--count", "1", "--deploy", "canary:25%/24h:24h", "--alarm-email", "ops@example.com")
	load := startLoad(t, url+"/books", 2, 20*time.Millisecond)
	same := func() {
		t.Helper()
		if got := s.psql(t, s.secret(t), "select 1"); got != "1" {
			t.Errorf("psql: %q", got)
		}
		s.run("plan", "--local").says(t, 0, "a release by canary:25%/1440m:1440m")
		until(t, "the old tasks are gone", func() bool { return len(s.tasks(t)) == 1 })
	}
	until(t, "the first backup has ended", func() bool {
		return regexp.MustCompile(`Database +available`).MatchString(s.run("status", "--local").out)
	})
	before := s.tasks(t)
	s.run("db", "rotate-password", "--local", "--timeout", "90s").says(t, 0, "all tasks use it")
	same()
	for pid := range s.tasks(t) {
		if _, kept := before[pid]; kept {
			t.Error("a task that has the old password was not replaced")
		}
	}

	before = s.tasks(t)
	value := s.secret(t)
	value.Password = strings.Repeat("Hand", 8)
	h.must(ok(secretsmanager.NewFromConfig(h.Config).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String("book/database"), SecretString: aws.String(fmt.Sprintf(
			`{"engine":"postgres","host":%q,"port":%d,"dbname":%q,"username":%q,"password":%q}`, value.Host, value.Port, value.DBName, value.Username, value.Password)),
	})))
	s.run("up", "--local", "--timeout", "90s").says(t, 0, "2 updated")
	same()
	s.run("up", "--local").says(t, 0, "0 changed")
	for pid := range s.tasks(t) {
		if _, kept := before[pid]; kept {
			t.Error("a task that has the old password was not replaced")
		}
	}
	load.unharmed(t)
}

// TestARunningStackChangesToACanary gets a role that ECS can't assume at once.
func TestARunningStackChangesToACanary(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, app := newShell(t), newVersioned(t)
	app.is(t, "v1", "")
	h := s.byHand(t, nil, "--scale", "0.01")
	s.up("--no-database", "--source", app.dir, "--count", "1")
	h.faults(map[string]any{"roleSeconds": 5})
	s.run("up", "--local", "--deploy", "canary:50%/1m:0m").says(t, 0, "the role is not known everywhere yet")
	s.run("plan", "--local").says(t, 0)
	// It keeps both groups when it rolls again.
	s.run("plan", "--local", "--deploy", "rolling", "--sticky").says(t, 64, "--sticky: the stack's releases were shifted before", "--sticky=false")
}

// TestStickySessionsAreForRollingReleases says so before anything is created.
func TestStickySessionsAreForRollingReleases(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.must("local", "start")
	empty := s.inventory()
	for _, deploy := range []string{"canary:10%/5m", "linear:20%/3m", "blue-green"} {
		s.run("up", "--local", "--no-database", "--sticky", "--deploy", deploy).says(t, 64,
			"--sticky and --deploy "+deploy, "a load balancer refuses sticky sessions where requests are divided between two target groups", "--sticky=false or --deploy rolling")
	}
	if left := s.inventory(); !slices.Equal(left, empty) {
		t.Errorf("a refused up left %v", left)
	}
}

// TestAStackIsNotPausedInTheMiddleOfAShift looks at a release that has a share of the
// requests with all commands that show a stack, and asks for a pause and a resume then.
func TestAStackIsNotPausedInTheMiddleOfAShift(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, app := newShell(t), newVersioned(t)
	app.is(t, "v1", "")
	s.must("local", "start", "--scale", "0.02")
	h := s.byHand(t, nil)
	url := s.up("--no-database", "--source", app.dir, "--count", "2", "--deploy", "canary:25%/5m:1m")
	load := startLoad(t, url, 2, 15*time.Millisecond)
	app.is(t, "v2", "")
	nobody := "with --wait=false nothing stops it, because ECS's circuit breaker is only for rolling deployments"
	s.run("plan", "--local", "--deploy", "canary:25%/24h:1m").says(t, 2, nobody)
	s.run("plan", "--local", "--deploy", "canary:25%/24h:1m", "--alarm-email", "ops@example.com").says(t, 2, nobody, "the alarm failed-release does not notify of a release by canary:25%/1440m:1m")
	s.run("up", "--local", "--wait=false", "--deploy", "canary:25%/24h:1m").says(t, 0, nobody)
	shiftingNow(t, s)

	s.run("list", "--local").shows(t, 0, "deploying", "4/2")
	s.run("status", "--local").shows(t, 0, ": healthy", "4/2 running", "rollout in progress", "canary:25%/1440m:1m: traffic is shifted, 25% of the requests")
	s.run("graph", "--local", "--output", "json").shows(t, 0, `"state":"pending","note":"canary:25%/1440m:1m: traffic is shifted, 25% of the requests`)
	before := h.inventory()
	s.run("pause", "--local").shows(t, 1, "revision 2 is being released", "canary:25%/1440m:1m: traffic is shifted, 25% of the requests", "roll it back at once with 'bookctl rollback --local'")
	s.run("resume", "--local", "--timeout", "3s").shows(t, 1, "is not paused", "traffic is shifted, 25% of the requests")
	h.same("a pause and a resume in the middle of a shift", before)
	shiftingNow(t, s)
	s.run("rollback", "--local").shows(t, 0, "Revision 1 serves again")
	load.unharmed(t)

	s.run("pause", "--local").shows(t, 0, "Paused, ")
	s.run("resume", "--local", "--timeout", "1m").shows(t, 0, "The stack serves")
	if _, body := call(t, http.MethodGet, url, ""); body != "v1" {
		t.Errorf("after the pause %q answers", body)
	}
	s.run("destroy", "--local", "--yes").shows(t, 0, " 0 left")
}

// TestTheListenerThatServesShiftsTheTraffic takes a stack with two target groups from HTTP
// to HTTPS, and releases by the listener that serves then; under load, of which no request
// fails.
func TestTheListenerThatServesShiftsTheTraffic(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, app := newShell(t), newVersioned(t)
	app.is(t, "v1", "")
	s.must("local", "start", "--scale", "0.02")
	const domain = "app.example.org"
	certificate := s.issuedCertificate(s.hostedZone("example.org"), domain)

	at, err := url.Parse(s.up("--no-database", "--source", app.dir, "--count", "2", "--deploy", "canary:25%/5m:1m"))
	if err != nil {
		t.Fatal(err)
	}
	at.Host = net.JoinHostPort(domain, at.Port()) // which the user's own record leads there
	load := startLoadBy(t, at.String(), 2, 15*time.Millisecond, func() *http.Client {
		client := s.trusting(t, &tls.Config{MinVersion: tls.VersionTLS12})
		client.CheckRedirect = nil // it follows them
		return client
	})
	s.must("up", "--local", "--certificate", certificate)
	if r := s.run("plan", "--local"); r.code != 0 {
		t.Errorf("a plan after the change to HTTPS, exit code %d:\n%s%s", r.code, r.out, r.err)
	}

	secure := slices.DeleteFunc(s.listeners(), func(l elbtypes.Listener) bool { return l.Protocol != elbtypes.ProtocolEnumHttps })
	rules := done[*elb.DescribeRulesOutput](t)(elb.NewFromConfig(s.config()).DescribeRules(t.Context(), &elb.DescribeRulesInput{ListenerArn: secure[0].ListenerArn})).Rules
	used := s.service().LoadBalancers
	if len(rules) != 1 || len(used) != 1 || *rules[0].RuleArn != *used[0].AdvancedConfiguration.ProductionListenerRule {
		t.Errorf("the traffic is shifted by %+v, and the listener that serves has %+v", used, rules)
	}
	app.is(t, "v2", "")
	if r := s.run("up", "--local"); r.code != 0 || !strings.Contains(r.err, "traffic is shifted, 25% of the requests") {
		t.Errorf("a release by the new listener, exit code %d:\n%s%s", r.code, r.out, r.err)
	}
	client := s.trusting(t, &tls.Config{MinVersion: tls.VersionTLS12})
	client.CheckRedirect = nil
	for range 10 {
		resp, err := client.Get(at.String())
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if _ = resp.Body.Close(); err != nil || string(text) != "v2" || resp.Request.URL.Scheme != "https" {
			t.Fatalf("%s answers %q: %v", resp.Request.URL, text, err)
		}
	}
	load.unharmed(t)
	if r := s.run("destroy", "--local", "--yes"); r.code != 0 || !strings.Contains(r.out+r.err, " 0 left") {
		t.Errorf("a destroy, exit code %d:\n%s%s", r.code, r.out, r.err)
	}
}
