package rds

import (
	"cmp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// supported is the engine support that an instance has unless it says otherwise
// (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/extended-support.html).
const supported = "open-source-rds-extended-support"

// certificateLife is how long an instance's server certificate is good for.
const certificateLife = 365 * 24 * time.Hour

// describeUnset sets what RDS returns for resources that this instance has not
// (https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBInstance.html).
func (db *instance) describeUnset(out *types.DBInstance) {
	out.AssociatedRoles, out.DBSecurityGroups, out.DomainMemberships = []types.DBInstanceRole{}, []types.DBSecurityGroupMembership{}, []types.DomainMembership{}
	out.ReadReplicaDBInstanceIdentifiers = []string{}
	out.ActivityStreamStatus, out.DatabaseInsightsMode = types.ActivityStreamStatusStopped, types.DatabaseInsightsModeStandard
	out.CustomerOwnedIpEnabled, out.DedicatedLogVolume, out.IsStorageConfigUpgradeAvailable = aws.Bool(false), aws.Bool(false), aws.Bool(false)
	out.EngineLifecycleSupport = aws.String(cmp.Or(db.Lifecycle, supported))
	if !db.Created.IsZero() {
		out.CertificateDetails.ValidTill = aws.Time(db.Created.Add(certificateLife))
	}
}

// DescribeAccountAttributes lists the quotas of a new account with what is used
// (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html).
func (a tx) DescribeAccountAttributes(*rds.DescribeAccountAttributesInput) (*rds.DescribeAccountAttributesOutput, error) {
	s := a.state()
	var storage int64
	for _, db := range s.Instances {
		storage += int64(db.Storage)
	}
	var manual int64
	for _, x := range s.Snapshots {
		if x.Type == snapshotManual {
			manual++
		}
	}
	out := &rds.DescribeAccountAttributesOutput{}
	for _, q := range []struct {
		name      string
		used, max int64
	}{
		{"DBInstances", int64(len(s.Instances)), 40}, {"AllocatedStorage", storage, 100000}, {"ManualSnapshots", manual, 100},
		{"DBParameterGroups", int64(len(s.ParameterGroups)), 50}, {"DBSubnetGroups", int64(len(s.SubnetGroups)), 50},
	} {
		out.AccountQuotas = append(out.AccountQuotas, types.AccountQuota{AccountQuotaName: aws.String(q.name), Used: aws.Int64(q.used), Max: aws.Int64(q.max)})
	}
	return out, nil
}

// DescribeDBSnapshotAttributes reports that no other account may restore a snapshot.
func (a tx) DescribeDBSnapshotAttributes(in *rds.DescribeDBSnapshotAttributesInput) (*rds.DescribeDBSnapshotAttributesOutput, error) {
	s, err := a.snapshot(in.DBSnapshotIdentifier)
	if err != nil {
		return nil, err
	}
	return &rds.DescribeDBSnapshotAttributesOutput{DBSnapshotAttributesResult: &types.DBSnapshotAttributesResult{
		DBSnapshotIdentifier: aws.String(s.ID),
		DBSnapshotAttributes: []types.DBSnapshotAttribute{{AttributeName: aws.String("restore"), AttributeValues: []string{}}},
	}}, nil
}

// ModifyDBSnapshot would move a snapshot to another engine version, which is not done
// here.
func (a tx) ModifyDBSnapshot(in *rds.ModifyDBSnapshotInput) (*rds.ModifyDBSnapshotOutput, error) {
	s, err := a.snapshot(in.DBSnapshotIdentifier)
	if err != nil {
		return nil, err
	}
	if s.Status != dbAvailable {
		return nil, kernel.Fail("InvalidDBSnapshotState", "Cannot modify the snapshot %s because it is not in the available state", s.ID)
	}
	if in.EngineVersion != nil && *in.EngineVersion != s.Instance.Version {
		return nil, kernel.Fail("InvalidParameterCombination", "Cannot upgrade %s from %s to %s", engineName, s.Instance.Version, *in.EngineVersion)
	}
	out := a.describeSnapshot(s)
	return &rds.ModifyDBSnapshotOutput{DBSnapshot: &out}, nil
}

// DescribeEngineDefaultParameters lists the parameters of a family as a new
// group has them.
func (a tx) DescribeEngineDefaultParameters(in *rds.DescribeEngineDefaultParametersInput) (*rds.DescribeEngineDefaultParametersOutput, error) {
	family := aws.ToString(in.DBParameterGroupFamily)
	if a.ofFamily(family) == "" {
		return nil, kernel.Fail("InvalidParameterValue", "ParameterGroupFamily %s is not a valid parameter group family", family)
	}
	known, err := a.parameters(family)
	if err != nil {
		return nil, err
	}
	var all []types.Parameter
	for _, p := range known {
		x := describeParameter(p)
		x.Source = aws.String("engine-default")
		if p.Name == forceTLS {
			x.Source = aws.String("system")
		}
		all = append(all, x)
	}
	page, next, err := page(all, in.MaxRecords, in.Marker)
	if err != nil {
		return nil, err
	}
	return &rds.DescribeEngineDefaultParametersOutput{EngineDefaults: &types.EngineDefaults{
		DBParameterGroupFamily: aws.String(family), Parameters: page, Marker: next,
	}}, nil
}

// DescribeValidDBInstanceModifications lists the storage that an instance may be
// given.
func (a tx) DescribeValidDBInstanceModifications(in *rds.DescribeValidDBInstanceModificationsInput) (*rds.DescribeValidDBInstanceModificationsOutput, error) {
	db, err := a.instance(in.DBInstanceIdentifier)
	if err != nil {
		return nil, err
	}
	var storage []types.ValidStorageOptions
	for _, kind := range []string{"gp2", "gp3"} {
		storage = append(storage, types.ValidStorageOptions{
			StorageType: aws.String(kind), StorageSize: []types.Range{{From: aws.Int32(max(leastGiB, db.Storage)), To: aws.Int32(mostGiB), Step: aws.Int32(1)}},
			SupportsStorageAutoscaling: aws.Bool(true),
		})
	}
	return &rds.DescribeValidDBInstanceModificationsOutput{ValidDBInstanceModificationsMessage: &types.ValidDBInstanceModificationsMessage{
		Storage: storage, ValidProcessorFeatures: []types.AvailableProcessorFeature{}, SupportsDedicatedLogVolume: aws.Bool(false),
	}}, nil
}
