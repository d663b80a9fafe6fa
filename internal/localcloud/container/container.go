package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/bookctl/bookctl/internal/localcloud/process"
	"github.com/bookctl/bookctl/internal/localcloud/task"
)

const (
	// fargateFiles is how many files a task of Fargate may open
	// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-resource-limits).
	fargateFiles = 65535
	// podmanProcesses is said where Podman's own default is above what the machine
	// may allow: it would start nothing.
	podmanProcesses = 4096
	// outputTimeout is how long output may still come after a container ended.
	outputTimeout = time.Second
	// reconnectTimeout is how long an engine that went away may take to come back, after
	// which its containers count as killed.
	reconnectTimeout = 30 * time.Second
	// killed is the exit code of a program that was killed.
	killed = 137
)

// Container is a running container, and after Done how it ended.
type Container struct {
	engine *Engine
	id     string
	addr   map[int]string
	done   chan struct{}
	code   int // after done
	memory bool

	looking atomic.Bool  // CPUTime's
	used    atomic.Int64 // nanoseconds
}

// Start runs a container of the task that the spec names. Its error reads as the
// stopped reason of a task that can't be started.
func (i *Image) Start(ctx context.Context, spec task.Spec) (*Container, error) {
	c, err := i.start(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("CannotStartContainerError: %w", err)
	}
	return c, nil
}

func (i *Image) start(ctx context.Context, spec task.Spec) (_ *Container, err error) {
	e := i.engine
	a, err := e.api(ctx)
	if err != nil {
		return nil, err
	}
	s, err := e.sandbox(ctx, a, spec)
	if err != nil {
		return nil, err
	}
	want, err := i.describe(ctx, a, s, spec)
	if err != nil {
		return nil, err
	}
	id, err := create(ctx, a, Name(spec.Task, spec.Name), want)
	if err != nil {
		return nil, err
	}
	attached, err := a.open(context.WithoutCancel(ctx), http.MethodPost, "/containers/"+id+"/attach", attachment, nil) //nolint:bodyclose // read to its end below
	if err == nil {
		err = a.call(ctx, http.MethodPost, "/containers/"+id+"/start", nil, nil, nil)
		if err != nil {
			_ = attached.Body.Close() // only read
		}
	}
	if err != nil {
		return nil, errors.Join(err, remove(context.WithoutCancel(ctx), a, id))
	}
	c := &Container{engine: e, id: id, addr: s.addr, done: make(chan struct{})}
	stdout, stderr := task.Lines(spec.Output), task.Lines(spec.Output)
	read := make(chan struct{})
	go func() {
		defer close(read)
		_ = split(attached.Body, stdout, stderr) // an output that breaks off has ended
	}()
	go func() {
		c.code, c.memory = c.wait(context.WithoutCancel(ctx))
		select {
		case <-read:
		case <-time.After(outputTimeout):
		}
		_ = attached.Body.Close() // only read; ends the reader
		<-read
		stdout.Flush()
		stderr.Flush()
		close(c.done)
	}()
	return c, nil
}

// Name is what a task's container is called in the engine.
func Name(task, container string) string { return "bookctl-" + task + "-" + container }

// describe is a container as the engine's API wants it. Its environment goes over
// the API's socket only; whoever may ask the engine can read it there.
func (i *Image) describe(ctx context.Context, a *api, s *sandbox, spec task.Spec) (map[string]any, error) {
	e := i.engine
	mounts := []map[string]any{}
	for _, m := range spec.Mounts {
		volume, err := e.volume(ctx, a, s, spec.Task, m.Volume)
		if err != nil {
			return nil, err
		}
		mounts = append(mounts, map[string]any{"Type": "volume", "Source": volume, "Target": m.Path, "ReadOnly": m.ReadOnly})
	}
	environment, bundles := trust(i.Config.Env, spec)
	for _, path := range bundles {
		mounts = append(mounts, map[string]any{"Type": "bind", "Source": spec.TrustBundle, "Target": path, "ReadOnly": true})
	}
	host := map[string]any{
		"NetworkMode": "container:" + s.id, "ReadonlyRootfs": spec.ReadOnly, "Mounts": mounts, "LogConfig": noLog,
		"Ulimits": ulimits(a, spec.Ulimits), "CapDrop": spec.DropCapabilities,
	}
	host["Tmpfs"] = tmpfs(spec, a.about.podman())
	if spec.Memory > 0 {
		limited, err := e.limitsMemory(ctx, a)
		if err != nil {
			return nil, err
		}
		if limited {
			host["Memory"], host["MemorySwap"] = spec.Memory, spec.Memory
		}
	}
	env := []string{}
	for name, value := range environment {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	want := map[string]any{
		"Image": i.Name, "Env": env, "User": spec.User, "WorkingDir": spec.WorkingDir, "HostConfig": host,
		"Labels": map[string]string{label: e.id, taskLabel: spec.Task},
		// ECS runs the checks of the task definition, and no others
		// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/healthcheck.html).
		"Healthcheck": map[string]any{"Test": []string{"NONE"}},
	}
	if spec.Entrypoint != nil {
		want["Entrypoint"] = spec.Entrypoint
	}
	if spec.Command != nil {
		want["Cmd"] = spec.Command
	}
	return want, nil
}

// bundlePath is where a container finds the authority of the databases if it looks
// nowhere else.
const bundlePath = "/etc/bookctl/rds-ca.pem"

// trust is what a container gets of an environment besides the image's, and where by
// both it looks for the authority of its database: there it finds that of the databases
// here instead of AWS's.
func trust(image []string, spec task.Spec) (environment map[string]string, paths []string) {
	environment = maps.Clone(spec.Environment)
	if spec.TrustBundle == "" {
		return environment, nil
	}
	all := map[string]string{}
	for _, variable := range image {
		name, value, _ := strings.Cut(variable, "=")
		all[name] = value
	}
	maps.Copy(all, environment)
	if all[task.TrustVariable] == "" && spec.HasDatabase() {
		environment[task.TrustVariable], all[task.TrustVariable] = bundlePath, bundlePath
	}
	for _, name := range task.TrustVariables() {
		paths = append(paths, all[name])
	}
	for _, value := range all {
		if named, err := url.PathUnescape(task.RootCert(value)); err == nil {
			paths = append(paths, named)
		}
	}
	slices.Sort(paths)
	return environment, slices.DeleteFunc(slices.Compact(paths), func(p string) bool { return !path.IsAbs(p) })
}

// tmpfs are a container's file systems in memory. A read-only container has no
// writable directory on Fargate, and three of Podman's unless they are taken from it
// (https://docs.podman.io/en/latest/markdown/podman-run.1.html#read-only-tmpfs).
func tmpfs(spec task.Spec, podman bool) map[string]string {
	out := map[string]string{}
	if spec.ReadOnly && podman {
		for _, dir := range []string{"/tmp", "/run", "/var/tmp"} {
			out[dir] = "ro"
		}
	}
	for _, m := range spec.Mounts {
		delete(out, m.Path)
	}
	maps.Copy(out, spec.Tmpfs)
	return out
}

// ulimits are Fargate's, as far as this machine allows them, and a definition's.
func ulimits(a *api, own []task.Ulimit) []map[string]any {
	files := openFiles()
	limits := []map[string]any{}
	set := map[string]bool{}
	add := func(name string, soft, hard int64) {
		if !set[name] {
			set[name] = true
			limits = append(limits, map[string]any{"Name": name, "Soft": soft, "Hard": hard})
		}
	}
	for _, u := range own {
		if u.Name == "nofile" {
			u.Soft, u.Hard = min(u.Soft, files), min(u.Hard, files)
		}
		add(u.Name, u.Soft, u.Hard)
	}
	add("nofile", files, files)
	if a.about.podman() {
		add("nproc", podmanProcesses, podmanProcesses)
	}
	return limits
}

// state is how a container is.
type state struct {
	State struct {
		Running, OOMKilled bool
		Status             string
		ExitCode           int
	}
}

// wait returns how the container ended, and removes it. Where the engine goes away
// it asks again.
func (c *Container) wait(ctx context.Context) (code int, memory bool) {
	lost := time.Time{}
	for {
		a, err := c.engine.api(ctx)
		var now state
		if err == nil {
			err = a.ended(ctx, c.id)
		}
		if err == nil {
			err = a.call(ctx, http.MethodGet, "/containers/"+c.id+"/json", nil, nil, &now)
		}
		switch {
		case err == nil && !now.State.Running:
			if err := remove(ctx, a, c.id); err != nil {
				// Its task's end, or the next start, tries again.
				return now.State.ExitCode, now.State.OOMKilled
			}
			return now.State.ExitCode, now.State.OOMKilled
		case err == nil:
			lost = time.Time{}
		case isStatus(err, http.StatusNotFound):
			return killed, false // somebody removed it
		case lost.IsZero():
			lost = time.Now()
		case time.Since(lost) > reconnectTimeout:
			return killed, false
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Address is where a port of the container is reached, "" if it has none such.
func (c *Container) Address(port int) string { return c.addr[port] }

// Done is closed when the container has ended and its output was given on.
func (c *Container) Done() <-chan struct{} { return c.done }

// ExitCode is the exit code, after Done.
func (c *Container) ExitCode() int { <-c.done; return c.code }

// OutOfMemory says, after Done, whether the container was killed for its memory.
func (c *Container) OutOfMemory() bool { <-c.done; return c.memory }

// Signal sends a signal to the container's program. One that has ended is no error.
func (c *Container) Signal(signal syscall.Signal) error {
	select {
	case <-c.done:
		return nil
	default:
	}
	a, err := c.engine.api(context.Background())
	if err != nil {
		return err
	}
	err = a.call(context.Background(), http.MethodPost, "/containers/"+c.id+"/kill", url.Values{"signal": {strconv.Itoa(int(signal))}}, nil, nil)
	if isStatus(err, http.StatusNotFound) || isStatus(err, http.StatusConflict) {
		return nil
	}
	return err
}

// Stop sends the image's stop signal, SIGTERM if it names none, and SIGKILL after
// the grace, which counts in seconds. It returns when the container has ended.
func (c *Container) Stop(ctx context.Context, grace time.Duration) {
	seconds := strconv.Itoa(int(math.Ceil(grace.Seconds())))
	a, err := c.engine.api(ctx)
	if err == nil {
		err = a.call(ctx, http.MethodPost, "/containers/"+c.id+"/stop", url.Values{"t": {seconds}}, nil, nil)
	}
	if err != nil {
		_ = c.Signal(syscall.SIGKILL) // the end is waited for
	}
	<-c.done
}

// Exec runs a command in the container, to its end or ctx's, and returns its exit
// code. Its output is dropped.
func (c *Container) Exec(ctx context.Context, command ...string) (int, error) {
	a, err := c.engine.api(ctx)
	if err != nil {
		return 0, err
	}
	var made struct {
		ID string `json:"Id"`
	}
	want := map[string]any{"Cmd": command, "AttachStdout": true, "AttachStderr": true}
	if err := a.call(ctx, http.MethodPost, "/containers/"+c.id+"/exec", nil, want, &made); err != nil {
		return 0, err
	}
	var ended struct {
		ExitCode, Pid int
		Running       bool
	}
	resp, err := a.open(ctx, http.MethodPost, "/exec/"+made.ID+"/start", nil, map[string]any{"Detach": false, "Tty": false})
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close() // only read
	}
	after := context.WithoutCancel(ctx)
	if looked := a.call(after, http.MethodGet, "/exec/"+made.ID+"/json", nil, nil, &ended); looked != nil {
		return 0, errors.Join(err, looked)
	}
	if ctx.Err() != nil {
		if ended.Running && ended.Pid > 0 {
			_ = process.Signal(ended.Pid, syscall.SIGKILL) // an engine's of another user stays
		}
		return 0, ctx.Err()
	}
	if err != nil {
		return 0, err
	}
	return ended.ExitCode, nil
}

// CPUTime is the processor time that the container had used when it was last asked
// for: engines take their time to answer, and a caller may hold what others need.
func (c *Container) CPUTime() (time.Duration, error) {
	if c.looking.CompareAndSwap(false, true) {
		go func() {
			defer c.looking.Store(false)
			if used, err := c.readCPUTime(); err == nil {
				c.used.Store(int64(used))
			}
		}()
	}
	if used := c.used.Load(); used > 0 {
		return time.Duration(used), nil
	}
	return 0, errors.New("the processor time is not known yet")
}

func (c *Container) readCPUTime() (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	a, err := c.engine.api(ctx)
	if err != nil {
		return 0, err
	}
	var stats struct {
		CPU struct {
			Usage struct {
				Total int64 `json:"total_usage"`
			} `json:"cpu_usage"`
		} `json:"cpu_stats"`
	}
	query := url.Values{"stream": {"false"}, "one-shot": {"true"}}
	err = a.call(ctx, http.MethodGet, "/containers/"+c.id+"/stats", query, nil, &stats)
	return time.Duration(stats.CPU.Usage.Total), err
}
