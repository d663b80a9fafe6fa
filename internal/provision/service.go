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
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/pattern"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Service keeps the wanted number of tasks running behind the load balancer. A
// change of release is rolled out without a gap, and rolled back by ECS when it
// does not come up; a run that meets that has failed.
type Service struct {
	graph.NodeOf[*liveService]
	containers
	cluster    *Cluster
	definition *TaskDefinition
	targets    *TargetGroup
	group      *SecurityGroup
	balancer   *LoadBalancer
	reached    []*SecurityGroup // those whose rules let the load balancer reach the tasks
	roles      []*Role          // those of the tasks
	subnets    []subnetwork
	want       serviceSpec
	inForce    func(context.Context) (bounds, error) // the bounds of scaling; nil outside a stack
	wait       bool                                  // for the rollout to be over
	shift      shifting
	trial      trial
	ownRelease
}

// ownRelease is what this run knows of the release that it waits for, and has done for it.
type ownRelease struct {
	deployment string    // id of the rollout that this run started or joined
	sent       time.Time // when it was started
	watched    string    // ARN of ECS's record of it, where the traffic is shifted
	before     string    // ARN of the record that was the current one before
	left       string    // id of the rollout before the one that this run began
	because    string    // why this run takes the release back
	takenBack  string    // why another one did, or an alarm
	begun      bool      // the release was begun by this run, and not found on its way
	released   bool      // this run has begun a release, whatever it has changed since
	found      string    // ARN of the record that was looked at first where this run has begun none
	wasBack    bool      // that release was being taken back by then
	copied     bool      // the copy of its settings is written
	renewed    bool      // tasks were started that know the password
	// unhealthySince is when a look first found no healthy target; zero for never.
	unhealthySince time.Time
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
	// deploy is how a release takes the place of the one before, and judges are the
	// alarms that take it back where the traffic is shifted.
	deploy Strategy
	judges []string
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

// rolloutTimeout is how long a rollout may take, besides the time in which tasks may fail
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

// settleTime is how long a rollout that was just accepted may stay unseen.
const settleTime = 15 * time.Second

func newService(c containers, cluster *Cluster, definition *TaskDefinition, listener *Listener, out graph.Finder, targets *TargetGroup, group *SecurityGroup, released []graph.Finder, want serviceSpec, wait bool, subnets ...subnetwork) *Service {
	// ECS refuses a target group that no load balancer uses, so the listener
	// comes first; without the route a task could not pull its image.
	needs := append([]graph.Finder{cluster, definition, listener, out, targets, group}, released...)
	if definition.early.allowed {
		needs = append(needs, definition.early.dependency())
	}
	for _, s := range subnets {
		needs = append(needs, s)
	}
	s := &Service{
		containers: c, cluster: cluster, definition: definition, targets: targets, group: group, subnets: subnets, want: want, wait: wait,
	}
	s.NodeOf = graph.Of(s, "service", rolloutTimeout+seconds(&want.grace)+want.deploy.Takes()+targets.longDrain(), needs...)
	return s
}

// service is the stack's service as far as it takes to look at it, outside a graph.
func (c containers) service() *Service {
	return &Service{containers: c, cluster: &Cluster{containers: c}}
}

func (s *Service) serviceName() string { return s.names().Service() }

// Expect returns the usual time of a first rollout: pull, start, health checks; or
// of the database and the checks, where that is made meanwhile.
func (s *Service) Expect() time.Duration {
	if s.definition != nil && s.definition.early.await() {
		return s.definition.database.Expect() + 15*time.Second
	}
	if live := s.lastSeen(); live != nil && startedEarly(live) {
		return 25 * time.Second // they run, and only have to be found healthy
	}
	if len(s.trial.before) > 0 {
		return 6 * time.Second // a load balancer finds a task unhealthy soon
	}
	return 75 * time.Second
}

// ExpectDeleted returns the usual time until its tasks are drained and have stopped.
func (s *Service) ExpectDeleted() time.Duration { return 20 * time.Second }

// liveService is a service as far as it is compared and used.
type liveService struct {
	service       *types.Service
	health        []diagnosis.Target // of its targets, where that was looked at
	gaveUp        bool               // the rollout that this run waited for failed, so that nothing is compared
	paused        string             // since when the stack is; "" for one that is not
	copy          []graph.Change     // how the copy of its settings differs
	tags          map[string]string
	definition    string
	launch        string
	desired       int32
	subnets       []string
	groups        []string
	publicAddress string
	targets       string // target groups, with containers and ports
	propagate     string
	exec          bool
	rollout       map[string]string // how rollouts go; nil where the answer does not say
	capacity      string            // the capacity provider strategy, "" for the launch type
	strategy      Strategy
	deploying     bool              // a deployment is going on
	longer        time.Duration     // how much longer than the wanted strategy that takes
	judged        bool              // there was a release, so that alarms can judge the next one
	failing       string            // why the release that this run waits for is to be taken back
	unmanaged     map[string]string // what somebody else has set, and bookctl never does
	failedRollout string            // why the rollout of exactly this failed before this run
	recordedCount string
	secretVersion string // of the secret, that the tasks were started with
	renewed       bool   // by this run, and they serve
	bounds        bounds
	inForce       bounds // the wanted ones, or those that a schedule has set
	samePassword  bool   // of another version of the secret, which is the current one
	early         earlyState
	kept          bool // its image is marked as one that served, or need not be
	ready         bool // nothing is waited for, whatever is still to be set
	former        bool // all tasks have the wanted port and subnets, and others can still be reached
	formerRoles   bool // all tasks are of the wanted release, and the roles allow more than it needs
	check         checkSpec
	record        []graph.Change // how the record of the check differs
	sick          string         // why the check that this run set is to be given back
}

// Longer implements graph.Longer: a release that is going on already may have a strategy
// that takes longer than the wanted one.
func (s *Service) Longer() time.Duration {
	if live := s.Last(); live != nil {
		return live.longer
	}
	return 0
}

// lastSeen is the service as it was last read, or nil.
func (s *Service) lastSeen() *types.Service {
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
	tags := ecsTagMap(live.Tags)
	ours := tags[TagStack] == s.stack
	have := asLiveService(live, tags)
	st := graph.State{ID: aws.ToString(live.ServiceArn), Owner: tags[TagStack]}
	if aws.ToString(live.Status) == serviceDraining {
		st.Phase, st.Note = graph.Terminating, "draining"
		if live.RunningCount > 0 {
			st.Note = plural(live.RunningCount, "task") + " still running"
		}
		return have, st, nil
	}
	if err := s.shift.lookUp(ctx); err != nil {
		return nil, graph.State{}, err
	}
	if last := s.Last(); last != nil {
		have.longer = last.longer
	}
	var died int32
	if record, err := s.record(ctx, live); err != nil {
		return nil, graph.State{}, err
	} else if record != nil && !s.takenBackBefore(record) {
		have.longer = max(0, strategyOf(record.DeploymentConfiguration).Takes()+backTime-s.want.deploy.Takes())
		if died, err = s.dying(ctx, live, record); err != nil {
			return nil, graph.State{}, err
		}
		st.Phase, st.Note, have.failing = s.shiftProgress(live, record, died)
		if st.Phase == graph.Ready { // the service was read before its record
			live = rolledOut(live, record)
			have.deploying, have.judged = deploying(live), hasServed(live)
		}
	} else {
		st.Phase, st.Note, have.failedRollout = s.progress(live)
	}
	if have.early.begun && st.Phase != graph.Unrecoverable {
		health := func(ctx context.Context) ([]diagnosis.Target, error) {
			var err error
			have.health, err = s.health(ctx)
			return have.health, err
		}
		if have.early, err = s.definition.early.read(ctx, live, have.secretVersion, health); err != nil {
			return nil, graph.State{}, err
		}
		if have.early.awaits {
			st.Phase = graph.Pending
		}
		if have.early.note != "" {
			st.Note = have.early.note
		}
	}
	have.samePassword = have.early.samePassword
	if version := s.definition.database.secretVersion(); !have.early.begun && have.secretVersion != version && !s.renewed {
		if have.samePassword, err = s.definition.database.samePassword(ctx, have.secretVersion, version); err != nil {
			return nil, graph.State{}, err
		}
	}
	if st.Phase != graph.Ready && failures(live)+died > 0 && ours {
		st.Note = strings.TrimSuffix(st.Note, ".") + s.evidence(ctx)
	}
	have.check = s.checkSet(live)
	if s.trial.failed != "" {
		st = s.checkGivenBack(st)
	}
	if st.Phase == graph.Unrecoverable {
		have.gaveUp = true
		if aws.ToString(live.TaskDefinition) == s.definition.ID() {
			return have, st, nil
		}
		if err := s.findCheckBefore(ctx, live); err != nil {
			return nil, graph.State{}, err
		}
		if len(s.trial.before) > 0 {
			have.sick = st.Note
		}
		return have, st, nil
	}
	have.renewed = s.renewed && st.Phase == graph.Ready
	have.kept = s.definition.image.kept() || st.Phase != graph.Ready || have.early.awaits || completed(live) != s.definition.ID()
	have.former = st.Phase == graph.Ready && completed(live) == s.definition.ID() && (len(s.balancer.formerLast()) > 0 || slices.ContainsFunc(s.reached, func(g *SecurityGroup) bool {
		return len(g.formerLast()) > 0
	}))
	have.formerRoles = st.Phase == graph.Ready && completed(live) == s.definition.ID() && slices.ContainsFunc(s.roles, func(r *Role) bool {
		return !r.formerLast().none()
	})
	have.inForce = s.want.bounds
	if have.inForce.max != 0 && !have.inForce.include(live.DesiredCount) && s.inForce != nil {
		if have.inForce, err = s.inForce(ctx); err != nil {
			return nil, graph.State{}, fmt.Errorf("look for the bounds of service %s: %w", s.serviceName(), err)
		}
	}
	if st.Phase == graph.Ready && s.wait && ours && completed(live) != "" && live.DesiredCount > 0 {
		if have.health == nil {
			if have.health, err = s.health(ctx); err != nil {
				return nil, graph.State{}, err
			}
		}
		s.awaitHealthy(have.health, &st)
	}
	var watched bool
	if have.sick, watched = s.try(have.health); watched {
		st.Phase, st.Note = graph.Pending, st.Note+", to see whether they stay healthy by "+have.check.String()
	}
	have.ready = st.Phase == graph.Ready
	if ours && !s.copied {
		have.copy = s.cluster.copyDrift(copyByService)
	}
	if ours && s.trial.since.IsZero() {
		have.record = s.definition.checkRecord()
	}
	if have.ready && completed(live) == s.definition.ID() && have.record == nil {
		s.trial.before = nil // it is deployed
	}
	return have, st, nil
}

// unhealthyTimeout is how long a service that ECS calls complete may have no healthy
// target after the time in which tasks may fail health checks, before a run gives it up:
// time for a task that ECS replaces to be pulled, started and checked.
const unhealthyTimeout = 5 * time.Minute

// awaitHealthy holds a service back that ECS calls complete while the load balancer
// finds none of its tasks healthy: it does not serve, whatever its rollout says.
func (s *Service) awaitHealthy(targets []diagnosis.Target, st *graph.State) {
	why, begins := "no target is registered", len(targets) > 0
	for _, t := range targets {
		switch t.Health {
		case string(elbtypes.TargetHealthStateEnumHealthy), string(elbtypes.TargetHealthStateEnumUnavailable):
			s.unhealthySince = time.Time{}
			return
		}
		begins = begins && t.Health == string(elbtypes.TargetHealthStateEnumInitial)
		why = strings.TrimSuffix("target "+t.Address+" is "+t.Health+": "+t.Description, ": ")
	}
	now := time.Now()
	if s.unhealthySince.IsZero() {
		s.unhealthySince = now
	}
	found := ", and none is healthy: "
	switch {
	case now.Sub(s.unhealthySince) > unhealthyTimeout+seconds(&s.want.grace):
		st.Phase = graph.Unrecoverable
	case begins:
		st.Phase, found = graph.Pending, ", to be found healthy: "
	default:
		st.Phase = graph.Pending
	}
	st.Note += found + why
}

// describe returns the service, or nil when there is none. An INACTIVE one is
// what ECS remembers of a deleted one.
func (s *Service) describe(ctx context.Context) (*types.Service, error) {
	live, err := s.observed().service.get(ctx, s.lookup)
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
	if isCode(err, "ClusterNotFoundException") {
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

// progress returns how far the rollout is. It is over when the deployment that
// this run started, or found on its way with the wanted definition, is the one
// that serves: ECS's own rollback puts another in its place, and a run that
// took that for success would report the old release as the new one.
// failed describes a rollout of the wanted definition that failed before.
func (s *Service) progress(live *types.Service) (phase graph.Phase, note, failed string) {
	primary := newestDeployment(live)
	note = fmt.Sprintf("%d/%d running", live.RunningCount, live.DesiredCount)
	if !s.wait || primary == nil {
		return graph.Ready, note, ""
	}
	if reason := aws.ToString(primary.RolloutStateReason); primary.RolloutState != types.DeploymentRolloutStateCompleted && reason != "" && !inProgress.MatchString(reason) {
		note += ", " + lowerFirst(reason)
	}
	if e := lastEvent(live); e != "" && primary.RolloutState == types.DeploymentRolloutStateInProgress {
		note += ", last event: " + strings.TrimSuffix(e, ".")
	}
	id := aws.ToString(primary.Id)
	if s.deployment != "" && s.deployment != id {
		own := deployment(live, func(d types.Deployment) bool { return aws.ToString(d.Id) == s.deployment })
		switch {
		case own != nil && own.RolloutState == types.DeploymentRolloutStateFailed:
			return graph.Unrecoverable, "rolled back to " + short(aws.ToString(primary.TaskDefinition)) + ": " + aws.ToString(own.RolloutStateReason), ""
		case own != nil || time.Since(s.sent) > settleTime:
			return graph.Unrecoverable, "deployment " + s.deployment + " was replaced by " + id + " of " + short(aws.ToString(primary.TaskDefinition)), ""
		}
		return graph.Pending, note, "" // not visible yet
	}
	if aws.ToString(primary.TaskDefinition) != s.definition.ID() {
		return graph.Pending, note, "" // to be changed, or just changed
	}
	if s.unseen(live) {
		return graph.Pending, note, ""
	}
	switch primary.RolloutState {
	case types.DeploymentRolloutStateFailed:
		reason := aws.ToString(primary.RolloutStateReason)
		if s.deployment == "" {
			return graph.Ready, note, reason
		}
		return graph.Unrecoverable, reason, ""
	case types.DeploymentRolloutStateCompleted:
		s.deployment = id
		if live.RunningCount >= live.DesiredCount {
			return graph.Ready, note, ""
		}
		return graph.Pending, note, ""
	}
	s.deployment = id
	s.watch(live)
	return graph.Pending, note, ""
}

// health is what the load balancer thinks of the tasks, in whichever group they are.
func (s *Service) health(ctx context.Context) ([]diagnosis.Target, error) {
	out, err := s.targets.health(ctx)
	if err != nil || s.shift.second == nil {
		return out, err
	}
	second, err := s.shift.second.health(ctx)
	return append(out, second...), err
}

// inProgress is the reason of a rollout that has none yet.
var inProgress = pattern.New(`^ECS deployment \S+ in progress\.?$`)

func deployment(live *types.Service, is func(types.Deployment) bool) *types.Deployment {
	if i := slices.IndexFunc(live.Deployments, is); i >= 0 {
		return &live.Deployments[i]
	}
	return nil
}

func failures(live *types.Service) (n int32) {
	for _, d := range live.Deployments {
		n += d.FailedTasks
	}
	return n
}

// newestDeployment is the newest deployment of a service, nil for none.
func newestDeployment(live *types.Service) *types.Deployment {
	return deployment(live, func(d types.Deployment) bool { return aws.ToString(d.Status) == "PRIMARY" })
}

func lastEvent(live *types.Service) string {
	for _, e := range live.Events { // newest first
		return plainEvent(aws.ToString(e.Message))
	}
	return ""
}

var (
	eventService = pattern.New(`^\(service [^)]*\) `)
	eventARN     = pattern.New(`arn:aws[a-z-]*:elasticloadbalancing:[^ )]*:(?:targetgroup|loadbalancer)/([^/ )]+)[^ )]*`)
)

// plainEvent is an event of the service without the service's own name, and
// with names where it has ARNs.
func plainEvent(message string) string {
	return eventARN.ReplaceAllString(eventService.ReplaceAllString(message, ""), "$1")
}

// short is a task definition's ARN without all that is the same for all.
func short(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

func lowerFirst(s string) string {
	if strings.HasPrefix(s, "ECS ") || s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

func (s *Service) joined(id string) {
	s.deployment, s.sent = id, time.Now()
}

func asLiveService(live *types.Service, tags map[string]string) *liveService {
	l := &liveService{
		service: live, tags: tags, definition: aws.ToString(live.TaskDefinition), launch: string(live.LaunchType), desired: live.DesiredCount,
		propagate: string(live.PropagateTags), exec: live.EnableExecuteCommand, recordedCount: tags[settingTag("count")],
		strategy: strategyOf(live.DeploymentConfiguration), deploying: deploying(live),
		judged: hasServed(live),
		paused: tags[tagPaused], secretVersion: tags[TagSecretVersion], early: earlyState{begun: startedEarly(live)}, capacity: describeCapacity(live.CapacityProviderStrategy), unmanaged: describeUnmanaged(live),
	}
	if n := live.NetworkConfiguration; n != nil && n.AwsvpcConfiguration != nil {
		l.subnets, l.groups = n.AwsvpcConfiguration.Subnets, n.AwsvpcConfiguration.SecurityGroups
		l.publicAddress = string(n.AwsvpcConfiguration.AssignPublicIp)
	}
	l.targets = describeTargets(live.LoadBalancers)
	if c := live.DeploymentConfiguration; c != nil { // AWS always says; moto never does
		l.rollout = describeRollout(c, live.HealthCheckGracePeriodSeconds, live.EnableECSManagedTags)
	}
	return l
}

// hasServed reports whether there was a release, so that alarms can judge the next one.
func hasServed(live *types.Service) bool {
	c := live.DeploymentConfiguration
	return completed(live) != "" || c != nil && c.Alarms != nil && c.Alarms.Enable
}

func describeTargets(balancers []types.LoadBalancer) string {
	var out []string
	for _, b := range balancers {
		text := fmt.Sprintf("%s %s:%d", aws.ToString(b.TargetGroupArn)+aws.ToString(b.LoadBalancerName), aws.ToString(b.ContainerName), aws.ToInt32(b.ContainerPort))
		if a := b.AdvancedConfiguration; a != nil {
			text += fmt.Sprintf(" alongside %s by %s of %s", aws.ToString(a.AlternateTargetGroupArn), aws.ToString(a.ProductionListenerRule), aws.ToString(a.RoleArn))
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// fieldCapacity is of a cluster, and of the service whose tasks run on them.
const fieldCapacity = "capacity-providers"

// The capacity providers of Fargate.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-capacity-providers.html
const (
	onDemand = "FARGATE"
	onSpot   = "FARGATE_SPOT"
)

// strategy runs the base on demand, and every task beyond it on Spot: a weight counts once
// the base is satisfied. None is for the launch type, without Spot.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CapacityProviderStrategyItem.html
func (w serviceSpec) strategy() []types.CapacityProviderStrategyItem {
	switch {
	case !w.spot:
		return []types.CapacityProviderStrategyItem{}
	case w.base == 0:
		return []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String(onSpot), Weight: 1}}
	}
	return []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String(onDemand), Base: w.base}, {CapacityProvider: aws.String(onSpot), Weight: 1}}
}

// describeCapacity is a strategy in words, in whatever order it comes.
func describeCapacity(strategy []types.CapacityProviderStrategyItem) string {
	var out []string
	for _, c := range strategy {
		text := aws.ToString(c.CapacityProvider)
		if c.Base > 0 {
			text += fmt.Sprintf(" base %d", c.Base)
		}
		if c.Weight > 0 {
			text += fmt.Sprintf(" weight %d", c.Weight)
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

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
)

// fieldFailing is the drift of a release whose tasks fail while the traffic is shifted,
// where no circuit breaker ends it.
const fieldFailing = "failing-tasks"

// deploying reports whether a deployment of a service is going on.
func deploying(live *types.Service) bool {
	p := newestDeployment(live)
	return p != nil && p.RolloutState == types.DeploymentRolloutStateInProgress
}

// describeUnmanaged returns which of those a service has.
func describeUnmanaged(live *types.Service) map[string]string {
	out := map[string]string{}
	// 1.4.0 has been LATEST since 2020; secrets by their key need it:
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/platform-fargate.html
	if v := aws.ToString(live.PlatformVersion); v != "" && v != "LATEST" && v != "1.4.0" {
		out[fieldPlatform] = v
	}
	if c := live.DeploymentController; c != nil && c.Type != "" && c.Type != types.DeploymentControllerTypeEcs {
		out[fieldController] = string(c.Type)
	}
	if c := live.DeploymentConfiguration; c != nil {
		if c.Alarms != nil && c.Alarms.Enable {
			out[fieldAlarms] = describeAlarms(c.Alarms)
		}
		if n := len(c.LifecycleHooks); n > 0 {
			out[fieldHooks] = strconv.Itoa(n)
		}
	}
	for _, r := range live.ServiceRegistries {
		out[fieldRegistries] = strings.TrimSpace(out[fieldRegistries] + " " + aws.ToString(r.RegistryArn))
	}
	if p := newestDeployment(live); p != nil {
		if c := p.ServiceConnectConfiguration; c != nil && c.Enabled {
			out[fieldConnect] = strings.TrimSpace("on " + aws.ToString(c.Namespace))
		}
		for _, l := range p.VpcLatticeConfigurations {
			out[fieldLattice] = strings.TrimSpace(out[fieldLattice] + " " + aws.ToString(l.TargetGroupArn))
		}
	}
	return out
}

func describeAlarms(a *types.DeploymentAlarms) string {
	names := slices.Sorted(slices.Values(a.AlarmNames))
	text := strings.TrimSpace("on " + strings.Join(names, " "))
	if a.Rollback {
		text += ", with rollback"
	}
	return text
}

func describeRollout(c *types.DeploymentConfiguration, grace *int32, managedTags bool) map[string]string {
	breaker := "off"
	if b := c.DeploymentCircuitBreaker; b != nil && b.Enable {
		breaker = "on"
		if b.Rollback {
			breaker = "on, with rollback"
		}
	}
	return map[string]string{
		"circuit-breaker": breaker,
		"minimum-healthy": decimal(c.MinimumHealthyPercent) + " %",
		"maximum-running": decimal(c.MaximumPercent) + " %",
		fieldGrace:        decimal(grace) + " s",
		"managed-tags":    strconv.FormatBool(managedTags),
	}
}

// rolloutConfiguration keeps every task serving until its successor does, and
// goes back by itself when the successor does not come up.
//
// The circuit breaker is for rolling deployments alone. Any other is judged by alarms
// where there are some, and by the run that waits for it. A first release is not judged:
// nobody is healthy until it serves, and there is nothing to go back to.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentCircuitBreaker.html
func (s *Service) rolloutConfiguration(by Strategy, judged bool) *types.DeploymentConfiguration {
	out := &types.DeploymentConfiguration{
		MinimumHealthyPercent: aws.Int32(100), MaximumPercent: aws.Int32(200),
		DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: !by.Shifts(), Rollback: !by.Shifts()},
	}
	if s.shift.second != nil {
		by.configuration(out)
	}
	if by.Shifts() && judged && len(s.want.judges) > 0 {
		out.Alarms = &types.DeploymentAlarms{AlarmNames: s.want.judges, Enable: true, Rollback: true}
	}
	return out
}

// strategyNow is the strategy that a service is to have now. ECS takes another one only while
// no deployment is going on, and one that shifts the traffic only when the tasks were
// deployed, by a rolling deployment, with what that needs. So the release with which a
// stack changes to it rolls still.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/update-rolling-to-bluegreen.html
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/update-bluegreen-to-rolling.html
func (s *Service) strategyNow(live *liveService, targets string) Strategy {
	if live.deploying || s.want.deploy.Shifts() && !live.strategy.Shifts() && live.targets != targets {
		return live.strategy
	}
	return s.want.deploy
}

// strategyToSet is strategyNow of the service as it was last read.
func (s *Service) strategyToSet() Strategy {
	return s.strategyNow(s.Last(), describeTargets(s.balancers()))
}

// Wanted implements graph.Shape.
func (s *Service) Wanted(live *liveService) *liveService {
	n := s.network().AwsvpcConfiguration
	w := &liveService{
		tags: s.tags(s.Name()), definition: s.definition.ID(), launch: string(types.LaunchTypeFargate),
		desired: s.want.count, bounds: s.want.bounds, recordedCount: strconv.Itoa(int(s.want.count)),
		subnets: n.Subnets, groups: n.SecurityGroups, publicAddress: string(n.AssignPublicIp),
		targets: describeTargets(s.balancers()), propagate: string(types.PropagateTagsService), exec: s.want.exec, capacity: describeCapacity(s.want.strategy()),
		secretVersion: s.definition.database.secretVersion(), kept: true, unmanaged: map[string]string{},
	}
	w.check = s.targets.want.spec()
	w.strategy = s.strategyNow(live, w.targets)
	c := s.rolloutConfiguration(w.strategy, live.judged)
	w.rollout = describeRollout(c, &s.want.grace, true)
	if live.deploying && live.strategy == swift() {
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

// Judge implements graph.Judge: a rollout on its way can be changed, and need not end
// first.
func (s *Service) Judge(live *liveService, st graph.State) graph.State {
	switch {
	case live.sick != "":
		st.Drift = slices.DeleteFunc(st.Drift, func(c graph.Change) bool { return c.Field != fieldCheck })
		st.Phase = graph.Ready
	case live.gaveUp:
		st.Drift = nil
	case len(st.Drift) > 0:
		s.unhealthySince = time.Time{}
		st.Phase = graph.Ready
	}
	return st
}

func (s *Service) network() *types.NetworkConfiguration { return taskNetwork(s.group, s.subnets) }

// taskNetwork is where the stack's tasks run.
func taskNetwork(group *SecurityGroup, subnets []subnetwork) *types.NetworkConfiguration {
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

// Attributes implements graph.Shape. One call sets all that makes a rollout, and the tags
// come after it: a setting that ECS refuses is not to be taken for a deployed one.
func (s *Service) Attributes() graph.Attributes[*liveService] {
	update := graph.Requesting(func() *ecs.UpdateServiceInput {
		return &ecs.UpdateServiceInput{Cluster: aws.String(s.cluster.clusterName()), Service: aws.String(s.serviceName())}
	}, s.update)
	network := update.Put(func(in *ecs.UpdateServiceInput) { in.NetworkConfiguration = s.network() })
	configuration := func(in *ecs.UpdateServiceInput) *types.DeploymentConfiguration {
		if in.DeploymentConfiguration == nil {
			in.DeploymentConfiguration = s.rolloutConfiguration(s.strategyToSet(), s.Last().judged)
		}
		return in.DeploymentConfiguration
	}
	rollout := func(field string, r graph.Remedy) graph.Attribute[*liveService] {
		return graph.Field(field, func(l *liveService) string { return l.rollout[field] }, r).
			When(func(live, _ *liveService) bool { return live.rollout != nil })
	}
	whole := update.Put(func(in *ecs.UpdateServiceInput) { configuration(in) })
	unmanaged := func(field string, undo func(*ecs.UpdateServiceInput)) graph.Attribute[*liveService] {
		return graph.Field(field, func(l *liveService) string { return l.unmanaged[field] }, update.Put(undo))
	}
	anew := update.Put(func(in *ecs.UpdateServiceInput) { in.ForceNewDeployment = true })
	// Whether the tasks have another version of the secret than the current one.
	outdated := func(live, want *liveService) bool {
		return want.secretVersion != "" && live.secretVersion != want.secretVersion && !live.early.awaits && !s.renewed
	}
	return graph.Attributes[*liveService]{
		// It comes before the grace period, by which it is known that a note will do.
		graph.Compared(fieldSecretVersion, func(live, want *liveService) (string, string, bool) {
			if live.renewed {
				return "the one before", "the current one", live.secretVersion != want.secretVersion
			}
			return "an older one, of the same password", "the current one", outdated(live, want) && live.samePassword // only an address was added to it
		}, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			return s.noteVersion(ctx, s.ID(), s.definition.database.secretVersion())
		})),
		// ECS takes a change only with a new deployment. An empty list goes back to the
		// launch type, and starts none by itself.
		graph.Field(fieldCapacity, func(l *liveService) string { return l.capacity }, update.Put(func(in *ecs.UpdateServiceInput) {
			in.CapacityProviderStrategy, in.ForceNewDeployment = s.want.strategy(), true
		})),
		unmanaged(fieldPlatform, func(in *ecs.UpdateServiceInput) { in.PlatformVersion = aws.String("LATEST") }),
		unmanaged(fieldController, func(in *ecs.UpdateServiceInput) {
			in.DeploymentController = &types.DeploymentController{Type: types.DeploymentControllerTypeEcs}
		}),
		graph.Field(fieldStrategy, func(l *liveService) string { return l.strategy.String() }, update.Put(func(in *ecs.UpdateServiceInput) {
			s.strategyToSet().configuration(configuration(in))
		})),
		unmanaged(fieldAlarms, func(in *ecs.UpdateServiceInput) {
			if c := configuration(in); c.Alarms == nil {
				c.Alarms = &types.DeploymentAlarms{AlarmNames: []string{}}
			}
		}),
		unmanaged(fieldHooks, func(in *ecs.UpdateServiceInput) {
			configuration(in).LifecycleHooks = []types.DeploymentLifecycleHook{}
		}),
		unmanaged(fieldRegistries, func(in *ecs.UpdateServiceInput) { in.ServiceRegistries = []types.ServiceRegistry{} }),
		unmanaged(fieldConnect, func(in *ecs.UpdateServiceInput) {
			in.ServiceConnectConfiguration = &types.ServiceConnectConfiguration{}
		}),
		unmanaged(fieldLattice, func(in *ecs.UpdateServiceInput) { in.VpcLatticeConfigurations = []types.VpcLatticeConfiguration{} }),
		graph.Field("launch-type", func(l *liveService) string { return l.launch }, graph.Fixed("a service keeps its launch type")).
			When(func(live, _ *liveService) bool { return live.capacity == "" }), // with a strategy there is no launch type
		graph.Field(fieldCheckPath, func(l *liveService) string { return l.check.path }, update.Put(func(*ecs.UpdateServiceInput) {})),
		graph.Field(fieldCheckCodes, func(l *liveService) string { return l.check.codes }, update.Put(func(*ecs.UpdateServiceInput) {})),
		graph.Compared(fieldCheck, func(live, want *liveService) (string, string, bool) {
			return want.check.String() + ": " + live.sick, "as before", live.sick != ""
		}, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			live := s.Last()
			if !live.gaveUp {
				s.trial.failed = live.sick
			}
			return s.giveBack(ctx)
		})),
		graph.Field("task-definition", func(l *liveService) string { return short(l.definition) }, update.Put(func(in *ecs.UpdateServiceInput) {
			in.TaskDefinition = aws.String(s.definition.ID())
		})),
		graph.Field("count", func(l *liveService) string { return decimal(&l.desired) }, update.PutWanted(func(in *ecs.UpdateServiceInput, c graph.Change) {
			in.DesiredCount = number(c.Want)
		})),
		graph.Field("subnets", func(l *liveService) string { return inAnyOrder(l.subnets) }, network),
		graph.Field("security-groups", func(l *liveService) string { return inAnyOrder(l.groups) }, network),
		graph.Field("public-address", func(l *liveService) string { return l.publicAddress }, network),
		graph.Field("target-group", func(l *liveService) string { return l.targets }, update.Put(func(in *ecs.UpdateServiceInput) { in.LoadBalancers = s.balancers() })),
		graph.Field("propagate-tags", func(l *liveService) string { return l.propagate }, update.Put(func(in *ecs.UpdateServiceInput) {
			in.PropagateTags = types.PropagateTagsService
		})),
		// Only new tasks can be entered, or no longer be.
		graph.Flag("exec", func(l *liveService) bool { return l.exec }, update.Put(func(in *ecs.UpdateServiceInput) {
			in.EnableExecuteCommand, in.ForceNewDeployment = &s.want.exec, true
		})),
		rollout("circuit-breaker", whole),
		rollout("minimum-healthy", whole),
		rollout("maximum-running", whole),
		rollout(fieldGrace, update.Put(func(in *ecs.UpdateServiceInput) { in.HealthCheckGracePeriodSeconds = &s.want.grace })).
			When(func(live, _ *liveService) bool { return live.rollout != nil && !live.early.awaits }),
		rollout("managed-tags", update.Put(func(in *ecs.UpdateServiceInput) { in.EnableECSManagedTags = aws.Bool(true) })),
		graph.Compared("password", func(live, want *liveService) (string, string, bool) {
			return "that of another version of the secret", "the secret's", outdated(live, want) && !live.samePassword
		}, anew),
		tagAttribute(func(l *liveService) map[string]string { return l.tags }, graph.SetBy(func(ctx context.Context, changes []graph.Change) error {
			if err := s.retag(ctx, s.ID(), s.Name(), changes); err != nil {
				return err
			}
			return s.recordCopy(ctx, changes)
		})),
		// Behind what it is undone by: cut off before, the stack is still called paused.
		graph.Field("paused", func(l *liveService) string { return l.paused }, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			_, err := s.ecs.UntagResource(ctx, &ecs.UntagResourceInput{ResourceArn: aws.String(s.ID()), TagKeys: []string{tagPaused}})
			if err != nil {
				return fmt.Errorf("note on service %s that the stack is not paused any more: %w", s.serviceName(), err)
			}
			return nil
		})),
		graph.Flag(FieldKept, func(l *liveService) bool { return l.kept }, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			return s.definition.image.keep(ctx)
		})),
		graph.Compared(fieldFormerTargets, func(live, _ *liveService) (string, string, bool) {
			return "reached", "left", live.former
		}, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			if err := s.balancer.leaveFormer(ctx); err != nil {
				return err
			}
			for _, g := range s.reached {
				if err := g.leaveFormer(ctx); err != nil {
					return err
				}
			}
			return nil
		})).Alone(),
		graph.Compared(fieldFormerPermissions, func(live, _ *liveService) (string, string, bool) {
			return "allowed", "taken away", live.formerRoles
		}, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			for _, r := range s.roles {
				if err := r.leaveFormer(ctx); err != nil {
					return err
				}
			}
			return nil
		})).Alone(),
		graph.Compared(fieldFailing, func(live, _ *liveService) (string, string, bool) {
			return live.failing, "taken back", live.failing != ""
		}, graph.SetBy(s.takeBack)).Alone(),
		graph.Compared("deployment", func(live, _ *liveService) (string, string, bool) {
			return "failed: " + live.failedRollout, "another try", live.failedRollout != ""
		}, anew).Alone(),
		recordAttribute(func(live, want *liveService) []graph.Change {
			if len(keyDrift(live.tags, want.tags)) > 0 {
				return nil // the copy is written after the tags
			}
			return append(slices.Clone(live.copy), live.record...)
		}, graph.SetBy(s.recordAll)),
	}
}

// UpdatesSynchronously implements graph.UpdatesSynchronously. Where nothing is waited for, the notes on a release
// that serves and the grace period hold when they are set: neither starts a deployment.
// What is compared alone is set after them, and read before.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html
func (s *Service) UpdatesSynchronously(changes []graph.Change) bool {
	live := s.Last()
	return live != nil && live.ready && !live.former && !live.formerRoles && live.failing == "" && live.failedRollout == "" && !slices.ContainsFunc(changes, func(c graph.Change) bool {
		return c.Field != fieldSecretVersion && c.Field != fieldGrace && c.Field != FieldKept
	})
}

// recordAll writes what the service records on others. The check is recorded when the tasks
// have stayed healthy by it.
func (s *Service) recordAll(ctx context.Context, changes []graph.Change) error {
	check := func(c graph.Change) bool {
		return slices.Contains(checkTags, strings.TrimPrefix(c.Field, fieldRecorded))
	}
	if slices.ContainsFunc(changes, check) && s.trial.since.IsZero() {
		if err := s.definition.recordCheck(ctx); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(changes, func(c graph.Change) bool { return !check(c) }) {
		return s.recordCopy(ctx, changes)
	}
	return nil
}

func (s *Service) recordCopy(ctx context.Context, _ []graph.Change) error {
	if err := s.cluster.record(ctx, copyByService); err != nil {
		return err
	}
	s.copied = true
	return nil
}

// wantedCount is how many tasks there are to be. Between the bounds the number is the
// scaler's, unless another one was asked for than before; the one before may have
// moved with a bound, which asks for nothing.
func wantedCount(live, want liveService) int32 {
	if want.bounds.max == 0 {
		return want.desired
	}
	if live.paused != "" { // the scaler has nothing to do with there being none
		return live.inForce.nearest(want.desired)
	}
	before, err := strconv.ParseInt(live.recordedCount, 10, 32)
	if err == nil && want.desired != int32(before) && want.desired != want.bounds.nearest(int32(before)) {
		return want.desired
	}
	return live.inForce.nearest(live.desired)
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
		Tags: ecsTags(s.newTags(s.Name(), byScaling)),
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
	if former := s.observed().service.seen(); former != nil {
		text = append(text, aws.ToTime(former.CreatedAt).UTC().Format(time.RFC3339Nano)...)
	}
	sum := sha256.Sum256(text)
	in.ClientToken = aws.String(hex.EncodeToString(sum[:16])) // 36 characters at most
	out, err := s.ecs.CreateService(ctx, in)
	if err != nil {
		return "", fmt.Errorf("create service %s: %w", s.serviceName(), err)
	}
	s.begun, s.released = true, true
	s.join(out.Service)
	if err := s.cluster.record(ctx, copyByService); err == nil { // else it is drift
		s.copied = true
	}
	if live := out.Service; s.wait && s.want.count > 0 {
		// Its tasks have yet to start.
		have := asLiveService(live, ecsTagMap(in.Tags))
		have.early.awaits = have.early.begun
		s.Answer(have, graph.State{Phase: graph.Pending, Owner: s.stack, Note: fmt.Sprintf("%d/%d running", live.RunningCount, live.DesiredCount)})
	}
	return aws.ToString(out.Service.ServiceArn), nil
}

// join remembers the rollout that an answer shows.
func (s *Service) join(live *types.Service) {
	if live == nil {
		return
	}
	if p := newestDeployment(live); p != nil {
		s.joined(aws.ToString(p.Id))
	}
	s.watch(live)
}

// watch notes which of ECS's records is that of the release. The answer to an update may
// still name that of the release before.
// https://github.com/aws/containers-roadmap/issues/2709
func (s *Service) watch(live *types.Service) {
	if arn := aws.ToString(live.CurrentServiceDeployment); arn != "" && arn != s.before && strategyOf(live.DeploymentConfiguration).Shifts() {
		s.watched = arn
	}
}

// leave forgets the record of the release before, where an update begins another one.
func (s *Service) leave(last *types.Service, in *ecs.UpdateServiceInput) {
	if last == nil || deploying(last) && !begins(in) {
		return
	}
	s.before, s.watched, s.begun = aws.ToString(last.CurrentServiceDeployment), "", begins(in)
	if p := newestDeployment(last); p != nil {
		s.left = aws.ToString(p.Id)
	}
	s.released = s.released || s.begun
}

// begins reports whether an update begins a deployment: what does is said to at each member.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html
func begins(in *ecs.UpdateServiceInput) bool {
	return in.ForceNewDeployment || in.TaskDefinition != nil || in.NetworkConfiguration != nil || in.LoadBalancers != nil || in.PlatformVersion != nil ||
		in.ServiceRegistries != nil || in.ServiceConnectConfiguration != nil || in.VpcLatticeConfigurations != nil
}

func (s *Service) update(ctx context.Context, in *ecs.UpdateServiceInput, changes []graph.Change) error {
	if in.TaskDefinition != nil {
		if err := s.markServed(ctx); err != nil {
			return err
		}
	}
	if hasField(changes, fieldCheckPath) || hasField(changes, fieldCheckCodes) {
		if err := s.setCheck(ctx, in); err != nil {
			return err
		}
		if !slices.ContainsFunc(changes, func(c graph.Change) bool { return c.Field != fieldCheckPath && c.Field != fieldCheckCodes }) {
			return nil
		}
	}
	password := hasField(changes, "password")
	if last := s.lastSeen(); password && last != nil && strategyOf(last.DeploymentConfiguration).Shifts() {
		in.DeploymentConfiguration = swiftly(*last.DeploymentConfiguration)
	}
	s.leave(s.lastSeen(), in)
	out, err := s.ecs.UpdateService(ctx, in)
	if err != nil {
		return fmt.Errorf("update %s of service %s: %w", graph.Fields(changes), s.serviceName(), err)
	}
	s.join(out.Service)
	if password {
		s.renewed = true
	}
	return nil
}

// noteVersion notes which version of the secret the tasks were started with. It
// is done last, when they serve: cut off or taken back before, the next run starts them
// once more.
func (s *Service) noteVersion(ctx context.Context, arn, version string) error {
	_, err := s.ecs.TagResource(ctx, &ecs.TagResourceInput{ResourceArn: &arn, Tags: ecsTags(map[string]string{TagSecretVersion: version})})
	if err != nil {
		return fmt.Errorf("note the secret's version on service %s: %w", s.serviceName(), err)
	}
	return nil
}

// Delete deletes the service with its tasks. Forced, the call needs no scaling
// to zero before: it stops the tasks itself, which the engine waits for.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteService.html
func (s *Service) Delete(ctx context.Context) error {
	_, err := s.ecs.DeleteService(ctx, &ecs.DeleteServiceInput{
		Cluster: aws.String(s.cluster.clusterName()), Service: aws.String(s.serviceName()), Force: aws.Bool(true),
	})
	if err != nil && !isCode(err, "ServiceNotFoundException", "ClusterNotFoundException") {
		return fmt.Errorf("delete service %s: %w", s.serviceName(), err)
	}
	return nil
}
