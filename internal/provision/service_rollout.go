package provision

import (
	"context"
	"fmt"
	"slices"
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

// ownRelease is what this run knows of the release that it waits for, and has done for it.
type ownRelease struct {
	deployment           string    // id of the rollout that this run started or joined
	startedAt            time.Time // when it was started
	recordARN            string    // ARN of ECS's record of it, where the traffic is shifted
	recordBefore         string    // ARN of the record that was the current one before
	rolloutBefore        string    // id of the rollout before the one that this run began
	takeBackReason       string    // why this run takes the release back
	takenBackReason      string    // why another one did, or an alarm
	begun                bool      // the release was begun by this run, and not found on its way
	released             bool      // this run has begun a release, whatever it has changed since
	firstRecord          string    // ARN of the record that was looked at first where this run has begun none
	firstRecordTakenBack bool      // that release was being taken back by then
	settingsCopied       bool      // the copy of its settings is written
	passwordRenewed      bool      // tasks were started that know the password
	hooked               bool      // the service had lifecycle hooks, of which one may hold a deployment
	// unhealthySince is when a look first found no healthy target; zero for never.
	unhealthySince time.Time
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
			return graph.Unrecoverable, "rolled back to " + nameInARN(aws.ToString(primary.TaskDefinition)) + ": " + aws.ToString(own.RolloutStateReason), ""
		case own != nil || time.Since(s.startedAt) > rolloutUnseenTime:
			return graph.Unrecoverable, "deployment " + s.deployment + " was replaced by " + id + " of " + nameInARN(aws.ToString(primary.TaskDefinition)), ""
		}
		return graph.Pending, note, "" // not visible yet
	}
	if aws.ToString(primary.TaskDefinition) != s.definition.ID() {
		return graph.Pending, note, "" // to be changed, or just changed
	}
	if s.recordNotUpdated(live) {
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
		before := runningBefore(live)
		if before > 0 && succeedsEarly(live) {
			return graph.Pending, note + ", " + plural(before, "task") + " of the release before still running", ""
		}
		if live.RunningCount >= live.DesiredCount {
			return graph.Ready, note, ""
		}
		return graph.Pending, note, ""
	}
	s.deployment = id
	s.noteRecord(live)
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

// succeedsEarly reports whether ECS calls a rollout complete while tasks of the release before serve.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/early-success-criteria.html
func succeedsEarly(live *types.Service) bool {
	c := live.DeploymentConfiguration
	return c != nil && c.EarlySuccessCriteria != nil && c.EarlySuccessCriteria.Enable
}

// runningBefore is how many tasks of releases before the newest one run.
func runningBefore(live *types.Service) (n int32) {
	for _, d := range live.Deployments {
		if aws.ToString(d.Status) != "PRIMARY" {
			n += d.RunningCount
		}
	}
	return n
}

func lastEvent(live *types.Service) string {
	for _, e := range live.Events { // newest first
		return plainEvent(aws.ToString(e.Message))
	}
	return ""
}

// plainEvent is an event of the service without the service's own name, and
// with names where it has ARNs.
func plainEvent(message string) string {
	return eventARN.ReplaceAllString(eventService.ReplaceAllString(message, ""), "$1")
}

func (s *Service) setRollout(id string) {
	s.deployment, s.startedAt = id, time.Now()
}

// deploying reports whether a deployment of a service is going on.
func deploying(live *types.Service) bool {
	p := newestDeployment(live)
	return p != nil && p.RolloutState == types.DeploymentRolloutStateInProgress
}

// followRollout remembers the rollout that an answer shows.
func (s *Service) followRollout(live *types.Service) {
	if live == nil {
		return
	}
	if p := newestDeployment(live); p != nil {
		s.setRollout(aws.ToString(p.Id))
	}
	s.noteRecord(live)
}

// noteRecord notes which of ECS's records is that of the release. The answer to an update may
// still name that of the release before.
// https://github.com/aws/containers-roadmap/issues/2709
func (s *Service) noteRecord(live *types.Service) {
	if arn := aws.ToString(live.CurrentServiceDeployment); arn != "" && arn != s.recordBefore && strategyOf(live.DeploymentConfiguration).Shifts() {
		s.recordARN = arn
	}
}

// forgetRollout forgets the record of the release before, where an update begins another one.
func (s *Service) forgetRollout(last *types.Service, in *ecs.UpdateServiceInput) {
	if last == nil || deploying(last) && !begins(in) {
		return
	}
	s.recordBefore, s.recordARN, s.begun = aws.ToString(last.CurrentServiceDeployment), "", begins(in)
	if p := newestDeployment(last); p != nil {
		s.rolloutBefore = aws.ToString(p.Id)
	}
	s.released = s.released || s.begun
}

// begins reports whether an update begins a deployment: what does is said to at each member.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html
func begins(in *ecs.UpdateServiceInput) bool {
	return in.ForceNewDeployment || in.TaskDefinition != nil || in.NetworkConfiguration != nil || in.LoadBalancers != nil || in.PlatformVersion != nil ||
		in.ServiceRegistries != nil || in.ServiceConnectConfiguration != nil || in.VpcLatticeConfigurations != nil
}
