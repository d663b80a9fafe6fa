package kill_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/provision"
)

// late is ECS as it answers for a minute after an update: its records of deployments do not
// have the new one yet.
type late struct {
	by http.RoundTripper
	// names is what a service names meanwhile, "" for nothing.
	names string
	// missing reports whether it describes none of its records.
	missing bool

	mu    sync.Mutex
	known string // the records that there were before the update
	until time.Time
}

func (l *late) RoundTrip(r *http.Request) (*http.Response, error) {
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	resp, err := l.by.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if action == "UpdateService" && l.until.IsZero() {
		l.until = time.Now().Add(time.Minute)
	}
	if !time.Now().Before(l.until) {
		return resp, nil
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // it is read
	if err != nil {
		return nil, err
	}
	var out map[string]any
	if err := json.Unmarshal(body, &out); err != nil {
		return nil, err
	}
	name := func(service any) {
		s := service.(map[string]any)
		delete(s, "currentServiceDeployment")
		if l.names != "" {
			s["currentServiceDeployment"] = l.names
		}
	}
	switch action {
	case "UpdateService":
		name(out["service"])
	case "DescribeServices":
		for _, s := range out["services"].([]any) {
			name(s)
		}
	case "ListServiceDeployments":
		kept := []any{}
		for _, d := range out["serviceDeployments"].([]any) {
			if strings.Contains(l.known, d.(map[string]any)["serviceDeploymentArn"].(string)) {
				kept = append(kept, d)
			}
		}
		out["serviceDeployments"] = kept
	case "DescribeServiceDeployments":
		if l.missing {
			maps.Copy(out, map[string]any{"serviceDeployments": []any{}, "failures": []any{map[string]any{"reason": "MISSING"}}})
		}
	default:
		resp.Body = io.NopCloser(bytes.NewReader(body))
		return resp, nil
	}
	if body, err = json.Marshal(out); err != nil {
		return nil, err
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Del("X-Amz-Crc32")
	resp.Header.Del("Content-Length")
	return resp, nil
}

// TestAReleaseIsWaitedForThatECSDoesNotNameYet begins a release of which ECS has no record for a
// minute, while it still has that of the release before.
func TestAReleaseIsWaitedForThatECSDoesNotNameYet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		a := openTypical(t)
		a.deployed = true
		a.spec.Deploy, a.spec.Memory = "canary:10%/10m:1m", 512
		if err := a.up(ctx, &wire{}); err != nil {
			t.Fatal(err)
		}
		client, direct := provision.NewClients(a.config(&wire{})).ECS, a.by
		known := aws.ToString(newestRecord(t, client).ServiceDeploymentArn)
		for i, way := range []*late{
			{names: "before"},
			{},
			{names: "before", missing: true},
			{missing: true},
		} {
			before := aws.ToString(newestRecord(t, client).ServiceDeploymentArn)
			known += " " + before
			way.by, way.known = direct, known
			if way.names != "" {
				way.names = before
			}
			a.by = way
			a.spec.Memory = []int32{1024, 2048, 1024, 512}[i]
			if err := a.up(ctx, &wire{}); err != nil {
				t.Errorf("%d: %v", i, err)
			}
			if way.until.IsZero() {
				t.Errorf("%d: the service was not updated", i)
			}
			if d := newestRecord(t, client); aws.ToString(d.ServiceDeploymentArn) == before || d.Status != types.ServiceDeploymentStatusSuccessful {
				t.Fatalf("%d: the run has succeeded, and the release is %s", i, d.Status)
			}
			a.by = direct
		}
	})
}
