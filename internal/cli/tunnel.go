package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
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
	address string // of that port
	session provision.Session
	output  tail
	stop    context.CancelFunc
	ended   chan struct{} // closed when the plugin has ended
	err     error         // why, then

	broken        chan struct{} // closed when a guard found that it leads nowhere any more
	brokenBecause string        // why, then
}

// tunnelEnded is the error of a tunnel that ended, or hangs, before it was ended by us.
type tunnelEnded struct{ how string }

func (e tunnelEnded) Error() string { return "the tunnel to the database " + e.how }

// withTunnelHint adds the next step to the error of a tunnel that ended, and leaves others.
func withTunnelHint(err error, next hint.Message) error {
	if errors.As(err, new(tunnelEnded)) {
		return hint.Add(err, next)
	}
	return err
}

// tunnelOpenTimeout is how long a tunnel may take to open.
const tunnelOpenTimeout = time.Minute

// tunnelRequest is what a tunnel is opened with.
type tunnelRequest struct {
	plugin string // the path of the session-manager-plugin
	to     provision.Connection
	task   string    // the beginning of a task's id; any task if empty
	port   int       // of this machine; any free one for 0
	out    io.Writer // where to print what the plugin says; nowhere if nil
}

// openTunnel forwards a port of this machine to the database through a task, and waits until
// it takes connections.
func openTunnel(ctx context.Context, s streams, t *target, g *globals, r tunnelRequest) (*tunnel, error) {
	port, err := localPort(ctx, r.port)
	if err != nil {
		return nil, err
	}
	session, err := provision.Tunnel(ctx, t.clients, g.stack, r.task, r.to, port, func(note string) { g.note(s, "%s", note) })
	if err != nil {
		return nil, notDeployed(ctx, t, g, err, execHint(err))
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	w := &tunnel{
		port: port, address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), session: session, stop: stop,
		ended: make(chan struct{}), broken: make(chan struct{}),
	}
	cmd, end, err := inPlugin(running, g, r.plugin, t.config.Credentials, session)
	if err != nil {
		stop()
		return nil, err
	}
	w.start(cmd, r.out, end)
	if err := w.waitUntilOpen(ctx); err != nil {
		return nil, err
	}
	return w, nil
}

// localPort is the port to listen on: the wanted one, or any free one for 0.
func localPort(ctx context.Context, want int) (int, error) {
	if want == 0 {
		free, err := freePort()
		return int(free), err
	}
	if err := isFree(ctx, want); err != nil {
		return 0, hint.With(fmt.Errorf("can't listen on port %d of this machine: %w", want, err), "choose another one with --local-port, or leave it out")
	}
	return want, nil
}

// start runs the plugin in the background, and calls end after it. What it says goes to out, too,
// if that is not nil.
func (t *tunnel) start(cmd *exec.Cmd, out io.Writer, end func()) {
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
	cmd.Stdout = &t.output
	if out != nil {
		cmd.Stdout = io.MultiWriter(&t.output, out)
	}
	cmd.Stderr = cmd.Stdout
	graph.Start(func() error {
		// The thread that starts it has to live as long (https://go.dev/issue/27505).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		t.err = cmd.Run()
		end()
		close(t.ended)
		return nil
	})
}

// waitUntilOpen waits until the port takes connections. If it does not, the tunnel is ended.
func (t *tunnel) waitUntilOpen(ctx context.Context) error {
	for begun := time.Now(); ; {
		conn, err := net.DialTimeout("tcp", t.address, time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-t.ended:
			t.end()
			return hint.With(fmt.Errorf("the tunnel to the database did not open: %s", t.why()), "%s shows the state of the tasks", hint.Command("status"))
		case <-ctx.Done():
			t.end()
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
		if time.Since(begun) > tunnelOpenTimeout {
			t.end()
			return hint.With(fmt.Errorf("the tunnel to the database did not open within %s: %s", tunnelOpenTimeout, t.why()), "%s shows the state of the tasks", hint.Command("status"))
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
func (t *tunnel) end() {
	t.stop()
	<-t.ended
}

// beginnings are of the lines that the plugin says while all is well.
var beginnings = []string{"Starting session with SessionId:", "Port ", "Waiting for connections", "Connection accepted"}

// why is what the plugin says of its end.
func (t *tunnel) why() string {
	if why := t.output.failure(t.session); why != "" {
		return why
	}
	line := t.output.last()
	for _, b := range beginnings {
		if strings.HasPrefix(line, b) {
			line = ""
		}
	}
	if line == "" {
		line = pluginName + " gives no reason"
	}
	select {
	case <-t.ended:
		if t.err != nil {
			line += " (" + t.err.Error() + ")"
		}
	default:
	}
	return line
}

// tunnelProbeInterval is the interval between two tries of a tunnel in use. Session Manager ends a
// session that was idle for 20 minutes, or for the account's own time of at least one minute,
// and only what goes to the database counts.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/session-preferences-timeout.html
const tunnelProbeInterval = 45 * time.Second

// tunnelProbeTimeout is how long the database may take to answer a try.
const tunnelProbeTimeout = 30 * time.Second

// guard watches the tunnel while a program uses the proxy behind it, and closes the proxy when
// the tunnel has ended, or hangs. stop ends that.
func (t *tunnel) guard(ctx context.Context, proxy *dbproxy.Proxy) (stop func()) {
	ctx, stop = context.WithCancel(context.WithoutCancel(ctx))
	graph.Start(func() error {
		tries := graph.Start(func() error { return proxy.Watch(ctx, tunnelProbeInterval, tunnelProbeTimeout) })
		select {
		case <-t.ended:
			t.brokenBecause = "ended: " + t.why()
		case err := <-tries:
			if err == nil {
				return nil // it was stopped
			}
			t.brokenBecause = "leads nowhere any more: " + err.Error()
		}
		close(t.broken)
		return proxy.Close()
	})
	return stop
}

// noDestination is what the plugin says, and stays, when the task can't connect to the
// database: WriteStream in
// https://github.com/aws/session-manager-plugin/blob/mainline/src/sessionmanagerplugin/session/portsession/muxportforwarding.go
const noDestination = "Connection to destination port failed"

// explain is the error of the tunnel, if it has ended, in place of one behind it, to which
// else is added what the plugin says of the database. A nil tunnel explains nothing.
func (t *tunnel) explain(err error) error {
	if t == nil || err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if lost := t.lost(true); lost != nil {
		return lost
	}
	if strings.Contains(t.output.String(), noDestination) {
		return fmt.Errorf("%w: the task can't reach the database: %s says %q", err, pluginName, noDestination)
	}
	return err
}

// lost is the error of a tunnel that has ended, or nil. After a connection that was cut, the
// end of the plugin may be seen a moment later.
func (t *tunnel) lost(cut bool) error {
	if cut {
		select {
		case <-t.broken:
		case <-time.After(2 * time.Second):
		}
	}
	select {
	case <-t.broken:
		return tunnelEnded{t.brokenBecause}
	default:
		return nil
	}
}
