package container_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bookctl/bookctl/internal/localcloud/container"
)

// TestAContainerThatIsHalfRemovedIsRemoved has a container of a cloud without its layer, as an end of Podman
// in the middle of a removal leaves one. It sets where Podman keeps its containers, and so can't be parallel.
func TestAContainerThatIsHalfRemovedIsRemoved(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	podman, err := exec.LookPath("podman")
	if err != nil || os.Getuid() != 0 {
		t.Skip("needs root and podman, which .ci/setup check installs")
	}
	dir, store := t.TempDir(), t.TempDir()
	conf := filepath.Join(store, "storage.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", filepath.Join(store, "graph"), filepath.Join(store, "run")), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINERS_STORAGE_CONF", conf)
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(podman, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("podman %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	root := filepath.Join(store, "root")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(dir))
	run("create", "--network", "none", "--label", "bookctl.cloud="+hex.EncodeToString(sum[:6]), "--rootfs", root, "/none")
	// The list of those that have a layer.
	if err := os.WriteFile(filepath.Join(store, "graph", "vfs-containers", "containers.json"), []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	used, err := json.Marshal(map[string]string{"Kind": container.Podman, "Command": podman})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "engine.json"), used, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := container.Reap(t.Context(), dir); err != nil {
		t.Error(err)
	}
	if left := run("ps", "--all", "--quiet"); left != "" {
		t.Errorf("left: %s", left)
	}
}

// TestContainersAreListedAgainWhereOneGoesMeanwhile has an engine fail to list because
// somebody else's container was removed, as Podman does, and removes all of a cloud
// nevertheless; not from an engine that never can.
func TestContainersAreListedAgainWhereOneGoesMeanwhile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		server   string // who it says it is when it is pinged
		failures int    // of each list
		removed  []string
		fails    bool
	}{
		{"none", "", 0, []string{"/containers/c1", "/volumes/v1"}, false},
		{"two", "Docker/28.3.0 (linux)", 2, []string{"/containers/c1", "/volumes/v1"}, false},
		{"all", "Docker/28.3.0 (linux)", 1000, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "engine") // a socket's path is short
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) }) // what is left lies in the system's temporary directory
			socket := filepath.Join(dir, "s")
			l, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			var (
				mu      sync.Mutex
				failed  = map[string]int{}
				removed []string
			)
			list := func(thing, answer, none string) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					defer mu.Unlock()
					if failed[r.URL.Path]++; failed[r.URL.Path] <= c.failures {
						w.WriteHeader(http.StatusInternalServerError)
						fmt.Fprint(w, `{"message":"container not known"}`)
						return
					}
					if slices.Contains(removed, thing) {
						answer = none
					}
					fmt.Fprint(w, answer)
				}
			}
			mux := http.NewServeMux()
			mux.HandleFunc("GET /_ping", func(w http.ResponseWriter, _ *http.Request) {
				if c.server != "" {
					w.Header().Set("Server", c.server)
					w.Header().Set("Api-Version", "1.41")
				}
			})
			mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
				if c.server != "" {
					t.Error("it is asked for the version that the answer to the ping has")
				}
				fmt.Fprint(w, `{"ApiVersion":"1.41"}`)
			})
			mux.HandleFunc("GET /v1.41/info", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) })
			mux.HandleFunc("GET /v1.41/containers/json", list("/containers/c1", `[{"Id":"c1"}]`, `[]`))
			mux.HandleFunc("GET /v1.41/volumes", list("/volumes/v1", `{"Volumes":[{"Name":"v1"}]}`, `{}`))
			mux.HandleFunc("DELETE /v1.41/{kind}/{id}", func(_ http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				removed = append(removed, "/"+r.PathValue("kind")+"/"+r.PathValue("id"))
			})
			server := httptest.NewUnstartedServer(mux)
			if err := server.Listener.Close(); err != nil {
				t.Fatal(err)
			}
			server.Listener = l
			server.Start()
			t.Cleanup(server.Close)
			used, err := json.Marshal(map[string]string{"Kind": container.Docker, "Socket": socket})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "engine.json"), used, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := container.Reap(t.Context(), dir); (err != nil) != c.fails {
				t.Errorf("error: %v", err)
			}
			if !slices.Equal(removed, c.removed) {
				t.Errorf("removed: %v, want %v", removed, c.removed)
			}
		})
	}
}
