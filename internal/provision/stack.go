package provision

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Resource is a resource of a stack. Most are a graph.Updater, and all that are deleted
// with the stack are a graph.Remover.
type Resource = graph.Maker

// DefaultDBVersion is the PostgreSQL major version of a new database if the endpoint does
// not report RDS's default, as emulators don't.
const DefaultDBVersion = "17"

// Stack is a stack's resources, wired together.
type Stack struct {
	spec      Spec
	resources []Resource

	// For Status and Evidence.
	logGroup   *LogGroup
	repository *Repository
	image      *Image
	database   *Database
	balancer   *LoadBalancer
	targets    *TargetGroup
	service    *Service

	alarmTopic  *AlarmTopic     // nil without alarms
	alarms      *Alarms         // likewise
	release     *ReleaseCommand // nil without one
	certificate *Certificate    // nil without --domain, or with an existing one
}

// Resources returns all resources in dependency order, for graph.Up, graph.Observe and
// graph.Destroy.
func (s *Stack) Resources() []Resource { return s.resources }

// Balancing returns the resources that determine the URL, for reading only that.
func (s *Stack) Balancing() []Resource { return []Resource{s.balancer} }

// Deferred returns the changes that AWS did not accept yet. That is no failure: a later run
// makes them.
func (s *Stack) Deferred() []string {
	if s.database.sent.busy == "" {
		return nil
	}
	have, live := int32(0), s.database.lastInstance()
	if live != nil {
		have = aws.ToInt32(live.AllocatedStorage)
	}
	return []string{fmt.Sprintf("the storage of the database stays %s for now, and is not %s: %s", gib(have), gib(s.database.want.storage), stillOptimizing(live))}
}

// Unrenewed returns why the certificate of the stack is not renewed before it expires, or "".
func (s *Stack) Unrenewed() string {
	if s.certificate == nil || s.certificate.Last() == nil || s.certificate.Last().unrenewed == "" {
		return ""
	}
	return "the certificate of " + s.spec.Domain + ": " + s.certificate.Last().unrenewed
}

// alarmsRaisedBefore returns the raised alarms for which ECS does not judge the release that an Up is
// about to begin; nil where none begins, or alarms would not judge it anyway.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-alarm-failure.html
func (s *Stack) alarmsRaisedBefore(found []graph.Finding) []string {
	live := s.service.Last()
	if s.alarms == nil || s.alarms.Last() == nil || live == nil || s.service.rolloutConfiguration(s.service.strategyToSet(), live.hadRelease).Alarms == nil {
		return nil
	}
	begins := slices.ContainsFunc(found, func(f graph.Finding) bool {
		return f.Name == s.service.definition.Name() && (f.Phase == graph.Absent || NewRelease(f.Drift)) ||
			f.Name == s.service.Name() && slices.ContainsFunc(f.Drift, func(c graph.Change) bool { return c.Field == "task-definition" })
	})
	if !begins {
		return nil
	}
	raised := slices.DeleteFunc(s.alarms.Last().raised(), func(name string) bool {
		return !slices.Contains(s.service.want.rollbackAlarms, s.alarms.names().Alarm(name))
	})
	if len(raised) == 0 {
		return nil
	}
	return raised
}

// Silent reports whether tasks run that began before this run created their log group. They
// write into none: the driver makes its stream only when it starts.
// https://github.com/moby/moby/pull/53371
func (s *Stack) Silent() bool {
	live := s.service.Last()
	return s.logGroup.isNew && !s.service.released && live != nil && live.desired > 0
}

// Spared returns the resources of the stack that a destroy kept because others need them,
// or may.
func (s *Stack) Spared() []string {
	if s.certificate == nil {
		return nil
	}
	return slices.Sorted(maps.Values(s.certificate.spared))
}

// Options are the options of graph for the stack: its owner, and the meaning of AWS's
// errors. The caller adds Guard and Observe.
func (s *Stack) Options() graph.Options {
	return graph.Options{Owner: s.spec.Stack, Transient: Transient, Propagating: Propagating, Ambiguous: Ambiguous, Exists: Exists, Fatal: Expired}
}

// abandonRelease makes ECS stop the task of the release command of a failed run.
func (s *Stack) abandonRelease(ctx context.Context) error {
	if s.release == nil {
		return nil
	}
	// Also when the run was interrupted.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return s.release.abandon(ctx)
}

// abandonCheck gives back the health check that a failed run has set for a release that does
// not serve.
func (s *Stack) abandonCheck(ctx context.Context) error {
	// Also when the run was interrupted.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return s.service.abandonCheck(ctx)
}

// URL returns the address of the service, or "" before the load balancer exists. It is
// known after the graph was run or observed.
func (s *Stack) URL() string {
	host := s.balancer.DNSName()
	if host == "" {
		return ""
	}
	scheme, port, usual := "http", s.spec.Port, int32(80)
	if s.spec.Secure() {
		scheme, port, usual = "https", s.spec.HTTPSPort, 443
	}
	if s.spec.Domain != "" {
		host = s.spec.Domain
	}
	if port == usual {
		return scheme + "://" + host
	}
	return fmt.Sprintf("%s://%s:%d", scheme, host, port)
}

// inventoryOf has the kinds of resources that a stack has, which are listed and
// deleted alongside the resources that make them. Those that can be deleted are in the
// order in which they go: what holds others first.
//
// Sweep takes the network and the load balancing alone, where ids and not names
// distinguish resources: the second VPC of a create whose answer was lost, a target
// group of an earlier release. Snapshots are no kind (see Snapshots), nor is the
// lock, which its Release removes.
//
// What was read of the stack, which may be nil, answers what is listed while the stack is
// observed.
func inventoryOf(c Clients, stack string, read *observation) inventory.Inventory {
	ident := identity{stack: stack, region: c.IAM.Options().Region, observation: read}
	var (
		balance  = elbAccess{identity: ident, elb: c.ELB}
		n        = ec2Access{identity: ident, ec2: c.EC2}
		run      = ecsAccess{identity: ident, ecs: c.ECS}
		data     = rdsAccess{identity: ident, rds: c.RDS}
		alarming = newAlarmAccess(ident, c, Settings{})
	)
	return inventory.Inventory{
		Kinds: []inventory.Kind{
			balance.loadBalancerKind(), balance.targetGroupKind(),
			n.internetGatewayKind(), n.routeTableKind(), n.securityGroupKind(), n.subnetKind(), n.vpcKind(),
			run.clusterKind(), run.taskDefinitionKind(), ident.scalableTargetKind(c.Scaling),
			data.databaseKind(), data.subnetGroupKind(), data.parameterGroupKind(),
			ident.secretKind(c.Secrets), ident.logGroupKind(c.Logs), ident.repositoryKind(c.ECR), ident.roleKind(c.IAM), ident.certificateKind(c.ACM),
			alarming.topicKind(), alarming.alarmKind(), alarming.ruleKind(),
		},
		Explain:   n.explain,
		Temporary: func(err error) bool { _, passes := Transient(err); return passes },
	}
}
