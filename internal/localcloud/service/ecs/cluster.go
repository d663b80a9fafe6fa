package ecs

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// PutClusterCapacityProviders replaces a cluster's capacity providers and its
// default strategy.
func (a tx) PutClusterCapacityProviders(in *ecs.PutClusterCapacityProvidersInput) (*ecs.PutClusterCapacityProvidersOutput, error) {
	cl, err := a.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	if err := a.spared(cl, in.CapacityProviders); err != nil {
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
