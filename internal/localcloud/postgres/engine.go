package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/bookctl/bookctl/internal/localcloud/process"
)

// Engine holds the servers and snapshots of one local cloud.
type Engine struct {
	bin     string
	version string
	user    process.User
	home    string

	mu      sync.Mutex
	servers map[string]*Server

	copying    sync.Mutex // held while the template is made, copied or removed
	parameters func() ([]Parameter, error)
}

// Open finds PostgreSQL's programs and the place for the data: stateDir, or
// what process.Home gives for the user that the servers run as (postgres, else
// nobody, when the cloud is root).
func Open(ctx context.Context, stateDir string) (*Engine, error) {
	bin, err := findBinaries(ctx)
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("ask PostgreSQL for its version: %w", err)
	}
	version := regexp.MustCompile(`\d+(\.\d+)*`).FindString(string(out))
	owner, err := process.Unprivileged("postgres", "nobody")
	if err != nil {
		return nil, fmt.Errorf("choose the user of PostgreSQL: %w", err)
	}
	home, err := process.Home(stateDir, owner)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		bin: bin, version: version, user: owner,
		home:    filepath.Join(home, "postgres"),
		servers: map[string]*Server{},
	}
	e.parameters = sync.OnceValues(e.readParameters)
	return e, nil
}

// Version is that of the installed PostgreSQL, such as "17.6".
func (e *Engine) Version() string { return e.version }

// Home is the directory of all data. It goes away when the engine is closed
// without a database or snapshot.
func (e *Engine) Home() string { return e.home }

// namePattern is RDS's for identifiers, widened by the colon that the names of
// automated snapshots have.
var namePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9:-]{0,254}$`)

// Server is the server of that name, whether it exists yet or not.
func (e *Engine) Server(name string) (*Server, error) {
	if !namePattern.MatchString(name) {
		return nil, fmt.Errorf("database name %q is not valid", name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s, ok := e.servers[name]
	if !ok {
		s = &Server{engine: e, name: name, dir: filepath.Join(e.home, "instances", name)}
		e.servers[name] = s
	}
	return s, nil
}

// Close stops every server and keeps the data. Where there is none, the files
// that new servers begin with go, too.
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
	errs = append(errs, e.dropTemplate())
	_ = os.Remove(e.home) // fails if it is not empty, and so in use
	return errors.Join(errs...)
}

func (e *Engine) snapshotDir(name string) (string, error) {
	if !namePattern.MatchString(name) {
		return "", fmt.Errorf("snapshot name %q is not valid", name)
	}
	return filepath.Join(e.home, "snapshots", name), nil
}

// DeleteSnapshot removes a snapshot's data. One that is not there is no error.
func (e *Engine) DeleteSnapshot(name string) error {
	dir, err := e.snapshotDir(name)
	if err != nil {
		return err
	}
	return e.discard(dir)
}

// discard removes dir, and with the last of its kind the directory of all. The
// template stays while the engine is open: whoever made one stack may make
// another, and making it anew takes longer than all else.
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
func (e *Engine) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(e.bin, program), args...)
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + e.bin + string(os.PathListSeparator) + "/usr/bin:/bin", "HOME=" + e.home}
	cmd.Dir = e.home
	return cmd
}

// run runs a program of PostgreSQL's to its end. Its last lines of output are
// in the error.
func (e *Engine) run(ctx context.Context, program string, args ...string) error {
	cmd := e.command(program, args...)
	var output tail
	cmd.Stdout, cmd.Stderr = &output, &output
	p, err := process.Start(cmd, process.Options{User: e.user})
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Stop(ctx, killSignal, 0)
		return fmt.Errorf("%s: %w", program, ctx.Err())
	}
	if code := p.ExitCode(); code != 0 {
		return fmt.Errorf("%s: exit code %d: %s", program, code, output.String())
	}
	return nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 2000

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if len(t.text) > tailSize {
		t.text = t.text[len(t.text)-tailSize:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
