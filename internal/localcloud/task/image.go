package task

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/bookctl/bookctl/internal/localcloud/process"
)

// maxUnpacked bounds an image's files: Fargate's ephemeral storage.
const maxUnpacked = 20 << 30

// Image is an unpacked image.
type Image struct {
	Digest string
	// Root is the directory that holds its files.
	Root   string
	Config v1.Config
}

// Images is the cache of unpacked images.
type Images struct {
	dir string

	mu    sync.Mutex
	locks map[string]*sync.Mutex // by digest: an image is unpacked once
}

// OpenImages uses the cache below stateDir, or the place that process.DataDir
// gives where the users of images can't enter it.
func OpenImages(stateDir string) (*Images, error) {
	home, err := process.DataDir(stateDir, process.UserOf(nobody, nobody))
	if err != nil {
		return nil, err
	}
	return &Images{dir: filepath.Join(home, "images"), locks: map[string]*sync.Mutex{}}, nil
}

// nobody stands for any user that an image may name.
const nobody = 65532

// Dir is where the images are. It goes away with Clear.
func (c *Images) Dir() string { return c.dir }

// Clear removes all unpacked images, which must not be in use.
func (c *Images) Clear() error {
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("remove unpacked images: %w", err)
	}
	_ = os.Remove(filepath.Dir(c.dir)) // only when nothing else is in it
	return nil
}

// Login opens a private registry.
type Login struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// String hides the password from whatever prints a login.
func (l Login) String() string { return l.Username + ":***" }

// Remote is an image in its registry. Its layers are read when they are needed.
type Remote struct {
	v1.Image
	Digest v1.Hash
	Config v1.Config
}

// Fetch finds an image of a platform; the zero login is none. Its error reads as the
// stopped reason of a task whose image can't be pulled.
func Fetch(ctx context.Context, reference string, platform v1.Platform, login Login) (*Remote, error) {
	remote, err := fetch(ctx, reference, platform, login)
	if err != nil {
		return nil, PullError(reference, platform, err)
	}
	return remote, nil
}

func fetch(ctx context.Context, reference string, platform v1.Platform, login Login) (*Remote, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return nil, err
	}
	auth := authn.Anonymous
	if login != (Login{}) {
		auth = &authn.Basic{Username: login.Username, Password: login.Password}
	}
	image, err := remote.Image(ref, remote.WithContext(ctx), remote.WithPlatform(platform), remote.WithAuth(auth))
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	if config.OS != platform.OS || config.Architecture != platform.Architecture {
		return nil, errPlatform
	}
	digest, err := image.Digest()
	if err != nil {
		return nil, err
	}
	return &Remote{Image: image, Digest: digest, Config: config.Config}, nil
}

// Pull makes an image's files ready; the zero login is none. Its error reads as the stopped reason of a
// task whose image can't be pulled.
func (c *Images) Pull(ctx context.Context, reference string, platform v1.Platform, login Login) (*Image, error) {
	remote, err := Fetch(ctx, reference, platform, login)
	if err != nil {
		return nil, err
	}
	image, err := c.Unpack(remote)
	if err != nil {
		return nil, PullError(reference, platform, err)
	}
	return image, nil
}

// Unpack makes an image's files ready, once.
func (c *Images) Unpack(from *Remote) (*Image, error) {
	digest := from.Digest
	image := &Image{Digest: digest.String(), Root: filepath.Join(c.dir, digest.Hex), Config: from.Config}

	c.mu.Lock()
	lock, ok := c.locks[digest.Hex]
	if !ok {
		lock = &sync.Mutex{}
		c.locks[digest.Hex] = lock
	}
	c.mu.Unlock()
	lock.Lock()
	defer lock.Unlock()
	if _, err := os.Stat(image.Root); err == nil {
		return image, nil
	}
	partial := image.Root + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(partial, 0o755); err != nil {
		return nil, err
	}
	// The layers are flattened on the way, so that files which a later layer
	// removes are never written.
	files := mutate.Extract(from.Image)
	defer func() { _ = files.Close() }() // its errors have come by Read
	if err := unpack(partial, files); err != nil {
		_ = os.RemoveAll(partial) // the first error is the one to report
		return nil, err
	}
	return image, os.Rename(partial, image.Root)
}

var errPlatform = errors.New("image Manifest does not contain descriptor matching platform")

// PullError words a failure as ECS does
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_cannot_pull_image.html).
func PullError(reference string, platform v1.Platform, err error) error {
	var refused *transport.Error
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, errPlatform):
		return fmt.Errorf("CannotPullContainerError: pull image manifest has been retried 1 time(s): %w '%s/%s'", err, platform.OS, platform.Architecture)
	case errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound:
		return fmt.Errorf("CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref %s: %s: not found", reference, reference)
	default:
		return fmt.Errorf("CannotPullContainerError: pull image manifest has been retried 7 time(s): failed to resolve ref %s: %w", reference, err)
	}
}

// unpack writes a tar's files below dir. os.Root keeps hostile names, links and
// paths through links inside it.
func unpack(dir string, from io.Reader) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // holds nothing unwritten
	var total int64
	for files := tar.NewReader(from); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return readToEnd(from)
		}
		if err != nil {
			return err
		}
		name := inside(header.Name)
		if name == "." {
			continue
		}
		if total += header.Size; total > maxUnpacked {
			return errors.New("the image is larger than a task's storage")
		}
		if err := unpackFile(root, name, header, files); err != nil {
			return fmt.Errorf("unpack %s: %w", header.Name, err)
		}
	}
}

// readToEnd reads what follows the end of an image's archive. mutate.Extract ends the archive
// before it reports a layer that it can't read: without the error, the files of the layers
// above it would pass for the whole image.
func readToEnd(archive io.Reader) error {
	_, err := io.Copy(io.Discard, archive)
	return err
}

// inside turns a path of the image into one relative to its root; what points
// above the root stays in it, as in a container.
func inside(name string) string {
	clean := strings.TrimPrefix(path.Clean("/"+filepath.ToSlash(name)), "/")
	if clean == "" {
		return "."
	}
	return filepath.FromSlash(clean)
}

func unpackFile(root *os.Root, name string, header *tar.Header, content io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	// Ids are those of the image, which don't exist here, and so set-id bits
	// would mean something else; and the task's user must be able to read.
	mode := os.FileMode(header.Mode).Perm()
	switch header.Typeflag {
	case tar.TypeDir:
		if err := root.MkdirAll(name, 0o755); err != nil {
			return err
		}
		return root.Chmod(name, mode|0o755)
	case tar.TypeReg:
		file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode|0o444)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, content)
		return errors.Join(err, file.Chmod(mode|0o444), file.Close())
	case tar.TypeSymlink:
		return root.Symlink(header.Linkname, name)
	case tar.TypeLink:
		return root.Link(inside(header.Linkname), name)
	default:
		return nil // devices and pipes are the container runtime's to make
	}
}

// Platform is the platform of a task definition's cpuArchitecture: X86_64, also
// when it is empty, or ARM64.
func Platform(cpuArchitecture string) v1.Platform {
	if cpuArchitecture == "ARM64" {
		return v1.Platform{OS: "linux", Architecture: "arm64"}
	}
	return v1.Platform{OS: "linux", Architecture: "amd64"}
}

// resolve finds the file that a path of the image names, following the image's
// links within its root. The result is a path of this machine.
func (i *Image) resolve(name string) (string, error) {
	current := inside(name)
	for range 40 { // as many links as Linux follows
		next, err := i.follow(current)
		if err != nil {
			return "", err
		}
		if next == current {
			return filepath.Join(i.Root, current), nil
		}
		current = next
	}
	return "", fmt.Errorf("%s: too many links", name)
}

// follow replaces the first link on the path.
func (i *Image) follow(name string) (string, error) {
	parts := strings.Split(filepath.ToSlash(name), "/")
	for n := range parts {
		upTo := filepath.Join(parts[:n+1]...)
		info, err := os.Lstat(filepath.Join(i.Root, upTo))
		if err != nil {
			return "", err
		}
		if info.Mode()&os.ModeSymlink == 0 {
			continue
		}
		to, err := os.Readlink(filepath.Join(i.Root, upTo))
		if err != nil {
			return "", err
		}
		if !path.IsAbs(to) {
			to = path.Join("/", filepath.ToSlash(filepath.Dir(upTo)), to)
		}
		return inside(path.Join(append([]string{to}, parts[n+1:]...)...)), nil
	}
	return name, nil
}
