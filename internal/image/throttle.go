package image

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// longestThrottle bounds the waits that a registry asks for in one lookup.
const longestThrottle = 5 * time.Minute

// throttled is a transport that waits for as long as a registry asks when it
// refuses a request for now (429), and no longer than left in all. It is not for
// concurrent use.
type throttled struct {
	inner    http.RoundTripper
	registry string
	note     func(string)
	left     time.Duration
	asked    time.Duration // by the last refusal; 0 is nothing
}

// RoundTrip sends a request that has no body, and that may be sent again.
func (p *throttled) RoundTrip(req *http.Request) (*http.Response, error) {
	for tries := 1; ; tries++ {
		resp, err := p.inner.RoundTrip(req)
		if err != nil || resp.StatusCode != http.StatusTooManyRequests || req.Body != nil {
			return resp, err
		}
		p.asked = retryAfter(resp.Header.Get("Retry-After"), time.Now())
		wait := p.asked
		if wait == 0 { // it does not say
			if tries == triesUnasked {
				return resp, nil
			}
			wait = time.Duration(tries) * time.Second
		}
		if wait > p.left {
			return resp, nil
		}
		p.left -= wait
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
		_ = resp.Body.Close()
		if p.note != nil && p.asked > 0 {
			p.note(fmt.Sprintf("registry %s takes no more requests for now (429), and asks to wait %s", p.registry, wait))
		}
		if err := pause(req.Context(), wait); err != nil {
			return nil, err
		}
	}
}

// triesUnasked is how often a request is sent that is refused without a word on
// how long.
const triesUnasked = 4

// waitNote says how long the registry asked to wait in its last refusal, or is empty.
func (p *throttled) waitNote() string {
	if p.asked == 0 {
		return ""
	}
	return fmt.Sprintf(", and asks to wait %s", p.asked)
}

// retryAfter is the wait that a header asks for: of seconds, or until a time
// (https://www.rfc-editor.org/rfc/rfc9110.html#name-retry-after). 0 is none.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return max(0, at.Sub(now).Round(time.Second))
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
