package preflight_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/preflight"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// journal is a transport that notes the calls that change something.
type journal struct {
	mu     sync.Mutex
	writes []string
}

// fresh takes a connection per call, since moto ends idle ones when it likes.
var fresh = &http.Transport{DisableKeepAlives: true}

func (j *journal) RoundTrip(r *http.Request) (*http.Response, error) {
	action, reads, err := moto.Call(r)
	if err != nil {
		return nil, err
	}
	if !reads {
		j.mu.Lock()
		j.writes = append(j.writes, action)
		j.mu.Unlock()
	}
	return fresh.RoundTrip(r)
}

func TestPreflightGuardsAccountAndRegion(t *testing.T) {
	t.Parallel()
	endpoint := moto.Start(t)
	j := &journal{}
	c := provision.NewClients(aws.Config{
		Region: "us-east-1", BaseEndpoint: &endpoint, HTTPClient: &http.Client{Transport: j},
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		APIOptions:  []func(*middleware.Stack) error{requestbody.Readable},
	})
	in := preflight.Intent{Stack: "book", Settings: provision.DefaultSettings(), Region: "us-east-1"}
	env, err := preflight.Check(t.Context(), c, in)
	if err != nil {
		t.Fatal(err)
	}
	if env.Account != "123456789012" || env.Zones != [2]string{"us-east-1a", "us-east-1b"} || env.DBVersion != provision.DefaultDBVersion || len(env.Warnings) != 1 {
		t.Errorf("the environment is %+v", env)
	}
	for name, c2 := range map[string]struct {
		change func(*preflight.Intent)
		want   string
	}{
		"account":         {func(i *preflight.Intent) { i.Account = "999999999999" }, "AWS_PROFILE"},
		"region":          {func(i *preflight.Intent) { i.OnlyRegion = "eu-west-1" }, "--region"},
		"no region":       {func(i *preflight.Intent) { i.Region = "" }, "no AWS region is set"},
		"bad region":      {func(i *preflight.Intent) { i.Region = "Frankfurt" }, "eu-central-1"},
		"architecture":    {func(i *preflight.Intent) { i.ImageArchs = []string{"arm64"} }, "--arch arm64"},
		"bad settings":    {func(i *preflight.Intent) { i.Settings.CPU = 300 }, "cpu 300"},
		"no such restore": {func(i *preflight.Intent) { i.Restore = "gone" }, "no snapshot gone"},
		"nothing latest":  {func(i *preflight.Intent) { i.Restore = "latest" }, "no snapshot of its own to restore"},
	} {
		bad := in
		c2.change(&bad)
		_, err := preflight.Check(t.Context(), c, bad)
		if err == nil || !strings.Contains(err.Error()+hint.Of(err).String(), c2.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", name, err, c2.want)
		}
	}
	if writes := j.writes; writes != nil {
		t.Errorf("preflight wrote %v", writes)
	}
}
