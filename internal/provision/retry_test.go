package provision_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/provision"
)

// TestAFullQuotaIsReportedAtOnce asks for a certificate in an account that has as many as it
// may have, for which the SDK has the patience that throttling needs.
func TestAFullQuotaIsReportedAtOnce(t *testing.T) {
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

// TestADeadlineDoesNotHideTheThrottling throttles a call until its time is over, which
// it spends in the pauses between the attempts.
func TestADeadlineDoesNotHideTheThrottling(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"__type":"ThrottlingException","message":"Rate exceeded"}`)
	}))
	defer server.Close()
	answers := &provision.AnswerGuard{}
	client := acm.New(acm.Options{
		Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		Retryer: provision.NewRetryer(10 * time.Second), APIOptions: []func(*middleware.Stack) error{answers.Watch},
	})
	ctx, end := context.WithTimeout(t.Context(), time.Second)
	defer end()
	_, err := client.ListCertificates(ctx, &acm.ListCertificatesInput{})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(fmt.Sprint(err), "ThrottlingException: Rate exceeded") {
		t.Errorf("want the deadline and what AWS answered, have: %v", err)
	}
}
