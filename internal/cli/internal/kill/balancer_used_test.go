package kill_test

import (
	"context"
	"strings"
	"testing"
	"time"

	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/runlock"
)

// TestALoadBalancerThatAnotherServiceUsesIsNamed has a VPC link use the stack's load balancer: for
// a moment after it was deleted, which passes, and then for good.
func TestALoadBalancerThatAnotherServiceUsesIsNamed(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		const refusal = "Load balancer 'book-lb' cannot be deleted because it is currently associated with another service"
		destroy := func(most time.Duration) error {
			begun := time.Now()
			var since time.Time
			c.ELB = elb.New(provision.NewClients(a.config(&wire{})).ELB.Options(), func(o *elb.Options) {
				o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
					return s.Initialize.Add(middleware.InitializeMiddlewareFunc("used", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
						if _, deletes := in.Parameters.(*elb.DeleteLoadBalancerInput); deletes {
							if since.IsZero() {
								since = time.Now()
							}
							if time.Since(since) < most {
								return middleware.InitializeOutput{}, middleware.Metadata{}, &smithy.GenericAPIError{Code: "ResourceInUse", Message: refusal}
							}
						}
						return next.HandleInitialize(ctx, in)
					}), middleware.Before)
				})
			})
			_, err := provision.Run{Clients: c, Spec: a.spec, Holder: "test", Lock: runlock.Options{Force: true, VisibilityDelay: a.visibilityDelay}}.Destroy(t.Context(), true, time.Second)
			if took := time.Since(begun); err != nil && took > 15*time.Minute {
				t.Errorf("it fails after %s", took)
			}
			return err
		}
		err := destroy(time.Hour)
		if err == nil || !strings.Contains(err.Error(), refusal) || strings.Contains(err.Error(), "a load balancer still uses it") {
			t.Errorf("the destroy ended with %v", err)
		}
		if next := hint.Of(err).String(); !strings.Contains(next, "remove the VPC link, endpoint service or target group of a network load balancer") {
			t.Errorf("the next step is %q", next)
		}
		if err := destroy(time.Minute); err != nil {
			t.Errorf("where it passes: %v", err)
		}
	})
}
