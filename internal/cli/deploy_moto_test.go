package cli_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/awsaccount"
	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// TestMotoHasWhatShiftsTheTraffic asks an AWS that nobody here wrote for what a canary
// takes: two target groups, a listener that weighs them, a role for ECS, and a service
// that names them all. moto keeps no deploymentConfiguration, so that how the release goes
// is read off the request.
func TestMotoHasWhatShiftsTheTraffic(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	endpoint, ctx := moto.Start(t), t.Context()
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("t", "t", ""), APIOptions: []func(*middleware.Stack) error{requestbody.Readable}}
	inventory := func() []string {
		t.Helper()
		out, err := awsaccount.Inventory(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	before := inventory()
	sent := &sentTo{t: t, endpoint: endpoint, action: "AmazonEC2ContainerServiceV20141113.CreateService"}
	proxy := httptest.NewServer(sent)
	t.Cleanup(proxy.Close)
	s := newShell(t, "AWS_ENDPOINT_URL="+proxy.URL, "AWS_ACCESS_KEY_ID=t", "AWS_SECRET_ACCESS_KEY=t", "AWS_REGION=us-east-1")
	s.must("up", "--wait=false", "--image", noImage, "--arch", runtime.GOARCH, "--no-database", "--deploy", "canary:10%/5m")

	balancing := elb.NewFromConfig(cfg)
	groups, err := balancing.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{})
	if err != nil {
		t.Fatal(err)
	}
	arn := map[string]string{}
	for _, g := range groups.TargetGroups {
		arn[*g.TargetGroupName] = *g.TargetGroupArn
	}
	if names := slices.Sorted(maps.Keys(arn)); !slices.Equal(names, []string{"book-tasks", "book-tasks-b"}) {
		t.Fatalf("the target groups are %v", names)
	}
	listeners, err := balancing.DescribeListeners(ctx, &elb.DescribeListenersInput{LoadBalancerArn: &groups.TargetGroups[0].LoadBalancerArns[0]})
	if err != nil {
		t.Fatal(err)
	}
	listener := *listeners.Listeners[0].ListenerArn
	rules, err := balancing.DescribeRules(ctx, &elb.DescribeRulesInput{ListenerArn: &listener})
	if err != nil {
		t.Fatal(err)
	}
	weights := map[string]int32{}
	for _, g := range rules.Rules[0].Actions[0].ForwardConfig.TargetGroups {
		weights[*g.TargetGroupArn] = *g.Weight
	}
	if diff := cmp.Diff(map[string]int32{arn["book-tasks"]: 100, arn["book-tasks-b"]: 0}, weights); diff != "" || len(rules.Rules) != 1 {
		t.Errorf("the listener has %d rules, and forwards (-want +got):\n%s", len(rules.Rules), diff)
	}

	access := iam.NewFromConfig(cfg)
	role, err := access.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("book-us-east-1-balancing-role")})
	if err != nil {
		t.Fatal(err)
	}
	type statement struct {
		Action    oneOrMore
		Principal map[string]string
		Resource  oneOrMore
	}
	read := func(document *string) (out []statement) {
		t.Helper()
		text, err := url.QueryUnescape(*document)
		if err != nil {
			t.Fatal(err)
		}
		var policy struct{ Statement []statement }
		decode(t, text, &policy)
		return policy.Statement
	}
	if diff := cmp.Diff([]statement{{Action: []string{"sts:AssumeRole"}, Principal: map[string]string{"Service": "ecs.amazonaws.com"}}}, read(role.Role.AssumeRolePolicyDocument)); diff != "" {
		t.Errorf("who may assume the role (-want +got):\n%s", diff)
	}
	policies, err := access.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: role.Role.RoleName})
	if err != nil || len(policies.PolicyNames) != 1 {
		t.Fatalf("the role has the policies %v: %v", policies.PolicyNames, err)
	}
	policy, err := access.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: role.Role.RoleName, PolicyName: &policies.PolicyNames[0]})
	if err != nil {
		t.Fatal(err)
	}
	may := map[string][]string{}
	for _, x := range read(policy.PolicyDocument) {
		for _, action := range x.Action {
			may[strings.TrimPrefix(action, "elasticloadbalancing:")] = x.Resource
		}
	}
	both, rule := []string{arn["book-tasks"], arn["book-tasks-b"]}, strings.Replace(listener, ":listener/", ":listener-rule/", 1)+"/*"
	if diff := cmp.Diff(map[string][]string{
		"DescribeListeners": {"*"}, "DescribeRules": {"*"}, "DescribeTargetGroups": {"*"}, "DescribeTargetHealth": {"*"},
		"RegisterTargets": both, "DeregisterTargets": both, "ModifyListener": {listener}, "ModifyRule": {rule},
	}, may); diff != "" {
		t.Errorf("what ECS may do (-want +got):\n%s", diff)
	}

	services, err := ecs.NewFromConfig(cfg).DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String("book-cluster"), Services: []string{"book-service"}})
	if err != nil {
		t.Fatal(err)
	}
	if b := services.Services[0].LoadBalancers; len(b) != 1 || b[0].AdvancedConfiguration == nil {
		t.Errorf("the service has the load balancers %+v", b)
	} else if diff := cmp.Diff([]string{arn["book-tasks"], arn["book-tasks-b"], *rules.Rules[0].RuleArn, *role.Role.Arn}, []string{
		aws.ToString(b[0].TargetGroupArn), aws.ToString(b[0].AdvancedConfiguration.AlternateTargetGroupArn),
		aws.ToString(b[0].AdvancedConfiguration.ProductionListenerRule), aws.ToString(b[0].AdvancedConfiguration.RoleArn),
	}); diff != "" {
		t.Errorf("the service names (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{
		"strategy": "CANARY", "bakeTimeInMinutes": 5.0, "canaryConfiguration": map[string]any{"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 5.0},
		"deploymentCircuitBreaker": map[string]any{"enable": false, "rollback": false}, "minimumHealthyPercent": 100.0, "maximumPercent": 200.0,
	}, sent.body["deploymentConfiguration"]); diff != "" {
		t.Errorf("the service is asked for with (-want +got):\n%s", diff)
	}
	if services.Services[0].DeploymentConfiguration != nil {
		t.Error("moto keeps how a service is deployed: read it there, and let the plan compare it")
	}

	if r := s.run("plan"); r.code != 0 || !strings.Contains(r.out, "Nothing to do") {
		t.Errorf("a plan after it, exit code %d:\n%s%s", r.code, r.out, r.err)
	}
	s.run("destroy", "--yes").says(t, 0, " 0 left")
	if diff := cmp.Diff(before, inventory()); diff != "" {
		t.Errorf("a destroy left or took something (-before +after):\n%s", diff)
	}
}

// oneOrMore are the values of a policy's element, which has one of them without a list.
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(text []byte) error {
	if text[0] != '"' {
		return json.Unmarshal(text, (*[]string)(o))
	}
	*o = []string{""}
	return json.Unmarshal(text, &(*o)[0])
}

// sentTo hands requests on, and keeps the body of those that ask for one action.
type sentTo struct {
	t        *testing.T
	endpoint string
	action   string // as X-Amz-Target has it

	mu   sync.Mutex
	body map[string]any
}

func (s *sentTo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Amz-Target") == s.action {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			s.t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(text))
		s.mu.Lock()
		if err := json.Unmarshal(text, &s.body); err != nil {
			s.t.Error(err)
		}
		s.mu.Unlock()
	}
	to, err := url.Parse(s.endpoint)
	if err != nil {
		s.t.Error(err)
		return
	}
	(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(to)
		p.Out.Host = p.In.Host // signatures are of it
	}}).ServeHTTP(w, r)
}
