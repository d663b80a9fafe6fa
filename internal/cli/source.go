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
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/image"
	"github.com/bookctl/bookctl/internal/picture"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// source is an image that is built, or read from a file, when it is first asked for.
type source struct {
	build func() (*image.Image, error)
	stop  context.CancelFunc
	// program is the import path of the main package, if it is not bookapi.
	program string
	// config is what the image says of how a container of it is run.
	config func() (*v1.ConfigFile, error)

	mu           sync.Mutex
	began, ended time.Time // the build
	made         *image.Image
}

// build is a build in progress, or done.
type build struct {
	state  string // "begun", "done" or "failed"
	what   string // that is built or read
	read   bool   // from a file
	arch   string
	took   time.Duration
	digest string
	err    error
}

// String describes it in words.
func (b build) String() string {
	doing, done := "building", "built"
	if b.read {
		doing, done = "reading", "read"
	}
	switch b.state {
	case "done":
		return fmt.Sprintf("%s %s in %s: %s", done, b.what, rounded(b.took), b.digest)
	case "failed":
		if errors.Is(b.err, context.Canceled) {
			return fmt.Sprintf("%s %s was cut off after %s", doing, b.what, rounded(b.took))
		}
		return fmt.Sprintf("%s %s failed after %s", doing, b.what, rounded(b.took)) // the error says why
	}
	return fmt.Sprintf("%s %s for %s …", doing, b.what, b.arch)
}

// newSource returns the source of one image. Tell is called with each state of its build,
// starting from b.
func newSource(ctx context.Context, b build, report func(build), open func(context.Context) (*image.Image, error)) *source {
	ctx, stop := context.WithCancel(ctx)
	s := &source{stop: stop}
	s.config = func() (*v1.ConfigFile, error) {
		built, err := s.build()
		if err != nil {
			return nil, err
		}
		return built.OCI.ConfigFile()
	}
	s.build = sync.OnceValues(func() (*image.Image, error) {
		b.state = "begun"
		report(b)
		begun := time.Now()
		built, err := open(ctx)
		b.took = time.Since(begun)
		s.mu.Lock()
		s.began, s.ended, s.made = begun, time.Now(), built
		s.mu.Unlock()
		if err != nil {
			b.state, b.err = "failed", err
			report(b)
			return nil, err
		}
		b.state, b.digest = "done", built.Digest
		report(b)
		return built, nil
	})
	return s
}

// imageOrigin is what an image is built from.
type imageOrigin struct {
	provision.Settings
	// dir is the directory that paths in the settings are relative to.
	dir string
	// authorities are further certificate authorities for databases, for images that
	// bookctl builds.
	authorities []byte
	// system is what programs are compiled for; see systemOf.
	system string
	note   func(string, ...any)
	report func(build)
}

// open finds what the settings name, and fails if it is ambiguous or does not build. Only
// what this machine has built before is built later, in parallel with the run.
func (o imageOrigin) open(ctx context.Context) (*source, error) {
	var s *source
	later := false
	switch {
	case image.IsArchive(o.From):
		archive, err := image.FindArchive(o.From, o.dir)
		if err != nil {
			return nil, err
		}
		s = newSource(ctx, build{what: o.From, arch: o.Arch, read: true}, o.report, func(ctx context.Context) (*image.Image, error) {
			return archive.Open(ctx, o.Arch, cacheDir("layers"))
		})
	case o.Dockerfile != "":
		from := image.Dockerfile{File: o.path(o.Dockerfile), Context: o.path(o.From), Arch: o.Arch, Cache: cacheDir("layers")}
		if o.From == "" {
			from.Context = filepath.Dir(from.File)
		}
		s = newSource(ctx, build{what: o.Dockerfile, arch: o.Arch}, o.report, from.Build)
	default:
		program, err := image.FindProgram(ctx, o.path(o.From), o.Package, o.Arch)
		if file := composeFile(o.path(o.From)); file != "" && errors.Is(err, image.ErrNoSource) {
			return nil, refuseCompose(file)
		}
		if err != nil {
			return nil, err
		}
		from := image.Source{Dir: program.Dir, System: o.system, Arch: o.Arch, Authorities: o.authorities, Cache: cacheDir("")}
		if !program.Own {
			from.Package, from.Name = program.Package, program.Name()
			from.Note = func(text string) { o.note("note: %s", text) }
		}
		later = program.Own || from.Built()
		s = newSource(ctx, build{what: program.Name(), arch: o.Arch}, o.report, func(ctx context.Context) (*image.Image, error) {
			return image.Build(ctx, from)
		})
		s.config = func() (*v1.ConfigFile, error) { return from.Config(), nil } // before it is built
		if !program.Own {
			s.program = program.Path
		}
	}
	if later {
		return s, nil
	}
	if _, err := s.build(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// systemOf is the system that a program is compiled for. On a Mac the local cloud has no
// engine for Linux programs, and runs it as a process.
func systemOf(local bool, here string) string {
	if local && here == "darwin" {
		return here
	}
	return "linux"
}

// path is a path of the settings, relative to the current directory.
func (o imageOrigin) path(of string) string {
	if filepath.IsAbs(of) {
		return of
	}
	return filepath.Join(".", o.dir, filepath.FromSlash(of))
}

// cacheDir is a directory of bookctl's in the user's cache, or "" where there is none.
func cacheDir(name string) string {
	user, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(user, "bookctl", name)
}

// begin builds in the background: the compiler ends long before the database is ready. End
// stops the build, and waits until nothing of it is left.
func (s *source) begin() (end func()) {
	done := make(chan struct{})
	graph.Start(func() error {
		defer close(done)
		_, err := s.build()
		return err // which whoever asks for the image gets
	})
	return sync.OnceFunc(func() {
		s.stop()
		<-done
		s.close()
	})
}

// close removes what the image needed until it was pushed. A nil source has nothing.
func (s *source) close() {
	if s == nil {
		return
	}
	s.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made.Close()
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

// Digest builds the image if it is not built yet.
func (s *source) Digest(context.Context) (string, error) {
	built, err := s.build()
	if err != nil {
		return "", err
	}
	return built.Digest, nil
}

// Push pushes the image to a repository.
func (s *source) Push(ctx context.Context, repository string, login provision.RegistryLogin, progress func(done, total int64)) error {
	built, err := s.build()
	if err != nil {
		return err
	}
	upload := image.Upload{Auth: authn.FromConfig(authn.AuthConfig{Username: login.Username, Password: login.Password}), Progress: progress}
	_, err = upload.Push(ctx, built, repository)
	return err
}

// pinImage resolves a ready image to its digest, so that the deployed image can't change
// under its tag, and reads its platforms. It fails if tasks could not pull it. Note is
// called with the reason for a long wait.
func pinImage(ctx context.Context, t *target, want provision.Settings, note func(string, ...any)) (image.Info, error) {
	if _, err := image.ParseReference(want.Image); err != nil {
		return image.Info{}, usageError{err}
	}
	lookup := image.Lookup{TasksLogIn: want.RegistrySecret != "", Note: func(text string) { note("%s", text) }}
	if !t.local {
		lookup.ECR = t.loginToECR
	}
	info, err := lookup.Inspect(ctx, want.Image)
	var nowhere *net.DNSError
	switch {
	case errors.As(err, &nowhere):
		return image.Info{}, hint.With(fmt.Errorf("image %s: there is no address for %s", want.Image, nowhere.Name), "check the name of the registry, which is Docker Hub if none is given, and the network")
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
