package kill_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/memory"
	"github.com/bookctl/bookctl/internal/provision"
)

// TestFormerPermissionsStayInARolloutThatSucceedsEarly has ECS call a release complete while a task
// of the one before still runs: that keeps what it may do until it has ended.
func TestFormerPermissionsStayInARolloutThatSucceedsEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		const former = "arn:aws:iam::aws:policy/First"
		a := &account{image: noImage, retry: func() aws.Retryer { return provision.NewRetryer(10 * time.Second) }}
		cfg := localcloud.Config{StateDir: t.TempDir(), Runtimes: memory.Runtimes, Latencies: localcloud.TypicalLatencies()}
		cfg.Latencies.TaskStop = 40 * time.Minute
		a.start(t, cfg, 8080)
		a.spec.Count, a.spec.TaskPolicies, a.deployed = 1, former, true
		if err := a.up(ctx, &wire{}); err != nil {
			t.Fatal(err)
		}
		c := provision.NewClients(a.config(&wire{}))
		allowed := func() bool {
			t.Helper()
			out, err := c.IAM.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: aws.String("book-us-east-1-task-role")})
			if err != nil {
				t.Fatal(err)
			}
			return len(out.AttachedPolicies) == 1
		}
		service := func() types.Service {
			t.Helper()
			out, err := c.ECS.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String("book-cluster"), Services: []string{"book-service"}})
			if err != nil {
				t.Fatal(err)
			}
			return out.Services[0]
		}
		a.spec.TaskPolicies, a.spec.Memory, a.spec.Wait = "", 1024, false
		if err := a.up(ctx, &wire{}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.ECS.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String("book-cluster"), Service: aws.String("book-service"), DeploymentConfiguration: &types.DeploymentConfiguration{
			EarlySuccessCriteria: &types.DeploymentEarlySuccessCriteria{Enable: true, HealthyPercent: aws.Int32(100), SourceServiceRevisionCleanup: types.ServiceRevisionCleanupDeferred},
		}}); err != nil {
			t.Fatal(err)
		}
		for service().Deployments[0].RolloutState != types.DeploymentRolloutStateCompleted {
			time.Sleep(time.Second)
		}
		if n := len(service().Deployments); n != 2 || !allowed() {
			t.Fatalf("the release is complete with %d deployments, and the permissions of the one before: %v", n, allowed())
		}
		// ECS shows the task of the release before as one that runs until it removes it.
		early := provision.NewClients(a.config(&wire{}))
		early.ECS = ecs.New(early.ECS.Options(), func(o *ecs.Options) {
			o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
				return s.Initialize.Add(middleware.InitializeMiddlewareFunc("runs", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
					out, meta, err := next.HandleInitialize(ctx, in)
					if found, ok := out.Result.(*ecs.DescribeServicesOutput); ok && err == nil && len(found.Services) == 1 && len(found.Services[0].Deployments) == 2 {
						found.Services[0].Deployments[1].RunningCount = 1
					}
					return out, meta, err
				}), middleware.After)
			})
		})
		spec := a.spec
		spec.Wait = true
		if err := a.run(&wire{}, spec, func(r provision.Run) error {
			r.Clients = early
			_, _, err := r.Up(ctx)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if n := len(service().Deployments); n != 2 || !allowed() {
			t.Errorf("behind a run there are %d deployments, and the permissions of the release before: %v", n, allowed())
		}
		time.Sleep(time.Hour)
		if err := a.up(ctx, &wire{}); err != nil {
			t.Fatal(err)
		}
		if n := len(service().Deployments); n != 1 || allowed() {
			t.Errorf("afterwards there are %d deployments, and the permissions of the release before: %v", n, allowed())
		}
	})
}
