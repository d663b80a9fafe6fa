package cli_test

import (
	"net/http"
	"strings"
	"syscall"
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
	serves("book-app:1")

	fails := up("--release-command", "exit 3")
	fails.says(t, 1, "release-command: going to exit", `"exit 3" ended with exit code 3`, "it wrote last: going to exit", "the service is unchanged", "--release-command none")
	if strings.Contains(fails.err, "never became healthy") {
		t.Errorf("a release that never began is reported as one that is not healthy:\n%s", fails.err)
	}
	serves("book-app:1")
	up().says(t, 1, `"exit 3" ended with exit code 3`)
	serves("book-app:1")

	// tasks are those of the command, by the revision that they are of.
	tasks := func(definition string) (out []ecstypes.Task) {
		t.Helper()
		for _, desired := range []ecstypes.DesiredStatus{ecstypes.DesiredStatusRunning, ecstypes.DesiredStatusStopped} {
			arns := done[*ecs.ListTasksOutput](t)(containers.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: cluster, StartedBy: aws.String("bookctl-release"), DesiredStatus: desired})).TaskArns
			if len(arns) == 0 {
				continue
			}
			for _, task := range done[*ecs.DescribeTasksOutput](t)(containers.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: cluster, Tasks: arns})).Tasks {
				if strings.HasSuffix(*task.TaskDefinitionArn, "/"+definition) {
					out = append(out, task)
				}
			}
		}
		return out
	}
	// begun is an up whose command is at work.
	begun := func(definition string, args ...string) (*running, ecstypes.Task) {
		t.Helper()
		run := s.begin(t, append([]string{"up", "--local"}, args...)...)
		var task ecstypes.Task
		until(t, "the command of "+definition+" is at work", func() bool {
			for _, task = range tasks(definition) {
				if *task.LastStatus == "RUNNING" {
					return true
				}
			}
			return false
		})
		return run, task
	}
	killed := func(run *running) {
		t.Helper()
		if err := run.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		run.end(t)
	}

	// What a run that is killed leaves at work, the next one joins.
	run, _ := begun("book-app:3", "--release-command", "sleep 20s")
	killed(run)
	if r := up(); r.code != 0 || !strings.Contains(r.err, "release-command: slept") || len(tasks("book-app:3")) != 1 {
		t.Errorf("behind a run that was killed there are %d tasks, exit code %d\n%s%s", len(tasks("book-app:3")), r.code, r.out, r.err)
	}
	serves("book-app:3")

	// One that hangs is stopped when the run ends, by itself or by a Ctrl-C; and it may be
	// stopped by others.
	alone := func() {
		t.Helper()
		until(t, "the task is stopped", func() bool {
			return len(done[*ecs.ListTasksOutput](t)(containers.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: cluster})).TaskArns) == 1
		})
		serves("book-app:3")
	}
	if r := up("--release-command", "wait", "--timeout", "25s"); r.code != 1 || !strings.Contains(r.err, "release-command: waiting") {
		t.Errorf("a command that hangs: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	alone()
	run, _ = begun("book-app:4")
	if err := run.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	run.end(t).says(t, 130, "interrupted")
	alone()
	run, task := begun("book-app:4")
	done[*ecs.StopTaskOutput](t)(containers.StopTask(t.Context(), &ecs.StopTaskInput{Cluster: cluster, Task: task.TaskArn}))
	run.end(t).says(t, 1, `"wait" ended with exit code`, "the service is unchanged")
	alone()

	// Two are never at work at once, also not of two releases.
	run, task = begun("book-app:5", "--release-command", "sleep 30s")
	killed(run)
	if r := up("--release-command", "say again"); r.code != 0 || strings.Count(r.err, "release-command: again") != 1 {
		t.Errorf("another command: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	first, second := tasks("book-app:5"), tasks("book-app:6")
	if len(first) != 1 || len(second) != 1 || first[0].StoppedAt == nil || second[0].CreatedAt.Before(*first[0].StoppedAt) || *first[0].Containers[0].ExitCode != 0 {
		t.Errorf("the two commands were at work as %+v and %+v", first, second)
	}
	serves("book-app:6")

	// One that succeeded is not run again, also when its run was killed before it could
	// note that.
	s.faults(`{"only": ["ecs:TagResource"], "throttle": 1}`)
	run = s.begin(t, "up", "--local", "--release-command", "say once")
	until(t, "the command has succeeded", func() bool {
		all := tasks("book-app:7")
		return len(all) == 1 && *all[0].LastStatus == "STOPPED" && *all[0].Containers[0].ExitCode == 0
	})
	killed(run)
	s.faults(`{}`)
	if r := up(); r.code != 0 || strings.Contains(r.err, "release-command: once") || len(tasks("book-app:7")) != 1 {
		t.Errorf("behind a success that was not noted there are %d tasks, exit code %d\n%s%s", len(tasks("book-app:7")), r.code, r.out, r.err)
	}
	serves("book-app:7")

	// Going back runs none: what it goes back to had its own.
	if r := s.run("rollback", "--local", "--to", "1"); r.code != 0 || strings.Contains(r.err, "release-command          creating") || strings.Contains(r.err, "release-command: the") {
		t.Errorf("rollback: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if r := s.run("destroy", "--local", "--yes", "--purge-snapshots"); r.code != 0 || !strings.Contains(r.out+r.err, " 0 left") {
		t.Errorf("destroy: exit code %d\n%s%s", r.code, r.out, r.err)
	}
}

// TestTheFirstReleaseCommandWaitsForItsRoles runs one in a stack without a database, whose
// roles are some seconds old by then, and ECS can't assume them yet.
func TestTheFirstReleaseCommandWaitsForItsRoles(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	s.byHand(t, map[string]any{"roleSeconds": 20}, "--scale", "0.01")
	s.run("up", "--local", "--no-database", "--image", ownService(t), "--release-command", "say migrated").says(t, 0,
		"the role is not known everywhere yet", "release-command: migrated")
}

// TestAReleaseCommandIsOutOfTime gives a command that hangs the shortest time there is.
func TestAReleaseCommandIsOutOfTime(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	s.must("local", "start")
	s.run("up", "--local", "--release-timeout", "0").says(t, 64, "release timeout 0 minutes: choose 1 to 1440")
	s.run("up", "--local", "--no-database", "--image", ownService(t), "--release-command", "wait", "--release-timeout", "1").says(t, 1,
		"is at work, for 1m at most; Ctrl-C stops it, and 'bookctl logs --local --follow --task ", "release-command: waiting",
		`"wait" in task `, " was at work for longer than 1m, and is stopped; it wrote last: waiting", "'bookctl up --local --release-timeout 2' gives it more time")
	containers, cluster := ecs.NewFromConfig(s.config()), aws.String("book-cluster")
	until(t, "the task is stopped", func() bool {
		return len(done[*ecs.ListTasksOutput](t)(containers.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: cluster})).TaskArns) == 0
	})
}
