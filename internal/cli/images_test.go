package cli_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// inECR is the stack's repository.
type inECR struct {
	*testing.T
	*ecr.Client
	repository types.Repository
}

func (s *shell) ecr(t *testing.T) inECR {
	t.Helper()
	r := inECR{T: t, Client: ecr.NewFromConfig(s.config())}
	out, err := r.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"book/app"}})
	if err != nil {
		t.Fatal(err)
	}
	r.repository = out.Repositories[0]
	return r
}

// push pushes another image, as a release that failed leaves it or, marked, one that
// served. It returns the digest.
func (r inECR) push(served bool) string {
	r.Helper()
	image, err := random.Image(100, 1)
	if err != nil {
		r.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		r.Fatal(err)
	}
	for prefix, wanted := range map[string]bool{"sha-": true, "served-": served} {
		ref, err := name.NewTag(aws.ToString(r.repository.RepositoryUri)+":"+prefix+digest.Hex[:12], name.Insecure)
		if err != nil {
			r.Fatal(err)
		}
		if !wanted {
			continue
		}
		if err := remote.Write(ref, image); err != nil {
			r.Fatal(err)
		}
	}
	return digest.String()
}

// drop takes an image away, or its mark alone.
func (r inECR) drop(digest string, markAlone bool) {
	r.Helper()
	id := types.ImageIdentifier{ImageDigest: &digest}
	if markAlone {
		id = types.ImageIdentifier{ImageTag: aws.String("served-" + digest[7:19])}
	}
	out, err := r.BatchDeleteImage(r.Context(), &ecr.BatchDeleteImageInput{RepositoryName: r.repository.RepositoryName, ImageIds: []types.ImageIdentifier{id}})
	if err != nil || len(out.Failures) > 0 {
		r.Fatalf("drop %s: %+v, %v", digest, out, err)
	}
}

// kept are the digests of all images, and of those that are marked.
func (r inECR) kept() (all, marked []string) {
	r.Helper()
	out, err := r.DescribeImages(r.Context(), &ecr.DescribeImagesInput{RepositoryName: r.repository.RepositoryName})
	if err != nil {
		r.Fatal(err)
	}
	for _, d := range out.ImageDetails {
		all = append(all, *d.ImageDigest)
		if slices.Contains(d.ImageTags, "served-"+(*d.ImageDigest)[7:19]) {
			marked = append(marked, *d.ImageDigest)
		}
	}
	return all, marked
}

func TestTheImageInUseIsKept(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	s.up()
	repository := s.ecr(t)
	var status struct{ Image struct{ Reference string } }
	decode(t, s.must("status", "--local", "--output", "json"), &status)
	_, first, _ := strings.Cut(status.Image.Reference, "@")

	// More releases fail than the repository keeps.
	for range 12 {
		repository.push(false)
	}
	all, marked := repository.kept()
	if !slices.Contains(all, first) || !slices.Equal(marked, []string{first}) || len(all) != 6 {
		t.Errorf("after failed releases: %d images, %v marked, want 6 with %s", len(all), marked, first)
	}
	if r := s.run("status", "--local"); r.code != 0 {
		t.Errorf("status after that: exit code %d\n%s%s", r.code, r.out, r.err)
	}

	// A run is cut off after its release served and before it marked it.
	repository.drop(first, true)
	if r := s.run("status", "--local"); r.code != 0 || !strings.Contains(r.out, "service: image-kept: false → true") {
		t.Errorf("status without the mark: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	s.up()
	if _, marked := repository.kept(); !slices.Equal(marked, []string{first}) {
		t.Errorf("up has marked %v, want %s", marked, first)
	}

	// Somebody removes the image all the same.
	repository.drop(first, false)
	r := s.run("status", "--local")
	if r.code != 3 || !strings.Contains(r.out, "the image that the service runs, "+first+", is no longer in the stack's repository, and no new task can start") ||
		!strings.Contains(r.out, "'bookctl up --local' pushes what the source builds") || strings.Contains(r.out, "image is missing") {
		t.Errorf("status without the image: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if r := s.run("status", "--local", "--output", "json"); r.code != 3 || !strings.Contains(r.out, `"gone":true`) {
		t.Errorf("the same as JSON: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	s.up()
	if _, marked := repository.kept(); !slices.Equal(marked, []string{first}) {
		t.Errorf("up has marked %v, want %s, pushed anew", marked, first)
	}
	if r := s.run("plan", "--local"); r.code != 0 {
		t.Errorf("plan after that: exit code %d\n%s%s", r.code, r.out, r.err)
	}

	// What served longest ago makes room, and not what was pushed longest ago.
	oldest := repository.push(true)
	for range 8 {
		repository.push(true)
	}
	s.up("--source", changedSource(t))
	_, marked = repository.kept()
	if len(marked) != 10 || !slices.Contains(marked, first) || slices.Contains(marked, oldest) {
		t.Errorf("%d images are marked, want 10 with %s and without %s: %v", len(marked), first, oldest, marked)
	}

	// Only what is there can be gone back to.
	repository.drop(first, false)
	s.run("rollback", "--local").says(t, 1, "the images of the releases before revision 2 are no longer in the repository", "next: 'bookctl up --local --image REFERENCE'")
	s.run("rollback", "--local", "--to", "1").says(t, 1, "the image of revision 1 is no longer in the repository, which keeps the last 10 that served; what is left: 2", "next:")
}
