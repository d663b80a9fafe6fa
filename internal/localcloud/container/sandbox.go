package container

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/bookctl/bookctl/internal/localcloud/task"
)

// sandboxLabel marks the containers that own a task's network.
const sandboxLabel = "bookctl.sandbox"

// sandbox is the network of a task, and what its containers share.
type sandbox struct {
	id      string
	addr    map[int]string // by port: where it is published
	volumes map[string]bool
}

// portTries are how often another set of ports is tried after one was taken
// between its choice and its use.
const portTries = 3

// sandbox is a task's, made when the first of its containers needs it.
func (e *Engine) sandbox(ctx context.Context, a *api, spec task.Spec) (*sandbox, error) {
	e.mu.Lock()
	s, relays := e.sandboxes[spec.Task], e.relays
	e.mu.Unlock()
	if s != nil {
		return s, nil
	}
	dir := shortDir(e.id)
	if relays == nil {
		var err error
		if relays, err = openRelays(dir, e.cfg.Reach); err != nil {
			return nil, fmt.Errorf("listen for tasks: %w", err)
		}
		e.mu.Lock()
		e.relays = relays
		e.mu.Unlock()
	}
	image, err := scratch()
	if err != nil {
		return nil, err
	}
	loaded, err := e.Load(ctx, image)
	if err != nil {
		return nil, err
	}
	want := map[string]any{
		"Image":      loaded.Name,
		"Entrypoint": append([]string{"/relay"}, e.cfg.Relay[1:]...),
		"Cmd":        []string{"/cloud/" + relaySocket, spec.Task},
		"Labels":     map[string]string{label: e.id, taskLabel: spec.Task, sandboxLabel: "true"},
	}
	host := map[string]any{
		"Binds": append(libraries(), e.cfg.Relay[0]+":/relay:ro", dir+":/cloud"), "ReadonlyRootfs": true, "CapDrop": []string{"ALL"},
		// SELinux would keep it from the socket.
		"SecurityOpt": []string{"label=disable"}, "LogConfig": noLog, "Ulimits": ulimits(a, nil),
		"Sysctls": sysctls(spec.Sysctls),
	}
	want["HostConfig"] = host
	bindings, exposed := map[string]any{}, map[string]any{}
	for _, port := range spec.Ports {
		name := strconv.Itoa(port) + "/tcp"
		bindings[name], exposed[name] = []map[string]string{{"HostIp": "127.0.0.1", "HostPort": ""}}, struct{}{}
	}
	host["PortBindings"], want["ExposedPorts"] = bindings, exposed
	for try := 1; ; try++ {
		s, err := e.startSandbox(ctx, a, relays, spec.Task, want)
		if err == nil {
			e.mu.Lock()
			e.sandboxes[spec.Task] = s
			e.mu.Unlock()
			return s, nil
		}
		if try == portTries || !strings.Contains(err.Error(), "address already in use") {
			return nil, fmt.Errorf("make the task's network: %w", err)
		}
	}
}

// sysctls are parameters of the kernel as on Fargate, where only root listens on ports below
// 1024 unless the task says otherwise: https://github.com/aws/containers-roadmap/issues/1721.
// Docker lets everybody: https://github.com/moby/moby/pull/41030
func sysctls(own map[string]string) map[string]string {
	out := map[string]string{"net.ipv4.ip_unprivileged_port_start": "1024"}
	maps.Copy(out, own)
	return out
}

func (e *Engine) startSandbox(ctx context.Context, a *api, relays *relays, task string, want map[string]any) (_ *sandbox, err error) {
	id, err := create(ctx, a, "bookctl-"+task, want)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, remove(context.WithoutCancel(ctx), a, id))
		}
	}()
	output := &bytes.Buffer{}
	attached, err := a.open(ctx, http.MethodPost, "/containers/"+id+"/attach", attachment, nil) //nolint:bodyclose // read to its end below
	if err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	ready := relays.expect(task)
	if err := a.call(ctx, http.MethodPost, "/containers/"+id+"/start", nil, nil, nil); err != nil {
		_ = attached.Body.Close() // only read
		return nil, err
	}
	go func() {
		_ = split(attached.Body, output, output) // what came says why it ended
		_ = attached.Body.Close()
		// The stream may end before the container does.
		_ = a.ended(context.WithoutCancel(ctx), id)
		close(ended)
	}()
	if err := await(ctx, ready, ended); err != nil {
		select {
		case <-ended:
			return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(output.String()))
		default:
			return nil, err
		}
	}
	var now struct {
		NetworkSettings struct {
			Ports map[string][]struct{ HostIP, HostPort string }
		}
	}
	if err := a.call(ctx, http.MethodGet, "/containers/"+id+"/json", nil, nil, &now); err != nil {
		return nil, err
	}
	s := &sandbox{id: id, addr: map[int]string{}, volumes: map[string]bool{}}
	for name, bound := range now.NetworkSettings.Ports {
		port, err := strconv.Atoi(strings.TrimSuffix(name, "/tcp"))
		if err == nil && len(bound) > 0 {
			s.addr[port] = net.JoinHostPort("127.0.0.1", bound[0].HostPort)
		}
	}
	return s, nil
}

// Release removes what a task's containers shared. They must have ended.
func (e *Engine) Release(ctx context.Context, task string) error {
	e.mu.Lock()
	s, a := e.sandboxes[task], e.opened
	delete(e.sandboxes, task)
	e.mu.Unlock()
	if s == nil || a == nil {
		return nil
	}
	errs := []error{remove(ctx, a, s.id)}
	for _, volume := range slices.Sorted(maps.Keys(s.volumes)) {
		errs = append(errs, removeVolume(ctx, a, volume))
	}
	return errors.Join(errs...)
}

// volume is a task's volume, which is empty at first.
func (e *Engine) volume(ctx context.Context, a *api, s *sandbox, task, name string) (string, error) {
	full := "bookctl-" + task + "-" + name
	if s.volumes[full] {
		return full, nil
	}
	want := map[string]any{"Name": full, "Labels": map[string]string{label: e.id, taskLabel: task}}
	if err := a.call(ctx, http.MethodPost, "/volumes/create", nil, want, nil); err != nil {
		return "", fmt.Errorf("make volume %s: %w", name, err)
	}
	s.volumes[full] = true
	return full, nil
}

// attachment are the parameters that ask for all output.
var attachment = url.Values{"stream": {"true"}, "stdout": {"true"}, "stderr": {"true"}}

// noLog keeps the engine from writing output to its disk.
var noLog = map[string]any{"Type": "none"}

// create creates a container and returns its id.
func create(ctx context.Context, a *api, name string, want any) (string, error) {
	var made struct {
		ID string `json:"Id"`
	}
	if err := a.call(ctx, http.MethodPost, "/containers/create", url.Values{"name": {name}}, want, &made); err != nil {
		return "", err
	}
	return made.ID, nil
}

// libraries are what a relay that is linked dynamically needs: a program that was
// built without CGO_ENABLED=0.
func libraries() (binds []string) {
	for _, dir := range []string{"/lib", "/lib64", "/usr/lib"} {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			binds = append(binds, real+":"+dir+":ro")
		}
	}
	return binds
}

// scratch is an image with nothing in it but an empty directory, since engines
// want a layer.
func scratch() (v1.Image, error) {
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	if err := w.WriteHeader(&tar.Header{Name: "cloud/", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text.Bytes())), nil })
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", runtime.GOARCH, v1.Config{Entrypoint: []string{"/relay"}}
	return mutate.ConfigFile(image, file)
}
