package rds

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/postgres"
)

// ModifyDBInstance changes what it can at once; the rest happens in the state
// modifying, now or, without ApplyImmediately, in a maintenance window that
// never comes here. It is refused unless the instance is up; a modification
// during a backup is done after it (integr8ly/cloud-resource-operator PR #186).
func (a tx) ModifyDBInstance(in *rds.ModifyDBInstanceInput) (*rds.ModifyDBInstanceOutput, error) {
	if err := onlyKnown(in, "DBInstanceIdentifier", "ApplyImmediately", "DBInstanceClass", "AllocatedStorage", "MaxAllocatedStorage", "StorageType", "Iops", "StorageThroughput",
		"MultiAZ", "BackupRetentionPeriod", "MasterUserPassword", "VpcSecurityGroupIds", "DBParameterGroupName", "DeletionProtection", "PubliclyAccessible",
		"CopyTagsToSnapshot", "AutoMinorVersionUpgrade", "PreferredBackupWindow", "PreferredMaintenanceWindow", "EngineVersion", "EnablePerformanceInsights",
		"PerformanceInsightsRetentionPeriod", "CloudwatchLogsExportConfiguration", "CACertificateIdentifier", "AllowMajorVersionUpgrade", "CertificateRotationRestart", "EngineLifecycleSupport"); err != nil {
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
	if err := a.modifyClass(in, db, pending); err != nil {
		return nil, err
	}
	if err := a.modifyStorage(in, db, pending); err != nil {
		return nil, err
	}
	if in.MultiAZ != nil && *in.MultiAZ != db.MultiAZ {
		pending.MultiAZ = aws.Bool(*in.MultiAZ)
	}
	if err := a.modifyBackups(in, db, pending); err != nil {
		return nil, err
	}
	if err := a.modifyVersion(in, &next); err != nil {
		return nil, err
	}
	if err := modifyPassword(in, pending); err != nil {
		return nil, err
	}
	if err := a.modifyAttributes(in, db, &next); err != nil {
		return nil, err
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

// modifyClass changes the class, if the instance's zone has it.
func (a tx) modifyClass(in *rds.ModifyDBInstanceInput, db *instance, pending *pendingChange) error {
	if in.DBInstanceClass != nil {
		if !slices.Contains(dbClasses(), *in.DBInstanceClass) {
			return kernel.Fail("InvalidParameterValue", "Invalid DB Instance class: %s", *in.DBInstanceClass)
		}
		if !slices.Contains(a.classZones(*in.DBInstanceClass), db.Zone) {
			return kernel.Fail("InsufficientDBInstanceCapacity", "DB instance class %s is not available in availability zone %s.", *in.DBInstanceClass, db.Zone)
		}
		pending.Class = changed(*in.DBInstanceClass, db.Class)
	}
	return nil
}

// modifyBackups changes for how many days backups are retained.
func (a tx) modifyBackups(in *rds.ModifyDBInstanceInput, db *instance, pending *pendingChange) error {
	if in.BackupRetentionPeriod != nil {
		if err := checkBackups(*in.BackupRetentionPeriod); err != nil {
			return err
		}
		if arn := a.recoveryPoint(db); arn != "" && *in.BackupRetentionPeriod != db.Backups {
			// crossplane-contrib/provider-aws #1356, aws-controllers-k8s/community #2216
			return kernel.Fail("InvalidParameterValue", "Your RDS instance %s is associated with an AWS Backup resource with id %s. You can leave BackupRetentionPeriod blank, or you can specify it only with the current value %d. For more details, see the AWS Backup documentation.", db.ID, arn, db.Backups)
		}
		if *in.BackupRetentionPeriod != db.Backups {
			pending.Backups = aws.Int32(*in.BackupRetentionPeriod)
		}
	}
	return nil
}

// modifyPassword changes the password of the master user.
func modifyPassword(in *rds.ModifyDBInstanceInput, pending *pendingChange) (err error) {
	if in.MasterUserPassword != nil {
		if err := checkPassword(*in.MasterUserPassword); err != nil {
			return err
		}
		if pending.Verifier, err = postgres.NewVerifier(*in.MasterUserPassword); err != nil {
			return err
		}
	}
	return nil
}

// modifyAttributes changes what takes effect at once.
func (a tx) modifyAttributes(in *rds.ModifyDBInstanceInput, db, next *instance) (err error) {
	if in.MaxAllocatedStorage != nil {
		next.MostStorage = *in.MaxAllocatedStorage
		if err := checkLimit(next.MostStorage, max(db.Storage, next.Pending.Storage)); err != nil {
			return err
		}
		if next.MostStorage <= max(db.Storage, next.Pending.Storage) {
			next.MostStorage = 0 // the size itself turns growth off
		}
	}
	if in.VpcSecurityGroupIds != nil {
		i, _ := a.needs.Network.Interface(a.Tx, db.Interface)
		if next.Groups, err = a.checkGroups(in.VpcSecurityGroupIds, i.VPC); err != nil {
			return err
		}
	}
	setIf(&next.Protected, in.DeletionProtection)
	setIf(&next.Public, in.PubliclyAccessible)
	setIf(&next.CopyTags, in.CopyTagsToSnapshot)
	setIf(&next.AutoMinor, in.AutoMinorVersionUpgrade)
	setIf(&next.Insights, in.EnablePerformanceInsights)
	next.BackupWindow, next.Window = value(in.PreferredBackupWindow, db.BackupWindow), value(in.PreferredMaintenanceWindow, db.Window)
	next.Lifecycle = value(in.EngineLifecycleSupport, db.Lifecycle)
	next.InsightsDays = value(in.PerformanceInsightsRetentionPeriod, db.InsightsDays)
	if x := in.CloudwatchLogsExportConfiguration; x != nil {
		next.Logs = slices.DeleteFunc(append(slices.Clone(db.Logs), x.EnableLogTypes...), func(l string) bool { return slices.Contains(x.DisableLogTypes, l) })
		slices.Sort(next.Logs)
		next.Logs = slices.Compact(next.Logs)
	}
	return nil
}

// setIf sets an attribute that a request has.
func setIf(to, from *bool) {
	if from != nil {
		*to = *from
	}
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
