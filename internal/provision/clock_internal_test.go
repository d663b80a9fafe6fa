package provision

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
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
		t.Errorf("the clock is told to be %s off (%v) by %v", off, known, err)
	}
}
