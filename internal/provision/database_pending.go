package provision

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// pendingValue is a change that RDS has taken and not made yet.
type pendingValue struct {
	name       string // in the API
	have, next string
}

// pendingValues returns what of an instance is pending. RDS makes it in the maintenance
// window, or with the next change that asks for immediate effect, and the database may be
// away meanwhile. What it makes at once in any case is left out.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ModifyInstance.ApplyImmediately.html
func pendingValues(db *types.DBInstance) (out []pendingValue) {
	if db.PendingModifiedValues == nil {
		return nil
	}
	pending, have := reflect.ValueOf(*db.PendingModifiedValues), reflect.ValueOf(*db)
	for i := range pending.NumField() {
		f := pending.Type().Field(i)
		if !f.IsExported() || pending.Field(i).IsZero() || f.Name == "MasterUserPassword" || f.Name == "PendingCloudwatchLogsExports" {
			continue
		}
		out = append(out, pendingValue{f.Name, valueText(have.FieldByName(f.Name)), valueText(pending.Field(i))})
	}
	return out
}

// valueText is a field of the API as text, and "" for one that is not there.
func valueText(v reflect.Value) string {
	if !v.IsValid() || v.IsZero() {
		return ""
	}
	return fmt.Sprint(reflect.Indirect(v).Interface())
}

// takesAlong is the remedy of a setting that RDS changes at once only where it is asked for
// immediate effect: nothing is changed where that would apply what nobody asked this run for.
func takesAlong(live, want *liveDatabase) graph.Remedy {
	along := takenAlong(live, want)
	if along == nil {
		return graph.Remedy{}
	}
	next := hint.New("wait for the maintenance window (%s UTC)", aws.ToString(live.instance.PreferredMaintenanceWindow))
	if revert := reverting(live.pending); revert != nil {
		next = hint.New("%s, or revert it first: %s", next, hint.AWS(append([]string{
			"rds", "modify-db-instance", "--db-instance-identifier", aws.ToString(live.instance.DBInstanceIdentifier), "--apply-immediately",
		}, revert...)...))
	}
	return graph.Fixed("RDS would also apply at once what somebody has scheduled: " + strings.Join(along, ", ")).Hint(next)
}

// takenAlong is what is scheduled and not wanted. What is compared goes with the same
// request, and takes the place of what was scheduled.
func takenAlong(live, want *liveDatabase) (along []string) {
	for _, v := range live.pending {
		compared := false
		switch v.name {
		case "DBInstanceClass":
			compared = true
		case "MultiAZ":
			compared = live.next().multiAZ != live.multiAZ
		case "BackupRetentionPeriod":
			compared = live.next().backups != live.backups
		case "AllocatedStorage", "Iops":
			compared = want.storage > live.storage
		case "EngineVersion":
			compared = olderVersion(live, want)
		}
		if !compared {
			along = append(along, v.name+" "+v.next)
		}
	}
	return along
}

// reverting are the arguments of modify-db-instance that make of what is pending what there
// is, or nil where one is not known. AWS has no other way to take a scheduled change back.
func reverting(pending []pendingValue) (args []string) {
	flags := map[string]string{
		"AllocatedStorage": "--allocated-storage", "BackupRetentionPeriod": "--backup-retention-period", "CACertificateIdentifier": "--ca-certificate-identifier",
		"DBInstanceClass": "--db-instance-class", "EngineVersion": "--engine-version", "Iops": "--iops", "StorageThroughput": "--storage-throughput", "StorageType": "--storage-type",
	}
	for _, v := range pending {
		switch flag, known := flags[v.name]; {
		case v.name == "MultiAZ":
			args = append(args, map[bool]string{true: "--multi-az", false: "--no-multi-az"}[v.next == "false"])
		case !known:
			return nil
		default:
			args = append(args, flag, v.have)
		}
	}
	return args
}
