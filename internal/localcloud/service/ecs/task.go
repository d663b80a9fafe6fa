package ecs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud/balancer"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/network"
	"github.com/bookctl/bookctl/internal/pattern"
)

// The states of a task
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html).
const (
	taskProvisioning = "PROVISIONING"
	taskPending      = "PENDING"
	taskRunning      = "RUNNING"
	taskDeactivating = "DEACTIVATING"
	taskStopping     = "STOPPING"
	taskStopped      = "STOPPED"
)

type ecsTask struct {
	types.Task
	ID         string
	Cluster    string // its name
	Service    string // the service's key, or ""
	Deployment string // the service's, or ""
	Interface  string // the network interface's id
	Address    string // private
	Targets    []taskTarget
	TagMap     map[string]string
	// Failed reports whether the task's end counts against its deployment.
	Failed bool
	// Served reports whether the task was once as healthy as it has to be.
	Served bool
}

// taskTarget is where a load balancer finds a task.
type taskTarget struct {
	Group     string // the ARN
	Container string
	Port      int
}

// runningTask is the process or container behind a task.
type runningTask struct {
	stopping   chan struct{} // closed when it is to stop
	stop       sync.Once
	containers map[string]Container // by name; filled before RUNNING
	role       taskRole
}

// taskSpec is a task to be started.
type taskSpec struct {
	cluster             string
	definition          *definition
	network             *types.AwsVpcConfiguration
	service, deployment string
	startedBy, group    string
	targets             []taskTarget
	tags                map[string]string
	exec                bool
	overrides           *types.TaskOverride
	platformVersion     string
	provider            string // the capacity provider, "" for the launch type
}

func (s *Service) taskARN(cluster, id string) string { return s.ARN("ecs", "task/"+cluster+"/"+id) }

// assumable reports whether ECS can assume a task's roles.
func (a tx) assumable(d *definition, cluster string) error {
	for _, role := range []*string{d.ExecutionRoleArn, d.TaskRoleArn} {
		if role == nil {
			continue
		}
		if !a.needs.Roles.Usable(a.Tx, *role) || !a.trustsTasks(*role, cluster) {
			return fmt.Errorf("ECS was unable to assume the role '%s' that was provided for this task. Please verify that the role being passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role.", *role) //nolint:staticcheck,revive // AWS's own words
		}
	}
	return nil
}

// startTask creates a task with its network interface and lets it run.
func (a tx) startTask(spec taskSpec) (*ecsTask, error) {
	d := spec.definition
	if f := a.Faults().Tasks; f.NoCapacity || f.NoSpot && spec.provider == spot {
		return nil, errNoCapacity
	}
	subnetID := spec.network.Subnets[len(a.state().Tasks)%len(spec.network.Subnets)]
	if subnet, ok := a.needs.Network.Subnet(a.Tx, subnetID); ok && !fargateServes(a.Region(), a.needs.Network.ZoneID(subnet.Zone)) {
		return nil, errors.New("Internal error") //nolint:staticcheck // AWS's own words, and all of them
	}
	attachment := kernel.UUID()
	i, err := a.needs.Network.Attach(a.Tx, network.Spec{
		SubnetID: subnetID, Groups: spec.network.SecurityGroups, Description: a.ARN("ecs", "attachment/"+attachment),
		RequesterID: "amazon-ecs", InterfaceType: "interface", Public: spec.network.AssignPublicIp == types.AssignPublicIpEnabled,
	})
	if err != nil {
		return nil, err
	}
	subnet, _ := a.needs.Network.Subnet(a.Tx, subnetID) // the interface is in it
	id := kernel.HexDigits(32)
	arn := a.taskARN(spec.cluster, id)
	t := &ecsTask{
		Task: types.Task{
			TaskArn: aws.String(arn), ClusterArn: aws.String(a.clusterARN(spec.cluster)), TaskDefinitionArn: d.TaskDefinitionArn,
			LastStatus: aws.String(taskProvisioning), DesiredStatus: aws.String(taskRunning), HealthStatus: types.HealthStatusUnknown,
			CreatedAt: aws.Time(a.Now()), Cpu: d.Cpu, Memory: d.Memory, LaunchType: types.LaunchTypeFargate, PlatformVersion: aws.String(cmp.Or(spec.platformVersion, "1.4.0")),
			PlatformFamily: aws.String("Linux"), Group: aws.String(spec.group), AvailabilityZone: aws.String(subnet.Zone), Version: 1,
			EnableExecuteCommand: spec.exec, Overrides: &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{}},
			Attachments: []types.Attachment{{Id: aws.String(attachment), Type: aws.String("ElasticNetworkInterface"), Status: aws.String("ATTACHED"), Details: []types.KeyValuePair{
				{Name: aws.String("subnetId"), Value: aws.String(subnetID)}, {Name: aws.String("networkInterfaceId"), Value: aws.String(i.ID)},
				{Name: aws.String("macAddress"), Value: aws.String(i.MAC)}, {Name: aws.String("privateIPv4Address"), Value: aws.String(i.PrivateIP)},
			}}},
		},
		ID: id, Cluster: spec.cluster, Service: spec.service, Deployment: spec.deployment, Interface: i.ID, Address: i.PrivateIP,
		Targets: spec.targets, TagMap: spec.tags,
	}
	if t.TagMap == nil {
		t.TagMap = map[string]string{}
	}
	if spec.overrides != nil {
		t.Overrides = spec.overrides
	}
	if spec.provider != "" {
		t.CapacityProviderName = aws.String(spec.provider)
	}
	if spec.startedBy != "" {
		t.StartedBy = aws.String(spec.startedBy)
	}
	for _, def := range d.ContainerDefinitions {
		t.Containers = append(t.Containers, types.Container{
			ContainerArn: aws.String(a.ARN("ecs", "container/"+spec.cluster+"/"+id+"/"+kernel.UUID())), TaskArn: aws.String(arn), Name: def.Name, Image: def.Image,
			LastStatus: aws.String(taskPending), HealthStatus: types.HealthStatusUnknown, Cpu: aws.String(strconv.Itoa(int(def.Cpu))),
			NetworkInterfaces: []types.NetworkInterface{{AttachmentId: aws.String(attachment), PrivateIpv4Address: aws.String(i.PrivateIP)}},
			NetworkBindings:   []types.NetworkBinding{}, RuntimeId: aws.String(id + "-" + decimals(10)),
		})
	}
	if spec.exec {
		t.setAgents(types.ManagedAgent{Name: types.ManagedAgentNameExecuteCommandAgent, LastStatus: aws.String(taskPending)})
	}
	if a.state().Tasks == nil {
		a.state().Tasks = map[string]*ecsTask{}
	}
	a.state().Tasks[id] = t
	r := &runningTask{stopping: make(chan struct{}), containers: map[string]Container{}, role: newTaskRole(d.TaskRoleArn)}
	a.running().tasks[id] = r
	a.Go(func(ctx context.Context) { a.runTask(ctx, t, r) })
	return t, nil
}

// setContainer replaces the description of a task's container.
func (t *ecsTask) setContainer(name string, change func(*types.Container)) {
	containers := slices.Clone(t.Containers)
	for i := range containers {
		if *containers[i].Name == name {
			change(&containers[i])
		}
	}
	t.Containers = containers
	t.Version++
}

// setStatus changes the status of a task and its containers.
func (t *ecsTask) setStatus(status string) {
	t.LastStatus = aws.String(status)
	t.Version++
}

// stopTask asks a task to stop. Later calls do not change the reason.
func (a tx) stopTask(t *ecsTask, code types.TaskStopCode, reason string) {
	if *t.DesiredStatus == taskStopped {
		return
	}
	t.DesiredStatus = aws.String(taskStopped)
	t.StopCode, t.StoppedReason = code, aws.String(reason)
	t.StoppingAt = aws.Time(a.Now())
	t.Version++
	if r := a.running().tasks[t.ID]; r != nil {
		r.stop.Do(func() { close(r.stopping) })
	}
}

// failTask stops a task whose end counts against its deployment.
func (a tx) failTask(t *ecsTask, code types.TaskStopCode, reason string) {
	if *t.DesiredStatus == taskStopped {
		return
	}
	t.Failed = true
	a.stopTask(t, code, reason)
	a.countFailure(t)
}

// registerTask registers a task with its target groups.
func (a tx) registerTask(t *ecsTask, r *runningTask) {
	groups := map[string]int{}
	for _, target := range t.Targets {
		container := r.containers[target.Container]
		if container == nil || *t.DesiredStatus == taskStopped {
			continue
		}
		if a.needs.Groups.Register(a.Tx, target.Group, balancer.Target{ID: t.Address, Port: target.Port, Addr: container.Address(target.Port), Zone: *t.AvailabilityZone, FailsChecks: a.Faults().Tasks.Unhealthy}) {
			groups[target.Group]++
		}
	}
	for group, n := range groups {
		a.serviceEvent(t.Service, "registered %d targets in (target-group %s)", n, group)
	}
}

// Address is the real address behind a task's private address, and the task's zone.
func (s *Service) Address(t *kernel.Tx, address string, port int) (addr, zone string) {
	a := s.in(t)
	for _, t := range a.state().Tasks {
		r := a.running().tasks[t.ID]
		if t.Address != address || r == nil || *t.LastStatus == taskStopped {
			continue
		}
		d := a.definition(*t.TaskDefinitionArn)
		if d == nil {
			continue
		}
		for _, def := range d.ContainerDefinitions {
			if container := r.containers[*def.Name]; container != nil && slices.ContainsFunc(def.PortMappings, func(m types.PortMapping) bool { return int(aws.ToInt32(m.ContainerPort)) == port }) {
				return container.Address(port), *t.AvailabilityZone
			}
		}
	}
	return "", ""
}

const (
	// leastInterval and leastGrace limit how far health checks are scaled down: a real
	// process needs real time to start.
	leastInterval = 200 * time.Millisecond
	leastGrace    = 2 * time.Second
)

// awsvpc is the network configuration, which Fargate requires.
func (a tx) awsvpc(n *types.NetworkConfiguration) (*types.AwsVpcConfiguration, error) {
	if n == nil || n.AwsvpcConfiguration == nil {
		return nil, kernel.Fail("InvalidParameterException", "Network Configuration must be provided when networkMode 'awsvpc' is specified.")
	}
	v := n.AwsvpcConfiguration
	if len(v.Subnets) == 0 {
		return nil, kernel.Fail("InvalidParameterException", "subnets can not be empty.")
	}
	for _, id := range v.Subnets {
		if _, ok := a.needs.Network.Subnet(a.Tx, id); !ok {
			return nil, kernel.Fail("InvalidParameterException", "Error retrieving subnet information for [%s]: The subnet ID '%s' does not exist (ErrorCode: InvalidSubnetID.NotFound)", id, id)
		}
	}
	for _, id := range v.SecurityGroups {
		if !a.needs.Network.HasGroup(a.Tx, id) {
			return nil, kernel.Fail("InvalidParameterException", "Error retrieving security group information for [%s]: The security group '%s' does not exist (ErrorCode: InvalidGroup.NotFound)", id, id)
		}
	}
	return v, nil
}

// RunTask starts tasks without a service.
func (a tx) RunTask(in *ecs.RunTaskInput) (*ecs.RunTaskOutput, error) {
	cl, err := a.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	d, err := a.activeDefinition(in.TaskDefinition)
	if err != nil {
		return nil, err
	}
	network, err := a.awsvpc(in.NetworkConfiguration)
	if err != nil {
		return nil, err
	}
	capacity, err := cl.capacityFor(in.LaunchType, in.CapacityProviderStrategy)
	if err != nil {
		return nil, err
	}
	count := int(aws.ToInt32(cmp.Or(in.Count, aws.Int32(1))))
	if count < 1 || count > 10 {
		return nil, kernel.Fail("InvalidParameterException", "Invalid count: %d. Must be between 1 and 10.", count)
	}
	if err := a.assumable(d, cl.Name); err != nil {
		return nil, kernel.Fail("ClientException", "%s", err)
	}
	if !starterForm.MatchString(aws.ToString(in.StartedBy)) {
		return nil, kernel.Fail("InvalidParameterException", "startedBy: up to 128 letters (uppercase and lowercase), numbers, hyphens (-), forward slash (/), and underscores (_) are allowed.")
	}
	token := aws.ToString(in.ClientToken)
	out := &ecs.RunTaskOutput{Tasks: []types.Task{}, Failures: []types.Failure{}}
	if token != "" {
		for _, t := range a.state().Tasks {
			if t.TagMap[runToken] == token {
				out.Tasks = append(out.Tasks, a.describeTask(t, true))
			}
		}
		if len(out.Tasks) > 0 {
			return out, nil
		}
	}
	tags := kernel.TagMap(in.Tags, tagPair)
	if in.PropagateTags == types.PropagateTagsTaskDefinition {
		all := maps.Clone(d.Tags)
		maps.Copy(all, tags)
		tags = all
	}
	on := map[string]int{}
	for range count {
		provider := nextProvider(capacity, on)
		on[provider]++
		own := maps.Clone(tags)
		if in.EnableECSManagedTags {
			own["aws:ecs:clusterName"] = cl.Name
		}
		if token != "" {
			own[runToken] = token
		}
		t, err := a.startTask(taskSpec{
			cluster: cl.Name, definition: d, network: network, startedBy: aws.ToString(in.StartedBy), group: cmp.Or(aws.ToString(in.Group), "family:"+*d.Family),
			tags: own, exec: in.EnableExecuteCommand, overrides: in.Overrides, platformVersion: platform(in.PlatformVersion), provider: provider,
		})
		if errors.Is(err, errNoCapacity) {
			out.Failures = append(out.Failures, types.Failure{Reason: aws.String(err.Error())})
			continue
		}
		if err != nil {
			return nil, kernel.Fail("ClientException", "%s", err)
		}
		out.Tasks = append(out.Tasks, a.describeTask(t, true))
	}
	return out, nil
}

// starterForm matches a valid startedBy.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html
var starterForm = pattern.New(`^[A-Za-z0-9/_-]{0,128}$`)

// runToken is the tag that stores a client token; it is not returned.
const runToken = "\x00token"

func platform(version *string) string {
	if v := aws.ToString(version); v != "LATEST" {
		return v
	}
	return ""
}

func (a tx) describeTask(t *ecsTask, tags bool) types.Task {
	d := t.Task
	d.Tags = []types.Tag{}
	if tags {
		all := maps.Clone(t.TagMap)
		delete(all, runToken)
		d.Tags = kernel.TagList(all, newTag)
	}
	return d
}

func (a tx) task(cluster, id *string) (*ecsTask, error) {
	cl, err := a.cluster(cluster)
	if err != nil {
		return nil, err
	}
	t := a.state().Tasks[lastPart(aws.ToString(id))]
	if t == nil || t.Cluster != cl.Name {
		return nil, kernel.Fail("InvalidParameterException", "The referenced task was not found.")
	}
	return t, nil
}

// StopTask stops a task; its service starts another one.
func (a tx) StopTask(in *ecs.StopTaskInput) (*ecs.StopTaskOutput, error) {
	t, err := a.task(in.Cluster, in.Task)
	if err != nil {
		return nil, err
	}
	a.stopTask(t, types.TaskStopCodeUserInitiated, cmp.Or(aws.ToString(in.Reason), "Task stopped by user"))
	a.wakeScheduler()
	described := a.describeTask(t, true)
	return &ecs.StopTaskOutput{Task: &described}, nil
}

// DescribeTasks describes tasks, also those that stopped within the last hour.
func (a tx) DescribeTasks(in *ecs.DescribeTasksInput) (*ecs.DescribeTasksOutput, error) {
	cl, err := a.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	if len(in.Tasks) == 0 || len(in.Tasks) > 100 {
		return nil, kernel.Fail("InvalidParameterException", "Tasks must have between 1 and 100 entries.")
	}
	out := &ecs.DescribeTasksOutput{Tasks: []types.Task{}, Failures: []types.Failure{}}
	for _, id := range in.Tasks {
		t := a.state().Tasks[lastPart(id)]
		if t == nil || t.Cluster != cl.Name {
			out.Failures = append(out.Failures, types.Failure{Arn: aws.String(a.taskARN(cl.Name, lastPart(id))), Reason: aws.String("MISSING")})
			continue
		}
		out.Tasks = append(out.Tasks, a.describeTask(t, slices.Contains(in.Include, types.TaskFieldTags)))
	}
	return out, nil
}

// ListTasks lists the tasks with the desired status RUNNING, or the stopped ones.
func (a tx) ListTasks(in *ecs.ListTasksInput) (*ecs.ListTasksOutput, error) {
	cl, err := a.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	service := ""
	if in.ServiceName != nil {
		service = cl.Name + "/" + lastPart(*in.ServiceName)
		if s := a.state().Services[service]; s == nil || s.Status == statusInactive {
			return nil, kernel.Fail("ServiceNotFoundException", "Service not found.")
		}
	}
	desired := string(cmp.Or(in.DesiredStatus, types.DesiredStatusRunning))
	var arns []string
	for _, t := range a.state().Tasks {
		if t.Cluster == cl.Name && *t.DesiredStatus == desired && (service == "" || t.Service == service) &&
			(in.StartedBy == nil || aws.ToString(t.StartedBy) == *in.StartedBy) &&
			(in.Family == nil || strings.HasPrefix(lastPart(*t.TaskDefinitionArn), *in.Family+":")) {
			arns = append(arns, *t.TaskArn)
		}
	}
	slices.Sort(arns)
	out := &ecs.ListTasksOutput{}
	out.TaskArns, out.NextToken = kernel.PageAfter(arns, in.NextToken, in.MaxResults, 100)
	if out.TaskArns == nil {
		out.TaskArns = []string{}
	}
	return out, nil
}

// cpuUnits is the processor share of a task, 1024 being one processor.
func (t *ecsTask) cpuUnits() float64 {
	n, err := strconv.ParseFloat(aws.ToString(t.Cpu), 64)
	if err != nil {
		return math.NaN()
	}
	return n
}
