package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/runlock"
	"github.com/bookctl/bookctl/internal/runlock/parameterstore"
)

// Run changes a stack under its lock, since others may change it at the same time, and
// repairs what an interrupted run left.
type Run struct {
	Clients Clients
	Spec    Spec
	// Holder is what others learn of this run; see runlock.Acquire.
	Holder string
	// Lock tunes the lock; its zero value works.
	Lock runlock.Options
	// View, which may be nil, is the lock as it was read first, before anything else of the
	// stack.
	View *runlock.View
	// Recheck, which may be nil, is called under the lock where another run may have had it
	// since View was read. It fails where that run changed what this one was decided by, and
	// then nothing is changed.
	Recheck func(context.Context) error
	// Pace is graph.Options.Pace; 0 means 1.
	Pace float64
	// Allow, which may be nil, is called with what Up found, before anything is changed. If
	// it returns an error, the run ends. For a stack that does not exist it is called
	// before the resources are read.
	Allow func([]graph.Finding) error
	// Warn, which may be nil, is called with what the user of an Up should know before
	// anything is changed.
	Warn func(string)
	// Begin, which may be nil, is called with the parts once the lock is held.
	Begin func([]Resource)
	// Observe, which may be nil, is called with what happens.
	Observe func(graph.Event)
	// Unlocked, which may be nil, is called with the error if the lock could not be
	// released. The lock then expires.
	Unlocked func(error)
}

// Hold runs a function under the stack's lock.
func (r Run) Hold(ctx context.Context, do func(*runlock.Lock) error) error {
	r.Lock.Known = r.View
	lock, err := runlock.Acquire(ctx, r.lockStore(), r.Spec.Stack, r.Holder, r.Lock)
	if err != nil {
		return err
	}
	defer func() {
		// Also when the run was interrupted.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		// A lock that is not released blocks the next run for minutes.
		var err error
		for pause := 500 * time.Millisecond; pause <= 2*time.Second; pause *= 2 {
			if err = lock.Release(ctx); err == nil || errors.Is(err, runlock.ErrLost) || Expired(err) || graph.Sleep(ctx, pause) != nil {
				break
			}
		}
		if err != nil && !errors.Is(err, runlock.ErrLost) && r.Unlocked != nil {
			r.Unlocked(err)
		}
	}()
	if r.Recheck != nil && lock.Passed(r.View) {
		if err := r.Recheck(ctx); err != nil {
			return err
		}
	}
	return do(lock)
}

func (r Run) lockStore() runlock.Store {
	return parameterstore.New(r.Clients.SSM, r.Spec.Stack, r.Spec.Version).Tagged(tagsOfUser(r.Spec.Tags))
}

func (r Run) options(ctx context.Context, s *Stack, lock *runlock.Lock) graph.Options {
	o := s.Options()
	o.Guard, o.Observe, o.Pace, o.AfterCutOff = lock.Guard, r.Observe, r.Pace, lock.AfterDead()
	o.Allow = func(found []graph.Finding) error { return r.allowDatabase(ctx, found) }
	return o
}

// allowDatabase fails where the run would create a database that it must not; see
// Spec.NewDatabase.
func (r Run) allowDatabase(ctx context.Context, found []graph.Finding) error {
	phases := map[string]graph.Phase{}
	for _, f := range found {
		if f.Err == nil {
			phases[f.Name] = f.Phase
		}
	}
	database, wanted := phases[databasePart]
	gone := wanted && (database == graph.Absent || database == graph.Terminating)
	if r.Spec.NewDatabase || !gone {
		return nil
	}
	return noDatabase(ctx, r.Clients.RDS, r.Spec.Stack)
}

// Up creates what is missing of the stack and repairs drift. A run with nothing to do takes
// no lock and makes no changing call. After an interrupted run it reads everything once
// more at its end, because what that run created last may become visible only then. If
// Spec.Deployed says that the stack does not exist, it is read only under the lock: there
// is something to do anyway.
// The returned stack is as it was last read, even with an error.
func (r Run) Up(ctx context.Context) (*Stack, graph.Report, error) {
	r.Spec.alarmed = r.Spec.Deployed.alarmed()
	stack, err := NewStack(r.Clients, r.Spec)
	if err != nil {
		return nil, graph.Report{}, err
	}
	if d := r.Spec.Deployed; d != nil && !d.Found {
		return r.first(ctx, stack)
	}
	var (
		reads graph.Group
		view  = r.View
	)
	if !view.Recent() {
		reads.Go(func() (err error) {
			view, err = runlock.Look(ctx, r.lockStore(), r.Spec.Stack)
			return err
		})
	}
	found := graph.Observe(ctx, stack.Resources(), stack.Options())
	if err := reads.Wait(); err != nil {
		return stack, graph.Report{}, err
	}
	if err := r.allowDatabase(ctx, found); err != nil {
		return stack, graph.Report{}, err
	}
	if r.Allow != nil {
		if err := r.Allow(found); err != nil {
			return stack, graph.Report{}, err
		}
	}
	r.Spec.startEarly = stack.canStartEarly()
	if !view.Abandoned(r.Lock.Force) && upToDate(found, r.Spec.Stack) {
		report := graph.Report{}
		for _, f := range found {
			report.Steps = append(report.Steps, graph.Step{Name: f.Name, ID: f.ID, Action: graph.None})
		}
		return stack, report, nil
	}
	if raised := stack.alarmsRaisedBefore(found); raised != nil && r.Warn != nil {
		r.Warn(fmt.Sprintf("no alarm takes this release back, because ECS judges by alarms only a release that begins while none is raised: now in ALARM: %s", strings.Join(raised, ", ")))
	}
	var report graph.Report
	err = r.Hold(ctx, func(lock *runlock.Lock) error {
		// Another run may have worked until now: read again.
		r.Spec.Deployed = nil
		var err error
		stack, report, err = r.apply(ctx, lock, nil)
		return err
	})
	return stack, report, err
}

// first creates a stack that does not exist, or only in part.
func (r Run) first(ctx context.Context, stack *Stack) (*Stack, graph.Report, error) {
	r.Spec.startEarly = stack.canStartEarly()
	if r.Allow != nil {
		var nothing []graph.Finding
		for _, part := range stack.Resources() {
			name, _ := graph.Describe(part)
			nothing = append(nothing, graph.Finding{Name: name, State: absent})
		}
		if err := r.Allow(nothing); err != nil {
			return stack, graph.Report{}, err
		}
	}
	var report graph.Report
	err := r.Hold(ctx, func(lock *runlock.Lock) error {
		if !lock.Follows(r.View) { // another run may have been at work until now
			r.Spec.Deployed = nil
		}
		var err error
		stack, report, err = r.apply(ctx, lock, r.Allow)
		return err
	})
	return stack, report, err
}

// Change makes the stack what decide returns, under the lock, so that what decide read
// still holds. If it returns nil, nothing is changed and the stack is nil.
func (r Run) Change(ctx context.Context, decide func(context.Context, *runlock.Lock) (*Spec, error)) (*Stack, graph.Report, error) {
	var (
		stack  *Stack
		report graph.Report
	)
	err := r.Hold(ctx, func(lock *runlock.Lock) error {
		spec, err := decide(ctx, lock)
		if spec == nil || err != nil {
			return err
		}
		r.Spec = *spec
		stack, report, err = r.apply(ctx, lock, nil)
		return err
	})
	return stack, report, err
}

// apply creates what is missing of the stack and repairs drift, under the lock. Allow, which
// may be nil, is called with what was found.
func (r Run) apply(ctx context.Context, lock *runlock.Lock, allow func([]graph.Finding) error) (*Stack, graph.Report, error) {
	r.Spec.afterCutOff = lock.AfterDead()
	stack, err := NewStack(r.Clients, r.Spec)
	if err != nil {
		return nil, graph.Report{}, err
	}
	if r.Begin != nil {
		r.Begin(stack.Resources())
	}
	o := r.options(ctx, stack, lock)
	if refuse := o.Allow; allow != nil {
		o.Allow = func(found []graph.Finding) error {
			if err := refuse(found); err != nil {
				return err
			}
			return allow(found)
		}
	}
	report, err := graph.Up(ctx, stack.Resources(), o)
	if err != nil {
		if left := stack.abandonRelease(ctx); left != nil {
			err = errors.Join(err, left)
		}
		if lock.Guard(context.WithoutCancel(ctx)) == nil {
			if left := stack.abandonCheck(ctx); left != nil {
				err = errors.Join(err, left)
			}
		}
		return stack, report, err
	}
	if !lock.AfterDead() {
		return stack, report, nil
	}
	r.Spec.alarmed, r.Spec.Deployed = r.Spec.alarmed || r.Spec.Deployed.alarmed(), nil // which was read before
	again, err := NewStack(r.Clients, r.Spec)
	if err != nil {
		return stack, report, err
	}
	if upToDate(graph.Observe(ctx, again.Resources(), again.Options()), r.Spec.Stack) {
		return stack, report, nil
	}
	more, err := graph.Up(ctx, again.Resources(), r.options(ctx, again, lock))
	return again, report.Followed(more), err
}

// upToDate reports whether every resource exists, is managed by this stack, and has no
// drift.
func upToDate(found []graph.Finding, stack string) bool {
	for _, f := range found {
		done := f.Phase == graph.Ready && f.Owner == stack || f.Phase == graph.Absent && f.Unwanted
		if f.Err != nil || !done || len(f.Drift) > 0 {
			return false
		}
	}
	return true
}

// Removal is the result of a destroy.
type Removal struct {
	// Report is what the graph deleted, and Swept the orphans.
	Report graph.Report
	Swept  []inventory.Item
	// Left is what the services still list.
	Left []inventory.Item
	// Purged and Kept are the snapshots and backups that were deleted, and those that were
	// kept.
	Purged, Kept []Snapshot
	// Spared is what was kept because others need it, or may.
	Spared []string
}

// Removed is the number of deleted resources.
func (r Removal) Removed() int { return r.Report.Count(graph.Deleted) + len(r.Swept) }

// Destroy deletes the stack and, when purging, its snapshots and backups; then it takes no
// final one. After the resources of the graph, it deletes whatever else the services list
// for the stack, and retries while something holds that, until the timeout. After an
// interrupted run it repeats until a pass finds nothing, because what that run created last
// may become visible late.
// With an error, the returned removal is what was done so far.
func (r Run) Destroy(ctx context.Context, purging bool, timeout time.Duration) (Removal, error) {
	r.Spec.SkipFinalSnapshot, r.Spec.destroying = purging, true
	var done Removal
	err := r.Hold(ctx, func(lock *runlock.Lock) error {
		if !lock.Follows(r.View) { // another run may have been at work until now
			r.Spec.Deployed = nil
		}
		snapshots := &purger{client: r.Clients.RDS, stack: r.Spec.Stack, guard: lock.Guard}
		begin := r.Begin
		for round := 0; ; round++ {
			before := done.Removed()
			if err := r.destroyRound(ctx, lock, snapshots, timeout, begin, &done); err != nil {
				return err
			}
			r.Spec.Deployed, begin = nil, nil // they are of the first round alone
			if !lock.AfterDead() || round > 0 && done.Removed() == before {
				break
			}
		}
		if !slices.ContainsFunc(done.Left, func(l inventory.Item) bool { return !l.Kept }) {
			lock.Clear()
		}
		var err error
		done.Kept, err = r.readKept(ctx, done.Left, snapshots.resources)
		return err
	})
	return done, err
}

// destroyRound deletes what it finds of the stack, and adds that to what was done before. Begin,
// which may be nil, is called with the resources.
func (r Run) destroyRound(ctx context.Context, lock *runlock.Lock, snapshots *purger, timeout time.Duration, begin func([]Resource), done *Removal) error {
	purging := r.Spec.SkipFinalSnapshot
	deleteUntagged := func(ctx context.Context) error {
		purged, err := snapshots.deleteUntagged(ctx)
		done.Purged = append(done.Purged, purged...)
		return err
	}
	if purging {
		r.Spec.beforeDatabaseGoes = deleteUntagged
	}
	stack, err := NewStack(r.Clients, r.Spec)
	if err != nil {
		return err
	}
	if begin != nil {
		begin(stack.Resources())
	}
	if purging {
		going, err := snapshots.noteInstance(ctx, stack.database.rdsAccess)
		if err != nil {
			return err
		}
		if going { // nothing keeps it, and what is refused now is reported at the end
			if err := deleteUntagged(ctx); err != nil && !isRefused(err) {
				return err
			}
		}
	}
	report, err := graph.Destroy(ctx, stack.Resources(), r.options(ctx, stack, lock))
	done.Report = done.Report.Followed(report)
	done.Spared = append(done.Spared, stack.Spared()...)
	if err != nil {
		return err
	}
	swept, left, err := Sweep(ctx, r.Clients, r.Spec.Stack, timeout, lock.Guard)
	done.Swept, done.Left = append(done.Swept, swept...), left
	if err != nil || !purging {
		return err
	}
	purged, err := snapshots.deleteAll(ctx)
	done.Purged = append(done.Purged, purged...)
	return err
}

// readKept returns the snapshots and backups that a destroy kept. Left is what the services still
// list of the stack, and resources are its instances.
func (r Run) readKept(ctx context.Context, left []inventory.Item, resources []string) ([]Snapshot, error) {
	if slices.ContainsFunc(left, func(l inventory.Item) bool { return l.Service == "rds" }) {
		return Snapshots(ctx, r.Clients.RDS, r.Spec.Stack)
	}
	// The proof has shown that there is no instance any more.
	return snapshotsOfInstance(ctx, r.Clients.RDS, r.Spec.Stack, nil, backupsIfListed, resources...)
}
