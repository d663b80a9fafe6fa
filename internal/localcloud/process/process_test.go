package process_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/localcloud/process"
)

func TestStopSendsTheSignalFirst(t *testing.T) {
	t.Parallel()
	p := start(t, `trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done`, process.Options{})
	p.Stop(context.Background(), syscall.SIGTERM, time.Minute)
	if got := p.ExitCode(); got != 7 {
		t.Errorf("exit code %d, want the one of the signal's handler, 7", got)
	}
}

func TestStopKillsWhatIgnoresTheSignal(t *testing.T) {
	t.Parallel()
	p := start(t, `trap '' TERM; echo ready; while :; do sleep 0.05; done`, process.Options{})
	p.Stop(context.Background(), syscall.SIGTERM, 50*time.Millisecond)
	if got := p.ExitCode(); got != 137 {
		t.Errorf("exit code %d, want 137 (killed)", got)
	}
}

func TestReapEndsWhatADeadCloudLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	// Not written by this process: what another test forks meanwhile would have it open
	// for writing, and it could not be run (https://go.dev/issue/22315).
	if out, err := exec.Command("cp", sleep, program).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	run := func() (*exec.Cmd, string) {
		cmd := exec.Command(program, "1000")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() { _ = cmd.Wait() }() // reaped here; its end is checked below
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		pidFile := filepath.Join(t.TempDir(), "pid")
		if err := os.WriteFile(pidFile, fmt.Appendln(nil, cmd.Process.Pid), 0o600); err != nil {
			t.Fatal(err)
		}
		return cmd, pidFile
	}

	ours, pidFile := run()
	if err := process.Reap(pidFile, dir); err != nil {
		t.Fatal(err)
	}
	for process.Alive(ours.Process.Pid) {
		time.Sleep(time.Millisecond)
	}

	other, pidFile := run()
	if err := process.Reap(pidFile, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if !process.Alive(other.Process.Pid) {
		t.Error("a process of another program was ended")
	}
}

func TestAProgramThatIsStillOpenForWritingIsStartedOnceItIsNot(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "program")
	file, err := os.OpenFile(program, os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("#!/bin/sh\necho \"$1 $WORD\"\nexit 7\n"); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command(program).Run(); !errors.Is(err, syscall.ETXTBSY) {
		t.Skipf("this system runs what is open for writing: %v", err)
	}
	time.AfterFunc(50*time.Millisecond, func() { _ = file.Close() }) // it is written already
	var out bytes.Buffer
	p, err := process.Start(&exec.Cmd{Path: program, Args: []string{program, "one"}, Env: []string{"WORD=two"}, Stdout: &out}, process.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if code := p.ExitCode(); code != 7 || out.String() != "one two\n" {
		t.Errorf("exit code %d, output %q", code, out.String())
	}
}

// The helper process of this test starts a child and is killed; the kernel must
// take the child along.
func TestTheKernelEndsChildrenOfADeadCloud(t *testing.T) {
	t.Parallel()
	if os.Getenv("PROCESS_TEST_PARENT") != "" {
		p, err := process.Start(exec.Command("sleep", "1000"), process.Options{})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("child %d\n", p.PID())
		<-p.Done()
		return
	}
	if !process.EndsWithCloud {
		t.Skip("this platform has no parent death signal")
	}
	parent := exec.Command(os.Args[0], "-test.run=^TestTheKernelEndsChildrenOfADeadCloud$")
	parent.Env = append(os.Environ(), "PROCESS_TEST_PARENT=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	child := 0
	for lines := bufio.NewScanner(out); child == 0 && lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "child "); ok {
			if child, err = strconv.Atoi(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if child == 0 || !process.Alive(child) {
		t.Fatalf("child %d does not run", child)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // killed: its error is expected
	for range 1000 {
		if !running(child) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("child %d outlived its parent", child)
}

// running is false for a zombie that nobody has waited for yet.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func start(t *testing.T, script string, opts process.Options) *process.Process {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = write
	p, err := process.Start(cmd, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(context.Background(), syscall.SIGKILL, time.Second) })
	_ = write.Close()
	if line, err := bufio.NewReader(read).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("read %q, %v", line, err)
	}
	return p
}

// TestAnotherCloudDoesNotTakeADataDirectoryInUseForAnOrphan opens a data directory that lies apart
// again and again, as each part of a cloud does, while another cloud looks for orphans to purge.
func TestAnotherCloudDoesNotTakeADataDirectoryInUseForAnOrphan(t *testing.T) {
	t.Parallel()
	nobody, err := process.Unprivileged("nobody")
	if err != nil || !nobody.Drop {
		t.Skip("all data is in the state directory, unless the cloud's user is root")
	}
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(closed, "state")
	if err := os.Mkdir(state, 0o711); err != nil {
		t.Fatal(err)
	}
	dir, err := process.SystemDataDir(state)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	opened := make(chan error, 1)
	go func() {
		var errs []error
		for range 2000 {
			got, err := process.DataDir(state, nobody)
			if err == nil && got != dir {
				err = fmt.Errorf("the data directory is %s, want %s", got, dir)
			}
			errs = append(errs, err)
		}
		opened <- errors.Join(errs...)
	}()
	for {
		select {
		case err := <-opened:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
		orphans, err := process.OrphanedDataDirs()
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(orphans, dir) {
			t.Fatalf("%s is in use, and counts as an orphan", dir)
		}
	}
}
