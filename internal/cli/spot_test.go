package cli_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// spotStatus is what a status says of the tasks on Fargate Spot.
type spotStatus struct {
	Healthy bool
	Tasks   []struct {
		ID, Status string
		Spot       bool
	}
	Targets []struct{ Health string }
	Spot    struct {
		Interrupted []struct {
			ID, StopCode, Reason string
			Stopped              time.Time
		}
		Unplaced string
	}
}

func (s *shell) spotStatus(t *testing.T) (out spotStatus) {
	t.Helper()
	decode(t, s.run("status", "--local", "--output", "json").out, &out)
	return out
}

// onSpot are the ids of the tasks on Fargate Spot, and how many there are besides.
func (o spotStatus) onSpot() (ids []string, others int) {
	for _, task := range o.Tasks {
		if task.Spot {
			ids = append(ids, task.ID)
		} else {
			others++
		}
	}
	return ids, others
}

// shows fails the test unless a command ended so and printed that.
func shows(t *testing.T, r result, code int, texts ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d; want %d\n%s%s", r.code, code, r.out, r.err)
	}
	for _, text := range texts {
		if !strings.Contains(r.out, text) {
			t.Errorf("%q is not in:\n%s", text, r.out)
		}
	}
}

// TestSpotTasksAreTakenBackWithoutAFailedRequest runs a stack on Fargate Spot, has tasks
// taken back under load, takes the capacity away, and goes back to tasks on demand.
func TestSpotTasksAreTakenBackWithoutAFailedRequest(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	s.must("local", "start")
	before := s.inventory()
	url := s.up("--count", "3", "--spot")
	if code, body := call(t, "POST", url+"/books", `{"name":"Dune","author":"Frank Herbert"}`); code != http.StatusCreated {
		t.Fatalf("POST: %d %s", code, body)
	}
	if ids, others := s.spotStatus(t).onSpot(); len(ids) != 2 || others != 1 {
		t.Errorf("%d tasks run on Spot and %d on demand; want 2 and 1", len(ids), others)
	}
	shows(t, s.run("status", "--local"), 0, "on Spot", "1 of the tasks on demand, those beyond on Fargate Spot")

	load := startLoad(t, url+"/books/Dune", 4, 15*time.Millisecond)
	out := s.must("local", "interrupt", "--output", "json")
	if err := fitsSchema(out); err != nil {
		t.Error(err)
	}
	var taken struct{ Task string }
	decode(t, out, &taken)
	until(t, "another task serves in the place of "+taken.Task, func() bool {
		now := s.spotStatus(t)
		ids, others := now.onSpot()
		return now.Healthy && len(now.Targets) == 3 && len(ids) == 2 && others == 1 && !slices.Contains(ids, taken.Task) &&
			len(now.Spot.Interrupted) == 1 && !now.Spot.Interrupted[0].Stopped.IsZero()
	})
	load.unharmed(t)
	if end := s.spotStatus(t).Spot.Interrupted[0]; end.ID != taken.Task || end.StopCode != "SpotInterruption" || end.Reason != "Your Spot Task was interrupted." {
		t.Errorf("the end of task %s is reported as %+v", taken.Task, end)
	}
	shows(t, s.run("status", "--local"), 0, "task "+taken.Task[:8]+" ended ", "SpotInterruption: Your Spot Task was interrupted.")
	s.run("local", "interrupt", "nothing").says(t, 1, "no task nothing runs on Fargate Spot", "next: ")

	// Without capacity what runs on demand goes on serving, and ECS tries again.
	s.faults(`{"tasks": {"noSpot": true}}`)
	s.must("local", "interrupt")
	until(t, "a task can't be placed", func() bool {
		return strings.Contains(s.spotStatus(t).Spot.Unplaced, "Capacity is unavailable at this time")
	})
	shows(t, s.run("status", "--local"), 3, "a task can't be placed: Capacity is unavailable at this time", "ECS tries again by itself; a higher --spot-base runs more on demand")
	s.faults(`{}`)
	until(t, "there is capacity again", func() bool { return s.spotStatus(t).Healthy })

	s.run("up", "--local").says(t, 0, "0 changed")
	s.run("up", "--local", "--spot=false").says(t, 0, "updated")
	if ids, others := s.spotStatus(t).onSpot(); len(ids) != 0 || others != 3 {
		t.Errorf("without --spot %d tasks run on Spot and %d on demand; want 0 and 3", len(ids), others)
	}
	if service := s.service(); service.LaunchType != "FARGATE" || len(service.CapacityProviderStrategy) > 0 {
		t.Errorf("the service has the launch type %q, and the strategy %v", service.LaunchType, service.CapacityProviderStrategy)
	}
	shows(t, s.run("plan", "--local"), 0)
	s.must("destroy", "--local", "--yes", "--purge-snapshots")
	if left := s.inventory(); !slices.Equal(left, before) {
		t.Errorf("destroy leaves %v; there was %v", left, before)
	}
}

func TestSpotLeavesTheLoadBalancerTimeToNotice(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.run("plan", "--local", "--spot", "--stop-timeout", "15").says(t, 64, "stop timeout 15 s: with --spot choose 16 to 120 s", "--stop-timeout")
	s.run("plan", "--local", "--spot").says(t, 2, "all tasks run on demand: there are at most 1, and --spot is for those beyond --spot-base 1")
	s.run("plan", "--local", "--spot", "--spot-base", "-1").says(t, 64, "spot base -1: choose 0 to 5000 tasks")
	s.run("plan", "--local", "--spot", "--env", "TASK_DRAIN=5").says(t, 64, "TASK_DRAIN is set by bookctl: --spot chooses it")
}
