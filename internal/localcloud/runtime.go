package localcloud

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bookctl/bookctl/internal/localcloud/authority"
	"github.com/bookctl/bookctl/internal/localcloud/balancer"
	"github.com/bookctl/bookctl/internal/localcloud/container"
	"github.com/bookctl/bookctl/internal/localcloud/postgres"
	"github.com/bookctl/bookctl/internal/localcloud/process"
	"github.com/bookctl/bookctl/internal/localcloud/registry"
	"github.com/bookctl/bookctl/internal/localcloud/service/ecs"
	"github.com/bookctl/bookctl/internal/localcloud/service/elb"
	"github.com/bookctl/bookctl/internal/localcloud/service/rds"
	"github.com/bookctl/bookctl/internal/localcloud/task"
)

// Runtimes are what runs behind the services. Each is an interface, so that others
// can stand in for the real ones, as package memory has them.
type Runtimes struct {
	// Engine has the databases.
	Engine interface {
		rds.Engine
		// Close stops every server that runs.
		Close(ctx context.Context) error
	}
	// Containers runs the tasks.
	Containers interface {
		ecs.Runtime
		// EngineName describes what runs images.
		EngineName() string
		// Close ends what no task needs any more.
		Close(ctx context.Context) error
		// Clear removes the images, which must not be in use.
		Clear(ctx context.Context) error
	}
	// Balancer has the load balancers.
	Balancer elb.Balancer
}

// fileServices are behind the services too. They store files, and run nothing.
type fileServices struct {
	authority *authority.Authority
	registry  *registry.Registry
}

// containerUser stands for any user that an image may name; see task.OpenImages.
const containerUser = 65532

// openFileServices opens the authority, next to the state directory where the users of
// real containers can't enter it, and the registry.
func openFileServices(cfg Config, rules registry.Rules) (s fileServices, err error) {
	dataDir := cfg.StateDir
	if cfg.Runtimes == nil {
		if dataDir, err = process.DataDir(cfg.StateDir, process.UserOf(containerUser, containerUser)); err != nil {
			return s, err
		}
	}
	if s.authority, err = authority.Open(filepath.Join(dataDir, "authority")); err != nil {
		return s, err
	}
	s.registry, err = registry.Open(filepath.Join(cfg.StateDir, "registry"), rules)
	return s, err
}

// openRuntimes opens the real ones, which keep their own files in and next to the
// state directory.
func openRuntimes(ctx context.Context, cfg Config, reach func() map[string]string) (r Runtimes, err error) {
	databases, err := postgres.Open(ctx, postgres.Config{StateDir: cfg.StateDir, Cache: cfg.Cache, Programs: cfg.PostgreSQL})
	if err != nil {
		return r, err
	}
	images, err := task.OpenImages(cfg.StateDir)
	if err != nil {
		return r, err
	}
	choice := cmp.Or(cfg.Engine, container.None)
	tasks, engineErr, err := container.Open(ctx, container.Config{StateDir: cfg.StateDir, Choice: choice, Relay: cfg.Relay, Reach: reach})
	if err != nil {
		return r, err
	}
	return Runtimes{
		Engine: engine{databases}, Balancer: balancers{},
		Containers: containers{images, cfg.StateDir, tasks, engineErr, choice == container.Auto},
	}, nil
}

// engine is PostgreSQL, for RDS.
type engine struct{ *postgres.Engine }

func (e engine) Server(name string) (rds.Server, error) {
	s, err := e.Engine.Server(name)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// balancers are the real ones, for load balancing.
type balancers struct{}

func (balancers) NewGroup(settings balancer.Settings) elb.Group { return balancer.NewGroup(settings) }

func (balancers) Listen(port int, cert *tls.Certificate, action balancer.Action, options balancer.Options) (elb.Listener, error) {
	l, err := balancer.Listen(port, cert, action, options)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// containers are real ones, for ECS: processes of static programs, and whatever an
// engine runs.
type containers struct {
	unpacked  *task.Images
	stateDir  string
	engine    *container.Engine // nil: none
	engineErr error             // why
	auto      bool              // the choice was left to the cloud
}

// Pull leaves to a plain process what says of itself that it can be one, which
// takes a fraction of the time, unless an engine was asked for.
func (c containers) Pull(ctx context.Context, reference string, platform v1.Platform, login task.Login) (ecs.Image, error) {
	remote, err := task.Fetch(ctx, reference, platform, login)
	if err != nil {
		return nil, err
	}
	engine := c.engine
	if engine != nil && c.auto {
		static, err := remote.ListensOnPORT()
		if err != nil {
			return nil, task.PullError(reference, platform, err)
		}
		if static {
			engine = nil
		}
	}
	if engine != nil {
		image, err := engine.Load(ctx, remote.Image)
		if err != nil {
			return nil, task.PullError(reference, platform, err)
		}
		return engineImage{image, remote.Digest.String()}, nil
	}
	image, err := c.unpacked.Unpack(remote)
	if err != nil {
		return nil, task.PullError(reference, platform, err)
	}
	return processImage{image, c.engineErr}, nil
}

func (c containers) Release(ctx context.Context, task string) error {
	if c.engine == nil {
		return nil
	}
	return c.engine.Release(ctx, task)
}

func (c containers) Reap(ctx context.Context, pidDir string) error {
	return errors.Join(c.unpacked.Reap(pidDir), container.Reap(ctx, c.stateDir))
}

func (c containers) Close(ctx context.Context) error {
	if c.engine == nil {
		return nil
	}
	return c.engine.Close(ctx)
}

func (c containers) Clear(ctx context.Context) error {
	err := c.unpacked.Clear()
	if c.engine != nil {
		err = errors.Join(err, c.engine.Clear(ctx))
	}
	return err
}

// EngineName describes what runs images, and what is missing to run all of them.
func (c containers) EngineName() string {
	switch {
	case c.engine != nil:
		return c.engine.String()
	case c.engineErr != nil:
		return "none: " + c.engineErr.Error()
	}
	return "none"
}

// processImage is an image of which containers are processes.
type processImage struct {
	*task.Image
	engineErr error
}

func (p processImage) Digest() string { return p.Image.Digest }

func (p processImage) Start(_ context.Context, spec task.Spec) (ecs.Container, error) {
	spec.Image = p.Image
	if err := spec.CheckStatic(); err != nil {
		return nil, fmt.Errorf("CannotStartContainerError: %w: without a container engine the local cloud runs %s (no engine: %w)", err, withoutEngine(runtime.GOOS), p.engineErr)
	}
	c, err := task.Start(spec)
	if err != nil {
		return nil, err
	}
	return processContainer{c}, nil
}

// withoutEngine is what runs without a container engine on a system, and what to do to run
// the rest.
func withoutEngine(system string) string {
	if system != "linux" {
		return "only programs that bookctl builds from Go; use Linux, for example in a virtual machine, for other images"
	}
	return "static programs only; install Docker or Podman, and restart the local cloud"
}

// processContainer is a process. It listens on one port, whatever the image says.
type processContainer struct{ *task.Container }

func (c processContainer) Address(int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port))
}

func (processContainer) Console(string) string { return "" }

func (processContainer) OutOfMemory() bool { return false }

// engineImage is an image that an engine has.
type engineImage struct {
	*container.Image
	digest string
}

func (c engineImage) Digest() string { return c.digest }

func (c engineImage) Start(ctx context.Context, spec task.Spec) (ecs.Container, error) {
	running, err := c.Image.Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	return running, nil
}
