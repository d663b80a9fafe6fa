package ecs

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/task"
)

// runTask runs a task to its end. It works outside of transactions, with one for each
// change. When the cloud stops, it ends the containers and leaves the task as it is; the
// next start of the cloud replaces it.
func (s *Service) runTask(ctx context.Context, t *ecsTask, r *runningTask) {
	defer s.update(func(a tx) { delete(a.running().tasks, t.ID); a.wakeScheduler() })
	began := time.Now()
	containers, err := s.pullTask(ctx, t)
	if err == nil && !kernel.Wait(ctx, r.stopping, s.Scaled(s.Latencies().TaskStart)-time.Since(began)) && ctx.Err() != nil {
		return
	}
	if err == nil && !isClosed(r.stopping) {
		err = s.startContainers(ctx, t, r, containers)
	}
	if ctx.Err() != nil {
		s.endContainers(context.WithoutCancel(ctx), t, r, containers)
		return
	}
	if err != nil {
		s.update(func(a tx) { a.failTask(t, types.TaskStopCodeTaskFailedToStart, err.Error()) })
	} else if len(r.containers) > 0 {
		s.watchContainers(ctx, t, r, containers)
		if ctx.Err() == nil && !s.wasInterrupted(t) {
			s.drainTask(ctx, t, r)
		}
	}
	if ctx.Err() == nil {
		s.update(func(a tx) { t.setStatus(taskStopping) })
	}
	s.endContainers(context.WithoutCancel(ctx), t, r, containers)
	for name := range r.containers {
		s.noteExit(t, r, name)
	}
	if ctx.Err() != nil || !s.Pause(ctx, s.Latencies().TaskStop) {
		return
	}
	s.finishTask(t)
}

// taskContainers are what a task's containers are started from, by their names.
type taskContainers struct {
	images      map[string]Image
	specs       map[string]task.Spec
	definitions map[string]types.ContainerDefinition
	exited      chan string // receives the name of each container that has ended
}

// watchContainers checks the health of a task's containers until the task is to stop.
func (s *Service) watchContainers(ctx context.Context, t *ecsTask, r *runningTask, containers taskContainers) {
	checks, end := context.WithCancel(ctx)
	defer end()
	for name, d := range containers.definitions {
		if d.HealthCheck != nil {
			s.Go(func(context.Context) { s.checkContainer(checks, t, r.containers[name], d) })
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.stopping:
			return
		case name := <-containers.exited:
			s.noteExit(t, r, name)
			if *containers.definitions[name].Essential {
				s.update(func(a tx) {
					a.failTask(t, types.TaskStopCodeEssentialContainerExited, "Essential container in task exited")
				})
			}
		}
	}
}

// finishTask sets a task STOPPED and releases its network interface.
func (s *Service) finishTask(t *ecsTask) {
	s.update(func(a tx) {
		if t.StopCode == types.TaskStopCodeSpotInterruption {
			for _, target := range t.Targets {
				a.needs.Groups.Deregister(a.Tx, target.Group, t.Address, target.Port)
			}
		}
		t.setStatus(taskStopped)
		t.StoppedAt, t.ExecutionStoppedAt = aws.Time(a.Now()), aws.Time(a.Now())
		attachments := slices.Clone(t.Attachments)
		attachments[0].Status = aws.String("DELETED")
		t.Attachments = attachments
		for _, d := range t.Containers {
			t.setContainer(*d.Name, func(d *types.Container) { d.LastStatus = aws.String(taskStopped) })
		}
		a.needs.Network.Release(a.Tx, t.Interface)
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
func (s *Service) pullTask(ctx context.Context, t *ecsTask) (containers taskContainers, err error) {
	var platform string
	logins := map[string]task.Login{}
	containers = taskContainers{images: map[string]Image{}, specs: map[string]task.Spec{}, definitions: map[string]types.ContainerDefinition{}}
	s.update(func(a tx) {
		t.setStatus(taskPending)
		t.Connectivity, t.ConnectivityAt, t.PullStartedAt = types.ConnectivityConnected, aws.Time(a.Now()), aws.Time(a.Now())
		d := a.definition(*t.TaskDefinitionArn)
		if d == nil {
			err = fmt.Errorf("the task definition %s is gone", *t.TaskDefinitionArn)
			return
		}
		if p := d.RuntimePlatform; p != nil {
			platform = string(p.CpuArchitecture)
		}
		agent := a.agent(d.ExecutionRoleArn, t.ID)
		for _, def := range d.ContainerDefinitions {
			var spec task.Spec
			if spec, err = a.containerSpec(agent, t, d, def); err != nil {
				return
			}
			containers.specs[*def.Name], containers.definitions[*def.Name] = spec, def
			if logins[*def.Name], err = agent.registryLogin(def.RepositoryCredentials); err != nil {
				return
			}
		}
	})
	if err != nil {
		return taskContainers{}, err
	}
	for name, d := range containers.definitions {
		image, err := s.pullImage(ctx, *d.Image, platform, logins[name])
		if err != nil {
			s.update(func(a tx) { t.setContainer(name, func(d *types.Container) { d.Reason = aws.String(err.Error()) }) })
			return taskContainers{}, err
		}
		containers.images[name] = image
		s.update(func(a tx) {
			t.setContainer(name, func(d *types.Container) { d.ImageDigest = aws.String(image.Digest()) })
		})
	}
	s.update(func(a tx) { t.PullStoppedAt = aws.Time(a.Now()) })
	containers.exited = make(chan string, len(containers.specs))
	return containers, nil
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
func (s *Service) startContainers(ctx context.Context, t *ecsTask, r *runningTask, containers taskContainers) error {
	for _, name := range slices.Sorted(maps.Keys(containers.specs)) {
		container, err := containers.images[name].Start(ctx, containers.specs[name])
		if err != nil {
			s.update(func(a tx) { t.setContainer(name, func(d *types.Container) { d.Reason = aws.String(err.Error()) }) })
			return err
		}
		if s.Faults().Tasks.Crash {
			_ = container.Signal(syscall.SIGKILL) // it may have ended by itself
		}
		s.update(func(a tx) { r.containers[name] = container })
		go func() { <-container.Done(); containers.exited <- name }() // ends with the container, which always is ended
	}
	s.update(func(a tx) {
		t.setStatus(taskRunning)
		t.StartedAt = aws.Time(a.Now())
		if cl := a.state().Clusters[t.Cluster]; cl != nil && cl.insights() {
			// Its name is all that is here of Container Insights:
			// https://github.com/aws/containers-roadmap/issues/2315
			a.needs.Logs.EnsureGroup(a.Tx, "/aws/ecs/containerinsights/"+cl.Name+"/performance")
		}
		for name, d := range containers.definitions {
			t.setContainer(name, func(described *types.Container) {
				described.LastStatus = aws.String(taskRunning)
				if d.HealthCheck == nil {
					described.HealthStatus = types.HealthStatusUnknown
				}
			})
		}
		if s := a.state().Services[t.Service]; s != nil {
			if i := s.deploymentIndex(t.Deployment); i >= 0 {
				s.Deployments[i].Ran = true
			}
		}
		a.registerTask(t, r)
		a.wakeScheduler()
		if t.EnableExecuteCommand {
			a.Go(func(ctx context.Context) { s.startAgent(ctx, t, r) })
		}
	})
	return nil
}

// drainTask deregisters a task from its target groups and waits for the requests in flight,
// if a container can still answer them.
func (s *Service) drainTask(ctx context.Context, t *ecsTask, r *runningTask) {
	var draining []<-chan struct{}
	s.update(func(a tx) {
		if len(t.Targets) == 0 {
			return
		}
		t.setStatus(taskDeactivating)
		for _, target := range t.Targets {
			if gone, ok := a.needs.Groups.Deregister(a.Tx, target.Group, t.Address, target.Port); ok {
				draining = append(draining, gone)
			}
		}
		a.serviceEvent(t.Service, "has begun draining connections on 1 tasks.")
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
func (s *Service) endContainers(ctx context.Context, t *ecsTask, r *runningTask, containers taskContainers) {
	var wait sync.WaitGroup
	for name, container := range r.containers {
		grace := stopTimeout
		if t := containers.definitions[name].StopTimeout; t != nil {
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
	s.update(func(a tx) {
		t.setContainer(name, func(d *types.Container) {
			d.LastStatus, d.ExitCode = aws.String(taskStopped), aws.Int32(code)
			if memory {
				// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
				d.Reason = aws.String("OutOfMemoryError: Container killed due to memory usage")
			}
		})
	})
}
