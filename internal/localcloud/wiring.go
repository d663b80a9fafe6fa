package localcloud

import (
	"github.com/bookctl/bookctl/internal/localcloud/authority"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/service/acm"
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
	c.certificates = acm.New(k, c.zoneRecords, certificateUsers{c}, issuing{c})
}

// settling lets Route 53 tell Certificate Manager of new records.
type settling struct{ c *Cloud }

func (s settling) Settle(t *kernel.Tx) { s.c.certificates.Settle(t) }

// certificateUsers are the load balancers, for Certificate Manager.
type certificateUsers struct{ c *Cloud }

func (u certificateUsers) CertificateUsers(t *kernel.Tx, arn string) []string {
	return tx{t, u.c}.certificateUsers(arn)
}

// issuing is the authority, which is opened after the services are made.
type issuing struct{ c *Cloud }

func (i issuing) Issue(names ...string) (authority.Certificate, error) {
	return i.c.authority.Issue(names...)
}
