package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
)

// applySnapshotSettings applies the settings of a snapshot's database, and over them the given
// flags. The note describes that database, and what of it changes.
func (p *preparation) applySnapshotSettings(from provision.Snapshot) (note string) {
	had, unknown := from.Restored(p.want)
	p.want = had
	p.in.up.applyTo(&p.want)
	var kept, changed []string
	for _, row := range provision.Table() {
		if row.Restored == "" {
			continue
		}
		have, wanted := row.Value.Format(had), row.Value.Format(p.want)
		if _, onOff := row.Value.(provision.Switch); onOff {
			have, wanted = yes[have], yes[wanted]
		}
		if kept = append(kept, row.Restored+" "+have); have != wanted {
			changed = append(changed, fmt.Sprintf("%s %s, not %s", row.Restored, wanted, have))
		}
	}
	note = "it is made as it was then: " + strings.Join(kept, ", ")
	if changed != nil {
		note += "; but, as this command says: " + strings.Join(changed, ", ")
	}
	if unknown != nil {
		note += "; the snapshot does not have its " + strings.Join(unknown, ", ") + ": the defaults are used"
	}
	return note
}

// dataNote describes where the data of a new database comes from, or that --restore has no
// effect on one that was restored from the same snapshot, which is origin; otherwise it is empty.
func (p *preparation) dataNote(ctx context.Context, from *provision.Snapshot, origin string) (hint.Message, error) {
	switch {
	case p.spec.NoDatabase:
		return hint.Message{}, nil
	case p.have.HasData() && from != nil && origin != "":
		return hint.New("the database was restored from snapshot %s before, and keeps its present data: --restore does not change it; %s", origin, restoreIntoOtherStack(p.spec.Stack, *from)), nil
	case p.have.HasData():
		return hint.Message{}, nil
	case from != nil:
		return hint.New("the database starts with the data of snapshot %s (%s, %d GiB, made %s)", from.ID, from.What(), from.GiB, ago(from.Created)), nil
	}
	kept, err := p.have.Snapshots(ctx, p.target.clients.RDS, p.spec.Stack)
	if err != nil {
		return hint.Message{}, fmt.Errorf("look for snapshots of the stack: %w", err)
	}
	return emptyNote(kept), nil
}

// emptyNote describes what a new, empty database could have started with.
func emptyNote(kept []provision.Snapshot) hint.Message {
	from, backup := provision.Restorable(kept), provision.FromBackup(kept)
	var copied *provision.Snapshot                                                 // the newest
	kept = slices.DeleteFunc(slices.Clone(kept), func(s provision.Snapshot) bool { // another database's data
		if s.Kind != provision.CopiedSnapshot && s.Region == "" {
			return false
		}
		if s.Kind != provision.RetainedBackup { // which --restore does not take
			copied = &s
		}
		return true
	})
	switch {
	case from == "latest":
		newest := kept[0]
		for _, s := range kept {
			if s.Taken() {
				newest = s
			}
		}
		return hint.New("the database starts empty, and the stack has kept data (%d, the newest %s); %s in its place starts from that", len(kept), newest.ID, hint.Command("up", "--restore", from))
	case copied != nil && copied.Region != "":
		return hint.New("the database starts empty, and snapshot %s (%s) is of region %s; %s in its place starts from that", copied.ID, copied.Status, copied.Region, hint.Command("up", "--restore", copied.ID))
	case copied != nil: // by a restore that was cut off, or a database that is gone
		which := copied.ID
		if copied.Status != "available" && copied.Source != "" {
			which = copied.Source // whose restore waits for the copy, or makes it again
		}
		return hint.New("the database starts empty, and snapshot %s (%s) was copied for the stack; %s in its place starts from that", copied.ID, copied.Status, hint.Command("up", "--restore", which))
	case !backup.Empty():
		return hint.New("the database starts empty, and RDS retains a backup of the stack's former one, which --restore does not take: %s", backup)
	}
	return hint.Message{}
}
