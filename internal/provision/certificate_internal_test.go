package provision

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	static "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/acm"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// stub answers every call with what it returns.
type stub func(r *http.Request, body string) (status int, answer string)

func (s stub) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	status, answer := s(r, string(body))
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer)), Request: r}, nil
}

func (s stub) config() aws.Config {
	return aws.Config{
		Region: "us-east-1", HTTPClient: &http.Client{Transport: s}, BaseEndpoint: aws.String("http://stub.test"),
		Credentials: static.NewStaticCredentialsProvider("test", "test", ""), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	}
}

// TestAnECDSACertificateSharesTheValidationRecord has ACM list what it does not list
// unasked: the record that renews somebody's certificate may not be deleted.
func TestAnECDSACertificateSharesTheValidationRecord(t *testing.T) {
	t.Parallel()
	client := acm.NewFromConfig(stub(func(_ *http.Request, body string) (int, string) {
		if !strings.Contains(body, "EC_prime256v1") {
			return http.StatusOK, `{"CertificateSummaryList":[]}`
		}
		return http.StatusOK, `{"CertificateSummaryList":[{"CertificateArn":"arn:aws:acm:us-east-1:123456789012:certificate/theirs","DomainName":"api.example.com","KeyAlgorithm":"EC-prime256v1"}]}`
	}).config())
	c := &Certificate{Node: graph.Named("certificate", 0), acm: client, domain: "api.example.com"}
	if shared, err := c.shared(t.Context()); err != nil || !shared {
		t.Errorf("shared: %v, %v", shared, err)
	}
}
