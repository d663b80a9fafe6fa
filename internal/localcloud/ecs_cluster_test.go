package localcloud_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud"
)

func TestAClusterReadsBackWhatItWasGivenWhereAWSShowsIt(t *testing.T) {
	t.Parallel()
	client := ecs.NewFromConfig(clientConfig(openCloud(t, localcloud.Config{})))
	ctx, name := t.Context(), aws.String("books")
	must[*ecs.CreateClusterOutput](t)(client.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: name, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}))
	spot := []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String("FARGATE_SPOT"), Weight: 2, Base: 1}}
	put := func(providers []string, strategy []types.CapacityProviderStrategyItem) error {
		_, err := client.PutClusterCapacityProviders(ctx, &ecs.PutClusterCapacityProvidersInput{Cluster: name, CapacityProviders: providers, DefaultCapacityProviderStrategy: strategy})
		return err
	}
	refused(t, put([]string{"mine"}, spot[:0]), "InvalidParameterException", "'mine' was not found")
	refused(t, put([]string{"FARGATE"}, spot), "InvalidParameterException", "not associated with the cluster")
	if err := put([]string{"FARGATE", "FARGATE_SPOT"}, spot); err != nil {
		t.Fatal(err)
	}
	must[*ecs.UpdateClusterOutput](t)(client.UpdateCluster(ctx, &ecs.UpdateClusterInput{
		Cluster: name, Settings: []types.ClusterSetting{{Name: types.ClusterSettingNameContainerInsights, Value: aws.String("enabled")}},
		Configuration: &types.ClusterConfiguration{ExecuteCommandConfiguration: &types.ExecuteCommandConfiguration{Logging: types.ExecuteCommandLoggingNone}},
	}))
	describe := func(include ...types.ClusterField) types.Cluster {
		return must[*ecs.DescribeClustersOutput](t)(client.DescribeClusters(ctx, &ecs.DescribeClustersInput{Clusters: []string{*name}, Include: include})).Clusters[0]
	}
	plain := describe()
	if len(plain.CapacityProviders) != 2 || len(plain.DefaultCapacityProviderStrategy) != 1 || plain.DefaultCapacityProviderStrategy[0].Base != 1 {
		t.Errorf("the cluster runs on %v by %v", plain.CapacityProviders, plain.DefaultCapacityProviderStrategy)
	}
	// AWS leaves out what is not asked for.
	if len(plain.Settings) != 0 || len(plain.Tags) != 0 || plain.Configuration != nil {
		t.Errorf("unasked it shows the settings %v, the tags %v and the configuration %v", plain.Settings, plain.Tags, plain.Configuration)
	}
	full := describe(types.ClusterFieldSettings, types.ClusterFieldTags, types.ClusterFieldConfigurations)
	if len(full.Settings) != 1 || *full.Settings[0].Value != "enabled" || len(full.Tags) != 1 || full.Configuration.ExecuteCommandConfiguration.Logging != types.ExecuteCommandLoggingNone {
		t.Errorf("asked it shows %+v", full)
	}
}

func TestAccountSettings(t *testing.T) {
	t.Parallel()
	client := ecs.NewFromConfig(clientConfig(openCloud(t, localcloud.Config{})))
	ctx := t.Context()
	set := func(name, value string) error {
		_, err := client.PutAccountSetting(ctx, &ecs.PutAccountSettingInput{Name: types.SettingName(name), Value: &value})
		return err
	}
	read := func(effective bool) map[types.SettingName]string {
		all := map[types.SettingName]string{}
		pages := ecs.NewListAccountSettingsPaginator(client, &ecs.ListAccountSettingsInput{EffectiveSettings: effective})
		for pages.HasMorePages() {
			for _, s := range must[*ecs.ListAccountSettingsOutput](t)(pages.NextPage(ctx)).Settings {
				all[s.Name] = *s.Value
			}
		}
		return all
	}
	refused(t, set("colour", "red"), "ValidationException", "colour")
	refused(t, set("containerInsights", "red"), "InvalidParameterException", "red")
	if got := read(false); len(got) != 0 {
		t.Errorf("a new account has changed %v", got)
	}
	if err := set("containerInsights", "enhanced"); err != nil {
		t.Fatal(err)
	}
	if got := read(false); len(got) != 1 || got["containerInsights"] != "enhanced" {
		t.Errorf("the account has changed %v", got)
	}
	if got := read(true); got["containerInsights"] != "enhanced" || got["taskLongArnFormat"] != "enabled" || len(got) < 11 {
		t.Errorf("the settings in force are %v", got)
	}
}

func TestAServiceIsRebalancedUnlessItSaysOtherwise(t *testing.T) {
	t.Parallel()
	g := newGround(t, openCloud(t, localcloud.Config{}))
	client := ecs.NewFromConfig(clientConfig(g.cloud))
	ctx := t.Context()
	must[*ecs.CreateClusterOutput](t)(client.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String("books")}))
	definition := must[*ecs.RegisterTaskDefinitionOutput](t)(client.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		Family: aws.String("books"), NetworkMode: types.NetworkModeAwsvpc, RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		Cpu: aws.String("256"), Memory: aws.String("512"),
		ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("app"), Image: aws.String("example.com/app"), Essential: aws.Bool(true)}},
	})).TaskDefinition.TaskDefinitionArn
	create := func(name string, set types.AvailabilityZoneRebalancing, config *types.DeploymentConfiguration) error {
		_, err := client.CreateService(ctx, &ecs.CreateServiceInput{
			Cluster: aws.String("books"), ServiceName: &name, TaskDefinition: definition, DesiredCount: aws.Int32(0), LaunchType: types.LaunchTypeFargate,
			AvailabilityZoneRebalancing: set, DeploymentConfiguration: config,
			NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: g.subnets}},
		})
		return err
	}
	narrow := &types.DeploymentConfiguration{MinimumHealthyPercent: aws.Int32(0), MaximumPercent: aws.Int32(100)}
	refused(t, create("narrow", "", narrow), "InvalidParameterException", "availabilityZoneRebalancing")
	for name, set := range map[string]types.AvailabilityZoneRebalancing{"plain": "", "off": types.AvailabilityZoneRebalancingDisabled} {
		if err := create(name, set, nil); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) types.AvailabilityZoneRebalancing {
		out := must[*ecs.DescribeServicesOutput](t)(client.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String("books"), Services: []string{name}}))
		return out.Services[0].AvailabilityZoneRebalancing
	}
	if plain, off := read("plain"), read("off"); plain != types.AvailabilityZoneRebalancingEnabled || off != types.AvailabilityZoneRebalancingDisabled {
		t.Errorf("unsaid it is %q, and DISABLED reads back as %q", plain, off)
	}
	must[*ecs.UpdateServiceOutput](t)(client.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String("books"), Service: aws.String("off"), DesiredCount: aws.Int32(0)}))
	if off := read("off"); off != types.AvailabilityZoneRebalancingDisabled {
		t.Errorf("an update that does not say made it %q", off)
	}
}
