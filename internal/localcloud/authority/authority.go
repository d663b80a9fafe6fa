// Package authority is the local cloud's certificate authority: it signs the
// certificates of its databases and HTTPS listeners, as Amazon's authorities do
// for RDS and ACM.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/bookctl/bookctl/internal/localcloud/atomicfile"
)

const (
	rootLife = 10 * 365 * 24 * time.Hour
	// leafLife is ACM's own (https://docs.aws.amazon.com/acm/latest/userguide/acm-certificate-characteristics.html).
	leafLife = 395 * 24 * time.Hour
	// clockSkew is how far back certificates are dated.
	clockSkew = time.Hour
)

// Authority signs certificates. It is safe for concurrent use.
type Authority struct {
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	bundle string
}

// Certificate is a signed certificate with its key, both PEM.
type Certificate struct {
	// Cert is the certificate followed by the authority's.
	Cert []byte
	// Key is the private key (PKCS #8).
	Key []byte
}

// Open loads the authority of dir, or makes a new one there. Its key is
// readable by its owner only.
func Open(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the authority's directory: %w", err)
	}
	path := filepath.Join(dir, "authority.key")
	a := &Authority{bundle: filepath.Join(dir, "authority.pem")}
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, a.create(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open the authority: %w", err)
	}
	return a, a.load(path)
}

func (a *Authority) create(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the authority's key: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "bookctl local cloud"},
		NotBefore:             time.Now().Add(-clockSkew),
		NotAfter:              time.Now().Add(rootLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("sign the authority's certificate: %w", err)
	}
	a.key = key
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return fmt.Errorf("read the authority's certificate: %w", err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return err
	}
	// The key is what marks the authority as made, so it comes last; both
	// appear whole or not at all.
	if err := writeFile(a.bundle, a.Bundle(), 0o644); err != nil {
		return err
	}
	return writeFile(path, keyPEM, 0o600)
}

func (a *Authority) load(path string) error {
	pair, err := tls.LoadX509KeyPair(a.bundle, path)
	if err != nil {
		return fmt.Errorf("load the authority: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return fmt.Errorf("load the authority: %s is not an ECDSA key", path)
	}
	a.cert, a.key = pair.Leaf, key
	return nil
}

// Bundle is the authority's own certificate, PEM: what a client trusts.
func (a *Authority) Bundle() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// BundleFile is a file that holds Bundle, readable by everyone.
func (a *Authority) BundleFile() string { return a.bundle }

// Issue signs a server certificate for the names, which may be host names,
// wildcards and IP addresses. The first one is the common name.
func (a *Authority) Issue(names ...string) (Certificate, error) {
	if len(names) == 0 {
		return Certificate{}, errors.New("issue a certificate: no name given")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Certificate{}, fmt.Errorf("make a key for %s: %w", names[0], err)
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: names[0]},
		NotBefore:   time.Now().Add(-clockSkew),
		NotAfter:    time.Now().Add(leafLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return Certificate{}, fmt.Errorf("sign a certificate for %s: %w", names[0], err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return Certificate{}, err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return Certificate{Cert: append(cert, a.Bundle()...), Key: keyPEM}, nil
}

// TLS is the certificate in the form that servers of the standard library take.
func (c Certificate) TLS() (tls.Certificate, error) { return tls.X509KeyPair(c.Cert, c.Key) }

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func writeFile(path string, data []byte, perm os.FileMode) error {
	if err := atomicfile.Write(path, data, perm); err != nil {
		return fmt.Errorf("write the authority: %w", err)
	}
	return nil
}
