package rds

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/localcloud/postgres"
)

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

// ensureRunning runs the instance's server if it does not run, on the port that its clients
// know, or on another one if that is taken by now.
func (s *Service) ensureRunning(ctx context.Context, resource string) (Server, error) {
	server, err := s.needs.Engine.Server(resource)
	if err != nil || server.Running() {
		return server, err
	}
	settings, err := s.serverSettings(s.instanceCopy(resource))
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
	s.updateInstance(resource, func(a tx, db *instance) { db.Port = port })
	return server, nil
}

// start brings a server back that was stopped, on purpose or with the cloud.
func (s *Service) start(ctx context.Context, resource string) {
	if _, err := s.ensureRunning(ctx, resource); err != nil {
		s.noteFailure(ctx, resource, dbFailed, "The DB instance could not be started", err)
		return
	}
	s.updateInstance(resource, func(a tx, db *instance) {
		if db.Status == dbStarting {
			a.event(types.SourceTypeDbInstance, db.ID, "notification", "DB instance started")
		}
		if db.Status != dbBackingUp {
			db.Status = dbAvailable
		}
	})
	s.takeSnapshotsAndServe(ctx, resource)
	if db := s.instanceCopy(resource); db.Pending.any() && (db.Pending.Now || db.Pending.Verifier != "") {
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
	s.updateInstance(resource, func(a tx, db *instance) {
		db.Status, db.Restarts = dbStopped, a.Now().Add(a.stoppedFor())
		a.event(types.SourceTypeDbInstance, db.ID, "notification", "DB instance stopped")
		a.scheduleRestart(db)
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

// scheduleRestart starts a stopped instance when its time is over, unless it was started or
// stopped again by then.
func (a tx) scheduleRestart(db *instance) {
	resource, at := db.Resource, db.Restarts
	a.Go(func(ctx context.Context) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(at)):
		}
		a.updateInstance(resource, func(a tx, db *instance) {
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
	latency := s.latency(s.Latencies().DBDelete)
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
