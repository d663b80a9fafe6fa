package ecs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud/balancer"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/network"
	"github.com/bookctl/bookctl/internal/localcloud/task"
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
	if spec.provider == spot && a.Faults().Tasks.NoSpot {
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

// runTask runs a task to its end. It works outside of transactions, with one for each
// change. When the cloud stops, it ends the containers and leaves the task as it is; the
// next start of the cloud replaces it.
func (s *Service) runTask(ctx context.Context, t *ecsTask, r *runningTask) {
	defer s.update(func(c tx) { delete(c.running().tasks, t.ID); c.wakeScheduler() })
	born := time.Now()
	images, containers, definitions, err := s.pullTask(ctx, t)
	if err == nil && !kernel.Wait(ctx, r.stopping, s.Scaled(s.Latencies().TaskStart)-time.Since(born)) && ctx.Err() != nil {
		return
	}
	exited := make(chan string, len(containers))
	if err == nil && !isClosed(r.stopping) {
		err = s.startContainers(ctx, t, r, images, containers, definitions, exited)
	}
	if ctx.Err() != nil {
		s.endContainers(context.WithoutCancel(ctx), t, r, definitions)
		return
	}
	if err != nil {
		s.update(func(c tx) { c.failTask(t, types.TaskStopCodeTaskFailedToStart, err.Error()) })
	} else if len(r.containers) > 0 {
		checks, end := context.WithCancel(ctx)
		for name, d := range definitions {
			if d.HealthCheck != nil {
				s.Go(func(context.Context) { s.checkContainer(checks, t, r.containers[name], d) })
			}
		}
		for running := true; running; {
			select {
			case <-ctx.Done():
				running = false
			case <-r.stopping:
				running = false
			case name := <-exited:
				s.noteExit(t, r, name)
				if *definitions[name].Essential {
					s.update(func(c tx) {
						c.failTask(t, types.TaskStopCodeEssentialContainerExited, "Essential container in task exited")
					})
				}
			}
		}
		end()
		if ctx.Err() == nil && !s.wasInterrupted(t) {
			s.drainTask(ctx, t, r)
		}
	}
	if ctx.Err() == nil {
		s.update(func(c tx) { t.setStatus(taskStopping) })
	}
	s.endContainers(context.WithoutCancel(ctx), t, r, definitions)
	for name := range r.containers {
		s.noteExit(t, r, name)
	}
	if ctx.Err() != nil || !s.Pause(ctx, s.Latencies().TaskStop) {
		return
	}
	s.update(func(c tx) {
		if t.StopCode == types.TaskStopCodeSpotInterruption {
			for _, target := range t.Targets {
				c.needs.Groups.Deregister(c.Tx, target.Group, t.Address, target.Port)
			}
		}
		t.setStatus(taskStopped)
		t.StoppedAt, t.ExecutionStoppedAt = aws.Time(c.Now()), aws.Time(c.Now())
		attachments := slices.Clone(t.Attachments)
		attachments[0].Status = aws.String("DELETED")
		t.Attachments = attachments
		for _, d := range t.Containers {
			t.setContainer(*d.Name, func(d *types.Container) { d.LastStatus = aws.String(taskStopped) })
		}
		c.needs.Network.Release(c.Tx, t.Interface)
	})
}

// wasInterrupted reports whether Fargate Spot interrupted the task.
func (s *Service) wasInterrupted(t *ecsTask) (was bool) {
	s.view(func(tx) { was = t.StopCode == types.TaskStopCodeSpotInterruption })
	return was
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// pullTask gets everything that a task needs before its containers start. Its error is the
// task's stopped reason. Secrets are only in its result.
func (s *Service) pullTask(ctx context.Context, t *ecsTask) (images map[string]Image, specs map[string]task.Spec, definitions map[string]types.ContainerDefinition, err error) {
	var platform string
	logins := map[string]task.Login{}
	images, specs, definitions = map[string]Image{}, map[string]task.Spec{}, map[string]types.ContainerDefinition{}
	s.update(func(c tx) {
		t.setStatus(taskPending)
		t.Connectivity, t.ConnectivityAt, t.PullStartedAt = types.ConnectivityConnected, aws.Time(c.Now()), aws.Time(c.Now())
		d := c.definition(*t.TaskDefinitionArn)
		if d == nil {
			err = fmt.Errorf("the task definition %s is gone", *t.TaskDefinitionArn)
			return
		}
		if p := d.RuntimePlatform; p != nil {
			platform = string(p.CpuArchitecture)
		}
		agent := c.agent(d.ExecutionRoleArn, t.ID)
		for _, def := range d.ContainerDefinitions {
			var spec task.Spec
			if spec, err = c.containerSpec(agent, t, d, def); err != nil {
				return
			}
			specs[*def.Name], definitions[*def.Name] = spec, def
			if logins[*def.Name], err = agent.registryLogin(def.RepositoryCredentials); err != nil {
				return
			}
		}
	})
	if err != nil {
		return nil, nil, nil, err
	}
	for name, d := range definitions {
		image, err := s.pullImage(ctx, *d.Image, platform, logins[name])
		if err != nil {
			s.update(func(c tx) { t.setContainer(name, func(d *types.Container) { d.Reason = aws.String(err.Error()) }) })
			return nil, nil, nil, err
		}
		images[name] = image
		s.update(func(c tx) {
			t.setContainer(name, func(d *types.Container) { d.ImageDigest = aws.String(image.Digest()) })
		})
	}
	s.update(func(c tx) { t.PullStoppedAt = aws.Time(c.Now()) })
	return images, specs, definitions, nil
}

func (s *Service) pullImage(ctx context.Context, reference, platform string, login task.Login) (Image, error) {
	if s.Faults().Tasks.Unpullable {
		return nil, fmt.Errorf("CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref %s: %s: not found", reference, reference)
	}
	return s.needs.Runtime.Pull(ctx, reference, task.Platform(platform), login)
}

// containerSpec is a container of the task definition, for the runtime.
func (a tx) containerSpec(agent fargateAgent, t *ecsTask, of *definition, d types.ContainerDefinition) (task.Spec, error) {
	spec := task.Spec{
		Entrypoint: d.EntryPoint, Command: d.Command, WorkingDir: aws.ToString(d.WorkingDirectory), User: aws.ToString(d.User),
		Environment: map[string]string{
			// Fargate adds these.
			"AWS_EXECUTION_ENV": "AWS_ECS_FARGATE", "AWS_REGION": a.Region(), "AWS_DEFAULT_REGION": a.Region(),
		},
		// The databases here have another certificate authority than the one in images.
		TrustBundle: a.needs.Authority.BundleFile(),
		PIDFile:     filepath.Join(a.pidDir(), t.ID+"-"+*d.Name+".pid"),
		Output:      func(string) {},
		Task:        t.ID, Name: *d.Name, Ports: of.ports(), Sysctls: of.sysctls(), ReadOnly: aws.ToBool(d.ReadonlyRootFilesystem), Memory: of.memory(d),
	}
	for _, u := range d.Ulimits {
		spec.Ulimits = append(spec.Ulimits, task.Ulimit{Name: string(u.Name), Soft: int64(u.SoftLimit), Hard: int64(u.HardLimit)})
	}
	for _, m := range d.MountPoints {
		spec.Mounts = append(spec.Mounts, task.Mount{Volume: aws.ToString(m.SourceVolume), Path: aws.ToString(m.ContainerPath), ReadOnly: aws.ToBool(m.ReadOnly)})
	}
	if l := d.LinuxParameters; l != nil {
		if l.Capabilities != nil {
			spec.DropCapabilities = l.Capabilities.Drop
		}
		spec.Tmpfs = map[string]string{}
		for _, m := range l.Tmpfs {
			options := append(slices.Clone(m.MountOptions), "size="+strconv.Itoa(int(m.Size))+"m")
			spec.Tmpfs[aws.ToString(m.ContainerPath)] = strings.Join(options, ",")
		}
	}
	if r := a.running().tasks[t.ID]; r != nil {
		maps.Copy(spec.Environment, a.roleEnvironment(r.role))
	}
	for _, e := range d.Environment {
		spec.Environment[aws.ToString(e.Name)] = aws.ToString(e.Value)
	}
	for _, name := range []string{"DB_SSLROOTCERT", "PGSSLROOTCERT"} { // the image's own are Amazon RDS's
		if spec.Environment[name] != "" {
			spec.Environment[name] = a.needs.Authority.BundleFile()
		}
	}
	for _, o := range t.Overrides.ContainerOverrides {
		if aws.ToString(o.Name) != *d.Name {
			continue
		}
		if o.Command != nil {
			spec.Command = o.Command
		}
		for _, e := range o.Environment {
			spec.Environment[aws.ToString(e.Name)] = aws.ToString(e.Value)
		}
	}
	for _, s := range d.Secrets {
		value, err := agent.secret(aws.ToString(s.ValueFrom))
		if err != nil {
			return task.Spec{}, err
		}
		spec.Environment[aws.ToString(s.Name)] = value
	}
	if err := agent.mayPull(aws.ToString(d.Image)); err != nil {
		return task.Spec{}, err
	}
	if l := d.LogConfiguration; l != nil {
		group, stream := l.Options["awslogs-group"], l.Options["awslogs-stream-prefix"]+"/"+*d.Name+"/"+t.ID
		if err := agent.openStream(group, stream, l.Options["awslogs-create-group"] == "true"); err != nil {
			return task.Spec{}, err
		}
		spec.Output = func(line string) { a.needs.Logs.Line(group, stream, line) }
	}
	return spec, nil
}

func (s *Service) pidDir() string { return filepath.Join(s.StateDir(), "tasks") }

// startContainers starts a task's containers, sets it RUNNING and registers it with its
// load balancers.
func (s *Service) startContainers(ctx context.Context, t *ecsTask, r *runningTask, images map[string]Image, specs map[string]task.Spec, definitions map[string]types.ContainerDefinition, exited chan<- string) error {
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		container, err := images[name].Start(ctx, specs[name])
		if err != nil {
			s.update(func(c tx) { t.setContainer(name, func(d *types.Container) { d.Reason = aws.String(err.Error()) }) })
			return err
		}
		if s.Faults().Tasks.Crash {
			_ = container.Signal(syscall.SIGKILL) // it may have ended by itself
		}
		s.update(func(c tx) { r.containers[name] = container })
		go func() { <-container.Done(); exited <- name }() // ends with the container, which always is ended
	}
	s.update(func(c tx) {
		t.setStatus(taskRunning)
		t.StartedAt = aws.Time(c.Now())
		if cl := c.state().Clusters[t.Cluster]; cl != nil && cl.insights() {
			// Its name is all that is here of Container Insights:
			// https://github.com/aws/containers-roadmap/issues/2315
			c.needs.Logs.EnsureGroup(c.Tx, "/aws/ecs/containerinsights/"+cl.Name+"/performance")
		}
		for name, d := range definitions {
			t.setContainer(name, func(described *types.Container) {
				described.LastStatus = aws.String(taskRunning)
				if d.HealthCheck == nil {
					described.HealthStatus = types.HealthStatusUnknown
				}
			})
		}
		if s := c.state().Services[t.Service]; s != nil {
			if i := s.deploymentIndex(t.Deployment); i >= 0 {
				s.Deployments[i].Ran = true
			}
		}
		c.registerTask(t, r)
		c.wakeScheduler()
		if t.EnableExecuteCommand {
			c.Go(func(ctx context.Context) { s.startAgent(ctx, t, r) })
		}
	})
	return nil
}

// agentPause is the time between two looks whether an agent may start.
const agentPause = 100 * time.Millisecond

// startAgent starts the agents of ECS Exec, which run later than their task.
func (s *Service) startAgent(ctx context.Context, t *ecsTask, r *runningTask) {
	stopped := s.Faults().Tasks.NoExec
	for first := true; first || s.Faults().Tasks.ExecPending; first = false {
		if !kernel.Wait(ctx, r.stopping, agentPause) {
			return
		}
	}
	s.update(func(c tx) {
		agent := types.ManagedAgent{Name: types.ManagedAgentNameExecuteCommandAgent, LastStatus: aws.String(taskRunning), LastStartedAt: aws.Time(c.Now())}
		if stopped {
			agent = types.ManagedAgent{Name: agent.Name, LastStatus: aws.String(taskStopped)}
		}
		t.setAgents(agent)
	})
}

// setAgents gives all of a task's containers an agent of ECS Exec.
func (t *ecsTask) setAgents(agent types.ManagedAgent) {
	for _, c := range t.Containers {
		t.setContainer(*c.Name, func(c *types.Container) { c.ManagedAgents = []types.ManagedAgent{agent} })
	}
}

// takesCommands reports whether the agent of ECS Exec runs in a task.
func (t *ecsTask) takesCommands() bool {
	return t.EnableExecuteCommand && *t.LastStatus == taskRunning && len(t.Containers) > 0 && len(t.Containers[0].ManagedAgents) > 0 && *t.Containers[0].ManagedAgents[0].LastStatus == taskRunning
}

// registerTask registers a task with its target groups.
func (a tx) registerTask(t *ecsTask, r *runningTask) {
	groups := map[string]int{}
	for _, target := range t.Targets {
		container := r.containers[target.Container]
		if container == nil || *t.DesiredStatus == taskStopped {
			continue
		}
		if a.needs.Groups.Register(a.Tx, target.Group, balancer.Target{ID: t.Address, Port: target.Port, Addr: container.Address(target.Port), Zone: *t.AvailabilityZone, Sick: a.Faults().Tasks.Unhealthy}) {
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

// drainTask deregisters a task from its target groups and waits for the requests in flight,
// if a container can still answer them.
func (s *Service) drainTask(ctx context.Context, t *ecsTask, r *runningTask) {
	var draining []<-chan struct{}
	s.update(func(c tx) {
		if len(t.Targets) == 0 {
			return
		}
		t.setStatus(taskDeactivating)
		for _, target := range t.Targets {
			if gone, ok := c.needs.Groups.Deregister(c.Tx, target.Group, t.Address, target.Port); ok {
				draining = append(draining, gone)
			}
		}
		c.serviceEvent(t.Service, "has begun draining connections on 1 tasks.")
	})
	for _, gone := range draining {
		select {
		case <-ctx.Done():
			return
		case <-gone:
		case <-anyEnd(r):
		}
	}
}

// anyEnd is closed when the first of a task's containers has ended.
func anyEnd(r *runningTask) <-chan struct{} {
	for _, container := range r.containers {
		if isClosed(container.Done()) {
			return container.Done()
		}
	}
	for _, container := range r.containers {
		return container.Done()
	}
	return nil
}

// stopTimeout is ECS's default
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html).
const stopTimeout = 30 * time.Second

// endContainers stops a task's containers in parallel, each with its stop timeout.
func (s *Service) endContainers(ctx context.Context, t *ecsTask, r *runningTask, definitions map[string]types.ContainerDefinition) {
	var wait sync.WaitGroup
	for name, container := range r.containers {
		grace := stopTimeout
		if t := definitions[name].StopTimeout; t != nil {
			grace = time.Duration(*t) * time.Second
		}
		wait.Go(func() { container.Stop(ctx, grace) })
	}
	wait.Wait()
	if err := s.needs.Runtime.Release(ctx, t.ID); err != nil {
		s.Log().Error("something of a task may be left", "task", t.ID, "error", err)
	}
}

// noteExit records the exit of a container.
func (s *Service) noteExit(t *ecsTask, r *runningTask, name string) {
	code, memory := int32(r.containers[name].ExitCode()), r.containers[name].OutOfMemory()
	s.update(func(c tx) {
		t.setContainer(name, func(d *types.Container) {
			d.LastStatus, d.ExitCode = aws.String(taskStopped), aws.Int32(code)
			if memory {
				// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
				d.Reason = aws.String("OutOfMemoryError: Container killed due to memory usage")
			}
		})
	})
}

// firstCheck is the interval of health checks of a container that has not passed one yet,
// as in the balancer.
const firstCheck = 100 * time.Millisecond

// checkContainer runs a container's health check until ctx ends.
func (s *Service) checkContainer(ctx context.Context, t *ecsTask, container Container, d types.ContainerDefinition) {
	h := d.HealthCheck
	command := h.Command[1:]
	if h.Command[0] == "CMD-SHELL" {
		command = []string{"/bin/sh", "-c", strings.Join(h.Command[1:], " ")}
	}
	second := func(n *int32) time.Duration { return time.Duration(*n) * time.Second }
	interval := s.ScaledTo(leastInterval, second(h.Interval))
	grace := time.Now()
	if h.StartPeriod != nil {
		grace = grace.Add(s.ScaledTo(leastGrace, second(h.StartPeriod)))
	}
	healthy, failed := false, 0
	next := time.Now().Add(interval) // when a failure counts
	for {
		check, cancel := context.WithTimeout(ctx, second(h.Timeout))
		code, err := container.Exec(check, command...)
		cancel()
		if ctx.Err() != nil {
			return
		}
		pass := err == nil && code == 0
		if pass || healthy || !time.Now().Before(next) {
			next = time.Now().Add(interval)
			switch {
			case pass:
				healthy, failed = true, 0
			case time.Now().After(grace):
				failed++
			}
		}
		status := types.HealthStatusUnknown
		switch {
		case failed >= int(*h.Retries):
			status = types.HealthStatusUnhealthy
		case healthy:
			status = types.HealthStatusHealthy
		}
		s.view(func(c tx) {
			if t.setHealth(*d.Name, status, c.definition(*t.TaskDefinitionArn)) {
				c.Changed()
				c.wakeScheduler()
			}
		})
		pause := min(firstCheck, interval)
		if healthy {
			pause = interval
		}
		if !kernel.Wait(ctx, nil, pause) {
			return
		}
	}
}

const (
	// leastInterval and leastGrace limit how far health checks are scaled down: a real
	// process needs real time to start.
	leastInterval = 200 * time.Millisecond
	leastGrace    = 2 * time.Second
)

// setHealth sets a container's health and derives the task's from its essential containers
// with a check.
func (t *ecsTask) setHealth(container string, status types.HealthStatus, d *definition) (changed bool) {
	for _, have := range t.Containers {
		changed = changed || *have.Name == container && have.HealthStatus != status
	}
	if !changed || d == nil {
		return false
	}
	t.setContainer(container, func(described *types.Container) { described.HealthStatus = status })
	all := types.HealthStatusHealthy
	for _, def := range d.ContainerDefinitions {
		for _, have := range t.Containers {
			if *have.Name != *def.Name || def.HealthCheck == nil || !*def.Essential {
				continue
			}
			switch have.HealthStatus {
			case types.HealthStatusUnhealthy:
				all = types.HealthStatusUnhealthy
			case types.HealthStatusUnknown:
				if all == types.HealthStatusHealthy {
					all = types.HealthStatusUnknown
				}
			}
		}
	}
	t.HealthStatus = all
	return true
}

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
	d, err := a.usable(in.TaskDefinition)
	if err != nil {
		return nil, err
	}
	network, err := a.awsvpc(in.NetworkConfiguration)
	if err != nil {
		return nil, err
	}
	capacity, err := cl.chosen(in.LaunchType, in.CapacityProviderStrategy)
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
		provider := place(capacity, on)
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
