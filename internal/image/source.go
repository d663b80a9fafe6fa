package image

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// modulePath is how FindSource knows the source.
	modulePath = "github.com/bookctl/bookctl"
	// program is the package that is built.
	program = "cmd/bookapi"
)

var (
	// ErrNoSource says that there is no source of bookapi.
	ErrNoSource = errors.New("no source of bookapi")
	// ErrNoGo says that the go tool is missing.
	ErrNoGo = errors.New("the go tool is not on PATH")
)

// Source is what an image is built from.
type Source struct {
	// Dir is the root of a module that has cmd/bookapi.
	Dir string
	// Arch is the processor as Go and OCI name it: amd64 or arm64.
	Arch string
	// Version becomes a label of the image, and so a part of its digest. None if
	// empty.
	Version string
}

// FindSource is the root of bookctl's own module in dir or above it. The error
// is ErrNoSource when there is none.
func FindSource(dir string) (string, error) {
	start, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the source of bookapi: %w", err)
	}
	for at := start; ; at = filepath.Dir(at) {
		if name, err := moduleOf(at); err == nil && name == modulePath {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%w in %s or above it: run in a clone of %s, or name one with --source DIR, or use a ready image with --image REF", ErrNoSource, start, modulePath)
		}
	}
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

// check finds what is wrong with a source before anything is started.
func (s Source) check() error {
	if s.Arch != "amd64" && s.Arch != "arm64" {
		return fmt.Errorf("architecture %q is not one of amd64 and arm64", s.Arch)
	}
	info, err := os.Stat(filepath.Join(s.Dir, filepath.FromSlash(program)))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return fmt.Errorf("%w: %s has no %s: name a clone of %s with --source DIR, or use a ready image with --image REF", ErrNoSource, s.Dir, program, modulePath)
	}
	return err
}

// compile builds the program and returns its bytes.
func (s Source) compile(ctx context.Context) ([]byte, error) {
	tool, err := exec.LookPath("go")
	if err != nil {
		return nil, fmt.Errorf("%w: install Go from https://go.dev/dl, or use a ready image with --image REF", ErrNoGo)
	}
	dir, err := os.MkdirTemp("", "bookctl-image-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the system clears what stays
	out := filepath.Join(dir, "bookapi")
	cmd := exec.CommandContext(ctx, tool, "build", "-trimpath", "-buildvcs=false", "-mod=readonly",
		"-ldflags=-s -w -buildid=", "-o", out, "./"+program)
	cmd.Dir = s.Dir
	cmd.Env = compilerEnv(os.Environ(), s.Arch)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("go build ./%s in %s: %w\n%s", program, s.Dir, err, tail(output.String(), 20))
	}
	return os.ReadFile(out)
}

// compilerEnv is the environment of the go tool: the caller's, without the AWS
// credentials, and with everything fixed that would change the program.
func compilerEnv(environ []string, arch string) []string {
	env := slices.DeleteFunc(slices.Clone(environ), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	return append(env,
		"GOOS=linux", "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0",
		"CGO_ENABLED=0", "GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off", "GOWORK=off",
	)
}

// tail is the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
