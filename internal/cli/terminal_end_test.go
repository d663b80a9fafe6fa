package cli_test

import (
	"bufio"
	"io"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

// released reports whether a run has given the stack's lock back.
func (h *byHand) released() bool {
	h.Helper()
	out, err := ssm.NewFromConfig(h.Config).GetParametersByPath(h.Context(), &ssm.GetParametersByPathInput{Path: aws.String("/bookctl/book/lock"), Recursive: aws.Bool(true)})
	h.must(err)
	return len(out.Parameters) == 1 && strings.Contains(*out.Parameters[0].Value, `"released":true`)
}

// TestARunOutlivesItsTerminal has the terminal of a run go away, and whoever reads its output: it
// ends as by a Ctrl-C, and gives its lock back. Under nohup it goes on.
func TestARunOutlivesItsTerminal(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t, "TERM=xterm-256color")
	h := s.byHand(t, nil, "--latencies", "aws", "--scale", "0.04") // a database takes 10 s
	databases := rds.NewFromConfig(h.Config)
	args := append([]string{"up", "--local"}, imageless()...)
	atWork := func() {
		t.Helper()
		until(t, "the run waits for the database", func() bool {
			out, err := databases.DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{})
			h.must(err)
			return len(out.DBInstances) == 1 && *out.DBInstances[0].DBInstanceStatus == "creating"
		})
	}
	again := func() {
		t.Helper()
		if !h.released() {
			t.Error("the run has left its lock")
		}
		s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, " 0 left")
	}

	m := openTerminal(t, s.command(args...), 100, 24)
	atWork()
	if err := m.pty.Close(); err != nil {
		t.Fatal(err)
	}
	if code := m.wait(); code != 130 {
		t.Errorf("exit code %d of a run whose terminal went away, want 130", code)
	}
	again()

	// The shell says it, and then the kernel.
	run := s.begin(t, args...)
	atWork()
	for range 2 {
		h.must(run.Process.Signal(syscall.SIGHUP))
	}
	run.end(t).says(t, 130, "bookctl: interrupted while at work on ", "next: what was created is kept")
	again()

	// A Ctrl-C ends both sides of a pipe.
	cmd := s.command(args...)
	read, err := cmd.StderrPipe()
	h.must(err)
	h.must(cmd.Start())
	lines := bufio.NewReader(read)
	for line := ""; !strings.Contains(line, "database "); {
		if line, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	h.must(read.Close())
	h.must(cmd.Process.Signal(syscall.SIGINT))
	_ = cmd.Wait() // the exit code is looked at
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d (%s) of a run that nobody reads any more, want 130", code, cmd.ProcessState)
	}
	again()

	nohup := exec.Command("sh", append([]string{"-c", `trap "" HUP; exec "$0" "$@"`, s.program}, args...)...)
	nohup.Env, nohup.Stdout, nohup.Stderr = slices.Clone(s.env), io.Discard, io.Discard
	h.must(nohup.Start())
	atWork()
	h.must(nohup.Process.Signal(syscall.SIGHUP))
	if err := nohup.Wait(); err != nil {
		t.Errorf("a run under nohup: %v", err)
	}
	again()
}
