package ecs

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

type service struct {
	Name    string
	Cluster string // its name
	Status  string
	Created time.Time
	Gone    time.Time `json:",omitzero"` // when it became INACTIVE
	Token   string
	Desired int32

	Rollout       types.DeploymentConfiguration
	Grace         *int32 // seconds in which failing health checks are ignored
	PropagateTags types.PropagateTags
	ManagedTags   bool
	Exec          bool
	Rebalancing   types.AvailabilityZoneRebalancing
	Tags          map[string]string

	// Deployments have the primary one first. They are never changed in place, since
	// Completed is a copy.
	Deployments []deployment
	// Completed is the last one that completed, which a rollback returns to.
	Completed *deployment
	// History has the newest deployment first.
	History []serviceDeployment `json:",omitempty"`
	// Events are the last ones, newest first.
	Events []types.ServiceEvent
	Steady bool

	// Failures counts those in a row. No task is started before NotBefore.
	Failures  int
	NotBefore time.Time `json:",omitzero"`
}

// deployment is a release of a service.
type deployment struct {
	ID         string
	Definition string // its ARN
	Network    types.AwsVpcConfiguration
	Balancers  []types.LoadBalancer
	Platform   string
	// Capacity, if set, replaces the launch type.
	Capacity strategy `json:",omitempty"`
	Created  time.Time
	Updated  time.Time
	Failed   int32 // tasks, since the last one that was healthy
	// Ran reports whether a task was RUNNING once.
	Ran    bool `json:",omitempty"`
	State  types.DeploymentRolloutState
	Reason string
	// Group is the target group of its tasks; "" if the service has only one.
	Group string `json:",omitempty"`
}

// failedTasks is the number of failed tasks in ECS's answer: it counts until one was
// RUNNING. The circuit breaker of a rolling deployment goes on counting, and its count is
// what the local cloud shows there.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html
func (d deployment) failedTasks(shifts bool) int32 {
	if shifts && d.Ran {
		return 0
	}
	return d.Failed
}

// maxEvents is how many events of a service ECS returns.
const maxEvents = 100

func (s *Service) serviceARN(of *service) string { return s.ARN("ecs", "service/"+of.key()) }

func (s *service) key() string { return s.Cluster + "/" + s.Name }

// serviceEvent adds an event to a service; a task without one has no service.
func (a tx) serviceEvent(service, format string, args ...any) {
	s := a.state().Services[service]
	if s == nil {
		return
	}
	e := types.ServiceEvent{Id: aws.String(kernel.UUID()), CreatedAt: aws.Time(a.Now()), Message: aws.String("(service " + s.Name + ") " + fmt.Sprintf(format, args...))}
	s.Events = append([]types.ServiceEvent{e}, s.Events[:min(len(s.Events), maxEvents-1)]...)
}

func (a tx) service(cluster, name *string) (*service, error) {
	cl, err := a.cluster(cluster)
	if err != nil {
		return nil, err
	}
	s := a.state().Services[cl.Name+"/"+lastPart(aws.ToString(name))]
	if s == nil || !a.Visible(a.serviceARN(s)) {
		return nil, kernel.Fail("ServiceNotFoundException", "Service not found.")
	}
	return s, nil
}

// checkBalancers checks a service's load balancers against its definition.
func (a tx) checkBalancers(list []types.LoadBalancer, d *definition) error {
	for _, b := range list {
		users, ok := a.needs.Groups.LoadBalancers(a.Tx, aws.ToString(b.TargetGroupArn))
		if !ok {
			return kernel.Fail("InvalidParameterException", "Unable to assume role and validate the specified targetGroupArn. Please verify that the ECS service role being passed has the proper permissions.")
		}
		if len(users) == 0 {
			return kernel.Fail("InvalidParameterException", "The target group with targetGroupArn %s does not have an associated load balancer.", *b.TargetGroupArn)
		}
		i := slices.IndexFunc(d.ContainerDefinitions, func(c types.ContainerDefinition) bool { return *c.Name == aws.ToString(b.ContainerName) })
		if i < 0 {
			return kernel.Fail("InvalidParameterException", "The container %s does not exist in the task definition.", aws.ToString(b.ContainerName))
		}
		if !slices.ContainsFunc(d.ContainerDefinitions[i].PortMappings, func(m types.PortMapping) bool { return aws.ToInt32(m.ContainerPort) == aws.ToInt32(b.ContainerPort) }) {
			return kernel.Fail("InvalidParameterException", "The container %s did not have a container port %d defined.", aws.ToString(b.ContainerName), aws.ToInt32(b.ContainerPort))
		}
	}
	return nil
}

// rollout checks the deployment configuration of a service, and sets its defaults.
func rollout(in *types.DeploymentConfiguration, have types.DeploymentConfiguration) (types.DeploymentConfiguration, error) {
	if in != nil {
		have.MinimumHealthyPercent = cmp.Or(in.MinimumHealthyPercent, have.MinimumHealthyPercent)
		have.MaximumPercent = cmp.Or(in.MaximumPercent, have.MaximumPercent)
		have.DeploymentCircuitBreaker = mergeBreaker(in.DeploymentCircuitBreaker, have.DeploymentCircuitBreaker)
		have.EarlySuccessCriteria = cmp.Or(in.EarlySuccessCriteria, have.EarlySuccessCriteria)
		have.Alarms = cmp.Or(in.Alarms, have.Alarms)
		if err := checkAlarms(in.Alarms); err != nil {
			return have, err
		}
		if in.LifecycleHooks != nil {
			have.LifecycleHooks = in.LifecycleHooks
		}
		var err error
		if have, err = checkStrategy(in, have); err != nil {
			return have, err
		}
		if err := checkHooks(have); err != nil {
			return have, err
		}
		if err := checkEarlySuccess(have); err != nil {
			return have, err
		}
	}
	low, high := *have.MinimumHealthyPercent, *have.MaximumPercent
	if low < 0 || high < 1 || high > 200 {
		return have, kernel.Fail("InvalidParameterException", "minimumHealthyPercent has to be 0 or more and maximumPercent between 1 and 200.")
	}
	if low >= 100 && high <= 100 {
		return have, kernel.Fail("InvalidParameterException", "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.")
	}
	return have, nil
}

// mergeBreaker is a circuit breaker after an update. What the update omits stays: what AWS
// does with it is on no page.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentCircuitBreaker.html
func mergeBreaker(in, have *types.DeploymentCircuitBreaker) *types.DeploymentCircuitBreaker {
	if in == nil || have == nil {
		return cmp.Or(in, have)
	}
	out := *in
	out.ThresholdConfiguration = cmp.Or(in.ThresholdConfiguration, have.ThresholdConfiguration)
	out.ResetOnHealthyTask = cmp.Or(in.ResetOnHealthyTask, have.ResetOnHealthyTask)
	return &out
}

// checkEarlySuccess checks with which tasks a deployment counts as successful.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentEarlySuccessCriteria.html
func checkEarlySuccess(c types.DeploymentConfiguration) error {
	early := c.EarlySuccessCriteria
	switch {
	case early == nil || !early.Enable:
		return nil
	case shifts(c.Strategy):
		return kernel.Fail("InvalidParameterException", "earlySuccessCriteria is only for the deployment strategy ROLLING.")
	case early.HealthyPercent == nil || early.SourceServiceRevisionCleanup == "":
		return kernel.Fail("InvalidParameterException", "healthyPercent and sourceServiceRevisionCleanup are required if earlySuccessCriteria is enabled.")
	case *early.HealthyPercent < *c.MinimumHealthyPercent || *early.HealthyPercent > 100:
		return kernel.Fail("InvalidParameterException", "healthyPercent has to be between minimumHealthyPercent and 100.")
	}
	return nil
}

func checkExisting(launch types.LaunchType, strategy types.SchedulingStrategy) error {
	if launch != "" && launch != types.LaunchTypeFargate {
		return kernel.Fail("InvalidParameterException", "The local cloud has the launch type FARGATE only, not %s", launch)
	}
	if strategy != "" && strategy != types.SchedulingStrategyReplica {
		return kernel.Fail("InvalidParameterException", "The scheduling strategy DAEMON is not supported with Fargate.")
	}
	return nil
}

// CreateService creates a service, which then starts tasks.
func (a tx) CreateService(in *ecs.CreateServiceInput) (*ecs.CreateServiceOutput, error) {
	cl, err := a.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	name := aws.ToString(in.ServiceName)
	if !namePattern.MatchString(name) {
		return nil, kernel.Fail("InvalidParameterException", "Invalid service name: %s", name)
	}
	if len(aws.ToString(in.ClientToken)) > 36 {
		return nil, kernel.Fail("InvalidParameterException", "clientToken is longer than 36 characters.")
	}
	if existing, err := a.existingService(cl, name, aws.ToString(in.ClientToken)); err != nil {
		return nil, err
	} else if existing != nil {
		described := a.describeService(existing, true)
		return &ecs.CreateServiceOutput{Service: &described}, nil
	}
	first, config, err := a.checkNewService(cl, in)
	if err != nil {
		return nil, err
	}
	s := &service{
		Name: name, Cluster: cl.Name, Status: statusActive, Created: a.Now(), Token: aws.ToString(in.ClientToken), Desired: aws.ToInt32(in.DesiredCount),
		Rollout: config, Grace: in.HealthCheckGracePeriodSeconds, PropagateTags: in.PropagateTags, ManagedTags: in.EnableECSManagedTags,
		Exec: in.EnableExecuteCommand, Rebalancing: cmp.Or(in.AvailabilityZoneRebalancing, types.AvailabilityZoneRebalancingEnabled), Tags: kernel.TagMap(in.Tags, tagPair),
	}
	if err := s.checkRebalancing(); err != nil {
		return nil, err
	}
	if len(in.LoadBalancers) > 0 {
		s.Grace = cmp.Or(s.Grace, aws.Int32(0))
	}
	a.deploy(s, first)
	if a.state().Services == nil {
		a.state().Services = map[string]*service{}
	}
	a.state().Services[s.key()] = s
	a.Created(a.serviceARN(s))
	a.wakeScheduler()
	described := a.describeService(s, true)
	return &ecs.CreateServiceOutput{Service: &described}, nil
}

// existingService returns the service that an earlier call with the token created, or nil if
// the name is free.
func (a tx) existingService(cl *cluster, name, token string) (*service, error) {
	have := a.state().Services[cl.Name+"/"+name]
	if have == nil {
		return nil, nil
	}
	switch {
	// Also of a service that was deleted since: "the retry succeeds without performing any
	// further actions".
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html
	case have.Status != statusDraining && have.Token != "" && have.Token == token:
		return have, nil
	case have.Status == statusActive:
		return nil, kernel.Fail("InvalidParameterException", "Creation of service was not idempotent.")
	case have.Status == statusDraining:
		return nil, kernel.Fail("InvalidParameterException", "Unable to Start a service that is still Draining.")
	}
	return nil, nil
}

// checkNewService checks a new service, and returns its first deployment and its deployment
// configuration.
func (a tx) checkNewService(cl *cluster, in *ecs.CreateServiceInput) (first deployment, config types.DeploymentConfiguration, err error) {
	if err := checkExisting(in.LaunchType, in.SchedulingStrategy); err != nil {
		return first, config, err
	}
	capacity, err := cl.capacityFor(in.LaunchType, in.CapacityProviderStrategy)
	if err != nil {
		return first, config, err
	}
	if !a.needs.Roles.LinkedRoleUsable(a.Tx, "ecs.amazonaws.com") {
		return first, config, kernel.Fail("InvalidParameterException", "Unable to assume the service linked role. Please verify that the ECS service linked role exists.")
	}
	d, err := a.activeDefinition(in.TaskDefinition)
	if err != nil {
		return first, config, err
	}
	if err := a.mayPass(d.ExecutionRoleArn, d.TaskRoleArn); err != nil {
		return first, config, err
	}
	network, err := a.awsvpc(in.NetworkConfiguration)
	if err != nil {
		return first, config, err
	}
	if err := a.checkBalancers(in.LoadBalancers, d); err != nil {
		return first, config, err
	}
	if in.HealthCheckGracePeriodSeconds != nil && len(in.LoadBalancers) == 0 {
		return first, config, kernel.Fail("InvalidParameterException", "Health check grace period is only valid for services configured to use load balancers")
	}
	config, err = rollout(in.DeploymentConfiguration, types.DeploymentConfiguration{
		MinimumHealthyPercent: aws.Int32(100), MaximumPercent: aws.Int32(200), Strategy: types.DeploymentStrategyRolling,
		DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{},
	})
	if err != nil {
		return first, config, err
	}
	if err := a.checkTrafficShift(in.LoadBalancers, shifts(config.Strategy)); err != nil {
		return first, config, err
	}
	if aws.ToInt32(in.DesiredCount) < 0 {
		return first, config, kernel.Fail("InvalidParameterException", "desiredCount has to be 0 or more.")
	}
	first = deployment{Definition: *d.TaskDefinitionArn, Network: *network, Balancers: in.LoadBalancers, Platform: platform(in.PlatformVersion), Capacity: capacity}
	return first, config, nil
}

// checkRebalancing rejects what availability zone rebalancing excludes: it starts a task in
// the other zone before it stops one.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html
func (s *service) checkRebalancing() error {
	if s.Rebalancing == types.AvailabilityZoneRebalancingEnabled && *s.Rollout.MaximumPercent <= 100 {
		return kernel.Fail("InvalidParameterException", "availabilityZoneRebalancing can't be ENABLED when maximumPercent is 100 or less.")
	}
	return nil
}

// deploy makes a new deployment the primary one.
func (a tx) deploy(s *service, d deployment) {
	d.ID = deploymentPrefix + decimals(19)
	d.Created, d.Updated = a.Now(), a.Now()
	a.chooseTargetGroup(s, &d)
	d.State, d.Reason, d.Failed = types.DeploymentRolloutStateInProgress, "ECS deployment "+d.ID+" in progress.", 0
	s.addToHistory(d, a.Now())
	s.Deployments = append([]deployment{d}, s.Deployments...)
	s.Failures, s.NotBefore, s.Steady = 0, time.Time{}, false
}

// UpdateService changes a service. A change of what its tasks are made of begins a new
// deployment.
func (a tx) UpdateService(in *ecs.UpdateServiceInput) (*ecs.UpdateServiceOutput, error) {
	s, err := a.service(in.Cluster, in.Service)
	if err != nil {
		return nil, err
	}
	if s.Status != statusActive {
		return nil, kernel.Fail("ServiceNotActiveException", "Service was not ACTIVE.")
	}
	primary := s.Deployments[0]
	next, err := a.nextDeployment(s, in)
	if err != nil {
		return nil, err
	}
	config, err := rollout(in.DeploymentConfiguration, s.Rollout)
	if err != nil {
		return nil, err
	}
	if err := a.mayChangeStrategy(s, config.Strategy, next.Balancers); err != nil {
		return nil, err
	}
	if in.DesiredCount != nil && *in.DesiredCount < 0 {
		return nil, kernel.Fail("InvalidParameterException", "desiredCount has to be 0 or more.")
	}
	proposed := service{Rollout: config, Rebalancing: cmp.Or(in.AvailabilityZoneRebalancing, s.Rebalancing, types.AvailabilityZoneRebalancingDisabled)}
	if err := proposed.checkRebalancing(); err != nil {
		return nil, err
	}
	if in.CapacityProviderStrategy != nil {
		if err := a.changeStrategy(s, &next, in.CapacityProviderStrategy, in.ForceNewDeployment); err != nil {
			return nil, err
		}
	}
	s.Rebalancing = proposed.Rebalancing
	exec := aws.ToBool(cmp.Or(in.EnableExecuteCommand, &s.Exec))
	s.Rollout, s.Grace, s.Desired = config, cmp.Or(in.HealthCheckGracePeriodSeconds, s.Grace), *cmp.Or(in.DesiredCount, &s.Desired)
	s.PropagateTags, s.ManagedTags = cmp.Or(in.PropagateTags, s.PropagateTags), *cmp.Or(in.EnableECSManagedTags, &s.ManagedTags)
	// Tasks have ECS Exec only from their start, but as on AWS a change of it does not
	// replace them.
	s.Exec = exec
	if in.ForceNewDeployment || next.Definition != primary.Definition || next.Platform != primary.Platform ||
		fmt.Sprint(next.Network) != fmt.Sprint(primary.Network) || !sameBalancers(next.Balancers, primary.Balancers) {
		a.deploy(s, next)
	} else {
		s.Deployments[0] = next // with a launch type again, perhaps
	}
	s.Steady = false
	a.wakeScheduler()
	described := a.describeService(s, true)
	return &ecs.UpdateServiceOutput{Service: &described}, nil
}

// nextDeployment returns the primary deployment of a service with what an update changes.
func (a tx) nextDeployment(s *service, in *ecs.UpdateServiceInput) (next deployment, err error) {
	next = s.Deployments[0]
	d := a.definition(next.Definition)
	if in.TaskDefinition != nil {
		if d, err = a.activeDefinition(in.TaskDefinition); err != nil {
			return next, err
		}
		if err := a.mayPass(d.ExecutionRoleArn, d.TaskRoleArn); err != nil {
			return next, err
		}
		next.Definition = *d.TaskDefinitionArn
	}
	if d == nil {
		return next, kernel.Fail("ClientException", "TaskDefinition not found.")
	}
	if in.NetworkConfiguration != nil {
		network, err := a.awsvpc(in.NetworkConfiguration)
		if err != nil {
			return next, err
		}
		next.Network = *network
	}
	if in.LoadBalancers != nil {
		next.Balancers = in.LoadBalancers
	}
	if err := a.checkBalancers(next.Balancers, d); err != nil {
		return next, err
	}
	if in.PlatformVersion != nil {
		next.Platform = platform(in.PlatformVersion)
	}
	return next, nil
}

// mayChangeStrategy checks a service's load balancing for its strategy. Another strategy is
// accepted when no deployment is in progress, and shifting the traffic only for a service
// whose tasks were deployed with what that needs.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/update-rolling-to-bluegreen.html
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/update-bluegreen-to-rolling.html
func (a tx) mayChangeStrategy(s *service, to types.DeploymentStrategy, balancers []types.LoadBalancer) error {
	if err := a.checkTrafficShift(balancers, shifts(to)); err != nil {
		return err
	}
	switch {
	case shifts(to) == shifts(s.Rollout.Strategy):
	case len(s.History) > 0 && s.History[0].ongoing():
		return kernel.Fail("InvalidParameterException", "The deployment strategy of a service can't be changed to %s while a deployment is in progress.", to)
	case shifts(to) && (s.Completed == nil || s.Completed.Group == ""):
		return kernel.Fail("InvalidParameterException", "The deployment strategy %s needs a completed rolling deployment with advancedConfiguration first.", to)
	}
	return nil
}

func sameBalancers(x, y []types.LoadBalancer) bool {
	return slices.EqualFunc(x, y, func(x, y types.LoadBalancer) bool {
		return sameAdvanced(x.AdvancedConfiguration, y.AdvancedConfiguration) && aws.ToString(x.TargetGroupArn) == aws.ToString(y.TargetGroupArn) && aws.ToString(x.ContainerName) == aws.ToString(y.ContainerName) &&
			aws.ToInt32(x.ContainerPort) == aws.ToInt32(y.ContainerPort)
	})
}

func sameAdvanced(x, y *types.AdvancedConfiguration) bool {
	if x == nil || y == nil {
		return x == y
	}
	return aws.ToString(x.AlternateTargetGroupArn) == aws.ToString(y.AlternateTargetGroupArn) && aws.ToString(x.ProductionListenerRule) == aws.ToString(y.ProductionListenerRule) &&
		aws.ToString(x.RoleArn) == aws.ToString(y.RoleArn) && aws.ToString(x.TestListenerRule) == aws.ToString(y.TestListenerRule)
}

// DeleteService drains a service; one that is not scaled to 0 only with force.
func (a tx) DeleteService(in *ecs.DeleteServiceInput) (*ecs.DeleteServiceOutput, error) {
	s, err := a.service(in.Cluster, in.Service)
	if err != nil {
		return nil, err
	}
	if s.Status == statusInactive {
		return nil, kernel.Fail("ServiceNotActiveException", "Service was not ACTIVE.")
	}
	if !aws.ToBool(in.Force) && s.Desired > 0 {
		return nil, kernel.Fail("InvalidParameterException", "The service cannot be stopped while it is scaled above 0.")
	}
	s.Status, s.Desired = statusDraining, 0
	a.wakeScheduler()
	described := a.describeService(s, true)
	return &ecs.DeleteServiceOutput{Service: &described}, nil
}

// DescribeServices describes services, for a while also deleted ones.
func (a tx) DescribeServices(in *ecs.DescribeServicesInput) (*ecs.DescribeServicesOutput, error) {
	cl, err := a.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	if len(in.Services) == 0 || len(in.Services) > 10 {
		return nil, kernel.Fail("InvalidParameterException", "Services must have between 1 and 10 entries.")
	}
	out := &ecs.DescribeServicesOutput{Services: []types.Service{}, Failures: []types.Failure{}}
	for _, name := range in.Services {
		s := a.state().Services[cl.Name+"/"+lastPart(name)]
		if s == nil || !a.Visible(a.serviceARN(s)) {
			out.Failures = append(out.Failures, types.Failure{Arn: aws.String(a.ARN("ecs", "service/"+cl.Name+"/"+lastPart(name))), Reason: aws.String("MISSING")})
			continue
		}
		out.Services = append(out.Services, a.describeService(s, slices.Contains(in.Include, types.ServiceFieldTags)))
	}
	return out, nil
}

// ListServices lists the services of a cluster that are not deleted.
func (a tx) ListServices(in *ecs.ListServicesInput) (*ecs.ListServicesOutput, error) {
	cl, err := a.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	arns := []string{}
	for _, key := range slices.Sorted(maps.Keys(a.state().Services)) {
		if s := a.state().Services[key]; s.Cluster == cl.Name && s.Status != statusInactive && a.Visible(a.serviceARN(s)) {
			arns = append(arns, a.serviceARN(s))
		}
	}
	out := &ecs.ListServicesOutput{}
	out.ServiceArns, out.NextToken = kernel.PageAfter(arns, in.NextToken, in.MaxResults, 10)
	return out, nil
}

func (a tx) describeService(s *service, tags bool) types.Service {
	primary := s.Deployments[0]
	d := types.Service{
		ServiceArn: aws.String(a.serviceARN(s)), ServiceName: aws.String(s.Name), ClusterArn: aws.String(a.clusterARN(s.Cluster)), Status: aws.String(s.Status),
		CreatedAt: aws.Time(s.Created), CreatedBy: aws.String(a.ARN("iam", "root")), DesiredCount: s.Desired,
		DeploymentConfiguration: &s.Rollout, DeploymentController: &types.DeploymentController{Type: types.DeploymentControllerTypeEcs},
		EnableECSManagedTags: s.ManagedTags, EnableExecuteCommand: s.Exec, HealthCheckGracePeriodSeconds: s.Grace, LaunchType: types.LaunchTypeFargate,
		LoadBalancers: slices.Clone(primary.Balancers), NetworkConfiguration: networkOf(primary), PlatformFamily: aws.String("Linux"),
		PlatformVersion: aws.String(cmp.Or(primary.Platform, "LATEST")), PropagateTags: cmp.Or(s.PropagateTags, types.PropagateTagsNone),
		SchedulingStrategy: types.SchedulingStrategyReplica, AvailabilityZoneRebalancing: cmp.Or(s.Rebalancing, types.AvailabilityZoneRebalancingDisabled), TaskDefinition: aws.String(primary.Definition), Events: slices.Clone(s.Events),
		PlacementConstraints: []types.PlacementConstraint{}, PlacementStrategy: []types.PlacementStrategy{}, ServiceRegistries: []types.ServiceRegistry{},
		RoleArn: aws.String(a.ARN("iam", "role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS")), Tags: []types.Tag{},
	}
	config := s.Rollout
	d.DeploymentConfiguration = &config
	if len(primary.Capacity) > 0 {
		d.CapacityProviderStrategy, d.LaunchType = slices.Clone(primary.Capacity), ""
	}
	if tags {
		d.Tags = kernel.TagList(s.Tags, newTag)
	}
	if s.Status == statusInactive {
		d.Deployments = []types.Deployment{}
		return d
	}
	for i, x := range s.Deployments {
		described := types.Deployment{
			Id: aws.String(x.ID), Status: aws.String(statusActive), TaskDefinition: aws.String(x.Definition), CreatedAt: aws.Time(x.Created), UpdatedAt: aws.Time(x.Updated),
			FailedTasks: x.failedTasks(shifts(s.Rollout.Strategy)), LaunchType: types.LaunchTypeFargate, NetworkConfiguration: networkOf(x), PlatformFamily: aws.String("Linux"),
			PlatformVersion: aws.String(cmp.Or(x.Platform, "1.4.0")), RolloutState: x.State, RolloutStateReason: aws.String(x.Reason),
		}
		if shifts(s.Rollout.Strategy) {
			// It is documented only for rolling deployments:
			// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html
			described.RolloutState, described.RolloutStateReason = "", nil
		}
		if len(x.Capacity) > 0 {
			described.CapacityProviderStrategy, described.LaunchType = slices.Clone(x.Capacity), ""
		}
		if i == 0 {
			described.Status = aws.String(statusPrimary)
			if x.State != types.DeploymentRolloutStateFailed {
				described.DesiredCount = s.Desired
			}
		}
		described.RunningCount, described.PendingCount = a.taskCounts(s, x.ID)
		d.RunningCount += described.RunningCount
		d.PendingCount += described.PendingCount
		d.Deployments = append(d.Deployments, described)
		d.CurrentServiceRevisions = append(d.CurrentServiceRevisions, types.ServiceCurrentRevisionSummary{
			Arn: aws.String(a.revisionARN(s, x.ID)), RequestedTaskCount: described.DesiredCount, RunningTaskCount: described.RunningCount, PendingTaskCount: described.PendingCount,
		})
	}
	if len(s.History) > 0 && s.History[0].ongoing() {
		d.CurrentServiceDeployment = aws.String(a.deploymentARN(s, s.History[0]))
	}
	return d
}

func networkOf(d deployment) *types.NetworkConfiguration {
	n := d.Network
	n.AssignPublicIp = cmp.Or(n.AssignPublicIp, types.AssignPublicIpDisabled)
	return &types.NetworkConfiguration{AwsvpcConfiguration: &n}
}
