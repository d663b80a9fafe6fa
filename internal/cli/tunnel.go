package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/dbproxy"
	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// tunnel is a port of this machine that leads to a database until it is ended.
type tunnel struct {
	port    int
	near    string // its address
	session provision.Session
	said    tail
	stop    context.CancelFunc
	ended   chan struct{} // closed when the plugin has ended
	err     error         // why, then

	dead    chan struct{} // closed when a guard found that it leads nowhere any more
	deadFor string        // why, then
}

// tunnelEnded is the error of a tunnel that ended, or hangs, before it was ended by us.
type tunnelEnded struct{ how string }

func (e tunnelEnded) Error() string { return "the tunnel to the database " + e.how }

// ofTunnel adds the next step to the error of a tunnel that ended, and leaves others.
func ofTunnel(err error, next hint.Message) error {
	if errors.As(err, new(tunnelEnded)) {
		return hint.Add(err, next)
	}
	return err
}

// tunnelOpens is how long a tunnel may take to open.
const tunnelOpens = time.Minute

// openTunnel forwards a port of this machine, or any free one for 0, to the database through
// a task, and waits until it takes connections. What the plugin says goes to out, too, if
// there is one.
func openTunnel(ctx context.Context, s streams, t *target, g *globals, plugin string, c provision.Connection, task string, port int, out io.Writer) (*tunnel, error) {
	if port == 0 {
		free, err := freePort()
		if err != nil {
			return nil, err
		}
		port = int(free)
	} else if err := isFree(ctx, port); err != nil {
		return nil, hint.With(fmt.Errorf("can't listen on port %d of this machine: %w", port, err), "choose another one with --local-port, or leave it out")
	}
	session, err := provision.Tunnel(ctx, t.clients, g.stack, task, c, port, func(note string) { g.note(s, "%s", note) })
	if err != nil {
		return nil, notDeployed(ctx, t, g, err, execHint(err))
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	w := &tunnel{
		port: port, near: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), session: session, stop: stop,
		ended: make(chan struct{}), dead: make(chan struct{}),
	}
	cmd := inPlugin(running, plugin, session)
	// It ends at a Ctrl-C, and the tunnel with it, also at one that is the program's.
	// https://github.com/aws/session-manager-plugin/blob/mainline/src/sessionmanagerplugin/session/portsession/muxportforwarding.go
	cmd.SysProcAttr = attached()
	// At an interrupt it ends the session at Systems Manager, too.
	cmd.Cancel = func() error {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			return cmd.Process.Kill() // Windows has no interrupt for it
		}
		return nil
	}
	cmd.WaitDelay = 5 * time.Second
	cmd.Stdout = &w.said
	if out != nil {
		cmd.Stdout = io.MultiWriter(&w.said, out)
	}
	cmd.Stderr = cmd.Stdout
	graph.Start(func() error {
		// The thread that starts it has to live as long (https://go.dev/issue/27505).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		w.err = cmd.Run()
		close(w.ended)
		return nil
	})
	for begun := time.Now(); ; {
		conn, err := net.DialTimeout("tcp", w.near, time.Second)
		if err == nil {
			return w, conn.Close()
		}
		select {
		case <-w.ended:
			w.end()
			return nil, hint.With(fmt.Errorf("the tunnel to the database did not open: %s", w.why()), "%s shows the state of the tasks", hint.Command("status"))
		case <-ctx.Done():
			w.end()
			return nil, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
		if time.Since(begun) > tunnelOpens {
			w.end()
			return nil, hint.With(fmt.Errorf("the tunnel to the database did not open within %s: %s", tunnelOpens, w.why()), "%s shows the state of the tasks", hint.Command("status"))
		}
	}
}

// isFree returns why a port can't be listened on, as the plugin does.
func isFree(ctx context.Context, port int) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("localhost", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return l.Close()
}

// end ends it, and the session at AWS with it.
func (w *tunnel) end() {
	w.stop()
	<-w.ended
}

// beginnings are of the lines that the plugin says while all is well.
var beginnings = []string{"Starting session with SessionId:", "Port ", "Waiting for connections", "Connection accepted"}

// why is what the plugin says of its end.
func (w *tunnel) why() string {
	if why := w.said.failure(w.session); why != "" {
		return why
	}
	line := w.said.last()
	for _, b := range beginnings {
		if strings.HasPrefix(line, b) {
			line = ""
		}
	}
	if line == "" {
		line = pluginName + " gives no reason"
	}
	select {
	case <-w.ended:
		if w.err != nil {
			line += " (" + w.err.Error() + ")"
		}
	default:
	}
	return line
}

// tunnelTried is the interval between two tries of a tunnel in use. Session Manager ends a
// session that was idle for 20 minutes, or for the account's own time of at least one minute,
// and only what goes to the database counts.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/session-preferences-timeout.html
const tunnelTried = 45 * time.Second

// tunnelAnswers is how long the database may take to answer a try.
const tunnelAnswers = 30 * time.Second

// guard watches the tunnel while a program uses the way through it, and closes the way when
// the tunnel has ended, or hangs. stop ends that.
func (w *tunnel) guard(ctx context.Context, way *dbproxy.Proxy) (stop func()) {
	ctx, stop = context.WithCancel(context.WithoutCancel(ctx))
	graph.Start(func() error {
		tries := graph.Start(func() error { return way.Watch(ctx, tunnelTried, tunnelAnswers) })
		select {
		case <-w.ended:
			w.deadFor = "ended: " + w.why()
		case err := <-tries:
			if err == nil {
				return nil // it was stopped
			}
			w.deadFor = "leads nowhere any more: " + err.Error()
		}
		close(w.dead)
		return way.Close()
	})
	return stop
}

// noDestination is what the plugin says, and stays, when the task can't connect to the
// database: WriteStream in
// https://github.com/aws/session-manager-plugin/blob/mainline/src/sessionmanagerplugin/session/portsession/muxportforwarding.go
const noDestination = "Connection to destination port failed"

// explain is the error of the tunnel, if it has ended, in place of one behind it, to which
// else is added what the plugin says of the database. A nil tunnel explains nothing.
func (w *tunnel) explain(err error) error {
	if w == nil || err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if lost := w.lost(true); lost != nil {
		return lost
	}
	if strings.Contains(w.said.String(), noDestination) {
		return fmt.Errorf("%w: the task can't reach the database: %s says %q", err, pluginName, noDestination)
	}
	return err
}

// lost is the error of a tunnel that has ended, or nil. After a connection that was cut, the
// end of the plugin may be seen a moment later.
func (w *tunnel) lost(cut bool) error {
	if cut {
		select {
		case <-w.dead:
		case <-time.After(2 * time.Second):
		}
	}
	select {
	case <-w.dead:
		return tunnelEnded{w.deadFor}
	default:
		return nil
	}
}
