package secretsmanager

import "github.com/bookctl/bookctl/internal/localcloud/kernel"

// limits are quotas of requests of Secrets Manager. They name no burst; it is taken to
// be a second's requests. GetSecretValue and DescribeSecret are allowed 10,000 times per
// second, which needs no bucket here.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
var limits = kernel.Limits{
	Classes: []kernel.LimitClass{
		{Bucket: kernel.Bucket{Capacity: 50, Refill: 50}, Operations: []string{"PutSecretValue", "UpdateSecret", "UpdateSecretVersionStage"}},
		{Bucket: kernel.Bucket{Capacity: 50, Refill: 50}, Operations: []string{"DeleteResourcePolicy", "GetResourcePolicy", "PutResourcePolicy", "ValidateResourcePolicy"}},
	},
}
