package rds

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/rds/types"
)

// modify makes the pending changes.
func (s *Service) modify(ctx context.Context, resource string) {
	if start := s.Latencies().DBModifyStart; start > 0 && !s.Pause(ctx, start) {
		return
	}
	latency := s.latency(s.Latencies().DBModify)
	var changes pendingChange
	s.updateInstance(resource, func(a tx, db *instance) {
		changes = db.Pending
		if !changes.Now {
			changes = pendingChange{Verifier: changes.Verifier}
		}
		db.Status = db.Pending.status()
	})
	if !changes.any() {
		s.updateInstance(resource, func(a tx, db *instance) { db.Status = dbAvailable })
		return
	}
	if changes.Version != "" {
		if err := s.upgrade(ctx, resource, changes); err != nil {
			s.noteFailure(ctx, resource, dbFailed, "The DB instance could not be upgraded", err)
			return
		}
	}
	if err := s.applyToServer(ctx, resource, changes); err != nil {
		s.noteFailure(ctx, resource, dbBadParameter, "The DB instance could not be modified", err)
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-latency:
	}
	s.updateInstance(resource, func(a tx, db *instance) { a.finishModification(db, changes) })
	s.takeSnapshotsAndServe(ctx, resource)
}

// applyToServer does what the server has to do with a modification: a new class is a
// new machine.
func (s *Service) applyToServer(ctx context.Context, resource string, changes pendingChange) error {
	if changes.Class != "" {
		if err := s.restart(ctx, resource); err != nil {
			return err
		}
	}
	server, err := s.ensureRunning(ctx, resource)
	if err != nil || changes.Verifier == "" {
		return err
	}
	return server.SetPassword(ctx, s.instanceCopy(resource).User, changes.Verifier)
}

func (a tx) finishModification(db *instance, changes pendingChange) {
	done := func(what string) {
		a.event(types.SourceTypeDbInstance, db.ID, "configuration change", "Finished applying modification to "+what)
	}
	left := db.Pending // with what was asked for in the meantime
	if changes.Version != "" {
		left.Version, left.Group = "", ""
	}
	if changes.Class != "" {
		db.Class = changes.Class
		left.Class = changed(left.Class, changes.Class)
		done("DB instance class")
	}
	if changes.Storage != 0 {
		db.Storage, db.Optimized = changes.Storage, a.Now().Add(a.Scaled(a.Latencies().DBOptimize))
		left.Storage = changed(left.Storage, changes.Storage)
		done("allocated storage")
	}
	if changes.StorageType != "" {
		db.StorageType = changes.StorageType
		left.StorageType = changed(left.StorageType, changes.StorageType)
		done("storage type")
	}
	if changes.IOPS != 0 {
		db.IOPS = changes.IOPS
		left.IOPS = changed(left.IOPS, changes.IOPS)
	}
	if changes.Throughput != 0 {
		db.Throughput = changes.Throughput
		left.Throughput = changed(left.Throughput, changes.Throughput)
	}
	db.withBaseline()
	if changes.MultiAZ != nil {
		db.MultiAZ, db.SecondZone, left.MultiAZ = *changes.MultiAZ, "", nil
		if db.MultiAZ {
			for _, zone := range a.classZones(db.Class) {
				if zone != db.Zone {
					db.SecondZone = zone
				}
			}
		}
		done("convert to a Multi-AZ DB instance")
	}
	if changes.Verifier != "" {
		left.Verifier = changed(left.Verifier, changes.Verifier)
		a.event(types.SourceTypeDbInstance, db.ID, "configuration change", "Reset master credentials")
	}
	db.Status = dbAvailable
	if changes.Backups != nil {
		before := db.Backups
		db.Backups, left.Backups = *changes.Backups, nil
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
	s.updateInstance(resource, func(a tx, db *instance) {
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
		settings, err := s.serverSettings(s.instanceCopy(resource))
		if err != nil {
			return err
		}
		if err := server.Restart(ctx, settings); err != nil {
			return err
		}
	} else if _, err := s.ensureRunning(ctx, resource); err != nil {
		return err
	}
	s.updateInstance(resource, func(a tx, db *instance) {
		a.event(types.SourceTypeDbInstance, db.ID, "availability", "DB instance restarted")
	})
	return nil
}

func (s *Service) reboot(ctx context.Context, resource string, failover bool) {
	if err := s.restart(ctx, resource); err != nil {
		s.noteFailure(ctx, resource, dbBadParameter, "The DB instance could not be rebooted", err)
		return
	}
	s.updateInstance(resource, func(a tx, db *instance) {
		db.Status = dbAvailable
		if failover {
			a.event(types.SourceTypeDbInstance, db.ID, "failover", "Multi-AZ instance failover completed")
		}
	})
}

// reload gives a running server the applied parameters without a restart.
func (a tx) reload(db *instance) {
	resource, s := db.Resource, a.Service
	a.Go(func(context.Context) {
		server, err := s.needs.Engine.Server(resource)
		if err != nil || !server.Running() {
			return // it starts with them
		}
		settings, err := s.serverSettings(s.instanceCopy(resource))
		if err == nil {
			err = server.Reload(settings)
		}
		if err != nil {
			s.Log().Error("a database could not take its parameters up", "database", resource, "error", err)
		}
	})
}
