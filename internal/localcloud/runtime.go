package localcloud

import (
	"context"
	"crypto/tls"
	"net/http"
	"path/filepath"

	"github.com/bookctl/bookctl/internal/localcloud/authority"
	"github.com/bookctl/bookctl/internal/localcloud/balancer"
	"github.com/bookctl/bookctl/internal/localcloud/postgres"
	"github.com/bookctl/bookctl/internal/localcloud/process"
	"github.com/bookctl/bookctl/internal/localcloud/registry"
	"github.com/bookctl/bookctl/internal/localcloud/service/acm"
	"github.com/bookctl/bookctl/internal/localcloud/service/ecr"
	"github.com/bookctl/bookctl/internal/localcloud/service/ecs"
	"github.com/bookctl/bookctl/internal/localcloud/service/elb"
	"github.com/bookctl/bookctl/internal/localcloud/service/rds"
	"github.com/bookctl/bookctl/internal/localcloud/task"
)

// runtimes are what runs behind the services. Each is an interface, so that others
// can stand in for the real ones.
type runtimes struct {
	authority interface {
		acm.Authority
		// BundleFile is a PEM file with the authority of all certificates.
		BundleFile() string
	}
	engine interface {
		rds.Engine
		// Close stops every server that runs.
		Close(ctx context.Context) error
	}
	containers interface {
		ecs.Runtime
		// Clear removes the images, which must not be in use.
		Clear() error
	}
	balancer elb.Balancer
	registry interface {
		ecr.Registry
		// ServeHTTP is the registry's own protocol, below /v2/.
		http.Handler
	}
}

// containerUser stands for any user that an image may name; see task.OpenImages.
const containerUser = 65532

// openRuntimes opens the real ones, which keep their own files in and next to the
// state directory.
func openRuntimes(ctx context.Context, stateDir string, rules registry.Rules) (r runtimes, err error) {
	home, err := process.Home(stateDir, process.Numeric(containerUser, containerUser))
	if err != nil {
		return r, err
	}
	if r.authority, err = authority.Open(filepath.Join(home, "authority")); err != nil {
		return r, err
	}
	databases, err := postgres.Open(ctx, stateDir)
	if err != nil {
		return r, err
	}
	images, err := task.OpenImages(stateDir)
	if err != nil {
		return r, err
	}
	r.engine, r.containers, r.balancer = engine{databases}, containers{images}, balancers{}
	r.registry, err = registry.Open(filepath.Join(stateDir, "registry"), rules)
	return r, err
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

// containers are real ones, for ECS.
type containers struct{ *task.Images }

func (containers) Start(spec task.Spec) (ecs.Container, error) {
	c, err := task.Start(spec)
	if err != nil {
		return nil, err
	}
	return container{c}, nil
}

type container struct{ *task.Container }

func (c container) Port() int { return c.Container.Port }
