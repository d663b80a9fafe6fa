package image

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/pattern"
)

// Info is a ready image.
type Info struct {
	// Reference pins the image: repository@digest.
	Reference string
	// Digest is that of the manifest or, for an image of several platforms, of
	// their index.
	Digest string
	// Architectures are those of Linux that it is for, as OCI names them: amd64,
	// arm64. None means that it does not say, or that its registry could not be
	// asked.
	Architectures []string

	config func(arch string) (*v1.ConfigFile, error)
}

// Config is the config of the image for an architecture; nil where its registry could
// not be asked, or the image is not for it.
func (i Info) Config(arch string) (*v1.ConfigFile, error) {
	if i.config == nil {
		return nil, nil
	}
	return i.config(arch)
}

// Lookup is how a ready image is looked up: as a task will pull it. A registry is
// asked without a login first, because tasks have none, unless TasksLogIn.
type Lookup struct {
	// ECR logs in to a registry of ECR, whose tasks log in by their execution role.
	// With nil, ECR is a registry like any other.
	ECR func(ctx context.Context, registry string) (authn.Authenticator, error)
	// Logins are those of this machine; nil means those of Docker and Podman, their
	// configuration and their credential helpers.
	Logins authn.Keychain
	// TasksLogIn reports whether tasks have a login for the image's registry.
	TasksLogIn bool
	// Note, which may be nil, is called with what it waits for.
	Note func(text string)
	// Timeout bounds the waits that a registry asks for; 0 means 5 minutes.
	Timeout time.Duration
}

// ParseReference checks a reference without asking its registry.
func ParseReference(ref string) (name.Reference, error) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return nil, fmt.Errorf("%q is not an image reference: want REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:DIGEST", ref)
	}
	return parsed, nil
}

// Inspect resolves a reference to a digest and reads what the image is for. Its
// error says that tasks could not pull the image, or that this is not known. An
// image that is named by its digest, in a registry that can't be asked from here,
// is taken as it is: tasks may get through.
func (l Lookup) Inspect(ctx context.Context, ref string) (Info, error) {
	parsed, err := ParseReference(ref)
	if err != nil {
		return Info{}, err
	}
	t := &throttled{inner: remote.DefaultTransport, note: l.Note, left: l.Timeout, registry: parsed.Context().RegistryStr()}
	if t.left == 0 {
		t.left = longestThrottle
	}
	got, err := l.get(ctx, parsed, remote.WithTransport(t), remote.WithRetryStatusCodes(retriedHere...))
	_, digested := parsed.(name.Digest)
	switch {
	case err == nil:
		return describe(ref, parsed, got)
	case isStatus(err, http.StatusTooManyRequests):
		return Info{}, hint.With(fmt.Errorf("read image %s: registry %s takes no more requests for now%s: %w", ref, t.registry, t.waitNote(), err),
			"run the same command again later")
	case digested && registryUnreachable(err):
		return Info{Reference: ref, Digest: parsed.Identifier()}, nil
	}
	return Info{}, err
}

// retriedHere are the answers after which the library tries again by itself: its
// own, but for 429, which it would not wait for long enough.
var retriedHere = []int{
	http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// errNotVerifiable is wrapped where a registry could be asked and did not let us look,
// though it may let tasks.
var errNotVerifiable = errors.New("it is not known whether tasks may pull it")

// registryUnreachable reports whether an error is none of the registry's own.
func registryUnreachable(err error) bool {
	var refused *transport.Error
	var nowhere net.Error
	return errors.Is(err, errNotVerifiable) || errors.As(err, &nowhere) && !errors.As(err, &refused)
}

// get asks as tasks will, and where that is refused, with this machine's login, to
// say why.
func (l Lookup) get(ctx context.Context, ref name.Reference, options ...remote.Option) (*remote.Descriptor, error) {
	options = append(options, remote.WithContext(ctx))
	registry := ref.Context().RegistryStr()
	with := func(auth authn.Authenticator) (*remote.Descriptor, error) {
		return remote.Get(ref, append(slices.Clone(options), remote.WithAuth(auth))...)
	}
	if l.ECR != nil && IsECR(registry) {
		return l.getECR(ctx, ref, with)
	}
	if l.TasksLogIn {
		auth, loginErr := l.login(ctx, ref)
		if auth != nil {
			got, err := with(auth)
			return got, registryError("read image", ref.Name(), err)
		}
		got, err := with(authn.Anonymous)
		if !isStatus(err, refusals...) {
			return got, registryError("read image", ref.Name(), err)
		}
		return nil, hint.With(fmt.Errorf("read image %s: this machine has no login for registry %s%s: %w", ref.Name(), registry, because(loginErr), errNotVerifiable),
			"log in, as by 'docker login %s', or name the image by its digest (…@sha256:…)", registry)
	}
	got, err := with(authn.Anonymous)
	if !isStatus(err, refusals...) {
		return got, registryError("read image", ref.Name(), err)
	}
	login := hint.New("give tasks a login with --registry-secret ARN, or use an image that needs none, such as one in ECR")
	auth, loginErr := l.login(ctx, ref)
	if auth == nil {
		if isStatus(err, http.StatusNotFound) {
			return nil, registryError("read image", ref.Name(), err)
		}
		return nil, hint.Add(fmt.Errorf("read image %s: registry %s asks for a login, and tasks have none%s: %w", ref.Name(), registry, because(loginErr), err), login)
	}
	if _, err = with(auth); err != nil {
		return nil, registryError("read image", ref.Name(), err)
	}
	return nil, hint.Add(fmt.Errorf("image %s can be read with this machine's login for %s, and not without: tasks have no login and could not pull it", ref.Name(), registry), login)
}

// refusals are the answers to those who should log in. Some registries hide what
// is private.
var refusals = []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound}

func because(err error) string {
	if err == nil {
		return ""
	}
	return " (" + err.Error() + ")"
}

func (l Lookup) getECR(ctx context.Context, ref name.Reference, with func(authn.Authenticator) (*remote.Descriptor, error)) (*remote.Descriptor, error) {
	auth, err := l.ECR(ctx, ref.Context().RegistryStr())
	if err != nil {
		err = fmt.Errorf("%w: %w", errNotVerifiable, err)
	} else {
		var got *remote.Descriptor
		if got, err = with(auth); err == nil {
			return got, nil
		}
	}
	if own, _ := l.login(ctx, ref); own != nil && !isStatus(err, http.StatusNotFound) {
		if got, ownErr := with(own); ownErr == nil {
			return got, nil
		}
	}
	if isStatus(err, http.StatusUnauthorized, http.StatusForbidden) {
		// The role of the tasks may do what these credentials may not.
		return nil, hint.With(fmt.Errorf("read image %s: the AWS credentials may not read this repository: %w: %w", ref.Name(), errNotVerifiable, err),
			"allow ecr:BatchGetImage and ecr:GetDownloadUrlForLayer on it (and ecr:BatchImportUpstreamImage, if it is a pull-through cache, whose first pull needs ecr:CreateRepository too), as %s does, or name the image by its digest (…@sha256:…)", hint.Command("policy", "--image", ref.Name()))
	}
	return nil, registryError("read image", ref.Name(), err)
}

// login is this machine's for the registry of an image, or nil. Its error never
// has what a credential helper said, which may be anything.
func (l Lookup) login(ctx context.Context, ref name.Reference) (authn.Authenticator, error) {
	keychain := l.Logins
	if keychain == nil {
		keychain = authn.DefaultKeychain
	}
	type answer struct {
		auth authn.Authenticator
		err  error
	}
	done := make(chan answer, 1)
	go func() { // a credential helper may wait for a person, and can't be stopped
		auth, err := authn.Resolve(ctx, keychain, ref.Context())
		done <- answer{auth, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case a := <-done:
		switch {
		case a.err != nil:
			what, _, _ := strings.Cut(a.err.Error(), ", out:")
			return nil, fmt.Errorf("Docker's login for it can't be read: %s", what) //nolint:staticcheck // a name
		case a.auth == authn.Anonymous:
			return nil, nil
		}
		return a.auth, nil
	}
}

// ecrHost is a private registry of ECR
// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html).
var ecrHost = pattern.New(`^[0-9]{12}\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.(?:com|com\.cn|eu)|on\.aws|on\.amazonwebservices\.(?:com\.cn|eu))$`)

// IsECR reports whether a registry is a private one of ECR.
func IsECR(registry string) bool { return ecrHost.MatchString(registry) }

// ECRRegion is the region of a registry of ECR, or "".
func ECRRegion(registry string) string {
	m := ecrHost.FindStringSubmatch(registry)
	if m == nil {
		return ""
	}
	return m[1]
}

// RegistryOf is the registry that a reference points into, or "".
func RegistryOf(ref string) string {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return ""
	}
	return parsed.Context().RegistryStr()
}

// describe reads what an image is for.
func describe(ref string, parsed name.Reference, got *remote.Descriptor) (Info, error) {
	info := Info{Reference: pin(parsed, got.Digest), Digest: got.Digest.String(), config: func(arch string) (*v1.ConfigFile, error) {
		config, err := configOf(got, arch)
		return config, registryError("read the config of image", ref, err)
	}}
	platforms, err := platforms(got)
	if err != nil {
		return Info{}, registryError("read image", ref, err)
	}
	var known, others []string
	for _, p := range platforms {
		switch {
		case p.OS == "linux":
			if !slices.Contains(info.Architectures, p.Architecture) {
				info.Architectures = append(info.Architectures, p.Architecture)
			}
			known = append(known, p.Architecture)
		case p.OS != "" && p.OS != "unknown":
			others = append(others, p.OS+"/"+p.Architecture)
		}
	}
	slices.Sort(info.Architectures)
	switch {
	case len(known) > 0 || len(platforms) == 0:
	case len(others) > 0:
		slices.Sort(others)
		return Info{}, hint.With(fmt.Errorf("image %s is for %s, and tasks run linux", ref, strings.Join(slices.Compact(others), ", ")), "give an image for linux/amd64 or linux/arm64")
	case got.MediaType.IsIndex() && !slices.ContainsFunc(platforms, func(p v1.Platform) bool { return p.OS == "" }):
		return Info{}, hint.With(fmt.Errorf("%s is an index of attestations alone (platform unknown/unknown), and has no image to run", ref),
			"push the image with its index, or name the image itself by its tag or digest")
	}
	return info, nil
}

// configOf reads the config of an image, or of that of an index which is for an
// architecture.
func configOf(got *remote.Descriptor, arch string) (*v1.ConfigFile, error) {
	if !got.MediaType.IsIndex() {
		image, err := got.Image()
		if err != nil {
			return nil, err
		}
		return image.ConfigFile()
	}
	index, parts, err := indexOf(got)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		if part.Platform == nil || part.Platform.OS != "linux" || part.Platform.Architecture != arch {
			continue
		}
		image, err := index.Image(part.Digest)
		if err != nil {
			return nil, err
		}
		return image.ConfigFile()
	}
	return nil, nil
}

// indexOf reads an index and what it lists.
func indexOf(got *remote.Descriptor) (v1.ImageIndex, []v1.Descriptor, error) {
	index, err := got.ImageIndex()
	if err != nil {
		return nil, nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, nil, err
	}
	return index, manifest.Manifests, nil
}

// platforms are those of an index' images, or of the image.
func platforms(got *remote.Descriptor) ([]v1.Platform, error) {
	var out []v1.Platform
	if !got.MediaType.IsIndex() {
		image, err := got.Image()
		if err != nil {
			return nil, err
		}
		manifest, err := image.Manifest()
		if err != nil {
			return nil, err
		}
		if !manifest.Config.MediaType.IsConfig() {
			return nil, hint.With(fmt.Errorf("it is not a container image but %s", manifest.Config.MediaType), "check its name and tag")
		}
		config, err := image.ConfigFile()
		if err != nil {
			return nil, err
		}
		return append(out, v1.Platform{OS: config.OS, Architecture: config.Architecture}), nil
	}
	_, parts, err := indexOf(got)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		switch {
		case part.Platform != nil:
			out = append(out, *part.Platform)
		case part.MediaType.IsImage():
			out = append(out, v1.Platform{}) // it does not say
		}
	}
	return out, nil
}

// pin names an image by its digest. Docker Hub goes by the name that container
// runtimes know, not by that of its API.
func pin(ref name.Reference, digest v1.Hash) string {
	repository := ref.Context().Name()
	if rest, ok := strings.CutPrefix(repository, name.DefaultRegistry+"/"); ok {
		repository = "docker.io/" + rest
	}
	return repository + "@" + digest.String()
}
