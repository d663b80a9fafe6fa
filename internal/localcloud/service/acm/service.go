// Package acm is Certificate Manager. Its certificates are of the local cloud's own authority.
package acm

import (
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/acm/types"

	"github.com/bookctl/bookctl/internal/localcloud/authority"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// Records are the DNS records that prove the control of a name.
type Records interface {
	// CNAME is the value of the CNAME record of that name, in lower case and with
	// a dot at its end; "" if there is none.
	CNAME(t *kernel.Tx, name string) string
}

// Users are the load balancers that serve with a certificate.
type Users interface {
	// CertificateUsers are their ARNs.
	CertificateUsers(t *kernel.Tx, certificate string) []string
}

// Authority issues certificates.
type Authority interface {
	// Issue makes one for these names.
	Issue(names ...string) (authority.Certificate, error)
}

// Service is the service outside of transactions.
type Service struct {
	*kernel.Kernel
	records   Records
	users     Users
	authority Authority
	store     *kernel.Store[state]
}

// New creates the service, with its part of the state and its tags.
func New(k *kernel.Kernel, records Records, users Users, authority Authority) *Service {
	s := &Service{Kernel: k, records: records, users: users, authority: authority, store: kernel.Saved[state](k, "acm")}
	kernel.RegisterTagger(k, "acm", s.in, kernel.TaggerMethods[tx]{List: tx.listTagged, Add: tx.tagByARN, Remove: tx.untagByARN})
	return s
}

// tx is the service within a transaction.
type tx struct {
	*kernel.Tx
	*Service
}

func (s *Service) in(t *kernel.Tx) tx { return tx{t, s} }

func (a tx) state() *state { return a.store.In(a.Tx) }

// listTagged are the resources that the tagging API lists.
func (a tx) listTagged() []kernel.Tagged {
	var all []kernel.Tagged
	for _, cert := range a.state().Certificates {
		all = append(all, kernel.Tagged{ARN: cert.ARN, Tags: cert.Tags})
	}
	return all
}

// tagByARN and untagByARN are what the tagging API does to one of them.
func (a tx) tagByARN(arn string, tags map[string]string) error {
	_, err := a.AddTagsToCertificate(&acm.AddTagsToCertificateInput{
		CertificateArn: &arn, Tags: kernel.TagList(tags, func(k, v *string) types.Tag { return types.Tag{Key: k, Value: v} }),
	})
	return err
}

func (a tx) untagByARN(arn string, keys []string) error {
	_, err := a.RemoveTagsFromCertificate(&acm.RemoveTagsFromCertificateInput{
		CertificateArn: &arn, Tags: kernel.KeyList(keys, func(k *string) types.Tag { return types.Tag{Key: k} }),
	})
	return err
}
