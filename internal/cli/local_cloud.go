package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// localDirVariable is the environment variable for the directory of the local cloud; there
// is no flag for it.
const localDirVariable = "BOOKCTL_LOCAL_DIR"

// localDir is the state directory of the local cloud: localDirVariable, or the user's state
// directory.
func localDir() (string, error) {
	if dir := os.Getenv(localDirVariable); dir != "" {
		return filepath.Abs(dir)
	}
	return localcloud.DefaultStateDir()
}

// errNotRunning is the error of commands that need a running local cloud and do not start
// one.
var errNotRunning = errors.New("the local cloud is not running")

// localCloud finds the running local cloud.
func localCloud(ctx context.Context) (localcloud.Info, error) {
	dir, err := localDir()
	if err != nil {
		return localcloud.Info{}, err
	}
	info, running, err := localcloud.Running(ctx, dir)
	if err == nil {
		err = context.Cause(ctx) // nobody can be asked then
	}
	if err != nil {
		return info, err
	}
	if !running {
		return info, hint.With(errNotRunning, "%s starts it; so does %s", hint.Command("local", "start"), hint.Command("up", "--local"))
	}
	return info, nil
}

// ensureLocalCloud starts the local cloud if it is not running. It does not start it if the
// port for the stack (0: any) is in use: the failed run would leave the cloud behind.
func ensureLocalCloud(ctx context.Context, rep reporter, region string, port int32) error {
	dir, err := localDir()
	if err != nil {
		return err
	}
	if _, running, err := localcloud.Running(ctx, dir); err != nil || running {
		return err
	}
	if port > 0 && port <= 65535 { // prepare has words for any other
		if err := portIsFree(port); err != nil {
			return err
		}
	}
	rep.note("starting the local cloud in %s", dir)
	_, err = startLocalCloud(ctx, dir, []string{"--in", region})
	return err
}

// planBeforeStart gives a plan before the first 'up' a local cloud: an empty one in this
// process, which leaves nothing behind. End ends it.
func (g *globals) planBeforeStart(ctx context.Context) (end func(), err error) {
	dir, err := localDir()
	if err != nil {
		return nil, err
	}
	if _, running, err := localcloud.Running(ctx, dir); err != nil || running || localcloud.HasState(dir) {
		return func() {}, err // what a stopped one has is not known
	}
	scratch, err := os.MkdirTemp("", "bookctl-plan-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the plan: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	ready := make(chan localcloud.Info, 1)
	ended := graph.Start(func() error {
		return localcloud.Run(ctx, localcloud.Config{StateDir: scratch, Region: g.region, Version: version()}, func(i localcloud.Info) { ready <- i })
	})
	end = func() {
		stop()
		<-ended                   //nolint:errcheck // it was stopped
		_ = os.RemoveAll(scratch) // what is left is of nobody
	}
	select {
	case info := <-ready:
		g.planCloud = &info
		return end, nil
	case err := <-ended:
		if cause := context.Cause(ctx); cause != nil {
			err = fmt.Errorf("%w: a local cloud for the plan was still starting", cause)
		} else {
			err = fmt.Errorf("plan without a local cloud: %w", err)
		}
		stop()
		return nil, errors.Join(err, os.RemoveAll(scratch))
	}
}

// startLocalCloud runs 'bookctl local serve' in the background and waits until
// it answers.
func startLocalCloud(ctx context.Context, dir string, args []string) (localcloud.Info, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return localcloud.Info{}, fmt.Errorf("make the local cloud's directory: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return localcloud.Info{}, fmt.Errorf("find this program: %w", err)
	}
	log, err := os.OpenFile(localcloud.LogFile(dir), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return localcloud.Info{}, fmt.Errorf("open the local cloud's log: %w", err)
	}
	defer log.Close()
	begun, _ := log.Seek(0, io.SeekEnd)
	cmd := exec.Command(self, append([]string{"local", "serve", "--dir", dir}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = background()
	if err := cmd.Start(); err != nil {
		return localcloud.Info{}, fmt.Errorf("start the local cloud: %w", err)
	}
	ended := graph.Start(cmd.Wait)
	for {
		info, running, err := localcloud.Running(ctx, dir)
		if err == nil && running {
			return info, nil
		}
		select {
		case <-ctx.Done():
			return info, fmt.Errorf("%w: the local cloud was still starting", context.Cause(ctx))
		case err := <-ended:
			words, next := lastWords(localcloud.LogFile(dir), begun)
			return info, hint.With(fmt.Errorf("the local cloud did not start (%w): %s", err, words), "%s", next)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lastWords is the error of a local cloud in its log, behind a position in it, and its next
// step.
func lastWords(file string, from int64) (words, next string) {
	next = "look at its log, " + file
	f, err := os.Open(file)
	if err != nil {
		return err.Error(), next
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, from, 64<<10))
	if err != nil {
		return err.Error(), next
	}
	words = strings.TrimSpace(string(text))
	if _, message, explained := strings.Cut(words, "bookctl: "); explained {
		words = message
		if why, step, ok := strings.Cut(message, "\nnext: "); ok {
			words, next = why, step
		}
	}
	return words, next
}
