package kernel

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"slices"
	"time"
)

// Faults are failures that the local cloud injects. The zero value injects none.
// 'bookctl local start --faults FILE' reads them as JSON, and a PUT of the same
// JSON to /_bookctl/faults changes them at run time. docs/faults.md lists the
// fields.
//
// The seed, the operation and the number of its earlier calls decide which calls
// are affected. So a run can be repeated, in whatever order its calls of different
// operations come.
type Faults struct {
	// Seed decides which calls the shares below affect.
	Seed uint64 `json:"seed,omitempty"`
	// Only limits the shares to these actions, such as "ec2:CreateVpc". Empty
	// means all actions.
	Only []string `json:"only,omitempty"`
	// Throttle is the share of calls, 0 to 1, that are rejected because they come
	// too fast: RequestLimitExceeded, Throttling or ThrottlingException.
	// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
	Throttle float64 `json:"throttle,omitempty"`
	// ServerErrors is the share of calls that fail inside AWS and do nothing.
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html#api-error-codes-table-server
	ServerErrors float64 `json:"serverErrors,omitempty"`
	// LostResponses is the share of calls that are carried out and whose response
	// is lost, which is why calls that create something take client tokens.
	// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
	LostResponses float64 `json:"lostResponses,omitempty"`
	// HiddenReads and HiddenSeconds are for how many reads, and for how long, a new
	// resource is invisible. It becomes visible when both are over.
	// https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
	HiddenReads   int     `json:"hiddenReads,omitempty"`
	HiddenSeconds float64 `json:"hiddenSeconds,omitempty"`
	// RoleSeconds is how long a new role can't be assumed, for half of which it can't be
	// passed either, and how long a service does not see its new service-linked role. It
	// has no effect if it is shorter than Latencies.RoleUsable.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
	RoleSeconds float64 `json:"roleSeconds,omitempty"`
	// ParameterSeconds is how long the name of a deleted parameter can't be used
	// again. It has no effect if it is shorter than Latencies.ParameterName.
	// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameter.html
	ParameterSeconds float64 `json:"parameterSeconds,omitempty"`
	// SecretSeconds is how long the name of a secret that was deleted at once can't be used
	// again:
	// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html
	SecretSeconds float64 `json:"secretSeconds,omitempty"`
	// SecretValueSeconds is how long GetSecretValue returns the value of a secret that it had
	// before: "All Secrets Manager operations are eventually consistent."
	// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html
	SecretValueSeconds float64 `json:"secretValueSeconds,omitempty"`
	// TopicSeconds is how long no topic with tags can be created under the name of a
	// deleted one: StaleTag.
	// https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
	TopicSeconds float64 `json:"topicSeconds,omitempty"`
	// SubscriptionSeconds is how long SNS does not list a new subscription.
	// https://github.com/aws-cloudformation/aws-cloudformation-resource-providers-sns/pull/70
	SubscriptionSeconds float64 `json:"subscriptionSeconds,omitempty"`
	// AdvancedParameters makes "advanced" the account's default tier of parameters, which costs.
	// https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html#ps-default-tier
	AdvancedParameters bool `json:"advancedParameters,omitempty"`
	// TooManyUpdates is the share of writes of parameters that are rejected as if
	// another write of the same parameter was in progress.
	// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
	TooManyUpdates float64 `json:"tooManyUpdates,omitempty"`
	// InterfaceSeconds is how long a network interface still exists after its owner
	// was deleted, and blocks the deletion of its subnet and security groups. It has
	// no effect if it is shorter than Latencies.Interface.
	// https://docs.aws.amazon.com/vpc/latest/userguide/delete-vpc.html
	InterfaceSeconds float64 `json:"interfaceSeconds,omitempty"`
	// VPCSeconds is how long a VPC that was deleted is still listed, as "deleting". Which
	// deletions take time, no page says.
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Vpc.html
	VPCSeconds float64 `json:"vpcSeconds,omitempty"`
	// NoServiceLinkedRoles makes a new account one that has never used ECS, ELB, RDS
	// or Application Auto Scaling. It has an effect only when a cloud starts for the
	// first time.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-service-linked-roles.html
	NoServiceLinkedRoles bool `json:"noServiceLinkedRoles,omitempty"`
	// SharedBy is the account that owns the default VPC and its subnets, and shares them
	// with this one, "" for none.
	// https://docs.aws.amazon.com/vpc/latest/userguide/vpc-sharing.html
	SharedBy string `json:"sharedBy,omitempty"`
	// PublicAccessExclusions are the ids of VPCs and subnets that the account excludes from VPC
	// Block Public Access.
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VpcBlockPublicAccessExclusion.html
	PublicAccessExclusions []string `json:"publicAccessExclusions,omitempty"`
	// ZonesWithoutClass are the database classes that a zone does not offer, by zone
	// name; "*" means all classes.
	// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Troubleshooting.html#CHAP_Troubleshooting.Capacity
	ZonesWithoutClass map[string][]string `json:"zonesWithoutClass,omitempty"`
	// SnapshotsFail makes every snapshot of a database end as "failed". An instance
	// that was to be deleted with a final snapshot is then not deleted.
	// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DeleteDBInstance.html
	SnapshotsFail bool `json:"snapshotsFail,omitempty"`
	// RestoresFail makes every instance that is restored from a snapshot end as
	// "restore-error".
	// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html
	RestoresFail bool `json:"restoresFail,omitempty"`
	// UpgradesFail makes RDS reject every upgrade of a database after its checks.
	// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_UpgradeDBInstance.PostgreSQL.MajorVersion.Process.html
	UpgradesFail bool `json:"upgradesFail,omitempty"`
	// StoppedSeconds is how long RDS leaves a database stopped. 0 means seven days.
	// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_StopInstance.html
	StoppedSeconds float64 `json:"stoppedSeconds,omitempty"`
	// MetricMinutes is how many of its minutes CloudWatch gets the metrics of load balancers
	// late. It has no effect if it is less than Latencies.MetricMinutes.
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html (FILL)
	MetricMinutes int `json:"metricMinutes,omitempty"`
	// CertificateSeconds is how long a certificate is valid, also one that was issued
	// before. 0 means 395 days.
	// https://docs.aws.amazon.com/acm/latest/userguide/acm-certificate-characteristics.html
	CertificateSeconds float64 `json:"certificateSeconds,omitempty"`
	// CertificatesFail makes ACM refuse every certificate that is proved meanwhile, since a
	// CAA record of the domain does not allow Amazon to issue any.
	// https://docs.aws.amazon.com/acm/latest/userguide/troubleshooting-caa.html
	CertificatesFail bool `json:"certificatesFail,omitempty"`
	// StorageOptimizing rejects every change of a database's storage, as RDS does
	// while it optimizes the last change, and after it.
	// https://repost.aws/knowledge-center/rds-autoscaling-low-free-storage
	StorageOptimizing bool `json:"storageOptimizing,omitempty"`
	// BackupPlan makes AWS Backup hold continuous backups of all databases, so that nothing but
	// its plan changes their backup retention, and only AWS Backup deletes the backups.
	// https://github.com/crossplane-contrib/provider-aws/issues/1356
	// https://github.com/cloudposse/terraform-aws-rds-cluster/pull/283
	BackupPlan bool `json:"backupPlan,omitempty"`
	// ExpireAfter is the number of calls after which the credentials have expired,
	// until faults are set again. 0 means never.
	// https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
	ExpireAfter int `json:"expireAfter,omitempty"`
	// Deny are actions that the caller's policies don't allow, such as
	// "rds:CreateDBInstance".
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
	Deny []string `json:"deny,omitempty"`
	// Errors are the errors of AWS that actions fail with, by action, for those that no other
	// fault has: {"rds:CreateDBInstance": {"code": "…", "message": "…"}}. The status is 400
	// where none is named.
	// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/CommonErrors.html
	Errors map[string]Error `json:"errors,omitempty"`
	// StaleTags makes GetResources still list resources that were deleted
	// (https://github.com/aws/aws-cli/issues/8197). TagGaps makes it miss every
	// second resource, as an index that is behind does. TagCrash makes it fail, as
	// moto's does if some resources have no tags.
	StaleTags bool `json:"staleTags,omitempty"`
	TagGaps   bool `json:"tagGaps,omitempty"`
	TagCrash  bool `json:"tagCrash,omitempty"`
	// Tasks are the failures of new tasks.
	Tasks TaskFaults `json:"tasks,omitzero"`
}

// TaskFaults are failures of new tasks.
type TaskFaults struct {
	// Crash stops a task's container right after it starts.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
	Crash bool `json:"crash,omitempty"`
	// Unhealthy makes all targets fail their health checks.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/troubleshoot-service-load-balancers.html
	Unhealthy bool `json:"unhealthy,omitempty"`
	// Unpullable makes every pull of an image fail.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_cannot_pull_image.html
	Unpullable bool `json:"unpullable,omitempty"`
	// NoSpot is for no capacity on Fargate Spot: a service tries again until there is.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-capacity-providers.html
	NoSpot bool `json:"noSpot,omitempty"`
	// NoCapacity is for no capacity on Fargate at all: RunTask reports it as a failure.
	// https://github.com/gchq/sleeper/issues/904
	NoCapacity bool `json:"noCapacity,omitempty"`
	// ExecPending keeps the agents of ECS Exec in new tasks PENDING as long as it is set,
	// and NoExec makes them stop.
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ManagedAgent.html
	ExecPending bool `json:"execPending,omitempty"`
	NoExec      bool `json:"noExec,omitempty"`
}

// ParseFaults reads faults from JSON. A field that does not exist, a share
// outside 0 to 1 and a negative number are errors.
func ParseFaults(r io.Reader) (Faults, error) {
	var f Faults
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return Faults{}, fmt.Errorf("read faults: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Faults{}, errors.New("read faults: there is more than one JSON object")
	}
	for name, share := range map[string]float64{"throttle": f.Throttle, "serverErrors": f.ServerErrors, "lostResponses": f.LostResponses, "tooManyUpdates": f.TooManyUpdates} {
		if share < 0 || share > 1 {
			return Faults{}, fmt.Errorf("read faults: %s is %v; a share of calls is between 0 and 1", name, share)
		}
	}
	if f.HiddenReads < 0 || f.ExpireAfter < 0 || f.HiddenSeconds < 0 || f.RoleSeconds < 0 || f.ParameterSeconds < 0 || f.SecretSeconds < 0 || f.TopicSeconds < 0 || f.SubscriptionSeconds < 0 || f.InterfaceSeconds < 0 || f.VPCSeconds < 0 || f.StoppedSeconds < 0 || f.CertificateSeconds < 0 || f.MetricMinutes < 0 {
		return Faults{}, errors.New("read faults: a number is negative")
	}
	return f, nil
}

// Faults returns the current faults.
func (e *Env) Faults() Faults {
	e.faultsMu.Lock()
	defer e.faultsMu.Unlock()
	return e.faults
}

// MetricsLate is how many of CloudWatch's minutes the metrics of load balancers are late.
func (e *Env) MetricsLate() int { return max(e.latencies.MetricMinutes, e.Faults().MetricMinutes) }

// SetFaults replaces the faults and resets the counters of calls.
func (e *Env) SetFaults(f Faults) {
	e.faultsMu.Lock()
	defer e.faultsMu.Unlock()
	e.faults, e.calls, e.total = f, map[string]uint64{}, 0
}

// injected is what the faults do to one call.
type injected struct {
	err  error // returned without carrying out the call
	lose bool  // carry out the call, and lose its response
}

// inject counts a call and decides what the faults do to it.
func (e *Env) inject(p Protocol, action string) injected {
	e.faultsMu.Lock()
	defer e.faultsMu.Unlock()
	f := e.faults
	e.total++
	e.calls[action]++
	n := e.calls[action]
	if f.ExpireAfter > 0 && e.total > f.ExpireAfter {
		return injected{err: p.expired()}
	}
	if slices.Contains(f.Deny, action) {
		return injected{err: p.denied(e.CallerARN(), action)}
	}
	if err, ok := f.Errors[action]; ok {
		err.Status = cmp.Or(err.Status, http.StatusBadRequest)
		return injected{err: &err}
	}
	if len(f.Only) > 0 && !slices.Contains(f.Only, action) {
		return injected{}
	}
	switch {
	case hit(f.Seed, "throttle", action, n) < f.Throttle:
		return injected{err: p.throttled()}
	case hit(f.Seed, "error", action, n) < f.ServerErrors:
		return injected{err: p.failed()}
	}
	return injected{lose: hit(f.Seed, "lose", action, n) < f.LostResponses}
}

// Hits reports whether a fault with that share of the action's calls affects the
// current one, as the seed decides. Kind separates several faults of one action.
func (e *Env) Hits(kind, action string, share float64) bool {
	e.faultsMu.Lock()
	defer e.faultsMu.Unlock()
	return hit(e.faults.Seed, kind, action, e.calls[action]) < share
}

// hit returns a number from 0 to 1 that depends only on its arguments.
func hit(seed uint64, kind, action string, n uint64) float64 {
	h := fnv.New64a()
	_ = binary.Write(h, binary.BigEndian, []uint64{seed, n}) // writing to a hash never fails
	_, _ = io.WriteString(h, kind+" "+action)
	x := h.Sum64()
	// The last bytes hardly change FNV's high bits, so spread them with the
	// finalizer of SplitMix64.
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return float64(x>>11) / (1 << 53)
}

// Seconds converts a number of seconds, as in Faults, to a duration.
func Seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
