package provision

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// ExpectDeleted returns the usual time until it is gone, with its final snapshot.
func (d *Database) ExpectDeleted() time.Duration {
	if d.options.skipSnapshot {
		return 150 * time.Second
	}
	return 3 * time.Minute
}

// Delete deletes the instance after RDS has taken a final snapshot. The
// snapshot is named by the instance's immutable resource id and the time, so
// that the name can collide with no other, not even one of a namesake. The
// automated backups go with the instance, and with them every earlier state of the data:
// retained ones would be billed, and the snapshot has only what there is now. What AWS Backup
// holds of them stays: without that RDS does not delete the instance.
//
// The instance is read again unless this run has just done so. RDS itself refuses to delete
// one that somebody has protected since.
func (d *Database) Delete(ctx context.Context) error {
	db := d.recentInstance()
	if db == nil {
		var err error
		if db, err = d.instance(ctx); db == nil || err != nil {
			return err
		}
	}
	if err := d.removable(db, d.options.skipSnapshot); err != nil {
		return err
	}
	if d.options.beforeGoing != nil {
		if err := d.options.beforeGoing(ctx); err != nil {
			return fmt.Errorf("database %s was not touched: %w", *d.identifier(), err)
		}
	}
	in := &rds.DeleteDBInstanceInput{
		DBInstanceIdentifier: d.identifier(), SkipFinalSnapshot: aws.Bool(true),
		DeleteAutomatedBackups: aws.Bool(db.AwsBackupRecoveryPointArn == nil),
	}
	if !d.options.skipSnapshot {
		if !aws.ToBool(db.CopyTagsToSnapshot) {
			// A final snapshot takes no tags of its own, and one without the
			// stack's tags would be lost sight of.
			_, err := d.rds.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{
				DBInstanceIdentifier: d.identifier(), CopyTagsToSnapshot: aws.Bool(true),
			})
			if err != nil {
				return d.refusal(db, fmt.Sprintf("let snapshots of database %s carry its tags", *d.identifier()), err)
			}
		}
		// The call may be done and its answer lost: the name is noted before,
		// and kept when the call is sent again.
		if d.sent.final == "" {
			d.sent.final = d.names().FinalSnapshot(aws.ToString(db.DbiResourceId), d.now())
		}
		in.SkipFinalSnapshot, in.FinalDBSnapshotIdentifier = aws.Bool(false), aws.String(d.sent.final)
	}
	_, err := d.rds.DeleteDBInstance(ctx, in)
	if err != nil && !IsCode(err, "DBInstanceNotFound") {
		return d.refusal(db, "delete database "+*d.identifier(), err)
	}
	return nil
}

// ErrProtected is wrapped by the error of a destroy that deletion protection
// forbids.
var ErrProtected = errors.New("deletion protection is on")

// ErrWouldLoseData is wrapped by the error of a destroy that could take no
// final snapshot.
var ErrWouldLoseData = errors.New("no final snapshot can be taken")

func protected(what string) error {
	return hint.With(fmt.Errorf("%s: %w", what, ErrProtected), "%s turns it off; then run the same command again", hint.Command("up", "--protect=false"))
}

// removable returns the reason why the instance must not be deleted.
func (d rdsAccess) removable(db *types.DBInstance, skipSnapshot bool) error {
	name, status := aws.ToString(db.DBInstanceIdentifier), aws.ToString(db.DBInstanceStatus)
	if aws.ToBool(db.DeletionProtection) {
		return protected("database " + name)
	}
	if skipSnapshot {
		return nil
	}
	if status == dbStopped && !aws.ToBool(db.CopyTagsToSnapshot) {
		// Nothing of a stopped instance can be changed.
		return hint.Add(fmt.Errorf("database %s is stopped, and its snapshot would not carry the stack's tags: %w that would be found again", name, ErrWouldLoseData), d.remedy(db, ""))
	}
	neverRan := status == noCapacity && !hasRun(db)
	if snapshotless[status] || neverRan {
		next := hint.New("%s; or %s", d.remedy(db, ""), deletedWithAll())
		if lost[status] || neverRan {
			next = hint.New("%s; then %s deletes the rest of the stack; or %s", hint.Join("; ", unlocked(db), recovered(db), deletedAlone(db)), hint.Command("destroy"), deletedWithAll())
		}
		return hint.Add(fmt.Errorf("database %s is %q: %w in that state", name, status, ErrWouldLoseData), next)
	}
	return nil
}

// snapshotless are the statuses in which RDS takes no final snapshot: those that the
// guide names, and what stands on a key or a restore that is of no use. A stopped
// instance and one whose storage is full do leave one.
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DeleteDBInstance.html
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_DeleteInstance.html
var snapshotless = map[string]bool{
	"failed": true, "incompatible-restore": true, "incompatible-network": true, "restore-error": true, keyLost: true, keyDisabled: true,
}

// lost are the statuses of an instance that never serves again: its data is in snapshots and
// backups alone.
var lost = map[string]bool{"failed": true, "restore-error": true, "incompatible-restore": true, keyLost: true}

// recentInstance returns the instance where it was read before this run changed anything, a moment
// ago, and not since; otherwise nil.
func (d *Database) recentInstance() *types.DBInstance {
	recent, live := d.observed().instance.freshValue(), d.Last()
	if recent == nil || live == nil || live.instance != recent {
		return nil
	}
	return recent
}

// gone distinguishes Absent from "gone, and the final snapshot is still being written".
// As long as it is not complete, nothing else of the database is removed. Taking says
// that it is seen to be written.
func (d *Database) gone(ctx context.Context) (st graph.State, taking bool, err error) {
	name := d.sent.final
	if name == "" || d.sent.finished {
		return absent, false, nil
	}
	waiting := graph.State{Phase: graph.Terminating, ID: name, Owner: d.stack}
	out, err := d.rds.DescribeDBSnapshots(ctx, &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: &name})
	if IsCode(err, "DBSnapshotNotFound") || err == nil && len(out.DBSnapshots) == 0 {
		waiting.Note = "final snapshot " + name + " is not visible yet"
		return waiting, false, nil
	}
	if err != nil {
		return graph.State{}, false, fmt.Errorf("describe snapshot %s: %w", name, err)
	}
	switch s := out.DBSnapshots[0]; aws.ToString(s.Status) {
	case "available":
		d.sent.finished = true
		return absent, false, nil
	case "failed":
		return graph.State{}, false, hint.With(fmt.Errorf("final snapshot %s: %w: it failed; the database and what it needs are left as they are", name, ErrWouldLoseData),
			"%s shows why; %s deletes it with every snapshot and backup of the stack", hint.AWS("rds", "describe-events", "--source-type", "db-snapshot"), hint.Command("destroy", "--purge-snapshots"))
	default:
		waiting.Note = fmt.Sprintf("final snapshot %s: %s, %d%%", name, aws.ToString(s.Status), aws.ToInt32(s.PercentProgress))
		return waiting, true, nil
	}
}

// adoptFinal finds the final snapshot that an earlier run asked for.
func (d *Database) adoptFinal(ctx context.Context, resource string) error {
	all, err := Snapshots(ctx, d.rds, d.stack)
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.Kind == FinalSnapshot && s.Resource == resource && s.Status != "available" {
			d.sent.final = s.ID
		}
	}
	return nil
}

// portOfItsOwn reports whether a database answers at an address of its own. One on this
// machine is an emulator's, and has whichever port was free.
func portOfItsOwn(e *types.Endpoint) bool {
	if e == nil || aws.ToString(e.Address) == "" || aws.ToInt32(e.Port) == 0 {
		return false
	}
	address, err := netip.ParseAddr(*e.Address)
	return *e.Address != "localhost" && (err != nil || !address.IsLoopback())
}

// hasRun reports whether RDS ever had an instance: one that it could not create has no time of
// its creation.
func hasRun(db *types.DBInstance) bool {
	return db.InstanceCreateTime != nil || db.LatestRestorableTime != nil
}

// unlocked returns what comes before a restore of an instance whose key is lost; otherwise it is
// empty. Snapshots and backups have the same key.
// https://repost.aws/knowledge-center/rds-aurora-inaccessible-state
func unlocked(db *types.DBInstance) hint.Message {
	if aws.ToString(db.DBInstanceStatus) != keyLost {
		return hint.Message{}
	}
	return hint.New("enable its KMS key, without which no snapshot or backup of it can be restored")
}

// refusal is the error of a call that RDS refuses while the instance is to be removed. What it
// refuses because of a state that does not pass is not wrapped, or it would be taken for a
// temporary error.
func (d *Database) refusal(db *types.DBInstance, what string, err error) error {
	status := aws.ToString(db.DBInstanceStatus)
	if !IsCode(err, "InvalidDBInstanceState") || databasePhase(status) != graph.Unrecoverable {
		return d.persistent(&d.sent.refused, db, fmt.Errorf("%s: %w", what, err))
	}
	next := d.remedy(db, "")
	if status == noCapacity { // it has run: what never has is not removable
		next = hint.New("AWS has no such instance free now: run the same command again some hours later")
	}
	if !d.options.skipSnapshot && status != dbStopped {
		next = hint.New("%s; or %s", next, deletedWithAll())
	}
	return hint.Add(fmt.Errorf("%s, which is %s: %s", what, status, err.Error()), next)
}

// deletedWithAll returns how an instance that leaves no snapshot is deleted with all that is left
// of its data.
func deletedWithAll() hint.Message {
	return hint.New("%s deletes it with every snapshot and backup of the stack", hint.Command("destroy", "--purge-snapshots"))
}
