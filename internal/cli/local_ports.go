package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"syscall"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// portsAreFree fails if the load balancer is to listen on a port of this machine that
// another program uses, before anything is changed: the port is recorded and opened before
// the listener takes it. Ports that the stack has already are its own.
func (p *preparation) portsAreFree(found []graph.Finding) error {
	if !p.target.local || slices.ContainsFunc(found, func(f graph.Finding) bool { return f.Err != nil }) {
		return nil // a listener whose load balancer can't be looked at seems absent
	}
	ports := map[string]int32{"listener": p.spec.Port, "listener-https": p.spec.HTTPSPort}
	for _, f := range found {
		port, listens := ports[f.Name]
		moves := slices.ContainsFunc(f.Drift, func(c graph.Change) bool { return c.Field == "port" })
		if !listens || f.Phase != graph.Absent && !moves {
			continue
		}
		if err := portIsFree(port); err != nil {
			return err
		}
	}
	return nil
}

// runsHere fails for tasks of another architecture than this machine's, on which those of
// the local cloud run.
func runsHere(arch string) error {
	if arch == runtime.GOARCH {
		return nil
	}
	return hint.With(usageError{fmt.Errorf("this machine is %s, and can't run tasks for %s", runtime.GOARCH, arch)}, "use --arch %s", runtime.GOARCH)
}

// freePort finds a free port on localhost.
func freePort() (int32, error) {
	for tries := 10; ; tries-- {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, fmt.Errorf("find a free port: %w", err)
		}
		port := int32(l.Addr().(*net.TCPAddr).Port)
		_ = l.Close() // nobody has come by
		if err := portIsFree(port); err == nil || tries == 0 {
			return port, err
		}
	}
}

// portIsFree returns why the local cloud can't serve localhost on a port, or nil. Its load
// balancers listen on the IPv4 address; a program that has the port on the IPv6 address
// would answer in their place.
func portIsFree(port int32) error {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err == nil {
		_ = l.Close() // nobody has come by
		if l, err = net.Listen("tcp", fmt.Sprintf("[::1]:%d", port)); err == nil {
			return l.Close()
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil // there is no IPv6 here
		}
	}
	if errors.Is(err, os.ErrPermission) {
		return hint.With(usageError{fmt.Errorf("port %d can't be used by this user", port)}, "choose one above 1023 with --port, or none at all")
	}
	return hint.With(usageError{fmt.Errorf("port %d is in use on this machine", port)}, "choose another with --port, or none at all: a free one is found")
}
