package localcloud_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/bookctl/bookctl/internal/localcloud"
)

func TestAServiceScalesWithItsLoad(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a load test")
	}
	s := newStage(t, localcloud.Config{ScalingMinute: 100 * time.Millisecond})
	s.create(t, s.definition(t, "serve", "v1", nil), 1)
	s.until(t, "complete", completed)
	client, ctx := scaling.NewFromConfig(clientConfig(s.cloud)), t.Context()
	resource, dimension := aws.String("service/book/book"), types.ScalableDimensionECSServiceDesiredCount
	policy := func(name string, metric types.MetricType, value float64, label string) error {
		m := &types.PredefinedMetricSpecification{PredefinedMetricType: metric}
		if label != "" {
			m.ResourceLabel = &label
		}
		_, err := client.PutScalingPolicy(ctx, &scaling.PutScalingPolicyInput{
			ServiceNamespace: types.ServiceNamespaceEcs, ResourceId: resource, ScalableDimension: dimension, PolicyName: &name, PolicyType: types.PolicyTypeTargetTrackingScaling,
			TargetTrackingScalingPolicyConfiguration: &types.TargetTrackingScalingPolicyConfiguration{TargetValue: &value, PredefinedMetricSpecification: m},
		})
		return err
	}
	refused(t, policy("cpu", types.MetricTypeECSServiceAverageCPUUtilization, 60, ""), "ObjectNotFoundException", "service/book/book")
	register := func(id *string, low, high int32) (*scaling.RegisterScalableTargetOutput, error) {
		return client.RegisterScalableTarget(ctx, &scaling.RegisterScalableTargetInput{
			ServiceNamespace: types.ServiceNamespaceEcs, ResourceId: id, ScalableDimension: dimension, MinCapacity: &low, MaxCapacity: &high,
		})
	}
	_, err := register(aws.String("service/book/nobody"), 1, 3)
	refused(t, err, "ValidationException", "doesn't exist")
	_, err = register(resource, 3, 1)
	refused(t, err, "ValidationException", "less than minimum")
	registered := must[*scaling.RegisterScalableTargetOutput](t)(register(resource, 1, 3))
	must[*scaling.TagResourceOutput](t)(client.TagResource(ctx, &scaling.TagResourceInput{ResourceARN: registered.ScalableTargetARN, Tags: map[string]string{"a": "b"}}))
	if tags := must[*scaling.ListTagsForResourceOutput](t)(client.ListTagsForResource(ctx, &scaling.ListTagsForResourceInput{ResourceARN: registered.ScalableTargetARN})).Tags; tags["a"] != "b" {
		t.Errorf("tags %v", tags)
	}
	refused(t, policy("requests", types.MetricTypeALBRequestCountPerTarget, 600, "app/no/1/targetgroup/no/2"), "ValidationException", "not valid")
	groups := must[*elb.DescribeTargetGroupsOutput](t)(s.elb.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{TargetGroupArns: []string{s.targets}}))
	_, lb, _ := strings.Cut(groups.TargetGroups[0].LoadBalancerArns[0], ":loadbalancer/")
	_, tg, _ := strings.Cut(s.targets, ":targetgroup/")
	if err := policy("requests", types.MetricTypeALBRequestCountPerTarget, 600, lb+"/targetgroup/"+tg); err != nil {
		t.Fatal(err)
	}

	load, stop := context.WithCancel(ctx)
	var clients sync.WaitGroup
	clients.Go(func() { // some 100 a second, ten times what one target may have
		for load.Err() == nil {
			if resp, err := http.Get(s.url); err == nil {
				_ = resp.Body.Close()
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	s.until(t, "scaled out to the maximum", func(d ecstypes.Service) bool { return d.DesiredCount == 3 && d.RunningCount == 3 })
	stop()
	clients.Wait()
	s.until(t, "scaled in to the minimum", func(d ecstypes.Service) bool { return d.DesiredCount == 1 && d.RunningCount == 1 })
	activities := must[*scaling.DescribeScalingActivitiesOutput](t)(client.DescribeScalingActivities(ctx, &scaling.DescribeScalingActivitiesInput{ServiceNamespace: types.ServiceNamespaceEcs, ResourceId: resource}))
	if len(activities.ScalingActivities) < 2 || *activities.ScalingActivities[0].Description != "Setting desired count to 1." {
		t.Errorf("activities %+v", activities.ScalingActivities)
	}

	// And by what the tasks do, where nobody asks for anything.
	must[*scaling.DeleteScalingPolicyOutput](t)(client.DeleteScalingPolicy(ctx, &scaling.DeleteScalingPolicyInput{ServiceNamespace: types.ServiceNamespaceEcs, ResourceId: resource, ScalableDimension: dimension, PolicyName: aws.String("requests")}))
	if err := policy("cpu", types.MetricTypeECSServiceAverageCPUUtilization, 20, ""); err != nil {
		t.Fatal(err)
	}
	burn, stop := context.WithCancel(ctx)
	clients.Go(func() {
		for burn.Err() == nil {
			if resp, err := http.Get(s.url + "burn"); err == nil {
				_ = resp.Body.Close()
			}
		}
	})
	s.until(t, "scaled out by its processor time", func(d ecstypes.Service) bool { return d.DesiredCount > 1 })
	stop()
	clients.Wait()
	must[*scaling.DeregisterScalableTargetOutput](t)(client.DeregisterScalableTarget(ctx, &scaling.DeregisterScalableTargetInput{ServiceNamespace: types.ServiceNamespaceEcs, ResourceId: resource, ScalableDimension: dimension}))
	if left := must[*scaling.DescribeScalingPoliciesOutput](t)(client.DescribeScalingPolicies(ctx, &scaling.DescribeScalingPoliciesInput{ServiceNamespace: types.ServiceNamespaceEcs})).ScalingPolicies; len(left) != 0 {
		t.Errorf("policies of a target that is gone: %+v", left)
	}
}

// TestAServiceScalesByTheRequestsOfBothGroups adds the requests per target of two target
// groups up, of which the tasks are in the second.
func TestAServiceScalesByTheRequestsOfBothGroups(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a load test")
	}
	s := newTwin(t, localcloud.Config{Latencies: localcloud.Latencies{Scale: 0.01, MetricMinutes: 2}, ScalingMinute: 100 * time.Millisecond})
	next := s.definition(t, "serve", "v2", nil)
	s.update(t, ecs.UpdateServiceInput{TaskDefinition: &next, DeploymentConfiguration: &ecstypes.DeploymentConfiguration{Strategy: ecstypes.DeploymentStrategyBlueGreen, BakeTimeInMinutes: aws.Int32(0)}})
	if d := s.reach(t, "successful", ended(ecstypes.ServiceDeploymentStatusSuccessful)); s.group(t, d) != s.second {
		t.Fatalf("the tasks are in %s", s.group(t, d))
	}
	client, ctx := scaling.NewFromConfig(clientConfig(s.cloud)), t.Context()
	resource, dimension := aws.String("service/book/book"), types.ScalableDimensionECSServiceDesiredCount
	must[*scaling.RegisterScalableTargetOutput](t)(client.RegisterScalableTarget(ctx, &scaling.RegisterScalableTargetInput{
		ServiceNamespace: types.ServiceNamespaceEcs, ResourceId: resource, ScalableDimension: dimension, MinCapacity: aws.Int32(2), MaxCapacity: aws.Int32(3),
	}))
	requests := func(id, group, statistic string) types.TargetTrackingMetricDataQuery {
		_, name, _ := strings.Cut(group, ":targetgroup/")
		return types.TargetTrackingMetricDataQuery{Id: &id, ReturnData: aws.Bool(false), MetricStat: &types.TargetTrackingMetricStat{Stat: &statistic, Metric: &types.TargetTrackingMetric{
			Namespace: aws.String("AWS/ApplicationELB"), MetricName: aws.String("RequestCountPerTarget"),
			Dimensions: []types.TargetTrackingMetricDimension{{Name: aws.String("TargetGroup"), Value: aws.String("targetgroup/" + name)}},
		}}}
	}
	policy := func(expression string, of ...types.TargetTrackingMetricDataQuery) error {
		_, err := client.PutScalingPolicy(ctx, &scaling.PutScalingPolicyInput{
			ServiceNamespace: types.ServiceNamespaceEcs, ResourceId: resource, ScalableDimension: dimension, PolicyName: aws.String("requests"), PolicyType: types.PolicyTypeTargetTrackingScaling,
			TargetTrackingScalingPolicyConfiguration: &types.TargetTrackingScalingPolicyConfiguration{TargetValue: aws.Float64(600), CustomizedMetricSpecification: &types.CustomizedMetricSpecification{
				Metrics: append(of, types.TargetTrackingMetricDataQuery{Id: aws.String("all"), Expression: &expression, ReturnData: aws.Bool(true)}),
			}},
		})
		return err
	}
	refused(t, policy("first", requests("first", s.targets, "Average")), "ValidationException", "Sum of RequestCountPerTarget")
	refused(t, policy("first + third", requests("first", s.targets, "Sum")), "ValidationException", "Error in expression")
	refused(t, policy("first", requests("first", s.targets+"0", "Sum")), "ValidationException", "no target group")
	// The newest minutes have not arrived, and FILL makes them minutes without a request.
	if err := policy("FILL(first,0) + FILL(second, 0)", requests("first", s.targets, "Sum"), requests("second", s.second, "Sum")); err != nil {
		t.Fatal(err)
	}
	end := traffic(t, s.url)
	time.Sleep(3 * time.Second)
	if d := s.describe(t); d.DesiredCount != 2 {
		t.Errorf("it was scaled to %d", d.DesiredCount)
	}
	if err := policy("first + second", requests("first", s.targets, "Sum"), requests("second", s.second, "Sum")); err != nil {
		t.Fatal(err)
	}
	s.until(t, "scaled out", func(d ecstypes.Service) bool { return d.DesiredCount == 3 && d.RunningCount == 3 })
	end()
}
