package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// ReleaseAlarm notifies of a release that failed: a rule of EventBridge for what ECS says
// when it gives a deployment up. There is no metric of that.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_service_deployment_events.html
type ReleaseAlarm struct {
	graph.NodeOf[*liveReleaseAlarm]
	alarmAccess
	to *AlarmTopic
}

// alarmRelease is the name of the alarm for a failed release.
const alarmRelease = "failed-release"

func newReleaseAlarm(a alarmAccess, to *AlarmTopic) *ReleaseAlarm {
	r := &ReleaseAlarm{alarmAccess: a, to: to}
	r.NodeOf = graph.Of(r, "release-alarm", 5*time.Minute, to)
	return r
}

func (r *ReleaseAlarm) ruleName() string { return r.names().ReleaseRule() }

// wantedIn reports whether there is to be a rule in that account. EventBridge sends events
// to another one only with a role, which the stack does not have:
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-cross-account.html
func (r *ReleaseAlarm) wantedIn(account string) bool {
	return r.wanted() && (r.topic == "" || accountOf(r.topic) == account)
}

// accountOf returns the account of an ARN; "" for a text that is none.
func accountOf(text string) string {
	of, _ := arn.Parse(text)
	return of.AccountID
}

// liveReleaseAlarm is the rule as far as it is compared.
type liveReleaseAlarm struct {
	there   bool
	account string
	tags    map[string]string
	pattern string
	state   string
	targets string
}

// testSource is the source of the events by which 'bookctl alarm test' tries the rule:
// nobody but AWS can send one of aws.ecs.
// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
func (a alarmAccess) testSource() string { return a.names().EventSource() }

// The event of a deployment that ECS gave up.
const (
	deploymentChange = "ECS Deployment State Change"
	deploymentFailed = "SERVICE_DEPLOYMENT_FAILED"
)

// wantedPattern is for what becomes of the service, which need not be there yet.
func (r *ReleaseAlarm) wantedPattern(account string) string {
	text, _ := json.Marshal(map[string]any{ // of texts
		"source": []string{"aws.ecs", r.testSource()}, "detail-type": []string{deploymentChange}, "resources": []string{r.arn(account, "ecs", "service/"+r.names().Cluster()+"/"+r.names().Service())},
		"detail": map[string]any{"eventName": []string{deploymentFailed}},
	})
	return string(text)
}

func (r *ReleaseAlarm) wantedTarget() types.Target {
	return types.Target{Id: aws.String(r.Name()), Arn: aws.String(r.target(r.to)), InputTransformer: &types.InputTransformer{
		InputPathsMap: map[string]string{"reason": "$.detail.reason", "time": "$.time"},
		// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
		InputTemplate: aws.String(fmt.Sprintf(`"Stack %s in %s: a release failed at <time>: <reason>"`, r.stack, r.region)),
	}}
}

// describedTargets is what a rule does, as text.
func describedTargets(targets []types.Target) string {
	var out []string
	for _, t := range targets {
		text := "tells " + aws.ToString(t.Arn)
		if t.RoleArn != nil {
			text += " as " + *t.RoleArn
		}
		if x := t.InputTransformer; x != nil {
			text += ": " + aws.ToString(x.InputTemplate)
			for _, name := range slices.Sorted(maps.Keys(x.InputPathsMap)) {
				text += ", " + name + " is " + x.InputPathsMap[name]
			}
		} else {
			text += ": " + aws.ToString(t.Input) + aws.ToString(t.InputPath)
		}
		out = append(out, text)
	}
	return inAnyOrder(out)
}

// Read looks the rule up by its name.
func (r *ReleaseAlarm) Read(ctx context.Context) (*liveReleaseAlarm, graph.State, error) {
	account, err := r.caller.accountID(ctx)
	if err != nil {
		return nil, graph.State{}, err
	}
	none := graph.State{Phase: graph.Absent, Unwanted: !r.wantedIn(account)}
	out, err := r.bus.DescribeRule(ctx, &eventbridge.DescribeRuleInput{Name: aws.String(r.ruleName())})
	if IsCode(err, "ResourceNotFoundException") {
		return nil, none, nil
	}
	if err != nil {
		return nil, graph.State{}, fmt.Errorf("describe rule %s: %w", r.ruleName(), err)
	}
	tags, err := r.ruleTags(ctx, aws.ToString(out.Arn))
	if IsCode(err, "ResourceNotFoundException") {
		return nil, none, nil
	}
	if err != nil {
		return nil, graph.State{}, err
	}
	targets, err := r.bus.ListTargetsByRule(ctx, &eventbridge.ListTargetsByRuleInput{Rule: out.Name})
	if IsCode(err, "ResourceNotFoundException") {
		return nil, none, nil
	}
	if err != nil {
		return nil, graph.State{}, fmt.Errorf("list the targets of rule %s: %w", r.ruleName(), err)
	}
	live := &liveReleaseAlarm{there: true, account: account, tags: tags, pattern: aws.ToString(out.EventPattern), state: string(out.State), targets: describedTargets(targets.Targets)}
	return live, graph.State{Phase: graph.Ready, ID: aws.ToString(out.Arn), Owner: tags[TagStack]}, nil
}

func (a alarmAccess) ruleTags(ctx context.Context, arn string) (map[string]string, error) {
	if tags, ok := a.hinted(&arn); ok {
		return tags, nil
	}
	out, err := a.bus.ListTagsForResource(ctx, &eventbridge.ListTagsForResourceInput{ResourceARN: &arn})
	if err != nil {
		return nil, fmt.Errorf("list the tags of %s: %w", arn, err)
	}
	return toMap(out.Tags, func(x types.Tag) (*string, *string) { return x.Key, x.Value }), nil
}

// Wanted implements graph.Shape.
func (r *ReleaseAlarm) Wanted(live *liveReleaseAlarm) *liveReleaseAlarm {
	return &liveReleaseAlarm{
		there: r.wantedIn(live.account), tags: r.tags(r.Name()), pattern: r.wantedPattern(live.account), state: string(types.RuleStateEnabled), targets: describedTargets([]types.Target{r.wantedTarget()}),
	}
}

// Attributes implements graph.Shape. If nobody is to be notified, the rule is deleted.
func (r *ReleaseAlarm) Attributes() graph.Attributes[*liveReleaseAlarm] {
	kept := func(_, want *liveReleaseAlarm) bool { return want.there }
	put := graph.SetBy(func(ctx context.Context, _ []graph.Change) error { return r.put(ctx, nil) })
	return graph.Attributes[*liveReleaseAlarm]{
		graph.Compared("rule", func(_, want *liveReleaseAlarm) (string, string, bool) { return "there", "none", !want.there },
			graph.SetBy(func(ctx context.Context, _ []graph.Change) error { return r.Delete(ctx) })),
		tagAttribute(func(l *liveReleaseAlarm) map[string]string { return l.tags }, graph.SetBy(r.retag)).When(kept),
		graph.Field("pattern", func(l *liveReleaseAlarm) string { return l.pattern }, put).Same(sameJSON).When(kept),
		graph.Field("state", func(l *liveReleaseAlarm) string { return l.state }, put).When(kept),
		graph.Field("targets", func(l *liveReleaseAlarm) string { return l.targets }, graph.SetBy(r.setTargets)).When(kept),
	}
}

func (r *ReleaseAlarm) retag(ctx context.Context, changes []graph.Change) error {
	if drop := r.toDrop(r.Name(), changes); drop != nil {
		if _, err := r.bus.UntagResource(ctx, &eventbridge.UntagResourceInput{ResourceARN: aws.String(r.ID()), TagKeys: drop}); err != nil {
			return fmt.Errorf("untag rule %s: %w", r.ruleName(), err)
		}
	}
	if _, err := r.bus.TagResource(ctx, &eventbridge.TagResourceInput{ResourceARN: aws.String(r.ID()), Tags: toEventsTags(r.tags(r.Name()))}); err != nil {
		return fmt.Errorf("tag rule %s: %w", r.ruleName(), err)
	}
	return nil
}

// Create creates the rule, without a target. A name is of one rule, so that a repeated
// call makes no second.
func (r *ReleaseAlarm) Create(ctx context.Context) (string, error) {
	return "", r.put(ctx, toEventsTags(r.tags(r.Name())))
}

// put creates the rule or changes it. It takes tags for a new one alone.
func (r *ReleaseAlarm) put(ctx context.Context, tags []types.Tag) error {
	account, err := r.caller.accountID(ctx)
	if err != nil {
		return err
	}
	_, err = r.bus.PutRule(ctx, &eventbridge.PutRuleInput{
		Name: aws.String(r.ruleName()), Description: aws.String("Releases of stack " + r.stack + " that failed"), EventPattern: aws.String(r.wantedPattern(account)),
		State: types.RuleStateEnabled, Tags: tags,
	})
	if err != nil {
		return fmt.Errorf("set rule %s: %w", r.ruleName(), err)
	}
	return nil
}

func (r *ReleaseAlarm) setTargets(ctx context.Context, _ []graph.Change) error {
	want := r.wantedTarget()
	if err := r.removeTargets(ctx, aws.ToString(want.Id)); err != nil {
		return err
	}
	out, err := r.bus.PutTargets(ctx, &eventbridge.PutTargetsInput{Rule: aws.String(r.ruleName()), Targets: []types.Target{want}})
	if err == nil && out.FailedEntryCount > 0 {
		err = fmt.Errorf("%s: %s", aws.ToString(out.FailedEntries[0].ErrorCode), aws.ToString(out.FailedEntries[0].ErrorMessage))
	}
	if err != nil {
		return fmt.Errorf("set the target of rule %s: %w", r.ruleName(), err)
	}
	return nil
}

// removeTargets removes all targets of the rule but the one with that id.
func (r *ReleaseAlarm) removeTargets(ctx context.Context, but string) error {
	out, err := r.bus.ListTargetsByRule(ctx, &eventbridge.ListTargetsByRuleInput{Rule: aws.String(r.ruleName())})
	if IsCode(err, "ResourceNotFoundException") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the targets of rule %s: %w", r.ruleName(), err)
	}
	var ids []string
	for _, t := range out.Targets {
		if id := aws.ToString(t.Id); id != but {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	if _, err := r.bus.RemoveTargets(ctx, &eventbridge.RemoveTargetsInput{Rule: aws.String(r.ruleName()), Ids: ids}); err != nil && !IsCode(err, "ResourceNotFoundException") {
		return fmt.Errorf("remove the targets of rule %s: %w", r.ruleName(), err)
	}
	return nil
}

// Delete deletes the rule, of which its targets have to go first.
// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_DeleteRule.html
func (r *ReleaseAlarm) Delete(ctx context.Context) error {
	if err := r.removeTargets(ctx, ""); err != nil {
		return err
	}
	if _, err := r.bus.DeleteRule(ctx, &eventbridge.DeleteRuleInput{Name: aws.String(r.ruleName())}); err != nil && !IsCode(err, "ResourceNotFoundException") {
		return fmt.Errorf("delete rule %s: %w", r.ruleName(), err)
	}
	return nil
}

// ruleKind lists the stack's rule.
func (a alarmAccess) ruleKind() inventory.Kind {
	return inventory.Kind{Service: "events", Type: "rule", List: func(ctx context.Context) ([]inventory.Item, error) {
		name := a.names().ReleaseRule()
		out, err := a.bus.DescribeRule(ctx, &eventbridge.DescribeRuleInput{Name: &name})
		if IsCode(err, "ResourceNotFoundException") {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("describe rule %s: %w", name, err)
		}
		tags, err := a.ruleTags(ctx, aws.ToString(out.Arn))
		if err != nil || tags[TagStack] != a.stack {
			return nil, err
		}
		return []inventory.Item{{ID: aws.ToString(out.Arn)}}, nil
	}}
}
