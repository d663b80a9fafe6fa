package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// purger deletes the snapshots and retained backups of a stack. It leaves those of a database
// of the same name (see Snapshots), and what stays (see Snapshot.OnlyAWSDeletes). What can't be
// deleted, such as a snapshot that is still being created, is an error, and the others are
// deleted all the same.
//
// A snapshot without the stack's tag, such as a copy made by hand, is the stack's only as
// long as something else of its instance is there: the instance, or a snapshot with the tag.
// So those without one are deleted before that, which stays as long as one of them can't be
// deleted.
type purger struct {
	client *rds.Client
	stack  string
	guard  func(context.Context) error // asked before each; may be nil
	// resources are the stack's instances, as far as they were seen, and live is the one
	// that is there.
	resources []string
	live      string
}

// noteInstance notes the stack's instance, and reports whether that is being deleted.
func (p *purger) noteInstance(ctx context.Context, d rdsAccess) (going bool, err error) {
	db, err := d.instance(graph.WhileObserving(ctx))
	if err != nil {
		return false, err
	}
	return p.noteIfOwn(db) && databasePhase(aws.ToString(db.DBInstanceStatus)) == graph.Terminating, nil
}

// noteIfOwn notes an instance, or that there is none, and reports whether it is the stack's.
func (p *purger) noteIfOwn(db *types.DBInstance) bool {
	p.live = ""
	if db == nil || fromRDSTags(db.TagList)[TagStack] != p.stack {
		return false
	}
	p.live = aws.ToString(db.DbiResourceId)
	p.resources = append(p.resources, p.live)
	return true
}

// refusedError is the error of snapshots that RDS does not delete.
type refusedError struct{ error }

func (e refusedError) Unwrap() error { return e.error }

func isRefused(err error) bool {
	_, refused := errors.AsType[refusedError](err)
	return refused
}

// deleteUntagged deletes the snapshots of the instance that is there without the stack's tag, and
// returns what it deleted. What RDS refuses is a refusedError.
func (p *purger) deleteUntagged(ctx context.Context) ([]Snapshot, error) {
	found, err := p.list(ctx)
	if err != nil {
		return nil, err
	}
	removed, refused, err := p.delete(ctx, slices.DeleteFunc(found, func(s Snapshot) bool { return s.tagged || s.Resource != p.live }))
	if err == nil && refused != nil {
		err = refusedError{errors.Join(refused...)}
	}
	return removed, err
}

// deleteAll deletes all of them, those without the tag first, and returns what it deleted.
func (p *purger) deleteAll(ctx context.Context) ([]Snapshot, error) {
	found, err := p.list(ctx)
	if err != nil {
		return nil, err
	}
	isTagged := func(s Snapshot) bool { return s.tagged }
	tagged := slices.DeleteFunc(slices.Clone(found), func(s Snapshot) bool { return !s.tagged })
	removed, refused, err := p.delete(ctx, append(slices.DeleteFunc(found, isTagged), tagged...))
	return removed, errors.Join(append(refused, err)...)
}

// list lists what there is, and notes the instances that it is of.
func (p *purger) list(ctx context.Context) ([]Snapshot, error) {
	db, err := (rdsAccess{identity: identity{stack: p.stack}, rds: p.client}).instance(ctx)
	if err != nil {
		return nil, err
	}
	found, err := snapshotsOfInstance(ctx, p.client, p.stack, db, withBackups, p.resources...)
	if err != nil {
		return nil, err
	}
	p.noteIfOwn(db)
	for _, s := range found {
		if s.tagged && s.Kind != CopiedSnapshot && s.Region == "" {
			p.resources = append(p.resources, s.Resource)
		}
	}
	return found, nil
}

// delete deletes snapshots, and returns what it deleted, what RDS refused, and what ended it.
func (p *purger) delete(ctx context.Context, found []Snapshot) (removed []Snapshot, refused []error, err error) {
	waits := map[string]string{} // by instance, a snapshot without a tag that is deleted later
	for _, s := range found {
		switch first := waits[s.Resource]; {
		case !s.purgeable():
			continue
		case s.tagged && first != "" && s.Resource != p.live:
			refused = append(refused, fmt.Errorf("%s %s stays until %s is deleted, as it shows whose that is", s.What(), s.ID, first))
			continue
		}
		if p.guard != nil {
			if err := p.guard(ctx); err != nil {
				return removed, refused, err
			}
		}
		if s.Kind == RetainedBackup {
			_, err = p.client.DeleteDBInstanceAutomatedBackup(ctx, &rds.DeleteDBInstanceAutomatedBackupInput{DbiResourceId: &s.Resource})
		} else {
			_, err = p.client.DeleteDBSnapshot(ctx, &rds.DeleteDBSnapshotInput{DBSnapshotIdentifier: &s.ID})
		}
		if err == nil || IsCode(err, "DBSnapshotNotFound", "DBInstanceAutomatedBackupNotFound") {
			removed = append(removed, s)
			continue
		}
		failed := fmt.Errorf("delete %s %s: %w", s.What(), s.ID, err)
		if Expired(err) || ctx.Err() != nil {
			return removed, refused, failed
		}
		if !s.tagged {
			waits[s.Resource] = s.ID
		}
		refused = append(refused, hint.Add(failed, s.undeleted(err)))
	}
	return removed, refused, nil
}

// undeleted is the next step where RDS refused to delete the snapshot.
func (s Snapshot) undeleted(err error) hint.Message {
	byHand := hint.AWS("rds", "delete-db-snapshot", "--db-snapshot-identifier", s.ID)
	if s.Kind == RetainedBackup {
		byHand = hint.AWS("rds", "delete-db-instance-automated-backup", "--dbi-resource-id", s.Resource)
	}
	_, denied := Denied(err)
	switch {
	case IsCode(err, "InvalidDBSnapshotState") && !s.tagged:
		return hint.New("run the same command again when %s shows it as available, or delete it then with %s", hint.Command("db", "snapshots"), byHand)
	case IsCode(err, "InvalidDBSnapshotState"):
		return hint.New("run the same command again when %s shows it as available", hint.Command("db", "snapshots"))
	case IsCode(err, "InvalidDBInstanceAutomatedBackupState"):
		return hint.New("see with %s what still uses it, and run the same command again when that is done", hint.AWS("rds", "describe-db-instance-automated-backups", "--dbi-resource-id", s.Resource))
	case denied && !s.tagged: // its name does not prove whose it is, and the policy allows nothing else
		return hint.New("%s has no tag of the stack, and what %s prints does not allow to delete it: %s does, for those who may; then run the same command again", s.ID, hint.Command("policy"), byHand)
	}
	return hint.Message{}
}
