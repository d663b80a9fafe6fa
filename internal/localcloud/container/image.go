package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Image is an image that the engine has.
type Image struct {
	// Name is the engine's.
	Name   string
	Config v1.Config
	engine *Engine
}

// repository is where a cloud's images are in its engine.
func repository(id string) string { return "localhost/bookctl-" + id }

// Load gives an image to the engine, once.
func (e *Engine) Load(ctx context.Context, from v1.Image) (*Image, error) {
	a, err := e.api(ctx)
	if err != nil {
		return nil, err
	}
	digest, err := from.Digest()
	if err != nil {
		return nil, err
	}
	config, err := from.ConfigFile()
	if err != nil {
		return nil, err
	}
	image := &Image{Name: repository(e.id) + ":" + digest.Hex, Config: config.Config, engine: e}
	unlock := e.loading(image.Name)
	defer unlock()
	err = a.call(ctx, http.MethodGet, "/images/"+image.Name+"/json", nil, nil, nil)
	if err == nil || !isStatus(err, http.StatusNotFound) {
		return image, err
	}
	tag, err := name.NewTag(image.Name)
	if err != nil {
		return nil, err
	}
	read, write := io.Pipe()
	go func() { _ = write.CloseWithError(tarball.Write(tag, from, write)) }() // the reader gets the error
	resp, err := a.open(ctx, http.MethodPost, "/images/load", url.Values{"quiet": {"true"}}, io.Reader(read))
	_ = read.Close() // ends the writer if the engine took less
	if err != nil {
		return nil, fmt.Errorf("load the image into %s: %w", e.place.kind, err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	said, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("load the image into %s: %w", e.place.kind, err)
	}
	// The status was sent before the work was done.
	if err := a.call(ctx, http.MethodGet, "/images/"+image.Name+"/json", nil, nil, nil); err != nil {
		return nil, fmt.Errorf("load the image into %s: %s", e.place.kind, strings.TrimSpace(string(said)))
	}
	return image, nil
}

// removeImages removes a cloud's images.
func removeImages(ctx context.Context, a *api, id string) error {
	var images []struct{ RepoTags []string }
	if err := a.call(ctx, http.MethodGet, "/images/json", filter("reference", repository(id)), nil, &images); err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	var errs []error
	for _, image := range images {
		for _, tag := range image.RepoTags {
			if !strings.HasPrefix(tag, repository(id)+":") {
				continue // another cloud's name for the same image
			}
			err := a.call(ctx, http.MethodDelete, "/images/"+tag, url.Values{"force": {"false"}}, nil, nil)
			if err != nil && !isStatus(err, http.StatusNotFound) {
				errs = append(errs, fmt.Errorf("remove image %s: %w", tag, err))
			}
		}
	}
	return errors.Join(errs...)
}
