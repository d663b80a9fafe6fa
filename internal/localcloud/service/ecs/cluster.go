package ecs

import (
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

type cluster struct {
	Name     string                 `json:"name"`
	Status   string                 `json:"status"`
	Settings []types.ClusterSetting `json:"settings,omitempty"`
	// Providers and Strategy are what tasks run on that name nothing else.
	Providers     []string                             `json:"providers,omitempty"`
	Strategy      []types.CapacityProviderStrategyItem `json:"strategy,omitempty"`
	Configuration *types.ClusterConfiguration          `json:"configuration,omitempty"`
	Tags          map[string]string                    `json:"tags,omitempty"`
	Deleted       time.Time                            `json:"deleted,omitzero"`
}

func (s *Service) clusterARN(name string) string { return s.ARN("ecs", "cluster/"+name) }

// cluster finds an active cluster by name or ARN; none means "default".
func (a tx) cluster(nameOrARN *string) (*cluster, error) {
	name := "default"
	if nameOrARN != nil && *nameOrARN != "" {
		name = lastPart(*nameOrARN)
	}
	cl := a.state().Clusters[name]
	if cl == nil || cl.Status != statusActive || !a.Visible(a.clusterARN(name)) {
		return nil, kernel.Fail("ClusterNotFoundException", "Cluster not found.")
	}
	return cl, nil
}

// CreateCluster creates a cluster, or returns the active one of that name.
func (a tx) CreateCluster(in *ecs.CreateClusterInput) (*ecs.CreateClusterOutput, error) {
	name := aws.ToString(in.ClusterName)
	if name == "" {
		name = "default"
	}
	if !namePattern.MatchString(name) {
		return nil, kernel.Fail("InvalidParameterException", "Identifier is for cluster. Invalid characters: %s", name)
	}
	if !a.needs.Roles.LinkedRoleUsable(a.Tx, "ecs.amazonaws.com") {
		// The first call in a new account: https://github.com/1Password/scim-examples/issues/356.
		return nil, kernel.Fail("InvalidParameterException", "Unable to assume the service linked role. Please verify that the ECS service linked role exists.")
	}
	cl := a.state().Clusters[name]
	if cl == nil || cl.Status != statusActive {
		cl = &cluster{Name: name, Status: statusActive, Settings: in.Settings, Configuration: in.Configuration, Tags: kernel.TagMap(in.Tags, tagPair)}
		if err := cl.setProviders(in.CapacityProviders, in.DefaultCapacityProviderStrategy); err != nil {
			return nil, err
		}
		if in.ServiceConnectDefaults != nil {
			return nil, kernel.Fail("InvalidParameterException", "The local cloud has no Service Connect")
		}
		if len(cl.Settings) == 0 {
			account := a.accountSetting(string(types.SettingNameContainerInsights))
			cl.Settings = []types.ClusterSetting{{Name: types.ClusterSettingNameContainerInsights, Value: account.Value}}
		}
		if a.state().Clusters == nil {
			a.state().Clusters = map[string]*cluster{}
		}
		a.state().Clusters[name] = cl
		a.Created(a.clusterARN(name))
	}
	described := a.describeCluster(cl, types.ClusterFieldTags, types.ClusterFieldSettings, types.ClusterFieldConfigurations)
	return &ecs.CreateClusterOutput{Cluster: &described}, nil
}

// insights reports whether Container Insights is on for a cluster.
func (cl *cluster) insights() bool {
	return slices.ContainsFunc(cl.Settings, func(s types.ClusterSetting) bool {
		return s.Name == types.ClusterSettingNameContainerInsights && aws.ToString(s.Value) != "disabled"
	})
}

// describeCluster describes a cluster. What is not asked for is left out or
// empty, as on AWS
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeClusters.html).
func (a tx) describeCluster(cl *cluster, include ...types.ClusterField) types.Cluster {
	d := types.Cluster{
		ClusterArn: aws.String(a.clusterARN(cl.Name)), ClusterName: aws.String(cl.Name), Status: aws.String(cl.Status), Settings: []types.ClusterSetting{},
		CapacityProviders: append([]string{}, cl.Providers...), DefaultCapacityProviderStrategy: append([]types.CapacityProviderStrategyItem{}, cl.Strategy...),
		Statistics: []types.KeyValuePair{}, Tags: []types.Tag{},
	}
	if slices.Contains(include, types.ClusterFieldSettings) {
		d.Settings = cl.Settings
	}
	if slices.Contains(include, types.ClusterFieldConfigurations) {
		d.Configuration = cl.Configuration
	}
	for _, s := range a.state().Services {
		if s.Cluster == cl.Name && s.Status == statusActive {
			d.ActiveServicesCount++
		}
	}
	for _, t := range a.state().Tasks {
		switch {
		case t.Cluster != cl.Name:
		case *t.LastStatus == taskRunning:
			d.RunningTasksCount++
		case *t.LastStatus == taskPending || *t.LastStatus == taskProvisioning:
			d.PendingTasksCount++
		}
	}
	if slices.Contains(include, types.ClusterFieldTags) {
		d.Tags = kernel.TagList(cl.Tags, newTag)
	}
	return d
}

// DeleteCluster deletes a cluster without services and tasks.
func (a tx) DeleteCluster(in *ecs.DeleteClusterInput) (*ecs.DeleteClusterOutput, error) {
	cl, err := a.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	for _, s := range a.state().Services {
		// A draining service still holds its cluster by its tasks only.
		if s.Cluster == cl.Name && s.Status == statusActive {
			return nil, kernel.Fail("ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active.")
		}
	}
	for _, t := range a.state().Tasks {
		if t.Cluster == cl.Name && *t.LastStatus != taskStopped {
			return nil, kernel.Fail("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
		}
	}
	cl.Status, cl.Deleted = statusInactive, a.Now()
	described := a.describeCluster(cl, types.ClusterFieldTags)
	return &ecs.DeleteClusterOutput{Cluster: &described}, nil
}

// DescribeClusters describes clusters, inactive ones too.
func (a tx) DescribeClusters(in *ecs.DescribeClustersInput) (*ecs.DescribeClustersOutput, error) {
	names := in.Clusters
	if len(names) == 0 {
		names = []string{"default"}
	}
	out := &ecs.DescribeClustersOutput{Clusters: []types.Cluster{}, Failures: []types.Failure{}}
	for _, name := range names {
		cl := a.state().Clusters[lastPart(name)]
		if cl == nil || !a.Visible(a.clusterARN(cl.Name)) {
			out.Failures = append(out.Failures, types.Failure{Arn: aws.String(a.clusterARN(lastPart(name))), Reason: aws.String("MISSING")})
			continue
		}
		out.Clusters = append(out.Clusters, a.describeCluster(cl, in.Include...))
	}
	return out, nil
}

// ListClusters lists the active clusters.
func (a tx) ListClusters(in *ecs.ListClustersInput) (*ecs.ListClustersOutput, error) {
	arns := []string{}
	for _, name := range slices.Sorted(maps.Keys(a.state().Clusters)) {
		if a.state().Clusters[name].Status == statusActive && a.Visible(a.clusterARN(name)) {
			arns = append(arns, a.clusterARN(name))
		}
	}
	out := &ecs.ListClustersOutput{}
	out.ClusterArns, out.NextToken = kernel.PageAfter(arns, in.NextToken, in.MaxResults, 100)
	return out, nil
}

// UpdateClusterSettings replaces settings such as Container Insights.
func (a tx) UpdateClusterSettings(in *ecs.UpdateClusterSettingsInput) (*ecs.UpdateClusterSettingsOutput, error) {
	cl, err := a.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	cl.Settings = slices.Clone(in.Settings)
	described := a.describeCluster(cl, types.ClusterFieldSettings)
	return &ecs.UpdateClusterSettingsOutput{Cluster: &described}, nil
}

// PutClusterCapacityProviders replaces a cluster's capacity providers and its
// default strategy.
func (a tx) PutClusterCapacityProviders(in *ecs.PutClusterCapacityProvidersInput) (*ecs.PutClusterCapacityProvidersOutput, error) {
	cl, err := a.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	if err := a.checkProvidersUnused(cl, in.CapacityProviders); err != nil {
		return nil, err
	}
	if err := cl.setProviders(in.CapacityProviders, in.DefaultCapacityProviderStrategy); err != nil {
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
