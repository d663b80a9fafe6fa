package localcloud_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// TestAServiceRunsOnTheCapacityProvidersOfItsStrategy asks for what ECS takes and refuses,
// and looks at what tasks run on, by base and weight.
func TestAServiceRunsOnTheCapacityProvidersOfItsStrategy(t *testing.T) {
	t.Parallel()
	g := newGround(t, openCloud(t, localcloud.Config{}))
	client := ecs.NewFromConfig(clientConfig(g.cloud))
	ctx, cluster := t.Context(), aws.String("books")
	must[*ecs.CreateClusterOutput](t)(client.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: cluster}))
	definition := must[*ecs.RegisterTaskDefinitionOutput](t)(client.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		Family: aws.String("books"), NetworkMode: types.NetworkModeAwsvpc, RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		Cpu: aws.String("256"), Memory: aws.String("512"),
		ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("app"), Image: aws.String("example.com/app"), Essential: aws.Bool(true)}},
	})).TaskDefinition.TaskDefinitionArn
	network := &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: g.subnets}}
	item := func(provider string, base, weight int32) types.CapacityProviderStrategyItem {
		return types.CapacityProviderStrategyItem{CapacityProvider: &provider, Base: base, Weight: weight}
	}
	beyondTwo := []types.CapacityProviderStrategyItem{item("FARGATE", 2, 0), item("FARGATE_SPOT", 0, 1)}
	create := func(launch types.LaunchType, strategy ...types.CapacityProviderStrategyItem) error {
		_, err := client.CreateService(ctx, &ecs.CreateServiceInput{
			Cluster: cluster, ServiceName: aws.String("books"), TaskDefinition: definition, DesiredCount: aws.Int32(0), LaunchType: launch, CapacityProviderStrategy: strategy, NetworkConfiguration: network,
		})
		return err
	}
	refused(t, create("", beyondTwo...), "InvalidParameterException", "not associated with the cluster")
	put := func(providers ...string) error {
		_, err := client.PutClusterCapacityProviders(ctx, &ecs.PutClusterCapacityProvidersInput{
			Cluster: cluster, CapacityProviders: providers, DefaultCapacityProviderStrategy: []types.CapacityProviderStrategyItem{},
		})
		return err
	}
	if err := put("FARGATE", "FARGATE_SPOT"); err != nil {
		t.Fatal(err)
	}
	refused(t, create("FARGATE", beyondTwo...), "InvalidParameterException", "both a launch type and capacity provider strategy")
	refused(t, create("", item("FARGATE", 1, 0), item("FARGATE_SPOT", 0, 0)), "InvalidParameterException", "weight value greater than zero")
	refused(t, create("", item("FARGATE", 1, 1), item("FARGATE_SPOT", 1, 1)), "InvalidParameterException", "Only one capacity provider")
	if err := create("FARGATE"); err != nil {
		t.Fatal(err)
	}
	update := func(force bool, strategy []types.CapacityProviderStrategyItem) (types.Service, error) {
		out, err := client.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: cluster, Service: aws.String("books"), CapacityProviderStrategy: strategy, ForceNewDeployment: force})
		if err != nil {
			return types.Service{}, err
		}
		return *out.Service, nil
	}
	_, err := update(false, beyondTwo)
	refused(t, err, "InvalidParameterException", "you must force a new deployment")
	changed := must[types.Service](t)(update(true, beyondTwo))
	if changed.LaunchType != "" || len(changed.CapacityProviderStrategy) != 2 || len(changed.Deployments[0].CapacityProviderStrategy) != 2 {
		t.Errorf("with a strategy the service has the launch type %q, %v and %v", changed.LaunchType, changed.CapacityProviderStrategy, changed.Deployments[0].CapacityProviderStrategy)
	}
	if _, err := update(false, beyondTwo); err != nil {
		t.Errorf("the same strategy again: %v", err)
	}
	refused(t, put("FARGATE"), "ResourceInUseException", "in use")

	run := func(count int32, strategy ...types.CapacityProviderStrategyItem) string {
		out := must[*ecs.RunTaskOutput](t)(client.RunTask(ctx, &ecs.RunTaskInput{Cluster: cluster, TaskDefinition: definition, Count: &count, CapacityProviderStrategy: strategy, NetworkConfiguration: network}))
		on := map[string]int{}
		for _, task := range out.Tasks {
			on[aws.ToString(task.CapacityProviderName)]++
		}
		return fmt.Sprint(on)
	}
	for want, got := range map[string]string{
		"map[FARGATE:2 FARGATE_SPOT:3]": run(5, beyondTwo...),
		"map[FARGATE:2 FARGATE_SPOT:4]": run(6, item("FARGATE", 1, 1), item("FARGATE_SPOT", 0, 4)),
		"map[FARGATE_SPOT:2]":           run(2, item("FARGATE_SPOT", 0, 0)),
	} {
		if got != want {
			t.Errorf("tasks run on %s; want %s", got, want)
		}
	}

	back := must[types.Service](t)(update(false, []types.CapacityProviderStrategyItem{}))
	if back.LaunchType != types.LaunchTypeFargate || len(back.CapacityProviderStrategy) > 0 || *back.Deployments[0].Id != *changed.Deployments[0].Id {
		t.Errorf("without a strategy the service has the launch type %q, %v, and the deployment %s", back.LaunchType, back.CapacityProviderStrategy, *back.Deployments[0].Id)
	}
	if err := put("FARGATE"); err != nil {
		t.Errorf("what nobody runs on can go: %v", err)
	}
}

func TestOnlyATaskOnSpotIsInterrupted(t *testing.T) {
	t.Parallel()
	cloud := openCloud(t, localcloud.Config{})
	resp, err := http.Post(cloud.Endpoint()+"/_bookctl/interrupt?task=none", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close() // only its status counts
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("a task that is not there: %s", resp.Status)
	}
}
