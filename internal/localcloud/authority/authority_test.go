package authority_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/bookctl/bookctl/internal/localcloud/authority"
)

func TestClientsThatTrustTheBundleAcceptItsCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, dir)
	again := open(t, dir) // a restart must not change what clients trust
	cert, err := again.Issue("localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := cert.TLS()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	t.Cleanup(server.Close)

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(first.Bundle())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	resp, err := client.Get(server.URL) // https://127.0.0.1:port
	if err != nil {
		t.Fatalf("a client that trusts the authority: %v", err)
	}
	_ = resp.Body.Close()

	distrusting := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool()}}}
	if resp, err := distrusting.Get(server.URL); err == nil {
		_ = resp.Body.Close()
		t.Error("a client that does not trust the authority was served")
	}
}

func TestKeyIsReadableByItsOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir)
	info, err := os.Stat(filepath.Join(dir, "authority.key"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode().Perm())
	}
}

func TestADamagedAuthorityIsAnErrorAndNotReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "authority.key"), []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := authority.Open(dir); err == nil {
		t.Error("opened an authority with a damaged key")
	}
}

func open(t *testing.T, dir string) *authority.Authority {
	t.Helper()
	a, err := authority.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
