package localcloud_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/memory"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// TestRequestsAreLimitedAsOnAWS counts how many requests are accepted at once, and how
// many a second later, by a simulated clock. The numbers are those of AWS's pages, which
// the limits of each service name.
func TestRequestsAreLimitedAsOnAWS(t *testing.T) {
	t.Parallel()
	cluster := func(ctx context.Context, c aws.Config) error {
		_, err := ecs.NewFromConfig(c).ListClusters(ctx, &ecs.ListClustersInput{})
		return err
	}
	groups := func(in *ec2.DescribeSecurityGroupsInput) func(context.Context, aws.Config) error {
		return func(ctx context.Context, c aws.Config) error {
			_, err := ec2.NewFromConfig(c).DescribeSecurityGroups(ctx, in)
			return err
		}
	}
	for _, test := range []struct {
		name    string
		cfg     localcloud.Config
		request func(context.Context, aws.Config) error
		other   func(context.Context, aws.Config) error // uses up the same bucket before, if not nil
		code    string
		burst   int
		refill  int
	}{
		{name: "ECS, a class", request: cluster, code: "ThrottlingException", burst: 50, refill: 20},
		{name: "ECS, shared with another operation of the class", request: cluster, other: func(ctx context.Context, c aws.Config) error {
			_, err := ecs.NewFromConfig(c).DescribeClusters(ctx, &ecs.DescribeClustersInput{})
			return err
		}, code: "ThrottlingException", burst: 0, refill: 20},
		{name: "load balancing", request: func(ctx context.Context, c aws.Config) error {
			_, err := elb.NewFromConfig(c).DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{})
			return err
		}, code: "Throttling", burst: 40, refill: 10},
		{name: "EC2 without a filter", request: groups(&ec2.DescribeSecurityGroupsInput{}), code: "RequestLimitExceeded", burst: 50, refill: 10},
		{name: "EC2 with a filter", request: groups(&ec2.DescribeSecurityGroupsInput{Filters: []ec2types.Filter{{Name: aws.String("group-name"), Values: []string{"x"}}}}), code: "RequestLimitExceeded", burst: 100, refill: 20},
		{name: "EC2 with a page size", request: groups(&ec2.DescribeSecurityGroupsInput{MaxResults: aws.Int32(5)}), code: "RequestLimitExceeded", burst: 100, refill: 20},
		{name: "EC2, an operation of its own", request: groups(&ec2.DescribeSecurityGroupsInput{}), other: func(ctx context.Context, c aws.Config) error {
			_, err := ec2.NewFromConfig(c).DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{})
			return err
		}, code: "RequestLimitExceeded", burst: 50, refill: 10},
		{name: "Parameter Store", request: func(ctx context.Context, c aws.Config) error {
			_, err := ssm.NewFromConfig(c).GetParameters(ctx, &ssm.GetParametersInput{Names: []string{"/x"}})
			return err
		}, code: "ThrottlingException", burst: 40, refill: 40},
		{name: "a neighbour", cfg: localcloud.Config{Neighbour: 0.5}, request: cluster, code: "ThrottlingException", burst: 25, refill: 10},
		{name: "a scale", cfg: localcloud.Config{Latencies: localcloud.Latencies{Scale: 0.5}}, request: cluster, code: "ThrottlingException", burst: 50, refill: 40},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := test.cfg
				cfg.StateDir, cfg.Runtimes, cfg.Throttle = t.TempDir(), memory.Runtimes, true
				cloud := openCloud(t, cfg)
				client := aws.Config{
					Region: "us-east-1", BaseEndpoint: aws.String(cloud.Endpoint()), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
					Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), HTTPClient: &http.Client{Transport: memory.Transport{To: cloud}},
					APIOptions: []func(*middleware.Stack) error{requestbody.Readable},
				}
				accepted := func(request func(context.Context, aws.Config) error) (n int) {
					for {
						err := request(t.Context(), client)
						if err == nil {
							n++
							continue
						}
						var api smithy.APIError
						if !errors.As(err, &api) || api.ErrorCode() != test.code {
							t.Fatalf("after %d requests: %v; want %s", n, err, test.code)
						}
						return n
					}
				}
				if test.other != nil {
					accepted(test.other)
				}
				if n := accepted(test.request); n != test.burst {
					t.Errorf("%d requests are accepted at once, want %d", n, test.burst)
				}
				time.Sleep(time.Second)
				if n := accepted(test.request); n != test.refill {
					t.Errorf("%d requests are accepted a second later, want %d", n, test.refill)
				}
			})
		})
	}
}

// TestWithoutThrottleNothingIsLimited makes more requests than a bucket holds.
func TestWithoutThrottleNothingIsLimited(t *testing.T) {
	t.Parallel()
	c := ecs.NewFromConfig(clientConfig(openCloud(t, localcloud.Config{})))
	for range 60 {
		if _, err := c.ListClusters(t.Context(), &ecs.ListClustersInput{}); err != nil {
			t.Fatal(err)
		}
	}
}
