package provision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// NewRetryer returns how to repeat calls that AWS throttles or does not answer: AWS throttles
// large accounts at times, and a deploy is worth some waiting. The pause between two tries grows up to longest.
//
// It is the SDK's standard mode. The adaptive mode also delays calls that AWS has not refused:
// if one call in five is throttled, it allows one call in two seconds for all resources of a
// service, and reads that wait for something delay the writes.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
func NewRetryer(longest time.Duration) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff, o.RateLimiter = 10, longest, unlimited{}
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(clockIsOff), retry.IsErrorRetryableFunc(quotaIsFull)}, o.Retryables...)
	})
}

// clockIsOff reports that a call was refused for the time of its signature. The SDK
// signs the next one by AWS's clock, which it has from the answer, and does not
// know that RequestExpired, which EC2 answers, calls for it.
// https://github.com/aws/aws-sdk-go-v2/blob/main/aws/retry/middleware.go
func clockIsOff(err error) aws.Ternary {
	if off, known := ClockOff(err, time.Now()); known && off.Abs() > ClockTolerance && IsCode(err, "RequestExpired") {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

// quotaIsFull reports that a quota of the account is reached, which the SDK takes for
// throttling. In all services here the code means that alone, by their API models, and
// no retry helps. See findings/sdk-takes-a-full-quota-for-throttling.sh.
func quotaIsFull(err error) aws.Ternary {
	if IsCode(err, "LimitExceededException") {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}

// EndPauses makes the end of a run end the pause before a mutating call is tried
// again, and never an attempt, whose outcome nobody would know. Without it somebody
// who stops a run that AWS throttles would wait for half a minute of attempts.
//
// Nor is a call tried again long after it began, as on a machine that was suspended
// in a pause: each attempt is signed again, and the lock was asked before the first.
func EndPauses(stack *middleware.Stack) error { return endPauses(stack, time.Now) }

// lastAttempt is how long after its beginning a call may be tried again; see runlock.Lock.
const lastAttempt = 2 * time.Minute

// errTooLate ends a call that would be tried again too late. Whether it was carried
// out is not known.
var errTooLate = fmt.Errorf("the call began more than %s ago, and is not sent again: %w", lastAttempt, context.DeadlineExceeded)

func endPauses(stack *middleware.Stack, now func() time.Time) error {
	type wholeKey struct{}
	type begunKey struct{}
	type sentKey struct{}
	const retries = "Retry" // what the SDK calls its own
	if _, there := stack.Finalize.Get(retries); !there {
		return nil
	}
	pauses := middleware.FinalizeMiddlewareFunc("bookctl-pauses", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		run := graph.RunOf(ctx)
		if run == nil {
			return next.HandleFinalize(ctx, in)
		}
		whole := context.WithValue(ctx, begunKey{}, now().Round(0)) // the wall clock goes on while the machine sleeps
		whole = context.WithValue(whole, sentKey{}, new(bool))
		pausing, end := context.WithCancel(context.WithValue(whole, wholeKey{}, whole))
		defer end()
		defer context.AfterFunc(run, end)()
		return next.HandleFinalize(pausing, in)
	})
	attempts := middleware.FinalizeMiddlewareFunc("bookctl-attempts", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		whole, paused := ctx.Value(wholeKey{}).(context.Context)
		if !paused {
			return next.HandleFinalize(ctx, in)
		}
		if begun, ok := whole.Value(begunKey{}).(time.Time); ok && now().Round(0).Sub(begun) > lastAttempt {
			return middleware.FinalizeOutput{}, middleware.Metadata{}, errTooLate
		}
		if sent, ok := whole.Value(sentKey{}).(*bool); ok { // attempts come one after another
			if *sent {
				graph.Repeated(whole)
			}
			*sent = true
		}
		attempt, end := context.WithCancel(context.WithoutCancel(ctx))
		defer end()
		defer context.AfterFunc(whole, end)()
		return next.HandleFinalize(attempt, in)
	})
	return errors.Join(stack.Finalize.Insert(pauses, retries, middleware.Before), stack.Finalize.Insert(attempts, retries, middleware.After))
}

// onlyThrottles repeats no call but one that AWS refused to look at for coming
// too fast. It is for calls that make another resource each time, without a client
// token or a name that is unique: the SDK would otherwise answer a lost
// connection by making a second one.
type onlyThrottles struct{ aws.Retryer }

func (r onlyThrottles) IsErrorRetryable(err error) bool {
	throttled := retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err)
	return throttled == aws.TrueTernary && r.Retryer.IsErrorRetryable(err)
}

// unlimited lets the SDK retry for as long as its attempts last: its default
// token bucket is shared by all calls of a client and would run dry when a run
// of thirty resources is throttled.
type unlimited struct{}

func (unlimited) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (unlimited) AddTokens(uint) error { return nil }
