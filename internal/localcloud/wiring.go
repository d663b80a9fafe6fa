package localcloud

import (
	"strings"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/service/acm"
	"github.com/bookctl/bookctl/internal/localcloud/service/autoscaling"
	"github.com/bookctl/bookctl/internal/localcloud/service/cloudwatch"
	"github.com/bookctl/bookctl/internal/localcloud/service/ec2"
	"github.com/bookctl/bookctl/internal/localcloud/service/ecr"
	"github.com/bookctl/bookctl/internal/localcloud/service/ecs"
	"github.com/bookctl/bookctl/internal/localcloud/service/elb"
	"github.com/bookctl/bookctl/internal/localcloud/service/events"
	"github.com/bookctl/bookctl/internal/localcloud/service/iam"
	"github.com/bookctl/bookctl/internal/localcloud/service/logs"
	"github.com/bookctl/bookctl/internal/localcloud/service/rds"
	"github.com/bookctl/bookctl/internal/localcloud/service/route53"
	"github.com/bookctl/bookctl/internal/localcloud/service/secretsmanager"
	"github.com/bookctl/bookctl/internal/localcloud/service/sns"
	"github.com/bookctl/bookctl/internal/localcloud/service/ssm"
	"github.com/bookctl/bookctl/internal/localcloud/service/sts"
	"github.com/bookctl/bookctl/internal/localcloud/service/tagging"
)

// services are those of the cloud that keep something.
type services struct {
	certificates *acm.Service
	zoneRecords  *route53.Service
	secretValues *secretsmanager.Service
	logGroups    *logs.Service
	repositories *ecr.Service
	roles        *iam.Service
	tokens       *sts.Service
	balancers    *elb.Service
	tasks        *ecs.Service
	databases    *rds.Service
	network      *ec2.Service
	scaling      *autoscaling.Service
	parameters   *ssm.Service
	topics       *sns.Service
	bus          *events.Service
	alarms       *cloudwatch.Service
}

// apis are those of all services.
func (c *Cloud) apis() []kernel.Service {
	return []kernel.Service{
		c.certificates.API(), c.scaling.API(), c.network.API(), c.repositories.API(), c.tasks.API(), c.balancers.API(), c.roles.API(),
		c.logGroups.API(), c.databases.API(), c.zoneRecords.API(), c.secretValues.API(), c.parameters.API(), c.tokens.API(), tagging.API(),
		c.alarms.API(), c.bus.API(), c.topics.API(),
	}
}

// makeServices creates the services and gives each what it needs of others. No
// service imports another one: where two need each other, or the needed one is
// made later, the adapters below stand between them.
func (c *Cloud) makeServices(k *kernel.Kernel) {
	r, storage := c.runtimes, c.storage
	c.parameters = ssm.New(k, sessionTargets{c})
	c.topics = sns.New(k)
	c.bus = events.New(k, c.topics)
	c.secretValues = secretsmanager.New(k)
	c.zoneRecords = route53.New(k, certificateIssuer{c})
	c.certificates = acm.New(k, c.zoneRecords, certificateUsers{c}, storage.authority)
	c.logGroups = logs.New(k)
	c.repositories = ecr.New(k, storage.registry)
	c.roles = iam.New(k)
	c.tokens = sts.New(k, c.roles)
	c.network = ec2.New(k, c.cfg.VPCs, groupUsers{c})
	c.databases = rds.New(k, rds.Needs{
		Engine:    r.Engine,
		Authority: storage.authority,
		Network:   c.network,
		Roles:     c.roles,
		Logs:      c.logGroups,
	})
	c.balancers = elb.New(k, elb.Needs{
		Balancer:     r.Balancer,
		Tasks:        taskAddresses{c},
		Network:      c.network,
		Certificates: c.certificates,
		Roles:        c.roles,
	})
	c.alarms = cloudwatch.New(k, c.cfg.ScalingMinute, c.topics, c.balancers)
	c.tasks = ecs.New(k, ecs.Needs{
		Runtime:      r.Containers,
		Network:      c.network,
		Groups:       c.balancers,
		Alarms:       c.alarms,
		Roles:        c.roles,
		Logs:         c.logGroups,
		Secrets:      c.secretValues,
		Parameters:   c.parameters,
		Repositories: c.repositories,
		Authority:    storage.authority,
		Events:       c.bus,
	})
	c.scaling = autoscaling.New(k, c.cfg.ScalingMinute, c.tasks, c.balancers, c.roles)
}

// roleSessions are the sessions of callers that have a role: tasks, and those that assumed one.
type roleSessions struct{ c *Cloud }

func (u roleSessions) Principal(t *kernel.Tx, key string) (kernel.Principal, bool) {
	if p, known := u.c.tasks.Principal(t, key); known {
		return p, true
	}
	return u.c.tokens.Principal(t, key)
}

// certificateIssuer lets Route 53 notify Certificate Manager of new records.
type certificateIssuer struct{ c *Cloud }

func (s certificateIssuer) IssuePending(t *kernel.Tx) { s.c.certificates.IssuePending(t) }

// certificateUsers are the load balancers, for Certificate Manager.
type certificateUsers struct{ c *Cloud }

func (u certificateUsers) CertificateUsers(t *kernel.Tx, arn string) []string {
	return u.c.balancers.CertificateUsers(t, arn)
}

// sessionTargets are the tasks, for Systems Manager, which is made before them.
type sessionTargets struct{ c *Cloud }

func (s sessionTargets) Connected(t *kernel.Tx, target string) bool {
	return s.c.tasks.Connected(t, target)
}

// registryRules are the rules of repositories, which the registry needs of ECR, which is made after it.
type registryRules struct{ c *Cloud }

func (p registryRules) Repository(name string) (exists bool, immutable func(tag string) bool) {
	return p.c.repositories.Repository(name)
}

func (p registryRules) Pushed(name string) { p.c.repositories.Pushed(name) }

// groupUsers are the load balancers, for EC2, which is made before them.
type groupUsers struct{ c *Cloud }

func (u groupUsers) RulesChanged(t *kernel.Tx) { u.c.balancers.RulesChanged(t) }

// taskAddresses are those of ECS, for load balancing.
type taskAddresses struct{ c *Cloud }

func (a taskAddresses) Address(t *kernel.Tx, private string, port int) (addr, zone string) {
	return a.c.tasks.Address(t, private, port)
}

// reachableAddresses are the addresses on this machine that a task with a network of its own
// reaches.
func (c *Cloud) reachableAddresses() map[string]string {
	out := c.databases.Endpoints()
	own := strings.TrimPrefix(c.Endpoint(), "http://")
	out[own] = own
	return out
}
