package ssm

import "github.com/bookctl/bookctl/internal/localcloud/kernel"

// limits are Parameter Store's limits of requests. AWS documents those of reads, without
// a burst, and not that of PutParameter: AWS's support named 3 per second in
// https://github.com/github-aws-runners/terraform-aws-github-runner/issues/2944, and 20
// of 44 at once were accepted in https://github.com/sudolabs-io/aws-ssm-cli/issues/503.
// https://docs.aws.amazon.com/general/latest/gr/ssm.html
var limits = kernel.Limits{
	Classes: []kernel.LimitClass{
		{Bucket: kernel.Bucket{Capacity: 40, Refill: 40}, Operations: []string{"GetParameter", "GetParameters", "GetParametersByPath"}},
		{Bucket: kernel.Bucket{Capacity: 20, Refill: 3}, Operations: []string{"PutParameter"}},
	},
}
