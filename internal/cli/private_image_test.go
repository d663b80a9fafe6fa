package cli_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/bookctl/bookctl/internal/image"
)

// privateImage puts bookapi into a registry that asks for a login, and returns its
// tag and its pinned reference.
func privateImage(t *testing.T, user, password string) (tagged, pinned string) {
	t.Helper()
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != user || p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	source, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	built, err := image.Build(t.Context(), image.Source{Dir: source, Arch: runtime.GOARCH})
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := image.Upload{Auth: &authn.Basic{Username: user, Password: password}}.Push(t.Context(), built, strings.TrimPrefix(server.URL, "http://")+"/bookapi")
	if err != nil {
		t.Fatal(err)
	}
	repository, _, _ := strings.Cut(pushed.Reference, "@")
	return repository + ":" + pushed.Tag, pushed.Reference
}

func TestAPrivateImageIsPulledByARegistrySecret(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	const user, password = "puller", "a word that nobody may see"
	tagged, pinned := privateImage(t, user, password)
	s := newShell(t)
	h := s.byHand(t, nil)
	before := h.inventory()
	s.run("up", "--local", "--image", tagged).says(t, 1, "asks for a login, and tasks have none", "next: give tasks a login with --registry-secret ARN")
	s.run("up", "--local", "--image", pinned).says(t, 1, "asks for a login, and tasks have none")
	host, _, _ := strings.Cut(tagged, "/")
	if err := os.Mkdir(filepath.Join(s.dir, ".docker"), 0o700); err != nil {
		t.Fatal(err)
	}
	login := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	if err := os.WriteFile(filepath.Join(s.dir, ".docker", "config.json"), fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, host, login), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run("up", "--local", "--image", tagged).says(t, 1, "can be read with this machine's login for "+host, "next: give tasks a login with --registry-secret ARN")
	s.run("up", "--local", "--registry-secret", "registry").says(t, 64, `registry secret "registry": give the ARN`)
	s.run("up", "--local", "--image", "build", "--registry-secret", "arn:aws:secretsmanager:us-east-1:000000000000:secret:registry-AbCdEf").says(t, 64, "a registry secret goes with an image of a registry outside of AWS")
	if diff := cmp.Diff(before, h.inventory()); diff != "" {
		t.Errorf("what was refused has changed something (-before +after):\n%s", diff)
	}

	value := fmt.Sprintf(`{"username":%q,"password":%q}`, user, password)
	made, other := s.createSecret("registry", value), s.createSecret("another", value)
	url := s.up("--image", tagged, "--registry-secret", made)
	if code, body := call(t, http.MethodGet, url+"/books", ""); code != http.StatusOK {
		t.Errorf("it answers %d %s", code, body)
	}
	// It is kept, and shows when it is changed.
	if r := s.run("plan", "--local"); r.code != 0 {
		t.Errorf("plan after that: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	r := s.run("plan", "--local", "--registry-secret", other)
	if r.code != 2 || !strings.Contains(r.out, "registry-secret: "+made+" → "+other) {
		t.Errorf("plan of another secret: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	s.run("plan", "--local", "--registry-secret", "none").says(t, 1, "can be read with this machine's login")
	// The login goes to its own registry alone.
	r = s.run("plan", "--local", "--image", readyImage(t))
	if r.code != 2 || !strings.Contains(r.out, "registry-secret: "+made+" → (none)") {
		t.Errorf("plan of an image from elsewhere: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	s.searchFor(t, password, 5)
}
