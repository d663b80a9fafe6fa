package localcloud_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/localcloud"
)

func says(text string) []types.Action {
	return []types.Action{{Type: types.ActionTypeEnumFixedResponse, FixedResponseConfig: &types.FixedResponseActionConfig{
		StatusCode: aws.String("200"), ContentType: aws.String("text/plain"), MessageBody: &text,
	}}}
}

func onPath(patterns ...string) types.RuleCondition {
	return types.RuleCondition{Field: aws.String("path-pattern"), PathPatternConfig: &types.PathPatternConditionConfig{Values: patterns}}
}

// ruled is a listener that says "default" where no rule of a test says otherwise.
func ruled(t *testing.T) (client *elb.Client, listener, url string) {
	t.Helper()
	g := newGround(t, openCloud(t, localcloud.Config{}))
	client, lb, _ := g.front(t)
	port := freePort(t)
	created := must[*elb.CreateListenerOutput](t)(client.CreateListener(t.Context(), &elb.CreateListenerInput{
		LoadBalancerArn: &lb, Port: &port, Protocol: types.ProtocolEnumHttp, DefaultActions: says("default"),
	}))
	return client, *created.Listeners[0].ListenerArn, fmt.Sprintf("http://127.0.0.1:%d", port)
}

func TestAListenersRulesAreTriedInTheirOrder(t *testing.T) {
	t.Parallel()
	client, listener, url := ruled(t)
	add := func(priority int32, text string, conditions ...types.RuleCondition) string {
		t.Helper()
		out := must[*elb.CreateRuleOutput](t)(client.CreateRule(t.Context(), &elb.CreateRuleInput{
			ListenerArn: &listener, Priority: &priority, Conditions: conditions, Actions: says(text),
		}))
		return *out.Rules[0].RuleArn
	}
	add(30, "host", types.RuleCondition{Field: aws.String("host-header"), Values: []string{"*.Example.com"}})
	add(20, "image", onPath("/img/*.p?g"))
	first := add(10, "put", onPath("/img/*"), types.RuleCondition{
		Field: aws.String("http-request-method"), HttpRequestMethodConfig: &types.HttpRequestMethodConditionConfig{Values: []string{"PUT"}},
	})
	add(40, "header", types.RuleCondition{Field: aws.String("http-header"), HttpHeaderConfig: &types.HttpHeaderConditionConfig{
		HttpHeaderName: aws.String("x-canary"), Values: []string{"y*"},
	}})
	add(50, "query", types.RuleCondition{Field: aws.String("query-string"), QueryStringConfig: &types.QueryStringConditionConfig{
		Values: []types.QueryStringKeyValuePair{{Key: aws.String("version"), Value: aws.String("V1")}},
	}})
	add(60, "elsewhere", onPath("/source"), types.RuleCondition{
		Field: aws.String("source-ip"), SourceIpConfig: &types.SourceIpConditionConfig{Values: []string{"192.0.2.0/24"}},
	})
	add(61, "here", onPath("/source"), types.RuleCondition{
		Field: aws.String("source-ip"), SourceIpConfig: &types.SourceIpConditionConfig{Values: []string{"192.0.2.0/24", "127.0.0.0/8"}},
	})
	ask := func(method, path string, change func(*http.Request)) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(r)
		}
		resp := must[*http.Response](t)(http.DefaultClient.Do(r)) //nolint:bodyclose // it is, right below
		defer func() { _ = resp.Body.Close() }()                  // only read from
		return string(must[[]byte](t)(io.ReadAll(resp.Body)))
	}
	for _, c := range []struct {
		method, path, want string
		change             func(*http.Request)
	}{
		{"GET", "/", "default", nil},
		{"GET", "/img/a.png", "image", nil},
		{"GET", "/IMG/a.png", "default", nil}, // a path has its case
		{"GET", "/img/a.jpeg", "default", nil},
		{"GET", "/?file=/img/a.png", "default", nil}, // the query is no part of it
		{"PUT", "/img/a.png", "put", nil},
		{"GET", "/", "host", func(r *http.Request) { r.Host = "WWW.example.com:8080" }}, // a host has none
		{"GET", "/", "default", func(r *http.Request) { r.Host = "example.com" }},
		{"GET", "/", "header", func(r *http.Request) { r.Header.Set("X-Canary", "Yes") }},
		{"GET", "/?a=b&Version=v1", "query", nil},
		{"GET", "/source", "here", nil},
	} {
		if got := ask(c.method, c.path, c.change); got != c.want {
			t.Errorf("%s %s: the rule %q answered, want %q", c.method, c.path, got, c.want)
		}
	}
	must[*elb.SetRulePrioritiesOutput](t)(client.SetRulePriorities(t.Context(), &elb.SetRulePrioritiesInput{
		RulePriorities: []types.RulePriorityPair{{RuleArn: &first, Priority: aws.Int32(1000)}},
	}))
	if got := ask("PUT", "/img/a.png", nil); got != "image" {
		t.Errorf("after its priority rose to 1000 the rule %q answered, want image", got)
	}
	must[*elb.ModifyRuleOutput](t)(client.ModifyRule(t.Context(), &elb.ModifyRuleInput{RuleArn: &first, Conditions: []types.RuleCondition{onPath("/new")}}))
	if got := ask("GET", "/new", nil); got != "put" {
		t.Errorf("after its path changed the rule %q answered, want put", got)
	}
	must[*elb.DeleteRuleOutput](t)(client.DeleteRule(t.Context(), &elb.DeleteRuleInput{RuleArn: &first}))
	if got := ask("GET", "/new", nil); got != "default" {
		t.Errorf("after its rule was deleted %q answered, want default", got)
	}
}

func TestRulesReadBackAsAWSShowsThem(t *testing.T) {
	t.Parallel()
	client, listener, _ := ruled(t)
	ctx := t.Context()
	created := must[*elb.CreateRuleOutput](t)(client.CreateRule(ctx, &elb.CreateRuleInput{
		ListenerArn: &listener, Priority: aws.Int32(7), Actions: says("x"), Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}},
		Conditions: []types.RuleCondition{{Field: aws.String("path-pattern"), Values: []string{"/x"}}},
	}))
	rule := created.Rules[0]
	if c := rule.Conditions[0]; c.PathPatternConfig == nil || !slices.Equal(c.PathPatternConfig.Values, []string{"/x"}) || !slices.Equal(c.Values, []string{"/x"}) {
		t.Errorf("a path of the older form reads back as %+v, want it in both forms", c)
	}
	tags := must[*elb.DescribeTagsOutput](t)(client.DescribeTags(ctx, &elb.DescribeTagsInput{ResourceArns: []string{*rule.RuleArn}}))
	if got := tags.TagDescriptions[0].Tags; len(got) != 1 || *got[0].Key != "a" {
		t.Errorf("the rule has the tags %v, want the one it was made with", got)
	}
	page := must[*elb.DescribeRulesOutput](t)(client.DescribeRules(ctx, &elb.DescribeRulesInput{ListenerArn: &listener, PageSize: aws.Int32(1)}))
	if len(page.Rules) != 1 || *page.Rules[0].Priority != "7" || page.NextMarker == nil {
		t.Fatalf("the first page of one is %+v", page)
	}
	page = must[*elb.DescribeRulesOutput](t)(client.DescribeRules(ctx, &elb.DescribeRulesInput{ListenerArn: &listener, PageSize: aws.Int32(1), Marker: page.NextMarker}))
	if len(page.Rules) != 1 || !*page.Rules[0].IsDefault || *page.Rules[0].Priority != "default" || page.NextMarker != nil {
		t.Fatalf("the second page of one is %+v, want the default rule", page)
	}
	byDefault := *page.Rules[0].RuleArn

	create := func(priority int32, conditions ...types.RuleCondition) error {
		_, err := client.CreateRule(ctx, &elb.CreateRuleInput{ListenerArn: &listener, Priority: &priority, Conditions: append([]types.RuleCondition{}, conditions...), Actions: says("x")})
		return err
	}
	refused(t, create(7, onPath("/y")), "PriorityInUse", "currently in use")
	refused(t, create(0, onPath("/y")), "ValidationError", "priority")
	refused(t, create(8), "ValidationError", "condition must be specified")
	refused(t, create(8, onPath("/1", "/2", "/3", "/4", "/5", "/6")), "ValidationError", "condition values")
	refused(t, create(8, onPath("/1"), onPath("/2")), "ValidationError", "only have one")
	refused(t, create(8, onPath("/{x}")), "ValidationError", "/{x}")
	refused(t, create(8, types.RuleCondition{Field: aws.String("colour"), Values: []string{"red"}}), "ValidationError", "must be one of")
	_, err := client.DeleteRule(ctx, &elb.DeleteRuleInput{RuleArn: &byDefault})
	refused(t, err, "OperationNotPermitted", "Default rule")
	_, err = client.DeleteRule(ctx, &elb.DeleteRuleInput{RuleArn: aws.String(byDefault + "0")})
	refused(t, err, "RuleNotFound", "")

	must[*elb.DeleteListenerOutput](t)(client.DeleteListener(ctx, &elb.DeleteListenerInput{ListenerArn: &listener}))
	_, err = client.DescribeRules(ctx, &elb.DescribeRulesInput{RuleArns: []string{*rule.RuleArn}})
	refused(t, err, "RuleNotFound", "")
}

func TestARulesTargetGroupIsInUse(t *testing.T) {
	t.Parallel()
	g := newGround(t, openCloud(t, localcloud.Config{}))
	client, lb, targets := g.front(t)
	ctx := t.Context()
	port := freePort(t)
	l := must[*elb.CreateListenerOutput](t)(client.CreateListener(ctx, &elb.CreateListenerInput{
		LoadBalancerArn: &lb, Port: &port, Protocol: types.ProtocolEnumHttp, DefaultActions: says("default"),
	}))
	other := g.targetGroup("/healthz")
	other.Name = aws.String("green")
	green := must[*elb.CreateTargetGroupOutput](t)(client.CreateTargetGroup(ctx, other))
	split := &types.ForwardActionConfig{TargetGroups: []types.TargetGroupTuple{
		{TargetGroupArn: &targets, Weight: aws.Int32(90)}, {TargetGroupArn: green.TargetGroups[0].TargetGroupArn, Weight: aws.Int32(10)},
	}}
	created := must[*elb.CreateRuleOutput](t)(client.CreateRule(ctx, &elb.CreateRuleInput{
		ListenerArn: l.Listeners[0].ListenerArn, Priority: aws.Int32(1), Conditions: []types.RuleCondition{onPath("/x")},
		Actions: []types.Action{{Type: types.ActionTypeEnumForward, ForwardConfig: split}},
	}))
	if a := created.Rules[0].Actions[0]; a.TargetGroupArn != nil || len(a.ForwardConfig.TargetGroups) != 2 || *a.ForwardConfig.TargetGroups[1].Weight != 10 {
		t.Errorf("a split over two groups reads back as %+v, want both with their weights and no single group", a)
	}
	_, err := client.DeleteTargetGroup(ctx, &elb.DeleteTargetGroupInput{TargetGroupArn: &targets})
	refused(t, err, "ResourceInUse", "")
	must[*elb.DeleteRuleOutput](t)(client.DeleteRule(ctx, &elb.DeleteRuleInput{RuleArn: created.Rules[0].RuleArn}))
	must[*elb.DeleteTargetGroupOutput](t)(client.DeleteTargetGroup(ctx, &elb.DeleteTargetGroupInput{TargetGroupArn: &targets}))
}

// TestStickySessionsNeedARuleOfOneGroup, since the local cloud has no stickiness of groups,
// by which AWS allows them.
func TestStickySessionsNeedARuleOfOneGroup(t *testing.T) {
	t.Parallel()
	g := newGround(t, openCloud(t, localcloud.Config{}))
	client, lb, targets := g.front(t)
	ctx := t.Context()
	other := g.targetGroup("/healthz")
	other.Name = aws.String("green")
	green := must[*elb.CreateTargetGroupOutput](t)(client.CreateTargetGroup(ctx, other))
	stick := func(value string) error {
		_, err := client.ModifyTargetGroupAttributes(ctx, &elb.ModifyTargetGroupAttributesInput{TargetGroupArn: &targets, Attributes: []types.TargetGroupAttribute{
			{Key: aws.String("stickiness.enabled"), Value: &value},
		}})
		return err
	}
	split := []types.Action{{Type: types.ActionTypeEnumForward, ForwardConfig: &types.ForwardActionConfig{TargetGroups: []types.TargetGroupTuple{
		{TargetGroupArn: &targets, Weight: aws.Int32(90)}, {TargetGroupArn: green.TargetGroups[0].TargetGroupArn, Weight: aws.Int32(10)},
	}}}}
	const rule = "You must enable group stickiness on a rule if you enabled target stickiness on one of its target groups"
	if err := stick("true"); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	listener := elb.CreateListenerInput{LoadBalancerArn: &lb, Port: &port, Protocol: types.ProtocolEnumHttp, DefaultActions: split}
	_, err := client.CreateListener(ctx, &listener)
	refused(t, err, "InvalidConfigurationRequest", rule)
	listener.DefaultActions = forwardTo(targets) // one group may be sticky
	l := must[*elb.CreateListenerOutput](t)(client.CreateListener(ctx, &listener)).Listeners[0].ListenerArn
	_, err = client.ModifyListener(ctx, &elb.ModifyListenerInput{ListenerArn: l, DefaultActions: split})
	refused(t, err, "InvalidConfigurationRequest", rule)
	_, err = client.CreateRule(ctx, &elb.CreateRuleInput{ListenerArn: l, Priority: aws.Int32(1), Conditions: []types.RuleCondition{onPath("/x")}, Actions: split})
	refused(t, err, "InvalidConfigurationRequest", rule)

	if err := stick("false"); err != nil {
		t.Fatal(err)
	}
	must[*elb.ModifyListenerOutput](t)(client.ModifyListener(ctx, &elb.ModifyListenerInput{ListenerArn: l, DefaultActions: split}))
	refused(t, stick("true"), "InvalidConfigurationRequest", "This target group appears behind a rule with group stickiness disabled")
}

func TestAListenerChangesTheHeaderOfItsAnswers(t *testing.T) {
	t.Parallel()
	client, listener, url := ruled(t)
	ctx := t.Context()
	read := func() map[string]string {
		out := must[*elb.DescribeListenerAttributesOutput](t)(client.DescribeListenerAttributes(ctx, &elb.DescribeListenerAttributesInput{ListenerArn: &listener}))
		all := map[string]string{}
		for _, a := range out.Attributes {
			all[*a.Key] = aws.ToString(a.Value)
		}
		return all
	}
	const server, frame = "routing.http.response.server.enabled", "routing.http.response.x_frame_options.header_value"
	if got := read(); got[server] != "true" || got[frame] != "" || len(got) != 11 {
		t.Errorf("a new HTTP listener has the attributes %v", got)
	}
	header := func() http.Header {
		resp := must[*http.Response](t)(http.Get(url)) //nolint:bodyclose // it is, right below
		_ = resp.Body.Close()                          // nothing was written
		return resp.Header
	}
	if got := header(); got.Get("Server") != "awselb/2.0" || got.Get("X-Frame-Options") != "" {
		t.Errorf("a new listener answers with the header %v", got)
	}
	set := func(key, value string) error {
		_, err := client.ModifyListenerAttributes(ctx, &elb.ModifyListenerAttributesInput{
			ListenerArn: &listener, Attributes: []types.ListenerAttribute{{Key: aws.String(frame), Value: aws.String("DENY")}, {Key: &key, Value: &value}},
		})
		return err
	}
	refused(t, set("routing.http.response.colour", "red"), "ValidationError", "not recognized")
	refused(t, set(server, "perhaps"), "ValidationError", "not valid")
	if got := header().Get("X-Frame-Options"); got != "" {
		t.Errorf("a refused change left X-Frame-Options: %s", got)
	}
	if err := set(server, "false"); err != nil {
		t.Fatal(err)
	}
	if got := header(); got.Get("Server") != "" || got.Get("X-Frame-Options") != "DENY" {
		t.Errorf("after the change it answers with the header %v", got)
	}
	if got := read(); got[server] != "false" || got[frame] != "DENY" {
		t.Errorf("after the change the attributes are %v", got)
	}
}
