package provision

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/sorted"
)

// servedImages marks the images of releases that served in the stack's
// repository, by a tag that its lifecycle policy knows. ECR does not know what
// tasks run (https://github.com/aws/containers-roadmap/issues/1078), and goes by
// the time of the push, which a tag does not renew
// (https://github.com/aws/containers-roadmap/issues/2746): by its own count it
// would remove an old image that serves again. So the tags are counted here.
type servedImages struct {
	ecsAccess
	ecr *ecr.Client
}

const (
	// servedPrefix begins the tag of an image that served. Each has a tag of its
	// own: those of the repository never move.
	servedPrefix = "served-"
	// mostServed is how many images are marked.
	mostServed = 10
)

func servedTag(digest string) string {
	hex := strings.TrimPrefix(digest, "sha256:")
	return servedPrefix + hex[:min(12, len(hex))]
}

func (k servedImages) repositoryName() string {
	return k.names().Repository()
}

// all lists the images of the stack's repository; none where that is missing.
func (k servedImages) all(ctx context.Context) ([]types.ImageDetail, error) {
	var out []types.ImageDetail
	pages := ecr.NewDescribeImagesPaginator(k.ecr, &ecr.DescribeImagesInput{RepositoryName: aws.String(k.repositoryName()), MaxResults: aws.Int32(1000)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if IsCode(err, "RepositoryNotFoundException") {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("describe the images of %s: %w", k.repositoryName(), err)
		}
		out = append(out, page.ImageDetails...)
	}
	return out, nil
}

// keepServing marks the image of the release that serves, before anything is done
// that may remove images. A run that was cut off may have left it unmarked.
func (k servedImages) keepServing(ctx context.Context) error {
	live, err := k.service().describe(ctx)
	if live == nil || err != nil {
		return err
	}
	t := TaskDefinition{ecsAccess: k.ecsAccess}
	def, tags, err := t.describe(ctx, aws.ToString(live.TaskDefinition))
	if def == nil || err != nil || tags[TagStack] != k.stack || tags[tagServed] == "" && completed(live) == "" {
		return err
	}
	_, digest, own := strings.Cut(imageOf(def), "/"+k.repositoryName()+"@")
	if !own {
		return nil
	}
	images, err := k.all(ctx)
	if err != nil || !slices.ContainsFunc(images, func(d types.ImageDetail) bool { return aws.ToString(d.ImageDigest) == digest }) {
		return err // one that is gone can't be marked, and a push may be its remedy
	}
	return k.mark(ctx, images, digest)
}

// keep marks an image. In a repository that this run has created none is marked yet.
func (k servedImages) keep(ctx context.Context, digest string, created bool) error {
	if created {
		return k.mark(ctx, nil, digest)
	}
	images, err := k.all(ctx)
	if err != nil {
		return err
	}
	return k.mark(ctx, images, digest)
}

func (k servedImages) mark(ctx context.Context, images []types.ImageDetail, digest string) error {
	var others []types.ImageDetail // that are marked
	for _, d := range images {
		other := aws.ToString(d.ImageDigest)
		switch marked := slices.Contains(d.ImageTags, servedTag(other)); {
		case marked && other == digest:
			return nil
		case marked:
			others = append(others, d)
		}
	}
	if err := k.unmark(ctx, others); err != nil {
		return err
	}
	// https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-retag.html
	got, err := k.ecr.BatchGetImage(ctx, &ecr.BatchGetImageInput{
		RepositoryName: aws.String(k.repositoryName()), ImageIds: []types.ImageIdentifier{{ImageDigest: &digest}},
		AcceptedMediaTypes: manifestTypes, // or the manifest may be converted
	})
	if err != nil {
		return fmt.Errorf("read image %s to mark it as one that served: %w", digest, err)
	}
	if len(got.Images) == 0 {
		return hint.With(fmt.Errorf("image %s, which serves, is no longer in repository %s", digest, k.repositoryName()), "%s pushes it again", hint.Command("up"))
	}
	_, err = k.ecr.PutImage(ctx, &ecr.PutImageInput{
		RepositoryName: aws.String(k.repositoryName()), ImageManifest: got.Images[0].ImageManifest, ImageManifestMediaType: mediaType(got.Images[0]),
		ImageDigest: &digest, ImageTag: aws.String(servedTag(digest)),
	})
	// The tag is made of the digest, so that whoever put it meant the same.
	if err != nil && !IsCode(err, "ImageAlreadyExistsException", "ImageTagAlreadyExistsException") {
		return fmt.Errorf("mark image %s as one that served: %w", digest, err)
	}
	return nil
}

// manifestTypes are those that bookctl pushes, and that others may.
var manifestTypes = []string{
	"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json",
	"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
}

// mediaType is that of an image's manifest, which emulators leave out.
func mediaType(i types.Image) *string {
	if i.ImageManifestMediaType != nil {
		return i.ImageManifestMediaType
	}
	var manifest struct {
		MediaType string `json:"mediaType"`
	}
	if json.Unmarshal([]byte(aws.ToString(i.ImageManifest)), &manifest) != nil || manifest.MediaType == "" {
		return nil
	}
	return &manifest.MediaType
}

// unmark makes room for one more: the images whose release served longest ago,
// and then those that were pushed first, lose their tag, and go by the lifecycle
// policy when they are not among the newest. It comes before the new tag, so that
// there are never more than the policy keeps.
func (k servedImages) unmark(ctx context.Context, marked []types.ImageDetail) error {
	if len(marked) < mostServed {
		return nil
	}
	releases, err := k.releases(ctx)
	if err != nil {
		return err
	}
	last := func(d types.ImageDetail) int32 { // the revision that ran it last
		for _, r := range releases {
			if strings.HasSuffix(r.Image, "@"+aws.ToString(d.ImageDigest)) && (r.Served || r.Serving) {
				return r.Revision
			}
		}
		return 0
	}
	sorted.By(marked, func(x, y types.ImageDetail) int {
		return cmp.Or(cmp.Compare(last(y), last(x)), aws.ToTime(y.ImagePushedAt).Compare(aws.ToTime(x.ImagePushedAt)))
	})
	in := &ecr.BatchDeleteImageInput{RepositoryName: aws.String(k.repositoryName())}
	for _, d := range marked[mostServed-1:] {
		// By the tag alone: the image has another one and stays.
		in.ImageIds = append(in.ImageIds, types.ImageIdentifier{ImageTag: aws.String(servedTag(aws.ToString(d.ImageDigest)))})
	}
	out, err := k.ecr.BatchDeleteImage(ctx, in)
	if err != nil {
		return fmt.Errorf("take the marks off %d images of %s that served: %w", len(in.ImageIds), k.repositoryName(), err)
	}
	for _, f := range out.Failures {
		if f.FailureCode != types.ImageFailureCodeImageNotFound {
			return fmt.Errorf("take the mark off image %s of %s: %s", aws.ToString(f.ImageId.ImageTag), k.repositoryName(), aws.ToString(f.FailureReason))
		}
	}
	return nil
}
