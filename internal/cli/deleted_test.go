package cli_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scalingtypes "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/google/go-cmp/cmp"
)

// TestWhatIsDeletedByHandComesBackAsItWasConfigured deletes scaling, service and load
// balancer, each of which records settings: they are recorded at what stays, too. When
// all of the stack is deleted, they are forgotten.
func TestWhatIsDeletedByHandComesBackAsItWasConfigured(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	type setting struct {
		Name      string
		Now, Then any
	}
	settings := func() (out []setting) {
		t.Helper()
		var plan struct{ Settings []setting }
		r := s.run("plan", "--local", "--output", "json")
		if err := json.Unmarshal([]byte(r.out), &plan); err != nil || len(plan.Settings) == 0 {
			t.Fatalf("%v\n%s%s", err, r.out, r.err)
		}
		for _, x := range plan.Settings {
			if x.Name == "port" && x.Now == nil { // any that is free
				x.Then = nil
			}
			out = append(out, x)
		}
		return out
	}
	fresh := settings()
	first := openPort(t)
	s.up("--port", strconv.Itoa(int(first)), "--log-days", "30")
	port := openPort(t)
	// Nobody asks the service for anything, and so it would be scaled down from anything
	// above its bound.
	s.up("--port", strconv.Itoa(int(port)), "--count", "2", "--min", "2", "--max", "3")
	account := h.backedUp()
	before, ctx := settings(), t.Context()
	containers, balancing := ecs.NewFromConfig(h.Config), elb.NewFromConfig(h.Config)
	for _, c := range []struct {
		part   string
		remove func()
	}{
		{"scaling", func() {
			h.must(ok(scaling.NewFromConfig(h.Config).DeregisterScalableTarget(ctx, &scaling.DeregisterScalableTargetInput{
				ServiceNamespace: scalingtypes.ServiceNamespaceEcs, ResourceId: aws.String("service/book-cluster/book-service"),
				ScalableDimension: scalingtypes.ScalableDimensionECSServiceDesiredCount,
			})))
		}},
		{"service", func() {
			h.must(ok(containers.DeleteService(ctx, &ecs.DeleteServiceInput{Cluster: aws.String("book-cluster"), Service: aws.String("book-service"), Force: aws.Bool(true)})))
			until(t, "the service is gone", func() bool {
				out, err := containers.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String("book-cluster"), Services: []string{"book-service"}})
				return err == nil && (len(out.Services) == 0 || *out.Services[0].Status == "INACTIVE")
			})
		}},
		{"load balancer", func() {
			out, err := balancing.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{"book-lb"}})
			h.must(err)
			h.must(ok(balancing.DeleteLoadBalancer(ctx, &elb.DeleteLoadBalancerInput{LoadBalancerArn: out.LoadBalancers[0].LoadBalancerArn})))
		}},
	} {
		c.remove()
		if diff := cmp.Diff(before, settings()); diff != "" {
			t.Errorf("without the %s the settings differ (-before +after):\n%s", c.part, diff)
		}
		if r := s.run("plan", "--local"); r.code != 2 || strings.Contains(r.out+r.err, "is gone, and with it") {
			t.Errorf("plan without the %s: exit code %d\n%s%s", c.part, r.code, r.out, r.err)
		}
		s.must("up", "--local")
		if r := s.run("plan", "--local"); r.code != 0 {
			t.Errorf("plan after the %s came back: exit code %d\n%s%s", c.part, r.code, r.out, r.err)
		}
		h.same("the account differs after the "+c.part+" came back", account)
	}
	// ECS still shows the deleted cluster, which had a copy of the service's settings.
	s.must("destroy", "--local", "--purge-snapshots", "--yes")
	if diff := cmp.Diff(fresh, settings()); diff != "" {
		t.Errorf("a destroyed stack has settings (-before it was made +now):\n%s", diff)
	}
}

// TestADeletedServiceComesBack deletes a service and has it created again just as it was.
// ECS takes the same client token for the same call.
func TestADeletedServiceComesBack(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	up := append([]string{"up", "--local", "--no-database"}, imageless()...)
	s.must(up...)
	containers := ecs.NewFromConfig(h.Config)
	for range 2 {
		h.must(ok(containers.DeleteService(t.Context(), &ecs.DeleteServiceInput{Cluster: aws.String("book-cluster"), Service: aws.String("book-service"), Force: aws.Bool(true)})))
		until(t, "the service is gone", func() bool {
			out, err := containers.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Cluster: aws.String("book-cluster"), Services: []string{"book-service"}})
			return err == nil && (len(out.Services) == 0 || *out.Services[0].Status == "INACTIVE")
		})
		s.must(append(up, "--timeout", "2m")...)
		s.run("plan", "--local").shows(t, 0)
	}
}

// TestTasksWhoseLogGroupWasDeletedAreSilent deletes the log group of running tasks. What makes
// it anew says that they go on without one.
func TestTasksWhoseLogGroupWasDeletedAreSilent(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, app := newShell(t), newVersioned(t)
	app.is(t, "v1", `http.HandleFunc("/say", func(_ http.ResponseWriter, r *http.Request) { fmt.Println("said", r.URL.RawQuery) })`)
	url := s.up("--no-database", "--source", app.dir)
	said := func(word string) bool {
		return strings.Contains(s.must("logs", "--local", "--since", "10m"), "said "+word)
	}
	call(t, "GET", url+"/say?first", "")
	until(t, "the task has a log", func() bool { return said("first") })
	done[*cloudwatchlogs.DeleteLogGroupOutput](t)(cloudwatchlogs.NewFromConfig(s.config()).DeleteLogGroup(t.Context(), &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: aws.String("/bookctl/book")}))
	s.run("up", "--local").says(t, 0, "note: the log group was deleted and is new, and the tasks that run write nothing into it: 'bookctl restart --local' replaces them")
	call(t, "GET", url+"/say?second", "")
	if r := s.run("up", "--local"); r.code != 0 || strings.Contains(r.err, "log group") {
		t.Errorf("exit code %d\n%s", r.code, r.err)
	}
	s.must("restart", "--local")
	call(t, "GET", url+"/say?third", "")
	until(t, "the new task has a log", func() bool { return said("third") })
	if said("second") {
		t.Error("a task writes into a group that it did not begin with")
	}
}

// TestDestroyTouchesNothingWhereTheProofWouldBeDenied denies a read that destroy goes
// without until its end, when it proves that nothing is left.
func TestDestroyTouchesNothingWhereTheProofWouldBeDenied(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up(imageless()...)
	before := h.backedUp()
	for _, read := range []string{"application-autoscaling:DescribeScalableTargets", "acm:ListCertificates"} {
		h.faults(map[string]any{"deny": []string{read}})
		s.run("destroy", "--local", "--yes").says(t, 4, read, "Nothing was touched.")
		h.faults(map[string]any{})
		h.same("a destroy that may not "+read+" touched something", before)
	}
	for _, first := range []string{"ecs:DescribeServices", "rds:DescribeDBSnapshots", "ec2:DescribeNetworkInterfaces", "secretsmanager:DescribeSecret"} {
		h.faults(map[string]any{"deny": []string{first}})
		s.run("destroy", "--local", "--yes").says(t, 4, first, "Nothing was touched.")
	}
	// These go first, and what they need waits for them.
	h.faults(map[string]any{"deny": []string{"ecs:DeleteService", "ec2:DisassociateRouteTable", "ec2:DeleteRouteTable"}})
	s.run("destroy", "--local", "--yes").says(t, 4, ", to delete ", "Nothing was deleted.")
	h.faults(map[string]any{})
	h.same("a destroy that may delete nothing deleted something", before)
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, " 0 left")
}
