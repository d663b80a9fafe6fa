package kernel

import "time"

// Latencies are how long AWS takes for what the local cloud does immediately. The
// zero value adds nothing.
type Latencies struct {
	// Scale multiplies every duration below. 0 means 1.
	Scale float64 `json:"scale,omitempty"`
	// Call is added to every API call.
	Call time.Duration `json:"call,omitempty"`
	// DBCreate is how long an instance is "creating", DBBackup how long its first
	// backup takes ("backing-up"), DBModify and DBDelete how long it is "modifying" and
	// "deleting", and DBSnapshot how long a snapshot takes.
	DBCreate   time.Duration `json:"dbCreate,omitempty"`
	DBBackup   time.Duration `json:"dbBackup,omitempty"`
	DBModify   time.Duration `json:"dbModify,omitempty"`
	DBDelete   time.Duration `json:"dbDelete,omitempty"`
	DBSnapshot time.Duration `json:"dbSnapshot,omitempty"`
	// DBModifyStart is how long an instance stays "available" after RDS has accepted a
	// change. DBOptimize is how long RDS rejects the next change of the storage.
	DBModifyStart time.Duration `json:"dbModifyStart,omitempty"`
	DBOptimize    time.Duration `json:"dbOptimize,omitempty"`
	// LoadBalancer is how long a load balancer is "provisioning".
	LoadBalancer time.Duration `json:"loadBalancer,omitempty"`
	// TaskStart is the time from a task's creation until it is RUNNING, including the
	// pull of the image.
	TaskStart time.Duration `json:"taskStart,omitempty"`
	// TaskStop is the time from the end of a task's last process until it is STOPPED.
	TaskStop time.Duration `json:"taskStop,omitempty"`
	// Interface is how long a network interface exists after its owner was deleted.
	Interface time.Duration `json:"interface,omitempty"`
	// RoleUsable is how long a new role can't be assumed.
	RoleUsable time.Duration `json:"roleUsable,omitempty"`
	// ParameterName is how long the name of a deleted parameter can't be used again.
	ParameterName time.Duration `json:"parameterName,omitempty"`
	// SecretList is how long a list of secrets does not show that one was created or deleted.
	SecretList time.Duration `json:"secretList,omitempty"`
	// SecretName is how long the name of a secret that was deleted by force can't be used again.
	SecretName time.Duration `json:"secretName,omitempty"`
	// Certificate is the time until a certificate is issued.
	Certificate time.Duration `json:"certificate,omitempty"`
	// MetricMinutes is how many of its minutes CloudWatch gets the metrics of load balancers
	// late. A minute of the local cloud's CloudWatch is shorter, and Scale changes nothing.
	MetricMinutes int `json:"metricMinutes,omitempty"`
}

// TypicalLatencies returns typical latencies of AWS: the middle of the durations in
// public logs of deployments. If AWS documents one, its page is named. AWS guarantees
// none of them.
func TypicalLatencies() Latencies {
	return Latencies{
		Call: 60 * time.Millisecond,
		// A micro instance without a backup is created in 196 to 302 s; its first
		// backup takes 157 to 363 s, and its deletion 111 to 195 s.
		DBCreate: 250 * time.Second,
		DBBackup: 260 * time.Second,
		DBDelete: 150 * time.Second,
		// A change that needs no restart, and a snapshot with little data, take about
		// as long as the shorter steps of an instance.
		DBModify: 60 * time.Second,
		// How long tools wait for a change to begin:
		// https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/rds/instance.go
		DBModifyStart: 30 * time.Second,
		// "Six hours or until storage optimization has completed":
		// https://repost.aws/knowledge-center/rds-autoscaling-low-free-storage
		DBOptimize: 6 * time.Hour,
		DBSnapshot: 120 * time.Second,
		// 141 to 190 s; for example 2m54s in
		// https://github.com/DataBiosphere/azul/pull/5780.
		LoadBalancer: 165 * time.Second,
		// About 30 s plus the pull of the image. The network interface and the pull take
		// most of the time:
		// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
		TaskStart: 30 * time.Second,
		TaskStop:  5 * time.Second,
		// The network interfaces of load balancers and tasks are deleted some time
		// after these:
		// https://docs.aws.amazon.com/vpc/latest/userguide/delete-vpc.html
		Interface: 60 * time.Second,
		// 5 to 10 s, measured by users: https://github.com/ansible-collections/community.aws/issues/710
		RoleUsable: 8 * time.Second,
		// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameter.html
		ParameterName: 30 * time.Second,
		// "ListSecrets might not reflect changes from the last five minutes":
		// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html
		SecretList: 5 * time.Minute,
		// "There might be a short delay before the secret is permanently deleted":
		// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html
		SecretName: 5 * time.Second,
		// Minutes, after the record exists:
		// https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html
		Certificate: 120 * time.Second,
		// "Published with a slight delay": https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
		MetricMinutes: 2,
	}
}
