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

// Push brings an image to a repository, such as ECR's repositoryUri. An image
// that exists already costs one read. progress, which may be nil, is called
// with the bytes that are there and their sum; not after Push returned.
// Transient failures are tried three times in all.
func Push(ctx context.Context, image *Image, repository string, auth authn.Authenticator, progress func(done, total int64)) (Pushed, error) {
	repo, err := name.NewRepository(repository)
	if err != nil {
		return Pushed{}, fmt.Errorf("push the image: %w", err)
	}
	hash, err := v1.NewHash(image.Digest)
	if err != nil {
		return Pushed{}, fmt.Errorf("push the image: %w", err)
	}
	pinned := repo.Digest(image.Digest)
	pushed := Pushed{Reference: pinned.String(), Tag: "sha-" + hash.Hex[:12]}
	there, err := exists(ctx, pinned, auth)
	if err != nil {
		return Pushed{}, registryError("look for the image in", repository, err)
	}
	if there {
		return pushed, nil
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuth(orAnonymous(auth))}
	wait := func() {}
	if progress != nil {
		updates := make(chan v1.Update, 16)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for u := range updates {
				if u.Error == nil {
					progress(u.Complete, u.Total)
				}
			}
		}()
		options = append(options, remote.WithProgress(updates))
		wait = func() { <-done } // the library closes the channel
	}
	err = remote.Write(repo.Tag(pushed.Tag), image.OCI, options...)
	wait()
	if err != nil {
		// Someone else may have pushed the same meanwhile, and an immutable tag
		// is refused even if it would not move
		// (https://github.com/aws/containers-roadmap/issues/862).
		if there, again := exists(ctx, pinned, auth); again == nil && there {
			return pushed, nil
		}
		return Pushed{}, registryError("push the image to", repository, err)
	}
	pushed.Sent = true
	return pushed, nil
}

// exists asks a registry for a manifest.
func exists(ctx context.Context, ref name.Digest, auth authn.Authenticator) (bool, error) {
	_, err := remote.Head(ref, remote.WithContext(ctx), remote.WithAuth(orAnonymous(auth)))
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
