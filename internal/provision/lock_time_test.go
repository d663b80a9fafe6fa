package provision_test

import (
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/bookctl/bookctl/internal/provision"
)

// parameterStore is Parameter Store with a clock that jumps, and a network that
// holds requests and answers back for as long as it likes: what no emulator can
// be made to do. It refuses signatures older than five minutes, as AWS does.
type parameterStore struct {
	mu     sync.Mutex
	clock  time.Time
	values map[string]string
	since  map[string]time.Time
	hidden map[string]time.Time // from reads, until then
	late   time.Duration        // every answer comes by so much too late

	accepted int
	broken   []string
}

func (p *parameterStore) now() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clock
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
		who, name = claim.Holder, path+claim.Token
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
		if _, there := p.values[in.Name]; there && !in.Overwrite {
			return 400, `{"__type":"ParameterAlreadyExists"}`, p.clock
		}
		p.values[in.Name], p.since[in.Name] = in.Value, p.clock
		return 200, `{"Version":1}`, p.clock
	case "DeleteParameters":
		for _, n := range in.Names {
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
	cloud := &parameterStore{clock: time.Now().Round(0).Truncate(time.Second), values: map[string]string{}, since: map[string]time.Time{}, hidden: map[string]time.Time{}}
	client := cloud.client()
	for _, name := range []string{"A", "B", "C"} {
		before := len(cloud.values)
		if _, err := provision.AcquireLock(t.Context(), client, "book", name, provision.LockOptions{Now: cloud.now}); err != nil {
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
}

// TestAGuardLetsNothingThroughOnALateAnswer has AWS say that the lock is ours
// when that is too long ago to be relied on.
func TestAGuardLetsNothingThroughOnALateAnswer(t *testing.T) {
	t.Parallel()
	cloud := &parameterStore{clock: time.Now().Round(0).Truncate(time.Second), values: map[string]string{}, since: map[string]time.Time{}}
	l, err := provision.AcquireLock(t.Context(), cloud.client(), "book", "A", provision.LockOptions{Now: cloud.now})
	if err != nil {
		t.Fatal(err)
	}
	cloud.jump(6 * time.Minute) // half the lease is over
	cloud.late = 4 * time.Minute
	if err := l.Guard(t.Context()); err == nil || errors.Is(err, provision.ErrLockLost) {
		t.Errorf("on late answers: %v", err)
	}
	cloud.late = 0
	if err := l.Guard(t.Context()); err != nil {
		t.Errorf("on answers in time: %v", err)
	}
}

// client is one whose calls all end in the store.
func (p *parameterStore) client() *ssm.Client {
	return ssm.NewFromConfig(aws.Config{
		Region: "us-east-1", HTTPClient: &http.Client{Transport: p}, BaseEndpoint: aws.String("http://parameters.test"),
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	})
}

// TestASuspendedHolderCantWriteAfterTakeover lets runs be suspended anywhere,
// for minutes of the cloud's time: before a call, after the guard, in a
// release. Nothing that one of them sends may be accepted once another has the
// lock.
func TestASuspendedHolderCantWriteAfterTakeover(t *testing.T) {
	t.Parallel()
	cloud := &parameterStore{clock: time.Now().Round(0).Truncate(time.Second), values: map[string]string{}, since: map[string]time.Time{}}
	ctx := t.Context()
	client := cloud.client()
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
				l, err := provision.AcquireLock(ctx, client, "book", name, provision.LockOptions{Now: cloud.now})
				if err != nil {
					continue // locked, or a signature that was too old
				}
				entered.Add(1)
				for range rand.IntN(6) {
					cloud.suspend()
					err := l.Guard(ctx)
					if errors.Is(err, provision.ErrLockLost) {
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
				_ = l.Release(ctx) // may come too late, or find the lock another's
			}
		})
	}
	runs.Wait()
	close(done)
	clock.Wait()
	t.Logf("%d entered, %d lost the lock, %d died, %d writes accepted", entered.Load(), lost.Load(), died.Load(), cloud.accepted)
	for _, b := range cloud.broken {
		t.Error(b)
	}
	if entered.Load() < 20 || lost.Load() == 0 || cloud.accepted < 20 {
		t.Error("too little happened for this to say anything")
	}
}
