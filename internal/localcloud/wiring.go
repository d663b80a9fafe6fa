package localcloud

import (
	"time"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/postgres"
	"github.com/bookctl/bookctl/internal/localcloud/service/acm"
	"github.com/bookctl/bookctl/internal/localcloud/service/autoscaling"
	"github.com/bookctl/bookctl/internal/localcloud/service/ec2"
	"github.com/bookctl/bookctl/internal/localcloud/service/ecr"
	"github.com/bookctl/bookctl/internal/localcloud/service/iam"
	"github.com/bookctl/bookctl/internal/localcloud/service/logs"
	"github.com/bookctl/bookctl/internal/localcloud/service/rds"
	"github.com/bookctl/bookctl/internal/localcloud/service/route53"
	"github.com/bookctl/bookctl/internal/localcloud/service/secretsmanager"
	"github.com/bookctl/bookctl/internal/localcloud/service/ssm"
)

// makeServices makes the services and gives each what it needs of others. No
// service imports another one: where two need each other, or the needed one is
// made later, the adapters below stand between them.
func (c *Cloud) makeServices(k *kernel.Kernel) {
	c.stores = newStores(k)
	c.parameters = ssm.New(k)
	c.secretValues = secretsmanager.New(k)
	c.zoneRecords = route53.New(k, settling{c})
	c.certificates = acm.New(k, c.zoneRecords, certificateUsers{c}, c.authority)
	c.logGroups = logs.New(k)
	c.repositories = ecr.New(k, c.registry)
	c.roles = iam.New(k)
	c.network = ec2.New(k, c.cfg.VPCs)
	c.databases = rds.New(k, rds.Needs{Engine: engine{c.engine}, Authority: c.authority, Network: c.network, Roles: c.roles, Logs: c.logGroups})
	c.scaling = autoscaling.New(k, c.cfg.ScalingMinute, scaledServices{c}, targetGroups{c}, c.roles)
}

// settling lets Route 53 tell Certificate Manager of new records.
type settling struct{ c *Cloud }

func (s settling) Settle(t *kernel.Tx) { s.c.certificates.Settle(t) }

// certificateUsers are the load balancers, for Certificate Manager.
type certificateUsers struct{ c *Cloud }

func (u certificateUsers) CertificateUsers(t *kernel.Tx, arn string) []string {
	return tx{t, u.c}.certificateUsers(arn)
}

// pushes is what the registry asks of ECR, which is made after it.
type pushes struct{ c *Cloud }

func (p pushes) Repository(name string) (exists bool, immutable func(tag string) bool) {
	return p.c.repositories.Repository(name)
}

func (p pushes) Pushed(name string) { p.c.repositories.Pushed(name) }

// scaledServices are ECS's services, for Auto Scaling.
type scaledServices struct{ c *Cloud }

func (s scaledServices) DesiredCount(t *kernel.Tx, service string) (int32, bool) {
	return tx{t, s.c}.desiredCount(service)
}

func (s scaledServices) Scale(t *kernel.Tx, service string, n int32, cause string) {
	tx{t, s.c}.scaleService(service, n, cause)
}

func (s scaledServices) EachRunningTask(t *kernel.Tx, service string, f func(task string, used time.Duration, units float64)) {
	tx{t, s.c}.eachRunningTask(service, f)
}

// targetGroups are Elastic Load Balancing's, for Auto Scaling.
type targetGroups struct{ c *Cloud }

func (g targetGroups) HasTargetGroup(t *kernel.Tx, arn string) bool {
	return tx{t, g.c}.elb().TargetGroups[arn] != nil
}

func (g targetGroups) Requests(t *kernel.Tx, arn string) (total int64, targets int, ok bool) {
	group := tx{t, g.c}.elbLive().groups[arn]
	if group == nil {
		return 0, 0, false
	}
	return group.Requests(), len(group.Health()), true
}

// engine is PostgreSQL, for RDS.
type engine struct{ *postgres.Engine }

func (e engine) Server(name string) (rds.Server, error) {
	s, err := e.Engine.Server(name)
	if err != nil {
		return nil, err
	}
	return s, nil
}
