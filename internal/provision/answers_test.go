package provision_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// TestAnAnswerThatEndsEarlyIsTriedAgain ends the first answer early in each way that a
// connection has for it. One that comes whole and can't be read is no such answer.
func TestAnAnswerThatEndsEarlyIsTriedAgain(t *testing.T) {
	t.Parallel()
	const whole = `<DescribeVpcsResponse><requestId>r</requestId><vpcSet><item><vpcId>vpc-1</vpcId></item></vpcSet></DescribeVpcsResponse>`
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter)
		again  bool
	}{
		"in a chunk": {func(w http.ResponseWriter) {
			fmt.Fprint(w, whole[:60])
			_ = http.NewResponseController(w).Flush() // the client sees what is missing
			panic(http.ErrAbortHandler)
		}, true},
		"before its length": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
			fmt.Fprint(w, whole[:60])
		}, true},
		"without a length, by closing": {func(w http.ResponseWriter) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s", whole[:60])
			_ = conn.Close() // all was written, or the client sees it
		}, true},
		"in an error": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, "<Response><Errors><Error><Code>Invalid")
		}, true},
		"never": {func(w http.ResponseWriter) { fmt.Fprint(w, "<DescribeVpcsResponse></vpcSet></DescribeVpcsResponse>") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if calls++; calls == 1 {
					test.answer(w)
				} else {
					fmt.Fprint(w, whole)
				}
			}))
			defer srv.Close()
			answers := &provision.AnswerGuard{}
			config := aws.Config{
				Region: "us-east-1", BaseEndpoint: &srv.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
				Retryer:    func() aws.Retryer { return provision.NewRetryer(time.Millisecond) },
				APIOptions: []func(*middleware.Stack) error{answers.Watch, requestbody.Readable},
			}
			out, err := ec2.NewFromConfig(config).DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{})
			if test.again && (err != nil || len(out.Vpcs) != 1 || calls != 2) {
				t.Errorf("%d calls, %v, want it to be tried again", calls, err)
			}
			var cut *provision.CutOffError
			if !test.again && (err == nil || calls != 1 || errors.As(err, &cut)) {
				t.Errorf("%d calls, %v, want the first answer's error", calls, err)
			}
		})
	}
}

// TestCredentialsTakeNoTimeFromAnAnswer retrieves credentials for longer than an answer may
// take, as for a code that somebody types.
func TestCredentialsTakeNoTimeFromAnAnswer(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<DescribeVpcsResponse><vpcSet><item><vpcId>vpc-1</vpcId></item></vpcSet></DescribeVpcsResponse>")
	}))
	defer srv.Close()
	answers := &provision.AnswerGuard{Limit: 2 * time.Second, Slow: func(_, operation string, _ time.Duration) { t.Errorf("%s is said not to be answered", operation) }}
	config := aws.Config{
		Region: "us-east-1", BaseEndpoint: &srv.URL, APIOptions: []func(*middleware.Stack) error{answers.Watch, requestbody.Readable},
		Credentials: aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			time.Sleep(3 * time.Second)
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
		})),
	}
	answers.Credentials = config.Credentials
	if out, err := ec2.NewFromConfig(config).DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{}); err != nil || len(out.Vpcs) != 1 {
		t.Error(err)
	}
}

// TestCredentialsThatDoNotComeEndACall has a run wait for credentials, such as a code that
// nobody types. It holds its lock meanwhile, so the wait has an end.
func TestCredentialsThatDoNotComeEndACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		typed := make(chan struct{})
		answers := &provision.AnswerGuard{}
		config := aws.Config{
			Region: "us-east-1", APIOptions: []func(*middleware.Stack) error{answers.Watch},
			Credentials: aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				<-typed
				return aws.Credentials{}, errors.New("late")
			})),
		}
		answers.Credentials = config.Credentials
		_, err := ec2.NewFromConfig(config).DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without credentials: %v", err)
		}
		close(typed)
		synctest.Wait()
	})
}
