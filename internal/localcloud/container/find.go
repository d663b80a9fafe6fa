package container

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/hint"
)

// The choices of an engine.
const (
	// Auto is any engine that is there, and none otherwise.
	Auto = "auto"
	// Docker and Podman must be there.
	Docker = "docker"
	Podman = "podman"
	// None is no engine, even if there is one.
	None = "none"
)

// Choices are all of them.
func Choices() []string { return []string{Auto, Docker, Podman, None} }

// engineAddress is where an engine may be: a socket, or the command that serves one.
type engineAddress struct{ kind, socket, command string }

func (p engineAddress) String() string {
	if p.socket != "" {
		return p.socket
	}
	return p.command
}

// errOnlyHere is of an engine of another machine, or in a virtual one.
var errOnlyHere = errors.New("only an engine of this machine can run tasks: they reach their databases through its file system")

// find returns the first address of the choice at which an engine is. Its error says
// what is wrong with each.
func find(ctx context.Context, choice string) (engineAddress, error) {
	if runtime.GOOS != "linux" {
		return engineAddress{}, errOnlyHere
	}
	var errs []error
	for _, kind := range []string{Docker, Podman} {
		if choice != Auto && choice != kind {
			continue
		}
		places, err := candidates(ctx, kind)
		if err != nil {
			return engineAddress{}, err
		}
		for _, p := range places {
			if err := p.try(ctx); err != nil {
				errs = append(errs, err)
				continue
			}
			return p, nil
		}
	}
	if len(errs) == 0 {
		errs = append(errs, errors.New("neither is installed"))
	}
	return engineAddress{}, errors.Join(errs...)
}

// try returns the reason why no engine can be used at an address.
func (p engineAddress) try(ctx context.Context) error {
	if p.socket == "" {
		return nil // found on PATH; it is started when it is needed
	}
	if _, err := os.Stat(p.socket); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	a, err := dial(ctx, p.socket)
	if err != nil {
		var refused *net.OpError
		if errors.As(err, &refused) {
			err = refused.Err // without the path, which comes first here
		}
		return fmt.Errorf("%s: %w", p.socket, err)
	}
	if a.about.OS != "linux" {
		return fmt.Errorf("%s: the engine runs %s containers", p.socket, a.about.OS)
	}
	if a.about.podman() != (p.kind == Podman) && p.kind == Podman {
		return fmt.Errorf("%s: not Podman but %s", p.socket, a.about)
	}
	return nil
}

// candidates are where engines of a kind listen, best first. The address that a
// user named is the only one.
func candidates(ctx context.Context, kind string) ([]engineAddress, error) {
	variable := "DOCKER_HOST"
	if kind == Podman {
		variable = "CONTAINER_HOST"
	}
	at := func(sockets ...string) (out []engineAddress) {
		for _, s := range sockets {
			if s = strings.TrimPrefix(s, "unix://"); filepath.IsAbs(s) {
				out = append(out, engineAddress{kind: kind, socket: s})
			}
		}
		return out
	}
	if host := os.Getenv(variable); host != "" {
		places := at(host)
		if len(places) == 0 {
			return nil, hint.With(fmt.Errorf("%s=%s: %w", variable, host, errOnlyHere), "unset %s, or begin with %s", variable, hint.Command("local", "start", "--engine", None))
		}
		return places, nil
	}
	user := os.Getenv("XDG_RUNTIME_DIR")
	if kind == Podman {
		var places []engineAddress
		if program, err := exec.LookPath("podman"); err == nil {
			places = append(places, engineAddress{kind: kind, command: program})
		}
		if user != "" {
			places = append(places, at(filepath.Join(user, "podman", "podman.sock"))...)
		}
		return append(places, existing(at("/run/podman/podman.sock"))...), nil
	}
	var sockets []string
	if program, err := exec.LookPath("docker"); err == nil {
		// A context of Docker's may be anywhere: Docker Desktop, rootless, Colima.
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if out, err := exec.CommandContext(ctx, program, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").Output(); err == nil {
			sockets = append(sockets, strings.TrimSpace(string(out)))
		}
	}
	sockets = append(sockets, "/var/run/docker.sock")
	if user != "" {
		sockets = append(sockets, filepath.Join(user, "docker.sock"))
	}
	slices.Sort(sockets[1:])
	return existing(at(slices.Compact(sockets)...)), nil
}

func existing(places []engineAddress) []engineAddress {
	return slices.DeleteFunc(places, func(p engineAddress) bool {
		_, err := os.Lstat(p.socket)
		return err != nil
	})
}
