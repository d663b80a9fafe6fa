package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/bookctl/bookctl/internal/hint"
)

// Pushed is an image in a repository.
type Pushed struct {
	// Reference pins the image: repository@digest.
	Reference string
	// Tag is what it is listed under: sha- and the digest's first 12 digits.
	Tag string
	// Sent reports whether anything was sent; an image that was there already is not.
	Sent bool
}

// Upload is how an image is pushed.
type Upload struct {
	// Auth is the login of the registry; nil is for none.
	Auth authn.Authenticator
	// Progress, which may be nil, is called every few seconds until Push returns, and once all is
	// there, with the bytes that are and those of all layers.
	Progress func(done, total int64)
	// Transport carries the requests; nil means over the network.
	Transport http.RoundTripper
}

// Push brings an image to a repository, such as ECR's repositoryUri. An image
// that exists already costs one read. It takes as long as bytes go out, and fails when
// none has for some minutes. Transient failures are tried three times in all.
func (u Upload) Push(ctx context.Context, image *Image, repository string) (Pushed, error) {
	repo, err := name.NewRepository(repository)
	if err != nil {
		return Pushed{}, fmt.Errorf("push the image: %w", err)
	}
	hash, err := v1.NewHash(image.Digest)
	if err != nil {
		return Pushed{}, fmt.Errorf("push the image: %w", err)
	}
	under, err := newPush(image.OCI, u.Transport)
	if err != nil {
		return Pushed{}, fmt.Errorf("push the image: %w", err)
	}
	ctx, end := under.watch(ctx, u.Progress)
	defer end()
	pinned := repo.Digest(image.Digest)
	pushed := Pushed{Reference: pinned.String(), Tag: "sha-" + hash.Hex[:12]}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuth(orAnonymous(u.Auth)), remote.WithTransport(under)}
	there, err := exists(pinned, options)
	if err != nil {
		return Pushed{}, registryError("look for the image in", repository, stalled(ctx, err))
	}
	if there {
		return pushed, nil
	}
	if err := remote.Write(repo.Tag(pushed.Tag), under, options...); err != nil {
		// Someone else may have pushed the same meanwhile, and an immutable tag
		// is refused even if it would not move
		// (https://github.com/aws/containers-roadmap/issues/862).
		if there, again := exists(pinned, options); again == nil && there {
			return pushed, nil
		}
		return Pushed{}, registryError("push the image to", repository, stalled(ctx, err))
	}
	end()
	if _, total, _ := under.done(); u.Progress != nil {
		u.Progress(total, total)
	}
	pushed.Sent = true
	return pushed, nil
}

// exists asks a registry for a manifest.
func exists(ref name.Digest, options []remote.Option) (bool, error) {
	_, err := remote.Head(ref, options...)
	if isStatus(err, http.StatusNotFound) {
		return false, nil
	}
	return err == nil, err
}

func orAnonymous(auth authn.Authenticator) authn.Authenticator {
	if auth == nil {
		return authn.Anonymous
	}
	return auth
}

func isStatus(err error, codes ...int) bool {
	var refused *transport.Error
	return errors.As(err, &refused) && slices.Contains(codes, refused.StatusCode)
}

// registryError adds the next step where the answer suggests one.
func registryError(doing, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case isStatus(err, http.StatusUnauthorized, http.StatusForbidden):
		return fmt.Errorf("%s %s: the registry refused the credentials, or they may not do this: %w", doing, what, err)
	case isStatus(err, http.StatusNotFound):
		return hint.With(fmt.Errorf("%s %s: there is no such image or repository: %w", doing, what, err), "check its name and tag")
	default:
		return fmt.Errorf("%s %s: %w", doing, what, err)
	}
}
