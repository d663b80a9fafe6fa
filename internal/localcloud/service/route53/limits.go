package route53

import "github.com/bookctl/bookctl/internal/localcloud/kernel"

// limits is Route 53's limit of requests. It names no burst; it is taken to be a
// second's requests.
// https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html
var limits = kernel.Limits{
	Account: kernel.Bucket{Capacity: 5, Refill: 5},
}
