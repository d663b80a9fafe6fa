package provision

import (
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
)

// missingRDS is missing for answers of RDS.
func missingRDS(answer any) string {
	switch a := answer.(type) {
	case *rds.CreateDBInstanceOutput:
		return require(a.DBInstance != nil && has(a.DBInstance.DBInstanceArn), "DBInstance.DBInstanceArn")
	case *rds.RestoreDBInstanceFromDBSnapshotOutput:
		return require(a.DBInstance != nil && has(a.DBInstance.DBInstanceArn), "DBInstance.DBInstanceArn")
	case *rds.CreateDBParameterGroupOutput:
		return require(a.DBParameterGroup != nil && has(a.DBParameterGroup.DBParameterGroupArn), "DBParameterGroup.DBParameterGroupArn")
	case *rds.CreateDBSubnetGroupOutput:
		return require(a.DBSubnetGroup != nil && has(a.DBSubnetGroup.DBSubnetGroupArn), "DBSubnetGroup.DBSubnetGroupArn")
	case *rds.DescribeDBInstancesOutput:
		return requireEach("DBInstances", a.DBInstances, func(x rdstypes.DBInstance) bool { return has(x.DBInstanceArn) && has(x.DBInstanceStatus) }, "DBInstanceArn")
	case *rds.DescribeDBParameterGroupsOutput:
		return requireEach("DBParameterGroups", a.DBParameterGroups, func(x rdstypes.DBParameterGroup) bool {
			return has(x.DBParameterGroupName) && has(x.DBParameterGroupArn) && has(x.DBParameterGroupFamily)
		}, "DBParameterGroupName")
	case *rds.DescribeDBSubnetGroupsOutput:
		return requireEach("DBSubnetGroups", a.DBSubnetGroups, func(x rdstypes.DBSubnetGroup) bool { return has(x.DBSubnetGroupArn) }, "DBSubnetGroupArn")
	case *rds.DescribeDBSnapshotsOutput:
		return requireEach("DBSnapshots", a.DBSnapshots, func(x rdstypes.DBSnapshot) bool { return has(x.DBSnapshotIdentifier) }, "DBSnapshotIdentifier")
	case *rds.DescribeDBEngineVersionsOutput:
		return requireList("DBEngineVersions", a.DBEngineVersions)
	case *rds.DescribeDBInstanceAutomatedBackupsOutput:
		return requireList("DBInstanceAutomatedBackups", a.DBInstanceAutomatedBackups)
	case *rds.DescribeDBParametersOutput:
		return requireList("Parameters", a.Parameters)
	case *rds.DescribeOrderableDBInstanceOptionsOutput:
		return requireList("OrderableDBInstanceOptions", a.OrderableDBInstanceOptions)
	case *rds.ListTagsForResourceOutput:
		return requireList("TagList", a.TagList)
	}
	return ""
}
