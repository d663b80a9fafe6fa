package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"debug/elf"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/image"
	"github.com/bookctl/bookctl/internal/localcloud/registry"
	"github.com/bookctl/bookctl/internal/localcloud/task"
)

func TestTheSameSourceGivesTheSameDigest(t *testing.T) {
	t.Parallel()
	one := build(t, copyHello(t), "amd64")
	two := build(t, copyHello(t), "amd64")
	if one.Digest != two.Digest {
		t.Errorf("digests %s and %s of equal sources in two places", one.Digest, two.Digest)
	}
	changed := copyHello(t)
	change(t, changed)
	if got := build(t, changed, "amd64"); got.Digest == one.Digest {
		t.Error("another source, and the same digest")
	}
}

func TestACachedProgramIsUsedOnlyWhileItIsCurrentAndWhole(t *testing.T) {
	t.Parallel()
	source := image.Source{Dir: copyHello(t), Arch: "amd64", Cache: filepath.Join(t.TempDir(), "cache")}
	digest := func() string {
		t.Helper()
		built, err := image.Build(t.Context(), source)
		if err != nil {
			t.Fatal(err)
		}
		return built.Digest
	}
	want := digest()
	all, err := filepath.Glob(filepath.Join(source.Cache, "*"))
	if err != nil || len(all) != 3 {
		t.Fatalf("cache: %v, %v; want the program and two layers", all, err)
	}
	if got := digest(); got != want {
		t.Errorf("from the cache: %s, want %s", got, want)
	}
	for _, file := range all {
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		half := append(bytes.Clone(whole[:len(whole)/2]), make([]byte, len(whole)/2)...)
		for name, bad := range map[string][]byte{"empty": nil, "cut off": whole[:len(whole)/2], "half written": half} {
			if err := os.WriteFile(file, bad, 0o644); err != nil {
				t.Fatal(err)
			}
			if got := digest(); got != want {
				t.Errorf("from a cache in which %s is %s: %s, want %s", filepath.Base(file), name, got, want)
			}
		}
	}
	layers, err := filepath.Glob(filepath.Join(source.Cache, "built-*"))
	if err != nil || len(layers) != 2 {
		t.Fatalf("layers: %v, %v", layers, err)
	}
	// That a layer which was compressed once is not compressed again shows in one that
	// was compressed by something else.
	whole, err := os.ReadFile(layers[0])
	if err != nil {
		t.Fatal(err)
	}
	more := bytes.NewBuffer(bytes.Clone(whole[sha256.Size:]))
	if err := gzip.NewWriter(more).Close(); err != nil { // one more member, and an empty one
		t.Fatal(err)
	}
	other := more.Bytes()
	sum := sha256.Sum256(other)
	if err := os.WriteFile(layers[0], append(sum[:], other...), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := digest(); got == want {
		t.Error("the layer in the cache was not used")
	}
	if err := os.Remove(layers[0]); err != nil {
		t.Fatal(err)
	}
	kept, err := filepath.Glob(filepath.Join(source.Cache, "program-*"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("programs: %v, %v", kept, err)
	}
	var old []string // of clones that are gone
	for i := range 10 {
		name := filepath.Join(source.Cache, fmt.Sprintf("program-of-old-%d", i))
		at := time.Now().Add(-time.Duration(i+1) * time.Hour)
		if err := errors.Join(os.WriteFile(name, nil, 0o644), os.Chtimes(name, at, at)); err != nil {
			t.Fatal(err)
		}
		old = append(old, name)
	}
	change(t, source.Dir)
	if got := digest(); got == want {
		t.Error("the cached program was used for another source")
	}
	newest := slices.Sorted(slices.Values(append(old[:7:7], kept[0])))
	if left, err := filepath.Glob(filepath.Join(source.Cache, "program-*")); err != nil || !slices.Equal(left, newest) {
		t.Errorf("the cache keeps %q, %v; want the newest eight: %q", left, err, newest)
	}
}

func TestAnImageHoldsTheProgramAndItsCertificatesAndNothingElse(t *testing.T) {
	t.Parallel()
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		built := build(t, copyHello(t), arch)
		headers, content := files(t, built.OCI)
		want := []string{
			"bookapi 755", "etc/ 755", "etc/group 644", "etc/passwd 644", "etc/ssl/ 755", "etc/ssl/certs/ 755",
			"etc/ssl/certs/ca-certificates.crt 644", "etc/ssl/certs/rds-global-bundle.pem 644",
		}
		var got []string
		for _, h := range headers {
			got = append(got, fmt.Sprintf("%s %o", h.Name, h.Mode))
			if h.Uid != 0 || h.Gid != 0 || !h.ModTime.Equal(time.Unix(0, 0)) {
				t.Errorf("%s: owner %d:%d, time %v; want root and the epoch", h.Name, h.Uid, h.Gid, h.ModTime)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("files, want → got:\n%s", diff)
		}
		if !strings.Contains(string(content["etc/passwd"]), "nonroot:x:65532:65532:") {
			t.Errorf("/etc/passwd does not know the user:\n%s", content["etc/passwd"])
		}
		program, err := elf.NewFile(bytes.NewReader(content["bookapi"]))
		if err != nil {
			t.Fatal(err)
		}
		if program.Machine != machine || slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
			t.Errorf("%s: the program is for %v, or needs a loader that is not in the image", arch, program.Machine)
		}
		config, err := built.OCI.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		c := config.Config
		if config.OS != "linux" || config.Architecture != arch || c.User != "65532:65532" || c.ExposedPorts["8080/tcp"] != struct{}{} ||
			len(c.ExposedPorts) != 1 || !slices.Equal(c.Entrypoint, []string{"/bookapi"}) || c.Labels["org.opencontainers.image.version"] != "1.2.3" {
			t.Errorf("config: %+v", config)
		}
	}
}

// A task's start begins with the pull, and 20 MB is the promise.
func TestBookapisImageIsSmall(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("compiles bookapi")
	}
	size := 0
	_, content := files(t, build(t, "../..", "amd64").OCI)
	for _, file := range content {
		size += len(file)
	}
	t.Logf("%d bytes", size)
	if size == 0 || size >= 20_000_000 {
		t.Errorf("%d bytes unpacked, want fewer than 20 MB", size)
	}
}

func TestTheCertificatesAreValidAndKnowTheRegions(t *testing.T) {
	t.Parallel()
	_, content := files(t, build(t, copyHello(t), "amd64").OCI)
	roots := certificates(t, content["etc/ssl/certs/ca-certificates.crt"])
	if len(roots) < 100 {
		t.Errorf("%d public roots, want more than 100", len(roots))
	}
	if !slices.ContainsFunc(roots, func(c *x509.Certificate) bool { return c.Subject.CommonName == "Amazon Root CA 1" }) {
		t.Error("the public roots lack Amazon's")
	}
	rds := map[string]*x509.Certificate{}
	for _, c := range certificates(t, content["etc/ssl/certs/rds-global-bundle.pem"]) {
		rds[c.Subject.CommonName] = c
	}
	for _, region := range strings.Fields(`us-east-1 us-east-2 us-west-1 us-west-2 ca-central-1 sa-east-1
		eu-west-1 eu-west-2 eu-west-3 eu-central-1 eu-north-1 eu-south-1
		ap-south-1 ap-southeast-1 ap-southeast-2 ap-northeast-1 ap-northeast-2`) {
		for _, kind := range []string{"RSA2048", "RSA4096", "ECC384"} {
			c := rds["Amazon RDS "+region+" Root CA "+kind+" G1"]
			if c == nil {
				t.Errorf("region %s: no root certificate of %s", region, kind)
				continue
			}
			if !c.IsCA {
				t.Errorf("region %s: the certificate of %s is no authority's", region, kind)
			}
		}
		if !image.HasDatabaseCA(region) {
			t.Errorf("region %s is said to be unknown", region)
		}
	}
	for _, region := range []string{"us-gov-west-1", "eu", ".*", ""} {
		if image.HasDatabaseCA(region) {
			t.Errorf("region %q is said to be known", region)
		}
	}
}

func TestAnUnchangedImageIsNotSentAgain(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	built := build(t, copyHello(t), "amd64")
	var mu sync.Mutex
	var done, total int64
	first, err := image.Upload{Progress: func(d, of int64) {
		mu.Lock()
		defer mu.Unlock()
		done, total = d, of
	}}.Push(t.Context(), built, r.name)
	if err != nil {
		t.Fatal(err)
	}
	want := r.name + "@" + built.Digest
	if !first.Sent || first.Reference != want {
		t.Errorf("first push: %+v, want %s sent", first, want)
	}
	if done == 0 || done != total {
		t.Errorf("progress ended at %d of %d bytes", done, total)
	}
	if sent := r.sent(); len(sent) == 0 {
		t.Fatal("nothing seen on the wire")
	}
	again, err := image.Upload{}.Push(t.Context(), build(t, copyHello(t), "amd64"), r.name)
	if err != nil {
		t.Fatal(err)
	}
	if again.Sent || again.Reference != want {
		t.Errorf("second push: %+v", again)
	}
	if sent := r.sent(); len(sent) != 0 {
		t.Errorf("the second push sent %v", sent)
	}

	// A new program leaves the certificates where they are: one layer and the
	// configuration go up.
	if _, err := (image.Upload{}).Push(t.Context(), build(t, copyHello(t), "arm64"), r.name); err != nil {
		t.Fatal(err)
	}
	uploads := slices.DeleteFunc(r.sent(), func(line string) bool { return !strings.HasPrefix(line, "POST ") })
	if len(uploads) != 2 {
		t.Errorf("a new program took %d uploads, want 2: %v", len(uploads), uploads)
	}
}

func TestAnImageRunsAsATask(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	pushed, err := image.Upload{}.Push(t.Context(), build(t, copyHello(t), runtime.GOARCH), r.name)
	if err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	// As root the container runs as another user, who must be let in.
	if err := os.Chmod(filepath.Dir(state), 0o711); err != nil {
		t.Fatal(err)
	}
	images, err := task.OpenImages(state)
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := images.Pull(t.Context(), pushed.Reference, v1.Platform{OS: "linux", Architecture: runtime.GOARCH}, task.Login{})
	if err != nil {
		t.Fatal(err)
	}
	container, err := task.Start(task.Spec{Image: pulled, Output: func(line string) { t.Log(line) }})
	if err != nil {
		t.Fatal(err)
	}
	defer container.Stop(context.Background(), 0)
	uid := os.Getuid()
	if uid == 0 {
		uid = 65532
	}
	want := fmt.Sprintf("Hello from %d, version 1.2.3\n", uid)
	for {
		answer, err := get(t.Context(), fmt.Sprintf("http://127.0.0.1:%d/", container.Port))
		if err == nil {
			if answer != want {
				t.Errorf("it answers %q, want %q", answer, want)
			}
			break
		}
		select {
		case <-container.Done():
			t.Fatalf("it ended with %d", container.ExitCode())
		case <-time.After(20 * time.Millisecond):
		}
	}
	if code, err := container.Exec(t.Context(), image.Entrypoint, "-healthcheck"); err != nil || code != 0 {
		t.Errorf("health check: exit code %d, %v", code, err)
	}
}

func TestInspectSaysWhatAReadyImageIsFor(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	var index v1.ImageIndex = empty.Index
	for _, arch := range []string{"arm64", "amd64"} {
		built := build(t, copyHello(t), arch)
		pushed, err := image.Upload{}.Push(t.Context(), built, r.name)
		if err != nil {
			t.Fatal(err)
		}
		want := image.Info{Reference: pushed.Reference, Digest: built.Digest, Architectures: []string{arch}}
		for _, ref := range []string{pushed.Reference, r.name + ":" + pushed.Tag} {
			got, err := (image.Lookup{}).Inspect(t.Context(), ref)
			if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(image.Info{})); err != nil || diff != "" {
				t.Errorf("%s: %v, want → got:\n%s", ref, err, diff)
			}
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: built.OCI, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	tag, err := name.NewTag(r.name + ":both")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(tag, index); err != nil {
		t.Fatal(err)
	}
	got, err := (image.Lookup{}).Inspect(t.Context(), tag.String())
	if err != nil || !slices.Equal(got.Architectures, []string{"amd64", "arm64"}) {
		t.Errorf("an index: %+v, %v", got, err)
	}
	if _, err := (image.Lookup{}).Inspect(t.Context(), r.name+":none"); err == nil || !strings.Contains(hint.Of(err).String(), "check its name and tag") {
		t.Errorf("a tag that is not there: %v", err)
	}
}

func TestBadReferencesAreReportedInOneLine(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{"", "Not A Reference", "app:", "app@sha256:12", "app:a b", "host:port/app", strings.Repeat("a", 300)} {
		_, err := image.ParseReference(ref)
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "REGISTRY/REPOSITORY:TAG") {
			t.Errorf("%q: %v", ref, err)
		}
	}
	for _, ref := range []string{"nginx", "nginx:1", "ghcr.io/a/b:c", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/book/app@sha256:" + strings.Repeat("a", 64)} {
		if _, err := image.ParseReference(ref); err != nil {
			t.Errorf("%q: %v", ref, err)
		}
	}
}

func TestFailuresSayWhatToDo(t *testing.T) {
	t.Parallel()
	hello := copyHello(t)
	broken := copyHello(t)
	if err := os.WriteFile(filepath.Join(broken, "cmd/bookapi/broken.go"), []byte("package main\nvar x int = true\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx    context.Context
		source image.Source
		is     error
		want   string
	}{
		{t.Context(), image.Source{Dir: hello, Arch: "386"}, nil, `architecture "386" is not one of amd64 and arm64`},
		{t.Context(), image.Source{Dir: hello, Arch: "amd64", Version: "1 -X main.x=y"}, nil, "may hold only"},
		{t.Context(), image.Source{Dir: t.TempDir(), Arch: "amd64"}, image.ErrNoSource, "--source DIR"},
		{t.Context(), image.Source{Dir: broken, Arch: "amd64"}, nil, "broken.go:2"},
		{ended, image.Source{Dir: hello, Arch: "amd64"}, context.Canceled, "build bookapi"},
	} {
		_, err := image.Build(c.ctx, c.source)
		if err == nil || !strings.Contains(err.Error()+hint.Of(err).String(), c.want) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%+v: error %v, want %q in it and %v", c.source, err, c.want, c.is)
		}
	}

	built := build(t, hello, "amd64")
	for _, c := range []struct{ repository, want string }{
		{"Not A Repository", "push the image"},
		{newServer(t, status(http.StatusForbidden)) + "/app", "credentials"},
		{newServer(t, status(http.StatusBadRequest)) + "/app", "look for the image in"},
	} {
		_, err := image.Upload{Auth: &authn.Basic{Username: "AWS", Password: "very secret"}}.Push(t.Context(), built, c.repository)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("push to %s: error %v, want %q in it", c.repository, err, c.want)
		}
	}
	if _, err := (image.Upload{}).Push(ended, built, newRepository(t).name); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled push: %v", err)
	}
}

// It changes PATH, and so can't be parallel.
func TestWithoutGoTheNextStepIsSaid(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := image.Build(t.Context(), image.Source{Dir: "testdata/hello", Arch: "amd64"})
	if !errors.Is(err, image.ErrNoGo) || !strings.Contains(hint.Of(err).String(), "--image REF") {
		t.Errorf("error %v", err)
	}
}

// It sets environment variables, and so can't be parallel.
func TestTheEnvironmentDoesNotChangeTheImage(t *testing.T) {
	want := build(t, copyHello(t), "amd64").Digest
	for variable, value := range map[string]string{
		"GOFLAGS": "-tags=other -trimpath=false", "GOAMD64": "v3", "CGO_ENABLED": "1", "GOOS": "darwin", "GOARCH": "arm64", "GOWORK": "/nowhere/go.work",
	} {
		t.Setenv(variable, value)
	}
	if got := build(t, copyHello(t), "amd64").Digest; got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

// A local cloud on a Mac runs the program itself; what asks for the image asks for Linux.
func TestAProgramForAMacIsInAnImageThatSaysLinux(t *testing.T) {
	t.Parallel()
	source, cache := copyHello(t), t.TempDir()
	for system, magic := range map[string]string{"": "\x7fELF", "darwin": "\xcf\xfa\xed\xfe"} {
		built, err := image.Build(t.Context(), image.Source{Dir: source, System: system, Arch: "arm64", Cache: cache})
		if err != nil {
			t.Fatal(err)
		}
		_, content := files(t, built.OCI)
		if program := content["bookapi"]; !strings.HasPrefix(string(program), magic) {
			t.Errorf("for system %q the program begins with %q", system, program[:min(4, len(program))])
		}
		if config, err := built.OCI.ConfigFile(); err != nil || config.OS != "linux" {
			t.Errorf("for system %q the image is for %+v, %v", system, config, err)
		}
	}
}

func TestTheSourceIsFoundFromWithinAClone(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := image.FindProgram(t.Context(), ".", "", "amd64"); err != nil || got.Dir != root || !got.Own || got.Name() != "bookapi" {
		t.Errorf("found %+v, %v; want bookapi in %q", got, err, root)
	}
	if _, err := image.FindProgram(t.Context(), t.TempDir(), "", "amd64"); !errors.Is(err, image.ErrNoSource) || !strings.Contains(hint.Of(err).String(), "--source DIR") || !strings.Contains(hint.Of(err).String(), "--image REF") {
		t.Errorf("outside of a module: %v", err)
	}
}

func copyHello(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/hello")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// change makes a source say something else.
func change(t *testing.T, dir string) {
	t.Helper()
	main := filepath.Join(dir, "cmd/bookapi/main.go")
	text, err := os.ReadFile(main)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(main, bytes.ReplaceAll(text, []byte("Hello from"), []byte("Howdy from")), 0o644); err != nil {
		t.Fatal(err)
	}
}

func build(t *testing.T, dir, arch string) *image.Image {
	t.Helper()
	built, err := image.Build(t.Context(), image.Source{Dir: dir, Arch: arch, Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// files reads an image's layers.
func files(t *testing.T, from v1.Image) ([]*tar.Header, map[string][]byte) {
	t.Helper()
	var headers []*tar.Header
	content := map[string][]byte{}
	layers, err := from.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		open, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = open.Close() }()
		for entries := tar.NewReader(open); ; {
			header, err := entries.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			headers = append(headers, header)
			if content[header.Name], err = io.ReadAll(entries); err != nil {
				t.Fatal(err)
			}
		}
	}
	return headers, content
}

// certificates parses a bundle and fails on one that is not valid today.
func certificates(t *testing.T, text []byte) []*x509.Certificate {
	t.Helper()
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return out
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if now := time.Now(); now.After(c.NotAfter) || now.Before(c.NotBefore) {
			t.Errorf("%s is valid from %v to %v only", c.Subject, c.NotBefore, c.NotAfter)
		}
		out = append(out, c)
	}
}

// repository is one with immutable tags that notes what is sent to it.
type repository struct {
	name string

	mu     sync.Mutex
	writes []string
}

type immutable struct{}

func (immutable) Repository(string) (exists bool, immutable func(string) bool) {
	return true, func(string) bool { return true }
}

func (immutable) Pushed(string) {}

func newRepository(t *testing.T) *repository {
	t.Helper()
	reg, err := registry.Open(t.TempDir(), immutable{})
	if err != nil {
		t.Fatal(err)
	}
	r := &repository{}
	r.name = newServer(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			r.mu.Lock()
			r.writes = append(r.writes, req.Method+" "+req.URL.Path)
			r.mu.Unlock()
		}
		reg.ServeHTTP(w, req)
	})) + "/book/app"
	return r
}

// sent is what was written since it was last called.
func (r *repository) sent() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.writes
	r.writes = nil
	return out
}

func newServer(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func status(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestOnlyAuthoritiesAreAddedForDatabases(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate := func(authority bool) []byte {
		c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: authority, BasicConstraintsValid: true}
		der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	good := certificate(true)
	got, err := image.ParseAuthorities(append([]byte("# a region's\n"), append(good, good...)...))
	if err != nil || !bytes.Equal(got, append(bytes.Clone(good), good...)) {
		t.Errorf("two authorities: %q, %v", got, err)
	}
	for name, text := range map[string][]byte{
		"nothing": nil, "no PEM": []byte("words"), "a server's": certificate(false),
		"a key": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte{1}}), "broken": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}}),
	} {
		if got, err := image.ParseAuthorities(text); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}
