package ecs

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// serviceDeployment is a change of a service from one revision to another, which the
// service's history keeps
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-deployment.html).
type serviceDeployment struct {
	ID string
	// Target is what was deployed. The service revision has the digits of its id.
	Target deployment
	// Source is the id of the deployment that had completed before, if one had.
	Source   string
	Rollout  types.DeploymentConfiguration
	Desired  int32
	Status   types.ServiceDeploymentStatus
	Reason   string
	Updated  time.Time
	Finished time.Time `json:",omitzero"`
	// RollbackTo is the id of the deployment that a rollback returns to, if there is one,
	// RollbackStarted when it began, and RollbackReason why.
	RollbackTo      string    `json:"Back,omitempty"`
	RollbackStarted time.Time `json:"BackFrom,omitzero"`
	RollbackReason  string    `json:"BackFor,omitempty"`
	// Stage is the stage of a deployment that shifts the traffic, Since when it or its last
	// step began, and Percent the share of the traffic that is shifted.
	Stage   types.ServiceDeploymentLifecycleStage `json:",omitempty"`
	Since   time.Time                             `json:",omitzero"`
	Percent float64                               `json:",omitempty"`
	// AlarmsChecked reports whether its alarms were evaluated, and AlarmsIgnored whether one
	// was in ALARM then. Triggered are those that failed it.
	AlarmsChecked bool     `json:"Judged,omitempty"`
	AlarmsIgnored bool     `json:"Unheard,omitempty"`
	Triggered     []string `json:",omitempty"`
	Pauses        []pause  `json:",omitempty"`
}

// maxHistory is how many deployments of a service are stored. ECS stores those of 90 days.
const maxHistory = 100

// deploymentPrefix is the prefix of a deployment's id, before the digits of its revision.
const deploymentPrefix = "ecs-svc/"

func (d serviceDeployment) ongoing() bool { return d.Finished.IsZero() }

// addToHistory adds a deployment to the history, and stops one that is still in progress.
func (s *service) addToHistory(d deployment, now time.Time) {
	s.endCurrentDeployment(now, types.ServiceDeploymentStatusStopped, "A newer deployment was started.")
	next := serviceDeployment{
		ID: kernel.RandomText(21, kernel.Letters+kernel.Capitals+kernel.Digits), Target: d, Rollout: s.Rollout, Desired: s.Desired,
		Status: types.ServiceDeploymentStatusInProgress, Updated: now,
	}
	if s.Completed != nil {
		next.Source = s.Completed.ID
	}
	s.History = append([]serviceDeployment{next}, s.History[:min(len(s.History), maxHistory-1)]...)
}

// endCurrentDeployment ends the newest deployment in the history, if it is in progress. A rollback in
// progress has then completed.
func (s *service) endCurrentDeployment(now time.Time, status types.ServiceDeploymentStatus, reason string) {
	if len(s.History) == 0 || !s.History[0].ongoing() {
		return
	}
	d := &s.History[0]
	if d.RollbackTo != "" && status == types.ServiceDeploymentStatusSuccessful {
		status, reason = types.ServiceDeploymentStatusRollbackSuccessful, d.RollbackReason
	}
	d.Status, d.Reason, d.Updated, d.Finished = status, reason, now, now
}

// deploymentFailed reports to EventBridge that a deployment was given up, if the service has
// the circuit breaker on, whatever ended it.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_service_deployment_events.html
func (a tx) deploymentFailed(s *service, d deployment) {
	if b := s.Rollout.DeploymentCircuitBreaker; b == nil || !b.Enable {
		return
	}
	a.needs.Events.Emit(a.Tx, "aws.ecs", "ECS Deployment State Change", []string{a.serviceARN(s)}, map[string]any{
		"eventType": "ERROR", "eventName": "SERVICE_DEPLOYMENT_FAILED", "deploymentId": d.ID, "updatedAt": d.Updated, "reason": d.Reason,
	})
}

// rollBack makes the last completed deployment the primary one again, under its own id; its
// running tasks stay. It returns false if there is none.
func (a tx) rollBack(s *service, failed deployment, reason string) bool {
	if s.Completed == nil || s.Completed.ID == failed.ID {
		return false
	}
	back := *s.Completed
	back.State, back.Reason, back.Updated = types.DeploymentRolloutStateInProgress, reason+": rolling back to deploymentId "+back.ID+".", a.Now()
	back.Failed = 0
	others := slices.DeleteFunc(slices.Clone(s.Deployments), func(d deployment) bool { return d.ID == back.ID })
	s.Deployments = append([]deployment{back}, others...)
	s.Failures, s.NotBefore = 0, time.Time{}
	if len(s.History) > 0 && s.History[0].ongoing() {
		d := &s.History[0]
		d.Status, d.RollbackTo, d.RollbackStarted, d.RollbackReason, d.Updated = types.ServiceDeploymentStatusRollbackInProgress, back.ID, a.Now(), reason+".", a.Now()
		d.Percent = 0
	}
	a.serviceEvent(s.key(), "rolling back to (deployment %s).", back.ID)
	return true
}

func (a tx) deploymentARN(s *service, d serviceDeployment) string {
	return a.ARN("ecs", "service-deployment/"+s.key()+"/"+d.ID)
}

func (a tx) revisionARN(s *service, deployment string) string {
	return a.ARN("ecs", "service-revision/"+s.key()+"/"+strings.TrimPrefix(deployment, deploymentPrefix))
}

// revision summarizes a revision, with the tasks that run of it.
func (a tx) revision(s *service, deployment string, requested int32) types.ServiceRevisionSummary {
	out := types.ServiceRevisionSummary{Arn: aws.String(a.revisionARN(s, deployment)), RequestedTaskCount: requested}
	out.RunningTaskCount, out.PendingTaskCount = a.taskCounts(s, deployment)
	return out
}

// taskCounts are the tasks of a deployment that run, and those that don't yet.
func (a tx) taskCounts(s *service, deployment string) (running, pending int32) {
	for _, t := range a.state().Tasks {
		if t.Service != s.key() || t.Deployment != deployment {
			continue
		}
		switch *t.LastStatus {
		case taskRunning:
			running++
		case taskPending, taskProvisioning:
			pending++
		}
	}
	return running, pending
}

// ListServiceDeployments lists the deployments of a service, newest first.
func (a tx) ListServiceDeployments(in *ecs.ListServiceDeploymentsInput) (*ecs.ListServiceDeploymentsOutput, error) {
	s, err := a.service(in.Cluster, in.Service)
	if err != nil {
		return nil, err
	}
	briefs := []types.ServiceDeploymentBrief{}
	for _, d := range s.History {
		began := d.Target.Created
		if len(in.Status) > 0 && !slices.Contains(in.Status, d.Status) ||
			in.CreatedAt != nil && (in.CreatedAt.After != nil && began.Before(*in.CreatedAt.After) || in.CreatedAt.Before != nil && began.After(*in.CreatedAt.Before)) {
			continue
		}
		brief := types.ServiceDeploymentBrief{
			ServiceDeploymentArn: aws.String(a.deploymentARN(s, d)), ServiceArn: aws.String(a.serviceARN(s)), ClusterArn: aws.String(a.clusterARN(s.Cluster)),
			CreatedAt: aws.Time(began), StartedAt: aws.Time(began), Status: d.Status, TargetServiceRevisionArn: aws.String(a.revisionARN(s, d.Target.ID)),
		}
		brief.StatusReason, brief.FinishedAt = d.outcome()
		briefs = append(briefs, brief)
	}
	limit := 20
	if n := aws.ToInt32(in.MaxResults); n > 0 {
		limit = int(n)
	}
	out := &ecs.ListServiceDeploymentsOutput{}
	out.ServiceDeployments, out.NextToken, err = kernel.PageOf(briefs, in.NextToken, limit, kernel.Fail("InvalidParameterException", "Invalid token."))
	return out, err
}

// outcome is the reason of the status, if there is one, and when the deployment ended.
func (d serviceDeployment) outcome() (reason *string, finished *time.Time) {
	if d.Reason != "" {
		reason = aws.String(d.Reason)
	}
	if !d.ongoing() {
		finished = aws.Time(d.Finished)
	}
	return reason, finished
}

// findDeployment is the service, and the index in its history, of an ARN.
func (a tx) findDeployment(arn string) (*service, int, bool) {
	for _, s := range a.state().Services {
		if i := slices.IndexFunc(s.History, func(d serviceDeployment) bool { return a.deploymentARN(s, d) == arn }); i >= 0 {
			return s, i, true
		}
	}
	return nil, 0, false
}

// DescribeServiceDeployments describes deployments by their ARNs.
func (a tx) DescribeServiceDeployments(in *ecs.DescribeServiceDeploymentsInput) (*ecs.DescribeServiceDeploymentsOutput, error) {
	if n := len(in.ServiceDeploymentArns); n == 0 || n > 20 {
		return nil, kernel.Fail("InvalidParameterException", "serviceDeploymentArns must have between 1 and 20 entries.")
	}
	out := &ecs.DescribeServiceDeploymentsOutput{ServiceDeployments: []types.ServiceDeployment{}, Failures: []types.Failure{}}
	for _, arn := range in.ServiceDeploymentArns {
		s, i, ok := a.findDeployment(arn)
		if !ok {
			out.Failures = append(out.Failures, types.Failure{Arn: aws.String(arn), Reason: aws.String("MISSING")})
			continue
		}
		out.ServiceDeployments = append(out.ServiceDeployments, a.describeDeployment(s, s.History[i]))
	}
	return out, nil
}

func (a tx) describeDeployment(s *service, d serviceDeployment) types.ServiceDeployment {
	target, rollout := a.revision(s, d.Target.ID, d.Desired), d.Rollout
	out := types.ServiceDeployment{
		ServiceDeploymentArn: aws.String(a.deploymentARN(s, d)), ServiceArn: aws.String(a.serviceARN(s)), ClusterArn: aws.String(a.clusterARN(s.Cluster)),
		CreatedAt: aws.Time(d.Target.Created), StartedAt: aws.Time(d.Target.Created), UpdatedAt: aws.Time(d.Updated), Status: d.Status,
		TargetServiceRevision: &target, SourceServiceRevisions: []types.ServiceRevisionSummary{}, DeploymentConfiguration: &rollout,
		DeploymentCircuitBreaker: &types.ServiceDeploymentCircuitBreaker{Status: types.ServiceDeploymentRollbackMonitorsStatusDisabled},
	}
	out.StatusReason, out.FinishedAt = d.outcome()
	out.Alarms, out.LifecycleHookDetails = d.describeAlarms(), d.describePauses()
	if shifts(d.Rollout.Strategy) {
		out.LifecycleStage = d.Stage
		out.TargetServiceRevision.RequestedProductionTrafficWeight = aws.Float64(d.Percent)
	}
	if d.Status == types.ServiceDeploymentStatusStopped {
		out.StoppedAt = out.FinishedAt
	}
	if d.Source != "" {
		source := a.revision(s, d.Source, 0)
		if shifts(d.Rollout.Strategy) {
			source.RequestedProductionTrafficWeight = aws.Float64(100 - d.Percent)
		}
		out.SourceServiceRevisions = append(out.SourceServiceRevisions, source)
	}
	if d.RollbackTo != "" {
		out.Rollback = &types.Rollback{Reason: aws.String(d.RollbackReason), StartedAt: aws.Time(d.RollbackStarted), ServiceRevisionArn: aws.String(a.revisionARN(s, d.RollbackTo))}
	}
	if b := d.Rollout.DeploymentCircuitBreaker; b != nil && b.Enable && !shifts(d.Rollout.Strategy) {
		c := out.DeploymentCircuitBreaker
		c.Threshold = breakerThreshold(b, d.Desired)
		if i := s.deploymentIndex(d.Target.ID); i >= 0 {
			c.FailureCount = s.Deployments[i].Failed
		}
		switch {
		case c.FailureCount >= c.Threshold:
			c.Status = types.ServiceDeploymentRollbackMonitorsStatusTriggered
		case d.ongoing():
			c.Status = types.ServiceDeploymentRollbackMonitorsStatusMonitoring
		default:
			c.Status = types.ServiceDeploymentRollbackMonitorsStatusMonitoringComplete
		}
	}
	return out
}

// DescribeServiceRevisions describes what deployments deployed, by the ARNs of the
// revisions.
func (a tx) DescribeServiceRevisions(in *ecs.DescribeServiceRevisionsInput) (*ecs.DescribeServiceRevisionsOutput, error) {
	if n := len(in.ServiceRevisionArns); n == 0 || n > 20 {
		return nil, kernel.Fail("InvalidParameterException", "serviceRevisionArns must have between 1 and 20 entries.")
	}
	out := &ecs.DescribeServiceRevisionsOutput{ServiceRevisions: []types.ServiceRevision{}, Failures: []types.Failure{}}
	for _, arn := range in.ServiceRevisionArns {
		if r := a.describeRevision(arn); r != nil {
			out.ServiceRevisions = append(out.ServiceRevisions, *r)
		} else {
			out.Failures = append(out.Failures, types.Failure{Arn: aws.String(arn), Reason: aws.String("MISSING")})
		}
	}
	return out, nil
}

func (a tx) describeRevision(arn string) *types.ServiceRevision {
	for _, s := range a.state().Services {
		for _, d := range s.History {
			if a.revisionARN(s, d.Target.ID) != arn {
				continue
			}
			out := &types.ServiceRevision{
				ServiceRevisionArn: aws.String(arn), ServiceArn: aws.String(a.serviceARN(s)), ClusterArn: aws.String(a.clusterARN(s.Cluster)),
				TaskDefinition: aws.String(d.Target.Definition), LaunchType: types.LaunchTypeFargate, PlatformFamily: aws.String("Linux"),
				PlatformVersion: aws.String(cmp.Or(d.Target.Platform, "1.4.0")), LoadBalancers: slices.Clone(d.Target.Balancers), NetworkConfiguration: networkOf(d.Target),
				CreatedAt: aws.Time(d.Target.Created),
			}
			for _, b := range d.Target.Balancers {
				resolved := types.ServiceRevisionLoadBalancer{TargetGroupArn: aws.String(d.Target.group(b))}
				if b.AdvancedConfiguration != nil {
					resolved.ProductionListenerRule = b.AdvancedConfiguration.ProductionListenerRule
				}
				if out.ResolvedConfiguration == nil {
					out.ResolvedConfiguration = &types.ResolvedConfiguration{}
				}
				out.ResolvedConfiguration.LoadBalancers = append(out.ResolvedConfiguration.LoadBalancers, resolved)
			}
			if len(d.Target.Capacity) > 0 {
				out.CapacityProviderStrategy, out.LaunchType = slices.Clone(d.Target.Capacity), ""
			}
			if definition := a.definition(d.Target.Definition); definition != nil {
				for _, c := range definition.ContainerDefinitions {
					out.ContainerImages = append(out.ContainerImages, types.ContainerImage{ContainerName: c.Name, Image: c.Image})
				}
			}
			return out
		}
	}
	return nil
}

// StopServiceDeployment rolls a deployment that is going on back to the one before,
// the only way of stopping that ECS has
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stop-service-deployment.html).
func (a tx) StopServiceDeployment(in *ecs.StopServiceDeploymentInput) (*ecs.StopServiceDeploymentOutput, error) {
	if in.StopType != "" && in.StopType != types.StopServiceDeploymentStopTypeRollback {
		return nil, kernel.Fail("InvalidParameterException", "The valid value of stopType is ROLLBACK.")
	}
	s, i, ok := a.findDeployment(aws.ToString(in.ServiceDeploymentArn))
	switch {
	case !ok:
		return nil, kernel.Fail("ServiceDeploymentNotFoundException", "The service deployment was not found.")
	case !s.History[i].ongoing():
		return nil, kernel.Fail("ConflictException", "The service deployment has finished.")
	}
	out := &ecs.StopServiceDeploymentOutput{ServiceDeploymentArn: in.ServiceDeploymentArn}
	if s.History[i].RollbackTo != "" {
		return out, nil // the rollback goes on
	}
	if s.Completed == nil || s.Completed.ID == s.Deployments[0].ID {
		return nil, kernel.Fail("InvalidParameterException", "There is no service revision to roll back to.")
	}
	a.takeBack(s, "deployment was stopped by a user")
	a.wakeScheduler()
	return out, nil
}

// takeBack fails the newest deployment, and rolls it back if there is a revision to go back to.
func (a tx) takeBack(s *service, why string) {
	failed := s.Deployments[0]
	failed.State, failed.Reason, failed.Updated = types.DeploymentRolloutStateFailed, "ECS "+why+".", a.Now()
	s.Deployments[0] = failed
	a.deploymentFailed(s, failed)
	if !a.rollBack(s, failed, "Service "+why) {
		s.endCurrentDeployment(a.Now(), types.ServiceDeploymentStatusStopped, "Service "+why+".")
	}
}
