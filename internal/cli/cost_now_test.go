package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/pricing"
	"github.com/bookctl/bookctl/internal/provision"
)

// TestWhatAStackCostsIsWhatExists changes by hand what costs: status and list show
// what is paid now, and not what was asked for.
func TestWhatAStackCostsIsWhatExists(t *testing.T) {
	t.Parallel()
	cfg := oddConfig(moto.Start(t))
	run := func(args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		c := cfg.Copy()
		g := &globals{args: args, answerGuard: provision.AnswerGuard{Limit: 30 * time.Second}, config: &c}
		code := runWith(t.Context(), g, streams{in: strings.NewReader(""), out: &stdout, err: &stderr})
		return code, stdout.String(), stderr.String()
	}
	if code, _, errs := run("up", "--wait=false", "--arch", runtime.GOARCH, "--image", "127.0.0.1:1/none@sha256:"+strings.Repeat("a", 64)); code != exitOK {
		t.Fatal(errs)
	}
	paid := provision.DefaultSettings()
	paid.Arch = runtime.GOARCH
	var ended time.Time // the standard support of the database's version
	cfg.APIOptions = append(cfg.APIOptions, func(s *middleware.Stack) error {
		return s.Initialize.Add(middleware.InitializeMiddlewareFunc("support", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			if _, asks := in.Parameters.(*rds.DescribeDBMajorEngineVersionsInput); asks && !ended.IsZero() {
				return middleware.InitializeOutput{Result: &rds.DescribeDBMajorEngineVersionsOutput{DBMajorEngineVersions: []rdstypes.DBMajorEngineVersion{{SupportedEngineLifecycles: []rdstypes.SupportedEngineLifecycle{
					{LifecycleSupportName: rdstypes.LifecycleSupportNameOpenSourceRdsStandardSupport, LifecycleSupportEndDate: &ended},
				}}}}}, middleware.Metadata{}, nil
			}
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
	})
	check := func(what string, less float64) {
		t.Helper()
		u := paid.Usage()
		u.DBSupportEnds, u.Now = ended, time.Now()
		lines, err := pricing.Cost(u, "us-east-1")
		if err != nil {
			t.Fatal(err)
		}
		var status struct{ MonthlyCost float64 }
		var list struct {
			Stacks []struct{ MonthlyCost float64 }
		}
		_, text, errs := run("status", "--output", "json")
		if err := json.Unmarshal([]byte(text), &status); err != nil {
			t.Fatalf("%v\n%s%s", err, text, errs)
		}
		_, text, errs = run("list", "--output", "json")
		if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Stacks) != 1 {
			t.Fatalf("%v\n%s%s", err, text, errs)
		}
		want := pricing.Total(lines) - less
		for command, have := range map[string]float64{"status": status.MonthlyCost, "list": list.Stacks[0].MonthlyCost} {
			if math.Abs(have-want) > 0.005 {
				t.Errorf("%s: %s shows $%.2f a month, want $%.2f", what, command, have, want)
			}
		}
	}
	check("as asked for", 0)
	containers, balancing, ctx := ecs.NewFromConfig(cfg), elb.NewFromConfig(cfg), t.Context()
	if _, err := containers.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String("book-cluster"), Service: aws.String("book-service"), DesiredCount: aws.Int32(3)}); err != nil {
		t.Fatal(err)
	}
	if _, err := rds.NewFromConfig(cfg).ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{
		DBInstanceIdentifier: aws.String("book-database"), DBInstanceClass: aws.String("db.t4g.small"), AllocatedStorage: aws.Int32(100), MultiAZ: aws.Bool(true),
	}); err != nil {
		t.Fatal(err)
	}
	paid.Count, paid.DBClass, paid.DBStorage, paid.DBMultiAZ = 3, "db.t4g.small", 100, true
	check("with more tasks and a larger database", 0)
	ended = time.Now().AddDate(0, -1, 0)
	check("in extended support", 0)
	ended = time.Time{}
	lines, err := pricing.Cost(paid.Usage(), "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	var without float64
	for _, l := range lines {
		switch {
		case strings.HasPrefix(l.Item, "load balancer"):
			without += l.Monthly
		case l.Item == "public addresses":
			without += l.Monthly * 2 / 5 // two of five are its own
		}
	}
	out, err := balancing.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{"book-lb"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := balancing.DeleteLoadBalancer(ctx, &elb.DeleteLoadBalancerInput{LoadBalancerArn: out.LoadBalancers[0].LoadBalancerArn}); err != nil {
		t.Fatal(err)
	}
	check("without a load balancer", without)
}
