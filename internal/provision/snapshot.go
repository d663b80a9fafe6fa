package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/sorted"
)

// SnapshotKind is how a snapshot was created, which decides how it is deleted.
type SnapshotKind string

const (
	// FinalSnapshot was taken when the stack was destroyed.
	FinalSnapshot SnapshotKind = "final"
	// ManualSnapshot was taken by a person or a tool.
	ManualSnapshot SnapshotKind = "manual"
	// CopiedSnapshot is the copy of a snapshot of another region or account, which the
	// database was or will be restored from.
	CopiedSnapshot SnapshotKind = "copy"
	// AutomatedSnapshot was taken by RDS. It is deleted with its instance or the instance's
	// retained backup, and can't be deleted alone.
	AutomatedSnapshot SnapshotKind = "automated"
	// BackupSnapshot was taken by AWS Backup, which alone can delete it, with its recovery
	// point: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_DeleteSnapshot.html
	BackupSnapshot SnapshotKind = "AWS Backup"
	// RetainedBackup is the automated backups that RDS retains of a deleted instance.
	RetainedBackup SnapshotKind = "retained backup"
)

// Snapshot is a snapshot of a stack's database, which RDS stores and bills.
type Snapshot struct {
	// ID is the snapshot's identifier, or the ARN of a retained backup.
	ID   string       `json:"id" doc:"The snapshot's identifier, or the ARN of a retained backup."`
	Kind SnapshotKind `json:"kind"`
	// Status is RDS's word: "available", "creating", "failed", "retained".
	Status string `json:"status" doc:"RDS's word."`
	// Created is when its data was taken: a copy has the time of what it is a copy of.
	Created time.Time `json:"created" doc:"When its data was taken: a copy has the time of what it is a copy of."`
	// GiB is the storage of the database; RDS bills at most this.
	GiB int32 `json:"gib" doc:"Storage of the database; RDS bills at most this."`
	// Version is the version of PostgreSQL.
	Version string `json:"version"`
	// Resource is the immutable id of the instance that it is of.
	Resource string `json:"resource" doc:"The immutable id of the instance that it was taken of."`

	// Region is the region that somebody copied it from, or RDS replicated it; "" for what
	// was taken in this one, and for a CopiedSnapshot. It may be of a stack of the same name
	// there, and so it is restored only by its id, and never deleted.
	Region string `json:"region,omitempty" doc:"The region that somebody copied it from, or RDS replicated it. It may be of a stack of the same name there: it is restored only by its id, and never deleted."`
	// Source is the ARN of the snapshot that a copy is of; "" for others.
	Source string `json:"source,omitempty" doc:"The ARN of the one that a copy is of."`
	// elsewhere is the ARN of a snapshot of another region or account, which is copied
	// before it is restored; "" for others. Shared reports whether it belongs to another
	// account.
	elsewhere string
	shared    bool
	// held reports whether AWS Backup holds a RetainedBackup, which it alone deletes then.
	held bool
	// tagged reports whether it has the stack's tag.
	tagged bool
	// stored is when RDS had it: for a copy, when that was complete.
	stored time.Time

	// What a restore uses: the tags that the instance had, and the snapshot's own
	// properties.
	tags          map[string]string
	iops, backups int32
}

// Taken reports whether the snapshot is of the stack's own database and can be restored.
func (s Snapshot) Taken() bool {
	return s.Kind != RetainedBackup && s.Kind != CopiedSnapshot && s.Region == ""
}

// Restorable returns what to restore a stack from: "latest" where all has a snapshot that is
// the stack's own, otherwise the id of the newest that was copied, and "" where there is
// none. All are sorted as by Snapshots.
func Restorable(all []Snapshot) string {
	id := ""
	for _, s := range all {
		switch {
		case s.Taken() && s.Status != "failed":
			return "latest"
		case s.Kind != RetainedBackup && s.Status != "failed":
			id = s.ID
		}
	}
	return id
}

// FromBackup returns how the data of the newest backup that RDS retains in this region gets into
// a snapshot, which --restore takes; it is empty where there is none. A backup of a deleted
// instance is restored to a point in time alone.
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceToPointInTime.html
func FromBackup(all []Snapshot) hint.Message {
	for _, s := range slices.Backward(all) {
		if s.Kind == RetainedBackup && s.Region == "" && s.Resource != "" {
			const name = "recovered"
			return hint.New("%s restores it; once that is available, %s, and once the snapshot is, %s and %s",
				hint.AWS("rds", "restore-db-instance-to-point-in-time", "--source-dbi-resource-id", s.Resource, "--target-db-instance-identifier", name, "--use-latest-restorable-time", "--no-publicly-accessible"),
				hint.AWS("rds", "create-db-snapshot", "--db-instance-identifier", name, "--db-snapshot-identifier", name),
				hint.AWS("rds", "delete-db-instance", "--db-instance-identifier", name, "--skip-final-snapshot"),
				hint.Command("up", "--restore", name))
		}
	}
	return hint.Message{}
}

// What describes the snapshot to people: its kind, or where it is from.
func (s Snapshot) What() string {
	switch {
	case s.held && s.Region == "":
		return string(s.Kind) + " of " + string(BackupSnapshot)
	case s.Region == "":
		return string(s.Kind)
	case s.Kind == RetainedBackup:
		return string(s.Kind) + " of " + s.Region
	}
	return "copy of " + s.Region
}

// Name is what --restore takes to restore the snapshot into any stack.
func (s Snapshot) Name() string { return cmp.Or(s.elsewhere, s.ID) }

// Elsewhere reports whether the snapshot is in another region or account.
func (s Snapshot) Elsewhere() bool { return s.elsewhere != "" }

// Restored sets in s what the snapshot records of its database, and returns the names of
// the settings that it does not record. The tags are those of the instance at that time.
// Size and backup days are the snapshot's own, because people or RDS may have raised them,
// and the size can't shrink.
func (s Snapshot) Restored(settings Settings) (_ Settings, unknown []string) {
	for _, row := range Table() {
		if row.Restored == "" {
			continue
		}
		recorded, known := s.tags[row.Tag()]
		switch {
		case row.restore != nil:
			known = row.restore(s, &settings)
		case known:
			row.Value.Parse(&settings, recorded)
		}
		if !known {
			unknown = append(unknown, row.Restored)
		}
	}
	if settings.DBMaxStorage != 0 && settings.DBMaxStorage < nextStorage(settings.DBStorage) {
		settings.DBMaxStorage = nextStorage(settings.DBStorage) // it had grown to its limit
	}
	if settings.DBVersion = MajorVersion(s.Version); MajorVersion(s.tags[settingTag("db-version")]) == settings.DBVersion {
		settings.DBVersion = s.tags[settingTag("db-version")]
	}
	return settings, unknown
}

// Snapshots lists every snapshot and retained backup of a stack, oldest first.
//
// RDS can't filter by tag, so it is asked for those of instances called like
// the stack's; which of them are the stack's, and not those of a namesake, is
// then decided by tag or by the instance's immutable resource id, and never by
// name. The id of an instance that is gone is known from the snapshots that
// carry the stack's tag, which they do because the instance copies its tags:
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Tagging.html
// A copy of another region or account has its instance's name from there, and is found
// among all manual snapshots, of which RDS gives an account 100. The tags name no region:
// what somebody copied from another one with its tags has Snapshot.Region.
func Snapshots(ctx context.Context, client *rds.Client, stack string) ([]Snapshot, error) {
	return snapshotsOf(ctx, client, stack, backupsIfListed)
}

// Snapshots is the function Snapshots, for a stack that was just read.
func (d Deployed) Snapshots(ctx context.Context, client *rds.Client, stack string) ([]Snapshot, error) {
	db, err := d.instance(ctx, client, stack)
	if err != nil {
		return nil, err
	}
	return snapshotsOfInstance(ctx, client, stack, db, backupsIfListed)
}

// ReplicatedBackup is the automated backups of a stack's database that RDS replicates to
// another region. They outlive the database, and only a call to that region deletes them.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/AutomatedBackups.Delete.html
type ReplicatedBackup struct {
	ARN    string `json:"arn"`
	Region string `json:"region" doc:"Where it is."`
}

// ReplicatedBackups returns the backups that RDS replicates to other regions.
func (d Deployed) ReplicatedBackups(ctx context.Context, client *rds.Client, stack string) ([]ReplicatedBackup, error) {
	db, err := d.instance(ctx, client, stack)
	if db == nil || err != nil || fromRDSTags(db.TagList)[TagStack] != stack {
		return nil, err
	}
	var out []ReplicatedBackup
	for _, r := range db.DBInstanceAutomatedBackupsReplications {
		b := ReplicatedBackup{ARN: aws.ToString(r.DBInstanceAutomatedBackupsArn)}
		if of, err := arn.Parse(b.ARN); err == nil {
			b.Region = of.Region
		}
		out = append(out, b)
	}
	return out, nil
}

// instance returns the stack's instance as it was read, or nil where there is none.
func (d Deployed) instance(ctx context.Context, client *rds.Client, stack string) (*types.DBInstance, error) {
	return rdsAccess{identity: identity{stack: stack, observation: d.observation}, rds: client}.instance(graph.WhileObserving(ctx))
}

// AutomatedBackups are what RDS keeps of a database's earlier states, and deletes with it.
type AutomatedBackups struct {
	Snapshots []Snapshot
	// Latest is the newest time that the data can be restored to; zero for none.
	Latest time.Time
	// RecoveryPoint is the ARN under which AWS Backup holds them, and keeps them when the
	// database is deleted; "" for none.
	RecoveryPoint string
}

// AutomatedBackups returns those of the stack's database, which are also among all, its
// snapshots.
func (d Deployed) AutomatedBackups(ctx context.Context, client *rds.Client, stack string, all []Snapshot) (AutomatedBackups, error) {
	db, err := d.instance(ctx, client, stack)
	if db == nil || err != nil || fromRDSTags(db.TagList)[TagStack] != stack {
		return AutomatedBackups{}, err
	}
	out := AutomatedBackups{Latest: aws.ToTime(db.LatestRestorableTime), RecoveryPoint: aws.ToString(db.AwsBackupRecoveryPointArn)}
	for _, s := range all {
		if s.Kind == AutomatedSnapshot && s.Region == "" && s.Resource == aws.ToString(db.DbiResourceId) {
			out.Snapshots = append(out.Snapshots, s)
		}
	}
	return out, nil
}

// RestoredError is the error of an up that is to restore a snapshot where there is a database
// with other data.
type RestoredError struct {
	// Database is its name.
	Database string
	// Snapshot is what was to be restored.
	Snapshot Snapshot
	// Origin is the id of the snapshot that the database was restored from, "" where none is
	// recorded: it was created empty, or restored by a build that did not record it.
	Origin string
}

func (e *RestoredError) Error() string {
	origin := "from what this one was restored, if it was, is not known"
	if e.Origin != "" {
		origin = "this one was restored from snapshot " + e.Origin
	}
	return fmt.Sprintf("database %s exists already, and its data stays as it is: RDS restores snapshot %s only into a new database, and %s", e.Database, e.Snapshot.Name(), origin)
}

// CheckRestore says, as a RestoredError, that an up can't restore a snapshot, because the stack
// has a database with other data. If the database was restored from the same snapshot, the up is
// repeated, and goes on: CheckRestore returns that snapshot's id, and "" for a database that is
// yet to be restored. Which is what the up was given, an id, an ARN or "latest", and from what
// SnapshotToRestore returned for it.
func (d Deployed) CheckRestore(ctx context.Context, client *rds.Client, stack, which string, from Snapshot) (origin string, err error) {
	if !d.HasData() {
		return "", nil
	}
	db, err := d.instance(ctx, client, stack)
	if db == nil || err != nil {
		return "", err
	}
	meant := from
	origin = fromRDSTags(db.TagList)[tagRestoredFrom]
	if which == "latest" && origin != "" { // which was meant when there was no database yet
		all, err := d.Snapshots(ctx, client, stack)
		if err != nil {
			return "", fmt.Errorf("look for snapshots of the stack: %w", err)
		}
		for _, s := range all {
			if s.Taken() && s.Status == "available" && s.Resource != aws.ToString(db.DbiResourceId) {
				meant = s
			}
		}
	}
	id := meant.ID
	if meant.Elsewhere() {
		id = naming.Names{Stack: stack}.SnapshotCopy(meant.elsewhere, meant.stored)
	}
	status := aws.ToString(db.DBInstanceStatus)
	switch {
	case id == origin:
		return origin, nil
	case lost[status], status == noCapacity: // the run says how to replace it
		return "", nil
	}
	return "", &RestoredError{Database: aws.ToString(db.DBInstanceIdentifier), Snapshot: from, Origin: origin}
}

// CheckDatabaseNotDeleting says why an up must not make another database in the place of one that is
// being deleted, where nothing else is: that would be empty, or have the data of an older
// snapshot than the one that is being taken. Restore is Spec.Restore.
func (d Deployed) CheckDatabaseNotDeleting(ctx context.Context, client *rds.Client, stack, restore string) error {
	if !d.DatabaseDeleting {
		return nil
	}
	all, err := d.Snapshots(ctx, client, stack)
	if err != nil {
		return fmt.Errorf("look for snapshots of the stack: %w", err)
	}
	db, err := d.instance(ctx, client, stack)
	if err != nil || db == nil {
		return err
	}
	name, final := aws.ToString(db.DBInstanceIdentifier), Snapshot{}
	for _, s := range all {
		switch {
		case s.Resource != aws.ToString(db.DbiResourceId):
		case s.Kind == FinalSnapshot && s.Status != "failed":
			final = s
		case s.Kind == AutomatedSnapshot && s.ID == restore:
			return hint.With(fmt.Errorf("snapshot %s is an automated one of database %s, which is being deleted, and goes with it", s.ID, name), "%s lists the others", hint.Command("db", "snapshots"))
		}
	}
	switch {
	case restore == "latest" && final.coming():
		return notComplete(final)
	case restore == "latest" && final.ID == "":
		return hint.With(fmt.Errorf("database %s is being deleted, and RDS shows no final snapshot of it yet", name),
			"run the same command again when the database is gone or %s shows its snapshot", hint.Command("db", "snapshots"))
	case restore != "":
		return nil
	case final.ID == "":
		return hint.With(fmt.Errorf("database %s is being deleted, which RDS does not take back, and the new one would be empty", name),
			"wait until it is gone; if it leaves a snapshot, which %s shows, %s starts from that, and %s starts empty", hint.Command("db", "snapshots"), hint.Command("up", "--restore", "latest"), hint.Command("up"))
	}
	return hint.With(fmt.Errorf("database %s is being deleted, which RDS does not take back, and the new one would be empty; its data is in snapshot %s (%s)", name, final.ID, final.Status),
		"once %s shows it as available, %s starts from it; once the database is gone, %s starts empty", hint.Command("db", "snapshots"), hint.Command("up", "--restore", "latest"), hint.Command("up"))
}

// CheckData says why a command that is no up must not bring a stack to what it was given:
// its database is gone or going, and a new one would be empty. Want is what the command
// would make of it.
func (d Deployed) CheckData(ctx context.Context, client *rds.Client, stack string, want Settings) error {
	if !d.Service() || want.NoDatabase || d.HasData() {
		return nil
	}
	if d.DatabaseDeleting {
		return d.CheckDatabaseNotDeleting(ctx, client, stack, "")
	}
	if db, err := d.instance(ctx, client, stack); db != nil || err != nil {
		return err // it is not the stack's, which the run says
	}
	return noDatabase(ctx, client, stack)
}

// noDatabase is the error of a command that would make a new database. Its next step
// depends on the snapshots that there are, if these can be listed.
func noDatabase(ctx context.Context, client *rds.Client, stack string) error {
	err := fmt.Errorf("the database of stack %s is gone, and a new one would be empty", stack)
	all, lookErr := Snapshots(ctx, client, stack)
	switch from := Restorable(all); {
	case lookErr == nil && from == "":
		return hint.With(err, "there is no snapshot that it could start from, and %s starts empty", hint.Command("up"))
	case lookErr == nil && from != "latest":
		return hint.With(err, "%s starts from the newest copy of those that %s lists, and %s starts empty", hint.Command("up", "--restore", from), hint.Command("db", "snapshots"), hint.Command("up"))
	}
	return hint.With(err, "%s starts from the newest snapshot of those that %s lists, and %s starts empty", hint.Command("up", "--restore", "latest"), hint.Command("db", "snapshots"), hint.Command("up"))
}

// coming reports whether it is a final snapshot that is being taken: it is newer than all
// others.
func (s Snapshot) coming() bool {
	return s.Kind == FinalSnapshot && s.Region == "" && s.Status != "available" && s.Status != "failed"
}

func notComplete(s Snapshot) error {
	return hint.With(fmt.Errorf("snapshot %s has the stack's newest data and is not complete: %s", s.ID, s.Status), "run the same command again when %s shows it as available", hint.Command("db", "snapshots"))
}

func snapshotsOf(ctx context.Context, client *rds.Client, stack string, what listing) ([]Snapshot, error) {
	d := rdsAccess{identity: identity{stack: stack}, rds: client}
	db, err := d.instance(ctx)
	if err != nil {
		return nil, err
	}
	return snapshotsOfInstance(ctx, client, stack, db, what)
}

// listing is what a list of snapshots includes.
type listing int

const (
	// ofInstance includes those of the stack's instances.
	ofInstance listing = iota
	// withCopies includes the copies made for the stack, too.
	withCopies
	// backupsIfListed includes the backups that RDS retains of deleted instances, if the
	// endpoint lists them.
	backupsIfListed
	// withBackups includes all of them, or fails.
	withBackups
)

// snapshotsOfInstance is Snapshots where the instance, if any, is known, and so are instances
// of the stack that are gone.
func snapshotsOfInstance(ctx context.Context, client *rds.Client, stack string, db *types.DBInstance, what listing, gone ...string) ([]Snapshot, error) {
	name := aws.String(naming.Names{Stack: stack}.Database())
	var found []candidate
	for _, resource := range gone {
		found = append(found, candidate{owner: stack, region: client.Options().Region, Snapshot: Snapshot{Resource: resource}})
	}
	if db != nil {
		found = append(found, candidate{owner: fromRDSTags(db.TagList)[TagStack], Snapshot: Snapshot{Resource: aws.ToString(db.DbiResourceId)}})
	}
	var (
		reads  graph.Group
		copies []candidate
	)
	if what >= withCopies {
		reads.Go(func() (err error) {
			copies, err = copiesFor(ctx, client, stack)
			return err
		})
	}
	pages := rds.NewDescribeDBSnapshotsPaginator(client, &rds.DescribeDBSnapshotsInput{DBInstanceIdentifier: name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("describe the snapshots of %s: %w", *name, err), reads.Wait())
		}
		for _, s := range page.DBSnapshots {
			if c := snapshotOf(stack, s); what < withCopies || c.Kind != CopiedSnapshot {
				found = append(found, c)
			}
		}
	}
	if err := reads.Wait(); err != nil {
		return nil, err
	}
	found = append(found, copies...)
	region := client.Options().Region
	if what < backupsIfListed {
		return ofStack(stack, region, found), nil
	}
	// The name of an instance that is gone finds none of its backups.
	// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBInstanceAutomatedBackups.html
	backups := rds.NewDescribeDBInstanceAutomatedBackupsPaginator(client, &rds.DescribeDBInstanceAutomatedBackupsInput{
		Filters: []types.Filter{{Name: aws.String("status"), Values: []string{"retained"}}},
	})
	for backups.HasMorePages() {
		page, err := backups.NextPage(ctx)
		if IsCode(err, "DBInstanceAutomatedBackupNotFound") {
			break
		}
		if err != nil && what == backupsIfListed && !Expired(err) && ctx.Err() == nil {
			break // without them a run goes on
		}
		if err != nil {
			return nil, fmt.Errorf("describe the automated backups of %s: %w", *name, err)
		}
		for _, b := range page.DBInstanceAutomatedBackups {
			if aws.ToString(b.Status) != "retained" || aws.ToString(b.DBInstanceIdentifier) != *name {
				continue // the backup of a live instance is part of it
			}
			found = append(found, candidate{owner: fromRDSTags(b.TagList)[TagStack], region: backupRegion(b, region), Snapshot: Snapshot{
				ID: aws.ToString(b.DBInstanceAutomatedBackupsArn), Kind: RetainedBackup, Status: "retained", Created: aws.ToTime(b.InstanceCreateTime),
				GiB: aws.ToInt32(b.AllocatedStorage), Version: aws.ToString(b.EngineVersion), Resource: aws.ToString(b.DbiResourceId),
				held: b.AwsBackupRecoveryPointArn != nil,
			}})
		}
	}
	return ofStack(stack, region, found), nil
}

// backupRegion is the region of the instance that automated backups are of. RDS replicates
// them into another region, where they have the ARN of that instance.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/AutomatedBackups.Replicating.Describe.html
func backupRegion(b types.DBInstanceAutomatedBackup, here string) string {
	if of, err := arn.Parse(aws.ToString(b.DBInstanceArn)); err == nil && of.Region != here {
		return of.Region
	}
	return aws.ToString(b.Region)
}

// copiesFor lists the copies of snapshots that were made for a stack.
func copiesFor(ctx context.Context, client *rds.Client, stack string) (found []candidate, err error) {
	pages := rds.NewDescribeDBSnapshotsPaginator(client, &rds.DescribeDBSnapshotsInput{SnapshotType: aws.String("manual")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("describe the manual snapshots: %w", err)
		}
		for _, s := range page.DBSnapshots {
			if c := snapshotOf(stack, s); c.Kind == CopiedSnapshot {
				found = append(found, c)
			}
		}
	}
	return found, nil
}

func snapshotOf(stack string, s types.DBSnapshot) candidate {
	out := Snapshot{
		ID: aws.ToString(s.DBSnapshotIdentifier), Kind: ManualSnapshot, Status: aws.ToString(s.Status),
		Created: aws.ToTime(cmp.Or(s.OriginalSnapshotCreateTime, s.SnapshotCreateTime)), stored: aws.ToTime(s.SnapshotCreateTime),
		GiB: aws.ToInt32(s.AllocatedStorage), Version: aws.ToString(s.EngineVersion), Resource: aws.ToString(s.DbiResourceId),
		tags: fromRDSTags(s.TagList), iops: aws.ToInt32(s.Iops), backups: aws.ToInt32(s.BackupRetentionPeriod),
	}
	switch {
	case aws.ToString(s.SnapshotType) == "automated":
		out.Kind = AutomatedSnapshot
	case aws.ToString(s.SnapshotType) == "awsbackup":
		out.Kind = BackupSnapshot
	case strings.HasPrefix(out.ID, naming.Names{Stack: stack}.SnapshotCopyPrefix()):
		out.Kind, out.Source = CopiedSnapshot, aws.ToString(s.SourceDBSnapshotIdentifier)
	case strings.HasPrefix(out.ID, naming.Names{Stack: stack}.FinalSnapshotPrefix(out.Resource)):
		out.Kind = FinalSnapshot
	}
	return candidate{owner: fromRDSTags(s.TagList)[TagStack], region: aws.ToString(s.SourceRegion), Snapshot: out}
}

// candidate is a snapshot whose owner is not known yet. One without an id is the live
// instance.
type candidate struct {
	Snapshot
	owner  string // the ownership tag, or "" for none
	region string // in which it was taken, or from which it was copied; "" is this one
}

// ofStack selects what is tagged as the stack's, and what is of an instance of which
// something is; a tag of another stack always takes precedence. A copy is of an instance of
// another stack, and what is from another region than this one may be.
func ofStack(stack, region string, found []candidate) []Snapshot {
	ours := map[string]bool{}
	for i := range found {
		c := &found[i]
		if c.region != region && c.Kind != CopiedSnapshot {
			c.Region = c.region
		}
		if c.owner == stack && c.Resource != "" && c.Kind != CopiedSnapshot && c.Region == "" {
			ours[c.Resource] = true
		}
	}
	var out []Snapshot
	for _, c := range found {
		if c.tagged = c.owner == stack; c.ID != "" && (c.tagged || c.owner == "" && ours[c.Resource]) {
			out = append(out, c.Snapshot)
		}
	}
	sorted.By(out, func(a, b Snapshot) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// SnapshotToRestore finds a snapshot by its identifier, by its ARN, which may be of another
// region or account, or by "latest", the newest complete one of the stack. Account is the
// caller's; it may be "" if the snapshot is known to be in this region and account.
func SnapshotToRestore(ctx context.Context, client *rds.Client, account, stack, which string) (Snapshot, error) {
	if which == "latest" {
		all, err := Snapshots(ctx, client, stack)
		if err != nil {
			return Snapshot{}, err
		}
		// RDS need not return the time of one before it is complete.
		if at := slices.IndexFunc(all, Snapshot.coming); at >= 0 {
			return Snapshot{}, notComplete(all[at])
		}
		for _, s := range slices.Backward(all) {
			if s.Taken() && s.Status == "available" {
				return s, nil
			}
		}
		err = fmt.Errorf("stack %s has no snapshot of its own to restore", stack)
		if copied := Restorable(all); copied != "" && copied != "latest" {
			return Snapshot{}, hint.With(err, "%s starts from %s, which was copied here", hint.Command("up", "--restore", copied), copied)
		}
		if backup := FromBackup(all); !backup.Empty() {
			return Snapshot{}, hint.With(err, "it has a backup that RDS retains: %s", backup)
		}
		return Snapshot{}, hint.With(err, "leave --restore out for an empty database")
	}
	away, err := elsewhere(which, client.Options().Region, account)
	if err != nil {
		return Snapshot{}, err
	}
	var live types.DBSnapshot
	if away.is() {
		found, err := away.find(ctx, client)
		if err != nil {
			return Snapshot{}, err
		}
		live = *found
	} else {
		if away.Resource != "" { // an ARN of here
			which = strings.TrimPrefix(away.Resource, "snapshot:")
		}
		out, err := client.DescribeDBSnapshots(ctx, &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: &which})
		if IsCode(err, "DBSnapshotNotFound") || err == nil && len(out.DBSnapshots) == 0 {
			return Snapshot{}, hint.With(fmt.Errorf("there is no snapshot %s in this region", which), "%s lists those of the stack; one of another region or account is named by its ARN", hint.Command("db", "snapshots"))
		}
		if err != nil {
			return Snapshot{}, fmt.Errorf("describe snapshot %s: %w", which, err)
		}
		live = out.DBSnapshots[0]
	}
	if e := aws.ToString(live.Engine); e != "postgres" {
		return Snapshot{}, fmt.Errorf("snapshot %s is of %s; bookapi needs one of postgres", which, e)
	}
	if live.Encrypted != nil && !*live.Encrypted && !away.is() { // a copy is
		return Snapshot{}, hint.With(fmt.Errorf("snapshot %s is not encrypted, and a database made from it never would be", which),
			"copy it with a key, %s, and restore the copy", hint.AWS("rds", "copy-db-snapshot", "--kms-key-id", "alias/aws/rds", "…"))
	}
	s := snapshotOf(stack, live).Snapshot
	if away.is() {
		s.elsewhere, s.shared = away.String(), away.otherAccount
	}
	if s.Status != "available" {
		return Snapshot{}, hint.With(fmt.Errorf("snapshot %s is %q", which, s.Status), "wait until it is available, as %s shows", hint.Command("db", "snapshots"))
	}
	return s, nil
}

// purgeable reports whether a purge deletes the snapshot. Automated ones are deleted with
// their instance.
func (s Snapshot) purgeable() bool { return s.Kind != AutomatedSnapshot && !s.OnlyAWSDeletes() }

// OnlyAWSDeletes reports whether no command deletes the snapshot: AWS Backup alone deletes what it
// holds, and what is from another region may be the only copy of another stack's data.
func (s Snapshot) OnlyAWSDeletes() bool { return s.Kind == BackupSnapshot || s.held || s.Region != "" }
