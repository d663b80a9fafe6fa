package runlock_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bookctl/bookctl/internal/runlock"
)

// TestEveryInterleaving explores what two and three runs on one stack can do to
// each other. At every call of the store a schedule may go on with another run,
// kill the run before the call arrives or before its answer does, or suspend it
// with the call on its way: for two minutes, for almost five, after which AWS
// accepts the signature, for more, after which it doesn't, or until all others are
// done. It
// takes all schedules with so many switches and faults, or so many at random, and
// holds of each:
//
//   - No change of the stack arrives while another run has the lock.
//   - Every run that is not killed gets the lock, also behind a dead one.
//   - Who gets it after a run that did not release it learns that (AfterDead).
//   - In the end the lock can be taken, and nothing but a released claim stays.
//
// All runs are of one process, so none is known to be dead before its claim
// expires: parameterstore's TestARunThatWasCutOffLosesWhatItSentLast has that case.
func TestEveryInterleaving(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		runs, switches, faults int
		random                 int // how many schedules, 0 for all
		slow                   bool
	}{
		"two runs":             {runs: 2, switches: 2, faults: 1},
		"two runs, two faults": {runs: 2, switches: 0, faults: 2, slow: true},
		"three runs":           {runs: 3, switches: 1, faults: 1, slow: true},
		"at random":            {runs: 3, switches: 3, faults: 3, random: 1000, slow: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.slow && testing.Short() {
				t.Skip("slow")
			}
			var s schedule
			if c.random > 0 {
				seed := rand.Uint64()
				t.Logf("seed %d", seed)
				s.random = rand.New(rand.NewPCG(seed, 0))
			}
			n, happened := 0, map[string]int{}
			for more := true; more && !t.Failed(); more = s.next(n < c.random) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, &s, c.runs, c.switches, c.faults)
					w.play()
					for what, times := range w.happened {
						happened[what] += times
					}
				})
				n++
			}
			t.Logf("%d schedules: %v", n, happened)
			for _, what := range []string{"killed", "killed after the call", "suspended", "taken over", "lost", "refused as too old", "changed"} {
				if happened[what] == 0 && !t.Failed() {
					t.Errorf("in none of %d schedules a run was %s", n, what)
				}
			}
		})
	}
}

// schedule is a list of choices. Each is one of so many, of which 0 changes
// nothing; next goes to the next list in depth-first order.
type schedule struct {
	chosen, of []int
	at         int
	random     *rand.Rand // chooses, where it is set
}

func (s *schedule) choose(n int) int {
	if s.random != nil {
		if s.random.IntN(5) > 0 {
			return 0
		}
		return s.random.IntN(n)
	}
	if s.at == len(s.chosen) {
		s.chosen, s.of = append(s.chosen, 0), append(s.of, n)
	}
	if s.of[s.at] != n {
		panic("the same choices led to another place")
	}
	s.at++
	return s.chosen[s.at-1]
}

func (s *schedule) next(more bool) bool {
	if s.random != nil {
		return more
	}
	s.at = 0
	for n := len(s.chosen); n > 0; n-- {
		if s.chosen[n-1]++; s.chosen[n-1] < s.of[n-1] {
			s.chosen, s.of = s.chosen[:n], s.of[:n]
			return true
		}
	}
	return false
}

// world is one stack, its store and the runs.
type world struct {
	t        *testing.T
	schedule *schedule
	switches int // that may still be made
	faults   int // that may still happen

	// mu is for what follows. The clock wakes runs, and orders nothing for the race
	// detector.
	mu sync.Mutex

	records map[string]runlock.Record
	deleted map[string]time.Time

	runs     []*run
	calls    chan *call
	pending  []*call
	current  *run
	log      []string
	happened map[string]int
}

func newWorld(t *testing.T, s *schedule, runs, switches, faults int) *world {
	w := &world{
		t: t, schedule: s, switches: switches, faults: faults,
		records: map[string]runlock.Record{}, deleted: map[string]time.Time{}, calls: make(chan *call, 100), happened: map[string]int{},
	}
	for i := range runs {
		w.runs = append(w.runs, &run{w: w, name: string(rune('A' + i))})
	}
	return w
}

// run is a process that changes the stack.
type run struct {
	w          *world
	name       string
	holder     string // what it says of itself, another each time it tries
	begun      bool   // a call of it was delivered
	dead, done atomic.Bool
	// suspended is until when, or zero.
	suspended time.Time
	// afterDead reports whether its claim follows that of another run which had not
	// released the lock.
	afterDead bool
}

// call is a call of the store that has been sent and has not arrived.
type call struct {
	of      *run
	what    string
	sent    time.Time
	outcome chan outcome
}

type outcome int

const (
	arrives outcome = iota
	isKilledBefore
	isKilledAfter
)

var (
	errDead    = errors.New("the process is dead")
	errExpired = errors.New("the signature is too old")
)

// do sends a call and waits for its turn. As AWS does, it refuses a signature that
// is older than five minutes.
func (r *run) do(what string, carryOut func() error) error {
	if r.dead.Load() {
		return errDead
	}
	c := &call{of: r, what: what, sent: time.Now(), outcome: make(chan outcome)}
	r.w.calls <- c
	f := <-c.outcome
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if r.dead.Load() || f == isKilledBefore {
		r.dead.Store(true)
		return errDead
	}
	err := errExpired
	if time.Since(c.sent) > 5*time.Minute {
		r.w.note(r.name + ": " + what + " is too old")
		r.w.happened["refused as too old"]++
	} else {
		err = carryOut()
	}
	if f == isKilledAfter {
		r.dead.Store(true)
		return errDead
	}
	return err
}

// locked calls f while no call of a run is delivered.
func (w *world) locked(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) note(text string) { w.log = append(w.log, text) }

func (w *world) fail(format string, args ...any) {
	w.t.Errorf(format+"\nafter\n%s", append(args, strings.Join(w.log, "\n"))...)
}

// play starts the runs and decides which call arrives next, until all are done.
func (w *world) play() {
	for _, r := range w.runs {
		go r.main()
	}
	for step := 0; ; step++ {
		synctest.Wait()
		w.mu.Lock()
		w.drain()
		if !slices.ContainsFunc(w.runs, func(r *run) bool { return !r.done.Load() }) {
			w.mu.Unlock()
			break
		}
		if step > 1000 {
			w.fail("the runs do not come to an end")
			for _, r := range w.runs {
				r.dead.Store(true)
			}
		}
		ready := w.ready()
		if ready != nil {
			w.deliver(ready)
		}
		w.mu.Unlock()
		if ready == nil {
			w.wait()
		}
	}
	last := &run{w: w, name: "last"}
	w.runs, w.current, w.faults, w.switches = append(w.runs, last), last, 0, 0
	if w.t.Failed() {
		return
	}
	go last.main()
	for !last.done.Load() {
		synctest.Wait()
		w.mu.Lock()
		w.drain()
		idle := len(w.pending) == 0
		if !idle {
			w.deliver(w.pending)
		}
		w.mu.Unlock()
		if idle && !last.done.Load() {
			w.wait()
		}
	}
	if names := slices.Collect(maps.Keys(w.records)); !slices.Equal(names, []string{"first"}) || w.holder() != "nobody" {
		w.fail("in the end there are %v, held by %s", names, w.holder())
	}
}

func (w *world) receive(c *call) {
	if c != nil {
		w.pending = append(w.pending, c)
	}
}

func (w *world) drain() {
	for len(w.calls) > 0 {
		w.receive(<-w.calls)
	}
}

// ready are the calls that may arrive, one of each run, the current run's first. A
// suspended run goes on when its time is over.
func (w *world) ready() []*call {
	fresh := false // runs that have not begun are alike: one of them is enough
	var out []*call
	for _, r := range w.runs {
		if !r.begun && fresh {
			continue
		}
		fresh = fresh || !r.begun
		at := slices.IndexFunc(w.pending, func(c *call) bool { return c.of == r })
		switch {
		case at < 0 || time.Now().Before(r.suspended):
		case r == w.current:
			out = slices.Insert(out, 0, w.pending[at])
		default:
			out = append(out, w.pending[at])
		}
	}
	return out
}

// wait lets time go on until there is another call, or a suspended run goes on.
func (w *world) wait() {
	next := 48 * time.Hour
	for _, r := range w.runs {
		if left := time.Until(r.suspended); left > 0 {
			next = min(next, left)
		}
	}
	select {
	case c := <-w.calls:
		w.receive(c)
	case <-time.After(next):
	}
}

// How long a run may be suspended. Nothing else happens at the same times, so that a
// schedule can be repeated.
const (
	shortly         = 2*time.Minute + 7*time.Second  // a deleted name can be created again
	inTime          = 4*time.Minute + 53*time.Second // AWS still accepts the signature
	tooLong         = 5*time.Minute + 11*time.Second
	untilAllAreDone = 24*time.Hour + 13*time.Second
)

// deliver chooses one of the calls, and what becomes of it.
func (w *world) deliver(ready []*call) {
	type option struct {
		c        *call
		outcome  outcome
		suspend  time.Duration
		switches int
	}
	var options []option
	for i, c := range ready {
		cost := 0
		if i > 0 && ready[0].of == w.current {
			cost = 1
		}
		if cost <= w.switches {
			options = append(options, option{c: c, switches: cost})
		}
	}
	if c := ready[0]; w.faults > 0 && !c.of.dead.Load() && time.Since(c.sent) == 0 {
		options = append(options, option{c: c, outcome: isKilledBefore}, option{c: c, outcome: isKilledAfter},
			option{c: c, suspend: shortly}, option{c: c, suspend: inTime}, option{c: c, suspend: tooLong}, option{c: c, suspend: untilAllAreDone})
	}
	o := options[w.schedule.choose(len(options))]
	w.current, w.switches = o.c.of, w.switches-o.switches
	o.c.of.begun = true
	if o.suspend > 0 {
		w.note(fmt.Sprintf("%s is suspended for %s before %s", o.c.of.name, o.suspend, o.c.what))
		w.happened["suspended"]++
		o.c.of.suspended, w.faults = time.Now().Add(o.suspend), w.faults-1
		return
	}
	w.note(o.c.of.name + ": " + o.c.what + map[outcome]string{isKilledBefore: ", and is killed before it arrives", isKilledAfter: ", and is killed before the answer comes"}[o.outcome])
	if o.outcome != arrives {
		w.faults--
		w.happened[map[outcome]string{isKilledBefore: "killed", isKilledAfter: "killed after the call"}[o.outcome]]++
	}
	w.pending = slices.DeleteFunc(w.pending, func(c *call) bool { return c == o.c })
	o.c.outcome <- o.outcome
}

// main takes the lock, waiting for whoever has it, changes the stack and releases the lock.
func (r *run) main() {
	defer func() {
		r.done.Store(true)
		r.w.calls <- nil // wakes the scheduler
	}()
	for tries := 0; ; tries++ {
		r.holder = fmt.Sprint(r.name, tries)
		l, err := runlock.Acquire(context.Background(), r, "book", r.holder, runlock.Options{VisibilityDelay: time.Second})
		if r.dead.Load() {
			if l != nil {
				_ = l.Release(context.Background()) // ends its signs of life, and reaches nobody
			}
			return
		}
		if tries == 20 {
			r.w.locked(func() { r.w.fail("%s never gets the lock: %v", r.name, err) })
			return
		}
		if held := new(runlock.LockedError); errors.As(err, &held) {
			time.Sleep(max(time.Until(held.Expires), 0) + 2*time.Second + r.apart())
			continue
		}
		if err != nil {
			time.Sleep(time.Second + r.apart()) // a signature that was too old: the user tries again
			continue
		}
		r.w.locked(func() {
			if l.AfterDead() {
				r.w.happened["taken over"]++
			}
			if l.AfterDead() != r.afterDead {
				r.w.fail("%s learns that the run before it did not release the lock: %t", r.name, l.AfterDead())
			}
		})
		r.change(l)
		return
	}
}

// apart keeps runs from doing something at the same instant.
func (r *run) apart() time.Duration {
	return time.Duration(slices.Index(r.w.runs, r)+1) * 70 * time.Millisecond
}

func (r *run) change(l *runlock.Lock) {
	ctx := context.Background()
	for _, work := range []time.Duration{0, 20 * time.Second, 70 * time.Second} { // it shows a sign of life meanwhile
		time.Sleep(work + r.apart())
		err := l.Guard(ctx)
		if errors.Is(err, runlock.ErrLost) {
			r.w.locked(func() { r.w.happened["lost"]++ })
			break
		}
		if err == nil {
			_ = r.do("change the stack", func() error {
				r.w.happened["changed"]++
				if h := r.w.holder(); h != r.holder {
					r.w.fail("%s changes the stack while the lock is held by %s", r.name, h)
				}
				return nil
			})
		}
	}
	if err := l.Release(ctx); err != nil && !errors.Is(err, runlock.ErrLost) && !r.dead.Load() && !errors.Is(err, errExpired) {
		r.w.locked(func() { r.w.fail("%s can't release the lock: %v", r.name, err) })
	}
}

// last walks the chain of claims to its end.
func (w *world) last() (holder string, released, found bool) {
	for name := "first"; ; {
		var claim struct {
			Token, Holder string
			Released      bool
		}
		r, ok := w.records[name]
		if !ok || json.Unmarshal([]byte(r.Value), &claim) != nil {
			return holder, released, found
		}
		holder, released, found = claim.Holder, claim.Released, true
		name = claim.Token
	}
}

func (w *world) holder() string {
	if holder, released, found := w.last(); found && !released {
		return holder
	}
	return "nobody"
}

// The methods of run are runlock.Store, in memory, with the rules of Parameter
// Store: the name of a deleted record is refused for 30 seconds, and the service
// has times of whole seconds.

func (r *run) Create(_ context.Context, name, value string) error {
	return r.do("create "+r.w.alias(name), func() error {
		if at, ok := r.w.deleted[name]; ok && time.Since(at) < 30*time.Second {
			return runlock.ErrBusy
		}
		if _, ok := r.w.records[name]; ok {
			return runlock.ErrExists
		}
		if holder, released, found := r.w.last(); found && holder != r.holder && !strings.HasSuffix(name, ".lease") {
			r.afterDead = !released
		}
		r.w.records[name] = runlock.Record{Value: value, Modified: time.Now()}
		return nil
	})
}

func (r *run) Overwrite(_ context.Context, name, value string) error {
	return r.do("overwrite "+r.w.alias(name), func() error {
		r.w.records[name] = runlock.Record{Value: value, Modified: time.Now()}
		return nil
	})
}

func (r *run) Get(_ context.Context, names ...string) (found map[string]runlock.Record, now time.Time, err error) {
	err = r.do("read "+r.w.alias(names[0]), func() error {
		found, now = map[string]runlock.Record{}, time.Now().Truncate(time.Second)
		for _, n := range names {
			if record, ok := r.w.records[n]; ok {
				found[n] = record
			}
		}
		return nil
	})
	return found, now, err
}

func (r *run) List(context.Context) (names []string, err error) {
	err = r.do("list", func() error {
		names = slices.Sorted(maps.Keys(r.w.records))
		return nil
	})
	return names, err
}

func (r *run) Delete(_ context.Context, names ...string) error {
	if len(names) == 0 {
		return nil
	}
	return r.do(fmt.Sprintf("delete %d records", len(names)), func() error {
		for _, n := range names {
			if _, ok := r.w.records[n]; ok {
				r.w.deleted[n] = time.Now()
				delete(r.w.records, n)
			}
		}
		return nil
	})
}

func (r *run) Unreadable() error { return errors.New("a record is not a claim") }

// alias shortens the random name of a record.
func (w *world) alias(name string) string { return name[:min(len(name), 5)] }
