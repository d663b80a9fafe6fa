package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// UpgradeSnapshot is the manual snapshot that is taken before a database gets another
// major version, from which there is no way back but that snapshot. It is a part only of
// a run that upgrades. It is no part of the stack: it stays, as other snapshots do.
type UpgradeSnapshot struct {
	graph.NodeOf[*liveSnapshot]
	rdsAccess
	version string // that the database is to have
	now     func() time.Time
	// asked is the name of the one that this run has asked for.
	asked   string
	refused refusals // of it, although RDS shows the instance as available
}

type liveSnapshot struct{ tags map[string]string }

// upgradeSnapshotLife is for how long a snapshot that an earlier run took is good enough:
// what was cut off goes on, and an upgrade that is tried again another day has one of that day.
const upgradeSnapshotLife = time.Hour

func newUpgradeSnapshot(d rdsAccess, version string) *UpgradeSnapshot {
	s := &UpgradeSnapshot{rdsAccess: d, version: version, now: time.Now}
	s.NodeOf = graph.Of(s, "upgrade-snapshot", 2*time.Hour)
	return s
}

// Expect returns the usual time of a small database.
func (s *UpgradeSnapshot) Expect() time.Duration { return 3 * time.Minute }

// Read looks for the newest one of the instance.
func (s *UpgradeSnapshot) Read(ctx context.Context) (*liveSnapshot, graph.State, error) {
	none := graph.State{Phase: graph.Absent, Unwanted: true}
	db, err := s.instance(ctx)
	if err != nil {
		return nil, graph.State{}, err
	}
	if db == nil || fromRDSTags(db.TagList)[TagStack] != s.stack || MajorVersion(aws.ToString(db.EngineVersion)) == MajorVersion(s.version) {
		return nil, none, nil
	}
	found, err := snapshotsOfInstance(ctx, s.rds, s.stack, db, ofInstance)
	if err != nil {
		return nil, graph.State{}, err
	}
	resource := aws.ToString(db.DbiResourceId)
	for _, snapshot := range slices.Backward(found) {
		if !strings.HasPrefix(snapshot.ID, s.names().UpgradeSnapshotPrefix(resource, MajorVersion(aws.ToString(db.EngineVersion)))) {
			continue
		}
		asked := s.asked == snapshot.ID
		st := graph.State{Phase: graph.Ready, ID: snapshot.ID, Owner: cmp.Or(snapshot.tags[TagStack], s.stack), Note: snapshot.Status}
		switch {
		case snapshot.Status == "available" && (asked || s.now().Sub(snapshot.Created) < upgradeSnapshotLife):
		case snapshot.Status == "creating":
			st.Phase = graph.Pending
		case asked:
			st.Phase = graph.Unrecoverable
			st.Next = hint.New("%s shows why; the database is unchanged", hint.AWS("rds", "describe-events", "--source-type", "db-snapshot"))
		default:
			continue
		}
		return &liveSnapshot{tags: snapshot.tags}, st, nil
	}
	return nil, absent, nil
}

// Wanted implements graph.Shape.
func (s *UpgradeSnapshot) Wanted(live *liveSnapshot) *liveSnapshot { return live }

// Attributes implements graph.Shape: a snapshot has none that are set later.
func (s *UpgradeSnapshot) Attributes() graph.Attributes[*liveSnapshot] { return nil }

// Create asks for the snapshot. It is named before, and the name kept when the call is
// sent again: the call may be done and its answer lost. A stopped database is started first:
// "The source DB instance must be in the available or storage-optimization state", and until
// then RDS refuses the call with an error that passes.
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBSnapshot.html
func (s *UpgradeSnapshot) Create(ctx context.Context) (string, error) {
	db, err := s.instance(ctx)
	if err != nil {
		return "", err
	}
	if db == nil {
		return "", fmt.Errorf("database %s is gone", s.databaseName())
	}
	if aws.ToString(db.DBInstanceStatus) == dbStopped {
		if err := s.startInstance(ctx); err != nil {
			return "", err
		}
	}
	if s.asked == "" {
		s.asked = s.names().UpgradeSnapshot(aws.ToString(db.DbiResourceId), MajorVersion(aws.ToString(db.EngineVersion)), s.now())
	}
	tags := fromRDSTags(db.TagList)
	_, err = s.rds.CreateDBSnapshot(ctx, &rds.CreateDBSnapshotInput{
		DBInstanceIdentifier: aws.String(s.databaseName()), DBSnapshotIdentifier: &s.asked, Tags: toRDSTags(tags),
	})
	if IsCode(err, "DBSnapshotAlreadyExists") {
		err = nil
	}
	if err != nil {
		return "", s.persistent(&s.refused, db, fmt.Errorf("take snapshot %s: %w", s.asked, err))
	}
	return s.asked, nil
}

// UpgradeTargets are the versions that RDS upgrades a version to, oldest first. Nil is
// for an endpoint that does not say, as emulators do.
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_UpgradeTarget.html
func UpgradeTargets(ctx context.Context, client *rds.Client, from string) ([]string, error) {
	out, err := client.DescribeDBEngineVersions(ctx, &rds.DescribeDBEngineVersionsInput{Engine: aws.String("postgres"), EngineVersion: &from},
		func(o *rds.Options) { o.RetryMaxAttempts = 3 })
	if silent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask what PostgreSQL %s can be upgraded to: %w", from, err)
	}
	targets := []string{}
	for _, v := range out.DBEngineVersions {
		for _, t := range v.ValidUpgradeTarget {
			targets = append(targets, aws.ToString(t.EngineVersion))
		}
	}
	slices.SortFunc(targets, CompareVersions)
	return targets, nil
}

// TargetFor is the newest of the targets that a wanted version means, or "".
func TargetFor(targets []string, want string) string {
	for _, t := range slices.Backward(targets) {
		if t == want || minor(want) < 0 && MajorVersion(t) == want {
			return t
		}
	}
	return ""
}

// CompareVersions orders versions of PostgreSQL.
func CompareVersions(x, y string) int {
	return cmp.Or(cmp.Compare(len(MajorVersion(x)), len(MajorVersion(y))), cmp.Compare(MajorVersion(x), MajorVersion(y)), cmp.Compare(minor(x), minor(y)))
}

// DefaultVersion is the major version that RDS gives a new database, "" where an
// endpoint does not say, as emulators do.
func DefaultVersion(ctx context.Context, client *rds.Client) (string, error) {
	out, err := client.DescribeDBEngineVersions(ctx, &rds.DescribeDBEngineVersionsInput{Engine: aws.String("postgres"), DefaultOnly: aws.Bool(true)})
	if silent(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("ask for the default version of PostgreSQL: %w", err)
	}
	for _, v := range out.DBEngineVersions {
		return MajorVersion(aws.ToString(v.EngineVersion)), nil
	}
	return "", nil
}

// StandardSupportEnds is when extended support of a version of PostgreSQL begins, which
// costs extra; zero where that is not known. It is only shown, and so read once.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/extended-support.html
func StandardSupportEnds(ctx context.Context, client *rds.Client, version string) (time.Time, error) {
	out, err := client.DescribeDBMajorEngineVersions(ctx, &rds.DescribeDBMajorEngineVersionsInput{Engine: aws.String("postgres"), MajorEngineVersion: aws.String(MajorVersion(version))},
		func(o *rds.Options) { o.RetryMaxAttempts = 1 })
	if err != nil && (Expired(err) || ctx.Err() != nil) {
		return time.Time{}, fmt.Errorf("ask until when PostgreSQL %s is supported: %w", MajorVersion(version), err)
	}
	if err != nil {
		return time.Time{}, nil //nolint:nilerr // without it a run goes on
	}
	for _, v := range out.DBMajorEngineVersions {
		for _, life := range v.SupportedEngineLifecycles {
			if life.LifecycleSupportName == types.LifecycleSupportNameOpenSourceRdsStandardSupport {
				return aws.ToTime(life.LifecycleSupportEndDate), nil
			}
		}
	}
	return time.Time{}, nil
}

// silent reports whether an endpoint does not have the call, as emulators: it answers with an
// error of RDS's for that, or with a page of HTML instead of what RDS sends.
func silent(err error) bool {
	return IsCode(err, "InvalidAction", "NotImplemented") || err != nil && (strings.Contains(err.Error(), "deserializing xml error response") || strings.Contains(err.Error(), "the answer is a web page"))
}

// ErrNotUpgraded is wrapped by the error of a run whose upgrade RDS refused after its
// checks. The database serves the old version.
var ErrNotUpgraded = errors.New("RDS did not upgrade it")

// refusedUpgrade is why RDS did not make the upgrade that this run asked for at a time,
// or nil while nothing says so. An event of RDS says that it did not, and a log why:
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_UpgradeDBInstance.PostgreSQL.MajorVersion.Process.html
func (d rdsAccess) refusedUpgrade(ctx context.Context, from, to string, since time.Time) error {
	since = since.Add(-time.Minute) // clocks differ
	out, err := d.rds.DescribeEvents(ctx, &rds.DescribeEventsInput{
		SourceType: types.SourceTypeDbInstance, SourceIdentifier: aws.String(d.databaseName()), StartTime: &since,
	})
	if err != nil {
		return fmt.Errorf("describe the events of database %s: %w", d.databaseName(), err)
	}
	event := ""
	for _, e := range out.Events {
		if text := aws.ToString(e.Message); strings.Contains(text, "cannot be upgraded") || strings.Contains(text, "could not be upgraded") || strings.Contains(text, "can't be upgraded") {
			event = text
		}
	}
	if event == "" {
		return nil
	}
	why, err := d.upgradeLog(ctx, since)
	if err != nil {
		why = fmt.Sprintf("its log can't be read: %v", err)
	}
	return hint.With(fmt.Errorf("the database stays PostgreSQL %s, and serves: %w to %s: %s", from, ErrNotUpgraded, to, cmp.Or(why, event)),
		"put that right in the database and run the same command again; %s connects to it", hint.Command("db"))
}

// mostUpgradeLog is how much of the logs is shown.
const mostUpgradeLog = 1500

// upgradeLog is what the logs of an upgrade since a time say of its failure.
func (d rdsAccess) upgradeLog(ctx context.Context, since time.Time) (string, error) {
	var parts []string
	for _, about := range []string{"pg_upgrade_precheck", "pg_upgrade_internal", ".txt"} {
		out, err := d.rds.DescribeDBLogFiles(ctx, &rds.DescribeDBLogFilesInput{
			DBInstanceIdentifier: aws.String(d.databaseName()), FilenameContains: aws.String(about), FileLastWritten: aws.Int64(since.UnixMilli()),
		})
		if err != nil {
			return "", err
		}
		newest := types.DescribeDBLogFilesDetails{}
		for _, f := range out.DescribeDBLogFiles {
			if aws.ToInt64(f.LastWritten) >= aws.ToInt64(newest.LastWritten) {
				newest = f
			}
		}
		if newest.LogFileName == nil {
			continue
		}
		part, err := d.rds.DownloadDBLogFilePortion(ctx, &rds.DownloadDBLogFilePortionInput{
			DBInstanceIdentifier: aws.String(d.databaseName()), LogFileName: newest.LogFileName, Marker: aws.String("0"),
		})
		if err != nil {
			return "", err
		}
		parts = append(parts, failureIn(aws.ToString(part.LogFileData)))
	}
	text := strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), " ")
	if len(text) > mostUpgradeLog {
		text = text[:mostUpgradeLog] + "…"
	}
	return text, nil
}

// failureIn is what a log says from the first line of a failure on, in one line.
func failureIn(log string) string {
	lines := strings.Split(log, "\n")
	from := slices.IndexFunc(lines, func(line string) bool {
		return strings.Contains(line, "fatal") || strings.Contains(line, "could not be upgraded")
	})
	if from < 0 {
		from = 0
	}
	var said []string
	for _, line := range lines[from:] {
		if line = strings.Trim(strings.Join(strings.Fields(line), " "), "- "); line != "" && line != "Failure, exiting" {
			said = append(said, line)
		}
	}
	return strings.Join(said, " ")
}

// askedUpgrade is a change of the major version that RDS has taken.
type askedUpgrade struct {
	from, to string
	at       time.Time
}

// MajorVersion returns the part of a version before its first dot, which is the major version of
// PostgreSQL 10 and later.
func MajorVersion(version string) string {
	m, _, _ := strings.Cut(version, ".")
	return m
}

// versionAttribute compares versions of PostgreSQL. RDS raises the minor by itself,
// so a higher one than wanted is no drift.
func (d *Database) versionAttribute(r graph.Remedy) graph.Attribute[*liveDatabase] {
	return graph.Compared("version", func(live, want *liveDatabase) (string, string, bool) {
		return live.version, want.version, olderVersion(live, want)
	}, r).FixedIf(func(live, want *liveDatabase) (r graph.Remedy) {
		switch {
		case MajorVersion(live.version) == MajorVersion(want.version):
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
	return MajorVersion(live.version) != MajorVersion(want.version) || minor(live.version) < minor(want.version)
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

// upgrading completes a change to another major version, nil for none: to which minor
// one, of those that RDS upgrades to, and with the parameter group of its family.
func (d *Database) upgrading(ctx context.Context, in *rds.ModifyDBInstanceInput) (*askedUpgrade, error) {
	live := d.lastInstance()
	from := aws.ToString(live.EngineVersion)
	if in.EngineVersion == nil || MajorVersion(*in.EngineVersion) == MajorVersion(from) {
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
