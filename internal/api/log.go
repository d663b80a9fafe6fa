package api

import (
	"io"
	"sync"
	"time"
)

const (
	// logDelay is how long a line of the log may wait for others.
	logDelay = 100 * time.Millisecond
	logSize  = 32 << 10
)

// LogWriter gathers lines into large writes: one system call for each request
// would be a tenth of its cost.
type LogWriter struct {
	to   io.Writer
	stop chan struct{}
	done chan struct{}

	mu   sync.Mutex
	text []byte
}

// NewLogWriter writes to to, at most 100 ms late, until Close.
func NewLogWriter(to io.Writer) *LogWriter {
	w := &LogWriter{to: to, stop: make(chan struct{}), done: make(chan struct{})}
	go w.loop()
	return w
}

func (w *LogWriter) loop() {
	defer close(w.done)
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
}

// Write takes whole lines. Its error would be the log's own, of which nobody
// could be told, so there is none.
func (w *LogWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.text)+len(line) > logSize {
		w.flushLocked()
	}
	w.text = append(w.text, line...)
	return len(line), nil
}

func (w *LogWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flushLocked()
}

func (w *LogWriter) flushLocked() {
	if len(w.text) > 0 {
		_, _ = w.to.Write(w.text) // see Write
		w.text = w.text[:0]
	}
}

// Close writes what is left. Lines after it are lost.
func (w *LogWriter) Close() {
	close(w.stop)
	<-w.done
}
