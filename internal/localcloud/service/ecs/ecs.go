package ecs

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
)

// state is what ECS keeps. The SDK's structs in it are never changed through
// their pointers and slices, only by new ones, since answers share them.
type state struct {
	Clusters    map[string]*cluster    `json:"clusters,omitempty"`    // by name
	Definitions map[string]*definition `json:"definitions,omitempty"` // by family:revision
	Revisions   map[string]int32       `json:"revisions,omitempty"`   // the last of each family, which are never used again
	Services    map[string]*service    `json:"services,omitempty"`    // by cluster/name
	Tasks       map[string]*ecsTask    `json:"tasks,omitempty"`       // by id
	Account     map[string]string      `json:"account,omitempty"`     // settings that were changed
}

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

// The states of clusters, services and deployments.
const (
	statusActive   = "ACTIVE"
	statusDraining = "DRAINING"
	statusInactive = "INACTIVE"
	statusPrimary  = "PRIMARY"
)

// describedFor is how long what is gone can still be described: AWS says an hour
// for tasks, and names no time for clusters and services
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html).
const describedFor = time.Hour

// running is what runs behind ECS.
type running struct {
	tasks map[string]*runningTask // by id
}

// API is the service's operations.
func (s *Service) API() kernel.Service {
	return kernel.Service{Model: "ecs", Signing: "ecs", Protocol: kernel.JSON, Limits: limits, Operations: kernel.Operations(s.in,
		kernel.Op("CreateCluster", tx.CreateCluster), kernel.Op("DeleteCluster", tx.DeleteCluster), kernel.Op("DescribeClusters", tx.DescribeClusters), kernel.Op("ListClusters", tx.ListClusters),
		kernel.Op("UpdateClusterSettings", tx.UpdateClusterSettings), kernel.Op("UpdateCluster", tx.UpdateCluster), kernel.Op("PutClusterCapacityProviders", tx.PutClusterCapacityProviders),
		kernel.Op("ListAccountSettings", tx.ListAccountSettings), kernel.Op("PutAccountSetting", tx.PutAccountSetting), kernel.Op("PutAccountSettingDefault", tx.PutAccountSettingDefault),
		kernel.Op("DeleteAccountSetting", tx.DeleteAccountSetting),
		kernel.Op("RegisterTaskDefinition", tx.RegisterTaskDefinition), kernel.Op("DeregisterTaskDefinition", tx.DeregisterTaskDefinition),
		kernel.Op("DeleteTaskDefinitions", tx.DeleteTaskDefinitions), kernel.Op("DescribeTaskDefinition", tx.DescribeTaskDefinition),
		kernel.Op("ListTaskDefinitions", tx.ListTaskDefinitions), kernel.Op("ListTaskDefinitionFamilies", tx.ListTaskDefinitionFamilies),
		kernel.Op("CreateService", tx.CreateService), kernel.Op("UpdateService", tx.UpdateService), kernel.Op("DeleteService", tx.DeleteService),
		kernel.Op("DescribeServices", tx.DescribeServices), kernel.Op("ListServices", tx.ListServices),
		kernel.Op("ListServiceDeployments", tx.ListServiceDeployments), kernel.Op("DescribeServiceDeployments", tx.DescribeServiceDeployments),
		kernel.Op("DescribeServiceRevisions", tx.DescribeServiceRevisions), kernel.Op("StopServiceDeployment", tx.StopServiceDeployment),
		kernel.Op("RunTask", tx.RunTask), kernel.Op("StopTask", tx.StopTask), kernel.Op("DescribeTasks", tx.DescribeTasks), kernel.Op("ListTasks", tx.ListTasks),
		kernel.Op("ExecuteCommand", tx.ExecuteCommand),
		kernel.Op("TagResource", tx.TagResource), kernel.Op("UntagResource", tx.UntagResource), kernel.Op("ListTagsForResource", tx.ListTagsForResource),
	)}
}

// wakeScheduler lets the scheduler look at once.
func (a tx) wakeScheduler() {
	select {
	case a.wake <- struct{}{}:
	default: // it is about to look anyway, or does not run yet
	}
}

func (s *Service) clusterARN(name string) string { return s.ARN("ecs", "cluster/"+name) }

func lastPart(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

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

var namePattern = pattern.New(`^[A-Za-z0-9_-]{1,255}$`)

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
		if err := cl.provide(in.CapacityProviders, in.DefaultCapacityProviderStrategy); err != nil {
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

// tagPair returns the key and the value of a tag.
func tagPair(t types.Tag) (key, value *string) { return t.Key, t.Value }

// newTag returns a tag of that key and value.
func newTag(key, value *string) types.Tag { return types.Tag{Key: key, Value: value} }

// tagsOf are the tags of the resource that an ARN names.
func (a tx) tagsOf(arn *string) (map[string]string, error) {
	_, kind, _ := strings.Cut(aws.ToString(arn), ":ecs:"+a.Region()+":"+a.Account()+":")
	kind, name, _ := strings.Cut(kind, "/")
	switch kind {
	case "cluster":
		cl, err := a.cluster(arn)
		if err != nil {
			return nil, err
		}
		return cl.Tags, nil
	case "task-definition":
		if d := a.state().Definitions[name]; d != nil {
			return d.Tags, nil
		}
	case "service":
		if s := a.state().Services[name]; s != nil && s.Status == statusActive {
			return s.Tags, nil
		}
		return nil, kernel.Fail("ServiceNotFoundException", "Service not found.")
	case "task":
		if t := a.state().Tasks[lastPart(name)]; t != nil {
			return t.TagMap, nil
		}
	}
	return nil, kernel.Fail("InvalidParameterException", "The specified resource %s is not found.", aws.ToString(arn))
}

// TagResource tags clusters, services, tasks and task definitions.
func (a tx) TagResource(in *ecs.TagResourceInput) (*ecs.TagResourceOutput, error) {
	tags, err := a.tagsOf(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	maps.Copy(tags, kernel.TagMap(in.Tags, tagPair))
	return &ecs.TagResourceOutput{}, nil
}

// UntagResource is the opposite of TagResource.
func (a tx) UntagResource(in *ecs.UntagResourceInput) (*ecs.UntagResourceOutput, error) {
	tags, err := a.tagsOf(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(tags, k)
	}
	return &ecs.UntagResourceOutput{}, nil
}

// ListTagsForResource lists a resource's tags.
func (a tx) ListTagsForResource(in *ecs.ListTagsForResourceInput) (*ecs.ListTagsForResourceOutput, error) {
	tags, err := a.tagsOf(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &ecs.ListTagsForResourceOutput{Tags: kernel.TagList(tags, newTag)}, nil
}

// ExecuteCommand opens a session to a container of an engine. On AWS a session is
// Systems Manager's own protocol over a web socket, which the local cloud does not
// speak: here its address is for package container.
func (a tx) ExecuteCommand(in *ecs.ExecuteCommandInput) (*ecs.ExecuteCommandOutput, error) {
	cl, err := a.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	t := a.state().Tasks[lastPart(aws.ToString(in.Task))]
	switch {
	case t == nil || t.Cluster != cl.Name || *t.LastStatus == taskStopped:
		return nil, kernel.Fail("InvalidParameterException", "The specified task could not be found: %s", aws.ToString(in.Task))
	case !t.takesCommands():
		return nil, kernel.Fail("InvalidParameterException", "The execute command failed because execute command was not enabled when the task was run or the execute command agent isn't running. Wait and try again or run a new task with execute command enabled and try again.")
	}
	name := aws.ToString(in.Container)
	if name == "" && len(t.Containers) == 1 {
		name = aws.ToString(t.Containers[0].Name)
	}
	r := a.running().tasks[t.ID]
	if r == nil || r.containers[name] == nil {
		return nil, kernel.Fail("InvalidParameterException", "The execute command failed due to an invalid container name: %s", name)
	}
	console := r.containers[name].Console(aws.ToString(in.Command))
	if console == "" {
		return nil, kernel.Fail("TargetNotConnectedException", "The execute command failed: the task is a plain process of this machine. Tasks of 'bookctl local start --engine docker' or podman take commands.")
	}
	return &ecs.ExecuteCommandOutput{
		ClusterArn: t.ClusterArn, TaskArn: t.TaskArn, ContainerName: &name, Interactive: in.Interactive,
		Session: &types.Session{SessionId: aws.String("ecs-execute-command-" + kernel.HexDigits(17)), StreamUrl: &console, TokenValue: aws.String(kernel.HexDigits(64))},
	}, nil
}

// Connected reports whether a target of Systems Manager, ecs:CLUSTER_TASK_RUNTIME, is a
// container that takes commands.
func (s *Service) Connected(t *kernel.Tx, target string) bool {
	for _, task := range s.in(t).state().Tasks {
		for _, c := range task.Containers {
			if target == "ecs:"+task.Cluster+"_"+task.ID+"_"+aws.ToString(c.RuntimeId) {
				return task.takesCommands()
			}
		}
	}
	return false
}

// decimals is n random decimal digits, the first of them not 0.
func decimals(n int) string {
	text := fmt.Sprint(1 + rand.IntN(9)) //nolint:gosec // a name and no secret
	for len(text) < n {
		text += fmt.Sprint(rand.IntN(10)) //nolint:gosec // likewise
	}
	return text
}
