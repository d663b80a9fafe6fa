package main

import (
	"bufio"
	"io"
	"sync"
	"time"
)

// logDelay is how long a line of the log may wait for others.
const logDelay = 100 * time.Millisecond

// logWriter gathers lines into large writes: one system call for each request
// would be a tenth of its cost.
type logWriter struct {
	to   io.Writer
	mu   sync.Mutex
	out  *bufio.Writer
	stop chan struct{}
	done sync.WaitGroup
}

// newLogWriter writes to to, at most logDelay late, until Close.
func newLogWriter(to io.Writer) *logWriter {
	w := &logWriter{to: to, out: bufio.NewWriterSize(to, 32<<10), stop: make(chan struct{})}
	w.done.Go(func() {
		tick := time.NewTicker(logDelay)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				w.flush()
			case <-w.stop:
				w.flush()
				return
			}
		}
	})
	return w
}

// Write takes whole lines. It returns no error: it could be reported only to the log
// itself.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(line) > w.out.Available() {
		w.flushLocked() // so that no line is cut
	}
	_, _ = w.out.Write(line)
	return len(line), nil
}

func (w *logWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flushLocked()
}

func (w *logWriter) flushLocked() {
	if w.out.Flush() != nil { // see Write
		w.out.Reset(w.to)
	}
}

// Close writes what is left. Lines after it are lost.
func (w *logWriter) Close() {
	close(w.stop)
	w.done.Wait()
}
