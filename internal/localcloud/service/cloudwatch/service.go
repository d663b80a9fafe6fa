// Package cloudwatch is CloudWatch's alarms, on what the local load balancers do.
package cloudwatch

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// Topics are SNS's.
type Topics interface {
	// Deliver returns the reason why a topic does not take a message; "" is for taken.
	Deliver(t *kernel.Tx, topic, service, about, subject, message string) (refused string)
}

// Balancers are Elastic Load Balancing's. Names are as dimensions have them: app/name/id
// and targetgroup/name/id.
type Balancers interface {
	// Healthy is how many targets of a group are, if there are any.
	Healthy(t *kernel.Tx, group string) (n int, ok bool)
	// Answered are the requests that a load balancer has passed on so far, how many of
	// them tasks answered by 5xx, and how many it answered so itself.
	Answered(t *kernel.Tx, balancer string) (requests, byTasks, byItself int64, ok bool)
}

// Service is the service outside of transactions.
type Service struct {
	*kernel.Kernel
	topics    Topics
	balancers Balancers
	minute    time.Duration
	store     *kernel.Store[state]
	measured  *kernel.Store[map[string]*series]
}

// New creates the service, with its part of the state and its tags. The minute is how
// long one of its metrics' is, a second when zero.
func New(k *kernel.Kernel, minute time.Duration, topics Topics, balancers Balancers) *Service {
	if minute == 0 {
		minute = time.Second
	}
	s := &Service{
		Kernel: k, topics: topics, balancers: balancers, minute: minute,
		store: kernel.Saved[state](k, "cloudwatch"), measured: kernel.Unsaved[map[string]*series](k),
	}
	kernel.RegisterTagger(k, "cloudwatch", s.in, kernel.TaggerMethods[tx]{List: tx.listTagged, Add: tx.tagByARN, Remove: tx.untagByARN})
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
	return kernel.Service{Model: "cloudwatch", Signing: "monitoring", Protocol: kernel.CBOR, Operations: kernel.Operations(s.in,
		kernel.Op("PutMetricAlarm", tx.PutMetricAlarm), kernel.Op("DescribeAlarms", tx.DescribeAlarms), kernel.Op("DeleteAlarms", tx.DeleteAlarms),
		kernel.Op("SetAlarmState", tx.SetAlarmState),
		kernel.Op("TagResource", tx.TagResource), kernel.Op("UntagResource", tx.UntagResource), kernel.Op("ListTagsForResource", tx.ListTagsForResource),
	)}
}

// listTagged are the resources that the tagging API lists.
func (a tx) listTagged() []kernel.Tagged {
	var all []kernel.Tagged
	for _, x := range a.state().Alarms {
		all = append(all, kernel.Tagged{ARN: *x.AlarmArn, Tags: x.Tags})
	}
	return all
}

// tagByARN and untagByARN are what the tagging API does to one of them.
func (a tx) tagByARN(arn string, tags map[string]string) error {
	_, err := a.TagResource(&cloudwatch.TagResourceInput{
		ResourceARN: &arn, Tags: kernel.TagList(tags, newTag),
	})
	return err
}

func (a tx) untagByARN(arn string, keys []string) error {
	_, err := a.UntagResource(&cloudwatch.UntagResourceInput{ResourceARN: &arn, TagKeys: keys})
	return err
}

// States are the alarms of those names, for ECS, which goes back from a release when
// one of them is in ALARM.
func (s *Service) States(t *kernel.Tx, names []string) map[string]types.StateValue {
	out := map[string]types.StateValue{}
	for _, name := range names {
		if x := s.in(t).state().Alarms[name]; x != nil {
			out[name] = x.StateValue
		}
	}
	return out
}
