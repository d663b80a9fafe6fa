package requestbody_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/requestbody"
)

// TestAnAnswerIsReadThatComesBeforeTheBodyIsDone has the answer begin, and be read,
// before net/http has seen the end of the request's body. The request was sent all
// the same, and the whole answer is read.
func TestAnAnswerIsReadThatComesBeforeTheBodyIsDone(t *testing.T) {
	t.Parallel()
	written := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || !strings.Contains(string(body), "GetCallerIdentity") {
			t.Errorf("the request is %q: %v", body, err)
		}
		begin, end, _ := strings.Cut(identity, "|")
		fmt.Fprint(w, begin)
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		if err := <-written; err != nil {
			t.Errorf("the request was sent, and net/http says that it was not: %v", err)
		}
		fmt.Fprint(w, end)
	}))
	t.Cleanup(server.Close)
	client := sts.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} }, APIOptions: []func(*middleware.Stack) error{requestbody.Readable},
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return &slow{Conn: conn, answered: make(chan struct{})}, err
		}}},
	})
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{WroteRequest: func(i httptrace.WroteRequestInfo) { written <- i.Err }})
	out, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	if got := aws.ToString(out.Account); got != "123456789012" {
		t.Errorf("account %q", got)
	}
}

// identity is longer than what net/http reads at once; the bar is where it pauses.
var identity = "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/" + strings.Repeat("u", 8<<10) +
	"|</Arn><UserId>u</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"

// slow returns from writing a request's body only when somebody reads on in the
// answer, which begins in one read.
type slow struct {
	net.Conn
	reads    int // by one goroutine at a time
	answered chan struct{}
	once     sync.Once
}

func (s *slow) Read(p []byte) (int, error) {
	if s.reads++; s.reads > 1 {
		s.once.Do(func() { close(s.answered) })
	}
	return s.Conn.Read(p)
}

func (s *slow) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	if strings.Contains(string(p), "Action=") {
		<-s.answered
	}
	return n, err
}
