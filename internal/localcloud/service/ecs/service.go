// Package ecs is the Elastic Container Service: clusters, services and tasks on Fargate.
package ecs

import (
	"context"
	"slices"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cloudwatch "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bookctl/bookctl/internal/localcloud/balancer"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/network"
	"github.com/bookctl/bookctl/internal/localcloud/task"
)

// Runtime runs containers.
type Runtime interface {
	// Pull gets an image. Errors are in ECS's words.
	Pull(ctx context.Context, reference string, platform v1.Platform, login task.Login) (Image, error)
	// Release gives up what the containers of a task shared. They have ended.
	Release(ctx context.Context, task string) error
	// Reap ends what a cloud that died left running, by its files in the directory.
	Reap(ctx context.Context, pidDir string) error
}

// Image is an image that is there to be run.
type Image interface {
	Digest() string
	// Start runs a container. Errors are in ECS's words.
	Start(ctx context.Context, spec task.Spec) (Container, error)
}

// Container is a container that runs, or has ended.
type Container interface {
	// Address is where a port that it listens on is reached on this machine.
	Address(port int) string
	// Done is closed when it has ended, after which ExitCode is how.
	Done() <-chan struct{}
	ExitCode() int
	// Console is where a program of this machine can run the command in it, "" for
	// nowhere.
	Console(command string) string
	// OutOfMemory says, after Done, whether it was killed for its use of memory.
	OutOfMemory() bool
	// Exec runs a command in it and says how that ended.
	Exec(ctx context.Context, command ...string) (int, error)
	Signal(signal syscall.Signal) error
	// Stop asks it to end, and makes it after the grace.
	Stop(ctx context.Context, grace time.Duration)
	// CPUTime is the processor time that it has used.
	CPUTime() (time.Duration, error)
}

// Network is EC2's.
type Network interface {
	Subnet(t *kernel.Tx, id string) (network.Subnet, bool)
	ZoneID(zone string) string
	HasGroup(t *kernel.Tx, id string) bool
	Attach(t *kernel.Tx, spec network.Spec) (network.Interface, error)
	Release(t *kernel.Tx, id string)
}

// TargetGroups are Elastic Load Balancing's, by ARN.
type TargetGroups interface {
	// LoadBalancers are the ARNs of those that use a group, if there is one.
	LoadBalancers(t *kernel.Tx, group string) (arns []string, ok bool)
	Register(t *kernel.Tx, group string, target balancer.Target) bool
	Deregister(t *kernel.Tx, group, id string, port int) (drained <-chan struct{}, ok bool)
	TargetHealth(t *kernel.Tx, group, id string, port int) (balancer.Health, bool)
	// Weights are those of the target groups that a listener's rule, of which there may be
	// none, forwards to. SetWeights changes them, and says false without such a rule.
	Weights(t *kernel.Tx, rule string) (weights map[string]int, ok bool)
	SetWeights(t *kernel.Tx, rule string, groups []string, weights []int) bool
}

// Alarms are CloudWatch's.
type Alarms interface {
	// States are those of the alarms of these names that there are.
	States(t *kernel.Tx, names []string) map[string]cloudwatch.StateValue
}

// Roles are IAM's, by ARN.
type Roles interface {
	// Name is a role's name, if there is such a role.
	Name(t *kernel.Tx, arn string) (string, bool)
	// Usable reports whether other services can assume the role yet.
	Usable(t *kernel.Tx, arn string) bool
	// Passable reports whether a caller can give ECS the role yet.
	Passable(t *kernel.Tx, arn string) bool
	// Trusts reports whether the role lets the service assume it.
	Trusts(t *kernel.Tx, arn, service string, context map[string][]string) bool
	// Allows reports whether the role may do that, or else why not.
	Allows(t *kernel.Tx, arn, action, resource string) (ok bool, why string)
	// Principal is a session of that name under the role.
	Principal(t *kernel.Tx, arn, session string) kernel.Principal
	LinkedRoleUsable(t *kernel.Tx, service string) bool
}

// Logs are CloudWatch's.
type Logs interface {
	GroupARN(name string) string
	HasGroup(t *kernel.Tx, name string) bool
	EnsureGroup(t *kernel.Tx, name string)
	EnsureStream(t *kernel.Tx, group, stream string)
	// Line adds a line of now, in a transaction of its own.
	Line(group, stream, line string)
}

// Secrets are Secrets Manager's.
type Secrets interface {
	// Value is a secret's text, of the version and the stage if they are given.
	Value(t *kernel.Tx, id, version, stage string) (string, error)
	// SecretARN is the ARN of the secret with that name or ARN, "" for none.
	SecretARN(t *kernel.Tx, id string) string
}

// Parameters are Systems Manager's.
type Parameters interface {
	Value(t *kernel.Tx, name string) (string, error)
}

// Repositories are ECR's.
type Repositories interface {
	RepositoryARN(name string) string
}

// Authority signs the databases.
type Authority interface {
	// BundleFile is a PEM file with its certificate.
	BundleFile() string
}

// Events are EventBridge's.
type Events interface {
	Emit(t *kernel.Tx, source, detailType string, resources []string, detail map[string]any)
}

// Needs are what ECS needs of others.
type Needs struct {
	Events       Events
	Runtime      Runtime
	Network      Network
	Groups       TargetGroups
	Alarms       Alarms
	Roles        Roles
	Logs         Logs
	Secrets      Secrets
	Parameters   Parameters
	Repositories Repositories
	Authority    Authority
}

// Service is the service outside of transactions.
type Service struct {
	*kernel.Kernel
	needs Needs
	// wake is poked when there may be something for the scheduler to do.
	wake    chan struct{}
	unsaved *kernel.Store[running]
	store   *kernel.Store[state]
}

// New creates the service, with its part of the state and its tags.
func New(k *kernel.Kernel, needs Needs) *Service {
	s := &Service{Kernel: k, needs: needs, wake: make(chan struct{}, 1), unsaved: kernel.Unsaved[running](k), store: kernel.Saved[state](k, "ecs")}
	kernel.RegisterTagger(k, "ecs", s.in, kernel.TaggerMethods[tx]{List: tx.listTagged, Add: tx.tagByARN, Remove: tx.untagByARN})
	return s
}

// tx is the service within a transaction.
type tx struct {
	*kernel.Tx
	*Service
}

func (s *Service) in(t *kernel.Tx) tx { return tx{t, s} }

func (a tx) state() *state { return a.store.In(a.Tx) }

func (a tx) running() *running { return a.unsaved.In(a.Tx) }

func (s *Service) update(f func(tx)) { s.Update(func(t *kernel.Tx) { f(s.in(t)) }) }

func (s *Service) view(f func(tx)) { s.View(func(t *kernel.Tx) { f(s.in(t)) }) }

// HasServices reports whether there is a service that is not gone.
func (s *Service) HasServices(t *kernel.Tx) bool {
	for _, x := range s.in(t).state().Services {
		if x.Status != statusInactive {
			return true
		}
	}
	return false
}

// RolesOf are the ARNs of the roles that a task definition names.
func (s *Service) RolesOf(t *kernel.Tx, definition string) []string {
	d, err := s.in(t).activeDefinition(&definition)
	if definition == "" || err != nil {
		return nil
	}
	return slices.DeleteFunc([]string{aws.ToString(d.ExecutionRoleArn), aws.ToString(d.TaskRoleArn)}, func(arn string) bool { return arn == "" })
}

// listTagged are the resources that the tagging API lists: as on AWS, deregistered task
// definitions too, but no deleted clusters and services, and no stopped tasks.
func (a tx) listTagged() []kernel.Tagged {
	var all []kernel.Tagged
	s := a.state()
	for _, cluster := range s.Clusters {
		if cluster.Deleted.IsZero() {
			all = append(all, kernel.Tagged{ARN: a.ARN("ecs", "cluster/"+cluster.Name), Tags: cluster.Tags})
		}
	}
	for _, service := range s.Services {
		if service.Gone.IsZero() {
			all = append(all, kernel.Tagged{ARN: a.ARN("ecs", "service/"+service.key()), Tags: service.Tags})
		}
	}
	for _, definition := range s.Definitions {
		all = append(all, kernel.Tagged{ARN: aws.ToString(definition.TaskDefinitionArn), Tags: definition.Tags})
	}
	for _, task := range s.Tasks {
		if aws.ToString(task.LastStatus) != "STOPPED" {
			all = append(all, kernel.Tagged{ARN: aws.ToString(task.TaskArn), Tags: task.TagMap})
		}
	}
	return all
}

// tagByARN and untagByARN are what the tagging API does to one of them.
func (a tx) tagByARN(arn string, tags map[string]string) error {
	_, err := a.TagResource(&ecs.TagResourceInput{
		ResourceArn: &arn, Tags: kernel.TagList(tags, newTag),
	})
	return err
}

func (a tx) untagByARN(arn string, keys []string) error {
	_, err := a.UntagResource(&ecs.UntagResourceInput{ResourceArn: &arn, TagKeys: keys})
	return err
}
