package cli

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/pattern"
	"github.com/bookctl/bookctl/internal/sorted"
)

// emulator is what AWS Emulator writes at each start for its clients: its certificate and
// its keys, in ~/.aws/emulator/PORT.
// https://docs.aws.amazon.com/emulator/latest/userguide/point-sdk-to-emulator.html
type emulator struct {
	endpoint  string
	directory string
	// authority is its certificate in PEM; empty if it wrote none.
	authority []byte
	// keys are those of this run of the emulator; empty if it checks no signatures.
	keys   aws.Credentials
	region string
}

// findEmulator looks for the files of the AWS Emulator that listens at an endpoint. Nil
// means that the endpoint is something else.
func findEmulator(endpoint, home string) (*emulator, error) {
	at, err := url.Parse(endpoint)
	if err != nil || at.Scheme != "https" || !loopback(at.Hostname()) {
		return nil, nil
	}
	port := at.Port()
	if port == "" {
		port = "443"
	}
	e := &emulator{endpoint: endpoint, directory: filepath.Join(home, ".aws", "emulator", port)}
	entries, err := os.ReadDir(e.directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the files of AWS Emulator: %w", err)
	}
	// The files that the guide names come first. Other versions may use other names, so the
	// content decides.
	sorted.By(entries, func(a, b fs.DirEntry) int { return rank(a.Name()) - rank(b.Name()) })
	for _, entry := range entries {
		if info, err := entry.Info(); err != nil || !info.Mode().IsRegular() || info.Size() > 1<<20 {
			continue
		}
		text, err := os.ReadFile(filepath.Join(e.directory, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("read a file of AWS Emulator: %w", err)
		}
		e.learn(text)
	}
	return e, nil
}

// rank orders the files of AWS Emulator by how likely they contain what is looked for.
func rank(name string) int {
	switch {
	case name == "ca.pem", name == "config", strings.HasPrefix(name, "emulator_cred"), name == "credentials":
		return 0
	}
	return 1
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// The patterns match a file of AWS Emulator in the format of the AWS configuration, of an
// environment or of JSON.
var (
	emulatorKeyID  = pattern.New(`(?im)(?:^|[\s{,"'])(?:aws_)?access_?key_?id["']?\s*[=:]\s*["']?([^\s"',}]+)`)
	emulatorSecret = pattern.New(`(?im)(?:^|[\s{,"'])(?:aws_)?secret_?access_?key["']?\s*[=:]\s*["']?([^\s"',}]+)`)
	emulatorToken  = pattern.New(`(?im)(?:^|[\s{,"'])(?:aws_)?session_?token["']?\s*[=:]\s*["']?([^\s"',}]+)`)
	emulatorRegion = pattern.New(`(?im)(?:^|[\s{,"'])(?:aws_)?(?:default_)?region["']?\s*[=:]\s*["']?([^\s"',}]+)`)
)

// learn takes from a file what is not known yet.
func (e *emulator) learn(text []byte) {
	if len(e.authority) == 0 && x509.NewCertPool().AppendCertsFromPEM(text) {
		e.authority = text
	}
	match := func(what *pattern.Pattern) string {
		if m := what.FindSubmatch(text); m != nil {
			return string(m[1])
		}
		return ""
	}
	// The two keys must come from the same file.
	if id, secret := match(emulatorKeyID), match(emulatorSecret); e.keys.AccessKeyID == "" && id != "" && secret != "" {
		e.keys = aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: match(emulatorToken)}
	}
	if e.region == "" {
		e.region = match(emulatorRegion)
	}
}

// config makes the SDK trust the emulator's certificate and sign with its keys. It reads
// none of the user's own configuration, which is for AWS: the emulator would reject their
// keys, and should not receive them.
func (e *emulator) config(region string) aws.Config {
	keys := e.keys
	if keys.AccessKeyID == "" {
		// With --auth off it accepts any signature, and writes no keys.
		keys = aws.Credentials{AccessKeyID: "emulator", SecretAccessKey: "emulator"}
	}
	client := awshttp.NewBuildableClient()
	if authorities := x509.NewCertPool(); authorities.AppendCertsFromPEM(e.authority) {
		client = client.WithTransportOptions(func(t *http.Transport) {
			t.TLSClientConfig = t.TLSClientConfig.Clone()
			t.TLSClientConfig.RootCAs = authorities
		})
	}
	return aws.Config{
		Region:      cmp.Or(region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), e.region),
		Credentials: credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken),
		HTTPClient:  client, BaseEndpoint: &e.endpoint,
	}
}

// unanswered explains why a call to the emulator got no answer.
func (e *emulator) unanswered(err error) error {
	var unknown x509.UnknownAuthorityError
	switch {
	case e == nil:
		return err
	case errors.As(err, &unknown):
		return hint.With(fmt.Errorf("what answers at %s is not the AWS Emulator that wrote %s: %w", e.endpoint, e.directory, unknown), "restart the emulator, or check AWS_ENDPOINT_URL")
	case errors.Is(err, syscall.ECONNREFUSED):
		return hint.With(fmt.Errorf("no AWS Emulator runs at %s, though one left its files in %s", e.endpoint, e.directory), "start it, or unset AWS_ENDPOINT_URL")
	}
	return err
}
