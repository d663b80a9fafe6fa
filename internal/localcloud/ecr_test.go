package localcloud_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// worked returns what a call gave, which has to have worked.
func worked[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func pushRandom(t *testing.T, repository *types.Repository, tag string) string {
	t.Helper()
	image := worked(random.Image(100, 1))(t)
	ref := worked(name.NewTag(aws.ToString(repository.RepositoryUri)+":"+tag, name.Insecure))(t)
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	return worked(image.Digest())(t).String()
}

func TestARepositoryKeepsWhatItsLifecycleSays(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	client := ecr.NewFromConfig(clientConfig(c))
	ctx := t.Context()
	created := worked(client.CreateRepository(ctx, &ecr.CreateRepositoryInput{
		RepositoryName: aws.String("book/api"), ImageTagMutability: types.ImageTagMutabilityImmutable,
		ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true},
		Tags:                       []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}},
	}))(t).Repository
	_, err := client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("book/api")})
	refused(t, err, "RepositoryAlreadyExistsException", "book/api")

	first := pushRandom(t, created, "v1")
	second := pushRandom(t, created, "v2")
	_, err = client.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: created.RepositoryName})
	refused(t, err, "LifecyclePolicyNotFoundException", "book/api")
	_, err = client.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: created.RepositoryName, LifecyclePolicyText: aws.String(`{"rules":[{"rulePriority":1}]}`)})
	refused(t, err, "InvalidParameterException", "Lifecycle policy validation failure")
	worked(client.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: created.RepositoryName, LifecyclePolicyText: aws.String(
		`{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":2},"action":{"type":"expire"}}]}`)}))(t)
	third := pushRandom(t, created, "v3")
	var digests []string
	for _, d := range worked(client.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: created.RepositoryName}))(t).ImageDetails {
		digests = append(digests, *d.ImageDigest)
		if d.ImageScanStatus == nil || d.ImageScanStatus.Status != types.ScanStatusComplete {
			t.Errorf("scan of %v: %+v", d.ImageTags, d.ImageScanStatus)
		}
	}
	if strings.Join(digests, " ") != second+" "+third {
		t.Errorf("kept %v, want %s and %s", digests, second, third)
	}
	_, err = client.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: created.RepositoryName, ImageIds: []types.ImageIdentifier{{ImageDigest: &first}}})
	refused(t, err, "ImageNotFoundException", first)

	_, err = client.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: created.RepositoryName})
	refused(t, err, "RepositoryNotEmptyException", "still contains images")
	gone := worked(client.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{
		RepositoryName: created.RepositoryName, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v2")}, {ImageTag: aws.String("nope")}},
	}))(t)
	if len(gone.ImageIds) != 1 || *gone.ImageIds[0].ImageDigest != second || len(gone.Failures) != 1 || gone.Failures[0].FailureCode != types.ImageFailureCodeImageNotFound {
		t.Errorf("deleted %+v", gone)
	}
	tags := worked(client.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: created.RepositoryArn}))(t).Tags
	if len(tags) != 1 || *tags[0].Value != "b" {
		t.Errorf("tags %+v", tags)
	}
	worked(client.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: created.RepositoryName, Force: true}))(t)
	_, err = client.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"book/api"}})
	refused(t, err, "RepositoryNotFoundException", "book/api")
	host, _, _ := strings.Cut(*created.RepositoryUri, "/")
	resp, err := http.Get("http://" + host + "/v2/book/api/manifests/v3")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("an image of a deleted repository: %s", resp.Status)
	}
}
