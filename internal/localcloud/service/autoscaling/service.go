// Package autoscaling is Application Auto Scaling of ECS services.
package autoscaling

import (
	"cmp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// Services are ECS's, by cluster/name.
type Services interface {
	// DesiredCount is how many tasks an active service is to have.
	DesiredCount(t *kernel.Tx, service string) (n int32, ok bool)
	// Scale sets that number. cause is for the service's events.
	Scale(t *kernel.Tx, service string, n int32, cause string)
	// EachRunningTask passes on the processor time that each running task of a service
	// has used, and its share of a processor in units of 1/1024.
	EachRunningTask(t *kernel.Tx, service string, f func(task string, used time.Duration, units float64))
}

// TargetGroups are Elastic Load Balancing's, by ARN.
type TargetGroups interface {
	HasTargetGroup(t *kernel.Tx, arn string) bool
	// Requests is how many requests a group has had so far, and how many targets
	// it has now.
	Requests(t *kernel.Tx, arn string) (total int64, targets int, ok bool)
}

// Roles are IAM's.
type Roles interface {
	// HasLinkedRole reports whether the account has the service-linked role of a service,
	// and LinkedRoleUsable whether the service knows of it yet.
	HasLinkedRole(t *kernel.Tx, service string) bool
	LinkedRoleUsable(t *kernel.Tx, service string) bool
	// EnsureLinkedRole creates the service-linked role of a service if it is missing.
	EnsureLinkedRole(t *kernel.Tx, service string)
}

// Service is the service outside of transactions.
type Service struct {
	*kernel.Kernel
	services Services
	groups   TargetGroups
	roles    Roles
	minute   time.Duration
	store    *kernel.Store[state]
}

// New creates the service, with its part of the state. minute stands for the minute of
// CloudWatch's metrics; zero is the local cloud's own, 1 s.
func New(k *kernel.Kernel, minute time.Duration, services Services, groups TargetGroups, roles Roles) *Service {
	s := &Service{Kernel: k, services: services, groups: groups, roles: roles, minute: cmp.Or(minute, scalingMinute), store: kernel.Saved[state](k, "autoScaling")}
	return s
}

// tx is the service within a transaction.
type tx struct {
	*kernel.Tx
	*Service
}

func (s *Service) in(t *kernel.Tx) tx { return tx{t, s} }

func (a tx) state() *state { return a.store.In(a.Tx) }

// TargetARN is the ARN of the scalable target of a resource, "" for none.
func (s *Service) TargetARN(t *kernel.Tx, resource string) string {
	if target := s.in(t).state().Targets[resource]; target != nil {
		return aws.ToString(target.ScalableTargetARN)
	}
	return ""
}

// TargetTags are the tags of the scalable target with that ARN, if there is one.
// The tagging API does not list them.
func (s *Service) TargetTags(t *kernel.Tx, arn string) (map[string]string, bool) {
	target, err := s.in(t).byARN(&arn)
	if err != nil {
		return nil, false
	}
	return target.TagMap, true
}
