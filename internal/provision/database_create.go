package provision

import (
	"cmp"
	"context"
	"fmt"
	"runtime"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"github.com/bookctl/bookctl/internal/hint"
)

// Create creates the instance, or restores it from a snapshot. The password goes
// from Secrets Manager through memory into the call and nowhere else. The
// instance's name is unique, so a repeated call can't make a second one.
func (d *Database) Create(ctx context.Context) (string, error) {
	if d.options.restore != "" {
		return d.restore(ctx)
	}
	if d.sent.going {
		return "", hint.With(fmt.Errorf("database %s was deleted while this run was at work, and a new one would be empty", *d.identifier()),
			"%s starts from its snapshot, if it has left one, and %s starts empty", hint.Command("up", "--restore", "latest"), hint.Command("up"))
	}
	c, version, err := d.firstCredentials(ctx)
	if err == nil && badPassword(c.Password) != "" {
		err = fmt.Errorf("the password in secret %s: %s", d.secret.secretName(), badPassword(c.Password))
	}
	if err != nil {
		return "", hint.Add(err, d.secret.filled(passwordsOn(runtime.GOOS)))
	}
	if c, version, err = d.named(ctx, c, version); err != nil {
		return "", err
	}
	tags := d.tags(d.Name())
	tags[TagSecretVersion] = version
	in := &rds.CreateDBInstanceInput{
		DBInstanceIdentifier:        d.identifier(),
		Engine:                      aws.String("postgres"),
		EngineVersion:               &d.want.version,
		DBInstanceClass:             &d.want.class,
		AllocatedStorage:            &d.want.storage,
		StorageType:                 aws.String("gp3"),
		StorageEncrypted:            aws.Bool(true),
		DBName:                      &c.DBName,
		MasterUsername:              &c.Username,
		MasterUserPassword:          &c.Password,
		DBSubnetGroupName:           aws.String(d.subnets.groupName()),
		DBParameterGroupName:        aws.String(d.parameters.groupName()),
		VpcSecurityGroupIds:         []string{d.group.ID()},
		PubliclyAccessible:          aws.Bool(false),
		MultiAZ:                     &d.want.multiAZ,
		BackupRetentionPeriod:       &d.want.backups,
		DeletionProtection:          &d.want.protected,
		CopyTagsToSnapshot:          aws.Bool(true),
		AutoMinorVersionUpgrade:     aws.Bool(true),
		EnableCloudwatchLogsExports: []string{exportedLog},
		Tags:                        toRDSTags(tags),
	}
	if d.want.maxStorage > 0 {
		in.MaxAllocatedStorage = &d.want.maxStorage
	}
	if d.want.insights {
		in.EnablePerformanceInsights = aws.Bool(true)
	}
	out, err := d.rds.CreateDBInstance(ctx, in)
	if err != nil {
		return "", fmt.Errorf("create database %s: %w", *d.identifier(), err)
	}
	d.Learn(&liveDatabase{instance: out.DBInstance, current: version})
	if fromRDSTags(out.DBInstance.TagList)[TagStack] == d.stack {
		d.sent.created = out.DBInstance
	}
	return aws.ToString(out.DBInstance.DBInstanceArn), nil
}

// named is what the secret says with the names of this run, which the new database gets. The
// secret may have those of a run that created no database: RDS may have refused them.
func (d *Database) named(ctx context.Context, c credentials, version string) (credentials, string, error) {
	stale := c.DBName != "" && c.DBName != d.want.name || c.Username != "" && c.Username != d.want.user
	c.Engine, c.DBName, c.Username = cmp.Or(c.Engine, d.secret.initial.Engine), d.want.name, d.want.user
	if !stale {
		return c, version, nil
	}
	version, err := d.secret.put(ctx, c)
	return c, version, err
}

// restore creates the instance from a snapshot. What it brings along and should
// not (the old password, for one) is drift.
func (d *Database) restore(ctx context.Context) (string, error) {
	s, err := SnapshotToRestore(ctx, d.rds, "", d.stack, d.options.restore)
	if err != nil {
		return "", err
	}
	if s.GiB > d.want.storage {
		d.want.storage = s.GiB // what was larger can't be put into less
	}
	tags := d.tags(d.Name())
	tags[tagRestoredFrom] = s.ID
	out, err := d.rds.RestoreDBInstanceFromDBSnapshot(ctx, &rds.RestoreDBInstanceFromDBSnapshotInput{
		DBInstanceIdentifier:        d.identifier(),
		DBSnapshotIdentifier:        &s.ID,
		DBInstanceClass:             &d.want.class,
		AllocatedStorage:            &d.want.storage,
		Iops:                        iopsFor("gp3", d.want.storage, s.iops), // else it is that of the snapshot
		StorageType:                 aws.String("gp3"),
		DBSubnetGroupName:           aws.String(d.subnets.groupName()),
		DBParameterGroupName:        aws.String(d.parameters.groupName()),
		VpcSecurityGroupIds:         []string{d.group.ID()},
		PubliclyAccessible:          aws.Bool(false),
		MultiAZ:                     &d.want.multiAZ,
		BackupRetentionPeriod:       &d.want.backups,
		DeletionProtection:          &d.want.protected,
		CopyTagsToSnapshot:          aws.Bool(true),
		AutoMinorVersionUpgrade:     aws.Bool(true),
		EnableCloudwatchLogsExports: []string{exportedLog},
		Tags:                        toRDSTags(tags),
	})
	if err != nil {
		return "", fmt.Errorf("restore database %s from snapshot %s: %w", *d.identifier(), s.ID, err)
	}
	return aws.ToString(out.DBInstance.DBInstanceArn), nil
}
