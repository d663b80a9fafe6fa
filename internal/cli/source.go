package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/image"
	"github.com/bookctl/bookctl/internal/picture"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// source is the image of bookapi, built from source when it is first asked for.
type source struct {
	build func() (*image.Image, error)
	stop  context.CancelFunc

	mu           sync.Mutex
	began, ended time.Time // the build
}

// build is an image on its way, or done.
type build struct {
	state  string // "begun", "done" or "failed"
	arch   string
	took   time.Duration
	digest string
	err    error
}

// String says it in words.
func (b build) String() string {
	switch b.state {
	case "done":
		return fmt.Sprintf("built bookapi in %s: %s", rounded(b.took), b.digest)
	case "failed":
		if errors.Is(b.err, context.Canceled) {
			return "building bookapi was cut off after " + rounded(b.took)
		}
		return fmt.Sprintf("building bookapi failed after %s", rounded(b.took)) // the error says why
	}
	return "building bookapi for " + b.arch + " …"
}

// newSource finds the source. Tell hears of its build. The image trusts the
// authorities for databases, beside those that it knows.
func newSource(ctx context.Context, dir, arch string, authorities []byte, tell func(build)) (*source, error) {
	if dir == "" {
		dir = "."
	}
	root, err := image.FindSource(dir)
	if err != nil {
		return nil, err
	}
	cache := ""
	if user, err := os.UserCacheDir(); err == nil {
		cache = filepath.Join(user, "bookctl")
	}
	ctx, stop := context.WithCancel(ctx)
	s := &source{stop: stop}
	s.build = sync.OnceValues(func() (*image.Image, error) {
		tell(build{state: "begun", arch: arch})
		begun := time.Now()
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.began, s.ended = begun, time.Now()
		}()
		built, err := image.Build(ctx, image.Source{Dir: root, Arch: arch, Authorities: authorities, Cache: cache})
		if err != nil {
			tell(build{state: "failed", arch: arch, took: time.Since(begun), err: err})
			return nil, err
		}
		tell(build{state: "done", arch: arch, took: time.Since(begun), digest: built.Digest})
		return built, nil
	})
	return s, nil
}

// begin builds in the background: the compiler is done long before the database
// is. The build is ended by end, which waits until nothing of it is left.
func (s *source) begin() (end func()) {
	done := make(chan struct{})
	graph.Start(func() error {
		defer close(done)
		_, err := s.build()
		return err // which whoever asks for the image gets
	})
	return func() {
		s.stop()
		<-done
	}
}

// spans is the build in a timeline, if it is over. A nil source has none.
func (s *source) spans() []picture.Span {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.began.IsZero() {
		return nil
	}
	return []picture.Span{{Name: "build", Action: "built", Start: s.began, End: s.ended}}
}

// Digest builds the image, if that is still to do.
func (s *source) Digest(context.Context) (string, error) {
	built, err := s.build()
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

// pinImage resolves a ready image to its digest, so that what is deployed can't
// change under its tag, and finds what it is for. It refuses what tasks could not
// pull. Note hears why it takes long.
func pinImage(ctx context.Context, t *target, want provision.Settings, note func(string, ...any)) (image.Info, error) {
	if _, err := image.ParseReference(want.Image); err != nil {
		return image.Info{}, usageError{err}
	}
	lookup := image.Lookup{TasksLogIn: want.RegistrySecret != "", Tell: func(text string) { note("%s", text) }}
	if !t.local {
		lookup.ECR = t.loginToECR
	}
	info, err := lookup.Inspect(ctx, want.Image)
	var nowhere *net.DNSError
	switch {
	case errors.As(err, &nowhere):
		return image.Info{}, hint.With(fmt.Errorf("image %s: there is no address for %s", want.Image, nowhere.Name), "check the name of the registry, which is Docker Hub where none is said, and the network")
	case err != nil && hint.Of(err).Empty():
		return image.Info{}, hint.With(err, "check the reference, and the network")
	}
	return info, err
}

// loginToECR logs in to a registry of ECR in any account and region, with the
// credentials of the run.
func (t *target) loginToECR(ctx context.Context, registry string) (authn.Authenticator, error) {
	options := t.clients.ECR.Options()
	options.Region = image.ECRRegion(registry)
	login, err := provision.LogIn(ctx, ecr.New(options))
	if err != nil {
		return nil, err
	}
	return authn.FromConfig(authn.AuthConfig{Username: login.Username, Password: login.Password}), nil
}
