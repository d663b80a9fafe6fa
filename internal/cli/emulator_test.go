package cli_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/bookctl/bookctl/internal/moto"
)

// standIn behaves as AWS Emulator's user guide says, in front of a local cloud: it
// serves HTTPS with a certificate that it makes, takes only what is signed with keys
// that it makes, and answers 501 to the calls that it lacks. The real one could not
// be had here.
type standIn struct {
	url       string
	directory string
	keys      aws.Credentials

	mu    sync.Mutex
	lacks []string // such as "elasticloadbalancing CreateRule"
	bare  bool     // a 501 has no body
	seen  int
}

// startStandIn starts one that writes its files into a home.
func startStandIn(t *testing.T, endpoint, home string, keysFile string) *standIn {
	t.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	e := &standIn{keys: aws.Credentials{AccessKeyID: "AKIA" + strings.ToUpper(rand.Text()[:16]), SecretAccessKey: rand.Text() + "/+" + rand.Text()}}
	certificate, authority := certificateFor(t, net.IPv4(127, 0, 0, 1))
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }, ErrorLog: log.New(io.Discard, "", 0)}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.serve(w, r, proxy) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of those who don't trust the certificate
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	e.url = server.URL
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	e.directory = filepath.Join(home, ".aws", "emulator", port)
	if err := os.MkdirAll(e.directory, 0o700); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"ca.pem": string(authority), "truststore.p12": "0\x82\x01\n\xff",
		"config": "[default]\nregion = us-east-1\nendpoint_url = " + e.url + "\nca_bundle = " + filepath.Join(e.directory, "ca.pem") + "\n",
	}
	if keysFile != "" {
		files[keysFile] = "[default]\naws_access_key_id = " + e.keys.AccessKeyID + "\naws_secret_access_key = " + e.keys.SecretAccessKey + "\n"
	} else {
		e.keys = aws.Credentials{} // --auth off
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(e.directory, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func certificateFor(t *testing.T, address net.IP, names ...string) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	as := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "stand-in"}, IPAddresses: []net.IP{address}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, as, as, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func (e *standIn) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen++
	if e.keys.AccessKeyID != "" {
		if code := misSigned(r, body, e.keys); code != "" {
			answerError(w, r, http.StatusForbidden, code, "The request is not signed with the keys of this emulator.")
			return
		}
	}
	action, _, err := moto.Call(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	scope := credentialScope.FindStringSubmatch(r.Header.Get("Authorization"))
	if scope != nil && slices.Contains(e.lacks, scope[3]+" "+action) {
		if e.bare {
			w.WriteHeader(http.StatusNotImplemented)
			return
		}
		answerError(w, r, http.StatusNotImplemented, "NotImplemented", "This operation is not implemented.")
		return
	}
	next.ServeHTTP(w, r)
}

// answerError answers in the form of the caller's protocol.
func answerError(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	if r.Header.Get("X-Amz-Target") != "" {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"__type":%q,"message":%q}`, code, message)
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	inner := fmt.Sprintf("<Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
	if credentialScope.FindStringSubmatch(r.Header.Get("Authorization"))[3] == "ec2" {
		fmt.Fprintf(w, "<Response><Errors>%s</Errors><RequestID>1</RequestID></Response>", inner)
		return
	}
	fmt.Fprintf(w, "<ErrorResponse>%s<RequestId>1</RequestId></ErrorResponse>", inner)
}

var credentialScope = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=([^,]+), ?Signature=[0-9a-f]{64}$`)

// misSigned is AWS's code for what is wrong with a signature; "" for nothing.
func misSigned(r *http.Request, body []byte, keys aws.Credentials) string {
	scope := credentialScope.FindStringSubmatch(r.Header.Get("Authorization"))
	if scope == nil {
		return "MissingAuthenticationToken"
	}
	if scope[1] != keys.AccessKeyID {
		return "InvalidClientTokenId"
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || time.Since(at).Abs() > 5*time.Minute {
		return "RequestExpired"
	}
	again, err := http.NewRequest(r.Method, "https://"+r.Host+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return "IncompleteSignature"
	}
	for _, name := range strings.Split(scope[4], ";") {
		if values := r.Header.Values(name); values != nil {
			again.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	again.ContentLength = r.ContentLength
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(r.Context(), keys, again, hex.EncodeToString(sum[:]), scope[3], scope[2], at); err != nil {
		return "IncompleteSignature"
	}
	if again.Header.Get("Authorization") != r.Header.Get("Authorization") {
		return "SignatureDoesNotMatch"
	}
	return ""
}

// lack has the stand-in lack calls.
func (e *standIn) lack(bare bool, calls ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bare, e.lacks = bare, calls
}

func TestAWSEmulator(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	cloud := newShell(t)
	cloud.must("local", "start")
	endpoint := *cloud.config().BaseEndpoint
	// The user's own keys, profile and region are for AWS.
	home := t.TempDir()
	mine := []string{"AWS_ACCESS_KEY_ID=AKIAUSERSOWNKEY00000", "AWS_SECRET_ACCESS_KEY=own", "AWS_PROFILE=work", "AWS_CA_BUNDLE=/none"}
	s := &shell{t: t, dir: home, program: program, env: append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TZ=UTC"}, mine...)}
	to := func(e *standIn) { s.env = append(s.env, "AWS_ENDPOINT_URL="+e.url) }

	e := startStandIn(t, endpoint, home, "emulator_credentials")
	to(e)
	r := s.run(append([]string{"up"}, imageless()...)...)
	if r.code != 0 || !strings.Contains(r.err, "AWS Emulator ("+e.url+", by the files in "+e.directory+")") {
		t.Fatalf("up: %d\n%s", r.code, r.err)
	}
	if strings.Contains(r.out+r.err, e.keys.SecretAccessKey) || strings.Contains(r.out+r.err, e.keys.AccessKeyID) {
		t.Errorf("up shows the emulator's keys:\n%s", r.err)
	}
	if r := s.run(append([]string{"plan"}, imageless()[1:]...)...); r.code != 0 {
		t.Errorf("plan right after up: %d\n%s%s", r.code, r.out, r.err)
	}

	for _, bare := range []bool{false, true} {
		for call, want := range map[string]string{
			"rds DescribeDBInstances":                   "The endpoint lacks the call RDS DescribeDBInstances",
			"ecs DescribeServices":                      "The endpoint lacks the call ECS DescribeServices",
			"ec2 DescribeVpcs":                          "The endpoint lacks the call EC2 DescribeVpcs",
			"elasticloadbalancing DescribeTargetGroups": "The endpoint lacks the call Elastic Load Balancing v2 DescribeTargetGroups",
		} {
			e.lack(bare, call)
			if r := s.run(append([]string{"up"}, imageless()...)...); r.code != 1 || !strings.Contains(r.err, want) || !strings.Contains(r.err, "it answered 501") || !strings.Contains(r.err, "next: ") {
				t.Errorf("up without %s (bare: %v): %d\n%s", call, bare, r.code, r.err)
			}
		}
	}
	e.lack(false)

	// Started anew it has another certificate and other keys, and perhaps other names for its files.
	again := startStandIn(t, endpoint, home, "keys.ini")
	to(again)
	if r := s.run("destroy", "--yes", "--purge-snapshots"); r.code != 0 || again.seen == 0 {
		t.Errorf("destroy: %d\n%s", r.code, r.err)
	}
	if owned := cloud.must("list", "--local", "--output", "json"); strings.Contains(owned, `"book"`) {
		t.Errorf("left: %s", owned)
	}

	// With --auth off it writes no keys; those of the user are not sent to it.
	open := startStandIn(t, endpoint, home, "")
	to(open)
	if r := s.run("list"); r.code != 0 || open.seen == 0 {
		t.Errorf("list: %d\n%s", r.code, r.err)
	}

	// The files of one that has ended, on a port where another answers.
	if err := os.Rename(e.directory, again.directory+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(again.directory); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(again.directory+".old", again.directory); err != nil {
		t.Fatal(err)
	}
	to(again)
	if r := s.run("list"); r.code != 1 || !strings.Contains(r.err, "is not the AWS Emulator that wrote") || !strings.Contains(r.err, "next: restart the emulator") {
		t.Errorf("list with another's certificate: %d\n%s", r.code, r.err)
	}
}
