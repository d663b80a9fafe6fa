package localcloud_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	logs "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/tinyimage"
)

// appImage is the program of testdata/app as an image, built once.
var appImage = sync.OnceValues(func() (v1.Image, error) { return tinyimage.Build("testdata/app", "app") })

// stage is an account with all that a service needs, and no service yet.
type stage struct {
	ground
	ecs              *ecs.Client
	elb              *elb.Client
	role, image      string
	targets, url     string
	secret, listener string
}

const stageName = "book"

func newStage(t *testing.T, cfg localcloud.Config) *stage {
	t.Helper()
	if cfg.StateDir == "" {
		cfg.StateDir = openDir(t)
	}
	return setStage(t, openCloud(t, cfg))
}

// openDir is a directory that the users of containers can enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir := stateDir(t)
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func setStage(t *testing.T, c endpoint) *stage {
	t.Helper()
	ctx, conf := t.Context(), clientConfig(c)
	s := &stage{ground: newGround(t, c), ecs: ecs.NewFromConfig(conf)}
	var lb string
	s.elb, lb, s.targets = s.front(t)
	port := freePort(t)
	created := must[*elb.CreateListenerOutput](t)(s.elb.CreateListener(ctx, &elb.CreateListenerInput{
		LoadBalancerArn: &lb, Port: &port, Protocol: elbtypes.ProtocolEnumHttp, DefaultActions: forwardTo(s.targets),
	}))
	s.listener = *created.Listeners[0].ListenerArn
	s.url = fmt.Sprintf("http://localhost:%d/", port)

	repository := must[*ecr.CreateRepositoryOutput](t)(ecr.NewFromConfig(conf).CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("book/api")}))
	image := must[v1.Image](t)(appImage())
	s.image = *repository.Repository.RepositoryUri + "@" + must[v1.Hash](t)(image.Digest()).String()
	tag := must[name.Tag](t)(name.NewTag(*repository.Repository.RepositoryUri + ":v1"))
	if err := remote.Write(tag, image); err != nil {
		t.Fatal(err)
	}
	secret := must[*secretsmanager.CreateSecretOutput](t)(secretsmanager.NewFromConfig(conf).CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: aws.String("book-db"), SecretString: aws.String(`{"password":"correct horse"}`),
	}))
	s.secret = *secret.ARN
	roles := iam.NewFromConfig(conf)
	role := must[*iam.CreateRoleOutput](t)(roles.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("execution"), AssumeRolePolicyDocument: aws.String(trust)}))
	s.role = *role.Role.Arn
	s.permit(t, s.secret)
	must[*logs.CreateLogGroupOutput](t)(logs.NewFromConfig(conf).CreateLogGroup(ctx, &logs.CreateLogGroupInput{LogGroupName: aws.String("/bookctl/book")}))
	must[*ecs.CreateClusterOutput](t)(s.ecs.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String(stageName)}))
	return s
}

// permit sets what the execution role may read besides image and log.
func (s *stage) permit(t *testing.T, secret string) {
	t.Helper()
	policy := `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"ecr:GetAuthorizationToken","Resource":"*"},
		{"Effect":"Allow","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":"arn:aws:ecr:us-east-1:000000000000:repository/book/api"},
		{"Effect":"Allow","Action":["logs:CreateLogStream","logs:PutLogEvents"],"Resource":"arn:aws:logs:us-east-1:000000000000:log-group:/bookctl/book:*"},
		{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"` + secret + `"}]}`
	must[*iam.PutRolePolicyOutput](t)(iam.NewFromConfig(clientConfig(s.cloud)).PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("execution"), PolicyName: aws.String("all"), PolicyDocument: &policy,
	}))
}

// definition is a task definition of the app in the mode and version, which
// change may alter.
func (s *stage) definition(t *testing.T, mode, version string, change func(*ecs.RegisterTaskDefinitionInput)) string {
	t.Helper()
	in := &ecs.RegisterTaskDefinitionInput{
		Family: aws.String(stageName), Cpu: aws.String("256"), Memory: aws.String("512"), NetworkMode: types.NetworkModeAwsvpc,
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate}, ExecutionRoleArn: &s.role,
		RuntimePlatform: &types.RuntimePlatform{CpuArchitecture: architecture(), OperatingSystemFamily: types.OSFamilyLinux},
		ContainerDefinitions: []types.ContainerDefinition{{
			Name: aws.String("app"), Image: &s.image, PortMappings: []types.PortMapping{{ContainerPort: aws.Int32(8080)}}, StopTimeout: aws.Int32(5),
			Environment: []types.KeyValuePair{{Name: aws.String("MODE"), Value: &mode}, {Name: aws.String("VERSION"), Value: &version}},
			Secrets:     []types.Secret{{Name: aws.String("PASSWORD"), ValueFrom: aws.String(s.secret + ":password::")}},
			LogConfiguration: &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{
				"awslogs-group": "/bookctl/book", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "app",
			}},
		}},
		Tags: []types.Tag{{Key: aws.String("mode"), Value: &mode}},
	}
	if change != nil {
		change(in)
	}
	return *must[*ecs.RegisterTaskDefinitionOutput](t)(s.ecs.RegisterTaskDefinition(t.Context(), in)).TaskDefinition.TaskDefinitionArn
}

func architecture() types.CPUArchitecture {
	if runtime.GOARCH == "arm64" {
		return types.CPUArchitectureArm64
	}
	return types.CPUArchitectureX8664
}

func (s *stage) network() *types.NetworkConfiguration {
	return &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{
		Subnets: s.subnets, SecurityGroups: []string{s.group}, AssignPublicIp: types.AssignPublicIpEnabled,
	}}
}

func (s *stage) create(t *testing.T, definition string, count int32) types.Service {
	t.Helper()
	out := must[*ecs.CreateServiceOutput](t)(s.ecs.CreateService(t.Context(), &ecs.CreateServiceInput{
		Cluster: aws.String(stageName), ServiceName: aws.String(stageName), TaskDefinition: &definition, DesiredCount: &count, LaunchType: types.LaunchTypeFargate,
		NetworkConfiguration: s.network(), HealthCheckGracePeriodSeconds: aws.Int32(5), PropagateTags: types.PropagateTagsService, EnableECSManagedTags: true,
		LoadBalancers: []types.LoadBalancer{{TargetGroupArn: &s.targets, ContainerName: aws.String("app"), ContainerPort: aws.Int32(8080)}},
		DeploymentConfiguration: &types.DeploymentConfiguration{
			DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true, Rollback: true},
		},
		Tags: []types.Tag{{Key: aws.String("owner"), Value: aws.String("test")}}, ClientToken: aws.String("one"),
	}))
	return *out.Service
}

func (s *stage) update(t *testing.T, in ecs.UpdateServiceInput) types.Service {
	t.Helper()
	in.Cluster, in.Service = aws.String(stageName), aws.String(stageName)
	return *must[*ecs.UpdateServiceOutput](t)(s.ecs.UpdateService(t.Context(), &in)).Service
}

func (s *stage) describe(t *testing.T) types.Service {
	t.Helper()
	out := must[*ecs.DescribeServicesOutput](t)(s.ecs.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Cluster: aws.String(stageName), Services: []string{stageName}}))
	if len(out.Services) != 1 {
		t.Fatalf("described %+v", out)
	}
	return out.Services[0]
}

// until waits for the service to be as is says.
func (s *stage) until(t *testing.T, what string, is func(types.Service) bool) types.Service {
	t.Helper()
	var d types.Service
	for range 3000 {
		if d = s.describe(t); is(d) {
			return d
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("never %s: %d of %d run, deployments %s, events:\n%s", what, d.RunningCount, d.DesiredCount, rollouts(d), events(d))
	return d
}

func rollouts(d types.Service) string {
	var list []string
	for _, x := range d.Deployments {
		list = append(list, fmt.Sprintf("%s %s %s (%s, %d failed)", *x.Status, *x.Id, x.RolloutState, aws.ToString(x.RolloutStateReason), x.FailedTasks))
	}
	return strings.Join(list, "; ")
}

func events(d types.Service) string {
	var list []string
	for _, e := range slices.Backward(d.Events) {
		list = append(list, *e.Message)
	}
	return strings.Join(list, "\n")
}

// completed is a service whose primary deployment is done. A service whose strategy shifts the
// traffic has no state of a rollout, and names its deployment as long as that goes on.
func completed(d types.Service) bool {
	done := func(x types.Deployment) bool {
		if c := d.DeploymentConfiguration; c != nil && c.Strategy != "" && c.Strategy != types.DeploymentStrategyRolling {
			return x.RolloutState == "" && d.CurrentServiceDeployment == nil
		}
		return x.RolloutState == types.DeploymentRolloutStateCompleted
	}
	return len(d.Deployments) > 0 && done(d.Deployments[0]) && d.RunningCount == d.DesiredCount
}

func (s *stage) tasks(t *testing.T, status types.DesiredStatus) []types.Task {
	t.Helper()
	list := must[*ecs.ListTasksOutput](t)(s.ecs.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String(stageName), DesiredStatus: status}))
	if len(list.TaskArns) == 0 {
		return nil
	}
	return must[*ecs.DescribeTasksOutput](t)(s.ecs.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{
		Cluster: aws.String(stageName), Tasks: list.TaskArns, Include: []types.TaskField{types.TaskFieldTags},
	})).Tasks
}

func (s *stage) output(t *testing.T) (lines []string) {
	t.Helper()
	for _, e := range s.events(t) {
		lines = append(lines, *e.Message)
	}
	return lines
}

func (s *stage) events(t *testing.T) []logtypes.FilteredLogEvent {
	t.Helper()
	return must[*logs.FilterLogEventsOutput](t)(logs.NewFromConfig(clientConfig(s.cloud)).FilterLogEvents(t.Context(), &logs.FilterLogEventsInput{LogGroupName: aws.String("/bookctl/book")})).Events
}

func TestAServiceKeepsItsTasksAndLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, localcloud.Config{})
	ctx := t.Context()
	created := s.create(t, s.definition(t, "serve", "v1", nil), 2)
	if again := s.create(t, *created.TaskDefinition, 2); *again.ServiceArn != *created.ServiceArn {
		t.Error("the same token made another service")
	}
	d := s.until(t, "complete", completed)
	if code, body := fetchBody(t, s.url); code != http.StatusOK || body != "v1" {
		t.Errorf("the service answers %d %q", code, body)
	}
	for _, want := range []string{"(service book) has started 2 tasks: (task ", "registered 1 targets in (target-group " + s.targets + ")", "deployment completed.", "(service book) has reached a steady state."} {
		if !strings.Contains(events(d), want) {
			t.Errorf("no event %q in:\n%s", want, events(d))
		}
	}
	running := s.tasks(t, types.DesiredStatusRunning)
	if len(running) != 2 {
		t.Fatalf("%d tasks run", len(running))
	}
	zones := map[string]bool{}
	for _, task := range running {
		zones[*task.AvailabilityZone] = true
		tags := map[string]string{}
		for _, tag := range task.Tags {
			tags[*tag.Key] = *tag.Value
		}
		if tags["owner"] != "test" || tags["aws:ecs:serviceName"] != "book" || *task.StartedBy != *d.Deployments[0].Id || *task.LastStatus != "RUNNING" {
			t.Errorf("task %+v with tags %v", task, tags)
		}
	}
	if len(zones) != 2 {
		t.Errorf("the tasks are in the zones %v", zones)
	}
	if len(s.interfaces(t)) != 4 {
		t.Errorf("network interfaces of two tasks and a load balancer: %q", s.interfaces(t))
	}

	// One that ends by itself is replaced. Only a task that serves is sure to
	// listen, and so to receive the request.
	steady := strings.Count(events(d), "steady state")
	if resp, err := http.Get(s.url + "exit?code=7"); err == nil {
		_ = resp.Body.Close()
	}
	s.until(t, "replaced", func(d types.Service) bool {
		stopped := s.tasks(t, types.DesiredStatusStopped)
		return len(stopped) == 1 && *stopped[0].LastStatus == "STOPPED" && completed(d) && strings.Count(events(d), "steady state") > steady
	})
	stopped := s.tasks(t, types.DesiredStatusStopped)[0]
	if *stopped.StoppedReason != "Essential container in task exited" || stopped.StopCode != types.TaskStopCodeEssentialContainerExited || aws.ToInt32(stopped.Containers[0].ExitCode) != 7 {
		t.Errorf("stopped %q, code %q, container %+v", *stopped.StoppedReason, stopped.StopCode, stopped.Containers[0])
	}

	s.update(t, ecs.UpdateServiceInput{DesiredCount: aws.Int32(1)})
	s.until(t, "scaled in, in good order", func(d types.Service) bool {
		return d.RunningCount == 1 && len(s.interfaces(t)) == 3 && slices.Contains(s.output(t), "stopped in good order")
	})

	_, err := s.ecs.DeleteService(ctx, &ecs.DeleteServiceInput{Cluster: aws.String(stageName), Service: aws.String(stageName)})
	refused(t, err, "InvalidParameterException", "scaled above 0")
	_, err = s.ecs.DeleteCluster(ctx, &ecs.DeleteClusterInput{Cluster: aws.String(stageName)})
	refused(t, err, "ClusterContainsServicesException", "Services are active")
	must[*ecs.DeleteServiceOutput](t)(s.ecs.DeleteService(ctx, &ecs.DeleteServiceInput{Cluster: aws.String(stageName), Service: aws.String(stageName), Force: aws.Bool(true)}))
	s.until(t, "inactive", func(d types.Service) bool { return *d.Status == "INACTIVE" })
	must[*ecs.DeleteClusterOutput](t)(s.ecs.DeleteCluster(ctx, &ecs.DeleteClusterInput{Cluster: aws.String(stageName)}))
	if left := s.interfaces(t); len(left) != 2 {
		t.Errorf("interfaces that are left alongside the load balancer's: %q", left)
	}
}

func TestARollingUpdateFailsNoRequest(t *testing.T) {
	t.Parallel()
	s := newStage(t, localcloud.Config{})
	s.create(t, s.definition(t, "serve", "v1", nil), 2)
	s.until(t, "complete", completed)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var clients sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				resp, err := http.Get(s.url)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("%s %q, %v", resp.Status, body, err)
					return
				}
				mu.Lock()
				seen[string(body)]++
				mu.Unlock()
				time.Sleep(time.Millisecond)
			}
		})
	}
	next := s.update(t, ecs.UpdateServiceInput{TaskDefinition: aws.String(s.definition(t, "serve", "v2", nil))})
	d := s.until(t, "updated", completed)
	if *d.Deployments[0].Id != *next.Deployments[0].Id {
		t.Errorf("deployments %s", rollouts(d))
	}
	cancel()
	clients.Wait()
	if seen["v1"] == 0 || seen["v2"] == 0 {
		t.Errorf("answers %v, want some of both", seen)
	}
	if _, body := fetchBody(t, s.url); body != "v2" {
		t.Errorf("after the update: %q", body)
	}
}

// TestAnUnhealthyTaskIsReplacedFirst lets it run until its replacement is healthy, or fails too.
func TestAnUnhealthyTaskIsReplacedFirst(t *testing.T) {
	t.Parallel()
	s := newStage(t, localcloud.Config{Latencies: localcloud.Latencies{Scale: 0.01}})
	s.create(t, s.definition(t, "serve", "good", nil), 1)
	s.until(t, "complete", completed)
	first := *s.tasks(t, types.DesiredStatusRunning)[0].TaskArn
	wants := func(code string) {
		t.Helper()
		must[*elb.ModifyTargetGroupOutput](t)(s.elb.ModifyTargetGroup(t.Context(), &elb.ModifyTargetGroupInput{TargetGroupArn: &s.targets, Matcher: &elbtypes.Matcher{HttpCode: &code}}))
	}
	wants("299")
	s.until(t, "both run", func(types.Service) bool {
		running := s.tasks(t, types.DesiredStatusRunning)
		return len(running) == 2 && slices.ContainsFunc(running, func(x types.Task) bool { return *x.TaskArn == first })
	})
	s.until(t, "one is stopped", func(types.Service) bool {
		stopped := s.tasks(t, types.DesiredStatusStopped)
		return len(stopped) > 0 && strings.HasPrefix(*stopped[0].StoppedReason, "Task failed ELB health checks")
	})
	wants("200")
	s.until(t, "one serves", func(d types.Service) bool {
		return d.RunningCount == 1 && len(s.tasks(t, types.DesiredStatusRunning)) == 1
	})
	if code, body := fetchBody(t, s.url); code != http.StatusOK || body != "good" {
		t.Errorf("the service answers %d %q", code, body)
	}
}

// TestARoleIsCheckedAgainstTheFullARNOfASecret starts tasks whose secret is named without its
// suffix, under a role that may read the full ARN, and under one that may read what is named.
func TestARoleIsCheckedAgainstTheFullARNOfASecret(t *testing.T) {
	t.Parallel()
	s := newStage(t, localcloud.Config{})
	partial := s.secret[:len(s.secret)-len("-AbCdEf")]
	definition := s.definition(t, "serve", "1", func(in *ecs.RegisterTaskDefinitionInput) {
		in.ContainerDefinitions[0].Secrets[0].ValueFrom = aws.String(partial + ":password::")
	})
	s.await(t, s.run(t, definition), "RUNNING")
	s.permit(t, partial)
	if reason := aws.ToString(s.await(t, s.run(t, definition), "STOPPED").StoppedReason); !strings.Contains(reason, "not authorized to perform: secretsmanager:GetSecretValue on resource: "+s.secret) {
		t.Errorf("a role that may read the partial ARN: %q", reason)
	}
}

func TestABadReleaseIsRolledBackAndSaysWhy(t *testing.T) {
	t.Parallel()
	// Scaled so that health checks come as fast as they can, not every 5 s.
	s := newStage(t, localcloud.Config{Latencies: localcloud.Latencies{Scale: 0.01}})
	good := s.create(t, s.definition(t, "serve", "good", nil), 1)
	s.until(t, "complete", completed)
	for _, bad := range []struct {
		name, mode, reason string
		code               types.TaskStopCode
		change             func(*ecs.RegisterTaskDefinitionInput)
	}{
		{name: "crash", mode: "crash", reason: "Essential container in task exited", code: types.TaskStopCodeEssentialContainerExited},
		{name: "sick", mode: "sick", reason: "Task failed ELB health checks in (target-group " + s.targets + ")", code: types.TaskStopCodeServiceSchedulerInitiated},
		{name: "container check", mode: "serve", reason: "Task failed container health checks", code: types.TaskStopCodeServiceSchedulerInitiated, change: func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].HealthCheck = &types.HealthCheck{Command: []string{"CMD", "/app", "fail"}, Interval: aws.Int32(5), Retries: aws.Int32(1)}
		}},
		{name: "image", mode: "serve", reason: "CannotPullContainerError: ", code: types.TaskStopCodeTaskFailedToStart, change: func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].Image = aws.String(strings.Split(s.image, "@")[0] + ":nope")
		}},
		{name: "secret", mode: "serve", reason: "not authorized to perform: secretsmanager:GetSecretValue", code: types.TaskStopCodeTaskFailedToStart, change: func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].Secrets[0].ValueFrom = aws.String("arn:aws:secretsmanager:us-east-1:000000000000:secret:other-abcdef")
		}},
		{name: "log group", mode: "serve", reason: "not authorized to perform: logs:CreateLogStream", code: types.TaskStopCodeTaskFailedToStart, change: func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].LogConfiguration.Options["awslogs-group"] = "/bookctl/other"
		}},
	} {
		definition := s.definition(t, bad.mode, bad.name, bad.change)
		started := s.update(t, ecs.UpdateServiceInput{TaskDefinition: &definition})
		id := *started.Deployments[0].Id
		d := s.until(t, bad.name+" rolled back", func(d types.Service) bool { return completed(d) && *d.Deployments[0].Id != id })
		if *d.TaskDefinition != *good.TaskDefinition {
			t.Errorf("%s: after the rollback %s serves", bad.name, *d.TaskDefinition)
		}
		i := slices.IndexFunc(d.Deployments, func(x types.Deployment) bool { return *x.Id == id })
		if i < 0 || d.Deployments[i].RolloutState != types.DeploymentRolloutStateFailed || *d.Deployments[i].RolloutStateReason != "ECS deployment circuit breaker: tasks failed to start." || d.Deployments[i].FailedTasks < 3 {
			t.Errorf("%s: deployments %s", bad.name, rollouts(d))
		}
		if code, body := fetchBody(t, s.url); code != http.StatusOK || body != "good" {
			t.Errorf("%s: then the service answers %d %q", bad.name, code, body)
		}
		found := 0
		for _, task := range s.tasks(t, types.DesiredStatusStopped) {
			if *task.TaskDefinitionArn != definition || strings.HasPrefix(*task.StoppedReason, "Scaling activity") {
				continue
			}
			found++
			if !strings.Contains(*task.StoppedReason, bad.reason) || task.StopCode != bad.code {
				t.Errorf("%s: stopped for %q, %s", bad.name, *task.StoppedReason, task.StopCode)
			}
		}
		if found < 3 {
			t.Errorf("%s: %d tasks stopped for it, want 3 or more", bad.name, found)
		}
	}
	if !strings.Contains(events(s.describe(t)), "is unhealthy in (target-group "+s.targets+") due to (reason Health checks failed with these codes: [503]).") {
		t.Errorf("events:\n%s", events(s.describe(t)))
	}
	if !slices.Contains(s.output(t), "no database") {
		t.Errorf("the output of the tasks that crashed: %q", s.output(t))
	}
}

func TestTasksGoWrongAsTheFaultsSay(t *testing.T) {
	t.Parallel()
	for reason, faults := range map[string]localcloud.TaskFaults{
		"Essential container in task exited": {Crash: true},
		"Task failed ELB health checks":      {Unhealthy: true},
		"CannotPullContainerError: ":         {Unpullable: true},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, localcloud.Config{Latencies: localcloud.Latencies{Scale: 0.01}, Faults: localcloud.Faults{Tasks: faults}})
			s.create(t, s.definition(t, "serve", "good", nil), 1)
			s.until(t, "a task stopped for "+reason, func(types.Service) bool {
				return slices.ContainsFunc(s.tasks(t, types.DesiredStatusStopped), func(t types.Task) bool {
					return strings.HasPrefix(aws.ToString(t.StoppedReason), reason)
				})
			})
		})
	}
}

func TestTasksAreReplacedAfterARestart(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	c, err := localcloud.Open(t.Context(), localcloud.Config{StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s := setStage(t, c)
	s.create(t, s.definition(t, "serve", "v1", nil), 1)
	before := s.until(t, "complete", completed)
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := must[[]string](t)(filepath.Glob(filepath.Join(dir, "tasks", "*.pid"))); len(left) != 0 {
		t.Errorf("a closed cloud left %q", left)
	}
	if resp, err := http.Get(s.url); err == nil {
		_ = resp.Body.Close()
		t.Error("a closed cloud serves")
	}
	s.cloud = openCloud(t, localcloud.Config{StateDir: dir})
	s.ecs = ecs.NewFromConfig(clientConfig(s.cloud))
	d := s.until(t, "back", func(d types.Service) bool {
		return completed(d) && strings.HasSuffix(*d.Events[0].Message, "has reached a steady state.")
	})
	if *d.Deployments[0].Id != *before.Deployments[0].Id {
		t.Errorf("deployments %s", rollouts(d))
	}
	if code, body := fetchBody(t, s.url); code != http.StatusOK || body != "v1" {
		t.Errorf("after the restart the service answers %d %q", code, body)
	}
	if len(s.interfaces(t)) != 3 {
		t.Errorf("network interfaces of a task and a load balancer: %q", s.interfaces(t))
	}
}

func TestATaskOfItsOwnRunsToItsEnd(t *testing.T) {
	t.Parallel()
	s := newStage(t, localcloud.Config{})
	definition := s.definition(t, "serve", "v1", nil)
	run := func(mode string) types.Task {
		t.Helper()
		out := must[*ecs.RunTaskOutput](t)(s.ecs.RunTask(t.Context(), &ecs.RunTaskInput{
			Cluster: aws.String(stageName), TaskDefinition: &definition, NetworkConfiguration: s.network(), StartedBy: aws.String(mode), ClientToken: &mode,
			Overrides: &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{
				Name: aws.String("app"), Environment: []types.KeyValuePair{{Name: aws.String("MODE"), Value: &mode}},
			}}},
		}))
		return out.Tasks[0]
	}
	await := func(arn string, status string) types.Task {
		t.Helper()
		for range 1500 {
			out := must[*ecs.DescribeTasksOutput](t)(s.ecs.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: aws.String(stageName), Tasks: []string{arn}}))
			if *out.Tasks[0].LastStatus == status {
				return out.Tasks[0]
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatalf("task %s is never %s", arn, status)
		return types.Task{}
	}
	once := run("once")
	if again := run("once"); *again.TaskArn != *once.TaskArn {
		t.Error("the same token started another task")
	}
	if ended := await(*once.TaskArn, "STOPPED"); aws.ToInt32(ended.Containers[0].ExitCode) != 0 || ended.StopCode != types.TaskStopCodeEssentialContainerExited {
		t.Errorf("ended %+v", ended)
	}
	if !slices.Contains(s.output(t), "done 13") { // the length of the password
		t.Errorf("output %q", s.output(t))
	}
	server := run("serve")
	await(*server.TaskArn, "RUNNING")
	_, err := s.ecs.DeleteCluster(t.Context(), &ecs.DeleteClusterInput{Cluster: aws.String(stageName)})
	refused(t, err, "ClusterContainsTasksException", "Tasks are active")
	must[*ecs.StopTaskOutput](t)(s.ecs.StopTask(t.Context(), &ecs.StopTaskInput{Cluster: aws.String(stageName), Task: server.TaskArn, Reason: aws.String("enough")}))
	if ended := await(*server.TaskArn, "STOPPED"); *ended.StoppedReason != "enough" || ended.StopCode != types.TaskStopCodeUserInitiated {
		t.Errorf("stopped %q, %s", *ended.StoppedReason, ended.StopCode)
	}
	must[*iam.DeleteRolePolicyOutput](t)(iam.NewFromConfig(clientConfig(s.cloud)).DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: aws.String("execution"), PolicyName: aws.String("all")}))
	denied := await(*run("denied").TaskArn, "STOPPED")
	if !strings.HasPrefix(*denied.StoppedReason, "ResourceInitializationError: unable to pull secrets or registry auth") {
		t.Errorf("without permissions it stopped for %q", *denied.StoppedReason)
	}
}

func TestTaskDefinitionsAreCheckedAndForgotten(t *testing.T) {
	t.Parallel()
	s := newStage(t, localcloud.Config{})
	ctx := t.Context()
	in := func(change func(*ecs.RegisterTaskDefinitionInput)) error {
		r := &ecs.RegisterTaskDefinitionInput{
			Family: aws.String("checked"), Cpu: aws.String("256"), Memory: aws.String("512"), NetworkMode: types.NetworkModeAwsvpc,
			RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
			ContainerDefinitions:    []types.ContainerDefinition{{Name: aws.String("app"), Image: aws.String("example.com/app:v1")}},
		}
		change(r)
		_, err := s.ecs.RegisterTaskDefinition(ctx, r)
		return err
	}
	for _, c := range []struct {
		message string
		change  func(*ecs.RegisterTaskDefinitionInput)
	}{
		{"No Fargate configuration exists for given values: 256 CPU, 4096 memory", func(r *ecs.RegisterTaskDefinitionInput) { r.Memory = aws.String("4096") }},
		{"No Fargate configuration exists for given values: 300 CPU", func(r *ecs.RegisterTaskDefinitionInput) { r.Cpu = aws.String("300") }},
		{"execution role ARN to support log driver awslogs", func(r *ecs.RegisterTaskDefinitionInput) {
			r.ContainerDefinitions[0].LogConfiguration = &types.LogConfiguration{LogDriver: types.LogDriverAwslogs}
		}},
		{"must also specify a value for 'executionRoleArn'", func(r *ecs.RegisterTaskDefinitionInput) {
			r.ContainerDefinitions[0].Secrets = []types.Secret{{Name: aws.String("A"), ValueFrom: aws.String("b")}}
		}},
		{"Fargate only supports network mode", func(r *ecs.RegisterTaskDefinitionInput) { r.NetworkMode = types.NetworkModeBridge }},
		{"Container list cannot be empty", func(r *ecs.RegisterTaskDefinitionInput) { r.ContainerDefinitions = []types.ContainerDefinition{} }},
	} {
		refused(t, in(c.change), "ClientException", c.message)
	}
	first, second := s.definition(t, "serve", "1", nil), s.definition(t, "serve", "2", nil)
	list := func(status types.TaskDefinitionStatus) []string {
		t.Helper()
		return must[*ecs.ListTaskDefinitionsOutput](t)(s.ecs.ListTaskDefinitions(ctx, &ecs.ListTaskDefinitionsInput{FamilyPrefix: aws.String(stageName), Status: status, Sort: types.SortOrderDesc})).TaskDefinitionArns
	}
	if got := list(types.TaskDefinitionStatusActive); !slices.Equal(got, []string{second, first}) {
		t.Errorf("active: %v", got)
	}
	out := must[*ecs.DeleteTaskDefinitionsOutput](t)(s.ecs.DeleteTaskDefinitions(ctx, &ecs.DeleteTaskDefinitionsInput{TaskDefinitions: []string{first}}))
	if len(out.Failures) != 1 || !strings.Contains(*out.Failures[0].Reason, "still in ACTIVE status") {
		t.Errorf("deleting an active one: %+v", out)
	}
	s.create(t, first, 1)
	s.until(t, "complete", completed)
	for _, arn := range []string{first, second} {
		must[*ecs.DeregisterTaskDefinitionOutput](t)(s.ecs.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: &arn}))
	}
	_, err := s.ecs.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String(stageName), Service: aws.String(stageName), TaskDefinition: &second})
	refused(t, err, "ClientException", "inactive")
	must[*ecs.DeleteTaskDefinitionsOutput](t)(s.ecs.DeleteTaskDefinitions(ctx, &ecs.DeleteTaskDefinitionsInput{TaskDefinitions: []string{first, second}}))
	for range 500 {
		if got := list(types.TaskDefinitionStatusDeleteInProgress); slices.Equal(got, []string{first}) { // still in use
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("being deleted: %v, want only the one in use", list(types.TaskDefinitionStatusDeleteInProgress))
}
