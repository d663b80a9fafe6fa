package cli_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const (
	ecrHost  = localAccount + ".dkr.ecr.us-east-1.amazonaws.com"
	ecrImage = ecrHost + "/team/shop:1.2"
)

// TestAnImageInECRIsRead plans with an image of another repository of the account.
func TestAnImageInECRIsRead(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.must("local", "start")
	pushedToECR(t, s, s.config())
	s.run("plan", "--image", ecrImage).says(t, 2, "the image is for arm64 alone")
}

// TestAnImageInECRIsReadUnderThePrintedPolicy judges that by the printed policy: one for the image
// has to allow it, and without it the error says how one does.
func TestAnImageInECRIsReadUnderThePrintedPolicy(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{nil, {"--image", ecrImage}} {
		j := newAuthorizedRun(t, "book", "us-east-1")
		j.withPolicy(t, flags...)
		pushedToECR(t, j.shell, j.config("root"))
		if r := j.run("plan", "--image", ecrImage); flags != nil {
			r.says(t, 2, "the image is for arm64 alone")
		} else {
			r.says(t, 1, "read image "+ecrImage+": the AWS credentials may not read this repository", "ecr:BatchGetImage",
				"as 'bookctl policy --stack book --image "+ecrImage+"' does, or name the image by its digest")
		}
	}
}

// pushedToECR puts an image for arm64 into a repository of a cloud's account, and has the shell's
// programs reach the cloud as AWS, and its registry as ECR.
func pushedToECR(t *testing.T, s *shell, cloud aws.Config) {
	t.Helper()
	done[*ecr.CreateRepositoryOutput](t)(ecr.NewFromConfig(cloud).CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("team/shop")}))
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "arm64", Config: v1.Config{Entrypoint: []string{"/app"}}})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(strings.TrimPrefix(*cloud.BaseEndpoint, "http://") + "/team/shop:1.2")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	s.env = append(s.env, registryAt(t, ecrHost, *cloud.BaseEndpoint)...)
	s.env = append(s.env, "AWS_ENDPOINT_URL="+*cloud.BaseEndpoint, "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_REGION=us-east-1")
}

// registryAt serves a registry under the name of a host of ECR, by a proxy for TLS, and returns
// the environment in which programs find it there. Like ECR, it asks for a login.
func registryAt(t *testing.T, host, registry string) (env []string) {
	t.Helper()
	to, err := url.Parse(registry)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, _, ok := r.BasicAuth(); !ok || user != "AWS" {
			w.Header().Set("WWW-Authenticate", `Basic realm="https://`+host+`/",service="ecr.amazonaws.com"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	certificate, authority := certificateFor(t, net.IPv4(127, 0, 0, 1), host)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(file, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != host+":443" {
			http.Error(w, "only "+host+" is here, and not "+r.Host, http.StatusBadGateway)
			return
		}
		there, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer func() { _ = there.Close() }()
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer func() { _ = here.Close() }()
		if _, err := io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
			return
		}
		var both sync.WaitGroup
		both.Go(func() { _, _ = io.Copy(there, here); _ = there.Close() })
		both.Go(func() { _, _ = io.Copy(here, there); _ = here.Close() })
		both.Wait()
	}))
	t.Cleanup(proxy.Close)
	return []string{"HTTPS_PROXY=" + proxy.URL, "SSL_CERT_FILE=" + file}
}
