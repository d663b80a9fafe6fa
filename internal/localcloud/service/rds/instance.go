package rds

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/postgres"
)

// The statuses of an instance here, of all that there are:
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html
const (
	dbCreating     = "creating"
	dbBackingUp    = "backing-up"
	dbAvailable    = "available"
	dbModifying    = "modifying"
	dbResetting    = "resetting-master-credentials"
	dbRebooting    = "rebooting"
	dbStopping     = "stopping"
	dbStopped      = "stopped"
	dbStarting     = "starting"
	dbDeleting     = "deleting"
	dbFailed       = "failed"
	dbBadRestore   = "restore-error"
	dbBadParameter = "incompatible-parameters"
	dbUpgrading    = "upgrading"
	dbOptimizing   = "storage-optimization"
)

// instance is an instance. Behind it is the PostgreSQL server that has its
// resource id for a name.
type instance struct {
	ID       string            `json:"id"`
	Resource string            `json:"resource"` // unique for ever, unlike ID
	Status   string            `json:"status"`
	Tags     map[string]string `json:"tags,omitempty"`
	// BackupTags are those of its automated backups.
	BackupTags map[string]string `json:"backupTags,omitempty"`
	Created    time.Time         `json:"created,omitzero"` // when it was first up

	Class          string   `json:"class"`
	Storage        int32    `json:"storage"` // GiB
	MostStorage    int32    `json:"mostStorage,omitempty"`
	StorageType    string   `json:"storageType"`
	IOPS           int32    `json:"iops,omitempty"`
	Throughput     int32    `json:"throughput,omitempty"`
	Encrypted      bool     `json:"encrypted,omitempty"`
	KMSKey         string   `json:"kmsKey,omitempty"`
	Version        string   `json:"version"`
	DBName         string   `json:"dbName,omitempty"`
	User           string   `json:"user"`
	SubnetGroup    string   `json:"subnetGroup"`
	ParameterGroup string   `json:"parameterGroup"`
	Groups         []string `json:"groups"` // security groups
	Zone           string   `json:"zone"`
	SecondZone     string   `json:"secondZone,omitempty"`
	MultiAZ        bool     `json:"multiAZ,omitempty"`
	Public         bool     `json:"public,omitempty"`
	Backups        int32    `json:"backups"` // days
	BackupWindow   string   `json:"backupWindow"`
	Window         string   `json:"window"` // for maintenance
	Protected      bool     `json:"protected,omitempty"`
	CopyTags       bool     `json:"copyTags,omitempty"`
	AutoMinor      bool     `json:"autoMinor,omitempty"`
	Insights       bool     `json:"insights,omitempty"`
	InsightsDays   int32    `json:"insightsDays,omitempty"`
	Logs           []string `json:"logs,omitempty"`
	Lifecycle      string   `json:"lifecycle,omitempty"` // engine support, "" for the default
	Exported       int64    `json:"exported,omitempty"`  // bytes of the log that CloudWatch has
	Interface      string   `json:"interface,omitempty"` // its id
	Host           string   `json:"host,omitempty"`      // its own loopback address; "" is localhost
	Port           int      `json:"port,omitempty"`

	// Verifier is the master password's until the server knows it.
	Verifier postgres.Verifier `json:"verifier,omitempty"`
	// Source is the key of the snapshot it is restored from, while it is.
	Source string `json:"source,omitempty"`
	// Applied are the parameters that the server runs with.
	Applied map[string]string `json:"applied,omitempty"`
	// PendingReboot reports whether the group has others, some of which wait for a reboot.
	PendingReboot bool `json:"pendingReboot,omitempty"`
	// Pending is what a modification has yet to change.
	Pending pendingChange `json:"pending,omitzero"`
	// Optimized is until when no change of the storage is taken after the last.
	Optimized time.Time `json:"optimized,omitzero"`
	// Restarts is when a stopped one is started without being asked.
	Restarts time.Time `json:"restarts,omitzero"`
	// Replicated are the regions to which its automated backups are replicated.
	Replicated []string `json:"replicated,omitempty"`
	// KeepBackups is for an instance that is being deleted.
	KeepBackups bool `json:"keepBackups,omitempty"`
	// RecoveryPoint is the ARN under which AWS Backup held its backups when it was deleted.
	RecoveryPoint string `json:"recoveryPoint,omitempty"`
	// Final is the snapshot without which it is not deleted.
	Final string `json:"final,omitempty"`
	// Reports are the logs of upgrades that were refused.
	Reports []report `json:"reports,omitempty"`
}

// pendingChange is a modification under way, or one that waits for the maintenance
// window, which never comes here.
type pendingChange struct {
	Now         bool   `json:"now,omitempty"`
	Class       string `json:"class,omitempty"`
	Storage     int32  `json:"storage,omitempty"`
	StorageType string `json:"storageType,omitempty"`
	IOPS        int32  `json:"iops,omitempty"`
	Throughput  int32  `json:"throughput,omitempty"`
	MultiAZ     *bool  `json:"multiAZ,omitempty"`
	Backups     *int32 `json:"backups,omitempty"`
	// Version is another major version, and Group the parameter group that the
	// instance gets with it.
	Version  string            `json:"version,omitempty"`
	Group    string            `json:"group,omitempty"`
	Verifier postgres.Verifier `json:"verifier,omitempty"`
}

func (p pendingChange) any() bool {
	p.Now = false
	return p != pendingChange{}
}

// runs reports whether the server ought to be up.
func (db *instance) runs() bool {
	return slices.Contains([]string{dbAvailable, dbBackingUp, dbModifying, dbUpgrading, dbResetting, dbRebooting, dbStarting}, db.Status)
}

// shown is the status that RDS shows. After a change of the storage an instance serves and
// takes other changes for hours before it is available:
// https://repost.aws/knowledge-center/rds-stuck-in-storage-optimization
func (a tx) shown(db *instance) string {
	if db.Status == dbAvailable && a.Now().Before(db.Optimized) {
		return dbOptimizing
	}
	return db.Status
}

// instance finds an instance by its name or its resource id.
func (a tx) instance(name *string) (*instance, error) {
	for _, db := range a.state().Instances {
		if (strings.EqualFold(db.ID, aws.ToString(name)) || db.Resource == aws.ToString(name)) && a.Visible(db.Resource) {
			return db, nil
		}
	}
	return nil, kernel.Fail("DBInstanceNotFound", "DBInstance %s not found.", aws.ToString(name))
}

func (a tx) describeInstance(db *instance) types.DBInstance {
	out := types.DBInstance{
		DBInstanceIdentifier: aws.String(db.ID), DbiResourceId: aws.String(db.Resource), DBInstanceArn: aws.String(a.ARN("rds", "db:"+db.ID)),
		DBInstanceStatus: aws.String(a.shown(db)), DBInstanceClass: aws.String(db.Class), Engine: aws.String(engineName), EngineVersion: aws.String(db.Version),
		LicenseModel: aws.String(license), AllocatedStorage: aws.Int32(db.Storage), StorageType: aws.String(db.StorageType), StorageEncrypted: aws.Bool(db.Encrypted),
		MasterUsername: aws.String(db.User), DBName: kernel.NonEmpty(db.DBName), AvailabilityZone: aws.String(db.Zone), MultiAZ: aws.Bool(db.MultiAZ),
		PubliclyAccessible: aws.Bool(db.Public), BackupRetentionPeriod: aws.Int32(db.Backups), PreferredBackupWindow: aws.String(db.BackupWindow),
		PreferredMaintenanceWindow: aws.String(db.Window), DeletionProtection: aws.Bool(db.Protected), CopyTagsToSnapshot: aws.Bool(db.CopyTags),
		AutoMinorVersionUpgrade: aws.Bool(db.AutoMinor), PerformanceInsightsEnabled: aws.Bool(db.Insights), CACertificateIdentifier: aws.String(authorityName),
		CertificateDetails: &types.CertificateDetails{CAIdentifier: aws.String(authorityName)}, MonitoringInterval: aws.Int32(0), NetworkType: aws.String("IPV4"),
		BackupTarget: aws.String("region"), IAMDatabaseAuthenticationEnabled: aws.Bool(false), DbInstancePort: aws.Int32(0),
		EnabledCloudwatchLogsExports: slices.Clone(db.Logs), TagList: kernel.TagList(db.Tags, newTag), PendingModifiedValues: db.pendingValues(),
		OptionGroupMemberships: []types.OptionGroupMembership{{OptionGroupName: aws.String("default:postgres-" + majorOf(db.Version)), Status: aws.String("in-sync")}},
		KmsKeyId:               kernel.NonEmpty(db.KMSKey), SecondaryAvailabilityZone: kernel.NonEmpty(db.SecondZone),
	}
	out.AwsBackupRecoveryPointArn = kernel.NonEmpty(a.recoveryPoint(db))
	db.describeUnset(&out)
	if a.shown(db) == dbOptimizing || a.Faults().StorageOptimizing {
		left, all := db.Optimized.Sub(a.Now()), a.Scaled(a.Latencies().DBOptimize)
		out.StorageOperationStatus, out.StorageOperationPercentProgress = aws.String("Optimizing"), aws.Int32(0)
		if left > 0 && all > 0 {
			out.StorageOperationPercentProgress = aws.Int32(int32(100 - 100*left/all))
		}
	}
	for _, region := range db.Replicated {
		out.DBInstanceAutomatedBackupsReplications = append(out.DBInstanceAutomatedBackupsReplications, types.DBInstanceAutomatedBackupsReplication{DBInstanceAutomatedBackupsArn: aws.String(a.replicatedARN(db, region))})
	}
	if db.MostStorage > 0 {
		out.MaxAllocatedStorage = aws.Int32(db.MostStorage)
	}
	if db.IOPS > 0 {
		out.Iops = aws.Int32(db.IOPS)
	}
	if db.Throughput > 0 {
		out.StorageThroughput = aws.Int32(db.Throughput)
	}
	if db.Insights {
		out.PerformanceInsightsRetentionPeriod = aws.Int32(db.InsightsDays)
	}
	if db.Status == dbStopped {
		out.AutomaticRestartTime = aws.Time(db.Restarts)
	}
	// RDS returns the endpoint once the server is up for the first time.
	if !db.Created.IsZero() {
		out.InstanceCreateTime = aws.Time(db.Created)
		out.Endpoint = &types.Endpoint{Address: aws.String(db.host()), Port: aws.Int32(int32(db.Port)), HostedZoneId: aws.String("Z2R2ITUGPM61AM")}
	}
	for _, id := range db.Groups {
		out.VpcSecurityGroups = append(out.VpcSecurityGroups, types.VpcSecurityGroupMembership{VpcSecurityGroupId: aws.String(id), Status: aws.String("active")})
	}
	status := "in-sync"
	if db.PendingReboot {
		status = "pending-reboot"
	}
	out.DBParameterGroups = []types.DBParameterGroupStatus{{DBParameterGroupName: aws.String(db.ParameterGroup), ParameterApplyStatus: aws.String(status)}}
	for _, g := range a.state().SubnetGroups {
		if g.Name == db.SubnetGroup {
			x := a.describeSubnetGroup(g)
			out.DBSubnetGroup = &x
		}
	}
	if db.Backups > 0 {
		for _, s := range a.state().Snapshots {
			if s.Instance.Resource == db.Resource && s.Type == snapshotAutomated && s.Status == dbAvailable {
				out.LatestRestorableTime = aws.Time(s.Created)
			}
		}
	}
	return out
}

// recoveryPoint is the ARN of the continuous backups that AWS Backup holds of an instance, or "".
func (a tx) recoveryPoint(db *instance) string {
	if !a.Faults().BackupPlan {
		return db.RecoveryPoint
	}
	return a.ARN("backup", "recovery-point:continuous:"+strings.ToLower(db.Resource))
}

func (db *instance) pendingValues() *types.PendingModifiedValues {
	p, out := db.Pending, &types.PendingModifiedValues{}
	out.EngineVersion = kernel.NonEmpty(p.Version)
	out.DBInstanceClass, out.StorageType, out.MultiAZ, out.BackupRetentionPeriod = kernel.NonEmpty(p.Class), kernel.NonEmpty(p.StorageType), p.MultiAZ, p.Backups
	for to, value := range map[**int32]int32{&out.AllocatedStorage: p.Storage, &out.Iops: p.IOPS, &out.StorageThroughput: p.Throughput} {
		if value != 0 {
			*to = aws.Int32(value)
		}
	}
	if p.Verifier != "" {
		out.MasterUserPassword = aws.String("****")
	}
	return out
}

func (a tx) DescribeDBInstances(in *rds.DescribeDBInstancesInput) (*rds.DescribeDBInstancesOutput, error) {
	all := []types.DBInstance{}
	if in.DBInstanceIdentifier != nil {
		db, err := a.instance(in.DBInstanceIdentifier)
		if err != nil {
			return nil, err
		}
		all = append(all, a.describeInstance(db))
	} else {
		for _, db := range a.state().Instances {
			match, err := matches(in.Filters, map[string]string{"db-instance-id": db.ID, "dbi-resource-id": db.Resource, "engine": engineName, "db-cluster-id": "", "domain": ""})
			if err != nil {
				return nil, err
			}
			if match && a.Visible(db.Resource) {
				all = append(all, a.describeInstance(db))
			}
		}
	}
	page, next, err := page(all, in.MaxRecords, in.Marker)
	if err != nil {
		return nil, err
	}
	return &rds.DescribeDBInstancesOutput{DBInstances: page, Marker: next}, nil
}

// gp3Baseline is what gp3 storage of a size has where nothing else is asked for.
func gp3Baseline(gib int32) (iops, throughput int32) {
	if gib < stripedGiB {
		return 3000, 125
	}
	return 12000, 500
}

// CreateDBInstance creates an instance. Its name is unique in account and region.
func (a tx) CreateDBInstance(in *rds.CreateDBInstanceInput) (*rds.CreateDBInstanceOutput, error) {
	if err := onlyKnown(in, "DBInstanceIdentifier", "DBInstanceClass", "Engine", "EngineVersion", "AllocatedStorage", "MaxAllocatedStorage", "StorageType", "Iops",
		"StorageThroughput", "StorageEncrypted", "KmsKeyId", "DBName", "MasterUsername", "MasterUserPassword", "DBSubnetGroupName", "DBParameterGroupName",
		"VpcSecurityGroupIds", "AvailabilityZone", "MultiAZ", "PubliclyAccessible", "BackupRetentionPeriod", "PreferredBackupWindow", "PreferredMaintenanceWindow",
		"DeletionProtection", "CopyTagsToSnapshot", "AutoMinorVersionUpgrade", "EnablePerformanceInsights", "PerformanceInsightsRetentionPeriod",
		"EnableCloudwatchLogsExports", "Tags", "Port", "LicenseModel", "CACertificateIdentifier", "NetworkType", "EngineLifecycleSupport"); err != nil {
		return nil, err
	}
	if err := a.ready(instanceNeedsRole); err != nil {
		return nil, err
	}
	if aws.ToString(in.Engine) != engineName {
		return nil, kernel.Fail("InvalidParameterValue", "Invalid DB engine: %s. The local cloud has postgres", aws.ToString(in.Engine))
	}
	version, err := a.version(in.EngineVersion)
	if err != nil {
		return nil, err
	}
	user, password, name := aws.ToString(in.MasterUsername), aws.ToString(in.MasterUserPassword), aws.ToString(in.DBName)
	switch {
	case in.AllocatedStorage == nil:
		return nil, kernel.Fail("MissingParameter", "The request must contain the parameter AllocatedStorage")
	case !masterName.MatchString(user):
		return nil, kernel.Fail("InvalidParameterValue", "The parameter MasterUsername is not a valid identifier: it must begin with a letter and contain only letters, digits and underscores, 63 at most.")
	case slices.Contains([]string{"rdsadmin", "rds_superuser", "public"}, strings.ToLower(user)) || reserved(user):
		return nil, kernel.Fail("InvalidParameterValue", "MasterUsername %s cannot be used as it is a reserved word used by the engine", user)
	case name != "" && !masterName.MatchString(name):
		return nil, kernel.Fail("InvalidParameterValue", "DBName must begin with a letter and contain only alphanumeric characters.")
	case reserved(name):
		return nil, kernel.Fail("InvalidParameterValue", "DBName %s cannot be used. It is a reserved word for this engine", name)
	}
	if err := checkPassword(password); err != nil {
		return nil, err
	}
	db := &instance{
		Class: aws.ToString(in.DBInstanceClass), Storage: *in.AllocatedStorage, MostStorage: aws.ToInt32(in.MaxAllocatedStorage), StorageType: value(in.StorageType, "gp2"),
		IOPS: aws.ToInt32(in.Iops), Throughput: aws.ToInt32(in.StorageThroughput), Encrypted: aws.ToBool(in.StorageEncrypted), Version: version, DBName: name, User: user,
		MultiAZ: aws.ToBool(in.MultiAZ), Public: aws.ToBool(in.PubliclyAccessible), Backups: value(in.BackupRetentionPeriod, 1),
		BackupWindow: value(in.PreferredBackupWindow, "04:00-04:30"), Window: value(in.PreferredMaintenanceWindow, "sun:05:00-sun:05:30"),
		Protected: aws.ToBool(in.DeletionProtection), CopyTags: aws.ToBool(in.CopyTagsToSnapshot), AutoMinor: value(in.AutoMinorVersionUpgrade, true),
		Insights: aws.ToBool(in.EnablePerformanceInsights), InsightsDays: value(in.PerformanceInsightsRetentionPeriod, 7), Logs: slices.Clone(in.EnableCloudwatchLogsExports), Lifecycle: aws.ToString(in.EngineLifecycleSupport),
	}
	if named := in.Iops != nil || in.StorageThroughput != nil; named {
		if err := checkIOPS(db.StorageType, db.Storage, true, db.IOPS); err != nil {
			return nil, err
		}
	}
	if db.Encrypted {
		db.KMSKey = value(in.KmsKeyId, a.ARN("kms", defaultKey))
	}
	if db.Verifier, err = postgres.NewVerifier(password); err != nil {
		return nil, err
	}
	db.locate(in.Port)
	if err := a.addInstance(db, instanceReferences{
		id: in.DBInstanceIdentifier, subnetGroup: in.DBSubnetGroupName, parameterGroup: in.DBParameterGroupName, groups: in.VpcSecurityGroupIds,
		zone: in.AvailabilityZone, tags: in.Tags,
	}); err != nil {
		return nil, err
	}
	out := a.describeInstance(db)
	return &rds.CreateDBInstanceOutput{DBInstance: &out}, nil
}

func (a tx) available(db *instance) error {
	if a.shown(db) != dbAvailable {
		return kernel.Fail("InvalidDBInstanceState", "Instance %s is not in available state.", db.ID)
	}
	return nil
}

func (a tx) RebootDBInstance(in *rds.RebootDBInstanceInput) (*rds.RebootDBInstanceOutput, error) {
	db, err := a.instance(in.DBInstanceIdentifier)
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{dbBadParameter, dbOptimizing}, a.shown(db)) {
		if err := a.available(db); err != nil {
			return nil, err
		}
	}
	if aws.ToBool(in.ForceFailover) {
		if !db.MultiAZ {
			return nil, kernel.Fail("InvalidParameterCombination", "ForceFailover cannot be set for Single-AZ instance %s", db.ID)
		}
		db.Zone, db.SecondZone = db.SecondZone, db.Zone
		a.event(types.SourceTypeDbInstance, db.ID, "failover", "Multi-AZ instance failover started.")
	}
	db.Status = dbRebooting
	failover := aws.ToBool(in.ForceFailover)
	a.beginWork(db.Resource, func(ctx context.Context, resource string) { a.reboot(ctx, resource, failover) })
	out := a.describeInstance(db)
	return &rds.RebootDBInstanceOutput{DBInstance: &out}, nil
}

func (a tx) StopDBInstance(in *rds.StopDBInstanceInput) (*rds.StopDBInstanceOutput, error) {
	if err := onlyKnown(in, "DBInstanceIdentifier"); err != nil {
		return nil, err
	}
	db, err := a.instance(in.DBInstanceIdentifier)
	if err == nil {
		err = a.available(db)
	}
	if err != nil {
		return nil, err
	}
	db.Status = dbStopping
	a.beginWork(db.Resource, a.stop)
	out := a.describeInstance(db)
	return &rds.StopDBInstanceOutput{DBInstance: &out}, nil
}

func (a tx) StartDBInstance(in *rds.StartDBInstanceInput) (*rds.StartDBInstanceOutput, error) {
	db, err := a.instance(in.DBInstanceIdentifier)
	if err != nil {
		return nil, err
	}
	if db.Status != dbStopped {
		return nil, kernel.Fail("InvalidDBInstanceState", "Instance %s is not stopped or incompatible-network state, its current state is %s.", db.ID, db.Status)
	}
	db.Status = dbStarting
	a.beginWork(db.Resource, a.start)
	out := a.describeInstance(db)
	return &rds.StartDBInstanceOutput{DBInstance: &out}, nil
}

// DeleteDBInstance begins the deletion, with a final snapshot unless that is
// skipped. https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DeleteDBInstance.html
func (a tx) DeleteDBInstance(in *rds.DeleteDBInstanceInput) (*rds.DeleteDBInstanceOutput, error) {
	db, err := a.instance(in.DBInstanceIdentifier)
	if err != nil {
		return nil, err
	}
	skip, keep := aws.ToBool(in.SkipFinalSnapshot), in.DeleteAutomatedBackups != nil && !*in.DeleteAutomatedBackups
	switch point := a.recoveryPoint(db); {
	case db.Status == dbDeleting:
		return nil, kernel.Fail("InvalidDBInstanceState", "Instance %s is already being deleted.", db.ID)
	case db.Protected:
		return nil, kernel.Fail("InvalidParameterCombination", "Cannot delete protected DB Instance, please disable deletion protection and try again.")
	case point != "" && !keep: // https://github.com/cloudposse/terraform-aws-rds-cluster/pull/283
		return nil, kernel.Fail("InvalidParameterCombination", "RDS instance %s is associated with the following AwsBackupRecoveryPointArn: %s. NoDeleteAutomatedBackups must be specified. For more details, see the AWS Backup documentation.", db.ID, point)
	case skip && in.FinalDBSnapshotIdentifier != nil:
		return nil, kernel.Fail("InvalidParameterCombination", "You cannot specify both FinalDBSnapshotIdentifier and SkipFinalSnapshot")
	case !skip && in.FinalDBSnapshotIdentifier == nil:
		return nil, kernel.Fail("InvalidParameterCombination", "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.")
	case !skip:
		s, err := a.newSnapshot(db, "FinalDBSnapshotIdentifier", in.FinalDBSnapshotIdentifier, []string{dbAvailable, dbStopped})
		if err != nil {
			return nil, err
		}
		db.Final = s.ID
	}
	db.Status = dbDeleting
	db.KeepBackups, db.RecoveryPoint = keep, a.recoveryPoint(db)
	a.endWork(db.Resource)
	a.beginWork(db.Resource, a.remove)
	out := a.describeInstance(db)
	return &rds.DeleteDBInstanceOutput{DBInstance: &out}, nil
}

// eventText is the message of an error's event.
func eventText(what string, err error) string { return fmt.Sprintf("%s: %v", what, err) }
