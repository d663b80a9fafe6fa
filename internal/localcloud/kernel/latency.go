package kernel

import "time"

// Latencies are how long AWS takes for what is instant here. Zero fields add
// nothing.
type Latencies struct {
	// Scale multiplies every duration below; zero means 1.
	Scale float64 `json:"scale,omitempty"`
	// Call is added to every API call.
	Call time.Duration `json:"call,omitempty"`
	// DBCreate is the time an instance is "creating", DBBackup the time of its
	// first backup ("backing-up"), DBModify and DBDelete those of their states,
	// DBSnapshot that of a snapshot.
	DBCreate time.Duration `json:"dbCreate,omitempty"`
	// DBModifyStart is how long an instance stays available after a change that RDS
	// has taken, and DBOptimize how long it takes no further one of the storage.
	DBModifyStart time.Duration `json:"dbModifyStart,omitempty"`
	DBOptimize    time.Duration `json:"dbOptimize,omitempty"`

	DBBackup   time.Duration `json:"dbBackup,omitempty"`
	DBModify   time.Duration `json:"dbModify,omitempty"`
	DBDelete   time.Duration `json:"dbDelete,omitempty"`
	DBSnapshot time.Duration `json:"dbSnapshot,omitempty"`
	// LoadBalancer is the time a load balancer is "provisioning".
	LoadBalancer time.Duration `json:"loadBalancer,omitempty"`
	// TaskStart is the time from a task's birth to its RUNNING, the pull included.
	TaskStart time.Duration `json:"taskStart,omitempty"`
	// TaskStop is the time from a task's last process to its STOPPED.
	TaskStop time.Duration `json:"taskStop,omitempty"`
	// Interface is how long a network interface outlives its owner.
	Interface time.Duration `json:"interface,omitempty"`
	// RoleUsable is how long a new role can't be assumed.
	RoleUsable time.Duration `json:"roleUsable,omitempty"`
	// ParameterName is how long the name of a deleted parameter can't be used again.
	ParameterName time.Duration `json:"parameterName,omitempty"`
	// Certificate is the time until a certificate is issued.
	Certificate time.Duration `json:"certificate,omitempty"`
}

// TypicalLatencies are AWS's own, in the middle of what public logs of
// deployments show; a document of AWS's is named where there is one. AWS
// promises none of them.
func TypicalLatencies() Latencies {
	return Latencies{
		Call: 60 * time.Millisecond,
		// A micro instance without backup comes up in 196 to 302 s, its first
		// backup takes 157 to 363 s and its deletion 111 to 195 s.
		DBCreate: 250 * time.Second,
		DBBackup: 260 * time.Second,
		DBDelete: 150 * time.Second,
		// A change that needs no restart, and a snapshot of little data: about
		// as long as the instance's shorter steps.
		DBModify: 60 * time.Second,
		// What tools wait for a change to begin:
		// https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/rds/instance.go
		DBModifyStart: 30 * time.Second,
		// "Six hours or until storage optimization has completed":
		// https://repost.aws/knowledge-center/rds-autoscaling-low-free-storage
		DBOptimize: 6 * time.Hour,
		DBSnapshot: 120 * time.Second,
		// 141 to 190 s; one log of many:
		// https://github.com/DataBiosphere/azul/pull/5780 has 2m54s.
		LoadBalancer: 165 * time.Second,
		// About 30 s plus the pull of the image, most of it for the network
		// interface and the pull:
		// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
		TaskStart: 30 * time.Second,
		TaskStop:  5 * time.Second,
		// Interfaces of load balancers and tasks go some time after them:
		// https://docs.aws.amazon.com/vpc/latest/userguide/delete-vpc.html
		Interface: 60 * time.Second,
		// 5 to 10 s by trial: https://github.com/ansible-collections/community.aws/issues/710
		RoleUsable: 8 * time.Second,
		// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameter.html
		ParameterName: 30 * time.Second,
		// Minutes, once the record is there:
		// https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html
		Certificate: 120 * time.Second,
	}
}
