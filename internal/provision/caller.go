package provision

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// caller knows who calls, and so which account it is, which the ARN of a topic says. All
// parts of a run share the answer.
type caller struct {
	sts *sts.Client
	// turn is full while somebody has the fields below, and makes the call for them.
	turn         chan struct{}
	account, arn string
}

func newCaller(client *sts.Client) *caller { return &caller{sts: client, turn: make(chan struct{}, 1)} }

// Caller returns the account and the ARN of the caller. It is asked for once.
func (c Clients) Caller(ctx context.Context) (account, arn string, err error) {
	return c.caller.identity(ctx)
}

func (c *caller) identity(ctx context.Context) (account, arn string, err error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return "", "", context.Cause(ctx)
	}
	if c.account == "" {
		out, err := c.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return "", "", err
		}
		c.account, c.arn = aws.ToString(out.Account), aws.ToString(out.Arn)
	}
	return c.account, c.arn, nil
}

// accountID returns the number of the account.
func (c *caller) accountID(ctx context.Context) (string, error) {
	account, _, err := c.identity(ctx)
	if err != nil {
		return "", fmt.Errorf("ask for the account: %w", err)
	}
	return account, nil
}
