package ecr

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/registry"
	"github.com/bookctl/bookctl/internal/pattern"
)

// state is what ECR keeps; the images are the registry's.
type state struct {
	Repositories map[string]*repository `json:"repositories,omitempty"`
}

type repository struct {
	Name       string            `json:"name"`
	Created    time.Time         `json:"created"`
	ScanOnPush bool              `json:"scanOnPush,omitempty"`
	Mutability string            `json:"mutability"`
	Excluded   []string          `json:"excluded,omitempty"` // from the mutability: patterns of tags
	Encryption string            `json:"encryption"`
	Lifecycle  string            `json:"lifecycle,omitempty"`
	Policy     string            `json:"policy,omitempty"`
	Evaluated  time.Time         `json:"evaluated,omitzero"` // the lifecycle
	Tags       map[string]string `json:"tags,omitempty"`
}

// API is the service's operations.
func (s *Service) API() kernel.Service {
	return kernel.Service{Model: "ecr", Signing: "ecr", Protocol: kernel.JSON, Limits: limits, Operations: kernel.Operations(s.in,
		kernel.Op("CreateRepository", tx.CreateRepository), kernel.Op("DeleteRepository", tx.DeleteRepository), kernel.Op("DescribeRepositories", tx.DescribeRepositories),
		kernel.Op("PutImageScanningConfiguration", tx.PutImageScanningConfiguration), kernel.Op("PutImageTagMutability", tx.PutImageTagMutability),
		kernel.Op("PutLifecyclePolicy", tx.PutLifecyclePolicy), kernel.Op("GetLifecyclePolicy", tx.GetLifecyclePolicy), kernel.Op("DeleteLifecyclePolicy", tx.DeleteLifecyclePolicy),
		kernel.Op("DescribeImages", tx.DescribeImages), kernel.Op("ListImages", tx.ListImages), kernel.Op("BatchGetImage", tx.BatchGetImage), kernel.Op("BatchDeleteImage", tx.BatchDeleteImage), kernel.Op("PutImage", tx.PutImage),
		kernel.Op("StartImageScan", tx.StartImageScan), kernel.Op("DescribeImageScanFindings", tx.DescribeImageScanFindings),
		kernel.Op("GetAuthorizationToken", tx.GetAuthorizationToken), kernel.Op("BatchCheckLayerAvailability", tx.BatchCheckLayerAvailability),
		kernel.Op("SetRepositoryPolicy", tx.SetRepositoryPolicy), kernel.Op("GetRepositoryPolicy", tx.GetRepositoryPolicy), kernel.Op("DeleteRepositoryPolicy", tx.DeleteRepositoryPolicy),
		kernel.Op("TagResource", tx.TagResource), kernel.Op("UntagResource", tx.UntagResource), kernel.Op("ListTagsForResource", tx.ListTagsForResource),
	)}
}

var _ registry.Rules = (*Service)(nil)

// Repository returns what the registry asks at pushes and pulls, in a transaction of
// its own.
func (s *Service) Repository(name string) (exists bool, immutable func(tag string) bool) {
	s.View(func(t *kernel.Tx) {
		if r := s.in(t).state().Repositories[name]; r != nil {
			exists, immutable = true, r.immutable()
		}
	})
	return exists, immutable
}

// immutable returns which tags stay with their image. It is no part of a transaction.
func (r *repository) immutable() func(tag string) bool {
	mutability, excluded := types.ImageTagMutability(r.Mutability), slices.Clone(r.Excluded)
	return func(tag string) bool {
		exception := slices.ContainsFunc(excluded, func(p string) bool { return kernel.Wildcard(p, tag) })
		switch mutability {
		case types.ImageTagMutabilityImmutable:
			return true
		case types.ImageTagMutabilityImmutableWithExclusion:
			return !exception
		case types.ImageTagMutabilityMutableWithExclusion:
			return exception
		default:
			return false
		}
	}
}

// setMutability checks and takes what a request says of its tags.
func (r *repository) setMutability(mutability types.ImageTagMutability, excluded []types.ImageTagMutabilityExclusionFilter) error {
	mutability = cmp.Or(mutability, types.ImageTagMutabilityMutable)
	invalid := func(format string, args ...any) error {
		return kernel.Fail("InvalidParameterException", "Invalid parameter at 'imageTagMutability' failed to satisfy constraint: '%s'", fmt.Sprintf(format, args...))
	}
	with := mutability == types.ImageTagMutabilityImmutableWithExclusion || mutability == types.ImageTagMutabilityMutableWithExclusion
	switch {
	case !slices.Contains(mutability.Values(), mutability):
		return invalid("Member must satisfy enum value set: %v", mutability.Values())
	case with != (len(excluded) > 0):
		return invalid("imageTagMutabilityExclusionFilters go with *_WITH_EXCLUSION, and it with them")
	}
	r.Mutability, r.Excluded = string(mutability), nil
	for _, e := range excluded {
		r.Excluded = append(r.Excluded, aws.ToString(e.Filter))
	}
	return nil
}

func (r *repository) exclusions() (out []types.ImageTagMutabilityExclusionFilter) {
	for _, pattern := range r.Excluded {
		out = append(out, types.ImageTagMutabilityExclusionFilter{Filter: &pattern, FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard})
	}
	return out
}

// Pushed applies the lifecycle policy, which AWS does within a day, in a transaction
// of its own.
func (s *Service) Pushed(name string) {
	s.Update(func(t *kernel.Tx) {
		a := s.in(t)
		if r := a.state().Repositories[name]; r != nil {
			a.expire(r)
		}
	})
}

// RepositoryARN is the ARN of the repository of that name.
func (s *Service) RepositoryARN(name string) string { return s.ARN("ecr", "repository/"+name) }

func (a tx) repository(name *string) (*repository, error) {
	r := a.state().Repositories[aws.ToString(name)]
	if r == nil || !a.Visible(a.RepositoryARN(r.Name)) {
		return nil, kernel.Fail("RepositoryNotFoundException", "The repository with name '%s' does not exist in the registry with id '%s'", aws.ToString(name), a.Account())
	}
	return r, nil
}

func (a tx) repositoryByARN(arn *string) (*repository, error) {
	return a.repository(aws.String(strings.TrimPrefix(aws.ToString(arn), a.RepositoryARN(""))))
}

func (a tx) describe(r *repository) types.Repository {
	return types.Repository{
		CreatedAt: aws.Time(r.Created), RegistryId: aws.String(a.Account()),
		RepositoryArn: aws.String(a.RepositoryARN(r.Name)), RepositoryName: aws.String(r.Name),
		RepositoryUri:              aws.String(strings.TrimPrefix(a.Endpoint(), "http://") + "/" + r.Name),
		ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: r.ScanOnPush},
		ImageTagMutability:         types.ImageTagMutability(r.Mutability), ImageTagMutabilityExclusionFilters: r.exclusions(),
		EncryptionConfiguration: &types.EncryptionConfiguration{EncryptionType: types.EncryptionType(r.Encryption)},
	}
}

var repositoryName = pattern.New(`^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*$`)

// CreateRepository creates an empty repository.
func (a tx) CreateRepository(in *ecr.CreateRepositoryInput) (*ecr.CreateRepositoryOutput, error) {
	name := aws.ToString(in.RepositoryName)
	if !repositoryName.MatchString(name) || len(name) < 2 || len(name) > 256 {
		return nil, kernel.Fail("InvalidParameterException", "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*''")
	}
	if a.state().Repositories[name] != nil {
		return nil, kernel.Fail("RepositoryAlreadyExistsException", "The repository with name '%s' already exists in the registry with id '%s'", name, a.Account())
	}
	r := &repository{
		Name: name, Created: a.Now(), Encryption: string(types.EncryptionTypeAes256),
		ScanOnPush: in.ImageScanningConfiguration != nil && in.ImageScanningConfiguration.ScanOnPush, Tags: map[string]string{},
	}
	if err := r.setMutability(in.ImageTagMutability, in.ImageTagMutabilityExclusionFilters); err != nil {
		return nil, err
	}
	if e := in.EncryptionConfiguration; e != nil && e.EncryptionType != "" {
		r.Encryption = string(e.EncryptionType)
	}
	for _, t := range in.Tags {
		r.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	if a.state().Repositories == nil {
		a.state().Repositories = map[string]*repository{}
	}
	a.state().Repositories[name] = r
	a.Created(a.RepositoryARN(name))
	described := a.describe(r)
	return &ecr.CreateRepositoryOutput{Repository: &described}, nil
}

// DeleteRepository deletes a repository, one with images only by force.
func (a tx) DeleteRepository(in *ecr.DeleteRepositoryInput) (*ecr.DeleteRepositoryOutput, error) {
	r, err := a.repository(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	if !in.Force && len(a.registry.Images(r.Name)) > 0 {
		return nil, kernel.Fail("RepositoryNotEmptyException", "The repository with name '%s' in registry with id '%s' cannot be deleted because it still contains images", r.Name, a.Account())
	}
	if err := a.registry.DeleteRepository(r.Name); err != nil {
		return nil, err
	}
	delete(a.state().Repositories, r.Name)
	described := a.describe(r)
	return &ecr.DeleteRepositoryOutput{Repository: &described}, nil
}

// DescribeRepositories lists repositories, or those asked for.
func (a tx) DescribeRepositories(in *ecr.DescribeRepositoriesInput) (*ecr.DescribeRepositoriesOutput, error) {
	out := &ecr.DescribeRepositoriesOutput{Repositories: []types.Repository{}}
	names := in.RepositoryNames
	if len(names) == 0 {
		for _, name := range slices.Sorted(maps.Keys(a.state().Repositories)) {
			if a.Visible(a.RepositoryARN(name)) {
				names = append(names, name)
			}
		}
		names, out.NextToken = kernel.PageAfter(names, in.NextToken, in.MaxResults, 100)
	}
	for _, name := range names {
		r := a.state().Repositories[name]
		if len(in.RepositoryNames) > 0 {
			var err error
			if r, err = a.repository(&name); err != nil {
				return nil, err
			}
		}
		out.Repositories = append(out.Repositories, a.describe(r))
	}
	return out, nil
}

// PutImageScanningConfiguration switches scanning on push.
func (a tx) PutImageScanningConfiguration(in *ecr.PutImageScanningConfigurationInput) (*ecr.PutImageScanningConfigurationOutput, error) {
	r, err := a.repository(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	r.ScanOnPush = in.ImageScanningConfiguration != nil && in.ImageScanningConfiguration.ScanOnPush
	return &ecr.PutImageScanningConfigurationOutput{
		RegistryId: aws.String(a.Account()), RepositoryName: aws.String(r.Name), ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: r.ScanOnPush},
	}, nil
}

// PutImageTagMutability fixes tags or lets them move.
func (a tx) PutImageTagMutability(in *ecr.PutImageTagMutabilityInput) (*ecr.PutImageTagMutabilityOutput, error) {
	r, err := a.repository(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	if err := r.setMutability(in.ImageTagMutability, in.ImageTagMutabilityExclusionFilters); err != nil {
		return nil, err
	}
	return &ecr.PutImageTagMutabilityOutput{
		RegistryId: aws.String(a.Account()), RepositoryName: aws.String(r.Name),
		ImageTagMutability: in.ImageTagMutability, ImageTagMutabilityExclusionFilters: r.exclusions(),
	}, nil
}

// findImage looks for a digest or a tag.
func findImage(images []registry.Image, id types.ImageIdentifier) (registry.Image, bool) {
	for _, image := range images {
		if id.ImageDigest != nil && image.Digest != *id.ImageDigest || id.ImageTag != nil && !slices.Contains(image.Tags, *id.ImageTag) {
			continue
		}
		return image, id.ImageDigest != nil || id.ImageTag != nil
	}
	return registry.Image{}, false
}

func (a tx) noImage(id types.ImageIdentifier, repository string) error {
	or := func(s *string) string {
		if s == nil {
			return "null"
		}
		return *s
	}
	return kernel.Fail("ImageNotFoundException", "The image with imageId {imageDigest:'%s', imageTag:'%s'} does not exist within the repository with name '%s' in the registry with id '%s'",
		or(id.ImageDigest), or(id.ImageTag), repository, a.Account())
}

// DescribeImages lists a repository's images, or those asked for.
func (a tx) DescribeImages(in *ecr.DescribeImagesInput) (*ecr.DescribeImagesOutput, error) {
	r, err := a.repository(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	images := a.registry.Images(r.Name)
	if len(in.ImageIds) > 0 {
		var asked []registry.Image
		for _, id := range in.ImageIds {
			image, ok := findImage(images, id)
			if !ok {
				return nil, a.noImage(id, r.Name)
			}
			asked = append(asked, image)
		}
		images = asked
	} else if in.Filter != nil {
		images = slices.DeleteFunc(images, func(i registry.Image) bool { return !tagStatus(in.Filter.TagStatus, i) })
	}
	images, next := imagePage(images, in.NextToken, in.MaxResults)
	out := &ecr.DescribeImagesOutput{ImageDetails: []types.ImageDetail{}, NextToken: next}
	for _, image := range images {
		detail := types.ImageDetail{
			ImageDigest: aws.String(image.Digest), ImageManifestMediaType: aws.String(image.MediaType), ImagePushedAt: aws.Time(image.Pushed),
			ImageSizeInBytes: aws.Int64(image.Size()), ImageTags: image.Tags, RegistryId: aws.String(a.Account()), RepositoryName: aws.String(r.Name),
		}
		if r.ScanOnPush {
			detail.ImageScanStatus = &types.ImageScanStatus{Status: types.ScanStatusComplete, Description: aws.String("The scan was completed successfully.")}
			detail.ImageScanFindingsSummary = &types.ImageScanFindingsSummary{
				FindingSeverityCounts: map[string]int32{}, ImageScanCompletedAt: aws.Time(image.Pushed), VulnerabilitySourceUpdatedAt: aws.Time(image.Pushed),
			}
		}
		out.ImageDetails = append(out.ImageDetails, detail)
	}
	return out, nil
}

func tagStatus(want types.TagStatus, image registry.Image) bool {
	switch want {
	case types.TagStatusTagged:
		return len(image.Tags) > 0
	case types.TagStatusUntagged:
		return len(image.Tags) == 0
	default:
		return true
	}
}

func imagePage(images []registry.Image, token *string, limit *int32) ([]registry.Image, *string) {
	if token != nil {
		i := slices.IndexFunc(images, func(i registry.Image) bool { return i.Digest == *token })
		images = images[i+1:]
	}
	n := 100
	if limit != nil && *limit > 0 {
		n = int(*limit)
	}
	if len(images) <= n {
		return images, nil
	}
	return images[:n], aws.String(images[n-1].Digest)
}

// ListImages lists digests and tags.
func (a tx) ListImages(in *ecr.ListImagesInput) (*ecr.ListImagesOutput, error) {
	r, err := a.repository(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	images := a.registry.Images(r.Name)
	if in.Filter != nil {
		images = slices.DeleteFunc(images, func(i registry.Image) bool { return !tagStatus(in.Filter.TagStatus, i) })
	}
	images, next := imagePage(images, in.NextToken, in.MaxResults)
	out := &ecr.ListImagesOutput{ImageIds: []types.ImageIdentifier{}, NextToken: next}
	for _, image := range images {
		if len(image.Tags) == 0 {
			out.ImageIds = append(out.ImageIds, types.ImageIdentifier{ImageDigest: aws.String(image.Digest)})
		}
		for _, tag := range image.Tags {
			out.ImageIds = append(out.ImageIds, types.ImageIdentifier{ImageDigest: aws.String(image.Digest), ImageTag: aws.String(tag)})
		}
	}
	return out, nil
}

// BatchGetImage returns manifests.
func (a tx) BatchGetImage(in *ecr.BatchGetImageInput) (*ecr.BatchGetImageOutput, error) {
	r, err := a.repository(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	images := a.registry.Images(r.Name)
	out := &ecr.BatchGetImageOutput{Images: []types.Image{}, Failures: []types.ImageFailure{}}
	for _, id := range in.ImageIds {
		image, ok := findImage(images, id)
		if !ok {
			out.Failures = append(out.Failures, imageFailure(id))
			continue
		}
		out.Images = append(out.Images, types.Image{
			ImageId:       &types.ImageIdentifier{ImageDigest: aws.String(image.Digest), ImageTag: id.ImageTag},
			ImageManifest: aws.String(string(image.Manifest)), ImageManifestMediaType: aws.String(image.MediaType),
			RegistryId: aws.String(a.Account()), RepositoryName: aws.String(r.Name),
		})
	}
	return out, nil
}

func imageFailure(id types.ImageIdentifier) types.ImageFailure {
	return types.ImageFailure{FailureCode: types.ImageFailureCodeImageNotFound, FailureReason: aws.String("Requested image not found"), ImageId: &id}
}

// BatchDeleteImage takes tags away, or images by their digests.
func (a tx) BatchDeleteImage(in *ecr.BatchDeleteImageInput) (*ecr.BatchDeleteImageOutput, error) {
	r, err := a.repository(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	out := &ecr.BatchDeleteImageOutput{ImageIds: []types.ImageIdentifier{}, Failures: []types.ImageFailure{}}
	for _, id := range in.ImageIds {
		image, ok := findImage(a.registry.Images(r.Name), id)
		if !ok {
			out.Failures = append(out.Failures, imageFailure(id))
			continue
		}
		tags := image.Tags
		if goes := id.ImageTag == nil || len(tags) == 1; goes && registry.Referenced(a.registry.Images(r.Name))[image.Digest] {
			out.Failures = append(out.Failures, types.ImageFailure{
				FailureCode: types.ImageFailureCodeImageReferencedByManifestList, ImageId: &id,
				FailureReason: aws.String("Requested image referenced by manifest list"),
			})
			continue
		}
		if id.ImageTag != nil {
			tags = []string{*id.ImageTag}
			_, err = a.registry.Untag(r.Name, *id.ImageTag)
		} else {
			_, err = a.registry.Delete(r.Name, image.Digest)
		}
		if err != nil {
			return nil, err
		}
		if len(tags) == 0 {
			out.ImageIds = append(out.ImageIds, types.ImageIdentifier{ImageDigest: aws.String(image.Digest)})
		}
		for _, tag := range tags {
			out.ImageIds = append(out.ImageIds, types.ImageIdentifier{ImageDigest: aws.String(image.Digest), ImageTag: aws.String(tag)})
		}
	}
	return out, nil
}

// PutImage puts a manifest, or a tag on one that is there. Its layers have to be
// there already.
func (a tx) PutImage(in *ecr.PutImageInput) (*ecr.PutImageOutput, error) {
	r, err := a.repository(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	image, err := registry.NewImage([]byte(aws.ToString(in.ImageManifest)), aws.ToString(in.ImageManifestMediaType), aws.ToString(in.ImageTag))
	if err != nil {
		return nil, kernel.Fail("InvalidParameterException", "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'")
	}
	if in.ImageDigest != nil && *in.ImageDigest != image.Digest {
		return nil, kernel.Fail("ImageDigestDoesNotMatchException", "The specified image digest '%s' does not match the calculated image digest '%s'", *in.ImageDigest, image.Digest)
	}
	switch err := a.registry.Put(r.Name, image, r.immutable()); {
	case errors.Is(err, registry.ErrImmutable):
		return nil, kernel.Fail("ImageTagAlreadyExistsException", "The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.", *in.ImageTag, r.Name)
	case errors.Is(err, registry.ErrSame):
		return nil, kernel.Fail("ImageAlreadyExistsException", "Image with digest '%s' and tag '%s' already exists in the repository with name '%s' in registry with id '%s'",
			image.Digest, aws.ToString(in.ImageTag), r.Name, a.Account())
	case errors.Is(err, registry.ErrIncomplete):
		return nil, kernel.Fail("LayersNotFoundException", "%s", err.Error())
	case err != nil:
		return nil, err
	}
	a.expire(r)
	return &ecr.PutImageOutput{Image: &types.Image{
		ImageId:       &types.ImageIdentifier{ImageDigest: aws.String(image.Digest), ImageTag: in.ImageTag},
		ImageManifest: in.ImageManifest, ImageManifestMediaType: aws.String(image.MediaType),
		RegistryId: aws.String(a.Account()), RepositoryName: aws.String(r.Name),
	}}, nil
}

// StartImageScan finishes at once and finds nothing: there is no list of
// vulnerabilities here.
func (a tx) StartImageScan(in *ecr.StartImageScanInput) (*ecr.StartImageScanOutput, error) {
	image, err := a.image(in.RepositoryName, in.ImageId)
	if err != nil {
		return nil, err
	}
	return &ecr.StartImageScanOutput{
		ImageId: &types.ImageIdentifier{ImageDigest: aws.String(image.Digest)}, RegistryId: aws.String(a.Account()), RepositoryName: in.RepositoryName,
		ImageScanStatus: &types.ImageScanStatus{Status: types.ScanStatusInProgress},
	}, nil
}

func (a tx) image(repository *string, id *types.ImageIdentifier) (registry.Image, error) {
	r, err := a.repository(repository)
	if err != nil {
		return registry.Image{}, err
	}
	if id == nil {
		id = &types.ImageIdentifier{}
	}
	image, ok := findImage(a.registry.Images(r.Name), *id)
	if !ok {
		return registry.Image{}, a.noImage(*id, r.Name)
	}
	return image, nil
}

// DescribeImageScanFindings finds nothing; see StartImageScan.
func (a tx) DescribeImageScanFindings(in *ecr.DescribeImageScanFindingsInput) (*ecr.DescribeImageScanFindingsOutput, error) {
	image, err := a.image(in.RepositoryName, in.ImageId)
	if err != nil {
		return nil, err
	}
	return &ecr.DescribeImageScanFindingsOutput{
		ImageId: &types.ImageIdentifier{ImageDigest: aws.String(image.Digest)}, RegistryId: aws.String(a.Account()), RepositoryName: in.RepositoryName,
		ImageScanStatus: &types.ImageScanStatus{Status: types.ScanStatusComplete, Description: aws.String("The scan was completed successfully.")},
		ImageScanFindings: &types.ImageScanFindings{
			FindingSeverityCounts: map[string]int32{}, ImageScanCompletedAt: aws.Time(image.Pushed), VulnerabilitySourceUpdatedAt: aws.Time(image.Pushed),
		},
	}, nil
}

// GetAuthorizationToken gives a token that is good for twelve hours. The
// registry listens on loopback only and takes any.
func (a tx) GetAuthorizationToken(*ecr.GetAuthorizationTokenInput) (*ecr.GetAuthorizationTokenOutput, error) {
	return &ecr.GetAuthorizationTokenOutput{AuthorizationData: []types.AuthorizationData{{
		AuthorizationToken: aws.String(base64.StdEncoding.EncodeToString([]byte("AWS:" + kernel.HexDigits(32)))),
		ExpiresAt:          aws.Time(a.Now().Add(12 * time.Hour)), ProxyEndpoint: aws.String(a.Endpoint()),
	}}}, nil
}

// TagResource tags a repository.
func (a tx) TagResource(in *ecr.TagResourceInput) (*ecr.TagResourceOutput, error) {
	r, err := a.repositoryByARN(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	for _, t := range in.Tags {
		r.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return &ecr.TagResourceOutput{}, nil
}

// UntagResource removes tags from a repository.
func (a tx) UntagResource(in *ecr.UntagResourceInput) (*ecr.UntagResourceOutput, error) {
	r, err := a.repositoryByARN(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(r.Tags, k)
	}
	return &ecr.UntagResourceOutput{}, nil
}

// ListTagsForResource lists a repository's tags.
func (a tx) ListTagsForResource(in *ecr.ListTagsForResourceInput) (*ecr.ListTagsForResourceOutput, error) {
	r, err := a.repositoryByARN(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	out := &ecr.ListTagsForResourceOutput{Tags: []types.Tag{}}
	for _, k := range slices.Sorted(maps.Keys(r.Tags)) {
		out.Tags = append(out.Tags, types.Tag{Key: aws.String(k), Value: aws.String(r.Tags[k])})
	}
	return out, nil
}
