package diagnosis

import (
	"fmt"
	"strings"

	"github.com/bookctl/bookctl/internal/hint"
)

// quota is a limit of an account that can be raised. Its zero value is one of which
// nothing is known.
type quota struct{ name, service, code string }

// quotas are those that a stack can meet, by the error that says so.
// https://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html
var quotas = map[string]quota{
	"VpcLimitExceeded":                   {"VPCs per Region", "vpc", "L-F678F1CE"},
	"InternetGatewayLimitExceeded":       {"Internet gateways per Region", "vpc", "L-A4707A72"},
	"SubnetLimitExceeded":                {"Subnets per VPC", "vpc", "L-407747CB"},
	"RouteTableLimitExceeded":            {"Route tables per VPC", "vpc", "L-589F43AA"},
	"SecurityGroupLimitExceeded":         {"VPC security groups per Region", "vpc", "L-E79EC296"},
	"InstanceQuotaExceeded":              {"DB instances", "rds", "L-7B6409FD"},
	"StorageQuotaExceeded":               {"Total storage for all DB instances", "rds", "L-7ADDB58A"},
	"SnapshotQuotaExceeded":              {"Manual DB instance snapshots", "rds", "L-272F1212"},
	"DBSubnetGroupQuotaExceeded":         {"DB subnet groups", "rds", "L-48C6BF61"},
	"DBParameterGroupQuotaExceeded":      {"Parameter groups", "rds", "L-DE55804A"},
	"TooManyLoadBalancers":               {"Application Load Balancers per Region", "elasticloadbalancing", "L-53DA6B97"},
	"TooManyTargetGroups":                {"Target Groups per Region", "elasticloadbalancing", "L-B22855CB"},
	"LimitExceeded":                      {},
	"ServiceQuotaExceededException":      {},
	"LimitExceededException":             {},
	"RulesPerSecurityGroupLimitExceeded": {"Inbound or outbound rules per security group", "vpc", "L-0EA8095F"},
}

// rolesQuota is one of those that IAM reports alike: "Cannot exceed quota for RolesPerAccount: 1000".
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
var rolesQuota = quota{"Roles per account", "iam", "L-FE177D64"}

// aboveLimit is how ECS says that a task is larger than the account may run, as new
// accounts find. https://github.com/dask/dask-cloudprovider/pull/300
const aboveLimit = "configuration is above your limit"

// vCPUs is how ECS says that the account runs as many tasks as it may.
const vCPUs = "limit on the number of vCPUs"

// fargateQuota and spotQuota are those of Fargate's that a task can meet. ECS says the same of
// both. https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html
var (
	fargateQuota = quota{"Fargate On-Demand vCPU resource count", "fargate", "L-3032A538"}
	spotQuota    = quota{"Fargate Spot vCPU resource count", "fargate", "L-36FBB829"}
)

// ofTasks explains that a quota of tasks is reached, in ECS's words.
func ofTasks(spot, onDemand bool, said string) (text string, next hint.Message) {
	switch {
	case !spot:
		return fmt.Sprintf("The account's quota %q is reached: %s.", fargateQuota.name, said), fargateQuota.raise()
	case !onDemand:
		return fmt.Sprintf("The account's quota %q is reached: %s.", spotQuota.name, said), spotQuota.raise()
	}
	return fmt.Sprintf("The account's quota %q or %q is reached: %s.", fargateQuota.name, spotQuota.name, said),
		hint.New("remove what is not needed any more (%s shows the stacks)%s", hint.Command("list"), hint.Optional(", or ask for more: %s, and for tasks on Spot %s", fargateQuota.request(), spotQuota.request()))
}

// OfQuota explains an error of AWS, by its code and message, that says that a quota
// is reached. It is the zero Explanation for any other error.
func OfQuota(code, message string) Explanation {
	q, known := quotas[code]
	switch {
	case code == "LimitExceeded" && strings.Contains(message, "Maximum policy size"):
		return Explanation{Text: fmt.Sprintf("A role's inline policies may not be longer (%s): %s", code, message),
			Hint: hint.New("this limit can't be raised, and each secret of the container adds to the policy: keep several values in one secret, and take each with %s", hint.Command("up", "--secret", "NAME=ARN:KEY"))}
	case code == "LimitExceeded" && strings.Contains(message, "PoliciesPerRole"):
		return Explanation{Text: fmt.Sprintf("A quota of the account is reached (%s): %s", code, message),
			Hint: hint.New("the policies of the release that serves stay until another one does: run %s with those that are to stay first, and then with all; or ask for more in the console under Service Quotas", hint.Command("up", "--task-policies", "ARN,…"))}
	case code == "LimitExceeded" && strings.Contains(message, "RolesPerAccount"):
		q = rolesQuota
	case code == "SnapshotQuotaExceeded" && strings.Contains(message, "across regions"): // https://github.com/pbudzon/aws-maintenance/issues/19
		return Explanation{Text: fmt.Sprintf("RDS copies only so many snapshots from other regions at a time (%s): %s", code, message),
			Hint: hint.New("run the same command again when other copies are complete")}
	case code == "SnapshotQuotaExceeded": // a stack that is gone may have left them, so that no list of stacks helps
		return Explanation{Text: fmt.Sprintf("The account's quota %q is reached%s: %s", q.name, coded(code), message),
			Hint: hint.New("delete snapshots that are not needed any more: %s lists all, and %s deletes one%s",
				hint.AWS("rds", "describe-db-snapshots", "--snapshot-type", "manual"), hint.AWS("rds", "delete-db-snapshot", "--db-snapshot-identifier", "ID"),
				hint.Optional("; or ask for more: %s", q.request()))}
	case code == "DBInstanceAutomatedBackupQuotaExceeded":
		return Explanation{Text: fmt.Sprintf("RDS retains automated backups of as many deleted instances as the account's quota %q allows (%s): %s", quotas["InstanceQuotaExceeded"].name, code, message),
			Hint: hint.New("delete what is not needed any more: %s lists all, and %s deletes one%s",
				hint.AWS("rds", "describe-db-instance-automated-backups", "--filters", "Name=status,Values=retained"), hint.AWS("rds", "delete-db-instance-automated-backup", "--dbi-resource-id", "ID"),
				hint.Optional("; or ask for more: %s", quotas["InstanceQuotaExceeded"].request()))}
	case known:
	case strings.Contains(message, aboveLimit), strings.Contains(message, vCPUs):
		q = fargateQuota
	default:
		return Explanation{}
	}
	if q.code == "" {
		return Explanation{Text: fmt.Sprintf("A quota of the account is reached (%s): %s", code, message),
			Hint: hint.New("remove what is not needed any more, or ask for more in the console under Service Quotas")}
	}
	return Explanation{Text: fmt.Sprintf("The account's quota %q is reached%s: %s", q.name, coded(code), message), Hint: q.raise()}
}

// raise returns how to go on. The local cloud has quotas, and nobody to raise them.
func (q quota) raise() hint.Message {
	return hint.New("remove what is not needed any more (%s shows the stacks)%s", hint.Command("list"), hint.Optional(", or ask for more: %s", q.request()))
}

func (q quota) request() hint.Invocation {
	return hint.AWS("service-quotas", "request-service-quota-increase", "--service-code", q.service, "--quota-code", q.code, "--desired-value", "N")
}
