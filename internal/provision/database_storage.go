package provision

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

const (
	// stripedGiB is from where on gp3 storage of PostgreSQL is striped over four
	// volumes, and stripedIOPS what it has then at the least:
	// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html#gp3-storage
	stripedGiB  = 400
	stripedIOPS = 12000
)

// iopsFor are the IOPS that a change to so much storage has to name, or nil where it
// must name none. On gp3 both depend on the size that it is changed to: below 400 GiB
// naming them is refused, and from there on not naming them, or those of less
// (hashicorp/terraform-provider-aws #28160, #28382, #28589).
func iopsFor(kind string, storage, have int32) *int32 {
	switch kind {
	case "gp3", "":
		if storage < stripedGiB {
			return nil
		}
		return aws.Int32(max(stripedIOPS, have))
	case "io1", "io2":
		return &have
	}
	return nil
}

// nextStorage is the least that storage can be raised to. One AWS page says that RDS
// refuses less than a tenth more, and another that it rounds it up:
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.ModifyingExisting.html
func nextStorage(gib int32) int32 { return int32((int64(gib)*11 + 9) / 10) }

// optimizing reports whether RDS refuses another change of storage until it is done with
// the last one, which takes hours. One AWS page says that it takes none for six hours, and a newer
// one that it takes four in a day, but not how it refuses the fifth
// (hashicorp/terraform-provider-aws #12493 has the message;
// https://repost.aws/knowledge-center/rds-stuck-in-storage-optimization
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.gp3.html).
func optimizing(err error) bool {
	return says(err, "InvalidParameterCombination", "being optimized") || says(err, "InvalidDBInstanceState", "being optimized")
}

// stillOptimizing is why a change of the storage waits for another run.
func stillOptimizing(db *types.DBInstance) string {
	done := ""
	if db != nil && db.StorageOperationPercentProgress != nil {
		done = fmt.Sprintf(" (%d %% done)", *db.StorageOperationPercentProgress)
	}
	return "RDS is optimizing the last change of it" + done + ", which takes hours, and allows at most four changes in a day; run the same command again when it is done"
}

// pendingStorage is how much storage RDS has yet to give an instance, 0 for none.
func pendingStorage(db *types.DBInstance) int32 {
	if db == nil || db.PendingModifiedValues == nil {
		return 0
	}
	return aws.ToInt32(db.PendingModifiedValues.AllocatedStorage)
}

// coming is what an instance will be when RDS has made the changes that are pending.
func coming(live databaseSpec, p *types.PendingModifiedValues) databaseSpec {
	if p == nil {
		return live
	}
	if p.EngineVersion != nil {
		live.version = *p.EngineVersion
	}
	if p.DBInstanceClass != nil {
		live.class = *p.DBInstanceClass
	}
	if p.AllocatedStorage != nil {
		live.storage = *p.AllocatedStorage
	}
	if p.MultiAZ != nil {
		live.multiAZ = *p.MultiAZ
	}
	if p.BackupRetentionPeriod != nil {
		live.backups = *p.BackupRetentionPeriod
	}
	return live
}

// Why what protects more than was asked for is kept, as graph.State.Retained has it.
const (
	unprotecting = "turning it off would let a destroy delete it; --protect=false allows that"
	unstanding   = "turning it off would take the standby away; --db-multi-az=false allows that"
	// upgradeScheduled is why a version that is pending is no drift: RDS makes it in the
	// window, and nobody asked this run for it.
	upgradeScheduled = "somebody has scheduled that for the maintenance window, and it waits for that"
	// unrebooted is why parameters that are not in force are left so: a reboot is an outage.
	unrebooted = "parameters that were set wait for a reboot, and until then connections without TLS may be accepted; %s reboots it, which cuts connections"
	// backedUp is why a backup retention is left as it is. The plan's retention takes effect when
	// it runs next:
	// https://github.com/crossplane-contrib/provider-aws/issues/1356
	backedUp    = "AWS Backup decides it, whose plan has the database"
	unrecording = "turning it off would delete what it recorded; --db-insights=false allows that"
)

// retain makes the wanted database the live one where that is not to be changed
// without an explicit setting. What only grows is the new least: it was grown by RDS, by
// hand or in a snapshot. What protects data more than is recorded was raised by hand,
// and is reported.
func (d *Database) retain(live, want *liveDatabase) (retained []graph.Change) {
	retain := func(field, have, wanted, why string) {
		retained = append(retained, graph.Change{Field: field, Have: have, Want: wanted, Blocked: why})
	}
	byHand := func(setting string) bool {
		recorded, ok := live.tags[settingTag(setting)]
		return !d.options.given[setting] && (!ok || recorded == want.tags[settingTag(setting)])
	}
	next := live.databaseSpec
	if live.scheduled != nil {
		next = *live.scheduled
	}
	if have := live.backups; live.recoveryPoint != "" && have != want.backups && !d.options.given["backup-days"] {
		retain("backup-retention", days(have), days(want.backups), backedUp)
		want.backups, next.backups = have, have
	} else if b := max(have, next.backups); b > want.backups && byHand("backup-days") {
		retain("backup-retention", days(b), days(want.backups), fmt.Sprintf("turning it back would delete backups; --backup-days %d allows that", want.backups))
		want.backups, next.backups = live.backups, live.backups
	}
	if !want.multiAZ && (live.multiAZ || next.multiAZ) && byHand("db-multi-az") {
		retain("multi-az", "true", "false", unstanding)
		want.multiAZ, next.multiAZ = live.multiAZ, live.multiAZ
	}
	if !want.protected && live.protected && byHand("protect") {
		retain("deletion-protection", "true", "false", unprotecting)
		want.protected = true
	}
	if !want.insights && live.insights && byHand("db-insights") {
		retain("insights", "true", "false", unrecording)
		want.insights = true
	}
	if next.version != live.version && !olderVersion(live, want) {
		retain("version", withPending(live.version, next.version), want.version, upgradeScheduled)
	}
	if live.reboot && live.parameters == want.parameters {
		retain("parameters", "pending-reboot", "in-sync", fmt.Sprintf(unrebooted, hint.AWS("rds", "reboot-db-instance", "--db-instance-identifier", d.databaseName())))
	}
	if words := d.sent.busy; words != "" && want.storage > live.storage {
		retain("storage", gib(live.storage), gib(want.storage), stillOptimizing(live.instance))
		want.storage = live.storage
		if recorded, ok := live.tags[settingTag("db-storage")]; ok {
			want.tags[settingTag("db-storage")] = recorded
		} else {
			delete(want.tags, settingTag("db-storage"))
		}
	}
	if grown := max(live.storage, next.storage); !d.options.given["db-storage"] && want.storage < nextStorage(grown) {
		want.storage, next.storage = live.storage, live.storage
	}
	if want.maxStorage != 0 && !d.options.given["db-max-storage"] && want.maxStorage < nextStorage(max(live.storage, want.storage)) {
		want.maxStorage = live.maxStorage // it was outgrown, and RDS takes no such limit
	}
	if live.scheduled != nil {
		live.scheduled = &next
	}
	return retained
}

// storageAttribute compares the storage.
func (d *Database) storageAttribute(r graph.Remedy) graph.Attribute[*liveDatabase] {
	return graph.Compared("storage", func(live, want *liveDatabase) (string, string, bool) {
		// Below the limit RDS itself has grown it, which is what was asked for.
		return gib(live.storage), gib(want.storage), want.storage > live.storage || want.storage < live.storage && live.storage > want.maxStorage
	}, r).FixedIf(func(live, want *liveDatabase) (r graph.Remedy) {
		switch least := nextStorage(live.storage); {
		case want.storage < live.storage:
			r = graph.Fixed("RDS storage can't shrink, not even by a restore; a blue/green deployment with --target-allocated-storage puts a smaller database in its place")
		case want.storage < least:
			r = graph.Fixed(fmt.Sprintf("RDS takes a tenth more or nothing: choose --db-storage %d or more", least))
		default:
			r = takesAlong(live, want)
		}
		return r
	})
}

// storageLimitAttribute compares the limit of the storage's growth.
func (d *Database) storageLimitAttribute(r graph.Remedy) graph.Attribute[*liveDatabase] {
	return graph.Field("storage-limit", func(l *liveDatabase) string { return limit(l.maxStorage) }, r).
		FixedIf(func(live, want *liveDatabase) (r graph.Remedy) {
			if least := nextStorage(max(live.storage, want.storage)); want.maxStorage != 0 && want.maxStorage < least {
				r = graph.Fixed(fmt.Sprintf("RDS wants it a tenth or more above the storage: choose --db-max-storage %d or more, or 0 for none", least))
			}
			return r
		})
}

// withPending adds to a value the one that is pending for the maintenance window.
func withPending(have, next string) string {
	if have == next {
		return have
	}
	return have + ", " + next + " pending"
}

// pendingText returns what RDS has taken and not made yet.
func pendingText(live, next databaseSpec) string {
	var out []string
	add := func(have, next string) {
		if have != next {
			out = append(out, have+" → "+next)
		}
	}
	add(live.version, next.version)
	add(live.class, next.class)
	add(gib(live.storage), gib(next.storage))
	add(days(live.backups), days(next.backups))
	if live.multiAZ != next.multiAZ {
		out = append(out, fmt.Sprintf("multi-az %t → %t", live.multiAZ, next.multiAZ))
	}
	return strings.Join(out, ", ")
}
