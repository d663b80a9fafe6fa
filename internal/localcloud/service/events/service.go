// Package events is EventBridge: the default bus, with rules that pass what AWS's
// services report on to topics.
package events

import (
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// Topics are SNS's.
type Topics interface {
	// Deliver returns the reason why a topic does not take a message; "" is for taken.
	Deliver(t *kernel.Tx, topic, service, about, subject, message string) (refused string)
}

// Service is the service outside of transactions.
type Service struct {
	*kernel.Kernel
	topics Topics
	store  *kernel.Store[state]
}

// New creates the service, with its part of the state and its tags.
func New(k *kernel.Kernel, topics Topics) *Service {
	s := &Service{Kernel: k, topics: topics, store: kernel.Saved[state](k, "events")}
	kernel.RegisterTagger(k, "events", s.in, kernel.TaggerMethods[tx]{List: tx.listTagged, Add: tx.tagByARN, Remove: tx.untagByARN})
	return s
}

// tx is the service within a transaction.
type tx struct {
	*kernel.Tx
	*Service
}

func (s *Service) in(t *kernel.Tx) tx { return tx{t, s} }

func (a tx) state() *state { return a.store.In(a.Tx) }

// API is the service's operations.
func (s *Service) API() kernel.Service {
	return kernel.Service{Model: "events", Signing: "events", Protocol: kernel.JSON, Operations: kernel.Operations(s.in,
		kernel.Op("PutRule", tx.PutRule), kernel.Op("DescribeRule", tx.DescribeRule), kernel.Op("ListRules", tx.ListRules), kernel.Op("DeleteRule", tx.DeleteRule),
		kernel.Op("PutTargets", tx.PutTargets), kernel.Op("RemoveTargets", tx.RemoveTargets), kernel.Op("ListTargetsByRule", tx.ListTargetsByRule),
		kernel.Op("PutEvents", tx.PutEvents),
		kernel.Op("TagResource", tx.TagResource), kernel.Op("UntagResource", tx.UntagResource), kernel.Op("ListTagsForResource", tx.ListTagsForResource),
	)}
}

// listTagged are the resources that the tagging API lists.
func (a tx) listTagged() []kernel.Tagged {
	var all []kernel.Tagged
	for _, r := range a.state().Rules {
		all = append(all, kernel.Tagged{ARN: r.ARN, Tags: r.Tags})
	}
	return all
}

// tagByARN and untagByARN are what the tagging API does to one of them.
func (a tx) tagByARN(arn string, tags map[string]string) error {
	_, err := a.TagResource(&eventbridge.TagResourceInput{
		ResourceARN: &arn, Tags: kernel.TagList(tags, newTag),
	})
	return err
}

func (a tx) untagByARN(arn string, keys []string) error {
	_, err := a.UntagResource(&eventbridge.UntagResourceInput{ResourceARN: &arn, TagKeys: keys})
	return err
}
