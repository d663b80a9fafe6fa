package api

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// limit closes connections above max as they come.
func limit(l net.Listener, max int64) net.Listener { return &limited{Listener: l, max: max} }

type limited struct {
	net.Listener
	max  int64
	open atomic.Int64
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		inner, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.max {
			return &conn{Conn: direct(inner), open: &l.open}, nil
		}
		l.open.Add(-1)
		_ = inner.Close() // refused
	}
}

// conn is a client's connection. It spares net/http two things that are a tenth
// of a lookup's processor time:
//
// While a handler runs, net/http reads a byte ahead, in a goroutine of its own,
// to cancel the request of a client that hangs up. Here that would do harm: pgx
// closes the connection to the database of a statement that is cancelled. The
// work of a request ends after queryTimeout anyhow.
//
// And for each request it sets eight deadlines, most of which never expire.
type conn struct {
	net.Conn
	open   *atomic.Int64
	closed atomic.Bool

	spared      atomic.Bool // the last read was of one byte, and skipped
	read, write deadline
}

// Read skips a read of one byte, but not two in a row: a reader that means it, as
// bufio's at the end of its buffer, asks again.
func (c *conn) Read(p []byte) (n int, err error) {
	if len(p) == 1 && !c.spared.Swap(true) {
		return 0, nil
	}
	c.spared.Store(false)
	for {
		n, err = c.Conn.Read(p)
		if n > 0 || !c.read.early(err, c.Conn.SetReadDeadline) {
			return n, err
		}
	}
}

func (c *conn) Write(p []byte) (n int, err error) {
	for {
		var more int
		more, err = c.Conn.Write(p[n:])
		n += more
		if n == len(p) || !c.write.early(err, c.Conn.SetWriteDeadline) {
			return n, err
		}
	}
}

// SetReadDeadline also ends what is a row of reads: net/http calls it before it
// reads ahead, whether it has read since the last time or had a request in hand.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.spared.Store(false)
	return c.read.change(t, c.Conn.SetReadDeadline)
}

func (c *conn) SetWriteDeadline(t time.Time) error { return c.write.change(t, c.Conn.SetWriteDeadline) }

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// CloseWrite lets net/http end an answer before it closes, so that a client that
// still sends gets to read it.
func (c *conn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

func (c *conn) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

// deadline may be put off without telling the connection, whose time-out can
// then come too early.
type deadline struct {
	mu          sync.Mutex
	wanted, set time.Time // zero for none
}

func (d *deadline) change(t time.Time, set func(time.Time) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = t
	if t.IsZero() || !d.set.IsZero() && !t.Before(d.set) {
		return nil
	}
	d.set = t
	return set(t)
}

// early says whether err is a time-out that came before its time. If so, the
// deadline is the one that is wanted now.
func (d *deadline) early(err error, set func(time.Time) error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.wanted.IsZero() && !time.Now().Before(d.wanted) {
		return false
	}
	d.set = d.wanted
	return set(d.wanted) == nil
}
