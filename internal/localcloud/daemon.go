package localcloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/localcloud/atomicfile"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/process"
)

// Info is what a running cloud says of itself.
type Info struct {
	// PID is the process that serves it.
	PID int `json:"pid"`
	// Endpoint is the address of all services.
	Endpoint string `json:"endpoint"`
	// Started is when it was opened.
	Started time.Time `json:"started"`
	// Version is that of the bookctl which serves it.
	Version string `json:"version"`
	// Account and Region are its only ones.
	Account string `json:"account"`
	Region  string `json:"region"`
	// TrustBundle is the file of its certificate authority.
	TrustBundle string `json:"trustBundle" doc:"File of its certificate authority."`
	// Engine runs what is not a static program, such as "docker 28.0.1
	// (/var/run/docker.sock)", or says after "none" why nothing does.
	Engine string `json:"engine" doc:"What runs images that are not static programs, such as docker 28.0.1 (/var/run/docker.sock), or none, with the reason after a colon."`
}

// DefaultStateDir is $XDG_STATE_HOME/bookctl/local, or ~/.local/state/bookctl/local.
// https://specifications.freedesktop.org/basedir-spec/latest/
func DefaultStateDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "bookctl", "local"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", hint.With(fmt.Errorf("find a place for the local cloud's state: %w", err), "set XDG_STATE_HOME")
	}
	return filepath.Join(home, ".local", "state", "bookctl", "local"), nil
}

// LogFile is where a cloud in the background writes its log.
func LogFile(stateDir string) string { return filepath.Join(stateDir, "cloud.log") }

func infoFile(stateDir string) string { return filepath.Join(stateDir, "running.json") }

func (c *Cloud) info() Info {
	return Info{
		PID: os.Getpid(), Endpoint: c.Endpoint(), Started: c.kernel.Started(), Version: c.cfg.Version,
		Account: c.kernel.Account(), Region: c.kernel.Region(), TrustBundle: c.TrustBundle(), Engine: c.runtimes.Containers.EngineName(),
	}
}

// Run opens a cloud, says where it is found and serves until ctx ends; then it
// closes the cloud. ready, if not nil, is called once it serves. It is the whole
// of a cloud in the background.
func Run(ctx context.Context, cfg Config, ready func(Info)) error {
	c, err := Open(ctx, cfg)
	if err != nil {
		return err
	}
	text, err := json.Marshal(c.info())
	if err == nil {
		err = atomicfile.Write(infoFile(cfg.StateDir), text, 0o600)
	}
	if err == nil {
		if ready != nil {
			ready(c.info())
		}
		<-ctx.Done()
	}
	// What must still be ended is not to be cut short by the signal that asks
	// for it.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	err = errors.Join(err, c.Close(grace))
	if removed := os.Remove(infoFile(cfg.StateDir)); !errors.Is(removed, fs.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	return err
}

// Running finds the cloud that serves from the state directory, if there is one
// and it answers. An info file that a killed cloud left behind is no cloud.
func Running(ctx context.Context, stateDir string) (Info, bool, error) {
	text, err := os.ReadFile(infoFile(stateDir))
	if errors.Is(err, fs.ErrNotExist) {
		return Info{}, false, nil
	}
	var written Info
	if err == nil {
		err = json.Unmarshal(text, &written)
	}
	if err != nil {
		return Info{}, false, fmt.Errorf("find the local cloud: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, written.Endpoint+"/_bookctl/health", nil)
	if err != nil {
		return Info{}, false, fmt.Errorf("find the local cloud: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return Info{}, false, nil // nobody listens: that is the answer
	}
	defer func() { _ = resp.Body.Close() }() // only read
	var answered Info
	if err := json.NewDecoder(resp.Body).Decode(&answered); err != nil || answered.PID != written.PID {
		return Info{}, false, nil // somebody else has the port now
	}
	return answered, true, nil
}

// Interrupt has a running cloud take a task on Fargate Spot back, the newest where none is
// named, and returns its id.
func Interrupt(ctx context.Context, info Info, task string) (id string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, info.Endpoint+"/_bookctl/interrupt?task="+url.QueryEscape(task), nil)
	if err != nil {
		return "", fmt.Errorf("interrupt a task: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("interrupt a task: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err == nil && resp.StatusCode != http.StatusOK {
		return "", errors.New(strings.TrimSpace(string(text)))
	}
	var out struct{ Task string }
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		return "", fmt.Errorf("interrupt a task: %w", err)
	}
	return out.Task, nil
}

// HasState reports whether anything was ever made in the cloud of the state directory.
func HasState(stateDir string) bool {
	_, err := os.Stat(kernel.StateFile(stateDir))
	return err == nil
}

// Stop ends the cloud of the state directory in good order and returns when it
// and all its databases and tasks are gone. It says whether there was one.
func Stop(ctx context.Context, stateDir string) (bool, error) {
	info, running, err := Running(ctx, stateDir)
	if err != nil || !running {
		return false, err
	}
	if err := process.Signal(info.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return true, fmt.Errorf("stop the local cloud, process %d: %w", info.PID, err)
	}
	// The lock outlives everything else of the cloud.
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c := &Cloud{cfg: Config{StateDir: stateDir}}
		err := c.lockState()
		if err == nil {
			c.unlock()
			return true, nil
		}
		if !errors.Is(err, ErrInUse) {
			return true, err
		}
		select {
		case <-ctx.Done():
			return true, fmt.Errorf("the local cloud, process %d, has not ended yet: %w", info.PID, ctx.Err())
		case <-tick.C:
		}
	}
}
