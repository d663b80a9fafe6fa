package api

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A write deadline that was put off holds for a client that reads slowly.
func TestAWriteGoesOnUntilItsLastDeadline(t *testing.T) {
	t.Parallel()
	inner, client := net.Pipe()
	c := &conn{Conn: inner, open: new(atomic.Int64)}
	defer func() { _, _ = c.Close(), client.Close() }() // they are pipes
	deadline := func(after time.Duration) {
		t.Helper()
		if err := c.SetWriteDeadline(time.Now().Add(after)); err != nil {
			t.Fatal(err)
		}
	}
	deadline(100 * time.Millisecond)
	deadline(time.Minute) // which the pipe is not told
	const text = "an answer in two pieces"
	read := make(chan string, 1)
	go func() {
		piece := make([]byte, 5)
		_, _ = io.ReadFull(client, piece) // what is missing shows below
		time.Sleep(300 * time.Millisecond)
		rest := make([]byte, len(text)-len(piece))
		_, _ = io.ReadFull(client, rest)
		read <- string(piece) + string(rest)
	}()
	if n, err := io.WriteString(c, text); err != nil || n != len(text) {
		t.Fatalf("wrote %d bytes: %v", n, err)
	}
	if got := <-read; got != text {
		t.Errorf("the client has read %q", got)
	}
	deadline(50 * time.Millisecond) // earlier, which it is told
	if _, err := io.Copy(c, strings.NewReader(text)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nobody reads: %v", err)
	}
}
