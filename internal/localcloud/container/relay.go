package container

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// The relay in a sandbox opens a first connection to the cloud's socket, which
// begins with "task ID". On it the cloud asks for listeners, a line "127.0.0.1:5432"
// each, and gets a line for each, empty or with what went wrong. Whoever connects
// to one gets a connection to the socket of his own, which begins with
// "connect 127.0.0.1:5432".
const (
	relaySocket  = "relay.sock"
	relayTask    = "task "
	relayConnect = "connect "
)

// Relay is the program in a sandbox. Its arguments are the cloud's socket and the
// task's id. It ends with the cloud.
func Relay(socket, task string) error {
	control, err := dialRelay(socket, relayTask+task)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(control)
	for lines.Scan() {
		address := lines.Text()
		said := ""
		if l, err := net.Listen("tcp", address); err != nil {
			said = err.Error()
		} else {
			go relayAll(l, socket, address)
		}
		if _, err := fmt.Fprintln(control, said); err != nil {
			return err
		}
	}
	return lines.Err()
}

func dialRelay(socket, says string) (net.Conn, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintln(conn, says); err != nil {
		_ = conn.Close() // the first error is the one to report
		return nil, err
	}
	return conn, nil
}

func relayAll(l net.Listener, socket, address string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // only with the program
		}
		go func() {
			out, err := dialRelay(socket, relayConnect+address)
			if err != nil {
				_ = conn.Close() // that is what the other end sees of it
				return
			}
			join(conn, out, out)
		}()
	}
}

// join carries bytes both ways until both ends are done. What is read of b comes
// from its reader.
func join(a, b net.Conn, fromB io.Reader) {
	defer func() { _ = a.Close() }() // whoever still sends learns it so
	defer func() { _ = b.Close() }()
	var both sync.WaitGroup
	carry := func(to net.Conn, from io.Reader) {
		_, _ = io.Copy(to, from) // ends for both by the close
		if half, ok := to.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite() // it may be closed already
		}
	}
	both.Go(func() { carry(b, a) })
	both.Go(func() { carry(a, fromB) })
	both.Wait()
}

// relays is the cloud's end of all relays.
type relays struct {
	listener net.Listener
	reach    func() map[string]string

	mu    sync.Mutex
	ready map[string]chan error // by task: gets the outcome of the first listeners
}

// openRelays listens on a socket in the directory.
func openRelays(dir string, reach func() map[string]string) (*relays, error) {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, relaySocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	// The sandbox's user is another one. What he reaches is on the loopback
	// interface, which is everybody's.
	if err := os.Chmod(path, 0o666); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	r := &relays{listener: l, reach: reach, ready: map[string]chan error{}}
	go r.serve()
	return r, nil
}

func (r *relays) close() { _ = r.listener.Close() } // it has served

func (r *relays) serve() {
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			in := bufio.NewReader(conn)
			line, err := in.ReadString('\n')
			says := strings.TrimSuffix(line, "\n")
			task, isTask := strings.CutPrefix(says, relayTask)
			address, isConnect := strings.CutPrefix(says, relayConnect)
			switch {
			case err == nil && isTask:
				r.control(conn, in, task)
			case err == nil && isConnect:
				r.connect(conn, in, address)
			}
			_ = conn.Close() // done, or not one of ours
		}()
	}
}

func (r *relays) connect(conn net.Conn, in io.Reader, address string) {
	target, ok := r.reach()[address]
	if !ok {
		return
	}
	out, err := net.Dial("tcp", target)
	if err != nil {
		return // the container sees a closed connection
	}
	join(out, conn, in)
}

// lookAgain is how often what tasks reach is looked at: a database that is made
// while a task runs.
const lookAgain = 100 * time.Millisecond

// control sends a sandbox's relay the addresses to listen on, as long as it runs.
func (r *relays) control(conn net.Conn, in *bufio.Reader, task string) {
	known := map[string]bool{}
	more := func() error {
		for address := range r.reach() {
			if known[address] {
				continue
			}
			known[address] = true
			if _, err := fmt.Fprintln(conn, address); err != nil {
				return err
			}
			said, err := in.ReadString('\n')
			if err != nil {
				return err
			}
			if said = strings.TrimSpace(said); said != "" {
				return fmt.Errorf("%w: %s", errTaken, said)
			}
		}
		return nil
	}
	err := more()
	r.mu.Lock()
	ready := r.ready[task]
	delete(r.ready, task)
	r.mu.Unlock()
	if ready == nil {
		return // nobody waits for that one
	}
	ready <- err
	for err == nil || errors.Is(err, errTaken) {
		// The relay says nothing unasked: this waits, and sees its end.
		if err = conn.SetReadDeadline(time.Now().Add(lookAgain)); err != nil {
			return
		}
		if _, err = in.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err = conn.SetReadDeadline(time.Time{}); err != nil {
			return
		}
		err = more() // an address that is taken by now is the task's own
	}
}

// errTaken is of an address that can't be listened on in a task's network.
var errTaken = errors.New("listen in the task's network")

// expect returns the channel that receives the outcome of a task's relay.
func (r *relays) expect(task string) <-chan error {
	r.mu.Lock()
	defer r.mu.Unlock()
	ready := make(chan error, 1)
	r.ready[task] = ready
	return ready
}

// await waits until a task's relay listens.
func await(ctx context.Context, ready <-chan error, sandbox <-chan struct{}) error {
	select {
	case err := <-ready:
		return err
	case <-sandbox:
		return errors.New("the task's sandbox ended")
	case <-ctx.Done():
		return fmt.Errorf("wait for the task's sandbox: %w", ctx.Err())
	}
}
