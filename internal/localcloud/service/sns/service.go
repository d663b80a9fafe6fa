// Package sns is the Simple Notification Service. Its mails are written down and not
// sent: each is a line of the cloud's log, and of mails.log in its state directory.
package sns

import (
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// Service is the service outside of transactions.
type Service struct {
	*kernel.Kernel
	store *kernel.Store[state]
}

// New creates the service, with its part of the state and its tags.
func New(k *kernel.Kernel) *Service {
	s := &Service{Kernel: k, store: kernel.Saved[state](k, "sns")}
	kernel.RegisterTagger(k, "sns", s.in, kernel.TaggerMethods[tx]{List: tx.listTagged, Add: tx.tagByARN, Remove: tx.untagByARN})
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
	return kernel.Service{Model: "sns", Signing: "sns", Protocol: kernel.Query, Operations: kernel.Operations(s.in,
		kernel.Op("CreateTopic", tx.CreateTopic), kernel.Op("DeleteTopic", tx.DeleteTopic), kernel.Op("ListTopics", tx.ListTopics),
		kernel.Op("GetTopicAttributes", tx.GetTopicAttributes), kernel.Op("SetTopicAttributes", tx.SetTopicAttributes),
		kernel.Op("Subscribe", tx.Subscribe), kernel.Op("ConfirmSubscription", tx.ConfirmSubscription), kernel.Op("Unsubscribe", tx.Unsubscribe),
		kernel.Op("ListSubscriptionsByTopic", tx.ListSubscriptionsByTopic), kernel.Op("Publish", tx.Publish),
		kernel.Op("TagResource", tx.TagResource), kernel.Op("UntagResource", tx.UntagResource), kernel.Op("ListTagsForResource", tx.ListTagsForResource),
	)}
}

// listTagged are the resources that the tagging API lists.
func (a tx) listTagged() []kernel.Tagged {
	var all []kernel.Tagged
	for arn, topic := range a.state().Topics {
		all = append(all, kernel.Tagged{ARN: arn, Tags: topic.Tags})
	}
	return all
}

// tagByARN and untagByARN are what the tagging API does to one of them.
func (a tx) tagByARN(arn string, tags map[string]string) error {
	_, err := a.TagResource(&sns.TagResourceInput{
		ResourceArn: &arn, Tags: kernel.TagList(tags, newTag),
	})
	return err
}

func (a tx) untagByARN(arn string, keys []string) error {
	_, err := a.UntagResource(&sns.UntagResourceInput{ResourceArn: &arn, TagKeys: keys})
	return err
}
