package provision_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/acm"

	"github.com/bookctl/bookctl/internal/provision"
)

// TestAFullQuotaIsToldAtOnce asks for a certificate in an account that has as many as it
// may have, for which the SDK has the patience that throttling needs.
func TestAFullQuotaIsToldAtOnce(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]int{"LimitExceededException": 1, "ThrottlingException": 10} {
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"__type":%q,"message":"Error: you have reached your limit of 2500 certificates."}`, code)
		}))
		defer server.Close()
		client := acm.New(acm.Options{
			Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
			Retryer: provision.NewRetryer(time.Millisecond),
		})
		_, err := client.RequestCertificate(t.Context(), &acm.RequestCertificateInput{DomainName: aws.String("example.com")})
		if asked != want || err == nil || !strings.Contains(err.Error(), code) {
			t.Errorf("%s: %d requests, want %d; %v", code, asked, want, err)
		}
	}
}
