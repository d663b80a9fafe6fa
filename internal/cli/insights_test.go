package cli_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// TestContainerInsightsIsOffUnlessSomebodyTurnsItOn makes a stack in an account that has
// Container Insights by default, and then has somebody turn it on for the stack's cluster.
func TestContainerInsightsIsOffUnlessSomebodyTurnsItOn(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, ctx := newShell(t), t.Context()
	h := s.byHand(t, nil)
	before := h.inventory()
	containers, logs := ecs.NewFromConfig(h.Config), cloudwatchlogs.NewFromConfig(h.Config)
	insights := func() string {
		t.Helper()
		out, err := containers.DescribeClusters(ctx, &ecs.DescribeClustersInput{Clusters: []string{"book-cluster"}, Include: []ecstypes.ClusterField{ecstypes.ClusterFieldSettings}})
		h.must(err)
		return aws.ToString(out.Clusters[0].Settings[0].Value)
	}
	group := "/aws/ecs/containerinsights/book-cluster/performance"
	h.must(ok(containers.PutAccountSettingDefault(ctx, &ecs.PutAccountSettingDefaultInput{Name: ecstypes.SettingNameContainerInsights, Value: aws.String("enhanced")})))
	s.up()
	if got := insights(); got != "disabled" {
		t.Errorf("Container Insights is %s for a new cluster", got)
	}
	found, err := logs.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &group})
	h.must(err)
	if len(found.LogGroups) > 0 {
		t.Errorf("a task has made %s", group)
	}

	h.must(ok(containers.UpdateClusterSettings(ctx, &ecs.UpdateClusterSettingsInput{
		Cluster:  aws.String("book-cluster"),
		Settings: []ecstypes.ClusterSetting{{Name: ecstypes.ClusterSettingNameContainerInsights, Value: aws.String("enabled")}},
	})))
	s.run("up", "--local").says(t, 0, "0 changed")
	if got := insights(); got != "enabled" {
		t.Errorf("Container Insights, which somebody enabled, is %s after an up", got)
	}
	s.run("restart", "--local").says(t, 0) // its tasks write to the group
	destroy := []string{"destroy", "--local", "--yes", "--purge-snapshots"}
	s.run(destroy...).says(t, 6, " 1 left", "log group "+group, "aws logs delete-log-group")
	h.must(ok(logs.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: &group})))
	s.run(destroy...).says(t, 0, "Nothing to delete")
	h.same("the account differs after destroy", before)
}
