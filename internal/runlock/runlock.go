// Package runlock keeps two runs from changing one stack at the same time.
//
// The protocol needs a store of small records in which creating a record is atomic
// (see Store). Package parameterstore has them in AWS's Parameter Store, where
// they cost nothing.
package runlock

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"github.com/bookctl/bookctl/internal/hint"
	"os"
	"slices"
	"time"

	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Lock is held by one run at a time. Its records are:
//
//	first        a claim, as long as there is a stack
//	TOKEN        the claim that came after the claim with that token
//	TOKEN.lease  touched by the holder of that claim while it works
//
// A claim names its holder and has a random token. The last claim of the chain
// that starts at "first" holds the lock, unless it says that it is released. To
// take the lock, from a released claim or from a dead holder, is to create the
// name that the last claim's token gives. Only one of many can do that, and it
// can't hit another claim, because a token is used once. Only "first" is ever
// overwritten: its holder's release puts a released claim with a new token in its
// place, and then removes the rest. So no name is created twice, which Parameter
// Store refuses for 30 seconds after a deletion; only a destroy removes "first",
// and an up right after it waits.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameter.html
//
// So it doesn't matter how old a view a contender acts on:
//
//   - Two create "first", or two take over from one claim: one of them fails.
//   - A contender sees a claim released or expired, sleeps, and meanwhile the lock
//     is taken, released and taken again: what it creates then hangs on a token
//     that is in no chain. It reads again from "first", sees that it isn't the
//     last, and removes what it created.
//   - The holder sleeps past its lease (SIGSTOP, a closed laptop): Guard lets
//     nothing through, and it may only go on by taking over from itself, by the
//     same one name for which the others compete.
//   - The holder is suspended between Guard and sending: AWS refuses a request
//     whose signature is older than five minutes, a call is tried again, with a
//     new signature, for two minutes at most, and Guard passes nothing in the last
//     seven minutes of a lease of ten. The touch of a lease has a name of its own
//     and can hit nobody else's; "first" is written or removed under the same rule
//     as anything else.
//     https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html
//   - It is killed: its claim expires. On the same machine it is known to be dead
//     at once; what it sent last may still arrive, and write "first". So who takes
//     over from it checks again after a while whether it is still last.
//   - It is killed while it releases: "first" is written before the rest is
//     removed, so that the lock is free; the rest hangs on nothing, and the next
//     release removes it. A release removes what was there before it wrote
//     "first": a claim that comes after that is not among it.
//
// Ages are differences of the store's own times, and a holder measures its lease
// by its own clock from before it asked: no two clocks are ever compared. Where
// the monotonic clock stops (a suspended machine), the wall clock counts, and the
// other way round.
//
// Terraform's S3 and DynamoDB locks never expire and need force-unlock after a
// crash; the DynamoDB lock client has leases but needs a paid table.
type Lock struct {
	store   Store
	stack   string
	o       Options
	claimed claim
	name    string // of the record that holds the claim
	// afterDead says that the last holder was dead; see AfterDead.
	afterDead bool

	mu      mutex
	renewed time.Time // when the last successful touch was begun
	lost    error
	stop    context.CancelFunc
	stopped chan struct{}
	leased  bool // the lease record exists
	clear   bool // nothing is to be left of the lock
}

// mutex is a mutex whose waiters count as blocked for package testing/synctest.
type mutex chan struct{}

func (m mutex) lock()   { m <- struct{}{} }
func (m mutex) unlock() { <-m }

// Options tune a lock. The zero value works.
type Options struct {
	// Lease is how long a claim outlives the last sign of life of its holder.
	// 0 means ten minutes. Below that, AWS's own five minutes for a signature and
	// the two for which a call is tried no longer fit between a check and the end.
	Lease time.Duration
	// Force takes the lock over from a holder that is alive.
	Force bool
	// VisibilityDelay is how long to wait after taking over a lock that was not
	// released, so that resources that the previous run just created become
	// visible. 0 means no wait. See AWSVisibilityDelay.
	VisibilityDelay time.Duration
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
}

// AWSVisibilityDelay is the VisibilityDelay of a run against AWS.
const AWSVisibilityDelay = 3 * time.Second

func (o Options) withDefaults() Options {
	if o.Lease == 0 {
		o.Lease = 10 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// LockedError says that another run holds the lock of a stack.
type LockedError struct {
	Stack string
	// Holder is what the other run said of itself. It is "" where several ask for
	// the lock at the same time and none is known to have it.
	Holder string
	// Since is when it took the lock, and Expires when the lock can be taken over
	// unless it shows another sign of life; both by the store's clock.
	Since, Expires time.Time
}

func (e *LockedError) Error() string {
	if e.Holder == "" {
		return fmt.Sprintf("stack %s: other runs ask for its lock at the same time", e.Stack)
	}
	return fmt.Sprintf("stack %s is locked since %s by %s", e.Stack, e.Since.UTC().Format("15:04:05Z"), e.Holder)
}

// Next says how to go on.
func (e *LockedError) Next() hint.Message {
	if e.Holder == "" {
		return hint.New("run the same command again")
	}
	return hint.New("wait until that run is over, as %s tells, and run the same command again; if it is dead, its lock ends by itself at %s", hint.Command("status"), e.Expires.UTC().Format("15:04:05Z"))
}

// ErrLost is wrapped by the error of a run that another one has taken the lock
// from. It must change nothing more.
var ErrLost = errors.New("the lock was taken over by another run")

// acquireTimeout is how long a run tries to get a lock that nobody is seen to
// have: more than the 30 s for which a deleted name can't be created again.
const acquireTimeout = time.Minute

// Acquire locks a stack for a run that is about to change it. A *LockedError says
// that another run holds the lock. Holder is shown to others: user, machine, what
// it is doing.
//
// Read the stack again once it is locked: another run may have changed it since.
// A run that finds nothing to do needs no lock. The lock shows signs of life until
// Release, which must be called, with a context of its own.
func Acquire(ctx context.Context, store Store, stack, holder string, o Options) (*Lock, error) {
	if err := naming.CheckStack(stack); err != nil {
		return nil, err
	}
	l := &Lock{store: store, stack: stack, o: o.withDefaults(), mu: make(mutex, 1), stopped: make(chan struct{})}
	l.claimed = claim{Token: rand.Text(), Holder: holder, Lease: l.o.Lease, Machine: machine(), Process: os.Getpid()}
	name, afterDead := first, false
	begun := l.o.Now() // before the first call that can have created it
	deadline := time.Now().Add(acquireTimeout)
	for turn := 0; time.Now().Before(deadline); turn++ { // every turn but the last met another run's change
		err := l.create(ctx, name, l.claimed)
		if err != nil && !errors.Is(err, ErrBusy) && !errors.Is(err, ErrExists) {
			return nil, fmt.Errorf("lock stack %s: %w", stack, err)
		}
		created := err == nil
		look := lastClaim
		if created {
			look = visibleClaim(name)
		}
		last, err := look(ctx, store)
		if err != nil {
			return nil, fmt.Errorf("lock stack %s: %w", stack, err)
		}
		if last != nil && last.Token == l.claimed.Token {
			// It is ours, perhaps by a call whose answer was lost.
			l.name, l.renewed, l.afterDead = name, begun, afterDead
			err := l.begin(ctx)
			if errors.Is(err, ErrLost) {
				return Acquire(ctx, store, stack, holder, o)
			}
			if err != nil {
				return nil, err
			}
			return l, nil
		}
		if created && name != first {
			// It hangs on a claim that is no longer in the chain.
			if err := store.Delete(ctx, name); err != nil {
				return nil, fmt.Errorf("lock stack %s: %w", stack, err)
			}
			l.claimed.Token, begun = rand.Text(), l.o.Now() // one is used once
		}
		if last == nil || !created && last.Token == name {
			// Released in the meantime; or the claim that is in the way is not
			// visible yet, such as the last one of a run that was cut off.
			if err := graph.Sleep(ctx, min(time.Duration(turn)*50*time.Millisecond, 2*time.Second)); err != nil {
				return nil, err
			}
		}
		name = first
		if last == nil {
			continue
		}
		if !o.Force && !last.free() {
			return nil, last.held(stack)
		}
		name, afterDead = last.Token, !last.Released
	}
	return nil, &LockedError{Stack: stack}
}

// begin starts the signs of life of a lock that was just taken. One that was taken
// over from a run that did not release it is checked once more after a while: what
// that run sent last may have arrived since.
func (l *Lock) begin(ctx context.Context) error {
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	graph.Start(func() error { l.keepAlive(life); return nil }) // Guard notices its end
	if !l.afterDead || l.o.VisibilityDelay == 0 {
		return nil
	}
	giveBack := func(err error) error { return errors.Join(err, l.Release(context.WithoutCancel(ctx))) }
	if err := graph.Sleep(ctx, l.o.VisibilityDelay); err != nil {
		return giveBack(err)
	}
	last, err := lastClaim(ctx, l.store)
	if err != nil {
		return giveBack(fmt.Errorf("lock stack %s: %w", l.stack, err))
	}
	l.mu.lock()
	defer l.mu.unlock()
	if last == nil || last.Token != l.claimed.Token {
		stop()
		return l.lose(ctx, last)
	}
	return nil
}

// AfterDead reports whether the lock was taken over from a run that did not
// release it, so that what that run created last may not be visible yet.
// https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
func (l *Lock) AfterDead() bool { return l.afterDead }

// Holder says who holds a stack's lock. It is nil when a run could have it: it is
// free, or its holder is dead. It makes reads only.
func Holder(ctx context.Context, store Store, stack string) (*LockedError, error) {
	last, err := lastClaim(ctx, store)
	if err != nil {
		return nil, fmt.Errorf("look at the lock of stack %s: %w", stack, err)
	}
	if last == nil || last.free() {
		return nil, nil
	}
	return last.held(stack), nil
}

// Abandoned reports whether a run did not release the lock: it was cut off. With
// force, any run counts as cut off. It makes reads only.
func Abandoned(ctx context.Context, store Store, stack string, force bool) (bool, error) {
	last, err := lastClaim(ctx, store)
	if err != nil {
		return false, fmt.Errorf("look at the lock of stack %s: %w", stack, err)
	}
	return last != nil && !last.Released && (force || last.free()), nil
}

// keepAlive shows a sign of life ten times a lease.
func (l *Lock) keepAlive(ctx context.Context) {
	defer close(l.stopped)
	tick := time.NewTicker(l.o.Lease / 10)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.mu.lock()
			if ctx.Err() == nil {
				_ = l.renew(ctx) // Guard reports it; a failure that passes is made good by the next
			}
			l.mu.unlock()
		}
	}
}

// age is how long ago the last sign of life was begun, by whichever clock says
// more.
func (l *Lock) age() time.Duration {
	now := l.o.Now()
	return max(now.Sub(l.renewed), now.Round(0).Sub(l.renewed.Round(0)))
}

// fresh reports whether what is sent now is over before the lease is: see Lock.
func (l *Lock) fresh() bool { return l.age() < l.o.Lease*3/10 }

// renew touches the lease or, when it is too old for that, takes over from
// itself.
func (l *Lock) renew(ctx context.Context) error {
	if l.lost != nil {
		return l.lost
	}
	fail := func(err error) error { return fmt.Errorf("keep stack %s locked: %w", l.stack, err) }
	begun, look := l.o.Now(), lastClaim
	if l.fresh() {
		if err := l.touch(ctx); err != nil {
			return fail(err)
		}
	} else {
		c := l.claimed
		c.Token = rand.Text()
		err := whileBusy(ctx, func() error { return l.create(ctx, l.claimed.Token, c) })
		if err != nil && !errors.Is(err, ErrExists) && !errors.Is(err, ErrBusy) {
			return fail(err)
		}
		if err != nil {
			// Another run has it or had it, or ours was done and its answer lost.
			last, lookErr := visibleClaim(l.claimed.Token)(ctx, l.store)
			if lookErr != nil {
				return fail(lookErr)
			}
			if errors.Is(err, ErrBusy) && last != nil && last.Token == l.claimed.Token {
				return fail(err)
			}
			if last == nil || last.Token != c.Token {
				return l.lose(ctx, last)
			}
		}
		l.name, l.claimed, l.leased = l.claimed.Token, c, false
		look = visibleClaim(l.name)
	}
	last, err := look(ctx, l.store)
	if err != nil {
		return fail(err)
	}
	if last == nil || last.Token != l.claimed.Token {
		return l.lose(ctx, last)
	}
	l.renewed = begun
	return nil
}

// lose notes that the lock is another's.
func (l *Lock) lose(ctx context.Context, last *seen) error {
	who := "nobody any more"
	if last != nil && !last.Released {
		who = last.Holder
	}
	l.lost = fmt.Errorf("stack %s: %w (now held by %s)", l.stack, ErrLost, who)
	l.discard(ctx, last)
	return l.lost
}

// discard removes what is left of a lost claim, unless the chain needs it.
func (l *Lock) discard(ctx context.Context, last *seen) {
	names := []string{leaseOf(l.claimed)}
	if (last == nil || last.Released) && l.name != first {
		names = append(names, l.name)
	}
	_ = l.store.Delete(ctx, names...) // the next release removes what stays
}

// touch updates the lease. The first one creates it.
func (l *Lock) touch(ctx context.Context) error {
	write := l.store.Create
	if l.leased {
		write = l.store.Overwrite
	}
	err := whileBusy(ctx, func() error { return write(ctx, leaseOf(l.claimed), l.claimed.Holder) })
	if err == nil || errors.Is(err, ErrExists) {
		l.leased = true
		return nil
	}
	return err
}

// Guard returns an error when this run may no longer change the stack. It is cheap
// while the lease is fresh, and asks the store when it is not. Give it to
// graph.Options.
func (l *Lock) Guard(ctx context.Context) error {
	l.mu.lock()
	defer l.mu.unlock()
	return l.guard(ctx)
}

// guard is Guard for who has the mutex.
func (l *Lock) guard(ctx context.Context) error {
	for range 5 {
		if l.lost == nil && l.fresh() {
			return nil
		}
		// The answers may come so late that what they say is too old.
		if err := l.renew(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("keep stack %s locked: AWS answers too slowly", l.stack)
}

// Clear makes Release leave nothing of the lock: there is no stack any more.
func (l *Lock) Clear() { l.clear = true }

// Release unlocks the stack and removes what dead holders left. A released claim
// stays, unless Clear was called. It fails with ErrLost when the lock is another's
// by now, which then is left alone.
func (l *Lock) Release(ctx context.Context) error {
	l.stop()
	<-l.stopped
	if err := l.Guard(ctx); err != nil {
		return err
	}
	// Nothing but the chain to this claim can matter to anyone: all that is there
	// now may go, once "first" says that the lock is free.
	names, err := l.store.List(ctx)
	if err != nil {
		return fmt.Errorf("unlock stack %s: %w", l.stack, err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == first })
	if err := l.Guard(ctx); err != nil {
		return err
	}
	l.mu.lock()
	defer l.mu.unlock()
	if slices.Contains(names, l.claimed.Token) {
		last, err := lastClaim(ctx, l.store)
		if err != nil {
			return fmt.Errorf("unlock stack %s: %w", l.stack, err)
		}
		return l.lose(ctx, last)
	}
	err = l.free(ctx)
	if l.lost == nil { // also after an error: the call may have come through
		l.lost = errors.New("the lock was released")
	}
	if err != nil {
		return fmt.Errorf("unlock stack %s: %w", l.stack, err)
	}
	if err := l.store.Delete(ctx, names...); err != nil {
		return fmt.Errorf("sweep the lock of stack %s: %w", l.stack, err)
	}
	return nil
}

// free ends the chain: "first" says that nobody holds the lock, or is removed.
func (l *Lock) free(ctx context.Context) error {
	if l.clear {
		return l.store.Delete(ctx, first)
	}
	value, err := json.Marshal(claim{Token: rand.Text(), Released: true})
	if err != nil {
		return err
	}
	return whileBusy(ctx, func() error {
		// The pause before another try may have been long: a suspended machine.
		if err := l.guard(ctx); err != nil {
			return err
		}
		return l.store.Overwrite(ctx, first, string(value))
	})
}

func (l *Lock) create(ctx context.Context, name string, c claim) error {
	value, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return l.store.Create(ctx, name, string(value))
}

// whileBusy repeats a write while the name can't be written.
func whileBusy(ctx context.Context, write func() error) error {
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		err := write()
		if !errors.Is(err, ErrBusy) || pause > 5*time.Second {
			return err
		}
		if err := graph.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func leaseOf(c claim) string { return c.Token + ".lease" }
