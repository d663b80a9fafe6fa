package kill_test

import (
	"cmp"
	"maps"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/provision"
)

// TestHowARolloutFailsAndEndsIsRepaired has somebody change when a rolling deployment counts as
// failed, and when as successful.
func TestHowARolloutFailsAndEndsIsRepaired(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		changed := map[string]types.DeploymentConfiguration{
			"threshold": {DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{
				Enable: true, Rollback: true, ThresholdConfiguration: &types.ThresholdConfiguration{Type: types.ThresholdTypeCount, Value: 100000},
			}},
			"count": {DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true, Rollback: true, ResetOnHealthyTask: aws.Bool(false)}},
			"early success": {EarlySuccessCriteria: &types.DeploymentEarlySuccessCriteria{
				Enable: true, HealthyPercent: aws.Int32(100), SourceServiceRevisionCleanup: types.ServiceRevisionCleanupDeferred,
			}},
		}
		for _, name := range slices.Sorted(maps.Keys(changed)) {
			config := changed[name]
			if _, err := c.ECS.UpdateService(t.Context(), &ecs.UpdateServiceInput{Cluster: aws.String("book-cluster"), Service: aws.String("book-service"), DeploymentConfiguration: &config}); err != nil {
				t.Fatal(err)
			}
			w := &wire{}
			if err := a.up(t.Context(), w); err != nil || !slices.Contains(w.written(), "UpdateService") {
				t.Errorf("%s: %v, written %v", name, err, w.written())
			}
			if err := a.quiet(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			out, err := c.ECS.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Cluster: aws.String("book-cluster"), Services: []string{"book-service"}})
			if err != nil {
				t.Fatal(err)
			}
			now := out.Services[0].DeploymentConfiguration
			b, early := now.DeploymentCircuitBreaker, now.EarlySuccessCriteria
			threshold := cmp.Or(b.ThresholdConfiguration, &types.ThresholdConfiguration{Type: types.ThresholdTypeBoundedPercent, Value: 50})
			if threshold.Type != types.ThresholdTypeBoundedPercent || threshold.Value != 50 || b.ResetOnHealthyTask != nil && !*b.ResetOnHealthyTask || early != nil && early.Enable {
				t.Errorf("%s: the service fails by %+v, %+v and succeeds by %+v", name, b, threshold, early)
			}
		}
	})
}
