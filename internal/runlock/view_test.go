package runlock_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bookctl/bookctl/internal/runlock"
)

// shelf is a store in memory, of one run at a time.
type shelf map[string]runlock.Record

func (s shelf) Create(ctx context.Context, name, value string) error {
	if _, ok := s[name]; ok {
		return runlock.ErrExists
	}
	return s.Overwrite(ctx, name, value)
}

func (s shelf) Overwrite(_ context.Context, name, value string) error {
	s[name] = runlock.Record{Value: value, Modified: time.Now()}
	return nil
}

func (s shelf) Get(_ context.Context, names ...string) (map[string]runlock.Record, time.Time, error) {
	out := map[string]runlock.Record{}
	for _, n := range names {
		if r, ok := s[n]; ok {
			out[n] = r
		}
	}
	return out, time.Now(), nil
}

func (s shelf) List(context.Context) ([]string, error) { return slices.Collect(maps.Keys(s)), nil }

func (s shelf) Delete(_ context.Context, names ...string) error {
	for _, n := range names {
		delete(s, n)
	}
	return nil
}

func (s shelf) Unreadable() error { return errors.New("unreadable") }

// TestALockFollowsAViewUnlessAnotherRunHadIt has one run read the lock and then take it, with
// or without another run in between.
func TestALockFollowsAViewUnlessAnotherRunHadIt(t *testing.T) {
	t.Parallel()
	none := func(*testing.T, shelf) {}
	otherRun := func(t *testing.T, s shelf) {
		t.Helper()
		l, err := runlock.Acquire(t.Context(), s, "book", "other", runlock.Options{Force: true})
		if err == nil {
			err = l.Release(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	killedRun := func(t *testing.T, s shelf) {
		t.Helper()
		l, err := runlock.Acquire(t.Context(), s, "book", "killed", runlock.Options{})
		if err != nil {
			t.Fatal(err)
		}
		held := maps.Clone(s)
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		clear(s)
		maps.Copy(s, held)
	}
	later := func(*testing.T, shelf) { time.Sleep(time.Minute) }
	killedAndLater := func(t *testing.T, s shelf) {
		t.Helper()
		killedRun(t, s)
		later(t, s)
	}
	for name, c := range map[string]struct {
		before, between func(*testing.T, shelf)
		follows, passed bool
	}{
		"a stack that is not there":                                          {none, none, true, false},
		"a stack that is not there, and a run in between":                    {none, otherRun, false, true},
		"a stack that was not there a minute ago":                            {none, later, false, true},
		"a lock that was released":                                           {otherRun, none, true, false},
		"a lock that was released, a minute ago":                             {otherRun, later, true, false},
		"a lock that was released, and a run in between":                     {otherRun, otherRun, false, true},
		"a lock whose holder was killed":                                     {killedRun, none, false, false},
		"a lock whose holder was killed, a minute ago":                       {killedRun, later, false, false},
		"a lock whose holder was killed, and a run in between":               {killedRun, otherRun, false, true},
		"a lock that was released, and a killed one that was not seen":       {otherRun, killedRun, false, false},
		"a lock that was released, and a killed one in between, a while ago": {otherRun, killedAndLater, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := shelf{}
				c.before(t, s)
				view, err := runlock.Look(t.Context(), s, "book")
				if err != nil || !view.Recent() {
					t.Fatal(view, err)
				}
				c.between(t, s)
				l, err := runlock.Acquire(t.Context(), s, "book", "this", runlock.Options{Force: true, Known: view})
				if err != nil {
					t.Fatal(err)
				}
				if follows := l.Follows(view); follows != c.follows {
					t.Errorf("it follows what was read: %t, want %t", follows, c.follows)
				}
				if passed := l.Passed(view); passed != c.passed {
					t.Errorf("another run may have had it: %t, want %t", passed, c.passed)
				}
				if l.Follows(nil) || !l.Passed(nil) {
					t.Error("it follows what nobody has read")
				}
				if err := l.Release(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// shared is a shelf of several runs.
type shared struct {
	mu sync.Mutex
	shelf
}

func (s *shared) Create(ctx context.Context, name, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shelf.Create(ctx, name, value)
}

func (s *shared) Delete(ctx context.Context, names ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shelf.Delete(ctx, names...)
}

func (s *shared) List(ctx context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shelf.List(ctx)
}

func (s *shared) Overwrite(ctx context.Context, name, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shelf.Overwrite(ctx, name, value)
}

func (s *shared) Get(ctx context.Context, names ...string) (map[string]runlock.Record, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shelf.Get(ctx, names...)
}

// TestAForcedTakeoverIsNoticedAtTheNextRenewal takes the lock from a run that is alive,
// which may not write from the next renewal of its lease on.
func TestAForcedTakeoverIsNoticedAtTheNextRenewal(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"a new stack", "a lock that was released"} {
		t.Run(before, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &shared{shelf: shelf{}}
				acquire := func(holder string, o runlock.Options) *runlock.Lock {
					l, err := runlock.Acquire(t.Context(), s, "book", holder, o)
					if err != nil {
						t.Fatal(err)
					}
					return l
				}
				if before == "a lock that was released" {
					if err := acquire("before", runlock.Options{}).Release(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				first := acquire("first", runlock.Options{})
				time.Sleep(5*time.Minute + time.Second) // two renewals
				if err := first.Guard(t.Context()); err != nil {
					t.Fatalf("the holder may not write: %v", err)
				}
				second := acquire("second", runlock.Options{Force: true})
				time.Sleep(150 * time.Second) // a third, a second ago
				if err := first.Guard(t.Context()); !errors.Is(err, runlock.ErrLost) {
					t.Errorf("the run that the lock was taken from may write: %v", err)
				}
				if err := errors.Join(second.Guard(t.Context()), second.Release(t.Context())); err != nil {
					t.Error(err)
				}
				if err := first.Release(t.Context()); !errors.Is(err, runlock.ErrLost) {
					t.Errorf("it released the lock of the other one: %v", err)
				}
			})
		})
	}
}
