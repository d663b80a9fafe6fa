package image

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/pattern"
)

const (
	// modulePath is how FindSource knows the source.
	modulePath = "github.com/bookctl/bookctl"
	// program is the package that is built.
	program = "cmd/bookapi"
)

var (
	// ErrNoSource reports that there is nothing to build.
	ErrNoSource = errors.New("no source to build")
	// errCompile is wrapped by what the compiler says of a source.
	errCompile = errors.New("the source does not compile")
	// ErrNoGo reports that the go tool is missing.
	ErrNoGo = errors.New("the go tool is not on PATH")
)

// Source is what an image is built from.
type Source struct {
	// Dir is the root of a module that has cmd/bookapi, or where Package is built.
	Dir string
	// Package is the main package to build, as the go tool takes it in Dir, and Name what
	// the program is called in the image; see FindProgram. Empty ones stand for bookapi.
	Package, Name string
	// Note, which may be nil, hears what may surprise in the program.
	Note func(text string)
	// Arch is the processor as Go and OCI name it: amd64 or arm64.
	Arch string
	// System is the system that the program is compiled for as Go names it, linux
	// when empty. The image says linux all the same: another one is for a local
	// cloud that runs the program as a process of this machine.
	System string
	// Version is what the program says that it is, and a label of the image; so
	// it changes the digest. It may be empty.
	Version string
	// Authorities are, as PEM, what the image trusts for databases in addition to those that
	// it knows; see ParseAuthorities.
	Authorities []byte
	// Cache is a directory that keeps the program and the layers, so that the next build
	// of an unchanged source need neither link nor compress it. It is made if missing; empty for none.
	Cache string
}

// moduleOf reads the module path from the go.mod of a directory.
func moduleOf(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", err
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "module "); ok {
			return strings.Trim(strings.TrimSpace(name), `"`), nil
		}
	}
	return "", fmt.Errorf("%s names no module", filepath.Join(dir, "go.mod"))
}

// versionPattern is what the linker's flags need no quotes for.
var versionPattern = pattern.New(`^[A-Za-z0-9._+-]*$`)

// check finds what is wrong with a source before anything is started.
func (s Source) check() error {
	if s.Arch != "amd64" && s.Arch != "arm64" {
		return fmt.Errorf("architecture %q is not one of amd64 and arm64", s.Arch)
	}
	if !versionPattern.MatchString(s.Version) {
		return fmt.Errorf("version %q may hold only letters, digits and ._+-", s.Version)
	}
	if s.Package != "" {
		return nil // the go tool says more of it
	}
	info, err := os.Stat(filepath.Join(s.Dir, filepath.FromSlash(program)))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return hint.With(fmt.Errorf("%w: %s has no %s", ErrNoSource, s.Dir, program), "name a clone of %s with --source DIR, or use a ready image with --image REF", modulePath)
	}
	return err
}

// compile builds the program in a directory and returns its path.
func (s Source) compile(ctx context.Context, dir string) (string, error) {
	tool, err := findGo()
	if err != nil {
		return "", err
	}
	var inC []string
	if s.Package != "" && !s.Built() {
		inC = s.needsC(ctx)
	}
	out := filepath.Join(dir, "bookapi")
	cached := s.restoreProgram(out)
	pkg := cmp.Or(s.Package, "./"+program)
	cmd := exec.CommandContext(ctx, tool, "build", "-o", out, pkg)
	cmd.Dir = s.Dir
	cmd.Env = s.compilerEnv(os.Environ())
	// Told to stop, go tidies up behind itself; its compilers, which hold the output
	// open, are not waited for.
	cmd.Cancel = func() error {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			return cmd.Process.Kill() // Windows knows no other way
		}
		return nil
	}
	cmd.WaitDelay = 2 * time.Second
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		failed := goError(s.Dir, "go build "+pkg, err, output.String())
		if inC != nil {
			failed = hint.With(failed, "it needs packages with parts in C (%s), and bookctl builds static programs without: build it in a Dockerfile, with --dockerfile FILE", strings.Join(inC, ", "))
		}
		return "", failed
	}
	if inC != nil && s.Note != nil {
		s.Note("the program is built without cgo, which " + strings.Join(inC, ", ") + " may need: a Dockerfile (--dockerfile) can build it with")
	}
	return out, s.cacheProgram(out, cached)
}

// Built reports whether this machine has built the source before, in whatever state.
func (s Source) Built() bool {
	_, err := os.Stat(s.cacheFile())
	return err == nil
}

func (s Source) system() string { return cmp.Or(s.System, "linux") }

// compilerEnv is the environment of the go tool: the caller's, without the AWS
// credentials, and with everything fixed that would change the program. The
// Dockerfile builds with the same flags. A module that is not ours may be one of a
// workspace, and have its modules in a vendor directory; and its program has the time
// zones in it, which its image lacks.
func (s Source) compilerEnv(environ []string) []string {
	env := append(withoutCredentials(environ), "GOOS="+s.system(), "GOARCH="+s.Arch, "GOAMD64=v1", "GOARM64=v8.0", "CGO_ENABLED=0", "GOEXPERIMENT=", "GOFIPS140=off")
	if s.Package != "" {
		return append(env, "GOFLAGS=-trimpath -buildvcs=false -tags=timetzdata '-ldflags=-s -w'")
	}
	link := "-s -w"
	if s.Version != "" {
		link += " -X=main.version=" + s.Version
	}
	return append(env, "GOWORK=off", "GOFLAGS=-trimpath -buildvcs=false -mod=readonly '-ldflags="+link+"'")
}

// withoutCredentials is an environment for a program that is none of AWS.
func withoutCredentials(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
}

// tail is the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
