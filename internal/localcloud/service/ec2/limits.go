package ec2

import "github.com/bookctl/bookctl/internal/localcloud/kernel"

// limits are EC2's limits of requests, of the operations that are served here.
// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
var limits = kernel.Limits{
	Classes: []kernel.LimitClass{
		{Bucket: kernel.Bucket{Capacity: 100, Refill: 10}, Each: true, Operations: []string{"CreateTags", "DeleteTags"}},
		{Bucket: kernel.Bucket{Capacity: 100, Refill: 5}, Each: true, Operations: []string{"CreateNetworkInterface", "DeleteNetworkInterface", "ModifyNetworkInterfaceAttribute"}},
		{Bucket: kernel.Bucket{Capacity: 10, Refill: 1}, Each: true, Operations: []string{"CreateNatGateway", "DeleteNatGateway"}},
		{Bucket: kernel.Bucket{Capacity: 4, Refill: 0.3}, Each: true, Operations: []string{"CreateVpcEndpoint", "DeleteVpcEndpoints", "ModifyVpcEndpoint"}},
		{Bucket: kernel.Bucket{Capacity: 50, Refill: 10}, Each: true, Unfiltered: true, Operations: []string{
			"DescribeInstances", "DescribeInstanceStatus", "DescribeNetworkInterfaces", "DescribeSecurityGroups", "DescribeSnapshots", "DescribeVolumes",
		}},
		{Bucket: kernel.Bucket{Capacity: 100, Refill: 20}, Each: true, Operations: []string{"Describe*", "List*", "Search*", "Get*"}},
		// Operations that modify, and those that take the most time, have the same limit.
		{Bucket: kernel.Bucket{Capacity: 50, Refill: 5}, Each: true, Operations: []string{"*"}},
	},
}
