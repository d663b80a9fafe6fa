package ecs

import "github.com/bookctl/bookctl/internal/localcloud/kernel"

// limits are the limits of requests of ECS, of the operations that are served here.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html
var limits = kernel.Limits{
	Classes: []kernel.LimitClass{
		{Bucket: kernel.Bucket{Capacity: 20, Refill: 1}, Operations: []string{"CreateCluster", "DeleteCluster", "PutClusterCapacityProviders", "UpdateCluster", "UpdateClusterSettings"}},
		{Bucket: kernel.Bucket{Capacity: 50, Refill: 20}, Operations: []string{"DescribeClusters", "ListClusters"}},
		{Bucket: kernel.Bucket{Capacity: 20, Refill: 1}, Operations: []string{"DeregisterTaskDefinition", "RegisterTaskDefinition"}},
		{Bucket: kernel.Bucket{Capacity: 50, Refill: 20}, Operations: []string{"DescribeTaskDefinition", "ListTaskDefinitions", "ListTaskDefinitionFamilies"}},
		{Bucket: kernel.Bucket{Capacity: 5, Refill: 1}, Operations: []string{"DeleteTaskDefinitions"}},
		{Bucket: kernel.Bucket{Capacity: 10, Refill: 1}, Operations: []string{"CreateCapacityProvider", "DeleteCapacityProvider", "UpdateCapacityProvider"}},
		{Bucket: kernel.Bucket{Capacity: 50, Refill: 20}, Operations: []string{"DescribeCapacityProviders"}},
		{Bucket: kernel.Bucket{Capacity: 20, Refill: 10}, Operations: []string{"TagResource", "UntagResource"}},
		{Bucket: kernel.Bucket{Capacity: 50, Refill: 20}, Operations: []string{"ListTagsForResource"}},
		{Bucket: kernel.Bucket{Capacity: 10, Refill: 1}, Operations: []string{"DeleteAccountSetting", "PutAccountSetting", "PutAccountSettingDefault"}},
		{Bucket: kernel.Bucket{Capacity: 50, Refill: 20}, Operations: []string{"ListAccountSettings"}},
		{Bucket: kernel.Bucket{Capacity: 100, Refill: 40}, Operations: []string{"ExecuteCommand", "RunTask", "StartTask", "StopTask"}},
		{Bucket: kernel.Bucket{Capacity: 100, Refill: 20}, Operations: []string{"DescribeTasks", "ListTasks"}},
		{Bucket: kernel.Bucket{Capacity: 50, Refill: 5}, Operations: []string{"CreateService", "DeleteService", "UpdateService"}},
		{Bucket: kernel.Bucket{Capacity: 100, Refill: 20}, Operations: []string{"DescribeServices", "ListServices"}},
		{Bucket: kernel.Bucket{Capacity: 50, Refill: 20}, Operations: []string{"DescribeServiceDeployments", "ListServiceDeployments"}},
		{Bucket: kernel.Bucket{Capacity: 50, Refill: 20}, Operations: []string{"DescribeServiceRevisions"}},
	},
}
