package api

import (
	"net"
	"testing"
)

// Both kinds of connection are sockets, unless something else wraps them first.
func TestConnectionsSpareTheScheduler(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // it has served
	config, err := Database{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, SSLMode: "disable"}.config()
	if err != nil {
		t.Fatal(err)
	}
	ours, err := config.ConnConfig.DialFunc(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ours.Close() }() // nothing was sent
	if _, ok := ours.(*socket); !ok {
		t.Errorf("to the database goes a %T", ours)
	}
	theirs, err := limit(l, 1).Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = theirs.Close() }() // nothing was sent
	if _, ok := theirs.(*conn).Conn.(*socket); !ok {
		t.Errorf("of a client is a %T", theirs.(*conn).Conn)
	}
}
