package kill_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/memory"
	"github.com/bookctl/bookctl/internal/provision"
)

// TestASessionNeedsATaskWhoseAgentRuns opens tunnels while the agents of ECS Exec start, and
// where they have stopped; and to one of more tasks than a page of ECS has.
func TestASessionNeedsATaskWhoseAgentRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &account{image: noImage}
		a.open(t, localcloud.Config{StateDir: t.TempDir(), Runtimes: memory.Runtimes}, 8080)
		time.Sleep(time.Minute) // the name of the lock is free again
		c := provision.NewClients(a.config(&wire{}))
		up := func(count int32, faults localcloud.TaskFaults) {
			t.Helper()
			a.SetFaults(localcloud.Faults{Tasks: faults})
			a.spec.Count, a.spec.Exec = count, true
			if err := a.up(t.Context(), &wire{}); err != nil {
				t.Fatal(err)
			}
		}
		var notes []string
		tunnel := func(task string) error {
			notes = nil
			to, err := provision.ReadConnection(t.Context(), c, a.spec.Stack)
			if err != nil {
				t.Fatal(err)
			}
			_, err = provision.Tunnel(t.Context(), c, a.spec.Stack, task, to, 5432, func(note string) { notes = append(notes, note) })
			return err
		}

		up(1, localcloud.TaskFaults{ExecPending: true})
		begun := time.Now()
		lifted := time.AfterFunc(10*time.Second, func() { a.SetFaults(localcloud.Faults{}) })
		if err := tunnel(""); err != nil || len(notes) != 1 || !strings.Contains(notes[0], "waiting up to 30s for the agent of ECS Exec in task ") || time.Since(begun) < 10*time.Second {
			t.Errorf("an agent that starts after 10 s: %v after %s, with the notes %q", err, time.Since(begun), notes)
		}
		lifted.Stop()
		if err := tunnel(""); err != nil || len(notes) > 0 {
			t.Errorf("an agent that runs: %v, with the notes %q", err, notes)
		}

		restart := func(faults localcloud.TaskFaults) {
			t.Helper()
			a.SetFaults(localcloud.Faults{Tasks: faults})
			if _, err := provision.Restart(t.Context(), c, a.spec.Stack, a.spec.Settings, func(string) {}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute) // the agents have started, or not
		}
		restart(localcloud.TaskFaults{ExecPending: true})
		begun = time.Now()
		if err := tunnel(""); !errors.Is(err, provision.ErrNoAgent) || !strings.Contains(err.Error(), "it is PENDING") || time.Since(begun) > time.Minute {
			t.Errorf("an agent that never starts: %v after %s", err, time.Since(begun))
		}
		restart(localcloud.TaskFaults{NoExec: true})
		if err := tunnel(""); !errors.Is(err, provision.ErrNoAgent) || !strings.Contains(err.Error(), "it is STOPPED") || len(notes) > 0 {
			t.Errorf("an agent that stopped: %v, with the notes %q", err, notes)
		}

		// One of many has one that stopped, and any other is taken.
		stopped, err := provision.Tasks(t.Context(), c, a.spec.Stack)
		if err != nil {
			t.Fatal(err)
		}
		up(110, localcloud.TaskFaults{})
		time.Sleep(time.Minute)
		if err := tunnel(""); err != nil {
			t.Errorf("with agents that run and one that stopped: %v", err)
		}
		all, err := provision.Tasks(t.Context(), c, a.spec.Stack)
		if err != nil {
			t.Fatal(err)
		}
		running := 0
		for _, task := range all {
			if task.Status != "RUNNING" {
				continue
			}
			running++
			if err := tunnel(task.ID); (err == nil) != (task.ID != stopped[0].ID) {
				t.Errorf("to task %s, where the agent of %s has stopped: %v", task.ID, stopped[0].ID, err)
			}
		}
		if running != 110 {
			t.Errorf("%d of 110 tasks are seen", running)
		}
	})
}
