package provision

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/advice"
	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Lock keeps other runs from changing the same stack. It is made of standard
// SSM parameters, which cost nothing, and of the one thing that they do
// atomically: PutParameter without Overwrite makes a name or fails.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
//
// The parameters, all below /bookctl/STACK/lock/:
//
//	first      a claim, as long as there is a stack
//	TOKEN      the claim that came after the claim with that token
//	TOKEN.lease  touched by the holder of that claim while it works
//
// A claim names its holder and has a random token. The last claim of the chain
// that starts at "first" holds the lock, unless it says that it is released. To
// take the lock, from a released claim or from a dead holder, is to make the name
// that the last claim's token gives, which only one of many can do, and which
// can't hit another claim: a token is used once. Only "first" is ever written
// anew: its holder's release puts a released claim with a new token in its place,
// and then removes the rest. So no name is made twice, which AWS refuses for 30
// seconds after a deletion; only a destroy removes "first", and an up right
// after it waits.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameter.html
//
// So it doesn't matter how old a view a contender acts on:
//
//   - Two make "first", or two take over from one claim: one of them fails.
//   - A contender sees a claim released or expired, sleeps, and meanwhile the lock
//     is taken, released and taken anew: what it makes then hangs on a token that
//     is in no chain. It looks again from "first", sees that it isn't the last,
//     and removes what it made.
//   - The holder sleeps past its lease (SIGSTOP, a closed laptop): Guard lets
//     nothing through, and it may only go on by taking over from itself, by the
//     same one name for which the others compete.
//   - The holder is suspended between Guard and sending: AWS refuses a request
//     whose signature is older than five minutes, a call is tried again, with a
//     new signature, for two minutes at most (EndPauses), and Guard passes nothing
//     in the last seven minutes of a lease of ten. The touch of a lease has a name
//     of its own and can hit nobody else's; "first" is written or removed under the
//     same rule as anything else.
//     https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html
//   - It is killed: its claim expires. On the same machine it is known to be
//     dead at once; what it sent last may still come in, and write "first". So
//     who takes over from it looks again after a while whether it is still last.
//   - It is killed while it releases: "first" is written before the rest goes, so
//     that the lock is free; the rest hangs on nothing, and the next release
//     sweeps it. What a release sweeps is what was there before it wrote "first":
//     a claim that comes after that is not among it.
//
// Ages are differences of the service's own times (LastModifiedDate and the
// Date of the answer), and a holder measures its lease by its own clock from
// before it asked: no two clocks are ever compared. Where the monotonic clock
// stops (a suspended machine), the wall clock counts, and the other way round.
//
// Others: Terraform's S3 and DynamoDB locks never expire and need force-unlock
// after a crash; the DynamoDB lock client has leases but needs a paid table.
type Lock struct {
	ssm     *ssm.Client
	o       LockOptions
	claimed claim
	name    string // of the parameter that holds the claim
	// afterDead says that the last holder was dead; see AfterDead.
	afterDead bool

	mu      sync.Mutex
	renewed time.Time // when the last successful touch was begun
	lost    error
	stop    context.CancelFunc
	stopped chan struct{}
	leased  bool // the lease parameter exists
	clear   bool // nothing is to be left of the lock
}

// LockOptions tune a lock. The zero value is what runs use.
type LockOptions struct {
	// Lease is how long a claim outlives the last sign of life of its holder;
	// 0 means ten minutes. Below that, AWS's own five minutes for a signature and
	// the two for which a call is tried no longer fit between a check and the end.
	Lease time.Duration
	// Version is the version of bookctl, for TagVersion.
	Version string
	// Force takes the lock over from a holder that is alive.
	Force bool
	// Settle is how long the lock is held before it is given to a run that took
	// it over, lest the run makes again, or leaves, what its predecessor made
	// and what can't be seen yet; see UntilVisible.
	Settle time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

func (o LockOptions) withDefaults() LockOptions {
	if o.Lease == 0 {
		o.Lease = 10 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// UntilVisible is the Settle of a run against AWS.
const UntilVisible = 3 * time.Second

// claim is the value of a parameter.
type claim struct {
	Token  string        `json:"token"`
	Holder string        `json:"holder"`
	Lease  time.Duration `json:"lease"`
	// Machine and Process tell whether the holder is known to be dead.
	Machine string `json:"machine,omitempty"`
	Process int    `json:"process,omitempty"`
	// Released says that nobody holds the lock.
	Released bool `json:"released,omitempty"`

	since, touched time.Time // by the service's clock
}

// LockedError says that another run is at work on the stack.
type LockedError struct {
	Stack string
	// Holder is what the other run said of itself, "" where several ask for the
	// lock at the same time and none can be told to have it.
	Holder string
	// Since is when it took the lock, and Expires when the lock can be taken
	// over unless it shows another sign of life; both by AWS's clock.
	Since, Expires time.Time
}

func (e *LockedError) Error() string {
	if e.Holder == "" {
		return fmt.Sprintf("stack %s: other runs ask for its lock at the same time", e.Stack)
	}
	return fmt.Sprintf("stack %s is locked since %s by %s", e.Stack, e.Since.UTC().Format("15:04:05Z"), e.Holder)
}

// Next says how to go on.
func (e *LockedError) Next() string {
	if e.Holder == "" {
		return "run the same command again"
	}
	return fmt.Sprintf("wait until that run is over, as 'bookctl status' tells, and run the same command again; if it is dead, its lock ends by itself at %s",
		e.Expires.UTC().Format("15:04:05Z"))
}

// ErrLockLost is wrapped by the error of a run that another one has taken the
// lock from. It must change nothing more.
var ErrLockLost = errors.New("the lock was taken over by another run")

func lockPath(stack string) string { return naming.Names{Stack: stack}.Lock() + "/" }

const firstClaim = "first"

// AcquireLock locks a stack for a run that is about to change it. A
// *LockedError says that another run holds the lock. Holder is shown to others:
// user, machine, what it is doing.
//
// Look at the stack again once it is locked: another run may have changed it
// since. A run that finds nothing to do needs no lock. The lock shows signs of
// life until Release, which must be called, with a context of its own.
func AcquireLock(ctx context.Context, client *ssm.Client, stack, holder string, o LockOptions) (*Lock, error) {
	if err := naming.CheckStack(stack); err != nil {
		return nil, err
	}
	l := &Lock{ssm: client, o: o.withDefaults(), stopped: make(chan struct{})}
	l.claimed = claim{Holder: holder, Lease: l.o.Lease, Machine: machine(), Process: os.Getpid()}
	path := lockPath(stack)
	name, afterDead := firstClaim, false
	l.claimed.Token = rand.Text()
	begun := l.o.Now() // before the first call that can have made it
	deadline := time.Now().Add(acquirePatience)
	for turn := 0; time.Now().Before(deadline); turn++ { // every turn but the last met another run's change
		err := l.put(ctx, stack, name, l.claimed)
		// Another run writes the same name just now, or it was deleted a moment ago.
		busy := isCode(err, "TooManyUpdates")
		if err != nil && !busy && !isCode(err, "ParameterAlreadyExists") {
			return nil, fmt.Errorf("lock stack %s: %w", stack, err)
		}
		made := err == nil
		look := lastClaim
		if made {
			look = visibleClaim(name)
		}
		last, err := look(ctx, client, path)
		if err != nil {
			return nil, fmt.Errorf("lock stack %s: %w", stack, err)
		}
		if last != nil && last.Token == l.claimed.Token {
			// It is ours, perhaps by a call whose answer was lost.
			l.name, l.renewed, l.afterDead = path+name, begun, afterDead
			err := l.settle(ctx, stack)
			if errors.Is(err, ErrLockLost) {
				return AcquireLock(ctx, client, stack, holder, o)
			}
			if err != nil {
				return nil, err
			}
			return l, nil
		}
		if made && name != firstClaim {
			// It hangs on a claim that is no longer in the chain.
			if err := l.remove(ctx, path+name); err != nil {
				return nil, fmt.Errorf("lock stack %s: %w", stack, err)
			}
			l.claimed.Token, begun = rand.Text(), l.o.Now() // one is used once
		}
		if last == nil || !made && last.Token == name {
			// Released in the meantime; or the claim that is in the way is not
			// visible yet, such as the last one of a run that was cut off.
			if err := graph.Sleep(ctx, min(time.Duration(turn)*50*time.Millisecond, 2*time.Second)); err != nil {
				return nil, err
			}
		}
		name = firstClaim
		if last == nil {
			continue
		}
		if !o.Force && !last.left() {
			return nil, last.locked(stack)
		}
		name, afterDead = last.Token, !last.Released
	}
	return nil, &LockedError{Stack: stack}
}

// acquirePatience is how long a run tries to get a lock that nobody is seen to
// have: more than the 30 s for which a deleted name can't be made again.
const acquirePatience = time.Minute

// settle begins the life of a lock that was just taken. One that was taken over
// from a run which did not give it back is looked at once more after a while:
// what that run sent last may have come in since.
func (l *Lock) settle(ctx context.Context, stack string) error {
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	graph.Start(func() error { l.live(life, stack); return nil }) // the guard notices its end
	if !l.afterDead || l.o.Settle == 0 {
		return nil
	}
	giveBack := func(err error) error { return errors.Join(err, l.Release(context.WithoutCancel(ctx))) }
	if err := graph.Sleep(ctx, l.o.Settle); err != nil {
		return giveBack(err)
	}
	last, err := lastClaim(ctx, l.ssm, lockPath(stack))
	if err != nil {
		return giveBack(fmt.Errorf("lock stack %s: %w", stack, err))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if last == nil || last.Token != l.claimed.Token {
		stop()
		return l.lose(ctx, stack, last)
	}
	return nil
}

// AfterDead says that the lock was taken over from a run that did not give it
// back, so that what that run made last may not be visible yet.
// https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
func (l *Lock) AfterDead() bool { return l.afterDead }

// LockHolder says who holds a stack's lock, or nil when a run could have it: it
// is free, or its holder is dead. It makes reads only.
func LockHolder(ctx context.Context, client *ssm.Client, stack string) (*LockedError, error) {
	last, err := lastClaim(ctx, client, lockPath(stack))
	if err != nil {
		return nil, fmt.Errorf("look at the lock of stack %s: %w", stack, err)
	}
	if last == nil || last.left() {
		return nil, nil
	}
	return last.locked(stack), nil
}

// lockLeft says whether a run left its lock behind: it was cut off. With force,
// any run counts as cut off. It makes reads only.
func lockLeft(ctx context.Context, client *ssm.Client, stack string, force bool) (bool, error) {
	last, err := lastClaim(ctx, client, lockPath(stack))
	if err != nil {
		return false, fmt.Errorf("look at the lock of stack %s: %w", stack, err)
	}
	return last != nil && !last.Released && (force || last.left()), nil
}

func (l *Lock) put(ctx context.Context, stack, name string, c claim) error {
	value, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = l.ssm.PutParameter(ctx, &ssm.PutParameterInput{
		Name: aws.String(lockPath(stack) + name), Type: types.ParameterTypeString, Value: aws.String(string(value)),
		Description: aws.String("Lock of bookctl stack " + stack), Tags: l.tags(stack),
	})
	return err
}

func (l *Lock) tags(stack string) []types.Tag {
	return writeTags(identity{stack: stack, version: l.o.Version}.tags("lock"), func(k, v *string) types.Tag { return types.Tag{Key: k, Value: v} })
}

// patiently repeats a write that AWS refuses while another one of the same name is
// on its way.
func patiently(ctx context.Context, write func() error) error {
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		err := write()
		if !isCode(err, "TooManyUpdates") || pause > 5*time.Second {
			return err
		}
		if err := graph.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// touched is a claim or lease as the service tells it.
type parameter struct {
	value string
	at    time.Time
}

// parameters reads some names and the service's time.
func parameters(ctx context.Context, client *ssm.Client, names ...string) (map[string]parameter, time.Time, error) {
	out, err := client.GetParameters(ctx, &ssm.GetParametersInput{Names: names})
	if err != nil {
		return nil, time.Time{}, err
	}
	found := map[string]parameter{}
	for _, p := range out.Parameters {
		found[aws.ToString(p.Name)] = parameter{aws.ToString(p.Value), aws.ToTime(p.LastModifiedDate)}
	}
	return found, serverTime(out.ResultMetadata), nil
}

// serverTime is the service's clock in an answer; without it nothing counts as
// expired.
func serverTime(m middleware.Metadata) time.Time {
	t, _ := awsmiddleware.GetServerTime(m)
	return t
}

// lastClaim walks the chain to the claim that holds the lock; nil means that
// the stack is not locked.
func lastClaim(ctx context.Context, client *ssm.Client, path string) (*seen, error) {
	found, _, err := parameters(ctx, client, path+firstClaim)
	if err != nil {
		return nil, err
	}
	p, ok := found[path+firstClaim]
	for ok {
		var c seen
		if err := json.Unmarshal([]byte(p.value), &c.claim); err != nil || c.Token == "" {
			return nil, advice.With(fmt.Errorf("parameter below %s is not a lock of bookctl", path), "look at it with 'aws ssm get-parameters-by-path --path "+path+"', and remove it")
		}
		c.since, c.touched = p.at, p.at
		next, lease := path+c.Token, path+c.Token+".lease"
		more, now, err := parameters(ctx, client, next, lease)
		if err != nil {
			return nil, err
		}
		if t := more[lease].at; t.After(c.touched) {
			c.touched = t
		}
		c.now = now
		if p, ok = more[next]; !ok {
			return &c, nil
		}
	}
	return nil, nil
}

// visibleClaim is lastClaim for one who knows that a claim of that name was
// made: while the chain ends just before it, it is not visible yet.
func visibleClaim(name string) func(context.Context, *ssm.Client, string) (*seen, error) {
	return func(ctx context.Context, client *ssm.Client, path string) (*seen, error) {
		for pause := 20 * time.Millisecond; ; pause *= 2 {
			last, err := lastClaim(ctx, client, path)
			hidden := last == nil && name == firstClaim || last != nil && last.Token == name
			if err != nil || !hidden || pause > 5*time.Second {
				return last, err
			}
			if err := graph.Sleep(ctx, pause); err != nil {
				return nil, err
			}
		}
	}
}

// seen is a claim, looked at when the service's clock said now.
type seen struct {
	claim
	now time.Time
}

// left says that the holder no longer counts: its lock can be taken.
func (s seen) left() bool { return s.Released || s.expired() || s.dead() }

// locked is what another run is told of the holder.
func (s seen) locked(stack string) *LockedError {
	return &LockedError{Stack: stack, Holder: s.Holder, Since: s.since, Expires: s.touched.Add(s.Lease)}
}

func (s seen) expired() bool { return s.now.Sub(s.touched) > s.Lease }

// dead says that the holder was a process of this machine that is no more.
func (s seen) dead() bool {
	return s.Machine != "" && s.Machine == machine() && s.Process != os.Getpid() && !running(s.Process)
}

// machine identifies what process numbers are relative to: this boot of the
// machine, and the container in it. It is "" where that can't be told, and then
// nobody is taken for dead.
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

// running says whether a process is at work. One that has ended and that its
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

// live shows a sign of life ten times a lease.
func (l *Lock) live(ctx context.Context, stack string) {
	defer close(l.stopped)
	tick := time.NewTicker(l.o.Lease / 10)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.mu.Lock()
			_ = l.renew(ctx, stack) // Guard tells; a failure that passes is made good by the next
			l.mu.Unlock()
		}
	}
}

// age is how long ago the last sign of life was begun, by whichever clock says
// more.
func (l *Lock) age() time.Duration {
	now := l.o.Now()
	return max(now.Sub(l.renewed), now.Round(0).Sub(l.renewed.Round(0)))
}

// fresh says whether what is sent now is over before the lease is: see Lock.
func (l *Lock) fresh() bool { return l.age() < l.o.Lease*3/10 }

// renew touches the lease, or, when it is too old for that, takes over from
// itself.
func (l *Lock) renew(ctx context.Context, stack string) error {
	if l.lost != nil {
		return l.lost
	}
	path, begun, look := lockPath(stack), l.o.Now(), lastClaim
	if l.fresh() {
		if err := l.touch(ctx, stack); err != nil {
			return fmt.Errorf("keep stack %s locked: %w", stack, err)
		}
	} else {
		c := l.claimed
		c.Token = rand.Text()
		err := patiently(ctx, func() error { return l.put(ctx, stack, l.claimed.Token, c) })
		if err != nil && !isCode(err, "ParameterAlreadyExists") {
			return fmt.Errorf("keep stack %s locked: %w", stack, err)
		}
		if err != nil {
			// Another run has it, or ours was done and its answer lost.
			last, err := visibleClaim(l.claimed.Token)(ctx, l.ssm, path)
			if err != nil {
				return fmt.Errorf("keep stack %s locked: %w", stack, err)
			}
			if last == nil || last.Token != c.Token {
				return l.lose(ctx, stack, last)
			}
		}
		l.name, l.claimed, l.leased = path+l.claimed.Token, c, false
		look = visibleClaim(strings.TrimPrefix(l.name, path))
	}
	last, err := look(ctx, l.ssm, path)
	if err != nil {
		return fmt.Errorf("keep stack %s locked: %w", stack, err)
	}
	if last == nil || last.Token != l.claimed.Token {
		return l.lose(ctx, stack, last)
	}
	l.renewed = begun
	return nil
}

// lose notes that the lock is another's.
func (l *Lock) lose(ctx context.Context, stack string, last *seen) error {
	who := "nobody any more"
	if last != nil && !last.Released {
		who = last.Holder
	}
	l.lost = fmt.Errorf("stack %s: %w (now held by %s)", stack, ErrLockLost, who)
	l.discard(ctx, last)
	return l.lost
}

// discard removes what is left of a lost claim, unless the chain needs it.
func (l *Lock) discard(ctx context.Context, last *seen) {
	names := []string{lockPath(l.stackOf()) + l.claimed.Token + ".lease"}
	if (last == nil || last.Released) && !strings.HasSuffix(l.name, "/"+firstClaim) {
		names = append(names, l.name)
	}
	_ = l.remove(ctx, names...) // the next release sweeps what stays
}

func (l *Lock) stackOf() string { return strings.Split(l.name, "/")[2] }

// touch updates the lease; its first one makes it, with tags, which an
// overwriting call doesn't take.
func (l *Lock) touch(ctx context.Context, stack string) error {
	in := &ssm.PutParameterInput{
		Name: aws.String(lockPath(stack) + l.claimed.Token + ".lease"), Type: types.ParameterTypeString, Value: &l.claimed.Holder,
	}
	if l.leased {
		in.Overwrite = aws.Bool(true)
	} else {
		in.Tags = l.tags(stack)
	}
	err := patiently(ctx, func() error {
		_, err := l.ssm.PutParameter(ctx, in)
		return err
	})
	if err == nil || isCode(err, "ParameterAlreadyExists") {
		l.leased = true
		return nil
	}
	return err
}

// Guard says whether this run may still change the stack. It is cheap while the
// lease is fresh, and asks AWS when it is not. Give it to graph.Options.
func (l *Lock) Guard(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 5 {
		if l.lost == nil && l.fresh() {
			return nil
		}
		// The answers may come so late that what they say is too old.
		if err := l.renew(ctx, l.stackOf()); err != nil {
			return err
		}
	}
	return fmt.Errorf("keep stack %s locked: AWS answers too slowly", l.stackOf())
}

// Clear makes Release leave nothing of the lock: there is no stack any more.
func (l *Lock) Clear() { l.clear = true }

// Release unlocks the stack and sweeps what holders left that died. A released
// claim stays, unless Clear was called. It fails with ErrLockLost when the lock is
// another's by now, which then is left alone.
func (l *Lock) Release(ctx context.Context) error {
	l.stop()
	<-l.stopped
	if err := l.Guard(ctx); err != nil {
		return err
	}
	stack := l.stackOf()
	path := lockPath(stack)
	// Nothing but the chain to this claim can matter to anyone: all that is
	// there now may go, once "first" says that the lock is free.
	var names []string
	pages := ssm.NewGetParametersByPathPaginator(l.ssm, &ssm.GetParametersByPathInput{Path: aws.String(strings.TrimSuffix(path, "/"))})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("unlock stack %s: %w", stack, err)
		}
		for _, p := range page.Parameters {
			if n := aws.ToString(p.Name); n != path+firstClaim {
				names = append(names, n)
			}
		}
	}
	if err := l.Guard(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.Contains(names, path+l.claimed.Token) {
		last, err := lastClaim(ctx, l.ssm, path)
		if err != nil {
			return fmt.Errorf("unlock stack %s: %w", stack, err)
		}
		return l.lose(ctx, stack, last)
	}
	l.lost = errors.New("the lock was released")
	if err := l.free(ctx, path+firstClaim); err != nil {
		return fmt.Errorf("unlock stack %s: %w", stack, err)
	}
	if err := l.remove(ctx, names...); err != nil {
		return fmt.Errorf("sweep the lock of stack %s: %w", stack, err)
	}
	return nil
}

// free ends the chain: "first" says that nobody holds the lock, or is removed.
func (l *Lock) free(ctx context.Context, first string) error {
	if l.clear {
		return l.remove(ctx, first)
	}
	value, err := json.Marshal(claim{Token: rand.Text(), Released: true})
	if err != nil {
		return err
	}
	return patiently(ctx, func() error {
		_, err := l.ssm.PutParameter(ctx, &ssm.PutParameterInput{
			Name: &first, Type: types.ParameterTypeString, Value: aws.String(string(value)), Overwrite: aws.Bool(true),
		})
		return err
	})
}

// remove deletes parameters; those that don't exist are no error.
func (l *Lock) remove(ctx context.Context, names ...string) error {
	for some := range slices.Chunk(names, 10) { // as many as a call takes
		if _, err := l.ssm.DeleteParameters(ctx, &ssm.DeleteParametersInput{Names: some}); err != nil {
			return err
		}
	}
	return nil
}
