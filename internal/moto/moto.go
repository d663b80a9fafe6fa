// Package moto runs moto, an AWS emulator that nobody here wrote, for tests
// (https://docs.getmoto.org/en/latest/docs/server_mode.html), and names the calls
// that are sent to an emulator.
package moto

import (
	"bufio"
	"bytes"
	"cmp"
	_ "embed" // of what Python runs
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/pattern"
)

// preload is run by Python before moto, which is then loaded once for all servers of
// this process.
//
//go:embed sitecustomize.py
var preload []byte

// emulator is a moto that has been loaded. It ends with this process.
type emulator struct {
	mu  sync.Mutex
	in  io.Writer
	out *bufio.Scanner
	log *logged
}

// logged keeps what is written, for the message of a failure.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

var load = sync.OnceValues(func() (*emulator, error) {
	bin, err := exec.LookPath("moto_server")
	if err != nil {
		return nil, errors.New("moto_server is not installed; run .ci/setup")
	}
	site, err := os.MkdirTemp("", "bookctl-moto-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(site) }() // read by then
	if err := os.WriteFile(filepath.Join(site, "sitecustomize.py"), preload, 0o600); err != nil {
		return nil, err
	}
	m := &emulator{log: &logged{}}
	cmd := exec.Command(bin, "-H", "127.0.0.1", "-p", "0")
	cmd.Env = append(os.Environ(), "PYTHONPATH="+site)
	cmd.Stderr = m.log
	if m.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	m.out = bufio.NewScanner(out)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	_, err = m.answer()
	return m, err
})

// answer reads a line.
func (m *emulator) answer() (string, error) {
	if !m.out.Scan() {
		return "", fmt.Errorf("moto has ended: %w\n%s", cmp.Or(m.out.Err(), io.EOF), m.log)
	}
	return m.out.Text(), nil
}

// fork starts a server and returns its process id and its port.
func (m *emulator) fork() (pid, port string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := fmt.Fprintln(m.in, "start"); err != nil {
		return "", "", err
	}
	line, err := m.answer()
	pid, port, _ = strings.Cut(line, " ")
	return pid, port, err
}

func (m *emulator) stop(pid string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := fmt.Fprintln(m.in, "stop", pid)
	return err
}

// Start runs a moto with an empty account on a free port of the loopback
// interface until the test ends, and returns its address. It fails the test when
// moto is not installed or does not answer within a minute.
func Start(tb testing.TB) string {
	tb.Helper()
	m, err := load()
	if err != nil {
		tb.Fatal(err)
	}
	server, port, err := m.fork()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := m.stop(server); err != nil {
			tb.Error(err)
		}
	})
	endpoint := "http://127.0.0.1:" + port
	// Each has ids of its own.
	client := http.Client{Timeout: time.Minute}
	resp, err := client.Post(endpoint+"/moto-api/seed?a="+server, "", nil)
	if err != nil {
		tb.Fatalf("moto does not answer: %v\n%s", err, m.log)
	}
	_ = resp.Body.Close()
	return endpoint
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
