package ecr

import (
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/bookctl/bookctl/internal/localcloud/access"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

func (a tx) withPolicy(name *string) (*repository, error) {
	r, err := a.repository(name)
	if err != nil {
		return nil, err
	}
	if r.Policy == "" {
		return nil, kernel.Fail("RepositoryPolicyNotFoundException", "Repository policy does not exist for the repository with name '%s' in the registry with id '%s'", r.Name, a.Account())
	}
	return r, nil
}

// checkRepositoryPolicy is about the shape of a resource policy. Whom it names is
// kept and not asked at pulls: the local cloud is one account.
func checkRepositoryPolicy(text string) error {
	bad := kernel.Fail("InvalidParameterException", "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'")
	var document struct {
		Statement []struct {
			Effect                  string
			Principal, NotPrincipal json.RawMessage
			Action, NotAction       access.Words
			Resource, NotResource   access.Words
		}
	}
	if json.Unmarshal([]byte(text), &document) != nil || len(document.Statement) == 0 {
		return bad
	}
	for _, s := range document.Statement {
		// A repository's policy has principals, and its resource is the repository.
		if s.Effect != "Allow" && s.Effect != "Deny" || len(s.Principal)+len(s.NotPrincipal) == 0 ||
			len(s.Action)+len(s.NotAction) == 0 || len(s.Resource)+len(s.NotResource) > 0 {
			return bad
		}
	}
	return nil
}

// SetRepositoryPolicy sets who else may use a repository.
func (a tx) SetRepositoryPolicy(in *ecr.SetRepositoryPolicyInput) (*ecr.SetRepositoryPolicyOutput, error) {
	r, err := a.repository(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	text := aws.ToString(in.PolicyText)
	if err := checkRepositoryPolicy(text); err != nil {
		return nil, err
	}
	r.Policy = text
	return &ecr.SetRepositoryPolicyOutput{RegistryId: aws.String(a.Account()), RepositoryName: aws.String(r.Name), PolicyText: aws.String(text)}, nil
}

// GetRepositoryPolicy returns the policy as it was set.
func (a tx) GetRepositoryPolicy(in *ecr.GetRepositoryPolicyInput) (*ecr.GetRepositoryPolicyOutput, error) {
	r, err := a.withPolicy(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	return &ecr.GetRepositoryPolicyOutput{RegistryId: aws.String(a.Account()), RepositoryName: aws.String(r.Name), PolicyText: aws.String(r.Policy)}, nil
}

// DeleteRepositoryPolicy deletes the policy.
func (a tx) DeleteRepositoryPolicy(in *ecr.DeleteRepositoryPolicyInput) (*ecr.DeleteRepositoryPolicyOutput, error) {
	r, err := a.withPolicy(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	out := &ecr.DeleteRepositoryPolicyOutput{RegistryId: aws.String(a.Account()), RepositoryName: aws.String(r.Name), PolicyText: aws.String(r.Policy)}
	r.Policy = ""
	return out, nil
}

// BatchCheckLayerAvailability returns which layers a repository has.
func (a tx) BatchCheckLayerAvailability(in *ecr.BatchCheckLayerAvailabilityInput) (*ecr.BatchCheckLayerAvailabilityOutput, error) {
	r, err := a.repository(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	out := &ecr.BatchCheckLayerAvailabilityOutput{Layers: []types.Layer{}, Failures: []types.LayerFailure{}}
	for _, digest := range in.LayerDigests {
		l := types.Layer{LayerDigest: aws.String(digest), LayerAvailability: types.LayerAvailabilityUnavailable}
		for _, image := range a.registry.Images(r.Name) {
			var manifest struct {
				Layers []struct {
					Digest    string `json:"digest"`
					MediaType string `json:"mediaType"`
					Size      int64  `json:"size"`
				} `json:"layers"`
			}
			if json.Unmarshal(image.Manifest, &manifest) != nil {
				continue
			}
			for _, have := range manifest.Layers {
				if have.Digest == digest {
					l.LayerAvailability, l.LayerSize, l.MediaType = types.LayerAvailabilityAvailable, aws.Int64(have.Size), aws.String(have.MediaType)
				}
			}
		}
		out.Layers = append(out.Layers, l)
	}
	return out, nil
}
