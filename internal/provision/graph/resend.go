package graph

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/hint"
)

// ErrNotShown is wrapped by the error of a step whose call the service accepted
// without effect.
var ErrNotShown = errors.New("does not show it")

// maxTries is how often a call is sent that the service accepts without effect.
const maxTries = 3

// resendDelay is how long a call that was accepted so many times may stay without
// effect. It grows, so that a service which shows its changes minutes late is
// sent few of them, and is not given up: with the usual 15 s these are 15 s, one
// minute and four.
func resendDelay(tries int, delay time.Duration) time.Duration {
	for range tries - 1 {
		delay *= 4
	}
	return delay
}

// totalResendDelay is how long all tries together may stay without effect.
func totalResendDelay(delay time.Duration) time.Duration {
	var whole time.Duration
	for n := range maxTries {
		whole += resendDelay(n+1, delay)
	}
	return whole
}

// accepted counts how often the service took each change without effect. A change
// that is seen with another value is another one: something happens.
type accepted struct {
	tries map[change]int
	last  int // how many were sent last
}

// add counts drift that the service took. Where some of what was sent before has
// shown, the rest may only take more calls, and is counted again.
func (a *accepted) add(drift []Change) {
	if a.tries == nil || len(drift) < a.last {
		a.tries = map[change]int{}
	}
	for _, c := range drift {
		a.tries[c.key()]++
	}
	a.last = len(drift)
}

// uncertain notes drift whose call may have been carried out. It is waited for
// like what was accepted once, and never given up.
func (a *accepted) uncertain(drift []Change) {
	if a.tries == nil {
		a.tries = map[change]int{}
	}
	for _, c := range drift {
		a.tries[c.key()] = max(a.tries[c.key()], 1)
	}
}

// next decides what to do about drift, so long after the last call: send it,
// wait, or give up on those changes that have no effect.
func (a *accepted) next(drift []Change, waited, delay time.Duration) (send bool, ineffective []Change) {
	fewest := maxTries
	for _, c := range drift {
		fewest = min(fewest, a.tries[c.key()])
	}
	if fewest > 0 && waited <= resendDelay(fewest, delay) {
		return false, nil
	}
	for _, c := range drift {
		if fewest > 0 && a.tries[c.key()] >= maxTries {
			ineffective = append(ineffective, c)
		}
	}
	return ineffective == nil, ineffective
}

// notShown is the error of changes that the service took without effect.
func notShown(changes []Change, since time.Duration) error {
	parts := make([]string, len(changes))
	for i, c := range changes {
		parts[i] = c.String()
	}
	return hint.With(
		fmt.Errorf("the service accepted the change and %w: %s (sent %d times in %s)", ErrNotShown, strings.Join(parts, "; "), maxTries, rounded(since)),
		"%s shows whether it still differs. If so, something sets it back, such as a policy or another tool, or the endpoint is an emulator that lacks the setting", hint.Command("plan"))
}

// neverSeen is the error of a resource that the service says to have made.
func neverSeen(since time.Duration) error {
	return hint.With(fmt.Errorf("the service accepted the creation and %w after %s", ErrNotShown, rounded(since)),
		"run the same command again: what was made may be visible by then")
}

// notGone is the error of a resource that the service says to delete, and keeps.
func notGone(since time.Duration) error {
	return hint.With(fmt.Errorf("the service accepted the deletion and %w: it is still there (sent %d times in %s)", ErrNotShown, maxTries, rounded(since)),
		"run the same command again later, or delete that resource yourself")
}

func rounded(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Second)
}
