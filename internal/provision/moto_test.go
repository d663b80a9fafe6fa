package provision_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	accounts "github.com/bookctl/bookctl/internal/census"
	"github.com/bookctl/bookctl/internal/provision"
)

// startMoto starts the AWS emulator moto on a free port, for one test, and
// returns its address.
func startMoto(t *testing.T) string {
	t.Helper()
	bin, err := exec.LookPath("moto_server")
	if err != nil {
		t.Fatal("moto_server is not installed; run .ci/setup")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(bin, "-H", "127.0.0.1", "-p", port)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()
	})
	endpoint := "http://127.0.0.1:" + port
	for range 600 {
		if resp, err := http.Get(endpoint + "/moto-api/"); err == nil {
			_ = resp.Body.Close()
			return endpoint
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("moto did not start:\n%s", out.String())
	return ""
}

// wire is the connection to an emulator: it keeps a journal of the calls, and can die like a process that is killed.
type wire struct {
	mu      sync.Mutex
	reads   []string
	writes  []string
	dieAt   int    // the number of the write at which it dies, 0 for never
	answers bool   // die after the work was done, instead of before it is sent
	killed  func() // is told of the death
	dead    bool
}

var reads = regexp.MustCompile("^(Describe|Get|List)")

// fresh takes a connection per call, since moto ends idle ones when it likes.
var fresh = &http.Transport{DisableKeepAlives: true}

var errKilled = errors.New("killed")

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	// The JSON services name the action in a header, the others in the form.
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if action == "" {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, err
		}
		action = form.Get("Action")
	}
	w.mu.Lock()
	if w.dead {
		w.mu.Unlock()
		return nil, errKilled
	}
	die := false
	if !reads.MatchString(action) {
		w.writes = append(w.writes, action)
		die = len(w.writes) == w.dieAt
		w.dead = die
	} else {
		w.reads = append(w.reads, action)
	}
	w.mu.Unlock()
	if die {
		defer w.killed()
	}
	if die && !w.answers {
		return nil, errKilled
	}
	resp, err := fresh.RoundTrip(r)
	if die && err == nil {
		_ = resp.Body.Close()
		return nil, errKilled
	}
	return resp, err
}

func (w *wire) written() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.writes)
}

// read returns the reads made so far.
func (w *wire) read() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.reads)
}

func (w *wire) clients(endpoint string) provision.Clients {
	return provision.NewClients(w.config(endpoint))
}

func (w *wire) config(endpoint string) aws.Config {
	return aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: &endpoint,
		Credentials:  credentials.NewStaticCredentialsProvider("test", "test", ""),
		HTTPClient:   &http.Client{Transport: w},
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} }, // a killed process does not try again
	}
}

// census lists what exists in the account.
func census(t *testing.T, endpoint string) []string {
	t.Helper()
	out, err := accounts.Take(t.Context(), (&wire{}).config(endpoint))
	if err != nil {
		t.Fatal(err)
	}
	return out
}
