package rds

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/rds/types"
)

// work is what is under way for an instance: a change of its state, and then
// the watch over its server until the next one. So there is one at a time that
// starts and stops a server.
type work struct {
	stop      context.CancelFunc // the change and the watch
	stopWatch context.CancelFunc // the watch
	done      chan struct{}
}

// beginWork lets change run after what is under way.
func (a tx) beginWork(resource string, change func(ctx context.Context, resource string)) {
	if a.running().work == nil {
		a.running().work = map[string]*work{}
	}
	before := a.running().work[resource]
	ctx, stop := context.WithCancel(a.Context())
	watching, stopWatch := context.WithCancel(ctx)
	w := &work{stop: stop, stopWatch: stopWatch, done: make(chan struct{})}
	a.running().work[resource] = w
	a.Go(func(context.Context) {
		defer close(w.done)
		defer stop()
		if before != nil {
			before.stopWatch()
			<-before.done
		}
		change(ctx, resource)
		a.watch(watching, resource)
	})
}

// endWork cuts off what is under way.
func (a tx) endWork(resource string) {
	if w := a.running().work[resource]; w != nil {
		w.stop()
	}
}

// restore brings back what a stopped cloud had running, and goes on
// with what it had begun.
func (s *Service) restore() {
	s.view(func(a tx) {
		for _, db := range a.state().Instances {
			change := a.start
			switch db.Status {
			case dbCreating:
				change = a.create
			case dbDeleting:
				change = a.remove
			case dbStopping:
				change = a.stop
			case dbStopped:
				a.scheduleRestart(db)
				continue
			case dbFailed, dbBadRestore:
				continue
			}
			a.beginWork(db.Resource, change)
		}
	})
}

// watch brings the server back when it dies by itself, as RDS recovers an
// instance, until the next work begins.
func (s *Service) watch(ctx context.Context, resource string) {
	for failures := 0; failures < 3; {
		db := s.instanceCopy(resource)
		if ctx.Err() != nil || !db.runs() {
			return
		}
		server, err := s.needs.Engine.Server(resource)
		if err != nil {
			return // its name is good, or it would not have come so far
		}
		if server.Running() {
			select {
			case <-ctx.Done():
				return
			case <-server.Done():
			}
			if ctx.Err() != nil {
				return
			}
		}
		s.Log().Warn("a database's server has died; bringing it back", "database", db.ID)
		s.updateInstance(resource, func(a tx, db *instance) {
			a.event(types.SourceTypeDbInstance, db.ID, "recovery", "Recovery of the DB instance has started. Recovery time will vary with the amount of data to be recovered.")
		})
		if _, err = s.ensureRunning(ctx, resource); err != nil {
			failures++
			if failures == 3 {
				s.noteFailure(ctx, resource, dbFailed, "The DB instance could not be recovered", err)
			}
			continue
		}
		failures = 0
		s.updateInstance(resource, func(a tx, db *instance) {
			a.event(types.SourceTypeDbInstance, db.ID, "recovery", "Recovery of the DB instance is complete.")
		})
	}
}

// latency is closed when a latency that began now is over.
func (s *Service) latency(d time.Duration) <-chan time.Time {
	return time.After(s.Scaled(d))
}

// updateInstance runs f on an instance that still exists in a transaction.
func (s *Service) updateInstance(resource string, f func(a tx, db *instance)) {
	s.update(func(a tx) {
		for _, db := range a.state().Instances {
			if db.Resource == resource {
				f(a, db)
			}
		}
	})
}

// instanceCopy is a copy of an instance.
func (s *Service) instanceCopy(resource string) (db instance) {
	s.view(func(a tx) {
		for _, x := range a.state().Instances {
			if x.Resource == resource {
				db = *x
			}
		}
	})
	return db
}

// noteFailure notes that a change went wrong, unless it was cut off.
func (s *Service) noteFailure(ctx context.Context, resource, status, what string, err error) {
	if ctx.Err() != nil {
		return
	}
	s.Log().Error(what, "database", resource, "error", err)
	s.updateInstance(resource, func(a tx, db *instance) {
		db.Status = status
		a.event(types.SourceTypeDbInstance, db.ID, "failure", eventText(what, err))
	})
}
