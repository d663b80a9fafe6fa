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
	"os"
	"slices"
	"time"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Lock is held by one run at a time. Its records are:
//
//	first        a claim; it exists as long as the stack does
//	TOKEN        the claim that follows the claim with that token
//	TOKEN.lease  renewed by the holder of that claim while it works
//
// A claim names its holder and has a random token. The claims form a chain that
// starts at "first". The last claim of the chain holds the lock, unless it says
// that it is released. To take the lock, after a release or from a dead holder, a
// run creates the record whose name is the token of the last claim. Only one run
// can create it, and it can't replace another claim, because a token is used only
// once. Only "first" is ever overwritten: a release writes a released claim with a
// new token to it, and then deletes the other records. So no name is created
// twice, which Parameter Store rejects for 30 seconds after a deletion. Only
// destroy deletes "first", and an up right after it waits.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameter.html
//
// So a run may safely act on an old view of the records:
//
//   - Two runs create "first", or two take over from the same claim: one of them
//     fails.
//   - A run reads that the claim is released or expired, and sleeps. Meanwhile the
//     lock is taken, released and taken again. What the run then creates follows a
//     token that is in no chain. The run reads again from "first", finds that it is
//     not the last, and deletes what it created.
//   - The holder sleeps longer than its lease (SIGSTOP, a closed laptop): Guard
//     returns an error. The holder may continue only if it takes over from itself,
//     by creating the same name for which the other runs compete.
//   - The holder is suspended after Guard and before it sends a call. AWS rejects a
//     request whose signature is older than five minutes; a call is retried, with a
//     new signature, for at most two minutes; and Guard returns an error during the
//     last seven minutes of a lease of ten. The lease has a name of its own, so
//     renewing it can't affect another run; "first" is written and deleted under
//     the same rule as everything else.
//     https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html
//   - The holder is killed: its claim expires. On the same machine it is known to
//     be dead immediately. What it sent last may still arrive, and write "first". So
//     a run that takes over from it checks a little later whether it is still last.
//   - The holder is killed during a release: "first" is written before the other
//     records are deleted, so the lock is free. The other records are in no chain,
//     and the next release deletes them. A release deletes only what it listed
//     before it wrote "first", so it never deletes a later claim.
//
// An age is a difference between two times of the store, and a holder measures its
// lease with its own clock, from before it sent the request: times of different
// clocks are never compared. If the monotonic clock stops (on a suspended
// machine), the wall clock counts, and the other way round.
//
// Terraform's S3 and DynamoDB locks never expire and need force-unlock after a
// crash; the DynamoDB lock client has leases but needs a paid table.
type Lock struct {
	store   Store
	stack   string
	o       Options
	claimed claim
	name    string // of the record that holds the claim
	// afterDead reports whether the last holder was dead; see AfterDead.
	afterDead bool

	mu      mutex
	renewed time.Time // when the last successful renewal began
	lost    error
	stop    context.CancelFunc
	stopped chan struct{}
	leased  bool // the lease record exists
	clear   bool // Release deletes all records
}

// mutex is a mutex whose waiters count as blocked for package testing/synctest.
type mutex chan struct{}

func (m mutex) lock()   { m <- struct{}{} }
func (m mutex) unlock() { <-m }

// Options tune a lock. The zero value works.
type Options struct {
	// Lease is how long a claim is valid after its holder last renewed it. 0 means
	// ten minutes. A shorter lease is not safe: the five minutes for which AWS
	// accepts a signature, and the two for which a call is retried, must fit between
	// a check and the end of the lease.
	Lease time.Duration
	// Force takes over the lock even if its holder is alive.
	Force bool
	// VisibilityDelay is how long to wait after taking over a lock that was not
	// released, so that resources that the previous run just created become
	// visible. 0 means no wait. See AWSVisibilityDelay.
	VisibilityDelay time.Duration
	// Known is the lock as it was read before. It only saves reads: if it was released
	// then, Acquire first tries to follow that claim. Nil means that it was not read.
	Known *View
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

// LockedError reports that another run holds the lock of a stack.
type LockedError struct {
	Stack string
	// Holder describes the run that holds the lock, as that run gave it. It is "" if
	// several runs try to take the lock at the same time and none is known to hold it.
	Holder string
	// Since is when it took the lock, and Expires when the lock can be taken over if
	// it is not renewed before. Both are times of the store's clock.
	Since, Expires time.Time
}

func (e *LockedError) Error() string {
	if e.Holder == "" {
		return fmt.Sprintf("stack %s: other runs try to take its lock at the same time", e.Stack)
	}
	return fmt.Sprintf("stack %s is locked since %s by %s", e.Stack, e.Since.UTC().Format("15:04:05Z"), e.Holder)
}

// Next returns the next step for the user.
func (e *LockedError) Next() hint.Message {
	if e.Holder == "" {
		return hint.New("run the same command again")
	}
	return hint.New("wait until that run is over, as %s shows, and run the same command again; if it is dead, its lock expires at %s", hint.Command("status"), e.Expires.UTC().Format("15:04:05Z"))
}

// ErrLost is wrapped by the error that a run gets after another run has taken over
// its lock. It must not change anything any more.
var ErrLost = errors.New("the lock was taken over by another run")

// acquireTimeout is how long a run tries to take a lock that nobody seems to hold.
// It is longer than the 30 s for which a deleted name can't be created again.
const acquireTimeout = time.Minute

// Acquire locks a stack for a run that is about to change it. The error is a
// *LockedError if another run holds the lock. Holder is shown to other runs: the
// user, the machine and the command.
//
// Read the stack again after Acquire: another run may have changed it. A run that
// finds nothing to do needs no lock. The lock is renewed until Release, which must
// be called, with a context of its own.
func Acquire(ctx context.Context, store Store, stack, holder string, o Options) (*Lock, error) {
	if err := naming.CheckStack(stack); err != nil {
		return nil, err
	}
	l := &Lock{store: store, stack: stack, o: o.withDefaults(), mu: make(mutex, 1), stopped: make(chan struct{})}
	l.claimed = claim{Token: rand.Text(), Holder: holder, Lease: l.o.Lease, Machine: machine(), Process: os.Getpid()}
	name, afterDead := first, false
	if k := o.Known; k != nil && k.last != nil && k.last.Released {
		name = k.last.Token
	}
	begun := l.o.Now() // before the first call that can have created it
	deadline := time.Now().Add(acquireTimeout)
	for turn := 0; time.Now().Before(deadline); turn++ { // another turn only if another run changed the records
		err := l.create(ctx, name, l.claimed)
		if err != nil && !errors.Is(err, ErrBusy) && !errors.Is(err, ErrExists) {
			return nil, fmt.Errorf("lock stack %s: %w", stack, err)
		}
		created := err == nil
		look := lastClaim
		if created {
			look = l.ownOr(name, visibleClaim(name))
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
			// It follows a claim that is no longer in the chain.
			if err := store.Delete(ctx, name); err != nil {
				return nil, fmt.Errorf("lock stack %s: %w", stack, err)
			}
			l.claimed.Token, begun = rand.Text(), l.o.Now() // a token is used only once
		}
		if last == nil || !created && last.Token == name {
			// The lock was released in the meantime; or a claim of that name exists and
			// is not visible yet, such as the last one of a run that was killed.
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

// begin starts to renew a lock that was just taken. If the lock was taken over from
// a run that did not release it, begin checks it once more a little later, because
// what that run sent last may have arrived since.
func (l *Lock) begin(ctx context.Context) error {
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	graph.Start(func() error { l.keepAlive(life); return nil }) // Guard notices if it fails
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

// AfterDead reports whether the lock was taken over from a run that did not release
// it. What that run created last may then not be visible yet.
// https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
func (l *Lock) AfterDead() bool { return l.afterDead }

// View is what Look read of a stack's lock.
type View struct {
	stack string
	last  *observed // nil where there was no claim
	at    time.Time
}

// Look reads a stack's lock. It writes nothing.
func Look(ctx context.Context, store Store, stack string) (*View, error) {
	at := time.Now()
	last, err := lastClaim(ctx, store)
	if err != nil {
		return nil, fmt.Errorf("look at the lock of stack %s: %w", stack, err)
	}
	return &View{stack, last, at}, nil
}

// Holder returns who holds the lock. It is nil if a run could take the lock: it is free,
// or its holder is dead.
func (v *View) Holder() *LockedError {
	if v.last == nil || v.last.free() {
		return nil
	}
	return v.last.held(v.stack)
}

// Abandoned reports whether a run was killed before it released the lock. With force,
// every run that holds the lock counts as killed.
func (v *View) Abandoned(force bool) bool {
	return v.last != nil && !v.last.Released && (force || v.last.free())
}

// Recent reports whether the lock was read within the last seconds. A nil View is not
// recent.
func (v *View) Recent() bool { return v != nil && time.Since(v.at) < recent }

const recent = 10 * time.Second

// Follows reports whether no other run has had the lock since the View was read, and none
// was killed before. Then everything that was read of the stack since is still true.
func (l *Lock) Follows(v *View) bool {
	switch {
	case v == nil:
		return false
	case v.last == nil:
		// Parameter Store refuses a name for 30 seconds after its deletion.
		return l.name == first && v.Recent()
	}
	return v.last.Released && l.name == v.last.Token
}

// Passed reports whether another run may have had the lock since the View was read, so that
// what was read of the stack since has to be compared with what is there. Unlike for Follows,
// a run that was killed before counts as read: what it did last may only not be visible yet.
// So does one whose claim was not visible yet.
func (l *Lock) Passed(v *View) bool {
	switch {
	case l.Follows(v):
		return false
	case v == nil || !l.afterDead:
		return true
	}
	return !v.Recent() && (v.last == nil || l.name != v.last.Token)
}

// keepAlive renews the lock four times per lease: before the last renewal is too old for
// a change, which is after three tenths of one. If one fails, Guard renews it.
func (l *Lock) keepAlive(ctx context.Context) {
	defer close(l.stopped)
	tick := time.NewTicker(l.o.Lease / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.mu.lock()
			if ctx.Err() == nil {
				_ = l.renew(ctx) // Guard reports an error; after a temporary one the next renewal succeeds
			}
			l.mu.unlock()
		}
	}
}

// age is the time since the last renewal began, by the clock that shows more.
func (l *Lock) age() time.Duration {
	now := l.o.Now()
	return max(now.Sub(l.renewed), now.Round(0).Sub(l.renewed.Round(0)))
}

// fresh reports whether a call that is sent now ends before the lease does; see
// Lock.
func (l *Lock) fresh() bool { return l.age() < l.o.Lease*3/10 }

// renew renews the lease or, if it is too old for that, takes the lock over from
// itself.
func (l *Lock) renew(ctx context.Context) error {
	if l.lost != nil {
		return l.lost
	}
	fail := func(err error) error { return fmt.Errorf("keep stack %s locked: %w", l.stack, err) }
	begun, look := l.o.Now(), l.ownOr(l.name, lastClaim)
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
			// Another run holds it or held it, or the call succeeded and its response
			// was lost.
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
		look = l.ownOr(l.name, visibleClaim(l.name))
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

// ownOr returns a look that reads only whether the run's own claim, which is at a name,
// is the last one, and that looks as otherwise does where it may not be.
func (l *Lock) ownOr(name string, otherwise func(context.Context, Store) (*observed, error)) func(context.Context, Store) (*observed, error) {
	return func(ctx context.Context, store Store) (*observed, error) {
		if own, err := ownClaim(ctx, store, name, l.claimed); own != nil || err != nil {
			return own, err
		}
		return otherwise(ctx, store)
	}
}

// lose records that another run holds the lock.
func (l *Lock) lose(ctx context.Context, last *observed) error {
	who := "nobody any more"
	if last != nil && !last.Released {
		who = last.Holder
	}
	l.lost = fmt.Errorf("stack %s: %w (now held by %s)", l.stack, ErrLost, who)
	l.discard(ctx, last)
	return l.lost
}

// discard deletes the records of a lost claim, unless the chain needs them.
func (l *Lock) discard(ctx context.Context, last *observed) {
	names := []string{leaseOf(l.claimed)}
	if (last == nil || last.Released) && l.name != first {
		names = append(names, l.name)
	}
	_ = l.store.Delete(ctx, names...) // the next release deletes what stays
}

// touch writes the lease record. The first call creates it.
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

// Guard returns an error if this run may no longer change the stack. It makes no
// call while the lease is fresh, and otherwise reads the store. It is meant for
// graph.Options.
func (l *Lock) Guard(ctx context.Context) error {
	l.mu.lock()
	defer l.mu.unlock()
	return l.guard(ctx)
}

// guard is Guard for callers that have locked mu.
func (l *Lock) guard(ctx context.Context) error {
	for range 5 {
		if l.lost == nil && l.fresh() {
			return nil
		}
		// The responses may come so late that they are outdated.
		if err := l.renew(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("keep stack %s locked: AWS answers too slowly", l.stack)
}

// Clear makes Release delete all records, because the stack no longer exists.
func (l *Lock) Clear() { l.clear = true }

// Release unlocks the stack and deletes the records of dead holders. A released
// claim stays, unless Clear was called. If another run holds the lock by now,
// Release changes nothing and fails with ErrLost.
func (l *Lock) Release(ctx context.Context) error {
	l.stop()
	<-l.stopped
	if err := l.Guard(ctx); err != nil {
		return err
	}
	// No run needs any record except the chain to this claim. So all records that
	// exist now can be deleted as soon as "first" says that the lock is free.
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
	if l.lost == nil { // also after an error: the call may have succeeded
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

// free ends the chain: it marks "first" as released, or deletes it.
func (l *Lock) free(ctx context.Context) error {
	if l.clear {
		return l.store.Delete(ctx, first)
	}
	value, err := json.Marshal(claim{Token: rand.Text(), Released: true})
	if err != nil {
		return err
	}
	return whileBusy(ctx, func() error {
		// The pause before a retry may have been long, on a suspended machine.
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

// whileBusy repeats a write while it fails with ErrBusy.
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
