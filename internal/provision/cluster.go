package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// ecsAccess is the client and the identity of a stack's ECS resources.
type ecsAccess struct {
	identity
	ecs *ecs.Client
}

func (c ecsAccess) retag(ctx context.Context, arn, resource string, changes []graph.Change) error {
	if drop := c.toDrop(resource, changes); drop != nil {
		if _, err := c.ecs.UntagResource(ctx, &ecs.UntagResourceInput{ResourceArn: &arn, TagKeys: drop}); err != nil {
			return fmt.Errorf("untag %s: %w", arn, err)
		}
	}
	_, err := c.ecs.TagResource(ctx, &ecs.TagResourceInput{ResourceArn: &arn, Tags: toECSTags(c.tags(resource))})
	if err != nil {
		return fmt.Errorf("tag %s: %w", arn, err)
	}
	return nil
}

// Cluster is the ECS cluster in which the service runs. It costs nothing.
type Cluster struct {
	graph.NodeOf[*liveCluster]
	ecsAccess
	spot bool // its tasks are to run on Fargate Spot too
}

func newCluster(c ecsAccess, linked *ServiceLinkedRole, spot bool) *Cluster {
	// Its deletion waits for the last task of the service to stop.
	out := &Cluster{ecsAccess: c, spot: spot}
	out.NodeOf = graph.Of(out, "cluster", 10*time.Minute, linked)
	return out
}

func (c *Cluster) clusterName() string { return c.names().Cluster() }

// describe looks the cluster up by its name; nil is for none. An INACTIVE one is what ECS
// remembers of a deleted one, for an unknown time.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteCluster.html
func (c *Cluster) describe(ctx context.Context) (*types.Cluster, error) {
	return c.observed().cluster.readOnce(ctx, c.lookup)
}

func (c *Cluster) lookup(ctx context.Context) (*types.Cluster, error) {
	out, err := c.ecs.DescribeClusters(ctx, &ecs.DescribeClustersInput{
		Clusters: []string{c.clusterName()}, Include: []types.ClusterField{types.ClusterFieldTags},
	})
	if err != nil {
		return nil, fmt.Errorf("describe cluster %s: %w", c.clusterName(), err)
	}
	if len(out.Clusters) == 0 || aws.ToString(out.Clusters[0].Status) == "INACTIVE" {
		return nil, nil
	}
	return &out.Clusters[0], nil
}

// liveCluster is a cluster as far as it is compared.
type liveCluster struct {
	tags      map[string]string
	providers []string // the capacity providers that services may name
	byDefault []types.CapacityProviderStrategyItem
}

// Read looks the cluster up by its name.
func (c *Cluster) Read(ctx context.Context) (*liveCluster, graph.State, error) {
	live, err := c.describe(ctx)
	if live == nil || err != nil {
		return nil, absent, err
	}
	status, tags := aws.ToString(live.Status), fromECSTags(live.Tags)
	st := graph.State{ID: aws.ToString(live.ClusterArn), Owner: tags[TagStack], Note: status, Phase: graph.Pending}
	switch status {
	case "ACTIVE":
		st.Phase = graph.Ready
	case "DEPROVISIONING":
		st.Phase = graph.Terminating
	case "FAILED":
		st.Phase = graph.Unrecoverable
	}
	return &liveCluster{tags, live.CapacityProviders, live.DefaultCapacityProviderStrategy}, st, nil
}

// Wanted implements graph.Shape. Other providers stay, and so do those of Fargate where
// they are not wanted any more: the service leaves them after the cluster is looked at,
// and they cost nothing.
func (c *Cluster) Wanted(live *liveCluster) *liveCluster {
	w := &liveCluster{tags: c.tags(c.Name()), providers: slices.Clone(live.providers)}
	if c.spot {
		for _, p := range []string{onDemand, onSpot} {
			if !slices.Contains(w.providers, p) {
				w.providers = append(w.providers, p)
			}
		}
	}
	return w
}

// Attributes implements graph.Shape.
func (c *Cluster) Attributes() graph.Attributes[*liveCluster] {
	return graph.Attributes[*liveCluster]{
		tagAttribute(func(l *liveCluster) map[string]string { return l.tags }, graph.SetBy(func(ctx context.Context, changes []graph.Change) error {
			return c.retag(ctx, c.ID(), c.Name(), changes)
		})),
		graph.Field(fieldCapacity, func(l *liveCluster) string { return inAnyOrder(l.providers) }, graph.SetBy(c.provide)),
	}
}

// provide associates the cluster with what it lacks of the wanted capacity providers. The
// call replaces the list and the default strategy, which is nobody's concern here.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PutClusterCapacityProviders.html
func (c *Cluster) provide(ctx context.Context, _ []graph.Change) error {
	live := c.Last()
	in := &ecs.PutClusterCapacityProvidersInput{
		Cluster: aws.String(c.clusterName()), CapacityProviders: c.Wanted(live).providers,
		DefaultCapacityProviderStrategy: append([]types.CapacityProviderStrategyItem{}, live.byDefault...),
	}
	if _, err := c.ecs.PutClusterCapacityProviders(ctx, in); err != nil {
		return fmt.Errorf("associate capacity providers with cluster %s: %w", c.clusterName(), err)
	}
	return nil
}

// Create creates the cluster, without Container Insights whatever the account's default
// is: it is billed by metric, and its log group would stay when the stack is gone.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ClusterSetting.html
func (c *Cluster) Create(ctx context.Context) (string, error) {
	tags := c.tags(c.Name())
	out, err := c.ecs.CreateCluster(ctx, &ecs.CreateClusterInput{
		ClusterName: aws.String(c.clusterName()), Tags: toECSTags(tags),
		Settings: []types.ClusterSetting{{Name: types.ClusterSettingNameContainerInsights, Value: aws.String("disabled")}},
	})
	if err != nil {
		return "", fmt.Errorf("create cluster %s: %w", c.clusterName(), err)
	}
	if aws.ToString(out.Cluster.Status) == "ACTIVE" {
		c.Answer(&liveCluster{tags: tags, providers: out.Cluster.CapacityProviders}, graph.State{Phase: graph.Ready, Owner: c.stack, Note: "ACTIVE"})
	}
	return aws.ToString(out.Cluster.ClusterArn), nil
}

// record writes the copy of settings that others carry out.
func (c *Cluster) record(ctx context.Context, by string) error {
	_, err := c.ecs.TagResource(ctx, &ecs.TagResourceInput{ResourceArn: aws.String(c.ID()), Tags: toECSTags(c.settings[by])})
	if err != nil {
		return fmt.Errorf("record the settings of the service on cluster %s: %w", c.clusterName(), err)
	}
	return nil
}

// copyDrift compares the copy of settings that others carry out with what they are.
func (c *Cluster) copyDrift(by string) []graph.Change {
	live := c.Last()
	if live == nil || live.tags[TagStack] != c.stack {
		return nil
	}
	return c.recordDrift(live.tags, by)
}

// otherServices returns the names of the services in a cluster that are not the stack's. It makes
// no call if the number of services says that there are none.
func (c ecsAccess) otherServices(ctx context.Context, live *types.Cluster) ([]string, error) {
	own := int32(0)
	if s := c.observed().service.observedValue(); s != nil && aws.ToString(s.Status) == "ACTIVE" && c.ownsService() {
		own = 1
	}
	if live.ActiveServicesCount <= own {
		return nil, nil
	}
	var out []string
	pages := ecs.NewListServicesPaginator(c.ecs, &ecs.ListServicesInput{Cluster: live.ClusterName})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the services of cluster %s: %w", aws.ToString(live.ClusterName), err)
		}
		for _, arn := range page.ServiceArns {
			if name := nameInARN(arn); name != c.names().Service() || !c.ownsService() {
				out = append(out, name)
			}
		}
	}
	return out, nil
}

// ownsService reports whether the service that has the stack's name for it is the stack's, as far as
// this run has read it: somebody may have created it, or removed its tag.
func (c ecsAccess) ownsService() bool {
	s := c.observed().service.observedValue()
	return s == nil || aws.ToString(s.Status) == "INACTIVE" || fromECSTags(s.Tags)[TagStack] == c.stack
}

// Delete stops what somebody started in the cluster by hand, which would hold
// it for ever, and removes it. The tasks of another service stay: the service would start them
// again.
func (c *Cluster) Delete(ctx context.Context) error {
	tasks, err := c.listTasks(ctx, "tasks of cluster "+c.clusterName(), &ecs.ListTasksInput{})
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if name, kept := strings.CutPrefix(aws.ToString(t.Group), "service:"); kept && (name != c.names().Service() || !c.ownsService()) {
			continue
		}
		arn := aws.ToString(t.TaskArn)
		_, err := c.ecs.StopTask(ctx, &ecs.StopTaskInput{Cluster: aws.String(c.clusterName()), Task: &arn, Reason: aws.String("bookctl destroys the stack")})
		if err != nil && !IsCode(err, "InvalidParameterException") { // it is gone
			return fmt.Errorf("stop task %s: %w", arn, err)
		}
	}
	_, err = c.ecs.DeleteCluster(ctx, &ecs.DeleteClusterInput{Cluster: aws.String(c.clusterName())})
	if err != nil && !IsCode(err, "ClusterNotFoundException") {
		return fmt.Errorf("delete cluster %s: %w", c.clusterName(), err)
	}
	return nil
}

// clusterKind lists the stack's cluster.
func (c ecsAccess) clusterKind() inventory.Kind {
	return inventory.Kind{Service: "ecs", Type: "cluster", List: func(ctx context.Context) ([]inventory.Item, error) {
		name := c.names().Cluster()
		clusters, err := c.ecs.DescribeClusters(ctx, &ecs.DescribeClustersInput{Clusters: []string{name}, Include: []types.ClusterField{types.ClusterFieldTags}})
		if err != nil {
			return nil, fmt.Errorf("describe cluster %s: %w", name, err)
		}
		var out []inventory.Item
		for _, x := range clusters.Clusters {
			if aws.ToString(x.Status) == "INACTIVE" || fromECSTags(x.Tags)[TagStack] != c.stack {
				continue
			}
			item := inventory.Item{ID: aws.ToString(x.ClusterArn)}
			others, err := c.otherServices(ctx, &x)
			if others != nil {
				item.HeldBy = serviceHolder + " " + strings.Join(others, ", ")
			}
			if out = append(out, item); err != nil {
				return out, err
			}
		}
		return out, nil
	}}
}
