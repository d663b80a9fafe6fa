package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Process is a running program and, after Done is closed, how it ended.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; read only after done
}

// Options say how a program is started.
type Options struct {
	// User is the user to run as; the zero value is the caller's own.
	User User
	// DeathSignal is sent by the kernel when the cloud dies, where the
	// platform has such a thing. Zero means SIGKILL.
	DeathSignal syscall.Signal
	// PIDFile, when set, holds the process id for as long as it runs, so that
	// a later run of the cloud can end it (see Reap).
	PIDFile string
}

// Start runs cmd in a process group of its own. cmd's SysProcAttr is
// overwritten, and it has none of exec's pipes. It returns once the program was
// started or could not be.
func Start(cmd *exec.Cmd, opts Options) (*Process, error) {
	if opts.DeathSignal == 0 {
		opts.DeathSignal = syscall.SIGKILL
	}
	cmd.SysProcAttr = attributes(opts.User)
	setDeathSignal(cmd.SysProcAttr, opts.DeathSignal)
	p := &Process{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The death signal is tied to the thread that forked, not to the
		// process, so that thread has to live as long as the child
		// (https://go.dev/issue/27505).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd, err := startFree(cmd)
		p.cmd = cmd
		if err == nil && opts.PIDFile != "" {
			if err = os.WriteFile(opts.PIDFile, fmt.Appendf(nil, "%d\n", cmd.Process.Pid), 0o600); err != nil {
				_ = cmd.Process.Kill() // the write error is the one to report
				_ = cmd.Wait()
			}
		}
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		// Whatever the program left behind in its group goes with it.
		_ = Signal(-cmd.Process.Pid, syscall.SIGKILL)
		if opts.PIDFile != "" {
			_ = os.Remove(opts.PIDFile) // a stale file is checked before use
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// startFree starts cmd, or a copy of it, once nobody has its program open for writing.
// Whatever this process forks while it unpacks an image holds the files open that are
// being written, until it has become another program, and so long the kernel refuses
// to run them (https://go.dev/issue/22315).
func startFree(cmd *exec.Cmd) (*exec.Cmd, error) {
	for try := 0; ; try++ {
		err := cmd.Start()
		if !errors.Is(err, syscall.ETXTBSY) || try == busyTries {
			return cmd, err
		}
		time.Sleep(busyPause)
		cmd = &exec.Cmd{
			Path: cmd.Path, Args: cmd.Args, Env: cmd.Env, Dir: cmd.Dir, Stdin: cmd.Stdin, Stdout: cmd.Stdout, Stderr: cmd.Stderr,
			ExtraFiles: cmd.ExtraFiles, SysProcAttr: cmd.SysProcAttr, WaitDelay: cmd.WaitDelay,
		}
	}
}

// The tries and pauses of startFree come to five seconds, which a fork takes only on a
// machine that does nothing else.
const (
	busyTries = 250
	busyPause = 20 * time.Millisecond
)

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended and its output has been read.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitCode is the exit code after Done: 128 plus the signal's number for a
// program that a signal ended, as container runtimes report it.
func (p *Process) ExitCode() int {
	<-p.done
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return p.cmd.ProcessState.ExitCode()
}

// Signal sends a signal to the program itself. A program that has ended is no
// error.
func (p *Process) Signal(sig syscall.Signal) error {
	err := p.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Stop sends sig, waits up to grace and then kills the whole group. It returns
// when the program has ended; when ctx ends first the group is killed at once.
func (p *Process) Stop(ctx context.Context, sig syscall.Signal, grace time.Duration) {
	_ = p.Signal(sig) // one that can't be signalled is killed below
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return
	case <-timer.C:
	case <-ctx.Done():
	}
	_ = Signal(-p.PID(), syscall.SIGKILL) // ESRCH: it has just ended
	<-p.done
}

// Alive reports whether a process of that id exists.
func Alive(pid int) bool {
	err := Signal(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
