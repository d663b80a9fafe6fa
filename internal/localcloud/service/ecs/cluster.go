package ecs

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// provide checks and sets what a cluster's tasks run on by default.
func (cl *cluster) provide(providers []string, strategy []types.CapacityProviderStrategyItem) error {
	for _, p := range providers {
		if p != "FARGATE" && p != "FARGATE_SPOT" {
			return kernel.Fail("InvalidParameterException", "The specified capacity provider '%s' was not found.", p)
		}
	}
	var completed []types.CapacityProviderStrategyItem
	bases := 0
	for _, item := range strategy {
		name := aws.ToString(item.CapacityProvider)
		if !slices.Contains(providers, name) {
			return kernel.Fail("InvalidParameterException", "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster and try again.")
		}
		if item.Weight < 0 || item.Weight > 1000 || item.Base < 0 || item.Base > 100000 {
			return kernel.Fail("InvalidParameterException", "The weight of a capacity provider is between 0 and 1000, and its base between 0 and 100000.")
		}
		if item.Base > 0 {
			bases++
		}
		completed = append(completed, item)
	}
	if bases > 1 {
		return kernel.Fail("InvalidParameterException", "Only one capacity provider in a capacity provider strategy can have a base defined.")
	}
	cl.Providers, cl.Strategy = slices.Clone(providers), completed
	return nil
}

// PutClusterCapacityProviders replaces a cluster's capacity providers and its
// default strategy.
func (a tx) PutClusterCapacityProviders(in *ecs.PutClusterCapacityProvidersInput) (*ecs.PutClusterCapacityProvidersOutput, error) {
	cl, err := a.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	if err := cl.provide(in.CapacityProviders, in.DefaultCapacityProviderStrategy); err != nil {
		return nil, err
	}
	described := a.describeCluster(cl, types.ClusterFieldSettings, types.ClusterFieldTags)
	return &ecs.PutClusterCapacityProvidersOutput{Cluster: &described}, nil
}

// UpdateCluster changes a cluster's settings and how commands in its tasks are
// logged.
func (a tx) UpdateCluster(in *ecs.UpdateClusterInput) (*ecs.UpdateClusterOutput, error) {
	cl, err := a.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	if in.ServiceConnectDefaults != nil {
		return nil, kernel.Fail("InvalidParameterException", "The local cloud has no Service Connect")
	}
	if len(in.Settings) > 0 {
		cl.Settings = slices.Clone(in.Settings)
	}
	if in.Configuration != nil {
		cl.Configuration = in.Configuration
	}
	described := a.describeCluster(cl, types.ClusterFieldSettings, types.ClusterFieldConfigurations, types.ClusterFieldTags)
	return &ecs.UpdateClusterOutput{Cluster: &described}, nil
}
