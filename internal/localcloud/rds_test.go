package localcloud_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/jackc/pgx/v5"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// databases is RDS in a cloud with a DB subnet group in the default VPC.
type databases struct {
	*rds.Client
	cloud   *localcloud.Cloud
	ec2     *ec2.Client
	subnets []string
}

func newDatabases(t *testing.T, cfg localcloud.Config) databases {
	t.Helper()
	return databasesOf(t, openCloud(t, cfg))
}

func databasesOf(t *testing.T, cloud *localcloud.Cloud) databases {
	t.Helper()
	d := databases{Client: rds.NewFromConfig(clientConfig(cloud)), cloud: cloud, ec2: ec2.NewFromConfig(clientConfig(cloud))}
	for _, s := range must[*ec2.DescribeSubnetsOutput](t)(d.ec2.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{})).Subnets {
		d.subnets = append(d.subnets, *s.SubnetId)
	}
	return d
}

const masterPassword = "a-Password-of-RDS"

// wanted is what most tests create.
func wanted(name string) *rds.CreateDBInstanceInput {
	return &rds.CreateDBInstanceInput{
		DBInstanceIdentifier: &name, DBInstanceClass: aws.String("db.t4g.micro"), Engine: aws.String("postgres"), AllocatedStorage: aws.Int32(20),
		StorageType: aws.String("gp3"), MasterUsername: aws.String("boss"), MasterUserPassword: aws.String(masterPassword), DBName: aws.String("books"),
		BackupRetentionPeriod: aws.Int32(0), CopyTagsToSnapshot: aws.Bool(true), Tags: []types.Tag{{Key: aws.String("stack"), Value: aws.String("book")}},
	}
}

func (d databases) create(t *testing.T, in *rds.CreateDBInstanceInput) {
	t.Helper()
	must[*rds.CreateDBInstanceOutput](t)(d.CreateDBInstance(t.Context(), in))
	d.await(t, *in.DBInstanceIdentifier, "available")
}

// await waits for a status, and returns those seen on the way.
func (d databases) await(t *testing.T, name, status string) (seen []string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		out, err := d.DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &name})
		if status == "" && err != nil {
			refused(t, err, "DBInstanceNotFound", name)
			return seen
		}
		if err != nil {
			t.Fatal(err)
		}
		if now := *out.DBInstances[0].DBInstanceStatus; len(seen) == 0 || seen[len(seen)-1] != now {
			seen = append(seen, now)
		}
		if seen[len(seen)-1] == status {
			return seen
		}
	}
	t.Fatalf("database %s does not become %q; it was %v", name, status, seen)
	return nil
}

func (d databases) describe(t *testing.T, name string) types.DBInstance {
	t.Helper()
	return must[*rds.DescribeDBInstancesOutput](t)(d.DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &name})).DBInstances[0]
}

// connect logs in as the master user, with its certificate checked against the
// cloud's authority.
func (d databases) connect(t *testing.T, name, password, mode string) (*pgx.Conn, error) {
	t.Helper()
	db := d.describe(t, name)
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d dbname=books user=boss sslmode=%s sslrootcert=%s", *db.Endpoint.Address, *db.Endpoint.Port, mode, d.cloud.TrustBundle()))
	if err != nil {
		t.Fatal(err)
	}
	config.Password = password
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err == nil {
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	}
	return conn, err
}

func (d databases) login(t *testing.T, name string) *pgx.Conn {
	t.Helper()
	conn, err := d.connect(t, name, masterPassword, "verify-full")
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func runSQL(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func (d databases) snapshots(t *testing.T, kind string) []types.DBSnapshot {
	t.Helper()
	return must[*rds.DescribeDBSnapshotsOutput](t)(d.DescribeDBSnapshots(t.Context(), &rds.DescribeDBSnapshotsInput{SnapshotType: &kind})).DBSnapshots
}

func TestADatabaseIsBackedUpDeletedAndRestored(t *testing.T) {
	t.Parallel()
	d, ctx := newDatabases(t, localcloud.Config{}), t.Context()
	in := wanted("book")
	in.BackupRetentionPeriod = aws.Int32(7)
	created := must[*rds.CreateDBInstanceOutput](t)(d.CreateDBInstance(ctx, in)).DBInstance
	if *created.DBInstanceStatus != "creating" || created.Endpoint != nil {
		t.Errorf("a new instance is %s at %v", *created.DBInstanceStatus, created.Endpoint)
	}
	_, err := d.CreateDBInstance(ctx, in)
	refused(t, err, "DBInstanceAlreadyExists", "DB instance already exists")
	_, err = d.RebootDBInstance(ctx, &rds.RebootDBInstanceInput{DBInstanceIdentifier: in.DBInstanceIdentifier})
	refused(t, err, "InvalidDBInstanceState", "is not in available state")
	_, err = d.DeleteDBInstance(ctx, &rds.DeleteDBInstanceInput{DBInstanceIdentifier: in.DBInstanceIdentifier, FinalDBSnapshotIdentifier: aws.String("early")})
	refused(t, err, "InvalidDBInstanceState", "is not currently in the available state")
	if seen := strings.Join(d.await(t, "book", "available"), " "); seen != "creating backing-up available" {
		t.Errorf("the instance was %s", seen)
	}
	conn := d.login(t, "book")
	runSQL(t, conn, "CREATE TABLE book (name text); INSERT INTO book VALUES ('kept')")
	automated := d.snapshots(t, "automated")
	if len(automated) != 1 || !strings.HasPrefix(*automated[0].DBSnapshotIdentifier, "rds:book-") {
		t.Fatalf("automated snapshots: %+v", automated)
	}
	_, err = d.DeleteDBSnapshot(ctx, &rds.DeleteDBSnapshotInput{DBSnapshotIdentifier: automated[0].DBSnapshotIdentifier})
	refused(t, err, "InvalidDBSnapshotState", "")

	remove := &rds.DeleteDBInstanceInput{DBInstanceIdentifier: in.DBInstanceIdentifier}
	_, err = d.DeleteDBInstance(ctx, remove)
	refused(t, err, "InvalidParameterCombination", "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.")
	remove.FinalDBSnapshotIdentifier = aws.String("book-final")
	must[*rds.DeleteDBInstanceOutput](t)(d.DeleteDBInstance(ctx, remove))
	_, err = d.DeleteDBInstance(ctx, remove)
	refused(t, err, "InvalidDBInstanceState", "is already being deleted")
	d.await(t, "book", "")
	manual := d.snapshots(t, "manual")
	if len(manual) != 1 || *manual[0].Status != "available" || *manual[0].DbiResourceId != *created.DbiResourceId || len(manual[0].TagList) != 1 {
		t.Fatalf("manual snapshots: %+v", manual)
	}
	if left := d.snapshots(t, "automated"); len(left) != 0 {
		t.Errorf("automated snapshots outlive their instance: %+v", left)
	}
	interfaces := must[*ec2.DescribeNetworkInterfacesOutput](t)(d.ec2.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{})).NetworkInterfaces
	if len(interfaces) != 0 {
		t.Errorf("interfaces outlive their instance: %+v", interfaces)
	}

	restored := must[*rds.RestoreDBInstanceFromDBSnapshotOutput](t)(d.RestoreDBInstanceFromDBSnapshot(ctx, &rds.RestoreDBInstanceFromDBSnapshotInput{
		DBInstanceIdentifier: aws.String("book"), DBSnapshotIdentifier: aws.String("book-final"), BackupRetentionPeriod: aws.Int32(0),
	})).DBInstance
	if *restored.DbiResourceId == *created.DbiResourceId {
		t.Error("a restored instance has the resource id of the old one")
	}
	d.await(t, "book", "available")
	var name string
	if err := d.login(t, "book").QueryRow(ctx, "SELECT name FROM book").Scan(&name); err != nil || name != "kept" {
		t.Errorf("restored: %q, %v", name, err)
	}
	must[*rds.DeleteDBSnapshotOutput](t)(d.DeleteDBSnapshot(ctx, &rds.DeleteDBSnapshotInput{DBSnapshotIdentifier: aws.String("book-final")}))
}

func TestModifyChangesPasswordClassAndProtection(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	d, ctx := newDatabases(t, localcloud.Config{StateDir: dir}), t.Context()
	d.create(t, wanted("book"))
	const password = "another-Password"
	modify := func(in rds.ModifyDBInstanceInput) {
		t.Helper()
		in.DBInstanceIdentifier, in.ApplyImmediately = aws.String("book"), aws.Bool(true)
		must[*rds.ModifyDBInstanceOutput](t)(d.ModifyDBInstance(ctx, &in))
	}
	modify(rds.ModifyDBInstanceInput{MasterUserPassword: aws.String(password)})
	if seen := d.await(t, "book", "available"); seen[0] != "resetting-master-credentials" {
		t.Errorf("while the password changes the instance is %v", seen)
	}
	if _, err := d.connect(t, "book", masterPassword, "verify-full"); err == nil {
		t.Error("the old password still opens the database")
	}
	if _, err := d.connect(t, "book", password, "verify-full"); err != nil {
		t.Error(err)
	}
	modify(rds.ModifyDBInstanceInput{DBInstanceClass: aws.String("db.t4g.small"), AllocatedStorage: aws.Int32(30), MultiAZ: aws.Bool(true), DeletionProtection: aws.Bool(true)})
	if pending := d.describe(t, "book"); *pending.DBInstanceStatus == "modifying" && aws.ToString(pending.PendingModifiedValues.DBInstanceClass) != "db.t4g.small" {
		t.Errorf("pending: %+v", pending.PendingModifiedValues)
	}
	_, err := d.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{DBInstanceIdentifier: aws.String("nobody")})
	refused(t, err, "DBInstanceNotFound", "nobody")
	d.await(t, "book", "available")
	if db := d.describe(t, "book"); *db.DBInstanceClass != "db.t4g.small" || *db.AllocatedStorage != 30 || !*db.MultiAZ || db.SecondaryAvailabilityZone == nil {
		t.Errorf("after the modification: %s, %d GiB, Multi-AZ %t", *db.DBInstanceClass, *db.AllocatedStorage, *db.MultiAZ)
	}
	_, err = d.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{DBInstanceIdentifier: aws.String("book"), AllocatedStorage: aws.Int32(20)})
	refused(t, err, "InvalidParameterCombination", "can't be decreased")
	_, err = d.DeleteDBInstance(ctx, &rds.DeleteDBInstanceInput{DBInstanceIdentifier: aws.String("book"), SkipFinalSnapshot: aws.Bool(true)})
	refused(t, err, "InvalidParameterCombination", "Cannot delete protected DB Instance, please disable deletion protection and try again.")
	if text, err := os.ReadFile(filepath.Join(dir, "state.json")); err != nil || strings.Contains(string(text), password) || strings.Contains(string(text), masterPassword) {
		t.Errorf("the state holds a password, or can't be read: %v", err)
	}
}

func TestParametersReachTheServer(t *testing.T) {
	t.Parallel()
	d, ctx := newDatabases(t, localcloud.Config{}), t.Context()
	versions := must[*rds.DescribeDBEngineVersionsOutput](t)(d.DescribeDBEngineVersions(ctx, &rds.DescribeDBEngineVersionsInput{Engine: aws.String("postgres")})).DBEngineVersions
	group := &rds.CreateDBParameterGroupInput{DBParameterGroupName: aws.String("mine"), DBParameterGroupFamily: versions[0].DBParameterGroupFamily, Description: aws.String("Mine")}
	must[*rds.CreateDBParameterGroupOutput](t)(d.CreateDBParameterGroup(ctx, group))
	_, err := d.CreateDBParameterGroup(ctx, group)
	refused(t, err, "DBParameterGroupAlreadyExists", "mine")
	set := func(name, value string, method types.ApplyMethod) error {
		_, err := d.ModifyDBParameterGroup(ctx, &rds.ModifyDBParameterGroupInput{DBParameterGroupName: aws.String("mine"), Parameters: []types.Parameter{
			{ParameterName: &name, ParameterValue: &value, ApplyMethod: method},
		}})
		return err
	}
	refused(t, set("no_such_thing", "1", "immediate"), "InvalidParameterValue", "Could not find parameter with name: no_such_thing")
	refused(t, set("max_connections", "50", "immediate"), "InvalidParameterCombination", "cannot use immediate apply method for static parameter")
	refused(t, set("work_mem", "lots", "immediate"), "InvalidParameterValue", "Invalid parameter value: lots for: work_mem")
	in := wanted("book")
	in.DBParameterGroupName = aws.String("mine")
	d.create(t, in)
	for name, p := range map[string]struct {
		value  string
		method types.ApplyMethod
	}{"rds.force_ssl": {"0", "immediate"}, "max_connections": {"50", "pending-reboot"}} {
		if err := set(name, p.value, p.method); err != nil {
			t.Fatal(err)
		}
	}
	var conn *pgx.Conn
	for try := 0; ; try++ { // the server takes it up a moment later
		if conn, err = d.connect(t, "book", masterPassword, "disable"); err == nil || try == 500 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Fatalf("TLS is still forced: %v", err)
	}
	var most string
	if err := conn.QueryRow(ctx, "SHOW max_connections").Scan(&most); err != nil || most == "50" {
		t.Errorf("a static parameter took effect without a reboot: %s, %v", most, err)
	}
	if status := *d.describe(t, "book").DBParameterGroups[0].ParameterApplyStatus; status != "pending-reboot" {
		t.Errorf("the parameters are %s", status)
	}
	must[*rds.RebootDBInstanceOutput](t)(d.RebootDBInstance(ctx, &rds.RebootDBInstanceInput{DBInstanceIdentifier: aws.String("book")}))
	d.await(t, "book", "available")
	if err := d.login(t, "book").QueryRow(ctx, "SHOW max_connections").Scan(&most); err != nil || most != "50" {
		t.Errorf("max_connections after the reboot: %s, %v", most, err)
	}
	_, err = d.DeleteDBParameterGroup(ctx, &rds.DeleteDBParameterGroupInput{DBParameterGroupName: aws.String("mine")})
	refused(t, err, "InvalidDBParameterGroupState", "mine")
	describe := func(in rds.DescribeDBParametersInput) (out []types.Parameter) {
		t.Helper()
		in.DBParameterGroupName = aws.String("mine")
		pages := rds.NewDescribeDBParametersPaginator(d.Client, &in)
		for pages.HasMorePages() {
			out = append(out, must[*rds.DescribeDBParametersOutput](t)(pages.NextPage(ctx)).Parameters...)
		}
		return out
	}
	user := describe(rds.DescribeDBParametersInput{Source: aws.String("user")})
	if len(user) != 2 || *user[1].ParameterName != "rds.force_ssl" || *user[1].ParameterValue != "0" {
		t.Errorf("parameters set: %+v", user)
	}
	// One that is set to its own default was never set, in what RDS returns.
	if err := set("rds.force_ssl", "1", "immediate"); err != nil {
		t.Fatal(err)
	}
	if user := describe(rds.DescribeDBParametersInput{Source: aws.String("user")}); len(user) != 1 || *user[0].ParameterName != "max_connections" {
		t.Errorf("parameters set: %+v", user)
	}
	named := describe(rds.DescribeDBParametersInput{Filters: []types.Filter{{Name: aws.String("parameter-name"), Values: []string{"rds.force_ssl"}}}})
	if len(named) != 1 || *named[0].ParameterValue != "1" || *named[0].Source == "user" {
		t.Errorf("the parameter by its name: %+v", named)
	}
}

func TestADatabaseSurvivesItsServerAndItsCloud(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	cloud, err := localcloud.Open(t.Context(), localcloud.Config{StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	d, ctx := databasesOf(t, cloud), t.Context()
	d.create(t, wanted("book"))
	conn := d.login(t, "book")
	runSQL(t, conn, "CREATE TABLE book (name text); INSERT INTO book VALUES ('kept')")
	pid := serverPID(t, conn)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for try := 0; ; try++ {
		if again, err := d.connect(t, "book", masterPassword, "verify-full"); err == nil {
			var name string
			if err := again.QueryRow(ctx, "SELECT name FROM book").Scan(&name); err != nil || name != "kept" {
				t.Errorf("after the crash: %q, %v", name, err)
			}
			break
		} else if try == 1000 {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	var recovered bool
	for try := 0; try < 500 && !recovered; try++ {
		for _, e := range must[*rds.DescribeEventsOutput](t)(d.DescribeEvents(ctx, &rds.DescribeEventsInput{SourceIdentifier: aws.String("book"), SourceType: types.SourceTypeDbInstance})).Events {
			recovered = recovered || strings.Contains(*e.Message, "Recovery of the DB instance is complete")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !recovered {
		t.Error("no event reports the recovery")
	}
	before := d.describe(t, "book").Endpoint.Port
	if err := cloud.Close(ctx); err != nil {
		t.Fatal(err)
	}
	d = newDatabases(t, localcloud.Config{StateDir: dir})
	d.await(t, "book", "available")
	for try := 0; ; try++ {
		again, err := d.connect(t, "book", masterPassword, "verify-full")
		if err == nil {
			var name string
			if err := again.QueryRow(ctx, "SELECT name FROM book").Scan(&name); err != nil || name != "kept" {
				t.Errorf("after the restart: %q, %v", name, err)
			}
			break
		}
		if try == 1000 {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if after := d.describe(t, "book").Endpoint.Port; *after != *before {
		t.Errorf("the port was %d and is %d", *before, *after)
	}
}

func TestGroupsOfSubnetsAndOrderableClasses(t *testing.T) {
	t.Parallel()
	d, ctx := newDatabases(t, localcloud.Config{Faults: localcloud.Faults{ZonesWithoutClass: map[string][]string{"us-east-1a": {"db.t4g.micro"}, "us-east-1b": {"*"}}}}), t.Context()
	group := &rds.CreateDBSubnetGroupInput{DBSubnetGroupName: aws.String("Mine"), DBSubnetGroupDescription: aws.String("Mine"), SubnetIds: d.subnets[:1]}
	_, err := d.CreateDBSubnetGroup(ctx, group)
	refused(t, err, "DBSubnetGroupDoesNotCoverEnoughAZs", "us-east-1a")
	group.SubnetIds = []string{"subnet-0123456789abcdef0", d.subnets[0]}
	_, err = d.CreateDBSubnetGroup(ctx, group)
	refused(t, err, "InvalidParameterValue", "Some input subnets in :[subnet-0123456789abcdef0] are invalid.")
	group.SubnetIds = d.subnets[:2]
	created := must[*rds.CreateDBSubnetGroupOutput](t)(d.CreateDBSubnetGroup(ctx, group)).DBSubnetGroup
	if *created.DBSubnetGroupName != "mine" || len(created.Subnets) != 2 {
		t.Errorf("the group: %+v", created)
	}
	_, err = d.CreateDBSubnetGroup(ctx, group)
	refused(t, err, "DBSubnetGroupAlreadyExists", "mine")

	options := must[*rds.DescribeOrderableDBInstanceOptionsOutput](t)(d.DescribeOrderableDBInstanceOptions(ctx, &rds.DescribeOrderableDBInstanceOptionsInput{
		Engine: aws.String("postgres"), DBInstanceClass: aws.String("db.t4g.micro"),
	})).OrderableDBInstanceOptions
	if len(options) == 0 || len(options[0].AvailabilityZones) != 1 || *options[0].AvailabilityZones[0].Name != "us-east-1c" {
		t.Errorf("options: %+v", options)
	}
	in := wanted("book")
	in.DBSubnetGroupName = aws.String("mine")
	_, err = d.CreateDBInstance(ctx, in)
	refused(t, err, "InsufficientDBInstanceCapacity", "db.t4g.micro")
	for name, x := range map[string]struct {
		spoil       func(*rds.CreateDBInstanceInput)
		code, piece string
	}{
		"version":  {func(in *rds.CreateDBInstanceInput) { in.EngineVersion = aws.String("9") }, "InvalidParameterCombination", "Cannot find version 9 for postgres"},
		"class":    {func(in *rds.CreateDBInstanceInput) { in.DBInstanceClass = aws.String("db.huge") }, "InvalidParameterValue", "db.huge"},
		"password": {func(in *rds.CreateDBInstanceInput) { in.MasterUserPassword = aws.String("with/slash-in") }, "InvalidParameterValue", "Only printable ASCII characters besides"},
		"name":     {func(in *rds.CreateDBInstanceInput) { in.DBInstanceIdentifier = aws.String("a--b") }, "InvalidParameterValue", "DBInstanceIdentifier"},
		"user":     {func(in *rds.CreateDBInstanceInput) { in.MasterUsername = aws.String("admin") }, "InvalidParameterValue", "MasterUsername admin cannot be used as it is a reserved word used by the engine"},
		"database": {func(in *rds.CreateDBInstanceInput) { in.DBName = aws.String("grant") }, "InvalidParameterValue", "DBName grant cannot be used. It is a reserved word for this engine"},
		"storage":  {func(in *rds.CreateDBInstanceInput) { in.AllocatedStorage = aws.Int32(5) }, "InvalidParameterValue", "Invalid storage size"},
		"group":    {func(in *rds.CreateDBInstanceInput) { in.DBSubnetGroupName = aws.String("none") }, "DBSubnetGroupNotFoundFault", "none"},
		"unserved": {func(in *rds.CreateDBInstanceInput) { in.Domain = aws.String("d") }, "InvalidParameterCombination", "Domain"},
	} {
		in := wanted("bad")
		x.spoil(in)
		_, err := d.CreateDBInstance(ctx, in)
		t.Run(name, func(t *testing.T) { refused(t, err, x.code, x.piece) })
	}
	must[*rds.DeleteDBSubnetGroupOutput](t)(d.DeleteDBSubnetGroup(ctx, &rds.DeleteDBSubnetGroupInput{DBSubnetGroupName: aws.String("mine")}))
}

func TestANewAccountNeedsTheServiceLinkedRole(t *testing.T) {
	t.Parallel()
	d := newDatabases(t, localcloud.Config{Faults: localcloud.Faults{NoServiceLinkedRoles: true}})
	_, err := d.CreateDBSubnetGroup(t.Context(), &rds.CreateDBSubnetGroupInput{DBSubnetGroupName: aws.String("mine"), DBSubnetGroupDescription: aws.String("Mine"), SubnetIds: d.subnets})
	refused(t, err, "InvalidParameterValue", "Missing necessary credentials. Please check ")
}

// serverPID is the process id of a database's server, the parent of the
// session's own process.
func serverPID(t *testing.T, conn *pgx.Conn) (pid int) {
	t.Helper()
	var session int
	if err := conn.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&session); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ps", "-o", "ppid=", "-p", strconv.Itoa(session)).Output()
	if err == nil {
		_, err = fmt.Sscan(string(out), &pid)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestBackupsAreRetainedWhenAskedAndStoppedInstancesStart(t *testing.T) {
	t.Parallel()
	d, ctx := newDatabases(t, localcloud.Config{}), t.Context()
	in := wanted("book")
	in.BackupRetentionPeriod = aws.Int32(1)
	d.create(t, in)
	resource := d.describe(t, "book").DbiResourceId
	must[*rds.CreateDBSnapshotOutput](t)(d.CreateDBSnapshot(ctx, &rds.CreateDBSnapshotInput{DBInstanceIdentifier: aws.String("book"), DBSnapshotIdentifier: aws.String("mine")}))
	_, err := d.CreateDBSnapshot(ctx, &rds.CreateDBSnapshotInput{DBInstanceIdentifier: aws.String("book"), DBSnapshotIdentifier: aws.String("mine")})
	refused(t, err, "DBSnapshotAlreadyExists", "mine")
	d.await(t, "book", "available")

	must[*rds.StopDBInstanceOutput](t)(d.StopDBInstance(ctx, &rds.StopDBInstanceInput{DBInstanceIdentifier: aws.String("book")}))
	d.await(t, "book", "stopped")
	if _, err := d.connect(t, "book", masterPassword, "verify-full"); err == nil {
		t.Error("a stopped database answers")
	}
	must[*rds.StartDBInstanceOutput](t)(d.StartDBInstance(ctx, &rds.StartDBInstanceInput{DBInstanceIdentifier: aws.String("book")}))
	d.await(t, "book", "available")
	d.login(t, "book")

	must[*rds.DeleteDBInstanceOutput](t)(d.DeleteDBInstance(ctx, &rds.DeleteDBInstanceInput{DBInstanceIdentifier: aws.String("book"), SkipFinalSnapshot: aws.Bool(true), DeleteAutomatedBackups: aws.Bool(false)}))
	d.await(t, "book", "")
	retained := must[*rds.DescribeDBInstanceAutomatedBackupsOutput](t)(d.DescribeDBInstanceAutomatedBackups(ctx, &rds.DescribeDBInstanceAutomatedBackupsInput{DbiResourceId: resource})).DBInstanceAutomatedBackups
	if len(retained) != 1 || *retained[0].Status != "retained" || len(d.snapshots(t, "automated")) != 1 || len(d.snapshots(t, "manual")) != 1 {
		t.Fatalf("kept: %+v and %+v", retained, d.snapshots(t, "automated"))
	}
	must[*rds.DeleteDBInstanceAutomatedBackupOutput](t)(d.DeleteDBInstanceAutomatedBackup(ctx, &rds.DeleteDBInstanceAutomatedBackupInput{DbiResourceId: resource}))
	if left := d.snapshots(t, "automated"); len(left) != 0 {
		t.Errorf("automated snapshots outlive their backup: %+v", left)
	}
}

func TestADatabaseCanBeDeletedWhileItIsMade(t *testing.T) {
	t.Parallel()
	d, ctx := newDatabases(t, localcloud.Config{Latencies: localcloud.Latencies{DBCreate: time.Hour, Interface: time.Hour}}), t.Context()
	must[*rds.CreateDBInstanceOutput](t)(d.CreateDBInstance(ctx, wanted("book")))
	must[*rds.DeleteDBInstanceOutput](t)(d.DeleteDBInstance(ctx, &rds.DeleteDBInstanceInput{DBInstanceIdentifier: aws.String("book"), SkipFinalSnapshot: aws.Bool(true)}))
	d.await(t, "book", "")
	lingering := must[*ec2.DescribeNetworkInterfacesOutput](t)(d.ec2.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{})).NetworkInterfaces
	if len(lingering) != 1 || *lingering[0].RequesterId != "amazon-rds" || *lingering[0].Attachment.InstanceOwnerId != "amazon-rds" {
		t.Fatalf("lingering interfaces: %+v", lingering)
	}
	_, err := d.ec2.DeleteSubnet(ctx, &ec2.DeleteSubnetInput{SubnetId: lingering[0].SubnetId})
	refused(t, err, "DependencyViolation", "has dependencies and cannot be deleted")
}

// TestRDSStartsAStoppedInstanceAfterItsTime stops an instance for longer than RDS leaves
// it so.
func TestRDSStartsAStoppedInstanceAfterItsTime(t *testing.T) {
	t.Parallel()
	d, ctx := newDatabases(t, localcloud.Config{}), t.Context()
	d.create(t, wanted("book"))
	id := aws.String("book")
	stop := func(after time.Duration) {
		t.Helper()
		must[*rds.StopDBInstanceOutput](t)(d.StopDBInstance(ctx, &rds.StopDBInstanceInput{DBInstanceIdentifier: id}))
		d.await(t, "book", "stopped")
		at := d.describe(t, "book").AutomaticRestartTime
		if at == nil || time.Until(*at) > after || time.Until(*at) < after-time.Hour {
			t.Errorf("it is started at %v, not in %s", at, after)
		}
	}
	stop(7 * 24 * time.Hour)
	must[*rds.StartDBInstanceOutput](t)(d.StartDBInstance(ctx, &rds.StartDBInstanceInput{DBInstanceIdentifier: id}))
	d.await(t, "book", "available")
	if at := d.describe(t, "book").AutomaticRestartTime; at != nil {
		t.Errorf("a running instance is started at %s", at)
	}
	d.cloud.SetFaults(localcloud.Faults{StoppedSeconds: 3})
	stop(3 * time.Second)
	d.await(t, "book", "available")
	d.login(t, "book")
}
