package graph

import (
	"context"
	"fmt"
	"time"
)

// poller paces the Finds of one step. The pause is a share of the time waited
// so far, so that what is over is noticed at most a few per cent late, and
// never less than a few times what the Find itself took, so that a slow
// endpoint isn't asked without a break.
type poller struct {
	start    time.Time // of the step: patience counts from here
	since    time.Time // of the last mutating call: the pace counts from here
	patience time.Duration
	took     time.Duration // the last Find
}

const (
	minPause = 20 * time.Millisecond
	maxPause = 10 * time.Second
	// share of the time waited that a pause may add: it bounds how late the
	// end of a wait is noticed.
	pauseShare = 30
	// settle is how long a change that was accepted may stay invisible before
	// it is sent again.
	settle = 15 * time.Second
)

func newPoller(patience time.Duration) *poller {
	now := time.Now()
	return &poller{start: now, since: now, patience: patience}
}

func (p *poller) find(ctx context.Context, f Finder) (State, error) {
	begun := time.Now()
	st, err := f.Find(ctx)
	p.took = time.Since(begun)
	return st, err
}

// restart begins a new wait: something was just sent.
func (p *poller) restart() { p.since = time.Now() }

// settled says that the last thing sent should have shown by now.
func (p *poller) settled() bool { return time.Since(p.since) > settle }

// pause sleeps until the next look. It returns the context's cause when the
// run is cancelled, and ErrTimeout when patience has run out.
func (p *poller) pause(ctx context.Context) error {
	if time.Since(p.start) > p.patience {
		return ErrTimeout
	}
	d := max(minPause, 4*p.took, time.Since(p.since)/pauseShare)
	return sleep(ctx, min(d, maxPause))
}

func (p *poller) explain(err error, note string) error {
	if note == "" {
		note = "no word from the service"
	}
	return fmt.Errorf("%w after %s: %s", err, time.Since(p.start).Round(time.Second), note)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
