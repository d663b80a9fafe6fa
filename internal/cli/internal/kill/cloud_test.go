package kill_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	tagapi "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	tagtypes "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/bookctl/bookctl/internal/awsaccount"
	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/memory"
	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/preflight"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/requestbody"
	"github.com/bookctl/bookctl/internal/runlock"
	"github.com/bookctl/bookctl/internal/runlock/parameterstore"
	"github.com/bookctl/bookctl/internal/tinyimage"
)

// appImage is the program of testdata/app as an image, built once, and noImage one
// that nothing can run.
var (
	appImage = sync.OnceValues(func() (v1.Image, error) { return tinyimage.Build("testdata/app", "bookapi") })
	noImage  = sync.OnceValues(func() (v1.Image, error) { return random.Image(64, 1) })
)

// source is the image of the app, pushed over a wire: as one write, which can be
// the last.
type source struct {
	image v1.Image
	wire  *wire
	by    http.RoundTripper
}

func (s source) Digest(context.Context) (string, error) {
	d, err := s.image.Digest()
	return d.String(), err
}

func (s source) Push(ctx context.Context, repository string, login provision.RegistryLogin, _ func(done, total int64)) error {
	tag, err := name.NewTag(repository + ":v1")
	if err != nil {
		return err
	}
	return s.wire.carry("Push", func() error {
		return remote.Write(tag, s.image, remote.WithContext(ctx), remote.WithTransport(s.by), remote.WithAuth(&authn.Basic{Username: login.Username, Password: login.Password}))
	})
}

// account is a local cloud that holds at most one stack, and nothing else.
type account struct {
	*localcloud.Cloud
	// by is the way to it.
	by    http.RoundTripper
	image func() (v1.Image, error)
	spec  provision.Spec
	retry func() aws.Retryer // of all calls; nil is none
	// view is provision.Run.View.
	view *runlock.View
	// pace is provision.Run.Pace.
	pace float64
	// deployed has ups and destroys know what is deployed, as those of the command line do.
	deployed bool
	// keeping has destroys keep the data, and polite has runs wait until a lock expires.
	keeping, polite bool
	// visibilityDelay is runlock.AWSVisibilityDelay, as fast as things show in this cloud.
	visibilityDelay time.Duration
	facts
}

// facts are what an undisturbed stack is like in an account of its kind.
type facts struct {
	// empty and whole are the inventories without a stack and with a healthy one.
	empty, whole []string
	// ups and destroys are the writes of a first up and of a destroy.
	ups, destroys int
}

// openReal opens an account for the length of a test that has real databases,
// processes, load balancers and connections.
func openReal(t *testing.T) *account {
	t.Helper()
	// The users of databases and containers must get through.
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	a := &account{image: appImage, by: http.DefaultTransport, pace: 0.01}
	a.open(t, localcloud.Config{StateDir: dir}, nextPort(t))
	return a
}

// inMemory are the facts of the accounts of openInMemory, which the first one learns.
var inMemory struct {
	sync.Mutex
	*facts
}

// openInMemory opens one that has none of these, in a test whose time is its own
// (testing/synctest): what waits takes none. Its requests are limited as AWS's are.
func openInMemory(t *testing.T) *account {
	t.Helper()
	a := &account{image: noImage, retry: func() aws.Retryer { return provision.NewRetryer(10 * time.Second) }}
	a.start(t, localcloud.Config{StateDir: t.TempDir(), Runtimes: memory.Runtimes, Throttle: true}, 8080)
	inMemory.Lock()
	defer inMemory.Unlock()
	if inMemory.facts == nil {
		a.learn(t)
		inMemory.facts = &facts{empty: a.empty, whole: a.whole, ups: a.ups, destroys: a.destroys}
	}
	a.facts = *inMemory.facts
	return a
}

// openTypical opens one in memory whose operations take as long as on AWS, in a test whose time is
// its own.
func openTypical(t *testing.T) *account {
	t.Helper()
	a := &account{image: noImage, retry: func() aws.Retryer { return provision.NewRetryer(10 * time.Second) }}
	a.open(t, localcloud.Config{StateDir: t.TempDir(), Runtimes: memory.Runtimes, Latencies: localcloud.TypicalLatencies()}, 8080)
	time.Sleep(time.Minute) // the name of the lock is free again
	return a
}

// open opens an account, and has it learn what an undisturbed stack is like in it.
func (a *account) open(t *testing.T, cfg localcloud.Config, port int32) {
	t.Helper()
	a.start(t, cfg, port)
	a.learn(t)
}

func (a *account) start(t *testing.T, cfg localcloud.Config, port int32) {
	t.Helper()
	var err error
	if a.Cloud, err = localcloud.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if a.by == nil {
		a.by = memory.Transport{To: a.Cloud}
	}
	a.spec = provision.Spec{
		Stack: "book", Version: "test", Zones: [2]string{"us-east-1a", "us-east-1b"}, Settings: provision.DefaultSettings(), Wait: true, NewDatabase: true}
	a.spec.Arch = runtime.GOARCH
	a.spec.Port = port
	env, err := preflight.Check(t.Context(), provision.NewClients(a.config(&wire{})), preflight.Intent{Stack: a.spec.Stack, Settings: a.spec.Settings, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	a.spec.DBVersion = env.DBVersion
}

// ports are the numbers that nextPort tries: below those that the system gives
// to outgoing connections, one of which could have the port while no stack does.
var ports atomic.Int32

// nextPort is a port of this machine that is free and that no other cloud of
// this process gets.
func nextPort(t *testing.T) int32 {
	t.Helper()
	const first, many = 20000, 10000
	ports.CompareAndSwap(0, 1+rand.Int32N(many))
	for range many {
		port := first + ports.Add(1)%many
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no port is free")
	return 0
}

// learn makes a stack and removes it, undisturbed.
func (a *account) learn(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	inventory := func() []string {
		t.Helper()
		lines, err := a.inventory(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	writes := func(run func(context.Context, *wire) error) int {
		t.Helper()
		w := &wire{}
		if err := run(ctx, w); err != nil {
			t.Fatal(err)
		}
		return len(w.written())
	}
	a.empty = inventory()
	a.ups = writes(a.up)
	a.whole = inventory()
	a.destroys = writes(a.destroy)
}

// inventory lists what there is, but for what differs between two equal stacks: the
// port of a database, the subnet of a task, and how far the first backup is.
func (a *account) inventory(ctx context.Context) ([]string, error) {
	faults := a.Faults()
	a.SetFaults(localcloud.Faults{}) // its answers are to be true
	defer a.SetFaults(faults)
	out, err := awsaccount.Inventory(ctx, a.config(&wire{}))
	for i, line := range out {
		line = varies.ReplaceAllString(line, "$1")
		if strings.HasPrefix(line, "network interface") {
			line = strings.Replace(line, "public-b", "public-a", 1)
		}
		if strings.Contains(line, "automated, ") {
			line = strings.TrimSuffix(strings.TrimSuffix(line, "creating"), "available")
		}
		if strings.HasPrefix(line, "database ") {
			line = strings.Replace(line, " backing-up ", " available ", 1)
		}
		out[i] = line
	}
	slices.Sort(out)
	return out, err
}

var varies = regexp.MustCompile(`DB_HOST=\S+ |DB_PORT=\d+ |( host:| port:)[\d.]+`)

// up does what 'bookctl up' does over the wire, and returns its error.
func (a *account) up(ctx context.Context, w *wire) error {
	image, err := a.image()
	if err != nil {
		return err
	}
	spec := a.spec
	if a.deployed {
		have, err := provision.ReadDeployed(ctx, provision.NewClients(a.config(w)), spec.Stack)
		if err != nil {
			return err
		}
		spec.Deployed, spec.TwoTargetGroups = &have, have.TwoTargetGroups
	}
	spec.Source = source{image, w, a.by}
	return a.run(w, spec, func(r provision.Run) error {
		_, _, err := r.Up(ctx)
		return err
	})
}

// pause does what 'bookctl pause' does over the wire.
func (a *account) pause(ctx context.Context, w *wire) error {
	return a.run(w, a.spec, func(r provision.Run) error {
		return r.Hold(ctx, func(lock *runlock.Lock) error {
			return provision.Pause{Clients: r.Clients, Stack: a.spec.Stack, Settings: a.spec.Settings, Guard: lock.Guard, Progress: func(string) {}}.Run(ctx)
		})
	})
}

// tidy pauses the stack where its lock is free. A run that was killed while it gave the
// lock back may leave records that only the next release removes, and an up with nothing
// else to do takes no lock.
func (a *account) tidy(ctx context.Context) error {
	lock, err := runlock.Look(ctx, parameterstore.New(provision.NewClients(a.config(&wire{})).SSM, a.spec.Stack, a.spec.Version), a.spec.Stack)
	if err != nil || lock.Abandoned(true) {
		return err
	}
	return a.pause(ctx, &wire{})
}

// destroy does what 'bookctl destroy --purge-snapshots' does over the wire, or what 'bookctl
// destroy' does.
func (a *account) destroy(ctx context.Context, w *wire) error {
	spec := a.spec
	if a.deployed {
		have, err := provision.ReadDeployed(ctx, provision.NewClients(a.config(w)), spec.Stack)
		if err != nil {
			return err
		}
		spec.Deployed, spec.Settings = &have, have.Settings
	}
	return a.run(w, spec, func(r provision.Run) error {
		done, err := r.Destroy(ctx, !a.keeping, time.Minute)
		if err != nil {
			return err
		}
		left := slices.DeleteFunc(done.Left, func(l inventory.Item) bool { return l.Kept })
		if len(left) > 0 {
			return fmt.Errorf("left: %v", left)
		}
		return nil
	})
}

// run does something over the wire, and fails also when the lock can't be given
// back. Unless it is polite, it takes a lock that it finds from its holder, who is known
// to be dead here; as it is this same process, no signal can find that out.
func (a *account) run(w *wire, spec provision.Spec, do func(provision.Run) error) error {
	var unlocked error
	err := do(provision.Run{
		Clients: provision.NewClients(a.config(w)), Spec: spec, Holder: "test", Lock: runlock.Options{Force: !a.polite, VisibilityDelay: a.visibilityDelay}, Pace: a.pace,
		Unlocked: func(err error) { unlocked = err },
	})
	return errors.Join(err, unlocked)
}

// killed starts a run that is killed at its n-th write, and returns that write,
// or "" when the run ended before.
func (a *account) killed(ctx context.Context, run func(context.Context, *wire) error, n int, side side) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &wire{dieAt: n, side: side, killed: cancel}
	err := run(ctx, w)
	switch writes := w.written(); {
	case len(writes) >= n && err == nil:
		return "", fmt.Errorf("the run survived being killed at write %d, %s", n, writes[n-1])
	case len(writes) >= n:
		return writes[n-1], nil
	case err != nil:
		return "", fmt.Errorf("not killed, and yet: %w", err)
	}
	return "", nil
}

// killedOf starts a run that is killed at its first write of that name.
func (a *account) killedOf(ctx context.Context, run func(context.Context, *wire) error, name string, side side) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &wire{dieOf: name, side: side, killed: cancel}
	if err := run(ctx, w); err == nil || !slices.Contains(w.written(), name) {
		return fmt.Errorf("a run with the writes %v was not killed at %s: %w", w.written(), name, err)
	}
	return nil
}

// heal is an up that has to succeed and to leave one of each, after which there
// is nothing to do.
func (a *account) heal(ctx context.Context) error {
	w := &wire{}
	if err := a.up(ctx, w); err != nil {
		return fmt.Errorf("up: %w", err)
	}
	if len(w.written()) == 0 {
		// The run before was killed while it gave the lock back, and this one took none.
		// The records that are left go with the next release.
		hold := func(r provision.Run) error { return r.Hold(ctx, func(*runlock.Lock) error { return nil }) }
		if err := a.run(&wire{}, a.spec, hold); err != nil {
			return fmt.Errorf("hold the lock: %w", err)
		}
	}
	now, err := a.inventory(ctx)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(a.whole, now); diff != "" {
		return fmt.Errorf("up left not one of each (-want +got):\n%s", diff)
	}
	return a.quiet(ctx)
}

// quiet is another up, that has nothing to do.
func (a *account) quiet(ctx context.Context) error {
	again := &wire{}
	if err := a.up(ctx, again); err != nil {
		return fmt.Errorf("another up: %w", err)
	}
	if w := again.written(); len(w) > 0 {
		return fmt.Errorf("another up wrote %v", w)
	}
	return nil
}

// vanish is a destroy that has to succeed and to leave nothing.
func (a *account) vanish(ctx context.Context) error {
	if err := a.destroy(ctx, &wire{}); err != nil {
		return fmt.Errorf("destroy: %w", err)
	}
	now, err := a.inventory(ctx)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(a.empty, now); diff != "" {
		return fmt.Errorf("destroy left something behind (-before +after):\n%s", diff)
	}
	return nil
}

// side is where a run is cut off.
type side bool

const (
	beforeSent side = false // the write never arrives
	afterDone  side = true  // the write is done, and its answer never arrives
)

func (s side) String() string {
	if s {
		return "killed after"
	}
	return "killed before"
}

// wire is the connection of one run to the cloud. It keeps a journal of the
// writes, and can die like a process that is killed.
type wire struct {
	mu     sync.Mutex
	writes []string
	dieAt  int    // the number of the write at which it dies, 0 for never
	dieOf  string // the name of the write at which it dies, "" for none
	side   side
	killed func() // is called at the death
	dead   bool
	then   func(action string) // is called when an action is done; may be nil
	by     http.RoundTripper
}

var errKilled = errors.New("killed")

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	action, reads, err := moto.Call(r)
	if err != nil {
		return nil, err
	}
	write := action
	if reads {
		write = ""
	}
	var resp *http.Response
	err = w.carry(write, func() error {
		resp, err = w.by.RoundTrip(r) //nolint:bodyclose // who asked does, or it is closed below
		return err
	})
	if err != nil && resp != nil {
		_ = resp.Body.Close() // nobody reads it any more
		resp = nil
	}
	if w.then != nil && err == nil {
		w.then(action)
	}
	return resp, err
}

// carry lets a call pass, "" for a read, or dies of it.
func (w *wire) carry(write string, call func() error) error {
	w.mu.Lock()
	die, dead := false, w.dead
	if !dead && write != "" {
		w.writes = append(w.writes, write)
		die = len(w.writes) == w.dieAt || write == w.dieOf
		w.dead = die
	}
	w.mu.Unlock()
	if die {
		defer w.killed()
	}
	if dead || die && w.side == beforeSent {
		return errKilled
	}
	if err := call(); err != nil || !die {
		return err
	}
	return errKilled
}

func (w *wire) written() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.writes)
}

// config is for one run, whose connection w is.
func (a *account) config(w *wire) aws.Config {
	w.by = a.by
	retry := a.retry
	if retry == nil {
		retry = func() aws.Retryer { return aws.NopRetryer{} } // a killed process does not try again
	}
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(a.Endpoint()), Retryer: retry,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		HTTPClient:  &http.Client{Transport: w},
		APIOptions:  []func(*middleware.Stack) error{requestbody.Readable},
	}
}

// onlyTags returns which thing of the stack has other tags than bookctl's own and those
// that the stack was given, or lacks one.
func (a *account) onlyTags(ctx context.Context) error {
	want := a.spec.Tags.Map()
	pages := tagapi.NewGetResourcesPaginator(tagapi.NewFromConfig(a.config(&wire{})), &tagapi.GetResourcesInput{
		TagFilters: []tagtypes.TagFilter{{Key: aws.String("bookctl:stack"), Values: []string{a.spec.Stack}}},
	})
	things := 0
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, r := range page.ResourceTagMappingList {
			// A task, a snapshot and a record of the lock have the tags of when they were made.
			if slices.ContainsFunc([]string{":task/", ":network-interface/", ":snapshot:", ":parameter/"}, func(part string) bool { return strings.Contains(*r.ResourceARN, part) }) {
				continue
			}
			things++
			have := map[string]string{}
			for _, tag := range r.Tags {
				if *tag.Key != "Name" && !strings.HasPrefix(*tag.Key, "bookctl:") && !strings.HasPrefix(*tag.Key, "aws:") {
					have[*tag.Key] = *tag.Value
				}
			}
			if diff := cmp.Diff(want, have); diff != "" {
				return fmt.Errorf("%s has other tags (-want +got):\n%s", *r.ResourceARN, diff)
			}
		}
	}
	if things < 20 {
		return fmt.Errorf("only %d things have tags", things)
	}
	return nil
}

// bodyOf reads the body of a call, which can then be sent all the same; nil is for none, as the
// registry's calls have.
func bodyOf(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}
