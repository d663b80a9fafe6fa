package api

import (
	"context"
	"runtime"
	"sync"
	"time"
)

const (
	// maxBatch is the most requests that one statement serves.
	maxBatch = 64
	// maxQueue is how many requests may wait for a lane. At a tenth of the
	// measured speed it is emptied within half a second; whoever comes later is
	// better served by another task.
	maxQueue = 1024
)

// lanes run the work of concurrent requests in batches. A lane that is free
// takes a request as soon as it comes, so a lone one never waits for company;
// while all are busy, requests gather, and the next free lane takes what is
// there, or half of it, as one batch. So batches grow with the load.
type lanes[In, Out any] struct {
	queue chan *job[In, Out]
	// run serves a batch by setting each job's answer.
	run func(context.Context, []*job[In, Out])
	// halves is for a lane that is alone: its batches take at most half of the
	// requests under way, so that this process has the other half to work on
	// meanwhile. Else all gather in one, and process and database take turns at
	// being idle.
	halves bool
	wait   sync.WaitGroup
}

// job is one request's part of a batch.
type job[In, Out any] struct {
	in   In
	came time.Time
	out  Out
	err  error
	done chan struct{} // has room for one, so that nobody need be waiting
}

// start runs n lanes until stop.
func (l *lanes[In, Out]) start(n int) {
	l.queue = make(chan *job[In, Out], maxQueue)
	for range n {
		l.wait.Go(l.loop)
	}
}

func (l *lanes[In, Out]) loop() {
	batch := make([]*job[In, Out], 0, maxBatch)
	for first := range l.queue {
		most, before := maxBatch, len(batch)
		if l.halves {
			if len(l.queue) < before/2 {
				runtime.Gosched() // lets in what has been read and is not here yet
			}
			// Under way are those here, and about as many as were just answered.
			most = min(most, (before+1+len(l.queue)+1)/2)
		}
		batch = append(batch[:0], first)
	more:
		for len(batch) < most {
			select {
			case next, open := <-l.queue:
				if !open {
					break more
				}
				batch = append(batch, next)
			default:
				break more
			}
		}
		if batch = l.shed(batch); len(batch) == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
		l.run(ctx, batch)
		cancel()
		for _, j := range batch {
			j.done <- struct{}{}
		}
	}
}

// shed refuses what has waited for so long that its client, too, may have given
// up: so a database that hangs makes nobody wait for more than two queries.
func (l *lanes[In, Out]) shed(batch []*job[In, Out]) []*job[In, Out] {
	now, kept := time.Now(), batch[:0]
	for _, j := range batch {
		if now.Sub(j.came) < queryTimeout {
			kept = append(kept, j)
			continue
		}
		j.err = &Error{Code: Overloaded, Message: "the request waited for too long"}
		j.done <- struct{}{}
	}
	return kept
}

// do has in served.
func (l *lanes[In, Out]) do(in In) (Out, error) {
	j := &job[In, Out]{in: in, came: time.Now(), done: make(chan struct{}, 1)}
	select {
	case l.queue <- j:
	default:
		var none Out
		return none, &Error{Code: Overloaded, Message: "too many requests at once"}
	}
	<-j.done // within two times queryTimeout, see shed
	return j.out, j.err
}

// stop lets the lanes finish what is queued. Nothing may be added any more.
func (l *lanes[In, Out]) stop() {
	close(l.queue)
	l.wait.Wait()
}
