package image_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	upstream "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/image"
)

const (
	somebody = "somebody"
	password = "the very secret word"
)

// privateRegistry asks for a login, or hides what it has from those without.
func privateRegistry(t *testing.T, hides bool) (host string, logins authn.Keychain) {
	t.Helper()
	inner := upstream.New(upstream.Logger(log.New(io.Discard, "", 0)))
	host = newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, word, _ := r.BasicAuth()
		switch {
		case user == somebody && word == password, hides && r.URL.Path == "/v2/":
			inner.ServeHTTP(w, r)
		case hides:
			w.WriteHeader(http.StatusNotFound)
		default:
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	return host, keychain{host: &authn.Basic{Username: somebody, Password: password}}
}

// keychain holds logins by registry.
type keychain map[string]authn.Authenticator

func (k keychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if auth, ok := k[r.RegistryStr()]; ok {
		return auth, nil
	}
	return authn.Anonymous, nil
}

// put pushes a small image for linux and returns its digest.
func put(t *testing.T, ref string, logins authn.Keychain, platform v1.Platform) string {
	t.Helper()
	built, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: platform.OS, Architecture: platform.Architecture})
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, built, remote.WithAuthFromKeychain(logins)); err != nil {
		t.Fatal(err)
	}
	digest, err := built.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

func TestAnImageIsReadAsTasksWillPullIt(t *testing.T) {
	t.Parallel()
	asks, logins := privateRegistry(t, false)
	hides, hidden := privateRegistry(t, true)
	linux := v1.Platform{OS: "linux", Architecture: "amd64"}
	digest := put(t, asks+"/app:1", logins, linux)
	put(t, hides+"/app:1", hidden, linux)
	wrong := keychain{asks: &authn.Basic{Username: somebody, Password: "a word of before"}}
	none := keychain{}
	secret := "--registry-secret ARN"
	for _, c := range []struct {
		what, ref  string
		logins     authn.Keychain
		tasksLogIn bool
		says, next string // of the error; none where empty
	}{
		{"a login that tasks have too", asks + "/app:1", logins, true, "", ""},
		{"a login that tasks have not", asks + "/app:1", logins, false, "can be read with this machine's login", secret},
		{"one that hides what is private", hides + "/app:1", hidden, false, "can be read with this machine's login", secret},
		{"the same by its digest", asks + "/app@" + digest, logins, false, "can be read with this machine's login", secret},
		{"no login at all", asks + "/app:1", none, false, "asks for a login, and tasks have none", secret},
		{"none at all, by its digest", asks + "/app@" + digest, none, false, "asks for a login, and tasks have none", secret},
		{"tasks have a login, and this machine none", asks + "/app:1", none, true, "this machine has no login for registry " + asks, "docker login " + asks},
		{"the same by its digest", asks + "/app@" + digest, none, true, "", ""},
		{"a login that is not right", asks + "/app:1", wrong, true, "refused the credentials", ""},
		{"nothing there, for those who hide", hides + "/none:1", hidden, false, "no such image or repository", "check its name"},
	} {
		info, err := image.Lookup{Logins: c.logins, TasksLogIn: c.tasksLogIn}.Inspect(t.Context(), c.ref)
		if c.says == "" {
			if err != nil || info.Digest != digest || info.Reference != asks+"/app@"+digest {
				t.Errorf("%s: %+v, %v", c.what, info, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(hint.Of(err).String(), c.next) {
			t.Errorf("%s: error %v, next %q; want %q and %q", c.what, err, hint.Of(err).String(), c.says, c.next)
		}
		if text := fmt.Sprintf("%v %+v", err, err); strings.Contains(text, password) || strings.Contains(text, "a word of before") {
			t.Errorf("%s: the error shows the password: %s", c.what, text)
		}
	}
}

// It sets environment variables, and so can't be parallel.
func TestDockersLoginsAreRead(t *testing.T) {
	host, logins := privateRegistry(t, false)
	digest := put(t, host+"/app:1", logins, v1.Platform{OS: "linux", Architecture: "amd64"})
	config, helpers := t.TempDir(), t.TempDir()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("DOCKER_CONFIG", config)
	t.Setenv("PATH", helpers+string(os.PathListSeparator)+os.Getenv("PATH"))
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lookup := image.Lookup{TasksLogIn: true}
	auth := (&authn.AuthConfig{Username: somebody, Password: password})
	encoded, err := auth.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(config, "config.json"), fmt.Sprintf(`{"auths":{%q:%s}}`, host, encoded))
	if info, err := lookup.Inspect(t.Context(), host+"/app:1"); err != nil || info.Digest != digest {
		t.Errorf("from the configuration: %+v, %v", info, err)
	}
	write(filepath.Join(config, "config.json"), fmt.Sprintf(`{"credHelpers":{%q:"test"}}`, host))
	write(filepath.Join(helpers, "docker-credential-test"), fmt.Sprintf("#!/bin/sh\ncat >/dev/null\necho '{\"Username\":%q,\"Secret\":%q}'\n", somebody, password))
	if info, err := lookup.Inspect(t.Context(), host+"/app:1"); err != nil || info.Digest != digest {
		t.Errorf("from a credential helper: %+v, %v", info, err)
	}
	write(filepath.Join(helpers, "docker-credential-test"), fmt.Sprintf("#!/bin/sh\necho '%s'; exit 1\n", password))
	if _, err := lookup.Inspect(t.Context(), host+"/app:1"); err == nil || !strings.Contains(err.Error(), "Docker's login for it can't be read") || strings.Contains(err.Error(), password) {
		t.Errorf("from a credential helper that fails: %v", err)
	}
	write(filepath.Join(helpers, "docker-credential-test"), "#!/bin/sh\nexec sleep 3\n")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := lookup.Inspect(ctx, host+"/app:1"); !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(fmt.Sprint(err), "deadline") {
		t.Errorf("from a credential helper that waits for a person: %v", err)
	}
}

func TestWhatTasksCanNotRunIsRefusedWithWhatThereIs(t *testing.T) {
	t.Parallel()
	host := newServer(t, upstream.New(upstream.Logger(log.New(io.Discard, "", 0))))
	index := func(tag string, platforms ...*v1.Platform) string {
		t.Helper()
		var list v1.ImageIndex = empty.Index
		for _, p := range platforms {
			part, err := random.Image(10, 1)
			if err != nil {
				t.Fatal(err)
			}
			list = mutate.AppendManifests(list, mutate.IndexAddendum{Add: part, Descriptor: v1.Descriptor{Platform: p, MediaType: types.OCIManifestSchema1}})
		}
		ref, err := name.NewTag(host + "/app:" + tag)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.WriteIndex(ref, list); err != nil {
			t.Fatal(err)
		}
		return ref.String()
	}
	of := func(os, arch string) *v1.Platform { return &v1.Platform{OS: os, Architecture: arch} }
	attestation := of("unknown", "unknown")
	chart := func() string {
		ref, err := name.NewTag(host + "/chart:1")
		if err != nil {
			t.Fatal(err)
		}
		layered, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.cncf.helm.config.v1+json"),
			static.NewLayer([]byte("chart"), "application/vnd.cncf.helm.chart.content.v1.tar+gzip"))
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, layered); err != nil {
			t.Fatal(err)
		}
		return ref.String()
	}()
	put(t, host+"/app:windows", keychain{}, v1.Platform{OS: "windows", Architecture: "amd64"})
	for _, c := range []struct {
		ref   string
		archs []string
		says  string
	}{
		{index("attested", of("linux", "arm64"), attestation, of("linux", "s390x"), attestation), []string{"arm64", "s390x"}, ""},
		{index("unsaid", nil), nil, ""},
		{index("attestations", attestation, attestation), nil, "an index of attestations alone (platform unknown/unknown)"},
		{index("others", of("windows", "amd64"), of("darwin", "arm64"), attestation), nil, "is for darwin/arm64, windows/amd64, and tasks run linux"},
		{host + "/app:windows", nil, "is for windows/amd64"},
		{chart, nil, "it is not a container image but application/vnd.cncf.helm.config.v1+json"},
	} {
		info, err := image.Lookup{}.Inspect(t.Context(), c.ref)
		switch {
		case c.says == "" && (err != nil || !slices.Equal(info.Architectures, c.archs)):
			t.Errorf("%s: %+v, %v", c.ref, info, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || hint.Of(err).Empty()):
			t.Errorf("%s: error %v, next %q; want %q", c.ref, err, hint.Of(err).String(), c.says)
		}
	}
}

// busy refuses the first requests for a manifest.
type busy struct {
	http.Handler
	refuse  atomic.Int32
	after   string // Retry-After
	mu      sync.Mutex
	refused []time.Time
}

func (b *busy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "/manifests/") && r.Method != http.MethodPut && b.refuse.Add(-1) >= 0 {
		b.mu.Lock()
		b.refused = append(b.refused, time.Now())
		b.mu.Unlock()
		if b.after != "" {
			w.Header().Set("Retry-After", b.after)
		}
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	b.Handler.ServeHTTP(w, r)
}

func TestABusyRegistryIsWaitedForAsLongAsItAsks(t *testing.T) {
	t.Parallel()
	for _, after := range []string{"2", "date", ""} {
		t.Run("after "+after, func(t *testing.T) {
			t.Parallel()
			b := &busy{Handler: upstream.New(upstream.Logger(log.New(io.Discard, "", 0))), after: after}
			host := newServer(t, b)
			put(t, host+"/app:1", keychain{}, v1.Platform{OS: "linux", Architecture: "amd64"})
			if after == "date" {
				b.after = time.Now().Add(3 * time.Second).UTC().Format(http.TimeFormat)
			}
			b.refuse.Store(1)
			var notes []string
			begun := time.Now()
			info, err := image.Lookup{Note: func(text string) { notes = append(notes, text) }}.Inspect(t.Context(), host+"/app:1")
			if err != nil || info.Digest == "" {
				t.Fatalf("%+v, %v", info, err)
			}
			if after != "" && (len(notes) != 1 || !strings.Contains(notes[0], "takes no more requests for now (429), and asks to wait ")) {
				t.Errorf("notes %q", notes)
			}
			if wait, _ := strconv.Atoi(after); time.Since(begun) < time.Duration(wait)*time.Second {
				t.Errorf("it asked for %s s and got another request after %s", after, time.Since(begun))
			}
		})
	}
}

func TestABusyRegistryIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	b := &busy{Handler: upstream.New(upstream.Logger(log.New(io.Discard, "", 0))), after: "21600"}
	host := newServer(t, b)
	b.refuse.Store(1000)
	begun := time.Now()
	_, err := image.Lookup{}.Inspect(t.Context(), host+"/app@sha256:"+strings.Repeat("1", 64))
	if err == nil || !strings.Contains(err.Error(), "takes no more requests for now, and asks to wait 6h0m0s") || !strings.Contains(hint.Of(err).String(), "later") {
		t.Errorf("error %v, next %q", err, hint.Of(err).String())
	}
	if len(b.refused) != 1 || time.Since(begun) > 3*time.Second {
		t.Errorf("asked %d times in %s, want once", len(b.refused), time.Since(begun))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	b.after = "60"
	if _, err := (image.Lookup{}).Inspect(ctx, host+"/app:1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a wait that outlasts its run: %v", err)
	}
}

func TestECRIsReadWithTheCredentialsOfTheRun(t *testing.T) {
	t.Parallel()
	for host, region := range map[string]string{
		"111122223333.dkr.ecr.eu-west-1.amazonaws.com":      "eu-west-1",
		"111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn":  "cn-north-1",
		"111122223333.dkr-ecr.eu-west-1.on.aws":             "eu-west-1",
		"111122223333.dkr.ecr-fips.us-east-1.amazonaws.com": "us-east-1",
		"public.ecr.aws": "", "111122223333.dkr.ecr.eu-west-1.amazonaws.com.example.org": "",
	} {
		if got := image.ECRRegion(host); got != region || image.IsECR(host) != (region != "") {
			t.Errorf("%s is in region %q, want %q", host, got, region)
		}
	}
	// One that can't be logged in to is left to the tasks when it is named by its digest.
	denied := image.Lookup{ECR: func(context.Context, string) (authn.Authenticator, error) { return nil, errors.New("denied") }, Logins: keychain{}}
	ref := "111122223333.dkr.ecr.eu-west-1.amazonaws.com/book/app"
	pinned := ref + "@sha256:" + strings.Repeat("1", 64)
	if info, err := denied.Inspect(t.Context(), pinned); err != nil || info.Reference != pinned {
		t.Errorf("%+v, %v", info, err)
	}
	if _, err := denied.Inspect(t.Context(), ref+":1"); err == nil || !strings.Contains(err.Error(), "denied") {
		t.Errorf("by its tag: %v", err)
	}
}
