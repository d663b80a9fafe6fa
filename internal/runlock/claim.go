package runlock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// first is the name of the record that every chain of claims starts with.
const first = "first"

// claim is the value of a record.
type claim struct {
	Token  string        `json:"token"`
	Holder string        `json:"holder"`
	Lease  time.Duration `json:"lease"`
	// Machine and Process tell whether the holder is known to be dead.
	Machine string `json:"machine,omitempty"`
	Process int    `json:"process,omitempty"`
	// Released says that nobody holds the lock.
	Released bool `json:"released,omitempty"`
}

// seen is a claim as it was read.
type seen struct {
	claim
	// since is when it was created, touched when its holder last showed a sign of
	// life, and now when it was read; all by the store's clock.
	since, touched, now time.Time
}

// free reports whether the lock can be taken: it was released, or its holder no
// longer counts.
func (s seen) free() bool { return s.Released || s.expired() || s.dead() }

// held is what another run is told of the holder.
func (s seen) held(stack string) *LockedError {
	return &LockedError{Stack: stack, Holder: s.Holder, Since: s.since, Expires: s.touched.Add(s.Lease)}
}

func (s seen) expired() bool { return s.now.Sub(s.touched) > s.Lease }

// dead reports whether the holder was a process of this machine that is no more.
func (s seen) dead() bool {
	return s.Machine != "" && s.Machine == machine() && s.Process != os.Getpid() && !running(s.Process)
}

// lastClaim follows the chain to the claim that holds the lock. Nil means that the
// stack is not locked.
func lastClaim(ctx context.Context, store Store) (*seen, error) {
	found, _, err := store.Get(ctx, first)
	if err != nil {
		return nil, err
	}
	r, ok := found[first]
	for ok {
		var c seen
		if err := json.Unmarshal([]byte(r.Value), &c.claim); err != nil || c.Token == "" {
			return nil, store.Unreadable()
		}
		c.since, c.touched = r.Modified, r.Modified
		next, lease := c.Token, leaseOf(c.claim)
		more, now, err := store.Get(ctx, next, lease)
		if err != nil {
			return nil, err
		}
		if t := more[lease].Modified; t.After(c.touched) {
			c.touched = t
		}
		c.now = now
		if r, ok = more[next]; !ok {
			return &c, nil
		}
	}
	return nil, nil
}

// visibleClaim is lastClaim for one who knows that a claim of that name was
// created: while the chain ends just before it, it is not visible yet.
func visibleClaim(name string) func(context.Context, Store) (*seen, error) {
	return func(ctx context.Context, store Store) (*seen, error) {
		for pause := 20 * time.Millisecond; ; pause *= 2 {
			last, err := lastClaim(ctx, store)
			hidden := last == nil && name == first || last != nil && last.Token == name
			if err != nil || !hidden || pause > 5*time.Second {
				return last, err
			}
			if err := graph.Sleep(ctx, pause); err != nil {
				return nil, err
			}
		}
	}
}

// machine identifies what process numbers are relative to: this boot of the
// machine, and the container in it. It is "" where that can't be told, and then
// nobody counts as dead.
func machine() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(boot)) + " " + space
}

// running reports whether a process is at work. One that has ended and that its
// parent has not asked after (Z) still has an entry:
// https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
func running(process int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	// The state follows the name, which stands in brackets and may hold any.
	state := bytes.TrimSpace(stat[bytes.LastIndexByte(stat, ')')+1:])
	return !bytes.HasPrefix(state, []byte("Z")) && !bytes.HasPrefix(state, []byte("X"))
}
