package main_test

import (
	"strings"
	"testing"
	"time"
)

// TestTheLoadScalesTheServiceAndIsNoDrift drives the number of tasks up and lets
// it come down again, while plan, status and up look on.
func TestTheLoadScalesTheServiceAndIsNoDrift(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	needAWS(t)
	s := newShell(t)
	s.must("local", "start", "--scale", "0.2") // five looks a second
	url := s.up("--min", "1", "--max", "3")
	tasks := func() (desired, running int) {
		var out struct {
			Services []struct{ DesiredCount, RunningCount int }
		}
		decode(t, s.aws("ecs", "describe-services", "--cluster", "book-cluster", "--services", "book-service"), &out)
		return out.Services[0].DesiredCount, out.Services[0].RunningCount
	}
	reaches := func(want int) {
		t.Helper()
		desired, running := 0, 0
		for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
			if desired, running = tasks(); desired == want && running == want {
				return
			}
		}
		t.Fatalf("%d tasks are wanted and %d run, and not %d", desired, running, want)
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
	if out := s.must("status", "--local"); !strings.Contains(out, "3/3 running") {
		t.Errorf("status:\n%s", out)
	}
	load.unharmed(t)
	reaches(1)
	noDrift(1)
	// Without bounds the number is the user's again.
	s.up("--max", "0", "--count", "2")
	if desired, _ := tasks(); desired != 2 {
		t.Errorf("after --min 0 --max 0 --count 2 there are %d", desired)
	}
}
