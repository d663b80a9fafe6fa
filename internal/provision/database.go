package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// TagSecretVersion is the tag of the database that holds the version of the secret whose
// password the database was last given, and of the service with which its tasks
// were started. RDS never returns a password, and a task reads the secret when it
// starts and never again, so this is how one that differs from the secret is
// seen; a version id gives nothing away.
const TagSecretVersion = "bookctl:secret-version" //nolint:gosec // the name of a tag

// tagRestoredFrom is the tag of the database that holds the id of the snapshot that it was
// restored from. It is set by the call that restores, since RDS does not return it.
const tagRestoredFrom = "bookctl:restored-from"

// Database is the stack's RDS PostgreSQL instance: encrypted, private, backed
// up, with TLS forced by its parameter group.
//
// The secret is the truth about the password, and the instance about where it
// answers: the password goes from the secret to the instance, and the address,
// the port and the names from the instance into the secret.
type Database struct {
	graph.NodeOf[*liveDatabase]
	databases
	secrets    *secretsmanager.Client
	secret     *Secret
	group      *SecurityGroup
	subnets    *DBSubnetGroup
	parameters *DBParameterGroup
	want       databaseSpec
	said       map[string]bool // the settings that this run was given
	options    databaseOptions
	now        func() time.Time

	// upgraded is the snapshot without which there is no upgrade; nil in a run that
	// makes none.
	upgraded *UpgradeSnapshot
	sent     databaseSent
}

// databaseSent is what this run has sent to RDS, what that answered, and what it has seen.
type databaseSent struct {
	// created is what the call answered that created it, until that is looked at.
	created *types.DBInstance
	// changed reports whether RDS took a change, and busy that it took none of the storage, in
	// its words.
	changed bool
	busy    string
	// upgrade is what RDS is to upgrade to, and since when; nil for nothing.
	upgrade *askedUpgrade
	// final is the final snapshot that was asked for, or seen being taken: the instance
	// counts as gone only when that is complete. Finished says that it is.
	final    string
	finished bool
	// going reports whether this run has seen it being deleted.
	going bool
}

// databaseSpec is what of a database can be wanted, and what drift compares.
type databaseSpec struct {
	version    string // "17" or "17.4"
	class      string
	storage    int32 // GiB
	maxStorage int32 // GiB; 0 does not grow
	backups    int32 // days; set at creation, since a change from or to 0 is an outage
	multiAZ    bool
	protected  bool
	insights   bool
	name, user string // of the database in it, and its owner; set at creation
}

// askedUpgrade is a change of the major version that RDS has taken.
type askedUpgrade struct {
	from, to string
	at       time.Time
}

// databaseOptions describes where a database comes from and how it goes.
type databaseOptions struct {
	restore      string // a snapshot, "latest", or "" for an empty database
	skipSnapshot bool
	beforeGoing  func(context.Context) error // Spec.beforeDatabaseGoes
	destroying   bool                        // it is only to be removed, which needs nothing of the secret
	paused       bool                        // it is to be stopped
	urls         bool                        // the secret is to have the connection as URLs as well
}

func databaseSpecOf(s Settings) databaseSpec {
	return databaseSpec{
		version: s.dbVersion(), class: s.DBClass, storage: s.DBStorage, maxStorage: s.DBMaxStorage,
		backups: s.BackupDays, multiAZ: s.DBMultiAZ, protected: s.Protect, insights: s.DBInsights, name: s.DBName, user: s.DBUser,
	}
}

// family is the family of the parameter group that fits the version.
func (d databaseSpec) family() string { return "postgres" + major(d.version) }

func major(version string) string {
	m, _, _ := strings.Cut(version, ".")
	return m
}

// exportedLog is the log that RDS sends to CloudWatch, and otherLogs are those that it can send
// as well:
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
const exportedLog = "postgresql"

var otherLogs = []string{"iam-db-auth-error", "upgrade"}

func newDatabase(d databases, secrets *secretsmanager.Client, secret *Secret, group *SecurityGroup, subnets *DBSubnetGroup, parameters *DBParameterGroup, logs *LogGroup, upgraded *UpgradeSnapshot, copied *SnapshotCopy, want databaseSpec, said map[string]bool, options databaseOptions) *Database {
	db := &Database{
		databases: d, secrets: secrets, secret: secret, group: group, subnets: subnets, parameters: parameters,
		upgraded: upgraded, want: want, said: said, options: options, now: time.Now,
	}
	needs := []graph.Finder{secret, group, subnets, parameters, logs}
	if copied != nil {
		needs = append(needs, copied)
	}
	if upgraded != nil {
		needs = append(needs, upgraded)
	}
	db.NodeOf = graph.Of(db, "database", 60*time.Minute, needs...)
	return db
}

func (d databases) databaseName() string { return d.names().Database() }

func (d *Database) identifier() *string { return aws.String(d.databaseName()) }

// Expect returns the usual time until a small instance serves; its first
// backup, which need not be waited for, takes as long again.
func (d *Database) Expect() time.Duration { return 5 * time.Minute }

// ExpectDeleted returns the usual time until it is gone, with its final snapshot.
func (d *Database) ExpectDeleted() time.Duration {
	if d.options.skipSnapshot {
		return 150 * time.Second
	}
	return 3 * time.Minute
}

// Endpoint returns where the database answers, or "" and 0 while RDS has not
// said so yet.
func (d *Database) Endpoint() (host string, port int32) {
	live := d.instanceSeen()
	if live == nil || live.Endpoint == nil || aws.ToString(live.Endpoint.Address) == "" {
		return "", 0
	}
	return *live.Endpoint.Address, aws.ToInt32(live.Endpoint.Port)
}

// instanceSeen is the instance as it was last read, or nil.
func (d *Database) instanceSeen() *types.DBInstance {
	if live := d.Last(); live != nil {
		return live.instance
	}
	return nil
}

// serves reports whether the database was last seen to serve, with its address in the
// secret, and since when this run has seen it.
func (d *Database) serves() (since time.Time, yes bool) {
	live := d.Last()
	if live == nil {
		return time.Time{}, false
	}
	return live.servedAt, live.serves
}

// secretVersion is the version of the secret that tasks are to be started with,
// or "" while there is none.
func (d *Database) secretVersion() string {
	if live := d.Last(); live != nil {
		return live.current
	}
	return ""
}

// liveDatabase is a database as far as it is compared and used.
type liveDatabase struct {
	databaseSpec
	instance *types.DBInstance
	// current is the current version of the secret; before the instance serves, the one
	// that it was made with.
	current string
	// serves reports whether it serves, with its address in the secret, and servedAt when this
	// run first saw that.
	serves   bool
	servedAt time.Time
	// samePassword are two versions of the secret that this run knows to have the same.
	samePassword [2]string
	// found is what the secret says, where that could be read.
	found credentials
	// unusable is why the password in the secret is of no use, and password what it is
	// then.
	unusable, password string
	wanted             *liveDatabase
	// scheduled is what it is to become in its maintenance window; nil for no change.
	scheduled *databaseSpec
	// pending is all that is scheduled, as RDS calls it.
	pending           []pendingValue
	tags              map[string]string
	public, encrypted bool
	copyTags, minor   bool
	groups            []string
	parameters        string
	reboot            bool     // before which not all of these are in force
	oldParameters     []string // the groups that neither it nor another instance has any more
	subnets           string
	logs              []string
	secretVersion     string // whose password it has
	connection        string // what the secret says of it, without the password
	port              string // "" where it is not compared
	stopped           bool
	managed           string // the secret by which RDS itself sets the password; "" for none
	// recoveryPoint are the continuous backups that AWS Backup holds of it, whose plan then
	// decides the retention; "" for none.
	recoveryPoint string
}

// dbName is the name of the database in the instance.
func (d *Database) dbName() string {
	if live := d.instanceSeen(); live != nil && aws.ToString(live.DBName) != "" {
		return *live.DBName
	}
	return d.secret.initial.DBName
}

// instance fetches the live instance, or nil.
func (d databases) instance(ctx context.Context) (*types.DBInstance, error) {
	return d.observed().instance.get(ctx, d.lookup)
}

func (d databases) lookup(ctx context.Context) (*types.DBInstance, error) {
	name := d.databaseName()
	out, err := d.rds.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &name})
	if isCode(err, "DBInstanceNotFound") || err == nil && len(out.DBInstances) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe database %s: %w", name, err)
	}
	return &out.DBInstances[0], nil
}

// Read looks the instance up by its name.
func (d *Database) Read(ctx context.Context) (*liveDatabase, graph.State, error) {
	if last := d.Last(); last != nil && databasePhase(aws.ToString(last.instance.DBInstanceStatus)) == graph.Terminating {
		// Until its final snapshot is complete the instance stays.
		if st, taking, err := d.gone(ctx); taking && err == nil {
			st.Note = aws.ToString(last.instance.DBInstanceStatus) + ", " + st.Note
			return last, st, nil
		}
	}
	db := d.sent.created
	if d.sent.created = nil; db == nil {
		var err error
		if db, err = d.instance(ctx); err != nil {
			return nil, graph.State{}, err
		}
	}
	if db == nil {
		st, _, err := d.gone(ctx)
		return nil, st, err
	}
	live := &liveDatabase{
		instance: db, current: d.secretVersion(),
		tags: rdsTagMap(db.TagList), public: aws.ToBool(db.PubliclyAccessible), encrypted: aws.ToBool(db.StorageEncrypted),
		stopped: isStopped(db), recoveryPoint: aws.ToString(db.AwsBackupRecoveryPointArn),
		copyTags: aws.ToBool(db.CopyTagsToSnapshot), minor: aws.ToBool(db.AutoMinorVersionUpgrade), logs: db.EnabledCloudwatchLogsExports,
		databaseSpec: databaseSpec{
			version: aws.ToString(db.EngineVersion), class: aws.ToString(db.DBInstanceClass),
			storage: aws.ToInt32(db.AllocatedStorage), maxStorage: aws.ToInt32(db.MaxAllocatedStorage),
			backups: aws.ToInt32(db.BackupRetentionPeriod), multiAZ: aws.ToBool(db.MultiAZ),
			protected: aws.ToBool(db.DeletionProtection), insights: aws.ToBool(db.PerformanceInsightsEnabled),
			name: aws.ToString(db.DBName), user: aws.ToString(db.MasterUsername),
		},
	}
	if portOfItsOwn(db.Endpoint) {
		live.port = decimal(db.Endpoint.Port)
	}
	if m := db.MasterUserSecret; m != nil {
		live.managed = cmp.Or(aws.ToString(m.SecretArn), "RDS's own")
	}
	for _, g := range db.VpcSecurityGroups {
		live.groups = append(live.groups, aws.ToString(g.VpcSecurityGroupId))
	}
	for _, p := range db.DBParameterGroups {
		live.parameters, live.reboot = aws.ToString(p.DBParameterGroupName), aws.ToString(p.ParameterApplyStatus) == "pending-reboot"
	}
	if db.DBSubnetGroup != nil {
		live.subnets = aws.ToString(db.DBSubnetGroup.DBSubnetGroupName)
	}
	live.secretVersion = live.tags[TagSecretVersion]
	status := aws.ToString(db.DBInstanceStatus)
	d.sent.going = d.sent.going || databasePhase(status) == graph.Terminating && live.tags[TagStack] == d.stack
	st := graph.State{
		Phase: databasePhase(status), ID: aws.ToString(db.DBInstanceArn), Owner: live.tags[TagStack], Note: status,
	}
	if st.Phase == graph.Unrecoverable && status != dbStopped && status != storageFull {
		why, err := d.failure(ctx)
		if err != nil {
			return nil, graph.State{}, err
		}
		if why != "" {
			st.Note += ", RDS says: " + why
		}
	}
	// A full one takes more storage.
	idle := (st.Phase == graph.Ready || status == storageFull) && !d.sent.changed
	if idle {
		live.pending = pendingValues(db)
	}
	if next := coming(live.databaseSpec, db.PendingModifiedValues); next != live.databaseSpec {
		// After a change the instance stays available for a while before it is
		// modifying. What is pending else waits for the maintenance window, unless a
		// change of this run takes it along.
		switch {
		case idle:
			live.scheduled = &next
		case st.Phase == graph.Ready:
			st.Phase, st.Note = graph.Pending, status+", pending: "+pendingText(live.databaseSpec, next)
			live.databaseSpec = next
		default:
			live.databaseSpec = next
		}
	}
	if asked := d.sent.upgrade; asked != nil && st.Phase == graph.Ready && major(live.version) == major(asked.from) {
		if err := d.refusedUpgrade(ctx, live.version, asked.to, asked.at); err != nil {
			return nil, graph.State{}, err
		}
	}
	if st.Phase == graph.Ready && passwordPending(db) {
		// Until RDS has set it, in the background, tasks would be refused.
		st.Phase, st.Note = graph.Pending, status+", the password is not set yet"
	}
	if st.Phase == graph.Terminating && d.sent.final == "" && !d.options.skipSnapshot && st.Owner == d.stack {
		// An earlier run asked for the removal: its snapshot is waited for too.
		if err := d.adoptFinal(ctx, aws.ToString(db.DbiResourceId)); err != nil {
			return nil, graph.State{}, err
		}
	}
	if d.sent.final != "" {
		snapshot, _, err := d.gone(ctx)
		switch {
		case errors.Is(err, ErrWouldLoseData) && st.Phase != graph.Terminating:
			return nil, graph.State{}, err // it was to go and stays: its snapshot may have failed
		case err == nil && snapshot.Note != "":
			st.Note += ", " + snapshot.Note
		}
	}
	want := &liveDatabase{
		databaseSpec: d.want, tags: d.tags(d.Name()), groups: []string{d.group.ID()},
		parameters: d.parameters.groupName(), subnets: d.subnets.groupName(), logs: []string{exportedLog},
		copyTags: true, minor: true, stopped: d.options.paused,
	}
	if d.options.restore != "" { // it has those of the snapshot
		want.name, want.user = live.name, live.user
	}
	if st.Phase == graph.Ready && st.Owner == d.stack && d.secret.readable() && !d.options.destroying {
		c, version, err := d.credentials(ctx)
		switch {
		case errors.Is(err, errNoPassword):
			live.password, live.unusable = "in no form that can be read", err.Error()
		case err != nil:
			return nil, graph.State{}, err
		default:
			want.secretVersion, live.current, live.found = version, version, c
			c.urls = c.urls || d.options.urls
			live.connection, want.connection = c.connection(), d.connected(c, db).connection()
			if why := badPassword(c.Password); why != "" && live.secretVersion != version {
				live.password, live.unusable = "one that RDS refuses", why
			}
		}
	}
	if last := d.Last(); last != nil {
		live.servedAt, live.samePassword = last.servedAt, last.samePassword
	}
	live.serves = st.Phase == graph.Ready && want.connection != "" && live.connection == want.connection
	if live.serves {
		if live.servedAt.IsZero() {
			live.servedAt = d.now()
		}
	} else if st.Phase == graph.Pending && live.secretVersion != "" {
		live.current = live.secretVersion
	}
	st.Retained = d.retain(live, want)
	if st.Phase == graph.Ready && live.parameters == want.parameters && major(live.version) == major(want.version) {
		free, kept, err := d.oldParameters(ctx)
		if err != nil {
			return nil, graph.State{}, err
		}
		live.oldParameters, st.Retained = free, append(st.Retained, kept...)
	}
	live.wanted = want
	return live, st, nil
}

// oldParameters are the stack's parameter groups that the database has no more. Those that
// another instance has, such as a copy that was restored by hand, or that RDS keeps, are kept:
// they cost nothing, and a later run deletes them.
func (d *Database) oldParameters(ctx context.Context) (free []string, kept []graph.Change, err error) {
	groups := d.parameters.others()
	if len(groups) == 0 {
		return nil, nil, nil
	}
	all, err := allInstances(ctx, d.rds)
	// Without permission to list them, RDS refuses the deletion of a group that is in use.
	if _, denied := Denied(err); err != nil && !denied {
		return nil, nil, err
	}
	users := map[string][]string{}
	for _, db := range all {
		for _, p := range db.DBParameterGroups {
			name := aws.ToString(p.DBParameterGroupName)
			users[name] = append(users[name], aws.ToString(db.DBInstanceIdentifier))
		}
	}
	for _, name := range groups {
		why := d.parameters.refused[name]
		if len(users[name]) > 0 {
			why = "database " + strings.Join(users[name], ", ") + " has it"
		}
		if why == "" {
			free = append(free, name)
			continue
		}
		kept = append(kept, graph.Change{Field: "old-parameter-group", Have: name, Want: "none", Blocked: why + "; it costs nothing, and goes with the first up after that"})
	}
	return free, kept, nil
}

// Wanted implements graph.Shape. What is wanted follows from what there is.
func (d *Database) Wanted(live *liveDatabase) *liveDatabase { return live.wanted }

// Judge implements graph.Judge: more storage is what repairs a full one, and a stopped
// one is started.
func (d *Database) Judge(live *liveDatabase, st graph.State) graph.State {
	if live.unusable != "" {
		st.Next = newPassword()
	}
	if st.Phase == graph.Unrecoverable {
		status := aws.ToString(live.instance.DBInstanceStatus)
		st.Next = d.remedy(live.instance, d.options.restore)
		switch more := pendingStorage(live.instance); {
		case status == storageFull && hasField(st.Drift, "storage"), status == dbStopped:
			st.Phase, st.Next = graph.Ready, hint.Message{}
		case status == storageFull && more > 0 && (d.sent.changed || d.sent.busy != ""):
			// It is shown as full until it has the storage that this run gave it. What
			// somebody has scheduled would come in the maintenance window only.
			st.Phase, st.Next = graph.Pending, hint.Message{}
			st.Note = fmt.Sprintf("%s, its storage grows: %s → %s", status, gib(aws.ToInt32(live.instance.AllocatedStorage)), gib(more))
		}
	}
	return st
}

// connected is what the secret should say, given what it says and the instance.
func (d *Database) connected(c credentials, db *types.DBInstance) credentials {
	c.Engine = d.secret.initial.Engine
	c.Username, c.DBName = aws.ToString(db.MasterUsername), aws.ToString(db.DBName)
	c = c.at(db.Endpoint)
	if portOfItsOwn(db.Endpoint) {
		c.Port = postgresPort // to which it goes back, where somebody has moved it
	}
	c.url, c.verifiedURL = c.asURL("require"), c.asURL(verifyFull)
	return c
}

// portOfItsOwn reports whether a database answers at an address of its own. One on this
// machine is an emulator's, and has whichever port was free.
func portOfItsOwn(e *types.Endpoint) bool {
	if e == nil || aws.ToString(e.Address) == "" || aws.ToInt32(e.Port) == 0 {
		return false
	}
	address, err := netip.ParseAddr(*e.Address)
	return *e.Address != "localhost" && (err != nil || !address.IsLoopback())
}

// Statuses, in RDS's words.
const (
	storageFull = "storage-full"
	noCapacity  = "insufficient-capacity"
	// Its KMS key can't be used: for seven days, and for longer.
	keyDisabled = "inaccessible-encryption-credentials-recoverable"
	keyLost     = "inaccessible-encryption-credentials"
)

// databasePhase sorts RDS's statuses:
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html
func databasePhase(status string) graph.Phase {
	switch status {
	case "available", "backing-up", "storage-optimization", "storage-initialization", "storage-config-upgrade",
		"configuring-enhanced-monitoring", "configuring-iam-database-auth", "configuring-log-exports":
		return graph.Ready // all of them serve
	case "deleting", "delete-precheck":
		return graph.Terminating
	case "failed", "restore-error", storageFull, dbStopped, noCapacity, keyDisabled, keyLost:
		return graph.Unrecoverable
	}
	if strings.HasPrefix(status, "incompatible-") {
		return graph.Unrecoverable
	}
	return graph.Pending
}

// remedy is what gets the database out of a broken status. Restore is what this run was to
// restore it from, or "".
func (d databases) remedy(db *types.DBInstance, restore string) hint.Message {
	status := aws.ToString(db.DBInstanceStatus)
	switch status {
	case dbStopped:
		return hint.New("%s starts it", hint.Command("up"))
	case storageFull:
		return hint.New("give it more storage: %s", hint.Command("up", "--db-storage", "N"))
	case noCapacity:
		return withoutCapacity(db, restore)
	case "incompatible-network":
		return hint.New("RDS can't find addresses or its subnet group: %s shows more", d.events())
	case "incompatible-parameters":
		return hint.New("it does not start with its parameters: undo what was changed in its parameter group")
	case keyDisabled:
		return hint.New("RDS can't use its KMS key: enable the key, or cancel its deletion; then, within seven days of that state, %s; once it is available, run the same command again",
			hint.AWS("rds", "start-db-instance", "--db-instance-identifier", d.databaseName()))
	case "deleting", "delete-precheck":
		return hint.New("once it is gone, %s starts from its snapshot, if it leaves one", hint.Command("up", "--restore", "latest"))
	}
	if !lost[status] {
		return hint.New("it does not recover by itself: %s shows more", d.events())
	}
	first := recovered(db)
	var again hint.Message
	switch {
	case !first.Empty():
		again = hint.New("%s starts from what was recovered", hint.Command("up", "--restore", recoveredName(db)))
	case restore != "":
		again = hint.New("the same command restores %s again, and %s lists others", restore, hint.Command("db", "snapshots"))
	default:
		again = hint.New("%s starts from the newest snapshot, or with an id instead of latest from another one that %s lists", hint.Command("up", "--restore", "latest"), hint.Command("db", "snapshots"))
	}
	return hint.New("it does not recover by itself: %s; once it is gone, %s", hint.Join("; ", unlocked(db), first, deletedAlone(db)), again)
}

// passwordSource is where the AWS CLI is to read a password from: an argument is shown to
// others on the machine, and kept in the shell's history.
// https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-parameters-file.html
type passwordSource struct {
	argument string // of the AWS CLI
	at       string // such as "on its input"
	from     string // the same behind "from", with what ends it
	example  string // what puts one there without a line end
}

// passwordsOn is the source on a system. On Windows no file is the input of a program.
func passwordsOn(system string) passwordSource {
	if system == "windows" {
		return passwordSource{
			argument: "file://password.txt", at: "in the file password.txt, which you delete again", from: "the file password.txt, which you delete again",
			example: "Set-Content password.txt -NoNewline -Encoding ascii writes one",
		}
	}
	return passwordSource{argument: "file:///dev/stdin", at: "on its input", from: "its input, up to Ctrl-D", example: "openssl rand -hex 20 | tr -d '\\n' prints one"}
}

// unmanaged returns what has RDS no longer set the password by itself, for which it needs
// another one. A line end is not part of a password.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html
func (d databases) unmanaged(in passwordSource) hint.Message {
	return hint.New("%s turns that off, with a password for the meantime %s, without a line end (%s); then %s",
		hint.AWS("rds", "modify-db-instance", "--db-instance-identifier", d.databaseName(), "--no-manage-master-user-password", "--master-user-password", in.argument), in.at, in.example,
		hint.Command("db", "rotate-password"))
}

// filled returns what puts a password into the secret.
func (s *Secret) filled(in passwordSource) hint.Message {
	return hint.New("put a password into it, plain or as JSON: %s reads it from %s",
		hint.AWS("secretsmanager", "put-secret-value", "--secret-id", s.secretName(), "--secret-string", in.argument), in.from)
}

// withoutCapacity is what to do about an instance that RDS could not create: "delete your DB
// instance, wait a few hours, and try to create again. Alternatively, create a new instance using
// a different instance class or AZ." One that never ran has no data of its own.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html
func withoutCapacity(db *types.DBInstance, restore string) hint.Message {
	if hasRun(db) {
		return hint.New("AWS has no such instance free now: wait some hours; or %s", anotherClass())
	}
	again := []string{"up", "--db-class", "CLASS"}
	if restore != "" {
		again = append(again, "--restore", restore)
	}
	return hint.New("AWS has no such instance free now, and it never ran: %s; once it is gone, %s creates one of another class, or the same command some hours later one of this",
		deletedAlone(db), hint.Command(again...))
}

// hasRun reports whether RDS ever had an instance: one that it could not create has no time of
// its creation.
func hasRun(db *types.DBInstance) bool {
	return db.InstanceCreateTime != nil || db.LatestRestorableTime != nil
}

// anotherClass is how a database that RDS can't start gets another class: that of a stopped one
// can't be changed.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_StopInstance.html#USER_StopInstance.Limitations
func anotherClass() hint.Message {
	return hint.New("%s leaves its final snapshot, and %s starts from that with another class",
		hint.Command("destroy"), hint.Command("up", "--restore", "latest", "--db-class", "CLASS"))
}

// events is the command that shows what RDS says of the database.
func (d databases) events() hint.Invocation {
	return hint.AWS("rds", "describe-events", "--source-type", "db-instance", "--source-identifier", d.databaseName())
}

// failure is the last that RDS reports of why the instance does not run, or "". It keeps the
// events of 14 days, those of an instance that had the same name too; and without them a run
// goes on.
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeEvents.html
func (d databases) failure(ctx context.Context) (string, error) {
	const failed, deleted = "failure", "deletion"
	out, err := d.rds.DescribeEvents(ctx, &rds.DescribeEventsInput{
		SourceType: types.SourceTypeDbInstance, SourceIdentifier: aws.String(d.databaseName()),
		Duration: aws.Int32(14 * 24 * 60), EventCategories: []string{failed, deleted},
	})
	if err != nil && (Expired(err) || ctx.Err() != nil) {
		return "", fmt.Errorf("describe the events of database %s: %w", d.databaseName(), err)
	}
	if err != nil {
		return "", nil //nolint:nilerr // without it a run goes on
	}
	var last types.Event
	for _, e := range out.Events {
		if !aws.ToTime(e.Date).Before(aws.ToTime(last.Date)) {
			last = e
		}
	}
	if !slices.Contains(last.EventCategories, failed) {
		return "", nil
	}
	return strings.TrimSpace(aws.ToString(last.Message)), nil
}

// recoveredName names the instance and the snapshot to which data is recovered.
func recoveredName(db *types.DBInstance) string {
	return aws.ToString(db.DBInstanceIdentifier) + "-recovered"
}

// unlocked returns what comes before a restore of an instance whose key is lost; otherwise it is
// empty. Snapshots and backups have the same key.
// https://repost.aws/knowledge-center/rds-aurora-inaccessible-state
func unlocked(db *types.DBInstance) hint.Message {
	if aws.ToString(db.DBInstanceStatus) != keyLost {
		return hint.Message{}
	}
	return hint.New("enable its KMS key, without which no snapshot or backup of it can be restored")
}

// recovered returns how the data of an instance that failed gets into a snapshot, as RDS's
// guide says: "Perform a point-in-time restore to the latest restorable time of the DB
// instance to recover the data." It is empty where there is no such time.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html
func recovered(db *types.DBInstance) hint.Message {
	if status := aws.ToString(db.DBInstanceStatus); status != "failed" && status != keyLost || db.LatestRestorableTime == nil {
		return hint.Message{}
	}
	words := []string{
		"rds", "restore-db-instance-to-point-in-time", "--source-db-instance-identifier", aws.ToString(db.DBInstanceIdentifier),
		"--target-db-instance-identifier", recoveredName(db), "--use-latest-restorable-time", "--no-publicly-accessible",
	}
	if g := db.DBSubnetGroup; g != nil {
		words = append(words, "--db-subnet-group-name", aws.ToString(g.DBSubnetGroupName))
	}
	return hint.New("first recover its data of %s: %s; once that is available, %s; once the snapshot is, %s", db.LatestRestorableTime.UTC().Format(time.RFC3339),
		hint.AWS(words...), hint.AWS("rds", "create-db-snapshot", "--db-instance-identifier", recoveredName(db), "--db-snapshot-identifier", recoveredName(db)),
		hint.AWS("rds", "delete-db-instance", "--db-instance-identifier", recoveredName(db), "--skip-final-snapshot"))
}

// deletedAlone returns how an instance that leaves no snapshot is deleted, and neither the
// stack's snapshots nor its automated backups.
func deletedAlone(db *types.DBInstance) hint.Message {
	name := aws.ToString(db.DBInstanceIdentifier)
	alone := hint.New("%s deletes it alone, and keeps all snapshots and backups", hint.AWS("rds", "delete-db-instance", "--db-instance-identifier", name, "--skip-final-snapshot", "--no-delete-automated-backups"))
	if aws.ToBool(db.DeletionProtection) {
		alone = hint.New("%s turns its protection off, and %s", hint.AWS("rds", "modify-db-instance", "--db-instance-identifier", name, "--no-deletion-protection"), alone)
	}
	return alone
}

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
	yes := func(b bool) string { return strconv.FormatBool(b) }
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
			live := d.instanceSeen()
			in.AllocatedStorage = &d.want.storage
			in.Iops = iopsFor(aws.ToString(live.StorageType), d.want.storage, aws.ToInt32(live.Iops))
		})),
		d.storageLimitAttribute(put(func(in *rds.ModifyDBInstanceInput) {
			most := d.want.maxStorage
			if most == 0 {
				most = max(d.want.storage, aws.ToInt32(d.instanceSeen().AllocatedStorage)) // which turns storage autoscaling off
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
			have, wanted := withPending(yes(live.multiAZ), yes(live.next().multiAZ)), yes(want.multiAZ)
			return have, wanted, have != wanted
		}, putNow(func(in *rds.ModifyDBInstanceInput) { in.MultiAZ = &d.want.multiAZ })).FixedIf(takesAlong),
		graph.Flag("deletion-protection", func(l *liveDatabase) bool { return l.protected }, put(func(in *rds.ModifyDBInstanceInput) { in.DeletionProtection = &d.want.protected })),
		graph.Flag("insights", func(l *liveDatabase) bool { return l.insights }, put(func(in *rds.ModifyDBInstanceInput) { in.EnablePerformanceInsights = &d.want.insights })),
		graph.Flag("public", func(l *liveDatabase) bool { return l.public }, put(func(in *rds.ModifyDBInstanceInput) { in.PubliclyAccessible = aws.Bool(false) })),
		graph.Compared("encrypted", func(live, _ *liveDatabase) (string, string, bool) {
			return yes(live.encrypted), yes(true), !live.encrypted
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
		graph.Field("old-parameter-group", func(l *liveDatabase) string { return inAnyOrder(l.oldParameters) }, graph.SetBy(d.parameters.deleteOthers)),
		graph.Compared("password", func(live, want *liveDatabase) (string, string, bool) {
			return cmp.Or(live.password, "that of another version of the secret"), "the secret's",
				live.unusable != "" || want.secretVersion != "" && live.secretVersion != want.secretVersion
		}, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			return d.setPassword(ctx, d.secrets, d.secret.secretName(), d.ID())
		})).FixedIf(func(live, _ *liveDatabase) graph.Remedy { return graph.Fixed(live.unusable) }),
		tagAttribute(func(l *liveDatabase) map[string]string { return l.tags }, graph.SetBy(d.retagged)),
	}
}

func (d *Database) start(ctx context.Context, _ []graph.Change) error { return d.startInstance(ctx) }

// startInstance starts a stopped instance, which takes RDS minutes.
func (d databases) startInstance(ctx context.Context) error {
	_, err := d.rds.StartDBInstance(ctx, &rds.StartDBInstanceInput{DBInstanceIdentifier: aws.String(d.databaseName())})
	if err != nil {
		err = fmt.Errorf("start database %s: %w", d.databaseName(), err)
	}
	if isCode(err, "InsufficientDBInstanceCapacity", "InsufficientDBInstanceCapacityFault") {
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
	case c.Field == "version" && major(c.Have) != major(c.Want):
		// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_UpgradeDBInstance.PostgreSQL.MajorVersion.html
		return "the database is unavailable during the upgrade, usually for about ten minutes, and the only way back is the snapshot that is taken before; run ANALYZE in it afterwards"
	case c.Field == "class", c.Field == "version", c.Field == "backup-retention" && (c.Have == none || c.Want == none):
		return "the database is unavailable for some minutes"
	}
	return ""
}

// versionAttribute compares versions of PostgreSQL. RDS raises the minor by itself,
// so a higher one than wanted is no drift.
func (d *Database) versionAttribute(r graph.Remedy) graph.Attribute[*liveDatabase] {
	return graph.Compared("version", func(live, want *liveDatabase) (string, string, bool) {
		return live.version, want.version, olderVersion(live, want)
	}, r).FixedIf(func(live, want *liveDatabase) (r graph.Remedy) {
		switch {
		case major(live.version) == major(want.version):
			r = takesAlong(live, want)
		case CompareVersions(live.version, want.version) > 0:
			r = graph.Fixed("PostgreSQL can't be downgraded to an older major version").
				Hint(hint.New("a snapshot of that version, which %s lists, can be restored into another stack", hint.Command("db", "snapshots")))
		case d.upgraded == nil:
			r = graph.Fixed("the database got another version a moment ago").Hint(hint.New("run the same command again"))
		default:
			r = takesAlong(live, want)
		}
		return r
	})
}

// olderVersion reports whether the version is to be changed.
func olderVersion(live, want *liveDatabase) bool {
	return major(live.version) != major(want.version) || minor(live.version) < minor(want.version)
}

// minor is -1 for a version that names none.
func minor(version string) int {
	_, m, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(m)
	if err != nil {
		return -1
	}
	return n
}

func gib(n int32) string  { return strconv.Itoa(int(n)) + " GiB" }
func days(n int32) string { return strconv.Itoa(int(n)) + " days" }

func limit(n int32) string {
	if n == 0 {
		return ""
	}
	return gib(n)
}

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
		Tags:                        rdsTags(tags),
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
	if rdsTagMap(out.DBInstance.TagList)[TagStack] == d.stack {
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
		Tags:                        rdsTags(tags),
	})
	if err != nil {
		return "", fmt.Errorf("restore database %s from snapshot %s: %w", *d.identifier(), s.ID, err)
	}
	return aws.ToString(out.DBInstance.DBInstanceArn), nil
}

// firstCredentials are those of a new database. The secret is read unless this run has
// created it a moment ago.
func (d *Database) firstCredentials(ctx context.Context) (credentials, string, error) {
	if made := d.secret.made; made.version != "" {
		return made.credentials, made.version, nil
	}
	return d.credentials(ctx)
}

// credentials reads the secret, and which version of it that is.
func (d *Database) credentials(ctx context.Context) (credentials, string, error) {
	return readCredentials(ctx, d.secrets, d.secret.secretName())
}

// samePassword reports whether two versions of the secret hold the same password.
// One that Secrets Manager no longer has, as it keeps only the last two, is taken
// for another.
func (d *Database) samePassword(ctx context.Context, x, y string) (bool, error) {
	if x == "" || y == "" {
		return false, nil
	}
	if live := d.Last(); live != nil && live.samePassword == [2]string{x, y} {
		return true, nil
	}
	var passwords []string
	for _, version := range []string{x, y} {
		c, _, err := readVersion(ctx, d.secrets, d.secret.secretName(), &version)
		if isCode(err, "ResourceNotFoundException") || errors.Is(err, errNoPassword) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		passwords = append(passwords, c.Password)
	}
	return passwords[0] == passwords[1], nil
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
		d.sent.busy = err.Error()
		if err = nil; more {
			in.AllocatedStorage, in.Iops = nil, nil
			_, err = d.rds.ModifyDBInstance(ctx, in)
		}
	}
	if err != nil {
		return fmt.Errorf("modify %s of database %s: %w", graph.Fields(changes), *d.identifier(), err)
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

// upgrading completes a change to another major version, nil for none: to which minor
// one, of those that RDS upgrades to, and with the parameter group of its family.
func (d *Database) upgrading(ctx context.Context, in *rds.ModifyDBInstanceInput) (*askedUpgrade, error) {
	live := d.instanceSeen()
	from := aws.ToString(live.EngineVersion)
	if in.EngineVersion == nil || major(*in.EngineVersion) == major(from) {
		return nil, nil
	}
	targets, err := UpgradeTargets(ctx, d.rds, from)
	if err != nil {
		return nil, err
	}
	if target := TargetFor(targets, *in.EngineVersion); target != "" {
		in.EngineVersion = &target
	}
	in.AllowMajorVersionUpgrade = aws.Bool(true)
	in.DBParameterGroupName = aws.String(d.parameters.groupName())
	return &askedUpgrade{from, *in.EngineVersion, d.now()}, nil
}

// setPassword gives the instance the password of the secret and then notes
// which version that was. RDS resets it without an outage: connections that
// are open stay open. It does so at once without being asked to; asked, it would also
// apply what is scheduled for the maintenance window.
func (d databases) setPassword(ctx context.Context, secrets *secretsmanager.Client, secret, arn string) error {
	c, version, err := readCredentials(ctx, secrets, secret)
	if err != nil {
		return err
	}
	if why := badPassword(c.Password); why != "" {
		return hint.Add(fmt.Errorf("set the password of database %s: %s", d.databaseName(), why), newPassword())
	}
	_, err = d.rds.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{
		DBInstanceIdentifier: aws.String(d.databaseName()), MasterUserPassword: &c.Password,
	})
	if err != nil {
		return fmt.Errorf("set the password of database %s: %w", d.databaseName(), err)
	}
	return d.noteVersion(ctx, arn, version)
}

func (d databases) noteVersion(ctx context.Context, arn, version string) error {
	_, err := d.rds.AddTagsToResource(ctx, &rds.AddTagsToResourceInput{
		ResourceName: &arn, Tags: rdsTags(map[string]string{TagSecretVersion: version}),
	})
	if err != nil {
		return fmt.Errorf("note the secret's version on database %s: %w", d.databaseName(), err)
	}
	return nil
}

const addressInSecret = "address-in-secret" //nolint:gosec // the name of an attribute

// fillSecret writes into the secret where the database is, and keeps the
// password. That is a new version of the same password: unless it is wrong
// anyway, the instance's note moves along. Cut off in between, the next run
// sets the same password once more, which changes nothing.
func (d *Database) fillSecret(ctx context.Context, _ []graph.Change) error {
	live := *d.Last()
	wrong := live.secretVersion != live.current
	c, before := live.found, live.current
	c.urls = c.urls || d.options.urls
	version, err := d.secret.put(ctx, d.connected(c, live.instance))
	if err != nil {
		return err
	}
	live.samePassword = [2]string{before, version}
	d.Learn(&live)
	if wrong {
		return nil
	}
	if err := d.noteVersion(ctx, d.ID(), version); err != nil {
		return err
	}
	serving := live
	serving.current, serving.secretVersion, serving.connection = version, version, live.wanted.connection
	serving.serves, serving.servedAt = true, d.now()
	d.Learn(&serving)
	return nil
}

// UpdatesSynchronously implements graph.UpdatesSynchronously: what the secret says of the database is what this
// run has just written.
func (d *Database) UpdatesSynchronously(changes []graph.Change) bool {
	live := d.Last()
	return live != nil && live.serves && len(changes) == 1 && changes[0].Field == addressInSecret
}

// Delete deletes the instance after RDS has taken a final snapshot. The
// snapshot is named by the instance's immutable resource id and the time, so
// that the name can collide with no other, not even one of a namesake. The
// automated backups go with the instance, and with them every earlier state of the data:
// retained ones would be billed, and the snapshot has only what there is now.
//
// The instance is read again unless this run has just done so. RDS itself refuses to delete
// one that somebody has protected since.
func (d *Database) Delete(ctx context.Context) error {
	db := d.justSeen()
	if db == nil {
		var err error
		if db, err = d.instance(ctx); db == nil || err != nil {
			return err
		}
	}
	if err := d.removable(db, d.options.skipSnapshot); err != nil {
		return err
	}
	if d.options.beforeGoing != nil {
		if err := d.options.beforeGoing(ctx); err != nil {
			return fmt.Errorf("database %s was not touched: %w", *d.identifier(), err)
		}
	}
	in := &rds.DeleteDBInstanceInput{
		DBInstanceIdentifier: d.identifier(), SkipFinalSnapshot: aws.Bool(true), DeleteAutomatedBackups: aws.Bool(true),
	}
	if !d.options.skipSnapshot {
		if !aws.ToBool(db.CopyTagsToSnapshot) {
			// A final snapshot takes no tags of its own, and one without the
			// stack's tags would be lost sight of.
			_, err := d.rds.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{
				DBInstanceIdentifier: d.identifier(), CopyTagsToSnapshot: aws.Bool(true),
			})
			if err != nil {
				return d.refusal(db, fmt.Sprintf("let snapshots of database %s carry its tags", *d.identifier()), err)
			}
		}
		// The call may be done and its answer lost: the name is noted before,
		// and kept when the call is sent again.
		if d.sent.final == "" {
			d.sent.final = d.names().FinalSnapshot(aws.ToString(db.DbiResourceId), d.now())
		}
		in.SkipFinalSnapshot, in.FinalDBSnapshotIdentifier = aws.Bool(false), aws.String(d.sent.final)
	}
	_, err := d.rds.DeleteDBInstance(ctx, in)
	if err != nil && !isCode(err, "DBInstanceNotFound") {
		return d.refusal(db, "delete database "+*d.identifier(), err)
	}
	return nil
}

// refusal is the error of a call that RDS refuses while the instance is to be removed. What it
// refuses because of a state that does not pass is not wrapped, or it would be taken for an
// error that passes by itself.
func (d *Database) refusal(db *types.DBInstance, what string, err error) error {
	status := aws.ToString(db.DBInstanceStatus)
	if !isCode(err, "InvalidDBInstanceState") || databasePhase(status) != graph.Unrecoverable {
		return fmt.Errorf("%s: %w", what, err)
	}
	next := d.remedy(db, "")
	if status == noCapacity { // it has run: what never has is not removable
		next = hint.New("AWS has no such instance free now: run the same command again some hours later")
	}
	if !d.options.skipSnapshot && status != dbStopped {
		next = hint.New("%s; or %s", next, deletedWithAll())
	}
	return hint.Add(fmt.Errorf("%s, which is %s: %s", what, status, err.Error()), next)
}

// ErrProtected is wrapped by the error of a destroy that deletion protection
// forbids.
var ErrProtected = errors.New("deletion protection is on")

// ErrWouldLoseData is wrapped by the error of a destroy that could take no
// final snapshot.
var ErrWouldLoseData = errors.New("no final snapshot can be taken")

func protected(what string) error {
	return hint.With(fmt.Errorf("%s: %w", what, ErrProtected), "%s turns it off; then run the same command again", hint.Command("up", "--protect=false"))
}

// removable returns the reason why the instance must not be deleted.
func (d databases) removable(db *types.DBInstance, skipSnapshot bool) error {
	name, status := aws.ToString(db.DBInstanceIdentifier), aws.ToString(db.DBInstanceStatus)
	if aws.ToBool(db.DeletionProtection) {
		return protected("database " + name)
	}
	if skipSnapshot {
		return nil
	}
	if status == dbStopped && !aws.ToBool(db.CopyTagsToSnapshot) {
		// Nothing of a stopped instance can be changed.
		return hint.Add(fmt.Errorf("database %s is stopped, and its snapshot would not carry the stack's tags: %w that would be found again", name, ErrWouldLoseData), d.remedy(db, ""))
	}
	neverRan := status == noCapacity && !hasRun(db)
	if snapshotless[status] || neverRan {
		next := hint.New("%s; or %s", d.remedy(db, ""), deletedWithAll())
		if lost[status] || neverRan {
			next = hint.New("%s; then %s deletes the rest of the stack; or %s", hint.Join("; ", unlocked(db), recovered(db), deletedAlone(db)), hint.Command("destroy"), deletedWithAll())
		}
		return hint.Add(fmt.Errorf("database %s is %q: %w in that state", name, status, ErrWouldLoseData), next)
	}
	return nil
}

// deletedWithAll returns how an instance that leaves no snapshot is deleted with all that is left
// of its data.
func deletedWithAll() hint.Message {
	return hint.New("%s deletes it with every snapshot and backup of the stack", hint.Command("destroy", "--purge-snapshots"))
}

// snapshotless are the statuses in which RDS takes no final snapshot: those that the
// guide names, and what stands on a key or a restore that is of no use. A stopped
// instance and one whose storage is full do leave one.
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DeleteDBInstance.html
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_DeleteInstance.html
var snapshotless = map[string]bool{
	"failed": true, "incompatible-restore": true, "incompatible-network": true, "restore-error": true, keyLost: true, keyDisabled: true,
}

// lost are the statuses of an instance that never serves again: its data is in snapshots and
// backups alone.
var lost = map[string]bool{"failed": true, "restore-error": true, "incompatible-restore": true, keyLost: true}

// CheckDestroy says, before anything is touched, why a stack must not be
// destroyed: its database or load balancer is protected (ErrProtected), or the
// database could leave no final snapshot although one is wanted
// (ErrWouldLoseData), or a secret has replicas or is one. What is not this stack's is no reason: it is left alone.
// What was just read of the stack is not asked for again; the zero Deployed is fine.
func CheckDestroy(ctx context.Context, c Clients, stack string, have Deployed, skipSnapshot bool) error {
	ctx = graph.WhileObserving(ctx)
	who := identity{stack: stack, observation: have.observation}
	d := databases{identity: who, rds: c.RDS}
	db, err := d.instance(ctx)
	if err != nil {
		return err
	}
	if db != nil && rdsTagMap(db.TagList)[TagStack] == stack {
		if err := d.removable(db, skipSnapshot); err != nil {
			return err
		}
	}
	l := &LoadBalancer{balancing: balancing{identity: who, elb: c.ELB}}
	b, err := l.describe(ctx)
	if err != nil {
		return err
	}
	if err := l.removable(ctx, b); err != nil {
		return err
	}
	return who.checkSecrets(ctx, c.Secrets)
}

// justSeen returns the instance where it was read before this run changed anything, a moment
// ago, and not since; otherwise nil.
func (d *Database) justSeen() *types.DBInstance {
	seen, live := d.observed().instance.recent(), d.Last()
	if seen == nil || live == nil || live.instance != seen {
		return nil
	}
	return seen
}

// gone distinguishes Absent from "gone, and the final snapshot is still being written".
// As long as it is not complete, nothing else of the database is removed. Taking says
// that it is seen to be written.
func (d *Database) gone(ctx context.Context) (st graph.State, taking bool, err error) {
	name := d.sent.final
	if name == "" || d.sent.finished {
		return absent, false, nil
	}
	waiting := graph.State{Phase: graph.Terminating, ID: name, Owner: d.stack}
	out, err := d.rds.DescribeDBSnapshots(ctx, &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: &name})
	if isCode(err, "DBSnapshotNotFound") || err == nil && len(out.DBSnapshots) == 0 {
		waiting.Note = "final snapshot " + name + " is not visible yet"
		return waiting, false, nil
	}
	if err != nil {
		return graph.State{}, false, fmt.Errorf("describe snapshot %s: %w", name, err)
	}
	switch s := out.DBSnapshots[0]; aws.ToString(s.Status) {
	case "available":
		d.sent.finished = true
		return absent, false, nil
	case "failed":
		return graph.State{}, false, hint.With(fmt.Errorf("final snapshot %s: %w: it failed; the database and what it needs are left as they are", name, ErrWouldLoseData),
			"%s shows why; %s deletes it with every snapshot and backup of the stack", hint.AWS("rds", "describe-events", "--source-type", "db-snapshot"), hint.Command("destroy", "--purge-snapshots"))
	default:
		waiting.Note = fmt.Sprintf("final snapshot %s: %s, %d%%", name, aws.ToString(s.Status), aws.ToInt32(s.PercentProgress))
		return waiting, true, nil
	}
}

// adoptFinal finds the final snapshot that an earlier run asked for.
func (d *Database) adoptFinal(ctx context.Context, resource string) error {
	all, err := Snapshots(ctx, d.rds, d.stack)
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.Kind == FinalSnapshot && s.Resource == resource && s.Status != "available" {
			d.sent.final = s.ID
		}
	}
	return nil
}

// RotatePassword gives the secret a new password and then the database. It
// returns when RDS has applied it, and reports to progress what it waits for; the caller then
// makes the service's tasks start again, since they read the secret when they start.
//
// The order bears being cut off anywhere: the secret is the truth, the note on
// the database shows that it has another's password, and the next up or
// rotation sets it. Open connections outlive the change, so tasks that hold
// theirs serve on until they are replaced; only a new connection of an old
// task is refused meanwhile.
func RotatePassword(ctx context.Context, c Clients, stack string, progress func(string)) error {
	d := databases{identity: identity{stack: stack}, rds: c.RDS}
	db, err := d.instance(ctx)
	if err != nil {
		return err
	}
	if db == nil {
		return hint.With(fmt.Errorf("stack %s has no database", stack), "%s makes it", hint.Command("up"))
	}
	if rdsTagMap(db.TagList)[TagStack] != stack {
		return fmt.Errorf("database %s: %w %s", d.databaseName(), graph.ErrUnmanaged, stack)
	}
	// One whose storage is being optimized, which may take a day, takes a password too:
	// https://repost.aws/knowledge-center/rds-stuck-in-storage-optimization
	if s := aws.ToString(db.DBInstanceStatus); s != "available" && s != "storage-optimization" {
		return fmt.Errorf("database %s is %q: its password can be changed when it is available", d.databaseName(), s)
	}
	if m := db.MasterUserSecret; m != nil { // it would refuse what the secret then has already
		return hint.Add(fmt.Errorf("database %s: RDS sets its password by itself, and keeps it in %s", d.databaseName(), cmp.Or(aws.ToString(m.SecretArn), "a secret of its own")), d.unmanaged(passwordsOn(runtime.GOOS)))
	}
	s := newSecret(d.identity, c.Secrets, "", "")
	st, err := s.Find(ctx)
	if err != nil {
		return err
	}
	if st.Phase == graph.Absent || st.Owner != stack {
		return fmt.Errorf("secret %s: %w %s", s.secretName(), graph.ErrUnmanaged, stack)
	}
	if hasField(st.Drift, "deletion") {
		if err := restoreSecret(ctx, s.secrets, s.secretName()); err != nil {
			return err
		}
	}
	// Whatever is in it, or is not, a rotation makes it right.
	current, _, err := readCredentials(ctx, c.Secrets, s.secretName())
	if err != nil && !errors.Is(err, errNoPassword) && !isCode(err, "ResourceNotFoundException") {
		return err
	}
	if current.Password, err = s.random(ctx); err != nil {
		return err
	}
	current.Engine, current.Username, current.DBName = s.initial.Engine, aws.ToString(db.MasterUsername), aws.ToString(db.DBName)
	// A run that was cut off may not have put the address into it yet.
	if _, err := s.put(ctx, current.at(db.Endpoint)); err != nil {
		return err
	}
	if err := d.setPassword(ctx, c.Secrets, s.secretName(), aws.ToString(db.DBInstanceArn)); err != nil {
		return hint.With(err, "the secret has the new password already: %s gives it to the database", hint.Command("up"))
	}
	return hint.With(d.passwordApplied(ctx, progress), "the secret has the new password already: once the database serves, %s gives it to the tasks", hint.Command("up"))
}

// passwordTimeout is how long RDS may take to set a password, which usually takes it a minute.
const passwordTimeout = 15 * time.Minute

// passwordPending reports whether RDS has yet to set the password it was given.
func passwordPending(db *types.DBInstance) bool {
	p := db.PendingModifiedValues
	return p != nil && p.MasterUserPassword != nil
}

// passwordApplied waits until the database serves and no password is pending: RDS sets it
// in the background, usually within a minute.
func (d databases) passwordApplied(ctx context.Context, progress func(string)) error {
	begun, said := time.Now(), ""
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		db, err := d.instance(ctx)
		status := unanswered(err)
		note := status
		switch {
		case status != "": // which is no phase, and waited for
		case err != nil:
			return err
		case db == nil:
			return fmt.Errorf("database %s is gone", d.databaseName())
		default:
			status = aws.ToString(db.DBInstanceStatus)
			note = "database " + status
		}
		switch phase := databasePhase(status); {
		case phase == graph.Ready && !passwordPending(db):
			return nil
		case phase == graph.Unrecoverable, phase == graph.Terminating:
			return fmt.Errorf("database %s is %q, and has not got its new password", d.databaseName(), status)
		case time.Since(begun) > passwordTimeout:
			return fmt.Errorf("database %s: %w: %q, without its new password after %s", d.databaseName(), graph.ErrTimeout, status, passwordTimeout)
		}
		if note != said {
			progress(note)
			said = note
		}
		if err := graph.Sleep(ctx, pause); err != nil {
			return fmt.Errorf("database %s is %q, and has not got its new password: %w", d.databaseName(), status, err)
		}
	}
}

// readCredentials reads a secret, and which version of it is current.
func readCredentials(ctx context.Context, secrets *secretsmanager.Client, name string) (credentials, string, error) {
	return readVersion(ctx, secrets, name, nil)
}

// readVersion reads a version of a secret, the current one for nil.
func readVersion(ctx context.Context, secrets *secretsmanager.Client, name string, version *string) (credentials, string, error) {
	out, err := secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name, VersionId: version})
	if err != nil {
		return credentials{}, "", fmt.Errorf("read secret %s: %w", name, err)
	}
	c, err := parseCredentials(aws.ToString(out.SecretString))
	if err != nil {
		return c, "", hint.Add(fmt.Errorf("secret %s: %w", name, err), newPassword())
	}
	return c, aws.ToString(out.VersionId), nil
}

// allInstances lists the instances of the account in the region, of whatever stack. With an
// error, it returns those that it has seen.
func allInstances(ctx context.Context, client *rds.Client) (all []types.DBInstance, err error) {
	pages := rds.NewDescribeDBInstancesPaginator(client, &rds.DescribeDBInstancesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return all, fmt.Errorf("describe the databases: %w", err)
		}
		all = append(all, page.DBInstances...)
	}
	return all, nil
}

// databaseKind lists the instances that have the stack's tag: its database, and copies of
// that, to which RDS gives its tags. Who may not list those of all stacks sees the database.
func (d databases) databaseKind() inventory.Kind {
	return inventory.Kind{Service: "rds", Type: "database", List: func(ctx context.Context) ([]inventory.Item, error) {
		all, err := allInstances(ctx, d.rds)
		if _, denied := Denied(err); denied {
			var db *types.DBInstance
			if db, err = d.instance(ctx); db != nil {
				all = []types.DBInstance{*db}
			}
		}
		var out []inventory.Item
		for _, db := range all {
			if rdsTagMap(db.TagList)[TagStack] == d.stack {
				out = append(out, inventory.Item{ID: aws.ToString(db.DBInstanceIdentifier)})
			}
		}
		return out, err
	}}
}

// foundKind is a kind of which a stack has one, listed by the resource that finds
// it.
func (d databases) foundKind(name string, r interface {
	Find(context.Context) (graph.State, error)
}) inventory.Kind {
	return inventory.Kind{Service: "rds", Type: name, List: func(ctx context.Context) ([]inventory.Item, error) {
		st, err := r.Find(ctx)
		if err != nil || st.Owner != d.stack {
			return nil, err
		}
		return []inventory.Item{{ID: st.ID}}, nil
	}}
}
