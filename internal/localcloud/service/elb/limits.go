package elb

import "github.com/bookctl/bookctl/internal/localcloud/kernel"

// limits are the limits of requests of Elastic Load Balancing. Requests that ECS makes
// for a service have other buckets.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-throttling.html
var limits = kernel.Limits{
	Account: kernel.Bucket{Capacity: 40, Refill: 10},
	Classes: []kernel.LimitClass{
		{Bucket: kernel.Bucket{Capacity: 10, Refill: 0.2}, Operations: []string{"CreateLoadBalancer", "SetSubnets"}},
		{Bucket: kernel.Bucket{Capacity: 20, Refill: 4}, Operations: []string{"RegisterTargets", "DeregisterTargets"}},
		{Bucket: kernel.Bucket{Capacity: 40, Refill: 10}, Operations: []string{"Describe*"}},
		{Bucket: kernel.Bucket{Capacity: 20, Refill: 3}, Operations: []string{"*"}},
	},
}
