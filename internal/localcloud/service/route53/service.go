// Package route53 is Route 53: hosted zones and their records, which nobody resolves.
package route53

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// Certificates wait for records that prove the control of their names.
type Certificates interface {
	// IssuePending issues the certificates whose records are there. It is called after
	// every change of records.
	IssuePending(t *kernel.Tx)
}

// Service is the service outside of transactions.
type Service struct {
	*kernel.Kernel
	certificates Certificates
	store        *kernel.Store[state]
}

// New creates the service, with its part of the state and its tags.
func New(k *kernel.Kernel, certificates Certificates) *Service {
	s := &Service{Kernel: k, certificates: certificates, store: kernel.Saved[state](k, "route53")}
	kernel.RegisterTagger(k, "route53", s.in, kernel.TaggerMethods[tx]{List: tx.listTagged, Add: tx.tagByARN, Remove: tx.untagByARN})
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
	for _, z := range a.state().Zones {
		all = append(all, kernel.Tagged{ARN: a.ARN("route53", "hostedzone/"+z.ID), Tags: z.Tags})
	}
	return all
}

// tagByARN and untagByARN are what the tagging API does to one of them.
func (a tx) tagByARN(arn string, tags map[string]string) error {
	_, err := a.ChangeTagsForResource(&route53.ChangeTagsForResourceInput{
		ResourceType: types.TagResourceTypeHostedzone, ResourceId: zoneID(arn),
		AddTags: kernel.TagList(tags, func(k, v *string) types.Tag { return types.Tag{Key: k, Value: v} }),
	})
	return err
}

func (a tx) untagByARN(arn string, keys []string) error {
	_, err := a.ChangeTagsForResource(&route53.ChangeTagsForResourceInput{
		ResourceType: types.TagResourceTypeHostedzone, ResourceId: zoneID(arn), RemoveTagKeys: keys,
	})
	return err
}

// zoneID is the id of the zone with that ARN.
func zoneID(arn string) *string {
	_, id, _ := strings.Cut(arn, ":hostedzone/")
	return &id
}
