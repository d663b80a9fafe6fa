package parameterstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/requestbody"
	"github.com/bookctl/bookctl/internal/runlock"
	"github.com/bookctl/bookctl/internal/runlock/parameterstore"
)

// parameterStore is Parameter Store with a clock that jumps, and a network that
// holds requests and answers back for as long as it likes: what no emulator can
// be made to do. As AWS does, it refuses signatures older than five minutes, the
// name of a parameter for 30 seconds after its deletion, and at times one of two
// writes of the same name at once.
type parameterStore struct {
	mu     sync.Mutex
	clock  time.Time
	values map[string]string
	since  map[string]time.Time
	hidden map[string]time.Time // from reads, until then
	gone   map[string]time.Time // when a parameter was deleted
	busy   int                  // every so many writes is refused for another one; 0 for none
	writes int
	late   time.Duration // every answer comes by so much too late

	locks    []func() // end those that were not released
	accepted int
	broken   []string
}

func newParameterStore() *parameterStore {
	return &parameterStore{
		clock: time.Now().Round(0).Truncate(time.Second), values: map[string]string{}, since: map[string]time.Time{},
		hidden: map[string]time.Time{}, gone: map[string]time.Time{},
	}
}

func (p *parameterStore) now() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clock
}

// refuse has one of so many writes refused, 0 for none.
func (p *parameterStore) refuse(every int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = every
}

func (p *parameterStore) jump(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clock = p.clock.Add(d)
}

// write is a change of the stack by a run, sent at that time.
func (p *parameterStore) write(run string, sent time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clock.Sub(sent) > 5*time.Minute {
		return // RequestExpired
	}
	p.accepted++
	if h := p.holder(); h != run {
		p.broken = append(p.broken, "a write of "+run+" came in when the lock was held by "+h)
	}
}

// holder is whose claim is the last of the chain.
func (p *parameterStore) holder() string {
	const path = "/bookctl/book/lock/"
	who := "nobody"
	for name := path + "first"; ; {
		var claim struct{ Token, Holder string }
		if json.Unmarshal([]byte(p.values[name]), &claim) != nil {
			return who
		}
		if who = claim.Holder; who == "" {
			who = "nobody"
		}
		name = path + claim.Token
	}
}

// RoundTrip carries a request there and its answer back, each after a pause.
func (p *parameterStore) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := p.now()
	dawdle()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	status, answer, date := p.answer(r.Header.Get("X-Amz-Target"), body, sent)
	dawdle()
	p.jump(p.late)
	return &http.Response{
		StatusCode: status, Request: r, Body: io.NopCloser(strings.NewReader(answer)),
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "Date": {date.UTC().Format(http.TimeFormat)}},
	}, nil
}

func dawdle() {
	if rand.IntN(3) == 0 {
		time.Sleep(time.Duration(rand.IntN(1500)) * time.Microsecond)
	}
}

// suspend stops a run for up to half an hour of the cloud's time, at times.
func (p *parameterStore) suspend() {
	if rand.IntN(5) != 0 {
		return
	}
	for until := p.now().Add(time.Duration(rand.IntN(30*60)) * time.Second); p.now().Before(until); {
		time.Sleep(time.Millisecond)
	}
}

func (p *parameterStore) answer(target string, body []byte, sent time.Time) (int, string, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clock.Sub(sent) > 5*time.Minute {
		return 400, `{"__type":"RequestExpired"}`, p.clock
	}
	var in struct {
		Name, Value, Path string
		Names             []string
		Overwrite         bool
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return 500, `{}`, p.clock
	}
	type parameter struct {
		Name, Value      string
		LastModifiedDate float64
	}
	found := []parameter{}
	read := func(name string) {
		if v, ok := p.values[name]; ok && time.Now().After(p.hidden[name]) {
			found = append(found, parameter{name, v, float64(p.since[name].UnixMilli()) / 1000})
		}
	}
	switch _, op, _ := strings.Cut(target, "."); op {
	case "PutParameter":
		if p.writes++; p.busy != 0 && p.writes%p.busy == 0 {
			return 400, `{"__type":"TooManyUpdates"}`, p.clock
		}
		if at, ok := p.gone[in.Name]; ok && p.clock.Sub(at) < 30*time.Second {
			return 400, `{"__type":"TooManyUpdates","message":"Failed to create the parameter since stale tags associated to the name detected."}`, p.clock
		}
		if _, there := p.values[in.Name]; there && !in.Overwrite {
			return 400, `{"__type":"ParameterAlreadyExists"}`, p.clock
		}
		p.values[in.Name], p.since[in.Name] = in.Value, p.clock
		return 200, `{"Version":1}`, p.clock
	case "DeleteParameters":
		for _, n := range in.Names {
			if _, there := p.values[n]; there {
				p.gone[n] = p.clock
			}
			delete(p.values, n)
		}
		return 200, `{}`, p.clock
	case "GetParameters":
		for _, n := range in.Names {
			read(n)
		}
	case "GetParametersByPath":
		for n := range p.values {
			if strings.HasPrefix(n, in.Path+"/") {
				read(n)
			}
		}
	}
	text, err := json.Marshal(map[string]any{"Parameters": found})
	if err != nil {
		return 500, `{}`, p.clock
	}
	return 200, string(text), p.clock
}

// TestALockIsTakenOverFromARunWhoseClaimIsNotVisibleYet has a run cut off right
// after it took the lock over from a dead one.
func TestALockIsTakenOverFromARunWhoseClaimIsNotVisibleYet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cloud := newParameterStore()
		defer cloud.killAll()
		for _, name := range []string{"A", "B", "C"} {
			before := len(cloud.values)
			if _, err := cloud.acquire(t.Context(), name, runlock.Options{Now: cloud.now}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if h := cloud.holder(); h != name || len(cloud.values) <= before {
				t.Errorf("the lock is held by %s, want %s", h, name)
			}
			if name == "B" {
				for claim, text := range cloud.values {
					if strings.Contains(text, `"B"`) {
						cloud.hidden[claim] = time.Now().Add(500 * time.Millisecond)
					}
				}
			}
			cloud.jump(time.Hour)
		}
	})
}

// TestAGuardLetsNothingThroughOnALateAnswer has AWS say that the lock is ours
// when that is too long ago to be relied on.
func TestAGuardLetsNothingThroughOnALateAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cloud := newParameterStore()
		defer cloud.killAll()
		l, err := cloud.acquire(t.Context(), "A", runlock.Options{Now: cloud.now})
		if err != nil {
			t.Fatal(err)
		}
		cloud.jump(6 * time.Minute) // half the lease is over
		cloud.late = 4 * time.Minute
		if err := l.Guard(t.Context()); err == nil || errors.Is(err, runlock.ErrLost) {
			t.Errorf("on late answers: %v", err)
		}
		cloud.late = 0
		if err := l.Guard(t.Context()); err != nil {
			t.Errorf("on answers in time: %v", err)
		}
	})
}

// TestACommandRightAfterAnotherGetsTheLock has no time pass between two runs, in
// which AWS would let a deleted name be made again.
func TestACommandRightAfterAnotherGetsTheLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cloud := newParameterStore()
		defer cloud.killAll()
		for _, name := range []string{"A", "B", "C"} {
			begun := time.Now()
			l, err := cloud.acquire(t.Context(), name, runlock.Options{Now: cloud.now})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if h := cloud.holder(); h != name {
				t.Errorf("the lock is held by %s, want %s", h, name)
			}
			if err := l.Release(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("%s took %s", name, took)
			}
		}
	})
}

// TestAnUpRightAfterADestroyWaitsForTheName removes the lock altogether: its name
// can't be made again for 30 s.
func TestAnUpRightAfterADestroyWaitsForTheName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cloud := newParameterStore()
		defer cloud.killAll()
		l, err := cloud.acquire(t.Context(), "A", runlock.Options{Now: cloud.now})
		if err != nil {
			t.Fatal(err)
		}
		l.Clear()
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(cloud.values) != 0 {
			t.Errorf("a destroy leaves %v", cloud.values)
		}
		time.AfterFunc(time.Second, func() { cloud.jump(31 * time.Second) })
		if _, err := cloud.acquire(t.Context(), "B", runlock.Options{Now: cloud.now}); err != nil {
			t.Fatal(err)
		}
		if h := cloud.holder(); h != "B" {
			t.Errorf("the lock is held by %s", h)
		}
	})
}

// TestARunThatWasCutOffLosesWhatItSentLast has the last call of a dead run free the
// lock after another run took it over.
func TestARunThatWasCutOffLosesWhatItSentLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cloud := newParameterStore()
		defer cloud.killAll()
		if _, err := cloud.acquire(t.Context(), "A", runlock.Options{Now: cloud.now}); err != nil {
			t.Fatal(err)
		}
		cloud.jump(time.Hour)
		time.AfterFunc(300*time.Millisecond, func() {
			cloud.mu.Lock()
			defer cloud.mu.Unlock()
			cloud.values["/bookctl/book/lock/first"] = `{"token":"late","released":true}`
		})
		l, err := cloud.acquire(t.Context(), "B", runlock.Options{Now: cloud.now, VisibilityDelay: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if h := cloud.holder(); h != "B" {
			t.Errorf("the lock is held by %s, and B believes that it has it", h)
		}
		if err := l.Guard(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestContentionIsReportedAsALock has no write come through.
func TestContentionIsReportedAsALock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cloud := newParameterStore()
		defer cloud.killAll()
		cloud.busy = 1
		_, err := cloud.acquire(t.Context(), "A", runlock.Options{Now: cloud.now})
		var locked *runlock.LockedError
		if !errors.As(err, &locked) {
			t.Errorf("the error is %v", err)
		}
	})
}

// TestAReleaseThatIsTriedAgainTooLateHitsNobody suspends a holder between two tries
// of its release, and another run takes over meanwhile.
func TestAReleaseThatIsTriedAgainTooLateHitsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cloud := newParameterStore()
		defer cloud.killAll()
		a, err := cloud.acquire(t.Context(), "A", runlock.Options{Now: cloud.now})
		if err != nil {
			t.Fatal(err)
		}
		cloud.refuse(1)
		taken := make(chan *runlock.Lock, 1)
		time.AfterFunc(10*time.Millisecond, func() {
			cloud.refuse(0)
			cloud.jump(time.Hour)
			b, err := cloud.acquire(t.Context(), "B", runlock.Options{Now: cloud.now})
			if err != nil {
				t.Error(err)
			}
			taken <- b
		})
		if err := a.Release(t.Context()); !errors.Is(err, runlock.ErrLost) {
			t.Errorf("the release that came too late: %v", err)
		}
		if h := cloud.holder(); h != "B" {
			t.Errorf("the lock is held by %s, and B has taken it", h)
		}
		if b := <-taken; b != nil {
			if err := b.Guard(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

// acquire is a run of its own, which asks for the lock of stack book. A lock that
// nobody releases is that of a run that was cut off.
func (p *parameterStore) acquire(ctx context.Context, holder string, o runlock.Options) (*runlock.Lock, error) {
	alive := &process{store: p}
	client := ssm.NewFromConfig(aws.Config{
		Region: "us-east-1", HTTPClient: &http.Client{Transport: alive}, BaseEndpoint: aws.String("http://parameters.test"),
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		APIOptions: []func(*middleware.Stack) error{requestbody.Readable},
	})
	l, err := runlock.Acquire(ctx, parameterstore.New(client, "book", "test"), "book", holder, o)
	if err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.locks = append(p.locks, func() {
			alive.dead.Store(true)
			_ = l.Release(context.WithoutCancel(ctx)) // ends its signs of life, and reaches nobody
		})
	}
	return l, err
}

// killAll ends whoever holds a lock, which a bubble of synctest asks for.
func (p *parameterStore) killAll() {
	for _, kill := range p.locks {
		kill()
	}
}

// process is the transport of a run.
type process struct {
	store *parameterStore
	dead  atomic.Bool
}

var errDead = errors.New("the process is dead")

func (p *process) RoundTrip(r *http.Request) (*http.Response, error) {
	if p.dead.Load() {
		return nil, errDead
	}
	return p.store.RoundTrip(r)
}

// TestASuspendedHolderCantWriteAfterTakeover lets runs be suspended anywhere,
// for minutes of the cloud's time: before a call, after the guard, in a
// release. Nothing that one of them sends may be accepted once another has the
// lock.
func TestASuspendedHolderCantWriteAfterTakeover(t *testing.T) {
	t.Parallel()
	var all events
	for range 5 { // chance may have it that little happens in one go
		synctest.Test(t, func(t *testing.T) { all.add(suspensions(t)) })
		if all.entered >= 60 && all.lost >= 3 && all.accepted >= 20 {
			break
		}
	}
	t.Logf("%+v", all)
	if all.entered < 60 || all.lost < 3 || all.accepted < 20 {
		t.Error("too little happened for this to say anything")
	}
}

// events are how often something happened.
type events struct{ entered, lost, died, accepted int }

func (e *events) add(more events) {
	e.entered, e.lost, e.died, e.accepted = e.entered+more.entered, e.lost+more.lost, e.died+more.died, e.accepted+more.accepted
}

func suspensions(t *testing.T) events {
	cloud := newParameterStore()
	defer cloud.killAll()
	cloud.busy = 7
	ctx := t.Context()
	done := make(chan struct{})
	var clock, runs sync.WaitGroup
	clock.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				cloud.jump(time.Duration(rand.IntN(40)) * time.Second)
			}
		}
	})
	var entered, lost, died atomic.Int32
	begun := time.Now()
	for i := range 6 {
		name := string(rune('A' + i))
		runs.Go(func() {
			for (entered.Load() < 60 || lost.Load() < 3) && time.Since(begun) < 20*time.Second {
				l, err := cloud.acquire(ctx, name, runlock.Options{Now: cloud.now})
				if err != nil {
					continue // locked, or a signature that was too old
				}
				entered.Add(1)
				for range rand.IntN(6) {
					cloud.suspend()
					err := l.Guard(ctx)
					if errors.Is(err, runlock.ErrLost) {
						lost.Add(1)
						break
					}
					if err != nil {
						continue
					}
					sent := cloud.now() // signed right after the guard
					cloud.suspend()
					cloud.write(name, sent)
				}
				if rand.IntN(4) == 0 {
					died.Add(1)
					continue
				}
				cloud.suspend()
				if rand.IntN(4) == 0 {
					l.Clear()
				}
				_ = l.Release(ctx) // may come too late, or find the lock another's
			}
		})
	}
	runs.Wait()
	close(done)
	clock.Wait()
	for _, b := range cloud.broken {
		t.Error(b)
	}
	return events{int(entered.Load()), int(lost.Load()), int(died.Load()), cloud.accepted}
}
