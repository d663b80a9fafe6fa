package provision

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// NewRetryer returns how calls are repeated that AWS throttles or does not
// answer: a large account is throttled at times, and a deploy is worth some
// patience. The pause between two tries grows up to longest.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
func NewRetryer(longest time.Duration) aws.Retryer {
	return retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) {
		o.StandardOptions = append(o.StandardOptions, func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff, o.RateLimiter = 10, longest, unlimited{}
		})
	})
}

// unlimited lets the SDK retry for as long as its attempts last: its default
// token bucket is shared by all calls of a client and would run dry when a run
// of thirty resources is throttled.
type unlimited struct{}

func (unlimited) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (unlimited) AddTokens(uint) error { return nil }
