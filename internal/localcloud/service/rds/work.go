package rds

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/localcloud/postgres"
)

// work is what is under way for an instance: a change of its state, and then
// the watch over its server until the next one. So there is one at a time that
// starts and stops a server.
type work struct {
	stop context.CancelFunc // the change and the watch
	rest context.CancelFunc // the watch
	done chan struct{}
}

// beginWork lets change run after what is under way.
func (a tx) beginWork(resource string, change func(ctx context.Context, resource string)) {
	if a.running().work == nil {
		a.running().work = map[string]*work{}
	}
	before := a.running().work[resource]
	ctx, stop := context.WithCancel(a.Context())
	watching, rest := context.WithCancel(ctx)
	w := &work{stop: stop, rest: rest, done: make(chan struct{})}
	a.running().work[resource] = w
	a.Go(func(context.Context) {
		defer close(w.done)
		defer stop()
		if before != nil {
			before.rest()
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
				a.startLater(db)
				continue
			case dbFailed, dbBadRestore:
				continue
			}
			a.beginWork(db.Resource, change)
		}
	})
}

// after is closed when a latency that began now is over.
func (s *Service) after(d time.Duration) <-chan time.Time {
	return time.After(s.Scaled(d))
}

// edit runs f on an instance that still exists in a transaction.
func (s *Service) edit(resource string, f func(a tx, db *instance)) {
	s.update(func(a tx) {
		for _, db := range a.state().Instances {
			if db.Resource == resource {
				f(a, db)
			}
		}
	})
}

// look is a copy of an instance.
func (s *Service) look(resource string) (db instance) {
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
	s.edit(resource, func(a tx, db *instance) {
		db.Status = status
		a.event(types.SourceTypeDbInstance, db.ID, "failure", eventText(what, err))
	})
}

// serverSettings are what the instance's server runs with.
func (s *Service) serverSettings(db instance) (postgres.Settings, error) {
	cert, err := s.needs.Authority.Issue("localhost", "127.0.0.1", db.listens())
	if err != nil {
		return postgres.Settings{}, err
	}
	values := maps.Clone(db.Applied)
	force, set := values[forceTLS]
	if !set {
		force = forceTLSByDefault(db.Version)
	}
	// RDS's own parameters and its formulas are not PostgreSQL's.
	maps.DeleteFunc(values, func(name, value string) bool { return strings.HasPrefix(name, "rds.") || strings.Contains(value, "{") })
	return postgres.Settings{
		Host: db.listens(), Port: db.Port, Cert: cert.Cert, Key: cert.Key, Parameters: values,
		ForceTLS: slices.Contains([]string{"1", "on", "true"}, force),
	}, nil
}

// up runs the instance's server if it does not run, on the port that its clients
// know, or on another one if that is taken by now.
func (s *Service) up(ctx context.Context, resource string) (Server, error) {
	server, err := s.needs.Engine.Server(resource)
	if err != nil || server.Running() {
		return server, err
	}
	settings, err := s.serverSettings(s.look(resource))
	if err != nil {
		return nil, err
	}
	port, err := server.Start(ctx, settings)
	if err != nil && settings.Port != 0 && ctx.Err() == nil {
		settings.Port = 0
		var other error
		if port, other = server.Start(ctx, settings); other == nil {
			err = nil
		}
	}
	if err != nil {
		return nil, err
	}
	s.edit(resource, func(a tx, db *instance) { db.Port = port })
	return server, nil
}

// create creates the server, and then the first backup.
func (s *Service) create(ctx context.Context, resource string) {
	latency := s.after(s.Latencies().DBCreate)
	db := s.look(resource)
	failed := dbFailed
	if db.Source != "" {
		failed = dbBadRestore
	}
	if err := s.make(ctx, db); err != nil {
		s.noteFailure(ctx, resource, failed, "The DB instance could not be created", err)
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-latency:
	}
	s.edit(resource, func(a tx, db *instance) {
		db.Status, db.Created, db.Verifier, db.Source = dbAvailable, a.Now(), "", ""
		a.event(types.SourceTypeDbInstance, db.ID, "creation", "DB instance created")
		if db.Backups > 0 {
			a.newBackup(db)
		}
	})
	s.back(ctx, resource)
}

func (s *Service) make(ctx context.Context, db instance) error {
	server, err := s.needs.Engine.Server(db.Resource)
	if err != nil {
		return err
	}
	if !server.Exists() {
		switch {
		case db.Source != "" && s.Faults().RestoresFail:
			err = errors.New("the faults say that it fails")
		case db.Source != "":
			err = server.Restore(ctx, db.Source)
		default:
			err = server.Create(ctx, db.Version)
		}
		if err != nil {
			return err
		}
	}
	if server, err = s.up(ctx, db.Resource); err != nil || db.Source != "" {
		return err // a restored one has its users
	}
	return server.EnsureMaster(ctx, postgres.Master{User: db.User, Password: db.Verifier, Database: db.DBName})
}

// back takes the snapshots that are to be taken, while the instance serves, and
// makes it available.
func (s *Service) back(ctx context.Context, resource string) {
	_ = s.takeSnapshots(ctx, resource) // a failed snapshot says so itself
	if ctx.Err() != nil {
		return
	}
	s.edit(resource, func(a tx, db *instance) {
		if db.Status == dbBackingUp {
			db.Status = dbAvailable
		}
	})
}

// modify makes the pending changes.
func (s *Service) modify(ctx context.Context, resource string) {
	if start := s.Latencies().DBModifyStart; start > 0 && !s.Pause(ctx, start) {
		return
	}
	latency := s.after(s.Latencies().DBModify)
	var todo pendingChange
	s.edit(resource, func(a tx, db *instance) {
		todo = db.Pending
		if !todo.Now {
			todo = pendingChange{Verifier: todo.Verifier}
		}
		db.Status = db.Pending.status()
	})
	if !todo.any() {
		s.edit(resource, func(a tx, db *instance) { db.Status = dbAvailable })
		return
	}
	if todo.Version != "" {
		if err := s.upgrade(ctx, resource, todo); err != nil {
			s.noteFailure(ctx, resource, dbFailed, "The DB instance could not be upgraded", err)
			return
		}
	}
	if err := s.change(ctx, resource, todo); err != nil {
		s.noteFailure(ctx, resource, dbBadParameter, "The DB instance could not be modified", err)
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-latency:
	}
	s.edit(resource, func(a tx, db *instance) { a.modified(db, todo) })
	s.back(ctx, resource)
}

// change does what the server has to do with a modification: a new class is a
// new machine.
func (s *Service) change(ctx context.Context, resource string, todo pendingChange) error {
	if todo.Class != "" {
		if err := s.restart(ctx, resource); err != nil {
			return err
		}
	}
	server, err := s.up(ctx, resource)
	if err != nil || todo.Verifier == "" {
		return err
	}
	return server.SetPassword(ctx, s.look(resource).User, todo.Verifier)
}

func (a tx) modified(db *instance, todo pendingChange) {
	done := func(what string) {
		a.event(types.SourceTypeDbInstance, db.ID, "configuration change", "Finished applying modification to "+what)
	}
	left := db.Pending // with what was asked for in the meantime
	if todo.Version != "" {
		left.Version, left.Group = "", ""
	}
	if todo.Class != "" {
		db.Class = todo.Class
		left.Class = changed(left.Class, todo.Class)
		done("DB instance class")
	}
	if todo.Storage != 0 {
		db.Storage, db.Optimized = todo.Storage, a.Now().Add(a.Scaled(a.Latencies().DBOptimize))
		left.Storage = changed(left.Storage, todo.Storage)
		done("allocated storage")
	}
	if todo.StorageType != "" {
		db.StorageType = todo.StorageType
		left.StorageType = changed(left.StorageType, todo.StorageType)
		done("storage type")
	}
	if todo.IOPS != 0 {
		db.IOPS = todo.IOPS
		left.IOPS = changed(left.IOPS, todo.IOPS)
	}
	if todo.Throughput != 0 {
		db.Throughput = todo.Throughput
		left.Throughput = changed(left.Throughput, todo.Throughput)
	}
	db.withBaseline()
	if todo.MultiAZ != nil {
		db.MultiAZ, db.SecondZone, left.MultiAZ = *todo.MultiAZ, "", nil
		if db.MultiAZ {
			for _, zone := range a.classZones(db.Class) {
				if zone != db.Zone {
					db.SecondZone = zone
				}
			}
		}
		done("convert to a Multi-AZ DB instance")
	}
	if todo.Verifier != "" {
		left.Verifier = changed(left.Verifier, todo.Verifier)
		a.event(types.SourceTypeDbInstance, db.ID, "configuration change", "Reset master credentials")
	}
	db.Status = dbAvailable
	if todo.Backups != nil {
		before := db.Backups
		db.Backups, left.Backups = *todo.Backups, nil
		switch {
		case db.Backups == 0:
			a.dropBackups(db.Resource)
		case before == 0:
			a.newBackup(db)
		}
	}
	if !left.any() {
		left.Now = false
	}
	db.Pending = left
}

// restart gives the server its group's parameters.
func (s *Service) restart(ctx context.Context, resource string) error {
	s.edit(resource, func(a tx, db *instance) {
		if g, err := a.parameterGroup(&db.ParameterGroup); err == nil {
			db.Applied = g.Values
		}
		db.PendingReboot = false
		a.event(types.SourceTypeDbInstance, db.ID, "availability", "DB instance shutdown")
	})
	server, err := s.needs.Engine.Server(resource)
	if err != nil {
		return err
	}
	if server.Running() {
		settings, err := s.serverSettings(s.look(resource))
		if err != nil {
			return err
		}
		if err := server.Restart(ctx, settings); err != nil {
			return err
		}
	} else if _, err := s.up(ctx, resource); err != nil {
		return err
	}
	s.edit(resource, func(a tx, db *instance) {
		a.event(types.SourceTypeDbInstance, db.ID, "availability", "DB instance restarted")
	})
	return nil
}

func (s *Service) reboot(ctx context.Context, resource string, failover bool) {
	if err := s.restart(ctx, resource); err != nil {
		s.noteFailure(ctx, resource, dbBadParameter, "The DB instance could not be rebooted", err)
		return
	}
	s.edit(resource, func(a tx, db *instance) {
		db.Status = dbAvailable
		if failover {
			a.event(types.SourceTypeDbInstance, db.ID, "failover", "Multi-AZ instance failover completed")
		}
	})
}

// start brings a server back that was stopped, on purpose or with the cloud.
func (s *Service) start(ctx context.Context, resource string) {
	if _, err := s.up(ctx, resource); err != nil {
		s.noteFailure(ctx, resource, dbFailed, "The DB instance could not be started", err)
		return
	}
	s.edit(resource, func(a tx, db *instance) {
		if db.Status == dbStarting {
			a.event(types.SourceTypeDbInstance, db.ID, "notification", "DB instance started")
		}
		if db.Status != dbBackingUp {
			db.Status = dbAvailable
		}
	})
	s.back(ctx, resource)
	if db := s.look(resource); db.Pending.any() && (db.Pending.Now || db.Pending.Verifier != "") {
		s.modify(ctx, resource)
	}
}

func (s *Service) stop(ctx context.Context, resource string) {
	server, err := s.needs.Engine.Server(resource)
	if err == nil {
		err = server.Stop(ctx)
	}
	if err != nil {
		s.noteFailure(ctx, resource, dbFailed, "The DB instance could not be stopped", err)
		return
	}
	s.edit(resource, func(a tx, db *instance) {
		db.Status, db.Restarts = dbStopped, a.Now().Add(a.stoppedFor())
		a.event(types.SourceTypeDbInstance, db.ID, "notification", "DB instance stopped")
		a.startLater(db)
	})
}

// longestStop is how long RDS leaves an instance stopped:
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_StopInstance.html
const longestStop = 7 * 24 * time.Hour

// stoppedFor is how long an instance that is stopped now stays so.
func (s *Service) stoppedFor() time.Duration {
	if f := s.Faults().StoppedSeconds; f > 0 {
		return time.Duration(f * float64(time.Second))
	}
	return longestStop
}

// startLater starts a stopped instance when its time is over, unless it was started or
// stopped again by then.
func (a tx) startLater(db *instance) {
	resource, at := db.Resource, db.Restarts
	a.Go(func(ctx context.Context) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(at)):
		}
		a.edit(resource, func(a tx, db *instance) {
			if db.Status != dbStopped || !db.Restarts.Equal(at) {
				return
			}
			a.event(types.SourceTypeDbInstance, db.ID, "notification", "DB instance is being started due to it exceeding the maximum allowed time being stopped.")
			db.Status = dbStarting
			a.beginWork(resource, a.start)
		})
	})
}

// remove deletes the instance once its final snapshot, if there is to be one,
// is complete. Without it nothing is deleted.
func (s *Service) remove(ctx context.Context, resource string) {
	latency := s.after(s.Latencies().DBDelete)
	server, err := s.needs.Engine.Server(resource)
	if err == nil {
		err = s.takeSnapshots(ctx, resource)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		s.noteFailure(ctx, resource, dbFailed, "The DB instance was not deleted because its snapshot failed", err)
		return
	}
	if err := server.Delete(ctx); err != nil {
		s.noteFailure(ctx, resource, dbFailed, "The DB instance could not be deleted", err)
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-latency:
	}
	s.update(func(a tx) {
		st := a.state()
		at := slices.IndexFunc(st.Instances, func(db *instance) bool { return db.Resource == resource })
		if at < 0 {
			return
		}
		db := st.Instances[at]
		st.Instances = slices.Delete(st.Instances, at, at+1)
		a.needs.Network.Release(a.Tx, db.Interface)
		if db.KeepBackups && db.Backups > 0 {
			st.Retained = append(st.Retained, db)
		} else {
			a.dropBackups(resource)
		}
		a.event(types.SourceTypeDbInstance, db.ID, "deletion", "DB instance deleted")
	})
}

// watch brings the server back when it dies by itself, as RDS recovers an
// instance, until the next work begins.
func (s *Service) watch(ctx context.Context, resource string) {
	for failures := 0; failures < 3; {
		db := s.look(resource)
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
		s.edit(resource, func(a tx, db *instance) {
			a.event(types.SourceTypeDbInstance, db.ID, "recovery", "Recovery of the DB instance has started. Recovery time will vary with the amount of data to be recovered.")
		})
		if _, err = s.up(ctx, resource); err != nil {
			failures++
			if failures == 3 {
				s.noteFailure(ctx, resource, dbFailed, "The DB instance could not be recovered", err)
			}
			continue
		}
		failures = 0
		s.edit(resource, func(a tx, db *instance) {
			a.event(types.SourceTypeDbInstance, db.ID, "recovery", "Recovery of the DB instance is complete.")
		})
	}
}

// reload gives a running server the applied parameters without a restart.
func (a tx) reload(db *instance) {
	resource, s := db.Resource, a.Service
	a.Go(func(context.Context) {
		server, err := s.needs.Engine.Server(resource)
		if err != nil || !server.Running() {
			return // it starts with them
		}
		settings, err := s.serverSettings(s.look(resource))
		if err == nil {
			err = server.Reload(settings)
		}
		if err != nil {
			s.Log().Error("a database could not take its parameters up", "database", resource, "error", err)
		}
	})
}

// takeSnapshots takes the instance's snapshots that are being created, one
// after the other.
func (s *Service) takeSnapshots(ctx context.Context, resource string) error {
	var todo []snapshot
	s.view(func(a tx) {
		for _, x := range a.state().Snapshots {
			if x.Instance.Resource == resource && x.Status == dbCreating {
				todo = append(todo, *x)
			}
		}
	})
	var errs []error
	for _, x := range todo {
		d := s.Latencies().DBSnapshot
		if x.Type == snapshotAutomated {
			d = s.Latencies().DBBackup
		}
		latency := s.after(d)
		var err error
		if !s.needs.Engine.HasSnapshot(x.Key) { // it may be there from before a restart
			// A server that was killed with the cloud first recovers.
			var server Server
			if server, err = s.up(ctx, resource); err == nil {
				err = server.Snapshot(ctx, x.Key)
			}
		}
		if err == nil {
			select {
			case <-ctx.Done():
				err = ctx.Err()
			case <-latency:
			}
		}
		if err == nil && s.Faults().SnapshotsFail {
			err = errors.New("the faults say that it fails")
		}
		if ctx.Err() != nil {
			return ctx.Err() // it stays to be taken
		}
		if err != nil {
			s.Log().Error("a snapshot failed", "snapshot", x.ID, "error", err)
			errs = append(errs, err)
		}
		s.update(func(a tx) { a.taken(x.Key, err) })
	}
	return errors.Join(errs...)
}

// taken notes how a snapshot ended.
func (a tx) taken(key string, err error) {
	for _, s := range a.state().Snapshots {
		if s.Key != key {
			continue
		}
		if err != nil {
			s.Status = dbFailed
			a.event(types.SourceTypeDbSnapshot, s.ID, "failure", eventText("The snapshot failed", err))
			continue
		}
		s.Status, s.Created = dbAvailable, a.Now()
		message := "Manual snapshot created"
		if s.Type == snapshotAutomated {
			message = "Automated snapshot created"
			a.event(types.SourceTypeDbInstance, s.Instance.ID, "backup", "Finished DB Instance backup")
		}
		a.event(types.SourceTypeDbSnapshot, s.ID, "creation", message)
	}
}
