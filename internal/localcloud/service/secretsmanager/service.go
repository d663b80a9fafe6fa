// Package secretsmanager is Secrets Manager.
package secretsmanager

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// Service is the service outside of transactions.
type Service struct {
	*kernel.Kernel
	store *kernel.Store[state]
}

// New creates the service, with its part of the state and its tags.
func New(k *kernel.Kernel) *Service {
	s := &Service{Kernel: k, store: kernel.Saved[state](k, "secrets")}
	kernel.RegisterTagger(k, "secretsmanager", s.in, kernel.TaggerMethods[tx]{List: tx.listTagged, Add: tx.tagByARN, Remove: tx.untagByARN})
	return s
}

// tx is the service within a transaction.
type tx struct {
	*kernel.Tx
	*Service
}

func (s *Service) in(t *kernel.Tx) tx { return tx{t, s} }

func (a tx) state() *state { return a.store.In(a.Tx) }

// Value is a secret's text, of the version and the stage that are given, or the
// current one if both are empty. Errors are the API's.
func (s *Service) Value(t *kernel.Tx, id, version, stage string) (string, error) {
	out, err := s.in(t).GetSecretValue(&secretsmanager.GetSecretValueInput{
		SecretId: &id, VersionId: kernel.NonEmpty(version), VersionStage: kernel.NonEmpty(stage),
	})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.SecretString), nil
}

// SecretARN is the ARN of the secret with that name or ARN, "" for none.
func (s *Service) SecretARN(t *kernel.Tx, id string) string {
	found, err := s.in(t).secret(&id)
	if err != nil {
		return ""
	}
	return found.ARN
}

// listTagged are the resources that the tagging API lists.
func (a tx) listTagged() []kernel.Tagged {
	var all []kernel.Tagged
	for _, s := range a.state().Secrets {
		all = append(all, kernel.Tagged{ARN: s.ARN, Tags: s.Tags})
	}
	return all
}

// tagByARN and untagByARN are what the tagging API does to one of them.
func (a tx) tagByARN(arn string, tags map[string]string) error {
	in := &secretsmanager.TagResourceInput{SecretId: &arn}
	in.Tags = kernel.TagList(tags, func(k, v *string) types.Tag { return types.Tag{Key: k, Value: v} })
	_, err := a.TagResource(in)
	return err
}

func (a tx) untagByARN(arn string, keys []string) error {
	_, err := a.UntagResource(&secretsmanager.UntagResourceInput{SecretId: &arn, TagKeys: keys})
	return err
}
