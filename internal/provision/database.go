package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

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
	rdsAccess
	secrets    *secretsmanager.Client
	secret     *Secret
	group      *SecurityGroup
	subnets    *DBSubnetGroup
	parameters *DBParameterGroup
	want       databaseSpec
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
	// refused are the refusals of calls although RDS shows the instance as available.
	refused refusals
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

// databaseOptions describes where a database comes from and how it goes.
type databaseOptions struct {
	given        map[string]bool // the settings that this run was given, by their flags
	restore      string          // a snapshot, "latest", or "" for an empty database
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
func (d databaseSpec) family() string { return "postgres" + MajorVersion(d.version) }

// exportedLog is the log that RDS sends to CloudWatch, and otherLogs are those that it can send
// as well:
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
const exportedLog = "postgresql"

var otherLogs = []string{"iam-db-auth-error", "upgrade"}

// databaseNeeds are the resources that a database is created from. Upgraded and copied are nil in a
// run that has none.
type databaseNeeds struct {
	secret     *Secret
	group      *SecurityGroup
	subnets    *DBSubnetGroup
	parameters *DBParameterGroup
	logs       *LogGroup
	upgraded   *UpgradeSnapshot
	copied     *SnapshotCopy
}

func newDatabase(d rdsAccess, secrets *secretsmanager.Client, needs databaseNeeds, want databaseSpec, options databaseOptions) *Database {
	db := &Database{
		rdsAccess: d, secrets: secrets, secret: needs.secret, group: needs.group, subnets: needs.subnets, parameters: needs.parameters,
		upgraded: needs.upgraded, want: want, options: options, now: time.Now,
	}
	first := []graph.Finder{needs.secret, needs.group, needs.subnets, needs.parameters, needs.logs}
	if needs.copied != nil {
		first = append(first, needs.copied)
	}
	if needs.upgraded != nil {
		first = append(first, needs.upgraded)
	}
	db.NodeOf = graph.Of(db, "database", 60*time.Minute, first...)
	return db
}

func (d rdsAccess) databaseName() string { return d.names().Database() }

func (d *Database) identifier() *string { return aws.String(d.databaseName()) }

// Expect returns the usual time until a small instance serves; its first
// backup, which need not be waited for, takes as long again.
func (d *Database) Expect() time.Duration { return 5 * time.Minute }

// Endpoint returns where the database answers, or "" and 0 while RDS has not
// said so yet.
func (d *Database) Endpoint() (host string, port int32) {
	live := d.lastInstance()
	if live == nil || live.Endpoint == nil || aws.ToString(live.Endpoint.Address) == "" {
		return "", 0
	}
	return *live.Endpoint.Address, aws.ToInt32(live.Endpoint.Port)
}

// lastInstance is the instance as it was last read, or nil.
func (d *Database) lastInstance() *types.DBInstance {
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

// dbName is the name of the database in the instance.
func (d *Database) dbName() string {
	if live := d.lastInstance(); live != nil && aws.ToString(live.DBName) != "" {
		return *live.DBName
	}
	return d.secret.initial.DBName
}

// instance fetches the live instance, or nil.
func (d rdsAccess) instance(ctx context.Context) (*types.DBInstance, error) {
	return d.observed().instance.readOnce(ctx, d.lookup)
}

func (d rdsAccess) lookup(ctx context.Context) (*types.DBInstance, error) {
	name := d.databaseName()
	out, err := d.rds.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &name})
	if IsCode(err, "DBInstanceNotFound") || err == nil && len(out.DBInstances) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe database %s: %w", name, err)
	}
	return &out.DBInstances[0], nil
}

// Read looks the instance up by its name. The steps keep their order: some use what an earlier
// one notes in d.sent.
func (d *Database) Read(ctx context.Context) (*liveDatabase, graph.State, error) {
	if last, st, waiting := d.waitingForFinalSnapshot(ctx); waiting {
		return last, st, nil
	}
	db, err := d.freshInstance(ctx)
	if err != nil {
		return nil, graph.State{}, err
	}
	if db == nil {
		st, _, err := d.gone(ctx)
		return nil, st, err
	}
	live := liveDatabaseOf(db, d.secretVersion())
	status := aws.ToString(db.DBInstanceStatus)
	if status != "available" {
		d.sent.refused.end()
	}
	d.sent.going = d.sent.going || databasePhase(status) == graph.Terminating && live.tags[TagStack] == d.stack
	st := graph.State{
		Phase: databasePhase(status), ID: aws.ToString(db.DBInstanceArn), Owner: live.tags[TagStack], Note: status,
	}
	if err := d.noteFailure(ctx, status, &st); err != nil {
		return nil, graph.State{}, err
	}
	d.notePending(live, status, &st)
	if err := d.checkUpgrade(ctx, live, st.Phase); err != nil {
		return nil, graph.State{}, err
	}
	if st.Phase == graph.Ready && passwordPending(db) {
		// Until RDS has set it, in the background, tasks would be refused.
		st.Phase, st.Note = graph.Pending, status+", the password is not set yet"
	}
	if err := d.followFinalSnapshot(ctx, db, &st); err != nil {
		return nil, graph.State{}, err
	}
	live.wanted = d.wantedFor(live)
	if st.Phase == graph.Ready && st.Owner == d.stack && d.secret.readable() && !d.options.destroying {
		if err := d.compareSecret(ctx, live); err != nil {
			return nil, graph.State{}, err
		}
	}
	d.noteServing(live, st.Phase)
	st.Retained = d.retain(live, live.wanted)
	if st.Phase == graph.Ready && !d.options.destroying {
		if err := d.noteOldParameters(ctx, live, &st); err != nil {
			return nil, graph.State{}, err
		}
	}
	return live, st, nil
}

// waitingForFinalSnapshot returns what was read last while the final snapshot of an instance that
// is being deleted is taken: until that is complete the instance stays.
func (d *Database) waitingForFinalSnapshot(ctx context.Context) (last *liveDatabase, st graph.State, waiting bool) {
	last = d.Last()
	if last == nil || databasePhase(aws.ToString(last.instance.DBInstanceStatus)) != graph.Terminating {
		return nil, graph.State{}, false
	}
	st, taking, err := d.gone(ctx)
	if !taking || err != nil {
		return nil, graph.State{}, false
	}
	st.Note = aws.ToString(last.instance.DBInstanceStatus) + ", " + st.Note
	return last, st, true
}

// freshInstance returns the instance as the call that created it answered, once, and as RDS
// describes it after that; nil for none.
func (d *Database) freshInstance(ctx context.Context) (*types.DBInstance, error) {
	if db := d.sent.created; db != nil {
		d.sent.created = nil
		return db, nil
	}
	return d.instance(ctx)
}

// noteFailure adds why an instance is in a state that does not pass, in RDS's words.
func (d *Database) noteFailure(ctx context.Context, status string, st *graph.State) error {
	if st.Phase != graph.Unrecoverable || status == dbStopped || status == storageFull {
		return nil
	}
	why, err := d.failure(ctx)
	if err != nil {
		return err
	}
	if why != "" {
		st.Note += ", RDS says: " + why
	}
	return nil
}

// notePending notes what RDS has still to change of the instance.
func (d *Database) notePending(live *liveDatabase, status string, st *graph.State) {
	// A full one takes more storage.
	idle := (st.Phase == graph.Ready || status == storageFull) && !d.sent.changed
	if idle {
		live.pending = pendingValues(live.instance)
	}
	next := coming(live.databaseSpec, live.instance.PendingModifiedValues)
	if next == live.databaseSpec {
		return
	}
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

// checkUpgrade fails where RDS did not make the upgrade that this run asked for.
func (d *Database) checkUpgrade(ctx context.Context, live *liveDatabase, phase graph.Phase) error {
	asked := d.sent.upgrade
	if asked == nil || phase != graph.Ready || MajorVersion(live.version) != MajorVersion(asked.from) {
		return nil
	}
	return d.refusedUpgrade(ctx, live.version, asked.to, asked.at)
}

// followFinalSnapshot notes how far the final snapshot of an instance is that is being deleted.
func (d *Database) followFinalSnapshot(ctx context.Context, db *types.DBInstance, st *graph.State) error {
	if st.Phase == graph.Terminating && d.sent.final == "" && !d.options.skipSnapshot && st.Owner == d.stack {
		// An earlier run asked for the removal: its snapshot is waited for too.
		if err := d.adoptFinal(ctx, aws.ToString(db.DbiResourceId)); err != nil {
			return err
		}
	}
	if d.sent.final == "" {
		return nil
	}
	snapshot, _, err := d.gone(ctx)
	switch {
	case errors.Is(err, ErrWouldLoseData) && st.Phase != graph.Terminating:
		return err // it was to go and stays: its snapshot may have failed
	case err == nil && snapshot.Note != "":
		st.Note += ", " + snapshot.Note
	}
	return nil
}

// wantedFor returns what is wanted of the database, as far as it does not follow from the secret.
func (d *Database) wantedFor(live *liveDatabase) *liveDatabase {
	want := &liveDatabase{
		databaseSpec: d.want, tags: d.tags(d.Name()), groups: []string{d.group.ID()},
		parameters: d.parameters.groupName(), subnets: d.subnets.groupName(), logs: []string{exportedLog},
		copyTags: true, minor: true, stopped: d.options.paused,
	}
	if d.options.restore != "" { // it has those of the snapshot
		want.name, want.user = live.name, live.user
	}
	return want
}

// compareSecret reads the secret, and notes what it says of the instance and should.
func (d *Database) compareSecret(ctx context.Context, live *liveDatabase) error {
	c, version, err := d.credentials(ctx)
	if errors.Is(err, errNoPassword) {
		live.password, live.unusable = "in no form that can be read", err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	live.wanted.secretVersion, live.current, live.found = version, version, c
	c.urls = c.urls || d.options.urls
	live.connection, live.wanted.connection = c.connection(), d.connected(c, live.instance).connection()
	if why := badPassword(c.Password); why != "" && live.secretVersion != version {
		live.password, live.unusable = "one that RDS refuses", why
	}
	return nil
}

// noteServing notes whether the database serves with its address in the secret, and since when.
func (d *Database) noteServing(live *liveDatabase, phase graph.Phase) {
	if last := d.Last(); last != nil {
		live.servedAt, live.samePassword = last.servedAt, last.samePassword
	}
	live.serves = phase == graph.Ready && live.wanted.connection != "" && live.connection == live.wanted.connection
	switch {
	case live.serves && live.servedAt.IsZero():
		live.servedAt = d.now()
	case !live.serves && phase == graph.Pending && live.secretVersion != "":
		live.current = live.secretVersion
	}
}

// noteOldParameters notes the parameter groups that the database has no more, and which of them
// are kept.
func (d *Database) noteOldParameters(ctx context.Context, live *liveDatabase, st *graph.State) error {
	free, kept, err := d.oldParameters(ctx, live, live.wanted)
	if err != nil {
		return err
	}
	live.oldParameters, st.Retained = free, append(st.Retained, kept...)
	return nil
}

// oldParameters are the stack's parameter groups that the database has no more. Those that
// another instance has, such as a copy that was restored by hand, or that RDS keeps, are kept:
// they cost nothing, and a later run deletes them. So is one with parameters that people have
// set and the new one lacks, which an upgrade leaves behind: nothing else has them.
func (d *Database) oldParameters(ctx context.Context, live, want *liveDatabase) (free []string, kept []graph.Change, err error) {
	keep := func(name, why string) {
		kept = append(kept, graph.Change{Field: "old-parameter-group", Have: name, Want: "none", Blocked: why})
	}
	if live.parameters != want.parameters {
		if MajorVersion(live.version) == MajorVersion(want.version) {
			return nil, nil, nil
		}
		why, err := d.parameters.lacks(ctx, live.parameters)
		if why != "" {
			keep(live.parameters, "after the upgrade "+why)
		}
		return nil, kept, err
	}
	groups := d.parameters.others()
	if len(groups) == 0 || MajorVersion(live.version) != MajorVersion(want.version) {
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
		lost, err := d.parameters.lacks(ctx, name)
		switch {
		case err != nil:
			return nil, nil, err
		case lost != "":
			keep(name, lost)
		case why != "":
			keep(name, why+"; it costs nothing, and goes with the first up after that")
		default:
			free = append(free, name)
		}
	}
	return free, kept, nil
}

// Wanted implements graph.Shape. What is wanted follows from what there is.
func (d *Database) Wanted(live *liveDatabase) *liveDatabase { return live.wanted }

// AdjustPhase implements graph.PhaseAdjuster: more storage is what repairs a full one, and a stopped
// one is started.
func (d *Database) AdjustPhase(live *liveDatabase, st graph.State) graph.State {
	if live.unusable != "" {
		st.Next = newPassword()
	}
	if st.Phase == graph.Unrecoverable {
		status := aws.ToString(live.instance.DBInstanceStatus)
		st.Next = d.remedy(live.instance, d.options.restore)
		switch more := pendingStorage(live.instance); {
		case status == storageFull && hasField(st.Drift, "storage"), status == dbStopped:
			st.Phase, st.Next = graph.Ready, hint.Message{}
		case status == storageFull && more == 0 && d.sent.busy != "":
			st.Note += ", RDS gives it no more storage now: " + d.sent.busy
			st.Next = hint.New("RDS takes another change of the storage when it has optimized the last one, at times only six hours after that, and at most four in a day: run the same command again then; if the database takes connections, %s can delete what it does not need",
				hint.Command("db", "psql"))
		case status == storageFull && more > 0 && (d.sent.changed || d.sent.busy != ""):
			// It is shown as full until it has the storage that this run gave it. What
			// somebody has scheduled would come in the maintenance window only.
			st.Phase, st.Next = graph.Pending, hint.Message{}
			st.Note = fmt.Sprintf("%s, its storage grows: %s → %s", status, gib(aws.ToInt32(live.instance.AllocatedStorage)), gib(more))
		}
	}
	return st
}

// filled returns what puts a password into the secret.
func (s *Secret) filled(in passwordSource) hint.Message {
	return hint.New("put a password into it, plain or as JSON: %s reads it from %s",
		hint.AWS("secretsmanager", "put-secret-value", "--secret-id", s.secretName(), "--secret-string", in.argument), in.from)
}

// UpdatesSynchronously implements graph.UpdatesSynchronously: what the secret says of the database is what this
// run has just written.
func (d *Database) UpdatesSynchronously(changes []graph.Change) bool {
	live := d.Last()
	return live != nil && live.serves && len(changes) == 1 && changes[0].Field == addressInSecret
}

// mostRefused is how long RDS may refuse calls for an instance that it shows as available, as it
// does for a moment after a change. Something else holds the instance then, such as an
// integration or a blue/green deployment.
const mostRefused = 10 * time.Minute

// persistent returns the error of a call to RDS, or nil, unchanged. Once RDS has refused calls for
// mostRefused, it returns an error that says so.
func (d rdsAccess) persistent(refused *refusals, db *types.DBInstance, err error) error {
	switch {
	case !IsCode(err, "InvalidDBInstanceState") || aws.ToString(db.DBInstanceStatus) != "available":
		refused.end()
		return err
	case !refused.lasts(mostRefused):
		return err
	}
	return hint.With(fmt.Errorf("RDS shows the database as available, and has refused for %s to %s", mostRefused, err.Error()),
		"something holds the database, which RDS's words or %s name: end that, and run the same command again", d.events())
}
