package container

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/localcloud/process"
)

// label names on everything in an engine the cloud that it is of; taskLabel the
// task.
const (
	label     = "bookctl.cloud"
	taskLabel = "bookctl.task"
)

// startTimeout is how long Podman's service may take to begin to answer.
const startTimeout = 30 * time.Second

// Config says whose an engine is and what its tasks reach.
type Config struct {
	// StateDir is the cloud's. What it has in the engine is named after it.
	StateDir string
	// Choice is one of Choices.
	Choice string
	// Relay is a command line that calls Relay; its program is a file of this
	// machine. It is what runs in each task's sandbox.
	Relay []string
	// Reach are the addresses that a task reaches on this machine: as it says them,
	// and where they really are. It is asked again and again.
	Reach func() map[string]string
}

// Engine is Docker or Podman, as far as one cloud uses it.
type Engine struct {
	cfg   Config
	place engineAddress
	id    string // of the cloud

	mu        sync.Mutex
	opened    *api
	info      *info                  // nil until it is needed
	service   *process.Process       // Podman's, if it was started here
	loads     map[string]*sync.Mutex // by image: each is loaded once
	sandboxes map[string]*sandbox    // by task
	relays    *relays
}

// loading keeps others from loading the same image meanwhile.
func (e *Engine) loading(image string) (unlock func()) {
	e.mu.Lock()
	lock, ok := e.loads[image]
	if !ok {
		lock = &sync.Mutex{}
		e.loads[image] = lock
	}
	e.mu.Unlock()
	lock.Lock()
	return lock.Unlock
}

// Open finds the engine of the choice. For None it is nil without an error, and
// for Auto nil with the reason. A Podman that has no service yet gets one when it
// is first needed.
func Open(ctx context.Context, cfg Config) (e *Engine, absent, err error) {
	if cfg.Choice == None {
		return nil, errors.New("not asked for"), nil
	}
	p, err := find(ctx, cfg.Choice)
	if err != nil {
		if cfg.Choice == Auto {
			return nil, err, nil
		}
		return nil, nil, hint.With(fmt.Errorf("find %s: %w", cfg.Choice, err), "install or start it, or begin with %s", hint.Command("local", "start", "--engine", None))
	}
	e, err = at(cfg, p)
	return e, nil, err
}

func at(cfg Config, p engineAddress) (*Engine, error) {
	dir, err := filepath.Abs(cfg.StateDir)
	if err != nil {
		return nil, err
	}
	cfg.StateDir = dir
	sum := sha256.Sum256([]byte(dir))
	return &Engine{cfg: cfg, place: p, id: hex.EncodeToString(sum[:6]), loads: map[string]*sync.Mutex{}, sandboxes: map[string]*sandbox{}}, nil
}

// String names the engine and where it is.
func (e *Engine) String() string {
	kind := e.place.kind
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.opened != nil {
		kind = e.opened.about.String()
	}
	return kind + " (" + e.place.String() + ")"
}

// Kind is Docker or Podman, by whose command a person reaches what runs there.
func (e *Engine) Kind() string { return e.place.kind }

// usedFile says in the state directory which engine may hold something of its
// cloud.
func usedFile(stateDir string) string { return filepath.Join(stateDir, "engine.json") }

type used struct{ Kind, Socket, Command string }

// api is the engine's, which is started if it has to be.
func (e *Engine) api(ctx context.Context) (*api, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.opened != nil && (e.service == nil || process.Alive(e.service.PID())) {
		return e.opened, nil
	}
	socket := e.place.socket
	if socket == "" {
		socket = filepath.Join(shortDir(e.id), "podman.sock")
		if err := e.serve(socket); err != nil {
			return nil, err
		}
	}
	a, err := e.await(ctx, socket)
	if err != nil {
		return nil, fmt.Errorf("open the API of %s: %w", e.place, err)
	}
	text, err := json.Marshal(used{e.place.kind, e.place.socket, e.place.command})
	if err == nil {
		err = os.WriteFile(usedFile(e.cfg.StateDir), text, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("note which engine is used: %w", err)
	}
	e.opened = a
	return a, nil
}

// info is what an engine can do.
type info struct{ MemoryLimit bool }

// limitsMemory reports whether the engine can limit the memory of a container. Podman starts
// a dozen other programs to answer that, so it is asked once, and only for a container.
func (e *Engine) limitsMemory(ctx context.Context, a *api) (bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.info == nil {
		var i info
		if err := a.call(ctx, http.MethodGet, "/info", nil, nil, &i); err != nil {
			return false, fmt.Errorf("ask %s what it can do: %w", e.place, err)
		}
		e.info = &i
	}
	return e.info.MemoryLimit, nil
}

// serve starts Podman's service, which ends with the cloud. What it runs does not.
func (e *Engine) serve(socket string) error {
	if err := os.MkdirAll(filepath.Dir(socket), 0o711); err != nil {
		return err
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	log, err := os.OpenFile(filepath.Join(e.cfg.StateDir, "podman.log"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the service has its own descriptor
	cmd := exec.Command(e.place.command, "system", "service", "--time=0", "unix://"+socket)
	// Where the machine has version 1 of cgroups, conmon leaves a file here.
	cmd.Dir = filepath.Dir(socket)
	cmd.Stdout, cmd.Stderr = log, log
	e.service, err = process.Start(cmd, process.Options{DeathSignal: syscall.SIGTERM})
	return err
}

func (e *Engine) await(ctx context.Context, socket string) (*api, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		a, err := dial(ctx, socket)
		if err == nil || e.service == nil {
			return a, err
		}
		select {
		case <-e.service.Done():
			text, _ := os.ReadFile(filepath.Join(e.cfg.StateDir, "podman.log")) // the exit code says enough without
			return nil, fmt.Errorf("podman system service ended with exit code %d: %s", e.service.ExitCode(), text)
		case <-ctx.Done():
			return nil, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// shortDir is for Unix sockets, the path of which may have 103 bytes only.
func shortDir(id string) string { return filepath.Join(os.TempDir(), "bookctl-engine-"+id) }

// Close ends what of the engine is the cloud's own. Its tasks must have ended.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	a, service, relays := e.opened, e.service, e.relays
	e.opened, e.service = nil, nil
	e.mu.Unlock()
	if a == nil {
		return nil
	}
	err := removeContainers(ctx, a, e.id)
	if relays != nil {
		relays.close()
	}
	if service != nil {
		service.Stop(ctx, syscall.SIGTERM, 10*time.Second)
	}
	return errors.Join(err, os.RemoveAll(shortDir(e.id)))
}

// Clear removes the images, which must not be in use.
func (e *Engine) Clear(ctx context.Context) error {
	if _, err := os.Stat(usedFile(e.cfg.StateDir)); err != nil {
		return nil //nolint:nilerr // nothing was ever loaded
	}
	a, err := e.api(ctx)
	if err != nil {
		return err
	}
	return removeImages(ctx, a, e.id)
}

// Reap removes the containers that a killed cloud of the state directory left in
// an engine, whichever that was. It does nothing where none was ever used.
func Reap(ctx context.Context, stateDir string) error { return clean(ctx, stateDir, false) }

// Purge removes everything of a cloud that does not run.
func Purge(ctx context.Context, stateDir string) error { return clean(ctx, stateDir, true) }

func clean(ctx context.Context, stateDir string, all bool) (err error) {
	text, err := os.ReadFile(usedFile(stateDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var u used
	if err == nil {
		err = json.Unmarshal(text, &u)
	}
	var e *Engine
	if err == nil {
		e, err = at(Config{StateDir: stateDir}, engineAddress{u.Kind, u.Socket, u.Command})
	}
	if err != nil {
		return fmt.Errorf("find the engine that was used: %w", err)
	}
	a, err := e.api(ctx)
	if err != nil {
		return hint.With(err, "start it again: it may still run tasks of the local cloud, with the label %s=%s", label, e.id)
	}
	defer func() { err = errors.Join(err, e.Close(ctx)) }()
	if err := removeContainers(ctx, a, e.id); err != nil {
		return err
	}
	if !all {
		return nil
	}
	return removeImages(ctx, a, e.id)
}

func filter(key, value string) url.Values {
	text, _ := json.Marshal(map[string][]string{key: {value}}) // strings always can be
	return url.Values{"filters": {string(text)}, "all": {"true"}}
}

// list lists what a cloud has of a kind in an engine. Podman looks at one after the other,
// and answers 500 where one of them is removed meanwhile: so it is asked again.
func list(ctx context.Context, a *api, path, id string, out any) error {
	const most = 5
	for n := 1; ; n++ {
		err := a.call(ctx, http.MethodGet, path, filter("label", label+"="+id), nil, out)
		if n == most || !isStatus(err, http.StatusInternalServerError) {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// removeContainers removes the containers and volumes of a cloud.
func removeContainers(ctx context.Context, a *api, id string) error {
	var containers []struct {
		ID     string            `json:"Id"`
		Labels map[string]string `json:"Labels"`
	}
	if err := list(ctx, a.containers(), "/containers/json", id, &containers); err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	var errs []error
	remove := func(sandboxes bool) {
		for _, c := range containers {
			// Those that use another one's network go first.
			if _, owner := c.Labels[sandboxLabel]; owner == sandboxes {
				errs = append(errs, remove(ctx, a, c.ID))
			}
		}
	}
	remove(false)
	remove(true)
	var volumes struct{ Volumes []struct{ Name string } }
	if err := list(ctx, a, "/volumes", id, &volumes); err != nil {
		errs = append(errs, fmt.Errorf("list volumes: %w", err))
	}
	for _, v := range volumes.Volumes {
		errs = append(errs, removeVolume(ctx, a, v.Name))
	}
	return errors.Join(errs...)
}

func remove(ctx context.Context, a *api, id string) error {
	err := a.call(ctx, http.MethodDelete, "/containers/"+id, url.Values{"force": {"true"}, "v": {"true"}}, nil, nil)
	if err != nil && !isStatus(err, http.StatusNotFound) {
		return fmt.Errorf("remove container %s: %w", id, err)
	}
	return nil
}

func removeVolume(ctx context.Context, a *api, name string) error {
	err := a.call(ctx, http.MethodDelete, "/volumes/"+name, url.Values{"force": {"true"}}, nil, nil)
	if err != nil && !isStatus(err, http.StatusNotFound) {
		return fmt.Errorf("remove volume %s: %w", name, err)
	}
	return nil
}
