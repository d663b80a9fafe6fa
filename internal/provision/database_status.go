package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

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
func (d rdsAccess) remedy(db *types.DBInstance, restore string) hint.Message {
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

// anotherClass is how a database that RDS can't start gets another class: that of a stopped one
// can't be changed.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_StopInstance.html#USER_StopInstance.Limitations
func anotherClass() hint.Message {
	return hint.New("%s leaves its final snapshot, and %s starts from that with another class",
		hint.Command("destroy"), hint.Command("up", "--restore", "latest", "--db-class", "CLASS"))
}

// events is the command that shows what RDS says of the database.
func (d rdsAccess) events() hint.Invocation {
	return hint.AWS("rds", "describe-events", "--source-type", "db-instance", "--source-identifier", d.databaseName())
}

// failure is the last that RDS reports of why the instance does not run, or "". It keeps the
// events of 14 days, those of an instance that had the same name too; and without them a run
// goes on.
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeEvents.html
func (d rdsAccess) failure(ctx context.Context) (string, error) {
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
