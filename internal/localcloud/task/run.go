package task

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bookctl/bookctl/internal/localcloud/process"
	"github.com/bookctl/bookctl/internal/pattern"
)

const (
	// outputTimeout is how long output may still come after the program ended,
	// from children that hold its pipes.
	outputTimeout = time.Second
	// maxLine is where a longer line is split, as the awslogs driver does
	// (https://docs.docker.com/engine/logging/drivers/awslogs/).
	maxLine = 256 << 10
	// defaultPath is what container runtimes set when the image doesn't.
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// Spec is one container to run.
type Spec struct {
	Image *Image
	// Entrypoint and Command override the image's where they are not nil.
	Entrypoint, Command []string
	// Environment is added to the image's and wins over it.
	Environment map[string]string
	// TrustBundle is a file of this machine with the authority of the databases, for
	// programs that look for it where TrustVariables say.
	TrustBundle string
	// WorkingDir and User override the image's where they are not empty.
	WorkingDir, User string
	// Output takes the lines of stdout and stderr, without their ends. It is
	// called from several goroutines, not after Done.
	Output func(line string)
	// PIDFile, when set, lets Reap end the container after the cloud died.
	PIDFile string

	// The rest is for containers of an engine. A process has none of it: it shares
	// the network and the files of this machine.

	// Task is the id of the task, whose containers share a network, and Name the
	// container's own name in it.
	Task, Name string
	// Ports are those that the task's containers listen on.
	Ports []int
	// ReadOnly reports whether the root file system can't be written to.
	ReadOnly bool
	// Memory is the most that it may use, in bytes; 0 is no limit.
	Memory int64
	// Ulimits are its limits where they are not the usual ones.
	Ulimits []Ulimit
	// DropCapabilities are what it loses of the usual ones.
	DropCapabilities []string
	// Sysctls are parameters of the kernel for the network that the task's containers
	// share.
	Sysctls map[string]string
	// Mounts are the task's volumes that it sees.
	Mounts []Mount
	// Tmpfs are the options of its file systems in memory, by path.
	Tmpfs map[string]string
}

// The variables by which programs find the authority of their database: that of
// bookapi, which is set wherever there is a database, libpq's, and Node's, whose library for PostgreSQL
// verifies also with sslmode=require
// (https://nodejs.org/api/cli.html#node_extra_ca_certsfile).
const (
	TrustVariable = "DB_SSLROOTCERT"
	libpqTrust    = "PGSSLROOTCERT"
	nodeTrust     = "NODE_EXTRA_CA_CERTS"
)

// rootCert is libpq's parameter in the URL of a database
// (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-SSLROOTCERT).
var rootCert = pattern.New(`^postgres(?:ql)?://\S*[?&]sslrootcert=(/[^&\s]+)`)

// RootCert is the file that the URL of a database names for its authority, as it
// stands there; "" for none, and for what is no such URL.
func RootCert(value string) string {
	if named := rootCert.FindStringSubmatch(value); named != nil {
		return named[1]
	}
	return ""
}

// TrustVariables are all of them.
func TrustVariables() []string { return []string{TrustVariable, libpqTrust, nodeTrust} }

// Ulimit is a limit of the kernel's, such as nofile.
type Ulimit struct {
	Name       string
	Soft, Hard int64
}

// Mount is a volume of the task's at a path of a container.
type Mount struct {
	Volume, Path string
	ReadOnly     bool
}

// Container is a running container.
type Container struct {
	*process.Process
	// Port is the loopback port that the container was given as PORT.
	Port int

	stop sync.Once
	done chan struct{}
	spec Spec
	user process.User
	env  map[string]string
	dir  string
}

// Start runs a container. PORT in its environment is always a free loopback
// port. Its error reads as the stopped reason of a task that can't be started.
func Start(spec Spec) (*Container, error) {
	container, err := start(spec)
	if err != nil {
		return nil, fmt.Errorf("CannotStartContainerError: %w", err)
	}
	return container, nil
}

func start(spec Spec) (*Container, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	env := environment(spec, port)
	args, err := arguments(spec, env)
	if err != nil {
		return nil, err
	}
	user, err := spec.user()
	if err != nil {
		return nil, err
	}
	dir := spec.WorkingDir
	if dir == "" {
		dir = spec.Image.Config.WorkingDir
	}
	if dir, err = spec.Image.resolve(dir); err != nil {
		return nil, fmt.Errorf("working directory: %w", err)
	}
	c := &Container{Port: port, done: make(chan struct{}), spec: spec, user: user, env: env, dir: dir}
	stdout, stderr := Lines(spec.Output), Lines(spec.Output)
	cmd := c.command(args)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	proc, err := process.Start(cmd, process.Options{User: user, PIDFile: spec.PIDFile})
	if err != nil {
		return nil, err
	}
	c.Process = proc
	go func() {
		<-proc.Done()
		stdout.Flush()
		stderr.Flush()
		close(c.done)
	}()
	return c, nil
}

func (c *Container) command(args []string) *exec.Cmd {
	cmd := &exec.Cmd{Path: args[0], Args: args, Dir: c.dir, WaitDelay: outputTimeout}
	for name, value := range c.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// Exec runs a program of the image in the container's environment, to its end
// or ctx's, and returns its exit code. Its output is dropped.
func (c *Container) Exec(ctx context.Context, args ...string) (int, error) {
	spec := c.spec
	spec.Entrypoint, spec.Command = args, nil
	args, err := arguments(spec, c.env)
	if err != nil {
		return 0, err
	}
	p, err := process.Start(c.command(args), process.Options{User: c.user})
	if err != nil {
		return 0, err
	}
	select {
	case <-p.Done():
		return p.ExitCode(), nil
	case <-ctx.Done():
		p.Stop(ctx, syscall.SIGKILL, 0)
		return 0, ctx.Err()
	}
}

// Done is closed when the container has ended and all its output was given to
// the sink.
func (c *Container) Done() <-chan struct{} { return c.done }

// Stop sends SIGTERM and, after grace, SIGKILL; it returns when the container
// has ended.
func (c *Container) Stop(ctx context.Context, grace time.Duration) {
	c.stop.Do(func() { c.Process.Stop(ctx, syscall.SIGTERM, grace) })
	<-c.Done()
}

// HasDatabase reports whether the container is given a database by one of the usual names.
func (s Spec) HasDatabase() bool {
	return slices.ContainsFunc([]string{"DB_HOST", "DB_SECRET_ARN", "PGHOST", "DATABASE_URL"}, func(name string) bool { return s.Environment[name] != "" })
}

// environment is the container's. The image's own values that name a file or
// directory of the image are rewritten to where it really is, since the process
// sees this machine's root directory.
func environment(spec Spec, port int) map[string]string {
	env := map[string]string{"PATH": defaultPath, "HOME": "/"}
	for _, pair := range spec.Image.Config.Env {
		name, value, _ := strings.Cut(pair, "=")
		if path.IsAbs(value) && !strings.Contains(value, ":") {
			if real, err := spec.Image.resolve(value); err == nil {
				value = real
			}
		}
		env[name] = value
	}
	for name, value := range spec.Environment {
		env[name] = value
	}
	env["PORT"] = strconv.Itoa(port)
	if spec.TrustBundle != "" {
		if spec.HasDatabase() {
			env[TrustVariable] = spec.TrustBundle
		}
		for _, name := range TrustVariables() {
			if path.IsAbs(env[name]) {
				env[name] = spec.TrustBundle
			}
		}
		for name, value := range env {
			if path := RootCert(value); path != "" {
				env[name] = strings.Replace(value, "sslrootcert="+path, "sslrootcert="+spec.TrustBundle, 1)
			}
		}
	}
	return env
}

// arguments is the command line; the program is a path of this machine, and
// never one outside the image.
func arguments(spec Spec, env map[string]string) ([]string, error) {
	entrypoint, command := spec.Image.Config.Entrypoint, spec.Image.Config.Cmd
	if spec.Entrypoint != nil {
		// Docker's rule: the image's command goes with its own entrypoint only.
		entrypoint, command = spec.Entrypoint, nil
	}
	if spec.Command != nil {
		command = spec.Command
	}
	args := append(append([]string{}, entrypoint...), command...)
	if len(args) == 0 {
		return nil, errors.New("no command specified")
	}
	var candidates []string
	if strings.Contains(args[0], "/") {
		candidates = []string{args[0]}
	} else {
		for dir := range strings.SplitSeq(env["PATH"], ":") {
			candidates = append(candidates, path.Join(dir, args[0]))
		}
	}
	for _, candidate := range candidates {
		program, err := spec.Image.resolve(candidate)
		if err != nil {
			continue
		}
		if info, err := os.Stat(program); err == nil && info.Mode().IsRegular() {
			if info.Mode()&0o111 == 0 {
				return nil, fmt.Errorf("exec: %q: permission denied", args[0])
			}
			args[0] = program
			return args, nil
		}
	}
	return nil, fmt.Errorf("exec: %q: no such file or directory", args[0])
}

// user is who the container runs as when the cloud is root: the spec's or the
// image's user, and never root itself.
func (s Spec) user() (process.User, error) {
	name := s.User
	if name == "" {
		name = s.Image.Config.User
	}
	name, group, _ := strings.Cut(name, ":")
	uid, gid := uint64(nobody), uint64(nobody)
	if name != "" && name != "root" && name != "0" {
		var err error
		if uid, err = strconv.ParseUint(name, 10, 32); err != nil {
			if uid, gid, err = s.Image.lookup(name); err != nil {
				return process.User{}, err
			}
		} else {
			gid = uid
		}
		if n, err := strconv.ParseUint(group, 10, 32); err == nil {
			gid = n
		}
	}
	return process.UserOf(uint32(uid), uint32(gid)), nil
}

// lookup finds a user in the image's password file.
func (i *Image) lookup(name string) (uid, gid uint64, err error) {
	file, err := i.resolve("/etc/passwd")
	var text []byte
	if err == nil {
		text, err = os.ReadFile(file)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 4 || fields[0] != name {
			continue
		}
		if uid, err = strconv.ParseUint(fields[2], 10, 32); err != nil {
			return 0, 0, err
		}
		gid, err = strconv.ParseUint(fields[3], 10, 32)
		return uid, gid, err
	}
	return 0, 0, fmt.Errorf("unable to find user %s: no matching entries in passwd file", name)
}

// Reap ends the containers whose pid files a dead cloud left in dir.
func (c *Images) Reap(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.pid"))
	if err != nil {
		return err
	}
	var errs []error
	for _, file := range files {
		errs = append(errs, process.Reap(file, c.dir))
	}
	return errors.Join(errs...)
}

// LineWriter cuts a stream into lines.
type LineWriter struct {
	emit func(string)
	rest []byte
}

// Lines gives the lines that are written to it to emit.
func Lines(emit func(string)) *LineWriter { return &LineWriter{emit: emit} }

func (l *LineWriter) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found && len(l.rest) > maxLine {
			line, rest, found = l.rest[:maxLine], l.rest[maxLine:], true
		}
		if !found {
			return len(p), nil
		}
		l.emit(strings.TrimSuffix(string(line), "\r"))
		l.rest = append([]byte(nil), rest...)
	}
}

// Flush emits a last line that has no end.
func (l *LineWriter) Flush() {
	if len(l.rest) > 0 {
		l.emit(string(l.rest))
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}
