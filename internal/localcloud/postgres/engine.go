package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/bookctl/bookctl/internal/localcloud/process"
	"github.com/bookctl/bookctl/internal/pattern"
)

// Engine holds the servers and snapshots of one local cloud.
type Engine struct {
	installed []installation // the first is that of new servers
	user      process.User
	dir       string
	cache     string // of files that new servers begin with, or ""

	mu      sync.Mutex
	servers map[string]*Server

	making     sync.Mutex                             // held while files of a new server are made
	parameters map[string]func() ([]Parameter, error) // by major version
}

// Config describes where an engine has its files. Only StateDir is required.
type Config struct {
	// StateDir is the place for the data, or what process.DataDir gives instead for the user
	// that the servers run as (postgres, else nobody, when the cloud is root).
	StateDir string
	// Cache is a directory for what the engines of all clouds of a user share: the files
	// that new servers begin with. Without it, they are made for each.
	Cache string
	// Programs are directories with the programs of further major versions.
	Programs []string
}

// Open finds PostgreSQL's programs and the place for the data.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	installed, err := findInstallations(ctx, cfg.Programs)
	if err != nil {
		return nil, err
	}
	owner, err := process.Unprivileged("postgres", "nobody")
	if err != nil {
		return nil, fmt.Errorf("choose the user of PostgreSQL: %w", err)
	}
	dataDir, err := process.DataDir(cfg.StateDir, owner)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		installed: installed, user: owner,
		dir:        filepath.Join(dataDir, "postgres"),
		cache:      cfg.Cache,
		servers:    map[string]*Server{},
		parameters: map[string]func() ([]Parameter, error){},
	}
	for _, i := range installed {
		e.parameters[i.major()] = sync.OnceValues(func() ([]Parameter, error) { return readParameters(i) })
	}
	return e, nil
}

// Versions are those that are installed, one of each major version, such as "17.6".
// The first is that of new servers.
func (e *Engine) Versions() []string {
	var all []string
	for _, i := range e.installed {
		all = append(all, i.version)
	}
	return all
}

// Upgrades reports whether a server of one version can be moved to another.
func (e *Engine) Upgrades(from, to string) bool {
	x, err := e.installation(from)
	if err != nil {
		return false
	}
	y, err := e.installation(to)
	return err == nil && y.upgrades(x)
}

// installation is the one of a version's major version; "" is the first.
func (e *Engine) installation(version string) (installation, error) {
	for _, i := range e.installed {
		if version == "" || i.major() == majorOf(version) {
			return i, nil
		}
	}
	return installation{}, fmt.Errorf("PostgreSQL %s is not installed", version)
}

// Dir is the directory of all data. It goes away when the engine is closed
// without a database or snapshot.
func (e *Engine) Dir() string { return e.dir }

// namePattern is RDS's for identifiers, widened by the colon that the names of
// automated snapshots have.
var namePattern = pattern.New(`^[A-Za-z][A-Za-z0-9:-]{0,254}$`)

// Server is the server of that name, whether it exists yet or not.
func (e *Engine) Server(name string) (*Server, error) {
	if !namePattern.MatchString(name) {
		return nil, fmt.Errorf("database name %q is not valid", name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s, ok := e.servers[name]
	if !ok {
		s = &Server{engine: e, name: name, dir: filepath.Join(e.dir, "instances", name)}
		if err := s.mendUpgrade(); err != nil {
			return nil, fmt.Errorf("database %s: %w", name, err)
		}
		e.servers[name] = s
	}
	return s, nil
}

// Close stops every server and keeps the data.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	servers := make([]*Server, 0, len(e.servers))
	for _, s := range e.servers {
		servers = append(servers, s)
	}
	e.mu.Unlock()
	errs := make([]error, len(servers))
	var wait sync.WaitGroup
	for i, s := range servers {
		wait.Go(func() { errs[i] = s.Stop(ctx) })
	}
	wait.Wait()
	_ = os.Remove(e.dir) // fails if it is not empty, and so in use
	return errors.Join(errs...)
}

func (e *Engine) snapshotDir(name string) (string, error) {
	if !namePattern.MatchString(name) {
		return "", fmt.Errorf("snapshot name %q is not valid", name)
	}
	return filepath.Join(e.dir, "snapshots", name), nil
}

// DeleteSnapshot deletes a snapshot's data. One that is not there is no error.
func (e *Engine) DeleteSnapshot(name string) error {
	dir, err := e.snapshotDir(name)
	if err != nil {
		return err
	}
	return e.discard(dir)
}

// discard removes dir, and with the last of its kind the directory of all.
func (e *Engine) discard(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove database files: %w", err)
	}
	_ = os.Remove(filepath.Dir(dir)) // fails if it is not empty, and so in use
	return nil
}

// copyTree copies a data directory that nothing writes to.
func (e *Engine) copyTree(ctx context.Context, from, to string) error {
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case entry.IsDir():
			return e.user.Mkdir(target, 0o700)
		case entry.Name() == "postmaster.pid":
			return nil
		case entry.Type().IsRegular():
			if err := copyFile(path, target); err != nil {
				return err
			}
			return e.user.Own(target)
		default:
			return fmt.Errorf("%s is neither a file nor a directory", path)
		}
	})
	if err != nil {
		return fmt.Errorf("copy database files: %w", err)
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read from
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = out.ReadFrom(in)
	return errors.Join(err, out.Close())
}

// command is a program of PostgreSQL's, to be run as its user. Its environment
// is empty but for what the program needs, so that PG* variables of the user's
// shell don't reach it.
func (e *Engine) command(i installation, program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(i.bin, program), args...)
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + i.bin + string(os.PathListSeparator) + "/usr/bin:/bin", "HOME=" + e.dir}
	cmd.Dir = e.dir
	return cmd
}

// run runs a program of PostgreSQL's to its end. Its last lines of output are
// in the error.
func (e *Engine) run(ctx context.Context, i installation, program string, args ...string) error {
	output := &tail{size: tailSize}
	if err := e.runIn(ctx, e.command(i, program, args...), output); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, output.String())
	}
	return nil
}

// runIn runs a command to its end. It ends with this program.
func (e *Engine) runIn(ctx context.Context, cmd *exec.Cmd, output *tail) error {
	cmd.Stdout, cmd.Stderr = output, output
	p, err := process.Start(cmd, process.Options{User: e.user, DeathSignal: killSignal})
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Stop(ctx, killSignal, 0)
		return ctx.Err()
	}
	if code := p.ExitCode(); code != 0 {
		return fmt.Errorf("exit code %d", code)
	}
	return nil
}

// tail keeps the end of what is written to it.
type tail struct {
	size int
	mu   sync.Mutex
	text []byte
}

const tailSize = 2000

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if len(t.text) > t.size {
		t.text = t.text[len(t.text)-t.size:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
