package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/bookctl/bookctl/internal/ui"
)

// TestWhatSTSRefuses explains errors as the SDK hands them on when it could not get
// credentials.
func TestWhatSTSRefuses(t *testing.T) {
	t.Setenv("AWS_PROFILE", "p")
	refused := func(operation, code, message string) error {
		return &smithy.OperationError{ServiceID: "STS", OperationName: operation, Err: &smithy.GenericAPIError{Code: code, Message: message}}
	}
	for _, c := range []struct {
		err        error
		text, next string
	}{
		{
			refused("AssumeRole", "AccessDenied", "User: ann is not authorized to perform: sts:AssumeRole on resource: deploy"),
			"AWS does not let these credentials assume the role of the profile: AccessDenied: User: ann is not authorized to perform: sts:AssumeRole on resource: deploy.",
			"check role_arn and source_profile",
		},
		{
			refused("AssumeRole", "AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code."),
			"AWS does not take the code of the MFA device: AccessDenied: MultiFactorAuthentication failed with invalid MFA one time pass code.",
			"run the same command again with a new code",
		},
		{
			fmt.Errorf("failed to retrieve credentials, %w", refused("AssumeRoleWithWebIdentity", "ExpiredTokenException", "Token expired")),
			"AWS does not take the web identity token: ExpiredTokenException: Token expired.", "the role's trust policy",
		},
		{
			refused("GetRoleCredentials", "ForbiddenException", "No access"),
			"AWS SSO does not give this user the role of the profile: ForbiddenException: No access.", "check sso_account_id",
		},
		{
			refused("GetRoleCredentials", "UnauthorizedException", "Session token not found or invalid"),
			"The AWS SSO session has expired, or was never begun.", "'aws sso login --profile p'",
		},
		{
			&smithy.OperationError{ServiceID: "STS", OperationName: "AssumeRole", Err: &net.DNSError{Name: "sts.mars-1.amazonaws.com", IsNotFound: true}},
			"The AWS credentials can't be loaded: there is no address for sts.mars-1.amazonaws.com.", "check the network and DNS",
		},
	} {
		err := explainError(authError{noAccess{fmt.Errorf("failed to refresh cached credentials, %w", c.err)}})
		if v := outcomeOf(err); err.Error() != c.text || !strings.HasPrefix(v.next.String(), c.next) || v.code != exitAuth {
			t.Errorf("%v is reported as\n%s\nnext: %s\nexit code %d, want 4 and\n%s\nnext: %s", c.err, err, v.next, v.code, c.text, c.next)
		}
	}
}

// stsOnce records how a role is assumed.
type stsOnce struct{ asked *sts.AssumeRoleInput }

func (s *stsOnce) AssumeRole(_ context.Context, in *sts.AssumeRoleInput, _ ...func(*sts.Options)) (*sts.AssumeRoleOutput, error) {
	s.asked = in
	return nil, errors.New("enough")
}

// TestASessionThatBeganWithACodeLastsAnHour assumes roles with and without a device, and for
// the time that a profile says.
func TestASessionThatBeganWithACodeLastsAnHour(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		device string
		said   time.Duration
		want   int32
	}{
		{"arn:aws:iam::111122223333:mfa/ann", 0, 3600},
		{"arn:aws:iam::111122223333:mfa/ann", 2 * time.Hour, 7200},
		{"arn:aws:iam::111122223333:mfa/ann", 20 * time.Minute, 1200},
		{"", 0, 900}, // which is renewed unseen
	} {
		client, g := &stsOnce{}, &globals{}
		provider := stscreds.NewAssumeRoleProvider(client, "arn:aws:iam::111122223333:role/deploy", func(o *stscreds.AssumeRoleOptions) {
			o.Duration = c.said // as config.LoadDefaultConfig does, before these options
			if c.device != "" {
				o.SerialNumber = &c.device
			}
		}, func(o *stscreds.AssumeRoleOptions) { assumeRole(o, streams{}, g) }, func(o *stscreds.AssumeRoleOptions) {
			o.TokenProvider = func() (string, error) { return "123456", nil }
		})
		if _, err := provider.Retrieve(t.Context()); err == nil || client.asked == nil || *client.asked.DurationSeconds != c.want {
			t.Errorf("device %q, duration_seconds %s: %+v, %v; want %d s", c.device, c.said, client.asked, err, c.want)
		}
	}
}

// TestAPageSaysHowASessionOfADeviceBeginsAgain has the session of a page end: the page can't
// ask for the next code.
func TestAPageSaysHowASessionOfADeviceBeginsAgain(t *testing.T) {
	t.Parallel()
	g := &globals{stack: "book"}
	page := newPageSource(&target{}, g)
	options := &stscreds.AssumeRoleOptions{SerialNumber: aws.String("arn:aws:iam::111122223333:mfa/ann")}
	assumeRole(options, streams{}, g)
	_, err := options.TokenProvider()
	var failure ui.Failure
	if !errors.As(page.failure(authError{noAccess{err}}), &failure) || !strings.Contains(failure.Text, "the page can't ask for it") || failure.Next != "end this page, and run 'bookctl ui' again" {
		t.Errorf("the page shows %+v", failure)
	}
}
