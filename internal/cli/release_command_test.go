package cli_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// TestAReleaseCommandComesBeforeItsRelease runs a command before the service changes:
// once for each release, and when it fails, hangs or was cut off, the old release
// serves on.
func TestAReleaseCommandComesBeforeItsRelease(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	s.must("local", "start")
	up := func(args ...string) result {
		t.Helper()
		return s.run(append([]string{"up", "--local"}, args...)...)
	}
	up("--release-command", "say 'the books").says(t, 64, "release command \"say 'the books\": a quote is not closed")
	r := up("--image", ownService(t), "--release-command", "say 'the books are' migrated")
	if r.code != 0 || strings.Count(r.err, "release-command: the books are migrated") != 1 {
		t.Fatalf("a first up: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	address := strings.TrimSpace(r.out)
	if r := up("--output", "json"); r.code != 0 || !strings.Contains(r.out, `"apiWrites":0`) {
		t.Errorf("another up: exit code %d\n%s%s", r.code, r.out, r.err)
	}

	containers, cluster := ecs.NewFromConfig(s.config()), aws.String("book-cluster")
	serves := func(definition string) *ecstypes.Service {
		t.Helper()
		if code, body := call(t, http.MethodGet, address, ""); code != http.StatusOK {
			t.Errorf("it answers %d %s", code, body)
		}
		out := done[*ecs.DescribeServicesOutput](t)(containers.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Cluster: cluster, Services: []string{"book-service"}}))
		service := out.Services[0]
		if !strings.HasSuffix(*service.TaskDefinition, "/"+definition) || len(service.Deployments) != 1 {
			t.Errorf("the service runs %s in %d deployments, want %s alone", *service.TaskDefinition, len(service.Deployments), definition)
		}
		if running := done[*ecs.ListTasksOutput](t)(containers.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: cluster})).TaskArns; len(running) != 1 {
			t.Errorf("these tasks run: %v, want the service's alone", running)
		}
		return &service
	}
	serves("book-bookapi:1")

	fails := up("--release-command", "exit 3")
	fails.says(t, 1, "release-command: going to exit", `"exit 3" ended with exit code 3`, "it wrote last: going to exit", "the service is as it was", "--release-command none")
	if strings.Contains(fails.err, "never became healthy") {
		t.Errorf("a release that never began is told as one that is not healthy:\n%s", fails.err)
	}
	serves("book-bookapi:1")
	up().says(t, 1, `"exit 3" ended with exit code 3`)
	service := serves("book-bookapi:1")

	// A run that was cut off has left its task, which the next one joins.
	done[*ecs.RunTaskOutput](t)(containers.RunTask(t.Context(), &ecs.RunTaskInput{
		Cluster: cluster, TaskDefinition: aws.String("book-bookapi:2"), LaunchType: ecstypes.LaunchTypeFargate, NetworkConfiguration: service.NetworkConfiguration,
		StartedBy: aws.String("release of book-bookapi:2"),
		Overrides: &ecstypes.TaskOverride{ContainerOverrides: []ecstypes.ContainerOverride{{Name: aws.String("bookapi"), Command: []string{"sleep", "8s"}}}},
	}))
	if r := up(); r.code != 0 || !strings.Contains(r.err, "release-command: slept") || strings.Contains(r.err, "going to exit") {
		t.Errorf("behind a run that was cut off: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	serves("book-bookapi:2")

	// One that hangs is stopped when the run ends.
	if r := up("--release-command", "wait", "--timeout", "25s"); r.code != 1 || !strings.Contains(r.err, "release-command: waiting") {
		t.Errorf("a command that hangs: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	until(t, "the task is stopped", func() bool {
		return len(done[*ecs.ListTasksOutput](t)(containers.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: cluster})).TaskArns) == 1
	})
	serves("book-bookapi:2")

	// Going back runs none: what it goes back to had its own.
	if r := up("--release-command", "say again"); r.code != 0 || strings.Count(r.err, "release-command: again") != 1 {
		t.Errorf("another command: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if r := s.run("rollback", "--local", "--to", "1"); r.code != 0 || strings.Contains(r.err, "release-command          creating") || strings.Contains(r.err, "release-command: the") {
		t.Errorf("rollback: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if r := s.run("destroy", "--local", "--yes", "--purge-snapshots"); r.code != 0 || !strings.Contains(r.out+r.err, " 0 left") {
		t.Errorf("destroy: exit code %d\n%s%s", r.code, r.out, r.err)
	}
}
