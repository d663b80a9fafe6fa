package provision_test

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/iampolicy"
	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/preflight"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/requestbody"
	"github.com/bookctl/bookctl/internal/runlock"
	"github.com/bookctl/bookctl/internal/runlock/parameterstore"
)

// auditor notes every action that is sent, by IAM's name.
type auditor struct {
	mu   sync.Mutex
	sent map[string]bool
}

var scope = regexp.MustCompile(`Credential=[^/]+/[0-9]+/[^/]+/([^/]+)/aws4_request`)

func (a *auditor) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	_, action, ok := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if !ok {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, err
		}
		action = form.Get("Action")
	}
	if m := scope.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
		a.mu.Lock()
		a.sent[strings.NewReplacer("tagging", "tag", "monitoring", "cloudwatch").Replace(m[1])+":"+action] = true // IAM's name of the service
		a.mu.Unlock()
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestEverythingSentIsAllowed makes, looks at and destroys a stack, and holds
// what went over the wire against the policy.
func TestEverythingSentIsAllowed(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	endpoint := moto.Start(t)
	a := &auditor{sent: map[string]bool{}}
	c := provision.NewClients(aws.Config{
		Region: "us-east-1", BaseEndpoint: &endpoint, HTTPClient: &http.Client{Transport: a},
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		APIOptions:  []func(*middleware.Stack) error{requestbody.Readable},
	})
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := preflight.Check(ctx, c, preflight.Intent{Stack: "book", Settings: provision.DefaultSettings(), Region: "us-east-1"})
	must(err)
	lock, err := runlock.Acquire(ctx, parameterstore.New(c.SSM, "book", "test"), "book", "test", runlock.Options{})
	must(err)
	alarmed := spec()
	alarmed.AlarmEmail = "ops@example.com"
	s, err := provision.NewStack(c, alarmed)
	must(err)
	_, err = graph.Up(ctx, s.Resources(), soon(s))
	must(err)
	_, err = provision.ReadDeployed(ctx, c, "book")
	must(err)
	_, err = provision.Stacks(ctx, c, true)
	must(err)
	must(provision.RotatePassword(ctx, c, "book", func(string) {}))
	_, err = graph.Destroy(ctx, s.Resources(), soon(s))
	must(err)
	_, err = provision.PurgeSnapshots(ctx, c.RDS, "book", nil)
	must(err)
	_, err = provision.Inventory(ctx, c, "book")
	must(err)
	must(lock.Release(ctx))
	policy, err := iampolicy.For(iampolicy.Scope{Account: "123456789012", Region: "us-east-1", Stack: "book"})
	must(err)
	allowed := map[string]bool{"sts:GetCallerIdentity": true} // needs no permission
	for _, s := range policy.Statement {
		for _, a := range s.Action {
			allowed[a] = true
		}
	}
	if len(a.sent) < 80 {
		t.Errorf("only %d actions were sent", len(a.sent))
	}
	for _, action := range slices.Sorted(maps.Keys(a.sent)) {
		if !allowed[action] {
			t.Errorf("%s was sent and is not in the policy", action)
		}
	}
}
