// Package ssm is the parameter store of Systems Manager, and its sessions to tasks.
package ssm

import (
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// Service is the service outside of transactions.
type Service struct {
	*kernel.Kernel
	store *kernel.Store[state]
	tasks Tasks
}

// New creates the service, with its part of the state and its tags.
func New(k *kernel.Kernel, tasks Tasks) *Service {
	s := &Service{Kernel: k, store: kernel.Saved[state](k, "ssm"), tasks: tasks}
	kernel.RegisterTagger(k, "ssm", s.in, kernel.TaggerMethods[tx]{List: tx.listTagged, Add: tx.tagByARN, Remove: tx.untagByARN})
	return s
}

// tx is the service within a transaction.
type tx struct {
	*kernel.Tx
	*Service
}

func (s *Service) in(t *kernel.Tx) tx { return tx{t, s} }

func (a tx) state() *state { return a.store.In(a.Tx) }

// Value is the current value of a parameter, or that of NAME:VERSION or NAME:LABEL,
// in clear.
func (s *Service) Value(t *kernel.Tx, name string) (string, error) { return s.in(t).value(name) }

// listTagged are the resources that the tagging API lists.
func (a tx) listTagged() []kernel.Tagged {
	var all []kernel.Tagged
	for _, p := range a.state().Parameters {
		all = append(all, kernel.Tagged{ARN: a.parameterARN(p.Name), Tags: p.Tags})
	}
	return all
}

// tagByARN and untagByARN are what the tagging API does to one of them.
func (a tx) tagByARN(arn string, tags map[string]string) error {
	in := &ssm.AddTagsToResourceInput{ResourceType: types.ResourceTypeForTaggingParameter, ResourceId: a.nameOf(arn)}
	in.Tags = kernel.TagList(tags, func(k, v *string) types.Tag { return types.Tag{Key: k, Value: v} })
	_, err := a.AddTagsToResource(in)
	return err
}

func (a tx) untagByARN(arn string, keys []string) error {
	in := &ssm.RemoveTagsFromResourceInput{ResourceType: types.ResourceTypeForTaggingParameter, ResourceId: a.nameOf(arn), TagKeys: keys}
	_, err := a.RemoveTagsFromResource(in)
	return err
}

// nameOf is the name of the parameter with that ARN, or the ARN, which no parameter
// is called by.
func (a tx) nameOf(arn string) *string {
	if p := a.find(arn); p != nil {
		return &p.Name
	}
	return &arn
}
