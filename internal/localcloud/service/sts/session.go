package sts

import (
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// Seconds for which a session's credentials are good.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
const (
	shortestSession = 900
	longestSession  = 129600
	usualSession    = 43200
)

// GetSessionToken gives credentials that end. Like all credentials of the local
// cloud they are its one user's, and it does not check when they end.
func (a tx) GetSessionToken(in *sts.GetSessionTokenInput) (*sts.GetSessionTokenOutput, error) {
	seconds := aws.ToInt32(in.DurationSeconds)
	switch {
	case a.Caller().Session: // https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_sts-comparison.html
		return nil, &kernel.Error{Status: http.StatusForbidden, Code: "AccessDenied", Message: "Cannot call GetSessionToken with session credentials"}
	case in.DurationSeconds == nil:
		seconds = usualSession
	case seconds < shortestSession || seconds > longestSession:
		return nil, kernel.Fail("ValidationError", "The requested DurationSeconds must be from %d to %d", shortestSession, longestSession)
	}
	return &sts.GetSessionTokenOutput{Credentials: credentials(a.Now().Add(time.Duration(seconds) * time.Second))}, nil
}

// credentials are new ones that end.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
func credentials(end time.Time) *types.Credentials {
	const capitals = kernel.Capitals + kernel.Digits
	return &types.Credentials{
		AccessKeyId:     aws.String("ASIA" + kernel.RandomText(16, capitals)),
		SecretAccessKey: aws.String(kernel.RandomText(40, capitals+kernel.Letters)),
		SessionToken:    aws.String(kernel.RandomText(200, capitals+kernel.Letters)),
		Expiration:      &end,
	}
}
