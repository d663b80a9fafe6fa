package provision

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/bookctl/bookctl/internal/advice"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// ImageSource builds the image of bookapi and can push it. Package image has
// the one that compiles it from source.
type ImageSource interface {
	// Digest returns the digest of the image's manifest, "sha256:…". It builds
	// the image at the first call, and only then; it is asked by plan too.
	Digest(ctx context.Context) (string, error)
	// Push uploads the image to a repository, such as
	// "111122223333.dkr.ecr.eu-west-1.amazonaws.com/book/bookapi".
	Push(ctx context.Context, repository string, login RegistryLogin) error
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
	graph.Node
	identity
	ecr        *ecr.Client
	repository *Repository
	source     ImageSource // nil: there is nothing to build
	ready      string      // reference of an image that is there; "" is none
	pushed     atomic.Pointer[time.Time]
}

func newImage(i identity, client *ecr.Client, repository *Repository, source ImageSource, ready string) *Image {
	return &Image{
		Node: graph.Named("image", 20*time.Minute, repository), identity: i, ecr: client,
		repository: repository, source: source, ready: ready,
	}
}

// Find asks the repository for the image by its digest. Without a repository it
// answers without building, so that a new stack need not wait for the compiler.
func (m *Image) Find(ctx context.Context) (graph.State, error) {
	ref := m.ready
	if m.source != nil {
		uri := m.repository.URI()
		if uri == "" {
			return absent, nil
		}
		digest, err := m.source.Digest(ctx)
		if err != nil {
			return graph.State{}, err // it says that it built
		}
		ref = uri + "@" + digest
	}
	if ref == "" {
		// Nothing runs and nothing is to be built, as status looks at a stack that
		// an up was cut off at: what that pushed is the stack's image.
		var err error
		if ref, err = m.newest(ctx); ref == "" || err != nil {
			return absent, err
		}
	}
	digest, own := m.inRepository(ref)
	st := graph.State{Phase: graph.Ready, ID: ref, Owner: m.stack}
	if !own {
		return st, nil // in a registry that is not ours to ask
	}
	at, err := m.pushedAt(ctx, digest)
	if at == nil || err != nil {
		// The reference is known before the push, so that plan can name it.
		return graph.State{Phase: graph.Absent, ID: ref}, err
	}
	m.pushed.Store(at)
	return st, nil
}

// pushedAt is when an image came into the stack's repository; nil for one that is
// not there.
func (m *Image) pushedAt(ctx context.Context, digest string) (*time.Time, error) {
	out, err := m.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{
		RepositoryName: aws.String(m.repository.repositoryName()), ImageIds: []types.ImageIdentifier{{ImageDigest: &digest}},
	})
	if isCode(err, "ImageNotFoundException", "RepositoryNotFoundException") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe image %s: %w", digest, err)
	}
	at := &time.Time{}
	for _, d := range out.ImageDetails {
		if d.ImagePushedAt != nil {
			at = d.ImagePushedAt
		}
	}
	return at, nil
}

// newest is the reference of the image that was pushed last into the stack's
// repository, or "".
func (m *Image) newest(ctx context.Context) (string, error) {
	uri := m.repository.URI()
	if uri == "" {
		return "", nil
	}
	var newest types.ImageDetail
	pages := ecr.NewDescribeImagesPaginator(m.ecr, &ecr.DescribeImagesInput{RepositoryName: aws.String(m.repository.repositoryName())})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if isCode(err, "RepositoryNotFoundException") {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("describe the images of %s: %w", uri, err)
		}
		for _, d := range page.ImageDetails {
			if newest.ImageDigest == nil || aws.ToTime(d.ImagePushedAt).After(aws.ToTime(newest.ImagePushedAt)) {
				newest = d
			}
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

// Create pushes the image. A repeated push sends only the layers that are
// missing, and the same image again is no change.
func (m *Image) Create(ctx context.Context) (string, error) {
	if m.source == nil {
		if m.ready == "" {
			return "", advice.With(errors.New("there is no image to run"), "'bookctl up --image build' builds one")
		}
		return "", advice.With(fmt.Errorf("image %s is no longer in the repository", m.ready), "'bookctl up --image build' builds one anew")
	}
	digest, err := m.source.Digest(ctx)
	if err != nil {
		return "", err
	}
	login, err := m.login(ctx)
	if err != nil {
		return "", err
	}
	if err := m.source.Push(ctx, m.repository.URI(), login); err != nil {
		return "", fmt.Errorf("push %s to %s: %w", digest, m.repository.URI(), err)
	}
	return m.repository.URI() + "@" + digest, nil
}

func (m *Image) login(ctx context.Context) (RegistryLogin, error) {
	out, err := m.ecr.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
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
