package provision_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// TestASettingIsKeptAndAChangeByHandIsNot gives a stack settings, changes some
// by hand, and lets a run without flags repair them.
func TestASettingIsKeptAndAChangeByHandIsNot(t *testing.T) {
	t.Parallel()
	endpoint, ctx := moto.Start(t), t.Context()
	w := &wire{}
	c := w.clients(endpoint)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	none, err := provision.ReadDeployed(ctx, c, "book")
	must(err)
	if none.Found || none.Settings != provision.DefaultSettings() {
		t.Errorf("an empty account holds %+v", none)
	}

	want := spec()
	want.CPU, want.Memory, want.Arch, want.Port = 512, 2048, "arm64", 8081
	want.Count, want.Min, want.Max = 2, 2, 4
	want.DBStorage, want.DBVersion, want.BackupDays, want.Protect = 30, "17", 3, true
	run := func(spec provision.Spec) graph.Report {
		t.Helper()
		s := wired(t, w, endpoint, spec)
		r, err := graph.Up(ctx, s.Resources(), soon(s))
		must(err)
		return r
	}
	run(want)
	have, err := provision.ReadDeployed(ctx, c, "book")
	must(err)
	if diff := cmp.Diff(want.Settings, have.Settings); diff != "" || !have.Found || have.Zones != want.Zones || have.Running != image {
		t.Errorf("deployed %+v; settings (-given +read):\n%s", have, diff)
	}
	whole := accountInventory(t, endpoint)
	for _, line := range []string{"scaling of service/book-cluster/book-service from 2 to 4", "listener of book-lb HTTP 8081 forward book-tasks"} {
		if !strings.Contains(strings.Join(whole, "\n"), line) {
			t.Errorf("%q is not among\n%s", line, strings.Join(whole, "\n"))
		}
	}

	// The scaler's own change is no drift; all the others are.
	_, err = c.ECS.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String("book-cluster"), Service: aws.String("book-service"), DesiredCount: aws.Int32(3)})
	must(err)
	balancers, err := c.ELB.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{})
	must(err)
	lb := balancers.LoadBalancers[0].LoadBalancerArn
	_, err = c.ELB.ModifyLoadBalancerAttributes(ctx, &elb.ModifyLoadBalancerAttributesInput{LoadBalancerArn: lb, Attributes: []elbtypes.LoadBalancerAttribute{
		{Key: aws.String("idle_timeout.timeout_seconds"), Value: aws.String("5")},
		{Key: aws.String("deletion_protection.enabled"), Value: aws.String("false")},
	}})
	must(err)
	groups, err := c.ELB.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{})
	must(err)
	_, err = c.ELB.CreateListener(ctx, &elb.CreateListenerInput{LoadBalancerArn: lb, Port: aws.Int32(9999), Protocol: elbtypes.ProtocolEnumHttp, DefaultActions: []elbtypes.Action{
		{Type: elbtypes.ActionTypeEnumForward, TargetGroupArn: groups.TargetGroups[0].TargetGroupArn},
	}})
	must(err)

	have, err = provision.ReadDeployed(ctx, c, "book")
	must(err)
	if diff := cmp.Diff(want.Settings, have.Settings); diff != "" {
		t.Errorf("after changes by hand the settings (-given +read):\n%s", diff)
	}
	keep := provision.Spec{Stack: "book", Version: "test", Settings: have.Settings, Zones: have.Zones, Running: have.Running, Deployed: &have}
	var drifted []string
	for _, f := range graph.Observe(ctx, wired(t, w, endpoint, keep).Resources(), graph.Options{}) {
		if f.Err != nil {
			t.Fatal(f.Err)
		}
		for _, d := range f.Drift {
			if strings.HasPrefix(d.Field, "extra listener ") {
				d.Field, d.Have = "extra listener", ""
			}
			drifted = append(drifted, f.Name+" "+d.String())
		}
	}
	if diff := cmp.Diff([]string{
		"load-balancer deletion_protection.enabled: false → true", "load-balancer idle_timeout.timeout_seconds: 5 → 60", "listener extra listener: (none) → (none)",
	}, drifted); diff != "" {
		t.Errorf("drift (-want +got):\n%s", diff)
	}
	run(keep)
	scaled := strings.ReplaceAll(strings.Join(whole, "\n"), "FARGATE 2 tasks", "FARGATE 3 tasks")
	if diff := cmp.Diff(scaled, strings.Join(accountInventory(t, endpoint), "\n")); diff != "" {
		t.Errorf("after up (-want +got):\n%s", diff)
	}

	// Another number of tasks, a fixed one: the scaling goes.
	fixed := keep
	fixed.Count, fixed.Min, fixed.Max, fixed.Protect = 1, 0, 0, false
	run(fixed)
	after := strings.Join(accountInventory(t, endpoint), "\n")
	if strings.Contains(after, "scaling of") || !strings.Contains(after, "FARGATE 1 tasks") {
		t.Errorf("after up with a fixed number:\n%s", after)
	}
}

// TestAHealthyStackIsReadInFewCalls counts on the wire what plan and status ask.
func TestAHealthyStackIsReadInFewCalls(t *testing.T) {
	t.Parallel()
	endpoint, ctx := moto.Start(t), t.Context()
	up(t, endpoint)
	w := &wire{}
	have, err := provision.ReadDeployed(ctx, w.clients(endpoint), "book")
	if err != nil {
		t.Fatal(err)
	}
	s := wired(t, w, endpoint, provision.Spec{Stack: "book", Version: "test", Settings: have.Settings, Zones: have.Zones, Running: have.Running, Deployed: &have})
	for _, f := range graph.Observe(ctx, s.Resources(), s.Options()) {
		if f.Err != nil || f.Phase != graph.Ready && !f.Unwanted || len(f.Drift) > 0 {
			t.Errorf("%s: %+v", f.Name, f)
		}
	}
	plan := len(w.read())
	status, err := s.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if status.URL != "http://book-lb-1.us-east-1.elb.amazonaws.com" || status.Service.Desired != 1 || status.Database == nil ||
		status.Database.State != "available" || status.Image.Reference != image {
		t.Errorf("status %+v", status)
	}
	all := len(w.read())
	t.Logf("plan reads %d times, status %d: %v", plan, all, w.read())
	if plan > 44 || all > 47 || len(w.written()) != 0 {
		t.Errorf("plan made %d calls and status %d, and %v wrote", plan, all, w.written())
	}
}

func TestWhatAWSWouldRefuseIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		want  string // in the error; "" for none
		spoil func(*provision.Settings)
	}{
		{"", func(*provision.Settings) {}},
		{"", func(s *provision.Settings) { s.CPU, s.Memory = 4096, 30720 }},
		{"", func(s *provision.Settings) { s.CPU, s.Memory = 16384, 122880 }},
		{"", func(s *provision.Settings) { s.Count, s.Min, s.Max = 3, 2, 5 }},
		{"cpu 300: Fargate takes 256, 512, 1024, 2048, 4096, 8192, 16384", func(s *provision.Settings) { s.CPU = 300 }},
		{"memory 4096: with cpu 256 Fargate takes 512, 1024, 2048", func(s *provision.Settings) { s.Memory = 4096 }},
		{"memory 22528: with cpu 8192 Fargate takes 16384 to 61440 in steps of 4096", func(s *provision.Settings) { s.CPU, s.Memory = 8192, 22528 }},
		{`architecture "mips"`, func(s *provision.Settings) { s.Arch = "mips" }},
		{"port 0", func(s *provision.Settings) { s.Port = 0 }},
		{"port 65536", func(s *provision.Settings) { s.Port = 65536 }},
		{"count 0: choose 1 to 5000 tasks, or stop them all with 'bookctl pause'", func(s *provision.Settings) { s.Count = 0 }},
		{"count 9: choose one from min 2 to max 5", func(s *provision.Settings) { s.Count, s.Min, s.Max = 9, 2, 5 }},
		{"min 2 without max", func(s *provision.Settings) { s.Min = 2 }},
		{"min not above max", func(s *provision.Settings) { s.Min, s.Max = 5, 2 }},
		{`database class "micro"`, func(s *provision.Settings) { s.DBClass = "micro" }},
		{"storage 5 GiB", func(s *provision.Settings) { s.DBStorage = 5 }},
		{"retention 36 days", func(s *provision.Settings) { s.BackupDays = 36 }},
		{`database version "9"`, func(s *provision.Settings) { s.DBVersion = "9" }},
		{`database user "Admin": RDS reserves that word`, func(s *provision.Settings) { s.DBUser = "Admin" }},
		{`database user "public": RDS reserves that word`, func(s *provision.Settings) { s.DBUser = "public" }},
		{`database name "order": RDS reserves that word`, func(s *provision.Settings) { s.DBName = "order" }},
		{`database name "catalog": RDS reserves that word`, func(s *provision.Settings) { s.DBName = "catalog" }},
		{"", func(s *provision.Settings) { s.DBUser, s.DBName = "orders", "grants" }},
		{`image "a b"`, func(s *provision.Settings) { s.Image = "a b" }},
	} {
		s := provision.DefaultSettings()
		test.spoil(&s)
		err := s.Check()
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%+v: %v", s, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("got %v, want one line with %q", err, test.want)
		}
	}
}
