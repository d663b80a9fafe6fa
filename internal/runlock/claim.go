package runlock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
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
	// Machine and Process identify the holder's process, to find out whether it is
	// dead.
	Machine string `json:"machine,omitempty"`
	Process int    `json:"process,omitempty"`
	// Released reports whether nobody holds the lock.
	Released bool `json:"released,omitempty"`
}

// observed is a claim with the times at which it was read.
type observed struct {
	claim
	// since is when it was created, touched when its holder last renewed it, and now
	// when it was read; all by the store's clock.
	since, touched, now time.Time
}

// free reports whether the lock can be taken: it was released, it has expired, or its
// holder is dead.
func (s observed) free() bool { return s.Released || s.expired() || s.dead() }

// held returns the error for another run that tries to take the lock.
func (s observed) held(stack string) *LockedError {
	return &LockedError{Stack: stack, Holder: s.Holder, Since: s.since, Expires: s.touched.Add(s.Lease)}
}

func (s observed) expired() bool { return s.now.Sub(s.touched) > s.Lease }

// dead reports whether the holder was a process of this machine that has ended.
func (s observed) dead() bool {
	return s.Machine != "" && s.Machine == machine() && s.Process != os.Getpid() && !running(procfs, s.Process)
}

// ownClaim returns the claim that a run has made at a name, if it is the last of the chain
// and follows the first claim, or is that. Nil means that the chain has to be followed to
// know. A run knows all names that this depends on, so that one read is enough.
func ownClaim(ctx context.Context, store Store, name string, own claim) (*observed, error) {
	names := []string{own.Token, leaseOf(own), name}
	if name != first {
		names = append(names, first)
	}
	found, now, err := store.Get(ctx, names...)
	if err != nil {
		return nil, err
	}
	if _, taken := found[own.Token]; taken || name != first && token(found[first]) != name || token(found[name]) != own.Token {
		return nil, nil
	}
	c := observed{claim: own, since: found[name].Modified, touched: found[name].Modified, now: now}
	if t := found[leaseOf(own)].Modified; t.After(c.touched) {
		c.touched = t
	}
	return &c, nil
}

// token returns the token of the claim that a record has, "" for none.
func token(r Record) string {
	var c claim
	if json.Unmarshal([]byte(r.Value), &c) != nil {
		return ""
	}
	return c.Token
}

// lastClaim follows the chain to the claim that holds the lock. Nil means that there
// is no claim.
func lastClaim(ctx context.Context, store Store) (*observed, error) {
	found, _, err := store.Get(ctx, first)
	if err != nil {
		return nil, err
	}
	r, ok := found[first]
	for ok {
		var c observed
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

// visibleClaim is lastClaim for a caller that knows that a claim of that name was
// created. While the chain ends just before that claim, it is not visible yet, and
// visibleClaim reads again.
func visibleClaim(name string) func(context.Context, Store) (*observed, error) {
	return func(ctx context.Context, store Store) (*observed, error) {
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

// procfs is where Linux lists processes.
const procfs = "/proc"

// running reports whether a process is running. A process that has ended, and whose
// parent has not waited for it yet (Z), still has an entry:
// https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
//
// No entry does not mean that the process has ended: mounted with hidepid, as systemd
// does for ProtectProc=, proc has none for the processes of other users. A signal still
// distinguishes them, because it is refused with EPERM and not with ESRCH:
// https://man7.org/linux/man-pages/man5/proc.5.html
// https://man7.org/linux/man-pages/man2/kill.2.html
func running(proc string, process int) bool {
	stat, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(process), "stat"))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist) || !ended(process)
	}
	// The state follows the name, which is in brackets and may contain brackets too.
	state := bytes.TrimSpace(stat[bytes.LastIndexByte(stat, ')')+1:])
	return !bytes.HasPrefix(state, []byte("Z")) && !bytes.HasPrefix(state, []byte("X"))
}

// ended reports whether there is no process of that number. It sends signal 0, which
// only checks.
func ended(process int) bool {
	p, err := os.FindProcess(process)
	if err != nil {
		return false
	}
	err = p.Signal(syscall.Signal(0))
	return errors.Is(err, os.ErrProcessDone)
}
