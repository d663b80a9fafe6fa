package api

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/net/nettest"
)

// Whatever uses a net.Conn may use ours.
func TestConnectionsAreAsGoPromises(t *testing.T) {
	t.Parallel()
	t.Run("to the database", func(t *testing.T) {
		t.Parallel()
		nettest.TestConn(t, pipe(direct))
	})
	t.Run("of a client", func(t *testing.T) {
		t.Parallel()
		nettest.TestConn(t, pipe(func(c net.Conn) net.Conn { return &conn{Conn: direct(c), open: new(atomic.Int64)} }))
	})
}

// The kernel takes a large write in pieces.
func TestALargeWriteIsWhole(t *testing.T) {
	t.Parallel()
	theirs, ours, stop, err := pipe(direct)()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	text := bytes.Repeat([]byte("a page of books\n"), 1<<20)
	read := make(chan []byte, 1)
	go func() {
		got := make([]byte, len(text))
		n, _ := io.ReadFull(theirs, got) // what is missing shows below
		read <- got[:n]
	}()
	if n, err := ours.Write(text); n != len(text) || err != nil {
		t.Fatalf("wrote %d of %d: %v", n, len(text), err)
	}
	if err := ours.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-read; !bytes.Equal(got, text) {
		t.Errorf("%d of %d bytes arrived, or others", len(got), len(text))
	}
}

// net/http takes a connection that broke for one that sent nonsense, unless the
// error says that it comes from a read.
func TestABrokenConnectionIsAnErrorOfItsRead(t *testing.T) {
	t.Parallel()
	for what, breakIt := range map[string]func(t *testing.T, ours, theirs net.Conn) error{
		"reset": func(t *testing.T, _, theirs net.Conn) error {
			if err := theirs.(interface{ SetLinger(int) error }).SetLinger(0); err != nil {
				t.Fatal(err)
			}
			if err := theirs.Close(); err != nil {
				t.Fatal(err)
			}
			return syscall.ECONNRESET
		},
		"closed": func(t *testing.T, ours, _ net.Conn) error {
			if err := ours.Close(); err != nil {
				t.Fatal(err)
			}
			return net.ErrClosed
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			theirs, ours, stop, err := pipe(direct)()
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			want := breakIt(t, ours, theirs)
			_, err = ours.Read(make([]byte, 1))
			var op *net.OpError
			if !errors.As(err, &op) || op.Op != "read" || !errors.Is(err, want) {
				t.Errorf("%v, want %v of a read", err, want)
			}
		})
	}
}

// pipe makes two ends of a TCP connection, each as made by our.
func pipe(our func(net.Conn) net.Conn) nettest.MakePipe {
	return func() (one, other net.Conn, stop func(), err error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, nil, err
		}
		defer func() { _ = l.Close() }() // it has served
		if one, err = net.Dial("tcp", l.Addr().String()); err != nil {
			return nil, nil, nil, err
		}
		if other, err = l.Accept(); err != nil {
			return nil, nil, nil, errors.Join(err, one.Close())
		}
		one, other = our(one), our(other)
		return one, other, func() { _, _ = one.Close(), other.Close() }, nil // a test may have closed them
	}
}
