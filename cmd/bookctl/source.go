package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/bookctl/bookctl/internal/image"
	"github.com/bookctl/bookctl/internal/provision"
)

// source is the image of bookapi, built from source when it is first asked for.
type source struct {
	build func() (*image.Image, error)
}

// newSource finds the source and begins to build in the background: the
// compiler is done long before the database is.
func newSource(ctx context.Context, dir, arch string) (*source, error) {
	if dir == "" {
		dir = "."
	}
	root, err := image.FindSource(dir)
	if errors.Is(err, image.ErrNoSource) {
		return nil, advised{usageError{err}, "run bookctl in a clone of its repository, name one with --source, or run a ready image with --image"}
	}
	if err != nil {
		return nil, err
	}
	cache := ""
	if user, err := os.UserCacheDir(); err == nil {
		cache = filepath.Join(user, "bookctl")
	}
	s := &source{build: sync.OnceValues(func() (*image.Image, error) {
		return image.Build(ctx, image.Source{Dir: root, Arch: arch, Cache: cache})
	})}
	go func() { _, _ = s.build() }() // whoever asks gets the error
	return s, nil
}

// Digest builds the image, if that is still to do.
func (s *source) Digest(context.Context) (string, error) {
	built, err := s.build()
	if errors.Is(err, image.ErrNoGo) {
		return "", advised{err, "install Go from https://go.dev/dl, or run a ready image with --image"}
	}
	if err != nil {
		return "", err
	}
	return built.Digest, nil
}

// Push brings the image to a repository.
func (s *source) Push(ctx context.Context, repository string, login provision.RegistryLogin) error {
	built, err := s.build()
	if err != nil {
		return err
	}
	_, err = image.Push(ctx, built, repository, authn.FromConfig(authn.AuthConfig{Username: login.Username, Password: login.Password}), nil)
	return err
}

// checkImage refuses a ready image that Fargate could not run as it is asked to.
func checkImage(ctx context.Context, ref, arch string) error {
	if _, err := image.ParseReference(ref); err != nil {
		return usageError{err}
	}
	info, err := image.Inspect(ctx, ref, nil)
	if err != nil {
		return fmt.Errorf("look at image %s: %w", ref, err)
	}
	for _, a := range info.Architectures {
		if a == arch {
			return nil
		}
	}
	return advised{
		usageError{fmt.Errorf("image %s is for %v, and the tasks are %s", ref, info.Architectures, arch)},
		"choose --arch to fit the image, or an image that fits",
	}
}
