package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Database is the stack's RDS PostgreSQL instance: encrypted, private, backed
// up, with TLS forced by its parameter group.
type Database struct {
	graph.Node
	databases
	secrets    *secretsmanager.Client
	secret     *Secret
	group      *SecurityGroup
	subnets    *DBSubnetGroup
	parameters *DBParameterGroup
	want       databaseSpec
	now        func() time.Time
	endpoint   atomic.Pointer[string]
}

// databaseSpec is what of a database can be wanted, and what drift compares.
type databaseSpec struct {
	class     string
	storage   int32 // GiB
	backups   int32 // days; set at creation, since a change from or to 0 is an outage
	multiAZ   bool
	protected bool
}

func newDatabase(d databases, secrets *secretsmanager.Client, secret *Secret, group *SecurityGroup, subnets *DBSubnetGroup, parameters *DBParameterGroup, want databaseSpec) *Database {
	return &Database{
		Node:      graph.Named("database", 60*time.Minute, secret, group, subnets, parameters),
		databases: d, secrets: secrets, secret: secret, group: group, subnets: subnets, parameters: parameters,
		want: want, now: time.Now,
	}
}

func (d *Database) identifier() *string { return aws.String(d.name("database")) }

// Expect returns the usual time until a small instance without a backup is up.
func (d *Database) Expect() time.Duration { return 5 * time.Minute }

// Endpoint returns the host name that the database answers to, or "" before it
// is known: RDS gives it out when the instance first serves.
func (d *Database) Endpoint() string {
	if p := d.endpoint.Load(); p != nil {
		return *p
	}
	return ""
}

// liveDatabase is what drift compares.
type liveDatabase struct {
	databaseSpec
	tags              map[string]string
	public, encrypted bool
	groups            []string
	parameters        string
}

// Find looks the instance up by its name.
func (d *Database) Find(ctx context.Context) (graph.State, error) {
	out, err := d.rds.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: d.identifier()})
	if isCode(err, "DBInstanceNotFound") || err == nil && len(out.DBInstances) == 0 {
		return absent, nil
	}
	if err != nil {
		return graph.State{}, fmt.Errorf("describe database %s: %w", *d.identifier(), err)
	}
	db := out.DBInstances[0]
	if db.Endpoint != nil {
		d.endpoint.Store(db.Endpoint.Address)
	}
	live := liveDatabase{
		tags: rdsTagMap(db.TagList), public: aws.ToBool(db.PubliclyAccessible), encrypted: aws.ToBool(db.StorageEncrypted),
		databaseSpec: databaseSpec{
			class: aws.ToString(db.DBInstanceClass), storage: aws.ToInt32(db.AllocatedStorage),
			backups: aws.ToInt32(db.BackupRetentionPeriod), multiAZ: aws.ToBool(db.MultiAZ), protected: aws.ToBool(db.DeletionProtection),
		},
	}
	for _, g := range db.VpcSecurityGroups {
		live.groups = append(live.groups, aws.ToString(g.VpcSecurityGroupId))
	}
	for _, p := range db.DBParameterGroups {
		live.parameters = aws.ToString(p.DBParameterGroupName)
	}
	status := aws.ToString(db.DBInstanceStatus)
	return graph.State{
		Phase: databasePhase(status), ID: aws.ToString(db.DBInstanceArn), Owner: live.tags[TagStack], Note: status,
		Drift: d.drift(live),
	}, nil
}

// databasePhase sorts RDS's statuses:
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html
func databasePhase(status string) graph.Phase {
	switch status {
	case "available", "backing-up", "storage-optimization":
		return graph.Ready // all three serve, and may be modified
	case "deleting":
		return graph.Leaving
	case "failed", "inaccessible-encryption-credentials", "restore-error", "storage-full", "stopped":
		return graph.Broken
	}
	if strings.HasPrefix(status, "incompatible-") {
		return graph.Broken
	}
	return graph.Pending
}

func (d *Database) drift(live liveDatabase) []graph.Change {
	return databaseDrift(live, liveDatabase{
		databaseSpec: d.want, tags: d.tags(d.Name()), groups: []string{d.group.ID()}, parameters: d.parameters.groupName(),
	})
}

func databaseDrift(live, want liveDatabase) []graph.Change {
	out := tagDrift(live.tags, want.tags)
	add := func(field, have, want, refused string) {
		if have != want {
			out = append(out, graph.Change{Field: field, Have: have, Want: want, Refused: refused})
		}
	}
	shrink := ""
	if want.storage < live.storage {
		shrink = "RDS storage can't shrink"
	}
	add("class", live.class, want.class, "")
	add("storage", gib(live.storage), gib(want.storage), shrink)
	add("backup-retention", days(live.backups), days(want.backups), "")
	add("multi-az", strconv.FormatBool(live.multiAZ), strconv.FormatBool(want.multiAZ), "")
	add("deletion-protection", strconv.FormatBool(live.protected), strconv.FormatBool(want.protected), "")
	add("public", strconv.FormatBool(live.public), "false", "")
	add("encrypted", strconv.FormatBool(live.encrypted), "true", "a database is encrypted when it is made or never")
	add("security-groups", strings.Join(slices.Sorted(slices.Values(live.groups)), " "), strings.Join(want.groups, " "), "")
	add("parameter-group", live.parameters, want.parameters, "")
	sortChanges(out)
	return out
}

func gib(n int32) string  { return strconv.Itoa(int(n)) + " GiB" }
func days(n int32) string { return strconv.Itoa(int(n)) + " days" }

// Create makes the instance. The password goes from Secrets Manager through
// memory into the call and nowhere else. The instance's name is unique, so a
// repeated call can't make a second one.
func (d *Database) Create(ctx context.Context) (string, error) {
	c, err := d.credentials(ctx)
	if err != nil {
		return "", err
	}
	out, err := d.rds.CreateDBInstance(ctx, &rds.CreateDBInstanceInput{
		DBInstanceIdentifier:    d.identifier(),
		Engine:                  aws.String("postgres"),
		EngineVersion:           aws.String(strings.TrimPrefix(d.parameters.family, "postgres")),
		DBInstanceClass:         &d.want.class,
		AllocatedStorage:        &d.want.storage,
		StorageType:             aws.String("gp3"),
		StorageEncrypted:        aws.Bool(true),
		DBName:                  &c.DBName,
		MasterUsername:          &c.Username,
		MasterUserPassword:      &c.Password,
		DBSubnetGroupName:       aws.String(d.subnets.groupName()),
		DBParameterGroupName:    aws.String(d.parameters.groupName()),
		VpcSecurityGroupIds:     []string{d.group.ID()},
		PubliclyAccessible:      aws.Bool(false),
		MultiAZ:                 &d.want.multiAZ,
		BackupRetentionPeriod:   &d.want.backups,
		DeletionProtection:      &d.want.protected,
		CopyTagsToSnapshot:      aws.Bool(true),
		AutoMinorVersionUpgrade: aws.Bool(true),
		Tags:                    rdsTags(d.tags(d.Name())),
	})
	if err != nil {
		return "", fmt.Errorf("create database %s: %w", *d.identifier(), err)
	}
	return aws.ToString(out.DBInstance.DBInstanceArn), nil
}

func (d *Database) credentials(ctx context.Context) (credentials, error) {
	out, err := d.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(d.secret.ID())})
	if err != nil {
		return credentials{}, fmt.Errorf("read secret %s: %w", d.secret.secretName(), err)
	}
	var c credentials
	if json.Unmarshal([]byte(aws.ToString(out.SecretString)), &c) != nil || c.Password == "" {
		// Its text, and so the decoder's error, could hold the password.
		return credentials{}, fmt.Errorf("secret %s does not hold the JSON that bookctl writes", d.secret.secretName())
	}
	return c, nil
}

// Update mends tags and settings, at once and not in the next maintenance
// window.
func (d *Database) Update(ctx context.Context, changes []graph.Change) error {
	if hasTagDrift(changes) {
		if err := d.retag(ctx, d.ID(), d.Name()); err != nil {
			return err
		}
	}
	in := &rds.ModifyDBInstanceInput{DBInstanceIdentifier: d.identifier(), ApplyImmediately: aws.Bool(true)}
	set := map[string]func(){
		"class":               func() { in.DBInstanceClass = &d.want.class },
		"storage":             func() { in.AllocatedStorage = &d.want.storage },
		"backup-retention":    func() { in.BackupRetentionPeriod = &d.want.backups },
		"multi-az":            func() { in.MultiAZ = &d.want.multiAZ },
		"deletion-protection": func() { in.DeletionProtection = &d.want.protected },
		"public":              func() { in.PubliclyAccessible = aws.Bool(false) },
		"security-groups":     func() { in.VpcSecurityGroupIds = []string{d.group.ID()} },
		"parameter-group":     func() { in.DBParameterGroupName = aws.String(d.parameters.groupName()) },
	}
	modify := false
	for _, c := range changes {
		if f, ok := set[c.Field]; ok {
			f()
			modify = true
		}
	}
	if !modify {
		return nil
	}
	if _, err := d.rds.ModifyDBInstance(ctx, in); err != nil {
		return fmt.Errorf("modify %s of database %s: %w", graph.Fields(changes), *d.identifier(), err)
	}
	return nil
}

// Delete removes the instance after RDS has taken a final snapshot. The
// snapshot is named by the instance's immutable resource id and the time, so
// that the name can collide with no other, not even one of a namesake.
func (d *Database) Delete(ctx context.Context) error {
	out, err := d.rds.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: d.identifier()})
	if isCode(err, "DBInstanceNotFound") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("describe database %s: %w", *d.identifier(), err)
	}
	for _, db := range out.DBInstances {
		name := strings.ToLower(fmt.Sprintf("%s-final-%s-%s", d.stack, strings.TrimPrefix(aws.ToString(db.DbiResourceId), "db-"), d.now().UTC().Format("20060102-150405")))
		_, err := d.rds.DeleteDBInstance(ctx, &rds.DeleteDBInstanceInput{
			DBInstanceIdentifier: d.identifier(), SkipFinalSnapshot: aws.Bool(false), FinalDBSnapshotIdentifier: &name,
		})
		if err != nil && !isCode(err, "DBInstanceNotFound") {
			return fmt.Errorf("delete database %s: %w", *d.identifier(), err)
		}
	}
	return nil
}
