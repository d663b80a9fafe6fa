package graph

import (
	"context"
	"fmt"
	"time"
)

// poller paces the Finds of one step. The pause is a share of the time waited
// so far, so that what is over is noticed at most a few per cent late, and
// never less than a few times what the last call itself took, so that a slow
// endpoint isn't asked without a break. Where something is on its way that usually
// takes so long, it is asked twice in the first half, and then each time when
// half of what is left is over: calls are what AWS rations.
type poller struct {
	start   time.Time // of the step: the timeout counts from here
	since   time.Time // of the last mutating call: the pace counts from here
	timeout time.Duration
	delay   time.Duration
	expect  func() time.Duration // from since until the end; 0: not known
	usable  time.Duration        // the first pause of what is not usable yet
	took    time.Duration        // the last Find or call
	// wake is closed when what this needs is ready that was only made when it
	// began. That has a timeout of its own, so the wait begins again then. Nil
	// for nothing to wait for.
	wake  <-chan struct{}
	woken bool // while it waited
}

const (
	minPause = 20 * time.Millisecond
	maxPause = 10 * time.Second
	// asleep is the first pause of what waits for something else first, and then each
	// doubles the time waited.
	asleep = 30 * time.Second
	// share of the time waited that a pause may add: it bounds how late the
	// end of a wait is noticed.
	pauseShare = 30
	// earlyShare is the first pause, as a share of the expected time, for what is there
	// much sooner. The next one lasts until half of it is over.
	earlyShare = 8
	// usableAfter is the first pause where something new is not usable yet: IAM takes seconds.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
	usableAfter = 4 * time.Second
	// expectShare is the pause around the expected end, as a share of the
	// expected time.
	expectShare = 25
)

func newPoller(timeout, delay time.Duration, expect func() time.Duration) *poller {
	now := time.Now()
	return &poller{start: now, since: now, timeout: timeout, delay: delay, expect: expect}
}

// find looks, until the timeout: an endpoint that takes the call and
// does not answer ends the step like any other that is not done in time.
func (p *poller) find(ctx context.Context, f Finder) (State, error) {
	if p.wake == nil {
		var cancel context.CancelFunc
		// What was just sent is looked at, however long that took.
		ctx, cancel = context.WithTimeout(ctx, max(p.timeout-time.Since(p.start), p.delay))
		defer cancel()
	}
	var st State
	err := p.timed(func() (err error) {
		st, err = f.Find(ctx)
		return err
	})
	return st, err
}

// timed notes how long a call takes.
func (p *poller) timed(call func() error) error {
	begun := time.Now()
	err := call()
	p.took = time.Since(begun)
	return err
}

// restart begins a new wait: something was just sent.
func (p *poller) restart() { p.since = time.Now() }

// end is when what is on its way is usually over.
func (p *poller) end() time.Time { return p.since.Add(p.expect()) }

// pausing is what a pause is for; its zero value is an effect that may show at any moment.
type pausing struct {
	coming  bool // something is on its way, which usually takes so long
	refused bool // a call was refused for a temporary reason
	// unusable reports whether the reason is that something new is not usable yet: each try
	// doubles the time waited, since IAM takes seconds for what other services allow few
	// calls of.
	unusable bool
	// slack is how long nobody waits for the end of it yet.
	slack time.Duration
}

// pause sleeps until the next look. It returns the context's cause when the run is
// cancelled, and ErrTimeout after the timeout.
func (p *poller) pause(ctx context.Context, why pausing) error {
	left := p.timeout - time.Since(p.start)
	if p.wake != nil {
		left = max(asleep, time.Since(p.since))
	}
	if left <= 0 {
		return ErrTimeout
	}
	var expect time.Duration
	if why.coming {
		expect = p.expect()
	}
	slow := 4 * p.took
	if why.refused {
		slow *= 8
	}
	d := max(minPause, min(slow, maxPause), pace(time.Since(p.since), expect))
	if why.coming {
		d = max(d, pauseWithSlack(time.Since(p.since), expect, why.slack))
	}
	if why.unusable {
		d = max(d, p.usable, min(time.Since(p.since), maxPause))
	}
	t := time.NewTimer(min(d, left))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.wake:
		p.woken = true
		p.wake, p.start, p.since = nil, time.Now(), time.Now()
	case <-t.C:
	}
	return nil
}

// pace returns the pause after a wait of so long, of an expected length.
func pace(waited, expect time.Duration) time.Duration {
	switch {
	case expect == 0 || waited > 3*expect/2:
		return min(waited/pauseShare, maxPause)
	case waited < expect/earlyShare:
		return expect / earlyShare
	case waited < expect/2:
		return max(expect/2-waited, expect/expectShare)
	}
	return max((expect-waited)/2, expect/expectShare)
}

// pauseWithSlack returns the pause of a step that nobody waits for yet: until it usually ends,
// but at most half the slack, which is an estimate. Zero means no such pause.
func pauseWithSlack(waited, expect, slack time.Duration) time.Duration {
	if waited < expect {
		return min(slack/2, expect-waited)
	}
	return min(slack/2, expect/earlyShare)
}

func (p *poller) explain(err error, note string) error {
	if note == "" {
		note = "no word from the service"
	}
	return fmt.Errorf("%w after %s: %s", err, time.Since(p.start).Round(time.Second), note)
}

// Sleep waits for d, or until ctx ends: the error is then its cause.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
