package localcloud_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// lifecycle is a policy of rules, each "PRIORITY STATUS PREFIXES COUNT" with the
// prefixes separated by commas, or "-".
func lifecycle(rules ...string) *string {
	var out []string
	for _, r := range rules {
		var priority, count int
		var status, prefixes, list string
		if _, err := fmt.Sscan(r, &priority, &status, &prefixes, &count); err != nil {
			panic(err)
		}
		if prefixes != "-" {
			list = `,"tagPrefixList":["` + strings.ReplaceAll(prefixes, ",", `","`) + `"]`
		}
		out = append(out, fmt.Sprintf(`{"rulePriority":%d,"selection":{"tagStatus":"%s"%s,"countType":"imageCountMoreThan","countNumber":%d},"action":{"type":"expire"}}`, priority, status, list, count))
	}
	return aws.String(`{"rules":[` + strings.Join(out, ",") + `]}`)
}

// The first two are AWS's own examples
// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_examples.html).
func TestLifecycleRulesExpireAsAWSDocuments(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	client := ecr.NewFromConfig(clientConfig(c))
	for i, test := range []struct {
		name   string
		policy *string
		images []string // their tags, the oldest first
		left   []string
	}{
		{"what a rule keeps is kept from later ones, and counts there", lifecycle("1 tagged prod 1", "2 tagged beta 1"),
			[]string{"beta-1 prod-1", "beta-2 prod-2", "beta-3"}, []string{"beta-2 prod-2", "beta-3"}},
		{"what a rule takes counts in later ones", lifecycle("1 tagged beta 1", "2 tagged prod 1"),
			[]string{"beta-1 prod-1", "beta-2 prod-2", "beta-3"}, []string{"beta-3"}},
		{"any comes last and spares what has a rule of its own", lifecycle("9 any - 2", "1 tagged served- 100"),
			[]string{"a", "b served-b", "c", "d", "e"}, []string{"b served-b", "d", "e"}},
		{"of several prefixes all must fit", lifecycle("1 tagged alpha,beta 1"),
			[]string{"alpha1", "beta1", "alpha2 beta2", "alpha3 beta3"}, []string{"alpha1", "alpha3 beta3", "beta1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			created := worked(client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String(fmt.Sprint("rules", i))}))(t).Repository
			for _, tags := range test.images {
				image := worked(random.Image(100, 1))(t)
				for _, tag := range strings.Fields(tags) {
					pushImage(t, created, tag, image)
				}
			}
			worked(client.PutLifecyclePolicy(t.Context(), &ecr.PutLifecyclePolicyInput{RepositoryName: created.RepositoryName, LifecyclePolicyText: test.policy}))(t)
			if diff := cmp.Diff(test.left, tagsLeft(t, client, created)); diff != "" {
				t.Errorf("(-documented +left)\n%s", diff)
			}
		})
	}
}

func pushImage(t *testing.T, repository *types.Repository, tag string, image v1.Image) {
	t.Helper()
	ref := worked(name.NewTag(aws.ToString(repository.RepositoryUri)+":"+tag, name.Insecure))(t)
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
}

// tagsLeft are the tags of each image, "untagged" without, in their order.
func tagsLeft(t *testing.T, client *ecr.Client, repository *types.Repository) (out []string) {
	t.Helper()
	for _, d := range worked(client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: repository.RepositoryName}))(t).ImageDetails {
		tags := strings.Join(slices.Sorted(slices.Values(d.ImageTags)), " ")
		out = append(out, map[bool]string{true: tags, false: "untagged"}[tags != ""])
	}
	slices.Sort(out)
	return out
}

func TestLifecyclePoliciesThatAWSRefusesAreRefused(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	client := ecr.NewFromConfig(clientConfig(c))
	created := worked(client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("rules")}))(t).Repository
	for policy, want := range map[string]string{
		*lifecycle("1 any - 5", "2 tagged served- 5"):           "tagStatus any must have the highest value",
		*lifecycle("1 tagged served- 5", "1 any - 5"):           "must be unique",
		*lifecycle("1 tagged served- 5", "2 tagged served- 7"):  "select the same images",
		*lifecycle("1 untagged served- 5"):                      "go with tagStatus tagged only",
		strings.ReplaceAll(*lifecycle("1 any - 5"), "5}", "0}"): "minimum: 1",
	} {
		_, err := client.PutLifecyclePolicy(t.Context(), &ecr.PutLifecyclePolicyInput{RepositoryName: created.RepositoryName, LifecyclePolicyText: &policy})
		refused(t, err, "InvalidParameterException", want)
	}
}

func TestWhatAnIndexRefersToStaysAsLongAsTheIndex(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	client := ecr.NewFromConfig(clientConfig(c))
	ctx := t.Context()
	created := worked(client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("indexed")}))(t).Repository
	index := worked(random.Index(100, 1, 2))(t)
	ref := worked(name.NewTag(aws.ToString(created.RepositoryUri)+":both", name.Insecure))(t)
	if err := remote.WriteIndex(ref, index); err != nil {
		t.Fatal(err)
	}
	pushRandom(t, created, "later")
	worked(client.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: created.RepositoryName, LifecyclePolicyText: lifecycle("1 any - 2")}))(t)
	if diff := cmp.Diff([]string{"both", "later", "untagged", "untagged"}, tagsLeft(t, client, created)); diff != "" {
		t.Errorf("an index, its two images and a later one (-want +left)\n%s", diff)
	}
	part := worked(index.IndexManifest())(t).Manifests[0].Digest.String()
	gone := worked(client.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: created.RepositoryName, ImageIds: []types.ImageIdentifier{{ImageDigest: &part}}}))(t)
	if len(gone.ImageIds) != 0 || len(gone.Failures) != 1 || gone.Failures[0].FailureCode != types.ImageFailureCodeImageReferencedByManifestList {
		t.Errorf("deleted a part of an index: %+v", gone)
	}
}

func TestATagIsPutOnAnImageThatIsThere(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	client := ecr.NewFromConfig(clientConfig(c))
	ctx := t.Context()
	for mutability, again := range map[types.ImageTagMutability]string{
		types.ImageTagMutabilityMutable:                "ImageAlreadyExistsException",
		types.ImageTagMutabilityImmutable:              "ImageTagAlreadyExistsException",
		types.ImageTagMutabilityImmutableWithExclusion: "ImageAlreadyExistsException",
	} {
		in := &ecr.CreateRepositoryInput{RepositoryName: aws.String(strings.ToLower(string(mutability))), ImageTagMutability: mutability}
		if mutability == types.ImageTagMutabilityImmutableWithExclusion {
			in.ImageTagMutabilityExclusionFilters = []types.ImageTagMutabilityExclusionFilter{{Filter: aws.String("served*"), FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard}}
		}
		created := worked(client.CreateRepository(ctx, in))(t).Repository
		first, second := pushRandom(t, created, "v1"), pushRandom(t, created, "v2")
		pushed := worked(client.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: created.RepositoryName}))(t).ImageDetails[0].ImagePushedAt
		put := func(digest string) error {
			got := worked(client.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: created.RepositoryName, ImageIds: []types.ImageIdentifier{{ImageDigest: &digest}}}))(t).Images[0]
			_, err := client.PutImage(ctx, &ecr.PutImageInput{
				RepositoryName: created.RepositoryName, ImageManifest: got.ImageManifest, ImageManifestMediaType: got.ImageManifestMediaType, ImageDigest: &digest, ImageTag: aws.String("served"),
			})
			return err
		}
		if err := put(first); err != nil {
			t.Fatal(err)
		}
		if got := worked(client.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: created.RepositoryName}))(t).ImageDetails[0]; !slices.Equal(got.ImageTags, []string{"v1", "served"}) || !got.ImagePushedAt.Equal(*pushed) {
			t.Errorf("%s: tags %v of %s, want those of %s", mutability, got.ImageTags, got.ImagePushedAt, pushed)
		}
		refused(t, put(first), again, "served")
		if err := put(second); mutability == types.ImageTagMutabilityImmutable {
			refused(t, err, "ImageTagAlreadyExistsException", "served")
		} else if err != nil {
			t.Errorf("%s: moving the tag: %v", mutability, err)
		}
	}
}
