package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/hint"
)

// ErrNoBuilder reports that nothing here builds a Dockerfile.
var ErrNoBuilder = errors.New("nothing on this machine builds a Dockerfile")

// Dockerfile is what a container builder makes an image of.
type Dockerfile struct {
	// File is the Dockerfile, and Context the directory that its COPY takes files from.
	File, Context string
	// Arch is amd64 or arm64.
	Arch string
	// Cache is where the layers are kept compressed; see Archive.Open.
	Cache string
}

// builder is a program that builds Dockerfiles.
type builder struct {
	name string
	// usable are the arguments of a call that fails where it can't build.
	usable []string
	// build are those that build; --platform, --file and --iidfile come behind them.
	build []string
	// save writes an image to a file as docker save does.
	save func(id, file string) []string
}

// builders are those that are known, in the order in which they are tried. The image is
// in Docker's format, as that of OCI has no HEALTHCHECK; attestations, which change with
// each build, would make a release of each.
var builders = []builder{
	{
		"docker", []string{"buildx", "inspect"}, []string{"buildx", "build", "--load", "--provenance=false"},
		func(id, file string) []string { return []string{"save", "--output", file, id} },
	},
	{
		"podman", []string{"info"}, []string{"build", "--layers", "--format", "docker"},
		func(id, file string) []string {
			return []string{"save", "--quiet", "--format", "docker-archive", "--output", file, id}
		},
	},
	{
		"buildah", []string{"info"}, []string{"build", "--layers", "--format", "docker"},
		func(id, file string) []string { return []string{"push", "--quiet", id, dockerArchive + ":" + file} },
	},
}

// Build builds the image by docker buildx, podman or buildah, whichever is there and
// works first. What has been built before is in the builder's cache, so that an unchanged
// Dockerfile gives the same digest again. The errors of what is missing wrap ErrNoSource
// and ErrNoBuilder.
func (d Dockerfile) Build(ctx context.Context) (*Image, error) {
	if info, err := os.Stat(d.File); err != nil || info.IsDir() {
		return nil, hint.With(fmt.Errorf("%w: there is no Dockerfile %s", ErrNoSource, d.File), "name a file that is there with --dockerfile FILE")
	}
	if info, err := os.Stat(d.Context); err != nil || !info.IsDir() {
		return nil, hint.With(fmt.Errorf("%w: there is no directory %s", ErrNoSource, d.Context), "name the directory that the Dockerfile takes files from with --source DIR")
	}
	by, err := findBuilder(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bookctl-build-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the system clears what stays
	idFile, saved := filepath.Join(dir, "id"), filepath.Join(dir, "image.tar")
	args := append(append([]string{}, by.build...), "--platform", "linux/"+d.Arch, "--file", d.File, "--iidfile", idFile, d.Context)
	if out, err := by.run(ctx, args...); err != nil {
		return nil, d.failed(ctx, by, err, out)
	}
	id, err := os.ReadFile(idFile)
	if err != nil {
		return nil, fmt.Errorf("%s does not say what it built: %w", by.name, err)
	}
	if out, err := by.run(ctx, by.save(strings.TrimSpace(string(id)), saved)...); err != nil {
		return nil, d.failed(ctx, by, err, out)
	}
	return Archive{Transport: dockerArchive, Path: saved}.Open(ctx, d.Arch, d.Cache)
}

// failed is the error of a builder, with the end of what it printed.
func (d Dockerfile) failed(ctx context.Context, by builder, err error, output string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	next := hint.New("fix the Dockerfile and run the same command again")
	if d.Arch != runtime.GOARCH && strings.Contains(strings.ToLower(output), "exec format error") {
		next = hint.New("this machine can't run the programs of %s that the Dockerfile runs: deploy for this machine's processor with --arch %s; or install emulation (qemu-user-static with binfmt_misc), or build the image elsewhere and name it with --image", d.Arch, runtime.GOARCH)
	}
	return hint.Add(fmt.Errorf("%s could not build %s: %w\n%s", by.name, d.File, err, tail(output, 20)), next)
}

// findBuilder is the first builder that works here.
func findBuilder(ctx context.Context) (builder, error) {
	var found []string
	for _, b := range builders {
		if _, err := exec.LookPath(b.name); err != nil {
			continue
		}
		out, err := b.run(ctx, b.usable...)
		if err == nil {
			return b, nil
		}
		if ctx.Err() != nil {
			return builder{}, ctx.Err()
		}
		found = append(found, fmt.Sprintf("%s does not work: %s", b.name, tail(out, 1)))
	}
	next := "install docker with buildx, podman or buildah; or build the image elsewhere, and name it with --image docker-archive:FILE or --image oci:DIR"
	if found != nil {
		return builder{}, hint.With(fmt.Errorf("%w: %s", ErrNoBuilder, strings.Join(found, "; ")), "start it, or %s", next)
	}
	return builder{}, hint.With(fmt.Errorf("%w: there is no docker, podman or buildah", ErrNoBuilder), "%s", next)
}

// run runs the builder, without AWS credentials in its environment, and returns what it
// printed.
func (b builder) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, b.name, args...)
	cmd.Env = withoutCredentials(os.Environ())
	cmd.Cancel = func() error {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			return cmd.Process.Kill() // Windows knows no other way
		}
		return nil
	}
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}
