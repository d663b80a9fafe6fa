// Package moto runs moto, an AWS emulator that nobody here wrote, for tests
// (https://docs.getmoto.org/en/latest/docs/server_mode.html), and names the calls
// that are sent to an emulator.
package moto

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/pattern"
)

// Start runs a moto with an empty account on a free port of the loopback
// interface until the test ends, and returns its address. It fails the test when
// moto is not installed or does not answer within a minute.
func Start(tb testing.TB) string {
	tb.Helper()
	bin, err := exec.LookPath("moto_server")
	if err != nil {
		tb.Fatal("moto_server is not installed; run .ci/setup")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		tb.Fatal(err)
	}
	var out bytes.Buffer
	// Python looks for garbage while it loads moto's tables, again and again, which takes it
	// longer than what the tests ask for. A moto lives for a test only.
	site := tb.TempDir()
	if err := os.WriteFile(filepath.Join(site, "sitecustomize.py"), []byte("import gc\ngc.disable()\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(bin, "-H", "127.0.0.1", "-p", port)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+site)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()
	})
	endpoint := "http://127.0.0.1:" + port
	for range 1200 {
		if resp, err := http.Get(endpoint + "/moto-api/"); err == nil {
			_ = resp.Body.Close()
			return endpoint
		}
		time.Sleep(50 * time.Millisecond)
	}
	tb.Fatalf("moto did not start:\n%s", out.String())
	return ""
}

var reading = pattern.New("^(Describe|Get|List|Batch(Get|Check)|Filter)")

// Call names the API call that a request is, and says whether it only reads. It
// leaves the request as it was; an error is one of reading its body.
func Call(r *http.Request) (action string, reads bool, err error) {
	// Route 53 is asked by method and path.
	if r.Body == nil || strings.HasPrefix(r.URL.Path, "/2013-04-01/") {
		return r.Method + " " + r.URL.Path, r.Method == http.MethodGet, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", false, fmt.Errorf("read the request: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	// The JSON services name the action in a header, the others in the form.
	_, action, _ = strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if action == "" {
		form, _ := url.ParseQuery(string(body)) // what can't be parsed has no action
		action = form.Get("Action")
	}
	return action, reading.MatchString(action), nil
}
