package balancer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// State is the health of a target in AWS's words.
type State string

// The states of a target.
const (
	Initial   State = "initial"
	Healthy   State = "healthy"
	Unhealthy State = "unhealthy"
	Draining  State = "draining"
	Unused    State = "unused"
)

// Access is whether a load balancer reaches a target.
type Access int

const (
	// Reached is for a target that requests and checks get to.
	Reached Access = iota
	// Disabled is for one in a zone that is not enabled for the load balancer.
	Disabled
	// Filtered is for one that the load balancer's security groups let nothing out to.
	Filtered
)

// Target is one address behind a group.
type Target struct {
	// ID and Port are what the target is registered under: a private address
	// and the container's port.
	ID   string
	Port int
	// Addr is the loopback address that really serves it; empty when nothing
	// does yet, which counts as a refused connection.
	Addr string
	// Zone is the availability zone that is reported.
	Zone string
	// FailsChecks makes every health check fail, whatever the target answers.
	FailsChecks bool `json:"Sick"`
	// Access is whether the load balancer reaches it; SetAccess changes it.
	Access Access `json:"-"`
}

// Health is a target with what the checks say of it.
type Health struct {
	Target
	State State
	// Reason and Description are AWS's; both empty for a healthy target.
	Reason, Description string
}

// Settings are a group's health checks and attributes.
type Settings struct {
	// Path of the check, with its query.
	Path string
	// CheckPort replaces the target's port by a fixed one when not zero. It is
	// taken on the host of Target.Addr.
	CheckPort int
	// Interval between two checks of a target, and the time a target has to
	// answer one.
	Interval, Timeout time.Duration
	// HealthyThreshold and UnhealthyThreshold are how many checks in a row
	// change a target's state. A new target needs to pass only one.
	HealthyThreshold, UnhealthyThreshold int
	// Matcher is the list of codes of a healthy answer, such as "200,300-399".
	Matcher string
	// DeregistrationDelay is how long requests in flight may go on when their
	// target leaves; then they are broken off. A target without any leaves at once. AWS does
	// without it, too, but shows it as draining until the delay is over.
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html#deregistration-delay
	DeregistrationDelay time.Duration
	// Sticky is how long a client is sent to the same target, by a cookie; 0 is not
	// at all.
	Sticky time.Duration
}

// Group is a target group. Its checks run only while a listener uses it.
type Group struct {
	client   *http.Client
	requests atomic.Int64

	mu       sync.Mutex
	settings Settings
	targets  []*target // in the order of registration, draining ones too
	next     uint      // round robin
	inUse    bool
	closed   bool
	wait     sync.WaitGroup
}

type target struct {
	Target
	transport      *http.Transport
	stop           context.CancelFunc // of the checks; nil when they don't run
	drained        chan struct{}      // closed when drained; nil until it drains
	inFlight       int
	requests       context.Context // of its requests, which the end of the deregistration delay ends
	cancelRequests context.CancelFunc

	state               State
	reason, description string
	passed, failed      int // in a row
}

// NewGroup is an empty group.
func NewGroup(settings Settings) *Group {
	return &Group{
		settings: settings,
		client: &http.Client{
			// A check opens a connection of its own, and an answer that
			// redirects is judged by its own code.
			Transport:     &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Configure replaces the settings; checks under way finish under the old ones.
func (g *Group) Configure(settings Settings) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settings = settings
}

// Requests is the number of requests that targets were given so far.
func (g *Group) Requests() int64 { return g.requests.Load() }

// SetInUse says whether a listener forwards to the group: until then its targets are
// unused.
func (g *Group) SetInUse(inUse bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inUse == inUse || g.closed {
		return
	}
	g.inUse = inUse
	for _, t := range g.targets {
		if t.drained == nil {
			g.startChecks(t)
		}
	}
}

// Register adds a target, or gives a known one a new loopback address. One that
// drains comes back.
func (g *Group) Register(added Target) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	for i, t := range g.targets {
		if t.ID != added.ID || t.Port != added.Port {
			continue
		}
		if t.drained == nil && t.Addr == added.Addr {
			return
		}
		g.stopChecks(t)
		g.targets = slices.Delete(g.targets, i, i+1)
		break
	}
	t := &target{Target: added, transport: newTransport()}
	t.requests, t.cancelRequests = context.WithCancel(context.Background())
	g.targets = append(g.targets, t)
	g.startChecks(t)
}

// SetAccess says which targets the load balancer reaches.
func (g *Group) SetAccess(access func(Target) Access) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.targets {
		before, now := t.Access, access(t.Target)
		if before == now {
			continue
		}
		t.Access = now
		if t.drained == nil && (before == Disabled || now == Disabled) {
			g.startChecks(t)
		}
	}
}

// startChecks puts a target at the start of its life and runs its checks if the group
// is in use. The caller holds the lock.
func (g *Group) startChecks(t *target) {
	if t.stop != nil {
		t.stop()
		t.stop = nil
	}
	t.passed, t.failed = 0, 0
	if !g.inUse {
		t.state, t.reason, t.description = Unused, "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer"
		return
	}
	if t.Access == Disabled {
		t.state, t.reason, t.description = Unused, "Target.NotInUse", "Target is in an Availability Zone that is not enabled for the load balancer"
		return
	}
	t.state, t.reason, t.description = Initial, "Elb.RegistrationInProgress", "Target registration is in progress"
	ctx, cancel := context.WithCancel(context.Background())
	t.stop = cancel
	g.wait.Go(func() { g.check(ctx, t) })
}

// stopChecks ends a target's checks and connections. The caller holds the lock.
func (g *Group) stopChecks(t *target) {
	if t.stop != nil {
		t.stop()
		t.stop = nil
	}
	if t.inFlight == 0 {
		t.transport.CloseIdleConnections()
	}
}

// Deregister gives a target no more requests. The channel is closed when the
// requests in flight are done or the delay is over; an unknown target's is
// closed already.
func (g *Group) Deregister(id string, port int) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.targets {
		if t.ID != id || (port != 0 && t.Port != port) {
			continue
		}
		if t.drained != nil {
			return t.drained
		}
		g.stopChecks(t)
		t.drained = make(chan struct{})
		t.state, t.reason, t.description = Draining, "Target.DeregistrationInProgress", "Target deregistration is in progress"
		if t.inFlight == 0 {
			g.remove(t)
			return t.drained
		}
		timer := time.AfterFunc(g.settings.DeregistrationDelay, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.remove(t)
		})
		go func() { <-t.drained; timer.Stop() }()
		return t.drained
	}
	gone := make(chan struct{})
	close(gone)
	return gone
}

// remove forgets a drained target, and breaks off what is in flight still. The caller holds the
// lock.
func (g *Group) remove(t *target) {
	i := slices.Index(g.targets, t)
	if i < 0 {
		return
	}
	g.targets = slices.Delete(g.targets, i, i+1)
	t.cancelRequests()
	t.transport.CloseIdleConnections()
	close(t.drained)
}

// Health lists the targets in the order of their registration.
func (g *Group) Health() []Health {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]Health, len(g.targets))
	for i, t := range g.targets {
		list[i] = Health{Target: t.Target, State: t.state, Reason: t.reason, Description: t.description}
	}
	return list
}

// Close ends all checks and forgets the targets. Requests in flight go on.
func (g *Group) Close() {
	g.mu.Lock()
	g.closed = true
	for _, t := range g.targets {
		g.stopChecks(t)
		if t.drained != nil {
			close(t.drained)
		}
	}
	g.targets = nil
	g.mu.Unlock()
	g.wait.Wait()
}

// pick is the target of the next request: round robin over the healthy ones, or
// over all when none is healthy, as an Application Load Balancer fails open.
//
// The cookie, which may be empty, is the client's: it goes to the target that it was
// sent to before, if that is among them. A group that is sticky returns the cookie to
// be sent along.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/sticky-sessions.html
func (g *Group) pick(cookie string) (_ *target, access Access, _ *http.Cookie) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var healthy, all []*target
	for _, t := range g.targets {
		if t.drained != nil || t.Access == Disabled {
			continue
		}
		all = append(all, t)
		if t.state == Healthy {
			healthy = append(healthy, t)
		}
	}
	if len(healthy) == 0 {
		healthy = all
	}
	if len(healthy) == 0 {
		return nil, Reached, nil
	}
	before := -1
	if g.settings.Sticky > 0 && cookie != "" {
		before = slices.IndexFunc(healthy, func(t *target) bool { return t.cookie() == cookie })
	}
	if before < 0 {
		before = int(g.next % uint(len(healthy)))
		g.next++
	}
	t := healthy[before]
	t.inFlight++
	g.requests.Add(1)
	if g.settings.Sticky == 0 {
		return t, t.Access, nil
	}
	return t, t.Access, &http.Cookie{ //nolint:gosec // as AWS sets it: the listener may be plain HTTP
		Name: stickyCookie, Value: t.cookie(), Path: "/", Expires: time.Now().Add(g.settings.Sticky),
	}
}

// stickyCookie is the name that AWS gives its own.
const stickyCookie = "AWSALB"

// cookie identifies a target.
func (t *target) cookie() string {
	sum := sha256.Sum256([]byte(t.ID + ":" + strconv.Itoa(t.Port)))
	return hex.EncodeToString(sum[:16])
}

func (g *Group) release(t *target) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t.inFlight--
	if t.inFlight > 0 {
		return
	}
	if t.drained != nil {
		g.remove(t)
	} else if !slices.Contains(g.targets, t) {
		t.transport.CloseIdleConnections()
	}
}

// firstLook is how often a new target that does not answer well yet is looked
// at. AWS's first check comes at any time within the interval, so this is the
// luckiest case of it: a target turns healthy as soon as it can. Its failures
// count once per interval all the same.
const firstLook = 50 * time.Millisecond

// check runs the health checks of one target.
func (g *Group) check(ctx context.Context, t *target) {
	wait := func(d time.Duration) bool {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(d):
			return true
		}
	}
	for {
		g.mu.Lock()
		settings, isNew, target := g.settings, t.state == Initial, t.Target
		g.mu.Unlock()
		next := time.Now().Add(settings.Interval)
		reason, description := g.probe(ctx, settings, target)
		for isNew && reason != "" && time.Until(next) > firstLook {
			if !wait(firstLook) {
				return
			}
			reason, description = g.probe(ctx, settings, target)
		}
		if ctx.Err() != nil {
			return
		}
		g.record(t, settings, reason, description)
		if reason == "" {
			next = time.Now().Add(settings.Interval)
		}
		if !wait(time.Until(next)) {
			return
		}
	}
}

// record counts one result; an empty reason is a pass.
func (g *Group) record(t *target, settings Settings, reason, description string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.stop == nil {
		return // it left meanwhile
	}
	if reason == "" {
		t.passed, t.failed = t.passed+1, 0
		if t.state == Initial || t.passed >= settings.HealthyThreshold {
			t.state, t.reason, t.description = Healthy, "", ""
		}
		return
	}
	t.passed, t.failed = 0, t.failed+1
	switch {
	case t.failed >= settings.UnhealthyThreshold || t.state == Unhealthy:
		t.state, t.reason, t.description = Unhealthy, reason, description
	case t.state == Initial:
		t.reason, t.description = "Elb.InitialHealthChecking", "Initial health checks in progress"
	}
}

// probe asks a target once and returns AWS's reason and description of a
// failure, or two empty strings.
func (g *Group) probe(ctx context.Context, settings Settings, t Target) (reason, description string) {
	ctx, cancel := context.WithTimeout(ctx, settings.Timeout)
	defer cancel()
	if t.Access == Filtered {
		<-ctx.Done()
		return "Target.Timeout", "Request timed out"
	}
	addr := t.Addr
	if host, _, err := net.SplitHostPort(addr); err == nil && settings.CheckPort != 0 {
		addr = net.JoinHostPort(host, strconv.Itoa(settings.CheckPort))
	}
	at, err := url.Parse("http://" + addr + settings.Path)
	if err != nil || addr == "" || t.FailsChecks {
		return "Target.FailedHealthChecks", "Health checks failed"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return "Target.FailedHealthChecks", "Health checks failed"
	}
	req.Header.Set("User-Agent", "ELB-HealthChecker/2.0")
	resp, err := g.client.Do(req)
	switch {
	case ctx.Err() == context.DeadlineExceeded:
		return "Target.Timeout", "Request timed out"
	case err != nil:
		return "Target.FailedHealthChecks", "Health checks failed"
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // only the code counts
	_ = resp.Body.Close()                                        // only read from
	if !MatchesCode(settings.Matcher, resp.StatusCode) {
		return "Target.ResponseCodeMismatch", fmt.Sprintf("Health checks failed with these codes: [%d]", resp.StatusCode)
	}
	return "", ""
}

// MatchesCode reports whether an answer's code is in a matcher such as "200",
// "200,202" or "200-299".
func MatchesCode(matcher string, code int) bool {
	for part := range strings.SplitSeq(matcher, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			to = from
		}
		low, err := strconv.Atoi(from)
		if err != nil {
			continue
		}
		high, err := strconv.Atoi(to)
		if err == nil && low <= code && code <= high {
			return true
		}
	}
	return false
}
