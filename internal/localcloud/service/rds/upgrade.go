package rds

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/localcloud/postgres"
)

// report is the log of an upgrade that was refused.
type report struct {
	Name string    `json:"name"`
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

// upgradeLog is how the log is called in which RDS reports why it did not upgrade, with
// the time behind it:
// https://repost.aws/knowledge-center/rds-postgresql-version-upgrade-issues
const upgradeLog = "error/pg_upgrade_internal.log"

// upgrade moves the instance to another major version, while it is away. One that can't
// be serves the old version again, and its log and an event say why. The changes that were asked for with it are made all the same.
func (s *Service) upgrade(ctx context.Context, resource string, changes pendingChange) error {
	server, err := s.needs.Engine.Server(resource)
	if err != nil {
		return err
	}
	settings, err := s.serverSettings(s.instanceCopy(resource))
	if err != nil {
		return err
	}
	s.updateInstance(resource, func(a tx, db *instance) {
		a.event(types.SourceTypeDbInstance, db.ID, "maintenance", "Upgrading the database engine from version "+db.Version+" to "+changes.Version)
	})
	// One that was killed has to recover before pg_upgrade takes it.
	if _, err = s.ensureRunning(ctx, resource); err == nil {
		err = server.Stop(ctx)
	}
	if err == nil && s.Faults().UpgradesFail {
		err = &postgres.IncompatibleError{Report: "fatal : the faults say that the upgrade is refused"}
	}
	if err == nil {
		err = server.Upgrade(ctx, changes.Version, settings)
	}
	if ctx.Err() != nil {
		return ctx.Err() // it goes on with the next cloud
	}
	var incompatible *postgres.IncompatibleError
	refused := errors.As(err, &incompatible)
	if err != nil && !refused {
		return err
	}
	s.updateInstance(resource, func(a tx, db *instance) {
		if refused {
			now := a.Now()
			db.Reports = append(db.Reports, report{upgradeLog + "." + strconv.FormatInt(now.UnixMilli(), 10), now, incompatible.Report})
			db.Pending.Version, db.Pending.Group = "", ""
			a.event(types.SourceTypeDbInstance, db.ID, "notification", "Database instance is in a state that cannot be upgraded: "+fatal(incompatible.Report))
			a.exportUpgrade(db, incompatible.Report)
			return
		}
		done := "Finished upgrading the database engine from version " + db.Version + " to " + changes.Version
		a.event(types.SourceTypeDbInstance, db.ID, "maintenance", done)
		a.exportUpgrade(db, done)
		db.Version, db.ParameterGroup, db.PendingReboot = changes.Version, changes.Group, false
		db.Applied = nil
		if g, err := a.parameterGroup(&changes.Group); err == nil {
			db.Applied = g.Values
		}
	})
	_, err = s.ensureRunning(ctx, resource)
	return err
}

// exportUpgrade sends the log of an upgrade to CloudWatch, from an instance that exports it.
func (a tx) exportUpgrade(db *instance, text string) {
	if !slices.Contains(db.Logs, upgradeLogType) {
		return
	}
	group, stream := logGroupOf(db, upgradeLogType)
	if err := a.needs.Logs.Append(a.Tx, group, stream, a.Now().UnixMilli(), text); err != nil {
		a.Log().Error("the log of an upgrade was lost", "database", db.ID, "error", err)
	}
}

// fatal is the line of a report that says what failed.
func fatal(report string) string {
	for line := range strings.Lines(report) {
		if strings.Contains(line, "fatal") {
			return strings.Join(strings.Fields(line), " ")
		}
	}
	return "PreUpgrade checks failed"
}
