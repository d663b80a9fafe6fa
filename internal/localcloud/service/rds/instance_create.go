package rds

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/localcloud/postgres"
)

// create creates the server, and then the first backup.
func (s *Service) create(ctx context.Context, resource string) {
	latency := s.latency(s.Latencies().DBCreate)
	db := s.instanceCopy(resource)
	failed := dbFailed
	if db.Source != "" {
		failed = dbBadRestore
	}
	if err := s.createServer(ctx, db); err != nil {
		s.noteFailure(ctx, resource, failed, "The DB instance could not be created", err)
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-latency:
	}
	s.updateInstance(resource, func(a tx, db *instance) {
		db.Status, db.Created, db.Verifier, db.Source = dbAvailable, a.Now(), "", ""
		a.event(types.SourceTypeDbInstance, db.ID, "creation", "DB instance created")
		if db.Backups > 0 {
			a.newBackup(db)
		}
	})
	s.takeSnapshotsAndServe(ctx, resource)
}

func (s *Service) createServer(ctx context.Context, db instance) error {
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
	if server, err = s.ensureRunning(ctx, db.Resource); err != nil || db.Source != "" {
		return err // a restored one has its users
	}
	return server.EnsureMaster(ctx, postgres.Master{User: db.User, Password: db.Verifier, Database: db.DBName})
}

// takeSnapshotsAndServe takes the snapshots that are to be taken, while the instance serves, and
// makes it available.
func (s *Service) takeSnapshotsAndServe(ctx context.Context, resource string) {
	_ = s.takeSnapshots(ctx, resource) // a failed snapshot says so itself
	if ctx.Err() != nil {
		return
	}
	s.updateInstance(resource, func(a tx, db *instance) {
		if db.Status == dbBackingUp {
			db.Status = dbAvailable
		}
	})
}
