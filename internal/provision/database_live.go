package provision

import (
	"cmp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
)

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

// liveDatabaseOf returns what an instance has. Current is the version of the secret that this run
// knows.
func liveDatabaseOf(db *types.DBInstance, current string) *liveDatabase {
	live := &liveDatabase{
		instance: db, current: current,
		tags: fromRDSTags(db.TagList), public: aws.ToBool(db.PubliclyAccessible), encrypted: aws.ToBool(db.StorageEncrypted),
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
	return live
}
