package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/pattern"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Service keeps the wanted number of tasks running behind the load balancer. A
// change of release is rolled out without a gap, and rolled back by ECS when it
// does not come up; a run that meets that has failed.
type Service struct {
	graph.NodeOf[*liveService]
	ecsAccess
	cluster    *Cluster
	definition *TaskDefinition
	targets    *TargetGroup
	group      *SecurityGroup
	balancer   *LoadBalancer
	reached    []*SecurityGroup // those whose rules let the load balancer reach the tasks
	roles      []*Role          // those of the tasks
	subnets    []anySubnet
	want       serviceSpec
	inForce    func(context.Context) (bounds, error) // the bounds of scaling; nil outside a stack
	wait       bool                                  // for the rollout to be over
	shift      shifting
	trial      checkTrial
	ownRelease
}

// serviceSpec is what of a service can be wanted.
type serviceSpec struct {
	count  int32
	bounds bounds
	port   int32
	grace  int32 // seconds
	exec   bool
	paused bool // there are to be no tasks
	// spot runs what is beyond base on Fargate Spot.
	spot bool
	base int32
	// deploy is how a release takes the place of the one before, and rollbackAlarms are the
	// alarms that take it back where the traffic is shifted.
	deploy         Strategy
	rollbackAlarms []string
}

// shifting is what ECS needs to shift the traffic of a service from one release to the
// next. Its zero value is for a service that only rolls.
type shifting struct {
	second *TargetGroup
	front  *Listener // that forwards
	role   *Role
}

// lookUp finds the rule that ECS is given.
func (s *shifting) lookUp(ctx context.Context) error {
	if s.second == nil || s.front.ID() == "" || s.front.destroying {
		return nil
	}
	return s.front.learnRule(ctx)
}

// configuration is what ECS is given; nil for a service that only rolls.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/alb-resources-for-blue-green.html
func (s *shifting) configuration() *types.AdvancedConfiguration {
	if s.second == nil {
		return nil
	}
	c := &types.AdvancedConfiguration{AlternateTargetGroupArn: aws.String(s.second.ID()), RoleArn: aws.String(s.role.ID())}
	if rule := s.front.knownRule(); rule != "" {
		c.ProductionListenerRule = &rule
	}
	return c
}

// What is updated when early tasks serve.
const (
	fieldGrace         = "grace-period"
	fieldSecretVersion = "secret-version"
)

// FieldKept is the drift of a service whose image is not marked yet as one that served,
// so that it is not removed. It is marked when a release serves; the next run repairs
// what was cut off here.
const FieldKept = "image-kept"

// fieldFormerTargets is updated when no task serves on another port, or in another subnet, any
// more: until then the load balancer reaches it.
const fieldFormerTargets = "former-targets"

// fieldFormerPermissions is updated when all tasks are of the wanted release: until then the
// roles allow what the one before needs, which may have to start tasks.
const fieldFormerPermissions = "former-permissions"

// rolloutTimeout is how long a rollout may take, in addition to the time in which tasks may fail
// health checks.
const rolloutTimeout = 20 * time.Minute

// gracePeriod is how long the tasks of a service may fail health checks after their start.
func gracePeriod(live *types.Service) time.Duration {
	if startedEarly(live) {
		return 0 // it is not the one that was asked for
	}
	return seconds(live.HealthCheckGracePeriodSeconds)
}

func seconds(n *int32) time.Duration { return time.Duration(aws.ToInt32(n)) * time.Second }

// backTime is how long it may take beyond that to take a release back whose traffic is
// shifted.
const backTime = 5 * time.Minute

// rolloutUnseenTime is how long a rollout that was just accepted may stay unseen.
const rolloutUnseenTime = 15 * time.Second

// serviceNeeds are the resources that a service is created from.
type serviceNeeds struct {
	cluster    *Cluster
	definition *TaskDefinition
	listener   *Listener
	routes     graph.Finder // out of the VPC
	targets    *TargetGroup
	group      *SecurityGroup
	subnets    []anySubnet
	released   []graph.Finder // what it waits for in addition
}

func newService(c ecsAccess, needs serviceNeeds, want serviceSpec, wait bool) *Service {
	// ECS refuses a target group that no load balancer uses, so the listener
	// comes first; without the route a task could not pull its image.
	first := append([]graph.Finder{needs.cluster, needs.definition, needs.listener, needs.routes, needs.targets, needs.group}, needs.released...)
	if early := needs.definition.early; early.allowed {
		first = append(first, early.dependency())
	}
	for _, s := range needs.subnets {
		first = append(first, s)
	}
	s := &Service{
		ecsAccess: c, cluster: needs.cluster, definition: needs.definition, targets: needs.targets, group: needs.group, subnets: needs.subnets,
		want: want, wait: wait,
	}
	s.NodeOf = graph.Of(s, "service", rolloutTimeout+seconds(&want.grace)+want.deploy.Takes()+needs.targets.longDrain(), first...)
	return s
}

// service is the stack's service as far as it takes to look at it, outside a graph.
func (c ecsAccess) service() *Service {
	return &Service{ecsAccess: c, cluster: &Cluster{ecsAccess: c}}
}

func (s *Service) serviceName() string { return s.names().Service() }

// Expect returns the usual time of a first rollout: pull, start, health checks; or
// of the database and the checks, where that is made meanwhile.
func (s *Service) Expect() time.Duration {
	if s.definition != nil && s.definition.early.await() {
		return s.definition.database.Expect() + 15*time.Second
	}
	if live := s.lastService(); live != nil && startedEarly(live) {
		return 25 * time.Second // they run, and only have to be found healthy
	}
	if len(s.trial.before) > 0 {
		return 6 * time.Second // a load balancer finds a task unhealthy soon
	}
	return 75 * time.Second
}

// ExpectDeleted returns the usual time until its tasks are drained and have stopped.
func (s *Service) ExpectDeleted() time.Duration { return 20 * time.Second }

// Longer implements graph.Longer: a release that is going on already may have a strategy
// that takes longer than the wanted one.
func (s *Service) Longer() time.Duration {
	if live := s.Last(); live != nil {
		return live.extraTime
	}
	return 0
}

// lastService is the service as it was last read, or nil.
func (s *Service) lastService() *types.Service {
	if live := s.Last(); live != nil {
		return live.service
	}
	return nil
}

// ours reports whether the service that was last read is the stack's.
func (s *Service) ours() bool {
	live := s.Last()
	return live != nil && live.tags[TagStack] == s.stack
}

// Read looks the service up by its name in the cluster.
func (s *Service) Read(ctx context.Context) (*liveService, graph.State, error) {
	live, err := s.describe(ctx)
	if live == nil || err != nil {
		return nil, absent, err
	}
	tags := fromECSTags(live.Tags)
	ours := tags[TagStack] == s.stack
	have := asLiveService(live, tags)
	st := graph.State{ID: aws.ToString(live.ServiceArn), Owner: tags[TagStack]}
	if aws.ToString(live.Status) == serviceDraining {
		readDraining(live, &st)
		return have, st, nil
	}
	if err := s.shift.lookUp(ctx); err != nil {
		return nil, graph.State{}, err
	}
	live, failedTasks, err := s.readRollout(ctx, live, have, &st)
	if err != nil {
		return nil, graph.State{}, err
	}
	if have.early.begun && st.Phase != graph.Unrecoverable {
		if err := s.readEarlyTasks(ctx, live, have, &st); err != nil {
			return nil, graph.State{}, err
		}
	}
	if err := s.compareSecretVersion(ctx, have); err != nil {
		return nil, graph.State{}, err
	}
	if st.Phase != graph.Ready && failures(live)+failedTasks > 0 && ours {
		st.Note = strings.TrimSuffix(st.Note, ".") + s.evidence(ctx)
	}
	have.check = s.checkSet(live)
	if s.trial.failed != "" {
		st = s.checkGivenBack(st)
	}
	if st.Phase == graph.Unrecoverable {
		if err := s.readGivenUp(ctx, live, have, st.Note); err != nil {
			return nil, graph.State{}, err
		}
		return have, st, nil
	}
	have.renewed = s.passwordRenewed && st.Phase == graph.Ready
	deployed := st.Phase == graph.Ready && completed(live) == s.definition.ID() && (have.strategy.Shifts() || runningBefore(live) == 0)
	have.imageKept = s.definition.image.kept() || !deployed || have.early.awaits
	if deployed {
		s.noteFormer(have)
	}
	if err := s.readBounds(ctx, live, have); err != nil {
		return nil, graph.State{}, err
	}
	if err := s.readHealth(ctx, live, have, &st); err != nil {
		return nil, graph.State{}, err
	}
	s.noteRecords(live, have, st.Phase)
	return have, st, nil
}

// readDraining notes how far a service is that is being deleted.
func readDraining(live *types.Service, st *graph.State) {
	st.Phase, st.Note = graph.Terminating, "draining"
	if live.RunningCount > 0 {
		st.Note = plural(live.RunningCount, "task") + " still running"
	}
}

// readRollout notes how far the rollout is, and returns how many tasks of the release have failed.
// The service that it returns has the state of the rollout as ECS's record has it.
func (s *Service) readRollout(ctx context.Context, live *types.Service, have *liveService, st *graph.State) (_ *types.Service, failedTasks int32, err error) {
	if last := s.Last(); last != nil {
		have.extraTime = last.extraTime
	}
	record, err := s.record(ctx, live)
	if err != nil {
		return nil, 0, err
	}
	if record == nil || s.wasTakenBackAlready(record) {
		st.Phase, st.Note, have.failedRollout = s.progress(live)
		if s.hooked = s.hooked || have.unmanaged[fieldHooks] != ""; s.hooked && s.wait && st.Phase == graph.Pending {
			held, err := s.held(ctx, live)
			if err != nil {
				return nil, 0, err
			}
			if held != nil {
				st.Note += ", held by " + held.String()
			}
		}
		return live, 0, nil
	}
	have.extraTime = max(0, strategyOf(record.DeploymentConfiguration).Takes()+backTime-s.want.deploy.Takes())
	if failedTasks, err = s.countFailedTasks(ctx, live, record); err != nil {
		return nil, 0, err
	}
	st.Phase, st.Note, have.takeBackBecause = s.shiftProgress(live, record, failedTasks, s.targets.longDrain())
	if st.Phase == graph.Ready { // the service was read before its record
		live = rolledOut(live, record)
		have.deploying, have.hadRelease = deploying(live), hasServed(live)
	}
	return live, failedTasks, nil
}

// readEarlyTasks notes how far early tasks are.
func (s *Service) readEarlyTasks(ctx context.Context, live *types.Service, have *liveService, st *graph.State) error {
	health := func(ctx context.Context) ([]diagnosis.Target, error) {
		var err error
		have.health, err = s.health(ctx)
		return have.health, err
	}
	var err error
	if have.early, err = s.definition.early.read(ctx, live, have.secretVersion, health); err != nil {
		return err
	}
	if have.early.awaits {
		st.Phase = graph.Pending
	}
	if have.early.note != "" {
		st.Note = have.early.note
	}
	return nil
}

// compareSecretVersion notes whether tasks that were started with another version of the secret
// have the current password.
func (s *Service) compareSecretVersion(ctx context.Context, have *liveService) (err error) {
	have.samePassword = have.early.samePassword
	version := s.definition.database.secretVersion()
	if have.early.begun || have.secretVersion == version || s.passwordRenewed {
		return nil
	}
	have.samePassword, err = s.definition.database.samePassword(ctx, have.secretVersion, version)
	return err
}

// readGivenUp notes that the rollout failed, and whether it is the check of this run that the tasks
// fail.
func (s *Service) readGivenUp(ctx context.Context, live *types.Service, have *liveService, note string) error {
	have.rolloutFailed = true
	if aws.ToString(live.TaskDefinition) == s.definition.ID() {
		return nil
	}
	if err := s.findCheckBefore(ctx, live); err != nil {
		return err
	}
	if len(s.trial.before) > 0 {
		have.failedCheck = note
	}
	return nil
}

// noteFormer notes, for a release that is deployed, what is still allowed for the one before.
func (s *Service) noteFormer(have *liveService) {
	have.formerTargets = len(s.balancer.formerLast()) > 0 || slices.ContainsFunc(s.reached, func(g *SecurityGroup) bool {
		return len(g.formerLast()) > 0
	})
	have.formerPermissions = slices.ContainsFunc(s.roles, func(r *Role) bool {
		return !r.lastFormer().none()
	})
}

// readBounds notes the bounds of scaling that are in force: a schedule may have set others than
// the wanted ones.
func (s *Service) readBounds(ctx context.Context, live *types.Service, have *liveService) (err error) {
	have.inForce = s.want.bounds
	if have.inForce.max == 0 || have.inForce.include(live.DesiredCount) || s.inForce == nil {
		return nil
	}
	if have.inForce, err = s.inForce(ctx); err != nil {
		return fmt.Errorf("look for the bounds of service %s: %w", s.serviceName(), err)
	}
	return nil
}

// readHealth waits for a healthy target, and then for the end of a trial of the health check.
func (s *Service) readHealth(ctx context.Context, live *types.Service, have *liveService, st *graph.State) (err error) {
	if st.Phase == graph.Ready && s.wait && have.tags[TagStack] == s.stack && completed(live) != "" && live.DesiredCount > 0 {
		if have.health == nil {
			if have.health, err = s.health(ctx); err != nil {
				return err
			}
		}
		s.awaitHealthy(have.health, st)
	}
	var watched bool
	if have.failedCheck, watched = s.watchTrial(have.health); watched {
		st.Phase, st.Note = graph.Pending, st.Note+", to see whether they stay healthy by "+have.check.String()
	}
	return nil
}

// noteRecords notes whether the service is ready, and how what it records on other resources
// differs.
func (s *Service) noteRecords(live *types.Service, have *liveService, phase graph.Phase) {
	have.ready = phase == graph.Ready
	ours := have.tags[TagStack] == s.stack
	if ours && !s.settingsCopied {
		have.settingsCopyDrift = s.cluster.copyDrift(copyByService)
	}
	if ours && s.trial.since.IsZero() {
		have.checkRecordDrift = s.definition.checkRecord()
	}
	if have.ready && completed(live) == s.definition.ID() && have.checkRecordDrift == nil {
		s.trial.before = nil // it is deployed
	}
}

// describe returns the service, or nil when there is none. An INACTIVE one is
// what ECS remembers of a deleted one.
func (s *Service) describe(ctx context.Context) (*types.Service, error) {
	live, err := s.observed().service.readOnce(ctx, s.lookup)
	if live != nil && aws.ToString(live.Status) == serviceInactive {
		return nil, err
	}
	return live, err
}

// serviceInactive is the status of a service that was deleted, for as long as ECS knows it.
const serviceInactive = "INACTIVE"

// serviceDraining is the status of a service that is being deleted and still has tasks.
const serviceDraining = "DRAINING"

func (s *Service) lookup(ctx context.Context) (*types.Service, error) {
	out, err := s.ecs.DescribeServices(ctx, &ecs.DescribeServicesInput{
		Cluster: aws.String(s.cluster.clusterName()), Services: []string{s.serviceName()}, Include: []types.ServiceField{types.ServiceFieldTags},
	})
	if IsCode(err, "ClusterNotFoundException") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe service %s: %w", s.serviceName(), err)
	}
	if len(out.Services) == 0 {
		return nil, nil
	}
	live := &out.Services[0]
	if aws.ToString(live.Status) == serviceInactive {
		return live, nil
	}
	if newestDeployment(live) == nil || !strategyOf(live.DeploymentConfiguration).Shifts() {
		return live, nil
	}
	record, err := s.newestServiceDeployment(ctx, live)
	if err != nil {
		return nil, err
	}
	return rolledOut(live, record), nil
}

var (
	eventService = pattern.New(`^\(service [^)]*\) `)
	eventARN     = pattern.New(`arn:aws[a-z-]*:elasticloadbalancing:[^ )]*:(?:targetgroup|loadbalancer)/([^/ )]+)[^ )]*`)
)

// hasServed reports whether there was a release, so that alarms can judge the next one.
func hasServed(live *types.Service) bool {
	c := live.DeploymentConfiguration
	return completed(live) != "" || c != nil && c.Alarms != nil && c.Alarms.Enable
}

// The capacity providers of Fargate.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-capacity-providers.html
const (
	onDemand = "FARGATE"
	onSpot   = "FARGATE_SPOT"
)

// What a service can have that bookctl never gives it, and that decides where its
// tasks run, how they are replaced and who reaches them.
const (
	fieldPlatform   = "platform-version"
	fieldController = "deployment-controller"
	fieldStrategy   = "deployment-strategy"
	fieldAlarms     = "deployment-alarms"
	fieldHooks      = "lifecycle-hooks"
	fieldRegistries = "service-registries"
	fieldConnect    = "service-connect"
	fieldLattice    = "vpc-lattice"
	// fieldEarlySuccess ends a rollout while tasks of the release before still serve.
	fieldEarlySuccess = "early-success"
)

// fieldFailing is the drift of a release whose tasks fail while the traffic is shifted,
// where no circuit breaker ends it.
const fieldFailing = "failing-tasks"

// Wanted implements graph.Shape.
func (s *Service) Wanted(live *liveService) *liveService {
	n := s.network().AwsvpcConfiguration
	w := &liveService{
		tags: s.tags(s.Name()), definition: s.definition.ID(), launch: string(types.LaunchTypeFargate),
		desired: s.want.count, bounds: s.want.bounds, recordedCount: strconv.Itoa(int(s.want.count)),
		subnets: n.Subnets, groups: n.SecurityGroups, publicAddress: string(n.AssignPublicIp),
		targets: describeTargets(s.balancers()), propagateTags: string(types.PropagateTagsService), exec: s.want.exec, capacity: describeCapacity(s.want.strategy()),
		secretVersion: s.definition.database.secretVersion(), imageKept: true, unmanaged: map[string]string{},
	}
	w.check = s.targets.want.spec()
	w.strategy = s.strategyNow(live, w.targets)
	c := s.rolloutConfiguration(w.strategy, live.hadRelease)
	w.rollout = describeRollout(c, &s.want.grace, true)
	if live.deploying && live.strategy == allAtOnce() {
		if on := live.unmanaged[fieldAlarms]; on != "" {
			w.unmanaged[fieldAlarms] = on
		}
	} else if c.Alarms != nil {
		w.unmanaged[fieldAlarms] = describeAlarms(c.Alarms)
	}
	withoutDefaults(live.tags, w.tags)
	if s.want.paused {
		w.desired, w.paused = 0, live.paused
		return w
	}
	w.desired = wantedCount(*live, *w)
	return w
}

// AdjustPhase implements graph.PhaseAdjuster: a rollout on its way can be changed, and need not end
// first.
func (s *Service) AdjustPhase(live *liveService, st graph.State) graph.State {
	switch {
	case live.failedCheck != "":
		st.Drift = slices.DeleteFunc(st.Drift, func(c graph.Change) bool { return c.Field != fieldCheck })
		st.Phase = graph.Ready
	case live.rolloutFailed:
		st.Drift = nil
	case len(st.Drift) > 0:
		s.unhealthySince = time.Time{}
		st.Phase = graph.Ready
	}
	return st
}

func (s *Service) network() *types.NetworkConfiguration { return taskNetwork(s.group, s.subnets) }

// taskNetwork is where the stack's tasks run.
func taskNetwork(group *SecurityGroup, subnets []anySubnet) *types.NetworkConfiguration {
	c := &types.AwsVpcConfiguration{AssignPublicIp: types.AssignPublicIpEnabled, SecurityGroups: []string{group.ID()}}
	for _, n := range subnets {
		c.Subnets = append(c.Subnets, n.ID())
	}
	return &types.NetworkConfiguration{AwsvpcConfiguration: c}
}

func (s *Service) balancers() []types.LoadBalancer {
	return []types.LoadBalancer{{
		TargetGroupArn: aws.String(s.targets.ID()), ContainerName: aws.String(containerName), ContainerPort: &s.want.port,
		AdvancedConfiguration: s.shift.configuration(),
	}}
}

// Create creates the service. The client token follows from what is asked for, so
// that a run that was killed before it had the answer asks for the same again, and from
// when a service that was deleted was created: ECS would answer with that one.
func (s *Service) Create(ctx context.Context) (string, error) {
	if err := s.shift.lookUp(ctx); err != nil {
		return "", err
	}
	in := &ecs.CreateServiceInput{
		Cluster: aws.String(s.cluster.clusterName()), ServiceName: aws.String(s.serviceName()),
		TaskDefinition: aws.String(s.definition.ID()), DesiredCount: &s.want.count, LaunchType: types.LaunchTypeFargate,
		NetworkConfiguration: s.network(), LoadBalancers: s.balancers(),
		DeploymentController:    &types.DeploymentController{Type: types.DeploymentControllerTypeEcs},
		DeploymentConfiguration: s.rolloutConfiguration(s.want.deploy, false), HealthCheckGracePeriodSeconds: &s.want.grace,
		PropagateTags: types.PropagateTagsService, EnableECSManagedTags: true, EnableExecuteCommand: s.want.exec,
		Tags: toECSTags(s.newTags(s.Name(), byScaling)),
	}
	if s.want.spot {
		in.LaunchType, in.CapacityProviderStrategy = "", s.want.strategy()
	}
	if s.definition.early.await() {
		in.HealthCheckGracePeriodSeconds = aws.Int32(earlyGrace)
	}
	if v := s.definition.database.secretVersion(); v != "" {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(TagSecretVersion), Value: &v})
	}
	text, err := json.Marshal(in) //nolint:gosec // the token is made of it and not in it yet
	if err != nil {
		return "", fmt.Errorf("encode service %s: %w", s.serviceName(), err)
	}
	if former := s.observed().service.observedValue(); former != nil {
		text = append(text, aws.ToTime(former.CreatedAt).UTC().Format(time.RFC3339Nano)...)
	}
	sum := sha256.Sum256(text)
	in.ClientToken = aws.String(hex.EncodeToString(sum[:16])) // 36 characters at most
	out, err := s.ecs.CreateService(ctx, in)
	if err != nil {
		return "", fmt.Errorf("create service %s: %w", s.serviceName(), err)
	}
	s.begun, s.released = true, true
	s.followRollout(out.Service)
	if err := s.cluster.record(ctx, copyByService); err == nil { // else it is drift
		s.settingsCopied = true
	}
	if live := out.Service; s.wait && s.want.count > 0 {
		// Its tasks have yet to start.
		have := asLiveService(live, fromECSTags(in.Tags))
		have.early.awaits = have.early.begun
		s.Answer(have, graph.State{Phase: graph.Pending, Owner: s.stack, Note: fmt.Sprintf("%d/%d running", live.RunningCount, live.DesiredCount)})
	}
	return aws.ToString(out.Service.ServiceArn), nil
}

// Delete deletes the service with its tasks. Forced, the call needs no scaling
// to zero before: it stops the tasks itself, which the engine waits for.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteService.html
func (s *Service) Delete(ctx context.Context) error {
	_, err := s.ecs.DeleteService(ctx, &ecs.DeleteServiceInput{
		Cluster: aws.String(s.cluster.clusterName()), Service: aws.String(s.serviceName()), Force: aws.Bool(true),
	})
	if err != nil && !IsCode(err, "ServiceNotFoundException", "ClusterNotFoundException") {
		return fmt.Errorf("delete service %s: %w", s.serviceName(), err)
	}
	return nil
}
