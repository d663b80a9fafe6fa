// Package naming has the names of a stack's resources in AWS, and the tags that mark
// them as the stack's.
package naming

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/pattern"
)

// Names are the names of a stack's resources in AWS. They depend only on its fields,
// so a resource can be found and deleted without knowing its settings. The zero
// value is not valid: Stack is required.
type Names struct {
	// Stack is the stack's name; see CheckStack.
	Stack string
	// Region is part of the names of IAM roles, which all regions of an account
	// share. Only these names need it.
	Region string
}

var stackName = pattern.New(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// CheckStack returns an error that says what is wrong with a stack's name, or nil.
// The maximum length leaves room for the longest derived name: the name of a load
// balancer has at most 32 characters. It also must not begin with "internal-", and
// RDS allows no double hyphens.
func CheckStack(name string) error {
	if !stackName.MatchString(name) || len(name) > longestStack {
		return fmt.Errorf("stack name %q: use 1 to 20 of a-z, 0-9 and single '-' between them, starting with a letter", name)
	}
	if name == "internal" || strings.HasPrefix(name, "internal-") {
		return fmt.Errorf("stack name %q: load balancers can't be named internal-…, choose another name", name)
	}
	return nil
}

// longestStack is how long the name of a stack can be.
const longestStack = 20

// OtherStack is a name for a second stack next to the given one, such as book-restored.
func OtherStack(stack string) string {
	end := "-restored"
	if strings.HasSuffix(stack, end) {
		end = "-again"
	}
	return strings.TrimRight(stack[:min(len(stack), longestStack-len(end))], "-") + end
}

var domainName = pattern.New(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])$`)

// IsDomain reports whether a name can be the domain of a stack, such as
// api.example.com.
func IsDomain(name string) bool { return domainName.MatchString(name) }

// Of is the name of a resource of the graph if no rule requires another name:
// "book-subnet-public-a".
func (n Names) Of(resource string) string { return n.Stack + "-" + resource }

// SecurityGroup is the name of the security group of that resource, such as
// "sg-task". EC2 rejects names that begin with "sg-", as those of a stack called sg
// would.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
func (n Names) SecurityGroup(resource string) string {
	name := n.Of(resource)
	if strings.HasPrefix(name, "sg-") {
		return "stack-" + name
	}
	return name
}

// LoadBalancer is the name of the load balancer, of at most 32 characters.
func (n Names) LoadBalancer() string { return n.Of("lb") }

// TargetGroup is the name of the load balancer's target group, of at most 32
// characters.
func (n Names) TargetGroup() string { return n.Of("tasks") }

// SecondTargetGroup is the name of the target group that a release is put into alongside the
// one before, of at most 32 characters.
func (n Names) SecondTargetGroup() string { return n.Of("tasks-b") }

// Database is the identifier of the database instance, and the name of its
// parameter group and subnet group.
func (n Names) Database() string { return n.Of("database") }

// DBParameterGroup is the name of the database's first parameter group.
func (n Names) DBParameterGroup() string { return n.Database() }

// DBParameterGroupOf is the name of the parameter group that a database gets with a major
// version that it is upgraded to, which needs one of another family.
func (n Names) DBParameterGroupOf(family string) string { return n.DBParameterGroup() + "-" + family }

// UpgradeSnapshotPrefix begins the names of the snapshots that are taken of a database
// instance before it gets another major version: they are the last ones of that version.
// Resource is its DbiResourceId, and from the major version. The deployer's policy names
// them together with the final snapshots.
func (n Names) UpgradeSnapshotPrefix(resource, from string) string {
	return strings.ToLower(n.Stack + "-final-of-" + from + "-" + strings.TrimPrefix(resource, "db-") + "-")
}

// UpgradeSnapshot is the name of such a snapshot that is taken at that time.
func (n Names) UpgradeSnapshot(resource, from string, at time.Time) string {
	return n.UpgradeSnapshotPrefix(resource, from) + at.UTC().Format("20060102-150405")
}

// DBSubnetGroup is the name of the database's subnet group.
func (n Names) DBSubnetGroup() string { return n.Database() }

// SnapshotCopyPrefix begins the names of the copies of snapshots of other regions or
// accounts. The deployer's policy names them together with the final snapshots.
func (n Names) SnapshotCopyPrefix() string { return strings.ToLower(n.Stack + "-final-copy-") }

// SnapshotCopy is the name of the copy of a snapshot of another region or account, of which
// of is the ARN. One that is taken again under the same name has a copy of another name.
func (n Names) SnapshotCopy(of string, taken time.Time) string {
	sum := sha256.Sum256([]byte(of + " " + taken.UTC().Format(time.RFC3339)))
	return n.SnapshotCopyPrefix() + hex.EncodeToString(sum[:6])
}

// FinalSnapshotPrefix begins the names of the final snapshots of a database
// instance. Resource is its DbiResourceId, such as "db-ABCDEF".
func (n Names) FinalSnapshotPrefix(resource string) string {
	return strings.ToLower(n.Stack + "-final-" + strings.TrimPrefix(resource, "db-") + "-")
}

// FinalSnapshot is the name of the snapshot that is taken of a database instance
// when it is deleted at that time.
func (n Names) FinalSnapshot(resource string, at time.Time) string {
	return n.FinalSnapshotPrefix(resource) + at.UTC().Format("20060102-150405")
}

// Secret is the name of the secret that holds the database's password.
func (n Names) Secret() string { return n.Stack + "/database" }

// EnvironmentSecret is the name of the secret in which 'bookctl secret set' stores
// values.
func (n Names) EnvironmentSecret() string { return n.Stack + "/environment" }

// LogGroup is the name of the log group of the tasks.
func (n Names) LogGroup() string { return "/bookctl/" + n.Stack }

// DatabaseLogGroup is the name of the log group that RDS writes a log of the database to,
// such as postgresql.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_LogAccess.Concepts.PostgreSQL.html
func (n Names) DatabaseLogGroup(log string) string {
	return "/aws/rds/instance/" + n.Database() + "/" + log
}

// InsightsLogGroup is the name of the log group that Container Insights writes to, where
// somebody turns it on for the cluster.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-reference-performance-logs-ECS.html
func (n Names) InsightsLogGroup() string {
	return "/aws/ecs/containerinsights/" + n.Cluster() + "/performance"
}

// Repository is the name of the ECR repository.
func (n Names) Repository() string { return n.Stack + "/app" }

// Cluster is the name of the ECS cluster.
func (n Names) Cluster() string { return n.Of("cluster") }

// Service is the name of the ECS service.
func (n Names) Service() string { return n.Of("service") }

// TaskDefinition is the family of the task definitions.
func (n Names) TaskDefinition() string { return n.Of("app") }

// ScalableTarget is the id by which Application Auto Scaling knows the service.
// https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html
func (n Names) ScalableTarget() string { return "service/" + n.Cluster() + "/" + n.Service() }

// AlarmTopic is the name of the topic from which alarms go to an address.
func (n Names) AlarmTopic() string { return n.Of("alarms") }

// Alarm is the name of an alarm in CloudWatch. The slashes, which no stack's name has,
// keep the alarms of a stack apart from those of one whose name begins alike.
func (n Names) Alarm(name string) string { return "bookctl/" + n.Stack + "/" + name }

// ReleaseRule is the name of the rule for releases that failed.
func (n Names) ReleaseRule() string { return n.Of("failed-release") }

// EventSource is the source of the events with which the stack's alarms are tried.
func (n Names) EventSource() string { return "bookctl." + n.Stack }

// Role is the name of an IAM role. It contains the region, because IAM has one
// set of names for all regions. Resource is ExecutionRole, TaskRole or BalancingRole.
func (n Names) Role(resource string) string { return n.Of(n.Region + "-" + resource) }

// The resources of the graph that are IAM roles.
const (
	ExecutionRole = "execution-role"
	TaskRole      = "task-role"
	BalancingRole = "balancing-role"
)

// Lock is the path of the run lock in Parameter Store: its parameters are
// directly below it. It does not end with a slash.
func (n Names) Lock() string { return "/bookctl/" + n.Stack + "/lock" }
