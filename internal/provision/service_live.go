package provision

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// liveService is a service as far as it is compared and used.
type liveService struct {
	service           *types.Service
	health            []diagnosis.Target // of its targets, where that was looked at
	rolloutFailed     bool               // the rollout that this run waited for failed, so that nothing is compared
	paused            string             // since when the stack is; "" for one that is not
	settingsCopyDrift []graph.Change     // how the copy of its settings differs
	tags              map[string]string
	definition        string
	launch            string
	desired           int32
	subnets           []string
	groups            []string
	publicAddress     string
	targets           string // target groups, with containers and ports
	propagateTags     string
	exec              bool
	rollout           map[string]string // how rollouts go; nil where the answer does not say
	capacity          string            // the capacity provider strategy, "" for the launch type
	strategy          Strategy
	deploying         bool              // a deployment is going on
	extraTime         time.Duration     // how much longer than the wanted strategy that takes
	hadRelease        bool              // there was a release, so that alarms can judge the next one
	takeBackBecause   string            // why the release that this run waits for is to be taken back
	unmanaged         map[string]string // what somebody else has set, and bookctl never does
	failedRollout     string            // why the rollout of exactly this failed before this run
	recordedCount     string
	secretVersion     string // of the secret, that the tasks were started with
	renewed           bool   // by this run, and they serve
	bounds            bounds
	inForce           bounds // the wanted ones, or those that a schedule has set
	samePassword      bool   // of another version of the secret, which is the current one
	early             earlyState
	imageKept         bool // its image is marked as one that served, or need not be
	ready             bool // nothing is waited for, whatever is still to be set
	formerTargets     bool // all tasks have the wanted port and subnets, and others can still be reached
	formerPermissions bool // all tasks are of the wanted release, and the roles allow more than it needs
	check             checkSpec
	checkRecordDrift  []graph.Change // how the record of the check differs
	failedCheck       string         // why the check that this run set is to be given back
}

func asLiveService(live *types.Service, tags map[string]string) *liveService {
	l := &liveService{
		service: live, tags: tags, definition: aws.ToString(live.TaskDefinition), launch: string(live.LaunchType), desired: live.DesiredCount,
		propagateTags: string(live.PropagateTags), exec: live.EnableExecuteCommand, recordedCount: tags[settingTag("count")],
		strategy: strategyOf(live.DeploymentConfiguration), deploying: deploying(live),
		hadRelease: hasServed(live),
		paused:     tags[tagPaused], secretVersion: tags[TagSecretVersion], early: earlyState{begun: startedEarly(live)}, capacity: describeCapacity(live.CapacityProviderStrategy), unmanaged: describeUnmanaged(live),
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
		if e := c.EarlySuccessCriteria; e != nil && e.Enable {
			out[fieldEarlySuccess] = fmt.Sprintf("at %d %% healthy, cleanup %s", aws.ToInt32(e.HealthyPercent), e.SourceServiceRevisionCleanup)
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

// usualThreshold is ECS's own: as many failed tasks as half of the wanted ones, at least 3 and
// at most 200.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ThresholdConfiguration.html
func usualThreshold() types.ThresholdConfiguration {
	return types.ThresholdConfiguration{Type: types.ThresholdTypeBoundedPercent, Value: 50}
}

func describeRollout(c *types.DeploymentConfiguration, grace *int32, managedTags bool) map[string]string {
	breaker := "off"
	if b := c.DeploymentCircuitBreaker; b != nil && b.Enable {
		breaker = "on"
		if b.Rollback {
			breaker = "on, with rollback"
		}
		if t := b.ThresholdConfiguration; t != nil && *t != usualThreshold() {
			breaker += fmt.Sprintf(", at %s %d", t.Type, t.Value)
		}
		if b.ResetOnHealthyTask != nil && !*b.ResetOnHealthyTask {
			breaker += ", counting on after a healthy task"
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
