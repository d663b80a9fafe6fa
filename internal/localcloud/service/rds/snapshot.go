package rds

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

const (
	snapshotManual    = "manual"
	snapshotAutomated = "automated"
	snapshotBackup    = "awsbackup"
)

// backupPrefix begins the names of the snapshots that AWS Backup takes, with RDS's own API:
// https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSBackupServiceRolePolicyForBackup.html
const backupPrefix = "awsbackup:"

// snapshot is a snapshot; the engine has its data under the key.
type snapshot struct {
	ID      string    `json:"id"`
	Key     string    `json:"key"`
	Type    string    `json:"type"`
	Status  string    `json:"status"` // creating, available or failed
	Created time.Time `json:"created"`
	// Taken is when the snapshot was complete that this one is a copy of; zero for others.
	Taken time.Time         `json:"taken,omitzero"`
	Tags  map[string]string `json:"tags,omitempty"`
	// Instance is the database as it was.
	Instance instance `json:"instance"`
	// Original is the snapshot of another region or account that this one is a copy of, and
	// From its region.
	Original string `json:"original,omitempty"`
	From     string `json:"from,omitempty"`
	// Location is where it is, if that is not here.
	Location *Location `json:"elsewhere,omitempty"`
}

func (a tx) snapshot(name *string) (*snapshot, error) {
	for _, s := range a.state().Snapshots {
		if s.Location == nil && (strings.EqualFold(s.ID, aws.ToString(name)) || a.ARN("rds", "snapshot:"+s.ID) == aws.ToString(name)) && a.Visible(s.Key) {
			return s, nil
		}
	}
	return nil, kernel.Fail("DBSnapshotNotFound", "DBSnapshot not found: %s", aws.ToString(name))
}

func (a tx) describeSnapshot(s *snapshot) types.DBSnapshot {
	db := s.Instance
	progress := int32(100)
	if s.Status != dbAvailable {
		progress = 0
	}
	out := types.DBSnapshot{
		DBSnapshotIdentifier: aws.String(s.ID), DBSnapshotArn: aws.String(a.snapshotARN(s)), SnapshotType: aws.String(s.Type), Status: aws.String(s.Status),
		DBInstanceIdentifier: aws.String(db.ID), DbiResourceId: aws.String(db.Resource), Engine: aws.String(engineName), EngineVersion: aws.String(db.Version),
		AllocatedStorage: aws.Int32(db.Storage), StorageType: aws.String(db.StorageType), AvailabilityZone: aws.String(db.Zone), Encrypted: aws.Bool(db.Encrypted),
		KmsKeyId: kernel.NonEmpty(db.KMSKey), LicenseModel: aws.String(license), MasterUsername: aws.String(db.User), Port: aws.Int32(int32(db.Port)), PercentProgress: &progress,
		OptionGroupName: aws.String("default:postgres-" + majorOf(db.Version)), IAMDatabaseAuthenticationEnabled: aws.Bool(false), TagList: kernel.TagList(s.Tags, newTag),
		SnapshotTarget: aws.String("region"), SourceDBSnapshotIdentifier: kernel.NonEmpty(s.Original), BackupRetentionPeriod: aws.Int32(db.Backups),
		SourceRegion: aws.String(cmp.Or(s.From, a.regionOf(s))),
	}
	if db.IOPS > 0 {
		out.Iops = aws.Int32(db.IOPS)
	}
	if db.Throughput > 0 {
		out.StorageThroughput = aws.Int32(db.Throughput)
	}
	if !db.Created.IsZero() {
		out.InstanceCreateTime = aws.Time(db.Created)
	}
	if s.Status == dbAvailable { // RDS gives the time when it is complete
		out.SnapshotCreateTime, out.OriginalSnapshotCreateTime = aws.Time(s.Created), aws.Time(s.taken())
	}
	for _, g := range a.state().SubnetGroups {
		if g.Name == db.SubnetGroup {
			out.VpcId = aws.String(g.VPC)
		}
	}
	return out
}

// taken is when the data was that the snapshot has.
func (s *snapshot) taken() time.Time {
	if s.Taken.IsZero() {
		return s.Created
	}
	return s.Taken
}

func (a tx) addSnapshot(db *instance, id, kind string, tags map[string]string) *snapshot {
	s := &snapshot{ID: id, Key: "snapshot-" + kernel.HexDigits(16), Type: kind, Status: dbCreating, Created: a.Now(), Instance: *db, Tags: tags}
	s.Instance.Verifier, s.Instance.Pending.Verifier = "", ""
	a.state().Snapshots = append(a.state().Snapshots, s)
	a.Created(s.Key)
	return s
}

// newSnapshot begins a manual snapshot, or one of AWS Backup, of an instance in one of the states: it
// must be up, since RDS refuses one before (hashicorp/terraform-provider-aws PR
// #46687).
func (a tx) newSnapshot(db *instance, parameter string, name *string, states []string) (*snapshot, error) {
	kind, prefix := snapshotManual, ""
	if rest, backup := strings.CutPrefix(aws.ToString(name), backupPrefix); backup {
		kind, prefix, name = snapshotBackup, backupPrefix, &rest
	}
	id, err := identifier(parameter, name)
	if err != nil {
		return nil, err
	}
	id = prefix + id
	if slices.ContainsFunc(a.state().Snapshots, func(s *snapshot) bool { return s.ID == id }) {
		return nil, kernel.Fail("DBSnapshotAlreadyExists", "Cannot create the snapshot because a snapshot with the identifier %s already exists.", id)
	}
	if !slices.Contains(states, db.Status) {
		return nil, kernel.Fail("InvalidDBInstanceState", "Cannot create a snapshot because the database instance %s is not currently in the available state.", db.ID)
	}
	tags := map[string]string{}
	if db.CopyTags {
		if tags, err = addTags(db.Tags, nil); err != nil {
			return nil, err
		}
	}
	s := a.addSnapshot(db, id, kind, tags)
	a.event(types.SourceTypeDbSnapshot, s.ID, "creation", "Creating manual snapshot")
	return s, nil
}

// newBackup begins an automated snapshot, named as RDS names them.
func (a tx) newBackup(db *instance) {
	id := "rds:" + db.ID + "-" + a.Now().Format("2006-01-02-15-04")
	for n := 0; slices.ContainsFunc(a.state().Snapshots, func(s *snapshot) bool { return s.ID == id }); n++ {
		id = "rds:" + db.ID + "-" + a.Now().Add(time.Duration(n)*time.Minute).Format("2006-01-02-15-04")
	}
	tags := map[string]string{}
	if db.CopyTags {
		if all, err := addTags(db.Tags, nil); err == nil {
			tags = all
		}
	}
	db.Status = dbBackingUp
	a.addSnapshot(db, id, snapshotAutomated, tags)
	a.event(types.SourceTypeDbInstance, db.ID, "backup", "Backing up DB instance")
}

// dropBackups removes an instance's automated snapshots.
func (a tx) dropBackups(resource string) {
	var keys []string
	a.state().Snapshots = slices.DeleteFunc(a.state().Snapshots, func(s *snapshot) bool {
		drop := s.Instance.Resource == resource && s.Type == snapshotAutomated
		if drop {
			keys = append(keys, s.Key)
		}
		return drop
	})
	a.discard(keys...)
}

// discard removes the data of snapshots.
func (a tx) discard(keys ...string) {
	if len(keys) == 0 {
		return
	}
	a.Go(func(context.Context) {
		for _, key := range keys {
			if err := a.needs.Engine.DeleteSnapshot(key); err != nil {
				a.Log().Error("a snapshot's data could not be removed", "snapshot", key, "error", err)
			}
		}
	})
}

// CreateDBSnapshot takes a snapshot, for which the instance is backing up.
func (a tx) CreateDBSnapshot(in *rds.CreateDBSnapshotInput) (*rds.CreateDBSnapshotOutput, error) {
	db, err := a.instance(in.DBInstanceIdentifier)
	if err != nil {
		return nil, err
	}
	s, err := a.newSnapshot(db, "DBSnapshotIdentifier", in.DBSnapshotIdentifier, []string{dbAvailable})
	if err != nil {
		return nil, err
	}
	tags, err := addTags(s.Tags, in.Tags)
	if err != nil {
		a.state().Snapshots = slices.DeleteFunc(a.state().Snapshots, func(x *snapshot) bool { return x == s })
		return nil, err
	}
	s.Tags = tags
	db.Status = dbBackingUp
	a.beginWork(db.Resource, a.takeSnapshotsAndServe)
	out := a.describeSnapshot(s)
	return &rds.CreateDBSnapshotOutput{DBSnapshot: &out}, nil
}

func (a tx) DescribeDBSnapshots(in *rds.DescribeDBSnapshotsInput) (*rds.DescribeDBSnapshotsOutput, error) {
	all := []types.DBSnapshot{}
	if in.DBSnapshotIdentifier != nil {
		s, err := a.described(in)
		if err != nil {
			return nil, err
		}
		all = append(all, a.describeSnapshot(s))
	} else if a.RequestRegion() == a.Region() {
		for _, s := range a.state().Snapshots {
			if s.Location != nil {
				continue
			}
			db := s.Instance
			match, err := matches(in.Filters, map[string]string{
				"db-instance-id": db.ID, "db-snapshot-id": s.ID, "dbi-resource-id": db.Resource, "snapshot-type": s.Type, "engine": engineName,
			})
			if err != nil {
				return nil, err
			}
			if match && a.Visible(s.Key) && (in.DBInstanceIdentifier == nil || strings.EqualFold(*in.DBInstanceIdentifier, db.ID)) &&
				(in.DbiResourceId == nil || *in.DbiResourceId == db.Resource) && (in.SnapshotType == nil || *in.SnapshotType == s.Type) {
				all = append(all, a.describeSnapshot(s))
			}
		}
	}
	page, next, err := page(all, in.MaxRecords, in.Marker)
	if err != nil {
		return nil, err
	}
	return &rds.DescribeDBSnapshotsOutput{DBSnapshots: page, Marker: next}, nil
}

// DeleteDBSnapshot deletes a manual snapshot; automated ones go with their
// instance or its retained backup, and those of AWS Backup with their recovery point. No page
// has the words with which RDS refuses those.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_DeleteSnapshot.html
func (a tx) DeleteDBSnapshot(in *rds.DeleteDBSnapshotInput) (*rds.DeleteDBSnapshotOutput, error) {
	s, err := a.snapshot(in.DBSnapshotIdentifier)
	if err != nil {
		return nil, err
	}
	switch {
	case s.Type == snapshotAutomated:
		return nil, kernel.Fail("InvalidDBSnapshotState", "Only manual snapshots may be deleted: %s is an automated one.", s.ID)
	case s.Type == snapshotBackup:
		return nil, kernel.Fail("InvalidDBSnapshotState", "Only manual snapshots may be deleted: %s is managed by AWS Backup.", s.ID)
	case s.Status == dbCreating:
		return nil, kernel.Fail("InvalidDBSnapshotState", "Cannot delete the snapshot because it is not currently in the available or failed state.")
	case slices.ContainsFunc(a.state().Instances, func(db *instance) bool { return db.Source == s.Key }):
		return nil, kernel.Fail("InvalidDBSnapshotState", "Cannot delete the snapshot %s because an instance is being restored from it.", s.ID)
	}
	out := a.describeSnapshot(s)
	out.Status = aws.String("deleted")
	a.state().Snapshots = slices.DeleteFunc(a.state().Snapshots, func(x *snapshot) bool { return x == s })
	a.event(types.SourceTypeDbSnapshot, s.ID, "deletion", "Deleted manual snapshot")
	a.discard(s.Key)
	return &rds.DeleteDBSnapshotOutput{DBSnapshot: &out}, nil
}

// CopyDBSnapshot creates a manual snapshot of any other.
func (a tx) CopyDBSnapshot(in *rds.CopyDBSnapshotInput) (*rds.CopyDBSnapshotOutput, error) {
	if err := onlyKnown(in, "SourceDBSnapshotIdentifier", "TargetDBSnapshotIdentifier", "CopyTags", "Tags", "KmsKeyId", "PreSignedUrl"); err != nil {
		return nil, err
	}
	from, err := a.copied(in)
	if err != nil {
		return nil, err
	}
	if from.Status != dbAvailable {
		return nil, kernel.Fail("InvalidDBSnapshotState", "Cannot copy the snapshot because it is not currently in the available state.")
	}
	id, err := identifier("TargetDBSnapshotIdentifier", in.TargetDBSnapshotIdentifier)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(a.state().Snapshots, func(s *snapshot) bool { return s.ID == id }) {
		return nil, kernel.Fail("DBSnapshotAlreadyExists", "Cannot create the snapshot because a snapshot with the identifier %s already exists.", id)
	}
	tags, err := addTags(nil, in.Tags)
	if err == nil && aws.ToBool(in.CopyTags) {
		tags, err = addTags(from.Tags, in.Tags)
	}
	if err != nil {
		return nil, err
	}
	s := a.addSnapshot(&from.Instance, id, snapshotManual, tags)
	s.Taken = from.taken()
	if s.From = from.From; from.Location != nil { // RDS names the source of no other copy
		s.Original, s.From = a.snapshotARN(from), from.Location.Region
	}
	if in.KmsKeyId != nil { // a copy of one that is not encrypted is, too
		s.Instance.Encrypted, s.Instance.KMSKey = true, a.keyARN(in.KmsKeyId)
	}
	source, key, servers := from.Key, s.Key, a.Service
	gone := from.Location != nil && from.Location.Gone
	a.Go(func(ctx context.Context) {
		latency := servers.latency(a.Latencies().DBSnapshot)
		err := servers.needs.Engine.CopySnapshot(ctx, source, key)
		select {
		case <-ctx.Done():
			return
		case <-latency:
		}
		if gone && err == nil {
			err = errSourceGone
		}
		servers.update(func(a tx) { a.finishSnapshot(key, err) })
	})
	out := a.describeSnapshot(s)
	return &rds.CopyDBSnapshotOutput{DBSnapshot: &out}, nil
}

// RestoreDBInstanceFromDBSnapshot creates an instance with the snapshot's data,
// users and passwords.
func (a tx) RestoreDBInstanceFromDBSnapshot(in *rds.RestoreDBInstanceFromDBSnapshotInput) (*rds.RestoreDBInstanceFromDBSnapshotOutput, error) {
	if err := onlyKnown(in, "DBInstanceIdentifier", "DBSnapshotIdentifier", "DBInstanceClass", "DBSubnetGroupName", "DBParameterGroupName", "VpcSecurityGroupIds",
		"PubliclyAccessible", "MultiAZ", "AvailabilityZone", "StorageType", "Iops", "StorageThroughput", "AllocatedStorage", "CopyTagsToSnapshot", "DeletionProtection",
		"AutoMinorVersionUpgrade", "BackupRetentionPeriod", "PreferredBackupWindow", "EnableCloudwatchLogsExports", "Tags", "Engine", "Port", "LicenseModel",
		"CACertificateIdentifier", "NetworkType", "EngineLifecycleSupport"); err != nil {
		return nil, err
	}
	if err := a.ready(instanceNeedsRole); err != nil {
		return nil, err
	}
	s, err := a.restorable(in.DBSnapshotIdentifier)
	if err != nil {
		return nil, err
	}
	if s.Status != dbAvailable {
		return nil, kernel.Fail("InvalidDBSnapshotState", "Cannot restore from the snapshot because it is not currently in the available state.")
	}
	if in.Engine != nil && *in.Engine != engineName {
		return nil, kernel.Fail("InvalidParameterValue", "Invalid DB engine: %s. The local cloud has postgres", *in.Engine)
	}
	was := s.Instance
	// Without IOPS in the request they are those of the snapshot.
	if err := checkIOPS(value(in.StorageType, was.StorageType), value(in.AllocatedStorage, was.Storage), in.Iops != nil || in.StorageThroughput != nil, value(in.Iops, was.IOPS)); err != nil {
		return nil, err
	}
	if in.AllocatedStorage != nil && *in.AllocatedStorage < was.Storage {
		return nil, kernel.Fail("InvalidParameterCombination", "The allocated storage can't be less than the snapshot's %d GiB.", was.Storage)
	}
	db := &instance{
		Class: value(in.DBInstanceClass, was.Class), Storage: value(in.AllocatedStorage, was.Storage), StorageType: value(in.StorageType, was.StorageType),
		IOPS: value(in.Iops, was.IOPS), Throughput: value(in.StorageThroughput, was.Throughput), Encrypted: was.Encrypted, KMSKey: was.KMSKey,
		Version: was.Version, DBName: was.DBName, User: was.User, MultiAZ: aws.ToBool(in.MultiAZ), Public: aws.ToBool(in.PubliclyAccessible),
		Backups: value(in.BackupRetentionPeriod, was.Backups), BackupWindow: value(in.PreferredBackupWindow, was.BackupWindow), Window: was.Window,
		Protected: aws.ToBool(in.DeletionProtection), CopyTags: aws.ToBool(in.CopyTagsToSnapshot), AutoMinor: value(in.AutoMinorVersionUpgrade, was.AutoMinor),
		Logs: slices.Clone(in.EnableCloudwatchLogsExports), Lifecycle: cmp.Or(aws.ToString(in.EngineLifecycleSupport), was.Lifecycle), Source: s.Key,
	}
	db.locate(in.Port)
	if err := a.addInstance(db, instanceReferences{
		id: in.DBInstanceIdentifier, subnetGroup: in.DBSubnetGroupName, parameterGroup: in.DBParameterGroupName, groups: in.VpcSecurityGroupIds,
		zone: in.AvailabilityZone, tags: in.Tags,
	}); err != nil {
		return nil, err
	}
	a.event(types.SourceTypeDbInstance, db.ID, "restoration", "Restored from snapshot "+s.ID)
	out := a.describeInstance(db)
	return &rds.RestoreDBInstanceFromDBSnapshotOutput{DBInstance: &out}, nil
}

// backupARN names the automated backups of an instance.
func (a tx) backupARN(db *instance) string {
	return a.ARN("rds", db.backups())
}

// backups names the instance's automated backups in their ARNs.
func (db *instance) backups() string {
	return "auto-backup:ab-" + strings.ToLower(strings.TrimPrefix(db.Resource, "db-"))
}

// StartDBInstanceAutomatedBackupsReplication is asked of another region, to which the local
// cloud notes that backups are replicated. They outlive their instance: only a call to that
// region deletes them.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/AutomatedBackups.Delete.html
func (a tx) StartDBInstanceAutomatedBackupsReplication(in *rds.StartDBInstanceAutomatedBackupsReplicationInput) (*rds.StartDBInstanceAutomatedBackupsReplicationOutput, error) {
	_, name, _ := strings.Cut(aws.ToString(in.SourceDBInstanceArn), ":db:")
	db, err := a.instance(&name)
	if err != nil {
		return nil, err
	}
	if a.RequestRegion() == a.Region() || slices.Contains(db.Replicated, a.RequestRegion()) {
		return nil, kernel.Fail("InvalidDBInstanceState", "The automated backups of %s can't be replicated to %s.", db.ID, a.RequestRegion())
	}
	db.Replicated = append(db.Replicated, a.RequestRegion())
	return &rds.StartDBInstanceAutomatedBackupsReplicationOutput{DBInstanceAutomatedBackup: &types.DBInstanceAutomatedBackup{
		DBInstanceAutomatedBackupsArn: aws.String(a.replicatedARN(db, a.RequestRegion())), DBInstanceArn: in.SourceDBInstanceArn, Region: aws.String(a.Region()), Status: aws.String("pending"),
	}}, nil
}

// replicatedARN is that of an instance's backups in another region.
func (a tx) replicatedARN(db *instance, region string) string {
	return "arn:" + a.Partition() + ":rds:" + region + ":" + a.Account() + ":" + db.backups()
}

// DescribeDBInstanceAutomatedBackups lists what is kept of instances with
// backups, and of deleted ones whose backups were retained. A name "must match the identifier of
// an existing DB instance", and so finds nothing that was retained:
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBInstanceAutomatedBackups.html
// Backups do not have the tags of their instance:
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Tagging.html
func (a tx) DescribeDBInstanceAutomatedBackups(in *rds.DescribeDBInstanceAutomatedBackupsInput) (*rds.DescribeDBInstanceAutomatedBackupsOutput, error) {
	all := []types.DBInstanceAutomatedBackup{}
	add := func(db *instance, status string) error {
		match, err := matches(in.Filters, map[string]string{"db-instance-id": db.ID, "dbi-resource-id": db.Resource, "status": status})
		if err != nil {
			return err
		}
		arn := a.backupARN(db)
		if !match || in.DBInstanceIdentifier != nil && (status == "retained" || !strings.EqualFold(*in.DBInstanceIdentifier, db.ID)) || in.DbiResourceId != nil && *in.DbiResourceId != db.Resource ||
			in.DBInstanceAutomatedBackupsArn != nil && *in.DBInstanceAutomatedBackupsArn != arn {
			return nil
		}
		b := types.DBInstanceAutomatedBackup{
			DBInstanceAutomatedBackupsArn: aws.String(arn), DBInstanceArn: aws.String(a.ARN("rds", "db:"+db.ID)), DBInstanceIdentifier: aws.String(db.ID),
			DbiResourceId: aws.String(db.Resource), Status: aws.String(status), BackupRetentionPeriod: aws.Int32(db.Backups), AllocatedStorage: aws.Int32(db.Storage),
			Engine: aws.String(engineName), EngineVersion: aws.String(db.Version), Encrypted: aws.Bool(db.Encrypted), KmsKeyId: kernel.NonEmpty(db.KMSKey), LicenseModel: aws.String(license),
			MasterUsername: aws.String(db.User), Region: aws.String(a.Region()), StorageType: aws.String(db.StorageType), AvailabilityZone: aws.String(db.Zone),
			BackupTarget: aws.String("region"), TagList: kernel.TagList(db.BackupTags, newTag), AwsBackupRecoveryPointArn: kernel.NonEmpty(a.recoveryPoint(db)),
		}
		if !db.Created.IsZero() {
			b.InstanceCreateTime = aws.Time(db.Created)
		}
		all = append(all, b)
		return nil
	}
	for _, db := range a.state().Instances {
		if db.Backups > 0 {
			if err := add(db, "active"); err != nil {
				return nil, err
			}
		}
	}
	for _, db := range a.state().Retained {
		if err := add(db, "retained"); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 && in.DbiResourceId != nil {
		return nil, kernel.Fail("DBInstanceAutomatedBackupNotFound", "Automated backup for resource ID %s not found.", *in.DbiResourceId)
	}
	if len(all) == 0 && in.DBInstanceIdentifier != nil { // the only error that the model has
		return nil, kernel.Fail("DBInstanceAutomatedBackupNotFound", "Automated backup for %s not found.", *in.DBInstanceIdentifier)
	}
	page, next, err := page(all, in.MaxRecords, in.Marker)
	if err != nil {
		return nil, err
	}
	return &rds.DescribeDBInstanceAutomatedBackupsOutput{DBInstanceAutomatedBackups: page, Marker: next}, nil
}

// DeleteDBInstanceAutomatedBackup deletes what was retained of a deleted
// instance. What AWS Backup holds is deleted with its recovery point. No page has the words of
// that error: https://docs.aws.amazon.com/aws-backup/latest/devguide/point-in-time-recovery-stopping.html
func (a tx) DeleteDBInstanceAutomatedBackup(in *rds.DeleteDBInstanceAutomatedBackupInput) (*rds.DeleteDBInstanceAutomatedBackupOutput, error) {
	is := func(db *instance) bool {
		return db.Resource == aws.ToString(in.DbiResourceId) || a.backupARN(db) == aws.ToString(in.DBInstanceAutomatedBackupsArn)
	}
	if slices.ContainsFunc(a.state().Instances, is) {
		return nil, kernel.Fail("InvalidDBInstanceAutomatedBackupState", "The automated backups of an existing instance can't be deleted: set its retention to 0.")
	}
	at := slices.IndexFunc(a.state().Retained, is)
	if at < 0 {
		return nil, kernel.Fail("DBInstanceAutomatedBackupNotFound", "Automated backup not found: %s%s", aws.ToString(in.DbiResourceId), aws.ToString(in.DBInstanceAutomatedBackupsArn))
	}
	db := a.state().Retained[at]
	if point := a.recoveryPoint(db); point != "" {
		return nil, kernel.Fail("InvalidDBInstanceAutomatedBackupState", "The automated backup is associated with the following AwsBackupRecoveryPointArn: %s", point)
	}
	a.state().Retained = slices.Delete(a.state().Retained, at, at+1)
	a.dropBackups(db.Resource)
	return &rds.DeleteDBInstanceAutomatedBackupOutput{DBInstanceAutomatedBackup: &types.DBInstanceAutomatedBackup{
		DBInstanceAutomatedBackupsArn: aws.String(a.backupARN(db)), DBInstanceIdentifier: aws.String(db.ID), DbiResourceId: aws.String(db.Resource), Status: aws.String("deleting"),
	}}, nil
}

// takeSnapshots takes the instance's snapshots that are being created, one
// after the other.
func (s *Service) takeSnapshots(ctx context.Context, resource string) error {
	var pending []snapshot
	s.view(func(a tx) {
		for _, x := range a.state().Snapshots {
			if x.Instance.Resource == resource && x.Status == dbCreating {
				pending = append(pending, *x)
			}
		}
	})
	var errs []error
	for _, x := range pending {
		d := s.Latencies().DBSnapshot
		if x.Type == snapshotAutomated {
			d = s.Latencies().DBBackup
		}
		latency := s.latency(d)
		var err error
		if !s.needs.Engine.HasSnapshot(x.Key) { // it may be there from before a restart
			// A server that was killed with the cloud first recovers.
			var server Server
			if server, err = s.ensureRunning(ctx, resource); err == nil {
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
		s.update(func(a tx) { a.finishSnapshot(x.Key, err) })
	}
	return errors.Join(errs...)
}

// finishSnapshot notes how a snapshot ended.
func (a tx) finishSnapshot(key string, err error) {
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
