package kill_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
)

// TestARunNamesTheHookThatHoldsADeployment has somebody pause a release, and a run wait for it: it
// gives up without taking the release back, and says how that goes on.
func TestARunNamesTheHookThatHoldsADeployment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		a := openTypical(t)
		a.deployed = true
		a.spec.Deploy = "canary:10%/1m:1m"
		for range 2 { // the first release rolls
			if err := a.up(ctx, &wire{}); err != nil {
				t.Fatal(err)
			}
		}
		c := provision.NewClients(a.config(&wire{}))
		record := func() types.ServiceDeployment { return newestDeployment(t, c.ECS) }
		pause := func() {
			t.Helper()
			if _, err := c.ECS.UpdateService(ctx, &ecs.UpdateServiceInput{
				Cluster: aws.String("book-cluster"), Service: aws.String("book-service"), ForceNewDeployment: true,
				DeploymentConfiguration: &types.DeploymentConfiguration{LifecycleHooks: []types.DeploymentLifecycleHook{{
					TargetType: types.DeploymentLifecycleHookTargetTypePause, LifecycleStages: []types.DeploymentLifecycleHookStage{types.DeploymentLifecycleHookStagePostScaleUp},
				}}},
			}); err != nil {
				t.Fatal(err)
			}
			for len(record().LifecycleHookDetails) == 0 {
				time.Sleep(time.Second)
			}
		}
		pause()
		hook := *record().LifecycleHookDetails[0].HookId
		spec := a.spec
		have, err := provision.ReadDeployed(ctx, c, spec.Stack)
		if err != nil {
			t.Fatal(err)
		}
		spec.Deployed, spec.TwoTargetGroups = &have, have.TwoTargetGroups
		image, err := a.image()
		if err != nil {
			t.Fatal(err)
		}
		spec.Source = source{image, &wire{}, a.by}
		var stack *provision.Stack
		err = a.run(&wire{}, spec, func(r provision.Run) (err error) {
			stack, _, err = r.Up(ctx)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "held by the lifecycle hook "+hook+" in the stage POST_SCALE_UP until ") {
			t.Errorf("a run that waits for it: %v", err)
		}
		if d := record(); d.Status != types.ServiceDeploymentStatusInProgress {
			t.Fatalf("the release is %s: %s", d.Status, aws.ToString(d.StatusReason))
		}
		evidence, err := stack.Evidence(ctx)
		if err != nil {
			t.Fatal(err)
		}
		why := diagnosis.OfRelease(evidence, hint.New("run it again"))
		next := "'aws ecs continue-service-deployment --service-deployment-arn " + *record().ServiceDeploymentArn + " --hook-id " + hook + " --action CONTINUE' has it go on"
		if !strings.Contains(why.Text, " is held by the lifecycle hook "+hook) || !strings.HasPrefix(why.Hint.String(), next) {
			t.Errorf("explained by %q, %q", why.Text, why.Hint)
		}
		status, err := stack.Status(ctx)
		if held := status.Service.Held; err != nil || held == nil || held.Hook != hook || held.Then != "ROLLBACK" {
			t.Errorf("the status is %+v: %v", held, err)
		}
		if _, err := c.ECS.ContinueServiceDeployment(ctx, &ecs.ContinueServiceDeploymentInput{ServiceDeploymentArn: record().ServiceDeploymentArn, HookId: &hook}); err != nil {
			t.Fatal(err)
		}
		if err := a.up(ctx, &wire{}); err != nil {
			t.Errorf("the next run: %v", err)
		}
		if d := record(); d.Status != types.ServiceDeploymentStatusSuccessful {
			t.Errorf("afterwards the release is %s", d.Status)
		}

		// A deployment that is taken back can't be continued any more.
		pause()
		if _, err := c.ECS.StopServiceDeployment(ctx, &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: record().ServiceDeploymentArn}); err != nil {
			t.Fatal(err)
		}
		evidence, err = stack.Evidence(ctx)
		if d := record(); err != nil || evidence.Held != nil || d.FinishedAt != nil {
			t.Errorf("while it is %s, it is said to be held by %+v: %v", d.Status, evidence.Held, err)
		}
	})
}
