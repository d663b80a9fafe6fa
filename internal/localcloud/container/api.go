package container

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/pattern"
)

// api is an engine's HTTP API on its Unix socket.
type api struct {
	http *http.Client
	// prefix is the version of the API that the engine named itself.
	prefix string
	about  version
}

type version struct {
	APIVersion string `json:"ApiVersion"`
	Version    string
	OS         string `json:"Os"`
	Components []component
}

type component struct{ Name string }

// podman reports whether the engine is Podman, which also serves Docker's socket.
func (v version) podman() bool {
	for _, c := range v.Components {
		if strings.HasPrefix(c.Name, "Podman") {
			return true
		}
	}
	return false
}

func (v version) String() string {
	if v.podman() {
		return "podman " + v.Version
	}
	return "docker " + v.Version
}

// dial opens the API of an engine that listens on a Unix socket.
func dial(ctx context.Context, socket string) (*api, error) {
	a := &api{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
		MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
	}}}
	resp, err := a.open(ctx, http.MethodGet, "/_ping", nil, nil)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close() // "OK"
	about, ok := versionOf(resp.Header)
	if !ok {
		if err := a.call(ctx, http.MethodGet, "/version", nil, nil, &about); err != nil {
			return nil, err
		}
	}
	a.about, a.prefix = about, "/v"+about.APIVersion
	return a, nil
}

// servedBy is the header that names an engine, such as "Docker/28.3.0 (linux)" and "Libpod/4.3.1 (linux)".
var servedBy = pattern.New(`^(Docker|Libpod)/(\S+) \((\w+)\)$`)

// versionOf takes an engine's version from the headers of its answer to a ping: before it answers
// GET /version, Podman starts a dozen programs that look up of which packages it is installed.
func versionOf(h http.Header) (v version, ok bool) {
	server := servedBy.FindStringSubmatch(h.Get("Server"))
	v.APIVersion = h.Get("Api-Version")
	if server == nil || v.APIVersion == "" {
		return version{}, false
	}
	v.Version, v.OS = server[2], server[3]
	if server[1] == "Libpod" {
		v.Components = append(v.Components, component{"Podman Engine"})
	}
	return v, true
}

// apiError is an engine's refusal.
type apiError struct {
	status  int
	message string
}

func (e *apiError) Error() string { return e.message }

// open sends a request, whose body is encoded as JSON unless it is a reader. The
// caller closes the answer's body.
func (a *api) open(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, error) {
	content, mediaType := io.Reader(nil), ""
	switch b := body.(type) {
	case nil:
	case io.Reader:
		content, mediaType = b, "application/x-tar"
	default:
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content, mediaType = bytes.NewReader(text), "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://engine"+a.prefix+path+"?"+query.Encode(), content)
	if err != nil {
		return nil, err
	}
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 400 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	said := struct{ Message string }{}
	if json.Unmarshal(text, &said) != nil || said.Message == "" {
		said.Message = strings.TrimSpace(string(text))
	}
	return nil, &apiError{resp.StatusCode, said.Message}
}

// call sends a request and decodes the answer into out, unless that is nil.
func (a *api) call(ctx context.Context, method, path string, query url.Values, body, out any) error {
	resp, err := a.open(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // only read
	if out == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// ended returns when a container has ended. Podman is asked through its own API: behind Docker's it looks
// at the container without a pause between, and takes a whole processor for it
// (WaitContainerDocker in https://github.com/containers/podman/blob/v4.3.1/pkg/api/handlers/utils/containers.go).
func (a *api) ended(ctx context.Context, id string) error {
	if !a.about.podman() {
		return a.call(ctx, http.MethodPost, "/containers/"+id+"/wait", nil, nil, nil)
	}
	return a.podmans().call(ctx, http.MethodPost, "/containers/"+id+"/wait", url.Values{"interval": {"250ms"}, "condition": {"stopped", "exited"}}, nil, nil)
}

// podmans is Podman's own API, which it serves as well as Docker's.
func (a *api) podmans() *api {
	own := *a
	own.prefix = "/v4.0.0/libpod" // the oldest version that Podman 4 and 5 serve
	return &own
}

// containers is the API that lists containers. Podman lists none behind Docker's where one of them is
// half removed, which its end in the middle of a removal leaves for good: it looks up each one's layer
// (LibpodToContainer in https://github.com/containers/podman/blob/v4.3.1/pkg/api/handlers/compat/containers.go).
// Its own list has that one too, and a removal completes it.
func (a *api) containers() *api {
	if a.about.podman() {
		return a.podmans()
	}
	return a
}

// isStatus reports whether the engine answered with that status.
func isStatus(err error, status int) bool {
	refused, ok := errors.AsType[*apiError](err)
	return ok && refused.status == status
}

// split copies the two streams that an engine sends as one, to its end
// (https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach).
func split(from io.Reader, stdout, stderr io.Writer) error {
	var head [8]byte
	for {
		if _, err := io.ReadFull(from, head[:]); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		to := stdout
		if head[0] == 2 {
			to = stderr
		}
		if _, err := io.CopyN(to, from, int64(binary.BigEndian.Uint32(head[4:]))); err != nil {
			return fmt.Errorf("read a container's output: %w", err)
		}
	}
}
