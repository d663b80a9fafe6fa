package api

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// socket is a TCP connection that reads and writes without telling Go's scheduler.
//
// The scheduler is told of system calls because they may block. These don't, the
// socket being in non-blocking mode; but on a machine that is busy each is
// interrupted now and then. When runtime.sysmon sees the same call twice, 20 µs
// apart, it hands the caller's share of Go's processors to another thread, if no
// other share is free, as with a GOMAXPROCS of 1 none is; and then looks every 20 µs
// for a millisecond. That was a tenth of a lookup. The price is that the garbage
// collector waits for a call to return before it stops the world.
type socket struct {
	*net.TCPConn
	in, out transfer
}

// direct makes a connection a socket, if it is one of TCP.
func direct(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c // whose next use will tell
	}
	s := &socket{TCPConn: tcp}
	s.in.start("read", syscall.SYS_READ, raw.Read)
	s.out.start("write", syscall.SYS_WRITE, raw.Write)
	return s
}

func (s *socket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	n, err := s.once(&s.in, p)
	raceRead(p[:n])
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return n, err
}

func (s *socket) Write(p []byte) (n int, err error) {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	raceWrite(p)
	for n < len(p) && err == nil {
		var more int
		if more, err = s.once(&s.out, p[n:]); more == 0 && err == nil {
			err = io.ErrUnexpectedEOF
		}
		n += more
	}
	return n, err
}

// once moves at least a byte of p, which must have one, or says why not; at the
// end of the stream it moves none. Its errors are those of a net.Conn. The caller
// holds t.mu.
func (s *socket) once(t *transfer, p []byte) (int, error) {
	t.text, t.n, t.err = p, 0, 0
	err := t.wait(t.try)
	t.text = nil
	if op, ok := errors.AsType[*net.OpError](err); ok {
		op.Op = t.name // it calls itself raw-read, which net/http does not know
	}
	if err == nil && t.err != 0 {
		err = &net.OpError{Op: t.name, Net: "tcp", Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: os.NewSyscallError(t.name, t.err)}
	}
	return t.n, err
}

// transfer is one direction of a socket.
type transfer struct {
	mu   sync.Mutex // for one reader or writer at a time
	name string
	call uintptr
	wait func(func(fd uintptr) bool) error // until its function says that it is done, or the deadline
	try  func(fd uintptr) bool             // made once, rather than for each transfer

	// What try works on.
	text []byte
	n    int
	err  syscall.Errno
}

func (t *transfer) start(name string, call uintptr, wait func(func(fd uintptr) bool) error) {
	t.name, t.call, t.wait = name, call, wait
	t.try = func(fd uintptr) bool {
		for {
			n, _, err := syscall.RawSyscall(t.call, fd, uintptr(unsafe.Pointer(&t.text[0])), uintptr(len(t.text))) //nolint:gosec // package syscall has no other way to it
			switch err {
			case syscall.EINTR:
			case syscall.EAGAIN:
				return false
			case 0:
				t.n = int(n)
				return true
			default:
				t.err = err
				return true
			}
		}
	}
}
