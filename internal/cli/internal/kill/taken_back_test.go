package kill_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/provision"
)

// TestAReleaseThatIsTakenBackIsNotTheNextRuns takes a release back while the traffic is
// shifted to it, and has the next run begin before that is over: one that wants what ECS
// goes back to, and changes the service besides, waits for it and succeeds.
func TestAReleaseThatIsTakenBackIsNotTheNextRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		a := openTypical(t)
		a.deployed = true
		a.spec.Deploy, a.spec.Memory = "canary:10%/24h:1m", 512
		if err := a.up(ctx, &wire{}); err != nil {
			t.Fatal(err)
		}
		client := provision.NewClients(a.config(&wire{})).ECS
		newest := func() types.ServiceDeployment { return newestDeployment(t, client) }
		other := *a
		other.spec.Memory = 1024
		ended := make(chan error, 1)
		interrupted, interrupt := context.WithCancel(ctx)
		go func() { ended <- other.up(interrupted, &wire{}) }()
		for newest().LifecycleStage != types.ServiceDeploymentLifecycleStageProductionTrafficShift {
			time.Sleep(time.Second)
		}
		// Taking it back fails where ECS ends it otherwise, and not where somebody stopped it.
		have, err := provision.ReadDeployed(ctx, provision.NewClients(a.config(&wire{})), a.spec.Stack)
		if err != nil {
			t.Fatal(err)
		}
		var shown types.ServiceDeploymentStatus // with which ECS shows that it has ended, "" for none
		ends := provision.NewClients(a.config(&wire{}))
		ends.ECS = ecs.New(ends.ECS.Options(), func(o *ecs.Options) {
			o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
				return s.Initialize.Add(middleware.InitializeMiddlewareFunc("ends", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
					out, meta, err := next.HandleInitialize(ctx, in)
					if found, ok := out.Result.(*ecs.DescribeServiceDeploymentsOutput); ok && err == nil && shown != "" {
						found.ServiceDeployments[0].Status, found.ServiceDeployments[0].FinishedAt = shown, aws.Time(time.Now())
					}
					return out, meta, err
				}), middleware.After)
			})
		})
		shifted, err := have.Shifted(ctx, ends, a.spec.Stack)
		if err != nil || shifted == nil {
			t.Fatalf("the release that is shifted to is %v: %v", shifted, err)
		}
		shown = types.ServiceDeploymentStatusRollbackFailed
		if err := shifted.Back(ctx, nil); err == nil || !strings.Contains(err.Error(), "was not rolled back: ROLLBACK_FAILED") {
			t.Errorf("a rollback that fails: %v", err)
		}
		shown = types.ServiceDeploymentStatusStopped
		if err := shifted.Back(ctx, nil); err != nil {
			t.Errorf("a release that somebody stops: %v", err)
		}
		interrupt()
		if err := <-ended; err == nil {
			t.Fatal("the run that is interrupted succeeds")
		}
		if d := newest(); d.FinishedAt != nil {
			t.Fatalf("the release is taken back already: %s", d.Status)
		}
		a.spec.Deploy = "canary:20%/24h:1m"
		if err := a.up(ctx, &wire{}); err != nil {
			t.Errorf("the next run: %v", err)
		}
		if d := newest(); d.Status != types.ServiceDeploymentStatusRollbackSuccessful {
			t.Errorf("afterwards the release is %s", d.Status)
		}
		if err := a.quiet(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
}

// newestRecord is ECS's newest record of a deployment of the service.
func newestRecord(t *testing.T, client *ecs.Client) types.ServiceDeploymentBrief {
	t.Helper()
	list, err := client.ListServiceDeployments(t.Context(), &ecs.ListServiceDeploymentsInput{Cluster: aws.String("book-cluster"), Service: aws.String("book-service")})
	if err != nil {
		t.Fatal(err)
	}
	return list.ServiceDeployments[0]
}

// newestDeployment is ECS's whole record of it.
func newestDeployment(t *testing.T, client *ecs.Client) types.ServiceDeployment {
	t.Helper()
	out, err := client.DescribeServiceDeployments(t.Context(), &ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{*newestRecord(t, client).ServiceDeploymentArn}})
	if err != nil {
		t.Fatal(err)
	}
	return out.ServiceDeployments[0]
}
