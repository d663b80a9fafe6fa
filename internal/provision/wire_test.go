package provision_test

import (
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/awsaccount"
	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// wire is the connection to an emulator: it keeps a journal of the calls, and can die like a process that is killed.
type wire struct {
	mu      sync.Mutex
	reads   []string
	writes  []string
	dieAt   int    // the number of the write at which it dies, 0 for never
	answers bool   // die after the work was done, instead of before it is sent
	killed  func() // is called at the death
	dead    bool
}

// fresh takes a connection per call, since moto ends idle ones when it likes.
var fresh = &http.Transport{DisableKeepAlives: true}

var errKilled = errors.New("killed")

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	action, reads, err := moto.Call(r)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	if w.dead {
		w.mu.Unlock()
		return nil, errKilled
	}
	die := false
	if !reads {
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
		APIOptions:   []func(*middleware.Stack) error{requestbody.Readable},
	}
}

// accountInventory lists what exists in the account.
func accountInventory(t *testing.T, endpoint string) []string {
	t.Helper()
	out, err := awsaccount.Inventory(t.Context(), (&wire{}).config(endpoint))
	if err != nil {
		t.Fatal(err)
	}
	return out
}
