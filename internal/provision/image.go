package provision

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// ImageSource builds an image, or reads it from a file, and can push it. Package image
// has those that do.
type ImageSource interface {
	// Digest returns the digest of the image's manifest, "sha256:…". It builds
	// the image at the first call, and only then; it is asked by plan too.
	Digest(ctx context.Context) (string, error)
	// Push uploads the image to a repository, such as
	// "111122223333.dkr.ecr.eu-west-1.amazonaws.com/book/app". It takes as long as bytes go
	// out. Progress is called from time to time until it returns, with the bytes that are
	// there and those of the whole image.
	Push(ctx context.Context, repository string, login RegistryLogin, progress func(done, total int64)) error
}

// RegistryLogin opens a registry for some hours.
type RegistryLogin struct {
	Username string
	Password string
}

// String hides the password from whatever prints a login.
func (l RegistryLogin) String() string { return l.Username + ":***" }

// Image is the image that tasks run: one built from source and kept in the
// stack's repository, or a ready one that is used as it is. Its id is the
// reference by which tasks pull it. It goes with its repository.
type Image struct {
	graph.NodeOf[*liveImage]
	identity
	ecr        *ecr.Client
	repository *Repository
	served     servedImages
	source     ImageSource // nil: there is nothing to build
	ready      string      // reference of an image that is there; "" is none
}

// liveImage is an image as far as others ask about it.
type liveImage struct {
	pushed time.Time // zero for one that is not in the stack's repository
	kept   bool      // it is marked as one that served, or not in the stack's repository
}

func newImage(i identity, client *ecr.Client, repository *Repository, served servedImages, source ImageSource, ready string) *Image {
	m := &Image{identity: i, ecr: client, repository: repository, served: served, source: source, ready: ready}
	m.NodeOf = graph.Of(m, "image", 20*time.Minute, repository)
	return m
}

// Read asks the repository for the image by its digest. Without a repository it
// answers without building, so that a new stack need not wait for the compiler.
func (m *Image) Read(ctx context.Context) (*liveImage, graph.State, error) {
	ref := m.ready
	if m.source != nil {
		uri := m.repository.URI()
		if uri == "" {
			return nil, absent, nil
		}
		digest, err := m.source.Digest(ctx)
		if err != nil {
			return nil, graph.State{}, err // it says that it built
		}
		ref = uri + "@" + digest
	}
	if ref == "" {
		// Nothing runs and nothing is to be built, as status looks at a stack that
		// an up was cut off at: what that pushed is the stack's image.
		var err error
		if ref, err = m.newest(ctx); ref == "" || err != nil {
			return nil, absent, err
		}
	}
	digest, own := m.inRepository(ref)
	st := graph.State{Phase: graph.Ready, ID: ref, Owner: m.stack}
	if !own {
		return &liveImage{kept: true}, st, nil // in a registry that is not ours to ask
	}
	detail, err := m.describe(ctx, digest)
	if detail == nil || err != nil {
		// The reference is known before the push, so that plan can name it.
		return nil, graph.State{Phase: graph.Absent, ID: ref}, err
	}
	return &liveImage{pushed: aws.ToTime(detail.ImagePushedAt), kept: slices.Contains(detail.ImageTags, servedTag(digest))}, st, nil
}

// Wanted implements graph.Shape.
func (m *Image) Wanted(live *liveImage) *liveImage { return live }

// Attributes implements graph.Shape. What an image is, its digest says.
func (m *Image) Attributes() graph.Attributes[*liveImage] { return nil }

// kept reports whether the image need not be marked as one that served any more.
func (m *Image) kept() bool {
	live := m.Last()
	return live != nil && live.kept
}

// describe returns an image of the stack's repository; nil for one that is not
// there.
func (m *Image) describe(ctx context.Context, digest string) (*types.ImageDetail, error) {
	out, err := m.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{
		RepositoryName: aws.String(m.repository.repositoryName()), ImageIds: []types.ImageIdentifier{{ImageDigest: &digest}},
	})
	if IsCode(err, "ImageNotFoundException", "RepositoryNotFoundException") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe image %s: %w", digest, err)
	}
	for _, d := range out.ImageDetails {
		return &d, nil
	}
	return nil, nil
}

// keep marks the image as one that serves.
func (m *Image) keep(ctx context.Context) error {
	digest, own := m.inRepository(m.ID())
	if own {
		if err := m.served.keep(ctx, digest, m.repository.created); err != nil {
			return err
		}
	}
	live := liveImage{kept: true}
	if last := m.Last(); last != nil {
		live.pushed = last.pushed
	}
	m.Learn(&live)
	return nil
}

// newest is the reference of the image that was pushed last into the stack's
// repository, or "".
func (m *Image) newest(ctx context.Context) (string, error) {
	uri := m.repository.URI()
	if uri == "" {
		return "", nil
	}
	images, err := m.served.all(ctx)
	if err != nil {
		return "", err
	}
	var newest types.ImageDetail
	for _, d := range images {
		if newest.ImageDigest == nil || aws.ToTime(d.ImagePushedAt).After(aws.ToTime(newest.ImagePushedAt)) {
			newest = d
		}
	}
	if newest.ImageDigest == nil {
		return "", nil
	}
	return uri + "@" + *newest.ImageDigest, nil
}

// inRepository returns the digest of a reference into the stack's repository.
func (m *Image) inRepository(ref string) (digest string, ok bool) {
	uri := m.repository.URI()
	if uri == "" {
		return "", false
	}
	return strings.CutPrefix(ref, uri+"@")
}

// Interruptible implements graph.Interruptible: a repeated push sends only the layers that
// are missing, and the same image again is no change.
func (m *Image) Interruptible() {}

// pushed describes a push under way.
func pushed(done, total int64) string {
	megabytes := func(n int64) int64 { return (n + 999_999) / 1_000_000 }
	return fmt.Sprintf("pushed %d of %d MB", megabytes(done), megabytes(total))
}

// Create pushes the image.
func (m *Image) Create(ctx context.Context) (string, error) {
	if m.source == nil {
		if m.ready == "" {
			return "", hint.With(errors.New("there is no image to run"), "%s builds one", hint.Command("up", "--image", "build"))
		}
		return "", hint.With(fmt.Errorf("image %s is no longer in the repository", m.ready), "%s builds one again", hint.Command("up", "--image", "build"))
	}
	digest, err := m.source.Digest(ctx)
	if err != nil {
		return "", err
	}
	login, err := m.login(ctx)
	if err != nil {
		return "", err
	}
	// A push may be what removes another image.
	if !m.repository.created {
		if err := m.served.keepServing(ctx); err != nil {
			return "", err
		}
	}
	progress := func(done, total int64) { graph.Advance(ctx, done, pushed(done, total)) }
	if err := m.source.Push(ctx, m.repository.URI(), login, progress); err != nil {
		return "", fmt.Errorf("push %s to %s: %w", digest, m.repository.URI(), err)
	}
	if m.repository.created {
		m.Answer(&liveImage{pushed: time.Now()}, graph.State{Phase: graph.Ready, Owner: m.stack})
	}
	return m.repository.URI() + "@" + digest, nil
}

func (m *Image) login(ctx context.Context) (RegistryLogin, error) { return LogIn(ctx, m.ecr) }

// LogIn gives a login for the registries of ECR in the client's region, for as far
// as the caller may use them.
func LogIn(ctx context.Context, client *ecr.Client) (RegistryLogin, error) {
	out, err := client.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return RegistryLogin{}, fmt.Errorf("log in to the registry: %w", err)
	}
	for _, a := range out.AuthorizationData {
		// The token is base64 of "AWS:password":
		// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html
		text, err := base64.StdEncoding.DecodeString(aws.ToString(a.AuthorizationToken))
		if user, password, ok := strings.Cut(string(text), ":"); err == nil && ok {
			return RegistryLogin{Username: user, Password: password}, nil
		}
	}
	return RegistryLogin{}, errors.New("log in to the registry: ECR gave no usable token")
}
