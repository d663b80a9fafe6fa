package provision

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Shifting is a release to which the traffic is being shifted, or from which it is being
// taken back.
type Shifting struct {
	// Strategy is as --deploy takes it.
	Strategy string `json:"strategy" doc:"As --deploy takes it."`
	// Stage is ECS's word for how far it is, such as PRODUCTION_TRAFFIC_SHIFT.
	Stage string `json:"stage,omitempty" doc:"ECS's word, such as PRODUCTION_TRAFFIC_SHIFT."`
	// Percent of the requests go to the new release.
	Percent float64 `json:"percent" doc:"The share of the requests that the new release has."`
	// Status is ECS's word, such as IN_PROGRESS or ROLLBACK_IN_PROGRESS.
	Status string    `json:"status" doc:"ECS's word, such as IN_PROGRESS or ROLLBACK_IN_PROGRESS."`
	Reason string    `json:"reason,omitempty"`
	Begun  time.Time `json:"begun" doc:"When the release began."`
	// Ends is when it is over at the earliest; zero where it is taken back.
	Ends time.Time `json:"ends,omitzero" doc:"When it is over at the earliest; left out where it is taken back."`
	// Alarms are those that judge it.
	Alarms []string `json:"alarms,omitempty" doc:"The alarms that take it back."`
}

// stages are ECS's stages in plain words.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceDeployment.html
var stages = map[types.ServiceDeploymentLifecycleStage]string{
	types.ServiceDeploymentLifecycleStageReconcileService:     "what a former release left is cleared",
	types.ServiceDeploymentLifecycleStagePreScaleUp:           "tasks are about to start",
	types.ServiceDeploymentLifecycleStageScaleUp:              "tasks start",
	types.ServiceDeploymentLifecycleStagePostScaleUp:          "tasks are ready",
	types.ServiceDeploymentLifecycleStageTestTrafficShift:     "test traffic is shifted",
	types.ServiceDeploymentLifecycleStagePostTestTrafficShift: "test traffic is shifted",
	beforeShift: "traffic is about to be shifted",
	types.ServiceDeploymentLifecycleStageProductionTrafficShift:     "traffic is shifted",
	types.ServiceDeploymentLifecycleStagePostProductionTrafficShift: "traffic is shifted",
	types.ServiceDeploymentLifecycleStageBakeTime:                   "both releases run",
	types.ServiceDeploymentLifecycleStageCleanUp:                    "the tasks before are stopped",
}

// beforeShift comes before each step of the traffic. The SDK has it as a stage of hooks alone,
// and says that a deployment has it as well.
const beforeShift = types.ServiceDeploymentLifecycleStage(types.DeploymentLifecycleHookStagePreProductionTrafficShift)

// Text is the progress in a few words.
func (s Shifting) Text() string {
	if s.back() {
		return strings.TrimSuffix("taken back: "+lowerFirst(s.Reason), ": ")
	}
	// A stage that is new is shown in ECS's word.
	stage := cmp.Or(stages[types.ServiceDeploymentLifecycleStage(s.Stage)], s.Stage, "it begins")
	text := fmt.Sprintf("%s: %s, %g%% of the requests", s.Strategy, stage, s.Percent)
	if !s.Ends.IsZero() {
		text += ", over at " + s.Ends.UTC().Format("2006-01-02 15:04") + " UTC at the earliest"
	}
	return text
}

// back reports whether the release is being taken back, or was.
func (s Shifting) back() bool {
	return strings.HasPrefix(s.Status, "ROLLBACK") || strings.HasPrefix(s.Status, "STOP")
}

func shiftingOf(d *types.ServiceDeployment) Shifting {
	strategy := strategyOf(d.DeploymentConfiguration)
	out := Shifting{
		Strategy: strategy.String(), Stage: string(d.LifecycleStage), Status: string(d.Status), Reason: aws.ToString(d.StatusReason), Begun: aws.ToTime(d.CreatedAt),
	}
	if r := d.Rollback; r != nil && out.Reason == "" {
		out.Reason = aws.ToString(r.Reason)
	}
	if t := d.TargetServiceRevision; t != nil {
		out.Percent = aws.ToFloat64(t.RequestedProductionTrafficWeight)
	}
	if a := d.Alarms; a != nil {
		out.Alarms = a.AlarmNames
		if len(a.TriggeredAlarmNames) > 0 {
			out.Reason = strings.TrimSpace("alarm " + strings.Join(a.TriggeredAlarmNames, ", ") + "; " + out.Reason)
		}
	}
	if !out.back() && !out.Begun.IsZero() {
		out.Ends = out.Begun.Add(strategy.Takes())
	}
	return out
}

// heldBy is the lifecycle hook that holds a deployment; nil for none, and without a record. ECS
// continues only a deployment in progress. The hooks of one that is taken back may still await an action.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/continue-service-deployment.html
func heldBy(d *types.ServiceDeployment) *diagnosis.Hold {
	if d == nil || d.Status != types.ServiceDeploymentStatusInProgress {
		return nil
	}
	for _, h := range d.LifecycleHookDetails {
		if h.Status == types.DeploymentLifecycleHookStatusAwaitingAction || h.Status == types.DeploymentLifecycleHookStatusInProgress {
			return &diagnosis.Hold{
				Hook: aws.ToString(h.HookId), Function: aws.ToString(h.TargetArn), Stage: string(d.LifecycleStage), Until: aws.ToTime(h.ExpiresAt), Then: string(h.TimeoutAction),
				Deployment: aws.ToString(d.ServiceDeploymentArn),
			}
		}
	}
	return nil
}

// held is the lifecycle hook that holds the deployment of a service that is going on.
func (c ecsAccess) held(ctx context.Context, live *types.Service) (*diagnosis.Hold, error) {
	if !deploying(live) {
		return nil, nil
	}
	d, err := c.serviceDeployment(ctx, aws.ToString(live.CurrentServiceDeployment))
	return heldBy(d), err
}

// serviceDeployment returns ECS's record of a deployment, nil when there is none.
func (c ecsAccess) serviceDeployment(ctx context.Context, arn string) (*types.ServiceDeployment, error) {
	if arn == "" {
		return nil, nil
	}
	out, err := c.ecs.DescribeServiceDeployments(ctx, &ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{arn}})
	if err != nil {
		return nil, fmt.Errorf("describe the deployment of service %s: %w", c.names().Service(), err)
	}
	if len(out.ServiceDeployments) == 0 {
		return nil, nil
	}
	return &out.ServiceDeployments[0], nil
}

// newestServiceDeployment returns ECS's record of the newest deployment of a service. It is
// nil if ECS has none any more, or not yet. ECS does not say whether a service names its
// current deployment after that has ended, nor in which order it lists them.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-deployment.html
func (s *Service) newestServiceDeployment(ctx context.Context, live *types.Service) (*types.ServiceDeployment, error) {
	arn := aws.ToString(live.CurrentServiceDeployment)
	if arn == "" {
		var all []types.ServiceDeploymentBrief
		in := &ecs.ListServiceDeploymentsInput{Cluster: aws.String(s.cluster.clusterName()), Service: aws.String(s.serviceName()), MaxResults: aws.Int32(100)}
		for more := true; more; more = in.NextToken != nil {
			out, err := s.ecs.ListServiceDeployments(ctx, in)
			if err != nil {
				return nil, fmt.Errorf("list the deployments of service %s: %w", s.serviceName(), err)
			}
			all, in.NextToken = append(all, out.ServiceDeployments...), out.NextToken
		}
		if len(all) == 0 {
			return nil, nil
		}
		newest := slices.MaxFunc(all, func(a, b types.ServiceDeploymentBrief) int {
			return aws.ToTime(a.CreatedAt).Compare(aws.ToTime(b.CreatedAt))
		})
		arn = aws.ToString(newest.ServiceDeploymentArn)
	}
	return s.serviceDeployment(ctx, arn)
}

// recordsKept is how long ECS surely has a record of a deployment: it keeps those of 90 days.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-deployment.html
const recordsKept = 80 * 24 * time.Hour

// ofReleaseBefore reports whether a record is that of a release before the newest deployment:
// it was over before that began. ECS may name it for some seconds after an update.
// https://github.com/kayac/ecspresso/pull/945
func ofReleaseBefore(record *types.ServiceDeployment, newest *types.Deployment) bool {
	return newest != nil && record.FinishedAt != nil && newest.CreatedAt != nil && record.FinishedAt.Before(*newest.CreatedAt)
}

// rolledOut returns the service with the state of its rollout as its record has it, and with the name of
// that record: ECS promises the state with the service for rolling updates alone. A deployment without a
// record has just begun, unless it is so old that ECS has none any more.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html
func rolledOut(live *types.Service, record *types.ServiceDeployment) *types.Service {
	out := *live // others have read it as well
	out.Deployments = slices.Clone(live.Deployments)
	if record != nil {
		out.CurrentServiceDeployment = cmp.Or(record.ServiceDeploymentArn, live.CurrentServiceDeployment)
	}
	p := newestDeployment(&out)
	switch {
	case p == nil:
	case record == nil && time.Since(aws.ToTime(p.CreatedAt)) > recordsKept:
		p.RolloutState = types.DeploymentRolloutStateCompleted
	case record == nil, ofReleaseBefore(record, p):
		p.RolloutState = types.DeploymentRolloutStateInProgress
	case record.Status == types.ServiceDeploymentStatusSuccessful, record.Status == types.ServiceDeploymentStatusRollbackSuccessful:
		p.RolloutState = types.DeploymentRolloutStateCompleted
	case record.FinishedAt != nil:
		p.RolloutState, p.RolloutStateReason = types.DeploymentRolloutStateFailed, cmp.Or(p.RolloutStateReason, record.StatusReason)
	default:
		p.RolloutState = types.DeploymentRolloutStateInProgress
	}
	return &out
}

// stopDeployment has ECS take a release back: at once, as the tasks before still run.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stop-service-deployment.html
func (c ecsAccess) stopDeployment(ctx context.Context, arn string) error {
	_, err := c.ecs.StopServiceDeployment(ctx, &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: &arn, StopType: types.StopServiceDeploymentStopTypeRollback})
	if err != nil {
		return fmt.Errorf("take the deployment of service %s back: %w", c.names().Service(), err)
	}
	return nil
}

// record is ECS's record of the release that this run waits for and to which the traffic
// is shifted; nil without one.
func (s *Service) record(ctx context.Context, live *types.Service) (*types.ServiceDeployment, error) {
	if !s.wait {
		return nil, nil
	}
	return s.watchedRecord(ctx, live)
}

func (s *Service) watchedRecord(ctx context.Context, live *types.Service) (*types.ServiceDeployment, error) {
	d, err := s.serviceDeployment(ctx, s.recordARN)
	if d != nil && ofReleaseBefore(d, newestDeployment(live)) {
		s.recordARN = ""
		return nil, err
	}
	return d, err
}

// recordNotUpdated reports whether ECS still names the record of the release before, where this run has
// begun another one.
func (s *Service) recordNotUpdated(live *types.Service) bool {
	arn := aws.ToString(live.CurrentServiceDeployment)
	return s.begun && s.recordARN == "" && s.deployment != s.rolloutBefore && arn != "" && arn == s.recordBefore && strategyOf(live.DeploymentConfiguration).Shifts()
}

// wasTakenBackAlready reports whether the release of a record was being taken back when this run
// first looked at it, and that this run has begun none: what is waited for is that the
// release before serves again, which the service shows.
func (s *Service) wasTakenBackAlready(d *types.ServiceDeployment) bool {
	if s.begun {
		return false
	}
	if arn := aws.ToString(d.ServiceDeploymentArn); s.firstRecord != arn {
		s.firstRecord, s.firstRecordTakenBack = arn, shiftingOf(d).back()
	}
	return s.firstRecordTakenBack
}

// takeBack has ECS take the release back that this run waits for.
func (s *Service) takeBack(ctx context.Context, changes []graph.Change) error {
	s.takeBackReason = changes[0].Have
	return s.stopDeployment(ctx, s.recordARN)
}

// countFailedTasks counts the tasks of a release that have started and failed, where it looks as if
// there are some. ECS's own count is of no use for that: "Once a service deployment has one
// or more successfully running tasks, the failed task count resets to zero and stops being
// evaluated."
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html
func (s *Service) countFailedTasks(ctx context.Context, live *types.Service, d *types.ServiceDeployment) (int32, error) {
	own := newestDeployment(live)
	if own == nil || d.FinishedAt != nil || shiftingOf(d).back() || own.RunningCount >= own.DesiredCount {
		return 0, nil
	}
	if begun := aws.ToTime(own.CreatedAt); startedSince(live, begun) <= int(own.DesiredCount) && time.Since(begun) < usualStart {
		return 0, nil // they start
	}
	stopped, err := s.tasks(ctx, types.DesiredStatusStopped)
	if err != nil {
		return 0, err
	}
	n := int32(0)
	for _, t := range stopped {
		if t.Deployment == aws.ToString(own.Id) && t.StopCode != string(types.TaskStopCodeUserInitiated) && !t.ScaledIn() && !t.Interrupted() {
			n++
		}
	}
	return n, nil
}

// usualStart is how long the tasks of a release take to start, with their health checks.
const usualStart = 75 * time.Second

// startedSince is how many tasks have been started since then, by the service's events.
func startedSince(live *types.Service, then time.Time) (n int) {
	for _, e := range live.Events {
		if text := aws.ToString(e.Message); !aws.ToTime(e.CreatedAt).Before(then) && strings.Contains(text, " has started ") {
			n += strings.Count(text, "(task ")
		}
	}
	return n
}

// startingStages are those in which no request goes to a release yet, as its tasks start.
var startingStages = []types.ServiceDeploymentLifecycleStage{
	"", types.ServiceDeploymentLifecycleStageReconcileService, types.ServiceDeploymentLifecycleStagePreScaleUp, types.ServiceDeploymentLifecycleStageScaleUp,
}

// overdue returns the reason why a release is given up that does not get on; "" where it does. ECS would
// go on replacing its tasks, which may fail health checks for the grace period. It waits for the tasks before
// until they are drained.
func overdue(d *types.ServiceDeployment, grace, drain time.Duration) string {
	took := time.Since(aws.ToTime(d.CreatedAt))
	start := rolloutTimeout + grace
	whole := start + strategyOf(d.DeploymentConfiguration).Takes() + drain
	switch {
	case d.CreatedAt == nil, len(d.LifecycleHookDetails) > 0: // a hook holds it for as long as somebody wants, or did
		return ""
	case took > start && slices.Contains(startingStages, d.LifecycleStage):
		return fmt.Sprintf("its tasks do not serve after %s", start)
	case took > whole:
		return fmt.Sprintf("it is not over after %s", whole)
	}
	return ""
}

// shiftProgress returns how far a release is to which the traffic is shifted. Drain is how much
// longer it may take as its requests do. Failing is why it is to be taken back: no circuit breaker does that.
func (s *Service) shiftProgress(live *types.Service, d *types.ServiceDeployment, failedTasks int32, drain time.Duration) (phase graph.Phase, note, failing string) {
	now := shiftingOf(d)
	note = fmt.Sprintf("%d running, %s", live.RunningCount, now.Text())
	switch d.Status {
	case types.ServiceDeploymentStatusSuccessful:
		if live.RunningCount >= live.DesiredCount {
			return graph.Ready, fmt.Sprintf("%d/%d running", live.RunningCount, live.DesiredCount), ""
		}
		return graph.Pending, note, ""
	}
	if now.back() { // nothing that is waited for comes of it any more
		if s.takeBackReason == "" {
			s.takenBackReason = cmp.Or(now.Reason, string(d.Status))
		}
		return graph.Unrecoverable, "rolled back: " + cmp.Or(s.takeBackReason, lowerFirst(now.Reason), string(d.Status)), ""
	}
	if held := heldBy(d); held != nil {
		note += ", held by " + held.String()
	}
	why := overdue(d, max(gracePeriod(live), seconds(&s.want.grace)), drain)
	if n := max(failedTasks, failedOf(live)); n >= failingTasks(live.DesiredCount) {
		why = fmt.Sprintf("%d tasks failed", n)
	}
	if why != "" {
		if len(d.SourceServiceRevisions) == 0 { // there is nothing to go back to
			return graph.Unrecoverable, note + ", " + why, ""
		}
		return graph.Pending, note, why
	}
	return graph.Pending, note, ""
}

// failedOf is how many tasks of the newest deployment have failed.
func failedOf(live *types.Service) int32 {
	if p := newestDeployment(live); p != nil {
		return p.FailedTasks
	}
	return 0
}

// failingTasks is how many tasks have to fail for a release to be taken back, as many as
// for ECS's circuit breaker:
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
func failingTasks(desired int32) int32 { return min(200, max(3, (desired+1)/2)) }

// Shifted is the release to which the traffic is being shifted, nil for none. It makes
// reads only.
func (d Deployed) Shifted(ctx context.Context, c Clients, stack string) (*ShiftedRelease, error) {
	if d.exists.liveService == nil {
		return nil, nil
	}
	return ecsAccess{identity: identity{stack: stack, region: c.IAM.Options().Region}, ecs: c.ECS}.shifted(ctx, d.exists.liveService)
}

// ShiftedRelease is a release that can be taken back without a rollout.
type ShiftedRelease struct {
	Shifting
	// Revision is that of the release, and Before that of the one before, whose tasks run.
	Revision, Before int32

	held *diagnosis.Hold
	in   ecsAccess
	arn  string
}

func (c ecsAccess) shifted(ctx context.Context, live *types.Service) (*ShiftedRelease, error) {
	arn := aws.ToString(live.CurrentServiceDeployment)
	if arn == "" || !strategyOf(live.DeploymentConfiguration).Shifts() {
		return nil, nil
	}
	d, err := c.serviceDeployment(ctx, arn)
	if d == nil || err != nil || d.FinishedAt != nil || len(d.SourceServiceRevisions) == 0 || d.TargetServiceRevision == nil {
		return nil, err
	}
	out := &ShiftedRelease{Shifting: shiftingOf(d), held: heldBy(d), in: c, arn: arn}
	revisions, err := c.ecs.DescribeServiceRevisions(ctx, &ecs.DescribeServiceRevisionsInput{
		ServiceRevisionArns: []string{aws.ToString(d.TargetServiceRevision.Arn), aws.ToString(d.SourceServiceRevisions[0].Arn)},
	})
	if err != nil {
		return nil, fmt.Errorf("describe the revisions of service %s: %w", c.names().Service(), err)
	}
	for _, r := range revisions.ServiceRevisions {
		_, text, _ := strings.Cut(nameInARN(aws.ToString(r.TaskDefinition)), ":")
		if n := aws.ToInt32(number(text)); aws.ToString(r.ServiceRevisionArn) == aws.ToString(d.TargetServiceRevision.Arn) {
			out.Revision = n
		} else {
			out.Before = n
		}
	}
	return out, nil
}

// unshifted is an error while the traffic is shifted from one release to another. No page
// of AWS's says what becomes of the two when there are to be no tasks.
func (c ecsAccess) unshifted(ctx context.Context, live *types.Service) error {
	r, err := c.shifted(ctx, live)
	if r == nil || err != nil {
		return err
	}
	err = fmt.Errorf("revision %d is being released, and a stack can't be paused meanwhile: %s", r.Revision, r.Text())
	if r.back() {
		return hint.With(err, "wait until revision %d has all requests again, which %s shows, and run %s again", r.Before, hint.Command("status"), hint.Command("pause"))
	}
	return hint.With(err, "wait until it is over, or roll it back at once with %s, and run %s again", hint.Command("rollback"), hint.Command("pause"))
}

// Back takes the release back, and waits until all requests go to the one before. Progress,
// which may be nil, is called with how far that is.
func (r *ShiftedRelease) Back(ctx context.Context, progress func(string)) error {
	if err := r.in.stopDeployment(ctx, r.arn); err != nil {
		return err
	}
	for last := ""; ; {
		d, err := r.in.serviceDeployment(ctx, r.arn)
		text := unanswered(err)
		switch {
		case text != "":
			d = &types.ServiceDeployment{} // which is not over
		case err != nil:
			return err
		case d == nil:
			return fmt.Errorf("the deployment of service %s is gone", r.in.names().Service())
		default:
			text = shiftingOf(d).Text()
		}
		if text != last && progress != nil {
			progress(text)
			last = text
		}
		if slices.Contains([]types.ServiceDeploymentStatus{types.ServiceDeploymentStatusRollbackSuccessful, types.ServiceDeploymentStatusStopped}, d.Status) {
			return nil
		}
		if d.FinishedAt != nil {
			return fmt.Errorf("the deployment of service %s was not rolled back: %s %s", r.in.names().Service(), d.Status, aws.ToString(d.StatusReason))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(backLook):
		}
	}
}

// backLook is how often a release that is taken back is looked at.
const backLook = 2 * time.Second
