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
	"github.com/bookctl/bookctl/internal/localcloud/network"
	"github.com/bookctl/bookctl/internal/localcloud/postgres"
	"github.com/bookctl/bookctl/internal/pattern"
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
	Created  time.Time         `json:"created,omitzero"` // when it was first up

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
		return ""
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

var masterName = pattern.New(`^[a-zA-Z][a-zA-Z0-9_]{0,62}$`)

// checkPassword has RDS's rules; its errors must not show the password.
func checkPassword(password string) error {
	switch {
	case len(password) < 8:
		return kernel.Fail("InvalidParameterValue", "The parameter MasterUserPassword is not a valid password because it is shorter than 8 characters.")
	case len(password) > 128:
		return kernel.Fail("InvalidParameterValue", "The parameter MasterUserPassword is not a valid password because it is longer than 128 characters.")
	case strings.ContainsFunc(password, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`/@"`, r) }):
		return kernel.Fail("InvalidParameterValue", "The parameter MasterUserPassword is not a valid password. Only printable ASCII characters besides '/', '@', '\"', ' ' may be used.")
	}
	return nil
}

func checkStorage(kind string, gib int32) error {
	if !slices.Contains([]string{"gp2", "gp3", "io1", "io2"}, kind) {
		return kernel.Fail("InvalidParameterValue", "Invalid storage type: %s", kind)
	}
	if gib < leastGiB || gib > mostGiB {
		return kernel.Fail("InvalidParameterValue", "Invalid storage size for engine name postgres and storage type %s: %d", kind, gib)
	}
	return nil
}

// stripedGiB is from where on gp3 storage is striped over four volumes, and has more
// IOPS and throughput: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html#gp3-storage
const stripedGiB = 400

// gp3Baseline is what gp3 storage of a size has where nothing else is asked for.
func gp3Baseline(gib int32) (iops, throughput int32) {
	if gib < stripedGiB {
		return 3000, 125
	}
	return 12000, 500
}

// checkIOPS has the rules of gp3 in the words of RDS, for storage that gets the size.
// Named says that the request names IOPS or throughput, iops what it will have
// (hashicorp/terraform-provider-aws #28160, #28382, #28589, #33512).
func checkIOPS(kind string, gib int32, named bool, iops int32) error {
	if kind != "gp3" {
		return nil
	}
	least, _ := gp3Baseline(gib)
	switch {
	case gib < stripedGiB && named:
		return kernel.Fail("InvalidParameterCombination", "You can't specify IOPS or storage throughput for engine postgres and a storage size less than %d.", stripedGiB)
	case gib >= stripedGiB && iops < least:
		return kernel.Fail("InvalidParameterCombination", "Invalid iops value for engine name postgres and storage type gp3: %d", iops)
	}
	return nil
}

// withBaseline gives gp3 storage what it has by its size, where nothing else was
// asked for.
func (db *instance) withBaseline() {
	if db.StorageType != "gp3" {
		return
	}
	iops, throughput := gp3Baseline(db.Storage)
	db.IOPS, db.Throughput = max(db.IOPS, iops), max(db.Throughput, throughput)
}

// checkLimit has RDS's rule for the limit of growth, which is none where it is the
// size itself.
func checkLimit(limit, gib int32) error {
	if limit != 0 && limit != gib && int64(limit)*10 < int64(gib)*11 {
		return kernel.Fail("InvalidParameterCombination", "The maximum allocated storage must be increased by at least 10 percent.")
	}
	return nil
}

func checkBackups(days int32) error {
	if days < 0 || days > mostBackups {
		return kernel.Fail("InvalidParameterValue", "Invalid backup retention period: %d. Must be between 0 and %d.", days, mostBackups)
	}
	return nil
}

// value is *p, or the other value for nil.
func value[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// reserved reports whether RDS keeps a word from names. It publishes no list; people have
// posted that it refuses these.
func reserved(word string) bool {
	return slices.Contains([]string{"admin", "catalog", "comments", "current_user", "dispatch", "flag", "grant", "user"}, strings.ToLower(word))
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
	if err := a.ready(); err != nil {
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
	if err := a.place(db, placement{
		id: in.DBInstanceIdentifier, subnetGroup: in.DBSubnetGroupName, parameterGroup: in.DBParameterGroupName, groups: in.VpcSecurityGroupIds,
		zone: in.AvailabilityZone, tags: in.Tags,
	}); err != nil {
		return nil, err
	}
	out := a.describeInstance(db)
	return &rds.CreateDBInstanceOutput{DBInstance: &out}, nil
}

// placement is what of a new instance refers to other resources.
type placement struct {
	id, subnetGroup, parameterGroup, zone *string
	groups                                []string
	tags                                  []types.Tag
}

// place checks a new instance, gives it its place in the network and starts
// making it.
func (a tx) place(db *instance, p placement) error {
	id, err := identifier("DBInstanceIdentifier", p.id)
	if err != nil {
		return err
	}
	db.ID = id
	if slices.ContainsFunc(a.state().Instances, func(x *instance) bool { return x.ID == id }) {
		return kernel.Fail("DBInstanceAlreadyExists", "DB instance already exists")
	}
	if !slices.Contains(dbClasses(), db.Class) {
		return kernel.Fail("InvalidParameterValue", "Invalid DB Instance class: %s", db.Class)
	}
	if err := checkStorage(db.StorageType, db.Storage); err != nil {
		return err
	}
	if err := checkBackups(db.Backups); err != nil {
		return err
	}
	if db.MostStorage != 0 && db.MostStorage <= db.Storage {
		return kernel.Fail("InvalidParameterCombination", "Max storage size must be greater than storage size")
	}
	if err := checkLimit(db.MostStorage, db.Storage); err != nil {
		return err
	}
	db.withBaseline()
	if db.Tags, err = addTags(nil, p.tags); err != nil {
		return err
	}
	group := value(p.parameterGroup, defaultGroupName(db.Version))
	parameters, err := a.parameterGroup(&group)
	if err != nil {
		return err
	}
	if err := parameters.fits(db.Version); err != nil {
		return err
	}
	db.ParameterGroup, db.Applied = parameters.Name, parameters.Values
	var subnets *subnetGroup
	if p.subnetGroup == nil {
		subnets, err = a.defaultSubnetGroup()
	} else {
		subnets, err = a.subnetGroup(p.subnetGroup)
	}
	if err != nil {
		return err
	}
	db.SubnetGroup = subnets.Name
	if db.Groups, err = a.checkGroups(p.groups, subnets.VPC); err != nil {
		return err
	}
	subnet, err := a.chooseSubnet(db, subnets, p.zone)
	if err != nil {
		return err
	}
	i, err := a.needs.Network.Attach(a.Tx, network.Spec{
		SubnetID: subnet, Groups: db.Groups, Description: "RDSNetworkInterface", RequesterID: "amazon-rds", Public: db.Public,
	})
	if err != nil {
		return err
	}
	db.Interface, db.Groups = i.ID, slices.Clone(i.Groups)
	db.Resource = "db-" + kernel.RandomText(26, kernel.Capitals+kernel.Digits)
	db.Status = dbCreating
	a.state().Instances = append(a.state().Instances, db)
	a.Born(db.Resource)
	a.beginWork(db.Resource, a.create)
	return nil
}

// fits checks that instances of a version may have the group.
func (g *parameterGroup) fits(version string) error {
	if family := familyOf(version); g.Family != family {
		return kernel.Fail("InvalidParameterCombination", "The Parameter Group %s with DBParameterGroupFamily %s can't be used for this instance. Please use a Parameter Group with DBParameterGroupFamily %s", g.Name, g.Family, family)
	}
	return nil
}

// checkGroups wants security groups of the VPC; none means its default one.
func (a tx) checkGroups(ids []string, vpc string) ([]string, error) {
	for _, id := range ids {
		own, ok := a.needs.Network.GroupVPC(a.Tx, id)
		if !ok || !a.Visible(id) {
			return nil, kernel.Fail("InvalidParameterValue", "Invalid security group , groupId= %s, groupName=.", id)
		}
		if own != vpc {
			return nil, kernel.Fail("InvalidParameterCombination", "The DB instance and EC2 security group are in different VPCs. The DB instance is in %s and the EC2 security group is in %s", vpc, own)
		}
	}
	return slices.Clone(ids), nil
}

// chooseSubnet picks a subnet in a zone that has the class, and sets the
// instance's zones.
func (a tx) chooseSubnet(db *instance, group *subnetGroup, zone *string) (string, error) {
	have := a.classZones(db.Class)
	var zones, ids []string
	for _, id := range group.Subnets {
		if s, ok := a.needs.Network.Subnet(a.Tx, id); ok && slices.Contains(have, s.Zone) && !slices.Contains(zones, s.Zone) {
			zones, ids = append(zones, s.Zone), append(ids, id)
		}
	}
	at := 0
	if zone != nil {
		if db.MultiAZ {
			return "", kernel.Fail("InvalidParameterCombination", "Requesting a specific availability zone is not valid for Multi-AZ instances.")
		}
		if at = slices.Index(zones, *zone); at < 0 {
			// As hashicorp/terraform-provider-aws #20712 shows it.
			return "", kernel.Fail("InvalidVPCNetworkStateFault", "Cannot create a %s database instance because there is not a subnet in %s, the targeted availability zone. Create a new subnet in %s and target that availability zone again, or retry the launch with no availability zone, or choose from these availability zones: %s.", db.Class, *zone, *zone, strings.Join(zones, ", "))
		}
	}
	need := 1
	if db.MultiAZ {
		need = 2
	}
	if len(zones) < need {
		// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Troubleshooting.html#CHAP_Troubleshooting.Capacity
		return "", kernel.Fail("InsufficientDBInstanceCapacity", "DB instance class %s is not available in enough availability zones of DB subnet group %s: it is in [%s], and %d needed.", db.Class, group.Name, strings.Join(zones, ", "), need)
	}
	db.Zone = zones[at]
	if db.MultiAZ {
		db.SecondZone = zones[1]
	}
	return ids[at], nil
}

// ModifyDBInstance changes what it can at once; the rest happens in the state
// modifying, now or, without ApplyImmediately, in a maintenance window that
// never comes here. It is refused unless the instance is up; a modification
// during a backup is done after it (integr8ly/cloud-resource-operator PR #186).
func (a tx) ModifyDBInstance(in *rds.ModifyDBInstanceInput) (*rds.ModifyDBInstanceOutput, error) {
	if err := onlyKnown(in, "DBInstanceIdentifier", "ApplyImmediately", "DBInstanceClass", "AllocatedStorage", "MaxAllocatedStorage", "StorageType", "Iops", "StorageThroughput",
		"MultiAZ", "BackupRetentionPeriod", "MasterUserPassword", "VpcSecurityGroupIds", "DBParameterGroupName", "DeletionProtection", "PubliclyAccessible",
		"CopyTagsToSnapshot", "AutoMinorVersionUpgrade", "PreferredBackupWindow", "PreferredMaintenanceWindow", "EngineVersion", "EnablePerformanceInsights",
		"PerformanceInsightsRetentionPeriod", "CloudwatchLogsExportConfiguration", "CACertificateIdentifier", "AllowMajorVersionUpgrade", "CertificateRotationRestart"); err != nil {
		return nil, err
	}
	db, err := a.instance(in.DBInstanceIdentifier)
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{dbAvailable, dbBackingUp, dbBadParameter}, db.Status) {
		return nil, kernel.Fail("InvalidDBInstanceState", "Database instance is not in available state.")
	}
	next := *db
	pending := &next.Pending
	if in.DBInstanceClass != nil {
		if !slices.Contains(dbClasses(), *in.DBInstanceClass) {
			return nil, kernel.Fail("InvalidParameterValue", "Invalid DB Instance class: %s", *in.DBInstanceClass)
		}
		if !slices.Contains(a.classZones(*in.DBInstanceClass), db.Zone) {
			return nil, kernel.Fail("InsufficientDBInstanceCapacity", "DB instance class %s is not available in availability zone %s.", *in.DBInstanceClass, db.Zone)
		}
		pending.Class = changed(*in.DBInstanceClass, db.Class)
	}
	if err := a.modifyStorage(in, db, pending); err != nil {
		return nil, err
	}
	if in.MultiAZ != nil && *in.MultiAZ != db.MultiAZ {
		pending.MultiAZ = aws.Bool(*in.MultiAZ)
	}
	if in.BackupRetentionPeriod != nil {
		if err := checkBackups(*in.BackupRetentionPeriod); err != nil {
			return nil, err
		}
		if arn := a.recoveryPoint(db); arn != "" && *in.BackupRetentionPeriod != db.Backups {
			// crossplane-contrib/provider-aws #1356, aws-controllers-k8s/community #2216
			return nil, kernel.Fail("InvalidParameterValue", "Your RDS instance %s is associated with an AWS Backup resource with id %s. You can leave BackupRetentionPeriod blank, or you can specify it only with the current value %d. For more details, see the AWS Backup documentation.", db.ID, arn, db.Backups)
		}
		if *in.BackupRetentionPeriod != db.Backups {
			pending.Backups = aws.Int32(*in.BackupRetentionPeriod)
		}
	}
	if err := a.modifyVersion(in, &next); err != nil {
		return nil, err
	}
	if in.MasterUserPassword != nil {
		if err := checkPassword(*in.MasterUserPassword); err != nil {
			return nil, err
		}
		if pending.Verifier, err = postgres.NewVerifier(*in.MasterUserPassword); err != nil {
			return nil, err
		}
	}
	if in.MaxAllocatedStorage != nil {
		next.MostStorage = *in.MaxAllocatedStorage
		if err := checkLimit(next.MostStorage, max(db.Storage, pending.Storage)); err != nil {
			return nil, err
		}
		if next.MostStorage <= max(db.Storage, pending.Storage) {
			next.MostStorage = 0 // the size itself turns growth off
		}
	}
	if in.VpcSecurityGroupIds != nil {
		i, _ := a.needs.Network.Interface(a.Tx, db.Interface)
		if next.Groups, err = a.checkGroups(in.VpcSecurityGroupIds, i.VPC); err != nil {
			return nil, err
		}
	}
	for to, from := range map[*bool]*bool{
		&next.Protected: in.DeletionProtection, &next.Public: in.PubliclyAccessible, &next.CopyTags: in.CopyTagsToSnapshot,
		&next.AutoMinor: in.AutoMinorVersionUpgrade, &next.Insights: in.EnablePerformanceInsights,
	} {
		if from != nil {
			*to = *from
		}
	}
	next.BackupWindow, next.Window = value(in.PreferredBackupWindow, db.BackupWindow), value(in.PreferredMaintenanceWindow, db.Window)
	next.InsightsDays = value(in.PerformanceInsightsRetentionPeriod, db.InsightsDays)
	if x := in.CloudwatchLogsExportConfiguration; x != nil {
		next.Logs = slices.DeleteFunc(append(slices.Clone(db.Logs), x.EnableLogTypes...), func(l string) bool { return slices.Contains(x.DisableLogTypes, l) })
		slices.Sort(next.Logs)
		next.Logs = slices.Compact(next.Logs)
	}
	a.needs.Network.Change(a.Tx, db.Interface, next.Groups, next.Public)
	// A password is always changed at once.
	pending.Now = pending.Now || aws.ToBool(in.ApplyImmediately)
	*db = next
	if db.Pending.any() && (db.Pending.Now || db.Pending.Verifier != "") {
		// On AWS it stays available for a while, and only the pending values show the change.
		if db.Status != dbBackingUp && a.Latencies().DBModifyStart == 0 {
			db.Status = db.Pending.status()
		}
		a.beginWork(db.Resource, a.modify)
	}
	out := a.describeInstance(db)
	return &rds.ModifyDBInstanceOutput{DBInstance: &out}, nil
}

// modifyStorage changes size, kind and performance of the storage.
func (a tx) modifyStorage(in *rds.ModifyDBInstanceInput, db *instance, pending *pendingChange) error {
	if in.AllocatedStorage != nil || in.StorageType != nil {
		size, kind := value(in.AllocatedStorage, db.Storage), value(in.StorageType, db.StorageType)
		if err := checkStorage(kind, size); err != nil {
			return err
		}
		if size < db.Storage {
			return kernel.Fail("InvalidParameterCombination", "Invalid storage size: the allocated storage of %s is %d GiB and can't be decreased to %d GiB.", db.ID, db.Storage, size)
		}
		// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
		if size != db.Storage && size*10 < db.Storage*11 {
			return kernel.Fail("InvalidParameterCombination", "Invalid storage modification - the value requested should be at least 10 percent more than the current storage size.")
		}
		named := in.Iops != nil || in.StorageThroughput != nil
		switch {
		case size == db.Storage && kind == db.StorageType:
		case a.Faults().StorageOptimizing || a.Now().Before(db.Optimized):
			// hashicorp/terraform-provider-aws #12493
			return kernel.Fail("InvalidParameterCombination", "You can't currently modify the storage of this DB instance because the previous storage change is being optimized.")
		case kind == "gp3" && db.StorageType == "gp3" && db.Storage >= stripedGiB && in.Iops == nil:
			return kernel.Fail("InvalidParameterCombination", "You must specify both the storage size and iops when modifying the storage size or iops on a DB instance that has iops.")
		}
		if err := checkIOPS(kind, size, named, value(in.Iops, db.IOPS)); err != nil {
			return err
		}
		pending.Storage, pending.StorageType = changed(size, db.Storage), changed(kind, db.StorageType)
	}
	if in.Iops != nil {
		if err := checkIOPS(value(in.StorageType, db.StorageType), value(in.AllocatedStorage, db.Storage), true, *in.Iops); err != nil {
			return err
		}
		pending.IOPS = changed(*in.Iops, db.IOPS)
	}
	if in.StorageThroughput != nil {
		pending.Throughput = changed(*in.StorageThroughput, db.Throughput)
	}
	return nil
}

// modifyVersion changes the version and the parameter group, which has to fit it.
func (a tx) modifyVersion(in *rds.ModifyDBInstanceInput, next *instance) (err error) {
	version := next.Version
	if in.EngineVersion != nil {
		if version, err = a.upgradeTo(next, *in.EngineVersion, aws.ToBool(in.AllowMajorVersionUpgrade)); err != nil {
			return err
		}
		next.Pending.Version, next.Pending.Group = changed(version, next.Version), ""
	}
	if in.DBParameterGroupName != nil {
		g, err := a.parameterGroup(in.DBParameterGroupName)
		if err == nil {
			err = g.fits(version)
		}
		if err != nil {
			return err
		}
		if version != next.Version {
			next.Pending.Group = g.Name
		} else if g.Name != next.ParameterGroup {
			// Even the dynamic ones of a new group wait for a reboot:
			// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithParamGroups.Associating.html
			next.ParameterGroup, next.PendingReboot = g.Name, true
		}
	}
	if next.Pending.Version != "" && next.Pending.Group == "" {
		// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_UpgradeDBInstance.PostgreSQL.MajorVersion.Process.html
		if g, err := a.parameterGroup(&next.ParameterGroup); err == nil && !strings.HasPrefix(g.Name, "default.") {
			return g.fits(next.Pending.Version)
		}
		next.Pending.Group = defaultGroupName(next.Pending.Version)
	}
	return nil
}

// upgradeTo is the version that an instance is to have, in RDS's words where it can't
// (hashicorp/terraform-provider-aws #16771, #24908).
func (a tx) upgradeTo(db *instance, asked string, allowed bool) (string, error) {
	version, err := a.version(&asked)
	switch {
	case err != nil || version == db.Version:
		return version, err
	case !a.needs.Engine.Upgrades(db.Version, version):
		return "", kernel.Fail("InvalidParameterCombination", "Cannot upgrade postgres from %s to %s", db.Version, version)
	case !allowed:
		return "", kernel.Fail("InvalidParameterCombination", "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version.")
	}
	return version, nil
}

// changed is the wanted value if it is another one, else zero.
func changed[T comparable](want, have T) T {
	var none T
	if want == have {
		return none
	}
	return want
}

// status is how an instance is called while the modification happens.
func (p pendingChange) status() string {
	if p.Version != "" && p.Now {
		return dbUpgrading
	}
	only := p
	only.Verifier = ""
	if p.Verifier != "" && (!p.Now || !only.any()) {
		return dbResetting
	}
	return dbModifying
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
	skip := aws.ToBool(in.SkipFinalSnapshot)
	switch {
	case db.Status == dbDeleting:
		return nil, kernel.Fail("InvalidDBInstanceState", "Instance %s is already being deleted.", db.ID)
	case db.Protected:
		return nil, kernel.Fail("InvalidParameterCombination", "Cannot delete protected DB Instance, please disable deletion protection and try again.")
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
	db.KeepBackups = in.DeleteAutomatedBackups != nil && !*in.DeleteAutomatedBackups
	a.endWork(db.Resource)
	a.beginWork(db.Resource, a.remove)
	out := a.describeInstance(db)
	return &rds.DeleteDBInstanceOutput{DBInstance: &out}, nil
}

// eventText is the message of an error's event.
func eventText(what string, err error) string { return fmt.Sprintf("%s: %v", what, err) }
