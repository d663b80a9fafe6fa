// Package registry is the OCI registry behind the local cloud's ECR.
//
// Blobs are served by go-containerregistry; manifests are kept here, on disk, so
// that they survive a restart and follow ECR's rules: a repository has to exist
// before anything is pushed to it, and a tag may be immutable.
package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	upstream "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/bookctl/bookctl/internal/localcloud/atomicfile"
	"github.com/bookctl/bookctl/internal/pattern"
)

// maxManifest is ECR's limit for a manifest
// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html).
const maxManifest = 4 << 20

// Image is a manifest in a repository.
type Image struct {
	Digest    string    `json:"digest"`
	MediaType string    `json:"mediaType"`
	Tags      []string  `json:"tags,omitempty"`
	Pushed    time.Time `json:"pushed"`
	// Manifest is the exact bytes that Digest is of.
	Manifest []byte `json:"manifest"`
}

// Size is the number of bytes of the image's layers and configuration, or 0 for
// an index.
func (i Image) Size() int64 {
	manifest, err := v1.ParseManifest(bytes.NewReader(i.Manifest))
	if err != nil {
		return 0
	}
	size := manifest.Config.Size
	for _, layer := range manifest.Layers {
		size += layer.Size
	}
	return size
}

// Rules are asked at each push and pull.
type Rules interface {
	// Repository reports whether a repository exists and which of its tags may not
	// be put again.
	Repository(name string) (exists bool, immutable func(tag string) bool)
	// Pushed is called for an image that was pushed, before the push is answered.
	Pushed(name string)
}

// Registry is an http.Handler for /v2/.
type Registry struct {
	dir   string
	rules Rules
	blobs http.Handler

	mu     sync.Mutex
	images map[string][]*Image // by repository, oldest first
}

var (
	// ErrImmutable refuses a push to a tag that is there and immutable, also one of
	// the same image (https://github.com/aws/containers-roadmap/issues/2179).
	ErrImmutable = errors.New("tag invalid: the image tag already exists in the repository and cannot be overwritten because the tag is immutable")
	// ErrSame reports that an image exists already, with its tag.
	ErrSame = errors.New("the image exists already")
	// ErrIncomplete is wrapped by the error of a manifest that refers to what is
	// not there.
	ErrIncomplete = errors.New("is missing")
)

// NewImage is an image of now, with the tag unless that is empty.
func NewImage(manifest []byte, mediaType, tag string) (Image, error) {
	sum, _, err := v1.SHA256(bytes.NewReader(manifest))
	if err != nil {
		return Image{}, err
	}
	if mediaType == "" {
		var says struct {
			MediaType string `json:"mediaType"`
		}
		if err := json.Unmarshal(manifest, &says); err != nil {
			return Image{}, err
		}
		mediaType = says.MediaType
	}
	image := Image{Digest: sum.String(), MediaType: mediaType, Pushed: time.Now().UTC(), Manifest: manifest}
	if tag != "" {
		image.Tags = []string{tag}
	}
	return image, nil
}

// Referenced are the digests that the indexes among images refer to.
func Referenced(images []Image) map[string]bool {
	out := map[string]bool{}
	for _, image := range images {
		if !types.MediaType(image.MediaType).IsIndex() {
			continue
		}
		index, err := v1.ParseIndexManifest(bytes.NewReader(image.Manifest))
		if err != nil {
			continue // checked when it was put
		}
		for _, part := range index.Manifests {
			out[part.Digest.String()] = true
		}
	}
	return out
}

// Put puts an image, or its tag on the one that is there, whose time stays
// (https://github.com/aws/containers-roadmap/issues/2746). The errors are
// ErrImmutable, ErrSame and ErrIncomplete.
func (r *Registry) Put(repository string, image Image, immutable func(tag string) bool) error {
	if err := r.complete(repository, image); err != nil {
		return err
	}
	return r.put(repository, image, immutable)
}

// Open loads the images of dir.
func Open(dir string, rules Rules) (*Registry, error) {
	blobs := filepath.Join(dir, "blobs")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return nil, fmt.Errorf("open the registry: %w", err)
	}
	// Pushes that a dead cloud left half done.
	if left, err := filepath.Glob(filepath.Join(blobs, "upload-*")); err == nil {
		for _, path := range left {
			_ = os.Remove(path) // costs only space
		}
	}
	r := &Registry{
		dir: dir, rules: rules, images: map[string][]*Image{},
		blobs: upstream.New(
			upstream.WithBlobHandler(upstream.NewDiskBlobHandler(blobs)),
			upstream.Logger(log.New(io.Discard, "", 0)),
		),
	}
	text, err := os.ReadFile(r.index())
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &r.images)
	}
	if err != nil {
		return nil, fmt.Errorf("open the registry: %w", err)
	}
	return r, nil
}

func (r *Registry) index() string { return filepath.Join(r.dir, "manifests.json") }

// save writes the index. The caller holds the lock.
func (r *Registry) save() error {
	text, err := json.Marshal(r.images)
	if err != nil {
		return err
	}
	return atomicfile.Write(r.index(), text, 0o644)
}

// Images lists a repository's images, oldest first.
func (r *Registry) Images(repository string) []Image {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Image, len(r.images[repository]))
	for i, image := range r.images[repository] {
		list[i] = *image
		list[i].Tags = slices.Clone(image.Tags)
	}
	return list
}

// Untag takes a tag from its image, which goes with its last tag as in ECR.
// It says whether there was such a tag.
func (r *Registry) Untag(repository, tag string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, image := range r.images[repository] {
		i := slices.Index(image.Tags, tag)
		if i < 0 {
			continue
		}
		image.Tags = slices.Delete(image.Tags, i, i+1)
		if len(image.Tags) == 0 {
			r.forget(repository, image.Digest)
		}
		return true, r.sweep()
	}
	return false, nil
}

// Delete deletes an image and says whether it was there.
func (r *Registry) Delete(repository, digest string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := r.forget(repository, digest)
	return found, r.sweep()
}

// DeleteRepository deletes all images of a repository.
func (r *Registry) DeleteRepository(repository string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.images, repository)
	return r.sweep()
}

func (r *Registry) forget(repository, digest string) bool {
	before := r.images[repository]
	after := slices.DeleteFunc(before, func(i *Image) bool { return i.Digest == digest })
	found := len(after) < len(before)
	r.images[repository] = after
	if len(after) == 0 {
		delete(r.images, repository)
	}
	return found
}

// sweepAge spares the blobs of a push that has not sent its manifest yet.
const sweepAge = 10 * time.Minute

// sweep saves the index and removes the blobs that no image refers to. The
// caller holds the lock.
func (r *Registry) sweep() error {
	if err := r.save(); err != nil {
		return fmt.Errorf("save the registry: %w", err)
	}
	used := map[string]bool{}
	for _, images := range r.images {
		for _, image := range images {
			manifest, err := v1.ParseManifest(bytes.NewReader(image.Manifest))
			if err != nil {
				continue // an index has no blobs of its own
			}
			used[manifest.Config.Digest.Hex] = true
			for _, layer := range manifest.Layers {
				used[layer.Digest.Hex] = true
			}
		}
	}
	blobs, err := filepath.Glob(filepath.Join(r.dir, "blobs", "sha256", "*"))
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	for _, path := range blobs {
		info, err := os.Stat(path)
		if err != nil || used[filepath.Base(path)] || (len(r.images) > 0 && time.Since(info.ModTime()) < sweepAge) {
			continue
		}
		_ = os.Remove(path) // costs only space
	}
	return nil
}

// routes of the distribution specification that name a repository
// (https://github.com/opencontainers/distribution-spec/blob/main/spec.md#endpoints).
var route = pattern.New(`^/v2/(.+)/(manifests|tags|blobs|referrers)(?:/(.*))?$`)

// ServeHTTP serves /v2/.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	match := route.FindStringSubmatch(req.URL.Path)
	if match == nil {
		if req.URL.Path != "/v2/" && req.URL.Path != "/v2" {
			refuse(w, http.StatusNotFound, "UNSUPPORTED", "The operation is unsupported.")
			return
		}
		w.WriteHeader(http.StatusOK)
		return
	}
	repository, kind, reference := match[1], match[2], match[3]
	exists, immutable := r.rules.Repository(repository)
	if !exists {
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN",
			fmt.Sprintf("The repository with name '%s' does not exist in the registry with id '000000000000'", repository))
		return
	}
	switch {
	case kind == "blobs":
		r.blobs.ServeHTTP(w, req)
	case kind == "tags" && req.Method == http.MethodGet:
		r.listTags(w, req, repository)
	case kind == "manifests" && (req.Method == http.MethodGet || req.Method == http.MethodHead):
		r.getManifest(w, repository, reference)
	case kind == "manifests" && req.Method == http.MethodPut:
		r.putManifest(w, req, repository, reference, immutable)
	default: // images are deleted through ECR's own API
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "The operation is unsupported.")
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	type detail struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The client may have gone.
	_ = json.NewEncoder(w).Encode(map[string][]detail{"errors": {{code, message}}})
}

func (r *Registry) getManifest(w http.ResponseWriter, repository, reference string) {
	for _, image := range r.Images(repository) {
		if image.Digest != reference && !slices.Contains(image.Tags, reference) {
			continue
		}
		w.Header().Set("Docker-Content-Digest", image.Digest)
		w.Header().Set("Content-Type", image.MediaType)
		w.Header().Set("Content-Length", strconv.Itoa(len(image.Manifest)))
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(image.Manifest) // nothing is sent to HEAD; the client may have gone
		return
	}
	refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "Requested image not found")
}

var tagPattern = pattern.New(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)

func (r *Registry) putManifest(w http.ResponseWriter, req *http.Request, repository, reference string, immutable func(tag string) bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxManifest))
	if err != nil {
		refuse(w, http.StatusBadRequest, "MANIFEST_INVALID", err.Error())
		return
	}
	tag := reference
	if strings.Contains(reference, ":") {
		tag = ""
	}
	image, err := NewImage(body, req.Header.Get("Content-Type"), tag)
	if err != nil {
		refuse(w, http.StatusBadRequest, "MANIFEST_INVALID", err.Error())
		return
	}
	switch {
	case tag == "" && reference != image.Digest:
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "The provided digest does not match the uploaded content.")
		return
	case tag != "" && !tagPattern.MatchString(tag):
		refuse(w, http.StatusBadRequest, "TAG_INVALID", "The manifest tag is not valid.")
		return
	}
	switch err := r.Put(repository, image, immutable); {
	case errors.Is(err, ErrIncomplete):
		refuse(w, http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN", err.Error())
	case errors.Is(err, ErrImmutable):
		refuse(w, http.StatusBadRequest, "TAG_INVALID", fmt.Sprintf(
			"The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.", reference, repository))
	case err != nil && !errors.Is(err, ErrSame):
		refuse(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
	default:
		r.rules.Pushed(repository)
		w.Header().Set("Docker-Content-Digest", image.Digest)
		w.Header().Set("Location", "/v2/"+repository+"/manifests/"+url.PathEscape(image.Digest))
		w.WriteHeader(http.StatusCreated)
	}
}

// complete checks that what a manifest refers to is there.
func (r *Registry) complete(repository string, image Image) error {
	if types.MediaType(image.MediaType).IsIndex() {
		index, err := v1.ParseIndexManifest(bytes.NewReader(image.Manifest))
		if err != nil {
			return err
		}
		have := r.Images(repository)
		for _, part := range index.Manifests {
			if !slices.ContainsFunc(have, func(i Image) bool { return i.Digest == part.Digest.String() }) {
				return fmt.Errorf("manifest %s %w", part.Digest, ErrIncomplete)
			}
		}
		return nil
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(image.Manifest))
	if err != nil {
		return err
	}
	for _, part := range append([]v1.Descriptor{manifest.Config}, manifest.Layers...) {
		if part.Digest.Algorithm != "sha256" || len(part.URLs) > 0 {
			continue // layers that other hosts serve are not pushed
		}
		if _, err := os.Stat(filepath.Join(r.dir, "blobs", "sha256", part.Digest.Hex)); err != nil {
			return fmt.Errorf("blob %s %w", part.Digest, ErrIncomplete)
		}
	}
	return nil
}

func (r *Registry) put(repository string, image Image, immutable func(tag string) bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var same *Image
	for _, have := range r.images[repository] {
		if have.Digest == image.Digest {
			same = have
		}
		for _, tag := range image.Tags {
			i := slices.Index(have.Tags, tag)
			switch {
			case i < 0:
			case immutable(tag):
				return ErrImmutable
			case have != same:
				have.Tags = slices.Delete(have.Tags, i, i+1)
			}
		}
	}
	if same == nil {
		r.images[repository] = append(r.images[repository], &image)
		return r.save()
	}
	news := false
	for _, tag := range image.Tags {
		if !slices.Contains(same.Tags, tag) {
			same.Tags = append(same.Tags, tag)
			news = true
		}
	}
	if !news {
		return ErrSame
	}
	return r.save()
}

func (r *Registry) listTags(w http.ResponseWriter, req *http.Request, repository string) {
	list := struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{Name: repository, Tags: []string{}}
	for _, image := range r.Images(repository) {
		list.Tags = append(list.Tags, image.Tags...)
	}
	slices.Sort(list.Tags)
	if last := req.URL.Query().Get("last"); last != "" {
		list.Tags = slices.DeleteFunc(list.Tags, func(tag string) bool { return tag <= last })
	}
	if n, err := strconv.Atoi(req.URL.Query().Get("n")); err == nil && n >= 0 && n < len(list.Tags) {
		list.Tags = list.Tags[:n]
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list) // the client may have gone
}
