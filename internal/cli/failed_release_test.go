package cli_test

import (
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"
)

// checks are the health checks of the stack's target groups, by the groups' names.
func (s *shell) checks(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, g := range done[*elb.DescribeTargetGroupsOutput](t)(elb.NewFromConfig(s.config()).DescribeTargetGroups(t.Context(), &elb.DescribeTargetGroupsInput{})).TargetGroups {
		out[*g.TargetGroupName] = *g.HealthCheckPath + " " + *g.Matcher.HttpCode
	}
	return out
}

// isAsBefore looks, for longer than a load balancer takes to find a task unhealthy, whether
// the same tasks serve by the same health checks.
func (s *shell) isAsBefore(t *testing.T, address string, checks map[string]string, tasks map[int]string) {
	t.Helper()
	for range 12 {
		if diff := cmp.Diff(checks, s.checks(t)); diff != "" {
			t.Fatalf("the health checks (-before +now):\n%s", diff)
		}
		if now := s.tasks(t); !maps.Equal(tasks, now) {
			t.Fatalf("these tasks run: %v, and before it were %v", now, tasks)
		}
		if code, body := call(t, http.MethodGet, address, ""); code != http.StatusOK {
			t.Fatalf("%d %s", code, body)
		}
		time.Sleep(time.Second)
	}
}

// TestAFailedReleaseLeavesTheHealthCheck deploys releases with a health check that the tasks
// before them fail: one whose release command fails, one whose tasks fail, one whose run is
// killed, and one that another run waits for.
func TestAFailedReleaseLeavesTheHealthCheck(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	s.must("local", "start")
	address := s.up("--no-database", "--image", ownService(t))
	checks, tasks := s.checks(t), s.tasks(t)

	s.run("up", "--local", "--health-status", "204", "--release-command", "exit 3").says(t, 1, `"exit 3" ended with exit code 3`, "the service is unchanged")
	s.isAsBefore(t, address, checks, tasks)
	s.run("rollback", "--local").says(t, 0, "serves: nothing to do")

	s.run("up", "--local", "--health-status", "204", "--release-command", "none", "--command", "exit 3").says(t, 1, "rolled back")
	s.isAsBefore(t, address, checks, tasks)

	run := s.begin(t, "up", "--local", "--command", "exit 4")
	until(t, "the health check of the release is set", func() bool { return s.checks(t)["book-tasks"] == "/ 204" })
	if err := run.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	run.end(t)
	containers := ecs.NewFromConfig(s.config())
	serves := func() bool { // the first revision, or is to again
		out := done[*ecs.DescribeServicesOutput](t)(containers.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Cluster: aws.String("book-cluster"), Services: []string{"book-service"}}))
		return slices.ContainsFunc(out.Services[0].Deployments, func(d ecstypes.Deployment) bool {
			return *d.Status == "PRIMARY" && strings.HasSuffix(*d.TaskDefinition, "/book-app:1")
		})
	}
	until(t, "ECS goes back", serves)
	if got := s.checks(t)["book-tasks"]; got != "/ 204" {
		t.Fatalf("behind a run that was killed the health check is %s", got)
	}
	s.run("rollback", "--local").says(t, 0, "the health check of revision 1 is set again: healthy-codes: 204 → 200-299", "serves: nothing to do")
	if diff := cmp.Diff(checks, s.checks(t)); diff != "" {
		t.Errorf("behind a rollback the health checks are (-before +now):\n%s", diff)
	}
	serving := func() bool {
		code, _ := call(t, http.MethodGet, address, "")
		return code == http.StatusOK
	}
	until(t, "it serves", serving)
	s.run("rollback", "--local", "--output", "json").shows(t, 0, `"changes":[]`)

	// The release of a run that was interrupted fails while another run waits for it.
	run = s.begin(t, "up", "--local", "--health-status", "204", "--command", "sleep 4s")
	until(t, "the release begins", func() bool { return !serves() })
	if err := run.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	run.end(t)
	if serves() {
		t.Fatal("the release failed before another run could wait for it")
	}
	s.run("up", "--local").says(t, 1, "rolled back to book-app:1")
	if diff := cmp.Diff(checks, s.checks(t)); diff != "" {
		t.Errorf("behind a run that waited for the release of another one the health checks are (-before +now):\n%s", diff)
	}
	until(t, "it serves", serving)
}

// TestAHealthCheckThatTasksFailIsGivenBack sets one without a release.
func TestAHealthCheckThatTasksFailIsGivenBack(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	s.must("local", "start")
	address := s.up("--no-database", "--image", ownService(t))
	checks, tasks := s.checks(t), s.tasks(t)
	s.run("plan", "--local", "--health-path", "/nope").shows(t, 2, "health-check-path: / → /nope")
	s.run("up", "--local", "--health-path", "/nope").says(t, 1,
		"was healthy, and is unhealthy by the health check /nope 200-299: Health checks failed with these codes: [404]", "the check is as it was before", "--health-path")
	for pid := range tasks {
		if _, runs := s.tasks(t)[pid]; !runs {
			t.Errorf("the task that served is gone: %v", s.tasks(t))
		}
	}
	if diff := cmp.Diff(checks, s.checks(t)); diff != "" {
		t.Errorf("the health checks (-before +now):\n%s", diff)
	}
	s.run("plan", "--local").says(t, 0)

	// One that they pass is deployed, and stays.
	s.run("up", "--local", "--health-path", "/up").shows(t, 0, address)
	if got := s.checks(t)["book-tasks"]; got != "/up 200-299" {
		t.Errorf("the health check is %s", got)
	}
	s.run("plan", "--local").says(t, 0)
	s.run("up", "--local", "--output", "json").shows(t, 0, `"apiWrites":0`)
}

// TestAFailedReleaseLeavesWhatTheOneBeforeNeeds takes a secret away from a service by releases
// that fail, and then stops its task, for which the next one needs the secret.
func TestAFailedReleaseLeavesWhatTheOneBeforeNeeds(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	s.must("local", "start")
	made := done[*secretsmanager.CreateSecretOutput](t)(secretsmanager.NewFromConfig(s.config()).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("key"), SecretString: aws.String("of the house")}))
	s.up("--no-database", "--image", ownService(t), "--secret", "KEY="+*made.ARN)
	containers, cluster := ecs.NewFromConfig(s.config()), aws.String("book-cluster")
	running := func() []string {
		t.Helper()
		return done[*ecs.ListTasksOutput](t)(containers.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: cluster, ServiceName: aws.String("book-service")})).TaskArns
	}
	replaced := func(why string) {
		t.Helper()
		before := running()
		if len(before) != 1 {
			t.Fatalf("%s, these tasks run: %v", why, before)
		}
		done[*ecs.StopTaskOutput](t)(containers.StopTask(t.Context(), &ecs.StopTaskInput{Cluster: cluster, Task: &before[0]}))
		until(t, why+", a stopped task is replaced", func() bool {
			now := running()
			if len(now) != 1 || now[0] == before[0] {
				return false
			}
			task := done[*ecs.DescribeTasksOutput](t)(containers.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: cluster, Tasks: now})).Tasks[0]
			return *task.LastStatus == "RUNNING" && strings.HasSuffix(*task.TaskDefinitionArn, "/book-app:1")
		})
	}
	may := func() string {
		t.Helper()
		roles := iam.NewFromConfig(s.config())
		for _, r := range done[*iam.ListRolesOutput](t)(roles.ListRoles(t.Context(), &iam.ListRolesInput{})).Roles {
			if strings.Contains(*r.RoleName, "execution") {
				out := done[*iam.GetRolePolicyOutput](t)(roles.GetRolePolicy(t.Context(), &iam.GetRolePolicyInput{RoleName: r.RoleName, PolicyName: aws.String("bookctl")}))
				text, err := url.PathUnescape(*out.PolicyDocument)
				if err != nil {
					t.Fatal(err)
				}
				return text
			}
		}
		t.Fatal("there is no execution role")
		return ""
	}
	s.run("up", "--local", "--unset-env", "KEY", "--release-command", "exit 3").says(t, 1, "the service is unchanged")
	replaced("behind a release command that failed")
	s.run("up", "--local", "--unset-env", "KEY", "--release-command", "none", "--command", "exit 3").says(t, 1, "book-app:1")
	replaced("behind tasks that failed")
	if policy := may(); !strings.Contains(policy, *made.ARN) {
		t.Errorf("the execution role may not read what the service needs: %s", policy)
	}

	s.run("up", "--local", "--command", "none").says(t, 0, "former-permissions")
	if policy := may(); strings.Contains(policy, *made.ARN) {
		t.Errorf("the execution role may read what nothing needs any more: %s", policy)
	}
	s.run("plan", "--local").says(t, 0)
}

// TestACanaryHasItsOwnHealthCheck releases with another health check than that of the tasks
// before, which fail it: one release that is taken back, and one that is not.
func TestACanaryHasItsOwnHealthCheck(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, app := newShell(t), newVersioned(t)
	app.is(t, "v1", `http.HandleFunc("/v2", http.NotFound)`)
	s.must("local", "start", "--scale", "0.01")
	address := s.up("--no-database", "--source", app.dir, "--health-path", "/v1", "--count", "1", "--deploy", "canary:25%/20m:0m")
	before := s.tasks(t)
	used, idle := "book-tasks", "book-tasks-b"
	balancing := elb.NewFromConfig(s.config())
	group := done[*elb.DescribeTargetGroupsOutput](t)(balancing.DescribeTargetGroups(t.Context(), &elb.DescribeTargetGroupsInput{Names: []string{idle}})).TargetGroups[0]
	if len(done[*elb.DescribeTargetHealthOutput](t)(balancing.DescribeTargetHealth(t.Context(), &elb.DescribeTargetHealthInput{TargetGroupArn: group.TargetGroupArn})).TargetHealthDescriptions) > 0 {
		used, idle = idle, used // ECS chooses
	}
	is := func(when, ofUsed, ofIdle string) {
		t.Helper()
		want := map[string]string{used: ofUsed + " 200-299", idle: ofIdle + " 200-299"}
		if diff := cmp.Diff(want, s.checks(t)); diff != "" {
			t.Errorf("%s, the health checks are (-want +got):\n%s", when, diff)
		}
	}
	same := func() {
		t.Helper()
		for pid := range before {
			if _, runs := s.tasks(t)[pid]; !runs {
				t.Errorf("the task of the release before is gone: %v", s.tasks(t))
			}
		}
	}
	is("at first", "/v1", "/v1")

	app.is(t, "v2", `http.HandleFunc("/v1", http.NotFound)`)
	run := s.begin(t, "up", "--local", "--health-path", "/v2")
	shiftingNow(t, s)
	is("while both serve", "/v1", "/v2")
	s.run("rollback", "--local").says(t, 0, "revision 2 is taken back")
	run.end(t).says(t, 1, "Revision 2 was taken back")
	is("behind a release that was taken back", "/v1", "/v1")
	same()

	s.begin(t, "up", "--local").end(t).says(t, 0)
	is("behind a release", "/v2", "/v2")
	if _, body := call(t, http.MethodGet, address, ""); body != "v2" {
		t.Errorf("%q answers", body)
	}
	s.run("plan", "--local").says(t, 0)
}

// TestTheTasksBeforeKeepTheirHealthCheckWithFewRequests releases something else while most
// requests go to the release before that already: its group gets the next one's check, and
// that of the tasks to which ECS goes back stays.
func TestTheTasksBeforeKeepTheirHealthCheckWithFewRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, app := newShell(t), newVersioned(t)
	app.is(t, "v1", "")
	s.must("local", "start", "--scale", "0.01")
	s.up("--no-database", "--source", app.dir, "--health-path", "/v1", "--count", "1", "--deploy", "linear:75%/240m:0m")
	before := s.tasks(t)

	app.is(t, "v2", `http.HandleFunc("/v1", http.NotFound)`)
	s.must("up", "--local", "--health-path", "/v2", "--wait=false")
	shiftedBy(t, s, 75)
	app.is(t, "v3", `http.HandleFunc("/v1", http.NotFound)`)
	s.must("up", "--local", "--health-path", "/v3", "--wait=false")
	checks := slices.Sorted(maps.Values(s.checks(t)))
	if diff := cmp.Diff([]string{"/v1 200-299", "/v3 200-299"}, checks); diff != "" {
		t.Errorf("the health checks (-want +got):\n%s", diff)
	}
	shiftedBy(t, s, 75)
	for pid := range before {
		if _, runs := s.tasks(t)[pid]; !runs {
			t.Errorf("the task of the first release is gone: %v", s.tasks(t))
		}
	}
}
