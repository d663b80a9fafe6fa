package cli_test

import (
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logstypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/tinyimage"
)

// ownImage is the image of a service that is not bookapi: testdata/app.
var ownImage = sync.OnceValues(func() (v1.Image, error) { return tinyimage.Build("testdata/app", "bookapi") })

// ownService puts that image into a registry and returns its reference.
func ownService(t *testing.T) string {
	t.Helper()
	image, err := ownImage()
	if err != nil {
		t.Fatal(err)
	}
	return inRegistry(t, image)
}

// TestACommandRunsInATaskOfItsOwn runs commands alongside a service: what they write and
// their exit code come back, and nothing of them is left.
func TestACommandRunsInATaskOfItsOwn(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	s.must("local", "start")
	s.run("run", "--local", "--", "say", "hello").says(t, 1, "there is no stack book", "'bookctl up --local'")
	s.run("run").says(t, 64, "bookctl run ", "COMMAND [ARGUMENT]...")
	s.up("--image", ownService(t))

	r := s.run("run", "--local", "--", "say", "hello", "--to", "the world")
	if r.code != 0 || r.out != "hello --to the world\n" || !strings.Contains(r.err, "of book-app:1: stopped") {
		t.Errorf("say: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if r := s.run("run", "--local", "--", "exit", "7"); r.code != 7 || r.out != "going to exit\n" || !strings.Contains(r.err, "of book-app:1: exit code 7") {
		t.Errorf("exit 7: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if out := s.must("events", "--local"); !strings.Contains(out, " exited 7") {
		t.Errorf("the events have nothing of a task alongside the service:\n%s", out)
	}
	if r := s.run("run", "--local", "--", "env", "DB_NAME"); r.code != 0 || r.out != "app\n" {
		t.Errorf("env: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	r = s.run("run", "--local", "--output", "json", "--", "exit", "9")
	var end struct {
		Type, Task, Release, Reason string
		Exit                        int
	}
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	decode(t, lines[len(lines)-1], &end)
	if r.code != 9 || len(lines) != 2 || end.Type != "run" || end.Task == "" || end.Release != "book-app:1" || end.Exit != 9 || end.Reason == "" {
		t.Errorf("as JSON: exit code %d\n%s%s", r.code, r.out, r.err)
	}

	s.faults(`{"tasks": {"noCapacity": true}}`)
	s.run("run", "--local", "--", "say", "hello").says(t, 1, "AWS has no capacity for its tasks now: Capacity is unavailable at this time.", "next: try again later")
	s.faults(`{"errors": {"ecs:RunTask": {"code": "ClientException", "message": "You've reached the limit on the number of vCPUs you can run concurrently"}}}`)
	s.run("run", "--local", "--", "say", "hello").says(t, 1, `quota "Fargate On-Demand vCPU resource count" is reached`, "next: remove what is not needed")
	s.faults(`{}`)

	waiting := func(args ...string) *running {
		t.Helper()
		c := s.begin(t, append(append([]string{"run", "--local"}, args...), "--", "wait")...)
		until(t, "the command runs", func() bool { return c.out.String() == "waiting\n" })
		return c
	}
	c := waiting()
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if r := c.end(t); r.code != 130 || r.out != "waiting\nstopping\n" || !strings.Contains(r.err, "bookctl: interrupted") {
		t.Errorf("interrupted: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if r := waiting("--timeout", "15s").end(t); r.code != 1 || r.out != "waiting\nstopping\n" || !strings.Contains(r.err, "was stopped: --timeout 15s is over") || strings.Contains(r.err, "goes on where") {
		t.Errorf("out of time: exit code %d\n%s%s", r.code, r.out, r.err)
	}

	containers, cluster := ecs.NewFromConfig(s.config()), aws.String("book-cluster")
	tasks := func() []string {
		return done[*ecs.ListTasksOutput](t)(containers.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: cluster})).TaskArns
	}
	if running := tasks(); len(running) != 1 {
		t.Errorf("these tasks run: %v, want the service's alone", running)
	}
	id := strings.TrimSpace(s.must("run", "--local", "--detach", "--", "wait"))
	if running := tasks(); len(running) != 2 || !strings.HasSuffix(running[0], id) && !strings.HasSuffix(running[1], id) {
		t.Errorf("these tasks run: %v, want the service's and %s", running, id)
	}
	s.run("logs", "--local", "--task", id).says(t, 0)
	if r := s.run("plan", "--local"); r.code != 0 {
		t.Errorf("the plan alongside a task of its own: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if r := s.run("destroy", "--local", "--yes", "--purge-snapshots"); r.code != 0 || !strings.Contains(r.out+r.err, " 0 left") {
		t.Errorf("destroy alongside a task of its own: exit code %d\n%s%s", r.code, r.out, r.err)
	}
}

// TestACommandWaitsForNewRoles runs one while ECS can't assume the roles yet, which the 'up' before
// it has just created.
func TestACommandWaitsForNewRoles(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.must("up", "--local", "--no-database", "--wait=false", "--image", ownService(t))
	h.faults(map[string]any{"roleSeconds": 3600})
	c := s.begin(t, "run", "--local", "--", "say", "hello")
	until(t, "it waits, or has failed", func() bool {
		return strings.Contains(c.err.String(), "the role is not known everywhere yet") || strings.Contains(c.err.String(), "bookctl: ")
	})
	h.faults(map[string]any{})
	if r := c.end(t); r.code != 0 || r.out != "hello\n" {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.err)
	}
}

// TestACommandGoesOnWithoutAnswers has ECS fail while a command runs.
func TestACommandGoesOnWithoutAnswers(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up("--no-database", "--image", ownService(t))
	c := s.begin(t, "run", "--local", "--", "wait")
	until(t, "the command runs", func() bool { return c.out.String() == "waiting\n" })
	h.faults(map[string]any{"only": []string{"ecs:DescribeTasks"}, "serverErrors": 1})
	until(t, "it has no answer", func() bool {
		return strings.Contains(c.err.String(), "no answer from ECS") || strings.Contains(c.err.String(), "bookctl: ")
	})
	h.faults(map[string]any{})
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if r := c.end(t); r.code != 130 || r.out != "waiting\nstopping\n" || !strings.Contains(r.err, "bookctl: interrupted") {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.err)
	}
}

// TestALogOfTheInfrequentAccessClassIsExplained has tasks write into a log group that somebody has
// created again in a class of which CloudWatch returns no lines.
func TestALogOfTheInfrequentAccessClassIsExplained(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up("--image", ownService(t), "--no-database")
	logs := cloudwatchlogs.NewFromConfig(h.Config)
	group := aws.String(naming.Names{Stack: "book"}.LogGroup())
	h.must(ok(logs.DeleteLogGroup(t.Context(), &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: group})))
	h.must(ok(logs.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group, LogGroupClass: logstypes.LogGroupClassInfrequentAccess, Tags: map[string]string{"bookctl:stack": "book"}})))
	s.run("logs", "--local").says(t, 1, "it is of the class INFREQUENT_ACCESS, and only CloudWatch Logs Insights reads it", "next: query it in the console, under CloudWatch, Logs Insights; or delete it", "'bookctl restart --local'")
	if r := s.run("run", "--local", "--", "exit", "7"); r.code != 7 || !strings.Contains(r.err, "only CloudWatch Logs Insights reads it") || !strings.Contains(r.err, "of book-app:1: exit code 7") {
		t.Errorf("a task whose output can't be read: exit code %d\n%s%s", r.code, r.out, r.err)
	}
}
