package graph_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// world is a tiny cloud: things by name, and a journal of the calls that
// changed it.
type world struct {
	mu      sync.Mutex
	things  map[string]*graph.State
	journal []string
	blocked map[string]chan struct{} // Create of the name waits for the channel
	fail    map[string][]error       // what the next calls "verb name" answer
}

func newWorld() *world {
	return &world{things: map[string]*graph.State{}, blocked: map[string]chan struct{}{}, fail: map[string][]error{}}
}

func (w *world) call(verb, name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.journal = append(w.journal, verb+" "+name)
	if errs := w.fail[verb+" "+name]; len(errs) > 0 {
		w.fail[verb+" "+name] = errs[1:]
		return errs[0]
	}
	return nil
}

func (w *world) calls() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.journal)
}

func (w *world) put(name string, st graph.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.things[name] = &st
}

func (w *world) names() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for n := range w.things {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// thing is a resource of the world that can be made and removed, not changed.
type thing struct {
	graph.Node
	w     *world
	birth graph.State // what a Find sees after Create
}

func (t *thing) Find(context.Context) (graph.State, error) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	if st, ok := t.w.things[t.Name()]; ok {
		return *st, nil
	}
	return graph.State{Phase: graph.Absent}, nil
}

func (t *thing) Create(context.Context) (string, error) {
	if c := t.w.blocked[t.Name()]; c != nil {
		<-c
	}
	if err := t.w.call("create", t.Name()); err != nil {
		return "", err
	}
	t.w.put(t.Name(), t.birth)
	return t.birth.ID, nil
}

func (t *thing) Delete(context.Context) error {
	if err := t.w.call("delete", t.Name()); err != nil {
		return err
	}
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	delete(t.w.things, t.Name())
	return nil
}

// updatable is a thing that can be changed in place.
type updatable struct{ *thing }

func (m updatable) Update(context.Context, []graph.Change) error {
	if err := m.w.call("update", m.Name()); err != nil {
		return err
	}
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	m.w.things[m.Name()].Drift = nil
	return nil
}

// step is the step of that name.
func step(r graph.Report, name string) graph.Step {
	i := slices.IndexFunc(r.Steps, func(s graph.Step) bool { return s.Name == name })
	if i < 0 {
		return graph.Step{}
	}
	return r.Steps[i]
}

func (w *world) thing(name string, needs ...graph.Finder) *thing {
	return &thing{
		Node:  graph.Named(name, 5*time.Second, needs...),
		w:     w,
		birth: graph.State{Phase: graph.Ready, ID: "id-" + name, Owner: "us"},
	}
}

var us = graph.Options{Owner: "us"}

func up(t *testing.T, rs ...graph.Maker) graph.Report {
	t.Helper()
	r, err := graph.Up(t.Context(), rs, us)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestUpMakesParentsFirstAndASecondRunChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	a := w.thing("a")
	b := w.thing("b", a)
	c := w.thing("c", b)
	if r := up(t, c, a, b); r.Count(graph.Created) != 3 {
		t.Errorf("created %d, want 3", r.Count(graph.Created))
	}
	want := []string{"create a", "create b", "create c"}
	if got := w.calls(); !slices.Equal(got, want) {
		t.Errorf("calls %v, want %v", got, want)
	}
	if b.ID() != "id-b" {
		t.Errorf("id of b is %q", b.ID())
	}
	if r := up(t, c, a, b); r.Count(graph.None) != 3 {
		t.Errorf("second run: %d unchanged, want 3", r.Count(graph.None))
	}
	if got := w.calls(); !slices.Equal(got, want) {
		t.Errorf("the second run made calls: %v", got)
	}
}

// observer is a thing that notes how it is read.
type observer struct {
	*thing
	mu        sync.Mutex
	observing []bool
}

func (o *observer) Find(ctx context.Context) (graph.State, error) {
	o.mu.Lock()
	o.observing = append(o.observing, graph.Observing(ctx))
	o.mu.Unlock()
	return o.thing.Find(ctx)
}

// TestWhatWasObservedBeforeAChangeIsNotUsedAfterIt observes a resource that the same run
// has created: what was read together before that is of no use.
func TestWhatWasObservedBeforeAChangeIsNotUsedAfterIt(t *testing.T) {
	t.Parallel()
	w := newWorld()
	o := &observer{thing: w.thing("a")}
	resources := []graph.Finder{o}
	last := func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.observing[len(o.observing)-1]
	}
	for range 2 {
		graph.Observe(t.Context(), resources, graph.Options{})
		if !last() {
			t.Error("nothing was changed, and it is read anew")
		}
	}
	up(t, o)
	graph.Observe(t.Context(), resources, graph.Options{})
	if last() {
		t.Error("it was created, and what was read before is used")
	}
}

func TestASlowNodeHoldsUpOnlyWhatNeedsIt(t *testing.T) {
	t.Parallel()
	w := newWorld()
	slow := w.thing("slow")
	release := make(chan struct{})
	w.blocked["slow"] = release
	quick := w.thing("quick")
	child := w.thing("child", quick)
	late := w.thing("late", slow)
	var once sync.Once
	o := us
	o.Observe = func(e graph.Event) {
		if e.Node == "child" && e.Kind == graph.Done {
			once.Do(func() { close(release) })
		}
	}
	// Were there waves, child would wait for slow and the run would never end.
	if _, err := graph.Up(t.Context(), []graph.Maker{slow, quick, child, late}, o); err != nil {
		t.Fatal(err)
	}
	got := w.calls()
	if slices.Index(got, "create child") > slices.Index(got, "create slow") {
		t.Errorf("child waited for slow: %v", got)
	}
	if slices.Index(got, "create late") < slices.Index(got, "create slow") {
		t.Errorf("late did not wait for slow: %v", got)
	}
}

func TestAMadeNeedIsMetBeforeItIsReady(t *testing.T) {
	t.Parallel()
	w := newWorld()
	lb := w.thing("lb")
	lb.birth.Phase = graph.Pending
	listener := w.thing("listener", graph.OnceCreated(lb))
	o := us
	o.Observe = func(e graph.Event) {
		if e.Node == "listener" && e.Kind == graph.Done {
			w.put("lb", graph.State{Phase: graph.Ready, ID: "id-lb", Owner: "us"})
		}
	}
	if _, err := graph.Up(t.Context(), []graph.Maker{lb, listener}, o); err != nil {
		t.Fatal(err)
	}
}

func TestTheCriticalPathLeadsThroughWhatWasWaitedForMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld()
	database := w.thing("database")
	database.birth.Phase = graph.Pending
	definition := w.thing("definition", graph.OnceCreated(database))
	service := w.thing("service", definition, graph.OnceCreated(database))
	service.birth.Phase = graph.Pending
	o := us
	soon := func(name string) {
		go func() {
			time.Sleep(100 * time.Millisecond)
			w.put(name, graph.State{Phase: graph.Ready, ID: "id-" + name, Owner: "us"})
		}()
	}
	o.Observe = func(e graph.Event) {
		switch {
		case e.Node == "service" && e.Kind == graph.Creating:
			soon("database")
		case e.Node == "database" && e.Kind == graph.Done:
			soon("service")
		}
	}
	r, err := graph.Up(t.Context(), []graph.Maker{database, definition, service}, o)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.CriticalPath(), []string{"database", "service"}; !slices.Equal(got, want) {
		t.Errorf("path %v, want %v", got, want)
	}
}

func TestAWaitEndsWhenADependencyFails(t *testing.T) {
	t.Parallel()
	w := newWorld()
	database := w.thing("database")
	database.birth.Phase = graph.Pending
	service := w.thing("service", graph.OnceCreated(database))
	service.birth.Phase = graph.Pending
	after := w.thing("after", service)
	o := us
	o.Observe = func(e graph.Event) {
		if e.Node == "service" && e.Kind == graph.Creating {
			w.put("database", graph.State{Phase: graph.Unrecoverable, ID: "id-database", Owner: "us", Note: "no room"})
		}
	}
	r, err := graph.Up(t.Context(), []graph.Maker{database, service, after}, o)
	if err == nil || !strings.Contains(err.Error(), "no room") || strings.Contains(err.Error(), "service") {
		t.Errorf("error %v, want the database's alone", err)
	}
	for _, name := range []string{"service", "after"} {
		if s := step(r, name); s.Skipped == "" || s.Err != nil {
			t.Errorf("step %+v", s)
		}
	}
	if s := step(r, "service"); s.Skipped != "database" || s.Action != graph.Created {
		t.Errorf("step %+v", s)
	}
}

func TestTheTimeoutBeginsWhenTheDependencyIsReady(t *testing.T) {
	t.Parallel()
	w := newWorld()
	database := w.thing("database")
	database.birth.Phase = graph.Pending
	service := w.thing("service")
	service.Node = graph.Named("service", 300*time.Millisecond, graph.OnceCreated(database))
	service.birth.Phase = graph.Pending
	go func() {
		time.Sleep(600 * time.Millisecond) // twice its timeout
		w.put("database", graph.State{Phase: graph.Ready, ID: "id-database", Owner: "us"})
	}()
	r, err := graph.Up(t.Context(), []graph.Maker{database, service}, us)
	if !errors.Is(err, graph.ErrTimeout) {
		t.Fatalf("error %v, want the service's timeout to end", err)
	}
	s := step(r, "service")
	if took := s.End.Sub(s.Start); took < 800*time.Millisecond {
		t.Errorf("it was waited for %s", took)
	}
}

func TestDriftIsRepairedInPlace(t *testing.T) {
	t.Parallel()
	w := newWorld()
	a := w.thing("a")
	w.put("a", graph.State{Phase: graph.Ready, ID: "id-a", Owner: "us", Drift: []graph.Change{{Field: "size", Have: "1", Want: "2"}}})
	r := up(t, updatable{a})
	if got := w.calls(); !slices.Equal(got, []string{"update a"}) {
		t.Errorf("calls %v", got)
	}
	if s := step(r, "a"); s.Action != graph.Updated || graph.Fields(s.Changes) != "size" {
		t.Errorf("step %+v", s)
	}
}

func TestWhatCannotBeRepairedIsRefusedBeforeAnythingIsTouched(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]graph.State{
		"a field that needs replacing": {Phase: graph.Ready, Owner: "us", Drift: []graph.Change{{Field: "engine", Have: "x", Want: "y", Blocked: "needs a new one"}}},
		"somebody else's":              {Phase: graph.Ready, Owner: "them"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			a, b := w.thing("a"), w.thing("b")
			w.put("b", state)
			_, err := graph.Up(t.Context(), []graph.Maker{a, updatable{b}}, us)
			if !errors.Is(err, graph.ErrBlocked) && !errors.Is(err, graph.ErrUnmanaged) {
				t.Errorf("error %v", err)
			}
			if got := w.calls(); len(got) != 0 {
				t.Errorf("calls %v, want none", got)
			}
		})
	}
}

func TestAResourceWithoutUpdateNamesItsDriftedFields(t *testing.T) {
	t.Parallel()
	w := newWorld()
	a := w.thing("a")
	w.put("a", graph.State{Phase: graph.Ready, Owner: "us", Drift: []graph.Change{{Field: "cidr"}, {Field: "zone"}}})
	_, err := graph.Up(t.Context(), []graph.Maker{a}, us)
	if !errors.Is(err, graph.ErrBlocked) || !strings.Contains(err.Error(), "cidr, zone") {
		t.Errorf("error %v", err)
	}
}

func TestAFailureStopsItsDependantsAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld()
	bad := w.thing("bad")
	w.fail["create bad"] = []error{errors.New("no quota")}
	child, grandchild := w.thing("child", bad), (*thing)(nil)
	grandchild = w.thing("grandchild", child)
	other := w.thing("other")
	r, err := graph.Up(t.Context(), []graph.Maker{bad, child, grandchild, other}, us)
	if f := graph.Failures(err); len(f) != 1 || f[0].Node != "bad" || f[0].Op != "create" {
		t.Errorf("failures %v", f)
	}
	if s := step(r, "grandchild"); s.Skipped != "child" {
		t.Errorf("grandchild %+v", s)
	}
	if got := w.names(); !slices.Equal(got, []string{"other"}) {
		t.Errorf("made %v, want only other", got)
	}
}

var errBusy = errors.New("busy")

func busy(err error) (string, bool) { return "busy", errors.Is(err, errBusy) }

func TestOnlyATransientErrorIsRetriedAndAnAmbiguousCreateIsLookedUpFirst(t *testing.T) {
	t.Parallel()
	w := newWorld()
	a := w.thing("a")
	w.fail["create a"] = []error{errBusy, errBusy}
	lost := lostAnswer{w.thing("lost")}
	o := us
	o.Transient = busy
	if _, err := graph.Up(t.Context(), []graph.Maker{a, lost}, o); err != nil {
		t.Fatal(err)
	}
	got := w.calls()
	count := func(s string) (n int) {
		for _, c := range got {
			if c == s {
				n++
			}
		}
		return n
	}
	if count("create a") != 3 || count("create lost") != 1 {
		t.Errorf("calls %v, want create a three times and create lost once", got)
	}
}

// lostAnswer does the work and loses the answer.
type lostAnswer struct{ *thing }

func (l lostAnswer) Create(ctx context.Context) (string, error) {
	if _, err := l.thing.Create(ctx); err != nil {
		return "", err
	}
	return "", errBusy
}

func TestANewResourceThatIsNotVisibleYetIsNotCreatedTwice(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := &hidden{thing: w.thing("a"), looks: 4}
	up(t, r)
	if got := w.calls(); !slices.Equal(got, []string{"create a"}) {
		t.Errorf("calls %v, want one create", got)
	}
}

// hidden is not seen by its first looks.
type hidden struct {
	*thing
	looks int
}

func (h *hidden) Find(ctx context.Context) (graph.State, error) {
	if h.looks--; h.looks >= 0 {
		return graph.State{Phase: graph.Absent}, nil
	}
	return h.thing.Find(ctx)
}

// TestACreateWithoutAnAnswerIsLookedUpBeforeItIsSentAgain lets a create be done
// without an answer while the thing stays unseen for some looks, and another
// one never arrive.
func TestACreateWithoutAnAnswerIsLookedUpBeforeItIsSentAgain(t *testing.T) {
	t.Parallel()
	w := newWorld()
	done := &unanswered{hidden: hidden{thing: w.thing("done"), looks: 6}, arrives: true}
	lost := &unanswered{hidden: hidden{thing: w.thing("lost")}}
	o := us
	o.Ambiguous = func(err error) bool { return errors.Is(err, errNoAnswer) }
	o.VisibilityDelay = 300 * time.Millisecond
	if _, err := graph.Up(t.Context(), []graph.Maker{done, lost}, o); err != nil {
		t.Fatal(err)
	}
	if got := w.calls(); !slices.Equal(got, []string{"create done", "create lost"}) {
		t.Errorf("calls %v, want each made once", got)
	}
	if lost.calls != 2 {
		t.Errorf("the create that did not arrive was sent %d times, want twice", lost.calls)
	}
}

var errNoAnswer = errors.New("connection reset")

// unanswered loses the answer to its first create, and the call too unless it
// arrives.
type unanswered struct {
	hidden
	arrives bool
	calls   int
}

func (u *unanswered) Create(ctx context.Context) (string, error) {
	u.calls++
	if u.calls > 1 || u.arrives {
		id, err := u.thing.Create(ctx)
		if u.calls > 1 || err != nil {
			return id, err
		}
	}
	return "", errNoAnswer
}

// TestAnExistingResourceIsTheStacksOwnOrIsRefused refuses a create
// because of something that no look has shown yet.
func TestAnExistingResourceIsTheStacksOwnOrIsRefused(t *testing.T) {
	t.Parallel()
	o := us
	errTaken := errors.New("the name is taken")
	o.Exists = func(err error) bool { return errors.Is(err, errTaken) }
	for owner, want := range map[string]error{"us": nil, "them": graph.ErrUnmanaged} {
		w := newWorld()
		w.put("a", graph.State{Phase: graph.Ready, ID: "id-a", Owner: owner})
		w.fail["create a"] = []error{errTaken}
		_, err := graph.Up(t.Context(), []graph.Maker{&hidden{thing: w.thing("a"), looks: 4}}, o)
		if !errors.Is(err, want) {
			t.Errorf("a thing of %s: %v, want %v", owner, err, want)
		}
		if got := w.calls(); !slices.Equal(got, []string{"create a"}) {
			t.Errorf("a thing of %s: calls %v, want one create", owner, got)
		}
	}
}

func TestAFatalErrorEndsEveryWait(t *testing.T) {
	t.Parallel()
	w := newWorld()
	waiting := w.thing("waiting")
	waiting.birth.Phase = graph.Pending
	after := w.thing("after", waiting)
	expired := errors.New("expired")
	failing := w.thing("failing")
	w.fail["create failing"] = []error{expired}
	o := us
	o.Fatal = func(err error) bool { return errors.Is(err, expired) }
	_, err := graph.Up(t.Context(), []graph.Maker{waiting, after, failing}, o)
	if errors.Is(err, graph.ErrTimeout) || !errors.Is(err, expired) {
		t.Errorf("got %v, want the expiry to end the wait", err)
	}
	if slices.Contains(w.calls(), "create after") {
		t.Error("something was started after the end")
	}
}

func TestAnOptionThatIsNotChosenIsNotMadeAndTakenAwayWhenItIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld()
	off, left := &option{w.thing("off")}, &option{w.thing("left")}
	w.put("left", graph.State{Phase: graph.Ready, ID: "id-left", Owner: "us"})
	r := up(t, off, left)
	if got := w.calls(); !slices.Equal(got, []string{"delete left"}) {
		t.Errorf("calls %v, want only the removal of the one that is left", got)
	}
	if r.Count(graph.None) != 1 || r.Count(graph.Updated) != 1 {
		t.Errorf("steps %+v, want one unchanged and one updated", r.Steps)
	}
}

// option is a thing that is not wanted.
type option struct{ *thing }

func (o *option) Find(ctx context.Context) (graph.State, error) {
	st, err := o.thing.Find(ctx)
	st.Unwanted = st.Phase == graph.Absent
	if !st.Unwanted {
		st.Drift = []graph.Change{{Field: "exists", Have: "yes"}}
	}
	return st, err
}

func (o *option) Update(ctx context.Context, _ []graph.Change) error { return o.Delete(ctx) }

func TestAFailedResourceAndATimeoutQuoteTheCloud(t *testing.T) {
	t.Parallel()
	w := newWorld()
	broken := w.thing("broken")
	broken.birth = graph.State{Phase: graph.Unrecoverable, ID: "x", Owner: "us", Note: "incompatible-network"}
	stuck := &thing{Node: graph.Named("stuck", 50*time.Millisecond), w: w, birth: graph.State{Phase: graph.Pending, ID: "y", Owner: "us", Note: "provisioning"}}
	_, err := graph.Up(t.Context(), []graph.Maker{broken, stuck}, us)
	if !errors.Is(err, graph.ErrUnrecoverable) || !strings.Contains(err.Error(), "incompatible-network") {
		t.Errorf("broken: %v", err)
	}
	if !errors.Is(err, graph.ErrTimeout) || !strings.Contains(err.Error(), "provisioning") {
		t.Errorf("stuck: %v", err)
	}
}

// TestATimeoutSaysWhatToDo has a resource that does not become ready in time.
func TestATimeoutSaysWhatToDo(t *testing.T) {
	t.Parallel()
	w := newWorld()
	stuck := &thing{Node: graph.Named("stuck", 50*time.Millisecond), w: w, birth: graph.State{Phase: graph.Pending, ID: "y", Owner: "us", Note: "provisioning", Next: hint.New("look at the name servers")}}
	_, err := graph.Up(t.Context(), []graph.Maker{stuck}, us)
	if next := hint.Of(err).String(); !errors.Is(err, graph.ErrTimeout) || next != "look at the name servers" {
		t.Errorf("stuck: %v, next: %q", err, next)
	}
}

func TestDestroyDeletesChildrenFirstAndKeepsWhatTheStackDoesNotManage(t *testing.T) {
	t.Parallel()
	w := newWorld()
	a := w.thing("a")
	b := w.thing("b", a)
	c := w.thing("c", b)
	up(t, a, b, c)
	theirs := w.thing("theirs")
	w.put("theirs", graph.State{Phase: graph.Ready, ID: "t", Owner: "them"})
	before := len(w.calls())
	r, err := graph.Destroy(t.Context(), []graph.Remover{a, b, c, theirs}, us)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := w.calls()[before:], []string{"delete c", "delete b", "delete a"}; !slices.Equal(got, want) {
		t.Errorf("calls %v, want %v", got, want)
	}
	if got := w.names(); !slices.Equal(got, []string{"theirs"}) {
		t.Errorf("left %v, want only theirs", got)
	}
	if s := step(r, "theirs"); s.Action != graph.Unmanaged {
		t.Errorf("theirs %+v", s)
	}
	if r.Count(graph.Deleted) != 3 {
		t.Errorf("deleted %d", r.Count(graph.Deleted))
	}
}

// twins is one resource that exists several times, as a VPC does after a create whose answer was lost.
type twins struct {
	*thing
	ids *[]string
}

func (t twins) Find(context.Context) (graph.State, error) {
	if len(*t.ids) == 0 {
		return graph.State{Phase: graph.Absent}, nil
	}
	return graph.State{Phase: graph.Ready, ID: (*t.ids)[0], Owner: "us"}, nil
}

func (t twins) Delete(context.Context) error {
	*t.ids = (*t.ids)[1:]
	return nil
}

func TestDestroyDeletesEachTwinWithoutWaitingForTheOneBefore(t *testing.T) {
	t.Parallel()
	ids := []string{"1", "2", "3", "4", "5"}
	o := us
	o.VisibilityDelay = time.Hour // how long the same id may still be shown after its deletion
	if _, err := graph.Destroy(t.Context(), []graph.Finder{twins{newWorld().thing("a"), &ids}}, o); err != nil {
		t.Fatalf("%v; left: %v", err, ids)
	}
}

func TestDestroyWaitsForWhatIsBusyAndKeepsTheParentsOfWhatFails(t *testing.T) {
	t.Parallel()
	w := newWorld()
	a := w.thing("a")
	b := w.thing("b", a)
	p := w.thing("p")
	q := w.thing("q", p)
	up(t, a, b, p, q)
	w.fail["delete b"] = []error{errBusy, errBusy, errBusy}
	w.fail["delete q"] = []error{errors.New("deletion protected")}
	o := us
	o.Transient = busy
	reported := 0
	o.Observe = func(e graph.Event) {
		if e.Node == "b" && e.Kind == graph.Deleting {
			reported++
		}
	}
	_, err := graph.Destroy(t.Context(), []graph.Remover{a, b, p, q}, o)
	if reported != 1 {
		t.Errorf("that b is being deleted was reported %d times", reported)
	}
	if f := graph.Failures(err); len(f) != 1 || f[0].Node != "q" {
		t.Errorf("failures %v", f)
	}
	if got := w.names(); !slices.Equal(got, []string{"p", "q"}) {
		t.Errorf("left %v, want p and q", got)
	}
}

// part is a thing that is found through its parent.
type part struct {
	*thing
	parent *thing
}

func (p part) Find(ctx context.Context) (graph.State, error) {
	if p.parent.ID() == "" {
		return graph.State{Phase: graph.Absent}, nil
	}
	return p.thing.Find(ctx)
}

// unreadable is a thing whose first look fails.
type unreadable struct {
	*thing
	looked atomic.Bool
}

func (u *unreadable) Find(ctx context.Context) (graph.State, error) {
	if !u.looked.Swap(true) {
		return graph.State{}, errors.New("the answer is empty")
	}
	return u.thing.Find(ctx)
}

// What is found through something that could not be read seems to be gone: the
// parent would be deleted while its part is there.
func TestDestroyTouchesNothingWhereSomethingCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld()
	a := &unreadable{thing: w.thing("a")}
	b := part{w.thing("b", a), a.thing}
	c := w.thing("c")
	for _, x := range []*thing{a.thing, b.thing, c} {
		w.put(x.Name(), x.birth)
	}
	all := []graph.Remover{a, b, c}
	r, err := graph.Destroy(t.Context(), all, us)
	if f := graph.Failures(err); len(f) != 1 || f[0].Node != "a" || f[0].Op != "find" {
		t.Errorf("failures %v", err)
	}
	if got := w.calls(); len(got) > 0 || r.Count(graph.Deleted) > 0 {
		t.Errorf("calls %v, report %+v", got, r)
	}
	if _, err := graph.Destroy(t.Context(), all, us); err != nil {
		t.Fatal(err)
	}
	if got := w.calls(); slices.Index(got, "delete b") > slices.Index(got, "delete a") || len(w.names()) > 0 {
		t.Errorf("calls %v, left %v", got, w.names())
	}
}

// holding is a thing that can't go while another is there.
type holding struct {
	*thing
	user string
}

func (h holding) Delete(ctx context.Context) error {
	if slices.Contains(h.w.names(), h.user) {
		return errBusy
	}
	return h.thing.Delete(ctx)
}

// A run that was cut off just before may have made what can't be seen at first.
func TestDestroyRemovesWhatIsSeenLateAndHoldsWhatItNeeds(t *testing.T) {
	t.Parallel()
	w := newWorld()
	a := holding{w.thing("a"), "b"}
	b := &hidden{thing: w.thing("b", a), looks: 3}
	w.put("a", a.birth)
	w.put("b", b.birth)
	o := us
	o.Transient = busy
	r, err := graph.Destroy(t.Context(), []graph.Remover{a, b}, o)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := w.calls(), []string{"delete b", "delete a"}; !slices.Equal(got, want) {
		t.Errorf("calls %v, want %v", got, want)
	}
	if r.Count(graph.Deleted) != 2 || len(w.names()) > 0 {
		t.Errorf("left %v, report %+v", w.names(), r)
	}
}

func TestCancelLetsTheCallInFlightFinishAndStartsNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld()
	ctx, cancel := context.WithCancel(t.Context())
	a := cancelling{w.thing("a"), cancel}
	b := w.thing("b", a)
	_, err := graph.Up(ctx, []graph.Maker{a, b}, us)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if got := w.names(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("made %v, want only a", got)
	}
}

func TestAStoppedRunReportsWhatWasInProgressAndWhatWasNotStarted(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.put("slow", graph.State{Phase: graph.Pending, ID: "id-slow", Owner: "us", Note: "starting"})
	slow := w.thing("slow")
	child := w.thing("child", slow)
	grandchild := w.thing("grandchild", child)
	ctx, cancel := context.WithCancel(t.Context())
	last := map[string]graph.Event{}
	o := us
	o.Observe = func(e graph.Event) {
		if last[e.Node] = e; e.Kind == graph.Waiting {
			cancel()
		}
	}
	if _, err := graph.Up(ctx, []graph.Maker{slow, child, grandchild}, o); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if e := last["slow"]; e.Kind != graph.Stopped || e.Note != "starting" {
		t.Errorf("what was waited for is reported as %+v", e)
	}
	for _, name := range []string{"child", "grandchild"} {
		if e := last[name]; e.Kind != graph.Skipped || e.Note != "" {
			t.Errorf("%s, which was not begun, is reported as %+v", name, e)
		}
	}
}

// cancelling is interrupted while its Create is under way.
type cancelling struct {
	*thing
	cancel func()
}

func (c cancelling) Create(ctx context.Context) (string, error) {
	c.cancel()
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return c.thing.Create(ctx)
}

func TestTheGuardStopsEveryWrite(t *testing.T) {
	t.Parallel()
	w := newWorld()
	o := us
	lost := errors.New("the lock was taken over")
	o.Guard = func(context.Context) error { return lost }
	_, err := graph.Up(t.Context(), []graph.Maker{w.thing("a")}, o)
	if !errors.Is(err, lost) || len(w.calls()) != 0 {
		t.Errorf("error %v, calls %v", err, w.calls())
	}
}

func TestTheCriticalPathIsTheChainOfWaits(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	r := graph.Report{Steps: []graph.Step{
		{Name: "db", Start: at(0), Created: at(1), End: at(300)},
		{Name: "lb", Start: at(0), Created: at(2), End: at(350)},
		{Name: "service", Needs: []string{"db", "lb"}, Start: at(300), Created: at(301), End: at(360)},
	}}
	if got, want := r.CriticalPath(), []string{"db", "service"}; !slices.Equal(got, want) {
		t.Errorf("path %v, want %v", got, want)
	}
}

// TestWhatIsNotUsableYetIsTriedAgainForAWhile has a role that was just made, or was
// there, refused to the one who needs it.
func TestWhatIsNotUsableYetIsTriedAgainForAWhile(t *testing.T) {
	t.Parallel()
	denied := errors.New("denied")
	for name, c := range map[string]struct {
		there       bool
		propagation time.Duration
		refusals    int
		fails       bool
	}{
		"just made": {refusals: 2}, "was there": {there: true, refusals: 2, fails: true}, "for too long": {propagation: 300 * time.Millisecond, refusals: 100, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			role := &thing{graph.Named("role", time.Minute), w, graph.State{Phase: graph.Ready, ID: "r"}}
			user := &thing{graph.Named("user", time.Minute, role), w, graph.State{Phase: graph.Ready, ID: "u"}}
			if c.there {
				w.put("role", graph.State{Phase: graph.Ready, ID: "r"})
			}
			for range c.refusals {
				w.fail["create user"] = append(w.fail["create user"], denied)
			}
			_, err := graph.Up(t.Context(), []graph.Maker{role, user}, graph.Options{
				Propagation: c.propagation,
				Propagating: func(err error, created []string) (string, bool) {
					return "not known yet", errors.Is(err, denied) && slices.Contains(created, "role")
				},
			})
			if c.fails != errors.Is(err, denied) || !c.fails && err != nil {
				t.Errorf("up ends with %v", err)
			}
		})
	}
}
