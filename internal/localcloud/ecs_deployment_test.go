package localcloud_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// TestTheHistoryOfAServiceIsKept takes a service through a release, a bad one that
// the circuit breaker rolls back, one that a user stops, and one that another
// overtakes.
func TestTheHistoryOfAServiceIsKept(t *testing.T) {
	t.Parallel()
	s := newStage(t, localcloud.Config{Latencies: localcloud.Latencies{Scale: 0.01}})
	first := s.definition(t, "serve", "first", nil)
	created := s.create(t, first, 1)
	if created.CurrentServiceDeployment == nil {
		t.Error("a service that begins has no current deployment")
	}
	d := s.until(t, "complete", completed)
	if d.CurrentServiceDeployment != nil || len(d.CurrentServiceRevisions) != 1 || d.CurrentServiceRevisions[0].RunningTaskCount != 1 {
		t.Errorf("a service that is complete has the deployment %q and the revisions %+v", aws.ToString(d.CurrentServiceDeployment), d.CurrentServiceRevisions)
	}
	crash := s.definition(t, "crash", "crash", nil)
	failing := *s.update(t, ecs.UpdateServiceInput{TaskDefinition: &crash}).Deployments[0].Id
	s.until(t, "rolled back", func(d types.Service) bool { return completed(d) && *d.Deployments[0].Id != failing })

	stopped := s.update(t, ecs.UpdateServiceInput{TaskDefinition: &crash})
	if _, err := s.ecs.StopServiceDeployment(t.Context(), &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: stopped.CurrentServiceDeployment}); err != nil {
		t.Fatal(err)
	}
	s.until(t, "rolled back again", func(d types.Service) bool { return completed(d) && *d.Deployments[0].Id != *stopped.Deployments[0].Id })
	refused := func(what, code string, err error) {
		t.Helper()
		var answer smithy.APIError
		if !errors.As(err, &answer) || answer.ErrorCode() != code {
			t.Errorf("%s: %v, want %s", what, err, code)
		}
	}
	_, err := s.ecs.StopServiceDeployment(t.Context(), &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: stopped.CurrentServiceDeployment})
	refused("stop what has ended", "ConflictException", err)
	_, err = s.ecs.StopServiceDeployment(t.Context(), &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: aws.String(*stopped.CurrentServiceDeployment + "x")})
	refused("stop what never was", "ServiceDeploymentNotFoundException", err)

	overtaken := s.definition(t, "serve", "overtaken", nil)
	s.update(t, ecs.UpdateServiceInput{TaskDefinition: &overtaken})
	last := s.definition(t, "serve", "last", nil)
	s.update(t, ecs.UpdateServiceInput{TaskDefinition: &last})
	s.until(t, "complete at last", completed)

	var all []types.ServiceDeploymentBrief
	for token := (*string)(nil); ; {
		page := must[*ecs.ListServiceDeploymentsOutput](t)(s.ecs.ListServiceDeployments(t.Context(), &ecs.ListServiceDeploymentsInput{
			Cluster: aws.String(stageName), Service: aws.String(stageName), MaxResults: aws.Int32(2), NextToken: token,
		}))
		all = append(all, page.ServiceDeployments...)
		if token = page.NextToken; token == nil {
			break
		}
	}
	var statuses []types.ServiceDeploymentStatus
	var arns, revisions []string
	for _, d := range all {
		statuses = append(statuses, d.Status)
		arns, revisions = append(arns, *d.ServiceDeploymentArn), append(revisions, *d.TargetServiceRevisionArn)
	}
	want := []types.ServiceDeploymentStatus{
		types.ServiceDeploymentStatusSuccessful, types.ServiceDeploymentStatusStopped, types.ServiceDeploymentStatusRollbackSuccessful,
		types.ServiceDeploymentStatusRollbackSuccessful, types.ServiceDeploymentStatusSuccessful,
	}
	if !slices.Equal(statuses, want) {
		t.Fatalf("the history is %v, want %v", statuses, want)
	}
	good := must[*ecs.ListServiceDeploymentsOutput](t)(s.ecs.ListServiceDeployments(t.Context(), &ecs.ListServiceDeploymentsInput{
		Cluster: aws.String(stageName), Service: aws.String(stageName), Status: []types.ServiceDeploymentStatus{types.ServiceDeploymentStatusSuccessful},
	})).ServiceDeployments
	if len(good) != 2 {
		t.Errorf("%d deployments succeeded, want 2", len(good))
	}

	described := must[*ecs.DescribeServiceDeploymentsOutput](t)(s.ecs.DescribeServiceDeployments(t.Context(), &ecs.DescribeServiceDeploymentsInput{
		ServiceDeploymentArns: append(slices.Clone(arns), arns[0]+"x"),
	}))
	if len(described.ServiceDeployments) != 5 || len(described.Failures) != 1 {
		t.Fatalf("%d deployments are described and %d are not", len(described.ServiceDeployments), len(described.Failures))
	}
	for i, d := range described.ServiceDeployments {
		back := d.Rollback
		switch {
		case (i == 2 || i == 3) != (back != nil):
			t.Errorf("deployment %d has the rollback %+v", i, back)
		case back != nil && *back.ServiceRevisionArn != revisions[4]:
			t.Errorf("deployment %d was rolled back to %s, not to the first", i, *back.ServiceRevisionArn)
		case (len(d.SourceServiceRevisions) == 0) != (i == 4):
			t.Errorf("deployment %d began with the revisions %+v", i, d.SourceServiceRevisions)
		}
	}
	if c := described.ServiceDeployments[3].DeploymentCircuitBreaker; c.Threshold != 3 {
		t.Errorf("the circuit breaker is %+v", c)
	}
	details := must[*ecs.DescribeServiceRevisionsOutput](t)(s.ecs.DescribeServiceRevisions(t.Context(), &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: revisions})).ServiceRevisions
	if len(details) != 5 || *details[0].TaskDefinition != last || *details[4].TaskDefinition != first {
		t.Fatalf("the revisions are %+v", details)
	}
	if image := *details[0].ContainerImages[0].Image; image != s.image || !strings.HasSuffix(*details[0].ServiceRevisionArn, strings.TrimPrefix(*s.describe(t).Deployments[0].Id, "ecs-svc/")) {
		t.Errorf("the last revision is %s of the image %s", *details[0].ServiceRevisionArn, image)
	}
}

// TestADeploymentFailsAndSucceedsAsConfigured has one failed task fail a deployment, and a
// healthy one complete another while a task of the release before still ends its work.
func TestADeploymentFailsAndSucceedsAsConfigured(t *testing.T) {
	t.Parallel()
	s := newStage(t, localcloud.Config{Latencies: localcloud.Latencies{Scale: 0.01}})
	s.create(t, s.definition(t, "linger", "first", nil), 1)
	s.until(t, "complete", completed)
	crash := s.definition(t, "crash", "crash", nil)
	failing := s.update(t, ecs.UpdateServiceInput{TaskDefinition: &crash, DeploymentConfiguration: &types.DeploymentConfiguration{
		DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true, Rollback: true, ThresholdConfiguration: &types.ThresholdConfiguration{Type: types.ThresholdTypeCount, Value: 1}},
	}})
	s.until(t, "rolled back", func(d types.Service) bool { return completed(d) && *d.Deployments[0].Id != *failing.Deployments[0].Id })
	failed := must[*ecs.DescribeServiceDeploymentsOutput](t)(s.ecs.DescribeServiceDeployments(t.Context(), &ecs.DescribeServiceDeploymentsInput{
		ServiceDeploymentArns: []string{*failing.CurrentServiceDeployment},
	})).ServiceDeployments[0]
	if b := failed.DeploymentCircuitBreaker; b.Threshold != 1 || b.Status != types.ServiceDeploymentRollbackMonitorsStatusTriggered {
		t.Errorf("the circuit breaker is %+v", b)
	}
	early := &types.DeploymentEarlySuccessCriteria{Enable: true, HealthyPercent: aws.Int32(50), SourceServiceRevisionCleanup: types.ServiceRevisionCleanupDeferred}
	update := func() error {
		_, err := s.ecs.UpdateService(t.Context(), &ecs.UpdateServiceInput{
			Cluster: aws.String(stageName), Service: aws.String(stageName), DeploymentConfiguration: &types.DeploymentConfiguration{EarlySuccessCriteria: early},
		})
		return err
	}
	refused(t, update(), "InvalidParameterException", "between minimumHealthyPercent and 100") // which is 100
	early.HealthyPercent = aws.Int32(100)
	if err := update(); err != nil {
		t.Fatal(err)
	}
	second := s.definition(t, "serve", "second", nil)
	s.update(t, ecs.UpdateServiceInput{TaskDefinition: &second})
	s.until(t, "complete before the task of the release before has ended", func(d types.Service) bool {
		return len(d.Deployments) == 2 && d.Deployments[0].RolloutState == types.DeploymentRolloutStateCompleted
	})
}
