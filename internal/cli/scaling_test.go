package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	autoscaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scalingtypes "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// TestTheFirstScalingOfAnAccountWaitsForItsRole, which this run makes, and which Application
// Auto Scaling can't assume at once.
func TestTheFirstScalingOfAnAccountWaitsForItsRole(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, map[string]any{"noServiceLinkedRoles": true}, "--scale", "0.01")
	s.up(append(imageless(), "--no-database")...)
	h.faults(map[string]any{"roleSeconds": 5})
	s.run("up", "--local", "--wait=false", "--min", "1", "--max", "2").says(t, 0, "the service-linked role is not known everywhere yet")
	s.run("up", "--local", "--wait=false").says(t, 0, "Up to date", "0 changed")
}

// TestTheLoadScalesTheServiceAndIsNoDrift drives the number of tasks up and lets
// it come down again, while plan, status and up look on.
func TestTheLoadScalesTheServiceAndIsNoDrift(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	s := newShell(t)
	s.must("local", "start", "--scale", "0.2") // five looks a second
	url := s.up("--min", "1", "--max", "3")
	reaches := func(want int32) {
		t.Helper()
		var now ecstypes.Service
		for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
			if now = s.service(); now.DesiredCount == want && now.RunningCount == want {
				return
			}
		}
		t.Fatalf("%d tasks are wanted and %d run, and not %d", now.DesiredCount, now.RunningCount, want)
	}
	noDrift := func(tasks int) {
		t.Helper()
		if r := s.run("plan", "--local"); r.code != 0 || !strings.Contains(r.out, "Nothing to do") {
			t.Errorf("with %d tasks, plan: exit code %d\n%s%s", tasks, r.code, r.out, r.err)
		}
		if r := s.run("status", "--local"); strings.Contains(r.out, "Drift") {
			t.Errorf("with %d tasks, status:\n%s", tasks, r.out)
		}
		if r := s.run("up", "--local", "--output", "json"); r.code != 0 || !strings.Contains(r.out, `"apiWrites":0`) {
			t.Errorf("with %d tasks, up writes: exit code %d\n%s%s", tasks, r.code, r.out, r.err)
		}
	}
	// Some hundreds of requests a second, where one target may have one hundred.
	load := startLoad(t, url+"/books", 8, 2*time.Millisecond)
	reaches(3)
	noDrift(3)
	// A machine that is busy otherwise may send too little for a moment, and have a task
	// taken away.
	until(t, "status shows the three tasks", func() bool { return strings.Contains(s.must("status", "--local"), "3/3 running") })
	load.unharmed(t)
	reaches(1)
	noDrift(1)
	// Without bounds the number is the user's again.
	s.up("--max", "0", "--count", "2")
	if n := s.service().DesiredCount; n != 2 {
		t.Errorf("after --max 0 --count 2 there are %d", n)
	}
}

// TestABoundThatMovesLeavesTheTasksAlone has five tasks that the load has made, a
// bound that moves, and somebody's schedule.
func TestABoundThatMovesLeavesTheTasksAlone(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up(append(imageless(), "--min", "1", "--max", "6")...)
	s.updateService(ecs.UpdateServiceInput{DesiredCount: aws.Int32(5)})
	s.up(append(imageless(), "--min", "2")...)
	if n := s.service().DesiredCount; n != 5 {
		t.Errorf("with --min 2, five tasks become %d", n)
	}
	s.up(append(imageless(), "--max", "4")...)
	if n := s.service().DesiredCount; n != 4 {
		t.Errorf("with --max 4, five tasks become %d", n)
	}
	id := aws.String("service/book-cluster/book-service")
	h.must(ok(autoscaling.NewFromConfig(h.Config).PutScheduledAction(t.Context(), &autoscaling.PutScheduledActionInput{
		ServiceNamespace: scalingtypes.ServiceNamespaceEcs, ResourceId: id, ScalableDimension: scalingtypes.ScalableDimensionECSServiceDesiredCount,
		ScheduledActionName: aws.String("morning"), Schedule: aws.String("at(" + time.Now().UTC().Add(time.Second).Format("2006-01-02T15:04:05") + ")"),
		ScalableTargetAction: &scalingtypes.ScalableTargetAction{MinCapacity: aws.Int32(7), MaxCapacity: aws.Int32(9)},
	})))
	until(t, "the schedule has changed the bounds", func() bool { return s.service().DesiredCount == 7 })
	s.run(append([]string{"up", "--local"}, imageless()...)...).says(t, 0, "0 changed")
	if n := s.service().DesiredCount; n != 7 {
		t.Errorf("of the seven tasks of the schedule, up leaves %d", n)
	}
}
