package provision

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// later is an EC2 whose clock is that far ahead of this machine's.
type later time.Duration

func (l later) RoundTrip(r *http.Request) (*http.Response, error) {
	now := time.Now().Add(time.Duration(l))
	status, answer := http.StatusOK, `<DescribeVpcsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><vpcSet/></DescribeVpcsResponse>`
	if signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date")); err != nil || now.Sub(signed).Abs() > 5*time.Minute {
		status, answer = http.StatusBadRequest, `<Response><Errors><Error><Code>RequestExpired</Code><Message>Request has expired.</Message></Error></Errors></Response>`
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Date": {now.UTC().Format(http.TimeFormat)}}, Body: io.NopCloser(strings.NewReader(answer)), Request: r,
	}, nil
}

// TestACallIsNotSentAgainAfterASleep throttles a write and suspends the machine in the
// pause before the next attempt.
func TestACallIsNotSentAgainAfterASleep(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		slept time.Duration
		sent  int
	}{"awake": {0, 3}, "asleep": {30 * time.Minute, 1}} {
		sent, now := 0, time.Now()
		config := stub(func(*http.Request, string) (int, string) {
			sent++
			now = now.Add(c.slept)
			return http.StatusServiceUnavailable, `<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>x</Message></Error></Errors></Response>`
		}).config()
		config.Retryer = func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = 3, time.Millisecond })
		}
		config.APIOptions = append(config.APIOptions, func(s *middleware.Stack) error { return endPauses(s, func() time.Time { return now }) })
		n := ec2Access{ec2: ec2.NewFromConfig(config)}
		vpc := newVPC(n, "10.0.0.0/16")
		_, err := graph.Up(t.Context(), []Resource{writes{vpc, func(ctx context.Context) error {
			_, err := n.ec2.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: aws.String("vpc-1")})
			return err
		}}}, graph.Options{})
		if err == nil || sent != c.sent {
			t.Errorf("%s: sent %d times, want %d: %v", name, sent, c.sent, err)
		}
		if c.slept > 0 && !Ambiguous(err) {
			t.Errorf("%s: whether it was carried out is taken for known: %v", name, err)
		}
	}
}

// writes is something that is made by a call.
type writes struct {
	*VPC
	call func(context.Context) error
}

func (writes) Find(context.Context) (graph.State, error) { return absent, nil }

func (w writes) Create(ctx context.Context) (string, error) { return "", w.call(ctx) }

// TestAClockThatIsOffIsCorrectedForEC2 asks an EC2 that answers RequestExpired, which
// the SDK does not take for a matter of the clock.
func TestAClockThatIsOffIsCorrectedForEC2(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{0, time.Hour, -time.Hour} {
		config := stub(nil).config()
		config.HTTPClient = &http.Client{Transport: later(off)}
		config.Retryer = func() aws.Retryer { return NewRetryer(10 * time.Millisecond) }
		if _, err := ec2.NewFromConfig(config).DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{}); err != nil {
			t.Errorf("with a clock that is %s behind: %v", off, err)
		}
	}
	config := stub(nil).config()
	config.HTTPClient = &http.Client{Transport: later(time.Hour)}
	_, err := ec2.NewFromConfig(config).DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{})
	if off, known := ClockOff(err, time.Now()); !known || off > -59*time.Minute || off < -61*time.Minute {
		t.Errorf("the clock is reported to be %s off (%v) by %v", off, known, err)
	}
}
