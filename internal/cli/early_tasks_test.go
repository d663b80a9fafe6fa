package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// serviceOf is the stack's service, with the environment of its tasks.
func (h *byHand) serviceOf() (*ecstypes.Service, map[string]string) {
	h.Helper()
	api := ecs.NewFromConfig(h.Config)
	services, err := api.DescribeServices(h.Context(), &ecs.DescribeServicesInput{
		Cluster: aws.String("book-cluster"), Services: []string{"book-service"}, Include: []ecstypes.ServiceField{ecstypes.ServiceFieldTags},
	})
	if err != nil || len(services.Services) == 0 {
		return nil, nil
	}
	s := &services.Services[0]
	d, err := api.DescribeTaskDefinition(h.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: s.TaskDefinition})
	h.must(err)
	env := map[string]string{}
	for _, e := range d.TaskDefinition.ContainerDefinitions[0].Environment {
		env[*e.Name] = *e.Value
	}
	return s, env
}

func (h *byHand) databaseStatus() string {
	h.Helper()
	out, err := rds.NewFromConfig(h.Config).DescribeDBInstances(h.Context(), &rds.DescribeDBInstancesInput{})
	h.must(err)
	if len(out.DBInstances) == 0 {
		return ""
	}
	return *out.DBInstances[0].DBInstanceStatus
}

// slow are flags of a local cloud in which a database takes 25 s, which is longer
// than the compiler does alongside other tests.
var slow = []string{"--latencies", "aws", "--scale", "0.1"}

// awaitEarlyTask waits until a task runs whose database is still being made.
func (h *byHand) awaitEarlyTask() {
	h.Helper()
	until(h.T, "a task runs alongside its database", func() bool {
		s, _ := h.serviceOf()
		return s != nil && s.RunningCount == 1
	})
	if status := h.databaseStatus(); status != "creating" {
		h.Fatalf("the first task ran when the database was %q", status)
	}
}

// startEarly starts a first up in a slow cloud, and returns when its task waits for
// the database. before is the inventory of the empty account.
func (s *shell) startEarly(t *testing.T) (h *byHand, before []string, up *running) {
	t.Helper()
	h = s.byHand(t, nil, slow...)
	before = h.inventory()
	up = s.begin(t, "up", "--local")
	h.awaitEarlyTask()
	return h, before, up
}

// TestTasksStartBeforeTheirDatabase kills a first up while its tasks wait for the
// database. The next one goes on with the same tasks, and what it leaves is a stack
// like any other.
func TestTasksStartBeforeTheirDatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h, before, first := s.startEarly(t)
	if r := s.run("status", "--local"); r.code != 3 || !strings.Contains(r.out, "creating") || strings.Contains(r.out, "service: ") || strings.Contains(r.out, "task-definition: ") {
		t.Errorf("status: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	h.must(first.Process.Kill())
	first.end(t)
	if status := h.databaseStatus(); status != "creating" {
		t.Fatalf("the run was killed too late: the database is %q", status)
	}
	begun := s.tasks(t)
	r := s.run("up", "--local")
	r.says(t, 0, "service                  waiting: 1/1 running, tasks wait for the database")
	url := strings.TrimSpace(r.out)
	if now := s.tasks(t); len(now) != 1 || fmt.Sprint(now) != fmt.Sprint(begun) {
		t.Errorf("the task was replaced: %v, now %v", begun, now)
	}
	if code, body := call(t, "POST", url+"/books", `{"name":"Dune","author":"Frank Herbert"}`); code != http.StatusCreated {
		t.Errorf("POST: %d %s", code, body)
	}
	service, env := h.serviceOf()
	if env["DB_HOST"]+env["DB_PORT"] != "" || !strings.HasPrefix(env["DB_SECRET_ARN"], "arn:aws:secretsmanager:") {
		t.Errorf("the tasks' environment is %v", env)
	}
	// From here on a task that is not healthy is replaced as soon as any other.
	if grace := aws.ToInt32(service.HealthCheckGracePeriodSeconds); grace != 30 || len(service.Deployments) != 1 {
		t.Errorf("grace period %d s, %d deployments", grace, len(service.Deployments))
	}
	noted := slices.IndexFunc(service.Tags, func(t ecstypes.Tag) bool { return *t.Key == "bookctl:secret-version" })
	current, err := secretsmanager.NewFromConfig(h.Config).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("book/database")})
	h.must(err)
	if noted < 0 || *service.Tags[noted].Value != *current.VersionId {
		t.Errorf("the service's tags don't name version %s of the secret: %d", *current.VersionId, noted)
	}
	s.run("up", "--local").says(t, 0, "0 changed")
	h.taskMayOnlyReadItsSecret(s)

	// The next release has the address of the database, and needs to ask nobody.
	s.must("up", "--local", "--cpu", "512", "--memory", "1024")
	if _, env := h.serviceOf(); env["DB_HOST"] == "" || env["DB_PORT"] == "" {
		t.Errorf("the next release's environment is %v", env)
	}
	if code, _ := call(t, "GET", url+"/books/Dune", ""); code != http.StatusOK {
		t.Errorf("GET after the next release: %d", code)
	}
	s.must("destroy", "--local", "--yes", "--purge-snapshots")
	h.same("the account differs after destroy", before)
}

// taskMayOnlyReadItsSecret is what somebody could do who took over a task.
func (h *byHand) taskMayOnlyReadItsSecret(s *shell) {
	h.Helper()
	var uri string
	for pid := range s.tasks(h.T) {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		h.must(err)
		for pair := range strings.SplitSeq(string(environ), "\x00") {
			if value, ok := strings.CutPrefix(pair, "AWS_CONTAINER_CREDENTIALS_FULL_URI="); ok {
				uri = value
			}
		}
	}
	code, body := call(h.T, "GET", uri, "")
	var role struct{ AccessKeyId, SecretAccessKey, Token string }
	if err := json.Unmarshal([]byte(body), &role); code != http.StatusOK || err != nil {
		h.Fatalf("credentials of the task from %q: %d %v", uri, code, err)
	}
	config := h.Copy()
	config.Credentials = credentials.NewStaticCredentialsProvider(role.AccessKeyId, role.SecretAccessKey, role.Token)
	secrets := secretsmanager.NewFromConfig(config)
	_, err := secrets.CreateSecret(h.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("other"), SecretString: aws.String("x")})
	denied(h.T, "secretsmanager:CreateSecret", err)
	_, err = secretsmanager.NewFromConfig(h.Config).CreateSecret(h.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("other"), SecretString: aws.String("x")})
	h.must(err)
	get := func(id string) error {
		_, err := secrets.GetSecretValue(h.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id})
		return err
	}
	denied(h.T, "secretsmanager:GetSecretValue", get("other"))
	h.must(get("book/database"))
	_, err = rds.NewFromConfig(config).DescribeDBInstances(h.Context(), &rds.DescribeDBInstancesInput{})
	denied(h.T, "rds:DescribeDBInstances", err)
	_, err = secretsmanager.NewFromConfig(h.Config).DeleteSecret(context.WithoutCancel(h.Context()), &secretsmanager.DeleteSecretInput{
		SecretId: aws.String("other"), ForceDeleteWithoutRecovery: aws.Bool(true),
	})
	h.must(err)
}

func denied(t *testing.T, action string, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "not authorized to perform: "+action) {
		t.Errorf("%s as the task: %v", action, err)
	}
}

// TestAPasswordThatChangesWhileTasksWaitReachesThem changes it behind a first up
// that was killed: the tasks that wait were started with the one before.
func TestAPasswordThatChangesWhileTasksWaitReachesThem(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	for name, change := range map[string]func(*testing.T, *shell, *byHand){
		"by a rotation": func(_ *testing.T, s *shell, _ *byHand) { s.must("db", "rotate-password", "--local") },
		"by hand": func(t *testing.T, s *shell, h *byHand) {
			secrets := secretsmanager.NewFromConfig(h.Config)
			have, err := secrets.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("book/database")})
			h.must(err)
			var value map[string]any
			decode(t, *have.SecretString, &value)
			value["password"] = "another-one-of-at-least-20-characters"
			text, err := json.Marshal(value)
			h.must(err)
			_, err = secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: have.ARN, SecretString: aws.String(string(text))})
			h.must(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShell(t)
			h, _, first := s.startEarly(t)
			h.must(first.Process.Kill())
			first.end(t)
			for begun := time.Now(); h.databaseStatus() != "available"; time.Sleep(100 * time.Millisecond) {
				if time.Since(begun) > 3*time.Minute { // its first backup takes as long as itself
					t.Fatalf("the database is %q", h.databaseStatus())
				}
			}
			change(t, s, h)
			url := s.up()
			if code, body := call(t, "POST", url+"/books", `{"name":"Dune","author":"Frank Herbert"}`); code != http.StatusCreated {
				t.Errorf("POST: %d %s", code, body)
			}
			if service, _ := h.serviceOf(); aws.ToInt32(service.HealthCheckGracePeriodSeconds) != 30 {
				t.Errorf("the grace period is still %d s", aws.ToInt32(service.HealthCheckGracePeriodSeconds))
			}
			s.run("up", "--local").says(t, 0, "0 changed")
		})
	}
}

// TestAFirstReleaseThatNeverGetsHealthyIsEnded holds that the time which tasks are
// given alongside their database ends soon after that serves.
func TestAFirstReleaseThatNeverGetsHealthyIsEnded(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil, slow...)
	before := h.inventory()
	s.run("up", "--local", "--source", badSource(t, "", "/startupz", "/elsewhere")).says(t, 1, "Revision 1 never became healthy", "circuit breaker")
	if service, _ := h.serviceOf(); aws.ToInt32(service.HealthCheckGracePeriodSeconds) != 30 {
		t.Errorf("the grace period is still %d s", aws.ToInt32(service.HealthCheckGracePeriodSeconds))
	}
	s.must("destroy", "--local", "--yes", "--purge-snapshots")
	h.same("the account differs after destroy", before)
}

// TestTheWaitForADatabaseEndsWithIt lets the run lose sight of the database that
// its tasks wait for.
func TestTheWaitForADatabaseEndsWithIt(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h, before, first := s.startEarly(t)
	h.faults(map[string]any{"deny": []string{"rds:DescribeDBInstances"}})
	r := first.end(t)
	r.says(t, 4, "database                 failed", "rds:DescribeDBInstances", "service                  stopped in progress after ", ": database failed")
	h.faults(map[string]any{})
	s.must("destroy", "--local", "--yes", "--purge-snapshots")
	h.same("the account differs after destroy", before)
}
