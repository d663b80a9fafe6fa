package runlock

import (
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// TestAProcessThatProcHidesIsNotDead has the lock held by a process of which proc does not
// tell, as if it were mounted with hidepid and the process were another user's.
func TestAProcessThatProcHidesIsNotDead(t *testing.T) {
	t.Parallel()
	if machine() == "" {
		t.Skip("holders are known to be dead on Linux alone")
	}
	if _, err := os.Stat(procfs + "/" + strconv.Itoa(os.Getppid()) + "/stat"); err != nil {
		t.Skip(err)
	}
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	unburied := exec.Command("true")
	if err := unburied.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unburied.Wait() })
	for deadline := time.Now().Add(10 * time.Second); running(procfs, unburied.Process.Pid); {
		if time.Now().After(deadline) {
			t.Fatal("a process that has ended, and that nobody waited for, counts as running")
		}
		time.Sleep(10 * time.Millisecond)
	}
	for name, c := range map[string]struct {
		proc    string
		process int
		running bool
	}{
		"its parent":                   {procfs, os.Getppid(), true},
		"its parent, hidden":           {t.TempDir(), os.Getppid(), true},
		"a process that ended":         {procfs, ended.Process.Pid, false},
		"a process that ended, hidden": {t.TempDir(), ended.Process.Pid, false},
	} {
		if got := running(c.proc, c.process); got != c.running {
			t.Errorf("%s is running: %t, want %t", name, got, c.running)
		}
	}
}
