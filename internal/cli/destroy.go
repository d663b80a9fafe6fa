package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/pricing"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

func newDestroy(s streams, g *globals) *cobra.Command {
	var purge bool
	cmd := &cobra.Command{
		Use:   "destroy",
		Short: "Delete the stack, keeping a final snapshot of the data",
		Long: `Delete everything that belongs to the stack, in dependency order, and then check
every service for orphans. A final snapshot of the data as it is now is taken first
and kept. The automated snapshots of the database are deleted, and no earlier state
of the data can be restored any more: to get one back, restore it into a stack of
another name before ('bookctl up --stack NAME --restore ID').

With --purge-snapshots no final snapshot is taken, and every snapshot and backup of
the stack is deleted as well: the data is lost. Only what AWS Backup holds stays,
because only AWS Backup can delete it, and what was copied from another region,
because it may be another stack's, and backups that RDS has replicated to another
region, which are deleted there.`,
		Example: `  bookctl destroy
  bookctl destroy --stack staging --purge-snapshots --yes`,
		Args: cobra.NoArgs,
		RunE: within(g, func(ctx context.Context, _ []string) error { return destroy(ctx, s, g, purge) }),
	}
	cmd.Flags().BoolVar(&purge, "purge-snapshots", false, "delete all snapshots and backups too: the data is lost")
	return cmd
}

func destroy(ctx context.Context, s streams, g *globals, purge bool) error {
	begun := time.Now()
	rep := newReporter(ctx, s, g)
	defer rep.close()
	t, err := connect(ctx, s, g)
	if err != nil {
		return err
	}
	t.lookAtLock(ctx, g)
	if err := t.refuseLocked(); err != nil {
		return err
	}
	found, err := checkDestroy(ctx, t, g, purge, nil)
	if err != nil {
		return err
	}
	have, snapshots, replicated := found.have, found.snapshots, found.replicated
	if err := confirm(ctx, s, g, found.question(g, t, purge), "the stack's name", g.stack); err != nil {
		return err
	}
	if !t.lock.Recent() { // a person has taken their time, and others may have changed the stack, also by hand
		t.lock = nil
	}
	rep.note("destroying stack %s in %s", g.stack, t.place)
	run := changing(s, t, withAnyZones(deployedSpec(g, &have)), "destroy")
	run.Recheck = func(ctx context.Context) error {
		_, err := checkDestroy(ctx, t, g, purge, &found)
		return err
	}
	run.Begin, run.Observe = rep.begin, rep.event
	end := destroyResult{place: t.place, free: t.local, before: snapshots, replicated: replicated}
	end.Removal, err = run.Destroy(ctx, purge, sweepTimeout)
	for _, step := range end.Report.Steps {
		if step.Action == graph.Unmanaged {
			rep.note("%s is not this stack's and was left alone", step.Name)
		}
	}
	for _, what := range end.Spared {
		rep.note("%s", what)
	}
	end.took = time.Since(begun)
	if end.Removed()+len(end.Purged) == 0 && allDenied(err) {
		return fmt.Errorf("%w: %w", errNothingDeleted, err)
	}
	if onlyTimedOut(err) {
		return errors.Join(err, end.unfinished(ctx, s, g, t))
	}
	if err != nil {
		if len(end.Purged) > 0 {
			rep.note("Deleted snapshots and backups:\n%s", snapshotLines(end.Purged))
		}
		if len(replicated) > 0 { // the next run no longer finds them where the database is gone
			rep.note("%s", end.elsewhere(g))
		}
		return err
	}
	rep.close()
	end.region, end.took = t.region, time.Since(begun)
	end.Purged = append(end.Purged, deletedWithDatabase(snapshots, end.Purged, end.Kept)...)
	if end.Removed() == 0 && len(end.Left)+len(end.Purged) == 0 {
		end.nothing = noteAbsence(ctx, t, g)
	}
	return end.print(s, g)
}

// destroyFacts is what a destroy is decided by.
type destroyFacts struct {
	have             provision.Deployed
	snapshots        []provision.Snapshot
	automatedBackups provision.AutomatedBackups
	replicated       []provision.ReplicatedBackup
}

// checkDestroy reads the stack, and fails if it must not be destroyed. Confirmed is
// what the user has confirmed, or nil before that: it fails too if something else is there now.
func checkDestroy(ctx context.Context, t *target, g *globals, purge bool, confirmed *destroyFacts) (now destroyFacts, err error) {
	if now.have, err = t.deployed(ctx, g); err != nil {
		return now, nothingTouched(g.stack, err)
	}
	if confirmed != nil && now.have.Found { // else another destroy has done it
		if changed := now.have.Since(confirmed.have); changed != nil {
			return now, changedMeanwhile(g.stack, changed)
		}
	}
	if now.have.Found && now.have.Protect {
		return now, hint.With(fmt.Errorf("stack %s is protected against deletion", g.stack), "%s turns the protection off", hint.Command("up", "--protect=false"))
	}
	if err := provision.CheckDestroy(ctx, t.clients, g.stack, now.have, purge); err != nil {
		return now, nothingTouched(g.stack, err)
	}
	if err := provision.CheckHolders(ctx, t.clients, g.stack, now.have); err != nil {
		return now, nothingTouched(g.stack, err)
	}
	// The reads that otherwise only the check at the end makes are made now: a missing
	// permission would show only when everything else is deleted.
	if err := provision.CheckInventoryReads(ctx, t.clients, g.stack, now.have); err != nil {
		return now, nothingTouched(g.stack, fmt.Errorf("what is left of it could not be listed: %w", err))
	}
	if now.snapshots, err = now.have.Snapshots(ctx, t.clients.RDS, g.stack); err != nil {
		return now, nothingTouched(g.stack, err)
	}
	if now.replicated, err = now.have.ReplicatedBackups(ctx, t.clients.RDS, g.stack); err != nil {
		return now, nothingTouched(g.stack, err)
	}
	if now.automatedBackups, err = now.have.AutomatedBackups(ctx, t.clients.RDS, g.stack, now.snapshots); err != nil {
		return now, nothingTouched(g.stack, err)
	}
	if confirmed == nil || !purge {
		return now, nil
	}
	var more []string
	for _, x := range now.snapshots {
		if deletable(x) && !byRDS(x, confirmed.have) && !slices.ContainsFunc(confirmed.snapshots, func(y provision.Snapshot) bool { return x.ID == y.ID }) {
			more = append(more, "snapshot "+x.ID+" was taken")
		}
	}
	if more != nil {
		return now, changedMeanwhile(g.stack, more)
	}
	return now, nil
}

// errNothingDeleted is the error of a destroy whose first deletions were all denied.
var errNothingDeleted = errors.New("nothing was deleted")

// nothingTouched adds to an error from before the first deletion that nothing was touched.
// Errors of bookctl's own checks say so themselves.
func nothingTouched(stack string, err error) error {
	var call *smithy.OperationError
	if !errors.As(err, &call) {
		return err
	}
	return fmt.Errorf("stack %s can't be destroyed, and %w: %w", stack, errUntouched, err)
}

// allDenied reports whether every error is a missing permission.
func allDenied(err error) bool {
	failures := graph.Failures(err)
	for _, f := range failures {
		if _, denied := provision.Denied(f); !denied {
			return false
		}
	}
	_, denied := provision.Denied(err)
	return denied
}

// onlyTimedOut reports whether time ran out while resources were still being deleted, as opposed
// to a failed call.
func onlyTimedOut(err error) bool {
	failures := graph.Failures(err)
	for _, f := range failures {
		if !errors.Is(f, graph.ErrTimeout) && !errors.Is(f, context.DeadlineExceeded) {
			return false
		}
	}
	return len(failures) > 0 || errors.Is(err, context.DeadlineExceeded) // of --timeout
}

// unfinished describes what is left of a stack and who holds it.
func (d destroyResult) unfinished(ctx context.Context, s streams, g *globals, t *target) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	var err error
	if d.Left, err = provision.Inventory(ctx, t.clients, g.stack); err != nil {
		return err
	}
	return d.print(s, g)
}

// sweepTimeout is how long the sweep goes on while something holds what is
// left: network interfaces outlive their owners by some minutes.
const sweepTimeout = 10 * time.Minute

// question asks for a confirmation. The automated backups are deleted whether a final snapshot
// is taken or not.
func (d *destroyFacts) question(g *globals, t *target, purge bool) string {
	snapshots, earlier, replicated := d.snapshots, d.automatedBackups, d.replicated
	elsewhere := ""
	if len(replicated) > 0 {
		elsewhere = "\n" + replicatedText(replicated)
	}
	if !purge {
		question := fmt.Sprintf("Destroy stack %s in %s. A final snapshot of the data as it is now is kept.", g.stack, t.place)
		if earlier.RecoveryPoint != "" {
			return question + "\n" + heldText(earlier) + elsewhere
		}
		if !earlier.Latest.IsZero() || len(earlier.Snapshots) > 0 {
			question += "\nThe automated backups of the database go: no earlier state of the data can be restored after that."
		}
		if len(earlier.Snapshots) > 0 {
			question += "\nThese snapshots go with them:\n" + snapshotLines(earlier.Snapshots)
		}
		return question + elsewhere
	}
	going := selected(snapshots, deletable)
	stay := selected(snapshots, func(s provision.Snapshot) bool { return s.OnlyAWSDeletes() && s.Region == "" })
	otherRegion := selected(snapshots, isOfAnotherRegion)
	question := fmt.Sprintf("Destroy stack %s in %s with all its data: no snapshot and no backup is kept.", g.stack, t.place)
	held := earlier.RecoveryPoint != ""
	if len(stay)+len(otherRegion)+len(replicated) > 0 || held {
		question = fmt.Sprintf("Destroy stack %s in %s with its data.", g.stack, t.place)
	}
	if len(stay) > 0 {
		question += " AWS Backup keeps, and bookctl can't delete:\n" + snapshotLines(stay)
	}
	if len(otherRegion) > 0 {
		question += "\nThese stay, as they are of another region and may be another stack's:\n" + snapshotLines(otherRegion)
	}
	if held { // with the daily snapshots
		question += "\n" + heldText(earlier)
		going = slices.DeleteFunc(going, func(s provision.Snapshot) bool {
			return slices.ContainsFunc(earlier.Snapshots, func(e provision.Snapshot) bool { return e.ID == s.ID })
		})
	}
	question += elsewhere
	if len(going) > 0 {
		question += "\nThese go too:\n" + snapshotLines(going)
	}
	return question
}

// selected are those of the snapshots that are wanted.
func selected(all []provision.Snapshot, want func(provision.Snapshot) bool) []provision.Snapshot {
	return slices.DeleteFunc(slices.Clone(all), func(s provision.Snapshot) bool { return !want(s) })
}

// deletable reports whether a destroy with --purge-snapshots deletes a snapshot.
func deletable(s provision.Snapshot) bool { return !s.OnlyAWSDeletes() }

// byRDS reports whether a snapshot that was not there before is of RDS's own making: a daily one,
// or the last of a database that was being deleted already.
func byRDS(s provision.Snapshot, before provision.Deployed) bool {
	ending := s.Kind == provision.FinalSnapshot || s.Kind == provision.RetainedBackup
	return s.Kind == provision.AutomatedSnapshot || before.DatabaseDeleting && ending
}

// isOfAnotherRegion reports whether a snapshot is from another region.
func isOfAnotherRegion(s provision.Snapshot) bool { return s.Region != "" }

// heldText describes the automated backups that AWS Backup keeps of a deleted database.
func heldText(earlier provision.AutomatedBackups) string {
	return "AWS Backup keeps the automated backups of the database, and alone deletes them:\n  " + earlier.RecoveryPoint
}

func replicatedText(all []provision.ReplicatedBackup) string {
	lines := []string{"RDS keeps the backups that it has replicated to other regions:"}
	for _, b := range all {
		lines = append(lines, fmt.Sprintf("  %s (%s)", b.ARN, b.Region))
	}
	return strings.Join(lines, "\n")
}

// deleteReplicatedHint are the commands that delete backups in other regions.
func deleteReplicatedHint(all []provision.ReplicatedBackup) hint.Message {
	var out []hint.Message
	for _, b := range all {
		out = append(out, hint.New("%s", hint.AWS("rds", "delete-db-instance-automated-backup", "--db-instance-automated-backups-arn", b.ARN, "--region", b.Region)))
	}
	return hint.New("%s deletes them there.", hint.Join(" and ", out...))
}

func snapshotLines(snapshots []provision.Snapshot) string {
	lines := make([]string, len(snapshots))
	for i, x := range snapshots {
		lines[i] = fmt.Sprintf("  %s (%s, %d GiB, %s)", x.ID, x.What(), x.GiB, ago(x.Created))
	}
	return strings.Join(lines, "\n")
}

// destroyResult is the result of a destroy.
type destroyResult struct {
	provision.Removal
	place, region string
	free          bool   // what is kept costs nothing
	nothing       string // why nothing was removed, if so
	before        []provision.Snapshot
	replicated    []provision.ReplicatedBackup
	took          time.Duration
}

func (d destroyResult) print(s streams, g *globals) error {
	left, inert := []inventory.Item{}, []inventory.Item{} // not null as JSON
	for _, l := range d.Left {
		if l.Kept {
			inert = append(inert, l)
		} else {
			left = append(left, l)
		}
	}
	var end error
	if len(left) > 0 {
		end = exitError{exitLeft}
	}
	if g.output == "json" {
		err := encode(s.out, destroyDocument{
			head: headOf("result"), Command: "destroy", Stack: g.stack, Deleted: d.Removed(), Left: left, RetainedByAWS: inert,
			SnapshotsDeleted: orEmpty(d.Purged), SnapshotsKept: orEmpty(d.Kept), ReplicatedBackups: orEmpty(d.replicated), Seconds: d.took.Seconds(),
		})
		return errors.Join(err, end)
	}
	if g.quiet && end == nil {
		return nil
	}
	if d.nothing != "" {
		fmt.Fprintln(s.err, d.nothing)
	} else {
		fmt.Fprintf(s.err, "%d deleted, %d left%s, %s.\n", d.Removed(), len(left), d.finalSnapshotNote(), rounded(d.took))
	}
	for _, l := range left {
		fmt.Fprintf(s.err, "  left: %s\n", l)
	}
	for _, l := range inert {
		fmt.Fprintf(s.err, "  kept by AWS, at no cost: %s\n", l)
	}
	if len(d.Purged) > 0 {
		fmt.Fprintf(s.err, "Deleted snapshots and backups:\n%s\n", snapshotLines(d.Purged))
	}
	if len(d.Kept) > 0 {
		fmt.Fprintf(s.err, "Kept, with your data, in %s%s:\n%s\n%s\n", d.place, d.price(), snapshotLines(d.Kept),
			nextWithSnapshots(d.Kept).Show(g.showCommand))
	}
	if len(d.replicated) > 0 {
		fmt.Fprintln(s.err, d.elsewhere(g))
	}
	if end != nil {
		fmt.Fprintln(s.err, "next: run the same command again when what holds them is gone; it continues where this one stopped")
	}
	return end
}

// elsewhere describes the backups in other regions, and how to delete them.
func (d destroyResult) elsewhere(g *globals) string {
	return replicatedText(d.replicated) + "\n" + deleteReplicatedHint(d.replicated).Show(g.showCommand)
}

// deletedWithDatabase are the automated snapshots that existed before and no longer do: they are deleted
// with their database or its retained backup.
func deletedWithDatabase(before, removed, kept []provision.Snapshot) []provision.Snapshot {
	still := slices.Concat(removed, kept)
	return selected(before, func(b provision.Snapshot) bool {
		return b.Kind == provision.AutomatedSnapshot && !isOfAnotherRegion(b) && !slices.ContainsFunc(still, func(x provision.Snapshot) bool { return x.ID == b.ID && x.Kind == b.Kind })
	})
}

// nextWithSnapshots returns the next steps with what was kept.
func nextWithSnapshots(kept []provision.Snapshot) hint.Message {
	var restore hint.Message
	switch from := provision.Restorable(kept); {
	case from == "":
	case from != "latest":
		restore = hint.New("%s creates the stack again from it", hint.Command("up", "--restore", from))
	case len(kept) == 1:
		restore = hint.New("%s creates the stack again from it", hint.Command("up", "--restore", "latest"))
	default:
		restore = hint.New("%s creates the stack again from the newest, and --restore ID from another", hint.Command("up", "--restore", "latest"))
	}
	ours := selected(kept, deletable)
	var purge, backups, otherRegion hint.Message
	switch {
	case len(ours) == 0:
	case len(kept) == 1 || ours[0].Kind == provision.CopiedSnapshot && len(ours) == len(kept):
		purge = hint.New("%s deletes it", hint.Command("destroy", "--purge-snapshots"))
	case len(ours) == len(kept):
		purge = hint.New("%s deletes all of them", hint.Command("destroy", "--purge-snapshots"))
	default:
		purge = hint.New("%s deletes the others", hint.Command("destroy", "--purge-snapshots"))
	}
	otherRegions := selected(kept, isOfAnotherRegion)
	isBackup := func(s provision.Snapshot) bool { return s.Kind == provision.RetainedBackup }
	copied := hint.AWS("rds", "delete-db-snapshot", "…")
	switch at := slices.IndexFunc(otherRegions, isBackup); {
	case len(otherRegions) == 0:
	case at < 0:
		otherRegion = hint.New("what is of another region may be another stack's, and only %s deletes it", copied)
	default:
		otherRegion = hint.New("what is of another region may be another stack's, and only %s deletes it", hint.AWS("rds", "delete-db-instance-automated-backup", "--db-instance-automated-backups-arn", otherRegions[at].ID))
		if slices.ContainsFunc(otherRegions, func(s provision.Snapshot) bool { return !isBackup(s) }) {
			otherRegion = hint.New("%s, and its snapshots %s", otherRegion, copied)
		}
	}
	if slices.ContainsFunc(kept, func(s provision.Snapshot) bool { return s.OnlyAWSDeletes() && !isOfAnotherRegion(s) }) {
		backups = hint.New("only %s deletes what AWS Backup holds", hint.AWS("backup", "delete-recovery-point", "…"))
	}
	return hint.New("%s.", hint.Join("; ", restore, purge, backups, otherRegion))
}

// finalSnapshotNote is the note that this run took a final snapshot, or "".
func (d destroyResult) finalSnapshotNote() string {
	for _, k := range d.Kept {
		if k.Kind == provision.FinalSnapshot && !slices.ContainsFunc(d.before, func(b provision.Snapshot) bool { return b.ID == k.ID }) {
			return ", a final snapshot taken"
		}
	}
	return ""
}

// price is the monthly cost of the kept snapshots, if it is known.
func (d destroyResult) price() string {
	if d.free {
		return ""
	}
	total := 0.0
	for _, k := range d.Kept {
		month, err := pricing.SnapshotCost(d.region, k.GiB)
		if err != nil {
			return ""
		}
		total += month
	}
	return fmt.Sprintf(" (at most $%.2f a month)", total)
}
