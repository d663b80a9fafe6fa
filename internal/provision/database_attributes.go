package provision

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Attributes implements graph.Shape. Settings are changed at once and not in the next
// maintenance window, and the tags come last: a setting that RDS refuses is not to be
// taken for a deployed one. RDS changes most settings at once without being asked to;
// asked, it also applies what is scheduled for the window.
func (d *Database) Attributes() graph.Attributes[*liveDatabase] {
	modify := graph.Requesting(func() *rds.ModifyDBInstanceInput {
		return &rds.ModifyDBInstanceInput{DBInstanceIdentifier: d.identifier()}
	}, d.modify)
	put := modify.Put
	putNow := func(set func(*rds.ModifyDBInstanceInput)) graph.Remedy {
		return put(func(in *rds.ModifyDBInstanceInput) {
			in.ApplyImmediately = aws.Bool(true)
			set(in)
		})
	}
	down := func(live *liveDatabase, c graph.Change) string { return downtime(c, *live) }
	return graph.Attributes[*liveDatabase]{
		// Nothing else of a stopped one can be changed: RDS refuses that as long as it is
		// busy with starting, which passes.
		graph.Field("state", func(l *liveDatabase) string { return map[bool]string{true: dbStopped, false: "running"}[l.stopped] }, graph.SetBy(d.start)),
		graph.Field(addressInSecret, func(l *liveDatabase) string { return l.connection }, graph.SetBy(d.fillSecret)),
		graph.Compared("class", func(live, want *liveDatabase) (string, string, bool) {
			have := withPending(live.class, live.next().class)
			return have, want.class, have != want.class
		}, putNow(func(in *rds.ModifyDBInstanceInput) { in.DBInstanceClass = &d.want.class })).Down(down).FixedIf(takesAlong),
		// The security groups let nobody through to another port.
		graph.Compared("port", func(live, _ *liveDatabase) (string, string, bool) {
			want := strconv.Itoa(postgresPort)
			return live.port, want, live.port != "" && live.port != want
		}, put(func(in *rds.ModifyDBInstanceInput) { in.DBPortNumber = aws.Int32(postgresPort) })).Down(down),
		graph.Field("password-managed-by", func(l *liveDatabase) string { return l.managed },
			graph.Fixed("RDS sets the password by itself, and the tasks have that of the stack's secret").
				Hint(d.unmanaged(passwordsOn(runtime.GOOS)))),
		d.storageAttribute(putNow(func(in *rds.ModifyDBInstanceInput) {
			live := d.lastInstance()
			in.AllocatedStorage = &d.want.storage
			in.Iops = iopsFor(aws.ToString(live.StorageType), d.want.storage, aws.ToInt32(live.Iops))
		})),
		d.storageLimitAttribute(put(func(in *rds.ModifyDBInstanceInput) {
			most := d.want.maxStorage
			if most == 0 {
				most = max(d.want.storage, aws.ToInt32(d.lastInstance().AllocatedStorage)) // which turns storage autoscaling off
			}
			in.MaxAllocatedStorage = &most
		})),
		graph.Compared("backup-retention", func(live, want *liveDatabase) (string, string, bool) {
			have, wanted := withPending(days(live.backups), days(live.next().backups)), days(want.backups)
			return have, wanted, have != wanted
		}, putNow(func(in *rds.ModifyDBInstanceInput) { in.BackupRetentionPeriod = &d.want.backups })).Down(down).FixedIf(func(live, want *liveDatabase) graph.Remedy {
			if live.recoveryPoint != "" {
				return graph.Fixed("AWS Backup decides it, which holds " + live.recoveryPoint).
					Hint(hint.New("leave --backup-days out, and change the plan in AWS Backup"))
			}
			return takesAlong(live, want)
		}),
		graph.Compared("multi-az", func(live, want *liveDatabase) (string, string, bool) {
			have, wanted := withPending(strconv.FormatBool(live.multiAZ), strconv.FormatBool(live.next().multiAZ)), strconv.FormatBool(want.multiAZ)
			return have, wanted, have != wanted
		}, putNow(func(in *rds.ModifyDBInstanceInput) { in.MultiAZ = &d.want.multiAZ })).FixedIf(takesAlong),
		graph.Flag("deletion-protection", func(l *liveDatabase) bool { return l.protected }, put(func(in *rds.ModifyDBInstanceInput) { in.DeletionProtection = &d.want.protected })),
		graph.Flag("insights", func(l *liveDatabase) bool { return l.insights }, put(func(in *rds.ModifyDBInstanceInput) { in.EnablePerformanceInsights = &d.want.insights })),
		graph.Flag("public", func(l *liveDatabase) bool { return l.public }, put(func(in *rds.ModifyDBInstanceInput) { in.PubliclyAccessible = aws.Bool(false) })),
		graph.Compared("encrypted", func(live, _ *liveDatabase) (string, string, bool) {
			return strconv.FormatBool(live.encrypted), strconv.FormatBool(true), !live.encrypted
		},
			graph.Fixed("a database is encrypted when it is made or never")),
		graph.Flag("copy-tags", func(l *liveDatabase) bool { return l.copyTags }, put(func(in *rds.ModifyDBInstanceInput) { in.CopyTagsToSnapshot = aws.Bool(true) })),
		graph.Flag("minor-upgrades", func(l *liveDatabase) bool { return l.minor }, put(func(in *rds.ModifyDBInstanceInput) { in.AutoMinorVersionUpgrade = aws.Bool(true) })),
		graph.Field("security-groups", func(l *liveDatabase) string { return inAnyOrder(l.groups) }, put(func(in *rds.ModifyDBInstanceInput) { in.VpcSecurityGroupIds = []string{d.group.ID()} })),
		graph.Field("parameter-group", func(l *liveDatabase) string { return l.parameters }, put(func(in *rds.ModifyDBInstanceInput) {
			in.DBParameterGroupName = aws.String(d.parameters.groupName())
		})),
		graph.Field("subnet-group", func(l *liveDatabase) string { return l.subnets }, graph.Fixed("RDS moves a database between networks only with an outage")),
		// What else is exported is its owner's.
		graph.Compared("log-exports", func(live, want *liveDatabase) (string, string, bool) {
			return inAnyOrder(live.logs), inAnyOrder(want.logs), slices.ContainsFunc(want.logs, func(log string) bool { return !slices.Contains(live.logs, log) })
		}, put(func(in *rds.ModifyDBInstanceInput) {
			in.CloudwatchLogsExportConfiguration = &types.CloudwatchLogsExportConfiguration{EnableLogTypes: []string{exportedLog}}
		})),
		graph.Field("name", func(l *liveDatabase) string { return l.name }, graph.Fixed("a database keeps its name")),
		graph.Field("user", func(l *liveDatabase) string { return l.user }, graph.Fixed("a database keeps the user that it was made with")),
		d.versionAttribute(putNow(func(in *rds.ModifyDBInstanceInput) { in.EngineVersion = &d.want.version })).Down(down),
		// RDS deletes none that the database has.
		graph.Field("old-parameter-group", func(l *liveDatabase) string { return inAnyOrder(l.oldParameters) }, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			return d.parameters.deleteOthers(ctx, d.Last().oldParameters)
		})),
		graph.Compared("password", func(live, want *liveDatabase) (string, string, bool) {
			return cmp.Or(live.password, "that of another version of the secret"), "the secret's",
				live.unusable != "" || want.secretVersion != "" && live.secretVersion != want.secretVersion
		}, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			return d.persistent(&d.sent.refused, d.lastInstance(), d.setPassword(ctx, d.secrets, d.secret.secretName(), d.ID()))
		})).FixedIf(func(live, _ *liveDatabase) graph.Remedy { return graph.Fixed(live.unusable) }),
		tagAttribute(func(l *liveDatabase) map[string]string { return l.tags }, graph.SetBy(d.retagged)),
	}
}

func (d *Database) start(ctx context.Context, _ []graph.Change) error { return d.startInstance(ctx) }

// startInstance starts a stopped instance, which takes RDS minutes.
func (d rdsAccess) startInstance(ctx context.Context) error {
	_, err := d.rds.StartDBInstance(ctx, &rds.StartDBInstanceInput{DBInstanceIdentifier: aws.String(d.databaseName())})
	if err != nil {
		err = fmt.Errorf("start database %s: %w", d.databaseName(), err)
	}
	if IsCode(err, "InsufficientDBInstanceCapacity", "InsufficientDBInstanceCapacityFault") {
		err = hint.Add(err, hint.New("try again later; or %s", anotherClass()))
	}
	return err
}

// next is what the instance will be after its maintenance window.
func (l *liveDatabase) next() databaseSpec {
	if l.scheduled != nil {
		return *l.scheduled
	}
	return l.databaseSpec
}

// downtime returns how long the database is away for a change. RDS applies it to a
// standby first and then fails over to that, but for versions, which both get at
// once:
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ModifyInstance.Settings.html
func downtime(c graph.Change, live liveDatabase) string {
	none := days(0)
	switch {
	case c.Blocked != "":
		return ""
	case c.Field == "class" && live.multiAZ:
		return "the database is unavailable for one or two minutes, while its standby takes over"
	case c.Field == "port":
		return "the database restarts meanwhile"
	case c.Field == "version" && MajorVersion(c.Have) != MajorVersion(c.Want):
		// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_UpgradeDBInstance.PostgreSQL.MajorVersion.html
		return "the database is unavailable during the upgrade, usually for about ten minutes, and the only way back is the snapshot that is taken before; run ANALYZE in it afterwards"
	case c.Field == "class", c.Field == "version", c.Field == "backup-retention" && (c.Have == none || c.Want == none):
		return "the database is unavailable for some minutes"
	}
	return ""
}

// retagged writes the tags, but for that of storage which RDS has not taken yet.
func (d *Database) retagged(ctx context.Context, changes []graph.Change) error {
	tags := d.tags(d.Name())
	if d.sent.busy != "" {
		delete(tags, settingTag("db-storage"))
	}
	return d.retagAs(ctx, d.ID(), d.Name(), tags, changes)
}

func (d *Database) modify(ctx context.Context, in *rds.ModifyDBInstanceInput, changes []graph.Change) error {
	more := slices.ContainsFunc(changes, func(c graph.Change) bool { return c.Field != "storage" })
	upgrade, err := d.upgrading(ctx, in)
	if err != nil {
		return err
	}
	_, err = d.rds.ModifyDBInstance(ctx, in)
	if in.AllocatedStorage != nil && optimizing(err) {
		// That passes after hours, and the rest need not wait for it.
		d.sent.busy = message(err)
		if err = nil; more {
			in.AllocatedStorage, in.Iops = nil, nil
			_, err = d.rds.ModifyDBInstance(ctx, in)
		}
	}
	if err != nil {
		err = fmt.Errorf("modify %s of database %s: %w", graph.Fields(changes), *d.identifier(), err)
	}
	if err := d.persistent(&d.sent.refused, d.lastInstance(), err); err != nil {
		return err
	}
	if aws.ToBool(in.ApplyImmediately) && (more || d.sent.busy == "") {
		d.sent.changed = true
	}
	if upgrade != nil {
		d.sent.upgrade = upgrade
		return nil
	}
	if in.DBParameterGroupName != nil {
		// What a group holds is in force after a reboot, and what is set in it from now on at
		// once.
		return d.parameters.setForceTLS(ctx, nil)
	}
	return nil
}
