package localcloud_test

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// TestWhatNobodySetIsAnsweredAsOnAWS reads answers as they are on the wire: what
// AWS returns for things that were never set is there, and empty lists are not left
// out.
func TestWhatNobodySetIsAnsweredAsOnAWS(t *testing.T) {
	t.Parallel()
	d := newDatabases(t, localcloud.Config{})
	d.create(t, wanted("plain"))
	if got := aws.ToString(d.describe(t, "plain").EngineLifecycleSupport); got != "open-source-rds-extended-support" {
		t.Errorf("the engine support is %q", got)
	}
	ask := func(service, query string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.cloud.Endpoint(), strings.NewReader(query))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=key/20261129/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
		resp := must[*http.Response](t)(http.DefaultClient.Do(r)) //nolint:bodyclose // it is, right below
		defer func() { _ = resp.Body.Close() }()                  // only read from
		return string(must[[]byte](t)(io.ReadAll(resp.Body)))
	}
	for _, c := range []struct{ service, query, examples string }{
		{"rds", "Action=DescribeDBInstances&Version=2014-10-31", "testdata/wire/db_instance.xml"},
		{"ec2", "Action=DescribeVpcs&Version=2016-11-15", "testdata/wire/vpc.xml"},
		{"ec2", "Action=DescribeSubnets&Version=2016-11-15", "testdata/wire/subnet.xml"},
	} {
		answer := ask(c.service, c.query)
		for piece := range strings.Lines(string(must[[]byte](t)(os.ReadFile(c.examples)))) {
			if piece = strings.TrimSpace(piece); piece != "" && !regexp.MustCompile(piece).MatchString(answer) {
				t.Errorf("%s: there is no %s in\n%s", c.query, piece, answer)
			}
		}
	}
}
