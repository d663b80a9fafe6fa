package cli_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scalingtypes "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
)

// TestAPausedStackCostsLessAndServesAgain pauses a stack, half way at first, lets RDS
// start its database by itself, and starts it again, half way at first as well.
func TestAPausedStackCostsLessAndServesAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, ctx := newShell(t), t.Context()
	h := s.byHand(t, nil)
	s.run("pause", "--local").says(t, 1, "there is no stack book", "'bookctl up --local' creates it")
	url := s.up("--count", "2", "--min", "2", "--max", "3")
	if code, body := call(t, http.MethodPost, url+"/books", `{"name":"Dune","author":"Frank Herbert"}`); code != http.StatusCreated {
		t.Fatalf("POST: %d %s", code, body)
	}
	suspended := func() bool {
		t.Helper()
		out, err := scaling.NewFromConfig(h.Config).DescribeScalableTargets(ctx, &scaling.DescribeScalableTargetsInput{ServiceNamespace: scalingtypes.ServiceNamespaceEcs})
		h.must(err)
		is := out.ScalableTargets[0].SuspendedState
		return aws.ToBool(is.DynamicScalingInSuspended) && aws.ToBool(is.DynamicScalingOutSuspended) && aws.ToBool(is.ScheduledScalingSuspended)
	}
	runs := func(program string) bool {
		t.Helper()
		for _, line := range s.programs(t) {
			if strings.Contains(line, program) {
				return true
			}
		}
		return false
	}
	shows := func(r result, code int, texts ...string) {
		t.Helper()
		if r.code != code {
			t.Errorf("exit code %d instead of %d:\n%s%s", r.code, code, r.out, r.err)
		}
		for _, text := range texts {
			if !strings.Contains(r.out+r.err, text) {
				t.Errorf("it does not say %q:\n%s%s", text, r.out, r.err)
			}
		}
	}
	never := func(r result, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if strings.Contains(r.out+r.err, text) {
				t.Errorf("it says %q:\n%s%s", text, r.out, r.err)
			}
		}
	}

	// Half way: the tasks are gone, and the database runs.
	h.faults(map[string]any{"deny": []string{"rds:StopDBInstance"}})
	shows(s.run("pause", "--local"), 4, "rds:StopDBInstance")
	if runs("/bookapi") || !runs("postgres") || !suspended() {
		t.Errorf("a pause that was denied the database leaves %v, scaling suspended: %t", s.programs(t), suspended())
	}
	shows(s.run("status", "--local"), 3, ": paused\n", "it runs, and costs", "database: state: running → stopped", "'bookctl pause --local' has the stack as it was paused again")

	// RDS starts it by itself, which is neither the user's wish nor a stack that serves.
	h.faults(map[string]any{"stoppedSeconds": 2})
	shows(s.run("pause", "--local"), 0, "Paused, ")
	until(t, "RDS starts the database by itself", func() bool {
		return strings.Contains(strings.Join(h.inventory(), "\n"), "database book-database available") // it was stopped before
	})
	shows(s.run("status", "--local"), 3, ": paused\n", "database: state: running → stopped")
	h.faults(map[string]any{})
	r := s.run("pause", "--local")
	shows(r, 0, "Paused, ", "RDS starts the database by itself at 20", "'bookctl resume --local' starts it again", "What is left costs about $", " a month on AWS: load balancer $", "database storage $", "public addresses $", "secret $")
	never(r, "tasks $", "database $")
	if runs("/bookapi") || runs("postgres") {
		t.Errorf("in a paused stack there run %v", s.programs(t))
	}

	// Being paused is shown, and no drift; what was changed by hand is.
	r = s.run("status", "--local")
	shows(r, 3, ": paused\n", "Paused     since 20", "0/0 running", "Database   stopped, ", "RDS starts it by itself at 20", "'bookctl resume --local' starts it again.")
	never(r, "Drift", "Not healthy")
	shows(s.run("status", "--local", "--output", "json"), 3, `"paused":"20`, `"databaseStarts":"20`)
	shows(s.run("list", "--local"), 0, "paused", "stopped, starts 20")
	shows(s.run("list", "--local", "--output", "json"), 0, `"state":"paused"`)
	h.must(ok(ecs.NewFromConfig(h.Config).UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String("book-cluster"), Service: aws.String("book-service"), EnableExecuteCommand: aws.Bool(true)})))
	r = s.run("status", "--local")
	shows(r, 3, ": paused\n", "Drift      service: exec: true → false")
	never(r, "count: ", "state: ")
	r = s.run("plan", "--local")
	shows(r, 2, "note: the stack is paused since 20", "state: stopped → running", "count: 0 → 2", "tasks: 0 to 3 → 2 to 3", "suspended: ", "exec: true → false")
	for _, args := range [][]string{{"restart"}, {"rollback"}, {"db", "rotate-password"}, {"secret", "unset", "KEY"}, {"run", "version"}} {
		shows(s.run(append(args, "--local")...), 1, "is paused since 20", "'bookctl resume --local' starts it")
	}

	before := h.inventory()
	shows(s.run("pause", "--local", "--output", "json"), 0, `"command":"pause"`)
	h.same("a pause of a paused stack", before)

	// Half way back, and up goes on.
	h.faults(map[string]any{"deny": []string{"ecs:UpdateService"}})
	shows(s.run("resume", "--local"), 4, "ecs:UpdateService")
	shows(s.run("status", "--local"), 3, ": paused\n", "database: state: running → stopped")
	h.faults(map[string]any{})
	shows(s.run("up", "--local"), 0, "note: the stack is paused since 20")
	if code, body := call(t, http.MethodGet, url+"/books/Dune", ""); code != http.StatusOK || !strings.Contains(body, "Frank Herbert") {
		t.Errorf("after the pause the book is %d %s", code, body)
	}
	out, err := ecs.NewFromConfig(h.Config).DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String("book-cluster"), Services: []string{"book-service"}})
	h.must(err)
	if n := out.Services[0].DesiredCount; n != 2 || suspended() {
		t.Errorf("after the pause %d tasks are wanted, scaling suspended: %t", n, suspended())
	}
	shows(s.run("plan", "--local"), 0)
	shows(s.run("status", "--local"), 0, ": healthy")
	shows(s.run("resume", "--local", "--output", "json"), 0, "is not paused", `"command":"resume"`)

	s.must("pause", "--local")
	s.must("resume", "--local")
	if code, _ := call(t, http.MethodGet, url+"/books/Dune", ""); code != http.StatusOK {
		t.Errorf("after a resume the book is %d", code)
	}
	s.must("pause", "--local")
	shows(s.run("destroy", "--local", "--yes"), 0, " 0 left", "a final snapshot taken")
}

// TestAWaitSitsOutWhatDoesNotAnswer has AWS fail while commands wait for it: ECS while tasks are
// replaced, and RDS while it sets a password, and stops the database. Then ECS refuses a pause
// to tell of the tasks that end.
func TestAWaitSitsOutWhatDoesNotAnswer(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil, "--latencies", "aws", "--scale", "0.05")
	s.up("--image", ownService(t))
	h.backedUp()
	for _, c := range []struct {
		command []string
		waits   string
		read    string
		service string
	}{
		{[]string{"restart"}, " running", "ecs:DescribeServices", "ECS"},
		{[]string{"db", "rotate-password"}, "database resetting-master-credentials", "rds:DescribeDBInstances", "RDS"},
		{[]string{"pause"}, "database stopping", "rds:DescribeDBInstances", "RDS"},
	} {
		run := s.begin(t, append(c.command, "--local")...)
		until(t, "it waits", func() bool { return strings.Contains(run.err.String(), c.waits) })
		h.faults(map[string]any{"only": []string{c.read}, "serverErrors": 1})
		until(t, "it has no answer", func() bool {
			return strings.Contains(run.err.String(), "no answer from ") || strings.Contains(run.err.String(), "bookctl: ")
		})
		h.faults(map[string]any{})
		run.end(t).says(t, 0, "no answer from "+c.service)
	}

	s.must("resume", "--local")
	h.backedUp()
	run := s.begin(t, "pause", "--local")
	until(t, "the tasks end", func() bool { return strings.Contains(run.err.String(), " task s") })
	h.faults(map[string]any{"deny": []string{"ecs:DescribeServices"}})
	run.end(t).says(t, 4, "ecs:DescribeServices", "the tasks have ended already: 'bookctl resume --local' starts them again, and 'bookctl pause --local' goes on")
	h.faults(map[string]any{})
}
