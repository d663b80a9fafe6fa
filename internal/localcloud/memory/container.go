package memory

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bookctl/bookctl/internal/localcloud/registry"
	"github.com/bookctl/bookctl/internal/localcloud/service/ecs"
	"github.com/bookctl/bookctl/internal/localcloud/task"
)

// Containers run nothing. Their images have to be in the registry. They end when
// they are stopped.
type Containers struct {
	// Images are a repository's.
	Images func(repository string) []registry.Image

	ports ports
}

// EngineName is "none": no engine does.
func (c *Containers) EngineName() string { return "none" }

// Pull looks whether the registry has the image.
func (c *Containers) Pull(_ context.Context, reference string, platform v1.Platform, _ task.Login) (ecs.Image, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return nil, task.PullError(reference, platform, err)
	}
	for _, have := range c.Images(ref.Context().RepositoryStr()) {
		if have.Digest == ref.Identifier() || slices.Contains(have.Tags, ref.Identifier()) {
			return image{c, have.Digest}, nil
		}
	}
	return nil, task.PullError(reference, platform, errors.New("not found"))
}

// Release has nothing to give up.
func (c *Containers) Release(context.Context, string) error { return nil }

// Reap finds nothing: what is in memory ends with its cloud.
func (c *Containers) Reap(context.Context, string) error { return nil }

// Clear has no files to remove.
func (c *Containers) Clear(context.Context) error { return nil }

// Close has nothing to end.
func (c *Containers) Close(context.Context) error { return nil }

type image struct {
	of     *Containers
	digest string
}

func (i image) Digest() string { return i.digest }

func (i image) Start(context.Context, task.Spec) (ecs.Container, error) {
	at, _ := i.of.ports.take("", 0)
	return &container{port: at.port, done: make(chan struct{})}, nil
}

type container struct {
	port int

	end  sync.Once
	done chan struct{}
	code int
}

func (c *container) Address(int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)) }

func (c *container) Done() <-chan struct{} { return c.done }

func (c *container) ExitCode() int { return c.code }

func (c *container) Console(string) string { return "" }

func (c *container) OutOfMemory() bool { return false }

// Exec finds every command in order.
func (c *container) Exec(context.Context, ...string) (int, error) {
	select {
	case <-c.done:
		return 0, errors.New("the container has ended")
	default:
		return 0, nil
	}
}

func (c *container) Signal(signal syscall.Signal) error {
	c.end.Do(func() {
		if signal != syscall.SIGTERM {
			c.code = 128 + int(signal)
		}
		close(c.done)
	})
	return nil
}

func (c *container) Stop(context.Context, time.Duration) { _ = c.Signal(syscall.SIGTERM) } // it can't fail

func (c *container) CPUTime() (time.Duration, error) { return 0, nil }
