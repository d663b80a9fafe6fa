// Package ecr is the Elastic Container Registry: its repositories. The images are the registry's.
package ecr

import (
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/registry"
)

// Registry has the images, by the names of their repositories.
type Registry interface {
	// Images are a repository's, oldest first.
	Images(repository string) []registry.Image
	Put(repository string, image registry.Image, immutable func(tag string) bool) error
	Untag(repository, tag string) (bool, error)
	Delete(repository, digest string) (bool, error)
	DeleteRepository(repository string) error
}

// Service is the service outside of transactions.
type Service struct {
	*kernel.Kernel
	registry Registry
	store    *kernel.Store[state]
}

// New creates the service, with its part of the state and its tags.
func New(k *kernel.Kernel, images Registry) *Service {
	s := &Service{Kernel: k, registry: images, store: kernel.Saved[state](k, "ecr")}
	kernel.RegisterTagger(k, "ecr", s.in, kernel.TaggerMethods[tx]{List: tx.listTagged, Add: tx.tagByARN, Remove: tx.untagByARN})
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
	for _, r := range a.state().Repositories {
		all = append(all, kernel.Tagged{ARN: a.ARN("ecr", "repository/"+r.Name), Tags: r.Tags})
	}
	return all
}

// tagByARN and untagByARN are what the tagging API does to one of them.
func (a tx) tagByARN(arn string, tags map[string]string) error {
	_, err := a.TagResource(&ecr.TagResourceInput{
		ResourceArn: &arn, Tags: kernel.TagList(tags, func(k, v *string) types.Tag { return types.Tag{Key: k, Value: v} }),
	})
	return err
}

func (a tx) untagByARN(arn string, keys []string) error {
	_, err := a.UntagResource(&ecr.UntagResourceInput{ResourceArn: &arn, TagKeys: keys})
	return err
}
