package cli_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
)

// TestUpDoesNotEndWhileNoTargetIsHealthy has the load balancer find the tasks of a
// stack unhealthy that ECS calls complete.
func TestUpDoesNotEndWhileNoTargetIsHealthy(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, ctx := newShell(t), t.Context()
	h := s.byHand(t, nil)
	s.up()
	quiet := s.run("up", "--local", "--verbose")
	quiet.says(t, 0, "Up to date")
	if asked := strings.Count(quiet.err, " DescribeTargetHealth"); asked != 1 {
		t.Errorf("up of a healthy stack asks %d times for the health of its targets, which takes one call:\n%s", asked, quiet.err)
	}

	h.faults(map[string]any{"tasks": map[string]any{"unhealthy": true}})
	containers := ecs.NewFromConfig(h.Config)
	tasks := done[*ecs.ListTasksOutput](t)(containers.ListTasks(ctx, &ecs.ListTasksInput{Cluster: aws.String("book-cluster")}))
	for _, arn := range tasks.TaskArns {
		h.must(ok(containers.StopTask(ctx, &ecs.StopTaskInput{Cluster: aws.String("book-cluster"), Task: &arn})))
	}
	until(t, "the service has a task again", func() bool {
		out, err := containers.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String("book-cluster"), Services: []string{"book-service"}})
		return err == nil && out.Services[0].RunningCount == 1
	})
	r := s.run("up", "--local", "--timeout", "60s")
	r.says(t, 1, "and none is healthy: target ", "Revision 1 is deployed, and the load balancer finds none of its tasks healthy.",
		"health check of /startupz fails: Health checks failed", "Nothing serves now.", "next: ")
	if strings.Contains(r.out+r.err, "p to date") {
		t.Errorf("up of a stack that does not serve ends with:\n%s%s", r.out, r.err)
	}

	h.faults(map[string]any{})
	h.must(ok(containers.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String("book-cluster"), Service: aws.String("book-service"), ForceNewDeployment: true})))
	s.run("up", "--local").says(t, 0)
}
