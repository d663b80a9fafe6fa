package ecr

import "github.com/bookctl/bookctl/internal/localcloud/kernel"

// limits are quotas of requests of ECR. They name no burst; it is taken to be a second's
// requests. Those of pushes and pulls are not met here: the registry is no part of them.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html
var limits = kernel.Limits{
	Classes: []kernel.LimitClass{
		{Bucket: kernel.Bucket{Capacity: 10, Refill: 10}, Operations: []string{"PutImage"}},
		{Bucket: kernel.Bucket{Capacity: 500, Refill: 500}, Operations: []string{"GetAuthorizationToken"}},
	},
}
