package localcloud_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cloudwatchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// twin is a stage whose service has what it takes to have its traffic shifted.
type twin struct {
	*stage
	second, rule, balancing string
	balancers               []types.LoadBalancer
}

// newTwin deploys the first version, by a rolling deployment as AWS wants it before any
// other strategy.
func newTwin(t *testing.T, cfg localcloud.Config) *twin {
	t.Helper()
	cfg.StateDir = openDir(t)
	return newTwinIn(t, openCloud(t, cfg))
}

func newTwinIn(t *testing.T, c endpoint) *twin {
	t.Helper()
	s := &twin{stage: setStage(t, c)}
	ctx := t.Context()
	in := s.targetGroup("/healthz")
	in.Name = aws.String("book-targets-b")
	s.second = *must[*elb.CreateTargetGroupOutput](t)(s.elb.CreateTargetGroup(ctx, in)).TargetGroups[0].TargetGroupArn
	s.rule = *must[*elb.DescribeRulesOutput](t)(s.elb.DescribeRules(ctx, &elb.DescribeRulesInput{ListenerArn: &s.listener})).Rules[0].RuleArn
	roles := iam.NewFromConfig(clientConfig(s.cloud))
	s.balancing = *must[*iam.CreateRoleOutput](t)(roles.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("balancing"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})).Role.Arn
	must[*iam.AttachRolePolicyOutput](t)(roles.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{
		RoleName: aws.String("balancing"), PolicyArn: aws.String("arn:aws:iam::aws:policy/AmazonECSInfrastructureRolePolicyForLoadBalancers"),
	}))
	s.balancers = []types.LoadBalancer{{
		TargetGroupArn: &s.targets, ContainerName: aws.String("app"), ContainerPort: aws.Int32(8080),
		AdvancedConfiguration: &types.AdvancedConfiguration{AlternateTargetGroupArn: &s.second, ProductionListenerRule: &s.rule, RoleArn: &s.balancing},
	}}
	s.create(t, s.definition(t, "serve", "v1", nil), 2)
	s.until(t, "complete", completed)
	s.update(t, ecs.UpdateServiceInput{LoadBalancers: s.balancers})
	s.until(t, "complete with a second target group", completed)
	return s
}

func canary(percent float64, minutes, bake int32) *types.DeploymentConfiguration {
	return &types.DeploymentConfiguration{
		Strategy: types.DeploymentStrategyCanary, BakeTimeInMinutes: &bake,
		CanaryConfiguration: &types.CanaryConfiguration{CanaryPercent: &percent, CanaryBakeTimeInMinutes: &minutes},
	}
}

// newest is the newest deployment of the service.
func (s *twin) newest(t *testing.T) types.ServiceDeployment {
	t.Helper()
	list := must[*ecs.ListServiceDeploymentsOutput](t)(s.ecs.ListServiceDeployments(t.Context(), &ecs.ListServiceDeploymentsInput{Cluster: aws.String(stageName), Service: aws.String(stageName)}))
	return must[*ecs.DescribeServiceDeploymentsOutput](t)(s.ecs.DescribeServiceDeployments(t.Context(), &ecs.DescribeServiceDeploymentsInput{
		ServiceDeploymentArns: []string{*list.ServiceDeployments[0].ServiceDeploymentArn},
	})).ServiceDeployments[0]
}

// reach waits for a deployment of the definition to be as is says.
func (s *twin) reach(t *testing.T, what string, is func(types.ServiceDeployment) bool) types.ServiceDeployment {
	t.Helper()
	var d types.ServiceDeployment
	for range 3000 {
		if d = s.newest(t); is(d) {
			return d
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("never %s: %s in %s (%s)", what, d.Status, d.LifecycleStage, aws.ToString(d.StatusReason))
	return d
}

func ended(status types.ServiceDeploymentStatus) func(types.ServiceDeployment) bool {
	return func(d types.ServiceDeployment) bool { return d.Status == status }
}

// group is the target group of the tasks of a deployment's target.
func (s *twin) group(t *testing.T, d types.ServiceDeployment) string {
	t.Helper()
	r := must[*ecs.DescribeServiceRevisionsOutput](t)(s.ecs.DescribeServiceRevisions(t.Context(), &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: []string{*d.TargetServiceRevision.Arn}}))
	return *r.ServiceRevisions[0].ResolvedConfiguration.LoadBalancers[0].TargetGroupArn
}

// traffic asks the service without a pause until end is called, which returns how often
// each answer came.
func traffic(t *testing.T, url string) (end func() map[string]int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var (
		mu      sync.Mutex
		answers = map[string]int{}
		each    sync.WaitGroup
		client  = &http.Client{Transport: &http.Transport{}}
	)
	for range 4 {
		each.Go(func() {
			for ctx.Err() == nil {
				answer := ask(ctx, client, url)
				if ctx.Err() == nil {
					mu.Lock()
					answers[answer]++
					mu.Unlock()
				}
			}
		})
	}
	return func() map[string]int {
		cancel()
		each.Wait()
		client.CloseIdleConnections()
		return answers
	}
}

func ask(ctx context.Context, client *http.Client, url string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(resp.StatusCode, " ", string(body))
}

// TestTrafficIsShiftedWithoutAFailedRequest releases by each strategy in turn, under load.
// The target groups take turns.
func TestTrafficIsShiftedWithoutAFailedRequest(t *testing.T) {
	t.Parallel()
	s := newTwin(t, localcloud.Config{Latencies: localcloud.Latencies{Scale: 0.01}})
	group := s.targets
	for i, c := range []*types.DeploymentConfiguration{
		canary(20, 1, 1),
		{Strategy: types.DeploymentStrategyLinear, LinearConfiguration: &types.LinearConfiguration{StepPercent: aws.Float64(40), StepBakeTimeInMinutes: aws.Int32(1)}},
		{Strategy: types.DeploymentStrategyBlueGreen, BakeTimeInMinutes: aws.Int32(1)},
		{Strategy: types.DeploymentStrategyRolling},
	} {
		end := traffic(t, s.url)
		version := fmt.Sprint("v", i+2)
		definition := s.definition(t, "serve", version, nil)
		s.update(t, ecs.UpdateServiceInput{TaskDefinition: &definition, DeploymentConfiguration: c})
		d := s.reach(t, "successful", ended(types.ServiceDeploymentStatusSuccessful))
		s.until(t, "complete", completed)
		for answer, n := range end() {
			if answer != "200 "+version && answer != fmt.Sprint("200 v", i+1) {
				t.Errorf("%s: %d times %s", c.Strategy, n, answer)
			}
		}
		if code, body := fetchBody(t, s.url); code != http.StatusOK || body != version {
			t.Errorf("after %s the service answers %d %q", c.Strategy, code, body)
		}
		if c.Strategy != types.DeploymentStrategyRolling {
			group = map[string]string{s.targets: s.second, s.second: s.targets}[group]
			if *d.TargetServiceRevision.RequestedProductionTrafficWeight != 100 || d.LifecycleStage != types.ServiceDeploymentLifecycleStageCleanUp {
				t.Errorf("%s ends in %s with %v", c.Strategy, d.LifecycleStage, *d.TargetServiceRevision.RequestedProductionTrafficWeight)
			}
		}
		if got := s.group(t, d); got != group {
			t.Errorf("%s put the tasks into %s, not %s", c.Strategy, got, group)
		}
		if shown := *s.describe(t).LoadBalancers[0].TargetGroupArn; shown != s.targets {
			t.Errorf("after %s the service is shown with %s", c.Strategy, shown)
		}
	}
}

// TestACanaryHasItsShareUntilItIsStopped sees the share of the requests at the balancer,
// and goes back at once, to tasks that never stopped.
func TestACanaryHasItsShareUntilItIsStopped(t *testing.T) {
	t.Parallel()
	s := newTwin(t, localcloud.Config{Latencies: localcloud.Latencies{Scale: 0.01}})
	before := s.tasks(t, types.DesiredStatusRunning)
	definition := s.definition(t, "serve", "v2", nil)
	s.update(t, ecs.UpdateServiceInput{TaskDefinition: &definition, DeploymentConfiguration: canary(25, 1440, 0)})
	d := s.reach(t, "shifted", func(d types.ServiceDeployment) bool {
		return d.LifecycleStage == types.ServiceDeploymentLifecycleStageProductionTrafficShift
	})
	if *d.TargetServiceRevision.RequestedProductionTrafficWeight != 25 || *d.SourceServiceRevisions[0].RequestedProductionTrafficWeight != 75 || s.group(t, d) != s.second {
		t.Errorf("the canary has %+v of %s", d.TargetServiceRevision, s.group(t, d))
	}
	count := map[string]int{}
	const requests = 1200
	for range requests {
		_, body := fetchBody(t, s.url)
		count[body]++
	}
	if got := count["v2"]; got < requests/5 || got > requests*3/10 || got+count["v1"] != requests {
		t.Errorf("of %d requests %v were answered", requests, count)
	}
	end := traffic(t, s.url)
	must[*ecs.StopServiceDeploymentOutput](t)(s.ecs.StopServiceDeployment(t.Context(), &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: d.ServiceDeploymentArn}))
	s.reach(t, "rolled back", ended(types.ServiceDeploymentStatusRollbackSuccessful))
	for answer, n := range end() {
		if answer != "200 v1" && answer != "200 v2" {
			t.Errorf("during the rollback %d times %s", n, answer)
		}
	}
	if _, body := fetchBody(t, s.url); body != "v1" {
		t.Errorf("after the rollback the service answers %q", body)
	}
	arns := func(tasks []types.Task) (out []string) {
		for _, x := range tasks {
			out = append(out, *x.TaskArn)
		}
		slices.Sort(out)
		return out
	}
	if now := s.tasks(t, types.DesiredStatusRunning); !slices.Equal(arns(now), arns(before)) {
		t.Errorf("the rollback replaced the tasks %v by %v", arns(before), arns(now))
	}
}

// TestAnAlarmTakesACanaryBack releases a version that answers by 500.
func TestAnAlarmTakesACanaryBack(t *testing.T) {
	t.Parallel()
	s := newTwin(t, localcloud.Config{Latencies: localcloud.Latencies{Scale: 0.01}, ScalingMinute: 200 * time.Millisecond})
	watch := cloudwatch.NewFromConfig(clientConfig(s.cloud))
	lb := must[*elb.DescribeLoadBalancersOutput](t)(s.elb.DescribeLoadBalancers(t.Context(), &elb.DescribeLoadBalancersInput{})).LoadBalancers[0]
	must[*cloudwatch.PutMetricAlarmOutput](t)(watch.PutMetricAlarm(t.Context(), &cloudwatch.PutMetricAlarmInput{
		AlarmName: aws.String("errors"), Namespace: aws.String("AWS/ApplicationELB"), MetricName: aws.String("HTTPCode_Target_5XX_Count"), Statistic: cloudwatchtypes.StatisticSum,
		Dimensions: []cloudwatchtypes.Dimension{{Name: aws.String("LoadBalancer"), Value: aws.String(strings.SplitAfter(*lb.LoadBalancerArn, "loadbalancer/")[1])}},
		Period:     aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(0), ComparisonOperator: cloudwatchtypes.ComparisonOperatorGreaterThanThreshold, TreatMissingData: aws.String("notBreaching"),
	}))
	bad := s.definition(t, "broken", "bad", nil)
	c := canary(30, 1440, 0)
	c.Alarms = &types.DeploymentAlarms{AlarmNames: []string{"errors"}, Enable: true, Rollback: true}
	end := traffic(t, s.url)
	s.update(t, ecs.UpdateServiceInput{TaskDefinition: &bad, DeploymentConfiguration: c})
	d := s.reach(t, "rolled back", ended(types.ServiceDeploymentStatusRollbackSuccessful))
	answers := end()
	if d.Alarms.Status != types.ServiceDeploymentRollbackMonitorsStatusTriggered || !slices.Equal(d.Alarms.TriggeredAlarmNames, []string{"errors"}) || d.Rollback == nil {
		t.Errorf("the deployment says of its alarms %+v, and of its rollback %+v", d.Alarms, d.Rollback)
	}
	if answers["500 bad"] == 0 || answers["500 bad"] > answers["200 v1"] || len(answers) != 2 {
		t.Errorf("the answers were %v", answers)
	}
	if code, body := fetchBody(t, s.url); code != http.StatusOK || body != "v1" {
		t.Errorf("after the rollback the service answers %d %q", code, body)
	}

	// Behind one that is raised already, none is heard.
	must[*cloudwatch.PutMetricAlarmOutput](t)(watch.PutMetricAlarm(t.Context(), &cloudwatch.PutMetricAlarmInput{
		AlarmName: aws.String("always"), Namespace: aws.String("AWS/ApplicationELB"), MetricName: aws.String("RequestCount"), Statistic: cloudwatchtypes.StatisticSum,
		Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(0), ComparisonOperator: cloudwatchtypes.ComparisonOperatorLessThanThreshold, TreatMissingData: aws.String("breaching"),
	}))
	for raised := false; !raised; time.Sleep(20 * time.Millisecond) {
		raised = must[*cloudwatch.DescribeAlarmsOutput](t)(watch.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"always"}})).MetricAlarms[0].StateValue == cloudwatchtypes.StateValueAlarm
	}
	c = canary(30, 10, 0)
	c.Alarms = &types.DeploymentAlarms{AlarmNames: []string{"always", "errors"}, Enable: true, Rollback: true}
	end = traffic(t, s.url)
	s.update(t, ecs.UpdateServiceInput{TaskDefinition: &bad, DeploymentConfiguration: c})
	d = s.reach(t, "over", func(d types.ServiceDeployment) bool { return d.FinishedAt != nil })
	if end(); d.Status != types.ServiceDeploymentStatusSuccessful {
		t.Errorf("with an alarm that was raised before, the deployment is %s: %s", d.Status, aws.ToString(d.StatusReason))
	}
}

// TestANewerReleaseOvertakesACanary gets one revision to serve first, as there is one
// target group for the new tasks.
func TestANewerReleaseOvertakesACanary(t *testing.T) {
	t.Parallel()
	s := newTwin(t, localcloud.Config{Latencies: localcloud.Latencies{Scale: 0.01}})
	second := s.definition(t, "serve", "v2", nil)
	s.update(t, ecs.UpdateServiceInput{TaskDefinition: &second, DeploymentConfiguration: canary(50, 1440, 0)})
	s.reach(t, "shifted", func(d types.ServiceDeployment) bool {
		return d.LifecycleStage == types.ServiceDeploymentLifecycleStageProductionTrafficShift
	})
	end := traffic(t, s.url)
	third := s.definition(t, "serve", "v3", nil)
	s.update(t, ecs.UpdateServiceInput{TaskDefinition: &third, DeploymentConfiguration: canary(50, 0, 0)})
	s.reach(t, "successful", ended(types.ServiceDeploymentStatusSuccessful))
	for answer, n := range end() {
		if answer != "200 v1" && answer != "200 v2" && answer != "200 v3" {
			t.Errorf("%d times %s", n, answer)
		}
	}
	if _, body := fetchBody(t, s.url); body != "v3" {
		t.Errorf("the service answers %q", body)
	}
}

// TestACanaryOutlivesTheCloud goes on where it was, with both of its versions, when the
// cloud is opened again.
func TestACanaryOutlivesTheCloud(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	cfg := localcloud.Config{StateDir: dir, Latencies: localcloud.Latencies{Scale: 0.01}}
	c, err := localcloud.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := newTwinIn(t, c)
	second := s.definition(t, "serve", "v2", nil)
	s.update(t, ecs.UpdateServiceInput{TaskDefinition: &second, DeploymentConfiguration: canary(50, 1440, 0)})
	shifted := func(d types.ServiceDeployment) bool {
		return d.LifecycleStage == types.ServiceDeploymentLifecycleStageProductionTrafficShift
	}
	s.reach(t, "shifted", shifted)
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := openCloud(t, cfg)
	s.ecs, s.elb = ecs.NewFromConfig(clientConfig(again)), elb.NewFromConfig(clientConfig(again))
	s.reach(t, "shifted again", func(d types.ServiceDeployment) bool {
		return shifted(d) && d.TargetServiceRevision.RunningTaskCount == 2 && d.SourceServiceRevisions[0].RunningTaskCount == 2
	})
	if d := s.newest(t); *d.TargetServiceRevision.RequestedProductionTrafficWeight != 50 {
		t.Errorf("the canary has %v", *d.TargetServiceRevision.RequestedProductionTrafficWeight)
	}
}

// TestAStrategyIsRefusedWithoutWhatItNeeds also by UpdateService on a service that rolls.
func TestAStrategyIsRefusedWithoutWhatItNeeds(t *testing.T) {
	t.Parallel()
	s := newTwin(t, localcloud.Config{Latencies: localcloud.Latencies{Scale: 0.01}})
	change := func(change func(*types.AdvancedConfiguration)) []types.LoadBalancer {
		b := s.balancers[0]
		c := *b.AdvancedConfiguration
		change(&c)
		b.AdvancedConfiguration = &c
		return []types.LoadBalancer{b}
	}
	plain := s.balancers[0]
	plain.AdvancedConfiguration = nil
	for name, in := range map[string]ecs.UpdateServiceInput{
		"a percent":            {DeploymentConfiguration: canary(0.05, 1, 1)},
		"a percent of tenths":  {DeploymentConfiguration: canary(10.05, 1, 1)},
		"a step":               {DeploymentConfiguration: &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyLinear, LinearConfiguration: &types.LinearConfiguration{StepPercent: aws.Float64(2)}}},
		"a canary's bake time": {DeploymentConfiguration: canary(10, 1441, 1)},
		"a bake time":          {DeploymentConfiguration: canary(10, 1, -1)},
		"no bake time":         {DeploymentConfiguration: &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen}},
		"another's":            {DeploymentConfiguration: &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyLinear, CanaryConfiguration: &types.CanaryConfiguration{}}},
		"no alarms":            {DeploymentConfiguration: &types.DeploymentConfiguration{Alarms: &types.DeploymentAlarms{AlarmNames: []string{}, Enable: true}}},
		"no second group":      {DeploymentConfiguration: canary(10, 1, 1), LoadBalancers: []types.LoadBalancer{plain}},
		"one group twice":      {LoadBalancers: change(func(c *types.AdvancedConfiguration) { c.AlternateTargetGroupArn = &s.targets })},
		"no such rule":         {LoadBalancers: change(func(c *types.AdvancedConfiguration) { c.ProductionListenerRule = &s.listener })},
		"no such role":         {LoadBalancers: change(func(c *types.AdvancedConfiguration) { c.RoleArn = aws.String(s.balancing + "x") })},
		"another role":         {LoadBalancers: change(func(c *types.AdvancedConfiguration) { c.RoleArn = &s.role })},
	} {
		in.Cluster, in.Service = aws.String(stageName), aws.String(stageName)
		if _, err := s.ecs.UpdateService(t.Context(), &in); code(err) != "InvalidParameterException" {
			t.Errorf("%s: %v", name, err)
		}
	}
	second := s.definition(t, "serve", "v2", nil)
	s.update(t, ecs.UpdateServiceInput{TaskDefinition: &second, DeploymentConfiguration: canary(10, 1440, 0)})
	_, err := s.ecs.UpdateService(t.Context(), &ecs.UpdateServiceInput{
		Cluster: aws.String(stageName), Service: aws.String(stageName), DeploymentConfiguration: &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyRolling},
	})
	if code(err) != "InvalidParameterException" {
		t.Errorf("another strategy during a deployment: %v", err)
	}
}

// TestAHookPausesADeployment holds a deployment in one stage, continues it, takes it back in
// another one, and lets a pause time out.
func TestAHookPausesADeployment(t *testing.T) {
	t.Parallel()
	s := newTwin(t, localcloud.Config{Latencies: localcloud.Latencies{Scale: 0.01}})
	pauses := func(minutes int32, then types.DeploymentLifecycleHookAction, stages ...types.DeploymentLifecycleHookStage) *types.DeploymentConfiguration {
		return &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen, BakeTimeInMinutes: aws.Int32(0), LifecycleHooks: []types.DeploymentLifecycleHook{{
			TargetType: types.DeploymentLifecycleHookTargetTypePause, LifecycleStages: stages,
			TimeoutConfiguration: &types.DeploymentLifecycleHookTimeoutConfiguration{TimeoutInMinutes: &minutes, Action: then},
		}}}
	}
	release := func(version string, c *types.DeploymentConfiguration) {
		t.Helper()
		definition := s.definition(t, "serve", version, nil)
		s.update(t, ecs.UpdateServiceInput{TaskDefinition: &definition, DeploymentConfiguration: c})
	}
	awaits := func(stage types.DeploymentLifecycleHookStage) (types.ServiceDeployment, string) {
		t.Helper()
		d := s.reach(t, "paused", func(d types.ServiceDeployment) bool {
			return string(d.LifecycleStage) == string(stage) && len(d.LifecycleHookDetails) > 0 && d.LifecycleHookDetails[len(d.LifecycleHookDetails)-1].Status == types.DeploymentLifecycleHookStatusAwaitingAction
		})
		return d, *d.LifecycleHookDetails[len(d.LifecycleHookDetails)-1].HookId
	}
	act := func(d types.ServiceDeployment, hook string, action types.DeploymentLifecycleHookAction) error {
		_, err := s.ecs.ContinueServiceDeployment(t.Context(), &ecs.ContinueServiceDeploymentInput{ServiceDeploymentArn: d.ServiceDeploymentArn, HookId: &hook, Action: action})
		return err
	}
	_, err := s.ecs.UpdateService(t.Context(), &ecs.UpdateServiceInput{Cluster: aws.String(stageName), Service: aws.String(stageName), DeploymentConfiguration: pauses(1, "", types.DeploymentLifecycleHookStageProductionTrafficShift)})
	refused(t, err, "InvalidParameterException", "PAUSE hooks cannot be configured at PRODUCTION_TRAFFIC_SHIFT")

	release("v2", pauses(1440, "", types.DeploymentLifecycleHookStagePreScaleUp, types.DeploymentLifecycleHookStagePostScaleUp))
	d, hook := awaits(types.DeploymentLifecycleHookStagePreScaleUp)
	refused(t, act(d, hook+"x", ""), "InvalidParameterException", "does not await an action")
	if err := act(d, hook, ""); err != nil {
		t.Fatal(err)
	}
	d, second := awaits(types.DeploymentLifecycleHookStagePostScaleUp)
	if err := act(d, second, types.DeploymentLifecycleHookActionContinue); err != nil || second == hook {
		t.Fatalf("continuing %s after %s: %v", second, hook, err)
	}
	s.reach(t, "successful", ended(types.ServiceDeploymentStatusSuccessful))

	release("v3", nil)
	d, hook = awaits(types.DeploymentLifecycleHookStagePreScaleUp)
	if err := act(d, hook, types.DeploymentLifecycleHookActionRollback); err != nil {
		t.Fatal(err)
	}
	s.reach(t, "taken back", ended(types.ServiceDeploymentStatusRollbackSuccessful))

	release("v4", pauses(1, "", types.DeploymentLifecycleHookStagePreScaleUp))
	d = s.reach(t, "taken back", ended(types.ServiceDeploymentStatusRollbackSuccessful))
	if x := d.LifecycleHookDetails[0]; x.Status != types.DeploymentLifecycleHookStatusTimedOut || x.TimeoutAction != types.DeploymentLifecycleHookActionRollback {
		t.Errorf("the pause is %+v", x)
	}
	release("v5", pauses(1, types.DeploymentLifecycleHookActionContinue, types.DeploymentLifecycleHookStagePreScaleUp))
	s.reach(t, "successful", ended(types.ServiceDeploymentStatusSuccessful))
	if _, body := fetchBody(t, s.url); body != "v5" {
		t.Errorf("the service answers %q", body)
	}
}
