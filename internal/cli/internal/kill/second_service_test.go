package kill_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision"
)

// TestASecondServiceInTheClusterBlocksADestroy has somebody run a worker in the stack's cluster
// and network. The check finds it beforehand. If it is created only after that, the destroy does
// not stop its tasks, which the worker would start again, and says what holds the cluster. A
// service of the stack's name without its tag is somebody's as well.
func TestASecondServiceInTheClusterBlocksADestroy(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		ctx, cluster := t.Context(), aws.String("book-cluster")
		found, err := c.ECS.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: cluster, Services: []string{"book-service"}})
		if err != nil {
			t.Fatal(err)
		}
		like := found.Services[0]
		if _, err := c.ECS.CreateService(ctx, &ecs.CreateServiceInput{
			Cluster: cluster, ServiceName: aws.String("worker"), TaskDefinition: like.TaskDefinition, DesiredCount: aws.Int32(1),
			LaunchType: like.LaunchType, NetworkConfiguration: like.NetworkConfiguration,
		}); err != nil {
			t.Fatal(err)
		}
		tasks := func() []string {
			out, err := c.ECS.ListTasks(ctx, &ecs.ListTasksInput{Cluster: cluster, ServiceName: aws.String("worker")})
			if err != nil {
				t.Fatal(err)
			}
			return out.TaskArns
		}
		for len(tasks()) == 0 {
			time.Sleep(time.Second)
		}
		before, err := a.inventory(ctx)
		if err != nil {
			t.Fatal(err)
		}
		err = a.wholeDestroy(ctx)
		if held := (*provision.HeldError)(nil); !errors.As(err, &held) || !strings.Contains(err.Error(), "ECS service worker is in cluster book-cluster") {
			t.Errorf("what blocks the destroy is %v", err)
		}
		const command = "aws ecs delete-service --cluster book-cluster --service worker --force"
		if next := hint.Of(err).String(); !strings.Contains(next, command) {
			t.Errorf("the next step is %q, without %q", next, command)
		}
		if after, err := a.inventory(ctx); err != nil || !slices.Equal(before, after) {
			t.Errorf("it has changed the account: %v\n%v\n%v", err, before, after)
		}
		if _, err := c.ECS.UntagResource(ctx, &ecs.UntagResourceInput{ResourceArn: like.ServiceArn, TagKeys: []string{provision.TagStack}}); err != nil {
			t.Fatal(err)
		}
		err = a.wholeDestroy(ctx)
		if held := (*provision.HeldError)(nil); !errors.As(err, &held) || !strings.Contains(err.Error(), "ECS service book-service is in cluster book-cluster") {
			t.Errorf("with the stack's service without its tag, what blocks the destroy is %v", err)
		}
		if _, err := c.ECS.TagResource(ctx, &ecs.TagResourceInput{ResourceArn: like.ServiceArn, Tags: []types.Tag{{Key: aws.String(provision.TagStack), Value: aws.String("book")}}}); err != nil {
			t.Fatal(err)
		}

		running := tasks()
		err = a.run(&wire{}, a.spec, func(r provision.Run) error { // without the check
			_, err := r.Destroy(ctx, true, time.Second)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "a service is still in it") || !strings.Contains(err.Error(), "another one") {
			t.Errorf("the destroy ended with %v", err)
		}
		left, unread := provision.Inventory(ctx, c, "book")
		if !slices.ContainsFunc(left, func(i inventory.Item) bool { return i.Type == "cluster" && i.HeldBy == "ECS service worker" }) {
			t.Errorf("left: %v, %v", left, unread)
		}
		if now := tasks(); !slices.Equal(now, running) {
			t.Errorf("the worker had the tasks %v, and has %v", running, now)
		}
		if _, err := c.ECS.DeleteService(ctx, &ecs.DeleteServiceInput{Cluster: cluster, Service: aws.String("worker"), Force: aws.Bool(true)}); err != nil {
			t.Fatal(err)
		}
		if err := a.wholeDestroy(ctx); err != nil {
			t.Error(err)
		}
	})
}
